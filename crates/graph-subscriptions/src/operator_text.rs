//! What other services say, made fit for logs and reports.

/// The longest text that is taken over, in characters.
const LONGEST: usize = 600;

/// The text in one line and of bounded length, with each of the secrets that were sent taken out: a service may repeat
/// what it was given.
pub(crate) fn operator_text(text: &str, secrets: &[&str]) -> String {
    let mut text = text.to_owned();
    for secret in secrets.iter().filter(|secret| !secret.is_empty()) {
        text = text.replace(secret, "[secret]");
    }
    let line = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let line = line.collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}...", &line[..end]),
        None => line,
    }
}

/// An error of the HTTP client with all its causes, and without the address, which may hold a page token.
#[must_use]
pub fn transport_text(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    operator_text(&text, &[])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_taken_out() {
        assert_eq!(operator_text("bad state hunter2!", &["", "hunter2"]), "bad state [secret]!");
    }

    #[test]
    fn it_is_one_bounded_line() {
        assert_eq!(operator_text("a\r\nTrace:\t1\u{7}", &[]), "a Trace: 1");
        let long = operator_text(&"é".repeat(5000), &[]);
        assert_eq!(long.chars().count(), LONGEST + 3);
    }
}

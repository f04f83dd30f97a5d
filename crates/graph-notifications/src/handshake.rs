//! The handshake by which Graph makes sure that a URL wants its notifications.
//!
//! Graph posts to the URL with a `validationToken` in the query and expects the token back, decoded, as plain text
//! within 10 seconds (Microsoft's "Receive change notifications through webhooks"). Nothing authenticates the request,
//! so whatever could be turned against a reader's browser is refused; Graph never sends such a token.

/// The longest token that is echoed, in bytes.
pub const LONGEST_TOKEN: usize = 2048;

/// Headers for the answer: the content type that Graph demands, and what keeps a browser from making more of it.
pub const ANSWER_HEADERS: [(&str, &str); 4] = [
    ("content-type", "text/plain; charset=utf-8"),
    ("x-content-type-options", "nosniff"),
    ("content-security-policy", "default-src 'none'"),
    ("cache-control", "no-store"),
];

/// The query holds a validation token that Graph would not send: to be answered with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the query's validation token is none that Microsoft Graph sends")]
pub struct SuspiciousToken;

/// Finds the validation token in a URL's query, as it stands in the URL: still encoded.
///
/// Graph encodes as forms do: a space arrives as `+`. Some gateways write the parameter's name in lower case. `None` means that the request is no handshake; the token is what
/// to answer with status 200 and [`ANSWER_HEADERS`].
#[must_use]
pub fn token_in_query(query: &str) -> Option<Result<String, SuspiciousToken>> {
    let mut tokens = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name.eq_ignore_ascii_case("validationToken"))
        .map(|(_, value)| value);
    let token = tokens.next()?;
    if tokens.next().is_some() {
        return Some(Err(SuspiciousToken));
    }
    Some(check(token.into_owned()))
}

/// Checks a token that was decoded already, by a gateway that hands over nothing else.
///
/// # Errors
/// If Graph would not send it.
pub fn check(token: String) -> Result<String, SuspiciousToken> {
    // The replacement character stands where the encoded bytes were no text.
    let suspicious = |c: char| c.is_control() || matches!(c, '<' | '>' | '"' | '&' | '\u{fffd}');
    if token.is_empty() || token.len() > LONGEST_TOKEN || token.contains(suspicious) {
        return Err(SuspiciousToken);
    }
    Ok(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_decoded_once_by_the_rules_of_forms() {
        let query =
            "validationToken=Validation%3a+Testing+client+application+reachability+for+subscription+Request-Id%3A+0b1f";
        let expected = "Validation: Testing client application reachability for subscription Request-Id: 0b1f";
        assert_eq!(token_in_query(query), Some(Ok(expected.to_owned())));
        assert_eq!(token_in_query("a=b&validationToken=a%252Bb%2B"), Some(Ok("a%2Bb+".to_owned())));
        for name in ["validationtoken", "VALIDATIONTOKEN", "ValidationToken", "validation%54oken"] {
            assert_eq!(token_in_query(&format!("{name}=abc")), Some(Ok("abc".to_owned())), "{name}");
        }
        assert_eq!(token_in_query("validationToken=Pr%C3%BCfung"), Some(Ok("Prüfung".to_owned())));
    }

    #[test]
    fn other_requests_are_no_handshake() {
        for query in ["", "validationtoken2=a", "x=validationToken", "token=a"] {
            assert_eq!(token_in_query(query), None, "{query}");
        }
    }

    #[test]
    fn what_could_be_markup_is_refused() {
        for value in ["%3Cscript%3E", "<b", "a>", "%22", "%26amp;", "a%00", "a%0Ab", "a%7f", "%C2%85", "%ff", ""] {
            assert_eq!(token_in_query(&format!("validationToken={value}")), Some(Err(SuspiciousToken)), "{value}");
        }
        assert_eq!(token_in_query("validationToken=a&validationToken=a"), Some(Err(SuspiciousToken)));
    }

    #[test]
    fn two_kilobytes_are_the_limit() {
        let long = "a".repeat(LONGEST_TOKEN);
        assert_eq!(token_in_query(&format!("validationToken={long}")), Some(Ok(long.clone())));
        assert_eq!(token_in_query(&format!("validationToken={long}a")), Some(Err(SuspiciousToken)));
    }
}

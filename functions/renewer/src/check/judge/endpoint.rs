//! Our own address, as Graph meets it before it accepts a subscription.

use crate::finding::{Link, Row};
use crate::{
    check::seen::Seen,
    config::Config,
    ports::{HandshakeAnswer, OutsideError},
};

/// How much of a wrong answer is shown, in characters.
const SHOWN: usize = 60;

/// The handshake with our own address.
pub(super) fn endpoint(seen: &Seen, config: &Config) -> Row {
    let (link, url) = (Link::Endpoint, &config.notification_url);
    match &seen.handshake.answer {
        Err(error) => Row::failed(link, url, format!("It cannot be reached: {error}."), unreachable(error)),
        Ok(answer) => match wrong(answer, &seen.handshake.token) {
            None => Row::ok(link, url, "It repeats the validation token as Graph wants it."),
            Some((finding, step)) => Row::failed(link, url, finding, step),
        },
    }
}

/// By the words of the HTTP client; where they say nothing that is known, by what is left.
fn unreachable(error: &OutsideError) -> &'static str {
    let text = error.0.to_lowercase();
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if says(&["timed out", "in time", "timeout"]) {
        "Graph gives up after 10 seconds. Look at the receiver's log and duration, and at whatever stands in front of it."
    } else if says(&["dns", "resolve", "lookup"]) {
        "Its name is not known (DNS). Does the stack's HTTP API still exist? Deploy the stack again."
    } else if says(&["certificate", "tls", "handshake"]) {
        "Its TLS certificate does not convince. Look at the domain's certificate in AWS Certificate Manager, and at proxies."
    } else {
        "The stack's HTTP API must exist and take requests from everywhere. Deploy the stack again."
    }
}

/// What is wrong with an answer, and what to do.
fn wrong(answer: &HandshakeAnswer, token: &str) -> Option<(String, &'static str)> {
    const CODE: &str = "This is not how the receiver answers. Make sure that the address leads to it and that nothing in front of it \
                        changes answers; then deploy the stack again.";
    if answer.status != 200 {
        let step = match answer.status {
            400 => "The receiver takes the token for suspicious. Something in front of it changes the query.",
            401 | 403 => {
                "Something in front of the receiver refuses: an authorizer, a firewall, a resource policy. Graph must get \
                 through without any of its own."
            }
            404 | 405 => {
                "The address leads nowhere. The route POST /notifications of the stack's HTTP API is missing, or the subscription's \
                 address is another: deploy the stack again."
            }
            429 => {
                "The HTTP API or the receiver is throttled. Look for a flood of requests, and at the account's concurrency."
            }
            300..=399 => "Graph follows no redirect. The address must be the final one.",
            500.. => "The receiver fails. Its log says why.",
            _ => CODE,
        };
        return Some((format!("It answers with status {} instead of 200.", answer.status), step));
    }
    let media_type = answer.content_type.split(';').next().unwrap_or_default().trim();
    if !media_type.eq_ignore_ascii_case("text/plain") {
        return Some((format!("It answers as '{}' instead of text/plain.", excerpt(&answer.content_type)), CODE));
    }
    if answer.body == token {
        return None;
    }
    let how = if answer.body == token.replace(' ', "+") {
        "with plus signs where spaces belong: the token was not decoded as forms are"
    } else if answer.body.contains('%') {
        "without decoding it"
    } else if answer.body.trim_matches(['"', '\n', '\r', ' ']) == token {
        "with something around it"
    } else {
        "wrongly"
    };
    Some((format!("It repeats the validation token {how} ('{}').", excerpt(&answer.body)), CODE))
}

fn excerpt(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(SHOWN).collect()
}

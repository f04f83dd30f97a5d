//! The endpoint validation handshake ("Receive change notifications through webhooks", notificationUrl validation).

use std::time::Duration;

use uuid::Uuid;

use super::outbound::{Answer, Outbound, OutboundError};

/// How long an endpoint may take.
pub const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// A token as Graph makes it; its colons and spaces are what receivers decode wrongly.
#[must_use]
pub fn validation_token() -> String {
    format!("Validation: Testing client application reachability for subscription Request-Id: {}", Uuid::new_v4())
}

/// The form encoding that is seen on the wire: spaces become `+`, other characters lower-case escapes such as `%3a`.
#[must_use]
pub fn form_encode(text: &str) -> String {
    use std::fmt::Write as _;
    let mut encoded = String::with_capacity(text.len() * 2);
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'!' | b'*' | b'(' | b')' => {
                encoded.push(char::from(byte));
            }
            b' ' => encoded.push('+'),
            _ => {
                let _ = write!(encoded, "%{byte:02x}");
            }
        }
    }
    encoded
}

/// `url` with the encoded token as a further query parameter.
#[must_use]
pub fn handshake_url(url: &str, token: &str) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}validationToken={}", form_encode(token))
}

/// Why an endpoint did not pass; the texts are those that Graph's users report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum HandshakeError {
    #[error("Subscription validation request timed out.")]
    TimedOut,
    #[error(
        "Subscription validation request failed. Notification endpoint must respond with 200 OK to validation request."
    )]
    Status,
    #[error("Subscription validation request failed. Response must have content type text/plain.")]
    ContentType,
    #[error("Subscription validation request failed. Response must exactly match validationToken query parameter.")]
    Body,
}

/// Asks `url` to echo a fresh token.
pub(crate) async fn validate(outbound: &Outbound, url: &str) -> Result<(), HandshakeError> {
    let token = validation_token();
    let answer =
        outbound.post(&handshake_url(url, &token), "text/plain; charset=utf-8", Vec::new(), HANDSHAKE_LIMIT).await;
    check(answer, &token)
}

fn check(answer: Result<Answer, OutboundError>, token: &str) -> Result<(), HandshakeError> {
    let answer = answer.map_err(|error| match error {
        OutboundError::Timeout => HandshakeError::TimedOut,
        OutboundError::Connection => HandshakeError::Status,
    })?;
    let media_type = answer.content_type.split(';').next().unwrap_or_default();
    if answer.status != 200 {
        Err(HandshakeError::Status)
    } else if !media_type.trim().eq_ignore_ascii_case("text/plain") {
        Err(HandshakeError::ContentType)
    } else if answer.body != token.as_bytes() {
        Err(HandshakeError::Body)
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "the function under test takes a result")]
    fn answer(status: u16, content_type: &str, body: &str) -> Result<Answer, OutboundError> {
        Ok(Answer {
            status,
            content_type: content_type.to_owned(),
            body: body.as_bytes().to_vec(),
            latency: Duration::ZERO,
        })
    }

    #[test]
    fn the_token_is_encoded_as_on_the_wire() {
        let url = handshake_url("https://receiver.test/n", &validation_token());
        let query = url.strip_prefix("https://receiver.test/n?validationToken=").unwrap();
        let id = query
            .strip_prefix("Validation%3a+Testing+client+application+reachability+for+subscription+Request-Id%3a+")
            .unwrap();
        assert!(Uuid::parse_str(id).is_ok());
    }

    #[test]
    fn a_query_string_of_the_subscriber_is_kept() {
        assert_eq!(
            handshake_url("https://receiver.test/n?a=b", "x y"),
            "https://receiver.test/n?a=b&validationToken=x+y"
        );
    }

    #[test]
    fn only_the_exact_answer_passes() {
        assert_eq!(check(answer(200, "text/plain; charset=utf-8", "a b"), "a b"), Ok(()));
        assert_eq!(check(answer(200, "Text/Plain", "a b"), "a b"), Ok(()));
        let refused = |result| check(result, "a b").unwrap_err();
        assert_eq!(refused(answer(202, "text/plain", "a b")), HandshakeError::Status);
        assert_eq!(refused(answer(200, "application/json", "a b")), HandshakeError::ContentType);
        assert_eq!(refused(answer(200, "", "a b")), HandshakeError::ContentType);
        assert_eq!(refused(answer(200, "text/plain", "a+b")), HandshakeError::Body);
        assert_eq!(refused(answer(200, "text/plain", "a b\n")), HandshakeError::Body);
        assert_eq!(refused(answer(200, "text/plain", "\"a b\"")), HandshakeError::Body);
        assert_eq!(refused(Err(OutboundError::Timeout)), HandshakeError::TimedOut);
    }
}

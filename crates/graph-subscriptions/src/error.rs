//! What Graph answers when it does not do what it was asked.

use std::{fmt, time::Duration};

use serde_json::Value;
use uuid::Uuid;

use crate::{http::Answer, operator_text::operator_text};

/// Graph did not do what it was asked, or nobody knows whether it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GraphError {
    /// What it comes to.
    pub kind: GraphErrorKind,
    /// The HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// Graph's own word, such as `ResourceNotFound` or `ExtensionError`.
    pub code: Option<String>,
    /// What Graph or the network said, of bounded length and without what was secret in the request.
    pub message: String,
    /// What to quote to Microsoft's support.
    pub request_id: Option<String>,
    /// How long Graph asks to wait.
    pub retry_after: Option<Duration>,
}

/// What an error comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum GraphErrorKind {
    /// There is no such subscription (any more), or no such resource to subscribe to.
    NotFound,
    /// This version of Graph does not know what the new subscription is to watch.
    UnknownResource,
    /// A subscription for the same resource exists.
    Conflict,
    /// The notification address did not answer Graph's validation request as it should, or not in time.
    HandshakeFailed,
    /// The permission or its consent is missing, or a quota is used up.
    Forbidden,
    /// The token is not accepted.
    Unauthorized,
    /// Too many requests.
    Throttled,
    /// Graph, or the service behind it, cannot answer now.
    Unavailable,
    /// The request itself is not accepted.
    Invalid,
    /// An answer that Graph should not give.
    Unexpected,
    /// No answer: whether Graph did what it was asked is unknown.
    Transport,
}

impl GraphError {
    /// Whether the same request may succeed a moment later.
    ///
    /// A handshake that failed is among these: a cold start or a lost packet is enough to miss it.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            GraphErrorKind::HandshakeFailed
                | GraphErrorKind::Throttled
                | GraphErrorKind::Unavailable
                | GraphErrorKind::Transport
        )
    }

    /// Whether Graph may have done what it was asked all the same.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self.kind, GraphErrorKind::Transport | GraphErrorKind::Unavailable | GraphErrorKind::Unexpected)
    }

    /// The subscription that a conflict names as the one in the way; `None` if it names none. Only a hint where to look: what
    /// has that id must be read before anything is done about it.
    #[must_use]
    pub fn conflicting_id(&self) -> Option<Uuid> {
        let words = self.message.split(|c: char| !c.is_ascii_hexdigit() && c != '-');
        words.filter(|_| self.kind == GraphErrorKind::Conflict).find_map(|word| Uuid::try_parse(word).ok())
    }

    /// The list of subscriptions goes on in a way that cannot be followed.
    pub(crate) fn of_list(message: String) -> Self {
        Self {
            kind: GraphErrorKind::Unexpected,
            status: None,
            code: None,
            message,
            request_id: None,
            retry_after: None,
        }
    }

    pub(crate) fn transport(message: String) -> Self {
        Self { kind: GraphErrorKind::Transport, status: None, code: None, message, request_id: None, retry_after: None }
    }

    pub(crate) fn unexpected(answer: &Answer, message: &str) -> Self {
        Self {
            kind: GraphErrorKind::Unexpected,
            status: Some(answer.status.as_u16()),
            code: None,
            message: message.to_owned(),
            request_id: answer.request_id.clone(),
            retry_after: None,
        }
    }

    /// The error that an answer speaks of. A member of another kind than usual costs that member.
    pub(crate) fn from_answer(answer: &Answer, secrets: &[&str]) -> Self {
        let body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        let error = &body["error"];
        let (code, message) =
            (error["code"].as_str(), error["message"].as_str().or(error.as_str()).unwrap_or_default());
        let inner = ["innerError", "innererror"].iter().find_map(|name| error.get(*name)?["request-id"].as_str());
        let status = answer.status.as_u16();
        Self {
            kind: kind(status, code, message),
            status: Some(status),
            code: code.map(|code| operator_text(code, secrets)),
            message: operator_text(message, secrets),
            request_id: inner.or(answer.request_id.as_deref()).map(|id| operator_text(id, secrets)),
            retry_after: answer.retry_after,
        }
    }

    /// The same for the creation of a subscription, of which alone Graph says that it does not know the resource.
    pub(crate) fn of_creation(mut self) -> Self {
        let refused = matches!(self.kind, GraphErrorKind::NotFound | GraphErrorKind::Invalid);
        if refused && names_the_resource(&self.message) {
            self.kind = GraphErrorKind::UnknownResource;
        }
        self
    }
}

/// Such as "Resource not found for the segment 'getEmergencyEventsByPolicy'.": the words of `OData` for what a version of an API
/// does not have. A policy that is unknown is another thing.
fn names_the_resource(message: &str) -> bool {
    let message = message.to_lowercase();
    let has = |signs: &[&str]| signs.iter().any(|sign| message.contains(sign));
    has(&["segment", "function", "getemergencyeventsbypolicy", "resource path", "navigation property"])
        && has(&["not found", "not supported", "unsupported", "unknown", "could not find", "not recognized", "invalid"])
}

fn kind(status: u16, code: Option<&str>, message: &str) -> GraphErrorKind {
    // `ExtensionError` wraps the answer of the service behind Graph, and the outer status may be another one.
    let status = match code {
        Some("ExtensionError") => inner_status(message).unwrap_or(status),
        _ => status,
    };
    match status {
        400 if is_handshake(message) => GraphErrorKind::HandshakeFailed,
        401 => GraphErrorKind::Unauthorized,
        403 => GraphErrorKind::Forbidden,
        404 | 410 => GraphErrorKind::NotFound,
        409 => GraphErrorKind::Conflict,
        429 => GraphErrorKind::Throttled,
        408 | 500..=599 => GraphErrorKind::Unavailable,
        400..=499 => GraphErrorKind::Invalid,
        _ => GraphErrorKind::Unexpected,
    }
}

/// The free text of an `ExtensionError`: `Operation: Create; Exception: [Status Code: Conflict; Reason: ...]`.
fn inner_status(message: &str) -> Option<u16> {
    let (_, rest) = message.split_once("Status Code:")?;
    let name: String = rest.trim_start().chars().take_while(char::is_ascii_alphanumeric).collect();
    Some(match name.as_str() {
        "BadRequest" => 400,
        "Unauthorized" => 401,
        "Forbidden" => 403,
        "NotFound" => 404,
        "Conflict" => 409,
        "Gone" => 410,
        "TooManyRequests" => 429,
        "InternalServerError" => 500,
        "BadGateway" => 502,
        "ServiceUnavailable" => 503,
        "GatewayTimeout" => 504,
        number => number.parse().ok().filter(|status| (400..600).contains(status))?,
    })
}

/// Such as "Subscription validation request timed out." and "Notification endpoint must respond with 200 OK to
/// validation request.", but not "Certificate validation error: ...".
fn is_handshake(message: &str) -> bool {
    let message = message.to_lowercase();
    message.contains("validation")
        && !message.contains("certificate validation")
        && ["validation request", "timed out", "endpoint", "notificationurl"].iter().any(|sign| message.contains(sign))
}

impl fmt::Display for GraphError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self.kind {
            GraphErrorKind::NotFound => "Microsoft Graph does not know it",
            GraphErrorKind::UnknownResource => {
                "this version of Microsoft Graph does not know emergency calls: if GraphEndpoint ends in v1.0, deploy with \
                 GraphEndpoint=https://graph.microsoft.com/beta"
            }
            GraphErrorKind::Conflict => "Microsoft Graph already has a subscription for this policy",
            GraphErrorKind::HandshakeFailed => {
                "Microsoft Graph asked the notification address to prove itself, and it did not answer as it should or not in time"
            }
            GraphErrorKind::Forbidden => {
                "Microsoft Graph forbids it: check that the app has CallEvents-Emergency.Read.All with admin consent"
            }
            GraphErrorKind::Unauthorized => "Microsoft Graph does not accept the access token",
            GraphErrorKind::Throttled => "Microsoft Graph gets too many requests",
            GraphErrorKind::Unavailable => "Microsoft Graph is not available",
            GraphErrorKind::Invalid => "Microsoft Graph does not accept the request",
            GraphErrorKind::Unexpected => "Microsoft Graph gave an unexpected answer",
            GraphErrorKind::Transport => "Microsoft Graph did not answer",
        };
        f.write_str(what)?;
        let mut details = Vec::new();
        details.extend(self.status.map(|status| format!("status {status}")));
        details.extend(self.code.clone());
        details.extend(Some(self.message.clone()).filter(|message| !message.is_empty()));
        details.extend(self.request_id.as_ref().map(|id| format!("request-id {id}")));
        if details.is_empty() { Ok(()) } else { write!(f, " ({})", details.join("; ")) }
    }
}

impl std::error::Error for GraphError {}

#[cfg(test)]
mod tests {
    use reqwest::StatusCode;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: None,
            request_id: Some("from-header".to_owned()),
            body: body.as_bytes().to_vec(),
        }
    }

    fn error(status: u16, code: &str, message: &str) -> GraphError {
        let body = serde_json::json!({"error": {"code": code, "message": message, "innerError": {"request-id": "r1"}}});
        GraphError::from_answer(&answer(status, &body.to_string()), &["hunter2"])
    }

    #[test]
    fn each_answer_is_of_its_kind() {
        use GraphErrorKind::{
            Conflict, Forbidden, HandshakeFailed, Invalid, NotFound, Throttled, Unauthorized, Unavailable, Unexpected,
        };
        for (status, code, message, kind, retryable) in [
            (400, "InvalidRequest", "Subscription validation request timed out.", HandshakeFailed, true),
            (
                400,
                "ValidationError",
                "Notification endpoint must respond with 200 OK to validation request.",
                HandshakeFailed,
                true,
            ),
            (400, "ValidationError", "Certificate validation error: Cannot find the requested object.", Invalid, false),
            (400, "InvalidRequest", "Expiration is too far in the future.", Invalid, false),
            (
                401,
                "InvalidAuthenticationToken",
                "Lifetime validation failed, the token is expired.",
                Unauthorized,
                false,
            ),
            (403, "Forbidden", "", Forbidden, false),
            (404, "ResourceNotFound", "", NotFound, false),
            (409, "Conflict", "", Conflict, false),
            (429, "TooManyRequests", "", Throttled, true),
            (500, "InternalServerError", "", Unavailable, true),
            (503, "serviceNotAvailable", "", Unavailable, true),
            (504, "", "", Unavailable, true),
            (302, "", "", Unexpected, false),
            (
                500,
                "ExtensionError",
                "Operation: Create; Exception: [Status Code: Conflict; Reason: must be deleted]",
                Conflict,
                false,
            ),
            (
                401,
                "ExtensionError",
                "Operation: Update; Exception: [Status Code: NotFound; Reason: x]",
                NotFound,
                false,
            ),
            (403, "ExtensionError", "Operation: Create; Exception: [Status Code: 503; Reason: x]", Unavailable, true),
            (403, "ExtensionError", "Operation: Create; Exception: [Status Code: ; Reason: x]", Forbidden, false),
            (400, "ExtensionError", "There was an error processing a storage extension.", Invalid, false),
        ] {
            let error = error(status, code, message);
            assert_eq!((error.kind, error.is_retryable()), (kind, retryable), "{status} {code} {message}");
        }
    }

    #[test]
    fn a_conflict_names_what_is_in_the_way() {
        let id = "0b1f6a2e-3c4d-4e5f-8a9b-0c1d2e3f4a5b";
        for message in [
            format!("Subscription Id {id} already exists for the requested combination"),
            format!("Operation: Create; Exception: [Status Code: Conflict; Reason: Subscription {id} must be deleted]"),
        ] {
            assert_eq!(error(409, "Conflict", &message).conflicting_id(), Some(id.parse().unwrap()), "{message}");
            assert_eq!(error(400, "InvalidRequest", &message).conflicting_id(), None);
        }
        let nameless = "Subscription Id <> already exists for the requested combination";
        assert_eq!(error(409, "Conflict", nameless).conflicting_id(), None);
    }

    #[test]
    fn an_odd_member_costs_that_member() {
        let said = |body: &str| GraphError::from_answer(&answer(409, body), &[]);
        let request_id = said(r#"{"error":{"code":7,"message":{"x":1},"innerError":{"request-id":"r2"}}}"#);
        assert_eq!((request_id.code.as_deref(), request_id.request_id.as_deref()), (None, Some("r2")));
        let code = said(r#"{"error":{"code":"Conflict","message":"as said","innerError":"x"}}"#);
        assert_eq!((code.code.as_deref(), code.message.as_str()), (Some("Conflict"), "as said"));
        assert_eq!(code.request_id.as_deref(), Some("from-header"));
        assert_eq!(said(r#"{"error":"as said"}"#).message, "as said");
        let lower = said(r#"{"error":{"innererror":{"request-id":"r3"}}}"#);
        assert_eq!(lower.request_id.as_deref(), Some("r3"));
    }

    #[test]
    fn a_version_that_lacks_the_resource_is_told_from_all_else() {
        for (status, code, message) in [
            (400, "BadRequest", "Resource not found for the segment 'getEmergencyEventsByPolicy'."),
            (404, "ResourceNotFound", "Resource not found for the segment 'calls'."),
            (400, "BadRequest", "Could not find a function named 'getEmergencyEventsByPolicy'."),
            (
                400,
                "ExtensionError",
                "Operation: Create; Exception: [Status Code: BadRequest; Reason: Unsupported resource path 'communications/calls']",
            ),
        ] {
            let error = error(status, code, message);
            assert!(matches!(error.kind, GraphErrorKind::NotFound | GraphErrorKind::Invalid), "only of creations");
            let error = error.of_creation();
            assert_eq!(error.kind, GraphErrorKind::UnknownResource, "{message}");
            let sentence = error.to_string();
            assert!(sentence.contains("GraphEndpoint=https://graph.microsoft.com/beta"), "{sentence}");
            assert!(!error.is_retryable() && !error.is_ambiguous());
        }
        for (status, code, message) in [
            (404, "ResourceNotFound", "The policy 'Global' was not found."),
            (400, "InvalidRequest", "Subscription must contain either the 'expirationDateTime' property."),
            (400, "InvalidRequest", "Certificate validation error: Cannot find the requested object."),
            (403, "Forbidden", "Resource not found for the segment 'x'."),
            (409, "Conflict", "Resource not found for the segment 'x'."),
            (404, "", ""),
        ] {
            assert_ne!(error(status, code, message).of_creation().kind, GraphErrorKind::UnknownResource, "{message}");
        }
    }

    #[test]
    fn it_keeps_what_support_asks_for_and_no_secret() {
        let error = error(400, "InvalidRequest", "clientState 'hunter2' is bad");
        assert_eq!(error.request_id.as_deref(), Some("r1"));
        let text = format!("{error} {error:?}");
        assert!(text.contains("InvalidRequest") && text.contains("r1") && !text.contains("hunter2"), "{text}");
    }

    #[test]
    fn an_answer_that_is_no_error_envelope_is_still_one() {
        for body in ["", "<html>", "{}", "{\"error\":\"x\"}"] {
            let error = GraphError::from_answer(&answer(503, body), &[]);
            assert_eq!((error.kind, error.request_id.as_deref()), (GraphErrorKind::Unavailable, Some("from-header")));
        }
    }

    #[test]
    fn without_a_clear_answer_the_request_may_have_been_carried_out() {
        assert!(GraphError::transport("x".to_owned()).is_ambiguous() && error(504, "", "").is_ambiguous());
        assert!(!error(400, "", "").is_ambiguous() && !error(409, "", "").is_ambiguous());
    }
}

//! API Gateway's request and answer: HTTP API, payload format 2.0.
//!
//! Only the members that count are read. A larger type would refuse requests over members that nobody looks at, and
//! the body's base64 must be able to fail with status 400.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use graph_notifications::handshake::{self, SuspiciousToken};
use serde::{Deserialize, Serialize};

/// A request, as API Gateway hands it to the function.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Request {
    #[serde(default)]
    raw_query_string: String,
    #[serde(default)]
    body: Option<String>,
    #[serde(default)]
    is_base64_encoded: bool,
    #[serde(rename = "requestContext")]
    context: RequestContext,
}

#[derive(Debug, Clone, Deserialize)]
struct RequestContext {
    http: Http,
}

#[derive(Debug, Clone, Deserialize)]
struct Http {
    method: String,
}

/// What a request asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Purpose {
    /// Graph tests the URL: answer with this token.
    Handshake(Result<String, SuspiciousToken>),
    /// Graph delivers notifications: this is the body.
    Delivery(Vec<u8>),
    /// Nothing that is served here.
    Unserved,
}

impl Request {
    /// What the request asks for.
    #[must_use]
    pub fn purpose(self) -> Purpose {
        if self.context.http.method != "POST" {
            return Purpose::Unserved;
        }
        if let Some(token) = handshake::token_in_query(&self.raw_query_string) {
            return Purpose::Handshake(token);
        }
        let body = self.body.unwrap_or_default();
        if !self.is_base64_encoded {
            return Purpose::Delivery(body.into_bytes());
        }
        BASE64_STANDARD.decode(body).map_or(Purpose::Unserved, Purpose::Delivery)
    }
}

/// An answer, as API Gateway takes it from the function.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Response {
    /// The HTTP status.
    pub status_code: u16,
    /// Headers: names in lower case.
    pub headers: std::collections::BTreeMap<&'static str, &'static str>,
    /// The body.
    pub body: String,
    /// Always false.
    pub is_base64_encoded: bool,
}

impl Response {
    /// Status 202: everything in the request is settled, whichever way.
    #[must_use]
    pub fn accepted() -> Self {
        Self::empty(202)
    }

    /// Status 400: the request is neither a handshake nor a delivery.
    #[must_use]
    pub fn bad_request() -> Self {
        Self::empty(400)
    }

    /// Status 503: something in the request could not be handed over; Graph is to try again.
    #[must_use]
    pub fn unavailable() -> Self {
        Self::empty(503)
    }

    /// The answer to a handshake.
    #[must_use]
    pub fn handshake(token: String) -> Self {
        let headers = handshake::ANSWER_HEADERS.into_iter().collect();
        Self { status_code: 200, headers, body: token, is_base64_encoded: false }
    }

    fn empty(status_code: u16) -> Self {
        Self {
            status_code,
            headers: [("cache-control", "no-store")].into(),
            body: String::new(),
            is_base64_encoded: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn purpose(event: Value) -> Purpose {
        serde_json::from_value::<Request>(event).unwrap().purpose()
    }

    fn post(mut event: Value) -> Value {
        event["requestContext"] = json!({"http": {"method": "POST", "path": "/notifications"}, "stage": "$default"});
        event
    }

    #[test]
    fn a_validation_token_makes_a_handshake() {
        let query = |query: &str| purpose(post(json!({"rawQueryString": query, "body": "{}"})));
        assert_eq!(query("validationToken=a%3a+b"), Purpose::Handshake(Ok("a: b".into())));
        assert_eq!(query("validationToken=%3Cb%3E"), Purpose::Handshake(Err(SuspiciousToken)));
    }

    #[test]
    fn a_body_is_a_delivery_in_either_encoding() {
        let body = Purpose::Delivery(b"{\"value\":[]}".to_vec());
        assert_eq!(purpose(post(json!({"body": "{\"value\":[]}", "isBase64Encoded": false}))), body);
        assert_eq!(purpose(post(json!({"body": "eyJ2YWx1ZSI6W119", "isBase64Encoded": true}))), body);
        assert_eq!(purpose(post(json!({}))), Purpose::Delivery(Vec::new()));
    }

    #[test]
    fn the_rest_is_not_served() {
        assert_eq!(purpose(post(json!({"body": "*", "isBase64Encoded": true}))), Purpose::Unserved);
        for method in ["GET", "HEAD", "PUT", "post"] {
            let event = json!({"rawQueryString": "validationToken=a", "requestContext": {"http": {"method": method}}});
            assert_eq!(purpose(event), Purpose::Unserved, "{method}");
        }
    }

    #[test]
    fn an_answer_has_the_shape_that_the_gateway_wants() {
        let answer = serde_json::to_value(Response::handshake("a: b".into())).unwrap();
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(200), &json!("a: b")));
        assert_eq!(answer["headers"]["content-type"], "text/plain; charset=utf-8");
        assert_eq!(answer["headers"]["x-content-type-options"], "nosniff");
        for (response, status) in
            [(Response::accepted(), 202), (Response::bad_request(), 400), (Response::unavailable(), 503)]
        {
            assert_eq!((response.status_code, response.body.as_str()), (status, ""));
        }
    }
}

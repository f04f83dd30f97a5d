//! Errors of Entra's endpoints, with their AADSTS numbers.

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

/// An error of the token endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EntraError {
    pub(crate) status: u16,
    pub(crate) error: String,
    /// The AADSTS number; 0 for an error without one.
    pub(crate) code: u32,
    pub(crate) message: String,
}

impl EntraError {
    pub(crate) fn new(status: u16, error: &str, code: u32, message: impl Into<String>) -> Self {
        Self { status, error: error.to_owned(), code, message: message.into() }
    }

    /// The credential is not accepted.
    pub(crate) fn refused(code: u32, message: impl Into<String>) -> Self {
        Self::new(401, "invalid_client", code, message)
    }

    /// The client assertion is not what it should be.
    pub(crate) fn malformed(message: &str) -> Self {
        Self::new(400, "invalid_request", 50_027, format!("JWT token is invalid or malformed. {message}"))
    }

    pub(crate) fn missing(parameter: &str) -> Self {
        Self::new(
            400,
            "invalid_request",
            900_144,
            format!("The request body must contain the following parameter: '{parameter}'."),
        )
    }

    pub(crate) fn respond(&self, now: Timestamp) -> Response {
        let (trace, correlation) = (Uuid::new_v4(), Uuid::new_v4());
        let timestamp = now.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
        let description = if self.code == 0 {
            self.message.clone()
        } else {
            format!(
                "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {timestamp}",
                self.code, self.message
            )
        };
        let body = json!({
            "error": self.error,
            "error_description": description,
            "error_codes": [self.code],
            "timestamp": timestamp,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
        });
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        (status, Json(body)).into_response()
    }
}

//! The HTTP client that all calls share, and what bounds every answer.

use std::time::Duration;

use reqwest::{Client, Response, StatusCode, redirect::Policy};

pub use crate::operator_text::transport_text;

/// The largest answer that is read, in bytes: many times what a full page of subscriptions takes.
const LARGEST_ANSWER: usize = 4 * 1024 * 1024;

/// How long a call may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For the connection with its TLS handshake.
    pub connect: Duration,
    /// For the whole call, the connection and the answer's body included.
    pub total: Duration,
}

impl Timeouts {
    /// For a caller with minutes. Before Graph answers to a new subscription it asks both notification addresses, and
    /// gives each 10 seconds.
    pub const PATIENT: Self = Self { connect: Duration::from_secs(5), total: Duration::from_secs(40) };
}

/// No client can be built: the system's certificates cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("no HTTP client can be built: {0}")]
pub struct ClientError(String);

/// Builds the client: TLS by `ring`, the system's root certificates, no redirects (a token or a secret goes to the
/// address that was configured and nowhere else), and a timeout for every call.
///
/// # Errors
/// If the system's certificates cannot be read.
pub fn client(timeouts: Timeouts) -> Result<Client, ClientError> {
    // Fails where the process already has a provider, which does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .connect_timeout(timeouts.connect)
        .timeout(timeouts.total)
        .redirect(Policy::none())
        // A function that was frozen between two runs wakes up with connections that the other side closed long ago.
        .pool_idle_timeout(Duration::from_secs(20))
        .user_agent(concat!("teams-emergency-alerts/", env!("CARGO_PKG_VERSION")))
        .build()
        .map_err(|error| ClientError(transport_text(error)))
}

/// An answer that was read to its end.
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    /// From the header `Retry-After`, where it gives seconds, as Microsoft's services do.
    pub(crate) retry_after: Option<Duration>,
    /// From the header `request-id`.
    pub(crate) request_id: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// Reads the whole answer.
///
/// # Errors
/// With a text for the operator, if the connection breaks, time runs out, or the answer is larger than anything expected.
pub(crate) async fn read(sent: Result<Response, reqwest::Error>) -> Result<Answer, String> {
    let mut response = sent.map_err(transport_text)?;
    let header = |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok());
    let retry_after = header("retry-after").and_then(|value| value.trim().parse().ok()).map(Duration::from_secs);
    let request_id = header("request-id").map(|id| id.chars().take(64).collect());
    let status = response.status();
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(transport_text)? {
        if body.len() + chunk.len() > LARGEST_ANSWER {
            return Err(format!("the answer is larger than {LARGEST_ANSWER} bytes"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { status, retry_after, request_id, body })
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode as Code, response::Redirect, routing::get};

    use super::*;
    use crate::testing::{client, serve};

    #[tokio::test]
    async fn a_redirect_is_not_followed() {
        let routes = Router::new()
            .route("/from", get(async || Redirect::temporary("/to")))
            .route("/to", get(async || "secret place"));
        let address = serve(routes).await;
        let answer = read(client().get(format!("{address}/from")).send().await).await.unwrap();
        assert_eq!(answer.status, Code::TEMPORARY_REDIRECT);
    }

    #[tokio::test]
    async fn an_answer_without_end_is_cut_off() {
        let address = serve(Router::new().route("/", get(async || vec![b'x'; LARGEST_ANSWER + 1]))).await;
        let error = read(client().get(address).send().await).await.map(|_| ()).unwrap_err();
        assert!(error.contains("larger"), "{error}");
    }

    #[tokio::test]
    async fn a_call_that_is_not_answered_ends() {
        let address = serve(Router::new().route("/", get(std::future::pending::<String>))).await;
        let hasty = super::client(Timeouts { total: Duration::from_millis(50), ..Timeouts::PATIENT }).unwrap();
        let error = read(hasty.get(&address).send().await).await.map(|_| ()).unwrap_err();
        assert!(error.contains("timed out") && !error.contains(&address), "{error}");
    }

    #[tokio::test]
    async fn the_wait_that_is_asked_for_is_read() {
        let routes = Router::new().route("/", get(async || (Code::TOO_MANY_REQUESTS, [("retry-after", "17")], "")));
        let answer = read(client().get(serve(routes).await).send().await).await.unwrap();
        assert_eq!(answer.retry_after, Some(Duration::from_secs(17)));
    }
}

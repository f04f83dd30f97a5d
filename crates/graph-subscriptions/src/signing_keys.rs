//! The keys with which Entra signs validation tokens.

use graph_notifications::{SigningKeys, TenantId};
use jiff::Timestamp;
use reqwest::Client;

use crate::{endpoints::LoginEndpoint, http::read};

/// Which of Entra's token formats the keys are for. The documents overlap, but neither promises to hold the other's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenVersion {
    /// Tokens issued by `https://sts.windows.net/{tenant}/`.
    V1,
    /// Tokens issued by `{LoginEndpoint}/{tenant}/v2.0`.
    V2,
}

impl TokenVersion {
    /// Both, since which one an app is sent depends on its registration.
    pub const ALL: [Self; 2] = [Self::V2, Self::V1];
}

/// The keys could not be fetched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SigningKeysError {
    /// No answer in time, or none that could be read to its end.
    #[error("Microsoft Entra's signing keys cannot be fetched: {0}")]
    Transport(String),
    /// An answer other than 200.
    #[error("Microsoft Entra answered {0} when asked for its signing keys")]
    Status(u16),
    /// 200 with something else in it.
    #[error("what Microsoft Entra sent as its signing keys holds none")]
    Unreadable,
}

impl SigningKeysError {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Transport(_) => true,
            Self::Status(status) => *status == 429 || *status >= 500,
            Self::Unreadable => false,
        }
    }
}

/// Fetches the signing keys that hold for a tenant, once. The client's timeout bounds how long it takes.
///
/// `now` becomes the set's `fetched_at`.
///
/// # Errors
/// If they cannot be had, or the document holds no usable key.
pub async fn fetch(
    client: &Client,
    login: &LoginEndpoint,
    tenant: TenantId,
    version: TokenVersion,
    now: Timestamp,
) -> Result<SigningKeys, SigningKeysError> {
    let path = match version {
        TokenVersion::V1 => "discovery/keys",
        TokenVersion::V2 => "discovery/v2.0/keys",
    };
    let answer = read(client.get(login.url(tenant, path)).send().await).await.map_err(SigningKeysError::Transport)?;
    if answer.status.as_u16() != 200 {
        return Err(SigningKeysError::Status(answer.status.as_u16()));
    }
    SigningKeys::from_jwks(&answer.body, now).map_err(|_| SigningKeysError::Unreadable)
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode, routing::get};

    use super::*;
    use crate::{
        endpoints::AllowedHosts,
        testing::{NOW, TENANT, client, serve},
    };

    async fn fetched(routes: Router, version: TokenVersion) -> Result<SigningKeys, SigningKeysError> {
        let login = LoginEndpoint::parse(&serve(routes).await, AllowedHosts::Published).unwrap();
        fetch(&client(), &login, TENANT.parse().unwrap(), version, NOW).await
    }

    fn keys(kid: &str) -> String {
        format!(r#"{{"keys":[{{"kty":"RSA","use":"sig","kid":"{kid}","n":"xw","e":"AQAB"}}]}}"#)
    }

    #[tokio::test]
    async fn each_version_has_its_document() {
        let routes = Router::new()
            .route(&format!("/{TENANT}/discovery/keys"), get(async || keys("one")))
            .route(&format!("/{TENANT}/discovery/v2.0/keys"), get(async || keys("two")));
        for (version, kid) in [(TokenVersion::V1, "one"), (TokenVersion::V2, "two")] {
            let fetched = fetched(routes.clone(), version).await.unwrap();
            assert_eq!((fetched.keys[0].kid.as_str(), fetched.fetched_at), (kid, NOW));
        }
    }

    #[tokio::test]
    async fn an_error_says_whether_to_try_again() {
        let route = format!("/{TENANT}/discovery/v2.0/keys");
        let down = Router::new().route(&route, get(async || StatusCode::SERVICE_UNAVAILABLE));
        let error = fetched(down, TokenVersion::V2).await.unwrap_err();
        assert!(error == SigningKeysError::Status(503) && error.is_retryable());
        let error = fetched(Router::new(), TokenVersion::V2).await.unwrap_err();
        assert!(error == SigningKeysError::Status(404) && !error.is_retryable());
        let page = Router::new().route(&route, get(async || "<html>"));
        let error = fetched(page, TokenVersion::V2).await.unwrap_err();
        assert!(error == SigningKeysError::Unreadable && !error.is_retryable());
        // Port 1 of the loopback interface: nothing listens there.
        let nobody = LoginEndpoint::parse("http://127.0.0.1:1", AllowedHosts::Published).unwrap();
        let error = fetch(&client(), &nobody, TENANT.parse().unwrap(), TokenVersion::V1, NOW).await.unwrap_err();
        assert!(matches!(&error, SigningKeysError::Transport(_)) && error.is_retryable());
    }
}

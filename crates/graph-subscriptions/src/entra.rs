//! An access token for the app itself, from Microsoft Entra: the OAuth 2.0 client credentials flow.

use std::{fmt, time::Duration};

use graph_notifications::{ClientId, TenantId};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::Deserialize;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::{endpoints::LoginEndpoint, http::read, operator_text::operator_text};

/// What proves to Entra that it is the app that asks. It is cleared from memory when dropped, and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
#[non_exhaustive]
pub enum Credential {
    /// A client secret of the app registration: its value, not its ID.
    ClientSecret(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ClientSecret(_) => f.write_str("ClientSecret(..)"),
        }
    }
}

/// A bearer token for Graph in one tenant. It is cleared from memory when dropped, and never printed.
#[derive(Clone)]
pub struct AccessToken {
    tenant: TenantId,
    text: Zeroizing<String>,
    obtained_at: Timestamp,
    expires_at: Timestamp,
}

impl AccessToken {
    /// A token as Entra gave it out. `obtained_at` is when it was asked for, so that its age is never understated.
    #[must_use]
    pub fn new(tenant: TenantId, text: String, obtained_at: Timestamp, expires_at: Timestamp) -> Self {
        Self { tenant, text: Zeroizing::new(text), obtained_at, expires_at }
    }

    /// The tenant in which it is good.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// When it was asked for.
    #[must_use]
    pub fn obtained_at(&self) -> Timestamp {
        self.obtained_at
    }

    /// When it ends, as Entra said.
    #[must_use]
    pub fn expires_at(&self) -> Timestamp {
        self.expires_at
    }

    /// The token's text: for the header `Authorization`, and nothing else.
    pub(crate) fn expose(&self) -> &str {
        &self.text
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken")
            .field("tenant", &self.tenant)
            .field("obtained_at", &self.obtained_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

/// Entra gave no token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenError {
    /// The HTTP status; `None` if there was no answer.
    pub status: Option<u16>,
    /// Entra's own error numbers (`7000215` for AADSTS7000215): hints, since Microsoft changes them.
    pub codes: Vec<u32>,
    /// What Entra or the network said, of bounded length and without the secret.
    pub message: String,
    /// How long Entra asks to wait.
    pub retry_after: Option<Duration>,
}

/// Error numbers that Microsoft documents as passing, although the status is that of a refusal.
const PASSING: [u32; 4] = [50_196, 90_006, 90_033, 70_021];

impl TokenError {
    /// Whether the same request may succeed a moment later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.status {
            None => true,
            Some(status) => status == 429 || status >= 500 || self.codes.iter().any(|code| PASSING.contains(code)),
        }
    }

    /// What an operator can do about it, where the error number tells.
    #[must_use]
    pub fn advice(&self) -> Option<&'static str> {
        self.codes.iter().find_map(|code| advice(*code))
    }
}

fn advice(code: u32) -> Option<&'static str> {
    Some(match code {
        700_016 => {
            "ClientId is unknown in this tenant: check ClientId and TenantId, and that the tenant's administrator consented"
        }
        7_000_112 => "the application is disabled in this tenant",
        90_002 => "TenantId is unknown to Microsoft Entra: check it, and LoginEndpoint if this is a national cloud",
        90_038 | 900_382 | 900_432 => "this tenant is in another cloud: check LoginEndpoint and GraphEndpoint",
        7_000_215 => "ClientSecret is wrong: it must be the secret's value, not its ID",
        7_000_222 => "ClientSecret has expired: add a new one to the app registration and deploy it",
        70_011 | 700_022 | 1_002_012 | 500_011 => "the scope is not accepted: check GraphEndpoint",
        65_001 => "an administrator must consent to the app's permissions",
        53_003 | 530_032 => "a Conditional Access policy of the tenant blocks the app",
        _ => return None,
    })
}

impl fmt::Display for TokenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Microsoft Entra gave no access token")?;
        if let Some(advice) = self.advice() {
            write!(f, ": {advice}")?;
        }
        match self.status {
            Some(status) => write!(f, " (status {status}: {})", self.message),
            None => write!(f, " ({})", self.message),
        }
    }
}

impl std::error::Error for TokenError {}

/// Asks for a token for the app, once. `scope` is [`GraphEndpoint::token_scope`](crate::GraphEndpoint::token_scope).
///
/// # Errors
/// If Entra gives none; the error says whether it may give one a moment later.
pub async fn token(
    client: &Client,
    login: &LoginEndpoint,
    tenant: TenantId,
    app: ClientId,
    credential: &Credential,
    scope: &str,
    now: Timestamp,
) -> Result<AccessToken, TokenError> {
    let Credential::ClientSecret(secret) = credential;
    let app = app.to_string();
    let form = [
        ("grant_type", "client_credentials"),
        ("client_id", app.as_str()),
        ("client_secret", secret.as_str()),
        ("scope", scope),
    ];
    let sent = client.post(login.url(tenant, "oauth2/v2.0/token")).form(&form).send().await;
    let mut answer = read(sent).await.map_err(|message| TokenError {
        status: None,
        codes: Vec::new(),
        message,
        retry_after: None,
    })?;
    let status = answer.status.as_u16();
    let refused = |codes, message: &str| TokenError {
        status: Some(status),
        codes,
        message: operator_text(message, &[secret]),
        retry_after: answer.retry_after,
    };
    let given = match status {
        200 => {
            serde_json::from_slice::<Given>(&answer.body).map_err(|_| refused(Vec::new(), "the answer holds no token"))
        }
        _ => Err(match serde_json::from_slice::<Refusal>(&answer.body) {
            Ok(refusal) => refused(refusal.error_codes, &refusal.error_description),
            Err(_) => refused(Vec::new(), "the answer gives no reason"),
        }),
    };
    answer.body.zeroize();
    let given = given?;
    let lifetime = SignedDuration::from_secs(given.expires_in.clamp(0, 7 * 86_400));
    Ok(AccessToken::new(tenant, given.access_token, now, now + lifetime))
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    expires_in: i64,
}

#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error_description: String,
    #[serde(default)]
    error_codes: Vec<u32>,
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::{Form, Router, http::StatusCode, routing::post};

    use super::*;
    use crate::testing::{NOW, TENANT, client, serve};

    const APP: &str = "99999999-8888-7777-6666-555555555555";

    async fn asked(routes: Router) -> Result<AccessToken, TokenError> {
        let login = LoginEndpoint::parse(&serve(routes).await).unwrap();
        let credential = Credential::ClientSecret("hunter2 & more".to_owned());
        let scope = "https://graph.microsoft.com/.default";
        token(&client(), &login, TENANT.parse().unwrap(), APP.parse().unwrap(), &credential, scope, NOW).await
    }

    fn answering(status: u16, body: &'static str) -> Router {
        let status = StatusCode::from_u16(status).unwrap();
        Router::new().route(&format!("/{TENANT}/oauth2/v2.0/token"), post(async move || (status, body)))
    }

    #[tokio::test]
    async fn the_form_is_that_of_the_client_credentials_flow() {
        let route = format!("/{TENANT}/oauth2/v2.0/token");
        let answer = async |Form(form): Form<HashMap<String, String>>| {
            let expected = [
                ("grant_type", "client_credentials"),
                ("client_id", APP),
                ("client_secret", "hunter2 & more"),
                ("scope", "https://graph.microsoft.com/.default"),
            ];
            assert_eq!(form, expected.map(|(name, value)| (name.to_owned(), value.to_owned())).into());
            r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"abc"}"#
        };
        let token = asked(Router::new().route(&route, post(answer))).await.unwrap();
        assert_eq!((token.expose(), token.obtained_at()), ("abc", NOW));
        assert_eq!(token.expires_at(), NOW + SignedDuration::from_secs(3599));
        assert_eq!(token.tenant().to_string(), TENANT);
    }

    #[tokio::test]
    async fn a_refusal_keeps_its_numbers_and_not_the_secret() {
        let body = r#"{"error":"invalid_client","error_description":"AADSTS7000215: Invalid client secret 'hunter2 & more' provided.\r\nTrace ID: x","error_codes":[7000215]}"#;
        let error = asked(answering(401, body)).await.unwrap_err();
        assert_eq!((error.status, error.codes.as_slice()), (Some(401), &[7_000_215][..]));
        assert!(!error.is_retryable());
        let text = format!("{error} {error:?}");
        assert!(text.contains("value, not its ID") && text.contains("Trace ID") && !text.contains("hunter2"), "{text}");
    }

    #[tokio::test]
    async fn what_may_pass_is_worth_another_attempt() {
        for (status, body, retryable) in [
            (503, "", true),
            (429, "{}", true),
            (400, r#"{"error_codes":[90033],"error_description":"A transient error has occurred."}"#, true),
            (400, r#"{"error_codes":[90002],"error_description":"Tenant not found."}"#, false),
            (200, "{}", false),
            (404, "<html>", false),
        ] {
            let error = asked(answering(status, body)).await.unwrap_err();
            assert_eq!(error.is_retryable(), retryable, "{status} {body}");
        }
    }

    #[test]
    fn neither_token_nor_secret_is_printed() {
        let token = crate::testing::token();
        assert!(!format!("{token:?}").contains("the-token"));
        assert!(!format!("{:?}", Credential::ClientSecret("hunter2".to_owned())).contains("hunter2"));
    }
}

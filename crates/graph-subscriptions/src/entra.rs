//! An access token for the app itself, from Microsoft Entra: the OAuth 2.0 client credentials flow.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use graph_notifications::{ClientId, TenantId};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    assertion, credential::Credential, endpoints::LoginEndpoint, http::read, operator_text::operator_text,
    token_error::TokenError,
};

/// What a client assertion is, for the form: the same for an app's own and for another issuer's.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// How long a token counts as good if Entra does not say: it is used at once.
const SHORT_LIFE: SignedDuration = SignedDuration::from_mins(5);

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

    /// The application permissions that it grants, from its claim `roles`; `None` if the token cannot be read, since Graph's
    /// tokens are Graph's to read.
    ///
    /// A hint, and not verified: Entra gives out a token without a permission that lacks consent, and only Graph refuses.
    #[must_use]
    pub fn roles(&self) -> Option<Vec<String>> {
        let claims = Zeroizing::new(BASE64_URL_SAFE_NO_PAD.decode(self.text.split('.').nth(1)?).ok()?);
        serde_json::from_slice::<Claims>(&claims).ok().map(|claims| claims.roles)
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
    let url = login.url(tenant, "oauth2/v2.0/token");
    let no_answer = |message| TokenError { status: None, codes: Vec::new(), message, retry_after: None };
    let (name, proof) = match credential {
        Credential::ClientSecret(secret) => ("client_secret", Zeroizing::new(secret.clone())),
        Credential::Certificate(certificate) => {
            let signed = assertion::sign(certificate, app, &url, Uuid::new_v4(), now);
            let unsigned = |_| no_answer("the client assertion cannot be signed".to_owned());
            ("client_assertion", signed.map_err(unsigned)?)
        }
        Credential::Federated(token) => ("client_assertion", Zeroizing::new(token.clone())),
    };
    let app = app.to_string();
    let mut form = vec![
        ("grant_type", "client_credentials"),
        ("client_id", app.as_str()),
        ("scope", scope),
        (name, proof.as_str()),
    ];
    let mut secrets = vec![proof.as_str()];
    if name == "client_assertion" {
        form.push(("client_assertion_type", JWT_BEARER));
        // Without its signature an assertion proves nothing.
        secrets.extend(proof.rsplit_once('.').map(|(_, signature)| signature));
    }
    let sent = client.post(url).form(&form).send().await;
    let mut answer = read(sent).await.map_err(no_answer)?;
    let status = answer.status.as_u16();
    let refused = |codes, message: &str| TokenError {
        status: Some(status),
        codes,
        message: operator_text(message, &secrets),
        retry_after: answer.retry_after,
    };
    let given = match status {
        200 => {
            serde_json::from_slice::<Given>(&answer.body).map_err(|_| refused(Vec::new(), "the answer holds no token"))
        }
        _ => Err(match serde_json::from_slice::<Refusal>(&answer.body) {
            Ok(refusal) => refused(refusal.codes(), refusal.description()),
            Err(_) => refused(Vec::new(), "the answer gives no reason"),
        }),
    };
    answer.body.zeroize();
    let given = given?;
    let seconds = given.expires_in.as_ref().and_then(whole);
    let lifetime = seconds.map_or(SHORT_LIFE, |seconds| SignedDuration::from_secs(seconds.clamp(0, 7 * 86_400)));
    Ok(AccessToken::new(tenant, given.access_token, now, now + lifetime))
}

/// A whole number, which has been seen as text, too.
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

#[derive(Deserialize)]
struct Given {
    access_token: String,
    #[serde(default)]
    expires_in: Option<Value>,
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    roles: Vec<String>,
}

/// Entra's reasons, member by member: one of another kind than usual costs that one.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    error: Value,
    #[serde(default)]
    error_description: Value,
    #[serde(default)]
    error_codes: Value,
}

impl Refusal {
    fn codes(&self) -> Vec<u32> {
        let one = std::slice::from_ref(&self.error_codes);
        let all = self.error_codes.as_array().map_or(one, Vec::as_slice);
        all.iter().filter_map(|code| u32::try_from(whole(code)?).ok()).collect()
    }

    fn description(&self) -> &str {
        self.error_description.as_str().or(self.error.as_str()).unwrap_or("the answer gives no reason")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use axum::{
        Form, Router,
        http::{HeaderMap, StatusCode, Uri},
        routing::post,
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        endpoints::AllowedHosts,
        testing::{NOW, TENANT, client, client_certificate, serve},
    };

    const APP: &str = "99999999-8888-7777-6666-555555555555";

    const SCOPE: &str = "https://graph.microsoft.com/.default";

    async fn asked_with(credential: Credential, routes: Router) -> Result<AccessToken, TokenError> {
        let login = LoginEndpoint::parse(&serve(routes).await, AllowedHosts::Published).unwrap();
        token(&client(), &login, TENANT.parse().unwrap(), APP.parse().unwrap(), &credential, SCOPE, NOW).await
    }

    async fn asked(routes: Router) -> Result<AccessToken, TokenError> {
        asked_with(Credential::ClientSecret("hunter2 & more".to_owned()), routes).await
    }

    fn route() -> String {
        format!("/{TENANT}/oauth2/v2.0/token")
    }

    fn answering(status: u16, body: &'static str) -> Router {
        let status = StatusCode::from_u16(status).unwrap();
        Router::new().route(&route(), post(async move || (status, body)))
    }

    /// Refuses, and repeats all that it was sent.
    fn repeating() -> Router {
        let answer = async |Form(form): Form<HashMap<String, String>>| {
            let said = form.values().map(String::as_str).collect::<Vec<_>>().join(" ");
            let signatures = form.values().filter_map(|value| value.rsplit_once('.')).map(|(_, last)| last);
            let signatures = signatures.collect::<Vec<_>>().join(" ");
            let body = json!({"error_description": format!("Bad: {signatures} {said}"), "error_codes": [700_027]});
            (StatusCode::UNAUTHORIZED, body.to_string())
        };
        Router::new().route(&route(), post(answer))
    }

    async fn form_of(credential: Credential) -> HashMap<String, String> {
        let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
        let answer = async move |Form(form): Form<HashMap<String, String>>| {
            sender.send(form).unwrap();
            r#"{"token_type":"Bearer","expires_in":3599,"ext_expires_in":3599,"access_token":"abc"}"#
        };
        let token = asked_with(credential, Router::new().route(&route(), post(answer))).await.unwrap();
        assert_eq!((token.expose(), token.obtained_at()), ("abc", NOW));
        assert_eq!(token.expires_at(), NOW + SignedDuration::from_secs(3599));
        assert_eq!(token.tenant().to_string(), TENANT);
        receiver.recv().await.unwrap()
    }

    fn form(own: &[(&str, &str)]) -> HashMap<String, String> {
        let shared = [("grant_type", "client_credentials"), ("client_id", APP), ("scope", SCOPE)];
        shared.iter().chain(own).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[tokio::test]
    async fn a_secret_is_sent_as_it_is() {
        let sent = form_of(Credential::ClientSecret("hunter2 & more".to_owned())).await;
        assert_eq!(sent, form(&[("client_secret", "hunter2 & more")]));
    }

    #[tokio::test]
    async fn a_federated_token_is_the_assertion() {
        let sent = form_of(Credential::Federated("e30.e30.c2ln".to_owned())).await;
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
        assert_eq!(sent, form(&[("client_assertion_type", kind), ("client_assertion", "e30.e30.c2ln")]));
    }

    #[tokio::test]
    async fn a_certificate_signs_another_assertion_for_each_request_to_its_address() {
        let routes = Router::new().route(
            &route(),
            post(async |uri: Uri, headers: HeaderMap, Form(form): Form<HashMap<String, String>>| {
                let claims =
                    BASE64_URL_SAFE_NO_PAD.decode(form["client_assertion"].split('.').nth(1).unwrap()).unwrap();
                let claims: Value = serde_json::from_slice(&claims).unwrap();
                assert_eq!(claims["aud"], format!("http://{}{}", headers["host"].to_str().unwrap(), uri.path()));
                assert_eq!((&claims["iss"], &claims["nbf"]), (&json!(APP), &json!(NOW.as_second())));
                assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
                assert_eq!(form.len(), 5);
                json!({"expires_in": 1, "access_token": claims["jti"]}).to_string()
            }),
        );
        let login = LoginEndpoint::parse(&serve(routes).await, AllowedHosts::Published).unwrap();
        let credential = Credential::Certificate(client_certificate());
        let (tenant, app) = (TENANT.parse().unwrap(), APP.parse().unwrap());
        let ask = async || token(&client(), &login, tenant, app, &credential, SCOPE, NOW).await.unwrap();
        let ids = [ask().await, ask().await].map(|token| token.expose().parse::<Uuid>().unwrap());
        assert_ne!(ids[0], ids[1]);
    }

    #[tokio::test]
    async fn an_assertion_that_entra_repeats_is_taken_out() {
        for credential in
            [Credential::Certificate(client_certificate()), Credential::Federated("e30.e30.hunter2".to_owned())]
        {
            let error = asked_with(credential, repeating()).await.unwrap_err();
            let text = format!("{error} {error:?}");
            assert!(text.contains("[secret] ") && text.contains(JWT_BEARER), "{text}");
            assert!(!text.contains("hunter2") && !text.contains("eyJ"), "{text}");
        }
    }

    #[test]
    fn the_roles_are_read_from_the_token_itself() {
        let roles = |claims: &str| {
            let text = format!("e30.{}.c2ln", BASE64_URL_SAFE_NO_PAD.encode(claims));
            AccessToken::new(TENANT.parse().unwrap(), text, NOW, NOW).roles()
        };
        assert_eq!(roles(r#"{"roles":["A","B"],"aud":"x"}"#), Some(vec!["A".to_owned(), "B".to_owned()]));
        assert_eq!(roles("{}"), Some(Vec::new()));
        assert_eq!(roles(r#"{"roles":"A"}"#), None);
        assert_eq!(roles("opaque"), None);
        assert_eq!(crate::testing::token().roles(), None);
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
    async fn an_odd_lifetime_costs_no_token() {
        for (lifetime, seconds) in [
            (r#","expires_in":3599"#, 3599),
            (r#","expires_in":"3599""#, 3599),
            (r#","expires_in":" 3599 ""#, 3599),
            (r#","expires_in":-1"#, 0),
            (r#","expires_in":"soon""#, 300),
            (r#","expires_in":[3599]"#, 300),
            (r#","expires_in":null"#, 300),
            ("", 300),
        ] {
            let body = format!(r#"{{"access_token":"abc"{lifetime}}}"#);
            let routes = Router::new().route(&route(), post(async move || body));
            let token = asked(routes).await.unwrap();
            assert_eq!(token.expires_at(), NOW + SignedDuration::from_secs(seconds), "{lifetime}");
        }
    }

    #[tokio::test]
    async fn an_odd_member_of_a_refusal_costs_that_member() {
        for (body, codes, said) in [
            (r#"{"error_codes":["7000215"],"error_description":"as said"}"#, &[7_000_215][..], "as said"),
            (r#"{"error_codes":7000215,"error_description":"as said"}"#, &[7_000_215], "as said"),
            (r#"{"error_codes":[null,7000215,-1],"error_description":{"x":1}}"#, &[7_000_215], "no reason"),
            (r#"{"error_codes":{"x":1},"error_description":"as said"}"#, &[], "as said"),
            (r#"{"error":"invalid_client","error_description":null}"#, &[], "invalid_client"),
            ("[]", &[], "no reason"),
        ] {
            let error = asked(answering(401, body)).await.unwrap_err();
            assert_eq!(error.codes, codes, "{body}");
            assert!(error.message.contains(said), "{body}: {}", error.message);
        }
    }

    #[tokio::test]
    async fn what_may_pass_is_worth_another_attempt() {
        for (status, body, retryable) in [
            (503, "", true),
            (429, "{}", true),
            (400, r#"{"error_codes":[90033],"error_description":"A transient error has occurred."}"#, true),
            (400, r#"{"error_codes":[90002],"error_description":"Tenant not found."}"#, false),
            (200, "{}", false),
            (200, r#"{"error_codes":[90033]}"#, false),
            (404, "<html>", false),
        ] {
            let error = asked(answering(status, body)).await.unwrap_err();
            assert_eq!(error.is_retryable(), retryable, "{status} {body}");
        }
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = crate::testing::token();
        assert!(!format!("{token:?}").contains("the-token"));
    }
}

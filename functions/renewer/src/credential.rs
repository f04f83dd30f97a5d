//! What proves to Entra that it is the app that asks, as it is at this moment.

use graph_subscriptions::Credential;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{
    app_certificates::AppCertificates,
    config::{Config, CredentialKind},
    ports::World,
};

/// What may be tried, in this order: Entra takes the first that is registered with the app.
///
/// It is read anew each time, so that a secret that an operator replaced takes effect without a deployment.
///
/// # Errors
/// With a sentence, if there is nothing to try.
pub async fn candidates(world: &impl World, config: &Config) -> Result<Vec<Credential>, String> {
    match &config.credential {
        CredentialKind::Secret(id) => client_secret(world, id).await.map(|secret| vec![secret]),
        CredentialKind::Certificate(id) => AppCertificates::read(world, id).await?.credentials(world.now()),
        CredentialKind::Federated => {
            let audience = config.login.federation_audience();
            match world.web_identity_token(audience).await {
                Ok(token) => Ok(vec![Credential::Federated(token.as_str().to_owned())]),
                Err(error) => Err(format!(
                    "AWS gave no token for Microsoft Entra: {error}. Outbound identity federation must be enabled in the AWS account"
                )),
            }
        }
    }
}

/// The client secret that an operator has left beside another credential: while the app changes from one to the other,
/// nobody must hurry.
pub async fn fallback(world: &impl World, config: &Config) -> Option<Credential> {
    let id = config.fallback_secret_id.as_ref().filter(|_| !matches!(config.credential, CredentialKind::Secret(_)))?;
    client_secret(world, id).await.ok()
}

async fn client_secret(world: &impl World, id: &str) -> Result<Credential, String> {
    match world.read(id).await {
        Ok(Some(stored)) if stored.text().is_some() => match value_of(&stored.value) {
            Some(secret) => Ok(Credential::ClientSecret(secret.trim().to_owned())),
            None => Err(format!(
                "the secret {id} holds JSON in which the client secret cannot be told: store its value alone, or \
                 {{\"clientSecret\": \"...\"}}"
            )),
        },
        Ok(_) => Err(format!("the secret {id} is empty: set the parameter ClientSecret")),
        Err(error) => Err(format!("the client secret cannot be read from the secret {id}: {error}")),
    }
}

/// The client secret in the text of a secret. The console of AWS Secrets Manager stores JSON: an object of keys and values, which
/// may have one member or one that is named after what it holds. `None` if it is JSON and which value is meant is not clear.
fn value_of(stored: &str) -> Option<Zeroizing<String>> {
    let plain = || Some(Zeroizing::new(stored.to_owned()));
    if !stored.trim_start().starts_with(['{', '[', '"']) {
        return plain();
    }
    match serde_json::from_str(stored) {
        // Whatever an administrator typed: Entra decides about it.
        Err(_) => plain(),
        Ok(Value::String(secret)) => Some(Zeroizing::new(secret)).filter(|secret| !secret.trim().is_empty()),
        Ok(Value::Object(members)) => {
            let alone = members.len() == 1;
            let named = |name: &str| {
                let letters = name.chars().filter(char::is_ascii_alphanumeric).collect::<String>();
                letters.eq_ignore_ascii_case("clientSecret")
            };
            let mut candidates = members.into_iter().filter(|(name, _)| alone || named(name));
            match (candidates.next(), candidates.next()) {
                (Some((_, Value::String(secret))), None) if !secret.trim().is_empty() => Some(Zeroizing::new(secret)),
                _ => None,
            }
        }
        Ok(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_secret_is_taken_from_json_too() {
        for (stored, secret) in [
            ("abc8Q~x", "abc8Q~x"),
            ("{abc", "{abc"),
            ("\"abc\"", "abc"),
            ("\"abc", "\"abc"),
            (r#"{"clientSecret": "abc"}"#, "abc"),
            (r#" {"CLIENT_SECRET": "abc", "clientId": "x"} "#, "abc"),
            (r#"{"client-secret": "abc", "note": {"x": 1}}"#, "abc"),
            (r#"{"whatever": "abc"}"#, "abc"),
        ] {
            assert_eq!(value_of(stored).unwrap().as_str(), secret, "{stored}");
        }
        for unclear in [
            "[]",
            "[\"abc\"]",
            "{}",
            "\"\"",
            r#"{"a": "abc", "b": "def"}"#,
            r#"{"clientSecret": 1}"#,
            r#"{"clientSecret": ""}"#,
            r#"{"clientSecret": "abc", "client_secret": "def"}"#,
        ] {
            assert_eq!(value_of(unclear), None, "{unclear}");
        }
    }
}

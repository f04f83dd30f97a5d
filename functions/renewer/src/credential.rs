//! What proves to Entra that it is the app that asks, as it is at this moment.

use graph_subscriptions::Credential;

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
        Ok(Some(secret)) if !secret.trim().is_empty() => Ok(Credential::ClientSecret(secret.trim().to_owned())),
        Ok(_) => Err(format!("the secret {id} is empty: set the parameter ClientSecret")),
        Err(error) => Err(format!("the client secret cannot be read from the secret {id}: {error}")),
    }
}

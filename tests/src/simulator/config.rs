//! What a simulator starts with, and what can be changed while it runs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use openssl::x509::X509;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::clock::Clock;
use super::notification::DocumentShape;
use super::outbound::Routes;
use super::tokens::TokenVersion;

/// The tenant of a default configuration.
pub const TENANT_ID: &str = "5a1f0c9e-3b52-4d0e-9d0a-7f6f2c1e8b11";
/// The application id of a default configuration.
pub const CLIENT_ID: &str = "c0ffee00-1d2c-4b3a-8f4e-5d6c7b8a9f00";
/// The client secret of a default configuration.
pub const CLIENT_SECRET: &str = "simulated-client-secret";
/// The application permission that emergency call events need.
pub const ROLE: &str = "CallEvents-Emergency.Read.All";
/// The application permission to read service principals.
pub const DIRECTORY_ROLE: &str = "Application.Read.All";

/// A tenant.
#[derive(Clone)]
pub struct Tenant {
    /// The tenant's GUID, in lower case.
    pub id: String,
    /// Its emergency calling policies; `None` knows every name.
    pub policies: Option<Vec<String>>,
}

/// An app registration, consented to in every tenant.
#[derive(Clone, Default)]
pub struct Application {
    /// The application (client) id.
    pub client_id: String,
    /// Its client secrets.
    pub client_secrets: Vec<String>,
    /// Whether those secrets have expired.
    pub secret_expired: bool,
    /// The certificates that are registered with it.
    pub certificates: Vec<X509>,
    /// The issuers that it trusts, for one subject each.
    pub federated: Vec<FederatedCredential>,
    /// The application permissions with admin consent, which tokens list as `roles`.
    pub roles: Vec<String>,
}

/// A federated identity credential: another issuer's tokens for one subject stand for the application. Every member must
/// be that of the token, letter by letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FederatedCredential {
    /// The `iss` claim, under which the issuer's keys are found, too.
    pub issuer: String,
    /// The `sub` claim.
    pub subject: String,
    /// The `aud` claim.
    pub audience: String,
    /// The issuer's keys document; `None`: it is fetched from the issuer for each token.
    #[serde(default)]
    pub jwks: Option<Value>,
}

/// What a simulator starts with.
#[derive(Clone)]
pub struct Config {
    /// Where to listen. Port 0 takes a free one.
    pub bind: SocketAddr,
    /// What clients call this address, such as `http://host.docker.internal:8080`; `None`: `http://127.0.0.1:{port}`.
    pub origin: Option<String>,
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// The app registrations.
    pub applications: Vec<Application>,
    /// The clock.
    pub clock: Clock,
    /// What stands in for the hosts of notification URLs.
    pub routes: Routes,
    /// What can also be changed later.
    pub settings: Settings,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            bind: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            origin: None,
            tenants: vec![Tenant { id: TENANT_ID.to_owned(), policies: None }],
            applications: vec![Application {
                client_id: CLIENT_ID.to_owned(),
                client_secrets: vec![CLIENT_SECRET.to_owned()],
                roles: vec![ROLE.to_owned()],
                ..Application::default()
            }],
            clock: Clock::real(),
            routes: Routes::default(),
            settings: Settings::default(),
        }
    }
}

/// How Graph behaves where its documents contradict each other or leave room. The defaults are the harder choice.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
#[expect(clippy::struct_excessive_bools, reason = "each switch is independent of the others")]
pub struct Settings {
    /// The format of validation tokens.
    pub token_version: TokenVersion,
    /// Send `validationTokens: null`, as for an app whose service principal requires assignment.
    pub validation_tokens_null: bool,
    /// Whether the sealed document wraps the event.
    pub document_shape: DocumentShape,
    /// What a PATCH of the certificate does.
    pub certificate_patch: CertificatePatch,
    /// Validate the endpoint on every PATCH, too.
    pub handshake_on_patch: bool,
    /// What a second subscription for the same policy gets.
    pub duplicate: Duplicate,
    /// What an unknown policy name gets: 400 or 404.
    pub unknown_policy_status: u16,
    /// Emergency calls are known to the version beta only, as some of Microsoft's pages have it.
    pub beta_only: bool,
    /// The life of access tokens in seconds.
    pub access_token_seconds: u32,
    /// Subscriptions per page of a list.
    pub page_size: usize,
    /// What lists say of the subscriptions.
    pub lists: Lists,
    /// Delay notifications by ten minutes when more than a tenth of an endpoint's answers in ten minutes were slow, and drop
    /// them when more than 15 % did not come in time.
    pub throttling: bool,
    /// Send `reauthorizationRequired` when a subscription's access token has fifteen minutes left. How often Graph does
    /// so is not documented, hence not by default: nobody may rely on it.
    pub reauthorization_notices: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            token_version: TokenVersion::V1,
            validation_tokens_null: false,
            document_shape: DocumentShape::Wrapped,
            certificate_patch: CertificatePatch::Applied,
            handshake_on_patch: false,
            duplicate: Duplicate::Conflict,
            unknown_policy_status: 404,
            beta_only: false,
            access_token_seconds: 3599,
            page_size: 2,
            lists: Lists::True,
            throttling: true,
            reauthorization_notices: false,
        }
    }
}

/// What a PATCH of `encryptionCertificate` and its id does; Microsoft's pages contradict each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum CertificatePatch {
    /// The new certificate is used from then on.
    Applied,
    /// 200, and nothing changes.
    Ignored,
    /// 400.
    Refused,
}

/// What a list says of the subscriptions. GET, PATCH and DELETE by id work as ever whatever it says, as users report of Graph.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Lists {
    /// What there is.
    True,
    /// Every other one is left out, the first among them.
    LeavesOut,
    /// There are none.
    Empty,
    /// Sixty empty pages come before the first full one.
    EmptyPagesFirst,
    /// The link to the second page answers 500.
    NextLinkFails,
    /// Those that were deleted or removed are still there, until they would have ended.
    Stale,
    /// No item is of the documented form.
    Unreadable,
    /// Every one delivers to another address.
    Contradicting,
    /// 503.
    Fails,
}

impl Lists {
    /// Every way in which a list can lie.
    pub const LIES: [Self; 8] = [
        Self::LeavesOut,
        Self::Empty,
        Self::EmptyPagesFirst,
        Self::NextLinkFails,
        Self::Stale,
        Self::Unreadable,
        Self::Contradicting,
        Self::Fails,
    ];
}

/// What a second subscription for the same app, tenant and policy gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Duplicate {
    /// 409 with code `Conflict`.
    Conflict,
    /// 409 with code `ExtensionError`, the workload's answer wrapped in its message.
    ExtensionError,
    /// 201: a second subscription, as users report of other resources.
    Created,
}

/// A change of settings that names a setting or value that does not exist.
#[derive(Debug, thiserror::Error)]
#[error("no such setting: {0}")]
pub struct SettingsError(#[from] serde_json::Error);

impl Settings {
    /// These settings with the members of the JSON object `changes` in place of their own.
    ///
    /// # Errors
    /// When a member is no setting, or its value none of that setting's.
    pub fn with(&self, changes: &Value) -> Result<Self, SettingsError> {
        let mut merged = serde_json::to_value(self)?;
        if let (Some(merged), Some(changes)) = (merged.as_object_mut(), changes.as_object()) {
            merged.extend(changes.clone());
        }
        Ok(serde_json::from_value(merged)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn settings_change_one_by_one() {
        let settings =
            Settings::default().with(&json!({ "tokenVersion": "2.0", "certificatePatch": "ignored" })).unwrap();
        assert_eq!(settings.token_version, TokenVersion::V2);
        assert_eq!(settings.certificate_patch, CertificatePatch::Ignored);
        assert_eq!(settings.page_size, Settings::default().page_size);
    }

    #[test]
    fn unknown_settings_are_refused() {
        assert!(Settings::default().with(&json!({ "tokenversion": "2.0" })).is_err());
        assert!(Settings::default().with(&json!({ "duplicate": "maybe" })).is_err());
    }
}

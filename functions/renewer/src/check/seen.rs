//! What a check saw, before anybody judges it. It holds no secret: of tokens and keys only what may be read aloud.

use std::time::Duration;

use graph_notifications::{Keyring, TenantId};
use graph_subscriptions::{
    GraphError, ServicePrincipal, Subscription, TokenError,
    signing_keys::{SigningKeysError, TokenVersion},
};
use jiff::Timestamp;

use crate::{
    coverage::Coverage,
    ports::{Alarm, HandshakeAnswer, OutsideError, Subscribers},
    records::Record,
    topics::Topic,
};

/// What a check saw.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What the app signs in with.
    pub credential: CredentialSeen,
    /// Each tenant, in the order of the policies.
    pub tenants: Vec<TenantSeen>,
    /// The keyring.
    pub keyring: Result<KeyringSeen, KeyringUnseen>,
    /// The records of the subscriptions.
    pub records: Result<Vec<Record>, OutsideError>,
    /// The handshake with our own address.
    pub handshake: Handshake,
    /// The topics, under their names in the template.
    pub topics: Vec<(Topic, Result<Subscribers, OutsideError>)>,
    /// Of each topic for calls, whether somebody gets all of them.
    pub coverage: Vec<(Topic, Result<Coverage, OutsideError>)>,
    /// How long the second topic took to answer over a new connection; `None` in stacks that have no second way.
    pub second_way: Option<Result<Duration, OutsideError>>,
    /// The stack's alarms.
    pub alarms: Result<Vec<Alarm>, OutsideError>,
}

/// What the app signs in with.
#[derive(Debug, Clone)]
pub enum CredentialSeen {
    /// It cannot be had; why, in a sentence.
    Missing(String),
    /// A client secret.
    Secret,
    /// Certificates, the newest first.
    Certificates(Vec<CertificateSeen>),
    /// A token by which AWS says which role asks.
    Federated(Claims),
}

/// A certificate of the app.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateSeen {
    /// As Entra shows it: 40 hexadecimal digits.
    pub thumbprint: String,
    /// When it ends; `None` if that cannot be read.
    pub ends_at: Option<Timestamp>,
    /// The public half, as Entra takes it for upload.
    pub pem: String,
}

/// What a web identity token says, and a federated credential in Entra must repeat to the letter. `None` for what cannot be
/// read.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Who issued it.
    pub issuer: Option<String>,
    /// For whom.
    pub subject: Option<String>,
    /// To be shown to whom.
    pub audience: Option<String>,
}

/// A tenant, through the app's eyes.
#[derive(Debug, Clone)]
pub struct TenantSeen {
    /// The tenant.
    pub tenant: TenantId,
    /// What Entra answered to each credential, in the order of [`CredentialSeen`].
    pub answers: Vec<Result<Granted, TokenError>>,
    /// How the app stands there; `None` without a token.
    pub settings: Option<Result<ServicePrincipal, GraphError>>,
    /// All of the app's subscriptions there; `None` without a token.
    pub subscriptions: Option<Result<Vec<Subscription>, GraphError>>,
    /// The documents with Entra's signing keys.
    pub signing_keys: Vec<(TokenVersion, Result<Vec<KeyName>, SigningKeysError>)>,
}

/// What an access token grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted {
    /// The application permissions; `None` if the token cannot be read.
    pub roles: Option<Vec<String>>,
}

/// A signing key: its `kid`, and its modulus, which is public.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyName {
    /// The `kid`.
    pub kid: String,
    /// The modulus, base64url.
    pub n: String,
}

/// The keyring without its secrets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyringSeen {
    /// The name of the certificate to hand to Graph.
    pub current: Option<String>,
    /// All certificates.
    pub certificates: Vec<EncryptionCertificate>,
    /// The names of all client states, generations among them.
    pub client_states: Vec<String>,
    /// The signing keys and when they were fetched, the oldest of them.
    pub signing_keys: Option<(Timestamp, Vec<KeyName>)>,
}

/// An encryption certificate of the keyring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptionCertificate {
    /// Its name.
    pub id: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; `None` if that cannot be read.
    pub ends_at: Option<Timestamp>,
}

/// Why there is no keyring to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyringUnseen {
    /// The secret cannot be read.
    Unreadable(String),
    /// The secret has no value yet.
    Empty,
    /// The secret's value is no keyring.
    Unusable(String),
}

/// A handshake with our own address.
#[derive(Debug, Clone)]
pub struct Handshake {
    /// The token that the address was asked to repeat.
    pub token: String,
    /// What it answered.
    pub answer: Result<HandshakeAnswer, OutsideError>,
}

impl TenantSeen {
    /// What the first token grants that Entra gave.
    pub(crate) fn granted(&self) -> Option<&Granted> {
        self.answers.iter().find_map(|answer| answer.as_ref().ok())
    }
}

impl KeyringSeen {
    /// What of a keyring may be read aloud.
    #[must_use]
    pub fn of(keyring: &Keyring) -> Self {
        let certificate = |key: &graph_notifications::keyring::StoredKeyPair| EncryptionCertificate {
            id: key.certificate_id.clone(),
            created_at: key.created_at,
            ends_at: key.pair.not_after(),
        };
        Self {
            current: keyring.current_key().map(|key| key.certificate_id.clone()),
            certificates: keyring.keys.iter().map(certificate).collect(),
            client_states: keyring
                .client_state_keys
                .iter()
                .map(|key| key.id.clone())
                .chain(keyring.client_states.iter().map(|state| state.id.clone()))
                .collect(),
            signing_keys: keyring.signing_keys.as_ref().map(|set| (set.fetched_at, KeyName::all(&set.keys))),
        }
    }
}

impl KeyName {
    /// Those of a set.
    pub(crate) fn all(keys: &[graph_notifications::signing_keys::SigningKey]) -> Vec<Self> {
        keys.iter().map(|key| Self { kid: key.kid.clone(), n: key.n.clone() }).collect()
    }
}

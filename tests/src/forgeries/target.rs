//! What the receiver under attack must be set up with. Every key of it is published, and protects nothing.

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use graph_notifications::{Policies, TenantId, client_state::StoredClientStateKey};
use openssl::pkey::PKey;
use openssl::x509::X509;
use serde_json::{Value, json};

use crate::simulator::keys::KeyPair;
use crate::simulator::signing_keys::{CONSUMER_TENANT, SigningKey};

/// The tenant that the receiver belongs to.
pub const TENANT: &str = "5a1f0c9e-3b52-4d0e-9d0a-7f6f2c1e8b11";
/// Another tenant, one of whose policies the receiver watches.
pub const OTHER_TENANT: &str = "b2d41c77-90aa-4f13-8c55-0e6a7d1f2233";
/// A tenant that the receiver has nothing to do with.
pub const STRANGE_TENANT: &str = "99999999-2222-4333-8444-555555555555";
/// The receiver's application.
pub const CLIENT: &str = "c0ffee00-1d2c-4b3a-8f4e-5d6c7b8a9f00";
/// The policy that is watched in [`TENANT`].
pub const POLICY: &str = "Global";
/// The policy that is watched in [`OTHER_TENANT`].
pub const OTHER_POLICY: &str = "Site";
/// The client state of the subscriptions.
pub const CLIENT_STATE: &str = "fC-cRxpw5OK0n0Xcq3tLkJmVb8sYzUeA7dGhT1iWo2Q";
/// The client state of before the last rotation, which is still in the keyring.
pub const OLD_CLIENT_STATE: &str = "Zk9uY2Ugd2FzIHRoZSBjbGllbnQgc3RhdGUgaGVyZS4";
/// The key by which client states are made, in base64url.
const CLIENT_STATE_KEY: &str = "Q29ycHVzOiBldmVyeWJvZHkgbWF5IGtub3cgdGhpcyE";
/// When everything happens.
pub const HAPPENED_AT: &str = "2026-11-23T10:00:00Z";
/// When the tokens end that are to be good for ever.
pub const TOKEN_EXPIRES_AT: &str = "2100-01-01T00:00:00Z";
/// The sign-in host by which tokens of version 2.0 are issued.
pub const LOGIN_ENDPOINT: &str = "https://login.microsoftonline.com";

/// The receiver that the corpus is made for.
pub struct Target {
    /// The sign-in host that the receiver is configured with, without a slash at its end.
    pub login_endpoint: String,
    /// The key pair whose certificate Graph has.
    pub encryption: Arc<KeyPair>,
    /// Another key pair of the receiver's.
    pub other_encryption: Arc<KeyPair>,
    /// A key pair that the receiver does not have any more.
    pub lost_encryption: Arc<KeyPair>,
    /// Entra's key for all tenants.
    pub signing: SigningKey,
    /// Entra's key for [`OTHER_TENANT`] alone.
    pub other_tenants_signing: SigningKey,
    /// Entra's key for the tenant of personal accounts.
    pub consumers_signing: SigningKey,
    /// The forger's own key.
    pub forger: SigningKey,
}

impl Target {
    /// The receiver with this sign-in host, and the published keys.
    ///
    /// # Panics
    /// Never: the keys are there and well-formed.
    #[must_use]
    pub fn new(login_endpoint: &str) -> Self {
        let signing = |pem| SigningKey::new(key_pair(pem));
        Self {
            login_endpoint: login_endpoint.to_owned(),
            encryption: key_pair(include_bytes!("../../forgeries/keys/encryption.pem")),
            other_encryption: key_pair(include_bytes!("../../forgeries/keys/encryption-other.pem")),
            lost_encryption: key_pair(include_bytes!("../../forgeries/keys/encryption-lost.pem")),
            signing: signing(include_bytes!("../../forgeries/keys/signing.pem")),
            other_tenants_signing: signing(include_bytes!("../../forgeries/keys/signing-other-tenant.pem")),
            consumers_signing: signing(include_bytes!("../../forgeries/keys/signing-consumers.pem")),
            forger: signing(include_bytes!("../../forgeries/keys/forger.pem")),
        }
    }

    /// The receiver's settings, as environment variables of this project's function.
    #[must_use]
    pub fn environment(&self) -> Value {
        json!({
            "TENANT_ID": TENANT,
            "CLIENT_ID": CLIENT,
            "POLICY_NAMES": format!("{POLICY},{OTHER_TENANT}/{OTHER_POLICY}"),
            "LOGIN_ENDPOINT": self.login_endpoint,
            "UNVERIFIED_CALLS": "Reject",
        })
    }

    /// The receiver's secrets, as this project's keyring.
    ///
    /// # Panics
    /// Never: the keys have their standard forms.
    #[must_use]
    pub fn keyring(&self) -> Value {
        let key = |id: &str, pair: &KeyPair| {
            let private_key = pair.private_key.private_key_to_pkcs8().expect("an RSA key has its PKCS#8 form");
            json!({
                "certificateId": id,
                "certificate": pair.certificate_base64(),
                "privateKey": STANDARD.encode(private_key),
                "createdAt": "2026-11-23T09:00:00Z",
                "retiredAt": null,
            })
        };
        let client_state = |id: &str, value: &str| json!({"id": id, "value": value, "createdAt": "2026-11-23T09:00:00Z", "retiredAt": null});
        let signing_keys: Vec<Value> = self
            .published()
            .iter()
            .map(|jwk| json!({"kid": jwk["kid"], "n": jwk["n"], "e": jwk["e"], "issuer": jwk["issuer"]}))
            .collect();
        json!({
            "version": 1,
            "keys": [key(OTHER_CERTIFICATE_ID, &self.other_encryption), key(CERTIFICATE_ID, &self.encryption)],
            "clientStateKeys": [Self::client_state_key()],
            "clientStates": [client_state("old", OLD_CLIENT_STATE), client_state("current", CLIENT_STATE)],
            "signingKeys": {"fetchedAt": "2026-11-23T09:45:00Z", "keys": signing_keys},
        })
    }

    /// The client states of the subscriptions: each text, and the tenant and policy that it proves. `null` for one of an earlier
    /// form, which names neither and is taken for one of whatever tenant its item states.
    #[must_use]
    pub fn client_states(&self) -> Value {
        let made = |tenant: &str, policy: &str| json!({"value": self.made_client_state(tenant, policy), "tenantId": tenant, "policyName": policy});
        let stored = |value: &str| json!({"value": value, "tenantId": null, "policyName": null});
        json!([made(TENANT, POLICY), made(OTHER_TENANT, OTHER_POLICY), stored(CLIENT_STATE), stored(OLD_CLIENT_STATE)])
    }

    /// The client state that the receiver's key makes for a policy.
    ///
    /// # Panics
    /// If tenant or policy is none.
    #[must_use]
    pub fn made_client_state(&self, tenant: &str, policy: &str) -> String {
        made_by(&Self::client_state_key(), tenant, policy)
    }

    fn client_state_key() -> Value {
        json!({"id": "corpus", "key": CLIENT_STATE_KEY, "createdAt": "2026-11-23T09:00:00Z", "retiredAt": null})
    }

    /// The keys that Entra publishes, as a JSON Web Key Set.
    #[must_use]
    pub fn signing_keys(&self) -> Value {
        json!({ "keys": self.published() })
    }

    fn published(&self) -> [Value; 3] {
        let issuer = |tenant: &str| format!("{}/{tenant}/v2.0", self.login_endpoint);
        [
            self.signing.jwk(Some(&issuer("{tenantid}"))),
            self.other_tenants_signing.jwk(Some(&issuer(OTHER_TENANT))),
            self.consumers_signing.jwk(Some(&issuer(CONSUMER_TENANT))),
        ]
    }
}

/// The `encryptionCertificateId` of [`Target::encryption`].
pub const CERTIFICATE_ID: &str = "corpus-2";
/// The `encryptionCertificateId` of [`Target::other_encryption`].
pub const OTHER_CERTIFICATE_ID: &str = "corpus-1";

/// The client state that a key makes for a policy.
pub(crate) fn made_by(key: &Value, tenant: &str, policy: &str) -> String {
    let key: StoredClientStateKey = serde_json::from_value(key.clone()).expect("the key has a key's form");
    let tenant: TenantId = tenant.parse().expect("the tenant is a GUID");
    let policies = Policies::parse(&format!("{tenant}/{policy}"), tenant).expect("the policy has a name");
    policies.iter().map(|policy| key.client_state(policy).expose().to_owned()).collect()
}

fn key_pair(pem: &[u8]) -> Arc<KeyPair> {
    let private_key = PKey::private_key_from_pem(pem).expect("the file holds a private key");
    let certificate = X509::from_pem(pem).expect("the file holds a certificate");
    Arc::new(KeyPair { private_key, certificate })
}

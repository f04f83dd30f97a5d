//! Entra's signing keys: which one signs, which ones are published, and how the documents list them.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::{PKey, Public};
use serde_json::{Value, json};

use super::keys::{KeyPair, shared};
use super::tokens::TokenVersion;

/// The tenant of personal Microsoft accounts, whose keys the `common` document lists too.
pub const CONSUMER_TENANT: &str = "9188040d-6c67-4c5b-b112-36a304b66dad";

const KEY_BITS: u32 = 2048;
const CONSUMER_KEY: usize = 1000;
/// Entra publishes the next key before it signs with it.
const PUBLISHED_AHEAD: usize = 1;

/// A key that signs tokens.
#[derive(Clone)]
pub struct SigningKey {
    /// The key id: the certificate's SHA-1 in base64url, as Entra names keys.
    pub kid: String,
    /// The key and its certificate.
    pub pair: Arc<KeyPair>,
}

impl SigningKey {
    /// The signing key that holds this pair.
    ///
    /// # Panics
    /// When OpenSSL offers no SHA-1.
    #[must_use]
    pub fn new(pair: Arc<KeyPair>) -> Self {
        let digest = hash(MessageDigest::sha1(), &pair.certificate_der()).expect("OpenSSL computes a SHA-1");
        Self { kid: URL_SAFE_NO_PAD.encode(digest), pair }
    }

    /// The entry of a keys document, with an `issuer` member if one is given.
    ///
    /// # Panics
    /// Never for a pair from [`super::keys`].
    #[must_use]
    pub fn jwk(&self, issuer: Option<&str>) -> Value {
        let rsa = self.pair.private_key.rsa().expect("the pair is an RSA key");
        let mut jwk = json!({
            "kty": "RSA",
            "use": "sig",
            "kid": self.kid,
            "x5t": self.kid,
            "n": URL_SAFE_NO_PAD.encode(rsa.n().to_vec()),
            "e": URL_SAFE_NO_PAD.encode(rsa.e().to_vec()),
            "x5c": [self.pair.certificate_base64()],
            "cloud_instance_name": "microsoftonline.com",
        });
        if let Some(issuer) = issuer {
            jwk["issuer"] = json!(issuer);
        }
        jwk
    }

    /// The public key.
    ///
    /// # Panics
    /// Never for a pair from [`super::keys`].
    #[must_use]
    pub fn public_key(&self) -> PKey<Public> {
        self.pair.certificate.public_key().expect("the certificate holds a key")
    }
}

/// The keys that sign and that are published.
pub struct SigningKeys {
    oldest: usize,
    current: usize,
}

impl SigningKeys {
    /// The first key, and one published ahead.
    #[must_use]
    pub fn new() -> Self {
        Self { oldest: 0, current: 0 }
    }

    /// The key that signs.
    #[must_use]
    pub fn current(&self) -> SigningKey {
        numbered(self.current)
    }

    /// Everything that is published for tenants: retired keys, the current one, and the next.
    #[must_use]
    pub fn published(&self) -> Vec<SigningKey> {
        (self.oldest..=self.current + PUBLISHED_AHEAD).map(numbered).collect()
    }

    /// Signs with the next key from now on.
    pub fn rotate(&mut self) {
        self.current += 1;
    }

    /// Signs with a key that was never published ahead, and publishes nothing older: Entra's answer to a compromise.
    pub fn replace(&mut self) {
        self.current += PUBLISHED_AHEAD + 1;
        self.oldest = self.current;
    }

    /// The keys document of `tenant`, or of `common`.
    ///
    /// Version 2.0 documents carry `issuer` members: a tenant's own names that tenant, `common` has the template
    /// `{tenantid}`, and beside it a key of the consumer tenant that fits no other one. Version 1.0 documents have none.
    #[must_use]
    pub fn document(&self, version: TokenVersion, login_endpoint: &str, tenant: &str) -> Value {
        let of = |tenant: &str| format!("{login_endpoint}/{tenant}/v2.0");
        let common = tenant == "common";
        let issuer = match version {
            TokenVersion::V1 => None,
            TokenVersion::V2 if common => Some(of("{tenantid}")),
            TokenVersion::V2 => Some(of(tenant)),
        };
        let mut keys: Vec<Value> = self.published().iter().map(|key| key.jwk(issuer.as_deref())).collect();
        if common && version == TokenVersion::V2 {
            keys.push(consumer_key().jwk(Some(&of(CONSUMER_TENANT))));
        }
        json!({ "keys": keys })
    }
}

impl Default for SigningKeys {
    fn default() -> Self {
        Self::new()
    }
}

/// The consumer tenant's key: genuine and published under `common`, but no key for an organisation's tokens.
#[must_use]
pub fn consumer_key() -> SigningKey {
    numbered(CONSUMER_KEY)
}

/// The process's signing key number `index`. It is kept, as each request looks through all that are published.
fn numbered(index: usize) -> SigningKey {
    static KEYS: LazyLock<Mutex<BTreeMap<usize, SigningKey>>> = LazyLock::new(Mutex::default);
    let mut keys = KEYS.lock().unwrap_or_else(PoisonError::into_inner);
    keys.entry(index).or_insert_with(|| SigningKey::new(shared(KEY_BITS, index))).clone()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGIN: &str = "http://127.0.0.1:1";

    fn kids(document: &Value) -> Vec<&str> {
        document["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect()
    }

    #[test]
    fn the_next_key_is_published_before_it_signs_and_the_last_one_stays() {
        let mut keys = SigningKeys::new();
        let first = keys.current().kid;
        let before = keys.document(TokenVersion::V2, LOGIN, "tenant");
        keys.rotate();
        let second = keys.current().kid;
        assert_ne!(first, second);
        assert!(kids(&before).contains(&second.as_str()));
        let after = keys.document(TokenVersion::V1, LOGIN, "tenant");
        assert!(kids(&after).contains(&first.as_str()));
    }

    #[test]
    fn a_replacement_was_not_published_before_and_ends_the_old_keys() {
        let mut keys = SigningKeys::new();
        let first = keys.current().kid;
        let before = keys.document(TokenVersion::V2, LOGIN, "tenant");
        keys.replace();
        let second = keys.current().kid;
        assert!(!kids(&before).contains(&second.as_str()));
        let after = keys.document(TokenVersion::V2, LOGIN, "tenant");
        assert!(!kids(&after).contains(&first.as_str()));
        assert!(kids(&after).contains(&second.as_str()));
    }

    #[test]
    fn issuer_members_are_those_of_the_document() {
        let keys = SigningKeys::new();
        let tenant = keys.document(TokenVersion::V2, LOGIN, "tenant");
        assert_eq!(tenant["keys"][0]["issuer"], "http://127.0.0.1:1/tenant/v2.0");
        let common = keys.document(TokenVersion::V2, LOGIN, "common");
        assert_eq!(common["keys"][0]["issuer"], "http://127.0.0.1:1/{tenantid}/v2.0");
        let last = common["keys"].as_array().unwrap().last().unwrap();
        assert_eq!(last["kid"], consumer_key().kid);
        assert_eq!(last["issuer"], format!("http://127.0.0.1:1/{CONSUMER_TENANT}/v2.0"));
        let v1 = keys.document(TokenVersion::V1, LOGIN, "tenant");
        assert!(v1["keys"][0].get("issuer").is_none());
    }
}

//! Entra's signing keys, with which validation tokens are verified.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::identifiers::TenantId;

/// A set of signing keys and when it was fetched from Entra.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeys {
    /// When Entra last gave out this set.
    pub fetched_at: Timestamp,
    /// The keys. A `kid` may stand here more than once: the documents for v1 and v2 tokens overlap.
    pub keys: Vec<SigningKey>,
}

/// One RSA key of a JSON Web Key Set (RFC 7517).
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SigningKey {
    /// The name by which a token's header chooses the key.
    pub kid: String,
    /// The modulus, big-endian, base64url.
    pub n: String,
    /// The exponent, big-endian, base64url.
    pub e: String,
    /// Whose tokens the key may sign: an issuer URL, with `{tenantid}` in the place of the tenant where it signs for all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

/// The document is no JSON Web Key Set with at least one RSA key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a JSON Web Key Set with an RSA key in it")]
pub struct NotAKeySet;

impl SigningKeys {
    /// Reads a JSON Web Key Set as Entra publishes it. Keys that are not RSA signing keys are passed over.
    ///
    /// # Errors
    /// If it is none, or has no usable key: an empty set would reject every notification.
    pub fn from_jwks(document: &[u8], fetched_at: Timestamp) -> Result<Self, NotAKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<serde_json::Value>,
        }
        let document: Document = serde_json::from_slice(document).map_err(|_| NotAKeySet)?;
        let keys: Vec<SigningKey> = document.keys.iter().filter_map(signing_key).collect();
        if keys.is_empty() { Err(NotAKeySet) } else { Ok(Self { fetched_at, keys }) }
    }

    /// The keys with this `kid`.
    pub fn with_kid<'a>(&'a self, kid: &'a str) -> impl Iterator<Item = &'a SigningKey> {
        self.keys.iter().filter(move |key| key.kid == kid)
    }

    /// Takes in the keys of another set that this one lacks, and the earlier of the two times.
    pub fn merge(&mut self, other: Self) {
        self.fetched_at = self.fetched_at.min(other.fetched_at);
        for key in other.keys {
            if !self.keys.contains(&key) {
                self.keys.push(key);
            }
        }
    }
}

fn signing_key(jwk: &serde_json::Value) -> Option<SigningKey> {
    let text = |member: &str| jwk.get(member).and_then(serde_json::Value::as_str);
    let signs = text("use").is_none_or(|purpose| purpose == "sig") && text("alg").is_none_or(|alg| alg == "RS256");
    if text("kty") != Some("RSA") || !signs {
        return None;
    }
    let key = SigningKey {
        kid: text("kid")?.to_owned(),
        n: text("n")?.to_owned(),
        e: text("e")?.to_owned(),
        issuer: text("issuer").map(ToOwned::to_owned),
    };
    let readable = key.modulus().is_some() && key.exponent().is_some();
    readable.then_some(key)
}

impl SigningKey {
    /// The tenant that it signs for alone, if its issuer names one.
    pub(crate) fn tenant(&self) -> Option<TenantId> {
        self.issuer.as_ref()?.split('/').find_map(|place| place.parse().ok())
    }

    pub(crate) fn modulus(&self) -> Option<Vec<u8>> {
        unsigned(&self.n)
    }

    pub(crate) fn exponent(&self) -> Option<Vec<u8>> {
        unsigned(&self.e)
    }
}

/// `ring` refuses leading zeros, which RFC 7518 forbids and some writers add all the same.
fn unsigned(text: &str) -> Option<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
    let start = bytes.iter().position(|&byte| byte != 0)?;
    Some(bytes[start..].to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);

    #[test]
    fn only_rsa_signing_keys_are_taken() {
        let document = br#"{"keys":[
            {"kty":"RSA","use":"sig","kid":"a","n":"AMc","e":"AQAB","x5c":["MII"],"issuer":"https://login.microsoftonline.com/{tenantid}/v2.0"},
            {"kty":"RSA","use":"enc","kid":"b","n":"xw","e":"AQAB"},
            {"kty":"RSA","alg":"PS256","kid":"f","n":"xw","e":"AQAB"},
            {"kty":"EC","kid":"c","crv":"P-256"},
            {"kty":"RSA","kid":"d","n":"?","e":"AQAB"},
            {"kty":"RSA","kid":7,"n":"xw","e":"AQAB"},
            "e"]}"#;
        let keys = SigningKeys::from_jwks(document, NOW).unwrap();
        assert_eq!(keys.keys.len(), 1);
        assert_eq!(keys.with_kid("a").count(), 1);
        assert_eq!(keys.keys[0].modulus(), Some(vec![0xc7]));
        assert_eq!(keys.keys[0].issuer.as_deref(), Some("https://login.microsoftonline.com/{tenantid}/v2.0"));
        let printed = format!("{:?}", keys.keys[0]);
        assert!(printed.contains(r#"kid: "a""#) && !printed.contains("AMc"), "{printed}");
    }

    #[test]
    fn a_set_without_a_usable_key_is_none() {
        for document in [&b"{}"[..], b"[]", b"{\"keys\":[]}", b"<html>", b"{\"keys\":[{\"kty\":\"EC\"}]}"] {
            assert_eq!(SigningKeys::from_jwks(document, NOW), Err(NotAKeySet));
        }
    }

    #[test]
    fn merging_keeps_each_key_once_and_the_earlier_time() {
        let key = |kid: &str| SigningKey { kid: kid.into(), n: "xw".into(), e: "AQAB".into(), issuer: None };
        let mut keys = SigningKeys { fetched_at: NOW, keys: vec![key("a")] };
        let earlier = Timestamp::constant(1_763_000_000, 0);
        keys.merge(SigningKeys { fetched_at: earlier, keys: vec![key("a"), key("b")] });
        assert_eq!(keys, SigningKeys { fetched_at: earlier, keys: vec![key("a"), key("b")] });
    }
}

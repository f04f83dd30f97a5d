//! JSON Web Tokens as Entra issues them: the validation tokens of rich notifications and the access tokens for Graph.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKeyRef, Private, Public};
use openssl::rsa::Padding;
use openssl::sign::{RsaPssSaltlen, Signer, Verifier};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use uuid::Uuid;

/// The application id of "Microsoft Graph Change Tracking", which validation tokens must name as their publisher.
pub const PUBLISHER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";

/// How long a validation token lives.
pub const VALIDATION_TOKEN_LIFE: SignedDuration = SignedDuration::from_hours(24);

/// Which of Entra's two token formats an application registration asks for (`requestedAccessTokenVersion`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenVersion {
    /// `ver` "1.0": issuer `https://sts.windows.net/{tid}/`, publisher in `appid`. The default of a registration.
    #[default]
    #[serde(rename = "1.0")]
    V1,
    /// `ver` "2.0": issuer `{login endpoint}/{tid}/v2.0`, publisher in `azp`.
    #[serde(rename = "2.0")]
    V2,
}

/// The issuer of version 1.0 tokens of `tenant`.
#[must_use]
pub fn issuer_v1(tenant: &str) -> String {
    format!("https://sts.windows.net/{tenant}/")
}

/// The issuer of version 2.0 tokens of `tenant`, for the login endpoint that clients are configured with.
#[must_use]
pub fn issuer_v2(login_endpoint: &str, tenant: &str) -> String {
    format!("{login_endpoint}/{tenant}/v2.0")
}

/// The parts of a validation token. Every field is public, so that tests can build forged ones.
#[derive(Clone, Debug)]
pub struct ValidationTokenBuilder {
    /// The format, which decides the claims' names.
    pub version: TokenVersion,
    /// The tenant (`tid`).
    pub tenant: String,
    /// The receiver's application id (`aud`).
    pub audience: String,
    /// The `iss` claim.
    pub issuer: String,
    /// `appid` or `azp`.
    pub publisher: String,
    /// `iat` and `nbf`.
    pub issued_at: Timestamp,
    /// `exp`.
    pub expires_at: Timestamp,
}

impl ValidationTokenBuilder {
    /// A genuine token for `audience` in `tenant`, issued at `now`.
    #[must_use]
    pub fn new(version: TokenVersion, login_endpoint: &str, tenant: &str, audience: &str, now: Timestamp) -> Self {
        Self {
            version,
            tenant: tenant.to_owned(),
            audience: audience.to_owned(),
            issuer: match version {
                TokenVersion::V1 => issuer_v1(tenant),
                TokenVersion::V2 => issuer_v2(login_endpoint, tenant),
            },
            publisher: PUBLISHER.to_owned(),
            issued_at: now,
            expires_at: now + VALIDATION_TOKEN_LIFE,
        }
    }

    /// The claims, as a JSON object that a test may change before it signs.
    #[must_use]
    pub fn claims(&self) -> Value {
        let subject = Uuid::new_v4();
        let mut claims = json!({
            "aud": self.audience,
            "iss": self.issuer,
            "iat": self.issued_at.as_second(),
            "nbf": self.issued_at.as_second(),
            "exp": self.expires_at.as_second(),
            "aio": URL_SAFE_NO_PAD.encode(Uuid::new_v4()),
            "oid": subject,
            "rh": format!("0.{}.", URL_SAFE_NO_PAD.encode(Uuid::new_v4())),
            "sub": subject,
            "tid": self.tenant,
            "uti": URL_SAFE_NO_PAD.encode(Uuid::new_v4()),
        });
        let versioned = match self.version {
            TokenVersion::V1 => json!({
                "ver": "1.0", "appid": self.publisher, "appidacr": "2", "idp": self.issuer,
            }),
            TokenVersion::V2 => json!({ "ver": "2.0", "azp": self.publisher, "azpacr": "2" }),
        };
        merge(&mut claims, versioned);
        claims
    }

    /// The signed token, under the header that [`header`] gives for `kid`.
    ///
    /// # Errors
    /// OpenSSL's, when the key cannot sign.
    pub fn sign(&self, kid: &str, key: &PKeyRef<Private>) -> Result<String, ErrorStack> {
        sign(&header(self.version, kid), &self.claims(), key)
    }
}

/// The header of a token. Only version 1.0 repeats the key id as `x5t`.
#[must_use]
pub fn header(version: TokenVersion, kid: &str) -> Value {
    let mut header = json!({ "typ": "JWT", "alg": "RS256", "kid": kid });
    if version == TokenVersion::V1 {
        header["x5t"] = json!(kid);
    }
    header
}

/// A token of these claims, signed with RSASSA-PKCS1-v1_5 and SHA-256 whatever `header` says.
///
/// # Errors
/// OpenSSL's, when the key cannot sign.
pub fn sign(header: &Value, claims: &Value, key: &PKeyRef<Private>) -> Result<String, ErrorStack> {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = Signer::new(MessageDigest::sha256(), key)?.sign_oneshot_to_vec(signed.as_bytes())?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A token of these claims, signed with RSASSA-PSS and SHA-256 whatever `header` says.
///
/// # Errors
/// OpenSSL's, when the key cannot sign.
pub fn sign_pss(header: &Value, claims: &Value, key: &PKeyRef<Private>) -> Result<String, ErrorStack> {
    let signed = format!("{}.{}", encode(header), encode(claims));
    let mut signer = Signer::new(MessageDigest::sha256(), key)?;
    signer.set_rsa_padding(Padding::PKCS1_PSS)?;
    signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    Ok(format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signer.sign_oneshot_to_vec(signed.as_bytes())?)))
}

/// A token without a signature (`alg` "none"), for tests of verifiers.
#[must_use]
pub fn unsigned(claims: &Value) -> String {
    format!("{}.{}.", encode(&json!({ "typ": "JWT", "alg": "none" })), encode(claims))
}

/// The header and claims of a token, not verified. `None` when it is no JWT.
#[must_use]
pub fn decode_unverified(token: &str) -> Option<(Value, Value)> {
    let mut parts = token.split('.');
    let (header, claims) = (parts.next()?, parts.next()?);
    Some((decode_part(header)?, decode_part(claims)?))
}

/// The claims of a token whose RS256 signature is that of `key`; nothing else is checked.
#[must_use]
pub fn verified_claims(token: &str, key: &PKeyRef<Public>) -> Option<Value> {
    let (signed, signature) = token.rsplit_once('.')?;
    let (header, claims) = signed.split_once('.')?;
    if decode_part(header)?.get("alg")? != "RS256" {
        return None;
    }
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let mut verifier = Verifier::new(MessageDigest::sha256(), key).ok()?;
    let genuine = verifier.verify_oneshot(&signature, signed.as_bytes()).unwrap_or(false);
    if genuine { decode_part(claims) } else { None }
}

fn encode(part: &Value) -> String {
    URL_SAFE_NO_PAD.encode(part.to_string())
}

fn decode_part(part: &str) -> Option<Value> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

fn merge(target: &mut Value, source: Value) {
    if let (Value::Object(target), Value::Object(source)) = (target, source) {
        target.extend(source);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::keys::shared;

    fn builder(version: TokenVersion) -> ValidationTokenBuilder {
        ValidationTokenBuilder::new(
            version,
            "http://127.0.0.1:1",
            "tenant",
            "client",
            "2026-11-23T10:00:00Z".parse().unwrap(),
        )
    }

    #[test]
    fn version_one_names_the_publisher_in_appid() {
        let claims = builder(TokenVersion::V1).claims();
        assert_eq!(claims["ver"], "1.0");
        assert_eq!(claims["appid"], PUBLISHER);
        assert!(claims.get("azp").is_none());
        assert_eq!(claims["iss"], "https://sts.windows.net/tenant/");
        assert_eq!(claims["aud"], "client");
        assert_eq!(claims["tid"], "tenant");
    }

    #[test]
    fn version_two_names_the_publisher_in_azp() {
        let claims = builder(TokenVersion::V2).claims();
        assert_eq!(claims["ver"], "2.0");
        assert_eq!(claims["azp"], PUBLISHER);
        assert!(claims.get("appid").is_none());
        assert_eq!(claims["iss"], "http://127.0.0.1:1/tenant/v2.0");
    }

    #[test]
    fn a_validation_token_lives_for_a_day() {
        let claims = builder(TokenVersion::V1).claims();
        let issued = claims["iat"].as_i64().unwrap();
        assert_eq!(claims["nbf"].as_i64().unwrap(), issued);
        assert_eq!(claims["exp"].as_i64().unwrap() - issued, 86_400);
    }

    #[test]
    fn only_the_signers_key_verifies_and_only_rs256() {
        let (pair, other) = (shared(2048, 0), shared(2048, 1));
        let public = pair.certificate.public_key().unwrap();
        let token = builder(TokenVersion::V1).sign("kid", &pair.private_key).unwrap();
        assert_eq!(verified_claims(&token, &public).unwrap()["aud"], "client");
        let forged = builder(TokenVersion::V1).sign("kid", &other.private_key).unwrap();
        assert_eq!(verified_claims(&forged, &public), None);
        let none = unsigned(&json!({ "aud": "client" }));
        assert_eq!(verified_claims(&none, &public), None);
        let renamed = sign(&json!({ "alg": "none" }), &json!({}), &pair.private_key).unwrap();
        assert_eq!(verified_claims(&renamed, &public), None);
    }
}

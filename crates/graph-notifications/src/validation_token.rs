//! Validation tokens: how Graph proves that a notification with resource data comes from it.
//!
//! Follows "Set up change notifications that include resource data" and, for the signing keys, "Access tokens in the
//! Microsoft identity platform". A token goes through two steps, the cheap one first: [`CheckedToken::check`] reads it and
//! checks what it claims, [`CheckedToken::verify`] checks the signature under Entra's signing keys.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde::{
    Deserialize, Deserializer,
    de::{DeserializeOwned, IgnoredAny},
};

use crate::{
    identifiers::{ClientId, Policies, TenantId},
    signing_keys::{SigningKey, SigningKeys},
};

/// The application that Graph's change notifications come from, "Microsoft Graph Change Tracking": in the claim `appid`
/// of a v1 token, `azp` of a v2 token.
pub const PUBLISHER: &str = "0bf30f3b-4a52-48df-9a82-234910c4a086";

/// How far the clocks of Entra and this machine may be apart.
pub const CLOCK_SKEW: SignedDuration = SignedDuration::from_secs(300);

/// Longer tokens are not read; Entra's have about 1.5 kB.
const LONGEST_TOKEN: usize = 16 * 1024;

/// What a token must be for.
#[derive(Debug, Clone, Copy)]
pub struct Requirements<'a> {
    /// Our application: the audience.
    pub client_id: ClientId,
    /// What we watch: the token's tenant must be in it.
    pub policies: &'a Policies,
    /// Where v2 tokens are issued, without a slash at the end: `https://login.microsoftonline.com`.
    pub login_endpoint: &'a str,
    /// What the issuer of v1.0 tokens begins with, before the tenant: `https://sts.windows.net`, without a slash at its end.
    pub v1_issuers: &'a str,
    /// The present time.
    pub now: Timestamp,
}

/// Why a token does not vouch for anything. Each check has its own reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenError {
    /// Not three parts in base64url, or longer than any that Entra issues.
    #[error("the validation token is not a signed JSON Web Token")]
    NotAToken,
    /// The header is not JSON of the right types.
    #[error("the validation token's header cannot be read")]
    Header,
    /// `alg` is not `RS256`.
    #[error("the validation token is not signed with RS256")]
    Algorithm,
    /// `crit` names extensions: RFC 7515 forbids to accept a token with one that is not understood.
    #[error("the validation token's header demands an extension")]
    CriticalHeader,
    /// The claims are not JSON of the right types, or one is missing.
    #[error("the validation token's claims cannot be read")]
    Claims,
    /// `ver` is neither `1.0` nor `2.0`.
    #[error("the validation token is of an unknown version")]
    Version,
    /// `tid` is no tenant of ours.
    #[error("the validation token is of a tenant that is not configured")]
    Tenant,
    /// `iss` is not the issuer of this version's tokens for this tenant.
    #[error("the validation token has another issuer")]
    Issuer,
    /// `aud` is not our application.
    #[error("the validation token is for another application")]
    Audience,
    /// `appid` (v1) or `azp` (v2) is not Graph's publisher.
    #[error("the validation token was issued to another publisher")]
    Publisher,
    /// `exp` is past.
    #[error("the validation token has expired")]
    Expired,
    /// `nbf` is to come.
    #[error("the validation token is not valid yet")]
    NotYetValid,
    /// Entra's signing keys have none with its `kid`.
    #[error("the validation token is signed with a key that Entra does not publish")]
    UnknownKey,
    /// The key may not sign for this tenant.
    #[error("the validation token's key belongs to another issuer")]
    KeyIssuer,
    /// The signature is not the key's.
    #[error("the validation token's signature is wrong")]
    Signature,
}

/// A token whose claims are what they must be, but whose signature is not verified.
#[derive(Debug, Clone)]
pub struct CheckedToken {
    tenant: TenantId,
    kid: String,
    signed: String,
    signature: Vec<u8>,
}

/// Proof that Graph sent a notification of this tenant to our application.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ValidToken {
    tenant: TenantId,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    /// Even as null: RFC 7515 knows it as a list only.
    #[serde(default, deserialize_with = "present")]
    crit: bool,
}

#[derive(Deserialize)]
struct Claims {
    ver: String,
    tid: TenantId,
    iss: String,
    aud: String,
    #[serde(default)]
    appid: Option<String>,
    #[serde(default)]
    azp: Option<String>,
    exp: i64,
    nbf: i64,
}

impl CheckedToken {
    /// Reads a token and checks all that needs no key.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check(token: &str, requirements: &Requirements<'_>) -> Result<Self, TokenError> {
        if token.len() > LONGEST_TOKEN {
            return Err(TokenError::NotAToken);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::NotAToken)?;
        let (header, claims) = signed.split_once('.').ok_or(TokenError::NotAToken)?;
        let decode = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenError::NotAToken);
        let (header, claims, signature) = (decode(header)?, decode(claims)?, decode(signature)?);

        let kid = check_header(&header)?;
        let claims: Claims = from_object(&claims).ok_or(TokenError::Claims)?;
        check_claims(&claims, requirements)?;
        Ok(Self { tenant: claims.tid, kid, signed: signed.to_owned(), signature })
    }

    /// The tenant that it speaks for.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Verifies the signature. A key of another tenant's own that is watched, too, counts as absent: Entra gives out a tenant's keys
    /// by themselves, and this tenant's of the same name may not have been fetched yet.
    ///
    /// # Errors
    /// [`TokenError::UnknownKey`] if newer keys might help, [`TokenError::KeyIssuer`] or [`TokenError::Signature`] if not.
    pub fn verify(&self, keys: &SigningKeys, policies: &Policies) -> Result<ValidToken, TokenError> {
        let anothers = |key: &&SigningKey| {
            key.tenant().is_some_and(|tenant| tenant != self.tenant && policies.include_tenant(tenant))
        };
        let mut error = TokenError::UnknownKey;
        for key in keys.with_kid(&self.kid).filter(|key| !anothers(key)) {
            match self.verify_with(key) {
                Ok(()) => return Ok(ValidToken { tenant: self.tenant }),
                Err(reason) => error = reason,
            }
        }
        Err(error)
    }

    fn verify_with(&self, key: &SigningKey) -> Result<(), TokenError> {
        if !self.may_be_signed_by(key) {
            return Err(TokenError::KeyIssuer);
        }
        let (Some(n), Some(e)) = (key.modulus(), key.exponent()) else {
            return Err(TokenError::Signature);
        };
        RsaPublicKeyComponents { n, e }
            .verify(&RSA_PKCS1_2048_8192_SHA256, self.signed.as_bytes(), &self.signature)
            .map_err(|_| TokenError::Signature)
    }

    /// A key for all tenants has the place of the tenant left open in its issuer; any other is for its own tenant alone.
    fn may_be_signed_by(&self, key: &SigningKey) -> bool {
        let for_all = |issuer: &str| issuer.split('/').any(|place| place.eq_ignore_ascii_case("{tenantid}"));
        key.issuer.as_deref().is_none_or(for_all) || key.tenant() == Some(self.tenant)
    }
}

/// Reads a JSON object. `serde` would fill a structure from a list, too, and pass over text that is no UTF-8 where nobody reads it.
fn from_object<T: DeserializeOwned>(json: &[u8]) -> Option<T> {
    let json = std::str::from_utf8(json).ok()?;
    if json.trim_ascii_start().starts_with('{') { serde_json::from_str(json).ok() } else { None }
}

fn present<'de, D: Deserializer<'de>>(member: D) -> Result<bool, D::Error> {
    IgnoredAny::deserialize(member).map(|_| true)
}

fn check_header(header: &[u8]) -> Result<String, TokenError> {
    let header: Header = from_object(header).ok_or(TokenError::Header)?;
    if header.alg != "RS256" {
        return Err(TokenError::Algorithm);
    }
    if header.crit {
        return Err(TokenError::CriticalHeader);
    }
    Ok(header.kid)
}

fn check_claims(claims: &Claims, requirements: &Requirements<'_>) -> Result<(), TokenError> {
    if !requirements.policies.include_tenant(claims.tid) {
        return Err(TokenError::Tenant);
    }
    let (issuer, publisher) = match claims.ver.as_str() {
        "1.0" => (format!("{}/{}/", requirements.v1_issuers, claims.tid), &claims.appid),
        "2.0" => (format!("{}/{}/v2.0", requirements.login_endpoint, claims.tid), &claims.azp),
        _ => return Err(TokenError::Version),
    };
    if claims.iss != issuer {
        return Err(TokenError::Issuer);
    }
    if claims.aud != requirements.client_id.to_string() {
        return Err(TokenError::Audience);
    }
    if publisher.as_deref() != Some(PUBLISHER) {
        return Err(TokenError::Publisher);
    }
    let (now, skew) = (requirements.now.as_second(), CLOCK_SKEW.as_secs());
    if claims.exp.saturating_add(skew) <= now {
        return Err(TokenError::Expired);
    }
    if claims.nbf.saturating_sub(skew) > now {
        return Err(TokenError::NotYetValid);
    }
    Ok(())
}

impl ValidToken {
    /// The tenant that it speaks for.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.tenant
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::testing::{self, CLIENT, LOGIN, NOW, OTHER_TENANT, STS, TENANT, TokenSigner};

    fn policies() -> Policies {
        Policies::parse(&format!("Global,{OTHER_TENANT}/Site"), TENANT.parse().unwrap()).unwrap()
    }

    fn check(token: &str) -> Result<CheckedToken, TokenError> {
        let policies = policies();
        let requirements = Requirements {
            client_id: CLIENT.parse().unwrap(),
            policies: &policies,
            login_endpoint: LOGIN,
            v1_issuers: STS,
            now: NOW,
        };
        CheckedToken::check(token, &requirements)
    }

    fn with_claims(change: Value) -> Result<CheckedToken, TokenError> {
        check(&TokenSigner::new(0).token(testing::v2_claims(TENANT), change))
    }

    fn verify(token: &str, keys: &SigningKeys) -> Result<ValidToken, TokenError> {
        check(token)?.verify(keys, &policies())
    }

    #[test]
    fn tokens_of_both_versions_are_valid() {
        let signer = TokenSigner::new(0);
        for claims in [testing::v1_claims(TENANT), testing::v2_claims(TENANT)] {
            let token = signer.token(claims, json!({}));
            assert_eq!(verify(&token, &signer.keys()).unwrap().tenant().to_string(), TENANT);
        }
    }

    #[test]
    fn each_version_has_its_own_issuer_and_publisher_claim() {
        let signer = TokenSigner::new(0);
        let v1 = |change| check(&signer.token(testing::v1_claims(TENANT), change)).unwrap_err();
        let v2 = |change| check(&signer.token(testing::v2_claims(TENANT), change)).unwrap_err();
        assert_eq!(v1(json!({"iss": format!("{LOGIN}/{TENANT}/v2.0")})), TokenError::Issuer);
        assert_eq!(v2(json!({"iss": format!("https://sts.windows.net/{TENANT}/")})), TokenError::Issuer);
        assert_eq!(v1(json!({"appid": null, "azp": PUBLISHER})), TokenError::Publisher);
        assert_eq!(v2(json!({"azp": null, "appid": PUBLISHER})), TokenError::Publisher);
        for ver in ["3.0", "1", ""] {
            assert_eq!(v2(json!({"ver": ver})), TokenError::Version);
        }
    }

    #[test]
    fn claims_must_be_ours() {
        let error = |change| with_claims(change).unwrap_err();
        let stranger = "99999999-2222-3333-4444-555555555555";
        assert_eq!(error(json!({"tid": stranger})), TokenError::Tenant);
        assert_eq!(error(json!({"tid": OTHER_TENANT})), TokenError::Issuer);
        assert_eq!(error(json!({"iss": format!("{LOGIN}/{TENANT}/v2.0/")})), TokenError::Issuer);
        assert_eq!(error(json!({"iss": format!("https://login.example.com/{TENANT}/v2.0")})), TokenError::Issuer);
        assert_eq!(error(json!({"aud": stranger})), TokenError::Audience);
        assert_eq!(error(json!({"azp": CLIENT})), TokenError::Publisher);
        assert_eq!(error(json!({"azp": format!("{PUBLISHER} ")})), TokenError::Publisher);
    }

    #[test]
    fn times_have_a_skew_and_no_more() {
        let now = NOW.as_second();
        assert!(with_claims(json!({"exp": now - 299})).is_ok());
        assert_eq!(with_claims(json!({"exp": now - 300})).unwrap_err(), TokenError::Expired);
        assert!(with_claims(json!({"nbf": now + 300})).is_ok());
        assert_eq!(with_claims(json!({"nbf": now + 301})).unwrap_err(), TokenError::NotYetValid);
        assert_eq!(with_claims(json!({"exp": i64::MIN})).unwrap_err(), TokenError::Expired);
        assert_eq!(with_claims(json!({"nbf": i64::MAX})).unwrap_err(), TokenError::NotYetValid);
        assert!(with_claims(json!({"exp": i64::MAX, "nbf": i64::MIN})).is_ok());
    }

    #[test]
    fn a_token_of_the_greatest_length_is_read_and_a_longer_one_is_not() {
        let of_length = |length: usize| {
            let padded = |padding: usize| {
                let change = json!({"padding": "x".repeat(padding)});
                let token = TokenSigner::new(0).token(testing::v2_claims(TENANT), change);
                // The signature is not looked at yet, so that it can be of any length that base64 has.
                let signed = token.rsplit_once('.').unwrap().0;
                let rest = length - signed.len() - 1;
                (rest % 4 != 1).then(|| format!("{signed}.{}", "A".repeat(rest)))
            };
            (0..3).find_map(padded).unwrap()
        };
        assert!(check(&of_length(16 * 1024)).is_ok());
        assert_eq!(check(&of_length(16 * 1024 + 1)).unwrap_err(), TokenError::NotAToken);
    }

    #[test]
    fn claims_have_their_types() {
        for change in [
            json!({"aud": [CLIENT]}),
            json!({"exp": "9999999999"}),
            json!({"exp": 9_999_999_999.5}),
            json!({"exp": null}),
            json!({"nbf": true}),
            json!({"ver": 2}),
            json!({"tid": 1}),
            json!({"tid": "common"}),
            json!({"iss": {}}),
            json!({"azp": [PUBLISHER]}),
        ] {
            assert_eq!(with_claims(change.clone()).unwrap_err(), TokenError::Claims, "{change}");
        }
    }

    #[test]
    fn a_list_is_no_set_of_claims() {
        let claims = testing::v2_claims(TENANT);
        let list: Vec<_> =
            ["ver", "tid", "iss", "aud", "appid", "azp", "exp", "nbf"].map(|name| claims[name].clone()).into();
        let token = TokenSigner::new(0).sign(&json!({"alg": "RS256", "kid": "key"}), &json!(list));
        assert_eq!(check(&token).unwrap_err(), TokenError::Claims);
    }

    #[test]
    fn claims_are_text_also_where_nobody_reads_them() {
        let token = with_claims_written(|claims| claims.replacen('{', r#"{"name":"~","#, 1).into_bytes());
        assert!(check(&token).is_ok());
        let token = with_claims_written(|claims| {
            let text = claims.replacen('{', r#"{"name":"~","#, 1).into_bytes();
            text.into_iter().map(|byte| if byte == b'~' { 0xff } else { byte }).collect()
        });
        assert_eq!(check(&token).unwrap_err(), TokenError::Claims);
    }

    /// A token with these bytes for claims. The signature is not theirs; it is not looked at yet.
    fn with_claims_written(write: impl Fn(String) -> Vec<u8>) -> String {
        let token = TokenSigner::new(0).token(testing::v2_claims(TENANT), json!({}));
        let parts: Vec<&str> = token.split('.').collect();
        let claims = write(testing::v2_claims(TENANT).to_string());
        format!("{}.{}.{}", parts[0], BASE64_URL_SAFE_NO_PAD.encode(claims), parts[2])
    }

    #[test]
    fn headers_must_be_plain_rs256() {
        let signer = TokenSigner::new(0);
        let error = |header: Value| check(&signer.sign(&header, &testing::v2_claims(TENANT))).unwrap_err();
        for alg in ["none", "None", "HS256", "RS384", "RS512", "PS256", "rs256", ""] {
            assert_eq!(error(json!({"alg": alg, "kid": "key"})), TokenError::Algorithm, "{alg}");
        }
        for crit in [json!(["exp"]), json!([]), Value::Null] {
            assert_eq!(error(json!({"alg": "RS256", "kid": "key", "crit": crit})), TokenError::CriticalHeader);
        }
        for header in [
            json!({"alg": "RS256"}),
            json!({"kid": "key"}),
            json!({"alg": ["RS256"], "kid": "key"}),
            json!([]),
            json!(["RS256", "key", false]),
        ] {
            assert_eq!(error(header.clone()), TokenError::Header, "{header}");
        }
    }

    #[test]
    fn only_three_parts_in_base64url_are_a_token() {
        let token = TokenSigner::new(0).token(testing::v2_claims(TENANT), json!({}));
        let (signed, signature) = token.rsplit_once('.').unwrap();
        for broken in [
            String::new(),
            "a.b".into(),
            signed.into(),
            format!("{token}.x"),
            format!("{token}="),
            format!(" {token}"),
            format!("{signed}.+/"),
            format!("{signed}.{signature}\n"),
            format!("{}.{signed}", "a".repeat(LONGEST_TOKEN)),
        ] {
            assert_eq!(check(&broken).unwrap_err(), TokenError::NotAToken, "{broken:.40}");
        }
        assert_eq!(check("e30.e30.").unwrap_err(), TokenError::Header);
        assert_eq!(check(&format!("{}.bnVsbA.", token.split_once('.').unwrap().0)).unwrap_err(), TokenError::Claims);
    }

    #[test]
    fn the_signature_must_be_the_named_keys() {
        let (signer, stranger) = (TokenSigner::new(0), TokenSigner::new(1));
        let token = signer.token(testing::v2_claims(TENANT), json!({}));
        let forged = stranger.token(testing::v2_claims(TENANT), json!({}));
        let changed = token.replacen('.', "A.", 1);
        assert_eq!(verify(&forged, &signer.keys()), Err(TokenError::Signature));
        assert!(verify(&changed, &signer.keys()).is_err());
        let (signed, _) = token.rsplit_once('.').unwrap();
        assert_eq!(verify(&format!("{signed}."), &signer.keys()), Err(TokenError::Signature));
        let mut keys = signer.keys();
        keys.keys[0].kid = "another".into();
        assert_eq!(verify(&token, &keys), Err(TokenError::UnknownKey));
        keys.merge(stranger.keys());
        keys.merge(signer.keys());
        assert!(verify(&token, &keys).is_ok(), "one of two keys with the same kid fits");
    }

    #[test]
    fn a_key_signs_only_for_its_issuer() {
        let signer = TokenSigner::new(0);
        let token = signer.token(testing::v2_claims(TENANT), json!({}));
        let verify = |issuer: Option<String>| {
            let mut keys = signer.keys();
            keys.keys[0].issuer = issuer;
            verify(&token, &keys)
        };
        assert!(verify(None).is_ok());
        assert!(verify(Some("https://sts.windows.net/{tenantid}/".into())).is_ok());
        assert!(verify(Some("https://login.microsoftonline.com/{tenantId}/v2.0".into())).is_ok());
        assert!(verify(Some(format!("https://login.microsoftonline.com/{TENANT}/v2.0"))).is_ok());
        let strangers = "https://login.microsoftonline.com/99999999-2222-3333-4444-555555555555/v2.0";
        for issuer in [strangers.to_owned(), String::new(), TENANT[1..].into()] {
            assert_eq!(verify(Some(issuer.clone())), Err(TokenError::KeyIssuer), "{issuer}");
        }
    }

    #[test]
    fn a_key_of_another_tenant_that_is_watched_says_nothing_of_this_ones() {
        let signer = TokenSigner::new(0);
        let token = signer.token(testing::v2_claims(TENANT), json!({}));
        let mut keys = signer.keys();
        keys.keys[0].issuer = Some(format!("https://login.microsoftonline.com/{OTHER_TENANT}/v2.0"));
        assert_eq!(verify(&token, &keys), Err(TokenError::UnknownKey));
        keys.merge(signer.keys());
        assert!(verify(&token, &keys).is_ok());
    }

    #[test]
    fn a_token_without_its_signature_names_its_tenant() {
        let token = check(&TokenSigner::new(0).token(testing::v2_claims(OTHER_TENANT), json!({}))).unwrap();
        assert_eq!(token.tenant().to_string(), OTHER_TENANT);
    }
}

//! Client assertions: a JSON Web Token in place of a secret, signed with a certificate of the application, or by an issuer
//! whom it trusts.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use openssl::asn1::{Asn1Time, Asn1TimeRef};
use openssl::bn::BigNum;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, PKeyRef, Public};
use openssl::rsa::{Padding, Rsa};
use openssl::sign::{RsaPssSaltlen, Verifier};
use openssl::x509::X509;
use serde_json::{Map, Value};
use uuid::Uuid;

use super::config::{Application, FederatedCredential};
use super::entra_error::EntraError;
use super::tokens;

/// How far a clock may run ahead of Entra's.
const CLOCK_SKEW: SignedDuration = SignedDuration::from_mins(5);
/// How long an assertion of the application's own may hold.
const LONGEST_LIFE: SignedDuration = SignedDuration::from_mins(10);

/// A token that was read, but not verified.
pub(crate) struct ClientAssertion<'a> {
    text: &'a str,
    signed: &'a str,
    signature: Vec<u8>,
    header: Map<String, Value>,
    claims: Map<String, Value>,
}

/// The time for an assertion that a client made.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    /// By which certificates end.
    pub(crate) simulated: Timestamp,
    /// The client's, by which it wrote its assertion.
    pub(crate) outside: Timestamp,
}

/// The assertions that were accepted and hold still: none is accepted twice.
#[derive(Default)]
pub(crate) struct UsedAssertions {
    ends: BTreeMap<Uuid, Timestamp>,
}

impl UsedAssertions {
    /// Whether it is the first of this id among those that hold at `now`.
    fn is_first(&mut self, id: Uuid, end: Timestamp, now: Timestamp) -> bool {
        self.ends.retain(|_, end| *end > now);
        self.ends.insert(id, end).is_none()
    }
}

impl<'a> ClientAssertion<'a> {
    pub(crate) fn parse(text: &'a str) -> Result<Self, EntraError> {
        let parts: Vec<&str> = text.split('.').collect();
        let [header, claims, signature] = parts[..] else {
            return Err(EntraError::malformed("It has not three parts."));
        };
        let object = |part: &str| {
            let json = URL_SAFE_NO_PAD.decode(part).ok()?;
            serde_json::from_slice::<Map<String, Value>>(&json).ok()
        };
        let signature = URL_SAFE_NO_PAD.decode(signature).ok();
        let (Some(header), Some(claims), Some(signature)) = (object(header), object(claims), signature) else {
            return Err(EntraError::malformed("A part cannot be decoded."));
        };
        if header.contains_key("crit") {
            return Err(EntraError::malformed("It has critical headers."));
        }
        let signed = text.rsplit_once('.').map_or(text, |(signed, _)| signed);
        Ok(Self { text, signed, signature, header, claims })
    }

    /// Whether the application says that it made it; otherwise another issuer did.
    pub(crate) fn is_own(&self, client_id: &str) -> bool {
        self.claims.get("iss").is_some_and(|issuer| issuer == client_id)
    }

    /// Checks an assertion of the application's own, made for the token endpoint `audience`.
    pub(crate) fn check_own(
        &self,
        application: &Application,
        audience: &str,
        times: Times,
        used: &mut UsedAssertions,
    ) -> Result<(), EntraError> {
        if self.header.get("typ").is_none_or(|typ| typ != "JWT") {
            return Err(EntraError::malformed("The header 'typ' is not 'JWT'."));
        }
        self.check_certificate(&application.certificates, times.simulated)?;
        if self.text_claim("aud")? != audience {
            return Err(EntraError::malformed("The audience is not this token endpoint."));
        }
        if self.text_claim("sub")? != application.client_id {
            return Err(EntraError::refused(
                700_021,
                "Client assertion application identifier doesn't match 'client_id' parameter.",
            ));
        }
        let end = self.check_own_times(times.outside)?;
        let id = Uuid::try_parse(self.text_claim("jti")?)
            .map_err(|_| EntraError::malformed("The claim 'jti' is not a GUID."))?;
        if used.is_first(id, end, times.outside) {
            Ok(())
        } else {
            Err(EntraError::malformed("An assertion with this 'jti' was used before."))
        }
    }

    fn check_certificate(&self, registered: &[X509], now: Timestamp) -> Result<(), EntraError> {
        if self.header.get("alg").is_none_or(|alg| alg != "PS256") {
            return Err(EntraError::refused(
                700_027,
                "Client assertion failed signature validation. [Reason - The header 'alg' is not 'PS256'.]",
            ));
        }
        let digest = self.header.get("x5t#S256").and_then(Value::as_str).unwrap_or_default();
        let Some(certificate) = registered.iter().find(|certificate| sha256(certificate) == digest) else {
            return Err(EntraError::refused(
                700_027,
                format!(
                    "The certificate with identifier used to sign the client assertion is not registered on application. [Reason - The key was not found. Thumbprint of key used by client: '{digest}']"
                ),
            ));
        };
        if !is_valid_at(certificate, now) {
            return Err(EntraError::refused(
                1_000_502,
                "The provided certificate is not within its specified validity window.",
            ));
        }
        let key = certificate.public_key().map_err(|_| EntraError::malformed("The certificate has no key."))?;
        if self.is_pss_signature_of(&key) {
            Ok(())
        } else {
            Err(EntraError::refused(
                700_027,
                "Client assertion failed signature validation. [Reason - The key was found, but use of the key to verify the signature failed.]",
            ))
        }
    }

    /// When it ends, if it holds at `now`, and not for too long.
    fn check_own_times(&self, now: Timestamp) -> Result<Timestamp, EntraError> {
        let (begin, end) = (self.time_claim("nbf")?, self.time_claim("exp")?);
        let life = end.duration_since(begin);
        if begin > now + CLOCK_SKEW || end <= now || life > LONGEST_LIFE || self.time_claim("iat")? > now + CLOCK_SKEW {
            return Err(out_of_time(now, end));
        }
        Ok(end)
    }

    /// The application's federated credential that another issuer's token fits.
    pub(crate) fn federated<'b>(&self, application: &'b Application) -> Result<&'b FederatedCredential, EntraError> {
        let none = |code, what: &str, seen: &str| {
            EntraError::refused(
                code,
                format!(
                    "No matching federated identity record found for presented assertion {what} '{seen}'. Check your federated identity credential Subject, Audience and Issuer against the presented assertion."
                ),
            )
        };
        let credentials = &application.federated;
        if credentials.is_empty() {
            return Err(EntraError::refused(
                70_021,
                "No matching federated identity record found for presented assertion.",
            ));
        }
        let (issuer, subject) = (self.text_claim("iss")?, self.text_claim("sub")?);
        if credentials.iter().all(|credential| credential.issuer != issuer) {
            return Err(none(700_211, "issuer", issuer));
        }
        let credential = credentials
            .iter()
            .find(|credential| credential.issuer == issuer && credential.subject == subject)
            .ok_or_else(|| none(700_213, "subject", subject))?;
        // A list is none, even of one.
        let audience = self.text_claim("aud")?;
        if audience == credential.audience { Ok(credential) } else { Err(none(7_002_121, "audience", audience)) }
    }

    /// Checks another issuer's token with that issuer's keys document.
    pub(crate) fn check_federated(&self, keys: &Value, now: Timestamp) -> Result<(), EntraError> {
        let algorithm = self.header.get("alg").and_then(Value::as_str).unwrap_or_default();
        if algorithm != "RS256" {
            return Err(EntraError::new(
                401,
                "invalid_request",
                5_002_738,
                format!("Invalid JWT token. '{algorithm}' is not a supported signature algorithm."),
            ));
        }
        let kid = self.header.get("kid").and_then(Value::as_str).unwrap_or_default();
        let key = keys["keys"].as_array().into_iter().flatten().find(|key| key["kid"] == kid).and_then(public_key);
        let Some(key) = key else {
            return Err(EntraError::refused(
                7_000_272,
                format!(
                    "The certificate with identifier {kid} used to sign the federated credential could not be found in the metadata of the identity provider."
                ),
            ));
        };
        if tokens::verified_claims(self.text, &key).is_none() {
            return Err(EntraError::refused(700_027, "Client assertion failed signature validation."));
        }
        let end = self.time_claim("exp")?;
        let begins = ["nbf", "iat"].iter().filter(|name| self.claims.contains_key(**name));
        let begins = begins.map(|name| self.time_claim(name)).collect::<Result<Vec<_>, _>>()?;
        if end <= now || begins.iter().any(|begin| *begin > now + CLOCK_SKEW) {
            return Err(out_of_time(now, end));
        }
        Ok(())
    }

    fn is_pss_signature_of(&self, key: &PKeyRef<Public>) -> bool {
        let verified = || {
            let mut verifier = Verifier::new(MessageDigest::sha256(), key)?;
            verifier.set_rsa_padding(Padding::PKCS1_PSS)?;
            verifier.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
            verifier.verify_oneshot(&self.signature, self.signed.as_bytes())
        };
        verified().unwrap_or(false)
    }

    fn text_claim(&self, name: &str) -> Result<&str, EntraError> {
        let claim = self.claims.get(name).and_then(Value::as_str);
        claim.ok_or_else(|| EntraError::malformed(&format!("The claim '{name}' is missing or no text.")))
    }

    fn time_claim(&self, name: &str) -> Result<Timestamp, EntraError> {
        let claim = self.claims.get(name).and_then(Value::as_i64);
        let time = claim.and_then(|seconds| Timestamp::from_second(seconds).ok());
        time.ok_or_else(|| EntraError::malformed(&format!("The claim '{name}' is missing or no time.")))
    }
}

fn out_of_time(now: Timestamp, end: Timestamp) -> EntraError {
    EntraError::refused(
        700_024,
        format!(
            "Client assertion is not within its valid time range. Current time: {now}, expiry time of assertion {end}."
        ),
    )
}

/// The digest by which an assertion names its certificate.
pub(crate) fn sha256(certificate: &X509) -> String {
    let digest = certificate.digest(MessageDigest::sha256()).expect("OpenSSL computes a SHA-256");
    URL_SAFE_NO_PAD.encode(digest)
}

fn is_valid_at(certificate: &X509, now: Timestamp) -> bool {
    let now = Asn1Time::from_unix(now.as_second()).expect("a simulated time fits into a certificate");
    let reached = |time: &Asn1TimeRef| now.as_ref() >= time;
    reached(certificate.not_before()) && !reached(certificate.not_after())
}

/// The key of a keys document's entry, if it is an RSA key for signatures of at least 2048 bits.
fn public_key(jwk: &Value) -> Option<PKey<Public>> {
    let fits = |name: &str, wanted: &str| jwk.get(name).is_none_or(|value| value == wanted);
    if jwk["kty"] != "RSA" || !fits("use", "sig") || !fits("alg", "RS256") {
        return None;
    }
    let number = |name: &str| BigNum::from_slice(&URL_SAFE_NO_PAD.decode(jwk[name].as_str()?).ok()?).ok();
    let key = PKey::from_rsa(Rsa::from_public_components(number("n")?, number("e")?).ok()?).ok()?;
    (key.bits() >= 2048).then_some(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::keys::shared;
    use openssl::pkey::Private;
    use openssl::sign::Signer;
    use serde_json::json;

    const CLIENT: &str = "c0ffee00-1d2c-4b3a-8f4e-5d6c7b8a9f00";
    const AUDIENCE: &str = "http://127.0.0.1:1/tenant/oauth2/v2.0/token";
    const NOW: i64 = 1_764_000_000;
    const ISSUER: &str = "https://issuer.example";
    const SUBJECT: &str = "arn:aws:iam::000000000000:role/Renewer";
    const EXCHANGE: &str = "api://AzureADTokenExchange";

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn application(federated: Vec<FederatedCredential>) -> Application {
        Application {
            client_id: CLIENT.to_owned(),
            certificates: vec![shared(2048, 1).certificate.clone(), shared(2048, 0).certificate.clone()],
            federated,
            ..Application::default()
        }
    }

    fn header() -> Value {
        json!({"alg": "PS256", "typ": "JWT", "x5t#S256": sha256(&shared(2048, 0).certificate)})
    }

    fn claims() -> Value {
        json!({
            "aud": AUDIENCE, "iss": CLIENT, "sub": CLIENT, "jti": "7d0f1c4e-6a0b-4a53-9d8d-3b1c8f0a2e55",
            "iat": NOW, "nbf": NOW, "exp": NOW + 300,
        })
    }

    fn encoded(part: &Value) -> String {
        URL_SAFE_NO_PAD.encode(part.to_string())
    }

    fn ps256(header: &Value, claims: &Value, key: &PKeyRef<Private>) -> String {
        tokens::sign_pss(header, claims, key).unwrap()
    }

    fn own(header: &Value, claims: &Value) -> String {
        ps256(header, claims, &shared(2048, 0).private_key)
    }

    /// 0, or the number of the refusal.
    fn judged(text: &str, simulated: i64, used: &mut UsedAssertions) -> u32 {
        let times = Times { simulated: at(simulated), outside: at(NOW) };
        let checked = ClientAssertion::parse(text)
            .and_then(|assertion| assertion.check_own(&application(Vec::new()), AUDIENCE, times, used));
        checked.map_or_else(|error| error.code, |()| 0)
    }

    fn judged_once(text: &str) -> u32 {
        judged(text, NOW, &mut UsedAssertions::default())
    }

    fn with(mut base: Value, name: &str, value: Value) -> Value {
        base[name] = value;
        base
    }

    fn without(mut base: Value, name: &str) -> Value {
        base.as_object_mut().unwrap().remove(name);
        base
    }

    #[test]
    fn a_registered_certificate_proves_the_application() {
        let text = own(&header(), &claims());
        assert_eq!(judged_once(&text), 0);
        assert!(ClientAssertion::parse(&text).unwrap().is_own(CLIENT));
    }

    #[test]
    fn the_header_and_the_signature_must_be_those_of_a_registered_certificate() {
        let (pair, stranger) = (shared(2048, 0), shared(2048, 7));
        let rs256 = with(header(), "alg", json!("RS256"));
        let (first, rest) =
            own(&header(), &claims()).split_once('.').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        let (_, signature) = rest.rsplit_once('.').unwrap();
        let other_claims = format!("{first}.{}.{signature}", encoded(&with(claims(), "exp", json!(NOW + 301))));
        for (text, code) in [
            (tokens::sign(&rs256, &claims(), &pair.private_key).unwrap(), 700_027),
            (tokens::sign(&header(), &claims(), &pair.private_key).unwrap(), 700_027),
            (own(&with(header(), "alg", json!("none")), &claims()), 700_027),
            (own(&without(header(), "x5t#S256"), &claims()), 700_027),
            (own(&with(header(), "x5t#S256", json!(sha256(&stranger.certificate))), &claims()), 700_027),
            (own(&with(header(), "x5t#S256", json!(sha256(&shared(2048, 1).certificate))), &claims()), 700_027),
            (ps256(&header(), &claims(), &stranger.private_key), 700_027),
            (other_claims, 700_027),
            (own(&without(header(), "typ"), &claims()), 50_027),
            (own(&with(header(), "typ", json!("at+jwt")), &claims()), 50_027),
            (own(&with(header(), "crit", json!(["x"])), &claims()), 50_027),
            (format!("{first}.{rest}.x"), 50_027),
            (format!("{first}={rest}"), 50_027),
            (format!("{first}=.{rest}"), 50_027),
            ("e30.W10.e30".to_owned(), 50_027),
            (String::new(), 50_027),
        ] {
            assert_eq!(judged_once(&text), code, "{text}");
        }
    }

    #[test]
    fn the_salt_must_be_as_long_as_the_digest() {
        let signed = format!("{}.{}", encoded(&header()), encoded(&claims()));
        let pair = shared(2048, 0);
        let mut signer = Signer::new(MessageDigest::sha256(), &pair.private_key).unwrap();
        signer.set_rsa_padding(Padding::PKCS1_PSS).unwrap();
        signer.set_rsa_pss_saltlen(RsaPssSaltlen::custom(20)).unwrap();
        let signature = signer.sign_oneshot_to_vec(signed.as_bytes()).unwrap();
        assert_eq!(judged_once(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))), 700_027);
    }

    #[test]
    fn every_claim_counts() {
        for (name, value, code) in [
            ("aud", json!("http://127.0.0.1:1/other/oauth2/v2.0/token"), 50_027),
            ("aud", json!([AUDIENCE]), 50_027),
            ("sub", json!("c0ffee00-0000-0000-0000-000000000000"), 700_021),
            ("sub", json!(CLIENT.to_uppercase()), 700_021),
            ("jti", json!("1"), 50_027),
            ("nbf", json!(NOW + 300), 0),
            ("nbf", json!(NOW + 301), 700_024),
            ("nbf", json!(NOW - 300), 0),
            ("nbf", json!(NOW - 301), 700_024),
            ("nbf", json!("now"), 50_027),
            ("iat", json!(NOW + 301), 700_024),
            ("exp", json!(NOW + 600), 0),
            ("exp", json!(NOW + 601), 700_024),
            ("exp", json!(NOW), 700_024),
            ("exp", json!(NOW + 1), 0),
            ("exp", json!(1.5), 50_027),
        ] {
            assert_eq!(judged_once(&own(&header(), &with(claims(), name, value.clone()))), code, "{name} {value}");
        }
        for name in ["aud", "sub", "jti", "nbf", "iat", "exp"] {
            assert_eq!(judged_once(&own(&header(), &without(claims(), name))), 50_027, "{name}");
        }
        let foreign = own(&header(), &with(claims(), "iss", json!(ISSUER)));
        assert!(!ClientAssertion::parse(&foreign).unwrap().is_own(CLIENT));
    }

    #[test]
    fn a_certificate_holds_from_its_first_second_to_before_its_last() {
        let (first, last) = (at_text("2020-01-01T00:00:00Z"), at_text("2099-12-31T23:59:59Z"));
        for (simulated, code) in [(first - 1, 1_000_502), (first, 0), (last - 1, 0), (last, 1_000_502)] {
            let text = own(&header(), &claims());
            assert_eq!(judged(&text, simulated, &mut UsedAssertions::default()), code, "{simulated}");
        }
    }

    fn at_text(text: &str) -> i64 {
        text.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn an_assertion_is_good_once() {
        let mut used = UsedAssertions::default();
        let text = own(&header(), &claims());
        let longer = own(&header(), &with(claims(), "exp", json!(NOW + 400)));
        let other = own(&header(), &with(claims(), "jti", json!("7d0f1c4e-6a0b-4a53-9d8d-3b1c8f0a2e56")));
        let unregistered = ps256(&header(), &claims(), &shared(2048, 7).private_key);
        assert_eq!(judged(&unregistered, NOW, &mut used), 700_027);
        assert_eq!(judged(&text, NOW, &mut used), 0, "what was refused is not used");
        assert_eq!(judged(&text, NOW, &mut used), 50_027);
        assert_eq!(judged(&longer, NOW, &mut used), 50_027);
        assert_eq!(judged(&other, NOW, &mut used), 0);
        assert_eq!(used.ends.len(), 2);
        used.is_first(Uuid::from_u128(2), at(NOW + 500), at(NOW + 400));
        assert_eq!(used.ends.len(), 1, "only what holds still is remembered");
    }

    fn jwks(changes: &Value) -> Value {
        let mut key = crate::simulator::signing_keys::SigningKey::new(shared(2048, 2)).jwk(None);
        key["kid"] = json!("the-kid");
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        json!({"keys": [{"kty": "EC", "kid": "another"}, key]})
    }

    fn credential() -> FederatedCredential {
        FederatedCredential {
            issuer: ISSUER.to_owned(),
            subject: SUBJECT.to_owned(),
            audience: EXCHANGE.to_owned(),
            jwks: None,
        }
    }

    fn federated_header() -> Value {
        json!({"alg": "RS256", "kid": "the-kid", "typ": "JWT"})
    }

    fn federated_claims() -> Value {
        json!({"iss": ISSUER, "sub": SUBJECT, "aud": EXCHANGE, "iat": NOW, "exp": NOW + 300, "jti": "x"})
    }

    fn exchanged(text: &str, credentials: Vec<FederatedCredential>, keys: &Value) -> u32 {
        let application = application(credentials);
        let checked = ClientAssertion::parse(text).and_then(|assertion| {
            assert!(!assertion.is_own(CLIENT));
            assertion.federated(&application)?;
            assertion.check_federated(keys, at(NOW))
        });
        checked.map_or_else(|error| error.code, |()| 0)
    }

    fn foreign(header: &Value, claims: &Value) -> String {
        tokens::sign(header, claims, &shared(2048, 2).private_key).unwrap()
    }

    #[test]
    fn a_trusted_issuers_token_stands_for_the_application_as_often_as_it_comes() {
        let text = foreign(&federated_header(), &federated_claims());
        let other = FederatedCredential { subject: "another".to_owned(), ..credential() };
        for _ in 0..2 {
            assert_eq!(exchanged(&text, vec![other.clone(), credential()], &jwks(&json!({}))), 0);
        }
        assert_eq!(exchanged(&text, Vec::new(), &jwks(&json!({}))), 70_021);
    }

    #[test]
    fn issuer_subject_and_audience_must_be_those_of_one_federated_credential() {
        for (name, value, code) in [
            ("iss", json!("https://issuer.example/"), 700_211),
            ("iss", json!("https://ISSUER.example"), 700_211),
            ("sub", json!("arn:aws:iam::000000000000:role/renewer"), 700_213),
            ("sub", json!("arn:aws:sts::000000000000:assumed-role/Renewer/x"), 700_213),
            ("aud", json!("api://azureadtokenexchange"), 7_002_121),
            ("aud", json!([EXCHANGE]), 50_027),
            ("sub", Value::Null, 50_027),
        ] {
            let text = foreign(&federated_header(), &with(federated_claims(), name, value.clone()));
            assert_eq!(exchanged(&text, vec![credential()], &jwks(&json!({}))), code, "{name} {value}");
        }
        let text = foreign(&federated_header(), &with(federated_claims(), "sub", json!("somebody")));
        let application = application(vec![credential()]);
        let error = ClientAssertion::parse(&text).unwrap().federated(&application).unwrap_err();
        assert!(error.message.contains("'somebody'"), "{error:?}");
    }

    #[test]
    fn a_foreign_token_must_be_signed_by_its_issuer_and_current() {
        let good = foreign(&federated_header(), &federated_claims());
        let header = |name, value| foreign(&with(federated_header(), name, value), &federated_claims());
        let claims = |name, value| foreign(&federated_header(), &with(federated_claims(), name, value));
        let forged = tokens::sign(&federated_header(), &federated_claims(), &shared(2048, 7).private_key).unwrap();
        let ps256 =
            ps256(&with(federated_header(), "alg", json!("PS256")), &federated_claims(), &shared(2048, 2).private_key);
        for (text, keys, code) in [
            (&header("alg", json!("HS256")), json!({}), 5_002_738),
            (&ps256, json!({}), 5_002_738),
            (&header("kid", json!("other")), json!({}), 7_000_272),
            (&header("kid", Value::Null), json!({}), 7_000_272),
            (&header("kid", json!("another")), json!({}), 7_000_272),
            (&good, json!({"use": "enc"}), 7_000_272),
            (&good, json!({"kty": "EC"}), 7_000_272),
            (&good, json!({"alg": "RS512"}), 7_000_272),
            (&good, json!({"n": "AQAB"}), 7_000_272),
            (&forged, json!({}), 700_027),
            (&claims("exp", json!(NOW)), json!({}), 700_024),
            (&claims("exp", Value::Null), json!({}), 50_027),
            (&claims("nbf", json!(NOW + 301)), json!({}), 700_024),
            (&claims("iat", json!(NOW + 301)), json!({}), 700_024),
            (&claims("nbf", json!(NOW + 300)), json!({}), 0),
            (&good, json!({"alg": "RS256"}), 0),
        ] {
            assert_eq!(exchanged(text, vec![credential()], &jwks(&keys)), code, "{text} {keys}");
        }
    }
}

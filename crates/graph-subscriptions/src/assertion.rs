//! Client assertions: how an app proves with a certificate that it is the app that asks.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use graph_notifications::ClientId;
use jiff::{SignedDuration, Timestamp};
use openssl::{
    error::ErrorStack,
    hash::MessageDigest,
    rsa::Padding,
    sign::{RsaPssSaltlen, Signer},
};
use serde_json::{Value, json};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::credential::ClientCertificate;

/// How long an assertion holds. It is sent at once and never again.
const LIFETIME: SignedDuration = SignedDuration::from_mins(5);

/// An assertion that whoever holds `certificate` is `app`: a JSON Web Token, signed with RSASSA-PSS and SHA-256 (`PS256`).
///
/// `audience` is the address that the token is asked from, with the tenant. `id` is another one each time; with the salt of
/// the signature, which OpenSSL chooses, it is all that differs between two assertions of the same time.
///
/// # Errors
/// If OpenSSL lacks randomness or memory.
pub(crate) fn sign(
    certificate: &ClientCertificate,
    app: ClientId,
    audience: &str,
    id: Uuid,
    now: Timestamp,
) -> Result<Zeroizing<String>, ErrorStack> {
    let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": certificate.digest()});
    let claims = json!({
        "aud": audience,
        "iss": app.to_string(),
        "sub": app.to_string(),
        "jti": id.to_string(),
        "nbf": now.as_second(),
        "iat": now.as_second(),
        "exp": (now + LIFETIME).as_second(),
    });
    let signed = format!("{}.{}", encoded(&header), encoded(&claims));
    let mut signer = Signer::new(MessageDigest::sha256(), certificate.private_key())?;
    signer.set_rsa_padding(Padding::PKCS1_PSS)?;
    // The standard wants a salt as long as the digest.
    signer.set_rsa_pss_saltlen(RsaPssSaltlen::DIGEST_LENGTH)?;
    let signature = signer.sign_oneshot_to_vec(signed.as_bytes())?;
    Ok(Zeroizing::new(format!("{signed}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))))
}

fn encoded(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

#[cfg(test)]
mod tests {
    use base64::prelude::BASE64_STANDARD;
    use openssl::x509::X509;
    use ring::signature::{RSA_PSS_2048_8192_SHA256, RsaPublicKeyComponents};

    use super::*;
    use crate::testing::{NOW, client_certificate, key_pair};

    const APP: &str = "99999999-8888-7777-6666-555555555555";
    const AUDIENCE: &str = "https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/oauth2/v2.0/token";
    const ID: Uuid = Uuid::from_u128(0x0102_0304_0506_4708_890a_0b0c_0d0e_0f10);

    fn assertion() -> Zeroizing<String> {
        sign(&client_certificate(), APP.parse().unwrap(), AUDIENCE, ID, NOW).unwrap()
    }

    fn part(assertion: &str, index: usize) -> Vec<u8> {
        BASE64_URL_SAFE_NO_PAD.decode(assertion.split('.').nth(index).unwrap()).unwrap()
    }

    #[test]
    fn the_header_and_the_claims_are_what_entra_wants() {
        let assertion = assertion();
        let json = |index| serde_json::from_slice::<Value>(&part(&assertion, index)).unwrap();
        let der = BASE64_STANDARD.decode(key_pair().certificate_base64().unwrap()).unwrap();
        let digest = BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &der));
        assert_eq!(json(0), json!({"alg": "PS256", "typ": "JWT", "x5t#S256": digest}));
        assert_eq!(
            json(1),
            json!({
                "aud": AUDIENCE, "iss": APP, "sub": APP, "jti": "01020304-0506-4708-890a-0b0c0d0e0f10",
                "nbf": 1_764_000_000, "iat": 1_764_000_000, "exp": 1_764_000_300,
            })
        );
        assert_eq!(assertion.split('.').count(), 3);
    }

    #[test]
    fn the_signature_is_pss_with_a_salt_as_long_as_the_digest() {
        let assertion = assertion();
        let certificate = BASE64_STANDARD.decode(key_pair().certificate_base64().unwrap()).unwrap();
        let public = X509::from_der(&certificate).unwrap().public_key().unwrap().rsa().unwrap();
        let public = RsaPublicKeyComponents { n: public.n().to_vec(), e: public.e().to_vec() };
        let (signed, _) = assertion.rsplit_once('.').unwrap();
        // ring accepts no other length of the salt.
        let verify = |text: &str| public.verify(&RSA_PSS_2048_8192_SHA256, text.as_bytes(), &part(&assertion, 2));
        assert!(verify(signed).is_ok());
        assert!(verify(&format!("{signed}A")).is_err());
    }
}

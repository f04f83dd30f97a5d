//! The probe: a message to ourselves that takes the way of a notification, and proves that what Graph seals can be read.
//!
//! It is sealed as "Set up change notifications that include resource data" has it, with the certificate that Graph is given,
//! and posted to the notification address:
//!
//! ```json
//! {"probe": {"sentAt": "…", "encryptedContent": {"data": "…", "dataSignature": "…", "dataKey": "…",
//!   "encryptionCertificateId": "…", "encryptionCertificateThumbprint": "…"}, "proof": "…"}}
//! ```
//!
//! Anybody can seal, so the proof comes first: an HMAC over all the rest, under a key that only who holds the private key can
//! derive. Without it nothing is decrypted. What a probe holds is compared with the one thing that a probe says; there is no
//! way from a probe to a notification.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::{SignedDuration, Timestamp};
use openssl::{
    encrypt::Encrypter,
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Padding,
    symm::{self, Cipher},
};
use ring::{hkdf, hmac, rand::SecureRandom};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use crate::{
    decryption,
    envelope::{self, Content, EncryptedContent},
    keyring::{Keyring, StoredKeyPair},
};

/// How old a probe may be: what was recorded and is sent again cannot feign for long that all is well.
pub const LONGEST_WAY: SignedDuration = SignedDuration::from_mins(3);

/// How far in the future a probe may have been sent: clocks differ.
const CLOCKS_DIFFER: SignedDuration = SignedDuration::from_mins(1);

/// The largest body that is looked at as a probe, in bytes. With a key of 4096 bits it has under 2000.
const LARGEST: usize = 4096;

/// What the key of the proof is derived for, and for nothing else.
const PURPOSE: &[u8] = b"graph-notifications probe 1";

/// No probe can be made.
#[derive(Debug, thiserror::Error)]
pub enum SealError {
    /// The system gives no randomness.
    #[error("the system gives no randomness")]
    NoRandomness,
    /// OpenSSL cannot do it.
    #[error("OpenSSL: {0}")]
    OpenSsl(#[from] ErrorStack),
}

/// Makes the body of a probe that is sent `now`, sealed with this certificate.
///
/// # Errors
/// If there is no randomness, or OpenSSL runs out of memory.
pub fn seal(key: &StoredKeyPair, now: Timestamp, random: &dyn SecureRandom) -> Result<String, SealError> {
    let sent_at = now.to_string();
    let mut symmetric = Zeroizing::new([0; decryption::KEY_LENGTH]);
    random.fill(&mut *symmetric).map_err(|_| SealError::NoRandomness)?;
    let iv = &symmetric[..decryption::IV_LENGTH];
    let data = symm::encrypt(Cipher::aes_256_cbc(), &*symmetric, Some(iv), statement(&sent_at).as_bytes())?;
    let signature = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &*symmetric), &data);
    let content = EncryptedContent {
        data: BASE64_STANDARD.encode(&data),
        data_signature: BASE64_STANDARD.encode(signature),
        data_key: BASE64_STANDARD.encode(wrapped(key, &*symmetric)?),
        certificate_id: Some(key.certificate_id.clone()),
        thumbprint: Some(key.pair.thumbprint().to_owned()),
    };
    let proof = hmac::sign(&proof_key(key.pair.private_key())?, &proven(&sent_at, &content));
    let body = json!({"probe": {
        "sentAt": sent_at,
        "encryptedContent": {
            "data": content.data,
            "dataSignature": content.data_signature,
            "dataKey": content.data_key,
            "encryptionCertificateId": content.certificate_id,
            "encryptionCertificateThumbprint": content.thumbprint,
        },
        "proof": BASE64_STANDARD.encode(proof),
    }});
    Ok(body.to_string())
}

/// A probe as it arrived: nothing in it is to be believed yet.
#[derive(Debug)]
pub struct Probe(Option<Parts>);

#[derive(Debug)]
struct Parts {
    sent_at: String,
    content: EncryptedContent,
    proof: Vec<u8>,
}

/// Why a probe does not count. Its sender never learns it, and no part of the probe is repeated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProbeError {
    /// It lacks what makes a probe.
    #[error("the probe is malformed")]
    Malformed,
    /// It was not sent within the last minutes.
    #[error("the probe is not of this time")]
    NotOfThisTime,
    /// The keyring does not have its certificate. A newer keyring may.
    #[error("the keyring has no key for the probe's certificate")]
    UnknownCertificate,
    /// Nobody who holds the private key sent it, or it was changed.
    #[error("the probe has no proof that it is ours")]
    Unproven,
    /// It is ours, and the key does not open it.
    #[error("the keyring's key does not open the probe")]
    Undecryptable,
    /// It holds something else than a probe does.
    #[error("the probe holds something else")]
    Content,
}

impl Probe {
    /// Reads a body that is no collection of notifications: `None` if it is no probe either.
    #[must_use]
    pub fn parse(body: &[u8]) -> Option<Self> {
        let body = (body.len() <= LARGEST).then_some(body)?;
        let Ok(Value::Object(mut body)) = serde_json::from_slice(body) else { return None };
        if body.contains_key("value") {
            return None;
        }
        Some(Self(parts(body.remove("probe")?)))
    }

    /// Whether it has the form of a probe and says that it was sent lately: what can be asked without a keyring.
    ///
    /// # Errors
    /// If the probe does not count, whatever the keyring.
    pub fn check_time(&self, now: Timestamp) -> Result<(), ProbeError> {
        self.of_this_time(now).map(|_| ())
    }

    /// Whether what Graph would seal now can be read with this keyring. The cheap questions come first; the private key is
    /// used at most once, and only for what is proven to be ours.
    ///
    /// # Errors
    /// If the probe does not count.
    pub fn open(&self, keyring: &Keyring, now: Timestamp) -> Result<(), ProbeError> {
        let Parts { sent_at, content, proof } = self.of_this_time(now)?;
        let named = |key: &&StoredKeyPair| Some(&key.certificate_id) == content.certificate_id.as_ref();
        let key = keyring.keys.iter().rev().find(named).ok_or(ProbeError::UnknownCertificate)?.pair.private_key();
        let proof_key = proof_key(key).map_err(|_| ProbeError::Undecryptable)?;
        hmac::verify(&proof_key, &proven(sent_at, content), proof).map_err(|_| ProbeError::Unproven)?;
        let opened = decryption::open(content, key).ok_or(ProbeError::Undecryptable)?;
        if opened.as_bytes() == statement(sent_at).as_bytes() { Ok(()) } else { Err(ProbeError::Content) }
    }

    fn of_this_time(&self, now: Timestamp) -> Result<&Parts, ProbeError> {
        let parts = self.0.as_ref().ok_or(ProbeError::Malformed)?;
        let sent: Timestamp = parts.sent_at.parse().map_err(|_| ProbeError::Malformed)?;
        let of_this_time = (now - LONGEST_WAY..=now + CLOCKS_DIFFER).contains(&sent);
        if of_this_time { Ok(parts) } else { Err(ProbeError::NotOfThisTime) }
    }
}

fn parts(probe: Value) -> Option<Parts> {
    let Value::Object(mut probe) = probe else { return None };
    let Content::Encrypted(content) = envelope::content(probe.remove("encryptedContent")) else { return None };
    Some(Parts {
        sent_at: probe.get("sentAt")?.as_str()?.to_owned(),
        content,
        proof: BASE64_STANDARD.decode(probe.get("proof")?.as_str()?).ok()?,
    })
}

/// The one thing that a probe says.
fn statement(sent_at: &str) -> String {
    json!({"probe": sent_at}).to_string()
}

/// All that a probe consists of, in parts that cannot run into each other.
fn proven(sent_at: &str, content: &EncryptedContent) -> Vec<u8> {
    let text = |part: &Option<String>| part.clone().unwrap_or_default();
    let parts = [
        sent_at,
        &text(&content.certificate_id),
        &text(&content.thumbprint),
        &content.data_key,
        &content.data_signature,
        &content.data,
    ];
    let mut proven = Vec::new();
    for part in parts {
        proven.extend((part.len() as u64).to_be_bytes());
        proven.extend(part.as_bytes());
    }
    proven
}

/// The key of the proof. It is derived and not stored: it changes with the key pair, and both functions have it as soon as they
/// have that.
fn proof_key(private_key: &PKey<Private>) -> Result<hmac::Key, ErrorStack> {
    let exponent = Zeroizing::new(private_key.rsa()?.d().to_vec());
    let secret = hkdf::Salt::new(hkdf::HKDF_SHA256, PURPOSE).extract(&exponent);
    let key = secret.expand(&[b"proof"], hmac::HMAC_SHA256).expect("a key is as long as a digest");
    Ok(key.into())
}

/// The symmetric key, as Graph wraps it: RSA-OAEP with SHA-1, for the public key in the certificate.
fn wrapped(key: &StoredKeyPair, symmetric: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let public_key = key.pair.certificate().public_key()?;
    let mut encrypter = Encrypter::new(&public_key)?;
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
    encrypter.set_rsa_oaep_md(MessageDigest::sha1())?;
    encrypter.set_rsa_mgf1_md(MessageDigest::sha1())?;
    let mut wrapped = vec![0; encrypter.encrypt_len(symmetric)?];
    let length = encrypter.encrypt(symmetric, &mut wrapped)?;
    wrapped.truncate(length);
    Ok(wrapped)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{self, NOW, Sealer};

    fn sealed() -> Value {
        let body = seal(&testing::keyring().keys[0], NOW, &ring::rand::SystemRandom::new()).unwrap();
        serde_json::from_str(&body).unwrap()
    }

    fn open_at(body: &Value, now: Timestamp) -> Result<(), ProbeError> {
        Probe::parse(body.to_string().as_bytes()).unwrap().open(&testing::keyring(), now)
    }

    /// A probe with this content by somebody who holds the private key of the first pair.
    fn proven_by_us(content: &EncryptedContent) -> Value {
        let sent_at = NOW.to_string();
        let key = proof_key(testing::key_pair(0).private_key()).unwrap();
        let proof = BASE64_STANDARD.encode(hmac::sign(&key, &proven(&sent_at, content)));
        json!({"probe": {"sentAt": sent_at, "proof": proof, "encryptedContent": {
            "data": content.data, "dataSignature": content.data_signature, "dataKey": content.data_key,
            "encryptionCertificateId": content.certificate_id, "encryptionCertificateThumbprint": content.thumbprint,
        }}})
    }

    #[test]
    fn a_probe_of_ours_opens_for_some_minutes() {
        let body = sealed();
        for (seconds, opens) in [(0, true), (180, true), (181, false), (-60, true), (-61, false), (86_400, false)] {
            let opened = open_at(&body, NOW + SignedDuration::from_secs(seconds));
            assert_eq!(opened, if opens { Ok(()) } else { Err(ProbeError::NotOfThisTime) }, "{seconds}");
        }
        assert!(body.to_string().len() < LARGEST);
    }

    #[test]
    fn what_was_changed_is_not_ours() {
        let other = sealed();
        for path in [
            "/probe/encryptedContent/data",
            "/probe/encryptedContent/dataSignature",
            "/probe/encryptedContent/dataKey",
            "/probe/proof",
        ] {
            let mut body = sealed();
            *body.pointer_mut(path).unwrap() = other.pointer(path).unwrap().clone();
            assert_eq!(open_at(&body, NOW), Err(ProbeError::Unproven), "{path}");
        }
        let later = NOW + SignedDuration::from_secs(30);
        let mut body = sealed();
        body["probe"]["sentAt"] = later.to_string().into();
        assert_eq!(open_at(&body, later), Err(ProbeError::Unproven));
        let mut body = sealed();
        body["probe"]["encryptedContent"]["encryptionCertificateId"] = "key-1".into();
        assert_eq!(open_at(&body, NOW), Err(ProbeError::Unproven), "another key of the keyring");
        body["probe"]["encryptedContent"]["encryptionCertificateId"] = "lost".into();
        assert_eq!(open_at(&body, NOW), Err(ProbeError::UnknownCertificate));
    }

    #[test]
    fn who_has_only_the_certificate_cannot_make_one() {
        let content = Sealer::default().seal(statement(&NOW.to_string()).as_bytes());
        let mut body = proven_by_us(&content);
        assert_eq!(open_at(&body, NOW), Ok(()), "the content itself is right");
        body["probe"]["proof"] = BASE64_STANDARD.encode([0; 32]).into();
        assert_eq!(open_at(&body, NOW), Err(ProbeError::Unproven));
    }

    #[test]
    fn nothing_is_decrypted_without_the_proof() {
        // Were it tried, the error would be another one.
        let garbage = EncryptedContent { data_key: BASE64_STANDARD.encode([1; 256]), ..Sealer::default().seal(b"{}") };
        let mut body = proven_by_us(&garbage);
        assert_eq!(open_at(&body, NOW), Err(ProbeError::Undecryptable));
        body["probe"]["proof"] = "".into();
        assert_eq!(open_at(&body, NOW), Err(ProbeError::Unproven));
    }

    #[test]
    fn a_call_is_no_probe_even_if_we_seal_it() {
        let call = br##"{"@odata.type":"#microsoft.graph.emergencyCallEvent","id":"call-1"}"##;
        assert_eq!(open_at(&proven_by_us(&Sealer::default().seal(call)), NOW), Err(ProbeError::Content));
        let old = statement(&(NOW - SignedDuration::from_secs(1)).to_string());
        assert_eq!(open_at(&proven_by_us(&Sealer::default().seal(old.as_bytes())), NOW), Err(ProbeError::Content));
    }

    #[test]
    fn only_an_object_with_a_probe_is_one() {
        for body in
            ["", "[]", "{}", "\"probe\"", "{\"prob\":{}}", "{\"value\":[],\"probe\":{}}", "{\"value\":1,\"probe\":{}}"]
        {
            assert!(Probe::parse(body.as_bytes()).is_none(), "{body}");
        }
        let large = json!({"probe": "x".repeat(LARGEST)}).to_string();
        assert!(Probe::parse(large.as_bytes()).is_none());
    }

    #[test]
    fn a_malformed_probe_opens_nothing() {
        let mut bodies = vec![json!({"probe": null}), json!({"probe": []}), json!({"probe": {}})];
        for path in ["/probe/sentAt", "/probe/encryptedContent", "/probe/encryptedContent/dataKey", "/probe/proof"] {
            for wrong in [Value::Null, json!(1), json!({}), json!("?")] {
                let mut body = sealed();
                *body.pointer_mut(path).unwrap() = wrong;
                bodies.push(body);
            }
        }
        for body in bodies {
            assert!(matches!(open_at(&body, NOW), Err(ProbeError::Malformed | ProbeError::Unproven)), "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>) {
            let _ = Probe::parse(&body);
        }

        #[test]
        fn no_texts_panic(sent_at in ".{0,40}", data in "[A-Za-z0-9+/=]{0,80}", proof in "[A-Za-z0-9+/=]{0,50}") {
            let content = json!({"data": data, "dataSignature": data, "dataKey": data, "encryptionCertificateId": "key-0"});
            let body = json!({"probe": {"sentAt": sent_at, "encryptedContent": content, "proof": proof}});
            prop_assert!(open_at(&body, NOW).is_err());
        }
    }
}

//! Resource data sealed as Graph seals it ("Set up change notifications that include resource data"), and opened again.

use std::fmt::Write as _;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::encrypt::{Decrypter, Encrypter};
use openssl::error::ErrorStack;
use openssl::hash::{MessageDigest, hash};
use openssl::memcmp;
use openssl::pkey::{PKey, PKeyRef, Private};
use openssl::rand::rand_bytes;
use openssl::rsa::Padding;
use openssl::sign::Signer;
use openssl::symm::{Cipher, decrypt, encrypt};
use openssl::x509::X509;
use serde::{Deserialize, Serialize};

/// The length of the symmetric key, in bytes.
pub const KEY_LENGTH: usize = 32;

/// The `encryptedContent` of a change notification. All fields but the last two are Base64.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EncryptedContent {
    /// The document: AES-256-CBC with PKCS#7 padding; the IV is the first half of the symmetric key.
    pub data: String,
    /// HMAC-SHA256 over the ciphertext's bytes with the symmetric key.
    pub data_signature: String,
    /// The symmetric key under RSA-OAEP with SHA-1.
    pub data_key: String,
    /// The subscriber's own name of the certificate.
    pub encryption_certificate_id: String,
    /// SHA-1 of the certificate, as 40 upper-case hexadecimal digits.
    pub encryption_certificate_thumbprint: String,
}

/// Why sealed content does not open.
#[derive(Debug, thiserror::Error)]
pub enum UnsealError {
    /// A field is not Base64.
    #[error("`{0}` is not Base64")]
    NotBase64(&'static str),
    /// The symmetric key does not unwrap with this private key.
    #[error("the data key does not unwrap with this private key")]
    Key,
    /// The unwrapped key has another length than [`KEY_LENGTH`].
    #[error("the data key has {0} bytes instead of 32")]
    KeyLength(usize),
    /// The signature does not match the ciphertext.
    #[error("the data signature does not match")]
    Signature,
    /// The ciphertext does not decrypt to anything with valid padding.
    #[error("the data does not decrypt")]
    Data,
    /// OpenSSL itself failed.
    #[error("OpenSSL failed")]
    OpenSsl(#[from] ErrorStack),
}

/// Seals `document` for the holder of the certificate's key, under a fresh symmetric key.
///
/// # Errors
/// OpenSSL's, when the certificate is not X.509 or holds no RSA key.
pub fn seal(document: &[u8], certificate_der: &[u8], certificate_id: &str) -> Result<EncryptedContent, ErrorStack> {
    let mut key = [0; KEY_LENGTH];
    rand_bytes(&mut key)?;
    seal_with(document, certificate_der, certificate_id, &key)
}

/// Seals `document` under a symmetric key of the caller's choice, for tests that need wrong or known keys.
///
/// # Errors
/// OpenSSL's, when the certificate is not X.509 or holds no RSA key, or the key is too long to wrap.
///
/// # Panics
/// When the key has fewer than 16 bytes.
pub fn seal_with(
    document: &[u8],
    certificate_der: &[u8],
    certificate_id: &str,
    key: &[u8],
) -> Result<EncryptedContent, ErrorStack> {
    let mut cipher_key = [0; KEY_LENGTH];
    let used = key.len().min(KEY_LENGTH);
    cipher_key[..used].copy_from_slice(&key[..used]);
    let data = encrypt(Cipher::aes_256_cbc(), &cipher_key, Some(&key[..16]), document)?;
    Ok(EncryptedContent {
        data_signature: STANDARD.encode(hmac(key, &data)?),
        data: STANDARD.encode(data),
        data_key: STANDARD.encode(wrap(key, certificate_der)?),
        encryption_certificate_id: certificate_id.to_owned(),
        encryption_certificate_thumbprint: thumbprint(certificate_der)?,
    })
}

/// Opens sealed content, checking the signature before decrypting, as receivers are told to.
///
/// # Errors
/// The first step that fails.
pub fn unseal(content: &EncryptedContent, private_key: &PKeyRef<Private>) -> Result<Vec<u8>, UnsealError> {
    let decode = |name, text: &str| STANDARD.decode(text).map_err(|_| UnsealError::NotBase64(name));
    let data = decode("data", &content.data)?;
    let signature = decode("dataSignature", &content.data_signature)?;
    let wrapped = decode("dataKey", &content.data_key)?;

    let key = unwrap(&wrapped, private_key).map_err(|_| UnsealError::Key)?;
    if key.len() != KEY_LENGTH {
        return Err(UnsealError::KeyLength(key.len()));
    }
    let expected = hmac(&key, &data)?;
    if expected.len() != signature.len() || !memcmp::eq(&expected, &signature) {
        return Err(UnsealError::Signature);
    }
    decrypt(Cipher::aes_256_cbc(), &key, Some(&key[..16]), &data).map_err(|_| UnsealError::Data)
}

/// A certificate's SHA-1 thumbprint: 40 upper-case hexadecimal digits.
///
/// # Errors
/// OpenSSL's, when it offers no SHA-1.
pub fn thumbprint(certificate_der: &[u8]) -> Result<String, ErrorStack> {
    let digest = hash(MessageDigest::sha1(), certificate_der)?;
    Ok(digest.iter().fold(String::with_capacity(40), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    }))
}

fn hmac(key: &[u8], message: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let key = PKey::hmac(key)?;
    Signer::new(MessageDigest::sha256(), &key)?.sign_oneshot_to_vec(message)
}

fn wrap(key: &[u8], certificate_der: &[u8]) -> Result<Vec<u8>, ErrorStack> {
    let public = X509::from_der(certificate_der)?.public_key()?;
    let mut encrypter = Encrypter::new(&public)?;
    encrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
    encrypter.set_rsa_oaep_md(MessageDigest::sha1())?;
    encrypter.set_rsa_mgf1_md(MessageDigest::sha1())?;
    let mut wrapped = vec![0; encrypter.encrypt_len(key)?];
    let length = encrypter.encrypt(key, &mut wrapped)?;
    wrapped.truncate(length);
    Ok(wrapped)
}

fn unwrap(wrapped: &[u8], private_key: &PKeyRef<Private>) -> Result<Vec<u8>, ErrorStack> {
    let mut decrypter = Decrypter::new(private_key)?;
    decrypter.set_rsa_padding(Padding::PKCS1_OAEP)?;
    decrypter.set_rsa_oaep_md(MessageDigest::sha1())?;
    decrypter.set_rsa_mgf1_md(MessageDigest::sha1())?;
    let mut key = vec![0; decrypter.decrypt_len(wrapped)?];
    let length = decrypter.decrypt(wrapped, &mut key)?;
    key.truncate(length);
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::keys::shared;

    const DOCUMENT: &[u8] = br#"{"id":"11111111-0000-0000-0000-000000000000"}"#;

    fn sealed() -> EncryptedContent {
        seal(DOCUMENT, &shared(2048, 0).certificate_der(), "key-1").unwrap()
    }

    fn flip(text: &str) -> String {
        let mut bytes = STANDARD.decode(text).unwrap();
        let last = bytes.len() - 1;
        bytes[last] ^= 1;
        STANDARD.encode(bytes)
    }

    #[test]
    fn what_is_sealed_opens_with_every_allowed_key_size() {
        for bits in [2048, 3072, 4096] {
            let pair = shared(bits, 0);
            let content = seal(DOCUMENT, &pair.certificate_der(), "key-1").unwrap();
            assert_eq!(unseal(&content, &pair.private_key).unwrap(), DOCUMENT);
        }
    }

    #[test]
    fn every_sealing_uses_a_fresh_key() {
        let (one, two) = (sealed(), sealed());
        assert_ne!(one.data, two.data);
        assert_ne!(one.data_key, two.data_key);
    }

    #[test]
    fn the_parts_are_those_of_the_protocol() {
        let pair = shared(2048, 0);
        let key: Vec<u8> = (0..32).collect();
        let content = seal_with(DOCUMENT, &pair.certificate_der(), "key-1", &key).unwrap();
        let data = STANDARD.decode(&content.data).unwrap();
        assert_eq!(decrypt(Cipher::aes_256_cbc(), &key, Some(&key[..16]), &data).unwrap(), DOCUMENT);
        let mac = Signer::new(MessageDigest::sha256(), &PKey::hmac(&key).unwrap())
            .unwrap()
            .sign_oneshot_to_vec(&data)
            .unwrap();
        assert_eq!(STANDARD.decode(&content.data_signature).unwrap(), mac);
        let mut unwrapped = vec![0; 256];
        let length = pair
            .private_key
            .rsa()
            .unwrap()
            .private_decrypt(&STANDARD.decode(&content.data_key).unwrap(), &mut unwrapped, Padding::PKCS1_OAEP)
            .unwrap();
        assert_eq!(&unwrapped[..length], key);
        assert_eq!(content.encryption_certificate_id, "key-1");
        let thumbprint = &content.encryption_certificate_thumbprint;
        assert_eq!(thumbprint.len(), 40);
        assert!(thumbprint.bytes().all(|byte| byte.is_ascii_digit() || (b'A'..=b'F').contains(&byte)));
        assert_eq!(
            pair.certificate.digest(MessageDigest::sha1()).unwrap()[0],
            u8::from_str_radix(&thumbprint[..2], 16).unwrap()
        );
    }

    #[test]
    fn each_tampered_part_is_told_apart() {
        let pair = shared(2048, 0);
        let content = sealed();
        let open = |content: &EncryptedContent| unseal(content, &pair.private_key).unwrap_err();
        let with = |change: &dyn Fn(&mut EncryptedContent)| {
            let mut changed = content.clone();
            change(&mut changed);
            open(&changed)
        };
        assert!(matches!(with(&|c| c.data = flip(&c.data)), UnsealError::Signature));
        assert!(matches!(with(&|c| c.data_signature = flip(&c.data_signature)), UnsealError::Signature));
        assert!(matches!(with(&|c| c.data_key = flip(&c.data_key)), UnsealError::Key));
        assert!(matches!(with(&|c| c.data = "!".to_owned()), UnsealError::NotBase64("data")));
        let short = seal_with(DOCUMENT, &pair.certificate_der(), "key-1", &[7; 24]).unwrap();
        assert!(matches!(open(&short), UnsealError::KeyLength(24)));
        assert!(matches!(unseal(&content, &shared(2048, 1).private_key).unwrap_err(), UnsealError::Key));
    }
}

//! Decryption of the resource in a notification.
//!
//! Follows "Set up change notifications that include resource data": the symmetric key is wrapped by RSA-OAEP with SHA-1,
//! the data signed with HMAC-SHA256 and encrypted with AES-256 in CBC mode under that key, the key's first half as
//! initialisation vector.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use openssl::{
    encrypt::Decrypter,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Padding,
    symm::{self, Cipher},
};
use ring::hmac;
use zeroize::{Zeroize as _, Zeroizing};

use crate::{
    envelope::{Content, EncryptedContent},
    keyring::Keyring,
};

pub(crate) const KEY_LENGTH: usize = 32;
pub(crate) const IV_LENGTH: usize = 16;

/// The decrypted resource: JSON, if Graph keeps its word. It holds personal data: cleared when dropped, never printed.
pub struct DecryptedResource(Zeroizing<Vec<u8>>);

impl DecryptedResource {
    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for DecryptedResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DecryptedResource({} bytes)", self.0.len())
    }
}

/// Why an authentic notification cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecryptionError {
    /// It has no encrypted content, or not the members that make one.
    #[error("the notification has no encrypted content")]
    NoContent,
    /// The keyring has no key for it. A newer keyring may.
    #[error("the keyring has no key for encryption certificate {certificate_id} with thumbprint {thumbprint}")]
    UnknownCertificate {
        /// The notification's `encryptionCertificateId`, printable and cut.
        certificate_id: String,
        /// The notification's `encryptionCertificateThumbprint`, printable and cut.
        thumbprint: String,
    },
    /// The key does not open it. Wrapped key, signature and padding fail alike, so that nobody can learn which of them
    /// it was.
    #[error(
        "the key of encryption certificate {certificate_id} with thumbprint {thumbprint} does not open the content"
    )]
    Failed {
        /// The keyring's `encryptionCertificateId`.
        certificate_id: String,
        /// The keyring's thumbprint of it.
        thumbprint: String,
    },
}

/// Revoked keys are used for items whose sender is verified only: others may hold them.
pub(crate) fn decrypt(
    content: &Content,
    keyring: &Keyring,
    is_verified: bool,
) -> Result<DecryptedResource, DecryptionError> {
    let Content::Encrypted(content) = content else {
        return Err(DecryptionError::NoContent);
    };
    let mut error = DecryptionError::UnknownCertificate {
        certificate_id: printable(content.certificate_id.as_deref()),
        thumbprint: printable(content.thumbprint.as_deref()),
    };
    let keys = keyring.keys_for(content.certificate_id.as_deref(), content.thumbprint.as_deref());
    for key in keys.into_iter().filter(|key| is_verified || key.revoked_at.is_none()) {
        if let Some(resource) = open(content, key.pair.private_key()) {
            return Ok(resource);
        }
        error = DecryptionError::Failed {
            certificate_id: key.certificate_id.clone(),
            thumbprint: key.pair.thumbprint().to_owned(),
        };
    }
    Err(error)
}

/// All failures are one: `None`.
pub(crate) fn open(content: &EncryptedContent, private_key: &PKey<Private>) -> Option<DecryptedResource> {
    let wrapped_key = BASE64_STANDARD.decode(&content.data_key).ok()?;
    let signature = BASE64_STANDARD.decode(&content.data_signature).ok()?;
    let data = BASE64_STANDARD.decode(&content.data).ok()?;

    let key = unwrap_key(&wrapped_key, private_key)?;
    hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &*key), &data, &signature).ok()?;
    let resource = symm::decrypt(Cipher::aes_256_cbc(), &*key, Some(&key[..IV_LENGTH]), &data).ok()?;
    Some(DecryptedResource(Zeroizing::new(resource)))
}

fn unwrap_key(wrapped: &[u8], private_key: &PKey<Private>) -> Option<Zeroizing<[u8; KEY_LENGTH]>> {
    let mut decrypter = Decrypter::new(private_key).ok()?;
    decrypter.set_rsa_padding(Padding::PKCS1_OAEP).ok()?;
    decrypter.set_rsa_oaep_md(MessageDigest::sha1()).ok()?;
    decrypter.set_rsa_mgf1_md(MessageDigest::sha1()).ok()?;
    let mut buffer = Zeroizing::new(vec![0; decrypter.decrypt_len(wrapped).ok()?]);
    let length = decrypter.decrypt(wrapped, &mut buffer).ok()?;
    let mut key: [u8; KEY_LENGTH] = buffer.get(..length)?.try_into().ok()?;
    let unwrapped = Zeroizing::new(key);
    key.zeroize();
    Some(unwrapped)
}

/// What a stranger may have written, fit for a log line.
fn printable(text: Option<&str>) -> String {
    text.unwrap_or("(none)").chars().filter(|c| c.is_ascii_graphic() || *c == ' ').take(128).collect()
}

#[cfg(test)]
mod tests {
    use openssl::symm::encrypt;

    use super::*;
    use crate::testing::{self, Sealer};

    const RESOURCE: &[u8] = b"{\"id\":\"call-1\"}";

    fn sealed() -> EncryptedContent {
        Sealer::default().seal(RESOURCE)
    }

    fn open_with(content: EncryptedContent) -> Result<DecryptedResource, DecryptionError> {
        decrypt(&Content::Encrypted(content), &testing::keyring(), true)
    }

    #[track_caller]
    fn assert_failed(content: EncryptedContent) {
        assert!(matches!(open_with(content), Err(DecryptionError::Failed { .. })));
    }

    #[test]
    fn what_graph_seals_can_be_read() {
        assert_eq!(open_with(sealed()).unwrap().as_bytes(), RESOURCE);
        let other = Sealer { pair: 1, certificate_id: "key-1", ..Sealer::default() };
        assert_eq!(open_with(other.seal(RESOURCE)).unwrap().as_bytes(), RESOURCE);
    }

    #[test]
    fn the_thumbprint_finds_the_key_that_the_id_does_not() {
        let mut content = sealed();
        content.certificate_id = Some("lost".into());
        assert!(open_with(content).is_ok());
        let mut confused = sealed();
        confused.certificate_id = Some("key-1".into());
        assert!(open_with(confused).is_ok(), "the id names another key, the thumbprint the right one");
    }

    #[test]
    fn a_certificate_that_the_keyring_lacks_is_named() {
        let mut content = sealed();
        content.certificate_id = Some("lost\n\u{202e}".into());
        content.thumbprint = None;
        assert_eq!(
            open_with(content).unwrap_err(),
            DecryptionError::UnknownCertificate { certificate_id: "lost".into(), thumbprint: "(none)".into() }
        );
    }

    #[test]
    fn without_content_there_is_nothing_to_read() {
        for content in [Content::Missing, Content::Malformed] {
            assert_eq!(decrypt(&content, &testing::keyring(), true).unwrap_err(), DecryptionError::NoContent);
        }
    }

    #[test]
    fn the_signature_is_over_the_decoded_bytes() {
        let sealer = Sealer::default();
        let mut content = sealed();
        content.data_signature = sealer.sign(content.data.as_bytes());
        assert_failed(content);
    }

    #[test]
    fn a_changed_byte_is_noticed_before_decryption() {
        let mut data = BASE64_STANDARD.decode(sealed().data).unwrap();
        data[0] ^= 1;
        assert_failed(EncryptedContent { data: BASE64_STANDARD.encode(data), ..sealed() });
        for signature in [String::new(), "?".into(), sealed().data_signature[..20].to_owned()] {
            assert_failed(EncryptedContent { data_signature: signature, ..sealed() });
        }
    }

    #[test]
    fn the_symmetric_key_has_32_bytes() {
        for length in [16, 24, 31, 33, 48] {
            let sealer = Sealer { key: (0..length).collect(), ..Sealer::default() };
            let mut content = sealed();
            content.data_key = sealer.wrapped_key();
            content.data_signature = sealer.sign(&BASE64_STANDARD.decode(&content.data).unwrap());
            assert_failed(content);
        }
    }

    #[test]
    fn the_key_is_wrapped_with_oaep_and_sha1() {
        for (padding, digest) in
            [(Padding::PKCS1_OAEP, MessageDigest::sha256()), (Padding::PKCS1, MessageDigest::sha1())]
        {
            let sealer = Sealer { padding, digest, ..Sealer::default() };
            assert_failed(EncryptedContent { data_key: sealer.wrapped_key(), ..sealed() });
        }
    }

    #[test]
    fn the_initialisation_vector_is_the_keys_first_half() {
        let key = Sealer::default().key;
        let resource = [RESOURCE; 3].concat();
        let data = encrypt(Cipher::aes_256_cbc(), &key, Some(&key[16..]), &resource).unwrap();
        let content = EncryptedContent {
            data_signature: Sealer::default().sign(&data),
            data: BASE64_STANDARD.encode(&data),
            ..sealed()
        };
        let opened = open_with(content).unwrap();
        assert_ne!(opened.as_bytes()[..16], resource[..16]);
        assert_eq!(opened.as_bytes()[16..], resource[16..]);
    }

    #[test]
    fn every_failure_reads_the_same() {
        let bad_padding = {
            let sealer = Sealer::default();
            let data = [7; 32];
            EncryptedContent { data: BASE64_STANDARD.encode(data), data_signature: sealer.sign(&data), ..sealed() }
        };
        let bad_key = EncryptedContent { data_key: BASE64_STANDARD.encode([1; 256]), ..sealed() };
        let bad_signature = EncryptedContent { data_signature: BASE64_STANDARD.encode([0; 32]), ..sealed() };
        let bad_base64 = EncryptedContent { data: "*".into(), ..sealed() };
        let errors = [bad_padding, bad_key, bad_signature, bad_base64].map(|content| open_with(content).unwrap_err());
        assert!(errors.iter().all(|error| *error == errors[0]), "{errors:?}");
    }

    #[test]
    fn the_resource_is_never_printed() {
        assert_eq!(format!("{:?}", open_with(sealed()).unwrap()), "DecryptedResource(15 bytes)");
    }

    #[test]
    fn a_revoked_key_opens_only_what_holds_both_proofs() {
        let mut keyring = testing::keyring();
        let content = Content::Encrypted(sealed());
        assert!(decrypt(&content, &keyring, false).is_ok());
        keyring.keys[0].revoked_at = Some(testing::NOW);
        assert!(decrypt(&content, &keyring, true).is_ok());
        assert!(matches!(decrypt(&content, &keyring, false), Err(DecryptionError::UnknownCertificate { .. })));
    }
}

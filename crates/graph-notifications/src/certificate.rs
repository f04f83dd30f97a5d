//! Encryption certificates: the key pairs whose public half Graph encrypts for.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use jiff::Timestamp;
use openssl::{
    asn1::Asn1Time,
    bn::{BigNum, MsbOption},
    error::ErrorStack,
    hash::MessageDigest,
    pkey::{PKey, Private},
    rsa::Rsa,
    x509::{X509, X509NameBuilder, extension::KeyUsage},
};
use zeroize::Zeroizing;

/// The size of an RSA key: what Graph accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum KeySize {
    /// 2048 bits: a decryption takes a quarter of the time that 3072 bits take.
    #[default]
    Rsa2048,
    /// 3072 bits.
    Rsa3072,
    /// 4096 bits.
    Rsa4096,
}

impl KeySize {
    const fn bits(self) -> u32 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
        }
    }
}

/// A self-signed certificate and its private key.
///
/// OpenSSL clears the private key from memory when it is dropped; `Debug` does not show it.
#[derive(Clone)]
pub struct KeyPair {
    certificate: X509,
    private_key: PKey<Private>,
    thumbprint: String,
}

/// The certificate or the private key cannot be read, or they do not belong together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyPairError {
    /// Not an X.509 certificate in base64-encoded DER.
    #[error("the certificate is not an X.509 certificate in base64")]
    Certificate,
    /// Not an RSA private key of 2048 to 4096 bits in base64-encoded PKCS#8 DER.
    #[error("the private key is not an RSA key of 2048 to 4096 bits in base64")]
    PrivateKey,
    /// Each is readable, but the certificate is for another key.
    #[error("the certificate does not belong to the private key")]
    Mismatch,
}

impl KeyPair {
    /// Makes a key pair with a self-signed certificate that is valid between the two times.
    ///
    /// # Errors
    /// If OpenSSL cannot make it: no randomness, no memory, or a time beyond what a certificate can say.
    pub fn generate(size: KeySize, not_before: Timestamp, not_after: Timestamp) -> Result<Self, ErrorStack> {
        let private_key = PKey::from_rsa(Rsa::generate(size.bits())?)?;
        let certificate = self_signed(&private_key, not_before, not_after)?;
        Self::of(certificate, private_key)
    }

    /// Reads a key pair as the keyring stores it: both base64, a certificate in DER and a private key in PKCS#8 DER.
    ///
    /// # Errors
    /// If either is unreadable or they do not belong together. The error says nothing of the key.
    pub fn from_base64(certificate: &str, private_key: &str) -> Result<Self, KeyPairError> {
        let certificate = BASE64_STANDARD.decode(certificate).map_err(|_| KeyPairError::Certificate)?;
        let certificate = X509::from_der(&certificate).map_err(|_| KeyPairError::Certificate)?;
        let private_key = Zeroizing::new(BASE64_STANDARD.decode(private_key).map_err(|_| KeyPairError::PrivateKey)?);
        let private_key = PKey::private_key_from_pkcs8(&private_key).map_err(|_| KeyPairError::PrivateKey)?;
        if private_key.rsa().is_err() || !(2048..=4096).contains(&private_key.bits()) {
            return Err(KeyPairError::PrivateKey);
        }
        let public_key = certificate.public_key().map_err(|_| KeyPairError::Certificate)?;
        if !public_key.public_eq(&private_key) {
            return Err(KeyPairError::Mismatch);
        }
        Self::of(certificate, private_key).map_err(|_| KeyPairError::Certificate)
    }

    fn of(certificate: X509, private_key: PKey<Private>) -> Result<Self, ErrorStack> {
        let thumbprint = upper_hex(&certificate.digest(MessageDigest::sha1())?);
        Ok(Self { certificate, private_key, thumbprint })
    }

    /// The certificate as Graph's `encryptionCertificate` wants it: DER in base64, without armour.
    ///
    /// # Errors
    /// If OpenSSL runs out of memory.
    pub fn certificate_base64(&self) -> Result<String, ErrorStack> {
        Ok(BASE64_STANDARD.encode(self.certificate.to_der()?))
    }

    /// The private key as the keyring stores it.
    ///
    /// # Errors
    /// If OpenSSL runs out of memory.
    pub fn private_key_base64(&self) -> Result<Zeroizing<String>, ErrorStack> {
        let der = Zeroizing::new(self.private_key.private_key_to_pkcs8()?);
        Ok(Zeroizing::new(BASE64_STANDARD.encode(&*der)))
    }

    /// The certificate's SHA-1 digest in 40 upper-case hexadecimal digits, as in `encryptionCertificateThumbprint`.
    #[must_use]
    pub fn thumbprint(&self) -> &str {
        &self.thumbprint
    }

    /// When the certificate ends; `None` if it names no time that can be read.
    #[must_use]
    pub fn not_after(&self) -> Option<Timestamp> {
        let epoch = Asn1Time::from_unix(0).ok()?;
        let left = epoch.diff(self.certificate.not_after()).ok()?;
        Timestamp::from_second(i64::from(left.days) * 86_400 + i64::from(left.secs)).ok()
    }

    pub(crate) fn certificate(&self) -> &X509 {
        &self.certificate
    }

    pub(crate) fn private_key(&self) -> &PKey<Private> {
        &self.private_key
    }
}

impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyPair").field("thumbprint", &self.thumbprint).finish_non_exhaustive()
    }
}

fn self_signed(key: &PKey<Private>, not_before: Timestamp, not_after: Timestamp) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_text("CN", "Graph change notifications")?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::ONE, false)?;
    let mut certificate = X509::builder()?;
    certificate.set_version(2)?;
    certificate.set_serial_number(&*serial.to_asn1_integer()?)?;
    certificate.set_subject_name(&name)?;
    certificate.set_issuer_name(&name)?;
    certificate.set_not_before(&*Asn1Time::from_unix(not_before.as_second())?)?;
    certificate.set_not_after(&*Asn1Time::from_unix(not_after.as_second())?)?;
    certificate.set_pubkey(key)?;
    // An app can sign in to Entra with such a certificate, too.
    let usage = KeyUsage::new().critical().digital_signature().key_encipherment().data_encipherment().build()?;
    certificate.append_extension(usage)?;
    certificate.sign(key, MessageDigest::sha256())?;
    Ok(certificate.build())
}

fn upper_hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02X}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    const START: Timestamp = Timestamp::constant(1_764_000_000, 0);
    const END: Timestamp = Timestamp::constant(1_827_072_000, 0);

    #[test]
    fn a_generated_pair_survives_storage() {
        let pair = KeyPair::generate(KeySize::Rsa2048, START, END).unwrap();
        let certificate = pair.certificate_base64().unwrap();
        let read = KeyPair::from_base64(&certificate, &pair.private_key_base64().unwrap()).unwrap();
        assert_eq!(read.thumbprint(), pair.thumbprint());
        assert_eq!(read.not_after(), Some(END));
        assert_eq!(read.thumbprint().len(), 40);
        assert!(
            read.private_key().private_key_to_pkcs8().unwrap() == pair.private_key().private_key_to_pkcs8().unwrap()
        );
    }

    #[test]
    fn the_certificate_says_what_its_key_is_for() {
        let pair = KeyPair::generate(KeySize::Rsa3072, START, END).unwrap();
        assert_eq!(pair.certificate.public_key().unwrap().bits(), 3072);
        assert!(pair.certificate.verify(pair.private_key()).unwrap());
        let text = String::from_utf8(pair.certificate.to_text().unwrap()).unwrap();
        assert!(text.contains("Digital Signature, Key Encipherment, Data Encipherment"), "{text}");
    }

    #[test]
    fn what_does_not_fit_together_is_refused() {
        let (one, two) = (testing::key_pair(0), testing::key_pair(1));
        let (certificate, key) = (one.certificate_base64().unwrap(), one.private_key_base64().unwrap());
        let error = |certificate: &str, key: &str| KeyPair::from_base64(certificate, key).unwrap_err();
        assert_eq!(error("?", &key), KeyPairError::Certificate);
        assert_eq!(error("AAAA", &key), KeyPairError::Certificate);
        assert_eq!(error(&certificate, "AAAA"), KeyPairError::PrivateKey);
        assert_eq!(error(&two.certificate_base64().unwrap(), &key), KeyPairError::Mismatch);
        let short = PKey::from_rsa(Rsa::generate(1024).unwrap()).unwrap();
        let short = BASE64_STANDARD.encode(short.private_key_to_pkcs8().unwrap());
        assert_eq!(error(&certificate, &short), KeyPairError::PrivateKey);
    }

    #[test]
    fn the_private_key_is_never_printed() {
        let pair = testing::key_pair(0);
        assert_eq!(format!("{pair:?}"), format!("KeyPair {{ thumbprint: \"{}\", .. }}", pair.thumbprint()));
    }
}

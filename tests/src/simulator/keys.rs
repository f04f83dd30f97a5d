//! RSA key pairs with self-signed certificates, generated once per process and shared by whoever asks for the same one.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::{X509, X509NameBuilder};

/// A private key and its self-signed certificate.
pub struct KeyPair {
    /// The RSA private key.
    pub private_key: PKey<Private>,
    /// A self-signed certificate of the key.
    pub certificate: X509,
}

impl KeyPair {
    /// Generates a key of `bits` bits and its certificate.
    ///
    /// # Errors
    /// OpenSSL's, when it cannot generate or sign.
    pub fn generate(bits: u32, common_name: &str) -> Result<Self, ErrorStack> {
        let private_key = PKey::from_rsa(Rsa::generate(bits)?)?;
        let certificate = self_signed(&private_key, common_name)?;
        Ok(Self { private_key, certificate })
    }

    /// The certificate in DER.
    ///
    /// # Panics
    /// Never for a certificate that OpenSSL made.
    #[must_use]
    pub fn certificate_der(&self) -> Vec<u8> {
        self.certificate.to_der().expect("a certificate made here encodes")
    }

    /// The certificate as a subscription's `encryptionCertificate` carries it: Base64 of the DER, without PEM armour.
    #[must_use]
    pub fn certificate_base64(&self) -> String {
        STANDARD.encode(self.certificate_der())
    }
}

/// The process's key pair number `index` of `bits` bits. The same arguments give the same pair, because generating one is slow.
///
/// # Panics
/// When OpenSSL cannot generate a key, as for a size that it does not support.
#[must_use]
pub fn shared(bits: u32, index: usize) -> Arc<KeyPair> {
    type Pairs = BTreeMap<(u32, usize), Arc<KeyPair>>;
    static PAIRS: LazyLock<Mutex<Pairs>> = LazyLock::new(Mutex::default);
    let mut pairs = PAIRS.lock().unwrap_or_else(PoisonError::into_inner);
    Arc::clone(pairs.entry((bits, index)).or_insert_with(|| {
        Arc::new(KeyPair::generate(bits, "graph-simulator").expect("OpenSSL generates an RSA key pair"))
    }))
}

/// A certificate in PEM, in DER, or in base64 of DER; `None` if it is none of them.
#[must_use]
pub fn read_certificate(bytes: &[u8]) -> Option<X509> {
    let from_base64 = || X509::from_der(&STANDARD.decode(bytes.trim_ascii()).ok()?).ok();
    X509::from_pem(bytes).or_else(|_| X509::from_der(bytes)).ok().or_else(from_base64)
}

fn self_signed(key: &PKey<Private>, common_name: &str) -> Result<X509, ErrorStack> {
    let mut name = X509NameBuilder::new()?;
    name.append_entry_by_nid(Nid::COMMONNAME, common_name)?;
    let name = name.build();
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;

    let mut builder = X509::builder()?;
    builder.set_version(2)?;
    let serial = serial.to_asn1_integer()?;
    builder.set_serial_number(&serial)?;
    builder.set_subject_name(&name)?;
    builder.set_issuer_name(&name)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(&*Asn1Time::from_str("20200101000000Z")?)?;
    builder.set_not_after(&*Asn1Time::from_str("20991231235959Z")?)?;
    builder.sign(key, MessageDigest::sha256())?;
    Ok(builder.build())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_pair_is_shared_and_another_index_is_another_key() {
        assert!(Arc::ptr_eq(&shared(2048, 0), &shared(2048, 0)));
        assert_ne!(shared(2048, 0).certificate_der(), shared(2048, 1).certificate_der());
    }

    #[test]
    fn a_certificate_is_read_in_each_form() {
        let pair = shared(2048, 0);
        let pem = pair.certificate.to_pem().unwrap();
        for form in [pem, pair.certificate_der(), format!("{}\n", pair.certificate_base64()).into_bytes()] {
            assert_eq!(read_certificate(&form).unwrap().to_der().unwrap(), pair.certificate_der());
        }
        assert!(read_certificate(b"AAAA").is_none());
    }

    #[test]
    fn the_certificate_belongs_to_the_key() {
        let pair = shared(2048, 0);
        let public = pair.certificate.public_key().unwrap();
        assert!(public.public_eq(&pair.private_key));
        assert!(pair.certificate.verify(&public).unwrap());
    }
}

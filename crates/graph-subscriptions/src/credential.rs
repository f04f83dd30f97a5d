//! What proves to Entra that it is the app that asks.

use std::fmt;

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use graph_notifications::{KeyPair, certificate::KeyPairError};
use openssl::{
    hash::MessageDigest,
    pkey::{PKey, PKeyRef, Private},
    x509::X509,
};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// What proves to Entra that it is the app that asks. It is cleared from memory when dropped, and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
#[non_exhaustive]
pub enum Credential {
    /// A client secret of the app registration: its value, not its ID.
    ClientSecret(String),
    /// A certificate that is registered with the app, and its private key, which signs an assertion for each request.
    // OpenSSL clears the key.
    Certificate(#[zeroize(skip)] ClientCertificate),
    /// A JSON Web Token of another issuer whom a federated credential of the app trusts, sent as it is. The caller got it
    /// for the audience [`LoginEndpoint::federation_audience`](crate::LoginEndpoint::federation_audience).
    Federated(String),
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ClientSecret(_) => "ClientSecret(..)",
            Self::Certificate(_) => "Certificate(..)",
            Self::Federated(_) => "Federated(..)",
        })
    }
}

/// A certificate and its RSA private key, to sign client assertions with.
///
/// OpenSSL clears the private key from memory when the last clone is dropped; `Debug` does not show it.
#[derive(Clone)]
pub struct ClientCertificate {
    digest: String,
    private_key: PKey<Private>,
}

impl ClientCertificate {
    /// Reads what [`KeyPair::certificate_base64`] and [`KeyPair::private_key_base64`] give: both base64, a certificate in
    /// DER and a private key in PKCS#8 DER.
    ///
    /// # Errors
    /// If either is unreadable or they do not belong together; the error says which, and nothing of the key.
    pub fn from_base64(certificate: &str, private_key: &str) -> Result<Self, KeyPairError> {
        KeyPair::from_base64(certificate, private_key)?;
        let certificate = BASE64_STANDARD.decode(certificate).map_err(|_| KeyPairError::Certificate)?;
        let certificate = X509::from_der(&certificate).map_err(|_| KeyPairError::Certificate)?;
        let digest = certificate.digest(MessageDigest::sha256()).map_err(|_| KeyPairError::Certificate)?;
        let private_key = Zeroizing::new(BASE64_STANDARD.decode(private_key).map_err(|_| KeyPairError::PrivateKey)?);
        let private_key = PKey::private_key_from_pkcs8(&private_key).map_err(|_| KeyPairError::PrivateKey)?;
        Ok(Self { digest: BASE64_URL_SAFE_NO_PAD.encode(digest), private_key })
    }

    /// The SHA-256 digest of the certificate's DER in base64url, by which Entra finds the certificate (`x5t#S256`).
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    pub(crate) fn private_key(&self) -> &PKeyRef<Private> {
        &self.private_key
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientCertificate").field("digest", &self.digest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::key_pair;

    #[test]
    fn the_digest_is_that_of_the_certificate() {
        let pair = key_pair();
        let (certificate, key) = (pair.certificate_base64().unwrap(), pair.private_key_base64().unwrap());
        let read = ClientCertificate::from_base64(&certificate, &key).unwrap();
        let der = BASE64_STANDARD.decode(certificate).unwrap();
        assert_eq!(read.digest(), BASE64_URL_SAFE_NO_PAD.encode(ring::digest::digest(&ring::digest::SHA256, &der)));
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let pair = key_pair();
        let (certificate, key) = (pair.certificate_base64().unwrap(), pair.private_key_base64().unwrap());
        let other = PKey::from_rsa(openssl::rsa::Rsa::generate(2048).unwrap()).unwrap();
        let other = BASE64_STANDARD.encode(other.private_key_to_pkcs8().unwrap());
        let error = |certificate: &str, key: &str| ClientCertificate::from_base64(certificate, key).unwrap_err();
        assert_eq!(error("AAAA", &key), KeyPairError::Certificate);
        assert_eq!(error(&certificate, "?"), KeyPairError::PrivateKey);
        assert_eq!(error(&certificate, &other), KeyPairError::Mismatch);
    }

    #[test]
    fn no_credential_is_printed() {
        let pair = key_pair();
        let key = pair.private_key_base64().unwrap();
        let certificate = ClientCertificate::from_base64(&pair.certificate_base64().unwrap(), &key).unwrap();
        assert_eq!(
            format!("{certificate:?}"),
            format!("ClientCertificate {{ digest: {:?}, .. }}", certificate.digest())
        );
        for (credential, printed) in [
            (Credential::ClientSecret("hunter2".to_owned()), "ClientSecret(..)"),
            (Credential::Certificate(certificate), "Certificate(..)"),
            (Credential::Federated("e30.e30.hunter2".to_owned()), "Federated(..)"),
        ] {
            assert_eq!(format!("{credential:?}"), printed);
        }
    }
}

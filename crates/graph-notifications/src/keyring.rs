//! The keyring: all the secrets that receiving needs, as one versioned JSON document.
//!
//! ```json
//! {"version": 1,
//!  "keys": [{"certificateId": "…", "certificate": "…", "privateKey": "…", "createdAt": "…", "retiredAt": null, "revokedAt": null}],
//!  "clientStateKeys": [{"id": "…", "key": "…", "createdAt": "…", "retiredAt": null}],
//!  "clientStates": [{"id": "…", "value": "…", "createdAt": "…", "retiredAt": null}],
//!  "signingKeys": {"fetchedAt": "…", "keys": [{"kid": "…", "n": "…", "e": "AQAB", "issuer": "…"}]}}
//! ```

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::{
    certificate::{KeyPair, KeyPairError},
    client_state::{ClientStates, StoredClientState, StoredClientStateKey},
    signing_keys::SigningKeys,
};

/// The secrets that receiving needs: decryption keys, client states, and Entra's signing keys beside them, so that one
/// read suffices before the first notification can be handled.
#[derive(Debug, Clone, Default)]
pub struct Keyring {
    /// Encryption key pairs, the oldest first. The last that is not retired is the one to hand to Graph.
    pub keys: Vec<StoredKeyPair>,
    /// The keys by which client states are made, the oldest first. The last that is not retired is the one to use.
    pub client_state_keys: Vec<StoredClientStateKey>,
    /// Client states that earlier versions drew and stored, the oldest first.
    pub client_states: Vec<StoredClientState>,
    /// Entra's signing keys; `None` until they were fetched for the first time.
    pub signing_keys: Option<SigningKeys>,
}

/// An encryption key pair as the keyring keeps it.
#[derive(Debug, Clone)]
pub struct StoredKeyPair {
    /// What Graph was told as `encryptionCertificateId` and repeats in each notification: at most 128 characters.
    pub certificate_id: String,
    /// The certificate and its private key.
    pub pair: KeyPair,
    /// When it was made.
    pub created_at: Timestamp,
    /// Since when no subscription uses it; notifications on their way may still need it.
    pub retired_at: Option<Timestamp>,
    /// Since when it may be known to others: it opens only items that hold both proofs of their sender.
    pub revoked_at: Option<Timestamp>,
}

/// The text is no keyring of a version that this program reads. No part of the text is repeated here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyringError {
    /// Not JSON, or not of the keyring's shape.
    #[error("it is not a keyring: line {line}, column {column}")]
    Shape {
        /// Where the reader stopped.
        line: usize,
        /// Where the reader stopped.
        column: usize,
    },
    /// Written by a program that is newer than this one.
    #[error("it is a keyring of version {0}, and this program reads version {VERSION}")]
    Version(u32),
    /// The key pair at this position, counted from 1, cannot be used.
    #[error("its key pair number {0} cannot be used: {1}")]
    KeyPair(usize, KeyPairError),
}

const VERSION: u32 = 1;

impl Keyring {
    /// Reads a stored keyring.
    ///
    /// # Errors
    /// If any part of it is unreadable: a keyring that is silently short of a key would cost an alert its details.
    pub fn from_json(text: &str) -> Result<Self, KeyringError> {
        let stored: Stored = serde_json::from_str(text)
            .map_err(|error| KeyringError::Shape { line: error.line(), column: error.column() })?;
        if stored.version != VERSION {
            return Err(KeyringError::Version(stored.version));
        }
        let keys = stored.keys.into_iter().enumerate().map(|(index, key)| {
            let pair = KeyPair::from_base64(&key.certificate, &key.private_key)
                .map_err(|error| KeyringError::KeyPair(index + 1, error))?;
            Ok(StoredKeyPair {
                certificate_id: key.certificate_id,
                pair,
                created_at: key.created_at,
                retired_at: key.retired_at,
                revoked_at: key.revoked_at,
            })
        });
        Ok(Self {
            keys: keys.collect::<Result<_, _>>()?,
            client_state_keys: stored.client_state_keys,
            client_states: stored.client_states,
            signing_keys: stored.signing_keys,
        })
    }

    /// Writes the keyring for storage.
    ///
    /// # Errors
    /// If OpenSSL cannot write out a key.
    ///
    /// # Panics
    /// Never: strings, numbers and lists always have a JSON form.
    pub fn to_json(&self) -> Result<Zeroizing<String>, openssl::error::ErrorStack> {
        let keys = self.keys.iter().map(|key| {
            Ok(StoredKey {
                certificate_id: key.certificate_id.clone(),
                certificate: key.pair.certificate_base64()?,
                private_key: key.pair.private_key_base64()?,
                created_at: key.created_at,
                retired_at: key.retired_at,
                revoked_at: key.revoked_at,
            })
        });
        let stored = Stored {
            version: VERSION,
            keys: keys.collect::<Result<_, _>>()?,
            client_state_keys: self.client_state_keys.clone(),
            client_states: self.client_states.clone(),
            signing_keys: self.signing_keys.clone(),
        };
        let text = serde_json::to_string(&stored).expect("strings, numbers and lists always have a JSON form");
        Ok(Zeroizing::new(text))
    }

    /// The key pair to hand to Graph: the newest that is neither retired nor revoked.
    #[must_use]
    pub fn current_key(&self) -> Option<&StoredKeyPair> {
        self.keys.iter().rev().find(|key| key.retired_at.is_none() && key.revoked_at.is_none())
    }

    /// The key to make client states by: the newest that is not retired.
    #[must_use]
    pub fn current_client_state_key(&self) -> Option<&StoredClientStateKey> {
        self.client_state_keys.iter().rev().find(|key| key.retired_at.is_none())
    }

    /// The client states that it knows.
    #[must_use]
    pub fn known_client_states(&self) -> ClientStates<'_> {
        ClientStates { keys: &self.client_state_keys, stored: &self.client_states }
    }

    /// The key pairs that may fit an item: first the one with the certificate id, then one with the thumbprint.
    ///
    /// The id alone would do; the thumbprint saves an alert's details when an id was given to two certificates.
    pub(crate) fn keys_for<'a>(&'a self, id: Option<&'a str>, thumbprint: Option<&'a str>) -> Vec<&'a StoredKeyPair> {
        let by_id = self.keys.iter().rev().filter(move |key| Some(key.certificate_id.as_str()) == id);
        let by_thumbprint = self.keys.iter().filter(move |key| {
            Some(key.certificate_id.as_str()) != id
                && thumbprint.is_some_and(|thumbprint| key.pair.thumbprint().eq_ignore_ascii_case(thumbprint))
        });
        by_id.chain(by_thumbprint).collect()
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Stored {
    version: u32,
    #[serde(default)]
    keys: Vec<StoredKey>,
    #[serde(default)]
    client_state_keys: Vec<StoredClientStateKey>,
    #[serde(default)]
    client_states: Vec<StoredClientState>,
    #[serde(default)]
    signing_keys: Option<SigningKeys>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct StoredKey {
    certificate_id: String,
    certificate: String,
    private_key: Zeroizing<String>,
    created_at: Timestamp,
    #[serde(default)]
    retired_at: Option<Timestamp>,
    #[serde(default)]
    revoked_at: Option<Timestamp>,
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::{
        client_state::{ClientState, ClientStateKey},
        testing,
    };

    fn stored(id: &str, index: usize) -> StoredKeyPair {
        StoredKeyPair {
            certificate_id: id.into(),
            pair: testing::key_pair(index).clone(),
            created_at: testing::NOW,
            retired_at: None,
            revoked_at: None,
        }
    }

    fn keyring() -> Keyring {
        Keyring {
            keys: vec![stored("one", 0), stored("two", 1)],
            client_state_keys: vec![StoredClientStateKey {
                id: "g1".into(),
                key: ClientStateKey::generate(&SystemRandom::new()).unwrap(),
                created_at: testing::NOW,
                retired_at: None,
            }],
            client_states: vec![StoredClientState {
                id: "s1".into(),
                value: ClientState::from("secret-state".to_owned()),
                created_at: testing::NOW,
                retired_at: None,
            }],
            signing_keys: None,
        }
    }

    #[test]
    fn it_survives_storage() {
        let text = keyring().to_json().unwrap();
        let read = Keyring::from_json(&text).unwrap();
        assert_eq!(*read.to_json().unwrap(), *text);
        assert_eq!(read.keys[1].certificate_id, "two");
        assert!(read.client_states[0].value.matches("secret-state"));
    }

    #[test]
    fn the_newest_key_that_is_not_retired_is_current() {
        let mut keyring = keyring();
        assert_eq!(keyring.current_key().unwrap().certificate_id, "two");
        keyring.keys[1].retired_at = Some(testing::NOW);
        assert_eq!(keyring.current_key().unwrap().certificate_id, "one");
        assert!(Keyring::default().current_key().is_none());
        keyring.keys[0].revoked_at = Some(testing::NOW);
        assert!(keyring.current_key().is_none(), "a revoked one is nobody's");
    }

    #[test]
    fn the_newest_client_state_key_that_is_not_retired_is_current() {
        let mut keyring = keyring();
        assert_eq!(keyring.current_client_state_key().unwrap().id, "g1");
        keyring.client_state_keys[0].retired_at = Some(testing::NOW);
        assert!(keyring.current_client_state_key().is_none());
    }

    #[test]
    fn keys_are_chosen_by_id_then_by_thumbprint() {
        let keyring = keyring();
        let ids = |id: Option<&'static str>, thumbprint: Option<&str>| {
            let keys = keyring.keys_for(id, thumbprint);
            keys.iter().map(|key| key.certificate_id.clone()).collect::<Vec<_>>()
        };
        let thumbprint = testing::key_pair(1).thumbprint().to_lowercase();
        assert_eq!(ids(Some("one"), None), ["one"]);
        assert_eq!(ids(Some("one"), Some(&thumbprint)), ["one", "two"]);
        assert_eq!(ids(Some("lost"), Some(&thumbprint)), ["two"]);
        assert_eq!(ids(None, Some(&thumbprint)), ["two"]);
        assert!(ids(Some("lost"), Some("00")).is_empty() && ids(None, None).is_empty());
    }

    #[test]
    fn what_is_no_keyring_is_refused_without_repeating_it() {
        let text = keyring().to_json().unwrap();
        assert_eq!(
            Keyring::from_json(&text.replace("\"version\":1", "\"version\":2")).unwrap_err(),
            KeyringError::Version(2)
        );
        for broken in ["", "[]", "{\"version\":\"1\"}", &text[..text.len() / 2]] {
            assert!(matches!(Keyring::from_json(broken), Err(KeyringError::Shape { .. })), "{}", broken.len());
        }
        let broken = text.replacen("\"privateKey\":\"MII", "\"privateKey\":\"AAA", 1);
        assert_eq!(Keyring::from_json(&broken).unwrap_err(), KeyringError::KeyPair(1, KeyPairError::PrivateKey));
    }

    #[test]
    fn no_secret_is_printed() {
        let printed = format!("{:?}", keyring());
        assert!(!printed.contains("secret-state") && !printed.contains("MII"), "{printed}");
    }
}

//! The client state: the secret that Graph repeats in each notification of a subscription.
//!
//! Client states are made, not stored. A client state names the generation of the key that made it and the policy that it
//! is for, and proves both by an HMAC under that key:
//!
//! ```text
//! 1.<generation>.<base64url(SHA-256(tenant, policy)[..16])>.<base64url(HMAC-SHA256(key, all before the last point))>
//! ```
//!
//! So a keyring holds one key for any number of policies, and a client state that leaks proves one policy only. Values
//! that were drawn and stored by earlier versions are known until their subscriptions are replaced.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::{digest, hmac, rand::SecureRandom};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::identifiers::{Policies, Policy};

/// The longest client state that Graph's `subscription` resource takes, in characters.
pub const LONGEST: usize = 128;

/// What a made client state begins with: the version of its form.
const VERSION: &str = "1";

const KEY_BYTES: usize = 32;
const POLICY_BYTES: usize = 16;

/// A client state's text. It is cleared from memory when dropped, and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientState(String);

impl ClientState {
    /// Draws 32 random bytes, in base64url.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, ring::error::Unspecified> {
        let mut bytes = Zeroizing::new([0; KEY_BYTES]);
        random.fill(&mut *bytes)?;
        Ok(Self(BASE64_URL_SAFE_NO_PAD.encode(*bytes)))
    }

    /// The text to hand to Graph, and to nobody else.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether a notification's client state is this one, in a time that does not depend on where they differ.
    #[must_use]
    pub fn matches(&self, received: &str) -> bool {
        self.0.as_bytes().ct_eq(received.as_bytes()).into()
    }
}

impl From<String> for ClientState {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for ClientState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientState(..)")
    }
}

/// A client state that an earlier version drew and stored.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredClientState {
    /// A name for it that may be written anywhere; it says nothing about the value.
    pub id: String,
    /// The secret.
    pub value: ClientState,
    /// When it was drawn.
    pub created_at: Timestamp,
    /// Since when no subscription uses it; retries of Graph's may still carry it.
    #[serde(default)]
    pub retired_at: Option<Timestamp>,
}

/// A key by which client states are made, as the keyring keeps it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct StoredClientStateKey {
    /// The generation: a name that may be written anywhere, 1 to 32 letters, digits, `-` and `_`.
    pub id: String,
    /// The key.
    pub key: ClientStateKey,
    /// When it was drawn.
    pub created_at: Timestamp,
    /// Since when no subscription uses it; retries of Graph's may still carry its client states.
    #[serde(default)]
    pub retired_at: Option<Timestamp>,
}

/// The secret part of a [`StoredClientStateKey`]: 32 bytes, in base64url. It is cleared from memory when dropped, and never
/// printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct ClientStateKey([u8; KEY_BYTES]);

impl ClientStateKey {
    /// Draws a key.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, ring::error::Unspecified> {
        let mut key = Self([0; KEY_BYTES]);
        random.fill(&mut key.0)?;
        Ok(key)
    }

    fn sign(&self, text: &str) -> hmac::Tag {
        hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &self.0), text.as_bytes())
    }
}

impl fmt::Debug for ClientStateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientStateKey(..)")
    }
}

impl Serialize for ClientStateKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Zeroizing::new(BASE64_URL_SAFE_NO_PAD.encode(self.0)))
    }
}

impl<'de> Deserialize<'de> for ClientStateKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Zeroizing::new(String::deserialize(deserializer)?);
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(&*text).map(Zeroizing::new);
        // Neither the text nor a part of it may stand in an error.
        let bytes = bytes.ok().and_then(|bytes| bytes.as_slice().try_into().ok());
        bytes.map(Self).ok_or_else(|| serde::de::Error::custom("not 32 bytes in base64url"))
    }
}

impl StoredClientStateKey {
    /// Makes the client state for a policy. Always the same for the same policy, whatever the case of its name.
    #[must_use]
    pub fn client_state(&self, policy: &Policy) -> ClientState {
        let named = format!("{VERSION}.{}.{}", self.id, BASE64_URL_SAFE_NO_PAD.encode(digest_of(policy)));
        let tag = BASE64_URL_SAFE_NO_PAD.encode(self.key.sign(&named));
        ClientState(format!("{named}.{tag}"))
    }
}

/// A client state that the keyring knows: proof that the sender of an item knows a subscription of ours. Only
/// [`ClientStates::recognize`] makes one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownClientState {
    policy: Option<Policy>,
}

impl KnownClientState {
    /// The policy that it is for; `None` for one that an earlier version stored, and for one of a policy that is not
    /// watched any more.
    #[must_use]
    pub fn policy(&self) -> Option<&Policy> {
        self.policy.as_ref()
    }
}

/// The client states that a keyring knows.
#[derive(Debug, Clone, Copy)]
pub struct ClientStates<'a> {
    pub(crate) keys: &'a [StoredClientStateKey],
    pub(crate) stored: &'a [StoredClientState],
}

impl ClientStates<'_> {
    /// Recognizes a client state, in a time that tells nothing of the secrets. The policy is one of those that are watched.
    #[must_use]
    pub fn recognize(&self, received: &str, policies: &Policies) -> Option<KnownClientState> {
        // Every stored one is compared, so that the time does not tell which one it is.
        if self.stored.iter().fold(false, |known, state| known | state.value.matches(received)) {
            return Some(KnownClientState { policy: None });
        }
        let (named, tag) = received.rsplit_once('.')?;
        let mut parts = named.split('.');
        let (VERSION, generation, policy, None) = (parts.next()?, parts.next()?, parts.next()?, parts.next()) else {
            return None;
        };
        let tag = BASE64_URL_SAFE_NO_PAD.decode(tag).ok()?;
        // Which generation it names is no secret.
        let signs = |key: &StoredClientStateKey| bool::from(key.key.sign(named).as_ref().ct_eq(tag.as_slice()));
        if !self.keys.iter().any(|key| key.id == generation && signs(key)) {
            return None;
        }
        let policy = BASE64_URL_SAFE_NO_PAD.decode(policy).ok()?;
        let policy = policies.iter().find(|watched| digest_of(watched)[..] == policy[..]).cloned();
        Some(KnownClientState { policy })
    }

    /// Whether there is none at all: such a keyring knows nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty() && self.stored.is_empty()
    }
}

/// What stands for a policy in a client state. Teams takes names in any case, so case makes no difference.
fn digest_of(policy: &Policy) -> [u8; POLICY_BYTES] {
    let text = format!("{}/{}", policy.tenant, policy.name.as_str().to_lowercase());
    let digest = digest::digest(&digest::SHA256, text.as_bytes());
    digest.as_ref().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use ring::rand::SystemRandom;

    use super::*;
    use crate::testing::{OTHER_TENANT, TENANT};

    fn key(id: &str) -> StoredClientStateKey {
        StoredClientStateKey {
            id: id.to_owned(),
            key: ClientStateKey::generate(&SystemRandom::new()).unwrap(),
            created_at: crate::testing::NOW,
            retired_at: None,
        }
    }

    fn policies() -> Policies {
        Policies::parse(&format!("Global,Head office,{OTHER_TENANT}/Global"), TENANT.parse().unwrap()).unwrap()
    }

    fn recognize(keys: &[StoredClientStateKey], text: &str) -> Option<KnownClientState> {
        ClientStates { keys, stored: &[] }.recognize(text, &policies())
    }

    #[test]
    fn a_made_client_state_names_its_tenant_and_policy() {
        let (keys, policies) = ([key("old"), key("new")], policies());
        for made_by in &keys {
            for policy in policies.iter() {
                let state = made_by.client_state(policy);
                assert!(state.expose().len() <= LONGEST, "{}", state.expose().len());
                assert_eq!(recognize(&keys, state.expose()).unwrap().policy(), Some(policy));
                assert!(state.matches(made_by.client_state(policy).expose()), "made the same again");
            }
        }
        let longest = key(&"g".repeat(32)).client_state(policies.iter().next().unwrap());
        assert!(longest.expose().len() <= LONGEST);
    }

    #[test]
    fn it_is_the_same_in_whatever_case_the_policy_is_named() {
        let (key, home) = (key("g"), TENANT.parse().unwrap());
        let of = |names| key.client_state(Policies::parse(names, home).unwrap().iter().next().unwrap());
        assert!(of("GLOBAL").matches(of("Global").expose()));
    }

    #[test]
    fn one_of_a_policy_that_is_not_watched_any_more_is_known_without_it() {
        let (keys, home) = ([key("g")], TENANT.parse().unwrap());
        let gone = Policies::parse("Closed site", home).unwrap();
        let state = keys[0].client_state(gone.iter().next().unwrap());
        assert_eq!(recognize(&keys, state.expose()), Some(KnownClientState { policy: None }));
    }

    #[test]
    fn nothing_of_it_can_be_changed_and_no_other_key_makes_it() {
        let (keys, policies) = ([key("g")], policies());
        let [first, second] = [0, 1].map(|index| keys[0].client_state(policies.iter().nth(index).unwrap()));
        let (first, second) = (first.expose(), second.expose());
        for index in 0..first.len() {
            let mut changed = first.to_owned();
            changed.replace_range(index..=index, if &first[index..=index] == "A" { "B" } else { "A" });
            assert_eq!(recognize(&keys, &changed), None, "character {index}");
        }
        let grafted = format!("{}.{}", second.rsplit_once('.').unwrap().0, first.rsplit_once('.').unwrap().1);
        for text in ["", ".", "...", "1.g..", &first[..first.len() - 1], &format!("{first}A"), &grafted] {
            assert_eq!(recognize(&keys, text), None, "{text}");
        }
        assert_eq!(recognize(&[key("g")], first), None, "another key of the same generation's name");
        assert_eq!(recognize(&[], first), None);
    }

    #[test]
    fn a_stored_one_is_known_and_names_no_policy() {
        let stored = [StoredClientState {
            id: "s1".to_owned(),
            value: ClientState::from("right-state".to_owned()),
            created_at: crate::testing::NOW,
            retired_at: None,
        }];
        let states = ClientStates { keys: &[], stored: &stored };
        assert_eq!(states.recognize("right-state", &policies()), Some(KnownClientState { policy: None }));
        for other in ["right-stat", "right-state2", "Right-state", ""] {
            assert_eq!(states.recognize(other, &policies()), None);
        }
    }

    #[test]
    fn neither_state_nor_key_is_printed_and_a_key_survives_storage() {
        assert_eq!(format!("{:?}", ClientState::from("hunter2".to_owned())), "ClientState(..)");
        let key = key("g");
        let text = serde_json::to_string(&key).unwrap();
        assert!(!format!("{key:?}").contains(serde_json::to_value(&key).unwrap()["key"].as_str().unwrap()));
        let read: StoredClientStateKey = serde_json::from_str(&text).unwrap();
        let policies = policies();
        let policy = policies.iter().next().unwrap();
        assert!(read.client_state(policy).matches(key.client_state(policy).expose()));
        let error = serde_json::from_str::<ClientStateKey>("\"hunter2\"").unwrap_err().to_string();
        assert!(!error.contains("hunter2"), "{error}");
    }
}

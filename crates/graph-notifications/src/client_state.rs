//! The client state: the secret that Graph repeats in each notification of a subscription.

use std::fmt;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jiff::Timestamp;
use ring::rand::SecureRandom;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq as _;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A client state's text. It is cleared from memory when dropped, and never printed.
#[derive(Clone, Zeroize, ZeroizeOnDrop, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ClientState(String);

impl ClientState {
    /// Draws 32 random bytes: 43 characters, well under the 128 that Graph's `subscription` resource allows.
    ///
    /// # Errors
    /// If the system gives no randomness.
    pub fn generate(random: &dyn SecureRandom) -> Result<Self, ring::error::Unspecified> {
        let mut bytes = zeroize::Zeroizing::new([0; 32]);
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

/// A client state as the keyring keeps it.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_generated_state_is_long_random_and_matches_only_itself() {
        let random = ring::rand::SystemRandom::new();
        let state = ClientState::generate(&random).unwrap();
        let other = ClientState::generate(&random).unwrap();
        assert_eq!(state.expose().len(), 43);
        assert!(state.matches(state.expose()));
        assert!(!state.matches(other.expose()) && !state.matches("") && !state.matches(&state.expose()[..42]));
        assert!(!state.matches(&format!("{}x", state.expose())));
    }

    #[test]
    fn it_is_never_printed() {
        let state = ClientState::from("hunter2".to_owned());
        assert_eq!(format!("{state:?}"), "ClientState(..)");
    }
}

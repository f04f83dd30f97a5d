#![doc = include_str!("../README.md")]

pub mod authentication;
pub mod certificate;
pub mod client_state;
pub mod decryption;
pub mod envelope;
pub mod handshake;
pub mod identifiers;
pub mod keyring;
pub mod probe;
pub mod signing_keys;
pub mod validation_token;

#[cfg(test)]
mod testing;

pub use authentication::{AuthenticNotification, ExaminedNotification, UnverifiedCalls};
pub use certificate::KeyPair;
pub use client_state::{ClientState, ClientStateKey};
pub use decryption::DecryptedResource;
pub use envelope::ChangeNotificationCollection;
pub use identifiers::{ClientId, Policies, Policy, PolicyName, TenantId};
pub use keyring::Keyring;
pub use probe::Probe;
pub use signing_keys::SigningKeys;
pub use validation_token::{CheckedToken, ValidToken};

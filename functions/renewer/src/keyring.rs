//! The keyring as it should be, and stored before anything relies on it.

use graph_notifications::{Keyring, SigningKeys, TenantId, client_state::StoredClientState, keyring::StoredKeyPair};
use graph_subscriptions::signing_keys::TokenVersion;
use jiff::{SignedDuration, Timestamp};

use crate::{
    calls::{ATTEMPTS, pause},
    ports::World,
};

/// How long a certificate is valid. Graph does not say what it does with one that has ended, so that this is many times
/// what a key is used.
const VALIDITY: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);

/// A certificate is valid from a day ago, for clocks that lag.
const LAG: SignedDuration = SignedDuration::from_hours(24);

/// Signing keys that have not changed are written again after this time, so that the keyring says how old they are.
const LONGEST_UNWRITTEN: SignedDuration = SignedDuration::from_hours(12);

/// The keyring after this run's care.
#[derive(Debug)]
pub struct Prepared {
    /// What is stored, or as good: it has a current key and a current client state.
    pub keyring: Keyring,
    /// Whether it was written.
    pub written: bool,
    /// What went wrong without harm to what the subscriptions need.
    pub problems: Vec<String>,
}

impl Prepared {
    /// The key pair whose certificate Graph is given.
    #[must_use]
    pub fn key(&self) -> Option<&StoredKeyPair> {
        self.keyring.current_key()
    }

    /// The client state that new subscriptions are given.
    #[must_use]
    pub fn client_state(&self) -> Option<&StoredClientState> {
        current_client_state(&self.keyring)
    }
}

/// Reads the keyring, adds what it lacks, refreshes the signing keys of all tenants, and writes it if that is needed.
///
/// # Errors
/// With a sentence: if the keyring cannot be read (it is not overwritten then, since it may hold keys that are in use), or
/// if new secrets cannot be stored.
pub async fn prepare(
    world: &impl World,
    secret_id: &str,
    tenants: &[TenantId],
    deadline: Timestamp,
) -> Result<Prepared, String> {
    let stored = match world.read(secret_id).await {
        Err(error) => return Err(format!("the keyring cannot be read from the secret {secret_id}: {error}")),
        Ok(None) => None,
        Ok(Some(text)) => Some(Keyring::from_json(&text).map_err(|error| {
            format!("the secret {secret_id} holds no usable keyring and was left as it is: {error}")
        })?),
    };
    let mut keyring = stored.clone().unwrap_or_default();
    let mut problems = Vec::new();
    refresh_signing_keys(world, &mut keyring, tenants, deadline, &mut problems).await;
    let new_secrets = add_missing(world, &mut keyring)?;
    let now = world.now();
    let worth_writing = new_secrets || signing_keys_differ(stored.as_ref(), &keyring, now);
    let mut written = false;
    if worth_writing {
        let text = keyring.to_json().map_err(|error| format!("the keyring cannot be written out: {error}"))?;
        match world.write(secret_id, &text).await {
            Ok(()) => written = true,
            Err(error) if new_secrets => {
                return Err(format!("new keys cannot be stored in the secret {secret_id}: {error}"));
            }
            Err(error) => {
                problems.push(format!("the signing keys cannot be stored in the secret {secret_id}: {error}"));
            }
        }
    }
    Ok(Prepared { keyring, written, problems })
}

/// Makes the key pair and the client state that the keyring lacks; says whether it lacked any.
fn add_missing(world: &impl World, keyring: &mut Keyring) -> Result<bool, String> {
    let now = world.now();
    let mut added = false;
    let sentence = |error| format!("no keys can be made: {error}");
    if keyring.current_key().is_none() {
        keyring.keys.push(StoredKeyPair {
            certificate_id: format!("key-{}", world.short_name().map_err(sentence)?),
            pair: world.key_pair(now - LAG, now + VALIDITY).map_err(sentence)?,
            created_at: now,
            retired_at: None,
        });
        added = true;
    }
    if current_client_state(keyring).is_none() {
        keyring.client_states.push(StoredClientState {
            id: format!("state-{}", world.short_name().map_err(sentence)?),
            value: world.client_state().map_err(sentence)?,
            created_at: now,
            retired_at: None,
        });
        added = true;
    }
    Ok(added)
}

fn current_client_state(keyring: &Keyring) -> Option<&StoredClientState> {
    keyring.client_states.iter().rev().find(|state| state.retired_at.is_none())
}

/// Takes the place of the stored signing keys with those that Entra gives out now. As long as any document cannot be had,
/// the stored keys stay beside the new ones, and stay as old as they are.
async fn refresh_signing_keys(
    world: &impl World,
    keyring: &mut Keyring,
    tenants: &[TenantId],
    deadline: Timestamp,
    problems: &mut Vec<String>,
) {
    let mut fetched: Option<SigningKeys> = None;
    let mut complete = true;
    for &tenant in tenants {
        for version in TokenVersion::ALL {
            match signing_keys(world, tenant, version, deadline).await {
                Ok(keys) => match &mut fetched {
                    None => fetched = Some(keys),
                    Some(fetched) => fetched.merge(keys),
                },
                Err(sentence) => {
                    complete = false;
                    problems.push(format!("{sentence} (tenant {tenant}); the stored keys stay in use"));
                }
            }
        }
    }
    let Some(mut keys) = fetched else { return };
    if !complete && let Some(stored) = keyring.signing_keys.take() {
        keys.merge(stored);
    }
    keyring.signing_keys = Some(keys);
}

async fn signing_keys(
    world: &impl World,
    tenant: TenantId,
    version: TokenVersion,
    deadline: Timestamp,
) -> Result<SigningKeys, String> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let error = match world.signing_keys(tenant, version, world.now()).await {
            Ok(keys) => return Ok(keys),
            Err(error) => error,
        };
        // Fewer attempts than for a subscription: the stored keys do for days.
        let again = error.is_retryable() && attempt < ATTEMPTS / 2;
        if !again || !pause(world, deadline, attempt, None).await {
            return Err(error.to_string());
        }
    }
}

fn signing_keys_differ(stored: Option<&Keyring>, keyring: &Keyring, now: Timestamp) -> bool {
    let Some(new) = &keyring.signing_keys else { return false };
    let Some(old) = stored.and_then(|stored| stored.signing_keys.as_ref()) else { return true };
    let same = old.keys.len() == new.keys.len() && old.keys.iter().all(|key| new.keys.contains(key));
    !same || (new.fetched_at > old.fetched_at && now.duration_since(old.fetched_at) > LONGEST_UNWRITTEN)
}

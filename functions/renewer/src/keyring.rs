//! The keyring as it should be, and stored before anything relies on it.

use std::cell::{Cell, RefCell};

use graph_notifications::{
    ClientState, Keyring, SigningKeys, TenantId, client_state::StoredClientState, keyring::StoredKeyPair,
};
use graph_subscriptions::signing_keys::TokenVersion;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use tokio::sync::OnceCell;

use crate::{
    calls::{ATTEMPTS, pause},
    config::Config,
    ports::World,
};

/// How long a certificate is valid. Graph does not say what it does with one that has ended, so that this is many times
/// what a key is used.
const VALIDITY: SignedDuration = SignedDuration::from_hours(2 * 365 * 24);

/// A certificate is valid from a day ago, for clocks that lag.
const LAG: SignedDuration = SignedDuration::from_hours(24);

/// Signing keys that have not changed are written again after this time, so that the keyring says how old they are.
const LONGEST_UNWRITTEN: SignedDuration = SignedDuration::from_hours(12);

/// How long a key or a client state is kept after nothing refers to it any more. Graph repeats a notification for 4 hours,
/// and may hold back what came before an outage as long again.
const KEPT_UNUSED: SignedDuration = SignedDuration::from_hours(48);

/// A key that is due is changed in these hours of the night, when the fewest people call: should Graph not take the new
/// certificate with a renewal, then its subscription must be deleted and created.
const QUIET_HOURS: std::ops::Range<i8> = 2..4;

/// A key is changed at any hour once it is due for this long: a schedule may never fall into the night.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_hours(48);

/// More keys than this are in use only if somebody asks for new ones again and again; the secret cannot hold many.
const MOST_KEYS: usize = 8;

/// The keyring, and where it is stored.
pub struct KeyringStore<'a, W> {
    world: &'a W,
    secret_id: &'a str,
    keyring: RefCell<Keyring>,
    written: Cell<bool>,
    /// The name of the client state for what this run creates.
    fresh: OnceCell<String>,
}

/// What preparing the keyring did.
#[derive(Debug, Default)]
pub struct Preparation {
    /// Whether there is a new key, for which Graph has not encrypted yet.
    pub rotated: bool,
    /// What went wrong without harm to what the subscriptions need.
    pub problems: Vec<String>,
}

/// What still refers to the keyring's secrets.
#[derive(Debug, Default)]
pub struct InUse {
    /// Names of certificates.
    pub certificate_ids: Vec<String>,
    /// Names of client states.
    pub client_state_ids: Vec<String>,
}

impl<'a, W: World> KeyringStore<'a, W> {
    /// Reads the keyring; an empty one if there is none yet.
    ///
    /// # Errors
    /// With a sentence, if it cannot be read. It is not overwritten then, since it may hold keys that are in use.
    pub async fn read(world: &'a W, secret_id: &'a str) -> Result<Self, String> {
        let keyring = match world.read(secret_id).await {
            Err(error) => return Err(format!("the keyring cannot be read from the secret {secret_id}: {error}")),
            Ok(None) => Keyring::default(),
            Ok(Some(text)) => Keyring::from_json(&text).map_err(|error| {
                format!("the secret {secret_id} holds no usable keyring and was left as it is: {error}")
            })?,
        };
        Ok(Self { world, secret_id, keyring: RefCell::new(keyring), written: Cell::new(false), fresh: OnceCell::new() })
    }

    /// Refreshes the signing keys of all tenants, adds a key if there is none, or if the current one is due to be changed or
    /// somebody asks for it, and stores what changed.
    ///
    /// # Errors
    /// With a sentence, if there is no key, and a new one cannot be made or stored.
    pub async fn prepare(&self, config: &Config, asked: bool, deadline: Timestamp) -> Result<Preparation, String> {
        let mut preparation = Preparation::default();
        let stored = self.copy();
        let mut keyring = self.copy();
        let tenants = config.policies.tenants();
        refresh_signing_keys(self.world, &mut keyring, &tenants, deadline, &mut preparation.problems).await;
        let now = self.world.now();
        let signing_keys_changed = signing_keys_differ(&stored, &keyring, now);
        // Stored apart from a new key: should that fail, the signing keys are not lost.
        if signing_keys_changed && let Err(sentence) = self.store(keyring.clone()).await {
            preparation.problems.push(format!("the signing keys are not stored: {sentence}"));
        }
        let first = keyring.current_key().is_none();
        let due = rotation_due(&keyring, config.key_rotation, &config.time_zone, now);
        if !(first || due || asked) {
            return Ok(preparation);
        }
        if keyring.keys.len() >= MOST_KEYS {
            let sentence = format!(
                "there are {} keys already, so that no new one is made; each goes 48 hours after its last use",
                keyring.keys.len()
            );
            preparation.problems.push(sentence);
            return Ok(preparation);
        }
        match self.add_key(keyring).await {
            Ok(()) => preparation.rotated = !first,
            Err(sentence) if first => return Err(sentence),
            Err(sentence) => preparation.problems.push(sentence),
        }
        Ok(preparation)
    }

    /// The keyring as it is now.
    #[must_use]
    pub fn copy(&self) -> Keyring {
        self.keyring.borrow().clone()
    }

    /// Whether this run wrote it.
    #[must_use]
    pub fn was_written(&self) -> bool {
        self.written.get()
    }

    /// The name of the client state that this run made, if it did.
    #[must_use]
    pub fn made_client_state(&self) -> Option<&str> {
        self.fresh.get().map(String::as_str)
    }

    /// The key pair whose certificate Graph is given.
    #[must_use]
    pub fn current_key(&self) -> Option<StoredKeyPair> {
        self.keyring.borrow().current_key().cloned()
    }

    /// Whether the key of this certificate is at hand.
    #[must_use]
    pub fn has_key(&self, certificate_id: &str) -> bool {
        self.keyring.borrow().keys.iter().any(|key| key.certificate_id == certificate_id)
    }

    /// Whether the receiver accepts this client state.
    #[must_use]
    pub fn knows_client_state(&self, id: &str) -> bool {
        self.keyring.borrow().client_states.iter().any(|state| state.id == id)
    }

    /// A client state.
    #[must_use]
    pub fn client_state(&self, id: &str) -> Option<ClientState> {
        self.keyring.borrow().client_states.iter().find(|state| state.id == id).map(|state| state.value.clone())
    }

    /// The name of a client state that no subscription has had before this run: made and stored when it is first asked for.
    ///
    /// If it cannot be stored, the newest that there is must do: a subscription with an old client state is better than none.
    ///
    /// # Errors
    /// With a sentence, if there is none at all.
    pub async fn fresh_client_state(&self, problems: &RefCell<Vec<String>>) -> Result<String, String> {
        let made = self.fresh.get_or_try_init(async || self.add_client_state().await).await;
        let sentence = match made {
            Ok(id) => return Ok(id.clone()),
            Err(sentence) => sentence,
        };
        let newest = self.keyring.borrow().client_states.last().map(|state| state.id.clone());
        let newest = newest.ok_or_else(|| sentence.clone())?;
        problems.borrow_mut().push(format!("a new subscription gets an old client state: {sentence}"));
        Ok(newest)
    }

    /// Retires what nothing refers to any more, removes what has been so for 48 hours, and stores the change. Gives the names
    /// of the keys that were removed.
    ///
    /// # Errors
    /// With a sentence, if the change cannot be stored. The next run makes it again.
    pub async fn tidy(&self, in_use: &InUse) -> Result<Vec<String>, String> {
        let before = self.copy();
        let after = tidied(&before, in_use, self.world.now());
        let kept = |id: &str| after.keys.iter().any(|key| key.certificate_id == id);
        let removed = before.keys.iter().map(|key| &key.certificate_id).filter(|id| !kept(id)).cloned().collect();
        if !is_same(&before, &after) {
            self.store(after).await?;
        }
        Ok(removed)
    }

    async fn add_key(&self, mut keyring: Keyring) -> Result<(), String> {
        let now = self.world.now();
        let sentence = |error| format!("no keys can be made: {error}");
        keyring.keys.push(StoredKeyPair {
            certificate_id: format!("key-{}", self.world.short_name().map_err(sentence)?),
            pair: self.world.key_pair(now - LAG, now + VALIDITY).map_err(sentence)?,
            created_at: now,
            retired_at: None,
        });
        self.store(keyring).await.map_err(|error| format!("a new key is not used, since it cannot be stored: {error}"))
    }

    async fn add_client_state(&self) -> Result<String, String> {
        let sentence = |error| format!("no client state can be made: {error}");
        let id = format!("state-{}", self.world.short_name().map_err(sentence)?);
        let mut keyring = self.copy();
        keyring.client_states.push(StoredClientState {
            id: id.clone(),
            value: self.world.client_state().map_err(sentence)?,
            created_at: self.world.now(),
            retired_at: None,
        });
        self.store(keyring).await?;
        Ok(id)
    }

    async fn store(&self, keyring: Keyring) -> Result<(), String> {
        let text = keyring.to_json().map_err(|error| format!("the keyring cannot be written out: {error}"))?;
        let written = self.world.write(self.secret_id, &text).await;
        written.map_err(|error| format!("the secret {} cannot be written: {error}", self.secret_id))?;
        self.keyring.replace(keyring);
        self.written.set(true);
        Ok(())
    }
}

/// Whether the current key is as old as a key may become, and the hour is right.
fn rotation_due(keyring: &Keyring, longest: SignedDuration, zone: &TimeZone, now: Timestamp) -> bool {
    let Some(key) = keyring.current_key() else { return false };
    let over = now.duration_since(key.created_at) - longest;
    let quiet = QUIET_HOURS.contains(&now.to_zoned(zone.clone()).hour());
    over >= SignedDuration::ZERO && (quiet || over >= LONGEST_WAIT)
}

/// The keyring without what nothing needs. The current key stays whatever happens.
fn tidied(keyring: &Keyring, in_use: &InUse, now: Timestamp) -> Keyring {
    let retired_at = |used: bool, before: Option<Timestamp>| if used { None } else { before.or(Some(now)) };
    let kept = |retired_at: Option<Timestamp>| retired_at.is_none_or(|since| now.duration_since(since) < KEPT_UNUSED);
    let current = keyring.current_key().map(|key| key.certificate_id.clone());
    let mut tidy = keyring.clone();
    for key in &mut tidy.keys {
        let used =
            Some(&key.certificate_id) == current.as_ref() || in_use.certificate_ids.contains(&key.certificate_id);
        key.retired_at = retired_at(used, key.retired_at);
    }
    for state in &mut tidy.client_states {
        state.retired_at = retired_at(in_use.client_state_ids.contains(&state.id), state.retired_at);
    }
    tidy.keys.retain(|key| kept(key.retired_at));
    tidy.client_states.retain(|state| kept(state.retired_at));
    tidy
}

/// Whether two keyrings of the same origin hold the same secrets in the same use.
fn is_same(before: &Keyring, after: &Keyring) -> bool {
    let keys = |keyring: &Keyring| keyring.keys.iter().map(|key| key.retired_at).collect::<Vec<_>>();
    let states = |keyring: &Keyring| keyring.client_states.iter().map(|state| state.retired_at).collect::<Vec<_>>();
    keys(before) == keys(after) && states(before) == states(after)
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

fn signing_keys_differ(stored: &Keyring, keyring: &Keyring, now: Timestamp) -> bool {
    let Some(new) = &keyring.signing_keys else { return false };
    let Some(old) = &stored.signing_keys else { return true };
    let same = old.keys.len() == new.keys.len() && old.keys.iter().all(|key| new.keys.contains(key));
    !same || (new.fetched_at > old.fetched_at && now.duration_since(old.fetched_at) > LONGEST_UNWRITTEN)
}

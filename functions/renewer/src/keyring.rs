//! The keyring as it should be, and stored before anything relies on it.

use std::cell::{Cell, RefCell};

use futures::{StreamExt as _, stream};
use graph_notifications::{
    ClientState, Keyring, SigningKeys, TenantId, client_state::StoredClientState, keyring::StoredKeyPair,
};
use graph_subscriptions::signing_keys::TokenVersion;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};
use tokio::sync::OnceCell;

use crate::{
    calls::{ATTEMPTS, pause},
    config::Config,
    observe::CONCURRENCY,
    ports::World,
    records::Record,
};

/// How long fetching the signing keys may hold up a run. The stored ones do for days.
const FOR_SIGNING_KEYS: SignedDuration = SignedDuration::from_secs(20);

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

impl InUse {
    /// What the records refer to, and what creating a subscription may have used that no record tells of.
    #[must_use]
    pub fn by_records<W: World>(records: &[Record], keyring: &KeyringStore<'_, W>) -> Self {
        let newest = keyring.copy().client_states.last().map(|state| state.id.clone());
        Self {
            certificate_ids: records.iter().map(|record| record.certificate_id.clone()).collect(),
            client_state_ids: records.iter().map(|record| record.client_state_id.clone()).chain(newest).collect(),
        }
    }
}

impl<'a, W: World> KeyringStore<'a, W> {
    /// Reads the keyring; an empty one if there is none yet.
    ///
    /// # Errors
    /// With a sentence, if it cannot be read. It is not overwritten then, since it may hold keys that are in use.
    pub async fn read(world: &'a W, secret_id: &'a str) -> Result<Self, String> {
        let keyring = RefCell::new(stored(world, secret_id).await?);
        Ok(Self { world, secret_id, keyring, written: Cell::new(false), fresh: OnceCell::new() })
    }

    /// Refreshes the signing keys of all tenants, adds a key if there is none, or if the current one is due to be changed or
    /// somebody asks for it, and stores what changed.
    ///
    /// # Errors
    /// With a sentence, if there is no key, and a new one cannot be made or stored.
    pub async fn prepare(&self, config: &Config, asked: bool, deadline: Timestamp) -> Result<Preparation, String> {
        let mut preparation = Preparation::default();
        let tenants = config.policies.tenants();
        self.refresh_signing_keys(&tenants, deadline, &mut preparation.problems).await;
        let now = self.world.now();
        let keyring = self.copy();
        let first = keyring.current_key().is_none();
        let due = rotation_due(&keyring, config.key_rotation, &config.alert_settings.time_zone, now);
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
        match self.add_key().await {
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
            let now = self.world.now();
            // Only of what was looked at: another run may have added to it since.
            self.change(|keyring| tidy_as(keyring, &before, in_use, now)).await?;
        }
        Ok(removed)
    }

    /// Puts the signing keys that Entra gives out now in the place of the stored ones. As long as any document cannot be
    /// had, the stored keys stay beside the new ones, and stay as old as they are.
    async fn refresh_signing_keys(&self, tenants: &[TenantId], deadline: Timestamp, problems: &mut Vec<String>) {
        let deadline = deadline.min(self.world.now() + FOR_SIGNING_KEYS);
        let documents = tenants.iter().flat_map(|&tenant| TokenVersion::ALL.map(|version| (tenant, version)));
        let fetched: Vec<_> = stream::iter(documents)
            .map(async |(tenant, version)| (tenant, signing_keys(self.world, tenant, version, deadline).await))
            .buffered(CONCURRENCY)
            .collect()
            .await;
        let mut complete = true;
        let mut new: Option<SigningKeys> = None;
        for (tenant, keys) in fetched {
            match (keys, &mut new) {
                (Ok(keys), None) => new = Some(keys),
                (Ok(keys), Some(new)) => new.merge(keys),
                (Err(sentence), _) => {
                    complete = false;
                    problems.push(format!("{sentence} (tenant {tenant}); the stored keys stay in use"));
                }
            }
        }
        let Some(mut new) = new else { return };
        let old = self.copy().signing_keys;
        if !complete && let Some(old) = &old {
            new.merge(old.clone());
        }
        if signing_keys_differ(old.as_ref(), &new, self.world.now())
            && let Err(sentence) = self.change(|keyring| keyring.signing_keys = Some(new.clone())).await
        {
            problems.push(format!("the signing keys are not stored: {sentence}"));
        }
    }

    async fn add_key(&self) -> Result<(), String> {
        let now = self.world.now();
        let sentence = |error| format!("no keys can be made: {error}");
        let key = StoredKeyPair {
            certificate_id: format!("key-{}", self.world.short_name().map_err(sentence)?),
            pair: self.world.key_pair(now - LAG, now + VALIDITY).map_err(sentence)?,
            created_at: now,
            retired_at: None,
            revoked_at: None,
        };
        let stored = self.change(|keyring| keyring.keys.push(key)).await;
        stored.map_err(|error| format!("a new key is not used, since it cannot be stored: {error}"))
    }

    async fn add_client_state(&self) -> Result<String, String> {
        let sentence = |error| format!("no client state can be made: {error}");
        let id = format!("state-{}", self.world.short_name().map_err(sentence)?);
        let state = StoredClientState {
            id: id.clone(),
            value: self.world.client_state().map_err(sentence)?,
            created_at: self.world.now(),
            retired_at: None,
        };
        self.change(|keyring| keyring.client_states.push(state)).await?;
        Ok(id)
    }

    /// Changes the keyring as it is stored at this moment: without the lease, which the state table may not give out, another
    /// run may have changed it since it was read, and what that run stored is in use.
    async fn change(&self, change: impl FnOnce(&mut Keyring)) -> Result<(), String> {
        let mut keyring = stored(self.world, self.secret_id).await?;
        change(&mut keyring);
        let text = keyring.to_json().map_err(|error| format!("the keyring cannot be written out: {error}"))?;
        let written = self.world.write(self.secret_id, &text).await;
        written.map_err(|error| format!("the secret {} cannot be written: {error}", self.secret_id))?;
        self.keyring.replace(keyring);
        self.written.set(true);
        Ok(())
    }
}

/// The keyring as it is stored at this moment; an empty one if there is none yet.
async fn stored(world: &impl World, secret_id: &str) -> Result<Keyring, String> {
    match world.read(secret_id).await {
        Err(error) => Err(format!("the keyring cannot be read from the secret {secret_id}: {error}")),
        Ok(None) => Ok(Keyring::default()),
        Ok(Some(text)) => Keyring::from_json(&text)
            .map_err(|error| format!("the secret {secret_id} holds no usable keyring and was left as it is: {error}")),
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

/// Tidies those secrets of the keyring that another one, an older state of it, holds, too.
fn tidy_as(keyring: &mut Keyring, known: &Keyring, in_use: &InUse, now: Timestamp) {
    let tidy = tidied(known, in_use, now);
    keyring.keys.retain_mut(|key| {
        let is = |other: &&StoredKeyPair| other.certificate_id == key.certificate_id;
        let after = tidy.keys.iter().find(is).map(|after| after.retired_at);
        let was_known = known.keys.iter().any(|other| is(&other));
        key.retired_at = after.unwrap_or(key.retired_at);
        after.is_some() || !was_known
    });
    keyring.client_states.retain_mut(|state| {
        let after = tidy.client_states.iter().find(|after| after.id == state.id).map(|after| after.retired_at);
        let was_known = known.client_states.iter().any(|other| other.id == state.id);
        state.retired_at = after.unwrap_or(state.retired_at);
        after.is_some() || !was_known
    });
}

/// Whether two keyrings of the same origin hold the same secrets in the same use.
fn is_same(before: &Keyring, after: &Keyring) -> bool {
    let keys = |keyring: &Keyring| keyring.keys.iter().map(|key| key.retired_at).collect::<Vec<_>>();
    let states = |keyring: &Keyring| keyring.client_states.iter().map(|state| state.retired_at).collect::<Vec<_>>();
    keys(before) == keys(after) && states(before) == states(after)
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
        if world.now() >= deadline {
            return Err("the signing keys could not be fetched in the time for it".to_owned());
        }
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

fn signing_keys_differ(old: Option<&SigningKeys>, new: &SigningKeys, now: Timestamp) -> bool {
    let Some(old) = old else { return true };
    let same = old.keys.len() == new.keys.len() && old.keys.iter().all(|key| new.keys.contains(key));
    !same || (new.fetched_at > old.fetched_at && now.duration_since(old.fetched_at) > LONGEST_UNWRITTEN)
}

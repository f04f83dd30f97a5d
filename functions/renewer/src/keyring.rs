//! The keyring as it should be, and stored before anything relies on it.

use std::cell::{Cell, RefCell};

use futures::{StreamExt as _, stream};
use graph_notifications::{
    ClientState, Keyring, Policies, Policy, SigningKeys, TenantId,
    client_state::{StoredClientState, StoredClientStateKey},
    keyring::StoredKeyPair,
};
use graph_subscriptions::signing_keys::TokenVersion;
use jiff::{SignedDuration, Timestamp, tz::TimeZone};

use crate::{
    calls::{ATTEMPTS, pause},
    config::Config,
    observe::CONCURRENCY,
    ports::{OutsideError, WRITES, World},
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

/// Where there is no key to use, a new one must not fail for that; after a leak the oldest make room.
const MOST_KEYS_IN_NEED: usize = 12;

/// Why somebody asks for new keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// In the course of things: a new encryption key.
    Routine,
    /// Others may know what the keyring holds: a new encryption key and a new key for client states, and the old ones are
    /// worth nothing alone.
    AfterLeak,
}

/// The keyring, and where it is stored.
pub struct KeyringStore<'a, W> {
    world: &'a W,
    secret_id: &'a str,
    keyring: RefCell<Keyring>,
    written: Cell<bool>,
}

/// What preparing the keyring did.
#[derive(Debug, Default)]
pub struct Preparation {
    /// Whether there is a new key, for which Graph has not encrypted yet.
    pub rotated: bool,
    /// When everything from before a leak was revoked, if it was.
    pub revoked_at: Option<Timestamp>,
    /// What went wrong without harm to what the subscriptions need.
    pub problems: Vec<String>,
}

/// What still refers to the keyring's secrets.
#[derive(Debug, Default)]
pub struct InUse {
    /// Names of certificates.
    pub certificate_ids: Vec<String>,
    /// Names of client states, and of generations of them.
    pub client_state_ids: Vec<String>,
}

impl InUse {
    /// What the records refer to.
    #[must_use]
    pub fn by_records(records: &[Record]) -> Self {
        Self {
            certificate_ids: records.iter().map(|record| record.certificate_id.clone()).collect(),
            client_state_ids: records.iter().map(|record| record.client_state_id.clone()).collect(),
        }
    }
}

/// What is to be added to a keyring.
struct Additions {
    key: Option<StoredKeyPair>,
    client_state_key: Option<StoredClientStateKey>,
    /// When it was made.
    made_at: Timestamp,
    /// What is there already is revoked.
    after_leak: bool,
}

impl<'a, W: World> KeyringStore<'a, W> {
    /// Reads the keyring; an empty one if there is none yet.
    ///
    /// # Errors
    /// With a sentence, if it cannot be read. It is not overwritten then, since it may hold keys that are in use.
    pub async fn read(world: &'a W, secret_id: &'a str) -> Result<Self, String> {
        let (keyring, _) = stored(world, secret_id).await?;
        Ok(Self { world, secret_id, keyring: RefCell::new(keyring), written: Cell::new(false) })
    }

    /// Refreshes the signing keys of all tenants, adds a key if there is none, or if the current one is due to be changed or
    /// somebody asks for it, likewise a key for client states, and stores what changed.
    ///
    /// # Errors
    /// With a sentence, if there is no key, and a new one cannot be made or stored.
    pub async fn prepare(
        &self,
        config: &Config,
        asked: Option<Rotation>,
        deadline: Timestamp,
    ) -> Result<Preparation, String> {
        let mut preparation = Preparation::default();
        let tenants = config.policies.tenants();
        self.refresh_signing_keys(&tenants, deadline, &mut preparation.problems).await;
        let keyring = self.copy();
        let after_leak = asked == Some(Rotation::AfterLeak);
        let first = keyring.current_key().is_none();
        let due = rotation_due(&keyring, config.key_rotation, &config.alert_settings.time_zone, self.world.now());
        let mut key = first || due || asked.is_some();
        let client_state_key = after_leak || keyring.current_client_state_key().is_none();
        if key && !after_leak && keyring.keys.len() >= if first { MOST_KEYS_IN_NEED } else { MOST_KEYS } {
            let sentence = format!(
                "there are {} keys already, so that no new one is made; each goes 48 hours after its last use",
                keyring.keys.len()
            );
            preparation.problems.push(sentence);
            key = false;
        }
        if !(key || client_state_key) {
            return Ok(preparation);
        }
        let added = match self.additions(key, client_state_key, after_leak) {
            Ok(additions) => self.add(&additions).await,
            Err(error) => Err(format!("no keys can be made: {error}")),
        };
        match added {
            Ok(()) => {
                preparation.rotated = key && !first;
                preparation.revoked_at = after_leak.then(|| self.world.now());
            }
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

    /// The names of the client states that a subscription may keep, generations among them.
    #[must_use]
    pub fn trusted_client_states(&self) -> Vec<String> {
        trusted(&self.keyring.borrow())
    }

    /// Whether a subscription may keep this client state.
    #[must_use]
    pub fn knows_client_state(&self, id: &str) -> bool {
        self.trusted_client_states().iter().any(|trusted| trusted == id)
    }

    /// A policy's client state of this name.
    #[must_use]
    pub fn client_state(&self, id: &str, policy: &Policy) -> Option<ClientState> {
        client_state(&self.keyring.borrow(), id, policy)
    }

    /// The name of the client state for new subscriptions: the current generation. If none could be stored, the newest that an
    /// earlier version has stored must do: a subscription with an old client state is better than none.
    ///
    /// # Errors
    /// With a sentence, if there is none at all.
    pub fn new_client_state(&self) -> Result<String, String> {
        let keyring = self.keyring.borrow();
        let current = keyring.current_client_state_key().map(|key| key.id.clone());
        current
            .or_else(|| trusted(&keyring).pop())
            .ok_or_else(|| "the keyring has no key to make client states by".to_owned())
    }

    /// Whether there are client states from before a leak.
    #[must_use]
    pub fn holds_leaked(&self) -> bool {
        holds_leaked(&self.keyring.borrow())
    }

    /// Forgets the client states from before a leak, once each policy is known to have another; says whether it has. Until then
    /// they are accepted, or the calls of the subscriptions that have them would be lost.
    ///
    /// # Errors
    /// With a sentence, if that cannot be seen or stored. The next run tries again.
    pub async fn forget_leaked(&self, policies: &Policies) -> Result<bool, String> {
        let records = self.world.records().await.map_err(|error| format!("the state table cannot be read: {error}"))?;
        let trusted = self.trusted_client_states();
        let is_replaced = |policy: &Policy| {
            let mut own = records.iter().filter(|record| record.policy.is(policy.tenant, &policy.name));
            own.any(|record| trusted.contains(&record.client_state_id))
        };
        if !policies.iter().all(is_replaced) {
            return Ok(false);
        }
        self.change(|keyring| {
            let trusted = self::trusted(keyring);
            keyring.client_state_keys.retain(|key| trusted.contains(&key.id));
            keyring.client_states.retain(|state| trusted.contains(&state.id));
        })
        .await?;
        Ok(true)
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

    fn additions(&self, key: bool, client_state_key: bool, after_leak: bool) -> Result<Additions, OutsideError> {
        let now = self.world.now();
        let new_key = || {
            Ok(StoredKeyPair {
                certificate_id: format!("key-{}", self.world.short_name()?),
                pair: self.world.key_pair(now - LAG, now + VALIDITY)?,
                created_at: now,
                retired_at: None,
                revoked_at: None,
            })
        };
        let new_client_state_key = || {
            Ok(StoredClientStateKey {
                id: format!("generation-{}", self.world.short_name()?),
                key: self.world.client_state_key()?,
                created_at: now,
                retired_at: None,
            })
        };
        Ok(Additions {
            key: key.then(new_key).transpose()?,
            client_state_key: client_state_key.then(new_client_state_key).transpose()?,
            made_at: now,
            after_leak,
        })
    }

    async fn add(&self, additions: &Additions) -> Result<(), String> {
        let stored = self
            .change(|keyring| {
                if additions.after_leak {
                    for key in &mut keyring.keys {
                        key.revoked_at.get_or_insert(additions.made_at);
                    }
                    let over = (keyring.keys.len() + 1).saturating_sub(MOST_KEYS_IN_NEED);
                    keyring.keys.drain(..over);
                }
                keyring.keys.extend(additions.key.clone());
                // Another run may have added one since.
                if additions.after_leak || keyring.current_client_state_key().is_none() {
                    keyring.client_state_keys.extend(additions.client_state_key.clone());
                }
            })
            .await;
        stored.map_err(|error| format!("new keys are not used, since they cannot be stored: {error}"))
    }

    /// Changes the keyring as it is stored at this moment: without the lease, which the state table may not give out, another
    /// run may have changed it since it was read, and what that run stored is in use. What is written takes the place of what
    /// was changed, and of nothing else: if another run was faster, the change is made again.
    async fn change(&self, change: impl Fn(&mut Keyring)) -> Result<(), String> {
        for _ in 0..WRITES {
            let (mut keyring, version) = stored(self.world, self.secret_id).await?;
            change(&mut keyring);
            let text = keyring.to_json().map_err(|error| format!("the keyring cannot be written out: {error}"))?;
            let replaced = self.world.replace(self.secret_id, version.as_deref(), &text).await;
            if replaced.map_err(|error| format!("the secret {} cannot be written: {error}", self.secret_id))? {
                self.keyring.replace(keyring);
                self.written.set(true);
                return Ok(());
            }
        }
        Err(format!("the secret {} was changed by another run each time it was to be written", self.secret_id))
    }
}

/// The keyring as it is stored at this moment, with its version; an empty one if there is none yet.
async fn stored(world: &impl World, secret_id: &str) -> Result<(Keyring, Option<String>), String> {
    match world.read(secret_id).await {
        Err(error) => Err(format!("the keyring cannot be read from the secret {secret_id}: {error}")),
        Ok(None) => Ok((Keyring::default(), None)),
        Ok(Some(stored)) if stored.text().is_none() => Ok((Keyring::default(), Some(stored.version))),
        Ok(Some(stored)) => match Keyring::from_json(&stored.value) {
            Ok(keyring) => Ok((keyring, Some(stored.version))),
            Err(error) => Err(format!("the secret {secret_id} holds no usable keyring and was left as it is: {error}")),
        },
    }
}

/// Since when others may know what was in the keyring before; `None` if nothing leaked. The revocation of its key pairs says so.
fn leaked_at(keyring: &Keyring) -> Option<Timestamp> {
    keyring.keys.iter().filter_map(|key| key.revoked_at).max()
}

/// Whether a keyring has client states from before a leak.
fn holds_leaked(keyring: &Keyring) -> bool {
    trusted(keyring).len() < keyring.client_state_keys.len() + keyring.client_states.len()
}

/// The names of the client states that a subscription may keep, generations first: those that are not from before a leak.
fn trusted(keyring: &Keyring) -> Vec<String> {
    let leaked_at = leaked_at(keyring);
    let generations = keyring.client_state_keys.iter().map(|key| (&key.id, key.created_at));
    let stored = keyring.client_states.iter().map(|state| (&state.id, state.created_at));
    let all = generations.chain(stored);
    all.filter(|(_, at)| leaked_at.is_none_or(|leaked_at| *at >= leaked_at)).map(|(id, _)| id.clone()).collect()
}

/// A policy's client state of this name, which is a generation's or that of one that an earlier version stored.
#[must_use]
pub fn client_state(keyring: &Keyring, id: &str, policy: &Policy) -> Option<ClientState> {
    let made = keyring.client_state_keys.iter().find(|key| key.id == id).map(|key| key.client_state(policy));
    made.or_else(|| keyring.client_states.iter().find(|state| state.id == id).map(|state| state.value.clone()))
}

/// Whether the current key is as old as a key may become, and the hour is right.
fn rotation_due(keyring: &Keyring, longest: SignedDuration, zone: &TimeZone, now: Timestamp) -> bool {
    let Some(key) = keyring.current_key() else { return false };
    let over = now.duration_since(key.created_at) - longest;
    let quiet = QUIET_HOURS.contains(&now.to_zoned(zone.clone()).hour());
    over >= SignedDuration::ZERO && (quiet || over >= LONGEST_WAIT)
}

/// A secret that goes when it has been of no use for long enough.
trait Expiring {
    fn id(&self) -> &str;
    fn retired_at(&mut self) -> &mut Option<Timestamp>;
}

impl Expiring for StoredKeyPair {
    fn id(&self) -> &str {
        &self.certificate_id
    }

    fn retired_at(&mut self) -> &mut Option<Timestamp> {
        &mut self.retired_at
    }
}

impl Expiring for StoredClientStateKey {
    fn id(&self) -> &str {
        &self.id
    }

    fn retired_at(&mut self) -> &mut Option<Timestamp> {
        &mut self.retired_at
    }
}

impl Expiring for StoredClientState {
    fn id(&self) -> &str {
        &self.id
    }

    fn retired_at(&mut self) -> &mut Option<Timestamp> {
        &mut self.retired_at
    }
}

/// The keyring without what nothing needs. The current keys stay whatever happens.
fn tidied(keyring: &Keyring, in_use: &InUse, now: Timestamp) -> Keyring {
    fn tidy<T: Expiring>(all: &mut Vec<T>, current: Option<&str>, in_use: &[String], now: Timestamp) {
        all.retain_mut(|one| {
            let used = Some(one.id()) == current || in_use.iter().any(|id| id == one.id());
            let retired_at = one.retired_at();
            *retired_at = if used { None } else { retired_at.or(Some(now)) };
            retired_at.is_none_or(|since| now.duration_since(since) < KEPT_UNUSED)
        });
    }
    let mut tidied = keyring.clone();
    let key = keyring.current_key().map(|key| key.certificate_id.as_str());
    let generation = keyring.current_client_state_key().map(|key| key.id.as_str());
    tidy(&mut tidied.keys, key, &in_use.certificate_ids, now);
    tidy(&mut tidied.client_state_keys, generation, &in_use.client_state_ids, now);
    tidy(&mut tidied.client_states, None, &in_use.client_state_ids, now);
    tidied
}

/// Tidies those secrets of the keyring that another one, an older state of it, holds, too.
fn tidy_as(keyring: &mut Keyring, known: &Keyring, in_use: &InUse, now: Timestamp) {
    fn tidy<T: Expiring>(all: &mut Vec<T>, known: &[T], mut tidied: Vec<T>) {
        all.retain_mut(|one| {
            let after = tidied.iter_mut().find(|after| after.id() == one.id()).map(|after| *after.retired_at());
            let was_known = known.iter().any(|other| other.id() == one.id());
            if let Some(after) = after {
                *one.retired_at() = after;
            }
            after.is_some() || !was_known
        });
    }
    let tidied = tidied(known, in_use, now);
    tidy(&mut keyring.keys, &known.keys, tidied.keys);
    tidy(&mut keyring.client_state_keys, &known.client_state_keys, tidied.client_state_keys);
    tidy(&mut keyring.client_states, &known.client_states, tidied.client_states);
}

/// Whether two keyrings of the same origin hold the same secrets in the same use.
fn is_same(before: &Keyring, after: &Keyring) -> bool {
    let retired = |keyring: &Keyring| {
        let keys = keyring.keys.iter().map(|key| key.retired_at).collect::<Vec<_>>();
        let generations = keyring.client_state_keys.iter().map(|key| key.retired_at).collect::<Vec<_>>();
        let stored = keyring.client_states.iter().map(|state| state.retired_at).collect::<Vec<_>>();
        (keys, generations, stored)
    };
    retired(before) == retired(after)
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

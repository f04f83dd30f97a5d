//! Telling authentic items from the rest.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
};

use graph_notifications::{
    AuthenticNotification, ChangeNotificationCollection, CheckedToken, Keyring, Policies, RecognisedNotification,
    SigningKeys, TenantId, ValidToken,
    authentication::NotOurs,
    envelope::{ChangeNotification, Item, LifecycleNotification},
    validation_token::{Requirements, TokenError, UnverifiedToken},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    config::Config,
    events::RejectedOrigin,
    keyring_cache::{KeyringCache, KeyringUnavailable},
    live_signing_keys::{Asker, Fetched, LiveSigningKeys},
    outside::{FetchSigningKeys, ReadKeyring},
    rejection::Rejection,
    schedule::Schedule,
};

/// How many of a request's tokens are looked at. Graph sends one for each app and tenant; a forger might send thousands,
/// and each costs a verification.
const MOST_TOKENS: usize = 100;

/// For lifecycle items with an unknown client state a keyring of this age will do. Anybody can send them, no token comes with
/// them, and the renewer looks at everything every quarter of an hour.
const FRESH_FOR_LIFECYCLE: SignedDuration = SignedDuration::from_secs(10);

/// A request's items by what is to become of them.
#[derive(Default)]
pub(crate) struct Sorted {
    pub(crate) authentic: Vec<AuthenticNotification>,
    pub(crate) rejected: Vec<(Rejection, Option<RejectedOrigin>)>,
    /// With whether the client state is ours.
    pub(crate) lifecycle: Vec<(LifecycleNotification, bool)>,
    /// How many nobody can judge at the moment: Graph is to send them again.
    pub(crate) undecided: usize,
    pub(crate) keyring: Arc<Keyring>,
}

/// What judging needs and keeps between invocations.
pub(crate) struct Judge<'a, O> {
    pub(crate) config: &'a Config,
    pub(crate) outside: &'a O,
    pub(crate) keyring_cache: &'a KeyringCache,
    pub(crate) signing_keys: &'a LiveSigningKeys,
    pub(crate) now: Timestamp,
    pub(crate) schedule: Schedule,
    pub(crate) effort: Effort,
}

/// How often a request made us do what is dear: RSA.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    pub(crate) signatures: AtomicUsize,
    pub(crate) decryptions: AtomicUsize,
}

/// A request's tokens. Their claims are checked once, when an item needs a token.
struct Tokens<'a> {
    texts: &'a [String],
    requirements: Requirements<'a>,
    checked: OnceLock<Vec<Result<CheckedToken, TokenError>>>,
}

impl Tokens<'_> {
    fn checked(&self) -> &[Result<CheckedToken, TokenError>] {
        let check = |token: &String| CheckedToken::check(token, &self.requirements);
        self.checked.get_or_init(|| self.texts.iter().take(MOST_TOKENS).map(check).collect())
    }

    fn of(&self, tenant: TenantId) -> Vec<&CheckedToken> {
        self.checked().iter().flatten().filter(|token| token.tenant() == tenant).collect()
    }
}

impl<O: ReadKeyring + FetchSigningKeys> Judge<'_, O> {
    /// Sorts the items of a request, the cheap checks first.
    pub(crate) async fn sort(&self, collection: ChangeNotificationCollection) -> Sorted {
        let mut sorted = Sorted::default();
        let (mut changes, mut lifecycle) = (Vec::new(), Vec::new());
        for item in collection.items {
            match item {
                Ok(Item::Change(notification)) => changes.push(notification),
                Ok(Item::Lifecycle(notification)) => lifecycle.push(notification),
                Err(reason) => sorted.rejected.push((reason.into(), None)),
            }
        }
        if changes.is_empty() && lifecycle.is_empty() {
            return sorted;
        }
        let requirements = Requirements {
            client_id: self.config.client_id,
            policies: &self.config.policies,
            login_endpoint: self.config.login_endpoint.as_str(),
            v1_issuers: self.config.login_endpoint.v1_issuers(),
            now: self.now,
        };
        let tokens = Tokens { texts: &collection.validation_tokens, requirements, checked: OnceLock::new() };
        let recognised = self.recognise(changes, lifecycle, &tokens, &mut sorted).await;
        self.authenticate(recognised, &tokens, &mut sorted).await;
        sorted
    }

    /// Sets aside what has the wrong tenant, policy or client state. A client state that is not in the keyring may have
    /// been made since the keyring was read, so it is read again before an item is turned away for that.
    async fn recognise(
        &self,
        changes: Vec<ChangeNotification>,
        lifecycle: Vec<LifecycleNotification>,
        tokens: &Tokens<'_>,
        sorted: &mut Sorted,
    ) -> Vec<RecognisedNotification> {
        let policies = &self.config.policies;
        // What no client state could help, without the keyring.
        let (_, changes) = recognise_with(&Keyring::default(), policies, changes, sorted);
        let may_be_ours = |item: &LifecycleNotification| item.check(policies, &[]) == Err(NotOurs::ClientState);
        if changes.is_empty() && !lifecycle.iter().any(may_be_ours) {
            sorted.lifecycle.extend(lifecycle.into_iter().map(|item| (item, false)));
            return Vec::new();
        }
        let current = self.keyring_cache.get(self.outside, self.now, self.schedule.keyring).await;
        if let Ok(keyring) = &current {
            sorted.keyring = keyring.clone();
        }
        let (mut recognised, strangers) = recognise_with(&sorted.keyring.clone(), policies, changes, sorted);
        if let Err(error) = &current {
            tracing::error!(%error, items = strangers.len(), "items cannot be judged without the keyring");
            sorted.undecided += strangers.len();
        } else {
            recognised.extend(self.look_again(strangers, tokens, sorted).await);
        }
        let strange = |item: &LifecycleNotification| {
            item.check(policies, &sorted.keyring.client_states) == Err(NotOurs::ClientState)
        };
        if current.is_ok() && lifecycle.iter().any(strange) {
            let deadline = self.schedule.authenticated;
            let newer = self.keyring_cache.no_older_than(FRESH_FOR_LIFECYCLE, self.outside, self.now, deadline).await;
            if let Ok(newer) = newer {
                sorted.keyring = newer;
            }
        }
        for item in lifecycle {
            match item.check(policies, &sorted.keyring.client_states) {
                // Passed on as a stranger's, it would move nobody to look at the subscription.
                Err(NotOurs::ClientState) if current.is_err() => sorted.undecided += 1,
                checked => sorted.lifecycle.push((item, checked.is_ok())),
            }
        }
        recognised
    }

    /// Recognises items by a keyring that is read anew. To wait for that is dear, so an item must have a token that vouches for its
    /// tenant, or might: anybody can make up a client state, and a flood of them would keep all instances of the function waiting.
    async fn look_again(
        &self,
        strangers: Vec<ChangeNotification>,
        tokens: &Tokens<'_>,
        sorted: &mut Sorted,
    ) -> Vec<RecognisedNotification> {
        let mut standings = HashMap::new();
        for item in &strangers {
            let tenant = item.origin.tenant;
            if let Entry::Vacant(unheard) = standings.entry(tenant) {
                unheard.insert(self.standing(tenant, tokens, &sorted.keyring).await);
            }
        }
        let refreshed = self.refresh_for(&mut standings, tokens).await;
        let (refuted, waiting): (Vec<_>, Vec<_>) =
            strangers.into_iter().partition(|item| standings[&item.origin.tenant] == Standing::Refuted);
        for item in &refuted {
            sorted.reject_stranger(item);
        }
        if waiting.is_empty() {
            return Vec::new();
        }
        match refreshed {
            Ok(Some(keyring)) => {
                sorted.keyring = keyring;
                let (known, strangers) =
                    recognise_with(&sorted.keyring.clone(), &self.config.policies, waiting, sorted);
                for item in &strangers {
                    if standings[&item.origin.tenant] == Standing::VouchedFor {
                        sorted.rejected.push((Rejection::VouchedFor, Some((&item.origin).into())));
                    } else {
                        sorted.reject_stranger(item);
                    }
                }
                known
            }
            Ok(None) => {
                tracing::error!(items = waiting.len(), "items cannot be judged without Entra's signing keys");
                sorted.undecided += waiting.len();
                Vec::new()
            }
            Err(error) => {
                tracing::error!(%error, items = waiting.len(), "items cannot be judged without a newer keyring");
                sorted.undecided += waiting.len();
                Vec::new()
            }
        }
    }

    async fn standing(&self, tenant: TenantId, tokens: &Tokens<'_>, keyring: &Keyring) -> Standing {
        match self.prove(tenant, tokens, keyring).await {
            Proof::Valid(_) => Standing::VouchedFor,
            Proof::UnknownKey { .. } => Standing::Doubtful,
            Proof::None(_) => Standing::Refuted,
        }
    }

    /// The keyring as it is now, if these standings are worth it. Where all is in doubt and the keyring was read too often for
    /// that, Entra's keys settle who stands how. `None` if nobody is left to read it for, or if Entra cannot be asked, either:
    /// a call may have a client state and a signing key that are both new, so what is still in doubt then stays undecided.
    async fn refresh_for(
        &self,
        standings: &mut HashMap<TenantId, Standing>,
        tokens: &Tokens<'_>,
    ) -> Result<Option<Arc<Keyring>>, KeyringUnavailable> {
        let (cache, deadline) = (self.keyring_cache, self.schedule.authenticated);
        let any = |standings: &HashMap<_, _>, standing| standings.values().any(|other| *other == standing);
        if !any(standings, Standing::VouchedFor) && any(standings, Standing::Doubtful) {
            let refreshed = cache.refresh_in_doubt(self.outside, self.now, deadline).await?;
            if refreshed.is_some() {
                return Ok(refreshed);
            }
            for (tenant, standing) in standings.iter_mut().filter(|(_, standing)| **standing == Standing::Doubtful) {
                *standing = self.standing_by_new_keys(*tenant, tokens).await;
            }
        }
        if any(standings, Standing::VouchedFor) {
            return cache.refresh(self.outside, self.now, deadline).await.map(Some);
        }
        Ok(None)
    }

    async fn standing_by_new_keys(&self, tenant: TenantId, tokens: &Tokens<'_>) -> Standing {
        // A silent Entra must leave time to judge those who know a client state.
        let deadline = self.schedule.keyring;
        match self.signing_keys.fetch(self.outside, tenant, Asker::Stranger, self.now, deadline).await {
            Fetched::Now(fetched) => match self.verify(&tokens.of(tenant), &[&fetched.keys]) {
                Ok(_) => Standing::VouchedFor,
                Err(Unproven { unknown_key: Some(_), .. }) if !fetched.complete => Standing::Doubtful,
                Err(_) => Standing::Refuted,
            },
            Fetched::Unreachable | Fetched::NotAsked => Standing::Doubtful,
        }
    }

    async fn authenticate(&self, recognised: Vec<RecognisedNotification>, tokens: &Tokens<'_>, sorted: &mut Sorted) {
        let mut verdicts = HashMap::new();
        for item in recognised {
            let tenant = item.tenant();
            let verdict = match verdicts.get(&tenant) {
                Some(verdict) => *verdict,
                None => *verdicts.entry(tenant).or_insert(self.judge(tenant, tokens, &sorted.keyring).await),
            };
            let origin = RejectedOrigin::from(&item.notification().origin);
            let authentic = match verdict {
                Verdict::Valid(token) => item.authenticate(token).map_err(|_| Rejection::NotCovered),
                Verdict::Unverified(token) => item.accept_unverified(token).map_err(|_| Rejection::NotCovered),
                Verdict::Rejected(reason) => Err(reason),
                Verdict::Undecided => {
                    sorted.undecided += 1;
                    continue;
                }
            };
            match authentic {
                Ok(authentic) => sorted.authentic.push(authentic),
                Err(reason) => sorted.rejected.push((reason, Some(origin))),
            }
        }
    }

    async fn judge(&self, tenant: TenantId, tokens: &Tokens<'_>, keyring: &Keyring) -> Verdict {
        match self.prove(tenant, tokens, keyring).await {
            Proof::Valid(token) => Verdict::Valid(token),
            Proof::UnknownKey { token, own } => self.judge_by_new_keys(token, &own).await,
            Proof::None(reason) => Verdict::Rejected(reason),
        }
    }

    /// Whether the request's tokens vouch for a tenant, by the keys at hand. One that does is enough: bad ones beside it take
    /// nothing away.
    async fn prove<'t>(&self, tenant: TenantId, tokens: &'t Tokens<'_>, keyring: &Keyring) -> Proof<'t> {
        let checked = tokens.checked();
        let own = tokens.of(tenant);
        if own.is_empty() {
            let error = checked.iter().find_map(|token| token.as_ref().err());
            return Proof::None(match error {
                _ if checked.is_empty() => Rejection::NoValidationToken,
                Some(error) => Rejection::Token(*error),
                None => Rejection::NotCovered,
            });
        }
        let kept = self.signing_keys.kept(tenant, self.now).await;
        let known: Vec<&SigningKeys> = keyring.signing_keys.iter().chain(&kept).collect();
        match self.verify(&own, &known) {
            Ok(token) => Proof::Valid(token),
            Err(Unproven { unknown_key: Some(token), .. }) => Proof::UnknownKey { token, own },
            Err(Unproven { error, .. }) => Proof::None(Rejection::Token(error)),
        }
    }

    async fn judge_by_new_keys(&self, unknown: &CheckedToken, own: &[&CheckedToken]) -> Verdict {
        let deadline = self.schedule.authenticated;
        let asker = Asker::KnowsClientState;
        match self.signing_keys.fetch(self.outside, unknown.tenant(), asker, self.now, deadline).await {
            Fetched::Now(fetched) => match self.verify(own, &[&fetched.keys]) {
                Ok(token) => Verdict::Valid(token),
                Err(Unproven { unknown_key: Some(token), .. }) if !fetched.complete => {
                    Verdict::Unverified(token.unverified())
                }
                Err(Unproven { error, .. }) => Verdict::Rejected(Rejection::Token(error)),
            },
            Fetched::Unreachable => Verdict::Unverified(unknown.unverified()),
            Fetched::NotAsked => Verdict::Undecided,
        }
    }

    fn verify<'t>(&self, tokens: &[&'t CheckedToken], key_sets: &[&SigningKeys]) -> Result<ValidToken, Unproven<'t>> {
        let mut unproven = Unproven { error: TokenError::UnknownKey, unknown_key: None };
        for token in tokens {
            let mut known_key = false;
            for keys in key_sets {
                let verified = token.verify(keys, &self.config.policies);
                if !matches!(verified, Err(TokenError::UnknownKey | TokenError::KeyIssuer)) {
                    self.effort.signatures.fetch_add(1, Ordering::Relaxed);
                }
                match verified {
                    Ok(token) => return Ok(token),
                    Err(TokenError::UnknownKey) => {}
                    Err(error) => {
                        unproven.error = error;
                        known_key = true;
                    }
                }
            }
            if !known_key {
                unproven.unknown_key.get_or_insert(token);
            }
        }
        Err(unproven)
    }
}

/// What a request's tokens are worth for a tenant, by the keys at hand.
enum Proof<'t> {
    Valid(ValidToken),
    /// None is valid, and at least this one of the tenant's own names a key that is not at hand.
    UnknownKey {
        token: &'t CheckedToken,
        own: Vec<&'t CheckedToken>,
    },
    None(Rejection),
}

/// What speaks for an item whose client state is unknown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// A valid token: Graph sent it, or who has recorded a request of Graph's.
    VouchedFor,
    /// A token that a key which is not at hand may have signed.
    Doubtful,
    /// Nothing: no newer keyring would help it.
    Refuted,
}

impl Sorted {
    fn reject_stranger(&mut self, item: &ChangeNotification) {
        self.rejected.push((Rejection::NotOurs(NotOurs::ClientState), Some((&item.origin).into())));
    }
}

#[derive(Clone, Copy)]
enum Verdict {
    Valid(ValidToken),
    /// Entra's keys cannot be had; all else about the token is right.
    Unverified(UnverifiedToken),
    Rejected(Rejection),
    Undecided,
}

/// No token was proven: the last error, and a token that a newer key might prove.
struct Unproven<'a> {
    error: TokenError,
    unknown_key: Option<&'a CheckedToken>,
}

/// Gives the recognised items, and those with a client state that this keyring lacks.
fn recognise_with(
    keyring: &Keyring,
    policies: &Policies,
    items: Vec<ChangeNotification>,
    sorted: &mut Sorted,
) -> (Vec<RecognisedNotification>, Vec<ChangeNotification>) {
    let (mut recognised, mut strangers) = (Vec::new(), Vec::new());
    for item in items {
        match RecognisedNotification::recognise(item, policies, &keyring.client_states) {
            Ok(item) => recognised.push(item),
            Err((NotOurs::ClientState, item)) => strangers.push(*item),
            Err((reason, item)) => sorted.rejected.push((reason.into(), Some((&item.origin).into()))),
        }
    }
    (recognised, strangers)
}

//! Telling authentic items from the rest.

use std::{collections::HashMap, sync::Arc};

use graph_notifications::{
    AuthenticNotification, ChangeNotificationCollection, CheckedToken, Keyring, Policies, RecognisedNotification,
    SigningKeys, TenantId, ValidToken,
    authentication::NotOurs,
    envelope::{ChangeNotification, Item, LifecycleNotification},
    validation_token::{Requirements, TokenError, UnverifiedToken},
};
use jiff::Timestamp;

use crate::{
    config::Config,
    events::RejectedOrigin,
    keyring_cache::KeyringCache,
    live_signing_keys::{Fetched, LiveSigningKeys},
    outside::{FetchSigningKeys, ReadKeyring},
    rejection::Rejection,
    schedule::Schedule,
};

/// How many of a request's tokens are looked at. Graph sends one for each app and tenant; a forger might send thousands,
/// and each costs a verification.
const MOST_TOKENS: usize = 100;

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
        let recognised = self.recognise(changes, lifecycle, &mut sorted).await;
        self.authenticate(recognised, &collection.validation_tokens, &mut sorted).await;
        sorted
    }

    /// Sets aside what has the wrong tenant, policy or client state. A client state that is not in the keyring may have
    /// been made since the keyring was read, so it is read again before an item is turned away for that.
    async fn recognise(
        &self,
        changes: Vec<ChangeNotification>,
        lifecycle: Vec<LifecycleNotification>,
        sorted: &mut Sorted,
    ) -> Vec<RecognisedNotification> {
        let policies = &self.config.policies;
        let current = self.keyring_cache.get(self.outside, self.now, self.schedule.keyring).await;
        if let Ok(keyring) = &current {
            sorted.keyring = keyring.clone();
        }
        let (mut recognised, strangers) = recognise_with(&sorted.keyring.clone(), policies, changes, sorted);
        let unknown_lifecycle = |keyring: &Keyring| {
            lifecycle.iter().any(|item| item.check(policies, &keyring.client_states) == Err(NotOurs::ClientState))
        };
        if !strangers.is_empty() || unknown_lifecycle(&sorted.keyring) {
            let refreshed = match current {
                Ok(_) => self.keyring_cache.refresh(self.outside, self.now, self.schedule.authenticated).await,
                Err(error) => Err(error),
            };
            match refreshed {
                Ok(keyring) => {
                    sorted.keyring = keyring;
                    let (known, strangers) = recognise_with(&sorted.keyring.clone(), policies, strangers, sorted);
                    recognised.extend(known);
                    let reason = Rejection::NotOurs(NotOurs::ClientState);
                    sorted.rejected.extend(strangers.iter().map(|item| (reason, Some((&item.origin).into()))));
                }
                Err(error) => {
                    tracing::error!(%error, items = strangers.len(), "items cannot be judged without the keyring");
                    sorted.undecided += strangers.len();
                }
            }
        }
        for item in lifecycle {
            let ours = item.check(policies, &sorted.keyring.client_states).is_ok();
            sorted.lifecycle.push((item, ours));
        }
        recognised
    }

    async fn authenticate(&self, recognised: Vec<RecognisedNotification>, tokens: &[String], sorted: &mut Sorted) {
        if recognised.is_empty() {
            return;
        }
        let requirements = Requirements {
            client_id: self.config.client_id,
            policies: &self.config.policies,
            login_endpoint: self.config.login_endpoint.as_str(),
            v1_issuers: self.config.login_endpoint.v1_issuers(),
            now: self.now,
        };
        let tokens: Vec<_> =
            tokens.iter().take(MOST_TOKENS).map(|token| CheckedToken::check(token, &requirements)).collect();
        let mut verdicts = HashMap::new();
        for item in recognised {
            let tenant = item.tenant();
            let verdict = match verdicts.get(&tenant) {
                Some(verdict) => *verdict,
                None => *verdicts.entry(tenant).or_insert(self.judge(tenant, &tokens, &sorted.keyring).await),
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

    /// Whether the request's tokens vouch for a tenant. One that does is enough: bad ones beside it take nothing away.
    async fn judge(&self, tenant: TenantId, tokens: &[Result<CheckedToken, TokenError>], keyring: &Keyring) -> Verdict {
        let own: Vec<&CheckedToken> = tokens.iter().flatten().filter(|token| token.tenant() == tenant).collect();
        if own.is_empty() {
            let error = tokens.iter().find_map(|token| token.as_ref().err());
            return Verdict::Rejected(match error {
                _ if tokens.is_empty() => Rejection::NoValidationToken,
                Some(error) => Rejection::Token(*error),
                None => Rejection::NotCovered,
            });
        }
        let kept = self.signing_keys.kept(self.now).await;
        let known: Vec<&SigningKeys> = keyring.signing_keys.iter().chain(&kept).collect();
        match verify(&own, &known) {
            Ok(token) => Verdict::Valid(token),
            Err(Unproven { unknown_key: Some(token), .. }) => self.judge_by_new_keys(token, &own).await,
            Err(Unproven { error, .. }) => Verdict::Rejected(Rejection::Token(error)),
        }
    }

    async fn judge_by_new_keys(&self, unknown: &CheckedToken, own: &[&CheckedToken]) -> Verdict {
        let deadline = self.schedule.authenticated;
        match self.signing_keys.fetch(self.outside, unknown.tenant(), self.now, deadline).await {
            Fetched::Now(keys) => match verify(own, &[&keys]) {
                Ok(token) => Verdict::Valid(token),
                Err(Unproven { error, .. }) => Verdict::Rejected(Rejection::Token(error)),
            },
            Fetched::Unreachable => Verdict::Unverified(unknown.unverified()),
            Fetched::NotAsked => Verdict::Undecided,
        }
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

fn verify<'a>(tokens: &[&'a CheckedToken], key_sets: &[&SigningKeys]) -> Result<ValidToken, Unproven<'a>> {
    let mut unproven = Unproven { error: TokenError::UnknownKey, unknown_key: None };
    for token in tokens {
        let mut known_key = false;
        for keys in key_sets {
            match token.verify(keys) {
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

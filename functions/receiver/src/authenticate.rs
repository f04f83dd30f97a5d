//! Examining a request's items: which proofs of their sender hold.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use graph_notifications::{
    ChangeNotificationCollection, CheckedToken, ExaminedNotification, Keyring, Policies, SigningKeys, TenantId,
    ValidToken,
    authentication::{ClientStateProof, ClientStateRefuted, Proof, Standing, TokenVerdicts, client_state_proof},
    envelope::{ChangeNotification, Item, LifecycleNotification, Origin},
    validation_token::{Requirements, TokenError},
};
use jiff::{SignedDuration, Timestamp};

use crate::{
    config::Config,
    deadlines::Deadlines,
    keyring_cache::{KeyringCache, KeyringUnavailable},
    ports::{FetchSigningKeys, ReadKeyring},
    signing_key_cache::{Fetched, LiveSigningKeys, Requester},
};

/// How many of a request's tokens are looked at. Graph sends one for each app and tenant; a forger might send thousands,
/// and each costs a verification.
const MOST_TOKENS: usize = 100;

/// For lifecycle items with an unknown client state a keyring of this age will do. Anybody can send them, no token comes with
/// them, and the renewer looks at everything every quarter of an hour.
const FRESH_FOR_LIFECYCLE: SignedDuration = SignedDuration::from_secs(10);

/// A request's items, examined.
pub(crate) struct Examined {
    pub(crate) changes: Vec<ExaminedNotification>,
    /// Lifecycle items, with whether they know a client state.
    pub(crate) lifecycle: Vec<(LifecycleNotification, bool)>,
    /// How many lifecycle items nobody can judge at the moment: Graph is to send them again.
    pub(crate) lifecycle_undecided: usize,
    /// How many items are no objects.
    pub(crate) malformed: usize,
    /// How the best validation token of the request stands.
    pub(crate) token: Standing,
    /// The keyring, if one is at hand.
    pub(crate) keyring: Option<Arc<Keyring>>,
}

/// What examining needs and keeps between invocations.
pub(crate) struct Examiner<'a, O> {
    pub(crate) config: &'a Config,
    pub(crate) outside: &'a O,
    pub(crate) keyring_cache: &'a KeyringCache,
    pub(crate) signing_keys: &'a LiveSigningKeys,
    pub(crate) now: Timestamp,
    pub(crate) deadlines: Deadlines,
    pub(crate) effort: Effort,
}

/// How often a request made us do what is dear: RSA.
#[derive(Debug, Default)]
pub(crate) struct Effort {
    pub(crate) signatures: AtomicUsize,
    pub(crate) decryptions: AtomicUsize,
}

/// The tokens of a request whose claims are right, by tenant, and the verdict on each tenant.
struct Tokens {
    checked: Vec<(TenantId, Vec<CheckedToken>)>,
    verdicts: TokenVerdicts,
}

impl<O: ReadKeyring + FetchSigningKeys> Examiner<'_, O> {
    /// Examines the items of a request, the cheap checks first.
    pub(crate) async fn examine(&self, collection: ChangeNotificationCollection) -> Examined {
        let (mut changes, mut lifecycle, mut malformed) = (Vec::new(), Vec::new(), 0);
        for item in collection.items {
            match item {
                Ok(Item::Change(notification)) => changes.push(notification),
                Ok(Item::Lifecycle(notification)) => lifecycle.push(notification),
                Err(_) => malformed += 1,
            }
        }
        let mut tokens = self.check_claims(&collection.validation_tokens, changes.is_empty() && malformed == 0);
        let knows_something = |origin: &Origin| origin.client_state.is_some();
        let keyring = if !tokens.checked.is_empty()
            || changes.iter().any(|item| knows_something(&item.origin))
            || lifecycle.iter().any(|item| knows_something(&item.origin))
        {
            self.keyring_cache.get(self.outside, self.now, self.deadlines.keyring).await.map(Some)
        } else {
            Ok(None)
        };
        let mut examined = Examined {
            changes: Vec::new(),
            lifecycle: Vec::new(),
            lifecycle_undecided: 0,
            malformed,
            token: Standing::Refuted,
            keyring: None,
        };
        match keyring {
            Ok(keyring) => {
                let mut keyring = keyring.unwrap_or_default();
                self.verify_by_keys_at_hand(&mut tokens, &keyring).await;
                let client_states = self.client_states(&changes, &mut tokens, &mut keyring).await;
                self.verify_by_new_keys(&changes, &client_states, &mut tokens).await;
                self.recognize_lifecycle(lifecycle, &mut keyring, &mut examined).await;
                examined.keyring = Some(keyring);
                self.assemble(changes, client_states, &tokens, &mut examined);
            }
            Err(error) => {
                tracing::error!(%error, items = changes.len(), "items cannot be judged without the keyring");
                let client_states = changes.iter().map(|item| without_keyring(&item.origin)).collect();
                for item in lifecycle {
                    // Passed on as anybody's, it would move nobody to look at the subscription.
                    match without_keyring(&item.origin) {
                        Proof::Undecided => examined.lifecycle_undecided += 1,
                        _ => examined.lifecycle.push((item, false)),
                    }
                }
                self.assemble(changes, client_states, &tokens, &mut examined);
            }
        }
        examined
    }

    fn check_claims(&self, texts: &[String], nobody_asks: bool) -> Tokens {
        let requirements = Requirements {
            client_id: self.config.client_id,
            policies: &self.config.policies,
            login_endpoint: self.config.login_endpoint.as_str(),
            v1_issuers: self.config.login_endpoint.v1_issuers(),
            now: self.now,
        };
        let mut checked: Vec<(TenantId, Vec<CheckedToken>)> = Vec::new();
        let mut first_error = None;
        let most = if nobody_asks { 0 } else { MOST_TOKENS };
        for text in texts.iter().take(most) {
            match CheckedToken::check(text, &requirements) {
                Ok(token) => match checked.iter_mut().find(|(tenant, _)| *tenant == token.tenant()) {
                    Some((_, tokens)) => tokens.push(token),
                    None => checked.push((token.tenant(), vec![token])),
                },
                Err(error) => {
                    first_error.get_or_insert(error);
                }
            }
        }
        let mut verdicts = TokenVerdicts::new(first_error);
        for (tenant, _) in &checked {
            verdicts.set(*tenant, Proof::Undecided);
        }
        Tokens { checked, verdicts }
    }

    /// Sets the verdicts that need nobody else: a tenant's stays undecided if a token names a key that is not at hand.
    async fn verify_by_keys_at_hand(&self, tokens: &mut Tokens, keyring: &Keyring) {
        for (tenant, checked) in &tokens.checked {
            let kept = self.signing_keys.kept(*tenant, self.now).await;
            let known: Vec<&SigningKeys> = keyring.signing_keys.iter().chain(&kept).collect();
            tokens.verdicts.set(*tenant, self.verify(checked, &known, false));
        }
    }

    /// Whether each item's client state is known. One that is not may have been made since the keyring was read, so it is
    /// read again before the item is turned away for that. To wait for it is dear, so a token must speak for the item, or
    /// might: anybody can make up a client state, and a flood of them would keep all instances of the function waiting.
    async fn client_states(
        &self,
        changes: &[ChangeNotification],
        tokens: &mut Tokens,
        keyring: &mut Arc<Keyring>,
    ) -> Vec<ClientStateProof> {
        let policies = &self.config.policies;
        let mut proofs = recognize(changes, keyring, policies);
        let unknown = |proof: &ClientStateProof| *proof == Proof::Refuted(ClientStateRefuted::Unknown);
        let waiting = |proofs: &[ClientStateProof], tokens: &Tokens| -> Vec<(usize, Standing)> {
            let standing = |(index, proof): (usize, &ClientStateProof)| {
                let origin: &Origin = &changes[index].origin;
                unknown(proof).then(|| (index, tokens.verdicts.proof(origin, proof).standing()))
            };
            let all = proofs.iter().enumerate().filter_map(standing);
            all.filter(|(_, standing)| *standing != Standing::Refuted).collect()
        };
        if waiting(&proofs, tokens).is_empty() {
            return proofs;
        }
        let refreshed = self.refresh_for(&waiting, &proofs, tokens, keyring).await;
        let waiting = waiting(&proofs, tokens);
        match refreshed {
            Ok(Some(newer)) => {
                *keyring = newer;
                proofs = recognize(changes, keyring, policies);
                self.verify_by_keys_at_hand_again(tokens, keyring).await;
            }
            Ok(None) => {
                for (index, _) in waiting {
                    proofs[index] = Proof::Undecided;
                }
            }
            Err(error) => {
                tracing::error!(%error, items = waiting.len(), "client states cannot be judged without a newer keyring");
                for (index, _) in waiting {
                    proofs[index] = Proof::Undecided;
                }
            }
        }
        proofs
    }

    /// The keyring as it is now, if the items that wait for it are worth it. Where none of them has a token that is proven and
    /// the keyring was read too often for that, Entra's keys settle what the tokens are worth. `None` if nobody is left to
    /// read it for, or if Entra cannot be asked, either: a call may have a client state and a signing key that are both new.
    async fn refresh_for(
        &self,
        waiting: &impl Fn(&[ClientStateProof], &Tokens) -> Vec<(usize, Standing)>,
        proofs: &[ClientStateProof],
        tokens: &mut Tokens,
        keyring: &Arc<Keyring>,
    ) -> Result<Option<Arc<Keyring>>, KeyringUnavailable> {
        let (cache, deadline) = (self.keyring_cache, self.deadlines.authenticated);
        let proven = |waiting: &[(usize, Standing)]| waiting.iter().any(|(_, standing)| *standing == Standing::Proven);
        if !proven(&waiting(proofs, tokens)) {
            let refreshed = cache.refresh_in_doubt(self.outside, self.now, deadline).await?;
            if refreshed.is_some() {
                return Ok(refreshed);
            }
            for tenant in tokens.verdicts.undecided() {
                // A silent Entra must leave time to judge those who know a client state.
                self.fetch_and_verify(tokens, tenant, Requester::Unauthenticated, self.deadlines.keyring).await;
            }
            let waiting = waiting(proofs, tokens);
            if waiting.is_empty() {
                // What is refuted now is not helped by any keyring: the one at hand has said all.
                return Ok(Some(keyring.clone()));
            }
            if !proven(&waiting) {
                return Ok(None);
            }
        }
        cache.refresh(self.outside, self.now, deadline).await.map(Some)
    }

    /// A newer keyring may hold newer signing keys.
    async fn verify_by_keys_at_hand_again(&self, tokens: &mut Tokens, keyring: &Keyring) {
        if !tokens.verdicts.undecided().is_empty() {
            self.verify_by_keys_at_hand(tokens, keyring).await;
        }
    }

    /// Asks Entra for the keys that are not at hand, for items whose sender they decide on.
    async fn verify_by_new_keys(
        &self,
        changes: &[ChangeNotification],
        client_states: &[ClientStateProof],
        tokens: &mut Tokens,
    ) {
        for tenant in tokens.verdicts.undecided() {
            let mut requester = None;
            for (item, client_state) in changes.iter().zip(client_states) {
                if tokens.verdicts.proof(&item.origin, client_state) != Proof::Undecided {
                    continue;
                }
                if client_state.standing() == Standing::Proven {
                    requester = Some(Requester::KnowsClientState);
                    break;
                }
                requester = Some(Requester::Unauthenticated);
            }
            if let Some(requester) = requester {
                self.fetch_and_verify(tokens, tenant, requester, self.deadlines.authenticated).await;
            }
        }
    }

    async fn fetch_and_verify(
        &self,
        tokens: &mut Tokens,
        tenant: TenantId,
        requester: Requester,
        deadline: tokio::time::Instant,
    ) {
        let fetched = self.signing_keys.fetch(self.outside, tenant, requester, self.now, deadline).await;
        // Unreachable, or not asked: undecided it stays.
        if let (Fetched::Now(fetched), Some((_, checked))) =
            (fetched, tokens.checked.iter().find(|(named, _)| *named == tenant))
        {
            tokens.verdicts.set(tenant, self.verify(checked, &[&fetched.keys], fetched.complete));
        }
    }

    /// The verdict on a tenant's tokens by these keys. One valid token is enough: bad ones beside it take nothing away.
    /// A key that is not among them refutes a token only if they are `all` that Entra has.
    fn verify(&self, tokens: &[CheckedToken], key_sets: &[&SigningKeys], all: bool) -> Proof<ValidToken, TokenError> {
        let (mut error, mut undecided) = (TokenError::UnknownKey, false);
        for token in tokens {
            let mut known_key = false;
            for keys in key_sets {
                let verified = token.verify(keys, &self.config.policies);
                if !matches!(verified, Err(TokenError::UnknownKey | TokenError::KeyIssuer)) {
                    self.effort.signatures.fetch_add(1, Ordering::Relaxed);
                }
                match verified {
                    Ok(token) => return Proof::Proven(token),
                    Err(TokenError::UnknownKey) => {}
                    Err(reason) => {
                        error = reason;
                        known_key = true;
                    }
                }
            }
            undecided |= !known_key && !all;
        }
        if undecided { Proof::Undecided } else { Proof::Refuted(error) }
    }

    async fn recognize_lifecycle(
        &self,
        lifecycle: Vec<LifecycleNotification>,
        keyring: &mut Arc<Keyring>,
        examined: &mut Examined,
    ) {
        let policies = &self.config.policies;
        let proof = |item: &LifecycleNotification, keyring: &Keyring| {
            item.client_state_proof(keyring.known_client_states(), policies)
        };
        if lifecycle.iter().any(|item| proof(item, keyring) == Proof::Refuted(ClientStateRefuted::Unknown)) {
            let deadline = self.deadlines.authenticated;
            let newer = self.keyring_cache.no_older_than(FRESH_FOR_LIFECYCLE, self.outside, self.now, deadline).await;
            if let Ok(newer) = newer {
                *keyring = newer;
            }
        }
        for item in lifecycle {
            let known = proof(&item, keyring).standing() == Standing::Proven;
            examined.lifecycle.push((item, known));
        }
    }

    fn assemble(
        &self,
        changes: Vec<ChangeNotification>,
        client_states: Vec<ClientStateProof>,
        tokens: &Tokens,
        examined: &mut Examined,
    ) {
        examined.token = tokens.verdicts.standing();
        let unverified = self.config.unverified_calls;
        let items = changes.into_iter().zip(client_states);
        examined.changes = items
            .map(|(item, client_state)| ExaminedNotification::new(item, &tokens.verdicts, client_state, unverified))
            .collect();
    }
}

fn recognize(changes: &[ChangeNotification], keyring: &Keyring, policies: &Policies) -> Vec<ClientStateProof> {
    let states = keyring.known_client_states();
    changes.iter().map(|item| client_state_proof(&item.origin, states, policies)).collect()
}

fn without_keyring(origin: &Origin) -> ClientStateProof {
    match origin.client_state {
        Some(_) => Proof::Undecided,
        None => Proof::Refuted(ClientStateRefuted::Missing),
    }
}

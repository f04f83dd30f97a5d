//! Who sent an item, and what becomes of it.
//!
//! Two things prove that Graph sent an item: a validation token that Microsoft signed for our application and a tenant of
//! ours (**T**), and a client state that the keyring knows (**C**). Each is proven, refuted, or undecided while what would
//! decide it cannot be had. Nothing else counts: neither the shape of an item, nor its resource, its `changeType` or the
//! tenant that it states. That a key of ours opens the content proves nothing either, since anybody may hold the
//! certificate; it only keeps out those who hold T alone, as every application of the tenant that receives notifications
//! of ours would.
//!
//! | | [`UnverifiedCalls::Alert`] | [`UnverifiedCalls::Reject`] |
//! |---|---|---|
//! | both proven, for the same tenant | verified alert; without details if no key of ours opens the item | the same, if every tenant that the item states is that one; else as one proven and one refuted |
//! | one proven, opened by a key of ours | unverified alert | not told; retry while the other is undecided |
//! | one proven, not opened | not told; retry while the other is undecided or the keyring cannot be read | the same |
//! | none proven, one undecided | retry | retry |
//! | both refuted | ignored | ignored |
//!
//! [`outcome`] is this table. *Not told* means status 202 and a report to operations, *retry* status 503, *ignored* 202.

use std::fmt;

use crate::{
    client_state::{ClientStates, KnownClientState},
    decryption::{DecryptedResource, DecryptionError, decrypt},
    envelope::{ChangeNotification, LifecycleNotification, Origin, StatedTenant},
    identifiers::{Policies, Policy, PolicyName, TenantId},
    keyring::Keyring,
    signing_keys::SigningKeys,
    validation_token::{CheckedToken, Requirements, TokenError, ValidToken},
};

/// What is known of one proof: `P` if it is proven, `R` says why it is refuted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof<P, R> {
    /// It holds.
    Proven(P),
    /// It does not hold, and nothing that could still arrive would change that.
    Refuted(R),
    /// What would decide it cannot be had at the moment.
    Undecided,
}

impl<P, R> Proof<P, R> {
    /// The same without the values.
    pub fn standing(&self) -> Standing {
        match self {
            Self::Proven(_) => Standing::Proven,
            Self::Refuted(_) => Standing::Refuted,
            Self::Undecided => Standing::Undecided,
        }
    }
}

/// How a proof stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It holds.
    Proven,
    /// It does not hold.
    Refuted,
    /// Nobody can tell at the moment.
    Undecided,
}

/// Why no validation token proves an item's sender. What it says is for logs and metrics, never for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum TokenRefuted {
    /// The request has none.
    #[error("the request has no validation token")]
    Missing,
    /// None passes every check; this is the first that failed.
    #[error(transparent)]
    Invalid(#[from] TokenError),
    /// A token is valid, but for another tenant than the client state is.
    #[error("the validation token is valid for another tenant than the client state")]
    OtherTenant,
}

/// Why an item's client state proves nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum ClientStateRefuted {
    /// There is none.
    #[error("the item has no client state")]
    Missing,
    /// The keyring does not know it.
    #[error("the item's client state is not known")]
    Unknown,
}

/// A valid validation token's word for an item. Only [`TokenVerdicts::proof`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Voucher {
    tenant: Option<TenantId>,
}

/// Whether the validation tokens of an item prove its sender.
pub type TokenProof = Proof<Voucher, TokenRefuted>;

/// Whether the client state of an item proves its sender.
pub type ClientStateProof = Proof<KnownClientState, ClientStateRefuted>;

/// What a request's validation tokens are worth, by the tenant that they name.
#[derive(Debug, Default)]
pub struct TokenVerdicts {
    by_tenant: Vec<(TenantId, Proof<ValidToken, TokenError>)>,
    first_error: Option<TokenError>,
}

impl TokenVerdicts {
    /// Verdicts on no tenant yet. `first_error` is that of a token whose claims are wrong, if the request has one.
    #[must_use]
    pub fn new(first_error: Option<TokenError>) -> Self {
        Self { by_tenant: Vec::new(), first_error }
    }

    /// Checks and verifies a request's tokens by the signing keys at hand. Where a token names a key that is not among them,
    /// its tenant's verdict is undecided: newer keys may verify it.
    pub fn by_keys<'t>(
        tokens: impl IntoIterator<Item = &'t str>,
        requirements: &Requirements<'_>,
        keys: &SigningKeys,
    ) -> Self {
        let mut verdicts = Self::default();
        for text in tokens {
            let token = match CheckedToken::check(text, requirements) {
                Ok(token) => token,
                Err(error) => {
                    verdicts.first_error.get_or_insert(error);
                    continue;
                }
            };
            let verdict = match token.verify(keys, requirements.policies) {
                Ok(token) => Proof::Proven(token),
                Err(TokenError::UnknownKey) => Proof::Undecided,
                Err(error) => Proof::Refuted(error),
            };
            // One valid token is enough, and one that may be valid more than one that is not.
            let better = match verdicts.of(token.tenant()) {
                None | Some(Proof::Refuted(_)) => true,
                Some(Proof::Undecided) => verdict.standing() == Standing::Proven,
                Some(Proof::Proven(_)) => false,
            };
            if better {
                verdicts.set(token.tenant(), verdict);
            }
        }
        verdicts
    }

    /// Sets the verdict on the tokens that name a tenant.
    pub fn set(&mut self, tenant: TenantId, verdict: Proof<ValidToken, TokenError>) {
        self.by_tenant.retain(|(known, _)| *known != tenant);
        self.by_tenant.push((tenant, verdict));
    }

    /// The tenants whose verdict is undecided.
    #[must_use]
    pub fn undecided(&self) -> Vec<TenantId> {
        let undecided = self.by_tenant.iter().filter(|(_, verdict)| *verdict == Proof::Undecided);
        undecided.map(|(tenant, _)| *tenant).collect()
    }

    /// How the best token of the request stands, whatever item it is for.
    #[must_use]
    pub fn standing(&self) -> Standing {
        let any = |standing| self.by_tenant.iter().any(|(_, verdict)| verdict.standing() == standing);
        [Standing::Proven, Standing::Undecided].into_iter().find(|standing| any(*standing)).unwrap_or(Standing::Refuted)
    }

    /// Whether the tokens prove the sender of an item. The tenant that the item states only finds the token; a token that
    /// is valid for another tenant than the client state does not count.
    #[must_use]
    pub fn proof(&self, origin: &Origin, client_state: &ClientStateProof) -> TokenProof {
        let Proof::Proven(known) = client_state else { return self.proof_alone(origin) };
        match known.policy() {
            Some(policy) => match self.of(policy.tenant) {
                Some(Proof::Proven(token)) => Proof::Proven(Voucher { tenant: Some(token.tenant()) }),
                Some(Proof::Undecided) => Proof::Undecided,
                _ if self.standing() == Standing::Proven => Proof::Refuted(TokenRefuted::OtherTenant),
                Some(Proof::Refuted(error)) => Proof::Refuted(TokenRefuted::Invalid(error)),
                None => Proof::Refuted(self.reason()),
            },
            // A stored client state names no tenant, so it is taken for one of the tenant that the item states.
            None => match self.proof_alone(origin) {
                Proof::Proven(voucher) if origin.stated_ids().next().is_some_and(|own| Some(own) != voucher.tenant) => {
                    Proof::Refuted(TokenRefuted::OtherTenant)
                }
                proof => proof,
            },
        }
    }

    fn proof_alone(&self, origin: &Origin) -> TokenProof {
        for stated in origin.stated_ids() {
            match self.of(stated) {
                Some(Proof::Proven(token)) => return Proof::Proven(Voucher { tenant: Some(token.tenant()) }),
                Some(Proof::Undecided) => return Proof::Undecided,
                _ => {}
            }
        }
        let mut valid = self.by_tenant.iter().filter(|(_, verdict)| verdict.standing() == Standing::Proven);
        match (valid.next(), valid.next()) {
            (Some((tenant, _)), None) => Proof::Proven(Voucher { tenant: Some(*tenant) }),
            (Some(_), Some(_)) => Proof::Proven(Voucher { tenant: None }),
            (None, _) if self.standing() == Standing::Undecided => Proof::Undecided,
            (None, _) => Proof::Refuted(self.reason()),
        }
    }

    fn of(&self, tenant: TenantId) -> Option<Proof<ValidToken, TokenError>> {
        self.by_tenant.iter().find(|(known, _)| *known == tenant).map(|(_, verdict)| *verdict)
    }

    fn reason(&self) -> TokenRefuted {
        let of_verdict = self.by_tenant.iter().find_map(|(_, verdict)| match verdict {
            Proof::Refuted(error) => Some(*error),
            _ => None,
        });
        of_verdict.or(self.first_error).map_or(TokenRefuted::Missing, TokenRefuted::Invalid)
    }
}

/// Whether a client state proves an item's sender, by a keyring that was read for it.
#[must_use]
pub fn client_state_proof(origin: &Origin, states: ClientStates<'_>, policies: &Policies) -> ClientStateProof {
    let Some(received) = &origin.client_state else { return Proof::Refuted(ClientStateRefuted::Missing) };
    states.recognize(received, policies).map_or(Proof::Refuted(ClientStateRefuted::Unknown), Proof::Proven)
}

/// What is to become of items with one proof: the template parameter `UnverifiedCalls`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum UnverifiedCalls {
    /// They alert, and the alert says that it is not verified.
    #[default]
    Alert,
    /// They do not alert.
    Reject,
}

/// Whether a key of ours opens an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Opened {
    /// One does.
    Yes,
    /// None does.
    No,
    /// The keyring cannot be read, or not be read again for a key that it lacks.
    KeyringUnreadable,
}

/// What becomes of an item.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// An alert that says it is verified, with what the content says.
    Verified,
    /// An alert that says it is verified, and that its details could not be read.
    VerifiedWithoutDetails,
    /// An alert that says it is not verified. Operations are told which proof is missing and why.
    Unverified,
    /// No alert, although one proof holds. Operations are told.
    NotTold,
    /// Nobody can tell at the moment: Graph is to send the item again.
    Retry,
    /// No alert: nothing says that Graph sent it.
    Ignored,
}

/// The table at the top of this module.
#[must_use]
pub fn outcome(token: Standing, client_state: Standing, unverified: UnverifiedCalls, opened: Opened) -> Outcome {
    use Standing::{Proven, Refuted, Undecided};
    let other = match (token, client_state) {
        (Proven, Proven) if opened == Opened::Yes => return Outcome::Verified,
        (Proven, Proven) => return Outcome::VerifiedWithoutDetails,
        (Refuted, Refuted) => return Outcome::Ignored,
        (Undecided, Undecided | Refuted) | (Refuted, Undecided) => return Outcome::Retry,
        (Proven, other) | (other, Proven) => other,
    };
    match (unverified, opened) {
        (UnverifiedCalls::Alert, Opened::Yes) => Outcome::Unverified,
        _ if other == Undecided => Outcome::Retry,
        (_, Opened::KeyringUnreadable) => Outcome::Retry,
        (UnverifiedCalls::Reject, Opened::Yes) | (_, Opened::No) => Outcome::NotTold,
    }
}

/// An item and what speaks for its sender.
#[derive(Debug)]
pub struct ExaminedNotification {
    notification: ChangeNotification,
    token: TokenProof,
    client_state: ClientStateProof,
}

/// The item holds no proof of its sender, so nothing of it may be read.
#[derive(Debug)]
pub struct NotProven(pub Box<ExaminedNotification>);

impl ExaminedNotification {
    /// Examines an item by what is at hand.
    #[must_use]
    pub fn examine(
        notification: ChangeNotification,
        tokens: &TokenVerdicts,
        keyring: &Keyring,
        policies: &Policies,
        unverified: UnverifiedCalls,
    ) -> Self {
        let client_state = client_state_proof(&notification.origin, keyring.known_client_states(), policies);
        Self::new(notification, tokens, client_state, unverified)
    }

    /// Puts an item beside its proofs. With [`UnverifiedCalls::Reject`] a tenant that the item states and that is not the
    /// token's takes the token away.
    #[must_use]
    pub fn new(
        notification: ChangeNotification,
        tokens: &TokenVerdicts,
        client_state: ClientStateProof,
        unverified: UnverifiedCalls,
    ) -> Self {
        let token = match tokens.proof(&notification.origin, &client_state) {
            Proof::Proven(voucher)
                if unverified == UnverifiedCalls::Reject
                    && client_state.standing() == Standing::Proven
                    && !notification.origin.states_only(voucher.tenant) =>
            {
                Proof::Refuted(TokenRefuted::OtherTenant)
            }
            token => token,
        };
        Self { notification, token, client_state }
    }

    /// The item as it arrived.
    #[must_use]
    pub fn notification(&self) -> &ChangeNotification {
        &self.notification
    }

    /// Whether the validation tokens prove the sender.
    #[must_use]
    pub fn token(&self) -> &TokenProof {
        &self.token
    }

    /// Whether the client state proves the sender.
    #[must_use]
    pub fn client_state(&self) -> &ClientStateProof {
        &self.client_state
    }

    /// What becomes of the item.
    #[must_use]
    pub fn outcome(&self, unverified: UnverifiedCalls, opened: Opened) -> Outcome {
        outcome(self.token.standing(), self.client_state.standing(), unverified, opened)
    }

    /// What becomes of the item, if that is the same whether a key of a keyring at hand opens it or not.
    #[must_use]
    pub fn outcome_unopened(&self, unverified: UnverifiedCalls) -> Option<Outcome> {
        let [opened, not] = [Opened::Yes, Opened::No].map(|opened| self.outcome(unverified, opened));
        (opened == not).then_some(opened)
    }

    /// Gives the item with its proofs, if there is one.
    ///
    /// # Errors
    /// If neither proof holds; the item comes back.
    pub fn proven(self) -> Result<AuthenticNotification, NotProven> {
        let is_proven = [self.token.standing(), self.client_state.standing()].contains(&Standing::Proven);
        if is_proven { Ok(AuthenticNotification(self)) } else { Err(NotProven(Box::new(self))) }
    }
}

/// A change notification whose sender holds at least one proof. Only [`ExaminedNotification::proven`] makes one, and only
/// from it can a resource be decrypted.
pub struct AuthenticNotification(ExaminedNotification);

impl AuthenticNotification {
    /// Decrypts the resource. A revoked key opens only what holds both proofs.
    ///
    /// # Errors
    /// If there is none, no key of ours fits, or it was tampered with. The notification stays authentic all the same.
    pub fn decrypt(&self, keyring: &Keyring) -> Result<DecryptedResource, DecryptionError> {
        decrypt(&self.0.notification.content, keyring, self.is_verified())
    }

    /// The item, and how its proofs stand.
    #[must_use]
    pub fn examined(&self) -> &ExaminedNotification {
        &self.0
    }

    /// The item as it arrived.
    #[must_use]
    pub fn notification(&self) -> &ChangeNotification {
        &self.0.notification
    }

    /// Whether both proofs hold.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        [self.0.token.standing(), self.0.client_state.standing()] == [Standing::Proven; 2]
    }

    /// The tenant for which the sender is proven; `None` where tokens of several tenants came and nothing tells which is
    /// this item's. A stored client state alone names none: then the one that the item states, if it is watched.
    #[must_use]
    pub fn tenant(&self, policies: &Policies) -> Option<TenantId> {
        let named = self.client_state_policy().map(|policy| policy.tenant);
        named.or_else(|| {
            if let Proof::Proven(voucher) = &self.0.token {
                return voucher.tenant;
            }
            let watched = policies.tenants();
            let mut stated = self.0.notification.origin.stated_ids();
            stated.find(|stated| watched.contains(stated)).or(match watched[..] {
                [only] => Some(only),
                _ => None,
            })
        })
    }

    /// The policy that the item is about, as it is configured where it is: the client state's, else the resource's; `None`
    /// if neither names one.
    #[must_use]
    pub fn policy_name(&self, policies: &Policies) -> Option<PolicyName> {
        if let Some(policy) = self.client_state_policy() {
            return Some(policy.name.clone());
        }
        let name = Policy::name_in_resource(&self.0.notification.resource)?;
        let tenant = self.tenant(policies);
        let watched = tenant.and_then(|tenant| policies.find(tenant, &name)).map(|policy| policy.name.clone());
        Some(watched.unwrap_or(name))
    }

    fn client_state_policy(&self) -> Option<&Policy> {
        match &self.0.client_state {
            Proof::Proven(known) => known.policy(),
            _ => None,
        }
    }
}

impl fmt::Debug for AuthenticNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticNotification")
            .field("token", &self.0.token)
            .field("client_state", &self.0.client_state)
            .finish_non_exhaustive()
    }
}

impl LifecycleNotification {
    /// Whether the item knows a client state. Graph sends these without tokens, so this is all that can be checked; whoever
    /// acts on one must do nothing that a forger could profit from.
    #[must_use]
    pub fn client_state_proof(&self, states: ClientStates<'_>, policies: &Policies) -> ClientStateProof {
        client_state_proof(&self.origin, states, policies)
    }
}

impl Origin {
    /// The tenants that the item states, `tenantId` first.
    pub fn stated_ids(&self) -> impl Iterator<Item = TenantId> {
        [self.tenant_id, self.organization_id].into_iter().filter_map(|stated| match stated {
            StatedTenant::Id(tenant) => Some(tenant),
            StatedTenant::Absent | StatedTenant::Unreadable => None,
        })
    }

    /// Whether the item states no other tenant than this one. It may state none.
    fn states_only(&self, tenant: Option<TenantId>) -> bool {
        [self.tenant_id, self.organization_id].into_iter().all(|stated| match stated {
            StatedTenant::Absent => true,
            StatedTenant::Id(stated) => Some(stated) == tenant,
            StatedTenant::Unreadable => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        client_state::StoredClientStateKey,
        envelope::{ChangeNotificationCollection, Item},
        testing::{self, CLIENT_STATE, LOGIN, NOW, OTHER_TENANT, STS, TENANT, TokenSigner},
    };

    const FOREIGN: &str = "99999999-2222-3333-4444-555555555555";

    fn policies() -> Policies {
        Policies::parse(&format!("Global,{OTHER_TENANT}/Site"), TENANT.parse().unwrap()).unwrap()
    }

    fn id(tenant: &str) -> TenantId {
        tenant.parse().unwrap()
    }

    fn item(change: Value) -> ChangeNotification {
        let mut item = json!({"tenantId": TENANT, "clientState": CLIENT_STATE,
            "resource": "communications/calls/getEmergencyEventsByPolicy(policyName='Global')"});
        testing::merge(&mut item, change);
        let body = json!({"value": [item]}).to_string();
        match ChangeNotificationCollection::parse(body.as_bytes()).unwrap().items.remove(0).unwrap() {
            Item::Change(notification) => notification,
            Item::Lifecycle(_) => panic!("a change notification"),
        }
    }

    fn valid(tenant: &str) -> Proof<ValidToken, TokenError> {
        let (signer, policies) = (TokenSigner::new(0), policies());
        let requirements = Requirements {
            client_id: testing::CLIENT.parse().unwrap(),
            policies: &policies,
            login_endpoint: LOGIN,
            v1_issuers: STS,
            now: NOW,
        };
        let token = signer.token(testing::v2_claims(tenant), json!({}));
        Proof::Proven(CheckedToken::check(&token, &requirements).unwrap().verify(&signer.keys(), &policies).unwrap())
    }

    fn tokens(verdicts: &[(&str, Proof<ValidToken, TokenError>)]) -> TokenVerdicts {
        let mut tokens = TokenVerdicts::new(None);
        for (tenant, verdict) in verdicts {
            tokens.set(id(tenant), *verdict);
        }
        tokens
    }

    fn keyring() -> Keyring {
        let key = StoredClientStateKey {
            id: "g1".to_owned(),
            key: crate::ClientStateKey::generate(&ring::rand::SystemRandom::new()).unwrap(),
            created_at: NOW,
            retired_at: None,
        };
        Keyring { client_state_keys: vec![key], ..testing::keyring() }
    }

    /// The client state that is made for the policy at this position.
    fn made(keyring: &Keyring, position: usize) -> String {
        let policies = policies();
        let policy = policies.iter().nth(position).unwrap();
        keyring.current_client_state_key().unwrap().client_state(policy).expose().to_owned()
    }

    fn examine(
        change: Value,
        tokens: &TokenVerdicts,
        keyring: &Keyring,
        unverified: UnverifiedCalls,
    ) -> ExaminedNotification {
        ExaminedNotification::examine(item(change), tokens, keyring, &policies(), unverified)
    }

    /// The table as the documentation has it, row by row, for all 54 combinations.
    #[test]
    fn the_table_is_what_the_documentation_says() {
        use Opened::{KeyringUnreadable, No, Yes};
        use Outcome::{Ignored, NotTold, Retry, Unverified, Verified, VerifiedWithoutDetails};
        use Standing::{Proven, Refuted, Undecided};
        let row = |token, client_state, unverified| {
            [Yes, No, KeyringUnreadable].map(|opened| outcome(token, client_state, unverified, opened))
        };
        for unverified in [UnverifiedCalls::Alert, UnverifiedCalls::Reject] {
            let both = [Verified, VerifiedWithoutDetails, VerifiedWithoutDetails];
            assert_eq!(row(Proven, Proven, unverified), both);
            assert_eq!(row(Refuted, Refuted, unverified), [Ignored; 3]);
            for (token, client_state) in [(Undecided, Undecided), (Undecided, Refuted), (Refuted, Undecided)] {
                assert_eq!(row(token, client_state, unverified), [Retry; 3]);
            }
        }
        for (one, refuted, undecided) in [
            (UnverifiedCalls::Alert, [Unverified, NotTold, Retry], [Unverified, Retry, Retry]),
            (UnverifiedCalls::Reject, [NotTold, NotTold, Retry], [Retry, Retry, Retry]),
        ] {
            assert_eq!(row(Proven, Refuted, one), refuted);
            assert_eq!(row(Refuted, Proven, one), refuted);
            assert_eq!(row(Proven, Undecided, one), undecided);
            assert_eq!(row(Undecided, Proven, one), undecided);
        }
    }

    #[test]
    fn an_item_is_opened_only_where_that_decides() {
        let keyring = keyring();
        let unopened = |change, tokens: &TokenVerdicts, unverified| {
            examine(change, tokens, &keyring, unverified).outcome_unopened(unverified)
        };
        let (none, own) = (tokens(&[]), tokens(&[(TENANT, valid(TENANT))]));
        let stranger = json!({"clientState": "x"});
        for unverified in [UnverifiedCalls::Alert, UnverifiedCalls::Reject] {
            assert_eq!(unopened(stranger.clone(), &none, unverified), Some(Outcome::Ignored));
            assert_eq!(unopened(json!({}), &own, unverified), None);
            let one_proof = (unverified == UnverifiedCalls::Reject).then_some(Outcome::NotTold);
            assert_eq!(unopened(json!({}), &none, unverified), one_proof);
            let undecided = tokens(&[(TENANT, Proof::Undecided)]);
            assert_eq!(unopened(stranger.clone(), &undecided, unverified), Some(Outcome::Retry));
        }
        let undecided = tokens(&[(TENANT, Proof::Undecided)]);
        assert_eq!(unopened(json!({}), &undecided, UnverifiedCalls::Reject), Some(Outcome::Retry));
    }

    #[test]
    fn without_a_proof_nothing_can_be_decrypted() {
        let proven = |change, tokens: &TokenVerdicts| {
            let examined = examine(change, tokens, &keyring(), UnverifiedCalls::Alert);
            examined.proven().map(|authentic| authentic.is_verified()).map_err(|_| ())
        };
        let (none, own) = (tokens(&[]), tokens(&[(TENANT, valid(TENANT))]));
        let undecided = tokens(&[(TENANT, Proof::Undecided)]);
        assert_eq!(proven(json!({}), &own), Ok(true));
        assert_eq!(proven(json!({}), &none), Ok(false));
        assert_eq!(proven(json!({}), &undecided), Ok(false));
        for state in [Value::Null, json!("x"), json!(7)] {
            assert_eq!(proven(json!({"clientState": state}), &own), Ok(false));
            assert_eq!(proven(json!({"clientState": state}), &none), Err(()));
            assert_eq!(proven(json!({"clientState": state}), &undecided), Err(()));
        }
    }

    #[test]
    fn the_stated_tenant_only_finds_the_token() {
        let of = |change: Value, verdicts: &[(&str, Proof<ValidToken, TokenError>)]| {
            let mut change = change;
            change["clientState"] = Value::Null;
            *examine(change, &tokens(verdicts), &keyring(), UnverifiedCalls::Alert).token()
        };
        let proven = |tenant: Option<&str>| Proof::Proven(Voucher { tenant: tenant.map(id) });
        let both = [(TENANT, valid(TENANT)), (OTHER_TENANT, valid(OTHER_TENANT))];
        for (stated, tenant) in [
            (json!({}), Some(TENANT)),
            (json!({"tenantId": OTHER_TENANT}), Some(OTHER_TENANT)),
            (json!({"tenantId": null, "organizationId": OTHER_TENANT}), Some(OTHER_TENANT)),
            (json!({"tenantId": FOREIGN, "organizationId": OTHER_TENANT}), Some(OTHER_TENANT)),
            (json!({"tenantId": 7, "organizationId": OTHER_TENANT}), Some(OTHER_TENANT)),
            (json!({"tenantId": null}), None),
            (json!({"tenantId": FOREIGN}), None),
        ] {
            assert_eq!(of(stated.clone(), &both), proven(tenant), "{stated}");
        }
        for stated in [json!({}), json!({"tenantId": null}), json!({"tenantId": FOREIGN}), json!({"tenantId": "x"})] {
            assert_eq!(of(stated.clone(), &both[..1]), proven(Some(TENANT)), "{stated}");
        }
    }

    #[test]
    fn one_bad_token_takes_nothing_from_another_tenants_items() {
        let expired = Proof::Refuted(TokenError::Expired);
        let of = |verdicts: &[(&str, Proof<ValidToken, TokenError>)]| {
            *examine(json!({"clientState": null}), &tokens(verdicts), &keyring(), UnverifiedCalls::Alert).token()
        };
        assert_eq!(of(&[]), Proof::Refuted(TokenRefuted::Missing));
        assert_eq!(of(&[(TENANT, expired)]), Proof::Refuted(TokenRefuted::Invalid(TokenError::Expired)));
        let own = Proof::Proven(Voucher { tenant: Some(id(TENANT)) });
        assert_eq!(of(&[(TENANT, valid(TENANT)), (OTHER_TENANT, expired)]), own);
        assert_eq!(of(&[(TENANT, valid(TENANT)), (OTHER_TENANT, Proof::Undecided)]), own);
        assert_eq!(
            of(&[(TENANT, Proof::Undecided), (OTHER_TENANT, valid(OTHER_TENANT))]),
            Proof::Undecided,
            "its own token may yet be found valid"
        );
    }

    #[test]
    fn tokens_are_verified_by_the_keys_at_hand() {
        let (signer, policies) = (TokenSigner::new(0), policies());
        let requirements = Requirements {
            client_id: testing::CLIENT.parse().unwrap(),
            policies: &policies,
            login_endpoint: LOGIN,
            v1_issuers: STS,
            now: NOW,
        };
        let good = signer.token(testing::v2_claims(TENANT), json!({}));
        let expired = signer.token(testing::v2_claims(TENANT), json!({"exp": 1}));
        let header = json!({"alg": "RS256", "typ": "JWT", "kid": "another key"});
        let unknown = signer.sign(&header, &testing::v2_claims(TENANT));
        let other = signer.token(testing::v2_claims(OTHER_TENANT), json!({}));
        let forged = format!("{}AAAA", &good[..good.len() - 4]);
        let standing = |tokens: &[&str], tenant| {
            let verdicts = TokenVerdicts::by_keys(tokens.iter().copied(), &requirements, &signer.keys());
            verdicts.of(id(tenant)).map(|verdict| verdict.standing())
        };
        assert_eq!(standing(&[&good], TENANT), Some(Standing::Proven));
        assert_eq!(standing(&[&good, &other], OTHER_TENANT), Some(Standing::Proven));
        assert_eq!(standing(&[&expired], TENANT), None);
        for beside in [&forged, &unknown, &expired] {
            assert_eq!(standing(&[beside, &good], TENANT), Some(Standing::Proven));
            assert_eq!(standing(&[&good, beside], TENANT), Some(Standing::Proven));
        }
        assert_eq!(standing(&[&forged], TENANT), Some(Standing::Refuted));
        assert_eq!(standing(&[&forged, &unknown], TENANT), Some(Standing::Undecided));
        assert_eq!(standing(&[&unknown, &forged], TENANT), Some(Standing::Undecided));
        let verdicts = TokenVerdicts::by_keys([expired.as_str(), "x"], &requirements, &signer.keys());
        assert_eq!(verdicts.reason(), TokenRefuted::Invalid(TokenError::Expired), "the first error");
    }

    #[test]
    fn token_and_client_state_of_different_tenants_are_one_proof_the_client_states() {
        let keyring = keyring();
        let (own, other) = (made(&keyring, 0), made(&keyring, 1));
        let examine = |state: &str, change: Value, verdicts: &[(&str, Proof<ValidToken, TokenError>)]| {
            let mut change = change;
            change["clientState"] = json!(state);
            examine(change, &tokens(verdicts), &keyring, UnverifiedCalls::Alert)
        };
        let (token, other_token) = ((TENANT, valid(TENANT)), (OTHER_TENANT, valid(OTHER_TENANT)));
        let refuted = Proof::Refuted(TokenRefuted::OtherTenant);
        let crossed = examine(&other, json!({}), &[token]);
        assert_eq!((crossed.token(), crossed.client_state().standing()), (&refuted, Standing::Proven));
        let authentic = crossed.proven().unwrap();
        assert!(!authentic.is_verified());
        assert_eq!(authentic.tenant(&policies()), Some(id(OTHER_TENANT)));
        // Whatever tenant the item states, the two proofs decide.
        for stated in [TENANT, OTHER_TENANT, FOREIGN] {
            let authentic = examine(&own, json!({"tenantId": stated}), &[token, other_token]).proven().unwrap();
            assert!(authentic.is_verified(), "{stated}");
            assert_eq!(authentic.tenant(&policies()), Some(id(TENANT)));
        }
        assert_eq!(examine(&own, json!({}), &[(TENANT, Proof::Undecided), other_token]).token(), &Proof::Undecided);
        // A stored one names no tenant: it is taken for one of the tenant that the item states.
        assert_eq!(examine(CLIENT_STATE, json!({"tenantId": OTHER_TENANT}), &[token]).token(), &refuted);
        let organization = json!({"tenantId": null, "organizationId": OTHER_TENANT});
        assert_eq!(examine(CLIENT_STATE, organization, &[token]).token(), &refuted);
        let both = examine(CLIENT_STATE, json!({"organizationId": OTHER_TENANT}), &[token]);
        assert!(both.proven().unwrap().is_verified(), "tenantId says which");
        assert!(examine(CLIENT_STATE, json!({"tenantId": null}), &[token]).proven().unwrap().is_verified());
    }

    #[test]
    fn where_unverified_calls_are_rejected_no_other_tenant_may_be_stated() {
        let keyring = keyring();
        let state = made(&keyring, 0);
        let own = tokens(&[(TENANT, valid(TENANT))]);
        for (stated, alerts) in [
            (json!({}), true),
            (json!({"organizationId": TENANT}), true),
            (json!({"tenantId": null}), true),
            (json!({"tenantId": FOREIGN}), false),
            (json!({"organizationId": OTHER_TENANT}), false),
            (json!({"tenantId": "x"}), false),
            (json!({"organizationId": 7}), false),
        ] {
            let outcome = |unverified| {
                let mut change = stated.clone();
                change["clientState"] = json!(state);
                examine(change, &own, &keyring, unverified).outcome(unverified, Opened::Yes)
            };
            let strict = if alerts { Outcome::Verified } else { Outcome::NotTold };
            assert_eq!(outcome(UnverifiedCalls::Reject), strict, "{stated}");
            assert_eq!(outcome(UnverifiedCalls::Alert), Outcome::Verified, "{stated}");
        }
    }

    #[test]
    fn the_policy_is_the_client_states_else_the_resources() {
        let keyring = keyring();
        let own = tokens(&[(TENANT, valid(TENANT))]);
        let name = |change| {
            let authentic = examine(change, &own, &keyring, UnverifiedCalls::Alert).proven().unwrap();
            authentic.policy_name(&policies()).map(String::from)
        };
        let named = |policy: &str| format!("communications/calls/getEmergencyEventsByPolicy(policyName='{policy}')");
        assert_eq!(name(json!({"clientState": made(&keyring, 0), "resource": named("Other")})).unwrap(), "Global");
        assert_eq!(name(json!({"resource": named("GLOBAL")})).unwrap(), "Global", "as it is configured");
        assert_eq!(name(json!({"resource": named("Closed site")})).unwrap(), "Closed site");
        assert_eq!(name(json!({"resource": "communications/calls('8d7c')"})), None);
        assert_eq!(name(json!({"resource": null})), None);
    }

    #[test]
    fn nothing_but_the_two_proofs_counts() {
        let own = tokens(&[(TENANT, valid(TENANT))]);
        for change in [
            json!({"subscriptionId": "never-seen"}),
            json!({"changeType": "created"}),
            json!({"changeType": ["x"]}),
            json!({"resource": "users/1"}),
            json!({"resource": {}}),
            json!({"resourceData": 7}),
            json!({"clientState": testing::OLD_CLIENT_STATE}),
        ] {
            let examined = examine(change.clone(), &own, &keyring(), UnverifiedCalls::Reject);
            assert_eq!(examined.outcome(UnverifiedCalls::Reject, Opened::Yes), Outcome::Verified, "{change}");
        }
    }

    #[test]
    fn what_is_printed_holds_no_secret() {
        let own = tokens(&[(TENANT, valid(TENANT))]);
        let authentic = examine(json!({}), &own, &keyring(), UnverifiedCalls::Alert).proven().unwrap();
        assert!(!format!("{authentic:?}").contains(CLIENT_STATE));
    }

    #[test]
    fn a_lifecycle_notification_is_known_by_its_client_state() {
        let proof = |change: Value| {
            let mut item = json!({"tenantId": TENANT, "clientState": CLIENT_STATE, "lifecycleEvent": "missed"});
            testing::merge(&mut item, change);
            let body = json!({"value": [item]}).to_string();
            let mut items = ChangeNotificationCollection::parse(body.as_bytes()).unwrap().items;
            let Item::Lifecycle(notification) = items.remove(0).unwrap() else { panic!("a lifecycle notification") };
            notification.client_state_proof(keyring().known_client_states(), &policies()).standing()
        };
        assert_eq!(proof(json!({})), Standing::Proven);
        assert_eq!(proof(json!({"tenantId": null, "organizationId": TENANT})), Standing::Proven);
        assert_eq!(proof(json!({"clientState": null})), Standing::Refuted);
        assert_eq!(proof(json!({"clientState": "x"})), Standing::Refuted);
    }
}

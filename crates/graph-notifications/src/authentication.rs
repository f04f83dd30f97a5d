//! From a change notification, which anyone may have sent, to an authentic one.
//!
//! An item is authentic if all of these hold: its tenant and policy are ones that we watch, it knows our client state, and
//! a validation token vouches for its tenant. The encryption proves nothing: whoever has the public certificate can make
//! an item that decrypts.

use std::fmt;

use crate::{
    client_state::StoredClientState,
    decryption::{DecryptedResource, DecryptionError, decrypt},
    envelope::{ChangeNotification, LifecycleNotification, Origin},
    identifiers::{Policies, Policy, TenantId},
    keyring::Keyring,
    validation_token::{UnverifiedToken, ValidToken},
};

/// Why an item is not ours. The first check that fails; what it says is for logs and metrics, never for the sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum NotOurs {
    /// Of a tenant that is not configured.
    #[error("the item is of a tenant that is not configured")]
    Tenant,
    /// Without a client state.
    #[error("the item has no client state")]
    NoClientState,
    /// With a client state that is none of ours.
    #[error("the item's client state is wrong")]
    ClientState,
    /// About something else than an emergency calling policy.
    #[error("the item's resource is no emergency calling policy")]
    Resource,
    /// Of a policy that is not configured.
    #[error("the item is of a policy that is not configured")]
    Policy,
}

/// A change notification that knows our client state and speaks of a policy that we watch. A validation token is missing.
#[derive(Debug)]
pub struct RecognisedNotification {
    notification: ChangeNotification,
    policy: Policy,
}

/// A change notification that Graph sent. Only [`RecognisedNotification::authenticate`] and
/// [`RecognisedNotification::accept_unverified`] make one, and only from it can a resource be decrypted.
pub struct AuthenticNotification {
    notification: ChangeNotification,
    policy: Policy,
    verified: bool,
}

/// The token speaks for another tenant than the item's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no validation token covers the item's tenant")]
pub struct NotCovered;

impl RecognisedNotification {
    /// Checks an item against what is configured and against the client states. The resource comes last: an item that
    /// knows the client state and yet fails is worth an operator's look.
    ///
    /// # Errors
    /// The first check that fails, and the item back: newer client states may recognise it.
    pub fn recognise(
        notification: ChangeNotification,
        policies: &Policies,
        client_states: &[StoredClientState],
    ) -> Result<Self, (NotOurs, Box<ChangeNotification>)> {
        let policy = check_origin(&notification.origin, policies, client_states)
            .and_then(|()| watched_policy(&notification, policies));
        match policy {
            Ok(policy) => Ok(Self { notification, policy }),
            Err(reason) => Err((reason, Box::new(notification))),
        }
    }

    /// The tenant for which a token must vouch.
    #[must_use]
    pub fn tenant(&self) -> TenantId {
        self.policy.tenant
    }

    /// The policy, as it is configured.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The item as it arrived.
    #[must_use]
    pub fn notification(&self) -> &ChangeNotification {
        &self.notification
    }

    /// Makes the item authentic by a token that vouches for its tenant.
    ///
    /// # Errors
    /// If the token is another tenant's.
    pub fn authenticate(self, token: ValidToken) -> Result<AuthenticNotification, NotCovered> {
        self.covered_by(token.tenant(), true)
    }

    /// Lets the item pass with a token whose signature could not be checked, because Entra's keys are out of reach.
    ///
    /// # Errors
    /// If the token is another tenant's.
    pub fn accept_unverified(self, token: UnverifiedToken) -> Result<AuthenticNotification, NotCovered> {
        self.covered_by(token.tenant(), false)
    }

    fn covered_by(self, tenant: TenantId, verified: bool) -> Result<AuthenticNotification, NotCovered> {
        if tenant != self.policy.tenant {
            return Err(NotCovered);
        }
        Ok(AuthenticNotification { notification: self.notification, policy: self.policy, verified })
    }
}

impl AuthenticNotification {
    /// Decrypts the resource.
    ///
    /// # Errors
    /// If there is none, no key of ours fits, or it was tampered with. The notification stays authentic all the same.
    pub fn decrypt(&self, keyring: &Keyring) -> Result<DecryptedResource, DecryptionError> {
        decrypt(&self.notification.content, keyring)
    }

    /// The item as it arrived.
    #[must_use]
    pub fn notification(&self) -> &ChangeNotification {
        &self.notification
    }

    /// The policy, as it is configured.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Whether the token's signature was verified.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        self.verified
    }
}

impl fmt::Debug for AuthenticNotification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthenticNotification")
            .field("policy", &self.policy)
            .field("verified", &self.verified)
            .finish_non_exhaustive()
    }
}

impl LifecycleNotification {
    /// Checks that the item is of a tenant of ours and knows our client state. Graph sends these without tokens, so this
    /// is all that can be checked; whoever acts on one must do nothing that a forger could profit from.
    ///
    /// # Errors
    /// The first check that fails.
    pub fn check(&self, policies: &Policies, client_states: &[StoredClientState]) -> Result<(), NotOurs> {
        check_origin(&self.origin, policies, client_states)
    }
}

fn check_origin(origin: &Origin, policies: &Policies, client_states: &[StoredClientState]) -> Result<(), NotOurs> {
    if !policies.include_tenant(origin.tenant) {
        return Err(NotOurs::Tenant);
    }
    check_client_state(origin, client_states)
}

fn watched_policy(notification: &ChangeNotification, policies: &Policies) -> Result<Policy, NotOurs> {
    let name = Policy::name_in_resource(&notification.resource).ok_or(NotOurs::Resource)?;
    policies.find(notification.origin.tenant, &name).cloned().ok_or(NotOurs::Policy)
}

/// Compares with every client state, so that the time tells nothing of which one it is.
fn check_client_state(origin: &Origin, client_states: &[StoredClientState]) -> Result<(), NotOurs> {
    let received = origin.client_state.as_ref().ok_or(NotOurs::NoClientState)?;
    let known = client_states.iter().fold(false, |known, state| known | state.value.matches(received));
    if known { Ok(()) } else { Err(NotOurs::ClientState) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{
        envelope::{ChangeNotificationCollection, Item},
        testing::{self, CLIENT_STATE, LOGIN, NOW, OTHER_TENANT, STS, TENANT, TokenSigner},
        validation_token::{CheckedToken, Requirements},
    };

    fn policies() -> Policies {
        Policies::parse(&format!("Global,{OTHER_TENANT}/Site"), TENANT.parse().unwrap()).unwrap()
    }

    fn parse(change: Value) -> Item {
        let mut item = json!({"tenantId": TENANT, "clientState": CLIENT_STATE,
            "resource": "communications/calls/getEmergencyEventsByPolicy(policyName='Global')"});
        testing::merge(&mut item, change);
        let body = json!({"value": [item]}).to_string();
        ChangeNotificationCollection::parse(body.as_bytes()).unwrap().items.remove(0).unwrap()
    }

    fn recognise(change: Value) -> Result<RecognisedNotification, NotOurs> {
        let Item::Change(notification) = parse(change) else { panic!("a change notification") };
        RecognisedNotification::recognise(notification, &policies(), &testing::client_states())
            .map_err(|(reason, _)| reason)
    }

    fn checked(tenant: &str) -> (CheckedToken, TokenSigner) {
        let (signer, policies) = (TokenSigner::new(0), policies());
        let requirements = Requirements {
            client_id: testing::CLIENT.parse().unwrap(),
            policies: &policies,
            login_endpoint: LOGIN,
            v1_issuers: STS,
            now: NOW,
        };
        let token = signer.token(testing::v2_claims(tenant), json!({}));
        (CheckedToken::check(&token, &requirements).unwrap(), signer)
    }

    #[test]
    fn tenant_policy_and_client_state_must_all_be_ours() {
        let error = |change| recognise(change).unwrap_err();
        assert_eq!(recognise(json!({})).unwrap().policy().name.as_str(), "Global");
        assert_eq!(error(json!({"tenantId": "99999999-2222-3333-4444-555555555555"})), NotOurs::Tenant);
        assert_eq!(error(json!({"resource": "users/1"})), NotOurs::Resource);
        assert_eq!(
            error(json!({"resource": Policy::resource(&policies().iter().nth(1).unwrap().clone())})),
            NotOurs::Policy
        );
        assert_eq!(error(json!({"tenantId": OTHER_TENANT})), NotOurs::Policy);
        assert_eq!(error(json!({"clientState": null})), NotOurs::NoClientState);
        for state in ["", "x", &CLIENT_STATE[1..], &CLIENT_STATE.to_uppercase()] {
            assert_eq!(error(json!({"clientState": state})), NotOurs::ClientState);
        }
    }

    #[test]
    fn every_client_state_of_the_keyring_is_known() {
        assert!(recognise(json!({"clientState": testing::OLD_CLIENT_STATE})).is_ok());
    }

    #[test]
    fn a_client_state_that_the_keyring_holds_twice_is_known() {
        let Item::Change(notification) = parse(json!({})) else { panic!("a change notification") };
        let twice = [testing::client_states(), testing::client_states()].concat();
        assert!(RecognisedNotification::recognise(notification, &policies(), &twice).is_ok());
    }

    #[test]
    fn an_unknown_subscription_id_alone_is_no_reason() {
        assert!(recognise(json!({"subscriptionId": "never-seen"})).is_ok());
    }

    #[test]
    fn a_token_vouches_for_its_own_tenant_only() {
        let recognised = || recognise(json!({})).unwrap();
        let (own, signer) = checked(TENANT);
        let (other, _) = checked(OTHER_TENANT);
        let authentic = recognised().authenticate(own.verify(&signer.keys(), &policies()).unwrap()).unwrap();
        assert!(authentic.is_verified());
        let printed = format!("{authentic:?}");
        assert!(printed.contains("Global") && !printed.contains(CLIENT_STATE), "{printed}");
        assert_eq!(
            recognised().authenticate(other.verify(&signer.keys(), &policies()).unwrap()).unwrap_err(),
            NotCovered
        );
        assert!(!recognised().accept_unverified(own.unverified()).unwrap().is_verified());
        assert_eq!(recognised().accept_unverified(other.unverified()).unwrap_err(), NotCovered);
    }

    #[test]
    fn a_lifecycle_notification_needs_tenant_and_client_state() {
        let check = |change: Value| {
            let mut change = change;
            change["lifecycleEvent"] = json!("missed");
            let Item::Lifecycle(notification) = parse(change) else { panic!("a lifecycle notification") };
            notification.check(&policies(), &testing::client_states())
        };
        assert_eq!(check(json!({"resource": null})), Ok(()));
        assert_eq!(check(json!({"tenantId": "99999999-2222-3333-4444-555555555555"})), Err(NotOurs::Tenant));
        assert_eq!(check(json!({"clientState": null})), Err(NotOurs::NoClientState));
        assert_eq!(check(json!({"clientState": "x"})), Err(NotOurs::ClientState));
    }
}

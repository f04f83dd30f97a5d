//! What the state table keeps of each subscription: which client state it was created with, since Graph does not say.

use graph_notifications::{Policy, PolicyName, TenantId};
use jiff::Timestamp;
use serde::Serialize;

/// What is known of a policy's subscription. It holds names of secrets and no secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The policy.
    pub policy: Policy,
    /// Graph's name for the subscription; `None` while an attempt to create it is under way, or was left unfinished.
    pub subscription_id: Option<String>,
    /// The name of its client state in the keyring.
    pub client_state_id: String,
    /// The name of its certificate in the keyring.
    pub certificate_id: String,
    /// When it ends unless renewed, as Graph last said; for an attempt, the end that is requested. By that a subscription is
    /// known to come from the attempt.
    pub subscription_expires_at: Option<Timestamp>,
    /// The subscription that was found lost, until its successor is there and the event about it was sent.
    pub replaces: Option<String>,
    /// When a subscription of the policy was last replaced because somebody had changed it.
    pub tampered_at: Option<Timestamp>,
    /// When this was written.
    pub updated_at: Timestamp,
}

impl Record {
    /// Whether an attempt to create a subscription was begun and its end not recorded.
    #[must_use]
    pub fn is_intent(&self) -> bool {
        self.subscription_id.is_none()
    }
}

/// The detail of the event `Subscription Health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Health {
    /// The policy's tenant.
    pub tenant_id: TenantId,
    /// The policy's name.
    pub policy_name: PolicyName,
    /// `recreated`; `tampered` if somebody had changed it and it was replaced, or delivers all the same; `lost` while there is no
    /// successor.
    pub state: &'static str,
    /// The subscription that was found lost or changed.
    pub lost_subscription_id: String,
    /// Its successor.
    pub subscription_id: Option<String>,
    /// When it was found.
    pub observed_at: Timestamp,
    /// What that means, in a sentence.
    pub explanation: String,
}

/// A policy as the table's sort key.
#[must_use]
pub fn sort_key(policy: &Policy) -> String {
    format!("{}/{}", policy.tenant, policy.name)
}

/// The policy of a sort key; `None` if the key is of another form.
#[must_use]
pub fn policy_of(sort_key: &str) -> Option<Policy> {
    let (tenant, name) = sort_key.split_once('/')?;
    Some(Policy { tenant: tenant.parse().ok()?, name: name.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_survives_as_a_sort_key() {
        let tenant = "11111111-2222-3333-4444-555555555555".parse().unwrap();
        let policy = Policy { tenant, name: "East/West".parse().unwrap() };
        assert_eq!(policy_of(&sort_key(&policy)), Some(policy));
        assert_eq!(policy_of("reconcile"), None);
    }
}

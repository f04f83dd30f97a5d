//! What a run says of itself: a report that a person can read, and events for machines.

use graph_notifications::{Policy, PolicyName, TenantId};
use jiff::Timestamp;
use serde::Serialize;

use crate::{input::LifecycleEvent, records::Health, tampering::Tampering};

/// The result of a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// What was asked for.
    pub action: &'static str,
    /// Whether every policy has a subscription that this run created or renewed, and nothing else went wrong.
    pub ok: bool,
    /// Why the run did nothing, if it did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
    /// What Graph said that made the run begin.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lifecycle: Option<LifecycleEvent>,
    /// When the run began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: i64,
    /// What became of each policy's subscription.
    pub policies: Vec<PolicyReport>,
    /// Subscriptions with our address that belong to no configured policy, or to one that has another.
    pub strays: Vec<StrayReport>,
    /// The keyring after the run.
    pub keyring: KeyringReport,
    /// Entra's signing keys after the run.
    pub signing_keys: SigningKeysReport,
    /// What Graph's list got wrong, a sentence each. Nothing was decided by it.
    pub list_findings: Vec<String>,
    /// What went wrong besides, a sentence each.
    pub problems: Vec<String>,
}

/// What became of a policy's subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// The policy's tenant.
    pub tenant_id: TenantId,
    /// The policy's name.
    pub policy_name: PolicyName,
    /// What was done.
    pub outcome: Outcome,
    /// The subscription as far as known.
    pub subscription_id: Option<String>,
    /// When it ends unless renewed.
    pub expires_at: Option<Timestamp>,
    /// The same as seconds from the end of the run; 0 if there is none.
    pub seconds_remaining: i64,
    /// Why, where the outcome does not say it all.
    pub explanation: Option<String>,
    /// The subscription that was found lost.
    #[serde(skip)]
    pub lost: Option<String>,
    /// Whether it was found lost before, so that operations know.
    #[serde(skip)]
    pub known_lost: bool,
    /// The subscription that somebody had changed, and what of it.
    #[serde(skip)]
    pub tampered: Option<(String, Tampering)>,
}

/// What was done for a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// There was none, and now there is.
    Created,
    /// It lasts longer now.
    Renewed,
    /// It was lost or of no use, and another took its place.
    Recreated,
    /// It was created by an attempt whose end had not been recorded.
    Adopted,
    /// What was needed could not be done.
    Failed,
}

/// A subscription that does not belong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct StrayReport {
    /// Its tenant.
    pub tenant_id: TenantId,
    /// Graph's name for it.
    pub subscription_id: String,
    /// What it watches.
    pub resource: String,
    /// Whether it was deleted.
    pub deleted: bool,
    /// Why not.
    pub explanation: Option<String>,
}

/// The keyring after a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KeyringReport {
    /// The certificate that Graph encrypts for.
    pub certificate_id: Option<String>,
    /// Whether the run wrote the keyring.
    pub written: bool,
    /// Whether the certificate is a new one, in the place of another.
    pub rotated: bool,
    /// What was done since others may know what the keyring held, if somebody asked for that.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revocation: Option<Revocation>,
    /// The certificates whose keys were removed, since nothing has referred to them for two days.
    pub removed_certificate_ids: Vec<String>,
}

/// What was done after a leak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Revocation {
    /// When the old keys were revoked.
    pub revoked_at: Timestamp,
    /// Whether the old client states are forgotten. They are once each policy has another.
    pub client_states_forgotten: bool,
    /// For how long each policy had no subscription while it was replaced. Graph reports no call that begins in that time.
    pub without_subscription: Vec<Gap>,
    /// From when on no receiver accepts what was revoked. Until then one that is running may still do so.
    pub receivers_know_by: Timestamp,
}

/// A time without a subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Gap {
    /// The policy's tenant.
    pub tenant_id: TenantId,
    /// The policy's name.
    pub policy_name: PolicyName,
    /// How long, at most.
    pub seconds: i64,
}

/// Entra's signing keys after a run.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SigningKeysReport {
    /// How many there are.
    pub count: usize,
    /// When they were fetched, the oldest of them.
    pub fetched_at: Option<Timestamp>,
}

impl PolicyReport {
    /// The policy.
    #[must_use]
    pub fn policy(&self) -> Policy {
        Policy { tenant: self.tenant_id, name: self.policy_name.clone() }
    }

    /// The event to send, if the subscription was found lost or changed.
    #[must_use]
    pub fn health(&self, now: Timestamp) -> Option<Health> {
        let recreated = self.outcome != Outcome::Failed;
        let (id, state, explanation) = match (&self.tampered, &self.lost) {
            (Some((id, tampering)), _) => (
                id,
                if recreated || (self.subscription_id.is_some() && tampering.still_delivers()) {
                    "tampered"
                } else {
                    "lost"
                },
                format!(
                    "Somebody who holds the app's credential had changed the subscription, so that it {}; {}.",
                    tampering.explanation(),
                    if recreated { "it was replaced" } else { "it could not be replaced" }
                ),
            ),
            (None, Some(id)) if recreated => (
                id,
                "recreated",
                "Graph no longer had the subscription; emergency calls of the minutes before may have gone unreported."
                    .to_owned(),
            ),
            (None, Some(id)) => (
                id,
                "lost",
                "Graph no longer has the subscription, and it could not be replaced; emergency calls go unreported."
                    .to_owned(),
            ),
            (None, None) => return None,
        };
        Some(Health {
            tenant_id: self.tenant_id,
            policy_name: self.policy_name.clone(),
            state,
            lost_subscription_id: id.clone(),
            subscription_id: self.subscription_id.clone().filter(|_| recreated),
            observed_at: now,
            explanation,
        })
    }
}

impl Report {
    /// The report of a run that begins.
    #[must_use]
    pub fn begun(action: &'static str, started_at: Timestamp) -> Self {
        Self {
            action,
            ok: false,
            skipped: None,
            lifecycle: None,
            started_at,
            duration_ms: 0,
            policies: Vec::new(),
            strays: Vec::new(),
            keyring: KeyringReport::default(),
            signing_keys: SigningKeysReport::default(),
            list_findings: Vec::new(),
            problems: Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_json_is_stable() {
        let tenant = "11111111-2222-3333-4444-555555555555".parse().unwrap();
        let start = Timestamp::constant(1_764_000_000, 0);
        let report = Report {
            action: "reconcile",
            ok: true,
            skipped: None,
            lifecycle: None,
            started_at: start,
            duration_ms: 12,
            policies: vec![PolicyReport {
                tenant_id: tenant,
                policy_name: "Global".parse().unwrap(),
                outcome: Outcome::Recreated,
                subscription_id: Some("s2".to_owned()),
                expires_at: Some(start),
                seconds_remaining: 84_600,
                explanation: None,
                lost: Some("s1".to_owned()),
                known_lost: false,
                tampered: None,
            }],
            strays: Vec::new(),
            keyring: KeyringReport { certificate_id: Some("key-1".to_owned()), ..KeyringReport::default() },
            signing_keys: SigningKeysReport { count: 3, fetched_at: Some(start) },
            list_findings: Vec::new(),
            problems: Vec::new(),
        };
        let expected = serde_json::json!({
            "action": "reconcile", "ok": true, "startedAt": "2025-11-24T16:00:00Z", "durationMs": 12,
            "policies": [{
                "tenantId": "11111111-2222-3333-4444-555555555555", "policyName": "Global", "outcome": "recreated",
                "subscriptionId": "s2", "expiresAt": "2025-11-24T16:00:00Z", "secondsRemaining": 84600, "explanation": null,
            }],
            "strays": [],
            "keyring": {"certificateId": "key-1", "written": false, "rotated": false, "removedCertificateIds": []},
            "signingKeys": {"count": 3, "fetchedAt": "2025-11-24T16:00:00Z"},
            "listFindings": [], "problems": [],
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
        let health = serde_json::to_value(report.policies[0].health(start)).unwrap();
        assert_eq!((&health["state"], &health["lostSubscriptionId"]), (&"recreated".into(), &"s1".into()));
        let tampered = Some(("s0".to_owned(), Tampering::NotificationUrl));
        let changed = PolicyReport { tampered, lost: None, ..report.policies[0].clone() };
        let health = changed.health(start).unwrap();
        assert_eq!((health.state, health.lost_subscription_id.as_str()), ("tampered", "s0"));
        assert!(health.explanation.contains("another address") && health.explanation.contains("was replaced"));
        let failed = PolicyReport { outcome: Outcome::Failed, ..changed };
        assert_eq!(failed.health(start).unwrap().state, "lost");
        assert_eq!(PolicyReport { tampered: None, ..failed }.health(start), None);
    }
}

//! Whether what a run left behind is good enough.

use crate::report::{Outcome, PolicyReport, Report};

/// What a run left behind is not good enough for the invocation to count as a success.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotCovered {
    /// At least one policy has no subscription: its calls go unreported.
    #[error("no subscription watches {0}")]
    PolicyUnwatched(String),
    /// There are subscriptions, but none could be renewed.
    #[error("no subscription could be renewed: {0}")]
    NothingRenewed(String),
}

/// Whether what a run left behind is good enough for the invocation to count as a success.
///
/// # Errors
/// If a policy has no subscription, or none could be renewed.
pub fn verdict(report: &Report) -> Result<(), NotCovered> {
    if report.skipped.is_some() {
        return Ok(());
    }
    let why = |policy: &PolicyReport| {
        let explanation = policy.explanation.as_deref().unwrap_or("it has ended");
        format!("the policy {} of tenant {}: {explanation}", policy.policy_name, policy.tenant_id)
    };
    let watched = |policy: &PolicyReport| {
        report.policies.iter().any(|other| other.policy() == policy.policy() && other.seconds_remaining > 0)
    };
    let unwatched: Vec<_> = report.policies.iter().filter(|policy| !watched(policy)).map(why).collect();
    if !unwatched.is_empty() {
        return Err(NotCovered::PolicyUnwatched(unwatched.join("; ")));
    }
    if report.policies.iter().all(|policy| policy.outcome == Outcome::Failed) {
        return Err(NotCovered::NothingRenewed(report.policies.iter().map(why).collect::<Vec<_>>().join("; ")));
    }
    Ok(())
}

/// Logs a run's report.
pub(crate) fn log(report: &Report) {
    let text = serde_json::to_string(report).unwrap_or_default();
    match verdict(report) {
        Ok(()) if report.ok => tracing::info!(report = text, "reconciled"),
        Ok(()) => tracing::warn!(report = text, "reconciled with problems"),
        Err(error) => tracing::error!(report = text, %error, "not reconciled"),
    }
}

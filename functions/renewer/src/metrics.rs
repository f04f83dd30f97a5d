//! What CloudWatch alarms watch.

use jiff::Timestamp;
use lambda_edge::metrics::{Metrics, Unit};

use crate::report::{Outcome, Report};

/// The lines for a run: `SubscriptionSecondsRemaining` for each policy (0 if it has no subscription), and for the run
/// `RenewalFailures` (policies that failed), `SubscriptionsLost` (those that somebody changed included), and `Problems` (what went wrong besides, strays that stay
/// included).
#[must_use]
pub fn lines(report: &Report, function_name: &str, now: Timestamp) -> Vec<String> {
    let failures = report.policies.iter().filter(|policy| policy.outcome == Outcome::Failed).count();
    let lost = report.policies.iter().filter(|policy| policy.lost.is_some() || policy.tampered.is_some()).count();
    let strays = report.strays.iter().filter(|stray| !stray.deleted).count();
    let of_policies =
        report.policies.iter().map(|policy| {
            Metrics::of_function(function_name)
                .by("Policy", &format!("{}/{}", policy.tenant_id, policy.policy_name))
                .with("SubscriptionSecondsRemaining", Unit::Seconds, policy.seconds_remaining)
        });
    let of_run = Metrics::of_function(function_name)
        .with("RenewalFailures", Unit::Count, failures)
        .with("SubscriptionsLost", Unit::Count, lost)
        .with("Problems", Unit::Count, report.problems.len() + strays);
    of_policies.chain([of_run]).map(|metrics| metrics.line(now)).collect()
}

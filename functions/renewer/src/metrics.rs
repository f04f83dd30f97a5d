//! What CloudWatch alarms watch, in its embedded metric format: a JSON line on standard output becomes metrics.
//!
//! Each metric has the dimension `FunctionName`, so that two stacks in one account do not hide each other's silence.

use jiff::Timestamp;
use serde_json::json;

use crate::report::{Outcome, Report};

const NAMESPACE: &str = "TeamsEmergencyAlerts";

/// The lines for a run: `SubscriptionSecondsRemaining` for each policy (0 if it has no subscription), and for the run
/// `RenewalFailures` (policies that failed) and `SubscriptionsLost`.
#[must_use]
pub fn lines(report: &Report, function_name: &str, now: Timestamp) -> Vec<String> {
    let count = |value: usize| u32::try_from(value).unwrap_or(u32::MAX);
    let failures = report.policies.iter().filter(|policy| policy.outcome == Outcome::Failed).count();
    let lost = report.policies.iter().filter(|policy| policy.lost.is_some()).count();
    let mut lines: Vec<String> = Vec::new();
    for policy in &report.policies {
        let metrics = json!([{"Name": "SubscriptionSecondsRemaining", "Unit": "Seconds"}]);
        let dimensions = json!([["FunctionName"], ["FunctionName", "Policy"]]);
        lines.push(
            json!({
                "_aws": envelope(now, &dimensions, &metrics),
                "FunctionName": function_name,
                "Policy": format!("{}/{}", policy.tenant_id, policy.policy_name),
                "SubscriptionSecondsRemaining": policy.seconds_remaining,
            })
            .to_string(),
        );
    }
    let metrics = json!([{"Name": "RenewalFailures", "Unit": "Count"}, {"Name": "SubscriptionsLost", "Unit": "Count"}]);
    lines.push(
        json!({
            "_aws": envelope(now, &json!([["FunctionName"]]), &metrics),
            "FunctionName": function_name,
            "RenewalFailures": count(failures),
            "SubscriptionsLost": count(lost),
        })
        .to_string(),
    );
    lines
}

fn envelope(now: Timestamp, dimensions: &serde_json::Value, metrics: &serde_json::Value) -> serde_json::Value {
    json!({
        "Timestamp": now.as_millisecond(),
        "CloudWatchMetrics": [{"Namespace": NAMESPACE, "Dimensions": dimensions, "Metrics": metrics}],
    })
}

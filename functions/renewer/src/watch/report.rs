//! What a watch says of what it saw: metrics for alarms, and a report that a person can read. No address, no secret.

use graph_notifications::{PolicyName, TenantId};
use jiff::Timestamp;
use lambda_edge::metrics::{Metrics, Unit};
use serde::Serialize;

use crate::report::PolicyReport;

/// The result of a watch. `None` is what could not be seen, and `problems` says why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WatchReport {
    /// `monitor`.
    pub action: &'static str,
    /// Whether everything could be seen, and a probe was answered if one was sent. What the values mean is for the alarms to say.
    pub ok: bool,
    /// Why the pass did nothing, if it did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skipped: Option<&'static str>,
    /// Whether it looked at everything, and not at the subscriptions alone.
    pub full: bool,
    /// When it began.
    pub started_at: Timestamp,
    /// How long it took.
    pub duration_ms: i64,
    /// Whether the notification address answered a probe as it answers Graph, in time. `None` if there was no key to
    /// seal one.
    pub probe_answered: Option<bool>,
    /// By how many seconds the latest comparison of the subscriptions is overdue; 0 if it is not.
    pub reconcile_overdue_seconds: Option<i64>,
    /// How long ago the stored signing keys of Entra were fetched, in seconds.
    pub signing_keys_age_seconds: Option<i64>,
    /// Whole days since the latest authentic notification, or, if there was none, since the first watch.
    pub days_since_notification: Option<i64>,
    /// How many subscriptions Graph was asked for by their ids.
    pub asked_for: usize,
    /// The subscriptions as Graph shows them, after the repair; those that it was not asked for, as they were recorded.
    pub subscriptions: Vec<SubscriptionWatched>,
    /// What became of those that were gone.
    pub repaired: Vec<PolicyReport>,
    /// The topics whose subscribers could be counted.
    pub topics: Vec<TopicWatched>,
    /// What ends one day.
    pub credentials: Vec<CredentialWatched>,
    /// What is in trouble, by names that stay the same as long as it is.
    pub in_trouble: Vec<String>,
    /// What of that is new: it was not so before, or nobody could be told.
    pub new_problems: Vec<String>,
    /// What could not be seen or done, a sentence each.
    pub problems: Vec<String>,
}

/// A policy's subscription.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SubscriptionWatched {
    /// The policy's tenant.
    pub tenant_id: TenantId,
    /// The policy's name.
    pub policy_name: PolicyName,
    /// Seconds until it ends unless renewed; 0 if there is none.
    pub seconds_remaining: i64,
}

/// A topic.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TopicWatched {
    /// Its name in the template.
    pub topic: &'static str,
    /// How many get what is published.
    pub confirmed: u64,
    /// How many fewer they are than at the watch before.
    pub lost: u64,
    /// Of the topics for calls, whether one of those who have confirmed has no filter policy; `true`, too, where
    /// somebody has confirmed and that cannot be seen.
    pub unfiltered: Option<bool>,
}

/// A certificate or a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CredentialWatched {
    /// `EncryptionCertificate`, `AppCertificate` or `ClientSecret`.
    pub credential: &'static str,
    /// Whole days until it ends; negative once it has ended.
    pub days_left: i64,
}

impl WatchReport {
    /// The report of a pass that begins.
    #[must_use]
    pub fn begun(started_at: Timestamp) -> Self {
        Self {
            action: "monitor",
            ok: false,
            skipped: None,
            full: false,
            started_at,
            duration_ms: 0,
            probe_answered: None,
            reconcile_overdue_seconds: None,
            signing_keys_age_seconds: None,
            days_since_notification: None,
            asked_for: 0,
            subscriptions: Vec::new(),
            repaired: Vec::new(),
            topics: Vec::new(),
            credentials: Vec::new(),
            in_trouble: Vec::new(),
            new_problems: Vec::new(),
            problems: Vec::new(),
        }
    }

    /// The lines of metrics. `WatchRuns` comes last: where it is missing, something else may be. It is all that a pass counts which
    /// looked at the subscriptions alone, as the alarms reckon with a look every five minutes.
    #[must_use]
    pub fn lines(&self, function_name: &str, now: Timestamp) -> Vec<String> {
        let metrics = || Metrics::of_function(function_name);
        if !self.full {
            return vec![metrics().with("WatchRuns", Unit::Count, 1).line(now)];
        }
        let subscriptions = self.subscriptions.iter().map(|one| {
            metrics().by("Policy", &format!("{}/{}", one.tenant_id, one.policy_name)).with(
                "SubscriptionSecondsRemaining",
                Unit::Seconds,
                one.seconds_remaining,
            )
        });
        let topics = self.topics.iter().map(|one| {
            let counts = metrics()
                .by("Topic", one.topic)
                .with("ConfirmedSubscribers", Unit::Count, one.confirmed)
                .with("SubscribersLost", Unit::Count, one.lost);
            match one.unfiltered {
                Some(unfiltered) => counts.with("UnfilteredSubscribers", Unit::Count, u8::from(unfiltered)),
                None => counts,
            }
        });
        let credentials = self.credentials.iter().map(|one| {
            metrics().by("Credential", one.credential).with("DaysUntilCredentialEnds", Unit::Count, one.days_left)
        });
        let mut own = metrics().with("WatchProblems", Unit::Count, self.problems.len()).with(
            "NewProblems",
            Unit::Count,
            self.new_problems.len(),
        );
        for (name, unit, value) in [
            ("ProbesAnswered", Unit::Count, self.probe_answered.map(i64::from)),
            ("ReconcileOverdueSeconds", Unit::Seconds, self.reconcile_overdue_seconds),
            ("SigningKeysAgeSeconds", Unit::Seconds, self.signing_keys_age_seconds),
            ("DaysSinceNotification", Unit::Count, self.days_since_notification),
        ] {
            if let Some(value) = value {
                own = own.with(name, unit, value);
            }
        }
        let own = own.with("WatchRuns", Unit::Count, 1);
        subscriptions.chain(topics).chain(credentials).chain([own]).map(|metrics| metrics.line(now)).collect()
    }
}

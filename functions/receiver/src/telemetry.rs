//! What an invocation leaves in the log and in the metrics: no personal data, no secret.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use jiff::Timestamp;
use lambda_edge::{
    event::BusEvent,
    metrics::{Metrics, Unit},
};

use crate::{
    authenticate::Effort,
    events::notification_rejected,
    outgoing::HandedOver,
    rate_limit::PerMinute,
    rejection::{Rejected, Suspicion},
};

/// How many rejected items of one request are logged and put on the bus; the metric counts all.
const REJECTIONS_REPORTED: usize = 10;

/// How many of all requests in a minute are. The bus and the log are shared with calls, and each report keeps this instance
/// busy until the bus has taken it.
const REPORTS_PER_MINUTE: usize = 20;

/// How many lifecycle notifications of those who know a client state are passed on in a minute, and how many more for each policy:
/// far more than Graph sends, which has one subscription for each.
const LIFECYCLE_PER_MINUTE: usize = 60;
const LIFECYCLE_PER_POLICY: usize = 4;

/// How much others may make this instance say.
pub(crate) struct ReportLimits {
    unauthenticated: PerMinute,
    /// Who knows a client state or has a token: not to be drowned by those who have neither.
    authenticated: PerMinute,
    lifecycle: PerMinute,
}

impl ReportLimits {
    /// For a function that watches so many policies.
    pub(crate) fn new(policies: usize) -> Self {
        Self {
            unauthenticated: PerMinute::new(REPORTS_PER_MINUTE),
            authenticated: PerMinute::new(REPORTS_PER_MINUTE),
            lifecycle: PerMinute::new(LIFECYCLE_PER_MINUTE + LIFECYCLE_PER_POLICY * policies),
        }
    }

    /// Whether one more lifecycle notification of who knows a client state may be passed on.
    pub(crate) fn allow_lifecycle(&self, now: Timestamp) -> bool {
        self.lifecycle.take(now)
    }

    /// Whether what a stranger sent may be reported once more.
    pub(crate) fn allow_unauthenticated(&self, now: Timestamp) -> bool {
        self.unauthenticated.take(now)
    }

    fn allow(&self, rejected: &Rejected, now: Timestamp) -> bool {
        let limit =
            if rejected.suspicion == Suspicion::Unauthenticated { &self.unauthenticated } else { &self.authenticated };
        limit.take(now)
    }
}

/// Events on rejected items, by who sent them.
#[derive(Default)]
pub(crate) struct Reports {
    /// Who knew a client state or had a token.
    pub(crate) on_authenticated: Vec<BusEvent>,
    /// Anybody else.
    pub(crate) on_unauthenticated: Vec<BusEvent>,
}

/// What happened in one invocation, in numbers.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) undecided: usize,
    pub(crate) marks_failed: usize,
    pub(crate) starts_failed: usize,
    pub(crate) notes_failed: usize,
    pub(crate) events_failed: usize,
    pub(crate) lifecycle_failed: usize,
    pub(crate) keyring_failures: usize,
    lifecycle: usize,
    rejected_with_client_state: usize,
    rejected_with_token: usize,
    rejected: BTreeMap<&'static str, usize>,
}

impl Tally {
    /// For a request with so many undecided and so many lifecycle items.
    pub(crate) fn new(undecided: usize, lifecycle: usize) -> Self {
        Self { undecided, lifecycle, ..Self::default() }
    }

    /// Counts and logs rejected items. Gives events for the first of them.
    pub(crate) fn reject(&mut self, rejected: &[Rejected], limits: &ReportLimits, now: Timestamp) -> Reports {
        let mut reports = Reports::default();
        // Once there is none left, thousands of items need not ask.
        let (mut left_for_unauthenticated, mut left_for_authenticated) = (true, true);
        let is_stranger = |rejected: &&Rejected| rejected.suspicion == Suspicion::Unauthenticated;
        let (unauthenticated, authenticated): (Vec<_>, Vec<_>) = rejected.iter().partition(is_stranger);
        for rejected in authenticated.into_iter().chain(unauthenticated) {
            let word = rejected.reason.word();
            self.rejected_with_client_state += usize::from(rejected.suspicion == Suspicion::KnowsClientState);
            self.rejected_with_token += usize::from(rejected.suspicion == Suspicion::HasToken);
            let reported = reports.on_authenticated.len() + reports.on_unauthenticated.len();
            let (left, events) = if is_stranger(&rejected) {
                (&mut left_for_unauthenticated, &mut reports.on_unauthenticated)
            } else {
                (&mut left_for_authenticated, &mut reports.on_authenticated)
            };
            if reported < REJECTIONS_REPORTED && *left {
                *left = limits.allow(rejected, now);
                if *left {
                    let origin = rejected.origin.as_ref();
                    tracing::warn!(reason = word, ?origin, "rejected an item: {}", rejected.reason);
                    events.push(notification_rejected(rejected, now));
                }
            }
            *self.rejected.entry(word).or_default() += 1;
        }
        reports
    }

    /// The lines to write to standard output.
    pub(crate) fn lines(
        &self,
        handed_over: &HandedOver,
        effort: &Effort,
        function_name: &str,
        now: Timestamp,
    ) -> Vec<String> {
        let published = &handed_over.published;
        let count = |counts: fn(&emergency_alert::Facts) -> bool| {
            published.iter().filter(|outgoing| counts(outgoing.alert.facts())).count()
        };
        let made = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let mut metrics = Metrics::of_function(function_name)
            .noting("signaturesVerified", made(&effort.signatures))
            .noting("decryptions", made(&effort.decryptions));
        for (name, value) in [
            ("AlertsPublished", published.len()),
            ("AlertsPublishedSecondWay", handed_over.second_way),
            ("AlertsDegraded", count(|alert| alert.degraded)),
            ("AlertsUnverified", count(|alert| !alert.verified)),
            ("AlertsWithoutLocation", count(|alert| !alert.degraded && alert.location.text.is_none())),
            ("DuplicatesSuppressed", handed_over.duplicates),
            ("AlertsNotPublished", handed_over.failed),
            ("NotificationsUndecided", self.undecided),
            ("RejectedWithClientState", self.rejected_with_client_state),
            ("RejectedWithToken", self.rejected_with_token),
            ("LifecycleNotifications", self.lifecycle),
            (
                "StateTableFailures",
                handed_over.lookups_failed + self.marks_failed + self.starts_failed + self.notes_failed,
            ),
            ("CallEventsNotPut", self.events_failed),
            ("LifecycleEventsNotPut", self.lifecycle_failed),
            ("KeyringFailures", self.keyring_failures),
        ] {
            metrics = metrics.with(name, Unit::Count, value);
        }
        // A call cannot come from the future: the clocks differ. CloudWatch takes at most 100 values from a line.
        // When an unverified one happened is anybody's guess.
        let verified = published.iter().filter(|outgoing| outgoing.alert.is_verified());
        let ages = verified.filter_map(|outgoing| outgoing.alert.facts().age_seconds);
        let ages: Vec<i64> = ages.map(|age| age.max(0)).take(100).collect();
        if !ages.is_empty() {
            metrics = metrics.with("AlertAgeSeconds", Unit::Seconds, ages);
        }
        let rejected = self.rejected.iter().map(|(reason, count)| {
            let metrics = Metrics::of_function(function_name).by("Reason", reason);
            metrics.with("NotificationsRejected", Unit::Count, *count).line(now)
        });
        std::iter::once(metrics.line(now)).chain(rejected).collect()
    }
}

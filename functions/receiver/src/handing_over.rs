//! Handing alerts over: look up, publish, then mark and tell the machines.

use std::collections::HashSet;

use emergency_alert::Alert;
use futures::{StreamExt as _, future::join_all, stream};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{event::BusEvent, publication::Publication};
use tokio::time::{Instant, timeout_at};

use crate::{
    batch,
    config::Config,
    outside::{CallFailed, FindPublished, MarkPublished, Publish, PutEvents},
    reading::hash,
    schedule::Schedule,
};

/// How long a published alert is remembered: Graph retries for 4 hours, and a validation token lives for a day.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(48);

/// How many calls of one kind are under way at once.
const AT_ONCE: usize = 16;

/// How often an alert is offered to SNS in one invocation.
const PUBLISH_ATTEMPTS: u32 = 3;

/// An alert on its way out.
pub(crate) struct Outgoing {
    pub(crate) alert: Alert,
    hash: String,
    publication: Publication,
}

/// What became of alerts.
#[derive(Default)]
pub(crate) struct HandedOver {
    pub(crate) published: Vec<Outgoing>,
    pub(crate) duplicates: usize,
    pub(crate) failed: usize,
    /// How often the table could not be asked; those alerts were published anyway.
    pub(crate) lookups_failed: usize,
}

/// Publishes each alert that was not published before. Nothing is marked yet: a mark without a message would swallow a
/// call.
pub(crate) async fn publish_new(
    alerts: Vec<Alert>,
    config: &Config,
    outside: &(impl FindPublished + Publish),
    schedule: &Schedule,
) -> HandedOver {
    let mut handed_over = HandedOver::default();
    let fresh = leave_out_duplicates(alerts, outside, schedule.deduplicated, &mut handed_over).await;
    let (tests, calls): (Vec<_>, Vec<_>) = fresh.into_iter().partition(|outgoing| outgoing.alert.is_test());
    let (calls, tests) = tokio::join!(
        publish(calls, &config.alert_topic_arn, outside, schedule.published),
        publish(tests, &config.test_topic_arn, outside, schedule.published),
    );
    for (published, failed) in [calls, tests] {
        handed_over.published.extend(published);
        handed_over.failed += failed;
    }
    handed_over
}

async fn leave_out_duplicates(
    alerts: Vec<Alert>,
    outside: &impl FindPublished,
    deadline: Instant,
    handed_over: &mut HandedOver,
) -> Vec<Outgoing> {
    let mut seen = HashSet::new();
    let mut candidates = Vec::new();
    for alert in alerts {
        let hash = hash(&[alert.deduplication_key().as_bytes()]);
        if seen.insert(hash.clone()) {
            candidates.push(Outgoing { publication: Publication::of(&alert), alert, hash });
        } else {
            handed_over.duplicates += 1;
        }
    }
    let lookups = candidates.iter().map(|candidate| timeout_at(deadline, outside.is_published(&candidate.hash)));
    let known: Vec<_> = stream::iter(lookups).buffered(AT_ONCE).collect().await;
    let mut fresh = Vec::new();
    for (candidate, known) in candidates.into_iter().zip(known) {
        match known.unwrap_or(Err(CallFailed::late())) {
            Ok(true) => {
                handed_over.duplicates += 1;
                continue;
            }
            Ok(false) => {}
            Err(error) => {
                tracing::error!(%error, "the state table cannot be read: publishing without knowing of duplicates");
                handed_over.lookups_failed += 1;
            }
        }
        fresh.push(candidate);
    }
    fresh
}

/// Gives what is published, and how many are not.
async fn publish(
    mut outgoing: Vec<Outgoing>,
    topic_arn: &str,
    outside: &impl Publish,
    deadline: Instant,
) -> (Vec<Outgoing>, usize) {
    let mut published = Vec::new();
    for attempts_left in (0..PUBLISH_ATTEMPTS).rev() {
        let now = Instant::now();
        if outgoing.is_empty() || now >= deadline {
            break;
        }
        // Most of the time is for this attempt: one that is given up too early may have published all the same.
        let left = deadline - now;
        let until = if attempts_left == 0 { deadline } else { now + left * 2 / 3 };
        let results = attempt(&outgoing, topic_arn, outside, until).await;
        let mut left = Vec::new();
        for (outgoing, result) in outgoing.into_iter().zip(results) {
            match result {
                Ok(()) => published.push(outgoing),
                Err(error) => {
                    tracing::error!(%error, topic_arn, alert = outgoing.hash, "an alert was not published at this attempt");
                    left.push(outgoing);
                }
            }
        }
        outgoing = left;
    }
    (published, outgoing.len())
}

async fn attempt(
    outgoing: &[Outgoing],
    topic_arn: &str,
    outside: &impl Publish,
    deadline: Instant,
) -> Vec<Result<(), CallFailed>> {
    let batches = batch::divide(outgoing, |outgoing| outgoing.publication.bytes());
    let calls = batches.into_iter().map(async |batch| {
        let messages: Vec<&Publication> = batch.iter().map(|outgoing| &outgoing.publication).collect();
        let results = timeout_at(deadline, outside.publish(topic_arn, &messages)).await;
        results.unwrap_or_else(|_| vec![Err(CallFailed::late()); batch.len()])
    });
    stream::iter(calls).buffered(AT_ONCE).concat().await
}

/// Marks published alerts. Gives how many could not be: Graph's next delivery of those alerts again.
pub(crate) async fn mark(
    published: &[Outgoing],
    outside: &impl MarkPublished,
    now: Timestamp,
    deadline: Instant,
) -> usize {
    let until = now + REMEMBERED_FOR;
    let marks = published.iter().map(|outgoing| timeout_at(deadline, outside.mark_published(&outgoing.hash, until)));
    let results: Vec<_> = stream::iter(marks).buffered(AT_ONCE).collect().await;
    let mut failed = 0;
    for result in results {
        if let Err(error) = result.unwrap_or(Err(CallFailed::late())) {
            tracing::error!(%error, "a published alert was not marked: a further delivery would alert again");
            failed += 1;
        }
    }
    failed
}

/// Puts events on the bus. Gives how many could not be.
pub(crate) async fn put_events(events: &[BusEvent], outside: &impl PutEvents, deadline: Instant) -> usize {
    let batches = batch::divide(events, |event| event.detail.len());
    let calls = batches.into_iter().map(async |batch| {
        let events: Vec<&BusEvent> = batch.iter().collect();
        let results = timeout_at(deadline, outside.put_events(&events)).await;
        results.unwrap_or_else(|_| vec![Err(CallFailed::late()); batch.len()])
    });
    let results = join_all(calls).await.concat();
    let mut failed = 0;
    for (event, result) in events.iter().zip(results) {
        if let Err(error) = result {
            tracing::error!(%error, detail_type = event.detail_type, "an event did not reach the bus");
            failed += 1;
        }
    }
    failed
}

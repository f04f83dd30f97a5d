//! Handing alerts over: to people through SNS, to machines through the event bus.

use emergency_alert::{Alert, Audience};
use futures::{StreamExt as _, future::join_all, stream};
use lambda_edge::{event::BusEvent, publication::Publication};
use tokio::time::{Instant, timeout_at};

use crate::{
    batch,
    config::Config,
    outside::{CallFailed, FindPublished, FindStart, Publish, PutEvents},
    remembering::leave_out_duplicates,
    schedule::Schedule,
};

/// How many calls of one kind are under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// How often an alert is offered to SNS in one invocation.
const PUBLISH_ATTEMPTS: u32 = 3;

/// An alert on its way out.
pub(crate) struct Outgoing {
    pub(crate) alert: Alert,
    pub(crate) hash: String,
    publication: Publication,
}

impl Outgoing {
    /// An alert that nobody changes any more; the hash is that of its deduplication key.
    pub(crate) fn new(alert: Alert, hash: String) -> Self {
        Self { publication: Publication::of(&alert), alert, hash }
    }
}

/// What became of alerts.
#[derive(Default)]
pub(crate) struct HandedOver {
    pub(crate) published: Vec<Outgoing>,
    pub(crate) duplicates: usize,
    pub(crate) failed: usize,
    /// How many questions the table did not answer; those alerts were published anyway.
    pub(crate) lookups_failed: usize,
}

/// Publishes each alert that was not published before. Nothing is marked yet: a mark without a message would swallow a
/// call.
pub(crate) async fn publish_new(
    alerts: Vec<Alert>,
    config: &Config,
    outside: &(impl FindPublished + FindStart + Publish),
    schedule: &Schedule,
) -> HandedOver {
    let mut handed_over = HandedOver::default();
    let fresh = leave_out_duplicates(alerts, outside, schedule.deduplicated, &mut handed_over).await;
    let (tests, calls): (Vec<_>, Vec<_>) =
        fresh.into_iter().partition(|outgoing| outgoing.alert.audience() == Audience::Test);
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

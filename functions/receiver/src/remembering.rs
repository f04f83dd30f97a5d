//! What the state table remembers from one delivery to the next: what was published, and when a call started.

use std::{
    collections::{HashMap, HashSet},
    pin::pin,
};

use emergency_alert::{Alert, Start};
use futures::{
    StreamExt as _,
    future::{Either, select},
    stream,
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Duration, Instant};

use crate::{
    handing_over::{AT_ONCE, HandedOver, Outgoing},
    outside::{CallFailed, FindPublished, FindStart, MarkPublished, NoteLatest, RememberStart, by},
    reading::hash,
};

/// How long a published alert is remembered: Graph retries for 4 hours, and a validation token lives for a day. No call lasts
/// longer.
const REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(48);

/// How long it is remembered when the latest notification came: longer than the longest `SilenceDays`.
const LATEST_REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(9_600);

/// How much longer than for the lookup of duplicates an ended call waits to learn when it started.
const PATIENCE_FOR_START: Duration = Duration::from_millis(200);

/// An alert that this request brings for the first time.
struct Candidate {
    alert: Alert,
    hash: String,
    /// What to look up: the call whose start this request does not tell.
    ended: Option<String>,
}

/// Leaves out what was published before, and tells ended calls how they started. What the table does not say in time is
/// done without: an alert goes out twice, or without the call's duration.
pub(crate) async fn leave_out_duplicates(
    alerts: Vec<Alert>,
    outside: &(impl FindPublished + FindStart),
    deadline: Instant,
    handed_over: &mut HandedOver,
) -> Vec<Outgoing> {
    let starts: HashMap<String, Start> = alerts.iter().filter_map(start).collect();
    let mut seen = HashSet::new();
    let mut candidates = Vec::new();
    for mut alert in alerts {
        let hash = hash(&[alert.deduplication_key().as_bytes()]);
        if !seen.insert(hash.clone()) {
            handed_over.duplicates += 1;
            continue;
        }
        let mut ended = alert.call_key().filter(|_| alert.is_end()).map(|key| hash_of_call(&key));
        if let Some(start) = ended.as_ref().and_then(|call| starts.get(call)) {
            alert.set_start(*start);
            ended = None;
        }
        candidates.push(Candidate { alert, hash, ended });
    }
    let lookups = candidates.iter().map(|candidate| look_up(candidate, outside, deadline));
    let known: Vec<_> = stream::iter(lookups).buffered(AT_ONCE).collect().await;
    let mut fresh = Vec::new();
    for (Candidate { mut alert, hash, .. }, (published, start)) in candidates.into_iter().zip(known) {
        match published {
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
        match start {
            Ok(Some(start)) => alert.set_start(start),
            Ok(None) => {}
            Err(error) => {
                tracing::warn!(%error, "the state table cannot be read: publishing without the call's duration");
                handed_over.lookups_failed += 1;
            }
        }
        fresh.push(Outgoing::new(alert, hash));
    }
    fresh
}

/// Whether the alert was published, and how its call started. Both are asked for at once, and the answer to the first
/// hardly waits for the second.
async fn look_up(
    candidate: &Candidate,
    outside: &(impl FindPublished + FindStart),
    deadline: Instant,
) -> (Result<bool, CallFailed>, Result<Option<Start>, CallFailed>) {
    let published = by(deadline, outside.is_published(&candidate.hash));
    let Some(call) = &candidate.ended else { return (published.await, Ok(None)) };
    let start = by(deadline, outside.find_start(call));
    match select(pin!(published), pin!(start)).await {
        Either::Left((Ok(true), _)) => (Ok(true), Ok(None)),
        Either::Left((published, start)) => (published, by(Instant::now() + PATIENCE_FOR_START, start).await),
        Either::Right((start, published)) => (published.await, start),
    }
}

/// The call, hashed, and how it started, if this alert says so.
fn start(alert: &Alert) -> Option<(String, Start)> {
    Some((hash_of_call(&alert.call_key()?), alert.start()?))
}

fn hash_of_call(key: &str) -> String {
    hash(&[key.as_bytes()])
}

/// Marks published alerts. Gives how many could not be: Graph's next delivery of those alerts again.
pub(crate) async fn mark(
    published: &[Outgoing],
    outside: &impl MarkPublished,
    now: Timestamp,
    deadline: Instant,
) -> usize {
    let until = now + REMEMBERED_FOR;
    let marks = published.iter().map(|outgoing| by(deadline, outside.mark_published(&outgoing.hash, until)));
    let results: Vec<_> = stream::iter(marks).buffered(AT_ONCE).collect().await;
    let mut failed = 0;
    for result in results {
        if let Err(error) = result {
            tracing::error!(%error, "a published alert was not marked: a further delivery would alert again");
            failed += 1;
        }
    }
    failed
}

/// Remembers how the published calls started. Gives how many starts could not be: those calls end without a duration.
pub(crate) async fn remember_starts(
    published: &[Outgoing],
    outside: &impl RememberStart,
    now: Timestamp,
    deadline: Instant,
) -> usize {
    let until = now + REMEMBERED_FOR;
    let starts = published.iter().filter_map(|outgoing| start(&outgoing.alert));
    let calls = starts.map(async |(call, start)| by(deadline, outside.remember_start(&call, start, until)).await);
    let results: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
    let mut failed = 0;
    for result in results {
        if let Err(error) = result {
            tracing::warn!(%error, "the start of a call was not remembered: its end will have no duration");
            failed += 1;
        }
    }
    failed
}

/// Notes that Microsoft reports calls, if any was published. Gives how many notes could not be made: then silence may be taken
/// for longer than it is.
pub(crate) async fn note_latest(
    published: &[Outgoing],
    outside: &impl NoteLatest,
    now: Timestamp,
    deadline: Instant,
) -> usize {
    if published.is_empty() {
        return 0;
    }
    match by(deadline, outside.note_latest(now, now + LATEST_REMEMBERED_FOR)).await {
        Ok(()) => 0,
        Err(error) => {
            tracing::warn!(%error, "it was not noted that a notification came");
            1
        }
    }
}

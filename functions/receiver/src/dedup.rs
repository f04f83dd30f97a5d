//! What the state table says of earlier deliveries: what was told, and how a call started and ended.

use std::{collections::HashMap, pin::pin};

use emergency_alert::Alert;
use futures::{
    StreamExt as _,
    future::{Either, select},
    stream,
};
use jiff::{SignedDuration, Timestamp};
use tokio::time::{Duration, Instant};

use crate::{
    digest::hash,
    mark::{Content, Mark},
    outgoing::{AT_ONCE, HandedOver, Outgoing},
    ports::{CallFailed, CallRecord, StateTable, by},
};

/// How long a mark lives: longer than any key is kept that could open a recording, or the recording would alert again.
const MARKED_FOR: SignedDuration = SignedDuration::from_hours(24 * 400);

/// How long it is remembered how a call started and ended. No call lasts longer.
const CALL_REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(48);

/// How long it is remembered when the latest notification came: longer than the longest `SilenceDays`.
const LATEST_REMEMBERED_FOR: SignedDuration = SignedDuration::from_hours(9_600);

/// How much longer than for the lookup of duplicates an alert waits to learn of its call's other end.
const PATIENCE_FOR_CALL: Duration = Duration::from_millis(200);

/// An alert that is to be looked up.
struct Candidate {
    alert: Alert,
    hash: String,
    content: Content,
    /// The call, hashed, where its other end matters and this request does not tell it.
    call: Option<String>,
}

/// Leaves out what was told before, and says of the rest how it relates to that and how its call started or ended. What the
/// table does not say in time is done without: an alert goes out twice, or without the call's duration.
///
/// `told` is what this request has told already.
pub(crate) async fn leave_out_duplicates(
    alerts: Vec<Alert>,
    outside: &impl StateTable,
    deadline: Instant,
    told: &mut HashMap<String, Mark>,
    handed_over: &mut HandedOver,
) -> Vec<Outgoing> {
    let in_request: HashMap<String, CallRecord> = alerts.iter().filter_map(start_of_call).collect();
    let mut candidates = Vec::new();
    for mut alert in alerts {
        let (hash, content) = (hash(&[alert.deduplication_key().as_bytes()]), Content::of(&alert));
        let mut call = alert.call_key().filter(|_| alert.is_end() || alert.start().is_some()).map(|key| hash_of(&key));
        if let Some(start) = call.as_ref().and_then(|call| in_request.get(call)?.start).filter(|_| alert.is_end()) {
            alert.set_start(start);
            call = None;
        }
        candidates.push(Candidate { alert, hash, content, call });
    }
    let lookups = candidates.iter().map(|candidate| look_up(candidate, outside, deadline));
    let known: Vec<_> = stream::iter(lookups).buffered(AT_ONCE).collect().await;
    let mut fresh = Vec::new();
    for (Candidate { mut alert, hash, content, .. }, (mark, call)) in candidates.into_iter().zip(known) {
        let mark = mark.unwrap_or_else(|error| {
            tracing::error!(%error, "the state table cannot be read: publishing without knowing of duplicates");
            handed_over.lookups_failed += 1;
            None
        });
        let told = told.entry(hash.clone()).or_default();
        if let Some(mark) = mark {
            told.verified.extend(mark.verified);
            told.unverified.extend(mark.unverified);
            told.without_content |= mark.without_content;
        }
        let Some(relation) = told.relation(alert.is_verified(), &content) else {
            handed_over.duplicates += 1;
            continue;
        };
        told.add(alert.is_verified(), content.clone());
        alert.set_relation(relation);
        match call {
            Ok(call) => {
                if let Some(start) = call.start {
                    alert.set_start(start);
                }
                if let Some(end) = call.end {
                    alert.set_end(end);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "the state table cannot be read: publishing without knowing of the call's other end");
                handed_over.lookups_failed += 1;
            }
        }
        fresh.push(Outgoing::new(alert, hash, content));
    }
    fresh
}

/// What was told of the event, and what is known of its call. Both are asked for at once, and the answer to the first
/// hardly waits for the second.
async fn look_up(
    candidate: &Candidate,
    outside: &impl StateTable,
    deadline: Instant,
) -> (Result<Option<Mark>, CallFailed>, Result<CallRecord, CallFailed>) {
    let mark = by(deadline, outside.find_mark(&candidate.hash));
    let Some(call) = &candidate.call else { return (mark.await, Ok(CallRecord::default())) };
    let record = by(deadline, outside.find_call(call));
    match select(pin!(mark), pin!(record)).await {
        Either::Left((mark, record)) => (mark, by(Instant::now() + PATIENCE_FOR_CALL, record).await),
        Either::Right((record, mark)) => (mark.await, record),
    }
}

/// The call, hashed, and how it started, if this alert says so.
fn start_of_call(alert: &Alert) -> Option<(String, CallRecord)> {
    Some((hash_of(&alert.call_key()?), CallRecord { start: Some(alert.start()?), end: None }))
}

/// The call, hashed, and what this alert says of its start or end.
fn record_of_call(alert: &Alert) -> Option<(String, CallRecord)> {
    let record = CallRecord { start: alert.start(), end: alert.end() };
    (record != CallRecord::default()).then_some((hash_of(&alert.call_key()?), record))
}

fn hash_of(key: &str) -> String {
    hash(&[key.as_bytes()])
}

/// Marks published alerts. Gives how many could not be: Graph's next delivery of those alerts again.
pub(crate) async fn mark(
    published: &[Outgoing],
    outside: &impl StateTable,
    now: Timestamp,
    deadline: Instant,
) -> usize {
    let until = now + MARKED_FOR;
    let marks = published.iter().map(|outgoing| {
        let verified = outgoing.alert.is_verified();
        by(deadline, outside.mark(&outgoing.hash, verified, &outgoing.content, until))
    });
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

/// Remembers how the published calls started and ended. Gives how many could not be: those calls end without a duration, or
/// start without a word that they have ended.
pub(crate) async fn remember_calls(
    published: &[Outgoing],
    outside: &impl StateTable,
    now: Timestamp,
    deadline: Instant,
) -> usize {
    let until = now + CALL_REMEMBERED_FOR;
    let records = published.iter().filter_map(|outgoing| record_of_call(&outgoing.alert));
    let calls = records.map(async |(call, record)| by(deadline, outside.remember_call(&call, record, until)).await);
    let results: Vec<_> = stream::iter(calls).buffered(AT_ONCE).collect().await;
    let mut failed = 0;
    for result in results {
        if let Err(error) = result {
            tracing::warn!(%error, "the start or end of a call was not remembered");
            failed += 1;
        }
    }
    failed
}

/// Notes that Microsoft reports calls, if any verified one was published. Gives how many notes could not be made: then silence
/// may be taken for longer than it is.
pub(crate) async fn note_latest(
    published: &[Outgoing],
    outside: &impl StateTable,
    now: Timestamp,
    deadline: Instant,
) -> usize {
    if !published.iter().any(|outgoing| outgoing.alert.is_verified()) {
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

//! Unverified alerts above a limit: combined into one message a minute, so that a flood of items with one proof cannot spend
//! the text messages that verified calls need.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use emergency_alert::{Alert, Audience};
use jiff::Timestamp;
use tokio::time::Instant;

use crate::{
    config::Config,
    deadlines::Deadlines,
    dedup::leave_out_duplicates,
    mark::Mark,
    outgoing::{HandedOver, Outgoing},
    ports::{Publish, StateTable, by},
    publish::{Message, publish_messages},
};

/// How many unverified alerts in ten minutes have a message of their own.
const ALONE: usize = 5;

/// How many alerts wait for a combined message in this instance. What finds no place is sent again by Graph all the same.
const MOST_WAITING: usize = 200;

/// Alerts above the limit that people were not told of yet. Graph sends each again, since it was answered with status 503; a
/// combined message names those of other deliveries, too, so that one delivery a minute suffices.
#[derive(Default)]
pub(crate) struct Waiting(Mutex<Vec<Outgoing>>);

impl Waiting {
    fn lock(&self) -> MutexGuard<'_, Vec<Outgoing>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes out all that wait.
    fn take(&self) -> Vec<Outgoing> {
        std::mem::take(&mut self.lock())
    }

    /// Keeps alerts for a later message.
    fn keep(&self, outgoing: &[Outgoing]) {
        let mut waiting = self.lock();
        for outgoing in outgoing {
            if waiting.len() < MOST_WAITING && !waiting.iter().any(|other| other.tells_the_same_as(outgoing)) {
                waiting.push(Outgoing { on_bus: true, ..outgoing.clone() });
            }
        }
    }

    fn is_on_bus(&self, outgoing: &Outgoing) -> bool {
        self.lock().iter().any(|other| other.tells_the_same_as(outgoing))
    }
}

/// Publishes each unverified alert that was not published before: up to the limit in a message of its own, the rest in this
/// minute's combined message, if nobody claimed that. What is left is put aside for machines, and for Graph to send again.
pub(crate) async fn publish_unverified(
    alerts: Vec<Alert>,
    config: &Config,
    outside: &(impl StateTable + Publish),
    deadlines: &Deadlines,
    waiting: &Waiting,
    told: &mut HashMap<String, Mark>,
    now: Timestamp,
) -> HandedOver {
    let mut handed_over = HandedOver::default();
    let known_by = deadlines.deduplicated(Instant::now());
    let mut alone = leave_out_duplicates(alerts, outside, known_by, told, &mut handed_over).await;
    if alone.is_empty() {
        return handed_over;
    }
    let counted_by = deadlines.deduplicated(Instant::now());
    let counted = by(counted_by, outside.count_unverified(alone.len(), now)).await;
    let above = counted.map_or_else(
        |error| {
            tracing::error!(%error, "unverified alerts are not counted: each has a message of its own");
            handed_over.lookups_failed += 1;
            0
        },
        |in_ten_minutes| in_ten_minutes.saturating_sub(ALONE).min(alone.len()),
    );
    let mut rest = alone.split_off(alone.len() - above);
    let mut messages: Vec<Message> = alone.into_iter().map(Message::of).collect();
    if !rest.is_empty() {
        for outgoing in &mut rest {
            outgoing.on_bus = waiting.is_on_bus(outgoing);
        }
        let claimed = by(deadlines.deduplicated(Instant::now()), outside.claim_combined(now)).await;
        if claimed.unwrap_or(true) {
            let others = waiting.take().into_iter();
            let others: Vec<_> = others.filter(|other| !rest.iter().any(|own| own.tells_the_same_as(other))).collect();
            messages.extend(combined(rest.into_iter().chain(others)));
        } else {
            waiting.keep(&rest);
            handed_over.put_aside = rest;
        }
    }
    publish_messages(messages, config, outside, deadlines, &mut handed_over).await;
    handed_over
}

/// One message for each audience that somebody is to tell.
fn combined(outgoing: impl Iterator<Item = Outgoing>) -> impl Iterator<Item = Message> {
    let (tests, calls): (Vec<_>, Vec<_>) = outgoing.partition(|outgoing| outgoing.alert.audience() == Audience::Test);
    [calls, tests].into_iter().filter(|outgoing| !outgoing.is_empty()).map(Message::combined)
}

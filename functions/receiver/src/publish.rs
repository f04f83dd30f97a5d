//! Publishing alerts: to people through SNS, to machines through the event bus.

use std::collections::HashMap;

use emergency_alert::{Alert, Audience};
use futures::{StreamExt as _, stream};
use lambda_edge::{event::BusEvent, publication::Publication};
use tokio::time::{Duration, Instant, sleep_until, timeout_at};

use crate::{
    batch,
    config::Config,
    deadlines::Deadlines,
    dedup::leave_out_duplicates,
    mark::Mark,
    outgoing::{AT_ONCE, HandedOver, Outgoing},
    ports::{CallFailed, Publish, PutEvents, StateTable},
};

/// How often an alert is offered to one topic in one invocation.
const PUBLISH_ATTEMPTS: u32 = 3;

/// How long a refused attempt waits for the next: Amazon SNS may throttle for a moment.
const BETWEEN_ATTEMPTS: Duration = Duration::from_millis(150);

/// A message for a topic, and the alerts that it tells.
pub(crate) struct Message {
    publication: Publication,
    outgoing: Vec<Outgoing>,
}

impl Message {
    /// The message for one alert.
    pub(crate) fn of(outgoing: Outgoing) -> Self {
        Self { publication: Publication::of(&outgoing.alert), outgoing: vec![outgoing] }
    }

    /// One message for several alerts, which names each.
    pub(crate) fn combined(outgoing: Vec<Outgoing>) -> Self {
        let alerts: Vec<&Alert> = outgoing.iter().map(|outgoing| &outgoing.alert).collect();
        Self { publication: Publication::combined(&alerts), outgoing }
    }

    fn audience(&self) -> Audience {
        let test = self.outgoing.iter().all(|outgoing| outgoing.alert.audience() == Audience::Test);
        if test { Audience::Test } else { Audience::Alert }
    }
}

/// Publishes each verified alert that was not published before. Nothing is marked yet: a mark without a message would swallow
/// a call. `told` takes what is told by this request.
pub(crate) async fn publish_new(
    alerts: Vec<Alert>,
    config: &Config,
    outside: &(impl StateTable + Publish),
    deadlines: &Deadlines,
    told: &mut HashMap<String, Mark>,
) -> HandedOver {
    let mut handed_over = HandedOver::default();
    let known_by = deadlines.deduplicated(Instant::now());
    let fresh = leave_out_duplicates(alerts, outside, known_by, told, &mut handed_over).await;
    let messages = fresh.into_iter().map(Message::of).collect();
    publish_messages(messages, config, outside, deadlines, &mut handed_over).await;
    handed_over
}

/// Publishes messages, each to the topic of its audience.
pub(crate) async fn publish_messages(
    messages: Vec<Message>,
    config: &Config,
    outside: &impl Publish,
    deadlines: &Deadlines,
    handed_over: &mut HandedOver,
) {
    let (tests, calls): (Vec<_>, Vec<_>) =
        messages.into_iter().partition(|message| message.audience() == Audience::Test);
    let (calls, tests) = tokio::join!(
        publish_calls(calls, config, outside, deadlines, &mut handed_over.second_way),
        publish(tests, &config.test_topic_arn, outside, deadlines.published, Patience::ForRetries),
    );
    for Offered { published, left } in [calls, tests] {
        handed_over.published.extend(published.into_iter().flat_map(|message| message.outgoing));
        handed_over.failed += left.iter().map(|message| message.outgoing.len()).sum::<usize>();
    }
}

/// Publishes calls: what the home Region does not take in its time, the topic in another Region is offered. Tests have no
/// second way, since it leads to people who are there for real calls.
async fn publish_calls(
    calls: Vec<Message>,
    config: &Config,
    outside: &impl Publish,
    deadlines: &Deadlines,
    second_way: &mut usize,
) -> Offered {
    let home =
        publish(calls, &config.alert_topic_arn, outside, deadlines.published_at_home, Patience::ForRetries).await;
    let Some(topic) = config.second_alert_topic.as_ref().filter(|_| !home.left.is_empty()) else { return home };
    let away = publish(home.left, topic.arn(), outside, deadlines.published, Patience::ForOne).await;
    for outgoing in away.published.iter().flat_map(|message| &message.outgoing) {
        let (alert, region) = (&outgoing.hash, topic.region());
        tracing::error!(alert, region, "an alert took the second way: Amazon SNS in the home Region did not take it");
        *second_way += 1;
    }
    Offered { published: home.published.into_iter().chain(away.published).collect(), left: away.left }
}

/// What became of messages that a topic was offered.
struct Offered {
    published: Vec<Message>,
    left: Vec<Message>,
}

/// How long one attempt may take.
#[derive(Clone, Copy)]
enum Patience {
    /// Most of the time that is left: one that is given up too early may have published all the same, and one that hangs leaves
    /// time for another.
    ForRetries,
    /// All of the time: most of it goes into connecting, and another attempt would have to connect again.
    ForOne,
}

/// Offers messages to a topic, until it has taken all, or the attempts or the time are used up.
async fn publish(
    messages: Vec<Message>,
    topic_arn: &str,
    outside: &impl Publish,
    deadline: Instant,
    patience: Patience,
) -> Offered {
    let mut offered = Offered { published: Vec::new(), left: messages };
    for attempts_left in (0..PUBLISH_ATTEMPTS).rev() {
        let now = Instant::now();
        if offered.left.is_empty() || now >= deadline {
            break;
        }
        let until = match patience {
            Patience::ForRetries if attempts_left > 0 => now + (deadline - now) * 2 / 3,
            _ => deadline,
        };
        let results = attempt(&offered.left, topic_arn, outside, until).await;
        for (message, result) in std::mem::take(&mut offered.left).into_iter().zip(results) {
            match result {
                Ok(()) => offered.published.push(message),
                Err(error) => {
                    for Outgoing { hash, .. } in &message.outgoing {
                        tracing::error!(%error, topic_arn, alert = hash, "an alert was not published at this attempt");
                    }
                    offered.left.push(message);
                }
            }
        }
        // What used up its time has waited long enough.
        if attempts_left > 0 && !offered.left.is_empty() && Instant::now() < until {
            sleep_until(deadline.min(Instant::now() + BETWEEN_ATTEMPTS)).await;
        }
    }
    offered
}

async fn attempt(
    messages: &[Message],
    topic_arn: &str,
    outside: &impl Publish,
    deadline: Instant,
) -> Vec<Result<(), CallFailed>> {
    let batches = batch::divide(messages, |message| message.publication.bytes());
    let calls = batches.into_iter().map(async |batch| {
        let messages: Vec<&Publication> = batch.iter().map(|message| &message.publication).collect();
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
    let results = stream::iter(calls).buffered(AT_ONCE).concat().await;
    let mut failed = 0;
    for (event, result) in events.iter().zip(results) {
        if let Err(error) = result {
            tracing::error!(%error, detail_type = event.detail_type, "an event did not reach the bus");
            failed += 1;
        }
    }
    failed
}

//! What calls were made, what was sent of them, and what became of each attempt.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::clock::graph_time;
use super::notification::{self, Caller, EmergencyEvent};
use super::outbound::{Answer, OutboundError};
use super::subscriptions::Subscription;

/// How long the first attempt of a notification may take.
pub const FIRST_LIMIT: Duration = Duration::from_secs(3);
/// How long a later attempt may take.
pub const RETRY_LIMIT: Duration = Duration::from_secs(10);
/// How long a notification is retried or held.
pub const DELIVERY_LIFE: SignedDuration = SignedDuration::from_hours(4);
/// The wait before the second attempt; it doubles with each further one.
pub const FIRST_BACKOFF: SignedDuration = SignedDuration::from_secs(10);
/// The longest wait between two attempts.
pub const LONGEST_BACKOFF: SignedDuration = SignedDuration::from_mins(30);
/// The time over which an endpoint's answers are judged, and the delay of a slow one's notifications.
pub const THROTTLE_WINDOW: SignedDuration = SignedDuration::from_mins(10);
/// `reauthorizationRequired` is sent when the token has this long left.
pub const NOTICE_TIME: SignedDuration = SignedDuration::from_mins(15);

/// The type of the event that ends a call.
pub const CALL_ENDED: &str = "callEnded";

/// What to wait for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Wait {
    /// Nothing.
    #[default]
    Nothing,
    /// Until each delivery's first attempt was answered, or it is known that none is due yet. In JSON `true` or `"first"`.
    First,
    /// Until each delivery is delivered or given up. In JSON `"settled"`.
    Settled,
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::Bool(false) | Value::Null => Ok(Self::Nothing),
            Value::Bool(true) => Ok(Self::First),
            Value::String(text) if text == "first" => Ok(Self::First),
            Value::String(text) if text == "settled" => Ok(Self::Settled),
            _ => Err(serde::de::Error::custom("wait must be a boolean, \"first\" or \"settled\"")),
        }
    }
}

/// An emergency call to make.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Dial {
    /// The number dialled.
    pub number: String,
    /// The caller's emergency calling policy.
    pub policy: String,
    /// The caller's tenant; the first one if absent.
    pub tenant: Option<String>,
    /// The caller.
    pub caller: Caller,
    /// A `location` as Graph has it; null for none.
    #[serde(deserialize_with = "Value::deserialize")]
    pub location: Value,
    /// What to wait for.
    pub wait: Wait,
}

impl Default for Dial {
    fn default() -> Self {
        Self {
            number: "911".to_owned(),
            policy: "Global".to_owned(),
            tenant: None,
            caller: Caller::default(),
            location: notification::default_location(),
            wait: Wait::First,
        }
    }
}

/// Which subscriptions.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Selector {
    /// The one with this id.
    Id(String),
    /// All for this policy, in any tenant.
    Policy(String),
}

impl Selector {
    pub(super) fn matches(&self, subscription: &Subscription) -> bool {
        match self {
            Self::Id(id) => subscription.id == *id,
            Self::Policy(policy) => subscription.policy == *policy,
        }
    }
}

/// A control function was asked for something that is not there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ControlError {
    /// No such tenant.
    #[error("there is no tenant {0}")]
    UnknownTenant(String),
    /// No such call.
    #[error("there is no call {0}")]
    UnknownCall(String),
    /// Nothing selected.
    #[error("no subscription is selected")]
    NoSubscription,
    /// A batch goes to one endpoint.
    #[error("the subscriptions of these calls have different notification URLs")]
    DifferentEndpoints,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// 2xx in time.
    Accepted,
    /// Another status.
    Refused,
    /// No answer in time.
    TimedOut,
    /// No connection, or a broken one.
    Unreachable,
}

/// One request.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// When, in simulated time.
    #[serde(serialize_with = "as_graph_time")]
    pub at: Timestamp,
    /// How it ended.
    pub outcome: Outcome,
    /// The answer's status; `None` without an answer.
    pub status: Option<u16>,
    /// How long it took, in real milliseconds.
    pub latency_ms: u64,
}

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum DeliveryState {
    /// An attempt is due, now or later.
    Pending,
    /// An attempt is under way.
    InFlight,
    /// The access token of the subscription's last renewal has lapsed; a renewal releases it.
    Held,
    /// Accepted.
    Delivered,
    /// Not accepted within [`DELIVERY_LIFE`].
    Expired,
    /// The subscription ended before it was accepted.
    SubscriptionGone,
    /// Never sent, because the endpoint did not answer in time too often.
    Dropped,
}

impl DeliveryState {
    /// Whether nothing more will happen.
    #[must_use]
    pub fn is_settled(self) -> bool {
        !matches!(self, Self::Pending | Self::InFlight | Self::Held)
    }
}

/// A delivery so far.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DeliveryReport {
    /// The delivery.
    pub delivery_id: String,
    /// The calls that it tells of; none for a lifecycle notification.
    pub call_ids: Vec<String>,
    /// The subscriptions of its items.
    pub subscription_ids: Vec<String>,
    /// Where it goes.
    pub url: String,
    /// Where it stands.
    pub state: DeliveryState,
    /// When the next attempt is due, if one is.
    #[serde(serialize_with = "as_optional_graph_time")]
    pub next_attempt_at: Option<Timestamp>,
    /// The attempts.
    pub attempts: Vec<Attempt>,
    /// The body, as JSON. Only the log of deliveries shows it over HTTP.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub body: Value,
}

/// What became of a call's notifications. Without any, nobody was subscribed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct CallReport {
    /// The call.
    pub call_id: String,
    /// All attempts of all its deliveries.
    pub attempts: Vec<Attempt>,
    /// The deliveries, oldest first.
    pub deliveries: Vec<DeliveryReport>,
}

fn as_graph_time<S: serde::Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&graph_time(*time))
}

#[expect(clippy::ref_option, reason = "serde passes references")]
fn as_optional_graph_time<S: serde::Serializer>(time: &Option<Timestamp>, serializer: S) -> Result<S::Ok, S::Error> {
    time.map(graph_time).serialize(serializer)
}

/// A call and its last event.
pub(super) struct Call {
    pub(super) tenant: String,
    pub(super) event: EmergencyEvent,
}

/// All calls and deliveries.
#[derive(Default)]
pub(crate) struct Ledger {
    pub(super) calls: BTreeMap<String, Call>,
    pub(super) deliveries: Vec<Delivery>,
}

pub(super) struct Delivery {
    pub(super) id: String,
    pub(super) call_ids: Vec<String>,
    pub(super) subscription_ids: Vec<String>,
    /// Lifecycle notifications go out whatever the token, as they ask for a new one.
    pub(super) needs_token: bool,
    pub(super) url: String,
    pub(super) body: Value,
    pub(super) state: DeliveryState,
    pub(super) next_attempt_at: Timestamp,
    pub(super) deadline: Timestamp,
    pub(super) attempts: Vec<Attempt>,
}

/// What a delivery does next.
pub(super) enum Step {
    Attempt { url: String, body: Vec<u8>, limit: Duration },
    Wait(Timestamp),
    Done,
}

impl Delivery {
    pub(super) fn step(&mut self, subscriptions: &[Subscription], now: Timestamp) -> Step {
        if self.state.is_settled() {
            return Step::Done;
        }
        let own: Vec<&Subscription> =
            subscriptions.iter().filter(|subscription| self.subscription_ids.contains(&subscription.id)).collect();
        if own.len() < self.subscription_ids.len() {
            self.state = DeliveryState::SubscriptionGone;
            return Step::Done;
        }
        if now >= self.deadline {
            self.state = DeliveryState::Expired;
            return Step::Done;
        }
        if now < self.next_attempt_at {
            return Step::Wait(self.next_attempt_at.min(self.deadline));
        }
        let lapsed = own.iter().any(|subscription| subscription.token_expires_at <= now);
        if self.needs_token && lapsed {
            self.state = DeliveryState::Held;
            return Step::Wait(self.deadline);
        }
        self.state = DeliveryState::InFlight;
        Step::Attempt {
            url: self.url.clone(),
            body: self.body.to_string().into_bytes(),
            limit: if self.attempts.is_empty() { FIRST_LIMIT } else { RETRY_LIMIT },
        }
    }

    pub(super) fn record(
        &mut self,
        at: Timestamp,
        now: Timestamp,
        limit: Duration,
        answer: Result<&Answer, OutboundError>,
    ) {
        let (outcome, status, latency) = match answer {
            Ok(answer) if (200..300).contains(&answer.status) => {
                (Outcome::Accepted, Some(answer.status), answer.latency)
            }
            Ok(answer) => (Outcome::Refused, Some(answer.status), answer.latency),
            Err(OutboundError::Timeout) => (Outcome::TimedOut, None, limit),
            Err(OutboundError::Connection) => (Outcome::Unreachable, None, Duration::ZERO),
        };
        self.attempts.push(Attempt {
            at,
            outcome,
            status,
            latency_ms: u64::try_from(latency.as_millis()).unwrap_or(u64::MAX),
        });
        if outcome == Outcome::Accepted {
            self.state = DeliveryState::Delivered;
        } else {
            self.state = DeliveryState::Pending;
            self.next_attempt_at = now + backoff(self.attempts.len());
        }
    }

    /// When something happens without a change from outside; `None` when nothing will.
    pub(super) fn due(&self) -> Option<Timestamp> {
        match self.state {
            DeliveryState::Pending => Some(self.next_attempt_at.min(self.deadline)),
            DeliveryState::InFlight => Some(Timestamp::MIN),
            DeliveryState::Held => Some(self.deadline),
            _ => None,
        }
    }

    pub(super) fn is_ready(&self, wait: Wait, now: Timestamp) -> bool {
        match wait {
            Wait::Nothing => true,
            Wait::Settled => self.state.is_settled(),
            Wait::First => {
                !self.attempts.is_empty()
                    || self.state.is_settled()
                    || self.state == DeliveryState::Held
                    || (self.state == DeliveryState::Pending && self.next_attempt_at > now)
            }
        }
    }

    pub(super) fn report(&self) -> DeliveryReport {
        DeliveryReport {
            delivery_id: self.id.clone(),
            call_ids: self.call_ids.clone(),
            subscription_ids: self.subscription_ids.clone(),
            url: self.url.clone(),
            state: self.state,
            next_attempt_at: (self.state == DeliveryState::Pending).then_some(self.next_attempt_at),
            attempts: self.attempts.clone(),
            body: self.body.clone(),
        }
    }
}

/// How long Graph waits after so many attempts.
pub(crate) fn backoff(attempts: usize) -> SignedDuration {
    let doublings = u32::try_from(attempts.saturating_sub(1)).unwrap_or(u32::MAX);
    FIRST_BACKOFF
        .checked_mul(2_i32.checked_pow(doublings).unwrap_or(i32::MAX))
        .unwrap_or(LONGEST_BACKOFF)
        .min(LONGEST_BACKOFF)
}

/// What an endpoint's recent answers mean for its next notification.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Throttle {
    Free,
    Slow,
    Drop,
}

/// Judges the attempts at one endpoint within [`THROTTLE_WINDOW`]: more than a tenth over 3 s is slow, more than 15 % without
/// an answer within the 10 s of a retry is worse.
fn throttle<'a>(attempts: impl Iterator<Item = &'a Attempt>) -> Throttle {
    let (mut all, mut slow, mut late) = (0, 0, 0);
    for attempt in attempts {
        all += 1;
        let latency = Duration::from_millis(attempt.latency_ms);
        slow += usize::from(attempt.outcome == Outcome::TimedOut || latency > FIRST_LIMIT);
        late += usize::from(attempt.outcome == Outcome::TimedOut && latency >= RETRY_LIMIT);
    }
    if late * 100 > all * 15 {
        Throttle::Drop
    } else if slow * 10 > all {
        Throttle::Slow
    } else {
        Throttle::Free
    }
}

impl Ledger {
    /// Lets deliveries go that waited for a fresh token of this subscription.
    pub(crate) fn release(&mut self, subscription_id: &str, now: Timestamp) {
        for delivery in &mut self.deliveries {
            if delivery.state == DeliveryState::Held && delivery.subscription_ids.iter().any(|id| id == subscription_id)
            {
                delivery.state = DeliveryState::Pending;
                delivery.next_attempt_at = now;
            }
        }
    }

    pub(super) fn delivery(&mut self, id: &str) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| delivery.id == id)
    }

    pub(super) fn of_call<'a>(&'a self, call_id: &'a str) -> impl Iterator<Item = &'a Delivery> {
        self.deliveries.iter().filter(move |delivery| delivery.call_ids.iter().any(|id| id == call_id))
    }

    pub(super) fn throttle(&self, url: &str, now: Timestamp) -> Throttle {
        let host = |url: &str| Url::parse(url).ok().and_then(|url| url.host_str().map(str::to_owned));
        let endpoint = host(url);
        throttle(
            self.deliveries
                .iter()
                .filter(|delivery| host(&delivery.url) == endpoint)
                .flat_map(|delivery| &delivery.attempts)
                .filter(|attempt| now.duration_since(attempt.at) < THROTTLE_WINDOW),
        )
    }

    pub(super) fn report(&self, call_id: &str) -> CallReport {
        let deliveries: Vec<DeliveryReport> = self.of_call(call_id).map(Delivery::report).collect();
        CallReport {
            call_id: call_id.to_owned(),
            attempts: deliveries.iter().flat_map(|delivery| delivery.attempts.clone()).collect(),
            deliveries,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(outcome: Outcome, latency_ms: u64) -> Attempt {
        Attempt { at: Timestamp::UNIX_EPOCH, outcome, status: None, latency_ms }
    }

    #[test]
    fn the_wait_doubles_up_to_its_limit() {
        let waits: Vec<i64> = (1..=10).map(|n| backoff(n).as_secs()).collect();
        assert_eq!(waits, [10, 20, 40, 80, 160, 320, 640, 1280, 1800, 1800]);
        assert_eq!(backoff(usize::MAX), LONGEST_BACKOFF);
    }

    #[test]
    fn slow_and_late_endpoints_are_throttled() {
        let fast = attempt(Outcome::Accepted, 20);
        let slow = attempt(Outcome::TimedOut, 3000);
        let late = attempt(Outcome::TimedOut, 10_000);
        let judged = |attempts: &[&Attempt]| throttle(attempts.iter().copied());
        assert_eq!(judged(&[]), Throttle::Free);
        assert_eq!(judged(&[&fast]), Throttle::Free);
        assert_eq!(judged(&[&slow]), Throttle::Slow);
        let mut ten = vec![&fast; 9];
        ten.push(&slow);
        assert_eq!(judged(&ten), Throttle::Free);
        assert_eq!(judged(&ten[1..]), Throttle::Slow);
        assert_eq!(judged(&[&slow, &late]), Throttle::Drop);
        assert_eq!(judged(&[&attempt(Outcome::Refused, 10)]), Throttle::Free);
    }

    #[test]
    fn waits_read_from_json() {
        let read = |text: &str| serde_json::from_str::<Wait>(text);
        assert_eq!(read("true").unwrap(), Wait::First);
        assert_eq!(read("false").unwrap(), Wait::Nothing);
        assert_eq!(read("\"settled\"").unwrap(), Wait::Settled);
        assert!(read("\"later\"").is_err());
    }

    #[test]
    fn a_call_without_details_has_a_caller_and_a_place() {
        let dial: Dial = serde_json::from_str(r#"{"number":"933"}"#).unwrap();
        assert_eq!(dial.number, "933");
        assert_eq!(dial.policy, "Global");
        assert!(dial.caller.phone_number.is_some());
        assert!(dial.location.is_object());
        let nowhere: Dial = serde_json::from_str(r#"{"location":null}"#).unwrap();
        assert!(nowhere.location.is_null());
        assert!(serde_json::from_str::<Dial>(r#"{"nummer":"933"}"#).is_err());
    }
}

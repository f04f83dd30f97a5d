//! Calls and what becomes of their notifications: first attempt, retries, the delivery token, throttling
//! ("Receive change notifications through webhooks").

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use reqwest::Url;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;
use uuid::Uuid;

use super::clock::graph_time;
use super::notification::{self, Caller, DocumentShape, EmergencyEvent};
use super::outbound::{Answer, OutboundError};
use super::sealing::seal;
use super::signing_keys::SigningKey;
use super::subscriptions::Subscription;
use super::tokens::{TokenVersion, ValidationTokenBuilder};
use super::world::World;

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
    fn matches(&self, subscription: &Subscription) -> bool {
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
struct Call {
    tenant: String,
    event: EmergencyEvent,
}

/// All calls and deliveries.
#[derive(Default)]
pub(crate) struct Ledger {
    calls: BTreeMap<String, Call>,
    deliveries: Vec<Delivery>,
}

struct Delivery {
    id: String,
    call_ids: Vec<String>,
    subscription_ids: Vec<String>,
    /// Lifecycle notifications go out whatever the token, as they ask for a new one.
    needs_token: bool,
    url: String,
    body: Value,
    state: DeliveryState,
    next_attempt_at: Timestamp,
    deadline: Timestamp,
    attempts: Vec<Attempt>,
}

/// What a delivery does next.
enum Step {
    Attempt { url: String, body: Vec<u8>, limit: Duration },
    Wait(Timestamp),
    Done,
}

impl Delivery {
    fn step(&mut self, subscriptions: &[Subscription], now: Timestamp) -> Step {
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

    fn record(&mut self, at: Timestamp, now: Timestamp, limit: Duration, answer: Result<&Answer, OutboundError>) {
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
    fn due(&self) -> Option<Timestamp> {
        match self.state {
            DeliveryState::Pending => Some(self.next_attempt_at.min(self.deadline)),
            DeliveryState::InFlight => Some(Timestamp::MIN),
            DeliveryState::Held => Some(self.deadline),
            _ => None,
        }
    }

    fn is_ready(&self, wait: Wait, now: Timestamp) -> bool {
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

    fn report(&self) -> DeliveryReport {
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
enum Throttle {
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

    fn delivery(&mut self, id: &str) -> Option<&mut Delivery> {
        self.deliveries.iter_mut().find(|delivery| delivery.id == id)
    }

    fn of_call<'a>(&'a self, call_id: &'a str) -> impl Iterator<Item = &'a Delivery> {
        self.deliveries.iter().filter(move |delivery| delivery.call_ids.iter().any(|id| id == call_id))
    }

    fn throttle(&self, url: &str, now: Timestamp) -> Throttle {
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

    fn report(&self, call_id: &str) -> CallReport {
        let deliveries: Vec<DeliveryReport> = self.of_call(call_id).map(Delivery::report).collect();
        CallReport {
            call_id: call_id.to_owned(),
            attempts: deliveries.iter().flat_map(|delivery| delivery.attempts.clone()).collect(),
            deliveries,
        }
    }
}

/// What building a notification takes, copied so that no lock is held meanwhile.
struct Press {
    origin: String,
    shape: DocumentShape,
    version: TokenVersion,
    tokens_null: bool,
    /// The tenants and apps for which there are no tokens.
    requiring_assignment: BTreeSet<(String, String)>,
    throttling: bool,
    key: SigningKey,
    now: Timestamp,
    outside: Timestamp,
}

impl Press {
    fn item(&self, subscription: &Subscription, event: &EmergencyEvent) -> Value {
        let content = seal(
            event.document(self.shape).to_string().as_bytes(),
            &subscription.certificate.der,
            &subscription.certificate.id,
        )
        .expect("the subscription's certificate was checked");
        notification::change_notification(&subscription.origin(), &event.id, &content)
    }

    /// One token for each app and tenant among the subscriptions, but none where assignment is required.
    fn tokens(&self, subscriptions: &[&Subscription]) -> Option<Vec<String>> {
        if self.tokens_null {
            return None;
        }
        let mut pairs: BTreeSet<_> = subscriptions
            .iter()
            .map(|subscription| (subscription.tenant.clone(), subscription.client_id.clone()))
            .collect();
        pairs.retain(|pair| !self.requiring_assignment.contains(pair));
        if pairs.is_empty() {
            return None;
        }
        let token = |(tenant, client_id): &(String, String)| {
            ValidationTokenBuilder::new(self.version, &self.origin, tenant, client_id, self.outside)
                .sign(&self.key.kid, &self.key.pair.private_key)
                .expect("an RSA key signs")
        };
        Some(pairs.iter().map(token).collect())
    }
}

impl World {
    pub(crate) async fn dial(self: &Arc<Self>, dial: Dial) -> Result<CallReport, ControlError> {
        let wait = dial.wait;
        let call_id = self.place(&dial)?;
        self.notify(&call_id);
        self.wait(&call_id, wait).await
    }

    pub(crate) async fn dial_together(
        self: &Arc<Self>,
        dials: Vec<Dial>,
        wait: Wait,
    ) -> Result<Vec<CallReport>, ControlError> {
        let mut call_ids = Vec::new();
        for dial in &dials {
            call_ids.push(self.place(dial)?);
        }
        let mut notified = Vec::new();
        for call_id in &call_ids {
            for (subscription, event) in self.subscribers(call_id) {
                notified.push((subscription, event));
            }
        }
        let same =
            |(one, two): (&(Subscription, _), &(Subscription, _))| one.0.notification_url == two.0.notification_url;
        if !notified.iter().zip(notified.iter().skip(1)).all(same) {
            return Err(ControlError::DifferentEndpoints);
        }
        if !notified.is_empty() {
            self.send(&notified);
        }
        let mut reports = Vec::new();
        for call_id in &call_ids {
            reports.push(self.wait(call_id, wait).await?);
        }
        Ok(reports)
    }

    pub(crate) async fn further_event(
        self: &Arc<Self>,
        call_id: &str,
        event_type: &str,
        wait: Wait,
    ) -> Result<CallReport, ControlError> {
        let now = self.clock.outside();
        self.lock()
            .ledger
            .calls
            .get_mut(call_id)
            .map(|call| {
                event_type.clone_into(&mut call.event.call_event_type);
                call.event.occurred_at = now;
            })
            .ok_or_else(|| ControlError::UnknownCall(call_id.to_owned()))?;
        self.notify(call_id);
        self.wait(call_id, wait).await
    }

    pub(crate) async fn redeliver(self: &Arc<Self>, call_id: &str, wait: Wait) -> Result<CallReport, ControlError> {
        if !self.lock().ledger.calls.contains_key(call_id) {
            return Err(ControlError::UnknownCall(call_id.to_owned()));
        }
        self.notify(call_id);
        self.wait(call_id, wait).await
    }

    pub(crate) async fn wait(&self, call_id: &str, wait: Wait) -> Result<CallReport, ControlError> {
        let mut changes = self.changes();
        loop {
            {
                let state = self.lock();
                if !state.ledger.calls.contains_key(call_id) {
                    return Err(ControlError::UnknownCall(call_id.to_owned()));
                }
                let now = self.clock.now();
                if state.ledger.of_call(call_id).all(|delivery| delivery.is_ready(wait, now)) {
                    return Ok(state.ledger.report(call_id));
                }
            }
            let _ = changes.changed().await;
        }
    }

    pub(crate) async fn lifecycle(
        self: &Arc<Self>,
        selector: &Selector,
        event: &str,
    ) -> Result<Vec<DeliveryReport>, ControlError> {
        let now = self.clock.now();
        let selected: Vec<Subscription> = self
            .lock()
            .subscriptions
            .live(now)
            .iter()
            .filter(|subscription| selector.matches(subscription))
            .cloned()
            .collect();
        if selected.is_empty() {
            return Err(ControlError::NoSubscription);
        }
        let ids: Vec<String> = selected.iter().map(|subscription| self.send_lifecycle(subscription, event)).collect();
        let mut changes = self.changes();
        loop {
            {
                let state = self.lock();
                let sent: Vec<&Delivery> =
                    state.ledger.deliveries.iter().filter(|delivery| ids.contains(&delivery.id)).collect();
                if sent.iter().all(|delivery| delivery.is_ready(Wait::First, now)) {
                    return Ok(sent.into_iter().map(Delivery::report).collect());
                }
            }
            let _ = changes.changed().await;
        }
    }

    pub(crate) async fn advance(&self, by: SignedDuration) -> Timestamp {
        let target = self.clock.now() + by.max(SignedDuration::ZERO);
        loop {
            self.quiet().await;
            let Some(due) = self.next_due().filter(|due| *due <= target) else {
                break;
            };
            self.clock.advance_to(due);
        }
        self.clock.advance_to(target);
        self.quiet().await;
        self.clock.now()
    }

    pub(crate) fn subscriptions(&self) -> Vec<Value> {
        let now = self.clock.now();
        self.lock().subscriptions.live(now).iter().map(Subscription::with_secrets).collect()
    }

    pub(crate) fn remove_subscriptions(&self, selector: &Selector) -> Vec<String> {
        let gone = self.lock().subscriptions.remove(|subscription| selector.matches(subscription));
        self.touch();
        gone
    }

    pub(crate) fn deliveries(&self) -> Vec<DeliveryReport> {
        self.lock().ledger.deliveries.iter().map(Delivery::report).collect()
    }

    /// Notes a call, without telling anybody yet.
    fn place(&self, dial: &Dial) -> Result<String, ControlError> {
        let tenant = match &dial.tenant {
            None => self.tenants.first(),
            Some(id) => self.tenant(id),
        };
        let tenant = tenant
            .map(|tenant| tenant.id.clone())
            .ok_or_else(|| ControlError::UnknownTenant(dial.tenant.clone().unwrap_or_default()))?;
        let event = EmergencyEvent {
            id: Uuid::new_v4().to_string(),
            call_event_type: "callStarted".to_owned(),
            policy: dial.policy.clone(),
            occurred_at: self.clock.outside(),
            number: dial.number.clone(),
            caller: dial.caller.clone(),
            tenant: tenant.clone(),
            location: dial.location.clone(),
        };
        let call_id = event.id.clone();
        self.lock().ledger.calls.insert(call_id.clone(), Call { tenant, event });
        Ok(call_id)
    }

    /// The subscriptions that the call's last event concerns.
    fn subscribers(&self, call_id: &str) -> Vec<(Subscription, EmergencyEvent)> {
        let now = self.clock.now();
        let mut state = self.lock();
        let Some(call) = state.ledger.calls.get(call_id) else {
            return Vec::new();
        };
        let (tenant, event) = (call.tenant.clone(), call.event.clone());
        state
            .subscriptions
            .live(now)
            .iter()
            .filter(|subscription| subscription.tenant == tenant && subscription.policy == event.policy)
            .map(|subscription| (subscription.clone(), event.clone()))
            .collect()
    }

    /// Sends the call's last event to each subscription in a request of its own.
    fn notify(self: &Arc<Self>, call_id: &str) {
        for subscriber in self.subscribers(call_id) {
            self.send(&[subscriber]);
        }
    }

    /// Sends events in one request to the URL of the first one's subscription.
    fn send(self: &Arc<Self>, notified: &[(Subscription, EmergencyEvent)]) {
        let press = self.press();
        let items: Vec<Value> = notified.iter().map(|(subscription, event)| press.item(subscription, event)).collect();
        let subscriptions: Vec<&Subscription> = notified.iter().map(|(subscription, _)| subscription).collect();
        let body = notification::collection(&items, press.tokens(&subscriptions).as_deref());
        let url = subscriptions[0].notification_url.clone();
        let throttle = if press.throttling { self.lock().ledger.throttle(&url, press.now) } else { Throttle::Free };
        let mut subscription_ids: Vec<String> =
            subscriptions.iter().map(|subscription| subscription.id.clone()).collect();
        subscription_ids.sort_unstable();
        subscription_ids.dedup();
        self.start(Delivery {
            id: Uuid::new_v4().to_string(),
            call_ids: notified.iter().map(|(_, event)| event.id.clone()).collect(),
            subscription_ids,
            needs_token: true,
            url,
            body,
            state: if throttle == Throttle::Drop { DeliveryState::Dropped } else { DeliveryState::Pending },
            next_attempt_at: if throttle == Throttle::Slow { press.now + THROTTLE_WINDOW } else { press.now },
            deadline: press.now + DELIVERY_LIFE,
            attempts: Vec::new(),
        });
    }

    fn send_lifecycle(self: &Arc<Self>, subscription: &Subscription, event: &str) -> String {
        let now = self.clock.now();
        let id = Uuid::new_v4().to_string();
        let item = notification::lifecycle_notification(&subscription.origin(), event);
        self.start(Delivery {
            id: id.clone(),
            call_ids: Vec::new(),
            subscription_ids: vec![subscription.id.clone()],
            needs_token: false,
            url: subscription.lifecycle_notification_url.clone(),
            body: notification::lifecycle_collection(&[item]),
            state: DeliveryState::Pending,
            next_attempt_at: now,
            deadline: now + DELIVERY_LIFE,
            attempts: Vec::new(),
        });
        id
    }

    fn press(&self) -> Press {
        let state = self.lock();
        Press {
            origin: self.origin.clone(),
            shape: state.settings.document_shape,
            version: state.settings.token_version,
            tokens_null: state.settings.validation_tokens_null,
            requiring_assignment: state.applications.requiring_assignment(),
            throttling: state.settings.throttling,
            key: state.signing_keys.current(),
            now: self.clock.now(),
            outside: self.clock.outside(),
        }
    }

    fn start(self: &Arc<Self>, delivery: Delivery) {
        let id = delivery.id.clone();
        self.lock().ledger.deliveries.push(delivery);
        self.touch();
        self.spawn(run(Arc::clone(self), id));
    }

    /// Waits until nothing is under way or due.
    async fn quiet(&self) {
        let mut changes = self.changes();
        while self.next_due().is_some_and(|due| due <= self.clock.now()) {
            let _ = changes.changed().await;
        }
    }

    /// When something happens next without a change from outside.
    fn next_due(&self) -> Option<Timestamp> {
        let now = self.clock.now();
        let mut state = self.lock();
        let notice =
            if state.settings.reauthorization_notices { state.subscriptions.next_unnoticed(now) } else { None };
        let notice = notice.map(|end| end - NOTICE_TIME);
        state.ledger.deliveries.iter().filter_map(Delivery::due).chain(notice).min()
    }
}

/// Sees a delivery through to its end.
async fn run(world: Arc<World>, id: String) {
    let mut changes = world.changes();
    loop {
        changes.mark_unchanged();
        let now = world.clock.now();
        let step = {
            let mut state = world.lock();
            let live = state.subscriptions.live(now).to_vec();
            let Some(delivery) = state.ledger.delivery(&id) else {
                return;
            };
            let before = delivery.state;
            let step = delivery.step(&live, now);
            let moved = before != delivery.state;
            drop(state);
            if moved {
                world.touch();
            }
            step
        };
        match step {
            Step::Done => return,
            Step::Wait(until) => {
                tokio::select! {
                    () = world.clock.wait_until(until) => {}
                    _ = changes.changed() => {}
                }
            }
            Step::Attempt { url, body, limit } => {
                let answer = world.outbound.post(&url, "application/json; charset=utf-8", body, limit).await;
                if let Some(delivery) = world.lock().ledger.delivery(&id) {
                    let answer = answer.as_ref().map_err(|error| *error);
                    delivery.record(now, world.clock.now(), limit, answer);
                }
                world.touch();
            }
        }
    }
}

/// Sends `reauthorizationRequired` where it is switched on and due, for as long as the simulator runs.
pub(crate) async fn send_notices(world: Arc<World>) {
    let mut changes = world.changes();
    loop {
        changes.mark_unchanged();
        let now = world.clock.now();
        let (due, next) = {
            let mut state = world.lock();
            if state.settings.reauthorization_notices {
                let due = state.subscriptions.take_unnoticed(now, now + NOTICE_TIME);
                let next = state.subscriptions.next_unnoticed(now);
                (due, next.map(|end| end - NOTICE_TIME))
            } else {
                (Vec::new(), None)
            }
        };
        for subscription in due {
            world.send_lifecycle(&subscription, "reauthorizationRequired");
        }
        let wake = next.unwrap_or(Timestamp::MAX);
        tokio::select! {
            () = world.clock.wait_until(wake) => {}
            _ = changes.changed() => {}
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

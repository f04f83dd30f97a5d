//! Calls and what becomes of their notifications: first attempt, retries, the delivery token, throttling
//! ("Receive change notifications through webhooks").

use std::collections::BTreeSet;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;
use uuid::Uuid;

use super::ledger::{
    Call, CallReport, ControlError, DELIVERY_LIFE, Delivery, DeliveryReport, DeliveryState, Dial, NOTICE_TIME,
    Selector, Step, THROTTLE_WINDOW, Throttle, Wait,
};
use super::notification::{self, DocumentShape, EmergencyEvent};
use super::sealing::seal;
use super::signing_keys::SigningKey;
use super::subscriptions::Subscription;
use super::tokens::{TokenVersion, ValidationTokenBuilder};
use super::world::World;

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

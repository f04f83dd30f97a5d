//! The receiver with everything around it faked, and notifications to give it.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use end_to_end::simulator::{
    keys::{self, shared},
    notification::{self, Caller, DocumentShape, EmergencyEvent, ItemOrigin},
    sealing::{self, EncryptedContent},
    signing_keys::SigningKey,
    tokens::{self, TokenVersion, ValidationTokenBuilder},
};
use end_to_end::state_table::MemoryTable;
use graph_notifications::{Keyring, SigningKeys, TenantId, probe};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{environment::Environment, event::BusEvent, publication::Publication};
use receiver::{
    Config, Receiver,
    http::Response,
    mark::{Content, Mark},
    ports::{CallFailed, CallRecord, FetchSigningKeys, FetchedKeys, Publish, PutEvents, ReadKeyring, StateTable},
};
use serde_json::{Value, json};
use tokio::time::Instant;
use zeroize::Zeroizing;

pub const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub const OTHER_TENANT: &str = "aaaaaaaa-2222-3333-4444-555555555555";
pub const CLIENT: &str = "cccccccc-2222-3333-4444-555555555555";
pub const CLIENT_STATE: &str = "a client state";
/// The topic in another Region, where a world has one.
pub const SECOND_TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:Alerts";
const LOGIN: &str = "https://login.microsoftonline.com";
const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);

/// Indexes of the RSA keys that all tests share.
const ENCRYPTION: usize = 0;
const SIGNING: usize = 1;
const NEW_SIGNING: usize = 2;
const FORGER: usize = 3;

/// A notification's item, or anything in its place.
pub enum Call {
    Event(Box<Event>),
    Sealed(Vec<u8>),
    Raw(Value),
}

pub struct Event {
    call: EmergencyEvent,
    tenant: String,
    certificate_id: String,
    changes: Value,
}

impl Call {
    pub fn new(id: &str) -> Self {
        let call = EmergencyEvent {
            id: id.to_owned(),
            call_event_type: "callStarted".to_owned(),
            policy: "Global".to_owned(),
            occurred_at: NOW - SignedDuration::from_secs(2),
            number: "911".to_owned(),
            caller: Caller::default(),
            tenant: TENANT.to_owned(),
            location: notification::default_location(),
        };
        let (tenant, certificate_id) = (TENANT.to_owned(), "key-1".to_owned());
        Self::Event(Box::new(Event { call, tenant, certificate_id, changes: json!({}) }))
    }

    pub fn raw(item: Value) -> Self {
        Self::Raw(item)
    }

    pub fn sealed(document: &[u8]) -> Self {
        Self::Sealed(document.to_owned())
    }

    fn with(mut self, set: impl FnOnce(&mut Event)) -> Self {
        let Self::Event(event) = &mut self else { panic!("an event") };
        set(event);
        self
    }

    pub fn number(self, number: &str) -> Self {
        self.with(|event| event.call.number = String::from(number))
    }

    pub fn event(self, kind: &str) -> Self {
        self.with(|event| event.call.call_event_type = String::from(kind))
    }

    /// The end of the call, so many seconds after its start.
    pub fn ended_after(self, seconds: i64) -> Self {
        self.with(|event| {
            event.call.call_event_type = String::from("callEnded");
            event.call.occurred_at += SignedDuration::from_secs(seconds);
        })
    }

    pub fn policy(self, policy: &str) -> Self {
        self.with(|event| event.call.policy = String::from(policy))
    }

    pub fn tenant(self, id: &str) -> Self {
        self.with(|event| event.tenant = String::from(id))
    }

    /// Names another certificate, and gives it a thumbprint that no keyring has unless the id is known.
    pub fn certificate_id(self, id: &str) -> Self {
        self.with(|event| event.certificate_id = String::from(id))
    }

    /// Where the caller is; `None` if that is not known.
    pub fn location(self, location: Value) -> Self {
        self.with(|event| event.call.location = location)
    }

    /// Somebody else calls.
    pub fn caller(self, name: &str) -> Self {
        self.with(|event| event.call.caller.display_name = Some(String::from(name)))
    }

    /// Sets members of the item; null removes one.
    pub fn change(self, change: Value) -> Self {
        self.with(|event| event.changes = change)
    }

    pub fn build(&self) -> Value {
        match self {
            Self::Raw(item) => item.clone(),
            Self::Sealed(document) => item(TENANT, "Global", "sealed", &seal(document, "key-1")),
            Self::Event(event) => {
                let Event { call, tenant, certificate_id, changes } = &**event;
                let document = call.document(DocumentShape::Wrapped).to_string();
                let mut content = seal(document.as_bytes(), certificate_id);
                if certificate_id == "lost" {
                    content.encryption_certificate_thumbprint = "0".repeat(40);
                }
                let mut item = item(tenant, &call.policy, &call.id, &content);
                for (name, change) in changes.as_object().unwrap() {
                    item[name] = change.clone();
                }
                item
            }
        }
    }
}

fn seal(document: &[u8], certificate_id: &str) -> EncryptedContent {
    sealing::seal(document, &shared(2048, ENCRYPTION).certificate_der(), certificate_id).unwrap()
}

fn item(tenant: &str, policy: &str, id: &str, content: &EncryptedContent) -> Value {
    let origin = ItemOrigin {
        subscription_id: "a-subscription".to_owned(),
        subscription_expires_at: NOW + SignedDuration::from_hours(23),
        tenant: tenant.to_owned(),
        policy: policy.to_owned(),
        client_state: Some(CLIENT_STATE.to_owned()),
    };
    notification::change_notification(&origin, id, content)
}

fn signing_key(index: usize) -> SigningKey {
    SigningKey::new(shared(2048, index))
}

pub fn token(tenant: &str, changes: Value) -> String {
    let key = signing_key(SIGNING);
    signed(tenant, &key.kid, &key.pair, changes)
}

pub fn token_of_new_key(tenant: &str) -> String {
    let key = signing_key(NEW_SIGNING);
    signed(tenant, &key.kid, &key.pair, json!({}))
}

/// A token under the right `kid` by somebody who does not have that key.
pub fn forged_token(tenant: &str) -> String {
    forged_token_with(tenant, &signing_key(SIGNING).kid, json!({}))
}

pub fn forged_token_with(tenant: &str, kid: &str, changes: Value) -> String {
    signed(tenant, kid, &shared(2048, FORGER), changes)
}

fn signed(tenant: &str, kid: &str, pair: &keys::KeyPair, changes: Value) -> String {
    let mut claims = ValidationTokenBuilder::new(TokenVersion::V2, LOGIN, tenant, CLIENT, NOW).claims();
    for (name, change) in changes.as_object().unwrap() {
        claims[name] = change.clone();
    }
    tokens::sign(&tokens::header(TokenVersion::V2, kid), &claims, &pair.private_key).unwrap()
}

fn published_keys(indexes: &[usize], tenant: &str) -> Value {
    let issuer = format!("{LOGIN}/{tenant}/v2.0");
    json!({"keys": indexes.iter().map(|index| signing_key(*index).jwk(Some(&issuer))).collect::<Vec<_>>()})
}

/// The text of a keyring with one key and one client state.
pub fn keyring(certificate_id: &str, client_state: &str) -> String {
    let pair = shared(2048, ENCRYPTION);
    let signing_keys =
        SigningKeys::from_jwks(published_keys(&[SIGNING], "{tenantid}").to_string().as_bytes(), NOW).unwrap();
    json!({
        "version": 1,
        "keys": [{"certificateId": certificate_id, "certificate": pair.certificate_base64(), "createdAt": NOW,
            "privateKey": BASE64_STANDARD.encode(pair.private_key.private_key_to_pkcs8().unwrap())}],
        "clientStates": [{"id": "s1", "value": client_state, "createdAt": NOW}],
        "signingKeys": signing_keys,
    })
    .to_string()
}

/// A probe of somebody who has this keyring.
pub fn probe_with(keyring: &Keyring, now: Timestamp) -> Value {
    let body = probe::seal(keyring.current_key().unwrap(), now, &ring::rand::SystemRandom::new()).unwrap();
    serde_json::from_str(&body).unwrap()
}

/// A keyring whose key has the same name and is another one.
pub fn foreign_keyring() -> Keyring {
    let pair = shared(2048, FORGER);
    let text = json!({"version": 1, "keys": [{"certificateId": "key-1", "certificate": pair.certificate_base64(),
        "createdAt": NOW, "privateKey": BASE64_STANDARD.encode(pair.private_key.private_key_to_pkcs8().unwrap())}]});
    Keyring::from_json(&text.to_string()).unwrap()
}

/// What goes wrong with a call to the outside.
#[derive(Clone, Copy)]
pub enum Fault {
    Fails,
    Hangs,
    /// The entry of this call fails at the first attempt.
    FailsOnceFor(&'static str),
    /// The entry of this call fails at every attempt.
    FailsFor(&'static str),
}

/// A message that reached a topic.
#[derive(Clone)]
pub struct Published {
    pub topic: String,
    pub message: String,
}

impl Published {
    /// What subscribers of this protocol get.
    pub fn body(&self, protocol: &str) -> String {
        let bodies: Value = serde_json::from_str(&self.message).unwrap();
        bodies[protocol].as_str().unwrap().to_owned()
    }

    /// The alert document, as subscribers without a body of their own get it.
    pub fn document(&self) -> Value {
        serde_json::from_str(&self.body("default")).unwrap()
    }
}

#[derive(Default)]
struct State {
    keyring: RefCell<String>,
    entra_keys: RefCell<Vec<usize>>,
    /// Entra's keys name the tenant that they were asked for.
    keys_of_their_own: Cell<bool>,
    /// One of Entra's two documents is missing.
    document_missing: Cell<bool>,
    faults: RefCell<HashMap<&'static str, Fault>>,
    order: RefCell<Vec<String>>,
    published: RefCell<Vec<Published>>,
    batches: RefCell<Vec<usize>>,
    /// The topics, for each attempt to publish.
    offered: RefCell<Vec<(String, Instant)>>,
    table: MemoryTable,
    events: RefCell<Vec<BusEvent>>,
}

impl State {
    async fn called(&self, call: &'static str) -> Result<(), CallFailed> {
        self.order.borrow_mut().push(call.to_owned());
        self.meet(call).await
    }

    /// Meets the fault of a call, or of a topic.
    async fn meet(&self, what: &str) -> Result<(), CallFailed> {
        let fault = self.faults.borrow().get(what).copied();
        match fault {
            Some(Fault::Fails) => Err(CallFailed(format!("{what} fails"))),
            Some(Fault::Hangs) => std::future::pending().await,
            Some(Fault::FailsFor(_) | Fault::FailsOnceFor(_)) | None => Ok(()),
        }
    }
}

struct Outside(Rc<State>);

impl ReadKeyring for Outside {
    async fn read_keyring(&self) -> Result<Zeroizing<String>, CallFailed> {
        self.0.called("read_keyring").await?;
        Ok(Zeroizing::new(self.0.keyring.borrow().clone()))
    }
}

impl FetchSigningKeys for Outside {
    async fn fetch_signing_keys(&self, tenant: TenantId, now: Timestamp) -> Result<FetchedKeys, CallFailed> {
        self.0.called("fetch_signing_keys").await?;
        let tenant = if self.0.keys_of_their_own.get() { tenant.to_string() } else { "{tenantid}".to_owned() };
        let document = published_keys(&self.0.entra_keys.borrow(), &tenant);
        let keys = SigningKeys::from_jwks(document.to_string().as_bytes(), now).unwrap();
        Ok(FetchedKeys { keys, complete: !self.0.document_missing.get() })
    }
}

impl StateTable for Outside {
    async fn find_mark(&self, hash: &str) -> Result<Option<Mark>, CallFailed> {
        self.0.called("find_mark").await?;
        Ok(self.0.table.find_mark(hash))
    }

    async fn mark(&self, hash: &str, verified: bool, content: &Content, _: Timestamp) -> Result<(), CallFailed> {
        self.0.called("mark").await?;
        self.0.table.mark(hash, verified, content);
        Ok(())
    }

    async fn find_call(&self, call: &str) -> Result<CallRecord, CallFailed> {
        self.0.called("find_call").await?;
        Ok(self.0.table.find_call(call))
    }

    async fn remember_call(&self, call: &str, record: CallRecord, _: Timestamp) -> Result<(), CallFailed> {
        self.0.called("remember_call").await?;
        self.0.table.remember_call(call, record);
        Ok(())
    }

    async fn note_latest(&self, at: Timestamp, _: Timestamp) -> Result<(), CallFailed> {
        self.0.called("note_latest").await?;
        self.0.table.note_latest(at);
        Ok(())
    }

    async fn count_unverified(&self, more: usize, now: Timestamp) -> Result<usize, CallFailed> {
        self.0.called("count_unverified").await?;
        Ok(self.0.table.count_unverified(more, now))
    }

    async fn claim_combined(&self, now: Timestamp) -> Result<bool, CallFailed> {
        self.0.called("claim_combined").await?;
        Ok(self.0.table.claim_combined(now))
    }
}

impl Publish for Outside {
    async fn publish(&self, topic: &str, messages: &[&Publication]) -> Vec<Result<(), CallFailed>> {
        if let Err(error) = self.0.called("publish").await {
            return vec![Err(error); messages.len()];
        }
        self.0.offered.borrow_mut().push((topic.to_owned(), Instant::now()));
        if let Err(error) = self.0.meet(topic).await {
            return vec![Err(error); messages.len()];
        }
        self.0.batches.borrow_mut().push(messages.len());
        let once = self.0.faults.borrow_mut().remove("publish");
        let fault = once.or(self.0.faults.borrow().get(topic).copied());
        let results = messages.iter().map(|message| match fault {
            Some(Fault::FailsOnceFor(call) | Fault::FailsFor(call)) if message.message.contains(call) => {
                Err(CallFailed("refused".to_owned()))
            }
            _ => {
                let published = Published { topic: topic.to_owned(), message: message.message.clone() };
                self.0.published.borrow_mut().push(published);
                Ok(())
            }
        });
        results.collect()
    }
}

impl PutEvents for Outside {
    async fn put_events(&self, events: &[&BusEvent]) -> Vec<Result<(), CallFailed>> {
        if let Err(error) = self.0.called("put_events").await {
            return vec![Err(error); events.len()];
        }
        self.0.events.borrow_mut().extend(events.iter().map(|event| (*event).clone()));
        vec![Ok(()); events.len()]
    }
}

thread_local! {
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// A receiver and its outside.
pub struct World {
    receiver: Receiver<Outside>,
    state: Rc<State>,
    now: Cell<Timestamp>,
}

impl World {
    pub fn new() -> Self {
        Self::with(&[])
    }

    /// A world in which unverified calls are rejected.
    pub fn strict() -> Self {
        Self::with(&[("UNVERIFIED_CALLS", "Reject")])
    }

    /// A world in which calls have a second way out.
    pub fn with_second_topic() -> Self {
        Self::with(&[("SECOND_ALERT_TOPIC_ARN", SECOND_TOPIC)])
    }

    fn with(variables: &[(&str, &str)]) -> Self {
        LINES.with(|lines| lines.borrow_mut().clear());
        let state = Rc::new(State::default());
        state.keyring.replace(keyring("key-1", CLIENT_STATE));
        state.entra_keys.replace(vec![SIGNING]);
        let receiver = start(&state, variables);
        Self { receiver, state, now: Cell::new(NOW) }
    }

    /// Delivers the items with a token of the home tenant. Gives the status.
    pub async fn deliver(&self, calls: &[Call]) -> u16 {
        self.deliver_with(calls, Some(vec![token(TENANT, json!({}))])).await
    }

    pub async fn deliver_with(&self, calls: &[Call], tokens: Option<Vec<String>>) -> u16 {
        let items: Vec<Value> = calls.iter().map(Call::build).collect();
        self.post(&notification::collection(&items, tokens.as_deref()).to_string()).await
    }

    pub async fn post(&self, body: &str) -> u16 {
        self.request(json!({"rawQueryString": "", "body": body})).await.status_code
    }

    /// Posts a body as API Gateway hands it over, in base64 or as text.
    pub async fn post_encoded(&self, body: &[u8], encoded: bool) -> u16 {
        let text = if encoded { BASE64_STANDARD.encode(body) } else { String::from_utf8(body.to_vec()).unwrap() };
        self.request(json!({"rawQueryString": "", "body": text, "isBase64Encoded": encoded})).await.status_code
    }

    /// As `post`, with the whole answer.
    pub async fn answer(&self, body: &str) -> Response {
        self.request(json!({"rawQueryString": "", "body": body})).await
    }

    pub async fn warm_up(&self) {
        self.receiver.warm_up(self.now.get()).await;
    }

    pub async fn handshake(&self, query: &str) -> Response {
        self.request(json!({"rawQueryString": query})).await
    }

    async fn request(&self, mut event: Value) -> Response {
        event["requestContext"] = json!({"http": {"method": "POST"}});
        self.receiver.handle(serde_json::from_value(event).unwrap(), self.now.get()).await
    }

    pub fn fault(&self, call: &'static str, fault: Fault) {
        self.state.faults.borrow_mut().insert(call, fault);
    }

    pub fn mend(&self, call: &str) {
        self.state.faults.borrow_mut().remove(call);
    }

    pub fn later(&self, seconds: i64) {
        self.now.set(self.now.get() + SignedDuration::from_secs(seconds));
    }

    /// A moment later: too soon to read the keyring again without a pause.
    pub fn a_moment_later(&self) {
        let moment = SignedDuration::from_millis(20);
        self.now.set(self.now.get() + moment);
    }

    pub fn now(&self) -> Timestamp {
        self.now.get()
    }

    /// A probe as the renewer makes it at this moment.
    pub fn probe(&self) -> Value {
        let keyring = Keyring::from_json(&self.state.keyring.borrow()).unwrap();
        probe_with(&keyring, self.now())
    }

    /// When the latest notification was noted.
    pub fn latest(&self) -> Option<Timestamp> {
        *self.state.table.latest.borrow()
    }

    pub fn set_keyring(&self, text: String) {
        self.state.keyring.replace(text);
    }

    pub fn withdraw_new_signing_key(&self) {
        self.state.entra_keys.replace(vec![SIGNING]);
    }

    pub fn publish_new_signing_key(&self) {
        self.state.entra_keys.borrow_mut().push(NEW_SIGNING);
    }

    /// From now on Entra gives each tenant keys of its own, as far as their issuer says.
    pub fn give_tenants_keys_of_their_own(&self) {
        self.state.keys_of_their_own.set(true);
    }

    /// From now on one of Entra's documents cannot be had.
    pub fn lose_a_document_of_keys(&self) {
        self.state.document_missing.set(true);
    }

    pub fn published(&self) -> Vec<Published> {
        self.state.published.borrow().clone()
    }

    pub fn batches(&self) -> Vec<usize> {
        self.state.batches.borrow().clone()
    }

    /// The topics to which was published or tried to, in the order of the attempts.
    pub fn offered(&self) -> Vec<String> {
        self.offered_at().into_iter().map(|(topic, _)| topic).collect()
    }

    pub fn offered_at(&self) -> Vec<(String, Instant)> {
        self.state.offered.borrow().clone()
    }

    pub fn marks(&self) -> Vec<String> {
        self.state.table.marks.borrow().keys().cloned().collect()
    }

    /// The calls whose start or end is remembered, as the table knows them.
    pub fn remembered_calls(&self) -> Vec<String> {
        self.state.table.calls.borrow().keys().cloned().collect()
    }

    pub fn events(&self, detail_type: &str) -> Vec<Value> {
        let events = self.state.events.borrow();
        let events = events.iter().filter(|event| event.detail_type == detail_type);
        events.map(|event| serde_json::from_str(&event.detail).unwrap()).collect()
    }

    /// The calls to the outside, in their order.
    pub fn order(&self) -> Vec<String> {
        self.state.order.borrow().clone()
    }

    pub fn calls(&self, call: &str) -> usize {
        self.order().iter().filter(|entry| *entry == call).count()
    }

    pub fn lines(&self) -> Vec<String> {
        assert!(!self.order().is_empty(), "something happened");
        LINES.with(|lines| lines.borrow().clone())
    }

    /// The last line that has this metric.
    pub fn metric(&self, name: &str) -> Option<Value> {
        let lines = self.lines();
        let metrics = lines.iter().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
        metrics.into_iter().find(|line| line.get(name).is_some())
    }
}

fn start(state: &Rc<State>, more: &[(&str, &str)]) -> Receiver<Outside> {
    let policies = format!("Global,{OTHER_TENANT}/Site");
    let variables = HashMap::from([
        ("TENANT_ID", TENANT),
        ("CLIENT_ID", CLIENT),
        ("POLICY_NAMES", &policies),
        ("LOGIN_ENDPOINT", LOGIN),
        ("TEST_NUMBERS", "933"),
        ("TIME_ZONE", "UTC"),
        ("LANGUAGE", "en"),
        ("MAP_LINK", "OpenStreetMap"),
        ("KEYRING_SECRET_ID", "the-keyring"),
        ("STATE_TABLE_NAME", "state"),
        ("ALERT_TOPIC_ARN", "alert-topic"),
        ("TEST_TOPIC_ARN", "test-topic"),
        ("EVENT_BUS_NAME", "bus"),
        ("AWS_LAMBDA_FUNCTION_NAME", "receiver"),
    ]);
    let variables: HashMap<_, _> =
        variables.into_iter().chain(more.iter().copied()).chain([("AWS_REGION", "us-east-1")]).collect();
    let lookup = |variable: &str| variables.get(variable).map(|value| (*value).to_owned());
    let config = Config::read(&Environment(&lookup)).unwrap();
    Receiver::new(config, Outside(Rc::clone(state)), |line| {
        LINES.with(|lines| lines.borrow_mut().push(line.to_owned()));
    })
}

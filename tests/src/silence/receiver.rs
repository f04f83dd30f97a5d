//! The receiver's ports over the world in memory, the gateway in front of it, and calls as Graph reports them.

use std::{cell::RefCell, collections::HashMap, ops::Deref, rc::Rc};

use ::receiver::{
    Config, Receiver,
    mark::{Content, Mark},
    ports::{CallFailed, CallRecord, FetchSigningKeys, FetchedKeys, Publish, PutEvents, ReadKeyring, StateTable},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use graph_notifications::{Policies, SigningKeys, TenantId};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{environment::Environment, event::BusEvent, publication::Publication};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::world::{CLIENT, KEYRING, LOGIN, POLICIES, SECOND_TOPIC, State, TENANT, World};
use crate::simulator::{
    keys::shared,
    notification::{self, Caller, DocumentShape, EmergencyEvent, ItemOrigin},
    sealing,
    signing_keys::SigningKey,
    tokens::{self, TokenVersion, ValidationTokenBuilder},
};

const SIGNING: usize = 11;
const NEW_SIGNING: usize = 12;

/// What the gateway's clients wait at most, in milliseconds, and what an answer usually takes.
const SLOW: f64 = 2800.0;
const USUAL: f64 = 40.0;

const API: (&str, &str) = ("ApiId", "HttpApi");
const FUNCTION: (&str, &str) = ("FunctionName", "ReceiverFunction");

thread_local! {
    /// What the receiver prints; it knows no world.
    static PRINTED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// The world, and the receiver that serves in it at the moment.
pub(super) struct System {
    world: Rc<World>,
    receiver: RefCell<Rc<Receiver<Outside>>>,
}

impl System {
    /// One in which all is well.
    pub(super) fn new(configure: impl FnOnce(&mut ::renewer::config::Config)) -> Self {
        let world = Rc::new(World::new(configure));
        Self { receiver: RefCell::new(Rc::new(start(Rc::clone(&world)))), world }
    }

    fn receiver(&self) -> Rc<Receiver<Outside>> {
        Rc::clone(&self.receiver.borrow())
    }

    /// Lambda starts the receiver anew: what it held in memory is gone.
    pub(super) fn restart_receiver(&self) {
        self.receiver.replace(Rc::new(start(Rc::clone(&self.world))));
    }
}

impl Deref for System {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

/// Entra's keys as it gives them out.
pub(super) fn published_keys(now: Timestamp) -> SigningKeys {
    let issuer = format!("{LOGIN}/{{tenantid}}/v2.0");
    let document = json!({"keys": [SigningKey::new(shared(2048, SIGNING)).jwk(Some(&issuer))]});
    SigningKeys::from_jwks(document.to_string().as_bytes(), now).expect("the simulator makes good keys")
}

/// Posts a body to the notification address. Gives the status, unless the address cannot be reached.
pub(super) async fn post(system: &System, body: &str) -> Option<u16> {
    let (unreachable, gateway_fails, broken, throttled, slow) = {
        let state = system.state.borrow();
        let State { address_unreachable, gateway_fails, receiver_broken, receiver_throttled, receiver_slow, .. } =
            &*state;
        (*address_unreachable, *gateway_fails, *receiver_broken, *receiver_throttled, *receiver_slow)
    };
    if unreachable || system.state.borrow_mut().probes_lost.pop() == Some(true) {
        return None;
    }
    let status = if gateway_fails {
        500
    } else if throttled {
        system.aws("AWS/Lambda", "Throttles", FUNCTION, 1.0);
        503
    } else if broken {
        system.aws("AWS/Lambda", "Errors", FUNCTION, 1.0);
        500
    } else {
        let request = json!({"rawQueryString": "", "body": body, "requestContext": {"http": {"method": "POST"}}});
        let request = serde_json::from_value(request).expect("it is a request");
        let response = system.receiver().handle(request, system.now.get()).await;
        let printed = PRINTED.with(RefCell::take);
        system.state.borrow_mut().lines.extend(printed);
        system.aws("AWS/Lambda", "Errors", FUNCTION, 0.0);
        response.status_code
    };
    let counts = |from: u16| f64::from(u8::from(status / 100 == from));
    system.aws("AWS/ApiGateway", "Count", API, 1.0);
    system.aws("AWS/ApiGateway", "4xx", API, counts(4));
    system.aws("AWS/ApiGateway", "5xx", API, counts(5));
    system.aws("AWS/ApiGateway", "Latency", API, if slow { SLOW } else { USUAL });
    Some(status)
}

/// A call as Graph reports it, right unless something else is said.
pub(super) struct Call {
    pub(super) id: &'static str,
    pub(super) age: SignedDuration,
    pub(super) certificate_id: Option<&'static str>,
    pub(super) client_state: Option<&'static str>,
    pub(super) token: bool,
    pub(super) new_signing_key: bool,
    /// How many items like it are in the request.
    pub(super) times: usize,
}

impl Default for Call {
    fn default() -> Self {
        let age = SignedDuration::from_secs(2);
        Self {
            id: "call",
            age,
            certificate_id: None,
            client_state: None,
            token: true,
            new_signing_key: false,
            times: 1,
        }
    }
}

impl Call {
    /// Reports it.
    pub(super) async fn report(self, system: &System) -> Option<u16> {
        let body = self.body(system);
        post(system, &body).await
    }

    fn body(&self, system: &System) -> String {
        let (now, keyring) = (system.now.get(), system.keyring());
        let key = keyring.current_key().expect("there is a key");
        let certificate = key.pair.certificate_base64().expect("it has a certificate");
        let certificate = BASE64_STANDARD.decode(certificate).expect("it is base64");
        let event = EmergencyEvent {
            id: self.id.to_owned(),
            call_event_type: "callStarted".to_owned(),
            policy: POLICIES[0].to_owned(),
            occurred_at: now - self.age,
            number: "911".to_owned(),
            caller: Caller::default(),
            tenant: TENANT.to_owned(),
            location: notification::default_location(),
        };
        let document = event.document(DocumentShape::Wrapped).to_string();
        let id = self.certificate_id.unwrap_or(&key.certificate_id);
        let mut content = sealing::seal(document.as_bytes(), &certificate, id).expect("it can be sealed");
        if self.certificate_id.is_some() {
            content.encryption_certificate_thumbprint = "0".repeat(40);
        }
        let origin = ItemOrigin {
            subscription_id: "subscription".to_owned(),
            subscription_expires_at: now + SignedDuration::from_hours(23),
            tenant: TENANT.to_owned(),
            policy: POLICIES[0].to_owned(),
            client_state: Some(self.client_state.map_or_else(
                || {
                    let policies = Policies::parse(POLICIES[0], TENANT.parse().expect("a GUID")).expect("a policy");
                    let policy = policies.iter().next().expect("there is one");
                    let key = keyring.current_client_state_key().expect("there is one");
                    key.client_state(policy).expose().to_owned()
                },
                ToOwned::to_owned,
            )),
        };
        let items: Vec<Value> =
            (0..self.times).map(|_| notification::change_notification(&origin, self.id, &content)).collect();
        let tokens = self.token.then(|| vec![self.token(now)]);
        notification::collection(&items, tokens.as_deref()).to_string()
    }

    fn token(&self, now: Timestamp) -> String {
        let key = SigningKey::new(shared(2048, if self.new_signing_key { NEW_SIGNING } else { SIGNING }));
        let claims = ValidationTokenBuilder::new(TokenVersion::V2, LOGIN, TENANT, CLIENT, now).claims();
        tokens::sign(&tokens::header(TokenVersion::V2, &key.kid), &claims, &key.pair.private_key)
            .expect("it can be signed")
    }
}

/// A receiver that has just started.
fn start(world: Rc<World>) -> Receiver<Outside> {
    let policies = POLICIES.join(",");
    let variables = HashMap::from([
        ("TENANT_ID", TENANT),
        ("CLIENT_ID", CLIENT),
        ("POLICY_NAMES", &policies),
        ("LOGIN_ENDPOINT", LOGIN),
        ("TEST_NUMBERS", "933"),
        ("TIME_ZONE", "UTC"),
        ("LANGUAGE", "en"),
        ("MAP_LINK", "none"),
        ("KEYRING_SECRET_ID", KEYRING),
        ("STATE_TABLE_NAME", "state"),
        ("ALERT_TOPIC_ARN", "alerts"),
        ("SECOND_ALERT_TOPIC_ARN", SECOND_TOPIC),
        ("AWS_REGION", "us-east-1"),
        ("TEST_TOPIC_ARN", "tests"),
        ("EVENT_BUS_NAME", "bus"),
        ("AWS_LAMBDA_FUNCTION_NAME", "ReceiverFunction"),
    ]);
    let lookup = |variable: &str| variables.get(variable).map(|value| (*value).to_owned());
    let config = Config::read(&Environment(&lookup)).expect("these settings are good");
    Receiver::new(config, Outside(world), |line| PRINTED.with(|printed| printed.borrow_mut().push(line.to_owned())))
}

/// What the receiver calls.
pub(super) struct Outside(Rc<World>);

impl Outside {
    fn call<T>(
        &self,
        broken: impl FnOnce(&State) -> bool,
        effect: impl FnOnce(&mut State) -> T,
    ) -> Result<T, CallFailed> {
        let mut state = self.0.state.borrow_mut();
        if broken(&state) { Err(CallFailed("it is out of order".to_owned())) } else { Ok(effect(&mut state)) }
    }

    fn table<T>(&self, effect: impl FnOnce(&mut State) -> T) -> Result<T, CallFailed> {
        self.call(|state| state.table_down || state.receivers_table_down, effect)
    }
}

impl ReadKeyring for Outside {
    async fn read_keyring(&self) -> Result<Zeroizing<String>, CallFailed> {
        let read = |state: &mut State| {
            state.receivers_keyring.clone().or_else(|| state.secrets.get(KEYRING).cloned()).unwrap_or_default()
        };
        self.call(|state| state.receivers_secret_down, read).map(Zeroizing::new)
    }
}

impl FetchSigningKeys for Outside {
    async fn fetch_signing_keys(&self, _: TenantId, now: Timestamp) -> Result<FetchedKeys, CallFailed> {
        self.call(|state| state.signing_keys_down, |_| published_keys(now).into())
    }
}

/// It remembers nothing: each call that is reported counts.
impl StateTable for Outside {
    async fn find_mark(&self, _: &str) -> Result<Option<Mark>, CallFailed> {
        self.table(|_| None)
    }

    async fn mark(&self, _: &str, _: bool, _: &Content, _: Timestamp) -> Result<(), CallFailed> {
        self.table(|_| ())
    }

    async fn find_call(&self, _: &str) -> Result<CallRecord, CallFailed> {
        self.table(|_| CallRecord::default())
    }

    async fn remember_call(&self, _: &str, _: CallRecord, _: Timestamp) -> Result<(), CallFailed> {
        self.table(|_| ())
    }

    async fn note_latest(&self, at: Timestamp, _: Timestamp) -> Result<(), CallFailed> {
        self.table(|state| state.latest_notification = Some(at))
    }

    async fn count_unverified(&self, more: usize, _: Timestamp) -> Result<usize, CallFailed> {
        self.table(|_| more)
    }

    async fn claim_combined(&self, _: Timestamp) -> Result<bool, CallFailed> {
        self.table(|_| true)
    }
}

impl Publish for Outside {
    async fn publish(&self, topic: &str, messages: &[&Publication]) -> Vec<Result<(), CallFailed>> {
        let down = |state: &State| state.sns_down || (state.home_sns_down && topic != SECOND_TOPIC);
        vec![self.call(down, |_| ()); messages.len()]
    }
}

impl PutEvents for Outside {
    async fn put_events(&self, events: &[&BusEvent]) -> Vec<Result<(), CallFailed>> {
        vec![self.call(|state| state.bus_down, |_| ()); events.len()]
    }
}

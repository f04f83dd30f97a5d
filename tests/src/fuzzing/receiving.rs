//! The receiver from end to end.

use std::{
    cell::{LazyCell, RefCell},
    rc::Rc,
};

use emergency_alert::TestNumbers;
use jiff::{SignedDuration, Timestamp};
use receiver::{
    Config, Receiver,
    http::{Request, Response},
};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use super::alerts::check_publication;
use crate::{
    forgeries::target::{self, CERTIFICATE_ID, CLIENT, CLIENT_STATE, HAPPENED_AT, LOGIN_ENDPOINT, TENANT},
    simulator::{
        notification::{self, ItemOrigin},
        sealing,
        signing_keys::SigningKey,
        tokens::{TokenVersion, ValidationTokenBuilder},
    },
    surroundings::{ALERT_TOPIC, Calm, Connection, Surroundings, TEST_TOPIC, config, posted},
};

/// The id of the call in [`sealed_document`], where the document has none.
const CALL_ID: &str = "11111111-0000-0000-0000-000000000911";

thread_local! {
    static RUNTIME: LazyCell<Runtime> = LazyCell::new(|| {
        Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime starts")
    });
    static STAGE: LazyCell<Stage> = LazyCell::new(Stage::new);
    static LINES: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// What all inputs have in common.
struct Stage {
    config: Config,
    target: target::Target,
    /// The keyring of a receiver for which nobody has signed a token.
    keyring_without_tokens: String,
    keyring: String,
    token: String,
    now: Timestamp,
}

impl Stage {
    fn new() -> Self {
        let target = target::Target::new(LOGIN_ENDPOINT);
        let happened_at: Timestamp = HAPPENED_AT.parse().expect("a time");
        let builder = ValidationTokenBuilder::new(TokenVersion::V2, LOGIN_ENDPOINT, TENANT, CLIENT, happened_at);
        let signing = &target.signing;
        Self {
            config: config(&target.environment()).expect("a configuration"),
            keyring_without_tokens: keyring_without_tokens(&target).to_string(),
            keyring: target.keyring().to_string(),
            token: builder.sign(&signing.kid, &signing.pair.private_key).expect("a token"),
            target,
            now: happened_at + SignedDuration::from_secs(2),
        }
    }
}

/// The keyring of the corpus of forgeries, except that Entra's keys, by the same names, are ones that have never signed.
/// Whatever else of the corpus a forger puts together, a valid token is not in it.
fn keyring_without_tokens(target: &target::Target) -> Value {
    let unused = SigningKey::new(target.lost_encryption.clone()).jwk(None);
    let mut keyring = target.keyring();
    let keys = keyring["signingKeys"]["keys"].as_array_mut().expect("keys");
    for key in keys {
        key["n"] = unused["n"].clone();
    }
    keyring
}

/// A receiver that has loaded nothing yet, and its outside.
struct World {
    surroundings: Rc<Surroundings<Calm>>,
    receiver: Receiver<Connection<Calm>>,
    now: Timestamp,
}

impl World {
    fn new(stage: &Stage, keyring: &str) -> Self {
        let surroundings = Rc::new(Surroundings::default());
        surroundings.keyring.replace(keyring.to_owned());
        let keyring: Value = serde_json::from_str(keyring).expect("a keyring");
        let mut published = keyring["signingKeys"].clone();
        for key in published["keys"].as_array_mut().expect("keys") {
            key["kty"] = json!("RSA");
        }
        surroundings.signing_keys.replace(published.to_string());
        LINES.with_borrow_mut(Vec::clear);
        let receiver = Receiver::new(stage.config.clone(), Connection(Rc::clone(&surroundings)), |line| {
            LINES.with_borrow_mut(|lines| lines.push(line.to_owned()));
        });
        Self { surroundings, receiver, now: stage.now }
    }

    fn handle(&self, request: Request) -> Response {
        RUNTIME.with(|runtime| runtime.block_on(self.receiver.handle(request, self.now)))
    }

    fn post(&self, body: &Value) -> Response {
        self.handle(posted(body.to_string().as_bytes()))
    }
}

/// The input is a request as API Gateway hands it over, or else the body of one. Nothing that a forger can put together
/// raises an alert: every secret of the receiver's may be in the input, but no token that Entra signed.
///
/// # Panics
/// If an alert goes out, Graph is asked to send again, the answer or a line of the log tells more than it should, or a
/// handshake is answered with something else than its token.
pub fn request(data: &[u8]) {
    let request = serde_json::from_slice(data).unwrap_or_else(|_| posted(data));
    STAGE.with(|stage| {
        let world = World::new(stage, &stage.keyring_without_tokens);
        let response = world.handle(request);
        assert!(world.surroundings.published.borrow().is_empty(), "a forgery raised an alert");
        let table = &world.surroundings.table;
        assert!(table.marks.borrow().is_empty() && table.calls.borrow().is_empty());
        for event in world.surroundings.events.borrow().iter() {
            assert!(event.detail_type != "Emergency Call", "a forgery is on the bus as a call");
            let mut detail: Value = serde_json::from_str(&event.detail).expect("an event's detail is JSON");
            // These repeat what the sender wrote; who writes the client state there has it already.
            for repeated in ["subscriptionId", "lifecycleEvent", "subscriptionExpirationDateTime"] {
                detail[repeated].take();
            }
            assert!(!detail.to_string().contains(CLIENT_STATE), "the bus gets the client state");
        }
        check_answer(&response);
        check_lines(0);
    });
}

fn check_answer(response: &Response) {
    match response.status_code {
        200 => {
            let unfit = |c: char| c.is_control() || "<>\"&".contains(c);
            assert!(!response.body.is_empty() && response.body.len() <= 2048 && !response.body.contains(unfit));
            assert_eq!(response.headers.get("x-content-type-options"), Some(&"nosniff"));
        }
        202 | 400 => assert!(response.body.is_empty(), "an answer tells something"),
        other => panic!("status {other}"),
    }
}

/// Each line is a metric and holds no secret; together they count this many alerts.
fn check_lines(alerts: i64) {
    let mut counted = 0;
    LINES.with_borrow(|lines| {
        for line in lines {
            assert!(!line.contains(CLIENT_STATE) && !line.contains('\n'));
            let line: Value = serde_json::from_str(line).expect("a line is JSON");
            counted += line["AlertsPublished"].as_i64().unwrap_or_default();
        }
    });
    assert_eq!(counted, alerts, "the metric and the topics disagree");
}

/// The input is what Graph sealed in an authentic notification. Whatever it is, exactly one alert goes out, to the topic
/// where it belongs, and none when Graph delivers the same again.
///
/// # Panics
/// If that is not so, or the message is not fit for SNS or its readers.
pub fn sealed_document(data: &[u8]) {
    STAGE.with(|stage| {
        let world = World::new(stage, &stage.keyring);
        let certificate = stage.target.encryption.certificate_der();
        let content = sealing::seal(data, &certificate, CERTIFICATE_ID).expect("OpenSSL seals");
        let origin = ItemOrigin {
            subscription_id: "a-subscription".to_owned(),
            subscription_expires_at: stage.now,
            tenant: TENANT.to_owned(),
            policy: target::POLICY.to_owned(),
            client_state: Some(CLIENT_STATE.to_owned()),
        };
        let item = notification::change_notification(&origin, CALL_ID, &content);
        let body = notification::collection(&[item], Some(std::slice::from_ref(&stage.token)));
        assert_eq!(world.post(&body).status_code, 202);
        check_lines(1);
        assert_eq!(world.post(&body).status_code, 202);
        let published = world.surroundings.published.borrow();
        let [message] = &published[..] else { panic!("{} alerts", published.len()) };
        let document = check_publication(&message.publication);
        assert_eq!(document["verified"], true);
        let dialled = document["numberDialed"].as_str();
        let is_test = dialled.is_some_and(|number| TestNumbers::default().contains(number));
        assert_eq!(message.topic, if is_test { TEST_TOPIC } else { ALERT_TOPIC });
        let digits: String = dialled.unwrap_or_default().chars().filter(char::is_ascii_digit).collect();
        assert!(!is_test || digits == "933", "{digits} is no test number");
        let events = world.surroundings.events.borrow();
        let calls: Vec<_> = events.iter().filter(|event| event.detail_type == "Emergency Call").collect();
        assert_eq!(calls.len(), 1);
        assert_eq!(serde_json::from_str::<Value>(&calls[0].detail).expect("JSON"), document);
        assert_eq!(world.surroundings.table.marks.borrow().len(), 1);
    });
}

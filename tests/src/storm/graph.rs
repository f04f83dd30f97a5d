//! Who calls, what Graph seals of it, and how it delivers: again for four hours, ever more rarely, until it is told that
//! the notification has arrived.

use std::{error::Error, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use receiver::http::Request;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use super::{Stage, census::EVENTS, gateway};
use crate::{
    forgeries::{
        self,
        target::{
            CERTIFICATE_ID, CLIENT, CLIENT_STATE, LOGIN_ENDPOINT, OTHER_POLICY, OTHER_TENANT, POLICY, TENANT, Target,
        },
    },
    simulator::{
        delivery::{DELIVERY_LIFE, FIRST_LIMIT, RETRY_LIMIT, backoff},
        keys::shared,
        notification::{self, Caller, DocumentShape, EmergencyEvent, ItemOrigin},
        sealing,
        signing_keys::SigningKey,
        tokens::{TokenVersion, ValidationTokenBuilder},
    },
    soak::some_time,
    surroundings::posted,
};

/// The time between two notifications of calls, on average: 10,000 calls take weeks, and meet dozens of outages.
const BETWEEN_CALLS: SignedDuration = SignedDuration::from_mins(10);
/// How long a call takes, on average.
const CALL: SignedDuration = SignedDuration::from_mins(3);
/// Of a thousand notifications, how many Graph delivers once more although they arrived.
const REPEATED: u32 = 20;
/// How much later, on average.
const REPEATED_AFTER: SignedDuration = SignedDuration::from_mins(10);
/// Of a thousand calls, how many are tests.
const TESTS: u32 = 50;
/// How often keys change in a storm, each kind of them.
const ROTATIONS: usize = 8;
/// From when on new calls are sealed for a new certificate, after the keyring has it.
const ROTATION_DELAY: Duration = Duration::from_secs(2);
/// The longest time until the renewer brings a new signing key of Entra's into the keyring.
const NEXT_RUN: u64 = 15 * 60;

/// What Graph and Entra use at the moment.
pub(super) struct Secrets {
    certificate: Vec<u8>,
    certificate_id: String,
    client_state: String,
    signing: SigningKey,
}

impl Secrets {
    /// Those that the receiver is set up with at first.
    pub(super) fn first(target: &Target) -> Self {
        Self {
            certificate: target.encryption.certificate_der(),
            certificate_id: CERTIFICATE_ID.to_owned(),
            client_state: CLIENT_STATE.to_owned(),
            signing: target.signing.clone(),
        }
    }
}

/// An event of a call, before it is sealed.
#[derive(Clone)]
struct Event {
    id: String,
    kind: &'static str,
    number: &'static str,
    tenant: &'static str,
    policy: &'static str,
    occurred_at: Timestamp,
}

/// Lets the calls be made, and returns when Graph is done with all of them.
pub(super) async fn course(
    stage: &Rc<Stage>,
    calls: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<(), Box<dyn Error>> {
    let junk = junk(&stage.target)?;
    let mut tasks = JoinSet::new();
    let mut made = 0;
    while made < calls {
        let pause = some_time(&mut stage.rng.borrow_mut(), BETWEEN_CALLS);
        sleep(pause.unsigned_abs()).await;
        let together = together(stage).min(calls - made);
        let starts: Vec<Event> = (made..made + together).map(|number| call(stage, number)).collect();
        for start in &starts {
            let length = some_time(&mut stage.rng.borrow_mut(), CALL) + SignedDuration::from_secs(1);
            let end = Event { kind: EVENTS[1], occurred_at: start.occurred_at + length, ..start.clone() };
            let stage = Rc::clone(stage);
            tasks.spawn_local(async move {
                sleep(length.unsigned_abs()).await;
                notify(&stage, &[end]).await;
            });
        }
        let shared_stage = Rc::clone(stage);
        tasks.spawn_local(async move { notify(&shared_stage, &starts).await });
        if stage.rng.borrow_mut().bool() {
            let forgery = junk[stage.rng.borrow_mut().usize(..junk.len())].clone();
            let stage = Rc::clone(stage);
            tasks.spawn_local(async move {
                stage.tell(|tally| tally.forgeries += 1);
                gateway::post(&stage, forgery).await;
            });
        }
        let due = |made: usize| made * (ROTATIONS + 1) / calls;
        for rotation in due(made)..due(made + together).min(ROTATIONS) {
            let stage = Rc::clone(stage);
            tasks.spawn_local(async move { rotate(&stage, rotation).await });
        }
        if made / 1000 != (made + together) / 1000 {
            progress(&format!("{} calls", made + together));
        }
        made += together;
        while tasks.try_join_next().transpose()?.is_some() {}
    }
    while tasks.join_next().await.transpose()?.is_some() {}
    // Invocations that Graph did not wait for.
    sleep(Duration::from_mins(1)).await;
    Ok(())
}

/// How many calls come in one notification.
fn together(stage: &Stage) -> usize {
    let mut rng = stage.rng.borrow_mut();
    match rng.u32(..100) {
        0..80 => 1,
        80..97 => rng.usize(2..=4),
        _ => rng.usize(5..=25),
    }
}

fn call(stage: &Stage, number: usize) -> Event {
    let mut rng = stage.rng.borrow_mut();
    let is_test = rng.u32(..1000) < TESTS;
    let id = format!("call-{number}");
    stage.census.borrow_mut().made(&id, is_test);
    let (tenant, policy) = if rng.u32(..4) == 0 { (OTHER_TENANT, OTHER_POLICY) } else { (TENANT, POLICY) };
    let number = if is_test { "933" } else { "911" };
    Event { id, kind: EVENTS[0], number, tenant, policy, occurred_at: stage.now() }
}

/// Delivers a notification of these events, perhaps once more although it arrived.
async fn notify(stage: &Rc<Stage>, events: &[Event]) {
    stage.tell(|tally| tally.notifications += 1);
    deliver(stage, events).await;
    if stage.rng.borrow_mut().u32(..1000) < REPEATED {
        stage.tell(|tally| tally.repeated += 1);
        let later = some_time(&mut stage.rng.borrow_mut(), REPEATED_AFTER);
        sleep(later.unsigned_abs()).await;
        deliver(stage, events).await;
    }
}

async fn deliver(stage: &Rc<Stage>, events: &[Event]) {
    let request = sealed(stage, events);
    let begun = Instant::now();
    for attempt in 1.. {
        stage.tell(|tally| tally.attempts += 1);
        let limit = if attempt == 1 { FIRST_LIMIT } else { RETRY_LIMIT };
        let status = timeout(limit, gateway::post(stage, request.clone())).await.ok().flatten();
        if status.is_some_and(|status| (200..300).contains(&status)) {
            return;
        }
        let wait = backoff(attempt).unsigned_abs();
        if begun.elapsed() + wait > DELIVERY_LIFE.unsigned_abs() {
            stage.tell(|tally| tally.given_up += 1);
            return;
        }
        sleep(wait).await;
    }
}

/// The request with the events as Graph seals and signs them now.
fn sealed(stage: &Stage, events: &[Event]) -> Request {
    let secrets = stage.secrets.borrow();
    let now = stage.now();
    let items: Vec<Value> = events
        .iter()
        .map(|event| {
            let document = EmergencyEvent {
                id: event.id.clone(),
                call_event_type: event.kind.to_owned(),
                policy: event.policy.to_owned(),
                occurred_at: event.occurred_at,
                number: event.number.to_owned(),
                caller: Caller::default(),
                tenant: event.tenant.to_owned(),
                location: notification::default_location(),
            };
            let document = document.document(DocumentShape::Wrapped).to_string();
            let content = sealing::seal(document.as_bytes(), &secrets.certificate, &secrets.certificate_id);
            let origin = ItemOrigin {
                subscription_id: "a-subscription".to_owned(),
                subscription_expires_at: now + SignedDuration::from_hours(23),
                tenant: event.tenant.to_owned(),
                policy: event.policy.to_owned(),
                client_state: Some(secrets.client_state.clone()),
            };
            notification::change_notification(&origin, &event.id, &content.expect("OpenSSL seals"))
        })
        .collect();
    let tenants =
        [TENANT, OTHER_TENANT].into_iter().filter(|tenant| events.iter().any(|event| event.tenant == *tenant));
    let tokens: Vec<String> = tenants
        .map(|tenant| {
            let version = if tenant == TENANT { TokenVersion::V2 } else { TokenVersion::V1 };
            let builder = ValidationTokenBuilder::new(version, LOGIN_ENDPOINT, tenant, CLIENT, now);
            let SigningKey { kid, pair } = &secrets.signing;
            builder.sign(kid, &pair.private_key).expect("OpenSSL signs")
        })
        .collect();
    posted(notification::collection(&items, Some(&tokens)).to_string().as_bytes())
}

/// The corpus of forgeries, as far as this receiver must refuse all of it at any time.
fn junk(target: &Target) -> Result<Vec<Request>, Box<dyn Error>> {
    let cases = forgeries::corpus(target).into_iter().flat_map(|group| group.cases);
    let forged = cases.filter(|case| {
        let unknown_key = case.expect.reason.as_deref() == Some("TokenUnknownKey");
        case.expect.alerts == 0 && case.after.is_none() && !unknown_key
    });
    forged.map(|case| Ok(serde_json::from_value(case.request.event())?)).collect()
}

/// Changes keys: the receiver's own, as the renewer does it, and Entra's, which signs at once with a key that it has not
/// published before.
async fn rotate(stage: &Stage, rotation: usize) {
    let pair = shared(2048, rotation % 3);
    let id = format!("storm-{rotation}");
    let created_at = stage.now().to_string();
    let private_key = pair.private_key.private_key_to_pkcs8().expect("an RSA key has its PKCS#8 form");
    change_keyring(stage, |keyring| {
        let state = json!({"id": id, "value": format!("a client state of {id}"), "createdAt": created_at});
        push(&mut keyring["clientStates"], state);
        let key = json!({
            "certificateId": id,
            "certificate": pair.certificate_base64(),
            "privateKey": base64(&private_key),
            "createdAt": created_at,
        });
        push(&mut keyring["keys"], key);
    });
    sleep(ROTATION_DELAY).await;
    {
        let mut secrets = stage.secrets.borrow_mut();
        secrets.certificate = pair.certificate_der();
        secrets.client_state = format!("a client state of {id}");
        secrets.certificate_id = id;
    }

    let signing = SigningKey::new(shared(2048, 10 + rotation));
    let jwk = signing.jwk(Some(&format!("{LOGIN_ENDPOINT}/{{tenantid}}/v2.0")));
    stage.secrets.borrow_mut().signing = signing;
    let mut published: Value = serde_json::from_str(&stage.surroundings.signing_keys.borrow()).expect("JSON");
    push(&mut published["keys"], jwk.clone());
    stage.surroundings.signing_keys.replace(published.to_string());
    let wait = stage.rng.borrow_mut().u64(..NEXT_RUN);
    sleep(Duration::from_secs(wait)).await;
    change_keyring(stage, |keyring| push(&mut keyring["signingKeys"]["keys"], jwk));
}

fn change_keyring(stage: &Stage, change: impl FnOnce(&mut Value)) {
    let mut keyring: Value = serde_json::from_str(&stage.surroundings.keyring.borrow()).expect("JSON");
    change(&mut keyring);
    stage.surroundings.keyring.replace(keyring.to_string());
}

fn push(list: &mut Value, value: Value) {
    list.as_array_mut().expect("a list").push(value);
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

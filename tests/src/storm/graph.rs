//! Who calls, what Graph seals of it, and how it delivers: again for four hours, ever more rarely, until it is told that
//! the notification has arrived. Ends may come before starts, starts may come again with another place or with the proof that
//! was missing, and whatever comes again is sealed anew.

use std::{collections::BTreeSet, error::Error, rc::Rc};

use jiff::{SignedDuration, Timestamp};
use receiver::http::Request;
use serde_json::{Value, json};
use tokio::{
    task::JoinSet,
    time::{Duration, Instant, sleep, timeout},
};

use super::{
    Stage,
    census::EVENTS,
    gateway,
    oddities::{Oddity, Tokens},
};
use crate::{
    forgeries::{
        self,
        target::{
            CERTIFICATE_ID, CLIENT, CLIENT_STATE, LOGIN_ENDPOINT, OTHER_POLICY, OTHER_TENANT, POLICY, TENANT, Target,
            made_by,
        },
    },
    simulator::{
        keys::shared,
        ledger::{DELIVERY_LIFE, FIRST_LIMIT, RETRY_LIMIT, backoff},
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
/// Of a thousand starts, how many come once more with another place.
const MOVED: u32 = 20;
/// Of a thousand starts, how many come after their end.
const REORDERED: u32 = 30;
/// Of a thousand notifications with one proof, how many come once more with both.
const PROVEN_LATER: u32 = 500;
/// Of a thousand forgeries, how many hold one proof.
const WITH_ONE_PROOF: u32 = 50;
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
    /// What makes the client states; none at first, when the subscriptions have a stored one.
    client_state_key: Option<Value>,
    signing: SigningKey,
}

impl Secrets {
    /// Those that the receiver is set up with at first.
    pub(super) fn first(target: &Target) -> Self {
        Self {
            certificate: target.encryption.certificate_der(),
            certificate_id: CERTIFICATE_ID.to_owned(),
            client_state_key: None,
            signing: target.signing.clone(),
        }
    }

    fn client_state(&self, tenant: &str, policy: &str) -> String {
        let stored = || CLIENT_STATE.to_owned();
        self.client_state_key.as_ref().map_or_else(stored, |key| made_by(key, tenant, policy))
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
    has_moved: bool,
    oddity: Oddity,
}

impl Event {
    fn location(&self) -> Value {
        if self.has_moved {
            json!({"address": {"street": "Main Street", "city": "Tacoma", "state": "WA"}})
        } else {
            notification::default_location()
        }
    }
}

/// What Graph sends of events.
#[derive(Clone)]
struct Batch {
    events: Vec<Event>,
    tokens: Tokens,
}

impl Batch {
    /// Without tokens all items have their client states: one proof at least.
    fn new(mut events: Vec<Event>, tokens: Tokens) -> Self {
        for event in
            events.iter_mut().filter(|event| event.oddity == Oddity::NoClientState && tokens == Tokens::Missing)
        {
            event.oddity = Oddity::None;
        }
        Self { events, tokens }
    }
}

/// Lets the calls be made, and returns when Graph is done with all of them.
pub(super) async fn course(
    stage: &Rc<Stage>,
    calls: usize,
    progress: &mut dyn FnMut(&str),
) -> Result<(), Box<dyn Error>> {
    let forgeries = Forgeries::new(&stage.target)?;
    stage.census.borrow_mut().made_up(&forgeries.made_up);
    let mut tasks = JoinSet::new();
    let mut made = 0;
    while made < calls {
        let pause = some_time(&mut stage.rng.borrow_mut(), BETWEEN_CALLS);
        sleep(pause.unsigned_abs()).await;
        let together = together(stage).min(calls - made);
        let starts: Vec<Event> = (made..made + together).map(|number| call(stage, number)).collect();
        for start in &starts {
            let length = some_time(&mut stage.rng.borrow_mut(), CALL) + SignedDuration::from_secs(1);
            let oddity = Oddity::draw(&mut stage.rng.borrow_mut());
            let end = Event { kind: EVENTS[1], occurred_at: start.occurred_at + length, oddity, ..start.clone() };
            let stage = Rc::clone(stage);
            tasks.spawn_local(async move {
                sleep(length.unsigned_abs()).await;
                notify(&stage, vec![end]).await;
            });
        }
        let (late, in_time) = starts.into_iter().partition(|_| stage.rng.borrow_mut().u32(..1000) < REORDERED);
        for (starts, delay) in [(in_time, SignedDuration::ZERO), (late, CALL * 5)] {
            let stage = Rc::clone(stage);
            tasks.spawn_local(async move {
                sleep(delay.unsigned_abs()).await;
                notify(&stage, starts).await;
            });
        }
        if stage.rng.borrow_mut().bool() {
            let forgery = forgeries.draw(stage);
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
    let oddity = Oddity::draw(&mut rng);
    Event { id, kind: EVENTS[0], number, tenant, policy, occurred_at: stage.now(), has_moved: false, oddity }
}

/// Delivers a notification of these events, and perhaps another one of them later.
async fn notify(stage: &Rc<Stage>, events: Vec<Event>) {
    if events.is_empty() {
        return;
    }
    let batch = Batch::new(events, Tokens::draw(&mut stage.rng.borrow_mut()));
    stage.tell(|tally| tally.notifications += 1);
    deliver(stage, &batch).await;
    if let Some(batch) = again(stage, &batch) {
        stage.tell(|tally| tally.repeated += 1);
        let later = some_time(&mut stage.rng.borrow_mut(), REPEATED_AFTER);
        sleep(later.unsigned_abs()).await;
        deliver(stage, &batch).await;
    }
}

/// What Graph sends of these events later, if anything: the same, the proof that was missing, or another place.
fn again(stage: &Stage, batch: &Batch) -> Option<Batch> {
    let mut rng = stage.rng.borrow_mut();
    let mut is_drawn = |rate: u32| rng.u32(..1000) < rate;
    if !batch.events.iter().all(|event| batch.tokens.prove(event.oddity)) && is_drawn(PROVEN_LATER) {
        let events = batch.events.iter().map(|event| Event { oddity: Oddity::None, ..event.clone() });
        return Some(Batch { events: events.collect(), tokens: Tokens::Needed });
    }
    if batch.events[0].kind == EVENTS[0] && is_drawn(MOVED) {
        let events = batch.events.iter().map(|event| Event { has_moved: true, ..event.clone() });
        return Some(Batch { events: events.collect(), ..batch.clone() });
    }
    is_drawn(REPEATED).then(|| batch.clone())
}

async fn deliver(stage: &Rc<Stage>, batch: &Batch) {
    for event in &batch.events {
        let location = event.location();
        let street = location["address"]["street"].as_str().unwrap_or_default();
        stage.census.borrow_mut().sent(&event.id, event.kind, street, batch.tokens.prove(event.oddity));
    }
    let request = sealed(stage, batch);
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
fn sealed(stage: &Stage, batch: &Batch) -> Request {
    let secrets = stage.secrets.borrow();
    let now = stage.now();
    let items: Vec<Value> = batch
        .events
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
                location: event.location(),
            };
            let document = document.document(DocumentShape::Wrapped).to_string();
            let content = sealing::seal(document.as_bytes(), &secrets.certificate, &secrets.certificate_id);
            let origin = ItemOrigin {
                subscription_id: "a-subscription".to_owned(),
                subscription_expires_at: now + SignedDuration::from_hours(23),
                tenant: event.tenant.to_owned(),
                policy: event.policy.to_owned(),
                client_state: Some(secrets.client_state(event.tenant, event.policy)),
            };
            let mut item = notification::change_notification(&origin, &event.id, &content.expect("OpenSSL seals"));
            event.oddity.apply(&mut item);
            item
        })
        .collect();
    let is_needed = |tenant: &str| batch.events.iter().any(|event| event.tenant == tenant);
    let is_sent = |tenant: &&str| match batch.tokens {
        Tokens::Missing => false,
        Tokens::OfAllTenants => true,
        Tokens::Needed | Tokens::BehindForged => is_needed(tenant),
    };
    let token = |tenant: &str, key: &SigningKey| {
        let version = if tenant == TENANT { TokenVersion::V2 } else { TokenVersion::V1 };
        let builder = ValidationTokenBuilder::new(version, LOGIN_ENDPOINT, tenant, CLIENT, now);
        builder.sign(&secrets.signing.kid, &key.pair.private_key).expect("OpenSSL signs")
    };
    let forged = (batch.tokens == Tokens::BehindForged).then(|| token(TENANT, &stage.target.forger));
    let tenants = [TENANT, OTHER_TENANT].into_iter().filter(is_sent);
    let tokens: Vec<String> = forged.into_iter().chain(tenants.map(|tenant| token(tenant, &secrets.signing))).collect();
    posted(notification::collection(&items, Some(&tokens)).to_string().as_bytes())
}

/// The corpus of forgeries, as far as this receiver must never tell any of it as verified.
struct Forgeries {
    with_one_proof: Vec<Request>,
    without_proof: Vec<Request>,
    /// The calls of those with one proof.
    made_up: BTreeSet<String>,
}

impl Forgeries {
    fn new(target: &Target) -> Result<Self, Box<dyn Error>> {
        let mut all = Self { with_one_proof: Vec::new(), without_proof: Vec::new(), made_up: BTreeSet::new() };
        let cases = forgeries::corpus(target).into_iter().flat_map(|group| group.cases);
        for case in cases.filter(|case| case.expect.alerts == 0 && case.after.is_none()) {
            let request = serde_json::from_value(case.request.event())?;
            // While Entra cannot be reached, a client state beside a token by an unknown key raises an unverified alert.
            let unknown_key = case.expect.reason.as_deref() == Some("TokenUnknownKey");
            let raised = case.expect.in_alert_mode.unwrap_or_default();
            if raised.iter().any(|raised| raised.verified) {
                continue;
            }
            if raised.is_empty() && !unknown_key {
                all.without_proof.push(request);
            } else {
                all.with_one_proof.push(request);
                all.made_up.extend(raised.into_iter().map(|raised| raised.call_id));
            }
        }
        Ok(all)
    }

    fn draw(&self, stage: &Stage) -> Request {
        let mut rng = stage.rng.borrow_mut();
        let all = if rng.u32(..1000) < WITH_ONE_PROOF { &self.with_one_proof } else { &self.without_proof };
        all[rng.usize(..all.len())].clone()
    }
}

/// Changes keys: the receiver's own, as the renewer does it, and Entra's, which signs at once with a key that it has not
/// published before.
async fn rotate(stage: &Stage, rotation: usize) {
    let pair = shared(2048, rotation % 3);
    let id = format!("storm-{rotation}");
    let created_at = stage.now().to_string();
    let private_key = pair.private_key.private_key_to_pkcs8().expect("an RSA key has its PKCS#8 form");
    let client_state_key = json!({"id": id, "key": base64_url(&[b'A' + u8::try_from(rotation).expect("there are few"); 32]), "createdAt": created_at});
    change_keyring(stage, |keyring| {
        push(&mut keyring["clientStateKeys"], client_state_key.clone());
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
        secrets.client_state_key = Some(client_state_key);
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

fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}

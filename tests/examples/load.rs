//! The receiver behind a gateway on the loopback interface, and calls that are made while somebody floods it: `make load`.
//!
//! What stands between Graph and the receiver in AWS is modelled as it counts here. The gateway lets through so many requests
//! each second, refuses bodies over 10 MB, and hands over events as API Gateway does; Lambda runs one request at a time in each
//! instance, starts another when all are busy, and has so many at most. The receiver is the real one. What is outside of it
//! answers at once or after the time that AWS's services take.
//!
//! Prints one line of JSON with its address and the requests to flood it with, and, at the end, one with what became of the calls.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a tool prints its results, and may panic")]

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use axum::{
    Router,
    body::Bytes,
    extract::{DefaultBodyLimit, RawQuery, State},
    http::StatusCode,
    routing::post,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use end_to_end::simulator::{
    keys::shared,
    notification::{self, Caller, DocumentShape, EmergencyEvent, ItemOrigin},
    sealing,
    signing_keys::SigningKey,
    tokens::{self, TokenVersion, ValidationTokenBuilder},
};
use graph_notifications::{SigningKeys, TenantId};
use graph_subscriptions::http::{self, Timeouts};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{environment::Environment, event::BusEvent, publication::Publication};
use receiver::{
    Config, Receiver,
    http::Response,
    mark::{Content, Mark},
    ports::{CallFailed, CallRecord, FetchSigningKeys, FetchedKeys, Publish, PutEvents, ReadKeyring, StateTable},
};
use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use zeroize::Zeroizing;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const STRANGER: &str = "99999999-2222-3333-4444-555555555555";
const CLIENT: &str = "cccccccc-2222-3333-4444-555555555555";
const CLIENT_STATE: &str = "a client state";
const LOGIN: &str = "https://login.microsoftonline.com";

/// Indexes of RSA keys.
const ENCRYPTION: usize = 0;
const SIGNING: usize = 1;
const FORGER: usize = 3;

/// The largest body that API Gateway takes, and the largest event that Lambda does, in bytes.
const LARGEST_BODY: usize = 10 * 1024 * 1024;
const LARGEST_EVENT: usize = 6 * 1024 * 1024;

/// What AWS's services take for one call, by and large.
const SECRETS_MANAGER: Duration = Duration::from_millis(30);
const DYNAMODB: Duration = Duration::from_millis(8);
const SNS: Duration = Duration::from_millis(30);
const EVENTBRIDGE: Duration = Duration::from_millis(15);
const ENTRA: Duration = Duration::from_millis(100);

/// After so long Graph gives up on an answer, and so long later it tries again: sooner than Graph does, so that few calls last a
/// whole run.
const GRAPH_WAITS: Duration = Duration::from_secs(3);
const GRAPH_PAUSES: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() {
    let mut arguments = std::env::args().skip(1).map(|argument| argument.parse::<u64>().unwrap());
    let mut next = || arguments.next().expect("SECONDS CALLS-PER-SECOND RATE BURST INSTANCES");
    let (seconds, calls_per_second, rate, burst, instances) = (next(), next(), next(), next(), next());

    let world = Arc::new(World::default());
    let lambda = Lambda::new(Arc::clone(&world), usize::try_from(instances).unwrap());
    let gateway =
        Arc::new(Gateway { lambda, throttle: Mutex::new(Throttle::new(rate, burst)), refused: AtomicUsize::new(0) });
    let routes = Router::new()
        .route("/notifications", post(serve))
        .layer(DefaultBodyLimit::max(LARGEST_BODY))
        .with_state(Arc::clone(&gateway));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/notifications", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    let flood = flood();
    let each = time_each(&gateway.lambda, &flood).await;
    println!("{}", json!({"listening": url, "flood": flood, "microsecondsOfEach": each}));

    let calls = make_calls(&url, seconds, calls_per_second).await;
    println!("{}", report(&calls, &world, &gateway));
    // Whoever floods may not be done yet; the address answers until this process is ended.
    std::future::pending::<()>().await;
}

// ------------------------------------------------------------------- calls

/// A call that was made: when, and in how many attempts it was accepted, if it was.
struct Call {
    id: String,
    made_at: Instant,
    attempts: Option<usize>,
}

async fn make_calls(url: &str, seconds: u64, per_second: u64) -> Vec<Call> {
    let client = http::client(Timeouts { connect: GRAPH_WAITS, total: GRAPH_WAITS }).unwrap();
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / per_second));
    let mut under_way = Vec::new();
    for index in 0..seconds * per_second {
        ticks.tick().await;
        let (client, url) = (client.clone(), url.to_owned());
        under_way.push(tokio::spawn(async move {
            let id = format!("call-{index}");
            let body = collection(&[call(&id)], &[token(SIGNING, &SigningKey::new(shared(2048, SIGNING)).kid)]);
            let mut call = Call { id, made_at: Instant::now(), attempts: None };
            for attempt in 1..=8 {
                let answer =
                    client.post(&url).header("content-type", "application/json").body(body.clone()).send().await;
                if answer.is_ok_and(|answer| answer.status() == 202) {
                    call.attempts = Some(attempt);
                    break;
                }
                tokio::time::sleep(GRAPH_PAUSES).await;
            }
            call
        }));
    }
    let mut calls = Vec::new();
    for call in under_way {
        calls.push(call.await.unwrap());
    }
    calls
}

fn report(calls: &[Call], world: &World, gateway: &Gateway) -> Value {
    let published = world.published.lock().unwrap();
    let mut milliseconds: Vec<u128> = calls
        .iter()
        .filter_map(|call| Some(published.get(&call.id)?.duration_since(call.made_at).as_millis()))
        .collect();
    milliseconds.sort_unstable();
    let percentile =
        |share: usize| milliseconds.get((milliseconds.len() * share / 100).min(milliseconds.len().saturating_sub(1)));
    let forged = published.keys().filter(|id| !calls.iter().any(|call| call.id == **id)).count();
    json!({
        "calls": calls.len(),
        "alerted": milliseconds.len(),
        "notAlertedWithin3Seconds": calls.len() - milliseconds.iter().filter(|taken| **taken <= 3000).count(),
        "forgedAlerts": forged,
        "unverifiedAlerts": world.unverified.load(Ordering::Relaxed),
        "acceptedAtFirst": calls.iter().filter(|call| call.attempts == Some(1)).count(),
        "millisecondsToTheAlert": {"median": percentile(50), "p99": percentile(99), "slowest": milliseconds.last()},
        "instances": gateway.lambda.started.load(Ordering::Relaxed),
        "refusedByTheGateway": gateway.refused.load(Ordering::Relaxed),
        "keyringReads": world.keyring_reads.load(Ordering::Relaxed),
        "tableReads": world.table_reads.load(Ordering::Relaxed),
        "requestsToEntra": world.entra_requests.load(Ordering::Relaxed),
    })
}

// ----------------------------------------------------------------- requests

fn collection(items: &[Value], tokens: &[String]) -> String {
    notification::collection(items, Some(tokens)).to_string()
}

fn call(id: &str) -> Value {
    call_with(id, CLIENT_STATE, TENANT)
}

fn call_with(id: &str, client_state: &str, tenant: &str) -> Value {
    let now = Timestamp::now();
    let event = EmergencyEvent {
        id: id.to_owned(),
        call_event_type: "callStarted".to_owned(),
        policy: "Global".to_owned(),
        occurred_at: now,
        number: "911".to_owned(),
        caller: Caller::default(),
        tenant: tenant.to_owned(),
        location: notification::default_location(),
    };
    let document = event.document(DocumentShape::Wrapped).to_string();
    let content = sealing::seal(document.as_bytes(), &shared(2048, ENCRYPTION).certificate_der(), "key-1").unwrap();
    let origin = ItemOrigin {
        subscription_id: "a-subscription".to_owned(),
        subscription_expires_at: now + SignedDuration::from_hours(23),
        tenant: tenant.to_owned(),
        policy: "Global".to_owned(),
        client_state: Some(client_state.to_owned()),
    };
    notification::change_notification(&origin, id, &content)
}

/// A token with the right claims, signed by this key under this name.
fn token(key: usize, kid: &str) -> String {
    let claims = ValidationTokenBuilder::new(TokenVersion::V2, LOGIN, TENANT, CLIENT, Timestamp::now()).claims();
    tokens::sign(&tokens::header(TokenVersion::V2, kid), &claims, &shared(2048, key).private_key).unwrap()
}

/// One request of each kind of junk, named.
fn flood() -> Value {
    let kid = SigningKey::new(shared(2048, SIGNING)).kid;
    let forged = || token(FORGER, &kid);
    let unknown = |index: usize| token(FORGER, &format!("kid-{index}"));
    let tiny = |count: usize, item: Value| collection(&vec![item; count], &[forged()]);
    let lifecycle =
        json!({"tenantId": TENANT, "clientState": "wrong", "lifecycleEvent": "missed", "subscriptionId": "s"});
    json!({
        "wrong client state": collection(&[call_with("junk", "wrong", TENANT)], &[]),
        "wrong client state, forged token": collection(&[call_with("junk", "wrong", TENANT)], &[forged()]),
        "wrong client state, token of an unknown key": collection(&[call_with("junk", "wrong", TENANT)], &[unknown(0)]),
        "right client state, forged token": collection(&[call("junk")], &[forged()]),
        "right client state, token of an unknown key": collection(&[call("junk")], &[unknown(0)]),
        "right client state, a hundred forged tokens": collection(&[call("junk")], &(0..100).map(|_| forged()).collect::<Vec<_>>()),
        "right client state, a hundred unknown keys": collection(&[call("junk")], &(0..100).map(unknown).collect::<Vec<_>>()),
        "another tenant": collection(&[call_with("junk", CLIENT_STATE, STRANGER)], &[forged()]),
        "ten thousand items of another tenant": tiny(10_000, json!({"tenantId": STRANGER, "resource": "x"})),
        "ten thousand items with a wrong client state": tiny(10_000, json!({"tenantId": TENANT, "resource": "x", "clientState": "wrong"})),
        "ten thousand numbers": tiny(10_000, json!(7)),
        "lifecycle with a wrong client state": collection(&[lifecycle], &[]),
        "probe without proof": probe().to_string(),
        "no JSON": "x".repeat(1000),
        "too large": "x".repeat(5 * 1024 * 1024),
    })
}

/// A probe as a forger could make it.
fn probe() -> Value {
    let content = call("junk")["encryptedContent"].clone();
    json!({"probe": {"sentAt": Timestamp::now().to_string(), "encryptedContent": content, "proof": "AAAA"}})
}

/// How long each kind of junk keeps an instance that is warm and has nothing else to do, in microseconds: the median of five.
async fn time_each(lambda: &Lambda, flood: &Value) -> Value {
    let mut each = serde_json::Map::new();
    for (kind, body) in flood.as_object().unwrap() {
        let event = event(body.as_str().unwrap(), "");
        let mut times = Vec::new();
        for _ in 0..5 {
            let begun = Instant::now();
            lambda.invoke(event.clone()).await.unwrap();
            times.push(begun.elapsed());
        }
        times.sort_unstable();
        each.insert(kind.clone(), u64::try_from(times[2].as_micros()).unwrap().into());
    }
    Value::Object(each)
}

// ------------------------------------------------------------------ gateway

struct Gateway {
    lambda: Lambda,
    throttle: Mutex<Throttle>,
    refused: AtomicUsize,
}

/// A token bucket, as API Gateway's throttling of a stage is described.
struct Throttle {
    rate: f64,
    burst: f64,
    left: f64,
    at: Instant,
}

impl Throttle {
    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn new(rate: u64, burst: u64) -> Self {
        Self { rate: rate as f64, burst: burst as f64, left: burst as f64, at: Instant::now() }
    }

    fn lets_through(&mut self) -> bool {
        let now = Instant::now();
        self.left = (self.left + now.duration_since(self.at).as_secs_f64() * self.rate).min(self.burst);
        self.at = now;
        let enough = self.left >= 1.0;
        if enough {
            self.left -= 1.0;
        }
        enough
    }
}

async fn serve(State(gateway): State<Arc<Gateway>>, RawQuery(query): RawQuery, body: Bytes) -> (StatusCode, String) {
    let refuse = |status| {
        gateway.refused.fetch_add(1, Ordering::Relaxed);
        (status, String::new())
    };
    if !gateway.throttle.lock().unwrap().lets_through() {
        return refuse(StatusCode::TOO_MANY_REQUESTS);
    }
    let event = event(&String::from_utf8_lossy(&body), &query.unwrap_or_default());
    if event.len() > LARGEST_EVENT {
        return refuse(StatusCode::PAYLOAD_TOO_LARGE);
    }
    match gateway.lambda.invoke(event).await {
        Some(response) => (StatusCode::from_u16(response.status_code).unwrap(), response.body),
        None => refuse(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// What API Gateway makes of a request.
fn event(body: &str, query: &str) -> String {
    json!({
        "version": "2.0",
        "routeKey": "POST /notifications",
        "rawPath": "/notifications",
        "rawQueryString": query,
        "headers": {"content-type": "application/json"},
        "requestContext": {"http": {"method": "POST", "path": "/notifications"}, "stage": "$default"},
        "body": body,
        "isBase64Encoded": false,
    })
    .to_string()
}

/// Instances of the function, one request at a time in each.
struct Lambda {
    world: Arc<World>,
    idle: Mutex<Vec<mpsc::Sender<Invocation>>>,
    started: AtomicUsize,
    most: usize,
}

type Invocation = (String, oneshot::Sender<Response>);

impl Lambda {
    fn new(world: Arc<World>, most: usize) -> Self {
        Self { world, idle: Mutex::default(), started: AtomicUsize::new(0), most }
    }

    /// The function's answer; none if all instances that there may be are busy.
    async fn invoke(&self, event: String) -> Option<Response> {
        let idle = self.idle.lock().unwrap().pop();
        let instance = match idle {
            Some(instance) => instance,
            None => self.start()?,
        };
        let (answer, answered) = oneshot::channel();
        instance.send((event, answer)).await.unwrap();
        let response = answered.await.unwrap();
        self.idle.lock().unwrap().push(instance);
        Some(response)
    }

    fn start(&self) -> Option<mpsc::Sender<Invocation>> {
        let more = |started: usize| (started < self.most).then_some(started + 1);
        self.started.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let (instance, mut invocations) = mpsc::channel::<Invocation>(1);
        let world = Arc::clone(&self.world);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let receiver = Receiver::new(config(), Outside(world), |_| ());
                while let Some((event, answer)) = invocations.recv().await {
                    // As the function does it: `main.rs` takes the event as a value first.
                    let event: Value = serde_json::from_str(&event).unwrap();
                    let response = match serde_json::from_value(event) {
                        Ok(request) => receiver.handle(request, Timestamp::now()).await,
                        Err(_) => Response::bad_request(),
                    };
                    // Whoever asked may have gone.
                    let _ = answer.send(response);
                }
            });
        });
        Some(instance)
    }
}

fn config() -> Config {
    let lookup = |variable: &str| {
        let value = match variable {
            "TENANT_ID" => TENANT,
            "CLIENT_ID" => CLIENT,
            "POLICY_NAMES" => "Global",
            "LOGIN_ENDPOINT" => LOGIN,
            "TEST_NUMBERS" => "933",
            "TIME_ZONE" => "UTC",
            "LANGUAGE" => "en",
            "MAP_LINK" => "OpenStreetMap",
            "KEYRING_SECRET_ID" => "keyring",
            "STATE_TABLE_NAME" => "state",
            "ALERT_TOPIC_ARN" => "alert-topic",
            "TEST_TOPIC_ARN" => "test-topic",
            "EVENT_BUS_NAME" => "bus",
            "AWS_LAMBDA_FUNCTION_NAME" => "receiver",
            _ => return None,
        };
        Some(value.to_owned())
    };
    Config::read(&Environment(&lookup)).unwrap()
}

// ------------------------------------------------------------------ outside

/// What all instances share.
#[derive(Default)]
struct World {
    /// When each call's verified alert was published, by the call's id.
    published: Mutex<HashMap<String, Instant>>,
    /// How many messages told of calls that are not verified.
    unverified: AtomicUsize,
    marks: Mutex<HashMap<String, Mark>>,
    keyring_reads: AtomicUsize,
    table_reads: AtomicUsize,
    entra_requests: AtomicUsize,
}

struct Outside(Arc<World>);

fn signing_keys(now: Timestamp) -> SigningKeys {
    let issuer = format!("{LOGIN}/{{tenantid}}/v2.0");
    let keys = json!({"keys": [SigningKey::new(shared(2048, SIGNING)).jwk(Some(&issuer))]}).to_string();
    SigningKeys::from_jwks(keys.as_bytes(), now).unwrap()
}

impl ReadKeyring for Outside {
    async fn read_keyring(&self) -> Result<Zeroizing<String>, CallFailed> {
        self.0.keyring_reads.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(SECRETS_MANAGER).await;
        let (pair, now) = (shared(2048, ENCRYPTION), Timestamp::now());
        let keyring = json!({
            "version": 1,
            "keys": [{"certificateId": "key-1", "certificate": pair.certificate_base64(), "createdAt": now,
                "privateKey": BASE64_STANDARD.encode(pair.private_key.private_key_to_pkcs8().unwrap())}],
            "clientStates": [{"id": "s1", "value": CLIENT_STATE, "createdAt": now}],
            "signingKeys": signing_keys(now),
        });
        Ok(Zeroizing::new(keyring.to_string()))
    }
}

impl FetchSigningKeys for Outside {
    async fn fetch_signing_keys(&self, _tenant: TenantId, now: Timestamp) -> Result<FetchedKeys, CallFailed> {
        self.0.entra_requests.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(ENTRA).await;
        Ok(signing_keys(now).into())
    }
}

impl StateTable for Outside {
    async fn find_mark(&self, hash: &str) -> Result<Option<Mark>, CallFailed> {
        self.0.table_reads.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(DYNAMODB).await;
        Ok(self.0.marks.lock().unwrap().get(hash).cloned())
    }

    async fn mark(&self, hash: &str, verified: bool, content: &Content, _: Timestamp) -> Result<(), CallFailed> {
        tokio::time::sleep(DYNAMODB).await;
        self.0.marks.lock().unwrap().entry(hash.to_owned()).or_default().add(verified, content.clone());
        Ok(())
    }

    async fn find_call(&self, _: &str) -> Result<CallRecord, CallFailed> {
        tokio::time::sleep(DYNAMODB).await;
        Ok(CallRecord::default())
    }

    async fn remember_call(&self, _: &str, _: CallRecord, _: Timestamp) -> Result<(), CallFailed> {
        tokio::time::sleep(DYNAMODB).await;
        Ok(())
    }

    async fn note_latest(&self, _: Timestamp, _: Timestamp) -> Result<(), CallFailed> {
        tokio::time::sleep(DYNAMODB).await;
        Ok(())
    }

    async fn count_unverified(&self, more: usize, _: Timestamp) -> Result<usize, CallFailed> {
        tokio::time::sleep(DYNAMODB).await;
        Ok(more)
    }

    async fn claim_combined(&self, _: Timestamp) -> Result<bool, CallFailed> {
        tokio::time::sleep(DYNAMODB).await;
        Ok(true)
    }
}

impl Publish for Outside {
    async fn publish(&self, _topic_arn: &str, messages: &[&Publication]) -> Vec<Result<(), CallFailed>> {
        tokio::time::sleep(SNS).await;
        let mut published = self.0.published.lock().unwrap();
        for message in messages {
            let bodies: Value = serde_json::from_str(&message.message).unwrap();
            let document: Value = serde_json::from_str(bodies["default"].as_str().unwrap()).unwrap();
            if document["verified"] == true {
                published
                    .entry(document["callId"].as_str().unwrap_or_default().to_owned())
                    .or_insert_with(Instant::now);
            } else {
                self.0.unverified.fetch_add(1, Ordering::Relaxed);
            }
        }
        vec![Ok(()); messages.len()]
    }
}

impl PutEvents for Outside {
    async fn put_events(&self, events: &[&BusEvent]) -> Vec<Result<(), CallFailed>> {
        tokio::time::sleep(EVENTBRIDGE).await;
        vec![Ok(()); events.len()]
    }
}

//! The simulator as its clients meet it: over HTTP, with a receiver that answers as told.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

use super::Simulator;
use super::clock::Clock;
use super::config::{Application, CLIENT_ID, CLIENT_SECRET, Config, Lists, ROLE, TENANT_ID, Tenant};
use super::faults::{Effect, Fault, Operation};
use super::keys::shared;
use super::ledger::{CallReport, DeliveryState, Dial, Outcome, Selector, Wait};
use super::notification::resource;
use super::sealing::{EncryptedContent, unseal};
use super::tokens;

mod credentials;

const OTHER_TENANT: &str = "11111111-2222-3333-4444-555555555555";
const WITHOUT_ROLE: &str = "c0ffee00-0000-0000-0000-000000000403";
const URL: &str = "https://receiver.test/notifications";
const NOW: &str = "2026-11-23T10:00:00Z";

/// How the receiver answers the next request; without any, as it should.
enum Reply {
    Status(u16),
    Text(&'static str, &'static str),
    EchoWhen { arrived: Arc<Notify>, released: Arc<Notify> },
    Never,
}

#[derive(Default)]
struct Inbox {
    replies: Mutex<VecDeque<Reply>>,
    handshakes: Mutex<Vec<String>>,
    notifications: Mutex<Vec<Value>>,
}

struct Receiver {
    inbox: Arc<Inbox>,
    base: String,
    server: JoinHandle<()>,
}

impl Receiver {
    async fn start() -> Self {
        let inbox = Arc::new(Inbox::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(receive).with_state(Arc::clone(&inbox));
        let server = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { inbox, base, server }
    }

    fn next(&self, reply: Reply) {
        self.inbox.replies.lock().unwrap().push_back(reply);
    }

    fn handshakes(&self) -> Vec<String> {
        self.inbox.handshakes.lock().unwrap().clone()
    }

    fn notifications(&self) -> Vec<Value> {
        self.inbox.notifications.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(
    State(inbox): State<Arc<Inbox>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let query = query.unwrap_or_default();
    let token = form_urlencoded::parse(query.as_bytes())
        .find(|(name, _)| name == "validationToken")
        .map(|(_, value)| value.into_owned());
    if token.is_some() {
        assert_eq!(headers[header::CONTENT_TYPE], "text/plain; charset=utf-8");
        assert!(body.is_empty());
        inbox.handshakes.lock().unwrap().push(query.clone());
    } else {
        assert_eq!(headers[header::HOST], "receiver.test");
        inbox.notifications.lock().unwrap().push(serde_json::from_slice(&body).unwrap());
    }
    let reply = inbox.replies.lock().unwrap().pop_front();
    match (reply, token) {
        (None, Some(token)) => token.into_response(),
        (None, None) => StatusCode::ACCEPTED.into_response(),
        (Some(Reply::Status(status)), _) => StatusCode::from_u16(status).unwrap().into_response(),
        (Some(Reply::Text(kind, text)), _) => ([(header::CONTENT_TYPE, kind)], text).into_response(),
        (Some(Reply::EchoWhen { arrived, released }), token) => {
            arrived.notify_one();
            released.notified().await;
            token.unwrap().into_response()
        }
        (Some(Reply::Never), _) => std::future::pending().await,
    }
}

struct Scene {
    simulator: Simulator,
    receiver: Receiver,
    http: reqwest::Client,
}

impl Scene {
    async fn new() -> Self {
        let receiver = Receiver::start().await;
        let application = |client_id: &str, roles: &[&str]| Application {
            client_id: client_id.to_owned(),
            client_secrets: vec![CLIENT_SECRET.to_owned()],
            roles: roles.iter().map(|&role| role.to_owned()).collect(),
            ..Application::default()
        };
        let mut config = Config {
            clock: Clock::manual(NOW.parse().unwrap()),
            tenants: vec![
                Tenant { id: TENANT_ID.to_owned(), policies: None },
                Tenant { id: OTHER_TENANT.to_owned(), policies: Some(vec!["Global".to_owned()]) },
            ],
            applications: vec![application(CLIENT_ID, &[ROLE]), application(WITHOUT_ROLE, &[])],
            ..Config::default()
        };
        config.routes.hosts.insert("receiver.test".to_owned(), receiver.base.clone());
        let simulator = Simulator::start(config).await.unwrap();
        Self { simulator, receiver, http: reqwest::Client::new() }
    }

    async fn token_of(&self, tenant: &str, client_id: &str) -> String {
        let response = self
            .http
            .post(format!("{}/{tenant}/oauth2/v2.0/token", self.simulator.login_endpoint()))
            .form(&[
                ("grant_type", "client_credentials"),
                ("client_id", client_id),
                ("client_secret", CLIENT_SECRET),
                ("scope", &format!("{}/.default", self.simulator.origin())),
            ])
            .send()
            .await
            .unwrap();
        assert_eq!(response.status(), 200);
        let answer: Value = response.json().await.unwrap();
        answer["access_token"].as_str().unwrap().to_owned()
    }

    async fn token(&self) -> String {
        self.token_of(TENANT_ID, CLIENT_ID).await
    }

    async fn graph(&self, method: &str, path: &str, token: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}/subscriptions{path}", self.simulator.graph_endpoint());
        let mut request = self.http.request(method.parse().unwrap(), url).bearer_auth(token);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        assert!(response.headers().contains_key("request-id"));
        (status, response.json().await.unwrap_or_default())
    }

    async fn control(&self, method: &str, path: &str, body: Option<&Value>) -> (u16, Value) {
        let url = format!("{}/_control/{path}", self.simulator.origin());
        let mut request = self.http.request(method.parse().unwrap(), url);
        if let Some(body) = body {
            request = request.json(body);
        }
        let response = request.send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap_or_default())
    }

    fn body(&self, policy: &str) -> Value {
        json!({
            "changeType": "updated",
            "notificationUrl": URL,
            "lifecycleNotificationUrl": URL,
            "resource": resource(policy),
            "includeResourceData": true,
            "encryptionCertificate": shared(2048, 0).certificate_base64(),
            "encryptionCertificateId": "key-1",
            "expirationDateTime": self.in_hours(23).to_string(),
            "clientState": "secret",
        })
    }

    fn in_hours(&self, hours: i64) -> Timestamp {
        self.simulator.clock().now() + SignedDuration::from_hours(hours)
    }

    async fn subscribe(&self, policy: &str) -> String {
        let (status, created) = self.graph("POST", "", &self.token().await, Some(&self.body(policy))).await;
        assert_eq!(status, 201, "{created}");
        created["id"].as_str().unwrap().to_owned()
    }

    async fn renew(&self, id: &str) -> (u16, Value) {
        let renewal = json!({ "expirationDateTime": self.in_hours(23).to_string() });
        self.graph("PATCH", &format!("/{id}"), &self.token().await, Some(&renewal)).await
    }

    /// Moves the clock; what hangs while it does is a failure, not a wait without end.
    async fn advance(&self, seconds: i64) {
        let advanced = self.simulator.advance(SignedDuration::from_secs(seconds));
        tokio::time::timeout(Duration::from_secs(30), advanced).await.unwrap();
    }

    async fn settled(&self, call: &CallReport) -> CallReport {
        let settled = self.simulator.call(&call.call_id, Wait::Settled);
        tokio::time::timeout(Duration::from_secs(30), settled).await.unwrap().unwrap()
    }
}

fn document(item: &Value, key: usize) -> Value {
    let content: EncryptedContent = serde_json::from_value(item["encryptedContent"].clone()).unwrap();
    serde_json::from_slice(&unseal(&content, &shared(2048, key).private_key).unwrap()).unwrap()
}

fn error_code(answer: &Value) -> &str {
    assert!(answer["error"]["innerError"]["request-id"].is_string());
    answer["error"]["code"].as_str().unwrap()
}

#[tokio::test]
async fn a_call_reaches_the_subscriber_sealed_and_signed() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    let call = scene.simulator.dial(Dial::default()).await.unwrap();
    assert_eq!(call.attempts.len(), 1);
    assert_eq!((call.attempts[0].outcome, call.attempts[0].status), (Outcome::Accepted, Some(202)));
    assert_eq!(call.deliveries[0].state, DeliveryState::Delivered);

    let posted = scene.receiver.notifications().remove(0);
    let item = &posted["value"][0];
    assert_eq!(item["subscriptionId"], id);
    assert_eq!(item["clientState"], "secret");
    assert_eq!(item["tenantId"], TENANT_ID);
    assert_eq!(item["resourceData"]["id"], call.call_id);
    let event = &document(item, 0)["emergencyCallEvent"];
    assert_eq!(event["id"], call.call_id);
    assert_eq!(event["emergencyNumberDialed"], "911");
    assert_eq!(event["callEventType"], "callStarted");

    let key = scene.simulator.current_signing_key();
    let token = posted["validationTokens"][0].as_str().unwrap();
    let claims = tokens::verified_claims(token, &key.public_key()).unwrap();
    assert_eq!(claims["aud"], CLIENT_ID);
    assert_eq!(claims["appid"], tokens::PUBLISHER);
    assert_eq!(claims["iss"], tokens::issuer_v1(TENANT_ID));
}

#[tokio::test]
async fn both_urls_are_validated_at_creation_with_the_encoding_of_the_wire() {
    let scene = Scene::new().await;
    scene.subscribe("Global").await;
    let handshakes = scene.receiver.handshakes();
    assert_eq!(handshakes.len(), 2);
    assert_ne!(handshakes[0], handshakes[1]);
    assert!(handshakes[0].starts_with("validationToken=Validation%3a+Testing+client+application"));
}

#[tokio::test]
async fn an_endpoint_that_does_not_echo_gets_no_subscription() {
    let scene = Scene::new().await;
    let token = scene.token().await;
    let body = scene.body("Global");
    for (reply, text) in [
        (Reply::Status(202), "must respond with 200 OK"),
        (Reply::Text("text/plain", "Validation%3a+Testing"), "exactly match"),
        (Reply::Text("application/json", "{}"), "text/plain"),
    ] {
        scene.receiver.next(reply);
        let (status, answer) = scene.graph("POST", "", &token, Some(&body)).await;
        assert_eq!((status, error_code(&answer)), (400, "ValidationError"));
        assert!(answer["error"]["message"].as_str().unwrap().contains(text), "{answer}");
    }
    scene.simulator.add_fault(Fault::next(Operation::Handshake, 1, Effect::DropAnswer));
    let (status, answer) = scene.graph("POST", "", &token, Some(&body)).await;
    assert_eq!((status, error_code(&answer)), (400, "ValidationError"));
    assert!(answer["error"]["message"].as_str().unwrap().contains("timed out"));
    assert!(scene.simulator.subscriptions().is_empty());
}

#[tokio::test]
async fn a_patch_validates_a_new_url_or_where_it_is_switched_on() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    assert_eq!(scene.renew(&id).await.0, 200);
    assert_eq!(scene.receiver.handshakes().len(), 2);

    let moved = json!({ "notificationUrl": "https://receiver.test/moved" });
    let (status, answer) = scene.graph("PATCH", &format!("/{id}"), &scene.token().await, Some(&moved)).await;
    assert_eq!((status, &answer["notificationUrl"]), (200, &moved["notificationUrl"]));
    assert_eq!(scene.receiver.handshakes().len(), 3);

    scene.simulator.change_settings(&json!({ "handshakeOnPatch": true })).unwrap();
    assert_eq!(scene.renew(&id).await.0, 200);
    assert_eq!(scene.receiver.handshakes().len(), 5);
    scene.receiver.next(Reply::Status(500));
    assert_eq!(scene.renew(&id).await.0, 400);
}

#[tokio::test]
async fn a_refused_notification_is_retried_with_growing_waits() {
    let scene = Scene::new().await;
    scene.subscribe("Global").await;
    for _ in 0..3 {
        scene.receiver.next(Reply::Status(503));
    }
    let call = scene.simulator.dial(Dial::default()).await.unwrap();
    assert_eq!(call.deliveries[0].state, DeliveryState::Pending);
    scene.advance(9).await;
    assert_eq!(scene.receiver.notifications().len(), 1);
    scene.advance(61).await;
    let call = scene.settled(&call).await;
    let started = call.attempts[0].at;
    let waits: Vec<i64> = call.attempts.iter().map(|attempt| attempt.at.duration_since(started).as_secs()).collect();
    assert_eq!(waits, [0, 10, 30, 70]);
    assert_eq!(call.deliveries[0].state, DeliveryState::Delivered);
    let posted = scene.receiver.notifications();
    assert!(posted.iter().all(|body| *body == posted[0]), "a retry repeats the same bytes");
}

#[tokio::test]
async fn an_endpoint_that_never_accepts_gets_nothing_after_four_hours() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    for _ in 0..100 {
        scene.receiver.next(Reply::Status(500));
    }
    let call = scene.simulator.dial(Dial::default()).await.unwrap();
    for _ in 0..6 {
        scene.advance(40 * 60).await;
        assert_eq!(scene.renew(&id).await.0, 200);
    }
    let call = scene.settled(&call).await;
    assert_eq!(call.deliveries[0].state, DeliveryState::Expired);
    let last = call.attempts.last().unwrap().at.duration_since(call.attempts[0].at);
    assert!(last < SignedDuration::from_hours(4) && last > SignedDuration::from_hours(3));
    assert!(call.attempts.len() > 10);
}

#[tokio::test]
async fn notifications_are_held_while_the_token_of_the_last_renewal_has_lapsed() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    scene.advance(3599).await;
    let held = scene.simulator.dial(Dial::default()).await.unwrap();
    assert_eq!(held.deliveries[0].state, DeliveryState::Held);
    assert!(held.attempts.is_empty());

    assert_eq!(scene.renew(&id).await.0, 200);
    let call = scene.settled(&held).await;
    assert_eq!(call.deliveries[0].state, DeliveryState::Delivered);
    assert_eq!(scene.receiver.notifications().len(), 1);
}

#[tokio::test]
async fn what_is_held_too_long_is_lost() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    scene.advance(3599).await;
    let held = scene.simulator.dial(Dial::default()).await.unwrap();
    scene.advance(4 * 3600).await;
    assert_eq!(scene.renew(&id).await.0, 200);
    let call = scene.settled(&held).await;
    assert_eq!(call.deliveries[0].state, DeliveryState::Expired);
    assert!(scene.receiver.notifications().is_empty());
}

#[tokio::test]
async fn reauthorize_also_releases_what_is_held() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    scene.advance(3600).await;
    let held = scene.simulator.dial(Dial::default()).await.unwrap();
    let path = format!("/{id}/reauthorize");
    assert_eq!(scene.graph("POST", &path, &scene.token().await, None).await.0, 204);
    let call = scene.settled(&held).await;
    assert_eq!(call.deliveries[0].state, DeliveryState::Delivered);
    assert_eq!(scene.renew(&id).await.0, 400, "PATCH soon after reauthorize");
}

#[tokio::test]
async fn a_slow_endpoint_times_out_and_delays_the_next_call() {
    let scene = Scene::new().await;
    scene.subscribe("Global").await;
    scene.receiver.next(Reply::Never);
    let slow = scene.simulator.dial(Dial::default()).await.unwrap();
    assert_eq!(slow.attempts[0].outcome, Outcome::TimedOut);
    assert_eq!(slow.attempts[0].latency_ms, 3000);

    let delayed = scene.simulator.dial(Dial::default()).await.unwrap();
    assert!(delayed.attempts.is_empty());
    scene.advance(599).await;
    assert!(scene.simulator.call(&delayed.call_id, Wait::Nothing).await.unwrap().attempts.is_empty());
    scene.advance(1).await;
    let delivered = scene.settled(&delayed).await;
    assert_eq!(delivered.deliveries[0].state, DeliveryState::Delivered);
}

#[tokio::test]
async fn a_removed_subscription_is_silent_and_its_pending_notifications_are_lost() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    scene.receiver.next(Reply::Status(503));
    let pending = scene.simulator.dial(Dial::default()).await.unwrap();
    let removed = scene.simulator.remove_subscriptions(&Selector::Policy("Global".to_owned()));
    assert_eq!(removed.as_slice(), std::slice::from_ref(&id));
    let lost = scene.settled(&pending).await;
    assert_eq!(lost.deliveries[0].state, DeliveryState::SubscriptionGone);
    assert!(scene.simulator.dial(Dial::default()).await.unwrap().deliveries.is_empty());
    let (status, answer) = scene.renew(&id).await;
    assert_eq!((status, error_code(&answer)), (404, "ResourceNotFound"));
}

#[tokio::test]
async fn calls_of_other_policies_and_tenants_are_not_told() {
    let scene = Scene::new().await;
    scene.subscribe("Global").await;
    let other_policy = Dial { policy: "Site".to_owned(), ..Dial::default() };
    assert!(scene.simulator.dial(other_policy).await.unwrap().deliveries.is_empty());
    let other_tenant = Dial { tenant: Some(OTHER_TENANT.to_owned()), ..Dial::default() };
    assert!(scene.simulator.dial(other_tenant).await.unwrap().deliveries.is_empty());
    let unknown = Dial { tenant: Some("nobody".to_owned()), ..Dial::default() };
    assert!(scene.simulator.dial(unknown).await.is_err());
}

#[tokio::test]
async fn tenants_do_not_see_each_other() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    let other = scene.token_of(OTHER_TENANT, CLIENT_ID).await;
    let (_, list) = scene.graph("GET", "", &other, None).await;
    assert_eq!(list["value"], json!([]));
    for method in ["GET", "DELETE"] {
        assert_eq!(scene.graph(method, &format!("/{id}"), &other, None).await.0, 404);
    }
    assert_eq!(scene.graph("POST", "", &other, Some(&scene.body("Global"))).await.0, 201);
}

#[tokio::test]
async fn only_known_policies_can_be_subscribed_to() {
    let scene = Scene::new().await;
    let other = scene.token_of(OTHER_TENANT, CLIENT_ID).await;
    let (status, answer) = scene.graph("POST", "", &other, Some(&scene.body("Nonesuch"))).await;
    assert_eq!((status, error_code(&answer)), (404, "ResourceNotFound"));
    scene.simulator.change_settings(&json!({ "unknownPolicyStatus": 400 })).unwrap();
    let (status, answer) = scene.graph("POST", "", &other, Some(&scene.body("Nonesuch"))).await;
    assert_eq!((status, error_code(&answer)), (400, "InvalidRequest"));
    assert!(scene.receiver.handshakes().is_empty());
}

#[tokio::test]
async fn a_tenant_may_know_emergency_calls_in_beta_only() {
    let scene = Scene::new().await;
    scene.control("POST", "settings", Some(&json!({"betaOnly": true}))).await;
    let (token, body) = (scene.token().await, scene.body("Global"));
    let (status, answer) = scene.graph("POST", "", &token, Some(&body)).await;
    assert_eq!((status, error_code(&answer)), (400, "BadRequest"));
    assert!(answer["error"]["message"].as_str().unwrap().contains("segment"), "{answer}");
    let beta = format!("{}/beta/subscriptions", scene.simulator.origin());
    let created = scene.http.post(beta).bearer_auth(token).json(&body).send().await.unwrap();
    assert_eq!(created.status(), 201);
}

#[tokio::test]
async fn access_needs_a_current_genuine_token_with_the_role() {
    let scene = Scene::new().await;
    let token = scene.token().await;
    assert_eq!(scene.graph("GET", "", &token, None).await.0, 200);
    let without = scene.token_of(TENANT_ID, WITHOUT_ROLE).await;
    assert_eq!(scene.graph("GET", "", &without, None).await.0, 403);

    let (head, claims) = tokens::decode_unverified(&token).unwrap();
    let forged = tokens::sign(&head, &claims, &shared(2048, 7).private_key).unwrap();
    let (status, answer) = scene.graph("GET", "", &forged, None).await;
    assert_eq!((status, error_code(&answer)), (401, "InvalidAuthenticationToken"));
    assert_eq!(scene.graph("GET", "", "nonsense", None).await.0, 401);
    assert_eq!(scene.graph("GET", "", "", None).await.0, 401);

    scene.advance(3599).await;
    assert_eq!(scene.graph("GET", "", &token, None).await.0, 401);
    assert_eq!(scene.simulator.tokens_issued().len(), 2);
}

#[tokio::test]
async fn a_list_comes_in_pages() {
    let scene = Scene::new().await;
    for policy in ["A", "B", "C", "D", "E"] {
        scene.subscribe(policy).await;
    }
    let token = scene.token().await;
    let mut path = String::new();
    let mut sizes = Vec::new();
    loop {
        let (_, page) = scene.graph("GET", &path, &token, None).await;
        let items = page["value"].as_array().unwrap();
        assert!(items.iter().all(|item| item["clientState"].is_null()));
        sizes.push(items.len());
        let Some(next) = page["@odata.nextLink"].as_str() else { break };
        let stem = format!("{}/subscriptions", scene.simulator.graph_endpoint());
        next.strip_prefix(&stem).unwrap().clone_into(&mut path);
    }
    assert_eq!(sizes, [2, 2, 1]);
    assert_eq!(scene.graph("GET", "?$top=10", &token, None).await.0, 400);
}

#[tokio::test]
async fn lists_lie_on_demand_and_what_is_asked_for_by_its_id_is_as_it_is() {
    let scene = Scene::new().await;
    let mut ids = Vec::new();
    for policy in ["A", "B", "C", "D"] {
        ids.push(scene.subscribe(policy).await);
    }
    let token = scene.token().await;
    let gone = ids.remove(0);
    scene.graph("DELETE", &format!("/{gone}"), &token, None).await;
    for lists in Lists::LIES {
        scene.simulator.change_settings(&json!({ "lists": lists })).unwrap();
        let (mut path, mut pages, mut items, mut failed) = (String::new(), 0, Vec::new(), None);
        loop {
            let (status, page) = scene.graph("GET", &path, &token, None).await;
            if status != 200 {
                failed = Some(status);
                break;
            }
            pages += 1;
            items.extend(page["value"].as_array().unwrap().clone());
            let Some(next) = page["@odata.nextLink"].as_str() else { break };
            next.strip_prefix(&format!("{}/subscriptions", scene.simulator.graph_endpoint()))
                .unwrap()
                .clone_into(&mut path);
        }
        let listed: Vec<&str> = items.iter().filter_map(|item| item["id"].as_str()).collect();
        let elsewhere = items.iter().filter(|item| item["notificationUrl"] == "https://elsewhere.test/notifications");
        let (shown, elsewhere) = (listed.len(), elsewhere.count());
        let expected = match lists {
            Lists::True => unreachable!("it is no lie"),
            Lists::LeavesOut => (1, 1, None, 0),
            Lists::Empty => (1, 0, None, 0),
            Lists::EmptyPagesFirst => (62, 3, None, 0),
            Lists::NextLinkFails => (1, 2, Some(500), 0),
            Lists::Stale => (2, 4, None, 0),
            Lists::Unreadable => (2, 2, None, 0),
            Lists::Contradicting => (2, 3, None, 3),
            Lists::Fails => (0, 0, Some(503), 0),
        };
        assert_eq!((pages, shown, failed, elsewhere), expected, "{lists:?}");
        assert_eq!(listed.contains(&gone.as_str()), lists == Lists::Stale, "{lists:?}");
        for id in &ids {
            let (status, shown) = scene.graph("GET", &format!("/{id}"), &token, None).await;
            assert_eq!((status, &shown["notificationUrl"]), (200, &json!(URL)), "{lists:?}");
        }
        assert_eq!(scene.graph("GET", &format!("/{gone}"), &token, None).await.0, 404, "{lists:?}");
    }
}

#[tokio::test]
async fn one_subscription_can_be_read_and_deleted() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    let token = scene.token().await;
    let (status, shown) = scene.graph("GET", &format!("/{id}"), &token, None).await;
    assert_eq!((status, &shown["encryptionCertificateId"]), (200, &json!("key-1")));
    assert_eq!(scene.graph("DELETE", &format!("/{id}"), &token, None).await.0, 204);
    assert_eq!(scene.graph("DELETE", &format!("/{id}"), &token, None).await.0, 404);
}

#[tokio::test]
async fn bodies_must_be_json() {
    let scene = Scene::new().await;
    let url = format!("{}/subscriptions", scene.simulator.graph_endpoint());
    let send =
        |kind: &'static str, body: &'static str| scene.http.post(&url).header(header::CONTENT_TYPE, kind).body(body);
    let token = scene.token().await;
    for (kind, body) in [("text/plain", "{}"), ("application/json", "{"), ("application/json", "[]")] {
        let response = send(kind, body).bearer_auth(&token).send().await.unwrap();
        assert_eq!(response.status(), 400);
    }
}

#[tokio::test]
async fn faults_fail_or_swallow_answers() {
    let scene = Scene::new().await;
    let token = scene.token().await;
    scene.simulator.add_fault(Fault::next(
        Operation::ListSubscriptions,
        1,
        Effect::Fail { status: 429, code: None, message: None, retry_after_seconds: Some(7) },
    ));
    let url = format!("{}/subscriptions", scene.simulator.graph_endpoint());
    let response = scene.http.get(&url).bearer_auth(&token).send().await.unwrap();
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()[header::RETRY_AFTER], "7");
    assert_eq!(error_code(&response.json().await.unwrap()), "TooManyRequests");
    assert_eq!(scene.graph("GET", "", &token, None).await.0, 200);

    scene.simulator.add_fault(Fault::next(Operation::CreateSubscription, 1, Effect::DropAnswer));
    let lost = scene.http.post(&url).bearer_auth(&token).json(&scene.body("Global")).send().await;
    assert!(lost.is_err());
    assert_eq!(scene.simulator.subscriptions().len(), 1, "done, though not answered");
    scene.simulator.add_fault(Fault::next(Operation::CreateSubscription, 1, Effect::Drop));
    let down = scene.http.post(&url).bearer_auth(&token).json(&scene.body("Warehouse")).send().await;
    assert!(down.is_err());
    for (body, text) in [(json!("hello"), "hello"), (json!({"value": []}), r#"{"value":[]}"#)] {
        let wrong = Effect::Answer { body, status: 200 };
        scene.simulator.add_fault(Fault::next(Operation::CreateSubscription, 1, wrong));
        let answer = scene.http.post(&url).bearer_auth(&token).json(&scene.body("Warehouse")).send().await.unwrap();
        assert_eq!((answer.status(), answer.text().await.unwrap().as_str()), (StatusCode::OK, text));
    }
    assert_eq!(scene.simulator.subscriptions().len(), 1, "answered, though not done");

    let keys = format!("{}/{TENANT_ID}/discovery/v2.0/keys", scene.simulator.login_endpoint());
    scene.simulator.add_fault(Fault::lasting(
        Operation::SigningKeys,
        Effect::Fail { status: 503, code: None, message: None, retry_after_seconds: None },
    ));
    assert_eq!(scene.http.get(&keys).send().await.unwrap().status(), 503);
    assert_eq!(scene.http.get(&keys).send().await.unwrap().status(), 503);
    scene.simulator.clear_faults();
    assert_eq!(scene.http.get(&keys).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_client_that_gives_up_does_not_undo_what_it_began() {
    let scene = Scene::new().await;
    let token = scene.token().await;
    let (arrived, released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    scene.receiver.next(Reply::EchoWhen { arrived: Arc::clone(&arrived), released: Arc::clone(&released) });
    let url = format!("{}/subscriptions", scene.simulator.graph_endpoint());
    let request = scene.http.post(&url).bearer_auth(&token).json(&scene.body("Global")).send();
    tokio::select! {
        _ = request => panic!("answered before the endpoint was validated"),
        () = arrived.notified() => {}
    }
    released.notify_one();
    let created = async {
        while scene.simulator.subscriptions().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), created).await.unwrap();
}

#[tokio::test]
async fn the_documents_point_to_keys_that_verify() {
    let scene = Scene::new().await;
    let login = scene.simulator.login_endpoint();
    let get = async |path: &str| -> Value {
        scene.http.get(format!("{login}/{path}")).send().await.unwrap().json().await.unwrap()
    };
    for tenant in [TENANT_ID, "common"] {
        let (v1, v2) = (
            get(&format!("{tenant}/.well-known/openid-configuration")).await,
            get(&format!("{tenant}/v2.0/.well-known/openid-configuration")).await,
        );
        let place = if tenant == "common" { "{tenantid}" } else { tenant };
        assert_eq!(v1["issuer"], format!("https://sts.windows.net/{place}/"));
        assert_eq!(v2["issuer"], format!("{login}/{place}/v2.0"));
        let kid = scene.simulator.current_signing_key().kid;
        for document in [v1, v2] {
            let uri = document["jwks_uri"].as_str().unwrap().strip_prefix(login).unwrap().to_owned();
            let keys = get(&uri[1..]).await;
            assert!(keys["keys"].as_array().unwrap().iter().any(|key| key["kid"] == kid));
        }
    }
    let unknown = scene.http.get(format!("{login}/{}/discovery/keys", &CLIENT_ID)).send().await.unwrap();
    assert_eq!(unknown.status(), 400);
}

#[tokio::test]
async fn rotated_keys_sign_and_settings_change_the_tokens() {
    let scene = Scene::new().await;
    scene.subscribe("Global").await;
    let first = scene.simulator.current_signing_key().kid;
    scene.simulator.rotate_signing_keys(false);
    scene.simulator.change_settings(&json!({ "tokenVersion": "2.0" })).unwrap();
    scene.simulator.dial(Dial::default()).await.unwrap();
    scene.simulator.change_settings(&json!({ "validationTokensNull": true })).unwrap();
    scene.simulator.dial(Dial::default()).await.unwrap();
    let posted = scene.receiver.notifications();
    let (head, claims) = tokens::decode_unverified(posted[0]["validationTokens"][0].as_str().unwrap()).unwrap();
    assert_ne!(head["kid"], first);
    assert_eq!(head["kid"], scene.simulator.current_signing_key().kid);
    assert_eq!((&claims["ver"], &claims["azp"]), (&json!("2.0"), &json!(tokens::PUBLISHER)));
    assert!(posted[1]["validationTokens"].is_null());
}

#[tokio::test]
async fn duplicates_are_encrypted_anew_and_an_ended_call_is_another_event() {
    let scene = Scene::new().await;
    scene.subscribe("Global").await;
    let call = scene.simulator.dial(Dial::default()).await.unwrap();
    scene.simulator.redeliver(&call.call_id, Wait::First).await.unwrap();
    scene.advance(60).await;
    scene.simulator.end_call(&call.call_id, Wait::First).await.unwrap();
    let posted = scene.receiver.notifications();
    let documents: Vec<Value> = posted.iter().map(|body| document(&body["value"][0], 0)).collect();
    assert_eq!(documents[0], documents[1]);
    assert_ne!(posted[0]["value"][0]["encryptedContent"], posted[1]["value"][0]["encryptedContent"]);
    let (started, ended) = (&documents[0]["emergencyCallEvent"], &documents[2]["emergencyCallEvent"]);
    assert_eq!(ended["callEventType"], "callEnded");
    assert_eq!(ended["id"], started["id"]);
    assert_ne!(ended["eventDateTime"], started["eventDateTime"]);
    assert!(scene.simulator.end_call("nothing", Wait::First).await.is_err());
    assert!(scene.simulator.redeliver("nothing", Wait::First).await.is_err());
}

#[tokio::test]
async fn several_calls_can_share_a_request() {
    let scene = Scene::new().await;
    scene.subscribe("Global").await;
    scene.subscribe("Site").await;
    let calls =
        ["Global", "Site", "Global"].map(|policy| Dial { policy: policy.to_owned(), ..Dial::default() }).to_vec();
    let reports = scene.simulator.dial_together(calls, Wait::Settled).await.unwrap();
    assert!(reports.iter().all(|report| report.deliveries[0].state == DeliveryState::Delivered));
    let posted = scene.receiver.notifications();
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0]["value"].as_array().unwrap().len(), 3);
    assert_eq!(posted[0]["validationTokens"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_patched_certificate_seals_the_next_call() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    let change = json!({
        "expirationDateTime": scene.in_hours(23).to_string(),
        "encryptionCertificate": shared(2048, 1).certificate_base64(),
        "encryptionCertificateId": "key-2",
    });
    let path = format!("/{id}");
    assert_eq!(scene.graph("PATCH", &path, &scene.token().await, Some(&change)).await.0, 200);
    scene.simulator.dial(Dial::default()).await.unwrap();
    let item = scene.receiver.notifications()[0]["value"][0].clone();
    assert_eq!(item["encryptedContent"]["encryptionCertificateId"], "key-2");
    assert!(document(&item, 1)["emergencyCallEvent"].is_object());
}

#[tokio::test]
async fn lifecycle_notifications_go_out_whatever_the_token() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    scene.advance(3600).await;
    let sent = scene.simulator.lifecycle(&Selector::Id(id.clone()), "reauthorizationRequired").await.unwrap();
    assert_eq!(sent[0].state, DeliveryState::Delivered);
    let posted = scene.receiver.notifications().remove(0);
    let item = &posted["value"][0];
    assert_eq!(item["lifecycleEvent"], "reauthorizationRequired");
    assert_eq!((&item["clientState"], &item["subscriptionId"]), (&json!("secret"), &json!(id)));
    assert!(posted.get("validationTokens").is_none());
    assert!(scene.simulator.lifecycle(&Selector::Id("nothing".to_owned()), "missed").await.is_err());
}

#[tokio::test]
async fn notices_come_once_before_a_token_ends_where_they_are_switched_on() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    scene.advance(3000).await;
    assert!(scene.receiver.notifications().is_empty());
    assert_eq!(scene.renew(&id).await.0, 200);
    scene.simulator.change_settings(&json!({ "reauthorizationNotices": true })).unwrap();
    scene.advance(3599 - 15 * 60 - 1).await;
    assert!(scene.receiver.notifications().is_empty());
    scene.advance(1).await;
    assert_eq!(scene.receiver.notifications().len(), 1);
    scene.advance(1000).await;
    assert_eq!(scene.receiver.notifications().len(), 1);
}

#[tokio::test]
async fn the_control_functions_answer_in_json() {
    let scene = Scene::new().await;
    let id = scene.subscribe("Global").await;
    let dial = json!({ "number": "933", "policy": "Global", "caller": { "displayName": "A" }, "location": null, "wait": true });
    let (status, report) = scene.control("POST", "dial", Some(&dial)).await;
    assert_eq!((status, &report["attempts"][0]["status"]), (200, &json!(202)));
    assert!(report["attempts"][0]["latencyMs"].is_u64());
    assert!(report["deliveries"][0].get("body").is_none());
    let event = document(&scene.receiver.notifications()[0]["value"][0], 0)["emergencyCallEvent"].clone();
    assert_eq!(event["emergencyNumberDialed"], "933");
    assert_eq!((&event["callerInfo"]["displayName"], &event["callerInfo"]["location"]), (&json!("A"), &Value::Null));

    let of_call = json!({ "callId": report["callId"], "wait": "settled" });
    for function in ["redeliver", "end-call"] {
        assert_eq!(scene.control("POST", function, Some(&of_call)).await.0, 200);
    }
    let other = json!({ "callId": report["callId"], "eventType": "callHeld", "wait": "settled" });
    assert_eq!(scene.control("POST", "call-event", Some(&other)).await.0, 200);
    let posted = scene.receiver.notifications();
    let types = posted.iter().map(|body| document(&body["value"][0], 0)["emergencyCallEvent"]["callEventType"].clone());
    assert_eq!(types.collect::<Vec<_>>(), ["callStarted", "callStarted", "callEnded", "callHeld"]);
    let path = format!("calls/{}?wait=settled", report["callId"].as_str().unwrap());
    let (_, call) = scene.control("GET", &path, None).await;
    assert_eq!(call["deliveries"].as_array().unwrap().len(), 4);
    let (_, log) = scene.control("GET", "deliveries", None).await;
    assert!(log[0]["body"]["value"].is_array());

    let (_, subscriptions) = scene.control("GET", "subscriptions", None).await;
    assert_eq!((&subscriptions[0]["id"], &subscriptions[0]["clientState"]), (&json!(id), &json!("secret")));
    let lifecycle = json!({ "policy": "Global", "event": "missed" });
    let (_, sent) = scene.control("POST", "lifecycle", Some(&lifecycle)).await;
    assert_eq!(sent["deliveries"][0]["state"], "delivered");
    let removal = json!({ "id": id });
    assert_eq!(scene.control("POST", "remove-subscription", Some(&removal)).await.1["removed"], json!([id]));
    assert_eq!(scene.control("POST", "remove-subscription", Some(&removal)).await.0, 404);

    let before = scene.simulator.current_signing_key().kid;
    let (_, rotated) = scene.control("POST", "rotate-signing-keys", Some(&json!({ "replace": true }))).await;
    assert_ne!(rotated["kid"], before);
    let (_, clock) = scene.control("POST", "clock", Some(&json!({ "seconds": 3600 }))).await;
    assert_eq!(clock["now"], "2026-11-23T11:00:00.0000000Z");
    let fault = json!({ "operation": "token", "effect": "fail", "status": 503 });
    assert_eq!(scene.control("POST", "faults", Some(&fault)).await.0, 204);
    assert_eq!(scene.control("GET", "faults", None).await.1[0]["times"], 1);
    assert_eq!(scene.control("DELETE", "faults", None).await.0, 204);
    assert_eq!(scene.control("GET", "faults", None).await.1, json!([]));
    let (_, settings) = scene.control("POST", "settings", Some(&json!({ "pageSize": 9 }))).await;
    assert_eq!(settings["pageSize"], 9);
    assert_eq!(scene.control("GET", "tokens-issued", None).await.1[0]["clientId"], CLIENT_ID);
}

#[tokio::test]
async fn wrong_control_requests_are_refused() {
    let scene = Scene::new().await;
    for (function, body, status) in [
        ("dial", json!({ "nummer": "911" }), 400),
        ("dial", json!({ "tenant": "nobody" }), 400),
        ("end-call", json!({ "callId": "nothing" }), 404),
        ("redeliver", json!({ "callId": "nothing" }), 404),
        ("call-event", json!({ "callId": "nothing", "eventType": "callHeld" }), 404),
        ("call-event", json!({ "callId": "nothing" }), 400),
        ("settings", json!({ "nonsense": true }), 400),
        ("faults", json!({ "operation": "nonsense", "effect": "dropAnswer" }), 400),
        ("clock", json!({ "seconds": -1 }), 400),
        ("credentials", json!({ "certificates": ["AAAA"] }), 400),
        ("credentials", json!({ "certificate": "x" }), 400),
        ("credentials", json!({ "clientId": "nobody", "clientSecrets": [] }), 404),
        ("credentials", json!({ "federated": [{"issuer": "", "subject": "b", "audience": "c"}] }), 400),
        ("application", json!({ "role": [] }), 400),
        ("application", json!({ "tenant": "nobody", "disabled": true }), 404),
        ("lifecycle", json!({ "policy": "Global", "event": "missed" }), 404),
    ] {
        let (answered, body) = scene.control("POST", function, Some(&body)).await;
        assert_eq!(answered, status, "{function}");
        assert!(body["error"].is_string());
    }
}

#[tokio::test]
async fn a_web_page_gets_no_answer_from_any_endpoint() {
    let scene = Scene::new().await;
    let port = scene.simulator.address().port();
    let asked = async |method: &str, path: &str, header: Option<(&str, &str)>| {
        let url = format!("{}{path}", scene.simulator.origin());
        let mut request = scene.http.request(method.parse().unwrap(), url);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        request.body("grant_type=client_credentials").send().await.unwrap().status().as_u16()
    };
    let foreign = format!("page.example:{port}");
    let localhost = format!("localhost:{port}");
    let token = format!("/{TENANT_ID}/oauth2/v2.0/token");
    for (method, path) in [
        ("GET", "/_control/settings"),
        ("DELETE", "/_control/faults"),
        ("POST", &token),
        ("GET", "/v1.0/subscriptions"),
        ("GET", "/"),
    ] {
        for header in [("Origin", "https://page.example"), ("Sec-Fetch-Site", "cross-site"), ("Host", &foreign)] {
            assert_eq!(asked(method, path, Some(header)).await, 403, "{method} {path} {header:?}");
        }
        assert_ne!(asked(method, path, None).await, 403, "{method} {path}");
        assert_ne!(asked(method, path, Some(("Host", &localhost))).await, 403, "{method} {path}");
    }
}

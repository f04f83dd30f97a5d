//! What Graph and Entra answer, over HTTP on the loopback interface.

use std::{
    cell::LazyCell,
    fmt::{Debug, Display},
    sync::{Arc, Mutex, PoisonError},
};

use axum::{
    Router,
    body::Body,
    extract::State,
    http::{HeaderValue, Response, StatusCode, header},
};
use graph_notifications::{ClientState, Policies, Policy};
use graph_subscriptions::{
    AccessToken, AllowedHosts, Credential, Graph, GraphEndpoint, GraphError, GraphErrorKind, LoginEndpoint,
    NewSubscription, Renewal, entra,
    http::{Timeouts, client},
    service_principal,
    signing_keys::{self, TokenVersion},
};
use jiff::{SignedDuration, Timestamp};
use reqwest::Client;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
};

use crate::forgeries::target::{CLIENT, HAPPENED_AT, TENANT};

/// What must show in no error of a request that holds it: whoever answers may repeat it.
const ACCESS_TOKEN: &str = "an-access-token";
const CLIENT_STATE: &str = "a-client-state";
const CLIENT_SECRET: &str = "a-client-secret";
/// The token of a federated credential, and its signature, which alone is a secret, too.
const ASSERTION: &str = "e30.e30.a-signature";
const SIGNATURE: &str = "a-signature";

/// What stands in an answer for the address of the server, which differs each time.
const ORIGIN: &str = "{origin}";

/// The longest text that is taken over from an answer, in characters, with its mark of being cut.
const LONGEST_TEXT: usize = 603;

/// The most pages of a list that are read.
const MOST_PAGES: usize = 200;

/// The statuses that an input can choose from.
const STATUSES: [u16; 20] =
    [200, 201, 204, 202, 206, 301, 302, 304, 400, 401, 403, 404, 408, 409, 410, 429, 500, 502, 503, 504];

thread_local! {
    static STAGE: LazyCell<Stage> = LazyCell::new(Stage::new);
}

/// The answer to all requests until there is another, and how many there were.
#[derive(Default)]
struct Answer {
    status: StatusCode,
    retry_after: Option<HeaderValue>,
    body: Vec<u8>,
    requests: usize,
}

type Shared = Arc<Mutex<Answer>>;

async fn answer(State(shared): State<Shared>) -> Response<Body> {
    let mut answer = shared.lock().unwrap_or_else(PoisonError::into_inner);
    answer.requests += 1;
    let mut response = Response::new(Body::from(answer.body.clone()));
    *response.status_mut() = answer.status;
    if let Some(value) = &answer.retry_after {
        response.headers_mut().insert(header::RETRY_AFTER, value.clone());
        response.headers_mut().insert("request-id", value.clone());
    }
    response
}

/// A server that answers as the inputs say, and a client of it.
struct Stage {
    runtime: Runtime,
    client: Client,
    origin: String,
    shared: Shared,
    now: Timestamp,
}

impl Stage {
    fn new() -> Self {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime starts");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        let origin = format!("http://{}", listener.local_addr().expect("an address"));
        let shared = Shared::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&shared));
        runtime.spawn(async move { axum::serve(listener, router).await });
        let client = client(Timeouts::PATIENT).expect("a client");
        Self { runtime, client, origin, shared, now: HAPPENED_AT.parse().expect("a time") }
    }

    /// Sets the answer: the input's first byte chooses the status, the second one headers; then comes the body.
    fn set(&self, input: &[u8]) -> Input {
        let status = STATUSES[usize::from(input.first().copied().unwrap_or_default()) % STATUSES.len()];
        let retry_after = match input.get(1).copied().unwrap_or_default() % 4 {
            0 => None,
            1 => Some("5"),
            2 => Some("Wed, 21 Oct 2026 07:28:00 GMT"),
            _ => Some("18446744073709551616"),
        };
        let given = input.get(2..).unwrap_or_default();
        let body = match std::str::from_utf8(given) {
            Ok(text) => text.replace(ORIGIN, &self.origin).into_bytes(),
            Err(_) => given.to_owned(),
        };
        let wrapped = String::from_utf8_lossy(&body).contains("ExtensionError") || body.contains(&b'\\');
        let answer = Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            retry_after: retry_after.map(HeaderValue::from_static),
            body,
            requests: 0,
        };
        *self.shared.lock().unwrap_or_else(PoisonError::into_inner) = answer;
        Input { status, wrapped }
    }

    fn requests(&self) -> usize {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner).requests
    }

    fn token(&self) -> AccessToken {
        AccessToken::new(TENANT.parse().expect("a GUID"), ACCESS_TOKEN.to_owned(), self.now, self.now)
    }
}

/// What is known of an answer beforehand.
struct Input {
    status: u16,
    /// The body may say that another service refused, with another status.
    wrapped: bool,
}

/// The input is an answer of Graph's, and to which call. An error says what its status means and repeats no secret, no call
/// succeeds under a status that is none of success, and a list is never followed to another host.
///
/// # Panics
/// If that is not so.
pub fn graph_answers(data: &[u8]) {
    let Some((&call, answer)) = data.split_first() else { return };
    STAGE.with(|stage| {
        let input = stage.set(answer);
        let token = stage.token();
        let endpoint =
            GraphEndpoint::parse(&format!("{}/v1.0", stage.origin), AllowedHosts::Published).expect("an address");
        let graph = Graph::new(stage.client.clone(), endpoint.clone());
        let error = stage.runtime.block_on(async {
            match call % 6 {
                0 => graph.list(&token).await.map_or_else(Some, |listing| listing.cut_short),
                1 => graph.get(&token, "an/id?").await.err(),
                2 => create(&graph, &token, stage.now).await.err(),
                3 => {
                    let renewal = Renewal { expires_at: stage.now, certificate: None };
                    graph.renew(&token, "an-id", &renewal).await.err()
                }
                4 => graph.delete(&token, "an-id").await.err(),
                _ => {
                    let app = CLIENT.parse().expect("a GUID");
                    service_principal::fetch(&stage.client, &endpoint, &token, app).await.err()
                }
            }
        });
        let most = if call % 6 == 0 { MOST_PAGES } else { 1 };
        assert!((1..=most).contains(&stage.requests()), "{} requests", stage.requests());
        let secrets = if call % 6 == 2 { &[ACCESS_TOKEN, CLIENT_STATE][..] } else { &[ACCESS_TOKEN] };
        match error {
            Some(error) => check_graph_error(&error, secrets, &input),
            None => assert!((200..300).contains(&input.status), "status {} passes for success", input.status),
        }
    });
}

async fn create(
    graph: &Graph,
    token: &AccessToken,
    now: Timestamp,
) -> Result<graph_subscriptions::Subscription, GraphError> {
    let policies = Policies::parse("Global", TENANT.parse().expect("a GUID")).expect("a policy");
    let policy: &Policy = policies.iter().next().expect("a policy");
    let new = NewSubscription {
        policy,
        notification_url: "https://receiver.example/notifications",
        expires_at: now,
        certificate: "MIIB",
        certificate_id: "key-1",
        client_state: &ClientState::from(CLIENT_STATE.to_owned()),
    };
    graph.create(token, &new).await
}

fn check_graph_error(error: &GraphError, secrets: &[&str], input: &Input) {
    check_shown(error, secrets, &error.message);
    for text in error.code.iter().chain(&error.request_id) {
        assert!(text.chars().count() <= LONGEST_TEXT && !text.contains(char::is_control));
    }
    let GraphError { kind, status, .. } = error;
    if matches!(kind, GraphErrorKind::Unexpected | GraphErrorKind::Transport) || input.wrapped {
        return;
    }
    assert_eq!(*status, Some(input.status));
    let expected: &[GraphErrorKind] = match input.status {
        400 => &[GraphErrorKind::Invalid, GraphErrorKind::HandshakeFailed, GraphErrorKind::UnknownResource],
        401 => &[GraphErrorKind::Unauthorized],
        403 => &[GraphErrorKind::Forbidden],
        404 | 410 => &[GraphErrorKind::NotFound, GraphErrorKind::UnknownResource],
        409 => &[GraphErrorKind::Conflict],
        429 => &[GraphErrorKind::Throttled],
        408 | 500.. => &[GraphErrorKind::Unavailable],
        other => panic!("status {other} is {kind:?}"),
    };
    assert!(expected.contains(kind), "status {} is {kind:?}", input.status);
}

/// An error as operators see it: without what was secret in the request, bounded, and its foreign text on one line.
fn check_shown(error: &(impl Display + Debug), secrets: &[&str], message: &str) {
    let shown = format!("{error} {error:?}");
    for secret in secrets {
        assert!(!shown.contains(secret), "a secret is shown: {shown}");
    }
    assert!(message.chars().count() <= LONGEST_TEXT && !message.contains(char::is_control), "{message}");
}

/// The input is an answer of Entra's, and to which call. No token and no keys come of a status that is none of success,
/// no token is good for ever, and an error repeats no secret.
///
/// # Panics
/// If that is not so.
pub fn entra_answers(data: &[u8]) {
    let Some((&call, answer)) = data.split_first() else { return };
    STAGE.with(|stage| {
        let input = stage.set(answer);
        let login = LoginEndpoint::parse(&stage.origin, AllowedHosts::Published).expect("an address");
        let tenant = TENANT.parse().expect("a GUID");
        match call % 4 {
            choice @ 0..=1 => {
                let (credential, secrets) = match choice {
                    0 => (Credential::ClientSecret(CLIENT_SECRET.to_owned()), &[CLIENT_SECRET][..]),
                    _ => (Credential::Federated(ASSERTION.to_owned()), &[ASSERTION, SIGNATURE][..]),
                };
                let app = CLIENT.parse().expect("a GUID");
                let token = entra::token(&stage.client, &login, tenant, app, &credential, "a-scope", stage.now);
                match stage.runtime.block_on(token) {
                    Ok(token) => {
                        assert_eq!(input.status, 200);
                        let life = token.expires_at().duration_since(stage.now);
                        assert!((0..=7 * 24).contains(&life.as_hours()) && life >= SignedDuration::ZERO);
                        let _ = token.roles();
                    }
                    Err(error) => {
                        check_shown(&error, secrets, &error.message);
                        let passing = input.status == 429 || input.status >= 500;
                        assert!(error.is_retryable() || !passing, "a passing failure is taken for good");
                    }
                }
            }
            choice => {
                let version = TokenVersion::ALL[usize::from(choice - 2)];
                let keys = signing_keys::fetch(&stage.client, &login, tenant, version, stage.now);
                match stage.runtime.block_on(keys) {
                    Ok(keys) => {
                        assert_eq!(input.status, 200);
                        assert!(!keys.keys.is_empty() && keys.fetched_at == stage.now);
                    }
                    Err(error) => {
                        check_shown(&error, &[], "");
                        let passing = input.status == 429 || input.status >= 500;
                        assert!(error.is_retryable() || !passing, "a passing failure is taken for good");
                    }
                }
            }
        }
        assert_eq!(stage.requests(), 1);
    });
}

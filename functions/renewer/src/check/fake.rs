//! Surroundings for the tests of the check: all is well in them until a test breaks something. Whoever tries to change
//! something there is stopped.

use std::{cell::RefCell, collections::BTreeMap, future::pending, sync::OnceLock, time::Duration};

use graph_notifications::{
    ClientState, ClientStateKey, KeyPair, Keyring, Policy, SigningKeys, TenantId, certificate::KeySize,
    client_state::StoredClientState, keyring::StoredKeyPair, signing_keys::SigningKey,
};
use graph_subscriptions::{
    AccessToken, Credential, GraphError, Listing, NewSubscription, Renewal, ServicePrincipal, Subscription, TokenError,
    signing_keys::{SigningKeysError, TokenVersion},
};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{environment::Environment, topic::SecondTopic};
use zeroize::Zeroizing;

use super::ports::{AppSettings, SecondWay};
use crate::{
    config::Config,
    filter_policy::FilterPolicy,
    ports::{
        Alarm, Alarms, Endpoint, EventBus, HandshakeAnswer, Host, LeaseName, Microsoft, OutsideError, Secrets,
        StateTable, StoredSecret, Subscribers, Subscriptions, Topics, WebIdentity,
    },
    records::Health,
    records::Record,
    subscriber::Subscriber,
};

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const OTHER: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
pub(crate) const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);
pub(crate) const SECOND_TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:Alerts";
pub(crate) const URL: &str = "https://example.org/notifications";

/// What must never be read aloud.
pub(crate) const CLIENT_SECRET: &str = "hunter2-client-secret";
pub(crate) const CLIENT_STATE: &str = "hunter2-client-state";
/// `{"roles":["CallEvents-Emergency.Read.All"]}` between a header and a signature.
pub(crate) const ACCESS_TOKEN: &str =
    "eyJhIjoxfQ.eyJyb2xlcyI6WyJDYWxsRXZlbnRzLUVtZXJnZW5jeS5SZWFkLkFsbCJdfQ.hunter2-access-token";
/// `{"iss":"https://x.tokens.sts.global.api.aws","sub":"arn:aws:iam::1:role/renewer","aud":"api://AzureADTokenExchange"}`.
pub(crate) const WEB_IDENTITY: &str = "eyJhIjoxfQ.eyJpc3MiOiJodHRwczovL3gudG9rZW5zLnN0cy5nbG9iYWwuYXBpLmF3cyIsInN1YiI6ImFybjphd3M6aWFtOjoxOnJvbGUvcmVuZXdlciIsImF1ZCI6ImFwaTovL0F6dXJlQURUb2tlbkV4Y2hhbmdlIn0.hunter2-web-identity";

/// The configuration, with these policies and a client secret.
pub(crate) fn config(policies: &str) -> Config {
    config_with("Secret", policies)
}

/// The configuration, with this kind of credential.
pub(crate) fn config_with(credential: &str, policies: &str) -> Config {
    Config::read(&Environment(&|name| {
        let value = match name {
            "TENANT_ID" => TENANT,
            "CLIENT_ID" => "99999999-8888-7777-6666-555555555555",
            "POLICY_NAMES" => policies,
            "GRAPH_ENDPOINT" => "https://graph.microsoft.com/v1.0",
            "LOGIN_ENDPOINT" => "https://login.microsoftonline.com",
            "NOTIFICATION_URL" => URL,
            "GRAPH_CREDENTIAL" => credential,
            "CLIENT_SECRET_ID" => "client-secret",
            "CLIENT_SECRET_EXPIRES_ON" => "2026-11-24",
            "APP_CERTIFICATES_SECRET_ID" => "app-certificates",
            "KEY_ROTATION_DAYS" => "90",
            "KEYRING_SECRET_ID" => "keyring",
            "STATE_TABLE_NAME" => "table",
            "EVENT_BUS_NAME" => "bus",
            "ALERT_TOPIC_ARN" => "arn:alerts",
            "SECOND_ALERT_TOPIC_ARN" => SECOND_TOPIC,
            "AWS_REGION" => "us-east-1",
            "TEST_TOPIC_ARN" => "arn:tests",
            "OPERATIONS_TOPIC_ARN" => "arn:operations",
            "CHAT_TOPIC_ARN" => "arn:chat",
            "STACK_NAME" => "stack",
            "STACK_ID" => "arn:aws:cloudformation:us-east-1:123456789012:stack/stack/0b1f",
            "TIME_ZONE" => "UTC",
            "LANGUAGE" => "en",
            "AWS_LAMBDA_FUNCTION_NAME" => "renewer",
            _ => return None,
        };
        Some(value.to_owned())
    }))
    .unwrap()
}

/// A policy of the home tenant.
pub(crate) fn policy(name: &str) -> Policy {
    Policy { tenant: TENANT.parse().unwrap(), name: name.parse().unwrap() }
}

/// One for all tests: key pairs are dear to make. Valid for a year from now.
pub(crate) fn pair() -> &'static KeyPair {
    static PAIR: OnceLock<KeyPair> = OnceLock::new();
    let day = SignedDuration::from_hours(24);
    PAIR.get_or_init(|| KeyPair::generate(KeySize::Rsa2048, NOW - day, NOW + day * 365).unwrap())
}

/// The app's certificates as they are stored, the oldest first, all the same one.
pub(crate) fn stored_certificates(count: usize) -> String {
    let one = serde_json::json!({
        "certificate": pair().certificate_base64().unwrap(),
        "privateKey": pair().private_key_base64().unwrap().as_str(),
        "createdAt": NOW,
    });
    serde_json::json!({"version": 1, "certificates": vec![one; count]}).to_string()
}

pub(crate) fn subscription(id: &str, name: &str) -> Subscription {
    Subscription {
        id: id.to_owned(),
        resource: policy(name).resource(),
        notification_url: URL.to_owned(),
        lifecycle_notification_url: Some(URL.to_owned()),
        expires_at: NOW + SignedDuration::from_mins(23 * 60 + 20),
        encryption_certificate_id: Some("key-1".to_owned()),
    }
}

pub(crate) fn record(id: Option<&str>) -> Record {
    Record {
        policy: policy("Global"),
        subscription_id: id.map(ToOwned::to_owned),
        client_state_id: "state-1".to_owned(),
        certificate_id: "key-1".to_owned(),
        subscription_expires_at: Some(NOW + SignedDuration::from_hours(20)),
        replaces: None,
        tampered_at: None,
        updated_at: NOW - SignedDuration::from_mins(10),
    }
}

fn signing_keys(now: Timestamp) -> SigningKeys {
    let key = |kid: &str| SigningKey { kid: kid.to_owned(), n: "xw".to_owned(), e: "AQAB".to_owned(), issuer: None };
    SigningKeys { fetched_at: now, keys: vec![key("kid-1"), key("kid-2")] }
}

pub(crate) struct Fake {
    pub(crate) secrets: BTreeMap<&'static str, String>,
    pub(crate) web_identity: Result<&'static str, OutsideError>,
    /// What Entra answers to each request for a token, in turn; the last answer stays.
    pub(crate) tokens: RefCell<Vec<Result<&'static str, TokenError>>>,
    /// Nothing ever answers.
    pub(crate) silent: bool,
    /// Graph's list leaves everything out.
    pub(crate) list_is_empty: bool,
    pub(crate) slept: RefCell<Vec<Duration>>,
    pub(crate) names: RefCell<u32>,
}

impl Fake {
    pub(crate) fn new() -> Self {
        let keyring = Keyring {
            keys: vec![StoredKeyPair {
                certificate_id: "key-1".to_owned(),
                pair: pair().clone(),
                created_at: NOW - SignedDuration::from_hours(24),
                retired_at: None,
                revoked_at: None,
            }],
            client_state_keys: Vec::new(),
            client_states: vec![StoredClientState {
                id: "state-1".to_owned(),
                value: ClientState::from(CLIENT_STATE.to_owned()),
                created_at: NOW,
                retired_at: None,
            }],
            signing_keys: Some(signing_keys(NOW - SignedDuration::from_hours(1))),
        };
        Self {
            secrets: BTreeMap::from([
                ("client-secret", CLIENT_SECRET.to_owned()),
                ("keyring", keyring.to_json().unwrap().to_string()),
                ("app-certificates", stored_certificates(1)),
            ]),
            web_identity: Ok(WEB_IDENTITY),
            tokens: RefCell::new(vec![Ok(ACCESS_TOKEN)]),
            silent: false,
            list_is_empty: false,
            slept: RefCell::default(),
            names: RefCell::default(),
        }
    }

    /// How long it was waited for those that never answer, the longest wait.
    pub(crate) fn waited(&self) -> Duration {
        self.slept.borrow().iter().max().copied().unwrap_or_default()
    }

    async fn answer<T>(&self, answer: T) -> T {
        if self.silent { pending().await } else { answer }
    }
}

impl Microsoft for Fake {
    async fn token(&self, tenant: TenantId, _: &Credential, now: Timestamp) -> Result<AccessToken, TokenError> {
        let next = {
            let mut tokens = self.tokens.borrow_mut();
            if tokens.len() > 1 { tokens.remove(0) } else { tokens[0].clone() }
        };
        let hour = SignedDuration::from_hours(1);
        self.answer(next.map(|text| AccessToken::new(tenant, text.to_owned(), now, now + hour))).await
    }

    async fn signing_keys(
        &self,
        _: TenantId,
        _: TokenVersion,
        now: Timestamp,
    ) -> Result<SigningKeys, SigningKeysError> {
        self.answer(Ok(signing_keys(now))).await
    }

    async fn list(&self, _: &AccessToken) -> Result<Listing, GraphError> {
        let subscriptions = if self.list_is_empty { Vec::new() } else { vec![subscription("s1", "Global")] };
        self.answer(Ok(Listing { subscriptions, ..Listing::default() })).await
    }

    async fn get(&self, _: &AccessToken, id: &str) -> Result<Subscription, GraphError> {
        self.answer(Ok(subscription(id, "Global"))).await
    }

    async fn create(&self, _: &AccessToken, _: &NewSubscription<'_>) -> Result<Subscription, GraphError> {
        unreachable!("a check changes nothing")
    }

    async fn renew(&self, _: &AccessToken, _: &str, _: &Renewal<'_>) -> Result<Subscription, GraphError> {
        unreachable!("a check changes nothing")
    }

    async fn delete(&self, _: &AccessToken, _: &str) -> Result<(), GraphError> {
        unreachable!("a check changes nothing")
    }
}

impl AppSettings for Fake {
    async fn service_principal(&self, _: &AccessToken) -> Result<ServicePrincipal, GraphError> {
        self.answer(Ok(ServicePrincipal { app_role_assignment_required: false, account_enabled: true })).await
    }
}

impl WebIdentity for Fake {
    async fn web_identity_token(&self, audience: &str) -> Result<Zeroizing<String>, OutsideError> {
        assert_eq!(audience, "api://AzureADTokenExchange");
        self.answer(self.web_identity.clone().map(|token| Zeroizing::new(token.to_owned()))).await
    }
}

impl Secrets for Fake {
    async fn read(&self, id: &str) -> Result<Option<StoredSecret>, OutsideError> {
        let stored = |value: &String| StoredSecret { value: Zeroizing::new(value.clone()), version: "v1".to_owned() };
        self.answer(Ok(self.secrets.get(id).map(stored))).await
    }

    async fn replace(&self, _: &str, _: Option<&str>, _: &str) -> Result<bool, OutsideError> {
        unreachable!("a check changes nothing")
    }
}

impl StateTable for Fake {
    async fn take_lease(&self, _: LeaseName, _: &str, _: Timestamp, _: Timestamp) -> Result<bool, OutsideError> {
        unreachable!("a check changes nothing")
    }

    async fn release_lease(&self, _: LeaseName, _: &str) -> Result<(), OutsideError> {
        unreachable!("a check changes nothing")
    }

    async fn records(&self) -> Result<Vec<Record>, OutsideError> {
        self.answer(Ok(vec![record(Some("s1"))])).await
    }

    async fn put_record(&self, _: &Record) -> Result<(), OutsideError> {
        unreachable!("a check changes nothing")
    }

    async fn delete_record(&self, _: &Policy) -> Result<(), OutsideError> {
        unreachable!("a check changes nothing")
    }

    async fn note_reconciled(&self, _: Timestamp) -> Result<(), OutsideError> {
        unreachable!("a check changes nothing")
    }

    async fn lifecycle_run(&self) -> Result<Option<Timestamp>, OutsideError> {
        unreachable!("a check is no run")
    }

    async fn announce_lifecycle_run(&self, _: Option<Timestamp>, _: Timestamp) -> Result<bool, OutsideError> {
        unreachable!("a check changes nothing")
    }
}

impl EventBus for Fake {
    async fn put_health(&self, _: &Health) -> Result<(), OutsideError> {
        unreachable!("a check tells nobody else")
    }
}

impl Host for Fake {
    fn now(&self) -> Timestamp {
        NOW
    }

    async fn sleep(&self, duration: Duration) {
        self.slept.borrow_mut().push(duration);
    }

    fn chance(&self) -> f64 {
        0.5
    }

    fn short_name(&self) -> Result<String, OutsideError> {
        let mut names = self.names.borrow_mut();
        *names += 1;
        Ok(format!("{:08x}", *names))
    }

    fn client_state_key(&self) -> Result<ClientStateKey, OutsideError> {
        unreachable!("a check makes nothing")
    }

    fn key_pair(&self, _: Timestamp, _: Timestamp) -> Result<KeyPair, OutsideError> {
        unreachable!("a check makes nothing")
    }

    fn emit(&self, _: &str) {
        unreachable!("a check counts nothing")
    }
}

impl Topics for Fake {
    async fn subscribers(&self, topic_arn: &str) -> Result<Subscribers, OutsideError> {
        let confirmed = match topic_arn {
            "arn:alerts" => 3,
            "arn:tests" | SECOND_TOPIC => 2,
            "arn:operations" | "arn:chat" => 1,
            other => unreachable!("{other} is no topic of the stack"),
        };
        self.answer(Ok(Subscribers { confirmed, pending: 0 })).await
    }
}

impl Subscriptions for Fake {
    async fn list_subscribers(&self, _: &str) -> Result<Vec<Subscriber>, OutsideError> {
        self.answer(Ok(vec![Subscriber::listed("email", "ann@example.com", "arn")])).await
    }

    async fn filter_policy(&self, _: &str, _: &str) -> Result<Option<FilterPolicy>, OutsideError> {
        self.answer(Ok(None)).await
    }
}

impl SecondWay for Fake {
    async fn reach(&self, topic: &SecondTopic) -> Result<Duration, OutsideError> {
        assert_eq!(topic.arn(), SECOND_TOPIC);
        self.answer(Ok(Duration::from_millis(93))).await
    }
}

impl Alarms for Fake {
    async fn alarms(&self) -> Result<Vec<Alarm>, OutsideError> {
        let alarm = |name: &str| Alarm { name: name.to_owned(), state: "OK".to_owned(), description: String::new() };
        self.answer(Ok(vec![alarm("stack-RenewerErrors-1"), alarm("stack-ReceiverErrors-1")])).await
    }
}

impl Endpoint for Fake {
    async fn handshake(&self, url: &str, token: &str) -> Result<HandshakeAnswer, OutsideError> {
        assert_eq!(url, URL);
        let content_type = "text/plain; charset=utf-8".to_owned();
        self.answer(Ok(HandshakeAnswer { status: 200, content_type, body: token.to_owned() })).await
    }
}

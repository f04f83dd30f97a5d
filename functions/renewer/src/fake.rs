//! A world for tests: an Entra, a Graph, AWS and a clock that live in memory, can be told to fail, and can end the run
//! at any step. It checks by itself what must hold at every call.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, VecDeque},
    future::pending,
    sync::OnceLock,
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use graph_notifications::{
    ClientStateKey, KeyPair, Keyring, Policy, SigningKeys, TenantId, certificate::KeySize, keyring::StoredKeyPair,
    probe, signing_keys::SigningKey,
};
use graph_subscriptions::{
    AccessToken, Credential, GraphError, GraphErrorKind, Listing, NewSubscription, Renewal, ServicePrincipal,
    Subscription, TokenError,
    signing_keys::{SigningKeysError, TokenVersion},
};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{environment::Environment, event::BusEvent, publication::Publication, topic::SecondTopic};
use serde_json::json;
use tokio::sync::Notify;
use zeroize::Zeroizing;

use crate::{
    check::ports::{AppSettings, SecondWay},
    config::Config,
    drill::ports::{Publish, PutCall},
    filter_policy::FilterPolicy,
    keyring::client_state,
    ports::{
        Alarm, Alarms, Deployment, Endpoint, EventBus, HandshakeAnswer, Host, LeaseName, Microsoft, OutsideError,
        Secrets, StateTable, StoredSecret, Subscribers, Subscriptions, Topics, WebIdentity,
    },
    records::Health,
    records::{Record, sort_key},
    report::Report,
    run::{Asked, Invocation, reconcile},
    subscriber::Subscriber,
    watch::ports::{Diary, Notes, PostProbe, SealProbe},
};

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const OTHER: &str = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee";
pub(crate) const START: Timestamp = Timestamp::constant(1_764_000_000, 0);
pub(crate) const URL: &str = "https://example.org/notifications";
pub(crate) const SECOND_TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:Alerts";
pub(crate) const STACK: &str = "arn:aws:cloudformation:us-east-1:123456789012:stack/stack/0b1f";
const WEB_IDENTITY: &str = "the-web-identity";

/// The configuration, with these policies.
pub(crate) fn config(policies: &str) -> Config {
    Config::read(&Environment(&|name| {
        Some(match name {
            "TENANT_ID" => TENANT.to_owned(),
            "CLIENT_ID" => "99999999-8888-7777-6666-555555555555".to_owned(),
            "POLICY_NAMES" => policies.to_owned(),
            "GRAPH_ENDPOINT" => "https://graph.microsoft.com/v1.0".to_owned(),
            "LOGIN_ENDPOINT" => "https://login.microsoftonline.com".to_owned(),
            "NOTIFICATION_URL" => URL.to_owned(),
            "GRAPH_CREDENTIAL" => "Secret".to_owned(),
            "CLIENT_SECRET_ID" => "client-secret".to_owned(),
            "KEY_ROTATION_DAYS" => "90".to_owned(),
            "KEYRING_SECRET_ID" => "keyring".to_owned(),
            "STATE_TABLE_NAME" => "table".to_owned(),
            "EVENT_BUS_NAME" => "bus".to_owned(),
            "ALERT_TOPIC_ARN" => "arn:alerts".to_owned(),
            "SECOND_ALERT_TOPIC_ARN" => SECOND_TOPIC.to_owned(),
            "AWS_REGION" => "us-east-1".to_owned(),
            "TEST_TOPIC_ARN" => "arn:tests".to_owned(),
            "OPERATIONS_TOPIC_ARN" => "arn:operations".to_owned(),
            "STACK_NAME" => "stack".to_owned(),
            "STACK_ID" => STACK.to_owned(),
            "TIME_ZONE" => "UTC".to_owned(),
            "LANGUAGE" => "en".to_owned(),
            "AWS_LAMBDA_FUNCTION_NAME" => "renewer".to_owned(),
            _ => return None,
        })
    }))
    .unwrap()
}

/// A policy of the home tenant.
pub(crate) fn policy(name: &str) -> Policy {
    Policy { tenant: TENANT.parse().unwrap(), name: name.parse().unwrap() }
}

/// A subscription in the fake Graph, with what Graph tells nobody.
#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub(crate) tenant: TenantId,
    pub(crate) subscription: Subscription,
    pub(crate) client_state: String,
}

/// How an operation fails once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// Graph answers with this and does nothing.
    Refuses(GraphErrorKind),
    /// Graph does it, and the answer is lost.
    AnswerLost,
    /// Graph asks to wait for this many seconds.
    AsksToWait(u64),
    /// Graph has forgotten the subscription.
    Vanishes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Death {
    BeforeStep(usize),
    AfterStep(usize),
}

#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a switch that a test throws")]
pub(crate) struct State {
    pub(crate) elapsed: SignedDuration,
    pub(crate) secrets: BTreeMap<String, String>,
    pub(crate) lease: Option<(String, Timestamp)>,
    pub(crate) monitor_lease: Option<(String, Timestamp)>,
    pub(crate) lifecycle_run: Option<Timestamp>,
    pub(crate) reconciled_at: Option<Timestamp>,
    pub(crate) latest_notification: Option<Timestamp>,
    pub(crate) notes: Option<Notes>,
    pub(crate) notes_fail: bool,
    /// How many subscribers each topic has; one if nothing else is said, `None` if they cannot be counted.
    pub(crate) subscribers: BTreeMap<String, Option<u64>>,
    /// The filter policy that every subscriber of a topic has; none if nothing else is said, `None` if it cannot be
    /// read.
    pub(crate) filters: BTreeMap<String, Option<&'static str>>,
    /// What the notification address answers to a probe; 202 if nothing else is said.
    pub(crate) answer: Option<Result<u16, OutsideError>>,
    pub(crate) probes: Vec<String>,
    /// What CloudFormation was told, and how often it does not listen before.
    pub(crate) answers: Vec<(String, serde_json::Value)>,
    pub(crate) deaf_deployment: u32,
    /// The digests of the certificates that are uploaded to Entra; `None` if any does.
    pub(crate) uploaded: Option<Vec<String>>,
    pub(crate) records: BTreeMap<String, Record>,
    pub(crate) held: Vec<Held>,
    pub(crate) events: Vec<Health>,
    pub(crate) lines: Vec<String>,
    pub(crate) calls: Vec<String>,
    pub(crate) sleeps: Vec<Duration>,
    /// Operation, policy or subscription (or "" for any), fault.
    pub(crate) faults: VecDeque<(&'static str, &'static str, Fault)>,
    pub(crate) table_down: bool,
    /// How often the lease cannot be given back.
    pub(crate) releases_fail: usize,
    /// The table takes records and gives none.
    pub(crate) records_unreadable: bool,
    /// Whether records can be read and not written.
    pub(crate) records_unwritable: bool,
    /// A secret that can be neither read nor written.
    pub(crate) secret_down: Option<String>,
    /// What AWS answers to who asks for a web identity; a right one if nothing else is said.
    pub(crate) web_identity: Option<Result<String, OutsideError>>,
    pub(crate) bus_down: bool,
    pub(crate) sns_down: bool,
    pub(crate) signing_keys_down: bool,
    /// So many documents of signing keys are not given out at first.
    pub(crate) signing_keys_fail: u32,
    pub(crate) keyring_writes_fail: bool,
    /// What another run writes, into which secret, just before the next writings.
    pub(crate) written_meanwhile: VecDeque<(String, String)>,
    pub(crate) entra_refuses: Option<TenantId>,
    pub(crate) refused_tokens: u32,
    pub(crate) certificate_patch_ignored: bool,
    /// How Graph refuses a renewal that brings another certificate.
    pub(crate) certificate_patch_refused: Option<GraphErrorKind>,
    /// Graph says of no subscription for which certificate it encrypts.
    pub(crate) certificates_hidden: bool,
    /// So many readings of secrets are denied.
    pub(crate) denied_reads: u32,
    /// Graph answers to renewals as asked, and does nothing.
    pub(crate) renewals_echoed: bool,
    /// What Entra's refusals are numbered; 700027 if nothing else is said.
    pub(crate) refusal: Option<u32>,
    /// Calls whose text begins so take so long and come to nothing.
    pub(crate) slow: Option<(String, SignedDuration)>,
    pub(crate) shortens_to: Option<SignedDuration>,
    pub(crate) hidden_from_next_list: bool,
    /// What Graph lists in place of what there is.
    pub(crate) lies: Option<Listing>,
    /// Subscriptions are named as Graph names them, so that a conflict can name one.
    pub(crate) names_guids: bool,
    pub(crate) call_takes: SignedDuration,
    pub(crate) kids: Vec<String>,
    /// When the time of each is over who lets time pass, in the order of their coming.
    waiting: BTreeSet<(SignedDuration, u64)>,
    waits: u64,
    steps: usize,
    death: Option<Death>,
    dead: bool,
    names: u32,
}

fn of_lease(name: LeaseName) -> &'static str {
    match name {
        LeaseName::Subscriptions => "",
        LeaseName::Monitor => " to monitor",
    }
}

impl State {
    fn lease_of(&mut self, name: LeaseName) -> &mut Option<(String, Timestamp)> {
        match name {
            LeaseName::Subscriptions => &mut self.lease,
            LeaseName::Monitor => &mut self.monitor_lease,
        }
    }

    /// A subscription as Graph shows it.
    fn shown(&self, subscription: &Subscription) -> Subscription {
        let mut shown = subscription.clone();
        shown.encryption_certificate_id = shown.encryption_certificate_id.filter(|_| !self.certificates_hidden);
        shown
    }
}

pub(crate) struct Fake {
    pub(crate) state: RefCell<State>,
    died: Notify,
}

/// Somebody who lets time pass, until it is over or given up.
struct Waiting<'a> {
    fake: &'a Fake,
    end: (SignedDuration, u64),
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.fake.state.borrow_mut().waiting.remove(&self.end);
    }
}

impl Fake {
    pub(crate) fn new() -> Self {
        let state = State {
            secrets: BTreeMap::from([("client-secret".to_owned(), "hunter2\n".to_owned())]),
            kids: vec!["kid-1".to_owned()],
            ..State::default()
        };
        Self { state: RefCell::new(state), died: Notify::new() }
    }

    /// A run that is not interrupted.
    pub(crate) async fn run(&self, config: &Config) -> Report {
        self.run_for(config, &Asked::BySchedule).await
    }

    /// A run that somebody asked for.
    pub(crate) async fn run_for(&self, config: &Config, asked: &Asked) -> Report {
        reconcile(self, config, self.invocation(), asked).await
    }

    /// A run that dies; `None` if it did, its report if it ended before that.
    pub(crate) async fn run_until(&self, config: &Config, asked: &Asked, death: Death) -> Option<Report> {
        {
            let mut state = self.state.borrow_mut();
            (state.steps, state.death) = (0, Some(death));
        }
        let report = tokio::select! {
            biased;
            report = reconcile(self, config, self.invocation(), asked) => Some(report),
            () = self.died.notified() => None,
        };
        let mut state = self.state.borrow_mut();
        (state.death, state.dead) = (None, false);
        report
    }

    pub(crate) fn invocation(&self) -> Invocation<'static> {
        Invocation { owner: "me", ends_at: self.now() + SignedDuration::from_secs(300) }
    }

    pub(crate) fn advance(&self, by: SignedDuration) {
        self.state.borrow_mut().elapsed += by;
    }

    pub(crate) fn fault(&self, operation: &'static str, about: &'static str, fault: Fault) {
        self.state.borrow_mut().faults.push_back((operation, about, fault));
    }

    /// A subscription that somebody created at some time.
    pub(crate) fn hold(&self, id: &str, policy: &Policy, url: &str, client_state: &str) {
        let subscription = Subscription {
            id: id.to_owned(),
            resource: policy.resource(),
            notification_url: url.to_owned(),
            lifecycle_notification_url: Some(url.to_owned()),
            expires_at: self.now() + SignedDuration::from_hours(12),
            encryption_certificate_id: Some("key-old".to_owned()),
        };
        let held = Held { tenant: policy.tenant, subscription, client_state: client_state.to_owned() };
        self.state.borrow_mut().held.push(held);
    }

    pub(crate) fn held(&self, id: &str, change: impl FnOnce(&mut Subscription)) {
        let mut state = self.state.borrow_mut();
        change(&mut state.held.iter_mut().find(|held| held.subscription.id == id).unwrap().subscription);
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.state.borrow().held.iter().map(|held| held.subscription.id.clone()).collect()
    }

    pub(crate) fn keyring(&self) -> Keyring {
        Keyring::from_json(&self.state.borrow().secrets["keyring"]).unwrap()
    }

    pub(crate) fn called(&self, start: &str) -> usize {
        self.state.borrow().calls.iter().filter(|call| call.starts_with(start)).count()
    }

    /// Each policy has exactly one subscription, whose notifications the receiver can authenticate and read, and the
    /// state table knows it.
    pub(crate) fn assert_sound(&self, config: &Config) {
        let keyring = self.keyring();
        let state = self.state.borrow();
        for policy in config.policies.iter() {
            let resource = policy.resource();
            let held: Vec<_> = state
                .held
                .iter()
                .filter(|held| held.tenant == policy.tenant && held.subscription.resource == resource)
                .collect();
            assert_eq!(held.len(), 1, "{policy:?}: {held:?}");
            let (held, record) = (held[0], &state.records[&sort_key(policy)]);
            assert_eq!(held.subscription.notification_url, URL);
            assert_eq!(record.subscription_id.as_ref(), Some(&held.subscription.id));
            assert_eq!(record.subscription_expires_at, Some(held.subscription.expires_at));
            let known = client_state(&keyring, &record.client_state_id, policy).unwrap();
            assert!(known.matches(&held.client_state), "{policy:?}");
            let certificate = held.subscription.encryption_certificate_id.as_deref();
            assert!(keyring.keys.iter().any(|key| Some(key.certificate_id.as_str()) == certificate), "{policy:?}");
            assert!(held.subscription.expires_at > START + state.elapsed, "{policy:?}");
        }
        assert!(state.lease.is_none(), "the lease was not given back");
    }

    async fn step<T>(&self, call: String, effect: impl FnOnce(&mut State) -> T) -> T {
        let step = {
            let mut state = self.state.borrow_mut();
            state.calls.push(call);
            state.steps += 1;
            state.steps
        };
        self.live(Death::BeforeStep(step)).await;
        let result = effect(&mut self.state.borrow_mut());
        self.live(Death::AfterStep(step)).await;
        result
    }

    /// Never returns once the run has died.
    async fn live(&self, moment: Death) {
        let dead = {
            let mut state = self.state.borrow_mut();
            state.dead |= state.death == Some(moment);
            state.dead
        };
        if dead {
            self.died.notify_one();
            pending::<()>().await;
        }
    }

    async fn graph<T>(
        &self,
        operation: &'static str,
        about: &str,
        token: &AccessToken,
        effect: impl FnOnce(&mut State, Timestamp) -> Result<T, GraphError>,
    ) -> Result<T, GraphError> {
        let now = self.now();
        if self.slow_down(&format!("{operation} {}", token.tenant())).await {
            return Err(error(GraphErrorKind::Transport));
        }
        let age = now.duration_since(token.obtained_at());
        assert!(age <= SignedDuration::from_secs(60), "{operation} with a token of {age}");
        self.step(format!("{operation} {about}"), |state| {
            state.elapsed += state.call_takes;
            // What has ended is gone.
            state.held.retain(|held| held.subscription.expires_at > now);
            if state.refused_tokens > 0 {
                state.refused_tokens -= 1;
                return Err(error(GraphErrorKind::Unauthorized));
            }
            let fault = state.faults.iter().position(|(of, on, _)| *of == operation && (on.is_empty() || *on == about));
            match fault.and_then(|index| state.faults.remove(index)).map(|(.., fault)| fault) {
                Some(Fault::Refuses(kind)) => Err(error(kind)),
                Some(Fault::AsksToWait(seconds)) => {
                    let retry_after = Some(Duration::from_secs(seconds));
                    Err(GraphError { retry_after, ..error(GraphErrorKind::Throttled) })
                }
                Some(Fault::Vanishes) => {
                    state.held.retain(|held| held.subscription.id != about);
                    Err(error(GraphErrorKind::NotFound))
                }
                Some(Fault::AnswerLost) => effect(state, now).and_then(|_| Err(error(GraphErrorKind::Transport))),
                None => effect(state, now),
            }
        })
        .await
    }

    /// A call of the state table, which does nothing while the table is down or does not answer.
    async fn table<T>(&self, call: String, effect: impl FnOnce(&mut State) -> T) -> Result<T, OutsideError> {
        let slow = self.slow_down(&format!("table {call}")).await;
        self.step(call, |state| if slow || state.table_down { Err(down("DynamoDB")) } else { Ok(effect(state)) }).await
    }

    /// Takes the time of a slow call, beside other slow calls; says whether it was one.
    async fn slow_down(&self, call: &str) -> bool {
        let slow = self.state.borrow().slow.clone();
        let Some((_, length)) = slow.filter(|(start, _)| call.starts_with(start.as_str())) else { return false };
        self.pass(length).await;
        true
    }

    /// Lets time pass, beside others who do so: whose time is over first goes on first. What is given up waits for nothing.
    async fn pass(&self, length: SignedDuration) {
        let end = {
            let mut state = self.state.borrow_mut();
            state.waits += 1;
            let end = (state.elapsed + length, state.waits);
            state.waiting.insert(end);
            end
        };
        let waiting = Waiting { fake: self, end };
        loop {
            tokio::task::yield_now().await;
            if self.state.borrow().waiting.first() == Some(&end) {
                break;
            }
        }
        drop(waiting);
        let mut state = self.state.borrow_mut();
        state.elapsed = state.elapsed.max(end.0);
    }

    /// What Graph is given must be in the keyring that is stored at that moment.
    fn assert_stored(state: &State, certificate_id: &str, client_state: Option<&str>) {
        let keyring = Keyring::from_json(&state.secrets["keyring"]).unwrap();
        assert!(keyring.keys.iter().any(|key| key.certificate_id == certificate_id));
        let policies = config("Global").policies;
        let known = |value: &str| keyring.known_client_states().recognize(value, &policies).is_some();
        assert!(client_state.is_none_or(known));
    }
}

pub(crate) fn error(kind: GraphErrorKind) -> GraphError {
    GraphError { kind, status: None, code: None, message: "as told".to_owned(), request_id: None, retry_after: None }
}

fn down(service: &str) -> OutsideError {
    OutsideError(format!("{service} is down"))
}

impl Microsoft for Fake {
    async fn token(
        &self,
        tenant: TenantId,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<AccessToken, TokenError> {
        self.step(format!("token {tenant}"), |state| {
            let taken = match credential {
                Credential::ClientSecret(secret) => secret == state.secrets["client-secret"].trim(),
                Credential::Federated(token) => token == WEB_IDENTITY,
                Credential::Certificate(certificate) => {
                    state.uploaded.as_ref().is_none_or(|all| all.iter().any(|one| one == certificate.digest()))
                }
                _ => false,
            };
            if !taken {
                let message = "not registered".to_owned();
                let codes = vec![state.refusal.unwrap_or(700_027)];
                return Err(TokenError { status: Some(401), codes, message, retry_after: None });
            }
            if state.entra_refuses == Some(tenant) {
                let message = "refused".to_owned();
                return Err(TokenError { status: Some(401), codes: vec![7_000_215], message, retry_after: None });
            }
            Ok(AccessToken::new(tenant, "the-token".to_owned(), now, now + SignedDuration::from_hours(1)))
        })
        .await
    }

    async fn signing_keys(
        &self,
        tenant: TenantId,
        _version: TokenVersion,
        now: Timestamp,
    ) -> Result<SigningKeys, SigningKeysError> {
        let slow = self.slow_down("keys").await;
        self.step(format!("keys {tenant}"), |state| {
            if slow {
                return Err(SigningKeysError::Transport("no answer".to_owned()));
            }
            if state.signing_keys_down || state.signing_keys_fail > 0 {
                state.signing_keys_fail = state.signing_keys_fail.saturating_sub(1);
                return Err(SigningKeysError::Status(503));
            }
            let key = |kid: &String| SigningKey { kid: kid.clone(), n: "xw".into(), e: "AQAB".into(), issuer: None };
            Ok(SigningKeys { fetched_at: now, keys: state.kids.iter().map(key).collect() })
        })
        .await
    }

    async fn list(&self, token: &AccessToken) -> Result<Listing, GraphError> {
        self.graph("list", "", token, |state, _| {
            if std::mem::take(&mut state.hidden_from_next_list) {
                return Ok(Listing::default());
            }
            if let Some(lie) = state.lies.clone() {
                return Ok(lie);
            }
            let of_tenant = state.held.iter().filter(|held| held.tenant == token.tenant());
            let subscriptions = of_tenant.map(|held| state.shown(&held.subscription)).collect();
            Ok(Listing { subscriptions, ..Listing::default() })
        })
        .await
    }

    async fn get(&self, token: &AccessToken, id: &str) -> Result<Subscription, GraphError> {
        self.graph("get", id, token, |state, _| {
            let held = state.held.iter().find(|held| held.subscription.id == id);
            held.map(|held| state.shown(&held.subscription)).ok_or(error(GraphErrorKind::NotFound))
        })
        .await
    }

    async fn create(&self, token: &AccessToken, new: &NewSubscription<'_>) -> Result<Subscription, GraphError> {
        self.graph("create", new.policy.name.as_str(), token, |state, _| {
            assert_eq!(token.tenant(), new.policy.tenant);
            Self::assert_stored(state, new.certificate_id, Some(new.client_state.expose()));
            let resource = new.policy.resource();
            let taken = |held: &Held| held.tenant == new.policy.tenant && held.subscription.resource == resource;
            if let Some(held) = state.held.iter().find(|held| taken(held)) {
                let message = format!("Subscription Id {} already exists", held.subscription.id);
                return Err(GraphError { message, ..error(GraphErrorKind::Conflict) });
            }
            state.names += 1;
            let id = if state.names_guids {
                format!("00000000-0000-4000-8000-{:012}", state.names)
            } else {
                format!("new-{}", state.names)
            };
            let subscription = Subscription {
                id,
                resource,
                notification_url: new.notification_url.to_owned(),
                lifecycle_notification_url: Some(new.notification_url.to_owned()),
                expires_at: new.expires_at,
                encryption_certificate_id: Some(new.certificate_id.to_owned()),
            };
            state.held.push(Held {
                tenant: new.policy.tenant,
                subscription: subscription.clone(),
                client_state: new.client_state.expose().to_owned(),
            });
            Ok(subscription)
        })
        .await
    }

    async fn renew(&self, token: &AccessToken, id: &str, renewal: &Renewal<'_>) -> Result<Subscription, GraphError> {
        self.graph("renew", id, token, |state, now| {
            if let Some(new) = renewal.certificate {
                Self::assert_stored(state, new.certificate_id, None);
                if let Some(kind) = state.certificate_patch_refused {
                    return Err(error(kind));
                }
            }
            if state.renewals_echoed {
                let held = state.held.iter().find(|held| held.subscription.id == id);
                let mut echo = held.ok_or(error(GraphErrorKind::NotFound))?.subscription.clone();
                echo.expires_at = renewal.expires_at;
                return Ok(echo);
            }
            let (ignored, shortened) = (state.certificate_patch_ignored, state.shortens_to);
            let held = state.held.iter_mut().find(|held| held.subscription.id == id);
            let subscription = &mut held.ok_or(error(GraphErrorKind::NotFound))?.subscription;
            subscription.expires_at = shortened.map_or(renewal.expires_at, |length| now + length);
            if let Some(new) = renewal.certificate.filter(|_| !ignored) {
                subscription.encryption_certificate_id = Some(new.certificate_id.to_owned());
            }
            let subscription = subscription.clone();
            Ok(state.shown(&subscription))
        })
        .await
    }

    async fn delete(&self, token: &AccessToken, id: &str) -> Result<(), GraphError> {
        self.graph("delete", id, token, |state, _| {
            let index = state.held.iter().position(|held| held.subscription.id == id);
            state.held.remove(index.ok_or(error(GraphErrorKind::NotFound))?);
            Ok(())
        })
        .await
    }
}

impl WebIdentity for Fake {
    async fn web_identity_token(&self, audience: &str) -> Result<Zeroizing<String>, OutsideError> {
        assert_eq!(audience, "api://AzureADTokenExchange");
        let slow = self.slow_down("web identity").await;
        self.step("web identity".to_owned(), |state| {
            if slow {
                return Err(down("STS"));
            }
            state.web_identity.clone().unwrap_or(Ok(WEB_IDENTITY.to_owned())).map(Zeroizing::new)
        })
        .await
    }
}

impl Deployment for Fake {
    async fn answer(&self, url: &str, body: &str) -> Result<(), OutsideError> {
        self.step("answer".to_owned(), |state| {
            if state.deaf_deployment > 0 {
                state.deaf_deployment -= 1;
                return Err(down("Amazon S3"));
            }
            state.answers.push((url.to_owned(), serde_json::from_str(body).unwrap()));
            Ok(())
        })
        .await
    }
}

impl Topics for Fake {
    async fn subscribers(&self, topic_arn: &str) -> Result<Subscribers, OutsideError> {
        match self.state.borrow().subscribers.get(topic_arn) {
            Some(Some(confirmed)) => Ok(Subscribers { confirmed: *confirmed, pending: 0 }),
            Some(None) => Err(down("SNS")),
            None => Ok(Subscribers { confirmed: 1, pending: 0 }),
        }
    }
}

impl SealProbe for Fake {
    fn seal_probe(&self, key: &StoredKeyPair, now: Timestamp) -> Result<String, OutsideError> {
        let sealed = probe::seal(key, now, &ring::rand::SystemRandom::new());
        sealed.map_err(|error| OutsideError(error.to_string()))
    }
}

impl PostProbe for Fake {
    async fn post_probe(&self, url: &str, body: &str) -> Result<u16, OutsideError> {
        assert_eq!(url, URL);
        let slow = self.slow_down("probe").await;
        self.step("probe".to_owned(), |state| {
            if slow {
                return Err(OutsideError("no answer in time".to_owned()));
            }
            state.probes.push(body.to_owned());
            state.answer.clone().unwrap_or(Ok(202))
        })
        .await
    }
}

impl Diary for Fake {
    async fn reconciled_at(&self) -> Result<Option<Timestamp>, OutsideError> {
        let state = self.state.borrow();
        if state.table_down { Err(down("DynamoDB")) } else { Ok(state.reconciled_at) }
    }

    async fn latest_notification(&self) -> Result<Option<Timestamp>, OutsideError> {
        let state = self.state.borrow();
        if state.table_down { Err(down("DynamoDB")) } else { Ok(state.latest_notification) }
    }

    async fn notes(&self) -> Result<Option<Notes>, OutsideError> {
        let state = self.state.borrow();
        if state.table_down { Err(down("DynamoDB")) } else { Ok(state.notes.clone()) }
    }

    async fn put_notes(&self, notes: &Notes) -> Result<(), OutsideError> {
        self.step("notes".to_owned(), |state| {
            if state.notes_fail {
                return Err(down("DynamoDB"));
            }
            state.notes = Some(notes.clone());
            Ok(())
        })
        .await
    }
}

impl Alarms for Fake {
    async fn alarms(&self) -> Result<Vec<Alarm>, OutsideError> {
        Ok(vec![Alarm { name: "stack-Silence".to_owned(), state: "OK".to_owned(), description: String::new() }])
    }
}

impl Endpoint for Fake {
    async fn handshake(&self, _url: &str, token: &str) -> Result<HandshakeAnswer, OutsideError> {
        Ok(HandshakeAnswer { status: 200, content_type: "text/plain".to_owned(), body: token.to_owned() })
    }
}

impl SecondWay for Fake {
    async fn reach(&self, _: &SecondTopic) -> Result<Duration, OutsideError> {
        Ok(Duration::from_millis(93))
    }
}

impl AppSettings for Fake {
    async fn service_principal(&self, _token: &AccessToken) -> Result<ServicePrincipal, GraphError> {
        Err(error(GraphErrorKind::Forbidden))
    }
}

impl Secrets for Fake {
    async fn read(&self, id: &str) -> Result<Option<StoredSecret>, OutsideError> {
        self.step(format!("read {id}"), |state| {
            if state.secret_down.as_deref() == Some(id) {
                return Err(down("Secrets Manager"));
            }
            if state.denied_reads > 0 {
                state.denied_reads -= 1;
                return Err(OutsideError("Secrets Manager: AccessDeniedException: not authorized".to_owned()));
            }
            // No value comes twice, so that it can stand for its version.
            let stored = |value: &String| StoredSecret { value: Zeroizing::new(value.clone()), version: value.clone() };
            Ok(state.secrets.get(id).map(stored))
        })
        .await
    }

    async fn replace(&self, id: &str, read: Option<&str>, value: &str) -> Result<bool, OutsideError> {
        self.step(format!("write {id}"), |state| {
            if state.keyring_writes_fail || state.secret_down.as_deref() == Some(id) {
                return Err(down("Secrets Manager"));
            }
            if let Some((of, text)) = state.written_meanwhile.pop_front() {
                state.secrets.insert(of, text);
            }
            if state.secrets.get(id).map(String::as_str) != read {
                return Ok(false);
            }
            state.secrets.insert(id.to_owned(), value.to_owned());
            Ok(true)
        })
        .await
    }
}

impl StateTable for Fake {
    async fn take_lease(
        &self,
        name: LeaseName,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, OutsideError> {
        self.table(format!("take lease{}", of_lease(name)), |state| {
            let lease = state.lease_of(name);
            if lease.as_ref().is_some_and(|(holder, end)| holder != owner && *end > now) {
                return false;
            }
            *lease = Some((owner.to_owned(), until));
            true
        })
        .await
    }

    async fn release_lease(&self, name: LeaseName, owner: &str) -> Result<(), OutsideError> {
        let call = format!("release lease{}", of_lease(name));
        let release = |state: &mut State| {
            if state.releases_fail > 0 {
                state.releases_fail -= 1;
                return Err(down("DynamoDB"));
            }
            assert_eq!(state.lease_of(name).take().unwrap().0, owner);
            Ok(())
        };
        self.table(call, release).await?
    }

    async fn records(&self) -> Result<Vec<Record>, OutsideError> {
        let unreadable = self.state.borrow().records_unreadable;
        let records = self.table("records".to_owned(), |state| state.records.values().cloned().collect()).await;
        if unreadable { Err(down("DynamoDB")) } else { records }
    }

    async fn put_record(&self, record: &Record) -> Result<(), OutsideError> {
        self.table(format!("record {}", record.policy.name), |state| {
            if state.records_unwritable {
                return Err(down("DynamoDB"));
            }
            state.records.insert(sort_key(&record.policy), record.clone());
            Ok(())
        })
        .await?
    }

    async fn delete_record(&self, policy: &Policy) -> Result<(), OutsideError> {
        self.table(format!("forget {}", policy.name), |state| drop(state.records.remove(&sort_key(policy)))).await
    }

    async fn note_reconciled(&self, at: Timestamp) -> Result<(), OutsideError> {
        self.table("note reconciled".to_owned(), |state| state.reconciled_at = Some(at)).await
    }

    async fn lifecycle_run(&self) -> Result<Option<Timestamp>, OutsideError> {
        self.table("lifecycle run".to_owned(), |state| state.lifecycle_run).await
    }

    async fn announce_lifecycle_run(&self, latest: Option<Timestamp>, next: Timestamp) -> Result<bool, OutsideError> {
        self.table("announce lifecycle run".to_owned(), |state| {
            let unchanged = state.lifecycle_run == latest;
            if unchanged {
                state.lifecycle_run = Some(next);
            }
            unchanged
        })
        .await
    }
}

impl EventBus for Fake {
    async fn put_health(&self, health: &Health) -> Result<(), OutsideError> {
        self.step("event".to_owned(), |state| {
            if state.bus_down {
                return Err(down("EventBridge"));
            }
            state.events.push(health.clone());
            Ok(())
        })
        .await
    }
}

impl Publish for Fake {
    async fn publish(&self, topic_arn: &str, _: &Publication) -> Result<String, OutsideError> {
        self.step(
            format!("publish {topic_arn}"),
            |state| if state.sns_down { Err(down("SNS")) } else { Ok("m-1".to_owned()) },
        )
        .await
    }
}

impl PutCall for Fake {
    async fn put_call(&self, _: &BusEvent) -> Result<(), OutsideError> {
        self.step("call".to_owned(), |_| Ok(())).await
    }
}

impl Subscriptions for Fake {
    async fn list_subscribers(&self, topic_arn: &str) -> Result<Vec<Subscriber>, OutsideError> {
        self.step(format!("subscribers {topic_arn}"), |state| {
            let confirmed = state.subscribers.get(topic_arn).copied().unwrap_or(Some(1));
            let confirmed = usize::try_from(confirmed.ok_or_else(|| down("SNS"))?).unwrap();
            Ok(vec![Subscriber::listed("email", "ann@example.com", "arn"); confirmed])
        })
        .await
    }

    async fn filter_policy(&self, topic_arn: &str, _: &str) -> Result<Option<FilterPolicy>, OutsideError> {
        self.step(format!("filter {topic_arn}"), |state| match state.filters.get(topic_arn) {
            Some(Some(policy)) => Ok(FilterPolicy::of_attributes(Some(policy), None)),
            Some(None) => Err(down("SNS")),
            None => Ok(None),
        })
        .await
    }
}

impl Host for Fake {
    fn now(&self) -> Timestamp {
        START + self.state.borrow().elapsed
    }

    async fn sleep(&self, duration: Duration) {
        self.pass(SignedDuration::try_from(duration).unwrap()).await;
        self.state.borrow_mut().sleeps.push(duration);
    }

    fn chance(&self) -> f64 {
        0.5
    }

    fn short_name(&self) -> Result<String, OutsideError> {
        let mut state = self.state.borrow_mut();
        state.names += 1;
        Ok(format!("{:08x}", state.names))
    }

    fn client_state_key(&self) -> Result<ClientStateKey, OutsideError> {
        let mut state = self.state.borrow_mut();
        state.names += 1;
        let key = format!("secret-state-{:019}", state.names);
        Ok(serde_json::from_value(json!(BASE64_URL_SAFE_NO_PAD.encode(key))).unwrap())
    }

    fn key_pair(&self, from: Timestamp, until: Timestamp) -> Result<KeyPair, OutsideError> {
        static PAIR: OnceLock<KeyPair> = OnceLock::new();
        let year = SignedDuration::from_hours(365 * 24);
        assert!(from < self.now() && until >= self.now() + year);
        // Certificates of the app are told apart and end; for encryption any pair does.
        if until == self.now() + year {
            return Ok(KeyPair::generate(KeySize::Rsa2048, from, until).unwrap());
        }
        Ok(PAIR.get_or_init(|| KeyPair::generate(KeySize::Rsa2048, from, until).unwrap()).clone())
    }

    fn emit(&self, line: &str) {
        self.state.borrow_mut().lines.push(line.to_owned());
    }
}

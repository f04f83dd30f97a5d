//! The world of a run: a Microsoft that is spoken to over HTTP, an AWS in memory, and a machine whose clock is virtual.

use std::cell::Cell;
use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use graph_notifications::certificate::KeySize;
use graph_notifications::{ClientStateKey, KeyPair, Policy, SigningKeys, TenantId};
use graph_subscriptions::signing_keys::{self, SigningKeysError, TokenVersion};
use graph_subscriptions::{
    AccessToken, Credential, GraphError, GraphErrorKind, Listing, NewSubscription, Renewal, Subscription, TokenError,
    entra,
};
use jiff::{SignedDuration, Timestamp};
use renewer::ports::{
    EventBus, Host, LeaseName, Microsoft, OutsideError, Secrets, StateTable, StoredSecret, WebIdentity,
};
use renewer::records::Health;
use renewer::records::Record;
use tokio::sync::{MutexGuard, Notify};
use zeroize::Zeroizing;

use super::aws::Aws;
use super::calls::{Call, Service};
use super::observer::{Change, Mark};
use super::stage::Stage;
use super::timeline::minutes;
use super::weather::{Crash, Strike};
use crate::simulator::faults::{Effect, Fault, Operation};

/// The oldest token that a subscription may be created or renewed with.
const OLDEST_TOKEN: SignedDuration = SignedDuration::from_mins(1);

/// One run's world. It can end the run at any call.
pub(super) struct Run<'a> {
    stage: &'a Stage,
    number: u64,
    started_at: Timestamp,
    crash: Option<Crash>,
    calls: Cell<u32>,
    hindered: Cell<bool>,
    died: Notify,
}

impl<'a> Run<'a> {
    pub(super) fn new(stage: &'a Stage, number: u64, crash: Option<Crash>) -> Self {
        Self {
            stage,
            number,
            started_at: stage.timeline.now(),
            crash,
            calls: Cell::new(0),
            hindered: Cell::new(false),
            died: Notify::new(),
        }
    }

    /// Ends when the run crashes.
    pub(super) async fn crashed(&self) {
        self.died.notified().await;
    }

    pub(super) fn mark(&self) -> Mark {
        Mark { number: self.number, started_at: self.started_at, hindered: self.hindered.get() }
    }

    /// Graph delivers under the token of the last create or renewal: one that is older than a minute ends early.
    fn check_age(&self, token: &AccessToken) {
        let age = self.stage.timeline.now().duration_since(token.obtained_at());
        if age > OLDEST_TOKEN {
            self.stage.failed(format!("run {} hands Graph a token that is {} old", self.number, minutes(age)));
        }
    }

    /// A call to Microsoft: what the weather spares is a request to the simulator.
    async fn microsoft<T, E: Failed>(
        &self,
        call: Call,
        about: &str,
        change: impl FnOnce() -> Change,
        request: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = self.begin(call, about).await;
        let result = match begun.strike {
            Some(Strike::Unreachable) => Err(E::unanswered()),
            strike => {
                let change = change();
                let simulator = &self.stage.simulator;
                if let Some(fault) = strike.and_then(|strike| fault(call, strike)) {
                    simulator.add_fault(fault);
                }
                let result = self.stage.timeline.outside(&begun.turn, request).await;
                simulator.clear_faults();
                if begun.strike.is_none() && result.is_err() {
                    self.stage.tally.borrow_mut().refused += 1;
                }
                if matches!(call, Call::Create | Call::Renew | Call::Delete) {
                    self.stage.look(change, Some(self.mark()));
                }
                result
            }
        };
        self.end(begun, result).await
    }

    /// A call to AWS.
    async fn aws<T>(&self, call: Call, about: &str, effect: impl FnOnce(&mut Aws) -> T) -> Result<T, OutsideError> {
        let begun = self.begin(call, about).await;
        let result = match begun.strike {
            None => Ok(effect(&mut self.stage.aws.borrow_mut())),
            Some(Strike::AnswerLost) => {
                effect(&mut self.stage.aws.borrow_mut());
                Err(OutsideError::unanswered())
            }
            Some(_) => Err(OutsideError(format!("{} is down", call.service().word()))),
        };
        if call == Call::WriteSecret {
            self.stage.keyring_stored(Some(self.mark()));
        }
        self.end(begun, result).await
    }

    async fn begin(&self, call: Call, about: &str) -> Begun<'a> {
        let stage = self.stage;
        let number = self.calls.get() + 1;
        self.calls.set(number);
        let strike = stage.strike(call);
        let (there, back) = stage.latency(call, strike.map(|(strike, _)| strike));
        stage.timeline.sleep(there).await;
        let turn = stage.timeline.turn().await;
        let crash = self.crash.filter(|crash| crash.call == number);
        let (strike, by_storm) = strike.map_or((None, false), |(strike, storm)| (Some(strike), storm));
        if by_storm || crash.is_some() {
            self.hindered.set(true);
        }
        if by_storm && call.service() == Service::DynamoDb {
            stage.observer.borrow_mut().table_failed();
        }
        let struck = strike.map(|strike| format!(": {strike:?}")).unwrap_or_default();
        let (now, call) = (stage.timeline.now(), call.word());
        stage.noted(format!("{now} run {} {call} {about}{struck}", self.number));
        if crash.is_some_and(|crash| !crash.after) {
            self.die().await;
        }
        Begun { strike, crash, back, turn }
    }

    async fn end<T>(&self, begun: Begun<'_>, result: T) -> T {
        if begun.crash.is_some() {
            self.die().await;
        }
        drop(begun.turn);
        self.stage.timeline.sleep(begun.back).await;
        result
    }

    /// Never returns. It holds the turn, so that nothing else of the run is under way when it ends.
    async fn die(&self) {
        self.stage.noted(format!("{} run {} crashes", self.stage.timeline.now(), self.number));
        self.died.notify_one();
        std::future::pending::<()>().await;
    }
}

/// A call that is under way.
struct Begun<'a> {
    strike: Option<Strike>,
    crash: Option<Crash>,
    back: SignedDuration,
    turn: MutexGuard<'a, ()>,
}

/// An error that says that there was no answer.
trait Failed {
    fn unanswered() -> Self;
}

const UNANSWERED: &str = "no answer in time";

impl Failed for GraphError {
    fn unanswered() -> Self {
        Self {
            kind: GraphErrorKind::Transport,
            status: None,
            code: None,
            message: UNANSWERED.to_owned(),
            request_id: None,
            retry_after: None,
        }
    }
}

impl Failed for TokenError {
    fn unanswered() -> Self {
        Self { status: None, codes: Vec::new(), message: UNANSWERED.to_owned(), retry_after: None }
    }
}

impl Failed for SigningKeysError {
    fn unanswered() -> Self {
        Self::Transport(UNANSWERED.to_owned())
    }
}

impl Failed for OutsideError {
    fn unanswered() -> Self {
        Self(UNANSWERED.to_owned())
    }
}

/// The simulator's fault for a call that it strikes.
fn fault(call: Call, strike: Strike) -> Option<Fault> {
    let operation = match call {
        Call::Token => Operation::Token,
        Call::SigningKeys => Operation::SigningKeys,
        Call::List => Operation::ListSubscriptions,
        Call::Get => Operation::GetSubscription,
        Call::Create => Operation::CreateSubscription,
        Call::Renew => Operation::UpdateSubscription,
        Call::Delete => Operation::DeleteSubscription,
        _ => return None,
    };
    match strike {
        Strike::Unreachable => None,
        Strike::AnswerLost => Some(Fault::next(operation, 1, Effect::DropAnswer)),
        Strike::HandshakeFailed => Some(Fault::next(Operation::Handshake, 1, Effect::DropAnswer)),
        Strike::Refused { status, retry_after } => {
            let effect = Effect::Fail { status, code: None, message: None, retry_after_seconds: retry_after };
            Some(Fault::next(operation, 1, effect))
        }
    }
}

fn harmless() -> Change {
    Change::Harmless
}

impl Microsoft for Run<'_> {
    async fn token(
        &self,
        tenant: TenantId,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<AccessToken, TokenError> {
        let stage = self.stage;
        let config = &stage.config;
        let scope = config.graph.token_scope();
        let request = entra::token(&stage.http, &config.login, tenant, config.app, credential, &scope, now);
        self.microsoft(Call::Token, &tenant.to_string(), harmless, request).await
    }

    async fn signing_keys(
        &self,
        tenant: TenantId,
        version: TokenVersion,
        now: Timestamp,
    ) -> Result<SigningKeys, SigningKeysError> {
        let request = signing_keys::fetch(&self.stage.http, &self.stage.config.login, tenant, version, now);
        self.microsoft(Call::SigningKeys, &format!("{tenant} {version:?}"), harmless, request).await
    }

    async fn list(&self, token: &AccessToken) -> Result<Listing, GraphError> {
        let about = token.tenant().to_string();
        self.microsoft(Call::List, &about, harmless, self.stage.graph.list(token)).await
    }

    async fn get(&self, token: &AccessToken, id: &str) -> Result<Subscription, GraphError> {
        self.microsoft(Call::Get, id, harmless, self.stage.graph.get(token, id)).await
    }

    async fn create(&self, token: &AccessToken, new: &NewSubscription<'_>) -> Result<Subscription, GraphError> {
        self.check_age(token);
        let about = format!("{}/{}", new.policy.tenant, new.policy.name);
        self.microsoft(Call::Create, &about, harmless, self.stage.graph.create(token, new)).await
    }

    async fn renew(&self, token: &AccessToken, id: &str, renewal: &Renewal<'_>) -> Result<Subscription, GraphError> {
        self.check_age(token);
        self.microsoft(Call::Renew, id, harmless, self.stage.graph.renew(token, id, renewal)).await
    }

    async fn delete(&self, token: &AccessToken, id: &str) -> Result<(), GraphError> {
        let change = || Change::Deletion { run: self.number, why: self.stage.why_deleted(id) };
        self.microsoft(Call::Delete, id, change, self.stage.graph.delete(token, id)).await
    }
}

impl WebIdentity for Run<'_> {
    async fn web_identity_token(&self, _audience: &str) -> Result<Zeroizing<String>, OutsideError> {
        Err(OutsideError("the soak's app has a client secret".to_owned()))
    }
}

impl Secrets for Run<'_> {
    async fn read(&self, id: &str) -> Result<Option<StoredSecret>, OutsideError> {
        // No value comes twice, so that it can stand for its version.
        let stored = |value: &String| StoredSecret { value: Zeroizing::new(value.clone()), version: value.clone() };
        self.aws(Call::ReadSecret, id, |aws| aws.secrets.get(id).map(stored)).await
    }

    async fn replace(&self, id: &str, read: Option<&str>, value: &str) -> Result<bool, OutsideError> {
        self.aws(Call::WriteSecret, id, |aws| {
            let is_current = aws.secrets.get(id).map(String::as_str) == read;
            if is_current {
                aws.secrets.insert(id.to_owned(), value.to_owned());
            }
            is_current
        })
        .await
    }
}

impl StateTable for Run<'_> {
    async fn take_lease(
        &self,
        name: LeaseName,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, OutsideError> {
        let taken = self.aws(Call::TakeLease, owner, |aws| aws.take_lease(name, owner, now, until)).await;
        if name == LeaseName::Subscriptions && taken != Ok(false) {
            self.stage.works(self.number);
        }
        taken
    }

    async fn release_lease(&self, name: LeaseName, owner: &str) -> Result<(), OutsideError> {
        self.aws(Call::ReleaseLease, owner, |aws| aws.release_lease(name, owner)).await
    }

    async fn records(&self) -> Result<Vec<Record>, OutsideError> {
        self.aws(Call::ReadRecords, "", |aws| aws.records()).await
    }

    async fn put_record(&self, record: &Record) -> Result<(), OutsideError> {
        self.aws(Call::PutRecord, record.policy.name.as_str(), |aws| aws.put_record(record)).await
    }

    async fn delete_record(&self, policy: &Policy) -> Result<(), OutsideError> {
        self.aws(Call::DeleteRecord, policy.name.as_str(), |aws| aws.delete_record(policy)).await
    }

    async fn note_reconciled(&self, _at: Timestamp) -> Result<(), OutsideError> {
        // Nobody watches here.
        Ok(())
    }

    async fn lifecycle_run(&self) -> Result<Option<Timestamp>, OutsideError> {
        self.aws(Call::ReadLifecycleRun, "", |aws| aws.lifecycle_run()).await
    }

    async fn announce_lifecycle_run(&self, latest: Option<Timestamp>, next: Timestamp) -> Result<bool, OutsideError> {
        self.aws(Call::AnnounceLifecycleRun, "", |aws| aws.announce_lifecycle_run(latest, next)).await
    }
}

impl EventBus for Run<'_> {
    async fn put_health(&self, health: &Health) -> Result<(), OutsideError> {
        self.aws(Call::PutHealth, health.policy_name.as_str(), |aws| aws.put_health(health)).await
    }
}

impl Host for Run<'_> {
    fn now(&self) -> Timestamp {
        self.stage.timeline.now()
    }

    async fn sleep(&self, duration: Duration) {
        self.stage.timeline.sleep(SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)).await;
    }

    fn chance(&self) -> f64 {
        self.stage.host.borrow_mut().f64()
    }

    fn short_name(&self) -> Result<String, OutsideError> {
        Ok(format!("{:08x}", self.stage.host.borrow_mut().u32(..)))
    }

    fn client_state_key(&self) -> Result<ClientStateKey, OutsideError> {
        let mut host = self.stage.host.borrow_mut();
        let bytes: [u8; 32] = std::array::from_fn(|_| host.u8(..));
        let key = serde_json::from_value(BASE64_URL_SAFE_NO_PAD.encode(bytes).into());
        key.map_err(|error| OutsideError(error.to_string()))
    }

    fn key_pair(&self, from: Timestamp, until: Timestamp) -> Result<KeyPair, OutsideError> {
        KeyPair::generate(KeySize::Rsa2048, from, until).map_err(|error| OutsideError(error.to_string()))
    }

    fn emit(&self, _line: &str) {}
}

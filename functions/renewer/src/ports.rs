//! The outside world, as narrow as a run needs it. `aws` implements it; the tests have a fake of it.

use std::time::Duration;

use graph_notifications::{ClientStateKey, KeyPair, Policy, SigningKeys, TenantId};
use graph_subscriptions::{
    AccessToken, Credential, GraphError, Listing, NewSubscription, Renewal, Subscription, TokenError,
    signing_keys::{SigningKeysError, TokenVersion},
};
use jiff::Timestamp;
use zeroize::Zeroizing;

use crate::{
    filter_policy::FilterPolicy,
    records::{Health, Record},
    subscriber::Subscriber,
};

/// A service of AWS, or the machine itself, did not do what it was asked. The text is for operators and holds no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct OutsideError(pub String);

/// Microsoft Entra and Microsoft Graph. Each method makes its call once.
pub trait Microsoft {
    /// A fresh access token.
    fn token(
        &self,
        tenant: TenantId,
        credential: &Credential,
        now: Timestamp,
    ) -> impl Future<Output = Result<AccessToken, TokenError>>;
    /// Entra's signing keys for one version of tokens.
    fn signing_keys(
        &self,
        tenant: TenantId,
        version: TokenVersion,
        now: Timestamp,
    ) -> impl Future<Output = Result<SigningKeys, SigningKeysError>>;
    /// The subscriptions of the app in the token's tenant, as far as Graph lists them.
    fn list(&self, token: &AccessToken) -> impl Future<Output = Result<Listing, GraphError>>;
    /// One subscription.
    fn get(&self, token: &AccessToken, id: &str) -> impl Future<Output = Result<Subscription, GraphError>>;
    /// A new subscription.
    fn create(
        &self,
        token: &AccessToken,
        new: &NewSubscription<'_>,
    ) -> impl Future<Output = Result<Subscription, GraphError>>;
    /// Another day for a subscription.
    fn renew(
        &self,
        token: &AccessToken,
        id: &str,
        renewal: &Renewal<'_>,
    ) -> impl Future<Output = Result<Subscription, GraphError>>;
    /// The end of a subscription.
    fn delete(&self, token: &AccessToken, id: &str) -> impl Future<Output = Result<(), GraphError>>;
}

/// AWS Security Token Service: IAM's outbound identity federation.
pub trait WebIdentity {
    /// A token by which AWS says to another service which role asks: signed RS256, for one audience, good for minutes.
    fn web_identity_token(&self, audience: &str) -> impl Future<Output = Result<Zeroizing<String>, OutsideError>>;
}

/// A secret as it was read.
pub struct StoredSecret {
    /// The value, which may be empty.
    pub value: Zeroizing<String>,
    /// The version that holds it.
    pub version: String,
}

impl StoredSecret {
    /// The value; `None` if it is empty.
    #[must_use]
    pub fn text(&self) -> Option<&str> {
        Some(self.value.as_str()).filter(|value| !value.trim().is_empty())
    }
}

/// How often a secret is written before others who write it at the same time are left to finish.
pub const WRITES: usize = 5;

/// AWS Secrets Manager.
pub trait Secrets {
    /// A secret's current version; `None` if it has none yet.
    fn read(&self, id: &str) -> impl Future<Output = Result<Option<StoredSecret>, OutsideError>>;
    /// Makes a value the current one in the place of the version that was `read`, or of none; says whether it did. It does not
    /// if another version has become current since.
    fn replace(&self, id: &str, read: Option<&str>, value: &str) -> impl Future<Output = Result<bool, OutsideError>>;
}

/// What a lease is for. Each has an item of its own in the state table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LeaseName {
    /// To change subscriptions.
    Subscriptions,
    /// To monitor: no pass begins beside another.
    Monitor,
}

impl LeaseName {
    /// The sort key of its item.
    #[must_use]
    pub fn sort_key(self) -> &'static str {
        match self {
            // As it was when there was one lease.
            Self::Subscriptions => "reconcile",
            Self::Monitor => "monitor",
        }
    }
}

/// The state table.
pub trait StateTable {
    /// Takes a lease unless another owner holds one that has not ended; says whether it was taken.
    fn take_lease(
        &self,
        name: LeaseName,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> impl Future<Output = Result<bool, OutsideError>>;
    /// Gives a lease back, if this owner holds it.
    fn release_lease(&self, name: LeaseName, owner: &str) -> impl Future<Output = Result<(), OutsideError>>;
    /// All records that can be read as such.
    fn records(&self) -> impl Future<Output = Result<Vec<Record>, OutsideError>>;
    /// Writes a policy's record.
    fn put_record(&self, record: &Record) -> impl Future<Output = Result<(), OutsideError>>;
    /// Deletes a policy's record.
    fn delete_record(&self, policy: &Policy) -> impl Future<Output = Result<(), OutsideError>>;
    /// Notes that a run has compared the subscriptions with what they should be, and ended now.
    fn note_reconciled(&self, at: Timestamp) -> impl Future<Output = Result<(), OutsideError>>;
    /// When the latest run begins, or is to begin, that a lifecycle event asked for.
    fn lifecycle_run(&self) -> impl Future<Output = Result<Option<Timestamp>, OutsideError>>;
    /// Announces such a run, if the latest one is still `latest`; says whether it was.
    fn announce_lifecycle_run(
        &self,
        latest: Option<Timestamp>,
        next: Timestamp,
    ) -> impl Future<Output = Result<bool, OutsideError>>;
}

/// The event bus.
pub trait EventBus {
    /// Tells of a subscription's health.
    fn put_health(&self, health: &Health) -> impl Future<Output = Result<(), OutsideError>>;
}

/// What a call gives, or nothing if it gives nothing until then. One that is ready at once is heard whatever the time.
pub(crate) async fn by<T>(host: &impl Host, until: Timestamp, call: impl Future<Output = T>) -> Option<T> {
    let left = Duration::try_from(until.duration_since(host.now())).unwrap_or_default();
    tokio::select! {
        biased;
        answer = call => Some(answer),
        () = host.sleep(left) => None,
    }
}

/// The machine: time, chance, and where metrics are printed.
pub trait Host {
    /// The time.
    fn now(&self) -> Timestamp;
    /// Waits.
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()>;
    /// A random number from 0 up to, but not including, 1.
    fn chance(&self) -> f64;
    /// Eight random hexadecimal digits.
    ///
    /// # Errors
    /// If the system gives no randomness.
    fn short_name(&self) -> Result<String, OutsideError>;
    /// A new key by which client states are made.
    ///
    /// # Errors
    /// If the system gives no randomness.
    fn client_state_key(&self) -> Result<ClientStateKey, OutsideError>;
    /// A new key pair, valid between the two times.
    ///
    /// # Errors
    /// If OpenSSL cannot make one.
    fn key_pair(&self, from: Timestamp, until: Timestamp) -> Result<KeyPair, OutsideError>;
    /// Prints a line of metrics.
    fn emit(&self, line: &str);
}

/// What keeping the subscriptions needs.
pub trait World: Microsoft + WebIdentity + Secrets + StateTable + EventBus + Host {}

impl<W: Microsoft + WebIdentity + Secrets + StateTable + EventBus + Host> World for W {}

/// AWS CloudFormation, as it waits for a custom resource.
pub trait Deployment {
    /// Answers a request at the address that came with it.
    fn answer(&self, url: &str, body: &str) -> impl Future<Output = Result<(), OutsideError>>;
}

/// Amazon SNS, as far as a check looks at it.
pub trait Topics {
    /// The subscriptions of a topic.
    fn subscribers(&self, topic_arn: &str) -> impl Future<Output = Result<Subscribers, OutsideError>>;
}

/// Amazon SNS, as far as it says who is subscribed, and to what.
pub trait Subscriptions {
    /// All subscriptions of a topic, in the order of Amazon SNS.
    fn list_subscribers(&self, topic_arn: &str) -> impl Future<Output = Result<Vec<Subscriber>, OutsideError>>;
    /// The filter policy of a subscription of a topic; `None` if it has none.
    fn filter_policy(
        &self,
        topic_arn: &str,
        subscription_arn: &str,
    ) -> impl Future<Output = Result<Option<FilterPolicy>, OutsideError>>;
}

/// How many subscriptions a topic has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscribers {
    /// Those that get what is published.
    pub confirmed: u64,
    /// Those that get nothing until somebody confirms them.
    pub pending: u64,
}

/// Amazon CloudWatch, as far as a check looks at it.
pub trait Alarms {
    /// The stack's alarms.
    fn alarms(&self) -> impl Future<Output = Result<Vec<Alarm>, OutsideError>>;
}

/// An alarm.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alarm {
    /// Its name.
    pub name: String,
    /// `OK`, `ALARM` or `INSUFFICIENT_DATA`.
    pub state: String,
    /// What it means and what to do, as the template has it.
    pub description: String,
}

/// The system's own address, as Graph sees it.
pub trait Endpoint {
    /// Asks the address to repeat a validation token, as Graph does before it accepts a subscription, and gives the answer.
    fn handshake(&self, url: &str, token: &str) -> impl Future<Output = Result<HandshakeAnswer, OutsideError>>;
}

/// What the address answered to a validation request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The header `Content-Type`.
    pub content_type: String,
    /// The body, of bounded length.
    pub body: String,
}

//! The calls that the function makes to the outside, one narrow trait each.
//!
//! None of them may wait for ever: the caller gives each a deadline and drops the future then.

use emergency_alert::Start;
use graph_notifications::TenantId;
use jiff::Timestamp;
use lambda_edge::{event::BusEvent, publication::Publication};
use tokio::time::{Instant, timeout_at};

use crate::live_signing_keys::FetchedKeys;

/// A call to the outside failed. The text is for the log: it holds no secret and no personal data.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct CallFailed(pub String);

impl CallFailed {
    /// The call took longer than there was time for.
    #[must_use]
    pub fn late() -> Self {
        Self("no answer in time".to_owned())
    }
}

/// What a call gives, or that it was late if it gives nothing by the deadline.
pub(crate) async fn by<T>(
    deadline: Instant,
    call: impl Future<Output = Result<T, CallFailed>>,
) -> Result<T, CallFailed> {
    timeout_at(deadline, call).await.unwrap_or(Err(CallFailed::late()))
}

/// Reads the keyring's text: Secrets Manager's `GetSecretValue`.
pub trait ReadKeyring {
    /// The secret's text as it is now.
    fn read_keyring(&self) -> impl Future<Output = Result<zeroize::Zeroizing<String>, CallFailed>>;
}

/// Fetches a tenant's signing keys from Entra.
pub trait FetchSigningKeys {
    /// The keys for tokens of both versions.
    fn fetch_signing_keys(
        &self,
        tenant: TenantId,
        now: Timestamp,
    ) -> impl Future<Output = Result<FetchedKeys, CallFailed>>;
}

/// Looks up whether an alert was published: DynamoDB's `GetItem`.
pub trait FindPublished {
    /// Whether the alert with this hash is marked.
    fn is_published(&self, hash: &str) -> impl Future<Output = Result<bool, CallFailed>>;
}

/// Marks an alert as published: DynamoDB's `PutItem`.
pub trait MarkPublished {
    /// Marks the alert with this hash until the given time.
    fn mark_published(&self, hash: &str, until: Timestamp) -> impl Future<Output = Result<(), CallFailed>>;
}

/// Looks up how a call started: DynamoDB's `GetItem`.
pub trait FindStart {
    /// The start of the call with this hash, if that is remembered.
    fn find_start(&self, call: &str) -> impl Future<Output = Result<Option<Start>, CallFailed>>;
}

/// Remembers how a call started: DynamoDB's `PutItem`.
pub trait RememberStart {
    /// Remembers the start of the call with this hash until the given time.
    fn remember_start(
        &self,
        call: &str,
        start: Start,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), CallFailed>>;
}

/// Notes that Microsoft reports calls: DynamoDB's `PutItem`.
pub trait NoteLatest {
    /// Keeps when the latest authentic notification came, until the given time.
    fn note_latest(&self, at: Timestamp, until: Timestamp) -> impl Future<Output = Result<(), CallFailed>>;
}

/// Publishes to a topic: SNS's `Publish` and `PublishBatch`.
pub trait Publish {
    /// Publishes up to [`crate::batch::ENTRIES`] messages to one topic, in whatever Region it is. One result for each, in their order.
    fn publish(&self, topic_arn: &str, messages: &[&Publication]) -> impl Future<Output = Vec<Result<(), CallFailed>>>;
}

/// Puts events on the bus: EventBridge's `PutEvents`.
pub trait PutEvents {
    /// Puts up to [`crate::batch::ENTRIES`] events. One result for each, in their order.
    fn put_events(&self, events: &[&BusEvent]) -> impl Future<Output = Vec<Result<(), CallFailed>>>;
}

/// Everything outside.
pub trait Outside:
    ReadKeyring
    + FetchSigningKeys
    + FindPublished
    + FindStart
    + MarkPublished
    + RememberStart
    + NoteLatest
    + Publish
    + PutEvents
{
}

impl<T> Outside for T where
    T: ReadKeyring
        + FetchSigningKeys
        + FindPublished
        + FindStart
        + MarkPublished
        + RememberStart
        + NoteLatest
        + Publish
        + PutEvents
{
}

//! The calls that the function makes to the outside, one narrow trait each.
//!
//! None of them may wait for ever: the caller gives each a deadline and drops the future then.

use emergency_alert::{End, Start};
use graph_notifications::{SigningKeys, TenantId};
use jiff::Timestamp;
use lambda_edge::{event::BusEvent, publication::Publication};
use tokio::time::{Instant, timeout_at};

use crate::mark::{Content, Mark};

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

/// Entra's keys for one tenant, as it gave them out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchedKeys {
    /// The keys.
    pub keys: SigningKeys,
    /// Whether these are all. If not, Entra did not give out one of its documents, and a key that is missing may stand there.
    pub complete: bool,
}

impl From<SigningKeys> for FetchedKeys {
    /// All that there are.
    fn from(keys: SigningKeys) -> Self {
        Self { keys, complete: true }
    }
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

/// What is remembered of a call.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallRecord {
    /// How it started.
    pub start: Option<Start>,
    /// When it ended.
    pub end: Option<End>,
}

/// What the receiver remembers from one delivery to the next: items of a `DynamoDB` table. Hashes stand for events and calls.
pub trait StateTable {
    /// What was told of the event with this hash.
    fn find_mark(&self, hash: &str) -> impl Future<Output = Result<Option<Mark>, CallFailed>>;

    /// Adds to what was told of an event; what others add meanwhile stays.
    fn mark(
        &self,
        hash: &str,
        verified: bool,
        content: &Content,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), CallFailed>>;

    /// What is remembered of the call with this hash.
    fn find_call(&self, call: &str) -> impl Future<Output = Result<CallRecord, CallFailed>>;

    /// Remembers the start or the end of a call; the other stays as it is.
    fn remember_call(
        &self,
        call: &str,
        record: CallRecord,
        until: Timestamp,
    ) -> impl Future<Output = Result<(), CallFailed>>;

    /// Keeps when the latest verified notification came.
    fn note_latest(&self, at: Timestamp, until: Timestamp) -> impl Future<Output = Result<(), CallFailed>>;

    /// Counts so many unverified alerts more. Gives how many there were in the last ten minutes, these included.
    fn count_unverified(&self, more: usize, now: Timestamp) -> impl Future<Output = Result<usize, CallFailed>>;

    /// Claims this minute's combined message of unverified alerts. Gives whether nobody else has.
    fn claim_combined(&self, now: Timestamp) -> impl Future<Output = Result<bool, CallFailed>>;
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
pub trait Outside: ReadKeyring + FetchSigningKeys + StateTable + Publish + PutEvents {}

impl<T> Outside for T where T: ReadKeyring + FetchSigningKeys + StateTable + Publish + PutEvents {}

//! What the receiver is connected to, in memory: keyring, Entra's keys, state table, topics and bus; and what can go wrong
//! with each call there.

use std::{cell::RefCell, rc::Rc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use graph_notifications::{SigningKeys, TenantId};
use jiff::Timestamp;
use lambda_edge::{
    environment::{Environment, SettingError},
    event::BusEvent,
    publication::Publication,
};
use receiver::{
    Config,
    http::Request,
    mark::{Content, Mark},
    ports::{CallFailed, CallRecord, FetchSigningKeys, FetchedKeys, Publish, PutEvents, ReadKeyring, StateTable},
};
use serde_json::{Value, json};
use tokio::time::{Duration, sleep};
use zeroize::Zeroizing;

use crate::state_table::MemoryTable;

/// The topic for real calls, in [`config`].
pub const ALERT_TOPIC: &str = "alert-topic";
/// The topic for calls to test numbers, in [`config`].
pub const TEST_TOPIC: &str = "test-topic";
/// A topic in another Region, for the variable `SECOND_ALERT_TOPIC_ARN`.
pub const SECOND_ALERT_TOPIC: &str = "arn:aws:sns:us-west-2:123456789012:Alerts";

/// The receiver's configuration from an object of variables that say whose calls it takes; what names AWS's resources is
/// filled in.
///
/// # Errors
/// One sentence that names the template parameter which is wrong.
pub fn config(variables: &Value) -> Result<Config, SettingError> {
    let lookup = |variable: &str| {
        let given = match variable {
            "TEST_NUMBERS" => "933",
            "TIME_ZONE" => "UTC",
            "LANGUAGE" => "en",
            "KEYRING_SECRET_ID" => "keyring",
            "STATE_TABLE_NAME" => "state",
            "ALERT_TOPIC_ARN" => ALERT_TOPIC,
            "TEST_TOPIC_ARN" => TEST_TOPIC,
            "EVENT_BUS_NAME" => "bus",
            "AWS_LAMBDA_FUNCTION_NAME" => "receiver",
            "AWS_REGION" => "us-east-1",
            other => variables.get(other)?.as_str()?,
        };
        Some(given.to_owned())
    };
    Config::read(&Environment(&lookup))
}

/// The request with which API Gateway hands over a body that Graph posted.
///
/// # Panics
/// Never: it has all members of a request.
#[must_use]
pub fn posted(body: &[u8]) -> Request {
    let event = json!({
        "body": STANDARD.encode(body),
        "isBase64Encoded": true,
        "requestContext": {"http": {"method": "POST"}},
    });
    serde_json::from_value(event).expect("it has all members of a request")
}

/// A call that the receiver makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Call {
    /// Secrets Manager's `GetSecretValue`.
    ReadKeyring,
    /// Entra's documents of signing keys.
    FetchSigningKeys,
    /// `DynamoDB`'s calls for marks, calls and counts.
    StateTable,
    /// SNS's `Publish` and `PublishBatch`.
    Publish,
    /// The same in another Region.
    PublishElsewhere,
    /// `EventBridge`'s `PutEvents`.
    PutEvents,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is done, and answered after this time.
    Done(Duration),
    /// It is not done, and the answer after this time says so.
    Refused(Duration),
    /// It is done, and the answer after this time says that it is not, or says nothing that can be understood.
    DoneAndDenied(Duration),
    /// There is no answer.
    Silence {
        /// Whether it is done all the same.
        done: bool,
    },
}

/// Decides what becomes of each call.
pub trait Faults {
    /// What becomes of a call that is made now.
    fn fate(&self, call: Call) -> Fate;

    /// Whether one entry of a batch is refused, while the rest is taken.
    fn refuses_entry(&self) -> bool;
}

/// Nothing goes wrong, and nothing takes any time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Calm;

impl Faults for Calm {
    fn fate(&self, _call: Call) -> Fate {
        Fate::Done(Duration::ZERO)
    }

    fn refuses_entry(&self) -> bool {
        false
    }
}

/// A message that reached a topic.
pub struct Published {
    /// The topic.
    pub topic: String,
    /// The message.
    pub publication: Publication,
}

/// All that is outside, with what reached it.
#[derive(Default)]
pub struct Surroundings<F> {
    /// What goes wrong.
    pub faults: F,
    /// The secret's text.
    pub keyring: RefCell<String>,
    /// Entra's JSON Web Key Set.
    pub signing_keys: RefCell<String>,
    /// The state table.
    pub table: MemoryTable,
    /// What reached the topics.
    pub published: RefCell<Vec<Published>>,
    /// What reached the bus.
    pub events: RefCell<Vec<BusEvent>>,
}

/// The receiver's connection to its surroundings.
pub struct Connection<F>(pub Rc<Surroundings<F>>);

impl<F: Faults> Connection<F> {
    async fn call<T>(&self, call: Call, done: impl FnOnce(&Surroundings<F>) -> T) -> Result<T, CallFailed> {
        let (result, after) = match self.0.faults.fate(call) {
            Fate::Done(after) => (Ok(done(&self.0)), after),
            Fate::Refused(after) => (Err(CallFailed("refused".to_owned())), after),
            Fate::DoneAndDenied(after) => {
                done(&self.0);
                (Err(CallFailed("no result".to_owned())), after)
            }
            Fate::Silence { done: is_done } => {
                if is_done {
                    done(&self.0);
                }
                return std::future::pending().await;
            }
        };
        if !after.is_zero() {
            sleep(after).await;
        }
        result
    }

    /// The results of a batch's entries.
    fn entries<T>(&self, entries: &[T], mut take: impl FnMut(&T)) -> Vec<Result<(), CallFailed>> {
        let results = entries.iter().map(|entry| {
            if self.0.faults.refuses_entry() {
                return Err(CallFailed("the entry is refused".to_owned()));
            }
            take(entry);
            Ok(())
        });
        results.collect()
    }
}

impl<F: Faults> ReadKeyring for Connection<F> {
    async fn read_keyring(&self) -> Result<Zeroizing<String>, CallFailed> {
        self.call(Call::ReadKeyring, |outside| Zeroizing::new(outside.keyring.borrow().clone())).await
    }
}

impl<F: Faults> FetchSigningKeys for Connection<F> {
    async fn fetch_signing_keys(&self, _tenant: TenantId, now: Timestamp) -> Result<FetchedKeys, CallFailed> {
        let document = self.call(Call::FetchSigningKeys, |outside| outside.signing_keys.borrow().clone()).await?;
        let keys = SigningKeys::from_jwks(document.as_bytes(), now);
        keys.map(Into::into).map_err(|error| CallFailed(error.to_string()))
    }
}

impl<F: Faults> StateTable for Connection<F> {
    async fn find_mark(&self, hash: &str) -> Result<Option<Mark>, CallFailed> {
        self.call(Call::StateTable, |outside| outside.table.find_mark(hash)).await
    }

    async fn mark(&self, hash: &str, verified: bool, content: &Content, _: Timestamp) -> Result<(), CallFailed> {
        self.call(Call::StateTable, |outside| outside.table.mark(hash, verified, content)).await
    }

    async fn find_call(&self, call: &str) -> Result<CallRecord, CallFailed> {
        self.call(Call::StateTable, |outside| outside.table.find_call(call)).await
    }

    async fn remember_call(&self, call: &str, record: CallRecord, _: Timestamp) -> Result<(), CallFailed> {
        self.call(Call::StateTable, |outside| outside.table.remember_call(call, record)).await
    }

    async fn note_latest(&self, at: Timestamp, _: Timestamp) -> Result<(), CallFailed> {
        self.call(Call::StateTable, |outside| outside.table.note_latest(at)).await
    }

    async fn count_unverified(&self, more: usize, now: Timestamp) -> Result<usize, CallFailed> {
        self.call(Call::StateTable, |outside| outside.table.count_unverified(more, now)).await
    }

    async fn claim_combined(&self, now: Timestamp) -> Result<bool, CallFailed> {
        self.call(Call::StateTable, |outside| outside.table.claim_combined(now)).await
    }
}

impl<F: Faults> Publish for Connection<F> {
    async fn publish(&self, topic_arn: &str, messages: &[&Publication]) -> Vec<Result<(), CallFailed>> {
        let call = if topic_arn == SECOND_ALERT_TOPIC { Call::PublishElsewhere } else { Call::Publish };
        let taken = self.call(call, |outside| {
            self.entries(messages, |message| {
                let published = Published { topic: topic_arn.to_owned(), publication: (*message).clone() };
                outside.published.borrow_mut().push(published);
            })
        });
        taken.await.unwrap_or_else(|error| vec![Err(error); messages.len()])
    }
}

impl<F: Faults> PutEvents for Connection<F> {
    async fn put_events(&self, events: &[&BusEvent]) -> Vec<Result<(), CallFailed>> {
        let taken = self.call(Call::PutEvents, |outside| {
            self.entries(events, |event| outside.events.borrow_mut().push((*event).clone()))
        });
        taken.await.unwrap_or_else(|error| vec![Err(error); events.len()])
    }
}

//! What a watch needs of the outside world beyond what a run needs.

use std::collections::BTreeMap;

use graph_notifications::keyring::StoredKeyPair;
use jiff::Timestamp;

use super::trouble::Troubles;
use crate::ports::{OutsideError, Subscriptions, Topics, World};

/// The randomness that sealing takes.
pub trait SealProbe {
    /// A probe that is sent `now`, sealed with this certificate.
    ///
    /// # Errors
    /// If the system gives no randomness, or OpenSSL cannot make it.
    fn seal_probe(&self, key: &StoredKeyPair, now: Timestamp) -> Result<String, OutsideError>;
}

/// The system's own address, as Graph delivers to it.
pub trait PostProbe {
    /// Posts a probe, and gives the status of the answer, if it comes in the time that Graph gives a delivery.
    fn post_probe(&self, url: &str, body: &str) -> impl Future<Output = Result<u16, OutsideError>>;
}

/// What the state table keeps for the watch.
pub trait Diary {
    /// When the latest run ended that compared the subscriptions with what they should be.
    fn reconciled_at(&self) -> impl Future<Output = Result<Option<Timestamp>, OutsideError>>;
    /// When the receiver published the latest authentic notification.
    fn latest_notification(&self) -> impl Future<Output = Result<Option<Timestamp>, OutsideError>>;
    /// What the watch before noted.
    fn notes(&self) -> impl Future<Output = Result<Option<Notes>, OutsideError>>;
    /// Notes this for the next watch.
    fn put_notes(&self, notes: &Notes) -> impl Future<Output = Result<(), OutsideError>>;
}

/// What one watch notes for the next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notes {
    /// When the first watch ran.
    pub since: Timestamp,
    /// How many had confirmed their subscription, by the topic's name in the template.
    pub confirmed: BTreeMap<String, u64>,
    /// What is in trouble.
    pub troubles: Troubles,
}

impl Notes {
    /// Those of the first watch of all, before it has seen anything.
    #[must_use]
    pub fn first(now: Timestamp) -> Self {
        Self { since: now, confirmed: BTreeMap::new(), troubles: Troubles::new() }
    }
}

/// All that a watch may touch.
pub trait Watched: World + Topics + Subscriptions + SealProbe + PostProbe + Diary {}

impl<W: World + Topics + Subscriptions + SealProbe + PostProbe + Diary> Watched for W {}

//! How one invocation spends its time: Graph gives the first delivery three seconds.

use tokio::time::{Duration, Instant};

/// Until when each stage must be done. What is missing then is done without, or left to Graph's retry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Schedule {
    /// The keyring is at hand.
    pub(crate) keyring: Instant,
    /// Every item is authentic or not, and read.
    pub(crate) authenticated: Instant,
    /// Duplicates are known.
    pub(crate) deduplicated: Instant,
    /// Alerts are published.
    pub(crate) published: Instant,
    /// Alerts are marked, events are on the bus.
    pub(crate) recorded: Instant,
}

impl Schedule {
    pub(crate) fn starting(start: Instant) -> Self {
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        Self {
            keyring: at(800),
            authenticated: at(1300),
            deduplicated: at(1600),
            published: at(2200),
            recorded: at(2400),
        }
    }
}

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
    /// The home Region has had its time: what it did not take goes the second way.
    pub(crate) published_at_home: Instant,
    /// Alerts are published, whichever way.
    pub(crate) published: Instant,
    /// Alerts are marked, events are on the bus.
    pub(crate) recorded: Instant,
}

impl Schedule {
    /// The schedule of an invocation that starts now. What leads to another Region begins with a connection there, so a second
    /// way has over half a second of its own, at the cost of all that comes before.
    pub(crate) fn starting(start: Instant, second_way: bool) -> Self {
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        if second_way {
            Self {
                keyring: at(800),
                authenticated: at(1200),
                deduplicated: at(1350),
                published_at_home: at(1720),
                published: at(2280),
                recorded: at(2420),
            }
        } else {
            Self {
                keyring: at(800),
                authenticated: at(1300),
                deduplicated: at(1600),
                published_at_home: at(2200),
                published: at(2200),
                recorded: at(2400),
            }
        }
    }
}

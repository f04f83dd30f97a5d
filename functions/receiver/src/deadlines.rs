//! How one invocation spends its time: Graph gives the first delivery three seconds.

use tokio::time::{Duration, Instant};

/// How long duplicates are looked up at most. A table that is slow must not take the time that publishing needs: an alert that
/// Amazon SNS takes too late to say so in time goes out twice.
const LOOKUP: Duration = Duration::from_millis(500);

/// Until when each stage must be done. What is missing then is done without, or left to Graph's retry.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// The keyring is at hand.
    pub(crate) keyring: Instant,
    /// Every item is authentic or not, and what reading needs is at hand.
    pub(crate) authenticated: Instant,
    /// Verified items are read. What takes longer, hundreds of calls in one request, is left to Graph's retry.
    pub(crate) read: Instant,
    /// Items with one proof are read, after the verified ones were published.
    pub(crate) unverified_read: Instant,
    /// Duplicates are known, however late it was begun to look them up.
    deduplicated: Instant,
    /// The home Region has had its time: what it did not take goes the second way.
    pub(crate) published_at_home: Instant,
    /// Alerts are published, whichever way.
    pub(crate) published: Instant,
    /// Alerts are marked, events are on the bus.
    pub(crate) recorded: Instant,
}

impl Deadlines {
    /// Until when duplicates are looked up if that begins now.
    pub(crate) fn deduplicated(&self, now: Instant) -> Instant {
        self.deduplicated.min(now + LOOKUP)
    }

    /// The same for items with one proof, which come later.
    pub(crate) fn for_unverified(self) -> Self {
        let later = self.unverified_read.saturating_duration_since(self.read);
        Self { read: self.unverified_read, deduplicated: self.deduplicated + later, ..self }
    }

    /// The deadlines of an invocation that starts now. What leads to another Region begins with a connection there, so a second
    /// way has over half a second of its own, at the cost of all that comes before.
    pub(crate) fn starting(start: Instant, second_way: bool) -> Self {
        let at = |milliseconds| start + Duration::from_millis(milliseconds);
        if second_way {
            Self {
                keyring: at(800),
                authenticated: at(1200),
                read: at(1250),
                unverified_read: at(1400),
                deduplicated: at(1350),
                published_at_home: at(1720),
                published: at(2280),
                recorded: at(2420),
            }
        } else {
            Self {
                keyring: at(800),
                authenticated: at(1300),
                read: at(1400),
                unverified_read: at(1700),
                deduplicated: at(1600),
                published_at_home: at(2200),
                published: at(2200),
                recorded: at(2400),
            }
        }
    }
}

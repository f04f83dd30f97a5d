//! Alerts on their way out, and what became of them.

use emergency_alert::Alert;

use crate::mark::Content;

/// How many calls of one kind are under way at once.
pub(crate) const AT_ONCE: usize = 16;

/// An alert on its way out. Nobody changes it any more.
#[derive(Clone)]
pub(crate) struct Outgoing {
    pub(crate) alert: Alert,
    /// The hash of its deduplication key.
    pub(crate) hash: String,
    /// What it tells of caller and place.
    pub(crate) content: Content,
    /// Whether the bus has it already.
    pub(crate) on_bus: bool,
}

impl Outgoing {
    /// An alert that neither people nor machines were told of.
    pub(crate) fn new(alert: Alert, hash: String, content: Content) -> Self {
        Self { alert, hash, content, on_bus: false }
    }

    /// Whether it tells the same of the same event.
    pub(crate) fn tells_the_same_as(&self, other: &Self) -> bool {
        (&self.hash, &self.content) == (&other.hash, &other.content)
    }
}

/// What became of alerts.
#[derive(Default)]
pub(crate) struct HandedOver {
    pub(crate) published: Vec<Outgoing>,
    /// How many of them only the topic in another Region took.
    pub(crate) second_way: usize,
    pub(crate) duplicates: usize,
    pub(crate) failed: usize,
    /// Unverified alerts above the limit that machines are told of now and people later: Graph is to send them again.
    pub(crate) put_aside: Vec<Outgoing>,
    /// How many questions the table did not answer; those alerts were published anyway.
    pub(crate) lookups_failed: usize,
}

impl HandedOver {
    /// Adds what became of other alerts.
    pub(crate) fn add(&mut self, other: Self) {
        self.published.extend(other.published);
        self.put_aside.extend(other.put_aside);
        self.second_way += other.second_way;
        self.duplicates += other.duplicates;
        self.failed += other.failed;
        self.lookups_failed += other.lookups_failed;
    }
}

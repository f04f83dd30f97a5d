//! The receiver's part of the state table, in memory: what each of its calls does to the items.

use std::{cell::RefCell, collections::BTreeMap};

use jiff::{SignedDuration, Timestamp};
use receiver::{
    mark::{Content, Mark},
    ports::CallRecord,
};

/// For how long unverified alerts count.
const COUNTED_FOR: SignedDuration = SignedDuration::from_mins(10);

/// The items. Nothing expires, since what is told of marks and calls never needs that.
#[derive(Debug, Default)]
pub struct MemoryTable {
    /// What was told of each event.
    pub marks: RefCell<BTreeMap<String, Mark>>,
    /// What is remembered of each call.
    pub calls: RefCell<BTreeMap<String, CallRecord>>,
    /// When the latest verified notification came.
    pub latest: RefCell<Option<Timestamp>>,
    counted: RefCell<Vec<(Timestamp, usize)>>,
    claimed: RefCell<Vec<i64>>,
}

impl MemoryTable {
    /// The mark of an event.
    pub fn find_mark(&self, hash: &str) -> Option<Mark> {
        self.marks.borrow().get(hash).cloned()
    }

    /// Adds to a mark.
    pub fn mark(&self, hash: &str, verified: bool, content: &Content) {
        self.marks.borrow_mut().entry(hash.to_owned()).or_default().add(verified, content.clone());
    }

    /// What is remembered of a call.
    pub fn find_call(&self, call: &str) -> CallRecord {
        self.calls.borrow().get(call).copied().unwrap_or_default()
    }

    /// Adds to what is remembered of a call.
    pub fn remember_call(&self, call: &str, record: CallRecord) {
        let mut calls = self.calls.borrow_mut();
        let known = calls.entry(call.to_owned()).or_default();
        *known = CallRecord { start: record.start.or(known.start), end: record.end.or(known.end) };
    }

    /// Notes when the latest verified notification came.
    pub fn note_latest(&self, at: Timestamp) {
        self.latest.replace(Some(at));
    }

    /// Counts unverified alerts. Gives how many there were in the last ten minutes.
    pub fn count_unverified(&self, more: usize, now: Timestamp) -> usize {
        let mut counted = self.counted.borrow_mut();
        counted.push((now, more));
        counted.retain(|(at, _)| now.duration_since(*at) < COUNTED_FOR);
        counted.iter().map(|(_, count)| count).sum()
    }

    /// Claims the combined message of a minute.
    pub fn claim_combined(&self, now: Timestamp) -> bool {
        let minute = now.as_second().div_euclid(60);
        let mut claimed = self.claimed.borrow_mut();
        let is_free = !claimed.contains(&minute);
        if is_free {
            claimed.push(minute);
        }
        is_free
    }
}

//! AWS in memory: secrets, the state table and the bus, as far as the renewer uses them.

use std::collections::{BTreeMap, BTreeSet};

use graph_notifications::Policy;
use jiff::Timestamp;
use renewer::ports::LeaseName;
use renewer::records::Health;
use renewer::records::{Record, sort_key};

/// What is stored.
#[derive(Default)]
pub(super) struct Aws {
    pub(super) secrets: BTreeMap<String, String>,
    records: BTreeMap<String, Record>,
    leases: BTreeMap<LeaseName, (String, Timestamp)>,
    lifecycle_run: Option<Timestamp>,
    /// The subscriptions whose loss the bus was told of.
    pub(super) told: BTreeSet<String>,
}

impl Aws {
    pub(super) fn take_lease(&mut self, name: LeaseName, owner: &str, now: Timestamp, until: Timestamp) -> bool {
        if self.leases.get(&name).is_some_and(|(holder, end)| holder != owner && *end > now) {
            return false;
        }
        self.leases.insert(name, (owner.to_owned(), until));
        true
    }

    pub(super) fn release_lease(&mut self, name: LeaseName, owner: &str) {
        self.leases.retain(|held, (holder, _)| *held != name || holder != owner);
    }

    pub(super) fn is_leased_to(&self, owner: &str) -> bool {
        self.leases.values().any(|(holder, _)| holder == owner)
    }

    pub(super) fn records(&self) -> Vec<Record> {
        self.records.values().cloned().collect()
    }

    pub(super) fn record(&self, policy: &Policy) -> Option<&Record> {
        self.records.get(&sort_key(policy))
    }

    pub(super) fn put_record(&mut self, record: &Record) {
        self.records.insert(sort_key(&record.policy), record.clone());
    }

    pub(super) fn delete_record(&mut self, policy: &Policy) {
        self.records.remove(&sort_key(policy));
    }

    pub(super) fn lifecycle_run(&self) -> Option<Timestamp> {
        self.lifecycle_run
    }

    pub(super) fn announce_lifecycle_run(&mut self, latest: Option<Timestamp>, next: Timestamp) -> bool {
        let unchanged = self.lifecycle_run == latest;
        if unchanged {
            self.lifecycle_run = Some(next);
        }
        unchanged
    }

    pub(super) fn put_health(&mut self, health: &Health) {
        self.told.insert(health.lost_subscription_id.clone());
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

    #[test]
    fn one_owner_holds_the_lease_until_it_ends() {
        let mut aws = Aws::default();
        let end = START + SignedDuration::from_mins(5);
        assert!(aws.take_lease(LeaseName::Subscriptions, "one", START, end));
        assert!(aws.take_lease(LeaseName::Subscriptions, "one", START, end));
        assert!(!aws.take_lease(LeaseName::Subscriptions, "two", end - SignedDuration::from_secs(1), end));
        aws.release_lease(LeaseName::Subscriptions, "two");
        assert!(aws.is_leased_to("one"));
        assert!(aws.take_lease(LeaseName::Subscriptions, "two", end, end + SignedDuration::from_mins(5)));
        aws.release_lease(LeaseName::Subscriptions, "two");
        assert!(!aws.is_leased_to("two"));
    }

    #[test]
    fn a_lifecycle_run_is_announced_by_who_knows_the_latest() {
        let mut aws = Aws::default();
        assert!(aws.announce_lifecycle_run(None, START));
        assert!(!aws.announce_lifecycle_run(None, START));
        assert_eq!(aws.lifecycle_run(), Some(START));
    }
}

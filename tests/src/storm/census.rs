//! What reached the topics, call by call.

use std::collections::BTreeMap;

use crate::surroundings::{ALERT_TOPIC, Published, SECOND_ALERT_TOPIC};

/// A call that was made.
#[derive(Debug, Clone, Copy, Default)]
struct Made {
    is_test: bool,
}

/// What was told of a call.
#[derive(Debug, Clone, Default)]
struct Told {
    /// By type of event, on the call's own topic.
    events: BTreeMap<String, usize>,
    /// Alerts that do not tell the event, since the details could not be read.
    degraded: usize,
    /// Alerts on the topic of the others.
    elsewhere: usize,
    unverified: usize,
}

/// The types of event that each call has.
pub(super) const EVENTS: [&str; 2] = ["callStarted", "callEnded"];

/// The calls that were made, and what was told of whom.
#[derive(Default)]
pub(super) struct Census {
    made: BTreeMap<String, Made>,
    told: BTreeMap<String, Told>,
    alerts: u64,
    second_way: u64,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) calls: usize,
    pub(super) tests: usize,
    pub(super) alerts: u64,
    /// Alerts that took the way through another Region.
    pub(super) second_way: u64,
    /// Calls with an event of which nobody was told.
    pub(super) lost: usize,
    /// Calls with an event that was told more than once.
    pub(super) doubled: usize,
    /// Calls that nobody made.
    pub(super) forged: usize,
    /// Test calls that alarmed people, and calls that did not.
    pub(super) misrouted: usize,
    pub(super) degraded: usize,
    pub(super) unverified: usize,
}

impl Census {
    /// A call is made.
    pub(super) fn made(&mut self, id: &str, is_test: bool) {
        self.made.insert(id.to_owned(), Made { is_test });
    }

    /// A message reached a topic.
    pub(super) fn count(&mut self, message: &Published) {
        let attribute = |name: &str| {
            let found = message.publication.attributes.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| value.as_str()).unwrap_or_default()
        };
        let id = attribute("callId");
        let told = self.told.entry(id.to_owned()).or_default();
        self.alerts += 1;
        told.unverified += usize::from(attribute("verified") != "true");
        let is_test = self.made.get(id).is_some_and(|made| made.is_test);
        let alarms = [ALERT_TOPIC, SECOND_ALERT_TOPIC].contains(&message.topic.as_str());
        self.second_way += u64::from(message.topic == SECOND_ALERT_TOPIC);
        if attribute("degraded") == "true" {
            // Nobody can know that it was a test, so that it alarms.
            told.degraded += 1;
        } else if is_test == alarms {
            told.elsewhere += 1;
        } else {
            *told.events.entry(attribute("eventType").to_owned()).or_default() += 1;
        }
    }

    /// What it comes to.
    pub(super) fn outcome(&self) -> Outcome {
        let nothing = Told::default();
        let mut outcome =
            Outcome { calls: self.made.len(), alerts: self.alerts, second_way: self.second_way, ..Outcome::default() };
        for (id, made) in &self.made {
            let told = self.told.get(id).unwrap_or(&nothing);
            let times = |event: &str| told.events.get(event).copied().unwrap_or_default();
            // One without details may be of either event.
            let missing = EVENTS.iter().filter(|event| times(event) == 0).count();
            let twice = EVENTS.iter().any(|event| times(event) > 1);
            outcome.tests += usize::from(made.is_test);
            outcome.lost += usize::from(missing > told.degraded);
            outcome.doubled += usize::from(twice || told.degraded > missing);
            outcome.misrouted += usize::from(told.elsewhere > 0);
            outcome.degraded += usize::from(told.degraded > 0);
            outcome.unverified += usize::from(told.unverified > 0);
        }
        outcome.forged = self.told.keys().filter(|id| !self.made.contains_key(*id)).count();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use lambda_edge::publication::Publication;

    use super::*;
    use crate::surroundings::TEST_TOPIC;

    fn told(id: &str, event: &str, topic: &str, degraded: bool) -> Published {
        let attributes = vec![
            ("callId", id.to_owned()),
            ("eventType", event.to_owned()),
            ("degraded", degraded.to_string()),
            ("verified", "true".to_owned()),
        ];
        let publication = Publication { subject: String::new(), message: String::new(), attributes, lists: Vec::new() };
        Published { topic: topic.to_owned(), publication }
    }

    fn outcome(messages: &[(&str, &str, bool)], is_test: bool) -> (usize, usize, usize, usize) {
        let mut census = Census::default();
        census.made("a", is_test);
        for (event, topic, degraded) in messages {
            census.count(&told("a", event, topic, *degraded));
        }
        let Outcome { lost, doubled, forged, misrouted, .. } = census.outcome();
        (lost, doubled, forged, misrouted)
    }

    #[test]
    fn each_event_is_to_be_told_once_on_its_topic() {
        let [start, end] = EVENTS;
        let alert = |event| (event, ALERT_TOPIC, false);
        let test = |event| (event, TEST_TOPIC, false);
        let unread = ("unknown", ALERT_TOPIC, true);
        assert_eq!(outcome(&[alert(start), alert(end)], false), (0, 0, 0, 0));
        assert_eq!(outcome(&[alert(start)], false), (1, 0, 0, 0));
        assert_eq!(outcome(&[alert(start), alert(start), alert(end)], false), (0, 1, 0, 0));
        assert_eq!(outcome(&[alert(start), unread], false), (0, 0, 0, 0));
        assert_eq!(outcome(&[alert(start), alert(end), unread], false), (0, 1, 0, 0));
        assert_eq!(outcome(&[test(start), test(end)], true), (0, 0, 0, 0));
        assert_eq!(outcome(&[test(start), alert(end)], true), (1, 0, 0, 1));
        assert_eq!(outcome(&[test(start), alert(end)], false), (1, 0, 0, 1));
        let mut census = Census::default();
        census.count(&told("b", start, ALERT_TOPIC, false));
        assert_eq!(census.outcome().forged, 1);
    }
}

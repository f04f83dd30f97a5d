//! What reached the topics, call by call.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use crate::surroundings::{ALERT_TOPIC, Published, SECOND_ALERT_TOPIC};

/// The types of event that each call has.
pub(super) const EVENTS: [&str; 2] = ["callStarted", "callEnded"];

/// What is to be told once: a type of event, and the street that it names.
type Subject = (String, String);

/// A call that was made.
#[derive(Debug, Clone, Default)]
struct Made {
    is_test: bool,
    /// What Graph sent of it, and whether it ever sent both proofs.
    sent: BTreeMap<Subject, bool>,
}

/// What was told of a call.
#[derive(Debug, Clone, Default)]
struct Told {
    /// On the call's own topic.
    verified: BTreeMap<Subject, usize>,
    unverified: BTreeMap<Subject, usize>,
    /// Alerts that do not tell the event, since the details could not be read.
    degraded: usize,
    /// Alerts on the topic of the others.
    elsewhere: usize,
}

/// The calls that were made, and what was told of whom.
#[derive(Default)]
pub(super) struct Census {
    made: BTreeMap<String, Made>,
    told: BTreeMap<String, Told>,
    /// Calls that holders of one proof may make up.
    one_proof: BTreeSet<String>,
    alerts: u64,
    combined: u64,
    omitted: u64,
    second_way: u64,
    late_starts: u64,
}

/// What it comes to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) calls: usize,
    pub(super) tests: usize,
    pub(super) alerts: u64,
    /// Calls that combined messages named.
    pub(super) combined: u64,
    /// Calls that combined messages had no room for in their JSON.
    pub(super) omitted: u64,
    /// Messages that took the way through another Region.
    pub(super) second_way: u64,
    /// Starts that say that their call has ended.
    pub(super) late_starts: u64,
    /// Calls with an event of which nobody was told.
    pub(super) lost: usize,
    /// Calls with an event that was told more than once as verified, or more than once as not verified.
    pub(super) doubled: usize,
    /// Calls told that nobody made and no holder of one proof made up.
    pub(super) forged: usize,
    /// Calls told as verified of which Graph never sent both proofs.
    pub(super) wrongly_verified: usize,
    /// Test calls that alarmed people, and calls that did not.
    pub(super) misrouted: usize,
    pub(super) degraded: usize,
    /// Calls with an event that Graph never sent both proofs of.
    pub(super) with_one_proof: usize,
    /// Calls with an event of which Graph sent both proofs, and that was told as not verified alone.
    pub(super) unverified: usize,
}

impl Census {
    /// A call is made.
    pub(super) fn made(&mut self, id: &str, is_test: bool) {
        self.made.entry(id.to_owned()).or_default().is_test = is_test;
    }

    /// Graph sends an event of a call, with both proofs or with one.
    pub(super) fn sent(&mut self, id: &str, event: &str, street: &str, both_proofs: bool) {
        let made = self.made.entry(id.to_owned()).or_default();
        *made.sent.entry((event.to_owned(), street.to_owned())).or_default() |= both_proofs;
    }

    /// Somebody who holds one proof makes up these calls.
    pub(super) fn made_up(&mut self, ids: &BTreeSet<String>) {
        self.one_proof.extend(ids.iter().cloned());
    }

    /// A message reached a topic.
    pub(super) fn count(&mut self, message: &Published) {
        self.second_way += u64::from(message.topic == SECOND_ALERT_TOPIC);
        let bodies: Value = serde_json::from_str(&message.publication.message).expect("a message is JSON");
        let document = bodies["default"].as_str().expect("there is a body for machines");
        let document: Value = serde_json::from_str(document).expect("the body for machines is JSON");
        let alarms = [ALERT_TOPIC, SECOND_ALERT_TOPIC].contains(&message.topic.as_str());
        if let Some(alerts) = document["alerts"].as_array() {
            self.combined += alerts.len() as u64;
            self.omitted += document["omitted"].as_u64().expect("it says what it has no room for");
            for alert in alerts {
                self.count_alert(alert, alarms);
            }
        } else {
            self.alerts += 1;
            self.count_alert(&document, alarms);
        }
    }

    fn count_alert(&mut self, alert: &Value, alarms: bool) {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let id = text(&alert["callId"]);
        let is_test = self.made.get(&id).is_some_and(|made| made.is_test);
        self.late_starts += u64::from(!alert["endedAt"].is_null());
        let told = self.told.entry(id).or_default();
        if alert["degraded"] == true {
            // Nobody can know that it was a test, so that it alarms.
            told.degraded += 1;
            return;
        }
        let verified = alert["verified"] == true;
        if is_test == alarms {
            told.elsewhere += 1;
        }
        let by_proof = if verified { &mut told.verified } else { &mut told.unverified };
        *by_proof.entry((text(&alert["eventType"]), text(&alert["location"]["street"]))).or_default() += 1;
    }

    /// The events that nobody was told of: call, type and street of each.
    pub(super) fn lost(&self) -> Vec<String> {
        let nothing = Told::default();
        let of_call = |(id, made): (&String, &Made)| {
            let told = self.told.get(id).unwrap_or(&nothing);
            let is_told =
                |subject: &&Subject| told.verified.contains_key(*subject) || told.unverified.contains_key(*subject);
            let untold = made.sent.keys().filter(|subject| !is_told(subject));
            let events: Vec<String> = untold.map(|(event, street)| format!("{id} {event} {street}")).collect();
            if events.len() > told.degraded { events } else { Vec::new() }
        };
        self.made.iter().flat_map(of_call).collect()
    }

    /// What it comes to.
    pub(super) fn outcome(&self) -> Outcome {
        let nothing = Told::default();
        let Self { made, alerts, combined, omitted, second_way, late_starts, .. } = self;
        let (alerts, combined, omitted) = (*alerts, *combined, *omitted);
        let (second_way, late_starts) = (*second_way, *late_starts);
        let calls = made.len();
        let mut outcome = Outcome { calls, alerts, combined, omitted, second_way, late_starts, ..Outcome::default() };
        for (id, made) in made {
            let told = self.told.get(id).unwrap_or(&nothing);
            let verified = |subject: &Subject| told.verified.get(subject).copied().unwrap_or_default();
            let unverified = |subject: &Subject| told.unverified.get(subject).copied().unwrap_or_default();
            let sent_with = |both: bool| made.sent.iter().filter(move |(_, sent)| **sent == both);
            let missing = made.sent.keys().filter(|subject| verified(subject) + unverified(subject) == 0).count();
            let twice = made.sent.keys().any(|subject| verified(subject) > 1 || unverified(subject) > 1);
            // One without details may be of either event.
            let known = |subject: &Subject| made.sent.contains_key(subject);
            let is_made_up = told.verified.keys().chain(told.unverified.keys()).any(|subject| !known(subject));
            let overstated = sent_with(false).any(|(subject, _)| verified(subject) > 0);
            let never_proven = told.degraded > 0 && sent_with(true).next().is_none();
            outcome.tests += usize::from(made.is_test);
            outcome.lost += usize::from(missing > told.degraded);
            outcome.doubled += usize::from(twice || told.degraded > missing);
            outcome.forged += usize::from(is_made_up);
            outcome.wrongly_verified += usize::from(overstated || never_proven);
            outcome.misrouted += usize::from(told.elsewhere > 0);
            outcome.degraded += usize::from(told.degraded > 0);
            outcome.with_one_proof += usize::from(sent_with(false).next().is_some());
            outcome.unverified +=
                usize::from(sent_with(true).any(|(subject, _)| verified(subject) == 0 && unverified(subject) > 0));
        }
        let others = self.told.iter().filter(|(id, _)| !made.contains_key(*id));
        for (id, told) in others {
            outcome.forged += usize::from(!self.one_proof.contains(id));
            outcome.wrongly_verified += usize::from(!told.verified.is_empty() || told.degraded > 0);
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use lambda_edge::publication::Publication;
    use serde_json::json;

    use super::*;
    use crate::surroundings::TEST_TOPIC;

    const STREET: &str = "Main Street";

    fn published(topic: &str, document: &Value) -> Published {
        let message = json!({"default": document.to_string()}).to_string();
        let publication = Publication { subject: String::new(), message, attributes: Vec::new(), lists: Vec::new() };
        Published { topic: topic.to_owned(), publication }
    }

    fn alert(id: &str, event: &str, verified: bool) -> Value {
        json!({"callId": id, "eventType": event, "degraded": false, "verified": verified, "location": {"street": STREET}})
    }

    fn unread(id: &str) -> Value {
        json!({"callId": id, "eventType": null, "degraded": true, "verified": true, "location": {}})
    }

    /// The outcome of one call, both events of which Graph sends.
    fn outcome(is_test: bool, both_proofs: bool, messages: &[(&str, Value)]) -> Outcome {
        let mut census = Census::default();
        census.made("a", is_test);
        for event in EVENTS {
            census.sent("a", event, STREET, both_proofs);
        }
        for (topic, document) in messages {
            census.count(&published(topic, document));
        }
        census.outcome()
    }

    fn kept(messages: &[(&str, Value)], is_test: bool) -> (usize, usize, usize, usize) {
        let Outcome { lost, doubled, forged, misrouted, wrongly_verified, .. } = outcome(is_test, true, messages);
        assert_eq!(wrongly_verified, 0);
        (lost, doubled, forged, misrouted)
    }

    #[test]
    fn each_event_is_to_be_told_once_on_its_topic() {
        let [start, end] = EVENTS.map(|event| (ALERT_TOPIC, alert("a", event, true)));
        let [test_start, test_end] = EVENTS.map(|event| (TEST_TOPIC, alert("a", event, true)));
        let unread = (ALERT_TOPIC, unread("a"));
        assert_eq!(kept(&[start.clone(), end.clone()], false), (0, 0, 0, 0));
        assert_eq!(kept(std::slice::from_ref(&start), false), (1, 0, 0, 0));
        assert_eq!(kept(&[start.clone(), start.clone(), end.clone()], false), (0, 1, 0, 0));
        assert_eq!(kept(&[start.clone(), unread.clone()], false), (0, 0, 0, 0));
        assert_eq!(kept(&[start.clone(), end.clone(), unread], false), (0, 1, 0, 0));
        assert_eq!(kept(&[test_start.clone(), test_end], true), (0, 0, 0, 0));
        assert_eq!(kept(&[test_start.clone(), end.clone()], true), (0, 0, 0, 1));
        assert_eq!(kept(&[test_start, end], false), (0, 0, 0, 1));
    }

    #[test]
    fn one_proof_is_told_as_not_verified_alone_or_among_others() {
        let [start, end] = EVENTS.map(|event| alert("a", event, false));
        let combined = json!({"alerts": [start], "omitted": 2});
        let told = outcome(false, false, &[(ALERT_TOPIC, combined), (ALERT_TOPIC, end)]);
        assert_eq!((told.lost, told.doubled, told.wrongly_verified, told.forged), (0, 0, 0, 0));
        assert_eq!((told.with_one_proof, told.unverified, told.combined, told.omitted), (1, 0, 1, 2));
        let [start, end] = EVENTS.map(|event| (ALERT_TOPIC, alert("a", event, true)));
        assert_eq!(outcome(false, false, &[start.clone(), end]).wrongly_verified, 1);
        assert_eq!(outcome(false, false, &[(ALERT_TOPIC, unread("a"))]).wrongly_verified, 1);
        // Once as not verified, and once as verified now.
        let unverified = (ALERT_TOPIC, alert("a", EVENTS[0], false));
        let told = outcome(false, true, &[unverified.clone(), start.clone()]);
        assert_eq!((told.doubled, told.unverified, told.lost), (0, 0, 1));
        assert_eq!(outcome(false, true, &[unverified]).unverified, 1);
    }

    #[test]
    fn what_nobody_sent_is_forged() {
        let mut census = Census::default();
        census.made_up(&["b".to_owned()].into());
        census.count(&published(ALERT_TOPIC, &alert("b", EVENTS[0], false)));
        assert_eq!((census.outcome().forged, census.outcome().wrongly_verified), (0, 0));
        census.count(&published(ALERT_TOPIC, &alert("c", EVENTS[0], false)));
        assert_eq!((census.outcome().forged, census.outcome().wrongly_verified), (1, 0));
        census.count(&published(ALERT_TOPIC, &alert("b", EVENTS[0], true)));
        assert_eq!((census.outcome().forged, census.outcome().wrongly_verified), (1, 1));
        assert_eq!(kept(&[(ALERT_TOPIC, alert("a", "callMoved", true))], false).2, 1);
    }
}

//! Many unverified alerts in one message.
//!
//! Whoever holds one proof of the sender can raise unverified alerts without end. One message for all of them leaves room,
//! in inboxes and in the SMS limit of the account, for the verified ones.

use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Serialize;

use crate::address::Address;
use crate::alert::{Alert, MAX_JSON_BYTES};
use crate::attributes::flag;
use crate::document::{AlertDocument, SCHEMA_VERSION};
use crate::email::{Email, INDENT, MAX_SUBJECT, Page};
use crate::inert::{account, inert};
use crate::moment;
use crate::settings::Settings;
use crate::sms_alphabet::MAX_PARTS;
use crate::summary::{in_brackets, summary, tags, written};
use crate::text::{Alphabet, CUT_MARK, ascii, clean, cut};
use crate::wording::Wording;

/// The JSON Schema (2020-12) of the JSON of a combined message.
pub const COMBINED_SCHEMA: &str = include_str!("../schema/combined-1.2.json");

/// The event type by which filters find combined messages.
const EVENT_TYPE: &str = "unverifiedCalls";

/// The longest values of an attribute together, in bytes.
const MAX_VALUES_BYTES: usize = 4_000;

/// The longest value in the email, in bytes.
const MAX_VALUE_BYTES: usize = 160;

/// The longest place in the email, in bytes.
const MAX_PLACE_BYTES: usize = 400;

/// From this length on the email has one line for each call, in bytes.
const LONG_BODY_BYTES: usize = 14_000;

/// From this length on the email only counts the calls, in bytes; escaped, it must fit into an SNS message beside the JSON.
const MAX_BODY_BYTES: usize = 23_000;

/// The longest line for a call, in bytes.
const MAX_LINE_BYTES: usize = 160;

/// The longest name in a text message, in bytes.
const MAX_NAME: usize = 30;

/// Longer than any telephone number, formatting included, in bytes.
const MAX_NUMBER: usize = 64;

/// More than the members around the alerts take in JSON.
const AROUND_BYTES: usize = 1_000;

/// The longest call in a text message, in units of its alphabet.
const MAX_SMS_CALL: usize = 140;

/// The message that tells several unverified alerts at once, in the language of the first.
#[derive(Clone)]
pub struct Combined<'a> {
    alerts: Vec<&'a Alert>,
    wording: Wording,
}

/// What machines get.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CombinedDocument<'a> {
    schema_version: &'static str,
    event_type: &'static str,
    verified: bool,
    is_test: bool,
    /// The alerts for which there is no room.
    omitted: usize,
    alerts: Vec<AlertDocument<'a>>,
}

impl CombinedDocument<'_> {
    fn json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and JSON values always serialise")
    }
}

impl<'a> Combined<'a> {
    /// The message for `alerts`, in their order.
    #[must_use]
    pub fn new(alerts: &[&'a Alert]) -> Self {
        let wording = alerts.first().map_or_else(|| Settings::default().wording, |alert| alert.wording().clone());
        Self { alerts: alerts.to_vec(), wording }
    }

    /// The message as JSON, at most [`MAX_JSON_BYTES`] long: the documents of the alerts without `raw`, and as many of
    /// them as there is room for.
    #[must_use]
    pub fn json(&self) -> String {
        let told: Vec<AlertDocument<'_>> = self.alerts.iter().map(|alert| alert.document().without_raw()).collect();
        // The shortest first: an alert of huge texts must not hide the others.
        let mut by_length: Vec<(usize, usize)> = told.iter().map(|told| told.json().len() + 1).zip(0..).collect();
        by_length.sort_unstable();
        let mut left = MAX_JSON_BYTES - AROUND_BYTES;
        let fits = by_length.into_iter().take_while(|(bytes, _)| {
            let fits = *bytes <= left;
            left -= if fits { *bytes } else { 0 };
            fits
        });
        let fitting: HashSet<usize> = fits.map(|(_, index)| index).collect();
        let alerts = told.into_iter().enumerate().filter(|(index, _)| fitting.contains(index));
        let alerts: Vec<AlertDocument<'_>> = alerts.map(|(_, told)| told).collect();
        let document = CombinedDocument {
            schema_version: SCHEMA_VERSION,
            event_type: EVENT_TYPE,
            verified: false,
            is_test: self.is_test(),
            omitted: self.alerts.len() - alerts.len(),
            alerts,
        };
        document.json()
    }

    /// The message as an email in plain text: every call with number dialed, caller, number to call back, place and time.
    #[must_use]
    pub fn email(&self) -> Email {
        let words = self.wording.in_ascii();
        let places: Vec<String> = self.alerts.iter().map(|alert| place(alert, ascii, &words)).collect();
        let subject = words.joined(&words.calls(self.alerts.len()), &places.join("; "));
        let subject = cut(&ascii(&format!("{}{subject}", self.tags(&words))), MAX_SUBJECT, "...");
        Email { subject, body: self.body() }
    }

    fn body(&self) -> String {
        let wording = &self.wording;
        let mut page = Page::new(wording);
        page.wrapped(&format!("{}{}", self.tags(wording), wording.calls_headline(self.alerts.len())), "", INDENT);
        page.blank();
        let warning = if self.is_test() { "warning-unverified-test" } else { "warning-unverified" };
        page.paragraph(&wording.say(warning));
        page.paragraph(&wording.say("combined"));
        for (index, alert) in self.alerts.iter().enumerate() {
            if page.len() > MAX_BODY_BYTES {
                page.blank();
                page.paragraph(&wording.more_calls(self.alerts.len() - index));
                break;
            }
            let number = index + 1;
            if page.len() > LONG_BODY_BYTES {
                let line = summary(alert, wording, clean, MAX_LINE_BYTES, CUT_MARK);
                page.wrapped(&format!("{number}. {line}"), "", INDENT);
            } else {
                page.blank();
                self.call(&mut page, number, alert);
            }
        }
        page.text()
    }

    fn call(&self, page: &mut Page<'_>, number: usize, alert: &Alert) {
        let (facts, wording) = (alert.facts(), &self.wording);
        let value = |text: Option<&String>| written(text, clean, inert, MAX_VALUE_BYTES);
        let tags = tags(alert, wording);
        page.wrapped(&format!("{number}. {tags}{}", alert.short_headline(wording, clean)), "", INDENT);
        page.missing(alert.missing_phrase());
        page.labelled("label-caller", value(facts.caller.display_name.as_ref()));
        if let upn @ Some(_) = written(facts.caller.upn.as_ref(), clean, account, MAX_VALUE_BYTES) {
            page.labelled("label-account", upn);
        }
        page.unbroken("label-callback", value(facts.caller.phone_number.as_ref()));
        page.labelled("label-dialled", value(facts.number_dialed.as_ref()));
        let address = Address::new(&facts.location, clean, wording);
        let place = address.one_line();
        if place.is_none() {
            page.labelled("label-policy", value(Some(&facts.policy_name)));
        }
        page.labelled("label-location", place.map(|place| cut(&place, MAX_PLACE_BYTES, CUT_MARK)));
        let moment = facts.occurred_at.map(|at| wording.moment(&moment::in_zone(at, alert.time_zone()).0));
        page.labelled("label-time", moment);
    }

    /// The message as a text message of at most three parts: how many calls there are, and the first of them.
    #[must_use]
    pub fn sms(&self) -> String {
        let wording = &self.wording;
        let alphabet = wording.language().sms_alphabet();
        let stop = wording.language().full_stop();
        let flags = [self.is_test().then_some("tag-test"), Some("tag-unverified-short")];
        let flags: Vec<String> = flags.into_iter().flatten().map(|tag| wording.say(tag)).collect();
        let head = wording.joined(&flags.join(", "), &wording.calls(self.alerts.len()));
        let confirm = (!self.is_test()).then(|| wording.say("confirm"));
        let message = |told: &[String]| {
            let left = self.alerts.len() - told.len();
            let more = (left > 0 && !told.is_empty()).then(|| wording.more_calls(left));
            let head = [head.clone()].into_iter();
            let sentences: Vec<String> = head.chain(told.iter().cloned()).chain(more).chain(confirm.clone()).collect();
            (alphabet.write)(&sentences.join(stop))
        };
        let mut told = Vec::new();
        for (index, alert) in self.alerts.iter().enumerate() {
            let call = alphabet.cut(&call_in_few_words(alert, alphabet.write, wording), MAX_SMS_CALL);
            told.push(format!("{}) {call}", index + 1));
            if (alphabet.units)(&message(&told)) > alphabet.capacity(MAX_PARTS) {
                told.pop();
                break;
            }
        }
        alphabet.cut(&message(&told), alphabet.capacity(MAX_PARTS))
    }

    /// Names and values for message attributes, each with the different values of the alerts. A value is at most 256 bytes
    /// long, all values of an attribute 4,000. An attribute that may be missing is left out where one alert has none or the values
    /// are longer: a filter that lets the missing one through must not lose that alert for the sake of the others.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, Vec<String>)> {
        let degraded = self.alerts.iter().any(|alert| alert.facts().degraded);
        let mut all: Vec<(&'static str, Vec<String>)> = vec![
            ("eventType", vec![EVENT_TYPE.to_owned()]),
            ("verified", vec![flag(false).to_owned()]),
            ("isTest", vec![flag(self.is_test()).to_owned()]),
            ("degraded", vec![flag(degraded).to_owned()]),
        ];
        let of_alerts: Vec<HashMap<&str, String>> =
            self.alerts.iter().map(|alert| alert.attributes().into_iter().collect()).collect();
        for (name, always_there) in
            [("policyName", true), ("tenantId", true), ("numberDialed", false), ("city", false), ("site", false)]
        {
            let (mut values, mut bytes, mut is_whole) = (Vec::new(), 0, true);
            for value in of_alerts.iter().map(|attributes| attributes.get(name)) {
                match value {
                    Some(value) if values.contains(value) => {}
                    Some(value) if bytes + value.len() <= MAX_VALUES_BYTES => {
                        bytes += value.len();
                        values.push(value.clone());
                    }
                    _ => is_whole = false,
                }
            }
            if !values.is_empty() && (is_whole || always_there) {
                all.push((name, values));
            }
        }
        all
    }

    /// Whether all alerts are tests.
    #[must_use]
    pub fn is_test(&self) -> bool {
        !self.alerts.is_empty() && self.alerts.iter().all(|alert| alert.is_test())
    }

    /// What the reader must know before anything else, each in brackets.
    fn tags(&self, wording: &Wording) -> String {
        let tags = [self.is_test().then_some("tag-test"), Some("tag-unverified")];
        in_brackets(tags.into_iter().flatten().map(|tag| wording.say(tag)))
    }
}

/// Where a call was made, or that nobody knows.
fn place(alert: &Alert, alphabet: Alphabet, wording: &Wording) -> String {
    let place = Address::new(&alert.facts().location, alphabet, wording).shortest().join(", ");
    if place.is_empty() { wording.say("no-location") } else { place }
}

/// What happened, who called, where, and which number to call back.
fn call_in_few_words(alert: &Alert, alphabet: Alphabet, wording: &Wording) -> String {
    let caller = &alert.facts().caller;
    let name = written(caller.display_name.as_ref(), alphabet, inert, MAX_NAME)
        .or_else(|| written(caller.upn.as_ref(), alphabet, account, MAX_NAME));
    let number = written(caller.phone_number.as_ref(), alphabet, inert, MAX_NUMBER);
    let test = alert.is_test().then(|| wording.say("tag-test"));
    let parts =
        [test, Some(alert.short_headline(wording, alphabet)), number, Some(place(alert, alphabet, wording)), name];
    parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// Shows nothing personal.
impl fmt::Debug for Combined<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Combined").field("alerts", &self.alerts.len()).finish_non_exhaustive()
    }
}

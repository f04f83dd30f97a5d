//! The alert as a text message.
//!
//! The order serves somebody who must act and may see only the first line: flags that change the meaning (test,
//! unverified, late) and what happened; the number to call back; street, and floor or room,
//! or the policy where there is no location. That much is always there. What follows is added while it fits into the
//! same number of parts: the name of the caller, building and city, company, time of day. The time of a call of
//! yesterday or before has its date and comes first of these.

use crate::address::Address;
use crate::alert::Alert;
use crate::inert::{account, inert};
use crate::moment;
use crate::sms_alphabet::{MAX_PARTS, SmsAlphabet};
use crate::wording::Occasion;

/// Longer than any telephone number, formatting included.
const MAX_NUMBER: usize = 64;

impl Alert {
    /// The alert as a text message: one part where callback number, street and floor fit, else at most three. In the GSM
    /// 7-bit alphabet with 160 characters in one part, in Chinese in UCS-2 with 70; see
    /// [`sms_parts`](crate::sms_parts).
    #[must_use]
    pub fn sms(&self) -> String {
        let wording = self.wording();
        let alphabet = wording.language().sms_alphabet();
        let full_stop = wording.language().full_stop();
        let (mut required, extras) = if self.degraded_reason().is_some() {
            let policy = self.policy(alphabet.write, wording);
            ([Some(head(self, alphabet)), policy].into_iter().flatten().collect(), vec![received(self)])
        } else {
            let address = Address::new(&self.facts().location, alphabet.write, wording);
            (required(self, alphabet, &address), extras(self, alphabet, &address))
        };
        required.extend(self.confirmation());
        // The words themselves and the marks of cut values need not be in the alphabet.
        let text = (alphabet.write)(&required.join(full_stop));
        let mut text = alphabet.cut(&text, alphabet.capacity(MAX_PARTS));
        let limit = alphabet.capacity(alphabet.parts(&text).max(alphabet.usual_parts));
        for extra in extras {
            let extra = (alphabet.write)(&extra);
            let longer = format!("{text}{full_stop}{extra}");
            if !extra.is_empty() && (alphabet.units)(&longer) <= limit {
                text = longer;
            }
        }
        text
    }
}

/// Flags and what happened.
fn head(alert: &Alert, alphabet: &SmsAlphabet) -> String {
    let (facts, wording) = (alert.facts(), alert.wording());
    let mut flags: Vec<String> = [
        (facts.is_drill, "tag-drill"),
        (facts.is_test && !facts.is_drill, "tag-test"),
        (!facts.verified, "tag-unverified-short"),
    ]
    .into_iter()
    .filter(|(shown, _)| *shown)
    .map(|(_, tag)| wording.say(tag))
    .collect();
    flags.extend(wording.relation_tags(facts.relation));
    flags.extend(alert.lateness().map(|age| wording.late_tag(age)));
    let number = short(alphabet, facts.number_dialed.as_ref(), 20);
    let kind = short(alphabet, facts.event_type.as_ref(), 30);
    let occasion = match alert.occasion() {
        Occasion::Other(_) => Occasion::Other(kind.as_deref()),
        occasion => occasion,
    };
    let headline = wording.short_headline(occasion, number.as_deref());
    if flags.is_empty() { headline } else { wording.joined(&flags.join(", "), &headline) }
}

/// What happened, whom to call back, and where to go.
fn required(alert: &Alert, alphabet: &SmsAlphabet, address: &Address) -> Vec<String> {
    let wording = alert.wording();
    let phone = short(alphabet, alert.facts().caller.phone_number.as_ref(), MAX_NUMBER);
    let callback = phone.map_or_else(|| wording.say("no-callback"), |number| wording.call_back(&number));
    let mut required = vec![head(alert, alphabet), callback];
    let place = address.shortest().join(", ");
    if place.is_empty() {
        required.push(wording.say("no-location"));
        required.extend(alert.policy(alphabet.write, wording));
    } else {
        required.push(place);
    }
    required
}

/// What is added while it fits, most helpful first.
fn extras(alert: &Alert, alphabet: &SmsAlphabet, address: &Address) -> Vec<String> {
    let (facts, wording) = (alert.facts(), alert.wording());
    let name = short(alphabet, facts.caller.display_name.as_ref(), 40)
        .or_else(|| written(alphabet, facts.caller.upn.as_ref(), account, 40));
    let more = address.more().into_iter().map(str::to_owned);
    let zone = alert.time_zone();
    let Some(occurred) = facts.occurred_at else {
        return name.into_iter().chain(more).chain([received(alert)]).collect();
    };
    if facts.age_seconds.is_some_and(|age| age.abs() >= moment::DAY_SECONDS) {
        // Another day's call is told by its date before anything else.
        let time = wording.at_time(&moment::date_and_clock(occurred, zone));
        return [time].into_iter().chain(name).chain(more).collect();
    }
    let time = wording.at_time(&moment::clock(occurred, zone));
    name.into_iter().chain(more).chain([time]).collect()
}

/// When the notification arrived.
fn received(alert: &Alert) -> String {
    alert.wording().received_at(&moment::clock(alert.facts().received_at, alert.time_zone()))
}

/// A value in the alphabet, cut to `max` units, if anything of it is left.
fn short(alphabet: &SmsAlphabet, text: Option<&String>, max: usize) -> Option<String> {
    written(alphabet, text, inert, max)
}

fn written(alphabet: &SmsAlphabet, text: Option<&String>, fit: fn(&str) -> String, max: usize) -> Option<String> {
    let text = alphabet.cut(&fit(&(alphabet.write)(text?)), max);
    (!text.is_empty()).then_some(text)
}

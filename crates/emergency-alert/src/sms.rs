//! The alert as a text message.
//!
//! The order serves somebody who must act and may see only the first line: flags that change the meaning (test,
//! unverified, late) and what happened; the number to call back; street, and floor or room,
//! or the policy where there is no location. That much is always there. What follows is added while it fits into the
//! same number of parts: the name of the caller, building and city, company, time of day. The time of a call of
//! yesterday or before has its date and comes first of these.

use crate::address::Address;
use crate::alert::Alert;
use crate::moment;
use crate::text::gsm7;
use crate::wording::{self, Occasion};

/// The characters of a message that is sent in one part.
const ONE_PART: usize = 160;

/// The characters of each part of a longer message; the rest of a part says how parts belong together.
const PART: usize = 153;

/// The most parts of a message.
const MAX_PARTS: usize = 3;

/// Longer than any telephone number, formatting included.
const MAX_NUMBER: usize = 64;

/// From this age on, a time of day alone would be taken for another day's.
const DAY_SECONDS: i64 = 24 * 60 * 60;

const SEPARATOR: &str = ". ";

/// The alert in characters of the basic GSM 7-bit alphabet, one septet each.
pub(crate) fn sms(alert: &Alert) -> String {
    let document = alert.document();
    let address = Address::new(&document.location, gsm7);
    let (required, extras) = if alert.degraded_reason().is_some() {
        let policy = alert.policy(gsm7);
        ([Some(head(alert)), policy].into_iter().flatten().collect(), vec![received(alert)])
    } else {
        (required(alert, &address), extras(alert, &address))
    };
    // Marks of cut values are not in the alphabet.
    let text = gsm7(&required.join(SEPARATOR));
    let mut text = cut_to(&text, PART * MAX_PARTS);
    let limit = match text.chars().count() {
        length if length <= ONE_PART => ONE_PART,
        length => length.div_ceil(PART) * PART,
    };
    for extra in extras {
        let extra = gsm7(&extra);
        if !extra.is_empty() && text.chars().count() + SEPARATOR.len() + extra.chars().count() <= limit {
            text.push_str(SEPARATOR);
            text.push_str(&extra);
        }
    }
    text
}

/// Flags and what happened.
fn head(alert: &Alert) -> String {
    let document = alert.document();
    let late = alert.lateness().map(|age| format!("{} {}", wording::LATE_TAG, wording::short_duration(age)));
    let flags: Vec<String> = [
        document.is_test.then(|| wording::TEST_TAG.to_owned()),
        (!document.verified).then(|| wording::UNVERIFIED_SHORT_TAG.to_owned()),
        late,
    ]
    .into_iter()
    .flatten()
    .collect();
    let number = short(document.number_dialed.as_ref(), 20);
    let kind = short(document.event_type.as_ref(), 30);
    let occasion = match alert.occasion() {
        Occasion::Other(_) => Occasion::Other(kind.as_deref()),
        occasion => occasion,
    };
    let headline = wording::short_headline(occasion, number.as_deref());
    if flags.is_empty() { headline } else { format!("{}: {headline}", flags.join(", ")) }
}

/// What happened, whom to call back, and where to go.
fn required(alert: &Alert, address: &Address) -> Vec<String> {
    let phone = short(alert.document().caller.phone_number.as_ref(), MAX_NUMBER);
    let callback = phone.map_or_else(|| wording::NO_CALLBACK.to_owned(), |number| wording::call_back(&number));
    let mut required = vec![head(alert), callback];
    let place = address.shortest().join(", ");
    if place.is_empty() {
        required.push(wording::NO_LOCATION.to_owned());
        required.extend(alert.policy(gsm7));
    } else {
        required.push(place);
    }
    required
}

/// What is added while it fits, most helpful first.
fn extras(alert: &Alert, address: &Address) -> Vec<String> {
    let document = alert.document();
    let caller = &document.caller;
    let name = short(caller.display_name.as_ref(), 40).or_else(|| short(caller.upn.as_ref(), 40));
    let more = address.more().into_iter().map(str::to_owned);
    let zone = alert.time_zone();
    let Some(occurred) = document.occurred_at else {
        return name.into_iter().chain(more).chain([received(alert)]).collect();
    };
    if document.age_seconds.is_some_and(|age| age.abs() >= DAY_SECONDS) {
        // Another day's call is told by its date before anything else.
        let time = wording::at_time(&moment::date_and_clock(occurred, zone));
        return [time].into_iter().chain(name).chain(more).collect();
    }
    let time = wording::at_time(&moment::clock(occurred, zone));
    name.into_iter().chain(more).chain([time]).collect()
}

/// When the notification arrived.
fn received(alert: &Alert) -> String {
    wording::received_at(&moment::clock(alert.document().received_at, alert.time_zone()))
}

/// A value in the alphabet, cut to `max` characters, if anything of it is left.
fn short(text: Option<&String>, max: usize) -> Option<String> {
    let text = cut_to(&gsm7(text?), max);
    (!text.is_empty()).then_some(text)
}

/// `text` in at most `max` characters; the alphabet has characters of two bytes.
fn cut_to(text: &str, max: usize) -> String {
    if text.chars().count() <= max {
        return text.to_owned();
    }
    let kept: String = text.chars().take(max.saturating_sub(3)).collect();
    format!("{}...", kept.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_counted_not_bytes() {
        assert_eq!(cut_to("éééééé", 6), "éééééé");
        assert_eq!(cut_to("ééééééé", 6), "ééé...");
        assert_eq!(cut_to("ab cdefg", 6), "ab...");
    }
}

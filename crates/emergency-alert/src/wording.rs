//! Every phrase that people read, in English. Layout is elsewhere: this is what changes with the language.

use crate::alert::DegradedReason;

/// What an alert is about.
#[derive(Clone, Copy)]
pub(crate) enum Occasion<'a> {
    /// `callStarted`
    Started,
    /// `callEnded`
    Ended,
    /// An event type of unknown meaning, or none.
    Other(Option<&'a str>),
    /// Nothing but the envelope could be read.
    Unreadable,
}

pub(crate) const TEST_TAG: &str = "TEST";
pub(crate) const UNVERIFIED_TAG: &str = "NOT VERIFIED";
pub(crate) const UNVERIFIED_SHORT_TAG: &str = "UNVERIFIED";
pub(crate) const LATE_TAG: &str = "LATE";

pub(crate) const CALLER_LABEL: &str = "Caller:";
pub(crate) const ACCOUNT_LABEL: &str = "Account:";
pub(crate) const CALLBACK_LABEL: &str = "Call back:";
pub(crate) const LOCATION_LABEL: &str = "Location:";
pub(crate) const COORDINATES_LABEL: &str = "Lat, long:";
pub(crate) const DIALLED_LABEL: &str = "Dialled:";
pub(crate) const TIME_LABEL: &str = "Time:";
pub(crate) const RECEIVED_LABEL: &str = "Received:";
pub(crate) const POLICY_LABEL: &str = "Policy:";
pub(crate) const TENANT_LABEL: &str = "Tenant:";
pub(crate) const CALL_LABEL: &str = "Call ID:";

pub(crate) const UNKNOWN_CALLER: &str = "unknown caller";
pub(crate) const NO_CALLBACK: &str = "No callback number";
pub(crate) const NO_LOCATION: &str = "LOCATION MISSING";

pub(crate) const REGISTERED_LOCATION: &str =
    "The location is what Teams sent. It may be the registered location of the caller and not where the caller is now.";

pub(crate) const NO_LOCATION_WARNING: &str = "LOCATION MISSING: Teams sent no location for this call.";
pub(crate) const NO_STREET_WARNING: &str = "NO STREET ADDRESS: the location below is all that Teams sent.";

/// What happened, as a sentence.
pub(crate) fn headline(occasion: Occasion<'_>, number: Option<&str>, policy: &str) -> String {
    match (occasion, number) {
        (Occasion::Started, Some(number)) => format!("{number} was dialled in Microsoft Teams."),
        (Occasion::Started, None) => "An emergency number was dialled in Microsoft Teams.".to_owned(),
        (Occasion::Ended, Some(number)) => format!("The call to {number} in Microsoft Teams has ended."),
        (Occasion::Ended, None) => "The emergency call in Microsoft Teams has ended.".to_owned(),
        (Occasion::Other(kind), number) => {
            let call = number.map_or_else(|| "an emergency call".to_owned(), |number| format!("a call to {number}"));
            match kind {
                Some(kind) => format!(
                    "Microsoft Teams reported \"{kind}\" for {call}. The meaning of this event is not known here."
                ),
                None => format!("Microsoft Teams reported an event of no stated kind for {call}."),
            }
        }
        (Occasion::Unreadable, _) => {
            format!("An emergency call was made under policy {policy}; details could not be read.")
        }
    }
}

/// What happened, in the fewest words.
pub(crate) fn short_headline(occasion: Occasion<'_>, number: Option<&str>) -> String {
    let call = number.map_or_else(|| "Emergency call".to_owned(), |number| format!("{number} call"));
    match occasion {
        Occasion::Started => call,
        Occasion::Ended => format!("{call} ended"),
        Occasion::Other(Some(kind)) => format!("{call}, event \"{kind}\""),
        Occasion::Other(None) => format!("{call}, unknown event"),
        Occasion::Unreadable => "Emergency call, details could not be read".to_owned(),
    }
}

/// Why the details of a call are not there, and what to do about it.
pub(crate) fn unreadable_warning(reason: DegradedReason) -> String {
    let reason = match reason {
        DegradedReason::NoEncryptedContent => "the notification carried none",
        DegradedReason::Undecryptable => "they could not be decrypted",
        DegradedReason::Unparseable => "they are not in the expected form",
    };
    format!(
        "DETAILS COULD NOT BE READ: {reason}. Look in the Teams security-desk chat, or ask whoever runs the telephone system who called."
    )
}

/// What stands in place of a detail that is not there.
pub(crate) fn missing(occasion: Occasion<'_>) -> &'static str {
    match occasion {
        Occasion::Unreadable => "COULD NOT BE READ",
        _ => "NOT GIVEN",
    }
}

pub(crate) fn test_warning(number: &str) -> String {
    format!("TEST: {number} is a test number.")
}

/// A test asks nobody to act.
pub(crate) fn unverified_warning(is_test: bool) -> String {
    let act = if is_test { "" } else { " Act on it all the same." };
    format!("NOT VERIFIED: Microsoft's signature on this notification could not be checked.{act}")
}

pub(crate) fn late_warning(age_seconds: i64) -> String {
    format!("LATE: this happened {} before this message was made.", duration(age_seconds))
}

/// How long ago an event happened.
pub(crate) fn age(seconds: i64) -> String {
    if seconds < 0 {
        format!("{} ahead of the clock of this system", duration(seconds))
    } else {
        format!("{} before this message was made", duration(seconds))
    }
}

/// The whole length of time in its two largest units.
fn duration(seconds: i64) -> String {
    let seconds = seconds.unsigned_abs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    let two = |first: u64, one: &str, second: u64, other: &str| {
        if second == 0 { units(first, one) } else { format!("{} {}", units(first, one), units(second, other)) }
    };
    if days > 0 {
        two(days, "day", hours, "hour")
    } else if hours > 0 {
        two(hours, "hour", minutes, "minute")
    } else if minutes > 0 {
        two(minutes, "minute", seconds % 60, "second")
    } else {
        units(seconds, "second")
    }
}

/// The length of time in its largest unit.
pub(crate) fn short_duration(seconds: i64) -> String {
    match seconds.unsigned_abs() {
        seconds if seconds >= 86_400 => format!("{} d", seconds / 86_400),
        seconds if seconds >= 3_600 => format!("{} h", seconds / 3_600),
        seconds => format!("{} min", seconds / 60),
    }
}

fn units(count: u64, unit: &str) -> String {
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

pub(crate) fn call_back(number: &str) -> String {
    format!("Call back {number}")
}

pub(crate) fn at_time(clock: &str) -> String {
    format!("At {clock}")
}

/// When the notification arrived, where the time of the call is not known.
pub(crate) fn received_at(clock: &str) -> String {
    format!("Received {clock}")
}

pub(crate) fn under_policy(policy: &str) -> String {
    format!("Policy {policy}")
}

pub(crate) fn county(name: &str) -> String {
    format!("County: {name}")
}

pub(crate) fn house(number: &str) -> String {
    format!("House number {number}")
}

/// Floor, suite or room: a bare number would be taken for anything.
pub(crate) fn unit(text: &str) -> String {
    if text.contains(char::is_alphabetic) { text.to_owned() } else { format!("Floor/room {text}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_said_in_their_two_largest_units() {
        for (seconds, long) in [
            (0, "0 seconds"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "1 minute"),
            (185, "3 minutes 5 seconds"),
            (3_600, "1 hour"),
            (7_320, "2 hours 2 minutes"),
            (90_000, "1 day 1 hour"),
            (-5, "5 seconds"),
        ] {
            assert_eq!(duration(seconds), long);
        }
        assert_eq!([61, 7_199, 7_200, 200_000].map(short_duration), ["1 min", "1 h", "2 h", "2 d"]);
    }
}

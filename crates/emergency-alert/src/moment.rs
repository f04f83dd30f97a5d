//! Points in time: how Graph writes them and how people read them.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

/// Reads Graph's `DateTimeOffset`. A time without offset is UTC, as Graph's always are.
///
/// Nothing before 1970: .NET writes an unset time as the first day of the year 1.
pub(crate) fn parse(text: &str) -> Option<Timestamp> {
    let text = text.trim();
    let moment = text.parse::<Timestamp>().ok().or_else(|| {
        let civil = text.parse::<DateTime>().ok()?;
        Some(civil.to_zoned(TimeZone::UTC).ok()?.timestamp())
    })?;
    (moment >= Timestamp::UNIX_EPOCH).then_some(moment)
}

/// Whole seconds from `occurred` to `received`; negative when the clocks disagree.
pub(crate) fn age_seconds(occurred: Timestamp, received: Timestamp) -> i64 {
    received.duration_since(occurred).as_secs()
}

/// `2024-01-01 10:00:00 UTC`.
pub(crate) fn utc(moment: Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// The moment in the zone, and the zone's name unless that is UTC, where it would say the same twice.
pub(crate) fn in_zone(moment: Timestamp, zone: &TimeZone) -> (Zoned, Option<&str>) {
    let name = zone.iana_name().filter(|_| *zone != TimeZone::UTC);
    (moment.to_zoned(zone.clone()), name)
}

/// `02:00 PST`, in the zone.
pub(crate) fn clock(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%H:%M %Z").to_string()
}

/// `2024-01-01 02:00 PST`, in the zone.
pub(crate) fn date_and_clock(moment: Timestamp, zone: &TimeZone) -> String {
    moment.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M %Z").to_string()
}

/// From this age on, a time of day alone would be taken for another day's.
pub(crate) const DAY_SECONDS: i64 = 24 * 60 * 60;

/// The moment in the zone as somebody reads it at `now`: the time of day, with the date if it is another day's.
pub(crate) fn clock_as_of(now: Timestamp, moment: Timestamp, zone: &TimeZone) -> String {
    if age_seconds(moment, now).abs() >= DAY_SECONDS { date_and_clock(moment, zone) } else { clock(moment, zone) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn graphs_times_are_read_and_written_normalised() {
        for (given, expected) in [
            ("2024-01-01T10:00:00.0000000+00:00", "2024-01-01T10:00:00Z"),
            ("2024-01-01T10:00:00.1234567+02:00", "2024-01-01T08:00:00.1234567Z"),
            (" 2024-01-01T10:00:00Z ", "2024-01-01T10:00:00Z"),
            ("2024-01-01T10:00:00.5", "2024-01-01T10:00:00.5Z"),
        ] {
            assert_eq!(parse(given).unwrap().to_string(), expected, "{given}");
        }
    }

    #[test]
    fn what_is_no_time_of_an_event_is_none() {
        for given in ["", "yesterday", "2024-13-01T00:00:00Z", "0001-01-01T00:00:00+00:00", "9999-12-31T23:59:59Z"] {
            assert_eq!(parse(given), None, "{given}");
        }
    }

    #[test]
    fn ages_are_whole_seconds_and_may_be_negative() {
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(age_seconds(at("2024-01-01T10:00:00.9Z"), at("2024-01-01T10:01:00Z")), 59);
        assert_eq!(age_seconds(at("2024-01-01T10:00:05Z"), at("2024-01-01T10:00:00Z")), -5);
    }

    #[test]
    fn people_read_utc_and_their_own_zone() {
        let moment = "2024-07-01T10:00:00Z".parse().unwrap();
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(utc(moment), "2024-07-01 10:00:00 UTC");
        let (local, name) = in_zone(moment, &zone);
        assert_eq!((local.hour(), name), (12, Some("Europe/Berlin")));
        assert_eq!(clock(moment, &zone), "12:00 CEST");
        assert_eq!(date_and_clock(moment, &zone), "2024-07-01 12:00 CEST");
        assert_eq!(in_zone(moment, &TimeZone::get("UTC").unwrap()).1, None);
    }
}

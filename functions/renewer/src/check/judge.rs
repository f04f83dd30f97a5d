//! What to make of what was seen: pure functions, one file for each stretch of the chain.

mod app;
mod aws;
mod endpoint;
mod keys;
mod subscriptions;

use graph_subscriptions::{GraphError, GraphErrorKind};
use jiff::{SignedDuration, Timestamp};

use super::seen::Seen;
use crate::config::Config;
use crate::finding::{Row, State};

pub(crate) use self::aws::{covered, heard};

/// The permission that everything rests on.
pub(crate) const PERMISSION: &str = "CallEvents-Emergency.Read.All";

/// What repairs most of what the renewer itself looks after.
const RECONCILE: &str = "Run make ask ACTION=reconcile STACK_NAME=... and read its report.";

/// A certificate's end is worth a word this long before: an operator may have to act.
const END_IN_SIGHT: SignedDuration = SignedDuration::from_hours(60 * 24);

/// And this long before it is a failure.
const END_IS_NEAR: SignedDuration = SignedDuration::from_hours(7 * 24);

/// Judges all links, in the order of the chain.
#[must_use]
pub fn judge(seen: &Seen, config: &Config, now: Timestamp) -> Vec<Row> {
    let mut rows = app::credentials(seen, config, now);
    rows.extend(app::roles(seen));
    rows.extend(app::settings(seen));
    rows.extend(keys::signing_keys(seen, now));
    rows.extend(keys::keyring(seen, config));
    rows.extend(keys::encryption_certificate(seen, config, now));
    rows.push(aws::state_table(seen, config));
    rows.extend(subscriptions::subscriptions(seen, config, now));
    rows.push(endpoint::endpoint(seen, config));
    rows.extend(aws::topics(seen));
    rows.extend(aws::second_way(seen));
    rows.extend(aws::alarms(seen, config));
    rows
}

/// How bad a certificate's end is.
fn state_of_end(ends_at: Option<Timestamp>, now: Timestamp) -> State {
    match ends_at.map(|end| end.duration_since(now)) {
        None => State::Unknown,
        Some(left) if left < END_IS_NEAR => State::Failed,
        Some(left) if left < END_IN_SIGHT => State::Warning,
        Some(_) => State::Ok,
    }
}

/// A certificate's end as the end of a sentence.
fn end_in_words(ends_at: Option<Timestamp>, now: Timestamp) -> String {
    match ends_at {
        None => "cannot be read for its end".to_owned(),
        Some(end) if end <= now => format!("ended {} ago", span(now.duration_since(end))),
        Some(end) => format!("ends in {}", span(end.duration_since(now))),
    }
}

/// A length of time as people say it: one or two units.
fn span(length: SignedDuration) -> String {
    let minutes = length.as_mins().max(0);
    match minutes {
        0..=119 => format!("{minutes} min"),
        120..=2879 if minutes % 60 == 0 => format!("{} h", minutes / 60),
        120..=2879 => format!("{} h {} min", minutes / 60, minutes % 60),
        _ => format!("{} days", minutes / 1440),
    }
}

/// What to do when Graph did not answer a question as it should.
fn graph_step(error: &GraphError) -> String {
    match error.kind {
        GraphErrorKind::Unauthorized => {
            "Make sure that GraphEndpoint and LoginEndpoint belong to the same cloud; if they do, check again.".to_owned()
        }
        GraphErrorKind::Forbidden => format!(
            "An administrator of the tenant must grant admin consent to {PERMISSION}. If it is granted, look for a quota in \
             what Graph says: Teams allows 10,000 subscriptions per organisation."
        ),
        GraphErrorKind::NotFound => {
            "Check GraphEndpoint: it must be Graph's address with its version, such as https://graph.microsoft.com/v1.0."
                .to_owned()
        }
        GraphErrorKind::UnknownResource => "Deploy with GraphEndpoint=https://graph.microsoft.com/beta.".to_owned(),
        GraphErrorKind::Throttled => {
            "Wait some minutes and check again; if it lasts, find out which other program uses this app.".to_owned()
        }
        GraphErrorKind::Unavailable => {
            "Wait some minutes and check again; if it lasts, see the service health in the Microsoft 365 admin centre."
                .to_owned()
        }
        GraphErrorKind::Transport => {
            "Check GraphEndpoint, and that the renewer can reach it; then check again.".to_owned()
        }
        GraphErrorKind::Conflict
        | GraphErrorKind::HandshakeFailed
        | GraphErrorKind::Invalid
        | GraphErrorKind::Unexpected => {
            "Check again; if it lasts, ask Microsoft's support and quote the request-id.".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_as_people_say_it() {
        for (minutes, words) in [
            (-5, "0 min"),
            (119, "119 min"),
            (120, "2 h"),
            (1390, "23 h 10 min"),
            (2879, "47 h 59 min"),
            (2880, "2 days"),
            (100_000, "69 days"),
        ] {
            assert_eq!(span(SignedDuration::from_mins(minutes)), words);
        }
    }

    #[test]
    fn a_certificates_end_counts_from_sixty_days_and_from_seven() {
        let now = Timestamp::constant(1_764_000_000, 0);
        let day = SignedDuration::from_hours(24);
        let second = SignedDuration::from_secs(1);
        for (left, state) in [
            (day * 60, State::Ok),
            (day * 60 - second, State::Warning),
            (day * 7, State::Warning),
            (day * 7 - second, State::Failed),
            (-day, State::Failed),
        ] {
            assert_eq!(state_of_end(Some(now + left), now), state, "{left}");
        }
        assert_eq!(state_of_end(None, now), State::Unknown);
    }
}

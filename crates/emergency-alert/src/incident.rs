//! The alert as an incident, for tools that page people and keep track of who answers.

use std::fmt;

use serde::Serialize;

use crate::alert::Alert;
use crate::inert::inert;
use crate::summary::summary;
use crate::text::{CUT_MARK, clean, cut};

/// The longest key, in bytes: what PagerDuty takes.
const MAX_KEY_BYTES: usize = 255;

/// The longest summary, in bytes: what PagerDuty takes, less what follows it here.
const MAX_SUMMARY_BYTES: usize = 750;

/// The longest number in a summary, in bytes.
const MAX_NUMBER_BYTES: usize = 100;

/// What an incident tool needs to open an incident and to close it again.
///
/// Key and summary have no quotation mark, backslash or control character, so that they fit into any JSON template.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// What to do with the incident.
    pub action: Action,
    /// The same for all verified events of a call, and another for all that are not verified.
    pub key: String,
    /// How urgent it is.
    pub severity: Severity,
    /// Everything that matters, on one line.
    pub summary: String,
}

/// What an event does to the incident of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// It opens it, or adds to it.
    Trigger,
    /// It ends it.
    Resolve,
}

/// How urgent an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Somebody may be in danger.
    Critical,
    /// Nobody needs to act.
    Info,
}

impl Alert {
    /// The alert for tools that page people.
    #[must_use]
    pub fn incident(&self) -> Incident {
        let quiet = self.is_test() || self.is_over();
        Incident {
            action: if self.is_over() { Action::Resolve } else { Action::Trigger },
            key: key(self),
            severity: if quiet { Severity::Info } else { Severity::Critical },
            summary: line(self),
        }
    }
}

/// In front of the key of an alert that is not verified. No key of a verified one begins so.
const UNVERIFIED: &str = "unverified ";

/// The id of the call, marked where the alert is not verified: an unverified event must neither join nor resolve the
/// incident of a verified one. Where the id cannot be written so, or there is none, a fingerprint keeps incidents apart.
fn key(alert: &Alert) -> String {
    let id = alert.facts().call_id.clone().unwrap_or_default();
    let mark = if alert.is_verified() { "" } else { UNVERIFIED };
    let room = MAX_KEY_BYTES - mark.len();
    let shown = cut(&plain(&id), room, "");
    let imitates = alert.is_verified() && shown.starts_with(UNVERIFIED.trim_end());
    if !id.is_empty() && shown == id && !imitates {
        return format!("{mark}{shown}");
    }
    let print = fingerprint(&alert.call_key().unwrap_or_else(|| alert.deduplication_key()));
    let shown = if imitates { String::new() } else { cut(&shown, room - print.len() - 1, "") };
    format!("{mark}{}", format!("{shown} {print}").trim_start())
}

/// Differs for two texts that nobody made up to collide, and tells nothing of the text: FNV-1a of 64 bits.
fn fingerprint(text: &str) -> String {
    let hash = text
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{hash:016x}")
}

fn line(alert: &Alert) -> String {
    let wording = alert.wording();
    let line = summary(alert, wording, plain, MAX_SUMMARY_BYTES, CUT_MARK);
    let number = alert.facts().caller.phone_number.as_ref();
    let number = number
        .map(|number| cut(&inert(&plain(number)), MAX_NUMBER_BYTES, CUT_MARK))
        .filter(|number| !number.is_empty());
    // The words around the number are an operator's to change.
    let sentences = [Some(line), number.map(|number| wording.call_back(&number)), alert.confirmation()];
    plain(&sentences.into_iter().flatten().collect::<Vec<_>>().join(". "))
}

fn plain(text: &str) -> String {
    clean(text).replace('"', "'").replace('\\', "/")
}

/// Shows nothing personal.
impl fmt::Debug for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incident")
            .field("action", &self.action)
            .field("severity", &self.severity)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_are_those_of_fnv_1a() {
        assert_eq!(fingerprint(""), "cbf29ce484222325");
        assert_eq!(fingerprint("foobar"), "85944171f73967e8");
    }
}

//! The alert as an incident, for tools that page people and keep track of who answers.

use std::fmt;

use serde::Serialize;

use crate::alert::Alert;
use crate::summary::summary;
use crate::text::{CUT_MARK, clean, cut};

/// The longest key, in bytes: what PagerDuty takes.
const MAX_KEY_BYTES: usize = 255;

/// The longest summary, in bytes: what PagerDuty takes, less what follows it here.
const MAX_SUMMARY_BYTES: usize = 800;

/// The longest number in a summary, in bytes.
const MAX_NUMBER_BYTES: usize = 100;

/// What an incident tool needs to open an incident and to close it again.
///
/// Key and summary have no quotation mark, backslash or control character, so that they fit into any JSON template.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// What to do with the incident.
    pub action: Action,
    /// The same for all events of a call.
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

impl Incident {
    /// The incident of an alert.
    pub(crate) fn of(alert: &Alert) -> Self {
        let document = alert.document();
        let quiet = document.is_test || alert.is_end();
        Self {
            action: if alert.is_end() { Action::Resolve } else { Action::Trigger },
            key: key(alert),
            severity: if quiet { Severity::Info } else { Severity::Critical },
            summary: line(alert),
        }
    }

    /// Before it is known.
    pub(crate) fn unknown() -> Self {
        Self { action: Action::Trigger, key: String::new(), severity: Severity::Critical, summary: String::new() }
    }
}

/// The id of the call. Where that cannot be written so, or there is none, a fingerprint keeps incidents apart.
fn key(alert: &Alert) -> String {
    let id = alert.document().call_id.clone().unwrap_or_default();
    let key = cut(&plain(&id), MAX_KEY_BYTES, "");
    if !id.is_empty() && key == id {
        return key;
    }
    let print = fingerprint(&alert.call_key().unwrap_or_else(|| alert.deduplication_key()));
    let room = MAX_KEY_BYTES - print.len() - 1;
    format!("{} {print}", cut(&key, room, "")).trim_start().to_owned()
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
    let number = alert.document().caller.phone_number.as_ref();
    let number =
        number.map(|number| cut(&clean(number), MAX_NUMBER_BYTES, CUT_MARK)).filter(|number| !number.is_empty());
    // The words around the number are an operator's to change.
    number.map_or_else(|| line.clone(), |number| plain(&format!("{line}. {}", wording.call_back(&number))))
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

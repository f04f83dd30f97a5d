//! The alert as an incident, for tools that page people and keep track of who answers.

use serde::Serialize;

use crate::alert::Alert;
use crate::document::AlertDocument;
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
            key: key(document),
            severity: if quiet { Severity::Info } else { Severity::Critical },
            summary: line(alert),
        }
    }

    /// Before it is known.
    pub(crate) fn unknown() -> Self {
        Self { action: Action::Trigger, key: String::new(), severity: Severity::Critical, summary: String::new() }
    }
}

/// The id of the call. Where there is none, no other event belongs to the incident.
fn key(document: &AlertDocument) -> String {
    let id = document.call_id.as_deref().map(plain).filter(|id| !id.is_empty());
    let key = id.unwrap_or_else(|| format!("{} {}", plain(&document.tenant_id), document.received_at));
    cut(&key, MAX_KEY_BYTES, "")
}

fn line(alert: &Alert) -> String {
    let wording = alert.wording();
    let line = summary(alert, wording, plain, MAX_SUMMARY_BYTES, CUT_MARK);
    let number = alert.document().caller.phone_number.as_ref();
    let number =
        number.map(|number| cut(&plain(number), MAX_NUMBER_BYTES, CUT_MARK)).filter(|number| !number.is_empty());
    match number {
        Some(number) => format!("{line}. {}", wording.call_back(&number)),
        None => line,
    }
}

fn plain(text: &str) -> String {
    clean(text).replace('"', "'").replace('\\', "/")
}

//! The alert document: the JSON that machines read.

use std::fmt;

use serde::Serialize;
use serde_json::Value;

use crate::alert::Alert;
use crate::chat::Chat;
use crate::facts::Facts;
use crate::incident::Incident;

/// The version of the alert document. Versions with the same major number only add members.
pub const SCHEMA_VERSION: &str = "1.2";

/// The JSON Schema (2020-12) of the alert document.
pub const ALERT_SCHEMA: &str = include_str!("../schema/alert-1.2.json");

/// What an alert says, for machines.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AlertDocument<'a> {
    /// [`SCHEMA_VERSION`]
    pub schema_version: &'static str,
    /// The facts, as members of the document itself.
    #[serde(flatten)]
    pub facts: &'a Facts,
    /// The alert for tools that page people.
    pub incident: Incident,
    /// The alert for a chat.
    pub chat: Chat,
    /// The language of the texts in the document.
    pub language: &'static str,
    /// The whole decrypted document as received; null where there is none, and where there is no room for it.
    pub raw: &'a Value,
}

/// Shows nothing personal.
impl fmt::Debug for AlertDocument<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AlertDocument").field("facts", self.facts).finish_non_exhaustive()
    }
}

impl AlertDocument<'_> {
    /// The document as JSON.
    pub(crate) fn json(&self) -> String {
        serde_json::to_string(self).expect("strings, numbers and JSON values always serialise")
    }

    /// The same without the decrypted document.
    pub(crate) fn without_raw(self) -> Self {
        Self { raw: &Value::Null, ..self }
    }
}

impl Alert {
    /// The alert document.
    #[must_use]
    pub fn document(&self) -> AlertDocument<'_> {
        AlertDocument {
            schema_version: SCHEMA_VERSION,
            facts: self.facts(),
            incident: self.incident(),
            chat: self.chat(),
            language: self.wording().language().tag(),
            raw: self.raw(),
        }
    }

    /// The alert document as JSON, at most [`MAX_JSON_BYTES`](crate::MAX_JSON_BYTES) long.
    #[must_use]
    pub fn json(&self) -> String {
        self.document().json()
    }
}

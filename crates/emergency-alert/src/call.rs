//! The emergency call as Graph describes it, read tolerantly.

use std::borrow::Cow;
use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::fields::Fields;
use crate::location::Location;
use crate::{moment, tolerant};

/// An event of an emergency call: Graph's `emergencyCallEvent`, as decrypted from a change notification.
///
/// What is missing or of another type than documented is `None`; nothing is lost, since `raw` keeps the document.
#[derive(Clone, PartialEq)]
pub struct EmergencyCall {
    /// The id of the event.
    pub call_id: Option<String>,
    /// `callEventType`: `callStarted`, `callEnded`, or whatever else Graph sends.
    pub event_type: Option<String>,
    /// `eventDateTime` as sent.
    pub event_date_time: Option<String>,
    /// `eventDateTime` as a point in time.
    pub occurred_at: Option<Timestamp>,
    /// `policyName`: the emergency calling policy of the caller.
    pub policy_name: Option<String>,
    /// `emergencyNumberDialed`
    pub number_dialed: Option<String>,
    /// Who called.
    pub caller: Caller,
    /// Where the caller is.
    pub location: Location,
    /// The whole decrypted document, wrapper included.
    pub raw: Value,
}

/// Who made an emergency call: the personal part of Graph's `emergencyCallerInfo`.
#[derive(Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Caller {
    /// The name of the caller.
    pub display_name: Option<String>,
    /// The user principal name.
    pub upn: Option<String>,
    /// The number to call back, as sent; not necessarily E.164.
    pub phone_number: Option<String>,
}

/// The decrypted document is not a JSON object.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the decrypted document is not a JSON object")]
pub struct UnreadableCall;

impl EmergencyCall {
    /// Reads a decrypted document, which holds the event itself or wraps it in `emergencyCallEvent`.
    ///
    /// What is JSON is read as such. What is not is read once more, tolerantly: a byte that is no UTF-8, half a character
    /// or a control character costs its character; a decimal comma, a comma too many, `NaN` or anything else that JSON
    /// forbids costs its member at most. A byte order mark is skipped.
    ///
    /// # Errors
    ///
    /// [`UnreadableCall`] if the document is not a JSON object, or not one of its members can be read.
    pub fn from_resource(document: &[u8]) -> Result<Self, UnreadableCall> {
        let text = text(document);
        let raw = match serde_json::from_str(&text) {
            Ok(raw) => raw,
            Err(_) => Value::Object(tolerant::object(&text).ok_or(UnreadableCall)?),
        };
        let outer = Fields::of(raw.as_object().ok_or(UnreadableCall)?);
        let event = outer.child("emergencyCallEvent").or(outer);
        let caller = event.child("callerInfo");
        let event_date_time = event.text("eventDateTime");
        Ok(Self {
            call_id: event.text("id"),
            event_type: event.text("callEventType"),
            occurred_at: event_date_time.as_deref().and_then(moment::parse),
            event_date_time,
            policy_name: event.text("policyName"),
            number_dialed: event.text("emergencyNumberDialed"),
            caller: Caller {
                display_name: caller.text("displayName"),
                upn: caller.text("upn"),
                phone_number: caller.text("phoneNumber"),
            },
            location: Location::from_fields(&caller.child("location")),
            raw,
        })
    }
}

/// The text of a document, which is UTF-8 unless it begins with a byte order mark of UTF-16.
fn text(document: &[u8]) -> Cow<'_, str> {
    let units = |bytes: &[u8], unit: fn([u8; 2]) -> u16| -> Vec<u16> {
        bytes.chunks_exact(2).map(|pair| unit([pair[0], pair[1]])).collect()
    };
    match document {
        [0xff, 0xfe, rest @ ..] => String::from_utf16_lossy(&units(rest, u16::from_le_bytes)).into(),
        [0xfe, 0xff, rest @ ..] => String::from_utf16_lossy(&units(rest, u16::from_be_bytes)).into(),
        document => String::from_utf8_lossy(document.strip_prefix(b"\xef\xbb\xbf").unwrap_or(document)),
    }
}

/// Shows nothing personal.
impl fmt::Debug for EmergencyCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmergencyCall").field("call_id", &self.call_id).finish_non_exhaustive()
    }
}

/// Shows nothing: every member is personal data.
impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Caller").finish_non_exhaustive()
    }
}

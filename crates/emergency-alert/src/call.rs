//! The emergency call as Graph describes it, read tolerantly.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use thiserror::Error;

use crate::fields::Fields;
use crate::location::Location;
use crate::moment;

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
    /// A byte order mark is skipped. Bytes that are no UTF-8, halves of characters and control characters cost their
    /// character, not the alert.
    ///
    /// # Errors
    ///
    /// [`UnreadableCall`] if the document is not a JSON object.
    pub fn from_resource(document: &[u8]) -> Result<Self, UnreadableCall> {
        let text = String::from_utf8_lossy(document);
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        let raw: Value =
            serde_json::from_str(text).or_else(|_| serde_json::from_str(&mended(text))).map_err(|_| UnreadableCall)?;
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

/// `document` without what JSON forbids but careless writers leave in texts: raw control characters, and escapes of one
/// half of a character that UTF-16 has in two.
fn mended(document: &str) -> String {
    let mut text = String::with_capacity(document.len());
    let mut rest: &str = &document.replace(char::is_control, " ");
    while let Some(at) = rest.find('\\') {
        let (before, escape) = rest.split_at(at);
        text.push_str(before);
        let length = match (surrogate(escape), escape.get(6..).and_then(surrogate)) {
            (Some(Half::High), Some(Half::Low)) => 12,
            (Some(_), _) => {
                text.push('\u{fffd}');
                rest = &escape[6..];
                continue;
            }
            (None, _) => 1 + escape[1..].chars().next().map_or(0, char::len_utf8),
        };
        text.push_str(&escape[..length]);
        rest = &escape[length..];
    }
    text + rest
}

/// One of the two units in which UTF-16 writes some characters.
enum Half {
    High,
    Low,
}

/// The half that an escape at the beginning of `text` stands for.
fn surrogate(text: &str) -> Option<Half> {
    match u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok()? {
        0xd800..=0xdbff => Some(Half::High),
        0xdc00..=0xdfff => Some(Half::Low),
        _ => None,
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

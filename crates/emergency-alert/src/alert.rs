//! The alert that goes out for a call.

use std::fmt;

use jiff::tz::TimeZone;
use serde_json::{Value, json};

use crate::attributes::attributes;
use crate::call::{Caller, EmergencyCall};
use crate::document::{AlertDocument, SCHEMA_VERSION};
use crate::email::Email;
use crate::location::Location;
use crate::moment::age_seconds;
use crate::notification::Notification;
use crate::settings::Settings;
use crate::sms::sms;
use crate::text::Alphabet;
use crate::wording::{self, Occasion};

/// An event that is older when its notification arrives is late.
const LATE_SECONDS: i64 = 60;

/// Why an authentic notification says no more than that there was an emergency call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DegradedReason {
    /// The notification carries no encrypted content.
    NoEncryptedContent,
    /// The content cannot be decrypted, or its integrity check fails.
    Undecryptable,
    /// The decrypted content is no JSON object.
    Unparseable,
}

/// An alert, and how it reads as JSON, email and SMS.
#[derive(Clone)]
pub struct Alert {
    document: AlertDocument,
    degraded: Option<DegradedReason>,
    deduplication_key: String,
    time_zone: TimeZone,
}

impl Alert {
    /// The alert for a call whose document was read.
    #[must_use]
    pub fn from_call(call: EmergencyCall, notification: &Notification, settings: &Settings) -> Self {
        let call_id = call.call_id.or_else(|| notification.call_id.clone());
        let is_test = call.number_dialed.as_deref().is_some_and(|number| settings.test_numbers.contains(number));
        let event_time = call.occurred_at.map(|moment| moment.to_string()).or(call.event_date_time);
        // Without an id or a time only the content tells two events apart.
        let content = (call_id.is_none() || call.occurred_at.is_none()).then(|| canonical(&call.raw));
        let deduplication_key =
            json!(["call", notification.tenant_id, call_id, call.event_type, event_time, content]).to_string();
        let document = AlertDocument {
            call_id,
            event_type: call.event_type,
            is_test,
            number_dialed: call.number_dialed,
            occurred_at: call.occurred_at,
            age_seconds: call.occurred_at.map(|moment| age_seconds(moment, notification.received_at)),
            caller: call.caller,
            location: call.location,
            raw: call.raw,
            ..empty_document(notification)
        };
        Self { document: document.bounded(), degraded: None, deduplication_key, time_zone: settings.time_zone.clone() }
    }

    /// The alert for an authentic notification whose details cannot be read.
    ///
    /// `fingerprint` tells such notifications apart: a digest of the encrypted content, or of the whole item where
    /// there is none. It must be the same when the same notification is delivered again.
    #[must_use]
    pub fn degraded(
        reason: DegradedReason,
        fingerprint: &str,
        notification: &Notification,
        settings: &Settings,
    ) -> Self {
        let Notification { tenant_id, policy_name, call_id, .. } = notification;
        Self {
            document: AlertDocument { degraded: true, ..empty_document(notification) }.bounded(),
            degraded: Some(reason),
            deduplication_key: json!(["degraded", tenant_id, policy_name, call_id, fingerprint]).to_string(),
            time_zone: settings.time_zone.clone(),
        }
    }

    /// The alert document.
    #[must_use]
    pub fn document(&self) -> &AlertDocument {
        &self.document
    }

    /// The alert document as JSON, at most [`MAX_JSON_BYTES`](crate::MAX_JSON_BYTES) long.
    #[must_use]
    pub fn json(&self) -> String {
        self.document.json()
    }

    /// The alert as an email in plain text.
    #[must_use]
    pub fn email(&self) -> Email {
        Email::new(self)
    }

    /// The alert as a text message in the GSM 7-bit alphabet: one part of 160 characters where callback number,
    /// street and floor fit, else at most three parts.
    #[must_use]
    pub fn sms(&self) -> String {
        sms(self)
    }

    /// Names and values for message attributes: at most ten, no value empty, each at most 256 bytes long.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        attributes(&self.document)
    }

    /// Whether the number dialled is a test number.
    #[must_use]
    pub fn is_test(&self) -> bool {
        self.document.is_test
    }

    /// Why the details are missing, if they are.
    #[must_use]
    pub fn degraded_reason(&self) -> Option<DegradedReason> {
        self.degraded
    }

    /// Equal for two deliveries of the same event and for no two events: a JSON array of what identifies it.
    /// It may contain personal data, so only a digest of it is fit for storing.
    #[must_use]
    pub fn deduplication_key(&self) -> String {
        self.deduplication_key.clone()
    }

    /// What the alert is about.
    pub(crate) fn occasion(&self) -> Occasion<'_> {
        match (self.degraded, self.document.event_type.as_deref()) {
            (Some(_), _) => Occasion::Unreadable,
            (None, Some("callStarted")) => Occasion::Started,
            (None, Some("callEnded")) => Occasion::Ended,
            (None, kind) => Occasion::Other(kind),
        }
    }

    /// The age of the event, in seconds, where it is late.
    pub(crate) fn lateness(&self) -> Option<i64> {
        self.document.age_seconds.filter(|age| *age > LATE_SECONDS)
    }

    /// The policy, named as such, in `alphabet`; where a location is missing, often the only hint of the building.
    pub(crate) fn policy(&self, alphabet: Alphabet) -> Option<String> {
        let name = alphabet(&self.document.policy_name);
        (!name.is_empty()).then(|| wording::under_policy(&name))
    }

    /// The zone of the times in messages.
    pub(crate) fn time_zone(&self) -> &TimeZone {
        &self.time_zone
    }
}

/// Shows nothing personal.
impl fmt::Debug for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Alert")
            .field("document", &self.document)
            .field("degraded", &self.degraded)
            .finish_non_exhaustive()
    }
}

/// What the envelope says, and nothing else.
fn empty_document(notification: &Notification) -> AlertDocument {
    AlertDocument {
        schema_version: SCHEMA_VERSION,
        call_id: notification.call_id.clone(),
        event_type: None,
        is_test: false,
        verified: notification.verified,
        degraded: false,
        truncated: false,
        policy_name: notification.policy_name.clone(),
        tenant_id: notification.tenant_id.clone(),
        number_dialed: None,
        occurred_at: None,
        received_at: notification.received_at,
        age_seconds: None,
        caller: Caller::default(),
        location: Location::default(),
        raw: Value::Null,
    }
}

/// The document with the members of its objects in order, since another delivery may order them differently.
///
/// Sorting has an effect only where some crate of the build switches on `preserve_order` of `serde_json`.
fn canonical(raw: &Value) -> String {
    let mut sorted = raw.clone();
    sorted.sort_all_objects();
    sorted.to_string()
}

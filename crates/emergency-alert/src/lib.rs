#![doc = include_str!("../README.md")]

mod address;
mod alert;
mod attributes;
mod audience;
mod call;
mod chat;
mod document;
mod email;
mod fields;
mod incident;
mod language;
mod location;
mod map_link;
mod moment;
mod notification;
mod phone;
mod settings;
mod sms;
mod sms_alphabet;
mod summary;
mod text;
mod warnings;
mod wording;

pub use alert::{Alert, DegradedReason};
pub use audience::Audience;
pub use call::{Caller, EmergencyCall, UnreadableCall};
pub use chat::Chat;
pub use document::{ALERT_SCHEMA, AlertDocument, MAX_JSON_BYTES, SCHEMA_VERSION};
pub use email::Email;
pub use incident::{Action, Incident, Severity};
pub use language::Language;
pub use location::Location;
pub use map_link::MapLink;
pub use notification::Notification;
pub use settings::{Settings, SettingsError, TestNumbers};
pub use sms_alphabet::sms_parts;

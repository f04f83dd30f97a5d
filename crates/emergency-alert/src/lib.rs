#![doc = include_str!("../README.md")]

mod address;
mod alert;
mod attributes;
mod call;
mod document;
mod email;
mod fields;
mod location;
mod moment;
mod notification;
mod settings;
mod sms;
mod text;
mod wording;

pub use alert::{Alert, DegradedReason};
pub use call::{Caller, EmergencyCall, UnreadableCall};
pub use document::{ALERT_SCHEMA, AlertDocument, MAX_JSON_BYTES, SCHEMA_VERSION};
pub use email::Email;
pub use location::Location;
pub use notification::Notification;
pub use settings::{Language, Settings, SettingsError, TestNumbers};

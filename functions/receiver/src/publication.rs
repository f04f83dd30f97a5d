//! From an alert to what SNS publishes.
//!
//! Follows SNS's API reference for `Publish` with `MessageStructure: json`: one body for each kind of subscriber.

use emergency_alert::Alert;
use serde_json::json;

/// One message for a topic.
#[derive(Clone, PartialEq, Eq)]
pub struct Publication {
    /// The subject, which email shows: ASCII, under 100 characters, no line breaks.
    pub subject: String,
    /// The bodies by protocol, as a JSON object.
    pub message: String,
    /// Attributes for filter policies: at most ten, none empty.
    pub attributes: Vec<(&'static str, String)>,
}

impl Publication {
    /// The message for an alert.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        let email = alert.email();
        let message = json!({"default": alert.json(), "email": email.body, "sms": alert.sms()}).to_string();
        Self { subject: email.subject, message, attributes: alert.attributes() }
    }

    /// What SNS counts towards its limit of a message's size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes: usize =
            self.attributes.iter().map(|(name, value)| name.len() + value.len() + "String".len()).sum();
        self.message.len() + self.subject.len() + attributes
    }
}

#[cfg(test)]
mod tests {
    use emergency_alert::{EmergencyCall, Notification, Settings};
    use jiff::Timestamp;
    use serde_json::Value;

    use super::*;

    #[test]
    fn there_is_a_body_for_every_protocol() {
        let call = EmergencyCall::from_resource(br#"{"id": "call-1", "emergencyNumberDialed": "911"}"#).unwrap();
        let notification = Notification {
            tenant_id: "11111111-2222-3333-4444-555555555555".into(),
            policy_name: "Global".into(),
            call_id: None,
            received_at: Timestamp::constant(1_764_000_000, 0),
            verified: true,
        };
        let publication = Publication::of(&Alert::from_call(call, &notification, &Settings::default()));
        let bodies: Value = serde_json::from_str(&publication.message).unwrap();
        let document: Value = serde_json::from_str(bodies["default"].as_str().unwrap()).unwrap();
        assert_eq!(document["callId"], "call-1");
        assert!(bodies["email"].as_str().unwrap().contains("911") && bodies["sms"].as_str().unwrap().contains("911"));
        assert!(publication.subject.contains("911") && publication.attributes.len() <= 10);
    }
}

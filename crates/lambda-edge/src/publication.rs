//! From an alert to what SNS publishes.
//!
//! Follows SNS's API reference for `Publish` with `MessageStructure: json`: one body for each kind of subscriber.

use std::collections::HashMap;

use aws_sdk_sns::{
    Client,
    error::SdkError,
    operation::publish::{PublishError, PublishOutput},
    types::MessageAttributeValue,
};
use emergency_alert::{Alert, Combined};
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
    /// Attributes that have several values. A filter takes the message if it takes one of them.
    pub lists: Vec<(&'static str, Vec<String>)>,
}

impl Publication {
    /// The message for an alert.
    #[must_use]
    pub fn of(alert: &Alert) -> Self {
        let email = alert.email();
        let message = json!({"default": alert.json(), "email": email.body, "sms": alert.sms()}).to_string();
        Self { subject: email.subject, message, attributes: alert.attributes(), lists: Vec::new() }
    }

    /// One message for several alerts that are not verified.
    #[must_use]
    pub fn combined(alerts: &[&Alert]) -> Self {
        let combined = Combined::new(alerts);
        let email = combined.email();
        let message = json!({"default": combined.json(), "email": email.body, "sms": combined.sms()}).to_string();
        let (single, lists): (Vec<_>, Vec<_>) =
            combined.attributes().into_iter().partition(|(_, values)| values.len() == 1);
        let attributes =
            single.into_iter().flat_map(|(name, values)| values.into_iter().map(move |value| (name, value)));
        Self { subject: email.subject, message, attributes: attributes.collect(), lists }
    }

    /// What SNS counts towards its limit of a message's size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let attributes: usize = self.typed().map(|(name, kind, value)| name.len() + kind.len() + value.len()).sum();
        self.message.len() + self.subject.len() + attributes
    }

    /// The attributes as SNS takes them.
    #[must_use]
    pub fn message_attributes(&self) -> HashMap<String, MessageAttributeValue> {
        let attribute = |(name, kind, value): (&str, &str, String)| {
            let attribute = MessageAttributeValue::builder().data_type(kind).string_value(value).build().ok()?;
            Some((name.to_owned(), attribute))
        };
        self.typed().filter_map(attribute).collect()
    }

    /// Each attribute with its data type and its value, which is a JSON array for a list.
    fn typed(&self) -> impl Iterator<Item = (&'static str, &'static str, String)> {
        let single = self.attributes.iter().map(|(name, value)| (*name, "String", value.clone()));
        let lists = self.lists.iter().map(|(name, values)| (*name, "String.Array", json!(values).to_string()));
        single.chain(lists)
    }

    /// Publishes the message to a topic, by itself: SNS's `Publish`.
    ///
    /// # Errors
    /// If SNS does not take it, or cannot be reached. The client's configuration says how often it is tried.
    pub async fn publish(&self, sns: &Client, topic_arn: &str) -> Result<PublishOutput, SdkError<PublishError>> {
        let request = sns.publish().topic_arn(topic_arn).message_structure("json");
        let request = request.subject(&self.subject).message(&self.message);
        request.set_message_attributes(Some(self.message_attributes())).send().await
    }
}

#[cfg(test)]
mod tests {
    use emergency_alert::{EmergencyCall, Notification, Proof, Settings};
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
            proof: Proof::Both,
            contradictions: Vec::new(),
        };
        let publication = Publication::of(&Alert::from_call(call, &notification, &Settings::default()));
        let bodies: Value = serde_json::from_str(&publication.message).unwrap();
        let document: Value = serde_json::from_str(bodies["default"].as_str().unwrap()).unwrap();
        assert_eq!(document["callId"], "call-1");
        assert!(bodies["email"].as_str().unwrap().contains("911") && bodies["sms"].as_str().unwrap().contains("911"));
        assert!(publication.subject.contains("911") && publication.attributes.len() <= 10);
    }

    #[test]
    fn a_combined_message_has_a_body_for_every_protocol_and_every_value_to_filter_by() {
        let alert = |number: &str| {
            let document = format!(r#"{{"id": "call-{number}", "emergencyNumberDialed": "{number}"}}"#);
            let notification = Notification {
                tenant_id: "11111111-2222-3333-4444-555555555555".into(),
                policy_name: "Global".into(),
                call_id: None,
                received_at: Timestamp::constant(1_764_000_000, 0),
                proof: Proof::TokenOnly,
                contradictions: Vec::new(),
            };
            let call = EmergencyCall::from_resource(document.as_bytes()).unwrap();
            Alert::from_call(call, &notification, &Settings::default())
        };
        let (first, second) = (alert("911"), alert("112"));
        let publication = Publication::combined(&[&first, &second]);
        assert!(publication.subject.starts_with("[NOT VERIFIED] 2 emergency calls"), "{}", publication.subject);
        let bodies: Value = serde_json::from_str(&publication.message).unwrap();
        let document: Value = serde_json::from_str(bodies["default"].as_str().unwrap()).unwrap();
        assert_eq!((&document["alerts"][1]["callId"], &document["omitted"]), (&json!("call-112"), &json!(0)));
        for protocol in ["email", "sms"] {
            let text = bodies[protocol].as_str().unwrap();
            assert!(text.contains("911") && text.contains("112"), "{text}");
        }
        let attributes = publication.message_attributes();
        let numbers = &attributes["numberDialed"];
        assert_eq!((numbers.data_type(), numbers.string_value()), ("String.Array", Some(r#"["911","112"]"#)));
        let kind = &attributes["eventType"];
        assert_eq!((kind.data_type(), kind.string_value()), ("String", Some("unverifiedCalls")));
        assert!(publication.bytes() > publication.message.len() + publication.subject.len());
    }

    #[test]
    fn an_attribute_keeps_its_name_and_its_value() {
        let attributes = vec![("city", "Zürich".to_owned()), ("isTest", "true".to_owned())];
        let lists = vec![("site", vec!["1 A St".to_owned(), "2 B St".to_owned()])];
        let publication = Publication { subject: String::new(), message: String::new(), attributes, lists };
        let attributes = publication.message_attributes();
        assert_eq!(attributes.len(), 3);
        let site = &attributes["site"];
        assert_eq!((site.data_type(), site.string_value()), ("String.Array", Some(r#"["1 A St","2 B St"]"#)));
        let city = &attributes["city"];
        assert_eq!((city.data_type(), city.string_value()), ("String", Some("Zürich")));
    }

    #[test]
    fn a_publication_is_as_large_as_its_parts() {
        let attributes = vec![("city", "Zürich".to_owned())];
        let publication =
            Publication { subject: "four".to_owned(), message: "{}".to_owned(), attributes, lists: Vec::new() };
        assert_eq!(publication.bytes(), 4 + 2 + 4 + 7 + 6);
    }
}

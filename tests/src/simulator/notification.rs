//! The bodies that Graph posts: change notifications of emergency calls, lifecycle notifications, and what is sealed inside.
//!
//! The shapes are those of "Get change notifications for Microsoft Teams emergency call event updates" and "Reduce missing
//! subscriptions and change notifications".

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::clock::graph_time;
use super::sealing::EncryptedContent;

/// Whether the sealed document wraps the event, as Microsoft's sample shows it, or is the event, as its schema says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DocumentShape {
    /// The event is the member `emergencyCallEvent` of an outer object.
    #[default]
    Wrapped,
    /// The event is the document.
    Flat,
}

/// Who dials. Absent parts become null, as all of them are nullable.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct Caller {
    /// The name.
    pub display_name: Option<String>,
    /// The user principal name.
    pub upn: Option<String>,
    /// The number to call back; Microsoft's sample has bare digits.
    pub phone_number: Option<String>,
}

impl Default for Caller {
    fn default() -> Self {
        Self {
            display_name: Some("Adele Vance".to_owned()),
            upn: Some("adele.vance@contoso.com".to_owned()),
            phone_number: Some("14255550100".to_owned()),
        }
    }
}

/// The place of a caller who names none: a full address with the parts that Microsoft's sample keeps in `additionalData`.
#[must_use]
pub fn default_location() -> Value {
    json!({
        "address": {
            "street": "Microsoft Way",
            "city": "Redmond",
            "state": "WA",
            "countryOrRegion": "United States",
            "postalCode": "98052",
            "additionalData": {
                "companyName": "Contoso",
                "additionalInfo": "Floor 7, Room 700",
                "houseNumber": "725",
                "county": "King",
                "streetSuffix": "NE"
            }
        },
        "coordinates": { "latitude": "47.6396", "longitude": "-122.1281" }
    })
}

/// The resource path of a policy's emergency events; a quote in the name is doubled, as `OData` wants it.
#[must_use]
pub fn resource(policy: &str) -> String {
    format!("communications/calls/getEmergencyEventsByPolicy(policyName='{}')", policy.replace('\'', "''"))
}

/// What the sealed document says.
#[derive(Clone, Debug)]
pub struct EmergencyEvent {
    /// The call's id, which is the event's.
    pub id: String,
    /// `callStarted`, `callEnded`, or anything else.
    pub call_event_type: String,
    /// The emergency calling policy.
    pub policy: String,
    /// When it happened.
    pub occurred_at: Timestamp,
    /// The number dialled.
    pub number: String,
    /// The caller.
    pub caller: Caller,
    /// The caller's tenant.
    pub tenant: String,
    /// A `location` as Graph has it, or null.
    pub location: Value,
}

impl EmergencyEvent {
    /// The document to seal.
    #[must_use]
    pub fn document(&self, shape: DocumentShape) -> Value {
        let event = json!({
            "id": self.id,
            "callEventType": self.call_event_type,
            "policyName": self.policy,
            "eventDateTime": graph_time(self.occurred_at).replace('Z', "+00:00"),
            "emergencyNumberDialed": self.number,
            "callerInfo": {
                "displayName": self.caller.display_name,
                "upn": self.caller.upn,
                "phoneNumber": self.caller.phone_number,
                "tenantId": self.tenant,
                "location": self.location,
            },
        });
        let outer = json!({
            "@odata.id": resource(&self.policy),
            "@odata.type": "#microsoft.graph.emergencyCallEvent",
            "id": self.id,
        });
        let (mut document, inner) = (outer, event);
        match shape {
            DocumentShape::Wrapped => document["emergencyCallEvent"] = inner,
            DocumentShape::Flat => {
                if let (Value::Object(document), Value::Object(inner)) = (&mut document, inner) {
                    document.extend(inner);
                }
            }
        }
        document
    }
}

/// What the envelope says of the subscription that an item belongs to.
#[derive(Clone, Debug)]
pub struct ItemOrigin {
    /// The subscription.
    pub subscription_id: String,
    /// When it ends.
    pub subscription_expires_at: Timestamp,
    /// The tenant.
    pub tenant: String,
    /// The policy.
    pub policy: String,
    /// The subscriber's secret.
    pub client_state: Option<String>,
}

/// A change notification of an emergency call. It has no `id`, but `organizationId`, as in Microsoft's sample.
#[must_use]
pub fn change_notification(origin: &ItemOrigin, call_id: &str, encrypted_content: &EncryptedContent) -> Value {
    json!({
        "subscriptionId": origin.subscription_id,
        "clientState": origin.client_state,
        "changeType": "updated",
        "tenantId": origin.tenant,
        "resource": resource(&origin.policy),
        "subscriptionExpirationDateTime": graph_time(origin.subscription_expires_at),
        "resourceData": {
            "@odata.id": resource(&origin.policy),
            "@odata.type": "#microsoft.graph.emergencyCallEvent",
            "id": call_id,
        },
        "organizationId": origin.tenant,
        "encryptedContent": encrypted_content,
    })
}

/// A lifecycle notification, such as `reauthorizationRequired`.
#[must_use]
pub fn lifecycle_notification(origin: &ItemOrigin, event: &str) -> Value {
    json!({
        "subscriptionId": origin.subscription_id,
        "subscriptionExpirationDateTime": graph_time(origin.subscription_expires_at),
        "tenantId": origin.tenant,
        "clientState": origin.client_state,
        "lifecycleEvent": event,
    })
}

/// A `changeNotificationCollection`. `None` leaves `validationTokens` null, as Graph does for an app it cannot get them for.
#[must_use]
pub fn collection(items: &[Value], validation_tokens: Option<&[String]>) -> Value {
    json!({ "value": items, "validationTokens": validation_tokens })
}

/// A collection of lifecycle notifications, which has no `validationTokens` member.
#[must_use]
pub fn lifecycle_collection(items: &[Value]) -> Value {
    json!({ "value": items })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event() -> EmergencyEvent {
        EmergencyEvent {
            id: "11111111-0000-0000-0000-000000000000".to_owned(),
            call_event_type: "callStarted".to_owned(),
            policy: "O'Hare".to_owned(),
            occurred_at: "2026-11-23T10:00:00Z".parse().unwrap(),
            number: "911".to_owned(),
            caller: Caller::default(),
            tenant: "00000000-0000-0000-0000-000000000000".to_owned(),
            location: default_location(),
        }
    }

    #[test]
    fn a_quote_in_a_policy_name_is_doubled() {
        assert_eq!(resource("O'Hare"), "communications/calls/getEmergencyEventsByPolicy(policyName='O''Hare')");
    }

    #[test]
    fn the_wrapped_document_is_that_of_the_sample() {
        let document = event().document(DocumentShape::Wrapped);
        assert_eq!(document["@odata.id"], resource("O'Hare"));
        assert_eq!(document["@odata.type"], "#microsoft.graph.emergencyCallEvent");
        assert_eq!(document["id"], "11111111-0000-0000-0000-000000000000");
        let event = &document["emergencyCallEvent"];
        assert_eq!(event["policyName"], "O'Hare");
        assert_eq!(event["eventDateTime"], "2026-11-23T10:00:00.0000000+00:00");
        assert_eq!(event["emergencyNumberDialed"], "911");
        let location = &event["callerInfo"]["location"];
        assert_eq!(location["address"]["additionalData"]["houseNumber"], "725");
        assert!(location["coordinates"]["latitude"].is_string());
    }

    #[test]
    fn the_flat_document_is_the_event() {
        let document = event().document(DocumentShape::Flat);
        assert_eq!(document["callEventType"], "callStarted");
        assert!(document.get("emergencyCallEvent").is_none());
    }

    #[test]
    fn items_have_the_members_of_their_kind() {
        let origin = ItemOrigin {
            subscription_id: "s".to_owned(),
            subscription_expires_at: "2026-11-24T10:00:00Z".parse().unwrap(),
            tenant: "t".to_owned(),
            policy: "Global".to_owned(),
            client_state: Some("secret".to_owned()),
        };
        let content = EncryptedContent {
            data: String::new(),
            data_signature: String::new(),
            data_key: String::new(),
            encryption_certificate_id: "key-1".to_owned(),
            encryption_certificate_thumbprint: String::new(),
        };
        let change = change_notification(&origin, "call", &content);
        assert_eq!(change["organizationId"], "t");
        assert_eq!(change["clientState"], "secret");
        assert_eq!(change["encryptedContent"]["encryptionCertificateId"], "key-1");
        assert!(change.get("id").is_none() && change.get("lifecycleEvent").is_none());
        let lifecycle = lifecycle_notification(&origin, "reauthorizationRequired");
        assert_eq!(lifecycle["clientState"], "secret");
        assert!(lifecycle.get("changeType").is_none() && lifecycle.get("resourceData").is_none());
        assert!(lifecycle_collection(&[lifecycle]).get("validationTokens").is_none());
        assert!(collection(&[change], None)["validationTokens"].is_null());
    }
}

//! A subscription as Graph reports it, and what to send to create or renew one.

use graph_notifications::{ClientState, Policy, PolicyName};
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer, Serialize, de::Error as _};
use serde_json::Value;

/// A subscription as Graph reports it. Graph does not give out its client state. A member that is not of the usual kind counts
/// as absent, if a subscription can be told without it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Subscription {
    /// Graph's name for it.
    pub id: String,
    /// What it watches.
    pub resource: String,
    /// Where Graph delivers.
    pub notification_url: String,
    /// Where Graph sends lifecycle notifications; it cannot be added later.
    #[serde(default, deserialize_with = "text")]
    pub lifecycle_notification_url: Option<String>,
    /// When it ends unless renewed. Graph has been seen to write it without a zone: then it is in UTC.
    #[serde(rename = "expirationDateTime", deserialize_with = "end")]
    pub expires_at: Timestamp,
    /// Which certificate Graph encrypts for.
    #[serde(default, deserialize_with = "text")]
    pub encryption_certificate_id: Option<String>,
}

impl Subscription {
    /// The emergency calling policy that it watches; `None` if it watches something else.
    #[must_use]
    pub fn policy_name(&self) -> Option<PolicyName> {
        Policy::name_in_resource(&self.resource)
    }
}

fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => Some(text),
        _ => None,
    })
}

fn end<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    let with_zone = text.parse().ok();
    let in_utc = || text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|zoned| zoned.timestamp());
    with_zone.or_else(in_utc).ok_or_else(|| D::Error::custom("the end of the subscription is no time"))
}

/// What to send to create a subscription to the emergency calls under a policy.
#[derive(Debug, Clone, Copy)]
pub struct NewSubscription<'a> {
    /// What to watch.
    pub policy: &'a Policy,
    /// Where Graph delivers notifications and lifecycle notifications alike.
    pub notification_url: &'a str,
    /// When it ends unless renewed: at most a day ahead.
    pub expires_at: Timestamp,
    /// For whom Graph encrypts: an X.509 certificate, DER in base64.
    pub certificate: &'a str,
    /// What Graph calls the certificate in each notification: at most 128 characters.
    pub certificate_id: &'a str,
    /// The secret that Graph repeats in each notification: at most 128 characters.
    pub client_state: &'a ClientState,
}

impl NewSubscription<'_> {
    /// The body of the request, as "Get change notifications for emergency calls" has it.
    pub(crate) fn body(&self) -> impl Serialize {
        CreateBody {
            // The only value that the page shows, although a call starts and ends.
            change_type: "updated",
            notification_url: self.notification_url,
            lifecycle_notification_url: self.notification_url,
            resource: self.policy.resource(),
            include_resource_data: true,
            encryption_certificate: self.certificate,
            encryption_certificate_id: self.certificate_id,
            expiration_date_time: whole_seconds(self.expires_at),
            client_state: self.client_state.expose(),
        }
    }
}

/// What to send to renew a subscription.
#[derive(Debug, Clone, Copy)]
pub struct Renewal<'a> {
    /// When it ends unless renewed again: at most a day ahead.
    pub expires_at: Timestamp,
    /// The certificate to encrypt for from now on; `None` leaves it as it is. Microsoft's pages disagree on whether a
    /// renewal can change it.
    pub certificate: Option<NewCertificate<'a>>,
}

/// A certificate for a subscription that has another.
#[derive(Debug, Clone, Copy)]
pub struct NewCertificate<'a> {
    /// As in [`NewSubscription`].
    pub certificate: &'a str,
    /// As in [`NewSubscription`].
    pub certificate_id: &'a str,
}

impl Renewal<'_> {
    pub(crate) fn body(&self) -> impl Serialize {
        RenewBody {
            expiration_date_time: whole_seconds(self.expires_at),
            encryption_certificate: self.certificate.map(|new| new.certificate),
            encryption_certificate_id: self.certificate.map(|new| new.certificate_id),
        }
    }
}

/// Rounded down: the documents show no fractions.
fn whole_seconds(time: Timestamp) -> String {
    Timestamp::from_second(time.as_second()).unwrap_or(time).to_string()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreateBody<'a> {
    change_type: &'a str,
    notification_url: &'a str,
    lifecycle_notification_url: &'a str,
    resource: String,
    include_resource_data: bool,
    encryption_certificate: &'a str,
    encryption_certificate_id: &'a str,
    expiration_date_time: String,
    client_state: &'a str,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RenewBody<'a> {
    expiration_date_time: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_certificate: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encryption_certificate_id: Option<&'a str>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(change: impl FnOnce(&mut Value)) -> Result<Subscription, serde_json::Error> {
        let mut reported = json!({
            "id": "s1", "resource": "communications/calls/getEmergencyEventsByPolicy(policyName='Global')",
            "notificationUrl": "https://example.org/", "lifecycleNotificationUrl": "https://example.org/",
            "expirationDateTime": "2025-11-24T16:00:00Z", "encryptionCertificateId": "key-1",
        });
        change(&mut reported);
        serde_json::from_value(reported)
    }

    #[test]
    fn an_end_without_a_zone_is_in_utc() {
        for text in [
            "2025-11-24T16:00:00Z",
            "2025-11-24T16:00:00",
            "2025-11-24T16:00:00.0000000",
            "2025-11-24T16:00:00.0000000Z",
            "2025-11-24T18:00:00+02:00",
            "2025-11-24 16:00:00",
        ] {
            let end = read(|reported| reported["expirationDateTime"] = json!(text)).unwrap().expires_at;
            assert_eq!(end.to_string(), "2025-11-24T16:00:00Z", "{text}");
        }
        for odd in [json!("soon"), json!(""), json!(1), json!(null), json!("16:00")] {
            assert!(read(|reported| reported["expirationDateTime"] = odd.clone()).is_err(), "{odd}");
        }
    }

    #[test]
    fn an_odd_member_costs_that_member() {
        for odd in [json!(1), json!(true), json!(["x"]), json!({"x": 1}), json!(null)] {
            let lifecycle = read(|reported| reported["lifecycleNotificationUrl"] = odd.clone()).unwrap();
            assert_eq!((&lifecycle.lifecycle_notification_url, lifecycle.id.as_str()), (&None, "s1"));
            let certificate = read(|reported| reported["encryptionCertificateId"] = odd.clone()).unwrap();
            assert_eq!(certificate.encryption_certificate_id, None);
            assert!(read(|reported| reported["clientState"] = odd.clone()).is_ok());
        }
    }
}

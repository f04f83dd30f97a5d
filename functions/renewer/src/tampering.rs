//! Whether a subscription that we recorded still shows what we asked for. Graph has been seen to write the same thing in
//! another dress, so that addresses are compared without regard to case, percent-encoding, default ports and a slash at the
//! end. What Graph does not say proves nothing.

use graph_notifications::Policy;
use graph_subscriptions::Subscription;
use reqwest::Url;

/// What somebody changed of a subscription. Only who holds the app's credential can do that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tampering {
    /// Its notifications go elsewhere.
    NotificationUrl,
    /// Its lifecycle notifications go elsewhere; calls still come to us.
    LifecycleUrl,
    /// It watches something else.
    Resource,
}

impl Tampering {
    /// What that means, as the end of a sentence about the subscription.
    #[must_use]
    pub fn explanation(self) -> &'static str {
        match self {
            Self::NotificationUrl => "delivers calls to another address than this stack's",
            Self::LifecycleUrl => "sends lifecycle notifications to another address than this stack's",
            Self::Resource => "watches something else than its policy",
        }
    }

    /// Whether calls under the policy still reach us.
    #[must_use]
    pub fn still_delivers(self) -> bool {
        self == Self::LifecycleUrl
    }
}

/// What was changed of a subscription that we created for a policy; `None` if nothing that Graph shows was.
#[must_use]
pub fn tampering(subscription: &Subscription, policy: &Policy, notification_url: &str) -> Option<Tampering> {
    let is_elsewhere = |url: &str| !url.is_empty() && !is_same_address(url, notification_url);
    if is_elsewhere(&subscription.notification_url) {
        Some(Tampering::NotificationUrl)
    } else if !watches_still(subscription, policy) {
        Some(Tampering::Resource)
    } else if subscription.lifecycle_notification_url.as_deref().is_some_and(is_elsewhere) {
        Some(Tampering::LifecycleUrl)
    } else {
        None
    }
}

/// A path that cannot be read as one of ours counts as ours while it holds the policy's name: it may be another spelling.
fn watches_still(subscription: &Subscription, policy: &Policy) -> bool {
    if let Some(name) = subscription.policy_name() {
        return policy.is(policy.tenant, &name);
    }
    let resource = decoded(&subscription.resource).to_lowercase();
    resource.is_empty() || resource.contains(&policy.name.as_str().to_lowercase())
}

/// Whether two addresses are the same, however they are spelled.
#[must_use]
pub fn is_same_address(one: &str, other: &str) -> bool {
    normalized(one) == normalized(other)
}

fn normalized(address: &str) -> String {
    let Ok(url) = Url::parse(address.trim()) else { return address.trim().to_lowercase() };
    let (host, port) = (url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default());
    let path = decoded(url.path());
    let query = url.query().map(decoded).unwrap_or_default();
    format!("{}://{host}:{port}{}?{query}", url.scheme(), path.trim_end_matches('/')).to_lowercase()
}

/// Text without percent-encoding. What is no encoding stays.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        let digits = after.get(..2).filter(|_| first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        let byte = digits
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
            .and_then(|digits| u8::from_str_radix(digits, 16).ok());
        bytes.push(byte.unwrap_or(first));
        rest = if byte.is_some() { &after[2..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::{START, policy};

    const OURS: &str = "https://abc.execute-api.eu-west-1.amazonaws.com/Notifications?stage=a b";

    fn subscription() -> Subscription {
        Subscription {
            id: "s1".to_owned(),
            resource: policy("O'Hare").resource(),
            notification_url: OURS.to_owned(),
            lifecycle_notification_url: Some(OURS.to_owned()),
            expires_at: START,
            encryption_certificate_id: None,
        }
    }

    fn of(change: impl FnOnce(&mut Subscription)) -> Option<Tampering> {
        let mut shown = subscription();
        change(&mut shown);
        tampering(&shown, &policy("O'Hare"), OURS)
    }

    #[test]
    fn another_dress_is_no_change() {
        assert_eq!(of(|_| ()), None);
        for same in [
            "https://ABC.execute-api.eu-west-1.amazonaws.com/Notifications?stage=a b",
            "HTTPS://abc.execute-api.eu-west-1.amazonaws.com:443/notifications/?stage=a%20b",
            "https://abc.execute-api.eu-west-1.amazonaws.com/%6eotifications?stage=a%20b",
            "",
        ] {
            assert_eq!(of(|one| one.notification_url = same.to_owned()), None, "{same}");
            assert_eq!(of(|one| one.lifecycle_notification_url = Some(same.to_owned())), None, "{same}");
        }
        assert_eq!(of(|one| one.lifecycle_notification_url = None), None);
        assert_eq!(of(|one| one.encryption_certificate_id = Some("any".to_owned())), None);
        for same in [
            "/communications/calls/getEmergencyEventsByPolicy(policyName='o''hare')",
            "communications/calls/microsoft.graph.getEmergencyEventsByPolicy(policyName=%27O%27Hare%27)",
            "",
        ] {
            assert_eq!(of(|one| one.resource = same.to_owned()), None, "{same}");
        }
    }

    #[test]
    fn each_member_that_was_changed_is_named() {
        for elsewhere in [
            "https://evil.example/Notifications?stage=a b",
            "https://abc.execute-api.eu-west-1.amazonaws.com.evil.example/Notifications?stage=a b",
            "https://abc.execute-api.eu-west-1.amazonaws.com/other?stage=a b",
            "https://abc.execute-api.eu-west-1.amazonaws.com/Notifications?stage=c",
            "https://abc.execute-api.eu-west-1.amazonaws.com:8443/Notifications?stage=a b",
            "not an address",
        ] {
            let notifications = of(|one| one.notification_url = elsewhere.to_owned());
            assert_eq!(notifications, Some(Tampering::NotificationUrl), "{elsewhere}");
            let lifecycle = of(|one| one.lifecycle_notification_url = Some(elsewhere.to_owned()));
            assert_eq!(lifecycle, Some(Tampering::LifecycleUrl), "{elsewhere}");
        }
        for other in [policy("Warehouse").resource().as_str(), "users/1/messages"] {
            assert_eq!(of(|one| one.resource = other.to_owned()), Some(Tampering::Resource), "{other}");
        }
        assert!(Tampering::LifecycleUrl.still_delivers() && !Tampering::NotificationUrl.still_delivers());
    }
}

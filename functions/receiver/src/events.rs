//! What machines learn on the event bus besides calls.

use graph_notifications::{
    TenantId,
    envelope::{LifecycleNotification, Origin},
};
use jiff::Timestamp;
use lambda_edge::event::BusEvent;
use serde_json::json;

/// Longer texts in events are cut: a stranger may have written them.
const LONGEST_TEXT: usize = 128;

/// `Subscription Lifecycle`: what Graph says of a subscription. The renewer acts on it, in a way that a forger gains nothing
/// by; `clientStateMatches` tells others whether Graph wrote it.
pub(crate) fn subscription_lifecycle(
    notification: &LifecycleNotification,
    client_state_matches: bool,
    now: Timestamp,
) -> BusEvent {
    let detail = json!({
        "tenantId": notification.origin.tenant,
        "subscriptionId": notification.origin.subscription_id.as_deref().map(cut),
        "lifecycleEvent": cut(&notification.event),
        "subscriptionExpirationDateTime": notification.expires_at.as_deref().map(cut),
        "clientStateMatches": client_state_matches,
        "receivedAt": now,
    });
    BusEvent { detail_type: "Subscription Lifecycle", detail: detail.to_string() }
}

/// `Notification Rejected`: an item raised no alert, and why.
pub(crate) fn notification_rejected(reason: &str, origin: Option<&RejectedOrigin>, now: Timestamp) -> BusEvent {
    let detail = json!({
        "reason": reason,
        "tenantId": origin.map(|origin| origin.tenant),
        "subscriptionId": origin.and_then(|origin| origin.subscription_id.clone()),
        "receivedAt": now,
    });
    BusEvent { detail_type: "Notification Rejected", detail: detail.to_string() }
}

/// Where a rejected item claims to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectedOrigin {
    tenant: TenantId,
    subscription_id: Option<String>,
}

impl From<&Origin> for RejectedOrigin {
    fn from(origin: &Origin) -> Self {
        Self { tenant: origin.tenant, subscription_id: origin.subscription_id.as_deref().map(cut) }
    }
}

fn cut(text: &str) -> String {
    text.chars().take(LONGEST_TEXT).collect()
}

#[cfg(test)]
mod tests {
    use graph_notifications::{ChangeNotificationCollection, envelope::Item};
    use serde_json::Value;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);

    #[test]
    fn a_lifecycle_event_keeps_what_graph_said_and_no_secret() {
        let event = "x".repeat(500);
        let body = json!({"value": [{"tenantId": "11111111-2222-3333-4444-555555555555", "subscriptionId": "s", "clientState": "hunter2",
            "lifecycleEvent": event, "subscriptionExpirationDateTime": "2026-11-24T00:00:00Z"}]});
        let mut items = ChangeNotificationCollection::parse(body.to_string().as_bytes()).unwrap().items;
        let Ok(Item::Lifecycle(notification)) = items.remove(0) else { panic!("a lifecycle notification") };
        let event = subscription_lifecycle(&notification, true, NOW);
        let detail: Value = serde_json::from_str(&event.detail).unwrap();
        assert_eq!(detail["lifecycleEvent"].as_str().unwrap().len(), 128);
        assert_eq!((&detail["subscriptionId"], &detail["clientStateMatches"]), (&json!("s"), &json!(true)));
        assert!(!event.detail.contains("hunter2"));
    }

    #[test]
    fn a_rejection_names_its_reason() {
        let event = notification_rejected("TokenExpired", None, NOW);
        let detail: Value = serde_json::from_str(&event.detail).unwrap();
        assert_eq!(
            detail,
            json!({"reason": "TokenExpired", "tenantId": null, "subscriptionId": null, "receivedAt": "2025-11-24T16:00:00Z"})
        );
    }
}

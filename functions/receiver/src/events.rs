//! What machines learn on the event bus besides calls.

use graph_notifications::envelope::LifecycleNotification;
use jiff::Timestamp;
use lambda_edge::event::BusEvent;
use serde_json::json;

use crate::rejection::Rejected;

/// Longer texts in events are cut: anybody may have written them.
const LONGEST_TEXT: usize = 128;

/// `Subscription Lifecycle`: what Graph says of a subscription. The renewer acts on it, in a way that a forger gains nothing
/// by; `clientStateMatches` tells others whether Graph wrote it.
pub(crate) fn subscription_lifecycle(
    notification: &LifecycleNotification,
    client_state_matches: bool,
    now: Timestamp,
) -> BusEvent {
    let detail = json!({
        "tenantId": notification.origin.stated_ids().next(),
        "subscriptionId": notification.origin.subscription_id.as_deref().map(identifier),
        "lifecycleEvent": identifier(&notification.event),
        "subscriptionExpirationDateTime": notification.expires_at.as_deref().and_then(|at| at.parse::<Timestamp>().ok()),
        "clientStateMatches": client_state_matches,
        "receivedAt": now,
    });
    BusEvent { detail_type: "Subscription Lifecycle", detail: detail.to_string() }
}

/// `Notification Rejected`: an item raised no alert, and why, in a word and in a sentence.
pub(crate) fn notification_rejected(rejected: &Rejected, now: Timestamp) -> BusEvent {
    let origin = rejected.origin.as_ref();
    let detail = json!({
        "reason": rejected.reason.word(),
        "explanation": rejected.reason.to_string(),
        "tenantId": origin.and_then(|origin| origin.tenant),
        "subscriptionId": origin.and_then(|origin| origin.subscription_id.as_deref()).map(identifier),
        "receivedAt": now,
    });
    BusEvent { detail_type: "Notification Rejected", detail: detail.to_string() }
}

/// A text of identifiers' characters, and as many as fit: what anybody may have written must be inert wherever it is shown.
fn identifier(text: &str) -> String {
    let inert = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_') { c } else { '_' };
    text.chars().take(LONGEST_TEXT).map(inert).collect()
}

#[cfg(test)]
mod tests {
    use graph_notifications::{ChangeNotificationCollection, authentication::Standing, envelope::Item};
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
    fn a_rejection_says_why_in_a_word_and_in_a_sentence() {
        let event = notification_rejected(&Rejected::malformed(Standing::Refuted), NOW);
        let detail: Value = serde_json::from_str(&event.detail).unwrap();
        assert_eq!(
            detail,
            json!({"reason": "Malformed", "explanation": "the item is not an object", "tenantId": null,
                "subscriptionId": null, "receivedAt": "2025-11-24T16:00:00Z"})
        );
    }

    #[test]
    fn what_anybody_may_have_written_is_inert() {
        let hostile = "https://evil.example/<b>\"@all\n\u{202e}";
        let body = json!({"value": [{"subscriptionId": hostile, "lifecycleEvent": hostile,
            "subscriptionExpirationDateTime": hostile}]});
        let mut items = ChangeNotificationCollection::parse(body.to_string().as_bytes()).unwrap().items;
        let Ok(Item::Lifecycle(notification)) = items.remove(0) else { panic!("a lifecycle notification") };
        let rejected =
            Rejected { origin: Some((&notification.origin).into()), ..Rejected::malformed(Standing::Refuted) };
        for event in [subscription_lifecycle(&notification, false, NOW), notification_rejected(&rejected, NOW)] {
            let detail: Value = serde_json::from_str(&event.detail).unwrap();
            assert_eq!(detail["subscriptionId"], "https___evil_example__b___all__");
            assert!(!event.detail.contains("evil.example"), "{}", event.detail);
        }
    }
}

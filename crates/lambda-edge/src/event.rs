//! What machines learn on the event bus.

use aws_sdk_eventbridge::types::PutEventsRequestEntry;
use emergency_alert::Alert;

/// The source of all events.
pub const SOURCE: &str = "teams-emergency-alerts";

/// An event for the bus.
#[derive(Clone, PartialEq, Eq)]
pub struct BusEvent {
    /// `detail-type`.
    pub detail_type: &'static str,
    /// `detail`, a JSON object.
    pub detail: String,
}

impl BusEvent {
    /// `Emergency Call`: the alert document.
    #[must_use]
    pub fn emergency_call(alert: &Alert) -> Self {
        Self { detail_type: "Emergency Call", detail: alert.json() }
    }

    /// The event as EventBridge's `PutEvents` takes it, for the bus of this name.
    #[must_use]
    pub fn entry(&self, bus_name: &str) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(bus_name)
            .source(SOURCE)
            .detail_type(self.detail_type)
            .detail(&self.detail)
            .build()
    }
}

#[cfg(test)]
mod tests {
    use emergency_alert::{DegradedReason, Notification, Proof, Settings};
    use jiff::Timestamp;

    use super::*;

    #[test]
    fn a_call_goes_to_the_bus_as_its_document() {
        let notification = Notification {
            tenant_id: "11111111-2222-3333-4444-555555555555".into(),
            policy_name: "Global".into(),
            call_id: Some("call-1".into()),
            received_at: Timestamp::constant(1_764_000_000, 0),
            proof: Proof::Both,
            contradictions: Vec::new(),
        };
        let alert = Alert::degraded(DegradedReason::Undecryptable, "digest", &notification, &Settings::default());
        let entry = BusEvent::emergency_call(&alert).entry("bus");
        assert_eq!((entry.event_bus_name(), entry.source()), (Some("bus"), Some("teams-emergency-alerts")));
        assert_eq!((entry.detail_type(), entry.detail()), (Some("Emergency Call"), Some(alert.json().as_str())));
    }
}

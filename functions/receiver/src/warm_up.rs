//! An alert that nobody gets, made before the first one that counts.
//!
//! Numbering plans and other tables load at their first use, which takes longer than all the rest of making an alert.

use std::hint::black_box;

use emergency_alert::{Alert, EmergencyCall, Notification, Proof, Settings};
use jiff::Timestamp;
use lambda_edge::publication::Publication;

/// A call with everything in it that takes some loading.
const CALL: &[u8] = br#"{"id": "rehearsal", "callEventType": "callStarted", "eventDateTime": "2024-01-01T10:00:00Z",
    "emergencyNumberDialed": "911", "callerInfo": {"displayName": "R\u00e9p\u00e9tition", "phoneNumber": "14255550100", "location": {
        "address": {"street": "Microsoft Way", "city": "Redmond", "state": "WA", "countryOrRegion": "United States"},
        "coordinates": {"latitude": "47.6396", "longitude": "-122.1281"}}}}"#;

/// Makes the alert and its publication, and throws them away.
pub fn render_once(settings: &Settings, now: Timestamp) {
    black_box(alert(settings, now).as_ref().map(Publication::of));
}

fn alert(settings: &Settings, now: Timestamp) -> Option<Alert> {
    let notification = Notification {
        tenant_id: String::new(),
        policy_name: "Global".to_owned(),
        call_id: None,
        received_at: now,
        proof: Proof::Both,
        contradictions: Vec::new(),
    };
    let call = EmergencyCall::from_resource(CALL).ok()?;
    Some(Alert::from_call(call, &notification, settings))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_all_that_an_alert_can_have() {
        let alert = alert(&Settings::default(), Timestamp::UNIX_EPOCH).unwrap();
        let facts = alert.facts();
        assert_eq!(facts.callback_number.as_deref(), Some("+14255550100"));
        assert!(facts.map_url.is_some() && facts.location.text.is_some());
    }
}

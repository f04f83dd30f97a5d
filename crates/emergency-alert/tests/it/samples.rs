//! Documents as Microsoft sends them, and short ways to make alerts of them.

use emergency_alert::{Alert, EmergencyCall, Notification, Proof, Settings};
use serde_json::{Value, json};

/// The example of "Get change notifications for Microsoft Teams emergency call event updates", with its placeholders
/// filled: wrapped, address parts in `additionalData`, coordinates as text, seven fractional digits.
pub(crate) fn microsoft() -> Value {
    serde_json::from_str(include_str!("../samples/microsoft.json")).unwrap()
}

/// The shape of the resource's reference page: flat, with the address parts and coordinates unwrapped and untyped.
pub(crate) fn flat() -> Value {
    serde_json::from_str(include_str!("../samples/flat.json")).unwrap()
}

/// Microsoft's example with one member replaced: a JSON pointer from the inner event on.
pub(crate) fn microsoft_with(pointer: &str, value: Value) -> Value {
    let mut document = microsoft();
    *document.pointer_mut(&format!("/emergencyCallEvent{pointer}")).unwrap() = value;
    document
}

/// An event in which nothing but these callers' details is given.
pub(crate) fn caller(info: &Value) -> Value {
    json!({"emergencyCallEvent": {"callEventType": "callStarted", "emergencyNumberDialed": "911", "callerInfo": info}})
}

pub(crate) fn call(document: &Value) -> EmergencyCall {
    EmergencyCall::from_resource(document.to_string().as_bytes()).unwrap()
}

/// Three seconds after the event of Microsoft's example.
pub(crate) fn notification() -> Notification {
    Notification {
        tenant_id: "84841066-274d-4ec0-a5c1-276be684bdd3".to_owned(),
        policy_name: "EmergencyPolicy".to_owned(),
        call_id: Some("33333333-0000-0000-0000-000000000000".to_owned()),
        received_at: "2024-01-01T10:00:03.2Z".parse().unwrap(),
        proof: Proof::Both,
        contradictions: Vec::new(),
    }
}

pub(crate) fn settings() -> Settings {
    Settings::parse("933", "America/Los_Angeles", "en", "").unwrap()
}

pub(crate) fn alert(document: &Value) -> Alert {
    Alert::from_call(call(document), &notification(), &settings())
}

/// The alert document as its readers get it.
pub(crate) fn parsed(alert: &Alert) -> Value {
    serde_json::from_str(&alert.json()).unwrap()
}

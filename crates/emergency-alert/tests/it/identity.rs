//! When two alerts are the same.

use std::collections::HashSet;

use emergency_alert::{Alert, DegradedReason, Notification, Proof};
use serde_json::{Value, json};

use crate::samples::{alert, call, microsoft, microsoft_with, notification, settings};

fn key(document: &Value) -> String {
    alert(document).deduplication_key()
}

#[test]
fn another_delivery_of_an_event_is_the_same() {
    let later = Notification {
        received_at: "2024-01-01T14:00:00Z".parse().unwrap(),
        call_id: None,
        proof: Proof::TokenOnly,
        ..notification()
    };
    assert_eq!(key(&microsoft()), Alert::from_call(call(&microsoft()), &later, &settings()).deduplication_key());
    assert_eq!(key(&microsoft()), key(&microsoft_with("/callerInfo/displayName", json!("Changed"))));
    assert_eq!(key(&microsoft()), key(&microsoft_with("/eventDateTime", json!("2024-01-01T12:00:00+02:00"))));
}

#[test]
fn another_event_is_not() {
    let other_tenant = Notification { tenant_id: "other".to_owned(), ..notification() };
    let keys = [
        key(&microsoft()),
        Alert::from_call(call(&microsoft()), &other_tenant, &settings()).deduplication_key(),
        key(&microsoft_with("/id", json!("44444444"))),
        key(&microsoft_with("/callEventType", json!("callEnded"))),
        key(&microsoft_with("/callEventType", Value::Null)),
        key(&microsoft_with("/eventDateTime", json!("2024-01-01T10:00:00.0000001+00:00"))),
        key(&microsoft_with("/eventDateTime", json!("yesterday"))),
        key(&microsoft_with("/eventDateTime", json!("today"))),
    ];
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "{keys:#?}");
}

#[test]
fn without_id_or_time_the_content_decides() {
    let no_time = |name: &str| {
        let mut document = microsoft_with("/eventDateTime", Value::Null);
        document["emergencyCallEvent"]["callerInfo"]["displayName"] = json!(name);
        document
    };
    assert_eq!(key(&no_time("a")), key(&no_time("a")));
    assert_ne!(key(&no_time("a")), key(&no_time("b")));

    let anonymous = Notification { call_id: None, ..notification() };
    let no_id = |name: &str| {
        let document = json!({"eventDateTime": "2024-01-01T10:00:00Z", "callerInfo": {"displayName": name}});
        Alert::from_call(call(&document), &anonymous, &settings()).deduplication_key()
    };
    assert_eq!(no_id("a"), no_id("a"));
    assert_ne!(no_id("a"), no_id("b"));
    let of_envelope = |id: &str| {
        let document = json!({"eventDateTime": "2024-01-01T10:00:00Z"});
        let notification = Notification { call_id: Some(id.to_owned()), ..notification() };
        Alert::from_call(call(&document), &notification, &settings()).deduplication_key()
    };
    assert_eq!(of_envelope("a"), of_envelope("b"), "the envelope's id is its sender's to choose");
}

#[test]
fn the_order_of_members_does_not_make_another_event() {
    let read = |text: &str| {
        let call = emergency_alert::EmergencyCall::from_resource(text.as_bytes()).unwrap();
        Alert::from_call(call, &notification(), &settings()).deduplication_key()
    };
    assert_eq!(read(r#"{"a": {"x": 1, "y": 2}, "b": 2}"#), read(r#"{"b": 2, "a": {"y": 2, "x": 1}}"#));
}

#[test]
fn values_cannot_imitate_each_other() {
    let named = |id: &str, kind: &str| {
        let mut document = microsoft_with("/id", json!(id));
        document["emergencyCallEvent"]["callEventType"] = json!(kind);
        key(&document)
    };
    assert_ne!(named("a\",\"b", "c"), named("a", "b\",\"c"));
}

#[test]
fn unreadable_notifications_differ_by_tenant_and_fingerprint() {
    let degraded = |fingerprint: &str, notification: &Notification| {
        Alert::degraded(DegradedReason::Undecryptable, fingerprint, notification, &settings()).deduplication_key()
    };
    let keys = [
        degraded("f", &notification()),
        degraded("g", &notification()),
        degraded("f", &Notification { tenant_id: "t".to_owned(), ..notification() }),
        key(&microsoft()),
    ];
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "{keys:#?}");
    let later = Notification { received_at: "2024-01-01T14:00:00Z".parse().unwrap(), ..notification() };
    assert_eq!(keys[0], degraded("f", &later));
    // The envelope is its sender's to choose.
    assert_eq!(keys[0], degraded("f", &Notification { policy_name: "p".to_owned(), ..notification() }));
    assert_eq!(keys[0], degraded("f", &Notification { call_id: None, ..notification() }));
}

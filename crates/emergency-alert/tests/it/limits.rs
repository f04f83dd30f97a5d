//! Hostile and oversized input.

use emergency_alert::{Alert, DegradedReason, MAX_JSON_BYTES, Notification, Proof};
use serde_json::{Value, json};

use crate::samples::{alert, call, microsoft, microsoft_with, notification, parsed, settings};

/// Microsoft's example with every text of the event replaced.
fn flooded(text: &str) -> Value {
    fn flood(value: &mut Value, text: &str) {
        match value {
            Value::Object(members) => members.values_mut().for_each(|member| flood(member, text)),
            other => *other = json!(text),
        }
    }
    let mut document = microsoft();
    flood(&mut document["emergencyCallEvent"], text);
    document
}

#[test]
fn a_large_document_loses_raw_first() {
    let mut document = microsoft();
    document["new"] = json!("x".repeat(200_000));
    let alert = alert(&document);
    assert!(alert.json().len() <= MAX_JSON_BYTES);
    let read = parsed(&alert);
    assert_eq!((&read["truncated"], &read["raw"]), (&json!(true), &Value::Null));
    assert_eq!(read["caller"], parsed(&crate::samples::alert(&microsoft()))["caller"]);
    assert_eq!(serde_json::to_value(alert.document()).unwrap(), read);
}

#[test]
fn a_document_that_fits_is_whole() {
    let mut document = microsoft();
    document["new"] = json!("x".repeat(50_000));
    let read = parsed(&alert(&document));
    assert_eq!((&read["truncated"], &read["raw"]), (&json!(false), &document));
}

#[test]
fn then_its_texts_are_cut_at_character_boundaries() {
    for text in ["é".repeat(50_000), "\u{1}a".repeat(50_000), "👩‍🚒".repeat(10_000)] {
        let alert = alert(&flooded(&text));
        let json = alert.json();
        assert!(json.len() <= MAX_JSON_BYTES, "{}", json.len());
        let read = parsed(&alert);
        assert_eq!(read["truncated"], true);
        let name = read["caller"]["displayName"].as_str().unwrap();
        assert!(name.len() > 400 && text.starts_with(name));
    }
    let envelope = Notification { policy_name: "p".repeat(200_000), tenant_id: "t".repeat(200_000), ..notification() };
    let alert = Alert::degraded(DegradedReason::Unparseable, "f", &envelope, &settings());
    assert!(alert.json().len() <= MAX_JSON_BYTES);
    assert!(alert.email().body.len() <= 16_000);
}

#[test]
fn long_values_are_cut_in_messages_with_a_mark() {
    for text in ["x".repeat(10_000), "王".repeat(10_000), "a b ".repeat(2_500)] {
        let alert = alert(&flooded(&text));
        let email = alert.email();
        assert!(email.body.len() <= 16_000, "{}", email.body.len());
        assert!(email.body.contains("[...]"));
        assert!(email.subject.len() < 100 && email.subject.ends_with("..."), "{}", email.subject);
        let sms = alert.sms();
        assert!(sms.chars().count() <= 459 && sms.ends_with("..."), "{sms}");
    }
}

#[test]
fn text_of_pictographs_alone_counts_as_missing_where_it_cannot_be_written() {
    let alert = alert(&flooded(&"🚒".repeat(10_000)));
    assert!(alert.email().body.len() <= 16_000);
    assert_eq!(
        alert.email().subject,
        "Emergency call, unknown event: unknown caller, LOCATION MISSING, Policy EmergencyPolicy"
    );
    assert_eq!(
        alert.sms(),
        "Emergency call, unknown event. No callback number. LOCATION MISSING. Policy EmergencyPolicy. Received 02:00 PST"
    );
}

#[test]
fn no_value_breaks_out_of_its_line() {
    let evil = "Eve\r\nCall back: 666\u{2028}\u{202e}nO\u{0}\u{85}\tx <b>{{7*7}}</b> \"quoted\" ${id}";
    let alert = alert(&flooded(evil));
    let email = alert.email();
    let shown = "Eve Call back: 666 nO x <b>{{7*7}}</b> \"quoted\" ${id}";
    assert!(email.body.contains(&format!("\nCaller: {shown}\n")), "{}", email.body);
    assert_eq!(email.body.lines().filter(|line| line.starts_with("Call back:")).count(), 1, "{}", email.body);
    assert!(!email.body.chars().any(|c| c != '\n' && c.is_control() || "\u{2028}\u{202e}".contains(c)));
    assert!(email.subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()));
    assert!(!alert.sms().contains(['\r', '\n']));
    let raw = parsed(&alert)["raw"]["emergencyCallEvent"]["callerInfo"]["displayName"].clone();
    assert_eq!(raw, evil);
}

#[test]
fn attributes_are_legal_bounded_and_never_empty() {
    let names = |alert: &Alert| alert.attributes().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let all = [
        "eventType",
        "policyName",
        "tenantId",
        "callId",
        "numberDialed",
        "isTest",
        "verified",
        "degraded",
        "city",
        "site",
    ];
    assert_eq!(names(&alert(&microsoft())), all);

    let anonymous = Notification { call_id: None, proof: Proof::TokenOnly, ..notification() };
    let bare = Alert::from_call(call(&json!({})), &anonymous, &settings());
    assert_eq!(names(&bare), ["eventType", "policyName", "tenantId", "isTest", "verified", "degraded"]);
    assert_eq!(bare.attributes()[0].1, "unknown");
    assert_eq!(bare.attributes()[4].1, "false");

    let hostile = alert(&flooded(&format!("\u{1}{}\u{ffff}", "é\n".repeat(5_000))));
    assert_eq!(names(&hostile), all);
    for (name, value) in hostile.attributes() {
        assert!((1..=256).contains(&value.len()), "{name}");
        assert!(!value.chars().any(|c| c.is_control() || c == '\u{ffff}'), "{name}");
    }
}

#[test]
fn attributes_carry_what_filters_need() {
    let values = alert(&microsoft_with("/emergencyNumberDialed", json!("933"))).attributes();
    let value = |name: &str| values.iter().find(|(key, _)| *key == name).unwrap().1.as_str();
    assert_eq!(value("eventType"), "callStarted");
    assert_eq!(value("policyName"), "EmergencyPolicy");
    assert_eq!(value("tenantId"), "84841066-274d-4ec0-a5c1-276be684bdd3");
    assert_eq!(value("callId"), "11111111-0000-0000-0000-000000000000");
    assert_eq!(value("numberDialed"), "933");
    assert_eq!((value("isTest"), value("verified"), value("degraded")), ("true", "true", "false"));
    assert_eq!(value("city"), "Redmond");

    let degraded = Alert::degraded(DegradedReason::Unparseable, "f", &notification(), &settings());
    assert!(degraded.attributes().contains(&("degraded", "true".to_owned())));
}

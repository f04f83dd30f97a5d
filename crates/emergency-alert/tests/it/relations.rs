//! What an alert says of what was told before, and how unverified and verified alerts keep apart.

use std::collections::HashSet;

use emergency_alert::{
    Action, Alert, Contradiction, DegradedReason, End, Notification, Proof, Relation, Severity, Start,
};
use serde_json::{Value, json};

use crate::samples::{alert, call, microsoft, microsoft_with, notification, parsed, settings};

fn with_proof(document: &Value, proof: Proof) -> Alert {
    Alert::from_call(call(document), &Notification { proof, ..notification() }, &settings())
}

/// All that people read, each text by itself.
fn texts(alert: &Alert) -> [String; 6] {
    let (email, document) = (alert.email(), alert.document());
    [
        email.subject,
        email.body,
        alert.sms(),
        document.chat.title.clone(),
        document.chat.description.clone(),
        document.incident.summary.clone(),
    ]
}

#[test]
fn the_missing_proof_is_told_in_small_print() {
    for (proof, member, sentence) in [
        (Proof::TokenOnly, json!("clientState"), "The client state is missing or unknown."),
        (Proof::ClientStateOnly, json!("validationToken"), "The validation token is missing or could not be checked."),
    ] {
        let alert = with_proof(&microsoft(), proof);
        assert!(!alert.is_verified());
        let document = parsed(&alert);
        assert_eq!((&document["verified"], &document["missingProof"]), (&json!(false), &member));
        assert!(alert.email().body.ends_with(&format!("\n{sentence}\n")), "{}", alert.email().body);
    }
    let both = alert(&microsoft());
    assert!(both.is_verified());
    assert_eq!(parsed(&both)["missingProof"], Value::Null);
}

#[test]
fn contradictions_stand_at_the_end_of_the_email_and_in_the_document_only() {
    let contradictions =
        vec![Contradiction::Tenant("Another\nTenant".to_owned()), Contradiction::Policy("Warehouse".to_owned())];
    let alert = Alert::from_call(call(&microsoft()), &Notification { contradictions, ..notification() }, &settings());
    assert_eq!(
        parsed(&alert)["contradictions"],
        json!([{"what": "tenant", "stated": "Another Tenant"}, {"what": "policy", "stated": "Warehouse"}])
    );
    let [subject, body, rest @ ..] = texts(&alert);
    assert!(body.ends_with(
        "\nThe notification states another tenant: Another Tenant\nThe notification states another policy: Warehouse\n"
    ));
    for text in rest.iter().chain([&subject]) {
        assert!(!text.contains("Warehouse") && !text.contains("Another Tenant"), "{text}");
    }
    assert_eq!(parsed(&alert)["policyName"], "EmergencyPolicy");
}

#[test]
fn contradictions_are_few_and_short() {
    let contradictions = (0..100).map(|_| Contradiction::Policy("é\u{202e}".repeat(5_000))).collect();
    let notification = Notification { contradictions, ..notification() };
    let told = Alert::from_call(call(&microsoft()), &notification, &settings()).facts().contradictions.clone();
    assert!((1..=4).contains(&told.len()), "{told:?}");
    let empty = Notification { contradictions: vec![Contradiction::Tenant("\u{202e}".to_owned())], ..notification };
    assert!(Alert::from_call(call(&microsoft()), &empty, &settings()).facts().contradictions.is_empty());
}

#[test]
fn what_is_not_verified_is_to_be_confirmed_by_another_number() {
    let real = texts(&with_proof(&microsoft(), Proof::TokenOnly));
    let [subject, body, sms, title, description, summary] = &real;
    for text in [body, description] {
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("Treat the call as real, and confirm it by a number that you already have"), "{text}");
    }
    for text in [sms, summary] {
        assert!(text.contains("Treat as real; confirm by a number you already have"), "{text}");
    }
    assert!(subject.starts_with("[NOT VERIFIED] ") && title.starts_with("[NOT VERIFIED] "));
    let verified = texts(&alert(&microsoft()));
    let test = texts(&with_proof(&microsoft_with("/emergencyNumberDialed", json!("933")), Proof::TokenOnly));
    for text in verified.iter().chain(&test) {
        assert!(!text.to_lowercase().contains("confirm"), "{text}");
    }
}

#[test]
fn now_verified_is_said_first_in_every_text_and_with_what_differs() {
    for (other_place, other_caller, tag) in [
        (false, false, ""),
        (true, false, "LOCATION DIFFERS"),
        (false, true, "CALLER DIFFERS"),
        (true, true, "LOCATION AND CALLER DIFFER"),
    ] {
        let mut alert = alert(&microsoft());
        alert.set_relation(Relation::NowVerified { other_place, other_caller });
        for text in texts(&alert) {
            let start: String = text.trim_start_matches("- ").chars().filter(|c| !"[]".contains(*c)).collect();
            assert!(start.starts_with("NOW VERIFIED"), "{text}");
            assert_eq!(text.contains("DIFFER"), !tag.is_empty(), "{text}");
            assert!(text.contains(tag), "{text}");
        }
        let document = parsed(&alert);
        assert_eq!(document["relation"], "nowVerified");
        assert_eq!((&document["newPlace"], &document["newCaller"]), (&json!(other_place), &json!(other_caller)));
        assert_eq!(document["incident"]["action"], "trigger");
    }
}

#[test]
fn an_update_says_what_is_new_and_belongs_to_the_same_incident() {
    let first = alert(&microsoft());
    for (place, caller, mark) in [
        (true, false, "UPDATED LOCATION"),
        (false, true, "UPDATED CALLER"),
        (true, true, "UPDATED LOCATION AND CALLER"),
    ] {
        let mut update = alert(&microsoft_with("/callerInfo/location/address/street", json!("Harbor Street")));
        update.set_relation(Relation::Updated { place, caller });
        let [subject, body, sms, title, description, summary] = texts(&update);
        for text in [subject, body.clone(), title, description, summary] {
            assert!(text.trim_start_matches("- ").starts_with(&format!("[{mark}] ")), "{text}");
        }
        assert!(sms.starts_with(&format!("{mark}: 911 call")), "{sms}");
        assert!(body.contains(&format!("\n{mark}: ")), "{body}");
        let (incident, of_first) = (&update.incident(), &first.incident());
        assert_eq!((&incident.key, incident.action), (&of_first.key, Action::Trigger));
        assert_eq!(incident.severity, Severity::Critical);
        let document = parsed(&update);
        assert_eq!(document["relation"], "updated");
        assert_eq!((&document["newPlace"], &document["newCaller"]), (&json!(place), &json!(caller)));
    }
}

#[test]
fn an_unverified_report_of_another_place_says_that_what_was_verified_stays() {
    let mut report = with_proof(&microsoft(), Proof::TokenOnly);
    report.set_relation(Relation::OtherReport);
    let [subject, body, sms, title, description, summary] = texts(&report);
    for text in [&subject, &body, &title, &description, &summary] {
        let text = text.trim_start_matches("- ");
        assert!(text.starts_with("[NOT VERIFIED] [OTHER PLACE OR CALLER, VERIFIED ONE STAYS] "), "{text}");
    }
    assert!(sms.starts_with("UNVERIFIED, OTHER PLACE OR CALLER, VERIFIED ONE STAYS: "), "{sms}");
    assert!(description.contains("NOT VERIFIED: a report names another place or another caller; the verified place"));
    assert_eq!(parsed(&report)["relation"], "otherReport");
}

/// A mark that is not true would be worse than none.
#[test]
fn no_alert_takes_a_relation_that_it_cannot_be_in() {
    for (proof, relation) in [
        (Proof::TokenOnly, Relation::NowVerified { other_place: true, other_caller: true }),
        (Proof::ClientStateOnly, Relation::Updated { place: true, caller: true }),
        (Proof::Both, Relation::OtherReport),
        (Proof::Both, Relation::Updated { place: false, caller: false }),
    ] {
        let (plain, mut alert) = (with_proof(&microsoft(), proof), with_proof(&microsoft(), proof));
        alert.set_relation(relation);
        assert_eq!(texts(&alert), texts(&plain), "{relation:?}");
        assert_eq!(parsed(&alert)["relation"], "first");
    }
}

#[test]
fn a_start_after_its_end_says_so_and_when_and_leaves_no_incident_open() {
    let plain = alert(&microsoft());
    let mut late = alert(&microsoft());
    late.set_end(End { at: "2024-01-01T10:02:30Z".parse().unwrap() });
    for text in texts(&late) {
        assert!(text.contains("already ended") && text.contains("at"), "{text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains("at 02:02 PST"), "{text}");
    }
    let (document, incident) = (parsed(&late), &late.incident());
    assert_eq!(document["endedAt"], "2024-01-01T10:02:30Z");
    assert_eq!((incident.action, incident.severity), (Action::Resolve, Severity::Info));
    assert_eq!(incident.key, plain.incident().key);
    assert_eq!(document["eventType"], "callStarted");
}

#[test]
fn an_end_before_its_start_is_told_without_its_time() {
    let mut late = alert(&microsoft());
    late.set_end(End { at: "2024-01-01T09:59:59Z".parse().unwrap() });
    for text in texts(&late) {
        assert!(text.contains("already ended") && !text.contains("already ended at"), "{text}");
    }
    assert_eq!(parsed(&late)["endedAt"], Value::Null);
    assert_eq!(late.incident().action, Action::Resolve);
}

#[test]
fn an_end_of_another_day_is_told_with_its_date() {
    let later = Notification { received_at: "2024-01-03T10:00:00Z".parse().unwrap(), ..notification() };
    let mut late = Alert::from_call(call(&microsoft()), &later, &settings());
    late.set_end(End { at: "2024-01-01T10:02:30Z".parse().unwrap() });
    assert!(late.sms().contains("already ended at 2024-01-01 02:02 PST"), "{}", late.sms());
}

#[test]
fn no_other_event_has_an_end() {
    let end = End { at: "2024-01-01T10:02:30Z".parse().unwrap() };
    for kind in ["callEnded", "rosterUpdated"] {
        let document = microsoft_with("/callEventType", json!(kind));
        let (plain, mut alert) = (alert(&document), alert(&document));
        alert.set_end(end);
        assert_eq!(texts(&alert), texts(&plain));
        assert_eq!(parsed(&alert)["endedAt"], Value::Null);
    }
    assert_eq!(alert(&microsoft()).end(), None);
    let ended = alert(&microsoft_with("/callEventType", json!("callEnded")));
    assert_eq!(ended.end(), Some(End { at: "2024-01-01T10:00:00Z".parse().unwrap() }));
    let mut untimed = microsoft_with("/callEventType", json!("callEnded"));
    untimed["emergencyCallEvent"]["eventDateTime"] = Value::Null;
    assert_eq!(alert(&untimed).end(), None);
}

#[test]
fn verified_and_unverified_events_share_no_incident_and_no_call() {
    let ids = ["11111111", "unverified 11111111", "unverified", "a\"b", "", "unverified a'b", "UNVERIFIED 11111111"];
    let keys = |proof: Proof| -> HashSet<String> {
        ids.iter().map(|id| with_proof(&microsoft_with("/id", json!(id)), proof).incident().key.clone()).collect()
    };
    let (verified, unverified) = (keys(Proof::Both), keys(Proof::TokenOnly));
    assert_eq!((verified.len(), unverified.len()), (ids.len(), ids.len()));
    assert!(verified.is_disjoint(&unverified), "{verified:?} {unverified:?}");
    assert!(unverified.iter().all(|key| key.starts_with("unverified ")));
    assert!(!verified.iter().any(|key| key.starts_with("unverified ")));

    let (verified, unverified) = (alert(&microsoft()), with_proof(&microsoft(), Proof::TokenOnly));
    assert_ne!(verified.call_key(), unverified.call_key());
    assert_eq!(verified.deduplication_key(), unverified.deduplication_key(), "it is the same event");
    assert_eq!(unverified.call_key(), with_proof(&microsoft(), Proof::ClientStateOnly).call_key());
    let end = with_proof(&microsoft_with("/callEventType", json!("callEnded")), Proof::TokenOnly);
    assert_eq!(end.call_key(), unverified.call_key());
    assert_eq!(end.incident().key, unverified.incident().key);
    let anonymous = |proof| {
        let notification = Notification { call_id: None, proof, ..notification() };
        Alert::from_call(call(&json!({})), &notification, &settings()).incident().key.clone()
    };
    assert_ne!(anonymous(Proof::Both), anonymous(Proof::TokenOnly));
}

#[test]
fn place_and_caller_are_told_apart_by_what_is_told_of_them() {
    let first = alert(&microsoft());
    let other = |pointer: &str, value: Value| {
        let other = alert(&microsoft_with(pointer, value));
        (other.place_key() != first.place_key(), other.caller_key() != first.caller_key())
    };
    for (pointer, value, differs) in [
        ("/callerInfo/displayName", json!("Eve"), (false, true)),
        ("/callerInfo/upn", Value::Null, (false, true)),
        ("/callerInfo/phoneNumber", json!("1"), (false, true)),
        ("/callerInfo/displayName", json!(" Adele\u{200b} Vance "), (false, false)),
        ("/callerInfo/location", Value::Null, (true, false)),
        ("/callerInfo/location/address/street", json!("Harbor Street"), (true, false)),
        ("/callerInfo/location/address/additionalData/additionalInfo", json!("701"), (true, false)),
        ("/callerInfo/location/coordinates/latitude", json!(47.6397), (true, false)),
        ("/callerInfo/location/coordinates/latitude", json!(47.639_600_000_1), (false, false)),
        ("/callerInfo/location/coordinates/latitude", json!("47,6396"), (false, false)),
        ("/eventDateTime", json!("2024-01-01T11:00:00Z"), (false, false)),
    ] {
        assert_eq!(other(pointer, value.clone()), differs, "{pointer} {value}");
    }
    assert_ne!(first.place_key(), first.caller_key());
    let later = Notification {
        received_at: "2024-01-02T10:00:00Z".parse().unwrap(),
        proof: Proof::TokenOnly,
        ..notification()
    };
    let later = Alert::from_call(call(&microsoft()), &later, &settings());
    assert_eq!((later.place_key(), later.caller_key()), (first.place_key(), first.caller_key()));
}

#[test]
fn what_could_not_be_read_tells_no_place_and_no_caller() {
    let degraded = |reason, fingerprint| {
        let alert = Alert::degraded(reason, fingerprint, &notification(), &settings());
        (alert.place_key(), alert.caller_key())
    };
    let [first, second] =
        [degraded(DegradedReason::Unparseable, "f"), degraded(DegradedReason::NoEncryptedContent, "g")];
    assert_eq!(first, second);
    let nothing = alert(&json!({}));
    assert_eq!(first, (nothing.place_key(), nothing.caller_key()));
}

#[test]
fn relation_start_and_end_keep_each_other() {
    let mut ended = alert(&microsoft_with("/callEventType", json!("callEnded")));
    ended.set_relation(Relation::Updated { place: true, caller: false });
    ended.set_start(Start { at: "2024-01-01T09:58:30Z".parse().unwrap(), is_test: false });
    assert!(ended.email().subject.starts_with("[UPDATED LOCATION] 911 call ended after 1 min 30 s"));
    let mut late = alert(&microsoft());
    late.set_end(End { at: "2024-01-01T10:02:30Z".parse().unwrap() });
    late.set_relation(Relation::NowVerified { other_place: false, other_caller: false });
    assert!(late.email().subject.starts_with("[NOW VERIFIED] 911 call, already ended at 02:02 PST"));
    assert_eq!(late.incident().action, Action::Resolve);
}

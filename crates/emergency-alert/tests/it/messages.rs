//! What people read. Each snapshot is one kind of alert as its reader gets it.

use emergency_alert::{Alert, DegradedReason, Notification, Proof, Settings};
use serde_json::{Value, json};

use crate::samples::{alert, call, caller, flat, microsoft, microsoft_with, notification, settings};

/// Email and SMS as they arrive.
fn messages(alert: &Alert) -> String {
    let (email, sms) = (alert.email(), alert.sms());
    format!("Subject: {}\n\n{}\n--- SMS, {} characters ---\n{sms}", email.subject, email.body, sms.chars().count())
}

#[test]
fn a_911_call() {
    insta::assert_snapshot!(messages(&alert(&microsoft())));
}

#[test]
fn a_933_test_call() {
    insta::assert_snapshot!(messages(&alert(&microsoft_with("/emergencyNumberDialed", json!("933")))));
}

#[test]
fn a_call_without_location() {
    insta::assert_snapshot!(messages(&alert(&microsoft_with("/callerInfo/location", Value::Null))));
}

#[test]
fn a_call_with_coordinates_only() {
    insta::assert_snapshot!(messages(&alert(&microsoft_with("/callerInfo/location/address", Value::Null))));
}

#[test]
fn a_call_about_which_nothing_is_known() {
    let anonymous = Notification { call_id: None, ..notification() };
    let alert = Alert::from_call(call(&caller(&json!({}))), &anonymous, &settings());
    insta::assert_snapshot!(messages(&alert));
}

#[test]
fn a_degraded_alert() {
    let alert = Alert::degraded(DegradedReason::Undecryptable, "f", &notification(), &settings());
    insta::assert_snapshot!(messages(&alert));
}

#[test]
fn an_unverified_and_late_test_call() {
    let late = Notification {
        proof: Proof::TokenOnly,
        received_at: "2024-01-01T11:02:05Z".parse().unwrap(),
        ..notification()
    };
    let document = microsoft_with("/emergencyNumberDialed", json!("933"));
    insta::assert_snapshot!(messages(&Alert::from_call(call(&document), &late, &settings())));
}

#[test]
fn only_a_test_that_is_not_verified_asks_nobody_to_act() {
    let unverified = Notification { proof: Proof::TokenOnly, ..notification() };
    for (number, asks) in [("911", true), ("933", false)] {
        let document = microsoft_with("/emergencyNumberDialed", json!(number));
        let body = Alert::from_call(call(&document), &unverified, &settings()).email().body;
        assert!(body.contains("NOT VERIFIED: "), "{body}");
        assert_eq!(body.contains("Treat the call as real"), asks, "{body}");
    }
    let degraded = Alert::degraded(DegradedReason::Undecryptable, "f", &unverified, &settings());
    assert!(degraded.email().body.contains("Treat the call as real"));
}

#[test]
fn a_call_that_arrives_days_late() {
    let late = Notification { received_at: "2024-01-04T10:00:00Z".parse().unwrap(), ..notification() };
    insta::assert_snapshot!(messages(&Alert::from_call(call(&microsoft()), &late, &settings())));
}

#[test]
fn a_text_message_has_the_date_from_24_hours_on() {
    for (received, time) in [
        ("2024-01-02T09:59:59Z", "At 02:00 PST"),
        ("2024-01-02T10:00:00Z", "At 2024-01-01 02:00 PST"),
        ("2023-12-31T10:00:00Z", "At 2024-01-01 02:00 PST"),
    ] {
        let late = Notification { received_at: received.parse().unwrap(), proof: Proof::TokenOnly, ..notification() };
        let document = microsoft_with("/emergencyNumberDialed", json!("933"));
        let sms = Alert::from_call(call(&document), &late, &settings()).sms();
        assert!(sms.contains(time), "{received}: {sms}");
        assert!(sms.chars().count() <= 160, "{sms}");
    }
}

#[test]
fn a_text_message_never_shows_the_time_of_receipt_as_that_of_the_call() {
    let untimed = microsoft_with("/eventDateTime", Value::Null);
    let degraded = Alert::degraded(DegradedReason::Undecryptable, "f", &notification(), &settings());
    for alert in [alert(&untimed), degraded] {
        let sms = alert.sms();
        assert!(sms.ends_with(". Received 02:00 PST") && !sms.contains("At "), "{sms}");
    }
    assert!(!alert(&microsoft()).sms().contains("Received"));
}

#[test]
fn the_policy_stands_in_for_a_location_only() {
    let country = json!({"countryOrRegion": "United States"});
    for location in [Value::Null, json!({}), json!({"address": country}), json!({"displayName": "🏢"})] {
        let alert = alert(&microsoft_with("/callerInfo/location", location));
        let (email, sms) = (alert.email(), alert.sms());
        assert!(email.subject.ends_with(", LOCATION MISSING, Policy EmergencyPolicy"), "{}", email.subject);
        assert!(sms.contains(". LOCATION MISSING. Policy EmergencyPolicy. "), "{sms}");
    }
    let whole = alert(&microsoft());
    assert!(!whole.email().subject.contains("Policy") && !whole.sms().contains("Policy"));
}

#[test]
fn an_ended_call() {
    insta::assert_snapshot!(messages(&alert(&microsoft_with("/callEventType", json!("callEnded")))));
}

#[test]
fn an_event_of_unknown_type() {
    insta::assert_snapshot!(messages(&alert(&microsoft_with("/callEventType", json!("rosterUpdated")))));
}

#[test]
fn a_call_in_another_script() {
    let mut document = flat();
    document["callerInfo"]["displayName"] = json!("王小明 \u{202e}🚒");
    let later = Notification { received_at: "2024-07-01T10:00:05Z".parse().unwrap(), ..notification() };
    let berlin = Settings::parse("933", "Europe/Berlin", "en", "").unwrap();
    insta::assert_snapshot!(messages(&Alert::from_call(call(&document), &later, &berlin)));
}

#[test]
fn lateness_begins_after_a_minute() {
    for (received, late) in [("2024-01-01T10:01:00Z", false), ("2024-01-01T10:01:01Z", true)] {
        let at = Notification { received_at: received.parse().unwrap(), ..notification() };
        let alert = Alert::from_call(call(&microsoft()), &at, &settings());
        let (email, sms) = (alert.email(), alert.sms());
        assert_eq!(email.subject.starts_with("[LATE] "), late);
        assert_eq!(email.body.contains("LATE: this happened 1 minute 1 second before"), late);
        assert_eq!(sms.starts_with("LATE 1 min: "), late);
    }
}

#[test]
fn every_reason_for_missing_details_is_explained() {
    for (reason, words) in [
        (DegradedReason::NoEncryptedContent, "carried none"),
        (DegradedReason::Undecryptable, "could not be decrypted"),
        (DegradedReason::Unparseable, "not in the expected form"),
    ] {
        let body = Alert::degraded(reason, "f", &notification(), &settings()).email().body;
        assert!(body.contains(words), "{body}");
    }
}

#[test]
fn body_lines_fit_72_columns() {
    let address = json!({"street": "long words in the name of a street ".repeat(8)});
    for document in [microsoft(), flat(), microsoft_with("/callerInfo/location/address", address)] {
        for line in alert(&document).email().body.lines() {
            assert!(textwrap::core::display_width(line) <= 72, "{line}");
        }
    }
}

#[test]
fn a_text_message_keeps_to_one_part_by_leaving_out_what_does_not_fit() {
    let company = "Contoso Manufacturing, Research, Development and Trading Limited";
    let sms = alert(&microsoft_with("/callerInfo/location/address/additionalData/companyName", json!(company))).sms();
    assert_eq!(
        sms,
        "911 call. Call back 14255550100. 725 Microsoft Way NE, Floor/room 700. Adele Vance. Redmond, WA 98052. \
         At 02:00 PST"
    );
}

#[test]
fn a_text_message_grows_only_for_what_must_be_there() {
    let unit = "Tower B, floor 12, room 1204, behind the second fire door on the left hand side of the goods lift, ask at desk";
    let alert = alert(&microsoft_with("/callerInfo/location/address/additionalData/additionalInfo", json!(unit)));
    let sms = alert.sms();
    assert!(sms.contains(unit), "{sms}");
    assert!((161..=306).contains(&sms.chars().count()), "{sms}");
    assert!(sms.contains("Adele Vance") && sms.contains("Redmond"), "{sms}");
}

#[test]
fn a_number_of_forty_characters_is_never_cut() {
    let number = "+1 (425) 555-0100 ext 12345678901234567";
    let document = caller(&json!({"phoneNumber": number, "location": {"address": {"street": "s".repeat(5_000)}}}));
    let alert = alert(&document);
    assert!(alert.sms().contains(&format!("Call back {number}. ")), "{}", alert.sms());
    assert!(alert.email().body.contains(&format!("Call back: {number}\n")));
}

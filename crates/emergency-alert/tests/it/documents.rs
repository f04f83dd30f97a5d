//! Reading documents, and the alert document made of them.

use std::collections::HashSet;

use emergency_alert::{Alert, Audience, DegradedReason, EmergencyCall, Notification, Proof, Start, UnreadableCall};
use serde_json::{Value, json};

use crate::samples::{alert, call, caller, flat, microsoft, microsoft_with, notification, parsed, settings};

#[test]
fn microsofts_example_is_read_completely() {
    assert_eq!(
        parsed(&alert(&microsoft())),
        json!({
            "schemaVersion": "1.2",
            "callId": "11111111-0000-0000-0000-000000000000",
            "eventType": "callStarted",
            "isTest": false,
            "isDrill": false,
            "audience": "alert",
            "verified": true,
            "missingProof": null,
            "contradictions": [],
            "relation": "first",
            "newPlace": false,
            "newCaller": false,
            "degraded": false,
            "truncated": false,
            "policyName": "EmergencyPolicy",
            "tenantId": "84841066-274d-4ec0-a5c1-276be684bdd3",
            "numberDialed": "911",
            "occurredAt": "2024-01-01T10:00:00Z",
            "receivedAt": "2024-01-01T10:00:03.2Z",
            "ageSeconds": 3,
            "startedAt": null,
            "durationSeconds": null,
            "endedAt": null,
            "callbackNumber": "+14255550100",
            "mapUrl": "https://www.openstreetmap.org/?mlat=47.63960&mlon=-122.12810&zoom=18",
            "caller": {"displayName": "Adele Vance", "upn": "adele.vance@contoso.com", "phoneNumber": "14255550100"},
            "location": {
                "text": "Contoso Ltd, 725 Microsoft Way NE, Floor/room 700, Redmond, WA 98052, County: King, United States",
                "displayName": null,
                "companyName": "Contoso Ltd",
                "houseNumber": "725",
                "street": "Microsoft Way",
                "streetSuffix": "NE",
                "additionalInfo": "700",
                "city": "Redmond",
                "county": "King",
                "state": "WA",
                "postalCode": "98052",
                "countryOrRegion": "United States",
                "latitude": 47.6396,
                "longitude": -122.1281
            },
            "incident": {
                "action": "trigger",
                "key": "11111111-0000-0000-0000-000000000000",
                "severity": "critical",
                "summary": "911 call: Adele Vance, 725 Microsoft Way NE, Floor/room 700, Redmond, WA 98052, Contoso Ltd. Call back 14255550100"
            },
            "chat": {
                "textType": "client-markdown",
                "title": "911 call: Adele Vance, 725 Microsoft Way NE, Floor/room 700, Redmond, WA 98052, Contoso Ltd",
                "description": "- Somebody dialled 911 in Microsoft Teams.\n- Call back: 14255550100 (+1 425-555-0100)\n- Caller: Adele Vance\n\
                    - Account: adele.vance@contoso.com\n- Location: Contoso Ltd, 725 Microsoft Way NE, Floor/room 700, Redmond, WA 98052, \
                    County: King, United States\n- https://www.openstreetmap.org/?mlat=47.63960&mlon=-122.12810&zoom=18\n\
                    - Time: Monday, January 1, 2024, 02:00:00 PST\n- Policy: EmergencyPolicy\n\
                    - Call ID: 11111111-0000-0000-0000-000000000000"
            },
            "language": "en",
            "raw": microsoft()
        })
    );
}

#[test]
fn a_flat_document_is_read_completely() {
    let document = parsed(&alert(&flat()));
    assert_eq!(document["callId"], "22222222-0000-0000-0000-000000000000");
    assert_eq!(document["numberDialed"], "112");
    assert_eq!(document["occurredAt"], "2024-07-01T10:00:00.1234567Z");
    assert_eq!(
        document["location"],
        json!({
            "text": "Contoso GmbH, Haus Süd, Straße des 17. Juni 135, 3. Stock, Raum 301, 10623 Berlin, Deutschland",
            "displayName": "Haus Süd",
            "companyName": "Contoso GmbH",
            "houseNumber": "135",
            "street": "Straße des 17. Juni",
            "streetSuffix": null,
            "additionalInfo": "3. Stock, Raum 301",
            "city": "Berlin",
            "county": null,
            "state": null,
            "postalCode": "10623",
            "countryOrRegion": "Deutschland",
            "latitude": 52.5122,
            "longitude": 13.3271
        })
    );
    assert_eq!(document["raw"], flat());
}

#[test]
fn what_the_inner_event_lacks_is_taken_from_the_wrapper() {
    let read = call(&json!({"id": "outer", "callEventType": "callEnded", "emergencyCallEvent": {"policyName": "P"}}));
    assert_eq!(read.call_id.as_deref(), Some("outer"));
    assert_eq!(read.event_type.as_deref(), Some("callEnded"));
    assert_eq!(read.policy_name.as_deref(), Some("P"));
    let both = call(&json!({"id": "outer", "emergencyCallEvent": {"id": "inner"}}));
    assert_eq!(both.call_id.as_deref(), Some("inner"));
}

#[test]
fn the_envelopes_id_serves_where_the_document_has_none() {
    assert_eq!(parsed(&alert(&json!({})))["callId"], "33333333-0000-0000-0000-000000000000");
}

#[test]
fn nothing_or_nonsense_in_every_member_is_null_and_the_raw_document_is_kept() {
    let nonsense = json!({"emergencyCallEvent": {
        "id": {}, "callEventType": [], "eventDateTime": "soon", "emergencyNumberDialed": false,
        "callerInfo": {"displayName": 1.5, "upn": null, "phoneNumber": "", "location": {
            "address": {"street": ["x"], "additionalData": "none"}, "coordinates": {"latitude": "far", "longitude": 181}
        }}
    }});
    let no_id = Notification { call_id: None, ..notification() };
    for document in [nonsense, json!({}), json!({"emergencyCallEvent": "x", "callerInfo": 7})] {
        let mut read = parsed(&Alert::from_call(call(&document), &no_id, &settings()));
        assert_eq!(read["raw"].take(), document);
        for pointer in ["/callId", "/eventType", "/numberDialed", "/occurredAt", "/ageSeconds"] {
            assert_eq!(read.pointer(pointer), Some(&Value::Null), "{pointer}");
        }
        for member in read["caller"].as_object().unwrap().values().chain(read["location"].as_object().unwrap().values())
        {
            assert_eq!(member, &Value::Null);
        }
        assert_eq!(read["isTest"], false);
    }
}

#[test]
fn absurd_coordinates_are_no_coordinates() {
    let document = microsoft_with("/callerInfo/location/coordinates", json!({"latitude": "147.6", "longitude": 1e9}));
    let read = parsed(&alert(&document));
    assert_eq!((&read["location"]["latitude"], &read["location"]["longitude"]), (&Value::Null, &Value::Null));
}

#[test]
fn only_what_is_no_json_object_is_unreadable() {
    for document in ["", "null", "[]", "7", "\"{}\"", "{", "{x}", "{} {}"] {
        assert_eq!(EmergencyCall::from_resource(document.as_bytes()), Err(UnreadableCall), "{document}");
    }
    assert!(EmergencyCall::from_resource(b"\xef\xbb\xbf {} \n").is_ok());
}

#[test]
fn bytes_that_are_no_utf8_cost_their_character_only() {
    let read = EmergencyCall::from_resource(b"{\"callerInfo\": {\"displayName\": \"Zo\xeb\", \"phoneNumber\": \"1\"}}")
        .unwrap();
    assert_eq!(read.caller.display_name.as_deref(), Some("Zo\u{fffd}"));
    assert_eq!(read.caller.phone_number.as_deref(), Some("1"));
}

#[test]
fn the_age_may_be_negative_and_the_envelopes_policy_wins() {
    let early = Notification {
        received_at: "2024-01-01T09:59:50Z".parse().unwrap(),
        policy_name: "Envelope".to_owned(),
        proof: Proof::TokenOnly,
        ..notification()
    };
    let read = parsed(&Alert::from_call(call(&microsoft()), &early, &settings()));
    assert_eq!(read["ageSeconds"], -10);
    assert_eq!(read["policyName"], "Envelope");
    assert_eq!(read["verified"], false);
}

#[test]
fn test_numbers_mark_and_nothing_else_does() {
    for (number, test) in [("933", true), ("tel:9-3-3", true), ("911", false), ("9339", false)] {
        let alert = alert(&microsoft_with("/emergencyNumberDialed", json!(number)));
        assert_eq!((alert.is_test(), &parsed(&alert)["isTest"]), (test, &json!(test)), "{number}");
    }
    assert!(!alert(&caller(&json!({"displayName": "933", "phoneNumber": "933"}))).is_test());
}

#[test]
fn a_dialled_number_passes_for_no_mark() {
    for number in ["TEST 911", "[TEST] 911", "UNVERIFIED 911", "911 [TEST]", "tel:TEST"] {
        let alert = alert(&microsoft_with("/emergencyNumberDialed", json!(number)));
        let document = parsed(&alert);
        let summary = document["incident"]["summary"].as_str().unwrap();
        for headline in [&alert.email().subject, &alert.sms(), summary] {
            assert!(headline.starts_with("Emergency call"), "{headline}");
        }
        assert_eq!(document["numberDialed"], number, "it is not lost");
        let shown = number.replace("tel:", "tel: ");
        assert!(alert.email().body.contains(&format!(": {shown}\n")), "{}", alert.email().body);
    }
    for (number, shown) in
        [("911", "911"), ("tel:911", "tel: 911"), ("TEL:9-1-1", "TEL: 9-1-1"), ("#31#911", "#31#911")]
    {
        let sms = alert(&microsoft_with("/emergencyNumberDialed", json!(number))).sms();
        assert!(sms.starts_with(&format!("{shown} call")), "{sms}");
    }
}

#[test]
fn the_number_decides_who_is_told() {
    for (number, audience) in [("933", Audience::Test), ("911", Audience::Alert), ("112", Audience::Alert)] {
        assert_eq!(alert(&microsoft_with("/emergencyNumberDialed", json!(number))).audience(), audience, "{number}");
    }
    let degraded = Alert::degraded(DegradedReason::Undecryptable, "f", &notification(), &settings());
    assert_eq!(degraded.audience(), Audience::Alert);
    for audience in [Audience::Test, Audience::Alert] {
        let drill = Alert::drill(audience, &notification(), &settings());
        assert_eq!((drill.audience(), drill.is_test()), (audience, true));
    }
}

#[test]
fn a_drill_has_the_place_that_it_was_given_and_no_other_in_its_attributes() {
    let place = |alert: &Alert| {
        let attributes = alert.attributes();
        let of = |name: &str| attributes.iter().find(|one| one.0 == name).map(|one| one.1.clone());
        (of("city"), of("site"))
    };
    let text = |text: &str| Some(text.to_owned());
    let mut drill = Alert::drill(Audience::Test, &notification(), &settings());
    assert_eq!(place(&drill), (None, None));
    let before = parsed(&drill)["location"].clone();
    drill.set_drill_place(Some("Zürich"), None);
    assert_eq!(place(&drill), (text("Zürich"), None));
    let location = parsed(&drill)["location"].clone();
    assert_eq!((&location["city"], &location["street"]), (&json!("Zürich"), &before["street"]));
    drill.set_drill_place(Some("Zürich"), Some("Bahnhofstrasse 1"));
    assert_eq!(place(&drill), (text("Zürich"), text("Bahnhofstrasse 1")));
    let location = parsed(&drill)["location"].clone();
    assert_eq!(location["street"], "Bahnhofstrasse 1");
    assert!(location["text"].as_str().unwrap().contains("Bahnhofstrasse 1"), "{location}");
    let email = drill.email();
    assert!(email.body.lines().filter(|line| line.contains("Bahnhofstrasse")).all(|line| line.contains("DRILL")));
    assert!(parsed(&drill).get("drillPlace").is_none());

    let mut call = alert(&microsoft());
    let as_called = place(&call);
    call.set_drill_place(Some("Zürich"), Some("Bahnhofstrasse 1"));
    assert_eq!(place(&call), as_called, "a call has its own");
}

#[test]
fn an_end_without_a_sensible_start_has_no_duration() {
    let ended = microsoft_with("/callEventType", json!("callEnded"));
    for (document, start, length) in [
        (&ended, "2024-01-01T09:58:30Z", Some(90)),
        (&ended, "2024-01-01T10:00:00Z", Some(0)),
        (&ended, "2024-01-01T10:00:01Z", None),
        (&microsoft(), "2024-01-01T09:58:30Z", None),
    ] {
        let mut alert = alert(document);
        alert.set_start(Start { at: start.parse().unwrap(), is_test: false });
        assert_eq!(alert.facts().duration_seconds, length, "{start}");
        assert_eq!(alert.facts().started_at.is_some(), length.is_some());
        assert_eq!(alert.email().subject.contains("ended after 1 min 30 s"), length == Some(90));
    }
}

#[test]
fn incidents_open_and_close_by_the_calls_id_and_are_urgent_only_where_somebody_may_need_help() {
    let of = |document: &Value| parsed(&alert(document))["incident"].clone();
    for (kind, number, action, severity) in [
        ("callStarted", "911", "trigger", "critical"),
        ("callStarted", "933", "trigger", "info"),
        ("callEnded", "911", "resolve", "info"),
        ("rosterUpdated", "911", "trigger", "critical"),
    ] {
        let mut document = microsoft_with("/callEventType", json!(kind));
        document["emergencyCallEvent"]["emergencyNumberDialed"] = json!(number);
        let incident = of(&document);
        assert_eq!((&incident["action"], &incident["severity"]), (&json!(action), &json!(severity)), "{kind}");
        assert_eq!(incident["key"], "11111111-0000-0000-0000-000000000000");
    }
    let hostile = of(&microsoft_with("/id", json!("a\"b\\c\n")));
    assert!(hostile["key"].as_str().unwrap().starts_with("a'b/c "), "{hostile}");
}

#[test]
fn different_calls_never_share_an_incident() {
    let of = |id: Value| parsed(&alert(&microsoft_with("/id", id)))["incident"]["key"].clone();
    let long = "x".repeat(300);
    let anonymous = Notification { call_id: None, ..notification() };
    let nameless = |fingerprint: &str| {
        let alert = Alert::degraded(DegradedReason::Undecryptable, fingerprint, &anonymous, &settings());
        json!(alert.incident().key)
    };
    let idless = |kind: &str| {
        let mut document = caller(&json!({}));
        document["emergencyCallEvent"]["callEventType"] = json!(kind);
        json!(Alert::from_call(call(&document), &anonymous, &settings()).incident().key)
    };
    let keys = [
        of(json!("a'b")),
        of(json!("a\"b")),
        of(json!("a/b")),
        of(json!("a\\b")),
        of(json!(format!("{long}1"))),
        of(json!(format!("{long}2"))),
        nameless("f"),
        nameless("g"),
        idless("callStarted"),
        idless("callEnded"),
    ];
    assert_eq!(keys.iter().collect::<HashSet<_>>().len(), keys.len(), "{keys:#?}");
    assert!(keys.iter().all(|key| (1..=255).contains(&key.as_str().unwrap().len())));
}

#[test]
fn the_end_of_a_test_is_a_test_even_if_it_does_not_say_the_number() {
    let end = |number: Value| {
        let mut document = microsoft_with("/callEventType", json!("callEnded"));
        document["emergencyCallEvent"]["emergencyNumberDialed"] = number;
        alert(&document)
    };
    for (number, started_as_test, audience) in [
        (Value::Null, true, Audience::Test),
        (Value::Null, false, Audience::Alert),
        (json!("911"), true, Audience::Alert),
        (json!("933"), false, Audience::Test),
    ] {
        let mut end = end(number.clone());
        end.set_start(Start { at: "2024-01-01T09:59:00Z".parse().unwrap(), is_test: started_as_test });
        assert_eq!(
            (end.audience(), end.is_test()),
            (audience, audience == Audience::Test),
            "{number} {started_as_test}"
        );
        let warned = end.email().body.contains("TEST: this call was made to a test number.");
        assert_eq!(warned, number.is_null() && started_as_test, "{}", end.email().body);
    }
    assert!(alert(&microsoft_with("/emergencyNumberDialed", json!("933"))).start().unwrap().is_test);
}

#[test]
fn coordinates_in_the_open_sea_are_no_place() {
    let nowhere = json!({"coordinates": {"latitude": 0, "longitude": "-0.0"}});
    let alert = alert(&microsoft_with("/callerInfo/location", nowhere));
    assert!(alert.sms().contains("LOCATION MISSING") && alert.facts().map_url.is_none(), "{}", alert.sms());
}

#[test]
fn a_degraded_document_says_what_the_envelope_says() {
    let alert = Alert::degraded(DegradedReason::Undecryptable, "f", &notification(), &settings());
    assert_eq!(alert.degraded_reason(), Some(DegradedReason::Undecryptable));
    assert!(!alert.is_test());
    let document = parsed(&alert);
    assert_eq!(document["degraded"], true);
    assert_eq!(document["callId"], "33333333-0000-0000-0000-000000000000");
    assert_eq!(document["policyName"], "EmergencyPolicy");
    assert_eq!(document["tenantId"], "84841066-274d-4ec0-a5c1-276be684bdd3");
    assert_eq!(document["receivedAt"], "2024-01-01T10:00:03.2Z");
    for member in ["eventType", "numberDialed", "occurredAt", "ageSeconds", "raw"] {
        assert_eq!(document[member], Value::Null, "{member}");
    }
}

#[test]
fn debug_output_shows_nothing_personal() {
    let call = call(&microsoft());
    let alert = alert(&microsoft());
    let document = alert.document();
    let parts = format!("{:?} {:?} {:?} {:?}", call.caller, call.location, document.incident, document.chat);
    let shown = format!("{call:?} {parts} {alert:?} {document:?}");
    for secret in ["Adele", "adele.vance", "14255550100", "Microsoft Way", "Contoso", "47.6", "Redmond"] {
        assert!(!shown.contains(secret), "{secret} in {shown}");
    }
}

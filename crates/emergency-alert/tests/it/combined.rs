//! Many unverified alerts in one message.

use emergency_alert::{
    Alert, COMBINED_SCHEMA, Combined, DegradedReason, Language, MAX_JSON_BYTES, Notification, Proof, Settings,
    sms_parts,
};
use jsonschema::{Registry, Resource, Validator};
use serde_json::{Value, json};

use crate::samples::{call, microsoft_with, notification, settings};

fn unverified(document: &Value, language: Language) -> Alert {
    let settings = Settings::parse("933", "America/Los_Angeles", language.tag(), "").unwrap();
    Alert::from_call(call(document), &Notification { proof: Proof::TokenOnly, ..notification() }, &settings)
}

/// A call from house number `index`, by a caller of that number.
fn numbered(index: usize, dialed: &str, language: Language) -> Alert {
    let mut document = microsoft_with("/emergencyNumberDialed", json!(dialed));
    let event = &mut document["emergencyCallEvent"];
    event["id"] = json!(format!("call-{index}"));
    event["callerInfo"]["displayName"] = json!(format!("Caller {index}"));
    event["callerInfo"]["phoneNumber"] = json!(format!("1425555{index:04}"));
    event["callerInfo"]["location"]["address"]["additionalData"]["houseNumber"] = json!(index.to_string());
    unverified(&document, language)
}

fn calls(count: usize, language: Language) -> Vec<Alert> {
    (1..=count).map(|index| numbered(index, if index == 2 { "933" } else { "911" }, language)).collect()
}

fn of(alerts: &[Alert]) -> Combined<'_> {
    Combined::new(&alerts.iter().collect::<Vec<_>>())
}

#[test]
fn a_combined_message() {
    for language in Language::ALL {
        let alerts = calls(3, language);
        let combined = of(&alerts);
        let (email, sms) = (combined.email(), combined.sms());
        let shown = format!(
            "Subject: {}\n\n{}\n--- SMS, {} part(s) ---\n{sms}\n--- attributes ---\n{:#?}",
            email.subject,
            email.body,
            sms_parts(&sms),
            combined.attributes()
        );
        insta::assert_snapshot!(format!("combined-{}", language.tag()), shown);
    }
}

#[test]
fn every_call_is_named_in_the_email_with_what_one_needs() {
    for count in [1, 2, 20, 40] {
        let alerts = calls(count, Language::English);
        let email = of(&alerts).email();
        assert!(email.body.starts_with("[NOT VERIFIED] "), "{}", email.body);
        for index in 1..=count {
            assert!(email.body.contains(&format!("\n{index}. ")), "{index} in {}", email.body);
            assert!(email.body.contains(&format!(" {index} Microsoft Way NE")), "{index} in {}", email.body);
            assert!(email.body.contains(&format!("Caller {index}")), "{index} in {}", email.body);
        }
        assert!(email.body.contains("\nCall back: 14255550001\n") && email.body.contains("\nDialled: 911\n"));
        assert!(email.body.contains("\nTime: Monday, January 1, 2024, 02:00:00 PST\n"));
    }
}

#[test]
fn the_text_message_counts_the_calls_and_names_the_first() {
    for (language, mark) in Language::ALL.into_iter().zip(["UNVERIFIED", "NO VERIFICADA", "NON VÉRIFIÉ", "未核实"])
    {
        for count in [2, 30, 300] {
            let sms = of(&calls(count, language)).sms();
            assert!(sms.starts_with(mark) && sms.contains(&count.to_string()), "{sms}");
            assert!(sms.contains("1)") && sms.contains("14255550001") && sms.contains("1 Microsoft Way NE"), "{sms}");
            assert!(sms_parts(&sms) <= 3, "{sms}");
        }
    }
    assert!(of(&calls(30, Language::English)).sms().ends_with("Treat as real; confirm by a number you already have"));
}

#[test]
fn only_tests_make_a_test() {
    let tests = [numbered(1, "933", Language::English), numbered(2, "933", Language::English)];
    let combined = of(&tests);
    assert!(combined.is_test() && combined.email().subject.starts_with("[TEST] [NOT VERIFIED] 2 emergency calls"));
    assert!(combined.sms().starts_with("TEST, UNVERIFIED: 2 emergency calls") && !combined.sms().contains("real"));
    assert_eq!(serde_json::from_str::<Value>(&combined.json()).unwrap()["isTest"], true);
    let mixed = calls(3, Language::English);
    assert!(!of(&mixed).is_test() && of(&mixed).email().subject.starts_with("[NOT VERIFIED] 3 emergency calls: "));
    assert!(!Combined::new(&[]).is_test());
}

#[test]
fn attributes_have_every_value_that_an_alert_has() {
    let alerts = calls(30, Language::English);
    let attributes = of(&alerts).attributes();
    let values = |name: &str| attributes.iter().find(|(given, _)| *given == name).unwrap().1.clone();
    assert_eq!(values("eventType"), ["unverifiedCalls"]);
    assert_eq!(values("verified"), ["false"]);
    assert_eq!((values("isTest"), values("degraded")), (vec!["false".to_owned()], vec!["false".to_owned()]));
    assert_eq!(values("policyName"), ["EmergencyPolicy"]);
    assert_eq!(values("numberDialed"), ["911", "933"]);
    assert_eq!(values("city"), ["Redmond"]);
    assert_eq!(values("site").len(), 30);
    let long: Vec<Alert> = (0..50)
        .map(|index| {
            let city = json!(format!("{index} {}", "x".repeat(1_000)));
            unverified(&microsoft_with("/callerInfo/location/address/city", city), Language::English)
        })
        .collect();
    assert!(attributes.len() <= 10);
    // Values without room for all of them would hold an alert back from whoever filters by its own.
    let names = |alerts: &[Alert]| of(alerts).attributes().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    assert_eq!(
        names(&long),
        ["eventType", "verified", "isTest", "degraded", "policyName", "tenantId", "numberDialed", "site"]
    );
}

#[test]
fn an_attribute_that_one_alert_lacks_is_left_out() {
    let placeless = unverified(&microsoft_with("/callerInfo/location", json!(null)), Language::English);
    let alerts = [numbered(1, "911", Language::English), placeless];
    let names: Vec<_> = of(&alerts).attributes().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["eventType", "verified", "isTest", "degraded", "policyName", "tenantId", "numberDialed"]);
}

fn schema() -> Validator {
    let schema: Value = serde_json::from_str(COMBINED_SCHEMA).unwrap();
    let alert: Value = serde_json::from_str(emergency_alert::ALERT_SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    let registry = Registry::new().add("urn:teams-emergency-alerts:alert:1.2", Resource::from_contents(alert)).unwrap();
    let registry = registry.prepare().unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).with_registry(&registry).build(&schema).unwrap()
}

#[test]
fn the_json_is_valid_and_as_long_as_it_may_be() {
    let schema = schema();
    let huge = {
        let mut document = microsoft_with("/callerInfo/displayName", json!("\"x\u{1}".repeat(20_000)));
        document["emergencyCallEvent"]["callerInfo"]["location"]["address"]["street"] = json!("é\\".repeat(20_000));
        unverified(&document, Language::English)
    };
    let envelope = Notification { proof: Proof::TokenOnly, ..notification() };
    let degraded = Alert::degraded(DegradedReason::Undecryptable, "f", &envelope, &settings());
    for (count, complete) in [(0, true), (1, true), (30, true), (500, false)] {
        let usual = calls(count, Language::English);
        let mut alerts: Vec<&Alert> = vec![&huge, &huge, &degraded];
        alerts.extend(&usual);
        let json = Combined::new(&alerts).json();
        assert!(json.len() <= MAX_JSON_BYTES, "{}", json.len());
        let document: Value = serde_json::from_str(&json).unwrap();
        if let Err(error) = schema.validate(&document) {
            panic!("{error}");
        }
        let told = document["alerts"].as_array().unwrap();
        assert_eq!(told.len() + usize::try_from(document["omitted"].as_u64().unwrap()).unwrap(), alerts.len());
        let ids: Vec<&str> = told.iter().filter_map(|alert| alert["callId"].as_str()).collect();
        let usual = ids.iter().filter(|id| id.starts_with("call-")).count();
        assert_eq!(usual == count, complete, "huge alerts hide no others");
        assert!(told.iter().all(|alert| alert["raw"].is_null()));
    }
}

#[test]
fn limits_hold_for_huge_texts_and_numbers() {
    let texts = ["x".repeat(10_000), "王".repeat(10_000), "a\"b ".repeat(2_500), "\u{1f692}".repeat(1_000)];
    for text in texts {
        for language in [Language::English, Language::SimplifiedChinese] {
            let mut document = microsoft_with("/callerInfo/displayName", json!(text));
            document["emergencyCallEvent"]["callerInfo"]["location"]["address"]["street"] = json!(text);
            document["emergencyCallEvent"]["emergencyNumberDialed"] = json!(text);
            document["emergencyCallEvent"]["callerInfo"]["phoneNumber"] = json!(text);
            let alert = unverified(&document, language);
            let combined = Combined::new(&[&alert; 60]);
            let (email, sms, json) = (combined.email(), combined.sms(), combined.json());
            assert!(email.subject.is_ascii() && email.subject.len() < 100, "{}", email.subject);
            assert!(email.body.len() <= 25_000 && sms_parts(&sms) <= 3, "{} {sms}", email.body.len());
            assert!(email.body.contains("60"), "the email says how many");
            let message = json!({"default": json, "email": email.body, "sms": sms}).to_string();
            assert!(message.len() + 20_000 <= 256 * 1024, "{}", message.len());
        }
    }
}

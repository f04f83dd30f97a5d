//! What holds for every document.

use std::sync::LazyLock;

use emergency_alert::{
    Alert, DegradedReason, EmergencyCall, Language, MAX_JSON_BYTES, Notification, Proof, Settings, Start, sms_parts,
};
use jsonschema::Validator;
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value};

use crate::samples::{alert, caller, notification, parsed, settings};
use crate::schema::validator;

static SCHEMA: LazyLock<Validator> = LazyLock::new(validator);

/// The basic table of the GSM 7-bit alphabet (3GPP TS 23.038), without escape, line feed and carriage return.
const GSM7: &str = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
    abcdefghijklmnopqrstuvwxyzäöñüà";

/// The members that mean something, and some that do not.
fn member() -> impl Strategy<Value = String> {
    prop_oneof![
        20 => proptest::sample::select(vec![
            "id", "callEventType", "policyName", "eventDateTime", "emergencyNumberDialed", "callerInfo", "displayName", "upn",
            "phoneNumber", "location", "address", "street", "city", "state", "countryOrRegion", "postalCode",
            "additionalData", "companyName", "additionalInfo", "houseNumber", "county", "streetSuffix", "coordinates",
            "latitude", "longitude", "emergencyCallEvent",
        ]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        "\\PC{0,300}".prop_map(Value::from),
        proptest::sample::select(vec![
            "callStarted",
            "callEnded",
            "911",
            "933",
            "2024-01-01T10:00:00.0000000+00:00",
            "12.5"
        ])
        .prop_map(Value::from),
    ]
}

fn arbitrary() -> impl Strategy<Value = Value> {
    leaf().prop_recursive(4, 60, 8, |inner| {
        prop_oneof![
            1 => vec(inner.clone(), 0..4).prop_map(Value::from),
            6 => btree_map(member(), inner, 0..8).prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn members(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    vec(option::of(leaf()), names.len()).prop_map(move |values| {
        let members = names.iter().zip(values).filter_map(|(name, value)| Some(((*name).to_owned(), value?)));
        Value::Object(members.collect::<Map<_, _>>())
    })
}

/// Documents of the right structure with anything in their leaves.
fn structured() -> impl Strategy<Value = Value> {
    (
        members(&["id", "callEventType", "policyName", "eventDateTime", "emergencyNumberDialed"]),
        members(&["displayName", "upn", "phoneNumber"]),
        members(&["street", "city", "state", "countryOrRegion", "postalCode"]),
        members(&["companyName", "additionalInfo", "houseNumber", "county", "streetSuffix"]),
        members(&["latitude", "longitude"]),
        members(&["displayName"]),
    )
        .prop_map(|(mut event, mut caller, mut address, additional, coordinates, mut location)| {
            address["additionalData"] = additional;
            location["address"] = address;
            location["coordinates"] = coordinates;
            caller["location"] = location;
            event["callerInfo"] = caller;
            event
        })
}

fn check(alert: &Alert) {
    let email = alert.email();
    assert!(!email.subject.is_empty() && email.subject.len() < 100, "{}", email.subject);
    assert!(email.subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{}", email.subject);
    assert!(email.subject.starts_with(|c: char| c.is_ascii_graphic()));
    assert!(email.body.len() <= 16_000);
    assert!(!email.body.chars().any(|c| c != '\n' && c.is_control()));

    let sms = alert.sms();
    assert!(sms.chars().all(|c| GSM7.contains(c)), "{sms}");
    assert!(sms.chars().count() <= 459, "{sms}");

    let json = alert.json();
    assert!(json.len() <= MAX_JSON_BYTES);
    assert!(SCHEMA.is_valid(&serde_json::from_str(&json).unwrap()), "{json}");

    let attributes = alert.attributes();
    assert!(attributes.len() <= 10);
    assert!(
        attributes.iter().all(|(_, value)| (1..=256).contains(&value.len()) && !value.chars().any(char::is_control))
    );
    assert!(!alert.deduplication_key().is_empty());

    let test = alert.is_test();
    assert_eq!(
        (email.subject.contains("[TEST]"), sms.starts_with("TEST"), email.body.contains("\nTEST: ")),
        (test, test, test)
    );
}

fn proof(verified: bool) -> Proof {
    if verified { Proof::Both } else { Proof::ClientStateOnly }
}

fn language() -> impl Strategy<Value = Language> {
    proptest::sample::select(Language::ALL.to_vec())
}

/// The settings of `language`, and late, unverified circumstances.
fn told_in(language: Language, call: EmergencyCall, verified: bool) -> Alert {
    let settings = Settings::parse("933", "Asia/Shanghai", language.tag(), "").unwrap();
    Alert::from_call(call, &Notification { proof: proof(verified), ..notification() }, &settings)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        if let Ok(call) = EmergencyCall::from_resource(&bytes) {
            check(&Alert::from_call(call, &notification(), &settings()));
        }
    }

    #[test]
    fn damage_to_a_text_costs_nothing_else(
        damage in proptest::sample::select(vec!["\\ud83d", "\\udc00", "\\ud83d\\u0041", "\u{1}", "\t", "\r\n", "\\udc00\\ud83d", "\u{0}"]),
        before in "[a-z]{0,5}", after in "[a-z]{0,5}", trailing in proptest::sample::select(vec!["", "\u{0}", "\u{0}\n"]),
    ) {
        let document = format!(
            r#"{{"callerInfo": {{"displayName": "{before}{damage}{after}\\\\ \ud83d\ude92", "phoneNumber": "14255550100"}}}}{trailing}"#
        );
        let call = EmergencyCall::from_resource(document.as_bytes()).unwrap();
        prop_assert_eq!(call.caller.phone_number.as_deref(), Some("14255550100"));
        let name = call.caller.display_name.unwrap();
        prop_assert!(name.starts_with(before.trim()) && name.ends_with("\\\\ 🚒"), "{name:?}");
    }

    #[test]
    fn any_object_becomes_an_alert(document in prop_oneof![arbitrary(), structured()]) {
        let read = EmergencyCall::from_resource(document.to_string().as_bytes());
        prop_assert_eq!(read.is_ok(), document.is_object());
        if let Ok(call) = read {
            let alert = Alert::from_call(call, &notification(), &settings());
            check(&alert);
            prop_assert_eq!(&parsed(&alert)["raw"], &document);
        }
    }

    #[test]
    fn limits_hold_in_every_language(document in structured(), language in language(), verified in any::<bool>()) {
        let mut alert = told_in(language, EmergencyCall::from_resource(document.to_string().as_bytes()).unwrap(), verified);
        alert.set_start(Start { at: "2024-01-01T09:00:00Z".parse().unwrap(), is_test: false });
        let (email, sms) = (alert.email(), alert.sms());
        prop_assert!(!email.subject.is_empty() && email.subject.len() < 100, "{}", email.subject);
        prop_assert!(email.subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{}", email.subject);
        prop_assert!(email.body.len() <= 16_000 && !email.body.chars().any(|c| c != '\n' && c.is_control()));
        prop_assert!(sms_parts(&sms) <= 3, "{sms}");
        prop_assert!(language == Language::SimplifiedChinese || sms.chars().all(|c| GSM7.contains(c)), "{sms}");
        prop_assert!(alert.json().len() <= MAX_JSON_BYTES && SCHEMA.is_valid(&parsed(&alert)), "{}", alert.json());
    }

    #[test]
    fn any_envelope_becomes_an_alert(
        tenant_id in any::<String>(), policy_name in "\\PC{0,500}", call_id in any::<Option<String>>(),
        verified in any::<bool>(), fingerprint in any::<String>(),
    ) {
        let notification = Notification { tenant_id, policy_name, call_id, proof: proof(verified), ..notification() };
        let alert = Alert::degraded(DegradedReason::NoEncryptedContent, &fingerprint, &notification, &settings());
        let (email, sms) = (alert.email(), alert.sms());
        prop_assert!(email.subject.len() < 100 && sms.chars().all(|c| GSM7.contains(c)) && sms.chars().count() <= 459);
        prop_assert!(email.body.contains("DETAILS COULD NOT BE READ") && sms.contains("details could not be read"));
        prop_assert_eq!(email.body.contains("NOT VERIFIED"), !verified);
        prop_assert_eq!(sms.contains("UNVERIFIED"), !verified);
        prop_assert!(SCHEMA.is_valid(&parsed(&alert)));
        prop_assert!(alert.attributes().iter().all(|(_, value)| !value.is_empty()));
    }

    #[test]
    fn the_callback_number_is_always_there(
        number in "\\+?[0-9]([ .()/-]?[0-9]){2,18}", name in "\\PC{0,300}", street in "\\PC{0,600}", unit in "\\PC{0,600}",
    ) {
        prop_assume!(number.len() <= 40);
        let alert = alert(&caller(&serde_json::json!({"displayName": name, "phoneNumber": number, "location": {
            "displayName": name, "address": {"street": street, "city": name, "additionalData": {"additionalInfo": unit}}
        }})));
        check(&alert);
        // A number that reads like an internet address is told with spaces behind its dots, so that nobody can click on it.
        let told = |text: &str| text.replace(". ", ".");
        let callback_line = format!("\nCall back: {number}\n");
        prop_assert!(told(&alert.email().body).contains(&callback_line));
        let callback = format!("Call back {number}");
        prop_assert!(told(&alert.sms()).contains(&callback), "{}", alert.sms());
        prop_assert!(told(&alert.incident().summary).contains(&callback));
        prop_assert!(told(&alert.chat().description).contains(&number));
    }

    #[test]
    fn the_callback_number_is_there_in_every_language(
        number in "\\+?[0-9]{3,15}", name in "\\PC{0,300}", street in "\\PC{0,600}", language in language(),
    ) {
        let document = caller(&serde_json::json!({"displayName": name, "phoneNumber": number, "location": {
            "displayName": name, "address": {"street": street, "city": name}
        }}));
        let alert = told_in(language, EmergencyCall::from_resource(document.to_string().as_bytes()).unwrap(), false);
        for text in [alert.email().body, alert.sms(), alert.chat().description.clone()] {
            prop_assert!(text.contains(&number), "{text}");
        }
    }
}

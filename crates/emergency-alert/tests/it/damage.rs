//! Documents that are nearly what Graph sends: damage costs the damaged member, never the call.

use emergency_alert::EmergencyCall;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::samples::{alert, call, flat, microsoft, microsoft_with};

/// The members that an alert tells, as pointers into the inner event, with what reads them.
const MEMBERS: [(&str, Fact); 17] = [
    ("/id", |call| json!(call.call_id)),
    ("/callEventType", |call| json!(call.event_type)),
    ("/policyName", |call| json!(call.policy_name)),
    ("/eventDateTime", |call| json!(call.occurred_at.map(|at| at.to_string()))),
    ("/emergencyNumberDialed", |call| json!(call.number_dialed)),
    ("/callerInfo/displayName", |call| json!(call.caller.display_name)),
    ("/callerInfo/upn", |call| json!(call.caller.upn)),
    ("/callerInfo/phoneNumber", |call| json!(call.caller.phone_number)),
    ("/callerInfo/location/address/street", |call| json!(call.location.street)),
    ("/callerInfo/location/address/city", |call| json!(call.location.city)),
    ("/callerInfo/location/address/state", |call| json!(call.location.state)),
    ("/callerInfo/location/address/postalCode", |call| json!(call.location.postal_code)),
    ("/callerInfo/location/address/additionalData/companyName", |call| json!(call.location.company_name)),
    ("/callerInfo/location/address/additionalData/houseNumber", |call| json!(call.location.house_number)),
    ("/callerInfo/location/address/additionalData/additionalInfo", |call| json!(call.location.additional_info)),
    ("/callerInfo/location/coordinates/latitude", |call| json!(call.location.latitude)),
    ("/callerInfo/location/coordinates/longitude", |call| json!(call.location.longitude)),
];

type Fact = fn(&EmergencyCall) -> Value;

/// Microsoft's example with `text` in place of a member's value, whatever that makes of the document.
fn with(pointer: &str, text: &str) -> String {
    const MARK: &str = "\"the mark\"";
    microsoft_with(pointer, json!("the mark")).to_string().replace(MARK, text)
}

/// Fails unless the document differs from Microsoft's example in that member at most.
fn costs_at_most(member: usize, document: &str) {
    let whole = call(&microsoft());
    let read = EmergencyCall::from_resource(document.as_bytes()).unwrap();
    for (index, (pointer, fact)) in MEMBERS.iter().enumerate() {
        if index != member {
            assert_eq!(fact(&read), fact(&whole), "{pointer} in {document}");
        }
    }
}

#[test]
fn a_decimal_comma_is_one() {
    let text = |latitude: Value, longitude: Value| {
        let coordinates = json!({"latitude": latitude, "longitude": longitude});
        alert(&microsoft_with("/callerInfo/location/coordinates", coordinates)).facts().location.clone()
    };
    let location = text(json!("47,6396"), json!(" -122,1281 "));
    assert_eq!((location.latitude, location.longitude), (Some(47.6396), Some(-122.1281)));
    // Nobody knows which comma is which.
    let location = text(json!("47,639,6"), json!("-1,122.1281"));
    assert_eq!((location.latitude, location.longitude), (None, None));

    for document in [
        with("/callerInfo/location/coordinates", r#"{"latitude": 47,6396, "longitude": -122,1281}"#),
        with("/callerInfo/location/coordinates", r#"{"longitude":-122,1281,"latitude":47,6396}"#),
    ] {
        let read = EmergencyCall::from_resource(document.as_bytes()).unwrap();
        assert_eq!((read.location.latitude, read.location.longitude), (Some(47.6396), Some(-122.1281)));
        assert_eq!(read.location.street.as_deref(), Some("Microsoft Way"));
        assert_eq!(read.caller.phone_number.as_deref(), Some("14255550100"));
    }
}

#[test]
fn commas_inside_texts_are_untouched_by_the_tolerant_reading() {
    let document = with("/callerInfo/displayName", r#""Doe, Jane 1,5 \", NaN, }""#).replacen('{', "{\"x\": NaN, ", 1);
    assert!(serde_json::from_str::<Value>(&document).is_err());
    let read = EmergencyCall::from_resource(document.as_bytes()).unwrap();
    assert_eq!(read.caller.display_name.as_deref(), Some("Doe, Jane 1,5 \", NaN, }"));
    costs_at_most(5, &document);
}

#[test]
fn every_kind_of_damage_costs_one_member_at_most() {
    for damage in [
        "47,6396",
        "-122,1281",
        "NaN",
        "Infinity",
        "-Infinity",
        "undefined",
        "None",
        "+1",
        "01",
        ".5",
        "1.",
        "0x1F",
        "'x'",
        "x y",
        "",
        ",",
        "null,",
        "1,",
        "\"a\u{1}b\"",
        "\"a\nb\"",
        "\"\\ud83d\"",
        "\"\\q\"",
        "{\"x\": }",
        "[1,]",
        "{,}",
        "{\"x\": NaN}",
        "1, \"later\": NaN",
        "\"x\" \"y\"",
        "(1)",
        "1e999999",
        "99999999999999999999999999",
        "true",
        "{}",
        "[]",
        "[\"x\"]",
    ] {
        for (member, (pointer, _)) in MEMBERS.iter().enumerate() {
            costs_at_most(member, &with(pointer, damage));
        }
    }
}

#[test]
fn a_telephone_number_without_quotation_marks_is_one() {
    for number in ["+14255550147", "0791234567", "14255550147"] {
        let document = with("/callerInfo/phoneNumber", number);
        let read = EmergencyCall::from_resource(document.as_bytes()).unwrap();
        assert_eq!(read.caller.phone_number.as_deref(), Some(number));
    }
}

#[test]
fn what_is_around_the_document_costs_nothing() {
    let whole = call(&microsoft());
    let document = microsoft().to_string();
    let utf16 = |mark: [u8; 2], unit: fn(u16) -> [u8; 2]| -> Vec<u8> {
        mark.into_iter().chain(document.encode_utf16().flat_map(unit)).collect()
    };
    for bytes in [
        format!("\u{feff}{document}").into_bytes(),
        format!("{document}\u{0}\u{0}\u{0}").into_bytes(),
        format!("\u{0} {document} }}").into_bytes(),
        format!("{document}garbage").into_bytes(),
        document.replace("}}", "},}").into_bytes(),
        utf16([0xff, 0xfe], u16::to_le_bytes),
        utf16([0xfe, 0xff], u16::to_be_bytes),
    ] {
        let read = EmergencyCall::from_resource(&bytes).unwrap();
        for (pointer, fact) in MEMBERS {
            assert_eq!(fact(&read), fact(&whole), "{pointer} in {}", String::from_utf8_lossy(&bytes));
        }
    }
}

#[test]
fn two_documents_are_not_read_as_one() {
    let document = microsoft().to_string();
    assert!(EmergencyCall::from_resource(format!("{document}{document}").as_bytes()).is_err());
}

#[test]
fn the_last_of_two_members_of_a_name_counts_in_either_reading() {
    let twice = |mark: &str| format!(r#"{{"callEventType": "a", "callEventType": "callEnded"{mark}}}"#);
    for document in [twice(""), twice(", \"x\": NaN"), twice(",")] {
        let read = EmergencyCall::from_resource(document.as_bytes()).unwrap();
        assert_eq!(read.event_type.as_deref(), Some("callEnded"), "{document}");
    }
}

#[test]
fn flat_documents_are_read_tolerantly_too() {
    let document = flat().to_string().replacen('{', "{\"x\": 1,5,", 1);
    let (read, whole) = (EmergencyCall::from_resource(document.as_bytes()).unwrap(), call(&flat()));
    assert_eq!((read.caller, read.location, read.call_id), (whole.caller, whole.location, whole.call_id));
}

/// A value of another type, or words that are no JSON. Quotation marks and brackets come in pairs: what does not end swallows
/// what follows.
fn damage() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        "[a-zA-Z0-9+.,'_ -]{0,12}",
        any::<f64>().prop_map(|number| number.to_string()),
        "-?[0-9]{1,3},[0-9]{1,6}",
        any::<String>().prop_map(|text| json!(text).to_string()),
        "[a-z\u{1}\t,{}\\[\\]:]{0,12}".prop_map(|text| format!("\"{text}\"")),
        proptest::sample::select(vec!["NaN", "-Infinity", "null", "true", "\"\\ud83d\"", "\"\\udc00x\""])
            .prop_map(str::to_owned),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[{}]", items.join(","))),
            proptest::collection::vec(("\"[a-z]{0,3}\"", inner), 0..4).prop_map(|members| {
                let members: Vec<String> =
                    members.into_iter().map(|(name, value)| format!("{name}: {value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn one_odd_member_costs_that_member(member in 0..MEMBERS.len(), damage in damage()) {
        costs_at_most(member, &with(MEMBERS[member].0, &damage));
    }

    #[test]
    fn what_the_strict_reader_takes_is_taken_as_it_is(member in 0..MEMBERS.len(), damage in damage()) {
        let document = with(MEMBERS[member].0, &damage);
        if let Ok(strict) = serde_json::from_str::<Value>(&document) {
            prop_assert_eq!(EmergencyCall::from_resource(document.as_bytes()).unwrap().raw, strict);
        }
    }
}

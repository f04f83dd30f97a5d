//! The alert document and its published schema.

use std::collections::BTreeSet;

use emergency_alert::{ALERT_SCHEMA, Alert, DegradedReason, SCHEMA_VERSION};
use jsonschema::Validator;
use serde_json::{Value, json};

use crate::samples::{alert, flat, microsoft, notification, parsed, settings};

pub(crate) fn validator() -> Validator {
    let schema = serde_json::from_str(ALERT_SCHEMA).unwrap();
    jsonschema::meta::validate(&schema).unwrap();
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).unwrap()
}

#[test]
fn every_kind_of_alert_is_valid() {
    let validator = validator();
    let degraded = Alert::degraded(DegradedReason::Unparseable, "f", &notification(), &settings());
    for alert in [alert(&microsoft()), alert(&flat()), alert(&json!({})), degraded] {
        if let Err(error) = validator.validate(&parsed(&alert)) {
            panic!("{error} in {}", alert.json());
        }
    }
}

#[test]
fn the_schema_names_exactly_the_members_of_the_document_and_requires_all() {
    let schema: Value = serde_json::from_str(ALERT_SCHEMA).unwrap();
    let document = parsed(&alert(&microsoft()));
    for (schema, object) in [
        (&schema, &document),
        (&schema["properties"]["caller"], &document["caller"]),
        (&schema["properties"]["location"], &document["location"]),
    ] {
        let members: BTreeSet<&str> = object.as_object().unwrap().keys().map(String::as_str).collect();
        let described = schema["properties"].as_object().unwrap().keys().map(String::as_str).collect();
        let required = schema["required"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        assert_eq!(members, described);
        assert_eq!(members, required);
    }
    assert_eq!(document["schemaVersion"], SCHEMA_VERSION);
}

#[test]
fn the_schema_refuses_what_readers_could_not_use() {
    let validator = validator();
    for (pointer, value) in [
        ("/schemaVersion", json!("2.0")),
        ("/isTest", json!("true")),
        ("/occurredAt", json!("2024-01-01T10:00:00+00:00")),
        ("/receivedAt", Value::Null),
        ("/ageSeconds", json!(1.5)),
        ("/location/latitude", json!(91)),
        ("/location/text", json!(7)),
        ("/caller", Value::Null),
    ] {
        let mut document = parsed(&alert(&microsoft()));
        *document.pointer_mut(pointer).unwrap() = value;
        assert!(!validator.is_valid(&document), "{pointer}");
    }
}

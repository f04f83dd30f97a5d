//! From a decrypted document to what people and machines get.

use std::{cell::LazyCell, sync::LazyLock};

use emergency_alert::{
    ALERT_SCHEMA, Alert, Audience, Caller, Contradiction, DegradedReason, EmergencyCall, End, Language, Location,
    MAX_JSON_BYTES, Notification, Proof, Relation, Settings, Start, sms_parts,
};
use jiff::Timestamp;
use jsonschema::Validator;
use lambda_edge::publication::Publication;
use serde_json::{Value, json};

/// What SNS takes in one message, in bytes.
const LARGEST_MESSAGE: usize = 256 * 1024;

/// The basic table of the GSM 7-bit alphabet (3GPP TS 23.038), without escape, line feed and carriage return.
const GSM7: &str = "@£$¥èéùìòÇØøÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿\
    abcdefghijklmnopqrstuvwxyzäöñüà";

static SCHEMA: LazyLock<Validator> = LazyLock::new(|| {
    let schema = serde_json::from_str(ALERT_SCHEMA).expect("the schema is JSON");
    jsonschema::draft202012::options().should_validate_formats(true).build(&schema).expect("a schema")
});

thread_local! {
    static SETTINGS: LazyCell<[Settings; 4]> = LazyCell::new(|| {
        let zones = ["America/Los_Angeles", "Europe/Madrid", "UTC", "Asia/Shanghai"];
        std::array::from_fn(|index| {
            let language = Language::ALL[index].tag();
            Settings::parse("933", zones[index], language, "OpenStreetMap").expect("settings")
        })
    });
}

/// The input is a decrypted document. An object becomes an alert that keeps all limits in each language, and names the
/// number to call back; what is no object is refused and becomes one without details.
///
/// # Panics
/// If that is not so.
pub fn document(data: &[u8]) {
    let read = EmergencyCall::from_resource(data);
    if let Ok(strict) = serde_json::from_slice::<Value>(data) {
        assert_eq!(read.is_ok(), strict.is_object(), "JSON is an object or is refused");
    }
    let notification = notification();
    in_one_language(data.len(), |settings| match read {
        Ok(call) => {
            let number = call.caller.phone_number.clone();
            let alert = Alert::from_call(call, &notification, settings);
            check(&alert, settings);
            check_callback(&alert, number.as_deref());
        }
        Err(_) => check(&Alert::degraded(DegradedReason::Unparseable, "f", &notification, settings), settings),
    });
}

/// The input is texts, divided by bytes that are in none (255): a choice of circumstances, and what stands in each place of
/// an alert. Every alert keeps all limits in each language.
///
/// # Panics
/// If that is not so.
pub fn rendering(data: &[u8]) {
    let mut pieces = data.split(|byte| *byte == 0xff);
    let choice = pieces.next().unwrap_or_default();
    let chosen = |index: usize, of: u8| choice.get(index).map_or(0, |byte| byte % of);
    let mut text = || {
        let piece = pieces.next().filter(|piece| !piece.is_empty())?;
        Some(String::from_utf8_lossy(piece).into_owned())
    };
    let mut notification = Notification {
        tenant_id: text().unwrap_or_default(),
        policy_name: text().unwrap_or_default(),
        call_id: text(),
        proof: [Proof::Both, Proof::ClientStateOnly, Proof::TokenOnly][usize::from(chosen(1, 3))],
        ..notification()
    };
    let occurred_at = text().and_then(|time| time.parse::<Timestamp>().ok());
    let call = EmergencyCall {
        call_id: text(),
        event_type: text(),
        event_date_time: text(),
        occurred_at,
        policy_name: text(),
        number_dialed: text(),
        caller: Caller { display_name: text(), upn: text(), phone_number: text() },
        location: Location {
            text: None,
            display_name: text(),
            company_name: text(),
            house_number: text(),
            street: text(),
            street_suffix: text(),
            additional_info: text(),
            city: text(),
            county: text(),
            state: text(),
            postal_code: text(),
            country_or_region: text(),
            latitude: text().and_then(|degrees| degrees.parse().ok()).filter(|degrees: &f64| degrees.abs() <= 90.0),
            longitude: text().and_then(|degrees| degrees.parse().ok()).filter(|degrees: &f64| degrees.abs() <= 180.0),
        },
        raw: json!({"all": String::from_utf8_lossy(data)}),
    };
    let start = Start {
        at: text().and_then(|time| time.parse().ok()).unwrap_or(notification.received_at),
        is_test: chosen(2, 2) == 1,
    };
    notification.contradictions = text()
        .into_iter()
        .flat_map(|stated| [Contradiction::Tenant(stated.clone()), Contradiction::Policy(stated)])
        .collect();
    let relation = [
        Relation::First,
        Relation::NowVerified { other_place: true, other_caller: true },
        Relation::Updated { place: true, caller: chosen(4, 2) == 1 },
        Relation::OtherReport,
    ][usize::from(chosen(5, 4))];
    in_one_language(chosen(0, 4).into(), |settings| match chosen(3, 6) {
        0 => check(&Alert::degraded(DegradedReason::Undecryptable, "f", &notification, settings), settings),
        1 => check(&Alert::drill(Audience::Test, &notification, settings), settings),
        _ => {
            let number = call.caller.phone_number.clone();
            let mut alert = Alert::from_call(call, &notification, settings);
            check(&alert, settings);
            check_callback(&alert, number.as_deref());
            alert.set_start(start);
            alert.set_end(End { at: start.at });
            alert.set_relation(relation);
            check(&alert, settings);
            if !alert.is_verified() {
                check_combined(&Publication::combined(&[&alert, &alert, &alert]));
            }
        }
    });
}

fn in_one_language(index: usize, f: impl FnOnce(&Settings)) {
    SETTINGS.with(|settings| f(&settings[index % settings.len()]));
}

fn notification() -> Notification {
    Notification {
        tenant_id: "84841066-274d-4ec0-a5c1-276be684bdd3".to_owned(),
        policy_name: "EmergencyPolicy".to_owned(),
        call_id: Some("33333333-0000-0000-0000-000000000000".to_owned()),
        received_at: Timestamp::constant(1_704_103_203, 200_000_000),
        proof: Proof::Both,
        contradictions: Vec::new(),
    }
}

/// What holds for each alert.
fn check(alert: &Alert, settings: &Settings) {
    let email = alert.email();
    assert!(email.body.len() <= 16_000, "the email has {} bytes", email.body.len());
    assert!(!email.body.chars().any(|c| c != '\n' && c.is_control()), "a control character in the email");
    let sms = alert.sms();
    assert!(!sms.is_empty() && sms_parts(&sms) <= 3, "{sms}");
    let chinese = settings.language() == Language::SimplifiedChinese;
    assert!(chinese || sms.chars().all(|c| GSM7.contains(c)), "{sms}");
    assert!(!alert.deduplication_key().is_empty());

    let document = check_publication(&Publication::of(alert));
    let incident = &document["incident"];
    let key = incident["key"].as_str().expect("a key");
    let summary = incident["summary"].as_str().expect("a summary");
    let unfit = |c: char| c == '"' || c == '\\' || c.is_control();
    assert!((1..=255).contains(&key.len()) && !key.contains(unfit), "{key}");
    assert!((1..=1024).contains(&summary.len()) && !summary.contains(unfit), "{summary}");
    if settings.language() == Language::English && !alert.facts().is_drill {
        check_marks(alert);
    }
}

/// What SNS demands of a message that tells many alerts.
fn check_combined(publication: &Publication) {
    let Publication { subject, message, .. } = publication;
    assert!((1..100).contains(&subject.len()), "{subject}");
    assert!(subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{subject}");
    assert!(publication.bytes() <= LARGEST_MESSAGE, "{} bytes", publication.bytes());
    assert!((1..=10).contains(&publication.message_attributes().len()));
    let bodies: Value = serde_json::from_str(message).expect("the message is JSON");
    let [json, email, sms] = ["default", "email", "sms"].map(|protocol| bodies[protocol].as_str().expect("a text"));
    assert!(json.len() <= MAX_JSON_BYTES, "the JSON has {} bytes", json.len());
    assert!(!email.chars().any(|c| c != '\n' && c.is_control()), "a control character in the email");
    assert!(!sms.is_empty() && sms_parts(sms) <= 3, "{sms}");
}

/// What is a test or unverified says so where its readers look first, and nothing else does, whatever its texts are. In
/// English.
fn check_marks(alert: &Alert) {
    let (email, sms) = (alert.email(), alert.sms());
    let (first_line, _) = email.body.split_once('\n').expect("lines");
    let warns = |of: &str| email.body.lines().any(|line| line.starts_with(of));
    for line in [&email.subject, first_line, &alert.incident().summary] {
        let marks = (line.starts_with("[TEST]"), line.trim_start_matches("[TEST] ").starts_with("[NOT VERIFIED]"));
        assert_eq!(marks, (alert.is_test(), !alert.facts().verified), "{line}");
    }
    let marks = (sms.starts_with("TEST"), sms.trim_start_matches("TEST, ").starts_with("UNVERIFIED"));
    assert_eq!(marks, (alert.is_test(), !alert.facts().verified), "{sms}");
    let warnings = (warns("TEST: "), warns("NOT VERIFIED: "));
    assert_eq!(warnings, (alert.is_test(), !alert.facts().verified), "{}", email.body);
}

/// A number to call back stands in everything that people read, as it was given.
fn check_callback(alert: &Alert, number: Option<&str>) {
    let Some(number) = number else { return };
    let digits = number.strip_prefix('+').unwrap_or(number);
    if !(3..=15).contains(&digits.len()) || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return;
    }
    let document = alert.document();
    for text in [&alert.email().body, &alert.sms(), &document.incident.summary, &document.chat.description] {
        assert!(text.contains(number), "the number to call back is missing: {text}");
    }
}

/// What SNS demands of a message, and what its readers rely on. Gives the alert document.
pub(super) fn check_publication(publication: &Publication) -> Value {
    let Publication { subject, message, attributes, lists } = publication;
    assert!((1..100).contains(&subject.len()), "{subject}");
    assert!(subject.chars().all(|c| c == ' ' || c.is_ascii_graphic()), "{subject}");
    assert!(subject.starts_with(|c: char| c.is_ascii_graphic()), "{subject}");
    assert!(publication.bytes() <= LARGEST_MESSAGE, "{} bytes", publication.bytes());
    assert!((1..=10).contains(&attributes.len()) && lists.is_empty());
    for (name, value) in attributes {
        assert!((1..=256).contains(&value.len()) && !value.chars().any(char::is_control), "{name}: {value}");
    }
    let bodies: Value = serde_json::from_str(message).expect("the message is JSON");
    let protocols: Vec<&String> = bodies.as_object().expect("an object").keys().collect();
    assert_eq!(protocols, ["default", "email", "sms"]);
    let json = bodies["default"].as_str().expect("a text");
    assert!(json.len() <= MAX_JSON_BYTES, "the document has {} bytes", json.len());
    let document = serde_json::from_str(json).expect("the document is JSON");
    if let Err(error) = SCHEMA.validate(&document) {
        panic!("the document breaks its schema: {error}");
    }
    document
}

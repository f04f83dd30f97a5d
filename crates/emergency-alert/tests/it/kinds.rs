//! Every kind of alert in every language, as each kind of subscriber gets it. The calls are those in `events/calls`, which
//! `make preview` shows, too.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use emergency_alert::{
    Alert, Audience, Contradiction, DegradedReason, EmergencyCall, End, Language, Notification, Proof, Relation,
    Settings, Start, sms_parts,
};
use serde_json::Value;

use crate::samples::parsed;
use crate::schema::validator;

fn calls() -> BTreeMap<String, Value> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/calls");
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let calls = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    calls
        .map(|path| {
            let call = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
            (path.file_stem().unwrap().to_str().unwrap().to_owned(), call)
        })
        .collect()
}

fn alert(call: &Value, language: Language) -> Alert {
    let settings = Settings::parse("933", "America/Los_Angeles", language.tag(), "").unwrap();
    let text = |name: &str| call["notification"][name].as_str().map(ToOwned::to_owned);
    let notification = Notification {
        tenant_id: text("tenantId").unwrap(),
        policy_name: text("policyName").unwrap(),
        call_id: text("callId"),
        received_at: text("receivedAt").unwrap().parse().unwrap(),
        proof: match (call["notification"]["verified"].as_bool().unwrap(), text("missingProof").as_deref()) {
            (true, _) => Proof::Both,
            (false, Some("clientState")) => Proof::TokenOnly,
            (false, _) => Proof::ClientStateOnly,
        },
        contradictions: text("statedPolicy").map(Contradiction::Policy).into_iter().collect(),
    };
    let mut alert = match (call["drill"].as_str(), call["degraded"].as_str()) {
        (Some("test"), _) => Alert::drill(Audience::Test, &notification, &settings),
        (Some("alert"), _) => Alert::drill(Audience::Alert, &notification, &settings),
        (_, Some(reason)) => Alert::degraded(degraded(reason), "fingerprint", &notification, &settings),
        _ => {
            let document = call["document"].to_string();
            Alert::from_call(EmergencyCall::from_resource(document.as_bytes()).unwrap(), &notification, &settings)
        }
    };
    if let Some(started) = call["startedAt"].as_str() {
        alert.set_start(Start { at: started.parse().unwrap(), is_test: false });
    }
    if let Some(ended) = call["endedAt"].as_str() {
        alert.set_end(End { at: ended.parse().unwrap() });
    }
    let (new_place, new_caller) = (call["newPlace"] == true, call["newCaller"] == true);
    alert.set_relation(match call["relation"].as_str() {
        None => Relation::First,
        Some("nowVerified") => Relation::NowVerified { other_place: new_place, other_caller: new_caller },
        Some("updated") => Relation::Updated { place: new_place, caller: new_caller },
        Some("otherReport") => Relation::OtherReport,
        Some(other) => panic!("{other} is no relation"),
    });
    alert
}

fn degraded(reason: &str) -> DegradedReason {
    match reason {
        "no-content" => DegradedReason::NoEncryptedContent,
        "undecryptable" => DegradedReason::Undecryptable,
        "unparseable" => DegradedReason::Unparseable,
        other => panic!("{other} is no reason"),
    }
}

/// What each kind of subscriber gets.
fn shown(alert: &Alert) -> String {
    let (email, sms, document) = (alert.email(), alert.sms(), alert.document());
    format!(
        "=== email\nSubject: {}\n\n{}\n=== text message: {} characters, {} part(s)\n{sms}\n\n=== chat\n{}\n\n{}\n\n=== incident\n{:?} {:?} {}\n{}\n\n\
         === attributes\n{}\n",
        email.subject,
        email.body,
        sms.chars().count(),
        sms_parts(&sms),
        document.chat.title,
        document.chat.description,
        document.incident.action,
        document.incident.severity,
        document.incident.key,
        document.incident.summary,
        alert.attributes().iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>().join("\n"),
    )
}

#[test]
fn every_kind_in_every_language() {
    let calls = calls();
    assert!(calls.len() >= 15, "{:?}", calls.keys());
    for (kind, call) in &calls {
        for language in Language::ALL {
            let name = format!("{kind}-{}", language.tag());
            insta::with_settings!({ snapshot_path => "snapshots/kinds", prepend_module_to_snapshot => false, omit_expression => true }, {
                insta::assert_snapshot!(name, shown(&alert(call, language)));
            });
        }
    }
}

#[test]
fn every_kind_as_json() {
    let validator = validator();
    for (kind, call) in &calls() {
        for language in Language::ALL {
            let document = parsed(&alert(call, language));
            if let Err(error) = validator.validate(&document) {
                panic!("{kind}: {error} in {document:#}");
            }
        }
        insta::with_settings!({ snapshot_path => "snapshots/kinds", prepend_module_to_snapshot => false, omit_expression => true }, {
            let document = serde_json::to_string_pretty(&alert(call, Language::English).document()).unwrap();
            insta::assert_snapshot!(format!("{kind}-json"), document);
        });
    }
}

#[test]
fn a_text_message_of_a_usual_call_is_one_part_and_in_chinese_two() {
    for (language, parts) in Language::ALL.into_iter().zip([1, 1, 1, 2]) {
        let sms = alert(&calls()["started"], language).sms();
        assert_eq!(sms_parts(&sms), parts, "{sms}");
        assert!(sms.contains("Adele Vance"), "{sms}");
        assert!(sms.contains("14255550100") && sms.contains("725 Microsoft Way NE, Floor 7, Room 700"), "{sms}");
    }
}

#[test]
fn every_line_of_a_drill_is_marked() {
    for (language, mark) in Language::ALL.into_iter().zip(["DRILL", "SIMULACRO", "EXERCICE", "演练"]) {
        for kind in ["drill", "drill-to-alert-topic"] {
            let alert = alert(&calls()[kind], language);
            let email = alert.email();
            assert!(
                email.body.lines().all(|line| line.is_empty() || line.starts_with(&format!("{mark} | "))),
                "{}",
                email.body
            );
            assert!(alert.sms().starts_with(mark), "{}", alert.sms());
            assert!(email.subject.starts_with('['), "{}", email.subject);
            assert!(alert.chat().title.contains(mark) && alert.incident().summary.contains(mark));
        }
    }
}

#[test]
fn the_end_of_a_call_is_recognisably_the_same_call() {
    let calls = calls();
    for language in Language::ALL {
        let [start, end, unseen] = ["started", "ended", "ended-start-unseen"].map(|kind| alert(&calls[kind], language));
        assert_eq!(start.call_key(), end.call_key());
        assert_eq!(start.facts().call_id, end.facts().call_id);
        assert_eq!(start.incident().key, end.incident().key);
        assert!(end.is_end() && !start.is_end() && start.start().is_some() && end.start().is_none());
        assert_ne!(start.email().subject, end.email().subject);
        assert_ne!(end.email().subject, unseen.email().subject, "the duration shows in the subject");
        assert_eq!(unseen.facts().duration_seconds, None);
        assert_eq!(end.facts().started_at, start.facts().occurred_at);
    }
}

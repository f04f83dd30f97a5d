//! The corpus of forgeries, as it is committed, against the receiver.
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

use std::{
    cell::Cell,
    collections::{BTreeSet, HashMap},
    path::{Path, PathBuf},
    rc::Rc,
};

use end_to_end::forgeries::{
    case::{Body, Case, Group, Raised, Request},
    files,
    target::{self, HAPPENED_AT, LOGIN_ENDPOINT, Target},
};
use end_to_end::simulator::tokens::decode_unverified;
use end_to_end::surroundings::{Calm, Connection, Surroundings, config};
use jiff::{SignedDuration, Timestamp};
use receiver::{Receiver, http::Response};
use serde_json::Value;

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("forgeries")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(directory().join(name)).unwrap()
}

/// The groups as anybody would read them.
fn committed() -> Vec<Group> {
    let names: Vec<String> = files(&Target::new(LOGIN_ENDPOINT)).into_iter().map(|(name, _)| name).collect();
    let groups = names.iter().filter(|name| !name.contains('/'));
    groups.map(|name| serde_json::from_str(&read(name)).unwrap()).collect()
}

fn cases() -> Vec<Case> {
    committed().into_iter().flat_map(|group| group.cases).collect()
}

/// A receiver that is set up as the corpus says, and what came of its last request.
struct UnderAttack {
    receiver: Receiver<Connection<Calm>>,
    surroundings: Rc<Surroundings<Calm>>,
    now: Cell<Timestamp>,
}

struct Outcome {
    response: Response,
    alerts: Vec<Value>,
    reasons: BTreeSet<String>,
}

/// What the receiver does with items that hold one proof.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    Alert,
    Reject,
}

impl Mode {
    /// What a case must raise.
    fn raised(self, case: &Case) -> Vec<Raised> {
        let in_alert_mode = case.expect.in_alert_mode.clone().filter(|_| self == Self::Alert);
        in_alert_mode.unwrap_or_else(|| case.expect.in_reject_mode())
    }
}

impl UnderAttack {
    fn new() -> Self {
        Self::with(Mode::Reject)
    }

    fn with(mode: Mode) -> Self {
        let mut variables: Value = serde_json::from_str(&read("receiver/environment.json")).unwrap();
        variables["UNVERIFIED_CALLS"] = format!("{mode:?}").into();
        let surroundings = Rc::new(Surroundings::default());
        surroundings.keyring.replace(read("receiver/keyring.json"));
        surroundings.signing_keys.replace(read("receiver/signing-keys.json"));
        let happened_at: Timestamp = HAPPENED_AT.parse().unwrap();
        let now = Cell::new(happened_at + SignedDuration::from_secs(2));
        let connection = Connection(Rc::clone(&surroundings));
        Self { receiver: Receiver::new(config(&variables).unwrap(), connection, |_| {}), surroundings, now }
    }

    async fn send(&self, request: &Request) -> Outcome {
        let request = serde_json::from_value(request.event()).unwrap();
        let response = self.receiver.handle(request, self.now.get()).await;
        let alerts = self.surroundings.published.take().into_iter();
        let alerts = alerts.map(|alert| serde_json::from_str(&alert.publication.message).unwrap()).collect();
        let events = self.surroundings.events.take().into_iter();
        let rejections = events.filter(|event| event.detail_type == "Notification Rejected").map(|event| {
            let detail: Value = serde_json::from_str(&event.detail).unwrap();
            detail["reason"].as_str().unwrap().to_owned()
        });
        Outcome { response, alerts, reasons: rejections.collect() }
    }
}

/// Whatever of the outcome is not as the case expects it.
fn differences(case: &Case, outcome: &Outcome, mode: Mode) -> Vec<String> {
    let mut differences = Vec::new();
    let mut compare = |what: &str, same: bool, got: &dyn std::fmt::Debug| {
        if !same {
            differences.push(format!("{}: {mode:?}: {what}: {got:?}", case.id));
        }
    };
    let (response, expect) = (&outcome.response, &case.expect);
    compare("status", expect.status.contains(&response.status_code), &response.status_code);
    compare("body", expect.body == response.body, &response.body);
    let raised = mode.raised(case);
    let messages = expect.messages_in_alert_mode.filter(|_| mode == Mode::Alert).unwrap_or(raised.len());
    compare("messages", outcome.alerts.len() == messages, &outcome.alerts.len());
    let told: Vec<(Value, bool)> = outcome.alerts.iter().flat_map(documents).collect();
    compare("alerts", told.len() == raised.len(), &told.len());
    for (expected, (document, says_late)) in raised.iter().zip(&told) {
        compare("call", document["callId"] == *expected.call_id, &document["callId"]);
        compare("degraded", document["degraded"] == expected.degraded, &document["degraded"]);
        compare("verified", document["verified"] == expected.verified, &document["verified"]);
        compare("late", *says_late == expected.late, says_late);
        for (member, expected) in [("tenantId", &expected.tenant_id), ("relation", &expected.relation)] {
            let same = expected.as_ref().is_none_or(|expected| document[member] == **expected);
            compare(member, same, &document[member]);
        }
    }
    if raised.is_empty() && mode == Mode::Reject {
        let expected = expect.reason.iter().cloned().collect();
        compare("reason", outcome.reasons == expected || case.after.is_some(), &outcome.reasons);
    }
    differences
}

/// The alert documents in a message, with whether it says that they come late.
fn documents(message: &Value) -> Vec<(Value, bool)> {
    let document: Value = serde_json::from_str(message["default"].as_str().unwrap()).unwrap();
    let late = message["email"].as_str().unwrap().contains("LATE: this happened");
    match document["alerts"].as_array() {
        Some(alerts) => alerts.iter().map(|alert| (alert.clone(), false)).collect(),
        None => vec![(document, late)],
    }
}

/// What differs in each case, against a receiver of its own.
async fn differing(mode: Mode) -> Vec<String> {
    let cases = cases();
    let by_id: HashMap<&str, &Case> = cases.iter().map(|case| (case.id.as_str(), case)).collect();
    let mut differing = Vec::new();
    for case in &cases {
        let under_attack = UnderAttack::with(mode);
        if let Some(before) = case.after.as_deref().map(|before| by_id[before]) {
            let raised = under_attack.send(&before.request).await.alerts.len();
            assert_eq!(raised, mode.raised(before).len(), "{}", before.id);
        }
        differing.extend(differences(case, &under_attack.send(&case.request).await, mode));
    }
    differing
}

#[tokio::test(start_paused = true)]
async fn no_forgery_raises_an_alert_and_every_authentic_item_does() {
    let differing = differing(Mode::Reject).await;
    assert!(differing.is_empty(), "{differing:#?}");
}

#[tokio::test(start_paused = true)]
async fn where_one_proof_alerts_it_passes_for_no_more_and_without_one_nothing_alerts() {
    let differing = differing(Mode::Alert).await;
    assert!(differing.is_empty(), "{differing:#?}");
    for case in cases() {
        let (proofs, raised) = (case.proofs.len(), Mode::Alert.raised(&case));
        assert!(proofs > 0 || raised.is_empty(), "{}: nothing without a proof alerts", case.id);
        let verified = raised.iter().filter(|raised| raised.verified).count();
        assert!(proofs == 2 || verified == 0, "{}: one proof verifies nothing", case.id);
    }
}

#[tokio::test(start_paused = true)]
async fn what_came_before_changes_nothing() {
    let under_attack = UnderAttack::new();
    let mut differing = Vec::new();
    for mut case in cases() {
        // So many in so short a time are not all put on the bus.
        case.expect.reason = None;
        let mut outcome = under_attack.send(&case.request).await;
        outcome.reasons.clear();
        differing.extend(differences(&case, &outcome, Mode::Reject));
        // So slowly that the genuine calls do not come late.
        under_attack.now.set(under_attack.now.get() + SignedDuration::from_millis(50));
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

#[tokio::test(start_paused = true)]
async fn years_later_no_forgery_has_become_good() {
    let mut differing = Vec::new();
    for mut case in cases().into_iter().filter(|case| case.expect.alerts == 0 && case.after.is_none()) {
        case.expect.reason = None;
        let under_attack = UnderAttack::new();
        under_attack.now.set("2060-01-01T00:00:00Z".parse().unwrap());
        let mut outcome = under_attack.send(&case.request).await;
        outcome.reasons.clear();
        differing.extend(differences(&case, &outcome, Mode::Reject));
    }
    assert!(differing.is_empty(), "{differing:#?}");
}

#[tokio::test(start_paused = true)]
async fn nothing_outside_tells_one_notification_from_another() {
    let mut answers: HashMap<u16, Response> = HashMap::new();
    for case in cases() {
        let mut response = UnderAttack::new().send(&case.request).await.response;
        if response.status_code == 200 {
            // The echo is the one thing that differs.
            response.body.clear();
        }
        let first = answers.entry(response.status_code).or_insert_with(|| response.clone());
        assert_eq!(*first, response, "{}", case.id);
    }
    assert_eq!(answers.keys().copied().collect::<BTreeSet<_>>(), [200, 202, 400].into());
}

#[test]
fn the_committed_corpus_is_what_the_generator_makes() {
    let files = files(&Target::new(LOGIN_ENDPOINT));
    for (name, text) in &files {
        assert!(
            read(name) == *text,
            "{name}: cargo run -p end-to-end --bin forgeries -- tests/forgeries writes it anew"
        );
    }
    let groups = files.iter().filter(|(name, _)| !name.contains('/')).count();
    let found = std::fs::read_dir(directory()).unwrap().map(|entry| entry.unwrap().path());
    assert_eq!(found.filter(|path| path.extension().is_some_and(|extension| extension == "json")).count(), groups);
}

#[test]
fn the_corpus_is_complete_and_each_case_has_its_own_name_and_call() {
    let groups = committed();
    assert!(groups.iter().all(|group| !group.cases.is_empty()));
    let cases: Vec<&Case> = groups.iter().flat_map(|group| &group.cases).collect();
    assert!(cases.iter().filter(|case| case.expect.alerts == 0).count() >= 150, "{}", cases.len());
    let ids: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids.len(), cases.len());
    for group in &groups {
        for case in &group.cases {
            assert!(case.id.starts_with(&format!("{}/", group.group)), "{}", case.id);
            assert!(case.rule.ends_with('.') && case.attack.ends_with('.'), "{}", case.id);
            assert_eq!(case.expect.alerts == 1, case.expect.call_id.is_some(), "{}", case.id);
            // A duplicate of what another case alerted for would prove nothing.
            assert!(case.after.as_deref().is_none_or(|before| ids.contains(before)), "{}", case.id);
        }
    }
    let called: Vec<&String> = cases.iter().filter_map(|case| case.expect.call_id.as_ref()).collect();
    assert_eq!(called.iter().collect::<BTreeSet<_>>().len(), called.len());
}

#[test]
fn a_corpus_for_another_sign_in_host_has_its_issuers() {
    let login = "http://127.0.0.1:8080";
    let files: HashMap<String, String> = files(&Target::new(login)).into_iter().collect();
    let environment: Value = serde_json::from_str(&files["receiver/environment.json"]).unwrap();
    assert_eq!(environment["LOGIN_ENDPOINT"], login);
    let keys: Value = serde_json::from_str(&files["receiver/signing-keys.json"]).unwrap();
    assert_eq!(keys["keys"][0]["issuer"], format!("{login}/{{tenantid}}/v2.0"));
    let genuine: Group = serde_json::from_str(&files["genuine.json"]).unwrap();
    let call = genuine.cases.iter().find(|case| case.id == "genuine/version-2-token").unwrap();
    let Body::Text(body) = &call.request.body else { panic!("a genuine body is text") };
    let body: Value = serde_json::from_str(body).unwrap();
    let (_, claims) = decode_unverified(body["validationTokens"][0].as_str().unwrap()).unwrap();
    assert_eq!(claims["iss"], format!("{login}/{}/v2.0", target::TENANT));
}

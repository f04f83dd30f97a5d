//! Runs and watches while something outside is out of order, in the ways that the fault matrix lists
//! (`tests/e2e/fault_rows.py`).

use graph_subscriptions::GraphErrorKind;
use jiff::SignedDuration;
use serde_json::Value;

use super::{QUARTER, digests, outcomes, settled, with_credential};
use crate::{
    config::{Config, CredentialKind},
    fake::{Fake, Fault, OTHER, URL, config, policy},
    ports::{Host as _, OutsideError},
    report::{
        Outcome::{Failed, Renewed},
        Report,
    },
    run::Asked,
    verdict::{NotCovered, verdict},
    watch::monitor,
};

/// As long as a request to Microsoft may take.
const PATIENCE: SignedDuration = SignedDuration::from_secs(40);

/// What AWS lets an invocation take.
const LONGEST: SignedDuration = SignedDuration::from_secs(300);

/// A situation in which a run makes a certain call to Graph.
type Situation = (&'static str, fn(&Fake));

const SITUATIONS: [Situation; 3] = [
    ("renew", |_| {}),
    ("create", |fake| fake.state.borrow_mut().held.retain(|held| held.subscription.resource.contains("Global"))),
    ("delete", |fake| fake.hold("stray", &policy("Gone"), URL, "x")),
];

/// The value of a metric in the lines that the last run has left.
fn metric(fake: &Fake, name: &str) -> i64 {
    let state = fake.state.borrow();
    let mut lines = state.lines.iter().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find_map(|line| line[name].as_i64()).unwrap()
}

/// A run that Graph keeps from its work with this operation, and the next one, which finds Graph in order again.
async fn kept_from(fake: &Fake, operation: &str, how: &str) {
    let config = config("Global,Warehouse");
    let (before, begun) = (fake.ids(), fake.now());
    let report = fake.run(&config).await;
    assert!(!report.ok, "{operation}, {how}: {report:?}");
    assert!(fake.now().duration_since(begun) <= LONGEST, "{operation}, {how}");
    let counted = if operation == "delete" { "Problems" } else { "RenewalFailures" };
    assert!(metric(fake, counted) > 0, "{operation}, {how}: {report:?}");
    assert_eq!(fake.ids(), before, "{operation}, {how}: nothing that works is given up");
    if operation == "create" {
        let of_the_last_policy = metric(fake, "SubscriptionSecondsRemaining");
        assert_eq!((metric(fake, "SubscriptionsLost"), of_the_last_policy), (1, 0), "{how}");
        assert!(matches!(verdict(&report), Err(NotCovered::PolicyUnwatched(_))), "{how}: {report:?}");
    }
    fake.state.borrow_mut().faults.clear();
    fake.state.borrow_mut().slow = None;
    fake.advance(QUARTER);
    let report = fake.run(&config).await;
    assert!(report.ok, "{operation}, {how}: {report:?}");
    fake.assert_sound(&config);
    assert_eq!(fake.ids().len(), 2, "{operation}, {how}");
}

#[tokio::test]
async fn what_graph_does_not_do_for_a_whole_run_is_counted_and_the_next_run_does_it() {
    for (operation, prepare) in SITUATIONS {
        for kind in [
            GraphErrorKind::Transport,
            GraphErrorKind::Throttled,
            GraphErrorKind::Unavailable,
            GraphErrorKind::Forbidden,
            GraphErrorKind::Unauthorized,
            GraphErrorKind::Invalid,
            GraphErrorKind::Unexpected,
        ] {
            let fake = settled("Global,Warehouse").await;
            prepare(&fake);
            (0..100).for_each(|_| fake.fault(operation, "", Fault::Refuses(kind)));
            kept_from(&fake, operation, &format!("{kind:?}")).await;
        }
    }
}

#[tokio::test]
async fn a_list_that_cannot_be_had_keeps_nothing_from_being_renewed() {
    let config = config("Global,Warehouse");
    let kinds = [
        GraphErrorKind::Transport,
        GraphErrorKind::Throttled,
        GraphErrorKind::Unavailable,
        GraphErrorKind::Forbidden,
        GraphErrorKind::Unauthorized,
        GraphErrorKind::Invalid,
        GraphErrorKind::Unexpected,
    ];
    for kind in kinds.map(Some).into_iter().chain([None]) {
        let fake = settled("Global,Warehouse").await;
        match kind {
            Some(kind) => (0..100).for_each(|_| fake.fault("list", "", Fault::Refuses(kind))),
            None => fake.state.borrow_mut().slow = Some(("list ".to_owned(), PATIENCE)),
        }
        let begun = fake.now();
        let report = fake.run(&config).await;
        assert!(report.ok && report.policies.iter().all(|policy| policy.outcome == Renewed), "{kind:?}: {report:?}");
        let [finding] = report.list_findings.as_slice() else { panic!("{kind:?}: {report:?}") };
        assert!(
            finding.contains("cannot be had") && finding.contains("new-4 (Global), new-5 (Warehouse)"),
            "{finding}"
        );
        assert!(fake.now().duration_since(begun) <= SignedDuration::from_secs(60), "{kind:?}");
        fake.assert_sound(&config);
    }
}

#[tokio::test]
async fn what_graph_leaves_unanswered_for_a_whole_run_is_counted_in_time_and_the_next_run_does_it() {
    for (operation, prepare) in SITUATIONS {
        let fake = settled("Global,Warehouse").await;
        prepare(&fake);
        fake.state.borrow_mut().slow = Some((format!("{operation} "), PATIENCE));
        let begun = fake.now();
        kept_from(&fake, operation, "without an answer").await;
        assert!(fake.now().duration_since(begun) > PATIENCE * 5, "{operation}: five attempts");
    }
}

#[tokio::test]
async fn what_graph_did_without_saying_so_is_not_done_twice() {
    let config = config("Global,Warehouse");
    for (operation, prepare) in SITUATIONS {
        let fake = settled("Global,Warehouse").await;
        prepare(&fake);
        fake.fault(operation, "", Fault::AnswerLost);
        let report = fake.run(&config).await;
        assert!(report.ok, "{operation}: {report:?}");
        fake.assert_sound(&config);
        assert_eq!(fake.ids().len(), 2, "{operation}");
    }
}

#[tokio::test]
async fn a_new_key_comes_into_use_whatever_becomes_of_reading_back() {
    let config = config("Global,Warehouse");
    let lasting = |kind| (vec![Fault::Refuses(kind); 100], None);
    let ways = [
        ("is down", lasting(GraphErrorKind::Transport)),
        ("throttles", lasting(GraphErrorKind::Throttled)),
        ("refuses", lasting(GraphErrorKind::Forbidden)),
        ("answers garbage", lasting(GraphErrorKind::Unexpected)),
        ("loses its answers", (vec![Fault::AnswerLost; 100], None)),
        ("does not answer", (Vec::new(), Some(("get ".to_owned(), PATIENCE)))),
        ("fails at first", (vec![Fault::Refuses(GraphErrorKind::Unavailable); 2], None)),
    ];
    for (how, (faults, slow)) in ways {
        // What the renewal answers is not the new certificate, or is silent about it, so that Graph is asked again.
        for hidden in [false, true] {
            let fake = settled("Global,Warehouse").await;
            fake.state.borrow_mut().certificate_patch_ignored = !hidden;
            fake.state.borrow_mut().certificates_hidden = hidden;
            for fault in &faults {
                fake.fault("get", "", *fault);
            }
            fake.state.borrow_mut().slow.clone_from(&slow);
            let begun = fake.now();
            let report = fake.run_for(&config, &Asked::ToRotate).await;
            assert!(report.keyring.rotated, "{how}: {report:?}");
            assert!(report.policies.iter().all(|policy| policy.outcome != Failed), "{how}: {report:?}");
            let renewed = report.policies.iter().all(|policy| policy.outcome == Renewed);
            assert!(!hidden || renewed, "{how}: given up for what cannot be seen: {report:?}");
            let took = fake.now().duration_since(begun);
            let was_read_back = if slow.is_some() { took > PATIENCE * 5 } else { fake.called("get") > 1 };
            assert!(was_read_back && took <= LONGEST, "{how}: {took}");
            fake.assert_sound(&config);
            assert_eq!(fake.keyring().keys.len(), 2, "{how}: Graph may encrypt for either");
            fake.state.borrow_mut().faults.clear();
            fake.state.borrow_mut().slow = None;
            fake.state.borrow_mut().certificates_hidden = false;
            fake.advance(QUARTER);
            fake.run(&config).await;
            let new = fake.keyring().keys[1].certificate_id.clone();
            let state = fake.state.borrow();
            let used = state.held.iter().map(|held| held.subscription.encryption_certificate_id.clone());
            assert!(used.clone().all(|id| id.as_ref() == Some(&new)), "{how}: {:?}", used.collect::<Vec<_>>());
        }
    }
}

#[tokio::test]
async fn slow_signing_keys_hold_up_no_tenant_for_long_and_the_stored_ones_stay() {
    let third = "cccccccc-bbbb-cccc-dddd-eeeeeeeeeeee";
    let policies = format!("Global,{OTHER}/Global,{third}/Global");
    let fake = settled(&policies).await;
    let stored = fake.keyring().signing_keys;
    fake.advance(SignedDuration::from_hours(13));
    fake.state.borrow_mut().slow = Some(("keys".to_owned(), PATIENCE));
    let begun = fake.now();
    let report = fake.run(&config(&policies)).await;
    assert!(report.policies.iter().all(|policy| policy.outcome == Renewed), "{report:?}");
    assert!(fake.now().duration_since(begun) < SignedDuration::from_secs(60));
    assert!(!report.ok && report.problems.iter().all(|problem| problem.contains("signing keys")), "{report:?}");
    assert_eq!((metric(&fake, "Problems") > 0, fake.keyring().signing_keys), (true, stored));
}

#[tokio::test]
async fn signing_keys_that_do_not_come_at_first_come_at_the_second_attempt() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().kids.push("kid-2".to_owned());
    fake.state.borrow_mut().signing_keys_fail = 1;
    let report = fake.run(&config("Global")).await;
    assert!(report.ok && report.signing_keys.count == 2, "{report:?}");
}

/// A run in which nothing can be signed in with, and the next one, in which it can.
async fn signed_out(fake: &Fake, config: &Config, sentence: &str, mend: impl FnOnce()) -> Report {
    let (before, begun) = (fake.ids(), fake.now());
    let report = fake.run(config).await;
    assert!(matches!(verdict(&report), Err(NotCovered::NothingRenewed(_))), "{report:?}");
    assert!(report.policies[0].explanation.as_ref().unwrap().contains(sentence), "{report:?}");
    assert!(report.policies[0].seconds_remaining > 0, "{report:?}");
    assert!(fake.now().duration_since(begun) <= LONGEST);
    assert_eq!((metric(fake, "RenewalFailures"), fake.ids()), (1, before.clone()));
    mend();
    fake.advance(QUARTER);
    let report = fake.run(config).await;
    assert!(report.policies.iter().all(|policy| policy.outcome == Renewed), "{report:?}");
    assert_eq!(fake.ids(), before);
    report
}

#[tokio::test]
async fn without_a_token_of_aws_nothing_is_renewed_until_there_is_one() {
    let federated = with_credential(CredentialKind::Federated);
    let ways = [
        ("is down", Some(Err(OutsideError("STS is down".to_owned()))), None, "AWS gave no token"),
        (
            "does not answer",
            None,
            Some(("web identity".to_owned(), SignedDuration::from_secs(15))),
            "AWS gave no token",
        ),
        ("gives a token that Entra does not take", Some(Ok("another".to_owned())), None, "not registered"),
    ];
    for (how, answer, slow, sentence) in ways {
        let fake = settled("Global").await;
        fake.state.borrow_mut().web_identity = answer.clone();
        fake.state.borrow_mut().slow.clone_from(&slow);
        let report = signed_out(&fake, &federated, sentence, || {
            fake.state.borrow_mut().web_identity = None;
            fake.state.borrow_mut().slow = None;
        });
        assert!(report.await.ok, "{how}");
        // A client secret that is still there serves instead, and the run says so.
        fake.state.borrow_mut().web_identity = answer;
        fake.state.borrow_mut().slow = slow;
        let changing = Config { fallback_secret_id: Some("client-secret".to_owned()), ..federated.clone() };
        let report = fake.run(&changing).await;
        assert!(!report.ok && report.policies[0].outcome == Renewed, "{how}: {report:?}");
        assert!(report.problems.iter().any(|problem| problem.contains("newest credential")), "{how}: {report:?}");
    }
}

#[tokio::test]
async fn the_apps_certificates_are_never_written_over_and_the_old_one_serves_until_a_new_one_is_stored() {
    let config = with_credential(CredentialKind::Certificate("certificates".to_owned()));
    let fake = Fake::new();
    fake.run(&config).await;
    let (first, stored) = (digests(&fake), fake.state.borrow().secrets["certificates"].clone());
    fake.advance(QUARTER);
    fake.state.borrow_mut().secret_down = Some("certificates".to_owned());
    let down = || fake.state.borrow_mut().secret_down = None;
    signed_out(&fake, &config, "the app's certificates cannot be read", down).await;
    for spoilt in ["<html>", "{\"version\":2}"] {
        fake.state.borrow_mut().secrets.insert("certificates".to_owned(), spoilt.to_owned());
        signed_out(&fake, &config, "was left as it is", || {
            let mut state = fake.state.borrow_mut();
            let left = state.secrets.insert("certificates".to_owned(), stored.clone());
            assert_eq!(left.as_deref(), Some(spoilt));
        })
        .await;
    }
    // The next one is due, and cannot be stored.
    fake.advance(SignedDuration::from_hours(306 * 24));
    fake.run(&super::config("Global")).await;
    fake.state.borrow_mut().keyring_writes_fail = true;
    let report = fake.run(&config).await;
    assert_eq!(outcomes(&report)[0].1, Renewed, "{report:?}");
    assert!(report.problems.iter().any(|problem| problem.contains("cannot be stored")), "{report:?}");
    assert!(metric(&fake, "Problems") > 0);
    assert_eq!(digests(&fake), first);
    fake.state.borrow_mut().keyring_writes_fail = false;
    fake.run(&config).await;
    assert_eq!((digests(&fake).len(), &digests(&fake)[0]), (2, &first[0]));
}

#[tokio::test]
async fn a_probe_that_is_not_answered_in_time_counts_as_not_answered_and_hides_nothing_else() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().slow = Some(("probe".to_owned(), SignedDuration::from_secs(3)));
    let report = monitor(&fake, &config("Global"), fake.invocation(), None).await;
    assert_eq!((report.ok, report.probe_answered), (false, Some(false)), "{report:?}");
    assert_eq!((metric(&fake, "ProbesAnswered"), metric(&fake, "WatchRuns")), (0, 1));
    fake.state.borrow_mut().slow = None;
    assert!(monitor(&fake, &config("Global"), fake.invocation(), None).await.ok);
}

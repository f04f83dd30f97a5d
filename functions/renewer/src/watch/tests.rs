//! Watches over the fake world: each look by itself, and what fails beside it.

use std::collections::BTreeMap;

use graph_notifications::{Keyring, Probe};
use graph_subscriptions::{GraphErrorKind, Listing};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::{LONGEST_PASS, monitor, report::WatchReport, trouble::Noted};
use crate::{
    app_certificates::AppCertificates,
    config::{Config, CredentialKind},
    fake::{Fake, Fault, OTHER, SECOND_TOPIC, TENANT, URL, config, policy},
    handler::{Answer, handle},
    ports::{Host as _, OutsideError},
    report::Outcome::{Failed, Recreated},
    run::Invocation,
};

/// What a test does to the world.
type Breaking = Box<dyn Fn(&Fake)>;

const DAY: SignedDuration = SignedDuration::from_hours(24);
const MINUTE: SignedDuration = SignedDuration::from_mins(1);

/// A world after a first run, and a first watch.
async fn settled(policies: &str) -> Fake {
    let fake = Fake::new();
    assert!(fake.run(&config(policies)).await.ok);
    let report = look(&fake, &config(policies)).await;
    assert!(report.ok, "{report:?}");
    fake.advance(MINUTE * 5);
    fake
}

async fn look(fake: &Fake, config: &Config) -> WatchReport {
    monitor(fake, config, fake.invocation(), None).await
}

/// The values of a metric in the lines that the latest watch printed.
fn values(fake: &Fake, name: &str) -> Vec<Value> {
    let state = fake.state.borrow();
    let lines: Vec<Value> = state.lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let runs: Vec<_> = lines.iter().enumerate().filter(|(_, line)| line.get("WatchRuns").is_some()).collect();
    let latest = runs.last().unwrap().0;
    let begin = runs.iter().rev().nth(1).map_or(0, |(index, _)| index + 1);
    lines[begin..=latest].iter().filter_map(|line| line.get(name).cloned()).collect()
}

#[tokio::test]
async fn where_all_is_well_everything_is_there() {
    let fake = settled("Global,Warehouse").await;
    let Answer::Watch(report) =
        handle(&fake, &config("Global,Warehouse"), &serde_json::json!({"action": "monitor"}), fake.invocation())
            .await
            .unwrap()
    else {
        panic!("a watch")
    };
    assert!(report.ok, "{report:?}");
    for (name, expected) in [
        ("WatchRuns", vec![1]),
        ("ProbesAnswered", vec![1]),
        ("WatchProblems", vec![0]),
        ("NewProblems", vec![0]),
        ("ReconcileOverdueSeconds", vec![0]),
        ("SigningKeysAgeSeconds", vec![300]),
        ("DaysSinceNotification", vec![0]),
        ("ConfirmedSubscribers", vec![1, 1, 1, 1]),
        ("SubscribersLost", vec![0, 0, 0, 0]),
        ("DaysUntilCredentialEnds", vec![729]),
    ] {
        assert_eq!(values(&fake, name), expected, "{name}");
    }
    let left: Vec<_> = values(&fake, "SubscriptionSecondsRemaining").iter().filter_map(Value::as_i64).collect();
    assert!(left.len() == 2 && left.iter().all(|left| (84_200..=84_300).contains(left)), "{left:?}");
}

#[tokio::test]
async fn a_pass_that_finds_all_well_changes_nothing_but_its_notes_and_takes_no_lease_of_a_run() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().calls.clear();
    look(&fake, &config("Global")).await;
    let calls = fake.state.borrow().calls.clone();
    let changes = ["write", "record ", "forget", "create", "renew", "delete", "announce", "note", "event"];
    assert!(calls.iter().all(|call| !changes.iter().any(|change| call.starts_with(change))), "{calls:?}");
    assert!(calls.iter().all(|call| call != "take lease"), "{calls:?}");
    assert_eq!(fake.called("notes"), 0, "what has not changed is not noted again");
}

#[tokio::test]
async fn the_probe_is_sealed_with_the_current_key_and_posted_to_our_own_address() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().probes.clear();
    look(&fake, &config("Global")).await;
    let probes = fake.state.borrow().probes.clone();
    let [body] = probes.as_slice() else { panic!("one probe: {probes:?}") };
    assert_eq!(Probe::parse(body.as_bytes()).unwrap().open(&fake.keyring(), fake.now()), Ok(()));
}

#[tokio::test]
async fn only_202_in_time_is_an_answer() {
    let fake = settled("Global").await;
    for answer in [Ok(200), Ok(400), Ok(404), Ok(429), Ok(500), Ok(503), Err(OutsideError("refused".to_owned()))] {
        fake.state.borrow_mut().answer = Some(answer.clone());
        assert!(!look(&fake, &config("Global")).await.ok);
        assert_eq!(values(&fake, "ProbesAnswered"), [0], "{answer:?}");
        assert_eq!(values(&fake, "WatchProblems"), [0], "{answer:?}: it has an alarm of its own");
    }
}

#[tokio::test]
async fn a_policy_without_a_subscription_has_no_time_left() {
    let fake = settled("Global,Warehouse").await;
    fake.state.borrow_mut().held.clear();
    refuse_creations(&fake);
    let report = look(&fake, &config("Global,Warehouse")).await;
    assert_eq!(report.subscriptions.iter().map(|one| one.seconds_remaining).collect::<Vec<_>>(), [0, 0]);
    assert!(report.repaired.iter().all(|policy| policy.outcome == Failed), "{report:?}");
    assert_eq!(report.problems, Vec::<String>::new());
}

#[tokio::test]
async fn what_cannot_be_seen_is_a_problem_and_hides_nothing_else() {
    let spoilt = "{\"version\":9}".to_owned();
    let lost = Keyring::default().to_json().unwrap().to_string();
    let break_it: [(&str, Breaking, &str); 9] = [
        (
            "no keyring",
            Box::new(|fake| drop(fake.state.borrow_mut().secrets.remove("keyring"))),
            "holds no keyring yet",
        ),
        (
            "a spoilt keyring",
            Box::new(move |fake| drop(fake.state.borrow_mut().secrets.insert("keyring".to_owned(), spoilt.clone()))),
            "holds no usable keyring",
        ),
        (
            "an empty keyring",
            Box::new(move |fake| drop(fake.state.borrow_mut().secrets.insert("keyring".to_owned(), lost.clone()))),
            "the keyring has no current key",
        ),
        ("no table", Box::new(|fake| fake.state.borrow_mut().table_down = true), "the state table cannot be read"),
        (
            "no topic",
            Box::new(|fake| *fake.state.borrow_mut().subscribers.entry("arn:alerts".to_owned()).or_default() = None),
            "the subscribers of AlertTopic cannot be counted",
        ),
        (
            "no notes",
            Box::new(|fake| {
                fake.state.borrow_mut().notes_fail = true;
                fake.state.borrow_mut().subscribers.insert("arn:alerts".to_owned(), Some(5));
            }),
            "the watch's notes cannot be written",
        ),
        (
            "no Graph",
            Box::new(|fake| fake.fault("get", "", Fault::Refuses(GraphErrorKind::Forbidden))),
            "cannot be seen",
        ),
        (
            "no token",
            Box::new(|fake| fake.state.borrow_mut().entra_refuses = Some(TENANT.parse().unwrap())),
            "cannot be seen",
        ),
        (
            "a slow Graph",
            Box::new(|fake| {
                fake.state.borrow_mut().slow = Some(("get".to_owned(), SignedDuration::from_secs(60)));
            }),
            "cannot be seen",
        ),
    ];
    for (what, break_it, sentence) in break_it {
        let fake = settled("Global").await;
        break_it(&fake);
        let report = look(&fake, &config("Global")).await;
        assert!(report.problems.iter().any(|problem| problem.contains(sentence)), "{what}: {report:?}");
        assert!(!report.ok, "{what}");
        assert_eq!(values(&fake, "WatchRuns"), [1], "{what}");
        assert_eq!(values(&fake, "WatchProblems"), [report.problems.len()], "{what}");
        let others = ["keyring", "table", "topic", "notes", "Graph", "token"];
        let hidden = others.iter().find(|other| what.contains(*other)).unwrap();
        let asked = !values(&fake, "ProbesAnswered").is_empty();
        assert_eq!(asked, *hidden != "keyring", "{what}: an address that was not asked is not unreachable");
        for (of, metric) in [
            ("keyring", "SigningKeysAgeSeconds"),
            ("keyring", "DaysUntilCredentialEnds"),
            ("table", "ReconcileOverdueSeconds"),
            ("table", "DaysSinceNotification"),
            ("Graph", "SubscriptionSecondsRemaining"),
        ] {
            let hides = of == *hidden || (of == "Graph" && *hidden == "token") || what == "an empty keyring";
            assert!(hides || !values(&fake, metric).is_empty(), "{what} hides {metric}");
        }
    }
}

#[tokio::test]
async fn a_subscription_whose_key_is_lost_is_a_problem() {
    let fake = settled("Global").await;
    fake.held(&fake.ids()[0], |subscription| subscription.encryption_certificate_id = Some("key-lost".to_owned()));
    let report = look(&fake, &config("Global")).await;
    assert_eq!(report.problems, ["Graph encrypts for the certificate key-lost, whose key is lost"]);
    fake.held(&fake.ids()[0], |subscription| subscription.encryption_certificate_id = None);
    assert!(look(&fake, &config("Global")).await.ok, "Graph need not say it");
}

#[tokio::test]
async fn one_tenant_that_cannot_be_seen_does_not_hide_another() {
    let policies = format!("Global,{OTHER}/Site");
    let fake = settled(&policies).await;
    fake.state.borrow_mut().entra_refuses = Some(TENANT.parse().unwrap());
    let report = look(&fake, &config(&policies)).await;
    assert_eq!(report.problems.len(), 1, "{report:?}");
    assert_eq!(report.subscriptions.len(), 1);
    assert_eq!(report.subscriptions[0].policy_name.to_string(), "Site");
}

#[tokio::test]
async fn a_run_that_does_not_come_is_overdue_after_the_schedules_time() {
    let fake = settled("Global").await;
    let config = config("Global");
    // The configuration names no schedule, so that half an hour is allowed.
    fake.advance(MINUTE * 25);
    look(&fake, &config).await;
    assert_eq!(values(&fake, "ReconcileOverdueSeconds"), [0]);
    fake.advance(MINUTE * 2);
    look(&fake, &config).await;
    assert_eq!(values(&fake, "ReconcileOverdueSeconds"), [120]);
    fake.run(&config).await;
    look(&fake, &config).await;
    assert_eq!(values(&fake, "ReconcileOverdueSeconds"), [0]);
}

#[tokio::test]
async fn where_no_run_ever_came_the_first_watch_counts() {
    let fake = Fake::new();
    look(&fake, &config("Global")).await;
    fake.advance(MINUTE * 31);
    look(&fake, &config("Global")).await;
    assert_eq!(values(&fake, "ReconcileOverdueSeconds"), [60]);
}

#[tokio::test]
async fn who_leaves_is_missed_once() {
    let fake = settled("Global").await;
    let subscribed = |count| fake.state.borrow_mut().subscribers.insert("arn:alerts".to_owned(), Some(count));
    for (count, lost) in [(5, 0), (5, 0), (3, 2), (3, 0), (4, 0), (0, 4), (0, 0)] {
        subscribed(count);
        look(&fake, &config("Global")).await;
        assert_eq!(values(&fake, "ConfirmedSubscribers")[0], count);
        assert_eq!(values(&fake, "SubscribersLost")[0], lost, "{count}");
    }
}

#[tokio::test]
async fn a_topic_for_calls_needs_somebody_without_a_filter_policy() {
    let fake = settled("Global").await;
    let change = |filter: Option<Option<&'static str>>, topic: &str| {
        let filters = &mut fake.state.borrow_mut().filters;
        match filter {
            Some(filter) => drop(filters.insert(topic.to_owned(), filter)),
            None => drop(filters.remove(topic)),
        }
    };
    let filtered = Some(Some(r#"{"city": ["Bern"]}"#));
    for (topic, index) in [("arn:alerts", 0), (SECOND_TOPIC, 1)] {
        let name = if index == 0 { "AlertTopic" } else { "SecondAlertTopic" };
        assert_eq!(look(&fake, &config("Global")).await.in_trouble, [""; 0]);
        assert_eq!(values(&fake, "UnfilteredSubscribers"), [1, 1]);
        change(filtered, topic);
        let report = look(&fake, &config("Global")).await;
        assert_eq!(report.in_trouble, [format!("AllFiltered {name}")]);
        assert_eq!((values(&fake, "UnfilteredSubscribers")[index].clone(), report.ok), (0.into(), true));
        // What cannot be seen is said, and no alarm says that it is so.
        change(Some(None), topic);
        let report = look(&fake, &config("Global")).await;
        assert_eq!(report.in_trouble, [format!("FiltersNotSeen {name}")]);
        assert_eq!((values(&fake, "UnfilteredSubscribers"), report.problems.len()), (vec![1.into(), 1.into()], 1));
        change(None, topic);
    }
    for topic in ["arn:tests", "arn:operations", "arn:chat"] {
        change(filtered, topic);
    }
    assert_eq!(look(&fake, &config("Global")).await.in_trouble, [""; 0], "tests and alarms may be filtered");
    fake.state.borrow_mut().subscribers.insert("arn:alerts".to_owned(), Some(0));
    assert_eq!(look(&fake, &config("Global")).await.in_trouble, ["NobodyHears AlertTopic"], "one cause, said once");
    assert_eq!(values(&fake, "UnfilteredSubscribers"), [0, 1]);
}

#[tokio::test]
async fn the_filters_of_a_topic_in_another_account_are_not_asked_for() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().filters.insert(SECOND_TOPIC.to_owned(), None);
    let mut config = config("Global");
    config.alert_topic_arn = "arn:aws:sns:us-east-1:210987654321:Alerts".to_owned();
    let report = look(&fake, &config).await;
    assert!(report.ok, "{report:?}");
    assert_eq!(values(&fake, "UnfilteredSubscribers"), [1, 1]);
}

#[tokio::test]
async fn who_leaves_while_notes_cannot_be_written_is_missed_until_they_can() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().subscribers.insert("arn:alerts".to_owned(), Some(0));
    fake.state.borrow_mut().notes_fail = true;
    look(&fake, &config("Global")).await;
    assert_eq!(values(&fake, "SubscribersLost")[0], 1);
    fake.state.borrow_mut().notes_fail = false;
    look(&fake, &config("Global")).await;
    assert_eq!(values(&fake, "SubscribersLost")[0], 1);
    look(&fake, &config("Global")).await;
    assert_eq!(values(&fake, "SubscribersLost")[0], 0);
}

#[tokio::test]
async fn silence_is_counted_from_the_latest_notification_or_from_the_first_watch() {
    let fake = settled("Global").await;
    fake.advance(DAY * 40);
    look(&fake, &config("Global")).await;
    assert_eq!(values(&fake, "DaysSinceNotification"), [40]);
    fake.state.borrow_mut().latest_notification = Some(fake.now() - DAY * 3);
    look(&fake, &config("Global")).await;
    assert_eq!(values(&fake, "DaysSinceNotification"), [3]);
    fake.state.borrow_mut().latest_notification = Some(fake.now() + MINUTE);
    look(&fake, &config("Global")).await;
    assert_eq!(values(&fake, "DaysSinceNotification"), [0], "clocks differ");
}

#[tokio::test]
async fn a_client_secret_ends_when_the_operator_said_so() {
    let fake = settled("Global").await;
    let mut config = config("Global");
    for (left, days) in [(DAY * 30, 30), (DAY * 30 - MINUTE, 29), (MINUTE, 0), (-MINUTE, -1)] {
        config.client_secret_expires_at = Some(fake.now() + left);
        let report = look(&fake, &config).await;
        let secret = report.credentials.iter().find(|one| one.credential == "ClientSecret").unwrap();
        assert_eq!(secret.days_left, days);
        assert!(values(&fake, "DaysUntilCredentialEnds").contains(&days.into()));
    }
}

#[tokio::test]
async fn the_apps_certificate_is_the_newest_that_entra_takes() {
    let fake = Fake::new();
    let mut config = config("Global");
    config.credential = CredentialKind::Certificate("certificates".to_owned());
    let days = async |fake: &Fake| {
        let report = look(fake, &config).await;
        report.credentials.iter().find(|one| one.credential == "AppCertificate").map(|one| one.days_left)
    };
    assert_eq!(days(&fake).await, None, "the client secret serves");
    let (first, _) = AppCertificates::prepare(&fake, "certificates").await.unwrap();
    fake.state.borrow_mut().uploaded = Some(digests(&first, fake.now()));
    assert_eq!(days(&fake).await, Some(365));
    fake.advance(DAY * 320);
    let (both, made) = AppCertificates::prepare(&fake, "certificates").await.unwrap();
    assert!(made);
    assert_eq!(days(&fake).await, Some(45), "the next one is not uploaded");
    fake.state.borrow_mut().uploaded = Some(digests(&both, fake.now()));
    assert_eq!(days(&fake).await, Some(365));
}

#[tokio::test]
async fn while_the_client_secret_serves_in_place_of_a_certificate_its_end_counts() {
    let fake = Fake::new();
    let mut config = config("Global");
    config.credential = CredentialKind::Certificate("certificates".to_owned());
    config.fallback_secret_id = Some("client-secret".to_owned());
    config.client_secret_expires_at = Some(fake.now() + DAY * 20);
    AppCertificates::prepare(&fake, "certificates").await.unwrap();
    fake.state.borrow_mut().uploaded = Some(Vec::new());
    let ending = async |config: &Config| {
        let report = look(&fake, config).await;
        let app = report.credentials.iter().filter(|one| one.credential != "EncryptionCertificate");
        app.map(|one| (one.credential, one.days_left)).collect::<Vec<_>>()
    };
    assert_eq!(ending(&config).await, [("ClientSecret", 20)]);
    config.client_secret_expires_at = None;
    assert_eq!(ending(&config).await, [], "nobody said when it ends");
}

#[tokio::test]
async fn what_does_not_answer_leaves_time_for_notes() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().slow = Some(("get".to_owned(), SignedDuration::from_secs(60)));
    fake.state.borrow_mut().subscribers.insert("arn:alerts".to_owned(), Some(0));
    for lost in [1, 0] {
        let report = look(&fake, &config("Global")).await;
        assert_eq!(values(&fake, "SubscribersLost")[0], lost, "{report:?}");
    }
}

#[tokio::test]
async fn a_probe_that_never_left_says_nothing_of_the_address() {
    let fake = settled("Global").await;
    let invocation = Invocation { owner: "me", ends_at: fake.now() + SignedDuration::from_secs(13) };
    let report = monitor(&fake, &config("Global"), invocation, None).await;
    assert_eq!((report.probe_answered, values(&fake, "ProbesAnswered").len()), (None, 0));
    assert_eq!(report.problems, ["the keyring came too late for a probe"]);
}

fn digests(certificates: &AppCertificates, now: Timestamp) -> Vec<String> {
    let credentials = certificates.credentials(now).unwrap();
    let digest = |credential: &graph_subscriptions::Credential| match credential {
        graph_subscriptions::Credential::Certificate(one) => one.digest().to_owned(),
        _ => panic!("a certificate"),
    };
    credentials.iter().map(digest).collect()
}

#[tokio::test]
async fn neither_report_nor_metrics_say_who_is_told_or_what_is_secret() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().table_down = true;
    let report = look(&fake, &config("Global")).await;
    let client_state = fake.keyring().current_client_state_key().unwrap().client_state(&policy("Global"));
    let said = serde_json::to_string(&report).unwrap() + &fake.state.borrow().lines.join("\n");
    for secret in ["hunter2", "the-token", client_state.expose(), URL, "ann@example.com"] {
        assert!(!said.contains(secret), "{secret}");
    }
}

#[test]
fn what_the_table_keeps_of_the_watch_is_read_again() {
    let notes = super::ports::Notes {
        since: crate::fake::START,
        confirmed: BTreeMap::from([("AlertTopic".to_owned(), 3), ("TestTopic".to_owned(), 0)]),
        troubles: BTreeMap::from([
            ("KeyringNotRead".to_owned(), Noted { seen: crate::fake::START, told: true }),
            ("SubscriptionMissing tenant/Global".to_owned(), Noted { seen: crate::fake::START, told: false }),
        ]),
    };
    let mut written = super::live::written(&notes);
    assert_eq!(super::live::read(&written), Some(notes.clone()));
    // As older versions wrote it.
    written.remove("troubles");
    assert_eq!(super::live::read(&written), Some(super::ports::Notes { troubles: BTreeMap::new(), ..notes }));
}

/// How much is new at each of several watches, with something done to the world before each.
async fn new_at_each(fake: &Fake, policies: &str, before: &[&dyn Fn(&Fake)]) -> Vec<usize> {
    let mut new = Vec::new();
    for change in before {
        change(fake);
        let report = look(fake, &config(policies)).await;
        assert_eq!(values(fake, "NewProblems"), [report.new_problems.len()], "{report:?}");
        new.push(report.new_problems.len());
        fake.advance(MINUTE * 5);
    }
    new
}

fn nothing(_: &Fake) {}

fn refuse_creations(fake: &Fake) {
    (0..100).for_each(|_| fake.fault("create", "", Fault::Refuses(GraphErrorKind::Forbidden)));
}

/// A pass of the schedule, so many minutes past the full hour.
async fn pass(fake: &Fake, config: &Config, minute: i64) -> WatchReport {
    let hour = fake.now().as_second().div_euclid(3600) * 3600;
    let scheduled_at = Timestamp::from_second(hour + minute * 60).unwrap();
    monitor(fake, config, fake.invocation(), Some(scheduled_at)).await
}

#[tokio::test]
async fn every_pass_asks_for_each_subscription_by_its_id_and_every_fifth_looks_at_all_else() {
    let fake = settled("Global,Warehouse").await;
    let config = config("Global,Warehouse");
    fake.state.borrow_mut().probes.clear();
    for minute in 0..10 {
        fake.state.borrow_mut().calls.clear();
        fake.state.borrow_mut().lines.clear();
        let report = pass(&fake, &config, minute).await;
        assert!(report.ok && report.asked_for == 2 && report.full == (minute % 5 == 0), "{minute}: {report:?}");
        assert_eq!((fake.called("get"), fake.called("list"), fake.called("token")), (2, 0, 1), "{minute}");
        assert_eq!(values(&fake, "WatchRuns"), [1], "{minute}");
        assert_eq!(fake.state.borrow().lines.len() == 1, !report.full, "{minute}");
        fake.advance(MINUTE);
    }
    assert_eq!(fake.state.borrow().probes.len(), 2);
}

#[tokio::test]
async fn what_is_gone_is_created_anew_at_once_whatever_the_list_says() {
    let fake = settled("Global,Warehouse").await;
    let config = config("Global,Warehouse");
    let lost = fake.ids()[0].clone();
    let ghosts = fake.state.borrow().held.iter().map(|held| held.subscription.clone()).collect();
    fake.state.borrow_mut().lies = Some(Listing { subscriptions: ghosts, ..Listing::default() });
    fake.state.borrow_mut().held.remove(0);
    fake.state.borrow_mut().calls.clear();
    let report = pass(&fake, &config, 1).await;
    let repaired: Vec<_> = report.repaired.iter().map(|one| (one.policy_name.to_string(), one.outcome)).collect();
    assert_eq!(repaired, [("Global".to_owned(), Recreated)]);
    assert!(report.subscriptions.iter().all(|one| one.seconds_remaining > 80_000), "{report:?}");
    // Nothing else is done, and the list is not asked.
    assert_eq!((fake.called("create"), fake.called("renew"), fake.called("list")), (1, 0, 0));
    assert_eq!(fake.state.borrow().events[0].lost_subscription_id, lost);
    assert_eq!(metric(&fake, "SubscriptionsLost"), 1);
    fake.assert_sound(&config);
}

#[tokio::test]
async fn what_is_gone_is_found_although_graph_does_not_answer_at_first() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().held.clear();
    fake.fault("get", "", Fault::Refuses(GraphErrorKind::Unavailable));
    fake.fault("get", "", Fault::AsksToWait(5));
    assert_eq!(pass(&fake, &config("Global"), 1).await.repaired[0].outcome, Recreated);
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn an_attempt_that_was_left_unfinished_is_finished_by_the_next_pass() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().held.clear();
    for _ in 0..3 {
        fake.fault("create", "", Fault::Refuses(GraphErrorKind::Forbidden));
        assert_eq!(pass(&fake, &config("Global"), 1).await.repaired[0].outcome, Failed);
        fake.advance(MINUTE);
    }
    // What stays lost is told once.
    assert_eq!(pass(&fake, &config("Global"), 2).await.repaired[0].outcome, Recreated);
    fake.assert_sound(&config("Global"));
    let states: Vec<_> = fake.state.borrow().events.iter().map(|event| event.state).collect();
    assert_eq!(states, ["lost", "recreated"]);
}

#[tokio::test]
async fn while_records_cannot_be_written_what_was_created_is_kept() {
    // What was recorded is gone, or nothing was recorded yet.
    for settled_before in [true, false] {
        let fake = if settled_before { settled("Global").await } else { Fake::new() };
        if !settled_before {
            fake.run(&config("Global")).await;
            fake.state.borrow_mut().records.clear();
        }
        fake.state.borrow_mut().held.clear();
        fake.state.borrow_mut().records_unwritable = true;
        fake.state.borrow_mut().calls.clear();
        for minute in 1..5 {
            pass(&fake, &config("Global"), minute).await;
            fake.advance(MINUTE);
        }
        assert_eq!((fake.called("delete"), fake.ids().len()), (0, 1), "{settled_before}");
        fake.state.borrow_mut().records_unwritable = false;
        for _ in 0..2 {
            fake.run(&config("Global")).await;
        }
        fake.assert_sound(&config("Global"));
    }
}

#[tokio::test]
async fn what_delivers_elsewhere_is_replaced_although_records_cannot_be_written() {
    let fake = settled("Global").await;
    let id = fake.ids()[0].clone();
    fake.held(&id, |one| one.notification_url = "https://elsewhere.example/".to_owned());
    fake.state.borrow_mut().records_unwritable = true;
    fake.state.borrow_mut().calls.clear();
    for minute in 1..5 {
        pass(&fake, &config("Global"), minute).await;
        fake.advance(MINUTE);
    }
    assert_eq!((fake.called("delete"), fake.ids().len()), (1, 1));
    assert!(fake.ids()[0] != id);
}

#[tokio::test]
async fn what_somebody_changed_and_cannot_be_replaced_is_told_by_runs_and_not_by_every_pass() {
    let fake = settled("Global").await;
    let id = fake.ids()[0].clone();
    fake.held(&id, |one| one.notification_url = "https://elsewhere.example/".to_owned());
    for minute in 1..5 {
        fake.fault("delete", "", Fault::Refuses(GraphErrorKind::Forbidden));
        pass(&fake, &config("Global"), minute).await;
        fake.advance(MINUTE);
    }
    assert!(fake.state.borrow().events.is_empty());
    fake.fault("delete", "", Fault::Refuses(GraphErrorKind::Forbidden));
    fake.run(&config("Global")).await;
    assert_eq!(fake.state.borrow().events.len(), 1);
}

#[tokio::test]
async fn a_repair_waits_for_a_run_and_no_longer_than_the_pass() {
    for (seconds, repaired) in [(10, true), (300, false)] {
        let fake = settled("Global").await;
        fake.state.borrow_mut().held.clear();
        let (begun, held_until) = (fake.now(), fake.now() + SignedDuration::from_secs(seconds));
        fake.state.borrow_mut().lease = Some(("another".to_owned(), held_until));
        let report = pass(&fake, &config("Global"), 1).await;
        assert_eq!((fake.ids().len() == 1, report.repaired.len() == 1), (repaired, repaired), "{report:?}");
        assert!(fake.now().duration_since(begun) <= LONGEST_PASS);
    }
}

#[tokio::test]
async fn no_pass_begins_beside_another() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().monitor_lease = Some(("another".to_owned(), fake.now() + MINUTE));
    fake.state.borrow_mut().lines.clear();
    let report = pass(&fake, &config("Global"), 5).await;
    assert!(report.ok && report.skipped.is_some(), "{report:?}");
    assert!(fake.state.borrow().lines.is_empty() && fake.called("get") == 1, "only the first look asked");
    // One that died holds the next one up until its time is over, and no longer.
    fake.advance(MINUTE);
    assert!(pass(&fake, &config("Global"), 6).await.skipped.is_none());
    assert!(fake.state.borrow().monitor_lease.is_none(), "it is given back");
}

#[tokio::test]
async fn a_pass_ends_in_its_time_whatever_does_not_answer() {
    for slow in ["get", "create", "table", "token", "probe", "web identity", "keys"] {
        for minute in [1, 5] {
            let fake = settled("Global,Warehouse").await;
            fake.state.borrow_mut().held.remove(0);
            fake.state.borrow_mut().slow = Some((slow.to_owned(), SignedDuration::from_secs(60)));
            let begun = fake.now();
            pass(&fake, &config("Global,Warehouse"), minute).await;
            // A call that has begun may outlast the pass in the fake, which cuts none off, but for the state table's.
            let took = fake.now().duration_since(begun);
            assert!(took <= LONGEST_PASS || slow == "table", "{slow} {minute}: {took}");
        }
    }
}

#[tokio::test]
async fn what_somebody_changed_is_replaced_by_a_pass_once_a_day() {
    let fake = settled("Global").await;
    let change = |fake: &Fake| {
        let id = fake.ids()[0].clone();
        fake.held(&id, |one| one.lifecycle_notification_url = Some("https://elsewhere.example/".to_owned()));
    };
    change(&fake);
    assert_eq!(pass(&fake, &config("Global"), 1).await.repaired[0].outcome, Recreated);
    fake.assert_sound(&config("Global"));
    assert_eq!(fake.state.borrow().events[0].state, "tampered");
    change(&fake);
    let ids = fake.ids();
    let report = pass(&fake, &config("Global"), 5).await;
    assert!(report.repaired.is_empty() && report.problems[0].contains("changed the subscription"), "{report:?}");
    assert_eq!((report.in_trouble, fake.ids()), (vec![format!("SubscriptionTampered {TENANT}/Global")], ids));
    fake.advance(DAY);
    assert_eq!(pass(&fake, &config("Global"), 1).await.repaired[0].outcome, Recreated);
}

fn metric(fake: &Fake, name: &str) -> i64 {
    let state = fake.state.borrow();
    let mut lines = state.lines.iter().rev().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.find_map(|line| line[name].as_i64()).unwrap()
}

fn refuse_second_tenant(fake: &Fake) {
    fake.state.borrow_mut().entra_refuses = Some(OTHER.parse().unwrap());
}

#[tokio::test]
async fn what_stays_in_trouble_hides_nothing_that_comes() {
    let policies = format!("Global,{OTHER}/Site");
    let fake = settled(&policies).await;
    let lose_global = |fake: &Fake| {
        refuse_creations(fake);
        let own = policy("Global").resource();
        fake.state.borrow_mut().held.retain(|held| held.subscription.resource != own);
    };
    let before: [&dyn Fn(&Fake); 6] = [&refuse_second_tenant, &nothing, &nothing, &lose_global, &nothing, &nothing];
    assert_eq!(new_at_each(&fake, &policies, &before).await, [0, 1, 0, 0, 1, 0]);
}

#[tokio::test]
async fn who_begins_to_hear_alarms_learns_of_what_is_in_trouble() {
    let heard = |count| {
        move |fake: &Fake| {
            fake.state.borrow_mut().subscribers.insert("arn:operations".to_owned(), Some(count));
        }
    };
    let fake = settled("Global").await;
    let silence = |fake: &Fake| {
        fake.state.borrow_mut().subscribers.insert("arn:alerts".to_owned(), Some(0));
        heard(0)(fake);
    };
    let before: [&dyn Fn(&Fake); 8] =
        [&silence, &nothing, &nothing, &heard(1), &nothing, &heard(2), &heard(1), &nothing];
    assert_eq!(new_at_each(&fake, "Global", &before).await, [0, 1, 0, 1, 0, 1, 0, 0]);
    let well = settled("Global").await;
    let before: [&dyn Fn(&Fake); 4] = [&heard(0), &nothing, &heard(1), &nothing];
    assert_eq!(new_at_each(&well, "Global", &before).await, [0; 4]);
}

#[tokio::test]
async fn what_cannot_be_noted_or_compared_is_new_each_time() {
    let policies = format!("Global,{OTHER}/Site");
    let fake = settled(&policies).await;
    let notes_fail = |fails| move |fake: &Fake| fake.state.borrow_mut().notes_fail = fails;
    let table_down = |down| move |fake: &Fake| fake.state.borrow_mut().table_down = down;
    let refused = |fake: &Fake| {
        notes_fail(true)(fake);
        refuse_second_tenant(fake);
    };
    let before: [&dyn Fn(&Fake); 8] =
        [&refused, &nothing, &notes_fail(false), &nothing, &nothing, &table_down(true), &nothing, &table_down(false)];
    assert_eq!(new_at_each(&fake, &policies, &before).await, [1, 1, 0, 1, 0, 1, 1, 0]);
    let well = settled("Global").await;
    let before: [&dyn Fn(&Fake); 4] = [&table_down(true), &nothing, &table_down(false), &nothing];
    assert_eq!(new_at_each(&well, "Global", &before).await, [0; 4], "WatchBlind says that the table fails");
}

#[tokio::test]
async fn a_policy_whose_renewals_fail_is_new_at_the_second_failure() {
    let fake = settled("Global").await;
    let mut config = config("Global");
    config.renewal_interval = MINUTE * 15;
    for _ in 0..100 {
        fake.fault("renew", "", Fault::Refuses(GraphErrorKind::Forbidden));
    }
    let mut new = Vec::new();
    for minute in (5..60).step_by(5) {
        if minute % 15 == 0 {
            assert!(!fake.run(&config).await.ok);
        }
        new.extend(look(&fake, &config).await.new_problems.into_iter().map(|name| (minute, name)));
        fake.advance(MINUTE * 5);
    }
    assert_eq!(new, [(35, format!("SubscriptionNotRenewed {TENANT}/Global"))]);
}

//! Runs over the fake world.

mod faults;

use graph_notifications::{ClientState, Keyring, Policy, client_state::StoredClientState};
use graph_subscriptions::{GraphErrorKind, Listing};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::environment::SettingError;
use serde_json::{Value, json};

use crate::{
    act::LIFETIME,
    app_certificates::AppCertificates,
    cloudformation::NotCloudFormation,
    config::{Config, CredentialKind},
    fake::{Death, Fake, Fault, OTHER, STACK, START, TENANT, URL, config, policy},
    handler::{Answer, RunError, handle, handle_without_settings},
    input::LifecycleEvent,
    keyring::{KeyringStore, Rotation},
    ports::Host as _,
    report::{
        Outcome::{self, Adopted, Created, Failed, Recreated, Renewed},
        PolicyReport,
    },
    run::{Asked, Invocation, reconcile},
    verdict::{NotCovered, verdict},
};

const QUARTER: SignedDuration = SignedDuration::from_mins(15);

fn outcomes(report: &crate::report::Report) -> Vec<(String, Outcome)> {
    report.policies.iter().map(|policy| (policy.policy_name.to_string(), policy.outcome)).collect()
}

fn only(name: &str, outcome: Outcome) -> Vec<(String, Outcome)> {
    vec![(name.to_owned(), outcome)]
}

/// A world after a first run.
async fn settled(policies: &str) -> Fake {
    let fake = Fake::new();
    let report = fake.run(&config(policies)).await;
    assert!(report.ok, "{report:?}");
    fake.advance(QUARTER);
    fake.state.borrow_mut().calls.clear();
    fake
}

#[tokio::test]
async fn the_first_run_makes_the_keyring_and_a_subscription_for_each_policy() {
    let fake = Fake::new();
    let config = config(&format!("Global,O'Hare,{OTHER}/Global"));
    let report = fake.run(&config).await;
    assert!(report.ok && report.keyring.written, "{report:?}");
    let lasts = |policy: &PolicyReport| (84_599..=84_600).contains(&policy.seconds_remaining);
    assert!(report.policies.iter().all(|policy| policy.outcome == Created && lasts(policy)), "{report:?}");
    fake.assert_sound(&config);
    assert_eq!((fake.called("create"), fake.called("list")), (3, 2));
    let keyring = fake.keyring();
    assert_eq!((keyring.keys.len(), keyring.client_state_keys.len(), keyring.client_states.len()), (1, 1, 0));
    assert!(keyring.keys[0].certificate_id.starts_with("key-") && keyring.keys[0].certificate_id.len() == 12);
    assert_eq!(keyring.signing_keys.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn a_later_run_renews_and_writes_no_secret() {
    let fake = settled("Global,Warehouse").await;
    let report = fake.run(&config("Global,Warehouse")).await;
    assert!(report.ok && !report.keyring.written, "{report:?}");
    assert_eq!(outcomes(&report), [("Global".to_owned(), Renewed), ("Warehouse".to_owned(), Renewed)]);
    let longest = fake.now() + LIFETIME;
    let ends = report.policies[0].expires_at.unwrap();
    assert!(ends <= longest && ends > longest - SignedDuration::from_secs(1), "{report:?}");
    assert_eq!((fake.called("renew"), fake.called("create"), fake.called("write")), (2, 0, 0));
    fake.assert_sound(&config("Global,Warehouse"));
}

#[tokio::test]
async fn a_subscription_that_graph_lost_is_replaced_and_reported() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().held.clear();
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    assert!(report.policies[0].explanation.as_ref().unwrap().contains("no longer had the subscription new-4"));
    fake.assert_sound(&config("Global"));
    let state = fake.state.borrow();
    assert_eq!((state.events.len(), state.events[0].state), (1, "recreated"));
    assert_eq!(state.events[0].lost_subscription_id, "new-4");
    assert_eq!(state.events[0].subscription_id, report.policies[0].subscription_id);
    assert!(state.lines.last().unwrap().contains(r#""SubscriptionsLost":1"#));
}

#[tokio::test]
async fn a_subscription_that_stays_lost_is_reported_until_it_is_replaced() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().held.clear();
    fake.fault("create", "", Fault::Refuses(GraphErrorKind::Forbidden));
    let report = fake.run(&config("Global")).await;
    assert!(matches!(verdict(&report), Err(NotCovered::PolicyUnwatched(_))));
    fake.run(&config("Global")).await;
    fake.assert_sound(&config("Global"));
    fake.run(&config("Global")).await;
    let states: Vec<_> = fake.state.borrow().events.iter().map(|event| event.state).collect();
    assert_eq!(states, ["lost", "recreated"]);
}

#[tokio::test]
async fn a_subscription_that_is_gone_when_it_is_renewed_is_replaced() {
    let fake = settled("Global").await;
    fake.fault("renew", "", Fault::Vanishes);
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    assert_eq!((fake.called("renew"), fake.called("create")), (1, 1));
    assert_eq!(fake.state.borrow().events[0].lost_subscription_id, "new-4");
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn ours_with_an_unknown_client_state_is_replaced() {
    let fake = Fake::new();
    fake.hold("old", &policy("Global"), URL, "who knows");
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    assert!(report.policies[0].explanation.as_ref().unwrap().contains("client state"), "{report:?}");
    fake.assert_sound(&config("Global"));
    assert!(fake.state.borrow().events.is_empty());
}

#[tokio::test]
async fn a_lost_keyring_makes_every_client_state_unknown() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().secrets.remove("keyring");
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    fake.assert_sound(&config("Global"));
    // So it is with an empty one, which the page on leaks has an operator store.
    for empty in [r#"{"version": 1}"#, "", " "] {
        fake.state.borrow_mut().secrets.insert("keyring".to_owned(), empty.to_owned());
        let report = fake.run(&config("Global")).await;
        assert_eq!(outcomes(&report), only("Global", Recreated), "{empty}");
        fake.assert_sound(&config("Global"));
    }
}

#[tokio::test]
async fn what_is_in_the_way_is_deleted() {
    let fake = Fake::new();
    fake.hold("theirs", &policy("Global"), "https://elsewhere.example/", "x");
    fake.hold("unrelated", &policy("Other"), "https://elsewhere.example/", "x");
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    assert!(fake.ids().contains(&"unrelated".to_owned()) && !fake.ids().contains(&"theirs".to_owned()));
    // It may be another installation's, and take ours again.
    assert!(!report.ok && report.problems[0].contains("elsewhere.example"), "{report:?}");
    assert!(fake.state.borrow().lines.last().unwrap().contains(r#""Problems":1"#));
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_subscription_that_the_list_hid_is_renewed_if_it_is_recorded() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().hidden_from_next_list = true;
    let report = fake.run(&config("Global")).await;
    assert_eq!((fake.called("create"), fake.called("delete"), fake.called("renew")), (0, 0, 1));
    assert_eq!(report.policies[0].subscription_id.as_deref(), Some("new-4"));
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_subscription_that_the_list_hid_is_replaced_if_nobody_knows_its_client_state() {
    let fake = Fake::new();
    fake.hold("old", &policy("Global"), URL, "who knows");
    fake.state.borrow_mut().hidden_from_next_list = true;
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_found_and_not_repeated() {
    let fake = Fake::new();
    fake.fault("create", "", Fault::AnswerLost);
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Adopted));
    assert_eq!((fake.called("create"), fake.called("delete"), fake.called("list")), (1, 0, 2));
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_creation_that_came_to_nothing_is_tried_again_after_a_look_at_the_list() {
    let fake = Fake::new();
    fake.fault("create", "", Fault::Refuses(GraphErrorKind::Transport));
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Created));
    assert_eq!((fake.called("create"), fake.called("list")), (2, 2));
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn passing_failures_are_outlasted_with_growing_pauses() {
    let fake = settled("Global").await;
    for kind in [GraphErrorKind::Throttled, GraphErrorKind::Unavailable, GraphErrorKind::Transport] {
        fake.fault("renew", "", Fault::Refuses(kind));
    }
    fake.fault("list", "", Fault::Refuses(GraphErrorKind::Unavailable));
    let report = fake.run(&config("Global")).await;
    assert!(report.ok, "{report:?}");
    let pauses = fake.state.borrow().sleeps.clone();
    assert_eq!(pauses.iter().map(std::time::Duration::as_millis).collect::<Vec<_>>(), [1500, 1500, 3000, 6000]);
    let fake = Fake::new();
    fake.fault("create", "", Fault::Refuses(GraphErrorKind::HandshakeFailed));
    assert!(fake.run(&config("Global")).await.ok);
    assert_eq!((fake.called("create"), fake.called("list")), (2, 1));
}

#[tokio::test]
async fn the_pause_that_graph_asks_for_is_kept() {
    let fake = settled("Global").await;
    fake.fault("renew", "", Fault::AsksToWait(33));
    assert!(fake.run(&config("Global")).await.ok);
    assert_eq!(fake.state.borrow().sleeps, [std::time::Duration::from_secs(33)]);
    // Longer than the run has left: the next run goes on.
    fake.fault("renew", "", Fault::AsksToWait(600));
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Failed));
    assert_eq!(fake.state.borrow().sleeps.len(), 1);
}

#[tokio::test]
async fn what_stays_is_not_tried_again() {
    let fake = settled("Global").await;
    fake.fault("renew", "", Fault::Refuses(GraphErrorKind::Forbidden));
    let report = fake.run(&config("Global")).await;
    assert_eq!((outcomes(&report), fake.called("renew")), (only("Global", Failed), 1));
    // The subscription is there, and yet Graph will stop delivering: the invocation fails.
    assert!(report.policies[0].seconds_remaining > 0);
    assert!(matches!(verdict(&report), Err(NotCovered::NothingRenewed(_))));
}

#[tokio::test]
async fn a_refused_token_is_replaced_once() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().refused_tokens = 1;
    assert!(fake.run(&config("Global")).await.ok);
    assert_eq!(fake.called("token"), 2);
    fake.state.borrow_mut().refused_tokens = 1000;
    assert!(!fake.run(&config("Global")).await.ok);
}

#[tokio::test]
async fn a_token_is_fetched_anew_before_it_is_a_minute_old() {
    let policies: Vec<String> = (0..20).map(|n| format!("Policy {n}")).collect();
    let fake = settled(&policies.join(",")).await;
    // 20 renewals and the list take 10 seconds each: the fake refuses tokens older than a minute.
    fake.state.borrow_mut().call_takes = SignedDuration::from_secs(10);
    let report = fake.run(&config(&policies.join(","))).await;
    assert!(report.ok, "{report:?}");
    assert!(fake.called("token") >= 4, "{}", fake.called("token"));
}

#[tokio::test]
async fn out_of_time_no_call_begins() {
    let policies: Vec<String> = (0..20).map(|n| format!("Policy {n}")).collect();
    let fake = settled(&policies.join(",")).await;
    fake.state.borrow_mut().call_takes = SignedDuration::from_secs(30);
    let start = fake.now();
    let report = fake.run(&config(&policies.join(","))).await;
    assert!(outcomes(&report).iter().any(|(_, outcome)| *outcome == Failed));
    assert!(outcomes(&report).iter().any(|(_, outcome)| *outcome == Renewed));
    assert!(fake.now() <= start + SignedDuration::from_secs(300));
    assert!(fake.state.borrow().lease.is_none());
}

#[tokio::test]
async fn one_policy_or_tenant_that_fails_holds_back_no_other() {
    let policies = format!("Global,Warehouse,{OTHER}/Global");
    let fake = settled(&policies).await;
    // The second one of a tenant is created a moment later than the first one of another.
    fake.fault("renew", "new-6", Fault::Refuses(GraphErrorKind::Invalid));
    fake.state.borrow_mut().entra_refuses = Some(OTHER.parse().unwrap());
    let report = fake.run(&config(&policies)).await;
    let names: Vec<_> = report.policies.iter().map(|one| (one.tenant_id.to_string(), one.outcome)).collect();
    let expected = [(TENANT.to_owned(), Renewed), (TENANT.to_owned(), Failed), (OTHER.to_owned(), Failed)];
    assert_eq!(names, expected);
    // What cannot be looked at is reported as it was last known, and the invocation is no failure yet.
    assert_eq!(report.policies[2].subscription_id.as_deref(), Some("new-5"));
    assert!((83_699..=83_700).contains(&report.policies[2].seconds_remaining), "{report:?}");
    assert!(report.policies[2].explanation.as_ref().unwrap().contains("ClientSecret is wrong"), "{report:?}");
    assert_eq!(verdict(&report), Ok(()));
    assert!(fake.state.borrow().lines.last().unwrap().contains(r#""RenewalFailures":2"#));
}

#[tokio::test]
async fn strays_with_our_address_are_deleted_and_their_records_forgotten() {
    let fake = settled("Global,Warehouse").await;
    fake.hold("foreign", &policy("Foreign"), "https://elsewhere.example/", "x");
    let report = fake.run(&config("Global")).await;
    assert!(report.ok, "{report:?}");
    assert_eq!((report.strays.len(), report.strays[0].deleted), (1, true));
    assert_eq!(fake.ids(), ["new-4", "foreign"]);
    fake.run(&config("Global")).await;
    assert_eq!(fake.state.borrow().records.len(), 1);
}

#[tokio::test]
async fn strays_that_cannot_be_deleted_at_once_are_deleted_a_moment_later() {
    let fake = settled("Global").await;
    fake.hold("stray", &policy("Gone"), URL, "x");
    fake.fault("delete", "", Fault::Refuses(GraphErrorKind::Unavailable));
    let report = fake.run(&config("Global")).await;
    assert!(report.ok && report.strays[0].deleted, "{report:?}");
    assert_eq!((fake.ids(), fake.called("delete")), (vec!["new-4".to_owned()], 2));
}

#[tokio::test]
async fn of_several_the_known_one_stays() {
    let fake = settled("Global").await;
    fake.hold("longer", &policy("Global"), URL, "who knows");
    fake.held("longer", |one| one.expires_at = START + SignedDuration::from_hours(100));
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Renewed));
    assert_eq!(fake.ids(), ["new-4"]);
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn what_graph_does_not_say_proves_no_change() {
    let fake = settled("Global").await;
    fake.held("new-4", |one| one.lifecycle_notification_url = None);
    assert_eq!(outcomes(&fake.run(&config("Global")).await), only("Global", Renewed));
    fake.held("new-4", |one| one.notification_url = String::new());
    assert_eq!(outcomes(&fake.run(&config("Global")).await), only("Global", Renewed));
}

#[tokio::test]
async fn what_somebody_changed_is_replaced_once_a_day_and_told() {
    let elsewhere = |fake: &Fake| {
        let id = fake.ids()[0].clone();
        fake.held(&id, |one| one.notification_url = "https://elsewhere.example/".to_owned());
    };
    // Graph shows it when it is asked for, or, where it does not answer then, with the renewal.
    for hidden in [false, true] {
        let fake = settled("Global").await;
        elsewhere(&fake);
        if hidden {
            fake.fault("get", "", Fault::Refuses(GraphErrorKind::Unavailable));
        }
        let report = fake.run(&config("Global")).await;
        assert_eq!(outcomes(&report), only("Global", Recreated), "{report:?}");
        fake.assert_sound(&config("Global"));
        let state = |fake: &Fake| {
            fake.state.borrow().events.last().map(|event| (event.state, event.lost_subscription_id.clone()))
        };
        assert_eq!(state(&fake), Some(("tampered", "new-4".to_owned())));
        assert!(fake.state.borrow().lines.last().unwrap().contains(r#""SubscriptionsLost":1"#));
        // Again within the day: it stays, the run says so, and the calls under it count as not reported.
        fake.advance(SignedDuration::from_hours(23));
        elsewhere(&fake);
        let (ids, report) = (fake.ids(), fake.run(&config("Global")).await);
        assert_eq!((outcomes(&report), fake.ids()), (only("Global", Failed), ids));
        assert!(!report.ok && report.problems[0].contains("less than a day ago"), "{report:?}");
        assert!(report.policies[0].seconds_remaining > 84_000, "it is renewed all the same");
        assert_eq!(fake.state.borrow().events.len(), 1);
        fake.advance(SignedDuration::from_hours(1));
        assert_eq!(outcomes(&fake.run(&config("Global")).await), only("Global", Recreated));
        fake.assert_sound(&config("Global"));
    }
}

/// A lie of Graph's list: its name, what is listed, and what the report says of it.
type Lie<'a> = (&'a str, &'a dyn Fn(&Fake) -> Listing, &'a [&'a str]);

#[tokio::test]
async fn a_list_that_lies_decides_nothing_about_what_is_recorded() {
    let policies = config("Global,Warehouse");
    let elsewhere = |fake: &Fake| {
        let mut lie = fake.state.borrow().held[0].subscription.clone();
        lie.notification_url = "https://elsewhere.example/".to_owned();
        lie
    };
    let both = |fake: &Fake| fake.state.borrow().held.iter().map(|held| held.subscription.clone()).collect::<Vec<_>>();
    let lies: [Lie<'_>; 5] = [
        ("empty", &|_| Listing::default(), &["leaves out live subscriptions: new-4 (Global), new-5 (Warehouse)"]),
        (
            "partial",
            &|fake| Listing { subscriptions: both(fake).split_off(1), ..Listing::default() },
            &["leaves out live subscriptions: new-4 (Global)"],
        ),
        (
            "contradicting",
            &|fake| Listing { subscriptions: vec![elsewhere(fake), both(fake).remove(1)], ..Listing::default() },
            &["shows another address or policy than Graph does by the id: new-4 (Global)"],
        ),
        (
            "unreadable",
            &|fake| Listing {
                subscriptions: both(fake),
                unreadable: vec!["s9".to_owned(), "item 2, which has no id".to_owned()],
                ..Listing::default()
            },
            &["holds what cannot be read: s9, item 2, which has no id"],
        ),
        (
            "cut short",
            &|fake| Listing {
                subscriptions: both(fake),
                cut_short: Some(crate::fake::error(GraphErrorKind::Unavailable)),
                ..Listing::default()
            },
            &["ends before its end: Microsoft Graph is not available"],
        ),
    ];
    for (name, lie, findings) in lies {
        let fake = settled("Global,Warehouse").await;
        let ids = fake.ids();
        for _ in 0..3 {
            fake.advance(QUARTER);
            let lie = lie(&fake);
            fake.state.borrow_mut().lies = Some(lie);
            let report = fake.run(&policies).await;
            assert!(report.ok && report.policies.iter().all(|policy| policy.outcome == Renewed), "{name}: {report:?}");
            assert!(report.strays.is_empty() && fake.ids() == ids, "{name}: {report:?}");
            assert_eq!(report.list_findings.len(), findings.len(), "{name}: {report:?}");
            for (said, expected) in report.list_findings.iter().zip(findings) {
                assert!(said.contains(expected) && said.contains(TENANT), "{name}: {said}");
            }
            fake.assert_sound(&policies);
        }
    }
    // One that is gone and still listed is created anew, and its ghost is not deleted again and again.
    let fake = settled("Global,Warehouse").await;
    let ghosts = both(&fake);
    fake.state.borrow_mut().lies = Some(Listing { subscriptions: ghosts, ..Listing::default() });
    fake.state.borrow_mut().held.remove(0);
    let report = fake.run(&policies).await;
    assert_eq!(outcomes(&report), [("Global".to_owned(), Recreated), ("Warehouse".to_owned(), Renewed)]);
    assert!(report.list_findings[0].contains("names subscriptions that are gone: new-4 (Global)"), "{report:?}");
    fake.assert_sound(&policies);
}

#[tokio::test]
async fn without_records_and_a_list_nothing_recorded_is_overwritten() {
    let fake = settled("Global,Warehouse").await;
    let (ids, records) = (fake.ids(), fake.state.borrow().records.clone());
    fake.state.borrow_mut().records_unreadable = true;
    fake.state.borrow_mut().lies = Some(Listing::default());
    fake.run(&config("Global,Warehouse")).await;
    assert_eq!((fake.ids(), &fake.state.borrow().records), (ids.clone(), &records));
    fake.state.borrow_mut().records_unreadable = false;
    let report = fake.run(&config("Global,Warehouse")).await;
    assert!(report.ok && fake.ids() == ids, "{report:?}");
    fake.assert_sound(&config("Global,Warehouse"));
}

#[tokio::test]
async fn a_subscription_that_graph_denies_and_will_not_have_twice_is_renewed_by_its_id() {
    let fake = settled("Global").await;
    fake.fault("get", "", Fault::Refuses(GraphErrorKind::NotFound));
    fake.state.borrow_mut().lies = Some(Listing::default());
    let report = fake.run(&config("Global")).await;
    assert_eq!((outcomes(&report), fake.ids()), (only("Global", Adopted), vec!["new-4".to_owned()]));
    assert!(
        fake.state.borrow().records.values().all(|record| record.replaces.is_none()),
        "one that lives was not lost"
    );
    assert_eq!((fake.called("create"), fake.called("renew"), fake.called("delete")), (1, 1, 0));
    assert!(fake.state.borrow().events.is_empty(), "nothing was lost");
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_creation_whose_answer_was_lost_is_found_by_the_conflict_while_lists_lie() {
    let fake = Fake::new();
    fake.state.borrow_mut().names_guids = true;
    fake.state.borrow_mut().lies = Some(Listing::default());
    fake.fault("create", "", Fault::AnswerLost);
    let report = fake.run(&config("Global")).await;
    assert_eq!((outcomes(&report), fake.ids().len()), (only("Global", Adopted), 1), "{report:?}");
    fake.assert_sound(&config("Global"));
}

/// A keyring in which another key is older than the one that subscriptions have.
fn with_an_older_key(fake: &Fake) {
    let mut keyring = fake.keyring();
    let mut older = keyring.keys[0].clone();
    older.certificate_id = "key-older".to_owned();
    keyring.keys.insert(0, older);
    fake.state.borrow_mut().secrets.insert("keyring".to_owned(), keyring.to_json().unwrap().to_string());
}

#[tokio::test]
async fn a_certificate_that_a_renewal_does_not_change_is_changed_by_replacing() {
    let fake = settled("Global").await;
    with_an_older_key(&fake);
    fake.state.borrow_mut().certificate_patch_ignored = true;
    fake.held("new-4", |one| one.encryption_certificate_id = Some("key-older".to_owned()));
    let report = fake.run(&config("Global")).await;
    // Once to see it, and twice to read back what the renewal did.
    assert_eq!((outcomes(&report), fake.called("get")), (only("Global", Recreated), 3));
    assert!(report.policies[0].explanation.as_ref().unwrap().contains("new certificate"), "{report:?}");
    fake.assert_sound(&config("Global"));
    // So it is with one whose key is lost.
    let id = fake.ids()[0].clone();
    fake.held(&id, |one| one.encryption_certificate_id = Some("key-lost".to_owned()));
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn after_a_replacement_that_failed_no_other_subscription_is_given_up_for_its_certificate() {
    let policies = "Global,Warehouse,Lab";
    let fake = settled(policies).await;
    with_an_older_key(&fake);
    fake.state.borrow_mut().certificate_patch_ignored = true;
    for id in fake.ids() {
        fake.held(&id, |one| one.encryption_certificate_id = Some("key-older".to_owned()));
    }
    fake.fault("create", "", Fault::Refuses(GraphErrorKind::Forbidden));
    let report = fake.run(&config(policies)).await;
    let failed = report.policies.iter().filter(|policy| policy.outcome == Failed).count();
    assert_eq!((failed, fake.ids().len(), fake.called("delete")), (1, 2, 1), "{report:?}");
    assert!(report.policies.iter().any(|policy| {
        policy.outcome == Renewed && policy.explanation.as_ref().is_some_and(|why| why.contains("key is at hand"))
    }));
    fake.run(&config(policies)).await;
    fake.assert_sound(&config(policies));
}

#[tokio::test]
async fn what_works_is_not_given_up_at_the_end_of_a_run() {
    let fake = settled("Global").await;
    with_an_older_key(&fake);
    fake.state.borrow_mut().certificate_patch_ignored = true;
    fake.held("new-4", |one| one.encryption_certificate_id = Some("key-older".to_owned()));
    let short = Invocation { owner: "me", ends_at: fake.now() + SignedDuration::from_secs(140) };
    let report = reconcile(&fake, &config("Global"), short, &Asked::BySchedule).await;
    assert_eq!((outcomes(&report), fake.called("delete")), (only("Global", Renewed), 0));
    assert_eq!(outcomes(&fake.run(&config("Global")).await), only("Global", Recreated));
}

#[tokio::test]
async fn a_new_key_is_stored_and_then_given_to_every_subscription() {
    for (ignored, refused) in [(false, None), (true, None), (false, Some(GraphErrorKind::Invalid))] {
        let fake = settled("Global,Warehouse").await;
        fake.state.borrow_mut().certificate_patch_ignored = ignored;
        fake.state.borrow_mut().certificate_patch_refused = refused;
        let old = fake.keyring().keys[0].certificate_id.clone();
        let report = fake.run_for(&config("Global,Warehouse"), &Asked::ToRotate).await;
        assert!(report.ok && report.keyring.rotated && report.action == "rotate", "{report:?}");
        let keyring = fake.keyring();
        assert_eq!((keyring.keys.len(), &keyring.keys[0].certificate_id), (2, &old));
        let new = keyring.keys[1].certificate_id.clone();
        assert_eq!(report.keyring.certificate_id.as_ref(), Some(&new));
        let used = |held: &crate::fake::Held| held.subscription.encryption_certificate_id.clone();
        assert!(fake.state.borrow().held.iter().all(|held| used(held).as_ref() == Some(&new)));
        fake.assert_sound(&config("Global,Warehouse"));
        // The old one stays for two days after the last reference to it, which this run has still seen.
        fake.advance(QUARTER);
        assert!(fake.run(&config("Global,Warehouse")).await.keyring.removed_certificate_ids.is_empty());
        assert!(fake.keyring().keys[0].retired_at.is_some());
        fake.advance(SignedDuration::from_hours(47));
        fake.run(&config("Global,Warehouse")).await;
        assert_eq!(fake.keyring().keys.len(), 2);
        fake.state.borrow_mut().held.iter_mut().for_each(|held| held.subscription.expires_at = START + LIFETIME * 4);
        fake.advance(SignedDuration::from_hours(1));
        let report = fake.run(&config("Global,Warehouse")).await;
        assert_eq!((report.keyring.removed_certificate_ids, fake.keyring().keys.len()), (vec![old], 1));
        fake.assert_sound(&config("Global,Warehouse"));
    }
}

#[tokio::test]
async fn a_key_that_is_due_is_changed_in_the_night() {
    let fake = settled("Global").await;
    // START is 16:00 UTC; ninety days later the key is due, and the night begins ten hours after that.
    let rotated_at = async |elapsed: SignedDuration| {
        fake.state.borrow_mut().elapsed = elapsed;
        let now = fake.now();
        fake.state.borrow_mut().held.iter_mut().for_each(|held| held.subscription.expires_at = now + QUARTER);
        fake.run(&config("Global")).await.keyring.rotated
    };
    let due = SignedDuration::from_hours(90 * 24);
    assert!(!rotated_at(due - SignedDuration::from_hours(14)).await, "it is night, but the key is not due");
    assert!(!rotated_at(due + SignedDuration::from_hours(9)).await, "it is due, but the evening is not over");
    assert!(rotated_at(due + SignedDuration::from_hours(10)).await);
    assert!(!rotated_at(due + SignedDuration::from_hours(11)).await, "the new key is not due");
}

#[tokio::test]
async fn nobody_can_fill_the_secret_with_keys() {
    let fake = settled("Global").await;
    for _ in 0..7 {
        assert!(fake.run_for(&config("Global"), &Asked::ToRotate).await.keyring.rotated);
    }
    let report = fake.run_for(&config("Global"), &Asked::ToRotate).await;
    assert!(!report.ok && !report.keyring.rotated && report.problems[0].contains("8 keys"), "{report:?}");
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_new_key_that_cannot_be_stored_is_not_used() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().keyring_writes_fail = true;
    let report = fake.run_for(&config("Global"), &Asked::ToRotate).await;
    assert!(!report.ok && !report.keyring.rotated && report.problems[0].contains("cannot be stored"), "{report:?}");
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn what_cannot_be_seen_is_not_taken_for_unused() {
    let policies = format!("Global,{OTHER}/Global");
    let fake = settled(&policies).await;
    fake.run_for(&config(&policies), &Asked::ToRotate).await;
    for (unseen, what) in [(true, "records"), (false, "a tenant's list")] {
        fake.state.borrow_mut().table_down = unseen;
        fake.state.borrow_mut().entra_refuses = (!unseen).then(|| OTHER.parse().unwrap());
        fake.advance(SignedDuration::from_mins(20));
        fake.run(&config(&policies)).await;
        assert!(fake.keyring().keys.iter().all(|key| key.retired_at.is_none()), "{what}");
    }
    fake.state.borrow_mut().entra_refuses = None;
    fake.run(&config(&policies)).await;
    assert!(fake.keyring().keys[0].retired_at.is_some());
}

/// A world after a run of an earlier version, which drew a client state and stored it.
async fn settled_by_an_earlier_version(policies: &str) -> Fake {
    let fake = settled(policies).await;
    let mut keyring = fake.keyring();
    keyring.client_state_keys.clear();
    keyring.client_states.push(StoredClientState {
        id: "state-before".to_owned(),
        value: ClientState::from("secret-state-before".to_owned()),
        created_at: START,
        retired_at: None,
    });
    store(&fake, &keyring);
    let mut state = fake.state.borrow_mut();
    state.held.iter_mut().for_each(|held| held.client_state = "secret-state-before".to_owned());
    state.records.values_mut().for_each(|record| record.client_state_id = "state-before".to_owned());
    drop(state);
    fake
}

fn store(fake: &Fake, keyring: &Keyring) {
    fake.state.borrow_mut().secrets.insert("keyring".to_owned(), keyring.to_json().unwrap().to_string());
}

fn client_state_of(fake: &Fake, name: &str) -> String {
    fake.state.borrow().records[&crate::records::sort_key(&policy(name))].client_state_id.clone()
}

#[tokio::test]
async fn an_upgrade_keeps_stored_client_states_until_their_subscriptions_are_replaced() {
    let fake = settled_by_an_earlier_version("Global,Warehouse").await;
    let report = fake.run(&config("Global,Warehouse")).await;
    assert!(report.ok, "{report:?}");
    assert_eq!((fake.called("renew"), fake.called("create"), fake.called("delete")), (2, 0, 0));
    fake.assert_sound(&config("Global,Warehouse"));
    // A new subscription gets a client state that is made.
    fake.state.borrow_mut().held.remove(0);
    fake.run(&config("Global,Warehouse")).await;
    let keyring = fake.keyring();
    let generation = keyring.current_client_state_key().unwrap().id.clone();
    let states = (client_state_of(&fake, "Global"), client_state_of(&fake, "Warehouse"));
    assert_eq!(states, (generation.clone(), "state-before".to_owned()));
    assert_eq!((keyring.client_states.len(), keyring.client_states[0].retired_at), (1, None));
    fake.assert_sound(&config("Global,Warehouse"));
    // The stored one is accepted as long as Graph may repeat a notification, and longer.
    fake.state.borrow_mut().held.retain(|held| held.subscription.resource.contains("Global"));
    fake.run(&config("Global,Warehouse")).await;
    fake.advance(QUARTER);
    fake.run(&config("Global,Warehouse")).await;
    assert!(fake.keyring().client_states[0].retired_at.is_some());
    fake.advance(SignedDuration::from_hours(47));
    fake.state.borrow_mut().held.iter_mut().for_each(|held| held.subscription.expires_at = START + LIFETIME * 9);
    fake.run(&config("Global,Warehouse")).await;
    assert_eq!(fake.keyring().client_states.len(), 1);
    fake.advance(SignedDuration::from_hours(1));
    fake.run(&config("Global,Warehouse")).await;
    let keyring = fake.keyring();
    assert_eq!((keyring.client_states.len(), &keyring.client_state_keys[0].id), (0, &generation));
    fake.assert_sound(&config("Global,Warehouse"));
}

#[tokio::test]
async fn each_policy_has_a_client_state_of_its_own_and_costs_the_secret_nothing() {
    let names: Vec<String> = (0..200).map(|number| format!("Policy {number}")).collect();
    let (few, many) = (settled("Global").await, settled(&names.join(",")).await);
    let size = |fake: &Fake| fake.state.borrow().secrets["keyring"].len();
    assert_eq!(size(&few), size(&many));
    let state = many.state.borrow();
    let distinct: std::collections::BTreeSet<_> = state.held.iter().map(|held| &held.client_state).collect();
    assert_eq!(distinct.len(), 200);
}

#[tokio::test]
async fn an_old_client_state_is_better_than_no_subscription() {
    let fake = settled_by_an_earlier_version("Global").await;
    fake.state.borrow_mut().held.clear();
    fake.state.borrow_mut().keyring_writes_fail = true;
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    assert!(report.problems[0].contains("cannot be stored"), "{report:?}");
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn an_end_that_is_earlier_than_requested_is_a_problem() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().shortens_to = Some(SignedDuration::from_hours(1));
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Renewed));
    assert!(!report.ok && report.problems[0].contains("instead of"), "{report:?}");
}

#[tokio::test]
async fn another_run_that_holds_the_lease_is_left_alone() {
    let fake = settled("Global").await;
    let held_for = |seconds| Some(("another".to_owned(), fake.now() + SignedDuration::from_secs(seconds)));
    // A repair is short, and the schedule's own work is not done by it.
    fake.state.borrow_mut().lease = held_for(50);
    assert_eq!(outcomes(&fake.run(&config("Global")).await), only("Global", Renewed));
    fake.state.borrow_mut().calls.clear();
    fake.state.borrow_mut().lease = held_for(300);
    let report = fake.run(&config("Global")).await;
    assert_eq!((report.ok, report.skipped), (true, Some("another run holds the lease")));
    assert_eq!(verdict(&report), Ok(()));
    assert!(fake.state.borrow().calls.iter().all(|call| call == "take lease"));
    // Somebody who asks is told that nothing was done, after a wait.
    fake.state.borrow_mut().lease = Some(("another".to_owned(), fake.now() + SignedDuration::from_secs(3000)));
    let report = fake.run_for(&config("Global"), &Asked::ToReconcile).await;
    assert!(!report.ok && report.skipped.is_some(), "{report:?}");
    fake.state.borrow_mut().lease = Some(("another".to_owned(), fake.now() + SignedDuration::from_secs(1)));
    // A lease that has ended holds nobody back.
    fake.advance(SignedDuration::from_secs(2));
    assert_eq!(outcomes(&fake.run(&config("Global")).await), only("Global", Renewed));
}

#[tokio::test]
async fn without_the_state_table_it_renews_and_creates_and_deletes_nothing() {
    // It is down, or does not answer: the SDK's attempts take that long.
    for slow in [None, Some(("table".to_owned(), SignedDuration::from_secs(16)))] {
        let fake = settled("Global").await;
        fake.hold("twin", &policy("Global"), URL, "who knows");
        fake.hold("stray", &policy("Gone"), URL, "x");
        fake.hold("theirs", &policy("Blocked"), "https://elsewhere.example/", "x");
        fake.state.borrow_mut().table_down = slow.is_none();
        fake.state.borrow_mut().slow = slow;
        let begun = fake.now();
        let report = fake.run(&config("Global,Warehouse,Blocked")).await;
        let expected = [("Global", Renewed), ("Global", Renewed), ("Warehouse", Created), ("Blocked", Failed)];
        assert_eq!(outcomes(&report), expected.map(|(name, outcome)| (name.to_owned(), outcome)));
        assert_eq!(fake.called("delete"), 0);
        assert!(!report.ok && report.problems.iter().any(|problem| problem.contains("DynamoDB is down")), "{report:?}");
        assert!(fake.now().duration_since(begun) <= SignedDuration::from_secs(300));
        // When it is back, what it does not know is replaced.
        fake.state.borrow_mut().table_down = false;
        fake.state.borrow_mut().slow = None;
        fake.run(&config("Global,Warehouse,Blocked")).await;
        fake.assert_sound(&config("Global,Warehouse,Blocked"));
    }
}

#[tokio::test]
async fn a_lease_that_cannot_be_given_back_at_once_is_given_back_later_unless_somebody_waits() {
    let lifecycle = LifecycleEvent { lifecycle_event: "missed".to_owned(), subscription_id: None };
    for (asked, attempts) in [
        (Asked::BySchedule, 6),
        (Asked::ByGraph(lifecycle), 6),
        (Asked::ToReconcile, 1),
        (Asked::ToRotate, 1),
        (Asked::ToReplaceLeaked, 1),
        (Asked::ByDeployment, 1),
    ] {
        let fake = settled("Global").await;
        fake.state.borrow_mut().releases_fail = 5;
        fake.state.borrow_mut().calls.clear();
        let report = fake.run_for(&config("Global"), &asked).await;
        assert_eq!((fake.called("release lease"), report.ok), (attempts, attempts > 1), "{asked:?}: {report:?}");
    }
    // No longer than the function has.
    let fake = settled("Global").await;
    fake.state.borrow_mut().releases_fail = 1000;
    fake.state.borrow_mut().calls.clear();
    let before = fake.now();
    let report = fake.run_for(&config("Global"), &Asked::BySchedule).await;
    assert!(report.problems[0].contains("the lease cannot be given back"), "{report:?}");
    let lasted = fake.now().duration_since(before).as_secs();
    assert!((240..=250).contains(&lasted), "{lasted}");
}

#[tokio::test]
async fn an_unreadable_keyring_is_left_as_it_is() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().secrets.insert("keyring".to_owned(), "{\"version\":1,".to_owned());
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Failed));
    assert!(report.policies[0].explanation.as_ref().unwrap().contains("left as it is"), "{report:?}");
    assert_eq!(fake.state.borrow().secrets["keyring"], "{\"version\":1,");
    assert_eq!((fake.called("renew"), fake.called("create"), fake.called("write")), (1, 0, 0));
    // A receiver that is warm still has the keys.
    let ends = fake.state.borrow().held[0].subscription.expires_at;
    assert!(
        ends > fake.now() + LIFETIME - SignedDuration::from_secs(1) && report.policies[0].seconds_remaining > 84_000
    );
    assert!(verdict(&report).is_err());
    assert!(fake.state.borrow().lease.is_none());
}

#[tokio::test]
async fn nothing_is_given_to_graph_that_could_not_be_stored() {
    let fake = Fake::new();
    fake.state.borrow_mut().keyring_writes_fail = true;
    let report = fake.run(&config("Global")).await;
    assert_eq!((outcomes(&report), fake.called("create")), (only("Global", Failed), 0));
}

#[tokio::test]
async fn an_empty_client_secret_names_the_parameter() {
    let fake = Fake::new();
    fake.state.borrow_mut().secrets.remove("client-secret");
    let report = fake.run(&config("Global")).await;
    assert!(report.policies[0].explanation.as_ref().unwrap().contains("parameter ClientSecret"), "{report:?}");
}

#[tokio::test]
async fn signing_keys_are_written_when_they_change_or_have_aged() {
    let fake = settled("Global").await;
    assert!(!fake.run(&config("Global")).await.keyring.written);
    fake.state.borrow_mut().kids.push("kid-2".to_owned());
    let report = fake.run(&config("Global")).await;
    assert!(report.keyring.written && report.signing_keys.count == 2, "{report:?}");
    fake.advance(SignedDuration::from_hours(12));
    assert!(!fake.run(&config("Global")).await.keyring.written);
    fake.advance(SignedDuration::from_secs(1));
    assert!(fake.run(&config("Global")).await.keyring.written);
    assert_eq!(fake.keyring().signing_keys.unwrap().fetched_at, fake.now());
    // A key that Entra no longer gives out goes.
    fake.state.borrow_mut().kids.remove(0);
    fake.run(&config("Global")).await;
    assert_eq!(fake.keyring().signing_keys.unwrap().keys[0].kid, "kid-2");
}

#[tokio::test]
async fn signing_keys_that_cannot_be_fetched_stay_and_hold_nothing_back() {
    let fake = settled("Global").await;
    let stored = fake.keyring().signing_keys;
    fake.state.borrow_mut().signing_keys_down = true;
    fake.advance(SignedDuration::from_hours(13));
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Renewed));
    assert!(!report.ok && report.problems[0].contains("signing keys"), "{report:?}");
    assert_eq!(fake.keyring().signing_keys, stored);
    // So it is on the first run.
    let first = Fake::new();
    first.state.borrow_mut().signing_keys_down = true;
    assert_eq!(outcomes(&first.run(&config("Global")).await), only("Global", Created));
    first.assert_sound(&config("Global"));
}

#[tokio::test]
async fn metrics_speak_of_every_policy_and_of_the_function() {
    let fake = Fake::new();
    fake.fault("create", "Warehouse", Fault::Refuses(GraphErrorKind::Forbidden));
    fake.run(&config("Global,Warehouse")).await;
    let lines: Vec<Value> = fake.state.borrow().lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert_eq!(lines[0]["SubscriptionSecondsRemaining"], 84_600);
    assert_eq!(lines[1]["SubscriptionSecondsRemaining"], 0);
    assert_eq!(lines[1]["Policy"], format!("{TENANT}/Warehouse"));
    let directive = &lines[0]["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "TeamsEmergencyAlerts");
    assert_eq!(directive["Dimensions"], json!([["FunctionName"], ["FunctionName", "Policy"]]));
    assert_eq!((&lines[2]["RenewalFailures"], &lines[2]["FunctionName"]), (&json!(1), &json!("renewer")));
}

#[tokio::test]
async fn nothing_secret_leaves_the_run() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().held.clear();
    let report = fake.run(&config("Global")).await;
    let state = fake.state.borrow();
    let said = format!("{report:?} {:?} {:?} {:?}", state.lines, state.events, state.records);
    let keyring = &state.secrets["keyring"];
    let key = keyring.split("\"privateKey\":\"").nth(1).unwrap().get(..40).unwrap();
    let made = fake.keyring().client_state_keys[0].client_state(&policy("Global"));
    let made_by = keyring.split("\"key\":\"").nth(1).unwrap().get(..40).unwrap();
    for secret in ["hunter2", made.expose(), made_by, "the-token", key] {
        assert!(!said.contains(secret), "{said}");
    }
}

#[tokio::test]
async fn an_event_bus_that_is_down_is_a_problem_and_no_more() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().held.clear();
    fake.state.borrow_mut().bus_down = true;
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    assert!(report.problems[0].contains("EventBridge is down"));
    // It is told, once, when the bus works again.
    fake.state.borrow_mut().bus_down = false;
    for _ in 0..2 {
        let report = fake.run(&config("Global")).await;
        assert!(report.ok, "{report:?}");
    }
    let told: Vec<_> =
        fake.state.borrow().events.iter().map(|event| (event.state, event.lost_subscription_id.clone())).collect();
    assert_eq!(told, [("recreated", "new-4".to_owned())]);
}

#[tokio::test]
async fn the_handler_does_what_the_event_asks_for() {
    let fake = Fake::new();
    let invocation = Invocation { owner: "me", ends_at: fake.now() + SignedDuration::from_secs(300) };
    let config = config("Global");
    let answer = handle(&fake, &config, &json!({"action": "reconcile"}), invocation).await.unwrap();
    assert!(matches!(answer, Answer::Run(report) if report.ok));
    let calls = fake.state.borrow().calls.len();
    let answer = handle(&fake, &config, &json!({"action": "check"}), invocation).await.unwrap();
    assert!(matches!(&answer, Answer::Check(report) if report.action == "check"), "{answer:?}");
    let writes = ["write", "record", "forget", "create", "renew", "delete", "take", "announce", "event"];
    let looked = fake.state.borrow().calls[calls..].to_vec();
    let wrote = |call: &String| writes.iter().any(|write| call.starts_with(&format!("{write} ")));
    assert!(!looked.is_empty() && !looked.iter().any(wrote), "a check changes nothing: {looked:?}");
    let error = handle(&fake, &config, &json!({"action": "fly"}), invocation).await.unwrap_err();
    assert_eq!(lambda_runtime::Diagnostic::from(error).error_type, "UnknownAction");
    fake.state.borrow_mut().held.clear();
    fake.fault("create", "", Fault::Refuses(GraphErrorKind::Forbidden));
    let error = handle(&fake, &config, &json!({"action": "reconcile"}), invocation).await.unwrap_err();
    let diagnostic = lambda_runtime::Diagnostic::from(error);
    assert_eq!(diagnostic.error_type, "PolicyUnwatched");
    assert!(diagnostic.error_message.starts_with("no subscription watches the policy Global of tenant "));
}

#[tokio::test]
async fn a_drill_is_sent_by_itself_and_once() {
    let fake = Fake::new();
    // Whatever else is wrong.
    fake.state.borrow_mut().table_down = true;
    fake.state.borrow_mut().secrets.clear();
    let config = config("Global");
    let sent = async |event: Value| handle(&fake, &config, &event, fake.invocation()).await;
    let answer = sent(json!({"action": "drill"})).await.unwrap();
    assert!(matches!(&answer, Answer::Drill(report) if report.ok && report.topic == "TestTopic"), "{answer:?}");
    assert_eq!(fake.state.borrow().calls, ["publish arn:tests", "call", "subscribers arn:tests", "filter arn:tests"]);
    assert_eq!(serde_json::to_value(&answer).unwrap()["subscribers"][0]["endpoint"], "ann@example.com");
    fake.state.borrow_mut().sns_down = true;
    let error = sent(json!({"action": "drill", "topic": "AlertTopic"})).await.unwrap_err();
    let diagnostic = lambda_runtime::Diagnostic::from(error);
    assert_eq!(diagnostic.error_type, "DrillNotSent");
    assert!(diagnostic.error_message.starts_with("the drill for AlertTopic was not sent: SNS is down"));
    assert!(sent(json!({"action": "drill", "topic": "Alert"})).await.is_err());
    assert_eq!(fake.called("publish"), 2);
}

/// Runs that die before or after each of their steps, in each of these situations: the next run repairs what they left.
#[tokio::test]
async fn after_a_crash_at_any_step_the_next_run_ends_well() {
    type Situation = fn(&Fake);
    let twin = |fake: &Fake| fake.hold("twin", &Policy { ..policy("Global") }, URL, "who knows");
    let situations: [(&str, bool, Situation); 12] = [
        ("first run", false, |_| {}),
        ("unknown client state", false, |fake| fake.hold("old", &policy("Global"), URL, "who knows")),
        ("in the way", false, |fake| fake.hold("theirs", &policy("Global"), "https://elsewhere.example/", "x")),
        ("hidden and unknown", false, |fake| {
            fake.hold("old", &policy("Global"), URL, "who knows");
            fake.state.borrow_mut().hidden_from_next_list = true;
        }),
        ("answer lost", false, |fake| fake.fault("create", "Global", Fault::AnswerLost)),
        ("renewal", true, |_| {}),
        ("lost", true, |fake| fake.state.borrow_mut().held.clear()),
        ("lost by tampering", true, |fake| {
            let id = fake.ids()[0].clone();
            fake.held(&id, |one| one.notification_url = "https://elsewhere.example/".to_owned());
        }),
        ("duplicate", true, twin),
        ("rotation", true, |_| {}),
        ("rotation of a lost one", true, |fake| {
            fake.state.borrow_mut().held.remove(0);
        }),
        ("rotation by replacing", true, |fake| fake.state.borrow_mut().certificate_patch_ignored = true),
    ];
    let config = config("Global,Warehouse");
    for (name, settled_before, prepare) in situations {
        let mut steps = 0;
        for step in 1.. {
            let mut ended = false;
            for death in [Death::BeforeStep(step), Death::AfterStep(step)] {
                let fake = if settled_before { settled("Global,Warehouse").await } else { Fake::new() };
                let before = settled_before.then(|| (fake.keyring(), fake.ids()));
                prepare(&fake);
                let asked = if name.starts_with("rotation") { Asked::ToRotate } else { Asked::ToReconcile };
                ended |= fake.run_until(&config, &asked, death).await.is_some();
                // The next run on schedule: the lease of the dead one has ended.
                fake.advance(QUARTER);
                fake.state.borrow_mut().hidden_from_next_list = false;
                let report = fake.run(&config).await;
                assert!(verdict(&report).is_ok(), "{name}, {death:?}: {report:?}");
                // Whose subscription was in the way is worth saying.
                let said = report.problems.iter().filter(|problem| !problem.contains("elsewhere.example")).count();
                assert_eq!(said, 0, "{name}, {death:?}: {report:?}");
                fake.assert_sound(&config);
                let after = fake.keyring();
                let keeps = |id: &str| after.keys.iter().any(|key| key.certificate_id == id);
                let knows = |id: &str| after.client_state_keys.iter().any(|key| key.id == id);
                if let Some((_, ids)) = &before {
                    let held = |id: &String| fake.ids().contains(id);
                    let told =
                        |id: &String| fake.state.borrow().events.iter().any(|one| one.lost_subscription_id == *id);
                    let untold: Vec<_> =
                        ids.iter().filter(|id| name.contains("lost") && !held(id) && !told(id)).collect();
                    assert!(untold.is_empty(), "{name}, {death:?}: nobody was told of {untold:?}");
                }
                let kept = before.is_none_or(|(before, _)| {
                    before.keys.iter().all(|key| keeps(&key.certificate_id))
                        && before.client_state_keys.iter().all(|key| knows(&key.id))
                });
                assert!(kept, "{name}, {death:?}: what notifications on their way need is gone");
            }
            steps = step;
            if ended {
                break;
            }
        }
        assert!(steps > 10, "{name}: {steps} steps");
    }
}

#[tokio::test]
async fn two_crashes_in_a_row_are_repaired_too() {
    let config = config("Global");
    for first in 1..20 {
        for second in 1..20 {
            let fake = Fake::new();
            fake.hold("old", &policy("Global"), URL, "who knows");
            for step in [first, second] {
                fake.run_until(&config, &Asked::ToReconcile, Death::AfterStep(step)).await;
                fake.advance(QUARTER);
            }
            let report = fake.run(&config).await;
            assert!(verdict(&report).is_ok(), "{first}, {second}: {report:?}");
            fake.assert_sound(&config);
        }
    }
}

#[tokio::test]
async fn a_subscription_whose_creation_was_not_recorded_is_adopted() {
    let config = config("Global");
    let mut died_after_creating = 0;
    for step in 1..40 {
        let fake = Fake::new();
        let ended = fake.run_until(&config, &Asked::ToReconcile, Death::AfterStep(step)).await.is_some();
        if ended || !fake.state.borrow().calls.last().unwrap().starts_with("create") {
            continue;
        }
        died_after_creating += 1;
        let ids = fake.ids();
        fake.advance(QUARTER);
        assert_eq!(outcomes(&fake.run(&config).await), only("Global", Adopted));
        assert_eq!((fake.ids(), fake.called("delete")), (ids, 0));
        fake.assert_sound(&config);
    }
    assert_eq!(died_after_creating, 1);
}

#[tokio::test]
async fn what_an_attempt_created_is_recognised_after_others_that_came_to_nothing() {
    let config = config("Global");
    let mut died_after_creating = 0;
    for step in 1..40 {
        let fake = Fake::new();
        fake.state.borrow_mut().names_guids = true;
        fake.state.borrow_mut().lies = Some(Listing::default());
        let ended = fake.run_until(&config, &Asked::ToReconcile, Death::AfterStep(step)).await.is_some();
        if ended || !fake.state.borrow().calls.last().unwrap().starts_with("create") {
            continue;
        }
        died_after_creating += 1;
        let ids = fake.ids();
        for _ in 0..2 {
            fake.advance(QUARTER);
            fake.fault("create", "", Fault::Refuses(GraphErrorKind::Forbidden));
            fake.run(&config).await;
        }
        fake.advance(QUARTER);
        assert_eq!(outcomes(&fake.run(&config).await), only("Global", Adopted));
        assert_eq!((fake.ids(), fake.called("delete")), (ids, 0));
        fake.assert_sound(&config);
    }
    assert_eq!(died_after_creating, 1);
}

#[tokio::test]
async fn without_the_state_table_what_it_would_replace_is_kept() {
    // Its key is lost: its alerts would come without details, and without it there would be none.
    let fake = settled("Global").await;
    fake.state.borrow_mut().table_down = true;
    fake.state.borrow_mut().certificate_patch_ignored = true;
    fake.held("new-4", |one| one.encryption_certificate_id = Some("key-lost".to_owned()));
    let report = fake.run(&config("Global")).await;
    assert_eq!((outcomes(&report), fake.called("delete")), (only("Global", Failed), 0));
    assert!(report.policies[0].seconds_remaining > 0 && fake.ids() == ["new-4"], "{report:?}");
    // The list hides it at first: it is renewed when Graph refuses another.
    let fake = settled("Global").await;
    fake.state.borrow_mut().table_down = true;
    fake.state.borrow_mut().hidden_from_next_list = true;
    let report = fake.run(&config("Global")).await;
    assert_eq!((outcomes(&report), fake.called("renew")), (only("Global", Adopted), 1));
}

const ANSWER_URL: &str = "https://cloudformation-custom-resource-response-useast1.s3.amazonaws.com/answer?signed";

fn request(kind: &str, enabled: &str) -> Value {
    json!({
        "RequestType": kind, "ResponseURL": ANSWER_URL, "StackId": STACK, "RequestId": "r1",
        "LogicalResourceId": "Subscriptions", "ResourceType": "Custom::GraphSubscriptions",
        "ResourceProperties": {"ServiceToken": "arn:function", "ServiceTimeout": "330", "Enabled": enabled},
    })
}

/// Handles a request of CloudFormation, and gives what it was told.
async fn deployed(fake: &Fake, config: &Config, kind: &str, enabled: &str) -> Value {
    handle(fake, config, &request(kind, enabled), fake.invocation()).await.unwrap();
    let (url, answer) = fake.state.borrow_mut().answers.pop().unwrap();
    assert_eq!(url, ANSWER_URL);
    answer
}

#[tokio::test]
async fn a_deployment_ends_with_the_subscriptions() {
    let fake = Fake::new();
    let answer = deployed(&fake, &config("Global,Warehouse"), "Create", "Yes").await;
    let expected = json!({
        "Status": "SUCCESS", "Reason": "2 subscriptions are alive.", "PhysicalResourceId": "graph-subscriptions",
        "StackId": STACK, "RequestId": "r1", "LogicalResourceId": "Subscriptions",
    });
    assert_eq!(answer, expected);
    fake.assert_sound(&config("Global,Warehouse"));
    assert_eq!(deployed(&fake, &config("Global"), "Update", "Yes").await["Status"], "SUCCESS");
    fake.assert_sound(&config("Global"));
    assert_eq!(fake.ids().len(), 1);
}

#[tokio::test]
async fn a_deployment_without_subscriptions_fails_and_says_why() {
    let fake = Fake::new();
    fake.state.borrow_mut().entra_refuses = Some(TENANT.parse().unwrap());
    let answer = deployed(&fake, &config("Global,Warehouse"), "Create", "Yes").await;
    assert_eq!(answer["Status"], "FAILED");
    let reason = answer["Reason"].as_str().unwrap();
    assert!(reason.contains(" for Global, Warehouse: "), "{reason}");
    assert!(reason.contains("ClientSecret is wrong"), "{reason}");
    // Of several reasons none hides another, and the answer is short enough for CloudFormation.
    let fake = Fake::new();
    let names: Vec<String> = (0..60).map(|number| format!("Werk {number} \u{fc}berall in Norddeutschland")).collect();
    fake.fault("create", "", Fault::Refuses(GraphErrorKind::Forbidden));
    fake.fault("create", "", Fault::Refuses(GraphErrorKind::Invalid));
    let answer = deployed(&fake, &config(&names.join(",")), "Create", "Yes").await;
    assert_eq!(answer["Reason"].as_str().unwrap().matches("as told").count(), 2, "{answer}");
    fake.state.borrow_mut().entra_refuses = Some(TENANT.parse().unwrap());
    let answer = deployed(&fake, &config(&names.join(",")), "Update", "Yes").await;
    assert!(answer["Status"] == "FAILED" && answer.to_string().len() < 4096, "{answer}");
}

#[tokio::test]
async fn an_update_does_not_fail_for_what_passes_and_fails_for_what_stays() {
    let fake = settled("Global,Warehouse").await;
    for _ in 0..5 {
        fake.fault("renew", "new-4", Fault::Refuses(GraphErrorKind::Unavailable));
    }
    let answer = deployed(&fake, &config("Global,Warehouse"), "Update", "Yes").await;
    assert_eq!(answer["Status"], "SUCCESS");
    assert!(answer["Reason"].as_str().unwrap().contains("1 of them"), "{answer}");
    fake.state.borrow_mut().entra_refuses = Some(TENANT.parse().unwrap());
    assert_eq!(deployed(&fake, &config("Global,Warehouse"), "Update", "Yes").await["Status"], "FAILED");
}

#[tokio::test]
async fn a_deployment_with_settings_that_cannot_be_used_says_which() {
    let fake = Fake::new();
    let error = SettingError::of_parameter("TimeZone", "it is none");
    for (kind, status) in [("Create", "FAILED"), ("Update", "FAILED"), ("Delete", "SUCCESS")] {
        let refused = handle_without_settings(&fake, &error, STACK, &request(kind, "Yes")).await;
        assert!(refused.unwrap_err().to_string().contains("TimeZone"));
        let (_, answer) = fake.state.borrow_mut().answers.pop().unwrap();
        assert_eq!(answer["Status"], status);
        assert!(answer["Reason"].as_str().unwrap().contains("the parameter TimeZone cannot be used"), "{answer}");
    }
    for action in ["reconcile", "drill"] {
        let refused = handle_without_settings(&fake, &error, STACK, &json!({"action": action})).await;
        assert!(refused.unwrap_err().to_string().contains("TimeZone"), "{action}");
    }
    assert_eq!(fake.called("answer"), 3);
}

#[tokio::test]
async fn who_only_pretends_to_be_cloudformation_gets_nothing_done_and_no_answer() {
    let fake = settled("Global").await;
    let config = config("Global");
    let calls = fake.state.borrow().calls.len();
    let changed = |member: &str, value: &str| {
        let mut request = request("Delete", "Yes");
        request[member] = json!(value);
        request
    };
    let another_stack = "arn:aws:cloudformation:us-east-1:123456789012:stack/another/0b1f";
    for (forged, expected) in [
        (changed("StackId", another_stack), NotCloudFormation::AnotherStack),
        (changed("StackId", ""), NotCloudFormation::AnotherStack),
        (changed("ResponseURL", "https://evil.example/answer?signed"), NotCloudFormation::AnotherAddress),
        (changed("ResponseURL", "http://169.254.169.254/"), NotCloudFormation::AnotherAddress),
    ] {
        let error = handle(&fake, &config, &forged, fake.invocation()).await.unwrap_err();
        assert_eq!(error, RunError::NotCloudFormation(expected));
        assert!(!error.to_string().contains("signed"), "{error}");
        let unusable = SettingError::of_parameter("TimeZone", "it is none");
        let error = handle_without_settings(&fake, &unusable, STACK, &forged).await.unwrap_err();
        assert_eq!(error, RunError::NotCloudFormation(expected));
    }
    // A function that does not know its stack answers nobody.
    let unusable = SettingError::of_parameter("TimeZone", "it is none");
    let error = handle_without_settings(&fake, &unusable, "", &request("Delete", "Yes")).await.unwrap_err();
    assert_eq!(error, RunError::NotCloudFormation(NotCloudFormation::AnotherStack));
    assert_eq!((fake.state.borrow().calls.len(), fake.ids().len()), (calls, 1));
}

#[tokio::test]
async fn a_deployment_waits_for_a_run_that_is_under_way() {
    let fake = Fake::new();
    let held_until = |seconds| Some(("another".to_owned(), fake.now() + SignedDuration::from_secs(seconds)));
    fake.state.borrow_mut().lease = held_until(30);
    assert_eq!(deployed(&fake, &config("Global"), "Create", "Yes").await["Status"], "SUCCESS");
    fake.state.borrow_mut().lease = held_until(3000);
    let answer = deployed(&fake, &config("Global"), "Update", "Yes").await;
    assert!(answer["Status"] == "FAILED" && answer["Reason"].as_str().unwrap().contains("lease"), "{answer}");
}

#[tokio::test]
async fn deleting_the_stack_deletes_its_subscriptions_and_no_others() {
    let policies = format!("Global,Warehouse,{OTHER}/Global");
    let fake = settled(&policies).await;
    fake.hold("stray", &policy("Gone"), URL, "x");
    fake.hold("foreign", &policy("Foreign"), "https://elsewhere.example/", "x");
    let answer = deployed(&fake, &config(&policies), "Delete", "Yes").await;
    assert_eq!((&answer["Status"], fake.ids()), (&json!("SUCCESS"), vec!["foreign".to_owned()]));
    assert_eq!(answer["Reason"], "4 subscriptions were deleted.");
    // A scheduled run that comes before the schedule is gone does not make them anew.
    fake.advance(SignedDuration::from_mins(9));
    let scheduled = Invocation { owner: "schedule", ..fake.invocation() };
    let report = reconcile(&fake, &config(&policies), scheduled, &Asked::BySchedule).await;
    assert!(report.skipped.is_some());
    assert_eq!(fake.ids(), ["foreign"]);
}

#[tokio::test]
async fn deleting_the_stack_deletes_what_is_recorded_although_the_list_leaves_it_out() {
    let fake = settled("Global,Warehouse").await;
    fake.state.borrow_mut().lies = Some(Listing::default());
    let answer = deployed(&fake, &config("Global,Warehouse"), "Delete", "Yes").await;
    assert_eq!((&answer["Status"], fake.ids()), (&json!("SUCCESS"), Vec::new()));
}

#[tokio::test]
async fn deleting_the_stack_waits_for_a_run_that_might_create_anew() {
    for (held_for, waited) in [(30, 30), (3000, 60)] {
        let fake = settled("Global").await;
        let (begun, held_until) = (fake.now(), fake.now() + SignedDuration::from_secs(held_for));
        fake.state.borrow_mut().lease = Some(("another".to_owned(), held_until));
        assert_eq!(deployed(&fake, &config("Global"), "Delete", "Yes").await["Status"], "SUCCESS");
        assert!(fake.ids().is_empty());
        let took = fake.now().duration_since(begun).as_secs();
        assert!((waited..waited + 5).contains(&took), "{took} s");
    }
}

#[tokio::test]
async fn deleting_the_stack_never_fails_nor_hangs() {
    for fault in [Fault::Refuses(GraphErrorKind::Forbidden), Fault::AsksToWait(600)] {
        let fake = settled("Global,Warehouse").await;
        fake.fault("delete", "", fault);
        let answer = deployed(&fake, &config("Global,Warehouse"), "Delete", "Yes").await;
        assert!(
            answer["Status"] == "SUCCESS" && answer["Reason"].as_str().unwrap().contains("within a day"),
            "{answer}"
        );
        assert_eq!(fake.ids().len(), 1, "the other one is deleted all the same");
    }
    let fake = settled("Global").await;
    let before = fake.now();
    fake.state.borrow_mut().table_down = true;
    fake.state.borrow_mut().entra_refuses = Some(TENANT.parse().unwrap());
    assert_eq!(deployed(&fake, &config("Global"), "Delete", "Yes").await["Status"], "SUCCESS");
    assert!(fake.now().duration_since(before) <= SignedDuration::from_secs(60));
}

#[tokio::test]
async fn a_deployment_that_does_not_subscribe_touches_nothing() {
    let fake = settled("Global").await;
    for kind in ["Create", "Update", "Delete"] {
        assert_eq!(deployed(&fake, &config("Global,Warehouse"), kind, "No").await["Status"], "SUCCESS");
    }
    assert_eq!((fake.ids().len(), fake.called("list"), fake.called("take lease")), (1, 0, 0));
}

#[tokio::test]
async fn cloudformation_is_told_until_it_listens() {
    let fake = Fake::new();
    fake.state.borrow_mut().deaf_deployment = 3;
    assert_eq!(deployed(&fake, &config("Global"), "Create", "Yes").await["Status"], "SUCCESS");
    fake.state.borrow_mut().deaf_deployment = 4;
    let config = config("Global");
    let error = handle(&fake, &config, &request("Update", "Yes"), fake.invocation()).await.unwrap_err();
    assert!(matches!(&error, RunError::DeploymentUnanswered(_)), "{error}");
    assert!(!error.to_string().contains("signed"), "who knows the address can answer in our place");
}

fn said(event: &str) -> Asked {
    Asked::ByGraph(LifecycleEvent { lifecycle_event: event.to_owned(), subscription_id: Some("new-4".to_owned()) })
}

#[tokio::test]
async fn a_reauthorization_renews_unless_that_was_done_lately() {
    let fake = settled("Global").await;
    let report = fake.run_for(&config("Global"), &said("reauthorizationRequired")).await;
    assert!(report.ok && report.skipped.is_none() && report.lifecycle.is_some(), "{report:?}");
    assert_eq!((report.action, fake.called("renew")), ("lifecycle", 1));
    fake.advance(SignedDuration::from_secs(599));
    let report = fake.run_for(&config("Global"), &said("reauthorizationRequired")).await;
    assert!(report.skipped.unwrap().contains("ten minutes") && verdict(&report) == Ok(()), "{report:?}");
    assert_eq!(fake.called("renew"), 1);
    fake.advance(SignedDuration::from_secs(1));
    fake.run_for(&config("Global"), &said("reauthorizationRequired")).await;
    assert_eq!(fake.called("renew"), 2);
}

#[tokio::test]
async fn whatever_else_graph_says_reconciles() {
    for event in ["subscriptionRemoved", "missed", "somethingNew"] {
        let fake = settled("Global").await;
        fake.run(&config("Global")).await;
        fake.state.borrow_mut().held.clear();
        let report = fake.run_for(&config("Global"), &said(event)).await;
        assert_eq!(
            (report.lifecycle.unwrap().lifecycle_event.as_str(), report.policies[0].outcome),
            (event, Recreated)
        );
        fake.assert_sound(&config("Global"));
    }
}

#[tokio::test]
async fn a_flood_of_lifecycle_events_starts_a_run_a_minute() {
    let fake = settled("Global").await;
    let begun = fake.now();
    let mut runs = Vec::new();
    while fake.now().duration_since(begun) < SignedDuration::from_mins(10) {
        let before = fake.now();
        let report = fake.run_for(&config("Global"), &said("missed")).await;
        if report.skipped.is_none() {
            runs.push(report.policies[0].expires_at.unwrap() - LIFETIME);
        }
        if fake.now() == before {
            fake.advance(SignedDuration::from_secs(1));
        }
    }
    assert!((10..=11).contains(&runs.len()), "{runs:?}");
    let apart = |pair: &[Timestamp]| pair[1].duration_since(pair[0]);
    assert!(runs.windows(2).all(|pair| apart(pair) >= SignedDuration::from_secs(60)), "{runs:?}");
    // While one waits for its turn, others are served by it.
    fake.state.borrow_mut().lifecycle_run = Some(fake.now() + SignedDuration::from_secs(30));
    let report = fake.run_for(&config("Global"), &said("missed")).await;
    assert!(report.skipped.is_some() && report.ok, "{report:?}");
}

#[tokio::test]
async fn without_the_state_table_what_graph_says_is_heard_all_the_same() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().table_down = true;
    for event in ["missed", "reauthorizationRequired"] {
        assert!(fake.run_for(&config("Global"), &said(event)).await.skipped.is_none());
    }
}

/// The configuration with another credential.
fn with_credential(credential: CredentialKind) -> Config {
    Config { credential, fallback_secret_id: None, ..config("Global") }
}

#[tokio::test]
async fn a_client_secret_that_was_replaced_takes_effect_at_once() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().secrets.insert("client-secret".to_owned(), "next".to_owned());
    assert!(fake.run(&config("Global")).await.ok);
}

#[tokio::test]
async fn a_federated_app_signs_in_without_a_stored_secret() {
    let fake = Fake::new();
    fake.state.borrow_mut().secrets.clear();
    let report = fake.run(&with_credential(CredentialKind::Federated)).await;
    assert!(report.ok, "{report:?}");
    assert_eq!((fake.called("web identity"), fake.called("read client-secret")), (1, 0));
    assert_eq!(fake.state.borrow().secrets.keys().collect::<Vec<_>>(), ["keyring"]);
}

#[tokio::test]
async fn an_app_with_a_certificate_makes_it_and_waits_until_it_is_uploaded() {
    let fake = Fake::new();
    let config = with_credential(CredentialKind::Certificate("certificates".to_owned()));
    fake.state.borrow_mut().uploaded = Some(Vec::new());
    let report = fake.run(&config).await;
    assert!(report.problems[0].contains("upload"), "{report:?}");
    assert!(report.policies[0].outcome == Failed && verdict(&report).is_err());
    let first = digests(&fake);
    assert_eq!(first.len(), 1);
    fake.state.borrow_mut().uploaded = Some(first.clone());
    let report = fake.run(&config).await;
    assert!(report.ok, "{report:?}");
    assert_eq!(digests(&fake), first);
}

#[tokio::test]
async fn a_client_secret_serves_until_entra_knows_the_credential_that_takes_its_place() {
    let fake = Fake::new();
    fake.state.borrow_mut().uploaded = Some(Vec::new());
    let kind = CredentialKind::Certificate("certificates".to_owned());
    let config = Config { fallback_secret_id: Some("client-secret".to_owned()), ..with_credential(kind) };
    for _ in 0..2 {
        let report = fake.run(&config).await;
        assert!(report.policies[0].outcome != Failed && !report.ok, "{report:?}");
        assert!(report.problems.iter().any(|problem| problem.contains("newest credential")), "{report:?}");
    }
    fake.state.borrow_mut().uploaded = Some(digests(&fake));
    assert!(fake.run(&config).await.ok);
}

#[tokio::test]
async fn a_deployment_outlasts_a_role_that_is_not_known_everywhere_yet() {
    let fake = Fake::new();
    fake.state.borrow_mut().denied_reads = 3;
    assert_eq!(deployed(&fake, &config("Global"), "Create", "Yes").await["Status"], "SUCCESS");
    fake.state.borrow_mut().denied_reads = 100;
    let answer = deployed(&fake, &config("Global"), "Update", "Yes").await;
    assert!(answer["Status"] == "FAILED" && answer.to_string().contains("AccessDenied"), "{answer}");
}

#[tokio::test]
async fn the_next_certificate_is_made_in_time_and_the_one_before_serves_until_it_is_uploaded() {
    let fake = Fake::new();
    let config = with_credential(CredentialKind::Certificate("certificates".to_owned()));
    fake.run(&config).await;
    let first = digests(&fake);
    fake.state.borrow_mut().uploaded = Some(first.clone());
    let day = SignedDuration::from_hours(24);
    fake.advance(day * 304);
    fake.run(&config).await;
    assert_eq!(digests(&fake).len(), 1);
    fake.advance(day * 2);
    let report = fake.run(&config).await;
    assert!(report.problems.iter().any(|problem| problem.contains("new certificate")), "{report:?}");
    assert_eq!(report.policies[0].outcome, Recreated);
    let both = digests(&fake);
    assert_eq!((both.len(), &both[0]), (2, &first[0]));
    // It is said in every run until it is done.
    let report = fake.run(&config).await;
    assert!(!report.ok && report.problems[0].contains("an older one serves"), "{report:?}");
    fake.state.borrow_mut().uploaded = Some(both.clone());
    let report = fake.run(&config).await;
    assert!(report.ok, "{report:?}");
    // The first one ends.
    fake.advance(day * 60);
    fake.run(&config).await;
    assert_eq!(digests(&fake), both[1..]);
}

/// The digests of the app's certificates, the oldest first.
fn digests(fake: &Fake) -> Vec<String> {
    let stored: Value = serde_json::from_str(&fake.state.borrow().secrets["certificates"]).unwrap();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let certificates = stored["certificates"].as_array().unwrap().iter().map(|one| {
        let (certificate, key) = (text(&one["certificate"]), text(&one["privateKey"]));
        graph_subscriptions::ClientCertificate::from_base64(&certificate, &key).unwrap().digest().to_owned()
    });
    certificates.collect()
}

#[tokio::test]
async fn a_thousand_policies_are_kept_in_one_run_at_graphs_pace() {
    let names: Vec<String> = (0..1000).map(|number| format!("P{number}")).collect();
    let config = config(&names.join(","));
    let fake = Fake::new();
    for kind in ["create", "renew"] {
        let begun = fake.now();
        let report = fake.run(&config).await;
        assert!(report.ok, "{:?}", report.problems);
        let took = fake.now().duration_since(begun);
        // 1000 changes in 20 seconds are Graph's limit for an app in a tenant.
        assert!(
            took >= SignedDuration::from_millis(24_900) && took < SignedDuration::from_secs(60),
            "{kind}: {took:?}"
        );
        assert_eq!(fake.called(kind), 1000);
    }
}

#[tokio::test]
async fn a_renewal_counts_whatever_graph_thinks_of_the_certificate() {
    for kind in [
        GraphErrorKind::Invalid,
        GraphErrorKind::Forbidden,
        GraphErrorKind::Unavailable,
        GraphErrorKind::Conflict,
        GraphErrorKind::HandshakeFailed,
        GraphErrorKind::Transport,
    ] {
        let fake = settled("Global").await;
        fake.state.borrow_mut().certificate_patch_refused = Some(kind);
        let report = fake.run_for(&config("Global"), &Asked::ToRotate).await;
        assert_ne!(report.policies[0].outcome, Failed, "{kind:?}: {report:?}");
        // What may pass is no reason to give the subscription up.
        assert_eq!(report.policies[0].outcome == Recreated, kind == GraphErrorKind::Invalid, "{kind:?}");
        fake.assert_sound(&config("Global"));
    }
}

#[tokio::test]
async fn the_key_that_graph_may_still_need_is_kept_if_graph_does_not_say_which() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().certificates_hidden = true;
    fake.state.borrow_mut().certificate_patch_ignored = true;
    fake.run_for(&config("Global"), &Asked::ToRotate).await;
    for _ in 0..8 {
        fake.advance(SignedDuration::from_hours(9));
        let report = fake.run(&config("Global")).await;
        assert_eq!(outcomes(&report), only("Global", Renewed));
        assert!(report.policies[0].explanation.as_ref().unwrap().contains("does not say"), "{report:?}");
        fake.assert_sound(&config("Global"));
    }
    assert_eq!(fake.keyring().keys.len(), 2);
}

#[tokio::test]
async fn the_key_of_a_subscription_that_a_list_has_found_is_kept_although_graph_tells_no_certificates() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().certificates_hidden = true;
    fake.state.borrow_mut().certificate_patch_ignored = true;
    fake.run_for(&config("Global"), &Asked::ToRotate).await;
    // It is created anew with the second key, the answer is lost, and the list finds it; then comes the third key.
    fake.state.borrow_mut().held.clear();
    fake.fault("create", "", Fault::AnswerLost);
    fake.run(&config("Global")).await;
    fake.run_for(&config("Global"), &Asked::ToRotate).await;
    for _ in 0..8 {
        fake.advance(SignedDuration::from_hours(9));
        fake.run(&config("Global")).await;
    }
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_subscription_that_cannot_be_replaced_is_kept_alive() {
    for lifecycle in [false, true] {
        let fake = settled("Global").await;
        if lifecycle {
            fake.held("new-4", |one| one.lifecycle_notification_url = Some("https://elsewhere.example/".to_owned()));
        } else {
            fake.state.borrow_mut().certificate_patch_ignored = true;
        }
        let asked = if lifecycle { Asked::ToReconcile } else { Asked::ToRotate };
        for _ in 0..8 {
            fake.fault("delete", "", Fault::Refuses(GraphErrorKind::Forbidden));
            let report = fake.run_for(&config("Global"), &asked).await;
            assert!(report.policies[0].seconds_remaining > 84_000, "{report:?}");
            assert!(!report.ok && fake.ids() == ["new-4"], "{report:?}");
            // Its calls still arrive.
            assert!(fake.state.borrow().events.iter().all(|event| event.state == "tampered"));
            fake.advance(QUARTER);
        }
    }
}

#[tokio::test]
async fn what_was_deleted_may_stay_in_the_way_for_a_while() {
    let fake = Fake::new();
    fake.hold("theirs", &policy("Global"), "https://elsewhere.example/", "x");
    for _ in 0..4 {
        fake.fault("create", "", Fault::Refuses(GraphErrorKind::Conflict));
    }
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Recreated));
    let pauses: std::time::Duration = fake.state.borrow().sleeps.iter().sum();
    assert!(pauses >= std::time::Duration::from_secs(10), "{pauses:?}");
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_tenant_that_does_not_answer_takes_no_time_from_another() {
    let policies = format!("{OTHER}/Global,Global");
    let fake = settled(&policies).await;
    fake.state.borrow_mut().slow = Some((format!("renew {OTHER}"), SignedDuration::from_secs(40)));
    let begun = fake.now();
    let report = fake.run(&config(&policies)).await;
    assert_eq!(outcomes(&report), [("Global".to_owned(), Failed), ("Global".to_owned(), Renewed)]);
    let renewed = fake.state.borrow().records[&crate::records::sort_key(&policy("Global"))].updated_at;
    assert!(renewed.duration_since(begun) < SignedDuration::from_secs(1), "{renewed}");
}

/// The keyring as another run writes it, which has added a key of this name.
fn with_a_key_of_another(fake: &Fake, name: &str) -> (String, String) {
    let mut keyring = fake.keyring();
    let mut key = keyring.keys[0].clone();
    key.certificate_id = name.to_owned();
    keyring.keys.push(key);
    ("keyring".to_owned(), keyring.to_json().unwrap().to_string())
}

#[tokio::test]
async fn two_runs_without_the_lease_lose_nothing_of_the_keyring() {
    let fake = settled("Global").await;
    let of_another = with_a_key_of_another(&fake, "key-of-another");
    fake.state.borrow_mut().written_meanwhile.push_back(of_another);
    let keyring = KeyringStore::read(&fake, "keyring").await.unwrap();
    let prepared = keyring.prepare(&config("Global"), Some(Rotation::Routine), fake.now() + QUARTER).await.unwrap();
    assert!(prepared.rotated && prepared.problems.is_empty(), "{prepared:?}");
    let keys = fake.keyring().keys;
    assert_eq!((keys.len(), keys[1].certificate_id.as_str()), (3, "key-of-another"));
    assert_eq!(keyring.current_key().map(|key| key.certificate_id), Some(keys[2].certificate_id.clone()));
    // What is retired is what was looked at, and not what another run has added since.
    let of_another = with_a_key_of_another(&fake, "key-in-use");
    fake.state.borrow_mut().written_meanwhile.push_back(of_another);
    keyring.tidy(&crate::keyring::InUse::default()).await.unwrap();
    let retired: Vec<_> = fake.keyring().keys.iter().map(|key| key.retired_at.is_some()).collect();
    assert_eq!(retired, [true, true, false, false]);
    // Who never gets to write says so, and has overwritten nothing.
    for number in 0..crate::ports::WRITES {
        let of_another = with_a_key_of_another(&fake, &format!("key-{number}"));
        fake.state.borrow_mut().written_meanwhile.push_back(of_another);
    }
    let prepared = keyring.prepare(&config("Global"), Some(Rotation::Routine), fake.now() + QUARTER).await.unwrap();
    assert!(!prepared.rotated && prepared.problems[0].contains("another run"), "{prepared:?}");
    assert_eq!(fake.keyring().keys.last().unwrap().certificate_id, format!("key-{}", crate::ports::WRITES - 1));
}

#[tokio::test]
async fn two_runs_that_make_the_first_keyring_at_the_same_time_have_one() {
    let (fake, another) = (Fake::new(), settled("Global").await);
    let made = another.state.borrow().secrets["keyring"].clone();
    fake.state.borrow_mut().written_meanwhile.push_back(("keyring".to_owned(), made));
    // The first writing is that of the keys.
    fake.state.borrow_mut().signing_keys_down = true;
    // Other names than those of the other run.
    (0..9).for_each(|_| drop(fake.short_name()));
    let keyring = KeyringStore::read(&fake, "keyring").await.unwrap();
    keyring.prepare(&config("Global"), None, fake.now() + QUARTER).await.unwrap();
    assert_eq!(keyring.copy().client_state_keys.len(), 1);
    assert_eq!(keyring.new_client_state().unwrap(), another.keyring().client_state_keys[0].id);
}

#[tokio::test]
async fn two_runs_that_make_the_apps_certificate_at_the_same_time_have_one() {
    let config = with_credential(CredentialKind::Certificate("certificates".to_owned()));
    let (fake, another) = (Fake::new(), Fake::new());
    another.run(&config).await;
    let made = another.state.borrow().secrets["certificates"].clone();
    fake.state.borrow_mut().written_meanwhile.push_back(("certificates".to_owned(), made));
    let (_, is_new) = AppCertificates::prepare(&fake, "certificates").await.unwrap();
    assert!(!is_new);
    assert_eq!(digests(&fake), digests(&another));
}

// After a leak

#[tokio::test]
async fn what_leaked_is_replaced_and_worth_nothing_alone() {
    for by_an_earlier_version in [false, true] {
        let policies = "Global,Warehouse";
        let config = config(policies);
        let fake =
            if by_an_earlier_version { settled_by_an_earlier_version(policies).await } else { settled(policies).await };
        let old: Vec<String> = fake.state.borrow().held.iter().map(|held| held.client_state.clone()).collect();
        fake.state.borrow_mut().call_takes = SignedDuration::from_millis(700);
        let report = fake.run_for(&config, &Asked::ToReplaceLeaked).await;
        fake.state.borrow_mut().call_takes = SignedDuration::ZERO;
        assert!(report.ok && report.keyring.rotated, "{report:?}");
        let revocation = report.keyring.revocation.as_ref().unwrap();
        assert!(revocation.client_states_forgotten);
        assert_eq!(revocation.receivers_know_by, fake.now() + SignedDuration::from_mins(5));
        let gaps: Vec<_> =
            revocation.without_subscription.iter().map(|gap| (gap.policy_name.as_str(), gap.seconds)).collect();
        let longest = fake.now().duration_since(report.started_at).as_secs();
        assert!(gaps.len() == 2 && gaps.iter().all(|(_, seconds)| (2..=longest).contains(seconds)), "{gaps:?}");
        assert_eq!(outcomes(&report), [("Global".to_owned(), Recreated), ("Warehouse".to_owned(), Recreated)]);
        fake.assert_sound(&config);
        let keyring = fake.keyring();
        let known = |state: &str| keyring.known_client_states().recognize(state, &config.policies).is_some();
        assert!(old.iter().all(|state| !known(state)), "a revoked client state proves nothing");
        let revoked: Vec<_> = keyring.keys.iter().map(|key| key.revoked_at.is_some()).collect();
        assert_eq!(revoked, [true, false]);
        let certificate = |held: &crate::fake::Held| held.subscription.encryption_certificate_id.clone();
        let new = Some(keyring.keys[1].certificate_id.clone());
        assert!(fake.state.borrow().held.iter().all(|held| certificate(held) == new));
        // It is done once.
        fake.advance(QUARTER);
        let report = fake.run(&config).await;
        assert!(report.ok && report.keyring.revocation.is_none(), "{report:?}");
        assert_eq!(outcomes(&report), [("Global".to_owned(), Renewed), ("Warehouse".to_owned(), Renewed)]);
    }
}

#[tokio::test]
async fn after_a_leak_the_oldest_keys_make_room_for_a_new_one() {
    let fake = settled("Global").await;
    let config = config("Global");
    for _ in 0..3 {
        for _ in 0..5 {
            fake.run_for(&config, &Asked::ToReplaceLeaked).await;
        }
        let keyring = fake.keyring();
        assert!(keyring.keys.len() <= 12, "{}", keyring.keys.len());
        let (new, old) = keyring.keys.split_last().unwrap();
        assert!(new.revoked_at.is_none() && old.iter().all(|key| key.revoked_at.is_some()));
        fake.assert_sound(&config);
    }
}

#[tokio::test]
async fn what_is_to_be_replaced_is_renewed_while_it_cannot_be_deleted() {
    let fake = settled("Global").await;
    fake.fault("delete", "", Fault::Refuses(GraphErrorKind::Forbidden));
    fake.state.borrow_mut().calls.clear();
    let report = fake.run_for(&config("Global"), &Asked::ToReplaceLeaked).await;
    assert_eq!((outcomes(&report), fake.called("renew"), fake.called("create")), (only("Global", Failed), 1, 0));
    assert_eq!(report.policies[0].subscription_id.as_deref(), Some("new-4"));
    assert!(report.policies[0].seconds_remaining > 84_000, "{report:?}");
}

#[tokio::test]
async fn what_is_created_while_records_cannot_be_read_overwrites_none() {
    let fake = settled("Global").await;
    let before = fake.state.borrow().records.clone();
    fake.state.borrow_mut().held.clear();
    fake.state.borrow_mut().records_unreadable = true;
    fake.run(&config("Global")).await;
    assert_eq!((fake.ids().len(), &fake.state.borrow().records), (1, &before));
    fake.state.borrow_mut().records_unreadable = false;
    fake.run(&config("Global")).await;
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn while_a_subscription_has_what_leaked_its_calls_are_told() {
    let config = config("Global,Warehouse");
    let fake = settled("Global,Warehouse").await;
    let old = fake.keyring().client_state_keys[0].id.clone();
    fake.fault("delete", "new-4", Fault::Refuses(GraphErrorKind::Forbidden));
    let report = fake.run_for(&config, &Asked::ToReplaceLeaked).await;
    assert!(!report.ok && report.problems.iter().any(|problem| problem.contains("before the leak")), "{report:?}");
    assert!(fake.keyring().client_state_keys.iter().any(|key| key.id == old));
    // Without the state table nothing is deleted, and so nothing is forgotten.
    fake.advance(QUARTER);
    fake.state.borrow_mut().table_down = true;
    fake.run(&config).await;
    assert!(fake.keyring().client_state_keys.iter().any(|key| key.id == old));
    fake.state.borrow_mut().table_down = false;
    let report = fake.run(&config).await;
    assert!(report.ok, "{report:?}");
    assert!(fake.keyring().client_state_keys.iter().all(|key| key.id != old));
    fake.assert_sound(&config);
}

#[tokio::test]
async fn after_a_crash_at_any_step_of_replacing_what_leaked_the_next_run_finishes_it() {
    let config = config("Global,Warehouse");
    for step in 1.. {
        let fake = settled("Global,Warehouse").await;
        let old = fake.keyring().client_state_keys[0].id.clone();
        let ended = fake.run_until(&config, &Asked::ToReplaceLeaked, Death::AfterStep(step)).await.is_some();
        let keyring = fake.keyring();
        for held in &fake.state.borrow().held {
            let known = keyring.known_client_states().recognize(&held.client_state, &config.policies);
            assert!(known.is_some(), "{step}: the calls of {} are lost", held.subscription.resource);
        }
        fake.advance(QUARTER);
        let report = fake.run(&config).await;
        assert!(verdict(&report).is_ok(), "{step}: {report:?}");
        fake.assert_sound(&config);
        let keyring = fake.keyring();
        let knows_old = keyring.client_state_keys.iter().any(|key| key.id == old);
        assert_eq!(knows_old, keyring.keys[0].revoked_at.is_none(), "{step}: it is done whole or not at all");
        if ended {
            assert!(step > 10 && !knows_old);
            break;
        }
    }
}

#[tokio::test]
async fn what_leaked_stays_in_use_if_nothing_new_can_be_stored() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().keyring_writes_fail = true;
    let report = fake.run_for(&config("Global"), &Asked::ToReplaceLeaked).await;
    assert!(!report.ok && report.keyring.revocation.is_none(), "{report:?}");
    assert!(report.problems[0].contains("cannot be stored"), "{report:?}");
    assert_eq!(outcomes(&report), only("Global", Renewed));
    fake.assert_sound(&config("Global"));
}

#[tokio::test]
async fn a_certificate_that_works_is_tried_whatever_number_entra_gives_the_refusal() {
    let fake = Fake::new();
    let config = with_credential(CredentialKind::Certificate("certificates".to_owned()));
    fake.run(&config).await;
    let first = digests(&fake);
    fake.state.borrow_mut().uploaded = Some(first);
    fake.state.borrow_mut().refusal = Some(999_999);
    fake.advance(SignedDuration::from_hours(24 * 306));
    let report = fake.run(&config).await;
    assert_eq!(report.policies[0].outcome, Recreated, "{report:?}");
}

#[tokio::test]
async fn a_renewal_that_graph_only_pretends_is_a_problem() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().renewals_echoed = true;
    fake.run(&config("Global")).await;
    fake.advance(QUARTER);
    let report = fake.run(&config("Global")).await;
    assert!(!report.ok && report.problems[0].contains("although Graph had answered"), "{report:?}");
}

#[tokio::test]
async fn what_a_list_has_found_is_recorded_before_a_renewal_changes_how_it_is_known() {
    let fake = settled("Global").await;
    fake.state.borrow_mut().held.clear();
    // The subscription is created, its answer lost; the list finds it, and the renewal's answers are lost, too.
    fake.fault("create", "", Fault::AnswerLost);
    for _ in 0..5 {
        fake.fault("renew", "", Fault::AnswerLost);
    }
    let report = fake.run(&config("Global")).await;
    assert_eq!(outcomes(&report), only("Global", Failed));
    let ids = fake.ids();
    fake.advance(QUARTER);
    let report = fake.run(&config("Global")).await;
    assert_eq!((fake.ids(), fake.called("delete")), (ids, 0), "{report:?}");
    fake.assert_sound(&config("Global"));
    // The loss before it is told, once it is repaired.
    assert_eq!(outcomes(&report), only("Global", Recreated));
    let states: Vec<_> = fake.state.borrow().events.iter().map(|event| event.state).collect();
    assert_eq!(states, ["lost", "recreated"]);
    fake.run(&config("Global")).await;
    assert_eq!(fake.state.borrow().events.len(), 2);
}

//! Drills on a stage that offers nothing of Microsoft's, no secret and no table.

use std::{cell::RefCell, collections::BTreeMap, future::pending, time::Duration};

use graph_notifications::{ClientStateKey, KeyPair};
use serde_json::Value;

use super::{
    ports::{Publish, PutCall},
    *,
};
use crate::{
    fake::{SECOND_TOPIC, START, TENANT, config},
    filter_policy::{FilterPolicy, Passes},
    subscriber::Standing,
};

struct Fake {
    /// Topics with what was published there.
    published: RefCell<Vec<(String, Publication)>>,
    events: RefCell<Vec<BusEvent>>,
    listed: RefCell<Vec<String>>,
    sns: Result<(), OutsideError>,
    bus: Result<(), OutsideError>,
    /// `None` if the list never ends.
    subscribers: Option<Result<Vec<Subscriber>, OutsideError>>,
    /// The filter policies by the subscription's ARN; `None` if it never comes. Others have none.
    filters: BTreeMap<&'static str, Option<Result<&'static str, OutsideError>>>,
    slept: RefCell<Duration>,
}

impl Fake {
    fn new() -> Self {
        Self {
            published: RefCell::default(),
            events: RefCell::default(),
            listed: RefCell::default(),
            sns: Ok(()),
            bus: Ok(()),
            subscribers: Some(Ok(vec![Subscriber::listed("email", "ann@example.com", "arn")])),
            filters: BTreeMap::new(),
            slept: RefCell::default(),
        }
    }

    async fn drill(&self, destination: Destination) -> Result<DrillReport, NotSent> {
        self.drill_of(&Drill::to(destination), "Global").await
    }

    async fn drill_of(&self, asked: &Drill, policies: &str) -> Result<DrillReport, NotSent> {
        drill(self, &config(policies), asked, START + SignedDuration::from_secs(300)).await
    }
}

impl Publish for Fake {
    async fn publish(&self, topic_arn: &str, publication: &Publication) -> Result<String, OutsideError> {
        self.sns.clone()?;
        self.published.borrow_mut().push((topic_arn.to_owned(), publication.clone()));
        Ok("m-1".to_owned())
    }
}

impl PutCall for Fake {
    async fn put_call(&self, event: &BusEvent) -> Result<(), OutsideError> {
        self.events.borrow_mut().push(event.clone());
        self.bus.clone()
    }
}

impl Subscriptions for Fake {
    async fn list_subscribers(&self, topic_arn: &str) -> Result<Vec<Subscriber>, OutsideError> {
        self.listed.borrow_mut().push(topic_arn.to_owned());
        match &self.subscribers {
            Some(subscribers) => subscribers.clone(),
            None => pending().await,
        }
    }

    async fn filter_policy(&self, _: &str, arn: &str) -> Result<Option<FilterPolicy>, OutsideError> {
        match self.filters.get(arn) {
            Some(Some(policy)) => policy.clone().map(|policy| FilterPolicy::of_attributes(Some(policy), None)),
            Some(None) => pending().await,
            None => Ok(None),
        }
    }
}

impl Host for Fake {
    fn now(&self) -> Timestamp {
        START
    }

    async fn sleep(&self, duration: Duration) {
        *self.slept.borrow_mut() = duration;
    }

    fn chance(&self) -> f64 {
        unreachable!("a drill leaves nothing to chance")
    }

    fn short_name(&self) -> Result<String, OutsideError> {
        Ok("0badcafe".to_owned())
    }

    fn client_state_key(&self) -> Result<ClientStateKey, OutsideError> {
        unreachable!("a drill makes no secret")
    }

    fn key_pair(&self, _: Timestamp, _: Timestamp) -> Result<KeyPair, OutsideError> {
        unreachable!("a drill makes no key")
    }

    fn emit(&self, _: &str) {
        unreachable!("a drill is no alert that was published")
    }
}

fn down() -> OutsideError {
    OutsideError("out of order".to_owned())
}

#[tokio::test]
async fn a_drill_takes_the_way_of_a_call_to_the_topic_that_was_asked_for_and_to_no_other() {
    for (destination, audience, arn, name) in [
        (Destination::Test, Audience::Test, "arn:tests", "TestTopic"),
        (Destination::Alert, Audience::Alert, "arn:alerts", "AlertTopic"),
        (Destination::SecondAlert, Audience::Alert, SECOND_TOPIC, "SecondAlertTopic"),
    ] {
        let fake = Fake::new();
        let report = fake.drill(destination).await.unwrap();

        let notification = Notification {
            tenant_id: TENANT.to_owned(),
            policy_name: "Global".to_owned(),
            call_id: Some("drill-20251124T160000Z-0badcafe".to_owned()),
            received_at: START,
            proof: Proof::Both,
            contradictions: Vec::new(),
        };
        let alert = Alert::drill(audience, &notification, &config("Global").alert_settings);
        let published = fake.published.borrow();
        assert!(matches!(published.as_slice(), [(to, what)] if to == arn && *what == Publication::of(&alert)), "{arn}");
        let events = fake.events.borrow();
        assert!(matches!(events.as_slice(), [event] if *event == BusEvent::emergency_call(&alert)));
        assert_eq!(fake.listed.borrow().as_slice(), [arn]);

        assert!(report.ok && report.on_bus, "{report:?}");
        assert_eq!((report.topic, report.call_id.as_str()), (name, "drill-20251124T160000Z-0badcafe"));
        assert_eq!((report.sent_at, report.message_id.as_str()), (START, "m-1"));
        assert_eq!(report.subscribers.unwrap()[0].subscriber.standing, Standing::Confirmed);
    }
}

#[tokio::test]
async fn the_first_policy_is_named() {
    let fake = Fake::new();
    let policies = format!("Warehouse,{}/Other", crate::fake::OTHER);
    fake.drill_of(&Drill::to(Destination::Test), &policies).await.unwrap();
    let document: Value = serde_json::from_str(&fake.events.borrow()[0].detail).unwrap();
    assert_eq!((&document["policyName"], &document["tenantId"]), (&"Warehouse".into(), &TENANT.into()));
}

#[tokio::test]
async fn a_drill_names_what_filters_go_by_in_its_attributes_and_in_its_document() {
    let fake = Fake::new();
    let text = |text: &str| Some(text.to_owned());
    let asked = Drill {
        policy: text("warehouse"),
        city: text("Zürich"),
        site: text("Bahnhofstrasse 1"),
        ..Drill::to(Destination::Test)
    };
    fake.drill_of(&asked, "Global,Warehouse").await.unwrap();
    let attributes = fake.published.borrow()[0].1.attributes.clone();
    let of = |name: &str| attributes.iter().find(|one| one.0 == name).map(|one| one.1.as_str());
    let named = [of("policyName"), of("city"), of("site"), of("eventType")];
    assert_eq!(named, [Some("Warehouse"), Some("Zürich"), Some("Bahnhofstrasse 1"), Some("drill")]);
    let document: Value = serde_json::from_str(&fake.events.borrow()[0].detail).unwrap();
    assert_eq!(document["policyName"], "Warehouse");
    assert_eq!(
        (&document["location"]["city"], &document["location"]["street"]),
        (&"Zürich".into(), &"Bahnhofstrasse 1".into())
    );
}

#[tokio::test]
async fn a_policy_is_named_as_in_the_parameter_and_never_guessed() {
    let fake = Fake::new();
    let policies = format!("Global,{}/Other", crate::fake::OTHER);
    let asked = |name: &str| Drill { policy: Some(name.to_owned()), ..Drill::to(Destination::Test) };
    for (name, tenant) in [("Global", TENANT), (&format!("{}/Other", crate::fake::OTHER), crate::fake::OTHER)] {
        fake.drill_of(&asked(name), &policies).await.unwrap();
        let document: Value = serde_json::from_str(&fake.events.borrow().last().unwrap().detail).unwrap();
        assert_eq!(document["tenantId"], tenant);
    }
    let sentence = fake.drill_of(&asked("Globl"), &policies).await.unwrap_err().to_string();
    let expected = format!(
        "the drill was not sent: PolicyNames has no policy 'Globl'; it has {TENANT}/Global, {}/Other",
        crate::fake::OTHER
    );
    assert_eq!(sentence, expected);
    assert_eq!(fake.published.borrow().len(), 2);
}

#[tokio::test]
async fn filter_policies_are_judged_by_what_was_published() {
    let subscriber = |arn| Subscriber::listed("sqs", "arn:queue", arn);
    let fake = Fake {
        subscribers: Some(Ok(["all", "zurich", "bern", "denied", "slow", "PendingConfirmation"]
            .map(subscriber)
            .to_vec())),
        filters: BTreeMap::from([
            ("zurich", Some(Ok(r#"{"city": ["Zurich"]}"#))),
            ("bern", Some(Ok(r#"{"city": ["Bern"]}"#))),
            ("denied", Some(Err(down()))),
            ("slow", None),
            ("PendingConfirmation", Some(Err(OutsideError("nobody asks for it".to_owned())))),
        ]),
        ..Fake::new()
    };
    let asked = Drill { city: Some("Zurich".to_owned()), ..Drill::to(Destination::Alert) };
    let report = fake.drill_of(&asked, "Global").await.unwrap();
    assert!(report.ok, "{report:?}");
    let answers: Vec<_> = report.subscribers.unwrap().iter().map(|one| one.should_have_it).collect();
    assert_eq!(answers, [Passes::Yes, Passes::Yes, Passes::No, Passes::Unknown, Passes::Unknown, Passes::No]);
    let said = |text: &str| report.table.iter().any(|line| line.contains(text));
    assert!(said("out of order") && said("it did not come in time") && !said("nobody asks"));
}

#[tokio::test]
async fn without_amazon_sns_there_is_no_drill() {
    let fake = Fake { sns: Err(down()), ..Fake::new() };
    let sentence = fake.drill(Destination::Alert).await.unwrap_err().to_string();
    assert!(sentence.starts_with("the drill for AlertTopic was not sent: out of order; ask again"), "{sentence}");
    assert!(fake.events.borrow().is_empty(), "machines learn of what people get");
}

#[tokio::test]
async fn without_the_bus_or_the_list_the_drill_was_sent_all_the_same() {
    let fake = Fake { bus: Err(down()), subscribers: Some(Err(down())), ..Fake::new() };
    let report = fake.drill(Destination::Test).await.unwrap();
    assert_eq!(fake.published.borrow().len(), 1);
    assert!(!report.ok && !report.on_bus && report.subscribers.is_none(), "{report:?}");
}

#[tokio::test]
async fn a_list_without_end_is_given_up_in_time_for_the_report() {
    let fake = Fake { subscribers: None, ..Fake::new() };
    let report = fake.drill(Destination::Test).await.unwrap();
    assert!(report.table.iter().any(|line| line.contains("the list did not end in time")), "{report:?}");
    assert_eq!(*fake.slept.borrow(), Duration::from_secs(295));
}

#[tokio::test]
async fn a_drill_for_a_topic_that_is_not_there_says_so() {
    let fake = Fake::new();
    let config = Config { second_alert_topic: None, ..config("Global") };
    let asked = Drill::to(Destination::SecondAlert);
    let sent = drill(&fake, &config, &asked, START + SignedDuration::from_secs(300)).await;
    assert!(sent.unwrap_err().to_string().contains("SecondAlertTopicArn"));
    assert!(fake.published.borrow().is_empty() && fake.events.borrow().is_empty());
}

#[tokio::test]
async fn a_second_topic_is_mended_in_its_own_stack() {
    let fake = Fake { sns: Err(down()), ..Fake::new() };
    let sentence = fake.drill(Destination::SecondAlert).await.unwrap_err().to_string();
    assert!(sentence.contains("SecondAlertTopic") && sentence.contains("second-region.yaml"), "{sentence}");
}

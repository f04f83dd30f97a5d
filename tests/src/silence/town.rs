//! The world in memory, and the course of time.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
    rc::Rc,
};

use ::receiver::Receiver;
use ::renewer::{
    config::Config,
    ports::LeaseName,
    records::Record,
    run::{Asked, Invocation, reconcile},
    verdict::verdict,
    watch::{monitor, ports::Notes},
};
use fastrand::Rng;
use graph_notifications::{Keyring, TenantId};
use graph_subscriptions::Subscription;
use jiff::{SignedDuration, Timestamp};
use lambda_edge::environment::Environment;

use super::{
    Course, Sample,
    receiver::{self, Outside},
    renewer::Run,
    scenarios::Scenario,
};

pub(super) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(super) const CLIENT: &str = "cccccccc-2222-3333-4444-555555555555";
pub(super) const LOGIN: &str = "https://login.microsoftonline.com";
pub(super) const URL: &str = "https://receiver.test/notifications";
pub(super) const POLICIES: [&str; 2] = ["Global", "Warehouse"];
/// Another tenant, and its policy.
pub(super) const OTHER: &str = "22222222-3333-4444-5555-666666666666";
const SITE: &str = "22222222-3333-4444-5555-666666666666/Site";
pub(super) const KEYRING: &str = "keyring";
pub(super) const SECOND_TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:second";
pub(super) const SECRET: &str = "client-secret";

/// When every scenario begins: at a full hour.
pub(super) const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

const RECONCILE_EVERY: SignedDuration = SignedDuration::from_mins(15);
const WATCH_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// How late Amazon EventBridge Scheduler may be.
const LATEST: i64 = 60;

/// How long all is well before something breaks.
const WELL: SignedDuration = SignedDuration::from_mins(60);

/// How long it is until the next thing breaks, where one was broken before.
const BROKEN: SignedDuration = SignedDuration::from_hours(3);

/// How long the function may run.
const LONGEST_RUN: SignedDuration = SignedDuration::from_secs(300);

/// When Lambda repeats an asynchronous invocation that failed.
const REPEATED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// What is in the world, and what is broken in it.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that breaks")]
pub(super) struct State {
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) leases: BTreeMap<LeaseName, (String, Timestamp)>,
    pub(super) records: BTreeMap<String, Record>,
    pub(super) lifecycle_run: Option<Timestamp>,
    pub(super) reconciled_at: Option<Timestamp>,
    pub(super) latest_notification: Option<Timestamp>,
    pub(super) notes: Option<Notes>,
    pub(super) held: Vec<(TenantId, Subscription)>,
    pub(super) subscribers: BTreeMap<&'static str, u64>,
    /// The topics all of whose subscribers have a filter policy.
    pub(super) filtered: Vec<&'static str>,
    pub(super) names: u32,
    pub(super) lines: Vec<String>,
    pub(super) aws: Vec<Sample>,

    pub(super) renewals_off: bool,
    pub(super) watches_off: bool,
    pub(super) watches_lost: u32,
    pub(super) renewer_broken: bool,
    pub(super) graph_down: bool,
    /// The tenants in which Entra gives no token.
    pub(super) entra_refuses: Vec<&'static str>,
    /// It gives none in the first half of every ten minutes.
    pub(super) entra_refuses_at_times: bool,
    pub(super) creations_refused: bool,
    pub(super) renewals_fail_for: Vec<&'static str>,
    pub(super) signing_keys_down: bool,
    pub(super) table_down: bool,
    pub(super) receivers_table_down: bool,
    pub(super) receivers_secret_down: bool,
    /// What the receiver reads in the keyring's place.
    pub(super) receivers_keyring: Option<String>,
    pub(super) receiver_broken: bool,
    pub(super) receiver_throttled: bool,
    pub(super) receiver_slow: bool,
    pub(super) gateway_fails: bool,
    pub(super) address_unreachable: bool,
    /// Whether each of the next requests is lost on its way, the last one first.
    pub(super) probes_lost: Vec<bool>,
    pub(super) sns_down: bool,
    pub(super) home_sns_down: bool,
    pub(super) bus_down: bool,
}

/// The world.
pub(super) struct Town {
    pub(super) config: Config,
    pub(super) now: Cell<Timestamp>,
    pub(super) state: RefCell<State>,
    receiver: RefCell<Rc<Receiver<Outside>>>,
}

impl Town {
    fn new(scenario: &Scenario) -> Rc<Self> {
        let mut config = config();
        (scenario.configure)(&mut config, START + WELL);
        Rc::new_cyclic(|town| Self {
            config,
            now: Cell::new(START),
            state: RefCell::new(State {
                secrets: BTreeMap::from([(SECRET.to_owned(), "hunter2".to_owned())]),
                subscribers: BTreeMap::from([
                    ("alerts", 3),
                    ("tests", 1),
                    ("operations", 1),
                    ("chat", 1),
                    (SECOND_TOPIC, 1),
                ]),
                ..State::default()
            }),
            receiver: RefCell::new(Rc::new(receiver::start(town.clone()))),
        })
    }

    /// The receiver that serves at the moment.
    pub(super) fn receiver(&self) -> Rc<Receiver<Outside>> {
        Rc::clone(&self.receiver.borrow())
    }

    /// Lambda starts the receiver anew: what it held in memory is gone.
    pub(super) fn restart_receiver(self: &Rc<Self>) {
        self.receiver.replace(Rc::new(receiver::start(Rc::downgrade(self))));
    }

    pub(super) fn keyring(&self) -> Keyring {
        Keyring::from_json(&self.state.borrow().secrets[KEYRING]).expect("the renewer has written a keyring")
    }

    pub(super) fn aws(
        &self,
        namespace: &'static str,
        metric: &'static str,
        of: (&'static str, &'static str),
        value: f64,
    ) {
        self.aws_of(namespace, metric, vec![of], value);
    }

    pub(super) fn aws_of(
        &self,
        namespace: &'static str,
        metric: &'static str,
        dimensions: Vec<(&'static str, &'static str)>,
        value: f64,
    ) {
        let at = self.now.get().as_second();
        self.state.borrow_mut().aws.push(Sample { namespace, metric, dimensions, at, value });
    }

    async fn reconcile(&self) -> bool {
        let run = Run::begun(self);
        let ends_at = self.now.get() + LONGEST_RUN;
        let owner = self.now.get().to_string();
        let report = reconcile(&run, &self.config, Invocation { owner: &owner, ends_at }, &Asked::BySchedule).await;
        verdict(&report).is_ok()
    }

    async fn watch(&self, scheduled_at: Timestamp) {
        let run = Run::begun(self);
        let ends_at = self.now.get() + LONGEST_RUN;
        let owner = format!("pass-{}", self.now.get());
        monitor(&run, &self.config, Invocation { owner: &owner, ends_at }, Some(scheduled_at)).await;
    }

    /// One invocation of the renewer. Says whether it succeeded.
    async fn invoke(&self, event: Event) -> bool {
        let done = !self.state.borrow().renewer_broken
            && match event {
                Event::Reconcile { .. } => self.reconcile().await,
                Event::Watch(scheduled_at) => {
                    self.watch(scheduled_at).await;
                    true
                }
            };
        self.aws("AWS/Lambda", "Errors", ("FunctionName", "RenewerFunction"), f64::from(u8::from(!done)));
        done
    }

    async fn happen(&self, at: Timestamp, event: Event) -> Option<(Timestamp, Event)> {
        self.now.set(at);
        {
            let mut state = self.state.borrow_mut();
            let lost = matches!(event, Event::Watch(_)) && state.watches_lost > 0;
            state.watches_lost -= u32::from(lost);
            let off = if matches!(event, Event::Watch(_)) { state.watches_off } else { state.renewals_off };
            if lost || off {
                return None;
            }
        }
        if self.invoke(event).await {
            return None;
        }
        match event {
            Event::Reconcile { again: false } => Some((at + REPEATED_AFTER, Event::Reconcile { again: true })),
            Event::Reconcile { again: true } | Event::Watch(_) => {
                self.aws("AWS/SQS", "NumberOfMessagesSent", ("QueueName", "DeadLetterQueue.QueueName"), 1.0);
                None
            }
        }
    }
}

#[derive(Clone, Copy)]
enum Event {
    Reconcile {
        again: bool,
    },
    /// With the time for which it is scheduled.
    Watch(Timestamp),
}

/// Lets a scenario happen.
pub(super) async fn run(scenario: &Scenario) -> Course {
    let town = Town::new(scenario);
    let mut rng = Rng::with_seed(scenario.name.bytes().map(u64::from).sum());
    let broke_first = scenario.first.as_ref().map(|_| START + WELL + scenario.after);
    let broke = broke_first.map_or(START + WELL + scenario.after, |first| first + BROKEN);
    let ended = broke + scenario.lasts;
    let mut events: BTreeMap<(Timestamp, u32), Event> = BTreeMap::new();
    let mut number = 0;
    let mut plan = |first: Timestamp, every: SignedDuration, event: fn(Timestamp) -> Event| {
        let mut due = first;
        while due < ended {
            number += 1;
            events.insert((due + SignedDuration::from_secs(rng.i64(0..LATEST)), number), event(due));
            due += every;
        }
    };
    plan(START, RECONCILE_EVERY, |_| Event::Reconcile { again: false });
    plan(START + LATEST_START, WATCH_EVERY, Event::Watch);
    let first = broke_first.zip(scenario.first.as_ref());
    let mut breaking: Vec<_> = first.into_iter().chain([(broke, &scenario.breaks)]).rev().collect();
    while let Some(((at, order), event)) = events.pop_first() {
        while let Some((broke, breaks)) = breaking.pop_if(|(broke, _)| at >= *broke) {
            town.now.set(broke);
            breaks(&town).await;
        }
        if let Some((at, again)) = town.happen(at, event).await {
            events.insert((at, order), again);
        }
    }
    let mut state = town.state.borrow_mut();
    Course {
        name: scenario.name,
        began: START.as_second(),
        broke_first: broke_first.map(Timestamp::as_second),
        broke: broke.as_second(),
        ended: ended.as_second(),
        lines: std::mem::take(&mut state.lines),
        aws: std::mem::take(&mut state.aws),
    }
}

/// The first watch of all comes when there is a keyring.
const LATEST_START: SignedDuration = SignedDuration::from_secs(LATEST);

fn config() -> Config {
    let config = Config::read(&Environment(&|name| {
        Some(match name {
            "TENANT_ID" => TENANT.to_owned(),
            "CLIENT_ID" => CLIENT.to_owned(),
            "POLICY_NAMES" => format!("{},{SITE}", POLICIES.join(",")),
            "GRAPH_ENDPOINT" => "https://graph.microsoft.com/v1.0".to_owned(),
            "LOGIN_ENDPOINT" => LOGIN.to_owned(),
            "NOTIFICATION_URL" => URL.to_owned(),
            "GRAPH_CREDENTIAL" => "Secret".to_owned(),
            "CLIENT_SECRET_ID" => SECRET.to_owned(),
            "KEYRING_SECRET_ID" => KEYRING.to_owned(),
            "KEY_ROTATION_DAYS" => "90".to_owned(),
            "RENEWAL_SCHEDULE" => "rate(15 minutes)".to_owned(),
            "TIME_ZONE" => "UTC".to_owned(),
            "LANGUAGE" => "en".to_owned(),
            "TEST_NUMBERS" => "933".to_owned(),
            "AWS_LAMBDA_FUNCTION_NAME" => "RenewerFunction".to_owned(),
            "ALERT_TOPIC_ARN" => "alerts".to_owned(),
            "TEST_TOPIC_ARN" => "tests".to_owned(),
            "SECOND_ALERT_TOPIC_ARN" => SECOND_TOPIC.to_owned(),
            "AWS_REGION" => "us-east-1".to_owned(),
            "CHAT_TOPIC_ARN" => "chat".to_owned(),
            "OPERATIONS_TOPIC_ARN" => "operations".to_owned(),
            // Names of what lives in memory here.
            "STATE_TABLE_NAME" | "EVENT_BUS_NAME" | "STACK_NAME" | "STACK_ID" => name.to_lowercase(),
            _ => return None,
        })
    }));
    config.expect("these settings are good")
}

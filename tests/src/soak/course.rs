//! The course of events: the schedule, what Lambda makes of it, and what Graph and Entra do of their own accord.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use fastrand::Rng;
use futures::StreamExt as _;
use futures::future::LocalBoxFuture;
use futures::stream::FuturesUnordered;
use jiff::{SignedDuration, Timestamp};
use renewer::input::LifecycleEvent;
use renewer::report::Report;
use renewer::run::{Asked, Invocation, reconcile};
use renewer::verdict::verdict;
use renewer::watch::{LONGEST_PASS, monitor_subscriptions};
use serde_json::json;

use super::observer::Change;
use super::soundness;
use super::stage::{START, Stage};
use super::weather::some_time;
use super::world::Run;
use crate::simulator::config::Lists;
use crate::simulator::ledger::Selector;

/// The template's schedule.
pub(super) const SCHEDULE: SignedDuration = SignedDuration::from_mins(15);
/// EventBridge Scheduler invokes within the minute.
pub(super) const JITTER: SignedDuration = SignedDuration::from_secs(60);
/// What the numbers of passes begin with, apart from those of runs.
const FIRST_PASS: u64 = 1_000_000_000;
/// How long a policy may be without cover after a removal outside storms: two minutes between two passes, as late as EventBridge
/// Scheduler may be, and the time of a repair.
pub(super) const LONGEST_GAP: SignedDuration = SignedDuration::from_secs(150);
/// How long it may be on average.
pub(super) const AVERAGE_GAP: SignedDuration = SignedDuration::from_secs(60);
/// How often the monitor passes, as the template has it.
const PASSES: SignedDuration = SignedDuration::from_mins(1);
/// The function's time limit, as the template has it.
pub(super) const TIME_LIMIT: SignedDuration = SignedDuration::from_secs(300);
/// How long Lambda waits before it repeats an invocation that failed.
const BEFORE_RETRY: SignedDuration = SignedDuration::from_mins(1);

/// On average one in these many hours.
const REMOVALS: i64 = 40;
const PROBES: i64 = 8;
const LIFECYCLES: i64 = 3 * 24;
const ROTATIONS: i64 = 60 * 24;
const SIGNING_KEYS: i64 = 20 * 24;
const CERTIFICATE_PATCHES: i64 = 12 * 24;
/// How long lists tell the truth, or lie in one way, on average, or a quarter of a short soak.
const LISTS: i64 = 2 * 24;

/// Something that happens.
#[derive(Debug, Clone)]
enum Event {
    /// The schedule fires for the slot of this number.
    Fire(i64),
    /// The schedule of the monitor fires for the minute of this number.
    Pass(i64),
    /// Lambda invokes the function, for the second time if it is a repetition.
    Invoke { owner: String, asked: Asked, again: bool },
    /// Graph removes subscriptions.
    Removal { recurs: bool },
    /// Graph says something of a subscription.
    Lifecycle,
    /// An operator wants another encryption key.
    Rotation { recurs: bool },
    /// Entra signs with another key.
    SigningKeys,
    /// Graph changes its mind on what a renewal does with a new certificate: takes it, ignores it or refuses it.
    CertificatePatch,
    /// Graph's lists begin to lie in another way, or to tell the truth.
    Lists,
    /// Somebody dials.
    Probe,
    /// A storm is over.
    Calm,
    /// A month has passed.
    Month,
}

/// What happened how often.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) runs: u64,
    pub(super) fair: u64,
    pub(super) skipped: u64,
    pub(super) crashed: u64,
    pub(super) out_of_time: u64,
    pub(super) failed: u64,
    pub(super) repeated: u64,
    pub(super) missed: u64,
    /// Passes of the monitor that ran, and those that were left out as they could change nothing.
    pub(super) passes: u64,
    pub(super) idle_passes: u64,
    pub(super) lies: BTreeMap<String, u64>,
    pub(super) removals: u64,
    pub(super) untold: u64,
    pub(super) signing_keys: u64,
    pub(super) longest_run: SignedDuration,
}

/// A removal that the bus should be told of.
struct Removal {
    id: String,
    at: Timestamp,
    /// How many runs had come to nothing by then.
    hindrances: u64,
    /// Whether the record of the subscription was good, so that its loss can be found.
    recorded: bool,
}

/// The events to come, and those that were.
pub(super) struct Course<'a> {
    stage: &'a Stage,
    rng: RefCell<Rng>,
    ends_at: Timestamp,
    events: RefCell<BTreeMap<(Timestamp, u64), Event>>,
    planned: Cell<u64>,
    hindrances: Cell<u64>,
    removals: RefCell<Vec<Removal>>,
    pub(super) counts: RefCell<Counts>,
}

impl<'a> Course<'a> {
    pub(super) fn new(stage: &'a Stage, rng: Rng, length: SignedDuration) -> Self {
        Self {
            stage,
            rng: RefCell::new(rng),
            ends_at: START + length,
            events: RefCell::default(),
            planned: Cell::new(0),
            hindrances: Cell::new(0),
            removals: RefCell::default(),
            counts: RefCell::default(),
        }
    }

    /// Lets all of it happen, until the end or the first failure.
    pub(super) async fn run(&self, progress: &mut dyn FnMut(&str)) {
        self.plan(START, Event::Fire(0));
        self.plan(START + PASSES, Event::Pass(1));
        for (event, hours) in [
            (Event::Removal { recurs: true }, REMOVALS),
            (Event::Lifecycle, LIFECYCLES),
            (Event::Rotation { recurs: true }, ROTATIONS),
            (Event::SigningKeys, SIGNING_KEYS),
            (Event::CertificatePatch, CERTIFICATE_PATCHES),
            (Event::Lists, self.lists()),
            (Event::Probe, PROBES),
        ] {
            self.plan_some_time(event, hours);
        }
        self.await_calm();
        self.plan(START + MONTH, Event::Month);
        let mut under_way: FuturesUnordered<LocalBoxFuture<'_, ()>> = FuturesUnordered::new();
        while self.stage.failure().is_none() {
            let next = self.events.borrow().first_key_value().map(|((at, _), _)| *at);
            let next = next.filter(|at| *at < self.ends_at);
            tokio::select! {
                biased;
                Some(()) = under_way.next(), if !under_way.is_empty() => {}
                () = self.stage.timeline.sleep_until(next.unwrap_or(self.ends_at)), if next.is_some() => {
                    let event = self.events.borrow_mut().pop_first();
                    if let Some((_, event)) = event {
                        if matches!(event, Event::Month) {
                            progress(&self.progress());
                        }
                        under_way.push(Box::pin(self.happen(event)));
                    }
                }
                else => break,
            }
        }
    }

    async fn happen(&self, event: Event) {
        match event {
            Event::Fire(slot) => self.fire(slot),
            Event::Pass(minute) => self.pass(minute).await,
            Event::Invoke { owner, asked, again } => self.invoke(&owner, &asked, again).await,
            Event::Removal { recurs } => {
                if recurs {
                    self.plan_some_time(event, REMOVALS);
                }
                self.remove().await;
            }
            Event::Lifecycle => self.speak(),
            Event::Rotation { recurs } => {
                if recurs {
                    self.plan_some_time(event, ROTATIONS);
                }
                self.plan_invocation(self.stage.timeline.now(), "operator", Asked::ToRotate);
            }
            Event::SigningKeys => {
                self.plan_some_time(Event::SigningKeys, SIGNING_KEYS);
                self.counts.borrow_mut().signing_keys += 1;
                let replace = self.rng.borrow_mut().u32(..4) == 0;
                let _turn = self.stage.timeline.turn().await;
                self.stage.rotate_signing_keys(replace);
            }
            Event::CertificatePatch => {
                self.plan_some_time(Event::CertificatePatch, CERTIFICATE_PATCHES);
                let mode = ["applied", "ignored", "refused"][self.rng.borrow_mut().usize(..3)];
                let _turn = self.stage.timeline.turn().await;
                if let Err(error) = self.stage.simulator.change_settings(&json!({ "certificatePatch": mode })) {
                    self.stage.failed(error.to_string());
                }
            }
            Event::Lists => {
                self.plan_some_time(Event::Lists, self.lists());
                // A lie more often than not.
                let drawn = self.rng.borrow_mut().usize(..Lists::LIES.len() + 2);
                let lists = Lists::LIES.get(drawn).copied().unwrap_or(Lists::True);
                *self.counts.borrow_mut().lies.entry(format!("{lists:?}")).or_default() += 1;
                let _turn = self.stage.timeline.turn().await;
                if let Err(error) = self.stage.simulator.change_settings(&json!({ "lists": lists })) {
                    self.stage.failed(error.to_string());
                }
            }
            Event::Probe => {
                self.plan_some_time(Event::Probe, PROBES);
                let policy = self.rng.borrow_mut().usize(..self.stage.policies.len());
                self.stage.probe(policy).await;
            }
            Event::Calm => self.await_calm(),
            Event::Month => self.plan(self.stage.timeline.now() + MONTH, Event::Month),
        }
    }

    fn plan(&self, at: Timestamp, event: Event) {
        self.planned.set(self.planned.get() + 1);
        self.events.borrow_mut().insert((at, self.planned.get()), event);
    }

    fn plan_some_time(&self, event: Event, hours: i64) {
        let wait = some_time(&mut self.rng.borrow_mut(), SignedDuration::from_hours(hours));
        self.plan(self.stage.timeline.now() + wait, event);
    }

    fn lists(&self) -> i64 {
        LISTS.min(self.ends_at.duration_since(START).as_hours() / 4)
    }

    fn await_calm(&self) {
        let Some(weather) = &self.stage.weather else { return };
        let mut weather = weather.borrow_mut();
        if weather.forecast().2 <= self.stage.timeline.now() {
            weather.draw();
        }
        let (kind, from, until) = weather.forecast();
        *self.stage.tally.borrow_mut().storms.entry(kind).or_default() += 1;
        self.plan(until, Event::Calm);
        // What is hard to repair in a storm shall often happen in one.
        for (event, one_in) in [(Event::Removal { recurs: false }, 8), (Event::Rotation { recurs: false }, 60)] {
            let mut rng = self.rng.borrow_mut();
            let at = from + SignedDuration::from_secs(rng.i64(0..until.duration_since(from).as_secs()));
            if rng.u32(..one_in) == 0 {
                drop(rng);
                self.plan(at, event);
            }
        }
    }

    fn fire(&self, slot: i64) {
        let now = self.stage.timeline.now();
        let mut rng = self.rng.borrow_mut();
        let jitter = SignedDuration::from_millis(rng.i64(0..JITTER.as_secs() * 1000));
        let next = START + SignedDuration::from_secs(SCHEDULE.as_secs() * (slot + 1)) + jitter;
        // The scheduler promises at least one invocation.
        let twice = (rng.u32(..200) == 0).then(|| SignedDuration::from_millis(rng.i64(0..5_000)));
        drop(rng);
        self.plan(next, Event::Fire(slot + 1));
        if !self.stage.weather.as_ref().is_none_or(|weather| weather.borrow().fires(now)) {
            self.counts.borrow_mut().missed += 1;
            self.hindered();
            self.stage.observer.borrow_mut().run_missed();
            return;
        }
        self.plan_invocation(now, "schedule", Asked::BySchedule);
        if let Some(later) = twice {
            self.plan_invocation(now + later, "schedule", Asked::BySchedule);
        }
    }

    /// A pass of the monitor. One that finds every recorded subscription as it should be asks for them and changes nothing: it is
    /// left out, and counted.
    async fn pass(&self, minute: i64) {
        let stage = self.stage;
        let now = stage.timeline.now();
        let jitter = SignedDuration::from_millis(self.rng.borrow_mut().i64(0..JITTER.as_secs() * 1000));
        let next = START + SignedDuration::from_secs(PASSES.as_secs() * (minute + 1)) + jitter;
        self.plan(next, Event::Pass(minute + 1));
        if stage.all_recorded_live() {
            self.counts.borrow_mut().idle_passes += 1;
            return;
        }
        if !stage.weather.as_ref().is_none_or(|weather| weather.borrow().fires(now)) {
            self.hindered();
            stage.observer.borrow_mut().run_missed();
            return;
        }
        let number = {
            let mut counts = self.counts.borrow_mut();
            counts.passes += 1;
            FIRST_PASS + counts.passes
        };
        let crash = stage.weather.as_ref().and_then(|weather| weather.borrow_mut().crash(now));
        let run = Run::new(stage, number, crash);
        let (owner, ends_at) = (format!("pass-{minute}"), now + TIME_LIMIT);
        let ended = tokio::select! {
            biased;
            () = run.crashed() => false,
            () = stage.timeline.sleep_until(now + LONGEST_PASS + SignedDuration::from_secs(1)) => {
                stage.failed(format!("a pass did not end in {LONGEST_PASS:#}"));
                false
            }
            _ = monitor_subscriptions(&run, &stage.config, Invocation { owner: &owner, ends_at }, minute) => true,
        };
        let _turn = stage.timeline.turn().await;
        let mark = run.mark();
        stage.worked_alone(number);
        stage.look(Change::Harmless, Some(mark));
        if !ended || mark.hindered {
            self.hindered();
            stage.observer.borrow_mut().run_missed();
        }
    }

    /// What Graph says, whether it is true or not.
    fn speak(&self) {
        self.plan_some_time(Event::Lifecycle, LIFECYCLES);
        let events = ["reauthorizationRequired", "subscriptionRemoved", "missed"];
        let mut rng = self.rng.borrow_mut();
        let lifecycle_event = events[rng.usize(..events.len())].to_owned();
        let observer = self.stage.observer.borrow();
        let subscription_id = rng.choice(observer.seen()).map(|seen| seen.id.clone());
        // Sometimes of all subscriptions at once.
        let times = if rng.bool() { 1 } else { 5 };
        drop(rng);
        for _ in 0..times {
            let event =
                LifecycleEvent { lifecycle_event: lifecycle_event.clone(), subscription_id: subscription_id.clone() };
            self.plan_invocation(self.stage.timeline.now(), "graph", Asked::ByGraph(event));
        }
    }

    fn plan_invocation(&self, at: Timestamp, who: &str, asked: Asked) {
        let owner = format!("{who}-{}", self.planned.get());
        self.plan(at, Event::Invoke { owner, asked, again: false });
    }

    fn hindered(&self) {
        self.hindrances.set(self.hindrances.get() + 1);
    }

    /// One invocation of the function, from its start to what is left of it.
    async fn invoke(&self, owner: &str, asked: &Asked, again: bool) {
        let stage = self.stage;
        let started_at = stage.timeline.now();
        let number = {
            let mut counts = self.counts.borrow_mut();
            counts.runs += 1;
            counts.repeated += u64::from(again);
            counts.runs
        };
        let crash = stage.weather.as_ref().and_then(|weather| weather.borrow_mut().crash(started_at));
        let run = Run::new(stage, number, crash);
        let ends_at = started_at + TIME_LIMIT;
        let ended = tokio::select! {
            biased;
            () = run.crashed() => Ended::Crashed,
            () = stage.timeline.sleep_until(ends_at) => Ended::OutOfTime,
            report = reconcile(&run, &stage.config, Invocation { owner, ends_at }, asked) => {
                Ended::Reported(Box::new(report))
            }
        };
        let _turn = stage.timeline.turn().await;
        self.ended(&run, owner, asked, &ended, again);
    }

    fn ended(&self, run: &Run<'_>, owner: &str, asked: &Asked, ended: &Ended, again: bool) {
        let stage = self.stage;
        let (now, mark) = (stage.timeline.now(), run.mark());
        let alone = stage.worked_alone(mark.number);
        let mut counts = self.counts.borrow_mut();
        counts.longest_run = counts.longest_run.max(now.duration_since(mark.started_at));
        let failed = match ended {
            Ended::Reported(report) if report.skipped.is_some() => {
                counts.skipped += 1;
                return;
            }
            Ended::Reported(report) => verdict(report).err().map(|error| error.to_string()),
            Ended::Crashed => {
                counts.crashed += 1;
                Some("it crashed".to_owned())
            }
            Ended::OutOfTime => {
                counts.out_of_time += 1;
                Some("its time was over".to_owned())
            }
        };
        let fair = alone && !mark.hindered;
        counts.fair += u64::from(fair);
        if let Some(why) = &failed {
            counts.failed += 1;
            // Lambda repeats once; that it always does so cannot be relied on.
            if !again && self.rng.borrow_mut().bool() {
                self.plan(
                    now + BEFORE_RETRY,
                    Event::Invoke { owner: owner.to_owned(), asked: asked.clone(), again: true },
                );
            }
            if fair {
                stage.failed(format!("nothing hindered a run, and it failed: {why}"));
            }
        }
        drop(counts);
        if !fair {
            self.hindered();
        }
        stage.look(Change::Harmless, Some(mark));
        if let Err(what) = stage.observer.borrow_mut().run_ended(mark, fair, now) {
            stage.failed(what);
        }
        if let (true, Ended::Reported(report)) = (fair, ended) {
            if let Err(what) = soundness::check(stage, report, mark, owner) {
                stage.failed(what);
            }
            self.check_told(mark.started_at);
        }
    }

    /// Graph removes one subscription, a tenant's, or all.
    async fn remove(&self) {
        let stage = self.stage;
        let _turn = stage.timeline.turn().await;
        stage.look(Change::Harmless, None);
        let selected: Vec<String> = {
            let observer = stage.observer.borrow();
            let mut rng = self.rng.borrow_mut();
            let tenant = rng.choice(&stage.policies).map(|policy| policy.tenant);
            let one = rng.usize(..stage.policies.len());
            let extent = rng.u32(..10);
            let is_selected = |policy: usize| match extent {
                0 => true,
                1 | 2 => Some(stage.policies[policy].tenant) == tenant,
                _ => policy == one,
            };
            let seen = observer.seen().iter().filter(|seen| seen.policy.is_some_and(is_selected));
            seen.map(|seen| seen.id.clone()).collect()
        };
        for id in selected {
            let recorded = stage.observer.borrow().is_recorded(&id);
            if !stage.simulator.remove_subscriptions(&Selector::Id(id.clone())).is_empty() {
                self.counts.borrow_mut().removals += 1;
                stage.noted(format!("{} Graph removes {id}", stage.timeline.now()));
                let removal = Removal { id, at: stage.timeline.now(), hindrances: self.hindrances.get(), recorded };
                self.removals.borrow_mut().push(removal);
            }
        }
        stage.look(Change::Removal, None);
    }

    /// Of what Graph removed before a run that nothing hindered, the bus has been told by its end.
    fn check_told(&self, run_started_at: Timestamp) {
        let aws = self.stage.aws.borrow();
        let hindrances = self.hindrances.get();
        self.removals.borrow_mut().retain(|removal| {
            if aws.told.contains(&removal.id) {
                return false;
            }
            if removal.at >= run_started_at {
                return true;
            }
            if removal.recorded && removal.hindrances == hindrances {
                self.stage.failed(format!("nobody was told that Graph removed the subscription {}", removal.id));
            }
            self.counts.borrow_mut().untold += 1;
            false
        });
    }

    fn progress(&self) -> String {
        let counts = self.counts.borrow();
        let days = self.stage.timeline.now().duration_since(START).as_hours() / 24;
        format!(
            "day {days}: {} runs, {} undisturbed, {} crashed; {} removals",
            counts.runs, counts.fair, counts.crashed, counts.removals
        )
    }
}

const MONTH: SignedDuration = SignedDuration::from_hours(30 * 24);

/// How an invocation ended.
enum Ended {
    Reported(Box<Report>),
    Crashed,
    OutOfTime,
}

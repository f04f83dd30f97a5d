//! The course of time: the schedules, and the moment at which something breaks.

use std::{collections::BTreeMap, rc::Rc};

use ::renewer::{
    run::{Asked, Invocation, reconcile},
    verdict::verdict,
    watch::monitor,
};
use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::{Course, receiver::System, renewer::Run, scenarios::Scenario, world::START};

/// How long all is well before something breaks.
const WELL: SignedDuration = SignedDuration::from_mins(60);

const RECONCILE_EVERY: SignedDuration = SignedDuration::from_mins(15);
const WATCH_EVERY: SignedDuration = SignedDuration::from_mins(1);

/// How late Amazon EventBridge Scheduler may be.
const LATEST: i64 = 60;

/// How long it is until the next thing breaks, where one was broken before.
const BROKEN: SignedDuration = SignedDuration::from_hours(3);

/// How long the function may run.
const LONGEST_RUN: SignedDuration = SignedDuration::from_secs(300);

/// When Lambda repeats an asynchronous invocation that failed.
const REPEATED_AFTER: SignedDuration = SignedDuration::from_secs(60);

/// The renewer's invocations.
impl System {
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
pub async fn run(scenario: &Scenario) -> Course {
    let system = Rc::new(System::new(|config| (scenario.configure)(config, START + WELL)));
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
            system.now.set(broke);
            breaks(&system).await;
        }
        if let Some((at, again)) = system.happen(at, event).await {
            events.insert((at, order), again);
        }
    }
    let mut state = system.state.borrow_mut();
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

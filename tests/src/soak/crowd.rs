//! Very many policies of one tenant: each run must get through with all of them.

use std::fmt;
use std::io;

use fastrand::Rng;
use jiff::SignedDuration;
use renewer::run::{Asked, Invocation, reconcile};

use super::TENANTS;
use super::course::{SCHEDULE, TIME_LIMIT};
use super::observer::Change;
use super::soundness;
use super::stage::{Failure, Pace, START, Setting, Stage};
use super::world::Run;

/// How the runs went.
pub struct Crowd {
    /// How long each took in virtual time: the one that created all subscriptions, and the one that renewed them.
    pub took: [SignedDuration; 2],
    /// How many calls Microsoft refused.
    pub refused: u64,
    /// What did not go as it should.
    pub failure: Option<Failure>,
}

impl fmt::Display for Crowd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [created, renewed] = self.took.map(|took| took.as_secs_f64());
        write!(f, "created in {created:.0} s, renewed in {renewed:.0} s, {} calls refused", self.refused)?;
        match &self.failure {
            None => Ok(()),
            Some(failure) => write!(f, "; FAILED: {}", failure.what),
        }
    }
}

/// How long a call to Microsoft takes, in milliseconds: for a run that is short of time, and for one that Graph may throttle.
const PACES: [i64; 2] = [300, 60];

/// Creates subscriptions for so many policies in one run, and renews them in the next. In the first a call to Microsoft takes
/// 300 ms, and a creation 1.5 s more; in the second it takes 60 ms.
///
/// # Errors
/// If the simulator or the notification address cannot be set up.
pub async fn crowd(policies: usize) -> io::Result<Crowd> {
    let names: Vec<String> = (1..=policies).map(|number| format!("Site {number}")).collect();
    let stage = Stage::set(Setting {
        policies: &names.join(","),
        tenants: &TENANTS[..1],
        rotation_days: 30,
        page_size: 100,
        pace: Pace::Even(PACES[0]),
        weather: None,
        host: Rng::with_seed(0),
        longest_gap: SCHEDULE,
    })
    .await?;
    let took = stage
        .timeline
        .drive(async {
            let created = run(&stage, 1).await;
            stage.pace.replace(Pace::Even(PACES[1]));
            [created, run(&stage, 2).await]
        })
        .await;
    let refused = stage.tally.borrow().refused;
    if refused > 0 {
        stage.failed(format!("{refused} calls were refused"));
    }
    Ok(Crowd { took, refused, failure: stage.failure() })
}

/// Runs once, in this slot of the schedule, and checks what is left of it; gives how long it took.
pub(super) async fn run(stage: &Stage, number: u64) -> SignedDuration {
    stage.timeline.sleep_until(START + SCHEDULE * i32::try_from(number).unwrap_or(i32::MAX)).await;
    let started_at = stage.timeline.now();
    let run = Run::new(stage, number, None);
    let owner = format!("run-{number}");
    let ends_at = started_at + TIME_LIMIT;
    let report = tokio::select! {
        biased;
        () = stage.timeline.sleep_until(ends_at) => None,
        report = reconcile(&run, &stage.config, Invocation { owner: &owner, ends_at }, &Asked::ToReconcile) => Some(report),
    };
    let took = stage.timeline.now().duration_since(started_at);
    stage.look_anyway(Change::Harmless, Some(run.mark()));
    match report {
        None => stage.failed(format!("run {number} did not end in time")),
        Some(report) => {
            if let Err(what) = soundness::check(stage, &report, run.mark(), &owner) {
                stage.failed(format!("run {number}: {what}"));
            }
        }
    }
    took
}

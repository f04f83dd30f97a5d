//! The promise of the renewer, in virtual time: no second without a live subscription and a live delivery token.
//!
//! A soak lets the renewer live through days or a year of faults that a seed draws, against the simulator, on one virtual
//! clock. What it says to Microsoft goes over HTTP through `graph-subscriptions`, as in the deployed function; its AWS is in
//! memory. Runs are invoked as EventBridge Scheduler and Lambda do it, and a fault can strike, or a crash end a run, at
//! every call.
//!
//! | module | what it is for |
//! |---|---|
//! | `timeline` | virtual time |
//! | `calls` | the calls of a run, by name |
//! | `weather` | faults: turbulence and storms |
//! | `aws` | AWS in memory |
//! | `inbox` | the notification address |
//! | `world` | the renewer's ports over all of these |
//! | `stage` | what all runs share |
//! | `observer` | who is covered, and what took the cover away |
//! | `soundness` | what must hold after a run that nothing hindered |
//! | `course` | the course of events |
//! | `report` | what a soak says of itself |
//! | `crowd` | very many policies |

use std::io;

use fastrand::Rng;
use jiff::SignedDuration;

mod aws;
mod calls;
mod course;
mod crowd;
mod inbox;
mod observer;
mod report;
mod soundness;
mod stage;
mod timeline;
mod weather;
mod world;

pub use crowd::{Crowd, crowd};
pub use report::Report;
pub use stage::Failure;
pub(crate) use weather::some_time;

use course::{Course, LONGEST_GAP};
use stage::{Pace, Setting, Stage};
use weather::{LONGEST_HARMLESS_STORM, Weather};

/// The tenants of a soak; the first one is the policies' own.
const TENANTS: [&str; 2] = ["5a1f0c9e-3b52-4d0e-9d0a-7f6f2c1e8b11", "9b2d7e40-6c1a-4f7b-8e25-0d3c5a7f1b62"];
/// Three policies of one tenant, one with a quote in its name, and two of the other.
const POLICIES: &str =
    "Global,Warehouse,O'Hare,9b2d7e40-6c1a-4f7b-8e25-0d3c5a7f1b62/Global,9b2d7e40-6c1a-4f7b-8e25-0d3c5a7f1b62/Lab";

/// What a soak is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What everything that is drawn depends on.
    pub seed: u64,
    /// How long it lasts, in virtual days.
    pub days: u32,
    /// The template's parameter `KeyRotationDays`.
    pub rotation_days: u32,
    /// The longest storm, in minutes. Beyond 27, gaps may be due to outages alone.
    pub longest_storm_minutes: u32,
}

impl Options {
    /// A year, with storms that excuse nothing.
    #[must_use]
    pub fn year(seed: u64) -> Self {
        let longest = u32::try_from(LONGEST_HARMLESS_STORM.as_mins()).unwrap_or_default();
        Self { seed, days: 365, rotation_days: 30, longest_storm_minutes: longest }
    }
}

/// Lets the renewer live through it. `progress` gets a line for each 30 virtual days.
///
/// # Errors
/// If the simulator or the notification address cannot be set up. That the renewer fails is in the report.
pub async fn soak(options: Options, progress: &mut dyn FnMut(&str)) -> io::Result<Report> {
    let mut rng = Rng::with_seed(options.seed);
    let longest = SignedDuration::from_mins(options.longest_storm_minutes.into());
    let stage = Stage::set(Setting {
        policies: POLICIES,
        tenants: &TENANTS,
        rotation_days: options.rotation_days,
        page_size: 2,
        pace: Pace::Drawn(rng.fork()),
        weather: Some(Weather::new(rng.fork(), longest, stage::START)),
        host: rng.fork(),
        longest_gap: LONGEST_GAP,
    })
    .await?;
    let length = SignedDuration::from_hours(24 * i64::from(options.days));
    let course = Course::new(&stage, rng, length);
    stage.timeline.drive(course.run(progress)).await;
    Ok(report::of(options, &stage, &course))
}

#[cfg(test)]
mod tests {
    use graph_notifications::Keyring;

    use super::*;
    use crate::simulator::ledger::Selector;
    use observer::Change;

    async fn stage() -> Stage {
        let mut rng = Rng::with_seed(1);
        Stage::set(Setting {
            policies: POLICIES,
            tenants: &TENANTS,
            rotation_days: 30,
            page_size: 2,
            pace: Pace::Even(100),
            weather: Some(Weather::new(rng.fork(), LONGEST_HARMLESS_STORM, stage::START)),
            host: rng.fork(),
            longest_gap: LONGEST_GAP,
        })
        .await
        .unwrap()
    }

    fn uncovered(stage: &Stage) -> Vec<usize> {
        let observer = stage.observer.borrow();
        (0..stage.policies.len()).filter(|&policy| !observer.is_covered(policy, stage.timeline.now())).collect()
    }

    #[tokio::test]
    async fn without_another_run_the_cover_ends_with_the_tokens() {
        let stage = stage().await;
        let covered = stage.timeline.drive(async {
            let before = uncovered(&stage);
            crowd::run(&stage, 0).await;
            let renewed = uncovered(&stage);
            stage.timeline.sleep_until(stage::START + SignedDuration::from_mins(59)).await;
            let late = uncovered(&stage);
            stage.timeline.sleep_until(stage::START + SignedDuration::from_mins(61)).await;
            [before, renewed, late, uncovered(&stage)]
        });
        assert_eq!(covered.await, [vec![0, 1, 2, 3, 4], vec![], vec![], vec![0, 1, 2, 3, 4]]);
        assert!(stage.failure().is_none(), "{:?}", stage.failure());
    }

    #[tokio::test]
    async fn calls_are_read_under_a_policy_that_is_covered_and_a_removal_is_seen() {
        let stage = stage().await;
        stage
            .timeline
            .drive(async {
                crowd::run(&stage, 0).await;
                for policy in 0..stage.policies.len() {
                    stage.probe(policy).await;
                }
                assert_eq!(stage.tally.borrow().probes, 5);
                assert_eq!(stage.simulator.remove_subscriptions(&Selector::Policy("Lab".to_owned())).len(), 1);
                stage.look(Change::Removal, None);
            })
            .await;
        assert_eq!(uncovered(&stage), [4]);
        assert!(stage.failure().is_none(), "{:?}", stage.failure());
    }

    #[tokio::test]
    async fn a_keyring_that_lost_its_secrets_is_a_failure() {
        let stage = stage().await;
        stage.timeline.drive(crowd::run(&stage, 0)).await;
        let empty = Keyring::default().to_json().unwrap();
        stage.aws.borrow_mut().secrets.insert(stage::KEYRING.to_owned(), empty.to_string());
        stage.keyring_stored(None);
        assert!(stage.failure().unwrap().what.starts_with("the keyring was stored without what"));
    }
}

//! What a soak says of itself.

use std::fmt;

use jiff::SignedDuration;

use super::Options;
use super::course::{AVERAGE_GAP, Counts, Course};
use super::observer::{Cause, Without};
use super::stage::{Failure, Stage};
use super::timeline::minutes;
use super::weather::LONGEST_HARMLESS_STORM;

/// How many gaps it takes to say something of their average.
const ENOUGH_GAPS: u64 = 40;

/// The result of a soak; its `Display` is the report.
pub struct Report {
    options: Options,
    counts: Counts,
    policies: usize,
    calls: Vec<(&'static str, u64)>,
    storms: Vec<(&'static str, u64)>,
    strikes: Vec<(String, u64)>,
    key_rotations: u64,
    probes: u64,
    signing_keys_fetched: u64,
    without: Vec<(Cause, Without)>,
    failure: Option<Failure>,
}

impl Report {
    /// Why the renewer did not keep its promise; `None` if it did.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        self.failure.as_ref()
    }

    /// How many runs there were, those that were skipped or came to nothing included.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.counts.runs
    }
}

impl Report {
    /// How many passes of the monitor there were, without those that could change nothing.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.counts.passes
    }

    /// How many times Graph's lists began to lie.
    #[must_use]
    pub fn lies(&self) -> u64 {
        self.counts.lies.iter().filter(|(lists, _)| *lists != "True").map(|(_, times)| times).sum()
    }

    /// How often a policy was without cover after a removal by Graph that no storm kept from being repaired, and for how long at
    /// most.
    #[must_use]
    pub fn gaps_after_removals(&self) -> (u64, SignedDuration) {
        let removed = self.without.iter().find(|(cause, _)| *cause == Cause::Removed);
        removed.map_or((0, SignedDuration::ZERO), |(_, without)| (without.times, without.longest))
    }
}

pub(super) fn of(options: Options, stage: &Stage, course: &Course<'_>) -> Report {
    let tally = stage.tally.take();
    let without: Vec<_> = stage.observer.borrow().without().iter().map(|(&cause, &without)| (cause, without)).collect();
    let harmless = i64::from(options.longest_storm_minutes) <= LONGEST_HARMLESS_STORM.as_mins();
    let outage = without.iter().find(|(cause, _)| *cause == Cause::Outage).filter(|_| harmless);
    if let Some((_, outage)) = outage {
        stage.failed(format!("{} gaps are put down to outages that were too short for that", outage.times));
    }
    // A few gaps say nothing of the average, the less as one removal may open several.
    let removed = without.iter().find(|(cause, without)| *cause == Cause::Removed && without.times >= ENOUGH_GAPS);
    if let Some((_, removed)) = removed
        && removed.average() >= AVERAGE_GAP
    {
        stage.failed(format!(
            "after a removal a policy was without cover for {} on average",
            minutes(removed.average())
        ));
    }
    let counted = |(storm, service, what): (bool, super::calls::Service, &'static str)| {
        let origin = if storm { "storm" } else { "turbulence" };
        format!("{origin}: {}, {what}", service.word())
    };
    Report {
        options,
        counts: course.counts.take(),
        policies: stage.policies.len(),
        calls: tally.calls.into_iter().map(|(call, times)| (call.word(), times)).collect(),
        storms: tally.storms.into_iter().collect(),
        strikes: tally.strikes.into_iter().map(|(strike, times)| (counted(strike), times)).collect(),
        key_rotations: tally.key_rotations,
        probes: tally.probes,
        signing_keys_fetched: tally.signing_keys_fetched,
        without,
        failure: stage.failure(),
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            runs,
            fair,
            skipped,
            crashed,
            out_of_time,
            failed,
            repeated,
            missed,
            passes,
            idle_passes,
            lies,
            removals,
            untold,
            signing_keys,
            longest_run,
        } = &self.counts;
        let Options { seed, days, rotation_days, longest_storm_minutes } = self.options;
        writeln!(f, "seed {seed}: {days} days, {} policies, keys changed every {rotation_days} days", self.policies)?;
        writeln!(
            f,
            "runs: {runs}; undisturbed {fair}, skipped {skipped}, crashed {crashed}, out of time {out_of_time}, failed \
             {failed} (those two included), repeated by Lambda {repeated}, missed by the schedule {missed}; the longest {}",
            minutes(*longest_run)
        )?;
        writeln!(
            f,
            "passes of the monitor: {passes}; left out, as every subscription was there and they could change nothing: \
             {idle_passes}"
        )?;
        let lies: Vec<String> = lies.iter().map(|(lists, times)| format!("{lists} {times}")).collect();
        writeln!(f, "what Graph's lists said, for days on end: {}", lies.join(", "))?;
        writeln!(f, "encryption keys changed: {}; Entra's signing keys changed: {signing_keys}", self.key_rotations)?;
        writeln!(f, "removals by Graph: {removals}, of which the bus was not told, for storms: {untold}")?;
        writeln!(
            f,
            "calls placed: {}, all delivered and read; Entra's keys fetched for them: {}",
            self.probes, self.signing_keys_fetched
        )?;
        list(f, "calls", &self.calls)?;
        list(f, &format!("storms of up to {longest_storm_minutes} minutes"), &self.storms)?;
        list(f, "faults", &self.strikes)?;
        writeln!(f, "seconds without cover, all policies together:")?;
        for (cause, without) in &self.without {
            let Without { times, total, longest } = without;
            writeln!(
                f,
                "  {}: {} s in {times} gaps, the longest {}, on average {}",
                cause.words(),
                total.as_secs(),
                minutes(*longest),
                minutes(without.average())
            )?;
        }
        match &self.failure {
            None => writeln!(f, "verdict: the promise was kept"),
            Some(Failure { at, what, trail }) => {
                writeln!(f, "verdict: FAILED with seed {seed} at {at}: {what}")?;
                writeln!(f, "the last calls before:")?;
                trail.iter().try_for_each(|line| writeln!(f, "  {line}"))
            }
        }
    }
}

fn list<T: AsRef<str>>(f: &mut fmt::Formatter<'_>, title: &str, counted: &[(T, u64)]) -> fmt::Result {
    writeln!(f, "{title}:")?;
    counted.iter().try_for_each(|(what, times)| writeln!(f, "  {}: {times}", what.as_ref()))
}

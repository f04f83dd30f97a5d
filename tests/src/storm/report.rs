//! What a storm says of itself.

use std::{collections::BTreeMap, fmt};

use jiff::SignedDuration;

use super::{Options, Stage, Tally, census::Outcome};

/// Of a thousand calls, how many may be told more than once. As many of fewer calls, since one outage may meet them all.
const DOUBLED: usize = 10;

/// The result of a storm; its `Display` is the report.
pub struct Report {
    options: Options,
    outcome: Outcome,
    lost: Vec<String>,
    tally: Tally,
    lasted: SignedDuration,
    outages: Vec<(&'static str, SignedDuration)>,
}

impl Report {
    pub(super) fn of(options: Options, stage: &Stage) -> Self {
        Self {
            options,
            outcome: stage.census.borrow().outcome(),
            lost: stage.census.borrow().lost(),
            tally: stage.tally.get(),
            lasted: stage.now().duration_since(stage.started_at),
            outages: stage.weather().outages(),
        }
    }

    /// Whether no call was lost, none was forged or told as verified without both proofs, none went to the wrong topic, and at
    /// most one in a hundred was told twice.
    #[must_use]
    pub fn promise_kept(&self) -> bool {
        let Outcome { calls, lost, doubled, forged, misrouted, wrongly_verified, .. } = self.outcome;
        let wrong = [lost, forged, misrouted, wrongly_verified];
        wrong == [0; 4] && doubled * 1000 <= calls.max(1000) * DOUBLED
    }

    /// How many calls had an event of which nobody was told.
    #[must_use]
    pub fn lost(&self) -> usize {
        self.outcome.lost
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Outcome {
            calls,
            tests,
            alerts,
            combined,
            omitted,
            second_way,
            late_starts,
            lost,
            doubled,
            forged,
            wrongly_verified,
            misrouted,
            degraded,
            with_one_proof,
            unverified,
        } = self.outcome;
        let Tally {
            notifications,
            repeated,
            attempts,
            given_up,
            forgeries,
            invocations,
            cold_starts,
            killed,
            unavailable,
            longest,
        } = self.tally;
        writeln!(
            f,
            "seed {}: {calls} calls, {tests} of them tests, in {} hours",
            self.options.seed,
            self.lasted.as_hours()
        )?;
        writeln!(
            f,
            "Graph: {notifications} notifications, {repeated} of them once more although delivered, {attempts} attempts, \
             {given_up} given up"
        )?;
        writeln!(f, "forged requests: {forgeries}")?;
        writeln!(
            f,
            "invocations: {invocations}; cold {cold_starts}, killed {killed}, answered 503 {unavailable}, the longest {} ms",
            longest.as_millis()
        )?;
        let mut kinds: BTreeMap<&str, (usize, SignedDuration)> = BTreeMap::new();
        for (kind, length) in &self.outages {
            let (times, total) = kinds.entry(kind).or_default();
            *times += 1;
            *total += *length;
        }
        writeln!(f, "outages:")?;
        for (kind, (times, total)) in kinds {
            writeln!(f, "  {kind}: {times}, together {} min", total.as_mins())?;
        }
        writeln!(
            f,
            "alerts: {alerts}, and {combined} in combined messages, which had no room for {omitted}; messages that took the second \
             way: {second_way}; calls without details: {degraded}; starts that say that their call has ended: {late_starts}"
        )?;
        writeln!(
            f,
            "calls that came with one proof: {with_one_proof}; calls that came with both and were told as not verified alone: {unverified}"
        )?;
        for event in &self.lost {
            writeln!(f, "nobody was told: {event}")?;
        }
        writeln!(
            f,
            "calls lost {lost}, told more than once {doubled}, on the wrong topic {misrouted}, forged {forged}, wrongly verified \
             {wrongly_verified}: the promise {}",
            if self.promise_kept() { "was kept" } else { "was BROKEN" }
        )
    }
}

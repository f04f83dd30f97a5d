//! The monitor: a pass every minute, so that CloudWatch's alarms have something to go by and nothing stays broken that can be
//! repaired.
//!
//! Each pass asks Graph for the subscriptions by their ids and creates anew what is gone ([`subscriptions`]), by the plan and under
//! the lease of a run. Every fifth looks at all else that could fail unnoticed, too ([`mod@look`]), and says what it saw: as metrics
//! ([`WatchReport::lines`]), and as a report. What could not be seen is a problem, counted by the metric `WatchProblems`; a pass that
//! does not run at all is missed by its own metric, `WatchRuns`. What is in trouble and was not before ([`trouble`]) is counted by
//! `NewProblems`, since an alarm that stays in alarm says nothing of what comes besides. `docs/never-deaf.md` has the alarms.
//!
//! A pass ends within 50 seconds, and holds a lease of its own, so that none begins beside another.

mod live;
pub mod look;
pub mod ports;
pub mod report;
pub mod subscriptions;
#[cfg(test)]
mod tests;
pub mod trouble;

use jiff::{SignedDuration, Timestamp};

use self::{look::look, ports::Watched, report::WatchReport};
use crate::{
    config::Config,
    lease::{self, Lease},
    ports::{LeaseName, World, by},
    run::Invocation,
};

/// How long a pass may take.
pub const LONGEST_PASS: SignedDuration = SignedDuration::from_secs(50);

/// What is left of that for notes, metrics, and the lease.
const RESERVE: SignedDuration = SignedDuration::from_secs(10);

/// How often, in minutes, a pass looks at everything.
const FULL_EVERY: i64 = 5;

/// One pass. `scheduled_at` is the time for which the schedule sent it; who asks by hand has everything looked at. Whatever does not
/// answer in time is a problem in the report.
pub async fn monitor<W: Watched>(
    world: &W,
    config: &Config,
    invocation: Invocation<'_>,
    scheduled_at: Option<Timestamp>,
) -> WatchReport {
    let minute = scheduled_at.unwrap_or_else(|| world.now()).as_second().div_euclid(60);
    if scheduled_at.is_some() && minute.rem_euclid(FULL_EVERY) != 0 {
        return monitor_subscriptions(world, config, invocation, minute).await;
    }
    // Boxed: with all that calls it, it would be deeper than the compiler looks into one future.
    alone(world, config, invocation, async |invocation| Box::pin(look(world, config, invocation, minute)).await).await
}

/// A pass that looks at the subscriptions alone.
pub async fn monitor_subscriptions<W: World>(
    world: &W,
    config: &Config,
    invocation: Invocation<'_>,
    minute: i64,
) -> WatchReport {
    alone(world, config, invocation, async |invocation: Invocation<'_>| {
        let started_at = world.now();
        let within = Invocation { ends_at: invocation.ends_at - RESERVE, ..invocation };
        let found = Box::pin(subscriptions::keep(world, config, within, minute)).await;
        let problems = found.problems.into_iter().map(|problem| problem.sentence);
        let mut report = WatchReport::begun(started_at);
        report.problems = problems.collect();
        report.ok = report.problems.is_empty();
        report.asked_for = found.asked_for;
        report.subscriptions = found.watched;
        report.repaired = found.repaired;
        report
    })
    .await
}

/// Does the work of a pass, unless another pass is under way, and prints its metrics.
async fn alone<W: World>(
    world: &W,
    config: &Config,
    invocation: Invocation<'_>,
    work: impl AsyncFnOnce(Invocation<'_>) -> WatchReport,
) -> WatchReport {
    let started_at = world.now();
    let ends_at = invocation.ends_at.min(started_at + LONGEST_PASS);
    let lease = lease::take(world, LeaseName::Monitor, invocation.owner, ends_at).await;
    if lease == Lease::Held {
        let skipped = Some("another pass is under way");
        return WatchReport { ok: true, skipped, ..WatchReport::begun(started_at) };
    }
    let mut report = work(Invocation { ends_at, ..invocation }).await;
    let duration = world.now().duration_since(started_at);
    report.duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    for line in report.lines(&config.function_name, world.now()) {
        world.emit(&line);
    }
    // Otherwise it ends by itself.
    if lease == Lease::Taken {
        let released = by(world, ends_at, world.release_lease(LeaseName::Monitor, invocation.owner)).await;
        if released.is_none_or(|released| released.is_err()) {
            tracing::warn!("the lease to monitor cannot be given back");
        }
    }
    report
}

//! The watch: a short look, every few minutes, at all that could fail without a word, so that CloudWatch's alarms have something
//! to go by. It takes no lease and changes nothing but its own notes.
//!
//! First it looks ([`mod@look`]), then it says what it saw: as metrics ([`WatchReport::lines`]), and as a report. What could not be
//! seen is a problem, counted by the metric `WatchProblems`; a watch that does not run at all is missed by its own metric,
//! `WatchRuns`. What is in trouble and was not before ([`trouble`]) is counted by `NewProblems`, since an alarm that stays in alarm
//! says nothing of what comes besides. `docs/never-deaf.md` has the alarms.

mod live;
pub mod look;
pub mod ports;
pub mod report;
#[cfg(test)]
mod tests;
pub mod trouble;

use jiff::Timestamp;

use self::{look::look, ports::Watched, report::WatchReport};
use crate::config::Config;

/// Looks, prints the metrics, and reports. Whatever does not answer before the invocation is ended from outside at `ends_at` is a
/// problem in the report.
pub async fn watch<W: Watched>(world: &W, config: &Config, ends_at: Timestamp) -> WatchReport {
    // Boxed: with all that calls it, it would be deeper than the compiler looks into one future.
    let report = Box::pin(look(world, config, ends_at)).await;
    for line in report.lines(&config.function_name, world.now()) {
        world.emit(&line);
    }
    report
}

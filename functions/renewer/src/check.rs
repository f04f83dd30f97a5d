//! The check: looks at every link of the chain from Microsoft Entra to the people who are told, and says in plain words what
//! is wrong and what to do. It changes nothing.
//!
//! First it looks ([`mod@look`]), then it judges what it saw ([`mod@judge`], pure), then it reports ([`report`]).

mod cloudwatch;
pub mod entra;
#[cfg(test)]
mod fake;
pub mod judge;
pub mod live;
pub mod look;
pub mod ports;
pub mod report;
pub mod seen;
#[cfg(test)]
mod tests;

use jiff::Timestamp;

use self::{entra::entries, judge::judge, look::look, ports::Surroundings, report::CheckReport};
use crate::config::Config;

/// Checks all links. Whatever is wrong, or does not answer before the invocation is ended from outside at `ends_at`, is a row of
/// the report.
pub async fn check<S: Surroundings>(world: &S, config: &Config, ends_at: Timestamp) -> CheckReport {
    // Boxed: with all that calls it, it would be deeper than the compiler looks into one future.
    let seen = Box::pin(look(world, config, ends_at)).await;
    let now = world.now();
    CheckReport::new(now, judge(&seen, config, now), entries(&seen.credential, config))
}

//! One run at a time: two that plan on the same list would each create what is missing.

use std::time::Duration;

use jiff::Timestamp;

use crate::ports::{LeaseName, OutsideError, World};

/// How long who has patience waits before it asks for the lease again.
const BETWEEN_ATTEMPTS: Duration = Duration::from_secs(2);

/// Whether a run may begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lease {
    /// This run holds the lease.
    Taken,
    /// Another run holds it.
    Held,
    /// The state table cannot be reached. The run begins all the same: subscriptions end whether or not the table answers,
    /// and Graph itself refuses a second one for the same policy.
    Unreachable(String),
}

/// Tries to take the lease, again and again until `patience` ends if another run holds it.
pub async fn take_in_time(world: &impl World, owner: &str, until: Timestamp, patience: Timestamp) -> Lease {
    loop {
        let lease = take(world, LeaseName::Subscriptions, owner, until).await;
        if lease != Lease::Held || world.now() >= patience {
            return lease;
        }
        world.sleep(BETWEEN_ATTEMPTS).await;
    }
}

/// Gives the lease back, again and again until `patience` ends while the table cannot be reached: a lease that is left behind
/// keeps everybody else from working until it ends.
///
/// # Errors
/// If the last attempt fails.
pub async fn give_back(world: &impl World, owner: &str, patience: Timestamp) -> Result<(), OutsideError> {
    loop {
        let given_back = world.release_lease(LeaseName::Subscriptions, owner).await;
        if given_back.is_ok() || world.now() + BETWEEN_ATTEMPTS >= patience {
            return given_back;
        }
        world.sleep(BETWEEN_ATTEMPTS).await;
    }
}

/// Tries to take the lease until a time by which the run has surely ended.
pub async fn take(world: &impl World, name: LeaseName, owner: &str, until: Timestamp) -> Lease {
    match world.take_lease(name, owner, world.now(), until).await {
        Ok(true) => Lease::Taken,
        Ok(false) => Lease::Held,
        Err(error) => Lease::Unreachable(error.to_string()),
    }
}

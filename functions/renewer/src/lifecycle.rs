//! What Graph says of a subscription starts a run at once, but never two within a minute: who repeats or forges lifecycle
//! notifications gains nothing by it.

use jiff::{SignedDuration, Timestamp};

use crate::{input::LifecycleEvent, ports::World};

/// The shortest time between the beginnings of two runs that lifecycle events asked for.
const BETWEEN_RUNS: SignedDuration = SignedDuration::from_mins(1);

/// Graph asks to leave a subscription alone for so long after it was renewed.
const RENEWED_LATELY: SignedDuration = SignedDuration::from_mins(10);

/// Others may announce a run at the same moment. After so many attempts one of them has, and this event is served by it.
const ATTEMPTS: usize = 4;

/// What to do about an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Run.
    Run,
    /// Leave it: for this reason nothing is missed.
    Leave(&'static str),
}

/// Waits for the turn of an event, for a minute at most.
///
/// If the state table does not answer, the event has its turn at once: only who knows the client state gets here, and an
/// unneeded run is better than a subscription that is not renewed.
pub async fn turn(world: &impl World, event: &LifecycleEvent) -> Turn {
    if event.lifecycle_event == "reauthorizationRequired" && was_renewed_lately(world, event).await {
        return Turn::Leave("the subscription was renewed less than ten minutes ago");
    }
    for _ in 0..ATTEMPTS {
        let now = world.now();
        let Ok(latest) = world.lifecycle_run().await else { return Turn::Run };
        let Some(next) = next_run(latest, now) else { break };
        match world.announce_lifecycle_run(latest, next).await {
            Ok(true) => {
                if let Ok(wait) = std::time::Duration::try_from(next.duration_since(now)) {
                    world.sleep(wait).await;
                }
                return Turn::Run;
            }
            Ok(false) => {}
            Err(_) => return Turn::Run,
        }
    }
    Turn::Leave("another lifecycle event has a run begin within a minute, which sees to this one, too")
}

/// When the next run may begin; `None` if one is announced that has not begun.
fn next_run(latest: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    match latest {
        Some(latest) if latest > now => None,
        Some(latest) => Some(now.max(latest + BETWEEN_RUNS)),
        None => Some(now),
    }
}

async fn was_renewed_lately(world: &impl World, event: &LifecycleEvent) -> bool {
    let Some(id) = &event.subscription_id else { return false };
    let records = world.records().await.unwrap_or_default();
    records.iter().any(|record| {
        record.subscription_id.as_ref() == Some(id) && world.now().duration_since(record.updated_at) < RENEWED_LATELY
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::START;

    #[test]
    fn runs_begin_a_minute_apart_and_one_waits_at_most() {
        let at = |seconds: i64| START + SignedDuration::from_secs(seconds);
        for (latest, now, expected) in [
            (None, 0, Some(0)),
            (Some(0), 60, Some(60)),
            (Some(0), 600, Some(600)),
            (Some(0), 59, Some(60)),
            (Some(0), 0, Some(60)),
            (Some(60), 59, None),
            (Some(60), 60, Some(120)),
        ] {
            assert_eq!(next_run(latest.map(at), at(now)), expected.map(at), "{latest:?} {now}");
        }
    }
}

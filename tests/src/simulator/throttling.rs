//! How many requests Graph takes on subscriptions ("Microsoft Graph service-specific throttling limits", Subscription service).

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

/// The time over which requests are counted.
const WINDOW: SignedDuration = SignedDuration::from_secs(20);

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// It looks.
    Read,
    /// It changes something.
    Write,
}

/// How many requests are taken within [`WINDOW`].
#[derive(Clone, Copy)]
struct Limit {
    writes: usize,
    all: usize,
}

/// From one application in one tenant.
const OF_APPLICATION: Limit = Limit { writes: 1000, all: 5000 };
/// From all applications in one tenant.
const OF_TENANT: Limit = Limit { writes: 2000, all: 10_000 };

/// The requests of the last moments. Those that are refused count, too: "all requests accrue against your usage limits".
#[derive(Default)]
pub(crate) struct Throttling {
    /// By tenant and application, and by tenant alone.
    lately: BTreeMap<(String, Option<String>), Lately>,
}

#[derive(Default)]
struct Lately {
    writes: VecDeque<Timestamp>,
    all: VecDeque<Timestamp>,
}

impl Throttling {
    /// Counts a request.
    ///
    /// # Errors
    /// If it is one too many, with the seconds after which another would be taken.
    pub(crate) fn count(&mut self, tenant: &str, client_id: &str, access: Access, now: Timestamp) -> Result<(), u32> {
        let mut waits = [(Some(client_id), OF_APPLICATION), (None, OF_TENANT)].map(|(client_id, limit)| {
            let key = (tenant.to_owned(), client_id.map(str::to_owned));
            self.lately.entry(key).or_default().count(access, limit, now)
        });
        waits.sort_unstable();
        waits[1].map_or(Ok(()), Err)
    }
}

impl Lately {
    fn count(&mut self, access: Access, limit: Limit, now: Timestamp) -> Option<u32> {
        let all = count(&mut self.all, limit.all, now);
        let writes = if access == Access::Write { count(&mut self.writes, limit.writes, now) } else { None };
        all.max(writes)
    }
}

/// Counts one more; gives the seconds until there is room for another, if it is too many.
fn count(requests: &mut VecDeque<Timestamp>, limit: usize, now: Timestamp) -> Option<u32> {
    while requests.front().is_some_and(|at| now.duration_since(*at) >= WINDOW) {
        requests.pop_front();
    }
    requests.push_back(now);
    let excess = requests.len().checked_sub(limit + 1)?;
    let room_at = requests[excess + 1] + WINDOW;
    let milliseconds = u32::try_from(room_at.duration_since(now).as_millis()).unwrap_or(u32::MAX);
    Some(milliseconds.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::constant(1_764_000_000, 0);

    fn taken(throttling: &mut Throttling, app: &str, access: Access, times: usize, at: i64) -> Vec<u32> {
        let now = START + SignedDuration::from_millis(at);
        (0..times).filter_map(|_| throttling.count("tenant", app, access, now).err()).collect()
    }

    #[test]
    fn an_application_has_its_limits() {
        let mut throttling = Throttling::default();
        assert!(taken(&mut throttling, "one", Access::Write, 1000, 0).is_empty());
        assert!(taken(&mut throttling, "one", Access::Read, 4000, 0).is_empty());
        assert_eq!(taken(&mut throttling, "one", Access::Write, 1, 0), [20]);
        assert_eq!(taken(&mut throttling, "one", Access::Read, 1, 0), [20]);
        assert!(taken(&mut throttling, "two", Access::Write, 998, 0).is_empty());
    }

    #[test]
    fn a_tenant_has_its_limits() {
        let mut throttling = Throttling::default();
        for app in ["one", "two"] {
            assert!(taken(&mut throttling, app, Access::Write, 1000, 0).is_empty());
        }
        assert_eq!(taken(&mut throttling, "three", Access::Write, 1, 0), [20]);
        assert!(throttling.count("other", "one", Access::Write, START).is_ok());
    }

    #[test]
    fn there_is_room_again_when_the_wait_that_was_asked_for_is_over() {
        let mut throttling = Throttling::default();
        assert!(taken(&mut throttling, "one", Access::Write, 400, 0).is_empty());
        assert!(taken(&mut throttling, "one", Access::Write, 600, 5_000).is_empty());
        assert_eq!(taken(&mut throttling, "one", Access::Write, 1, 7_500), [13]);
        assert_eq!(taken(&mut throttling, "one", Access::Write, 1, 19_999), [1]);
        assert!(taken(&mut throttling, "one", Access::Write, 1, 20_000).is_empty());
    }

    #[test]
    fn who_goes_on_regardless_waits_longer() {
        let mut throttling = Throttling::default();
        assert!(taken(&mut throttling, "one", Access::Write, 1000, 0).is_empty());
        assert_eq!(taken(&mut throttling, "one", Access::Write, 1001, 10_000).last(), Some(&20));
    }
}

//! How often something happens, however often it is asked for.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};

/// The period that limits are for.
const PERIOD: SignedDuration = SignedDuration::from_mins(1);

/// So many times a minute and no more, for this instance of the function.
pub(crate) struct PerMinute {
    most: usize,
    taken: Mutex<VecDeque<Timestamp>>,
}

impl PerMinute {
    pub(crate) fn new(most: usize) -> Self {
        Self { most, taken: Mutex::default() }
    }

    /// Whether it may happen once more now; if so, it counts.
    pub(crate) fn take(&self, now: Timestamp) -> bool {
        let mut taken = self.taken(now);
        let free = taken.len() < self.most;
        if free {
            taken.push_back(now);
        }
        free
    }

    /// Whether it may happen once more now. That counts nothing.
    pub(crate) fn is_free(&self, now: Timestamp) -> bool {
        self.taken(now).len() < self.most
    }

    /// Those of the last minute.
    fn taken(&self, now: Timestamp) -> MutexGuard<'_, VecDeque<Timestamp>> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was set back frees them, rather than holding them for ever.
        taken.retain(|at| now.duration_since(*at).abs() < PERIOD);
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_happens_so_many_times_a_minute() {
        let limit = PerMinute::new(2);
        let at = |seconds| {
            let now = Timestamp::constant(1_764_000_000, 0) + SignedDuration::from_secs(seconds);
            let free = [limit.is_free(now), limit.is_free(now)];
            let taken = limit.take(now);
            assert_eq!(free, [taken; 2], "to ask takes nothing");
            taken
        };
        assert_eq!([0, 30, 59, 60, 61, 90].map(at), [true, true, false, true, false, true]);
        assert!(at(-3600), "a clock that was set back");
    }
}

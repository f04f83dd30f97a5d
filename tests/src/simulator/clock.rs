//! The simulator's clock: expiries and retries follow it, so that a test can live through a day in a moment.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

/// A clock that only its owner moves, or that runs with the real one at an offset. Clones share one reading.
#[derive(Clone, Debug)]
pub struct Clock {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    reading: Mutex<Reading>,
    moved: watch::Sender<u64>,
}

#[derive(Clone, Copy, Debug)]
enum Reading {
    Offset(SignedDuration),
    Manual(Timestamp),
}

impl Clock {
    /// A clock that runs with the real one until it is advanced.
    #[must_use]
    pub fn real() -> Self {
        Self::new(Reading::Offset(SignedDuration::ZERO))
    }

    /// A clock that stands at `now` until it is advanced.
    #[must_use]
    pub fn manual(now: Timestamp) -> Self {
        Self::new(Reading::Manual(now))
    }

    fn new(reading: Reading) -> Self {
        Self { inner: Arc::new(Inner { reading: Mutex::new(reading), moved: watch::channel(0).0 }) }
    }

    /// The current simulated time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self.reading() {
            Reading::Offset(offset) => Timestamp::now() + offset,
            Reading::Manual(now) => now,
        }
    }

    /// The time as systems outside have it, which is the real one for a clock that was advanced beside it.
    ///
    /// Receivers judge tokens and events by their own clock, so that those carry this time; a manual clock is everybody's.
    #[must_use]
    pub fn outside(&self) -> Timestamp {
        match self.reading() {
            Reading::Offset(_) => Timestamp::now(),
            Reading::Manual(now) => now,
        }
    }

    /// Moves the clock forward to `time` and wakes whoever waits for a time until then. It never moves back.
    ///
    /// [`Simulator::advance`](super::Simulator::advance) also runs what falls due on the way.
    pub fn advance_to(&self, time: Timestamp) {
        {
            let mut reading = self.inner.reading.lock().unwrap_or_else(PoisonError::into_inner);
            match &mut *reading {
                Reading::Offset(offset) => {
                    let gap = time.duration_since(Timestamp::now() + *offset);
                    *offset += gap.max(SignedDuration::ZERO);
                }
                Reading::Manual(now) => *now = time.max(*now),
            }
        }
        self.inner.moved.send_modify(|moves| *moves += 1);
    }

    /// Waits until the simulated time is `time` or later.
    pub async fn wait_until(&self, time: Timestamp) {
        let mut moved = self.inner.moved.subscribe();
        loop {
            let left = time.duration_since(self.now());
            if left <= SignedDuration::ZERO {
                return;
            }
            match self.reading() {
                Reading::Manual(_) => {
                    let _ = moved.changed().await;
                }
                Reading::Offset(_) => {
                    let left = Duration::try_from(left).unwrap_or(Duration::ZERO);
                    tokio::select! {
                        () = tokio::time::sleep(left) => {}
                        _ = moved.changed() => {}
                    }
                }
            }
        }
    }

    fn reading(&self) -> Reading {
        *self.inner.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A time as Graph writes it: UTC with seven decimals, such as `2026-11-23T10:00:00.0000000Z`.
#[must_use]
pub fn graph_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.7fZ").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn a_manual_clock_stands_still_and_never_moves_back() {
        let clock = Clock::manual(at("2026-11-23T10:00:00Z"));
        assert_eq!(clock.now(), at("2026-11-23T10:00:00Z"));
        clock.advance_to(at("2026-11-23T11:00:00Z"));
        clock.advance_to(at("2026-11-23T09:00:00Z"));
        assert_eq!(clock.now(), at("2026-11-23T11:00:00Z"));
    }

    #[test]
    fn a_real_clock_runs_at_an_offset() {
        let clock = Clock::real();
        let target = clock.now() + SignedDuration::from_hours(4);
        clock.advance_to(target);
        let past = clock.now().duration_since(target);
        assert!(past >= SignedDuration::ZERO && past < SignedDuration::from_mins(1));
    }

    #[test]
    fn systems_outside_share_a_manual_clock_only() {
        let (manual, real) = (Clock::manual(at("2026-11-23T10:00:00Z")), Clock::real());
        for clock in [&manual, &real] {
            clock.advance_to(clock.now() + SignedDuration::from_hours(4));
        }
        assert_eq!(manual.outside(), manual.now());
        assert!(real.now().duration_since(real.outside()) > SignedDuration::from_hours(3));
    }

    #[tokio::test]
    async fn waiting_ends_when_the_clock_is_advanced() {
        for clock in [Clock::manual(at("2026-11-23T10:00:00Z")), Clock::real()] {
            let due = clock.now() + SignedDuration::from_hours(4);
            let waiter = tokio::spawn({
                let clock = clock.clone();
                async move { clock.wait_until(due).await }
            });
            clock.advance_to(due);
            waiter.await.unwrap();
        }
    }

    #[test]
    fn times_have_seven_decimals() {
        assert_eq!(graph_time(at("2026-11-23T10:00:00Z")), "2026-11-23T10:00:00.0000000Z");
        assert_eq!(graph_time(at("2026-11-23T10:00:00.25Z")), "2026-11-23T10:00:00.2500000Z");
    }
}

//! Virtual time: it stands while anything runs or talks over the network, and jumps to the next appointment when all wait.
//!
//! Whatever is to share the time runs inside [`Timeline::drive`]. What waits there for a real answer holds the time by
//! [`Timeline::outside`], one at a time, so that how long an answer really takes decides neither the time nor the order.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use futures::task::AtomicWaker;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::{Mutex, MutexGuard};

use crate::simulator::clock::Clock;

/// The time of one soak.
pub(super) struct Timeline {
    clock: Clock,
    appointments: RefCell<Appointments>,
    held: Cell<bool>,
    turn: Mutex<()>,
}

#[derive(Default)]
struct Appointments {
    /// By time, then by who asked first.
    wakers: BTreeMap<(Timestamp, u64), Waker>,
    asked: u64,
}

impl Timeline {
    /// The time of this clock, which nobody else may move.
    pub(super) fn new(clock: Clock) -> Self {
        Self { clock, appointments: RefCell::default(), held: Cell::new(false), turn: Mutex::new(()) }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn sleep(&self, duration: SignedDuration) -> Sleep<'_> {
        self.sleep_until(self.now() + duration)
    }

    pub(super) fn sleep_until(&self, until: Timestamp) -> Sleep<'_> {
        Sleep { timeline: self, until, key: None }
    }

    /// Waits until nobody is outside, and keeps others from going while it is held. Time goes on meanwhile.
    pub(super) async fn turn(&self) -> MutexGuard<'_, ()> {
        self.turn.lock().await
    }

    /// Does what takes real time but no virtual time. The guard proves that nobody else does so at once.
    pub(super) async fn outside<T>(&self, _turn: &MutexGuard<'_, ()>, work: impl Future<Output = T>) -> T {
        let _held = Held::new(&self.held);
        work.await
    }

    /// Does the work to its end in virtual time.
    ///
    /// # Panics
    /// When all wait and nobody has an appointment: then the work would never end.
    pub(super) async fn drive<T>(&self, work: impl Future<Output = T>) -> T {
        // Tokio would make its resources look busy after some polls, and time would jump although there is work.
        let mut work = pin!(tokio::task::unconstrained(work));
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(Arc::clone(&bell));
        poll_fn(move |context| {
            bell.outer.register(context.waker());
            loop {
                bell.rung.store(false, Ordering::Relaxed);
                if let Poll::Ready(done) = work.as_mut().poll(&mut Context::from_waker(&waker)) {
                    return Poll::Ready(done);
                }
                if bell.rung.load(Ordering::Relaxed) {
                    continue;
                }
                if self.held.get() {
                    return Poll::Pending;
                }
                self.jump();
            }
        })
        .await
    }

    fn jump(&self) {
        let next = self.appointments.borrow_mut().wakers.pop_first();
        let ((time, _), waker) = next.expect("somebody must have an appointment");
        self.clock.advance_to(time);
        waker.wake();
    }
}

/// Holds the time, also when the work is given up.
struct Held<'a>(&'a Cell<bool>);

impl<'a> Held<'a> {
    fn new(held: &'a Cell<bool>) -> Self {
        held.set(true);
        Self(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

/// Tells that something can go on before time does.
#[derive(Default)]
struct Bell {
    rung: AtomicBool,
    outer: AtomicWaker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.rung.store(true, Ordering::Relaxed);
        self.outer.wake();
    }
}

/// An appointment; dropping it cancels it.
pub(super) struct Sleep<'a> {
    timeline: &'a Timeline,
    until: Timestamp,
    key: Option<(Timestamp, u64)>,
}

impl Future for Sleep<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.timeline.now() >= self.until {
            return Poll::Ready(());
        }
        let timeline = self.timeline;
        let mut appointments = timeline.appointments.borrow_mut();
        let until = self.until;
        let key = *self.key.get_or_insert_with(|| {
            appointments.asked += 1;
            (until, appointments.asked)
        });
        appointments.wakers.insert(key, context.waker().clone());
        Poll::Pending
    }
}

impl Drop for Sleep<'_> {
    fn drop(&mut self) {
        if let Some(key) = self.key {
            self.timeline.appointments.borrow_mut().wakers.remove(&key);
        }
    }
}

/// A length of time for people.
pub(super) fn minutes(length: SignedDuration) -> String {
    format!("{} min {} s", length.as_mins(), length.as_secs() % 60)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::StreamExt as _;
    use futures::stream::FuturesUnordered;

    use super::*;

    const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

    fn timeline() -> Timeline {
        Timeline::new(Clock::manual(START))
    }

    fn elapsed(timeline: &Timeline) -> SignedDuration {
        timeline.now().duration_since(START)
    }

    #[tokio::test]
    async fn appointments_are_kept_in_their_order() {
        let timeline = timeline();
        let kept = timeline
            .drive(async {
                let sleeps = [3, 1, 2].map(|hours| {
                    let timeline = &timeline;
                    async move {
                        timeline.sleep(SignedDuration::from_hours(hours)).await;
                        (hours, elapsed(timeline))
                    }
                });
                sleeps.into_iter().collect::<FuturesUnordered<_>>().collect::<Vec<_>>().await
            })
            .await;
        assert_eq!(kept, [1, 2, 3].map(|hours| (hours, SignedDuration::from_hours(hours))));
    }

    #[tokio::test]
    async fn time_stands_while_somebody_is_outside() {
        let timeline = timeline();
        let seen = timeline
            .drive(async {
                let outside = async {
                    let turn = timeline.turn().await;
                    timeline.outside(&turn, tokio::time::sleep(Duration::from_millis(5))).await;
                    elapsed(&timeline)
                };
                let inside = timeline.sleep(SignedDuration::from_secs(1));
                futures::join!(inside, outside).1
            })
            .await;
        assert_eq!((seen, elapsed(&timeline)), (SignedDuration::ZERO, SignedDuration::from_secs(1)));
    }

    #[tokio::test]
    async fn what_is_given_up_holds_nothing() {
        let timeline = timeline();
        timeline
            .drive(async {
                let turn = timeline.turn().await;
                let mut given_up = Box::pin(timeline.outside(&turn, std::future::pending::<()>()));
                assert!(futures::poll!(given_up.as_mut()).is_pending());
                drop(given_up);
                let mut cancelled = Box::pin(timeline.sleep(SignedDuration::from_hours(1)));
                assert!(futures::poll!(cancelled.as_mut()).is_pending());
                drop(cancelled);
                timeline.sleep(SignedDuration::from_hours(2)).await;
            })
            .await;
        assert_eq!(elapsed(&timeline), SignedDuration::from_hours(2));
    }

    #[tokio::test]
    async fn time_waits_until_all_have_had_their_say() {
        let timeline = timeline();
        timeline
            .drive(async {
                // More turns than Tokio gives a task at once, and than a set of futures polls in a row.
                let queue: FuturesUnordered<_> = (0..1000)
                    .map(async |_| {
                        for _ in 0..3 {
                            drop(timeline.turn().await);
                        }
                        assert_eq!(elapsed(&timeline), SignedDuration::ZERO);
                    })
                    .collect();
                futures::join!(queue.collect::<Vec<_>>(), timeline.sleep(SignedDuration::from_secs(1)));
            })
            .await;
    }
}

//! What goes wrong outside, drawn from the seed.
//!
//! *Turbulence* is always there: single calls that fail, processes that die, answers that get lost. *Outages* come one after
//! the other, once a day on average, and take from seconds to an hour: something fails in three of two hundred minutes. No
//! service is that bad: AWS promises of its own that one in a thousand calls fails in a month, all outages included.

use std::cell::{Cell, RefCell};

use fastrand::Rng;
use jiff::SignedDuration;
use tokio::time::{Duration, Instant};

use crate::{
    soak::some_time,
    surroundings::{Call, Fate, Faults},
};

/// The shortest time between two outages.
const SHORTEST_CALM: SignedDuration = SignedDuration::from_mins(10);
/// The time that comes on top of it, on average.
const FURTHER_CALM: SignedDuration = SignedDuration::from_hours(24);
/// The longest outage, in seconds.
const LONGEST_OUTAGE: i64 = 3600;

/// Of a thousand calls to the outside, how many meet turbulence. Three in five of these leave the receiver in doubt whether it was
/// done, and who must not lose a call then tells it once more: the rate alone settles how many calls that makes.
const TURBULENCE: u32 = 2;
/// Of a thousand entries of batches, how many are refused while the rest is taken.
const REFUSED_ENTRIES: u32 = 5;
/// Of a thousand invocations, how many die on the way.
const KILLED: u32 = 3;
/// Of a thousand requests, how many never reach the function.
const TURNED_AWAY: u32 = 3;
/// Of a thousand answers, how many never reach Graph.
const LOST_ANSWERS: u32 = 2;

/// In which time of its life a process dies, if it does: from its first call to the last.
const LIFE: u64 = 200;

/// Whom the receiver depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    SecretsManager,
    Entra,
    DynamoDb,
    Sns,
    EventBridge,
}

/// How a service fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Every call is refused.
    Refusing,
    /// No call is answered or done.
    Silent,
    /// Every call is done and answered, after a second as a rule, and one in eight after more than anybody waits for.
    Slow,
    /// Half of the calls fail, one in eight although it was done.
    Flaky,
}

/// What an outage is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Of(&'static [Service], Manner),
    /// One in ten invocations dies.
    Kills,
    /// Half of all requests are turned away.
    Throttling,
    /// Half of all answers are lost.
    LostAnswers,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Of([Service::SecretsManager], _) => "Secrets Manager",
            Self::Of([Service::Entra], _) => "Entra",
            Self::Of([Service::DynamoDb], _) => "DynamoDB",
            Self::Of([Service::Sns], _) => "SNS",
            Self::Of([Service::EventBridge], _) => "EventBridge",
            Self::Of(..) => "all of AWS",
            Self::Kills => "dying processes",
            Self::Throttling => "throttled requests",
            Self::LostAnswers => "lost answers",
        }
    }
}

/// All of it, as time goes on.
pub(super) struct Weather {
    rng: RefCell<Rng>,
    began: Instant,
    kind: Cell<Kind>,
    from: Cell<SignedDuration>,
    until: Cell<SignedDuration>,
    outages: RefCell<Vec<(&'static str, SignedDuration)>>,
}

impl Weather {
    /// Calm at first.
    pub(super) fn new(rng: Rng) -> Self {
        let weather = Self {
            rng: RefCell::new(rng),
            began: Instant::now(),
            kind: Cell::new(Kind::Kills),
            from: Cell::default(),
            until: Cell::default(),
            outages: RefCell::default(),
        };
        weather.draw();
        weather
    }

    /// The outages so far: what failed, and for how long.
    pub(super) fn outages(&self) -> Vec<(&'static str, SignedDuration)> {
        self.outages.borrow().clone()
    }

    fn draw(&self) {
        let mut rng = self.rng.borrow_mut();
        let from = self.until.get() + SHORTEST_CALM + some_time(&mut rng, FURTHER_CALM);
        // A third is over in a moment.
        let seconds = if rng.u32(..3) == 0 { rng.i64(5..=120) } else { rng.i64(120..=LONGEST_OUTAGE) };
        self.from.set(from);
        self.until.set(from + SignedDuration::from_secs(seconds));
        self.kind.set(kind(&mut rng));
    }

    fn raging(&self) -> Option<Kind> {
        let now = SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX);
        while now >= self.until.get() {
            self.outages.borrow_mut().push((self.kind.get().word(), self.until.get() - self.from.get()));
            self.draw();
        }
        (now >= self.from.get()).then(|| self.kind.get())
    }

    fn one_of_thousand(&self, calm: u32, kind: Kind) -> bool {
        let rate = match self.raging().filter(|raging| *raging == kind) {
            None => calm,
            Some(Kind::Kills) => 100,
            Some(_) => 500,
        };
        self.rng.borrow_mut().u32(..1000) < rate
    }

    /// Whether a request is turned away before the function runs.
    pub(super) fn turns_away(&self) -> bool {
        self.one_of_thousand(TURNED_AWAY, Kind::Throttling)
    }

    /// Whether an answer gets lost on its way to Graph.
    pub(super) fn loses_answer(&self) -> bool {
        self.one_of_thousand(LOST_ANSWERS, Kind::LostAnswers)
    }

    /// After what time the process of an invocation dies, if it does before its answer.
    pub(super) fn kill(&self) -> Option<Duration> {
        let dies = self.one_of_thousand(KILLED, Kind::Kills);
        dies.then(|| Duration::from_millis(self.rng.borrow_mut().u64(..LIFE)))
    }

    fn soon(&self) -> Duration {
        Duration::from_millis(self.rng.borrow_mut().u64(3..40))
    }

    fn slowly(&self) -> Duration {
        Duration::from_millis(self.rng.borrow_mut().u64(200..1300))
    }

    fn late(&self) -> Duration {
        Duration::from_millis(self.rng.borrow_mut().u64(1300..5000))
    }
}

impl Faults for Weather {
    fn fate(&self, call: Call) -> Fate {
        let raging = self.raging();
        let soon = self.soon();
        let draw = self.rng.borrow_mut().u32(..1000);
        let trouble = self.rng.borrow_mut().u32(..5);
        match raging {
            Some(Kind::Of(services, manner)) if service(call).is_some_and(|own| services.contains(&own)) => {
                match (manner, draw % 16) {
                    (Manner::Refusing, _) | (Manner::Flaky, 0..=2) => Fate::Refused(soon),
                    (Manner::Silent, _) | (Manner::Flaky, 3..=5) => Fate::Silence { done: false },
                    (Manner::Slow, 0..=1) => Fate::Done(self.late()),
                    (Manner::Slow, _) => Fate::Done(self.slowly()),
                    (Manner::Flaky, 6) => Fate::DoneAndDenied(soon),
                    (Manner::Flaky, 7) => Fate::Silence { done: true },
                    (Manner::Flaky, _) => Fate::Done(soon),
                }
            }
            _ if draw < TURBULENCE => match trouble {
                0 => Fate::Refused(soon),
                1 => Fate::Silence { done: false },
                2 => Fate::Silence { done: true },
                3 => Fate::DoneAndDenied(soon),
                _ => Fate::Done(self.late()),
            },
            _ => Fate::Done(soon),
        }
    }

    fn refuses_entry(&self) -> bool {
        self.rng.borrow_mut().u32(..1000) < REFUSED_ENTRIES
    }
}

/// The service here that a call depends on; none for one to another Region.
fn service(call: Call) -> Option<Service> {
    match call {
        Call::ReadKeyring => Some(Service::SecretsManager),
        Call::FetchSigningKeys => Some(Service::Entra),
        Call::StateTable => Some(Service::DynamoDb),
        Call::Publish => Some(Service::Sns),
        Call::PutEvents => Some(Service::EventBridge),
        Call::PublishElsewhere => None,
    }
}

fn kind(rng: &mut Rng) -> Kind {
    const SERVICES: [&[Service]; 6] = [
        &[Service::SecretsManager],
        &[Service::Entra],
        &[Service::DynamoDb],
        &[Service::Sns],
        &[Service::EventBridge],
        &[Service::SecretsManager, Service::DynamoDb, Service::Sns, Service::EventBridge],
    ];
    let manner = [Manner::Refusing, Manner::Silent, Manner::Slow, Manner::Flaky][rng.usize(..4)];
    match rng.usize(..9) {
        6 => Kind::Kills,
        7 => Kind::Throttling,
        8 => Kind::LostAnswers,
        service => Kind::Of(SERVICES[service], manner),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn outages_end_in_time_for_graphs_retries_and_all_of_them_come() {
        let weather = Weather::new(Rng::with_seed(1));
        tokio::time::sleep(Duration::from_hours(16_000)).await;
        weather.raging();
        let outages = weather.outages();
        assert!(outages.len() > 400, "{}", outages.len());
        assert!(outages.iter().all(|(_, length)| (5..=3600).contains(&length.as_secs())));
        let kinds: std::collections::BTreeSet<_> = outages.iter().map(|(kind, _)| kind).collect();
        assert_eq!(kinds.len(), 9);
    }

    #[tokio::test(start_paused = true)]
    async fn calm_troubles_two_calls_in_a_thousand() {
        let weather = Weather::new(Rng::with_seed(1));
        let troubled = (0..100_000).filter(|_| match weather.fate(Call::Publish) {
            Fate::Done(after) => after > Duration::from_millis(40),
            _ => true,
        });
        let troubled = troubled.count();
        assert!((150..250).contains(&troubled), "{troubled}");
    }
}

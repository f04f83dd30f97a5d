//! What goes wrong outside, drawn from the seed.
//!
//! *Turbulence* is what a run must get over by itself: single calls to Microsoft that fail in ways that pass. *Storms* are what
//! it need not: outages, throttling, crashes, a schedule that does not fire. They end early enough for one undisturbed run
//! before the delivery tokens of the last one do, and are followed by a quiet time, so that none excuses a gap.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};

use super::calls::{Call, Service};

/// The longest storm that excuses nothing. A token lasts an hour, so that after a run that just missed the storm's begin, at
/// 15 minutes past the last good one, and another lost at 30, the one at 45, up to a minute late, must have calm.
pub(super) const LONGEST_HARMLESS_STORM: SignedDuration = SignedDuration::from_mins(27);
/// The shortest calm between two storms: two runs fit in.
const SHORTEST_CALM: SignedDuration = SignedDuration::from_mins(35);
/// The calm that comes on top of it, on average.
const FURTHER_CALM: SignedDuration = SignedDuration::from_mins(90);
/// How many of a thousand calls to Microsoft meet turbulence.
const TURBULENCE: u32 = 8;
/// In this time turbulence refuses no second token.
const ONE_REFUSED_TOKEN: SignedDuration = SignedDuration::from_mins(2);
/// A run makes about as many calls, so that a crash can come at any of them.
const CALLS_OF_A_RUN: u32 = 40;

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strike {
    /// It is answered with an error, and nothing is done.
    Refused {
        /// The HTTP status.
        status: u16,
        /// How many seconds the other side asks to wait.
        retry_after: Option<u32>,
    },
    /// There is no answer, and nothing is done.
    Unreachable,
    /// It is done, and the answer is lost.
    AnswerLost,
    /// Graph gets no answer from the notification address.
    HandshakeFailed,
}

/// Where a run ends before its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Crash {
    /// At which of its calls, counted from 1.
    pub(super) call: u32,
    /// Whether the call is still done.
    pub(super) after: bool,
}

/// What a storm is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Outage(&'static [Service], Manner),
    Throttling,
    Deaf,
    Crashes,
    NoSchedule,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Manner {
    /// Every call is refused.
    Refusing,
    /// No call is answered.
    Silent,
    /// Half of the calls fail, some of them although they were done.
    Flaky,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Outage([Service::Entra], _) => "outage of Entra",
            Self::Outage([Service::Graph], _) => "outage of Graph",
            Self::Outage([Service::SecretsManager], _) => "outage of Secrets Manager",
            Self::Outage([Service::DynamoDb], _) => "outage of DynamoDB",
            Self::Outage([Service::EventBridge], _) => "outage of EventBridge",
            Self::Outage([Service::Entra, ..], _) => "outage of Entra and Graph",
            Self::Outage(..) => "outage of AWS",
            Self::Throttling => "throttling",
            Self::Deaf => "failing handshakes",
            Self::Crashes => "crashes",
            Self::NoSchedule => "no schedule",
        }
    }
}

/// All of it, as time goes on.
pub(super) struct Weather {
    rng: Rng,
    longest: SignedDuration,
    kind: Kind,
    from: Timestamp,
    until: Timestamp,
    /// When a token was last refused.
    refused_token: Timestamp,
}

impl Weather {
    /// Calm at first; then storms up to the longest.
    pub(super) fn new(mut rng: Rng, longest: SignedDuration, now: Timestamp) -> Self {
        let kind = kind(&mut rng);
        let mut weather = Self { rng, longest, kind, from: now, until: now, refused_token: Timestamp::MIN };
        weather.draw();
        weather
    }

    /// Draws the next storm, after the last one.
    pub(super) fn draw(&mut self) {
        self.from = self.until + SHORTEST_CALM + some_time(&mut self.rng, FURTHER_CALM);
        let seconds = self.longest.as_secs();
        // A third is over in a moment, so that it begins and ends within a run.
        let length = if self.rng.u32(..3) == 0 { self.rng.i64(5..=120) } else { self.rng.i64(120..=seconds.max(120)) };
        self.until = self.from + SignedDuration::from_secs(length.min(seconds));
        self.kind = kind(&mut self.rng);
    }

    /// The storm that was drawn last, in words, and when it begins and ends.
    pub(super) fn forecast(&self) -> (&'static str, Timestamp, Timestamp) {
        (self.kind.word(), self.from, self.until)
    }

    /// Whether the schedule fires.
    pub(super) fn fires(&self, now: Timestamp) -> bool {
        self.raging(now) != Some(Kind::NoSchedule)
    }

    /// Where the run that begins now crashes, if it does.
    pub(super) fn crash(&mut self, now: Timestamp) -> Option<Crash> {
        if self.raging(now) != Some(Kind::Crashes) || self.rng.u32(..7) == 0 {
            return None;
        }
        Some(Crash { call: self.rng.u32(1..=CALLS_OF_A_RUN), after: self.rng.bool() })
    }

    /// What happens to a call that is made now, and whether it is a storm that does it.
    pub(super) fn strike(&mut self, call: Call, now: Timestamp) -> Option<(Strike, bool)> {
        if let Some(strike) = self.raging(now).and_then(|kind| self.storms(kind, call)) {
            return Some((strike, true));
        }
        if !call.service().is_microsoft() || self.rng.u32(..1000) >= TURBULENCE {
            return None;
        }
        let strike = self.turbulence(call);
        // A fresh token that is refused as well is no turbulence any more.
        if strike == (Strike::Refused { status: 401, retry_after: None }) {
            if now.duration_since(self.refused_token) < ONE_REFUSED_TOKEN {
                return None;
            }
            self.refused_token = now;
        }
        Some((strike, false))
    }

    fn raging(&self, now: Timestamp) -> Option<Kind> {
        (self.from <= now && now < self.until).then_some(self.kind)
    }

    fn storms(&mut self, kind: Kind, call: Call) -> Option<Strike> {
        match kind {
            Kind::Outage(services, manner) if services.contains(&call.service()) => match manner {
                Manner::Refusing => Some(Strike::Refused { status: 503, retry_after: None }),
                Manner::Silent => Some(Strike::Unreachable),
                Manner::Flaky => match self.rng.u32(..8) {
                    0 => Some(Strike::Refused { status: 503, retry_after: Some(self.rng.u32(1..=60)) }),
                    1 => Some(Strike::Unreachable),
                    2 | 3 => Some(Strike::AnswerLost),
                    _ => None,
                },
            },
            Kind::Throttling if call.service() == Service::Graph && self.rng.u32(..10) < 7 => {
                Some(Strike::Refused { status: 429, retry_after: Some(self.rng.u32(10..=120)) })
            }
            Kind::Deaf if call == Call::Create => Some(Strike::HandshakeFailed),
            _ => None,
        }
    }

    fn turbulence(&mut self, call: Call) -> Strike {
        let retry_after = self.rng.bool().then(|| self.rng.u32(1..=20));
        match self.rng.u32(..7) {
            0 | 1 => Strike::AnswerLost,
            2 => Strike::Refused { status: 429, retry_after: Some(self.rng.u32(1..=20)) },
            3 => Strike::Refused { status: 503, retry_after },
            4 => Strike::Refused { status: 500, retry_after: None },
            5 if call == Call::Create => Strike::HandshakeFailed,
            6 if call.service() == Service::Graph => Strike::Refused { status: 401, retry_after: None },
            _ => Strike::Refused { status: 504, retry_after: None },
        }
    }
}

/// A time of this length on average, in whole seconds: as likely to end in each moment as in any other.
pub(crate) fn some_time(rng: &mut Rng, average: SignedDuration) -> SignedDuration {
    let drawn = average.as_secs_f64() * -(1.0 - rng.f64()).ln();
    SignedDuration::from_secs(SignedDuration::from_secs_f64(drawn).as_secs())
}

fn kind(rng: &mut Rng) -> Kind {
    const ONE: [&[Service]; 5] = [
        &[Service::Entra],
        &[Service::Graph],
        &[Service::SecretsManager],
        &[Service::DynamoDb],
        &[Service::EventBridge],
    ];
    const MICROSOFT: &[Service] = &[Service::Entra, Service::Graph];
    const AWS: &[Service] = &[Service::SecretsManager, Service::DynamoDb, Service::EventBridge];
    let manner = [Manner::Refusing, Manner::Silent, Manner::Flaky][rng.usize(..3)];
    match rng.u32(..12) {
        one @ 0..=4 => Kind::Outage(ONE[one as usize], manner),
        5 => Kind::Outage(MICROSOFT, manner),
        6 => Kind::Outage(AWS, manner),
        7 => Kind::Throttling,
        8 => Kind::Deaf,
        9 | 10 => Kind::Crashes,
        _ => Kind::NoSchedule,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

    #[test]
    fn storms_leave_time_for_a_run_before_tokens_end() {
        let mut weather = Weather::new(Rng::with_seed(1), LONGEST_HARMLESS_STORM, START);
        let mut ended = START;
        for _ in 0..10_000 {
            let (_, from, until) = weather.forecast();
            assert!(from.duration_since(ended) >= SHORTEST_CALM);
            assert!(until > from && until.duration_since(from) <= LONGEST_HARMLESS_STORM);
            ended = until;
            weather.draw();
        }
    }

    #[test]
    fn the_same_seed_brings_the_same_weather() {
        let draw = |seed| {
            let mut weather = Weather::new(Rng::with_seed(seed), LONGEST_HARMLESS_STORM, START);
            let strikes: Vec<_> = (0..1000).map(|_| weather.strike(Call::Create, START)).collect();
            (weather.forecast(), strikes)
        };
        assert_eq!(draw(7), draw(7));
        assert_ne!(draw(7), draw(8));
    }

    #[test]
    fn calm_troubles_nothing_but_calls_to_microsoft_and_refuses_one_token_at_a_time() {
        let mut weather = Weather::new(Rng::with_seed(1), LONGEST_HARMLESS_STORM, START);
        let refused = Some((Strike::Refused { status: 401, retry_after: None }, false));
        let strikes: Vec<_> = (0..100_000)
            .map(|_| {
                assert_eq!(weather.strike(Call::PutRecord, START), None);
                weather.strike(Call::Renew, START)
            })
            .collect();
        let struck = strikes.iter().flatten().count();
        assert!((600..1000).contains(&struck), "{struck}");
        assert_eq!(strikes.iter().filter(|strike| **strike == refused).count(), 1);
    }
}

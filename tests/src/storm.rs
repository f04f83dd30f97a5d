//! The promise of the receiver, in virtual time: no call lost, hardly one told twice, none that nobody made.
//!
//! A storm lets thousands of calls come while everything around the receiver fails as a seed draws it. The notifications
//! are sealed and signed with real keys, Graph delivers them again as its documentation says, and the receiver is the
//! handler of the deployed function; around it AWS and Entra are in memory. Items stray from Microsoft's pages, some hold one
//! proof of their sender, ends come before starts, forgeries come in between, a test call is one in twenty, and keys change.
//!
//! What is not drawn, since no receiver could do anything about it: Graph gives up after four hours, so that no outage takes
//! longer than one; and it never drops notifications for an endpoint that is slow.
//!
//! | module | what it is for |
//! |---|---|
//! | `weather` | faults: turbulence and outages |
//! | `gateway` | API Gateway and Lambda: what a request meets, and where a process dies |
//! | `graph` | who calls, what Graph seals of it, and how it delivers |
//! | `oddities` | how items stray from Microsoft's pages |
//! | `census` | what reached the topics |
//! | `report` | what a storm says of itself |

use std::{
    cell::{Cell, RefCell},
    error::Error,
    rc::Rc,
};

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use receiver::{Config, Receiver};
use serde_json::json;
use tokio::{runtime::Builder, task::LocalSet, time::Instant};

use crate::{
    forgeries::target::{HAPPENED_AT, LOGIN_ENDPOINT, Target},
    state_table::MemoryTable,
    surroundings::{Connection, SECOND_ALERT_TOPIC, Surroundings, config},
};

mod census;
mod gateway;
mod graph;
mod oddities;
mod report;
mod weather;

pub use report::Report;

use census::Census;
use graph::Secrets;
use weather::Weather;

/// What a storm is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// What everything that is drawn depends on.
    pub seed: u64,
    /// How many calls are made.
    pub calls: usize,
    /// Whether there is a topic in another Region, which the outages of this one do not reach.
    pub second_way: bool,
}

/// What happened besides alerts.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    notifications: u64,
    repeated: u64,
    attempts: u64,
    given_up: u64,
    forgeries: u64,
    invocations: u64,
    cold_starts: u64,
    killed: u64,
    unavailable: u64,
    /// Of an invocation that went to its end, without a cold start.
    longest: tokio::time::Duration,
}

/// What everybody shares.
struct Stage {
    began: Instant,
    started_at: Timestamp,
    config: Config,
    target: Target,
    surroundings: Rc<Surroundings<Weather>>,
    idle: RefCell<Vec<Receiver<Connection<Weather>>>>,
    secrets: RefCell<Secrets>,
    rng: RefCell<Rng>,
    census: RefCell<Census>,
    tally: Cell<Tally>,
}

impl Stage {
    fn set(options: Options) -> Result<Self, Box<dyn Error>> {
        let target = Target::new(LOGIN_ENDPOINT);
        let mut variables = target.environment();
        variables["UNVERIFIED_CALLS"] = json!("Alert");
        if options.second_way {
            variables["SECOND_ALERT_TOPIC_ARN"] = json!(SECOND_ALERT_TOPIC);
        }
        let mut rng = Rng::with_seed(options.seed);
        let secrets = Secrets::first(&target);
        let surroundings = Surroundings {
            faults: Weather::new(rng.fork()),
            keyring: RefCell::new(target.keyring().to_string()),
            signing_keys: RefCell::new(target.signing_keys().to_string()),
            table: MemoryTable::default(),
            published: RefCell::default(),
            events: RefCell::default(),
        };
        Ok(Self {
            began: Instant::now(),
            started_at: HAPPENED_AT.parse()?,
            config: config(&variables)?,
            target,
            surroundings: Rc::new(surroundings),
            idle: RefCell::default(),
            secrets: RefCell::new(secrets),
            rng: RefCell::new(rng),
            census: RefCell::default(),
            tally: Cell::default(),
        })
    }

    /// The time on everybody's clock.
    fn now(&self) -> Timestamp {
        self.started_at + SignedDuration::try_from(self.began.elapsed()).unwrap_or(SignedDuration::MAX)
    }

    fn weather(&self) -> &Weather {
        &self.surroundings.faults
    }

    fn tell(&self, change: impl FnOnce(&mut Tally)) {
        let mut tally = self.tally.get();
        change(&mut tally);
        self.tally.set(tally);
    }

    /// Counts what has reached the topics.
    fn count(&self) {
        self.surroundings.events.borrow_mut().clear();
        let mut census = self.census.borrow_mut();
        for message in self.surroundings.published.borrow_mut().drain(..) {
            census.count(&message);
        }
    }
}

/// Lets the calls be made and everything that follows happen. `progress` gets a line for each thousand calls.
///
/// # Errors
/// If it cannot be set up. That the receiver fails is in the report.
pub fn storm(options: Options, progress: &mut dyn FnMut(&str)) -> Result<Report, Box<dyn Error>> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build()?;
    LocalSet::new().block_on(&runtime, async {
        let stage = Rc::new(Stage::set(options)?);
        graph::course(&stage, options.calls, progress).await?;
        stage.count();
        Ok(Report::of(options, &stage))
    })
}

//! What falls silent, in simulated time: the code of both functions over a world in memory, with one thing that breaks, and all the
//! metrics that come of it.
//!
//! A scenario is an hour in which all is well, the moment at which something breaks, and what follows; in some, something else has been
//! broken for hours by then. The runs of the renewer
//! come as Amazon EventBridge Scheduler invokes them, up to a minute late. The functions print their own metrics; those that AWS
//! makes itself, of the gateway, the functions, topics and queues, stand beside them. `tests/interop/test_alarms.py` gives them to
//! the template's alarms.
//!
//! | module | what it is for |
//! |---|---|
//! | `world` | the world in memory |
//! | `renewer` | the renewer's ports over it |
//! | `receiver` | the receiver's ports, and the gateway in front |
//! | `scenarios` | what breaks |
//! | `course` | the course of time |

mod course;
mod receiver;
mod renewer;
mod scenarios;
mod world;

use serde::Serialize;

pub use course::run;
pub use scenarios::{Scenario, scenarios};

/// What a scenario left behind. Times are seconds since 1970.
#[derive(Debug, Serialize)]
pub struct Course {
    /// The scenario's name.
    pub name: &'static str,
    /// When it began.
    pub began: i64,
    /// When another thing had broken before, if one had.
    pub broke_first: Option<i64>,
    /// When the thing broke.
    pub broke: i64,
    /// When it ended.
    pub ended: i64,
    /// The lines that the functions printed.
    pub lines: Vec<String>,
    /// The metrics that AWS makes.
    pub aws: Vec<Sample>,
}

/// One value of a metric of AWS's.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sample {
    /// The namespace.
    pub namespace: &'static str,
    /// The metric.
    pub metric: &'static str,
    /// The dimensions: their names, and how the template names the resources.
    pub dimensions: Vec<(&'static str, &'static str)>,
    /// When, in seconds since 1970.
    pub at: i64,
    /// The value.
    pub value: f64,
}

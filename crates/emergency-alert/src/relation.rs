//! How an alert relates to what was told of the same call before.

use jiff::Timestamp;
use serde::Serialize;

/// How an alert relates to what was told of the same event before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(into = "Members")]
pub enum Relation {
    /// Nothing was told of it.
    #[default]
    First,
    /// Only unverified alerts were told of it; this one is verified.
    NowVerified {
        /// Whether the place differs from the one that was told.
        other_place: bool,
        /// Whether the caller differs from the one that was told.
        other_caller: bool,
    },
    /// A verified alert was told of it; this one, verified too, has something new.
    Updated {
        /// Whether the place is new.
        place: bool,
        /// Whether the caller is new.
        caller: bool,
    },
    /// A verified alert was told of it; this one is not verified, and has another place or caller.
    OtherReport,
}

/// When a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct End {
    /// The time of the event that ended it.
    pub at: Timestamp,
}

/// The relation in the alert document.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Members {
    relation: &'static str,
    new_place: bool,
    new_caller: bool,
}

impl From<Relation> for Members {
    fn from(relation: Relation) -> Self {
        let (name, new_place, new_caller) = match relation {
            Relation::First => ("first", false, false),
            Relation::NowVerified { other_place, other_caller } => ("nowVerified", other_place, other_caller),
            Relation::Updated { place, caller } => ("updated", place, caller),
            Relation::OtherReport => ("otherReport", false, false),
        };
        Self { relation: name, new_place, new_caller }
    }
}

/// What differs between two alerts of the same event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Difference {
    Place,
    Caller,
    Both,
}

impl Difference {
    /// None where nothing differs.
    pub(crate) fn of(place: bool, caller: bool) -> Option<Self> {
        match (place, caller) {
            (true, true) => Some(Self::Both),
            (true, false) => Some(Self::Place),
            (false, true) => Some(Self::Caller),
            (false, false) => None,
        }
    }
}

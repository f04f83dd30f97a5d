//! What was told of an event, and how another delivery of it relates to that.

use std::collections::BTreeSet;

use emergency_alert::{Alert, Relation};

use crate::digest::hash;

/// What an alert tells of caller and place, as digests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Content {
    /// The place.
    pub place: String,
    /// The caller.
    pub caller: String,
}

impl Content {
    pub(crate) fn of(alert: &Alert) -> Self {
        // Half a digest keeps apart what nobody made up to collide, and a mark small.
        let short = |key: String| hash(&[key.as_bytes()])[..22].to_owned();
        Self { place: short(alert.place_key()), caller: short(alert.caller_key()) }
    }
}

/// What was told of one event: the contents of verified and of unverified alerts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Mark {
    /// What verified alerts told.
    pub verified: BTreeSet<Content>,
    /// What unverified alerts told.
    pub unverified: BTreeSet<Content>,
    /// An earlier version marked it, which did not note what was told.
    pub without_content: bool,
}

impl Mark {
    /// How a delivery relates to what was told; `None` if it is a duplicate.
    ///
    /// A verified delivery is never the duplicate of an unverified one. What is not verified never gets in the way of what
    /// is: it is a duplicate of whatever told the same.
    #[must_use]
    pub fn relation(&self, verified: bool, content: &Content) -> Option<Relation> {
        let new_place = |told: &BTreeSet<Content>| told.iter().all(|told| told.place != content.place);
        let new_caller = |told: &BTreeSet<Content>| told.iter().all(|told| told.caller != content.caller);
        if self.without_content || self.verified.contains(content) || (!verified && self.unverified.contains(content)) {
            return None;
        }
        Some(match (verified, self.verified.is_empty(), self.unverified.is_empty()) {
            (true, true, true) | (false, true, _) => Relation::First,
            (true, true, false) => Relation::NowVerified {
                other_place: new_place(&self.unverified),
                other_caller: new_caller(&self.unverified),
            },
            (true, false, _) => match (new_place(&self.verified), new_caller(&self.verified)) {
                // Each was told, but not together.
                (false, false) => Relation::Updated { place: true, caller: true },
                (place, caller) => Relation::Updated { place, caller },
            },
            (false, false, _) => Relation::OtherReport,
        })
    }

    /// Adds what a delivery tells.
    pub fn add(&mut self, verified: bool, content: Content) {
        if verified { &mut self.verified } else { &mut self.unverified }.insert(content);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(place: &str, caller: &str) -> Content {
        Content { place: place.to_owned(), caller: caller.to_owned() }
    }

    fn mark(verified: &[(&str, &str)], unverified: &[(&str, &str)]) -> Mark {
        let set = |contents: &[(&str, &str)]| contents.iter().map(|(place, caller)| content(place, caller)).collect();
        Mark { verified: set(verified), unverified: set(unverified), without_content: false }
    }

    #[test]
    fn what_was_told_before_decides_how_a_delivery_is_told() {
        let (here, there) = (content("here", "Ann"), content("there", "Ann"));
        let updated = |place, caller| Some(Relation::Updated { place, caller });
        let now_verified = |other_place, other_caller| Some(Relation::NowVerified { other_place, other_caller });
        for (mark, verified, unverified) in [
            (mark(&[], &[]), Some(Relation::First), Some(Relation::First)),
            (mark(&[("here", "Ann")], &[]), None, None),
            (mark(&[("there", "Ann")], &[]), updated(true, false), Some(Relation::OtherReport)),
            (mark(&[("here", "Bob")], &[]), updated(false, true), Some(Relation::OtherReport)),
            (mark(&[("there", "Bob")], &[]), updated(true, true), Some(Relation::OtherReport)),
            (mark(&[("here", "Bob"), ("there", "Ann")], &[]), updated(true, true), Some(Relation::OtherReport)),
            (mark(&[], &[("here", "Ann")]), now_verified(false, false), None),
            (mark(&[], &[("there", "Bob")]), now_verified(true, true), Some(Relation::First)),
            (mark(&[], &[("there", "Ann")]), now_verified(true, false), Some(Relation::First)),
            (mark(&[("there", "Ann")], &[("here", "Ann")]), updated(true, false), None),
            (mark(&[("here", "Ann")], &[("there", "Ann")]), None, None),
        ] {
            assert_eq!(mark.relation(true, &here), verified, "verified after {mark:?}");
            assert_eq!(mark.relation(false, &here), unverified, "unverified after {mark:?}");
        }
        let earlier = Mark { without_content: true, ..Mark::default() };
        assert_eq!((earlier.relation(true, &here), earlier.relation(false, &there)), (None, None));
    }

    #[test]
    fn what_was_told_is_not_told_again() {
        for verified in [true, false] {
            let mut mark = Mark::default();
            mark.add(verified, content("here", "Ann"));
            assert_eq!(mark.relation(verified, &content("here", "Ann")), None);
        }
    }
}

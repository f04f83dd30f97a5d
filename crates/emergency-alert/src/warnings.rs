//! What the reader is warned of, in sentences.

use crate::address::Address;
use crate::alert::Alert;
use crate::wording::Wording;

/// The warnings that an alert takes, the most important first. `number` is the number dialled as messages show it, if it is known.
pub(crate) fn warnings(alert: &Alert, wording: &Wording, address: &Address, number: Option<&str>) -> Vec<String> {
    let facts = alert.facts();
    let mut warnings = Vec::new();
    if facts.is_drill {
        warnings.push(wording.say("warning-drill"));
    } else if facts.is_test {
        warnings.push(wording.test_warning(number));
    }
    if !facts.verified {
        // A test asks nobody to act.
        warnings.push(wording.say(if facts.is_test { "warning-unverified-test" } else { "warning-unverified" }));
    }
    warnings.extend(wording.relation_warnings(facts.relation));
    if let Some(reason) = alert.degraded_reason() {
        warnings.push(wording.unreadable_warning(reason));
    } else if address.is_empty() {
        warnings.push(wording.say("warning-no-location"));
    } else if address.street.is_none() {
        warnings.push(wording.say("warning-no-street"));
    }
    if let Some(age) = alert.lateness() {
        warnings.push(wording.late_warning(age));
    }
    warnings
}

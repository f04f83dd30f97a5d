//! The attributes by which subscribers filter alerts.

use crate::address::street_line;
use crate::alert::Alert;
use crate::facts::Facts;
use crate::text::{clean, cut};

/// The longest value, in bytes.
const MAX_VALUE_BYTES: usize = 256;

/// The event type of an alert that has none, so that a filter can name every alert.
const UNKNOWN_EVENT_TYPE: &str = "unknown";

impl Alert {
    /// Names and values for message attributes: at most ten, no value empty, each at most 256 bytes long.
    #[must_use]
    pub fn attributes(&self) -> Vec<(&'static str, String)> {
        attributes(self.facts())
    }
}

/// Those without a value are left out.
fn attributes(facts: &Facts) -> Vec<(&'static str, String)> {
    let event_type = facts.event_type.as_deref().unwrap_or(UNKNOWN_EVENT_TYPE);
    // A drill has no place of its own, and must get through to those who chose one.
    let place = if facts.is_drill { &facts.drill_place } else { &facts.location };
    let site = street_line(place, &clean);
    [
        ("eventType", event_type),
        ("policyName", &facts.policy_name),
        ("tenantId", &facts.tenant_id),
        ("callId", facts.call_id.as_deref().unwrap_or_default()),
        ("numberDialed", facts.number_dialed.as_deref().unwrap_or_default()),
        ("isTest", flag(facts.is_test)),
        ("verified", flag(facts.verified)),
        ("degraded", flag(facts.degraded)),
        ("city", place.city.as_deref().unwrap_or_default()),
        ("site", site.as_deref().unwrap_or_default()),
    ]
    .into_iter()
    // The character set of attributes is XML's; what cleaning leaves belongs to it.
    .map(|(name, value)| (name, cut(&clean(value), MAX_VALUE_BYTES, "")))
    .filter(|(_, value)| !value.is_empty())
    .collect()
}

/// How attributes say yes and no.
pub(crate) fn flag(value: bool) -> &'static str {
    if value { "true" } else { "false" }
}

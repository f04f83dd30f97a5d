//! The attributes by which subscribers filter alerts.

use crate::address::street_line;
use crate::document::AlertDocument;
use crate::text::{clean, cut};

/// The longest value, in bytes.
const MAX_VALUE_BYTES: usize = 256;

/// The event type of an alert that has none, so that a filter can name every alert.
const UNKNOWN_EVENT_TYPE: &str = "unknown";

/// The attributes of an alert; those without a value are left out.
pub(crate) fn attributes(document: &AlertDocument) -> Vec<(&'static str, String)> {
    let event_type = document.event_type.as_deref().unwrap_or(UNKNOWN_EVENT_TYPE);
    // A drill has no place of its own, and must get through to those who chose one.
    let place = if document.is_drill { &document.drill_place } else { &document.location };
    let site = street_line(place, &clean);
    [
        ("eventType", event_type),
        ("policyName", &document.policy_name),
        ("tenantId", &document.tenant_id),
        ("callId", document.call_id.as_deref().unwrap_or_default()),
        ("numberDialed", document.number_dialed.as_deref().unwrap_or_default()),
        ("isTest", flag(document.is_test)),
        ("verified", flag(document.verified)),
        ("degraded", flag(document.degraded)),
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

//! Lifecycle notifications on their way to the bus.

use graph_notifications::envelope::LifecycleNotification;
use jiff::Timestamp;
use lambda_edge::event::BusEvent;

use crate::{events::subscription_lifecycle, telemetry::ReportLimits};

/// How many of one request are passed on that do not know our client state.
const STRANGE: usize = 10;

/// Events of a request's lifecycle notifications.
pub(crate) struct LifecycleEvents {
    /// Of those who know a client state.
    pub(crate) ours: Vec<BusEvent>,
    /// Of strangers.
    pub(crate) strange: Vec<BusEvent>,
    /// How many of those who know a client state are not passed on: more of them than Graph has to say.
    pub(crate) left_out: usize,
}

/// The events, as many of each kind as the limits allow. Each starts the renewer, and a flood of them would leave the account no
/// room to run the receiver in.
pub(crate) fn events(
    notifications: &[(LifecycleNotification, bool)],
    limits: &ReportLimits,
    now: Timestamp,
) -> LifecycleEvents {
    let of = |known: bool| notifications.iter().filter(move |(_, ours)| *ours == known).map(|(item, _)| item);
    let heard = of(true).take_while(|_| limits.allow_lifecycle(now));
    let ours: Vec<BusEvent> = heard.map(|item| subscription_lifecycle(item, true, now)).collect();
    let left_out = of(true).count() - ours.len();
    if left_out > 0 {
        tracing::error!(left_out, "more lifecycle notifications than Graph sends: a client state may have leaked");
    }
    let strange = of(false).take(STRANGE).take_while(|_| limits.allow_unauthenticated(now));
    let strange = strange.map(|item| subscription_lifecycle(item, false, now)).collect();
    LifecycleEvents { ours, strange, left_out }
}

//! Probes: messages of the renewer's that prove that what Graph seals can be read here. They are counted, and nothing else.

use graph_notifications::Probe;
use jiff::Timestamp;
use lambda_edge::metrics::{Metrics, Unit};
use tokio::time::Instant;

use crate::{keyring_cache::KeyringCache, ports::ReadKeyring};

/// Opens a probe, and gives the line of metrics that says what came of it: `ProbesReceived`, or `ProbesRejected`. Its sender
/// is told nothing, so that nobody can ask the receiver which key it has, or make it seem well. `KeyringFailures` is there,
/// too: who is probed learns of an unreadable keyring before somebody calls.
///
/// For what is malformed or not of this time the keyring is not needed, and it is not read sooner for any probe than for a
/// call: strangers must not be able to ask for that, and the next probe finds a newer one.
pub(crate) async fn count(
    probe: &Probe,
    keyring_cache: &KeyringCache,
    reader: &impl ReadKeyring,
    function_name: &str,
    now: Timestamp,
    deadline: Instant,
) -> String {
    let metric = match open(probe, keyring_cache, reader, now, deadline).await {
        Ok(()) => "ProbesReceived",
        Err(error) => {
            tracing::warn!(error, "a probe does not count");
            "ProbesRejected"
        }
    };
    let metrics = Metrics::of_function(function_name).with(metric, Unit::Count, 1);
    metrics.with("KeyringFailures", Unit::Count, keyring_cache.take_failures()).line(now)
}

async fn open(
    probe: &Probe,
    keyring_cache: &KeyringCache,
    reader: &impl ReadKeyring,
    now: Timestamp,
    deadline: Instant,
) -> Result<(), String> {
    probe.check_time(now).map_err(|error| error.to_string())?;
    let keyring = keyring_cache.get(reader, now, deadline).await.map_err(|error| error.to_string())?;
    probe.open(&keyring, now).map_err(|error| error.to_string())
}

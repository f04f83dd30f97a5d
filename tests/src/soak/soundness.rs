//! What must hold when a run ends that nothing hindered.

use graph_notifications::Policy;
use jiff::{SignedDuration, Timestamp};
use renewer::{
    keyring::client_state,
    report::{Outcome, Report},
};

use super::observer::{Mark, Seen};
use super::stage::Stage;
use super::timeline::minutes;

/// Keys and client states go 48 hours after their last use: after two storms at most, one before the run that could notice
/// the last use, and one before the run that could remove them. A list that names what was deleted does so for a day, and in doubt
/// a key is kept.
const LONGEST_KEPT: SignedDuration = SignedDuration::from_hours(50 + 24);
/// How much later than configured a key may be changed: when the night comes, or two days later whatever the hour.
const LATEST_ROTATION: SignedDuration = SignedDuration::from_hours(49);
/// How long after a rotation Graph may encrypt for the key before.
const LATEST_CERTIFICATE: SignedDuration = SignedDuration::from_hours(25);

/// Checks everything.
///
/// # Errors
/// With a sentence about the first thing that does not hold.
pub(super) fn check(stage: &Stage, report: &Report, run: Mark, owner: &str) -> Result<(), String> {
    let now = stage.timeline.now();
    if let Some(failed) = report.policies.iter().find(|policy| policy.outcome == Outcome::Failed) {
        let why = failed.explanation.as_deref().unwrap_or("no reason is given");
        return Err(format!("nothing hindered a run, and it failed for {}: {why}", failed.policy_name));
    }
    if report.policies.len() != stage.policies.len() {
        return Err(format!("a run reports on {} policies", report.policies.len()));
    }
    if stage.aws.borrow().is_leased_to(owner) {
        return Err("a run that nothing hindered did not give its lease back".to_owned());
    }
    let observer = stage.observer.borrow();
    let seen = observer.seen();
    if let Some(stray) = seen.iter().find(|seen| seen.policy.is_none()) {
        return Err(format!("the subscription {} belongs to no policy", stray.id));
    }
    for (index, policy) in stage.policies.iter().enumerate() {
        if observer.is_removed_since(index, run.started_at) {
            continue;
        }
        let name = format!("{}/{}", policy.tenant, policy.name);
        let own: Vec<&Seen> = seen.iter().filter(|seen| seen.policy == Some(index)).collect();
        let [own] = own[..] else {
            return Err(format!("{name} has {} subscriptions", own.len()));
        };
        if own.authorised_at < run.started_at {
            return Err(format!("{name} was not renewed: its subscription is as of {}", own.authorised_at));
        }
        let aws = stage.aws.borrow();
        let record = aws.record(policy).ok_or_else(|| format!("{name} has no record"))?;
        // If the answer to a renewal with a new certificate is lost, the next run learns that it was taken. The current key
        // stays whatever records say.
        let same_key = record.certificate_id == own.certificate_id || observer.is_current_key(&own.certificate_id);
        let agrees = record.subscription_id.as_ref() == Some(&own.id)
            && record.subscription_expires_at == Some(own.expires_at)
            && same_key;
        if !agrees {
            return Err(format!("the record of {name} does not agree with its subscription {}: {record:?}", own.id));
        }
        check_client_state(stage, &record.client_state_id, policy, own).map_err(|what| format!("{name}: {what}"))?;
    }
    check_keyring(stage, now)
}

fn check_client_state(stage: &Stage, id: &str, policy: &Policy, own: &Seen) -> Result<(), String> {
    let keyring = stage.keyring().ok_or("there is no keyring")?;
    match client_state(&keyring, id, policy) {
        Some(state) if state.matches(&own.client_state) => Ok(()),
        Some(_) => Err(format!("the record names {id}, which is not the subscription's client state")),
        None => Err(format!("the record names {id}, which the keyring does not have")),
    }
}

fn check_keyring(stage: &Stage, now: Timestamp) -> Result<(), String> {
    let keyring = stage.keyring().ok_or("there is no keyring")?;
    let current = keyring.current_key().ok_or("the keyring has no current key")?;
    let observer = stage.observer.borrow();
    let keys = keyring.keys.iter();
    let keys = keys.map(|key| (&key.certificate_id, key.certificate_id.as_str(), key.created_at, key.retired_at));
    if keyring.client_state_keys.len() != 1 {
        return Err(format!("the keyring has {} keys for client states", keyring.client_state_keys.len()));
    }
    let states = keyring.client_states.iter();
    let states = states.map(|state| (&state.id, state.value.expose(), state.created_at, state.retired_at));
    for (id, name, created_at, retired_at) in keys.chain(states) {
        let last_used = observer.last_used(name).map_or(created_at, |used| used.max(created_at));
        if now.duration_since(last_used) > LONGEST_KEPT {
            let noticed = retired_at.map_or_else(|| "never".to_owned(), |at| at.to_string());
            return Err(format!(
                "the keyring still has {id}, which was of no use after {last_used}; that was noticed: {noticed}"
            ));
        }
    }
    let age = now.duration_since(current.created_at);
    if age > stage.rotation + LATEST_ROTATION {
        return Err(format!("the key {} is {} old and was not changed", current.certificate_id, minutes(age)));
    }
    let behind = observer.seen().iter().find(|seen| seen.certificate_id != current.certificate_id);
    if let Some(behind) = behind
        && age > LATEST_CERTIFICATE
    {
        return Err(format!(
            "Graph still encrypts for {}, {age:#} after another took its place",
            behind.certificate_id
        ));
    }
    let signing = stage.simulator.current_signing_key().kid;
    let signing_keys = keyring.signing_keys.as_ref();
    if signing_keys.is_none_or(|keys| keys.with_kid(&signing).next().is_none()) && stage.signing_keys_are_settled() {
        return Err(format!("the keyring lacks {signing}, with which Entra signs"));
    }
    Ok(())
}

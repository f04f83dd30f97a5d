//! One run, from the lease to the report.

use std::cell::RefCell;

use graph_subscriptions::Credential;
use jiff::{SignedDuration, Timestamp};
use lambda_runtime::Diagnostic;
use serde_json::Value;

use crate::{
    act::{Acting, seconds_remaining},
    calls::Calls,
    config::Config,
    input::{Action, UnknownAction},
    keyring::{self, Prepared},
    lease::{self, Lease},
    metrics,
    observe::observe,
    plan::{Desired, plan},
    ports::World,
    records::Record,
    report::{KeyringReport, Outcome, PolicyReport, Report, SigningKeysReport, StrayReport},
};

/// No call to Microsoft begins in this last part of the time that the function has: what is under way can end, and what
/// came of it can be recorded.
const RESERVE: SignedDuration = SignedDuration::from_secs(50);

/// Who runs, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The name of this run, for the lease. A repeated invocation with the same name takes the lease over.
    pub owner: &'a str,
    /// When the function is ended from outside.
    pub ends_at: Timestamp,
}

/// The invocation failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RunError {
    /// The event asks for something that is not known.
    #[error(transparent)]
    UnknownAction(#[from] UnknownAction),
    /// At least one policy has no subscription: its calls go unreported.
    #[error("no subscription watches {0}")]
    PolicyUnwatched(String),
    /// There are subscriptions, but none could be renewed.
    #[error("no subscription could be renewed: {0}")]
    NothingRenewed(String),
}

impl From<RunError> for Diagnostic {
    fn from(error: RunError) -> Self {
        let error_type = match &error {
            RunError::UnknownAction(_) => "UnknownAction",
            RunError::PolicyUnwatched(_) => "PolicyUnwatched",
            RunError::NothingRenewed(_) => "NothingRenewed",
        };
        Self { error_type: error_type.to_owned(), error_message: error.to_string() }
    }
}

/// Does what the event asks for, and logs the report.
///
/// # Errors
/// If the event asks for something unknown, or if afterwards a policy is unwatched or none could be renewed: then the invocation
/// must fail, so that it is repeated and noticed.
pub async fn handle(
    world: &impl World,
    config: &Config,
    event: &Value,
    invocation: Invocation<'_>,
) -> Result<Report, RunError> {
    let report = match Action::from_event(event)? {
        Action::Reconcile => reconcile(world, config, invocation).await,
    };
    let text = serde_json::to_string(&report).unwrap_or_default();
    let verdict = verdict(&report);
    match &verdict {
        Ok(()) if report.ok => tracing::info!(report = text, "reconciled"),
        Ok(()) => tracing::warn!(report = text, "reconciled with problems"),
        Err(error) => tracing::error!(report = text, %error, "not reconciled"),
    }
    verdict.map(|()| report)
}

/// Whether what a run left behind is good enough for the invocation to count as a success.
///
/// # Errors
/// If a policy has no subscription, or none could be renewed.
pub fn verdict(report: &Report) -> Result<(), RunError> {
    if report.skipped.is_some() {
        return Ok(());
    }
    let why = |policy: &PolicyReport| {
        let explanation = policy.explanation.as_deref().unwrap_or("it has ended");
        format!("the policy {} of tenant {}: {explanation}", policy.policy_name, policy.tenant_id)
    };
    let watched = |policy: &PolicyReport| {
        report.policies.iter().any(|other| other.policy() == policy.policy() && other.seconds_remaining > 0)
    };
    let unwatched: Vec<_> = report.policies.iter().filter(|policy| !watched(policy)).map(why).collect();
    if !unwatched.is_empty() {
        return Err(RunError::PolicyUnwatched(unwatched.join("; ")));
    }
    if report.policies.iter().all(|policy| policy.outcome == Outcome::Failed) {
        return Err(RunError::NothingRenewed(report.policies.iter().map(why).collect::<Vec<_>>().join("; ")));
    }
    Ok(())
}

/// Compares the subscriptions with what they should be, and repairs the difference. Whatever goes wrong is in the report.
pub async fn reconcile(world: &impl World, config: &Config, invocation: Invocation<'_>) -> Report {
    let started_at = world.now();
    let mut report = Report {
        action: Action::Reconcile.word(),
        ok: false,
        skipped: None,
        started_at,
        duration_ms: 0,
        policies: Vec::new(),
        strays: Vec::new(),
        keyring: KeyringReport::default(),
        signing_keys: SigningKeysReport::default(),
        problems: Vec::new(),
    };
    let lease = lease::take(world, invocation.owner, invocation.ends_at).await;
    match &lease {
        Lease::Taken => {}
        Lease::Held => {
            report.ok = true;
            report.skipped = Some("another run holds the lease");
            return report;
        }
        Lease::Unreachable(error) => report.problems.push(format!("the run goes on without a lease: {error}")),
    }
    let done = reconcile_alone(world, config, invocation.ends_at - RESERVE).await;
    report.policies = done.policies;
    report.strays = done.strays;
    report.keyring = done.keyring;
    report.signing_keys = done.signing_keys;
    report.problems.extend(done.problems);

    let position = |policy: &PolicyReport| config.policies.iter().position(|one| *one == policy.policy());
    report.policies.sort_by_key(position);
    for health in report.policies.iter().filter_map(|policy| policy.health(world.now())) {
        if let Err(error) = world.put_health(&health).await {
            report.problems.push(format!("the event Subscription Health cannot be sent: {error}"));
        }
    }
    if lease == Lease::Taken
        && let Err(error) = world.release_lease(invocation.owner).await
    {
        report.problems.push(format!("the lease cannot be given back, and ends by itself: {error}"));
    }
    report.ok = report.problems.is_empty()
        && report.policies.iter().all(|policy| policy.outcome != Outcome::Failed)
        && report.strays.iter().all(|stray| stray.deleted);
    report.duration_ms = i64::try_from(world.now().duration_since(started_at).as_millis()).unwrap_or(i64::MAX);
    for line in metrics::lines(&report, &config.function_name, world.now()) {
        world.emit(&line);
    }
    report
}

#[derive(Default)]
struct Done {
    policies: Vec<PolicyReport>,
    strays: Vec<StrayReport>,
    keyring: KeyringReport,
    signing_keys: SigningKeysReport,
    problems: Vec<String>,
}

async fn reconcile_alone(world: &impl World, config: &Config, deadline: Timestamp) -> Done {
    let mut done = Done::default();
    let tenants = config.policies.tenants();
    let prepared = match keyring::prepare(world, &config.keyring_secret_id, &tenants, deadline).await {
        Ok(prepared) => prepared,
        Err(sentence) => return all_failed(world, config, done, &sentence).await,
    };
    done.problems.extend(prepared.problems.iter().cloned());
    done.keyring.written = prepared.written;
    done.keyring.certificate_id = prepared.key().map(|key| key.certificate_id.clone());
    if let Some(keys) = &prepared.keyring.signing_keys {
        done.signing_keys = SigningKeysReport { count: keys.keys.len(), fetched_at: Some(keys.fetched_at) };
    }
    let credential = match credential(world, config).await {
        Ok(credential) => credential,
        Err(sentence) => return all_failed(world, config, done, &sentence).await,
    };
    match with_keys(world, config, deadline, &prepared, &credential, &mut done).await {
        Ok(()) => done,
        Err(sentence) => all_failed(world, config, done, &sentence).await,
    }
}

/// Read in each run: a secret that was replaced takes effect at once.
async fn credential(world: &impl World, config: &Config) -> Result<Credential, String> {
    let id = &config.client_secret_id;
    match world.read(id).await {
        Ok(Some(secret)) if !secret.trim().is_empty() => Ok(Credential::ClientSecret(secret.trim().to_owned())),
        Ok(_) => Err(format!("the secret {id} is empty: set the parameter ClientSecret")),
        Err(error) => Err(format!("the client secret cannot be read from the secret {id}: {error}")),
    }
}

async fn with_keys(
    world: &impl World,
    config: &Config,
    deadline: Timestamp,
    prepared: &Prepared,
    credential: &Credential,
    done: &mut Done,
) -> Result<(), String> {
    let (Some(key), Some(state)) = (prepared.key(), prepared.client_state()) else {
        return Err("the keyring has no current key or client state".to_owned());
    };
    let certificate =
        key.pair.certificate_base64().map_err(|error| format!("the certificate cannot be written: {error}"))?;
    let desired = Desired {
        policies: &config.policies,
        notification_url: &config.notification_url,
        client_state_id: &state.id,
        client_state_ids: prepared.keyring.client_states.iter().map(|state| state.id.as_str()).collect(),
    };
    let tenants = config.policies.tenants();
    let calls = Calls::new(world, deadline, credential, &tenants);
    let observation = observe(&calls, &tenants).await;
    done.problems.extend(observation.problems);
    let actions = plan(&desired, &observation.observed, world.now());
    let problems = RefCell::default();
    let acting = Acting {
        calls: &calls,
        desired: &desired,
        keyring: &prepared.keyring,
        certificate: &certificate,
        certificate_id: &key.certificate_id,
        problems: &problems,
    };
    let acted = acting.act(actions).await;
    done.policies = acted.policies;
    done.strays = acted.strays;
    done.problems.extend(problems.into_inner());
    let records = observation.observed.records.unwrap_or_default();
    for (tenant, failure) in observation.unobserved {
        let policies = config.policies.iter().filter(|policy| policy.tenant == tenant);
        done.policies.extend(policies.map(|policy| unobserved(policy, &records, &failure.to_string(), world.now())));
    }
    Ok(())
}

/// Nothing could be done for any policy.
async fn all_failed(world: &impl World, config: &Config, mut done: Done, sentence: &str) -> Done {
    let records = world.records().await.unwrap_or_default();
    done.policies = config.policies.iter().map(|policy| unobserved(policy, &records, sentence, world.now())).collect();
    done
}

/// What to say of a policy whose subscription could not be looked at: what was last recorded.
fn unobserved(
    policy: &graph_notifications::Policy,
    records: &[Record],
    sentence: &str,
    now: Timestamp,
) -> PolicyReport {
    let record = records.iter().find(|record| record.policy == *policy);
    let record = record.filter(|record| !record.is_intent());
    let expires_at = record.and_then(|record| record.subscription_expires_at);
    PolicyReport {
        tenant_id: policy.tenant,
        policy_name: policy.name.clone(),
        outcome: Outcome::Failed,
        subscription_id: record.and_then(|record| record.subscription_id.clone()),
        expires_at,
        seconds_remaining: seconds_remaining(expires_at, now),
        explanation: Some(sentence.to_owned()),
        lost: None,
    }
}

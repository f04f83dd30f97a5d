//! One invocation: what is asked for, from the lease to the report.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
};

use futures::{StreamExt as _, stream};
use graph_notifications::{Policy, TenantId};
use graph_subscriptions::{AccessToken, Renewal, Subscription};
use jiff::{SignedDuration, Timestamp};

use crate::{
    act::{Acted, Acting, LIFETIME, seconds_remaining},
    app_certificates::AppCertificates,
    calls::Calls,
    config::{Config, CredentialKind},
    input::LifecycleEvent,
    keyring::{InUse, KeyringStore, Rotation},
    lease::{self, Lease},
    lifecycle::{self, Turn},
    metrics,
    observe::{CONCURRENCY, by_id, list_findings, list_in_time},
    plan::{self, Answered, Desired, Observed, plan, record_of, watches},
    ports::World,
    records::Record,
    report::{Outcome, PolicyReport, Report, Revocation, SigningKeysReport},
    tampering::is_same_address,
    verdict::log,
};

/// No call to Microsoft begins in this last part of the time that the function has: what is under way can end, and what
/// came of it can be recorded.
pub const RESERVE: SignedDuration = SignedDuration::from_secs(50);

/// How long a run that somebody waits for leaves itself, at least, when it waits for another to end.
pub(crate) const SHORTEST_RUN: SignedDuration = SignedDuration::from_secs(60);

/// How much time a repair needs at least once it has the lease, and what it leaves for events and metrics.
const SHORTEST_REPAIR: SignedDuration = SignedDuration::from_secs(20);
const AFTER_REPAIR: SignedDuration = SignedDuration::from_secs(8);

/// How long a run of the schedule waits for what has the lease: a repair, which is short and does not renew.
const LONGEST_REPAIR: SignedDuration = SignedDuration::from_secs(60);

/// How much earlier than answered an end may be before it is a problem.
const TOLERATED: SignedDuration = SignedDuration::from_mins(5);

/// How long a receiver that is running goes by a keyring before it reads it again.
const KNOWN_TO_RECEIVERS: SignedDuration = SignedDuration::from_mins(5);

/// Who runs, and until when.
#[derive(Debug, Clone, Copy)]
pub struct Invocation<'a> {
    /// The name of this run, for the lease. A repeated invocation with the same name takes the lease over.
    pub owner: &'a str,
    /// When the function is ended from outside.
    pub ends_at: Timestamp,
}

/// What makes a run begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// The schedule.
    BySchedule,
    /// Somebody who looks.
    ToReconcile,
    /// Somebody who wants a new encryption key.
    ToRotate,
    /// Somebody who fears that others know what the keyring holds.
    ToReplaceLeaked,
    /// Graph said something of a subscription.
    ByGraph(LifecycleEvent),
    /// A deployment, which waits for the end.
    ByDeployment,
}

impl Asked {
    fn word(&self) -> &'static str {
        match self {
            Self::BySchedule | Self::ToReconcile => "reconcile",
            Self::ToRotate | Self::ToReplaceLeaked => "rotate",
            Self::ByGraph(_) => "lifecycle",
            Self::ByDeployment => "deployment",
        }
    }

    /// The new keys that it asks for.
    fn rotation(&self) -> Option<Rotation> {
        match self {
            Self::ToRotate => Some(Rotation::Routine),
            Self::ToReplaceLeaked => Some(Rotation::AfterLeak),
            Self::BySchedule | Self::ToReconcile | Self::ByGraph(_) | Self::ByDeployment => None,
        }
    }

    /// Until when to wait for another run to end. The schedule waits for a repair alone: a run does its work.
    fn patience(&self, now: Timestamp, ends_at: Timestamp) -> Timestamp {
        match self {
            Self::BySchedule => now + LONGEST_REPAIR,
            Self::ToReconcile | Self::ToRotate | Self::ToReplaceLeaked | Self::ByGraph(_) | Self::ByDeployment => {
                ends_at - RESERVE - SHORTEST_RUN
            }
        }
    }

    /// Until when to try to give the lease back. Who waits for the report does not wait for that.
    fn patience_at_end(&self, now: Timestamp, ends_at: Timestamp) -> Timestamp {
        match self {
            Self::BySchedule | Self::ByGraph(_) => ends_at - RESERVE,
            Self::ToReconcile | Self::ToRotate | Self::ToReplaceLeaked | Self::ByDeployment => now,
        }
    }
}

/// Compares the subscriptions with what they should be, and repairs the difference. Whatever goes wrong is in the report.
pub async fn reconcile(world: &impl World, config: &Config, invocation: Invocation<'_>, asked: &Asked) -> Report {
    let mut report = Report::begun(asked.word(), world.now());
    if let Asked::ByGraph(event) = asked {
        report.lifecycle = Some(event.clone());
        if let Turn::Leave(why) = lifecycle::turn(world, event).await {
            report.ok = true;
            report.skipped = Some(why);
            return report;
        }
    }
    let patience = asked.patience(world.now(), invocation.ends_at);
    let lease = lease::take_in_time(world, invocation.owner, invocation.ends_at, patience).await;
    match &lease {
        Lease::Taken => {}
        Lease::Held => {
            // What runs does the schedule's work. Who asked has not got what they asked for.
            report.ok = *asked == Asked::BySchedule;
            report.skipped = Some("another run holds the lease");
            return report;
        }
        Lease::Unreachable(error) => report.problems.push(format!("the run goes on without a lease: {error}")),
    }
    reconcile_alone(world, config, invocation.ends_at - RESERVE, asked, &mut report).await;
    tell_health(world, config, &mut report).await;
    if let Err(error) = world.note_reconciled(world.now()).await {
        report.problems.push(format!("it cannot be noted that the run has ended, and it will be missed: {error}"));
    }
    let patience = asked.patience_at_end(world.now(), invocation.ends_at);
    finish(world, config, &lease, invocation.owner, patience, &mut report).await;
    report
}

/// Puts events about what was found lost or changed on the bus.
async fn tell_health(world: &impl World, config: &Config, report: &mut Report) {
    let position = |policy: &PolicyReport| config.policies.iter().position(|one| *one == policy.policy());
    report.policies.sort_by_key(position);
    let healths = report.policies.iter().filter_map(|policy| policy.health(world.now()));
    let sent: Vec<_> = stream::iter(healths)
        .map(async |health| world.put_health(&health).await.map(|()| health))
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let mut told = BTreeSet::new();
    for result in sent {
        match result {
            Ok(health) => told.extend(health.subscription_id.is_some().then_some(health.lost_subscription_id)),
            Err(error) => report.problems.push(format!("the event Subscription Health cannot be sent: {error}")),
        }
    }
    note_told(world, &told, report).await;
}

/// Takes out of the records what the bus was told to have a successor. Until then each run tells it again, so that a run that
/// is cut off between a new subscription and its event leaves nothing untold.
async fn note_told(world: &impl World, told: &BTreeSet<String>, report: &mut Report) {
    if told.is_empty() {
        return;
    }
    let is_told = |record: &Record| record.replaces.as_ref().is_some_and(|id| told.contains(id));
    // What cannot be noted is told once more.
    let records = world.records().await.unwrap_or_default();
    for record in records.into_iter().filter(is_told) {
        if let Err(error) = world.put_record(&Record { replaces: None, ..record }).await {
            report.problems.push(format!("a record cannot be written: {error}"));
        }
    }
}

/// Gives the lease back until `patience` ends, and says what came of the run.
async fn finish(
    world: &impl World,
    config: &Config,
    lease: &Lease,
    owner: &str,
    patience: Timestamp,
    report: &mut Report,
) {
    if *lease == Lease::Taken
        && let Err(error) = lease::give_back(world, owner, patience).await
    {
        report.problems.push(format!("the lease cannot be given back, and ends by itself: {error}"));
    }
    report.ok = report.problems.is_empty()
        && report.policies.iter().all(|policy| policy.outcome != Outcome::Failed)
        && report.strays.iter().all(|stray| stray.deleted);
    let duration = world.now().duration_since(report.started_at);
    report.duration_ms = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
    for line in metrics::lines(report, &config.function_name, world.now()) {
        world.emit(&line);
    }
}

/// Creates anew what is gone of these policies' subscriptions, and does nothing else: by the plan of a run and under its lease.
/// Another run may have repaired it in the meantime; then nothing is done.
pub async fn repair(world: &impl World, config: &Config, invocation: Invocation<'_>, policies: &[Policy]) -> Report {
    let mut report = Report::begun("repair", world.now());
    let patience = invocation.ends_at - SHORTEST_REPAIR;
    let lease = lease::take_in_time(world, invocation.owner, invocation.ends_at, patience).await;
    match &lease {
        Lease::Taken => {}
        Lease::Held => {
            report.skipped = Some("another run holds the lease");
            return report;
        }
        Lease::Unreachable(error) => report.problems.push(format!("the repair goes on without a lease: {error}")),
    }
    let deadline = invocation.ends_at - AFTER_REPAIR;
    let done = match KeyringStore::read(world, &config.keyring_secret_id).await {
        Ok(keyring) => with_keyring(world, config, deadline, &keyring, Some(policies), &mut report).await,
        Err(sentence) => Err(sentence),
    };
    if let Err(sentence) = done {
        report.problems.push(format!("nothing can be repaired: {sentence}"));
    }
    // A run tells every quarter of an hour of what stays lost or changed, and not every minute.
    for policy in report.policies.iter_mut().filter(|policy| policy.outcome == Outcome::Failed) {
        policy.tampered = None;
        policy.lost = policy.lost.take().filter(|_| !policy.known_lost);
    }
    tell_health(world, config, &mut report).await;
    finish(world, config, &lease, invocation.owner, deadline, &mut report).await;
    log(&report);
    report
}

/// The run itself, while no other is under way.
async fn reconcile_alone(world: &impl World, config: &Config, deadline: Timestamp, asked: &Asked, report: &mut Report) {
    let keyring = match KeyringStore::read(world, &config.keyring_secret_id).await {
        Ok(keyring) => keyring,
        Err(sentence) => return without_keyring(world, config, deadline, &sentence, report).await,
    };
    let prepared = keyring.prepare(config, asked.rotation(), deadline).await;
    let done = match prepared {
        Ok(preparation) => {
            report.keyring.rotated = preparation.rotated;
            report.keyring.revocation = preparation.revoked_at.map(|revoked_at| Revocation {
                revoked_at,
                client_states_forgotten: false,
                without_subscription: Vec::new(),
                receivers_know_by: revoked_at + KNOWN_TO_RECEIVERS,
            });
            report.problems.extend(preparation.problems);
            prepare_app_certificates(world, config, report).await;
            with_keyring(world, config, deadline, &keyring, None, report).await
        }
        Err(sentence) => Err(sentence),
    };
    report.keyring.written = keyring.was_written();
    report.keyring.certificate_id = keyring.current_key().map(|key| key.certificate_id);
    if let Some(keys) = keyring.copy().signing_keys {
        report.signing_keys = SigningKeysReport { count: keys.keys.len(), fetched_at: Some(keys.fetched_at) };
    }
    if let Err(sentence) = done {
        all_failed(world, config, &sentence, report).await;
    }
}

/// The certificates by which the app signs in, if it does so.
async fn prepare_app_certificates(world: &impl World, config: &Config, report: &mut Report) {
    let CredentialKind::Certificate(id) = &config.credential else { return };
    match AppCertificates::prepare(world, id).await {
        Ok((_, false)) => {}
        Ok((_, true)) => report.problems.push(
            "the app has a new certificate, which an administrator must upload to Microsoft Entra: the action check prints it"
                .to_owned(),
        ),
        Err(sentence) => report.problems.push(sentence),
    }
}

/// Observes, plans and acts in each tenant. With `gone`, only what is gone of these policies is created anew.
async fn with_keyring<W: World>(
    world: &W,
    config: &Config,
    deadline: Timestamp,
    keyring: &KeyringStore<'_, W>,
    gone: Option<&[Policy]>,
    report: &mut Report,
) -> Result<(), String> {
    let key = keyring.current_key().ok_or("the keyring has no current key")?;
    let certificate =
        key.pair.certificate_base64().map_err(|error| format!("the certificate cannot be written: {error}"))?;
    let desired = Desired {
        policies: &config.policies,
        notification_url: &config.notification_url,
        client_state_ids: keyring.trusted_client_states(),
    };
    let records = match world.records().await {
        Ok(records) => Some(records),
        Err(error) => {
            let sentence = "the state table cannot be read, so nothing is deleted in this run";
            report.problems.push(format!("{sentence}: {error}"));
            None
        }
    };
    let mut tenants = config.policies.tenants();
    tenants.retain(|tenant| gone.is_none_or(|gone| gone.iter().any(|policy| policy.tenant == *tenant)));
    let calls = Calls::new(world, config, deadline, &tenants);
    let (problems, gaps) = (RefCell::default(), RefCell::default());
    let acting = Acting {
        calls: &calls,
        desired: &desired,
        records: records.as_deref(),
        keyring,
        certificate: &certificate,
        certificate_id: &key.certificate_id,
        problems: &problems,
        gaps: &gaps,
        may_exchange: &tokio::sync::Mutex::new(true),
    };
    // Side by side: a tenant that does not answer takes no time from the others.
    let of_tenants: Vec<_> = stream::iter(tenants)
        .map(async |tenant| one_tenant(&acting, tenant, gone).await)
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let mut in_use = records.as_deref().map(InUse::by_records);
    for of_tenant in of_tenants {
        report.policies.extend(of_tenant.acted.policies);
        report.strays.extend(of_tenant.acted.strays);
        report.list_findings.extend(of_tenant.list_findings);
        // What could not be seen may need anything.
        in_use = in_use.zip(of_tenant.certificate_ids).map(|(mut in_use, seen)| {
            in_use.certificate_ids.extend(seen);
            in_use
        });
    }
    report.problems.extend(problems.into_inner());
    if let Some(revocation) = &mut report.keyring.revocation {
        revocation.without_subscription = gaps.into_inner();
    }
    if calls.newest_credential_was_refused() {
        report.problems.push(
            "Microsoft Entra does not take the app's newest credential, and an older one serves until it ends: the \
             action check prints what to enter in Entra"
                .to_owned(),
        );
    }
    if let Some(in_use) = in_use.filter(|_| gone.is_none()) {
        match keyring.tidy(&in_use).await {
            Ok(removed) => report.keyring.removed_certificate_ids = removed,
            Err(sentence) => report.problems.push(format!("the keyring keeps what nothing needs: {sentence}")),
        }
    }
    if keyring.holds_leaked() {
        match keyring.forget_leaked(&config.policies).await {
            Ok(true) => {
                if let Some(revocation) = &mut report.keyring.revocation {
                    revocation.client_states_forgotten = true;
                    revocation.receivers_know_by = world.now() + KNOWN_TO_RECEIVERS;
                }
            }
            Ok(false) => report.problems.push(
                "client states from before the leak are still accepted, since subscriptions have them: each is replaced by the \
                 next run that can"
                    .to_owned(),
            ),
            Err(sentence) => {
                report.problems.push(format!("client states from before the leak are still accepted: {sentence}"));
            }
        }
    }
    Ok(())
}

/// What came of a tenant.
#[derive(Default)]
struct OfTenant {
    acted: Acted,
    /// The certificates that our subscriptions had when the run began; what it has changed is left to the next one. `None`
    /// if they could not be seen.
    certificate_ids: Option<Vec<String>>,
    list_findings: Vec<String>,
}

/// Observes, plans and acts in one tenant. With `gone`, only for these policies, and only what is missing.
async fn one_tenant<W: World>(acting: &Acting<'_, W>, tenant: TenantId, gone: Option<&[Policy]>) -> OfTenant {
    let (calls, desired) = (acting.calls, acting.desired);
    let records = acting.records.unwrap_or_default();
    let is_meant = |policy: &Policy| gone.is_none_or(|gone| gone.contains(policy));
    let policies: Vec<&Policy> =
        desired.policies.iter().filter(|policy| policy.tenant == tenant && is_meant(policy)).collect();
    let unseen = |sentence: &str| {
        let now = calls.world.now();
        let policies = policies.iter().map(|policy| unobserved(policy, records, sentence, now));
        OfTenant { acted: Acted { policies: policies.collect(), strays: Vec::new() }, ..OfTenant::default() }
    };
    if let Err(failure) = calls.sign_in(tenant).await {
        return unseen(&failure.to_string());
    }
    let is_recorded = |policy: &&Policy| record_of(records, policy).is_some_and(|record| !record.is_intent());
    let needs_list = gone.is_none() || !policies.iter().all(is_recorded);
    let own = records.iter().filter(|record| record.policy.tenant == tenant);
    let own = own.filter(|record| gone.is_none() || policies.iter().any(|one| one.is(tenant, &record.policy.name)));
    let ids = own.filter_map(|record| record.subscription_id.clone());
    let listed = async { if needs_list { Some(list_in_time(calls, tenant).await) } else { None } };
    let (recorded, listed) = tokio::join!(by_id(calls, tenant, ids), listed);
    if let (Some(Err(sentence)), None) = (&listed, acting.records) {
        return unseen(sentence);
    }
    let list_findings = listed
        .as_ref()
        .map_or_else(Vec::new, |listed| list_findings(tenant, listed, &recorded, records, desired.notification_url));
    let listed = listed.and_then(Result::ok).unwrap_or_default().subscriptions;
    let certificate_ids = certificates(&listed, &recorded, desired.notification_url);
    let broken = recorded.values().filter_map(|answered| broken_promise(answered, records));
    acting.problems.borrow_mut().extend(broken);
    let observed = Observed { tenant, listed, recorded, records: acting.records };
    let mut actions = plan(desired, &observed, calls.world.now());
    actions.retain(|action| gone.is_none() || is_repair(action, &is_meant));
    OfTenant { acted: acting.act(actions).await, certificate_ids, list_findings }
}

/// Whether an action brings back what is missing of a policy that is meant.
fn is_repair(action: &plan::Action, is_meant: &impl Fn(&Policy) -> bool) -> bool {
    match action {
        plan::Action::Create(create) => is_meant(&create.policy),
        plan::Action::Replace(replace) => is_meant(&replace.policy),
        plan::Action::Renew(renew) => renew.adopted && is_meant(&renew.policy),
        plan::Action::DeleteStray(_) | plan::Action::Forget(_) => false,
    }
}

/// The certificates that our subscriptions have; `None` if not all that are recorded could be seen.
fn certificates(
    listed: &[Subscription],
    recorded: &BTreeMap<String, Answered>,
    notification_url: &str,
) -> Option<Vec<String>> {
    let mut ids = Vec::new();
    for answered in recorded.values() {
        match answered {
            Answered::Live(shown) => ids.extend(shown.encryption_certificate_id.clone()),
            Answered::Gone => {}
            Answered::Unknown(_) => return None,
        }
    }
    let ours = listed.iter().filter(|one| is_same_address(&one.notification_url, notification_url));
    ids.extend(ours.filter_map(|one| one.encryption_certificate_id.clone()));
    Some(ids)
}

/// What to say if Graph lets a subscription end earlier than it answered when it was renewed.
fn broken_promise(answered: &Answered, records: &[Record]) -> Option<String> {
    let Answered::Live(subscription) = answered else { return None };
    let record = records.iter().find(|record| record.subscription_id.as_ref() == Some(&subscription.id))?;
    let promised = record.subscription_expires_at?;
    let earlier = subscription.expires_at < promised - TOLERATED;
    earlier.then(|| {
        format!(
            "Graph lets the subscription for {} end at {}, although Graph had answered {promised}",
            record.policy.name, subscription.expires_at
        )
    })
}

/// Renews what is there and does nothing else: a warm receiver still has the keys, and Graph repeats for hours what a cold one
/// cannot take. Every policy has failed all the same.
async fn without_keyring(
    world: &impl World,
    config: &Config,
    deadline: Timestamp,
    sentence: &str,
    report: &mut Report,
) {
    let records = world.records().await.unwrap_or_default();
    let failed = config.policies.iter().map(|policy| unobserved(policy, &records, sentence, world.now()));
    report.policies = failed.collect();
    let tenants = config.policies.tenants();
    let calls = Calls::new(world, config, deadline, &tenants);
    let renewed: Vec<(TenantId, Vec<Subscription>)> = stream::iter(tenants)
        .map(async |tenant| (tenant, renew_all(&calls, tenant, config, &records).await))
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    for policy in &mut report.policies {
        let of_tenant =
            renewed.iter().filter(|(tenant, _)| *tenant == policy.tenant_id).flat_map(|(_, of_tenant)| of_tenant);
        let own = of_tenant.filter(|one| watches(one, &policy.policy())).max_by_key(|one| one.expires_at);
        let Some(renewed) = own else { continue };
        policy.subscription_id = Some(renewed.id.clone());
        policy.expires_at = Some(renewed.expires_at);
        policy.seconds_remaining = seconds_remaining(policy.expires_at, world.now());
        policy.explanation = Some(format!("{sentence}; the subscription was renewed, and nothing else was done"));
    }
}

/// Gives our subscriptions in a tenant another day, those that are recorded and those that Graph lists, and gives each that got one.
async fn renew_all<W: World>(
    calls: &Calls<'_, W>,
    tenant: TenantId,
    config: &Config,
    records: &[Record],
) -> Vec<Subscription> {
    if calls.sign_in(tenant).await.is_err() {
        return Vec::new();
    }
    let listed = list_in_time(calls, tenant).await.unwrap_or_default().subscriptions;
    let ours = listed.into_iter().filter(|one| is_same_address(&one.notification_url, &config.notification_url));
    let own = records.iter().filter(|record| record.policy.tenant == tenant);
    let recorded = own.filter_map(|record| record.subscription_id.clone());
    let ids: BTreeSet<String> = ours.map(|one| one.id).chain(recorded).collect();
    let renewal = Renewal { expires_at: calls.world.now() + LIFETIME, certificate: None };
    let renewed = stream::iter(ids).map(async |id| {
        let call = async |token: &AccessToken| calls.world.renew(token, &id, &renewal).await;
        calls.change_repeated(tenant, call).await.ok()
    });
    renewed.buffer_unordered(CONCURRENCY).filter_map(std::future::ready).collect().await
}

/// Nothing could be done for any policy.
async fn all_failed(world: &impl World, config: &Config, sentence: &str, report: &mut Report) {
    let records = world.records().await.unwrap_or_default();
    let failed = config.policies.iter().map(|policy| unobserved(policy, &records, sentence, world.now()));
    report.policies = failed.collect();
}

/// What to say of a policy whose subscription could not be looked at: what was last recorded.
fn unobserved(policy: &Policy, records: &[Record], sentence: &str, now: Timestamp) -> PolicyReport {
    let record = record_of(records, policy).filter(|record| !record.is_intent());
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
        known_lost: false,
        tampered: None,
    }
}

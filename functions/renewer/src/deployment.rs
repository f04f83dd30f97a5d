//! What a deployment does: one that ends well has its subscriptions, and a stack that is deleted leaves none.

use std::collections::BTreeSet;

use futures::{StreamExt as _, stream};
use graph_subscriptions::{AccessToken, GraphErrorKind, Subscription};
use jiff::SignedDuration;

use crate::{
    calls::{Calls, pause},
    cloudformation::{self, Request, RequestType, Verdict},
    config::Config,
    lease::{self, Lease},
    observe::{CONCURRENCY, list},
    ports::{Deployment, World},
    report::{Outcome, Report},
    run::{Asked, Invocation, RESERVE, SHORTEST_RUN, reconcile},
    tampering::is_same_address,
    verdict::{self, log},
};

/// How long deleting the subscriptions may take. What is left then ends by itself within a day.
const LONGEST_DELETION: SignedDuration = SignedDuration::from_secs(60);

/// How long deleting waits for a run that is under way.
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(60);

/// For so long after a deletion no scheduled run may make the subscriptions anew: the schedule goes later than they do.
const QUIET: SignedDuration = SignedDuration::from_mins(11);

/// How often CloudFormation is told the same thing, until it listens.
const ANSWERS: u32 = 4;

/// CloudFormation waits for an answer that could not be sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("CloudFormation cannot be told what came of the deployment: {0}")]
pub struct NotAnswered(pub String);

/// Does what a deployment needs, and tells CloudFormation what came of it.
///
/// # Errors
/// If CloudFormation cannot be told.
pub async fn deploy(
    outside: &(impl World + Deployment),
    config: &Config,
    request: &Request,
    invocation: Invocation<'_>,
) -> Result<Verdict, NotAnswered> {
    let verdict = match request.kind {
        _ if !request.is_enabled() => Verdict::Success("The parameter SubscribeOnDeploy is No.".to_owned()),
        RequestType::Delete => remove_all(outside, config, invocation).await,
        RequestType::Create | RequestType::Update => Box::pin(subscribe(outside, config, invocation)).await,
    };
    let mut attempt = 0;
    while let Err(error) = cloudformation::answer(outside, request, &verdict).await {
        attempt += 1;
        if attempt >= ANSWERS || !pause(outside, invocation.ends_at, attempt, None).await {
            return Err(NotAnswered(error.to_string()));
        }
    }
    Ok(verdict)
}

/// Reconciles for a deployment. A role that AWS has only just made may be refused everything for some seconds.
async fn subscribe(world: &impl World, config: &Config, invocation: Invocation<'_>) -> Verdict {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let report = reconcile(world, config, invocation, &Asked::ByDeployment).await;
        log(&report);
        let verdict = verdict_on(&report);
        let denied = matches!(&verdict, Verdict::Failed(reason) if reason.contains("AccessDenied"));
        let deadline = invocation.ends_at - RESERVE - SHORTEST_RUN;
        if !denied || attempt >= ANSWERS || !pause(world, deadline, attempt + 2, None).await {
            return verdict;
        }
    }
}

/// What a run means for a deployment: it fails with the reasons if a policy has no subscription, or if none could be
/// renewed. One that is alive and could not be renewed at this moment is no reason: the schedule goes on, and a rollback would
/// meet the same.
fn verdict_on(report: &Report) -> Verdict {
    if let Some(skipped) = report.skipped {
        return Verdict::Failed(format!("The subscriptions were not looked at: {skipped}. Deploy again."));
    }
    if verdict::verdict(report).is_ok() {
        let alive = report.policies.len();
        let problems = report.policies.iter().filter(|policy| policy.outcome == Outcome::Failed).count();
        return Verdict::Success(match problems {
            0 => format!("{alive} subscriptions are alive."),
            _ => format!("{alive} subscriptions are alive, {problems} of them could not be renewed just now."),
        });
    }
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for policy in report.policies.iter().filter(|policy| policy.outcome == Outcome::Failed) {
        let why = policy.explanation.as_deref().unwrap_or("there is no subscription");
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, names)) => names.push(policy.policy_name.as_str()),
            None => reasons.push((why, vec![policy.policy_name.as_str()])),
        }
    }
    let sentences = reasons.iter().map(|(why, names)| format!("{}: {why}", names.join(", ")));
    Verdict::Failed(format!(
        "No subscription, or none that can be renewed, for {}",
        sentences.collect::<Vec<_>>().join("; ")
    ))
}

/// Deletes what this stack has in Graph, as far as that can be done in two minutes. It never fails: a stack must go away
/// whatever Graph says, and Graph ends the subscriptions by itself within a day.
async fn remove_all(world: &impl World, config: &Config, invocation: Invocation<'_>) -> Verdict {
    // Kept, not given back: until the schedule is gone, its runs must not make anew what is deleted here.
    let patience = world.now() + LONGEST_WAIT;
    let lease = lease::take_in_time(world, invocation.owner, world.now() + QUIET, patience).await;
    if lease != Lease::Taken {
        tracing::warn!(?lease, "the subscriptions are deleted without the lease");
    }
    let deadline = (world.now() + LONGEST_DELETION).min(invocation.ends_at - RESERVE);
    let tenants = config.policies.tenants();
    let calls = Calls::new(world, config, deadline, &tenants);
    let records = world.records().await.unwrap_or_default();
    let mut left = Vec::new();
    let mut deleted = 0_usize;
    for &tenant in &tenants {
        // Those that are recorded, though the list may leave them out, and those that no record tells of.
        let own = records.iter().filter(|record| record.policy.tenant == tenant);
        let mut ids: BTreeSet<String> = own.filter_map(|record| record.subscription_id.clone()).collect();
        match list(&calls, tenant).await {
            Ok(listing) => {
                let is_ours = |one: &&Subscription| is_same_address(&one.notification_url, &config.notification_url);
                ids.extend(listing.subscriptions.iter().filter(is_ours).map(|one| one.id.clone()));
            }
            Err(failure) => left.push(format!("tenant {tenant}: {failure}")),
        }
        let results: Vec<_> = stream::iter(ids)
            .map(async |id| {
                calls.change_repeated(tenant, async |token: &AccessToken| world.delete(token, &id).await).await
            })
            .buffer_unordered(CONCURRENCY)
            .collect()
            .await;
        for result in results {
            match result {
                Err(failure) if failure.kind() != Some(GraphErrorKind::NotFound) => {
                    left.push(format!("tenant {tenant}: {failure}"));
                }
                _ => deleted += 1,
            }
        }
    }
    if left.is_empty() {
        return Verdict::Success(format!("{deleted} subscriptions were deleted."));
    }
    left.dedup();
    let sentence =
        format!("{deleted} subscriptions were deleted; others end by themselves within a day ({})", left.join("; "));
    tracing::warn!(sentence, "not every subscription was deleted");
    Verdict::Success(sentence)
}

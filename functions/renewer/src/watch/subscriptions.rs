//! Whether the subscriptions are there: asked by the ids that we recorded, and repaired at once where one is gone.

use std::collections::BTreeMap;

use futures::{StreamExt as _, stream};
use graph_notifications::{Policy, TenantId};
use graph_subscriptions::Subscription;
use jiff::{SignedDuration, Timestamp};

use super::{
    report::SubscriptionWatched,
    trouble::{Problem, Trouble},
};
use crate::{
    act::seconds_remaining,
    calls::{Calls, Failure},
    config::Config,
    observe::{CONCURRENCY, by_id, list_in_time},
    plan::{Answered, may_replace, record_of, watches},
    ports::{World, by},
    records::Record,
    report::PolicyReport,
    run::{Invocation, repair},
    tampering::{Tampering, is_same_address, tampering},
};

/// For how many policies Graph is asked in a pass. Above that they take turns.
const POLICIES_OF_A_PASS: usize = 200;

/// How long Graph may take to answer, so that there is time for a repair.
const FOR_ANSWERS: SignedDuration = SignedDuration::from_secs(20);

/// What a pass found of the subscriptions, and did about it.
#[derive(Debug, Default)]
pub struct Subscriptions {
    /// Each policy's, as far as anything is known of it.
    pub watched: Vec<SubscriptionWatched>,
    /// How many Graph was asked for.
    pub asked_for: usize,
    /// The certificates that Graph encrypts for, as far as it says.
    pub certificate_ids: Vec<String>,
    /// Entra refused the newest credential of the app, and took the one before.
    pub newest_refused: bool,
    /// What became of those that were gone.
    pub repaired: Vec<PolicyReport>,
    pub(super) problems: Vec<Problem>,
}

/// What Graph answers in a tenant about the recorded ids, or why it does not.
type Answers = Result<BTreeMap<String, Answered>, String>;

/// What is known of one policy's subscription.
enum Known<'a> {
    /// Graph shows it.
    Shown(&'a Subscription, Option<(Tampering, Option<Timestamp>)>),
    /// It was not its turn.
    AsRecorded(&'a Record),
    /// There is none.
    Gone,
    /// Graph did not say.
    Unknown(&'a str),
}

/// Asks for the subscriptions whose turn it is, and repairs what is gone; all of it until the invocation ends.
pub async fn keep(world: &impl World, config: &Config, invocation: Invocation<'_>, minute: i64) -> Subscriptions {
    let until = invocation.ends_at.min(world.now() + FOR_ANSWERS);
    match by(world, until, world.records()).await {
        Some(Ok(records)) => by_records(world, config, invocation, (&records, until), minute).await,
        // The look at the state table says so.
        Some(Err(_)) | None => as_listed(world, config, until).await,
    }
}

async fn by_records(
    world: &impl World,
    config: &Config,
    invocation: Invocation<'_>,
    (records, until): (&[Record], Timestamp),
    minute: i64,
) -> Subscriptions {
    let tenants = config.policies.tenants();
    let calls = Calls::new(world, config, until, &tenants);
    let turn = turn(config.policies.iter().collect(), minute);
    let ids_of = |tenant: TenantId| {
        let own = turn.iter().filter(move |policy| policy.tenant == tenant);
        own.filter_map(|policy| record_of(records, policy)?.subscription_id.clone()).collect::<Vec<_>>()
    };
    let answered: Vec<(TenantId, Answers)> = stream::iter(tenants)
        .map(async |tenant| {
            let asked = async {
                calls.sign_in(tenant).await?;
                Ok::<_, Failure>(by_id(&calls, tenant, ids_of(tenant)).await)
            };
            let answered = match by(world, until, asked).await {
                Some(answered) => answered.map_err(|failure| failure.to_string()),
                None => Err("there was no answer in time".to_owned()),
            };
            (tenant, answered)
        })
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let mut found = Subscriptions { newest_refused: calls.newest_credential_was_refused(), ..Subscriptions::default() };
    let mut unseen: BTreeMap<TenantId, String> = BTreeMap::new();
    let mut gone = Vec::new();
    for policy in config.policies.iter() {
        let of_tenant = answered.iter().find(|(tenant, _)| *tenant == policy.tenant).map(|(_, answered)| answered);
        let expires_at = match known(policy, record_of(records, policy), of_tenant, turn.contains(&policy), config) {
            Known::Shown(shown, changed) => {
                found.asked_for += 1;
                found.certificate_ids.extend(shown.encryption_certificate_id.clone());
                if let Some((tampering, tampered_at)) = changed {
                    if may_replace(tampered_at, world.now()) {
                        gone.push(policy.clone());
                    } else {
                        found.problems.push(tampered(policy, shown, tampering));
                    }
                }
                Some(shown.expires_at)
            }
            Known::AsRecorded(record) => record.subscription_expires_at,
            Known::Gone => {
                found.asked_for += 1;
                gone.push(policy.clone());
                None
            }
            Known::Unknown(why) => {
                unseen.entry(policy.tenant).or_insert_with(|| why.to_owned());
                continue;
            }
        };
        found.watched.push(watched(policy, expires_at, world.now()));
    }
    found.problems.extend(unseen.into_iter().map(|(tenant, why)| not_seen(tenant, &why)));
    if !gone.is_empty() {
        found.mend(world, config, invocation, &gone).await;
    }
    found
}

/// What is known of a policy's subscription, given its record and what Graph answered in its tenant.
fn known<'a>(
    policy: &Policy,
    record: Option<&'a Record>,
    answered: Option<&'a Answers>,
    is_its_turn: bool,
    config: &Config,
) -> Known<'a> {
    let Some(record) = record else { return Known::Gone };
    let Some(id) = &record.subscription_id else { return Known::Gone };
    if !is_its_turn {
        return Known::AsRecorded(record);
    }
    match answered {
        Some(Ok(answered)) => match answered.get(id) {
            Some(Answered::Live(shown)) => {
                let changed = tampering(shown, policy, &config.notification_url);
                Known::Shown(shown, changed.map(|changed| (changed, record.tampered_at)))
            }
            Some(Answered::Gone) => Known::Gone,
            Some(Answered::Unknown(why)) => Known::Unknown(why),
            None => Known::AsRecorded(record),
        },
        Some(Err(why)) => Known::Unknown(why),
        None => Known::AsRecorded(record),
    }
}

/// The policies whose turn it is in a minute: all of them, or a part of them, so that in as many minutes as there are parts each
/// has its turn.
fn turn(policies: Vec<&Policy>, minute: i64) -> Vec<&Policy> {
    let parts = policies.len().div_ceil(POLICIES_OF_A_PASS).max(1);
    let part = usize::try_from(minute.rem_euclid(i64::try_from(parts).unwrap_or(1))).unwrap_or_default();
    policies.into_iter().skip(part * POLICIES_OF_A_PASS).take(POLICIES_OF_A_PASS).collect()
}

impl Subscriptions {
    async fn mend(&mut self, world: &impl World, config: &Config, invocation: Invocation<'_>, gone: &[Policy]) {
        // Cut off like a run that dies: what it leaves behind is repaired by the next one.
        let Some(report) = by(world, invocation.ends_at, repair(world, config, invocation, gone)).await else {
            tracing::warn!("a repair had no time to end");
            return;
        };
        for repaired in report.policies {
            let policy = repaired.policy();
            let is_own =
                |one: &&mut SubscriptionWatched| one.tenant_id == policy.tenant && one.policy_name == policy.name;
            if let Some(own) = self.watched.iter_mut().find(is_own) {
                own.seconds_remaining = repaired.seconds_remaining;
            }
            self.repaired.push(repaired);
        }
    }
}

/// Without the state table, what Graph lists is all that is known. Nothing is repaired by it.
async fn as_listed(world: &impl World, config: &Config, until: Timestamp) -> Subscriptions {
    let tenants = config.policies.tenants();
    let calls = Calls::new(world, config, until, &tenants);
    let listed: Vec<_> = stream::iter(tenants)
        .map(async |tenant| (tenant, list_in_time(&calls, tenant).await))
        .buffer_unordered(CONCURRENCY)
        .collect()
        .await;
    let mut found = Subscriptions { newest_refused: calls.newest_credential_was_refused(), ..Subscriptions::default() };
    for (tenant, listed) in listed {
        let listing = match listed {
            Ok(listing) => listing,
            Err(why) => {
                found.problems.push(not_seen(tenant, &why));
                continue;
            }
        };
        for policy in config.policies.iter().filter(|policy| policy.tenant == tenant) {
            let is_own = |one: &&Subscription| {
                is_same_address(&one.notification_url, &config.notification_url) && watches(one, policy)
            };
            let own = listing.subscriptions.iter().filter(is_own).max_by_key(|one| one.expires_at);
            found.certificate_ids.extend(own.and_then(|one| one.encryption_certificate_id.clone()));
            found.watched.push(watched(policy, own.map(|one| one.expires_at), world.now()));
        }
    }
    found
}

fn watched(policy: &Policy, expires_at: Option<Timestamp>, now: Timestamp) -> SubscriptionWatched {
    SubscriptionWatched {
        tenant_id: policy.tenant,
        policy_name: policy.name.clone(),
        seconds_remaining: seconds_remaining(expires_at, now),
    }
}

fn not_seen(tenant: TenantId, why: &str) -> Problem {
    let sentence = format!("the subscriptions in the tenant {tenant} cannot be seen: {why}");
    Problem::new(Trouble::TenantNotSeen(tenant), sentence)
}

fn tampered(policy: &Policy, shown: &Subscription, tampering: Tampering) -> Problem {
    let sentence = format!(
        "somebody has changed the subscription {} for {} again, so that it {}; it is replaced a day after the one before",
        shown.id,
        policy.name,
        tampering.explanation()
    );
    Problem::new(Trouble::SubscriptionTampered(policy.clone()), sentence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fake::config;

    #[test]
    fn above_two_hundred_policies_take_turns() {
        let names: Vec<String> = (0..450).map(|number| format!("P{number}")).collect();
        let config = config(&names.join(","));
        let turn_in = |minute: i64| -> Vec<String> {
            turn(config.policies.iter().collect(), minute).iter().map(|policy| policy.name.to_string()).collect()
        };
        assert_eq!([0, 1, 2].map(|minute| turn_in(minute).len()), [200, 200, 50]);
        let mut all: Vec<String> = (7..10).flat_map(turn_in).collect();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), 450, "in as many minutes as there are parts each has its turn");
        assert_eq!(turn_in(0), turn_in(3));
        let few = crate::fake::config("Global,Warehouse");
        assert!((0..4).all(|minute| turn(few.policies.iter().collect(), minute).len() == 2));
    }
}

//! What is there: what Graph answers about the subscriptions that we recorded, each by its id, and what it lists besides.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};
use graph_notifications::{Policy, TenantId};
use graph_subscriptions::{AccessToken, GraphErrorKind, Listing};
use jiff::{SignedDuration, Timestamp};

use crate::{
    calls::{Calls, Failure},
    plan::Answered,
    ports::{World, by},
    records::Record,
    tampering::tampering,
};

/// How many calls are under way at the same time.
pub const CONCURRENCY: usize = 16;

/// How long a list may take, with all attempts, and the answers about all ids together. Renewals wait for them, and are due
/// whatever they say.
const FOR_ANSWERS: SignedDuration = SignedDuration::from_secs(20);

const LATE: &str = "there was no answer in time";

/// How many subscriptions a sentence names.
const NAMED: usize = 10;

/// Asks Graph for each of these subscriptions by its id. What Graph does not say in time stays unknown.
pub async fn by_id<W: World>(
    calls: &Calls<'_, W>,
    tenant: TenantId,
    ids: impl IntoIterator<Item = String>,
) -> BTreeMap<String, Answered> {
    let until = in_time(calls);
    let asked = stream::iter(ids).map(async |id| {
        let call = async |token: &AccessToken| calls.world.get(token, &id).await;
        if calls.world.now() >= until {
            return (id, Answered::Unknown(LATE.to_owned()));
        }
        let answered = match by(calls.world, until, calls.repeated(tenant, call)).await {
            Some(Ok(shown)) => Answered::Live(shown),
            Some(Err(failure)) if failure.kind() == Some(GraphErrorKind::NotFound) => Answered::Gone,
            Some(Err(failure)) => Answered::Unknown(failure.to_string()),
            None => Answered::Unknown(LATE.to_owned()),
        };
        (id, answered)
    });
    asked.buffer_unordered(CONCURRENCY).collect().await
}

/// Lists a tenant's subscriptions, as far as Graph does.
///
/// # Errors
/// If no page of the list can be had.
pub async fn list<W: World>(calls: &Calls<'_, W>, tenant: TenantId) -> Result<Listing, Failure> {
    calls.repeated(tenant, async |token: &AccessToken| calls.world.list(token).await).await
}

/// As [`list`], in a bounded time.
///
/// # Errors
/// With a sentence, if no page of the list can be had in time.
pub async fn list_in_time<W: World>(calls: &Calls<'_, W>, tenant: TenantId) -> Result<Listing, String> {
    match by(calls.world, in_time(calls), list(calls, tenant)).await {
        Some(listed) => listed.map_err(|failure| failure.to_string()),
        None => Err(LATE.to_owned()),
    }
}

fn in_time<W: World>(calls: &Calls<'_, W>) -> Timestamp {
    calls.deadline.min(calls.world.now() + FOR_ANSWERS)
}

/// What Graph's list gets wrong, a sentence each. Nothing is decided by it, and who reads the report should know.
#[must_use]
pub fn list_findings(
    tenant: TenantId,
    listed: &Result<Listing, String>,
    recorded: &BTreeMap<String, Answered>,
    records: &[Record],
    notification_url: &str,
) -> Vec<String> {
    let own = records.iter().filter(|record| record.policy.tenant == tenant);
    let own: Vec<(&String, &Policy)> =
        own.filter_map(|record| Some((record.subscription_id.as_ref()?, &record.policy))).collect();
    let that = |is: &dyn Fn(&String, &Policy) -> bool| {
        let names = own.iter().filter(|(id, policy)| is(id, policy));
        named(names.map(|(id, policy)| format!("{id} ({})", policy.name)).collect())
    };
    let is_live = |id: &String| matches!(recorded.get(id), Some(Answered::Live(_)));
    let listing = match listed {
        Ok(listing) => listing,
        Err(error) => {
            let live = that(&|id, _| is_live(id)).unwrap_or_else(|| "none".to_owned());
            return vec![format!(
                "Graph's list of subscriptions in the tenant {tenant} cannot be had ({error}); what lives was found by its \
                 id: {live}"
            )];
        }
    };
    let listed: BTreeSet<&String> = listing.subscriptions.iter().map(|one| &one.id).collect();
    let contradicts = |id: &String, policy: &Policy| {
        let Some(Answered::Live(shown)) = recorded.get(id) else { return false };
        let changed = |one| tampering(one, policy, notification_url);
        listing.subscriptions.iter().any(|one| one.id == *id && changed(one).is_some() && changed(shown).is_none())
    };
    let found = [
        ("leaves out live subscriptions", that(&|id, _| is_live(id) && !listed.contains(id))),
        (
            "names subscriptions that are gone",
            that(&|id, _| recorded.get(id) == Some(&Answered::Gone) && listed.contains(id)),
        ),
        ("shows another address or policy than Graph does by the id", that(&contradicts)),
        ("holds what cannot be read", named(listing.unreadable.clone())),
        ("ends before its end", listing.cut_short.as_ref().map(ToString::to_string)),
    ];
    let sentence = |(what, which): (&str, Option<String>)| {
        which.map(|which| format!("Graph's list of subscriptions in the tenant {tenant} {what}: {which}"))
    };
    found.into_iter().filter_map(sentence).collect()
}

/// The names in one text; `None` if there are none.
fn named(names: Vec<String>) -> Option<String> {
    let further = names.len().saturating_sub(NAMED);
    let text = names.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    let text = if further > 0 { format!("{text} and {further} more") } else { text };
    Some(text).filter(|text| !text.is_empty())
}

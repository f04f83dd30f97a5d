//! What is there: Graph's list of subscriptions in each tenant, and the state table's records.

use futures::{StreamExt as _, stream};
use graph_notifications::TenantId;
use graph_subscriptions::{AccessToken, Subscription};

use crate::{
    calls::{Calls, Failure},
    plan::Observed,
    ports::World,
};

/// How many calls are under way at the same time.
pub const CONCURRENCY: usize = 16;

/// What could be observed.
pub struct Observation {
    /// The tenants that answered, and the records.
    pub observed: Observed,
    /// The tenants that did not, and why.
    pub unobserved: Vec<(TenantId, Failure)>,
    /// What went wrong besides.
    pub problems: Vec<String>,
}

/// Lists the subscriptions of all tenants, and reads the records.
pub async fn observe<W: World>(calls: &Calls<'_, W>, tenants: &[TenantId]) -> Observation {
    let mut problems = Vec::new();
    let records = match calls.world.records().await {
        Ok(records) => Some(records),
        Err(error) => {
            problems.push(format!("the state table cannot be read, so nothing is deleted in this run: {error}"));
            None
        }
    };
    let lists: Vec<(TenantId, Result<Vec<Subscription>, Failure>)> = stream::iter(tenants.iter().copied())
        .map(async |tenant| (tenant, list(calls, tenant).await))
        .buffered(CONCURRENCY)
        .collect()
        .await;
    let mut observed = Observed { tenants: Vec::new(), records };
    let mut unobserved = Vec::new();
    for (tenant, list) in lists {
        match list {
            Ok(subscriptions) => observed.tenants.push((tenant, subscriptions)),
            Err(failure) => unobserved.push((tenant, failure)),
        }
    }
    Observation { observed, unobserved, problems }
}

/// Lists a tenant's subscriptions.
///
/// # Errors
/// If the whole list cannot be had.
pub async fn list<W: World>(calls: &Calls<'_, W>, tenant: TenantId) -> Result<Vec<Subscription>, Failure> {
    calls.repeated(tenant, async |token: &AccessToken| calls.world.list(token).await).await
}

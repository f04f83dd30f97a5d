//! What is there: Graph's list of subscriptions in a tenant.

use graph_notifications::TenantId;
use graph_subscriptions::{AccessToken, Listing};

use crate::{
    calls::{Calls, Failure},
    ports::World,
};

/// How many calls are under way at the same time.
pub const CONCURRENCY: usize = 16;

/// Lists a tenant's subscriptions, as far as Graph does.
///
/// # Errors
/// If no page of the list can be had.
pub async fn list<W: World>(calls: &Calls<'_, W>, tenant: TenantId) -> Result<Listing, Failure> {
    calls.repeated(tenant, async |token: &AccessToken| calls.world.list(token).await).await
}

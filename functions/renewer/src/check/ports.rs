//! What a check needs of the outside world beyond what a run needs.

use graph_subscriptions::{AccessToken, GraphError, ServicePrincipal};

use crate::ports::{Alarms, Endpoint, Topics, World};

/// Microsoft Graph, as far as it knows the app itself.
pub trait AppSettings {
    /// How the app stands in the token's tenant.
    fn service_principal(&self, token: &AccessToken) -> impl Future<Output = Result<ServicePrincipal, GraphError>>;
}

/// All that a check looks at. It writes nothing anywhere.
pub trait Surroundings: World + AppSettings + Topics + Alarms + Endpoint {}

impl<S: World + AppSettings + Topics + Alarms + Endpoint> Surroundings for S {}

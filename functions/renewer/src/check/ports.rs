//! What a check needs of the outside world beyond what a run needs.

use std::time::Duration;

use graph_subscriptions::{AccessToken, GraphError, ServicePrincipal};
use lambda_edge::topic::SecondTopic;

use crate::ports::{Alarms, Endpoint, OutsideError, Subscriptions, Topics, World};

/// Microsoft Graph, as far as it knows the app itself.
pub trait AppSettings {
    /// How the app stands in the token's tenant.
    fn service_principal(&self, token: &AccessToken) -> impl Future<Output = Result<ServicePrincipal, GraphError>>;
}

/// The way to the topic in another Region.
pub trait SecondWay {
    /// Asks the topic for its attributes over a new connection, and gives how long it took from the first step to the answer.
    fn reach(&self, topic: &SecondTopic) -> impl Future<Output = Result<Duration, OutsideError>>;
}

/// All that a check looks at. It writes nothing anywhere.
pub trait Surroundings: World + AppSettings + Topics + Subscriptions + SecondWay + Alarms + Endpoint {}

impl<S: World + AppSettings + Topics + Subscriptions + SecondWay + Alarms + Endpoint> Surroundings for S {}

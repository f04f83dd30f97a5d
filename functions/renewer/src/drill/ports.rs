//! What a drill needs of the outside world: nothing of Microsoft's, no secret and no lease. It works when Graph is down.

use lambda_edge::{event::BusEvent, publication::Publication};

use crate::ports::{Host, OutsideError, Subscriptions};

/// Amazon SNS, as an alert reaches it.
pub trait Publish {
    /// Publishes to a topic; gives SNS's name for the message.
    fn publish(&self, topic_arn: &str, publication: &Publication)
    -> impl Future<Output = Result<String, OutsideError>>;
}

/// The event bus, as an alert reaches it.
pub trait PutCall {
    /// Puts the event `Emergency Call` on the bus.
    fn put_call(&self, event: &BusEvent) -> impl Future<Output = Result<(), OutsideError>>;
}

/// All that a drill touches.
pub trait Stage: Host + Publish + PutCall + Subscriptions {}

impl<S: Host + Publish + PutCall + Subscriptions> Stage for S {}

//! What a drill needs of the outside world: nothing of Microsoft's, no secret and no lease. It works when Graph is down.

use lambda_edge::{event::BusEvent, publication::Publication};

use super::subscriber::Subscriber;
use crate::ports::{Host, OutsideError};

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

/// Amazon SNS, as far as it says who is subscribed.
pub trait ListSubscribers {
    /// All subscriptions of a topic, in SNS's order.
    fn list_subscribers(&self, topic_arn: &str) -> impl Future<Output = Result<Vec<Subscriber>, OutsideError>>;
}

/// All that a drill touches.
pub trait Stage: Host + Publish + PutCall + ListSubscribers {}

impl<S: Host + Publish + PutCall + ListSubscribers> Stage for S {}

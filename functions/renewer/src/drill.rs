//! The drill: an alert about no call at all, sent the way that an alert about a call goes, and a report of who should have it.
//!
//! Whoever gets it reads on every line that it is a drill.

pub mod live;
pub mod ports;
pub mod report;
#[cfg(test)]
mod tests;

use emergency_alert::{Alert, Audience, Notification, Proof};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{event::BusEvent, publication::Publication, topic::SecondTopic};

use self::{
    ports::Stage,
    report::{DrillReport, Sent},
};
use crate::{
    check::seen::Topic,
    config::Config,
    ports::{Host, OutsideError, Subscriptions, by},
    subscriber::Subscriber,
};

/// What is left of the invocation for the report.
const RESERVE: SignedDuration = SignedDuration::from_secs(5);

/// Where a drill can go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Destination {
    /// To those who hear of test calls.
    Test,
    /// To those who hear of emergency calls.
    Alert,
    /// To those who hear of emergency calls that take the second way.
    SecondAlert,
}

impl Destination {
    /// All destinations.
    pub const ALL: [Self; 3] = [Self::Test, Self::Alert, Self::SecondAlert];

    /// The topic.
    #[must_use]
    pub fn topic(self) -> Topic {
        match self {
            Self::Test => Topic::Test,
            Self::Alert => Topic::Alert,
            Self::SecondAlert => Topic::SecondAlert,
        }
    }

    fn audience(self) -> Audience {
        match self {
            Self::Test => Audience::Test,
            Self::Alert | Self::SecondAlert => Audience::Alert,
        }
    }

    fn topic_arn(self, config: &Config) -> Option<&str> {
        match self {
            Self::Test => Some(&config.test_topic_arn),
            Self::Alert => Some(&config.alert_topic_arn),
            Self::SecondAlert => config.second_alert_topic.as_ref().map(SecondTopic::arn),
        }
    }
}

/// Nobody got the drill, as far as is known. It can be sent again: each is a drill of its own.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotSent {
    /// The topic did not take it.
    #[error(
        "the drill for {topic} was not sent: {error}; ask again, and if it lasts, deploy {stack} again: the topic must exist, and \
         the renewer's role must be allowed sns:Publish"
    )]
    NotTaken {
        /// The topic.
        topic: &'static str,
        /// Why.
        error: OutsideError,
        /// What would mend it.
        stack: &'static str,
    },
    /// The stack has no second way.
    #[error("the drill was not sent: there is no SecondAlertTopic; deploy with SecondAlertTopicArn")]
    NoSecondTopic,
}

/// Sends a drill to this topic and to the event bus, and looks who is subscribed to the topic. What the bus
/// says, and whether the subscribers could be listed before the invocation is ended from outside at `ends_at`, is in the report.
///
/// # Errors
/// If Amazon SNS does not take the drill, or there is no such topic.
pub async fn drill(
    stage: &impl Stage,
    config: &Config,
    destination: Destination,
    ends_at: Timestamp,
) -> Result<DrillReport, NotSent> {
    let topic = destination.topic();
    let topic_arn = destination.topic_arn(config).ok_or(NotSent::NoSecondTopic)?;
    let stack = match destination {
        Destination::SecondAlert => "the stack of second-region.yaml",
        Destination::Test | Destination::Alert => "the stack",
    };
    let not_sent = |error| NotSent::NotTaken { topic: topic.name(), error, stack };
    let at = stage.now();
    let call_id = format!("drill-{}-{}", at.strftime("%Y%m%dT%H%M%SZ"), stage.short_name().map_err(not_sent)?);
    let alert = Alert::drill(destination.audience(), &notification(config, &call_id, at), &config.alert_settings);
    let message_id = stage.publish(topic_arn, &Publication::of(&alert)).await.map_err(not_sent)?;
    let event = BusEvent::emergency_call(&alert);
    let until = ends_at - RESERVE;
    let (bus, subscribers) = tokio::join!(stage.put_call(&event), listed_in_time(stage, topic_arn, until));
    Ok(DrillReport::new(Sent { topic, call_id, at, message_id }, &config.bus_name, &bus, subscribers))
}

/// What Graph would say of a call: it happens under the first policy.
fn notification(config: &Config, call_id: &str, at: Timestamp) -> Notification {
    let policy = config.policies.iter().next().expect("a list of policies is never empty");
    Notification {
        tenant_id: policy.tenant.to_string(),
        policy_name: policy.name.to_string(),
        call_id: Some(call_id.to_owned()),
        received_at: at,
        proof: Proof::Both,
        contradictions: Vec::new(),
    }
}

/// The subscribers, unless there are so many that the list does not end in time.
async fn listed_in_time(
    stage: &(impl Host + Subscriptions),
    topic_arn: &str,
    until: Timestamp,
) -> Result<Vec<Subscriber>, OutsideError> {
    let listed = by(stage, until, stage.list_subscribers(topic_arn)).await;
    listed.unwrap_or_else(|| Err(OutsideError("the list did not end in time".to_owned())))
}

//! The drill: an alert about no call at all, sent the way that an alert about a call goes, and a report of who should
//! have it.
//!
//! Whoever gets it reads on every line that it is a drill.

pub mod live;
pub mod ports;
pub mod report;
#[cfg(test)]
mod tests;

use emergency_alert::{Alert, Audience, Notification, Proof};
use futures::{StreamExt as _, stream};
use graph_notifications::{Policies, Policy};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{event::BusEvent, publication::Publication, topic::SecondTopic};

use self::{
    ports::Stage,
    report::{DrillReport, Recipient, Sent},
};
use crate::{
    config::Config,
    ports::{Host, OutsideError, Subscriptions, by},
    subscriber::{Standing, Subscriber},
    topics::Topic,
};

/// So many subscribers are shown one by one, and asked for their filter policies; a report may be no larger than an
/// answer of Lambda's.
pub(crate) const MOST_SHOWN: usize = 1000;

/// So many filter policies are asked for at a time.
const CONCURRENCY: usize = 10;

/// What is left of the invocation for the report.
const RESERVE: SignedDuration = SignedDuration::from_secs(5);

/// What a drill is asked to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drill {
    /// The topic that it goes to.
    pub destination: Destination,
    /// The policy that it names, as in `PolicyNames`; the first one if none is given.
    pub policy: Option<String>,
    /// The city that it names.
    pub city: Option<String>,
    /// The site that it names: a street line.
    pub site: Option<String>,
}

impl Drill {
    /// A drill under the first policy and without a place.
    #[must_use]
    pub fn to(destination: Destination) -> Self {
        Self { destination, policy: None, city: None, site: None }
    }
}

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
    /// The policy is none of those that are watched.
    #[error("the drill was not sent: PolicyNames has no policy '{asked}'; it has {known}")]
    NoSuchPolicy {
        /// What was asked for.
        asked: String,
        /// The first policies.
        known: String,
    },
}

/// Sends a drill to its topic and to the event bus, and looks who is subscribed to the topic, and with which filter
/// policy. What the bus says, and whether the subscribers could be listed before the invocation is ended from outside
/// at `ends_at`, is in the report.
///
/// # Errors
/// If Amazon SNS does not take the drill, or there is no such topic or policy.
pub async fn drill(
    stage: &impl Stage,
    config: &Config,
    drill: &Drill,
    ends_at: Timestamp,
) -> Result<DrillReport, NotSent> {
    let destination = drill.destination;
    let topic = destination.topic();
    let policy = policy(&config.policies, drill.policy.as_deref())?;
    let topic_arn = destination.topic_arn(config).ok_or(NotSent::NoSecondTopic)?;
    let stack = match destination {
        Destination::SecondAlert => "the stack of second-region.yaml",
        Destination::Test | Destination::Alert => "the stack",
    };
    let not_sent = |error| NotSent::NotTaken { topic: topic.name(), error, stack };
    let at = stage.now();
    let call_id = format!("drill-{}-{}", at.strftime("%Y%m%dT%H%M%SZ"), stage.short_name().map_err(not_sent)?);
    let mut alert = Alert::drill(destination.audience(), &notification(policy, &call_id, at), &config.alert_settings);
    alert.set_drill_place(drill.city.as_deref(), drill.site.as_deref());
    let publication = Publication::of(&alert);
    let message_id = stage.publish(topic_arn, &publication).await.map_err(not_sent)?;
    let event = BusEvent::emergency_call(&alert);
    let until = ends_at - RESERVE;
    let (bus, recipients) = tokio::join!(stage.put_call(&event), recipients_in_time(stage, topic_arn, until));
    let sent = Sent { topic, call_id, at, message_id, attributes: publication.attributes };
    Ok(DrillReport::new(sent, &config.bus_name, &bus, recipients))
}

/// The policy that a drill names, written as in `PolicyNames` and in any case, or the first.
fn policy<'a>(policies: &'a Policies, asked: Option<&str>) -> Result<&'a Policy, NotSent> {
    let Some(asked) = asked else { return Ok(policies.iter().next().expect("a list of policies is never empty")) };
    let full = |policy: &Policy| format!("{}/{}", policy.tenant, policy.name);
    let is_asked = |name: &str| name.to_lowercase() == asked.to_lowercase();
    let found = policies.iter().find(|policy| is_asked(policy.name.as_str()) || is_asked(&full(policy)));
    found.ok_or_else(|| NotSent::NoSuchPolicy {
        asked: asked.to_owned(),
        known: policies.iter().map(full).take(10).collect::<Vec<_>>().join(", "),
    })
}

/// What Graph would say of a call under this policy.
fn notification(policy: &Policy, call_id: &str, at: Timestamp) -> Notification {
    Notification {
        tenant_id: policy.tenant.to_string(),
        policy_name: policy.name.to_string(),
        call_id: Some(call_id.to_owned()),
        received_at: at,
        proof: Proof::Both,
        contradictions: Vec::new(),
    }
}

/// The subscribers with their filter policies, as far as they can be had until then.
async fn recipients_in_time(
    stage: &(impl Host + Subscriptions),
    topic_arn: &str,
    until: Timestamp,
) -> Result<Vec<Recipient>, OutsideError> {
    let late = || OutsideError("the list did not end in time".to_owned());
    let listed = by(stage, until, stage.list_subscribers(topic_arn)).await.unwrap_or_else(|| Err(late()))?;
    let recipient = async |(index, subscriber): (usize, Subscriber)| {
        let filter = if subscriber.standing != Standing::Confirmed {
            Ok(None)
        } else if index < MOST_SHOWN {
            let asked = by(stage, until, stage.filter_policy(topic_arn, &subscriber.arn)).await;
            asked.unwrap_or_else(|| Err(OutsideError("it did not come in time".to_owned())))
        } else {
            Err(OutsideError(format!("only the first {MOST_SHOWN} are asked for")))
        };
        Recipient { subscriber, filter }
    };
    Ok(stream::iter(listed.into_iter().enumerate()).map(recipient).buffered(CONCURRENCY).collect().await)
}

//! Whether somebody gets every message of a topic, whatever filter policies let through.
//!
//! Alerts are published with a body for each protocol (`MessageStructure: json`). AWS's guide says that attributes are
//! sent with messages of the structure String only, and no page says what a filter policy sees of the others. So a
//! topic for calls needs a subscriber who has no filter policy.

use crate::{
    config::Config,
    filter_policy::FilterPolicy,
    ports::{OutsideError, Subscriptions},
    subscriber::Standing,
    topics::Topic,
};

/// Whether somebody gets every message of a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coverage {
    /// A confirmed subscription has no filter policy.
    Unfiltered,
    /// Each of so many confirmed subscriptions has a filter policy; 0 if nobody has confirmed.
    Filtered(usize),
}

/// The topics that need a subscriber who gets every message, with their ARNs.
pub(crate) fn covered_topics(config: &Config) -> impl Iterator<Item = (Topic, &str)> {
    Topic::of(config).filter(|(topic, _)| matches!(topic, Topic::Alert | Topic::SecondAlert))
}

/// Whether Amazon SNS shows us the filter policies of this topic's subscriptions: it does so to the account that they
/// belong to, as a rule that of the topic.
pub(crate) fn is_visible(topic_arn: &str, config: &Config) -> bool {
    let account = |arn: &str| arn.split(':').nth(4).map(ToOwned::to_owned);
    match (account(topic_arn), account(&config.alert_topic_arn)) {
        (Some(other), Some(own)) => other == own,
        _ => true,
    }
}

/// Asks Amazon SNS for the subscriptions of a topic, and for their filter policies until one has none.
///
/// # Errors
/// If Amazon SNS does not say: the list does not come, or none that could be seen has no filter policy and
/// some could not be seen.
pub async fn coverage(sns: &impl Subscriptions, topic_arn: &str) -> Result<Coverage, OutsideError> {
    let subscribers = sns.list_subscribers(topic_arn).await?;
    let mut filters = Vec::new();
    for one in subscribers.iter().filter(|one| one.standing == Standing::Confirmed) {
        let filter = sns.filter_policy(topic_arn, &one.arn).await;
        let is_last = filter == Ok(None);
        filters.push(filter);
        if is_last {
            break;
        }
    }
    Coverage::of(&filters)
}

impl Coverage {
    /// What the filter policies of confirmed subscriptions come to.
    ///
    /// # Errors
    /// As [`coverage`] says.
    pub fn of(filters: &[Result<Option<FilterPolicy>, OutsideError>]) -> Result<Self, OutsideError> {
        if filters.contains(&Ok(None)) {
            return Ok(Self::Unfiltered);
        }
        let unseen = filters.iter().find_map(|filter| filter.as_ref().err());
        unseen.map_or(Ok(Self::Filtered(filters.len())), |error| Err(error.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{fake::config, subscriber::Subscriber};

    /// Subscriptions by what Amazon SNS lists in the place of their ARN.
    struct Fake(&'static [&'static str]);

    impl Subscriptions for Fake {
        async fn list_subscribers(&self, _: &str) -> Result<Vec<Subscriber>, OutsideError> {
            Ok(self.0.iter().map(|arn| Subscriber::listed("email", "ann@example.com", arn)).collect())
        }

        async fn filter_policy(&self, _: &str, arn: &str) -> Result<Option<FilterPolicy>, OutsideError> {
            match arn {
                "all" => Ok(None),
                "attributes" => Ok(FilterPolicy::of_attributes(Some(r#"{"a":["b"]}"#), None)),
                "body" => Ok(FilterPolicy::of_attributes(Some(r#"{"a":["b"]}"#), Some("MessageBody"))),
                "foreign" => Err(OutsideError("not authorized".to_owned())),
                other => unreachable!("nobody is subscribed as {other}"),
            }
        }
    }

    async fn of(listed: &'static [&'static str]) -> Result<Coverage, OutsideError> {
        coverage(&Fake(listed), "arn:alerts").await
    }

    #[tokio::test]
    async fn one_confirmed_subscriber_without_a_filter_policy_is_enough() {
        assert_eq!(of(&["PendingConfirmation", "attributes", "foreign", "all"]).await, Ok(Coverage::Unfiltered));
    }

    #[tokio::test]
    async fn pending_and_gone_subscribers_do_not_count_and_either_scope_is_a_filter() {
        assert_eq!(of(&[]).await, Ok(Coverage::Filtered(0)));
        assert_eq!(of(&["PendingConfirmation", "Deleted"]).await, Ok(Coverage::Filtered(0)));
        assert_eq!(of(&["attributes", "body", "PendingConfirmation"]).await, Ok(Coverage::Filtered(2)));
    }

    #[tokio::test]
    async fn what_cannot_be_seen_is_neither() {
        assert_eq!(of(&["attributes", "foreign"]).await, Err(OutsideError("not authorized".to_owned())));
    }

    #[test]
    fn subscriptions_of_another_account_are_not_visible() {
        let mut config = config("Global");
        config.alert_topic_arn = "arn:aws:sns:us-east-1:123456789012:Alerts".to_owned();
        assert!(is_visible("arn:aws:sns:us-west-2:123456789012:Alerts", &config));
        assert!(!is_visible("arn:aws:sns:us-west-2:210987654321:Alerts", &config));
    }
}

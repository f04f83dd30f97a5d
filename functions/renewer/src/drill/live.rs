//! Amazon SNS as it is: what a drill publishes, who is subscribed, and with which filter policy.

use aws_config::SdkConfig;
use lambda_edge::{
    publication::Publication,
    topic::{SecondTopic, TopicClients},
};

use super::ports::Publish;
use crate::{
    aws_error::outside,
    filter_policy::FilterPolicy,
    ports::{OutsideError, Subscriptions},
    subscriber::Subscriber,
};

const SERVICE: &str = "Amazon SNS";

/// Amazon SNS.
#[derive(Debug)]
pub struct Sns(TopicClients);

impl Sns {
    /// Builds the clients from an SDK configuration.
    #[must_use]
    pub fn new(shared: &SdkConfig, second: Option<&SecondTopic>) -> Self {
        Self(TopicClients::new(shared.into(), second))
    }
}

impl Publish for Sns {
    async fn publish(&self, topic_arn: &str, publication: &Publication) -> Result<String, OutsideError> {
        let taken =
            publication.publish(self.0.of(topic_arn), topic_arn).await.map_err(|error| outside(SERVICE, &error))?;
        taken.message_id.ok_or_else(|| OutsideError(format!("{SERVICE}: the answer names no message")))
    }
}

impl Subscriptions for Sns {
    async fn list_subscribers(&self, topic_arn: &str) -> Result<Vec<Subscriber>, OutsideError> {
        let pages = self.0.of(topic_arn).list_subscriptions_by_topic().topic_arn(topic_arn).into_paginator().items();
        let listed: Vec<_> = pages.send().try_collect().await.map_err(|error| outside(SERVICE, &error))?;
        let subscriber = |one: aws_sdk_sns::types::Subscription| {
            let text = |value: Option<String>| value.unwrap_or_default();
            Subscriber::listed(&text(one.protocol), &text(one.endpoint), &text(one.subscription_arn))
        };
        Ok(listed.into_iter().map(subscriber).collect())
    }

    async fn filter_policy(
        &self,
        topic_arn: &str,
        subscription_arn: &str,
    ) -> Result<Option<FilterPolicy>, OutsideError> {
        // In the Region of its topic.
        let asked = self.0.of(topic_arn).get_subscription_attributes().subscription_arn(subscription_arn);
        let answer = asked.send().await.map_err(|error| outside(SERVICE, &error))?;
        let attributes = answer.attributes.unwrap_or_default();
        let text = |name: &str| attributes.get(name).map(String::as_str);
        Ok(FilterPolicy::of_attributes(text("FilterPolicy"), text("FilterPolicyScope")))
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::StatusCode};

    use super::*;
    use crate::{
        check::live::tests::{sdk_config, serve},
        filter_policy::Scope,
        subscriber::Standing,
    };

    fn publication() -> Publication {
        let attributes = vec![("isTest", "true".to_owned())];
        Publication {
            subject: "DRILL".to_owned(),
            message: r#"{"default":"x"}"#.to_owned(),
            attributes,
            lists: Vec::new(),
        }
    }

    async fn sns(routes: Router) -> Sns {
        Sns::new(&sdk_config(&serve(routes).await), None)
    }

    #[tokio::test]
    async fn a_publication_goes_out_as_it_is() {
        let sns = sns(Router::new().fallback(async |body: String| {
            for part in [
                "Action=Publish&",
                "TopicArn=arn%3Atests",
                "Subject=DRILL",
                "MessageStructure=json",
                "Message=%7B%22default%22%3A%22x%22%7D",
                "MessageAttributes.entry.1.Name=isTest",
            ] {
                assert!(body.contains(part), "{part} is not in {body}");
            }
            "<PublishResponse><PublishResult><MessageId>m-1</MessageId></PublishResult></PublishResponse>"
        }));
        assert_eq!(sns.await.publish("arn:tests", &publication()).await, Ok("m-1".to_owned()));
    }

    #[tokio::test]
    async fn a_refusal_is_said_in_snss_words() {
        let refusal = "<ErrorResponse><Error><Type>Sender</Type><Code>AuthorizationError</Code>\
                       <Message>not authorized</Message></Error></ErrorResponse>";
        let sns = sns(Router::new().fallback(async move || (StatusCode::FORBIDDEN, refusal))).await;
        let expected = OutsideError("Amazon SNS: AuthorizationError: not authorized".to_owned());
        assert_eq!(sns.publish("arn:tests", &publication()).await, Err(expected.clone()));
        assert_eq!(sns.list_subscribers("arn:tests").await, Err(expected));
    }

    #[tokio::test]
    async fn all_pages_of_subscribers_are_read() {
        fn page(next: &str, endpoint: &str, arn: &str) -> String {
            format!(
                "<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult><Subscriptions><member>\
                 <TopicArn>arn:tests</TopicArn><Protocol>email</Protocol><Endpoint>{endpoint}</Endpoint>\
                 <SubscriptionArn>{arn}</SubscriptionArn></member></Subscriptions>{next}\
                 </ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"
            )
        }
        let sns = sns(Router::new().fallback(async |body: String| {
            assert!(
                body.contains("Action=ListSubscriptionsByTopic") && body.contains("TopicArn=arn%3Atests"),
                "{body}"
            );
            if body.contains("NextToken=more") {
                page("", "bob@example.com", "PendingConfirmation")
            } else {
                page("<NextToken>more</NextToken>", "ann@example.com", "arn:tests:1")
            }
        }));
        let listed = sns.await.list_subscribers("arn:tests").await.unwrap();
        let listed: Vec<_> = listed.iter().map(|one| (one.endpoint.as_str(), one.standing)).collect();
        assert_eq!(listed, [("ann@example.com", Standing::Confirmed), ("bob@example.com", Standing::Pending)]);
    }

    #[tokio::test]
    async fn a_filter_policy_is_read_with_its_scope() {
        let sns = sns(Router::new().fallback(async |body: String| {
            assert!(
                body.contains("Action=GetSubscriptionAttributes") && body.contains("SubscriptionArn=arn%3Atests%3A1"),
                "{body}"
            );
            "<GetSubscriptionAttributesResponse><GetSubscriptionAttributesResult><Attributes>\
             <entry><key>FilterPolicy</key><value>{&quot;city&quot;:[&quot;Bern&quot;]}</value></entry>\
             <entry><key>FilterPolicyScope</key><value>MessageBody</value></entry>\
             </Attributes></GetSubscriptionAttributesResult></GetSubscriptionAttributesResponse>"
        }));
        let policy = sns.await.filter_policy("arn:tests", "arn:tests:1").await.unwrap().unwrap();
        assert_eq!((policy.text(), policy.scope()), (r#"{"city":["Bern"]}"#, Scope::MessageBody));
    }

    #[tokio::test]
    async fn a_subscription_without_a_filter_policy_has_none() {
        let sns = sns(Router::new().fallback(async || {
            "<GetSubscriptionAttributesResponse><GetSubscriptionAttributesResult><Attributes>\
             <entry><key>Protocol</key><value>email</value></entry>\
             </Attributes></GetSubscriptionAttributesResult></GetSubscriptionAttributesResponse>"
        }));
        assert_eq!(sns.await.filter_policy("arn:tests", "arn:tests:1").await, Ok(None));
    }
}

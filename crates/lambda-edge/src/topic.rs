//! The topic in another Region that takes an alert when the home Region's does not, and clients that reach either.

use std::sync::OnceLock;

use aws_sdk_sns::{
    Client,
    config::{Builder, Region, timeout::TimeoutConfig},
};

use crate::{
    aws::http_client,
    environment::{Environment, SettingError},
};

/// The ARN of a topic in another Region than ours, in our account or another: the template parameter
/// `SecondAlertTopicArn`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecondTopic {
    arn: String,
    region: String,
}

/// Why a text names no second topic.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotASecondTopic {
    /// It has not the form of such an ARN, or names a FIFO topic, which would want a group for each message.
    #[error("it must be the ARN of a standard topic, such as arn:aws:sns:us-west-2:123456789012:Alerts")]
    NotATopic,
    /// What makes the first topic fail would make this one fail, too.
    #[error("its topic is in {0}, where this stack is, too; it must be in another Region")]
    HomeRegion(String),
}

impl SecondTopic {
    /// Reads an ARN, for a function that runs in this Region.
    ///
    /// # Errors
    /// If it is no standard topic's, or of a topic in the same Region.
    pub fn parse(arn: &str, home_region: &str) -> Result<Self, NotASecondTopic> {
        let parts: Vec<&str> = arn.split(':').collect();
        let ["arn", partition, "sns", region, account, name] = parts[..] else {
            return Err(NotASecondTopic::NotATopic);
        };
        let of = |text: &str, allowed: fn(char) -> bool| !text.is_empty() && text.chars().all(allowed);
        let right = partition.starts_with("aws")
            && of(region, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && of(account, |c| c.is_ascii_digit())
            && account.len() == 12
            && of(name, |c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_'))
            && name.len() <= 256;
        if !right {
            return Err(NotASecondTopic::NotATopic);
        }
        if region == home_region {
            return Err(NotASecondTopic::HomeRegion(region.to_owned()));
        }
        Ok(Self { arn: arn.to_owned(), region: region.to_owned() })
    }

    /// Reads the variable `SECOND_ALERT_TOPIC_ARN`. Without it there is no second topic.
    ///
    /// # Errors
    /// If it names none, with a sentence that names the template parameter; or if the function does not know its Region.
    pub fn read(environment: &Environment<'_>) -> Result<Option<Self>, SettingError> {
        const VARIABLE: &str = "SECOND_ALERT_TOPIC_ARN";
        if environment.text(VARIABLE).is_err() {
            return Ok(None);
        }
        let home_region = environment.text("AWS_REGION")?;
        environment.parameter(VARIABLE, "SecondAlertTopicArn", |arn| Self::parse(arn, &home_region)).map(Some)
    }

    /// The ARN.
    #[must_use]
    pub fn arn(&self) -> &str {
        &self.arn
    }

    /// The Region that the topic is in.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// A client with these settings that shares no connection with any other, so that its first call must connect, as the
    /// first call of the second way must.
    #[must_use]
    pub fn unconnected_client(&self, settings: Builder) -> Client {
        self.client(settings.http_client(http_client()))
    }

    fn client(&self, settings: Builder) -> Client {
        Client::from_conf(settings.region(Region::new(self.region.clone())).build())
    }
}

/// Clients for topics, each in its topic's Region.
#[derive(Debug)]
pub struct TopicClients {
    home: Client,
    second: Option<Second>,
}

#[derive(Debug)]
struct Second {
    topic: SecondTopic,
    settings: Builder,
    /// Made at its first use, which most functions never come to.
    client: OnceLock<Client>,
}

impl TopicClients {
    /// Clients with these settings, the second topic's in its own Region. Nothing is called yet.
    #[must_use]
    pub fn new(settings: Builder, second: Option<&SecondTopic>) -> Self {
        let second =
            second.map(|topic| Second { topic: topic.clone(), settings: settings.clone(), client: OnceLock::new() });
        Self { home: Client::from_conf(settings.build()), second }
    }

    /// The same with these timeouts for the second topic's client, which has not been used yet: what suits a Region that
    /// is near, over a connection that exists, may cut off every call to one that is far, over a new one.
    #[must_use]
    pub fn with_second_timeouts(mut self, timeouts: TimeoutConfig) -> Self {
        if let Some(second) = &mut self.second {
            second.settings.set_timeout_config(Some(timeouts));
        }
        self
    }

    /// The client that reaches the topic.
    #[must_use]
    pub fn of(&self, topic_arn: &str) -> &Client {
        match &self.second {
            Some(second) if second.topic.arn == topic_arn => {
                second.client.get_or_init(|| second.topic.client(second.settings.clone()))
            }
            _ => &self.home,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_sdk_sns::config::BehaviorVersion;

    use super::*;

    const ARN: &str = "arn:aws:sns:us-west-2:123456789012:Alerts";

    #[test]
    fn a_topic_of_another_region_is_one() {
        for (arn, region) in [
            (ARN, "us-west-2"),
            ("arn:aws-us-gov:sns:us-gov-west-1:123456789012:a_b-1", "us-gov-west-1"),
            ("arn:aws-cn:sns:cn-north-1:000000000000:x", "cn-north-1"),
        ] {
            let topic = SecondTopic::parse(arn, "us-east-1").unwrap();
            assert_eq!((topic.arn(), topic.region()), (arn, region));
        }
    }

    #[test]
    fn anything_else_is_none() {
        for arn in [
            "",
            "Alerts",
            "arn:aws:sqs:us-west-2:123456789012:Alerts",
            "arn:gcp:sns:us-west-2:123456789012:Alerts",
            "arn:aws:sns::123456789012:Alerts",
            "arn:aws:sns:us west:123456789012:Alerts",
            "arn:aws:sns:us-west-2:12345678901:Alerts",
            "arn:aws:sns:us-west-2:12345678901x:Alerts",
            "arn:aws:sns:us-west-2:123456789012:",
            "arn:aws:sns:us-west-2:123456789012:Alerts.fifo",
            "arn:aws:sns:us-west-2:123456789012:Alerts:8a21c1e0-6f1a-4c8b-8a4e-1d8f2d8d3f11",
            &format!("arn:aws:sns:us-west-2:123456789012:{}", "x".repeat(257)),
            "http:aws:sns:us-west-2:123456789012:Alerts",
        ] {
            assert_eq!(SecondTopic::parse(arn, "us-east-1"), Err(NotASecondTopic::NotATopic), "{arn}");
        }
        assert_eq!(SecondTopic::parse(ARN, "us-west-2"), Err(NotASecondTopic::HomeRegion("us-west-2".to_owned())));
    }

    #[test]
    fn the_parameter_is_named_and_may_be_missing() {
        let read = |arn: Option<&str>, region: Option<&str>| {
            let lookup = |variable: &str| match variable {
                "SECOND_ALERT_TOPIC_ARN" => arn.map(ToOwned::to_owned),
                "AWS_REGION" => region.map(ToOwned::to_owned),
                _ => None,
            };
            SecondTopic::read(&Environment(&lookup))
        };
        for none in [None, Some(""), Some(" ")] {
            assert_eq!(read(none, None), Ok(None));
        }
        assert_eq!(read(Some(ARN), Some("us-east-1")).unwrap().unwrap().region(), "us-west-2");
        for (arn, region) in [(ARN, "us-west-2"), ("Alerts", "us-east-1")] {
            let sentence = read(Some(arn), Some(region)).unwrap_err().to_string();
            assert!(sentence.starts_with("the parameter SecondAlertTopicArn cannot be used: it"), "{sentence}");
        }
        assert!(read(Some(ARN), None).unwrap_err().to_string().contains("AWS_REGION"));
    }

    #[test]
    fn each_topic_has_a_client_in_its_region_and_the_second_is_made_when_it_is_needed() {
        let settings =
            Builder::new().behavior_version(BehaviorVersion::latest()).region(Region::new("us-east-1".to_owned()));
        let topic = SecondTopic::parse(ARN, "us-east-1").unwrap();
        let region = |client: &Client| client.config().region().unwrap().to_string();
        let clients = TopicClients::new(settings.clone(), Some(&topic));
        assert_eq!(region(clients.of("arn:aws:sns:us-east-1:123456789012:Alerts")), "us-east-1");
        assert!(clients.second.as_ref().unwrap().client.get().is_none(), "nobody has asked for it");
        assert_eq!(region(clients.of(ARN)), "us-west-2");
        assert_eq!(region(TopicClients::new(settings.clone(), None).of(ARN)), "us-east-1");
        assert_eq!(region(&topic.unconnected_client(settings)), "us-west-2");
    }

    #[test]
    fn the_second_topic_can_have_timeouts_of_its_own() {
        let attempt = |milliseconds| {
            TimeoutConfig::builder().operation_attempt_timeout(Duration::from_millis(milliseconds)).build()
        };
        let settings = Builder::new()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1".to_owned()))
            .timeout_config(attempt(700));
        let topic = SecondTopic::parse(ARN, "us-east-1").unwrap();
        let timeout = |client: &Client| client.config().timeout_config().unwrap().operation_attempt_timeout();
        let clients = TopicClients::new(settings.clone(), Some(&topic));
        assert_eq!(timeout(clients.of(ARN)), Some(Duration::from_millis(700)));
        let clients = TopicClients::new(settings, Some(&topic)).with_second_timeouts(attempt(2000));
        assert_eq!(timeout(clients.of(ARN)), Some(Duration::from_secs(2)));
        assert_eq!(timeout(clients.of("arn:aws:sns:us-east-1:123456789012:Alerts")), Some(Duration::from_millis(700)));
    }
}

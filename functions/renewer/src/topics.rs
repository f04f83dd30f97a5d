//! The topics of the stack.

use lambda_edge::topic::SecondTopic;

use crate::config::Config;

/// A topic of the template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// Emergency calls.
    Alert,
    /// Emergency calls that the first topic does not take, in another Region; in stacks that have a second way only.
    SecondAlert,
    /// Test calls.
    Test,
    /// Alarms about the system itself.
    Operations,
    /// Emergency calls in the form of Amazon Q Developer in chat applications; in stacks that tell a chat only.
    Chat,
}

impl Topic {
    /// Those that this stack has, with their ARNs.
    pub(crate) fn of(config: &Config) -> impl Iterator<Item = (Self, &str)> {
        let topics = [
            (Self::Alert, Some(config.alert_topic_arn.as_str())),
            (Self::SecondAlert, config.second_alert_topic.as_ref().map(SecondTopic::arn)),
            (Self::Test, Some(config.test_topic_arn.as_str())),
            (Self::Operations, Some(config.operations_topic_arn.as_str())),
            (Self::Chat, config.chat_topic_arn.as_deref()),
        ];
        topics.into_iter().filter_map(|(topic, arn)| Some((topic, arn?)))
    }

    /// Its name in the template.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "AlertTopic",
            Self::SecondAlert => "SecondAlertTopic",
            Self::Test => "TestTopic",
            Self::Operations => "OperationsTopic",
            Self::Chat => "ChatTopic",
        }
    }
}

//! Who is subscribed to a topic.

use std::fmt;

use reqwest::Url;
use serde::Serialize;

use crate::finding::line;

/// A subscription of a topic. Its endpoint is somebody's address: the report shows it, and nothing else does.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Subscriber {
    /// SNS's word for the kind of endpoint, such as `email` or `sms`.
    pub protocol: String,
    /// Where messages go. Of a web address the host only: what follows it is often a key to the service behind it.
    pub endpoint: String,
    /// Whether messages go there.
    pub standing: Standing,
    /// The subscription's ARN, or what Amazon SNS lists in its place.
    #[serde(skip)]
    pub arn: String,
}

/// Whether a subscription gets what is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It does, as far as its filter policy lets it.
    Confirmed,
    /// Not until somebody confirms it.
    Pending,
    /// No more. SNS forgets it after three days.
    Unsubscribed,
}

impl Subscriber {
    /// A subscription as SNS lists it: the place of the subscription's ARN says how it stands.
    #[must_use]
    pub fn listed(protocol: &str, endpoint: &str, subscription_arn: &str) -> Self {
        let standing = match subscription_arn {
            "PendingConfirmation" => Standing::Pending,
            "Deleted" => Standing::Unsubscribed,
            _ => Standing::Confirmed,
        };
        let endpoint = match protocol {
            "http" | "https" => host_only(endpoint),
            _ => line(endpoint),
        };
        Self { protocol: line(protocol), endpoint, standing, arn: subscription_arn.to_owned() }
    }
}

/// Without the address.
impl fmt::Debug for Subscriber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscriber")
            .field("protocol", &self.protocol)
            .field("standing", &self.standing)
            .finish_non_exhaustive()
    }
}

impl Standing {
    /// The word for it in reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Pending => "pending",
            Self::Unsubscribed => "unsubscribed",
        }
    }
}

fn host_only(address: &str) -> String {
    Url::parse(address).map_or_else(|_| "...".to_owned(), |url| format!("{}/...", url.origin().ascii_serialization()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_the_arn_says_how_it_stands() {
        let standing = |arn| Subscriber::listed("sms", "+14255550100", arn).standing;
        assert_eq!(standing("arn:aws:sns:us-east-1:1:AlertTopic:8a21"), Standing::Confirmed);
        assert_eq!(standing("PendingConfirmation"), Standing::Pending);
        assert_eq!(standing("Deleted"), Standing::Unsubscribed);
    }

    #[test]
    fn the_words_are_those_of_the_json() {
        for standing in [Standing::Confirmed, Standing::Pending, Standing::Unsubscribed] {
            assert_eq!(serde_json::to_value(standing).unwrap(), standing.word());
        }
    }

    #[test]
    fn a_web_address_is_shown_without_its_keys() {
        for (protocol, endpoint, shown) in [
            (
                "https",
                "https://events.pagerduty.example/integration/hunter2/enqueue",
                "https://events.pagerduty.example/...",
            ),
            ("https", "https://me:hunter2@hook.example:8443/?key=hunter2", "https://hook.example:8443/..."),
            ("http", "hunter2", "..."),
            ("email", "ann@example.com", "ann@example.com"),
            ("sqs", "arn:aws:sqs:us-east-1:1:alerts", "arn:aws:sqs:us-east-1:1:alerts"),
            ("email", "ann@example.com\nok", "ann@example.com ok"),
        ] {
            assert_eq!(Subscriber::listed(protocol, endpoint, "arn").endpoint, shown);
        }
    }

    #[test]
    fn an_address_is_no_debugging_output() {
        let shown = format!("{:?}", Subscriber::listed("email", "ann@example.com", "arn"));
        assert_eq!(shown, r#"Subscriber { protocol: "email", standing: Confirmed, .. }"#);
    }
}

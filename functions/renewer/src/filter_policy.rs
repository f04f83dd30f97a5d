//! The filter policy of a subscription: what of a topic it lets through.

use serde::Serialize;

/// A filter policy that Amazon SNS holds for a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FilterPolicy {
    text: String,
    scope: Scope,
}

/// What a filter policy is compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Scope {
    /// The attributes of a message.
    MessageAttributes,
    /// The body of a message.
    MessageBody,
}

impl FilterPolicy {
    /// The filter policy in the attributes `FilterPolicy` and `FilterPolicyScope` of a subscription. An empty one, by which Amazon SNS
    /// removes a filter policy, is none.
    #[must_use]
    pub fn of_attributes(policy: Option<&str>, scope: Option<&str>) -> Option<Self> {
        let text = policy?.trim();
        let is_empty = serde_json::from_str::<serde_json::Map<_, _>>(text).is_ok_and(|members| members.is_empty());
        let scope = if scope == Some("MessageBody") { Scope::MessageBody } else { Scope::MessageAttributes };
        (!text.is_empty() && !is_empty).then(|| Self { text: text.to_owned(), scope })
    }

    /// The policy as Amazon SNS holds it: JSON.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What it is compared with.
    #[must_use]
    pub fn scope(&self) -> Scope {
        self.scope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_policy_is_none() {
        for none in [None, Some(""), Some("{}"), Some(" { } ")] {
            assert_eq!(FilterPolicy::of_attributes(none, Some("MessageBody")), None, "{none:?}");
        }
    }

    #[test]
    fn a_policy_counts_whatever_its_scope_is_and_whether_it_can_be_read() {
        for (scope, expected) in [
            (None, Scope::MessageAttributes),
            (Some("MessageAttributes"), Scope::MessageAttributes),
            (Some("MessageBody"), Scope::MessageBody),
        ] {
            let policy = FilterPolicy::of_attributes(Some(r#"{"city":["Bern"]}"#), scope).unwrap();
            assert_eq!((policy.text(), policy.scope()), (r#"{"city":["Bern"]}"#, expected));
        }
        assert!(FilterPolicy::of_attributes(Some("odd"), None).is_some());
    }
}

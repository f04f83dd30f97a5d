//! The filter policy of a subscription: what of a topic it lets through, as Amazon SNS's guide has it.
//!
//! Which keys and operators there are, and that a policy names attributes of which all must match, is in the pages
//! "Amazon SNS subscription filter policies". What the guide leaves open is [`Passes::Unknown`] here.

use serde::Serialize;
use serde_json::{Map, Value};

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

/// Whether a filter policy lets a message through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Passes {
    /// It does.
    Yes,
    /// It does not.
    No,
    /// That cannot be told.
    Unknown,
}

impl FilterPolicy {
    /// The filter policy in the attributes `FilterPolicy` and `FilterPolicyScope` of a subscription. An empty one, by
    /// which Amazon SNS removes a filter policy, is none.
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

    /// Whether it lets a message with these attributes through, all of which are of the type String. What a policy for
    /// the body sees of a message that has a body for each protocol is not documented.
    #[must_use]
    pub fn passes(&self, attributes: &[(&str, String)]) -> Passes {
        match (self.scope, serde_json::from_str(&self.text)) {
            (Scope::MessageAttributes, Ok(Value::Object(policy))) => every(&policy, attributes),
            _ => Passes::Unknown,
        }
    }
}

impl Passes {
    fn of(is_so: bool) -> Self {
        if is_so { Self::Yes } else { Self::No }
    }

    /// Yes if all are.
    fn all(mut each: impl Iterator<Item = Self>) -> Self {
        each.try_fold(Self::Yes, |so_far, one| match one {
            Self::No => Err(Self::No),
            Self::Unknown => Ok(Self::Unknown),
            Self::Yes => Ok(so_far),
        })
        .unwrap_or_else(|no| no)
    }

    /// Yes if any is.
    fn any(each: impl Iterator<Item = Self>) -> Self {
        Self::all(each.map(Self::negated)).negated()
    }

    fn negated(self) -> Self {
        match self {
            Self::Yes => Self::No,
            Self::No => Self::Yes,
            Self::Unknown => Self::Unknown,
        }
    }
}

/// All attributes that a policy names must match.
fn every(policy: &Map<String, Value>, attributes: &[(&str, String)]) -> Passes {
    Passes::all(policy.iter().map(|(name, conditions)| {
        if name == "$or" {
            return any_of(conditions, attributes);
        }
        let value = attributes.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        match conditions {
            Value::Array(conditions) => Passes::any(conditions.iter().map(|condition| matches(condition, value))),
            _ => Passes::Unknown,
        }
    }))
}

/// The operator `$or`, which is one with two alternatives and more, none of which has the name of an operator.
fn any_of(alternatives: &Value, attributes: &[(&str, String)]) -> Passes {
    const RESERVED: [&str; 8] =
        ["anything-but", "cidr", "equals-ignore-case", "exists", "numeric", "prefix", "suffix", "wildcard"];
    let Value::Array(alternatives) = alternatives else { return Passes::Unknown };
    let policies: Option<Vec<_>> = alternatives.iter().map(Value::as_object).collect();
    match policies {
        Some(policies) if policies.len() > 1 => {
            let reserved = |policy: &Map<_, _>| policy.keys().any(|name: &String| RESERVED.contains(&name.as_str()));
            if policies.iter().any(|policy| reserved(policy)) {
                return Passes::Unknown;
            }
            Passes::any(policies.iter().map(|policy| every(policy, attributes)))
        }
        _ => Passes::Unknown,
    }
}

/// One of the values of an attribute that a policy names.
fn matches(condition: &Value, value: Option<&str>) -> Passes {
    let operator = match condition {
        Value::String(text) => return Passes::of(value == Some(text)),
        // Numbers are compared with attributes of the type Number, which alerts do not have.
        Value::Number(_) => return Passes::No,
        Value::Object(operator) if operator.len() == 1 => operator,
        _ => return value.map_or(Passes::No, |_| Passes::Unknown),
    };
    let (name, operand) = operator.iter().next().expect("it has one member");
    match (name.as_str(), operand, value) {
        ("exists", Value::Bool(exists), _) => Passes::of(*exists == value.is_some()),
        ("exists", ..) => Passes::Unknown,
        (_, _, None) | ("numeric", Value::Array(_), _) => Passes::No,
        ("anything-but", operand, Some(value)) => anything_but(operand, value),
        (_, operand, Some(value)) => text_operator(name, operand, value),
    }
}

fn anything_but(operand: &Value, value: &str) -> Passes {
    match operand {
        Value::String(text) => Passes::of(text != value),
        Value::Array(texts) if texts.iter().all(Value::is_string) => {
            Passes::of(!texts.iter().any(|text| text.as_str() == Some(value)))
        }
        Value::Object(operator) if operator.len() == 1 => {
            Passes::all(operator.iter().map(|(name, operand)| text_operator(name, operand, value).negated()))
        }
        _ => Passes::Unknown,
    }
}

fn text_operator(name: &str, operand: &Value, value: &str) -> Passes {
    let Value::String(operand) = operand else { return Passes::Unknown };
    match name {
        "prefix" => Passes::of(value.starts_with(operand)),
        "suffix" => Passes::of(value.ends_with(operand)),
        "equals-ignore-case" if operand.is_ascii() && value.is_ascii() => {
            Passes::of(value.eq_ignore_ascii_case(operand))
        }
        _ => Passes::Unknown,
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

    /// Of a drill in Zurich.
    fn passes(policy: &str) -> Passes {
        let attributes = [
            ("eventType", "drill"),
            ("policyName", "Warehouse"),
            ("isTest", "true"),
            ("city", "Zurich"),
            ("floor", "2"),
        ]
        .map(|(name, value)| (name, value.to_owned()));
        FilterPolicy::of_attributes(Some(policy), None).unwrap().passes(&attributes)
    }

    #[test]
    fn a_value_lets_through_what_matches_it() {
        for policy in [
            r#"{"city": ["Bern", "Zurich"]}"#,
            r#"{"city": [{"prefix": "Zur"}]}"#,
            r#"{"city": [{"suffix": "rich"}]}"#,
            r#"{"city": [{"equals-ignore-case": "zurich"}]}"#,
            r#"{"city": [{"exists": true}]}"#,
            r#"{"site": [{"exists": false}]}"#,
            r#"{"site": ["Bahnhofstrasse 1", {"exists": false}]}"#,
            r#"{"city": [{"anything-but": "Bern"}]}"#,
            r#"{"city": [{"anything-but": ["Bern", "Basel"]}]}"#,
            r#"{"city": [{"anything-but": {"prefix": "Be"}}]}"#,
            r#"{"city": [{"wildcard": "Z*"}, "Zurich"]}"#,
            r#"{"city": ["Zurich"], "eventType": ["drill"]}"#,
            r#"{"$or": [{"policyName": ["Global"]}, {"eventType": ["drill"]}]}"#,
            r#"{"isTest": ["true"], "$or": [{"city": ["Zurich"]}, {"city": [{"exists": false}]}]}"#,
        ] {
            assert_eq!(passes(policy), Passes::Yes, "{policy}");
        }
    }

    #[test]
    fn a_value_holds_back_what_does_not_match_it() {
        for policy in [
            r#"{"city": ["Bern", "zurich"]}"#,
            r#"{"city": []}"#,
            r#"{"city": [{"prefix": "zur"}]}"#,
            r#"{"city": [{"suffix": "Rich"}]}"#,
            r#"{"city": [{"equals-ignore-case": "bern"}]}"#,
            r#"{"city": [{"exists": false}]}"#,
            r#"{"site": [{"exists": true}]}"#,
            r#"{"site": ["Bahnhofstrasse 1"]}"#,
            r#"{"site": [{"anything-but": "Bahnhofstrasse 1"}]}"#,
            r#"{"site": [{"wildcard": "*"}]}"#,
            r#"{"city": [{"anything-but": "Zurich"}]}"#,
            r#"{"city": [{"anything-but": ["Bern", "Zurich"]}]}"#,
            r#"{"city": [{"anything-but": {"prefix": "Zu"}}]}"#,
            r#"{"floor": [2]}"#,
            r#"{"floor": [{"numeric": [">", 1]}]}"#,
            r#"{"city": ["Zurich"], "eventType": ["callStarted"]}"#,
            r#"{"city": [{"wildcard": "Z*"}], "eventType": ["callStarted"]}"#,
            r#"{"$or": [{"policyName": ["Global"]}, {"city": ["Bern"]}]}"#,
        ] {
            assert_eq!(passes(policy), Passes::No, "{policy}");
        }
    }

    #[test]
    fn what_the_guide_leaves_open_cannot_be_told() {
        for policy in [
            "odd",
            r#"["city"]"#,
            r#"{"city": "Zurich"}"#,
            r#"{"city": {"name": ["Zurich"]}}"#,
            r#"{"isTest": [true]}"#,
            r#"{"city": [null]}"#,
            r#"{"city": [{"wildcard": "Z*"}, "Bern"]}"#,
            r#"{"city": [{"prefix": 1}]}"#,
            r#"{"city": [{"prefix": "Z", "suffix": "h"}]}"#,
            r#"{"city": [{"exists": "true"}]}"#,
            r#"{"city": [{"anything-but": 1}]}"#,
            r#"{"city": [{"anything-but": {"wildcard": "Z*"}}]}"#,
            r#"{"city": [{"equals-ignore-case": "zürich"}]}"#,
            r#"{"$or": [{"city": ["Zurich"]}]}"#,
            r#"{"$or": {"city": ["Zurich"]}}"#,
            r#"{"$or": [{"prefix": ["Zurich"]}, {"city": ["Zurich"]}]}"#,
            r#"{"city": [{"wildcard": "Z*"}], "eventType": ["drill"]}"#,
        ] {
            assert_eq!(passes(policy), Passes::Unknown, "{policy}");
        }
        let of_body = FilterPolicy::of_attributes(Some(r#"{"city": ["Zurich"]}"#), Some("MessageBody")).unwrap();
        assert_eq!(of_body.passes(&[("city", "Zurich".to_owned())]), Passes::Unknown);
    }
}

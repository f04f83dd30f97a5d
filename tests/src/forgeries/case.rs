//! A case and a group of cases, as the corpus's files hold them.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// The cases that attack rules of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The group's name, which its file has too.
    pub group: String,
    /// What the cases have in common.
    pub about: String,
    /// The cases.
    pub cases: Vec<Case>,
}

/// A request, and what must come of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The case's name: that of its group, a slash, and one of its own.
    pub id: String,
    /// The rule that is attacked.
    pub rule: String,
    /// How it is attacked.
    pub attack: String,
    /// Whether the rule is one of this project's own, which Graph's documentation does not ask for.
    #[serde(default, skip_serializing_if = "is_false")]
    pub own: bool,
    /// Which proofs of its sender the item holds that the case is about.
    #[serde(default)]
    pub proofs: Vec<Proof>,
    /// The case that must have been delivered before, to a receiver that remembers it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    /// What is sent.
    pub request: Request,
    /// What must come of it.
    pub expect: Expectation,
}

/// What proves that Graph sent an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Proof {
    /// A valid validation token.
    Token,
    /// A client state that the receiver's keyring knows.
    ClientState,
}

/// An HTTP request to the path of the notification URL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The method.
    pub method: String,
    /// The query as it stands in the URL, without the question mark.
    pub query: String,
    /// The headers: names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The body: one of three members.
    #[serde(flatten)]
    pub body: Body,
}

/// A request's body.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Body {
    /// Text, to be sent in UTF-8.
    #[serde(rename = "body")]
    Text(String),
    /// Bytes that are no text, in Base64.
    #[serde(rename = "bodyBase64")]
    Base64(String),
    /// Text that repeats itself.
    #[serde(rename = "bodyRepeated")]
    Repeated(Repeated),
}

/// A text that is too long to be written out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Repeated {
    /// What stands before.
    pub before: String,
    /// What is repeated, once after the other.
    pub repeated: String,
    /// How often.
    pub times: usize,
    /// What stands after it.
    pub after: String,
}

/// What must come of a request. Where `UnverifiedCalls` makes a difference, the members are about `Reject`, and one is about
/// `Alert`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expectation {
    /// The HTTP status: one of these.
    pub status: Vec<u16>,
    /// The answer's body.
    pub body: String,
    /// How many alerts are raised, of whatever kind.
    pub alerts: usize,
    /// The call that alerts, where one does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub call_id: Option<String>,
    /// Whether the alert must say that the call's details could not be read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub degraded: bool,
    /// Whether the alert must say that it comes late.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// The word with which this project's receiver tells operations why, and never the sender.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What is raised with `UnverifiedCalls=Alert`, in this order, where it is something else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub in_alert_mode: Option<Vec<Raised>>,
    /// In how many messages that is told, where it is not one for each call.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub messages_in_alert_mode: Option<usize>,
}

/// A call that alerts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Raised {
    /// The call.
    pub call_id: String,
    /// Whether the alert says that it is verified.
    pub verified: bool,
    /// Whether the alert must say that the call's details could not be read.
    #[serde(default, skip_serializing_if = "is_false")]
    pub degraded: bool,
    /// Whether the alert must say that it comes late.
    #[serde(default, skip_serializing_if = "is_false")]
    pub late: bool,
    /// The tenant that the alert must name, where that is at stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant_id: Option<String>,
    /// How the alert relates to what was told before, in this project's word, where that is at stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relation: Option<String>,
}

impl Raised {
    /// An alert that says it is verified, or that it is not.
    #[must_use]
    pub fn new(call_id: &str, verified: bool) -> Self {
        let call_id = call_id.to_owned();
        Self { call_id, verified, degraded: false, late: false, tenant_id: None, relation: None }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Request {
    /// A POST as Graph sends it.
    #[must_use]
    pub fn post(body: impl Into<Body>) -> Self {
        Self {
            method: "POST".to_owned(),
            query: String::new(),
            headers: [("content-type".to_owned(), "application/json; charset=utf-8".to_owned())].into(),
            body: body.into(),
        }
    }

    /// The request as API Gateway hands it to a function (payload format 2.0).
    #[must_use]
    pub fn event(&self) -> Value {
        let mut event = json!({
            "rawQueryString": self.query,
            "headers": self.headers,
            "requestContext": {"http": {"method": self.method}},
        });
        let (body, base64) = match &self.body {
            Body::Text(text) => (text.clone(), false),
            Body::Base64(base64) => (base64.clone(), true),
            Body::Repeated(body) => {
                let text = format!("{}{}{}", body.before, body.repeated.repeat(body.times), body.after);
                (STANDARD.encode(text), true)
            }
        };
        event["body"] = json!(body);
        event["isBase64Encoded"] = json!(base64);
        event
    }

    /// The same with another query.
    #[must_use]
    pub fn query(self, query: &str) -> Self {
        Self { query: query.to_owned(), ..self }
    }

    /// The same with a header more, or another value of it.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    /// The same with another method.
    #[must_use]
    pub fn method(self, method: &str) -> Self {
        Self { method: method.to_owned(), ..self }
    }
}

impl From<Value> for Body {
    fn from(value: Value) -> Self {
        Self::Text(value.to_string())
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Body {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<Repeated> for Body {
    fn from(repeated: Repeated) -> Self {
        Self::Repeated(repeated)
    }
}

impl Expectation {
    /// Settled without an alert: the answer that everything gets which has a notification's form.
    #[must_use]
    pub fn rejected(reason: Option<&str>) -> Self {
        Self { reason: reason.map(str::to_owned), ..Self::silent(202) }
    }

    /// Refused, since it has not even a notification's form.
    #[must_use]
    pub fn refused() -> Self {
        Self::silent(400)
    }

    /// One alert, of this call.
    #[must_use]
    pub fn alert(call_id: &str) -> Self {
        Self { alerts: 1, call_id: Some(call_id.to_owned()), ..Self::silent(202) }
    }

    /// What is raised with `UnverifiedCalls=Reject`.
    #[must_use]
    pub fn in_reject_mode(&self) -> Vec<Raised> {
        let (degraded, late) = (self.degraded, self.late);
        self.call_id.iter().map(|id| Raised { degraded, late, ..Raised::new(id, true) }).collect()
    }

    fn silent(status: u16) -> Self {
        Self {
            status: vec![status],
            body: String::new(),
            alerts: 0,
            call_id: None,
            degraded: false,
            late: false,
            reason: None,
            in_alert_mode: None,
            messages_in_alert_mode: None,
        }
    }
}

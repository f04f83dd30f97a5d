//! Faults on demand: the next answers of an operation fail, get lost, or come late.

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What can be made to fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// Entra's token endpoint.
    Token,
    /// Entra's signing keys and configuration documents.
    SigningKeys,
    /// POST /subscriptions.
    CreateSubscription,
    /// GET /subscriptions.
    ListSubscriptions,
    /// GET /subscriptions/{id}.
    GetSubscription,
    /// PATCH /subscriptions/{id}.
    UpdateSubscription,
    /// DELETE /subscriptions/{id}.
    DeleteSubscription,
    /// GET /servicePrincipals(appId='{id}').
    GetServicePrincipal,
    /// POST /subscriptions/{id}/reauthorize.
    Reauthorize,
    /// The endpoint validation; every effect but a delay makes it time out without a request, as users report.
    Handshake,
}

/// What happens instead of the usual.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "effect")]
pub enum Effect {
    /// Nothing is done, and the answer is an error.
    Fail {
        /// The HTTP status.
        status: u16,
        /// The error's code; a usual one for the status if absent. For Entra a number is that of an AADSTS error.
        #[serde(default)]
        code: Option<String>,
        /// The error's text.
        #[serde(default)]
        message: Option<String>,
        /// `Retry-After`, in seconds.
        #[serde(default)]
        retry_after_seconds: Option<u32>,
    },
    /// Nothing is done, and the connection closes without an answer.
    Drop,
    /// Nothing is done, and this is answered as if it were.
    Answer {
        /// Text as it is, anything else as JSON.
        body: Value,
        /// The HTTP status.
        #[serde(default = "ok")]
        status: u16,
    },
    /// It is done, but the connection closes without an answer.
    DropAnswer,
    /// It is done after this long, in real time.
    Delay {
        /// Milliseconds.
        milliseconds: u64,
    },
}

fn ok() -> u16 {
    200
}

/// A fault that waits for its operation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Fault {
    /// Where it strikes.
    pub operation: Operation,
    /// How often; `None` until faults are cleared.
    #[serde(default = "once")]
    pub times: Option<u32>,
    /// What it does.
    #[serde(flatten)]
    pub effect: Effect,
}

#[expect(clippy::unnecessary_wraps, reason = "serde wants the field's type")]
fn once() -> Option<u32> {
    Some(1)
}

impl Fault {
    /// A fault that strikes the next `times` times.
    #[must_use]
    pub fn next(operation: Operation, times: u32, effect: Effect) -> Self {
        Self { operation, times: Some(times), effect }
    }

    /// A fault that lasts until faults are cleared.
    #[must_use]
    pub fn lasting(operation: Operation, effect: Effect) -> Self {
        Self { operation, times: None, effect }
    }
}

/// Faults in the order in which they strike.
#[derive(Default)]
pub(crate) struct Faults {
    waiting: Vec<Fault>,
}

impl Faults {
    pub(crate) fn add(&mut self, fault: Fault) {
        self.waiting.push(fault);
    }

    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }

    pub(crate) fn waiting(&self) -> &[Fault] {
        &self.waiting
    }

    /// The effect on this run of `operation`; it counts as one strike.
    pub(crate) fn take(&mut self, operation: Operation) -> Option<Effect> {
        self.waiting.retain(|fault| fault.times != Some(0));
        let fault = self.waiting.iter_mut().find(|fault| fault.operation == operation)?;
        if let Some(times) = &mut fault.times {
            *times -= 1;
        }
        Some(fault.effect.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{from_value, json};

    #[test]
    fn faults_strike_in_order_and_as_often_as_they_say() {
        let mut faults = Faults::default();
        let delay = Effect::Delay { milliseconds: 5 };
        faults.add(Fault::next(Operation::Token, 2, Effect::DropAnswer));
        faults.add(Fault::lasting(Operation::Token, delay.clone()));
        assert_eq!(faults.take(Operation::ListSubscriptions), None);
        assert_eq!(faults.take(Operation::Token), Some(Effect::DropAnswer));
        assert_eq!(faults.take(Operation::Token), Some(Effect::DropAnswer));
        assert_eq!(faults.take(Operation::Token), Some(delay.clone()));
        assert_eq!(faults.take(Operation::Token), Some(delay));
        faults.clear();
        assert_eq!(faults.take(Operation::Token), None);
    }

    #[test]
    fn a_fault_reads_from_json() {
        let fault: Fault = from_value(json!({
            "operation": "updateSubscription", "effect": "fail", "status": 429, "retryAfterSeconds": 7
        }))
        .unwrap();
        assert_eq!(fault.times, Some(1));
        assert!(matches!(fault.effect, Effect::Fail { status: 429, retry_after_seconds: Some(7), .. }));
        let lasting: Fault = from_value(json!({
            "operation": "signingKeys", "times": null, "effect": "dropAnswer"
        }))
        .unwrap();
        assert_eq!(lasting.times, None);
        let wrong: Fault =
            from_value(json!({ "operation": "token", "effect": "answer", "body": {"value": []} })).unwrap();
        assert_eq!(wrong.effect, Effect::Answer { body: json!({"value": []}), status: 200 });
    }
}

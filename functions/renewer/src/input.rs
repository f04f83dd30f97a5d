//! What a run is asked to do.

use serde_json::Value;

/// A thing that the function can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Compare the subscriptions with what they should be, and repair the difference.
    Reconcile,
}

/// The event asks for nothing that this function does.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; what can be asked for is {{\"action\":\"reconcile\"}}")]
pub struct UnknownAction(String);

impl Action {
    /// Reads an event: `{"action":"reconcile"}`, a schedule's event, or the event of a lifecycle notification. What the
    /// latter says is of no account, since a run looks at everything.
    ///
    /// # Errors
    /// If it is something else; the error lists what is known.
    pub fn from_event(event: &Value) -> Result<Self, UnknownAction> {
        if let Some(action) = event.get("action") {
            return match action.as_str() {
                Some("reconcile") => Ok(Self::Reconcile),
                Some(other) => Err(UnknownAction(format!("there is no action '{}'", printable(other)))),
                None => Err(UnknownAction("the action is not a text".to_owned())),
            };
        }
        match (event.get("source").and_then(Value::as_str), event.get("detail-type").and_then(Value::as_str)) {
            (Some("teams-emergency-alerts"), Some("Subscription Lifecycle"))
            | (Some("aws.events" | "aws.scheduler"), Some("Scheduled Event")) => Ok(Self::Reconcile),
            _ => Err(UnknownAction("the event names no action".to_owned())),
        }
    }

    /// The word for it in events and reports.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Reconcile => "reconcile",
        }
    }
}

fn printable(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn schedules_and_lifecycle_events_mean_reconcile() {
        for event in [
            json!({"action": "reconcile"}),
            json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "detail": "{}"}),
            json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}),
            json!({"detail-type": "Subscription Lifecycle", "source": "teams-emergency-alerts", "detail": {"x": 1}}),
        ] {
            assert_eq!(Action::from_event(&event), Ok(Action::Reconcile), "{event}");
        }
    }

    #[test]
    fn the_schedule_sends_what_the_example_shows() {
        let event = serde_json::from_str(include_str!("../../../events/scheduled.json")).unwrap();
        assert_eq!(Action::from_event(&event), Ok(Action::Reconcile));
    }

    #[test]
    fn anything_else_is_told_what_is_known() {
        for event in [
            json!(null),
            json!({}),
            json!([]),
            json!({"action": "explode"}),
            json!({"action": 1}),
            json!({"detail-type": "Subscription Lifecycle", "source": "somebody.else"}),
            json!({"detail-type": "Emergency Call", "source": "teams-emergency-alerts"}),
        ] {
            let sentence = Action::from_event(&event).unwrap_err().to_string();
            assert!(sentence.ends_with(r#"what can be asked for is {"action":"reconcile"}"#), "{sentence}");
        }
        let sentence = Action::from_event(&json!({"action": "ex\nplode"})).unwrap_err().to_string();
        assert!(sentence.starts_with("there is no action 'explode'"), "{sentence}");
    }
}

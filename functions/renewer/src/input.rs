//! What a run is asked to do.

use serde_json::Value;

/// A thing that the function can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Compare the subscriptions with what they should be, and repair the difference.
    Reconcile,
}

/// The event asks for something that this function does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}; what can be asked for is {{\"action\":\"reconcile\"}}")]
pub struct UnknownAction(String);

impl Action {
    /// Reads an event. Only `action` chooses: an event without one, whether of a schedule or of a lifecycle notification,
    /// asks for a run that looks at everything, which is never wrong.
    ///
    /// # Errors
    /// If the action is none that is known; the error lists those that are.
    pub fn from_event(event: &Value) -> Result<Self, UnknownAction> {
        match event.get("action") {
            None => Ok(Self::Reconcile),
            Some(Value::String(action)) if action == "reconcile" => Ok(Self::Reconcile),
            Some(Value::String(other)) => Err(UnknownAction(format!("there is no action '{}'", printable(other)))),
            Some(_) => Err(UnknownAction("the action is not a text".to_owned())),
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
    fn whatever_names_no_action_means_reconcile() {
        for event in [
            json!({"action": "reconcile"}),
            json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "detail": "{}"}),
            json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}),
            json!({"detail-type": "Subscription Lifecycle", "source": "teams-emergency-alerts", "detail": {"x": 1}}),
            json!({}),
            json!(null),
            json!("now"),
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
    fn another_action_is_told_what_is_known() {
        for event in [json!({"action": "explode"}), json!({"action": 1}), json!({"action": null})] {
            let sentence = Action::from_event(&event).unwrap_err().to_string();
            assert!(sentence.ends_with(r#"what can be asked for is {"action":"reconcile"}"#), "{sentence}");
        }
        let sentence = Action::from_event(&json!({"action": "ex\nplode"})).unwrap_err().to_string();
        assert!(sentence.starts_with("there is no action 'explode'"), "{sentence}");
    }
}

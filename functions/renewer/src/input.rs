//! What a run is asked to do.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{custom_resource::UnverifiedRequest, drill::Destination};

/// A thing that the function can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Compare the subscriptions with what they should be, and repair the difference, as the schedule does.
    Scheduled,
    /// The same, for somebody who asks.
    Reconcile,
    /// The same, and hand Graph a new encryption certificate.
    Rotate,
    /// Test every link of the chain, and change nothing.
    Check,
    /// Look whether anything fails without a word, and change nothing.
    Watch,
    /// Send a drill to this topic.
    Drill(Destination),
    /// The same as reconcile, now, since Graph said something of a subscription.
    Lifecycle(LifecycleEvent),
    /// CloudFormation creates, updates or deletes the stack, or somebody pretends so.
    CustomResource(UnverifiedRequest),
}

/// What Graph said of a subscription, as the receiver put it on the bus.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LifecycleEvent {
    /// `reauthorizationRequired`, `subscriptionRemoved`, `missed`, or what Graph may say in future.
    pub lifecycle_event: String,
    /// The subscription.
    pub subscription_id: Option<String>,
}

/// The event asks for something that this function does not do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnknownAction {
    /// There is no such action.
    #[error("{0}; what can be asked for is {{\"action\":\"reconcile\"}}, and likewise rotate, check, watch or drill")]
    NoAction(String),
    /// There is no such drill.
    #[error(
        "{0}; what can be asked for is {{\"action\":\"drill\"}}, which goes to TestTopic, or \
         {{\"action\":\"drill\",\"topic\":\"AlertTopic\"}}, and likewise SecondAlertTopic"
    )]
    NoDrill(String),
}

impl Action {
    /// Reads an event. Only `action`, and what CloudFormation and the receiver send, choose: any other event, whether of a
    /// schedule or of something new, asks for a run that looks at everything, which is never wrong.
    ///
    /// # Errors
    /// If the action is none that is known, or a drill is for a topic that gets none; the error lists what there is.
    pub fn from_event(event: &Value) -> Result<Self, UnknownAction> {
        match event.get("action") {
            None => Ok(Self::without_a_word(event)),
            Some(Value::String(action)) => match action.as_str() {
                "reconcile" => Ok(Self::Reconcile),
                "rotate" => Ok(Self::Rotate),
                "check" => Ok(Self::Check),
                "watch" => Ok(Self::Watch),
                "drill" => destination(event).map(Self::Drill),
                other => Err(UnknownAction::NoAction(format!("there is no action '{}'", printable(other)))),
            },
            Some(_) => Err(UnknownAction::NoAction("the action is not a text".to_owned())),
        }
    }

    fn without_a_word(event: &Value) -> Self {
        if let Some(request) = UnverifiedRequest::from_event(event) {
            return Self::CustomResource(request);
        }
        let lifecycle = event.get("detail-type").is_some_and(|kind| kind == "Subscription Lifecycle");
        let detail = event.get("detail").filter(|_| lifecycle);
        detail.and_then(|detail| LifecycleEvent::deserialize(detail).ok()).map_or(Self::Scheduled, Self::Lifecycle)
    }
}

/// Where a drill is to go. Nothing is guessed: who misspells the topic must not believe that it had its drill.
fn destination(event: &Value) -> Result<Destination, UnknownAction> {
    let mut members = event.as_object().into_iter().flat_map(|object| object.keys());
    if let Some(other) = members.find(|name| !matches!(name.as_str(), "action" | "topic")) {
        return Err(UnknownAction::NoDrill(format!("a drill has no '{}'", printable(other))));
    }
    match event.get("topic") {
        None => Ok(Destination::Test),
        Some(Value::String(topic)) => match Destination::ALL.iter().find(|one| one.topic().name() == topic) {
            Some(destination) => Ok(*destination),
            None => Err(UnknownAction::NoDrill(format!("no drill goes to '{}'", printable(topic)))),
        },
        Some(_) => Err(UnknownAction::NoDrill("the topic of a drill is not a text".to_owned())),
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
    fn whatever_names_no_action_is_taken_for_the_schedule() {
        for event in [
            json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.scheduler", "detail": "{}"}),
            json!({"version": "0", "detail-type": "Scheduled Event", "source": "aws.events", "detail": {}}),
            json!({"detail-type": "Subscription Lifecycle", "source": "teams-emergency-alerts", "detail": {"x": 1}}),
            json!({"detail-type": "Scheduled Event", "detail": {"lifecycleEvent": "missed"}}),
            json!({"RequestType": "Create"}),
            json!({"detail-type": "Scheduled Event", "detail": {"action": "drill"}}),
            json!({"topic": "AlertTopic"}),
            json!(["action", "drill"]),
            json!("drill"),
            json!(r#"{"action":"drill"}"#),
            json!({}),
            json!(null),
            json!("now"),
        ] {
            assert_eq!(Action::from_event(&event), Ok(Action::Scheduled), "{event}");
        }
    }

    #[test]
    fn the_schedule_sends_what_the_example_shows() {
        let event = serde_json::from_str(include_str!("../../../events/scheduled.json")).unwrap();
        assert_eq!(Action::from_event(&event), Ok(Action::Scheduled));
    }

    #[test]
    fn the_receiver_passes_on_what_graph_says() {
        let detail = json!({"tenantId": "t", "subscriptionId": "s1", "lifecycleEvent": "missed",
            "subscriptionExpirationDateTime": null, "clientStateMatches": true, "receivedAt": "2026-11-23T10:00:00Z"});
        let event =
            json!({"detail-type": "Subscription Lifecycle", "source": "teams-emergency-alerts", "detail": detail});
        let expected = LifecycleEvent { lifecycle_event: "missed".to_owned(), subscription_id: Some("s1".to_owned()) };
        assert_eq!(Action::from_event(&event), Ok(Action::Lifecycle(expected)));
    }

    #[test]
    fn a_word_chooses() {
        let asked = |word: &str| Action::from_event(&json!({"action": word}));
        assert_eq!(asked("reconcile"), Ok(Action::Reconcile));
        assert_eq!(asked("rotate"), Ok(Action::Rotate));
        assert_eq!(asked("check"), Ok(Action::Check));
        assert_eq!(asked("watch"), Ok(Action::Watch));
        assert_eq!(asked("drill"), Ok(Action::Drill(Destination::Test)));
    }

    #[test]
    fn a_drill_goes_to_the_topic_that_is_named() {
        let asked = |topic: &str| Action::from_event(&json!({"action": "drill", "topic": topic}));
        assert_eq!(asked("TestTopic"), Ok(Action::Drill(Destination::Test)));
        assert_eq!(asked("AlertTopic"), Ok(Action::Drill(Destination::Alert)));
        assert_eq!(asked("SecondAlertTopic"), Ok(Action::Drill(Destination::SecondAlert)));
    }

    #[test]
    fn nothing_is_guessed_of_a_drill() {
        for (event, why) in [
            (json!({"action": "drill", "topic": "alerttopic"}), "no drill goes to 'alerttopic'"),
            (json!({"action": "drill", "topic": "OperationsTopic"}), "no drill goes to 'OperationsTopic'"),
            (json!({"action": "drill", "topic": ""}), "no drill goes to ''"),
            (json!({"action": "drill", "topic": null}), "the topic of a drill is not a text"),
            (json!({"action": "drill", "topic": ["AlertTopic"]}), "the topic of a drill is not a text"),
            (json!({"action": "drill", "Topic": "AlertTopic"}), "a drill has no 'Topic'"),
        ] {
            let sentence = Action::from_event(&event).unwrap_err().to_string();
            let allowed = r#"what can be asked for is {"action":"drill"}, which goes to TestTopic, or {"action":"drill","topic":"AlertTopic"}, and likewise SecondAlertTopic"#;
            assert_eq!(sentence, format!("{why}; {allowed}"));
        }
    }

    #[test]
    fn another_action_is_told_what_is_known() {
        for event in [json!({"action": "explode"}), json!({"action": 1}), json!({"action": null})] {
            let sentence = Action::from_event(&event).unwrap_err().to_string();
            let allowed =
                r#"what can be asked for is {"action":"reconcile"}, and likewise rotate, check, watch or drill"#;
            assert!(sentence.ends_with(allowed), "{sentence}");
        }
        let sentence = Action::from_event(&json!({"action": "ex\nplode"})).unwrap_err().to_string();
        assert!(sentence.starts_with("there is no action 'explode'"), "{sentence}");
    }
}

//! What a run is asked to do.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    cloudformation::UnverifiedRequest,
    drill::{Destination, Drill},
};

/// A thing that the function can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Compare the subscriptions with what they should be, and repair the difference, as the schedule does.
    Scheduled,
    /// The same, for somebody who asks.
    Reconcile,
    /// The same, and hand Graph a new encryption certificate.
    Rotate,
    /// The same, and replace all that the keyring holds, since others may know it.
    ReplaceLeaked,
    /// Test every link of the chain, and change nothing.
    Check,
    /// Look whether the subscriptions are there, and repair what is gone. With the time for which the schedule sent it, most of
    /// the rest is looked at every five minutes only.
    Monitor(Option<Timestamp>),
    /// Send a drill.
    Drill(Drill),
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
    #[error("{0}; what can be asked for is {{\"action\":\"reconcile\"}}, and likewise rotate, check, monitor or drill")]
    NoAction(String),
    /// There is no such rotation.
    #[error(
        "{0}; what can be asked for is {{\"action\":\"rotate\"}}, or {{\"action\":\"rotate\",\"leaked\":true}} if others may know \
         what the keyring holds"
    )]
    NoRotation(String),
    /// There is no such drill.
    #[error(
        "{0}; what can be asked for is {{\"action\":\"drill\"}}, which goes to TestTopic, or \
         {{\"action\":\"drill\",\"topic\":\"AlertTopic\"}}, and likewise SecondAlertTopic; \"policy\", \"city\" and \"site\" may be added"
    )]
    NoDrill(String),
}

impl Action {
    /// Reads an event. Only `action`, and what CloudFormation and the receiver send, choose: any other event, whether
    /// of a schedule or of something new, asks for a run that looks at everything, which is never wrong.
    ///
    /// # Errors
    /// If the action is none that is known, or a drill is for a topic that gets none; the error lists what there is.
    pub fn from_event(event: &Value) -> Result<Self, UnknownAction> {
        match event.get("action") {
            None => Ok(Self::without_a_word(event)),
            Some(Value::String(action)) => match action.as_str() {
                "reconcile" => Ok(Self::Reconcile),
                "rotate" => rotation(event),
                "check" => Ok(Self::Check),
                "monitor" => Ok(Self::Monitor(scheduled_at(event))),
                "drill" => drill(event).map(Self::Drill),
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

/// For which time the schedule sent the event.
fn scheduled_at(event: &Value) -> Option<Timestamp> {
    event.get("scheduledAt")?.as_str()?.parse().ok()
}

/// Which rotation is asked for. Nothing is guessed: who misspells `leaked` must not believe that what leaked was replaced.
fn rotation(event: &Value) -> Result<Action, UnknownAction> {
    let mut members = event.as_object().into_iter().flat_map(|object| object.keys());
    if let Some(other) = members.find(|name| !matches!(name.as_str(), "action" | "leaked")) {
        return Err(UnknownAction::NoRotation(format!("a rotation has no '{}'", printable(other))));
    }
    match event.get("leaked") {
        None | Some(Value::Bool(false)) => Ok(Action::Rotate),
        Some(Value::Bool(true)) => Ok(Action::ReplaceLeaked),
        Some(_) => Err(UnknownAction::NoRotation("'leaked' is neither true nor false".to_owned())),
    }
}

/// The longest text that a drill can name, in bytes: an attribute holds no more of it.
const LONGEST: usize = 256;

/// What drill is asked for. Nothing is guessed: who misspells the topic must not believe that it had its drill.
fn drill(event: &Value) -> Result<Drill, UnknownAction> {
    let mut members = event.as_object().into_iter().flat_map(|object| object.keys());
    if let Some(other) = members.find(|name| !matches!(name.as_str(), "action" | "topic" | "policy" | "city" | "site"))
    {
        return Err(UnknownAction::NoDrill(format!("a drill has no '{}'", printable(other))));
    }
    let destination = match event.get("topic") {
        None => Destination::Test,
        Some(Value::String(topic)) => match Destination::ALL.iter().find(|one| one.topic().name() == topic) {
            Some(destination) => *destination,
            None => return Err(UnknownAction::NoDrill(format!("no drill goes to '{}'", printable(topic)))),
        },
        Some(_) => return Err(UnknownAction::NoDrill("the topic of a drill is not a text".to_owned())),
    };
    let text = |name| text(event, name);
    Ok(Drill { destination, policy: text("policy")?, city: text("city")?, site: text("site")? })
}

/// A text that a drill is to name, as a filter policy would be compared with it.
fn text(event: &Value, name: &str) -> Result<Option<String>, UnknownAction> {
    let wrong = |what: &str| Err(UnknownAction::NoDrill(format!("the {name} of a drill {what}")));
    match event.get(name) {
        None => Ok(None),
        Some(Value::String(text)) if text.trim().is_empty() => wrong("is empty"),
        Some(Value::String(text)) if text.trim() != text => wrong("begins or ends with a space"),
        Some(Value::String(text)) if text.contains(char::is_control) => {
            wrong("has a line break or another control character")
        }
        Some(Value::String(text)) if text.len() > LONGEST => wrong(&format!("is longer than {LONGEST} bytes")),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => wrong("is not a text"),
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
        assert_eq!(asked("monitor"), Ok(Action::Monitor(None)));
        assert_eq!(asked("drill"), Ok(Action::Drill(Drill::to(Destination::Test))));
    }

    #[test]
    fn the_schedule_says_for_which_minute_it_asks_to_monitor() {
        let asked = |at: Value| Action::from_event(&json!({"action": "monitor", "scheduledAt": at}));
        let at: Timestamp = "2026-11-23T10:05:00Z".parse().unwrap();
        assert_eq!(asked(json!("2026-11-23T10:05:00Z")), Ok(Action::Monitor(Some(at))));
        // As where nobody fills it in: then everything is looked at.
        for other in [json!("<aws.scheduler.scheduled-time>"), json!(null), json!(5)] {
            assert_eq!(asked(other), Ok(Action::Monitor(None)));
        }
    }

    #[test]
    fn a_drill_goes_to_the_topic_that_is_named() {
        let asked = |topic: &str| Action::from_event(&json!({"action": "drill", "topic": topic}));
        assert_eq!(asked("TestTopic"), Ok(Action::Drill(Drill::to(Destination::Test))));
        assert_eq!(asked("AlertTopic"), Ok(Action::Drill(Drill::to(Destination::Alert))));
        assert_eq!(asked("SecondAlertTopic"), Ok(Action::Drill(Drill::to(Destination::SecondAlert))));
    }

    #[test]
    fn a_drill_names_what_filters_go_by() {
        let event = json!({"action": "drill", "policy": "Global", "city": "Zürich", "site": "Bahnhofstrasse 1"});
        let text = |text: &str| Some(text.to_owned());
        let expected = Drill {
            policy: text("Global"),
            city: text("Zürich"),
            site: text("Bahnhofstrasse 1"),
            ..Drill::to(Destination::Test)
        };
        assert_eq!(Action::from_event(&event), Ok(Action::Drill(expected)));
        assert!(Action::from_event(&json!({"action": "drill", "city": "é".repeat(128)})).is_ok());
    }

    #[test]
    fn nothing_is_guessed_of_a_rotation() {
        let asked = |event: Value| Action::from_event(&event);
        assert_eq!(asked(json!({"action": "rotate", "leaked": true})), Ok(Action::ReplaceLeaked));
        assert_eq!(asked(json!({"action": "rotate", "leaked": false})), Ok(Action::Rotate));
        for (event, why) in [
            (json!({"action": "rotate", "leaked": "true"}), "'leaked' is neither true nor false"),
            (json!({"action": "rotate", "leaked": null}), "'leaked' is neither true nor false"),
            (json!({"action": "rotate", "leeked": true}), "a rotation has no 'leeked'"),
            (json!({"action": "rotate", "Leaked": true}), "a rotation has no 'Leaked'"),
        ] {
            let sentence = asked(event).unwrap_err().to_string();
            assert!(sentence.starts_with(why) && sentence.contains(r#""leaked":true"#), "{sentence}");
        }
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
            (json!({"action": "drill", "policy": null}), "the policy of a drill is not a text"),
            (json!({"action": "drill", "city": 8001}), "the city of a drill is not a text"),
            (json!({"action": "drill", "city": " "}), "the city of a drill is empty"),
            (json!({"action": "drill", "site": "Main Street "}), "the site of a drill begins or ends with a space"),
            (
                json!({"action": "drill", "site": "Main\nStreet"}),
                "the site of a drill has a line break or another control character",
            ),
            (json!({"action": "drill", "city": "é".repeat(129)}), "the city of a drill is longer than 256 bytes"),
        ] {
            let sentence = Action::from_event(&event).unwrap_err().to_string();
            let allowed = r#"what can be asked for is {"action":"drill"}, which goes to TestTopic, or {"action":"drill","topic":"AlertTopic"}, and likewise SecondAlertTopic; "policy", "city" and "site" may be added"#;
            assert_eq!(sentence, format!("{why}; {allowed}"));
        }
    }

    #[test]
    fn another_action_is_told_what_is_known() {
        for event in [json!({"action": "explode"}), json!({"action": 1}), json!({"action": null})] {
            let sentence = Action::from_event(&event).unwrap_err().to_string();
            let allowed =
                r#"what can be asked for is {"action":"reconcile"}, and likewise rotate, check, monitor or drill"#;
            assert!(sentence.ends_with(allowed), "{sentence}");
        }
        let sentence = Action::from_event(&json!({"action": "ex\nplode"})).unwrap_err().to_string();
        assert!(sentence.starts_with("there is no action 'explode'"), "{sentence}");
    }
}

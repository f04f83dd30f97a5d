//! What breaks.

use std::{future::Future, pin::Pin, rc::Rc};

use ::renewer::config::Config;
use graph_notifications::Keyring;
use jiff::{SignedDuration, Timestamp};

use super::{
    receiver::{Call, System, post},
    world::{KEYRING, OTHER, SECOND_TOPIC, State, TENANT},
};

/// Right after a run of each schedule: the longest time until the next.
const RIGHT_AFTER: SignedDuration = SignedDuration::from_secs(121);

const AN_HOUR: SignedDuration = SignedDuration::from_mins(60);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// The parameter `SilenceDays`, as it is by default.
const SILENCE_DAYS: i64 = 35;

/// The names of the rules, as the template takes them from their ARNs.
const PAGERDUTY: &str = r#"[2, ["/", "PagerDutyRule.Arn"]]"#;
const CHAT: &str = r#"[2, ["/", "ChatRule.Arn"]]"#;

type Breaks = Box<dyn for<'a> Fn(&'a Rc<System>) -> Breaking<'a>>;
type Breaking<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// One thing that breaks.
pub struct Scenario {
    /// What it is called.
    pub name: &'static str,
    /// How long after the hour in which all is well it breaks.
    pub(super) after: SignedDuration,
    /// How long the world goes on then.
    pub(super) lasts: SignedDuration,
    /// How the renewer is set up, given the end of the hour in which all is well.
    pub(super) configure: fn(&mut Config, Timestamp),
    /// Breaks something else hours before.
    pub(super) first: Option<Breaks>,
    /// Breaks it.
    pub(super) breaks: Breaks,
}

impl Scenario {
    fn after_minutes(mut self, minutes: i64) -> Self {
        self.after = SignedDuration::from_mins(minutes);
        self
    }

    /// Something else has changed hours before, and stayed so.
    fn while_changed(mut self, change: fn(&mut State)) -> Self {
        self.first = Some(Box::new(move |system| {
            change(&mut system.state.borrow_mut());
            Box::pin(std::future::ready(()))
        }));
        self
    }

    fn lasting_minutes(mut self, minutes: i64) -> Self {
        self.lasts = SignedDuration::from_mins(minutes);
        self
    }
}

/// Something in the world changes, and stays so.
fn changed(name: &'static str, change: fn(&mut State)) -> Scenario {
    happening(name, move |system| {
        change(&mut system.state.borrow_mut());
        Box::pin(std::future::ready(()))
    })
}

/// A call comes, after something in the world has changed.
fn called(name: &'static str, change: fn(&mut State), call: fn() -> Call) -> Scenario {
    happening(name, move |system| {
        change(&mut system.state.borrow_mut());
        Box::pin(async move {
            call().report(system).await;
        })
    })
}

/// A metric of AWS's has a value, once.
fn measured(name: &'static str, of: [&'static str; 4], value: f64) -> Scenario {
    happening(name, move |system| {
        let [namespace, metric, dimension, resource] = of;
        system.aws(namespace, metric, (dimension, resource), value);
        Box::pin(std::future::ready(()))
    })
}

/// Something becomes of a call at a rule on the event bus, once.
fn at_the_rule(name: &'static str, metric: &'static str, rule: &'static str) -> Scenario {
    happening(name, move |system| {
        system.aws_of("AWS/Events", metric, vec![("EventBusName", "EventBus"), ("RuleName", rule)], 1.0);
        Box::pin(std::future::ready(()))
    })
}

fn happening(name: &'static str, breaks: impl for<'a> Fn(&'a Rc<System>) -> Breaking<'a> + 'static) -> Scenario {
    Scenario { name, after: RIGHT_AFTER, lasts: AN_HOUR, configure: |_, _| (), first: None, breaks: Box::new(breaks) }
}

fn nothing(_: &mut State) {}

/// The number of values that CloudWatch would have counted is the value of one.
fn flood(times: usize) -> Call {
    Call { client_state: Some("guessed"), token: false, times, ..Call::default() }
}

/// All of them.
#[must_use]
pub fn scenarios() -> Vec<Scenario> {
    let mut all = vec![
        // All is well, or nearly so: nobody is to be alarmed.
        changed("nothing breaks", nothing).lasting_minutes(600),
        called("a call", nothing, Call::default),
        called("a handful of forgeries", nothing, || flood(20)),
        // One of them looks at everything.
        changed("five passes are lost", |state| state.watches_lost = 5),
        changed("one probe is lost", |state| state.probes_lost = vec![true]),
    ];
    all.extend(in_the_renewer());
    all.extend(in_the_receiver());
    all.extend(in_time());
    all.extend(beyond());
    all.extend(besides());
    all
}

fn in_the_renewer() -> Vec<Scenario> {
    let remove = |state: &mut State| drop(state.held.remove(0));
    vec![
        changed("graph removes a subscription", remove),
        changed("graph removes a subscription, and the renewer comes soon", remove).after_minutes(9),
        changed("graph removes a subscription and takes no other", |state| {
            state.held.remove(0);
            state.creations_refused = true;
        }),
        changed("graph is down", |state| state.graph_down = true),
        changed("entra refuses", |state| state.entra_refuses = vec![TENANT, OTHER]),
        changed("entra refuses every other time", |state| state.entra_refuses_at_times = true),
        changed("graph renews all but one", |state| state.renewals_fail_for.push("Warehouse")),
        changed("the renewer's function is broken", |state| state.renewer_broken = true),
        // The next run is due then.
        changed("the renewer's schedule is disabled", |state| state.renewals_off = true).after_minutes(15),
        changed("the monitor's schedule is disabled", |state| state.watches_off = true),
        changed("both schedules are disabled", |state| (state.renewals_off, state.watches_off) = (true, true)),
        changed("the state table is down", |state| state.table_down = true),
        changed("the keyring is lost", |state| drop(state.secrets.remove(KEYRING))),
        changed("the keyring is spoilt", |state| drop(state.secrets.insert(KEYRING.to_owned(), "{}".to_owned()))),
        changed("a topic is gone", |state| state.subscribers.retain(|topic, _| *topic != "alerts")),
        changed("entra gives out no signing keys", |state| state.signing_keys_down = true).lasting_minutes(150),
    ]
}

fn in_the_receiver() -> Vec<Scenario> {
    vec![
        changed("the receiver's function is broken", |state| state.receiver_broken = true),
        changed("the receiver is throttled", |state| state.receiver_throttled = true),
        changed("the receiver is slow", |state| state.receiver_slow = true),
        changed("the gateway answers 500", |state| state.gateway_fails = true),
        changed("the address cannot be reached", |state| state.address_unreachable = true),
        changed("the address answers every other probe", |state| state.probes_lost = [false, true].repeat(6)),
        happening("the receiver starts anew and may not read the keyring", |system| {
            system.state.borrow_mut().receivers_secret_down = true;
            system.restart_receiver();
            Box::pin(std::future::ready(()))
        }),
        changed("the receiver may no longer read the keyring", |state| state.receivers_secret_down = true),
        changed("the receiver has no key", |state| {
            state.receivers_keyring = Keyring::default().to_json().ok().map(|text| text.to_string());
        }),
        called("sns takes no alert", |state| state.sns_down = true, Call::default),
        called("sns at home takes no alert", |state| state.home_sns_down = true, Call::default),
        called("the bus takes no call", |state| state.bus_down = true, Call::default),
        called("the receiver's table is down", |state| state.receivers_table_down = true, Call::default),
        called("graph encrypts for a lost key", nothing, || Call { certificate_id: Some("lost"), ..Call::default() }),
        called(
            "a token is signed with a new key, and entra is down",
            |state| state.signing_keys_down = true,
            || Call { new_signing_key: true, ..Call::default() },
        ),
        // With one proof of its sender, and encrypted for a key that is not there.
        called("graph sends no tokens, and the key is lost", nothing, || Call {
            token: false,
            certificate_id: Some("lost"),
            ..Call::default()
        }),
        called("the keyring lacks the client state and the key that graph has", nothing, || Call {
            client_state: Some("of a keyring that was put back"),
            certificate_id: Some("lost"),
            ..Call::default()
        }),
        called("a call comes late", nothing, || Call { age: SignedDuration::from_mins(6), ..Call::default() }),
        called("many forgeries", nothing, || flood(60)),
        happening("many requests that are no notifications", |system| {
            Box::pin(async move {
                for _ in 0..120 {
                    post(system, "{}").await;
                }
            })
        }),
    ]
}

fn in_time() -> Vec<Scenario> {
    let mut secret = changed("the client secret ends in 30 days", nothing).after_minutes(0);
    secret.configure = |config, then| config.client_secret_expires_at = Some(then + DAY * 30);
    vec![
        secret,
        happening("nobody has called for many days", |system| {
            // Of the time before only what is noted of it counts.
            let mut state = system.state.borrow_mut();
            let notes = state.notes.as_mut().expect("a watch has run");
            notes.since = system.now.get() - DAY * i32::try_from(SILENCE_DAYS).unwrap_or_default();
            Box::pin(std::future::ready(()))
        }),
        happening("the stored signing keys are a day old", |system| {
            let mut keyring = system.keyring();
            if let Some(keys) = &mut keyring.signing_keys {
                keys.fetched_at = system.now.get() - DAY;
            }
            let text = keyring.to_json().expect("it can be written").to_string();
            let mut state = system.state.borrow_mut();
            state.secrets.insert(KEYRING.to_owned(), text);
            state.signing_keys_down = true;
            Box::pin(std::future::ready(()))
        }),
    ]
}

fn beyond() -> Vec<Scenario> {
    let queue = "NumberOfMessagesSent";
    let failed = "NumberOfNotificationsFailed";
    vec![
        changed("a subscriber leaves", |state| *state.subscribers.entry("alerts").or_default() = 2),
        changed("the last subscriber leaves", |state| *state.subscribers.entry("alerts").or_default() = 0),
        changed("every subscriber has a filter", |state| state.filtered.push("alerts")),
        changed("every subscriber of the second way has a filter", |state| state.filtered.push(SECOND_TOPIC)),
        changed("nobody hears the second way", |state| *state.subscribers.entry(SECOND_TOPIC).or_default() = 0),
        changed("no chat channel is left", |state| *state.subscribers.entry("chat").or_default() = 0),
        changed("nobody hears the alarms any more", |state| *state.subscribers.entry("operations").or_default() = 0),
        measured("a subscriber is not reached", ["AWS/SNS", failed, "TopicName", "AlertTopic.TopicName"], 1.0),
        measured(
            "a subscriber to alarms is not reached",
            ["AWS/SNS", failed, "TopicName", "OperationsTopic.TopicName"],
            1.0,
        ),
        measured("chat is not reached", ["AWS/SNS", failed, "TopicName", "ChatTopic.TopicName"], 1.0),
        // What the metric filter makes of the access log.
        measured("the gateway answers 429", ["TeamsEmergencyAlerts", "ThrottledRequests", "ApiId", "HttpApi"], 1.0),
        measured("a rule's target takes no call", ["AWS/SQS", queue, "QueueName", "UndeliveredCalls.QueueName"], 1.0),
        at_the_rule("pagerduty takes no call", "InvocationsSentToDlq", PAGERDUTY),
        at_the_rule("pagerduty is not called", "FailedInvocations", PAGERDUTY),
        at_the_rule("what pagerduty does not take is lost", "InvocationsFailedToBeSentToDlq", PAGERDUTY),
        at_the_rule("the topic for chat takes no call", "InvocationsSentToDlq", CHAT),
        at_the_rule("the topic for chat is not called", "FailedInvocations", CHAT),
        at_the_rule("what the topic for chat does not take is lost", "InvocationsFailedToBeSentToDlq", CHAT),
    ]
}

/// What breaks while something like it has long been broken, so that its alarm is in alarm already.
fn besides() -> Vec<Scenario> {
    vec![
        changed("graph removes another subscription", |state| drop(state.held.remove(0))).while_changed(|state| {
            state.held.remove(0);
            state.creations_refused = true;
        }),
        changed("entra refuses in another tenant", |state| state.entra_refuses.push(OTHER))
            .while_changed(|state| state.entra_refuses.push(TENANT)),
        changed("graph renews another subscription no longer", |state| state.renewals_fail_for.push("Global"))
            .while_changed(|state| state.renewals_fail_for.push("Warehouse")),
        changed("the keyring is lost besides", |state| drop(state.secrets.remove(KEYRING)))
            .while_changed(|state| state.entra_refuses.push(TENANT)),
        changed("somebody begins to hear alarms", |state| state.subscribers.extend([("operations", 1)]))
            .while_changed(|state| state.subscribers.extend([("alerts", 0), ("operations", 0)])),
    ]
}

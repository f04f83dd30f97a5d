//! What a drill says: who should have got it now, and what is wrong.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::finding::{Link, Row, State, line, lines};
use crate::topics::Topic;
use crate::{
    check::judge::{covered, heard},
    coverage::Coverage,
    drill::MOST_SHOWN,
    filter_policy::{FilterPolicy, Passes, Scope},
    ports::{OutsideError, Subscribers},
    subscriber::{Standing, Subscriber},
};

/// So much of a filter policy is shown, in characters: it may be 256 kB long.
const LONGEST_FILTER: usize = 1000;

/// The result of a drill that Amazon SNS took. It holds the addresses of people: it is not logged.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct DrillReport {
    /// What was asked for: `drill`.
    pub action: &'static str,
    /// Whether no row is `failed`.
    pub ok: bool,
    /// The topic that got it: `TestTopic`, `AlertTopic` or `SecondAlertTopic`.
    pub topic: &'static str,
    /// The call id that the drill has everywhere.
    pub call_id: String,
    /// When it was sent.
    pub sent_at: Timestamp,
    /// Amazon SNS's name for the message.
    pub message_id: String,
    /// Whether the event bus took the event `Emergency Call`.
    pub on_bus: bool,
    /// Who is subscribed to the topic, the first thousand; `None` if it cannot be seen.
    pub subscribers: Option<Vec<Shown>>,
    /// What was found. No address is in it.
    pub rows: Vec<Row>,
    /// All of it for people, line by line.
    pub table: Vec<String>,
}

/// A drill that Amazon SNS took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// Where it went.
    pub topic: Topic,
    /// The call id.
    pub call_id: String,
    /// When.
    pub at: Timestamp,
    /// Amazon SNS's name for the message.
    pub message_id: String,
    /// The attributes that it was published with.
    pub attributes: Vec<(&'static str, String)>,
}

/// A subscriber, and its filter policy, which only those have who have confirmed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recipient {
    /// Who is subscribed.
    pub subscriber: Subscriber,
    /// The filter policy; an error if it cannot be seen.
    pub filter: Result<Option<FilterPolicy>, OutsideError>,
}

/// A subscriber as the report shows it.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Shown {
    /// Who is subscribed.
    #[serde(flatten)]
    pub subscriber: Subscriber,
    /// The beginning of the filter policy.
    pub filter_policy: Option<String>,
    /// What the filter policy is compared with.
    pub filter_policy_scope: Option<Scope>,
    /// Whether the drill should have arrived, as far as filters see the attributes that were published.
    pub should_have_it: Passes,
}

impl Recipient {
    fn should_have_it(&self, attributes: &[(&'static str, String)]) -> Passes {
        match (self.subscriber.standing, &self.filter) {
            (Standing::Pending | Standing::Unsubscribed, _) => Passes::No,
            (Standing::Confirmed, Ok(None)) => Passes::Yes,
            (Standing::Confirmed, Ok(Some(filter))) => filter.passes(attributes),
            (Standing::Confirmed, Err(_)) => Passes::Unknown,
        }
    }

    fn shown(&self, attributes: &[(&'static str, String)]) -> Shown {
        let filter = self.filter.as_ref().ok().and_then(Option::as_ref);
        Shown {
            subscriber: self.subscriber.clone(),
            filter_policy: filter.map(|filter| line(filter.text()).chars().take(LONGEST_FILTER).collect()),
            filter_policy_scope: filter.map(FilterPolicy::scope),
            should_have_it: self.should_have_it(attributes),
        }
    }

    fn is_filtered(&self) -> bool {
        self.subscriber.standing == Standing::Confirmed && self.filter != Ok(None)
    }
}

impl DrillReport {
    /// The report of a drill: what the bus of this name said to it, and who is subscribed.
    #[must_use]
    pub fn new(
        sent: Sent,
        bus_name: &str,
        bus: &Result<(), OutsideError>,
        recipients: Result<Vec<Recipient>, OutsideError>,
    ) -> Self {
        let mut rows = vec![taken(&sent), on_bus(bus_name, bus)];
        rows.extend(match &recipients {
            Ok(recipients) => subscribed(&sent, recipients),
            Err(error) => vec![unlisted(sent.topic, error)],
        });
        let mut table = lines(&rows);
        if let Ok(recipients) = &recipients {
            table.extend(list(&sent, recipients));
        }
        let shown = |recipients: Vec<Recipient>| {
            recipients.iter().take(MOST_SHOWN).map(|one| one.shown(&sent.attributes)).collect()
        };
        let subscribers = recipients.ok().map(shown);
        Self {
            action: "drill",
            ok: rows.iter().all(|row| row.state != State::Failed),
            topic: sent.topic.name(),
            call_id: sent.call_id,
            sent_at: sent.at,
            message_id: sent.message_id,
            on_bus: bus.is_ok(),
            subscribers,
            rows,
            table,
        }
    }
}

/// Without the addresses.
impl fmt::Debug for DrillReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DrillReport")
            .field("ok", &self.ok)
            .field("topic", &self.topic)
            .field("call_id", &self.call_id)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

fn taken(sent: &Sent) -> Row {
    let finding = format!("Amazon SNS took the drill {}, as message {}.", sent.call_id, sent.message_id);
    Row::ok(Link::Topic, sent.topic.name(), finding)
}

fn on_bus(bus_name: &str, bus: &Result<(), OutsideError>) -> Row {
    let link = Link::EventBus;
    match bus {
        Ok(()) => Row::ok(link, bus_name, "It took the event Emergency Call of the drill."),
        Err(error) => Row::failed(
            link,
            bus_name,
            format!("It did not take the event Emergency Call of the drill: {error}."),
            "Whoever listens there was not told. Send another drill; if it lasts, deploy the stack again: the bus must exist, and \
             the renewer's role must be allowed events:PutEvents.",
        ),
    }
}

fn subscribed(sent: &Sent, recipients: &[Recipient]) -> Vec<Row> {
    let topic = sent.topic;
    let those = |standing| recipients.iter().filter(|one| one.subscriber.standing == standing).count() as u64;
    let (confirmed, pending) = (those(Standing::Confirmed), those(Standing::Pending));
    let mut rows = heard(topic, Subscribers { confirmed, pending });
    let of_confirmed = recipients.iter().filter(|one| one.subscriber.standing == Standing::Confirmed);
    let filters: Vec<_> = of_confirmed.map(|one| one.filter.clone()).collect();
    if matches!(topic, Topic::Alert | Topic::SecondAlert) {
        rows.extend(covered(topic, &Coverage::of(&filters)));
    }
    if recipients.iter().any(Recipient::is_filtered) {
        let filtered = recipients.iter().filter(|one| one.is_filtered());
        let answers: Vec<_> = filtered.map(|one| one.should_have_it(&sent.attributes)).collect();
        let count = |wanted| answers.iter().filter(|answer| **answer == wanted).count();
        let finding = format!(
            "Filter policies should let it through: {}; hold it back: {}; cannot be judged: {}.",
            count(Passes::Yes),
            count(Passes::No),
            count(Passes::Unknown)
        );
        rows.push(Row::ok(Link::Topic, topic.name(), finding));
    }
    let gone = those(Standing::Unsubscribed);
    if gone > 0 {
        let finding = format!("Have unsubscribed lately, and get nothing: {gone}.");
        let step = "A program that follows the links in emails may have done it. Subscribe them again, and confirm with aws sns \
                    confirm-subscription --authenticate-on-unsubscribe true: then such a link does not work.";
        rows.push(Row::warning(Link::Topic, topic.name(), finding, step));
    }
    rows
}

fn unlisted(topic: Topic, error: &OutsideError) -> Row {
    let step = "Look by hand in Amazon SNS, Topics. If it lasts, deploy the stack again: the renewer's role must be allowed \
                sns:ListSubscriptionsByTopic.";
    Row::unknown(Link::Topic, topic.name(), format!("Its subscribers cannot be listed: {error}."), step)
}

/// The subscribers for people.
fn list(sent: &Sent, recipients: &[Recipient]) -> Vec<String> {
    if recipients.is_empty() {
        return Vec::new();
    }
    let shown = &recipients[..recipients.len().min(MOST_SHOWN)];
    let subscribers = || shown.iter().map(|one| &one.subscriber);
    let standings = subscribers().map(|one| one.standing.word().len()).max().unwrap_or_default();
    let protocols = subscribers().map(|one| one.protocol.chars().count()).max().unwrap_or_default();
    let mut lines = vec![String::new(), format!("Subscribed to {}:", sent.topic.name())];
    for one in shown {
        let Subscriber { protocol, endpoint, standing, .. } = &one.subscriber;
        lines.push(format!("  {:<standings$}  {protocol:<protocols$}  {endpoint}", standing.word()));
        lines.extend(filter_line(one, &sent.attributes));
    }
    if recipients.len() > shown.len() {
        lines.push(format!("  and {} more", recipients.len() - shown.len()));
    }
    if recipients.iter().any(Recipient::is_filtered) {
        lines.push(
            "What a filter policy sees of these messages is not documented: ask each of those who have one whether the drill came."
                .to_owned(),
        );
    }
    lines
}

/// The filter policy of one who has confirmed, and what should come of it.
fn filter_line(recipient: &Recipient, attributes: &[(&'static str, String)]) -> Option<String> {
    if !recipient.is_filtered() {
        return None;
    }
    if let Err(error) = &recipient.filter {
        return Some(format!("    its filter policy cannot be seen: {}", line(error)));
    }
    let Shown { filter_policy, filter_policy_scope, should_have_it, .. } = recipient.shown(attributes);
    let answer = match should_have_it {
        Passes::Yes => "should have it",
        Passes::No => "should not have it",
        Passes::Unknown => "cannot be judged",
    };
    let scope = if filter_policy_scope == Some(Scope::MessageBody) { " for the body" } else { "" };
    Some(format!("    {answer}: filter policy{scope} {}", filter_policy.unwrap_or_default()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(topic: Topic) -> Sent {
        let at = Timestamp::constant(1_764_000_000, 0);
        Sent {
            topic,
            call_id: "drill-1".to_owned(),
            at,
            message_id: "m-1".to_owned(),
            attributes: vec![("city", "Bern".to_owned())],
        }
    }

    fn down() -> OutsideError {
        OutsideError("out of order".to_owned())
    }

    fn recipient(protocol: &str, endpoint: &str, arn: &str) -> Recipient {
        Recipient { subscriber: Subscriber::listed(protocol, endpoint, arn), filter: Ok(None) }
    }

    fn listed(arns: &[&str]) -> Vec<Recipient> {
        arns.iter().map(|arn| recipient("email", "ann@example.com", arn)).collect()
    }

    /// One who has confirmed, with this filter policy.
    fn filtered(policy: &str, scope: &str) -> Recipient {
        let filter = Ok(FilterPolicy::of_attributes(Some(policy), Some(scope)));
        Recipient { filter, ..recipient("sqs", "arn:queue", "arn") }
    }

    fn of_test_topic(recipients: Result<Vec<Recipient>, OutsideError>) -> DrillReport {
        DrillReport::new(sent(Topic::Test), "bus", &Ok(()), recipients)
    }

    /// The states and findings of what is said of the subscribers.
    fn findings(report: &DrillReport) -> Vec<(State, &str)> {
        report.rows[2..].iter().map(|row| (row.state, row.finding.as_str())).collect()
    }

    #[test]
    fn its_json_and_its_table_are_stable() {
        let subscribers = vec![
            recipient("email", "ann@example.com", "arn"),
            recipient("https", "https://hook.example/key", "PendingConfirmation"),
        ];
        let report = of_test_topic(Ok(subscribers));
        let pending = "They must open the link in the email from AWS, which holds for two days; an https endpoint must visit the \
                       address that it was sent. After that, subscribe them again.";
        let row = |link, subject, state, finding, step: Option<&str>| json!({"link": link, "subject": subject, "state": state, "finding": finding, "step": step});
        let expected = json!({
            "action": "drill", "ok": true, "topic": "TestTopic", "callId": "drill-1", "sentAt": "2025-11-24T16:00:00Z",
            "messageId": "m-1", "onBus": true,
            "subscribers": [
                {"protocol": "email", "endpoint": "ann@example.com", "standing": "confirmed", "filterPolicy": null,
                 "filterPolicyScope": null, "shouldHaveIt": "yes"},
                {"protocol": "https", "endpoint": "https://hook.example/...", "standing": "pending", "filterPolicy": null,
                 "filterPolicyScope": null, "shouldHaveIt": "no"},
            ],
            "rows": [
                row("topic", "TestTopic", "ok", "Amazon SNS took the drill drill-1, as message m-1.", None),
                row("event-bus", "bus", "ok", "It took the event Emergency Call of the drill.", None),
                row("topic", "TestTopic", "warning", "Have not confirmed, and get nothing: 1.", Some(pending)),
            ],
            "table": [
                "ok       topic      TestTopic  Amazon SNS took the drill drill-1, as message m-1.",
                "ok       event-bus  bus        It took the event Emergency Call of the drill.",
                "warning  topic      TestTopic  Have not confirmed, and get nothing: 1.",
                format!("         -> {pending}"),
                "",
                "Subscribed to TestTopic:",
                "  confirmed  email  ann@example.com",
                "  pending    https  https://hook.example/...",
            ],
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
    }

    #[test]
    fn of_each_filter_policy_it_says_what_should_come_of_it() {
        let report = of_test_topic(Ok(vec![
            recipient("email", "ann@example.com", "arn"),
            filtered(r#"{"city":["Bern"]}"#, "MessageAttributes"),
            filtered(r#"{"city":["Basel"]}"#, "MessageAttributes"),
            filtered("{\"city\":\n[\"Bern\"]}", "MessageBody"),
            Recipient { filter: Err(down()), ..recipient("sqs", "arn:queue", "arn") },
        ]));
        let counted = "Filter policies should let it through: 1; hold it back: 1; cannot be judged: 2.";
        assert_eq!(findings(&report), [(State::Ok, "Confirmed subscribers: 5."), (State::Ok, counted)]);
        let shown: Vec<_> = report.table.iter().skip_while(|line| !line.starts_with("Subscribed")).skip(1).collect();
        assert_eq!(
            shown,
            [
                "  confirmed  email  ann@example.com",
                "  confirmed  sqs    arn:queue",
                r#"    should have it: filter policy {"city":["Bern"]}"#,
                "  confirmed  sqs    arn:queue",
                r#"    should not have it: filter policy {"city":["Basel"]}"#,
                "  confirmed  sqs    arn:queue",
                r#"    cannot be judged: filter policy for the body {"city": ["Bern"]}"#,
                "  confirmed  sqs    arn:queue",
                "    its filter policy cannot be seen: out of order",
                "What a filter policy sees of these messages is not documented: ask each of those who have one whether the drill came.",
            ]
        );
        let json = serde_json::to_value(&report).unwrap();
        let of = |index: usize| {
            ["filterPolicy", "filterPolicyScope", "shouldHaveIt"].map(|name| json["subscribers"][index][name].clone())
        };
        assert_eq!(of(1), [json!(r#"{"city":["Bern"]}"#), json!("MessageAttributes"), json!("yes")]);
        assert_eq!(of(2)[2], "no");
        assert_eq!(of(3)[1..], [json!("MessageBody"), json!("unknown")]);
        assert_eq!(of(4), [json!(null), json!(null), json!("unknown")]);
    }

    #[test]
    fn a_long_filter_policy_is_cut() {
        let long = format!(r#"{{"city":["{}"]}}"#, "é".repeat(LONGEST_FILTER));
        let report = of_test_topic(Ok(vec![filtered(&long, "MessageAttributes")]));
        let shown = report.subscribers.unwrap().remove(0);
        assert_eq!((shown.filter_policy.unwrap().chars().count(), shown.should_have_it), (LONGEST_FILTER, Passes::No));
    }

    #[test]
    fn a_topic_for_calls_needs_somebody_without_a_filter_policy() {
        let with = |topic, others: &[&str]| {
            let mut recipients = listed(others);
            recipients.push(filtered(r#"{"city":["Bern"]}"#, "MessageAttributes"));
            DrillReport::new(sent(topic), "bus", &Ok(()), Ok(recipients))
        };
        for topic in [Topic::Alert, Topic::SecondAlert] {
            let report = with(topic, &["PendingConfirmation", "Deleted"]);
            let every = "Every confirmed subscriber has a filter policy (1): nobody is sure to get every call.";
            assert!(!report.ok && findings(&report).contains(&(State::Failed, every)), "{report:?}");
            assert!(with(topic, &["arn"]).ok);
        }
        assert!(with(Topic::Test, &[]).ok);
    }

    #[test]
    fn a_drill_that_nobody_gets_is_said_so() {
        let nobody = "Nobody hears of test calls: nobody has confirmed.";
        let none = of_test_topic(Ok(Vec::new()));
        assert_eq!(findings(&none), [(State::Warning, nobody)]);
        assert!(
            none.ok
                && none.subscribers == Some(Vec::new())
                && !none.table.iter().any(|line| line.contains(':') && line.starts_with("Subscribed"))
        );
        let pending = of_test_topic(Ok(listed(&["PendingConfirmation"])));
        let waits = "Have not confirmed, and get nothing: 1.";
        assert_eq!(findings(&pending), [(State::Warning, nobody), (State::Warning, waits)]);
        let gone = of_test_topic(Ok(listed(&["arn", "Deleted", "Deleted"])));
        assert_eq!(findings(&gone)[1], (State::Warning, "Have unsubscribed lately, and get nothing: 2."));
        let alerts = DrillReport::new(sent(Topic::Alert), "bus", &Ok(()), Ok(Vec::new()));
        assert_eq!(findings(&alerts), [(State::Failed, "Nobody hears of emergency calls: nobody has confirmed.")]);
        assert!(!alerts.ok);
    }

    #[test]
    fn what_cannot_be_seen_or_told_is_in_the_report() {
        let unlisted = of_test_topic(Err(down()));
        assert_eq!(findings(&unlisted), [(State::Unknown, "Its subscribers cannot be listed: out of order.")]);
        assert!(unlisted.ok && unlisted.subscribers.is_none());
        let off_bus = DrillReport::new(sent(Topic::Test), "bus", &Err(down()), Ok(listed(&["arn"])));
        assert!(!off_bus.ok && !off_bus.on_bus);
        assert!(off_bus.table[1].starts_with("failed   event-bus  bus "), "{:?}", off_bus.table);
    }

    #[test]
    fn a_crowd_is_counted_and_not_shown() {
        let report = of_test_topic(Ok(listed(&["arn"; MOST_SHOWN + 7])));
        assert_eq!(findings(&report), [(State::Ok, "Confirmed subscribers: 1007.")]);
        assert_eq!(report.subscribers.as_ref().unwrap().len(), MOST_SHOWN);
        assert_eq!(report.table.iter().filter(|line| line.contains('@')).count(), MOST_SHOWN);
        assert!(report.table.contains(&"  and 7 more".to_owned()));
    }

    #[test]
    fn addresses_are_neither_in_the_rows_nor_in_debugging_output() {
        let report = of_test_topic(Ok(listed(&["arn", "PendingConfirmation", "Deleted"])));
        let rows = serde_json::to_string(&report.rows).unwrap();
        assert!(!rows.contains("ann@") && !format!("{report:?}").contains("ann@"), "{rows}");
    }
}

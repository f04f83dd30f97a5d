//! What a drill says: who should have got it now, and what is wrong.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

use crate::{
    check::{
        judge::heard,
        report::{Link, Row, State, lines},
        seen::Topic,
    },
    ports::{OutsideError, Subscribers},
    subscriber::{Standing, Subscriber},
};

/// So many subscribers are shown one by one; a report may be no larger than an answer of Lambda's.
const MOST_SHOWN: usize = 1000;

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
    pub subscribers: Option<Vec<Subscriber>>,
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
}

impl DrillReport {
    /// The report of a drill: what the bus of this name said to it, and who is subscribed.
    #[must_use]
    pub fn new(
        sent: Sent,
        bus_name: &str,
        bus: &Result<(), OutsideError>,
        subscribers: Result<Vec<Subscriber>, OutsideError>,
    ) -> Self {
        let mut rows = vec![taken(&sent), on_bus(bus_name, bus)];
        rows.extend(match &subscribers {
            Ok(subscribers) => subscribed(sent.topic, subscribers),
            Err(error) => vec![unlisted(sent.topic, error)],
        });
        let mut table = lines(&rows);
        if let Ok(subscribers) = &subscribers {
            table.extend(list(sent.topic, subscribers));
        }
        let mut subscribers = subscribers.ok();
        if let Some(subscribers) = &mut subscribers {
            subscribers.truncate(MOST_SHOWN);
        }
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

fn subscribed(topic: Topic, subscribers: &[Subscriber]) -> Vec<Row> {
    let those = |standing| subscribers.iter().filter(|one| one.standing == standing).count() as u64;
    let (confirmed, pending) = (those(Standing::Confirmed), those(Standing::Pending));
    let mut rows = heard(topic, Subscribers { confirmed, pending });
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
fn list(topic: Topic, subscribers: &[Subscriber]) -> Vec<String> {
    if subscribers.is_empty() {
        return Vec::new();
    }
    let shown = &subscribers[..subscribers.len().min(MOST_SHOWN)];
    let standings = shown.iter().map(|one| one.standing.word().len()).max().unwrap_or_default();
    let protocols = shown.iter().map(|one| one.protocol.chars().count()).max().unwrap_or_default();
    let mut lines = vec![String::new(), format!("Subscribed to {}:", topic.name())];
    lines.extend(
        shown.iter().map(|one| {
            format!("  {:<standings$}  {:<protocols$}  {}", one.standing.word(), one.protocol, one.endpoint)
        }),
    );
    if subscribers.len() > shown.len() {
        lines.push(format!("  and {} more", subscribers.len() - shown.len()));
    }
    lines.push("A filter policy may keep the drill from one who has confirmed.".to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sent(topic: Topic) -> Sent {
        let at = Timestamp::constant(1_764_000_000, 0);
        Sent { topic, call_id: "drill-1".to_owned(), at, message_id: "m-1".to_owned() }
    }

    fn down() -> OutsideError {
        OutsideError("out of order".to_owned())
    }

    fn listed(arns: &[&str]) -> Vec<Subscriber> {
        arns.iter().map(|arn| Subscriber::listed("email", "ann@example.com", arn)).collect()
    }

    fn of_test_topic(subscribers: Result<Vec<Subscriber>, OutsideError>) -> DrillReport {
        DrillReport::new(sent(Topic::Test), "bus", &Ok(()), subscribers)
    }

    /// The states and findings of what is said of the subscribers.
    fn findings(report: &DrillReport) -> Vec<(State, &str)> {
        report.rows[2..].iter().map(|row| (row.state, row.finding.as_str())).collect()
    }

    #[test]
    fn its_json_and_its_table_are_stable() {
        let subscribers = vec![
            Subscriber::listed("email", "ann@example.com", "arn"),
            Subscriber::listed("https", "https://hook.example/key", "PendingConfirmation"),
        ];
        let report = of_test_topic(Ok(subscribers));
        let pending = "They must open the link in the email from AWS, which holds for two days; an https endpoint must visit the \
                       address that it was sent. After that, subscribe them again.";
        let row = |link, subject, state, finding, step: Option<&str>| json!({"link": link, "subject": subject, "state": state, "finding": finding, "step": step});
        let expected = json!({
            "action": "drill", "ok": true, "topic": "TestTopic", "callId": "drill-1", "sentAt": "2025-11-24T16:00:00Z",
            "messageId": "m-1", "onBus": true,
            "subscribers": [
                {"protocol": "email", "endpoint": "ann@example.com", "standing": "confirmed"},
                {"protocol": "https", "endpoint": "https://hook.example/...", "standing": "pending"},
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
                "A filter policy may keep the drill from one who has confirmed.",
            ],
        });
        assert_eq!(serde_json::to_value(&report).unwrap(), expected);
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

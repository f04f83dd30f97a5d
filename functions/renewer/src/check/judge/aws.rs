//! The services of AWS that an alert passes, or that tell when something is wrong.

use std::time::Duration;

use crate::finding::{Link, Row};
use crate::topics::Topic;
use crate::{
    check::seen::Seen,
    config::Config,
    coverage::Coverage,
    ports::{OutsideError, Subscribers},
};

/// The second topic may take this long over a new connection. The receiver has little more when the home Region hangs.
const REACHED_IN_TIME: Duration = Duration::from_millis(400);

/// The state table.
pub(super) fn state_table(seen: &Seen, config: &Config) -> Row {
    let (link, subject) = (Link::StateTable, &config.table_name);
    match &seen.records {
        Ok(records) => Row::ok(link, subject, format!("It can be read. Subscriptions recorded: {}.", records.len())),
        Err(error) => Row::failed(
            link,
            subject,
            format!("It cannot be read: {error}."),
            "Without it alerts may come twice, and nothing is repaired. Check again; if it lasts, deploy the stack again: the \
             table must exist, and the roles of both functions must be allowed to use it.",
        ),
    }
}

/// Who hears what.
pub(super) fn topics(seen: &Seen) -> Vec<Row> {
    let heard = seen.topics.iter().flat_map(|(topic, subscribers)| one_topic(*topic, subscribers));
    heard.chain(seen.coverage.iter().filter_map(|(topic, coverage)| covered(*topic, coverage))).collect()
}

fn one_topic(topic: Topic, subscribers: &Result<Subscribers, OutsideError>) -> Vec<Row> {
    match subscribers {
        Ok(subscribers) => heard(topic, *subscribers),
        Err(error) => {
            let finding = format!("Its subscribers cannot be counted: {error}.");
            let step = match topic {
                Topic::SecondAlert => {
                    "Check again; if it lasts, compare SecondAlertTopicArn and update the stack of second-region.yaml: the topic must \
                     exist, and its policy must allow this renewer's role sns:GetTopicAttributes."
                }
                _ => {
                    "Check again; if it lasts, deploy the stack again: the topic must exist, and the renewer's role must be allowed \
                     sns:GetTopicAttributes."
                }
            };
            let row = if matches!(topic, Topic::Alert | Topic::SecondAlert) { Row::failed } else { Row::unknown };
            vec![row(Link::Topic, &topic.name(), &finding, &step)]
        }
    }
}

/// Whether anybody hears what is published to a topic.
pub(crate) fn heard(topic: Topic, subscribers: Subscribers) -> Vec<Row> {
    const SUBSCRIBE: &str = "Subscribe an address with aws sns subscribe, and confirm it.";
    let (link, name) = (Link::Topic, topic.name());
    let mut rows = Vec::new();
    if subscribers.confirmed == 0 {
        rows.push(match topic {
            Topic::Alert => {
                Row::failed(link, name, "Nobody hears of emergency calls: nobody has confirmed.", SUBSCRIBE)
            }
            Topic::SecondAlert => Row::failed(
                link,
                name,
                "Nobody would hear of a call that takes the second way: nobody has confirmed.",
                "Subscribe an address in its Region with aws sns subscribe, and confirm it, or deploy with an empty \
                 SecondAlertTopicArn: a topic without subscribers takes an alert and tells nobody.",
            ),
            Topic::Test => Row::warning(link, name, "Nobody hears of test calls: nobody has confirmed.", SUBSCRIBE),
            Topic::Operations => Row::warning(
                link,
                name,
                "Nobody hears the alarms: nobody has confirmed.",
                "Deploy with OperationsEmail, or subscribe an address with aws sns subscribe, and confirm it.",
            ),
            Topic::Chat => Row::warning(
                link,
                name,
                "No chat hears of emergency calls: nobody is subscribed.",
                "Choose the topic for a channel of Amazon Q Developer in chat applications, or deploy with ChatNotifications=Off.",
            ),
        });
    }
    if subscribers.pending > 0 {
        let finding = format!("Have not confirmed, and get nothing: {}.", subscribers.pending);
        let step = "They must open the link in the email from AWS, which holds for two days; an https endpoint must visit the address \
                    that it was sent. After that, subscribe them again.";
        rows.push(Row::warning(link, name, finding, step));
    }
    if rows.is_empty() {
        rows.push(Row::ok(link, name, format!("Confirmed subscribers: {}.", subscribers.confirmed)));
    }
    rows
}

/// A row if it is not known that somebody gets every message of a topic for calls. That nobody has confirmed is for
/// [`heard`] to say.
pub(crate) fn covered(topic: Topic, coverage: &Result<Coverage, OutsideError>) -> Option<Row> {
    let (link, name) = (Link::Topic, topic.name());
    match coverage {
        Ok(Coverage::Unfiltered | Coverage::Filtered(0)) => None,
        Ok(Coverage::Filtered(confirmed)) => Some(Row::failed(
            link,
            name,
            format!("Every confirmed subscriber has a filter policy ({confirmed}): nobody is sure to get every call."),
            "What a filter policy sees of these messages is not documented. Subscribe an address without a filter policy, and confirm \
             it; or remove a filter policy with aws sns set-subscription-attributes --attribute-name FilterPolicy --attribute-value '{}'.",
        )),
        Err(error) => Some(Row::unknown(
            link,
            name,
            format!("Whether anybody gets every call cannot be seen: {error}."),
            "Amazon SNS shows a filter policy only to the account that subscribed. Look there with aws sns get-subscription-attributes: \
             one confirmed subscriber must have no FilterPolicy. If all are of this account, deploy the stack again: the renewer's role must \
             be allowed sns:ListSubscriptionsByTopic and sns:GetSubscriptionAttributes.",
        )),
    }
}

/// Whether the second topic is near enough for the time that the receiver has for it.
pub(super) fn second_way(seen: &Seen) -> Option<Row> {
    let (link, name) = (Link::SecondWay, Topic::SecondAlert.name());
    let took = match seen.second_way.as_ref()? {
        Ok(took) => took,
        Err(error) => {
            let step = "Check again; if it lasts, do as the row of the topic says.";
            return Some(Row::unknown(link, name, format!("How long it takes to reach is unknown: {error}."), step));
        }
    };
    let finding = format!("Over a new connection it answered after {} ms.", took.as_millis());
    Some(if *took <= REACHED_IN_TIME {
        Row::ok(link, name, finding)
    } else {
        let step = "Check again; if it lasts, choose a nearer Region for second-region.yaml, with a round trip under about 100 ms: \
                    when this Region hangs, the receiver has about half a second for the second way, connecting included.";
        Row::warning(link, name, finding, step)
    })
}

/// What the stack's alarms say.
pub(super) fn alarms(seen: &Seen, config: &Config) -> Vec<Row> {
    let (link, stack) = (Link::Alarm, &config.stack_name);
    let alarms = match &seen.alarms {
        Ok(alarms) => alarms,
        Err(error) => {
            let step = "Look by hand in CloudWatch, Alarms. If it lasts, deploy the stack again: the renewer's role must be allowed \
                        cloudwatch:DescribeAlarms.";
            return vec![Row::unknown(link, stack, format!("The alarms cannot be seen: {error}."), step)];
        }
    };
    if alarms.is_empty() {
        let finding = "The stack has no alarms: nobody would learn that it is ill.";
        return vec![Row::warning(link, stack, finding, "Deploy the stack again: the template makes them.")];
    }
    let mut rows = Vec::new();
    let step = "Do as it says. It ends by itself when its cause is gone.";
    let in_alarm = alarms.iter().filter(|alarm| alarm.state == "ALARM");
    rows.extend(
        in_alarm.map(|alarm| Row::failed(link, &alarm.name, format!("It is in alarm. {}", alarm.description), step)),
    );
    let blind = alarms.iter().filter(|alarm| !matches!(alarm.state.as_str(), "OK" | "ALARM"));
    // In one row: after a deployment it is all of them.
    let prefix = format!("{stack}-");
    let blind: Vec<_> = blind.map(|alarm| alarm.name.strip_prefix(&prefix).unwrap_or(&alarm.name)).collect();
    if !blind.is_empty() {
        let finding =
            format!("Have nothing to go by: {} of {} alarms ({}).", blind.len(), alarms.len(), blind.join(", "));
        let step = "Within an hour of a deployment this passes. Later, see in CloudWatch whether their metrics exist.";
        rows.push(Row::warning(link, stack, finding, step));
    }
    if rows.is_empty() {
        rows.push(Row::ok(link, stack, format!("All {} alarms are OK.", alarms.len())));
    }
    rows
}

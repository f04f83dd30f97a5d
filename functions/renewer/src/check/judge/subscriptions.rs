//! The subscriptions: whether Graph watches each policy, delivers to us, and sends what the receiver can accept and read.

use graph_notifications::Policy;
use graph_subscriptions::Subscription;
use jiff::{SignedDuration, Timestamp};

use super::{RECONCILE, graph_step, span};
use crate::finding::{Link, Row};
use crate::{
    check::seen::Seen,
    config::Config,
    plan::{proven_state, watches},
    records::{Record, sort_key},
    tampering::is_same_address,
};

/// A subscription that has less time left was not renewed for half a day.
const SHORT: SignedDuration = SignedDuration::from_hours(12);

/// Graph delivers under the token of the last renewal, and that lasts about an hour.
const TOKEN_SPENT: SignedDuration = SignedDuration::from_mins(60);

/// After two hours without a renewal Graph has surely stopped.
const SILENT: SignedDuration = SignedDuration::from_hours(2);

/// Each policy's subscription, and what else the app subscribes to.
pub(super) fn subscriptions(seen: &Seen, config: &Config, now: Timestamp) -> Vec<Row> {
    let mut rows: Vec<_> = config.policies.iter().flat_map(|policy| one_policy(policy, seen, config, now)).collect();
    rows.extend(strangers(seen, config, now));
    rows
}

/// Subscriptions of the same app that deliver elsewhere: whoever receives from them has tokens that vouch for our calls, too.
fn strangers(seen: &Seen, config: &Config, now: Timestamp) -> Vec<Row> {
    let mut rows = Vec::new();
    for tenant in &seen.tenants {
        for one in tenant.subscriptions.iter().flatten().flatten().filter(|one| one.expires_at > now) {
            let recorded = seen.records.iter().flatten().any(|record| record.subscription_id.as_ref() == Some(&one.id));
            // What is in the way of a policy has a row there.
            let of_policy = config.policies.iter().any(|policy| policy.tenant == tenant.tenant && watches(one, policy));
            if recorded || of_policy || is_same_address(&one.notification_url, &config.notification_url) {
                continue;
            }
            let finding = format!(
                "The app has another subscription, {} to {}, which delivers to {}: whoever receives there holds valid tokens of \
                 Microsoft's for this app.",
                one.id,
                one.resource.chars().filter(|c| !c.is_control()).take(120).collect::<String>(),
                host(&one.notification_url)
            );
            let step = "Use this app registration for nothing else. If nobody in the tenant made it, the app's credential has \
                        leaked: see docs/after-a-leak.md.";
            rows.push(Row::warning(Link::Subscription, tenant.tenant.to_string(), finding, step));
        }
    }
    rows
}

fn one_policy(policy: &Policy, seen: &Seen, config: &Config, now: Timestamp) -> Vec<Row> {
    let (link, subject) = (Link::Subscription, sort_key(policy));
    let tenant = seen.tenants.iter().find(|tenant| tenant.tenant == policy.tenant);
    let listed = match tenant.and_then(|tenant| tenant.subscriptions.as_ref()) {
        None => {
            let finding = "Without an access token Graph cannot be asked for it.";
            return vec![Row::unknown(link, subject, finding, "See to the credential first.")];
        }
        Some(Err(error)) => return vec![Row::failed(link, subject, format!("{error}."), graph_step(error))],
        Some(Ok(listed)) => listed,
    };
    let record = seen.records.iter().flatten().find(|record| record.policy == *policy);
    let (ours, others): (Vec<_>, Vec<_>) = listed
        .iter()
        .filter(|one| watches(one, policy))
        .partition(|one| is_same_address(&one.notification_url, &config.notification_url));
    let (live, ended): (Vec<_>, Vec<_>) = ours.into_iter().partition(|one| one.expires_at > now);
    let mut rows = Vec::new();
    let recorded = |one: &&&Subscription| record.is_some_and(|record| record.subscription_id.as_ref() == Some(&one.id));
    match live.iter().find(recorded).or_else(|| live.iter().max_by_key(|one| one.expires_at)) {
        Some(one) => rows.extend(of_live(&subject, one, record, seen, config, now)),
        None => rows.push(missing(&subject, &ended, record, config, now)),
    }
    if live.len() > 1 {
        let finding = format!(
            "Graph has {} subscriptions for it with our address: calls would arrive more than once.",
            live.len()
        );
        rows.push(Row::warning(link, &subject, finding, RECONCILE));
    }
    for other in others {
        let finding =
            format!("A subscription of the same app for it delivers to {} instead.", host(&other.notification_url));
        let step = "Graph keeps one subscription per app and policy. If another installation uses this app, give each its own app \
                    registration; else the renewer removes it when it is in the way.";
        rows.push(Row::warning(link, &subject, finding, step));
    }
    rows
}

/// There is none that delivers to us.
fn missing(subject: &str, ended: &[&Subscription], record: Option<&Record>, config: &Config, now: Timestamp) -> Row {
    const CREATE: &str = "Run make ask ACTION=reconcile STACK_NAME=...: it creates one, or says why it cannot. If Graph does not know \
                          the policy, compare PolicyNames with the Teams admin centre: Voice, Emergency policies, Calling policies.";
    const BETA: &str = " If Graph does not know emergency calls in this version, deploy with \
                        GraphEndpoint=https://graph.microsoft.com/beta.";
    let step = if config.graph.is_v1() { format!("{CREATE}{BETA}") } else { CREATE.to_owned() };
    let finding = match (ended.iter().map(|one| one.expires_at).max(), record) {
        (Some(end), _) => format!("Its subscription ended {} ago: calls go unreported.", span(now.duration_since(end))),
        (None, Some(record)) if record.is_intent() => format!(
            "Graph has no subscription for it, and an attempt {} ago to create one did not succeed: calls go unreported.",
            span(now.duration_since(record.updated_at))
        ),
        (None, Some(_)) => "Graph no longer has its subscription: calls go unreported.".to_owned(),
        (None, None) => "Graph has no subscription for it: calls go unreported.".to_owned(),
    };
    Row::failed(Link::Subscription, subject, finding, step)
}

/// What is wrong with a live one.
fn of_live(
    subject: &str,
    one: &Subscription,
    record: Option<&Record>,
    seen: &Seen,
    config: &Config,
    now: Timestamp,
) -> Vec<Row> {
    let link = Link::Subscription;
    let mut rows = Vec::new();
    let left = one.expires_at.duration_since(now);
    if left < SHORT {
        let finding = format!("It ends in {}: it was not renewed for half a day.", span(left));
        rows.push(Row::warning(link, subject, finding, RECONCILE));
    }
    match one.lifecycle_notification_url.as_deref() {
        Some(url) if is_same_address(url, &config.notification_url) => {}
        Some(url) => {
            let finding = format!("Its lifecycle notifications go to {} instead of here.", host(url));
            rows.push(Row::warning(link, subject, finding, RECONCILE));
        }
        None => {
            let finding =
                "It has no address for lifecycle notifications, so that Graph cannot say when it needs renewal.";
            rows.push(Row::warning(link, subject, finding, RECONCILE));
        }
    }
    rows.extend(unreadable(subject, one, record, seen));
    let renewed = record.filter(|record| record.subscription_id.as_ref() == Some(&one.id));
    let age = renewed.map(|record| now.duration_since(record.updated_at));
    if let Some(age) = age.filter(|age| *age > TOKEN_SPENT) {
        let finding =
            format!("It was last renewed {} ago; Graph delivers for about an hour after a renewal.", span(age));
        let row = if age > SILENT { Row::failed } else { Row::warning };
        rows.push(row(link, &subject, &finding, &RECONCILE));
    }
    if rows.is_empty() {
        let renewed = age.map(|age| format!("; it was renewed {} ago", span(age))).unwrap_or_default();
        rows.push(Row::ok(link, subject, format!("Graph delivers to our address for {} more{renewed}.", span(left))));
    }
    rows
}

/// Why the receiver would reject its notifications, or could not read them.
fn unreadable(subject: &str, one: &Subscription, record: Option<&Record>, seen: &Seen) -> Vec<Row> {
    let link = Link::Subscription;
    let Ok(keyring) = &seen.keyring else {
        let finding = "Whether its notifications can be accepted and read cannot be seen.";
        return vec![Row::unknown(link, subject, finding, "See to the keyring first.")];
    };
    let mut rows = Vec::new();
    match one.encryption_certificate_id.as_deref() {
        Some(id) if keyring.certificates.iter().any(|certificate| certificate.id == id) => {}
        Some(id) => {
            let finding = format!(
                "Graph encrypts for the certificate '{id}', whose key the keyring lacks: alerts come without details."
            );
            rows.push(Row::failed(link, subject, finding, RECONCILE));
        }
        None => {
            let finding = "Graph does not say for which certificate it encrypts.";
            let step = "Dial a test number: the alert shows whether details can be read.";
            rows.push(Row::unknown(link, subject, finding, step));
        }
    }
    let is_known = |id: &str| keyring.client_states.iter().any(|state| state == id);
    if seen.records.is_err() {
        let finding = "Whether its client state is known cannot be seen.";
        rows.push(Row::unknown(link, subject, finding, "See to the state table first."));
    } else if proven_state(is_known, record, one).is_none() {
        let finding = "Nobody knows its client state: its calls alert as not verified, or not at all with UnverifiedCalls=Reject.";
        rows.push(Row::failed(link, subject, finding, RECONCILE));
    }
    rows
}

/// The host alone: the rest of somebody's address may be a secret.
fn host(url: &str) -> String {
    let host = reqwest::Url::parse(url).ok().and_then(|url| url.host_str().map(ToOwned::to_owned));
    host.unwrap_or_else(|| "an address that cannot be read".to_owned())
}

//! What to do about the difference between the subscriptions that should be and those that are.

use graph_notifications::{Policies, Policy, TenantId};
use graph_subscriptions::Subscription;
use jiff::Timestamp;

use crate::records::Record;

/// What should be.
#[derive(Debug, Clone)]
pub struct Desired<'a> {
    /// A subscription for each of these, and no other.
    pub policies: &'a Policies,
    /// Where they deliver.
    pub notification_url: &'a str,
    /// The names of the client states that the receiver accepts.
    pub client_state_ids: Vec<String>,
}

/// What is, in one tenant.
#[derive(Debug, Clone)]
pub struct Observed<'a> {
    /// The tenant.
    pub tenant: TenantId,
    /// Graph's whole list.
    pub listed: Vec<Subscription>,
    /// The state table's records; `None` if it cannot be read.
    pub records: Option<&'a [Record]>,
}

/// A thing to do. Each policy of an observed tenant has one action of the first three; if the state table cannot be read,
/// it may have several renewals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Renew a subscription.
    Renew(Renew),
    /// Create a subscription where there is none.
    Create(Create),
    /// Delete subscriptions that are of no use, and create one.
    Replace(Replace),
    /// Delete a subscription that no policy asks for.
    DeleteStray(Subscription, TenantId),
    /// Delete the record of a policy that is not configured any more and has no subscription.
    Forget(Policy),
}

/// Renew a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    /// Its policy.
    pub policy: Policy,
    /// The subscription.
    pub subscription: Subscription,
    /// The name of its client state; `None` if the state table cannot be read.
    pub client_state_id: Option<String>,
    /// The certificate that it was last known to have.
    pub certificate_id: Option<String>,
    /// Whether it is known only by an unfinished attempt to create it.
    pub adopted: bool,
    /// The subscription that was found lost before it, which nobody has been told yet.
    pub lost: Option<String>,
    /// Other subscriptions for the same policy, to delete once this one is renewed.
    pub duplicates: Vec<String>,
}

/// Create a subscription where there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Create {
    /// Its policy.
    pub policy: Policy,
    /// The name of the client state that an unfinished attempt may have given it; `None` for a fresh one.
    pub client_state_id: Option<String>,
    /// The record of the policy's last subscription, or of an attempt whose end is unknown.
    pub previous: Option<Record>,
    /// Whether what is in the way may be deleted: not if the state table cannot be read.
    pub may_delete: bool,
    /// The subscription that was found lost.
    pub lost: Option<String>,
}

/// Delete subscriptions that are of no use, and create one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replace {
    /// The policy.
    pub policy: Policy,
    /// What to delete.
    pub ids: Vec<String>,
    /// Why they are of no use.
    pub why: &'static str,
    /// Whether one of them delivers all the same, as long as it is renewed.
    pub works: bool,
    /// What to create then.
    pub create: Create,
}

/// Why a subscription without an address for lifecycle notifications is replaced.
pub const NO_LIFECYCLE: &str =
    "the subscription had no address for lifecycle notifications, which cannot be added later";
/// Why a subscription whose client state nobody knows is replaced.
pub const UNKNOWN_STATE: &str =
    "the subscription's client state was unknown, so that its notifications would be rejected";

/// Compares the two. It changes nothing and asks nobody; `now` tells which subscriptions have ended.
#[must_use]
pub fn plan(desired: &Desired<'_>, observed: &Observed<'_>, now: Timestamp) -> Vec<Action> {
    let tenant = observed.tenant;
    let ours: Vec<&Subscription> = observed
        .listed
        .iter()
        .filter(|one| one.notification_url == desired.notification_url && one.expires_at > now)
        .collect();
    let policies: Vec<&Policy> = desired.policies.iter().filter(|policy| policy.tenant == tenant).collect();
    let of = |policy: &Policy| ours.iter().copied().filter(|one| watches(one, policy)).collect::<Vec<_>>();
    let Some(records) = observed.records else {
        return policies.iter().flat_map(|policy| without_records(policy, of(policy))).collect();
    };
    let for_policies =
        policies.iter().map(|policy| for_policy(desired, policy, &of(policy), record_of(records, policy)));
    let wanted = |one: &Subscription| policies.iter().any(|policy| watches(one, policy));
    let strays = ours.iter().filter(|one| !wanted(one)).map(|&one| Action::DeleteStray(one.clone(), tenant));
    // A name in another spelling than the configured one is that of a record from before.
    let over = |record: &&Record| {
        record.policy.tenant == tenant
            && !policies.contains(&&record.policy)
            && !ours.iter().any(|one| watches(one, &record.policy))
    };
    let forgotten = records.iter().filter(over).map(|record| Action::Forget(record.policy.clone()));
    for_policies.chain(strays).chain(forgotten).collect()
}

/// Whether a subscription watches a policy of its tenant. Teams does not tell names apart by case, and it is not known
/// whether Graph repeats a name as it was given.
#[must_use]
pub fn watches(subscription: &Subscription, policy: &Policy) -> bool {
    subscription.policy_name().is_some_and(|name| policy.is(policy.tenant, &name))
}

/// The name of the client state that a record proves for a subscription.
///
/// The record of an attempt proves it for a subscription with exactly the end that the attempt requested. That there was
/// an attempt is not enough: a list may have hidden an older subscription, and one whose notifications are all rejected
/// must never pass for a good one.
#[must_use]
pub fn proven_state<'a>(
    is_known: impl Fn(&str) -> bool,
    record: Option<&'a Record>,
    subscription: &Subscription,
) -> Option<&'a str> {
    let record = record?;
    let proves = match &record.subscription_id {
        Some(id) => *id == subscription.id,
        None => record.subscription_expires_at == Some(subscription.expires_at),
    };
    let state = record.client_state_id.as_str();
    (proves && is_known(state)).then_some(state)
}

fn record_of<'a>(records: &'a [Record], policy: &Policy) -> Option<&'a Record> {
    records.iter().find(|record| record.policy.is(policy.tenant, &policy.name))
}

fn for_policy(desired: &Desired<'_>, policy: &Policy, ours: &[&Subscription], record: Option<&Record>) -> Action {
    let is_known = |id: &str| desired.client_state_ids.iter().any(|known| known == id);
    let useful = |one: &&&Subscription| {
        one.lifecycle_notification_url.is_some() && proven_state(is_known, record, one).is_some()
    };
    if let Some(&kept) = ours.iter().filter(useful).max_by_key(|one| one.expires_at) {
        return Action::Renew(Renew {
            policy: policy.clone(),
            subscription: kept.clone(),
            client_state_id: proven_state(is_known, record, kept).map(ToOwned::to_owned),
            certificate_id: record.map(|record| record.certificate_id.clone()),
            adopted: record.is_some_and(Record::is_intent),
            lost: record.and_then(|record| record.replaces.clone()),
            duplicates: ours.iter().filter(|one| one.id != kept.id).map(|one| one.id.clone()).collect(),
        });
    }
    let listed = |id: &&String| ours.iter().any(|one| one.id == **id);
    let lost = record.and_then(|record| {
        record.subscription_id.as_ref().filter(|id| !listed(id)).or(record.replaces.as_ref()).cloned()
    });
    let intent = record.filter(|record| record.is_intent() && is_known(&record.client_state_id));
    let create = Create {
        policy: policy.clone(),
        client_state_id: intent.map(|record| record.client_state_id.clone()),
        previous: record.cloned(),
        may_delete: true,
        lost,
    };
    if ours.is_empty() {
        return Action::Create(create);
    }
    let proven = ours.iter().any(|one| proven_state(is_known, record, one).is_some());
    Action::Replace(Replace {
        policy: policy.clone(),
        ids: ours.iter().map(|one| one.id.clone()).collect(),
        why: if proven { NO_LIFECYCLE } else { UNKNOWN_STATE },
        works: proven,
        create,
    })
}

/// Nothing is deleted: whichever subscription is the one with the known client state, it is renewed with the others.
fn without_records(policy: &Policy, ours: Vec<&Subscription>) -> Vec<Action> {
    if ours.is_empty() {
        return vec![Action::Create(Create {
            policy: policy.clone(),
            client_state_id: None,
            previous: None,
            may_delete: false,
            lost: None,
        })];
    }
    let renew = |one: &Subscription| {
        Action::Renew(Renew {
            policy: policy.clone(),
            subscription: one.clone(),
            client_state_id: None,
            certificate_id: None,
            adopted: false,
            lost: None,
            duplicates: Vec::new(),
        })
    };
    ours.into_iter().map(renew).collect()
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;
    use crate::fake::{OTHER, START, TENANT, URL, config, policy};

    fn subscription(id: &str, name: &str) -> Subscription {
        Subscription {
            id: id.to_owned(),
            resource: policy(name).resource(),
            notification_url: URL.to_owned(),
            lifecycle_notification_url: Some(URL.to_owned()),
            expires_at: START + SignedDuration::from_hours(20),
            encryption_certificate_id: None,
        }
    }

    fn record(name: &str, id: Option<&str>, state: &str) -> Record {
        Record {
            policy: policy(name),
            subscription_id: id.map(ToOwned::to_owned),
            client_state_id: state.to_owned(),
            certificate_id: "key-1".to_owned(),
            subscription_expires_at: Some(START + SignedDuration::from_hours(20)),
            replaces: None,
            updated_at: START,
        }
    }

    fn planned(policies: &str, listed: Vec<Subscription>, records: Option<&[Record]>) -> Vec<String> {
        let config = config(policies);
        let desired = Desired {
            policies: &config.policies,
            notification_url: URL,
            client_state_ids: vec!["older".to_owned(), "current".to_owned()],
        };
        let observed = Observed { tenant: TENANT.parse().unwrap(), listed, records };
        plan(&desired, &observed, START).iter().map(line).collect()
    }

    /// An action in one line, so that the cases read as a table.
    fn line(action: &Action) -> String {
        let lost = |create: &Create| create.lost.as_ref().map(|id| format!(" for {id}")).unwrap_or_default();
        let state = |create: &Create| create.client_state_id.clone().unwrap_or_else(|| "a fresh state".to_owned());
        match action {
            Action::Renew(renew) => format!(
                "{} {} {}{}{}",
                if renew.adopted { "adopt" } else { "renew" },
                renew.policy.name,
                renew.subscription.id,
                renew.client_state_id.as_ref().map(|state| format!(" with {state}")).unwrap_or_default(),
                if renew.duplicates.is_empty() {
                    String::new()
                } else {
                    format!(" not {}", renew.duplicates.join(","))
                },
            ),
            Action::Create(create) => {
                let kind = if create.may_delete { "create" } else { "add" };
                format!("{kind} {} with {}{}", create.policy.name, state(create), lost(create))
            }
            Action::Replace(replace) => format!(
                "replace {} {} with {}{}{}",
                replace.policy.name,
                replace.ids.join(","),
                state(&replace.create),
                lost(&replace.create),
                if replace.why == NO_LIFECYCLE { " (lifecycle)" } else { "" },
            ),
            Action::DeleteStray(stray, _) => format!("delete {}", stray.id),
            Action::Forget(policy) => format!("forget {}", policy.name),
        }
    }

    fn changed(subscription: Subscription, change: impl FnOnce(&mut Subscription)) -> Subscription {
        let mut subscription = subscription;
        change(&mut subscription);
        subscription
    }

    #[test]
    fn each_situation_has_its_action() {
        let one = || subscription("s1", "Global");
        let later =
            |id: &str| changed(subscription(id, "Global"), |one| one.expires_at += SignedDuration::from_hours(1));
        let bare = || changed(one(), |one| one.lifecycle_notification_url = None);
        let foreign = || changed(one(), |one| one.notification_url = "https://elsewhere.example/".to_owned());
        let ended = || changed(one(), |one| one.expires_at = START);
        let known = || record("Global", Some("s1"), "current");
        let lost_before = Record { replaces: Some("s0".to_owned()), ..record("Global", None, "older") };
        for (situation, listed, records, expected) in [
            ("nothing", vec![], vec![], "create Global with a fresh state"),
            ("known", vec![one()], vec![known()], "renew Global s1 with current"),
            (
                "known by an older state",
                vec![one()],
                vec![record("Global", Some("s1"), "older")],
                "renew Global s1 with older",
            ),
            ("unrecorded", vec![one()], vec![], "replace Global s1 with a fresh state"),
            (
                "recorded for another policy",
                vec![one()],
                vec![record("Other", Some("s1"), "current")],
                "replace Global s1 with a fresh state",
            ),
            (
                "recorded under another id",
                vec![one()],
                vec![record("Global", Some("s0"), "current")],
                "replace Global s1 with a fresh state for s0",
            ),
            (
                "recorded with a lost state",
                vec![one()],
                vec![record("Global", Some("s1"), "gone")],
                "replace Global s1 with a fresh state",
            ),
            ("unfinished attempt", vec![one()], vec![record("Global", None, "older")], "adopt Global s1 with older"),
            (
                "unfinished attempt, another end",
                vec![later("s1")],
                vec![record("Global", None, "older")],
                "replace Global s1 with older",
            ),
            ("attempt that came to nothing", vec![], vec![record("Global", None, "older")], "create Global with older"),
            (
                "attempt with a lost state",
                vec![],
                vec![record("Global", None, "gone")],
                "create Global with a fresh state",
            ),
            ("lost", vec![], vec![known()], "create Global with a fresh state for s1"),
            ("still lost", vec![], vec![lost_before], "create Global with older for s0"),
            ("ended", vec![ended()], vec![known()], "create Global with a fresh state for s1"),
            ("no lifecycle address", vec![bare()], vec![known()], "replace Global s1 with a fresh state (lifecycle)"),
            ("of another program", vec![foreign()], vec![], "create Global with a fresh state"),
            ("twins, one known", vec![one(), later("s2")], vec![known()], "renew Global s1 with current not s2"),
            ("twins, none known", vec![one(), later("s2")], vec![], "replace Global s1,s2 with a fresh state"),
        ] {
            let actions = planned("Global", listed, Some(&records));
            assert_eq!(actions.first().map(String::as_str), Some(expected), "{situation}");
        }
    }

    #[test]
    fn what_nobody_asks_for_goes() {
        let listed = vec![
            subscription("s1", "Global"),
            subscription("s2", "Gone"),
            changed(subscription("s3", "Gone"), |one| one.notification_url = "https://elsewhere.example/".to_owned()),
            changed(subscription("s4", "Gone"), |one| one.resource = "users/1/messages".to_owned()),
        ];
        let records = vec![
            record("Global", Some("s1"), "current"),
            record("Gone", Some("s2"), "current"),
            record("Long gone", Some("s0"), "current"),
        ];
        let expected = ["renew Global s1 with current", "delete s2", "delete s4", "forget Long gone"];
        assert_eq!(planned("Global", listed, Some(&records)), expected);
    }

    #[test]
    fn without_records_nothing_goes() {
        let listed = vec![
            subscription("s1", "Global"),
            changed(subscription("s2", "Global"), |one| one.lifecycle_notification_url = None),
            subscription("s3", "Gone"),
        ];
        let expected = ["renew Global s1", "renew Global s2", "add Warehouse with a fresh state"];
        assert_eq!(planned("Global,Warehouse", listed, None), expected);
    }

    #[test]
    fn a_tenant_that_was_not_listed_is_left_alone() {
        let other = Record {
            policy: Policy { tenant: OTHER.parse().unwrap(), name: "Gone".parse().unwrap() },
            ..record("Gone", Some("s9"), "current")
        };
        let actions = planned(&format!("Global,{OTHER}/Global"), vec![], Some(&[other]));
        assert_eq!(actions, ["create Global with a fresh state"]);
    }

    #[test]
    fn names_are_the_same_in_any_case() {
        let listed = vec![subscription("s1", "GLOBAL")];
        let actions = planned("Global", listed, Some(&[record("Global", Some("s1"), "current")]));
        assert_eq!(actions, ["renew Global s1 with current"]);
    }
}

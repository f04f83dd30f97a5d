//! What to do about the difference between the subscriptions that should be and those that are.
//!
//! What we recorded is known by its id: only what Graph answers about that id decides what becomes of it. Graph's list leaves
//! live subscriptions out and names deleted ones for days, so that it only adds what no record tells of.

use std::collections::{BTreeMap, BTreeSet};

use graph_notifications::{Policies, Policy, TenantId};
use graph_subscriptions::Subscription;
use jiff::{SignedDuration, Timestamp};

use crate::{
    records::Record,
    tampering::{Tampering, is_same_address, tampering},
};

/// How long a policy's subscription that somebody changed is left alone after one was replaced for that. Were it ours after
/// all, in a dress that we do not know, each replacement would cost seconds of calls.
const BETWEEN_REPLACEMENTS: SignedDuration = SignedDuration::from_hours(24);

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
    /// What Graph lists, as far as it does.
    pub listed: Vec<Subscription>,
    /// What Graph answers about each recorded id. One that is missing here was not asked for.
    pub recorded: BTreeMap<String, Answered>,
    /// The state table's records; `None` if it cannot be read.
    pub records: Option<&'a [Record]>,
}

/// What Graph answers about a subscription by its id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// It is there.
    Live(Subscription),
    /// There is none.
    Gone,
    /// Graph did not say, for this reason. Renewing it will show.
    Unknown(String),
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
    DeleteStray(Stray),
    /// Delete the record of a policy that is not configured any more and has no subscription, or one under another spelling.
    Forget(Policy),
}

/// A subscription as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Graph's name for it.
    pub id: String,
    /// When it ends unless renewed.
    pub expires_at: Option<Timestamp>,
    /// The certificate that Graph encrypts for.
    pub certificate_id: Option<String>,
}

impl From<&Subscription> for Held {
    fn from(subscription: &Subscription) -> Self {
        Self {
            id: subscription.id.clone(),
            expires_at: Some(subscription.expires_at),
            certificate_id: subscription.encryption_certificate_id.clone(),
        }
    }
}

/// Renew a subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Renew {
    /// Its policy.
    pub policy: Policy,
    /// The subscription.
    pub subscription: Held,
    /// The name of its client state; `None` if the state table cannot be read.
    pub client_state_id: Option<String>,
    /// The certificate that it was last known to have.
    pub certificate_id: Option<String>,
    /// Whether it is known only by an unfinished attempt to create it.
    pub adopted: bool,
    /// The subscription that was found lost before it, which nobody has been told yet.
    pub lost: Option<String>,
    /// What somebody changed of it, which is not replaced again so soon.
    pub tampering: Option<Tampering>,
    /// When one of the policy was last replaced for that.
    pub tampered_at: Option<Timestamp>,
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
    /// The record of the policy's last subscription, or of an attempt whose end is unknown: by it what is in the way is known.
    pub previous: Option<Record>,
    /// Whether what is in the way may be deleted: not if the state table cannot be read.
    pub may_delete: bool,
    /// The subscription that was found lost.
    pub lost: Option<String>,
    /// The subscription that somebody changed, and what of it.
    pub tampered: Option<(String, Tampering)>,
    /// When one of the policy was last replaced for that.
    pub tampered_at: Option<Timestamp>,
}

impl Create {
    /// The subscription that was lost or changed, as long as no event about it was sent.
    #[must_use]
    pub fn untold(&self) -> Option<String> {
        self.lost.clone().or_else(|| self.tampered.as_ref().map(|(id, _)| id.clone()))
    }
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
    /// Whether one of them may deliver all the same, as long as it is renewed: a call with one proof alerts.
    pub works: bool,
    /// What to create then.
    pub create: Create,
}

/// A subscription with our address that no policy asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stray {
    /// Its tenant.
    pub tenant: TenantId,
    /// Graph's name for it.
    pub id: String,
    /// What it watches.
    pub resource: String,
}

/// Why a subscription that somebody changed is replaced.
pub const TAMPERED: &str = "somebody who holds the app's credential had changed the subscription";
/// Why a subscription whose client state nobody knows is replaced.
pub const UNKNOWN_STATE: &str =
    "the keyring did not have the subscription's client state, or it was revoked since others may know it";

/// Compares the two. It changes nothing and asks nobody; `now` tells which subscriptions have ended.
#[must_use]
pub fn plan(desired: &Desired<'_>, observed: &Observed<'_>, now: Timestamp) -> Vec<Action> {
    let tenant = observed.tenant;
    let policies: Vec<&Policy> = desired.policies.iter().filter(|policy| policy.tenant == tenant).collect();
    let records = observed.records.unwrap_or_default();
    let recorded: BTreeSet<&String> = records.iter().filter_map(|record| record.subscription_id.as_ref()).collect();
    // Ours, and none that a record tells of: of that the list proves nothing.
    let listed: Vec<&Subscription> = observed
        .listed
        .iter()
        .filter(|one| is_same_address(&one.notification_url, desired.notification_url) && one.expires_at > now)
        .filter(|one| !recorded.contains(&one.id))
        .collect();
    let of = |policy: &Policy| listed.iter().copied().filter(|one| watches(one, policy)).collect::<Vec<_>>();
    if observed.records.is_none() {
        return policies.iter().flat_map(|policy| without_records(policy, of(policy))).collect();
    }
    let for_policies = policies
        .iter()
        .map(|policy| for_policy(desired, observed, policy, &of(policy), record_of(records, policy), now));
    let is_wanted = |one: &Subscription| policies.iter().any(|policy| watches(one, policy));
    let strays = listed
        .iter()
        .filter(|one| !is_wanted(one))
        .map(|one| Action::DeleteStray(Stray { tenant, id: one.id.clone(), resource: one.resource.clone() }));
    let others = records.iter().filter(|record| record.policy.tenant == tenant);
    let others = others.filter_map(|record| for_other_record(observed, &policies, records, record));
    for_policies.chain(strays).chain(others).collect()
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

/// A policy's record: the one under its name as configured, or under another spelling from before.
#[must_use]
pub fn record_of<'a>(records: &'a [Record], policy: &Policy) -> Option<&'a Record> {
    let exact = records.iter().find(|record| record.policy == *policy);
    exact.or_else(|| records.iter().find(|record| record.policy.is(policy.tenant, &policy.name)))
}

/// What to do about a record that is not a configured policy's own.
fn for_other_record(
    observed: &Observed<'_>,
    policies: &[&Policy],
    records: &[Record],
    record: &Record,
) -> Option<Action> {
    let configured = policies.iter().find(|policy| policy.is(record.policy.tenant, &record.policy.name));
    if let Some(policy) = configured {
        // Another spelling, whose subscription is recorded under the configured one by now.
        let is_spare = record.policy != **policy && records.iter().any(|other| other.policy == **policy);
        return is_spare.then(|| Action::Forget(record.policy.clone()));
    }
    match &record.subscription_id {
        Some(id) if observed.recorded.get(id) != Some(&Answered::Gone) => Some(Action::DeleteStray(Stray {
            tenant: record.policy.tenant,
            id: id.clone(),
            resource: record.policy.resource(),
        })),
        _ => Some(Action::Forget(record.policy.clone())),
    }
}

fn for_policy(
    desired: &Desired<'_>,
    observed: &Observed<'_>,
    policy: &Policy,
    listed: &[&Subscription],
    record: Option<&Record>,
    now: Timestamp,
) -> Action {
    let is_known = |id: &str| desired.client_state_ids.iter().any(|known| known == id);
    if let Some(record) = record
        && let Some(id) = &record.subscription_id
        && observed.recorded.get(id) != Some(&Answered::Gone)
        && is_known(&record.client_state_id)
    {
        let shown = match observed.recorded.get(id) {
            Some(Answered::Live(shown)) => Some(shown),
            _ => None,
        };
        return for_recorded(desired, record, (policy, id, shown), listed, now);
    }
    let adoptable =
        |one: &&&Subscription| record.is_some_and(Record::is_intent) && proven_state(is_known, record, one).is_some();
    if let Some(&kept) = listed.iter().filter(adoptable).max_by_key(|one| one.expires_at) {
        return Action::Renew(Renew {
            policy: policy.clone(),
            subscription: kept.into(),
            client_state_id: proven_state(is_known, record, kept).map(ToOwned::to_owned),
            certificate_id: record.map(|record| record.certificate_id.clone()),
            adopted: true,
            lost: record.and_then(|record| record.replaces.clone()),
            tampering: None,
            tampered_at: record.and_then(|record| record.tampered_at),
            duplicates: listed.iter().filter(|one| one.id != kept.id).map(|one| one.id.clone()).collect(),
        });
    }
    without_a_good_one(observed, policy, listed, record, is_known)
}

/// The subscription that is recorded, and lives as far as Graph says. `shown` is what Graph shows of it.
fn for_recorded(
    desired: &Desired<'_>,
    record: &Record,
    (policy, id, shown): (&Policy, &String, Option<&Subscription>),
    listed: &[&Subscription],
    now: Timestamp,
) -> Action {
    let duplicates: Vec<String> = listed.iter().map(|one| one.id.clone()).collect();
    let changed = shown.and_then(|shown| tampering(shown, policy, desired.notification_url));
    if let Some(tampering) = changed.filter(|_| may_replace(record.tampered_at, now)) {
        return Action::Replace(replace_tampered(policy, id, tampering, duplicates, record.replaces.clone(), now));
    }
    let subscription = shown.map_or_else(
        || Held {
            id: id.clone(),
            expires_at: record.subscription_expires_at,
            certificate_id: Some(record.certificate_id.clone()),
        },
        Held::from,
    );
    Action::Renew(Renew {
        policy: policy.clone(),
        subscription,
        client_state_id: Some(record.client_state_id.clone()),
        certificate_id: Some(record.certificate_id.clone()),
        adopted: false,
        lost: record.replaces.clone(),
        tampering: changed,
        tampered_at: record.tampered_at,
        duplicates,
    })
}

/// Whether a changed subscription may be replaced, given when one of its policy last was.
#[must_use]
pub fn may_replace(tampered_at: Option<Timestamp>, now: Timestamp) -> bool {
    tampered_at.is_none_or(|at| now.duration_since(at) >= BETWEEN_REPLACEMENTS)
}

/// Another subscription in the place of one that somebody changed. `lost` is one before it, about which no event was sent.
#[must_use]
pub fn replace_tampered(
    policy: &Policy,
    id: &str,
    tampering: Tampering,
    duplicates: Vec<String>,
    lost: Option<String>,
    now: Timestamp,
) -> Replace {
    Replace {
        policy: policy.clone(),
        ids: std::iter::once(id.to_owned()).chain(duplicates).collect(),
        why: TAMPERED,
        works: tampering.still_delivers(),
        create: Create {
            policy: policy.clone(),
            client_state_id: None,
            previous: None,
            may_delete: true,
            lost,
            tampered: Some((id.to_owned(), tampering)),
            tampered_at: Some(now),
        },
    }
}

/// There is no subscription for the policy that is known to be good.
fn without_a_good_one(
    observed: &Observed<'_>,
    policy: &Policy,
    listed: &[&Subscription],
    record: Option<&Record>,
    is_known: impl Fn(&str) -> bool,
) -> Action {
    let recorded = record.and_then(|record| record.subscription_id.as_ref());
    let is_gone = |id: &&String| observed.recorded.get(*id) == Some(&Answered::Gone);
    let lost = recorded.filter(is_gone).or(record.and_then(|record| record.replaces.as_ref())).cloned();
    let intent = record.filter(|record| record.is_intent() && is_known(&record.client_state_id));
    let create = Create {
        policy: policy.clone(),
        client_state_id: intent.map(|record| record.client_state_id.clone()),
        previous: record.cloned(),
        may_delete: true,
        lost,
        tampered: None,
        tampered_at: record.and_then(|record| record.tampered_at),
    };
    let useless = recorded.filter(|id| !is_gone(id)).into_iter().chain(listed.iter().map(|one| &one.id));
    let ids: Vec<String> = useless.cloned().collect();
    if ids.is_empty() {
        return Action::Create(create);
    }
    Action::Replace(Replace { policy: policy.clone(), ids, why: UNKNOWN_STATE, works: true, create })
}

/// Nothing is deleted: whichever subscription is the one with the known client state, it is renewed with the others.
fn without_records(policy: &Policy, listed: Vec<&Subscription>) -> Vec<Action> {
    if listed.is_empty() {
        return vec![Action::Create(Create {
            policy: policy.clone(),
            client_state_id: None,
            previous: None,
            may_delete: false,
            lost: None,
            tampered: None,
            tampered_at: None,
        })];
    }
    let renew = |one: &Subscription| {
        Action::Renew(Renew {
            policy: policy.clone(),
            subscription: one.into(),
            client_state_id: None,
            certificate_id: None,
            adopted: false,
            lost: None,
            tampering: None,
            tampered_at: None,
            duplicates: Vec::new(),
        })
    };
    listed.into_iter().map(renew).collect()
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
            tampered_at: None,
            updated_at: START,
        }
    }

    /// What is planned where Graph answers about the recorded ids as it lists.
    fn planned(policies: &str, listed: Vec<Subscription>, records: Option<&[Record]>) -> Vec<String> {
        let answered = |id: &String| {
            let found = listed.iter().find(|one| one.id == *id && one.expires_at > START);
            found.map_or(Answered::Gone, |one| Answered::Live(one.clone()))
        };
        let ids = records.into_iter().flatten().filter_map(|record| record.subscription_id.clone());
        let recorded = ids.map(|id| (id.clone(), answered(&id))).collect();
        planned_by(policies, listed, recorded, records)
    }

    fn planned_by(
        policies: &str,
        listed: Vec<Subscription>,
        recorded: BTreeMap<String, Answered>,
        records: Option<&[Record]>,
    ) -> Vec<String> {
        let config = config(policies);
        let desired = Desired {
            policies: &config.policies,
            notification_url: URL,
            client_state_ids: vec!["older".to_owned(), "current".to_owned()],
        };
        let observed = Observed { tenant: TENANT.parse().unwrap(), listed, recorded, records };
        plan(&desired, &observed, START).iter().map(line).collect()
    }

    /// An action in one line, so that the cases read as a table.
    fn line(action: &Action) -> String {
        let lost = |create: &Create| create.lost.as_ref().map(|id| format!(" for {id}")).unwrap_or_default();
        let state = |create: &Create| create.client_state_id.clone().unwrap_or_else(|| "a fresh state".to_owned());
        match action {
            Action::Renew(renew) => format!(
                "{} {} {}{}{}",
                match (renew.adopted, renew.tampering) {
                    (true, _) => "adopt",
                    (false, None) => "renew",
                    (false, Some(_)) => "renew as it is",
                },
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
                match (replace.why == TAMPERED, replace.works) {
                    (true, true) => " (tampered, delivers)",
                    (true, false) => " (tampered)",
                    (false, _) => "",
                },
            ),
            Action::DeleteStray(stray) => format!("delete {}", stray.id),
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
                "create Global with a fresh state",
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
            ("no lifecycle address", vec![bare()], vec![known()], "renew Global s1 with current"),
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
        let expected = ["renew Global s1 with current", "delete s4", "delete s2", "forget Long gone"];
        assert_eq!(planned("Global", listed, Some(&records)), expected);
        // A list that leaves it out keeps no record alive and hides no stray.
        let recorded = BTreeMap::from([("s2".to_owned(), Answered::Live(subscription("s2", "Gone")))]);
        assert_eq!(planned_by("Global", Vec::new(), recorded, Some(&records[1..2]))[1..], ["delete s2"]);
        let recorded = BTreeMap::from([("s2".to_owned(), Answered::Gone)]);
        assert_eq!(planned_by("Global", Vec::new(), recorded, Some(&records[1..2]))[1..], ["forget Gone"]);
    }

    #[test]
    fn a_recorded_subscription_is_judged_by_its_id_alone() {
        let known = [record("Global", Some("s1"), "current")];
        let elsewhere =
            || changed(subscription("s1", "Global"), |one| one.notification_url = "https://x.example/".to_owned());
        let ended = || changed(subscription("s1", "Global"), |one| one.expires_at = START);
        let lists = [vec![], vec![elsewhere()], vec![ended()], vec![subscription("s1", "Warehouse")]];
        let live = || Answered::Live(subscription("s1", "Global"));
        for (number, listed) in lists.into_iter().enumerate() {
            for (answered, expected) in [
                (Some(live()), "renew Global s1 with current"),
                (Some(Answered::Unknown("no answer".to_owned())), "renew Global s1 with current"),
                (None, "renew Global s1 with current"),
                (Some(Answered::Gone), "create Global with a fresh state for s1"),
            ] {
                let recorded = answered.map(|answered| ("s1".to_owned(), answered)).into_iter().collect();
                let actions = planned_by("Global,Warehouse", listed.clone(), recorded, Some(&known));
                // Nothing else is done about it, either, and the other policy is not thought to have it.
                assert_eq!(actions, [expected, "create Warehouse with a fresh state"], "list {number}");
            }
        }
        let recorded = BTreeMap::from([("s1".to_owned(), live())]);
        let unknown = [record("Global", Some("s1"), "gone")];
        assert_eq!(
            planned_by("Global", Vec::new(), recorded, Some(&unknown)),
            ["replace Global s1 with a fresh state"]
        );
    }

    #[test]
    fn what_somebody_changed_is_replaced_once_a_day() {
        let elsewhere =
            changed(subscription("s1", "Global"), |one| one.notification_url = "https://x.example/".to_owned());
        let lifecycle = changed(subscription("s1", "Global"), |one| {
            one.lifecycle_notification_url = Some("https://x.example/".to_owned());
        });
        let silent = changed(subscription("s1", "Global"), |one| {
            (one.notification_url, one.lifecycle_notification_url) = (String::new(), None);
        });
        let day = SignedDuration::from_hours(24);
        for (shown, tampered_at, expected) in [
            (elsewhere.clone(), None, "replace Global s1 with a fresh state (tampered)"),
            (elsewhere.clone(), Some(START - day), "replace Global s1 with a fresh state (tampered)"),
            (elsewhere, Some(START - day + SignedDuration::from_secs(1)), "renew as it is Global s1 with current"),
            (lifecycle, None, "replace Global s1 with a fresh state (tampered, delivers)"),
            (subscription("s1", "Warehouse"), None, "replace Global s1 with a fresh state (tampered)"),
            (silent, None, "renew Global s1 with current"),
        ] {
            let known = Record { tampered_at, ..record("Global", Some("s1"), "current") };
            let recorded = BTreeMap::from([("s1".to_owned(), Answered::Live(shown.clone()))]);
            assert_eq!(planned_by("Global", Vec::new(), recorded, Some(&[known])), [expected], "{shown:?}");
        }
    }

    #[test]
    fn a_record_under_another_spelling_serves_until_there_is_one_under_the_configured() {
        let older = record("GLOBAL", Some("s1"), "current");
        let listed = || vec![subscription("s1", "Global")];
        assert_eq!(planned("Global", listed(), Some(std::slice::from_ref(&older))), ["renew Global s1 with current"]);
        let gone = Record { subscription_id: Some("s0".to_owned()), ..older };
        let records = [gone, record("Global", Some("s1"), "current")];
        assert_eq!(planned("Global", listed(), Some(&records)), ["renew Global s1 with current", "forget GLOBAL"]);
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

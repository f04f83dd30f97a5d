//! What is in trouble, and what of that is new. CloudWatch tells when an alarm goes off and not what else goes wrong while it stays
//! in alarm; so the watch notes what is in trouble, and counts what was not before. Names of policies and tenants, no secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use graph_notifications::{Policy, TenantId};
use jiff::{SignedDuration, Timestamp};

use super::report::WatchReport;
use crate::{act::LIFETIME, records::sort_key, topics::Topic};

/// What is not seen for so long is over: when it comes again, it is new.
const OVER_AFTER: SignedDuration = SignedDuration::from_mins(20);

/// The limits of the alarms `SubscriptionsRunningOut`, `CredentialEnding`, `SigningKeysOld` and `ReconcileOverdue`.
const SHORT_OF_SECONDS: i64 = 12 * 60 * 60;
const SHORT_OF_DAYS: i64 = 30;
const OLD_SECONDS: i64 = 24 * 60 * 60;
const OVERDUE_SECONDS: i64 = 7 * 60;

/// Graph delivers for an hour after a renewal. That is too near when the last one is so long ago, whatever the schedule is.
const RENEWED_WITHIN: SignedDuration = SignedDuration::from_mins(38);

/// How much before the third run a subscription has missed two, and how late a run may end.
const BEFORE_THE_THIRD: SignedDuration = SignedDuration::from_mins(2);
const LATE: SignedDuration = SignedDuration::from_mins(8);

/// Something that is in trouble. It has the same name at every watch that sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// Graph has no subscription for a policy.
    SubscriptionMissing(Policy),
    /// Somebody changed a policy's subscription again, which is replaced once a day.
    SubscriptionTampered(Policy),
    /// A policy's subscription has little time left.
    SubscriptionRunningOut(Policy),
    /// A policy's subscription was not renewed twice.
    SubscriptionNotRenewed(Policy),
    /// Graph encrypts for a certificate whose key is lost.
    KeyLost(String),
    /// Graph does not show the subscriptions in a tenant.
    TenantNotSeen(TenantId),
    /// The keyring cannot be read.
    KeyringNotRead,
    /// The keyring holds no key to encrypt for.
    CurrentKeyMissing,
    /// The keyring holds no signing keys.
    SigningKeysMissing,
    /// The stored signing keys are old.
    SigningKeysOld,
    /// No probe could be sent.
    ProbeNotSent,
    /// The address does not answer as it answers Graph.
    ProbeNotAnswered,
    /// The run of the schedule did not come.
    ReconcileOverdue,
    /// The app's certificates cannot be read.
    AppCertificatesNotRead,
    /// A certificate or the client secret ends soon.
    CredentialEnding(&'static str),
    /// Nobody is subscribed to a topic for calls.
    NobodyHears(Topic),
    /// Whoever is subscribed to a topic for calls has a filter policy.
    AllFiltered(Topic),
    /// Whether that is so cannot be seen.
    FiltersNotSeen(Topic),
    /// A topic's subscribers cannot be counted.
    TopicNotSeen(Topic),
    /// The state table cannot be read.
    TableNotRead,
    /// The watch's notes cannot be written.
    NotesNotWritten,
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SubscriptionMissing(policy) => write!(formatter, "SubscriptionMissing {}", sort_key(policy)),
            Self::SubscriptionTampered(policy) => write!(formatter, "SubscriptionTampered {}", sort_key(policy)),
            Self::SubscriptionRunningOut(policy) => write!(formatter, "SubscriptionRunningOut {}", sort_key(policy)),
            Self::SubscriptionNotRenewed(policy) => write!(formatter, "SubscriptionNotRenewed {}", sort_key(policy)),
            Self::KeyLost(certificate_id) => write!(formatter, "KeyLost {certificate_id}"),
            Self::TenantNotSeen(tenant) => write!(formatter, "TenantNotSeen {tenant}"),
            Self::CredentialEnding(credential) => write!(formatter, "CredentialEnding {credential}"),
            Self::NobodyHears(topic) => write!(formatter, "NobodyHears {}", topic.name()),
            Self::AllFiltered(topic) => write!(formatter, "AllFiltered {}", topic.name()),
            Self::FiltersNotSeen(topic) => write!(formatter, "FiltersNotSeen {}", topic.name()),
            Self::TopicNotSeen(topic) => write!(formatter, "TopicNotSeen {}", topic.name()),
            alone => write!(formatter, "{alone:?}"),
        }
    }
}

/// A problem of the watch: what is in trouble, and the sentence about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) trouble: Trouble,
    pub(super) sentence: String,
}

impl Problem {
    pub(super) fn new(trouble: Trouble, sentence: impl Into<String>) -> Self {
        Self { trouble, sentence: sentence.into() }
    }
}

/// What is noted of something that is in trouble.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noted {
    /// When it was last seen.
    pub seen: Timestamp,
    /// Whether it was counted as new.
    pub told: bool,
}

/// What is noted, by the names of what is in trouble.
pub type Troubles = BTreeMap<String, Noted>;

/// What the values of a report show to be in trouble.
pub(super) fn shown(report: &WatchReport, renewal_interval: SignedDuration) -> Vec<Trouble> {
    let renewed_within = (renewal_interval * 2 - BEFORE_THE_THIRD).min(RENEWED_WITHIN).max(renewal_interval + LATE);
    let mut found = Vec::new();
    for one in &report.subscriptions {
        let policy = || Policy { tenant: one.tenant_id, name: one.policy_name.clone() };
        if one.seconds_remaining == 0 {
            found.push(Trouble::SubscriptionMissing(policy()));
            continue;
        }
        if one.seconds_remaining < SHORT_OF_SECONDS {
            found.push(Trouble::SubscriptionRunningOut(policy()));
        }
        // Each renewal puts the end a lifetime ahead, so that the end says when the latest was.
        if one.seconds_remaining < (LIFETIME - renewed_within).as_secs() {
            found.push(Trouble::SubscriptionNotRenewed(policy()));
        }
    }
    // Nobody but its subscribers could be told that OperationsTopic has none, and test calls alarm nobody.
    let for_calls = [Topic::Alert, Topic::SecondAlert, Topic::Chat];
    let unheard = |topic: &Topic| report.topics.iter().any(|one| one.topic == topic.name() && one.confirmed == 0);
    found.extend(for_calls.into_iter().filter(unheard).map(Trouble::NobodyHears));
    let filtered = |topic: &Topic| {
        let of_topic = report.topics.iter().find(|one| one.topic == topic.name());
        of_topic.is_some_and(|one| one.confirmed > 0 && one.unfiltered == Some(false))
    };
    found.extend(for_calls.into_iter().filter(filtered).map(Trouble::AllFiltered));
    let ending = report.credentials.iter().filter(|one| one.days_left < SHORT_OF_DAYS);
    found.extend(ending.map(|one| Trouble::CredentialEnding(one.credential)));
    for (is_so, trouble) in [
        (report.probe_answered == Some(false), Trouble::ProbeNotAnswered),
        (report.signing_keys_age_seconds.is_some_and(|age| age > OLD_SECONDS), Trouble::SigningKeysOld),
        (report.reconcile_overdue_seconds.is_some_and(|late| late > OVERDUE_SECONDS), Trouble::ReconcileOverdue),
    ] {
        if is_so {
            found.push(trouble);
        }
    }
    found
}

/// What a watch makes of what it sees and of what the watch before noted: the notes for the next one, and the names of what is new.
/// That is what is seen for the second time, as one watch may see what passes by itself.
pub(super) fn compare(before: Troubles, seen: &BTreeSet<String>, now: Timestamp) -> (Troubles, Vec<String>) {
    let mut noted = before;
    noted.retain(|_, one| now.duration_since(one.seen) <= OVER_AFTER);
    let mut new = Vec::new();
    for name in seen {
        match noted.get_mut(name) {
            None => drop(noted.insert(name.clone(), Noted { seen: now, told: false })),
            Some(one) => {
                if !one.told {
                    new.push(name.clone());
                }
                *one = Noted { seen: now, told: true };
            }
        }
    }
    (noted, new)
}

/// What counts as new where nothing can be noted, or the notes not be read: all that nobody is known to have been told of. That the
/// table fails is no reason to say again and again that it does; it is where something else may be new besides.
pub(super) fn untold(before: &Troubles, seen: &BTreeSet<String>) -> Vec<String> {
    let of_the_table = [Trouble::TableNotRead, Trouble::NotesNotWritten].map(|trouble| trouble.to_string());
    let told = |name: &String| before.get(name).is_some_and(|one| one.told);
    seen.iter().filter(|name| !told(name) && !of_the_table.contains(name)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        fake::{START, policy},
        watch::report::{CredentialWatched, SubscriptionWatched, TopicWatched},
    };

    const WATCH: SignedDuration = SignedDuration::from_mins(5);

    fn names(all: &[&str]) -> BTreeSet<String> {
        all.iter().map(ToString::to_string).collect()
    }

    /// What is new at each of several watches, by what they see.
    fn new_at_each(watches: &[&[&str]]) -> Vec<Vec<String>> {
        let (mut notes, mut now) = (Troubles::new(), START);
        let mut one = |seen: &&[&str]| {
            let (after, new) = compare(std::mem::take(&mut notes), &names(seen), now);
            (notes, now) = (after, now + WATCH);
            new
        };
        watches.iter().map(&mut one).collect()
    }

    #[test]
    fn what_is_seen_twice_is_new_once() {
        assert_eq!(new_at_each(&[&["a"], &["a"], &["a"], &["a"]]), [vec![], vec!["a".to_owned()], vec![], vec![]]);
    }

    #[test]
    fn what_passes_by_itself_is_not_told() {
        assert_eq!(new_at_each(&[&["a"], &[], &[], &[], &[], &[], &["a"]]).concat(), Vec::<String>::new());
    }

    #[test]
    fn what_comes_and_goes_is_told_once() {
        let seen: [&[&str]; 8] = [&["a"], &[], &["a"], &[], &["a"], &[], &[], &["a"]];
        assert_eq!(new_at_each(&seen).concat(), ["a"]);
    }

    #[test]
    fn what_comes_again_after_it_was_over_is_new_again() {
        let seen: [&[&str]; 9] = [&["a"], &["a"], &[], &[], &[], &[], &[], &["a"], &["a"]];
        assert_eq!(new_at_each(&seen).concat(), ["a", "a"]);
    }

    #[test]
    fn what_stays_hides_nothing_that_comes() {
        let new = new_at_each(&[&["a"], &["a"], &["a", "b"], &["a", "b"], &["a", "b"]]);
        assert_eq!(new, [vec![], vec!["a".to_owned()], vec![], vec!["b".to_owned()], vec![]]);
    }

    #[test]
    fn what_cannot_be_noted_is_told_at_once_but_for_the_table_itself() {
        let told = Troubles::from([("a".to_owned(), Noted { seen: START, told: true })]);
        let seen = names(&["a", "b", "TableNotRead", "NotesNotWritten"]);
        assert_eq!(untold(&told, &seen), ["b"]);
        assert_eq!(untold(&Troubles::new(), &seen), ["a", "b"]);
    }

    fn well() -> WatchReport {
        WatchReport {
            ok: true,
            full: true,
            probe_answered: Some(true),
            reconcile_overdue_seconds: Some(OVERDUE_SECONDS),
            signing_keys_age_seconds: Some(OLD_SECONDS),
            days_since_notification: Some(1000),
            subscriptions: vec![SubscriptionWatched {
                tenant_id: policy("Global").tenant,
                policy_name: policy("Global").name,
                seconds_remaining: LIFETIME.as_secs() - 28 * 60,
            }],
            topics: ["AlertTopic", "SecondAlertTopic", "ChatTopic"]
                .map(|topic| TopicWatched {
                    topic,
                    confirmed: 1,
                    lost: 0,
                    unfiltered: (topic != "ChatTopic").then_some(true),
                })
                .to_vec(),
            credentials: vec![CredentialWatched { credential: "ClientSecret", days_left: SHORT_OF_DAYS }],
            ..WatchReport::begun(START)
        }
    }

    fn shown_names(change: impl FnOnce(&mut WatchReport)) -> Vec<String> {
        let mut report = well();
        change(&mut report);
        shown(&report, SignedDuration::from_mins(15)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_limit_is_a_trouble_of_its_own() {
        let own = sort_key(&policy("Global"));
        assert_eq!(shown_names(|_| ()), Vec::<String>::new());
        let remaining = |seconds| shown_names(|report| report.subscriptions[0].seconds_remaining = seconds);
        assert_eq!(remaining(0), [format!("SubscriptionMissing {own}")]);
        let running_out = [format!("SubscriptionRunningOut {own}"), format!("SubscriptionNotRenewed {own}")];
        assert_eq!(remaining(SHORT_OF_SECONDS - 1), running_out);
        assert_eq!(remaining(SHORT_OF_SECONDS), running_out[1..]);
        assert_eq!(remaining(LIFETIME.as_secs() - 28 * 60 - 1), running_out[1..]);
        assert_eq!(shown_names(|report| report.probe_answered = Some(false)), ["ProbeNotAnswered"]);
        assert_eq!(shown_names(|report| report.probe_answered = None), Vec::<String>::new());
        assert_eq!(shown_names(|report| report.signing_keys_age_seconds = Some(OLD_SECONDS + 1)), ["SigningKeysOld"]);
        assert_eq!(
            shown_names(|report| report.reconcile_overdue_seconds = Some(OVERDUE_SECONDS + 1)),
            ["ReconcileOverdue"]
        );
        assert_eq!(shown_names(|report| report.credentials[0].days_left = 29), ["CredentialEnding ClientSecret"]);
        let unheard = |index: usize| shown_names(|report| report.topics[index].confirmed = 0);
        let filtered = |index: usize| shown_names(|report| report.topics[index].unfiltered = Some(false));
        assert_eq!([0, 1].map(filtered).concat(), ["AllFiltered AlertTopic", "AllFiltered SecondAlertTopic"]);
        assert_eq!(
            [0, 1, 2].map(unheard).concat(),
            ["AlertTopic", "SecondAlertTopic", "ChatTopic"].map(|topic| { format!("NobodyHears {topic}") })
        );
    }

    #[test]
    fn a_subscription_may_miss_one_renewal_and_not_come_near_an_hour() {
        let report = |minutes: i64| {
            let mut report = well();
            report.subscriptions[0].seconds_remaining = LIFETIME.as_secs() - minutes * 60;
            report
        };
        for (interval, well, late) in [(1, 9, 10), (5, 13, 14), (15, 28, 29), (20, 38, 39), (30, 38, 39)] {
            let interval = SignedDuration::from_mins(interval);
            assert_eq!(shown(&report(well), interval), [], "{interval} {well}");
            assert_eq!(shown(&report(late), interval).len(), 1, "{interval} {late}");
        }
    }
}

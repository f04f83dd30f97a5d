//! Who is covered: for each policy, whether Graph would deliver a call of this second, and the receiver could read it.
//!
//! A policy is covered while it has a subscription that has not ended, whose delivery token has not ended, whose client state
//! is in the stored keyring, and so is the key of whose certificate. Between two looks nothing but time changes, so that
//! the end of the cover is known to the second.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use graph_notifications::{Keyring, Policies, Policy};
use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

use super::timeline::minutes;

/// How long Graph repeats a notification, by its documentation: what it is encrypted for and authenticated by is needed as long.
const REPEATED: SignedDuration = SignedDuration::from_hours(4);

/// A subscription as the simulator has it.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) id: String,
    pub(super) policy: Option<usize>,
    pub(super) client_state: String,
    pub(super) certificate_id: String,
    certificate: String,
    pub(super) expires_at: Timestamp,
    token_ends_at: Timestamp,
    pub(super) authorised_at: Timestamp,
}

impl Seen {
    fn read(shown: &Value, policies: &[Policy]) -> Option<Self> {
        let text = |name: &str| shown[name].as_str().map(str::to_owned);
        let time = |name: &str| shown[name].as_str()?.parse().ok();
        let (tenant, name) = (text("tenantId")?, text("policy")?);
        Some(Self {
            id: text("id")?,
            policy: policies
                .iter()
                .position(|policy| policy.name.as_str() == name && policy.tenant.to_string() == tenant),
            client_state: text("clientState")?,
            certificate_id: text("encryptionCertificateId")?,
            certificate: text("encryptionCertificate")?,
            expires_at: time("expirationDateTime")?,
            token_ends_at: time("deliveryTokenExpirationDateTime")?,
            authorised_at: time("authorizedDateTime")?,
        })
    }

    fn covers_until(&self) -> Timestamp {
        self.expires_at.min(self.token_ends_at)
    }
}

/// What the receiver can authenticate and read with the stored keyring.
#[derive(Default)]
struct Secrets {
    keyring: Keyring,
    certificates: BTreeSet<(String, String)>,
    current_certificate_id: Option<String>,
}

impl Secrets {
    fn of(keyring: &Keyring) -> Self {
        Self {
            keyring: keyring.clone(),
            certificates: keyring
                .keys
                .iter()
                .filter_map(|key| Some((key.certificate_id.clone(), key.pair.certificate_base64().ok()?)))
                .collect(),
            current_certificate_id: keyring.current_key().map(|key| key.certificate_id.clone()),
        }
    }

    fn knows(&self, client_state: &str) -> bool {
        // Whichever policy it is for: its subscription's record is compared with it.
        let policies = "11111111-2222-3333-4444-555555555555".parse().map(|tenant| Policies::parse("Global", tenant));
        let Ok(Ok(policies)) = policies else { return false };
        self.keyring.known_client_states().recognize(client_state, &policies).is_some()
    }

    fn read(&self, seen: &Seen) -> bool {
        self.knows(&seen.client_state)
            && self.certificates.contains(&(seen.certificate_id.clone(), seen.certificate.clone()))
    }
}

/// What has just been done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// Nothing, or something that takes no cover away.
    Harmless,
    /// Graph removed subscriptions.
    Removal,
    /// This run deleted one, for this reason as far as the soak can tell.
    Deletion { run: u64, why: Why },
}

/// Why a run deleted a subscription.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// It encrypts for another certificate than the current one.
    Certificate,
    /// Its record is lost, and with it what its client state is.
    Unrecorded,
    /// Neither.
    Unknown,
}

/// What took the cover away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Cause {
    /// Graph removed the subscription.
    Removed,
    /// The same, and a storm kept runs from repairing it.
    RemovedInStorm,
    /// A run deleted and created it, as a renewal did not change the certificate.
    Replaced,
    /// The same, and the run did not come to its end.
    ReplacedInStorm,
    /// A run deleted and created it, as a storm had kept its record from being written.
    Unrecorded,
    /// No run had a fair chance for as long as a token lasts.
    Outage,
    /// Nothing excuses it.
    Unexplained,
}

impl Cause {
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::Removed => "removed by Graph",
            Self::RemovedInStorm => "removed by Graph, and a storm kept runs from repairing it",
            Self::Replaced => "replaced for its certificate",
            Self::ReplacedInStorm => "replaced, and a storm cut the run short",
            Self::Unrecorded => "replaced, as a storm had kept its record from being written",
            Self::Outage => "outage for longer than a token lasts",
            Self::Unexplained => "unexplained",
        }
    }
}

/// The time without cover that is due to one cause.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Without {
    pub(super) times: u64,
    pub(super) total: SignedDuration,
    pub(super) longest: SignedDuration,
}

impl Without {
    pub(super) fn average(&self) -> SignedDuration {
        self.total / i32::try_from(self.times.max(1)).unwrap_or(i32::MAX)
    }
}

/// A policy without cover.
#[derive(Debug, Clone)]
struct Gap {
    since: Timestamp,
    opened: Opened,
    /// How many runs, or fires of the schedule, came to nothing since.
    hindrances: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Opened {
    /// There has been no run yet.
    Beginning,
    Removal,
    Deletion {
        run: u64,
        why: Why,
    },
    /// A token or a subscription came to its end.
    Lapse,
    /// The keyring lost what it is read with, or it never had any.
    Nothing,
}

/// A run, as far as the cover is concerned.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mark {
    pub(super) number: u64,
    pub(super) started_at: Timestamp,
    pub(super) hindered: bool,
}

/// Something that was needed until a moment ago.
struct Needed {
    policy: usize,
    client_state: String,
    certificate: (String, String),
    last_live: Timestamp,
}

/// Watches the cover of all policies.
pub(super) struct Observer {
    policies: Vec<Policy>,
    seen: Vec<Seen>,
    secrets: Secrets,
    gaps: Vec<Option<Gap>>,
    needed: Vec<Needed>,
    /// When the latest runs that nothing hindered began and ended.
    fair: VecDeque<(Timestamp, Timestamp)>,
    /// The subscriptions whose records were good when such a run ended.
    recorded: BTreeSet<String>,
    /// Whether the state table has failed since such a run ended, so that records may be missing.
    table_failed: bool,
    /// When certificates and client states were last in use.
    used: BTreeMap<String, Timestamp>,
    without: BTreeMap<Cause, Without>,
    longest_gap: SignedDuration,
}

impl Observer {
    /// Nothing is covered at first, which is nobody's fault until the first run has ended. `longest_gap` is how long
    /// one that nothing hinders may last after a removal.
    pub(super) fn new(policies: Vec<Policy>, now: Timestamp, longest_gap: SignedDuration) -> Self {
        let gap = Gap { since: now, opened: Opened::Beginning, hindrances: 0 };
        Self {
            gaps: vec![Some(gap); policies.len()],
            policies,
            seen: Vec::new(),
            secrets: Secrets::default(),
            needed: Vec::new(),
            fair: VecDeque::new(),
            recorded: BTreeSet::new(),
            table_failed: false,
            used: BTreeMap::new(),
            without: BTreeMap::new(),
            longest_gap,
        }
    }

    pub(super) fn seen(&self) -> &[Seen] {
        &self.seen
    }

    pub(super) fn without(&self) -> &BTreeMap<Cause, Without> {
        &self.without
    }

    /// The subscription that covers a policy now.
    pub(super) fn is_covered(&self, policy: usize, now: Timestamp) -> bool {
        self.covered_until(policy).is_some_and(|until| now < until)
    }

    /// Whether Graph has just removed a policy's subscription, which a run that began before this time need not know.
    pub(super) fn is_removed_since(&self, policy: usize, time: Timestamp) -> bool {
        self.gaps[policy].as_ref().is_some_and(|gap| gap.opened == Opened::Removal && gap.since >= time)
    }

    /// Looks at what the simulator has, after a change by `run` or by nobody.
    ///
    /// # Errors
    /// With a sentence, if a policy lost its cover and nothing excuses it.
    pub(super) fn look(
        &mut self,
        shown: &[Value],
        now: Timestamp,
        change: Change,
        run: Option<Mark>,
    ) -> Result<(), String> {
        let lapsed: Vec<Option<Timestamp>> =
            (0..self.policies.len()).map(|policy| self.covered_until(policy)).collect();
        self.remember_needs(now);
        self.seen = shown.iter().filter_map(|one| Seen::read(one, &self.policies)).collect();
        if self.seen.len() != shown.len() {
            return Err("the simulator shows a subscription that cannot be read".to_owned());
        }
        for (policy, until) in lapsed.into_iter().enumerate() {
            if let Some(until) = until
                && until < now
                && self.gaps[policy].is_none()
            {
                self.open(policy, until, Opened::Lapse)?;
            }
            if self.is_covered(policy, now) {
                self.close(policy, now, run)?;
            } else if self.gaps[policy].is_none() {
                let opened = match change {
                    _ if until == Some(now) => Opened::Lapse,
                    Change::Removal => Opened::Removal,
                    Change::Deletion { run, why } => Opened::Deletion { run, why },
                    Change::Harmless => Opened::Nothing,
                };
                self.open(policy, now, opened)?;
            }
        }
        Ok(())
    }

    /// A keyring was stored.
    ///
    /// # Errors
    /// With a sentence, if it lacks what a subscription, or a notification of the last hours, needs.
    pub(super) fn keyring_stored(&mut self, keyring: &Keyring, now: Timestamp) -> Result<(), String> {
        self.remember_needs(now);
        self.secrets = Secrets::of(keyring);
        let lacking = self.needed.iter().find(|needed| {
            !self.secrets.knows(&needed.client_state) || !self.secrets.certificates.contains(&needed.certificate)
        });
        match lacking {
            None => Ok(()),
            Some(needed) => Err(format!(
                "the keyring was stored without what {} needed until {}: the key {}, or its client state",
                self.name(needed.policy),
                needed.last_live,
                needed.certificate.0
            )),
        }
    }

    /// A run has ended. `fair`: nothing but turbulence hindered it, and it was not skipped.
    ///
    /// # Errors
    /// With a sentence, if it left a policy without cover although nothing hindered it.
    pub(super) fn run_ended(&mut self, run: Mark, fair: bool, now: Timestamp) -> Result<(), String> {
        for (policy, gap) in self.gaps.iter_mut().enumerate() {
            let Some(gap) = gap else { continue };
            let its_own = matches!(gap.opened, Opened::Deletion { run: opener, .. } if opener == run.number);
            if fair && (its_own || gap.since < run.started_at) {
                let policy = &self.policies[policy];
                let since = gap.since;
                return Err(format!(
                    "nothing hindered a run, and it left {}/{} without cover since {since}",
                    policy.tenant, policy.name
                ));
            }
            gap.hindrances += u32::from(!fair);
        }
        if fair {
            self.fair.push_back((run.started_at, now));
            while self.fair.len() > 16 {
                self.fair.pop_front();
            }
            self.table_failed = false;
            self.recorded = self.seen.iter().map(|seen| seen.id.clone()).collect();
        }
        Ok(())
    }

    /// Why a run deletes a subscription now, judged by what there is.
    pub(super) fn why_deleted(&self, id: &str) -> Why {
        let seen = self.seen.iter().find(|seen| seen.id == id);
        if seen.is_some_and(|seen| !self.is_current_key(&seen.certificate_id)) {
            Why::Certificate
        } else if self.table_failed && !self.is_recorded(id) {
            Why::Unrecorded
        } else {
            Why::Unknown
        }
    }

    /// Whether new subscriptions get this certificate.
    pub(super) fn is_current_key(&self, certificate_id: &str) -> bool {
        self.secrets.current_certificate_id.as_deref() == Some(certificate_id)
    }

    /// A storm struck a call to the state table.
    pub(super) fn table_failed(&mut self) {
        self.table_failed = true;
    }

    /// Whether the record of a subscription has been seen to be good.
    pub(super) fn is_recorded(&self, id: &str) -> bool {
        self.recorded.contains(id)
    }

    /// When this certificate, or client state, was last in use, as far as was seen.
    pub(super) fn last_used(&self, name: &str) -> Option<Timestamp> {
        self.used.get(name).copied()
    }

    /// The schedule did not fire.
    pub(super) fn run_missed(&mut self) {
        for gap in self.gaps.iter_mut().flatten() {
            gap.hindrances += 1;
        }
    }

    /// Whether no run, by no fault of its own, could renew anything in the hour before.
    fn is_excused(&self, lapse: Timestamp) -> bool {
        let hour = SignedDuration::from_mins(58);
        !self.fair.iter().any(|(started_at, ended_at)| *ended_at < lapse && lapse.duration_since(*started_at) < hour)
    }

    fn covered_until(&self, policy: usize) -> Option<Timestamp> {
        let own = self.seen.iter().filter(|seen| seen.policy == Some(policy) && self.secrets.read(seen));
        own.map(Seen::covers_until).max()
    }

    fn open(&mut self, policy: usize, since: Timestamp, opened: Opened) -> Result<(), String> {
        let why = match opened {
            Opened::Beginning | Opened::Removal | Opened::Deletion { why: Why::Certificate | Why::Unrecorded, .. } => {
                None
            }
            Opened::Deletion { why: Why::Unknown, .. } => Some("it was deleted without need"),
            Opened::Lapse if self.is_excused(since) => None,
            Opened::Lapse => Some("its subscription or its delivery token came to its end"),
            Opened::Nothing => Some("the keyring cannot read its notifications"),
        };
        self.gaps[policy] = Some(Gap { since, opened, hindrances: 0 });
        match why {
            None => Ok(()),
            Some(why) => {
                self.without.entry(Cause::Unexplained).or_default().times += 1;
                Err(format!("{} is without cover since {since}: {why}", self.name(policy)))
            }
        }
    }

    fn close(&mut self, policy: usize, now: Timestamp, run: Option<Mark>) -> Result<(), String> {
        let Some(gap) = self.gaps[policy].take() else { return Ok(()) };
        let hindered = gap.hindrances > 0 || run.is_some_and(|run| run.hindered);
        let same_run = |opener: u64| run.is_some_and(|run| run.number == opener);
        let cause = match gap.opened {
            Opened::Beginning => return Ok(()),
            Opened::Removal if hindered => Cause::RemovedInStorm,
            Opened::Removal => Cause::Removed,
            Opened::Deletion { why: Why::Unrecorded, .. } => Cause::Unrecorded,
            Opened::Deletion { run, .. } if hindered || !same_run(run) => Cause::ReplacedInStorm,
            Opened::Deletion { .. } => Cause::Replaced,
            Opened::Lapse => Cause::Outage,
            Opened::Nothing => Cause::Unexplained,
        };
        let length = now.duration_since(gap.since);
        let without = self.without.entry(cause).or_default();
        without.times += 1;
        without.total += length;
        without.longest = without.longest.max(length);
        if cause == Cause::Removed && length > self.longest_gap {
            return Err(format!(
                "{} was removed by Graph at {}, and it took {} to repair it",
                self.name(policy),
                gap.since,
                minutes(length)
            ));
        }
        Ok(())
    }

    fn remember_needs(&mut self, now: Timestamp) {
        // What the next creation would take counts as in use.
        self.used.extend(self.secrets.current_certificate_id.iter().map(|name| (name.clone(), now)));
        for seen in &self.seen {
            self.used.insert(seen.certificate_id.clone(), now);
            self.used.insert(seen.client_state.clone(), now);
            let Some(policy) = seen.policy else { continue };
            let last_live = now.min(seen.expires_at);
            let known = self.needed.iter_mut().find(|needed| {
                needed.policy == policy
                    && needed.client_state == seen.client_state
                    && needed.certificate.0 == seen.certificate_id
                    && needed.certificate.1 == seen.certificate
            });
            match known {
                Some(needed) => needed.last_live = last_live,
                None => self.needed.push(Needed {
                    policy,
                    client_state: seen.client_state.clone(),
                    certificate: (seen.certificate_id.clone(), seen.certificate.clone()),
                    last_live,
                }),
            }
        }
        self.needed.retain(|needed| now.duration_since(needed.last_live) <= REPEATED);
    }

    fn name(&self, policy: usize) -> String {
        let policy = &self.policies[policy];
        format!("{}/{}", policy.tenant, policy.name)
    }
}

#[cfg(test)]
mod tests {
    use graph_notifications::certificate::KeySize;
    use graph_notifications::client_state::StoredClientState;
    use graph_notifications::keyring::StoredKeyPair;
    use graph_notifications::{ClientState, KeyPair};
    use serde_json::json;
    use std::sync::LazyLock;

    use super::*;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

    fn at(minutes: i64) -> Timestamp {
        START + SignedDuration::from_mins(minutes)
    }

    fn keyring(names: &[&str]) -> Keyring {
        static PAIR: LazyLock<KeyPair> =
            LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048, START, at(1_000_000)).unwrap());
        let key = |name: &&str| StoredKeyPair {
            certificate_id: format!("key-{name}"),
            pair: PAIR.clone(),
            created_at: START,
            retired_at: None,
            revoked_at: None,
        };
        let state = |name: &&str| StoredClientState {
            id: format!("state-{name}"),
            value: ClientState::from(format!("secret-{name}")),
            created_at: START,
            retired_at: None,
        };
        Keyring {
            keys: names.iter().map(key).collect(),
            client_state_keys: Vec::new(),
            client_states: names.iter().map(state).collect(),
            signing_keys: None,
        }
    }

    /// A subscription whose key and client state have this name, with a token until this minute.
    fn subscription(id: &str, name: &str, token_ends: i64) -> Value {
        json!({
            "id": id, "tenantId": TENANT, "policy": "Global", "clientState": format!("secret-{name}"),
            "encryptionCertificateId": format!("key-{name}"),
            "encryptionCertificate": keyring(&[name]).keys[0].pair.certificate_base64().unwrap(),
            "expirationDateTime": at(24 * 60).to_string(),
            "deliveryTokenExpirationDateTime": at(token_ends).to_string(),
            "authorizedDateTime": START.to_string(),
        })
    }

    fn mark(number: u64, started: i64) -> Mark {
        Mark { number, started_at: at(started), hindered: false }
    }

    /// An observer that has seen a first run, after which the policy is covered for an hour.
    fn covered() -> Observer {
        let policy = Policy { tenant: TENANT.parse().unwrap(), name: "Global".parse().unwrap() };
        let mut observer = Observer::new(vec![policy], START, SignedDuration::from_mins(16));
        observer.keyring_stored(&keyring(&["a"]), START).unwrap();
        observer.look(&[subscription("s1", "a", 60)], at(0), Change::Harmless, Some(mark(1, 0))).unwrap();
        observer.run_ended(mark(1, 0), true, at(1)).unwrap();
        observer
    }

    fn causes(observer: &Observer) -> Vec<(Cause, i64)> {
        observer.without().iter().map(|(&cause, without)| (cause, without.total.as_secs() / 60)).collect()
    }

    #[test]
    fn cover_ends_with_the_token_to_the_second() {
        let mut observer = covered();
        assert!(observer.is_covered(0, at(60) - SignedDuration::from_secs(1)));
        assert!(!observer.is_covered(0, at(60)));
        observer.look(&[subscription("s1", "a", 60)], at(60), Change::Harmless, None).unwrap();
        observer.look(&[subscription("s1", "a", 122)], at(62), Change::Harmless, Some(mark(2, 61))).unwrap();
        assert_eq!(causes(&observer), [(Cause::Outage, 2)]);
    }

    #[test]
    fn a_renewal_in_time_leaves_no_gap_and_a_late_one_is_not_excused() {
        let mut observer = covered();
        observer.look(&[subscription("s1", "a", 119)], at(59), Change::Harmless, Some(mark(2, 59))).unwrap();
        observer.run_ended(mark(2, 59), true, at(59)).unwrap();
        assert!(causes(&observer).is_empty());
        observer.run_ended(mark(3, 75), true, at(76)).unwrap();
        let late = observer.look(&[subscription("s1", "a", 180)], at(120), Change::Harmless, Some(mark(4, 119)));
        assert!(late.unwrap_err().contains("came to its end"));
        assert_eq!(observer.without()[&Cause::Unexplained].times, 1);
    }

    #[test]
    fn a_lapse_is_excused_if_no_run_had_a_chance() {
        let mut observer = covered();
        observer.look(&[subscription("s1", "a", 130)], at(70), Change::Harmless, Some(mark(2, 69))).unwrap();
        assert_eq!(causes(&observer), [(Cause::Outage, 10)]);
    }

    #[test]
    fn a_removal_is_graphs_doing_until_the_next_run() {
        let mut observer = covered();
        observer.look(&[], at(5), Change::Removal, None).unwrap();
        observer.look(&[subscription("s2", "a", 75)], at(15), Change::Harmless, Some(mark(2, 15))).unwrap();
        assert_eq!(causes(&observer), [(Cause::Removed, 10)]);
        observer.look(&[], at(16), Change::Removal, None).unwrap();
        let late = observer.look(&[subscription("s3", "a", 99)], at(34), Change::Harmless, Some(mark(3, 33)));
        assert!(late.unwrap_err().contains("it took 18 min"));
    }

    #[test]
    fn a_storm_may_delay_the_repair() {
        let mut observer = covered();
        observer.look(&[], at(5), Change::Removal, None).unwrap();
        observer.run_ended(mark(2, 15), false, at(16)).unwrap();
        observer.look(&[subscription("s2", "a", 90)], at(30), Change::Harmless, Some(mark(3, 30))).unwrap();
        observer.look(&[], at(31), Change::Removal, None).unwrap();
        observer.run_missed();
        observer.look(&[subscription("s3", "a", 120)], at(60), Change::Harmless, Some(mark(4, 60))).unwrap();
        let hindered = Mark { hindered: true, ..mark(5, 75) };
        observer.look(&[], at(70), Change::Removal, None).unwrap();
        observer.look(&[subscription("s4", "a", 135)], at(76), Change::Harmless, Some(hindered)).unwrap();
        assert_eq!(causes(&observer), [(Cause::RemovedInStorm, 25 + 29 + 6)]);
    }

    #[test]
    fn a_run_that_nothing_hinders_leaves_nobody_without_cover() {
        let mut observer = covered();
        observer.look(&[], at(20), Change::Removal, None).unwrap();
        assert!(observer.is_removed_since(0, at(20)) && !observer.is_removed_since(0, at(21)));
        observer.run_ended(mark(2, 15), true, at(21)).unwrap();
        assert!(observer.run_ended(mark(3, 30), true, at(31)).is_err());
    }

    #[test]
    fn a_replacement_is_counted_apart_and_must_have_a_reason() {
        let mut observer = covered();
        observer.keyring_stored(&keyring(&["a", "b"]), at(14)).unwrap();
        assert_eq!(observer.why_deleted("s1"), Why::Certificate);
        let deletion = Change::Deletion { run: 2, why: Why::Certificate };
        observer.look(&[], at(15), deletion, Some(mark(2, 14))).unwrap();
        assert!(observer.run_ended(mark(2, 14), true, at(15)).is_err());
        observer.look(&[subscription("s2", "b", 76)], at(16), Change::Harmless, Some(mark(2, 14))).unwrap();
        assert_eq!(observer.why_deleted("s2"), Why::Unknown);
        observer.table_failed();
        assert_eq!(observer.why_deleted("s2"), Why::Unrecorded);
        observer.run_ended(mark(2, 14), true, at(17)).unwrap();
        assert_eq!(observer.why_deleted("s2"), Why::Unknown);
        observer.look(&[], at(18), deletion, Some(mark(3, 18))).unwrap();
        observer.look(&[subscription("s3", "b", 93)], at(33), Change::Harmless, Some(mark(4, 33))).unwrap();
        let unrecorded = Change::Deletion { run: 5, why: Why::Unrecorded };
        observer.look(&[], at(35), unrecorded, Some(mark(5, 35))).unwrap();
        observer.look(&[subscription("s4", "b", 96)], at(36), Change::Harmless, Some(mark(5, 35))).unwrap();
        assert_eq!(causes(&observer), [(Cause::Replaced, 1), (Cause::ReplacedInStorm, 15), (Cause::Unrecorded, 1)]);
        let unknown = Change::Deletion { run: 6, why: Why::Unknown };
        assert!(observer.look(&[], at(40), unknown, Some(mark(6, 40))).unwrap_err().contains("without need"));
    }

    #[test]
    fn what_the_keyring_cannot_read_is_no_cover() {
        let mut observer = covered();
        let foreign = observer.look(&[subscription("s2", "b", 60)], at(5), Change::Harmless, Some(mark(2, 5)));
        assert!(foreign.unwrap_err().contains("cannot read"));
    }

    #[test]
    fn a_keyring_keeps_what_notifications_of_the_last_hours_need() {
        let mut observer = covered();
        observer.keyring_stored(&keyring(&["a", "b"]), at(10)).unwrap();
        let renewed = [subscription("s1", "b", 75)];
        observer.look(&renewed, at(15), Change::Harmless, Some(mark(2, 15))).unwrap();
        let lacking = observer.keyring_stored(&keyring(&["b"]), at(15 + 4 * 60));
        assert!(lacking.unwrap_err().contains("key-a"));
        observer.keyring_stored(&keyring(&["b"]), at(16 + 4 * 60)).unwrap();
        assert!(observer.keyring_stored(&keyring(&["c"]), at(17 + 4 * 60)).unwrap_err().contains("key-b"));
    }

    #[test]
    fn what_is_in_use_is_remembered() {
        let mut observer = covered();
        observer.look(&[], at(15), Change::Removal, None).unwrap();
        observer.look(&[subscription("s2", "a", 75)], at(16), Change::Harmless, None).unwrap();
        observer.keyring_stored(&keyring(&["a", "b"]), at(17)).unwrap();
        observer.look(&[], at(18), Change::Removal, None).unwrap();
        observer.look(&[subscription("s3", "b", 79)], at(19), Change::Harmless, None).unwrap();
        assert_eq!((observer.last_used("key-a"), observer.last_used("secret-a")), (Some(at(18)), Some(at(18))));
        // The next creation takes the current key, and no stored client state.
        assert_eq!((observer.last_used("key-b"), observer.last_used("secret-b")), (Some(at(19)), None));
        assert_eq!(observer.last_used("key-c"), None);
    }
}

//! What all runs of a soak share: the time, the simulator, AWS, the weather, the observer, and what was counted.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io;

use fastrand::Rng;
use graph_notifications::validation_token::Requirements;
use graph_notifications::{Keyring, Policy};
use graph_subscriptions::signing_keys::{self, TokenVersion};
use graph_subscriptions::{Graph, http};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::environment::Environment;
use renewer::config::Config;

use super::aws::Aws;
use super::calls::{Call, Service};
use super::inbox::{self, Inbox, Unread};
use super::observer::{Change, Mark, Observer, Why};
use super::timeline::Timeline;
use super::weather::{Strike, Weather};
use crate::simulator::Simulator;
use crate::simulator::clock::Clock;
use crate::simulator::config::{self as simulated, Application, CLIENT_ID, CLIENT_SECRET, ROLE, Tenant};
use crate::simulator::ledger::Dial;

/// The secret that holds the keyring.
pub(super) const KEYRING: &str = "keyring";
/// When every soak begins: a Thursday, at midnight.
pub(super) const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

const SECRET: &str = "client-secret";
const URL: &str = "https://receiver.test/notifications";
/// How long Entra's new signing keys may be unknown to the keyring: two runs, should the first fail to fetch them.
const SETTLED: SignedDuration = SignedDuration::from_mins(31);
/// How many calls a failure is shown with.
const TRAIL: usize = 20;

/// How long calls take.
pub(super) enum Pace {
    /// Mostly as they do, sometimes much longer.
    Drawn(Rng),
    /// A call to Microsoft takes so many milliseconds, a creation 1.5 s more, since Graph asks the notification address
    /// first, and a call to AWS 20 ms.
    Even(i64),
}

/// What a soak is set up with.
pub(super) struct Setting<'a> {
    /// The policies in the form of the template's parameter.
    pub(super) policies: &'a str,
    /// The tenants, the first one the policies' own.
    pub(super) tenants: &'a [&'a str],
    pub(super) rotation_days: u32,
    pub(super) page_size: usize,
    pub(super) pace: Pace,
    /// None: the sun shines, and nobody watches between the runs.
    pub(super) weather: Option<Weather>,
    pub(super) host: Rng,
    /// How long a policy may be without cover after a removal, if nothing hinders the repair.
    pub(super) longest_gap: SignedDuration,
}

/// The runs that have not been skipped.
#[derive(Default)]
struct AtWork {
    now: BTreeSet<u64>,
    /// Those at work that had company.
    in_company: BTreeSet<u64>,
}

/// What was counted.
#[derive(Default)]
pub(super) struct Tally {
    pub(super) calls: BTreeMap<Call, u64>,
    pub(super) storms: BTreeMap<&'static str, u64>,
    pub(super) strikes: BTreeMap<(bool, Service, &'static str), u64>,
    /// Calls to Microsoft that failed without a fault.
    pub(super) refused: u64,
    /// How often the current encryption key was another one.
    pub(super) key_rotations: u64,
    pub(super) probes: u64,
    pub(super) signing_keys_fetched: u64,
}

/// Why a soak failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// When, in virtual time.
    pub at: Timestamp,
    /// What happened, in a sentence.
    pub what: String,
    /// The last calls before.
    pub trail: Vec<String>,
}

/// What all runs share.
pub(super) struct Stage {
    pub(super) timeline: Timeline,
    pub(super) simulator: Simulator,
    pub(super) http: reqwest::Client,
    pub(super) graph: Graph,
    pub(super) config: Config,
    pub(super) policies: Vec<Policy>,
    pub(super) rotation: SignedDuration,
    pub(super) aws: RefCell<Aws>,
    pub(super) weather: Option<RefCell<Weather>>,
    pub(super) observer: RefCell<Observer>,
    pub(super) host: RefCell<Rng>,
    pub(super) tally: RefCell<Tally>,
    inbox: Inbox,
    keyring: RefCell<Option<Keyring>>,
    signing_keys_changed: Cell<Timestamp>,
    at_work: RefCell<AtWork>,
    pub(super) pace: RefCell<Pace>,
    trail: RefCell<VecDeque<String>>,
    failure: RefCell<Option<Failure>>,
}

impl Stage {
    pub(super) async fn set(setting: Setting<'_>) -> io::Result<Self> {
        let inbox = Inbox::open().await?;
        let clock = Clock::manual(START);
        let mut config = simulated::Config {
            tenants: setting.tenants.iter().map(|id| Tenant { id: (*id).to_owned(), policies: None }).collect(),
            applications: vec![Application {
                client_id: CLIENT_ID.to_owned(),
                client_secrets: vec![CLIENT_SECRET.to_owned()],
                roles: vec![ROLE.to_owned()],
                ..Application::default()
            }],
            clock: clock.clone(),
            ..simulated::Config::default()
        };
        config.routes.hosts.insert("receiver.test".to_owned(), format!("http://{}", inbox.address));
        config.settings.page_size = setting.page_size;
        let simulator = Simulator::start(config).await?;
        let config = renewers(&simulator, &setting).map_err(io::Error::other)?;
        let http = http::client(http::Timeouts::PATIENT).map_err(io::Error::other)?;
        let policies: Vec<Policy> = config.policies.iter().cloned().collect();
        let mut aws = Aws::default();
        aws.secrets.insert(SECRET.to_owned(), CLIENT_SECRET.to_owned());
        Ok(Self {
            timeline: Timeline::new(clock),
            graph: Graph::new(http.clone(), config.graph.clone()),
            http,
            simulator,
            config,
            aws: RefCell::new(aws),
            weather: setting.weather.map(RefCell::new),
            observer: RefCell::new(Observer::new(policies.clone(), START, setting.longest_gap)),
            policies,
            rotation: SignedDuration::from_hours(24 * i64::from(setting.rotation_days)),
            host: RefCell::new(setting.host),
            tally: RefCell::default(),
            inbox,
            keyring: RefCell::default(),
            signing_keys_changed: Cell::new(START),
            at_work: RefCell::default(),
            pace: RefCell::new(setting.pace),
            trail: RefCell::default(),
            failure: RefCell::default(),
        })
    }

    /// What happens to a call that is made now, and whether a storm does it.
    pub(super) fn strike(&self, call: Call) -> Option<(Strike, bool)> {
        let mut tally = self.tally.borrow_mut();
        *tally.calls.entry(call).or_default() += 1;
        let strike = self.weather.as_ref()?.borrow_mut().strike(call, self.timeline.now());
        if let Some((strike, storm)) = strike {
            let word = match strike {
                Strike::Refused { status: 429, .. } => "throttled",
                Strike::Refused { status: 401, .. } => "token refused",
                Strike::Refused { .. } => "refused",
                Strike::Unreachable => "unanswered",
                Strike::AnswerLost => "answer lost after it was done",
                Strike::HandshakeFailed => "handshake failed",
            };
            *tally.strikes.entry((storm, call.service(), word)).or_default() += 1;
        }
        strike
    }

    /// How long a call takes on its way, and its answer back.
    pub(super) fn latency(&self, call: Call, strike: Option<Strike>) -> (SignedDuration, SignedDuration) {
        let milliseconds = SignedDuration::from_millis;
        let microsoft = call.service().is_microsoft();
        match &mut *self.pace.borrow_mut() {
            Pace::Even(length) if call == Call::Create => (milliseconds(1500 + *length / 2), milliseconds(*length / 2)),
            Pace::Even(length) if microsoft => (milliseconds(*length / 2), milliseconds(*length / 2)),
            Pace::Even(_) => (milliseconds(10), milliseconds(10)),
            Pace::Drawn(rng) => match strike {
                // The limits of the renewer's clients: for a connection, and for a whole call.
                Some(Strike::Unreachable) if microsoft => {
                    (milliseconds(0), milliseconds(if rng.bool() { 5_000 } else { 40_000 }))
                }
                Some(Strike::Unreachable) => (milliseconds(0), milliseconds(15_000)),
                Some(Strike::HandshakeFailed) => (milliseconds(10_000), milliseconds(100)),
                _ => {
                    let slow = rng.u32(..100) == 0;
                    let usual = if microsoft { 30..=250 } else { 3..=30 };
                    let handshakes = if call == Call::Create { rng.i64(100..=1500) } else { 0 };
                    let late = if slow { rng.i64(500..=4_000) } else { 0 };
                    (milliseconds(rng.i64(usual.clone()) + handshakes), milliseconds(rng.i64(usual) + late))
                }
            },
        }
    }

    /// A run takes up its work.
    pub(super) fn works(&self, run: u64) {
        let mut at_work = self.at_work.borrow_mut();
        at_work.now.insert(run);
        if at_work.now.len() > 1 {
            let all = at_work.now.clone();
            at_work.in_company.extend(all);
        }
    }

    /// A run ends its work, if it began any; says whether it was the only one at it.
    pub(super) fn worked_alone(&self, run: u64) -> bool {
        let mut at_work = self.at_work.borrow_mut();
        at_work.now.remove(&run) && !at_work.in_company.remove(&run)
    }

    pub(super) fn noted(&self, line: String) {
        let mut trail = self.trail.borrow_mut();
        if trail.len() == TRAIL {
            trail.pop_front();
        }
        trail.push_back(line);
    }

    /// The first failure stands.
    pub(super) fn failed(&self, what: String) {
        self.failure.borrow_mut().get_or_insert_with(|| Failure {
            at: self.timeline.now(),
            what,
            trail: self.trail.borrow().iter().cloned().collect(),
        });
    }

    pub(super) fn failure(&self) -> Option<Failure> {
        self.failure.borrow().clone()
    }

    fn is_watched(&self) -> bool {
        self.weather.is_some()
    }

    /// Looks at the cover after a change.
    pub(super) fn look(&self, change: Change, run: Option<Mark>) {
        if self.is_watched() {
            self.look_anyway(change, run);
        }
    }

    pub(super) fn look_anyway(&self, change: Change, run: Option<Mark>) {
        let shown = self.simulator.subscriptions();
        if let Err(what) = self.observer.borrow_mut().look(&shown, self.timeline.now(), change, run) {
            self.failed(what);
        }
    }

    /// A keyring may have been stored.
    pub(super) fn keyring_stored(&self, run: Option<Mark>) {
        let text = self.aws.borrow().secrets.get(KEYRING).cloned();
        let Some(text) = text else { return };
        let keyring = match Keyring::from_json(&text) {
            Ok(keyring) => keyring,
            Err(error) => return self.failed(format!("what was stored as the keyring cannot be read: {error}")),
        };
        let current = |keyring: &Keyring| keyring.current_key().map(|key| key.certificate_id.clone());
        let before = self.keyring.replace(Some(keyring.clone()));
        if before.as_ref().and_then(current).is_some_and(|id| Some(id) != current(&keyring)) {
            self.tally.borrow_mut().key_rotations += 1;
        }
        if let Err(what) = self.observer.borrow_mut().keyring_stored(&keyring, self.timeline.now()) {
            self.failed(what);
        }
        self.look(Change::Harmless, run);
    }

    /// The stored keyring.
    pub(super) fn keyring(&self) -> Option<Keyring> {
        self.keyring.borrow().clone()
    }

    /// Signs with Entra's next key from now on, or with one that was never published before.
    pub(super) fn rotate_signing_keys(&self, replace: bool) {
        self.simulator.rotate_signing_keys(replace);
        self.signing_keys_changed.set(self.timeline.now());
    }

    /// Whether runs have had time to notice Entra's last change of its signing keys.
    pub(super) fn signing_keys_are_settled(&self) -> bool {
        self.timeline.now().duration_since(self.signing_keys_changed.get()) > SETTLED
    }

    /// Whether each policy's record names a subscription that is there, as far as the table can be read.
    pub(super) fn all_recorded_live(&self) -> bool {
        let (aws, observer) = (self.aws.borrow(), self.observer.borrow());
        self.policies.iter().all(|policy| {
            let id = aws.record(policy).and_then(|record| record.subscription_id.as_ref());
            let is_live = |id: &String| {
                observer.seen().iter().any(|seen| seen.id == *id && seen.expires_at > self.timeline.now())
            };
            id.is_some_and(is_live)
        })
    }

    pub(super) fn why_deleted(&self, id: &str) -> Why {
        self.observer.borrow().why_deleted(id)
    }

    /// Makes a call under a policy that the observer believes to be covered, and reads what comes.
    pub(super) async fn probe(&self, policy: usize) {
        let turn = self.timeline.turn().await;
        if !self.observer.borrow().is_covered(policy, self.timeline.now()) {
            return;
        }
        self.tally.borrow_mut().probes += 1;
        let read = self.timeline.outside(&turn, self.dial(&self.policies[policy])).await;
        if let Err(what) = read {
            let policy = &self.policies[policy];
            self.failed(format!("{}/{} is covered, and yet of a call {what}", policy.tenant, policy.name));
        }
    }

    async fn dial(&self, policy: &Policy) -> Result<(), String> {
        let dial = Dial {
            policy: policy.name.as_str().to_owned(),
            tenant: Some(policy.tenant.to_string()),
            ..Dial::default()
        };
        self.simulator.dial(dial).await.map_err(|error| error.to_string())?;
        let body = self.inbox.take().ok_or("nothing came")?;
        let keyring = self.keyring().ok_or("there is no keyring to read it by")?;
        let login_endpoint = self.simulator.login_endpoint();
        let requirements = Requirements {
            client_id: self.config.app,
            policies: &self.config.policies,
            login_endpoint,
            now: self.timeline.now(),
            v1_issuers: "https://sts.windows.net",
        };
        let signing_keys = keyring.signing_keys.clone().ok_or("there are no signing keys to verify it with")?;
        let otherwise = |unread| match unread {
            Unread::UnknownSigningKey => "the token's signing key is unknown".to_owned(),
            Unread::Otherwise(why) => why,
        };
        match inbox::read(&body, &keyring, &signing_keys, &requirements) {
            Err(Unread::UnknownSigningKey) => {
                self.tally.borrow_mut().signing_keys_fetched += 1;
                let now = self.timeline.now();
                let fetched =
                    signing_keys::fetch(&self.http, &self.config.login, policy.tenant, TokenVersion::V1, now).await;
                let fetched = fetched.map_err(|error| error.to_string())?;
                inbox::read(&body, &keyring, &fetched, &requirements).map_err(otherwise)
            }
            other => other.map_err(otherwise),
        }
    }
}

/// The renewer's own configuration, as the template would have it.
fn renewers(simulator: &Simulator, setting: &Setting<'_>) -> Result<Config, lambda_edge::environment::SettingError> {
    Config::read(&Environment(&|name| {
        Some(match name {
            "TENANT_ID" => setting.tenants[0].to_owned(),
            "CLIENT_ID" => CLIENT_ID.to_owned(),
            "POLICY_NAMES" => setting.policies.to_owned(),
            "GRAPH_ENDPOINT" => simulator.graph_endpoint(),
            "LOGIN_ENDPOINT" => simulator.login_endpoint().to_owned(),
            "NOTIFICATION_URL" => URL.to_owned(),
            "GRAPH_CREDENTIAL" => "Secret".to_owned(),
            "CLIENT_SECRET_ID" => SECRET.to_owned(),
            "KEY_ROTATION_DAYS" => setting.rotation_days.to_string(),
            "KEYRING_SECRET_ID" => KEYRING.to_owned(),
            "TIME_ZONE" => "America/New_York".to_owned(),
            "LANGUAGE" => "en".to_owned(),
            "TEST_NUMBERS" => "933".to_owned(),
            // Names of what lives in memory here.
            "STATE_TABLE_NAME"
            | "EVENT_BUS_NAME"
            | "ALERT_TOPIC_ARN"
            | "TEST_TOPIC_ARN"
            | "OPERATIONS_TOPIC_ARN"
            | "STACK_NAME"
            | "STACK_ID"
            | "AWS_LAMBDA_FUNCTION_NAME" => name.to_lowercase(),
            _ => return None,
        })
    }))
}

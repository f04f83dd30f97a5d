//! The world in memory: what is there, and what is broken.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeMap,
};

use ::renewer::{config::Config, ports::LeaseName, records::Record, watch::ports::Notes};
use graph_notifications::{Keyring, TenantId};
use graph_subscriptions::Subscription;
use jiff::Timestamp;
use lambda_edge::environment::Environment;

use super::Sample;

pub(super) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(super) const CLIENT: &str = "cccccccc-2222-3333-4444-555555555555";
pub(super) const LOGIN: &str = "https://login.microsoftonline.com";
pub(super) const URL: &str = "https://receiver.test/notifications";
pub(super) const POLICIES: [&str; 2] = ["Global", "Warehouse"];
/// Another tenant, and its policy.
pub(super) const OTHER: &str = "22222222-3333-4444-5555-666666666666";
const SITE: &str = "22222222-3333-4444-5555-666666666666/Site";
pub(super) const KEYRING: &str = "keyring";
pub(super) const SECOND_TOPIC: &str = "arn:aws:sns:eu-west-1:111122223333:second";
pub(super) const SECRET: &str = "client-secret";

/// When every scenario begins: at a full hour.
pub(super) const START: Timestamp = Timestamp::constant(1_767_225_600, 0);

/// What is in the world, and what is broken in it.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that breaks")]
pub(super) struct State {
    pub(super) secrets: BTreeMap<String, String>,
    pub(super) leases: BTreeMap<LeaseName, (String, Timestamp)>,
    pub(super) records: BTreeMap<String, Record>,
    pub(super) lifecycle_run: Option<Timestamp>,
    pub(super) reconciled_at: Option<Timestamp>,
    pub(super) latest_notification: Option<Timestamp>,
    pub(super) notes: Option<Notes>,
    pub(super) held: Vec<(TenantId, Subscription)>,
    pub(super) subscribers: BTreeMap<&'static str, u64>,
    /// The topics all of whose subscribers have a filter policy.
    pub(super) filtered: Vec<&'static str>,
    pub(super) names: u32,
    pub(super) lines: Vec<String>,
    pub(super) aws: Vec<Sample>,

    pub(super) renewals_off: bool,
    pub(super) watches_off: bool,
    pub(super) watches_lost: u32,
    pub(super) renewer_broken: bool,
    pub(super) graph_down: bool,
    /// The tenants in which Entra gives no token.
    pub(super) entra_refuses: Vec<&'static str>,
    /// It gives none in the first half of every ten minutes.
    pub(super) entra_refuses_at_times: bool,
    pub(super) creations_refused: bool,
    pub(super) renewals_fail_for: Vec<&'static str>,
    pub(super) signing_keys_down: bool,
    pub(super) table_down: bool,
    pub(super) receivers_table_down: bool,
    pub(super) receivers_secret_down: bool,
    /// What the receiver reads in the keyring's place.
    pub(super) receivers_keyring: Option<String>,
    pub(super) receiver_broken: bool,
    pub(super) receiver_throttled: bool,
    pub(super) receiver_slow: bool,
    pub(super) gateway_fails: bool,
    pub(super) address_unreachable: bool,
    /// Whether each of the next requests is lost on its way, the last one first.
    pub(super) probes_lost: Vec<bool>,
    pub(super) sns_down: bool,
    pub(super) home_sns_down: bool,
    pub(super) bus_down: bool,
}

/// The world.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) now: Cell<Timestamp>,
    pub(super) state: RefCell<State>,
}

impl World {
    /// One in which all is well, at the time when every scenario begins.
    pub(super) fn new(configure: impl FnOnce(&mut Config)) -> Self {
        let mut config = config();
        configure(&mut config);
        let subscribers = [("alerts", 3), ("tests", 1), ("operations", 1), ("chat", 1), (SECOND_TOPIC, 1)];
        Self {
            config,
            now: Cell::new(START),
            state: RefCell::new(State {
                secrets: BTreeMap::from([(SECRET.to_owned(), "hunter2".to_owned())]),
                subscribers: subscribers.into(),
                ..State::default()
            }),
        }
    }

    pub(super) fn keyring(&self) -> Keyring {
        Keyring::from_json(&self.state.borrow().secrets[KEYRING]).expect("the renewer has written a keyring")
    }

    pub(super) fn aws(
        &self,
        namespace: &'static str,
        metric: &'static str,
        of: (&'static str, &'static str),
        value: f64,
    ) {
        self.aws_of(namespace, metric, vec![of], value);
    }

    pub(super) fn aws_of(
        &self,
        namespace: &'static str,
        metric: &'static str,
        dimensions: Vec<(&'static str, &'static str)>,
        value: f64,
    ) {
        let at = self.now.get().as_second();
        self.state.borrow_mut().aws.push(Sample { namespace, metric, dimensions, at, value });
    }
}

fn config() -> Config {
    let config = Config::read(&Environment(&|name| {
        Some(match name {
            "TENANT_ID" => TENANT.to_owned(),
            "CLIENT_ID" => CLIENT.to_owned(),
            "POLICY_NAMES" => format!("{},{SITE}", POLICIES.join(",")),
            "GRAPH_ENDPOINT" => "https://graph.microsoft.com/v1.0".to_owned(),
            "LOGIN_ENDPOINT" => LOGIN.to_owned(),
            "NOTIFICATION_URL" => URL.to_owned(),
            "GRAPH_CREDENTIAL" => "Secret".to_owned(),
            "CLIENT_SECRET_ID" => SECRET.to_owned(),
            "KEYRING_SECRET_ID" => KEYRING.to_owned(),
            "KEY_ROTATION_DAYS" => "90".to_owned(),
            "RENEWAL_SCHEDULE" => "rate(15 minutes)".to_owned(),
            "TIME_ZONE" => "UTC".to_owned(),
            "LANGUAGE" => "en".to_owned(),
            "TEST_NUMBERS" => "933".to_owned(),
            "AWS_LAMBDA_FUNCTION_NAME" => "RenewerFunction".to_owned(),
            "ALERT_TOPIC_ARN" => "alerts".to_owned(),
            "TEST_TOPIC_ARN" => "tests".to_owned(),
            "SECOND_ALERT_TOPIC_ARN" => SECOND_TOPIC.to_owned(),
            "AWS_REGION" => "us-east-1".to_owned(),
            "CHAT_TOPIC_ARN" => "chat".to_owned(),
            "OPERATIONS_TOPIC_ARN" => "operations".to_owned(),
            // Names of what lives in memory here.
            "STATE_TABLE_NAME" | "EVENT_BUS_NAME" | "STACK_NAME" | "STACK_ID" => name.to_lowercase(),
            _ => return None,
        })
    }));
    config.expect("these settings are good")
}

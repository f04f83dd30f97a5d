//! The simulator's state, shared by its endpoints and its deliveries.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Json, Response};
use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::applications::Applications;
use super::client_assertion::UsedAssertions;
use super::clock::Clock;
use super::config::{Application, Config, Settings, SettingsError, Tenant};
use super::faults::{Effect, Faults, Operation};
use super::ledger::Ledger;
use super::no_answer::without_answer;
use super::outbound::Outbound;
use super::signing_keys::SigningKeys;
use super::subscriptions::Subscriptions;
use super::throttling::Throttling;

pub(crate) struct World {
    pub(crate) origin: String,
    pub(crate) tenants: Vec<Tenant>,
    pub(crate) clock: Clock,
    pub(crate) outbound: Outbound,
    state: Mutex<State>,
    changed: watch::Sender<u64>,
    tasks: Mutex<JoinSet<()>>,
}

pub(crate) struct State {
    pub(crate) settings: Settings,
    pub(crate) applications: Applications,
    pub(crate) used_assertions: UsedAssertions,
    pub(crate) faults: Faults,
    pub(crate) signing_keys: SigningKeys,
    pub(crate) subscriptions: Subscriptions,
    pub(crate) throttling: Throttling,
    pub(crate) ledger: Ledger,
    pub(crate) tokens_issued: Vec<Value>,
}

impl World {
    pub(crate) fn new(config: Config, address: SocketAddr) -> Result<Self, reqwest::Error> {
        Ok(Self {
            origin: config.origin.unwrap_or_else(|| format!("http://127.0.0.1:{}", address.port())),
            clock: config.clock,
            outbound: Outbound::new(config.routes)?,
            state: Mutex::new(State {
                settings: config.settings,
                applications: Applications::new(config.applications, &config.tenants),
                used_assertions: UsedAssertions::default(),
                faults: Faults::default(),
                signing_keys: SigningKeys::new(),
                subscriptions: Subscriptions::default(),
                throttling: Throttling::default(),
                ledger: Ledger::default(),
                tokens_issued: Vec::new(),
            }),
            tenants: config.tenants,
            changed: watch::channel(0).0,
            tasks: Mutex::new(JoinSet::new()),
        })
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes whoever waits for a change of the state.
    pub(crate) fn touch(&self) {
        self.changed.send_modify(|changes| *changes += 1);
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Runs `task` until it ends or the simulator does.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(task);
    }

    pub(crate) fn stop(&self) {
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    pub(crate) fn tenant(&self, id: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|tenant| tenant.id == id)
    }

    /// The registration as it is now.
    pub(crate) fn application(&self, client_id: &str) -> Option<Application> {
        self.lock().applications.get(client_id).cloned()
    }

    pub(crate) fn change_settings(&self, changes: &Value) -> Result<Settings, SettingsError> {
        let mut state = self.lock();
        state.settings = state.settings.with(changes)?;
        let settings = state.settings.clone();
        drop(state);
        self.touch();
        Ok(settings)
    }

    pub(crate) fn rotate_signing_keys(&self, replace: bool) {
        let mut state = self.lock();
        if replace {
            state.signing_keys.replace();
        } else {
            state.signing_keys.rotate();
        }
    }

    /// Answers a request of `operation` with `answer`, or as a fault says. `fail` gives the error its service's shape.
    pub(crate) async fn answer(
        self: &Arc<Self>,
        operation: Operation,
        fail: impl FnOnce(Failure) -> Response,
        answer: impl Future<Output = Response>,
    ) -> Response {
        let effect = self.lock().faults.take(operation);
        match effect {
            None => answer.await,
            Some(Effect::Fail { status, code, message, retry_after_seconds }) => fail(Failure {
                status,
                code,
                message: message.unwrap_or_else(|| "A simulated fault.".to_owned()),
                retry_after_seconds,
            }),
            Some(Effect::Drop) => without_answer(),
            Some(Effect::Answer { body, status }) => {
                let status = StatusCode::from_u16(status).unwrap_or_default();
                match body {
                    Value::String(text) => (status, text).into_response(),
                    body => (status, Json(body)).into_response(),
                }
            }
            Some(Effect::DropAnswer) => {
                answer.await;
                without_answer()
            }
            Some(Effect::Delay { milliseconds }) => {
                tokio::time::sleep(Duration::from_millis(milliseconds)).await;
                answer.await
            }
        }
    }
}

/// An error that a fault asks for.
pub(crate) struct Failure {
    pub(crate) status: u16,
    pub(crate) code: Option<String>,
    pub(crate) message: String,
    pub(crate) retry_after_seconds: Option<u32>,
}

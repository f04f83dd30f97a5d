//! Microsoft's side on one loopback port: Entra, Graph's subscriptions, and notifications of emergency calls.
//!
//! - [`clock`]: the simulated time, which tests move
//! - [`config`]: tenants, applications, and the choices where Microsoft's documents leave room
//! - [`applications`]: credentials and consent, as they change
//! - [`keys`], [`signing_keys`], [`tokens`]: RSA keys, Entra's keys documents, and its tokens
//! - [`sealing`], [`notification`]: the parts of a notification, as pure functions that tests can recombine into forged ones
//! - [`handshake`]: the endpoint validation
//! - [`outbound`]: where requests to subscribers really go
//! - [`faults`]: failures on demand
//! - [`delivery`], [`ledger`]: calls, and what became of their notifications
//! - [`sample`]: the sample events in `events/`

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use serde_json::Value;

pub mod applications;
mod browser_requests;
mod client_assertion;
pub mod clock;
pub mod config;
mod control;
pub mod delivery;
mod entra;
mod entra_error;
pub mod faults;
mod graph;
pub mod handshake;
mod issuer_keys;
pub mod keys;
pub mod ledger;
mod no_answer;
pub mod notification;
pub mod outbound;
pub mod sample;
pub mod sealing;
mod server;
pub mod signing_keys;
mod subscriptions;
#[cfg(test)]
mod tests;
mod throttling;
pub mod tokens;
mod world;

use applications::{ApplicationChange, ApplicationsError, CredentialsChange};
use clock::Clock;
use config::{Config, Settings, SettingsError};
use faults::Fault;
use ledger::{CALL_ENDED, CallReport, ControlError, DeliveryReport, Dial, Selector, Wait};
use signing_keys::SigningKey;
use world::World;

/// A running simulator. Dropping it ends it.
pub struct Simulator {
    world: Arc<World>,
    address: SocketAddr,
}

impl Simulator {
    /// Starts listening, and returns when requests are accepted.
    ///
    /// # Errors
    /// When the address cannot be bound, or no HTTP client can be made.
    pub async fn start(config: Config) -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind(config.bind).await?;
        let address = listener.local_addr()?;
        let world = Arc::new(World::new(config, address).map_err(io::Error::other)?);
        // The first keys are made before the first request, so that no time limit includes it.
        tokio::task::spawn_blocking(|| signing_keys::SigningKeys::new().published()).await.map_err(io::Error::other)?;
        let names = browser_requests::Names::new(address, &world.origin);
        world.spawn(server::serve(listener, names, Arc::clone(&world)));
        world.spawn(delivery::send_notices(Arc::clone(&world)));
        Ok(Self { world, address })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients call it: `http://127.0.0.1:{port}` unless configured. It is also the login endpoint.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.world.origin
    }

    /// The value for `LOGIN_ENDPOINT`.
    #[must_use]
    pub fn login_endpoint(&self) -> &str {
        self.origin()
    }

    /// The value for `GRAPH_ENDPOINT`.
    #[must_use]
    pub fn graph_endpoint(&self) -> String {
        format!("{}/v1.0", self.origin())
    }

    /// The simulated clock.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.world.clock
    }

    /// Makes an emergency call, and waits as it says.
    ///
    /// # Errors
    /// When the tenant is unknown.
    pub async fn dial(&self, dial: Dial) -> Result<CallReport, ControlError> {
        self.world.dial(dial).await
    }

    /// Makes several calls whose notifications travel in one request, as Graph may batch them.
    ///
    /// # Errors
    /// When a tenant is unknown, or the subscriptions have different notification URLs.
    pub async fn dial_together(&self, dials: Vec<Dial>, wait: Wait) -> Result<Vec<CallReport>, ControlError> {
        self.world.dial_together(dials, wait).await
    }

    /// Ends a call, which is an event of its own.
    ///
    /// # Errors
    /// When there is no such call.
    pub async fn end_call(&self, call_id: &str, wait: Wait) -> Result<CallReport, ControlError> {
        self.world.further_event(call_id, CALL_ENDED, wait).await
    }

    /// Makes another event of a call, of any type.
    ///
    /// # Errors
    /// When there is no such call.
    pub async fn further_event(&self, call_id: &str, event_type: &str, wait: Wait) -> Result<CallReport, ControlError> {
        self.world.further_event(call_id, event_type, wait).await
    }

    /// Delivers the call's last event again, encrypted anew: a duplicate.
    ///
    /// # Errors
    /// When there is no such call.
    pub async fn redeliver(&self, call_id: &str, wait: Wait) -> Result<CallReport, ControlError> {
        self.world.redeliver(call_id, wait).await
    }

    /// What became of a call's notifications so far, after waiting for `wait`.
    ///
    /// # Errors
    /// When there is no such call.
    pub async fn call(&self, call_id: &str, wait: Wait) -> Result<CallReport, ControlError> {
        self.world.wait(call_id, wait).await
    }

    /// Sends a lifecycle notification to the selected subscriptions, and waits for the first answers.
    ///
    /// # Errors
    /// When nothing is selected.
    pub async fn lifecycle(&self, selector: &Selector, event: &str) -> Result<Vec<DeliveryReport>, ControlError> {
        self.world.lifecycle(selector, event).await
    }

    /// Moves the clock forward step by step, running what falls due on the way, and returns when all of it was answered.
    pub async fn advance(&self, by: SignedDuration) -> Timestamp {
        self.world.advance(by).await
    }

    /// The live subscriptions with their secrets.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Value> {
        self.world.subscriptions()
    }

    /// Removes subscriptions as Graph does: without telling anybody. Returns their ids.
    #[must_use = "an empty list means that nothing was selected"]
    pub fn remove_subscriptions(&self, selector: &Selector) -> Vec<String> {
        self.world.remove_subscriptions(selector)
    }

    /// Signs with the next key from now on. `replace`: with one that was not published before, and without the old ones.
    pub fn rotate_signing_keys(&self, replace: bool) {
        self.world.rotate_signing_keys(replace);
    }

    /// The key that signs now, for tests that make tokens themselves.
    #[must_use]
    pub fn current_signing_key(&self) -> SigningKey {
        self.world.lock().signing_keys.current()
    }

    /// Adds a fault behind those that wait.
    pub fn add_fault(&self, fault: Fault) {
        self.world.lock().faults.add(fault);
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.world.lock().faults.clear();
    }

    /// The settings.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.world.lock().settings.clone()
    }

    /// Changes the settings that the JSON object names.
    ///
    /// # Errors
    /// When it names something else.
    pub fn change_settings(&self, changes: &Value) -> Result<Settings, SettingsError> {
        self.world.change_settings(changes)
    }

    /// Replaces credentials of an application.
    ///
    /// # Errors
    /// When the application is unknown, or Entra would not register such credentials; then nothing changes.
    pub fn change_credentials(&self, change: CredentialsChange) -> Result<(), ApplicationsError> {
        self.world.lock().applications.change_credentials(change)
    }

    /// Changes what an application is allowed.
    ///
    /// # Errors
    /// When the application or the tenant is unknown; then nothing changes.
    pub fn change_application(&self, change: ApplicationChange) -> Result<(), ApplicationsError> {
        self.world.lock().applications.change(change)
    }

    /// All deliveries so far with their bodies, oldest first.
    #[must_use]
    pub fn deliveries(&self) -> Vec<DeliveryReport> {
        self.world.deliveries()
    }

    /// The access tokens issued so far, oldest first: to whom, for which credential, when and until when, but not the tokens.
    #[must_use]
    pub fn tokens_issued(&self) -> Vec<Value> {
        self.world.lock().tokens_issued.clone()
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.world.stop();
    }
}

//! One request from beginning to end.

use std::collections::HashMap;

use emergency_alert::Alert;
use graph_notifications::{
    AuthenticNotification, ChangeNotificationCollection, ExaminedNotification, Probe,
    authentication::{NotProven, Opened, Outcome},
    handshake::SuspiciousToken,
};
use jiff::Timestamp;
use lambda_edge::event::BusEvent;
use tokio::time::{Duration, Instant};

use crate::{
    authenticate::{Effort, Examined, Examiner},
    combine::{Waiting, publish_unverified},
    config::Config,
    deadlines::Deadlines,
    decode::Decoded,
    dedup::{mark, note_latest, remember_calls},
    http::{Purpose, Request, Response},
    keyring_cache::KeyringCache,
    lifecycle,
    ports::Outside,
    probe,
    publish::{publish_new, put_events},
    rejection::{Reason, Rejected},
    signing_key_cache::LiveSigningKeys,
    telemetry::{ReportLimits, Tally},
};

/// The largest body that is read, in bytes: hundreds of calls. A larger one of many tiny items would use up the memory.
const LARGEST_BODY: usize = 2 * 1024 * 1024;

/// How long the bus may take for what strangers make us say: an instance that waits for it takes no call.
const WAIT_FOR_UNAUTHENTICATED: Duration = Duration::from_millis(300);

/// The function, with what it keeps between invocations.
pub struct Receiver<O> {
    config: Config,
    outside: O,
    keyring_cache: KeyringCache,
    signing_keys: LiveSigningKeys,
    waiting: Waiting,
    limits: ReportLimits,
    write_line: fn(&str),
}

/// A request's items by what is to become of them.
#[derive(Default)]
struct Sorted {
    verified: Vec<AuthenticNotification>,
    with_one_proof: Vec<AuthenticNotification>,
    rejected: Vec<Rejected>,
    undecided: usize,
}

impl<O: Outside> Receiver<O> {
    /// A receiver that has loaded nothing yet. `write_line` is given the lines for standard output.
    pub fn new(config: Config, outside: O, write_line: fn(&str)) -> Self {
        let keyring_cache = KeyringCache::new(config.keyring_secret_id.clone());
        let (signing_keys, limits) = (LiveSigningKeys::default(), ReportLimits::new(config.policies.iter().count()));
        Self { config, outside, keyring_cache, signing_keys, waiting: Waiting::default(), limits, write_line }
    }

    /// Loads the keyring ahead of the first notification. A failure is left to that notification and does not count: Lambda may
    /// freeze a process that it starts ahead of time, so that the time for an answer is over when it goes on.
    pub async fn warm_up(&self, now: Timestamp) {
        let deadline = self.deadlines().keyring;
        if let Err(error) = self.keyring_cache.get(&self.outside, now, deadline).await {
            tracing::warn!(%error, "no keyring yet");
            self.keyring_cache.take_failures();
        }
    }

    /// Answers a request. 202 for all that is settled, published or not, so that a forger learns nothing; 503 if anything
    /// in it must be sent again; 400 if it is nothing of Graph's. A handshake is answered before anything is loaded.
    pub async fn handle(&self, request: Request, now: Timestamp) -> Response {
        match request.purpose() {
            Purpose::Unserved => Response::bad_request(),
            Purpose::Handshake(Ok(token)) => Response::handshake(token),
            Purpose::Handshake(Err(SuspiciousToken)) => {
                tracing::warn!("refused a handshake: {SuspiciousToken}");
                Response::bad_request()
            }
            Purpose::Delivery(body) if body.len() > LARGEST_BODY => {
                tracing::warn!(bytes = body.len(), "refused a request that is too large");
                Response::bad_request()
            }
            Purpose::Delivery(body) => match ChangeNotificationCollection::parse(&body) {
                Ok(collection) => self.receive(collection, now).await,
                Err(error) => {
                    if let Some(probe) = Probe::parse(&body) {
                        return self.count(&probe, now).await;
                    }
                    tracing::warn!(%error, "refused a request");
                    Response::bad_request()
                }
            },
        }
    }

    fn deadlines(&self) -> Deadlines {
        Deadlines::starting(Instant::now(), self.config.second_alert_topic.is_some())
    }

    /// Whatever a probe holds, its answer is that of a delivery.
    async fn count(&self, probe: &Probe, now: Timestamp) -> Response {
        let Self { config, outside, keyring_cache, .. } = self;
        let deadline = self.deadlines().keyring;
        (self.write_line)(&probe::count(probe, keyring_cache, outside, &config.function_name, now, deadline).await);
        Response::accepted()
    }

    async fn receive(&self, collection: ChangeNotificationCollection, now: Timestamp) -> Response {
        let deadlines = self.deadlines();
        let examiner = Examiner {
            config: &self.config,
            outside: &self.outside,
            keyring_cache: &self.keyring_cache,
            signing_keys: &self.signing_keys,
            now,
            deadlines,
            effort: Effort::default(),
        };
        let mut examined = examiner.examine(collection).await;
        let mut sorted = self.sort(&mut examined);
        let keyring = examined.keyring.unwrap_or_default();
        let mut told = HashMap::new();

        // What is verified goes out before the rest is even opened.
        let verified = examiner.decode(std::mem::take(&mut sorted.verified), &keyring, deadlines.read).await;
        let alerts = sorted.take(verified);
        let mut handed_over = publish_new(alerts, &self.config, &self.outside, &deadlines, &mut told).await;
        let later = deadlines.for_unverified();
        let unverified = examiner.decode(std::mem::take(&mut sorted.with_one_proof), &keyring, later.read).await;
        let alerts = sorted.take(unverified);
        let Self { config, outside, waiting, .. } = self;
        handed_over.add(publish_unverified(alerts, config, outside, &later, waiting, &mut told, now).await);

        let mut tally = Tally::new(
            sorted.undecided + examined.lifecycle_undecided + handed_over.put_aside.len(),
            examined.lifecycle.len(),
        );
        tally.keyring_failures = self.keyring_cache.take_failures();
        let for_machines = handed_over.published.iter().chain(&handed_over.put_aside);
        let calls: Vec<BusEvent> = for_machines
            .filter(|outgoing| !outgoing.on_bus)
            .map(|outgoing| BusEvent::emergency_call(&outgoing.alert))
            .collect();
        let lifecycle = lifecycle::events(&examined.lifecycle, &self.limits, now);
        let reports = tally.reject(&sorted.rejected, &self.limits, now);
        let strange = [lifecycle.strange, reports.on_unauthenticated].concat();
        // Calls go by themselves: what strangers make us say must not stand in their way.
        let lifecycle_failed;
        (tally.marks_failed, tally.starts_failed, tally.notes_failed, tally.events_failed, lifecycle_failed, _, _) = tokio::join!(
            mark(&handed_over.published, &self.outside, now, deadlines.recorded),
            remember_calls(&handed_over.published, &self.outside, now, deadlines.recorded),
            note_latest(&handed_over.published, &self.outside, now, deadlines.recorded),
            put_events(&calls, &self.outside, deadlines.recorded),
            put_events(&lifecycle.ours, &self.outside, deadlines.recorded),
            put_events(&reports.on_authenticated, &self.outside, deadlines.recorded),
            put_events(&strange, &self.outside, deadlines.recorded.min(Instant::now() + WAIT_FOR_UNAUTHENTICATED)),
        );
        tally.lifecycle_failed = lifecycle_failed + lifecycle.left_out;
        for line in tally.lines(&handed_over, &examiner.effort, &self.config.function_name, now) {
            (self.write_line)(&line);
        }
        if tally.undecided > 0 || handed_over.failed > 0 { Response::unavailable() } else { Response::accepted() }
    }

    /// What is settled without opening an item is settled here.
    fn sort(&self, examined: &mut Examined) -> Sorted {
        let unverified = self.config.unverified_calls;
        let mut sorted = Sorted::default();
        sorted.rejected.resize(examined.malformed, Rejected::malformed(examined.token));
        for item in std::mem::take(&mut examined.changes) {
            let outcome = if examined.keyring.is_some() {
                item.outcome_unopened(unverified)
            } else {
                Some(item.outcome(unverified, Opened::KeyringUnreadable))
            };
            match outcome {
                Some(Outcome::Retry) => sorted.undecided += 1,
                Some(Outcome::Ignored | Outcome::NotTold) => sorted.reject(&item),
                _ => match item.proven() {
                    Ok(item) if item.is_verified() => sorted.verified.push(item),
                    Ok(item) => sorted.with_one_proof.push(item),
                    Err(NotProven(item)) => sorted.reject(&item),
                },
            }
        }
        sorted
    }
}

impl Sorted {
    fn reject(&mut self, item: &ExaminedNotification) {
        self.rejected.push(Rejected::examined(Reason::missing_proof(item), item));
    }

    /// Takes what came of opening items, and gives the alerts. The end of a call follows its start.
    fn take(&mut self, decoded: Decoded) -> Vec<Alert> {
        self.rejected.extend(decoded.not_told);
        self.undecided += decoded.undecided;
        let mut alerts = decoded.alerts;
        alerts.sort_by_key(Alert::is_end);
        alerts
    }
}

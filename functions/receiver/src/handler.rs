//! One request from beginning to end.

use graph_notifications::{ChangeNotificationCollection, Probe, handshake::SuspiciousToken};
use jiff::Timestamp;
use lambda_edge::event::BusEvent;
use tokio::time::{Duration, Instant};

use crate::{
    authenticating::{Effort, Judge},
    config::Config,
    handing_over::{publish_new, put_events},
    http::{Purpose, Request, Response},
    keyring_cache::KeyringCache,
    lifecycle,
    live_signing_keys::LiveSigningKeys,
    outside::Outside,
    probing,
    remembering::{mark, note_latest, remember_starts},
    schedule::Schedule,
    telemetry::{Tally, Voice},
};

/// The largest body that is read, in bytes: hundreds of calls. A larger one of many tiny items would use up the memory.
const LARGEST_BODY: usize = 2 * 1024 * 1024;

/// How long the bus may take for what strangers make us say: an instance that waits for it takes no call.
const STRANGERS_WAIT: Duration = Duration::from_millis(300);

/// The function, with what it keeps between invocations.
pub struct Receiver<O> {
    config: Config,
    outside: O,
    keyring_cache: KeyringCache,
    signing_keys: LiveSigningKeys,
    voice: Voice,
    write_line: fn(&str),
}

impl<O: Outside> Receiver<O> {
    /// A receiver that has loaded nothing yet. `write_line` is given the lines for standard output.
    pub fn new(config: Config, outside: O, write_line: fn(&str)) -> Self {
        let keyring_cache = KeyringCache::new(config.keyring_secret_id.clone());
        let (signing_keys, voice) = (LiveSigningKeys::default(), Voice::new(config.policies.iter().count()));
        Self { config, outside, keyring_cache, signing_keys, voice, write_line }
    }

    /// Loads the keyring ahead of the first notification. A failure is left to that notification and does not count: Lambda may
    /// freeze a process that it starts ahead of time, so that the time for an answer is over when it goes on.
    pub async fn warm_up(&self, now: Timestamp) {
        let deadline = self.schedule().keyring;
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

    fn schedule(&self) -> Schedule {
        Schedule::starting(Instant::now(), self.config.second_alert_topic.is_some())
    }

    /// Whatever a probe holds, its answer is that of a delivery.
    async fn count(&self, probe: &Probe, now: Timestamp) -> Response {
        let Self { config, outside, keyring_cache, .. } = self;
        let deadline = self.schedule().keyring;
        (self.write_line)(&probing::count(probe, keyring_cache, outside, &config.function_name, now, deadline).await);
        Response::accepted()
    }

    async fn receive(&self, collection: ChangeNotificationCollection, now: Timestamp) -> Response {
        let schedule = self.schedule();
        let judge = Judge {
            config: &self.config,
            outside: &self.outside,
            keyring_cache: &self.keyring_cache,
            signing_keys: &self.signing_keys,
            now,
            schedule,
            effort: Effort::default(),
        };
        let mut sorted = judge.sort(collection).await;
        let read = judge.read(std::mem::take(&mut sorted.authentic), &sorted.keyring).await;
        let handed_over = publish_new(read.alerts, &self.config, &self.outside, &schedule).await;

        let mut tally = Tally::new(sorted.undecided + read.undecided, sorted.lifecycle.len());
        tally.keyring_failures = self.keyring_cache.take_failures();
        let calls: Vec<BusEvent> =
            handed_over.published.iter().map(|outgoing| BusEvent::emergency_call(&outgoing.alert)).collect();
        let lifecycle = lifecycle::events(&sorted.lifecycle, &self.voice, now);
        let reports = tally.reject(&sorted.rejected, &self.voice, now);
        let strange = [lifecycle.strange, reports.on_strangers].concat();
        // Calls go by themselves: what strangers make us say must not stand in their way.
        let lifecycle_failed;
        (tally.marks_failed, tally.starts_failed, tally.notes_failed, tally.events_failed, lifecycle_failed, _, _) = tokio::join!(
            mark(&handed_over.published, &self.outside, now, schedule.recorded),
            remember_starts(&handed_over.published, &self.outside, now, schedule.recorded),
            note_latest(&handed_over.published, &self.outside, now, schedule.recorded),
            put_events(&calls, &self.outside, schedule.recorded),
            put_events(&lifecycle.ours, &self.outside, schedule.recorded),
            put_events(&reports.on_acquaintances, &self.outside, schedule.recorded),
            put_events(&strange, &self.outside, schedule.recorded.min(Instant::now() + STRANGERS_WAIT)),
        );
        tally.lifecycle_failed = lifecycle_failed + lifecycle.left_out;
        for line in tally.lines(&handed_over, &judge.effort, &self.config.function_name, now) {
            (self.write_line)(&line);
        }
        if tally.undecided > 0 || handed_over.failed > 0 { Response::unavailable() } else { Response::accepted() }
    }
}

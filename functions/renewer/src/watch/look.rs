//! Looking: every part of the chain at once, none of which may hold up another.

use std::collections::BTreeSet;

use futures::future::join_all;
use graph_notifications::Keyring;
use jiff::{SignedDuration, Timestamp};

use super::{
    RESERVE,
    ports::{Notes, Watched},
    report::{CredentialWatched, TopicWatched, WatchReport},
    subscriptions::keep,
    trouble::{Problem, Trouble, Troubles, compare, shown, untold},
};
use crate::{
    app_certificates::AppCertificates,
    config::{Config, CredentialKind},
    coverage::{Coverage, coverage, covered_topics, is_visible},
    ports::{StoredSecret, by},
    run::Invocation,
    topics::Topic,
};

/// What the notes may take of what is reserved.
const FOR_NOTES: SignedDuration = SignedDuration::from_secs(6);

/// A probe that has less time than this is not posted: its silence would say nothing of the address.
const FOR_PROBE: SignedDuration = SignedDuration::from_secs(4);

/// What the receiver answers whatever a request holds.
const ACCEPTED: u16 = 202;

/// Looks at everything, and repairs subscriptions that are gone, until the invocation ends.
pub async fn look<W: Watched>(world: &W, config: &Config, invocation: Invocation<'_>, minute: i64) -> WatchReport {
    let started_at = world.now();
    let until = invocation.ends_at - RESERVE;
    let eyes = Eyes { world, config, until };
    let subscriptions = keep(world, config, Invocation { ends_at: until, ..invocation }, minute);
    let (keyed, topics, times, graphs) =
        tokio::join!(eyes.keyring_and_probe(), eyes.topics(), eyes.times(), subscriptions);
    let mut report = WatchReport {
        full: true,
        probe_answered: keyed.probe_answered,
        signing_keys_age_seconds: keyed.signing_keys_age_seconds,
        asked_for: graphs.asked_for,
        subscriptions: graphs.watched,
        repaired: graphs.repaired,
        credentials: keyed.credentials,
        ..WatchReport::begun(started_at)
    };
    let mut problems = keyed.problems;
    problems.extend(graphs.problems);
    let known = |id: &String| keyed.certificate_ids.as_ref().is_none_or(|known| known.contains(id));
    let lost = graphs.certificate_ids.iter().filter(|id| !known(id));
    problems.extend(lost.map(|id| {
        let sentence = format!("Graph encrypts for the certificate {id}, whose key is lost");
        Problem::new(Trouble::KeyLost(id.clone()), sentence)
    }));
    // What did not answer has used up all of the time before.
    let eyes = Eyes { until: until + FOR_NOTES, ..eyes };
    report.credentials.extend(eyes.app_credential(graphs.newest_refused, &mut problems).await);
    eyes.compare_with_notes(topics, times, &mut problems, &mut report).await;
    report.problems.extend(problems.into_iter().map(|problem| problem.sentence));
    report.ok = report.probe_answered == Some(true) && report.problems.is_empty();
    report
}

struct Eyes<'a, W> {
    world: &'a W,
    config: &'a Config,
    until: Timestamp,
}

/// What the keyring shows, and what the address answered to a probe.
#[derive(Default)]
struct Keyed {
    probe_answered: Option<bool>,
    signing_keys_age_seconds: Option<i64>,
    credentials: Vec<CredentialWatched>,
    /// The names of the certificates whose keys are there; `None` if that cannot be seen.
    certificate_ids: Option<Vec<String>>,
    problems: Vec<Problem>,
}

/// What Amazon SNS says of a topic.
struct TopicSeen {
    topic: Topic,
    confirmed: Result<u64, String>,
    /// Whether somebody gets all of it; `None` where that does not matter or is not shown to this account.
    coverage: Option<Result<Coverage, String>>,
}

/// What the state table says.
struct Times {
    reconciled_at: Result<Option<Timestamp>, String>,
    latest_notification: Result<Option<Timestamp>, String>,
    notes: Result<Option<Notes>, String>,
}

impl<W: Watched> Eyes<'_, W> {
    /// The call's answer, or the sentence that there was none in time.
    async fn bounded<T, E: ToString>(&self, call: impl Future<Output = Result<T, E>>) -> Result<T, String> {
        const LATE: &str = "there was no answer in time";
        if self.until <= self.world.now() {
            return Err(LATE.to_owned());
        }
        let answer = by(self.world, self.until, call).await.ok_or_else(|| LATE.to_owned())?;
        answer.map_err(|error| error.to_string())
    }

    async fn keyring_and_probe(&self) -> Keyed {
        let mut keyed = Keyed::default();
        let keyring = match self.keyring().await {
            Ok(keyring) => keyring,
            Err(sentence) => {
                keyed.problems.push(Problem::new(Trouble::KeyringNotRead, sentence));
                return keyed;
            }
        };
        let ids = keyring.keys.iter().map(|key| key.certificate_id.clone());
        keyed.certificate_ids = Some(ids.collect());
        let now = self.world.now();
        keyed.signing_keys_age_seconds =
            keyring.signing_keys.as_ref().map(|keys| now.duration_since(keys.fetched_at).as_secs());
        if keyed.signing_keys_age_seconds.is_none() {
            keyed.problems.push(Problem::new(Trouble::SigningKeysMissing, "the keyring holds no signing keys"));
        }
        let Some(key) = keyring.current_key() else {
            keyed.problems.push(Problem::new(Trouble::CurrentKeyMissing, "the keyring has no current key"));
            return keyed;
        };
        keyed.credentials.extend(ends("EncryptionCertificate", key.pair.not_after(), now));
        let body = match self.world.seal_probe(key, now) {
            Ok(body) if self.until.duration_since(now) >= FOR_PROBE => body,
            Ok(_) => {
                keyed.problems.push(Problem::new(Trouble::ProbeNotSent, "the keyring came too late for a probe"));
                return keyed;
            }
            Err(error) => {
                keyed.problems.push(Problem::new(Trouble::ProbeNotSent, format!("no probe can be made: {error}")));
                return keyed;
            }
        };
        let answered = self.bounded(self.world.post_probe(&self.config.notification_url, &body)).await;
        keyed.probe_answered = Some(answered == Ok(ACCEPTED));
        match answered {
            Ok(ACCEPTED) => {}
            // No problem of the watch: it is what the probe is for, and has an alarm of its own.
            Ok(status) => tracing::warn!(status, "the notification address does not answer a probe as it should"),
            Err(error) => tracing::warn!(error, "the notification address does not answer a probe"),
        }
        keyed
    }

    async fn keyring(&self) -> Result<Keyring, String> {
        let id = &self.config.keyring_secret_id;
        let read = self.bounded(self.world.read(id)).await;
        let stored = read.map_err(|error| format!("the keyring cannot be read from the secret {id}: {error}"))?;
        let text = stored.as_ref().and_then(StoredSecret::text);
        let text = text.ok_or_else(|| format!("the secret {id} holds no keyring yet"))?;
        Keyring::from_json(text).map_err(|error| format!("the secret {id} holds no usable keyring: {error}"))
    }

    async fn topics(&self) -> Vec<TopicSeen> {
        let count = async |topic, arn| {
            let confirmed = self.bounded(self.world.subscribers(arn)).await.map(|subscribers| subscribers.confirmed);
            TopicSeen { topic, confirmed, coverage: None }
        };
        let cover = async |(topic, arn)| (topic, self.bounded(coverage(self.world, arn)).await);
        let visible = covered_topics(self.config).filter(|(_, arn)| is_visible(arn, self.config));
        let (mut topics, covered) = tokio::join!(
            join_all(Topic::of(self.config).map(|(topic, arn)| count(topic, arn))),
            join_all(visible.map(cover))
        );
        for (topic, coverage) in covered {
            topics.iter_mut().filter(|one| one.topic == topic).for_each(|one| one.coverage = Some(coverage.clone()));
        }
        topics
    }

    async fn times(&self) -> Times {
        let (reconciled_at, latest_notification, notes) = tokio::join!(
            self.bounded(self.world.reconciled_at()),
            self.bounded(self.world.latest_notification()),
            self.bounded(self.world.notes()),
        );
        Times { reconciled_at, latest_notification, notes }
    }

    /// When what the app signs in with ends, as far as that can be known. Where Entra took no credential of the kind that is meant
    /// to be used, that is the client secret, which serves while the app changes over.
    async fn app_credential(&self, newest_refused: bool, problems: &mut Vec<Problem>) -> Option<CredentialWatched> {
        let now = self.world.now();
        match &self.config.credential {
            CredentialKind::Secret(_) => self.client_secret(now),
            CredentialKind::Federated => self.client_secret(now).filter(|_| newest_refused),
            CredentialKind::Certificate(id) => {
                let all = match self.bounded(AppCertificates::read(self.world, id)).await {
                    Ok(all) => all,
                    Err(sentence) => {
                        problems.push(Problem::new(Trouble::AppCertificatesNotRead, sentence));
                        return None;
                    }
                };
                // The newest that serves. The next one is of no use before it is uploaded.
                let serving = all.certificates.iter().rev().nth(usize::from(newest_refused));
                if serving.is_none() && newest_refused {
                    return self.client_secret(now);
                }
                let end = serving.and_then(|one| one.pair.not_after()).unwrap_or(now);
                ends("AppCertificate", Some(end), now)
            }
        }
    }

    fn client_secret(&self, now: Timestamp) -> Option<CredentialWatched> {
        ends("ClientSecret", self.config.client_secret_expires_at, now)
    }

    /// Fills in what takes the notes of the watch before, and notes what the next one needs.
    async fn compare_with_notes(
        &self,
        topics: Vec<TopicSeen>,
        times: Times,
        problems: &mut Vec<Problem>,
        report: &mut WatchReport,
    ) {
        let now = self.world.now();
        let mut unreadable = |error| {
            problems.push(Problem::new(Trouble::TableNotRead, format!("the state table cannot be read: {error}")));
        };
        // Only what is known to be missing is made anew: to forget since when is to forget a silence.
        let notes = times.notes.map(|notes| notes.unwrap_or_else(|| Notes::first(now)));
        let notes = notes.map_err(&mut unreadable).ok();
        let reconciled_at = times.reconciled_at.map_err(&mut unreadable).ok();
        let latest = times.latest_notification.map_err(&mut unreadable).ok();
        if let Some(notes) = &notes {
            report.reconcile_overdue_seconds = reconciled_at.map(|at| {
                let due = at.unwrap_or(notes.since) + self.config.renewal_interval;
                now.duration_since(due).as_secs().max(0)
            });
            report.days_since_notification =
                latest.map(|at| whole_days(now.duration_since(at.unwrap_or(notes.since).max(notes.since))).max(0));
        }
        let mut confirmed = notes.as_ref().map(|notes| notes.confirmed.clone()).unwrap_or_default();
        let mut heard_anew = false;
        for TopicSeen { topic, confirmed: counted, coverage } in topics {
            if let Some(Err(error)) = &coverage {
                let sentence = format!("whether anybody gets all of {} cannot be seen: {error}", topic.name());
                problems.push(Problem::new(Trouble::FiltersNotSeen(topic), sentence));
            }
            match counted {
                Ok(count) => {
                    let before = confirmed.insert(topic.name().to_owned(), count).unwrap_or(count);
                    heard_anew |= topic == Topic::Operations && count > before;
                    let lost = before.saturating_sub(count);
                    let is_covered = count > 0 && !matches!(coverage, Some(Ok(Coverage::Filtered(_))));
                    let unfiltered = matches!(topic, Topic::Alert | Topic::SecondAlert).then_some(is_covered);
                    report.topics.push(TopicWatched { topic: topic.name(), confirmed: count, lost, unfiltered });
                }
                Err(error) => {
                    let sentence = format!("the subscribers of {} cannot be counted: {error}", topic.name());
                    problems.push(Problem::new(Trouble::TopicNotSeen(topic), sentence));
                }
            }
        }
        let of_problems = problems.iter().map(|problem| problem.trouble.to_string());
        let of_values = shown(report, self.config.renewal_interval);
        let in_trouble: BTreeSet<_> = of_problems.chain(of_values.iter().map(ToString::to_string)).collect();
        report.in_trouble = in_trouble.iter().cloned().collect();
        let Some(before) = notes else {
            report.new_problems = untold(&Troubles::new(), &in_trouble);
            return;
        };
        let mut told = before.troubles.clone();
        if heard_anew {
            // Whoever is new there was told nothing of what is in trouble.
            for one in told.values_mut() {
                one.told = false;
            }
        }
        let (troubles, new) = compare(told.clone(), &in_trouble, now);
        report.new_problems = new;
        let after = Notes { since: before.since, confirmed, troubles };
        // The first notes are new though they say nothing yet.
        if (after != before || before.since == now)
            && let Err(error) = self.bounded(self.world.put_notes(&after)).await
        {
            problems
                .push(Problem::new(Trouble::NotesNotWritten, format!("the watch's notes cannot be written: {error}")));
            report.new_problems = untold(&told, &in_trouble);
        }
    }
}

fn ends(credential: &'static str, end: Option<Timestamp>, now: Timestamp) -> Option<CredentialWatched> {
    end.map(|end| CredentialWatched { credential, days_left: whole_days(end.duration_since(now)) })
}

/// Rounded down.
fn whole_days(length: SignedDuration) -> i64 {
    length.as_secs().div_euclid(24 * 60 * 60)
}

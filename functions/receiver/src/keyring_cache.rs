//! The keyring in memory, between invocations.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use graph_notifications::Keyring;
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::Mutex,
    time::{Instant, sleep_until},
};

use crate::{
    ports::{ReadKeyring, by},
    rate_limit::PerMinute,
};

/// After this time the keyring is read again, so that rotated keys and client states arrive without being missed first.
pub const FRESH_FOR: SignedDuration = SignedDuration::from_mins(5);

/// The shortest time between two readings that a request asks for. Who asks sooner waits.
/// To make do with the keyring at hand would be wrong: a call can come in the same second in which the renewer has made a
/// client state, and would be turned away for good.
pub const BETWEEN_READS: SignedDuration = SignedDuration::from_millis(200);

/// After a reading that failed, the keyring at hand serves for this long before another is tried: each would keep a call waiting.
const BETWEEN_ATTEMPTS: SignedDuration = SignedDuration::from_secs(10);

/// How often in a minute the keyring is read for what nobody vouches for yet.
const DOUBTFUL_READS: usize = 5;

/// There is no keyring to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the keyring in the secret {secret_id} cannot be used: {reason}")]
pub struct KeyringUnavailable {
    secret_id: String,
    reason: String,
}

/// Keeps the keyring and reads it anew when it may have changed.
pub struct KeyringCache {
    secret_id: String,
    held: Mutex<Option<Held>>,
    doubtful_reads: PerMinute,
    failures: AtomicUsize,
}

struct Held {
    keyring: Arc<Keyring>,
    read_at: Timestamp,
    /// When it was asked for: it is as new as a request that arrived then can want it.
    asked_at: Timestamp,
    /// When it was tried in vain to read it again.
    failed_at: Option<Timestamp>,
}

impl KeyringCache {
    /// An empty cache of the secret's keyring. The id is for messages.
    #[must_use]
    pub fn new(secret_id: String) -> Self {
        Self {
            secret_id,
            held: Mutex::new(None),
            doubtful_reads: PerMinute::new(DOUBTFUL_READS),
            failures: AtomicUsize::new(0),
        }
    }

    /// How often the keyring could not be read since this was last asked. Whoever has an older one does not notice.
    pub fn take_failures(&self) -> usize {
        self.failures.swap(0, Ordering::Relaxed)
    }

    /// The keyring, read anew if it is stale. If that fails, the stale one: its keys still open what Graph sends.
    ///
    /// # Errors
    /// If there has never been one.
    pub async fn get(
        &self,
        reader: &impl ReadKeyring,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Arc<Keyring>, KeyringUnavailable> {
        self.no_older_than(FRESH_FOR, reader, now, deadline).await
    }

    /// The same, but stale already at this age.
    ///
    /// # Errors
    /// If there has never been one.
    pub async fn no_older_than(
        &self,
        limit: SignedDuration,
        reader: &impl ReadKeyring,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Arc<Keyring>, KeyringUnavailable> {
        let mut held = self.held.lock().await;
        match &*held {
            Some(held) if since(held.read_at, now) < limit || held.has_failed_lately(now) => {
                return Ok(held.keyring.clone());
            }
            _ => {}
        }
        let read = self.read(reader, now, deadline).await;
        match (read, &mut *held) {
            (Ok(new), _) => Ok(held.insert(new).keyring.clone()),
            (Err(error), Some(old)) => {
                tracing::warn!(%error, "working on with an older keyring");
                old.failed_at = Some(now);
                Ok(old.keyring.clone())
            }
            (Err(error), None) => Err(error),
        }
    }

    /// The keyring as it is now, because the one at hand seems to lack something. One that was read for this request, which
    /// arrived `now`, counts.
    ///
    /// # Errors
    /// If it cannot be read in time: whether something is lacking stays open.
    pub async fn refresh(
        &self,
        reader: &impl ReadKeyring,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Arc<Keyring>, KeyringUnavailable> {
        let mut held = self.held.lock().await;
        match read_for(held.as_ref(), now) {
            Some(keyring) => Ok(keyring),
            None => self.read_after_a_pause(&mut held, reader, now, deadline).await,
        }
    }

    /// [`KeyringCache::refresh`] for what may be a call or a forger's: it is read only so many times a minute, or each forgery
    /// would keep an instance of the function busy with waiting. `None` if it was read that often.
    ///
    /// # Errors
    /// If it cannot be read in time: whether something is lacking stays open.
    pub async fn refresh_in_doubt(
        &self,
        reader: &impl ReadKeyring,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Option<Arc<Keyring>>, KeyringUnavailable> {
        let mut held = self.held.lock().await;
        if let Some(keyring) = read_for(held.as_ref(), now) {
            return Ok(Some(keyring));
        }
        if !self.doubtful_reads.take(now) {
            return Ok(None);
        }
        self.read_after_a_pause(&mut held, reader, now, deadline).await.map(Some)
    }

    async fn read_after_a_pause(
        &self,
        held: &mut Option<Held>,
        reader: &impl ReadKeyring,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Arc<Keyring>, KeyringUnavailable> {
        let age = held.as_ref().map_or(SignedDuration::MAX, |held| since(held.read_at, now));
        let wait = BETWEEN_READS.saturating_sub(age).max(SignedDuration::ZERO);
        sleep_until(deadline.min(Instant::now() + wait.unsigned_abs())).await;
        let new = self.read(reader, now, deadline).await?;
        Ok(held.insert(Held { read_at: now + wait, ..new }).keyring.clone())
    }

    async fn read(
        &self,
        reader: &impl ReadKeyring,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Held, KeyringUnavailable> {
        let read = self.read_uncounted(reader, now, deadline).await;
        self.failures.fetch_add(usize::from(read.is_err()), Ordering::Relaxed);
        read
    }

    async fn read_uncounted(
        &self,
        reader: &impl ReadKeyring,
        now: Timestamp,
        deadline: Instant,
    ) -> Result<Held, KeyringUnavailable> {
        let text = by(deadline, reader.read_keyring()).await.map_err(|error| self.unavailable(error.to_string()))?;
        let keyring = Keyring::from_json(&text).map_err(|error| self.unavailable(error.to_string()))?;
        // It would take every notification for a stranger's.
        if keyring.known_client_states().is_empty() {
            return Err(self.unavailable("it holds no client state".to_owned()));
        }
        Ok(Held { keyring: Arc::new(keyring), read_at: now, asked_at: now, failed_at: None })
    }

    fn unavailable(&self, reason: String) -> KeyringUnavailable {
        KeyringUnavailable { secret_id: self.secret_id.clone(), reason }
    }
}

impl Held {
    fn has_failed_lately(&self, now: Timestamp) -> bool {
        self.failed_at.is_some_and(|failed_at| since(failed_at, now) < BETWEEN_ATTEMPTS)
    }
}

/// The keyring, if it was read for the request that arrived `now`. One that was read later was read before the clock was set back.
fn read_for(held: Option<&Held>, now: Timestamp) -> Option<Arc<Keyring>> {
    held.filter(|held| held.asked_at == now).map(|held| held.keyring.clone())
}

/// A clock that was set back makes a keyring old, never young for ever.
fn since(then: Timestamp, now: Timestamp) -> SignedDuration {
    let time = now.duration_since(then);
    if time.is_negative() { SignedDuration::MAX } else { time }
}

#[cfg(test)]
mod tests {
    use tokio::time::Duration;
    use zeroize::Zeroizing;

    use super::*;
    use crate::ports::CallFailed;

    const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);

    /// Gives out each answer in turn, and the last one again and again. `None` never answers.
    struct Answers(Vec<Option<Result<&'static str, &'static str>>>, AtomicUsize);

    impl ReadKeyring for Answers {
        async fn read_keyring(&self) -> Result<Zeroizing<String>, CallFailed> {
            let index = self.1.fetch_add(1, Ordering::Relaxed).min(self.0.len() - 1);
            match self.0[index] {
                Some(Ok(text)) => Ok(Zeroizing::new(text.to_owned())),
                Some(Err(text)) => Err(CallFailed(text.to_owned())),
                None => std::future::pending().await,
            }
        }
    }

    const GOOD: Option<Result<&str, &str>> =
        Some(Ok(r#"{"version":1,"clientStates":[{"id":"s1","value":"x","createdAt":"2026-01-01T00:00:00Z"}]}"#));
    const DOWN: Option<Result<&str, &str>> = Some(Err("down"));

    fn answers(answers: &[Option<Result<&'static str, &'static str>>]) -> (KeyringCache, Answers) {
        (KeyringCache::new("the-secret".to_owned()), Answers(answers.to_vec(), AtomicUsize::new(0)))
    }

    fn reads(reader: &Answers) -> usize {
        reader.1.load(Ordering::Relaxed)
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(1)
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_read_once_until_it_is_stale() {
        let (cache, reader) = answers(&[GOOD]);
        for (seconds, expected) in [(0, 1), (299, 1), (300, 2), (301, 2), (700, 3), (10, 4)] {
            cache.get(&reader, NOW + SignedDuration::from_secs(seconds), soon()).await.unwrap();
            assert_eq!(reads(&reader), expected, "after {seconds} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_stale_one_is_better_than_none() {
        let (cache, reader) = answers(&[GOOD, DOWN, Some(Ok("{")), None]);
        cache.get(&reader, NOW, soon()).await.unwrap();
        let hour = SignedDuration::from_hours(1);
        for (seconds, expected) in [(0, 2), (1, 2), (9, 2), (10, 3), (19, 3), (20, 4), (29, 4)] {
            assert!(cache.get(&reader, NOW + hour + SignedDuration::from_secs(seconds), soon()).await.is_ok());
            assert_eq!(reads(&reader), expected, "after {seconds} s");
        }
        assert_eq!((cache.take_failures(), cache.take_failures()), (3, 0));
        let (cache, reader) = answers(&[GOOD, DOWN, GOOD]);
        for (time, expected) in [(SignedDuration::ZERO, 1), (hour, 2), (hour + BETWEEN_ATTEMPTS, 3), (hour * 2, 4)] {
            cache.get(&reader, NOW + time, soon()).await.unwrap();
            assert_eq!(reads(&reader), expected, "after {time}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn without_any_the_secret_is_named_and_its_text_is_not() {
        for (answer, reason) in [
            (DOWN, "down"),
            (None, "no answer in time"),
            (Some(Ok("{\"hunter2")), "line 1"),
            (Some(Ok("{\"version\":1}")), "no client state"),
        ] {
            let (cache, reader) = answers(&[answer]);
            let message = cache.get(&reader, NOW, soon()).await.unwrap_err().to_string();
            assert!(message.contains("the-secret") && message.contains(reason), "{message}");
            assert!(!message.contains("hunter2"));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_reads_for_each_request_and_at_most_five_times_a_second() {
        let (cache, reader) = answers(&[GOOD]);
        cache.get(&reader, NOW, soon()).await.unwrap();
        // What was read for the request itself counts; for a later one it is read again, after a wait.
        for (milliseconds, expected, waited) in
            [(0, 1, 0), (1, 2, 199), (1, 2, 0), (250, 3, 150), (600, 4, 0), (800, 5, 0), (900, 6, 100)]
        {
            let begun = Instant::now();
            cache.refresh(&reader, NOW + SignedDuration::from_millis(milliseconds), soon()).await.unwrap();
            assert_eq!((reads(&reader), begun.elapsed().as_millis()), (expected, waited), "after {milliseconds} ms");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_that_was_set_back_makes_no_keyring_new() {
        let (cache, reader) = answers(&[GOOD, DOWN, GOOD]);
        cache.refresh(&reader, NOW, soon()).await.unwrap();
        let earlier = NOW - SignedDuration::from_hours(1);
        assert!(cache.refresh(&reader, earlier, soon()).await.is_err());
        assert!(cache.refresh(&reader, earlier, soon()).await.is_ok());
        assert_eq!(reads(&reader), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn in_doubt_it_is_read_five_times_a_minute_at_most() {
        let (cache, reader) = answers(&[GOOD]);
        let refresh = async |seconds| {
            let now = NOW + SignedDuration::from_secs(seconds);
            cache.refresh_in_doubt(&reader, now, soon()).await.unwrap().is_some()
        };
        for seconds in 0..5 {
            assert!(refresh(seconds).await);
        }
        let begun = Instant::now();
        assert!(!refresh(5).await);
        assert_eq!((reads(&reader), begun.elapsed().as_millis()), (5, 0));
        assert!(
            cache.refresh(&reader, NOW + SignedDuration::from_secs(6), soon()).await.is_ok(),
            "others are not held up"
        );
        assert!(refresh(60).await);
    }

    #[tokio::test(start_paused = true)]
    async fn in_doubt_one_that_was_read_for_the_request_does_not_count() {
        let (cache, reader) = answers(&[GOOD]);
        for seconds in 0..20 {
            let now = NOW + SignedDuration::from_secs(seconds);
            cache.refresh(&reader, now, soon()).await.unwrap();
            assert!(cache.refresh_in_doubt(&reader, now, soon()).await.unwrap().is_some(), "after {seconds} s");
        }
        assert_eq!(reads(&reader), 20);
        let later = NOW + SignedDuration::from_secs(20);
        assert!(cache.refresh_in_doubt(&reader, later, soon()).await.unwrap().is_some(), "nothing was used up");
        assert_eq!(reads(&reader), 21);
    }

    #[tokio::test(start_paused = true)]
    async fn in_doubt_a_failure_says_so() {
        let (cache, reader) = answers(&[DOWN]);
        assert!(cache.refresh_in_doubt(&reader, NOW, soon()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_would_come_too_late_fails() {
        let (cache, reader) = answers(&[GOOD, None]);
        cache.get(&reader, NOW, soon()).await.unwrap();
        let (begun, deadline) = (Instant::now(), Instant::now() + Duration::from_millis(50));
        assert!(cache.refresh(&reader, NOW + SignedDuration::from_millis(1), deadline).await.is_err());
        assert_eq!(begun.elapsed().as_millis(), 50);
    }

    #[tokio::test(start_paused = true)]
    async fn a_refresh_that_fails_says_so() {
        let (cache, reader) = answers(&[GOOD, DOWN]);
        cache.get(&reader, NOW, soon()).await.unwrap();
        assert!(cache.refresh(&reader, NOW + SignedDuration::from_secs(2), soon()).await.is_err());
        assert!(cache.get(&reader, NOW + SignedDuration::from_secs(3), soon()).await.is_ok());
    }
}

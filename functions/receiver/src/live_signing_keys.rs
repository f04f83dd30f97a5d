//! Signing keys that the keyring does not have yet: fetched from Entra while Graph waits.

use std::collections::VecDeque;

use graph_notifications::{SigningKeys, TenantId};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::Mutex,
    time::{Duration, Instant, timeout_at},
};

use crate::outside::{CallFailed, FetchSigningKeys};

/// How often keys are fetched within [`LIMIT_PERIOD`]: whoever knows a client state could make us ask Entra each time.
pub const LIMIT: usize = 5;

/// See [`LIMIT`].
pub const LIMIT_PERIOD: SignedDuration = SignedDuration::from_mins(1);

/// Fetched keys are used for this long, while the renewer brings the keyring up to date.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// With less time than this left, Entra is not asked: that we are slow does not make Entra unreachable.
const LEAST_TIME: Duration = Duration::from_millis(300);

/// What came of looking for newer keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Entra's keys as they are now: what they lack, Entra does not have.
    Now(SigningKeys),
    /// Entra cannot be reached.
    Unreachable,
    /// Entra was not asked, because it was asked too often of late and did answer, or because no time is left for it:
    /// nobody can say now.
    NotAsked,
}

/// Fetches keys and keeps them.
#[derive(Default)]
pub struct LiveSigningKeys {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    kept: Option<SigningKeys>,
    fetches: VecDeque<Timestamp>,
    unreachable: bool,
}

impl LiveSigningKeys {
    /// The keys that were fetched before and are still good.
    pub async fn kept(&self, now: Timestamp) -> Option<SigningKeys> {
        let state = self.state.lock().await;
        state.kept.clone().filter(|keys| now.duration_since(keys.fetched_at).abs() < KEPT_FOR)
    }

    /// Fetches the tenant's keys.
    pub async fn fetch(
        &self,
        fetcher: &impl FetchSigningKeys,
        tenant: TenantId,
        now: Timestamp,
        deadline: Instant,
    ) -> Fetched {
        let mut state = self.state.lock().await;
        state.fetches.retain(|at| now.duration_since(*at).abs() < LIMIT_PERIOD);
        if state.fetches.len() >= LIMIT {
            return if state.unreachable { Fetched::Unreachable } else { Fetched::NotAsked };
        }
        if deadline < Instant::now() + LEAST_TIME {
            return Fetched::NotAsked;
        }
        state.fetches.push_back(now);
        let answer = timeout_at(deadline, fetcher.fetch_signing_keys(tenant, now)).await;
        match answer.unwrap_or(Err(CallFailed::late())) {
            Ok(keys) => {
                state.unreachable = false;
                state.kept = Some(keys.clone());
                Fetched::Now(keys)
            }
            Err(error) => {
                tracing::error!(%error, %tenant, "Entra's signing keys cannot be fetched");
                state.unreachable = true;
                Fetched::Unreachable
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);
    const TENANT: &str = "11111111-2222-3333-4444-555555555555";

    #[derive(Default)]
    struct Entra {
        down: Cell<bool>,
        silent: Cell<bool>,
        asked: Cell<usize>,
    }

    impl FetchSigningKeys for Entra {
        async fn fetch_signing_keys(&self, _tenant: TenantId, now: Timestamp) -> Result<SigningKeys, CallFailed> {
            self.asked.set(self.asked.get() + 1);
            if self.silent.get() {
                std::future::pending::<()>().await;
            }
            if self.down.get() {
                Err(CallFailed("down".into()))
            } else {
                Ok(SigningKeys { fetched_at: now, keys: vec![] })
            }
        }
    }

    async fn fetch(live: &LiveSigningKeys, entra: &Entra, seconds: i64) -> Fetched {
        let deadline = Instant::now() + Duration::from_millis(500);
        live.fetch(entra, TENANT.parse().unwrap(), NOW + SignedDuration::from_secs(seconds), deadline).await
    }

    #[tokio::test(start_paused = true)]
    async fn entra_is_asked_five_times_a_minute_at_most() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        for second in 0..5 {
            assert!(matches!(fetch(&live, &entra, second).await, Fetched::Now(_)));
        }
        assert_eq!(fetch(&live, &entra, 5).await, Fetched::NotAsked);
        assert_eq!(entra.asked.get(), 5);
        assert!(matches!(fetch(&live, &entra, 60).await, Fetched::Now(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn an_entra_that_is_down_stays_unreachable_under_the_limit() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        entra.down.set(true);
        for second in 0..10 {
            assert_eq!(fetch(&live, &entra, second).await, Fetched::Unreachable);
        }
        assert_eq!(entra.asked.get(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_entra_that_does_not_answer_is_unreachable() {
        let entra = Entra::default();
        entra.silent.set(true);
        assert_eq!(fetch(&LiveSigningKeys::default(), &entra, 0).await, Fetched::Unreachable);
    }

    #[tokio::test(start_paused = true)]
    async fn without_time_entra_is_not_asked_and_not_called_unreachable() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        let deadline = Instant::now() + LEAST_TIME - Duration::from_millis(1);
        assert_eq!(live.fetch(&entra, TENANT.parse().unwrap(), NOW, deadline).await, Fetched::NotAsked);
        assert_eq!(entra.asked.get(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn fetched_keys_are_kept_for_an_hour() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        assert_eq!(live.kept(NOW).await, None);
        fetch(&live, &entra, 0).await;
        assert!(live.kept(NOW + SignedDuration::from_mins(59)).await.is_some());
        assert!(live.kept(NOW + SignedDuration::from_mins(60)).await.is_none());
    }
}

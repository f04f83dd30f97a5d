//! Signing keys that the keyring does not have yet: fetched from Entra while Graph waits.

use std::collections::HashMap;

use graph_notifications::{SigningKeys, TenantId};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::Mutex,
    time::{Duration, Instant, timeout_at},
};

use crate::{
    limit::PerMinute,
    outside::{CallFailed, FetchSigningKeys},
};

/// How often keys are fetched in a minute: whoever knows a client state could make us ask Entra each time.
pub const LIMIT: usize = 5;

/// For so long Entra's answer to strangers' tokens stands.
const STANDS_FOR: SignedDuration = SignedDuration::from_secs(10);

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
pub struct LiveSigningKeys {
    limit: PerMinute,
    state: Mutex<State>,
}

impl Default for LiveSigningKeys {
    fn default() -> Self {
        Self { limit: PerMinute::new(LIMIT), state: Mutex::default() }
    }
}

#[derive(Default)]
struct State {
    kept: Option<SigningKeys>,
    unreachable: bool,
    /// What Entra last said to strangers' tokens, and when it was asked. Only tenants that are configured come here.
    for_strangers: HashMap<TenantId, (Timestamp, Fetched)>,
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
        if !self.limit.is_free(now) {
            return if state.unreachable { Fetched::Unreachable } else { Fetched::NotAsked };
        }
        if is_too_late(deadline) {
            return Fetched::NotAsked;
        }
        self.limit.take(now);
        let fetched = state.ask(fetcher, tenant, now, deadline).await;
        state.unreachable = fetched == Fetched::Unreachable;
        fetched
    }

    /// The tenant's keys for items whose client state nobody knows: fetched once in ten seconds, and apart from the others, so that
    /// strangers use nothing up. Until they are over, Entra's answer stands. That would turn away only a call in the middle of
    /// a flood whose subscription is new and whose token is signed by a key that Entra did not publish ten seconds ago.
    pub async fn fetch_for_strangers(
        &self,
        fetcher: &impl FetchSigningKeys,
        tenant: TenantId,
        now: Timestamp,
        deadline: Instant,
    ) -> Fetched {
        let mut state = self.state.lock().await;
        if let Some((asked_at, fetched)) = state.for_strangers.get(&tenant)
            && now.duration_since(*asked_at).abs() < STANDS_FOR
        {
            return fetched.clone();
        }
        if is_too_late(deadline) {
            return Fetched::NotAsked;
        }
        let fetched = state.ask(fetcher, tenant, now, deadline).await;
        state.for_strangers.insert(tenant, (now, fetched.clone()));
        fetched
    }
}

fn is_too_late(deadline: Instant) -> bool {
    deadline < Instant::now() + LEAST_TIME
}

impl State {
    async fn ask(
        &mut self,
        fetcher: &impl FetchSigningKeys,
        tenant: TenantId,
        now: Timestamp,
        deadline: Instant,
    ) -> Fetched {
        let answer = timeout_at(deadline, fetcher.fetch_signing_keys(tenant, now)).await;
        match answer.unwrap_or(Err(CallFailed::late())) {
            Ok(keys) => {
                self.kept = Some(keys.clone());
                Fetched::Now(keys)
            }
            Err(error) => {
                tracing::error!(%error, %tenant, "Entra's signing keys cannot be fetched");
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
    async fn for_strangers_entra_is_asked_once_in_ten_seconds_and_tenant_and_its_answer_stands() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        let fetch_for = async |tenant: &str, seconds| {
            let deadline = Instant::now() + Duration::from_millis(500);
            let now = NOW + SignedDuration::from_secs(seconds);
            live.fetch_for_strangers(&entra, tenant.parse().unwrap(), now, deadline).await
        };
        let at = |seconds| SignedDuration::from_secs(seconds);
        for (seconds, asked_at, asked) in [(0, 0, 1), (1, 0, 1), (9, 0, 1), (10, 10, 2), (19, 10, 2)] {
            let keys = SigningKeys { fetched_at: NOW + at(asked_at), keys: vec![] };
            assert_eq!(fetch_for(TENANT, seconds).await, Fetched::Now(keys), "after {seconds} s");
            assert_eq!(entra.asked.get(), asked, "after {seconds} s");
        }
        entra.down.set(true);
        for _ in 0..3 {
            assert_eq!(fetch_for("66666666-2222-3333-4444-555555555555", 19).await, Fetched::Unreachable);
        }
        assert_eq!(entra.asked.get(), 3);
        entra.down.set(false);
        for second in 19..24 {
            assert!(matches!(fetch(&live, &entra, second).await, Fetched::Now(_)), "strangers use nothing up");
        }
        assert_eq!(fetch(&live, &entra, 24).await, Fetched::NotAsked, "and make nothing unreachable");
    }

    #[tokio::test(start_paused = true)]
    async fn without_time_entra_is_not_asked_for_strangers_and_that_does_not_stand() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        for (milliseconds, expected) in [(299, 0), (300, 1)] {
            let deadline = Instant::now() + Duration::from_millis(milliseconds);
            let fetched = live.fetch_for_strangers(&entra, TENANT.parse().unwrap(), NOW, deadline).await;
            assert_eq!((fetched == Fetched::NotAsked, entra.asked.get()), (expected == 0, expected));
        }
        assert!(live.kept(NOW).await.is_some());
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

//! Signing keys that the keyring does not have yet: fetched from Entra while Graph waits.

use std::collections::HashMap;

use graph_notifications::{SigningKeys, TenantId};
use jiff::{SignedDuration, Timestamp};
use tokio::{
    sync::Mutex,
    time::{Duration, Instant},
};

use crate::{
    ports::{FetchSigningKeys, FetchedKeys, by},
    rate_limit::PerMinute,
};

/// How often in a minute keys are fetched at once for who knows a client state: whoever does could make us ask Entra each time.
pub const LIMIT: usize = 5;

/// For so long Entra's answer stands for strangers, and for all others once the limit is reached. That would turn away only a
/// call in the middle of a flood whose token is signed by a key that Entra did not publish ten seconds ago.
pub const STANDS_FOR: SignedDuration = SignedDuration::from_secs(10);

/// Fetched keys are used for this long, while the renewer brings the keyring up to date.
pub const KEPT_FOR: SignedDuration = SignedDuration::from_hours(1);

/// With less time than this left, Entra is not asked: that we are slow does not make Entra unreachable.
const LEAST_TIME: Duration = Duration::from_millis(300);

/// Whom keys are fetched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Requester {
    /// Somebody who knows a client state: Graph, or who has learnt it.
    KnowsClientState,
    /// Anybody. Strangers use up nothing of what those have who know a client state.
    Unauthenticated,
}

/// What came of looking for newer keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fetched {
    /// Entra's keys as they are now: what they lack, Entra does not have, if they are complete.
    Now(FetchedKeys),
    /// Entra cannot be reached.
    Unreachable,
    /// Entra was not asked, because no time is left for it: nobody can say now.
    NotAsked,
}

/// Fetches keys and keeps them.
pub struct LiveSigningKeys {
    limit: PerMinute,
    /// Only tenants that are configured come here.
    answers: Mutex<HashMap<TenantId, Answers>>,
}

impl Default for LiveSigningKeys {
    fn default() -> Self {
        Self { limit: PerMinute::new(LIMIT), answers: Mutex::default() }
    }
}

/// What Entra said of a tenant's keys.
struct Answers {
    last: Fetched,
    asked_at: Timestamp,
    kept: Option<SigningKeys>,
}

impl LiveSigningKeys {
    /// The tenant's keys that were fetched before and are still good.
    pub async fn kept(&self, tenant: TenantId, now: Timestamp) -> Option<SigningKeys> {
        let answers = self.answers.lock().await;
        let kept = answers.get(&tenant)?.kept.clone();
        kept.filter(|keys| now.duration_since(keys.fetched_at).abs() < KEPT_FOR)
    }

    /// Fetches the tenant's keys, or gives the answer that still stands.
    pub async fn fetch(
        &self,
        fetcher: &impl FetchSigningKeys,
        tenant: TenantId,
        requester: Requester,
        now: Timestamp,
        deadline: Instant,
    ) -> Fetched {
        let mut answers = self.answers.lock().await;
        let may_ask_at_once = requester == Requester::KnowsClientState && self.limit.is_free(now);
        if let Some(answer) = answers.get(&tenant)
            && !may_ask_at_once
            && now.duration_since(answer.asked_at).abs() < STANDS_FOR
        {
            return answer.last.clone();
        }
        if deadline < Instant::now() + LEAST_TIME {
            return Fetched::NotAsked;
        }
        if may_ask_at_once {
            self.limit.take(now);
        }
        let fetched = match by(deadline, fetcher.fetch_signing_keys(tenant, now)).await {
            Ok(keys) => Fetched::Now(keys),
            Err(error) => {
                tracing::error!(%error, %tenant, "Entra's signing keys cannot be fetched");
                Fetched::Unreachable
            }
        };
        let before = answers.remove(&tenant).and_then(|answer| answer.kept);
        let kept = match (&fetched, before) {
            (Fetched::Now(new), Some(before)) if !new.complete => {
                // What one document lacks may have come with the other one before.
                let mut keys = new.keys.clone();
                keys.merge(before);
                Some(keys)
            }
            (Fetched::Now(new), _) => Some(new.keys.clone()),
            (_, before) => before,
        };
        answers.insert(tenant, Answers { last: fetched.clone(), asked_at: now, kept });
        fetched
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::ports::CallFailed;

    const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);
    const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    const OTHER_TENANT: &str = "66666666-2222-3333-4444-555555555555";

    #[derive(Default)]
    struct Entra {
        down: Cell<bool>,
        silent: Cell<bool>,
        asked: Cell<usize>,
    }

    impl FetchSigningKeys for Entra {
        async fn fetch_signing_keys(&self, _tenant: TenantId, now: Timestamp) -> Result<FetchedKeys, CallFailed> {
            self.asked.set(self.asked.get() + 1);
            if self.silent.get() {
                std::future::pending::<()>().await;
            }
            if self.down.get() { Err(CallFailed("down".into())) } else { Ok(keys(now)) }
        }
    }

    fn keys(fetched_at: Timestamp) -> FetchedKeys {
        SigningKeys { fetched_at, keys: vec![] }.into()
    }

    fn at(seconds: i64) -> Timestamp {
        NOW + SignedDuration::from_secs(seconds)
    }

    fn tenant(id: &str) -> TenantId {
        id.parse().unwrap()
    }

    async fn fetch_for(requester: Requester, live: &LiveSigningKeys, entra: &Entra, id: &str, seconds: i64) -> Fetched {
        live.fetch(entra, tenant(id), requester, at(seconds), Instant::now() + Duration::from_millis(500)).await
    }

    async fn fetch(live: &LiveSigningKeys, entra: &Entra, seconds: i64) -> Fetched {
        fetch_for(Requester::KnowsClientState, live, entra, TENANT, seconds).await
    }

    #[tokio::test(start_paused = true)]
    async fn entra_is_asked_at_once_five_times_a_minute_and_then_every_ten_seconds() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        for (second, asked_at, asked) in
            [(0, 0, 1), (1, 1, 2), (2, 2, 3), (3, 3, 4), (4, 4, 5), (5, 4, 5), (13, 4, 5), (14, 14, 6), (23, 14, 6)]
        {
            assert_eq!(fetch(&live, &entra, second).await, Fetched::Now(keys(at(asked_at))), "after {second} s");
            assert_eq!(entra.asked.get(), asked, "after {second} s");
        }
        assert_eq!(fetch(&live, &entra, 60).await, Fetched::Now(keys(at(60))));
        assert_eq!(fetch(&live, &entra, 61).await, Fetched::Now(keys(at(61))), "a minute later at once");
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_limit_the_answer_for_another_tenant_says_nothing() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        for second in 0..5 {
            fetch(&live, &entra, second).await;
        }
        entra.down.set(true);
        let other = fetch_for(Requester::KnowsClientState, &live, &entra, OTHER_TENANT, 5).await;
        assert_eq!((other, entra.asked.get()), (Fetched::Unreachable, 6));
        assert_eq!(fetch(&live, &entra, 6).await, Fetched::Now(keys(at(4))));
    }

    #[tokio::test(start_paused = true)]
    async fn an_entra_that_is_down_stays_unreachable_at_the_limit() {
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
    async fn without_time_entra_is_not_asked_and_that_does_not_stand() {
        for requester in [Requester::KnowsClientState, Requester::Unauthenticated] {
            let entra = Entra::default();
            let live = LiveSigningKeys::default();
            for (milliseconds, expected) in [(299, 0), (300, 1)] {
                let deadline = Instant::now() + Duration::from_millis(milliseconds);
                let fetched = live.fetch(&entra, tenant(TENANT), requester, NOW, deadline).await;
                assert_eq!((fetched == Fetched::NotAsked, entra.asked.get()), (expected == 0, expected));
            }
            assert!(live.kept(tenant(TENANT), NOW).await.is_some());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn for_strangers_entra_is_asked_once_in_ten_seconds_and_tenant() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        for (seconds, asked_at, asked) in [(0, 0, 1), (1, 0, 1), (9, 0, 1), (10, 10, 2), (19, 10, 2)] {
            let fetched = fetch_for(Requester::Unauthenticated, &live, &entra, TENANT, seconds).await;
            assert_eq!((fetched, entra.asked.get()), (Fetched::Now(keys(at(asked_at))), asked), "after {seconds} s");
        }
        entra.down.set(true);
        for _ in 0..3 {
            let fetched = fetch_for(Requester::Unauthenticated, &live, &entra, OTHER_TENANT, 19).await;
            assert_eq!((fetched, entra.asked.get()), (Fetched::Unreachable, 3));
        }
        entra.down.set(false);
        for second in 19..24 {
            assert_eq!(
                fetch(&live, &entra, second).await,
                Fetched::Now(keys(at(second))),
                "unauthenticated use nothing up"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn fetched_keys_are_kept_for_an_hour_and_for_their_own_tenant() {
        let entra = Entra::default();
        let live = LiveSigningKeys::default();
        let kept = async |id, minutes: i64| live.kept(tenant(id), at(60 * minutes)).await.is_some();
        assert!(!kept(TENANT, 0).await);
        fetch(&live, &entra, 0).await;
        assert!(!kept(OTHER_TENANT, 0).await);
        entra.down.set(true);
        fetch(&live, &entra, 59 * 60).await;
        assert!(kept(TENANT, 59).await, "also while Entra is down");
        assert!(!kept(TENANT, 60).await);
    }
}

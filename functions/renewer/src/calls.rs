//! Attempts, pauses and fresh tokens: what turns calls that are made once into calls that a run can rely on.

use std::{cell::Cell, collections::HashMap, fmt, pin::pin, time::Duration};

use futures::{StreamExt as _, stream};
use graph_notifications::TenantId;
use graph_subscriptions::{AccessToken, Credential, GraphError, GraphErrorKind, TokenError};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::{
    config::Config,
    credential::{candidates, fallback},
    ports::World,
};

/// How often a call is made before its error stands.
pub const ATTEMPTS: u32 = 5;

/// Graph delivers under the token of the last renewal, so that each renewal takes a token that has its whole life ahead.
const OLDEST_TOKEN: SignedDuration = SignedDuration::from_secs(50);

/// The longest pause before another attempt, unless the other side asks for a longer one.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// The shortest time between two calls that change something in a tenant. Graph takes 1000 in 20 seconds from an app; a
/// fifth of that is left for others.
const BETWEEN_CHANGES: SignedDuration = SignedDuration::from_millis(25);

/// Why a call to Graph came to nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// There is nothing to ask Entra for a token with.
    Credential(String),
    /// There was no token to make it with.
    Token(TokenError),
    /// Graph did not do it.
    Graph(GraphError),
    /// The run's time is over, and the call was not made.
    OutOfTime,
}

impl Failure {
    /// Graph's answer, in one word.
    #[must_use]
    pub fn kind(&self) -> Option<GraphErrorKind> {
        match self {
            Self::Graph(error) => Some(error.kind),
            Self::Credential(_) | Self::Token(_) | Self::OutOfTime => None,
        }
    }

    /// Whether the same call may succeed a moment later.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            // Its attempts were made when the token was asked for.
            Self::Credential(_) | Self::Token(_) | Self::OutOfTime => false,
            Self::Graph(error) => error.is_retryable(),
        }
    }

    /// Whether Graph may have done it all the same.
    #[must_use]
    pub fn is_ambiguous(&self) -> bool {
        matches!(self, Self::Graph(error) if error.is_ambiguous())
    }

    /// The subscription that a conflict names as the one in the way.
    #[must_use]
    pub fn conflicting_id(&self) -> Option<String> {
        match self {
            Self::Graph(error) => error.conflicting_id().map(|id| id.to_string()),
            Self::Credential(_) | Self::Token(_) | Self::OutOfTime => None,
        }
    }

    /// How long the other side asks to wait.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Graph(error) => error.retry_after,
            Self::Token(error) => error.retry_after,
            Self::Credential(_) | Self::OutOfTime => None,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Credential(sentence) => f.write_str(sentence),
            Self::Token(error) => error.fmt(f),
            Self::Graph(error) => error.fmt(f),
            Self::OutOfTime => f.write_str("the run had no time left for it; the next run goes on"),
        }
    }
}

/// Waits before the next attempt: longer each time, never twice the same, and at least as long as the other side asks.
/// Says `false` at once if that would outlast the deadline.
pub async fn pause(world: &impl World, deadline: Timestamp, attempt: u32, asked: Option<Duration>) -> bool {
    let longest = Duration::from_secs(1 << attempt.min(10)).min(LONGEST_PAUSE);
    let pause = longest.mul_f64(0.5 + world.chance() / 2.0).max(asked.unwrap_or_default());
    let Ok(time_left) = Duration::try_from(deadline.duration_since(world.now())) else { return false };
    if pause > time_left {
        return false;
    }
    world.sleep(pause).await;
    true
}

/// Calls to Graph within one run.
pub struct Calls<'a, W> {
    /// The outside world.
    pub world: &'a W,
    /// When the run's time is over: no call begins after it.
    pub deadline: Timestamp,
    config: &'a Config,
    tenants: HashMap<TenantId, Tenant>,
    newest_refused: Cell<bool>,
}

/// What concurrent calls in one tenant share. Each has its own locks, so that one tenant does not wait for another.
#[derive(Default)]
struct Tenant {
    token: Mutex<Option<AccessToken>>,
    next_change_at: Mutex<Timestamp>,
}

impl<'a, W: World> Calls<'a, W> {
    /// Calls in these tenants, with tokens for the configured credential.
    pub fn new(world: &'a W, config: &'a Config, deadline: Timestamp, tenants: &[TenantId]) -> Self {
        let tenants = tenants.iter().map(|&tenant| (tenant, Tenant::default())).collect();
        Self { world, deadline, config, tenants, newest_refused: Cell::new(false) }
    }

    /// Whether Entra refused the credential that is meant to be used, and took an older one.
    #[must_use]
    pub fn newest_credential_was_refused(&self) -> bool {
        self.newest_refused.get()
    }

    /// Sees to it that there is a token for this tenant: without one, each call would ask for it again.
    ///
    /// # Errors
    /// If there is none.
    pub async fn sign_in(&self, tenant: TenantId) -> Result<(), Failure> {
        self.token(tenant, None).await.map(drop)
    }

    /// As [`once`](Self::once), for a call that changes something: at the pace that Graph allows.
    ///
    /// # Errors
    /// As the call, or if there is no token or no time.
    pub async fn change_once<T>(
        &self,
        tenant: TenantId,
        call: impl AsyncFn(&AccessToken) -> Result<T, GraphError>,
    ) -> Result<T, Failure> {
        self.keep_pace(tenant).await;
        self.once(tenant, call).await
    }

    /// As [`repeated`](Self::repeated), for a call that changes something: at the pace that Graph allows.
    ///
    /// # Errors
    /// As the last attempt.
    pub async fn change_repeated<T>(
        &self,
        tenant: TenantId,
        call: impl AsyncFn(&AccessToken) -> Result<T, GraphError>,
    ) -> Result<T, Failure> {
        self.keep_pace(tenant).await;
        self.repeated(tenant, call).await
    }

    /// Makes a call once, with a fresh token; twice if Graph does not accept the token.
    ///
    /// # Errors
    /// As the call, or if there is no token or no time.
    pub async fn once<T>(
        &self,
        tenant: TenantId,
        call: impl AsyncFn(&AccessToken) -> Result<T, GraphError>,
    ) -> Result<T, Failure> {
        let token = self.token(tenant, None).await?;
        self.in_time()?;
        match call(&token).await {
            Err(error) if error.kind == GraphErrorKind::Unauthorized => {
                let token = self.token(tenant, Some(&token)).await?;
                call(&token).await.map_err(Failure::Graph)
            }
            other => other.map_err(Failure::Graph),
        }
    }

    /// Makes a call that may be repeated without harm, until it succeeds or its error is one that stays.
    ///
    /// # Errors
    /// As the last attempt.
    pub async fn repeated<T>(
        &self,
        tenant: TenantId,
        call: impl AsyncFn(&AccessToken) -> Result<T, GraphError>,
    ) -> Result<T, Failure> {
        let mut attempt = 0;
        loop {
            let result = self.once(tenant, &call).await;
            attempt += 1;
            match result {
                Err(failure) if failure.is_retryable() && attempt < ATTEMPTS => {
                    if !pause(self.world, self.deadline, attempt, failure.retry_after()).await {
                        return Err(failure);
                    }
                }
                other => return other,
            }
        }
    }

    /// A token that is fresh, and not the one that Graph refused.
    async fn token(&self, tenant: TenantId, refused: Option<&AccessToken>) -> Result<AccessToken, Failure> {
        let unknown = || Failure::Credential(format!("the tenant {tenant} is not configured"));
        let mut held = self.tenants.get(&tenant).ok_or_else(unknown)?.token.lock().await;
        let refused = refused.map(AccessToken::obtained_at);
        if let Some(token) = held.as_ref() {
            let fresh = self.world.now().duration_since(token.obtained_at()) < OLDEST_TOKEN;
            if fresh && refused != Some(token.obtained_at()) {
                return Ok(token.clone());
            }
        }
        let token = self.new_token(tenant).await?;
        *held = Some(token.clone());
        Ok(token)
    }

    /// A token for the first credential that Entra takes.
    async fn new_token(&self, tenant: TenantId) -> Result<AccessToken, Failure> {
        // The reason that counts is that of the newest one, which comes first.
        let (credentials, mut refusal) = match candidates(self.world, self.config).await {
            Ok(credentials) => (credentials, None),
            Err(sentence) => (Vec::new(), Some(Failure::Credential(sentence))),
        };
        let fallback = stream::once(fallback(self.world, self.config)).filter_map(std::future::ready);
        let mut credentials = pin!(stream::iter(credentials).chain(fallback));
        while let Some(credential) = credentials.next().await {
            match self.token_for(tenant, &credential).await {
                // Entra's numbers are hints, so that any refusal may be one of the credential.
                Err(Failure::Token(error)) if error.is_credential_refused() || !error.is_retryable() => {
                    refusal.get_or_insert(Failure::Token(error));
                }
                other => {
                    self.newest_refused.set(self.newest_refused.get() || (refusal.is_some() && other.is_ok()));
                    return other;
                }
            }
        }
        Err(refusal.unwrap_or_else(|| Failure::Credential("there is nothing to sign in with".to_owned())))
    }

    async fn token_for(&self, tenant: TenantId, credential: &Credential) -> Result<AccessToken, Failure> {
        let mut attempt = 0;
        loop {
            self.in_time()?;
            attempt += 1;
            match self.world.token(tenant, credential, self.world.now()).await {
                Ok(token) => return Ok(token),
                Err(error) => {
                    let again = error.is_retryable() && attempt < ATTEMPTS;
                    if !again || !pause(self.world, self.deadline, attempt, error.retry_after).await {
                        return Err(Failure::Token(error));
                    }
                }
            }
        }
    }

    /// Waits until the next change in this tenant may begin. Whoever comes first goes first.
    async fn keep_pace(&self, tenant: TenantId) {
        let Some(tenant) = self.tenants.get(&tenant) else { return };
        let mut next = tenant.next_change_at.lock().await;
        if let Ok(wait) = Duration::try_from(next.duration_since(self.world.now()))
            && !wait.is_zero()
        {
            self.world.sleep(wait).await;
        }
        *next = self.world.now() + BETWEEN_CHANGES;
    }

    /// Whether a call may still begin.
    ///
    /// # Errors
    /// [`Failure::OutOfTime`] if not.
    pub fn in_time(&self) -> Result<(), Failure> {
        if self.world.now() >= self.deadline { Err(Failure::OutOfTime) } else { Ok(()) }
    }
}

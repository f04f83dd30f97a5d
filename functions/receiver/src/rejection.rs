//! Why an item raises no alert, in one word for metrics and events and one sentence for people.

use graph_notifications::{
    ExaminedNotification, TenantId,
    authentication::{ClientStateRefuted, Proof, Standing, TokenRefuted},
    envelope::{MalformedItem, Origin},
    validation_token::TokenError,
};

/// Why an item raises no alert. Its sender never learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Reason {
    #[error(transparent)]
    Malformed(MalformedItem),
    #[error(transparent)]
    ClientState(ClientStateRefuted),
    #[error(transparent)]
    Token(TokenRefuted),
    #[error("Entra's signing keys, by which the validation token would be verified, cannot be had")]
    TokenUndecided,
    #[error("the keyring, which may know the client state by now, cannot be read")]
    ClientStateUndecided,
    #[error("one proof of the item's sender holds, and no key of ours opens it")]
    NotOpened,
}

/// What a rejection says of who sent the item. Operations must learn of all but unauthenticated senders: either it is Graph,
/// and something is set up wrongly, or a secret has leaked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// Anybody.
    Unauthenticated,
    /// It knew a client state of ours.
    KnowsClientState,
    /// It has a valid validation token, made for our app.
    HasToken,
}

/// Where a rejected item claims to come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RejectedOrigin {
    /// The tenant that it states first.
    pub(crate) tenant: Option<TenantId>,
    /// The subscription that it names. Anybody may have written it.
    pub(crate) subscription_id: Option<String>,
}

impl From<&Origin> for RejectedOrigin {
    fn from(origin: &Origin) -> Self {
        Self { tenant: origin.stated_ids().next(), subscription_id: origin.subscription_id.clone() }
    }
}

/// An item that raised no alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    pub(crate) reason: Reason,
    pub(crate) suspicion: Suspicion,
    /// Where the item claims to come from, if it is an item.
    pub(crate) origin: Option<RejectedOrigin>,
}

impl Rejected {
    /// An item that was examined.
    pub(crate) fn examined(reason: Reason, item: &ExaminedNotification) -> Self {
        let suspicion = match (item.token().standing(), item.client_state().standing()) {
            (Standing::Proven, _) => Suspicion::HasToken,
            (_, Standing::Proven) => Suspicion::KnowsClientState,
            _ => Suspicion::Unauthenticated,
        };
        let origin: &Origin = &item.notification().origin;
        Self { reason, suspicion, origin: Some(origin.into()) }
    }

    /// An item that is no object, in a request whose best token stands like this.
    pub(crate) fn malformed(token: Standing) -> Self {
        let suspicion = if token == Standing::Proven { Suspicion::HasToken } else { Suspicion::Unauthenticated };
        Self { reason: Reason::Malformed(MalformedItem), suspicion, origin: None }
    }
}

impl Reason {
    /// The proof that an item lacks; the client state's if it lacks both.
    pub(crate) fn missing_proof(item: &ExaminedNotification) -> Self {
        match (item.token(), item.client_state()) {
            (_, Proof::Refuted(reason)) => Self::ClientState(*reason),
            (Proof::Refuted(reason), _) => Self::Token(*reason),
            (Proof::Undecided, _) => Self::TokenUndecided,
            (_, Proof::Undecided) => Self::ClientStateUndecided,
            (Proof::Proven(_), Proof::Proven(_)) => Self::NotOpened,
        }
    }

    /// The word: stable, since alarms and dashboards are built on it.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Malformed(_) => "Malformed",
            Self::ClientState(ClientStateRefuted::Missing) => "ClientStateMissing",
            Self::ClientState(ClientStateRefuted::Unknown) => "ClientStateWrong",
            Self::Token(TokenRefuted::Missing) => "ValidationTokenMissing",
            Self::Token(TokenRefuted::OtherTenant) => "TenantNotCovered",
            Self::Token(TokenRefuted::Invalid(error)) => token_word(error),
            Self::TokenUndecided => "TokenUndecided",
            Self::ClientStateUndecided => "ClientStateUndecided",
            Self::NotOpened => "NotOpened",
        }
    }
}

fn token_word(error: TokenError) -> &'static str {
    match error {
        TokenError::NotAToken => "TokenNotAToken",
        TokenError::Header => "TokenHeader",
        TokenError::Algorithm => "TokenAlgorithm",
        TokenError::CriticalHeader => "TokenCriticalHeader",
        TokenError::Claims => "TokenClaims",
        TokenError::Version => "TokenVersion",
        TokenError::Tenant => "TokenTenant",
        TokenError::Issuer => "TokenIssuer",
        TokenError::Audience => "TokenAudience",
        TokenError::Publisher => "TokenPublisher",
        TokenError::Expired => "TokenExpired",
        TokenError::NotYetValid => "TokenNotYetValid",
        TokenError::UnknownKey => "TokenUnknownKey",
        TokenError::KeyIssuer => "TokenKeyIssuer",
        TokenError::Signature => "TokenSignature",
    }
}

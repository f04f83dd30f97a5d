//! Why an item raises no alert, in one word for metrics and events and one sentence for the log.

use graph_notifications::{authentication::NotOurs, envelope::MalformedItem, validation_token::TokenError};

/// Why an item raises no alert. Its sender never learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the item is malformed")]
    Malformed,
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
    #[error("Microsoft vouches for the item's tenant, and its client state is none of ours")]
    VouchedFor,
    #[error("the request has no validation token")]
    NoValidationToken,
    #[error("no validation token covers the item's tenant")]
    NotCovered,
    #[error(transparent)]
    Token(#[from] TokenError),
}

/// What a rejection says of who sent the item. Operations must learn of all but strangers: either it is Graph, and something is set
/// up wrongly, or a secret has leaked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Suspicion {
    /// Anybody.
    Stranger,
    /// It knew a client state of ours.
    KnowsClientState,
    /// It has a valid validation token, made for our app.
    HasToken,
}

impl From<MalformedItem> for Rejection {
    fn from(_: MalformedItem) -> Self {
        Self::Malformed
    }
}

impl Rejection {
    /// What it says of its sender.
    pub(crate) fn suspicion(self) -> Suspicion {
        match self {
            Self::Malformed | Self::NotOurs(NotOurs::Tenant | NotOurs::NoClientState | NotOurs::ClientState) => {
                Suspicion::Stranger
            }
            Self::VouchedFor => Suspicion::HasToken,
            Self::NotOurs(NotOurs::Resource | NotOurs::Policy)
            | Self::NoValidationToken
            | Self::NotCovered
            | Self::Token(_) => Suspicion::KnowsClientState,
        }
    }

    /// The word: stable, since alarms and dashboards are built on it.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Malformed => "Malformed".to_owned(),
            Self::NotOurs(NotOurs::NoClientState) => "ClientStateMissing".to_owned(),
            Self::NotOurs(NotOurs::ClientState) | Self::VouchedFor => "ClientStateWrong".to_owned(),
            Self::NotOurs(reason) => format!("{reason:?}NotConfigured"),
            Self::NoValidationToken => "ValidationTokenMissing".to_owned(),
            Self::NotCovered => "TenantNotCovered".to_owned(),
            Self::Token(reason) => format!("Token{reason:?}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_reason_has_its_word() {
        assert_eq!(Rejection::from(MalformedItem::NotAnObject).word(), "Malformed");
        assert_eq!(Rejection::NotOurs(NotOurs::Tenant).word(), "TenantNotConfigured");
        assert_eq!(Rejection::NotOurs(NotOurs::ClientState).word(), "ClientStateWrong");
        assert_eq!(Rejection::Token(TokenError::Expired).word(), "TokenExpired");
        assert_eq!(Rejection::NoValidationToken.word(), "ValidationTokenMissing");
    }
}

//! Why an item raises no alert, in one word for metrics and events and one sentence for the log.

use graph_notifications::{authentication::NotOurs, envelope::MalformedItem, validation_token::TokenError};

/// Why an item raises no alert. Its sender never learns it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub(crate) enum Rejection {
    #[error("the item is malformed")]
    Malformed,
    #[error(transparent)]
    NotOurs(#[from] NotOurs),
    #[error("the request has no validation token")]
    NoValidationToken,
    #[error("no validation token covers the item's tenant")]
    NotCovered,
    #[error(transparent)]
    Token(#[from] TokenError),
}

impl From<MalformedItem> for Rejection {
    fn from(_: MalformedItem) -> Self {
        Self::Malformed
    }
}

impl Rejection {
    /// Whether the item knew our client state: then either it is Graph's and something is set up wrongly, or the secret
    /// has leaked. Operations must learn of both.
    pub(crate) fn knew_client_state(self) -> bool {
        match self {
            Self::Malformed | Self::NotOurs(NotOurs::Tenant | NotOurs::NoClientState | NotOurs::ClientState) => false,
            Self::NotOurs(NotOurs::Resource | NotOurs::Policy)
            | Self::NoValidationToken
            | Self::NotCovered
            | Self::Token(_) => true,
        }
    }

    /// The word: stable, since alarms and dashboards are built on it.
    pub(crate) fn word(self) -> String {
        match self {
            Self::Malformed => "Malformed".to_owned(),
            Self::NotOurs(NotOurs::NoClientState) => "ClientStateMissing".to_owned(),
            Self::NotOurs(NotOurs::ClientState) => "ClientStateWrong".to_owned(),
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

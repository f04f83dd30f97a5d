//! What is known about a call before its document is read.

use jiff::Timestamp;
use serde::Serialize;

use crate::text::{clean, cut};

/// The longest value that a contradiction states, in bytes.
const MAX_STATED_BYTES: usize = 200;

/// The most contradictions that are told.
const MAX_CONTRADICTIONS: usize = 4;

/// The facts from the envelope of a change notification whose sender has proven something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The Microsoft Entra tenant in which the call was made, as the proof says; `unknown` where it does not tell.
    pub tenant_id: String,
    /// The emergency calling policy under which the call was made.
    pub policy_name: String,
    /// `resourceData.id`: used where the document has no id, or cannot be read.
    pub call_id: Option<String>,
    /// When the notification arrived.
    pub received_at: Timestamp,
    /// What proves the sender.
    pub proof: Proof,
    /// What the notification states although its proof says otherwise.
    pub contradictions: Vec<Contradiction>,
}

/// Which of the two proofs of the sender there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Proof {
    /// Validation token and client state: the alert is verified.
    Both,
    /// The client state only; the validation token is missing, refuted or could not be checked.
    ClientStateOnly,
    /// The validation token only; the client state is missing or unknown.
    TokenOnly,
}

impl Proof {
    /// Whether both are there.
    #[must_use]
    pub fn is_verified(self) -> bool {
        self.missing().is_none()
    }

    /// The proof that is not there.
    #[must_use]
    pub fn missing(self) -> Option<MissingProof> {
        match self {
            Self::Both => None,
            Self::ClientStateOnly => Some(MissingProof::ValidationToken),
            Self::TokenOnly => Some(MissingProof::ClientState),
        }
    }
}

/// A proof of the sender that an alert lacks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum MissingProof {
    /// Microsoft's signature.
    ValidationToken,
    /// The secret that Graph returns.
    ClientState,
}

/// What a notification states although its proof says otherwise. Foreign text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "what", content = "stated", rename_all = "camelCase")]
pub enum Contradiction {
    /// Another tenant.
    Tenant(String),
    /// Another policy.
    Policy(String),
}

impl Contradiction {
    /// What can be shown of them: on one line each, of bounded length and number.
    pub(crate) fn told(given: &[Self]) -> Vec<Self> {
        let fit = |text: &str| cut(&clean(text), MAX_STATED_BYTES, "");
        let fit = |contradiction: &Self| match contradiction {
            Self::Tenant(stated) => Self::Tenant(fit(stated)),
            Self::Policy(stated) => Self::Policy(fit(stated)),
        };
        given.iter().take(MAX_CONTRADICTIONS).map(fit).filter(|told| !told.stated().is_empty()).collect()
    }

    /// What the notification states.
    pub(crate) fn stated(&self) -> &str {
        let (Self::Tenant(stated) | Self::Policy(stated)) = self;
        stated
    }
}

/// Why an authentic notification says no more than that there was an emergency call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DegradedReason {
    /// The notification carries no encrypted content.
    NoEncryptedContent,
    /// The content cannot be decrypted, or its integrity check fails.
    Undecryptable,
    /// The decrypted content is no JSON object.
    Unparseable,
}

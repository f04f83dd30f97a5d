//! What is known about a call before its document is read.

use jiff::Timestamp;

/// The facts from the envelope of an authentic change notification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// The Microsoft Entra tenant in which the call was made.
    pub tenant_id: String,
    /// The emergency calling policy that the subscription watches.
    pub policy_name: String,
    /// `resourceData.id`: used where the document has no id, or cannot be read.
    pub call_id: Option<String>,
    /// When the notification arrived.
    pub received_at: Timestamp,
    /// Whether the sender's signature was checked. Where the keys to do so were out of reach, the alert goes out all
    /// the same and says so.
    pub verified: bool,
}

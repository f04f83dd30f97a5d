//! From authentic notifications to alerts.

use std::sync::atomic::Ordering;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use emergency_alert::{Alert, DegradedReason, EmergencyCall, Notification, Proof};
use graph_notifications::{
    AuthenticNotification, DecryptedResource, Keyring, decryption::DecryptionError, envelope::Content,
};
use jiff::Timestamp;
use ring::digest::{Context, SHA256};
use tokio::{task::yield_now, time::Instant};

use crate::{authenticating::Judge, outside::ReadKeyring};

/// From so many notifications in a request on, each delivery begins with another one. To read them takes a while, and what one
/// delivery had no time for must be among the first of another.
const BEGINS_ELSEWHERE: usize = 50;

/// What came of reading authentic notifications.
#[derive(Default)]
pub(crate) struct Read {
    pub(crate) alerts: Vec<Alert>,
    /// How many there was no time for, or may yet turn out to be forged: neither could their token be verified nor their content be read.
    pub(crate) undecided: usize,
}

impl<O: ReadKeyring> Judge<'_, O> {
    /// Makes an alert of every notification that there is time for, whatever is in it. A certificate that the keyring lacks may
    /// have been made since the keyring was read, so it is read again before an alert goes out without details for that.
    pub(crate) async fn read(&self, mut notifications: Vec<AuthenticNotification>, keyring: &Keyring) -> Read {
        let mut newest = None;
        let mut asked = false;
        let mut read = Read::default();
        let all = notifications.len();
        if all >= BEGINS_ELSEWHERE {
            notifications.rotate_left(usize::try_from(self.now.as_millisecond()).unwrap_or_default() % all);
        }
        for (position, notification) in notifications.into_iter().enumerate() {
            // What else the process does goes on meanwhile.
            yield_now().await;
            if position > 0 && Instant::now() >= self.schedule.read {
                let left = all - position;
                tracing::error!(left, "no time is left to read the rest of a request: Graph is to send it again");
                read.undecided += left;
                break;
            }
            let mut decrypted = self.decrypt(&notification, newest.as_deref().unwrap_or(keyring));
            if !asked && matches!(decrypted, Err(DecryptionError::UnknownCertificate { .. })) {
                asked = true;
                let refreshed = self.keyring_cache.refresh(self.outside, self.now, self.schedule.authenticated).await;
                if let Ok(refreshed) = refreshed {
                    decrypted = self.decrypt(&notification, newest.insert(refreshed));
                }
            }
            match self.alert(&notification, position, decrypted) {
                Some(alert) => read.alerts.push(alert),
                None => read.undecided += 1,
            }
        }
        read
    }

    fn decrypt(
        &self,
        notification: &AuthenticNotification,
        keyring: &Keyring,
    ) -> Result<DecryptedResource, DecryptionError> {
        self.effort.decryptions.fetch_add(1, Ordering::Relaxed);
        notification.decrypt(keyring)
    }

    fn alert(
        &self,
        authentic: &AuthenticNotification,
        position: usize,
        decrypted: Result<DecryptedResource, DecryptionError>,
    ) -> Option<Alert> {
        let facts = facts(authentic, self.now);
        let settings = &self.config.alert_settings;
        let degraded = |reason, fingerprint: &str| Some(Alert::degraded(reason, fingerprint, &facts, settings));
        let resource = match decrypted {
            Ok(resource) => resource,
            Err(error) => {
                let tenant = authentic.policy().tenant;
                tracing::error!(%error, %tenant, policy = %authentic.policy().name, "an emergency call cannot be read");
                if !authentic.is_verified() {
                    return None;
                }
                let reason = match error {
                    DecryptionError::NoContent => DegradedReason::NoEncryptedContent,
                    _ => DegradedReason::Undecryptable,
                };
                return degraded(reason, &fingerprint(authentic, position, self.now));
            }
        };
        match EmergencyCall::from_resource(resource.as_bytes()) {
            Ok(call) => Some(Alert::from_call(call, &facts, settings)),
            Err(error) => {
                tracing::error!(%error, policy = %authentic.policy().name, "an emergency call cannot be read");
                degraded(DegradedReason::Unparseable, &hash(&[resource.as_bytes()]))
            }
        }
    }
}

fn facts(authentic: &AuthenticNotification, now: Timestamp) -> Notification {
    Notification {
        tenant_id: authentic.policy().tenant.to_string(),
        policy_name: authentic.policy().name.to_string(),
        call_id: authentic.notification().resource_id.clone(),
        received_at: now,
        proof: if authentic.is_verified() { Proof::Both } else { Proof::ClientStateOnly },
        contradictions: Vec::new(),
    }
}

/// What tells an unreadable notification from another. Where nothing does, time and place: two alerts for one call are better
/// than one for two.
fn fingerprint(authentic: &AuthenticNotification, position: usize, now: Timestamp) -> String {
    let notification = authentic.notification();
    match (&notification.content, &notification.resource_id) {
        (Content::Encrypted(content), _) => hash(&[content.data.as_bytes(), content.data_key.as_bytes()]),
        (_, Some(id)) => hash(&[id.as_bytes()]),
        (_, None) => format!("{now} {position}"),
    }
}

/// SHA-256 in base64url, over parts that cannot run into each other.
pub(crate) fn hash(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(context.finish())
}

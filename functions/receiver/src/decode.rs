//! From notifications that hold a proof of their sender to alerts.

use std::sync::{Arc, atomic::Ordering};

use emergency_alert::{Alert, Contradiction, DegradedReason, EmergencyCall, Notification, Proof};
use graph_notifications::{
    AuthenticNotification, DecryptedResource, Keyring, Policy,
    authentication::{Opened, Outcome, Standing},
    decryption::DecryptionError,
    envelope::Content,
};
use jiff::Timestamp;
use tokio::{task::yield_now, time::Instant};

use crate::{
    authenticate::Examiner,
    digest::hash,
    ports::ReadKeyring,
    rejection::{Reason, Rejected},
};

/// From so many notifications in a request on, each delivery begins with another one. To read them takes a while, and what one
/// delivery had no time for must be among the first of another.
const BEGINS_ELSEWHERE: usize = 50;

/// What is told where neither proof nor document names it.
const UNKNOWN: &str = "unknown";

/// What came of opening and reading notifications.
#[derive(Default)]
pub(crate) struct Decoded {
    pub(crate) alerts: Vec<Alert>,
    pub(crate) not_told: Vec<Rejected>,
    /// How many there was no time for, or may yet be opened by a newer keyring: Graph is to send them again.
    pub(crate) undecided: usize,
}

/// The keyring as it is now, which is read once for a request at most.
enum Newer {
    NotAsked,
    Read(Arc<Keyring>),
    Unreadable,
}

impl<O: ReadKeyring> Examiner<'_, O> {
    /// Opens and reads notifications, as many as there is time for until `until`, and at least one. A certificate that the
    /// keyring lacks may have been made since the keyring was read, so it is read again: for a verified notification always,
    /// for others so many times a minute.
    pub(crate) async fn decode(
        &self,
        mut notifications: Vec<AuthenticNotification>,
        keyring: &Keyring,
        until: Instant,
    ) -> Decoded {
        let mut newer = Newer::NotAsked;
        let mut decoded = Decoded::default();
        let all = notifications.len();
        if all >= BEGINS_ELSEWHERE {
            notifications.rotate_left(usize::try_from(self.now.as_millisecond()).unwrap_or_default() % all);
        }
        for (position, notification) in notifications.into_iter().enumerate() {
            // What else the process does goes on meanwhile.
            yield_now().await;
            if position > 0 && Instant::now() >= until {
                let left = all - position;
                tracing::error!(left, "no time is left to read the rest of a request: Graph is to send it again");
                decoded.undecided += left;
                break;
            }
            let (decrypted, opened) = self.open(&notification, keyring, &mut newer).await;
            match notification.examined().outcome(self.config.unverified_calls, opened) {
                Outcome::Verified | Outcome::VerifiedWithoutDetails => {
                    decoded.alerts.push(self.alert(&notification, position, decrypted));
                }
                Outcome::Unverified => {
                    let reason = Reason::missing_proof(notification.examined());
                    tracing::warn!(reason = reason.word(), "a call is told as not verified: {reason}");
                    decoded.alerts.push(self.alert(&notification, position, decrypted));
                }
                Outcome::NotTold | Outcome::Ignored => {
                    let reason = match opened {
                        Opened::Yes => Reason::missing_proof(notification.examined()),
                        Opened::No | Opened::KeyringUnreadable => Reason::NotOpened,
                    };
                    decoded.not_told.push(Rejected::examined(reason, notification.examined()));
                }
                Outcome::Retry => decoded.undecided += 1,
            }
        }
        decoded
    }

    async fn open(
        &self,
        notification: &AuthenticNotification,
        keyring: &Keyring,
        newer: &mut Newer,
    ) -> (Result<DecryptedResource, DecryptionError>, Opened) {
        let decrypted = match newer {
            Newer::Read(newer) => self.decrypt(notification, newer),
            Newer::NotAsked | Newer::Unreadable => self.decrypt(notification, keyring),
        };
        if !matches!(decrypted, Err(DecryptionError::UnknownCertificate { .. })) {
            let opened = if decrypted.is_ok() { Opened::Yes } else { Opened::No };
            return (decrypted, opened);
        }
        if matches!(newer, Newer::NotAsked) {
            *newer = self.newer_keyring(notification).await;
            if let Newer::Read(newer) = newer {
                let decrypted = self.decrypt(notification, newer);
                let opened = if decrypted.is_ok() { Opened::Yes } else { Opened::No };
                return (decrypted, opened);
            }
        }
        let opened = if matches!(newer, Newer::Read(_)) { Opened::No } else { Opened::KeyringUnreadable };
        (decrypted, opened)
    }

    async fn newer_keyring(&self, notification: &AuthenticNotification) -> Newer {
        let (cache, deadline) = (self.keyring_cache, self.deadlines.authenticated);
        let refreshed = if notification.is_verified() {
            cache.refresh(self.outside, self.now, deadline).await.map(Some)
        } else {
            cache.refresh_in_doubt(self.outside, self.now, deadline).await
        };
        match refreshed {
            Ok(Some(keyring)) => Newer::Read(keyring),
            Ok(None) | Err(_) => Newer::Unreadable,
        }
    }

    fn decrypt(
        &self,
        notification: &AuthenticNotification,
        keyring: &Keyring,
    ) -> Result<DecryptedResource, DecryptionError> {
        if matches!(notification.notification().content, Content::Encrypted(_)) {
            self.effort.decryptions.fetch_add(1, Ordering::Relaxed);
        }
        notification.decrypt(keyring)
    }

    fn alert(
        &self,
        authentic: &AuthenticNotification,
        position: usize,
        decrypted: Result<DecryptedResource, DecryptionError>,
    ) -> Alert {
        let settings = &self.config.alert_settings;
        let resource = match decrypted {
            Ok(resource) => resource,
            Err(error) => {
                tracing::error!(%error, policy = self.policy(authentic, None), "an emergency call cannot be read");
                let reason = match error {
                    DecryptionError::NoContent => DegradedReason::NoEncryptedContent,
                    _ => DegradedReason::Undecryptable,
                };
                let fingerprint = fingerprint(authentic, position, self.now);
                return Alert::degraded(reason, &fingerprint, &self.facts(authentic, None), settings);
            }
        };
        match EmergencyCall::from_resource(resource.as_bytes()) {
            Ok(call) => {
                let facts = self.facts(authentic, call.policy_name.as_deref());
                Alert::from_call(call, &facts, settings)
            }
            Err(error) => {
                tracing::error!(%error, policy = self.policy(authentic, None), "an emergency call cannot be read");
                let fingerprint = hash(&[resource.as_bytes()]);
                Alert::degraded(DegradedReason::Unparseable, &fingerprint, &self.facts(authentic, None), settings)
            }
        }
    }

    fn facts(&self, authentic: &AuthenticNotification, policy_of_document: Option<&str>) -> Notification {
        let policies = &self.config.policies;
        let tenant = authentic.tenant(policies);
        let proven = [authentic.examined().token().standing(), authentic.examined().client_state().standing()];
        let proof = match proven {
            [Standing::Proven, Standing::Proven] => Proof::Both,
            [_, Standing::Proven] => Proof::ClientStateOnly,
            _ => Proof::TokenOnly,
        };
        let notification = authentic.notification();
        let policy = self.policy(authentic, policy_of_document);
        let other_tenants = notification.origin.stated_ids().filter(|stated| tenant.is_some_and(|own| own != *stated));
        let mut contradictions: Vec<Contradiction> =
            other_tenants.map(|stated| Contradiction::Tenant(stated.to_string())).collect();
        contradictions.dedup();
        let of_resource = Policy::name_in_resource(&notification.resource).map(String::from);
        let other_policies = of_resource.as_deref().into_iter().chain(policy_of_document);
        contradictions.extend(
            other_policies
                .filter(|stated| stated.to_lowercase() != policy.to_lowercase())
                .map(|stated| Contradiction::Policy(stated.to_owned())),
        );
        contradictions.dedup();
        Notification {
            tenant_id: tenant.map_or_else(|| UNKNOWN.to_owned(), |tenant| tenant.to_string()),
            policy_name: policy,
            call_id: notification.resource_id.clone(),
            received_at: self.now,
            proof,
            contradictions,
        }
    }

    /// The policy that is told: the client state's, else the resource's, else the document's.
    fn policy(&self, authentic: &AuthenticNotification, of_document: Option<&str>) -> String {
        let named = authentic.policy_name(&self.config.policies).map(String::from);
        named.or(of_document.map(str::to_owned)).unwrap_or_else(|| UNKNOWN.to_owned())
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

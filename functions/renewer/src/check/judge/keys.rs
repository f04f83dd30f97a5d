//! The keys: Entra's, with which notifications are verified, and our own, with which they are read.

use graph_subscriptions::signing_keys::{SigningKeysError, TokenVersion};
use jiff::{SignedDuration, Timestamp};

use super::{RECONCILE, end_in_words, span, state_of_end};
use crate::finding::{Link, Row, State};
use crate::{
    check::seen::{KeyName, KeyringUnseen, Seen},
    config::Config,
};

/// Microsoft asks to fetch the signing keys once a day.
const KEYS_OLD: SignedDuration = SignedDuration::from_hours(24);

/// After two days a key that Entra has taken back may still be trusted.
const KEYS_TOO_OLD: SignedDuration = SignedDuration::from_hours(48);

/// A new key waits up to two days for a quiet hour of the night, and then for a run.
const ROTATION_WAITS: SignedDuration = SignedDuration::from_hours(49);

/// The signing keys of each tenant and version of tokens.
pub(super) fn signing_keys(seen: &Seen, now: Timestamp) -> Vec<Row> {
    let documents = seen
        .tenants
        .iter()
        .flat_map(|tenant| tenant.signing_keys.iter().map(|(version, keys)| (tenant.tenant, *version, keys)));
    documents
        .map(|(tenant, version, keys)| {
            let version = match version {
                TokenVersion::V1 => "v1.0",
                TokenVersion::V2 => "v2.0",
            };
            one_document(&format!("{tenant} {version}"), keys, seen, now)
        })
        .collect()
}

fn one_document(subject: &str, document: &Result<Vec<KeyName>, SigningKeysError>, seen: &Seen, now: Timestamp) -> Row {
    const FETCH: &str = "Check LoginEndpoint and TenantId, and that the renewer can reach Entra; then check again.";
    let link = Link::SigningKeys;
    let Ok(keyring) = &seen.keyring else {
        let (finding, step) = match document {
            Ok(_) => (
                "Entra gives them out; whether the keyring holds them cannot be seen.".to_owned(),
                "See to the keyring first.",
            ),
            Err(error) => (format!("{error}."), FETCH),
        };
        return Row::unknown(link, subject, finding, step);
    };
    let Some((fetched_at, stored)) = &keyring.signing_keys else {
        let finding = "The keyring holds no signing keys: calls would be announced as not verified.";
        return Row::failed(link, subject, finding, RECONCILE);
    };
    let age = now.duration_since(*fetched_at);
    let old = format!("The keyring's signing keys were fetched {} ago", span(age));
    let (finding, step) = match document {
        Ok(_) => (format!("{old}."), RECONCILE),
        Err(error) => (format!("{old}, and now: {error}."), FETCH),
    };
    if age > KEYS_TOO_OLD {
        return Row::failed(link, subject, finding, step);
    }
    let Ok(current) = document else { return Row::warning(link, subject, finding, step) };
    if age > KEYS_OLD {
        return Row::warning(link, subject, finding, step);
    }
    match current.iter().filter(|key| !stored.contains(key)).count() {
        0 => Row::ok(link, subject, format!("The keyring holds all {}. {finding}", current.len())),
        missing => {
            let finding = format!(
                "The keyring lacks {missing} of {} signing keys; the receiver would have to fetch them while a call waits.",
                current.len()
            );
            Row::warning(link, subject, finding, RECONCILE)
        }
    }
}

/// The keyring as a whole.
pub(super) fn keyring(seen: &Seen, config: &Config) -> Vec<Row> {
    // Of an ARN the name: the rest says nothing here.
    let subject = config.keyring_secret_id.rsplit(':').next().unwrap_or_default();
    let link = Link::Keyring;
    let keyring = match &seen.keyring {
        Ok(keyring) => keyring,
        Err(KeyringUnseen::Unreadable(error)) => {
            let step = "The receiver needs it to read notifications. Check again; if it lasts, deploy the stack again: the roles of \
                        both functions must be allowed to read the secret.";
            return vec![Row::failed(link, subject, format!("It cannot be read: {error}."), step)];
        }
        Err(KeyringUnseen::Empty) => {
            return vec![Row::failed(link, subject, "It has no value yet: the renewer has not run.", RECONCILE)];
        }
        Err(KeyringUnseen::Unusable(error)) => {
            let step = "Neither function can use it. Restore the secret's previous version (its stage is AWSPREVIOUS).";
            return vec![Row::failed(link, subject, format!("What the secret holds is of no use: {error}."), step)];
        }
    };
    let mut rows = Vec::new();
    if keyring.current.is_none() {
        rows.push(Row::failed(link, subject, "It has no current key, so that nothing can be renewed.", RECONCILE));
    }
    if keyring.client_states.is_empty() {
        let finding = "It has no client state, so that no receiver can use it: calls are not told until it has one.";
        rows.push(Row::failed(link, subject, finding, RECONCILE));
    }
    if rows.is_empty() {
        let (keys, states) = (keyring.certificates.len(), keyring.client_states.len());
        rows.push(Row::ok(link, subject, format!("It can be read. Keys: {keys}, client states: {states}.")));
    }
    rows
}

/// The certificate that Graph is given.
pub(super) fn encryption_certificate(seen: &Seen, config: &Config, now: Timestamp) -> Vec<Row> {
    const ROTATE: &str = "Run make ask ACTION=rotate STACK_NAME=... and read its report.";
    let link = Link::EncryptionCertificate;
    let current = seen
        .keyring
        .as_ref()
        .ok()
        .and_then(|keyring| keyring.certificates.iter().find(|one| Some(&one.id) == keyring.current.as_ref()));
    // The keyring's own row says why there is none.
    let Some(current) = current else { return Vec::new() };
    let mut rows = Vec::new();
    let end = end_in_words(current.ends_at, now);
    match state_of_end(current.ends_at, now) {
        State::Ok => {}
        State::Warning => rows.push(Row::warning(link, &current.id, format!("It {end}."), ROTATE)),
        State::Failed => rows.push(Row::failed(link, &current.id, format!("It {end}."), ROTATE)),
        State::Unknown => rows.push(Row::unknown(link, &current.id, format!("It {end}."), ROTATE)),
    }
    let age = now.duration_since(current.created_at);
    if age > config.key_rotation + ROTATION_WAITS {
        let finding =
            format!("Its key is {} old; KeyRotationDays asks for a new one after {}.", span(age), days(config));
        rows.push(Row::warning(link, &current.id, finding, ROTATE));
    }
    if rows.is_empty() {
        let finding = format!("It {end}. Its key is {} old, of {}.", span(age), days(config));
        rows.push(Row::ok(link, &current.id, finding));
    }
    rows
}

fn days(config: &Config) -> String {
    span(config.key_rotation)
}

//! The notification address: answers handshakes, takes what comes, and reads it as the receiver would.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Bytes;
use axum::extract::{RawQuery, State as Extract};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use graph_notifications::authentication::{ExaminedNotification, Proof, TokenVerdicts, UnverifiedCalls};
use graph_notifications::envelope::Item;
use graph_notifications::validation_token::Requirements;
use graph_notifications::{ChangeNotificationCollection, Keyring, SigningKeys, handshake};
use tokio::task::JoinSet;

/// What was posted last.
type Latest = Arc<Mutex<Option<Bytes>>>;

/// The address; dropping it closes it.
pub(super) struct Inbox {
    pub(super) address: SocketAddr,
    latest: Latest,
    _server: JoinSet<()>,
}

impl Inbox {
    pub(super) async fn open() -> io::Result<Self> {
        let listener = tokio::net::TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let latest = Latest::default();
        let router = Router::new().fallback(answer).with_state(Arc::clone(&latest));
        let mut server = JoinSet::new();
        server.spawn(async move {
            let _ = axum::serve(listener, router).await;
        });
        Ok(Self { address, latest, _server: server })
    }

    /// What came since the last look.
    pub(super) fn take(&self) -> Option<Bytes> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

async fn answer(Extract(latest): Extract<Latest>, RawQuery(query): RawQuery, body: Bytes) -> Response {
    match handshake::token_in_query(query.as_deref().unwrap_or_default()) {
        Some(Ok(token)) => ([(header::CONTENT_TYPE, "text/plain")], token).into_response(),
        Some(Err(_)) => StatusCode::BAD_REQUEST.into_response(),
        None => {
            *latest.lock().unwrap_or_else(PoisonError::into_inner) = Some(body);
            StatusCode::ACCEPTED.into_response()
        }
    }
}

/// Reads a notification by the keyring, as the receiver does.
///
/// # Errors
/// With the keyring's signing keys if they lack the token's, which the receiver would fetch; otherwise with a sentence.
pub(super) fn read(
    body: &[u8],
    keyring: &Keyring,
    signing_keys: &SigningKeys,
    requirements: &Requirements<'_>,
) -> Result<(), Unread> {
    let unread = |error: &dyn ToString| Unread::Otherwise(error.to_string());
    let collection = ChangeNotificationCollection::parse(body).map_err(|error| unread(&error))?;
    let Some(Ok(Item::Change(notification))) = collection.items.into_iter().next() else {
        return Err(unread(&"the notification holds no call"));
    };
    let tokens = collection.validation_tokens.iter().map(String::as_str);
    let tokens = TokenVerdicts::by_keys(tokens, requirements, signing_keys);
    let policies = requirements.policies;
    let examined = ExaminedNotification::examine(notification, &tokens, keyring, policies, UnverifiedCalls::Alert);
    match (examined.token(), examined.client_state()) {
        (_, Proof::Refuted(reason)) => return Err(unread(reason)),
        (Proof::Refuted(reason), _) => return Err(unread(reason)),
        (Proof::Undecided, _) => return Err(Unread::UnknownSigningKey),
        (Proof::Proven(_), _) => {}
    }
    let authentic = examined.proven().map_err(|_| unread(&"nothing proves the notification's sender"))?;
    authentic.decrypt(keyring).map(|_| ()).map_err(|error| unread(&error))
}

/// Why a notification cannot be read.
#[derive(Debug)]
pub(super) enum Unread {
    /// Its token is signed with a key that is not among the signing keys.
    UnknownSigningKey,
    /// Another reason.
    Otherwise(String),
}

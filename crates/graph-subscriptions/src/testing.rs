//! A server on the loopback interface that plays Graph or Entra for one test.

use std::sync::LazyLock;

use axum::Router;
use graph_notifications::{KeyPair, certificate::KeySize};
use jiff::Timestamp;
use reqwest::Client;

use crate::{
    credential::ClientCertificate,
    entra::AccessToken,
    http::{self, Timeouts},
};

pub(crate) const TENANT: &str = "11111111-2222-3333-4444-555555555555";
pub(crate) const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);

pub(crate) fn client() -> Client {
    http::client(Timeouts::PATIENT).unwrap()
}

pub(crate) fn token() -> AccessToken {
    AccessToken::new(TENANT.parse().unwrap(), "the-token".to_owned(), NOW, NOW)
}

/// One for all tests: key pairs are dear to make.
pub(crate) fn key_pair() -> &'static KeyPair {
    static PAIR: LazyLock<KeyPair> =
        LazyLock::new(|| KeyPair::generate(KeySize::Rsa2048, NOW, Timestamp::constant(1_827_072_000, 0)).unwrap());
    &PAIR
}

pub(crate) fn client_certificate() -> ClientCertificate {
    let pair = key_pair();
    let (certificate, key) = (pair.certificate_base64().unwrap(), pair.private_key_base64().unwrap());
    ClientCertificate::from_base64(&certificate, &key).unwrap()
}

/// Serves until the test's runtime ends; returns the address.
pub(crate) async fn serve(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}

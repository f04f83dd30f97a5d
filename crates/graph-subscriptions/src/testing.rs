//! A server on the loopback interface that plays Graph or Entra for one test.

use axum::Router;
use jiff::Timestamp;
use reqwest::Client;

use crate::{
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

/// Serves until the test's runtime ends; returns the address.
pub(crate) async fn serve(routes: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
    format!("http://{address}")
}

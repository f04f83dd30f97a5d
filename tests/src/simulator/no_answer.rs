//! An answer that is none: the connection closes instead.

use axum::response::{IntoResponse as _, Response};

/// The mark of an answer that must not be sent.
#[derive(Clone, Copy)]
pub(crate) struct WithoutAnswer;

/// An answer that closes the connection instead.
pub(crate) fn without_answer() -> Response {
    let mut response = ().into_response();
    response.extensions_mut().insert(WithoutAnswer);
    response
}

//! The hashes by which the state table and the logs know events and calls.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::digest::{Context, SHA256};

/// SHA-256 in base64url, over parts that cannot run into each other.
pub(crate) fn hash(parts: &[&[u8]]) -> String {
    let mut context = Context::new(&SHA256);
    for part in parts {
        context.update(&(part.len() as u64).to_be_bytes());
        context.update(part);
    }
    BASE64_URL_SAFE_NO_PAD.encode(context.finish())
}

//! The crate from outside: real documents in, alerts out.

#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod combined;
mod damage;
mod documents;
mod identity;
mod inert;
mod kinds;
mod limits;
mod messages;
mod properties;
mod relations;
mod samples;
mod schema;

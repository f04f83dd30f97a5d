//! The crate from outside: real documents in, alerts out.

#![recursion_limit = "256"]
#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod damage;
mod documents;
mod identity;
mod kinds;
mod limits;
mod messages;
mod properties;
mod samples;
mod schema;

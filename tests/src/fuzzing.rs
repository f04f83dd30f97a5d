//! What the fuzz targets do, as ordinary functions: cargo-fuzz calls them with inputs of its own making, and
//! `tests/corpora.rs` with those that are kept in `fuzz/`. Each panics if what it was given breaks a rule.
//!
//! `docs/fuzzing.md` says what each target is given and what it must not do.

mod alerts;
mod answers;
mod envelope;
mod keyring;
mod receiving;
mod tokens;

pub use alerts::{document, rendering};
pub use answers::{entra_answers, graph_answers};
pub use envelope::envelope;
pub use keyring::keyring;
pub use receiving::{request, sealed_document};
pub use tokens::{token_claims, validation_token};

/// A target: its name, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, in the order of the way of a notification.
pub const TARGETS: [Target; 10] = [
    ("request", request),
    ("envelope", envelope),
    ("validation_token", validation_token),
    ("token_claims", token_claims),
    ("keyring", keyring),
    ("sealed_document", sealed_document),
    ("document", document),
    ("rendering", rendering),
    ("graph_answers", graph_answers),
    ("entra_answers", entra_answers),
];

//! A corpus of notifications that Graph did not send, or did not send like this, for receivers to be tried with.
//!
//! Each is made from a genuine one, and most spoil one thing, so that a receiver which leaves out one check raises an alert.
//! Nothing is drawn: the same program makes the same corpus. [`corpus`] makes it, `tests/forgeries/` holds it for
//! receivers in any language, and the README there says how to run it.
//!
//! - [`target`]: what the receiver under attack must be set up with
//! - [`case`]: a case and a group of cases, as the files hold them
//! - `forge`: what a forger has, and what Graph and Entra have
//! - one module for each group
//!
//! Secrets are compared in constant time by construction, which no measurement proves better than the types: a client
//! state has no `==`, only `ClientState::matches`, which compares with `subtle`, and content is verified by
//! `ring::hmac::verify`.
//!
//! ```compile_fail,E0369
//! use graph_notifications::ClientState;
//! let state = ClientState::from("a".to_owned());
//! let _ = state == ClientState::from("a".to_owned());
//! ```

use std::io;
use std::path::Path;

use serde_json::Value;

pub mod case;
mod claims;
mod client_state;
mod content;
mod downgrade;
mod encoding;
mod envelope;
mod forge;
mod genuine;
mod handshake;
mod lifecycle;
mod odd;
mod one_proof;
mod probe;
mod replay;
mod request;
mod signature;
pub mod target;
mod tenant;
mod token_form;
mod token_presence;

use case::Group;
use forge::Forge;
use target::Target;

/// All groups. The genuine ones come first: a receiver that does not alert for them proves nothing by the others.
#[must_use]
pub fn corpus(target: &Target) -> Vec<Group> {
    let forge = Forge::new(target);
    [
        genuine::group,
        client_state::group,
        token_presence::group,
        token_form::group,
        signature::group,
        claims::group,
        downgrade::group,
        odd::group,
        tenant::group,
        envelope::group,
        lifecycle::group,
        probe::group,
        handshake::group,
        request::group,
        replay::group,
        one_proof::group,
        content::group,
    ]
    .map(|group| group(&forge))
    .into()
}

/// Writes the corpus, and what the receiver must be set up with, as files to `directory`.
///
/// # Errors
/// When a file cannot be written.
pub fn write(directory: &Path, target: &Target) -> io::Result<()> {
    for (name, text) in files(target) {
        let path = directory.join(name);
        path.parent().map_or(Ok(()), std::fs::create_dir_all)?;
        std::fs::write(path, text)?;
    }
    Ok(())
}

/// The files by their paths within the directory.
///
/// # Panics
/// Never: a corpus always has a JSON form.
#[must_use]
pub fn files(target: &Target) -> Vec<(String, String)> {
    let receiver = [
        ("receiver/environment.json", target.environment()),
        ("receiver/keyring.json", target.keyring()),
        ("receiver/client-states.json", target.client_states()),
        ("receiver/signing-keys.json", target.signing_keys()),
    ];
    let receiver = receiver.into_iter().map(|(name, value)| (name.to_owned(), pretty(&value)));
    let groups = corpus(target).into_iter().map(|group| {
        let value = serde_json::to_value(&group).expect("a group has a JSON form");
        (format!("{}.json", group.group), pretty(&value))
    });
    receiver.chain(groups).collect()
}

fn pretty(value: &Value) -> String {
    format!("{value:#}\n")
}

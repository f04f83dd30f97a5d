//! Notifications that would need no token if they were what they pretend to be, and content that anybody can make.

use serde_json::{Value, json};

use super::case::{Group, Proof};
use super::forge::{Cases, Forge, change};
use super::target::TENANT;
use crate::simulator::notification;
use crate::simulator::tokens::TokenVersion;

const PLAIN: &str = "Emergency calls arrive with encrypted content and a token, or not at all: an item without content needs a token, too.";
const NO_PROOF: &str =
    "That content decrypts and its HMAC is right proves nothing: the symmetric key is wrapped with a public key.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "No token vouches for the item, and its form invites a receiver not to ask for one. The client state is right unless \
        the case says otherwise.";
    let mut cases = Cases::new(forge, "downgrade", about);
    cases.holding(&[Proof::ClientState]);
    for (name, attack, content) in [
        ("content-missing", "There is no content, as in a basic notification.", json!(null)),
        ("content-empty", "The content is an empty object.", json!({})),
        ("content-is-text", "The content is a text.", json!("content")),
        ("content-is-false", "The content is the value false.", json!(false)),
        ("content-in-a-list", "The content is a list.", json!([])),
    ] {
        let item = cases.item_with(name, &json!({"encryptedContent": content}));
        cases.rejected(name, PLAIN, attack, "ValidationTokenMissing", json!({"value": [item]}));
        cases.never_raised();
    }
    in_clear(&mut cases);
    other_kinds(&mut cases);
    sealed(&mut cases);
    cases.done()
}

fn in_clear(cases: &mut Cases<'_>) {
    let document = |cases: &Cases<'_>, name| {
        serde_json::from_str::<Value>(&Forge::document(&Forge::event(&cases.id(name)))).expect("a document is JSON")
    };
    let plain = |cases: &Cases<'_>, name, member: &str| {
        let mut item = cases.item_with(name, &json!({"encryptedContent": null}));
        item[member] = document(cases, name);
        json!({"value": [item]})
    };
    for (name, attack, member) in [
        ("in-resource-data", "The call stands in clear in resourceData.", "resourceData"),
        ("in-content", "The call stands in clear in the content's place.", "encryptedContent"),
        ("in-the-item", "The call stands in clear in the item.", "emergencyCallEvent"),
    ] {
        let body = plain(cases, name, member);
        cases.rejected(name, PLAIN, attack, "ValidationTokenMissing", body);
        cases.never_raised();
    }
    let mut item = cases.item("data-in-clear");
    item["encryptedContent"]["data"] = json!(document(cases, "data-in-clear").to_string());
    let attack = "The call stands in clear in the content's data.";
    cases.rejected("data-in-clear", PLAIN, attack, "ValidationTokenMissing", json!({"value": [item]}));
    cases.never_raised();
    let body = json!({"value": [document(cases, "document-as-item")]});
    cases.rejected("document-as-item", PLAIN, "The call itself is the item.", "ClientStateMissing", body);
    cases.latest_holds(&[]);
}

fn other_kinds(cases: &mut Cases<'_>) {
    for (name, attack, changes) in [
        (
            "lifecycle-with-content",
            "It is a lifecycle notification with the content of a call.",
            json!({"lifecycleEvent": "missed", "changeType": null}),
        ),
        (
            "lifecycle-with-change",
            "It is a lifecycle notification with a change and no content.",
            json!({"lifecycleEvent": "reauthorizationRequired", "encryptedContent": null}),
        ),
        (
            "change-type-unknown",
            "It is a change of a kind that is not known.",
            json!({"changeType": "created,updated"}),
        ),
        ("without-subscription", "It belongs to no subscription.", json!({"subscriptionId": null})),
    ] {
        let item = cases.item_with(name, &changes);
        cases.rejected(name, PLAIN, attack, "ValidationTokenMissing", json!({"value": [item]}));
        if name == "lifecycle-with-change" {
            cases.never_raised();
        }
    }
    let basic = cases.item_with("beside-a-basic-one/basic", &json!({"encryptedContent": null}));
    let body = notification::collection(&[basic, cases.item("beside-a-basic-one")], Some(&[]));
    let attack = "It stands behind a basic notification, for receivers that look at the first item alone.";
    cases.rejected("beside-a-basic-one", PLAIN, attack, "ValidationTokenMissing", body);
}

fn sealed(cases: &mut Cases<'_>) {
    for (name, attack, state) in [
        ("sealed-without-state", "Made with the public certificate; neither token nor client state.", json!(null)),
        (
            "sealed-with-guessed-state",
            "Made with the public certificate; no token, and a guessed client state.",
            json!("guessed"),
        ),
    ] {
        let mut item = cases.item(name);
        change(&mut item, &json!({ "clientState": state }));
        let reason = if state.is_null() { "ClientStateMissing" } else { "ClientStateWrong" };
        cases.rejected(name, NO_PROOF, attack, reason, json!({"value": [item]}));
        cases.latest_holds(&[]);
    }
    let forge = cases.forge;
    let claims = forge.claims(TokenVersion::V2, TENANT);
    let forged = Forge::signed_with(&forge.header(TokenVersion::V2), &claims, &forge.target.forger.pair);
    let attack = "Made with the public certificate, and with a token that the forger signed.";
    cases.token("sealed-with-forged-token", NO_PROOF, attack, "TokenSignature", &forged);
}

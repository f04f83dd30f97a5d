//! Lifecycle notifications. Graph sends them without tokens, so that they must never do more than have subscriptions looked at.

use serde_json::{Value, json};

use super::case::{Group, Proof, Repeated};
use super::forge::{Cases, Forge, SUBSCRIPTION_ID, change};
use super::target::{CLIENT_STATE, STRANGE_TENANT, TENANT};
use super::token_presence::repeated;

const HARMLESS: &str = "A lifecycle notification raises no alert, whoever sent it (\"Reduce missing subscriptions and change \
    notifications\").";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "Lifecycle notifications, mostly forged ones. None raises an alert.";
    let mut cases = Cases::new(forge, "lifecycle", about);
    for (name, attack, changes) in [
        ("state-missing", "It has no client state.", json!({"clientState": null})),
        ("state-wrong", "Its client state is guessed.", json!({"clientState": "guessed"})),
        ("state-empty", "Its client state is empty.", json!({"clientState": ""})),
        ("state-in-a-list", "Its client state is a list.", json!({"clientState": [CLIENT_STATE]})),
        ("tenant-strange", "It is of another tenant.", json!({"tenantId": STRANGE_TENANT})),
        (
            "subscription-strange",
            "It is of another subscription, and guesses the client state.",
            json!({"subscriptionId": STRANGE_TENANT, "clientState": "guessed"}),
        ),
        (
            "event-unknown",
            "The event is one that nobody knows.",
            json!({"lifecycleEvent": "callStarted", "clientState": "guessed"}),
        ),
        ("event-empty", "The event has no name.", json!({"lifecycleEvent": "", "clientState": "guessed"})),
        (
            "event-is-markup",
            "The event is markup.",
            json!({"lifecycleEvent": "<img src=x onerror=alert(911)>", "clientState": "guessed"}),
        ),
        (
            "event-has-line-breaks",
            "The event writes a line of a log.",
            json!({"lifecycleEvent": "missed\r\n{\"level\":\"ERROR\",\"message\":\"911\"}", "clientState": "guessed"}),
        ),
        (
            "removed",
            "It says that the subscription was removed.",
            json!({"lifecycleEvent": "subscriptionRemoved", "clientState": "guessed"}),
        ),
        (
            "with-plain-call",
            "It carries a call in clear.",
            json!({"clientState": "guessed", "emergencyCallEvent": {"id": "1"}}),
        ),
        ("right-state", "It is as Graph would send it.", json!({})),
    ] {
        cases.rejected(name, HARMLESS, attack, "", json!({"value": [item(&changes)]}));
        if changes.get("clientState").is_none() {
            knows_client_state(&mut cases);
        }
    }
    let token = forge.token();
    let body = json!({"value": [item(&json!({}))], "validationTokens": [token]});
    cases.rejected("with-token", HARMLESS, "It is as Graph would send it, and has a token.", "", body);
    knows_client_state(&mut cases);
    for (name, attack, changes, reason) in [
        ("tenant-malformed", "Its tenant is none.", json!({"tenantId": "x"}), ""),
        ("event-is-a-number", "The event is a number.", json!({"lifecycleEvent": 1}), "ValidationTokenMissing"),
        ("event-in-a-list", "The event is a list.", json!({"lifecycleEvent": ["missed"]}), "ValidationTokenMissing"),
    ] {
        cases.rejected(name, HARMLESS, attack, reason, json!({"value": [item(&changes)]}));
        knows_client_state(&mut cases);
    }
    let name = "with-content-and-guessed-state";
    let call =
        cases.item_with(name, &json!({"lifecycleEvent": "missed", "clientState": "guessed", "changeType": null}));
    let attack = "It carries the content of a call, and guesses the client state.";
    cases.rejected(name, HARMLESS, attack, "ClientStateWrong", json!({"value": [call]}));
    for (name, attack, changes) in [
        ("five-thousand", "There are five thousand, with a guessed client state.", json!({"clientState": "guessed"})),
        (
            "five-thousand-without-state",
            "There are five thousand, without a client state.",
            json!({"clientState": null}),
        ),
    ] {
        let body: Repeated = repeated(&json!({"value": ["@@"]}), "\"@@\"", &item(&changes).to_string(), 5000);
        cases.rejected(name, HARMLESS, attack, "", body);
    }
    cases.done()
}

/// Such items have no content that a key could open.
fn knows_client_state(cases: &mut Cases<'_>) {
    cases.latest_holds(&[Proof::ClientState]);
    cases.never_raised();
}

fn item(changes: &Value) -> Value {
    let mut item = json!({
        "subscriptionId": SUBSCRIPTION_ID,
        "subscriptionExpirationDateTime": "2026-11-24T09:30:00.0000000Z",
        "tenantId": TENANT,
        "clientState": CLIENT_STATE,
        "lifecycleEvent": "reauthorizationRequired",
    });
    change(&mut item, changes);
    item
}

//! Calls in the dress of a probe: the message by which this project's renewer has the receiver prove that it can read what
//! Graph seals. Anybody can seal, so a probe must never lead to an alert, whatever it holds.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::case::{Expectation, Group, Proof, Request};
use super::forge::{Cases, Forge, hmac};
use super::target::{CLIENT_STATE, HAPPENED_AT};

const HARMLESS: &str = "A message to ourselves raises no alert. A receiver that knows no probes answers 400.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "The body is no collection but a probe, or looks like one, and holds a call.";
    let mut cases = Cases::new(forge, "probe", about);
    let sealed = |cases: &Cases<'_>, name: &str| cases.item(name)["encryptedContent"].clone();
    let guessed = STANDARD.encode([0; 32]);

    let name = "sealed-call";
    let probe = json!({"sentAt": HAPPENED_AT, "encryptedContent": sealed(&cases, name), "proof": guessed});
    silent(&mut cases, name, "It holds a call as Graph seals it. The proof is guessed.", json!({"probe": probe}));

    let name = "sealed-call-without-proof";
    let probe = json!({"sentAt": HAPPENED_AT, "encryptedContent": sealed(&cases, name)});
    silent(&mut cases, name, "It holds a call as Graph seals it, and no proof.", json!({"probe": probe}));

    let name = "sealed-call-of-another-time";
    let probe = json!({"sentAt": "2026-11-01T00:00:00Z", "encryptedContent": sealed(&cases, name), "proof": guessed});
    silent(&mut cases, name, "It holds a call as Graph seals it, and was sent weeks ago.", json!({"probe": probe}));

    let name = "proof-of-the-sealing";
    let content = sealed(&cases, name);
    let proof = hmac(&Forge::symmetric_key(&cases.id(name)), content.to_string().as_bytes());
    let probe = json!({"sentAt": HAPPENED_AT, "encryptedContent": content, "proof": STANDARD.encode(proof)});
    silent(&mut cases, name, "The proof is made with the key that sealed the call.", json!({"probe": probe}));

    let name = "item";
    let probe = cases.item(name);
    silent(&mut cases, name, "It is a genuine item.", json!({"probe": probe}));

    let name = "collection";
    let probe = forge.vouched(cases.item(name));
    silent(&mut cases, name, "It is a genuine collection.", json!({"probe": probe}));

    let name = "with-token-and-state";
    let probe = json!({"sentAt": HAPPENED_AT, "encryptedContent": sealed(&cases, name), "proof": guessed});
    let body = json!({"probe": probe, "validationTokens": [forge.token()], "clientState": CLIENT_STATE});
    silent(&mut cases, name, "It holds a call as Graph seals it, beside a genuine token and the client state.", body);

    let plain = json!({"emergencyCallEvent": {"id": "1", "callEventType": "callStarted"}});
    silent(&mut cases, "plain-call", "It holds a call in clear.", json!({"probe": plain}));
    silent(&mut cases, "list", "It is a list of calls in clear.", json!({"probe": [plain]}));

    let name = "beside-an-item";
    let item = cases.item_with(name, &json!({"clientState": "guessed"}));
    let body = json!({"probe": {"sentAt": HAPPENED_AT}, "value": [item], "validationTokens": [forge.token()]});
    let attack = "It stands beside an item whose client state is guessed.";
    cases.rejected(name, HARMLESS, attack, "ClientStateWrong", body);
    cases.latest_holds(&[Proof::Token]);
    cases.own();
    cases.done()
}

fn silent(cases: &mut Cases<'_>, name: &str, attack: &str, body: Value) {
    let expect = Expectation { status: vec![202, 400], ..Expectation::refused() };
    cases.add(name, HARMLESS, attack, Request::post(body), expect);
    cases.own();
}

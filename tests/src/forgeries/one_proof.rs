//! What holders of one proof can do, and what they cannot: their items never raise an alert that says it is verified, and
//! never get in the way of one.

use serde_json::{Value, json};

use super::case::{Expectation, Group, Proof, Raised, Request};
use super::forge::{Cases, Forge, change, changed, guid, time};
use super::genuine::REPLAYED;
use super::target::{OTHER_POLICY, OTHER_TENANT, POLICY, STRANGE_TENANT, TENANT};
use crate::simulator::notification::{self, EmergencyEvent};
use crate::simulator::tokens::TokenVersion;

const KEYRING: &str = "Who can read the keyring, or the request that makes a subscription, knows client states and can seal: that is one proof, \
    and one proof alerts as not verified.";
const RECORDINGS: &str = "A recording without a token that is still valid holds one proof. What was told before, verified or not, is not told \
    again.";
const TOKEN_ALONE: &str = "The token alone is held by the receiver of any other subscription of the application. Content that a key of the \
    receiver's opens keeps out who does not have its certificate.";
const TENANTS: &str = "Where token and client state are of different tenants, only the client state counts.";
const SHADOWING: &str = "What is not verified is no reason to leave out, update or end what is.";
const FORGOTTEN: &str = "Marks are kept for 400 days, longer than any key that opens a recording; what is older alerts once more, says that it is \
    late, and is verified only under a token that is still valid.";
const FLOODS: &str = "More than five unverified alerts in ten minutes come in one message a minute that names each call; what is verified comes \
    first and by itself.";

/// How many items a flood has.
const FLOOD: usize = 12;
/// How many unverified alerts have a message of their own.
const ALONE: usize = 5;

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "One proof of the sender holds, and not the other. With UnverifiedCalls=Reject none alerts; with Alert each alerts as not \
        verified if a key of the receiver's opens it, and never in the way of what is verified.";
    let mut cases = Cases::new(forge, "one-proof", about);
    keyring(&mut cases);
    recordings(&mut cases);
    token_alone(&mut cases);
    different_tenants(&mut cases);
    shadowing(&mut cases);
    forgotten(&mut cases);
    floods(&mut cases);
    cases.done()
}

fn unvouched(item: &Value) -> Value {
    json!({"value": [item]})
}

fn expired(forge: &Forge<'_>) -> String {
    forge.signed(&changed(&forge.claims(TokenVersion::V2, TENANT), &json!({"exp": 1_795_300_000})))
}

fn keyring(cases: &mut Cases<'_>) {
    cases.holding(&[Proof::ClientState]);
    let forge = cases.forge;
    let made = forge.target.made_client_state(TENANT, POLICY);
    let name = "made-state-without-token";
    let body = unvouched(&cases.item_with(name, &json!({ "clientState": made })));
    cases.rejected(name, KEYRING, "A client state is made with the keyring's key.", "ValidationTokenMissing", body);
    let name = "stored-state-without-token";
    let body = unvouched(&cases.item(name));
    cases.rejected(name, KEYRING, "A client state is read from the keyring.", "ValidationTokenMissing", body);
    let name = "made-state-with-forged-token";
    let claims = forge.claims(TokenVersion::V2, TENANT);
    let forged = Forge::signed_with(&forge.header(TokenVersion::V2), &claims, &forge.target.forger.pair);
    let item = cases.item_with(name, &json!({ "clientState": made }));
    let body = notification::collection(&[item], Some(&[forged]));
    cases.rejected(name, KEYRING, "It comes with a token that the forger signed.", "TokenSignature", body);
    let name = "claims-to-be-verified";
    let event = Forge::event(&cases.id(name));
    let mut document: Value = serde_json::from_str(&Forge::document(&event)).expect("a document is JSON");
    change(&mut document, &json!({"verified": true, "missingProof": null}));
    let mut item = Forge::item_with(&event, &forge.sealed(document.to_string().as_bytes(), &event.id));
    change(&mut item, &json!({"verified": true}));
    let attack = "Item and document say that they are verified.";
    cases.rejected(name, KEYRING, attack, "ValidationTokenMissing", unvouched(&item));
    for (name, attack, changes) in [
        ("state-without-content", "There is no content.", json!({"encryptedContent": null})),
        ("state-with-spoiled-content", "The content is none.", json!({"encryptedContent": {"data": "911"}})),
    ] {
        let body = unvouched(&cases.item_with(name, &changes));
        cases.rejected(name, KEYRING, attack, "ValidationTokenMissing", body);
        cases.never_raised();
    }
}

fn recordings(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let item = forge.item(REPLAYED);
    let event = Forge::event(REPLAYED);
    let anew = Forge::item_with(&event, &forge.sealed(Forge::document(&event).as_bytes(), "recording"));
    let state = &[Proof::ClientState][..];
    for (name, attack, proofs, body) in [
        ("recording-without-token", "The token is left out.", state, unvouched(&item)),
        (
            "recording-with-expired-token",
            "The token has expired.",
            state,
            notification::collection(std::slice::from_ref(&item), Some(&[expired(forge)])),
        ),
        ("recording-sealed-anew", "It is sealed anew, without a token.", state, unvouched(&anew)),
        (
            "recording-without-state",
            "The client state is left out.",
            &[Proof::Token],
            forge.vouched(changed(&item, &json!({"clientState": null}))),
        ),
    ] {
        cases.add_after(REPLAYED, name, RECORDINGS, attack, Request::post(body));
        cases.latest_holds(proofs);
        cases.never_raised();
    }
}

fn token_alone(cases: &mut Cases<'_>) {
    cases.holding(&[Proof::Token]);
    let forge = cases.forge;
    let without_state = |item: Value| forge.vouched(changed(&item, &json!({"clientState": null})));
    let name = "token-with-certificate";
    let body = without_state(cases.item(name));
    let attack = "The sender has the receiver's certificate, too, and seals a call for it.";
    cases.rejected(name, TOKEN_ALONE, attack, "ClientStateMissing", body);
    let event = |cases: &Cases<'_>, name: &str| Forge::event(&cases.id(name));
    let name = "token-sealed-for-another";
    let call = event(cases, name);
    let content =
        Forge::sealed_for(&forge.target.lost_encryption, "corpus-0", Forge::document(&call).as_bytes(), &call.id);
    let items = [
        (name, "The call is sealed for another receiver.", Forge::item_with(&call, &content)),
        (
            "token-without-content",
            "There is no content.",
            cases.item_with("token-without-content", &json!({"encryptedContent": null})),
        ),
        (
            "token-in-clear",
            "The call stands in clear.",
            cases.item_with("token-in-clear", &json!({"encryptedContent": {"emergencyCallEvent": {"id": "1"}}})),
        ),
    ];
    for (name, attack, item) in items {
        cases.rejected(name, TOKEN_ALONE, attack, "ClientStateMissing", without_state(item));
        cases.never_raised();
    }
}

fn different_tenants(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let token = |tenant| forge.signed(&forge.claims(TokenVersion::V2, tenant));
    let (own, other) = (token(TENANT), token(OTHER_TENANT));
    let state = |tenant, policy| forge.target.made_client_state(tenant, policy);
    let of = |cases: &Cases<'_>, name: &str, tenant: &str| {
        vec![Raised { tenant_id: Some(tenant.to_owned()), ..Raised::new(&guid(&cases.id(name)), false) }]
    };
    cases.holding(&[Proof::ClientState]);
    for (name, attack, state, token, tenant) in [
        (
            "state-of-the-first-token-of-the-other",
            "The client state is the first tenant's, the token the other's.",
            state(TENANT, POLICY),
            &other,
            TENANT,
        ),
        (
            "state-of-the-other-token-of-the-first",
            "The client state is the other tenant's, the token the first's, as the item says.",
            state(OTHER_TENANT, OTHER_POLICY),
            &own,
            OTHER_TENANT,
        ),
    ] {
        let item = cases.item_with(name, &json!({ "clientState": state }));
        let body = notification::collection(&[item], Some(std::slice::from_ref(token)));
        cases.rejected(name, TENANTS, attack, "TenantNotCovered", body);
        let raised = of(cases, name, tenant);
        cases.raised(raised);
    }
    cases.holding(&[Proof::Token]);
    let name = "tokens-of-both-and-no-state";
    let item = cases.item_with(name, &json!({"clientState": null, "tenantId": null, "organizationId": null}));
    let body = notification::collection(&[item], Some(&[own, other]));
    let attack = "There are tokens of both tenants and no client state, and nothing tells whose the item is.";
    cases.rejected(name, TENANTS, attack, "ClientStateMissing", body);
    let raised = of(cases, name, "unknown");
    cases.raised(raised);
}

fn shadowing(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let without_state = |item: &Value| forge.vouched(changed(item, &json!({"clientState": null})));
    let elsewhere = |event: &EmergencyEvent| EmergencyEvent {
        location: json!({"address": {"street": "Main Street", "city": "Tacoma", "state": "WA"}}),
        ..event.clone()
    };
    cases.holding(&[Proof::Token]);
    for (before, name, attack, other_place) in [
        (
            "unverified-before",
            "verified-after-unverified",
            "None: the verified call comes after an unverified one.",
            false,
        ),
        (
            "unverified-elsewhere-before",
            "verified-after-unverified-elsewhere",
            "None: the verified call comes after an unverified one from another place.",
            true,
        ),
    ] {
        let event = Forge::event(&cases.id(before));
        let first = if other_place { elsewhere(&event) } else { event.clone() };
        let body = without_state(&forge.item_of(&first));
        cases.rejected(before, SHADOWING, "It comes before the verified call.", "ClientStateMissing", body);
        let request = Request::post(forge.vouched(forge.item_of(&event)));
        cases.add(name, SHADOWING, attack, request, Expectation::alert(&event.id));
        let raised = Raised { relation: Some("nowVerified".to_owned()), ..Raised::new(&event.id, true) };
        cases.raised(vec![raised]);
        let before = cases.id(before);
        cases.after(&before);
    }
    let event = Forge::event(REPLAYED);
    let ended = EmergencyEvent { call_event_type: "callEnded".to_owned(), ..event.clone() };
    for (name, attack, event, relation) in [
        ("elsewhere-after-verified", "It reports another place for a verified call.", elsewhere(&event), "otherReport"),
        ("end-after-verified", "It ends a verified call.", ended, "first"),
    ] {
        let body = without_state(&forge.item_of(&event));
        cases.add_after(REPLAYED, name, SHADOWING, attack, Request::post(body));
        cases.latest_holds(&[Proof::Token]);
        let raised = Raised { relation: Some(relation.to_owned()), ..Raised::new(&event.id, false) };
        cases.raised(vec![raised]);
    }
}

fn forgotten(cases: &mut Cases<'_>) {
    cases.holding(&[Proof::ClientState]);
    let forge = cases.forge;
    let name = "recording-beyond-the-marks";
    let event = EmergencyEvent { occurred_at: time("2025-10-10T10:00:00Z"), ..Forge::event(&cases.id(name)) };
    let body = notification::collection(&[forge.item_of(&event)], Some(&[expired(forge)]));
    let attack = "A call of more than 400 days before is delivered again with its token, which has expired.";
    cases.rejected(name, FORGOTTEN, attack, "TokenExpired", body);
    cases.raised(vec![Raised { late: true, ..Raised::new(&event.id, false) }]);
}

fn floods(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let flood = |cases: &Cases<'_>, name: &str, changes: &Value| -> (Vec<Value>, Vec<Raised>) {
        let ids = (0..FLOOD).map(|number| cases.id(&format!("{name}/{number}")));
        ids.map(|id| (changed(&forge.item(&id), changes), Raised::new(&guid(&id), false))).unzip()
    };
    for (name, attack, reason, proof) in [
        (
            "flood-of-client-states",
            "There are twelve calls with a client state alone.",
            "ValidationTokenMissing",
            Proof::ClientState,
        ),
        ("flood-of-tokens", "There are twelve calls with a token alone.", "ClientStateMissing", Proof::Token),
    ] {
        let (changes, tokens) = match proof {
            Proof::ClientState => (json!({}), Vec::new()),
            Proof::Token => (json!({"clientState": null}), vec![forge.token()]),
        };
        let (items, raised) = flood(cases, name, &changes);
        cases.rejected(name, FLOODS, attack, reason, notification::collection(&items, Some(&tokens)));
        cases.latest_holds(&[proof]);
        cases.raised(raised);
        cases.in_messages(ALONE + 1);
    }
    let name = "flood-before-a-verified-call";
    let (mut items, mut raised) = flood(cases, name, &json!({"clientState": null, "organizationId": STRANGE_TENANT}));
    items.push(cases.item(name));
    let call = guid(&cases.id(name));
    raised.insert(0, Raised::new(&call, true));
    let attack = "Twelve calls with a token alone stand before a verified one.";
    cases.add(
        name,
        FLOODS,
        attack,
        Request::post(notification::collection(&items, Some(&[forge.token()]))),
        Expectation::alert(&call),
    );
    cases.raised(raised);
    cases.in_messages(1 + ALONE + 1);
}

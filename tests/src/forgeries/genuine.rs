//! What Graph sends: these must alert.

use serde_json::json;

use super::case::{Expectation, Group, Raised, Request};
use super::forge::{Cases, Forge, changed, guid};
use super::target::{OLD_CLIENT_STATE, OTHER_TENANT, POLICY, STRANGE_TENANT, TENANT};
use crate::simulator::notification::{self, EmergencyEvent};
use crate::simulator::tokens::TokenVersion;

/// The genuine notification that is delivered again in the cases about replays.
pub(super) const REPLAYED: &str = "genuine/delivered-before";

const RULE: &str = "An authentic call is never dropped.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about =
        "What Graph sends. Each must raise exactly one alert; until they do, nothing that follows proves anything.";
    let mut cases = Cases::new(forge, "genuine", about);
    let token = |version, tenant| forge.signed(&forge.claims(version, tenant));
    let (v1, v2) = (token(TokenVersion::V1, TENANT), token(TokenVersion::V2, TENANT));
    let other = token(TokenVersion::V2, OTHER_TENANT);
    for (name, attack, tokens) in [
        ("version-1-token", "None: a call with a validation token of version 1.0.", vec![v1.clone()]),
        ("version-2-token", "None: a call with a validation token of version 2.0.", vec![v2.clone()]),
        ("tokens-of-two-tenants", "None: a call with the tokens of two tenants.", vec![other.clone(), v1.clone()]),
        ("delivered-before", "None: the call that the cases about replays deliver again.", vec![v2.clone()]),
    ] {
        add(&mut cases, name, attack, |cases| notification::collection(&[cases.item(name)], Some(&tokens)));
    }
    add(&mut cases, "other-tenant", "None: a call in the other tenant that is watched.", |cases| {
        let item = forge.other_tenants_item(&cases.id("other-tenant"));
        notification::collection(&[item], Some(&[other]))
    });
    add(
        &mut cases,
        "client-state-before-rotation",
        "None: Graph repeats the client state of before a rotation.",
        |cases| {
            forge.vouched(cases.item_with("client-state-before-rotation", &json!({"clientState": OLD_CLIENT_STATE})))
        },
    );
    let beside = "A forgery rides in the same request; the genuine call beside it must alert, and nothing else.";
    add(&mut cases, "beside-a-forged-item", beside, |cases| {
        let forged = changed(&cases.item("beside-a-forged-item/forged"), &json!({"clientState": "guessed"}));
        notification::collection(&[forged, cases.item("beside-a-forged-item")], Some(std::slice::from_ref(&v2)))
    });
    beside_one_proof(&mut cases, "beside-a-forged-item");
    add(&mut cases, "beside-another-tenants-forged-item", beside, |cases| {
        let forged = forge.other_tenants_item("genuine/beside-another-tenants-forged-item/forged");
        notification::collection(
            &[forged, cases.item("beside-another-tenants-forged-item")],
            Some(std::slice::from_ref(&v2)),
        )
    });
    beside_one_proof(&mut cases, "beside-another-tenants-forged-item");
    add(&mut cases, "beside-what-is-no-item", beside, |cases| {
        let items = [json!(null), json!([7]), json!({}), cases.item("beside-what-is-no-item")];
        notification::collection(&items, Some(std::slice::from_ref(&v2)))
    });
    let beside = "A forged token rides beside the genuine one; the call must alert.";
    add(&mut cases, "beside-a-forged-token", beside, |cases| {
        let (header, claims) = (forge.header(TokenVersion::V2), forge.claims(TokenVersion::V2, TENANT));
        let forged = Forge::signed_with(&header, &claims, &forge.target.forger.pair);
        notification::collection(&[cases.item("beside-a-forged-token")], Some(&[forged, v2.clone()]))
    });
    let unknown = "None: the subscription's id is one that the receiver has not seen, as after one was made anew.";
    add(&mut cases, "subscription-unknown", unknown, |cases| {
        forge.vouched(cases.item_with("subscription-unknown", &json!({"subscriptionId": STRANGE_TENANT})))
    });
    for (name, attack, policy, tenant) in [
        (
            "document-of-another-policy",
            "None: the sealed document names another policy than its item.",
            "Headquarters",
            TENANT,
        ),
        (
            "document-of-another-tenant",
            "None: the sealed document names another tenant than its item.",
            POLICY,
            STRANGE_TENANT,
        ),
    ] {
        add(&mut cases, name, attack, |cases| {
            let event = Forge::event(&cases.id(name));
            let sealed = EmergencyEvent { policy: policy.to_owned(), tenant: tenant.to_owned(), ..event.clone() };
            let content = forge.sealed(Forge::document(&sealed).as_bytes(), &event.id);
            forge.vouched(Forge::item_with(&event, &content))
        });
    }
    cases.done()
}

/// With `UnverifiedCalls=Alert` the item beside the latest case's alerts, too, after it and as not verified: it holds one proof.
fn beside_one_proof(cases: &mut Cases<'_>, name: &str) {
    let call = guid(&cases.id(name));
    let beside = guid(&cases.id(&format!("{name}/forged")));
    cases.raised(vec![Raised::new(&call, true), Raised::new(&beside, false)]);
}

fn add(cases: &mut Cases<'_>, name: &str, attack: &str, body: impl FnOnce(&Cases<'_>) -> serde_json::Value) {
    let request = Request::post(body(cases));
    cases.add(name, RULE, attack, request, Expectation::alert(&guid(&cases.id(name))));
}

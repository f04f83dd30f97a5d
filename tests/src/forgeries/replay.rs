//! Genuine notifications again: within the receiver's memory they are duplicates, beyond it they alert and say how old they are.

use serde_json::{Value, json};

use super::case::{Expectation, Group, Request};
use super::forge::{Cases, Forge, SUBSCRIPTION_ID, changed, guid, time};
use super::genuine::REPLAYED;
use super::target::{STRANGE_TENANT, TENANT};
use crate::simulator::notification::{self, DocumentShape, EmergencyEvent};
use crate::simulator::tokens::TokenVersion;

const ONCE: &str = "Graph delivers at least once, and so can anybody who recorded it. An event of a call alerts once: the same tenant, call, \
    kind of event and time are the same event, however sealed and worded.";
const LATE: &str = "Beyond the receiver's memory (this project's is 400 days, and no key is kept longer) a replay cannot be told from a late delivery. It alerts, for \
    no call is dropped, and the alert says that it comes late.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "What was genuine once, delivered again. Where a case has 'after', that one must have been delivered before, and have \
        alerted; the case is then a duplicate.";
    let mut cases = Cases::new(forge, "replay", about);
    same_request(&mut cases);
    same_event(&mut cases);
    late(&mut cases);
    cases.done()
}

fn genuine(forge: &Forge<'_>) -> Value {
    forge.vouched(forge.item(REPLAYED))
}

fn again(cases: &mut Cases<'_>, name: &str, attack: &str, request: Request) {
    cases.add_after(REPLAYED, name, ONCE, attack, request);
}

fn same_request(cases: &mut Cases<'_>) {
    let body = genuine(cases.forge);
    again(cases, "same-bytes", "The same request again.", Request::post(body.clone()));
    let request = Request::post(format!("{body:#}"));
    again(cases, "other-white-space", "The same, with other white space.", request);
    let request = Request::post(body.clone()).query("again=1");
    again(cases, "with-query", "The same, with a query.", request);
    let request = Request::post(body.clone()).header("client-request-id", STRANGE_TENANT);
    again(cases, "other-request-id", "The same, with the id of another request.", request);
    let escaped = body.to_string().replace("updated", "\\u0075pdated");
    again(cases, "escaped", "The same, with a letter escaped.", Request::post(escaped));
    let mut twice = body.clone();
    twice["value"] = json!([body["value"][0], body["value"][0]]);
    again(cases, "twice-in-one", "The same item twice in one request.", Request::post(twice));
    let mut beside = body.clone();
    beside["value"] = json!([{"tenantId": TENANT, "resource": "x"}, body["value"][0]]);
    again(cases, "beside-junk", "The same beside what is no item of ours.", Request::post(beside));
}

fn same_event(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let item = forge.item(REPLAYED);
    for (name, attack, changes) in [
        ("other-item-id", "The item has an id.", json!({"id": STRANGE_TENANT})),
        ("other-subscription", "The item is of another subscription.", json!({"subscriptionId": STRANGE_TENANT})),
        (
            "other-expiry",
            "The subscription ends later.",
            json!({"subscriptionExpirationDateTime": "2026-11-25T09:30:00Z"}),
        ),
        (
            "other-call-outside",
            "The item names another call than the sealed document.",
            json!({"resourceData": {"id": STRANGE_TENANT}}),
        ),
        ("other-organisation", "The item names another organisation.", json!({"organizationId": STRANGE_TENANT})),
        ("other-change-type", "The item is of another kind of change.", json!({"changeType": "created"})),
        (
            "without-extras",
            "The item is without what is not needed.",
            json!({"subscriptionId": null, "resourceData": null, "changeType": null, "organizationId": null}),
        ),
    ] {
        again(cases, name, attack, Request::post(forge.vouched(changed(&item, &changes))));
    }
    let event = Forge::event(REPLAYED);
    let wrapped = Forge::document(&event);
    let sealed =
        |document: &str, name| forge.vouched(Forge::item_with(&event, &forge.sealed(document.as_bytes(), name)));
    let flat = event.document(DocumentShape::Flat).to_string();
    let other_time = wrapped.replace("10:00:00.0000000+00:00", "11:00:00+01:00");
    for (name, attack, document) in [
        ("sealed-anew", "It is sealed anew, with another symmetric key.", wrapped.clone()),
        ("sealed-flat", "It is sealed anew, without the wrapper.", flat),
        ("sealed-with-other-time-zone", "It is sealed anew, with its time in another zone.", other_time),
    ] {
        again(cases, name, attack, Request::post(sealed(&document, name)));
    }
    let other = Forge::item_with(
        &event,
        &Forge::sealed_for(
            &forge.target.other_encryption,
            super::target::OTHER_CERTIFICATE_ID,
            wrapped.as_bytes(),
            "replay",
        ),
    );
    let request = Request::post(forge.vouched(other));
    again(cases, "sealed-for-another-key", "It is sealed anew, for another key of the receiver's.", request);
    let token = forge.signed(&forge.claims(TokenVersion::V1, TENANT));
    let body = notification::collection(&[item], Some(&[token]));
    again(cases, "with-another-token", "It has another token.", Request::post(body));
    let mut item = forge.item(REPLAYED);
    item["encryptedContent"]["encryptionCertificateThumbprint"] = json!(SUBSCRIPTION_ID);
    again(cases, "other-thumbprint", "It names another thumbprint.", Request::post(forge.vouched(item)));
}

fn late(cases: &mut Cases<'_>) {
    for (name, attack, occurred_at) in [
        (
            "beyond-memory",
            "A call of three days before is delivered to a receiver that does not know it.",
            "2026-11-20T10:00:00Z",
        ),
        (
            "a-year-later",
            "A call of a year before is delivered to a receiver that does not know it.",
            "2025-11-23T10:00:00Z",
        ),
    ] {
        let id = cases.id(name);
        let event = EmergencyEvent { occurred_at: time(occurred_at), ..Forge::event(&id) };
        let request = Request::post(cases.forge.vouched(cases.forge.item_of(&event)));
        cases.add(name, LATE, attack, request, Expectation { late: true, ..Expectation::alert(&guid(&id)) });
    }
}

//! Notifications without a token where one belongs, and tokens that vouch for somebody else.

use serde_json::{Value, json};

use super::case::{Group, Proof, Repeated, Request};
use super::forge::{Cases, Forge, changed};
use super::target::{OTHER_TENANT, STRANGE_TENANT, TENANT};
use crate::simulator::notification;
use crate::simulator::tokens::TokenVersion;

const PRESENT: &str = "Notifications with resource data count only with a validation token in the list validationTokens (\"Set up \
    change notifications that include resource data\"): the encryption proves nothing, for anybody may have the certificate.";
const BOUND: &str = "A token vouches for items of the tenant that it was issued in, and for no others.";
const BOUNDED: &str = "Tokens without number must not keep a receiver from its work.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "The client state is right and the content decrypts, but no token vouches for the item's tenant.";
    let mut cases = Cases::new(forge, "token-presence", about);
    cases.holding(&[Proof::ClientState]);
    missing(&mut cases);
    elsewhere(&mut cases);
    of_others(&mut cases);
    many(&mut cases);
    cases.done()
}

fn missing(cases: &mut Cases<'_>) {
    let body = json!({"value": [cases.item("no-member")]});
    cases.rejected("no-member", PRESENT, "There is no list.", "ValidationTokenMissing", body);
    let token = cases.forge.token();
    for (name, attack, reason, tokens) in [
        ("null", "The list is null.", "ValidationTokenMissing", json!(null)),
        ("empty", "The list is empty.", "ValidationTokenMissing", json!([])),
        ("true", "In the list's place is the value true.", "ValidationTokenMissing", json!(true)),
        ("text", "In the list's place is the token itself.", "ValidationTokenMissing", json!(token)),
        ("object", "In the list's place is an object.", "ValidationTokenMissing", json!({"0": token, "length": 1})),
        ("null-in-list", "The list holds null.", "TokenNotAToken", json!([null])),
        ("empty-text-in-list", "The list holds an empty text.", "TokenNotAToken", json!([""])),
        ("number-in-list", "The list holds a number.", "TokenNotAToken", json!([1])),
        ("list-in-list", "The list holds a list with the token.", "TokenNotAToken", json!([[token]])),
        ("object-in-list", "The list holds an object with the token.", "TokenNotAToken", json!([{"token": token}])),
    ] {
        let body = json!({"value": [cases.item(name)], "validationTokens": tokens});
        cases.rejected(name, PRESENT, attack, reason, body);
    }
}

fn elsewhere(cases: &mut Cases<'_>) {
    let token = cases.forge.token();
    for (name, attack, member) in [
        ("name-in-lower-case", "The list's name is in lower case.", "validationtokens"),
        ("name-in-upper-case", "The list's name begins in upper case.", "ValidationTokens"),
        ("name-in-singular", "The list's name is another one.", "validationToken"),
    ] {
        let mut body = json!({"value": [cases.item(name)]});
        body[member] = json!([token]);
        cases.rejected(name, PRESENT, attack, "ValidationTokenMissing", body);
    }
    let item = cases.item_with("in-the-item", &json!({"validationTokens": [token]}));
    let body = json!({"value": [item]});
    cases.rejected("in-the-item", PRESENT, "The list stands in the item.", "ValidationTokenMissing", body);
    let request = Request::post(json!({"value": [cases.item("in-a-header")]}));
    let request = request.header("authorization", &format!("Bearer {token}"));
    let reason = Some("ValidationTokenMissing");
    cases.rejected_request("in-a-header", PRESENT, "The token stands in a header.", reason, request);
    let request = Request::post(json!({"value": [cases.item("in-the-query")]}));
    let request = request.query(&format!("validationTokens={token}"));
    cases.rejected_request("in-the-query", PRESENT, "The token stands in the query.", reason, request);
    let collection = json!({"validationTokens": [token], "value": [cases.item("twice")]}).to_string();
    let text = collection.replacen(",\"value\"", ",\"validationTokens\":[],\"value\"", 1);
    let attack = "The list stands there twice, once with the token and then empty: for readers that check one and use the other.";
    cases.rejected("twice", PRESENT, attack, "ValidationTokenMissing", text);
}

fn of_others(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let token = |tenant| forge.signed(&forge.claims(TokenVersion::V2, tenant));
    let (own, other, strange) = (token(TENANT), token(OTHER_TENANT), token(STRANGE_TENANT));
    let attack = "The token is Entra's for another tenant that the receiver serves.";
    cases.token("of-the-other-tenant", BOUND, attack, "TenantNotCovered", &other);
    let attack = "The token is Entra's for a tenant that the receiver does not know, and right in all else.";
    cases.token("of-a-strange-tenant", BOUND, attack, "TokenTenant", &strange);
    let item = forge.other_tenants_item(&cases.id("for-the-other-tenants-item"));
    let attack = "The item is of the other tenant that the receiver serves, the token of the first.";
    cases.rejected("for-the-other-tenants-item", BOUND, attack, "TenantNotCovered", forge.vouched(item));
    let expired = changed(&forge.claims(TokenVersion::V2, TENANT), &json!({"exp": 1_795_300_000}));
    let tokens = [other, forge.signed(&expired)];
    let body = notification::collection(&[cases.item("own-expired-beside-the-others")], Some(&tokens));
    let attack = "The item's tenant has an expired token, and another tenant a good one.";
    cases.rejected("own-expired-beside-the-others", BOUND, attack, "TenantNotCovered", body);
    let mut item = forge.other_tenants_item(&cases.id("tenant-in-organisation"));
    item["organizationId"] = json!(TENANT);
    item["resourceData"]["tenantId"] = json!(TENANT);
    let body = notification::collection(&[item], Some(&[own]));
    let attack = "The token's tenant stands in other members of the item than tenantId.";
    cases.rejected("tenant-in-organisation", BOUND, attack, "TenantNotCovered", body);
}

fn many(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let claims = forge.claims(TokenVersion::V2, TENANT);
    let forged = Forge::signed_with(&forge.header(TokenVersion::V2), &claims, &forge.target.forger.pair);
    let other_text = forge.signed_text(b"{}", b"{}");
    for (name, attack, reason, token, times) in [
        (
            "a-thousand-forged",
            "A thousand tokens that only a verification shows to be forged.",
            "TokenSignature",
            &forged,
            1000,
        ),
        ("many-that-are-none", "Ten thousand texts that are no tokens.", "TokenNotAToken", &"a.b.c".to_owned(), 10_000),
        ("many-without-claims", "A thousand signed tokens without claims.", "TokenHeader", &other_text, 1000),
    ] {
        let body = json!({"value": [cases.item(name)], "validationTokens": ["@@"]});
        cases.rejected(name, BOUNDED, attack, reason, repeated(&body, "\"@@\"", &format!("\"{token}\""), times));
    }
}

/// The body with a text in `place` that repeats itself, divided by commas.
pub(super) fn repeated(body: &Value, place: &str, text: &str, times: usize) -> Repeated {
    let body = body.to_string();
    let (before, after) = body.split_once(place).expect("the place is marked");
    Repeated {
        before: before.to_owned(),
        repeated: format!("{text},"),
        times: times - 1,
        after: format!("{text}{after}"),
    }
}

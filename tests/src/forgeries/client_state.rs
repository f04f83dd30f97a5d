//! Attacks on the client state. All else about the items is right, the token included.

use serde_json::{Value, json};

use super::case::{Group, Proof, Repeated, Request};
use super::forge::{Cases, Forge, SUBSCRIPTION_ID};
use super::target::{CLIENT, CLIENT_STATE, OTHER_POLICY, OTHER_TENANT, POLICY, TENANT, made_by};

const PRESENT: &str = "Every item repeats the client state that Graph was given with the subscription, as text in its own member \
    clientState (\"Receive change notifications through webhooks\").";
const EXACT: &str = "The client state is compared as a whole, byte for byte and in constant time, with those of the receiver's \
    subscriptions.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about =
        "The client state is missing or wrong. The validation token is right, so that nothing else rejects the items.";
    let mut cases = Cases::new(forge, "client-state", about);
    cases.holding(&[Proof::Token]);
    absent(&mut cases);
    elsewhere(&mut cases);
    near_misses(&mut cases);
    guesses(&mut cases);
    made(&mut cases);
    cases.done()
}

fn absent(cases: &mut Cases<'_>) {
    let item = cases.item_with("missing", &json!({"clientState": null}));
    add(cases, "missing", PRESENT, "There is none.", "ClientStateMissing", item);
    for (name, attack, value) in [
        ("null", "It is null.", json!(null)),
        ("number", "It is a number.", json!(0)),
        ("true", "It is the value true, which loose comparisons take for any text.", json!(true)),
        ("list", "It is a list that holds the right one.", json!([CLIENT_STATE])),
        ("object", "It is an object that holds the right one.", json!({"value": CLIENT_STATE})),
        ("query-operator", "It is an operator that a database would take as 'anything'.", json!({"$ne": null})),
    ] {
        let mut item = cases.item(name);
        item["clientState"] = value;
        add(cases, name, PRESENT, attack, "ClientStateMissing", item);
    }
}

fn elsewhere(cases: &mut Cases<'_>) {
    for (name, attack, changes) in [
        ("name-in-lower-case", "The member's name is in lower case.", json!({"clientstate": CLIENT_STATE})),
        ("name-in-upper-case", "The member's name begins in upper case.", json!({"ClientState": CLIENT_STATE})),
        ("in-resource-data", "It stands in resourceData.", json!({"resourceData": {"clientState": CLIENT_STATE}})),
    ] {
        let mut item = cases.item_with(name, &changes);
        item.as_object_mut().expect("an item").remove("clientState");
        add(cases, name, PRESENT, attack, "ClientStateMissing", item);
    }
    let without = |cases: &Cases<'_>, name| {
        let item = cases.item_with(name, &json!({"clientState": null}));
        cases.forge.vouched(item)
    };
    let mut body = without(cases, "in-the-collection");
    body["clientState"] = json!(CLIENT_STATE);
    cases.rejected("in-the-collection", PRESENT, "It stands beside the items.", "ClientStateMissing", body);
    let request = Request::post(without(cases, "in-the-query")).query(&format!("clientState={CLIENT_STATE}"));
    let reason = Some("ClientStateMissing");
    cases.rejected_request("in-the-query", PRESENT, "It stands in the query.", reason, request);
    let request = Request::post(without(cases, "in-a-header")).header("clientstate", CLIENT_STATE);
    cases.rejected_request("in-a-header", PRESENT, "It stands in a header.", reason, request);
    let text = cases.forge.vouched(cases.item("twice")).to_string();
    let member = format!("\"clientState\":\"{CLIENT_STATE}\"");
    let text = text.replace(&member, &format!("{member},\"clientState\":\"guessed\""));
    let attack = "It stands there twice, the right one first: for readers that check one and use the other.";
    cases.rejected("twice", EXACT, attack, "ClientStateWrong", text);
}

fn near_misses(cases: &mut Cases<'_>) {
    let right = CLIENT_STATE;
    let (first, rest) = right.split_at(1);
    let (start, last) = right.split_at(right.len() - 1);
    let one_case = right.replacen('f', "F", 1);
    for (name, attack, value) in [
        ("upper-case", "The right one in upper case.", right.to_uppercase()),
        ("lower-case", "The right one in lower case.", right.to_lowercase()),
        ("one-letter-in-other-case", "One letter is in the other case.", one_case),
        ("first-character-missing", "The first character is missing.", rest.to_owned()),
        ("last-character-missing", "The last character is missing.", start.to_owned()),
        ("first-character-only", "Only the first character is there.", first.to_owned()),
        ("last-character-only", "Only the last character is there.", last.to_owned()),
        ("first-character-changed", "The first character is another one.", format!("g{rest}")),
        ("last-character-changed", "The last character is another one.", format!("{start}R")),
        ("character-appended", "A character stands behind it.", format!("{right}A")),
        ("padded", "A base64 padding stands behind it.", format!("{right}=")),
        ("doubled", "It stands there twice in one text.", format!("{right}{right}")),
        ("reversed", "It stands there backwards.", right.chars().rev().collect()),
        ("space-before", "A space stands before it.", format!(" {right}")),
        ("space-behind", "A space stands behind it.", format!("{right} ")),
        ("line-break-behind", "A line break stands behind it.", format!("{right}\n")),
        ("nul-behind", "A NUL stands behind it, for readers that end there.", format!("{right}\0guessed")),
        ("byte-order-mark-before", "A byte order mark stands before it.", format!("\u{feff}{right}")),
        ("invisible-character-inside", "A zero-width space stands in it.", format!("{first}\u{200b}{rest}")),
        ("look-alike-letter", "The letter c is the Cyrillic one.", right.replace('c', "\u{441}")),
        ("full-width-letter", "A letter is the full-width one.", right.replacen('f', "\u{ff46}", 1)),
        ("quoted", "It stands in quotation marks.", format!("\"{right}\"")),
        ("percent-encoded", "A hyphen is percent-encoded.", right.replace('-', "%2D")),
        ("standard-base64", "The hyphen is the plus sign of the other base64 alphabet.", right.replace('-', "+")),
    ] {
        let item = cases.item_with(name, &json!({"clientState": value}));
        add(cases, name, EXACT, attack, "ClientStateWrong", item);
    }
}

fn guesses(cases: &mut Cases<'_>) {
    for (name, attack, value) in [
        ("empty", "It is the empty text.", ""),
        ("white-space", "It is white space.", "   "),
        ("null-as-text", "It is the word null.", "null"),
        ("undefined-as-text", "It is the word undefined.", "undefined"),
        ("wildcard", "It is a wildcard.", "*"),
        ("pattern", "It is a pattern that fits everything.", "^.*$"),
        ("query-injection", "It is always true in a query.", "' OR '1'='1"),
        ("microsofts-sample", "It is the one of Microsoft's sample.", "secretClientValue"),
        ("name-of-the-secret", "It is the name under which the receiver keeps it.", "current"),
        ("subscription-id", "It is the subscription's id.", SUBSCRIPTION_ID),
        ("application-id", "It is the application's id.", CLIENT),
        ("tenant-id", "It is the tenant's id.", TENANT),
        (
            "another-installations",
            "It has the right form, but belongs to somebody else's subscription.",
            "q1W2e3R4t5Y6u7I8o9P0a1S2d3F4g5H6j7K8l9Z0x1C",
        ),
    ] {
        let item = cases.item_with(name, &json!({"clientState": value}));
        add(cases, name, EXACT, attack, "ClientStateWrong", item);
    }
    let item = cases.item_with("very-long", &json!({"clientState": "@@"}));
    let text = cases.forge.vouched(item).to_string();
    let (before, after) = text.split_once("@@").expect("the place is marked");
    let (before, after) = (before.to_owned(), after.to_owned());
    let body = Repeated { before, repeated: "A".to_owned(), times: 500_000, after };
    cases.rejected("very-long", EXACT, "It has half a million characters.", "ClientStateWrong", body);
}

/// Forged client states in the form of those that name their policy.
fn made(cases: &mut Cases<'_>) {
    let target = cases.forge.target;
    let right = target.made_client_state(TENANT, POLICY);
    let other = target.made_client_state(OTHER_TENANT, OTHER_POLICY);
    let by = |id: &str| {
        let key = json!({"id": id, "key": "A".repeat(43), "createdAt": "2026-11-23T09:00:00Z"});
        made_by(&key, TENANT, POLICY)
    };
    let (named, tag) = right.rsplit_once('.').expect("a made client state has points");
    let (named_other, _) = other.rsplit_once('.').expect("a made client state has points");
    for (name, attack, value) in [
        ("made-by-another-key", "It is made by another key under the same name.", by("corpus")),
        ("made-by-a-key-of-another-name", "It is made by a key that the receiver does not have.", by("forger")),
        (
            "made-for-another-policy",
            "It names another policy, under the HMAC of the right one.",
            format!("{named_other}.{tag}"),
        ),
        ("made-without-hmac", "The HMAC is missing.", format!("{named}.")),
        ("made-with-half-the-hmac", "Half of the HMAC is missing.", right[..right.len() - 22].to_owned()),
        ("made-in-another-version", "It names another version of its form.", right.replacen('1', "2", 1)),
        ("made-and-padded", "A base64 padding stands behind it.", format!("{right}=")),
    ] {
        let item = cases.item_with(name, &json!({"clientState": value}));
        add(cases, name, EXACT, attack, "ClientStateWrong", item);
    }
}

fn add(cases: &mut Cases<'_>, name: &str, rule: &str, attack: &str, reason: &str, item: Value) {
    let body = cases.forge.vouched(item);
    cases.rejected(name, rule, attack, reason, body);
}

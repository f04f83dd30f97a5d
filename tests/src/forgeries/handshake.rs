//! Abuse of the endpoint validation, which nothing authenticates.

use super::case::{Expectation, Group, Request};
use super::forge::{Cases, Forge};

const TEXT: &str = "The endpoint validation echoes one token of moderate length, once decoded, as plain text; what a browser could take \
    for more gets status 400 (\"Receive change notifications through webhooks\").";
const ALONE: &str = "The endpoint validation answers and does nothing else: whatever comes with it is not read.";
const QUERY: &str = "The endpoint validation's token stands in the query, in validationToken.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "The endpoint validation's echo is turned against somebody else, or used to get past the checks.";
    let mut cases = Cases::new(forge, "handshake", about);
    suspicious(&mut cases);
    no_handshakes(&mut cases);
    echoed(&mut cases);
    cases.done()
}

fn handshake(query: &str) -> Request {
    Request::post("").query(query).header("content-type", "text/plain; charset=utf-8")
}

fn suspicious(cases: &mut Cases<'_>) {
    let too_long = "a".repeat(2049);
    for (name, attack, value) in [
        ("markup", "The token is a script.", "%3Cscript%3Ealert(911)%3C%2Fscript%3E"),
        ("markup-not-encoded", "The token is a script, and not encoded.", "<script>alert(911)</script>"),
        ("opening-bracket", "The token begins as markup does.", "%3Cb"),
        ("closing-bracket", "The token ends as markup does.", "b%3E"),
        ("quotation-mark", "The token ends an attribute.", "%22onload%3Dalert(911)"),
        ("entity", "The token is an entity.", "%26lt%3Bscript%26gt%3B"),
        ("nul", "The token has a NUL in it.", "a%00b"),
        ("header", "The token writes a header.", "a%0D%0ASet-Cookie%3A+a%3Db"),
        ("line-break", "The token writes a line.", "a%0Ab"),
        ("tabulator", "The token has a tabulator in it.", "a%09b"),
        ("escape", "The token commands a terminal.", "%1B%5D0%3B911%07"),
        ("delete", "The token deletes a character.", "a%7F"),
        ("next-line", "The token has a control character beyond ASCII.", "a%C2%85b"),
        ("no-utf-8", "The token is no text in UTF-8.", "%FF%FE"),
        ("overlong", "The token has a bracket in a form that UTF-8 forbids.", "%C0%BCscript%C0%BE"),
        ("utf-7", "The token is markup in UTF-7, beside a bracket.", "%2BADw-script%2BAD4-%3C"),
        ("empty", "The token is empty.", ""),
        ("too-long", "The token has more than two thousand characters.", &too_long),
    ] {
        cases.add(name, TEXT, attack, handshake(&format!("validationToken={value}")), Expectation::refused());
        cases.own();
    }
    for (name, attack, query) in [
        ("twice", "There are two tokens, the second a script.", "validationToken=a&validationToken=%3Cscript%3E"),
        ("twice-alike", "There are two tokens of the same text.", "validationToken=a&validationToken=a"),
        ("name-encoded", "The parameter's name is encoded, the token a script.", "validation%54oken=%3Cscript%3E"),
        (
            "behind-another-parameter",
            "The token is a script behind another parameter.",
            "a=b&validationToken=%3Cscript%3E",
        ),
        ("without-value", "The parameter has no value.", "validationToken"),
    ] {
        cases.add(name, TEXT, attack, handshake(query), Expectation::refused());
        cases.own();
    }
}

fn no_handshakes(cases: &mut Cases<'_>) {
    for (name, attack, query) in [
        ("name-of-a-list", "The parameter's name is that of a list.", "validationToken[]=a"),
        ("name-goes-on", "The parameter's name goes on.", "validationToken2=a"),
        ("in-a-value", "The parameter is another one's value.", "a=validationToken%3Da"),
        ("behind-a-semicolon", "The parameter stands behind a semicolon.", "a=b;validationToken=c"),
        ("encoded-twice", "The parameter's name is encoded twice.", "validation%2554oken=a"),
    ] {
        cases.add(name, QUERY, attack, handshake(query), Expectation::refused());
    }
    let request = Request::post("validationToken=a").header("content-type", "application/x-www-form-urlencoded");
    cases.add("in-the-body", QUERY, "The token stands in the body.", request, Expectation::refused());
    let request = handshake("").header("validationtoken", "a");
    cases.add("in-a-header", QUERY, "The token stands in a header.", request, Expectation::refused());
}

fn echoed(cases: &mut Cases<'_>) {
    let echo = |body: &str| Expectation { status: vec![200], body: body.to_owned(), ..Expectation::refused() };
    for (name, attack, query, body) in [
        (
            "markup-encoded-twice",
            "The token is a script, encoded twice: decoded once it is harmless.",
            "validationToken=%253Cscript%253E",
            "%3Cscript%3E",
        ),
        (
            "plus-encoded",
            "The token has a plus sign, encoded: decoded once it stays one.",
            "validationToken=a%2Bb",
            "a+b",
        ),
        (
            "name-in-lower-case",
            "None: the parameter's name is in lower case, as some gateways write it.",
            "validationtoken=a",
            "a",
        ),
    ] {
        cases.add(name, TEXT, attack, handshake(query), echo(body));
    }
    let body = cases.forge.vouched(cases.item("with-a-call"));
    let request = Request::post(body).query("validationToken=911");
    cases.add("with-a-call", ALONE, "A genuine call comes as the request's body.", request, echo("911"));
    let mut item = cases.item("with-a-forged-call");
    item["clientState"] = serde_json::json!("guessed");
    let request = Request::post(serde_json::json!({"value": [item]})).query("validationToken=911");
    cases.add("with-a-forged-call", ALONE, "A forged call comes as the request's body.", request, echo("911"));
}

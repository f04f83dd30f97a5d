//! Genuine notifications in requests that are not Graph's.

use super::case::{Expectation, Group, Request};
use super::forge::{Cases, Forge, guid};

const METHOD: &str =
    "Only POST delivers. Where a gateway stands in front, it may answer 404 or 405 in the receiver's place.";
const FORM: &str = "The body is JSON, whatever the headers call it.";
const AS_IT_IS: &str = "A genuine body alerts, whatever the headers call it.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "The body is a genuine notification, or holds one; the request around it is not one of Graph's.";
    let mut cases = Cases::new(forge, "request", about);
    for method in ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let name = method.to_lowercase();
        let request = Request::post(forge.vouched(cases.item(&name))).method(method);
        unserved(&mut cases, &name, &format!("The method is {method}."), request);
    }
    let request = Request::post("").method("GET").query("validationToken=911");
    unserved(&mut cases, "get-handshake", "The method of an endpoint validation is GET.", request);
    for (name, header) in [("override", "x-http-method-override"), ("override-short", "x-method-override")] {
        let request = Request::post(forge.vouched(cases.item(name))).method("GET").header(header, "POST");
        unserved(&mut cases, name, "The method is GET, and a header says POST.", request);
    }
    for (name, attack, content_type, before, after) in [
        (
            "multipart",
            "The notification is a part of a form.",
            "multipart/form-data; boundary=x",
            "--x\r\ncontent-disposition: form-data; name=\"value\"\r\n\r\n",
            "\r\n--x--\r\n",
        ),
        ("form", "The notification is a field of a form.", "application/x-www-form-urlencoded", "body=", ""),
        ("event-stream", "The notification is an event of a stream.", "text/event-stream", "data: ", "\n\n"),
    ] {
        let body = format!("{before}{}{after}", forge.vouched(cases.item(name)));
        let request = Request::post(body).header("content-type", content_type);
        cases.add(name, FORM, attack, request, Expectation::refused());
    }
    let name = "content-encoding";
    let request = Request::post(forge.vouched(cases.item(name))).header("content-encoding", "gzip");
    let attack = "A header says that the body is in gzip, which it is not.";
    cases.add(name, AS_IT_IS, attack, request, Expectation::alert(&guid(&cases.id(name))));
    cases.own();
    cases.done()
}

fn unserved(cases: &mut Cases<'_>, name: &str, attack: &str, request: Request) {
    let expect = Expectation { status: vec![400, 404, 405], ..Expectation::refused() };
    cases.add(name, METHOD, attack, request, expect);
}

//! What people read has no links but our own: nothing that comes with a call can be clicked.

use std::fs;
use std::path::Path;
use std::sync::LazyLock;

use emergency_alert::{Alert, Combined, Contradiction, DegradedReason, Language, Notification, Proof, Settings};
use proptest::collection::vec;
use proptest::prelude::*;
use regex::Regex;
use serde_json::{Value, json};

use crate::samples::{alert, call, microsoft, microsoft_with, notification, parsed};

/// What mail programs, chats and telephones link, each case of their documentation and habits as one pattern.
static LINKS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
    [
        // Any scheme with slashes, and those that do without.
        r"(?i)[a-z][a-z0-9+.-]*://?[^\s.]",
        r"(?i)(https?|ftp)[：﹕]//[^\s.]",
        r"(?i)\b(tel|mailto|sips?|sms|callto|skype|javascript|data|file|geo|market|intent|https?|ftp):[\p{L}\p{N}+/\\@_-]",
        r"(?i)\bwww[.．․﹒。｡][\p{L}\p{N}_-]",
        // A host name whose last label has at least two letters, in any script.
        r"[\p{L}\p{N}\p{M}\p{So}_-][.．․﹒]\p{L}[\p{L}\p{N}\p{M}-]",
        r"(?i)[a-z0-9_-][。｡][a-z][a-z0-9-]",
        // An address of IPv4.
        r"\b(?:(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\.){3}(?:25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])\b",
        // A share, which Outlook links.
        r"\\\\\w",
    ]
    .map(|pattern| Regex::new(pattern).unwrap())
    .into()
});

/// Fails if `text` has a link, `own` apart.
fn check_text(text: &str, own: Option<&str>) {
    let rest = own.map_or_else(|| text.to_owned(), |own| text.replace(own, ""));
    for line in rest.lines() {
        if let Some(link) = LINKS.iter().find_map(|pattern| pattern.find(line)) {
            panic!("{:?} is a link in {line:?}", link.as_str());
        }
    }
}

/// Fails if anything that people read has a link.
fn check(alert: &Alert) {
    let (email, sms, document) = (alert.email(), alert.sms(), alert.document());
    let own = document.facts.map_url.as_deref();
    check_text(&email.subject, own);
    check_text(&email.body, own);
    check_text(&document.chat.title, own);
    check_text(&document.chat.description, own);
    check_text(&document.incident.summary, own);
    check_text(document.facts.location.text.as_deref().unwrap_or_default(), own);
    // In Chinese this stands between the sentences of the message, where no space follows.
    check_text(&if document.language == "zh-Hans" { sms.replace('。', " ") } else { sms }, own);
    let combined = Combined::new(&[alert, alert]);
    let (email, sms) = (combined.email(), combined.sms());
    check_text(&email.subject, None);
    check_text(&email.body, None);
    check_text(&if document.language == "zh-Hans" { sms.replace('。', " ") } else { sms }, None);
}

/// Microsoft's example with `text` in every place that can hold one.
fn flooded(text: &str) -> Value {
    let mut document = microsoft();
    let event = &mut document["emergencyCallEvent"];
    for member in ["id", "callEventType", "emergencyNumberDialed", "policyName"] {
        event[member] = json!(text);
    }
    let info = &mut event["callerInfo"];
    for member in ["displayName", "upn", "phoneNumber"] {
        info[member] = json!(text);
    }
    info["location"]["displayName"] = json!(text);
    for member in ["street", "city", "state", "countryOrRegion", "postalCode"] {
        info["location"]["address"][member] = json!(text);
    }
    for member in ["companyName", "additionalInfo", "houseNumber", "county", "streetSuffix"] {
        info["location"]["address"]["additionalData"][member] = json!(text);
    }
    document
}

/// The alerts that show `text` wherever they can.
fn alerts(text: &str, language: Language) -> [Alert; 2] {
    let settings = Settings::parse("933", "America/Los_Angeles", language.tag(), "").unwrap();
    let notification = Notification {
        tenant_id: text.to_owned(),
        policy_name: text.to_owned(),
        call_id: Some(text.to_owned()),
        proof: Proof::TokenOnly,
        contradictions: vec![Contradiction::Tenant(text.to_owned()), Contradiction::Policy(text.to_owned())],
        ..notification()
    };
    [
        Alert::from_call(call(&flooded(text)), &notification, &settings),
        Alert::degraded(DegradedReason::Undecryptable, "f", &notification, &settings),
    ]
}

#[test]
fn nothing_that_comes_with_a_call_is_a_link() {
    for text in [
        "https://evil.example/911",
        "HTTPS://EVIL.EXAMPLE",
        "http://evil",
        "www.evil",
        "evil.example",
        "call evil.example/911?x=1#y now",
        "x.co/abc",
        "(evil.example)",
        "evil.example.",
        "evil.co.uk:8080",
        "eve@evil.example/x",
        "see eve@evil.example",
        "tel:+19005550199",
        "mailto:eve@evil.example?subject=x",
        "javascript:alert(1)",
        "msteams:/l/call",
        "10.0.0.1",
        "http://10.0.0.1/",
        "http://3232235777/",
        "\\\\evil\\share",
        "bücher.example",
        "пример.рф",
        "例子.中国",
        "xn--80ak6aa92e.xn--p1ai",
        "evil．example",
        "evil。example",
        "evil｡example",
        "evil․example",
        "ｅｖｉｌ．ｅｘａｍｐｌｅ",
        "evil.\u{fe0f}example",
        "evil\u{200b}.\u{200b}example",
        "evil.\u{ad}example",
        "❤.example",
        "[click](https://evil.example)",
        "<https://evil.example|click>",
        "https\u{200b}://evil.example",
    ] {
        for language in Language::ALL {
            alerts(text, language).iter().for_each(check);
        }
    }
}

#[test]
fn the_case_of_a_link_in_a_name() {
    let alert = alert(&microsoft_with("/callerInfo/displayName", json!("https://evil.example/911")));
    let document = alert.document();
    for text in [
        &alert.email().subject,
        &alert.email().body,
        &alert.sms(),
        &document.chat.title,
        &document.chat.description,
        &document.incident.summary,
    ] {
        assert!(!text.contains("https://evil.example") && text.contains("https: //evil. example/911"), "{text}");
    }
}

#[test]
fn machines_get_what_was_sent() {
    let text = "https://evil.example/911";
    let [alert, degraded] = alerts(text, Language::English);
    let document = parsed(&alert);
    for pointer in
        ["/caller/displayName", "/caller/upn", "/numberDialed", "/eventType", "/policyName", "/location/city"]
    {
        assert_eq!(document.pointer(pointer), Some(&json!(text)), "{pointer}");
    }
    assert_eq!(document["raw"], flooded(text));
    assert_eq!(parsed(&degraded)["policyName"], text);
    let attributes = alert.attributes();
    for name in ["eventType", "policyName", "numberDialed", "city"] {
        assert!(attributes.contains(&(name, text.to_owned())), "{name}");
    }
    assert!(attributes.contains(&("site", format!("{text} {text}"))), "{attributes:?}");
}

#[test]
fn accounts_and_our_own_link_stay_as_they_are() {
    let mut document = microsoft_with("/callerInfo/displayName", Value::Null);
    document["emergencyCallEvent"]["callerInfo"]["upn"] = json!("o'neil.j@contoso.co.uk");
    let alert = alert(&document);
    let shown = alert.document();
    let link = shown.facts.map_url.as_deref().unwrap();
    assert!(alert.email().body.contains(link) && shown.chat.description.contains(link));
    for text in [
        &alert.email().subject,
        &alert.email().body,
        &alert.sms(),
        &shown.chat.title,
        &shown.chat.description,
        &shown.incident.summary,
    ] {
        assert!(text.contains("o'neil.j@contoso.co.uk"), "{text}");
    }
}

/// The space that breaks a link belongs into no text that is none.
#[test]
fn the_usual_calls_look_as_they_did() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/calls");
    for name in ["started", "coordinates-only", "another-script", "right-to-left", "no-location"] {
        let file: Value = serde_json::from_slice(&fs::read(folder.join(format!("{name}.json"))).unwrap()).unwrap();
        let alert = alert(&file["document"]);
        let caller = &file["document"]["emergencyCallEvent"]["callerInfo"];
        check_text(&alert.email().body.replace(caller["upn"].as_str().unwrap(), ""), alert.facts().map_url.as_deref());
        for part in ["street", "city", "countryOrRegion"] {
            if let Some(part) = caller["location"]["address"][part].as_str() {
                assert!(alert.facts().location.text.as_deref().unwrap().contains(part), "{name}: {part}");
            }
        }
    }
}

/// Pieces of links and of what is around them, in any order.
fn hostile() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        6 => proptest::sample::select(vec![
            "evil", "example", "com", "co", "x", "www", "WWW", "https", "HTTP", "tel", "mailto", "ftp", "msteams", "xn--p1ai",
            "пример", "рф", "例子", "中国", "bücher", "é", "10", "0", "255", "256", "01", "911",
        ]),
        8 => proptest::sample::select(vec![
            ".", ".", ".", ".", "://", "//", ":", "/", "\\", "\\\\", "@", "．", "。", "｡", "․", "：", "-", "_", "]", "(", "?", "#",
        ]),
        2 => proptest::sample::select(vec![
            " ", "\n", "\u{200b}", "\u{200d}", "\u{fe0f}", "\u{ad}", "\u{301}", "\u{202e}", "❤", "🚒", "…", "*", "<", ">", "\"",
        ]),
    ];
    vec(piece, 1..16).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_text_becomes_a_link(text in hostile(), language in proptest::sample::select(Language::ALL.to_vec())) {
        // An account may look like one.
        prop_assume!(text.matches('@').count() != 1);
        alerts(&text, language).iter().for_each(check);
    }
}

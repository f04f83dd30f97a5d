//! Tokens that are written as no signed JSON Web Token is.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::case::{Group, Proof};
use super::forge::{Cases, Forge};
use super::target::TENANT;
use crate::simulator::notification;
use crate::simulator::tokens::TokenVersion;

const COMPACT: &str = "A token is a JSON Web Signature in its compact form: three parts in base64url without padding, and nothing \
    around them (RFC 7515, sections 2 and 7.1).";
const SHORT: &str = "A token has 16 KiB at most; Entra's have about 1.5.";
const OBJECTS: &str =
    "Header and claims are JSON objects with each member once (RFC 7515, section 4; RFC 7519, section 4).";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "In the token's place is what no reader may take for one. Where there is a signature, it is Entra's.";
    let mut cases = Cases::new(forge, "token-form", about);
    cases.holding(&[Proof::ClientState]);
    for (name, attack, reason, token) in [
        ("word", "It is a word.", "TokenNotAToken", "hello"),
        ("dots", "It is two dots.", "TokenHeader", ".."),
        ("letters", "It is three letters.", "TokenNotAToken", "a.b.c"),
    ] {
        cases.token(name, COMPACT, attack, reason, token);
    }
    parts(&mut cases);
    around(&mut cases);
    other_serialisations(&mut cases);
    objects(&mut cases);
    let mut claims = forge.claims(TokenVersion::V2, TENANT);
    claims["groups"] = json!("g".repeat(16 * 1024));
    let attack = "It has a claim that makes it longer than 16 KiB.";
    cases.token("over-16-kib", SHORT, attack, "TokenNotAToken", &forge.signed(&claims));
    cases.own();
    cases.done()
}

fn parts(cases: &mut Cases<'_>) {
    let token = cases.forge.token();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { return };
    for (name, attack, token) in [
        ("two-parts", "The signature is missing, with its dot.", format!("{header}.{claims}")),
        ("four-parts", "A part stands behind the signature.", format!("{token}.{signature}")),
        ("part-before", "An empty part stands before the header.", format!(".{token}")),
        ("empty-part-inside", "An empty part stands behind the header.", format!("{header}..{claims}.{signature}")),
        ("five-parts", "It has the five parts of an encrypted token.", format!("{token}.{signature}.{signature}")),
        ("claims-only", "It is the claims alone.", claims.to_owned()),
        ("look-alike-dot", "The dots are other characters that look like dots.", token.replace('.', "\u{2024}")),
        ("encoded-dots", "The dots are percent-encoded.", token.replace('.', "%2E")),
        ("colons", "Colons stand in the dots' place.", token.replace('.', ":")),
    ] {
        cases.token(name, COMPACT, attack, "TokenNotAToken", &token);
    }
    let token = format!(".{claims}.{signature}");
    cases.token("header-missing", COMPACT, "The header is empty.", "TokenHeader", &token);
}

fn around(cases: &mut Cases<'_>) {
    let token = cases.forge.token();
    let (signed, signature) = token.rsplit_once('.').expect("a token has dots");
    let bytes = URL_SAFE_NO_PAD.decode(signature).expect("a token is base64url");
    let standard = format!("{signed}.{}", STANDARD.encode(&bytes));
    for (name, attack, token) in [
        ("bearer", "It stands behind the word Bearer, as in a header.", format!("Bearer {token}")),
        ("quoted", "It stands in quotation marks.", format!("\"{token}\"")),
        ("space-before", "A space stands before it.", format!(" {token}")),
        ("line-break-behind", "A line break stands behind it.", format!("{token}\n")),
        ("line-break-inside", "A line break stands behind its header.", token.replacen('.', "\n.", 1)),
        ("padded", "A base64 padding stands behind it.", format!("{token}==")),
        ("standard-base64", "The signature is in the other base64 alphabet.", standard),
        ("two-in-one", "Two tokens stand in one text.", format!("{token},{token}")),
    ] {
        cases.token(name, COMPACT, attack, "TokenNotAToken", &token);
    }
}

fn other_serialisations(cases: &mut Cases<'_>) {
    let token = cases.forge.token();
    let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { return };
    let flattened = json!({"protected": header, "payload": claims, "signature": signature});
    let attack = "It is in the flattened JSON form, as text.";
    cases.token("json-form-as-text", COMPACT, attack, "TokenNotAToken", &flattened.to_string());
    let body = json!({"value": [cases.item("json-form")], "validationTokens": [flattened]});
    cases.rejected("json-form", COMPACT, "It is in the flattened JSON form.", "TokenNotAToken", body);
    let claims: Value = cases.forge.claims(TokenVersion::V2, TENANT);
    let attack = "It is the claims as text, not encoded.";
    cases.token("claims-as-text", COMPACT, attack, "TokenNotAToken", &claims.to_string());
    let mut nesting = cases.forge.header(TokenVersion::V2);
    nesting["cty"] = json!("JWT");
    let nested = cases.forge.signed_text(nesting.to_string().as_bytes(), token.as_bytes());
    cases.token("nested", OBJECTS, "Its claims are another token.", "TokenClaims", &nested);
    let tokens = [token.clone() + "x", "x".to_owned() + &token];
    let body = notification::collection(&[cases.item("spoiled-twice")], Some(&tokens));
    cases.rejected("spoiled-twice", COMPACT, "It stands there twice, spoiled in two ways.", "TokenNotAToken", body);
}

fn objects(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let claims = forge.claims(TokenVersion::V2, TENANT).to_string();
    let header = forge.header(TokenVersion::V2).to_string();
    let kid = &forge.target.signing.kid;
    for (name, attack, text) in [
        ("header-is-no-json", "The header is no JSON.", "RS256".to_owned()),
        ("header-is-a-list", "The header is a list of the right values.", json!(["RS256", kid]).to_string()),
        ("header-is-empty", "The header has no members.", "{}".to_owned()),
        ("header-twice", "The header is two objects.", header.repeat(2)),
        (
            "algorithm-twice",
            "The header names two algorithms, the right one last.",
            header.replacen('{', "{\"alg\":\"none\",", 1),
        ),
        (
            "algorithm-twice-right-one-first",
            "The header names two algorithms, the right one first.",
            header.replacen('}', ",\"alg\":\"none\"}", 1),
        ),
        ("key-twice", "The header names two keys, Entra's last.", header.replacen('{', "{\"kid\":\"mine\",", 1)),
    ] {
        cases.token(name, OBJECTS, attack, "TokenHeader", &forge.signed_text(text.as_bytes(), claims.as_bytes()));
    }
    let list: Vec<Value> = ["ver", "tid", "iss", "aud", "appid", "azp", "exp", "nbf"]
        .map(|name| forge.claims(TokenVersion::V2, TENANT)[name].clone())
        .into();
    let (before_publisher, publisher) = claims.split_once("\"azp\":\"").expect("the claims name the publisher");
    for (name, attack, text) in [
        ("claims-are-no-json", "The claims are no JSON.", b"aud=mine".to_vec()),
        ("claims-are-null", "The claims are null.", b"null".to_vec()),
        ("claims-are-empty", "There are no claims.", b"{}".to_vec()),
        ("claims-are-a-list", "The claims are a list of the right values.", json!(list).to_string().into_bytes()),
        ("claims-in-a-list", "The claims stand in a list.", format!("[{claims}]").into_bytes()),
        ("claims-twice", "The claims are two objects.", claims.repeat(2).into_bytes()),
        (
            "claims-are-no-utf-8",
            "A claim holds bytes that are no UTF-8.",
            [before_publisher.as_bytes(), b"\"azp\":\"\xff", publisher.as_bytes()].concat(),
        ),
        ("claims-are-utf-16", "The claims are in UTF-16.", claims.encode_utf16().flat_map(u16::to_le_bytes).collect()),
    ] {
        cases.token(name, OBJECTS, attack, "TokenClaims", &forge.signed_text(header.as_bytes(), &text));
    }
}

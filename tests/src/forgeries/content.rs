//! Authentic items whose content was spoiled: these alert, and say that they could not be read.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use openssl::hash::MessageDigest;
use openssl::symm::{Cipher, encrypt};
use serde_json::{Value, json};

use super::case::{Expectation, Group, Request};
use super::encoding::{oaep, pkcs1};
use super::forge::{Cases, Forge, change, guid, hmac};
use super::target::CERTIFICATE_ID;

const RULE: &str = "Content counts only if its HMAC-SHA256 under the unwrapped key is right and it decrypts with AES-256-CBC, the key's first half \
    as initialisation vector, to a JSON object (\"Set up change notifications that include resource data\"). Token and client state have \
    proven that a call was made: so it alerts, without the details, and nobody believes what the content says.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "Token and client state are right, so that the item is Graph's, but its content was spoiled. Here dropping the item \
        would be the error: each case raises one alert, which says that the call's details could not be read.";
    let mut cases = Cases::new(forge, "content", about);
    signatures(&mut cases);
    data(&mut cases);
    keys(&mut cases);
    members(&mut cases);
    documents(&mut cases);
    cases.done()
}

/// Sets members of the content of the case's item; null removes one.
fn add(cases: &mut Cases<'_>, name: &str, attack: &str, changes: &Value) {
    let mut item = cases.item(name);
    change(&mut item["encryptedContent"], changes);
    add_item(cases, name, attack, item);
}

fn add_item(cases: &mut Cases<'_>, name: &str, attack: &str, item: Value) {
    let request = Request::post(cases.forge.vouched(item));
    let expect = Expectation { degraded: true, ..Expectation::alert(&guid(&cases.id(name))) };
    cases.add(name, RULE, attack, request, expect);
}

/// The symmetric key and the ciphertext of the case's item.
fn sealed(cases: &Cases<'_>, name: &str) -> (Vec<u8>, Vec<u8>) {
    let data = cases.item(name)["encryptedContent"]["data"].as_str().map(|data| STANDARD.decode(data));
    let key = Forge::symmetric_key(&Forge::event(&cases.id(name)).id);
    (key, data.and_then(Result::ok).expect("sealed data is base64"))
}

fn signatures(cases: &mut Cases<'_>) {
    type Sign = fn(&[u8], &[u8]) -> Vec<u8>;
    let signatures: [(&str, &str, Sign); 9] = [
        ("hmac-empty", "The HMAC is empty.", |_, _| Vec::new()),
        ("hmac-zeros", "The HMAC is nothing but zeros.", |_, _| vec![0; 32]),
        ("hmac-truncated", "Half of the HMAC is missing.", |key, data| hmac(key, data)[..16].to_vec()),
        ("hmac-goes-on", "A byte stands behind the HMAC.", |key, data| [hmac(key, data), vec![0]].concat()),
        ("hmac-first-bit", "The first byte of the HMAC is another one.", |key, data| {
            let mut signature = hmac(key, data);
            signature[0] ^= 1;
            signature
        }),
        ("hmac-last-bit", "The last byte of the HMAC is another one.", |key, data| {
            let mut signature = hmac(key, data);
            signature[31] ^= 1;
            signature
        }),
        ("hmac-over-the-text", "The HMAC is over the data's base64.", |key, data| {
            hmac(key, STANDARD.encode(data).as_bytes())
        }),
        ("hmac-with-half-the-key", "The HMAC is made with half of the key.", |key, data| hmac(&key[..16], data)),
        ("hmac-with-empty-key", "The HMAC is made with an empty key.", |_, data| hmac(b"", data)),
    ];
    for (name, attack, sign) in signatures {
        let (key, data) = sealed(cases, name);
        add(cases, name, attack, &json!({"dataSignature": STANDARD.encode(sign(&key, &data))}));
    }
}

fn data(cases: &mut Cases<'_>) {
    type Spoil = fn(Vec<u8>) -> Vec<u8>;
    let spoilers: [(&str, &str, Spoil); 6] = [
        ("data-first-bit", "The first byte of the data is another one.", |mut data| {
            data[0] ^= 1;
            data
        }),
        ("data-last-bit", "The last byte of the data is another one.", |mut data| {
            let last = data.len() - 1;
            data[last] ^= 1;
            data
        }),
        ("data-without-last-block", "The last block of the data is missing.", |data| data[..data.len() - 16].to_vec()),
        ("data-without-first-block", "The first block of the data is missing.", |data| data[16..].to_vec()),
        ("data-of-odd-length", "The last byte of the data is missing.", |data| data[..data.len() - 1].to_vec()),
        ("data-twice", "The data stand there twice.", |data| data.repeat(2)),
    ];
    for (name, attack, spoil) in spoilers {
        let (_, data) = sealed(cases, name);
        add(cases, name, attack, &json!({"data": STANDARD.encode(spoil(data))}));
    }
    // With a right HMAC, as who has the certificate can make it.
    let signed = |key: &[u8], data: &[u8]| json!({"data": STANDARD.encode(data), "dataSignature": STANDARD.encode(hmac(key, data))});
    for (name, attack, length) in [
        ("data-empty", "There is no data, under a right HMAC.", 0),
        ("data-of-fifteen-bytes", "The data are less than a block, under a right HMAC.", 15),
        ("data-with-bad-padding", "The data's padding is wrong, under a right HMAC.", 32),
    ] {
        let (key, _) = sealed(cases, name);
        add(cases, name, attack, &signed(&key, &vec![7; length]));
    }
    for (name, attack, iv) in [
        ("vector-of-zeros", "The initialisation vector is nothing but zeros, under a right HMAC.", 0..0),
        ("vector-of-second-half", "The initialisation vector is the key's second half, under a right HMAC.", 16..32),
    ] {
        let (key, _) = sealed(cases, name);
        let vector = if iv.is_empty() { vec![0; 16] } else { key[iv].to_vec() };
        let document = Forge::document(&Forge::event(&cases.id(name)));
        let data = encrypt(Cipher::aes_256_cbc(), &key, Some(&vector), document.as_bytes());
        add(cases, name, attack, &signed(&key, &data.expect("OpenSSL encrypts a text")));
    }
}

fn keys(cases: &mut Cases<'_>) {
    let target = cases.forge.target;
    let ours = &target.encryption;
    let wrapped = |pair, key: &[u8], digest| oaep(pair, key, digest, b"seed").expect("OpenSSL wraps a key");
    let sha1 = MessageDigest::sha1();
    let other = Forge::symmetric_key("another");
    let own = |cases: &Cases<'_>, name| sealed(cases, name).0;
    let pkcs1_padded = pkcs1(ours, &own(cases, "key-with-old-padding")).expect("OpenSSL wraps a key");
    let by_sha256 = wrapped(ours, &own(cases, "key-with-sha-256"), MessageDigest::sha256());
    let for_another = wrapped(&target.other_encryption, &own(cases, "key-for-another-certificate"), sha1);
    let short = wrapped(ours, &own(cases, "key-too-short")[..16], sha1);
    let long = wrapped(ours, &[&own(cases, "key-too-long")[..], &[0]].concat(), sha1);
    for (name, attack, key) in [
        ("key-of-another-item", "The wrapped key is another item's.", wrapped(ours, &other, sha1)),
        ("key-with-old-padding", "The key is wrapped with PKCS#1 v1.5.", pkcs1_padded),
        ("key-with-sha-256", "The key is wrapped with OAEP by SHA-256.", by_sha256),
        ("key-for-another-certificate", "The key is wrapped for another certificate of the receiver's.", for_another),
        ("key-too-short", "The key has 16 bytes.", short),
        ("key-too-long", "The key has 33 bytes.", long),
        ("key-empty", "The key has no bytes.", wrapped(ours, b"", sha1)),
        ("key-not-wrapped", "The key is not wrapped.", own(cases, "key-not-wrapped")),
        ("key-of-zeros", "The wrapped key is nothing but zeros.", vec![0; 256]),
        ("key-missing-a-byte", "The wrapped key has a byte too few.", wrapped(ours, &other, sha1)[1..].to_vec()),
    ] {
        add(cases, name, attack, &json!({"dataKey": STANDARD.encode(key)}));
    }
    let name = "certificate-lost";
    let event = Forge::event(&cases.id(name));
    let document = Forge::document(&event);
    let lost = Forge::sealed_for(&target.lost_encryption, "corpus-0", document.as_bytes(), &event.id);
    add_item(
        cases,
        name,
        "The certificate is one whose key the receiver does not have.",
        Forge::item_with(&event, &lost),
    );
    let name = "certificate-under-another-id";
    let event = Forge::event(&cases.id(name));
    let lost =
        Forge::sealed_for(&target.lost_encryption, CERTIFICATE_ID, Forge::document(&event).as_bytes(), &event.id);
    let attack = "The certificate is one whose key the receiver does not have, under the id of another.";
    add_item(cases, name, attack, Forge::item_with(&event, &lost));
}

fn members(cases: &mut Cases<'_>) {
    for (name, attack, changes) in [
        ("data-missing", "The data are missing.", json!({"data": null})),
        ("signature-missing", "The HMAC is missing.", json!({"dataSignature": null})),
        ("key-missing", "The wrapped key is missing.", json!({"dataKey": null})),
        ("data-number", "The data are a number.", json!({"data": 911})),
        ("signature-in-a-list", "The HMAC is a list.", json!({"dataSignature": ["AA=="]})),
        ("key-object", "The wrapped key is an object.", json!({"dataKey": {}})),
        ("data-is-no-base64", "The data are no base64.", json!({"data": "911!"})),
        ("signature-is-no-base64", "The HMAC is no base64.", json!({"dataSignature": "911!"})),
        ("key-is-no-base64", "The wrapped key is no base64.", json!({"dataKey": "911!"})),
    ] {
        add(cases, name, attack, &changes);
    }
    for (name, attack, content) in [
        ("missing", "There is no content.", json!(null)),
        ("is-text", "The content is a text.", json!("content")),
        ("is-a-list", "The content is a list.", json!([])),
    ] {
        let item = cases.item_with(name, &json!({ "encryptedContent": content }));
        add_item(cases, name, attack, item);
    }
}

fn documents(cases: &mut Cases<'_>) {
    for (name, attack, document) in [
        ("document-empty", "The document is empty.", &b""[..]),
        ("document-is-no-json", "The document is no JSON.", b"911"),
        ("document-is-text", "The document is a JSON text.", b"\"911\""),
        ("document-is-null", "The document is null.", b"null"),
        ("document-is-a-list", "The document is a list.", b"[{}]"),
        ("document-truncated", "The document is cut off.", b"{\"emergencyCallEv"),
        ("document-is-a-program", "The document is a program.", b"\x7fELF\x02\x01\x01\0"),
    ] {
        let event = Forge::event(&cases.id(name));
        let content = cases.forge.sealed(document, &event.id);
        let item = Forge::item_with(&event, &content);
        add_item(cases, name, attack, item);
    }
}

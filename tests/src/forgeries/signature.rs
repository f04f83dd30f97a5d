//! Attacks on a token's algorithm, key and signature. What the tokens claim is right.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use openssl::hash::{MessageDigest, hash};
use openssl::rsa::Padding;
use serde_json::{Value, json};

use super::case::{Group, Proof};
use super::encoding::pss;
use super::forge::{Cases, Forge, change, hmac, join, rs256, rsa_signature, with_signature};
use super::target::TENANT;
use crate::simulator::tokens::TokenVersion;

const PINNED: &str = "The algorithm is RS256, whatever the header asks for (RFC 8725, section 3.1).";
const CRITICAL: &str =
    "A token whose header demands an extension that the reader does not know is rejected (RFC 7515, section 4.1.11).";
const PUBLISHED: &str = "The key is the one that Entra publishes under the header's kid; nothing in the token brings or locates a key \
    (\"Access tokens in the Microsoft identity platform\").";
const OWN_KEYS: &str = "A key that Entra publishes for one tenant signs for no other.";
const SIGNED: &str = "The signature is the key's, over the header and claims that are read.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "The token claims what it must, but Entra did not sign it, or not like this.";
    let mut cases = Cases::new(forge, "token-signature", about);
    cases.holding(&[Proof::ClientState]);
    no_algorithm(&mut cases);
    public_key_as_secret(&mut cases);
    other_algorithms(&mut cases);
    critical(&mut cases);
    keys(&mut cases);
    brought_keys(&mut cases);
    signatures(&mut cases);
    paddings(&mut cases);
    cases.done()
}

/// Entra's header with changes, and Entra's claims.
fn parts(cases: &Cases<'_>, changes: &Value) -> String {
    let mut header = cases.forge.header(TokenVersion::V2);
    change(&mut header, changes);
    let claims = cases.forge.claims(TokenVersion::V2, TENANT);
    join(header.to_string().as_bytes(), claims.to_string().as_bytes())
}

fn no_algorithm(cases: &mut Cases<'_>) {
    for (name, alg) in
        [("none", "none"), ("none-in-upper-case", "NONE"), ("none-in-mixed-case", "nOnE"), ("no-name", "")]
    {
        let attack = format!("The algorithm is \"{alg}\", and there is no signature.");
        let token = with_signature(&parts(cases, &json!({"alg": alg})), b"");
        cases.token(name, PINNED, &attack, "TokenAlgorithm", &token);
    }
    let token = cases.forge.token();
    let (_, signature) = token.rsplit_once('.').expect("a token has dots");
    let unsigned = parts(cases, &json!({"alg": "none"}));
    let attack = "The algorithm is \"none\", and the signature that of a genuine token.";
    cases.token("none-with-signature", PINNED, attack, "TokenAlgorithm", &format!("{unsigned}.{signature}"));
    for (name, attack, changes) in [
        ("algorithm-missing", "The header names no algorithm.", json!({"alg": null})),
        ("algorithm-in-a-list", "The algorithm is a list.", json!({"alg": ["RS256"]})),
    ] {
        let signed = parts(cases, &changes);
        let token = with_signature(&signed, &rs256(&cases.forge.target.signing.pair, signed.as_bytes()));
        cases.token(name, PINNED, attack, "TokenHeader", &token);
    }
}

fn public_key_as_secret(cases: &mut Cases<'_>) {
    let signing = &cases.forge.target.signing;
    let public = signing.public_key();
    let pem = public.public_key_to_pem().expect("a public key has a PEM form");
    let der = public.public_key_to_der().expect("a public key has a DER form");
    let rsa_pem = public.rsa().and_then(|rsa| rsa.public_key_to_pem_pkcs1()).expect("a public key has a PKCS#1 form");
    let certificate = signing.pair.certificate.to_pem().expect("a certificate has a PEM form");
    let jwk = signing.jwk(None);
    let modulus = jwk["n"].as_str().unwrap_or_default();
    let raw = URL_SAFE_NO_PAD.decode(modulus).expect("a modulus is base64url");
    for (name, secret, key) in [
        ("hmac-with-public-key", "PEM form of Entra's public key", pem.clone()),
        (
            "hmac-with-public-key-trimmed",
            "PEM form of Entra's public key without its last line break",
            pem.trim_ascii_end().to_vec(),
        ),
        ("hmac-with-public-key-in-der", "DER form of Entra's public key", der),
        ("hmac-with-rsa-public-key", "PKCS#1 form of Entra's public key", rsa_pem),
        ("hmac-with-certificate", "PEM form of Entra's certificate", certificate),
        ("hmac-with-x5c", "base64 of Entra's certificate", signing.pair.certificate_base64().into_bytes()),
        ("hmac-with-modulus-text", "text of the modulus of Entra's key", modulus.as_bytes().to_vec()),
        ("hmac-with-modulus", "modulus of Entra's key", raw),
        ("hmac-with-empty-key", "empty text", Vec::new()),
        ("hmac-with-key-id", "key's id", signing.kid.clone().into_bytes()),
    ] {
        let signed = parts(cases, &json!({"alg": "HS256"}));
        let token = with_signature(&signed, &hmac(&key, signed.as_bytes()));
        let attack = format!("The algorithm is HS256, and the secret the {secret}.");
        cases.token(name, PINNED, &attack, "TokenAlgorithm", &token);
    }
}

fn other_algorithms(cases: &mut Cases<'_>) {
    let pair = &cases.forge.target.signing.pair;
    for (name, alg, digest) in [
        ("rs384", "RS384", MessageDigest::sha384()),
        ("rs512", "RS512", MessageDigest::sha512()),
        ("rs1", "RS1", MessageDigest::sha1()),
        ("lower-case", "rs256", MessageDigest::sha256()),
        ("space-behind", "RS256 ", MessageDigest::sha256()),
        ("look-alike", "R\u{405}256", MessageDigest::sha256()),
    ] {
        let signed = parts(cases, &json!({"alg": alg}));
        let token = with_signature(&signed, &rsa_signature(pair, signed.as_bytes(), digest));
        let attack = format!("The algorithm is \"{alg}\", and the signature right for that.");
        cases.token(name, PINNED, &attack, "TokenAlgorithm", &token);
    }
    let signed = parts(cases, &json!({"alg": "PS256"}));
    let token = with_signature(&signed, &pss(pair, signed.as_bytes()).expect("OpenSSL signs a text"));
    cases.token("ps256", PINNED, "The algorithm is PS256, and the signature right for that.", "TokenAlgorithm", &token);
    for (name, alg) in [("es256-of-zeros", "ES256"), ("eddsa-of-zeros", "EdDSA")] {
        let token = with_signature(&parts(cases, &json!({"alg": alg})), &[0; 64]);
        let attack =
            format!("The algorithm is {alg}, and the signature nothing but zeros, which broken libraries accept.");
        cases.token(name, PINNED, &attack, "TokenAlgorithm", &token);
    }
}

fn critical(cases: &mut Cases<'_>) {
    for (name, attack, changes) in [
        (
            "critical-extension",
            "It is critical to know an extension that nobody knows.",
            json!({"crit": ["x"], "x": 1}),
        ),
        ("critical-expiry", "It is critical to know 'exp' in the header.", json!({"crit": ["exp"], "exp": 1})),
        (
            "critical-unencoded",
            "It is critical that the claims are not encoded.",
            json!({"crit": ["b64"], "b64": false}),
        ),
        ("critical-empty", "The list of critical extensions is empty, which no token may have.", json!({"crit": []})),
    ] {
        let signed = parts(cases, &changes);
        let token = with_signature(&signed, &rs256(&cases.forge.target.signing.pair, signed.as_bytes()));
        cases.token(name, CRITICAL, attack, "TokenCriticalHeader", &token);
    }
}

fn keys(cases: &mut Cases<'_>) {
    let target = cases.forge.target;
    let token = |cases: &Cases<'_>, kid: Value, pair| {
        let signed = parts(cases, &json!({ "kid": kid }));
        with_signature(&signed, &rs256(pair, signed.as_bytes()))
    };
    let swapped: String = target
        .signing
        .kid
        .chars()
        .map(|c| if c.is_lowercase() { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() })
        .collect();
    for (name, attack, kid) in [
        ("forgers-own-key", "The key is the forger's, under its own id.", target.forger.kid.as_str()),
        ("key-id-in-other-case", "The key is the forger's, under the id of Entra's in the other case.", &swapped),
        ("key-id-is-a-path", "The key's id is the path of a file whose content is known.", "../../../../dev/null"),
        ("key-id-is-a-query", "The key's id is a part of a query.", "x' UNION SELECT 'key' --"),
        ("key-id-is-empty", "The key's id is empty.", ""),
    ] {
        let token = token(cases, json!(kid), &target.forger.pair);
        cases.token(name, PUBLISHED, attack, "TokenUnknownKey", &token);
    }
    for (name, attack, kid) in [
        ("no-key-id", "The header names no key.", json!(null)),
        ("key-id-is-a-number", "The key's id is a number, perhaps a place in a list.", json!(0)),
        ("key-id-in-a-list", "The key's id is a list.", json!([target.signing.kid])),
    ] {
        let token = token(cases, kid, &target.forger.pair);
        cases.token(name, PUBLISHED, attack, "TokenHeader", &token);
    }
    for (name, attack, key, reason) in [
        (
            "key-of-another-tenant",
            "The key is one that Entra publishes for another tenant.",
            &target.other_tenants_signing,
            // The other tenant is watched, too: its keys say nothing of this one's, which are asked for.
            "TokenUnknownKey",
        ),
        (
            "key-of-personal-accounts",
            "The key is one that Entra publishes for personal accounts.",
            &target.consumers_signing,
            "TokenKeyIssuer",
        ),
    ] {
        let token = token(cases, json!(key.kid), &key.pair);
        cases.token(name, OWN_KEYS, attack, reason, &token);
    }
    let token = token(cases, json!(target.signing.kid), &target.consumers_signing.pair);
    let attack = "The key is the one for personal accounts, under the id of the one for all tenants.";
    cases.token("key-under-another-id", SIGNED, attack, "TokenSignature", &token);
}

fn brought_keys(cases: &mut Cases<'_>) {
    let forger = &cases.forge.target.forger;
    let certificate = forger.pair.certificate_base64();
    for (name, attack, changes) in [
        ("brings-its-key", "The header brings the forger's key.", json!({"jwk": forger.jwk(None)})),
        ("brings-its-certificate", "The header brings the forger's certificate.", json!({"x5c": [certificate]})),
        (
            "says-where-its-keys-are",
            "The header says where the forger's keys are.",
            json!({"jku": "https://forger.example/keys"}),
        ),
        (
            "says-where-its-certificate-is",
            "The header says where the forger's certificate is.",
            json!({"x5u": "https://forger.example/certificate"}),
        ),
        (
            "says-its-thumbprint",
            "The header has the thumbprint of the forger's certificate.",
            json!({"x5t": forger.kid}),
        ),
    ] {
        let signed = parts(cases, &changes);
        let token = with_signature(&signed, &rs256(&forger.pair, signed.as_bytes()));
        cases.token(name, PUBLISHED, attack, "TokenSignature", &token);
    }
}

fn signatures(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let token = forge.token();
    let (signed, signature) = token.rsplit_once('.').expect("a token has dots");
    let signature = URL_SAFE_NO_PAD.decode(signature).expect("a token is base64url");
    let (mut first, mut last) = (signature.clone(), signature.clone());
    first[0] ^= 1;
    last[255] ^= 1;
    let forged = rs256(&forge.target.forger.pair, signed.as_bytes());
    let (header, _) = signed.split_once('.').expect("a token has dots");
    let other = rs256(&forge.target.signing.pair, b"another text");
    let of_header = rs256(&forge.target.signing.pair, header.as_bytes());
    for (name, attack, bytes) in [
        ("forged", "The signature is the forger's.", forged),
        ("empty", "There is no signature.", Vec::new()),
        ("zeros", "The signature is nothing but zeros.", vec![0; 256]),
        ("first-bit-changed", "The first byte of the signature is another one.", first),
        ("last-bit-changed", "The last byte of the signature is another one.", last),
        ("truncated", "The last byte of the signature is missing.", signature[..255].to_vec()),
        ("half", "Half of the signature is missing.", signature[..128].to_vec()),
        ("zero-before", "A zero stands before the signature.", [&[0], &signature[..]].concat()),
        ("zero-behind", "A zero stands behind the signature.", [&signature[..], &[0]].concat()),
        ("of-another-text", "The signature is Entra's under another text.", other),
        ("of-the-header", "The signature is Entra's under the header alone.", of_header),
        ("one", "The signature is the number one, whose powers are all one.", [vec![0; 255], vec![1]].concat()),
    ] {
        cases.token(&format!("signature-{name}"), SIGNED, attack, "TokenSignature", &with_signature(signed, &bytes));
    }
    let claims = forge.claims(TokenVersion::V2, TENANT).to_string().replace("\"exp\":41", "\"exp\":40");
    let changed =
        with_signature(&join(forge.header(TokenVersion::V2).to_string().as_bytes(), claims.as_bytes()), &signature);
    cases.token("claims-changed", SIGNED, "A claim was changed after signing.", "TokenSignature", &changed);
    let header = parts(cases, &json!({"typ": "at+jwt"}));
    let changed = with_signature(&header, &signature);
    cases.token("header-changed", SIGNED, "The header was changed after signing.", "TokenSignature", &changed);
}

fn paddings(cases: &mut Cases<'_>) {
    let pair = &cases.forge.target.signing.pair;
    let signed = parts(cases, &json!({}));
    let message = signed.as_bytes();
    let (header, claims) = signed.split_once('.').expect("a token has dots");
    let unencoded = [header.as_bytes(), b".", &URL_SAFE_NO_PAD.decode(claims).expect("claims are base64url")].concat();
    let digest = hash(MessageDigest::sha256(), message).expect("OpenSSL computes a digest");
    let mut bare = vec![0; 256];
    let rsa = pair.private_key.rsa().expect("the pair is an RSA key");
    rsa.private_encrypt(&digest, &mut bare, Padding::PKCS1).expect("OpenSSL signs a digest");
    for (name, attack, signature) in [
        ("sha-384", "The signature is right for RS384.", rsa_signature(pair, message, MessageDigest::sha384())),
        ("sha-1", "The signature is right for SHA-1.", rsa_signature(pair, message, MessageDigest::sha1())),
        ("pss", "The signature is right for PS256.", pss(pair, message).expect("OpenSSL signs a text")),
        ("bare-digest", "The signature is of the digest without its algorithm's name.", bare),
        ("unencoded-claims", "The signature is over the claims before they were encoded.", rs256(pair, &unencoded)),
        ("digest-as-message", "The signature is of the digest as a message.", rs256(pair, &digest)),
        ("base64-of-itself", "The signature is the text of one.", STANDARD.encode(rs256(pair, message)).into_bytes()),
    ] {
        let attack = format!("The algorithm is RS256. {attack}");
        cases.token(
            &format!("padding-{name}"),
            SIGNED,
            &attack,
            "TokenSignature",
            &with_signature(&signed, &signature),
        );
    }
}

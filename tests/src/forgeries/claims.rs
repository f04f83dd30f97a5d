//! Tokens under Entra's own signature that are not Graph's, not for the receiver, or not for now.

use serde_json::{Value, json};

use super::case::{Group, Proof};
use super::forge::{Cases, Forge, changed};
use super::target::{CLIENT, OTHER_TENANT, STRANGE_TENANT, TENANT};
use crate::simulator::tokens::{PUBLISHER, TokenVersion, issuer_v1, issuer_v2};

const ISSUER: &str = "The issuer is letter for letter that of the tenant in tid, for a token of the version in ver: \
    https://sts.windows.net/{tid}/ for 1.0, {login}/{tid}/v2.0 for 2.0.";
const OWN_TENANT: &str = "The token's tenant is one that the receiver is set up for.";
const AUDIENCE: &str = "The token is for the receiver's application.";
const GRAPH: &str = "The token was issued to Graph's change notifications, application 0bf30f3b-4a52-48df-9a82-234910c4a086: in appid for \
    version 1.0, in azp for 2.0 (\"Set up change notifications that include resource data\"). Any app of a tenant can get a token \
    for the receiver's.";
const LETTER_FOR_LETTER: &str =
    "The audience is the application's id as one text, letter for letter as Entra writes it in validation tokens.";
const TIME: &str =
    "The token is neither expired nor of the future, five minutes allowed for; exp and nbf are whole numbers.";
const VERSION: &str = "The version is 1.0 or 2.0, and decides what issuer and publisher must be.";
const ONCE: &str = "A claim stands in a token once, under its own name (RFC 7519, section 4).";

/// When a token ended that is expired: a day before the corpus's time.
const YESTERDAY: i64 = 1_795_341_600;
/// When a token begins that is of the future: in the year 2099.
const FUTURE: i64 = 4_075_000_000;

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "Entra's signature is right, but the token is of another publisher, tenant, audience, version or time.";
    let mut cases = Cases::new(forge, "token-claims", about);
    cases.holding(&[Proof::ClientState]);
    issuers(&mut cases);
    tenants(&mut cases);
    audiences(&mut cases);
    other_spellings(&mut cases);
    publishers(&mut cases);
    times(&mut cases);
    versions(&mut cases);
    twice(&mut cases);
    cases.done()
}

/// A case whose token's claims are changed; null removes one.
fn add(cases: &mut Cases<'_>, version: TokenVersion, rule: &str, case: (&str, &str, &str), changes: &Value) {
    let (name, attack, reason) = case;
    let token = cases.forge.signed(&changed(&cases.forge.claims(version, TENANT), changes));
    cases.token(name, rule, attack, reason, &token);
}

fn issuers(cases: &mut Cases<'_>) {
    let login = cases.forge.target.login_endpoint.clone();
    let (v1, v2) = (issuer_v1(TENANT), issuer_v2(&login, TENANT));
    for (name, attack, issuer) in [
        ("issuer-v2-in-v1", "A token of version 1.0 has the issuer of version 2.0.", v2.clone()),
        ("issuer-v1-without-slash", "The slash at the end is missing.", v1.trim_end_matches('/').to_owned()),
        ("issuer-v1-http", "It begins with http.", v1.replace("https", "http")),
        ("issuer-v1-upper-case", "The host is in upper case.", v1.replace("sts.windows.net", "STS.WINDOWS.NET")),
        ("issuer-v1-port", "It names a port.", v1.replace(".net/", ".net:443/")),
        (
            "issuer-host-goes-on",
            "The host goes on: it begins as the right one.",
            v1.replace(".net/", ".net.forger.example/"),
        ),
        (
            "issuer-host-is-a-user",
            "The host is the name of a user of another.",
            v1.replace(".net/", ".net@forger.example/"),
        ),
        (
            "issuer-host-is-a-path",
            "The host is the path of another.",
            v1.replace("https://", "https://forger.example/"),
        ),
        ("issuer-in-a-query", "The right one is the query of another.", format!("https://forger.example/?{v1}")),
        ("issuer-path-goes-on", "The path goes on.", format!("{v1}forger")),
        ("issuer-look-alike", "The host has a look-alike letter.", v1.replace("windows", "w\u{456}ndows")),
        ("issuer-of-the-stranger", "It is the one of another tenant.", issuer_v1(STRANGE_TENANT)),
        ("issuer-of-the-other-tenant", "It is the one of the other tenant that is watched.", issuer_v1(OTHER_TENANT)),
        ("issuer-of-china", "It is the one of another cloud.", v1.replace("windows.net", "chinacloudapi.cn")),
        ("issuer-is-the-tenant", "It is the tenant's id alone.", TENANT.to_owned()),
        ("issuer-is-empty", "It is empty.", String::new()),
    ] {
        add(cases, TokenVersion::V1, ISSUER, (name, attack, "TokenIssuer"), &json!({"iss": issuer}));
    }
    for (name, attack, issuer) in [
        ("issuer-v1-in-v2", "A token of version 2.0 has the issuer of version 1.0.", v1),
        ("issuer-v2-with-slash", "A slash stands behind it.", format!("{v2}/")),
        ("issuer-v2-without-version", "The version is missing.", v2.replace("/v2.0", "")),
        ("issuer-common", "The tenant is 'common'.", issuer_v2(&login, "common")),
        ("issuer-organizations", "The tenant is 'organizations'.", issuer_v2(&login, "organizations")),
        ("issuer-template", "The tenant is left open, as in Entra's metadata.", issuer_v2(&login, "{tenantid}")),
        (
            "issuer-of-us-government",
            "It is the one of another cloud.",
            issuer_v2("https://login.microsoftonline.us", TENANT),
        ),
        (
            "issuer-steps-up",
            "The path steps from another tenant to the right one.",
            issuer_v2(&format!("{login}/{STRANGE_TENANT}/.."), TENANT),
        ),
    ] {
        add(cases, TokenVersion::V2, ISSUER, (name, attack, "TokenIssuer"), &json!({"iss": issuer}));
    }
    for (name, attack, issuer) in
        [("issuer-missing", "It is missing.", json!(null)), ("issuer-in-a-list", "It is a list.", json!([v2]))]
    {
        add(cases, TokenVersion::V2, ISSUER, (name, attack, "TokenClaims"), &json!({"iss": issuer}));
    }
}

fn tenants(cases: &mut Cases<'_>) {
    let strange = json!({"tid": STRANGE_TENANT});
    let case = (
        "tenant-strange",
        "The tenant is one that the receiver does not know; the issuer is the right one.",
        "TokenTenant",
    );
    add(cases, TokenVersion::V1, OWN_TENANT, case, &strange);
    let consumers = "9188040d-6c67-4c5b-b112-36a304b66dad";
    let case = ("tenant-of-personal-accounts", "The tenant is the one of personal accounts.", "TokenTenant");
    let issuer = issuer_v2(&cases.forge.target.login_endpoint, consumers);
    add(cases, TokenVersion::V2, OWN_TENANT, case, &json!({"tid": consumers, "iss": issuer}));
    for (name, attack, tenant) in [
        ("tenant-missing", "It is missing.", json!(null)),
        ("tenant-in-a-list", "It is a list.", json!([TENANT])),
        ("tenant-common", "It is 'common'.", json!("common")),
        ("tenant-empty", "It is empty.", json!("")),
        ("tenant-in-braces", "It stands in braces.", json!(format!("{{{TENANT}}}"))),
        ("tenant-without-hyphens", "It has no hyphens.", json!(TENANT.replace('-', ""))),
        ("tenant-by-domain", "It is a domain.", json!("contoso.com")),
    ] {
        add(cases, TokenVersion::V2, OWN_TENANT, (name, attack, "TokenClaims"), &json!({"tid": tenant}));
    }
}

fn audiences(cases: &mut Cases<'_>) {
    for (name, attack, audience) in [
        ("audience-other", "It is another application.", "11111111-1d2c-4b3a-8f4e-5d6c7b8a9f00".to_owned()),
        (
            "audience-graph",
            "It is Graph, as in the receiver's own access tokens.",
            "https://graph.microsoft.com".to_owned(),
        ),
        ("audience-graphs-id", "It is Graph, by its id.", "00000003-0000-0000-c000-000000000000".to_owned()),
        ("audience-publisher", "It is the publisher.", PUBLISHER.to_owned()),
        ("audience-tenant", "It is the tenant.", TENANT.to_owned()),
        ("audience-goes-on", "It goes on behind the right one.", format!("{CLIENT}.forger.example")),
        (
            "audience-in-a-url",
            "The right one is the path of another's address.",
            format!("https://forger.example/{CLIENT}"),
        ),
        ("audience-truncated", "Its last character is missing.", CLIENT[..35].to_owned()),
        ("audience-of-two", "It is two applications in one text.", format!("{CLIENT} {PUBLISHER}")),
        ("audience-empty", "It is empty.", String::new()),
    ] {
        add(cases, TokenVersion::V2, AUDIENCE, (name, attack, "TokenAudience"), &json!({"aud": audience}));
    }
    for (name, attack, audience) in [
        ("audience-missing", "It is missing.", json!(null)),
        ("audience-list-of-others", "It is a list of other applications.", json!([PUBLISHER, TENANT])),
        ("audience-empty-list", "It is an empty list.", json!([])),
        ("audience-object", "It is an object with the right one as a name.", json!({ CLIENT: true })),
    ] {
        add(cases, TokenVersion::V2, AUDIENCE, (name, attack, "TokenClaims"), &json!({"aud": audience}));
    }
}

/// Audiences that mean the receiver's application, as Entra does not write it in Graph's tokens.
fn other_spellings(cases: &mut Cases<'_>) {
    for (name, attack, reason, audience) in [
        ("audience-list-with-ours", "It is a list with the right one.", "TokenClaims", json!([PUBLISHER, CLIENT])),
        (
            "audience-as-uri",
            "It is the application's usual URI, as in tokens for an API.",
            "TokenAudience",
            json!(format!("api://{CLIENT}")),
        ),
        ("audience-in-upper-case", "It is in upper case.", "TokenAudience", json!(CLIENT.to_uppercase())),
    ] {
        add(cases, TokenVersion::V2, LETTER_FOR_LETTER, (name, attack, reason), &json!({"aud": audience}));
        cases.own();
    }
}

fn publishers(cases: &mut Cases<'_>) {
    let other = "22222222-1d2c-4b3a-8f4e-5d6c7b8a9f00";
    for (name, attack, version, changes) in [
        (
            "publisher-other-v1",
            "An app of the tenant got the token, of version 1.0.",
            TokenVersion::V1,
            json!({"appid": other}),
        ),
        (
            "publisher-other-v2",
            "An app of the tenant got the token, of version 2.0.",
            TokenVersion::V2,
            json!({"azp": other}),
        ),
        (
            "publisher-ourselves-v1",
            "The receiver's own app got it, of version 1.0.",
            TokenVersion::V1,
            json!({"appid": CLIENT}),
        ),
        (
            "publisher-ourselves-v2",
            "The receiver's own app got it, of version 2.0.",
            TokenVersion::V2,
            json!({"azp": CLIENT}),
        ),
        (
            "publisher-in-azp-only",
            "A token of version 1.0 has the right azp and no appid.",
            TokenVersion::V1,
            json!({"appid": null, "azp": PUBLISHER}),
        ),
        (
            "publisher-in-appid-only",
            "A token of version 2.0 has the right appid and no azp.",
            TokenVersion::V2,
            json!({"azp": null, "appid": PUBLISHER}),
        ),
        (
            "publisher-in-azp-too",
            "A token of version 1.0 has the right azp, and another appid.",
            TokenVersion::V1,
            json!({"appid": other, "azp": PUBLISHER}),
        ),
        (
            "publisher-in-appid-too",
            "A token of version 2.0 has the right appid, and another azp.",
            TokenVersion::V2,
            json!({"azp": other, "appid": PUBLISHER}),
        ),
        ("publisher-missing-v1", "A token of version 1.0 has no appid.", TokenVersion::V1, json!({"appid": null})),
        ("publisher-missing-v2", "A token of version 2.0 has no azp.", TokenVersion::V2, json!({"azp": null})),
        ("publisher-empty", "It is empty.", TokenVersion::V2, json!({"azp": ""})),
        ("publisher-truncated", "Its last character is missing.", TokenVersion::V2, json!({"azp": PUBLISHER[..35]})),
        (
            "publisher-goes-on",
            "It goes on behind the right one.",
            TokenVersion::V2,
            json!({"azp": format!("{PUBLISHER} ")}),
        ),
        (
            "publisher-as-subject",
            "The right one is the subject.",
            TokenVersion::V2,
            json!({"azp": other, "sub": PUBLISHER}),
        ),
        (
            "publisher-as-name",
            "The right one is the app's display name.",
            TokenVersion::V2,
            json!({"azp": other, "app_displayname": PUBLISHER}),
        ),
    ] {
        add(cases, version, GRAPH, (name, attack, "TokenPublisher"), &changes);
    }
    let case = ("publisher-in-a-list", "It is a list.", "TokenClaims");
    add(cases, TokenVersion::V2, GRAPH, case, &json!({"azp": [PUBLISHER]}));
}

fn times(cases: &mut Cases<'_>) {
    for (name, attack, reason, changes) in [
        ("expired", "It ended yesterday.", "TokenExpired", json!({"exp": YESTERDAY, "nbf": YESTERDAY - 86_400})),
        ("expired-an-hour-ago", "It ended an hour ago.", "TokenExpired", json!({"exp": 1_795_424_400})),
        ("expired-in-1970", "It ended with the first second of time.", "TokenExpired", json!({"exp": 0})),
        ("expired-before-1970", "It ended before time began.", "TokenExpired", json!({"exp": -1})),
        (
            "expired-at-the-least",
            "It ended at the least of numbers, from which nothing can be taken.",
            "TokenExpired",
            json!({"exp": i64::MIN}),
        ),
        ("future", "It begins in 2099.", "TokenNotYetValid", json!({"nbf": FUTURE})),
        (
            "future-at-the-most",
            "It begins at the greatest of numbers, to which nothing can be added.",
            "TokenNotYetValid",
            json!({"nbf": i64::MAX}),
        ),
        ("never", "It ended before it begins.", "TokenExpired", json!({"exp": YESTERDAY, "nbf": FUTURE})),
        ("expiry-missing", "It never ends.", "TokenClaims", json!({"exp": null})),
        ("expiry-is-text", "Its end is a text.", "TokenClaims", json!({"exp": "4102444800"})),
        ("expiry-is-a-date", "Its end is a date.", "TokenClaims", json!({"exp": "2100-01-01T00:00:00Z"})),
        ("expiry-is-true", "Its end is the value true.", "TokenClaims", json!({"exp": true})),
        ("expiry-in-a-list", "Its end is a list.", "TokenClaims", json!({"exp": [4_102_444_800_u64]})),
        ("expiry-too-great", "Its end is more than a 64-bit number holds.", "TokenClaims", json!({"exp": u64::MAX})),
        ("expiry-far-too-great", "Its end is 10 to the power of 300.", "TokenClaims", json!({"exp": 1e300})),
        ("beginning-is-text", "Its beginning is a text.", "TokenClaims", json!({"nbf": "0"})),
    ] {
        add(cases, TokenVersion::V2, TIME, (name, attack, reason), &changes);
    }
    let case = ("beginning-missing", "It has no beginning, which Entra's tokens have.", "TokenClaims");
    add(cases, TokenVersion::V2, TIME, case, &json!({"nbf": null}));
    cases.own();
}

fn versions(cases: &mut Cases<'_>) {
    for (name, attack, reason, version, ver) in [
        (
            "version-2-of-v1",
            "A token of version 1.0 says that it is one of 2.0.",
            "TokenIssuer",
            TokenVersion::V1,
            json!("2.0"),
        ),
        (
            "version-1-of-v2",
            "A token of version 2.0 says that it is one of 1.0.",
            "TokenIssuer",
            TokenVersion::V2,
            json!("1.0"),
        ),
        ("version-3", "The version is 3.0.", "TokenVersion", TokenVersion::V2, json!("3.0")),
        ("version-short", "The version is 2.", "TokenVersion", TokenVersion::V2, json!("2")),
        ("version-empty", "The version is empty.", "TokenVersion", TokenVersion::V2, json!("")),
        ("version-number", "The version is a number.", "TokenClaims", TokenVersion::V2, json!(2.0)),
        ("version-missing", "There is no version.", "TokenClaims", TokenVersion::V2, json!(null)),
    ] {
        add(cases, version, VERSION, (name, attack, reason), &json!({"ver": ver}));
    }
    let tenant = issuer_v1(TENANT);
    let case = (
        "version-1-with-azp",
        "Version and issuer are those of 1.0, the publisher stands where 2.0 has it.",
        "TokenPublisher",
    );
    add(cases, TokenVersion::V2, VERSION, case, &json!({"ver": "1.0", "iss": tenant}));
}

fn twice(cases: &mut Cases<'_>) {
    let forge = cases.forge;
    let right = forge.claims(TokenVersion::V2, TENANT);
    let header = forge.header(TokenVersion::V2).to_string();
    for (claim, wrong) in [
        ("aud", json!(PUBLISHER)),
        ("azp", json!(CLIENT)),
        ("exp", json!(YESTERDAY)),
        ("iss", json!(issuer_v1(STRANGE_TENANT))),
        ("tid", json!(STRANGE_TENANT)),
        ("ver", json!("3.0")),
    ] {
        let text = right.to_string().replacen('}', &format!(",\"{claim}\":{wrong}}}"), 1);
        let token = forge.signed_text(header.as_bytes(), text.as_bytes());
        let attack =
            format!("'{claim}' stands there twice, the right one first: for readers that check one and use the other.");
        cases.token(&format!("twice-{claim}"), ONCE, &attack, "TokenClaims", &token);
    }
    for claim in ["aud", "azp", "exp"] {
        let upper = claim.to_uppercase();
        let changes = json!({ claim: null, &upper: right[claim] });
        let token = forge.signed(&changed(&right, &changes));
        let attack = format!("'{claim}' is written in upper case.");
        let reason = if claim == "azp" { "TokenPublisher" } else { "TokenClaims" };
        cases.token(&format!("upper-case-{claim}"), ONCE, &attack, reason, &token);
    }
}

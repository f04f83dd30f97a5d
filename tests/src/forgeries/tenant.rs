//! Items that state a tenant which is not the token's, or none that can be read.

use serde_json::{Value, json};

use super::case::{Group, Proof, Raised};
use super::forge::{Cases, Forge, guid};
use super::target::{STRANGE_TENANT, TENANT};
use crate::simulator::notification;
use crate::simulator::tokens::TokenVersion;

const SAME: &str = "Token and client state prove a sender together if they are for the same tenant. A client state that names no tenant is \
    taken for one of each tenant that the item states.";
const READABLE: &str =
    "With UnverifiedCalls=Reject, both proofs count only if every tenant that the item states is theirs.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "Client state and token are right, but the item states another tenant, or one that is none.";
    let mut cases = Cases::new(forge, "tenant", about);
    cases.holding(&[Proof::ClientState]);
    for (name, attack, tenant) in [
        ("strange", "It is another tenant's.", STRANGE_TENANT),
        ("zero", "It is the GUID of zeros.", "00000000-0000-0000-0000-000000000000"),
    ] {
        let body = forge.vouched(cases.item_with(name, &json!({ "tenantId": tenant })));
        cases.rejected(name, SAME, attack, "TenantNotCovered", body);
    }
    let name = "strange-with-its-token";
    let item = cases.item_with(name, &json!({"tenantId": STRANGE_TENANT, "organizationId": STRANGE_TENANT}));
    let token = forge.signed(&forge.claims(TokenVersion::V2, STRANGE_TENANT));
    let body = notification::collection(&[item], Some(&[token]));
    let attack =
        "It is another tenant's, whose token is there and genuine: the application was let into that tenant, too.";
    cases.rejected(name, SAME, attack, "TokenTenant", body);
    let text = forge.vouched(cases.item("twice")).to_string();
    let text = text.replacen("\"tenantId\":", &format!("\"tenantId\":\"{TENANT}\",\"tenantId\":"), 1);
    let text = text.replacen(&format!("\"{TENANT}\"}}"), &format!("\"{STRANGE_TENANT}\"}}"), 1);
    let attack = "It stands there twice, the right one first: for readers that check one and use the other.";
    cases.rejected("twice", SAME, attack, "TenantNotCovered", text);
    unreadable(&mut cases);
    cases.done()
}

/// With `UnverifiedCalls=Alert` these are verified: what states no tenant contradicts none.
fn unreadable(cases: &mut Cases<'_>) {
    for (name, attack, tenant) in [
        ("empty", "It is empty.", json!("")),
        ("in-a-list", "It is a list.", json!([TENANT])),
        ("number", "It is a number.", json!(1)),
        ("common", "It is 'common'.", json!("common")),
        ("by-domain", "It is a domain.", json!("contoso.onmicrosoft.com")),
        ("in-braces", "It stands in braces.", json!(format!("{{{TENANT}}}"))),
        ("as-urn", "It is a URN.", json!(format!("urn:uuid:{TENANT}"))),
        ("without-hyphens", "It has no hyphens.", json!(TENANT.replace('-', ""))),
        ("of-two", "It is two tenants in one text.", json!(format!("{STRANGE_TENANT},{TENANT}"))),
    ] {
        let item = cases.item_with(name, &json!({ "tenantId": tenant }));
        verified_unless_strict(cases, name, attack, item);
    }
    let name = "strange-under-a-made-client-state";
    let made = cases.forge.target.made_client_state(TENANT, super::target::POLICY);
    let item = cases.item_with(name, &json!({"tenantId": STRANGE_TENANT, "clientState": made}));
    verified_unless_strict(cases, name, "It is another tenant's, but the client state names the right one.", item);
}

fn verified_unless_strict(cases: &mut Cases<'_>, name: &str, attack: &str, item: Value) {
    let body = cases.forge.vouched(item);
    cases.rejected(name, READABLE, attack, "TenantNotCovered", body);
    cases.latest_holds(&[Proof::Token, Proof::ClientState]);
    let call = guid(&cases.id(name));
    cases.raised(vec![Raised { tenant_id: Some(TENANT.to_owned()), ..Raised::new(&call, true) }]);
}

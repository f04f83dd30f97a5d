//! Items of tenants and policies that the receiver does not watch, and resources that only look like a policy's.

use serde_json::{Value, json};

use super::case::Group;
use super::forge::{Cases, Forge};
use super::target::{OTHER_POLICY, OTHER_TENANT, POLICY, STRANGE_TENANT, TENANT};
use crate::simulator::notification;
use crate::simulator::tokens::TokenVersion;

const TENANT_RULE: &str = "The item's tenantId is a GUID in its usual form, and one that the receiver is set up for.";
const POLICY_RULE: &str = "The policy in the item's resource is watched in the item's tenant.";
const RESOURCE_RULE: &str = "The resource is the path that was subscribed to, and nothing around or inside it (\"Get change notifications for \
    emergency calls\").";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "Client state and token are right, but the item is of a tenant, a policy or a resource that nobody subscribed to.";
    let mut cases = Cases::new(forge, "tenant-and-policy", about);
    tenants(&mut cases);
    policies(&mut cases);
    quoting(&mut cases);
    paths(&mut cases);
    cases.done()
}

fn tenants(cases: &mut Cases<'_>) {
    let strange = json!(STRANGE_TENANT);
    for (name, attack, reason, tenant) in [
        ("tenant-strange", "It is another tenant's.", "TenantNotConfigured", strange),
        (
            "tenant-zero",
            "It is the GUID of zeros.",
            "TenantNotConfigured",
            json!("00000000-0000-0000-0000-000000000000"),
        ),
        ("tenant-missing", "It is missing.", "Malformed", json!(null)),
        ("tenant-empty", "It is empty.", "Malformed", json!("")),
        ("tenant-in-a-list", "It is a list.", "Malformed", json!([TENANT])),
        ("tenant-number", "It is a number.", "Malformed", json!(1)),
        ("tenant-common", "It is 'common'.", "Malformed", json!("common")),
        ("tenant-by-domain", "It is a domain.", "Malformed", json!("contoso.onmicrosoft.com")),
        ("tenant-in-braces", "It stands in braces.", "Malformed", json!(format!("{{{TENANT}}}"))),
        ("tenant-as-urn", "It is a URN.", "Malformed", json!(format!("urn:uuid:{TENANT}"))),
        ("tenant-without-hyphens", "It has no hyphens.", "Malformed", json!(TENANT.replace('-', ""))),
        ("tenant-with-space", "A space stands behind it.", "Malformed", json!(format!("{TENANT} "))),
        ("tenant-of-two", "It is two tenants in one text.", "Malformed", json!(format!("{STRANGE_TENANT},{TENANT}"))),
    ] {
        let item = cases.item_with(name, &json!({ "tenantId": tenant }));
        add(cases, name, TENANT_RULE, attack, reason, item);
    }
    let name = "tenant-strange-with-its-token";
    let item = cases.item_with(name, &json!({"tenantId": STRANGE_TENANT, "organizationId": STRANGE_TENANT}));
    let token = cases.forge.signed(&cases.forge.claims(TokenVersion::V2, STRANGE_TENANT));
    let body = notification::collection(&[item], Some(&[token]));
    let attack =
        "It is another tenant's, whose token is there and genuine: the application was let into that tenant, too.";
    cases.rejected(name, TENANT_RULE, attack, "TenantNotConfigured", body);
    let text = cases.forge.vouched(cases.item("tenant-twice")).to_string();
    let text = text.replacen("\"tenantId\":", &format!("\"tenantId\":\"{TENANT}\",\"tenantId\":"), 1);
    let text = text.replacen(&format!("\"{TENANT}\"}}"), &format!("\"{STRANGE_TENANT}\"}}"), 1);
    let attack = "It stands there twice, the right one first: for readers that check one and use the other.";
    cases.rejected("tenant-twice", TENANT_RULE, attack, "TenantNotConfigured", text);
}

fn policies(cases: &mut Cases<'_>) {
    for (name, attack, policy) in [
        ("policy-unknown", "It is not watched.", "Headquarters"),
        ("policy-of-the-other-tenant", "It is watched in the other tenant alone.", OTHER_POLICY),
        ("policy-goes-on", "It goes on behind the right one.", "Global2"),
        ("policy-truncated", "Its last letter is missing.", "Globa"),
        ("policy-with-space-behind", "A space stands behind it.", "Global "),
        ("policy-with-space-before", "A space stands before it.", " Global"),
        ("policy-look-alike", "A letter is the Greek one.", "Gl\u{3bf}bal"),
        ("policy-full-width", "Its letters are full-width ones.", "\u{ff27}lobal"),
        ("policy-with-invisible-character", "A zero-width space stands in it.", "Glo\u{200b}bal"),
        ("policy-percent-encoded", "A letter is percent-encoded.", "%47lobal"),
        ("policy-wildcard", "It is a wildcard.", "*"),
        ("policy-tagged", "It stands behind a tag, as in PowerShell.", "Tag:Global"),
        (
            "policy-with-tenant",
            "It stands behind its tenant, as in the receiver's settings.",
            "5a1f0c9e-3b52-4d0e-9d0a-7f6f2c1e8b11/Global",
        ),
        ("policies-all", "It is the receiver's list of policies.", "Global,b2d41c77-90aa-4f13-8c55-0e6a7d1f2233/Site"),
        ("policy-quoted", "Quotation marks stand around it.", "'Global'"),
    ] {
        let item = cases.item_with(name, &json!({"resource": notification::resource(policy)}));
        add(cases, name, POLICY_RULE, attack, "PolicyNotConfigured", item);
    }
    let forge = cases.forge;
    let name = "policy-of-the-first-tenant";
    let mut item = forge.other_tenants_item(&cases.id(name));
    item["resource"] = json!(notification::resource(POLICY));
    let token = forge.signed(&forge.claims(TokenVersion::V2, OTHER_TENANT));
    let body = notification::collection(&[item], Some(&[token]));
    let attack = "The item is of the other tenant, its policy watched in the first alone.";
    cases.rejected(name, POLICY_RULE, attack, "PolicyNotConfigured", body);
}

fn quoting(cases: &mut Cases<'_>) {
    for (name, attack, quoted) in [
        ("policy-empty", "The policy has no name.", ""),
        ("policy-with-single-quote", "A quote in the policy's name ends it early.", "Global'"),
        ("policy-with-condition", "The policy's name is a part of a query.", "x' or 'Global' eq 'Global"),
        ("policy-with-comment", "The rest of the path is a comment.", "Global')//"),
        ("policy-with-nul", "A NUL stands behind the policy's name.", "Global\0"),
        ("policy-with-line-break", "A line break stands behind the policy's name.", "Global\n"),
        ("policy-twice", "There are two policies.", "Global',policyName='Global"),
    ] {
        let resource = format!("communications/calls/getEmergencyEventsByPolicy(policyName='{quoted}')");
        let item = cases.item_with(name, &json!({ "resource": resource }));
        add(cases, name, RESOURCE_RULE, attack, "ResourceNotConfigured", item);
    }
}

fn paths(cases: &mut Cases<'_>) {
    let right = notification::resource(POLICY);
    for (name, attack, resource) in [
        ("resource-empty", "It is empty.", String::new()),
        ("resource-other", "It is a user.", "users/1".to_owned()),
        ("resource-of-calls", "It is all calls.", "communications/calls".to_owned()),
        ("resource-of-another-function", "It is another function.", right.replace("EventsByPolicy", "Events")),
        ("resource-of-another-parameter", "The parameter has another name.", right.replace("policyName", "policy")),
        ("resource-without-quotes", "The policy is not quoted.", right.replace('\'', "")),
        ("resource-in-double-quotes", "The policy is in double quotes.", right.replace('\'', "\"")),
        ("resource-with-spaces", "There are spaces around the equals sign.", right.replace('=', " = ")),
        ("resource-goes-on", "The path goes on.", format!("{right}/participants")),
        ("resource-with-slash", "A slash stands behind it.", format!("{right}/")),
        ("resource-with-query", "A query stands behind it.", format!("{right}?$filter=true")),
        ("resource-with-fragment", "A fragment stands behind it.", format!("{right}#')")),
        ("resource-with-space-behind", "A space stands behind it.", format!("{right} ")),
        ("resource-with-space-before", "A space stands before it.", format!(" {right}")),
        ("resource-with-line-break", "A line break stands behind it.", format!("{right}\n")),
        ("resource-below-another", "It stands below another resource.", format!("users/{right}")),
        ("resource-with-two-slashes", "Two slashes stand before it.", format!("//{right}")),
        ("resource-of-another-host", "It is the path of another host.", format!("https://forger.example/{right}")),
        ("resource-stays", "A step stands in it that leads nowhere.", right.replace("calls/", "calls/./")),
        ("resource-steps-up", "It steps up from another resource.", format!("users/../{right}")),
        ("resource-in-a-query", "It is the query of another resource.", format!("users?{right}")),
        ("resource-percent-encoded", "Its slashes are percent-encoded.", right.replace('/', "%2F")),
        ("resource-with-backslashes", "Its slashes are backslashes.", right.replace('/', "\\")),
        (
            "resource-look-alike",
            "A letter of its path is another one that some take for it.",
            right.replacen('s', "\u{17f}", 1),
        ),
        ("resource-twice", "It stands there twice.", format!("{right}{right}")),
        ("resource-truncated", "The closing bracket is missing.", right.trim_end_matches(')').to_owned()),
    ] {
        let item = cases.item_with(name, &json!({ "resource": resource }));
        add(cases, name, RESOURCE_RULE, attack, "ResourceNotConfigured", item);
    }
    for (name, attack, resource) in [
        ("resource-missing", "There is none.", json!(null)),
        ("resource-number", "It is a number.", json!(1)),
        ("resource-in-a-list", "It is a list.", json!([right])),
        ("resource-object", "It is an object.", json!({"policyName": POLICY})),
    ] {
        let item = cases.item_with(name, &json!({ "resource": resource }));
        add(cases, name, RESOURCE_RULE, attack, "ResourceNotConfigured", item);
    }
}

fn add(cases: &mut Cases<'_>, name: &str, rule: &str, attack: &str, reason: &str, item: Value) {
    let body = cases.forge.vouched(item);
    cases.rejected(name, rule, attack, reason, body);
}

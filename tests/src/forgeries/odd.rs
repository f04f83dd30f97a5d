//! What holds both proofs of its sender and is odd in all else: it must alert. Reports from the field show Graph straying from
//! its own pages, so that no rule on the shape of what arrives may decide whether a call is told.

use serde_json::{Value, json};

use super::case::{Expectation, Group, Request};
use super::forge::{Cases, Forge, guid};
use super::target::{OTHER_POLICY, OTHER_TENANT, POLICY, TENANT};
use crate::simulator::notification;
use crate::simulator::tokens::TokenVersion;

const TENANT_RULE: &str = "The tenant that an item states only finds the token that vouches for it.";
const POLICY_RULE: &str = "The policy that an item states does not decide whether a call is told.";
const RESOURCE_RULE: &str = "The path in resource does not decide whether a call is told.";
const SHAPE_RULE: &str = "changeType and the shape of an item do not decide whether a call is told.";
const STATE_RULE: &str =
    "A made client state names its tenant and policy; what the item states does not count against it.";

pub(super) fn group(forge: &Forge<'_>) -> Group {
    let about = "Token and client state are right, so that the item is Graph's, however odd it is. Each raises one verified alert.";
    let mut cases = Cases::new(forge, "odd", about);
    tenants(&mut cases);
    policies(&mut cases);
    quoting(&mut cases);
    paths(&mut cases);
    kinds(&mut cases);
    made_client_states(&mut cases);
    cases.done()
}

fn tenants(cases: &mut Cases<'_>) {
    for (name, attack, changes) in [
        ("tenant-missing", "It is missing, and organizationId names the tenant.", json!({"tenantId": null})),
        (
            "tenants-missing",
            "It is missing, and organizationId, too.",
            json!({"tenantId": null, "organizationId": null}),
        ),
        ("tenant-with-space", "A space stands behind it.", json!({"tenantId": format!("{TENANT} ")})),
        ("organization-missing", "There is no organizationId.", json!({"organizationId": null})),
    ] {
        let item = cases.item_with(name, &changes);
        add(cases, name, TENANT_RULE, attack, item);
    }
}

fn kinds(cases: &mut Cases<'_>) {
    for (name, attack, changes) in [
        ("change-created", "It is a change of another kind.", json!({"changeType": "created"})),
        ("change-unknown", "It is a change of a kind that nobody knows.", json!({"changeType": "created,updated"})),
        ("change-number", "The kind of change is a number.", json!({"changeType": 911})),
        ("change-missing", "No kind of change is named.", json!({"changeType": null})),
        ("beside-a-lifecycle-event", "It names a lifecycle event, too.", json!({"lifecycleEvent": "missed"})),
        ("lifecycle-event-number", "It names a lifecycle event that is a number.", json!({"lifecycleEvent": 1})),
        ("subscription-missing", "It names no subscription.", json!({"subscriptionId": null})),
        ("resource-data-missing", "It has no resourceData.", json!({"resourceData": null})),
        ("resource-data-text", "Its resourceData is a text.", json!({"resourceData": "911"})),
    ] {
        let item = cases.item_with(name, &changes);
        add(cases, name, SHAPE_RULE, attack, item);
    }
    let text = cases.forge.vouched(cases.item("resource-there-twice")).to_string();
    let text = text.replacen("\"resourceData\":", "\"resource\":\"users/1\",\"resourceData\":", 1);
    let attack = "The item's resource stands there twice, the right one first.";
    let id = guid(&cases.id("resource-there-twice"));
    cases.add("resource-there-twice", SHAPE_RULE, attack, Request::post(text), Expectation::alert(&id));
}

fn made_client_states(cases: &mut Cases<'_>) {
    let made = cases.forge.target.made_client_state(TENANT, POLICY);
    let item = cases.item_with("made-client-state", &json!({ "clientState": made }));
    add(cases, "made-client-state", STATE_RULE, "None: its client state names tenant and policy.", item);
    let name = "made-client-state-names-another-policy";
    let changes = json!({"clientState": made, "resource": notification::resource("Headquarters")});
    let item = cases.item_with(name, &changes);
    add(cases, name, STATE_RULE, "Its client state is made for another policy than its resource names.", item);
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
        add(cases, name, POLICY_RULE, attack, item);
    }
    let forge = cases.forge;
    let name = "policy-of-the-first-tenant";
    let mut item = forge.other_tenants_item(&cases.id(name));
    item["resource"] = json!(notification::resource(POLICY));
    let token = forge.signed(&forge.claims(TokenVersion::V2, OTHER_TENANT));
    let body = notification::collection(&[item], Some(&[token]));
    let attack = "The item is of the other tenant, its policy watched in the first alone.";
    let expect = Expectation::alert(&guid(&cases.id(name)));
    cases.add(name, POLICY_RULE, attack, Request::post(body), expect);
    let name = "sealed-for-another-policy";
    let event = Forge::event(&cases.id(name));
    let mut item = forge.item_of(&event);
    item["resource"] = json!(notification::resource("Headquarters"));
    let attack = format!("The item is of a policy that is not watched, the sealed call of {POLICY}.");
    add(cases, name, POLICY_RULE, &attack, item);
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
        add(cases, name, RESOURCE_RULE, attack, item);
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
        add(cases, name, RESOURCE_RULE, attack, item);
    }
    for (name, attack, resource) in [
        ("resource-missing", "There is none.", json!(null)),
        ("resource-number", "It is a number.", json!(1)),
        ("resource-in-a-list", "It is a list.", json!([right])),
        ("resource-object", "It is an object.", json!({"policyName": POLICY})),
    ] {
        let item = cases.item_with(name, &json!({ "resource": resource }));
        add(cases, name, RESOURCE_RULE, attack, item);
    }
}

fn add(cases: &mut Cases<'_>, name: &str, rule: &str, attack: &str, item: Value) {
    let request = Request::post(cases.forge.vouched(item));
    let expect = Expectation::alert(&guid(&cases.id(name)));
    cases.add(name, rule, attack, request, expect);
}

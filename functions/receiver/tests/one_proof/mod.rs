//! What holds one proof of its sender: it alerts as unverified, and never gets in the way of what is verified.

use serde_json::{Value, json};

use crate::support::{self, CLIENT_STATE, Call, Fault, OTHER_TENANT, Published, TENANT, World};

fn without_state(call: Call) -> Call {
    call.change(json!({"clientState": null}))
}

fn tokens() -> Vec<String> {
    vec![support::token(TENANT, json!({}))]
}

/// Delivers a call whose only proof is its token. Gives the status.
async fn unverified(world: &World, call: Call) -> u16 {
    world.deliver_with(&[without_state(call)], Some(tokens())).await
}

fn documents(world: &World) -> Vec<Value> {
    world.published().iter().map(Published::document).collect()
}

/// What each alert says of itself: whether it is verified, and how it relates to those before.
fn told(world: &World) -> Vec<(bool, String)> {
    let of = |document: &Value| {
        (document["verified"] == json!(true), document["relation"].as_str().unwrap_or_default().to_owned())
    };
    documents(world).iter().map(of).collect()
}

fn pair(verified: bool, relation: &str) -> (bool, String) {
    (verified, relation.to_owned())
}

fn elsewhere(call: Call) -> Call {
    call.location(json!({"address": {"street": "Main Street", "city": "Tacoma", "countryOrRegion": "United States"}}))
}

#[tokio::test(start_paused = true)]
async fn either_proof_alone_alerts_as_not_verified_and_says_which_is_missing() {
    let expired = || Some(vec![support::token(TENANT, json!({"exp": 1}))]);
    for (call, tokens, missing) in [
        (without_state(Call::new("x")), Some(tokens()), "clientState"),
        (Call::new("x").change(json!({"clientState": "wrong"})), Some(tokens()), "clientState"),
        (Call::new("x").change(json!({"clientState": 7})), Some(tokens()), "clientState"),
        (Call::new("x"), None, "validationToken"),
        (Call::new("x"), Some(vec![]), "validationToken"),
        (Call::new("x"), expired(), "validationToken"),
        (Call::new("x"), Some(vec![support::forged_token(TENANT)]), "validationToken"),
    ] {
        let world = World::new();
        assert_eq!(world.deliver_with(&[call], tokens).await, 202);
        let document = documents(&world).remove(0);
        assert_eq!((&document["verified"], &document["missingProof"]), (&json!(false), &json!(missing)));
        assert_eq!((&document["callId"], &document["tenantId"]), (&json!("x"), &json!(TENANT)));
        assert_eq!((&document["policyName"], &document["degraded"]), (&json!("Global"), &json!(false)));
        for protocol in ["email", "sms"] {
            assert!(world.published()[0].body(protocol).contains("VERIFIED"), "{protocol}");
        }
        assert_eq!(world.events("Emergency Call"), [document]);
        assert_eq!(world.metric("AlertsUnverified").unwrap()["AlertsUnverified"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn neither_proof_is_told_nothing_and_nobody() {
    for state in [Value::Null, json!("guessed")] {
        for tokens in [None, Some(vec![support::forged_token(TENANT)])] {
            let world = World::new();
            let call = Call::new("x").change(json!({"clientState": state}));
            assert_eq!(world.deliver_with(&[call], tokens).await, 202);
            assert!(world.published().is_empty() && world.marks().is_empty());
            assert!(world.events("Emergency Call").is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_holds_one_proof_and_does_not_open_is_reported_with_its_reason() {
    let sealed_for_another = || Call::new("x").certificate_id("lost");
    let without_content = || Call::new("x").change(json!({"encryptedContent": null}));
    for world in [World::new(), World::strict()] {
        for (index, call) in [sealed_for_another(), without_content()].into_iter().enumerate() {
            assert_eq!(world.deliver_with(&[call], None).await, 202);
            assert!(world.published().is_empty());
            assert_eq!(world.events("Notification Rejected").len(), index + 1);
            assert_eq!(world.metric("RejectedWithClientState").unwrap()["RejectedWithClientState"], 1);
        }
    }
    let world = World::new();
    world.deliver_with(&[sealed_for_another()], None).await;
    let event = world.events("Notification Rejected").remove(0);
    assert_eq!((&event["reason"], &event["tenantId"]), (&json!("NotOpened"), &json!(TENANT)));
    assert!(event["explanation"].as_str().unwrap().contains("no key of ours opens it"), "{event}");
}

#[tokio::test(start_paused = true)]
async fn every_item_that_microsofts_token_came_with_and_that_is_not_told_is_reported() {
    for item in [Call::raw(json!(7)), Call::raw(json!([])), Call::raw(json!({})), Call::raw(json!({"tenantId": "x"}))] {
        let world = World::new();
        assert_eq!(world.deliver(&[item]).await, 202);
        assert!(world.published().is_empty());
        assert_eq!(world.events("Notification Rejected").len(), 1);
        assert_eq!(world.metric("RejectedWithToken").unwrap()["RejectedWithToken"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_newer_keyring_a_certificate_that_it_lacks_decides_nothing() {
    let world = World::new();
    world.deliver(&[Call::new("before")]).await;
    world.later(1);
    world.fault("read_keyring", Fault::Fails);
    assert_eq!(unverified(&world, Call::new("x").certificate_id("lost")).await, 503);
    world.mend("read_keyring");
    world.set_keyring(support::keyring("lost", CLIENT_STATE));
    world.later(1);
    let lost = || Call::new("x").certificate_id("lost").change(json!({"encryptedContent": null}));
    assert_eq!(world.deliver_with(&[lost()], None).await, 202);
    assert_eq!(world.published().len(), 1, "nothing but the call before");
}

#[tokio::test(start_paused = true)]
async fn the_undecided_alert_or_wait_as_the_table_says() {
    for (world, alerts, status) in [(World::new(), 1, 202), (World::strict(), 0, 503)] {
        world.fault("fetch_signing_keys", Fault::Fails);
        let unknown = Some(vec![support::token_of_new_key(TENANT)]);
        assert_eq!(world.deliver_with(&[Call::new("x")], unknown.clone()).await, status);
        assert_eq!(world.published().len(), alerts);
        assert_eq!(world.deliver_with(&[without_state(Call::new("y"))], unknown).await, 503, "none proven");
        assert_eq!(world.published().len(), alerts);
    }
}

#[tokio::test(start_paused = true)]
async fn token_and_client_state_of_different_tenants_are_told_under_the_client_states() {
    let call = || Call::new("x").tenant(OTHER_TENANT).policy("Site");
    let world = World::new();
    assert_eq!(world.deliver_with(&[call()], Some(tokens())).await, 202);
    let document = documents(&world).remove(0);
    assert_eq!((&document["verified"], &document["tenantId"]), (&json!(false), &json!(OTHER_TENANT)));
    let strict = World::strict();
    assert_eq!(strict.deliver_with(&[call()], Some(tokens())).await, 202);
    assert!(strict.published().is_empty());
    assert_eq!(strict.events("Notification Rejected")[0]["reason"], "TenantNotCovered");
}

#[tokio::test(start_paused = true)]
async fn where_tokens_of_several_tenants_came_and_nothing_tells_the_tenant_is_unknown() {
    let world = World::new();
    let tokens = [TENANT, OTHER_TENANT].map(|tenant| support::token(tenant, json!({}))).to_vec();
    let call = Call::new("x").change(json!({"clientState": null, "tenantId": null, "organizationId": null}));
    assert_eq!(world.deliver_with(&[call], Some(tokens)).await, 202);
    assert_eq!(documents(&world)[0]["tenantId"], "unknown");
}

#[tokio::test(start_paused = true)]
async fn what_the_item_states_against_its_proof_is_mentioned() {
    let world = World::new();
    let foreign = "99999999-2222-3333-4444-555555555555";
    let call = Call::new("x").change(json!({"clientState": null, "tenantId": foreign}));
    assert_eq!(world.deliver_with(&[call], Some(tokens())).await, 202);
    let document = documents(&world).remove(0);
    assert_eq!(document["tenantId"], TENANT);
    assert_eq!(document["contradictions"], json!([{"what": "tenant", "stated": foreign}]));
}

#[tokio::test(start_paused = true)]
async fn a_verified_delivery_is_never_the_duplicate_of_an_unverified_one() {
    let world = World::new();
    unverified(&world, Call::new("x")).await;
    assert_eq!(world.deliver(&[Call::new("x")]).await, 202);
    assert_eq!(told(&world), [pair(false, "first"), pair(true, "nowVerified")]);
    let [first, second] = &documents(&world)[..] else { panic!("two alerts") };
    assert_ne!(first["incident"]["key"], second["incident"]["key"]);
    assert_eq!((&second["newPlace"], &second["newCaller"]), (&json!(false), &json!(false)));
    assert!(world.published()[1].body("sms").contains("NOW VERIFIED"), "{}", world.published()[1].body("sms"));
    for delivery in [Call::new("x"), without_state(Call::new("x"))] {
        world.deliver(&[delivery]).await;
    }
    assert_eq!(world.published().len(), 2, "whatever was told is told once");
}

#[tokio::test(start_paused = true)]
async fn what_is_now_verified_says_what_differs() {
    let world = World::new();
    unverified(&world, elsewhere(Call::new("x"))).await;
    world.deliver(&[Call::new("x")]).await;
    let document = documents(&world).remove(1);
    assert_eq!((&document["relation"], &document["newPlace"]), (&json!("nowVerified"), &json!(true)));
    assert_eq!(document["newCaller"], json!(false));
}

#[tokio::test(start_paused = true)]
async fn an_unverified_report_updates_resolves_and_silences_nothing_that_is_verified() {
    let world = World::new();
    world.deliver(&[Call::new("x")]).await;
    unverified(&world, Call::new("x")).await;
    assert_eq!(world.published().len(), 1, "the same was told");
    unverified(&world, elsewhere(Call::new("x"))).await;
    unverified(&world, Call::new("x").ended_after(60)).await;
    assert_eq!(told(&world)[1..], [pair(false, "otherReport"), pair(false, "first")]);
    let documents = documents(&world);
    let key = |index: usize| documents[index]["incident"]["key"].clone();
    assert!(key(1) != key(0) && key(2) != key(0), "an incident of its own");
    world.deliver(&[elsewhere(Call::new("x"))]).await;
    assert_eq!(told(&world)[3], pair(true, "updated"), "nothing was shadowed");
    world.deliver(&[Call::new("x").ended_after(60)]).await;
    let end = world.published()[4].document();
    assert_eq!((&end["relation"], &end["incident"]["key"]), (&json!("nowVerified"), &key(0)));
    assert_eq!((&end["incident"]["action"], &end["durationSeconds"]), (&json!("resolve"), &json!(60)));
}

#[tokio::test(start_paused = true)]
async fn an_unverified_end_says_nothing_of_a_verified_start_that_comes_later() {
    let world = World::new();
    unverified(&world, Call::new("x").ended_after(60)).await;
    world.deliver(&[Call::new("x")]).await;
    let start = world.published()[1].document();
    assert_eq!((&start["endedAt"], &start["incident"]["action"]), (&Value::Null, &json!("trigger")));
}

#[tokio::test(start_paused = true)]
async fn an_unverified_call_counts_for_no_silence_and_no_age() {
    let world = World::new();
    unverified(&world, Call::new("x")).await;
    assert_eq!(world.latest(), None);
    assert!(world.metric("AlertAgeSeconds").is_none());
    world.deliver(&[Call::new("y")]).await;
    assert!(world.latest().is_some() && world.metric("AlertAgeSeconds").is_some());
}

#[tokio::test(start_paused = true)]
async fn a_recording_that_is_encrypted_anew_or_sent_again_after_months_is_not_told_again() {
    let world = World::new();
    world.deliver(&[Call::new("x")]).await;
    for days in [2, 30, 365] {
        world.later(days * 86_400);
        assert_eq!(world.deliver_with(&[Call::new("x")], None).await, 202);
        assert_eq!(world.published().len(), 1, "after {days} days");
    }
}

#[tokio::test(start_paused = true)]
async fn a_newly_known_place_or_caller_is_told_as_an_update() {
    let world = World::new();
    world.deliver(&[Call::new("x").location(Value::Null)]).await;
    world.deliver(&[Call::new("x")]).await;
    world.deliver(&[Call::new("x").caller("Somebody Else")]).await;
    world.deliver(&[Call::new("x")]).await;
    assert_eq!(told(&world), [pair(true, "first"), pair(true, "updated"), pair(true, "updated")]);
    let documents = documents(&world);
    let new = |index: usize| (documents[index]["newPlace"].clone(), documents[index]["newCaller"].clone());
    assert_eq!([new(1), new(2)], [(json!(true), json!(false)), (json!(false), json!(true))]);
    assert!(documents.iter().all(|document| document["incident"]["key"] == documents[0]["incident"]["key"]));
    assert!(world.published()[1].body("sms").contains("UPDATED LOCATION"));
}

#[tokio::test(start_paused = true)]
async fn a_start_that_comes_after_its_end_says_so_and_leaves_no_incident_open() {
    let world = World::new();
    world.deliver(&[Call::new("x").ended_after(40)]).await;
    world.deliver(&[Call::new("x")]).await;
    let [end, start] = &documents(&world)[..] else { panic!("two alerts") };
    assert_eq!(start["endedAt"], end["occurredAt"]);
    assert_eq!((&start["incident"]["action"], &start["incident"]["key"]), (&json!("resolve"), &end["incident"]["key"]));
    assert!(world.published()[1].body("email").contains("ended"));
}

#[tokio::test(start_paused = true)]
async fn verified_items_go_out_before_the_others_are_opened() {
    let world = World::new();
    let mut calls: Vec<Call> = (0..5).map(|index| without_state(Call::new(&format!("one-{index}")))).collect();
    calls.push(Call::new("verified"));
    assert_eq!(world.deliver(&calls).await, 202);
    let documents = documents(&world);
    assert_eq!((&documents[0]["callId"], documents.len()), (&json!("verified"), 6));
    let order = world.order();
    let publish = order.iter().position(|call| call == "publish").unwrap();
    assert_eq!(order[..publish].iter().filter(|call| *call == "find_mark").count(), 1);
}

#[tokio::test(start_paused = true)]
async fn above_five_in_ten_minutes_unverified_calls_share_one_message_a_minute() {
    let world = World::new();
    for index in 0..5 {
        assert_eq!(unverified(&world, Call::new(&format!("call-{index}"))).await, 202);
    }
    assert_eq!(world.published().len(), 5);
    assert_eq!(unverified(&world, Call::new("call-5")).await, 202, "the minute's message names it");
    for index in 6..9 {
        let call = Call::new(&format!("call-{index}"));
        assert_eq!(unverified(&world, call).await, 503, "Graph is to send it again");
    }
    assert_eq!((world.published().len(), world.events("Emergency Call").len()), (6, 9), "machines have each at once");
    world.later(60);
    assert_eq!(unverified(&world, Call::new("call-8")).await, 202);
    let combined = world.published()[6].document();
    assert_eq!((&combined["eventType"], &combined["verified"]), (&json!("unverifiedCalls"), &json!(false)));
    let named: Vec<_> = combined["alerts"].as_array().unwrap().iter().map(|alert| &alert["callId"]).collect();
    assert_eq!(named.len(), 3, "{named:?}");
    for index in 6..9 {
        assert!(named.contains(&&json!(format!("call-{index}"))), "{named:?}");
        assert_eq!(unverified(&world, Call::new(&format!("call-{index}"))).await, 202, "it was told");
    }
    assert_eq!((world.published().len(), world.events("Emergency Call").len()), (7, 9), "and machines once");
    assert_eq!(world.deliver(&[Call::new("verified")]).await, 202);
    assert_eq!(world.published()[7].document()["callId"], "verified", "nothing holds a verified call back");
    world.later(600);
    assert_eq!(unverified(&world, Call::new("later")).await, 202);
    assert_eq!(world.published()[8].document()["callId"], "later", "a message of its own again");
}

#[tokio::test(start_paused = true)]
async fn a_flood_in_one_request_takes_six_messages() {
    let world = World::new();
    let calls: Vec<_> = (0..40).map(|index| without_state(Call::new(&format!("call-{index}")))).collect();
    assert_eq!(world.deliver(&calls).await, 202);
    assert_eq!((world.published().len(), world.events("Emergency Call").len()), (6, 40));
    assert_eq!(world.marks().len(), 40);
}

#[tokio::test(start_paused = true)]
async fn without_the_table_each_unverified_call_has_its_message() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = World::new();
        world.fault("count_unverified", fault);
        for index in 0..7 {
            assert_eq!(unverified(&world, Call::new(&format!("call-{index}"))).await, 202);
        }
        assert_eq!(world.published().len(), 7);
    }
    let world = World::new();
    world.fault("claim_combined", Fault::Fails);
    let calls: Vec<_> = (0..7).map(|index| without_state(Call::new(&format!("call-{index}")))).collect();
    assert_eq!(world.deliver(&calls).await, 202);
    assert_eq!(world.published().len(), 6);
}

#[tokio::test(start_paused = true)]
async fn a_combined_message_that_is_not_taken_leaves_its_calls_to_graph() {
    let world = World::new();
    let calls = || (0..7).map(|index| without_state(Call::new(&format!("call-{index}")))).collect::<Vec<_>>();
    world.fault("alert-topic", Fault::FailsFor("unverifiedCalls"));
    assert_eq!(world.deliver(&calls()).await, 503);
    assert_eq!((world.published().len(), world.marks().len()), (5, 5));
    world.mend("alert-topic");
    world.later(60);
    assert_eq!(world.deliver(&calls()).await, 202);
    assert_eq!((world.published().len(), world.marks().len()), (6, 7));
}

#[tokio::test(start_paused = true)]
async fn whatever_hangs_items_with_one_proof_are_answered_in_time() {
    let calls: Vec<_> = (0..8).map(|index| without_state(Call::new(&format!("call-{index}")))).collect();
    for call in ["find_mark", "find_call", "count_unverified", "claim_combined", "publish", "mark", "put_events"] {
        let world = World::new();
        world.fault(call, Fault::Hangs);
        let begun = tokio::time::Instant::now();
        world.deliver(&calls).await;
        assert!(begun.elapsed().as_millis() < 2500, "{call}: {:?}", begun.elapsed());
    }
}

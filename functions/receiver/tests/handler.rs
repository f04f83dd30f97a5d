//! The handler over a faked outside, with notifications built by the Graph simulator.
#![expect(
    clippy::unwrap_used,
    clippy::needless_pass_by_value,
    unreachable_pub,
    reason = "helpers of tests: they may panic, take literals by value, and are public to this file alone"
)]

mod one_proof;
mod probes;
mod support;

use std::collections::BTreeSet;

use graph_notifications::handshake::ANSWER_HEADERS;
use serde_json::{Value, json};
use support::{CLIENT_STATE, Call, Fault, OTHER_TENANT, SECOND_TOPIC, TENANT, World};

#[tokio::test(start_paused = true)]
async fn a_call_is_published_marked_and_put_on_the_bus() {
    let world = World::new();
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
    let published = world.published();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].topic, "alert-topic");
    let document = published[0].document();
    assert_eq!(
        (&document["callId"], &document["verified"], &document["degraded"]),
        (&json!("call-1"), &json!(true), &json!(false))
    );
    assert_eq!((&document["numberDialed"], &document["policyName"]), (&json!("911"), &json!("Global")));
    assert_eq!(world.marks().len(), 1);
    assert_eq!(world.events("Emergency Call"), [document]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_marked_before_it_is_published() {
    let world = World::new();
    world.deliver(&[Call::new("call-1")]).await;
    let order = world.order();
    let position = |call: &str| order.iter().position(|entry| entry == call).unwrap();
    assert!(position("find_mark") < position("publish") && position("publish") < position("mark"), "{order:?}");
}

#[tokio::test(start_paused = true)]
async fn a_test_number_goes_to_the_test_topic_only() {
    let world = World::new();
    world.deliver(&[Call::new("call-1").number("933"), Call::new("call-2")]).await;
    let topics: Vec<_> =
        world.published().iter().map(|message| (message.topic.clone(), message.document()["isTest"].clone())).collect();
    assert!(
        topics.contains(&("test-topic".into(), json!(true))) && topics.contains(&("alert-topic".into(), json!(false)))
    );
    assert_eq!(topics.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_duplicate_is_published_once_however_it_was_encrypted() {
    let world = World::new();
    world.deliver(&[Call::new("call-1"), Call::new("call-1")]).await;
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
    assert_eq!(world.published().len(), 1);
    world.deliver(&[Call::new("call-1").event("callEnded")]).await;
    assert_eq!(world.published().len(), 2, "the end of a call is another event");
}

#[tokio::test(start_paused = true)]
async fn an_ended_call_says_when_it_started_and_how_long_it_took() {
    let world = World::new();
    world.deliver(&[Call::new("call-1")]).await;
    world.later(95);
    assert_eq!(world.deliver(&[Call::new("call-1").ended_after(95)]).await, 202);
    let end = &world.published()[1];
    let document = end.document();
    assert_eq!((&document["callId"], &document["eventType"]), (&json!("call-1"), &json!("callEnded")));
    assert_eq!((&document["startedAt"], &document["durationSeconds"]), (&json!("2025-11-24T15:59:58Z"), &json!(95)));
    for protocol in ["email", "sms"] {
        assert!(end.body(protocol).contains("ended after"), "{}", end.body(protocol));
    }
    assert_eq!(world.events("Emergency Call")[1], document);
    world.deliver(&[Call::new("call-1").ended_after(95)]).await;
    assert_eq!(world.published().len(), 2, "a duplicate is one with a duration, too");
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_test_call_that_does_not_say_the_number_alarms_nobody_else() {
    for (number, topic) in [("933", "test-topic"), ("911", "alert-topic")] {
        let world = World::new();
        world.deliver(&[Call::new("call-1").number(number)]).await;
        world.deliver(&[Call::new("call-1").number("").ended_after(95)]).await;
        let topics: Vec<_> = world.published().iter().map(|message| message.topic.clone()).collect();
        assert_eq!(topics, [topic, topic]);
    }
    let world = World::new();
    world.deliver(&[Call::new("call-1").number("").ended_after(95)]).await;
    assert_eq!(world.published()[0].topic, "alert-topic", "whether it was a test is not known");
}

#[tokio::test(start_paused = true)]
async fn an_end_without_a_known_start_has_no_duration() {
    for (seen, end) in [
        (Call::new("call-2"), Call::new("call-1").ended_after(95)),
        (Call::new("call-1").event("callHeld"), Call::new("call-1").ended_after(95)),
        (Call::new("call-1").tenant(OTHER_TENANT).policy("Site"), Call::new("call-1").ended_after(95)),
    ] {
        let world = World::new();
        let tokens = || Some([TENANT, OTHER_TENANT].map(|tenant| support::token(tenant, json!({}))).to_vec());
        assert_eq!(world.deliver_with(&[seen], tokens()).await, 202);
        assert_eq!(world.deliver_with(&[end], tokens()).await, 202);
        assert_eq!(world.published().len(), 2);
        let document = world.published()[1].document();
        assert_eq!((&document["startedAt"], &document["durationSeconds"]), (&Value::Null, &Value::Null));
    }
}

#[tokio::test(start_paused = true)]
async fn an_end_that_comes_before_its_start_holds_nothing_up() {
    let world = World::new();
    assert_eq!(world.deliver(&[Call::new("call-1").ended_after(95)]).await, 202);
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
    let events: Vec<_> = world.published().iter().map(|message| message.document()["eventType"].clone()).collect();
    assert_eq!(events, ["callEnded", "callStarted"]);
    assert_eq!(world.published()[0].document()["durationSeconds"], Value::Null);
}

#[tokio::test(start_paused = true)]
async fn start_and_end_in_one_request_belong_together() {
    let (start, end) = (|| Call::new("call-1"), || Call::new("call-1").ended_after(95));
    for calls in [[start(), end()], [end(), start()]] {
        let world = World::new();
        assert_eq!(world.deliver(&calls).await, 202);
        let documents: Vec<_> = world.published().iter().map(support::Published::document).collect();
        let end = documents.iter().find(|document| document["eventType"] == "callEnded").unwrap();
        assert_eq!((documents.len(), &end["durationSeconds"]), (2, &json!(95)));
        assert_eq!(world.calls("find_call"), 1, "the table need not be asked for the end's start");
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_state_table_an_ended_call_has_no_duration_and_goes_out_all_the_same() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = World::new();
        world.deliver(&[Call::new("call-1")]).await;
        world.fault("find_call", fault);
        let begun = tokio::time::Instant::now();
        assert_eq!(world.deliver(&[Call::new("call-1").ended_after(95)]).await, 202);
        assert!(begun.elapsed().as_millis() <= 200, "{:?}", begun.elapsed());
        assert_eq!(world.published()[1].document()["durationSeconds"], Value::Null);
        assert_eq!(world.metric("StateTableFailures").unwrap()["StateTableFailures"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_cannot_be_remembered_is_counted_and_nothing_else() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = World::new();
        world.fault("remember_call", fault);
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert_eq!((world.published().len(), world.marks().len(), world.remembered_calls().len()), (1, 1, 0));
        assert_eq!(world.events("Emergency Call").len(), 1);
        assert_eq!(world.metric("StateTableFailures").unwrap()["StateTableFailures"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_is_remembered_by_a_hash_and_only_once_it_is_published() {
    let world = World::new();
    world.fault("publish", Fault::Fails);
    world.deliver(&[Call::new("call-1")]).await;
    assert!(world.remembered_calls().is_empty());
    world.mend("publish");
    world.deliver(&[Call::new("call-1")]).await;
    assert!(matches!(&world.remembered_calls()[..], [call] if call.len() == 43 && !call.contains("call-1")));
}

#[tokio::test(start_paused = true)]
async fn nothing_more_is_asked_before_a_starting_call_is_published() {
    let world = World::new();
    world.deliver(&[Call::new("call-1")]).await;
    assert_eq!(world.order()[..4], ["read_keyring", "find_mark", "find_call", "publish"], "the two at once");
}

#[tokio::test(start_paused = true)]
async fn an_event_of_an_unknown_type_is_passed_on() {
    let world = World::new();
    world.deliver(&[Call::new("call-1")]).await;
    assert_eq!(world.deliver(&[Call::new("call-1").event("callHeld")]).await, 202);
    let document = world.published()[1].document();
    assert_eq!((&document["callId"], &document["eventType"]), (&json!("call-1"), &json!("callHeld")));
    assert_eq!((world.calls("find_call"), world.remembered_calls().len()), (1, 1), "asked for the start alone");
}

#[tokio::test(start_paused = true)]
async fn several_calls_are_published_in_batches_of_ten() {
    let world = World::new();
    let calls: Vec<_> = (0..23).map(|index| Call::new(&format!("call-{index}"))).collect();
    assert_eq!(world.deliver(&calls).await, 202);
    assert_eq!(world.published().len(), 23);
    assert_eq!(world.batches(), [10, 10, 3]);
    assert_eq!(world.events("Emergency Call").len(), 23);
}

#[tokio::test(start_paused = true)]
async fn forged_items_are_accepted_in_silence() {
    for (state, reason) in [(json!("wrong"), "ClientStateWrong"), (Value::Null, "ClientStateMissing")] {
        for (token, with_token) in [(support::token(TENANT, json!({})), 1), (support::forged_token(TENANT), 0)] {
            let world = World::strict();
            let call = Call::new("x").change(json!({"clientState": state}));
            assert_eq!(world.deliver_with(&[call], Some(vec![token])).await, 202, "{reason}");
            assert!(world.published().is_empty() && world.marks().is_empty(), "{reason}");
            let rejected = world.events("Notification Rejected");
            assert_eq!(rejected.len(), 1, "{reason}");
            assert_eq!(rejected[0]["reason"], reason);
            assert!(rejected[0]["explanation"].as_str().unwrap().contains("client state"));
            let metric = world.metric("NotificationsRejected").unwrap();
            assert_eq!((&metric["Reason"], &metric["NotificationsRejected"]), (&json!(reason), &json!(1)));
            assert_eq!(world.metric("RejectedWithClientState").unwrap()["RejectedWithClientState"], 0);
            // The token is genuine: nobody unauthenticated has one.
            assert_eq!(world.metric("RejectedWithToken").unwrap()["RejectedWithToken"], with_token);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn shape_resource_and_stated_tenant_reject_nothing_that_both_proofs_hold() {
    let resource = |policy: &str| json!({"resource": Call::new("x").policy(policy).build()["resource"]});
    for (change, policy) in [
        (json!({"resource": "users/1"}), "Global"),
        (json!({"resource": "communications/calls('8d7c')"}), "Global"),
        (json!({"resource": "communications/calls/getEmergencyEventsByPolicy(policyName=%27Global%27)"}), "Global"),
        (json!({"resource": "/Communications/Calls/GetEmergencyEventsByPolicy(policyName='GLOBAL')"}), "Global"),
        (json!({"resource": null}), "Global"),
        (json!({"resource": 7}), "Global"),
        (resource("GLOBAL"), "Global"),
        (resource("Other"), "Other"),
        (json!({"changeType": "created"}), "Global"),
        (json!({"changeType": null}), "Global"),
        (json!({"tenantId": null, "organizationId": TENANT}), "Global"),
        (json!({"tenantId": null}), "Global"),
        (json!({"subscriptionId": null}), "Global"),
        (json!({"resourceData": null}), "Global"),
        (json!({"subscriptionExpirationDateTime": {}}), "Global"),
    ] {
        for world in [World::new(), World::strict()] {
            assert_eq!(world.deliver(&[Call::new("x").change(change.clone())]).await, 202);
            let document = world.published()[0].document();
            assert_eq!((&document["verified"], &document["policyName"]), (&json!(true), &json!(policy)), "{change}");
            assert_eq!((&document["callId"], &document["degraded"]), (&json!("x"), &json!(false)));
            assert!(world.events("Notification Rejected").is_empty());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn items_without_a_token_of_their_tenant_are_rejected() {
    let call = [Call::new("x")];
    for (tokens, reason) in [
        (Some(vec![]), "ValidationTokenMissing"),
        (None, "ValidationTokenMissing"),
        (Some(vec![support::token(OTHER_TENANT, json!({}))]), "TenantNotCovered"),
        (Some(vec!["junk".to_owned()]), "TokenNotAToken"),
        (Some(vec![support::token(TENANT, json!({"exp": 1}))]), "TokenExpired"),
        (Some(vec![support::forged_token(TENANT)]), "TokenSignature"),
    ] {
        let world = World::strict();
        assert_eq!(world.deliver_with(&call, tokens).await, 202, "{reason}");
        assert!(world.published().is_empty(), "{reason}");
        assert_eq!(world.events("Notification Rejected")[0]["reason"], reason);
        assert_eq!(world.metric("RejectedWithClientState").unwrap()["RejectedWithClientState"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn an_item_without_content_needs_a_token_like_any_other() {
    let world = World::new();
    let call = Call::new("x").change(json!({"encryptedContent": null}));
    assert_eq!(world.deliver_with(&[call], Some(vec![])).await, 202);
    assert!(world.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_bad_token_takes_nothing_from_a_good_one() {
    let world = World::strict();
    let tokens = vec![
        "junk".to_owned(),
        support::forged_token(OTHER_TENANT),
        support::forged_token(TENANT),
        support::token(TENANT, json!({})),
    ];
    world
        .deliver_with(&[Call::new("ours"), Call::new("theirs").tenant(OTHER_TENANT).policy("Site")], Some(tokens))
        .await;
    let published = world.published();
    assert_eq!(published.len(), 1);
    assert_eq!(published[0].document()["callId"], "ours");
}

#[tokio::test(start_paused = true)]
async fn one_bad_item_never_holds_back_its_neighbours() {
    let world = World::strict();
    let calls = [
        Call::new("bad").change(json!({"clientState": "wrong"})),
        Call::raw(json!(7)),
        Call::new("good"),
        Call::raw(json!({})),
    ];
    assert_eq!(world.deliver(&calls).await, 202);
    assert_eq!(world.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_authentic_call_that_cannot_be_read_still_alerts() {
    let bad_signature = |call: &str| {
        Call::new(call).change(json!({"encryptedContent": {"data": "AAAA", "dataKey": "AAAA", "dataSignature": "AAAA",
        "encryptionCertificateId": "key-1"}}))
    };
    for call in [
        bad_signature("x"),
        Call::new("x").change(json!({"encryptedContent": null})),
        Call::new("x").change(json!({"encryptedContent": {"data": 1}})),
        Call::new("x").certificate_id("lost"),
        Call::sealed(b"not json"),
    ] {
        let world = World::new();
        assert_eq!(world.deliver(&[call]).await, 202);
        let published = world.published();
        assert_eq!(published.len(), 1);
        let document = published[0].document();
        assert_eq!(
            (&document["degraded"], &document["policyName"], &document["raw"]),
            (&json!(true), &json!("Global"), &Value::Null)
        );
        assert_eq!(published[0].topic, "alert-topic");
        assert_eq!(world.metric("AlertsDegraded").unwrap()["AlertsDegraded"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_nearly_json_is_told_with_all_that_can_be_read() {
    let document = br#"{"id": "x", "emergencyCallEvent": {"id": "x", "callEventType": "callStarted", "policyName": "Global",
        "emergencyNumberDialed": "911", "callerInfo": {"displayName": "Alva Nord", "location": {"address": {"street": "Quillwood"},
        "coordinates": {"latitude": 47,6396, "longitude": -122,1281}}}}}"#;
    let world = World::new();
    assert_eq!(world.deliver(&[Call::sealed(document)]).await, 202);
    let document = world.published()[0].document();
    assert_eq!((&document["degraded"], &document["location"]["street"]), (&json!(false), &json!("Quillwood")));
}

#[tokio::test(start_paused = true)]
async fn unreadable_calls_are_told_apart_and_their_retries_are_not() {
    let world = World::new();
    let lost = Call::new("x").certificate_id("lost").build();
    world.deliver(&[Call::raw(lost.clone())]).await;
    world.deliver(&[Call::raw(lost)]).await;
    assert_eq!(world.published().len(), 1);
    world.deliver(&[Call::new("x").certificate_id("lost").event("callEnded")]).await;
    assert_eq!(world.published().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn unreadable_calls_that_nothing_tells_apart_all_alert() {
    let world = World::new();
    let call = || Call::new("x").change(json!({"encryptedContent": null, "resourceData": null}));
    assert_eq!(world.deliver(&[call(), call()]).await, 202);
    assert_eq!(world.published().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_hundred_tokens_are_looked_at_and_no_more() {
    for (junk, published) in [(99, 1), (100, 0)] {
        let world = World::strict();
        let mut tokens = vec!["junk".to_owned(); junk];
        tokens.push(support::token(TENANT, json!({})));
        assert_eq!(world.deliver_with(&[Call::new("call-1")], Some(tokens)).await, 202);
        assert_eq!(world.published().len(), published);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_certificate_or_client_state_is_found_in_the_keyring_at_once() {
    let world = World::strict();
    world.deliver(&[Call::new("call-1")]).await;
    world.later(2);
    world.set_keyring(support::keyring("lost", CLIENT_STATE));
    world.deliver(&[Call::new("call-2").certificate_id("lost")]).await;
    assert_eq!(world.published()[1].document()["degraded"], json!(false));
    world.later(2);
    world.set_keyring(support::keyring("key-1", "a new client state"));
    world.deliver(&[Call::new("call-3").change(json!({"clientState": "a new client state"}))]).await;
    assert_eq!(world.published()[2].document()["callId"], "call-3");
    world.deliver(&[Call::new("call-4")]).await;
    assert_eq!(world.published().len(), 3, "the old client state is gone with the old keyring");
}

#[tokio::test(start_paused = true)]
async fn a_call_in_the_moment_in_which_its_client_state_was_made_raises_its_alert() {
    let world = World::new();
    world.deliver(&[Call::new("call-1")]).await;
    world.a_moment_later();
    world.set_keyring(support::keyring("key-2", "a new client state"));
    let call = Call::new("call-2").change(json!({"clientState": "a new client state"})).certificate_id("key-2");
    assert_eq!(world.deliver(&[call]).await, 202);
    assert_eq!(world.published()[1].document()["callId"], "call-2");
    assert_eq!(world.published()[1].document()["degraded"], json!(false));
}

#[tokio::test(start_paused = true)]
async fn without_a_keyring_graph_is_to_try_again() {
    let world = World::new();
    world.fault("read_keyring", Fault::Fails);
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 503);
    assert!(world.published().is_empty() && world.marks().is_empty());
    world.mend("read_keyring");
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
    assert_eq!(world.published().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_keyring_that_was_read_once_outlives_the_secret() {
    let world = World::new();
    world.deliver(&[Call::new("call-1")]).await;
    world.fault("read_keyring", Fault::Hangs);
    world.later(3600);
    assert_eq!(world.deliver(&[Call::new("call-2")]).await, 202);
    assert_eq!(world.published().len(), 2);
    assert_eq!(world.metric("KeyringFailures").unwrap()["KeyringFailures"], 1, "but not unnoticed");
}

#[tokio::test(start_paused = true)]
async fn an_unknown_signing_key_is_fetched_from_entra() {
    let world = World::new();
    let token = support::token_of_new_key(TENANT);
    world.publish_new_signing_key();
    assert_eq!(world.deliver_with(&[Call::new("call-1")], Some(vec![token.clone()])).await, 202);
    assert_eq!(world.published()[0].document()["verified"], json!(true));
    world.deliver_with(&[Call::new("call-2")], Some(vec![token])).await;
    assert_eq!((world.published().len(), world.calls("fetch_signing_keys")), (2, 1), "and kept");
}

#[tokio::test(start_paused = true)]
async fn a_key_that_entra_does_not_publish_is_a_forgers() {
    let world = World::strict();
    let token = support::token_of_new_key(TENANT);
    assert_eq!(world.deliver_with(&[Call::new("call-1")], Some(vec![token])).await, 202);
    assert!(world.published().is_empty());
    assert_eq!(world.events("Notification Rejected")[0]["reason"], "TokenUnknownKey");
}

#[tokio::test(start_paused = true)]
async fn whoever_has_no_client_state_makes_us_ask_entra_once_in_ten_seconds_and_is_told_nothing() {
    let world = World::strict();
    let stranger = || Call::new("x").change(json!({"clientState": "wrong"}));
    world.deliver_with(&[stranger()], Some(vec![support::token_of_new_key(TENANT)])).await;
    assert_eq!(world.calls("fetch_signing_keys"), 1);
    for second in 1..120 {
        world.later(1);
        assert_eq!(world.deliver_with(&[stranger()], Some(unknown_keys(1))).await, 202, "after {second} s");
    }
    assert_eq!(world.calls("fetch_signing_keys"), 12);
    assert!(world.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn while_entra_is_out_of_reach_a_call_alerts_unverified() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = World::new();
        world.fault("fetch_signing_keys", fault);
        let token = support::token_of_new_key(TENANT);
        assert_eq!(world.deliver_with(&[Call::new("call-1")], Some(vec![token.clone()])).await, 202);
        let document = world.published()[0].document();
        assert_eq!((&document["verified"], &document["degraded"]), (&json!(false), &json!(false)));
        let lost = Call::new("call-2").certificate_id("lost");
        assert_eq!(world.deliver_with(&[lost], Some(vec![token])).await, 503, "neither verified nor readable");
        assert_eq!(world.published().len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn claims_count_even_while_entra_is_out_of_reach() {
    let world = World::strict();
    world.fault("fetch_signing_keys", Fault::Fails);
    let token = support::forged_token_with(TENANT, "an unknown key", json!({"exp": 1}));
    assert_eq!(world.deliver_with(&[Call::new("call-1")], Some(vec![token])).await, 202);
    assert!(world.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn each_tenants_keys_are_fetched_though_another_tenants_have_the_same_names() {
    let world = World::new();
    world.give_tenants_keys_of_their_own();
    world.publish_new_signing_key();
    for (id, tenant) in [("call-1", TENANT), ("call-2", OTHER_TENANT)] {
        let call = Call::new(id).tenant(tenant).policy(if tenant == TENANT { "Global" } else { "Site" });
        assert_eq!(world.deliver_with(&[call], Some(vec![support::token_of_new_key(tenant)])).await, 202);
    }
    let verified: Vec<_> = world.published().iter().map(|published| published.document()["verified"].clone()).collect();
    assert_eq!((verified, world.calls("fetch_signing_keys")), (vec![json!(true); 2], 2));
}

#[tokio::test(start_paused = true)]
async fn one_of_entras_documents_decides_about_the_keys_that_stand_in_it() {
    let world = World::strict();
    world.lose_a_document_of_keys();
    let new_key = || Some(vec![support::token_of_new_key(TENANT)]);
    assert_eq!(world.deliver_with(&[Call::new("call-1")], new_key()).await, 503, "it may stand in the other one");
    world.publish_new_signing_key();
    let genuine = support::token_of_new_key(TENANT);
    let (signed, signature) = genuine.rsplit_once('.').unwrap();
    let forged = format!("{signed}.{}", "A".repeat(signature.len()));
    assert_eq!(world.deliver_with(&[Call::new("x")], Some(vec![forged])).await, 202);
    assert_eq!(world.published().len(), 0, "the key is at hand, and has not signed this");
    assert_eq!(world.events("Notification Rejected")[0]["reason"], "TokenSignature");
    assert_eq!(world.deliver_with(&[Call::new("call-1")], new_key()).await, 202);
    assert_eq!(world.published()[0].document()["verified"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn a_document_that_is_missing_takes_no_key_away_that_was_fetched_before() {
    let world = World::new();
    world.publish_new_signing_key();
    let new_key = || Some(vec![support::token_of_new_key(TENANT)]);
    assert_eq!(world.deliver_with(&[Call::new("call-1")], new_key()).await, 202);
    world.lose_a_document_of_keys();
    world.withdraw_new_signing_key();
    let unknown = support::forged_token_with(TENANT, "an unknown key", json!({}));
    world.deliver_with(&[Call::new("x")], Some(vec![unknown])).await;
    assert_eq!(world.deliver_with(&[Call::new("call-2")], new_key()).await, 202);
    assert_eq!(world.published().last().unwrap().document()["verified"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn while_one_of_entras_documents_is_missing_an_item_with_all_new_stays_undecided() {
    let world = warm_strict().await;
    world.lose_a_document_of_keys();
    flood_of_unknown_keys(&world, 5, 503).await;
    world.later(1);
    assert_eq!(world.deliver_with(&[wrong_state("x")], Some(unknown_keys(1))).await, 503);
}

#[tokio::test(start_paused = true)]
async fn when_entra_was_asked_too_often_its_last_answer_stands_for_ten_seconds() {
    let world = World::strict();
    for index in 0..9 {
        let token = support::forged_token_with(TENANT, &format!("kid-{index}"), json!({}));
        assert_eq!(world.deliver_with(&[Call::new("x")], Some(vec![token])).await, 202);
    }
    assert_eq!(world.calls("fetch_signing_keys"), 5);
    world.publish_new_signing_key();
    world.later(10);
    let token = support::token_of_new_key(TENANT);
    assert_eq!(world.deliver_with(&[Call::new("call-1")], Some(vec![token])).await, 202);
    assert_eq!((world.published().len(), world.calls("fetch_signing_keys")), (1, 6));
}

#[tokio::test(start_paused = true)]
async fn without_the_state_table_alerts_go_out_all_the_same() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = World::new();
        world.fault("find_mark", fault);
        world.fault("mark", fault);
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert_eq!(world.published().len(), 1);
        assert_eq!(world.metric("StateTableFailures").unwrap()["StateTableFailures"], 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_table_that_hangs_leaves_sns_its_time() {
    let world = World::new();
    world.fault("find_mark", Fault::Hangs);
    world.fault("alert-topic", Fault::Hangs);
    let begun = tokio::time::Instant::now();
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 503);
    let offered = world.offered_at()[0].1.duration_since(begun);
    assert_eq!(offered.as_millis(), 500);
}

#[tokio::test(start_paused = true)]
async fn what_sns_does_not_take_graph_sends_again() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = World::new();
        world.fault("publish", fault);
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 503);
        assert!(world.marks().is_empty() && world.events("Emergency Call").is_empty());
        world.mend("publish");
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert_eq!((world.published().len(), world.marks().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn an_sns_that_refuses_for_a_moment_takes_the_alert_in_the_same_invocation() {
    let world = World::new();
    world.fault("alert-topic", Fault::Fails);
    let moment = async {
        tokio::time::sleep(tokio::time::Duration::from_millis(250)).await;
        world.mend("alert-topic");
    };
    let calls = [Call::new("call-1")];
    let (status, ()) = tokio::join!(world.deliver(&calls), moment);
    assert_eq!((status, world.published().len()), (202, 1));
    assert_eq!(world.offered(), ["alert-topic"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_lifecycle_item_that_does_not_reach_the_bus_is_counted() {
    let world = World::new();
    world.fault("put_events", Fault::Fails);
    let item = Call::raw(json!({"tenantId": TENANT, "clientState": CLIENT_STATE, "lifecycleEvent": "missed"}));
    assert_eq!(world.deliver_with(&[item], None).await, 202);
    let metric = world.metric("LifecycleEventsNotPut").unwrap();
    assert_eq!((&metric["LifecycleEventsNotPut"], &metric["CallEventsNotPut"]), (&json!(1), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn a_failed_entry_of_a_batch_is_published_again_and_its_neighbours_are_not() {
    let world = World::new();
    world.fault("publish", Fault::FailsOnceFor("call-2"));
    assert_eq!(world.deliver(&[Call::new("call-1"), Call::new("call-2"), Call::new("call-3")]).await, 202);
    assert_eq!(world.batches(), [3, 1]);
    let mut calls: Vec<_> = world.published().iter().map(|message| message.document()["callId"].clone()).collect();
    calls.sort_by_key(Value::to_string);
    assert_eq!(calls, [json!("call-1"), json!("call-2"), json!("call-3")]);
}

#[tokio::test(start_paused = true)]
async fn what_the_home_region_does_not_take_goes_the_second_way() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = World::with_second_topic();
        world.fault("alert-topic", fault);
        let begun = tokio::time::Instant::now();
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert!(begun.elapsed().as_millis() < 2500, "{:?}", begun.elapsed());
        let published = world.published();
        assert_eq!((published.len(), published[0].topic.as_str()), (1, SECOND_TOPIC));
        assert_eq!(world.events("Emergency Call"), [published[0].document()]);
        let metric = world.metric("AlertsPublishedSecondWay").unwrap();
        assert_eq!((&metric["AlertsPublishedSecondWay"], &metric["AlertsPublished"]), (&json!(1), &json!(1)));
        assert_eq!((&metric["AlertsNotPublished"], world.marks().len()), (&json!(0), 1));
        world.mend("alert-topic");
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert_eq!(world.published().len(), 1, "what took the second way is marked, too");
    }
}

#[tokio::test(start_paused = true)]
async fn the_second_way_has_over_half_a_second_whatever_hangs_before() {
    let world = World::with_second_topic();
    for call in ["fetch_signing_keys", "find_mark", "alert-topic", SECOND_TOPIC] {
        world.fault(call, Fault::Hangs);
    }
    let begun = tokio::time::Instant::now();
    assert_eq!(world.deliver_with(&[Call::new("call-1")], Some(vec![support::token_of_new_key(TENANT)])).await, 503);
    let second = world.offered_at().into_iter().find(|(topic, _)| topic == SECOND_TOPIC).unwrap().1;
    let (its_own, all) = (second.elapsed(), begun.elapsed());
    assert!(its_own.as_millis() >= 550 && all.as_millis() < 2500, "{its_own:?} {all:?}");
}

#[tokio::test(start_paused = true)]
async fn only_when_both_ways_fail_graph_is_to_try_again() {
    for (home, away) in [(Fault::Fails, Fault::Hangs), (Fault::Hangs, Fault::Fails)] {
        let world = World::with_second_topic();
        world.fault("alert-topic", home);
        world.fault(SECOND_TOPIC, away);
        let begun = tokio::time::Instant::now();
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 503);
        assert!(begun.elapsed().as_millis() < 2500, "{:?}", begun.elapsed());
        assert!(world.marks().is_empty() && world.events("Emergency Call").is_empty());
        let metric = world.metric("AlertsPublishedSecondWay").unwrap();
        assert_eq!((&metric["AlertsPublishedSecondWay"], &metric["AlertsNotPublished"]), (&json!(0), &json!(1)));
        world.mend(SECOND_TOPIC);
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert_eq!((world.published().len(), world.marks().len()), (1, 1));
    }
}

#[tokio::test(start_paused = true)]
async fn a_test_call_never_takes_the_second_way() {
    let world = World::with_second_topic();
    world.fault("alert-topic", Fault::Fails);
    world.fault("test-topic", Fault::Fails);
    assert_eq!(world.deliver(&[Call::new("test").number("933"), Call::new("real")]).await, 503);
    let published = world.published();
    assert_eq!((published.len(), published[0].topic.as_str()), (1, SECOND_TOPIC));
    assert_eq!(published[0].document()["callId"], "real");
    world.mend("test-topic");
    assert_eq!(world.deliver(&[Call::new("test").number("933"), Call::new("real")]).await, 202);
    assert_eq!((world.published().len(), world.published()[1].topic.as_str()), (2, "test-topic"));
}

#[tokio::test(start_paused = true)]
async fn only_what_is_left_of_a_batch_takes_the_second_way() {
    let world = World::with_second_topic();
    world.fault("alert-topic", Fault::FailsFor("call-2"));
    assert_eq!(world.deliver(&[Call::new("call-1"), Call::new("call-2"), Call::new("call-3")]).await, 202);
    let went = |topic: &str| {
        let published = world.published().into_iter().filter(|message| message.topic == topic);
        published.map(|message| message.document()["callId"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(
        (went("alert-topic"), went(SECOND_TOPIC)),
        (vec!["call-1".into(), "call-3".into()], vec!["call-2".into()])
    );
    assert_eq!(world.metric("AlertsPublishedSecondWay").unwrap()["AlertsPublishedSecondWay"], 1);
    assert_eq!((world.marks().len(), world.events("Emergency Call").len()), (3, 3));
}

#[tokio::test(start_paused = true)]
async fn the_second_topic_is_left_alone_while_the_first_takes_alerts() {
    let world = World::with_second_topic();
    world.fault("publish", Fault::FailsOnceFor("call-1"));
    assert_eq!(world.deliver(&[Call::new("call-1"), Call::new("test").number("933")]).await, 202);
    assert!(world.offered().iter().all(|topic| topic != SECOND_TOPIC), "{:?}", world.offered());
    assert_eq!(world.metric("AlertsPublishedSecondWay").unwrap()["AlertsPublishedSecondWay"], 0);
}

#[tokio::test(start_paused = true)]
async fn without_a_second_topic_there_is_one_way_and_all_of_the_time_is_its() {
    let world = World::new();
    world.fault("alert-topic", Fault::Hangs);
    let begun = tokio::time::Instant::now();
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 503);
    assert_eq!(begun.elapsed().as_millis(), 2200);
    assert_eq!(world.offered(), ["alert-topic"; 3]);
}

#[tokio::test(start_paused = true)]
async fn a_failed_bus_neither_loses_nor_repeats_an_alert() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = World::new();
        world.fault("put_events", fault);
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert_eq!((world.published().len(), world.marks().len()), (1, 1));
        assert_eq!(world.metric("CallEventsNotPut").unwrap()["CallEventsNotPut"], 1);
    }
}

#[tokio::test(start_paused = true)]
async fn whatever_hangs_the_answer_comes_within_two_and_a_half_seconds() {
    let table = ["find_mark", "find_call", "mark", "remember_call", "note_latest"];
    let calls = [Call::new("call-1"), Call::new("call-2").ended_after(95)];
    for call in ["read_keyring", "fetch_signing_keys", "publish", "put_events"].iter().chain(&table) {
        let world = World::new();
        world.fault(call, Fault::Hangs);
        let start = tokio::time::Instant::now();
        world.deliver_with(&calls, Some(vec![support::token_of_new_key(TENANT)])).await;
        assert!(start.elapsed().as_millis() < 2500, "{call}: {:?}", start.elapsed());
    }
    let world = World::new();
    for call in ["fetch_signing_keys", "put_events"].iter().chain(&table) {
        world.fault(call, Fault::Hangs);
    }
    let start = tokio::time::Instant::now();
    assert_eq!(world.deliver_with(&calls, Some(vec![support::token_of_new_key(TENANT)])).await, 202);
    assert!(start.elapsed().as_millis() < 2500, "{:?}", start.elapsed());
    assert_eq!(world.published().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_five_minutes_off_changes_nothing() {
    for seconds in [-299, 299] {
        let world = World::new();
        world.later(seconds);
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        let document = world.published()[0].document();
        assert_eq!((&document["verified"], &document["degraded"]), (&json!(true), &json!(false)), "{seconds} s");
        world.later(-2 * seconds);
        assert_eq!(world.deliver(&[Call::new("call-1"), Call::new("call-2")]).await, 202);
        assert_eq!(world.published().len(), 2, "what was published is known whatever the clock says");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_is_days_off_leaves_calls_unverified_and_says_so() {
    for (days, reason) in [(-2, "TokenNotYetValid"), (2, "TokenExpired")] {
        let world = World::new();
        world.later(days * 86_400);
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert_eq!(world.published().len(), 1);
        assert_eq!(world.metric("AlertsUnverified").unwrap()["AlertsUnverified"], 1);
        let world = World::strict();
        world.later(days * 86_400);
        assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
        assert!(world.published().is_empty());
        assert_eq!(world.metric("RejectedWithClientState").unwrap()["RejectedWithClientState"], 1);
        assert_eq!(world.events("Notification Rejected")[0]["reason"], reason);
    }
}

#[tokio::test(start_paused = true)]
async fn a_handshake_loads_nothing() {
    let world = World::new();
    world.fault("read_keyring", Fault::Hangs);
    let answer = world.handshake("validationToken=Validation%3a+Testing%20it").await;
    assert_eq!((answer.status_code, answer.body.as_str()), (200, "Validation: Testing it"));
    assert!(ANSWER_HEADERS.iter().all(|(name, value)| answer.headers.get(name) == Some(value)));
    assert_eq!(world.handshake("validationtoken=abc").await.body, "abc", "a gateway may change the name's case");
    assert_eq!(world.handshake("validationToken=%3Cscript%3E").await.status_code, 400);
    assert!(world.order().is_empty());
}

#[tokio::test(start_paused = true)]
async fn warming_up_in_vain_is_no_failure() {
    let world = World::new();
    world.fault("read_keyring", Fault::Hangs);
    world.warm_up().await;
    world.mend("read_keyring");
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
    assert_eq!(world.metric("KeyringFailures").unwrap()["KeyringFailures"], 0);
}

#[tokio::test]
async fn a_receiver_that_was_warmed_up_has_its_keyring() {
    let world = World::new();
    world.warm_up().await;
    world.fault("read_keyring", Fault::Fails);
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
    assert_eq!(world.published().len(), 1, "and nothing of the warming up is published");
}

#[tokio::test(start_paused = true)]
async fn what_is_no_notification_is_a_bad_request() {
    let world = World::new();
    for body in ["", "hello", "[]", "{\"value\": 1}"] {
        assert_eq!(world.post(body).await, 400, "{body}");
    }
    assert_eq!(world.post("{\"value\": []}").await, 202);
    let large = format!("{{\"value\": [{}]}}", "1,".repeat(1024 * 1024) + "1");
    assert_eq!(world.post(&large).await, 400);
    assert!(world.order().is_empty());
}

#[tokio::test(start_paused = true)]
async fn lifecycle_items_always_go_to_the_bus() {
    let world = World::new();
    let item = |event: &str, state: &str| json!({"subscriptionId": "s", "tenantId": TENANT, "clientState": state, "lifecycleEvent": event});
    let items =
        [item("reauthorizationRequired", CLIENT_STATE), item("brandNew", CLIENT_STATE), item("missed", "wrong")];
    assert_eq!(world.deliver_with(&items.map(Call::raw), None).await, 202);
    let events: Vec<_> = world
        .events("Subscription Lifecycle")
        .iter()
        .map(|event| (event["lifecycleEvent"].clone(), event["clientStateMatches"].clone()))
        .collect();
    assert_eq!(
        events,
        [
            (json!("reauthorizationRequired"), json!(true)),
            (json!("brandNew"), json!(true)),
            (json!("missed"), json!(false))
        ]
    );
    assert!(world.published().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_lifecycle_items_with_a_leaked_client_state_starts_the_renewer_so_many_times() {
    let world = World::new();
    let item = json!({"tenantId": TENANT, "clientState": CLIENT_STATE, "lifecycleEvent": "missed"});
    let items = || (0..1000).map(|_| Call::raw(item.clone())).collect::<Vec<_>>();
    // For each of two policies four more.
    let passed_on = 60 + 2 * 4;
    for left_out in [1000 - passed_on, 1000] {
        assert_eq!(world.deliver_with(&items(), None).await, 202);
        assert_eq!(world.events("Subscription Lifecycle").len(), passed_on);
        assert_eq!(world.metric("LifecycleEventsNotPut").unwrap()["LifecycleEventsNotPut"], left_out);
    }
    world.later(60);
    world.deliver_with(&items()[..1], None).await;
    assert_eq!(world.events("Subscription Lifecycle").len(), passed_on + 1);
}

#[tokio::test(start_paused = true)]
async fn of_more_calls_than_there_is_time_for_each_delivery_brings_others() {
    let world = World::new();
    let calls: Vec<_> = (0..200).map(|index| Call::new(&format!("call-{index}"))).collect();
    for brought in [69, 129, 189, 200] {
        assert_eq!(slowly(world.deliver(&calls)).await, 503);
        assert_eq!(world.published().len(), brought);
        assert_eq!(world.metric("NotificationsUndecided").unwrap()["NotificationsUndecided"], 131);
        (0..3).for_each(|_| world.a_moment_later());
    }
    let ids: BTreeSet<_> = world.published().iter().map(|alert| alert.document()["callId"].to_string()).collect();
    assert_eq!(ids.len(), 200, "each call once");
}

/// Runs it while the clock goes on by 20 ms whenever it pauses.
async fn slowly<T>(work: impl Future<Output = T>) -> T {
    let clock = async {
        loop {
            tokio::time::advance(tokio::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        biased;
        done = work => done,
        () = clock => unreachable!("the clock goes on for ever"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_forgeries_leaves_ten_events_and_a_full_count() {
    let world = World::strict();
    let forged: Vec<_> = (0..50).map(|_| Call::new("x").change(json!({"clientState": "wrong"}))).collect();
    let strange =
        (0..50).map(|_| Call::raw(json!({"tenantId": TENANT, "clientState": "wrong", "lifecycleEvent": "missed"})));
    assert_eq!(world.deliver(&forged.into_iter().chain(strange).collect::<Vec<_>>()).await, 202);
    assert_eq!(world.events("Notification Rejected").len(), 10);
    assert_eq!(world.events("Subscription Lifecycle").len(), 10);
    assert_eq!(world.metric("NotificationsRejected").unwrap()["NotificationsRejected"], 50);
    assert_eq!(world.calls("read_keyring"), 1, "a keyring that was read just now is not read again");
}

/// What a request made the receiver do that is dear, and how long it took.
#[derive(Debug, PartialEq, Eq)]
struct Cost {
    signatures: u64,
    decryptions: u64,
    keyring_reads: usize,
    requests_to_entra: usize,
    table_reads: usize,
    milliseconds: u128,
}

const NOTHING: Cost =
    Cost { signatures: 0, decryptions: 0, keyring_reads: 0, requests_to_entra: 0, table_reads: 0, milliseconds: 0 };

/// Delivers to a receiver that is warm, and read its keyring so lately that to read it again takes a pause.
async fn cost_of(world: &World, calls: &[Call], tokens: Option<Vec<String>>, status: u16) -> Cost {
    world.a_moment_later();
    let of = |call: &str| world.calls(call);
    let before = (of("read_keyring"), of("fetch_signing_keys"), of("find_mark") + of("find_call"));
    let begun = tokio::time::Instant::now();
    assert_eq!(world.deliver_with(calls, tokens).await, status);
    let line = world.metric("signaturesVerified").unwrap();
    Cost {
        signatures: line["signaturesVerified"].as_u64().unwrap(),
        decryptions: line["decryptions"].as_u64().unwrap(),
        keyring_reads: of("read_keyring") - before.0,
        requests_to_entra: of("fetch_signing_keys") - before.1,
        table_reads: of("find_mark") + of("find_call") - before.2,
        milliseconds: begun.elapsed().as_millis(),
    }
}

async fn warm() -> World {
    warmed(World::new()).await
}

/// The same where unverified calls are rejected.
async fn warm_strict() -> World {
    warmed(World::strict()).await
}

async fn warmed(world: World) -> World {
    world.deliver(&[Call::new("before the flood")]).await;
    world
}

fn wrong_state(id: &str) -> Call {
    Call::new(id).change(json!({"clientState": "wrong"}))
}

fn unknown_keys(count: usize) -> Vec<String> {
    (0..count).map(|index| support::forged_token_with(TENANT, &format!("kid-{index}"), json!({}))).collect()
}

#[tokio::test(start_paused = true)]
async fn what_is_dear_comes_last() {
    let stranger = || Call::new("x").tenant("99999999-2222-3333-4444-555555555555");
    let (forged, valid) = (|| support::forged_token(TENANT), || support::token(TENANT, json!({})));
    let expired = || support::forged_token_with(TENANT, "any", json!({"exp": 1}));
    let one_signature = || Cost { signatures: 1, ..NOTHING };
    for (what, call, tokens, cost) in [
        ("nothing right", Call::raw(json!(7)), vec![], NOTHING),
        ("nothing right beside a token", Call::raw(json!(7)), vec![valid()], one_signature()),
        ("another tenant", stranger(), vec![valid()], one_signature()),
        ("no client state", Call::new("x").change(json!({"clientState": null})), vec![valid()], one_signature()),
        ("no proof", Call::new("x").change(json!({"clientState": null})), vec![], NOTHING),
        ("a wrong client state without token", wrong_state("x"), vec![], NOTHING),
        ("a wrong client state with junk for tokens", wrong_state("x"), vec!["a.b.c".to_owned(); 100], NOTHING),
        ("a wrong client state with a token that is over", wrong_state("x"), vec![expired()], NOTHING),
        (
            "a wrong client state with another tenant's token",
            wrong_state("x"),
            vec![support::token(OTHER_TENANT, json!({}))],
            // A client state made a moment ago may be right, so the keyring is read again.
            Cost { signatures: 1, keyring_reads: 1, milliseconds: 180, ..NOTHING },
        ),
        ("a wrong client state with a forged token", wrong_state("x"), vec![forged()], one_signature()),
        ("a right client state without token", Call::new("x"), vec![], NOTHING),
        ("a right client state with junk for tokens", Call::new("x"), vec!["a.b.c".to_owned(); 100], NOTHING),
        ("a right client state with a token that is over", Call::new("x"), vec![expired()], NOTHING),
        ("a right client state with a forged token", Call::new("x"), vec![forged()], one_signature()),
        ("a hundred forged tokens", Call::new("x"), vec![forged(); 200], Cost { signatures: 100, ..NOTHING }),
        ("a hundred unknown keys", Call::new("x"), unknown_keys(100), Cost { requests_to_entra: 1, ..NOTHING }),
    ] {
        let world = warm_strict().await;
        assert_eq!(cost_of(&world, &[call], Some(tokens), 202).await, cost, "{what}");
        assert_eq!(world.published().len(), 1, "{what}");
    }
    let call = Cost { signatures: 1, decryptions: 1, table_reads: 2, ..NOTHING };
    assert_eq!(cost_of(&warm_strict().await, &[Call::new("call-1")], Some(vec![valid()]), 202).await, call);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_verified_once_for_all_items() {
    let resource = Call::new("x").build()["resource"].clone();
    let item = json!({"tenantId": TENANT, "resource": resource, "clientState": CLIENT_STATE});
    let items: Vec<_> = (0..1000).map(|_| Call::raw(item.clone())).collect();
    let forged = Some(vec![support::forged_token(TENANT); 3]);
    assert_eq!(cost_of(&warm().await, &items, forged, 202).await, Cost { signatures: 3, ..NOTHING });
}

#[tokio::test(start_paused = true)]
async fn without_a_keyring_it_is_asked_for_once_in_a_request() {
    let world = World::new();
    world.fault("read_keyring", Fault::Fails);
    let lifecycle = Call::raw(json!({"tenantId": TENANT, "clientState": CLIENT_STATE, "lifecycleEvent": "missed"}));
    assert_eq!(world.deliver(&[Call::new("call-1"), lifecycle]).await, 503);
    assert_eq!(world.calls("read_keyring"), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lifecycle_item_waits_for_the_keyring_that_tells_whose_it_is() {
    let world = World::new();
    world.fault("read_keyring", Fault::Fails);
    let item = || Call::raw(json!({"tenantId": TENANT, "clientState": CLIENT_STATE, "lifecycleEvent": "missed"}));
    assert_eq!(world.deliver_with(&[item()], None).await, 503);
    assert!(world.events("Subscription Lifecycle").is_empty());
    world.mend("read_keyring");
    assert_eq!(world.deliver_with(&[item()], None).await, 202);
    assert_eq!(world.events("Subscription Lifecycle")[0]["clientStateMatches"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_wrong_client_states_holds_no_instance_up() {
    let world = warm().await;
    for index in 0..200 {
        let tokens = if index % 2 == 0 { vec![] } else { vec![support::forged_token(TENANT)] };
        let cost = cost_of(&world, &[wrong_state("x")], Some(tokens), 202).await;
        assert_eq!((cost.keyring_reads, cost.milliseconds), (0, 0));
    }
    let cost = cost_of(&world, &[Call::new("call-1")], Some(vec![support::token(TENANT, json!({}))]), 202).await;
    assert_eq!((cost.keyring_reads, cost.milliseconds, world.published().len()), (0, 0, 2));
}

#[tokio::test(start_paused = true)]
async fn a_flood_leaves_twenty_events_a_minute_and_each_kind_has_its_own() {
    let world = warm_strict().await;
    let forged = || Some(vec![support::forged_token(TENANT)]);
    let lifecycle = || Call::raw(json!({"tenantId": TENANT, "clientState": "wrong", "lifecycleEvent": "missed"}));
    for _ in 0..300 {
        world.deliver_with(&[wrong_state("x")], None).await;
        world.deliver_with(&[lifecycle()], None).await;
    }
    let reported = || world.events("Notification Rejected").len() + world.events("Subscription Lifecycle").len();
    assert_eq!((reported(), world.calls("put_events")), (20, 21));
    world.deliver_with(&[Call::new("x")], forged()).await;
    assert_eq!(reported(), 21, "who knew the client state is not drowned");
    assert_eq!(world.metric("NotificationsRejected").unwrap()["Reason"], "TokenSignature");
    let counted = world.lines().iter().filter(|line| line.contains("ClientStateWrong")).count();
    assert_eq!(counted, 300, "the metric has all");
    world.later(60);
    world.deliver_with(&[wrong_state("x")], None).await;
    assert_eq!(reported(), 22);
    assert_eq!(world.deliver(&[Call::new("call-1")]).await, 202);
    assert_eq!(world.events("Emergency Call").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn within_one_request_strangers_drown_nobody_who_knew_the_client_state() {
    let world = warm_strict().await;
    let mut items: Vec<Call> = (0..20).map(|_| Call::raw(json!({"tenantId": TENANT}))).collect();
    items.push(Call::new("x"));
    world.deliver_with(&items, Some(vec![support::forged_token(TENANT)])).await;
    let reported = world.events("Notification Rejected");
    assert_eq!((reported.len(), &reported[0]["reason"]), (10, &json!("TokenSignature")));
}

#[tokio::test(start_paused = true)]
async fn for_certificates_that_nobody_knows_the_keyring_is_read_once_in_a_request() {
    for fault in [None, Some(Fault::Fails)] {
        let world = warm_strict().await;
        let before = world.calls("read_keyring");
        if let Some(fault) = fault {
            world.fault("read_keyring", fault);
        }
        world.later(1);
        let calls = ["a", "b", "c"].map(|id| Call::new(id).certificate_id("lost"));
        world.deliver(&calls).await;
        assert_eq!((world.calls("read_keyring") - before, world.published().len()), (1, 4));
    }
}

#[tokio::test(start_paused = true)]
async fn tokens_of_unknown_keys_have_the_keyring_read_five_times_a_minute_at_most() {
    let world = warm().await;
    let before = world.calls("read_keyring");
    flood_of_unknown_keys(&world, 20, 202).await;
    assert_eq!((world.calls("read_keyring") - before, world.calls("fetch_signing_keys")), (5, 2));
    assert_eq!(world.metric("NotificationsUndecided").unwrap()["NotificationsUndecided"], 0, "no alarm");
    world.set_keyring(support::keyring("key-1", "a new client state"));
    let call = Call::new("call-1").change(json!({"clientState": "a new client state"}));
    assert_eq!(world.deliver(&[call]).await, 202);
    assert_eq!(world.published().len(), 2, "a call whose token vouches for it is not held up");
}

/// Requests of a forger's who knows tenant and app, one a second.
async fn flood_of_unknown_keys(world: &World, requests: usize, status: u16) {
    for request in 0..requests {
        world.later(1);
        let answer = world.deliver_with(&[wrong_state("x")], Some(unknown_keys(1))).await;
        assert_eq!(answer, status, "request {request}");
    }
}

#[tokio::test(start_paused = true)]
async fn in_a_flood_of_unknown_keys_a_call_with_all_new_raises_its_alert() {
    let world = warm().await;
    world.publish_new_signing_key();
    let new_state = || Call::new("call-1").change(json!({"clientState": "a new client state"}));
    flood_of_unknown_keys(&world, 5, 202).await;
    world.set_keyring(support::keyring("key-1", "a new client state"));
    world.later(1);
    let token = || Some(vec![support::token_of_new_key(TENANT)]);
    assert_eq!(world.deliver_with(&[new_state()], token()).await, 202);
    assert_eq!((world.published().len(), world.calls("fetch_signing_keys")), (2, 1));
    assert_eq!(world.published()[1].document()["verified"], json!(true));
}

#[tokio::test(start_paused = true)]
async fn a_flood_of_unknown_keys_takes_entra_from_nobody_who_knows_a_client_state() {
    let world = warm_strict().await;
    flood_of_unknown_keys(&world, 20, 202).await;
    for index in 0..4 {
        let token = support::forged_token_with(TENANT, &format!("kid-{index}"), json!({}));
        assert_eq!(world.deliver_with(&[Call::new("x")], Some(vec![token])).await, 202);
    }
    world.publish_new_signing_key();
    let token = support::token_of_new_key(TENANT);
    assert_eq!(world.deliver_with(&[Call::new("call-1")], Some(vec![token])).await, 202);
    assert_eq!((world.published().len(), world.calls("fetch_signing_keys")), (2, 7));
}

#[tokio::test(start_paused = true)]
async fn in_a_flood_of_unknown_keys_while_entra_is_out_of_reach_nothing_is_lost() {
    for fault in [Fault::Fails, Fault::Hangs] {
        let world = warm().await;
        world.fault("fetch_signing_keys", fault);
        flood_of_unknown_keys(&world, 5, 503).await;
        world.later(1);
        let token = || Some(vec![support::token_of_new_key(TENANT)]);
        let mixed = [wrong_state("x"), Call::new("call-1")];
        assert_eq!(world.deliver_with(&mixed, token()).await, 503, "the first may yet turn out to be a call");
        assert_eq!(world.published()[1].document()["verified"], json!(false), "who knows a client state need not wait");
        let begun = tokio::time::Instant::now();
        flood_of_unknown_keys(&world, 9, 503).await;
        assert_eq!(begun.elapsed().as_millis(), 0, "Entra's silence holds nobody up twice");
        world.set_keyring(support::keyring("key-1", "a new client state"));
        let new = || Call::new("call-2").change(json!({"clientState": "a new client state"}));
        assert_eq!(world.deliver_with(&[new()], token()).await, 503);
        world.mend("fetch_signing_keys");
        world.publish_new_signing_key();
        world.later(10);
        assert_eq!(world.deliver_with(&[new()], token()).await, 202);
        assert_eq!(world.published()[2].document()["callId"], "call-2");
    }
}

#[tokio::test(start_paused = true)]
async fn for_items_that_hold_nothing_to_prove_the_keyring_is_not_read() {
    let lifecycle =
        |state: Value| Call::raw(json!({"tenantId": TENANT, "clientState": state, "lifecycleEvent": "missed"}));
    let world = World::new();
    world.fault("read_keyring", Fault::Fails);
    let hopeless =
        || [Call::new("x").change(json!({"clientState": null})), lifecycle(Value::Null), Call::raw(json!(7))];
    for tokens in [None, Some(vec!["junk".to_owned()]), Some(vec![support::token(TENANT, json!({"exp": 1}))])] {
        assert_eq!(world.deliver_with(&hopeless(), tokens).await, 202);
    }
    assert_eq!(world.calls("read_keyring"), 0);
    assert_eq!(world.events("Notification Rejected").len(), 6);
    let reported = world.events("Subscription Lifecycle");
    assert_eq!(reported.iter().map(|event| &event["clientStateMatches"]).collect::<Vec<_>>(), [false; 3]);
    for (item, tokens) in [
        (lifecycle(json!(CLIENT_STATE)), None),
        (Call::new("x"), None),
        (Call::new("x").change(json!({"clientState": null})), Some(vec![support::token(TENANT, json!({}))])),
    ] {
        let before = world.calls("read_keyring");
        assert_eq!(world.deliver_with(&[item], tokens).await, 503);
        assert_eq!(world.calls("read_keyring"), before + 1);
    }
}

#[tokio::test(start_paused = true)]
async fn lifecycle_items_of_strangers_hold_no_instance_up() {
    let world = warm().await;
    let item = || Call::raw(json!({"tenantId": TENANT, "clientState": "wrong", "lifecycleEvent": "missed"}));
    let mut reads = 0;
    for _ in 0..200 {
        let cost = cost_of(&world, &[item()], None, 202).await;
        assert_eq!(cost.milliseconds, 0);
        reads += cost.keyring_reads;
    }
    assert_eq!(reads, 0, "four seconds are no time for a keyring");
    world.later(10);
    assert_eq!(cost_of(&world, &[item()], None, 202).await.keyring_reads, 1);
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_hangs_holds_up_what_strangers_say_for_a_moment_only() {
    let item = |state: &str| Call::raw(json!({"tenantId": TENANT, "clientState": state, "lifecycleEvent": "missed"}));
    for (what, junk, patience) in [
        ("a rejected item", Call::raw(json!(0)), 300),
        ("a stranger's lifecycle item", item("wrong"), 300),
        ("a lifecycle item of ours", item(CLIENT_STATE), 2400),
        ("a rejected item of who knows a client state", Call::new("x"), 2400),
    ] {
        let world = warm().await;
        world.fault("put_events", Fault::Hangs);
        assert_eq!(cost_of(&world, &[junk], None, 202).await.milliseconds, patience, "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_among_ten_thousand_items_of_junk_is_found() {
    let stranger = "99999999-2222-3333-4444-555555555555";
    for (what, junk) in [
        ("numbers", json!(7)),
        ("nothing", json!({})),
        ("another tenant", json!({"tenantId": stranger, "resource": "x"})),
        ("no client state", json!({"tenantId": TENANT, "resource": "x"})),
        ("another tenant's token", json!({"tenantId": OTHER_TENANT, "resource": "x", "clientState": CLIENT_STATE})),
    ] {
        let world = warm_strict().await;
        let mut calls: Vec<_> = (0..9_999).map(|_| Call::raw(junk.clone())).collect();
        calls.insert(6_543, Call::new("call-1"));
        let taken = cost_of(&world, &calls, Some(vec![support::token(TENANT, json!({}))]), 202).await;
        assert_eq!(taken, Cost { signatures: 1, decryptions: 1, table_reads: 2, ..NOTHING }, "{what}");
        assert_eq!(world.published()[1].document()["callId"], "call-1", "{what}");
        assert_eq!((world.published().len(), world.events("Notification Rejected").len()), (2, 10), "{what}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_is_two_mebibytes_at_most_however_the_gateway_hands_it_over() {
    const LIMIT: usize = 2 * 1024 * 1024;
    let filled = |items: usize| {
        let body = format!(r#"{{"value":[{}7]}}"#, "7,".repeat(items));
        format!("{body}{}", " ".repeat(LIMIT - body.len()))
    };
    // The last has more items than would fit otherwise: a million. No item of Graph's is that small.
    for (body, status) in
        [(filled(10_000), 202), (filled(19_999), 202), (filled(20_000), 400), (filled((LIMIT - 20) / 2), 400)]
    {
        assert_eq!(body.len(), LIMIT);
        for encoded in [false, true] {
            let world = World::new();
            assert_eq!(world.post_encoded(body.as_bytes(), encoded).await, status);
            assert_eq!(world.post_encoded(format!("{body} ").as_bytes(), encoded).await, 400);
            assert!(world.published().is_empty());
        }
    }
    // As much as an event of Lambda's can hold.
    for encoded in [false, true] {
        let world = World::new();
        let size = if encoded { 6 * 1024 * 1024 / 4 * 3 } else { 6 * 1024 * 1024 };
        assert_eq!(world.post_encoded(&vec![b'['; size], encoded).await, 400);
    }
    let world = World::new();
    assert_eq!(world.post(&"[".repeat(LIMIT)).await, 400, "depth without end is no JSON");
    assert_eq!(world.post(&format!(r#"{{"value":{}"#, r#"[{"a":"#.repeat(100_000))).await, 400);
}

#[tokio::test(start_paused = true)]
async fn metrics_hold_no_personal_data() {
    let world = World::new();
    world.deliver(&[Call::new("call-1")]).await;
    let lines = world.lines().join("\n");
    for personal in ["Adele", "adele.vance", "14255550100", "Microsoft Way", "47.6396"] {
        assert!(world.published()[0].message.contains(personal), "the alert has {personal}");
        assert!(!lines.contains(personal), "{lines}");
    }
    assert!(world.marks().iter().all(|hash| hash.len() == 43));
}

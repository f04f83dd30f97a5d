//! Probes: one that is ours is counted, nothing else comes of any, and all of them get the same answer.

use graph_notifications::Keyring;
use receiver::http::Response;
use serde_json::{Value, json};

use crate::support::{self, CLIENT_STATE, Call, Fault, TENANT, World};

/// Posts a probe. Gives the name of the one metric that it leaves beside that of the keyring.
async fn count(world: &World, probe: &Value) -> String {
    let before = if world.order().is_empty() { 0 } else { world.lines().len() };
    assert_eq!(world.answer(&probe.to_string()).await, Response::accepted(), "{probe}");
    assert!(world.published().is_empty() && world.marks().is_empty() && world.remembered_calls().is_empty(), "{probe}");
    assert_eq!(world.latest(), None, "a probe is no notification");
    assert!(world.order().iter().all(|call| call == "read_keyring"), "{:?}", world.order());
    let lines = world.lines().split_off(before);
    let [line] = lines.as_slice() else { panic!("one line: {lines:?}") };
    let line: Value = serde_json::from_str(line).unwrap();
    let metrics = line["_aws"]["CloudWatchMetrics"][0]["Metrics"].as_array().unwrap();
    let names: Vec<_> = metrics.iter().map(|metric| metric["Name"].as_str().unwrap()).collect();
    let [name] = *names.iter().filter(|name| **name != "KeyringFailures").collect::<Vec<_>>() else {
        panic!("one metric: {line}")
    };
    assert_eq!((metrics.len(), &line["FunctionName"]), (2, &json!("receiver")));
    (*name).to_owned()
}

/// The probe with another value at a place.
fn changed(mut probe: Value, path: &str, value: Value) -> Value {
    *probe.pointer_mut(path).unwrap() = value;
    probe
}

#[tokio::test(start_paused = true)]
async fn a_probe_of_the_renewer_is_counted_again_and_again() {
    let world = World::new();
    for _ in 0..3 {
        assert_eq!(count(&world, &world.probe()).await, "ProbesReceived");
        world.later(300);
    }
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_is_replayed_does_not_feign_for_long_that_all_is_well() {
    let world = World::new();
    let probe = world.probe();
    assert_eq!(count(&world, &probe).await, "ProbesReceived");
    world.later(181);
    assert_eq!(count(&world, &probe).await, "ProbesRejected");
    world.later(-400);
    assert_eq!(count(&world, &probe).await, "ProbesRejected", "from the future");
}

#[tokio::test(start_paused = true)]
async fn what_is_not_ours_is_not_counted() {
    let world = World::new();
    let (probe, other) = (world.probe(), world.probe());
    let stolen = |path: &str| changed(probe.clone(), path, other.pointer(path).unwrap().clone());
    for hostile in [
        support::probe_with(&support::foreign_keyring(), world.now()),
        stolen("/probe/proof"),
        stolen("/probe/encryptedContent/data"),
        stolen("/probe/encryptedContent/dataKey"),
        stolen("/probe/encryptedContent/dataSignature"),
        changed(probe.clone(), "/probe/encryptedContent/encryptionCertificateId", json!("key-2")),
        changed(probe.clone(), "/probe/proof", json!("AAAA")),
        changed(probe.clone(), "/probe/sentAt", json!("now")),
        changed(probe.clone(), "/probe", json!({})),
        changed(probe.clone(), "/probe", json!([probe])),
        changed(probe.clone(), "/probe", Value::Null),
        changed(probe.clone(), "/probe", Call::new("call-1").build()),
        changed(probe.clone(), "/probe/encryptedContent", Call::new("call-1").build()["encryptedContent"].clone()),
    ] {
        assert_eq!(count(&world, &hostile).await, "ProbesRejected", "{hostile}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_its_keys_the_receiver_does_not_seem_well() {
    let lost = Keyring::default().to_json().unwrap();
    for (text, fault) in [
        (support::keyring("key-2", CLIENT_STATE), None),
        (support::foreign_keyring().to_json().unwrap().to_string(), None),
        (lost.to_string(), None),
        (String::new(), None),
        ("{\"version\":9}".to_owned(), None),
        (support::keyring("key-1", CLIENT_STATE), Some(Fault::Fails)),
        (support::keyring("key-1", CLIENT_STATE), Some(Fault::Hangs)),
    ] {
        let world = World::new();
        let probe = world.probe();
        world.set_keyring(text);
        if let Some(fault) = fault {
            world.fault("read_keyring", fault);
        }
        assert_eq!(count(&world, &probe).await, "ProbesRejected");
    }
}

#[tokio::test(start_paused = true)]
async fn strangers_cannot_make_the_receiver_read_its_keyring_by_probes() {
    let world = World::new();
    count(&world, &world.probe()).await;
    for _ in 0..20 {
        world.a_moment_later();
        let stranger = changed(world.probe(), "/probe/encryptedContent/encryptionCertificateId", json!("lost"));
        count(&world, &stranger).await;
    }
    assert_eq!(world.calls("read_keyring"), 1);
    let probe = world.probe();
    world.later(400);
    for cheap in [probe.clone(), changed(probe.clone(), "/probe/sentAt", json!("now")), json!({"probe": {}})] {
        count(&world, &cheap).await;
    }
    assert_eq!(world.calls("read_keyring"), 1, "though it is stale");
    count(&world, &world.probe()).await;
    assert_eq!(world.calls("read_keyring"), 2);
}

#[tokio::test(start_paused = true)]
async fn a_notification_in_a_probes_clothing_alerts_and_the_reverse_does_not() {
    let world = World::strict();
    let mut body =
        json!({"value": [Call::new("call-1").build()], "validationTokens": [support::token(TENANT, json!({}))]});
    body["probe"] = world.probe()["probe"].clone();
    assert_eq!(world.post(&body.to_string()).await, 202);
    assert_eq!(world.published().len(), 1, "a call is never taken for a probe");
    assert!(world.metric("ProbesReceived").is_none());

    let world = World::strict();
    let probe = world.probe();
    let dressed = json!({"value": [probe, probe["probe"]], "validationTokens": [support::token(TENANT, json!({}))]});
    assert_eq!(world.post(&dressed.to_string()).await, 202);
    let mut item = Call::new("call-1").build();
    item["encryptedContent"] = probe["probe"]["encryptedContent"].clone();
    assert_eq!(world.deliver(&[Call::raw(item)]).await, 202);
    assert_eq!(world.published().len(), 1, "only what came with Graph's own token");
    assert!(world.metric("ProbesReceived").is_none());
}

#[tokio::test(start_paused = true)]
async fn what_is_neither_is_refused_as_before() {
    let world = World::new();
    for body in ["{}", "{\"value\":1,\"probe\":{}}", "[{\"probe\":{}}]", "probe"] {
        assert_eq!(world.post(body).await, 400, "{body}");
    }
}

#[tokio::test(start_paused = true)]
async fn it_is_noted_when_a_notification_came() {
    let world = World::strict();
    assert_eq!(world.deliver(&[Call::new("call-1").number("933")]).await, 202);
    let first = world.now();
    assert_eq!(world.latest(), Some(first), "a test call counts");
    world.later(60);
    assert_eq!(world.deliver_with(&[Call::new("call-2")], None).await, 202);
    assert_eq!(world.latest(), Some(first), "a forged one does not");
    world.fault("note_latest", Fault::Fails);
    assert_eq!(world.deliver(&[Call::new("call-3")]).await, 202);
    assert_eq!(world.metric("StateTableFailures").unwrap()["StateTableFailures"], 1);
    assert_eq!(world.published().len(), 2);
}

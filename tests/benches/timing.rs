//! Whether the time of a refusal tells anything about a secret: how far a guessed client state is right, which byte of a content's
//! signature is wrong, and whether the wrapped key or the signature failed. Everything is measured in turn in the same run.
//!
//! Prints for each the ratio of the medians, and beside it the same for two equal inputs: that is the noise of this run. Only a
//! wrapped key that does not open may be answered faster, since nothing can be done with it; it holds no secret of ours.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its result and may panic")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use end_to_end::simulator::{config, sample};
use graph_notifications::{
    AuthenticNotification, ChangeNotificationCollection, ExaminedNotification, Keyring, Policies, UnverifiedCalls,
    authentication::{Standing, TokenVerdicts},
    envelope::{Item, LifecycleNotification},
    validation_token::Requirements,
};
use jiff::Timestamp;
use serde_json::{Value, json};

const ROUNDS: usize = 20_000;

fn main() {
    let scene = Scene::new();
    let right = scene.lifecycle["value"][0]["clientState"].as_str().unwrap().to_owned();
    let state = |wrong_at: usize| {
        let mut guess = right.clone().into_bytes();
        guess[wrong_at] = if guess[wrong_at] == b'A' { b'B' } else { b'A' };
        let Item::Lifecycle(item) = item(&scene.lifecycle, "/clientState", json!(String::from_utf8(guess).unwrap()))
        else {
            panic!("a lifecycle notification")
        };
        item
    };
    // The check that both kinds of item meet; on a lifecycle notification nothing else follows.
    let refuse = |item: &LifecycleNotification| {
        let proof = item.client_state_proof(scene.keyring.known_client_states(), &scene.policies);
        black_box(proof.standing() == Standing::Refuted)
    };
    let (first, last) = (state(0), state(right.len() - 1));
    report(
        "client state, wrong in its last character, not its first",
        ROUNDS * 10,
        || refuse(&last),
        || refuse(&first),
    );
    report("  two equal inputs", ROUNDS * 10, || refuse(&first), || refuse(&first));

    let spoilt = |member: &str, at: fn(usize) -> usize| {
        let path = format!("/encryptedContent/{member}");
        let sealed = scene.call["value"][0].pointer(&path).unwrap();
        let mut bytes = BASE64_STANDARD.decode(sealed.as_str().unwrap()).unwrap();
        let at = at(bytes.len());
        bytes[at] ^= 1;
        scene.authentic(&path, json!(BASE64_STANDARD.encode(bytes)))
    };
    let open = |item: &AuthenticNotification| black_box(item.decrypt(&scene.keyring).is_err());
    let (first, last) = (spoilt("dataSignature", |_| 0), spoilt("dataSignature", |length| length - 1));
    report("signature, wrong in its last byte, not its first", ROUNDS / 10, || open(&last), || open(&first));
    report("  two equal inputs", ROUNDS / 10, || open(&first), || open(&first));
    let key = spoilt("dataKey", |length| length - 1);
    report("wrapped key wrong, not the signature", ROUNDS / 10, || open(&key), || open(&first));
}

/// The sample notifications, and what a receiver has to judge them.
struct Scene {
    call: Value,
    lifecycle: Value,
    keyring: Keyring,
    policies: Policies,
}

impl Scene {
    fn new() -> Self {
        let read = |name: &str| {
            let path = format!("{}/../events/{name}", env!("CARGO_MANIFEST_DIR"));
            serde_json::from_str::<Value>(&std::fs::read_to_string(path).unwrap()).unwrap()
        };
        Self {
            call: serde_json::from_str(read("emergency-call.json")["body"].as_str().unwrap()).unwrap(),
            lifecycle: serde_json::from_str(read("lifecycle.json")["body"].as_str().unwrap()).unwrap(),
            keyring: Keyring::from_json(&read("keyring.json").to_string()).unwrap(),
            policies: Policies::parse(sample::POLICY, config::TENANT_ID.parse().unwrap()).unwrap(),
        }
    }

    /// The sample call with another value at this place, past the checks of token and client state.
    fn authentic(&self, path: &str, value: Value) -> AuthenticNotification {
        let Item::Change(item) = item(&self.call, path, value) else { panic!("a change notification") };
        let requirements = Requirements {
            client_id: config::CLIENT_ID.parse().unwrap(),
            policies: &self.policies,
            login_endpoint: sample::LOGIN_ENDPOINT,
            v1_issuers: "https://sts.windows.net",
            now: sample::HAPPENED_AT.parse::<Timestamp>().unwrap(),
        };
        let token = self.call["validationTokens"][0].as_str();
        let tokens = TokenVerdicts::by_keys(token, &requirements, self.keyring.signing_keys.as_ref().unwrap());
        let unverified = UnverifiedCalls::Alert;
        ExaminedNotification::examine(item, &tokens, &self.keyring, &self.policies, unverified).proven().unwrap()
    }
}

/// The item of a collection, with another value at this place.
fn item(collection: &Value, path: &str, value: Value) -> Item {
    let mut body = collection.clone();
    *body.pointer_mut(&format!("/value/0{path}")).unwrap() = value;
    ChangeNotificationCollection::parse(body.to_string().as_bytes()).unwrap().items.remove(0).unwrap()
}

/// Measures two refusals in turn and prints the ratio of their medians.
fn report(what: &str, rounds: usize, one: impl Fn() -> bool, other: impl Fn() -> bool) {
    assert!(one() && other(), "both are refused");
    let (mut ones, mut others) = (Vec::with_capacity(rounds), Vec::with_capacity(rounds));
    for round in 0..rounds {
        // Whoever comes second finds warmer caches: they take turns.
        if round % 2 == 0 {
            ones.push(time(&one));
            others.push(time(&other));
        } else {
            others.push(time(&other));
            ones.push(time(&one));
        }
    }
    let (one, other) = (median(ones), median(others));
    let ratio = one.as_secs_f64() / other.as_secs_f64();
    println!("{what:58} {:9.2} us {:9.2} us  ratio {ratio:.3}", micros(one), micros(other));
}

fn time(work: impl FnOnce() -> bool) -> Duration {
    let start = Instant::now();
    black_box(work());
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

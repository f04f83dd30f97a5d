//! What a warm receiver spends on one notification, against what cannot be avoided: one OAEP decryption and one RS256
//! verification, measured in turn in the same run. Prints medians and their ratio; the aim is a ratio of at most 1.3.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a benchmark prints its result and may panic")]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use end_to_end::simulator::{
    keys::shared,
    notification::{self, Caller, DocumentShape, EmergencyEvent, ItemOrigin},
    sealing,
    signing_keys::SigningKey,
    tokens::{TokenVersion, ValidationTokenBuilder},
};
use graph_notifications::{
    ChangeNotificationCollection, ExaminedNotification, Keyring, Policies, SigningKeys, UnverifiedCalls,
    authentication::TokenVerdicts, envelope::Item, validation_token::Requirements,
};
use jiff::{SignedDuration, Timestamp};
use openssl::{encrypt::Decrypter, hash::MessageDigest, rsa::Padding};
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RsaPublicKeyComponents};
use serde_json::json;

const TENANT: &str = "11111111-2222-3333-4444-555555555555";
const CLIENT: &str = "cccccccc-2222-3333-4444-555555555555";
const LOGIN: &str = "https://login.microsoftonline.com";
const NOW: Timestamp = Timestamp::constant(1_764_000_000, 0);
const ROUNDS: usize = 2000;

fn main() {
    let work = Work::new();
    work.whole_path();
    work.unavoidable();
    let (mut whole, mut unavoidable) = (Vec::with_capacity(ROUNDS), Vec::with_capacity(ROUNDS));
    for _ in 0..ROUNDS {
        whole.push(time(|| work.whole_path()));
        unavoidable.push(time(|| work.unavoidable()));
    }
    let (whole, unavoidable) = (median(whole), median(unavoidable));
    println!("one token and one RSA-2048 item, {} bytes of request, {ROUNDS} rounds, medians:", work.body.len());
    println!("  parse, examine, decrypt                    {:7.1} us", micros(whole));
    println!("  one OAEP decryption and one verification   {:7.1} us", micros(unavoidable));
    println!("  ratio {:.3}", whole.as_secs_f64() / unavoidable.as_secs_f64());
}

/// A notification, and everything that is at hand in a warm receiver.
struct Work {
    body: Vec<u8>,
    keyring: Keyring,
    policies: Policies,
    wrapped_key: Vec<u8>,
    signed: String,
    signature: Vec<u8>,
    signing_key: SigningKey,
}

impl Work {
    fn new() -> Self {
        let (encryption, signing_key) = (shared(2048, 0), SigningKey::new(shared(2048, 1)));
        let event = EmergencyEvent {
            id: "11111111-0000-0000-0000-000000000000".to_owned(),
            call_event_type: "callStarted".to_owned(),
            policy: "Global".to_owned(),
            occurred_at: NOW,
            number: "911".to_owned(),
            caller: Caller::default(),
            tenant: TENANT.to_owned(),
            location: notification::default_location(),
        };
        let document = event.document(DocumentShape::Wrapped).to_string();
        let content = sealing::seal(document.as_bytes(), &encryption.certificate_der(), "key-1").unwrap();
        let origin = ItemOrigin {
            subscription_id: "22222222-0000-0000-0000-000000000000".to_owned(),
            subscription_expires_at: NOW + SignedDuration::from_hours(23),
            tenant: TENANT.to_owned(),
            policy: "Global".to_owned(),
            client_state: Some("a client state".to_owned()),
        };
        let item = notification::change_notification(&origin, &event.id, &content);
        let token = ValidationTokenBuilder::new(TokenVersion::V2, LOGIN, TENANT, CLIENT, NOW)
            .sign(&signing_key.kid, &signing_key.pair.private_key)
            .unwrap();
        let jwks = json!({"keys": [signing_key.jwk(Some(&format!("{LOGIN}/{{tenantid}}/v2.0")))]}).to_string();
        let keyring = json!({
            "version": 1,
            "keys": [{"certificateId": "key-1", "certificate": encryption.certificate_base64(), "createdAt": NOW,
                "privateKey": BASE64_STANDARD.encode(encryption.private_key.private_key_to_pkcs8().unwrap())}],
            "clientStates": [{"id": "s1", "value": "a client state", "createdAt": NOW}],
            "signingKeys": SigningKeys::from_jwks(jwks.as_bytes(), NOW).unwrap(),
        });
        let (signed, signature) = token.rsplit_once('.').unwrap();
        Self {
            wrapped_key: BASE64_STANDARD.decode(&content.data_key).unwrap(),
            signed: signed.to_owned(),
            signature: BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap(),
            body: notification::collection(&[item], Some(&[token])).to_string().into_bytes(),
            keyring: Keyring::from_json(&keyring.to_string()).unwrap(),
            policies: Policies::parse("Global", TENANT.parse().unwrap()).unwrap(),
            signing_key,
        }
    }

    fn whole_path(&self) {
        let requirements = Requirements {
            client_id: CLIENT.parse().unwrap(),
            policies: &self.policies,
            login_endpoint: LOGIN,
            v1_issuers: "https://sts.windows.net",
            now: NOW,
        };
        let mut collection = ChangeNotificationCollection::parse(black_box(&self.body)).unwrap();
        let Ok(Item::Change(notification)) = collection.items.remove(0) else { panic!("a change notification") };
        let tokens = collection.validation_tokens.iter().map(String::as_str);
        let tokens = TokenVerdicts::by_keys(tokens, &requirements, self.keyring.signing_keys.as_ref().unwrap());
        let unverified = UnverifiedCalls::Alert;
        let examined = ExaminedNotification::examine(notification, &tokens, &self.keyring, &self.policies, unverified);
        let authentic = examined.proven().unwrap();
        assert!(authentic.is_verified());
        black_box(authentic.decrypt(&self.keyring).unwrap());
    }

    fn unavoidable(&self) {
        let private_key = &shared(2048, 0).private_key;
        let mut decrypter = Decrypter::new(private_key).unwrap();
        decrypter.set_rsa_padding(Padding::PKCS1_OAEP).unwrap();
        decrypter.set_rsa_oaep_md(MessageDigest::sha1()).unwrap();
        decrypter.set_rsa_mgf1_md(MessageDigest::sha1()).unwrap();
        let mut key = vec![0; decrypter.decrypt_len(&self.wrapped_key).unwrap()];
        decrypter.decrypt(black_box(&self.wrapped_key), &mut key).unwrap();
        black_box(key);
        let rsa = self.signing_key.pair.private_key.rsa().unwrap();
        let key = RsaPublicKeyComponents { n: rsa.n().to_vec(), e: rsa.e().to_vec() };
        key.verify(&RSA_PKCS1_2048_8192_SHA256, black_box(self.signed.as_bytes()), &self.signature).unwrap();
    }
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

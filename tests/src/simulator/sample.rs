//! The sample events: what API Gateway and Amazon's scheduler hand to the functions, with a keyring that fits them.
//!
//! Everything but keys and other randomness is fixed, so that a sample written anew differs from the old one only there.

use std::io;
use std::path::Path;
use std::str::FromStr as _;

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use openssl::error::ErrorStack;
use openssl::rand::rand_bytes;
use serde_json::{Map, Value, json};

use super::config::{CLIENT_ID, TENANT_ID};
use super::handshake::form_encode;
use super::keys::KeyPair;
use super::notification::{self, Caller, DocumentShape, EmergencyEvent, ItemOrigin};
use super::sealing::seal;
use super::signing_keys::SigningKey;
use super::tokens::{TokenVersion, ValidationTokenBuilder};

/// The policy of the sample call.
pub const POLICY: &str = "Global";
/// The id of the sample call.
pub const CALL_ID: &str = "11111111-0000-0000-0000-000000000911";
/// The id of the sample subscription.
pub const SUBSCRIPTION_ID: &str = "7f105c7d-2dc5-4530-97cd-4e7ae6534c07";
/// The name of the sample's encryption certificate.
pub const CERTIFICATE_ID: &str = "sample-key";
/// The login endpoint of the sample.
pub const LOGIN_ENDPOINT: &str = "https://login.microsoftonline.com";
/// When everything in the sample happens.
pub const HAPPENED_AT: &str = "2026-11-23T10:00:00Z";
/// When the sample's validation token ends, so that the sample stays valid.
pub const TOKEN_EXPIRES_AT: &str = "2100-01-01T00:00:00Z";

const API_ID: &str = "a1b2c3d4e5";
const REGION: &str = "us-east-1";
const ACCOUNT: &str = "123456789012";

/// Why a sample was not written.
#[derive(Debug, thiserror::Error)]
pub enum SampleError {
    /// OpenSSL failed.
    #[error("OpenSSL failed")]
    OpenSsl(#[from] ErrorStack),
    /// A file could not be written.
    #[error("a sample event could not be written")]
    Write(#[from] io::Error),
}

/// Writes the sample events and their keyring to `directory`.
///
/// # Errors
/// When OpenSSL fails, or a file cannot be written.
pub fn write(directory: &Path) -> Result<(), SampleError> {
    for (name, event) in files()? {
        std::fs::write(directory.join(name), format!("{event:#}\n"))?;
    }
    Ok(())
}

fn files() -> Result<[(&'static str, Value); 5], ErrorStack> {
    let encryption = KeyPair::generate(2048, "sample encryption key")?;
    let signing = SigningKey::new(KeyPair::generate(2048, "sample signing key")?.into());
    let mut client_state = [0; 32];
    rand_bytes(&mut client_state)?;
    let client_state = URL_SAFE_NO_PAD.encode(client_state);

    let origin = ItemOrigin {
        subscription_id: SUBSCRIPTION_ID.to_owned(),
        subscription_expires_at: time("2026-11-24T09:30:00Z"),
        tenant: TENANT_ID.to_owned(),
        policy: POLICY.to_owned(),
        client_state: Some(client_state.clone()),
    };
    let call = emergency_call(&origin, &encryption, &signing)?;
    let lifecycle =
        notification::lifecycle_collection(&[notification::lifecycle_notification(&origin, "reauthorizationRequired")]);
    Ok([
        ("handshake.json", handshake_event()),
        ("emergency-call.json", posted(&call)),
        ("lifecycle.json", posted(&lifecycle)),
        ("scheduled.json", scheduled_event()),
        ("keyring.json", keyring(&encryption, &signing, &client_state)?),
    ])
}

fn emergency_call(origin: &ItemOrigin, encryption: &KeyPair, signing: &SigningKey) -> Result<Value, ErrorStack> {
    let event = EmergencyEvent {
        id: CALL_ID.to_owned(),
        call_event_type: "callStarted".to_owned(),
        policy: POLICY.to_owned(),
        occurred_at: time(HAPPENED_AT),
        number: "911".to_owned(),
        caller: Caller::default(),
        tenant: TENANT_ID.to_owned(),
        location: notification::default_location(),
    };
    let document = event.document(DocumentShape::Wrapped).to_string();
    let content = seal(document.as_bytes(), &encryption.certificate_der(), CERTIFICATE_ID)?;
    let token = ValidationTokenBuilder {
        expires_at: time(TOKEN_EXPIRES_AT),
        ..ValidationTokenBuilder::new(TokenVersion::V1, LOGIN_ENDPOINT, TENANT_ID, CLIENT_ID, time(HAPPENED_AT))
    }
    .sign(&signing.kid, &signing.pair.private_key)?;
    Ok(notification::collection(&[notification::change_notification(origin, CALL_ID, &content)], Some(&[token])))
}

fn keyring(encryption: &KeyPair, signing: &SigningKey, client_state: &str) -> Result<Value, ErrorStack> {
    let jwk = signing.jwk(None);
    Ok(json!({
        "version": 1,
        "keys": [{
            "certificateId": CERTIFICATE_ID,
            "certificate": encryption.certificate_base64(),
            "privateKey": STANDARD.encode(encryption.private_key.private_key_to_pkcs8()?),
            "createdAt": "2026-11-23T09:00:00Z",
            "retiredAt": null,
        }],
        "clientStates": [{
            "id": "sample",
            "value": client_state,
            "createdAt": "2026-11-23T09:00:00Z",
            "retiredAt": null,
        }],
        "signingKeys": {
            "fetchedAt": "2026-11-23T09:45:00Z",
            "keys": [{
                "kid": jwk["kid"],
                "n": jwk["n"],
                "e": jwk["e"],
                "issuer": format!("{LOGIN_ENDPOINT}/{{tenantid}}/v2.0"),
            }],
        },
    }))
}

fn handshake_event() -> Value {
    let token = "Validation: Testing client application reachability for subscription Request-Id: \
                 3c2f0f2d-6f2e-4f5c-9d6e-2b0a7c1d8e90";
    let mut event = http_event("text/plain; charset=utf-8", 0);
    event["rawQueryString"] = json!(format!("validationToken={}", form_encode(token)));
    event["queryStringParameters"] = json!({ "validationToken": token });
    event
}

fn posted(body: &Value) -> Value {
    let body = body.to_string();
    let mut event = http_event("application/json; charset=utf-8", body.len());
    event["body"] = json!(body);
    event
}

/// A request as an HTTP API hands it to a function (payload format 2.0), without query and body.
fn http_event(content_type: &str, content_length: usize) -> Value {
    let domain = format!("{API_ID}.execute-api.{REGION}.amazonaws.com");
    let source = "20.44.210.83";
    let received = time(HAPPENED_AT);
    json!({
        "version": "2.0",
        "routeKey": "POST /notifications",
        "rawPath": "/notifications",
        "rawQueryString": "",
        "headers": {
            "content-length": content_length.to_string(),
            "content-type": content_type,
            "host": domain,
            "x-amzn-trace-id": "Root=1-6922d3a0-0f1e2d3c4b5a69788796a5b4",
            "x-forwarded-for": source,
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": ACCOUNT,
            "apiId": API_ID,
            "domainName": domain,
            "domainPrefix": API_ID,
            "http": {
                "method": "POST",
                "path": "/notifications",
                "protocol": "HTTP/1.1",
                "sourceIp": source,
                "userAgent": "",
            },
            "requestId": "UfVQ9hKYIAMEPsQ=",
            "routeKey": "POST /notifications",
            "stage": "$default",
            "time": received.strftime("%d/%b/%Y:%H:%M:%S +0000").to_string(),
            "timeEpoch": received.as_millisecond(),
        },
        "isBase64Encoded": false,
    })
}

/// What `EventBridge` Scheduler sends to a function when the schedule has no input of its own.
fn scheduled_event() -> Value {
    let mut event = Map::new();
    event.insert("version".to_owned(), json!("0"));
    event.insert("id".to_owned(), json!("d9c1e8a5-4b0f-4c7e-8f6d-1a2b3c4d5e6f"));
    event.insert("detail-type".to_owned(), json!("Scheduled Event"));
    event.insert("source".to_owned(), json!("aws.scheduler"));
    event.insert("account".to_owned(), json!(ACCOUNT));
    event.insert("time".to_owned(), json!(HAPPENED_AT));
    event.insert("region".to_owned(), json!(REGION));
    event.insert(
        "resources".to_owned(),
        json!([format!("arn:aws:scheduler:{REGION}:{ACCOUNT}:schedule/default/teams-emergency-alerts-renewal")]),
    );
    event.insert("detail".to_owned(), json!("{}"));
    Value::Object(event)
}

fn time(text: &str) -> Timestamp {
    Timestamp::from_str(text).expect("the sample's times are well-formed")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::sealing::{EncryptedContent, unseal};
    use crate::simulator::tokens::verified_claims;
    use openssl::bn::BigNum;
    use openssl::pkey::PKey;
    use openssl::rsa::Rsa;
    use openssl::x509::X509;
    use std::collections::BTreeMap;

    fn committed() -> BTreeMap<String, Value> {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events");
        let read = |name: &str| serde_json::from_slice(&std::fs::read(directory.join(name)).unwrap()).unwrap();
        ["handshake.json", "emergency-call.json", "lifecycle.json", "scheduled.json", "keyring.json"]
            .map(|name| (name.to_owned(), read(name)))
            .into()
    }

    fn generated() -> BTreeMap<String, Value> {
        files().unwrap().map(|(name, event)| (name.to_owned(), event)).into()
    }

    fn body(event: &Value) -> Value {
        let text = event["body"].as_str().unwrap();
        assert_eq!(event["headers"]["content-length"], text.len().to_string());
        serde_json::from_str(text).unwrap()
    }

    fn number(text: &Value) -> BigNum {
        BigNum::from_slice(&URL_SAFE_NO_PAD.decode(text.as_str().unwrap()).unwrap()).unwrap()
    }

    #[test]
    fn the_keyring_opens_the_call_and_vouches_for_its_token() {
        for sample in [generated(), committed()] {
            let keyring = &sample["keyring.json"];
            let call = body(&sample["emergency-call.json"]);
            let item = &call["value"][0];
            assert_eq!(item["clientState"], keyring["clientStates"][0]["value"]);

            let content: EncryptedContent = serde_json::from_value(item["encryptedContent"].clone()).unwrap();
            assert_eq!(content.encryption_certificate_id, keyring["keys"][0]["certificateId"]);
            let decode = |name: &str| STANDARD.decode(keyring["keys"][0][name].as_str().unwrap()).unwrap();
            let key = PKey::private_key_from_pkcs8(&decode("privateKey")).unwrap();
            let certificate = X509::from_der(&decode("certificate")).unwrap();
            assert!(certificate.public_key().unwrap().public_eq(&key));
            let document: Value = serde_json::from_slice(&unseal(&content, &key).unwrap()).unwrap();
            assert_eq!(document["emergencyCallEvent"]["id"], CALL_ID);

            let jwk = &keyring["signingKeys"]["keys"][0];
            let signer = Rsa::from_public_components(number(&jwk["n"]), number(&jwk["e"])).unwrap();
            let token = call["validationTokens"][0].as_str().unwrap();
            let claims = verified_claims(token, &PKey::from_rsa(signer).unwrap()).unwrap();
            assert_eq!(claims["tid"], TENANT_ID);
            assert_eq!(claims["aud"], CLIENT_ID);
            assert_eq!(claims["exp"], time(TOKEN_EXPIRES_AT).as_second());
        }
    }

    #[test]
    fn the_committed_sample_is_what_would_be_written_but_for_randomness() {
        let (generated, committed) = (generated(), committed());
        assert_eq!(generated["handshake.json"], committed["handshake.json"]);
        assert_eq!(generated["scheduled.json"], committed["scheduled.json"]);
        for name in ["emergency-call.json", "lifecycle.json"] {
            let envelope = |event: &Value| {
                let mut event = event.clone();
                event["body"] = Value::Null;
                event["headers"]["content-length"] = Value::Null;
                event
            };
            assert_eq!(envelope(&generated[name]), envelope(&committed[name]));
        }
    }

    #[test]
    fn the_handshake_is_encoded_once_in_the_raw_query() {
        let event = handshake_event();
        let raw = event["rawQueryString"].as_str().unwrap();
        assert!(raw.starts_with("validationToken=Validation%3a+Testing+client"));
        let (_, token) = form_urlencoded::parse(raw.as_bytes()).next().unwrap();
        assert_eq!(event["queryStringParameters"]["validationToken"], token.as_ref());
        assert!(event.get("body").is_none());
    }

    #[test]
    fn the_lifecycle_event_is_one() {
        let lifecycle = body(&generated()["lifecycle.json"]);
        assert_eq!(lifecycle["value"][0]["lifecycleEvent"], "reauthorizationRequired");
        assert_eq!(lifecycle["value"][0]["subscriptionId"], SUBSCRIPTION_ID);
    }
}

//! What cases are made of: genuine notifications, and what a forger can do to them.

use base64::{Engine as _, engine::general_purpose::STANDARD, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use openssl::hash::{MessageDigest, hash};
use openssl::pkey::PKey;
use openssl::sign::Signer;
use serde_json::{Value, json};
use uuid::Uuid;

use super::case::{Body, Case, Expectation, Group, Proof, Raised, Request};
use super::encoding;
use super::target::{
    CERTIFICATE_ID, CLIENT, CLIENT_STATE, HAPPENED_AT, OTHER_POLICY, OTHER_TENANT, POLICY, TENANT, TOKEN_EXPIRES_AT,
    Target,
};
use crate::simulator::keys::KeyPair;
use crate::simulator::notification::{self, Caller, DocumentShape, EmergencyEvent, ItemOrigin};
use crate::simulator::sealing::{self, EncryptedContent};
use crate::simulator::tokens::{self, TokenVersion, ValidationTokenBuilder};

/// The subscription that the notifications speak of.
pub(super) const SUBSCRIPTION_ID: &str = "7f105c7d-2dc5-4530-97cd-4e7ae6534c07";

/// The keys of Entra and of the receiver, and genuine notifications.
pub(super) struct Forge<'a> {
    pub(super) target: &'a Target,
}

impl<'a> Forge<'a> {
    pub(super) fn new(target: &'a Target) -> Self {
        Self { target }
    }

    /// The call of a case: each has its own, or a receiver would take a forgery for a duplicate.
    pub(super) fn event(case: &str) -> EmergencyEvent {
        EmergencyEvent {
            id: guid(case),
            call_event_type: "callStarted".to_owned(),
            policy: POLICY.to_owned(),
            occurred_at: time(HAPPENED_AT),
            number: "911".to_owned(),
            caller: Caller::default(),
            tenant: TENANT.to_owned(),
            location: json!({"address": {"street": "Microsoft Way", "city": "Redmond", "state": "WA"}}),
        }
    }

    /// The document that Graph seals for an event.
    pub(super) fn document(event: &EmergencyEvent) -> String {
        event.document(DocumentShape::Wrapped).to_string()
    }

    /// The item with which Graph tells of the case's call.
    pub(super) fn item(&self, case: &str) -> Value {
        self.item_of(&Self::event(case))
    }

    /// The item with which Graph tells of a call of the other tenant's.
    pub(super) fn other_tenants_item(&self, case: &str) -> Value {
        let event =
            EmergencyEvent { policy: OTHER_POLICY.to_owned(), tenant: OTHER_TENANT.to_owned(), ..Self::event(case) };
        self.item_of(&event)
    }

    /// The item with which Graph tells of an event.
    pub(super) fn item_of(&self, event: &EmergencyEvent) -> Value {
        Self::item_with(event, &self.sealed(Self::document(event).as_bytes(), &event.id))
    }

    /// The same with content of the caller's.
    pub(super) fn item_with(event: &EmergencyEvent, content: &EncryptedContent) -> Value {
        let origin = ItemOrigin {
            subscription_id: SUBSCRIPTION_ID.to_owned(),
            subscription_expires_at: time("2026-11-24T09:30:00Z"),
            tenant: event.tenant.clone(),
            policy: event.policy.clone(),
            client_state: Some(CLIENT_STATE.to_owned()),
        };
        notification::change_notification(&origin, &event.id, content)
    }

    /// A document sealed as Graph seals it, under a symmetric key that `name` decides.
    pub(super) fn sealed(&self, document: &[u8], name: &str) -> EncryptedContent {
        Self::sealed_for(&self.target.encryption, CERTIFICATE_ID, document, name)
    }

    /// The same for another key pair.
    pub(super) fn sealed_for(pair: &KeyPair, certificate_id: &str, document: &[u8], name: &str) -> EncryptedContent {
        let key = sha256(&format!("key {name}"));
        let wrapped = encoding::oaep(pair, &key, MessageDigest::sha1(), name.as_bytes());
        let content = sealing::seal_with(document, &pair.certificate_der(), certificate_id, &key);
        EncryptedContent {
            data_key: STANDARD.encode(wrapped.expect("OpenSSL wraps a key")),
            ..content.expect("OpenSSL seals a document")
        }
    }

    /// The symmetric key under which `name` is sealed.
    pub(super) fn symmetric_key(name: &str) -> Vec<u8> {
        sha256(&format!("key {name}"))
    }

    /// The header of Entra's tokens.
    pub(super) fn header(&self, version: TokenVersion) -> Value {
        tokens::header(version, &self.target.signing.kid)
    }

    /// The claims of a token by which Entra vouches for a tenant.
    pub(super) fn claims(&self, version: TokenVersion, tenant: &str) -> Value {
        let builder =
            ValidationTokenBuilder::new(version, &self.target.login_endpoint, tenant, CLIENT, time(HAPPENED_AT));
        let mut claims = ValidationTokenBuilder { expires_at: time(TOKEN_EXPIRES_AT), ..builder }.claims();
        for drawn in ["aio", "oid", "rh", "sub", "uti"] {
            claims[drawn] = json!(guid(drawn));
        }
        claims
    }

    /// A token with these claims under Entra's signature.
    pub(super) fn signed(&self, claims: &Value) -> String {
        Self::signed_with(&self.header(TokenVersion::V2), claims, &self.target.signing.pair)
    }

    /// A token with this header and these claims, signed with RS256 whatever the header says.
    pub(super) fn signed_with(header: &Value, claims: &Value, pair: &KeyPair) -> String {
        tokens::sign(header, claims, &pair.private_key).expect("OpenSSL signs a token")
    }

    /// The same for a header and claims that no JSON value holds.
    pub(super) fn signed_text(&self, header: &[u8], claims: &[u8]) -> String {
        let signed = join(header, claims);
        with_signature(&signed, &rs256(&self.target.signing.pair, signed.as_bytes()))
    }

    /// Entra's token for the receiver's tenant.
    pub(super) fn token(&self) -> String {
        self.signed(&self.claims(TokenVersion::V2, TENANT))
    }

    /// The request's body for one item that has Entra's token.
    pub(super) fn vouched(&self, item: Value) -> Value {
        notification::collection(&[item], Some(&[self.token()]))
    }
}

/// Collects the cases of a group.
pub(super) struct Cases<'a> {
    pub(super) forge: &'a Forge<'a>,
    group: Group,
    proofs: Vec<Proof>,
}

impl<'a> Cases<'a> {
    pub(super) fn new(forge: &'a Forge<'a>, group: &str, about: &str) -> Self {
        let group = Group { group: group.to_owned(), about: about.to_owned(), cases: Vec::new() };
        Self { forge, group, proofs: Vec::new() }
    }

    /// From here on, the items of cases that must raise no verified alert hold these proofs.
    pub(super) fn holding(&mut self, proofs: &[Proof]) {
        self.proofs = proofs.to_vec();
    }

    pub(super) fn done(self) -> Group {
        self.group
    }

    /// The id of a case of this group.
    pub(super) fn id(&self, name: &str) -> String {
        format!("{}/{name}", self.group.group)
    }

    /// The item with which Graph tells of the case's call.
    pub(super) fn item(&self, name: &str) -> Value {
        self.forge.item(&self.id(name))
    }

    /// The case's item, with members set; null removes one.
    pub(super) fn item_with(&self, name: &str, changes: &Value) -> Value {
        let mut item = self.item(name);
        change(&mut item, changes);
        item
    }

    /// A body that has the form of notifications and must raise no verified alert, for this reason. If its item holds one
    /// proof, it opens as the case's call.
    pub(super) fn rejected(&mut self, name: &str, rule: &str, attack: &str, reason: &str, body: impl Into<Body>) {
        let reason = (!reason.is_empty()).then_some(reason);
        self.rejected_request(name, rule, attack, reason, Request::post(body));
    }

    /// The same for a request that is no plain POST.
    pub(super) fn rejected_request(
        &mut self,
        name: &str,
        rule: &str,
        attack: &str,
        reason: Option<&str>,
        request: Request,
    ) {
        self.add(name, rule, attack, request, Expectation::rejected(reason));
        let proofs = self.proofs.clone();
        self.latest_holds(&proofs);
    }

    /// The latest case's item holds these proofs. If it is one, the item opens as the case's call.
    pub(super) fn latest_holds(&mut self, proofs: &[Proof]) {
        let Some(case) = self.group.cases.last_mut() else { return };
        case.proofs = proofs.to_vec();
        case.expect.in_alert_mode = match proofs {
            [_] => Some(vec![Raised::new(&guid(&case.id), false)]),
            _ => None,
        };
    }

    /// The latest case's item does not open, or tells nothing new, so that nothing is raised with `UnverifiedCalls=Alert`,
    /// either.
    pub(super) fn never_raised(&mut self) {
        self.raised(None);
    }

    /// What the latest case raises with `UnverifiedCalls=Alert`.
    pub(super) fn raised(&mut self, raised: impl Into<Option<Vec<Raised>>>) {
        if let Some(case) = self.group.cases.last_mut() {
            case.expect.in_alert_mode = raised.into();
        }
    }

    /// In how many messages that is told.
    pub(super) fn in_messages(&mut self, count: usize) {
        if let Some(case) = self.group.cases.last_mut() {
            case.expect.messages_in_alert_mode = Some(count);
        }
    }

    /// The case that must have been delivered before the latest.
    pub(super) fn after(&mut self, id: &str) {
        if let Some(case) = self.group.cases.last_mut() {
            case.after = Some(id.to_owned());
        }
    }

    /// The case's item as Graph would send it, but for the token.
    pub(super) fn token(&mut self, name: &str, rule: &str, attack: &str, reason: &str, token: &str) {
        let body = notification::collection(&[self.item(name)], Some(&[token.to_owned()]));
        self.rejected(name, rule, attack, reason, body);
    }

    /// A body that has not even the form of notifications.
    pub(super) fn refused(&mut self, name: &str, rule: &str, attack: &str, body: impl Into<Body>) {
        self.add(name, rule, attack, Request::post(body), Expectation::refused());
    }

    pub(super) fn add(&mut self, name: &str, rule: &str, attack: &str, request: Request, expect: Expectation) {
        let (id, rule, attack) = (self.id(name), rule.to_owned(), attack.to_owned());
        let proofs = if expect.alerts > 0 { vec![Proof::Token, Proof::ClientState] } else { Vec::new() };
        self.group.cases.push(Case { id, rule, attack, own: false, proofs, after: None, request, expect });
    }

    /// Marks the latest case: its rule is one of this project's own.
    pub(super) fn own(&mut self) {
        if let Some(case) = self.group.cases.last_mut() {
            case.own = true;
        }
    }

    /// A case that counts only when the genuine one was delivered before.
    pub(super) fn add_after(&mut self, genuine: &str, name: &str, rule: &str, attack: &str, request: Request) {
        self.add(name, rule, attack, request, Expectation::rejected(None));
        self.latest_holds(&[Proof::Token, Proof::ClientState]);
        self.after(genuine);
    }
}

/// Sets members of an object; null removes one.
pub(super) fn change(object: &mut Value, changes: &Value) {
    let (Some(object), Some(changes)) = (object.as_object_mut(), changes.as_object()) else { return };
    for (name, value) in changes {
        if value.is_null() {
            object.remove(name);
        } else {
            object.insert(name.clone(), value.clone());
        }
    }
}

/// The same on a copy.
pub(super) fn changed(object: &Value, changes: &Value) -> Value {
    let mut copy = object.clone();
    change(&mut copy, changes);
    copy
}

/// A token's first two parts.
pub(super) fn join(header: &[u8], claims: &[u8]) -> String {
    format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims))
}

/// A token of its first two parts and the signature.
pub(super) fn with_signature(signed: &str, signature: &[u8]) -> String {
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// The RSASSA-PKCS1-v1_5 signature with SHA-256.
pub(super) fn rs256(pair: &KeyPair, message: &[u8]) -> Vec<u8> {
    rsa_signature(pair, message, MessageDigest::sha256())
}

/// The RSASSA-PKCS1-v1_5 signature with any digest.
pub(super) fn rsa_signature(pair: &KeyPair, message: &[u8], digest: MessageDigest) -> Vec<u8> {
    let signer = Signer::new(digest, &pair.private_key);
    signer.and_then(|mut signer| signer.sign_oneshot_to_vec(message)).expect("OpenSSL signs a text")
}

/// HMAC with SHA-256.
pub(super) fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    // OpenSSL takes no empty key; one of zeros is the same, since HMAC fills a key up with them.
    let key = if key.is_empty() { &[0] } else { key };
    let signature = PKey::hmac(key).and_then(|key| {
        let mut signer = Signer::new(MessageDigest::sha256(), &key)?;
        signer.sign_oneshot_to_vec(message)
    });
    signature.expect("OpenSSL computes an HMAC")
}

/// A GUID that the text decides.
pub(super) fn guid(text: &str) -> String {
    let digest = sha256(text);
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    Uuid::from_bytes(bytes).to_string()
}

pub(super) fn time(text: &str) -> Timestamp {
    text.parse().expect("the corpus's times are well-formed")
}

fn sha256(text: &str) -> Vec<u8> {
    hash(MessageDigest::sha256(), text.as_bytes()).expect("OpenSSL computes a digest").to_vec()
}

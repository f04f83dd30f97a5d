//! Subscriptions, and every rule of Graph's about them ("subscription resource type", "Create subscription",
//! "Update subscription", "Get change notifications for Microsoft Teams emergency call event updates").

use base64::{Engine as _, engine::general_purpose::STANDARD};
use jiff::{SignedDuration, Timestamp};
use openssl::pkey::Id;
use openssl::x509::X509;
use reqwest::Url;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::clock::graph_time;
use super::config::{CertificatePatch, Duplicate, Lists, Settings};
use super::notification::{self, ItemOrigin};

/// The longest life of a subscription to emergency events.
pub(crate) const LONGEST_LIFE: SignedDuration = SignedDuration::from_hours(24);
/// A shorter life than this is silently raised to it.
pub(crate) const SHORTEST_LIFE: SignedDuration = SignedDuration::from_mins(45);
/// PATCH and reauthorize of one subscription must be at least this far apart.
pub(crate) const UNMIXED: SignedDuration = SignedDuration::from_mins(10);
/// The longest `clientState` and `encryptionCertificateId`, in characters.
pub(crate) const LONGEST_TEXT: usize = 128;

/// An error as Graph reports it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GraphError {
    pub(crate) status: u16,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) retry_after_seconds: Option<u32>,
}

impl GraphError {
    pub(crate) fn new(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, code: code.to_owned(), message: message.into(), retry_after_seconds: None }
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Self::new(400, "InvalidRequest", message)
    }

    fn not_found() -> Self {
        Self::new(404, "ResourceNotFound", "The object was not found.")
    }
}

/// Who calls, as the access token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Principal {
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    pub(crate) object_id: String,
    pub(crate) token_issued_at: Timestamp,
    pub(crate) token_expires_at: Timestamp,
}

/// A certificate to seal for, checked.
#[derive(Clone)]
pub(crate) struct EncryptionCertificate {
    pub(crate) der: Vec<u8>,
    pub(crate) id: String,
}

/// A subscription.
#[derive(Clone)]
pub(crate) struct Subscription {
    pub(crate) id: String,
    pub(crate) tenant: String,
    pub(crate) client_id: String,
    pub(crate) creator_id: String,
    pub(crate) policy: String,
    pub(crate) notification_url: String,
    pub(crate) lifecycle_notification_url: String,
    pub(crate) client_state: Option<String>,
    pub(crate) certificate: EncryptionCertificate,
    pub(crate) tls_version: String,
    pub(crate) expires_at: Timestamp,
    /// The token of the last create, PATCH or reauthorize, under which Graph delivers.
    pub(crate) token_issued_at: Timestamp,
    pub(crate) token_expires_at: Timestamp,
    /// When that token was handed in.
    pub(crate) authorised_at: Timestamp,
    pub(crate) patched_at: Option<Timestamp>,
    pub(crate) reauthorised_at: Option<Timestamp>,
    /// Whether `reauthorizationRequired` was sent for the present token.
    pub(crate) noticed: bool,
}

impl Subscription {
    /// The subscription as Graph shows it: secrets and certificates are left out.
    pub(crate) fn as_json(&self) -> Value {
        json!({
            "id": self.id,
            "resource": notification::resource(&self.policy),
            "applicationId": self.client_id,
            "creatorId": self.creator_id,
            "changeType": "updated",
            "clientState": null,
            "notificationUrl": self.notification_url,
            "notificationUrlAppId": null,
            "notificationQueryOptions": null,
            "lifecycleNotificationUrl": self.lifecycle_notification_url,
            "expirationDateTime": graph_time(self.expires_at),
            "includeResourceData": true,
            "latestSupportedTlsVersion": self.tls_version,
            "encryptionCertificate": null,
            "encryptionCertificateId": self.certificate.id,
        })
    }

    /// The subscription with all that Graph keeps to itself, for tests.
    pub(crate) fn with_secrets(&self) -> Value {
        let mut shown = self.as_json();
        shown["tenantId"] = json!(self.tenant);
        shown["policy"] = json!(self.policy);
        shown["clientState"] = json!(self.client_state);
        shown["encryptionCertificate"] = json!(STANDARD.encode(&self.certificate.der));
        shown["deliveryTokenIssuedDateTime"] = json!(graph_time(self.token_issued_at));
        shown["deliveryTokenExpirationDateTime"] = json!(graph_time(self.token_expires_at));
        shown["authorizedDateTime"] = json!(graph_time(self.authorised_at));
        shown
    }

    pub(crate) fn origin(&self) -> ItemOrigin {
        ItemOrigin {
            subscription_id: self.id.clone(),
            subscription_expires_at: self.expires_at,
            tenant: self.tenant.clone(),
            policy: self.policy.clone(),
            client_state: self.client_state.clone(),
        }
    }

    fn authorise(&mut self, principal: &Principal, now: Timestamp) {
        self.token_issued_at = principal.token_issued_at;
        self.token_expires_at = principal.token_expires_at;
        self.authorised_at = now;
        self.noticed = false;
    }
}

/// The body of a create, checked.
pub(crate) struct NewSubscription {
    pub(crate) policy: String,
    pub(crate) notification_url: String,
    pub(crate) lifecycle_notification_url: String,
    client_state: Option<String>,
    certificate: EncryptionCertificate,
    tls_version: String,
    expires_at: Timestamp,
}

impl NewSubscription {
    /// Checks everything that the body alone decides.
    pub(crate) fn parse(body: &Value, now: Timestamp) -> Result<Self, GraphError> {
        let body = Body::new(
            body,
            &[
                "changeType",
                "notificationUrl",
                "lifecycleNotificationUrl",
                "resource",
                "includeResourceData",
                "encryptionCertificate",
                "encryptionCertificateId",
                "expirationDateTime",
                "clientState",
                "latestSupportedTlsVersion",
            ],
        )?;
        if body.required("changeType")? != "updated" {
            return Err(GraphError::invalid(
                "Invalid 'changeType' attribute: 'updated' is the only one for this resource.",
            ));
        }
        let policy = policy_of(body.required("resource")?)?;
        if body.members.get("includeResourceData") != Some(&Value::Bool(true)) {
            return Err(GraphError::invalid("Subscriptions to this resource must include resource data."));
        }
        let tls_version = body.text("latestSupportedTlsVersion")?.unwrap_or("v1_2");
        if !["v1_0", "v1_1", "v1_2", "v1_3"].contains(&tls_version) {
            return Err(GraphError::invalid("Invalid 'latestSupportedTlsVersion'."));
        }
        let client_state = body.text("clientState")?;
        if client_state.is_some_and(|state| state.chars().count() > LONGEST_TEXT) {
            return Err(GraphError::invalid("The 'clientState' must not be longer than 128 characters."));
        }
        Ok(Self {
            policy,
            notification_url: https_url("notificationUrl", body.required("notificationUrl")?)?,
            lifecycle_notification_url: https_url(
                "lifecycleNotificationUrl",
                body.required("lifecycleNotificationUrl")?,
            )?,
            client_state: client_state.map(str::to_owned),
            certificate: certificate(
                body.required("encryptionCertificate")?,
                body.required("encryptionCertificateId")?,
            )?,
            tls_version: tls_version.to_owned(),
            expires_at: expiry(body.required("expirationDateTime")?, now)?,
        })
    }
}

/// The body of a PATCH, checked.
pub(crate) struct Change {
    pub(crate) notification_url: Option<String>,
    expires_at: Option<Timestamp>,
    certificate: Option<EncryptionCertificate>,
}

impl Change {
    /// Checks everything that the body alone decides.
    pub(crate) fn parse(body: &Value, now: Timestamp) -> Result<Self, GraphError> {
        let body = Body::new(
            body,
            &["expirationDateTime", "notificationUrl", "encryptionCertificate", "encryptionCertificateId"],
        )?;
        let expires_at = body.text("expirationDateTime")?;
        let notification_url = body.text("notificationUrl")?;
        if expires_at.is_none() && notification_url.is_none() {
            return Err(GraphError::invalid(
                "Subscription must contain either the 'expirationDateTime' or 'notificationUrl' property and its value.",
            ));
        }
        let certificate = match (body.text("encryptionCertificate")?, body.text("encryptionCertificateId")?) {
            (None, None) => None,
            (Some(value), Some(id)) => Some(certificate(value, id)?),
            _ => {
                return Err(GraphError::invalid(
                    "'encryptionCertificate' and 'encryptionCertificateId' must be changed together.",
                ));
            }
        };
        Ok(Self {
            notification_url: notification_url.map(|url| https_url("notificationUrl", url)).transpose()?,
            expires_at: expires_at.map(|text| expiry(text, now)).transpose()?,
            certificate,
        })
    }
}

/// All subscriptions. Every look at them drops those that have expired.
#[derive(Default)]
pub(crate) struct Subscriptions {
    all: Vec<Subscription>,
    /// Those that were deleted or removed, until they would have ended.
    gone: Vec<Subscription>,
}

impl Subscriptions {
    pub(crate) fn live(&mut self, now: Timestamp) -> &[Subscription] {
        self.all.retain(|subscription| now < subscription.expires_at);
        self.gone.retain(|subscription| now < subscription.expires_at);
        &self.all
    }

    pub(crate) fn create(
        &mut self,
        new: NewSubscription,
        principal: &Principal,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Subscription, GraphError> {
        let existing = self.live(now).iter().find(|existing| {
            existing.tenant == principal.tenant
                && existing.client_id == principal.client_id
                && existing.policy == new.policy
        });
        if let Some(existing) = existing {
            match settings.duplicate {
                Duplicate::Created => {}
                Duplicate::Conflict => {
                    return Err(GraphError::new(
                        409,
                        "Conflict",
                        format!("Subscription Id {} already exists for the requested combination", existing.id),
                    ));
                }
                Duplicate::ExtensionError => {
                    return Err(GraphError::new(
                        409,
                        "ExtensionError",
                        format!(
                            "Operation: Create; Exception: [Status Code: Conflict; Reason: Subscription {} must be deleted before another one is created for the same policy]",
                            existing.id
                        ),
                    ));
                }
            }
        }
        let subscription = Subscription {
            id: Uuid::new_v4().to_string(),
            tenant: principal.tenant.clone(),
            client_id: principal.client_id.clone(),
            creator_id: principal.object_id.clone(),
            policy: new.policy,
            notification_url: new.notification_url,
            lifecycle_notification_url: new.lifecycle_notification_url,
            client_state: new.client_state,
            certificate: new.certificate,
            tls_version: new.tls_version,
            expires_at: new.expires_at,
            token_issued_at: principal.token_issued_at,
            token_expires_at: principal.token_expires_at,
            authorised_at: now,
            patched_at: None,
            reauthorised_at: None,
            noticed: false,
        };
        self.all.push(subscription.clone());
        Ok(subscription)
    }

    /// The items of a list of the caller's own subscriptions, those of its app in its tenant, as far as it tells the truth.
    pub(crate) fn list(&mut self, principal: &Principal, now: Timestamp, lists: Lists) -> Vec<Value> {
        self.live(now);
        let gone = self.gone.iter().filter(|_| lists == Lists::Stale);
        let own = self.all.iter().chain(gone).filter(|subscription| owns(principal, subscription));
        let item = |(number, subscription): (usize, &Subscription)| {
            let mut item = subscription.as_json();
            match lists {
                Lists::LeavesOut if number % 2 == 0 => return None,
                Lists::Empty => return None,
                Lists::Unreadable if number % 2 == 0 => return Some(json!({ "id": subscription.id, "resource": 7 })),
                Lists::Unreadable => return Some(json!("unreadable")),
                Lists::Contradicting => item["notificationUrl"] = json!("https://elsewhere.test/notifications"),
                _ => {}
            }
            Some(item)
        };
        own.enumerate().filter_map(item).collect()
    }

    pub(crate) fn get(&mut self, id: &str, principal: &Principal, now: Timestamp) -> Result<&Subscription, GraphError> {
        self.get_mut(id, principal, now).map(|subscription| &*subscription)
    }

    /// Whether a PATCH would be let through, for a look before the handshake.
    pub(crate) fn may_patch(&mut self, id: &str, principal: &Principal, now: Timestamp) -> Result<(), GraphError> {
        unmixed(self.get(id, principal, now)?.reauthorised_at, now)
    }

    pub(crate) fn patch(
        &mut self,
        id: &str,
        change: Change,
        principal: &Principal,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Subscription, GraphError> {
        let subscription = self.get_mut(id, principal, now)?;
        unmixed(subscription.reauthorised_at, now)?;
        if let Some(certificate) = change.certificate {
            match settings.certificate_patch {
                CertificatePatch::Applied => subscription.certificate = certificate,
                CertificatePatch::Ignored => {}
                CertificatePatch::Refused => {
                    return Err(GraphError::invalid("The 'encryptionCertificate' cannot be updated."));
                }
            }
        }
        if let Some(url) = change.notification_url {
            subscription.notification_url = url;
        }
        if let Some(expires_at) = change.expires_at {
            subscription.expires_at = expires_at;
        }
        subscription.authorise(principal, now);
        subscription.patched_at = Some(now);
        Ok(subscription.clone())
    }

    pub(crate) fn reauthorise(&mut self, id: &str, principal: &Principal, now: Timestamp) -> Result<(), GraphError> {
        let subscription = self.get_mut(id, principal, now)?;
        unmixed(subscription.patched_at, now)?;
        subscription.authorise(principal, now);
        subscription.reauthorised_at = Some(now);
        Ok(())
    }

    pub(crate) fn delete(&mut self, id: &str, principal: &Principal, now: Timestamp) -> Result<(), GraphError> {
        self.get(id, principal, now)?;
        self.remove(|subscription| subscription.id == id);
        Ok(())
    }

    /// Removes what `matches`, as Graph does without telling anybody; returns the ids.
    pub(crate) fn remove(&mut self, matches: impl Fn(&Subscription) -> bool) -> Vec<String> {
        let (gone, kept) = std::mem::take(&mut self.all).into_iter().partition(matches);
        self.all = kept;
        let gone: Vec<Subscription> = gone;
        let ids = gone.iter().map(|subscription| subscription.id.clone()).collect();
        self.gone.extend(gone);
        ids
    }

    /// Those whose token ends by `until`, not yet noticed; they count as noticed from now on.
    pub(crate) fn take_unnoticed(&mut self, now: Timestamp, until: Timestamp) -> Vec<Subscription> {
        self.live(now);
        self.all
            .iter_mut()
            .filter(|subscription| !subscription.noticed && subscription.token_expires_at <= until)
            .map(|subscription| {
                subscription.noticed = true;
                subscription.clone()
            })
            .collect()
    }

    /// When the next token ends that was not yet noticed.
    pub(crate) fn next_unnoticed(&mut self, now: Timestamp) -> Option<Timestamp> {
        self.live(now)
            .iter()
            .filter(|subscription| !subscription.noticed)
            .map(|subscription| subscription.token_expires_at)
            .min()
    }

    fn get_mut(&mut self, id: &str, principal: &Principal, now: Timestamp) -> Result<&mut Subscription, GraphError> {
        self.live(now);
        self.all
            .iter_mut()
            .find(|subscription| subscription.id == id && owns(principal, subscription))
            .ok_or_else(GraphError::not_found)
    }
}

fn owns(principal: &Principal, subscription: &Subscription) -> bool {
    subscription.tenant == principal.tenant && subscription.client_id == principal.client_id
}

fn unmixed(other: Option<Timestamp>, now: Timestamp) -> Result<(), GraphError> {
    if other.is_some_and(|other| now.duration_since(other) < UNMIXED) {
        return Err(GraphError::invalid(
            "Updating and reauthorizing a subscription must not be mixed within 10 minutes.",
        ));
    }
    Ok(())
}

/// A request body with known members only.
struct Body<'a> {
    members: &'a Map<String, Value>,
}

impl<'a> Body<'a> {
    fn new(body: &'a Value, known: &[&str]) -> Result<Self, GraphError> {
        let members = body.as_object().ok_or_else(|| GraphError::invalid("The body must be a JSON object."))?;
        if let Some(unknown) = members.keys().find(|name| !known.contains(&name.as_str())) {
            return Err(GraphError::invalid(format!("The property '{unknown}' cannot be set in this request.")));
        }
        Ok(Self { members })
    }

    fn text(&self, name: &str) -> Result<Option<&'a str>, GraphError> {
        match self.members.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if !text.is_empty() => Ok(Some(text)),
            Some(_) => Err(GraphError::invalid(format!("The property '{name}' must be a string that is not empty."))),
        }
    }

    fn required(&self, name: &str) -> Result<&'a str, GraphError> {
        self.text(name)?.ok_or_else(|| GraphError::invalid(format!("The property '{name}' is required.")))
    }
}

fn policy_of(resource: &str) -> Result<String, GraphError> {
    let unsupported = || GraphError::invalid(format!("Resource '{resource}' is not supported here."));
    let quoted = resource
        .strip_prefix("communications/calls/getEmergencyEventsByPolicy(policyName='")
        .and_then(|rest| rest.strip_suffix("')"))
        .ok_or_else(unsupported)?;
    let policy = quoted.replace("''", "'");
    // A lone quote would end the OData literal early.
    if policy.is_empty() || policy.replace('\'', "''") != quoted {
        return Err(unsupported());
    }
    Ok(policy)
}

fn https_url(name: &str, text: &str) -> Result<String, GraphError> {
    let usable = Url::parse(text).is_ok_and(|url| {
        url.scheme() == "https"
            && url.host_str().is_some()
            && url.username().is_empty()
            && url.password().is_none()
            && url.fragment().is_none()
    });
    if usable {
        Ok(text.to_owned())
    } else {
        Err(GraphError::invalid(format!("The '{name}' must be an absolute https URL.")))
    }
}

fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, GraphError> {
    let asked: Timestamp = text
        .parse()
        .map_err(|_| GraphError::invalid("The 'expirationDateTime' must be a date and time with an offset."))?;
    let life = asked.duration_since(now);
    if life <= SignedDuration::ZERO {
        return Err(GraphError::invalid("The 'expirationDateTime' must be in the future."));
    }
    if life > LONGEST_LIFE {
        return Err(GraphError::invalid("Subscription expiration can only be 1440 minutes in the future."));
    }
    Ok(asked.max(now + SHORTEST_LIFE))
}

fn certificate(value: &str, id: &str) -> Result<EncryptionCertificate, GraphError> {
    let invalid = |reason: &str| GraphError::invalid(format!("Certificate validation error: {reason}"));
    if id.chars().count() > LONGEST_TEXT {
        return Err(GraphError::invalid("The 'encryptionCertificateId' must not be longer than 128 characters."));
    }
    let der = STANDARD.decode(value).map_err(|_| invalid("The certificate is not Base64."))?;
    let parsed = X509::from_der(&der).map_err(|_| invalid("Cannot find the requested object."))?;
    // OpenSSL ignores what follows the certificate; PEM text or a second certificate there is a mistake.
    if parsed.to_der().ok().as_deref() != Some(der.as_slice()) {
        return Err(invalid("Cannot find the requested object."));
    }
    let key = parsed.public_key().map_err(|_| invalid("The certificate holds no usable key."))?;
    if key.id() != Id::RSA || !(2048..=4096).contains(&key.bits()) {
        return Err(invalid("The key must be an RSA key of 2048 to 4096 bits."));
    }
    Ok(EncryptionCertificate { der, id: id.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::keys::{KeyPair, shared};
    use openssl::ec::{EcGroup, EcKey};
    use openssl::nid::Nid;
    use openssl::pkey::PKey;

    const NOW: &str = "2026-11-23T10:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn body() -> Value {
        json!({
            "changeType": "updated",
            "notificationUrl": "https://receiver.test/notifications",
            "lifecycleNotificationUrl": "https://receiver.test/notifications",
            "resource": "communications/calls/getEmergencyEventsByPolicy(policyName='Global')",
            "includeResourceData": true,
            "encryptionCertificate": shared(2048, 0).certificate_base64(),
            "encryptionCertificateId": "key-1",
            "expirationDateTime": "2026-11-24T09:00:00Z",
            "clientState": "secret",
        })
    }

    fn principal() -> Principal {
        Principal {
            tenant: "tenant".to_owned(),
            client_id: "client".to_owned(),
            object_id: "object".to_owned(),
            token_issued_at: at(NOW),
            token_expires_at: at("2026-11-23T11:00:00Z"),
        }
    }

    fn parse_with(name: &str, value: Value) -> Result<NewSubscription, GraphError> {
        let mut body = body();
        body[name] = value;
        NewSubscription::parse(&body, at(NOW))
    }

    fn refused<T>(result: Result<T, GraphError>) -> GraphError {
        match result {
            Ok(_) => panic!("must be refused"),
            Err(error) => {
                assert_eq!(error.status, 400, "{error:?}");
                error
            }
        }
    }

    fn create(subscriptions: &mut Subscriptions, settings: &Settings) -> Result<Subscription, GraphError> {
        let new = NewSubscription::parse(&body(), at(NOW))?;
        subscriptions.create(new, &principal(), at(NOW), settings)
    }

    fn patch(
        subscriptions: &mut Subscriptions,
        id: &str,
        body: &Value,
        now: Timestamp,
        settings: &Settings,
    ) -> Result<Subscription, GraphError> {
        subscriptions.patch(id, Change::parse(body, now)?, &principal(), now, settings)
    }

    #[test]
    fn a_complete_body_passes() {
        let new = NewSubscription::parse(&body(), at(NOW)).unwrap();
        assert_eq!(new.policy, "Global");
        assert_eq!(new.expires_at, at("2026-11-24T09:00:00Z"));
        assert_eq!(new.tls_version, "v1_2");
    }

    #[test]
    fn what_is_required_is_missed() {
        for name in [
            "changeType",
            "notificationUrl",
            "lifecycleNotificationUrl",
            "resource",
            "includeResourceData",
            "encryptionCertificate",
            "encryptionCertificateId",
            "expirationDateTime",
        ] {
            let mut body = body();
            body.as_object_mut().unwrap().remove(name);
            refused(NewSubscription::parse(&body, at(NOW)));
            refused(parse_with(name, Value::Null));
            refused(parse_with(name, json!("")));
        }
    }

    #[test]
    fn properties_of_other_kinds_of_subscription_are_refused() {
        for name in ["vapidPublicKey", "webPushEncryption", "id", "notificationUrlAppId"] {
            let error = refused(parse_with(name, json!("x")));
            assert!(error.message.contains(name));
        }
    }

    #[test]
    fn only_this_change_type_and_rich_notifications_exist() {
        refused(parse_with("changeType", json!("created")));
        refused(parse_with("changeType", json!("updated,created")));
        refused(parse_with("includeResourceData", json!(false)));
        refused(parse_with("includeResourceData", json!("true")));
    }

    #[test]
    fn the_resource_must_be_exact() {
        for resource in [
            "/communications/calls/getEmergencyEventsByPolicy(policyName='Global')",
            "communications/calls/getEmergencyEventsByPolicy(policyName='')",
            "communications/calls/getEmergencyEventsByPolicy(policyName='O'Hare')",
            "communications/calls/getEmergencyEventsByPolicy(policyName=Global)",
            "communications/onlineMeetings",
        ] {
            refused(parse_with("resource", json!(resource)));
        }
        let new = parse_with("resource", json!(notification::resource("O'Hare"))).unwrap();
        assert_eq!(new.policy, "O'Hare");
    }

    #[test]
    fn urls_must_be_https() {
        for name in ["notificationUrl", "lifecycleNotificationUrl"] {
            for url in [
                "http://receiver.test/n",
                "receiver.test/n",
                "https://",
                "https://user@receiver.test/n",
                "https://receiver.test/n#f",
            ] {
                refused(parse_with(name, json!(url)));
            }
        }
    }

    #[test]
    fn a_life_is_at_most_a_day_and_at_least_45_minutes() {
        refused(parse_with("expirationDateTime", json!("2026-11-24T10:00:01Z")));
        refused(parse_with("expirationDateTime", json!("2026-11-23T10:00:00Z")));
        refused(parse_with("expirationDateTime", json!("2026-11-24T09:00:00")));
        refused(parse_with("expirationDateTime", json!("tomorrow")));
        let whole = parse_with("expirationDateTime", json!("2026-11-24T10:00:00Z")).unwrap();
        assert_eq!(whole.expires_at, at("2026-11-24T10:00:00Z"));
        let raised = parse_with("expirationDateTime", json!("2026-11-23T10:44:00Z")).unwrap();
        assert_eq!(raised.expires_at, at("2026-11-23T10:45:00Z"));
    }

    #[test]
    fn texts_have_at_most_128_characters() {
        assert!(parse_with("clientState", json!("x".repeat(128))).is_ok());
        refused(parse_with("clientState", json!("x".repeat(129))));
        refused(parse_with("clientState", json!(1)));
        assert!(parse_with("encryptionCertificateId", json!("x".repeat(128))).is_ok());
        refused(parse_with("encryptionCertificateId", json!("x".repeat(129))));
    }

    #[test]
    fn tls_versions_are_graphs() {
        assert!(parse_with("latestSupportedTlsVersion", json!("v1_3")).is_ok());
        refused(parse_with("latestSupportedTlsVersion", json!("1.3")));
    }

    #[test]
    fn certificates_must_be_x509_with_an_rsa_key_of_fair_size() {
        let pair = shared(2048, 0);
        let refuse = |der: &[u8]| {
            let error = refused(parse_with("encryptionCertificate", json!(STANDARD.encode(der))));
            assert!(error.message.starts_with("Certificate validation error"));
        };
        refuse(&pair.private_key.public_key_to_der().unwrap());
        refuse(&pair.certificate.to_pem().unwrap());
        let mut trailing = pair.certificate_der();
        trailing.push(0);
        refuse(&trailing);
        refuse(&KeyPair::generate(1024, "short").unwrap().certificate_der());
        refuse(&elliptic_certificate());
        refused(parse_with("encryptionCertificate", json!("not base64")));
        for bits in [3072, 4096] {
            let value = json!(shared(bits, 0).certificate_base64());
            assert!(parse_with("encryptionCertificate", value).is_ok());
        }
    }

    fn elliptic_certificate() -> Vec<u8> {
        let group = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        let key = PKey::from_ec_key(EcKey::generate(&group).unwrap()).unwrap();
        let mut builder = X509::builder().unwrap();
        builder.set_pubkey(&key).unwrap();
        builder.set_not_before(&openssl::asn1::Asn1Time::days_from_now(0).unwrap()).unwrap();
        builder.set_not_after(&openssl::asn1::Asn1Time::days_from_now(1).unwrap()).unwrap();
        builder.sign(&key, openssl::hash::MessageDigest::sha256()).unwrap();
        builder.build().to_der().unwrap()
    }

    #[test]
    fn one_subscription_per_app_tenant_and_policy() {
        let mut subscriptions = Subscriptions::default();
        let mut settings = Settings::default();
        create(&mut subscriptions, &settings).unwrap();
        let conflict = create(&mut subscriptions, &settings).err().unwrap();
        assert_eq!((conflict.status, conflict.code.as_str()), (409, "Conflict"));
        settings.duplicate = Duplicate::ExtensionError;
        let conflict = create(&mut subscriptions, &settings).err().unwrap();
        assert_eq!((conflict.status, conflict.code.as_str()), (409, "ExtensionError"));
        settings.duplicate = Duplicate::Created;
        create(&mut subscriptions, &settings).unwrap();

        settings.duplicate = Duplicate::Conflict;
        let others = [
            Principal { tenant: "other".to_owned(), ..principal() },
            Principal { client_id: "other".to_owned(), ..principal() },
        ];
        for other in others {
            let new = NewSubscription::parse(&body(), at(NOW)).unwrap();
            subscriptions.create(new, &other, at(NOW), &settings).unwrap();
        }
        let another = parse_with("resource", json!(notification::resource("Site"))).unwrap();
        subscriptions.create(another, &principal(), at(NOW), &settings).unwrap();
    }

    #[test]
    fn an_expired_subscription_is_gone() {
        let mut subscriptions = Subscriptions::default();
        let settings = Settings::default();
        let id = create(&mut subscriptions, &settings).unwrap().id;
        let before = at("2026-11-24T08:59:59Z");
        assert!(subscriptions.get(&id, &principal(), before).is_ok());
        let after = at("2026-11-24T09:00:00Z");
        let renewal = json!({ "expirationDateTime": "2026-11-25T08:00:00Z" });
        let error = patch(&mut subscriptions, &id, &renewal, after, &settings).err().unwrap();
        assert_eq!((error.status, error.code.as_str()), (404, "ResourceNotFound"));
        assert!(subscriptions.list(&principal(), after, Lists::True).is_empty());
    }

    #[test]
    fn other_apps_and_tenants_see_nothing() {
        let mut subscriptions = Subscriptions::default();
        let id = create(&mut subscriptions, &Settings::default()).unwrap().id;
        for other in [
            Principal { tenant: "other".to_owned(), ..principal() },
            Principal { client_id: "other".to_owned(), ..principal() },
        ] {
            assert!(subscriptions.list(&other, at(NOW), Lists::True).is_empty());
            assert_eq!(subscriptions.delete(&id, &other, at(NOW)).unwrap_err().status, 404);
            assert_eq!(subscriptions.reauthorise(&id, &other, at(NOW)).unwrap_err().status, 404);
            assert_eq!(subscriptions.get(&id, &other, at(NOW)).err().unwrap().status, 404);
        }
        assert_eq!(subscriptions.list(&principal(), at(NOW), Lists::True).len(), 1);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = create(&mut Subscriptions::default(), &Settings::default()).unwrap().as_json();
        assert!(shown["clientState"].is_null());
        assert!(shown["encryptionCertificate"].is_null());
        assert_eq!(shown["encryptionCertificateId"], "key-1");
    }

    #[test]
    fn a_patch_needs_an_expiry_or_a_url_and_nothing_unknown() {
        let parse = |body: Value| Change::parse(&body, at(NOW));
        let pair = shared(2048, 0).certificate_base64();
        assert!(parse(json!({ "expirationDateTime": "2026-11-24T09:00:00Z" })).is_ok());
        assert!(parse(json!({ "notificationUrl": "https://receiver.test/n" })).is_ok());
        refused(parse(json!({})));
        refused(parse(json!({ "expirationDateTime": null })));
        refused(parse(json!({ "encryptionCertificate": pair, "encryptionCertificateId": "key-2" })));
        let valid = "2026-11-24T09:00:00Z";
        for name in ["clientState", "lifecycleNotificationUrl", "resource", "changeType", "vapidPublicKey"] {
            refused(parse(json!({ "expirationDateTime": valid, name: "x" })));
        }
        refused(parse(json!({ "expirationDateTime": valid, "encryptionCertificate": pair })));
        refused(parse(json!({ "expirationDateTime": valid, "encryptionCertificateId": "key-2" })));
        refused(parse(json!({ "expirationDateTime": "2026-11-24T10:00:01Z" })));
        refused(parse(json!({ "notificationUrl": "http://receiver.test/n" })));
    }

    #[test]
    fn a_patch_renews_and_delivers_under_its_own_token() {
        let mut subscriptions = Subscriptions::default();
        let settings = Settings::default();
        let id = create(&mut subscriptions, &settings).unwrap().id;
        let later = Principal { token_expires_at: at("2026-11-23T12:00:00Z"), ..principal() };
        let now = at("2026-11-23T10:30:00Z");
        let change = Change::parse(&json!({ "expirationDateTime": "2026-11-24T10:00:00Z" }), now).unwrap();
        let patched = subscriptions.patch(&id, change, &later, now, &settings).unwrap();
        assert_eq!(patched.expires_at, at("2026-11-24T10:00:00Z"));
        assert_eq!(patched.token_expires_at, at("2026-11-23T12:00:00Z"));
        assert_eq!(patched.authorised_at, now);
    }

    #[test]
    fn a_certificate_patch_is_applied_ignored_or_refused() {
        let renewal = json!({
            "expirationDateTime": "2026-11-24T09:00:00Z",
            "encryptionCertificate": shared(2048, 1).certificate_base64(),
            "encryptionCertificateId": "key-2",
        });
        let after = |certificate_patch| {
            let settings = Settings { certificate_patch, ..Settings::default() };
            let mut subscriptions = Subscriptions::default();
            let id = create(&mut subscriptions, &settings).unwrap().id;
            patch(&mut subscriptions, &id, &renewal, at(NOW), &settings)
                .map(|patched| (patched.certificate.id, patched.certificate.der))
        };
        let (id, der) = after(CertificatePatch::Applied).unwrap();
        assert_eq!((id.as_str(), der), ("key-2", shared(2048, 1).certificate_der()));
        let (id, der) = after(CertificatePatch::Ignored).unwrap();
        assert_eq!((id.as_str(), der), ("key-1", shared(2048, 0).certificate_der()));
        assert_eq!(after(CertificatePatch::Refused).unwrap_err().status, 400);
    }

    #[test]
    fn patch_and_reauthorize_do_not_mix() {
        let settings = Settings::default();
        let renewal = json!({ "expirationDateTime": "2026-11-24T09:00:00Z" });
        let (soon, later) = (at("2026-11-23T10:09:59Z"), at("2026-11-23T10:10:00Z"));

        let mut subscriptions = Subscriptions::default();
        let id = create(&mut subscriptions, &settings).unwrap().id;
        patch(&mut subscriptions, &id, &renewal, at(NOW), &settings).unwrap();
        assert_eq!(subscriptions.reauthorise(&id, &principal(), soon).unwrap_err().status, 400);
        subscriptions.reauthorise(&id, &principal(), later).unwrap();
        assert!(subscriptions.may_patch(&id, &principal(), later).is_err());
        let error = patch(&mut subscriptions, &id, &renewal, at("2026-11-23T10:19:59Z"), &settings);
        assert_eq!(error.err().unwrap().status, 400);
        patch(&mut subscriptions, &id, &renewal, at("2026-11-23T10:20:00Z"), &settings).unwrap();
    }

    #[test]
    fn reauthorize_changes_the_token_but_not_the_expiry() {
        let mut subscriptions = Subscriptions::default();
        let created = create(&mut subscriptions, &Settings::default()).unwrap();
        let later = Principal { token_expires_at: at("2026-11-23T12:00:00Z"), ..principal() };
        subscriptions.reauthorise(&created.id, &later, at(NOW)).unwrap();
        let seen = subscriptions.get(&created.id, &later, at(NOW)).unwrap();
        assert_eq!(seen.expires_at, created.expires_at);
        assert_eq!(seen.token_expires_at, at("2026-11-23T12:00:00Z"));
    }
}

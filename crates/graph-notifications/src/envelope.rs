//! The envelope: the body that Graph posts, as the items and validation tokens in it.
//!
//! Follows the resources `changeNotificationCollection` and `changeNotification`. A body may mix tenants, subscriptions
//! and kinds of item, and each item is read by itself: one that cannot be read takes nothing from its neighbours.

use std::fmt;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use crate::identifiers::TenantId;

/// What one request of Graph's carries.
#[derive(Debug)]
pub struct ChangeNotificationCollection {
    /// The items, in their order.
    pub items: Vec<Result<Item, MalformedItem>>,
    /// The validation tokens as they stand there. Whatever is not a string stands here as an empty one.
    pub validation_tokens: Vec<String>,
}

/// An item of a collection: nothing in it is to be believed yet.
#[derive(Debug)]
pub enum Item {
    /// Something changed.
    Change(ChangeNotification),
    /// Something happened to a subscription.
    Lifecycle(LifecycleNotification),
}

/// A change notification as it arrived.
#[derive(Debug)]
pub struct ChangeNotification {
    /// What both kinds of item have.
    pub origin: Origin,
    /// `resource`: the path of what changed.
    pub resource: String,
    /// `resourceData.id`, for the reader of an alert whose content is unreadable.
    pub resource_id: Option<String>,
    /// `encryptedContent`.
    pub content: Content,
}

/// A lifecycle notification as it arrived.
#[derive(Debug)]
pub struct LifecycleNotification {
    /// What both kinds of item have.
    pub origin: Origin,
    /// `lifecycleEvent`: `reauthorizationRequired`, `subscriptionRemoved`, `missed`, or one that Graph adds later.
    pub event: String,
    /// `subscriptionExpirationDateTime`, as it stands there.
    pub expires_at: Option<String>,
}

/// Where an item says that it comes from.
pub struct Origin {
    /// `tenantId`.
    pub tenant_id: StatedTenant,
    /// `organizationId`, which some items have in place of `tenantId`.
    pub organization_id: StatedTenant,
    /// `subscriptionId`.
    pub subscription_id: Option<String>,
    /// `clientState`.
    pub client_state: Option<Zeroizing<String>>,
}

impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Origin")
            .field("tenant_id", &self.tenant_id)
            .field("organization_id", &self.organization_id)
            .field("subscription_id", &self.subscription_id)
            .finish_non_exhaustive()
    }
}

/// The tenant that a member of an item states. It is a hint: what proves a sender names the tenant, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatedTenant {
    /// The member is missing or null.
    Absent,
    /// The member is a GUID.
    Id(TenantId),
    /// The member is something else.
    Unreadable,
}

/// The encrypted content of a change notification.
#[derive(Debug)]
pub enum Content {
    /// There is none.
    Missing,
    /// There is something, but without the members that decryption needs.
    Malformed,
    /// All members are there; whether they are any good shows at decryption.
    Encrypted(EncryptedContent),
}

/// The resource `changeNotificationEncryptedContent`, all texts as they arrived.
#[derive(Debug)]
pub struct EncryptedContent {
    /// The encrypted resource, base64.
    pub data: String,
    /// The HMAC of the encrypted resource, base64.
    pub data_signature: String,
    /// The encrypted symmetric key, base64.
    pub data_key: String,
    /// `encryptionCertificateId`.
    pub certificate_id: Option<String>,
    /// `encryptionCertificateThumbprint`.
    pub thumbprint: Option<String>,
}

/// The most items that a collection may have. Graph's have hundreds of bytes each, so as many of them make a body of several
/// megabytes; only junk is smaller.
pub const MOST_ITEMS: usize = 20_000;

/// The body is no collection of notifications: to be answered with status 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotACollection {
    /// Not JSON.
    #[error("the body is not JSON")]
    NotJson,
    /// JSON, but no object with an array `value`.
    #[error("the body has no array 'value'")]
    NoValue,
    /// More than [`MOST_ITEMS`].
    #[error("the body has too many items")]
    TooManyItems,
}

/// The item is no JSON object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the item is not an object")]
pub struct MalformedItem;

impl ChangeNotificationCollection {
    /// Reads a request's body. Unknown members are ignored, and so are a byte-order mark, white space and NUL bytes around
    /// the document, and commas before a closing bracket, as in the sample of Microsoft's documentation.
    ///
    /// # Errors
    /// If it is no collection at all.
    pub fn parse(body: &[u8]) -> Result<Self, NotACollection> {
        let Value::Object(mut collection) = parse_json(body).ok_or(NotACollection::NotJson)? else {
            return Err(NotACollection::NoValue);
        };
        let Some(Value::Array(items)) = collection.remove("value") else {
            return Err(NotACollection::NoValue);
        };
        if items.len() > MOST_ITEMS {
            return Err(NotACollection::TooManyItems);
        }
        let validation_tokens = match collection.remove("validationTokens") {
            Some(Value::Array(tokens)) => {
                tokens.into_iter().map(|token| string(Some(token)).unwrap_or_default()).collect()
            }
            _ => Vec::new(),
        };
        Ok(Self { items: items.into_iter().map(item).collect(), validation_tokens })
    }
}

fn item(value: Value) -> Result<Item, MalformedItem> {
    let Value::Object(mut item) = value else {
        return Err(MalformedItem);
    };
    let origin = Origin {
        tenant_id: stated_tenant(item.remove("tenantId")),
        organization_id: stated_tenant(item.remove("organizationId")),
        subscription_id: string(item.remove("subscriptionId")),
        client_state: string(item.remove("clientState")).map(Zeroizing::new),
    };
    let content = content(item.remove("encryptedContent"));
    let event = string(item.remove("lifecycleEvent"));
    let changed = item.get("changeType").is_some_and(|kind| !kind.is_null());
    // Graph sends one or the other. What has marks of a call beside a lifecycle event is better looked at than left out.
    match (event, &content) {
        (Some(event), Content::Missing) if !(changed && item.contains_key("resource")) => {
            Ok(Item::Lifecycle(LifecycleNotification {
                origin,
                event,
                expires_at: string(item.remove("subscriptionExpirationDateTime")),
            }))
        }
        _ => Ok(Item::Change(ChangeNotification {
            origin,
            resource: string(item.remove("resource")).unwrap_or_default(),
            resource_id: item.remove("resourceData").and_then(|data| string(data.get("id").cloned())),
            content,
        })),
    }
}

fn stated_tenant(value: Option<Value>) -> StatedTenant {
    match value {
        None | Some(Value::Null) => StatedTenant::Absent,
        Some(Value::String(text)) => text.trim().parse().map_or(StatedTenant::Unreadable, StatedTenant::Id),
        Some(_) => StatedTenant::Unreadable,
    }
}

/// The member `encryptedContent`.
pub(crate) fn content(value: Option<Value>) -> Content {
    let encrypted = |mut content: Map<String, Value>| {
        Some(EncryptedContent {
            data: string(content.remove("data"))?,
            data_signature: string(content.remove("dataSignature"))?,
            data_key: string(content.remove("dataKey"))?,
            certificate_id: string(content.remove("encryptionCertificateId")),
            thumbprint: string(content.remove("encryptionCertificateThumbprint")),
        })
    };
    match value {
        None | Some(Value::Null) => Content::Missing,
        Some(Value::Object(content)) => encrypted(content).map_or(Content::Malformed, Content::Encrypted),
        Some(_) => Content::Malformed,
    }
}

fn string(value: Option<Value>) -> Option<String> {
    match value {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

fn parse_json(body: &[u8]) -> Option<Value> {
    let body = body.strip_prefix(b"\xef\xbb\xbf").unwrap_or(body);
    let start = body.iter().position(|byte| !is_padding(*byte))?;
    let end = body.iter().rposition(|byte| !is_padding(*byte))?;
    let body = &body[start..=end];
    serde_json::from_slice(body).or_else(|_| serde_json::from_slice(&without_trailing_commas(body))).ok()
}

fn is_padding(byte: u8) -> bool {
    byte == 0 || byte.is_ascii_whitespace()
}

fn without_trailing_commas(json: &[u8]) -> Vec<u8> {
    let (mut kept, mut in_string, mut escaped) = (Vec::with_capacity(json.len()), false, false);
    let mut comma = None;
    for &byte in json {
        if in_string {
            in_string = escaped || byte != b'"';
            escaped = byte == b'\\' && !escaped;
        } else if !byte.is_ascii_whitespace() {
            if let (Some(position), b'}' | b']') = (comma, byte) {
                kept.remove(position);
            }
            comma = (byte == b',').then_some(kept.len());
            in_string = byte == b'"';
        }
        kept.push(byte);
    }
    kept
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const TENANT: &str = "11111111-2222-3333-4444-555555555555";
    const RESOURCE: &str = "communications/calls/getEmergencyEventsByPolicy(policyName='Global')";

    fn parse(value: &Value) -> ChangeNotificationCollection {
        ChangeNotificationCollection::parse(value.to_string().as_bytes()).unwrap()
    }

    fn change(item: &Value) -> ChangeNotification {
        match parse(&json!({"value": [item]})).items.remove(0) {
            Ok(Item::Change(notification)) => notification,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_collection_may_mix_everything() {
        let content = json!({"data": "ZA==", "dataSignature": "cw==", "dataKey": "aw==", "encryptionCertificateId": "key-1",
            "encryptionCertificateThumbprint": "AB", "@odata.type": "x"});
        let collection = parse(&json!({"value": [
            {"subscriptionId": "s", "tenantId": TENANT, "organizationId": TENANT, "resource": RESOURCE, "clientState": "c",
             "changeType": "updated", "resourceData": {"id": "call", "x": [1]}, "encryptedContent": content, "new": {}},
            7,
            {"tenantId": "x", "resource": RESOURCE},
            {"tenantId": TENANT},
            {"tenantId": TENANT, "clientState": "c", "lifecycleEvent": "reauthorizationRequired",
             "subscriptionExpirationDateTime": "2026-11-24T00:00:00Z", "subscriptionId": "s"},
        ], "validationTokens": ["a", null, "b"], "@odata.context": "x"}));
        assert_eq!(collection.validation_tokens, ["a", "", "b"]);
        let [
            Ok(Item::Change(call)),
            Err(MalformedItem),
            Ok(Item::Change(odd)),
            Ok(Item::Change(empty)),
            Ok(Item::Lifecycle(lifecycle)),
        ] = &collection.items[..]
        else {
            panic!("{collection:?}");
        };
        let tenant = StatedTenant::Id(TENANT.parse().unwrap());
        assert_eq!((call.origin.tenant_id, call.origin.organization_id), (tenant, tenant));
        assert_eq!(call.origin.client_state.as_deref().map(String::as_str), Some("c"));
        assert_eq!((call.resource.as_str(), call.resource_id.as_deref()), (RESOURCE, Some("call")));
        let Content::Encrypted(content) = &call.content else { panic!("{call:?}") };
        assert_eq!(
            (content.data.as_str(), content.data_signature.as_str(), content.data_key.as_str()),
            ("ZA==", "cw==", "aw==")
        );
        assert_eq!((content.certificate_id.as_deref(), content.thumbprint.as_deref()), (Some("key-1"), Some("AB")));
        assert_eq!(
            (odd.origin.tenant_id, odd.origin.organization_id),
            (StatedTenant::Unreadable, StatedTenant::Absent),
            "one odd member costs that member"
        );
        assert_eq!(empty.resource, "");
        assert_eq!(
            (lifecycle.event.as_str(), lifecycle.expires_at.as_deref()),
            ("reauthorizationRequired", Some("2026-11-24T00:00:00Z"))
        );
    }

    #[test]
    fn content_is_missing_malformed_or_there() {
        let with = |content: Value| {
            change(&json!({"tenantId": TENANT, "resource": RESOURCE, "encryptedContent": content})).content
        };
        assert!(matches!(with(Value::Null), Content::Missing));
        for malformed in [
            json!("x"),
            json!({}),
            json!({"data": "x", "dataKey": "x"}),
            json!({"data": 1, "dataKey": "x", "dataSignature": "x"}),
        ] {
            assert!(matches!(with(malformed), Content::Malformed));
        }
        let both =
            json!({"tenantId": TENANT, "resource": RESOURCE, "encryptedContent": {}, "lifecycleEvent": "missed"});
        assert!(matches!(change(&both).content, Content::Malformed));
        for (event, kind) in
            [(Value::Null, Value::Null), (json!(""), json!("updated")), (json!("missed"), json!("updated"))]
        {
            let item = json!({"tenantId": TENANT, "resource": RESOURCE, "lifecycleEvent": event, "changeType": kind});
            assert!(matches!(change(&item).content, Content::Missing));
        }
        let item = json!({"tenantId": TENANT, "lifecycleEvent": "missed", "changeType": "updated"});
        assert!(matches!(parse(&json!({"value": [item]})).items[0], Ok(Item::Lifecycle(_))), "a call has a resource");
    }

    #[test]
    fn oddities_around_and_commas_inside_are_tolerated() {
        let body = "\u{feff} {\"value\": [{\"tenantId\": \"11111111-2222-3333-4444-555555555555\", \"resource\": \"a,]\\\",}\",\n}, ],\n}\r\n\0\0";
        let collection = ChangeNotificationCollection::parse(body.as_bytes()).unwrap();
        let Ok(Item::Change(notification)) = &collection.items[0] else { panic!("{collection:?}") };
        assert_eq!(notification.resource, "a,]\",}");
    }

    #[test]
    fn there_are_so_many_items_and_no_more() {
        let parse = |items: usize| {
            let body = format!("{{\"value\":[{}]}}", vec!["0"; items].join(","));
            ChangeNotificationCollection::parse(body.as_bytes()).map(|collection| collection.items.len())
        };
        assert_eq!(parse(MOST_ITEMS), Ok(MOST_ITEMS));
        assert_eq!(parse(MOST_ITEMS + 1), Err(NotACollection::TooManyItems));
    }

    #[test]
    fn what_is_no_collection_is_refused() {
        for body in ["", " ", "hello", "{", "{\"value\":[]} x", "{,,}"] {
            assert_eq!(
                ChangeNotificationCollection::parse(body.as_bytes()).unwrap_err(),
                NotACollection::NotJson,
                "{body}"
            );
        }
        for body in ["[]", "null", "{}", "{\"value\":{}}", "{\"value\":null}"] {
            assert_eq!(
                ChangeNotificationCollection::parse(body.as_bytes()).unwrap_err(),
                NotACollection::NoValue,
                "{body}"
            );
        }
        assert!(
            ChangeNotificationCollection::parse(b"{\"value\":[],\"validationTokens\":null}").unwrap().items.is_empty()
        );
    }

    #[test]
    fn the_client_state_is_never_printed() {
        let notification = change(&json!({"tenantId": TENANT, "resource": RESOURCE, "clientState": "hunter2"}));
        let printed = format!("{notification:?}");
        assert!(printed.contains(TENANT) && !printed.contains("hunter2"), "{printed}");
    }

    proptest! {
        #[test]
        fn no_bytes_panic(body: Vec<u8>) {
            let _ = ChangeNotificationCollection::parse(&body);
        }

        #[test]
        fn no_json_like_text_panics(body in "[\\[\\]{},:\"\\\\a-z0-9 ]{0,64}") {
            let _ = ChangeNotificationCollection::parse(body.as_bytes());
        }
    }
}

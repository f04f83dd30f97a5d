//! The body that Graph posts.

use graph_notifications::{
    ChangeNotificationCollection,
    envelope::{Content, Item},
};
use serde_json::Value;

/// The input is a body. Whatever is a collection by the strict rules of JSON is read as one with as many items and tokens,
/// and an item with encrypted content never passes for a lifecycle notification.
///
/// # Panics
/// If that is not so.
pub fn envelope(data: &[u8]) {
    let read = ChangeNotificationCollection::parse(data);
    let strict = serde_json::from_slice::<Value>(data).ok();
    let items = strict.as_ref().and_then(|strict| strict.get("value")?.as_array());
    let (Ok(collection), Some(items)) = (&read, items) else {
        assert!(items.is_none(), "a collection is refused");
        return;
    };
    assert_eq!(collection.items.len(), items.len());
    let tokens = strict.as_ref().and_then(|strict| strict.get("validationTokens")?.as_array());
    assert_eq!(collection.validation_tokens.len(), tokens.map_or(0, Vec::len));
    for (read, item) in collection.items.iter().zip(items) {
        let sealed = item.get("encryptedContent").is_some_and(|content| !content.is_null());
        match read {
            Ok(Item::Change(change)) => assert_eq!(matches!(change.content, Content::Missing), !sealed),
            Ok(Item::Lifecycle(_)) => assert!(!sealed, "a call passes for a lifecycle notification"),
            Err(_) => {
                let tenant = item.get("tenantId").and_then(Value::as_str).is_some_and(is_guid);
                assert!(!tenant, "a call is malformed");
            }
        }
    }
}

/// In the one form in which Graph writes tenants.
fn is_guid(text: &str) -> bool {
    let dash = |index| [8, 13, 18, 23].contains(&index);
    text.len() == 36
        && text
            .bytes()
            .enumerate()
            .all(|(index, byte)| if dash(index) { byte == b'-' } else { byte.is_ascii_hexdigit() })
}

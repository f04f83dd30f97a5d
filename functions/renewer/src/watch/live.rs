//! The state table's part of the watch, and its probe, as they are.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::types::AttributeValue;
use graph_notifications::{keyring::StoredKeyPair, probe};
use jiff::Timestamp;
use ring::rand::SystemRandom;

use super::{
    ports::{Diary, Notes, PostProbe, SealProbe},
    trouble::Noted,
};
use crate::{
    aws::{Live, RECONCILE, WATCH, text},
    aws_error::outside,
    check::live::Watchers,
    ports::OutsideError,
};

/// As long as Graph gives a first delivery.
pub(crate) const PATIENCE: Duration = Duration::from_secs(3);

const NOTES: &str = "notes";

/// Where the receiver notes when the latest notification came: it may write nowhere else.
const LATEST_NOTIFICATION: (&str, &str) = ("alert#latest", "notification");

impl SealProbe for Live {
    fn seal_probe(&self, key: &StoredKeyPair, now: Timestamp) -> Result<String, OutsideError> {
        probe::seal(key, now, &SystemRandom::new()).map_err(|error| OutsideError(error.to_string()))
    }
}

impl PostProbe for Live {
    async fn post_probe(&self, url: &str, body: &str) -> Result<u16, OutsideError> {
        self.watchers().post_probe(url, body).await
    }
}

impl PostProbe for Watchers {
    async fn post_probe(&self, url: &str, body: &str) -> Result<u16, OutsideError> {
        self.post(url, body, PATIENCE).await
    }
}

impl Diary for Live {
    async fn reconciled_at(&self) -> Result<Option<Timestamp>, OutsideError> {
        self.time_in(WATCH, RECONCILE).await
    }

    async fn latest_notification(&self) -> Result<Option<Timestamp>, OutsideError> {
        self.time_in(LATEST_NOTIFICATION.0, LATEST_NOTIFICATION.1).await
    }

    async fn notes(&self) -> Result<Option<Notes>, OutsideError> {
        Ok(self.item(WATCH, NOTES).await?.and_then(|item| read(&item)))
    }

    async fn put_notes(&self, notes: &Notes) -> Result<(), OutsideError> {
        let put =
            written(notes).into_iter().fold(self.put_item(WATCH, NOTES), |put, (name, value)| put.item(name, value));
        put.send().await.map(drop).map_err(|error| outside("DynamoDB", &error))
    }
}

/// The attributes of the item, beside its key.
pub(super) fn written(notes: &Notes) -> HashMap<String, AttributeValue> {
    let count = |(topic, count): (&String, &u64)| (topic.clone(), AttributeValue::N(count.to_string()));
    let noted = |(name, noted): (&String, &Noted)| {
        let (seen, told) = (text(&noted.seen.to_string()), AttributeValue::Bool(noted.told));
        (name.clone(), AttributeValue::M(HashMap::from([("seen".to_owned(), seen), ("told".to_owned(), told)])))
    };
    HashMap::from([
        ("since".to_owned(), text(&notes.since.to_string())),
        ("confirmed".to_owned(), AttributeValue::M(notes.confirmed.iter().map(count).collect())),
        ("troubles".to_owned(), AttributeValue::M(notes.troubles.iter().map(noted).collect())),
    ])
}

/// What is noted of troubles is new to notes of older versions, which say nothing of any.
pub(super) fn read(item: &HashMap<String, AttributeValue>) -> Option<Notes> {
    let count = |value: &AttributeValue| value.as_n().ok()?.parse().ok();
    let noted = |value: &AttributeValue| {
        let noted = value.as_m().ok()?;
        Some(Noted { seen: noted.get("seen")?.as_s().ok()?.parse().ok()?, told: *noted.get("told")?.as_bool().ok()? })
    };
    let confirmed = item.get("confirmed")?.as_m().ok()?;
    let troubles = item.get("troubles").and_then(|troubles| troubles.as_m().ok()).into_iter().flatten();
    Some(Notes {
        since: item.get("since")?.as_s().ok()?.parse().ok()?,
        confirmed: confirmed.iter().filter_map(|(topic, value)| Some((topic.clone(), count(value)?))).collect(),
        troubles: troubles.filter_map(|(name, value)| Some((name.clone(), noted(value)?))).collect(),
    })
}

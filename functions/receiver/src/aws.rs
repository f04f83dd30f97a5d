//! The outside as it is: AWS's services through their SDK, and Entra over HTTP.

use std::{collections::HashMap, time::Duration};

use aws_config::{SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    operation::update_item::{UpdateItemError, UpdateItemOutput, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, ReturnValue},
};
use aws_sdk_sns::{
    error::{ProvideErrorMetadata, SdkError},
    types::PublishBatchRequestEntry,
};
use emergency_alert::{End, Start};
use graph_notifications::{SigningKeys, TenantId};
use graph_subscriptions::{
    LoginEndpoint, http, signing_keys,
    signing_keys::{SigningKeysError, TokenVersion},
};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{event::BusEvent, publication::Publication, topic::TopicClients};
use tokio::sync::OnceCell;
use zeroize::Zeroizing;

use crate::{
    config::Config,
    mark::{Content, Mark},
    ports::{CallFailed, CallRecord, FetchSigningKeys, FetchedKeys, Publish, PutEvents, ReadKeyring, StateTable},
};

/// How long Entra may take: it is asked while Graph waits.
const ENTRA_TIMEOUT: Duration = Duration::from_millis(500);

/// AWS's services and Entra.
pub struct Aws {
    secrets_manager: aws_sdk_secretsmanager::Client,
    dynamodb: aws_sdk_dynamodb::Client,
    sns: TopicClients,
    eventbridge: aws_sdk_eventbridge::Client,
    /// Made at its first use: most invocations never ask Entra, and reading the system's certificates takes a while.
    entra: OnceCell<reqwest::Client>,
    login_endpoint: LoginEndpoint,
    keyring_secret_id: String,
    state_table_name: String,
    event_bus_name: String,
}

impl Aws {
    /// Clients for what the configuration names. Nothing is called yet.
    #[must_use]
    pub fn new(sdk: &SdkConfig, config: &Config) -> Self {
        // Publishing is retried by the handler, which knows how much time is left. It alone ends an attempt, too: one that is
        // given up early may have published all the same.
        let sns = aws_sdk_sns::config::Builder::from(sdk)
            .retry_config(RetryConfig::disabled())
            .timeout_config(TimeoutConfig::builder().disable_operation_attempt_timeout().build());
        Self {
            secrets_manager: aws_sdk_secretsmanager::Client::new(sdk),
            dynamodb: aws_sdk_dynamodb::Client::new(sdk),
            // What leads to another Region begins with a connection there, which has all the time that is left.
            sns: TopicClients::new(sns, config.second_alert_topic.as_ref())
                .with_second_timeouts(TimeoutConfig::disabled()),
            eventbridge: aws_sdk_eventbridge::Client::new(sdk),
            entra: OnceCell::new(),
            login_endpoint: config.login_endpoint.clone(),
            keyring_secret_id: config.keyring_secret_id.clone(),
            state_table_name: config.state_table_name.clone(),
            event_bus_name: config.event_bus_name.clone(),
        }
    }
}

/// Names what failed, and no more: a service may repeat in its message what it was sent.
fn failed<E: ProvideErrorMetadata>(call: &str, error: &SdkError<E>) -> CallFailed {
    CallFailed(match error {
        SdkError::ServiceError(refusal) => format!("{call}: {}", refusal.err().code().unwrap_or("refused")),
        SdkError::DispatchFailure(failure) => match failure.as_connector_error() {
            Some(error) => format!("{call}: no connection: {error}"),
            None => format!("{call}: no connection"),
        },
        other => format!("{call}: {other}"),
    })
}

impl ReadKeyring for Aws {
    async fn read_keyring(&self) -> Result<Zeroizing<String>, CallFailed> {
        let request = self.secrets_manager.get_secret_value().secret_id(&self.keyring_secret_id);
        let answer = request.send().await.map_err(|error| failed("GetSecretValue", &error))?;
        let text = answer.secret_string.ok_or_else(|| CallFailed("the secret holds no text".to_owned()))?;
        Ok(Zeroizing::new(text))
    }
}

impl FetchSigningKeys for Aws {
    async fn fetch_signing_keys(&self, tenant: TenantId, now: Timestamp) -> Result<FetchedKeys, CallFailed> {
        let timeouts = http::Timeouts { connect: ENTRA_TIMEOUT, total: ENTRA_TIMEOUT };
        let client = self.entra.get_or_try_init(async || http::client(timeouts)).await;
        let client = client.map_err(|error| CallFailed(error.to_string()))?;
        let fetch = |version| signing_keys::fetch(client, &self.login_endpoint, tenant, version, now);
        let (v2, v1) = tokio::join!(fetch(TokenVersion::V2), fetch(TokenVersion::V1));
        of_both_documents(v2, v1).map_err(|error| CallFailed(error.to_string()))
    }
}

/// Without one of the documents a key may seem unknown that is not, unless Entra says that there is no such document.
fn of_both_documents(
    v2: Result<SigningKeys, SigningKeysError>,
    v1: Result<SigningKeys, SigningKeysError>,
) -> Result<FetchedKeys, SigningKeysError> {
    match (v2, v1) {
        (Ok(mut keys), Ok(more)) => {
            keys.merge(more);
            Ok(FetchedKeys { keys, complete: true })
        }
        (Ok(keys), Err(error)) | (Err(error), Ok(keys)) => {
            Ok(FetchedKeys { keys, complete: matches!(error, SigningKeysError::Status(404 | 410)) })
        }
        (Err(error), Err(_)) => Err(error),
    }
}

/// Sort keys of the items of the state table that are the receiver's: its role may touch no other partition keys.
const PUBLISHED: &str = "published";
const STARTED: &str = "started";

/// The one item that says when the latest notification came; the renewer reads it.
const LATEST: (&str, &str) = ("latest", "notification");
const AT: &str = "at";

/// The items that count unverified alerts, one for each hour, with an attribute for each minute.
const UNVERIFIED: &str = "unverified";
const MINUTES: i64 = 10;

/// Attributes of a mark: what was told, as sets of texts.
const TOLD_VERIFIED: &str = "verified";
const TOLD_UNVERIFIED: &str = "unverified";

/// How many contents of unverified alerts a mark keeps. More of them would only be told again.
const MOST_CONTENTS: usize = 100;

/// Attributes of a call: when it started, whether as a test, and when it ended.
const STARTED_AT: &str = "startedAt";
const IS_TEST: &str = "isTest";
const ENDED_AT: &str = "endedAt";

const EXPIRES_AT: &str = "expiresAt";

type Item = HashMap<String, AttributeValue>;

fn key(hash: &str, sort: &str) -> Item {
    let text = |text: String| AttributeValue::S(text);
    [("pk".to_owned(), text(format!("alert#{hash}"))), ("sk".to_owned(), text(sort.to_owned()))].into()
}

fn until(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_second().to_string())
}

fn time(item: &Item, attribute: &str) -> Option<Timestamp> {
    item.get(attribute)?.as_s().ok()?.parse().ok()
}

impl Aws {
    async fn get(&self, hash: &str, sort: &str) -> Result<Option<Item>, CallFailed> {
        let key = key(hash, sort);
        let request = self.dynamodb.get_item().table_name(&self.state_table_name).consistent_read(true);
        let answer = request.set_key(Some(key.clone())).send().await.map_err(|error| failed("GetItem", &error))?;
        match answer.item {
            // What is taken for an alert's mark keeps the alert from going out.
            Some(item) if key.iter().any(|(name, value)| item.get(name) != Some(value)) => {
                Err(CallFailed("GetItem: another item than the one asked for".to_owned()))
            }
            item => Ok(item),
        }
    }

    async fn put(&self, mut item: Item, expires: Timestamp) -> Result<(), CallFailed> {
        item.insert(EXPIRES_AT.to_owned(), until(expires));
        let request = self.dynamodb.put_item().table_name(&self.state_table_name).set_item(Some(item));
        request.send().await.map_err(|error| failed("PutItem", &error))?;
        Ok(())
    }

    fn update(&self, hash: &str, sort: &str, expires: Timestamp) -> UpdateItemFluentBuilder {
        let request = self.dynamodb.update_item().table_name(&self.state_table_name);
        let request = request.set_key(Some(key(hash, sort))).expression_attribute_names("#expires", EXPIRES_AT);
        request.expression_attribute_values(":expires", until(expires))
    }
}

/// Whether an update was made. One whose condition does not hold is none.
fn made(result: Result<UpdateItemOutput, SdkError<UpdateItemError>>) -> Result<bool, CallFailed> {
    match result {
        Ok(_) => Ok(true),
        Err(SdkError::ServiceError(refusal)) if refusal.err().is_conditional_check_failed_exception() => Ok(false),
        Err(error) => Err(failed("UpdateItem", &error)),
    }
}

impl StateTable for Aws {
    async fn find_mark(&self, hash: &str) -> Result<Option<Mark>, CallFailed> {
        let Some(item) = self.get(hash, PUBLISHED).await? else { return Ok(None) };
        let contents = |attribute: &str| {
            let texts = item.get(attribute).and_then(|value| value.as_ss().ok());
            texts.into_iter().flatten().filter_map(|text| content(text)).collect()
        };
        let without_content = ![TOLD_VERIFIED, TOLD_UNVERIFIED].iter().any(|attribute| item.contains_key(*attribute));
        let (verified, unverified) = (contents(TOLD_VERIFIED), contents(TOLD_UNVERIFIED));
        Ok(Some(Mark { verified, unverified, without_content }))
    }

    async fn mark(&self, hash: &str, verified: bool, content: &Content, expires: Timestamp) -> Result<(), CallFailed> {
        let told = AttributeValue::Ss(vec![format!("{}.{}", content.place, content.caller)]);
        let mut request = self
            .update(hash, PUBLISHED, expires)
            .update_expression("ADD #told :told SET #expires = :expires")
            .expression_attribute_names("#told", if verified { TOLD_VERIFIED } else { TOLD_UNVERIFIED })
            .expression_attribute_values(":told", told);
        if !verified {
            request = request
                .condition_expression("attribute_not_exists(#told) OR size(#told) < :most")
                .expression_attribute_values(":most", AttributeValue::N(MOST_CONTENTS.to_string()));
        }
        made(request.send().await).map(drop)
    }

    async fn find_call(&self, call: &str) -> Result<CallRecord, CallFailed> {
        let Some(item) = self.get(call, STARTED).await? else { return Ok(CallRecord::default()) };
        let is_test = item.get(IS_TEST).is_some_and(|is_test| is_test.as_bool() == Ok(&true));
        let start = time(&item, STARTED_AT).map(|at| Start { at, is_test });
        let end = time(&item, ENDED_AT).map(|at| End { at });
        if start.is_none() && end.is_none() {
            return Err(CallFailed("GetItem: the item holds no time".to_owned()));
        }
        Ok(CallRecord { start, end })
    }

    async fn remember_call(&self, call: &str, record: CallRecord, expires: Timestamp) -> Result<(), CallFailed> {
        let mut request = self.update(call, STARTED, expires);
        let mut expression = "SET #expires = :expires".to_owned();
        if let Some(start) = record.start {
            expression.push_str(", #started = :started, #test = :test");
            request = request
                .expression_attribute_names("#started", STARTED_AT)
                .expression_attribute_names("#test", IS_TEST)
                .expression_attribute_values(":started", AttributeValue::S(start.at.to_string()))
                .expression_attribute_values(":test", AttributeValue::Bool(start.is_test));
        }
        if let Some(end) = record.end {
            expression.push_str(", #ended = :ended");
            request = request
                .expression_attribute_names("#ended", ENDED_AT)
                .expression_attribute_values(":ended", AttributeValue::S(end.at.to_string()));
        }
        made(request.update_expression(expression).send().await).map(drop)
    }

    async fn note_latest(&self, at: Timestamp, expires: Timestamp) -> Result<(), CallFailed> {
        let mut item = key(LATEST.0, LATEST.1);
        item.insert(AT.to_owned(), AttributeValue::S(at.to_string()));
        self.put(item, expires).await
    }

    async fn count_unverified(&self, more: usize, now: Timestamp) -> Result<usize, CallFailed> {
        let (hour, minute) = hour_and_minute(now);
        let request = self
            .update(UNVERIFIED, &hour.to_string(), now + COUNTS_LIVE)
            .update_expression("ADD #minute :more SET #expires = :expires")
            .expression_attribute_names("#minute", counted(minute))
            .expression_attribute_values(":more", AttributeValue::N(more.to_string()))
            .return_values(ReturnValue::AllNew);
        let add = async { request.send().await.map_err(|error| failed("UpdateItem", &error)) };
        let before =
            async { if minute + 1 < MINUTES { self.get(UNVERIFIED, &(hour - 1).to_string()).await } else { Ok(None) } };
        let (added, before) = tokio::try_join!(add, before)?;
        let this_hour = added.attributes.unwrap_or_default();
        let of = |item: &Item, minute: i64| -> usize {
            item.get(&counted(minute)).and_then(|count| count.as_n().ok()?.parse().ok()).unwrap_or_default()
        };
        let first = minute + 1 - MINUTES;
        let now: usize = (first.max(0)..=minute).map(|minute| of(&this_hour, minute)).sum();
        let before: usize = before.map_or(0, |item| (first + 60..60).map(|minute| of(&item, minute)).sum());
        Ok(now + before)
    }

    async fn claim_combined(&self, now: Timestamp) -> Result<bool, CallFailed> {
        let (hour, minute) = hour_and_minute(now);
        let request = self
            .update(UNVERIFIED, &hour.to_string(), now + COUNTS_LIVE)
            .update_expression("SET #claimed = :at, #expires = :expires")
            .condition_expression("attribute_not_exists(#claimed)")
            .expression_attribute_names("#claimed", format!("combined{minute}"))
            .expression_attribute_values(":at", AttributeValue::S(now.to_string()));
        made(request.send().await)
    }
}

const COUNTS_LIVE: SignedDuration = SignedDuration::from_hours(2);

/// Hours since 1970, and the minute of the hour.
fn hour_and_minute(now: Timestamp) -> (i64, i64) {
    let minutes = now.as_second().div_euclid(60);
    (minutes.div_euclid(60), minutes.rem_euclid(60))
}

fn counted(minute: i64) -> String {
    format!("minute{minute}")
}

fn content(text: &str) -> Option<Content> {
    let (place, caller) = text.split_once('.')?;
    Some(Content { place: place.to_owned(), caller: caller.to_owned() })
}

impl Publish for Aws {
    async fn publish(&self, topic_arn: &str, messages: &[&Publication]) -> Vec<Result<(), CallFailed>> {
        if let [message] = messages {
            let published = message.publish(self.sns.of(topic_arn), topic_arn).await;
            let published = published.map_err(|error| failed("Publish", &error)).map(|taken| taken.message_id);
            vec![published.and_then(|id| id.map(drop).ok_or_else(|| CallFailed("Publish: no message id".to_owned())))]
        } else {
            self.publish_batch(topic_arn, messages).await
        }
    }
}

impl Aws {
    async fn publish_batch(&self, topic_arn: &str, messages: &[&Publication]) -> Vec<Result<(), CallFailed>> {
        let mut request = self.sns.of(topic_arn).publish_batch().topic_arn(topic_arn);
        for (index, message) in messages.iter().enumerate() {
            let entry = PublishBatchRequestEntry::builder()
                .id(index.to_string())
                .message_structure("json")
                .subject(&message.subject)
                .message(&message.message)
                .set_message_attributes(Some(message.message_attributes()));
            match entry.build() {
                Ok(entry) => request = request.publish_batch_request_entries(entry),
                Err(error) => return vec![Err(CallFailed(format!("PublishBatch: {error}"))); messages.len()],
            }
        }
        let answer = match request.send().await {
            Ok(answer) => answer,
            Err(error) => return vec![Err(failed("PublishBatch", &error)); messages.len()],
        };
        // An entry counts as published only if the answer says so: status 200 alone says nothing of the entries.
        let published = |index: usize| answer.successful().iter().any(|entry| entry.id() == Some(&index.to_string()));
        let reason = |index: usize| {
            let entry = answer.failed().iter().find(|entry| entry.id() == index.to_string());
            CallFailed(format!("PublishBatch: {}", entry.map_or("no result", |entry| entry.code())))
        };
        (0..messages.len()).map(|index| if published(index) { Ok(()) } else { Err(reason(index)) }).collect()
    }
}

impl PutEvents for Aws {
    async fn put_events(&self, events: &[&BusEvent]) -> Vec<Result<(), CallFailed>> {
        let entries = events.iter().map(|event| event.entry(&self.event_bus_name)).collect();
        let answer = match self.eventbridge.put_events().set_entries(Some(entries)).send().await {
            Ok(answer) => answer,
            Err(error) => return vec![Err(failed("PutEvents", &error)); events.len()],
        };
        let result = |index: usize| match answer.entries().get(index) {
            Some(entry) if entry.event_id().is_some() => Ok(()),
            Some(entry) => Err(CallFailed(format!("PutEvents: {}", entry.error_code().unwrap_or("no event id")))),
            None => Err(CallFailed("PutEvents: no result".to_owned())),
        };
        (0..events.len()).map(result).collect()
    }
}

#[cfg(test)]
mod tests {
    use aws_config::{BehaviorVersion, Region};
    use lambda_edge::environment::Environment;

    use super::*;

    #[test]
    fn one_document_of_keys_is_all_only_if_entra_has_no_other() {
        let keys = || Ok(SigningKeys { fetched_at: Timestamp::UNIX_EPOCH, keys: vec![] });
        assert!(of_both_documents(keys(), keys()).unwrap().complete);
        for (status, complete) in
            [(404, true), (410, true), (302, false), (401, false), (403, false), (408, false), (503, false)]
        {
            let none = || Err(SigningKeysError::Status(status));
            assert_eq!(of_both_documents(keys(), none()).unwrap().complete, complete, "{status}");
            assert_eq!(of_both_documents(none(), keys()).unwrap().complete, complete, "{status}");
            assert!(of_both_documents(none(), none()).is_err());
        }
        assert!(!of_both_documents(keys(), Err(SigningKeysError::Unreadable)).unwrap().complete);
    }

    #[test]
    fn only_the_deadline_ends_a_call_to_a_topic() {
        const SECOND: &str = "arn:aws:sns:us-west-2:123456789012:Alerts";
        let config = Config::read(&Environment(&|variable| {
            let value = match variable {
                "TENANT_ID" | "CLIENT_ID" => "11111111-2222-3333-4444-555555555555",
                "POLICY_NAMES" => "Global",
                "LOGIN_ENDPOINT" => "https://login.microsoftonline.com",
                "SECOND_ALERT_TOPIC_ARN" => SECOND,
                "AWS_REGION" => "us-east-1",
                other => other,
            };
            Some(value.to_owned()).filter(|_| !["TEST_NUMBERS", "ALLOW_OTHER_ENDPOINTS"].contains(&variable))
        }));
        let config = config.unwrap();
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(Duration::from_millis(500))
            .operation_attempt_timeout(Duration::from_millis(700))
            .build();
        let sdk = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .timeout_config(timeouts.clone())
            .build();
        let aws = Aws::new(&sdk, &config);
        let of = |topic: &str| aws.sns.of(topic).config().timeout_config().unwrap().clone();
        let home = of(&config.alert_topic_arn);
        assert_eq!((home.connect_timeout(), home.operation_attempt_timeout()), (timeouts.connect_timeout(), None));
        assert_eq!(of(SECOND), TimeoutConfig::disabled());
    }
}

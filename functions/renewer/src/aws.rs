//! The outside world as it is: AWS through its SDK, Entra and Graph over HTTP, and the machine.

use std::{collections::HashMap, fmt::Write as _, time::Duration};

use aws_config::retry::RetryConfig;
use aws_sdk_dynamodb::{
    operation::put_item::{PutItemError, PutItemOutput, builders::PutItemFluentBuilder},
    types::AttributeValue,
};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use aws_smithy_runtime_api::client::result::SdkError;
use graph_notifications::{ClientStateKey, KeyPair, Policy, SigningKeys, TenantId, certificate::KeySize};
use graph_subscriptions::{
    AccessToken, Credential, Graph, GraphError, Listing, NewSubscription, Renewal, ServicePrincipal, Subscription,
    TokenError, entra,
    http::{self, ClientError, Timeouts},
    signing_keys::{self, SigningKeysError, TokenVersion},
};
use jiff::{SignedDuration, Timestamp};
use lambda_edge::{aws::sdk_config, event::BusEvent, publication::Publication, topic::SecondTopic};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::{
    aws_error::outside,
    check::{
        live::Watchers,
        ports::{AppSettings, SecondWay},
    },
    config::Config,
    drill::{
        live::Sns,
        ports::{Publish, PutCall},
    },
    filter_policy::FilterPolicy,
    ports::{
        Alarm, Alarms, Deployment, Endpoint, EventBus, HandshakeAnswer, Host, LeaseName, Microsoft, OutsideError,
        Secrets, StateTable, StoredSecret, Subscribers, Subscriptions, Topics, WebIdentity,
    },
    records::{Health, Record, policy_of, sort_key},
    subscriber::Subscriber,
};

const LEASES: &str = "lease";
const LIFECYCLE: &str = "lifecycle";
pub(crate) const RECONCILE: &str = "reconcile";
pub(crate) const WATCH: &str = "watch";
const SUBSCRIPTIONS: &str = "subscriptions";

/// The stage of the version of a secret that is in use.
const CURRENT: &str = "AWSCURRENT";

/// The stage of a version that is about to take its place.
const CANDIDATE: &str = "candidate";

/// A token for Entra is used at once.
const WEB_IDENTITY_SECONDS: i32 = 300;

/// How long the table keeps the beginning of a run that a lifecycle event asked for.
const KEPT_LIFECYCLE: SignedDuration = SignedDuration::from_hours(1);

/// The world that the deployed function lives in.
pub struct Live {
    config: Config,
    secrets: aws_sdk_secretsmanager::Client,
    table: aws_sdk_dynamodb::Client,
    events: aws_sdk_eventbridge::Client,
    sns: Sns,
    security_tokens: aws_sdk_sts::Client,
    http: reqwest::Client,
    graph: Graph,
    watchers: Watchers,
    random: SystemRandom,
}

impl Live {
    /// Loads the SDK's configuration from the environment and builds the clients.
    ///
    /// # Errors
    /// If there is no HTTP client for Microsoft.
    pub async fn connect(config: Config) -> Result<Self, ClientError> {
        let retries = RetryConfig::standard().with_max_attempts(3);
        let shared = sdk_config(Duration::from_secs(2), Duration::from_secs(5), retries).await;
        Self::new(config, &shared)
    }

    /// Builds the clients from an SDK configuration.
    ///
    /// # Errors
    /// If there is no HTTP client for Microsoft.
    pub fn new(config: Config, shared: &aws_config::SdkConfig) -> Result<Self, ClientError> {
        let http = http::client(Timeouts::PATIENT)?;
        Ok(Self {
            secrets: aws_sdk_secretsmanager::Client::new(shared),
            table: aws_sdk_dynamodb::Client::new(shared),
            events: aws_sdk_eventbridge::Client::new(shared),
            sns: Sns::new(shared, config.second_alert_topic.as_ref()),
            security_tokens: aws_sdk_sts::Client::new(shared),
            graph: Graph::new(http.clone(), config.graph.clone()),
            watchers: Watchers::new(&config, shared)?,
            http,
            config,
            random: SystemRandom::new(),
        })
    }

    async fn put_event(&self, event: &BusEvent) -> Result<(), OutsideError> {
        let sent = self.events.put_events().entries(event.entry(&self.config.bus_name)).send().await;
        let output = sent.map_err(|error| outside("EventBridge", &error))?;
        // A refused entry comes with the status 200, and only the event's id says that it was taken.
        match output.entries().first() {
            Some(entry) if entry.event_id().is_some() => Ok(()),
            entry => {
                let code = entry.and_then(|entry| entry.error_code()).unwrap_or("no event id");
                Err(OutsideError(format!("EventBridge: {code}")))
            }
        }
    }

    pub(crate) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// An item of the state table.
    pub(crate) async fn item(
        &self,
        partition: &str,
        sort: &str,
    ) -> Result<Option<HashMap<String, AttributeValue>>, OutsideError> {
        let asked = self.table.get_item().table_name(&self.config.table_name).consistent_read(true);
        let found = asked.set_key(Some(Self::key(partition, sort))).send().await;
        Ok(found.map_err(|error| outside("DynamoDB", &error))?.item)
    }

    /// The time `at` of an item of the state table.
    pub(crate) async fn time_in(&self, partition: &str, sort: &str) -> Result<Option<Timestamp>, OutsideError> {
        let item = self.item(partition, sort).await?;
        Ok(item.and_then(|item| item.get("at")?.as_s().ok()?.parse().ok()))
    }

    /// A request that puts an item into the state table; its other attributes are yet to be added.
    pub(crate) fn put_item(&self, partition: &str, sort: &str) -> PutItemFluentBuilder {
        let put = self.table.put_item().table_name(&self.config.table_name);
        put.set_item(Some(Self::key(partition, sort)))
    }

    fn key(partition: &str, sort: &str) -> HashMap<String, AttributeValue> {
        HashMap::from([("pk".to_owned(), text(partition)), ("sk".to_owned(), text(sort))])
    }
}

impl Microsoft for Live {
    async fn token(
        &self,
        tenant: TenantId,
        credential: &Credential,
        now: Timestamp,
    ) -> Result<AccessToken, TokenError> {
        let scope = self.config.graph.token_scope();
        entra::token(&self.http, &self.config.login, tenant, self.config.app, credential, &scope, now).await
    }

    async fn signing_keys(
        &self,
        tenant: TenantId,
        version: TokenVersion,
        now: Timestamp,
    ) -> Result<SigningKeys, SigningKeysError> {
        signing_keys::fetch(&self.http, &self.config.login, tenant, version, now).await
    }

    async fn list(&self, token: &AccessToken) -> Result<Listing, GraphError> {
        self.graph.list(token).await
    }

    async fn get(&self, token: &AccessToken, id: &str) -> Result<Subscription, GraphError> {
        self.graph.get(token, id).await
    }

    async fn create(&self, token: &AccessToken, new: &NewSubscription<'_>) -> Result<Subscription, GraphError> {
        self.graph.create(token, new).await
    }

    async fn renew(&self, token: &AccessToken, id: &str, renewal: &Renewal<'_>) -> Result<Subscription, GraphError> {
        self.graph.renew(token, id, renewal).await
    }

    async fn delete(&self, token: &AccessToken, id: &str) -> Result<(), GraphError> {
        self.graph.delete(token, id).await
    }
}

impl WebIdentity for Live {
    async fn web_identity_token(&self, audience: &str) -> Result<Zeroizing<String>, OutsideError> {
        let sent = self
            .security_tokens
            .get_web_identity_token()
            .audience(audience)
            // The one algorithm that Entra takes.
            .signing_algorithm("RS256")
            .duration_seconds(WEB_IDENTITY_SECONDS)
            .send()
            .await
            .map_err(|error| outside("AWS STS", &error))?;
        let token = sent.web_identity_token.map(Zeroizing::new);
        token.ok_or_else(|| OutsideError("AWS STS: the answer holds no token".to_owned()))
    }
}

impl Deployment for Live {
    async fn answer(&self, url: &str, body: &str) -> Result<(), OutsideError> {
        CloudFormation(self.http.clone()).answer(url, body).await
    }
}

/// All that a function whose settings cannot be used may still need.
pub struct CloudFormation(reqwest::Client);

impl CloudFormation {
    /// Builds the HTTP client.
    ///
    /// # Errors
    /// If there is none.
    pub fn connect() -> Result<Self, ClientError> {
        http::client(Timeouts::PATIENT).map(Self)
    }
}

impl Deployment for CloudFormation {
    async fn answer(&self, url: &str, body: &str) -> Result<(), OutsideError> {
        // The address is signed for a request without a content type.
        let sent = self.0.put(url).body(body.to_owned()).send().await;
        let answered = sent.map_err(|error| OutsideError(error.without_url().to_string()))?;
        match answered.status() {
            status if status.is_success() => Ok(()),
            status => Err(OutsideError(format!("status {}", status.as_u16()))),
        }
    }
}

impl Topics for Live {
    async fn subscribers(&self, topic_arn: &str) -> Result<Subscribers, OutsideError> {
        self.watchers.subscribers(topic_arn).await
    }
}

impl SecondWay for Live {
    async fn reach(&self, topic: &SecondTopic) -> Result<Duration, OutsideError> {
        self.watchers.reach(topic).await
    }
}

impl Alarms for Live {
    async fn alarms(&self) -> Result<Vec<Alarm>, OutsideError> {
        self.watchers.alarms().await
    }
}

impl Endpoint for Live {
    async fn handshake(&self, url: &str, token: &str) -> Result<HandshakeAnswer, OutsideError> {
        self.watchers.handshake(url, token).await
    }
}

impl AppSettings for Live {
    async fn service_principal(&self, token: &AccessToken) -> Result<ServicePrincipal, GraphError> {
        self.watchers.service_principal(token).await
    }
}

impl Secrets for Live {
    async fn read(&self, id: &str) -> Result<Option<StoredSecret>, OutsideError> {
        match self.secrets.get_secret_value().secret_id(id).send().await {
            Ok(output) => {
                let value = Zeroizing::new(output.secret_string.unwrap_or_default());
                let unnamed = || OutsideError("Secrets Manager: the answer names no version".to_owned());
                Ok(Some(StoredSecret { value, version: output.version_id.ok_or_else(unnamed)? }))
            }
            // The answer for a secret that exists and has no value yet, too.
            Err(error)
                if error.as_service_error().is_some_and(GetSecretValueError::is_resource_not_found_exception) =>
            {
                Ok(None)
            }
            Err(error) => Err(outside("Secrets Manager", &error)),
        }
    }

    async fn replace(&self, id: &str, read: Option<&str>, value: &str) -> Result<bool, OutsideError> {
        let put = self.secrets.put_secret_value().secret_id(id).secret_string(value).version_stages(CANDIDATE);
        let put = put.send().await.map_err(|error| outside("Secrets Manager", &error))?;
        // The first version of a secret becomes the current one by itself.
        if put.version_stages().iter().any(|stage| stage == CURRENT) {
            return Ok(true);
        }
        let new =
            put.version_id.ok_or_else(|| OutsideError("Secrets Manager: the answer names no version".to_owned()))?;
        let moved = self
            .secrets
            .update_secret_version_stage()
            .secret_id(id)
            .version_stage(CURRENT)
            .move_to_version_id(&new)
            .set_remove_from_version_id(read.map(ToOwned::to_owned))
            .send()
            .await;
        let Err(error) = moved else { return Ok(true) };
        // The stage moves from the version that was read and from no other. Which one has it now tells a conflict from a
        // failure, and from a move whose answer was lost.
        match self.read(id).await?.map(|current| current.version) {
            Some(current) if current == new => Ok(true),
            current if current.as_deref() != read => Ok(false),
            _ => Err(outside("Secrets Manager", &error)),
        }
    }
}

impl StateTable for Live {
    async fn take_lease(
        &self,
        name: LeaseName,
        owner: &str,
        now: Timestamp,
        until: Timestamp,
    ) -> Result<bool, OutsideError> {
        let sent = self
            .put_item(LEASES, name.sort_key())
            .item("holder", text(owner))
            .item("expiresAt", seconds(until))
            .condition_expression("attribute_not_exists(pk) OR expiresAt <= :now OR holder = :holder")
            .expression_attribute_values(":now", seconds(now))
            .expression_attribute_values(":holder", text(owner))
            .send()
            .await;
        done_on_condition(sent)
    }

    async fn release_lease(&self, name: LeaseName, owner: &str) -> Result<(), OutsideError> {
        let sent = self
            .table
            .delete_item()
            .table_name(&self.config.table_name)
            .set_key(Some(Self::key(LEASES, name.sort_key())))
            .condition_expression("attribute_not_exists(pk) OR holder = :holder")
            .expression_attribute_values(":holder", text(owner))
            .send()
            .await;
        sent.map(|_| ()).map_err(|error| outside("DynamoDB", &error))
    }

    async fn records(&self) -> Result<Vec<Record>, OutsideError> {
        let mut records = Vec::new();
        let mut start = None;
        loop {
            let page = self
                .table
                .query()
                .table_name(&self.config.table_name)
                .consistent_read(true)
                .key_condition_expression("pk = :pk")
                .expression_attribute_values(":pk", text(SUBSCRIPTIONS))
                .set_exclusive_start_key(start)
                .send()
                .await
                .map_err(|error| outside("DynamoDB", &error))?;
            records.extend(page.items().iter().filter_map(record));
            start = page.last_evaluated_key;
            if start.is_none() {
                return Ok(records);
            }
        }
    }

    async fn put_record(&self, record: &Record) -> Result<(), OutsideError> {
        let sent = self.table.put_item().table_name(&self.config.table_name).set_item(Some(item(record))).send().await;
        sent.map(|_| ()).map_err(|error| outside("DynamoDB", &error))
    }

    async fn delete_record(&self, policy: &Policy) -> Result<(), OutsideError> {
        let key = Self::key(SUBSCRIPTIONS, &sort_key(policy));
        let sent = self.table.delete_item().table_name(&self.config.table_name).set_key(Some(key)).send().await;
        sent.map(|_| ()).map_err(|error| outside("DynamoDB", &error))
    }

    async fn note_reconciled(&self, at: Timestamp) -> Result<(), OutsideError> {
        let sent = self.put_item(WATCH, RECONCILE).item("at", text(&at.to_string())).send().await;
        sent.map(drop).map_err(|error| outside("DynamoDB", &error))
    }

    async fn lifecycle_run(&self) -> Result<Option<Timestamp>, OutsideError> {
        let found = self.item(LIFECYCLE, RECONCILE).await?;
        let begins_at = found.and_then(|item| item.get("beginsAt")?.as_n().ok()?.parse().ok());
        Ok(begins_at.and_then(|seconds| Timestamp::from_second(seconds).ok()))
    }

    async fn announce_lifecycle_run(&self, latest: Option<Timestamp>, next: Timestamp) -> Result<bool, OutsideError> {
        let put = self
            .put_item(LIFECYCLE, RECONCILE)
            .item("beginsAt", seconds(next))
            .item("expiresAt", seconds(next + KEPT_LIFECYCLE));
        let put = match latest {
            None => put.condition_expression("attribute_not_exists(pk)"),
            Some(latest) => {
                put.condition_expression("beginsAt = :latest").expression_attribute_values(":latest", seconds(latest))
            }
        };
        done_on_condition(put.send().await)
    }
}

impl EventBus for Live {
    async fn put_health(&self, health: &Health) -> Result<(), OutsideError> {
        let detail = serde_json::to_string(health).map_err(|error| OutsideError(error.to_string()))?;
        self.put_event(&BusEvent { detail_type: "Subscription Health", detail }).await
    }
}

impl PutCall for Live {
    async fn put_call(&self, event: &BusEvent) -> Result<(), OutsideError> {
        self.put_event(event).await
    }
}

impl Publish for Live {
    async fn publish(&self, topic_arn: &str, publication: &Publication) -> Result<String, OutsideError> {
        self.sns.publish(topic_arn, publication).await
    }
}

impl Subscriptions for Live {
    async fn list_subscribers(&self, topic_arn: &str) -> Result<Vec<Subscriber>, OutsideError> {
        self.sns.list_subscribers(topic_arn).await
    }

    async fn filter_policy(
        &self,
        topic_arn: &str,
        subscription_arn: &str,
    ) -> Result<Option<FilterPolicy>, OutsideError> {
        self.sns.filter_policy(topic_arn, subscription_arn).await
    }
}

impl Host for Live {
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, duration: Duration) {
        tokio::time::sleep(duration).await;
    }

    fn chance(&self) -> f64 {
        let mut bytes = [0; 4];
        // Without randomness the pauses are merely alike.
        let _ = self.random.fill(&mut bytes);
        f64::from(u32::from_ne_bytes(bytes)) / (f64::from(u32::MAX) + 1.0)
    }

    fn short_name(&self) -> Result<String, OutsideError> {
        let mut bytes = [0; 4];
        self.random.fill(&mut bytes).map_err(|_| OutsideError("the system gives no randomness".to_owned()))?;
        Ok(bytes.iter().fold(String::new(), |mut name, byte| {
            let _ = write!(name, "{byte:02x}");
            name
        }))
    }

    fn client_state_key(&self) -> Result<ClientStateKey, OutsideError> {
        ClientStateKey::generate(&self.random).map_err(|_| OutsideError("the system gives no randomness".to_owned()))
    }

    fn key_pair(&self, from: Timestamp, until: Timestamp) -> Result<KeyPair, OutsideError> {
        KeyPair::generate(KeySize::Rsa2048, from, until).map_err(|error| OutsideError(format!("OpenSSL: {error}")))
    }

    #[expect(clippy::print_stdout, reason = "CloudWatch reads embedded metrics from standard output")]
    fn emit(&self, line: &str) {
        println!("{line}");
    }
}

/// Whether an item was put, or its condition did not hold.
fn done_on_condition<R>(sent: Result<PutItemOutput, SdkError<PutItemError, R>>) -> Result<bool, OutsideError> {
    match sent {
        Ok(_) => Ok(true),
        Err(error) if error.as_service_error().is_some_and(PutItemError::is_conditional_check_failed_exception) => {
            Ok(false)
        }
        Err(error) => Err(outside("DynamoDB", &error)),
    }
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn seconds(time: Timestamp) -> AttributeValue {
    AttributeValue::N(time.as_second().to_string())
}

fn item(record: &Record) -> HashMap<String, AttributeValue> {
    let mut item = Live::key(SUBSCRIPTIONS, &sort_key(&record.policy));
    let mut add = |name: &str, value: Option<&str>| {
        item.insert(name.to_owned(), value.map_or(AttributeValue::Null(true), text));
    };
    add("subscriptionId", record.subscription_id.as_deref());
    add("clientStateId", Some(&record.client_state_id));
    add("certificateId", Some(&record.certificate_id));
    // Not `expiresAt`: with that name DynamoDB would delete the record when the time has come.
    add("subscriptionExpiresAt", record.subscription_expires_at.map(|time| time.to_string()).as_deref());
    add("replaces", record.replaces.as_deref());
    add("tamperedAt", record.tampered_at.map(|time| time.to_string()).as_deref());
    add("updatedAt", Some(&record.updated_at.to_string()));
    item
}

fn record(item: &HashMap<String, AttributeValue>) -> Option<Record> {
    let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
    Some(Record {
        policy: policy_of(text("sk")?)?,
        subscription_id: text("subscriptionId").cloned(),
        client_state_id: text("clientStateId")?.clone(),
        certificate_id: text("certificateId")?.clone(),
        subscription_expires_at: text("subscriptionExpiresAt").and_then(|time| time.parse().ok()),
        replaces: text("replaces").cloned(),
        tampered_at: text("tamperedAt").and_then(|time| time.parse().ok()),
        updated_at: text("updatedAt")?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use aws_config::{BehaviorVersion, Region};
    use aws_sdk_secretsmanager::config::{Credentials, SharedCredentialsProvider};
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    use axum::{
        Router,
        body::Bytes,
        extract::State,
        http::{HeaderMap, StatusCode},
    };
    use serde_json::{Value, json};

    use super::*;
    use crate::fake;

    type Asked = Arc<Mutex<Vec<(String, Value)>>>;

    /// A world whose AWS is a server on the loopback interface, over plain HTTP, that answers each request alike.
    async fn live(status: u16, answer: Value) -> (Live, Asked) {
        async fn reply(
            State((status, answer, asked)): State<(u16, Value, Asked)>,
            headers: HeaderMap,
            body: Bytes,
        ) -> (StatusCode, String) {
            let target = headers["x-amz-target"].to_str().unwrap().to_owned();
            asked.lock().unwrap().push((target, serde_json::from_slice(&body).unwrap()));
            (StatusCode::from_u16(status).unwrap(), answer.to_string())
        }
        let asked = Asked::default();
        let routes = Router::new().fallback(reply).with_state((status, answer, asked.clone()));
        (at(&served(routes).await), asked)
    }

    /// A server on the loopback interface; returns its address.
    async fn served(routes: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        address
    }

    /// A world whose AWS is at this address.
    fn at(address: &str) -> Live {
        let client =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        let credentials = Credentials::new("id", "key", None, None, "test");
        let shared = aws_config::SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(credentials))
            .endpoint_url(address)
            .http_client(client)
            .build();
        Live::new(fake::config("Global"), &shared).unwrap()
    }

    fn refusal(code: &str) -> Value {
        json!({"__type": code, "Message": "no", "message": "no"})
    }

    #[tokio::test]
    async fn a_secret_is_read_with_its_version() {
        let (live, asked) = live(200, json!({"SecretString": "hunter2", "VersionId": "v1"})).await;
        let read = live.read("arn:x").await.unwrap().unwrap();
        assert_eq!((read.value.as_str(), read.version.as_str()), ("hunter2", "v1"));
        let asked = asked.lock().unwrap();
        assert_eq!(asked[0], ("secretsmanager.GetSecretValue".to_owned(), json!({"SecretId": "arn:x"})));
    }

    /// A secret in a Secrets Manager that moves a stage only as AWS documents it.
    #[derive(Default)]
    struct Versions {
        /// Values by their numbers, and which one is current.
        values: Vec<String>,
        current: Option<usize>,
        /// Another run makes this current before the next move.
        interference: Option<String>,
        /// How the next move fails: before it takes effect, or after.
        fails: Option<bool>,
    }

    type Manager = Arc<Mutex<Versions>>;

    async fn manage(State(manager): State<Manager>, headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
        let mut secret = manager.lock().unwrap();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(asked["SecretId"], "arn:x");
        let no = |code: &str| (StatusCode::BAD_REQUEST, refusal(code).to_string());
        let named = |number: usize| format!("v{number}");
        let answer = match headers["x-amz-target"].to_str().unwrap().rsplit_once('.').unwrap().1 {
            "GetSecretValue" => match secret.current {
                None => return no("ResourceNotFoundException"),
                Some(number) => json!({"SecretString": secret.values[number], "VersionId": named(number)}),
            },
            "PutSecretValue" => {
                assert_eq!(asked["VersionStages"], json!(["candidate"]));
                secret.values.push(asked["SecretString"].as_str().unwrap().to_owned());
                let number = secret.values.len() - 1;
                let mut stages = vec!["candidate"];
                if number == 0 {
                    secret.current = Some(0);
                    stages.push("AWSCURRENT");
                }
                json!({"VersionId": named(number), "VersionStages": stages})
            }
            "UpdateSecretVersionStage" => {
                assert_eq!(asked["VersionStage"], "AWSCURRENT");
                if let Some(value) = secret.interference.take() {
                    secret.values.push(value);
                    secret.current = Some(secret.values.len() - 1);
                }
                let fails = secret.fails;
                if fails == Some(false) {
                    return no("InvalidRequestException");
                }
                if asked["RemoveFromVersionId"].as_str().map(ToOwned::to_owned) != secret.current.map(named) {
                    return no("InvalidParameterException");
                }
                let new = (0..secret.values.len()).find(|number| asked["MoveToVersionId"] == named(*number));
                secret.current = Some(new.unwrap());
                if fails == Some(true) {
                    return no("InternalServiceError");
                }
                json!({})
            }
            other => panic!("{other}"),
        };
        (StatusCode::OK, answer.to_string())
    }

    async fn managed(values: &[&str]) -> (Live, Manager) {
        let values: Vec<_> = values.iter().map(|&value| value.to_owned()).collect();
        let current = values.len().checked_sub(1);
        let manager = Manager::new(Mutex::new(Versions { values, current, ..Versions::default() }));
        (at(&served(Router::new().fallback(manage).with_state(manager.clone())).await), manager)
    }

    fn current(manager: &Manager) -> String {
        let secret = manager.lock().unwrap();
        secret.values[secret.current.unwrap()].clone()
    }

    #[tokio::test]
    async fn a_secret_is_written_in_the_place_of_the_version_that_was_read() {
        let (live, manager) = managed(&[]).await;
        assert!(live.read("arn:x").await.unwrap().is_none());
        assert!(live.replace("arn:x", None, "one").await.unwrap());
        assert_eq!(current(&manager), "one");
        let read = live.read("arn:x").await.unwrap().unwrap().version;
        assert!(live.replace("arn:x", Some(&read), "two").await.unwrap());
        assert_eq!(current(&manager), "two");
        // By now another version is current than the one that was read, or than none.
        for read in [Some(read.as_str()), None] {
            assert!(!live.replace("arn:x", read, "three").await.unwrap());
            assert_eq!(current(&manager), "two");
        }
        let read = live.read("arn:x").await.unwrap().unwrap().version;
        manager.lock().unwrap().interference = Some("of another run".to_owned());
        assert!(!live.replace("arn:x", Some(&read), "four").await.unwrap());
        assert_eq!(current(&manager), "of another run");
    }

    #[tokio::test]
    async fn a_version_without_a_value_is_replaced_as_any_other() {
        let (secrets, manager) = managed(&[""]).await;
        let read = secrets.read("arn:x").await.unwrap().unwrap();
        assert_eq!(read.text(), None);
        assert!(secrets.replace("arn:x", Some(&read.version), "one").await.unwrap());
        assert_eq!(current(&manager), "one");
        let (textless, _) = live(200, json!({"VersionId": "v1"})).await;
        let read = textless.read("x").await.unwrap().unwrap();
        assert_eq!((read.text(), read.version.as_str()), (None, "v1"));
    }

    #[tokio::test]
    async fn a_failed_move_is_no_conflict_and_one_whose_answer_is_lost_has_been_made() {
        let (live, manager) = managed(&["one"]).await;
        manager.lock().unwrap().fails = Some(false);
        let error = live.replace("arn:x", Some("v0"), "two").await.unwrap_err();
        assert_eq!(error.to_string(), "Secrets Manager: InvalidRequestException: no");
        assert_eq!(current(&manager), "one");
        manager.lock().unwrap().fails = Some(true);
        assert!(live.replace("arn:x", Some("v0"), "three").await.unwrap());
        assert_eq!(current(&manager), "three");
    }

    #[tokio::test]
    async fn a_secret_without_a_value_is_none_and_any_other_refusal_an_error() {
        let (empty, _) = live(400, refusal("ResourceNotFoundException")).await;
        assert!(empty.read("x").await.unwrap().is_none());
        let (denied, _) = live(400, refusal("AccessDeniedException")).await;
        assert_eq!(denied.read("x").await.err().unwrap().to_string(), "Secrets Manager: AccessDeniedException: no");
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_is_not_repeated() {
        let (live, _) = live(200, json!({"SecretString": ["hunter2"]})).await;
        let error = live.read("x").await.err().unwrap();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }

    #[tokio::test]
    async fn the_lease_is_taken_on_condition() {
        let (live_table, asked) = live(200, json!({})).await;
        let (now, until) = (fake::START, fake::START + jiff::SignedDuration::from_secs(300));
        assert!(live_table.take_lease(LeaseName::Subscriptions, "me", now, until).await.unwrap());
        let (target, body) = asked.lock().unwrap()[0].clone();
        assert_eq!(target, "DynamoDB_20120810.PutItem");
        let item = json!({
            "pk": {"S": "lease"}, "sk": {"S": "reconcile"}, "holder": {"S": "me"}, "expiresAt": {"N": until.as_second().to_string()},
        });
        assert_eq!(body["Item"], item);
        assert_eq!(body["ConditionExpression"], "attribute_not_exists(pk) OR expiresAt <= :now OR holder = :holder");
        assert_eq!(body["ExpressionAttributeValues"][":now"]["N"], now.as_second().to_string());
        let (held, _) = live(400, refusal("com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException")).await;
        assert!(!held.take_lease(LeaseName::Subscriptions, "me", now, until).await.unwrap());
        let (down, _) = live(400, refusal("com.amazonaws.dynamodb.v20120810#ResourceNotFoundException")).await;
        assert!(down.take_lease(LeaseName::Subscriptions, "me", now, until).await.is_err());
        let (live_table, asked) = live(200, json!({})).await;
        live_table.take_lease(LeaseName::Monitor, "me", now, until).await.unwrap();
        live_table.release_lease(LeaseName::Monitor, "me").await.unwrap();
        let asked = asked.lock().unwrap();
        assert_eq!(
            (&asked[0].1["Item"]["sk"]["S"], &asked[1].1["Key"]["sk"]["S"]),
            (&json!("monitor"), &json!("monitor"))
        );
    }

    #[tokio::test]
    async fn a_record_survives_the_table() {
        let (live, asked) = live(200, json!({})).await;
        let mut written = Record {
            policy: fake::policy("East/West"),
            subscription_id: Some("s1".to_owned()),
            client_state_id: "state-1".to_owned(),
            certificate_id: "key-1".to_owned(),
            subscription_expires_at: Some(fake::START),
            replaces: Some("s0".to_owned()),
            tampered_at: Some(fake::START),
            updated_at: fake::START,
        };
        live.put_record(&written).await.unwrap();
        assert_eq!(record(&item(&written)), Some(written.clone()));
        // As versions wrote it that did not look for changes.
        let mut older = item(&written);
        older.remove("tamperedAt");
        assert_eq!(record(&older), Some(Record { tampered_at: None, ..written.clone() }));
        (written.subscription_id, written.subscription_expires_at, written.replaces) = (None, None, None);
        assert_eq!(record(&item(&written)), Some(written));
        let body = asked.lock().unwrap()[0].1.clone();
        assert_eq!(body["Item"]["sk"]["S"], format!("{}/East/West", fake::TENANT));
        assert!(body["Item"].get("expiresAt").is_none());
    }

    #[tokio::test]
    async fn a_refused_event_is_an_error() {
        let health = Health {
            tenant_id: fake::TENANT.parse().unwrap(),
            policy_name: "Global".parse().unwrap(),
            state: "recreated",
            lost_subscription_id: "s1".to_owned(),
            subscription_id: Some("s2".to_owned()),
            observed_at: fake::START,
            explanation: "x".to_owned(),
        };
        let (live_bus, asked) = live(200, json!({"FailedEntryCount": 0, "Entries": [{"EventId": "1"}]})).await;
        live_bus.put_health(&health).await.unwrap();
        let entry = asked.lock().unwrap()[0].1["Entries"][0].clone();
        assert_eq!(
            (&entry["Source"], &entry["DetailType"]),
            (&json!("teams-emergency-alerts"), &json!("Subscription Health"))
        );
        assert_eq!(entry["EventBusName"], "bus");
        for refused in [json!([{"ErrorCode": "Throttled"}]), json!([])] {
            let (live_bus, _) = live(200, json!({"FailedEntryCount": 0, "Entries": refused})).await;
            assert!(live_bus.put_health(&health).await.is_err());
        }
    }
}

//! What a check looks at, as it is: Amazon SNS and CloudWatch, our own address, and the app's settings in Entra.

use std::time::{Duration, Instant};

use aws_config::{SdkConfig, retry::RetryConfig};
use aws_sdk_sns::{error::SdkError, operation::get_topic_attributes::GetTopicAttributesError};
use aws_smithy_types::error::metadata::ProvideErrorMetadata as _;
use graph_notifications::ClientId;
use graph_subscriptions::{
    AccessToken, GraphEndpoint, GraphError, ServicePrincipal,
    http::{self, ClientError, Timeouts},
    service_principal,
};
use lambda_edge::topic::{SecondTopic, TopicClients};
use reqwest::{Client, Url, header::HOST};

use super::{
    cloudwatch::CloudWatch,
    ports::{AppSettings, SecondWay},
};
use crate::http::{PATIENCE, read, transport};
use crate::{
    config::Config,
    ports::{Alarm, Alarms, Endpoint, HandshakeAnswer, OutsideError, Subscribers, Topics},
};

/// The most that is read of an answer to a validation request, in bytes; a token has far fewer.
const LARGEST_ANSWER: usize = 8 * 1024;

/// The clients for what only a check looks at.
#[derive(Debug)]
pub struct Watchers {
    topics: TopicClients,
    sns: aws_sdk_sns::config::Builder,
    cloudwatch: CloudWatch,
    http: Client,
    /// Where something else stands in for AWS, its API Gateway is there, too.
    stand_in: Option<String>,
    graph: GraphEndpoint,
    app: ClientId,
}

impl Watchers {
    /// Builds the clients from an SDK configuration.
    ///
    /// # Errors
    /// If there is no HTTP client.
    pub fn new(config: &Config, shared: &SdkConfig) -> Result<Self, ClientError> {
        let http = http::client(Timeouts { total: PATIENCE, ..Timeouts::PATIENT })?;
        let partition = config.alert_topic_arn.split(':').nth(1).unwrap_or_default();
        Ok(Self {
            topics: TopicClients::new(shared.into(), config.second_alert_topic.as_ref()),
            sns: shared.into(),
            cloudwatch: CloudWatch::new(
                http.clone(),
                shared,
                partition,
                &config.stack_name,
                &config.operations_topic_arn,
            ),
            http,
            stand_in: shared.endpoint_url().map(ToOwned::to_owned),
            graph: config.graph.clone(),
            app: config.app,
        })
    }
}

impl Topics for Watchers {
    async fn subscribers(&self, topic_arn: &str) -> Result<Subscribers, OutsideError> {
        let sent = self.topics.of(topic_arn).get_topic_attributes().topic_arn(topic_arn).send().await;
        let output = sent.map_err(|error| refused(&error))?;
        let count = |name: &str| output.attributes()?.get(name)?.parse().ok();
        let counts = (count("SubscriptionsConfirmed"), count("SubscriptionsPending"));
        let (Some(confirmed), Some(pending)) = counts else {
            return Err(OutsideError("Amazon SNS: the answer holds no numbers of subscriptions".to_owned()));
        };
        Ok(Subscribers { confirmed, pending })
    }
}

impl SecondWay for Watchers {
    async fn reach(&self, topic: &SecondTopic) -> Result<Duration, OutsideError> {
        let settings = self.sns.clone().retry_config(RetryConfig::disabled());
        // The receiver makes its client when it needs it, too.
        let start = Instant::now();
        let client = topic.unconnected_client(settings);
        let sent = client.get_topic_attributes().topic_arn(topic.arn()).send().await;
        sent.map_err(|error| refused(&error))?;
        Ok(start.elapsed())
    }
}

/// What Amazon SNS says against a question.
fn refused(error: &SdkError<GetTopicAttributesError>) -> OutsideError {
    OutsideError(match (error.code(), error.message()) {
        (Some(code), message) => format!("Amazon SNS: {code}: {}", message.unwrap_or("no reason given")),
        (None, _) => format!("Amazon SNS: {error}"),
    })
}

impl Alarms for Watchers {
    async fn alarms(&self) -> Result<Vec<Alarm>, OutsideError> {
        self.cloudwatch.alarms().await
    }
}

impl Endpoint for Watchers {
    async fn handshake(&self, url: &str, token: &str) -> Result<HandshakeAnswer, OutsideError> {
        let no_address = || OutsideError("it is no address".to_owned());
        let (url, host) = self.destination(with_token(url, token).ok_or_else(no_address)?).ok_or_else(no_address)?;
        let request = self.http.post(url).header("content-type", "text/plain; charset=utf-8").body("");
        let request = match host {
            Some(host) => request.header(HOST, host),
            None => request,
        };
        let response = request.send().await.map_err(|error| OutsideError(transport(error, PATIENCE)))?;
        let status = response.status().as_u16();
        let content_type = response.headers().get("content-type").and_then(|value| value.to_str().ok());
        let content_type = content_type.unwrap_or_default().to_owned();
        let body = read(response, LARGEST_ANSWER).await.map_err(OutsideError)?;
        Ok(HandshakeAnswer { status, content_type, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

impl Watchers {
    /// Posts JSON to our own address, and gives the status of the answer.
    pub(crate) async fn post(&self, url: &str, body: &str, patience: Duration) -> Result<u16, OutsideError> {
        let no_address = || OutsideError("it is no address".to_owned());
        let (url, host) = self.destination(Url::parse(url).map_err(|_| no_address())?).ok_or_else(no_address)?;
        let request = self.http.post(url).header("content-type", "application/json").timeout(patience);
        let request = match host {
            Some(host) => request.header(HOST, host),
            None => request,
        };
        let sent = request.body(body.to_owned()).send().await;
        Ok(sent.map_err(|error| OutsideError(transport(error, patience)))?.status().as_u16())
    }

    /// Where to send a request for this address, and as which host if that is another.
    fn destination(&self, url: Url) -> Option<(Url, Option<String>)> {
        let host = url.host_str()?.to_owned();
        let Some(stand_in) = self.stand_in.as_ref().filter(|_| host.contains(".execute-api.")) else {
            return Some((url, None));
        };
        let mut moved = Url::parse(stand_in).ok()?;
        moved.set_path(url.path());
        moved.set_query(url.query());
        Some((moved, Some(host)))
    }
}

impl AppSettings for Watchers {
    async fn service_principal(&self, token: &AccessToken) -> Result<ServicePrincipal, GraphError> {
        service_principal::fetch(&self.http, &self.graph, token, self.app).await
    }
}

/// The address with the token in its query, as Graph writes it: encoded as forms are, a space as `+`, and with small
/// letters in `%3a`.
fn with_token(url: &str, token: &str) -> Option<Url> {
    let mut encoded = Url::parse("form:").ok()?;
    encoded.query_pairs_mut().append_pair("validationToken", token);
    let mut query = String::new();
    for (index, part) in encoded.query()?.split('%').enumerate() {
        if index == 0 {
            query.push_str(part);
        } else {
            let (digits, rest) = part.split_at_checked(2)?;
            query.push('%');
            query.push_str(&digits.to_lowercase());
            query.push_str(rest);
        }
    }
    let mut url = Url::parse(url).ok()?;
    let own = url.query().map(|own| format!("{own}&")).unwrap_or_default();
    url.set_query(Some(&format!("{own}{query}")));
    Some(url)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::{
        net::SocketAddr,
        sync::{Arc, Mutex},
    };

    use aws_config::{BehaviorVersion, Region};
    use aws_sdk_sns::config::{Credentials, SharedCredentialsProvider};
    use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
    use axum::{
        Router,
        body::Bytes,
        extract::{ConnectInfo, RawQuery, State},
        http::{HeaderMap, Method, StatusCode, Uri},
        response::Redirect,
    };
    use graph_notifications::handshake;

    use super::*;
    use crate::check::fake::config;

    const TOKEN: &str = "Validation: Testing client application reachability for subscription Request-Id: 0b-1f";

    /// A server on the loopback interface that answers until the test ends; returns its address.
    pub(crate) async fn serve(routes: Router) -> String {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        format!("http://{address}")
    }

    /// An AWS that is at this address.
    pub(crate) fn sdk_config(address: &str) -> SdkConfig {
        let client =
            aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
        SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("id", "key", None, None, "test")))
            .endpoint_url(address)
            .http_client(client)
            .build()
    }

    type Peers = Arc<Mutex<Vec<SocketAddr>>>;

    fn watchers(address: &str) -> Watchers {
        Watchers::new(&config("Global"), &sdk_config(address)).unwrap()
    }

    /// Answers as the receiver does.
    async fn answer(
        method: Method,
        headers: HeaderMap,
        RawQuery(query): RawQuery,
        body: Bytes,
    ) -> (StatusCode, String) {
        let token = handshake::token_in_query(&query.unwrap_or_default());
        let plain = headers["content-type"].to_str().unwrap().starts_with("text/plain");
        match token {
            Some(Ok(token)) if method == Method::POST && plain && body.is_empty() => (StatusCode::OK, token),
            _ => (StatusCode::BAD_REQUEST, String::new()),
        }
    }

    #[tokio::test]
    async fn the_handshake_is_graphs() {
        let address = serve(Router::new().fallback(answer)).await;
        let answered = watchers(&address).handshake(&format!("{address}/notifications"), TOKEN).await.unwrap();
        assert_eq!((answered.status, answered.body.as_str()), (200, TOKEN));
        assert!(answered.content_type.starts_with("text/plain"));
    }

    #[test]
    fn the_token_is_encoded_as_graph_encodes_it() {
        let url = with_token("https://example.org/notifications?key=A%2FB", "Validation: a+b/ü").unwrap();
        let expected = "https://example.org/notifications?key=A%2FB&validationToken=Validation%3a+a%2bb%2f%c3%bc";
        assert_eq!(url.as_str(), expected);
        assert!(with_token("nowhere", "x").is_none());
    }

    #[tokio::test]
    async fn the_stand_in_for_aws_has_the_api_too() {
        async fn echo(headers: HeaderMap, uri: Uri) -> String {
            format!("{} {uri}", headers["host"].to_str().unwrap())
        }
        let address = serve(Router::new().fallback(echo)).await;
        let url = "https://abc123.execute-api.us-east-1.amazonaws.com/notifications";
        let answered = watchers(&address).handshake(url, "x").await.unwrap();
        let expected = "abc123.execute-api.us-east-1.amazonaws.com /notifications?validationToken=x";
        assert_eq!(answered.body, expected);
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_an_answer_without_end_none() {
        let redirecting = serve(Router::new().fallback(async || Redirect::temporary("/elsewhere"))).await;
        assert_eq!(watchers(&redirecting).handshake(&redirecting, "x").await.unwrap().status, 307);
        let long = serve(Router::new().fallback(async || vec![b'x'; LARGEST_ANSWER + 1])).await;
        assert!(watchers(&long).handshake(&long, "x").await.unwrap_err().0.contains("longer"));
        let nobody = watchers("http://127.0.0.1:1").handshake("http://127.0.0.1:1/", "secret-token").await.unwrap_err();
        assert!(!nobody.0.contains("secret-token") && nobody.0.contains("refused"), "{nobody}");
    }

    #[tokio::test]
    async fn subscribers_are_counted() {
        fn answer(confirmed: &str) -> String {
            format!(
                "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes>\
                 <entry><key>SubscriptionsConfirmed</key><value>{confirmed}</value></entry>\
                 <entry><key>SubscriptionsPending</key><value>2</value></entry>\
                 </Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>"
            )
        }
        let good = serve(Router::new().fallback(async |body: String| {
            assert!(body.contains("Action=GetTopicAttributes") && body.contains("TopicArn=arn%3Aalerts"), "{body}");
            answer("3")
        }));
        let counted = watchers(&good.await).subscribers("arn:alerts").await;
        assert_eq!(counted, Ok(Subscribers { confirmed: 3, pending: 2 }));
        let odd = serve(Router::new().fallback(async || answer("many"))).await;
        assert!(watchers(&odd).subscribers("x").await.unwrap_err().0.contains("no numbers"));
    }

    #[tokio::test]
    async fn the_second_topic_is_reached_over_a_connection_of_its_own_each_time() {
        async fn answer(ConnectInfo(from): ConnectInfo<SocketAddr>, State(seen): State<Peers>) -> &'static str {
            seen.lock().unwrap().push(from);
            "<GetTopicAttributesResponse><GetTopicAttributesResult><Attributes>\
             <entry><key>SubscriptionsConfirmed</key><value>1</value></entry>\
             <entry><key>SubscriptionsPending</key><value>0</value></entry>\
             </Attributes></GetTopicAttributesResult></GetTopicAttributesResponse>"
        }
        let seen = Peers::default();
        let routes = Router::new().fallback(answer).with_state(seen.clone());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = format!("http://{}", listener.local_addr().unwrap());
        let service = routes.into_make_service_with_connect_info::<SocketAddr>();
        tokio::spawn(async move { axum::serve(listener, service).await.unwrap() });

        let (watchers, config) = (watchers(&address), config("Global"));
        let topic = config.second_alert_topic.as_ref().unwrap();
        for _ in 0..2 {
            assert!(watchers.subscribers(topic.arn()).await.is_ok());
            assert!(watchers.reach(topic).await.is_ok());
        }

        let [counted, reached, counted_again, reached_again] = seen.lock().unwrap()[..] else { panic!("{seen:?}") };
        assert_eq!(counted, counted_again, "a connection is used again");
        assert!(![counted, reached_again].contains(&reached) && reached_again != counted);
    }

    #[tokio::test]
    async fn a_topic_that_is_gone_is_said_so() {
        let refusal = "<ErrorResponse><Error><Type>Sender</Type><Code>NotFound</Code>\
                       <Message>Topic does not exist</Message></Error></ErrorResponse>";
        let gone = serve(Router::new().fallback(async move || (StatusCode::NOT_FOUND, refusal))).await;
        let error = watchers(&gone).subscribers("x").await.unwrap_err();
        assert_eq!(error.0, "Amazon SNS: NotFound: Topic does not exist");
        let config = config("Global");
        let error = watchers(&gone).reach(config.second_alert_topic.as_ref().unwrap()).await.unwrap_err();
        assert_eq!(error.0, "Amazon SNS: NotFound: Topic does not exist");
    }
}

//! Amazon CloudWatch's alarms, by one signed request a page. Its SDK crate would bring HTTP types of the last generation into both
//! functions, for this one call.

use std::time::SystemTime;

use aws_config::SdkConfig;
use aws_sdk_sns::config::{ProvideCredentials as _, SharedCredentialsProvider};
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningInstructions, SigningSettings, sign},
    sign::v4,
};
use reqwest::Client;
use serde::Deserialize;
use serde_json::json;

use crate::{
    http::{PATIENCE, read, transport},
    ports::{Alarm, OutsideError},
};

/// CloudWatch's JSON protocol, as the service describes itself to the SDKs.
const TARGET: &str = "GraniteServiceVersion20100801.DescribeAlarms";
const CONTENT_TYPE: &str = "application/x-amz-json-1.0";

/// The most that CloudWatch gives at once.
const PAGE: usize = 100;

/// The template has some dozens of alarms. An end, whatever comes.
const MOST_PAGES: usize = 20;

/// The largest page that is read, in bytes.
const LARGEST_PAGE: usize = 4 * 1024 * 1024;

/// CloudWatch in the function's own Region.
#[derive(Debug)]
pub(super) struct CloudWatch {
    http: Client,
    url: String,
    region: String,
    credentials: Option<SharedCredentialsProvider>,
    prefix: String,
    operations_topic: String,
}

impl CloudWatch {
    /// The alarms of the stack `stack`, which tell `operations_topic`. `partition` is AWS's own word for the cloud: `aws`, `aws-cn`,
    /// `aws-us-gov`.
    pub(super) fn new(http: Client, shared: &SdkConfig, partition: &str, stack: &str, operations_topic: &str) -> Self {
        let region = shared.region().map(ToString::to_string).unwrap_or_default();
        let suffix = if partition == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" };
        let url = shared.endpoint_url().map(ToOwned::to_owned);
        Self {
            http,
            url: url.unwrap_or_else(|| format!("https://monitoring.{region}.{suffix}")),
            region,
            credentials: shared.credentials_provider(),
            // CloudFormation names what has no name of its own after the stack.
            prefix: format!("{stack}-"),
            operations_topic: operations_topic.to_owned(),
        }
    }

    /// All of them.
    pub(super) async fn alarms(&self) -> Result<Vec<Alarm>, OutsideError> {
        let mut alarms = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let mut asked = json!({"AlarmNamePrefix": self.prefix, "MaxRecords": PAGE});
            if let Some(token) = next {
                asked["NextToken"] = token.into();
            }
            let page = self.page(&asked.to_string()).await?;
            // The names of a stack whose name goes on where this one's ends begin alike.
            let own = page.alarms.into_iter().filter(|one| one.alarm_actions.contains(&self.operations_topic));
            alarms.extend(own.map(|one| Alarm {
                name: one.alarm_name,
                state: one.state_value,
                description: one.alarm_description.unwrap_or_default(),
            }));
            next = page.next.filter(|token| !token.is_empty());
            if next.is_none() {
                return Ok(alarms);
            }
        }
        Err(OutsideError(format!("CloudWatch: more than {MOST_PAGES} pages of alarms")))
    }

    async fn page(&self, body: &str) -> Result<Page, OutsideError> {
        let mut request = self.http.post(&self.url).header("content-type", CONTENT_TYPE).header("x-amz-target", TARGET);
        for (name, value) in self.signature(body).await?.headers() {
            request = request.header(name, value);
        }
        let response =
            request.body(body.to_owned()).send().await.map_err(|error| failed(&transport(error, PATIENCE)))?;
        let status = response.status().as_u16();
        let body = read(response, LARGEST_PAGE).await.map_err(|error| failed(&error))?;
        if status != 200 {
            let said: Refusal = serde_json::from_slice(&body).unwrap_or_default();
            let code = said.code.rsplit('#').next().unwrap_or_default();
            return Err(failed(&format!("status {status}: {code}: {}", said.message)));
        }
        serde_json::from_slice(&body).map_err(|_| failed("the answer cannot be read"))
    }

    /// The headers that say who asks (AWS Signature Version 4).
    async fn signature(&self, body: &str) -> Result<SigningInstructions, OutsideError> {
        let provider = self.credentials.as_ref().ok_or_else(|| failed("there are no credentials"))?;
        // Their source's own words are not repeated: they are not known to be free of secrets.
        let credentials = provider.provide_credentials().await.map_err(|_| failed("there are no credentials"))?;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("monitoring")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|_| unsigned())?
            .into();
        let headers = [("content-type", CONTENT_TYPE), ("x-amz-target", TARGET)];
        let body = SignableBody::Bytes(body.as_bytes());
        let request = SignableRequest::new("POST", &self.url, headers.into_iter(), body).map_err(|_| unsigned())?;
        Ok(sign(request, &parameters).map_err(|_| unsigned())?.into_parts().0)
    }
}

fn failed(why: &str) -> OutsideError {
    OutsideError(format!("CloudWatch: {why}"))
}

fn unsigned() -> OutsideError {
    failed("the request cannot be signed")
}

#[derive(Deserialize)]
struct Page {
    #[serde(rename = "MetricAlarms", default)]
    alarms: Vec<Described>,
    #[serde(rename = "NextToken")]
    next: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Described {
    alarm_name: String,
    state_value: String,
    #[serde(default)]
    alarm_description: Option<String>,
    #[serde(default)]
    alarm_actions: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct Refusal {
    #[serde(rename = "__type")]
    code: String,
    #[serde(alias = "Message")]
    message: String,
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        body::Bytes,
        http::{HeaderMap, StatusCode},
    };
    use graph_subscriptions::http::{self, Timeouts};
    use serde_json::Value;

    use super::*;
    use crate::check::live::tests::{sdk_config, serve};

    fn client() -> Client {
        http::client(Timeouts::PATIENT).unwrap()
    }

    async fn asked(routes: Router) -> Result<Vec<Alarm>, OutsideError> {
        let shared = sdk_config(&serve(routes).await);
        CloudWatch::new(client(), &shared, "aws", "stack", "arn:operations").alarms().await
    }

    #[tokio::test]
    async fn all_pages_are_read_with_a_signature_and_only_the_stacks_own_alarms_kept() {
        async fn page(headers: HeaderMap, body: Bytes) -> (StatusCode, String) {
            let signed = headers["authorization"].to_str().unwrap();
            let right = signed.starts_with("AWS4-HMAC-SHA256 Credential=id/")
                && signed.contains("/us-east-1/monitoring/aws4_request")
                && signed.contains("SignedHeaders=content-type;host;x-amz-date;x-amz-target")
                && headers["x-amz-target"] == TARGET
                && headers["content-type"] == CONTENT_TYPE;
            let status = if right { StatusCode::OK } else { StatusCode::FORBIDDEN };
            let asked: Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(asked["AlarmNamePrefix"], "stack-");
            let own = ["arn:elsewhere", "arn:operations"];
            let answer = if asked["NextToken"] == "more" {
                json!({"MetricAlarms": [{"AlarmName": "stack-b", "StateValue": "ALARM", "AlarmDescription": "why",
                    "AlarmActions": own, "StateUpdatedTimestamp": 1.764e9}], "CompositeAlarms": []})
            } else {
                json!({"MetricAlarms": [
                    {"AlarmName": "stack-a", "StateValue": "OK", "AlarmActions": own},
                    {"AlarmName": "stack-staging-a", "StateValue": "ALARM", "AlarmActions": ["arn:operations-of-staging"]},
                    {"AlarmName": "stack-by-hand", "StateValue": "ALARM"},
                ], "NextToken": "more"})
            };
            (status, answer.to_string())
        }
        let alarm = |name: &str, state: &str, description: &str| Alarm {
            name: name.to_owned(),
            state: state.to_owned(),
            description: description.to_owned(),
        };
        let expected = [alarm("stack-a", "OK", ""), alarm("stack-b", "ALARM", "why")];
        assert_eq!(asked(Router::new().fallback(page)).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn pages_without_end_are_an_error() {
        let endless = Router::new().fallback(async || r#"{"MetricAlarms": [], "NextToken": "more"}"#);
        assert!(asked(endless).await.unwrap_err().0.contains("pages"));
    }

    #[tokio::test]
    async fn a_refusal_says_why() {
        let refusal = r#"{"__type": "com.amazonaws.cloudwatch#AccessDeniedException", "Message": "not authorized"}"#;
        let routes = Router::new().fallback(async move || (StatusCode::FORBIDDEN, refusal));
        let error = asked(routes).await.unwrap_err();
        assert_eq!(error.0, "CloudWatch: status 403: AccessDeniedException: not authorized");
        let garbled = Router::new().fallback(async || "<html>");
        assert_eq!(asked(garbled).await.unwrap_err().0, "CloudWatch: the answer cannot be read");
    }

    #[test]
    fn each_partition_has_its_address() {
        let shared = SdkConfig::builder().region(aws_config::Region::new("cn-north-1")).build();
        let url = |partition| CloudWatch::new(client(), &shared, partition, "stack", "arn:operations").url;
        assert_eq!(url("aws"), "https://monitoring.cn-north-1.amazonaws.com");
        assert_eq!(url("aws-cn"), "https://monitoring.cn-north-1.amazonaws.com.cn");
    }
}

//! The protocol of the stack's custom resource.
//!
//! The request and the answer are those of
//! <https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/crpg-ref.html>.

use graph_subscriptions::is_loopback;
use lambda_edge::environment::SettingError;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value, json};

use crate::ports::{Deployment, OutsideError};

/// The resource's own name. It never changes, so that no update ever makes CloudFormation delete an older one.
const PHYSICAL_ID: &str = "graph-subscriptions";

/// CloudFormation takes an answer of at most 4096 bytes; the reason is the only part of it that can be long.
const LONGEST_REASON: usize = 2000;

/// A custom-resource request as somebody sent it: whoever may invoke the function can make one up. Nothing is done for it
/// before [`verified`](Self::verified).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct UnverifiedRequest {
    #[serde(rename = "RequestType")]
    kind: RequestType,
    // Who knows it can end the deployment: it is not logged.
    #[serde(rename = "ResponseURL")]
    response_url: String,
    stack_id: String,
    #[serde(rename = "RequestId")]
    id: String,
    logical_resource_id: String,
    #[serde(default)]
    resource_properties: Properties,
}

/// A kind of request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub enum RequestType {
    /// The stack is created, or rolled back to what needs the resource.
    Create,
    /// The stack is updated.
    Update,
    /// The stack is deleted, or its creation is undone.
    Delete,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Properties {
    /// The parameter `SubscribeOnDeploy`.
    #[serde(default)]
    enabled: Option<String>,
}

/// A request that names this stack and is answered to CloudFormation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Whether the resource is created, updated or deleted.
    pub kind: RequestType,
    sent: UnverifiedRequest,
}

/// The request is not CloudFormation's. Nothing was done for it, and it is not answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotCloudFormation {
    /// Its `StackId` is not this stack's.
    #[error("the custom-resource request names another stack; nothing was done, and no answer was sent")]
    AnotherStack,
    /// Its `ResponseURL` is not one of CloudFormation's.
    #[error(
        "the custom-resource request wants its answer at an address that is not CloudFormation's; nothing was done, and no \
         answer was sent"
    )]
    AnotherAddress,
}

/// What CloudFormation is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The deployment goes on; the sentence is for its log.
    Success(String),
    /// The deployment fails, for this reason.
    Failed(String),
}

impl UnverifiedRequest {
    /// The request in an event; `None` if it is another kind of event.
    #[must_use]
    pub fn from_event(event: &Value) -> Option<Self> {
        Self::deserialize(event).ok()
    }

    /// The request, if it names the stack with this id and its answer goes to CloudFormation in the stack's Region, or stays
    /// on this machine.
    ///
    /// # Errors
    /// If not.
    pub fn verified(self, stack_id: &str) -> Result<Request, NotCloudFormation> {
        if self.stack_id != stack_id {
            return Err(NotCloudFormation::AnotherStack);
        }
        if !is_cloudformations(&self.response_url, stack_id) {
            return Err(NotCloudFormation::AnotherAddress);
        }
        Ok(Request { kind: self.kind, sent: self })
    }
}

impl Request {
    /// The answer where the function's own settings keep it from doing anything. A stack can be deleted all the same.
    #[must_use]
    pub fn verdict_without_settings(&self, error: &SettingError) -> Verdict {
        match self.kind {
            RequestType::Delete => {
                Verdict::Success(format!("The subscriptions end by themselves within a day: {error}"))
            }
            RequestType::Create | RequestType::Update => Verdict::Failed(error.to_string()),
        }
    }

    /// Whether the operator wants deployments to wait for the subscriptions.
    #[must_use]
    pub fn is_enabled(&self) -> bool {
        self.sent.resource_properties.enabled.as_deref() != Some("No")
    }

    /// The answer's body.
    fn answer(&self, verdict: &Verdict) -> String {
        let (status, reason) = match verdict {
            Verdict::Success(reason) => ("SUCCESS", reason),
            Verdict::Failed(reason) => ("FAILED", reason),
        };
        json!({
            "Status": status,
            "Reason": cut(reason),
            "PhysicalResourceId": PHYSICAL_ID,
            "StackId": self.sent.stack_id,
            "RequestId": self.sent.id,
            "LogicalResourceId": self.sent.logical_resource_id,
        })
        .to_string()
    }
}

/// Tells CloudFormation what came of its request.
///
/// # Errors
/// If it cannot be reached: then it waits until its own time is over.
pub async fn answer(deployment: &impl Deployment, request: &Request, verdict: &Verdict) -> Result<(), OutsideError> {
    deployment.answer(&request.sent.response_url, &request.answer(verdict)).await
}

/// Whether an address is in the bucket of Amazon S3 in which CloudFormation takes the answers of custom resources in the
/// stack's Region, or on this machine, as an emulator's is.
///
/// The bucket is `cloudformation-custom-resource-response-` and the Region without its dashes, such as `useast1`
/// (<https://docs.aws.amazon.com/AWSCloudFormation/latest/UserGuide/vpc-interface-endpoints.html>). Another Region's is not
/// accepted: anybody may own a bucket with the name of a Region that does not exist.
fn is_cloudformations(address: &str, stack_id: &str) -> bool {
    let Ok(url) = Url::parse(address) else { return false };
    let Some(host) = url.host_str() else { return false };
    if !url.username().is_empty() || url.password().is_some() {
        return false;
    }
    if is_loopback(host) {
        return matches!(url.scheme(), "http" | "https");
    }
    let Some(region) = stack_id.split(':').nth(3).filter(|region| !region.is_empty()) else { return false };
    if url.scheme() != "https" || url.port().is_some() {
        return false;
    }
    let bucket = format!("cloudformation-custom-resource-response-{}", region.replace('-', ""));
    match host.strip_prefix(&bucket).and_then(|rest| rest.strip_prefix('.')) {
        Some(endpoint) => is_s3(endpoint, region),
        None => is_s3(host, region) && url.path_segments().and_then(|mut parts| parts.next()) == Some(&bucket),
    }
}

/// Whether a host is Amazon S3 in a Region, in any spelling that AWS has used.
fn is_s3(host: &str, region: &str) -> bool {
    let suffixes = ["amazonaws.com", "amazonaws.com.cn", "amazonaws.eu"];
    let Some(service) = suffixes.iter().find_map(|suffix| host.strip_suffix(suffix)?.strip_suffix('.')) else {
        return false;
    };
    service == "s3" || ["s3.", "s3-", "s3.dualstack."].iter().any(|prefix| service.strip_prefix(prefix) == Some(region))
}

/// At most so many bytes, and no half character.
fn cut(reason: &str) -> &str {
    let ends = reason.char_indices().map(|(start, c)| start + c.len_utf8());
    &reason[..ends.take_while(|end| *end <= LONGEST_REASON).last().unwrap_or(0)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_go_to_cloudformation_in_the_stacks_region_and_nowhere_else() {
        let bucket = "cloudformation-custom-resource-response";
        let stack = |region: &str| format!("arn:aws:cloudformation:{region}:123456789012:stack/alerts/0b1f");
        for (region, address) in [
            ("us-east-1", format!("https://{bucket}-useast1.s3.amazonaws.com/arn%3Aaws%3A?X-Amz-Signature=1")),
            ("eu-central-1", format!("https://{bucket}-eucentral1.s3.eu-central-1.amazonaws.com/arn%3Aaws%3A")),
            ("eu-west-1", format!("https://{bucket}-euwest1.s3-eu-west-1.amazonaws.com/x")),
            ("eu-west-1", format!("https://{bucket}-euwest1.s3.dualstack.eu-west-1.amazonaws.com/x")),
            ("cn-north-1", format!("https://{bucket}-cnnorth1.s3.cn-north-1.amazonaws.com.cn/x")),
            ("eusc-de-east-1", format!("https://{bucket}-euscdeeast1.s3.eusc-de-east-1.amazonaws.eu/x")),
            ("us-west-2", format!("https://s3.us-west-2.amazonaws.com/{bucket}-uswest2/x")),
            ("us-west-2", format!("https://s3-us-west-2.amazonaws.com:443/{bucket}-uswest2/x")),
            ("us-east-1", "http://127.0.0.1:4566/_ministack/cfn-response/x".to_owned()),
            ("us-east-1", "http://localhost:4566/x".to_owned()),
        ] {
            assert!(is_cloudformations(&address, &stack(region)), "{address}");
        }
        for address in [
            "https://evil.example/x".to_owned(),
            format!("http://{bucket}-useast1.s3.amazonaws.com/x"),
            format!("https://{bucket}-useast1.s3.amazonaws.com:8443/x"),
            format!("https://u:p@{bucket}-useast1.s3.amazonaws.com/x"),
            format!("https://{bucket}-useast1.s3.amazonaws.com.evil.example/x"),
            format!("https://{bucket}-useast1.s3.evil.example/x"),
            format!("https://{bucket}-useast1.evil.s3.amazonaws.com/x"),
            format!("https://evil.{bucket}-useast1.s3.amazonaws.com/x"),
            format!("https://{bucket}-useast1.s3-website-us-east-1.amazonaws.com/x"),
            format!("https://{bucket}-useast1.execute-api.us-east-1.amazonaws.com/x"),
            // Whoever comes first owns the bucket of a Region that does not exist.
            format!("https://{bucket}-moon1.s3.amazonaws.com/x"),
            format!("https://{bucket}-euwest1.s3.us-east-1.amazonaws.com/x"),
            "https://my-bucket.s3.amazonaws.com/x".to_owned(),
            format!("https://s3.us-east-1.amazonaws.com/my-bucket/{bucket}-useast1/x"),
            format!("https://s3.us-east-1.amazonaws.com/{bucket}-useast1x/x"),
            "https://10.0.0.1/x".to_owned(),
            "http://169.254.169.254/x".to_owned(),
            "http://localhost.evil.example/x".to_owned(),
            "ftp://localhost/x".to_owned(),
            "localhost".to_owned(),
            String::new(),
        ] {
            assert!(!is_cloudformations(&address, &stack("us-east-1")), "{address}");
        }
        assert!(!is_cloudformations(&format!("https://{bucket}-.s3.amazonaws.com/x"), "arn:stack"));
    }
}

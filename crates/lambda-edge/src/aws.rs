//! The AWS SDK's configuration.

use std::time::Duration;

use aws_config::{BehaviorVersion, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_sns::config::SharedHttpClient;
use aws_smithy_http_client::{
    Builder,
    tls::{self, rustls_provider::CryptoMode},
};

/// Configuration for all clients: credentials and region from the function's environment, TLS through rustls and ring.
///
/// `connect` bounds the connecting, `attempt` each attempt as a whole; `retries` says how many there are.
pub async fn sdk_config(connect: Duration, attempt: Duration, retries: RetryConfig) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(connect).operation_attempt_timeout(attempt).build();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http_client())
        .timeout_config(timeouts)
        .retry_config(retries)
        .load()
        .await
}

/// An HTTP client without any connection yet: TLS through rustls and ring.
pub(crate) fn http_client() -> SharedHttpClient {
    Builder::new().tls_provider(tls::Provider::Rustls(CryptoMode::Ring)).build_https()
}

//! Wires the receiver: configuration, clients, runtime.

use std::{io::Write as _, time::Duration};

use aws_config::retry::RetryConfig;
use jiff::Timestamp;
use lambda_edge::environment::Environment;
use lambda_runtime::{Error, LambdaEvent, service_fn, tracing};
use receiver::{Config, Receiver, aws::Aws, http::Response, warm_up::render_once};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = Config::read(&Environment(&|variable| std::env::var(variable).ok()))
        .inspect_err(|error| tracing::error!("the function cannot start: {error}"))?;
    for error in &config.set_aside {
        tracing::error!("the function goes on without an optional setting: {error}");
    }
    // As early as possible, and nothing waits for it: a handshake needs none of this, and a call has its keyring to wait for.
    let settings = config.alert_settings.clone();
    std::thread::spawn(move || render_once(&settings, Timestamp::now()));
    let retries = RetryConfig::standard().with_max_attempts(2).with_initial_backoff(Duration::from_millis(50));
    let sdk = lambda_edge::aws::sdk_config(Duration::from_millis(500), Duration::from_millis(700), retries).await;
    let receiver = Receiver::new(config.clone(), Aws::new(&sdk, &config), write_line);

    let handler = service_fn(async |event: LambdaEvent<Value>| {
        let request = serde_json::from_value(event.payload);
        let response = match request {
            // On the heap: what one request needs is too much for the stack of those that await it.
            Ok(request) => Box::pin(receiver.handle(request, Timestamp::now())).await,
            Err(_) => Response::bad_request(),
        };
        Ok::<_, Error>(response)
    });
    // The keyring loads while the runtime waits for the first request; a handshake does not wait for it.
    let ((), ended) = tokio::join!(receiver.warm_up(Timestamp::now()), lambda_runtime::run(handler));
    ended
}

/// Metrics are lines of their own on standard output: a logger would wrap them.
fn write_line(line: &str) {
    // Without standard output there is nothing left to tell.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

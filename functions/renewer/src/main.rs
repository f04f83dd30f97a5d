//! The Lambda function's entry point: reads the configuration, connects, and hands each event to the library.

use jiff::Timestamp;
use lambda_edge::environment::Environment;
use lambda_runtime::{Error, LambdaEvent, service_fn, tracing};
use renewer::{
    aws::Live,
    config::Config,
    run::{Invocation, handle},
};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    let config = Config::read(&Environment(&|name| std::env::var(name).ok()))
        .inspect_err(|error| tracing::error!(%error, "the function cannot start"))?;
    let live = Live::connect(config.clone()).await?;
    let (live, config) = (&live, &config);
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        let ends_at = Timestamp::try_from(event.context.deadline()).unwrap_or(Timestamp::MAX);
        let invocation = Invocation { owner: &event.context.request_id, ends_at };
        handle(live, config, &event.payload, invocation).await
    }))
    .await
}

//! The Lambda function's entry point: reads the configuration, connects, and hands each event to the library.

use jiff::Timestamp;
use lambda_edge::environment::{Environment, SettingError};
use lambda_runtime::{Error, LambdaEvent, service_fn, tracing};
use renewer::{
    aws::{CloudFormation, Live},
    config::Config,
    handler::{handle, handle_without_settings},
    run::Invocation,
};
use serde_json::Value;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    tracing::init_default_subscriber();
    match Config::read(&Environment(&|name| std::env::var(name).ok())) {
        Ok(config) => serve(config).await,
        Err(error) => refuse(error).await,
    }
}

async fn serve(config: Config) -> Result<(), Error> {
    let live = Live::connect(config.clone()).await?;
    let (live, config) = (&live, &config);
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        let ends_at = Timestamp::try_from(event.context.deadline()).unwrap_or(Timestamp::MAX);
        let invocation = Invocation { owner: &event.context.request_id, ends_at };
        handle(live, config, &event.payload, invocation).await
    }))
    .await
}

/// Fails every invocation with the sentence that names the parameter.
async fn refuse(error: SettingError) -> Result<(), Error> {
    tracing::error!(%error, "the function cannot start");
    let deployment = CloudFormation::connect()?;
    let stack_id = std::env::var("STACK_ID").unwrap_or_default();
    let (deployment, error, stack_id) = (&deployment, &error, stack_id.as_str());
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Value>| {
        handle_without_settings(deployment, error, stack_id, &event.payload).await
    }))
    .await
}

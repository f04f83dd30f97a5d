//! The control functions over HTTP, under `/_control`, for callers on this machine only.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::rejection::JsonRejection;
use axum::extract::{ConnectInfo, Path, Query, Request, State as Extract};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Json, Response};
use axum::routing::{get, post};
use jiff::SignedDuration;
use serde::Deserialize;
use serde_json::{Value, json};

use super::applications::{ApplicationChange, ApplicationsError, CredentialsChange};
use super::clock::graph_time;
use super::faults::Fault;
use super::ledger::{CALL_ENDED, CallReport, ControlError, Dial, Selector, Wait};
use super::world::World;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/_control/dial", post(dial))
        .route("/_control/dial-together", post(dial_together))
        .route("/_control/end-call", post(end_call))
        .route("/_control/call-event", post(call_event))
        .route("/_control/redeliver", post(redeliver))
        .route("/_control/calls/{id}", get(call))
        .route("/_control/subscriptions", get(subscriptions))
        .route("/_control/remove-subscription", post(remove_subscription))
        .route("/_control/lifecycle", post(lifecycle))
        .route("/_control/rotate-signing-keys", post(rotate_signing_keys))
        .route("/_control/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/_control/clock", get(clock).post(advance))
        .route("/_control/settings", get(settings).post(change_settings))
        .route("/_control/credentials", get(credentials).post(change_credentials))
        .route("/_control/application", get(application).post(change_application))
        .route("/_control/deliveries", get(deliveries))
        .route("/_control/tokens-issued", get(tokens_issued))
        .layer(middleware::from_fn(loopback_only))
}

type Shared = Extract<Arc<World>>;
type Body<T> = Result<Json<T>, JsonRejection>;

/// A refused control request, in one sentence.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "error": self.1 }))).into_response()
    }
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        let status = match error {
            ControlError::UnknownCall(_) | ControlError::NoSubscription => StatusCode::NOT_FOUND,
            ControlError::UnknownTenant(_) | ControlError::DifferentEndpoints => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

impl From<ApplicationsError> for Refusal {
    fn from(error: ApplicationsError) -> Self {
        let status = match error {
            ApplicationsError::UnknownApplication(_) | ApplicationsError::UnknownTenant(_) => StatusCode::NOT_FOUND,
            ApplicationsError::Certificate(_) | ApplicationsError::Federated => StatusCode::BAD_REQUEST,
        };
        Self(status, error.to_string())
    }
}

impl From<JsonRejection> for Refusal {
    fn from(rejection: JsonRejection) -> Self {
        Self(StatusCode::BAD_REQUEST, rejection.body_text())
    }
}

async fn loopback_only(ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request, next: Next) -> Response {
    if peer.ip().is_loopback() {
        next.run(request).await
    } else {
        Refusal(StatusCode::FORBIDDEN, "only this machine may control the simulator".to_owned()).into_response()
    }
}

/// The report as answers carry it: bodies would hide the rest.
fn without_bodies(mut report: CallReport) -> CallReport {
    for delivery in &mut report.deliveries {
        delivery.body = Value::Null;
    }
    report
}

async fn dial(Extract(world): Shared, body: Body<Dial>) -> Result<Json<CallReport>, Refusal> {
    let Json(dial) = body?;
    Ok(Json(without_bodies(world.dial(dial).await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct DialTogether {
    calls: Vec<Dial>,
    #[serde(default)]
    wait: Wait,
}

async fn dial_together(Extract(world): Shared, body: Body<DialTogether>) -> Result<Json<Vec<CallReport>>, Refusal> {
    let Json(together) = body?;
    let reports = world.dial_together(together.calls, together.wait).await?;
    Ok(Json(reports.into_iter().map(without_bodies).collect()))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct OfCall {
    call_id: String,
    #[serde(default)]
    wait: Wait,
}

async fn end_call(Extract(world): Shared, body: Body<OfCall>) -> Result<Json<CallReport>, Refusal> {
    let Json(of) = body?;
    Ok(Json(without_bodies(world.further_event(&of.call_id, CALL_ENDED, of.wait).await?)))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct FurtherEvent {
    call_id: String,
    event_type: String,
    #[serde(default)]
    wait: Wait,
}

async fn call_event(Extract(world): Shared, body: Body<FurtherEvent>) -> Result<Json<CallReport>, Refusal> {
    let Json(event) = body?;
    Ok(Json(without_bodies(world.further_event(&event.call_id, &event.event_type, event.wait).await?)))
}

async fn redeliver(Extract(world): Shared, body: Body<OfCall>) -> Result<Json<CallReport>, Refusal> {
    let Json(of) = body?;
    Ok(Json(without_bodies(world.redeliver(&of.call_id, of.wait).await?)))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CallQuery {
    wait: Option<String>,
}

async fn call(
    Extract(world): Shared,
    Path(id): Path<String>,
    Query(query): Query<CallQuery>,
) -> Result<Json<CallReport>, Refusal> {
    let wait = match query.wait.as_deref() {
        None => Wait::Nothing,
        Some("first") => Wait::First,
        Some("settled") => Wait::Settled,
        Some(_) => {
            return Err(Refusal(StatusCode::BAD_REQUEST, "wait must be first or settled".to_owned()));
        }
    };
    Ok(Json(without_bodies(world.wait(&id, wait).await?)))
}

async fn subscriptions(Extract(world): Shared) -> Json<Vec<Value>> {
    Json(world.subscriptions())
}

async fn remove_subscription(Extract(world): Shared, body: Body<Selector>) -> Result<Json<Value>, Refusal> {
    let Json(selector) = body?;
    let removed = world.remove_subscriptions(&selector);
    if removed.is_empty() {
        return Err(ControlError::NoSubscription.into());
    }
    Ok(Json(json!({ "removed": removed })))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Lifecycle {
    #[serde(flatten)]
    selector: Selector,
    event: String,
}

async fn lifecycle(Extract(world): Shared, body: Body<Lifecycle>) -> Result<Json<Value>, Refusal> {
    let Json(lifecycle) = body?;
    let sent = world.lifecycle(&lifecycle.selector, &lifecycle.event).await?;
    Ok(Json(json!({ "deliveries": sent })))
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Rotation {
    replace: bool,
}

async fn rotate_signing_keys(Extract(world): Shared, body: Body<Rotation>) -> Result<Json<Value>, Refusal> {
    let Json(rotation) = body?;
    world.rotate_signing_keys(rotation.replace);
    let kid = world.lock().signing_keys.current().kid;
    Ok(Json(json!({ "kid": kid })))
}

async fn faults(Extract(world): Shared) -> Json<Value> {
    Json(json!(world.lock().faults.waiting()))
}

async fn add_fault(Extract(world): Shared, body: Body<Fault>) -> Result<StatusCode, Refusal> {
    let Json(fault) = body?;
    world.lock().faults.add(fault);
    Ok(StatusCode::NO_CONTENT)
}

async fn clear_faults(Extract(world): Shared) -> StatusCode {
    world.lock().faults.clear();
    StatusCode::NO_CONTENT
}

async fn clock(Extract(world): Shared) -> Json<Value> {
    Json(json!({ "now": graph_time(world.clock.now()) }))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Advance {
    seconds: u32,
}

async fn advance(Extract(world): Shared, body: Body<Advance>) -> Result<Json<Value>, Refusal> {
    let Json(advance) = body?;
    let now = world.advance(SignedDuration::from_secs(advance.seconds.into())).await;
    Ok(Json(json!({ "now": graph_time(now) })))
}

async fn settings(Extract(world): Shared) -> Json<Value> {
    Json(json!(world.lock().settings))
}

async fn change_settings(Extract(world): Shared, body: Body<Value>) -> Result<Json<Value>, Refusal> {
    let Json(changes) = body?;
    world
        .change_settings(&changes)
        .map(|settings| Json(json!(settings)))
        .map_err(|error| Refusal(StatusCode::BAD_REQUEST, error.to_string()))
}

async fn credentials(Extract(world): Shared) -> Json<Value> {
    Json(world.lock().applications.credential_counts())
}

async fn change_credentials(Extract(world): Shared, body: Body<CredentialsChange>) -> Result<Json<Value>, Refusal> {
    let Json(change) = body?;
    let mut state = world.lock();
    state.applications.change_credentials(change)?;
    Ok(Json(state.applications.credential_counts()))
}

async fn application(Extract(world): Shared) -> Json<Value> {
    Json(world.lock().applications.as_json())
}

async fn change_application(Extract(world): Shared, body: Body<ApplicationChange>) -> Result<Json<Value>, Refusal> {
    let Json(change) = body?;
    let mut state = world.lock();
    state.applications.change(change)?;
    Ok(Json(state.applications.as_json()))
}

async fn deliveries(Extract(world): Shared) -> Json<Value> {
    Json(json!(world.deliveries()))
}

async fn tokens_issued(Extract(world): Shared) -> Json<Value> {
    Json(json!(world.lock().tokens_issued))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::config::Config;
    use axum::body::Body as HttpBody;
    use tower::ServiceExt as _;

    async fn status_for(peer: [u8; 4]) -> StatusCode {
        let world = World::new(Config::default(), ([127, 0, 0, 1], 1).into()).unwrap();
        let mut request = Request::new(HttpBody::empty());
        *request.uri_mut() = "/_control/settings".parse().unwrap();
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from((peer, 5000))));
        routes().with_state(Arc::new(world)).oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn only_this_machine_has_control() {
        assert_eq!(status_for([127, 0, 0, 1]).await, StatusCode::OK);
        assert_eq!(status_for([192, 0, 2, 1]).await, StatusCode::FORBIDDEN);
    }
}

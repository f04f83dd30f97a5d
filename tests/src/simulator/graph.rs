//! Graph over HTTP: `/v1.0/subscriptions` with authorisation, paging, the handshake and the error envelope, and the
//! application's own service principal.

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State as Extract};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::{get, post};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde_json::{Value, json};
use uuid::Uuid;

use super::config::{DIRECTORY_ROLE, Lists, ROLE};
use super::entra::object_id;
use super::faults::{Effect, Operation};
use super::handshake::{self, HandshakeError};
use super::subscriptions::{Change, GraphError, NewSubscription, Principal};
use super::throttling::Access;
use super::tokens;
use super::world::{Failure, World};

const CLIENT_REQUEST_ID: HeaderName = HeaderName::from_static("client-request-id");
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");

/// How many empty pages come before the first full one of a list that has some.
const EMPTY_PAGES: usize = 60;

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/v1.0/subscriptions", get(list).post(create_in_v1))
        .route("/v1.0/subscriptions/{id}", get(get_one).patch(update).delete(delete))
        .route("/v1.0/subscriptions/{id}/reauthorize", post(reauthorize))
        .route("/v1.0/{resource}", get(service_principal).fallback(unknown_path))
        .route("/beta/subscriptions", get(list).post(create))
        .route("/beta/subscriptions/{id}", get(get_one).patch(update).delete(delete))
}

/// The answer to a path that neither Graph nor Entra has.
pub(crate) async fn unknown_path(Extract(world): Extract<Arc<World>>, headers: HeaderMap) -> Response {
    let error = GraphError::new(400, "BadRequest", "Resource not found for the segment of this path.");
    respond_error(&error, &headers, world.clock.now())
}

async fn create_in_v1(world: Extract<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    if world.lock().settings.beta_only {
        let message = "Resource not found for the segment 'getEmergencyEventsByPolicy'.";
        return respond_error(&GraphError::new(400, "BadRequest", message), &headers, world.clock.now());
    }
    create(world, headers, body).await
}

async fn create(Extract(world): Extract<Arc<World>>, headers: HeaderMap, body: Bytes) -> Response {
    respond(&world, &headers, Operation::CreateSubscription, async {
        let principal = authorise(&world, &headers, Access::Write)?;
        let new = NewSubscription::parse(&json_body(&headers, &body)?, world.clock.now())?;
        check_policy(&world, &principal.tenant, &new.policy)?;
        shake_hands(&world, &new.notification_url).await?;
        shake_hands(&world, &new.lifecycle_notification_url).await?;
        let mut state = world.lock();
        let settings = state.settings.clone();
        let created = state.subscriptions.create(new, &principal, world.clock.now(), &settings)?;
        drop(state);
        world.touch();
        let shown = entity(&world, created.as_json());
        Ok((StatusCode::CREATED, Json(shown)).into_response())
    })
    .await
}

async fn list(Extract(world): Extract<Arc<World>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    respond(&world, &headers, Operation::ListSubscriptions, async {
        let principal = authorise(&world, &headers, Access::Read)?;
        let first = first_of_page(query.as_deref().unwrap_or_default())?;
        let mut state = world.lock();
        let (page_size, lists) = (state.settings.page_size.max(1), state.settings.lists);
        if lists == Lists::Fails || (lists == Lists::NextLinkFails && first > 0) {
            let status = if lists == Lists::Fails { 503 } else { 500 };
            return Err(GraphError::new(status, "ServiceUnavailable", "The list cannot be had."));
        }
        let all = state.subscriptions.list(&principal, world.clock.now(), lists);
        // Positions before the first subscription are those of empty pages.
        let empty = if lists == Lists::EmptyPagesFirst { EMPTY_PAGES } else { 0 };
        let taken = if first < empty { 0 } else { page_size };
        let page: Vec<Value> = all.iter().skip(first.saturating_sub(empty)).take(taken).cloned().collect();
        let next = if first < empty { first + 1 } else { first + page.len() };
        let mut answer = json!({
            "@odata.context": format!("{}/v1.0/$metadata#subscriptions", world.origin),
            "value": page,
        });
        if next < empty + all.len() {
            answer["@odata.nextLink"] = json!(format!(
                "{}/v1.0/subscriptions?$skiptoken={}",
                world.origin,
                URL_SAFE_NO_PAD.encode(next.to_string())
            ));
        }
        Ok(Json(answer).into_response())
    })
    .await
}

async fn get_one(Extract(world): Extract<Arc<World>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    respond(&world, &headers, Operation::GetSubscription, async {
        let principal = authorise(&world, &headers, Access::Read)?;
        let shown = world.lock().subscriptions.get(&id, &principal, world.clock.now())?.as_json();
        Ok(Json(entity(&world, shown)).into_response())
    })
    .await
}

async fn update(
    Extract(world): Extract<Arc<World>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(&world, &headers, Operation::UpdateSubscription, async {
        let principal = authorise(&world, &headers, Access::Write)?;
        let now = world.clock.now();
        let url = {
            let mut state = world.lock();
            state.subscriptions.may_patch(&id, &principal, now)?;
            let subscription = state.subscriptions.get(&id, &principal, now)?;
            (subscription.notification_url.clone(), subscription.lifecycle_notification_url.clone())
        };
        let change = Change::parse(&json_body(&headers, &body)?, now)?;
        let always = world.lock().settings.handshake_on_patch;
        let (present, lifecycle) = url;
        match &change.notification_url {
            Some(new) if always || *new != present => shake_hands(&world, new).await?,
            _ if always => shake_hands(&world, &present).await?,
            _ => {}
        }
        if always {
            shake_hands(&world, &lifecycle).await?;
        }
        let patched = {
            let now = world.clock.now();
            let mut state = world.lock();
            let settings = state.settings.clone();
            let patched = state.subscriptions.patch(&id, change, &principal, now, &settings)?;
            state.ledger.release(&id, now);
            patched
        };
        world.touch();
        Ok(Json(entity(&world, patched.as_json())).into_response())
    })
    .await
}

async fn delete(Extract(world): Extract<Arc<World>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    respond(&world, &headers, Operation::DeleteSubscription, async {
        let principal = authorise(&world, &headers, Access::Write)?;
        world.lock().subscriptions.delete(&id, &principal, world.clock.now())?;
        world.touch();
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

async fn reauthorize(
    Extract(world): Extract<Arc<World>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    respond(&world, &headers, Operation::Reauthorize, async {
        let principal = authorise(&world, &headers, Access::Write)?;
        if !body.is_empty() {
            return Err(GraphError::invalid("The body must be empty."));
        }
        {
            let now = world.clock.now();
            let mut state = world.lock();
            state.subscriptions.reauthorise(&id, &principal, now)?;
            state.ledger.release(&id, now);
        }
        world.touch();
        Ok(StatusCode::NO_CONTENT.into_response())
    })
    .await
}

async fn service_principal(
    Extract(world): Extract<Arc<World>>,
    Path(resource): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let named = resource.strip_prefix("servicePrincipals(appId='").and_then(|rest| rest.strip_suffix("')"));
    let Some(app_id) = named.map(str::to_owned) else {
        return unknown_path(Extract(world), headers).await;
    };
    respond(&world, &headers, Operation::GetServicePrincipal, async {
        let caller = authenticate(&world, &headers)?;
        if !caller.has(DIRECTORY_ROLE) {
            let message = "Insufficient privileges to complete the operation.";
            return Err(GraphError::new(403, "Authorization_RequestDenied", message));
        }
        let selected = selection(query.as_deref().unwrap_or_default())?;
        let tenant = &caller.principal.tenant;
        let found = world.lock().applications.principal(tenant, &app_id).cloned();
        let found = found.ok_or_else(|| {
            let message = format!(
                "Resource '{app_id}' does not exist or one of its queried reference-property objects are not present."
            );
            GraphError::new(404, "Request_ResourceNotFound", message)
        })?;
        let mut shown = json!({
            "id": object_id(tenant, &app_id),
            "appId": app_id,
            "displayName": "Emergency alerts",
            "servicePrincipalType": "Application",
            "accountEnabled": !found.disabled,
            "appRoleAssignmentRequired": found.assignment_required,
        });
        if let (Some(selected), Some(members)) = (selected, shown.as_object_mut()) {
            if let Some(unknown) = selected.iter().find(|name| !members.contains_key(*name)) {
                let message =
                    format!("Could not find a property named '{unknown}' on type 'microsoft.graph.servicePrincipal'.");
                return Err(GraphError::new(400, "BadRequest", message));
            }
            members.retain(|name, _| selected.contains(name));
        }
        shown["@odata.context"] = json!(format!("{}/v1.0/$metadata#servicePrincipals/$entity", world.origin));
        Ok(Json(shown).into_response())
    })
    .await
}

/// The members that `$select` names; `None` without it. A single object knows no other option here.
fn selection(query: &str) -> Result<Option<Vec<String>>, GraphError> {
    let mut selected = None;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "$select" {
            return Err(GraphError::invalid(format!("The query option '{name}' is not supported.")));
        }
        selected = Some(value.split(',').map(|name| name.trim().to_owned()).collect());
    }
    Ok(selected)
}

fn check_policy(world: &World, tenant: &str, policy: &str) -> Result<(), GraphError> {
    let known = world
        .tenant(tenant)
        .and_then(|tenant| tenant.policies.as_ref())
        .is_none_or(|policies| policies.iter().any(|known| known == policy));
    if known {
        return Ok(());
    }
    let status = world.lock().settings.unknown_policy_status;
    let code = if status == 404 { "ResourceNotFound" } else { "InvalidRequest" };
    Err(GraphError::new(status, code, format!("The emergency calling policy '{policy}' was not found.")))
}

async fn shake_hands(world: &World, url: &str) -> Result<(), GraphError> {
    let effect = world.lock().faults.take(Operation::Handshake);
    let outcome = match effect {
        None => handshake::validate(&world.outbound, url).await,
        Some(Effect::Delay { milliseconds }) => {
            tokio::time::sleep(std::time::Duration::from_millis(milliseconds)).await;
            handshake::validate(&world.outbound, url).await
        }
        Some(Effect::Fail { .. } | Effect::Drop | Effect::Answer { .. } | Effect::DropAnswer) => {
            Err(HandshakeError::TimedOut)
        }
    };
    outcome.map_err(|error| GraphError::new(400, "ValidationError", error.to_string()))
}

fn json_body(headers: &HeaderMap, body: &[u8]) -> Result<Value, GraphError> {
    let is_json = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim().eq_ignore_ascii_case("application/json"));
    if !is_json {
        return Err(GraphError::invalid("The content type must be application/json."));
    }
    serde_json::from_slice(body).map_err(|_| GraphError::new(400, "BadRequest", "Unable to read JSON request payload."))
}

/// The position that `$skiptoken` names; a list knows no other option.
fn first_of_page(query: &str) -> Result<usize, GraphError> {
    let mut first = 0;
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        if name != "$skiptoken" {
            return Err(GraphError::invalid(format!("The query option '{name}' is not supported.")));
        }
        first = URL_SAFE_NO_PAD
            .decode(value.as_bytes())
            .ok()
            .and_then(|text| String::from_utf8(text).ok())
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| GraphError::invalid("The '$skiptoken' is invalid."))?;
    }
    Ok(first)
}

/// Who calls, and what the access token grants.
struct Caller {
    principal: Principal,
    roles: Vec<String>,
}

impl Caller {
    fn has(&self, role: &str) -> bool {
        self.roles.iter().any(|granted| granted == role)
    }

    fn for_emergency_events(self) -> Result<Principal, GraphError> {
        if self.has(ROLE) {
            return Ok(self.principal);
        }
        Err(GraphError::new(
            403,
            "ExtensionError",
            format!("Operation: Create; Exception: [Status Code: Forbidden; Reason: the application needs {ROLE}]"),
        ))
    }
}

/// Who calls, with the role that emergency events need, and no more often than Graph allows.
fn authorise(world: &World, headers: &HeaderMap, access: Access) -> Result<Principal, GraphError> {
    let principal = authenticate(world, headers)?.for_emergency_events()?;
    let counted = world.lock().throttling.count(&principal.tenant, &principal.client_id, access, world.clock.now());
    match counted {
        Ok(()) => Ok(principal),
        Err(seconds) => Err(GraphError {
            retry_after_seconds: Some(seconds),
            ..GraphError::new(429, "TooManyRequests", "Too many requests.")
        }),
    }
}

/// Who calls: a genuine, unexpired access token for this Graph.
fn authenticate(world: &World, headers: &HeaderMap) -> Result<Caller, GraphError> {
    let refused = |message: &str| GraphError::new(401, "InvalidAuthenticationToken", message);
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.strip_prefix("Bearer "))
        .ok_or_else(|| refused("Access token is empty."))?;
    let (token_header, _) = tokens::decode_unverified(token).ok_or_else(|| refused("CompactToken parsing failed."))?;
    let key = world
        .lock()
        .signing_keys
        .published()
        .into_iter()
        .find(|key| token_header["kid"] == key.kid)
        .ok_or_else(|| refused("Access token validation failure. Unknown signing key."))?;
    let claims = tokens::verified_claims(token, &key.public_key())
        .ok_or_else(|| refused("Access token validation failure. Invalid signature."))?;
    caller(world, &claims, world.clock.now())
}

fn caller(world: &World, claims: &Value, now: Timestamp) -> Result<Caller, GraphError> {
    let refused = |message: &str| GraphError::new(401, "InvalidAuthenticationToken", message);
    let text = |name: &str| claims[name].as_str().unwrap_or_default().to_owned();
    let time = |name: &str| {
        claims[name]
            .as_i64()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .ok_or_else(|| refused("Access token validation failure."))
    };
    let (issued_at, expires_at) = (time("iat")?, time("exp")?);
    if now >= expires_at || now < time("nbf")? {
        return Err(refused("Lifetime validation failed, the token is expired."));
    }
    if text("aud") != world.origin {
        return Err(refused("Access token validation failure. Invalid audience."));
    }
    let (tenant, client_id) = (text("tid"), text("appid"));
    let issued_here = text("iss") == tokens::issuer_v1(&tenant)
        && world.tenant(&tenant).is_some()
        && world.application(&client_id).is_some();
    if !issued_here {
        return Err(refused("Access token validation failure. Invalid issuer."));
    }
    let roles = claims["roles"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned);
    let principal = Principal {
        tenant,
        client_id,
        object_id: text("oid"),
        token_issued_at: issued_at,
        token_expires_at: expires_at,
    };
    Ok(Caller { principal, roles: roles.collect() })
}

fn entity(world: &World, mut shown: Value) -> Value {
    shown["@odata.context"] = json!(format!("{}/v1.0/$metadata#subscriptions/$entity", world.origin));
    shown
}

async fn respond(
    world: &Arc<World>,
    headers: &HeaderMap,
    operation: Operation,
    answer: impl Future<Output = Result<Response, GraphError>>,
) -> Response {
    let now = world.clock.now();
    world
        .answer(operation, |failure| respond_error(&injected(failure), headers, now), async {
            match answer.await {
                Ok(response) => with_ids(response, headers, Uuid::new_v4()),
                Err(error) => respond_error(&error, headers, now),
            }
        })
        .await
}

fn injected(failure: Failure) -> GraphError {
    let usual = match failure.status {
        401 => "InvalidAuthenticationToken",
        403 => "Forbidden",
        404 => "ResourceNotFound",
        409 => "Conflict",
        429 => "TooManyRequests",
        503 | 504 => "serviceNotAvailable",
        500.. => "ExtensionError",
        _ => "InvalidRequest",
    };
    GraphError {
        status: failure.status,
        code: failure.code.unwrap_or_else(|| usual.to_owned()),
        message: failure.message,
        retry_after_seconds: failure.retry_after_seconds,
    }
}

fn respond_error(error: &GraphError, headers: &HeaderMap, now: Timestamp) -> Response {
    let request_id = Uuid::new_v4();
    let client_request_id = headers
        .get(&CLIENT_REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .map_or_else(|| request_id.to_string(), str::to_owned);
    let body = json!({ "error": {
        "code": error.code,
        "message": error.message,
        "innerError": {
            "date": now.strftime("%Y-%m-%dT%H:%M:%S").to_string(),
            "request-id": request_id,
            "client-request-id": client_request_id,
        },
    }});
    let status = StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_ids((status, Json(body)).into_response(), headers, request_id);
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = error.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn with_ids(mut response: Response, headers: &HeaderMap, request_id: Uuid) -> Response {
    let own = HeaderValue::from_str(&request_id.to_string()).expect("a GUID is a header value");
    let clients = headers.get(&CLIENT_REQUEST_ID).cloned();
    let answered = response.headers_mut();
    answered.insert(CLIENT_REQUEST_ID, clients.unwrap_or_else(|| own.clone()));
    answered.insert(REQUEST_ID, own);
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::clock::Clock;
    use crate::simulator::config::{CLIENT_ID, Config, TENANT_ID};
    use crate::simulator::tokens::TokenVersion;

    fn world() -> World {
        World::new(Config::default(), ([127, 0, 0, 1], 1).into()).unwrap()
    }

    fn claims() -> Value {
        json!({
            "aud": "http://127.0.0.1:1", "iss": tokens::issuer_v1(TENANT_ID), "tid": TENANT_ID,
            "appid": CLIENT_ID, "oid": "object", "roles": [ROLE],
            "iat": 1_000_000, "nbf": 1_000_000, "exp": 1_003_599,
        })
    }

    fn status_with(name: &str, value: Value, now: i64) -> u16 {
        let mut claims = claims();
        claims[name] = value;
        caller(&world(), &claims, Timestamp::from_second(now).unwrap())
            .and_then(Caller::for_emergency_events)
            .map_or_else(|error| error.status, |_| 200)
    }

    #[test]
    fn a_token_must_be_current_for_this_graph_and_of_a_known_app_and_tenant() {
        assert_eq!(status_with("aud", json!("http://127.0.0.1:1"), 1_000_000), 200);
        assert_eq!(status_with("oid", json!("object"), 1_003_598), 200);
        assert_eq!(status_with("oid", json!("object"), 1_003_599), 401);
        assert_eq!(status_with("oid", json!("object"), 999_999), 401);
        assert_eq!(status_with("aud", json!("https://graph.microsoft.com"), 1_000_000), 401);
        assert_eq!(status_with("tid", json!("other"), 1_000_000), 401);
        assert_eq!(status_with("appid", json!("other"), 1_000_000), 401);
        assert_eq!(status_with("iss", json!("https://sts.windows.net/other/"), 1_000_000), 401);
    }

    #[test]
    fn without_the_role_it_is_forbidden() {
        assert_eq!(status_with("roles", json!([]), 1_000_000), 403);
        assert_eq!(status_with("roles", json!(["Calls.Initiate.All"]), 1_000_000), 403);
        assert_eq!(status_with("roles", Value::Null, 1_000_000), 403);
    }

    #[test]
    fn who_changes_too_much_is_told_how_long_to_wait() {
        let clock = Clock::manual(Timestamp::from_second(1_000_000).unwrap());
        let config = Config { clock: clock.clone(), ..Config::default() };
        let world = World::new(config, ([127, 0, 0, 1], 1).into()).unwrap();
        let key = world.lock().signing_keys.current();
        let token = tokens::sign(&tokens::header(TokenVersion::V1, &key.kid), &claims(), &key.pair.private_key);
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {}", token.unwrap()).parse().unwrap());
        let refused = |access| authorise(&world, &headers, access).err();
        assert!((0..1000).all(|_| refused(Access::Write).is_none()));
        let error = refused(Access::Write).unwrap();
        assert_eq!((error.status, error.retry_after_seconds), (429, Some(20)));
        assert_eq!(refused(Access::Read), None);
        clock.advance_to(Timestamp::from_second(1_000_020).unwrap());
        assert_eq!(refused(Access::Write), None);
    }

    #[test]
    fn a_selection_names_members() {
        assert_eq!(selection("").unwrap(), None);
        assert_eq!(selection("$select=id,appId").unwrap().unwrap(), ["id", "appId"]);
        assert_eq!(selection("$expand=owners").unwrap_err().status, 400);
    }

    #[test]
    fn a_list_knows_no_options_but_the_skip_token() {
        assert_eq!(first_of_page("").unwrap(), 0);
        assert_eq!(first_of_page("$skiptoken=Mg").unwrap(), 2);
        assert_eq!(first_of_page("$top=5").unwrap_err().status, 400);
        assert_eq!(first_of_page("$skiptoken=!").unwrap_err().status, 400);
    }
}

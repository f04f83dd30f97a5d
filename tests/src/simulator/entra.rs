//! Microsoft Entra: the token endpoint for client credentials, the signing keys, and the configuration documents.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State as Extract};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse as _, Json, Response};
use axum::routing::{get, post};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::{SignedDuration, Timestamp};
use openssl::memcmp;
use openssl::sha::sha256;
use serde_json::{Value, json};
use uuid::Uuid;

use super::applications::ServicePrincipal;
use super::client_assertion::{ClientAssertion, Times};
use super::clock::graph_time;
use super::config::Application;
use super::entra_error::EntraError;
use super::faults::Operation;
use super::issuer_keys;
use super::tokens::{self, TokenVersion};
use super::world::{Failure, World};

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

pub(crate) fn routes() -> Router<Arc<World>> {
    Router::new()
        .route("/{tenant}/oauth2/v2.0/token", post(token))
        .route("/{tenant}/discovery/v2.0/keys", get(keys_v2))
        .route("/{tenant}/discovery/keys", get(keys_v1))
        .route("/{tenant}/v2.0/.well-known/openid-configuration", get(configuration_v2))
        .route("/{tenant}/.well-known/openid-configuration", get(configuration_v1))
}

/// The object id of an application's service principal in a tenant.
pub(crate) fn object_id(tenant: &str, client_id: &str) -> Uuid {
    let digest = sha256(format!("{tenant}/{client_id}").as_bytes());
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&digest[..16]);
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

fn failure(failure: Failure, now: Timestamp) -> Response {
    let number = failure.code.as_deref().and_then(|code| code.parse().ok());
    let error = match (number, failure.code.as_deref()) {
        (None, Some(code)) => code,
        (None, None) => "temporarily_unavailable",
        (Some(_), _) => "invalid_request",
    };
    let mut response = EntraError::new(failure.status, error, number.unwrap_or(90_033), failure.message).respond(now);
    if let Some(seconds) = failure.retry_after_seconds {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

async fn token(
    Extract(world): Extract<Arc<World>>,
    Path(tenant): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let now = world.clock.now();
    world
        .answer(Operation::Token, |fault| failure(fault, now), async {
            match issue(&world, &tenant, &headers, &body, now).await {
                Ok(token) => {
                    ([(header::CACHE_CONTROL, "no-store, no-cache"), (header::PRAGMA, "no-cache")], Json(token))
                        .into_response()
                }
                Err(error) => error.respond(now),
            }
        })
        .await
}

async fn issue(
    world: &World,
    tenant: &str,
    headers: &HeaderMap,
    body: &[u8],
    now: Timestamp,
) -> Result<Value, EntraError> {
    let form = form(headers, body)?;
    let tenant = tenant_id(world, tenant)?;
    let parameter = |name| {
        form.get(name).map(String::as_str).filter(|value| !value.is_empty()).ok_or_else(|| EntraError::missing(name))
    };
    let grant = parameter("grant_type")?;
    if grant != "client_credentials" {
        return Err(EntraError::new(
            400,
            "unsupported_grant_type",
            70_003,
            format!("The app requested an unsupported grant type '{grant}'."),
        ));
    }
    let client_id = parameter("client_id")?;
    let unknown = || {
        EntraError::new(
            400,
            "unauthorized_client",
            700_016,
            format!("Application with identifier '{client_id}' was not found in the directory '{tenant}'."),
        )
    };
    let application = world.application(client_id).ok_or_else(unknown)?;
    let principal = world.lock().applications.principal(&tenant, client_id).cloned().ok_or_else(unknown)?;
    check_scope(parameter("scope")?, &world.origin)?;
    if principal.disabled {
        return Err(EntraError::new(
            400,
            "unauthorized_client",
            7_000_112,
            format!("Application '{client_id}'(Emergency alerts) is disabled."),
        ));
    }
    let proof = check_credential(world, &form, &application, &tenant, now).await?;
    Ok(access_token(world, &tenant, &application, &principal, proof, now))
}

/// The form's parameters. Anything but a form is an empty one, as Entra has it.
fn form(headers: &HeaderMap, body: &[u8]) -> Result<BTreeMap<String, String>, EntraError> {
    let is_form = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split(';').next())
        .is_some_and(|value| value.trim() == "application/x-www-form-urlencoded");
    let mut form = BTreeMap::new();
    if !is_form {
        return Ok(form);
    }
    for (name, value) in form_urlencoded::parse(body) {
        if form.insert(name.clone().into_owned(), value.into_owned()).is_some() {
            return Err(EntraError::new(
                400,
                "invalid_request",
                9_000_411,
                format!("The request is not properly formatted. The parameter '{name}' is duplicated."),
            ));
        }
    }
    Ok(form)
}

fn tenant_id(world: &World, tenant: &str) -> Result<String, EntraError> {
    if ["common", "organizations", "consumers"].contains(&tenant) {
        return Err(EntraError::new(
            400,
            "invalid_request",
            9_001_023,
            "The grant type is not supported over the /common or /consumers endpoints. Please use the tenant-specific endpoint.",
        ));
    }
    let Ok(id) = Uuid::try_parse(tenant) else {
        return Err(EntraError::new(
            400,
            "invalid_request",
            900_023,
            format!("Specified tenant identifier '{tenant}' is neither a valid DNS name, nor a valid external domain."),
        ));
    };
    world.tenant(&id.to_string()).map_or_else(
        || {
            Err(EntraError::new(
                400,
                "invalid_request",
                90_002,
                format!("Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."),
            ))
        },
        |tenant| Ok(tenant.id.clone()),
    )
}

fn check_scope(scope: &str, origin: &str) -> Result<(), EntraError> {
    let Some(resource) = scope.strip_suffix("/.default") else {
        return Err(EntraError::new(
            400,
            "invalid_scope",
            1_002_012,
            format!(
                "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
            ),
        ));
    };
    if scope.split_whitespace().count() != 1 {
        return Err(EntraError::new(
            400,
            "invalid_scope",
            70_011,
            format!(
                "The provided request must include a 'scope' input parameter. The provided value for the input parameter 'scope' is not valid. The scope {scope} is not valid."
            ),
        ));
    }
    if resource != origin {
        return Err(EntraError::new(
            400,
            "invalid_resource",
            500_011,
            format!("The resource principal named {resource} was not found in the tenant."),
        ));
    }
    Ok(())
}

/// How an application proved that it is the one that asks.
#[derive(Clone, Copy)]
enum Proof {
    Secret,
    Certificate,
    Federated,
}

async fn check_credential(
    world: &World,
    form: &BTreeMap<String, String>,
    application: &Application,
    tenant: &str,
    now: Timestamp,
) -> Result<Proof, EntraError> {
    let given = |name| form.get(name).map(String::as_str).filter(|value| !value.is_empty());
    match (given("client_secret"), given("client_assertion")) {
        (Some(secret), None) => check_secret(secret, application),
        (None, Some(assertion)) => {
            let kind = given("client_assertion_type").ok_or_else(|| EntraError::missing("client_assertion_type"))?;
            if kind != JWT_BEARER {
                return Err(EntraError::malformed("The 'client_assertion_type' is not that of a JWT."));
            }
            check_assertion(world, assertion, application, tenant, now).await
        }
        (None, None) => Err(EntraError::refused(
            7_000_218,
            "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.",
        )),
        (Some(_), Some(_)) => Err(EntraError::new(
            400,
            "invalid_request",
            90_014,
            "Only one of 'client_assertion' and 'client_secret' may be sent.",
        )),
    }
}

fn check_secret(secret: &str, application: &Application) -> Result<Proof, EntraError> {
    let known = application
        .client_secrets
        .iter()
        .any(|valid| valid.len() == secret.len() && memcmp::eq(valid.as_bytes(), secret.as_bytes()));
    if !known {
        return Err(EntraError::refused(
            7_000_215,
            format!(
                "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to app '{}'.",
                application.client_id
            ),
        ));
    }
    if application.secret_expired {
        return Err(EntraError::refused(
            7_000_222,
            format!("The provided client secret keys for app '{}' are expired.", application.client_id),
        ));
    }
    Ok(Proof::Secret)
}

async fn check_assertion(
    world: &World,
    assertion: &str,
    application: &Application,
    tenant: &str,
    now: Timestamp,
) -> Result<Proof, EntraError> {
    let assertion = ClientAssertion::parse(assertion)?;
    let times = Times { simulated: now, outside: world.clock.outside() };
    if assertion.is_own(&application.client_id) {
        let audience = format!("{}/{tenant}/oauth2/v2.0/token", world.origin);
        let mut state = world.lock();
        assertion.check_own(application, &audience, times, &mut state.used_assertions)?;
        return Ok(Proof::Certificate);
    }
    let credential = assertion.federated(application)?;
    let keys = match &credential.jwks {
        Some(keys) => keys.clone(),
        None => issuer_keys::fetch(&world.outbound, &credential.issuer).await?,
    };
    assertion.check_federated(&keys, times.outside)?;
    Ok(Proof::Federated)
}

fn access_token(
    world: &World,
    tenant: &str,
    application: &Application,
    service_principal: &ServicePrincipal,
    proof: Proof,
    now: Timestamp,
) -> Value {
    let mut state = world.lock();
    let seconds = state.settings.access_token_seconds;
    let expires_at = now + SignedDuration::from_secs(seconds.into());
    let object_id = object_id(tenant, &application.client_id);
    let issuer = tokens::issuer_v1(tenant);
    // How the application proved itself: 1 is a secret, 2 a signature.
    let (context, credential) = match proof {
        Proof::Secret => ("1", "secret"),
        Proof::Certificate => ("2", "certificate"),
        Proof::Federated => ("2", "federated"),
    };
    let mut claims = json!({
        "aud": world.origin,
        "iss": issuer,
        "iat": now.as_second(),
        "nbf": now.as_second(),
        "exp": expires_at.as_second(),
        "appid": application.client_id,
        "appidacr": context,
        "idp": issuer,
        "idtyp": "app",
        "oid": object_id,
        "roles": service_principal.roles,
        "sub": object_id,
        "tid": tenant,
        "uti": URL_SAFE_NO_PAD.encode(Uuid::new_v4()),
        "ver": "1.0",
    });
    if service_principal.roles.is_empty()
        && let Some(claims) = claims.as_object_mut()
    {
        claims.remove("roles");
    }
    let key = state.signing_keys.current();
    let token = tokens::sign(&tokens::header(TokenVersion::V1, &key.kid), &claims, &key.pair.private_key)
        .expect("an RSA key signs");
    state.tokens_issued.push(json!({
        "tenantId": tenant,
        "clientId": application.client_id,
        "credential": credential,
        "issuedDateTime": graph_time(now),
        "expirationDateTime": graph_time(expires_at),
    }));
    json!({
        "token_type": "Bearer",
        "expires_in": seconds,
        "ext_expires_in": seconds,
        "access_token": token,
    })
}

async fn keys_v1(world: Extract<Arc<World>>, tenant: Path<String>) -> Response {
    keys(world, tenant, TokenVersion::V1).await
}

async fn keys_v2(world: Extract<Arc<World>>, tenant: Path<String>) -> Response {
    keys(world, tenant, TokenVersion::V2).await
}

async fn keys(Extract(world): Extract<Arc<World>>, Path(tenant): Path<String>, version: TokenVersion) -> Response {
    document(&world, &tenant, |tenant| world.lock().signing_keys.document(version, &world.origin, tenant)).await
}

async fn configuration_v1(Extract(world): Extract<Arc<World>>, Path(tenant): Path<String>) -> Response {
    document(&world, &tenant, |tenant| {
        let issuer = if tenant == "common" { "{tenantid}" } else { tenant };
        let origin = &world.origin;
        json!({
            "issuer": tokens::issuer_v1(issuer),
            "token_endpoint": format!("{origin}/{tenant}/oauth2/token"),
            "jwks_uri": format!("{origin}/{tenant}/discovery/keys"),
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    })
    .await
}

async fn configuration_v2(Extract(world): Extract<Arc<World>>, Path(tenant): Path<String>) -> Response {
    document(&world, &tenant, |tenant| {
        let issuer = if tenant == "common" { "{tenantid}" } else { tenant };
        let origin = &world.origin;
        json!({
            "issuer": tokens::issuer_v2(origin, issuer),
            "token_endpoint": format!("{origin}/{tenant}/oauth2/v2.0/token"),
            "jwks_uri": format!("{origin}/{tenant}/discovery/v2.0/keys"),
            "id_token_signing_alg_values_supported": ["RS256"],
        })
    })
    .await
}

/// A document of a tenant that exists, or of `common`.
async fn document(world: &Arc<World>, tenant: &str, make: impl FnOnce(&str) -> Value) -> Response {
    let now = world.clock.now();
    world
        .answer(Operation::SigningKeys, |fault| failure(fault, now), async {
            let id = if tenant == "common" { Ok(tenant.to_owned()) } else { tenant_id(world, tenant) };
            match id {
                Ok(id) => ([(header::CACHE_CONTROL, "max-age=86400, private")], Json(make(&id))).into_response(),
                Err(error) => error.respond(now),
            }
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulator::config::{CLIENT_ID, CLIENT_SECRET, Config, ROLE, TENANT_ID};

    const ORIGIN: &str = "http://127.0.0.1:1";

    fn world() -> World {
        World::new(Config::default(), ([127, 0, 0, 1], 1).into()).unwrap()
    }

    fn good() -> Vec<(&'static str, String)> {
        vec![
            ("grant_type", "client_credentials".to_owned()),
            ("client_id", CLIENT_ID.to_owned()),
            ("client_secret", CLIENT_SECRET.to_owned()),
            ("scope", format!("{ORIGIN}/.default")),
        ]
    }

    async fn ask(tenant: &str, parameters: &[(&str, String)]) -> Result<Value, EntraError> {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(parameters);
        let mut headers = HeaderMap::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        issue(&world(), tenant, &headers, body.finish().as_bytes(), now).await
    }

    async fn code(tenant: &str, change: impl Fn(&mut Vec<(&'static str, String)>)) -> (u16, String, u32) {
        let mut parameters = good();
        change(&mut parameters);
        let error = ask(tenant, &parameters).await.unwrap_err();
        (error.status, error.error, error.code)
    }

    fn set(name: &'static str, value: &str) -> impl Fn(&mut Vec<(&'static str, String)>) {
        let value = value.to_owned();
        move |parameters| {
            parameters.retain(|(known, _)| *known != name);
            if !value.is_empty() {
                parameters.push((name, value.clone()));
            }
        }
    }

    #[tokio::test]
    async fn a_token_carries_the_roles_and_ends_within_the_hour() {
        let answer = ask(TENANT_ID, &good()).await.unwrap();
        assert_eq!(answer["expires_in"], 3599);
        assert_eq!(answer["token_type"], "Bearer");
        let (_, claims) = tokens::decode_unverified(answer["access_token"].as_str().unwrap()).unwrap();
        assert_eq!(claims["roles"], json!([ROLE]));
        assert_eq!(claims["aud"], ORIGIN);
        assert_eq!(claims["tid"], TENANT_ID);
        assert_eq!(claims["exp"].as_i64().unwrap() - claims["iat"].as_i64().unwrap(), 3599);
    }

    #[tokio::test]
    async fn errors_are_entras() {
        let refused = |status, error: &str, code| (status, error.to_owned(), code);
        assert_eq!(code(TENANT_ID, set("client_secret", "wrong")).await, refused(401, "invalid_client", 7_000_215));
        assert_eq!(code(TENANT_ID, set("client_secret", "")).await, refused(401, "invalid_client", 7_000_218));
        assert_eq!(
            code(TENANT_ID, set("client_id", "5f5f5f5f-0000-0000-0000-000000000000")).await,
            refused(400, "unauthorized_client", 700_016)
        );
        assert_eq!(code("5f5f5f5f-0000-0000-0000-000000000000", |_| {}).await, refused(400, "invalid_request", 90_002));
        assert_eq!(code("contoso", |_| {}).await, refused(400, "invalid_request", 900_023));
        assert_eq!(code("common", |_| {}).await, refused(400, "invalid_request", 9_001_023));
        assert_eq!(
            code(TENANT_ID, set("grant_type", "password")).await,
            refused(400, "unsupported_grant_type", 70_003)
        );
        assert_eq!(code(TENANT_ID, set("scope", "")).await, refused(400, "invalid_request", 900_144));
        assert_eq!(code(TENANT_ID, set("scope", ORIGIN)).await, refused(400, "invalid_scope", 1_002_012));
        assert_eq!(
            code(TENANT_ID, set("scope", &format!("openid {ORIGIN}/.default"))).await,
            refused(400, "invalid_scope", 70_011)
        );
        assert_eq!(
            code(TENANT_ID, set("scope", "https://graph.microsoft.com/.default")).await,
            refused(400, "invalid_resource", 500_011)
        );
        assert_eq!(
            code(TENANT_ID, |parameters| parameters.push(("scope", "x".to_owned()))).await,
            refused(400, "invalid_request", 9_000_411)
        );
        assert_eq!(
            code(TENANT_ID, |parameters| {
                set("client_secret", "")(parameters);
                parameters.push(("client_assertion", "x".to_owned()));
            })
            .await,
            refused(400, "invalid_request", 900_144)
        );
        assert_eq!(
            code(TENANT_ID, |parameters| {
                parameters.push(("client_assertion", "x".to_owned()));
                parameters.push(("client_assertion_type", JWT_BEARER.to_owned()));
            })
            .await,
            refused(400, "invalid_request", 90_014)
        );
        assert_eq!(
            code(TENANT_ID, |parameters| {
                set("client_secret", "")(parameters);
                parameters.push(("client_assertion", "x".to_owned()));
                parameters.push(("client_assertion_type", JWT_BEARER.to_owned()));
            })
            .await,
            refused(400, "invalid_request", 50_027)
        );
    }

    #[tokio::test]
    async fn what_is_no_form_has_no_parameters() {
        let now = "2026-11-23T10:00:00Z".parse().unwrap();
        let error =
            issue(&world(), TENANT_ID, &HeaderMap::new(), b"grant_type=client_credentials", now).await.unwrap_err();
        assert_eq!(error.code, 900_144);
    }
}

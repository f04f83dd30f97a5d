//! Credentials other than a secret, and what becomes of applications, over HTTP.

use super::super::client_assertion::sha256;
use super::*;
use crate::simulator::signing_keys::SigningKey;
use axum::routing::get;
use uuid::Uuid;

const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const SUBJECT: &str = "arn:aws:iam::000000000000:role/Renewer";
const EXCHANGE: &str = "api://AzureADTokenExchange";

impl Scene {
    /// The answer of a tenant's token endpoint to a form.
    async fn answer(&self, tenant: &str, proof: &[(&str, &str)]) -> Value {
        let scope = format!("{}/.default", self.simulator.origin());
        let mut form = vec![("grant_type", "client_credentials"), ("client_id", CLIENT_ID), ("scope", &scope)];
        form.extend(proof);
        self.http.post(self.token_endpoint(tenant)).form(&form).send().await.unwrap().json().await.unwrap()
    }

    async fn answer_to_secret(&self, secret: &str) -> Value {
        self.answer(TENANT_ID, &[("client_secret", secret)]).await
    }

    async fn answer_to_assertion(&self, tenant: &str, assertion: &str) -> Value {
        self.answer(tenant, &[("client_assertion_type", JWT_BEARER), ("client_assertion", assertion)]).await
    }

    fn token_endpoint(&self, tenant: &str) -> String {
        format!("{}/{tenant}/oauth2/v2.0/token", self.simulator.login_endpoint())
    }

    /// A new assertion under the process's key pair number `key`, made at `now`.
    fn assertion(&self, key: usize, now: Timestamp) -> String {
        let pair = shared(2048, key);
        let header = json!({"alg": "PS256", "typ": "JWT", "x5t#S256": sha256(&pair.certificate)});
        let claims = json!({
            "aud": self.token_endpoint(TENANT_ID), "iss": CLIENT_ID, "sub": CLIENT_ID, "jti": Uuid::new_v4(),
            "iat": now.as_second(), "nbf": now.as_second(), "exp": now.as_second() + 300,
        });
        tokens::sign_pss(&header, &claims, &pair.private_key).unwrap()
    }

    async fn changed(&self, function: &str, change: Value) -> Value {
        let (status, answer) = self.control("POST", function, Some(&change)).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

fn number(answer: &Value) -> u64 {
    answer["error_codes"][0].as_u64().unwrap_or(0)
}

fn claims_of(answer: &Value) -> Value {
    tokens::decode_unverified(answer["access_token"].as_str().unwrap()).unwrap().1
}

#[tokio::test]
async fn a_registered_certificate_gets_a_token_once_per_assertion() {
    let scene = Scene::new().await;
    let now = scene.simulator.clock().now();
    assert_eq!(number(&scene.answer_to_assertion(TENANT_ID, &scene.assertion(3, now)).await), 700_027);
    let certificates = json!([shared(2048, 3).certificate_base64(), shared(2048, 4).certificate_base64()]);
    let counts = scene.changed("credentials", json!({ "certificates": certificates })).await;
    assert_eq!(counts[0], json!({"clientId": CLIENT_ID, "certificates": 2, "federated": 0, "clientSecrets": 1}));
    assert_eq!(scene.control("GET", "credentials", None).await.1, counts);

    let assertion = scene.assertion(3, now);
    assert_eq!(number(&scene.answer_to_assertion(OTHER_TENANT, &assertion).await), 50_027);
    let saml = JWT_BEARER.replace("jwt", "saml2");
    let proof = [("client_assertion_type", saml.as_str()), ("client_assertion", &assertion)];
    assert_eq!(number(&scene.answer(TENANT_ID, &proof).await), 50_027);
    let answer = scene.answer_to_assertion(TENANT_ID, &assertion).await;
    assert_eq!(claims_of(&answer)["appidacr"], "2");
    assert_eq!(scene.graph("GET", "", answer["access_token"].as_str().unwrap(), None).await.0, 200);
    assert_eq!(number(&scene.answer_to_assertion(TENANT_ID, &assertion).await), 50_027);
    assert_eq!(scene.simulator.tokens_issued()[0]["credential"], "certificate");
    assert_eq!(claims_of(&scene.answer_to_secret(CLIENT_SECRET).await)["appidacr"], "1");
    assert_eq!(scene.simulator.tokens_issued()[1]["credential"], "secret");
}

#[tokio::test]
async fn a_clock_beside_the_real_one_leaves_assertions_in_real_time() {
    let config = Config { clock: Clock::real(), ..Config::default() };
    let scene = Scene {
        simulator: Simulator::start(config).await.unwrap(),
        receiver: Receiver::start().await,
        ..Scene::new().await
    };
    scene.changed("credentials", json!({ "certificates": [shared(2048, 3).certificate_base64()] })).await;
    scene.advance(7200).await;
    let answer = scene.answer_to_assertion(TENANT_ID, &scene.assertion(3, Timestamp::now())).await;
    assert_eq!(number(&answer), 0, "{answer}");
    let ahead = scene.assertion(3, scene.simulator.clock().now());
    assert_eq!(number(&scene.answer_to_assertion(TENANT_ID, &ahead).await), 700_024);
}

/// An issuer on this machine; returns its address.
async fn issuer(claims_to_be: Option<&'static str>) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}/issuer", listener.local_addr().unwrap());
    let configuration = json!({
        "issuer": claims_to_be.unwrap_or(&address), "jwks_uri": format!("{address}/keys"),
    });
    let keys = json!({ "keys": [SigningKey::new(shared(2048, 5)).jwk(None)] });
    let router = Router::new()
        .route("/issuer/.well-known/openid-configuration", get(async move || configuration.to_string()))
        .route("/issuer/keys", get(async move || keys.to_string()));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

fn foreign_token(scene: &Scene, issuer: &str, key: usize) -> String {
    let key = SigningKey::new(shared(2048, key));
    let now = scene.simulator.clock().now().as_second();
    let claims = json!({"iss": issuer, "sub": SUBJECT, "aud": EXCHANGE, "iat": now, "exp": now + 300});
    tokens::sign(&json!({"alg": "RS256", "kid": key.kid}), &claims, &key.pair.private_key).unwrap()
}

#[tokio::test]
async fn a_trusted_issuers_keys_are_found_at_the_issuer() {
    let scene = Scene::new().await;
    let (honest, liar) = (issuer(None).await, issuer(Some("https://issuer.example")).await);
    let credential = |issuer: &str| json!({"issuer": issuer, "subject": SUBJECT, "audience": EXCHANGE});
    let gone = "http://127.0.0.1:1/issuer";
    let federated = json!({ "federated": [credential(&honest), credential(&liar), credential(gone)] });
    assert_eq!(scene.changed("credentials", federated).await[0]["federated"], 3);
    let ask = async |issuer: &str, key| {
        let token = foreign_token(&scene, issuer, key);
        scene.answer_to_assertion(TENANT_ID, &token).await
    };
    assert_eq!(claims_of(&ask(&honest, 5).await)["appidacr"], "2");
    assert_eq!(scene.simulator.tokens_issued()[0]["credential"], "federated");
    assert_eq!(number(&ask(&honest, 6).await), 7_000_272);
    assert_eq!(number(&ask(&liar, 5).await), 90_061);
    assert_eq!(number(&ask(gone, 5).await), 90_061);
    assert_eq!(number(&ask("http://127.0.0.1:2/issuer", 5).await), 700_211);

    let keys = json!({ "keys": [SigningKey::new(shared(2048, 6)).jwk(None)] });
    let mut given = credential(gone);
    given["jwks"] = keys;
    scene.changed("credentials", json!({ "federated": [given] })).await;
    assert_eq!(number(&ask(gone, 6).await), 0);
}

#[tokio::test]
async fn a_secret_expires_and_an_application_is_disabled_in_a_tenant() {
    let scene = Scene::new().await;
    scene.changed("application", json!({ "secretExpired": true })).await;
    assert_eq!(number(&scene.answer_to_secret(CLIENT_SECRET).await), 7_000_222);
    assert_eq!(number(&scene.answer_to_secret("wrong").await), 7_000_215);
    scene.changed("credentials", json!({ "clientSecrets": ["new"] })).await;
    assert_eq!(number(&scene.answer_to_secret("new").await), 0);
    assert_eq!(number(&scene.answer_to_secret(CLIENT_SECRET).await), 7_000_215);

    let change = json!({ "tenant": TENANT_ID, "disabled": true });
    let state = scene.changed("application", change).await;
    assert_eq!(state[0]["tenants"][TENANT_ID]["disabled"], true);
    assert_eq!(scene.control("GET", "application", None).await.1, state);
    assert_eq!(number(&scene.answer_to_secret("new").await), 7_000_112);
    assert_eq!(number(&scene.answer(OTHER_TENANT, &[("client_secret", "new")]).await), 0);
}

#[tokio::test]
async fn without_consent_a_token_has_no_roles_and_graph_refuses() {
    let scene = Scene::new().await;
    scene.changed("application", json!({ "roles": [] })).await;
    let answer = scene.answer_to_secret(CLIENT_SECRET).await;
    assert!(claims_of(&answer).get("roles").is_none());
    assert_eq!(scene.graph("GET", "", answer["access_token"].as_str().unwrap(), None).await.0, 403);
    scene.changed("application", json!({ "roles": [ROLE] })).await;
    assert_eq!(scene.graph("GET", "", &scene.token().await, None).await.0, 200);
}

#[tokio::test]
async fn where_assignment_is_required_no_validation_token_comes() {
    let scene = Scene::new().await;
    scene.subscribe("Global").await;
    scene.changed("application", json!({ "tenant": OTHER_TENANT, "assignmentRequired": true })).await;
    scene.simulator.dial(Dial::default()).await.unwrap();
    scene.changed("application", json!({ "assignmentRequired": true })).await;
    scene.simulator.dial(Dial::default()).await.unwrap();
    let posted = scene.receiver.notifications();
    assert_eq!(posted[0]["validationTokens"].as_array().unwrap().len(), 1);
    assert!(posted[1]["validationTokens"].is_null());
}

#[tokio::test]
async fn the_service_principal_shows_to_whom_may_read_the_directory() {
    let scene = Scene::new().await;
    let ask = async |path: &str| {
        let url = format!("{}/{path}", scene.simulator.graph_endpoint());
        let response = scene.http.get(url).bearer_auth(scene.token().await).send().await.unwrap();
        (response.status().as_u16(), response.json::<Value>().await.unwrap())
    };
    let own = format!("servicePrincipals(appId='{CLIENT_ID}')");
    let (status, refusal) = ask(&own).await;
    assert_eq!((status, error_code(&refusal)), (403, "Authorization_RequestDenied"));

    scene.changed("application", json!({ "roles": [ROLE, "Application.Read.All"], "assignmentRequired": true })).await;
    let (status, mut shown) = ask(&format!("{own}?$select=appRoleAssignmentRequired,accountEnabled")).await;
    shown.as_object_mut().unwrap().remove("@odata.context").unwrap();
    assert_eq!((status, shown), (200, json!({"appRoleAssignmentRequired": true, "accountEnabled": true})));
    assert_eq!(ask(&own).await.1["appId"], CLIENT_ID);
    assert_eq!(ask(&format!("{own}?$select=nonsense")).await.0, 400);
    assert_eq!(ask(&format!("{own}?$expand=owners")).await.0, 400);
    let (status, unknown) = ask("servicePrincipals(appId='c0ffee00-0000-0000-0000-000000000000')").await;
    assert_eq!((status, error_code(&unknown)), (404, "Request_ResourceNotFound"));
    assert_eq!(ask("servicePrincipals").await.0, 400);
}

#[tokio::test]
async fn a_fault_can_name_entras_number() {
    let scene = Scene::new().await;
    let fault = |code: &str| json!({"operation": "token", "effect": "fail", "status": 400, "code": code, "message": "As told."});
    scene.control("POST", "faults", Some(&fault("70021"))).await;
    let answer = scene.answer_to_secret(CLIENT_SECRET).await;
    assert_eq!((number(&answer), &answer["error"]), (70_021, &json!("invalid_request")));
    assert!(answer["error_description"].as_str().unwrap().starts_with("AADSTS70021: As told."));
    scene.control("POST", "faults", Some(&fault("server_error"))).await;
    let answer = scene.answer_to_secret(CLIENT_SECRET).await;
    assert_eq!((number(&answer), &answer["error"]), (90_033, &json!("server_error")));
}

//! How the app stands in a tenant: the settings of its service principal, which decide whether Graph may notify it.

use graph_notifications::ClientId;
use reqwest::Client;
use serde::Deserialize;
use uuid::Uuid;

use crate::{endpoints::GraphEndpoint, entra::AccessToken, error::GraphError, http::read};

/// An app's service principal in a tenant, as far as notifications depend on it: under *Enterprise applications*,
/// *Properties* in the Microsoft Entra admin centre.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ServicePrincipal {
    /// *Assignment required?* While it is set, Graph cannot get validation tokens for the app, and sends notifications
    /// without any.
    pub app_role_assignment_required: bool,
    /// *Enabled for users to sign in?* While it is not, the app gets no token.
    pub account_enabled: bool,
}

/// Reads the settings of `app` in the token's tenant, once.
///
/// # Errors
/// `Forbidden` if the app lacks the permission Application.Read.All, which nothing else here needs; `NotFound` if the
/// tenant has no such app; others as Graph answers.
pub async fn fetch(
    client: &Client,
    graph: &GraphEndpoint,
    token: &AccessToken,
    app: ClientId,
) -> Result<ServicePrincipal, GraphError> {
    let url = graph.url(&format!("/servicePrincipals(appId='{app}')?$select=appRoleAssignmentRequired,accountEnabled"));
    let request = client.get(url).bearer_auth(token.expose()).header("client-request-id", Uuid::new_v4().to_string());
    let answer = read(request.send().await).await.map_err(GraphError::transport)?;
    if !answer.status.is_success() {
        return Err(GraphError::from_answer(&answer, &[token.expose()]));
    }
    serde_json::from_slice(&answer.body).map_err(|_| GraphError::unexpected(&answer, "the answer cannot be read"))
}

#[cfg(test)]
mod tests {
    use axum::{
        Router,
        http::{HeaderMap, StatusCode, Uri},
    };

    use super::*;
    use crate::{
        endpoints::AllowedHosts,
        error::GraphErrorKind,
        testing::{client, serve, token},
    };

    const APP: &str = "99999999-8888-7777-6666-555555555555";

    async fn fetched(routes: Router) -> Result<ServicePrincipal, GraphError> {
        let graph = GraphEndpoint::parse(&format!("{}/v1.0", serve(routes).await), AllowedHosts::Published).unwrap();
        fetch(&client(), &graph, &token(), APP.parse().unwrap()).await
    }

    fn answering(status: u16, body: &'static str) -> Router {
        Router::new().fallback(async move || (StatusCode::from_u16(status).unwrap(), body))
    }

    #[tokio::test]
    async fn it_is_asked_for_by_the_apps_id_with_the_token() {
        async fn answer(uri: Uri, headers: HeaderMap) -> (StatusCode, &'static str) {
            let path =
                format!("/v1.0/servicePrincipals(appId='{APP}')?$select=appRoleAssignmentRequired,accountEnabled");
            let right = uri.to_string() == path && headers["authorization"] == "Bearer the-token";
            let identified = Uuid::parse_str(headers["client-request-id"].to_str().unwrap()).is_ok();
            let status = if right && identified { StatusCode::OK } else { StatusCode::IM_A_TEAPOT };
            (status, r#"{"@odata.context":"x","appRoleAssignmentRequired":true,"accountEnabled":false}"#)
        }
        let read = fetched(Router::new().fallback(answer)).await.unwrap();
        assert_eq!(read, ServicePrincipal { app_role_assignment_required: true, account_enabled: false });
    }

    #[tokio::test]
    async fn a_refusal_is_of_its_kind_and_repeats_no_token() {
        let refusal = r#"{"error":{"code":"Authorization_RequestDenied","message":"Bearer the-token may not"}}"#;
        let error = fetched(answering(403, refusal)).await.unwrap_err();
        assert_eq!(error.kind, GraphErrorKind::Forbidden);
        assert!(!format!("{error} {error:?}").contains("the-token"));
        assert_eq!(fetched(answering(404, "")).await.unwrap_err().kind, GraphErrorKind::NotFound);
    }

    #[tokio::test]
    async fn half_an_answer_is_none() {
        let error = fetched(answering(200, r#"{"appRoleAssignmentRequired":false}"#)).await.unwrap_err();
        assert_eq!(error.kind, GraphErrorKind::Unexpected);
    }
}

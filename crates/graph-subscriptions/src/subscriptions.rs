//! Graph's subscriptions: list, get, create, renew and delete.

use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    endpoints::GraphEndpoint,
    entra::AccessToken,
    error::GraphError,
    http::{Answer, read},
    subscription::{NewSubscription, Renewal, Subscription},
};

/// How many pages of a list are read. Teams allows 10,000 subscriptions per organisation.
const MOST_PAGES: usize = 200;

/// Microsoft Graph, over HTTP. Each method makes its request once and ends within the client's timeout.
#[derive(Debug, Clone)]
pub struct Graph {
    client: Client,
    endpoint: GraphEndpoint,
}

impl Graph {
    /// Calls go to this endpoint through this client, which [`http::client`](crate::http::client) builds.
    #[must_use]
    pub fn new(client: Client, endpoint: GraphEndpoint) -> Self {
        Self { client, endpoint }
    }

    /// All subscriptions that the app has in the token's tenant, whatever they watch. An item that cannot be read as a
    /// subscription is passed over.
    ///
    /// # Errors
    /// If any page cannot be had: part of the list would make live subscriptions look lost. Also if a page's link leads
    /// elsewhere than to Graph, or there is no end of pages.
    pub async fn list(&self, token: &AccessToken) -> Result<Vec<Subscription>, GraphError> {
        let mut subscriptions = Vec::new();
        let mut next = self.endpoint.url("/subscriptions");
        for _ in 0..MOST_PAGES {
            let answer = self.call(self.client.get(&next), token, &[]).await?;
            let page: Page = parsed(&answer)?;
            let readable = page.value.into_iter().filter_map(|item| serde_json::from_value(item).ok());
            subscriptions.extend(readable);
            match page.next {
                None => return Ok(subscriptions),
                Some(link) if self.endpoint.is_origin_of(&link) => next = link,
                Some(_) => {
                    return Err(GraphError::unexpected(&answer, "the link to the list's next page leads elsewhere"));
                }
            }
        }
        Err(GraphError {
            kind: crate::GraphErrorKind::Unexpected,
            status: None,
            code: None,
            message: format!("the list of subscriptions has more than {MOST_PAGES} pages"),
            request_id: None,
            retry_after: None,
        })
    }

    /// One subscription.
    ///
    /// # Errors
    /// `NotFound` if there is none with this id; others as Graph answers.
    pub async fn get(&self, token: &AccessToken, id: &str) -> Result<Subscription, GraphError> {
        parsed(&self.call(self.one(Method::GET, id), token, &[]).await?)
    }

    /// Creates a subscription. Before Graph answers, it asks both notification addresses to prove themselves.
    ///
    /// # Errors
    /// `HandshakeFailed` if an address does not; `Conflict` if the app has a subscription for this policy; others as
    /// Graph answers. After an [ambiguous](GraphError::is_ambiguous) error the subscription may exist.
    pub async fn create(&self, token: &AccessToken, new: &NewSubscription<'_>) -> Result<Subscription, GraphError> {
        let request = self.client.post(self.endpoint.url("/subscriptions")).json(&new.body());
        parsed(&self.call(request, token, &[new.client_state.expose()]).await?)
    }

    /// Moves a subscription's end, hands over a certificate if there is a new one, and makes this call's token the one under which Graph
    /// delivers.
    ///
    /// # Errors
    /// `NotFound` if the subscription is gone; others as Graph answers.
    pub async fn renew(
        &self,
        token: &AccessToken,
        id: &str,
        renewal: &Renewal<'_>,
    ) -> Result<Subscription, GraphError> {
        let request = self.one(Method::PATCH, id).json(&renewal.body());
        parsed(&self.call(request, token, &[]).await?)
    }

    /// Deletes a subscription.
    ///
    /// # Errors
    /// `NotFound` if it is gone already; others as Graph answers.
    pub async fn delete(&self, token: &AccessToken, id: &str) -> Result<(), GraphError> {
        self.call(self.one(Method::DELETE, id), token, &[]).await.map(|_| ())
    }

    fn one(&self, method: Method, id: &str) -> RequestBuilder {
        let url = self.endpoint.url("/subscriptions");
        // Through the URL parser, so that an odd id can neither leave the path nor grow a query.
        match reqwest::Url::parse(&url) {
            Ok(mut url) => {
                if let Ok(mut segments) = url.path_segments_mut() {
                    segments.push(id);
                }
                self.client.request(method, url)
            }
            Err(_) => self.client.request(method, url),
        }
    }

    async fn call(&self, request: RequestBuilder, token: &AccessToken, secrets: &[&str]) -> Result<Answer, GraphError> {
        let request = request.bearer_auth(token.expose()).header("client-request-id", Uuid::new_v4().to_string());
        let answer = read(request.send().await).await.map_err(GraphError::transport)?;
        if answer.status.is_success() {
            return Ok(answer);
        }
        Err(GraphError::from_answer(&answer, &[secrets, &[token.expose()]].concat()))
    }
}

fn parsed<T: for<'de> Deserialize<'de>>(answer: &Answer) -> Result<T, GraphError> {
    serde_json::from_slice(&answer.body).map_err(|_| GraphError::unexpected(answer, "the answer cannot be read"))
}

#[derive(Deserialize)]
struct Page {
    value: Vec<serde_json::Value>,
    #[serde(rename = "@odata.nextLink")]
    next: Option<String>,
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use axum::{
        Router,
        body::Bytes,
        extract::{Query, State},
        http::{HeaderMap, Method as Verb, StatusCode, Uri},
    };
    use graph_notifications::{ClientState, Policy};
    use jiff::SignedDuration;
    use serde_json::{Value, json};

    use super::*;
    use crate::subscription::NewCertificate;
    use crate::{
        error::GraphErrorKind,
        testing::{NOW, TENANT, client, serve, token},
    };

    /// Answers each request with the next of the prepared answers, and notes what was asked.
    #[derive(Clone, Default)]
    struct Scripted {
        answers: Arc<Mutex<Vec<(u16, String)>>>,
        asked: Arc<Mutex<Vec<(String, HeaderMap, Value)>>>,
    }

    async fn answer(
        State(script): State<Scripted>,
        verb: Verb,
        uri: Uri,
        headers: HeaderMap,
        body: Bytes,
    ) -> (StatusCode, String) {
        let body = serde_json::from_slice(&body).unwrap_or_default();
        script.asked.lock().unwrap().push((format!("{verb} {uri}"), headers, body));
        let (status, body) = script.answers.lock().unwrap().remove(0);
        (StatusCode::from_u16(status).unwrap(), body)
    }

    async fn graph(answers: &[(u16, Value)]) -> (Graph, Scripted) {
        let script = Scripted::default();
        *script.answers.lock().unwrap() = answers.iter().map(|(status, body)| (*status, body.to_string())).collect();
        let address = serve(Router::new().fallback(answer).with_state(script.clone())).await;
        (Graph::new(client(), GraphEndpoint::parse(&format!("{address}/v1.0")).unwrap()), script)
    }

    fn reported(id: &str) -> Value {
        json!({
            "id": id, "resource": "communications/calls/getEmergencyEventsByPolicy(policyName='O''Hare')",
            "applicationId": "x", "changeType": "updated", "clientState": null, "includeResourceData": true,
            "notificationUrl": "https://example.org/notifications", "lifecycleNotificationUrl": null,
            "expirationDateTime": "2025-11-24T16:00:00.0000000Z", "encryptionCertificate": null, "encryptionCertificateId": "key-1",
        })
    }

    fn policy() -> Policy {
        Policy { tenant: TENANT.parse().unwrap(), name: "O'Hare".parse().unwrap() }
    }

    #[tokio::test]
    async fn a_subscription_is_created_as_the_documents_show() {
        let (graph, script) = graph(&[(201, reported("s1"))]).await;
        let state = ClientState::from("state".to_owned());
        let new = NewSubscription {
            policy: &policy(),
            notification_url: "https://example.org/notifications",
            expires_at: NOW + SignedDuration::from_millis(1500),
            certificate: "MII",
            certificate_id: "key-1",
            client_state: &state,
        };
        let created = graph.create(&token(), &new).await.unwrap();
        assert_eq!((created.id.as_str(), created.policy_name()), ("s1", Some(policy().name)));
        let (request, headers, body) = script.asked.lock().unwrap()[0].clone();
        assert_eq!(request, "POST /v1.0/subscriptions");
        assert_eq!(headers["authorization"], "Bearer the-token");
        assert_eq!(headers["content-type"], "application/json");
        assert!(Uuid::parse_str(headers["client-request-id"].to_str().unwrap()).is_ok());
        let expected = json!({
            "changeType": "updated",
            "notificationUrl": "https://example.org/notifications",
            "lifecycleNotificationUrl": "https://example.org/notifications",
            "resource": "communications/calls/getEmergencyEventsByPolicy(policyName='O''Hare')",
            "includeResourceData": true,
            "encryptionCertificate": "MII",
            "encryptionCertificateId": "key-1",
            "expirationDateTime": "2025-11-24T16:00:01Z",
            "clientState": "state",
        });
        assert_eq!(body, expected);
    }

    #[tokio::test]
    async fn a_renewal_moves_the_end_and_hands_over_a_new_certificate() {
        let (graph, script) = graph(&[(200, reported("s1")), (200, reported("s1"))]).await;
        let certificate = Some(NewCertificate { certificate: "MII", certificate_id: "key-2" });
        let renewal = Renewal { expires_at: NOW, certificate };
        let renewed = graph.renew(&token(), "a/../b?c", &renewal).await.unwrap();
        assert_eq!(renewed.encryption_certificate_id.as_deref(), Some("key-1"));
        let (request, _, body) = script.asked.lock().unwrap()[0].clone();
        assert_eq!(request, "PATCH /v1.0/subscriptions/a%2F..%2Fb%3Fc");
        let expected = json!({
            "expirationDateTime": "2025-11-24T16:00:00Z", "encryptionCertificate": "MII", "encryptionCertificateId": "key-2",
        });
        assert_eq!(body, expected);
        graph.renew(&token(), "s1", &Renewal { certificate: None, ..renewal }).await.unwrap();
        let body = script.asked.lock().unwrap()[1].2.clone();
        assert_eq!(body, json!({"expirationDateTime": "2025-11-24T16:00:00Z"}));
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end() {
        async fn pages(Query(query): Query<Vec<(String, String)>>, headers: HeaderMap, uri: Uri) -> String {
            let here = format!("http://{}{}", headers["host"].to_str().unwrap(), uri.path());
            let mut page = json!({"value": [reported("s1"), {"id": "unlike the others"}], "@odata.nextLink": format!("{here}?p=2")});
            if !query.is_empty() {
                page = json!({"value": [reported("s2")]});
            }
            page.to_string()
        }
        let address = serve(Router::new().fallback(pages)).await;
        let graph = Graph::new(client(), GraphEndpoint::parse(&address).unwrap());
        let ids: Vec<_> = graph.list(&token()).await.unwrap().into_iter().map(|one| one.id).collect();
        assert_eq!(ids, ["s1", "s2"]);
    }

    #[tokio::test]
    async fn the_token_follows_no_link_to_another_place() {
        let (graph, _) =
            graph(&[(200, json!({"value": [], "@odata.nextLink": "https://evil.example/v1.0/subscriptions"}))]).await;
        assert_eq!(graph.list(&token()).await.unwrap_err().kind, GraphErrorKind::Unexpected);
    }

    #[tokio::test]
    async fn a_list_without_end_or_with_a_broken_page_is_an_error() {
        async fn endless(headers: HeaderMap) -> String {
            json!({"value": [], "@odata.nextLink": format!("http://{}/", headers["host"].to_str().unwrap())})
                .to_string()
        }
        let address = serve(Router::new().fallback(endless)).await;
        let endless = Graph::new(client(), GraphEndpoint::parse(&address).unwrap());
        assert!(endless.list(&token()).await.unwrap_err().message.contains("pages"));
        let (broken, _) = graph(&[(200, json!({"values": []}))]).await;
        assert_eq!(broken.list(&token()).await.unwrap_err().kind, GraphErrorKind::Unexpected);
    }

    #[tokio::test]
    async fn an_error_repeats_neither_token_nor_client_state() {
        let body =
            json!({"error": {"code": "InvalidRequest", "message": "Bearer the-token and clientState s3cret are bad"}});
        let (graph, _) = graph(&[(400, body)]).await;
        let state = ClientState::from("s3cret".to_owned());
        let new = NewSubscription {
            policy: &policy(),
            notification_url: "",
            expires_at: NOW,
            certificate: "",
            certificate_id: "",
            client_state: &state,
        };
        let error = graph.create(&token(), &new).await.unwrap_err();
        let text = format!("{error} {error:?} {new:?}");
        assert!(!text.contains("the-token") && !text.contains("s3cret"), "{text}");
    }

    #[tokio::test]
    async fn one_can_be_read_and_deleted() {
        let (graph, script) = graph(&[(200, reported("s1")), (204, json!("")), (404, json!({}))]).await;
        assert_eq!(graph.get(&token(), "s1").await.unwrap().id, "s1");
        graph.delete(&token(), "s1").await.unwrap();
        assert_eq!(graph.delete(&token(), "s1").await.unwrap_err().kind, GraphErrorKind::NotFound);
        let asked: Vec<_> = script.asked.lock().unwrap().iter().map(|(request, ..)| request.clone()).collect();
        assert_eq!(asked[..2], ["GET /v1.0/subscriptions/s1", "DELETE /v1.0/subscriptions/s1"]);
    }
}

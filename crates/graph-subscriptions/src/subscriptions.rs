//! Graph's subscriptions: list, get, create, renew and delete.

use reqwest::{Client, Method, RequestBuilder};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    endpoints::GraphEndpoint,
    entra::AccessToken,
    error::GraphError,
    http::{Answer, read},
    operator_text::operator_text,
    subscription::{NewSubscription, Renewal, Subscription},
};

/// How many pages of a list are read. Teams allows 10,000 subscriptions per organisation.
const MOST_PAGES: usize = 200;

/// What Graph lists. Live subscriptions may be missing for days, and deleted ones may still be there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Those that can be read.
    pub subscriptions: Vec<Subscription>,
    /// The items that cannot be read: the id of each, or its place in the list where it has none.
    pub unreadable: Vec<String>,
    /// Why the list ended before its end; `None` if it did not.
    pub cut_short: Option<GraphError>,
}

impl Listing {
    fn add(&mut self, item: serde_json::Value) {
        let id = item.get("id").and_then(serde_json::Value::as_str).map(|id| operator_text(id, &[]));
        if let Ok(subscription) = serde_json::from_value(item) {
            self.subscriptions.push(subscription);
        } else {
            let number = self.subscriptions.len() + self.unreadable.len() + 1;
            self.unreadable.push(id.unwrap_or_else(|| format!("item {number}, which has no id")));
        }
    }
}

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

    /// The subscriptions that the app has in the token's tenant, whatever they watch, as far as Graph lists them. What it
    /// leaves out may live all the same, and what it lists may be gone: [`get`](Self::get) tells.
    ///
    /// # Errors
    /// If the first page cannot be had. A later page that cannot be had ends the list, and the list says so.
    pub async fn list(&self, token: &AccessToken) -> Result<Listing, GraphError> {
        let mut listing = Listing::default();
        let mut next = self.endpoint.url("/subscriptions");
        for number in 0..MOST_PAGES {
            let page = match self.page(token, &next).await {
                Ok(page) => page,
                Err(error) if number == 0 => return Err(error),
                Err(error) => return Ok(Listing { cut_short: Some(error), ..listing }),
            };
            for item in page.value {
                listing.add(item);
            }
            match page.next {
                None => return Ok(listing),
                Some(link) if self.endpoint.is_origin_of(&link) => next = link,
                Some(_) => {
                    let error = GraphError::of_list("the link to the list's next page leads elsewhere".to_owned());
                    return Ok(Listing { cut_short: Some(error), ..listing });
                }
            }
        }
        let error = GraphError::of_list(format!("the list of subscriptions has more than {MOST_PAGES} pages"));
        Ok(Listing { cut_short: Some(error), ..listing })
    }

    async fn page(&self, token: &AccessToken, url: &str) -> Result<Page, GraphError> {
        parsed(&self.call(self.client.get(url), token, &[]).await?)
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
    /// `HandshakeFailed` if an address does not; `Conflict` if the app has a subscription for this policy; `UnknownResource` if
    /// the endpoint's version does not know emergency calls; others as Graph answers. After an [ambiguous](GraphError::is_ambiguous) error the subscription may exist.
    pub async fn create(&self, token: &AccessToken, new: &NewSubscription<'_>) -> Result<Subscription, GraphError> {
        let request = self.client.post(self.endpoint.url("/subscriptions")).json(&new.body());
        let created = self.call(request, token, &[new.client_state.expose()]).await;
        parsed(&created.map_err(GraphError::of_creation)?)
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
        endpoints::AllowedHosts,
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
        (
            Graph::new(client(), GraphEndpoint::parse(&format!("{address}/v1.0"), AllowedHosts::Published).unwrap()),
            script,
        )
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

    /// Answers a list page by page, each linked to the next.
    async fn paged(pages: Vec<(StatusCode, Vec<Value>)>) -> Graph {
        let answer = async move |Query(query): Query<Vec<(String, usize)>>, headers: HeaderMap, uri: Uri| {
            let number = query.first().map_or(0, |(_, number)| *number);
            let (status, value) = pages[number].clone();
            let mut page = json!({ "value": value });
            if number + 1 < pages.len() {
                let here = format!("http://{}{}", headers["host"].to_str().unwrap(), uri.path());
                page["@odata.nextLink"] = json!(format!("{here}?p={}", number + 1));
            }
            (status, page.to_string())
        };
        let address = serve(Router::new().fallback(answer)).await;
        Graph::new(client(), GraphEndpoint::parse(&address, AllowedHosts::Published).unwrap())
    }

    fn ids(listing: &Listing) -> Vec<&str> {
        listing.subscriptions.iter().map(|one| one.id.as_str()).collect()
    }

    #[tokio::test]
    async fn a_list_is_read_to_its_end_and_names_what_it_cannot_read() {
        let odd = json!({"id": "s9", "resource": ["unlike the others"]});
        let pages = vec![(StatusCode::OK, vec![reported("s1"), odd]), (StatusCode::OK, vec![json!(7), reported("s2")])];
        let listing = paged(pages).await.list(&token()).await.unwrap();
        assert_eq!(ids(&listing), ["s1", "s2"]);
        assert_eq!(listing.unreadable, ["s9", "item 3, which has no id"]);
        assert_eq!(listing.cut_short, None);
    }

    #[tokio::test]
    async fn empty_pages_before_the_first_full_one_are_followed() {
        let mut pages = vec![(StatusCode::OK, Vec::new()); 60];
        pages.push((StatusCode::OK, vec![reported("s1")]));
        assert_eq!(ids(&paged(pages).await.list(&token()).await.unwrap()), ["s1"]);
    }

    #[tokio::test]
    async fn a_next_page_that_cannot_be_had_costs_only_itself() {
        let pages = vec![(StatusCode::OK, vec![reported("s1")]), (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())];
        let listing = paged(pages).await.list(&token()).await.unwrap();
        assert_eq!(ids(&listing), ["s1"]);
        assert_eq!(listing.cut_short.unwrap().kind, GraphErrorKind::Unavailable);
        let first = paged(vec![(StatusCode::INTERNAL_SERVER_ERROR, Vec::new())]).await;
        assert_eq!(first.list(&token()).await.unwrap_err().kind, GraphErrorKind::Unavailable);
    }

    #[tokio::test]
    async fn the_token_follows_no_link_to_another_place() {
        let link = json!({"value": [reported("s1")], "@odata.nextLink": "https://evil.example/v1.0/subscriptions"});
        let (graph, script) = graph(&[(200, link)]).await;
        let listing = graph.list(&token()).await.unwrap();
        assert_eq!(ids(&listing), ["s1"]);
        assert!(listing.cut_short.unwrap().message.contains("elsewhere"));
        assert_eq!(script.asked.lock().unwrap().len(), 1);
    }

    #[tokio::test]
    async fn a_list_without_end_is_cut_short_and_one_with_a_broken_page_is_an_error() {
        async fn endless(headers: HeaderMap) -> String {
            json!({"value": [], "@odata.nextLink": format!("http://{}/", headers["host"].to_str().unwrap())})
                .to_string()
        }
        let address = serve(Router::new().fallback(endless)).await;
        let endless = Graph::new(client(), GraphEndpoint::parse(&address, AllowedHosts::Published).unwrap());
        assert!(endless.list(&token()).await.unwrap().cut_short.unwrap().message.contains("pages"));
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
    async fn only_a_creation_meets_an_unknown_resource() {
        let body = json!({"error": {"code": "BadRequest", "message": "Resource not found for the segment 'calls'."}});
        let (graph, _) = graph(&[(400, body.clone()), (400, body)]).await;
        let new = NewSubscription {
            policy: &policy(),
            notification_url: "",
            expires_at: NOW,
            certificate: "",
            certificate_id: "",
            client_state: &ClientState::from("state".to_owned()),
        };
        assert_eq!(graph.create(&token(), &new).await.unwrap_err().kind, GraphErrorKind::UnknownResource);
        assert_eq!(graph.get(&token(), "s1").await.unwrap_err().kind, GraphErrorKind::Invalid);
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

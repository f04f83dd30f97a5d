//! Requests to the subscriber's endpoint and to other issuers, and where they really go when that endpoint is a local stand-in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use reqwest::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use reqwest::redirect::Policy;
use reqwest::{Client, RequestBuilder, Url};

/// The largest answer that is read; a handshake answer is far smaller.
const LARGEST_ANSWER: usize = 64 * 1024;

/// Which real addresses stand in for the hosts of notification URLs.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// A local API Gateway, such as `http://127.0.0.1:4566`, for the hosts `{api}.execute-api.{region}.amazonaws.com`.
    /// It gets `{api}.execute-api.localhost` as `Host`, the form that local emulators know an API by.
    pub gateway: Option<String>,
    /// Other hosts and the base URLs that stand in for them; those keep the original `Host`.
    pub hosts: BTreeMap<String, String>,
}

/// A request's destination.
#[derive(Debug, PartialEq, Eq)]
struct Destination {
    url: Url,
    host_header: Option<String>,
}

impl Routes {
    fn destination(&self, url: &str) -> Result<Destination, OutboundError> {
        let original = Url::parse(url).map_err(|_| OutboundError::Connection)?;
        let host = original.host_str().unwrap_or_default().to_owned();
        let api = host.split_once(".execute-api.").map(|(api, _)| api);
        let (base, host_header) = match (&self.gateway, api, self.hosts.get(&host)) {
            (_, _, Some(base)) => (base, host),
            (Some(gateway), Some(api), None) => (gateway, format!("{api}.execute-api.localhost")),
            _ => {
                return Ok(Destination { url: original, host_header: None });
            }
        };
        let base = Url::parse(base).map_err(|_| OutboundError::Connection)?;
        let mut url = original;
        let moved = url.set_scheme(base.scheme()).is_ok()
            && url.set_host(base.host_str()).is_ok()
            && url.set_port(base.port()).is_ok();
        if moved { Ok(Destination { url, host_header: Some(host_header) }) } else { Err(OutboundError::Connection) }
    }
}

/// What the endpoint answered.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) content_type: String,
    pub(crate) body: Vec<u8>,
    pub(crate) latency: Duration,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum OutboundError {
    #[error("no answer in time")]
    Timeout,
    #[error("no connection, or a broken one")]
    Connection,
}

/// The client for all requests to subscribers, and to the issuers of federated credentials. It follows no redirects, as Graph does not.
pub(crate) struct Outbound {
    client: Client,
    routes: Routes,
}

impl Outbound {
    pub(crate) fn new(routes: Routes) -> Result<Self, reqwest::Error> {
        // Whoever embeds the simulator may have chosen a provider already; any one will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = Client::builder().redirect(Policy::none()).no_proxy().build()?;
        Ok(Self { client, routes })
    }

    /// Posts `body`; the time limit covers everything up to the answer's last byte and is real time, not simulated.
    pub(crate) async fn post(
        &self,
        url: &str,
        content_type: &str,
        body: Vec<u8>,
        limit: Duration,
    ) -> Result<Answer, OutboundError> {
        let destination = self.routes.destination(url)?;
        let mut request = self
            .client
            .post(destination.url)
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_LENGTH, body.len())
            .body(body);
        if let Some(host) = destination.host_header {
            request = request.header(HOST, host);
        }
        exchange(request, limit).await
    }

    /// Reads a document; the time limit is as for [`Self::post`].
    pub(crate) async fn get(&self, url: Url, limit: Duration) -> Result<Answer, OutboundError> {
        exchange(self.client.get(url), limit).await
    }
}

async fn exchange(request: RequestBuilder, limit: Duration) -> Result<Answer, OutboundError> {
    let started = Instant::now();
    let exchange = async {
        let mut response = request.send().await.map_err(|_| OutboundError::Connection)?;
        let status = response.status().as_u16();
        let content_type =
            response.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|_| OutboundError::Connection)? {
            body.extend_from_slice(&chunk);
            if body.len() > LARGEST_ANSWER {
                return Err(OutboundError::Connection);
            }
        }
        Ok(Answer { status, content_type, body, latency: started.elapsed() })
    };
    tokio::time::timeout(limit, exchange).await.map_err(|_| OutboundError::Timeout)?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes() -> Routes {
        Routes {
            gateway: Some("http://127.0.0.1:4566".to_owned()),
            hosts: BTreeMap::from([("receiver.test".to_owned(), "http://127.0.0.1:8080".to_owned())]),
        }
    }

    #[test]
    fn the_gateway_stands_in_for_deployed_apis() {
        let destination = routes()
            .destination("https://abcd1234.execute-api.us-east-1.amazonaws.com/notifications?validationToken=a%3a+b")
            .unwrap();
        assert_eq!(destination.url.as_str(), "http://127.0.0.1:4566/notifications?validationToken=a%3a+b");
        assert_eq!(destination.host_header.as_deref(), Some("abcd1234.execute-api.localhost"));
    }

    #[test]
    fn a_named_host_keeps_its_name_and_others_are_left_alone() {
        let destination = routes().destination("https://receiver.test/n?a=b").unwrap();
        assert_eq!(destination.url.as_str(), "http://127.0.0.1:8080/n?a=b");
        assert_eq!(destination.host_header.as_deref(), Some("receiver.test"));
        let other = routes().destination("https://example.org/n").unwrap();
        assert_eq!(other.url.as_str(), "https://example.org/n");
        assert_eq!(other.host_header, None);
    }
}

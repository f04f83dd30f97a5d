//! Refuses requests that a web page may have made the developer's browser send here, as `local/browser_requests.py` does.
//!
//! A page may send forms and plain text to the loopback interface without a preflight. A browser says where the page comes from, in
//! `Origin` or `Sec-Fetch-Site`. A page whose name resolves to this machine (DNS rebinding) has that name as `Host`.

use std::net::SocketAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// What clients may call this server.
#[derive(Debug, Clone)]
pub(crate) struct Names(Vec<String>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the request comes from a web page; the simulator answers programs only")]
    WebPage,
    #[error("the request's Host is none of the simulator's names; --origin gives it another")]
    ForeignHost,
}

impl Names {
    /// Those of the loopback interface, the address that it listens on, and the host of its `origin`.
    pub(crate) fn new(address: SocketAddr, origin: &str) -> Self {
        let port = address.port();
        let loopback = ["127.0.0.1", "localhost", "[::1]"].into_iter().map(|name| format!("{name}:{port}"));
        let bound = (!address.ip().is_unspecified()).then(|| address.to_string());
        let origin = origin.parse().ok().as_ref().and_then(Uri::authority).map(Authority::to_string);
        Self(loopback.chain(bound).chain(origin).collect())
    }

    /// Whether a request with these headers may be answered.
    pub(crate) fn check(&self, headers: &HeaderMap) -> Result<(), Refused> {
        if headers.contains_key(header::ORIGIN) || headers.contains_key("sec-fetch-site") {
            return Err(Refused::WebPage);
        }
        let mut hosts = headers.get_all(header::HOST).iter();
        match (hosts.next(), hosts.next()) {
            (Some(host), None) if self.0.iter().any(|name| host.as_bytes().eq_ignore_ascii_case(name.as_bytes())) => {
                Ok(())
            }
            _ => Err(Refused::ForeignHost),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn names(address: &str, origin: &str) -> Names {
        Names::new(address.parse().unwrap(), origin)
    }

    fn checked(names: &Names, headers: &[(&'static str, &'static str)]) -> Result<(), Refused> {
        let headers =
            headers.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let mut map = HeaderMap::new();
        headers.for_each(|(name, value)| {
            map.append(name, value);
        });
        names.check(&map)
    }

    #[test]
    fn its_own_names_are_answered() {
        let local = names("127.0.0.1:8080", "http://127.0.0.1:8080");
        for host in ["127.0.0.1:8080", "localhost:8080", "LocalHost:8080", "[::1]:8080"] {
            assert_eq!(checked(&local, &[("host", host)]), Ok(()), "{host}");
        }
        let elsewhere = names("0.0.0.0:8080", "https://graph.example");
        assert_eq!(checked(&elsewhere, &[("host", "graph.example")]), Ok(()));
        assert_eq!(checked(&elsewhere, &[("host", "0.0.0.0:8080")]), Err(Refused::ForeignHost));
        let bound = names("10.0.0.1:8080", "http://127.0.0.1:8080");
        assert_eq!(checked(&bound, &[("host", "10.0.0.1:8080")]), Ok(()));
    }

    #[test]
    fn other_names_are_refused() {
        let local = names("127.0.0.1:8080", "http://127.0.0.1:8080");
        for host in
            ["", "localhost", "localhost:80", "page.example:8080", "127.0.0.1.page.example:8080", "127.0.0.1:80801"]
        {
            assert_eq!(checked(&local, &[("host", host)]), Err(Refused::ForeignHost), "{host}");
        }
        assert_eq!(checked(&local, &[]), Err(Refused::ForeignHost));
        let twice = [("host", "localhost:8080"), ("host", "localhost:8080")];
        assert_eq!(checked(&local, &twice), Err(Refused::ForeignHost));
    }

    #[test]
    fn what_a_browser_says_of_a_page_is_refused() {
        let local = names("127.0.0.1:8080", "http://127.0.0.1:8080");
        for said in [
            ("origin", "https://page.example"),
            ("origin", "null"),
            ("origin", "http://127.0.0.1:8080"),
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-site", "none"),
        ] {
            assert_eq!(checked(&local, &[("host", "127.0.0.1:8080"), said]), Err(Refused::WebPage), "{said:?}");
        }
    }
}

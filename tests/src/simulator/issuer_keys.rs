//! The signing keys of an issuer whose tokens a federated credential trusts, found through its configuration document.

use std::time::Duration;

use reqwest::Url;
use serde_json::Value;

use super::entra_error::EntraError;
use super::outbound::Outbound;

/// How long an issuer may take for each document, in real time.
const PATIENCE: Duration = Duration::from_secs(10);

/// The issuer's keys document.
pub(crate) async fn fetch(outbound: &Outbound, issuer: &str) -> Result<Value, EntraError> {
    let failed = || EntraError::new(400, "invalid_request", 90_061, "Request to External OIDC endpoint failed.");
    let address = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let configuration = document(outbound, &address).await.ok_or_else(failed)?;
    if configuration["issuer"] != issuer {
        return Err(failed());
    }
    let keys = configuration["jwks_uri"].as_str().ok_or_else(failed)?;
    document(outbound, keys).await.ok_or_else(failed)
}

async fn document(outbound: &Outbound, address: &str) -> Option<Value> {
    let url = Url::parse(address).ok().filter(is_trustworthy)?;
    let answer = outbound.get(url, PATIENCE).await.ok().filter(|answer| answer.status == 200)?;
    serde_json::from_slice(&answer.body).ok()
}

/// Plain http is for issuers on this machine.
fn is_trustworthy(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
    url.scheme() == "https" || url.scheme() == "http" && is_loopback
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine_only() {
        for (address, good) in [
            ("https://issuer.example/keys", true),
            ("http://127.0.0.1:1/keys", true),
            ("http://[::1]:1/keys", true),
            ("http://localhost/keys", true),
            ("http://issuer.example/keys", false),
            ("ftp://127.0.0.1/keys", false),
        ] {
            assert_eq!(is_trustworthy(&address.parse().unwrap()), good, "{address}");
        }
    }
}

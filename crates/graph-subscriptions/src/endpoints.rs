//! The addresses of Microsoft Graph and Microsoft Entra.

use std::{fmt, net::IpAddr};

use graph_notifications::TenantId;
use reqwest::Url;

/// Microsoft Graph with its version: `https://graph.microsoft.com/v1.0`.
#[derive(Clone, PartialEq, Eq)]
pub struct GraphEndpoint {
    text: String,
    origin: String,
}

/// Microsoft Entra's sign-in host: `https://login.microsoftonline.com`.
#[derive(Clone, PartialEq, Eq)]
pub struct LoginEndpoint(String);

/// Which hosts tokens and secrets may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AllowedHosts {
    /// Those that Microsoft publishes for its clouds, and this machine. A wrong name in a parameter would send the app's
    /// credential to whoever owns that name.
    #[default]
    Published,
    /// Any, since an operator said so: the parameter `AllowOtherEndpoints`.
    Any,
}

/// Microsoft Graph's hosts: of the global cloud, of the two of the US government, of China's.
const GRAPH_HOSTS: [&str; 4] =
    ["graph.microsoft.com", "graph.microsoft.us", "dod-graph.microsoft.us", "microsoftgraph.chinacloudapi.cn"];

/// Microsoft Entra's: of the global cloud, of both of the US government, and two of China's.
const LOGIN_HOSTS: [&str; 4] = [
    "login.microsoftonline.com",
    "login.microsoftonline.us",
    "login.chinacloudapi.cn",
    "login.partner.microsoftonline.cn",
];

/// Which of Microsoft's clouds a sign-in host belongs to; an unknown host counts as one of the global cloud.
enum Cloud {
    Global,
    UsGovernment,
    China,
}

/// The text is no address that secrets may be sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// Not a URL with a host.
    #[error("it is not an address such as https://graph.microsoft.com/v1.0")]
    NotAnAddress,
    /// Tokens and secrets would cross the network in clear.
    #[error("it must begin with https:// (http:// is accepted for loopback hosts only)")]
    NotHttps,
    /// A user name, a password, a query or a fragment.
    #[error("it must hold no user name, password, query or fragment")]
    TooMuch,
    /// A path where the sign-in host must stand alone.
    #[error("it must name a host without a path")]
    Path,
    /// Not one of Microsoft's, on the usual port.
    #[error(
        "it is none of the addresses that Microsoft publishes, and tokens and secrets would be sent there; if it is right all \
         the same, deploy with AllowOtherEndpoints=true"
    )]
    NotPublished,
    /// `AllowOtherEndpoints` is something else.
    #[error("it must be true or false")]
    NotAChoice,
}

impl AllowedHosts {
    /// Reads the parameter `AllowOtherEndpoints`: `true` or `false`; empty is `false`.
    ///
    /// # Errors
    /// If it is something else.
    pub fn parse(text: &str) -> Result<Self, EndpointError> {
        match text {
            "" | "false" => Ok(Self::Published),
            "true" => Ok(Self::Any),
            _ => Err(EndpointError::NotAChoice),
        }
    }

    fn check(self, url: &Url, published: &[&str]) -> Result<(), EndpointError> {
        let host = url.host_str().unwrap_or_default();
        let is_published = url.port().is_none() && published.contains(&host);
        if self == Self::Any || is_published || is_loopback(host) { Ok(()) } else { Err(EndpointError::NotPublished) }
    }
}

impl GraphEndpoint {
    /// Reads an address. A slash at its end is of no account.
    ///
    /// # Errors
    /// If it is none, is not `https` (plain `http` is for loopback hosts only), holds credentials, a query or a fragment, or names
    /// a host that is not allowed.
    pub fn parse(text: &str, allowed: AllowedHosts) -> Result<Self, EndpointError> {
        let url = parse(text)?;
        allowed.check(&url, &GRAPH_HOSTS)?;
        let origin = url.origin().ascii_serialization();
        Ok(Self { text: format!("{origin}{}", url.path().trim_end_matches('/')), origin })
    }

    /// The scope to ask Entra for: every application permission that an administrator consented to for this Graph.
    #[must_use]
    pub fn token_scope(&self) -> String {
        format!("{}/.default", self.origin)
    }

    /// Whether this is the version v1.0, which some of Microsoft's pages do not list for emergency calls. The other is beta.
    #[must_use]
    pub fn is_v1(&self) -> bool {
        self.text.ends_with("/v1.0")
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.text)
    }

    /// Whether a link that Graph sent leads to this Graph: the token must go nowhere else.
    pub(crate) fn is_origin_of(&self, link: &str) -> bool {
        Url::parse(link).is_ok_and(|url| {
            url.origin().ascii_serialization() == self.origin && url.username().is_empty() && url.password().is_none()
        })
    }
}

impl LoginEndpoint {
    /// Reads an address. A slash at its end is of no account.
    ///
    /// # Errors
    /// As for [`GraphEndpoint::parse`], and if the address has a path.
    pub fn parse(text: &str, allowed: AllowedHosts) -> Result<Self, EndpointError> {
        let url = parse(text)?;
        allowed.check(&url, &LOGIN_HOSTS)?;
        if url.path() != "/" {
            return Err(EndpointError::Path);
        }
        Ok(Self(url.origin().ascii_serialization()))
    }

    /// What the issuer of v1.0 tokens begins with, before the tenant: `https://sts.windows.net`, whatever the sign-in host,
    /// except for China's, whose tokens come from `https://sts.chinacloudapi.cn` (not verified there).
    #[must_use]
    pub fn v1_issuers(&self) -> &'static str {
        match self.cloud() {
            Cloud::Global | Cloud::UsGovernment => "https://sts.windows.net",
            Cloud::China => "https://sts.chinacloudapi.cn",
        }
    }

    pub(crate) fn url(&self, tenant: TenantId, path: &str) -> String {
        format!("{}/{tenant}/{path}", self.0)
    }

    /// The audience for which another issuer's token must be made out to be exchanged here:
    /// `api://AzureADTokenExchange`, or that of the national cloud whose sign-in host this is (not verified there).
    #[must_use]
    pub fn federation_audience(&self) -> &'static str {
        match self.cloud() {
            Cloud::Global => "api://AzureADTokenExchange",
            Cloud::UsGovernment => "api://AzureADTokenExchangeUSGov",
            Cloud::China => "api://AzureADTokenExchangeChina",
        }
    }

    fn cloud(&self) -> Cloud {
        match self.0.as_str() {
            "https://login.microsoftonline.us" => Cloud::UsGovernment,
            "https://login.chinacloudapi.cn" | "https://login.partner.microsoftonline.cn" => Cloud::China,
            _ => Cloud::Global,
        }
    }

    /// The address as text, without a slash at its end.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

fn parse(text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text).map_err(|_| EndpointError::NotAnAddress)?;
    let host = url.host_str().ok_or(EndpointError::NotAnAddress)?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(host) => {}
        _ => return Err(EndpointError::NotHttps),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(EndpointError::TooMuch);
    }
    Ok(url)
}

/// Whether a host, as a URL names it, is this machine.
#[must_use]
pub fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

impl fmt::Display for GraphEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for GraphEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for LoginEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for LoginEndpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{
        AllowedHosts::{Any, Published},
        *,
    };

    #[test]
    fn the_scope_names_the_origin_without_the_version() {
        let endpoint = GraphEndpoint::parse("https://graph.microsoft.com/v1.0/", Published).unwrap();
        assert_eq!(endpoint.token_scope(), "https://graph.microsoft.com/.default");
        assert_eq!(endpoint.url("/subscriptions"), "https://graph.microsoft.com/v1.0/subscriptions");
        let local = GraphEndpoint::parse("http://127.0.0.1:8080/v1.0", Published).unwrap();
        assert_eq!(local.token_scope(), "http://127.0.0.1:8080/.default");
    }

    #[test]
    fn national_clouds_have_their_own_issuers_and_audiences() {
        for (host, sts, suffix) in [
            ("https://login.microsoftonline.com", "sts.windows.net", ""),
            ("http://127.0.0.1:1", "sts.windows.net", ""),
            ("https://login.microsoftonline.us.example", "sts.windows.net", ""),
            ("https://LOGIN.microsoftonline.us:443/", "sts.windows.net", "USGov"),
            ("https://login.chinacloudapi.cn", "sts.chinacloudapi.cn", "China"),
            ("https://login.partner.microsoftonline.cn", "sts.chinacloudapi.cn", "China"),
        ] {
            let endpoint = LoginEndpoint::parse(host, Any).unwrap();
            assert_eq!(endpoint.v1_issuers(), format!("https://{sts}"));
            assert_eq!(endpoint.federation_audience(), format!("api://AzureADTokenExchange{suffix}"), "{host}");
        }
    }

    #[test]
    fn plain_http_is_for_loopback_hosts_only() {
        for good in ["http://localhost:1/v1.0", "http://127.0.0.1", "http://127.9.9.9/", "http://[::1]:1/x"] {
            assert!(GraphEndpoint::parse(good, Published).is_ok(), "{good}");
        }
        for bad in
            ["http://graph.microsoft.com/v1.0", "http://localhost.example.com", "http://10.0.0.1", "ftp://localhost"]
        {
            assert_eq!(GraphEndpoint::parse(bad, Any).unwrap_err(), EndpointError::NotHttps, "{bad}");
        }
    }

    #[test]
    fn secrets_go_to_microsoft_unless_an_operator_says_otherwise() {
        for host in GRAPH_HOSTS {
            assert!(GraphEndpoint::parse(&format!("https://{host}/v1.0"), Published).is_ok(), "{host}");
            assert!(LoginEndpoint::parse(&format!("https://{host}"), Published).is_err(), "{host}");
        }
        for host in LOGIN_HOSTS {
            assert!(LoginEndpoint::parse(&format!("https://{host}:443/"), Published).is_ok(), "{host}");
            assert!(GraphEndpoint::parse(&format!("https://{host}"), Published).is_err(), "{host}");
        }
        for host in [
            "login.microsoftonline.com.evil.example",
            "evil-login.microsoftonline.com",
            "x.graph.microsoft.com",
            "graph.microsoft.com.",
            "graph.microsoft.com:8443",
            "graph.rnicrosoft.com",
            "10.0.0.1",
            "127.0.0.1.evil.example",
        ] {
            let text = format!("https://{host}");
            assert_eq!(GraphEndpoint::parse(&text, Published).unwrap_err(), EndpointError::NotPublished, "{host}");
            assert_eq!(LoginEndpoint::parse(&text, Published).unwrap_err(), EndpointError::NotPublished, "{host}");
            assert!(GraphEndpoint::parse(&text, Any).is_ok() && LoginEndpoint::parse(&text, Any).is_ok(), "{host}");
        }
        assert!(EndpointError::NotPublished.to_string().contains("AllowOtherEndpoints=true"));
    }

    #[test]
    fn other_hosts_are_allowed_by_true_alone() {
        assert_eq!(AllowedHosts::parse("true"), Ok(Any));
        assert_eq!((AllowedHosts::parse("false"), AllowedHosts::parse("")), (Ok(Published), Ok(Published)));
        for other in ["True", "yes", "1", " true"] {
            assert_eq!(AllowedHosts::parse(other), Err(EndpointError::NotAChoice), "{other}");
        }
    }

    #[test]
    fn what_does_not_belong_into_an_address_is_refused() {
        for bad in ["https://user@host", "https://:pass@host", "https://host/v1.0?x=1", "https://host/#x"] {
            assert_eq!(GraphEndpoint::parse(bad, Any).unwrap_err(), EndpointError::TooMuch, "{bad}");
        }
        for bad in ["", "graph.microsoft.com", "https://", "data:x"] {
            assert!(GraphEndpoint::parse(bad, Any).is_err(), "{bad}");
        }
        assert_eq!(LoginEndpoint::parse("https://host/common", Any).unwrap_err(), EndpointError::Path);
    }

    #[test]
    fn a_link_belongs_to_graph_only_with_the_same_scheme_host_and_port() {
        let endpoint = GraphEndpoint::parse("https://graph.microsoft.com/v1.0", Published).unwrap();
        assert!(endpoint.is_origin_of("https://graph.microsoft.com/v1.0/subscriptions?$skiptoken=1"));
        for foreign in [
            "https://graph.microsoft.com.evil.example/v1.0",
            "http://graph.microsoft.com/v1.0",
            "https://graph.microsoft.com:8443/v1.0",
            "https://graph.microsoft.com@evil.example/",
            "https://x@graph.microsoft.com/",
            "/v1.0/subscriptions",
        ] {
            assert!(!endpoint.is_origin_of(foreign), "{foreign}");
        }
    }
}

#![doc = include_str!("../README.md")]

mod assertion;
pub mod credential;
pub mod endpoints;
pub mod entra;
pub mod error;
pub mod http;
mod operator_text;
pub mod service_principal;
pub mod signing_keys;
pub mod subscription;
pub mod subscriptions;
#[cfg(test)]
mod testing;
pub mod token_error;

pub use credential::{ClientCertificate, Credential};
pub use endpoints::{AllowedHosts, GraphEndpoint, LoginEndpoint, is_loopback};
pub use entra::AccessToken;
pub use error::{GraphError, GraphErrorKind};
pub use service_principal::ServicePrincipal;
pub use subscription::{NewCertificate, NewSubscription, Renewal, Subscription};
pub use subscriptions::{Graph, Listing};
pub use token_error::TokenError;

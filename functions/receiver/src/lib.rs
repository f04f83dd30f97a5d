#![doc = include_str!("../README.md")]

mod authenticate;
pub mod aws;
pub mod batch;
mod combine;
pub mod config;
mod deadlines;
mod decode;
mod dedup;
mod digest;
mod events;
pub mod handler;
pub mod http;
pub mod keyring_cache;
mod lifecycle;
pub mod mark;
mod outgoing;
pub mod ports;
mod probe;
mod publish;
mod rate_limit;
mod rejection;
pub mod signing_key_cache;
mod telemetry;
pub mod warm_up;

pub use config::Config;
pub use handler::Receiver;

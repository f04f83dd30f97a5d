#![doc = include_str!("../README.md")]

mod authenticate;
pub mod aws;
pub mod batch;
mod combine;
pub mod config;
mod decode;
pub mod dedup;
mod events;
pub mod handler;
pub mod http;
pub mod keyring_cache;
mod lifecycle;
mod limit;
pub mod live_signing_keys;
pub mod outside;
mod probing;
mod publish;
pub mod rehearsal;
mod rejection;
mod schedule;
mod telemetry;

pub use config::Config;
pub use handler::Receiver;

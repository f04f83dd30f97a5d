#![doc = include_str!("../README.md")]

mod authenticating;
pub mod aws;
pub mod batch;
pub mod config;
mod events;
mod handing_over;
pub mod handler;
pub mod http;
pub mod keyring_cache;
mod lifecycle;
mod limit;
pub mod live_signing_keys;
pub mod outside;
mod probing;
mod reading;
pub mod rehearsal;
mod rejection;
mod remembering;
mod schedule;
mod telemetry;

pub use config::Config;
pub use handler::Receiver;

#![doc = include_str!("../README.md")]

pub mod act;
pub mod app_certificates;
pub mod aws;
pub mod calls;
pub mod check;
pub mod config;
pub mod coverage;
pub mod credential;
pub mod custom_resource;
pub mod drill;
pub mod filter_policy;
pub mod input;
pub mod keyring;
pub mod lease;
pub mod lifecycle;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod records;
pub mod report;
pub mod run;
pub mod subscriber;
pub mod tampering;
pub mod watch;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

#![doc = include_str!("../README.md")]

pub mod act;
pub mod app_certificates;
pub mod aws;
mod aws_error;
pub mod calls;
pub mod check;
pub mod cloudformation;
pub mod config;
pub mod coverage;
pub mod credential;
pub mod deployment;
pub mod drill;
pub mod filter_policy;
pub mod finding;
pub mod handler;
mod http;
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
pub mod topics;
pub mod verdict;
pub mod watch;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

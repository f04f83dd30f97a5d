#![doc = include_str!("../README.md")]

pub mod act;
pub mod aws;
pub mod calls;
pub mod config;
pub mod input;
pub mod keyring;
pub mod lease;
pub mod metrics;
pub mod observe;
pub mod plan;
pub mod ports;
pub mod records;
pub mod report;
pub mod run;

#[cfg(test)]
mod fake;
#[cfg(test)]
mod tests;

#![doc = include_str!("../README.md")]

pub mod aws;
pub mod environment;
pub mod metrics;

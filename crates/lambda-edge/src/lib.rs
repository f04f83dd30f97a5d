#![doc = include_str!("../README.md")]

pub mod aws;
pub mod environment;
pub mod event;
pub mod metrics;
pub mod publication;
pub mod topic;

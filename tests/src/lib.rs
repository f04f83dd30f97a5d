#![doc = include_str!("../README.md")]

pub mod forgeries;
pub mod simulator;
pub mod soak;

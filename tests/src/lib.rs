#![doc = include_str!("../README.md")]

pub mod forgeries;
pub mod silence;
pub mod simulator;
pub mod soak;

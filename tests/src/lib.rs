#![doc = include_str!("../README.md")]

pub mod forgeries;
pub mod fuzzing;
pub mod silence;
pub mod simulator;
pub mod soak;
pub mod state_table;
pub mod storm;
pub mod surroundings;

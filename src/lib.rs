//! The map (being written).
pub mod base;
pub mod config;
pub mod http;
pub mod session;
pub mod simulator;

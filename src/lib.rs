//! The map (being written).
pub mod base;
pub mod cli;
pub mod config;
pub mod http;
pub mod session;

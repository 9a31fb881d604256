//! The map (being written).
pub mod audit;
pub mod base;
pub mod cli;
pub mod config;
pub mod db;
pub mod directory;
pub mod gate;
pub mod http;
pub mod session;
pub mod simulator;
pub mod sso;
pub mod wecom;

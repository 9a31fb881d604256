//! The map (being written).
pub mod base;
pub mod cli;
pub mod config;
pub mod audit;
pub mod db;
pub mod directory;
pub mod http;
pub mod session;
pub mod sso;

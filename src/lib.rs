//! The map (being written).
pub mod api;
pub mod app;
pub mod audit;
pub mod base;
pub mod cli;
pub mod config;
pub mod db;
pub mod directory;
pub mod gate;
pub mod http;
pub mod observe;
pub mod oidc;
pub mod session;
pub mod simulator;
pub mod sso;
pub mod supervisor;
pub mod wecom;

//! The commands, one file each: what is printed and the exit code. The rules are in the rooms they belong to.

pub mod api_client;
pub mod args;
pub mod audit;
pub mod config;
pub mod explain;
pub mod key;
pub mod rows;
pub mod serve;
pub mod sessions;
pub mod snippet;

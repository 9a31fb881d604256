//! The commands, one file each: what is printed and the exit code. The rules are in the rooms they belong to.

pub mod config;
pub mod explain;
pub mod serve;
pub mod snippet;

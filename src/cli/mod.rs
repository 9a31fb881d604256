//! The commands, one file each: their output and their exit code. The rules are in the rooms they
//! belong to.
//!
//! `args` is the command line and `run` dispatches it. `database` opens the database, `table`
//! formats output for people.

pub mod api_client;
pub mod args;
pub mod audit;
pub mod config;
pub mod conflicts;
mod database;
pub mod directory;
pub mod docs;
pub mod doctor;
pub mod explain;
pub mod key;
pub mod messages;
pub mod outcome;
pub mod rules;
pub mod run;
pub mod send;
pub mod serve;
pub mod sessions;
pub mod snippet;
pub mod sync;
mod table;

pub use args::CommandLine;
pub use run::run_command;

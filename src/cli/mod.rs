//! The commands, one file each: their output and their exit code. The rules are in the rooms they
//! belong to.
//!
//! `args` is the command line and `run` dispatches it. `database` opens the database, `table`
//! formats output for people.

pub(crate) mod api_client;
pub(crate) mod args;
pub(crate) mod audit;
pub(crate) mod config;
pub(crate) mod conflicts;
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

pub use args::{Command, CommandLine};
pub use outcome::{CommandOutcome, UsageError};
pub use run::run_command;

//! Logs: text on a terminal, JSON otherwise, to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Why logging could not begin.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` is not a filter.
    #[error("log.level {level:?} is not a level or filter: {why}")]
    Level {
        /// What was set.
        level: String,
        /// What is wrong with it.
        why: String,
    },
    /// Logging had begun before.
    #[error("logging has begun already: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

/// Begins to log, for the whole process.
///
/// # Errors
/// [`LogError`].
pub fn begin(log: &Log) -> Result<(), LogError> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|e| LogError::Level { level: log.level.clone(), why: e.to_string() })?;
    let terminal = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    let begun = if json { builder.json().flatten_event(true).try_init() } else { builder.try_init() };
    begun.map_err(LogError::Twice)
}

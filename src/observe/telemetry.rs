//! Sets up the log: text on a terminal, JSON otherwise, to standard error.

use std::io::IsTerminal as _;

use tracing_subscriber::{EnvFilter, reload};

use crate::config::{LogConfig, LogFormat};

/// The reasons why logging failed to start or change.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// `log.level` is not a filter.
    #[error("log.level {level:?} is not a level or filter: {why}")]
    Level { level: String, why: String },
    /// The logger is gone.
    #[error("the level cannot be changed: {0}")]
    Ended(#[from] reload::Error),
    /// Logging had started before.
    #[error("logging has begun already: {0}")]
    Twice(Box<dyn std::error::Error + Send + Sync>),
}

type FilterSetter = Box<dyn Fn(EnvFilter) -> Result<(), reload::Error> + Send + Sync>;

/// Changes the log level while the process runs.
pub struct LevelHandle(FilterSetter);

impl std::fmt::Debug for LevelHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("LevelHandle")
    }
}

impl LevelHandle {
    /// Parses a level or filter.
    ///
    /// # Errors
    /// [`LogError::Level`].
    pub fn parse(level: &str) -> Result<EnvFilter, LogError> {
        EnvFilter::try_new(level).map_err(|e| LogError::Level { level: level.to_owned(), why: e.to_string() })
    }

    /// Sets the filter.
    ///
    /// # Errors
    /// [`LogError::Ended`].
    pub fn set(&self, filter: EnvFilter) -> Result<(), LogError> {
        Ok((self.0)(filter)?)
    }
}

/// Starts logging for the whole process.
///
/// # Errors
/// [`LogError`].
pub fn start_logging(log: &LogConfig) -> Result<LevelHandle, LogError> {
    let filter = LevelHandle::parse(&log.level)?;
    let terminal = std::io::stderr().is_terminal();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(terminal);
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !terminal,
    };
    // The handles of the two formats have different types, so each is put into a closure.
    let (set, begun): (FilterSetter, _) = if json {
        let builder = builder.json().flatten_event(true).with_filter_reloading();
        let handle = builder.reload_handle();
        (Box::new(move |filter| handle.reload(filter)), builder.try_init())
    } else {
        let builder = builder.with_filter_reloading();
        let handle = builder.reload_handle();
        (Box::new(move |filter| handle.reload(filter)), builder.try_init())
    };
    begun.map_err(LogError::Twice)?;
    Ok(LevelHandle(set))
}

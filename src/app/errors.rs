//! Why the gateway could not start, or stopped by itself.

use crate::{config, db, keys, supervisor, wecom};

/// The reasons why the gateway could not start.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The root secret cannot be read or made.
    #[error(transparent)]
    RootSecret(#[from] config::RootSecretError),
    /// The database cannot be opened.
    #[error(transparent)]
    Database(#[from] db::DatabaseOpenError),
    /// The database does not give what this process must know of the others.
    #[error("the database does not answer: {0}")]
    Replica(#[from] sqlx::Error),
    /// The signing keys cannot be read.
    #[error(transparent)]
    Keys(#[from] keys::KeyError),
    /// The client of WeCom's API cannot be built.
    #[error(transparent)]
    WeCom(#[from] wecom::WecomSetupError),
    /// Some rules cannot be understood; one sentence each.
    #[error("{}", .0.join("\n"))]
    Rules(Vec<String>),
    /// The logo cannot be read.
    #[error("pages.logo_file {path}: {source}")]
    Logo { path: String, source: std::io::Error },
}

/// The reasons why the gateway stopped by itself.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// An address cannot be bound.
    #[error("cannot listen on {address} ({key}): {source}")]
    Listen {
        address: String,
        /// The key that sets the address.
        key: &'static str,
        source: std::io::Error,
    },
    /// Signals cannot be received.
    #[error("SIGTERM cannot be listened for: {0}")]
    Signals(#[source] std::io::Error),
    /// A worker ended.
    #[error(transparent)]
    Worker(#[from] supervisor::WorkerEnded),
}

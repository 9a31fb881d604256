//! `[server]`, `[database]`, `[session]`, `[pages]` and `[log]`.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;

use crate::base::secret::Secret;
use crate::db::DatabaseLocation;

/// An address to listen on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListenAddress {
    /// `127.0.0.1:8080`.
    Tcp(SocketAddr),
    /// `unix:/run/gongpai.sock`.
    Unix(PathBuf),
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// A rate: `"50/s burst 2000"`, `"30/min"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateConfig {
    /// How many requests each period adds.
    pub count: u32,
    /// The period: a second, a minute or an hour.
    pub per: Duration,
    /// How many requests may come at once; `count` unless set.
    pub burst: u32,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The public listener.
    pub listen: ListenAddress,
    /// The listener of /metrics, /healthz and /readyz.
    pub admin_listen: ListenAddress,
    /// The proxies whose X-Forwarded-* and X-Original-* headers are believed. The peer of a unix
    /// socket always is.
    pub trusted_proxies: Vec<IpNet>,
    /// The limit of starts for each client address.
    pub start_rate: RateConfig,
    /// The limit of callbacks whose code WeCom refuses, for each client address.
    pub bad_code_rate: RateConfig,
    /// The root secret. `None` for the file `secret` in `data_dir` (SQLite only).
    pub secret: Option<RootSecret>,
}

/// The 32 bytes that seal keys, states and tickets.
#[derive(Clone)]
pub struct RootSecret(pub [u8; 32]);

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret([REDACTED])")
    }
}

/// The database that `database.url` names.
#[derive(Debug, Clone)]
pub enum DatabaseConfig {
    /// An embedded file in `data_dir`.
    Sqlite(PathBuf),
    /// `postgres://…`, with its password.
    Postgres(Secret),
}

impl DatabaseConfig {
    /// Returns where the database is, as [`Db::open`](crate::db::Db::open) takes it.
    pub fn location(&self) -> DatabaseLocation<'_> {
        match self {
            Self::Sqlite(path) => DatabaseLocation::Sqlite(path),
            Self::Postgres(url) => DatabaseLocation::Postgres(url),
        }
    }
}

/// `[session]`.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// How long a session lasts at most.
    pub ttl: Duration,
    /// How long a session lasts without use.
    pub idle: Duration,
}

/// `[pages]`.
#[derive(Debug, Clone)]
pub struct PagesConfig {
    /// The company's name, shown above every page; may be empty.
    pub title: String,
    /// Whom to contact about an error; may be empty.
    pub contact: String,
    /// The picture above every page, read at start and at each reload.
    pub logo_file: Option<PathBuf>,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A `tracing` filter: `info`, `gongpai=debug,info`.
    pub level: String,
    pub format: LogFormat,
}

/// `log.format`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// Text.
    Text,
    /// JSON.
    Json,
}

//! The checked types: the meaning of each setting. `default.toml` documents what may be written.
//!
//! Each file has the types that the file of the same name in `config::check` makes.

mod clients;
mod directory;
mod gate;
mod server;
mod wecom;

use std::path::PathBuf;

use crate::base::host::Hosts;

pub(crate) use self::clients::{ApiClient, Scope};
pub(crate) use self::directory::DirectoryConfig;
pub use self::directory::LinkField;
pub(crate) use self::gate::{DefaultRule, GateConfig, GroupFormat, RuleText};
pub use self::server::ListenAddress;
pub(crate) use self::server::{
    DatabaseConfig, LogConfig, LogFormat, PagesConfig, RateConfig, RootSecret, ServerConfig, SessionConfig,
};
pub(crate) use self::wecom::{CallbackConfig, VerifyFile, WecomConfig};

/// All settings, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `public_url`, `login.redirect_hosts`, `login.hash_routes`, `session.cookie_domain` and
    /// `allow_http`, as one value.
    pub hosts: Hosts,
    /// The directory of the SQLite file, the root secret and verification files.
    pub data_dir: PathBuf,
    /// The time zone of schedules and of times that people read.
    pub time_zone: chrono_tz::Tz,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[database]`.
    pub database: DatabaseConfig,
    /// `[wecom]`.
    pub wecom: WecomConfig,
    /// `[session]`.
    pub session: SessionConfig,
    /// `login.landing`: the target of a sign-in that names none.
    pub landing: String,
    /// `[pages]`.
    pub pages: PagesConfig,
    /// `[gate]`.
    pub gate: GateConfig,
    /// `[[rules]]`, in order. `gate::rules` compiles them.
    pub rules: Vec<RuleText>,
    /// `[directory]`.
    pub directory: DirectoryConfig,
    /// `[[api_clients]]`.
    pub api_clients: Vec<ApiClient>,
    /// `[log]`.
    pub log: LogConfig,
}

//! The checked types: the meaning of each setting. `default.toml` documents what may be written.

use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::base::cron::Schedule;
use crate::base::host::Hosts;
use crate::base::id::{ClientId, CorpId};
use crate::base::secret::Secret;

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

/// `[wecom]`: one corporation.
#[derive(Clone)]
pub struct WecomConfig {
    /// If false, the gateway runs, but a sign-in is answered with 503 `wecom.disabled`.
    pub enable: bool,
    /// The 企业ID.
    pub corp_id: CorpId,
    /// The `AgentId` of the self-built application; 0 if it is not set.
    pub agent_id: u32,
    /// The application's Secret.
    pub app_secret: Option<Secret>,
    /// The 通讯录同步 Secret.
    pub contacts_secret: Option<Secret>,
    /// `https://qyapi.weixin.qq.com`; no trailing slash, may have a path.
    pub api_address: Url,
    /// `https://open.weixin.qq.com`.
    pub oauth2_address: Url,
    /// `https://login.work.weixin.qq.com`.
    pub qr_connect_address: Url,
    /// The proxy for calls to WeCom.
    pub proxy: Option<Url>,
    /// `message_enable`: whether messages are accepted and sent.
    pub message_enable: bool,
    /// `sync_cron`: when the chart is updated. `None` for never.
    pub sync_cron: Option<Schedule>,
    /// `force_sync_cron`: when everything is read again. `None` for never.
    pub force_sync_cron: Option<Schedule>,
    /// The `WW_verify_*.txt` names in the configuration.
    pub verify_files: Vec<VerifyFile>,
    /// `[wecom.contacts_callback]`; `None` if it is not set up.
    pub contacts_callback: Option<CallbackConfig>,
    /// `[wecom.app_callback]`; `None` if it is not set up.
    pub app_callback: Option<CallbackConfig>,
}

impl fmt::Debug for WecomConfig {
    /// Leaves out the password that a proxy's URL may contain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wecom")
            .field("enable", &self.enable)
            .field("corp_id", &self.corp_id)
            .field("agent_id", &self.agent_id)
            .field("app_secret", &self.app_secret)
            .field("contacts_secret", &self.contacts_secret)
            .field("api_address", &self.api_address.as_str())
            .field("oauth2_address", &self.oauth2_address.as_str())
            .field("qr_connect_address", &self.qr_connect_address.as_str())
            .field("proxy", &self.proxy.as_ref().map(|url| url.host_str().unwrap_or_default().to_owned()))
            .field("message_enable", &self.message_enable)
            .field("sync_cron", &self.sync_cron.as_ref().map(Schedule::as_str))
            .field("force_sync_cron", &self.force_sync_cron.as_ref().map(Schedule::as_str))
            .field("verify_files", &self.verify_files)
            .field("contacts_callback", &self.contacts_callback)
            .field("app_callback", &self.app_callback)
            .finish()
    }
}

/// A domain verification file, `WW_verify_<16 letters and digits>.txt`. Its body is those 16
/// characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyFile(String);

impl VerifyFile {
    /// Parses a file name; `None` unless it has exactly WeCom's form.
    pub fn parse(name: &str) -> Option<Self> {
        let token = name.strip_prefix("WW_verify_")?.strip_suffix(".txt")?;
        let good = token.len() == 16 && token.bytes().all(|b| b.is_ascii_alphanumeric());
        good.then(|| Self(token.to_owned()))
    }

    /// Returns the 16 characters, which are the file's body.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// Returns the file's name, which is its path on the trusted domain.
    pub fn file_name(&self) -> String {
        format!("WW_verify_{}.txt", self.0)
    }
}

/// The token and `EncodingAESKey` of a callback.
#[derive(Debug, Clone)]
pub struct CallbackConfig {
    /// The token: letters and digits, at most 32.
    pub token: Secret,
    /// The `EncodingAESKey`: 43 characters.
    pub encoding_aes_key: Secret,
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

/// `[gate]`.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Whether Remote-Groups has unit paths or unit ids.
    pub groups: GroupFormat,
    /// Whether `Gongpai-Assertion` is sent too.
    pub assertion: bool,
    /// The rule for hosts without rules.
    pub default: DefaultRule,
    /// How long checks go on from memory without the database.
    pub stale_after: Duration,
    /// How often WeCom is asked again about each person with a session.
    pub recheck: Duration,
    /// Paths of public_url's host whose application has an OAuth callback of its own. Only their
    /// form has been checked.
    pub code_paths: Vec<String>,
}

/// `gate.groups`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupFormat {
    /// Unit paths.
    Paths,
    /// Unit ids.
    Ids,
}

/// `gate.default`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DefaultRule {
    /// Allows any active member.
    Members,
    /// Allows nobody.
    Deny,
}

/// One `[[rules]]` entry as written.
#[derive(Debug, Clone)]
pub struct RuleText {
    /// `finance.example.com`, `*.x.com`, with `:port` if it matters.
    pub host: String,
    /// `/admin/**`; empty for every path.
    pub path: String,
    /// Whether the application distinguishes letter case in paths.
    pub case_sensitive: bool,
    /// Names, or `["*"]` for every method.
    pub methods: Vec<String>,
    /// `unit:…`, `tag:…`, `user:…`, `leader:…`, `members`, `anyone`.
    pub allow: Vec<String>,
}

/// `[directory]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// The fields by which WeCom's members are matched with local persons, in this order; each
    /// once.
    pub link_by: Vec<LinkField>,
    /// A synchronisation stops if it would remove a larger share. In hundredths of a percent: 10%
    /// is 1000.
    pub max_removals: u32,
    /// How long people who left are kept.
    pub purge_left_after: Duration,
}

/// An element of `directory.link_by`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkField {
    /// `userid`.
    Userid,
    /// `mobile`.
    Mobile,
    /// `email`.
    Email,
    /// `employee_number`: the extension attribute of that name, or 工号.
    EmployeeNumber,
}

impl LinkField {
    /// All fields.
    pub const ALL: [Self; 4] = [Self::Userid, Self::Mobile, Self::Email, Self::EmployeeNumber];

    /// Returns the name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Userid => "userid",
            Self::Mobile => "mobile",
            Self::Email => "email",
            Self::EmployeeNumber => "employee_number",
        }
    }

    /// Parses a name; `None` if it is unknown.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}

/// One `[[api_clients]]` entry.
#[derive(Debug, Clone)]
pub struct ApiClient {
    /// The name with which it authenticates.
    pub id: ClientId,
    /// The SHA-256 of its secret.
    pub secret_sha256: [u8; 32],
    pub scopes: Vec<Scope>,
}

/// A permission of an API client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `messages`: send messages, and see those it sent.
    Messages,
    /// `messages:all`: send to everybody at once (`@all`).
    MessagesAll,
    /// `directory:read`.
    DirectoryRead,
    /// `directory:write`.
    DirectoryWrite,
    /// `sessions`.
    Sessions,
    /// `hook`: the client's secret is a `hook_token`.
    Hook,
}

impl Scope {
    /// All scopes.
    pub const ALL: [Self; 6] = [
        Self::Messages,
        Self::MessagesAll,
        Self::DirectoryRead,
        Self::DirectoryWrite,
        Self::Sessions,
        Self::Hook,
    ];

    /// Returns the name in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::MessagesAll => "messages:all",
            Self::DirectoryRead => "directory:read",
            Self::DirectoryWrite => "directory:write",
            Self::Sessions => "sessions",
            Self::Hook => "hook",
        }
    }

    /// Parses a name; `None` if it is unknown.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
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

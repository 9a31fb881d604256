//! The checked types: what each setting means, after reading. See `default.toml` for what may be written.

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

/// Everything an administrator may set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// `public_url`, `login.redirect_hosts`, `login.hash_routes`, `session.cookie_domain` and `allow_http` as one value.
    pub hosts: Hosts,
    /// SQLite file, root secret, verification files.
    pub data_dir: PathBuf,
    /// For schedules and what people read.
    pub time_zone: chrono_tz::Tz,
    /// `[server]`.
    pub server: ServerConfig,
    /// `[database]`.
    pub database: DatabaseConfig,
    /// `[wecom]`.
    pub wecom: WecomConfig,
    /// `[session]`.
    pub session: SessionConfig,
    /// `login.landing`: where to without an rd.
    pub landing: String,
    /// `[pages]`.
    pub pages: PagesConfig,
    /// `[gate]`.
    pub gate: GateConfig,
    /// `[[rules]]`, in order; `gate::rules` compiles them.
    pub rules: Vec<RuleText>,
    /// `[directory]`.
    pub directory: DirectoryConfig,
    /// `[[api_clients]]`.
    pub api_clients: Vec<ApiClient>,
    /// `[log]`.
    pub log: LogConfig,
}

/// Where to listen.
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

/// `"50/s burst 2000"`, `"30/min"`: so many in each period, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateConfig {
    /// How many come back in each period.
    pub count: u32,
    /// The period: a second, a minute or an hour.
    pub per: Duration,
    /// How many at once; `count` unless said.
    pub burst: u32,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// The public listener.
    pub listen: ListenAddress,
    /// /metrics /healthz /readyz.
    pub admin_listen: ListenAddress,
    /// Whose X-Forwarded-* and X-Original-* are believed. A unix socket's peer always is.
    pub trusted_proxies: Vec<IpNet>,
    /// Starts per client address.
    pub start_rate: RateConfig,
    /// Callbacks with a code that WeCom refuses, per client address.
    pub bad_code_rate: RateConfig,
    /// The root secret, 32 bytes; `None`: the file `secret` in `data_dir` (SQLite only).
    pub secret: Option<RootSecret>,
}

/// 32 bytes that seal keys, state and tickets.
#[derive(Clone)]
pub struct RootSecret(pub [u8; 32]);

impl fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RootSecret([REDACTED])")
    }
}

/// `database.url`, understood.
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
    /// `false`: serve runs, sign-in answers 503 `wecom.disabled`.
    pub enable: bool,
    /// 企业ID.
    pub corp_id: CorpId,
    /// `AgentId` of the self-built application; 0 while nothing is set up.
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
    /// Outbound proxy.
    pub proxy: Option<Url>,
    /// `message_enable`: whether messages are accepted and sent.
    pub message_enable: bool,
    /// `sync_cron`: when the chart is brought up to date; `None`: never by itself.
    pub sync_cron: Option<Schedule>,
    /// `force_sync_cron`: when everything is read again; `None`: never by itself.
    pub force_sync_cron: Option<Schedule>,
    /// `WW_verify_*.txt` names from the configuration.
    pub verify_files: Vec<VerifyFile>,
    /// `[wecom.contacts_callback]`; `None` = not set up.
    pub contacts_callback: Option<CallbackConfig>,
    /// `[wecom.app_callback]`; `None` = not set up.
    pub app_callback: Option<CallbackConfig>,
}

impl fmt::Debug for WecomConfig {
    /// Without the password that a proxy's URL may hold.
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

/// A domain verification file: `WW_verify_<16 letters and digits>.txt`, its body the 16.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyFile(String);

impl VerifyFile {
    /// Reads a file name; `None` unless it is exactly of WeCom's form.
    pub fn parse(name: &str) -> Option<Self> {
        let token = name.strip_prefix("WW_verify_")?.strip_suffix(".txt")?;
        let good = token.len() == 16 && token.bytes().all(|b| b.is_ascii_alphanumeric());
        good.then(|| Self(token.to_owned()))
    }

    /// The 16 characters: what the file's body is.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// The file's name, which is its path on the trusted domain.
    pub fn file_name(&self) -> String {
        format!("WW_verify_{}.txt", self.0)
    }
}

/// Token and `EncodingAESKey` of a callback.
#[derive(Debug, Clone)]
pub struct CallbackConfig {
    /// Token, letters and digits, at most 32.
    pub token: Secret,
    /// `EncodingAESKey`, 43 characters.
    pub encoding_aes_key: Secret,
}

/// `[session]`.
#[derive(Debug, Clone)]
pub struct SessionConfig {
    /// Absolute limit.
    pub ttl: Duration,
    /// Limit without use.
    pub idle: Duration,
}

/// `[pages]`.
#[derive(Debug, Clone)]
pub struct PagesConfig {
    /// Company name, above every page; may be empty.
    pub title: String,
    /// Whom to send an error page to; may be empty.
    pub contact: String,
    /// A picture shown above every page, read at start.
    pub logo_file: Option<PathBuf>,
}

/// `[gate]`.
#[derive(Debug, Clone)]
pub struct GateConfig {
    /// Remote-Groups as unit paths or unit ids.
    pub groups: GroupFormat,
    /// Also send `Gongpai-Assertion`.
    pub assertion: bool,
    /// What holds on hosts without rules.
    pub default: DefaultRule,
    /// How long checks go on from memory without the database.
    pub stale_after: Duration,
    /// How often an active session's person is asked of WeCom again.
    pub recheck: Duration,
    /// Paths of public_url's host whose application has an OAuth callback of its own; their form is checked.
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
    /// Any active member.
    Members,
    /// Nobody.
    Deny,
}

/// One `[[rules]]` entry as written; empty path = all, `["*"]` = every method.
#[derive(Debug, Clone)]
pub struct RuleText {
    /// `finance.example.com`, `*.x.com`, with `:port` if it matters.
    pub host: String,
    /// `/admin/**`; empty = all.
    pub path: String,
    /// Whether letters in capitals are other letters to the application.
    pub case_sensitive: bool,
    /// `["*"]` or names.
    pub methods: Vec<String>,
    /// `unit:…`, `tag:…`, `user:…`, `leader:…`, `members`, `anyone`.
    pub allow: Vec<String>,
}

/// `[directory]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirectoryConfig {
    /// By which fields local people are recognised in WeCom, in this order; each once.
    pub link_by: Vec<LinkField>,
    /// A run that would remove a larger share stops; hundredths of a percent, 10% is 1000.
    pub max_removals: u32,
    /// For how long people who left are kept.
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
    /// Every one.
    pub const ALL: [Self; 4] = [Self::Userid, Self::Mobile, Self::Email, Self::EmployeeNumber];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Userid => "userid",
            Self::Mobile => "mobile",
            Self::Email => "email",
            Self::EmployeeNumber => "employee_number",
        }
    }

    /// The field of that name; `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.as_str() == name)
    }
}

/// One `[[api_clients]]` entry.
#[derive(Debug, Clone)]
pub struct ApiClient {
    /// The name it authenticates with.
    pub id: ClientId,
    /// SHA-256 of its secret.
    pub secret_sha256: [u8; 32],
    /// What it may do.
    pub scopes: Vec<Scope>,
}

/// What an API client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `messages`: send, and see its own.
    Messages,
    /// `messages:all`: send to everybody at once (`@all`).
    MessagesAll,
    /// `directory:read`.
    DirectoryRead,
    /// `directory:write`.
    DirectoryWrite,
    /// `sessions`.
    Sessions,
    /// `hook`: its secret is a `hook_token`.
    Hook,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::Messages,
        Self::MessagesAll,
        Self::DirectoryRead,
        Self::DirectoryWrite,
        Self::Sessions,
        Self::Hook,
    ];

    /// The scope as it is written.
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

    /// The scope of that name; `None` if there is none.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.as_str() == name)
    }
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct LogConfig {
    /// A `tracing` filter: `info`, `gongpai=debug,info`.
    pub level: String,
    /// Text or JSON.
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

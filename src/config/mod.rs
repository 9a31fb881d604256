//! The checked configuration: what the rest of the program reads.
//!
//! Layers, weakest first: `default.toml` (embedded, documents every key) ← an O2OA `qiyeweixin.json` ←
//! `gongpai.toml` ← `GONGPAI_*` ← flags. What may be written is [`raw`]; what it means is here.

pub mod raw;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use url::Url;

use crate::base::host::Hosts;
use crate::base::id::{ClientId, CorpId};
use crate::base::secret::Secret;

/// Everything an administrator may set, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// public_url, `login.redirect_hosts`, `session.cookie_domain` and `allow_http` as one value.
    pub hosts: Hosts,
    /// SQLite file, root secret, verification files.
    pub data_dir: PathBuf,
    /// For schedules and what people read.
    pub time_zone: chrono_tz::Tz,
    /// `[server]`.
    pub server: Server,
    /// `[database]`.
    pub database: Database,
    /// `[wecom]`.
    pub wecom: Wecom,
    /// `[session]`.
    pub session: Session,
    /// `login.landing`: where to without an rd.
    pub landing: String,
    /// `[pages]`.
    pub pages: Pages,
    /// `[gate]`.
    pub gate: Gate,
    /// `[[rules]]`, in order; `gate::rules` compiles them.
    pub rules: Vec<RuleText>,
    /// `[[api_clients]]`.
    pub api_clients: Vec<ApiClient>,
    /// `[log]`.
    pub log: Log,
}

/// Where to listen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// `127.0.0.1:8080`.
    Tcp(SocketAddr),
    /// `unix:/run/gongpai.sock`.
    Unix(PathBuf),
}

/// `"50/s burst 2000"`, `"30/min"`: so many in each period, so many at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// How many come back in each period.
    pub count: u32,
    /// The period: a second, a minute or an hour.
    pub per: Duration,
    /// How many at once; `count` unless said.
    pub burst: u32,
}

/// `[server]`.
#[derive(Debug, Clone)]
pub struct Server {
    /// The public listener.
    pub listen: Listen,
    /// /metrics /healthz /readyz.
    pub admin_listen: Listen,
    /// Whose X-Forwarded-* and X-Original-* are believed. A unix socket's peer always is.
    pub trusted_proxies: Vec<IpNet>,
    /// Starts and good callbacks per client address.
    pub start_rate: Rate,
    /// Callbacks with a code that WeCom refuses, per client address.
    pub bad_code_rate: Rate,
    /// The root secret, 32 bytes; `None`: the file `secret` in data_dir (SQLite only).
    pub secret: Option<RootSecret>,
}

/// 32 bytes that seal keys, state and tickets.
#[derive(Clone)]
pub struct RootSecret(pub [u8; 32]);

impl std::fmt::Debug for RootSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("RootSecret([REDACTED])")
    }
}

/// `database.url`, understood.
#[derive(Debug, Clone)]
pub enum Database {
    /// An embedded file in data_dir.
    Sqlite(PathBuf),
    /// `postgres://…`, with its password.
    Postgres(Secret),
}

/// `[wecom]`: one corporation.
#[derive(Debug, Clone)]
pub struct Wecom {
    /// `false`: serve runs, sign-in answers 503 `wecom.disabled`.
    pub enable: bool,
    /// 企业ID.
    pub corp_id: CorpId,
    /// AgentId of the self-built application; 0 while nothing is set up.
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
    /// `WW_verify_*.txt` names from the configuration.
    pub verify_files: Vec<VerifyFile>,
    /// `[wecom.contacts_callback]`; `None` = not set up.
    pub contacts_callback: Option<Callback>,
    /// `[wecom.app_callback]`; `None` = not set up.
    pub app_callback: Option<Callback>,
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
}

/// Token and EncodingAESKey of a callback.
#[derive(Debug, Clone)]
pub struct Callback {
    /// Token, letters and digits, at most 32.
    pub token: Secret,
    /// EncodingAESKey, 43 characters.
    pub encoding_aes_key: Secret,
}

/// `[session]`.
#[derive(Debug, Clone)]
pub struct Session {
    /// Absolute limit.
    pub ttl: Duration,
    /// Limit without use.
    pub idle: Duration,
}

/// `[pages]`.
#[derive(Debug, Clone)]
pub struct Pages {
    /// Company name, above every page; may be empty.
    pub title: String,
    /// Whom to send an error page to; may be empty.
    pub contact: String,
    /// A picture shown above every page, read at start.
    pub logo_file: Option<PathBuf>,
}

/// `[gate]`.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Remote-Groups as unit paths or unit ids.
    pub groups: Groups,
    /// Also send `Gongpai-Assertion`.
    pub assertion: bool,
    /// What holds on hosts without rules.
    pub default: DefaultRule,
    /// How long checks go on from memory without the database.
    pub stale_after: Duration,
    /// How often an active session's person is asked of WeCom again.
    pub recheck: Duration,
}

/// `gate.groups`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Groups {
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
    /// `["*"]` or names.
    pub methods: Vec<String>,
    /// `unit:…`, `tag:…`, `user:…`, `leader:…`, `members`, `anyone`.
    pub allow: Vec<String>,
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
    /// `messages:all`: see everybody's.
    MessagesAll,
    /// `directory:read`.
    DirectoryRead,
    /// `directory:write`.
    DirectoryWrite,
    /// `sessions`.
    Sessions,
    /// `hook`: its secret is a hook_token.
    Hook,
}

/// `[log]`.
#[derive(Debug, Clone)]
pub struct Log {
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

/// Where the layers come from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `--config` or `GONGPAI_CONFIG`; `None`: `./gongpai.toml` if it is there.
    pub file: Option<PathBuf>,
    /// `--qiyeweixin`.
    pub qiyeweixin: Option<PathBuf>,
    /// `GONGPAI_*` of the environment; [`Sources::from_process`] fills it, tests set it.
    pub environment: Vec<(String, String)>,
    /// A file's text instead of a file: tests and the demo.
    pub text: Option<String>,
}

/// Something accepted that the administrator should know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Warning {
    /// The key, `wecom.sync_cron`.
    pub key: String,
    /// One sentence.
    pub message: String,
}

/// Why a configuration was not accepted; every finding names its key and where it was written.
#[derive(Debug, thiserror::Error)]
#[error("{}", .findings.join("\n"))]
pub struct ConfigError {
    /// One sentence each.
    pub findings: Vec<String>,
}

impl Sources {
    /// The sources of a running program: its environment, and the given file arguments.
    pub fn from_process(_file: Option<PathBuf>, _qiyeweixin: Option<PathBuf>) -> Self {
        todo!()
    }
}

impl Config {
    /// Reads and checks all layers.
    ///
    /// # Errors
    /// [`ConfigError`] with every finding, not only the first.
    pub fn load(_sources: &Sources) -> Result<(Self, Vec<Warning>), ConfigError> {
        todo!()
    }
}

//! The command line: every command with its help and an example.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// Gongpai (工牌): one binary between WeCom (企业微信) and a company's own applications.
#[derive(Debug, Parser)]
#[command(name = "gongpai", version, arg_required_else_help = true)]
#[command(
    after_help = "Example:\n  gongpai config check && gongpai serve --config /etc/gongpai/gongpai.toml"
)]
pub struct Cli {
    /// The configuration; GONGPAI_CONFIG says the same. Without either: ./gongpai.toml, if it is there
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An O2OA qiyeweixin.json: its keys stand below those of gongpai.toml
    #[arg(long, global = true, value_name = "FILE")]
    pub qiyeweixin: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of this version.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs the gateway
    #[command(after_help = "Example:\n  gongpai serve --qiyeweixin qiyeweixin.json")]
    Serve,
    /// Checks or shows the configuration
    #[command(after_help = "Example:\n  gongpai config check --config gongpai.toml")]
    Config {
        /// Which.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Says whether somebody may open a page, and which rule decides
    #[command(
        after_help = "Example:\n  gongpai explain --user zhangsan --url https://finance.example.com/admin/ --method GET"
    )]
    Explain {
        /// The person's userid
        #[arg(long, value_name = "USERID")]
        user: String,
        /// The page
        #[arg(long)]
        url: String,
        /// The request's method
        #[arg(long, default_value = "GET")]
        method: String,
    },
    /// Prints a ready configuration for this installation
    #[command(
        after_help = "Example:\n  gongpai snippet nginx --host app.example.com --upstream http://127.0.0.1:3000 --listen 443"
    )]
    Snippet {
        /// For what.
        #[command(subcommand)]
        command: SnippetCommand,
    },
    /// Who is signed in; signing out
    #[command(after_help = "Example:\n  gongpai sessions revoke --user zhangsan")]
    Sessions {
        /// List or revoke.
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Who did what, when, from where, and what was decided
    #[command(after_help = "Example:\n  gongpai audit --user zhangsan --since 7d")]
    Audit(AuditArgs),
    /// Applications that call /api
    #[command(after_help = "Example:\n  gongpai api-client add oa --scopes sessions")]
    ApiClient {
        /// Which.
        #[command(subcommand)]
        command: ApiClientCommand,
    },
    /// Signing keys
    #[command(after_help = "Example:\n  gongpai key rotate")]
    Key {
        /// Which.
        #[command(subcommand)]
        command: KeyCommand,
    },
}

/// `gongpai config`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Reads and explains the configuration; exit 1 if it is not accepted
    #[command(after_help = "Example:\n  gongpai config check")]
    Check,
    /// Prints the configuration in force, without secrets, and where each value comes from
    #[command(after_help = "Example:\n  gongpai config show")]
    Show,
}

/// `gongpai snippet`.
#[derive(Debug, Subcommand)]
pub enum SnippetCommand {
    /// nginx: complete blocks for the http context
    #[command(
        after_help = "Example:\n  gongpai snippet nginx --host app.example.com --upstream http://127.0.0.1:3000 \\\n    --listen 443 > /etc/nginx/conf.d/app.example.com.conf"
    )]
    Nginx {
        /// The application's host as browsers name it
        #[arg(long, value_name = "HOST[:PORT]")]
        host: String,
        /// The application itself
        #[arg(long, value_name = "URL")]
        upstream: String,
        /// Where nginx listens, as in its `listen`
        #[arg(long, value_name = "ADDR")]
        listen: String,
        /// Also pass /api/v1/ of public_url's host to the gateway
        #[arg(long)]
        api: bool,
        /// Where requests to the gateway's own paths are logged
        #[arg(long, value_name = "FILE", default_value = super::snippet::DEFAULT_ACCESS_LOG)]
        access_log: String,
    },
    /// The home-page URL to paste into the WeCom console
    #[command(after_help = "Example:\n  gongpai snippet workbench --rd /todo")]
    Workbench {
        /// The page that the icon opens; without it login.landing
        #[arg(long, value_name = "PATH|URL")]
        rd: Option<String>,
        /// WeCom's authorize link itself, as O2OA's documentation has it
        #[arg(long)]
        seed_style: bool,
    },
}

/// `gongpai sessions`.
#[derive(Debug, Subcommand)]
pub enum SessionsCommand {
    /// Lists living sessions
    #[command(after_help = "Example:\n  gongpai sessions list --user zhangsan")]
    List {
        /// Only this person's
        #[arg(long, value_name = "USERID")]
        user: Option<String>,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Ends sessions; every replica knows within a second
    #[command(
        after_help = "Example:\n  gongpai sessions revoke --user zhangsan\n  gongpai sessions revoke --all"
    )]
    Revoke(RevokeArgs),
}

/// Which sessions to end: exactly one of these.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub struct RevokeArgs {
    /// This one
    #[arg(value_name = "SID")]
    pub sid: Option<String>,
    /// This person's
    #[arg(long, value_name = "USERID")]
    pub user: Option<String>,
    /// Everybody's
    #[arg(long)]
    pub all: bool,
}

/// `gongpai audit`.
#[derive(Debug, Args)]
pub struct AuditArgs {
    /// Only what concerns this person
    #[arg(long, value_name = "USERID")]
    pub user: Option<String>,
    /// From when: 24h, 7d, 2026-11-22 or an RFC 3339 instant
    #[arg(long, value_name = "TIME", default_value = "24h")]
    pub since: String,
    /// One JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// `gongpai api-client`.
#[derive(Debug, Subcommand)]
pub enum ApiClientCommand {
    /// Makes a secret, shows it once, and prints the block to paste into gongpai.toml
    #[command(after_help = "Example:\n  gongpai api-client add oa --scopes sessions")]
    Add {
        /// The client's name
        id: String,
        /// What it may do
        #[arg(long, value_delimiter = ',', required = true)]
        scopes: Vec<String>,
    },
}

/// `gongpai key`.
#[derive(Debug, Subcommand)]
pub enum KeyCommand {
    /// A new signing key: published at once, signing a little later; the old one stays until its tokens are gone
    #[command(after_help = "Example:\n  gongpai key rotate")]
    Rotate,
}

impl From<RevokeArgs> for super::sessions::Whose {
    fn from(args: RevokeArgs) -> Self {
        // clap lets exactly one of the three through.
        match (args.user, args.all) {
            (Some(user), _) => Self::Person(user),
            (None, true) => Self::Everybody,
            (None, false) => Self::Session(args.sid.unwrap_or_default()),
        }
    }
}

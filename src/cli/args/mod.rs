//! The command line. `--help` prints the doc comments of this file, so they are part of the
//! interface.

mod directory;
mod messages;

use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, NaiveDate};
use clap::{ArgGroup, Parser, Subcommand};

use crate::base::clock::Timestamp;
use crate::base::id::UserId;
use crate::config::Scope;
use crate::http::language::Language;
use crate::manual::parse_language;

pub(crate) use directory::{ConflictsCommand, DirectoryCommand, RulesCommand};
pub(crate) use messages::{Expiry, MessagesCommand, SendArgs, SendTarget};

/// Gongpai (工牌): single sign-on between WeCom (企业微信) and a company's own applications
#[derive(Debug, Clone, Parser)]
#[command(
    name = "gongpai",
    version,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Examples:\n  gongpai doctor\n  gongpai serve --config /etc/gongpai/gongpai.toml\n\n\
                  Exit code: 0 done, 1 found wrong or failed, 2 called wrong."
)]
pub struct CommandLine {
    /// The configuration file [env: GONGPAI_CONFIG] [default: ./gongpai.toml, if it is there]
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// An O2OA qiyeweixin.json, whose keys stand below those of the configuration file
    #[arg(long, global = true, value_name = "FILE")]
    pub qiyeweixin: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Run the gateway
    ///
    /// SIGTERM ends it once requests under way are answered. SIGHUP reads the configuration and
    /// secret files again: what needs a restart is named in the log, and a file with a mistake
    /// changes nothing.
    #[command(after_help = "Examples:\n  gongpai serve\n  gongpai serve --qiyeweixin qiyeweixin.json")]
    Serve,
    /// Find what is wrong with this installation, why, and what mends it
    ///
    /// Changes nothing. Exit code 1 if anything is broken.
    #[command(
        after_help = "Examples:\n  gongpai doctor\n  gongpai doctor --json | jq '.findings[] | select(.level == \"broken\")'\n  \
                      gongpai doctor --message-to zhangsan"
    )]
    Doctor {
        /// One JSON document: {"ok": …, "findings": […]}
        #[arg(long)]
        json: bool,
        /// Send a real test message to this member and say what WeCom makes of it
        #[arg(long, value_name = "USERID", value_parser = parse_recipient)]
        message_to: Option<String>,
    },
    /// Read the documentation of this version
    ///
    /// Without a topic: the list of topics. Into a file or a pipe it prints the Markdown itself.
    #[command(
        after_help = "Examples:\n  gongpai docs\n  gongpai docs rules\n  gongpai docs configuration --lang zh > configuration.md"
    )]
    Docs {
        /// The page, as the list names it
        topic: Option<String>,
        /// The language [default: that of the terminal, by LC_ALL, LC_MESSAGES or LANG]
        #[arg(long, value_name = "zh|en", value_parser = parse_docs_language)]
        lang: Option<Language>,
    },
    /// Check or show the configuration
    #[command(
        after_help = "Example:\n  gongpai config check --config gongpai.toml",
        subcommand_required = true
    )]
    Config {
        /// Which.
        #[command(subcommand)]
        command: ConfigCommand,
    },
    /// Bring the organisation chart up to date now, and print what changed
    ///
    /// Reads everything and compares every field. A gateway that runs may take the run over; there
    /// is one at a time. Exit code 1 if it was refused, failed, or could not read everything.
    #[command(
        after_help = "Examples:\n  gongpai sync --dry-run\n  gongpai sync\n  gongpai sync --json | jq .counts"
    )]
    Sync {
        /// Only print what would change
        #[arg(long)]
        dry_run: bool,
        /// Remove however much is missing, beyond directory.max_removals
        #[arg(long)]
        force: bool,
        /// As sync_cron does: without tags where there are more than 200
        #[arg(long)]
        update: bool,
        /// The run as GET /api/v1/directory/sync/{id} shows it
        #[arg(long)]
        json: bool,
    },
    /// Tell how the gate decides, and by which rule
    ///
    /// Somebody who never signed in here is treated as an active member of that userid.
    #[command(
        after_help = "Example:\n  gongpai explain --user lisi --url https://oa.example.com/boss --method GET"
    )]
    Explain {
        /// The userid
        #[arg(long, value_name = "USERID", value_parser = parse_userid)]
        user: String,
        /// What is opened, with scheme and host
        #[arg(long)]
        url: String,
        /// The HTTP method
        #[arg(long, default_value = "GET")]
        method: String,
    },
    /// Print a ready configuration for this installation
    #[command(
        after_help = "Example:\n  gongpai snippet nginx --host app.example.com --upstream http://127.0.0.1:3000 --listen 443",
        subcommand_required = true
    )]
    Snippet {
        /// Which.
        #[command(subcommand)]
        command: SnippetCommand,
    },
    /// List who is signed in, or sign people out
    #[command(after_help = "Example:\n  gongpai sessions list", subcommand_required = true)]
    Sessions {
        /// Which.
        #[command(subcommand)]
        command: SessionsCommand,
    },
    /// Print the audit trail: who, what, when, from where, decision, rule (kept 180 days)
    #[command(
        after_help = "Examples:\n  gongpai audit --user lisi --since 7d\n  gongpai audit --since 2026-11-22 --json"
    )]
    Audit {
        /// Of this userid only
        #[arg(long, value_name = "USERID", value_parser = parse_userid)]
        user: Option<String>,
        /// From when: 24h, 7d, 2026-11-22, 2026-11-22T08:00:00+08:00
        #[arg(long, value_name = "TIME", default_value = "180d", value_parser = parse_start_time)]
        since: StartTime,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Add an application that calls /api
    #[command(
        after_help = "Example:\n  gongpai api-client add oa --scopes sessions",
        subcommand_required = true
    )]
    ApiClient {
        /// Which.
        #[command(subcommand)]
        command: ApiClientCommand,
    },
    /// Make and change local persons, and decide about conflicts
    #[command(
        after_help = "Examples:\n  gongpai directory import outside.csv --dry-run\n  gongpai directory conflicts list",
        subcommand_required = true
    )]
    Directory {
        /// Which.
        #[command(subcommand)]
        command: DirectoryCommand,
    },
    /// Send a message to people in WeCom
    ///
    /// It is on disk when this ends; `gongpai serve` delivers it, now or when it runs again. Links
    /// to our own hosts open signed in, for the recipients only. Prints the message's id.
    #[command(
        after_help = "Examples:\n  gongpai send --to zhangsan --text '报销单已批准'\n  gongpai send --to unit:财务部 --to tag:管理员 \\\n    --card-title 待办 --card-text '报销单 3 号' --url https://oa.example.com/todo/3 --wait\n  gongpai send --json message.json --key todo-3"
    )]
    Send(Box<SendArgs>),
    /// Look at messages, and steer them by hand
    #[command(
        after_help = "Examples:\n  gongpai messages list --status failed\n  gongpai messages show 0193b2c4-…",
        subcommand_required = true
    )]
    Messages {
        /// Which.
        #[command(subcommand)]
        command: MessagesCommand,
    },
    /// Handle userids in rules that somebody else has now
    #[command(after_help = "Example:\n  gongpai rules accept", subcommand_required = true)]
    Rules {
        /// Which.
        #[command(subcommand)]
        command: RulesCommand,
    },
    /// Handle the signing keys
    #[command(after_help = "Example:\n  gongpai key rotate", subcommand_required = true)]
    Key {
        /// Which.
        #[command(subcommand)]
        command: KeyCommand,
    },
}

/// `gongpai config …`
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum ConfigCommand {
    /// Say what the configuration means and what is wrong with it
    #[command(after_help = "Example:\n  gongpai config check --config gongpai.toml")]
    Check,
    /// Print what is in effect and where each value was written; secrets are not printed
    #[command(after_help = "Example:\n  gongpai config show")]
    Show,
}

/// `gongpai snippet …`
#[derive(Debug, Clone, Subcommand)]
pub enum SnippetCommand {
    /// The nginx configuration of one host, for the http context: an application's, or the
    /// gateway's own
    #[command(
        after_help = "Examples:\n  gongpai snippet nginx --host sso.example.com --listen 443        # public_url's host, for the gateway alone\n  gongpai snippet nginx --host app.example.com --upstream http://127.0.0.1:3000 --listen 443 \\\n    > /etc/nginx/conf.d/app.conf"
    )]
    Nginx {
        /// The host as browsers name it
        #[arg(long, value_name = "HOST[:PORT]")]
        host: String,
        /// The application itself; left out on public_url's host, only the gateway answers there
        /// (recommended)
        #[arg(long, value_name = "URL")]
        upstream: Option<String>,
        /// As in nginx's `listen`
        #[arg(long, value_name = "ADDR")]
        listen: String,
        /// Also pass /api/v1/ of public_url's host to the gateway
        #[arg(long)]
        api: bool,
        /// Where requests to the gateway's own paths are logged
        #[arg(long, value_name = "FILE", default_value = super::snippet::DEFAULT_ACCESS_LOG)]
        access_log: String,
    },
    /// A hardened unit for systemd
    #[command(after_help = "Example:\n  gongpai snippet systemd > /etc/systemd/system/gongpai.service")]
    Systemd,
    /// The home-page URL to paste into the WeCom console
    #[command(after_help = "Example:\n  gongpai snippet workbench --rd /todo")]
    Workbench {
        /// The page that the icon opens [default: login.landing]
        #[arg(long, value_name = "PATH|URL")]
        rd: Option<String>,
        /// WeCom's authorize link itself, as O2OA's documentation has it
        #[arg(long)]
        seed_style: bool,
    },
}

/// `gongpai sessions …`
#[derive(Debug, Clone, Subcommand)]
pub enum SessionsCommand {
    /// Who is signed in
    #[command(after_help = "Examples:\n  gongpai sessions list\n  gongpai sessions list --user lisi --json")]
    List {
        /// Of this userid only
        #[arg(long, value_name = "USERID", value_parser = parse_userid)]
        user: Option<String>,
        /// Everybody, as without it
        #[arg(long, conflicts_with = "user")]
        all: bool,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Sign out: one session, one person, or everybody; works within a second on every replica
    #[command(
        group = ArgGroup::new("whose").required(true).multiple(false),
        after_help = "Examples:\n  gongpai sessions revoke --user lisi\n  gongpai sessions revoke --all"
    )]
    Revoke {
        /// A session's id, as `sessions list` prints it
        #[arg(group = "whose")]
        sid: Option<String>,
        /// Every session of this userid
        #[arg(long, value_name = "USERID", value_parser = parse_userid, group = "whose")]
        user: Option<String>,
        /// Every session of everybody
        #[arg(long, group = "whose")]
        all: bool,
    },
}

/// `gongpai api-client …`
#[derive(Debug, Clone, Subcommand)]
pub enum ApiClientCommand {
    /// Make a secret, show it once, and print the block to paste into gongpai.toml
    #[command(after_help = "Example:\n  gongpai api-client add oa --scopes sessions")]
    Add {
        /// Its name: letters, digits and . _ -
        #[arg(value_parser = parse_client_id)]
        id: String,
        /// What it may do, separated by commas
        #[arg(long, required = true, value_delimiter = ',', value_name = "SCOPES", value_parser = parse_scope)]
        scopes: Vec<Scope>,
    },
}

/// `gongpai key …`
#[derive(Debug, Clone, Copy, Subcommand)]
pub enum KeyCommand {
    /// Make a new signing key: published at once, signing five minutes later
    #[command(after_help = "Example:\n  gongpai key rotate")]
    Rotate,
}

/// The start of a period, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartTime {
    Ago(Duration),
    /// From the beginning of that day in `time_zone`.
    Day(NaiveDate),
    At(Timestamp),
}

fn parse_start_time(text: &str) -> Result<StartTime, String> {
    if let Ok(day) = NaiveDate::parse_from_str(text, "%Y-%m-%d") {
        return Ok(StartTime::Day(day));
    }
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(StartTime::At(Timestamp::from_millis(instant.timestamp_millis())));
    }
    let form = "write 24h, 7d, 2026-11-22 or 2026-11-22T08:00:00+08:00";
    parse_duration(text).map(StartTime::Ago).ok_or_else(|| form.to_owned())
}

/// Parses `90s`, `30m`, `24h` or `7d`.
fn parse_duration(text: &str) -> Option<Duration> {
    let (end, unit) = text.char_indices().last()?;
    let count: u64 = text.get(..end)?.parse().ok()?;
    let unit = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3600,
        'd' => 24 * 3600,
        _ => return None,
    };
    count.checked_mul(unit).map(Duration::from_secs)
}

fn parse_userid(text: &str) -> Result<String, String> {
    // WeCom has old userids that its rules refuse today, so nearly everything is accepted.
    let good = !text.is_empty() && !text.chars().any(char::is_control);
    if good { Ok(text.to_owned()) } else { Err("a userid is not empty".to_owned()) }
}

/// Accepts one member only: `@all` would reach everybody, and `|` separates several.
fn parse_recipient(text: &str) -> Result<String, String> {
    UserId::parse_existing(text).map(|userid| userid.as_str().to_owned()).map_err(|why| why.to_string())
}

fn parse_docs_language(text: &str) -> Result<Language, String> {
    parse_language(text).ok_or_else(|| "there are zh and en".to_owned())
}

fn parse_client_id(text: &str) -> Result<String, String> {
    let good = (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
    if good { Ok(text.to_owned()) } else { Err("an id is 1 to 64 letters, digits and . _ -".to_owned()) }
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::parse(text).ok_or_else(|| {
        let known: Vec<_> = Scope::ALL.iter().map(|scope| scope.as_str()).collect();
        format!("there are {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn since_is_a_span_a_day_or_an_instant() {
        for (text, want) in [
            ("24h", StartTime::Ago(Duration::from_secs(86_400))),
            ("7d", StartTime::Ago(Duration::from_secs(7 * 86_400))),
            ("90s", StartTime::Ago(Duration::from_secs(90))),
            ("2026-11-22", StartTime::Day(NaiveDate::from_ymd_opt(2026, 11, 22).unwrap())),
            ("2026-11-22T08:00:00Z", StartTime::At(Timestamp::from_millis(1_795_334_400_000))),
        ] {
            assert_eq!(parse_start_time(text), Ok(want), "{text}");
        }
        for bad in ["", "h", "-1h", "1w", "7", "2026-13-01", "yesterday", "7天", "99999999999999999999d"] {
            assert!(parse_start_time(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn whose_sessions_to_end_is_said_exactly_once() {
        let revoke =
            |rest: &[&str]| CommandLine::try_parse_from([&["gongpai", "sessions", "revoke"], rest].concat());
        for good in [&["--user", "lisi"][..], &["--all"], &["0193"]] {
            assert!(revoke(good).is_ok(), "{good:?}");
        }
        for bad in [&[][..], &["--all", "--user", "lisi"], &["0193", "--all"], &["--user", ""]] {
            assert!(revoke(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_test_message_goes_to_one_member_and_never_to_all() {
        let doctor = |to: &str| CommandLine::try_parse_from(["gongpai", "doctor", "--message-to", to]);
        for good in ["zhangsan", "Li.Si_2@corp", "1", "张三", "a+b"] {
            assert!(doctor(good).is_ok(), "{good}");
        }
        for bad in ["@all", "a|b", "", " ", "a b", &"x".repeat(65)] {
            assert!(doctor(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_secret_cannot_be_chosen() {
        let args = ["gongpai", "api-client", "add", "oa", "--scopes", "sessions", "--secret", "hunter2"];
        assert!(CommandLine::try_parse_from(args).is_err());
    }
}

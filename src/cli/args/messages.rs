//! The command line of `gongpai send` and `gongpai messages`.

use std::time::Duration;

use chrono::DateTime;
use clap::{ArgGroup, Args, Subcommand};

use super::{parse_duration, parse_userid};
use crate::base::clock::Timestamp;
use crate::message::MessageStatus;

/// `gongpai send …`
#[derive(Debug, Clone, Args)]
#[command(group = ArgGroup::new("what").required(true).multiple(false))]
pub struct SendArgs {
    /// Whom: USERID, unit:PATH, unit:wecom:ID, tag:NAME, tag:wecom:ID; may be said again
    ///
    /// A unit is everybody in it and in the units below it.
    #[arg(long, value_name = "WHOM", value_parser = parse_target, required_unless_present_any = ["all", "json"])]
    pub to: Vec<SendTarget>,
    /// Everybody who may see the application
    #[arg(long, conflicts_with = "to")]
    pub all: bool,
    /// A text; - is standard input
    #[arg(long, value_name = "TEXT", group = "what")]
    pub text: Option<String>,
    /// A text in WeCom's Markdown; - is standard input
    #[arg(long, value_name = "TEXT", group = "what")]
    pub markdown: Option<String>,
    /// A card with this title, which opens a page
    #[arg(long, value_name = "TITLE", group = "what", requires = "card_text", requires = "url")]
    pub card_title: Option<String>,
    /// What the card says
    #[arg(long, value_name = "TEXT", requires = "card_title")]
    pub card_text: Option<String>,
    /// What the card opens
    #[arg(long, requires = "card_title")]
    pub url: Option<String>,
    /// What the card's button says [default: 详情]
    #[arg(long, value_name = "TEXT", requires = "card_title")]
    pub button: Option<String>,
    /// The body of POST /api/v1/messages, of any kind; - is standard input
    #[arg(
        long,
        value_name = "FILE",
        group = "what",
        conflicts_with_all = ["to", "all", "expires", "truncate", "plain_links"]
    )]
    pub json: Option<String>,
    /// The same key with the same message sends it once, however often this is called
    #[arg(long)]
    pub key: Option<String>,
    /// Not sent any more after this long, or from then on: 30m, 2h, 3d, 2026-11-23T18:00:00+08:00
    #[arg(long, value_name = "TIME", value_parser = parse_expiry)]
    pub expires: Option<Expiry>,
    /// Cut what is too long for WeCom, instead of refusing it
    #[arg(long)]
    pub truncate: bool,
    /// Leave links to our hosts as they are; they then ask for a sign-in, and open for everybody
    /// who may see the page
    #[arg(long)]
    pub plain_links: bool,
    /// Wait until it is known what became of it; exit code 1 unless it was sent to everybody
    #[arg(long)]
    pub wait: bool,
}

/// When a message is no longer sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    After(Duration),
    At(Timestamp),
}

/// A recipient of a message: a person, a unit or a tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendTarget {
    User(String),
    /// A path, our id, or `wecom:ID`.
    Unit(String),
    /// A name, our id, or `wecom:ID`.
    Tag(String),
}

fn parse_target(text: &str) -> Result<SendTarget, String> {
    let (make, rest): (fn(String) -> SendTarget, &str) = match text.split_once(':') {
        Some(("unit", rest)) => (SendTarget::Unit, rest),
        Some(("tag", rest)) => (SendTarget::Tag, rest),
        Some(("user", rest)) => (SendTarget::User, rest),
        // A userid never contains a colon.
        Some(_) => return Err("write USERID, unit:PATH, unit:wecom:ID, tag:NAME or tag:wecom:ID".to_owned()),
        None => (SendTarget::User, text),
    };
    if rest.trim().is_empty() || rest.chars().any(char::is_control) {
        return Err("nobody is named".to_owned());
    }
    Ok(make(rest.to_owned()))
}

fn parse_expiry(text: &str) -> Result<Expiry, String> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Ok(Expiry::At(Timestamp::from_millis(instant.timestamp_millis())));
    }
    let span = parse_duration(text).filter(|span| !span.is_zero());
    span.map(Expiry::After).ok_or_else(|| "write 30m, 2h, 3d or 2026-11-23T18:00:00+08:00".to_owned())
}

/// `gongpai messages …`
#[derive(Debug, Clone, Subcommand)]
pub enum MessagesCommand {
    /// List messages, newest first (kept 30 days after their end)
    #[command(
        after_help = "Examples:\n  gongpai messages list --status failed\n  gongpai messages list --user lisi --json"
    )]
    List {
        /// accepted, sending, sent, partly_failed, failed, unknown, expired or recalled
        #[arg(long, value_parser = parse_status)]
        status: Option<MessageStatus>,
        /// For this userid, or this person by our id; what went to everybody is not listed
        #[arg(long, value_name = "USERID", value_parser = parse_userid)]
        user: Option<String>,
        /// Of this API client; "" is the command line
        #[arg(long, value_name = "ID")]
        client: Option<String>,
        /// How many
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
        limit: u32,
        /// One JSON object a line
        #[arg(long)]
        json: bool,
    },
    /// Tell what became of a message, for each recipient
    #[command(after_help = "Example:\n  gongpai messages show 0193b2c4-…")]
    Show {
        /// The message's id, as `send` and `messages list` print it
        id: String,
        /// As GET /api/v1/messages/{id} answers
        #[arg(long)]
        json: bool,
    },
    /// Try once more for recipients that were not reached
    ///
    /// Also for those of whom nobody knows whether they got it: they may get it twice. A message
    /// that is held back is sent at once, and if WeCom takes it, everything else follows. Exit code
    /// 1 if one of the messages could not be tried again; the others are.
    #[command(after_help = "Example:\n  gongpai messages retry 0193b2c4-…")]
    Retry {
        /// The messages' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
    /// Send what is held back now: what held it back is mended
    ///
    /// Without it Gongpai finds out by itself within a minute, or within ten once it has waited for
    /// ten minutes. One message goes first; if WeCom refuses it, all the others go on waiting, and
    /// `gongpai messages show` says why. Exit code 1 if messages are switched off.
    #[command(after_help = "Example:\n  gongpai messages resume")]
    Resume,
    /// Give messages up: whoever has not got one does not get it
    ///
    /// Exit code 1 if one of the messages had ended already; the others are given up.
    #[command(after_help = "Example:\n  gongpai messages bury 0193b2c4-… --reason 'sent by mistake'")]
    Bury {
        /// The messages' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
        /// Why, for whoever looks at it later
        #[arg(long, value_name = "TEXT", default_value = "no reason was given")]
        reason: String,
    },
    /// Take messages back: what waits is not sent, and WeCom takes back what it sent within 24
    /// hours
    ///
    /// All of them or none. Messages of one text that went out together are taken back together:
    /// name them all. Their links stop working at once.
    #[command(after_help = "Example:\n  gongpai messages recall 0193b2c4-…")]
    Recall {
        /// The messages' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

fn parse_status(text: &str) -> Result<MessageStatus, String> {
    MessageStatus::parse(text).ok_or_else(|| {
        let known: Vec<_> = MessageStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("there are {}", known.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::CommandLine as Line;

    fn send(rest: &[&str]) -> Result<Line, clap::Error> {
        Line::try_parse_from([&["gongpai", "send"], rest].concat())
    }

    #[test]
    fn whom_it_is_for_is_a_userid_a_unit_or_a_tag() {
        assert_eq!(parse_target("zhangsan"), Ok(SendTarget::User("zhangsan".to_owned())));
        assert_eq!(parse_target("unit:总部/财务部"), Ok(SendTarget::Unit("总部/财务部".to_owned())));
        assert_eq!(parse_target("unit:wecom:2"), Ok(SendTarget::Unit("wecom:2".to_owned())));
        assert_eq!(parse_target("tag:管理员"), Ok(SendTarget::Tag("管理员".to_owned())));
        for bad in ["", " ", "unit:", "tag: ", "wecom:2", "group:x", "a\u{7}"] {
            assert!(parse_target(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_message_says_one_thing_to_somebody() {
        for good in [
            &["--to", "a", "--text", "t"][..],
            &["--to", "a", "--to", "tag:t", "--markdown", "**m**", "--expires", "2h", "--key", "k", "--wait"],
            &[
                "--all",
                "--card-title",
                "t",
                "--card-text",
                "x",
                "--url",
                "https://oa.example.com/",
                "--button",
                "b",
            ],
            &["--json", "-", "--key", "k"],
        ] {
            assert!(send(good).is_ok(), "{good:?}: {:?}", send(good).err());
        }
        for bad in [
            &[][..],
            &["--text", "t"],
            &["--to", "a"],
            &["--to", "a", "--all", "--text", "t"],
            &["--to", "a", "--text", "t", "--markdown", "m"],
            &["--to", "a", "--card-title", "t", "--url", "https://oa.example.com/"],
            &["--to", "a", "--text", "t", "--url", "https://oa.example.com/"],
            &["--to", "a", "--json", "-"],
            &["--json", "-", "--truncate"],
            &["--to", "a", "--text", "t", "--expires", "soon"],
            &["--to", "a", "--text", "t", "--expires", "0s"],
        ] {
            assert!(send(bad).is_err(), "{bad:?}");
        }
    }
}

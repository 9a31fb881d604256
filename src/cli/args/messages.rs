//! The command line of `gongpai messages`.

use clap::Subcommand;

use super::userid;
use crate::message::Status;

/// `gongpai messages …`
#[derive(Debug, Clone, Subcommand)]
pub enum MessagesCommand {
    /// List messages, newest first (kept 30 days after their end)
    #[command(
        after_help = "Examples:\n  gongpai messages list --status failed\n  gongpai messages list --user lisi --json"
    )]
    List {
        /// accepted, sending, sent, partly_failed, failed, unknown, expired or recalled
        #[arg(long, value_parser = status)]
        status: Option<Status>,
        /// For this userid, or this person by our id; what went to everybody is not listed
        #[arg(long, value_name = "USERID", value_parser = userid)]
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
    /// Also for those of whom nobody knows whether they got it: they may get it twice. Exit code 1 if one of the messages
    /// could not be tried again; the others are.
    #[command(after_help = "Example:\n  gongpai messages retry 0193b2c4-…")]
    Retry {
        /// The messages' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
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
    /// Take messages back: what waits is not sent, and WeCom takes back what it sent within 24 hours
    ///
    /// All of them or none. Messages of one text that went out together are taken back together: name them all. Their
    /// links stop working at once.
    #[command(after_help = "Example:\n  gongpai messages recall 0193b2c4-…")]
    Recall {
        /// The messages' ids
        #[arg(required = true, value_name = "ID")]
        ids: Vec<String>,
    },
}

fn status(text: &str) -> Result<Status, String> {
    Status::parse(text).ok_or_else(|| {
        let known: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
        format!("there are {}", known.join(", "))
    })
}

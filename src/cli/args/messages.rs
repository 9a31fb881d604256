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
}

fn status(text: &str) -> Result<Status, String> {
    Status::parse(text).ok_or_else(|| {
        let known: Vec<_> = Status::ALL.iter().map(|status| status.as_str()).collect();
        format!("there are {}", known.join(", "))
    })
}

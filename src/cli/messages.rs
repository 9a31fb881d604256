//! `gongpai messages`: lists and shows messages, and retries, buries, recalls or resumes them.

use std::io::{self, Write};

use anyhow::{Context as _, bail};
use serde_json::json;

use super::{database, table};
use crate::api::dto::messages::MessageDto;
use crate::audit::Actor;
use crate::base::clock::{Clock, Timestamp};
use crate::base::id::{ClientId, MessageId};
use crate::config::Config;
use crate::db::Db;
use crate::message::commands::resume::ResumeReport;
use crate::message::commands::{CommandError, Requester};
use crate::message::reason::DeliveryReason;
use crate::message::state::HoldReason;
use crate::message::views::{
    self, DeliveryStatus, MAX_LISTED_MESSAGES, MessageFilter, MessageSummary, MessageView,
};
use crate::message::{MessageSettings, MessageStatus, Messages};
use crate::wecom;

/// The options of `gongpai messages list`.
#[derive(Debug, Clone)]
pub(crate) struct MessageListQuery {
    pub status: Option<MessageStatus>,
    /// A userid, or the id of a person.
    pub user: Option<String>,
    /// An API client; empty stands for the command line.
    pub client: Option<String>,
    pub limit: u32,
    /// Print one JSON object a line.
    pub json: bool,
}

/// Prints messages, newest first.
///
/// # Errors
/// If there is no database, it fails, or `out` cannot be written.
pub(crate) async fn list_messages(
    config: &Config,
    clock: &Clock,
    query: &MessageListQuery,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    let headings = ["ID", "ACCEPTED", "KIND", "FROM", "STATUS", "PENDING", "SENT", "FAILED", "REASON"];
    let mut table = table::Table::new(&headings);
    let (mut before, mut left) = (None, query.limit);
    while left > 0 {
        let filter = MessageFilter {
            status: query.status,
            userid: query.user.clone(),
            client: query.client.as_deref().map(ClientId::new),
            before,
            // A page of the query has a limit of its own; `--limit` may be larger.
            limit: left.min(MAX_LISTED_MESSAGES),
        };
        let page = views::list_messages(&db, &config.wecom.corp_id, &filter, clock.now()).await?;
        let Some(last) = page.last() else { break };
        before = Some(last.internals.seq);
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        for message in page {
            if query.json {
                writeln!(out, "{}", table::to_json_line(&message_json(&message))?)?;
            } else {
                table.push(message_cells(&message, config.time_zone));
            }
        }
    }
    db.close().await;
    // `before` is set by the first page that has a row.
    if !query.json && before.is_none() {
        writeln!(out, "there is no such message; they are kept 30 days after their end")?;
    } else if !query.json {
        table.write(out)?;
    }
    Ok(())
}

fn message_cells(message: &MessageSummary, zone: chrono_tz::Tz) -> [String; 9] {
    let counts = message.internals.counts;
    [
        message.id.as_str().to_owned(),
        table::format_local_time(message.created_at, zone),
        message.internals.kind.as_str().to_owned(),
        format_sender(&message.internals.client),
        message.status.as_str().to_owned(),
        counts.pending.to_string(),
        counts.sent.to_string(),
        counts.failed.to_string(),
        message.reason.as_ref().map(ToString::to_string).unwrap_or_default(),
    ]
}

fn message_json(message: &MessageSummary) -> serde_json::Value {
    json!({
        "id": message.id,
        "status": message.status,
        "kind": message.internals.kind,
        "client": message.internals.client,
        "recipients": message.internals.counts,
        "reason": message.reason,
        "attempts": message.attempts,
        "created_at": message.created_at,
        "updated_at": message.updated_at,
        "expires_at": message.internals.expires_at,
        "finished_at": message.internals.finished_at,
    })
}

fn format_sender(client: &ClientId) -> String {
    if client.as_str().is_empty() { "command line".to_owned() } else { client.as_str().to_owned() }
}

/// Prints the state of one message; with `json` as `GET /api/v1/messages/{id}` answers.
///
/// # Errors
/// If there is no database or no such message, it fails, or `out` cannot be written.
pub(crate) async fn show_message(
    config: &Config,
    clock: &Clock,
    id: &str,
    json: bool,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let db = database::open_existing(config).await?;
    let found = views::find_message(&db, &config.wecom.corp_id, &MessageId::new(id), clock.now()).await;
    db.close().await;
    let Some(shown) = found? else { bail!(unknown_message_text(id)) };
    if json {
        writeln!(out, "{}", table::to_json_line(&MessageDto::from(shown))?)?;
    } else {
        print_message(&shown, config.time_zone, out)?;
    }
    Ok(())
}

/// Returns the error for an id that no message has.
pub(super) fn unknown_message_text(id: &str) -> String {
    format!(
        "there is no message {}: `gongpai messages list` lists them; they are kept 30 days after their end",
        table::to_printable(id)
    )
}

/// Prints a message for people: its fields, then its recipients, failed ones first; reasons in both
/// languages.
pub(super) fn print_message(shown: &MessageView, zone: chrono_tz::Tz, out: &mut dyn Write) -> io::Result<()> {
    let more = &shown.internals;
    let reason = shown.reason.as_ref().map(DeliveryReason::describe);
    let instant = |at: Option<Timestamp>| at.map(|at| table::format_local_time(at, zone));
    let fields = [
        ("message", Some(shown.id.as_str().to_owned())),
        ("status", Some(shown.status.as_str().to_owned())),
        ("reason", reason.as_ref().map(|text| text.zh.to_string())),
        ("", reason.as_ref().map(|text| text.en.to_string())),
        ("kind", Some(more.kind.as_str().to_owned())),
        ("from", Some(format_sender(&more.client))),
        ("attempts", Some(shown.attempts.to_string())),
        ("accepted", instant(Some(shown.created_at))),
        ("expires", instant(more.expires_at)),
        ("finished", instant(more.finished_at)),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            writeln!(out, "{name:<9} {}", table::to_printable(&value))?;
        }
    }
    writeln!(out)?;
    // Only a gateway resolves units, and the reader must know why the list is short.
    if !more.expanded {
        writeln!(out, "Units and tags are not resolved yet; a gateway that runs (`gongpai serve`) does it.")?;
    }
    if shown.recipients.is_empty() {
        return Ok(());
    }
    let mut table = table::Table::new(&["USERID", "STATUS", "REASON"]);
    for fate in [DeliveryStatus::Failed, DeliveryStatus::Pending, DeliveryStatus::Sent] {
        for recipient in shown.recipients.iter().filter(|recipient| recipient.status == fate) {
            let reason = recipient.reason.as_ref().map(DeliveryReason::describe);
            let reason = reason.map(|text| format!("{} / {}", text.zh, text.en)).unwrap_or_default();
            table.push([recipient.userid.clone(), fate.as_str().to_owned(), reason]);
        }
    }
    table.write(out)?;
    let counts = more.counts;
    let all = counts.pending.saturating_add(counts.sent).saturating_add(counts.failed);
    let told = i64::try_from(shown.recipients.len()).unwrap_or(i64::MAX);
    // Not every recipient is loaded, but the counts cover them all.
    if all > told {
        writeln!(
            out,
            "and {} more: in all {} pending, {} sent, {} failed",
            all.saturating_sub(told),
            counts.pending,
            counts.sent,
            counts.failed
        )?;
    }
    Ok(())
}

/// What an administrator can do to messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum MessageAction {
    Retry,
    /// Gives the message up; the text is the reason.
    Bury(String),
    Recall,
}

/// Applies an action to messages and prints the result of each.
///
/// Returns `false` (exit code 1) if it failed for any of them.
///
/// # Errors
/// If there is no database, or it fails. What has been printed by then is done.
pub(crate) async fn apply_action(
    config: &Config,
    clock: &Clock,
    ids: &[String],
    action: &MessageAction,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let db = database::open_existing(config).await?;
    let steered = apply_action_to_each(config, clock, &db, ids, action, out).await;
    db.close().await;
    steered
}

async fn apply_action_to_each(
    config: &Config,
    clock: &Clock,
    db: &Db,
    ids: &[String],
    action: &MessageAction,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let messages = open_messages(config, clock, db)?;
    let ids: Vec<_> = ids.iter().map(|id| MessageId::new(id.as_str())).collect();
    // A recall is all or nothing, so it is one call; the other actions go one by one.
    if *action == MessageAction::Recall {
        return match messages.recall(&ids, command_line_actor()).await {
            Ok(()) => {
                for id in &ids {
                    writeln!(
                        out,
                        "{}: is taken back; `gongpai messages show` tells whether WeCom did",
                        table::to_printable(id.as_str())
                    )?;
                }
                Ok(true)
            }
            Err(CommandError::Store(error)) => Err(error).context("nothing was taken back"),
            Err(why) => {
                writeln!(out, "nothing was taken back: {}", table::to_printable(&why.to_string()))?;
                Ok(false)
            }
        };
    }
    let mut well = true;
    for id in &ids {
        let (done, said) = match action {
            MessageAction::Bury(reason) => {
                (messages.bury(id, reason, command_line_actor()).await, "is given up")
            }
            MessageAction::Retry | MessageAction::Recall => {
                (messages.retry(id, command_line_actor()).await, "is tried again")
            }
        };
        let id = table::to_printable(id.as_str());
        match done {
            Ok(()) => writeln!(out, "{id}: {said}")?,
            Err(CommandError::Store(error)) => {
                return Err(error).with_context(|| format!("nothing was done to {id} and those after it"));
            }
            Err(why) => {
                well = false;
                writeln!(out, "{}", table::to_printable(&why.to_string()))?;
            }
        }
    }
    Ok(well)
}

/// Ends a hold, and prints how many messages waited and why.
///
/// Returns `false` (exit code 1) if nothing can be sent because messages are switched off.
///
/// # Errors
/// If there is no database, or it fails.
pub(crate) async fn resume_sending(
    config: &Config,
    clock: &Clock,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    if let Some(why) = MessageSettings::from(config).unavailable {
        writeln!(out, "nothing is sent: {why}")?;
        return Ok(false);
    }
    let db = database::open_existing(config).await?;
    let resumed = match open_messages(config, clock, &db) {
        Ok(messages) => messages.resume(command_line_actor()).await.context("nothing was changed"),
        Err(error) => Err(error),
    };
    db.close().await;
    print_resumed(&resumed?, config.time_zone, out)?;
    Ok(true)
}

fn print_resumed(resumed: &ResumeReport, zone: chrono_tz::Tz, out: &mut dyn Write) -> io::Result<()> {
    let wait = match resumed.waiting {
        0 => "no message waits".to_owned(),
        1 => "1 message waits".to_owned(),
        n => format!("{n} messages wait"),
    };
    let Some(hold) = &resumed.hold else {
        writeln!(out, "{wait}; nothing held them all back")?;
        return Ok(());
    };
    writeln!(out, "{wait}; nothing could be sent since {}", table::format_local_time(hold.since, zone))?;
    let why = hold.describe();
    writeln!(out, "why: {}", table::to_printable(&why.zh))?;
    writeln!(out, "     {}", table::to_printable(&why.en))?;
    match hold.code {
        HoldReason::DailyLimit => {
            writeln!(out, "Until tomorrow that stays so, and nothing here can lift it.")
        }
        HoldReason::NeedsAdministrator | HoldReason::CallLimit => writeln!(
            out,
            "A gateway that runs (`gongpai serve`) sends them within seconds. If WeCom refuses again, they wait, and \
             `gongpai messages list` says why."
        ),
    }
}

fn command_line_actor() -> Requester {
    Requester { actor: Actor::Cli, ..Requester::default() }
}

/// Opens the messages of this installation. It makes no call to WeCom.
pub(super) fn open_messages(config: &Config, clock: &Clock, db: &Db) -> anyhow::Result<Messages> {
    let client = wecom::WecomClient::new(config.into(), clock.clone())?;
    Ok(Messages::new(config.into(), db.clone(), clock.clone(), client))
}

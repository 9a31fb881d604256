//! Looking at messages: what became of one, and which there are.
//!
//! What is shown is read from the rows at the moment it is asked for. `sending` is in no table: it is an accepted
//! message of which a recipient has had a call, or had one tried.

mod store;

use std::collections::HashSet;

use serde::Serialize;

use super::{Addressee, MessageKind, MessageStatus, MessageTargets, Messages};
use crate::base::clock::Timestamp;
use crate::base::id::{ClientId, CorpId, MessageId};
use crate::db::Db;

/// The most recipients that a message is shown with; [`Counts`] counts all of them.
pub const MAX_SHOWN_RECIPIENTS: usize = 10_000;

/// The most messages that one list has.
pub const MAX_LISTED_MESSAGES: u32 = 500;

/// A message as `GET /api/v1/messages/{id}` answers it (DESIGN §4.1), and what commands tell beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// What became of it.
    pub status: MessageStatus,
    /// Who gets it, by userid; at most [`MOST_RECIPIENTS`]. Units and tags appear once they are resolved, which is a
    /// moment after the message was accepted.
    pub recipients: Vec<RecipientView>,
    /// What recipients tapped: always empty, no kind of this version asks for anything.
    pub interactions: [(); 0],
    /// Why it failed, or why nothing is sent at the moment.
    pub reason: Option<String>,
    /// How often WeCom was asked: the most attempts of its calls.
    pub attempts: i64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// What the API does not tell.
    #[serde(skip)]
    pub internals: MessageInternals,
}

/// What the API does not tell of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInternals {
    /// Who sent it: an API client, or the command line, whose id is empty.
    pub client: ClientId,
    /// What kind it is.
    pub kind: MessageKind,
    /// How many recipients it has, and how they fared.
    pub counts: RecipientCounts,
    /// Whether everybody whom it is for is known by now.
    pub expanded: bool,
    /// When it is not sent any more.
    pub expires_at: Option<Timestamp>,
    /// When it came to its end.
    pub finished_at: Option<Timestamp>,
    /// Where it is in the order of acceptance; [`Filter::before`] takes it.
    pub seq: i64,
}

/// Recipients by how they fared; whoever is not written yet counts as pending where a name is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RecipientCounts {
    /// They wait, or their call is being made.
    pub pending: i64,
    /// WeCom took it for them.
    pub sent: i64,
    /// It did not, or nobody knows whether it did.
    pub failed: i64,
}

/// One recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RecipientView {
    /// The userid, `@all` for everybody.
    pub userid: String,
    /// How it fared.
    pub status: DeliveryStatus,
    /// Why it failed.
    pub reason: Option<String>,
}

/// How a recipient fared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Waits, or the call is being made.
    Pending,
    /// WeCom took it.
    Sent,
    /// WeCom refused it, it was given up, or nobody knows.
    Failed,
}

impl DeliveryStatus {
    /// As the API writes it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// One message of a list: without its recipients, with their numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSummary {
    /// Its id.
    pub id: MessageId,
    /// What became of it.
    pub status: MessageStatus,
    /// Why, as in [`Shown`].
    pub reason: Option<String>,
    /// As in [`Shown`].
    pub attempts: i64,
    /// When it was accepted.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// The rest.
    pub internals: MessageInternals,
}

/// Which messages to list, newest first.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    /// With this status only.
    pub status: Option<MessageStatus>,
    /// For this person only: a userid, whatever its case, or our id of the person. What went to everybody (`@all`) is
    /// not listed.
    pub userid: Option<String>,
    /// Of this API client only; the command line's id is empty.
    pub client: Option<ClientId>,
    /// Accepted before the message with this [`More::seq`].
    pub before: Option<i64>,
    /// How many; at most [`MOST_MESSAGES`], which 0 means too.
    pub limit: u32,
}

impl Messages {
    /// What became of a message; `None` if there is none of that id (they are forgotten 30 days after their end).
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, id: &MessageId) -> sqlx::Result<Option<MessageView>> {
        find_message(&self.0.db, &self.0.settings.corp, id, self.0.clock.now()).await
    }

    /// The messages of `filter`, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list(&self, filter: MessageFilter) -> sqlx::Result<Vec<MessageSummary>> {
        list_messages(&self.0.db, &self.0.settings.corp, &filter, self.0.clock.now()).await
    }
}

/// As [`Messages::find`], for a command that needs no way to WeCom.
///
/// # Errors
/// If the database fails.
pub async fn find_message(
    db: &Db,
    corp: &CorpId,
    id: &MessageId,
    now: Timestamp,
) -> sqlx::Result<Option<MessageView>> {
    let Some(row) = store::find_message_row(db, corp, id).await? else { return Ok(None) };
    let rows = store::list_recipient_rows(db, id, MAX_SHOWN_RECIPIENTS).await?;
    let (listed, targets) = interpret_row(row, now);
    let written: HashSet<String> = rows.iter().map(|row| row.member.clone()).collect();
    let mut recipients: Vec<_> = rows.into_iter().map(recipient_view).collect();
    if !listed.internals.expanded {
        recipients.extend(pending_recipients(&targets, &written));
        recipients.truncate(MAX_SHOWN_RECIPIENTS);
    }
    // The same order before and after they are written, whatever the database's.
    recipients.sort_by(|one, other| one.userid.cmp(&other.userid));
    Ok(Some(MessageView {
        id: listed.id,
        status: listed.status,
        recipients,
        interactions: [],
        reason: listed.reason,
        attempts: listed.attempts,
        created_at: listed.created_at,
        updated_at: listed.updated_at,
        internals: listed.internals,
    }))
}

/// As [`Messages::list`], for a command that needs no way to WeCom.
///
/// # Errors
/// If the database fails.
pub async fn list_messages(
    db: &Db,
    corp: &CorpId,
    filter: &MessageFilter,
    now: Timestamp,
) -> sqlx::Result<Vec<MessageSummary>> {
    let rows = store::list_message_rows(db, corp, filter).await?;
    Ok(rows.into_iter().map(|row| interpret_row(row, now).0).collect())
}

/// What a row means now.
fn interpret_row(row: store::MessageRow, now: Timestamp) -> (MessageSummary, MessageTargets) {
    let open = row.finished_at.is_none();
    let status = if open && row.status == MessageStatus::Accepted && row.begun {
        MessageStatus::Sending
    } else {
        row.status
    };
    let held = row.hold.filter(|hold| open && hold.until > now && !hold.reason.is_empty());
    let reason = held.map_or(row.reason, |hold| hold.reason);
    let mut counts = row.counts;
    let expanded = row.expanded;
    if !expanded {
        let named = row.targets.users.len().saturating_add(usize::from(row.targets.all));
        let written = counts.pending.saturating_add(counts.sent).saturating_add(counts.failed);
        let awaited = i64::try_from(named).unwrap_or(i64::MAX).saturating_sub(written).max(0);
        counts.pending = counts.pending.saturating_add(awaited);
    }
    let listed = MessageSummary {
        id: row.id,
        status,
        reason: (!reason.is_empty()).then_some(reason),
        attempts: row.attempts,
        created_at: row.created_at,
        updated_at: row.updated_at,
        internals: MessageInternals {
            client: row.client,
            kind: row.kind,
            counts,
            expanded,
            expires_at: row.expires_at,
            finished_at: row.finished_at,
            seq: row.seq,
        },
    };
    (listed, row.targets)
}

/// Whom a message names and who has no row yet.
fn pending_recipients<'t>(
    targets: &'t MessageTargets,
    written: &'t HashSet<String>,
) -> impl Iterator<Item = RecipientView> + 't {
    let users = targets.users.iter().map(|(userid, person)| {
        (Addressee::from_userid(userid, person.as_ref()).key(), userid.as_str().to_owned())
    });
    let all = targets.all.then(|| (Addressee::All.key(), Addressee::ALL.to_owned()));
    users.chain(all).filter(|(member, _)| !written.contains(member)).map(|(_, userid)| RecipientView {
        userid,
        status: DeliveryStatus::Pending,
        reason: None,
    })
}

fn recipient_view(row: store::RecipientRow) -> RecipientView {
    let reason = match (row.status, row.reason) {
        (store::RecipientStatus::Unknown, reason) if reason.is_empty() => {
            Some(UNKNOWN_OUTCOME_REASON.to_owned())
        }
        (store::RecipientStatus::Unknown, reason) => Some(format!("{UNKNOWN_OUTCOME_REASON} {reason}")),
        (_, reason) => (!reason.is_empty()).then_some(reason),
    };
    RecipientView { userid: row.userid, status: row.status.delivery_status(), reason }
}

/// What an unknown outcome means for whoever reads it.
const UNKNOWN_OUTCOME_REASON: &str = "Nobody knows whether WeCom took it; it may have arrived.";

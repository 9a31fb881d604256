//! Views of messages: the status of one, and lists.
//!
//! Everything is read from the rows when it is asked for. `sending` is in no table: it is an
//! accepted message that has a recipient whose call was made or tried.

pub(super) mod store;

use std::collections::HashSet;

use serde::Serialize;

use super::reason::{DeliveryReason, SendHold};
use super::state::{FailureReason, RecipientStatus};
use super::{Addressee, MessageKind, MessageStatus, MessageTargets, Messages};
use crate::base::clock::Timestamp;
use crate::base::id::{ClientId, CorpId, MessageId};
use crate::db::Db;

/// The most recipients that a view lists; [`RecipientCounts`] counts all of them.
pub(crate) const MAX_SHOWN_RECIPIENTS: usize = 10_000;

/// The most messages of one list.
pub(crate) const MAX_LISTED_MESSAGES: u32 = 500;

/// A message as `GET /api/v1/messages/{id}` shows it ([design: API
/// shapes](crate::design#api-shapes)), and what only commands show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    pub id: MessageId,
    pub status: MessageStatus,
    /// The recipients by userid, at most [`MAX_SHOWN_RECIPIENTS`]. Members of units and tags appear
    /// once these are resolved, a moment after acceptance.
    pub recipients: Vec<RecipientView>,
    /// Why it failed, or why nothing is sent at the moment.
    pub reason: Option<DeliveryReason>,
    /// The most attempts of any of its calls.
    pub attempts: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    /// What the API does not show.
    pub internals: MessageInternals,
}

/// What the API does not show of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageInternals {
    /// The API client that sent it; empty for the command line.
    pub client: ClientId,
    pub kind: MessageKind,
    pub counts: RecipientCounts,
    /// Whether all recipients are known by now.
    pub expanded: bool,
    pub expires_at: Option<Timestamp>,
    pub finished_at: Option<Timestamp>,
    /// The position in the order of acceptance, for [`MessageFilter::before`].
    pub seq: i64,
}

/// Recipients by their delivery status. A recipient that has no row yet counts as pending if its
/// userid is known.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct RecipientCounts {
    /// They wait, or their call is in progress.
    pub pending: i64,
    /// WeCom took the message for them.
    pub sent: i64,
    /// WeCom did not take it for them, or the outcome is not known.
    pub failed: i64,
}

/// One recipient of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecipientView {
    /// The userid; `@all` for everybody.
    pub userid: String,
    pub status: DeliveryStatus,
    /// Why it failed.
    pub reason: Option<DeliveryReason>,
}

/// The status of one recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeliveryStatus {
    /// The recipient waits, or the call is in progress.
    Pending,
    /// WeCom took the message.
    Sent,
    /// WeCom refused it, it was given up, or the outcome is not known.
    Failed,
}

impl From<RecipientStatus> for DeliveryStatus {
    fn from(status: RecipientStatus) -> Self {
        match status {
            RecipientStatus::Pending | RecipientStatus::Calling => Self::Pending,
            RecipientStatus::Sent => Self::Sent,
            RecipientStatus::Failed | RecipientStatus::Unknown => Self::Failed,
        }
    }
}

impl DeliveryStatus {
    pub const ALL: [Self; 3] = [Self::Pending, Self::Sent, Self::Failed];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Sent => "sent",
            Self::Failed => "failed",
        }
    }
}

/// One message of a list: without its recipients, but with their counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageSummary {
    pub id: MessageId,
    pub status: MessageStatus,
    /// As [`MessageView::reason`].
    pub reason: Option<DeliveryReason>,
    /// As [`MessageView::attempts`].
    pub attempts: i64,
    pub created_at: Timestamp,
    pub updated_at: Timestamp,
    pub internals: MessageInternals,
}

/// Selects messages of a list, newest first.
#[derive(Debug, Clone, Default)]
pub struct MessageFilter {
    pub status: Option<MessageStatus>,
    /// Only for this person: a userid in any case, or our id of the person. Messages to everybody
    /// (`@all`) are left out.
    pub userid: Option<String>,
    /// Only of this API client; empty for the command line.
    pub client: Option<ClientId>,
    /// Only messages accepted before the one with this [`MessageInternals::seq`].
    pub before: Option<i64>,
    /// The most messages to list; at most [`MAX_LISTED_MESSAGES`], which 0 means too.
    pub limit: u32,
}

impl Messages {
    /// Returns a message; `None` if there is none with that id. Messages are deleted 30 days after
    /// their end.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn find(&self, id: &MessageId) -> sqlx::Result<Option<MessageView>> {
        find_message(&self.0.db, &self.0.settings.corp, id, self.0.clock.now()).await
    }

    /// Returns the messages of `filter`, newest first.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn list(&self, filter: MessageFilter) -> sqlx::Result<Vec<MessageSummary>> {
        list_messages(&self.0.db, &self.0.settings.corp, &filter, self.0.clock.now()).await
    }
}

/// As [`Messages::find`], for commands that have no WeCom client.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_message(
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
    // The order must not change when their rows are written, nor depend on the database's
    // collation.
    recipients.sort_by(|one, other| one.userid.cmp(&other.userid));
    Ok(Some(MessageView {
        id: listed.id,
        status: listed.status,
        recipients,
        reason: listed.reason,
        attempts: listed.attempts,
        created_at: listed.created_at,
        updated_at: listed.updated_at,
        internals: listed.internals,
    }))
}

/// As [`Messages::list`], for commands that have no WeCom client.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_messages(
    db: &Db,
    corp: &CorpId,
    filter: &MessageFilter,
    now: Timestamp,
) -> sqlx::Result<Vec<MessageSummary>> {
    let rows = store::list_message_rows(db, corp, filter).await?;
    Ok(rows.into_iter().map(|row| interpret_row(row, now).0).collect())
}

/// Derives the summary of a message from its row.
fn interpret_row(row: store::MessageRow, now: Timestamp) -> (MessageSummary, MessageTargets) {
    let (is_open, is_expanded) = (row.finished_at.is_none(), row.expanded_at.is_some());
    let (tally, targets) = (row.tally, row.targets.0);
    // Between the end of its last recipient and its own an open message is `accepted` or `sending`
    // too.
    let status = if is_open { tally.message_status(false, row.recall_at.is_some()) } else { row.status };
    let is_held = is_open && row.hold_until.is_some_and(|until| until > now);
    let held_for = row.hold.into_hold().filter(|_| is_held).as_ref().and_then(SendHold::reason);
    let mut counts = RecipientCounts {
        pending: tally.open(),
        sent: tally.sent,
        failed: tally.failed.saturating_add(tally.unknown),
    };
    if !is_expanded {
        let named = targets.users.len().saturating_add(usize::from(targets.all));
        let written = counts.pending.saturating_add(counts.sent).saturating_add(counts.failed);
        let awaited = i64::try_from(named).unwrap_or(i64::MAX).saturating_sub(written).max(0);
        counts.pending = counts.pending.saturating_add(awaited);
    }
    let listed = MessageSummary {
        id: row.id,
        status,
        reason: held_for.or_else(|| row.reason.into_reason()),
        attempts: row.attempts,
        created_at: row.created_at,
        updated_at: row.updated_at,
        internals: MessageInternals {
            client: row.client_id,
            kind: row.kind,
            counts,
            expanded: is_expanded,
            expires_at: row.expires_at,
            finished_at: row.finished_at,
            seq: row.seq,
        },
    };
    (listed, targets)
}

/// Returns the named recipients that have no row yet.
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
    let reason = row.reason.into_reason();
    let reason = match (row.status, reason) {
        (RecipientStatus::Unknown, None) => Some(FailureReason::OutcomeUnknown.into()),
        (RecipientStatus::Unknown, Some(cause)) => {
            Some(DeliveryReason::because(FailureReason::OutcomeUnknown, cause))
        }
        (_, reason) => reason,
    };
    RecipientView { userid: row.userid, status: row.status.into(), reason }
}

//! The states of messages, recipients, calls, recalls and of the send window, and the codes of
//! their reasons. Every word of a column `status`, `reason_code` or `hold_code` stands here once.
//!
//! # Transitions
//!
//! | of | from | to | when |
//! |---|---|---|---|
//! | message | – | accepted | it is on disk |
//! | | accepted | sent, partly_failed, failed, unknown, expired, recalled | no recipient is open any more ([`RecipientTally::message_status`]) |
//! | | accepted | failed, expired, recalled | it has no recipient at all, and gets none |
//! | | sent, partly_failed, unknown | recalled | WeCom took back every call that carried it |
//! | | unknown | accepted | an answer arrives after all |
//! | | partly_failed, failed, unknown, expired | accepted | somebody retries it |
//! | recipient | – | pending | its message is expanded |
//! | | pending | calling | it is planned into a call |
//! | | pending | failed | it cannot be addressed, or the message is no longer to be sent |
//! | | calling | pending | the call surely did nothing, and is dissolved or split |
//! | | calling | sent, failed, unknown | its call ends ([`RecipientStatus::from_call`]) |
//! | | unknown | sent, failed | an answer arrives after all |
//! | | failed, unknown | pending | somebody retries it |
//! | call | – | due | it is planned |
//! | | due | calling | a process leases it |
//! | | calling | due | it is to be made again |
//! | | due, calling | sent | WeCom took it: the bytes of every attempt are the same |
//! | | calling | failed, unknown | WeCom refused it, or nobody can know any more |
//! | | due | failed | it was surely not made, and its message is no longer to be sent |
//! | | unknown | sent | an answer arrives after all |
//! | recall | – | due | all messages of a call that WeCom took are to be recalled |
//! | | due | calling | a process leases it |
//! | | calling | due, done, failed | it is to be made again, or WeCom answered |
//! | | failed | due | somebody asks again |
//!
//! A message is shown as `sending` while it is `accepted` and any recipient's call was made or
//! tried; no row says so.

use serde::{Deserialize, Serialize};
use sqlx::FromRow;

use crate::db::types::column_enum;

column_enum! {
    /// The status of a message.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum MessageStatus {
        /// The message is on disk.
        Accepted = "accepted",
        /// Some recipients have had their call, or it is in progress. Only shown: the row says
        /// `accepted`.
        Sending = "sending",
        /// WeCom took it for every recipient.
        Sent = "sent",
        /// WeCom took it for some recipients.
        PartlyFailed = "partly_failed",
        /// WeCom took it for no recipient.
        Failed = "failed",
        /// For at least one recipient the outcome is not known: it may have arrived.
        Unknown = "unknown",
        /// `expires_at` passed before it reached anybody.
        Expired = "expired",
        /// It was recalled.
        Recalled = "recalled",
    }
}

column_enum! {
    /// The status of one recipient of a message.
    pub(crate) enum RecipientStatus {
        /// It waits for its turn.
        Pending = "pending",
        /// It is in a call that has not ended.
        Calling = "calling",
        /// WeCom took the message.
        Sent = "sent",
        /// WeCom did not take the message, and it is not tried again.
        Failed = "failed",
        /// Nobody knows whether WeCom took it.
        Unknown = "unknown",
    }
}

column_enum! {
    /// The status of a call of message/send.
    pub(crate) enum CallStatus {
        /// It waits to be made, for the first time or again.
        Due = "due",
        /// A process makes it.
        Calling = "calling",
        /// WeCom took it.
        Sent = "sent",
        /// It reached nobody and is not made again.
        Failed = "failed",
        /// It may have reached everybody and is not made again.
        Unknown = "unknown",
    }
}

column_enum! {
    /// The status of the recall of a call.
    pub(crate) enum RecallStatus {
        /// It waits to be made, for the first time or again.
        Due = "due",
        /// A process makes it.
        Calling = "calling",
        /// WeCom took the call back.
        Done = "done",
        /// WeCom did not take it back, and it is not asked again.
        Failed = "failed",
    }
}

column_enum! {
    /// Why nothing can be sent for a while.
    pub enum HoldReason {
        /// An administrator has to mend something.
        NeedsAdministrator = "needs_administrator",
        /// WeCom's limit of calls is reached.
        CallLimit = "call_limit",
        /// Our own limit of recipients a day is reached. It does not hold recalls, which have none.
        DailyLimit = "daily_limit",
    }
}

column_enum! {
    /// Why a recipient, a call, a recall or a message is as it is.
    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    pub enum FailureReason {
        /// The person has left the corporation.
        PersonLeft = "person_left",
        /// The person has no WeCom account.
        NoAccount = "no_account",
        /// The userid would mean somebody else in a list of recipients.
        Unaddressable = "unaddressable",
        /// WeCom does not know the userid, or the application may not send to it.
        InvalidUserid = "invalid_userid",
        /// The account has no licence for WeCom's API.
        Unlicensed = "unlicensed",
        /// The units and tags of the message have no member.
        NoRecipients = "no_recipients",
        /// `expires_at` passed.
        Expired = "expired",
        /// It was recalled before it was sent.
        Recalled = "recalled",
        /// It was tried for as long as a message is tried.
        RetryPeriodOver = "retry_period_over",
        /// [`HoldReason::DailyLimit`] lasted until it was no longer tried.
        DailyLimit = "daily_limit",
        /// Somebody gave it up.
        Buried = "buried",
        /// WeCom refused the call.
        Refused = "refused",
        /// WeCom did not answer in time.
        Timeout = "timeout",
        /// There was no usable connection, or a server error.
        Unreachable = "unreachable",
        /// The answer was none that WeCom documents.
        Unreadable = "unreadable",
        /// No access token is asked for, because WeCom refused one.
        BackingOff = "backing_off",
        /// A secret is not configured.
        NoSecret = "no_secret",
        /// The answer was lost, and it is too late to ask again.
        AnswerLost = "answer_lost",
        /// The outcome is not known. Only shown, before the reason that the row has.
        OutcomeUnknown = "outcome_unknown",
        /// WeCom did not take it back.
        NotRecalled = "not_recalled",
        /// WeCom took one of possibly two copies back.
        CopyMayRemain = "copy_may_remain",
    }
}

/// The words of these states, for statements: `status = '{RECIPIENT_PENDING}'`.
pub(super) mod words {
    use super::{CallStatus, FailureReason, MessageStatus, RecallStatus, RecipientStatus};

    pub(in crate::message) const MESSAGE_ACCEPTED: &str = MessageStatus::Accepted.as_str();
    pub(in crate::message) const MESSAGE_SENT: &str = MessageStatus::Sent.as_str();
    pub(in crate::message) const MESSAGE_PARTLY_FAILED: &str = MessageStatus::PartlyFailed.as_str();
    pub(in crate::message) const MESSAGE_FAILED: &str = MessageStatus::Failed.as_str();
    pub(in crate::message) const MESSAGE_UNKNOWN: &str = MessageStatus::Unknown.as_str();
    pub(in crate::message) const MESSAGE_EXPIRED: &str = MessageStatus::Expired.as_str();
    pub(in crate::message) const MESSAGE_RECALLED: &str = MessageStatus::Recalled.as_str();
    pub(in crate::message) const RECIPIENT_PENDING: &str = RecipientStatus::Pending.as_str();
    pub(in crate::message) const RECIPIENT_CALLING: &str = RecipientStatus::Calling.as_str();
    pub(in crate::message) const RECIPIENT_SENT: &str = RecipientStatus::Sent.as_str();
    pub(in crate::message) const RECIPIENT_FAILED: &str = RecipientStatus::Failed.as_str();
    pub(in crate::message) const RECIPIENT_UNKNOWN: &str = RecipientStatus::Unknown.as_str();
    pub(in crate::message) const CALL_DUE: &str = CallStatus::Due.as_str();
    pub(in crate::message) const CALL_CALLING: &str = CallStatus::Calling.as_str();
    pub(in crate::message) const CALL_SENT: &str = CallStatus::Sent.as_str();
    pub(in crate::message) const CALL_FAILED: &str = CallStatus::Failed.as_str();
    pub(in crate::message) const CALL_UNKNOWN: &str = CallStatus::Unknown.as_str();
    pub(in crate::message) const RECALL_DUE: &str = RecallStatus::Due.as_str();
    pub(in crate::message) const RECALL_CALLING: &str = RecallStatus::Calling.as_str();
    pub(in crate::message) const RECALL_DONE: &str = RecallStatus::Done.as_str();
    pub(in crate::message) const RECALL_FAILED: &str = RecallStatus::Failed.as_str();
    pub(in crate::message) const REASON_EXPIRED: &str = FailureReason::Expired.as_str();
}

impl RecipientStatus {
    /// Returns what a call that ends so, or is open, makes of its recipients.
    pub(super) const fn from_call(call: CallStatus) -> Self {
        match call {
            CallStatus::Due | CallStatus::Calling => Self::Calling,
            CallStatus::Sent => Self::Sent,
            CallStatus::Failed => Self::Failed,
            CallStatus::Unknown => Self::Unknown,
        }
    }
}

/// How many recipients of a message are in which state.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, FromRow)]
pub struct RecipientTally {
    pub pending: i64,
    pub calling: i64,
    pub sent: i64,
    pub failed: i64,
    pub unknown: i64,
    /// Those that failed because the message expired.
    pub expired: i64,
    /// Those that WeCom took the message for or may have, and whose call it has not certainly taken
    /// back.
    pub kept: i64,
    /// Open ones whose call was made or tried.
    pub tried: i64,
}

impl RecipientTally {
    pub(super) const fn open(&self) -> i64 {
        self.pending.saturating_add(self.calling)
    }

    /// Returns the status of a message with these recipients.
    ///
    /// `is_expanded`: no more of them come; `is_recalled`: somebody asked to recall it. The store's
    /// statement that ends messages says the same, and a test compares them.
    pub fn message_status(&self, is_expanded: bool, is_recalled: bool) -> MessageStatus {
        let ended = self.sent > 0 || self.failed > 0 || self.unknown > 0;
        if self.open() > 0 || !is_expanded {
            if ended || self.tried > 0 { MessageStatus::Sending } else { MessageStatus::Accepted }
        } else if is_recalled && self.kept == 0 {
            MessageStatus::Recalled
        } else if self.unknown > 0 {
            MessageStatus::Unknown
        } else if self.failed == 0 {
            MessageStatus::Sent
        } else if self.sent > 0 {
            MessageStatus::PartlyFailed
        } else if self.expired > 0 {
            MessageStatus::Expired
        } else {
            MessageStatus::Failed
        }
    }
}

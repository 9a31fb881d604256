//! Resuming: what held back all messages is mended, and they are sent now rather than with the next
//! probe.

use sqlx::AnyConnection;

use super::{Requester, audit_entry, store};
use crate::audit;
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::message::Messages;
use crate::message::store::{self as shared, SendWindow};

/// What a resume found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeReport {
    /// How many messages have not finished.
    pub waiting: i64,
    /// What held all of them back, if anything did.
    pub hold: Option<LiftedHold>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiftedHold {
    /// Since when nothing could be sent.
    pub since: Timestamp,
    pub cause: HoldCause,
}

/// Why nothing could be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HoldCause {
    /// WeCom's words for what an administrator has to mend.
    Administrator(String),
    /// WeCom's limit of calls.
    CallLimit,
    /// Our own limit of recipients a day, as a sentence. It holds again until the day is over.
    DailyLimit(String),
}

impl HoldCause {
    fn from_send_window(window: &SendWindow) -> Self {
        match window.hold_reason.as_str() {
            "" => Self::CallLimit,
            reason if shared::is_daily_limit_reason(reason) => Self::DailyLimit(reason.to_owned()),
            reason => Self::Administrator(reason.to_owned()),
        }
    }
}

impl std::fmt::Display for HoldCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Administrator(reason) | Self::DailyLimit(reason) => f.write_str(reason),
            Self::CallLimit => f.write_str("WeCom's limit of calls was reached (45009)."),
        }
    }
}

impl Messages {
    /// Lets everything that waits for a retry be tried now ([design:
    /// holding](crate::design#holding)).
    ///
    /// One call goes first. If WeCom takes it, all others follow. If WeCom refuses it, the hold is
    /// probed as often as at its beginning. Workers of all replicas learn of it from the rows.
    ///
    /// # Errors
    /// If the database fails; then nothing has changed.
    pub async fn resume(&self, requester: Requester) -> sqlx::Result<ResumeReport> {
        let corp = &self.0.settings.corp;
        let waiting = shared::measure_backlog(self.0.db.pool(), corp).await?.messages;
        let mut tx = self.0.db.write().await?;
        let window = shared::lock_send_window(&mut tx, corp).await?;
        let now = self.0.clock.now();
        // Between two probes the send window is not held for a moment, although nothing can be sent.
        let since = window.hold_since.or_else(|| window.is_held(now).then_some(now));
        let hold = since.map(|since| LiftedHold { since, cause: HoldCause::from_send_window(&window) });
        lift_hold(&mut tx, corp, &window, now).await?;
        let detail = match &hold {
            Some(LiftedHold { since, cause }) => {
                format!("resume: {waiting} messages waited, held since {}: {cause}", since.rfc3339())
            }
            None => format!("resume: {waiting} messages waited, nothing was held"),
        };
        audit::store::insert_entry(&mut tx, corp, &audit_entry(&requester, detail), now).await?;
        tx.commit().await?;
        self.0.accepted_signal.notify_one();
        Ok(ResumeReport { waiting, hold })
    }
}

/// Ends the hold of the send window, which the caller has locked, and lets what waits for a retry
/// be tried now.
pub(super) async fn lift_hold(
    tx: &mut AnyConnection,
    corp: &CorpId,
    window: &SendWindow,
    now: Timestamp,
) -> sqlx::Result<()> {
    let lifted = SendWindow {
        hold_until: now,
        hold_reason: String::new(),
        hold_since: None,
        // While it is not 0, one call goes first.
        holds: window.holds.min(1),
        ..window.clone()
    };
    if window.is_held(now) || window.hold_since.is_some() {
        shared::update_send_window(tx, corp, &lifted).await?;
    }
    store::retry_all_now(tx, corp, now).await
}

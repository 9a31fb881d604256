//! Resuming: what held back all messages is mended, and they are sent now rather than with the next
//! probe.

use sqlx::AnyConnection;

use super::{Requester, audit_entry, store};
use crate::audit;
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::message::Messages;
use crate::message::reason::SendHold;
use crate::message::store::{self as shared, SendWindow};

/// What a resume found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResumeReport {
    /// How many messages have not finished.
    pub waiting: i64,
    /// What held all of them back, if anything did.
    pub hold: Option<SendHold>,
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
        lift_hold(&mut tx, corp, &window, now).await?;
        let detail = match &window.hold {
            Some(hold) => {
                let (since, why) = (hold.since.rfc3339(), hold.describe().en);
                format!("resume: {waiting} messages waited, held since {since}: {why}")
            }
            None => format!("resume: {waiting} messages waited, nothing was held"),
        };
        audit::store::insert_entry(&mut tx, corp, &audit_entry(&requester, detail), now).await?;
        tx.commit().await?;
        self.0.accepted_signal.notify_one();
        Ok(ResumeReport { waiting, hold: window.hold })
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
        hold: None,
        // While it is not 0, one call goes first.
        holds: window.holds.min(1),
        ..window.clone()
    };
    if window.is_held(now) || window.hold.is_some() {
        shared::update_send_window(tx, corp, &lifted).await?;
    }
    store::retry_all_now(tx, corp, now).await
}

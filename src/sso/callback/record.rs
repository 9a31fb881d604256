//! Records the result of a callback: the attempt's row, and an entry of the audit trail.

use super::ClaimedAttempt;
use crate::audit;
use crate::base::id::{PersonId, UserId};
use crate::directory;
use crate::directory::changes::DirectoryTransaction;
use crate::http::browser_request::BrowserRequest;
use crate::session::SessionEndReason;
use crate::session::store as session_store;
use crate::session::store::SessionsToEnd;
use crate::sso::error::{SignInRefusal, SsoError};
use crate::sso::{Sso, member_lookup, store};

/// The decision that an audit row records.
pub(super) struct SignInDecision<'a> {
    pub(super) person: Option<PersonId>,
    pub(super) userid: &'a str,
    pub(super) decision: audit::AuditDecision,
}

impl Sso {
    /// Records that an attempt was refused. If WeCom says that a known person is not active, this
    /// also ends that person's sessions, in the same transaction.
    pub(super) async fn write_refusal(
        &self,
        request: &BrowserRequest,
        claim: &ClaimedAttempt<'_>,
        error: &SsoError,
        userid: Option<&UserId>,
    ) -> Result<(), SsoError> {
        let mut change =
            DirectoryTransaction::begin(&self.0.db, &self.0.settings.corp, self.0.clock.now()).await?;
        let mut person = None;
        let said = match error {
            SsoError::Refused(refused) => member_lookup::status_from_refusal(refused),
            _ => None,
        };
        if let (Some(userid), Some(status)) = (userid, said) {
            person = directory::store::set_status(&mut change, userid, status).await?;
            if let Some((person, reason)) = person.as_ref().zip(SessionEndReason::from_status(status)) {
                session_store::end_sessions(&mut change, &SessionsToEnd::Person(person), reason).await?;
            }
        }
        let recorded = error.recorded();
        store::refuse_attempt(&mut change, &claim.state.id.to_hex(), &recorded).await?;
        let decision = SignInDecision {
            person,
            userid: userid.map_or("", |u| u.as_str()),
            decision: audit::AuditDecision::Refused,
        };
        self.audit(&mut change, request, decision, recorded.to_string()).await?;
        change.commit().await?;
        if matches!(error, SsoError::Refused(SignInRefusal::WeCom(_))) {
            tracing::warn!(%error, code = %recorded.code, "A sign-in failed: {error}");
        }
        Ok(())
    }

    /// Writes an entry of the audit trail in the same transaction.
    pub(super) async fn audit(
        &self,
        change: &mut DirectoryTransaction,
        request: &BrowserRequest,
        decision: SignInDecision<'_>,
        detail: String,
    ) -> Result<(), SsoError> {
        let entry = audit::AuditEntry {
            event: audit::AuditEvent::SignIn,
            actor: audit::Actor::System,
            person: decision.person,
            userid: decision.userid.to_owned(),
            address: request.address,
            host: request.origin.authority(),
            decision: decision.decision,
            detail,
            request_id: request.view.request_id.as_str().to_owned(),
        };
        let (corp, now) = (change.corp().clone(), change.now());
        let reason = entry.detail.clone();
        // Anybody can cause refusals, in any number, so their rows are limited.
        let entry = match entry.decision {
            audit::AuditDecision::Refused => self.0.refusals.limit(entry, &reason, now),
            // A sign-in that was allowed is always recorded.
            audit::AuditDecision::Allowed | audit::AuditDecision::Done => Some(entry),
        };
        if let Some(entry) = entry {
            audit::store::insert_entry(change.tx(), &corp, &entry, now).await?;
        }
        Ok(())
    }
}

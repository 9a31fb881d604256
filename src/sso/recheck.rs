//! While a session lasts, WeCom is asked again whether its person is still active (`gate.recheck`).
//!
//! Only an answer about the person counts: 60111, 60011, a status other than 1. Whatever else WeCom says or does not
//! say keeps the session: people already in notice nothing while WeCom is down.

use std::time::Duration;

use super::error::{Refused, SsoError};
use super::{Sso, who};
use crate::audit;
use crate::db::feed::Change;
use crate::directory::{self, Due};
use crate::session::store::{self as session_store, Which};
use crate::wecom::Deadline;

/// How many persons one step asks about.
pub const BATCH: usize = 20;

/// How long a replica has the persons of one step to itself; also how soon an unanswered one is asked about again.
const LEASE: Duration = Duration::from_secs(180);

const CALL: Duration = Duration::from_secs(8);

impl Sso {
    /// One step: asks about persons with living sessions who were last checked more than `every` ago. Answers how
    /// many were due.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn recheck_due(&self, every: Duration) -> Result<usize, SsoError> {
        if !self.0.settings.enabled || self.0.settings.missing.is_some() {
            return Ok(0);
        }
        let now = self.0.clock.now();
        let corp = &self.0.settings.corp;
        let due = directory::store::claim_due(
            &self.0.db,
            corp,
            now,
            now.minus(every),
            now.plus(LEASE),
            i64::try_from(BATCH).unwrap_or(i64::MAX),
        )
        .await?;
        for person in &due {
            self.recheck(person).await?;
        }
        Ok(due.len())
    }

    async fn recheck(&self, person: &Due) -> Result<(), SsoError> {
        let answer = self.0.client.member(&person.userid, Deadline::after(CALL)).await;
        let refused = match answer.map_err(Refused::WeCom).and_then(who::found) {
            Ok(found) => {
                let mut change = Change::begin(&self.0.db, &self.0.settings.corp, self.0.clock.now()).await?;
                directory::store::put_active(&mut change, &found).await?;
                return Ok(change.commit().await?);
            }
            Err(refused) => refused,
        };
        let Some(status) = who::status_said(&refused) else {
            tracing::debug!(user.id = %person.userid, error = %refused, "A recheck had no answer; the session stays");
            return Ok(());
        };
        let now = self.0.clock.now();
        let mut change = Change::begin(&self.0.db, &self.0.settings.corp, now).await?;
        directory::store::set_status(&mut change, &person.userid, status).await?;
        let ended = session_store::end(&mut change, &Which::Person(&person.id), status.as_str()).await?;
        let entry = audit::Entry {
            event: audit::Event::Recheck,
            person: Some(person.id.clone()),
            userid: person.userid.as_str().to_owned(),
            address: None,
            host: String::new(),
            decision: "done",
            detail: format!("{}: {ended} sessions", status.as_str()),
            request_id: String::new(),
        };
        audit::store::insert(change.tx(), &self.0.settings.corp, &entry, now).await?;
        change.commit().await?;
        tracing::info!(user.id = %person.userid, status = status.as_str(), sessions = ended, "Ended the sessions of {}: {}", person.userid, status.as_str());
        Ok(())
    }
}

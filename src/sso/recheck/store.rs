//! SQL of rechecks: which of the persons who are signed in are due. This room stands above sessions
//! and the directory, so it joins the two: signed-in persons are few, those who were not checked for
//! a while may be the whole company.

use const_format::formatcp;

use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId};
use crate::db::Db;
use crate::directory::{EntrySource, PersonStatus};

const WECOM: &str = EntrySource::Wecom.as_str();
const ACTIVE: &str = PersonStatus::Active.as_str();

const FIND_OLDEST_CHECK: &str = formatcp!(
    "SELECT MIN(CASE WHEN v.said <> '' AND c.complete_at > p.checked_at THEN c.complete_at ELSE p.checked_at END) \
     FROM (SELECT DISTINCT person_id FROM sessions WHERE ended_at IS NULL AND expires_at > $2) s \
       JOIN persons p ON p.id = s.person_id JOIN person_rows v ON v.person_id = p.id \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE p.corp_id = $1 AND v.source = '{WECOM}' AND v.status = '{ACTIVE}'"
);

const FIND_DUE_PERSONS: &str = formatcp!(
    "SELECT p.id FROM (SELECT DISTINCT person_id FROM sessions WHERE ended_at IS NULL AND expires_at > $2) s \
       JOIN persons p ON p.id = s.person_id JOIN person_rows v ON v.person_id = p.id \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE p.corp_id = $1 AND v.source = '{WECOM}' AND v.status = '{ACTIVE}' \
       AND p.checked_at < $3 AND (v.said = '' OR c.complete_at < $3) AND p.check_lease < $2 \
     ORDER BY CASE WHEN p.check_lease > p.checked_at THEN p.check_lease ELSE p.checked_at END LIMIT $4"
);

/// Returns the oldest confirmation among all persons with a living session, or `None` if nobody has
/// one.
///
/// A person is confirmed by a recheck, or by a run that read everything.
///
/// # Errors
/// If the database fails.
pub(super) async fn find_oldest_check(
    db: &Db,
    corp: &CorpId,
    now: Timestamp,
) -> sqlx::Result<Option<Timestamp>> {
    sqlx::query_scalar(FIND_OLDEST_CHECK).bind(corp).bind(now).fetch_one(db.pool()).await
}

/// Returns up to `limit` persons with a living session whose last confirmation is before
/// `checked_before` and whom no replica is asking about. Usually nobody is due, and no lock is
/// taken.
///
/// # Errors
/// If the database fails.
pub(super) async fn find_due_persons(
    db: &Db,
    corp: &CorpId,
    now: Timestamp,
    checked_before: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<PersonId>> {
    sqlx::query_scalar(FIND_DUE_PERSONS)
        .bind(corp)
        .bind(now)
        .bind(checked_before)
        .bind(limit)
        .fetch_all(db.pool())
        .await
}

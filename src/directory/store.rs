//! SQL of persons.

use sqlx::Row as _;

use super::{Due, Found, Status};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, UserId};
use crate::db::Db;
use crate::db::feed::{Change, Kind};

/// Writes down what WeCom just said of an active member and answers our id for it: a new one for a userid that
/// was never seen, the same one however the userid is capitalised.
///
/// # Errors
/// If the database fails.
pub async fn put_active(change: &mut Change, found: &Found) -> sqlx::Result<PersonId> {
    let (corp, now) = (change.corp().clone(), change.now());
    let before = sqlx::query(
        "SELECT userid, name, email, status FROM persons WHERE corp_id = $1 AND lower(userid) = lower($2)",
    )
    .bind(corp.as_str())
    .bind(found.userid.as_str())
    .fetch_optional(change.tx())
    .await?;
    let unchanged = before.map_or(Ok::<_, sqlx::Error>(false), |row| {
        let (userid, name, email): (String, String, String) =
            (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        let status: String = row.try_get(3)?;
        let same_email = found.email.is_empty() || found.email == email;
        Ok(userid == found.userid.as_str() && name == found.name && same_email && status == "active")
    })?;
    let id: String = sqlx::query(
        "INSERT INTO persons (id, corp_id, userid, name, email, source, status, checked_at, check_lease, \
                              created_at, updated_at) \
         VALUES ($1, $2, $3, $4, $5, 'wecom', 'active', $6, 0, $6, $6) \
         ON CONFLICT (corp_id, lower(userid)) DO UPDATE SET userid = excluded.userid, name = excluded.name, \
           email = CASE WHEN excluded.email = '' THEN persons.email ELSE excluded.email END, \
           status = 'active', checked_at = excluded.checked_at, updated_at = excluded.updated_at \
         RETURNING id",
    )
    .bind(PersonId::generate(now).as_str())
    .bind(corp.as_str())
    .bind(found.userid.as_str())
    .bind(&found.name)
    .bind(&found.email)
    .bind(now.millis())
    .fetch_one(change.tx())
    .await?
    .try_get(0)?;
    if !unchanged {
        change.announce(Kind::Person, id.as_str());
    }
    Ok(PersonId::new(id))
}

/// Sets a status that keeps a known person out. Nothing happens to one that is not known.
///
/// # Errors
/// If the database fails.
pub async fn set_status(
    change: &mut Change,
    userid: &UserId,
    status: Status,
) -> sqlx::Result<Option<PersonId>> {
    let (corp, now) = (change.corp().clone(), change.now());
    let row = sqlx::query(
        "UPDATE persons SET status = $3, checked_at = $4, updated_at = $4 \
         WHERE corp_id = $1 AND lower(userid) = lower($2) AND source = 'wecom' RETURNING id",
    )
    .bind(corp.as_str())
    .bind(userid.as_str())
    .bind(status.as_str())
    .bind(now.millis())
    .fetch_optional(change.tx())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let id: String = row.try_get(0)?;
    change.announce(Kind::Person, id.as_str());
    Ok(Some(PersonId::new(id)))
}

/// Up to `limit` persons with a living session who were last checked before `checked_before`, claimed until
/// `lease` so that no other replica asks for them too.
///
/// # Errors
/// If the database fails.
pub async fn claim_due(
    db: &Db,
    corp: &CorpId,
    now: Timestamp,
    checked_before: Timestamp,
    lease: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<Due>> {
    let mut tx = db.write().await?;
    // The lease is repeated outside the subselect: on PostgreSQL two replicas may select the same rows.
    let rows = sqlx::query(
        "UPDATE persons SET check_lease = $4 WHERE check_lease < $2 AND id IN ( \
           SELECT p.id FROM persons p WHERE p.corp_id = $1 AND p.source = 'wecom' AND p.status = 'active' \
             AND p.checked_at < $3 AND p.check_lease < $2 \
             AND EXISTS (SELECT 1 FROM sessions s WHERE s.person_id = p.id AND s.ended_at IS NULL \
                         AND s.expires_at > $2) \
           ORDER BY CASE WHEN p.check_lease > p.checked_at THEN p.check_lease ELSE p.checked_at END LIMIT $5) \
         RETURNING id, userid",
    )
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(checked_before.millis())
    .bind(lease.millis())
    .bind(limit)
    .fetch_all(&mut *tx)
    .await?;
    tx.commit().await?;
    rows.into_iter()
        .map(|row| {
            let (id, userid): (String, String) = (row.try_get(0)?, row.try_get(1)?);
            Ok(Due { id: PersonId::new(id), userid: UserId::new(userid) })
        })
        .collect()
}

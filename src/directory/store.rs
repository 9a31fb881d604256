//! SQL of the published chart and of persons who sign in.

use sqlx::Row as _;

use super::bindings;
use super::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use super::chart::Chart;
use super::row::{self, OPEN_UNTIL, published};
use super::{DuePerson, EntrySource, MemberProfile, Person, PersonStatus, is_same_person};
use crate::base::clock::Timestamp;
use crate::base::id::{ConflictId, CorpId, PersonId, UserId};
use crate::db::Db;
use crate::db::feed::{FeedKind, FeedTransaction};

/// Creates the chart row of the corporation, if it has none yet: empty, version 0.
///
/// # Errors
/// If the database fails.
pub async fn ensure_chart(db: &Db, corp: &CorpId) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query(
        "INSERT INTO charts (corp_id, version, complete_at) VALUES ($1, 0, 0) ON CONFLICT (corp_id) DO NOTHING",
    )
    .bind(corp.as_str())
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

/// Reads the units and tags of the published version.
///
/// # Errors
/// If the database fails.
pub async fn load_chart(db: &Db, corp: &CorpId) -> sqlx::Result<Chart> {
    loop {
        let (version, complete_at) = published_version(db, corp).await?;
        let units = sqlx::query(concat!(
            "SELECT ",
            row::unit_columns!(),
            " FROM unit_rows v ",
            published!(),
            "ORDER BY v.id"
        ))
        .bind(corp.as_str())
        .fetch_all(db.pool())
        .await?;
        let tags = sqlx::query(concat!(
            "SELECT ",
            row::tag_columns!(),
            " FROM tag_rows v ",
            published!(),
            "ORDER BY v.id"
        ))
        .bind(corp.as_str())
        .fetch_all(db.pool())
        .await?;
        // The three reads must see one version; otherwise they are repeated.
        if self::published_version(db, corp).await?.0 == version {
            let units = row::keep_readable("unit_rows", units.iter().map(row::unit_from_row))?;
            let tags = row::keep_readable("tag_rows", tags.iter().map(row::tag_from_row))?;
            return Ok(Chart::new(version, complete_at, units, tags));
        }
    }
}

/// Returns the published version, and when the last run began that read every detail, if there was
/// one.
///
/// # Errors
/// If the database fails, or the corporation has no chart.
pub async fn published_version(db: &Db, corp: &CorpId) -> sqlx::Result<(i64, Option<Timestamp>)> {
    let row = sqlx::query("SELECT version, complete_at FROM charts WHERE corp_id = $1")
        .bind(corp.as_str())
        .fetch_one(db.pool())
        .await?;
    let complete_at: i64 = row.try_get(1)?;
    Ok((row.try_get(0)?, Some(Timestamp::from_millis(complete_at)).filter(|_| complete_at > 0)))
}

/// Returns when the last run began that read every detail, if there was one.
///
/// Unlike [`published_version`], it does not need the row of the corporation, which `serve` makes.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_complete_at(db: &Db, corp: &CorpId) -> sqlx::Result<Option<Timestamp>> {
    let at: Option<Timestamp> = sqlx::query_scalar("SELECT complete_at FROM charts WHERE corp_id = $1")
        .bind(corp)
        .fetch_optional(db.pool())
        .await?;
    Ok(at.filter(|at| at.millis() > 0))
}

/// Returns the person with this id.
///
/// # Errors
/// If the database fails.
pub async fn find_person(db: &Db, corp: &CorpId, id: &PersonId) -> sqlx::Result<Option<Person>> {
    sqlx::query(concat!(
        "SELECT ",
        row::person_columns!(),
        " FROM person_rows v ",
        published!(),
        "WHERE v.person_id = $2"
    ))
    .bind(corp.as_str())
    .bind(id.as_str())
    .fetch_optional(db.pool())
    .await?
    .map(|found| row::person_from_row(&found))
    .transpose()
}

/// Returns the person who has this userid now, without regard to case.
///
/// # Errors
/// If the database fails.
pub async fn find_person_by_userid(db: &Db, corp: &CorpId, userid: &UserId) -> sqlx::Result<Option<Person>> {
    sqlx::query(concat!(
        "SELECT ",
        row::person_columns!(),
        " FROM persons p JOIN person_rows v ON v.person_id = p.id ",
        published!(),
        "WHERE p.corp_id = $1 AND lower(p.userid) = lower($2) AND p.released_at IS NULL"
    ))
    .bind(corp.as_str())
    .bind(userid.as_str())
    .fetch_optional(db.pool())
    .await?
    .map(|found| row::person_from_row(&found))
    .transpose()
}

/// Records what WeCom just said about an active member, and returns the person's id.
///
/// It is the same id however the userid is capitalised, and a new one for a userid that was never
/// seen or whose holder left and is somebody else.
///
/// # Errors
/// If the database fails.
pub async fn record_active_member(
    change: &mut DirectoryTransaction,
    found: &MemberProfile,
) -> sqlx::Result<PersonId> {
    let id = claim_userid(change, &found.userid).await?;
    let mut before = find_current_person(change, &id).await?;
    if before.is_none() {
        if insert_active(change, &id, found).await? {
            return Ok(id);
        }
        // A run has just published the same member.
        before = find_current_person(change, &id).await?;
    }
    let Some(before) = before else { return Ok(id) };
    if before.status == PersonStatus::Left {
        let away = change.now().since(before.left_at.unwrap_or(Timestamp::from_millis(0)));
        if !is_same_person(&before.evidence(), &found.evidence(), away) {
            return replace_holder(change, &before, found).await;
        }
    }
    // What the secret may not see stays as it was.
    let email = if found.email.is_empty() { &before.email } else { &found.email };
    let name = if found.name.is_empty() { &before.name } else { &found.name };
    let unchanged = before.userid == found.userid
        && before.name == *name
        && before.email == *email
        && (before.source, before.status) == (EntrySource::Wecom, PersonStatus::Active);
    if unchanged {
        return Ok(id);
    }
    // Write the row of a prepared version as well: that run may have asked WeCom earlier than we
    // did.
    sqlx::query(
        "UPDATE person_rows SET userid = $2, name = $3, email = $4, source = 'wecom', status = 'active', \
           left_at = NULL, said = '', updated_at = $5 \
         WHERE person_id = $1 AND until > (SELECT version FROM charts WHERE corp_id = $6)",
    )
    .bind(id.as_str())
    .bind(found.userid.as_str())
    .bind(name)
    .bind(email)
    .bind(change.now().millis())
    .bind(change.corp().as_str().to_owned())
    .execute(change.tx())
    .await?;
    change.announce(FeedKind::Person, id.as_str());
    change.note_directory_change(DirectoryEntity::Person, id.as_str(), DirectoryChangeKind::Updated);
    Ok(id)
}

/// Locks the person with this userid, if it is an active member of WeCom's, and returns the id.
/// Writes nothing.
///
/// # Errors
/// If the database fails.
pub(crate) async fn confirm_active(
    change: &mut FeedTransaction,
    userid: &UserId,
) -> sqlx::Result<Option<PersonId>> {
    let corp = change.corp().clone();
    // Only a lock: `checked_at` must keep saying when WeCom was asked, and it was not asked here.
    let row = sqlx::query(
        "UPDATE persons SET check_lease = check_lease \
         WHERE corp_id = $1 AND lower(userid) = lower($2) AND released_at IS NULL RETURNING id",
    )
    .bind(corp.as_str())
    .bind(userid.as_str())
    .fetch_optional(change.tx())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let id = PersonId::new(row.try_get::<String, _>(0)?);
    let person = find_current_person(change, &id).await?;
    let active = person.is_some_and(|p| (p.source, p.status) == (EntrySource::Wecom, PersonStatus::Active));
    Ok(active.then_some(id))
}

/// Returns the id that owns the userid from now on: its holder's, or a new one.
///
/// Locks the row until the change commits, so that two writers of the same person run one after the
/// other.
async fn claim_userid(change: &mut FeedTransaction, userid: &UserId) -> sqlx::Result<PersonId> {
    let (corp, now) = (change.corp().clone(), change.now());
    let row = sqlx::query(
        "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) VALUES ($1, $2, $3, $4, 0, $4) \
         ON CONFLICT (corp_id, lower(userid)) WHERE released_at IS NULL \
           DO UPDATE SET userid = excluded.userid, checked_at = excluded.checked_at RETURNING id",
    )
    .bind(PersonId::generate(now).as_str())
    .bind(corp.as_str())
    .bind(userid.as_str())
    .bind(now.millis())
    .fetch_one(change.tx())
    .await?;
    Ok(PersonId::new(row.try_get::<String, _>(0)?))
}

/// Returns the person's row in the published version, read within the change.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_current_person(
    change: &mut FeedTransaction,
    id: &PersonId,
) -> sqlx::Result<Option<Person>> {
    let corp = change.corp().clone();
    sqlx::query(concat!(
        "SELECT ",
        row::person_columns!(),
        " FROM person_rows v ",
        published!(),
        "WHERE v.person_id = $2"
    ))
    .bind(corp.as_str())
    .bind(id.as_str())
    .fetch_optional(change.tx())
    .await?
    .map(|found| row::person_from_row(&found))
    .transpose()
}

/// Inserts a person of whom only the sign-in's data is known. Returns `false` if a row exists by
/// now.
///
/// If a run has prepared a row for the same member, this row ends where that one begins.
async fn insert_active(
    change: &mut DirectoryTransaction,
    id: &PersonId,
    found: &MemberProfile,
) -> sqlx::Result<bool> {
    let (corp, now) = (change.corp().clone(), change.now());
    let done = sqlx::query(
        "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, memberships, \
                                  detail, said, updated_at) \
         SELECT $1, $2, c.version, COALESCE((SELECT MIN(n.since) FROM person_rows n WHERE n.person_id = $1 \
                                             AND n.since > c.version), $3), \
                $4, $5, $6, 'wecom', 'active', '[]', '{}', '', $7 FROM charts c WHERE c.corp_id = $2 \
         ON CONFLICT (person_id, until) DO NOTHING",
    )
    .bind(id.as_str())
    .bind(corp.as_str())
    .bind(OPEN_UNTIL)
    .bind(found.userid.as_str())
    .bind(&found.name)
    .bind(&found.email)
    .bind(now.millis())
    .execute(change.tx())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(false);
    }
    change.announce(FeedKind::Person, id.as_str());
    change.note_directory_change(DirectoryEntity::Person, id.as_str(), DirectoryChangeKind::Created);
    Ok(true)
}

/// Gives the userid of somebody who left to a new person, and opens a conflict for a human to
/// decide whether the two are one.
async fn replace_holder(
    change: &mut DirectoryTransaction,
    before: &Person,
    found: &MemberProfile,
) -> sqlx::Result<PersonId> {
    release_userid(change, &before.id).await?;
    bindings::store::strip_reassigned_userids(change, std::slice::from_ref(&before.userid), true).await?;
    let id = claim_userid(change, &found.userid).await?;
    insert_active(change, &id, found).await?;
    let (corp, now) = (change.corp().clone(), change.now());
    sqlx::query(
        "INSERT INTO conflicts (id, corp_id, kind, person_id, candidates, state, created_at) \
         VALUES ($1, $2, 'reused', $3, $4, 'open', $5)",
    )
    .bind(ConflictId::generate(now).as_str())
    .bind(corp.as_str())
    .bind(id.as_str())
    .bind(row::to_json(&[&before.id])?)
    .bind(now.millis())
    .execute(change.tx())
    .await?;
    Ok(id)
}

/// Frees the userid of a person for somebody else.
///
/// # Errors
/// If the database fails.
pub(crate) async fn release_userid(change: &mut FeedTransaction, id: &PersonId) -> sqlx::Result<()> {
    let now = change.now().millis();
    sqlx::query("UPDATE persons SET released_at = $2 WHERE id = $1 AND released_at IS NULL")
        .bind(id.as_str())
        .bind(now)
        .execute(change.tx())
        .await?;
    Ok(())
}

/// Sets a status that keeps a person out. Returns `None` if the person is unknown or not WeCom's.
///
/// # Errors
/// If the database fails.
pub(crate) async fn set_status(
    change: &mut DirectoryTransaction,
    userid: &UserId,
    status: PersonStatus,
) -> sqlx::Result<Option<PersonId>> {
    let (corp, now) = (change.corp().clone(), change.now());
    let row = sqlx::query(
        "UPDATE persons SET checked_at = $3 WHERE corp_id = $1 AND lower(userid) = lower($2) AND released_at IS NULL \
         RETURNING id",
    )
    .bind(corp.as_str())
    .bind(userid.as_str())
    .bind(now.millis())
    .fetch_optional(change.tx())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let id: String = row.try_get(0)?;
    let left_at = (status == PersonStatus::Left).then_some(now.millis());
    let done = sqlx::query(
        "UPDATE person_rows SET status = $2, left_at = CASE WHEN status = $2 THEN left_at ELSE $3 END, said = '', \
           updated_at = $4 \
         WHERE person_id = $1 AND source = 'wecom' AND until > (SELECT version FROM charts WHERE corp_id = $5)",
    )
    .bind(&id)
    .bind(status.as_str())
    .bind(left_at)
    .bind(now.millis())
    .bind(corp.as_str())
    .execute(change.tx())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    change.announce(FeedKind::Person, id.as_str());
    change.note_directory_change(DirectoryEntity::Person, id.as_str(), DirectoryChangeKind::Updated);
    Ok(Some(PersonId::new(id)))
}

/// Returns the oldest confirmation among all persons with a live session, or `None` if nobody has
/// one.
///
/// A person is confirmed by a recheck, or by a run that read everything.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_oldest_check(
    db: &Db,
    corp: &CorpId,
    now: Timestamp,
) -> sqlx::Result<Option<Timestamp>> {
    let oldest: Option<i64> = sqlx::query(concat!(
        "SELECT MIN(CASE WHEN v.said <> '' AND c.complete_at > p.checked_at THEN c.complete_at ELSE p.checked_at END) \
         FROM (SELECT DISTINCT person_id FROM sessions WHERE ended_at IS NULL AND expires_at > $2) s \
         JOIN persons p ON p.id = s.person_id JOIN person_rows v ON v.person_id = p.id ",
        published!(),
        "WHERE p.corp_id = $1 AND v.source = 'wecom' AND v.status = 'active'"
    ))
    .bind(corp.as_str())
    .bind(now.millis())
    .fetch_one(db.pool())
    .await?
    .try_get(0)?;
    Ok(oldest.map(Timestamp::from_millis))
}

/// Claims up to `limit` persons with a live session whose last confirmation is before
/// `checked_before`.
///
/// The claim lasts until `lease`, so that no other replica asks WeCom about them too.
///
/// # Errors
/// If the database fails.
pub(crate) async fn claim_due_persons(
    db: &Db,
    corp: &CorpId,
    now: Timestamp,
    checked_before: Timestamp,
    lease: Timestamp,
    limit: i64,
) -> sqlx::Result<Vec<DuePerson>> {
    // Starts from the live sessions, which are fewer than persons, and takes no write lock: usually
    // nobody is due.
    let due = sqlx::query(concat!(
        "SELECT p.id FROM (SELECT DISTINCT person_id FROM sessions WHERE ended_at IS NULL AND expires_at > $2) s \
         JOIN persons p ON p.id = s.person_id JOIN person_rows v ON v.person_id = p.id ",
        published!(),
        "WHERE p.corp_id = $1 AND v.source = 'wecom' AND v.status = 'active' \
           AND p.checked_at < $3 AND (v.said = '' OR c.complete_at < $3) AND p.check_lease < $2 \
         ORDER BY CASE WHEN p.check_lease > p.checked_at THEN p.check_lease ELSE p.checked_at END LIMIT $4"
    ))
    .bind(corp.as_str())
    .bind(now.millis())
    .bind(checked_before.millis())
    .bind(limit)
    .fetch_all(db.pool())
    .await?;
    if due.is_empty() {
        return Ok(Vec::new());
    }
    let mut ids: Vec<String> = due.iter().map(|row| row.try_get(0)).collect::<sqlx::Result<_>>()?;
    // In one order, so that two replicas never deadlock on each other's rows.
    ids.sort();
    let mut claimed = Vec::new();
    let mut tx = db.write().await?;
    for id in ids {
        let row = sqlx::query(
            "UPDATE persons SET check_lease = $3 WHERE id = $1 AND check_lease < $2 RETURNING userid",
        )
        .bind(&id)
        .bind(now.millis())
        .bind(lease.millis())
        .fetch_optional(&mut *tx)
        .await?;
        if let Some(row) = row {
            claimed
                .push(DuePerson { id: PersonId::new(id), userid: UserId::new(row.try_get::<String, _>(0)?) });
        }
    }
    tx.commit().await?;
    Ok(claimed)
}

//! SQL of the published chart and of persons who sign in.

use const_format::formatcp;
use sqlx::FromRow;

use super::bindings;
use super::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use super::chart::Chart;
use super::conflicts::{self, ConflictKind};
use super::row::{OPEN_UNTIL, PersonRow, TagRow, UnitRow, keep_readable};
use super::{DuePerson, EntrySource, MemberProfile, Person, PersonStatus, Tag, Unit, is_same_person};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, UserId};
use crate::db::Db;
use crate::db::feed::{FeedKind, FeedTransaction};
use crate::db::hot_statement::HotStatement;

const WECOM: &str = EntrySource::Wecom.as_str();
const ACTIVE: &str = PersonStatus::Active.as_str();

pub(super) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement { name: "find_person", sql: FIND_PERSON, indexes: &["person_rows_pkey (person_id)"] },
    HotStatement {
        name: "find_person_by_userid",
        sql: FIND_PERSON_BY_USERID,
        indexes: &["persons_userid", "person_rows_pkey (person_id)"],
    },
    HotStatement { name: "confirm_active", sql: LOCK_HOLDER, indexes: &["persons_userid"] },
    HotStatement { name: "release_userid", sql: RELEASE_USERID, indexes: &["persons_pkey"] },
];

/// Creates the chart row of the corporation, if it has none yet: empty, version 0.
///
/// # Errors
/// If the database fails.
pub async fn ensure_chart(db: &Db, corp: &CorpId) -> sqlx::Result<()> {
    let mut tx = db.write().await?;
    sqlx::query(
        "INSERT INTO charts (corp_id, version, complete_at) VALUES ($1, 0, 0) ON CONFLICT (corp_id) DO NOTHING",
    )
    .bind(corp)
    .execute(&mut *tx)
    .await?;
    tx.commit().await
}

const SELECT_UNITS: &str = "SELECT v.id, v.wecom_id, v.source, v.parent_id, v.name, v.name_en, v.sort, v.leaders \
     FROM unit_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     ORDER BY v.id";

const SELECT_TAGS: &str = "SELECT v.id, v.wecom_id, v.name, v.users, v.units FROM tag_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     ORDER BY v.id";

/// Reads the units and tags of the published version.
///
/// # Errors
/// If the database fails.
pub async fn load_chart(db: &Db, corp: &CorpId) -> sqlx::Result<Chart> {
    loop {
        let (version, complete_at) = published_version(db, corp).await?;
        let units = sqlx::query(SELECT_UNITS).bind(corp).fetch_all(db.pool()).await?;
        let tags = sqlx::query(SELECT_TAGS).bind(corp).fetch_all(db.pool()).await?;
        // The three reads must see one version; otherwise they are repeated.
        if self::published_version(db, corp).await?.0 == version {
            let units = units.iter().map(|row| UnitRow::from_row(row).and_then(Unit::try_from));
            let tags = tags.iter().map(|row| TagRow::from_row(row).and_then(Tag::try_from));
            let (units, tags) = (keep_readable("unit_rows", units)?, keep_readable("tag_rows", tags)?);
            return Ok(Chart::new(version, complete_at, units, tags));
        }
    }
}

#[derive(FromRow)]
struct ChartRow {
    version: i64,
    /// 0 if no run has read everything yet.
    complete_at: Timestamp,
}

/// Returns the published version, and when the last run began that read every detail, if there was
/// one.
///
/// # Errors
/// If the database fails, or the corporation has no chart.
pub async fn published_version(db: &Db, corp: &CorpId) -> sqlx::Result<(i64, Option<Timestamp>)> {
    let row: ChartRow = sqlx::query_as("SELECT version, complete_at FROM charts WHERE corp_id = $1")
        .bind(corp)
        .fetch_one(db.pool())
        .await?;
    Ok((row.version, Some(row.complete_at).filter(|at| at.millis() > 0)))
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

const FIND_PERSON: &str = "SELECT v.person_id, v.userid, v.name, v.email, v.source, v.status, v.left_at, v.main_unit, \
       v.memberships, v.detail, v.said \
     FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.person_id = $2";

/// Returns the person with this id.
///
/// # Errors
/// If the database fails.
pub async fn find_person(db: &Db, corp: &CorpId, id: &PersonId) -> sqlx::Result<Option<Person>> {
    let row: Option<PersonRow> =
        sqlx::query_as(FIND_PERSON).bind(corp).bind(id).fetch_optional(db.pool()).await?;
    Ok(row.map(Person::from))
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
    let row: Option<PersonRow> =
        sqlx::query_as(FIND_PERSON).bind(corp).bind(id).fetch_optional(change.tx()).await?;
    Ok(row.map(Person::from))
}

const FIND_PERSON_BY_USERID: &str = "SELECT v.person_id, v.userid, v.name, v.email, v.source, v.status, v.left_at, \
       v.main_unit, v.memberships, v.detail, v.said \
     FROM persons p JOIN person_rows v ON v.person_id = p.id \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE p.corp_id = $1 AND lower(p.userid) = lower($2) AND p.released_at IS NULL";

/// Returns the person who has this userid now, without regard to case.
///
/// # Errors
/// If the database fails.
pub async fn find_person_by_userid(db: &Db, corp: &CorpId, userid: &UserId) -> sqlx::Result<Option<Person>> {
    let row: Option<PersonRow> =
        sqlx::query_as(FIND_PERSON_BY_USERID).bind(corp).bind(userid).fetch_optional(db.pool()).await?;
    Ok(row.map(Person::from))
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
    let corp = change.corp().clone();
    let now = change.now();
    sqlx::query(
        "UPDATE person_rows SET userid = $2, name = $3, email = $4, source = $5, status = $6, left_at = NULL, \
           said = '', updated_at = $7 \
         WHERE person_id = $1 AND until > (SELECT version FROM charts WHERE corp_id = $8)",
    )
    .bind(&id)
    .bind(&found.userid)
    .bind(name)
    .bind(email)
    .bind(EntrySource::Wecom)
    .bind(PersonStatus::Active)
    .bind(now)
    .bind(corp)
    .execute(change.tx())
    .await?;
    change.announce(FeedKind::Person, id.as_str());
    change.note_directory_change(DirectoryEntity::Person, id.as_str(), DirectoryChangeKind::Updated);
    Ok(id)
}

const LOCK_HOLDER: &str = "UPDATE persons SET check_lease = check_lease \
     WHERE corp_id = $1 AND lower(userid) = lower($2) AND released_at IS NULL RETURNING id";

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
    let id: Option<PersonId> =
        sqlx::query_scalar(LOCK_HOLDER).bind(corp).bind(userid).fetch_optional(change.tx()).await?;
    let Some(id) = id else { return Ok(None) };
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
    sqlx::query_scalar(
        "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) VALUES ($1, $2, $3, $4, 0, $4) \
         ON CONFLICT (corp_id, lower(userid)) WHERE released_at IS NULL \
           DO UPDATE SET userid = excluded.userid, checked_at = excluded.checked_at RETURNING id",
    )
    .bind(PersonId::generate(now))
    .bind(corp)
    .bind(userid)
    .bind(now)
    .fetch_one(change.tx())
    .await
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
    let done = sqlx::query(formatcp!(
        "INSERT INTO person_rows (person_id, corp_id, since, until, userid, name, email, source, status, memberships, \
                                  detail, said, updated_at) \
         SELECT $1, $2, c.version, COALESCE((SELECT MIN(n.since) FROM person_rows n WHERE n.person_id = $1 \
                                             AND n.since > c.version), $3), \
                $4, $5, $6, '{WECOM}', '{ACTIVE}', '[]', '{{}}', '', $7 FROM charts c WHERE c.corp_id = $2 \
         ON CONFLICT (person_id, until) DO NOTHING"
    ))
    .bind(id)
    .bind(corp)
    .bind(OPEN_UNTIL)
    .bind(&found.userid)
    .bind(&found.name)
    .bind(&found.email)
    .bind(now)
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
    let candidates = std::slice::from_ref(&before.id);
    conflicts::store::insert_conflict(change, ConflictKind::Reused, &id, candidates).await?;
    Ok(id)
}

const RELEASE_USERID: &str = "UPDATE persons SET released_at = $2 WHERE id = $1 AND released_at IS NULL";

/// Frees the userid of a person for somebody else.
///
/// # Errors
/// If the database fails.
pub(crate) async fn release_userid(change: &mut FeedTransaction, id: &PersonId) -> sqlx::Result<()> {
    let now = change.now();
    sqlx::query(RELEASE_USERID).bind(id).bind(now).execute(change.tx()).await?;
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
    let id: Option<PersonId> = sqlx::query_scalar(
        "UPDATE persons SET checked_at = $3 WHERE corp_id = $1 AND lower(userid) = lower($2) AND released_at IS NULL \
         RETURNING id",
    )
    .bind(&corp)
    .bind(userid)
    .bind(now)
    .fetch_optional(change.tx())
    .await?;
    let Some(id) = id else { return Ok(None) };
    let left_at = (status == PersonStatus::Left).then_some(now);
    let done = sqlx::query(
        "UPDATE person_rows SET status = $2, left_at = CASE WHEN status = $2 THEN left_at ELSE $3 END, said = '', \
           updated_at = $4 \
         WHERE person_id = $1 AND source = $6 AND until > (SELECT version FROM charts WHERE corp_id = $5)",
    )
    .bind(&id)
    .bind(status)
    .bind(left_at)
    .bind(now)
    .bind(&corp)
    .bind(EntrySource::Wecom)
    .execute(change.tx())
    .await?;
    if done.rows_affected() == 0 {
        return Ok(None);
    }
    change.announce(FeedKind::Person, id.as_str());
    change.note_directory_change(DirectoryEntity::Person, id.as_str(), DirectoryChangeKind::Updated);
    Ok(Some(id))
}

/// Claims those of these persons whom no other replica is asking WeCom about, until `lease`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn claim_checks(
    db: &Db,
    mut persons: Vec<PersonId>,
    now: Timestamp,
    lease: Timestamp,
) -> sqlx::Result<Vec<DuePerson>> {
    // In one order, so that two replicas never deadlock on each other's rows.
    persons.sort();
    let mut claimed = Vec::new();
    let mut tx = db.write().await?;
    for id in persons {
        let userid: Option<UserId> = sqlx::query_scalar(
            "UPDATE persons SET check_lease = $3 WHERE id = $1 AND check_lease < $2 RETURNING userid",
        )
        .bind(&id)
        .bind(now)
        .bind(lease)
        .fetch_optional(&mut *tx)
        .await?;
        claimed.extend(userid.map(|userid| DuePerson { id, userid }));
    }
    tx.commit().await?;
    Ok(claimed)
}

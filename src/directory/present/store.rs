//! SQL of present persons.

use std::collections::HashMap;
use std::sync::LazyLock;

use sqlx::{FromRow, Row as _};

use super::PresentPerson;
use crate::base::id::{CorpId, PersonId, UserId};
use crate::db::Db;
use crate::db::bind_list::ListStatement;
use crate::db::hot_statement::HotStatement;
use crate::directory::PersonStatus;
use crate::directory::row::{MembershipList, keep_readable};

#[derive(FromRow)]
struct PresentRow {
    person_id: PersonId,
    userid: UserId,
    name: String,
    email: String,
    status: PersonStatus,
    memberships: MembershipList,
}

impl From<PresentRow> for PresentPerson {
    fn from(row: PresentRow) -> Self {
        Self {
            id: row.person_id,
            userid: row.userid,
            name: row.name,
            email: row.email,
            status: row.status,
            memberships: row.memberships.0,
        }
    }
}

const FIND_PRESENT: &str = "SELECT v.person_id, v.userid, v.name, v.email, v.status, v.memberships FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.person_id = $2";

pub(in crate::directory) const HOT_STATEMENTS: &[HotStatement] = &[
    HotStatement { name: "find_present", sql: FIND_PRESENT, indexes: &["person_rows_pkey (person_id)"] },
    HotStatement {
        name: "find_present_by_userid",
        sql: FIND_PRESENT_BY_USERID,
        indexes: &["persons_userid", "person_rows_pkey (person_id)"],
    },
];

/// Returns the person with this id.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_present(
    db: &Db,
    corp: &CorpId,
    id: &PersonId,
) -> sqlx::Result<Option<PresentPerson>> {
    let row: Option<PresentRow> =
        sqlx::query_as(FIND_PRESENT).bind(corp).bind(id).fetch_optional(db.pool()).await?;
    Ok(row.map(PresentPerson::from))
}

const FIND_PRESENT_BY_USERID: &str = "SELECT v.person_id, v.userid, v.name, v.email, v.status, v.memberships \
     FROM persons p JOIN person_rows v ON v.person_id = p.id \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE p.corp_id = $1 AND lower(p.userid) = lower($2) AND p.released_at IS NULL";

/// Returns the person who has this userid now, without regard to case.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_present_by_userid(
    db: &Db,
    corp: &CorpId,
    userid: &UserId,
) -> sqlx::Result<Option<PresentPerson>> {
    let row: Option<PresentRow> =
        sqlx::query_as(FIND_PRESENT_BY_USERID).bind(corp).bind(userid).fetch_optional(db.pool()).await?;
    Ok(row.map(PresentPerson::from))
}

static FIND_ALL_PRESENT: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "SELECT v.person_id, v.userid, v.name, v.email, v.status, v.memberships FROM person_rows v \
           JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
         WHERE v.person_id IN (",
        1,
        "*",
        ")",
    )
});

/// Returns those of these persons whom the chart shows.
///
/// # Errors
/// If the database fails, or a row cannot be read: a person who is there must not look gone.
pub(crate) async fn find_all_present(
    db: &Db,
    corp: &CorpId,
    ids: &[PersonId],
) -> sqlx::Result<HashMap<PersonId, PresentPerson>> {
    let mut found = HashMap::with_capacity(ids.len());
    for (text, part) in FIND_ALL_PRESENT.chunks(ids) {
        let mut query = sqlx::query_as::<_, PresentRow>(text).bind(corp);
        for id in part {
            query = query.bind(id);
        }
        let rows = query.fetch_all(db.pool()).await?;
        found.extend(rows.into_iter().map(|row| (row.person_id.clone(), row.into())));
    }
    Ok(found)
}

/// Counts the persons whose row is newer than `version`.
///
/// # Errors
/// If the database fails.
pub(crate) async fn count_changed(db: &Db, corp: &CorpId, version: i64) -> sqlx::Result<i64> {
    sqlx::query_scalar(
        "SELECT COUNT(*) FROM person_rows v \
           JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
         WHERE v.since > $2",
    )
    .bind(corp)
    .bind(version)
    .fetch_one(db.pool())
    .await
}

const LIST_CHANGED: &str = "SELECT v.person_id, v.userid, v.name, v.email, v.status, v.memberships FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.since > $2 AND v.person_id > $3 ORDER BY v.person_id LIMIT $4";

/// Persons by id; `None` where the row cannot be read, so that nobody is let in by it.
pub(crate) type ChangedPage = Vec<(PersonId, Option<PresentPerson>)>;

/// Returns up to `limit` persons whose row is newer than `version`, by id after `after`.
///
/// Reads only those for whom `wanted` is true. The second value is the id to continue from.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_changed(
    db: &Db,
    corp: &CorpId,
    version: i64,
    after: &str,
    limit: i64,
    wanted: impl Fn(&PersonId) -> bool,
) -> sqlx::Result<(ChangedPage, Option<String>)> {
    let rows = sqlx::query(LIST_CHANGED)
        .bind(corp)
        .bind(version)
        .bind(after)
        .bind(limit)
        .fetch_all(db.pool())
        .await?;
    let more = i64::try_from(rows.len()).is_ok_and(|n| n == limit);
    let last = rows.last().filter(|_| more).map(|row| row.try_get("person_id")).transpose()?;
    let mut persons = Vec::new();
    for row in &rows {
        let id: PersonId = row.try_get("person_id")?;
        if wanted(&id) {
            let readable = keep_readable("person_rows", std::iter::once(PresentRow::from_row(row)))?;
            persons.push((id, readable.into_iter().next().map(PresentPerson::from)));
        }
    }
    Ok((persons, last))
}

//! SQL of bindings.

use const_format::formatcp;
use sqlx::FromRow;

use super::{ReassignedUserid, RuleBindings};
use crate::base::id::{CorpId, PersonId, UserId};
use crate::db::Db;
use crate::db::feed::{FeedKind, FeedTransaction};
use crate::db::types::{FlagColumn, JsonColumn};
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use crate::directory::{EntrySource, PersonStatus};

const LOCAL: &str = EntrySource::Local.as_str();
const LEFT: &str = PersonStatus::Left.as_str();

#[derive(FromRow)]
struct BindingRow {
    /// Folded.
    userid: String,
    person_id: PersonId,
}

/// Reads every binding.
///
/// # Errors
/// If the database fails.
pub async fn load_bindings(db: &Db, corp: &CorpId) -> sqlx::Result<RuleBindings> {
    let rows: Vec<BindingRow> =
        sqlx::query_as("SELECT userid, person_id FROM rule_bindings WHERE corp_id = $1")
            .bind(corp)
            .fetch_all(db.pool())
            .await?;
    Ok(RuleBindings::new(rows.into_iter().map(|row| (row.userid, row.person_id))))
}

/// Binds a userid to the first person that a rule matched. An existing binding stays.
///
/// # Errors
/// If the database fails.
pub(crate) async fn bind_userid(
    change: &mut FeedTransaction,
    userid: &UserId,
    person: &PersonId,
) -> sqlx::Result<()> {
    put_binding(
        change,
        "INSERT INTO rule_bindings (corp_id, userid, person_id, bound_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (corp_id, userid) DO NOTHING",
        userid,
        person,
    )
    .await
}

/// Binds a userid to its present holder, whoever it was bound to.
///
/// # Errors
/// If the database fails.
pub(crate) async fn accept_holder(
    change: &mut FeedTransaction,
    userid: &UserId,
    person: &PersonId,
) -> sqlx::Result<()> {
    put_binding(
        change,
        "INSERT INTO rule_bindings (corp_id, userid, person_id, bound_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (corp_id, userid) DO UPDATE SET person_id = excluded.person_id, \
                   bound_at = excluded.bound_at",
        userid,
        person,
    )
    .await
}

async fn put_binding(
    change: &mut FeedTransaction,
    sql: &'static str,
    userid: &UserId,
    person: &PersonId,
) -> sqlx::Result<()> {
    let (corp, now) = (change.corp().clone(), change.now());
    let done =
        sqlx::query(sql).bind(corp).bind(userid.folded()).bind(person).bind(now).execute(change.tx()).await?;
    if done.rows_affected() > 0 {
        change.announce(FeedKind::Binding, userid.folded());
    }
    Ok(())
}

const LIST_REASSIGNED: &str = formatcp!(
    "SELECT v.userid, b.person_id AS bound, v.person_id AS holder, v.name AS holder_name, \
       COALESCE((SELECT o.name FROM person_rows o WHERE o.person_id = b.person_id \
                   AND o.since <= c.version AND o.until > c.version), '') AS bound_name \
     FROM rule_bindings b JOIN persons p ON p.corp_id = b.corp_id AND lower(p.userid) = b.userid \
         AND p.released_at IS NULL AND p.id <> b.person_id \
       JOIN person_rows v ON v.person_id = p.id \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE b.corp_id = $1 AND v.status <> '{LEFT}' ORDER BY b.userid"
);

/// Returns the userids in rules that belong to somebody else now, by userid.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_reassigned(db: &Db, corp: &CorpId) -> sqlx::Result<Vec<ReassignedUserid>> {
    sqlx::query_as(LIST_REASSIGNED).bind(corp).fetch_all(db.pool()).await
}

#[derive(FromRow)]
struct UseridListRow {
    id: String,
    until: i64,
    userids: JsonColumn<Vec<UserId>>,
}

const SELECT_LEADERS: &str = formatcp!(
    "SELECT v.id, v.until, v.leaders AS userids FROM unit_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.leaders <> '[]' AND ($2 = 1 OR v.source = '{LOCAL}') ORDER BY v.id"
);

const SELECT_TAG_USERS: &str = "SELECT v.id, v.until, v.users AS userids FROM tag_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.users <> '[]' ORDER BY v.id";

/// Removes userids that went to somebody else from lists that mean the holder before.
///
/// They are removed from the leaders of local units and from tags, and with `departments` (where no
/// run has just read them) from the leaders of departments. What WeCom says of the new holder comes
/// with the next run.
///
/// # Errors
/// If the database fails.
pub(crate) async fn strip_reassigned_userids(
    change: &mut DirectoryTransaction,
    userids: &[UserId],
    departments: bool,
) -> sqlx::Result<()> {
    let folded: Vec<String> = userids.iter().map(UserId::folded).collect();
    let corp = change.corp().clone();
    let units: Vec<UseridListRow> = sqlx::query_as(SELECT_LEADERS)
        .bind(&corp)
        .bind(FlagColumn(departments))
        .fetch_all(change.tx())
        .await?;
    let tags: Vec<UseridListRow> =
        sqlx::query_as(SELECT_TAG_USERS).bind(&corp).fetch_all(change.tx()).await?;
    let mut stripped = false;
    for (rows, entity, sql) in [
        (
            units,
            DirectoryEntity::Unit,
            "UPDATE unit_rows SET leaders = $3, updated_at = $4 WHERE id = $1 AND until = $2",
        ),
        (
            tags,
            DirectoryEntity::Tag,
            "UPDATE tag_rows SET users = $3, updated_at = $4 WHERE id = $1 AND until = $2",
        ),
    ] {
        for UseridListRow { id, until, userids: JsonColumn(named) } in rows {
            let kept: Vec<&UserId> = named.iter().filter(|u| !folded.contains(&u.folded())).collect();
            if kept.len() == named.len() {
                continue;
            }
            let now = change.now();
            // `until` selects the published row; a row that a run has prepared stays as it is.
            sqlx::query(sql)
                .bind(&id)
                .bind(until)
                .bind(JsonColumn(kept))
                .bind(now)
                .execute(change.tx())
                .await?;
            change.note_directory_change(entity, id, DirectoryChangeKind::Updated);
            stripped = true;
        }
    }
    if stripped {
        change.announce(FeedKind::Chart, "");
    }
    Ok(())
}

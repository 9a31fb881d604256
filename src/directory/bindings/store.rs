//! SQL of bindings.

use sqlx::Row as _;

use super::{ReassignedUserid, RuleBindings};
use crate::base::id::{CorpId, PersonId, UserId};
use crate::db::Db;
use crate::db::feed::{FeedKind, FeedTransaction};
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use crate::directory::row::{from_json, published, to_json};

/// Reads every binding.
///
/// # Errors
/// If the database fails.
pub async fn load_bindings(db: &Db, corp: &CorpId) -> sqlx::Result<RuleBindings> {
    let rows = sqlx::query("SELECT userid, person_id FROM rule_bindings WHERE corp_id = $1")
        .bind(corp.as_str())
        .fetch_all(db.pool())
        .await?;
    let read = |row: &sqlx::any::AnyRow| Ok((row.try_get(0)?, PersonId::new(row.try_get::<String, _>(1)?)));
    Ok(RuleBindings::new(rows.iter().map(read).collect::<sqlx::Result<Vec<_>>>()?))
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
    let done = sqlx::query(sql)
        .bind(corp.as_str())
        .bind(userid.folded())
        .bind(person.as_str())
        .bind(now.millis())
        .execute(change.tx())
        .await?;
    if done.rows_affected() > 0 {
        change.announce(FeedKind::Binding, userid.folded());
    }
    Ok(())
}

/// Returns the userids in rules that belong to somebody else now, by userid.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_reassigned(db: &Db, corp: &CorpId) -> sqlx::Result<Vec<ReassignedUserid>> {
    let rows = sqlx::query(concat!(
        "SELECT v.userid, b.person_id, COALESCE((SELECT o.name FROM person_rows o WHERE o.person_id = b.person_id \
            AND o.since <= c.version AND o.until > c.version), ''), v.person_id, v.name \
         FROM rule_bindings b JOIN persons p ON p.corp_id = b.corp_id AND lower(p.userid) = b.userid \
           AND p.released_at IS NULL AND p.id <> b.person_id \
         JOIN person_rows v ON v.person_id = p.id ",
        published!(),
        "WHERE b.corp_id = $1 AND v.status <> 'left' ORDER BY b.userid"
    ))
    .bind(corp.as_str())
    .fetch_all(db.pool())
    .await?;
    let read = |row: &sqlx::any::AnyRow| {
        let text = |column: usize| row.try_get::<String, _>(column);
        Ok(ReassignedUserid {
            userid: UserId::new(text(0)?),
            bound: PersonId::new(text(1)?),
            bound_name: text(2)?,
            holder: PersonId::new(text(3)?),
            holder_name: text(4)?,
        })
    };
    rows.iter().map(read).collect()
}

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
    let units = sqlx::query(concat!(
        "SELECT v.id, v.until, v.leaders, v.source FROM unit_rows v ",
        published!(),
        "WHERE v.leaders <> '[]' AND ($2 = 1 OR v.source = 'local') ORDER BY v.id"
    ))
    .bind(corp.as_str())
    .bind(i64::from(departments))
    .fetch_all(change.tx())
    .await?;
    let tags = sqlx::query(concat!(
        "SELECT v.id, v.until, v.users FROM tag_rows v ",
        published!(),
        "WHERE v.users <> '[]' ORDER BY v.id"
    ))
    .bind(corp.as_str())
    .fetch_all(change.tx())
    .await?;
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
        for row in rows {
            let (id, until, list): (String, i64, String) =
                (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
            let named: Vec<UserId> = from_json("a list of userids", &list)?;
            let kept: Vec<&UserId> = named.iter().filter(|u| !folded.contains(&u.folded())).collect();
            if kept.len() == named.len() {
                continue;
            }
            let now = change.now().millis();
            // `until` selects the published row; a row that a run has prepared stays as it is.
            sqlx::query(sql)
                .bind(&id)
                .bind(until)
                .bind(to_json(&kept)?)
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

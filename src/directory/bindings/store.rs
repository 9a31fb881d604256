//! SQL of bindings.

use sqlx::Row as _;

use super::{Bindings, Taken};
use crate::base::id::{CorpId, PersonId, UserId};
use crate::db::Db;
use crate::db::feed::{Change, Kind};
use crate::directory::row::published;

/// Every binding.
///
/// # Errors
/// If the database fails.
pub async fn all(db: &Db, corp: &CorpId) -> sqlx::Result<Bindings> {
    let rows = sqlx::query("SELECT userid, person_id FROM rule_bindings WHERE corp_id = $1")
        .bind(corp.as_str())
        .fetch_all(db.pool())
        .await?;
    let read = |row: &sqlx::any::AnyRow| Ok((row.try_get(0)?, PersonId::new(row.try_get::<String, _>(1)?)));
    Ok(Bindings::new(rows.iter().map(read).collect::<sqlx::Result<Vec<_>>>()?))
}

/// Binds a userid to the person that a rule matched first; one that is bound already stays.
///
/// # Errors
/// If the database fails.
pub async fn bind(change: &mut Change, userid: &UserId, person: &PersonId) -> sqlx::Result<()> {
    put(
        change,
        "INSERT INTO rule_bindings (corp_id, userid, person_id, bound_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (corp_id, userid) DO NOTHING",
        userid,
        person,
    )
    .await
}

/// Binds a userid to its holder of now, whoever it was bound to.
///
/// # Errors
/// If the database fails.
pub async fn accept(change: &mut Change, userid: &UserId, person: &PersonId) -> sqlx::Result<()> {
    put(
        change,
        "INSERT INTO rule_bindings (corp_id, userid, person_id, bound_at) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (corp_id, userid) DO UPDATE SET person_id = excluded.person_id, \
                   bound_at = excluded.bound_at",
        userid,
        person,
    )
    .await
}

async fn put(change: &mut Change, sql: &'static str, userid: &UserId, person: &PersonId) -> sqlx::Result<()> {
    let (corp, now) = (change.corp().clone(), change.now());
    let done = sqlx::query(sql)
        .bind(corp.as_str())
        .bind(userid.folded())
        .bind(person.as_str())
        .bind(now.millis())
        .execute(change.tx())
        .await?;
    if done.rows_affected() > 0 {
        change.announce(Kind::Binding, userid.folded());
    }
    Ok(())
}

/// Userids in rules that are somebody else's now, by userid.
///
/// # Errors
/// If the database fails.
pub async fn taken(db: &Db, corp: &CorpId) -> sqlx::Result<Vec<Taken>> {
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
        Ok(Taken {
            userid: UserId::new(text(0)?),
            bound: PersonId::new(text(1)?),
            bound_name: text(2)?,
            holder: PersonId::new(text(3)?),
            holder_name: text(4)?,
        })
    };
    rows.iter().map(read).collect()
}

//! SQL of writing a plan.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use const_format::formatcp;
use sqlx::any::AnyRow;
use sqlx::{AnyConnection, FromRow, Row as _};

use super::{ApplyError, RunFence};
use crate::base::clock::Timestamp;
use crate::base::id::{CorpId, PersonId, UserId};
use crate::db::bind_list::ListStatement;
use crate::db::hot_statement::HotStatement;
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity};
use crate::directory::row::{OPEN_UNTIL, PersonRow, format_memberships, to_json};
use crate::directory::{Person, Tag, Unit};
use crate::sync::state::SyncRunStatus;

pub(super) fn hot_statements() -> Vec<HotStatement> {
    let single = |name, statement: &'static ListStatement, indexes| HotStatement {
        name,
        sql: statement.single_row_text(),
        indexes,
    };
    vec![
        single("find_holders", &SELECT_HOLDERS, &["persons_userid"]),
        single("find_current_rows", &SELECT_CURRENT_ROWS, &["persons_pkey", "person_rows_pkey"]),
        single("close_units", &CLOSE_UNITS, &["unit_rows_pkey"]),
        single("close_tags", &CLOSE_TAGS, &["tag_rows_pkey"]),
        single("close_persons", &CLOSE_PERSONS, &["person_rows_pkey"]),
    ]
}

/// Locks the run's row and renews its lease.
///
/// # Errors
/// [`ApplyError::Lost`] if the run is no longer ours.
pub(super) async fn renew_lease(
    tx: &mut AnyConnection,
    fence: &RunFence,
    now: Timestamp,
) -> Result<(), ApplyError> {
    let done = sqlx::query(formatcp!(
        "UPDATE sync_runs SET lease_until = $3 WHERE id = $1 AND holder = $2 AND status = '{RUNNING}'",
        RUNNING = SyncRunStatus::Running.as_str()
    ))
    .bind(&fence.run)
    .bind(fence.holder.as_str())
    .bind(now.plus(fence.lease))
    .execute(tx)
    .await?;
    if done.rows_affected() == 1 { Ok(()) } else { Err(ApplyError::Lost) }
}

static INSERT_IDENTITIES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at, released_at) VALUES ",
        4,
        "(*, $1, *, $2, 0, $3, $4)",
        " ON CONFLICT DO NOTHING",
    )
});

/// Inserts identities; returns the ids of those whose userid and id were free.
pub(super) async fn insert_identities<'p>(
    tx: &mut AnyConnection,
    corp: &CorpId,
    persons: &[&'p Person],
    checked_at: Timestamp,
    now: Timestamp,
    released_at: Option<Timestamp>,
) -> sqlx::Result<HashSet<&'p PersonId>> {
    let mut made = HashSet::with_capacity(persons.len());
    for (text, part) in INSERT_IDENTITIES.chunks(persons) {
        let mut query = sqlx::query(text).bind(corp).bind(checked_at).bind(now).bind(released_at);
        for person in part {
            query = query.bind(&person.id).bind(&person.userid);
        }
        let done = query.execute(&mut *tx).await?;
        // Nearly always all are new. Only otherwise is it worth a row each to hear which ones.
        if usize::try_from(done.rows_affected()) == Ok(part.len()) {
            made.extend(part.iter().map(|person| &person.id));
        } else {
            let known = find_userids(tx, part).await?;
            let own = part.iter().filter(|person| known.get(&person.id) == Some(&person.userid));
            made.extend(own.map(|person| &person.id));
        }
    }
    Ok(made)
}

#[derive(FromRow)]
struct StoredUseridRow {
    id: PersonId,
    userid: UserId,
}

static SELECT_USERIDS: LazyLock<ListStatement> =
    LazyLock::new(|| ListStatement::new("SELECT id, userid FROM persons WHERE id IN (", 0, "*", ")"));

/// Returns the userids of those of these ids that exist.
async fn find_userids(
    tx: &mut AnyConnection,
    persons: &[&Person],
) -> sqlx::Result<HashMap<PersonId, UserId>> {
    let mut known = HashMap::with_capacity(persons.len());
    for (text, part) in SELECT_USERIDS.chunks(persons) {
        let mut query = sqlx::query_as(text);
        for person in part {
            query = query.bind(&person.id);
        }
        let rows: Vec<StoredUseridRow> = query.fetch_all(&mut *tx).await?;
        known.extend(rows.into_iter().map(|row| (row.id, row.userid)));
    }
    Ok(known)
}

static SELECT_HOLDERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "SELECT id, userid FROM persons WHERE corp_id = $1 AND released_at IS NULL AND lower(userid) IN (",
        1,
        "lower(*)",
        ")",
    )
});

/// Returns who has these userids now, by folded userid.
pub(super) async fn find_holders(
    tx: &mut AnyConnection,
    corp: &CorpId,
    userids: &[&UserId],
) -> sqlx::Result<HashMap<String, PersonId>> {
    let mut holders = HashMap::with_capacity(userids.len());
    for (text, part) in SELECT_HOLDERS.chunks(userids) {
        let mut query = sqlx::query_as(text).bind(corp);
        for userid in part {
            query = query.bind(*userid);
        }
        let rows: Vec<StoredUseridRow> = query.fetch_all(&mut *tx).await?;
        holders.extend(rows.into_iter().map(|row| (row.userid.folded(), row.id)));
    }
    Ok(holders)
}

static LOCK_IDENTITIES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new("UPDATE persons SET check_lease = check_lease WHERE id IN (", 0, "*", ")")
});

/// Locks the rows of identities, in the order given as far as the engine keeps it.
pub(super) async fn lock_identities(tx: &mut AnyConnection, ids: &[&PersonId]) -> sqlx::Result<()> {
    for (text, part) in LOCK_IDENTITIES.chunks(ids) {
        let mut query = sqlx::query(text);
        for id in part {
            query = query.bind(*id);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// The newest row of a person, with the identity's own columns.
pub(super) struct CurrentRow {
    /// The row, or why it cannot be read.
    pub(super) person: sqlx::Result<Person>,
    /// When WeCom was last asked about this person singly.
    pub(super) checked_at: Timestamp,
    /// Whether the identity gave up its userid.
    pub(super) is_released: bool,
    pub(super) userid: UserId,
}

static SELECT_CURRENT_ROWS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "SELECT v.person_id, v.userid, v.name, v.email, v.source, v.status, v.left_at, v.main_unit, v.memberships, \
           v.detail, v.said, p.checked_at, p.released_at, p.userid AS identity_userid \
         FROM persons p JOIN person_rows v ON v.person_id = p.id WHERE v.until = $1 AND p.id IN (",
        1,
        "*",
        ")",
    )
});

/// Returns the newest rows of persons; a person without a row is left out.
pub(super) async fn find_current_rows(
    tx: &mut AnyConnection,
    ids: &[&PersonId],
) -> sqlx::Result<HashMap<PersonId, CurrentRow>> {
    let read = |row: &AnyRow| -> sqlx::Result<(PersonId, CurrentRow)> {
        let now = CurrentRow {
            person: PersonRow::from_row(row).map(Person::from),
            checked_at: row.try_get("checked_at")?,
            is_released: row.try_get::<Option<Timestamp>, _>("released_at")?.is_some(),
            userid: row.try_get("identity_userid")?,
        };
        Ok((row.try_get("person_id")?, now))
    };
    let mut found = HashMap::with_capacity(ids.len());
    for (text, part) in SELECT_CURRENT_ROWS.chunks(ids) {
        let mut query = sqlx::query(text).bind(OPEN_UNTIL);
        for id in part {
            query = query.bind(*id);
        }
        for row in query.fetch_all(&mut *tx).await? {
            let (id, now) = read(&row)?;
            found.insert(id, now);
        }
    }
    Ok(found)
}

static CLOSE_UNITS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "UPDATE unit_rows SET until = $1 WHERE until = $2 AND since < $1 AND id IN (",
        2,
        "*",
        ")",
    )
});
static CLOSE_TAGS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "UPDATE tag_rows SET until = $1 WHERE until = $2 AND since < $1 AND id IN (",
        2,
        "*",
        ")",
    )
});
static CLOSE_PERSONS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "UPDATE person_rows SET until = $1 WHERE until = $2 AND since < $1 AND person_id IN (",
        2,
        "*",
        ")",
    )
});

/// Ends the open rows of these ids with version `next`.
pub(super) async fn close_rows(
    tx: &mut AnyConnection,
    entity: DirectoryEntity,
    next: i64,
    ids: &[&str],
) -> sqlx::Result<()> {
    let many: &'static ListStatement = match entity {
        DirectoryEntity::Unit => &CLOSE_UNITS,
        DirectoryEntity::Tag => &CLOSE_TAGS,
        DirectoryEntity::Person => &CLOSE_PERSONS,
    };
    for (text, part) in many.chunks(ids) {
        let mut query = sqlx::query(text).bind(next).bind(OPEN_UNTIL);
        for id in part {
            query = query.bind(*id);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

static INSERT_UNITS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "INSERT INTO unit_rows (corp_id, since, until, updated_at, id, wecom_id, source, parent_id, name, name_en, \
                                sort, leaders) VALUES ",
        4,
        "($1, $2, $3, $4, *, *, *, *, *, *, *, *)",
        "",
    )
});

/// Inserts units as they are from version `next` on.
pub(super) async fn insert_units(
    tx: &mut AnyConnection,
    corp: &CorpId,
    next: i64,
    units: &[&Unit],
    now: Timestamp,
) -> sqlx::Result<()> {
    for (text, part) in INSERT_UNITS.chunks(units) {
        let mut query = sqlx::query(text).bind(corp).bind(next).bind(OPEN_UNTIL).bind(now);
        for unit in part {
            query = query
                .bind(&unit.id)
                .bind(unit.wecom_id.map(i64::from))
                .bind(unit.source.as_str())
                .bind(unit.parent.as_ref())
                .bind(unit.name.as_str())
                .bind(unit.name_en.as_str())
                .bind(i64::from(unit.order))
                .bind(to_json(&unit.leaders)?);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

static INSERT_TAGS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "INSERT INTO tag_rows (corp_id, since, until, updated_at, id, wecom_id, name, users, units) VALUES ",
        4,
        "($1, $2, $3, $4, *, *, *, *, *)",
        "",
    )
});

/// Inserts tags as they are from version `next` on.
pub(super) async fn insert_tags(
    tx: &mut AnyConnection,
    corp: &CorpId,
    next: i64,
    tags: &[&Tag],
    now: Timestamp,
) -> sqlx::Result<()> {
    for (text, part) in INSERT_TAGS.chunks(tags) {
        let mut query = sqlx::query(text).bind(corp).bind(next).bind(OPEN_UNTIL).bind(now);
        for tag in part {
            query = query
                .bind(&tag.id)
                .bind(tag.wecom_id.map(i64::from))
                .bind(tag.name.as_str())
                .bind(to_json(&tag.users)?)
                .bind(to_json(&tag.units)?);
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

static INSERT_PERSONS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "INSERT INTO person_rows (corp_id, since, until, updated_at, person_id, userid, name, email, source, status, \
                                  left_at, main_unit, memberships, detail, said) VALUES ",
        4,
        "($1, $2, $3, $4, *, *, *, *, *, *, *, *, *, *, *)",
        "",
    )
});

/// Inserts persons as they are from version `next` on.
pub(super) async fn insert_persons(
    tx: &mut AnyConnection,
    corp: &CorpId,
    next: i64,
    persons: &[Cow<'_, Person>],
    now: Timestamp,
) -> sqlx::Result<()> {
    for (text, part) in INSERT_PERSONS.chunks(persons) {
        let mut query = sqlx::query(text).bind(corp).bind(next).bind(OPEN_UNTIL).bind(now);
        for person in part {
            query = query
                .bind(&person.id)
                .bind(&person.userid)
                .bind(person.name.as_str())
                .bind(person.email.as_str())
                .bind(person.source.as_str())
                .bind(person.status.as_str())
                .bind(person.left_at)
                .bind(person.main_unit.as_ref())
                .bind(format_memberships(&person.memberships)?)
                .bind(to_json(&person.details)?)
                .bind(person.fingerprint.as_str());
        }
        query.execute(&mut *tx).await?;
    }
    Ok(())
}

/// Updates the fingerprints of rows that are otherwise unchanged.
pub(super) async fn set_fingerprints(
    tx: &mut AnyConnection,
    fingerprints: &[(&str, String)],
) -> sqlx::Result<()> {
    for (id, fingerprint) in fingerprints {
        sqlx::query("UPDATE person_rows SET said = $2 WHERE person_id = $1 AND until = $3")
            .bind(*id)
            .bind(fingerprint)
            .bind(OPEN_UNTIL)
            .execute(&mut *tx)
            .await?;
    }
    Ok(())
}

static INSERT_CHANGES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "INSERT INTO directory_changes (batch, corp_id, kind, change, n, id) VALUES ",
        4,
        "($1, $2, $3, $4, *, *)",
        "",
    )
});

/// Inserts entries of the change feed, numbered from `first` on.
pub(super) async fn insert_changes(
    tx: &mut AnyConnection,
    corp: &CorpId,
    batch: i64,
    first: i64,
    noted: &[(DirectoryEntity, String, DirectoryChangeKind)],
) -> sqlx::Result<()> {
    let mut number = first;
    for same in noted.chunk_by(|a, b| (a.0, a.2) == (b.0, b.2)) {
        let Some((entity, _, what)) = same.first() else { continue };
        for (text, part) in INSERT_CHANGES.chunks(same) {
            let mut query = sqlx::query(text).bind(batch).bind(corp).bind(*entity).bind(*what);
            for (_, id, _) in part {
                query = query.bind(number).bind(id.as_str());
                number += 1;
            }
            query.execute(&mut *tx).await?;
        }
    }
    Ok(())
}

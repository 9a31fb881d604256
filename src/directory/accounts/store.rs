//! SQL of userids and accounts.

use std::collections::HashMap;
use std::sync::LazyLock;

use const_format::formatcp;
use sqlx::{FromRow, Row as _};

use super::{ActiveAccount, UseridHolder};
use crate::base::id::{CorpId, PersonId, UserId};
use crate::db::Db;
use crate::db::bind_list::ListStatement;
use crate::directory::row::{MembershipList, keep_readable};
use crate::directory::{EntrySource, PersonStatus};

const WECOM: &str = EntrySource::Wecom.as_str();
const ACTIVE: &str = PersonStatus::Active.as_str();
const LEFT: &str = PersonStatus::Left.as_str();

static FIND_HOLDERS: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "SELECT lower(p.userid) AS folded, v.person_id, v.source, v.status \
         FROM persons p JOIN person_rows v ON v.person_id = p.id \
           JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
         WHERE p.corp_id = $1 AND p.released_at IS NULL AND lower(p.userid) IN (",
        1,
        "*",
        ")",
    )
});

/// Returns the statement that finds the holder of one userid.
pub(in crate::directory) fn find_holder_statement() -> &'static str {
    FIND_HOLDERS.single_row_text()
}

/// Returns who of the published chart has these userids, by userid in lower case.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_userid_holders(
    db: &Db,
    corp: &CorpId,
    userids: &[UserId],
) -> sqlx::Result<HashMap<String, UseridHolder>> {
    #[derive(FromRow)]
    struct HolderRow {
        folded: String,
        #[sqlx(flatten)]
        holder: UseridHolder,
    }
    let mut folded: Vec<String> = userids.iter().map(UserId::folded).collect();
    // Filled up with the last one, so that few statements find many: each userid has a row or none.
    if let (Some(last), places) = (folded.last().cloned(), round_up(folded.len())) {
        folded.resize(places, last);
    }
    let mut found = HashMap::with_capacity(folded.len());
    for (text, part) in FIND_HOLDERS.chunks(&folded) {
        let mut query = sqlx::query(text).bind(corp);
        for userid in part {
            query = query.bind(userid);
        }
        let rows = query.fetch_all(db.pool()).await?;
        for row in keep_readable("person_rows", rows.iter().map(HolderRow::from_row))? {
            found.insert(row.folded, row.holder);
        }
    }
    Ok(found)
}

/// Rounds a number of userids up to one that [`ListStatement`] covers with few statements.
const fn round_up(count: usize) -> usize {
    match count {
        0 | 1 => count,
        2..=20 => count.next_multiple_of(10),
        _ => count.next_multiple_of(100),
    }
}

static FIND_IDENTITIES: LazyLock<ListStatement> = LazyLock::new(|| {
    ListStatement::new(
        "SELECT lower(userid) AS folded, id FROM persons \
         WHERE corp_id = $1 AND released_at IS NULL AND lower(userid) IN (",
        1,
        "*",
        ")",
    )
});

#[derive(FromRow)]
struct IdentityRow {
    folded: String,
    id: PersonId,
}

/// Returns who owns these userids, which are in lower case, also where the chart does not show the
/// person. Userids that nobody owns are left out.
///
/// # Errors
/// If the database fails.
pub(crate) async fn find_userid_owners(
    db: &Db,
    corp: &CorpId,
    folded: &[String],
) -> sqlx::Result<HashMap<String, PersonId>> {
    let mut found = HashMap::new();
    for (text, part) in FIND_IDENTITIES.chunks(folded) {
        let mut query = sqlx::query_as(text).bind(corp);
        for userid in part {
            query = query.bind(userid);
        }
        let rows: Vec<IdentityRow> = query.fetch_all(db.pool()).await?;
        found.extend(rows.into_iter().map(|row| (row.folded, row.id)));
    }
    Ok(found)
}

const LIST_ACTIVE_ACCOUNTS: &str = formatcp!(
    "SELECT v.person_id, v.userid, v.memberships FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.person_id > $2 AND v.source = '{WECOM}' AND v.status = '{ACTIVE}' ORDER BY v.person_id LIMIT $3"
);

/// Returns up to `limit` active persons whom WeCom knows, by id after `after`, and the last id that
/// was read, if there was any.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_active_accounts(
    db: &Db,
    corp: &CorpId,
    after: &str,
    limit: i64,
) -> sqlx::Result<(Vec<ActiveAccount>, Option<String>)> {
    #[derive(FromRow)]
    struct AccountRow {
        person_id: PersonId,
        userid: UserId,
        memberships: MembershipList,
    }
    let rows =
        sqlx::query(LIST_ACTIVE_ACCOUNTS).bind(corp).bind(after).bind(limit).fetch_all(db.pool()).await?;
    let last = rows.last().map(|row| row.try_get("person_id")).transpose()?;
    let accounts = keep_readable("person_rows", rows.iter().map(AccountRow::from_row))?
        .into_iter()
        .map(|row| ActiveAccount { id: row.person_id, userid: row.userid, memberships: row.memberships.0 });
    Ok((accounts.collect(), last))
}

/// Counts the members that the published chart has from WeCom.
///
/// # Errors
/// If the database fails.
pub(crate) async fn count_accounts(db: &Db, corp: &CorpId) -> sqlx::Result<i64> {
    sqlx::query_scalar(formatcp!(
        "SELECT COUNT(*) FROM person_rows v \
           JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
         WHERE v.source = '{WECOM}' AND v.status <> '{LEFT}'"
    ))
    .bind(corp)
    .fetch_one(db.pool())
    .await
}

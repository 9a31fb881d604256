//! SQL of lists: persons page by page, the change feed, and forgetting its old part.

use sqlx::Row as _;
use sqlx::any::AnyRow;

use super::{Changed, Feed, Which};
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::db::Db;
use crate::directory::row::{self, published};
use crate::directory::{Person, Status};

/// Up to `limit` persons of the published version by id, those who left included.
///
/// # Errors
/// If the database fails.
pub async fn persons(db: &Db, corp: &CorpId, which: &Which, limit: i64) -> sqlx::Result<Vec<Person>> {
    // The text of memberships is ours (row::memberships_text), and an id of ours has no wildcard in it.
    let unit = which.unit.as_ref().map_or_else(String::new, |unit| format!("%[\"{unit}\",%"));
    sqlx::query(concat!(
        "SELECT ",
        row::person_columns!(),
        " FROM person_rows v ",
        published!(),
        "WHERE v.person_id > $2 AND ($3 = '' OR v.status = $3) AND ($4 = '' OR v.memberships LIKE $4) \
         ORDER BY v.person_id LIMIT $5"
    ))
    .bind(corp.as_str())
    .bind(which.after.as_ref().map_or("", |id| id.as_str()))
    .bind(which.status.map_or("", Status::as_str))
    .bind(unit)
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(row::person)
    .collect()
}

/// A publication: which numbers it gave to which rows.
struct Publication {
    first: i64,
    count: i64,
    ours: bool,
}

/// Up to `limit` changes after number `since`; `None`: from the oldest that is kept.
///
/// Numbers are of all corporations in this database, items of `corp` only: a part may be empty and yet lead on.
///
/// # Errors
/// If the database fails.
pub async fn changes(db: &Db, corp: &CorpId, since: Option<i64>, limit: i64) -> sqlx::Result<Feed> {
    // The newest number first: what is published meanwhile is neither missed nor taken for lost.
    let newest = newest(db).await?;
    let since = match since {
        Some(since) => since,
        None => oldest(db).await?.map_or(newest, |first| first - 1),
    };
    if since == newest {
        return Ok(Feed::Part { items: Vec::new(), last: since });
    }
    let publications = publications(db, corp, since, limit).await?;
    // Where the rows after `since` begin: inside the first publication.
    let Some(first) = publications.first().filter(|p| since < newest && since < p.first + p.count) else {
        return Ok(Feed::Gone);
    };
    let (first, offset) = (first.first, since + 1 - first.first);
    let mut rows = page_of_first(db, corp, first, offset, limit).await?;
    let wanted = limit - i64::try_from(rows.len()).unwrap_or(limit);
    if let (Some(last), true) = (publications.last().filter(|p| p.first > first), wanted > 0) {
        rows.extend(page_of_next(db, corp, (first, last.first), wanted).await?);
    }
    Ok(join(&publications, rows, since, limit))
}

/// Puts rows to the publications they belong to, as far as nothing lies between them. A publication whose rows are no
/// longer there ends the part: the next call says that it is gone.
fn join(publications: &[Publication], rows: Vec<(i64, Changed)>, since: i64, limit: i64) -> Feed {
    let mut rows = rows.into_iter().peekable();
    let (mut items, mut last) = (Vec::new(), since);
    let full = |items: &Vec<Changed>| i64::try_from(items.len()).is_ok_and(|n| n >= limit);
    for publication in publications {
        let end = publication.first + publication.count - 1;
        if publication.first > last + 1 || full(&items) {
            break;
        }
        let before = items.len();
        while let Some((_, change)) = rows.next_if(|(first, _)| *first == publication.first) {
            last = change.seq;
            items.push(change);
        }
        if publication.ours && items.len() == before {
            break;
        }
        if !full(&items) {
            last = end;
        }
    }
    if items.is_empty() && last == since { Feed::Gone } else { Feed::Part { items, last } }
}

/// The newest number of the change feed.
async fn newest(db: &Db) -> sqlx::Result<i64> {
    sqlx::query("SELECT seq FROM feed_counter WHERE name = 'directory'")
        .fetch_one(db.pool())
        .await?
        .try_get(0)
}

/// The oldest number that is kept.
async fn oldest(db: &Db) -> sqlx::Result<Option<i64>> {
    sqlx::query("SELECT MIN(first_seq) FROM publications").fetch_one(db.pool()).await?.try_get(0)
}

/// The publication that number `since + 1` belongs to, and what follows it: each has at least one row, so that `limit`
/// of them are enough.
async fn publications(db: &Db, corp: &CorpId, since: i64, limit: i64) -> sqlx::Result<Vec<Publication>> {
    sqlx::query(
        "SELECT first_seq, count, corp_id FROM publications \
         WHERE first_seq >= (SELECT MAX(first_seq) FROM publications WHERE first_seq <= $1) \
         ORDER BY first_seq LIMIT $2",
    )
    .bind(since + 1)
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(|row| {
        let owner: String = row.try_get(2)?;
        Ok(Publication { first: row.try_get(0)?, count: row.try_get(1)?, ours: owner == corp.as_str() })
    })
    .collect()
}

/// Rows of one publication from its row `offset` on.
async fn page_of_first(
    db: &Db,
    corp: &CorpId,
    first: i64,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<(i64, Changed)>> {
    sqlx::query(
        "SELECT p.first_seq, d.n, d.kind, d.id, d.change, p.at \
         FROM publications p JOIN directory_changes d ON d.batch = p.batch \
         WHERE p.first_seq = $1 AND p.corp_id = $2 AND d.n >= $3 AND d.n < p.count ORDER BY d.n LIMIT $4",
    )
    .bind(first)
    .bind(corp.as_str())
    .bind(offset)
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(changed)
    .collect()
}

/// The first rows of the publications after `between.0` up to `between.1`. A row before which there are `limit` others
/// of its own publication is on a later page in any case: so 100 000 rows of one cost a page no more than one page.
async fn page_of_next(
    db: &Db,
    corp: &CorpId,
    between: (i64, i64),
    limit: i64,
) -> sqlx::Result<Vec<(i64, Changed)>> {
    sqlx::query(
        "SELECT p.first_seq, d.n, d.kind, d.id, d.change, p.at \
         FROM publications p JOIN directory_changes d ON d.batch = p.batch \
         WHERE p.first_seq > $1 AND p.first_seq <= $2 AND p.corp_id = $3 AND d.n < $4 AND d.n < p.count \
         ORDER BY p.first_seq, d.n LIMIT $4",
    )
    .bind(between.0)
    .bind(between.1)
    .bind(corp.as_str())
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(changed)
    .collect()
}

fn changed(row: &AnyRow) -> sqlx::Result<(i64, Changed)> {
    let (first, n): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
    let at = Timestamp::from_millis(row.try_get(5)?);
    Ok((
        first,
        Changed { seq: first + n, kind: row.try_get(2)?, id: row.try_get(3)?, change: row.try_get(4)?, at },
    ))
}

//! SQL of the lists: persons page by page, and the change feed.

use sqlx::FromRow;

use super::{DirectoryChange, Feed, PersonFilter};
use crate::base::clock::Timestamp;
use crate::base::id::CorpId;
use crate::db::Db;
use crate::db::feed::{FeedCounter, read_counter};
use crate::directory::changes::{DirectoryChangeKind, DirectoryEntity};
use crate::directory::row::PersonRow;
use crate::directory::{Person, PersonStatus};

const LIST_PERSONS: &str = "SELECT v.person_id, v.userid, v.name, v.email, v.source, v.status, v.left_at, v.main_unit, \
       v.memberships, v.detail, v.said \
     FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.person_id > $2 AND ($3 = '' OR v.status = $3) AND ($4 = '' OR v.memberships LIKE $4) \
     ORDER BY v.person_id LIMIT $5";

/// Returns up to `limit` persons of the published version by id, including those who left.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_persons(
    db: &Db,
    corp: &CorpId,
    which: &PersonFilter,
    limit: i64,
) -> sqlx::Result<Vec<Person>> {
    // We wrote this text (see `row::format_memberships`), and our ids contain no wildcards.
    let unit = which.unit.as_ref().map_or_else(String::new, |unit| format!("%[\"{unit}\",%"));
    let rows: Vec<PersonRow> = sqlx::query_as(LIST_PERSONS)
        .bind(corp)
        .bind(which.after.as_ref().map_or("", |id| id.as_str()))
        .bind(which.status.map_or("", PersonStatus::as_str))
        .bind(unit)
        .bind(limit)
        .fetch_all(db.pool())
        .await?;
    Ok(rows.into_iter().map(Person::from).collect())
}

#[derive(FromRow)]
struct PublicationRow {
    first_seq: i64,
    count: i64,
    corp_id: CorpId,
}

/// A publication: the range of sequence numbers that it gave to its changes.
struct FeedPublication {
    first: i64,
    count: i64,
    ours: bool,
}

/// Returns up to `limit` changes after the number `since`, or from the oldest that is kept.
///
/// Numbers are shared by all corporations of the database, items are those of `corp` only. So a
/// page may be empty and still advance.
///
/// # Errors
/// If the database fails.
pub async fn read_changes(db: &Db, corp: &CorpId, since: Option<i64>, limit: i64) -> sqlx::Result<Feed> {
    // Read the newest number first: a change that is published meanwhile is then neither missed nor
    // taken for lost.
    let newest = read_counter(db, FeedCounter::Directory).await?;
    let since = match since {
        Some(since) => since,
        None => oldest_seq(db, corp).await?.map_or(newest, |first| first - 1),
    };
    if since == newest {
        return Ok(Feed::Part { items: Vec::new(), last: since });
    }
    let publications = list_publications(db, corp, since, limit).await?;
    // The rows after `since` begin inside the first publication.
    let Some(first) = publications.first().filter(|p| since < newest && since < p.first + p.count) else {
        return Ok(Feed::Gone);
    };
    let (first, offset) = (first.first, since + 1 - first.first);
    let mut rows = rows_of_publication(db, corp, first, offset, limit).await?;
    let wanted = limit - i64::try_from(rows.len()).unwrap_or(limit);
    if let (Some(last), true) = (publications.last().filter(|p| p.first > first), wanted > 0) {
        rows.extend(rows_of_next_publications(db, corp, (first, last.first), wanted).await?);
    }
    Ok(assemble_feed(&publications, rows, since, limit))
}

/// Joins the rows to their publications, up to the first gap.
///
/// A publication whose rows are gone ends the page; the next call then reports it as gone.
fn assemble_feed(
    publications: &[FeedPublication],
    rows: Vec<(i64, DirectoryChange)>,
    since: i64,
    limit: i64,
) -> Feed {
    let mut rows = rows.into_iter().peekable();
    let (mut items, mut last) = (Vec::new(), since);
    let full = |items: &Vec<DirectoryChange>| i64::try_from(items.len()).is_ok_and(|n| n >= limit);
    for publication in publications {
        let end = publication.first + publication.count - 1;
        if publication.first > last + 1 || full(&items) {
            break;
        }
        let before = items.len();
        // Every number has a row, except that the first ones of a publication that is being deleted
        // may be gone.
        while let Some((_, change)) =
            rows.next_if(|(of, row)| *of == publication.first && row.seq == last + 1)
        {
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

/// Returns the oldest kept number of this corporation.
async fn oldest_seq(db: &Db, corp: &CorpId) -> sqlx::Result<Option<i64>> {
    sqlx::query_scalar(
        "SELECT p.first_seq + COALESCE((SELECT MIN(d.n) FROM directory_changes d WHERE d.batch = p.batch), p.count) \
         FROM publications p WHERE p.corp_id = $1 ORDER BY p.first_seq LIMIT 1",
    )
    .bind(corp)
    .fetch_optional(db.pool())
    .await
}

/// Returns the publication that contains `since + 1` and those after it.
///
/// Each has at least one row, so `limit` of them are enough.
async fn list_publications(
    db: &Db,
    corp: &CorpId,
    since: i64,
    limit: i64,
) -> sqlx::Result<Vec<FeedPublication>> {
    let rows: Vec<PublicationRow> = sqlx::query_as(
        "SELECT first_seq, count, corp_id FROM publications \
         WHERE first_seq >= (SELECT MAX(first_seq) FROM publications WHERE first_seq <= $1) \
         ORDER BY first_seq LIMIT $2",
    )
    .bind(since + 1)
    .bind(limit)
    .fetch_all(db.pool())
    .await?;
    let read = |row: PublicationRow| FeedPublication {
        first: row.first_seq,
        count: row.count,
        ours: row.corp_id == *corp,
    };
    Ok(rows.into_iter().map(read).collect())
}

/// Returns the rows of one publication from its row `offset` on.
async fn rows_of_publication(
    db: &Db,
    corp: &CorpId,
    first: i64,
    offset: i64,
    limit: i64,
) -> sqlx::Result<Vec<(i64, DirectoryChange)>> {
    let rows: Vec<ChangeRow> = sqlx::query_as(
        "SELECT p.first_seq, d.n, d.kind, d.id, d.change, p.at \
         FROM publications p JOIN directory_changes d ON d.batch = p.batch \
         WHERE p.first_seq = $1 AND p.corp_id = $2 AND d.n >= $3 AND d.n < p.count ORDER BY d.n LIMIT $4",
    )
    .bind(first)
    .bind(corp)
    .bind(offset)
    .bind(limit)
    .fetch_all(db.pool())
    .await?;
    Ok(rows.into_iter().map(ChangeRow::into_change).collect())
}

/// Returns the first rows of the publications after `between.0` up to `between.1`.
///
/// A row with `limit` others of its own publication before it belongs on a later page in any case.
/// So a publication of 100 000 rows costs no more than one page.
async fn rows_of_next_publications(
    db: &Db,
    corp: &CorpId,
    between: (i64, i64),
    limit: i64,
) -> sqlx::Result<Vec<(i64, DirectoryChange)>> {
    let rows: Vec<ChangeRow> = sqlx::query_as(
        "SELECT p.first_seq, d.n, d.kind, d.id, d.change, p.at \
         FROM publications p JOIN directory_changes d ON d.batch = p.batch \
         WHERE p.first_seq > $1 AND p.first_seq <= $2 AND p.corp_id = $3 AND d.n < $4 AND d.n < p.count \
         ORDER BY p.first_seq, d.n LIMIT $4",
    )
    .bind(between.0)
    .bind(between.1)
    .bind(corp)
    .bind(limit)
    .fetch_all(db.pool())
    .await?;
    Ok(rows.into_iter().map(ChangeRow::into_change).collect())
}

#[derive(FromRow)]
struct ChangeRow {
    first_seq: i64,
    n: i64,
    kind: DirectoryEntity,
    id: String,
    change: DirectoryChangeKind,
    at: Timestamp,
}

impl ChangeRow {
    /// Returns the first number of its publication, and the change with its own number.
    fn into_change(self) -> (i64, DirectoryChange) {
        let Self { first_seq, n, kind, id, change, at } = self;
        (first_seq, DirectoryChange { seq: first_seq + n, kind, id, change, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn publication(first: i64, count: i64) -> FeedPublication {
        FeedPublication { first, count, ours: true }
    }

    /// Makes the rows with these numbers of a publication.
    fn rows(first: i64, numbers: impl IntoIterator<Item = i64>) -> Vec<(i64, DirectoryChange)> {
        let row = |seq| DirectoryChange {
            seq,
            kind: DirectoryEntity::Unit,
            id: seq.to_string(),
            change: DirectoryChangeKind::Updated,
            at: Timestamp::from_millis(0),
        };
        numbers.into_iter().map(|seq| (first, row(seq))).collect()
    }

    fn part(feed: Feed) -> Option<(Vec<i64>, i64)> {
        match feed {
            Feed::Part { items, last } => Some((items.iter().map(|item| item.seq).collect(), last)),
            Feed::Gone => None,
        }
    }

    #[test]
    fn a_part_ends_before_what_was_forgotten_while_it_was_read() {
        let three = [publication(1, 2), publication(3, 2), publication(5, 1)];
        let all = [rows(1, 1..=2), rows(3, 3..=4), rows(5, 5..=5)].concat();
        assert_eq!(part(assemble_feed(&three, all, 0, 10)), Some((vec![1, 2, 3, 4, 5], 5)));
        let second_is_gone = [rows(1, 1..=2), rows(5, 5..=5)].concat();
        assert_eq!(part(assemble_feed(&three, second_is_gone, 0, 10)), Some((vec![1, 2], 2)));
        assert_eq!(part(assemble_feed(&three, rows(5, 5..=5), 0, 10)), None, "the first is gone");
        assert_eq!(part(assemble_feed(&three, rows(1, 2..=2), 0, 10)), None, "its first row is gone");
        let hole = [publication(1, 2), publication(5, 1)];
        assert_eq!(
            part(assemble_feed(&hole, [rows(1, 1..=2), rows(5, 5..=5)].concat(), 0, 10)),
            Some((vec![1, 2], 2))
        );
    }

    #[test]
    fn a_full_part_goes_on_after_its_last_row_and_a_short_one_after_its_last_publication() {
        let ours = publication(1, 4);
        let theirs = FeedPublication { ours: false, ..publication(5, 3) };
        assert_eq!(part(assemble_feed(&[ours, theirs], rows(1, 2..=3), 1, 2)), Some((vec![2, 3], 3)));
        let (ours, theirs) = (publication(1, 4), FeedPublication { ours: false, ..publication(5, 3) });
        assert_eq!(part(assemble_feed(&[ours, theirs], rows(1, 2..=4), 1, 9)), Some((vec![2, 3, 4], 7)));
        let theirs = FeedPublication { ours: false, ..publication(5, 3) };
        assert_eq!(part(assemble_feed(&[theirs], vec![], 4, 9)), Some((vec![], 7)));
    }
}

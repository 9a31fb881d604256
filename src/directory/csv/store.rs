//! SQL of tables of persons.

use const_format::formatcp;

use crate::base::id::{CorpId, PersonId};
use crate::db::Db;
use crate::db::types::FlagColumn;
use crate::directory::row::PersonRow;
use crate::directory::{EntrySource, Person};

const LOCAL: &str = EntrySource::Local.as_str();

const LIST_PERSONS: &str = formatcp!(
    "SELECT v.person_id, v.userid, v.name, v.email, v.source, v.status, v.left_at, v.main_unit, v.memberships, \
       v.detail, v.said \
     FROM person_rows v \
       JOIN charts c ON c.corp_id = $1 AND v.corp_id = c.corp_id AND v.since <= c.version AND v.until > c.version \
     WHERE v.person_id > $2 AND (v.source = '{LOCAL}' OR $3 = 1) ORDER BY v.person_id LIMIT $4"
);

/// Returns up to `limit` persons by id after `after`: local ones only, or everybody.
///
/// # Errors
/// If the database fails.
pub(crate) async fn list_export_page(
    db: &Db,
    corp: &CorpId,
    everybody: bool,
    after: &PersonId,
    limit: i64,
) -> sqlx::Result<Vec<Person>> {
    let rows: Vec<PersonRow> = sqlx::query_as(LIST_PERSONS)
        .bind(corp)
        .bind(after)
        .bind(FlagColumn(everybody))
        .bind(limit)
        .fetch_all(db.pool())
        .await?;
    Ok(rows.into_iter().map(Person::from).collect())
}

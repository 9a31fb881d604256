//! SQL of tables of persons.

use crate::base::id::{CorpId, PersonId};
use crate::db::Db;
use crate::directory::Person;
use crate::directory::row::{self, published};

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
    sqlx::query(concat!(
        "SELECT ",
        row::person_columns!(),
        " FROM person_rows v ",
        published!(),
        "WHERE v.person_id > $2 AND (v.source = 'local' OR $3 = 1) ORDER BY v.person_id LIMIT $4"
    ))
    .bind(corp.as_str())
    .bind(after.as_str())
    .bind(i64::from(everybody))
    .bind(limit)
    .fetch_all(db.pool())
    .await?
    .iter()
    .map(row::person_from_row)
    .collect()
}

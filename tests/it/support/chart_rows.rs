//! What the tables of persons and of the chart hold: its versions, published and staged.

use gongpai::testing::base::id::PersonId;
use gongpai::testing::db::Db;
use gongpai::testing::directory::row::OPEN_UNTIL;

use super::query::{read_number, read_texts};

/// The tables whose rows belong to versions of the chart, each with its key.
pub(crate) const VERSIONED_TABLES: [(&str, &str); 3] =
    [("unit_rows", "id"), ("person_rows", "person_id"), ("tag_rows", "id")];

/// Joins a row `v` to the version that is published.
const PUBLISHED: &str = "JOIN charts c ON v.since <= c.version AND v.until > c.version";

/// Returns everything that the published version says, without ids of persons, sorted.
pub(crate) async fn read_published_texts(db: &Db) -> Vec<String> {
    let units = format!("SELECT v.name || ' ' || COALESCE(v.parent_id, '') FROM unit_rows v {PUBLISHED}");
    let persons = format!(
        "SELECT p.userid || ' ' || CASE WHEN p.released_at IS NULL THEN '' ELSE 'released ' END || v.userid || \
         ' ' || v.name || ' ' || v.status || ' ' || v.memberships || v.detail \
         FROM person_rows v JOIN persons p ON p.id = v.person_id {PUBLISHED}"
    );
    let tags = format!("SELECT v.name || v.users || v.units FROM tag_rows v {PUBLISHED}");
    let mut all = Vec::new();
    for sql in [units, persons, tags] {
        all.extend(read_texts(db, &sql).await);
    }
    all.sort();
    all
}

/// Counts the persons of the published version who have this name.
pub(crate) async fn count_published_persons_named(db: &Db, name: &str) -> i64 {
    read_number(db, &format!("SELECT COUNT(*) FROM person_rows v {PUBLISHED} WHERE v.name = '{name}'")).await
}

/// Returns the persons who have two rows in the published version.
pub(crate) async fn find_persons_published_twice(db: &Db) -> Vec<String> {
    let sql =
        format!("SELECT v.person_id FROM person_rows v {PUBLISHED} GROUP BY v.person_id HAVING COUNT(*) > 1");
    read_texts(db, &sql).await
}

/// Counts the rows of persons that began with this version.
pub(crate) async fn count_person_rows_since(db: &Db, version: i64) -> i64 {
    read_number(db, &format!("SELECT COUNT(*) FROM person_rows WHERE since = {version}")).await
}

/// Counts the rows of persons that began after this version.
pub(crate) async fn count_person_rows_after(db: &Db, version: i64) -> i64 {
    read_number(db, &format!("SELECT COUNT(*) FROM person_rows WHERE since > {version}")).await
}

/// Counts the rows of persons with this name that began with this version.
pub(crate) async fn count_person_rows_named_since(db: &Db, name: &str, version: i64) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM person_rows WHERE since = {version} AND name = '{name}'");
    read_number(db, &sql).await
}

/// Counts the rows of persons with this name in any version.
pub(crate) async fn count_person_rows_named(db: &Db, name: &str) -> i64 {
    read_number(db, &format!("SELECT COUNT(*) FROM person_rows WHERE name = '{name}'")).await
}

/// Returns the status in every row with this userid.
pub(crate) async fn find_person_statuses(db: &Db, userid: &str) -> Vec<String> {
    read_texts(db, &format!("SELECT status FROM person_rows WHERE userid = '{userid}'")).await
}

/// Returns the persons of whom there are rows, each once.
pub(crate) async fn find_persons_with_rows(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT DISTINCT person_id FROM person_rows").await
}

/// Returns the ids of all persons, also of those whose userid is free again.
pub(crate) async fn find_person_ids(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT id FROM persons ORDER BY id").await
}

/// Returns those of `persons` whose id is still kept.
pub(crate) async fn find_kept_ids(db: &Db, persons: &[&PersonId]) -> Vec<String> {
    let mut ids = find_person_ids(db).await;
    ids.retain(|id| persons.iter().any(|person| person.as_str() == id));
    ids
}

/// Counts the persons who have a userid now.
pub(crate) async fn count_userid_holders(db: &Db) -> i64 {
    read_number(db, "SELECT COUNT(*) FROM persons WHERE released_at IS NULL").await
}

/// Counts the persons who have this userid now.
pub(crate) async fn count_holders_of_userid(db: &Db, userid: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM persons WHERE userid = '{userid}' AND released_at IS NULL");
    read_number(db, &sql).await
}

/// Returns the ids of persons whose userid is free again, although a session or a decision still
/// refers to them.
pub(crate) async fn find_released_persons(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT id FROM persons WHERE released_at IS NOT NULL ORDER BY id").await
}

/// Returns the userids that several persons have or had, in lower case.
pub(crate) async fn find_repeated_userids(db: &Db) -> Vec<String> {
    read_texts(db, "SELECT lower(userid) FROM persons GROUP BY lower(userid) HAVING COUNT(*) > 1").await
}

/// Returns everything about local units and local persons, also what is staged, sorted.
pub(crate) async fn read_local_texts(db: &Db) -> Vec<String> {
    let sql = "SELECT id || ' ' || since || ' ' || until || ' ' || name || ' ' || leaders || ' ' || updated_at \
                 FROM unit_rows WHERE source = 'local' \
               UNION ALL \
               SELECT person_id || ' ' || since || ' ' || until || ' ' || userid || ' ' || name || ' ' || status || ' ' || \
                 memberships || ' ' || detail || ' ' || updated_at FROM person_rows WHERE source = 'local' ORDER BY 1";
    read_texts(db, sql).await
}

/// Counts the persons staged for a version that is not published.
pub(crate) async fn count_staged_persons(db: &Db) -> i64 {
    count_staged_rows(db, "person_rows").await
}

/// Counts the rows of one of [`VERSIONED_TABLES`] that begin with a version that is not published.
pub(crate) async fn count_staged_rows(db: &Db, table: &str) -> i64 {
    read_number(db, &format!("SELECT COUNT(*) FROM {table}, charts WHERE since > version")).await
}

/// Counts the rows of one of [`VERSIONED_TABLES`] that end with a version that is not published.
pub(crate) async fn count_rows_that_will_end(db: &Db, table: &str) -> i64 {
    let sql = format!("SELECT COUNT(*) FROM {table}, charts WHERE until > version AND until < {OPEN_UNTIL}");
    read_number(db, &sql).await
}

/// Counts the keys of one of [`VERSIONED_TABLES`] that have more than one open row.
pub(crate) async fn count_keys_with_two_open_rows(db: &Db, table: &str, key: &str) -> i64 {
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT {key} FROM {table} WHERE until = {OPEN_UNTIL} GROUP BY {key} \
         HAVING COUNT(*) > 1) t"
    );
    read_number(db, &sql).await
}

/// Counts the userids that several persons have in open rows, without those who left.
pub(crate) async fn count_shared_userids(db: &Db) -> i64 {
    let sql = format!(
        "SELECT COUNT(*) FROM (SELECT lower(userid) FROM person_rows WHERE until = {OPEN_UNTIL} \
         AND status <> 'left' GROUP BY lower(userid) HAVING COUNT(*) > 1) t"
    );
    read_number(db, &sql).await
}

/// Counts the open rows of persons who do not have the userid that the row says, without those who
/// left.
pub(crate) async fn count_persons_without_their_userid(db: &Db) -> i64 {
    let sql = format!(
        "SELECT COUNT(*) FROM person_rows r WHERE r.until = {OPEN_UNTIL} AND r.status <> 'left' AND NOT EXISTS \
         (SELECT 1 FROM persons p WHERE p.id = r.person_id AND p.userid = r.userid AND p.released_at IS NULL)"
    );
    read_number(db, &sql).await
}

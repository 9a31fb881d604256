//! Calls of a client that may read and write the directory, rows as runs leave them, and what the
//! gateway says of persons, live sessions and changes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::base::id::UserId;
use gongpai::testing::base::secret::sha256_hex;
use gongpai::testing::db::Db;
use gongpai::testing::directory::listing::{self, DirectoryChange, Feed};
use gongpai::testing::directory::{self, Person};
use reqwest::Method;
use serde_json::Value;

pub(crate) use super::api::problem;

use super::app::{API_SECRET, TestApp};
use super::browser::{Browser, BrowserRequest, Page};
use super::query::read_number;

/// Starts a gateway with more configuration and the client `hr`, which has both directory scopes.
pub(crate) async fn start_with_client(toml: &str) -> TestApp {
    let hash = sha256_hex(API_SECRET);
    let clients = format!(
        "{toml}\n[[api_clients]]\nid = \"oa\"\nsecret_hash = \"sha256:{hash}\"\nscopes = [\"sessions\"]\n\
         [[api_clients]]\nid = \"hr\"\nsecret_hash = \"sha256:{hash}\"\n\
         scopes = [\"directory:read\", \"directory:write\"]\n"
    );
    TestApp::with(&clients).await
}

/// Sends a call of a client to a path below `/api/v1/directory`.
pub(crate) async fn call_as(
    t: &TestApp,
    client: &str,
    method: Method,
    path: &str,
    body: &str,
    if_match: Option<&str>,
) -> Page {
    let authorization = format!("Basic {}", STANDARD.encode(format!("{client}:{API_SECRET}")));
    let mut ask = BrowserRequest::bare(method, &format!("http://{}/api/v1/directory{path}", t.address))
        .header("content-type", "application/json")
        .header("authorization", &authorization)
        .body(body.as_bytes().to_vec());
    if let Some(etag) = if_match {
        ask = ask.header("if-match", etag);
    }
    Browser::new("an application").send(ask).await
}

/// Sends a call of the client `hr`.
pub(crate) async fn call(t: &TestApp, method: Method, path: &str, body: &Value) -> Page {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    call_as(t, "hr", method, path, &body, None).await
}

/// Runs a statement that changes rows.
pub(crate) async fn execute_sql(t: &TestApp, statement: &str) {
    let done = sqlx::query(sqlx::AssertSqlSafe(statement.to_owned())).execute(t.app.db.pool()).await;
    done.unwrap_or_else(|e| panic!("{statement}: {e}"));
}

/// Inserts a department of WeCom's as a run leaves it, and returns our id.
pub(crate) async fn insert_department(t: &TestApp, number: u32, name: &str, parent: Option<u32>) -> String {
    let corp = &t.app.config.wecom.corp_id;
    let id = |number| gongpai::testing::base::id::UnitId::from_department(corp, number);
    let above = parent.map_or("NULL".to_owned(), |parent| format!("'{}'", id(parent)));
    execute_sql(
        t,
        &format!(
            "INSERT INTO unit_rows (id, corp_id, since, until, wecom_id, source, parent_id, name, name_en, sort, \
             leaders, updated_at) VALUES ('{}', '{corp}', 0, 9223372036854775807, {number}, 'wecom', {above}, \
             '{name}', '', 0, '[]', 0)",
            id(number)
        ),
    )
    .await;
    id(number).as_str().to_owned()
}

/// Returns the person who has a userid now.
pub(crate) async fn find_person(t: &TestApp, userid: &str) -> Option<Person> {
    let corp = &t.app.config.wecom.corp_id;
    let found = directory::store::find_person_by_userid(&t.app.db, corp, &UserId::new(userid)).await;
    found.expect("the database answers")
}

/// Returns our id of the person who has a userid now.
pub(crate) async fn find_holder(t: &TestApp, userid: &str) -> String {
    find_person(t, userid).await.expect("somebody has the userid").id.to_string()
}

/// Returns the change feed for other systems, in order.
pub(crate) async fn directory_changes(t: &TestApp) -> Vec<DirectoryChange> {
    let corp = &t.app.config.wecom.corp_id;
    let feed = listing::store::read_changes(&t.app.db, corp, None, 10_000).await;
    match feed.expect("the database answers") {
        Feed::Part { items, .. } => items,
        Feed::Gone => panic!("the oldest change is gone"),
    }
}

/// Counts the active persons whom WeCom was last asked about before `due`.
pub(crate) async fn count_active_checked_before(db: &Db, due: Timestamp) -> i64 {
    let sql = format!(
        "SELECT COUNT(*) FROM persons p JOIN person_rows v ON v.person_id = p.id \
         WHERE p.checked_at < {} AND v.status = 'active'",
        due.millis()
    );
    read_number(db, &sql).await
}

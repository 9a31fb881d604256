//! A database for one test. `GONGPAI_TEST_POSTGRES`, the address of a PostgreSQL where databases may be created,
//! decides the engine for the whole run; without it every test has an SQLite file.

use std::path::Path;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tempfile::TempDir;
use url::Url;

/// How long lending a database may take on a busy machine.
const LENDING_TIMEOUT: Duration = Duration::from_secs(60);

/// The first half of the advisory locks' keys; the second is the number of the database.
const LOCK_CLASS: i32 = 0x60_9a;

/// The two engines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Engine {
    Sqlite,
    Postgres,
}

impl Engine {
    /// The engine of this run.
    pub(crate) fn from_environment() -> Self {
        if admin_url().is_some() { Self::Postgres } else { Self::Sqlite }
    }
}

/// An empty database and a data directory, for one test at a time.
///
/// PostgreSQL takes most of a second to create a database and as good as nothing to empty one. So
/// the databases stay and are lent out: whoever has the advisory lock of its number has it. The
/// server takes the lock back when the test's process ends, however it ends.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    url: String,
    folder: TempDir,
    /// The connection that holds the lock; none on SQLite.
    lease: Option<PgConnection>,
}

impl TestDatabase {
    /// Lends one on the engine of this run.
    pub(crate) async fn create() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let Some(admin) = admin_url() else {
            return Self { url: String::new(), folder, lease: None };
        };
        let lent = tokio::time::timeout(LENDING_TIMEOUT, lend_database(&admin)).await;
        let (lease, url) = lent.expect("in time").expect("a database for this test");
        Self { url: url.into(), folder, lease: Some(lease) }
    }

    /// What to put into `database.url`: empty on SQLite, whose file lies in `data_dir`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// What to put into `data_dir`.
    pub(crate) fn data_dir(&self) -> &Path {
        self.folder.path()
    }

    /// Which engine it is.
    pub(crate) fn engine(&self) -> Engine {
        if self.url.is_empty() { Engine::Sqlite } else { Engine::Postgres }
    }

    /// Gives it back now; the next test that gets it cuts the connections that are still open.
    pub(crate) async fn close(mut self) {
        if let Some(lease) = self.lease.take() {
            lease.close().await.expect("the connection can be closed");
        }
    }
}

fn admin_url() -> Option<Url> {
    let url = std::env::var_os("GONGPAI_TEST_POSTGRES").filter(|url| !url.is_empty())?;
    Some(Url::parse(&url.to_string_lossy()).expect("GONGPAI_TEST_POSTGRES is a postgres:// URL"))
}

/// Returns the connection that holds the lock of the first free database, and its address.
async fn lend_database(admin: &Url) -> sqlx::Result<(PgConnection, Url)> {
    let mut lease = PgConnection::connect(admin.as_str()).await?;
    let mut number: i32 = 0;
    while !sqlx::query_scalar("SELECT pg_try_advisory_lock($1, $2)")
        .bind(LOCK_CLASS)
        .bind(number)
        .fetch_one(&mut lease)
        .await?
    {
        number += 1;
    }
    let url = empty_database(&mut lease, admin, number).await?;
    Ok((lease, url))
}

/// Makes the database of that number, or empties it; returns its address.
async fn empty_database(lease: &mut PgConnection, admin: &Url, number: i32) -> sqlx::Result<Url> {
    let name = format!("gongpai_test_{number}");
    let mut url = admin.clone();
    url.set_path(&name);
    let exists = sqlx::query("SELECT 1 FROM pg_database WHERE datname = $1").bind(&name);
    if exists.fetch_optional(&mut *lease).await?.is_none() {
        lease.execute(AssertSqlSafe(format!("CREATE DATABASE {name}"))).await?;
    } else {
        let cut = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE datname = $1";
        sqlx::query(cut).bind(&name).execute(&mut *lease).await?;
        let mut database = PgConnection::connect(url.as_str()).await?;
        database.execute("DROP SCHEMA public CASCADE").await?;
        database.execute("CREATE SCHEMA public").await?;
        database.close().await?;
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_is_one_tests_alone_and_empty_for_the_next() {
        let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
        assert_ne!(one.data_dir(), other.data_dir());
        assert_eq!(one.engine(), Engine::from_environment());
        if one.engine() == Engine::Sqlite {
            return;
        }
        assert_ne!(one.url(), other.url());
        let url = one.url().to_owned();
        let mut left_open = PgConnection::connect(&url).await.unwrap();
        left_open.execute("CREATE TABLE t (a INT)").await.unwrap();
        one.close().await;

        // Other tests borrow at the same time: this one waits for the same database.
        let admin = admin_url().unwrap();
        let number: i32 = url.rsplit('_').next().unwrap().parse().unwrap();
        let mut lease = PgConnection::connect(admin.as_str()).await.unwrap();
        let wait = sqlx::query("SELECT pg_advisory_lock($1, $2)").bind(LOCK_CLASS).bind(number);
        wait.execute(&mut lease).await.unwrap();
        let again = empty_database(&mut lease, &admin, number).await.unwrap();
        assert_eq!(again.as_str(), url);
        assert!(left_open.execute("SELECT 1").await.is_err(), "the open connection was cut");
        let mut connection = PgConnection::connect(&url).await.unwrap();
        assert!(connection.execute("SELECT a FROM t").await.is_err(), "it is empty");
    }
}

//! A database for one test. `GONGPAI_TEST_POSTGRES`, the address of a PostgreSQL where databases may be created,
//! decides the engine for the whole run; without it every test has an SQLite file.

use std::path::Path;
use std::thread;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tempfile::TempDir;
use url::Url;

/// What a statement to the administrative database may take on a busy machine.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(60);

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

/// An empty database and a data directory, both gone when this is dropped.
#[derive(Debug)]
pub(crate) struct TestDatabase {
    url: String,
    folder: TempDir,
    /// The name to drop; none on SQLite and after [`TestDatabase::close`].
    created: Option<String>,
}

impl TestDatabase {
    /// Creates it on the engine of this run.
    pub(crate) async fn create() -> Self {
        let folder = tempfile::tempdir().expect("a folder for the data");
        let Some(admin) = admin_url() else {
            return Self { url: String::new(), folder, created: None };
        };
        let name = format!("gongpai_test_{}", uuid::Uuid::from_u128(random_number()).simple());
        run_statement(&admin, format!("CREATE DATABASE {name}")).await.expect("a database for this test");
        let mut url = admin;
        url.set_path(&name);
        Self { url: url.into(), folder, created: Some(name) }
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

    /// Drops the database now and says if that fails; connections that are still open are cut.
    pub(crate) async fn close(mut self) {
        if let (Some(name), Some(admin)) = (self.created.take(), admin_url()) {
            run_statement(&admin, drop_statement(&name)).await.expect("the database can be dropped");
        }
    }
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (Some(name), Some(admin)) = (self.created.take(), admin_url()) else { return };
        // A thread of its own: this may be dropped inside a runtime, where blocking on another is not possible.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(run_statement(&admin, drop_statement(&name)))
        });
        match dropped.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => eprintln!("a test database stays: {error}"),
            Err(_) => eprintln!("a test database stays"),
        }
    }
}

fn admin_url() -> Option<Url> {
    let url = std::env::var_os("GONGPAI_TEST_POSTGRES").filter(|url| !url.is_empty())?;
    Some(Url::parse(&url.to_string_lossy()).expect("GONGPAI_TEST_POSTGRES is a postgres:// URL"))
}

fn drop_statement(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")
}

async fn run_statement(
    admin: &Url,
    statement: String,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let work = async {
        let mut connection = PgConnection::connect(admin.as_str()).await?;
        connection.execute(AssertSqlSafe(statement)).await?;
        connection.close().await
    };
    Ok(tokio::time::timeout(STATEMENT_TIMEOUT, work).await??)
}

fn random_number() -> u128 {
    let mut bytes = [0; 16];
    aws_lc_rs::rand::fill(&mut bytes).expect("randomness");
    u128::from_ne_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_test_has_a_database_of_its_own_and_leaves_none() {
        let (one, other) = (TestDatabase::create().await, TestDatabase::create().await);
        assert_ne!(one.data_dir(), other.data_dir());
        assert_eq!(one.engine(), Engine::from_environment());
        if one.engine() == Engine::Postgres {
            assert_ne!(one.url(), other.url());
            let mut left_open = PgConnection::connect(one.url()).await.unwrap();
            left_open.execute("CREATE TABLE t (a INT)").await.unwrap();
            let (one_url, other_url) = (one.url().to_owned(), other.url().to_owned());
            one.close().await;
            drop(other);
            assert!(PgConnection::connect(&one_url).await.is_err());
            assert!(PgConnection::connect(&other_url).await.is_err());
        }
    }
}

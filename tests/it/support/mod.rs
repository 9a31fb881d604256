//! Support for the integration tests: a database, a browser, a real nginx, a real Chromium, and our
//! programs as processes.
//!
//! Where a test has to see or to set what the gateway keeps in private tables and no public function
//! does it, a module here has the statement, one module per owner of tables.
//!
//! Everything waits for a condition with a deadline, stops when dropped, and reports what it saw if
//! something does not happen.

pub(crate) mod api;
pub(crate) mod app;
pub(crate) mod audit;
pub(crate) mod axe;
pub(crate) mod browser;
pub(crate) mod changes;
pub(crate) mod chart;
pub(crate) mod chart_rows;
pub(crate) mod company;
pub(crate) mod conflicts;
pub(crate) mod cookies;
pub(crate) mod database;
pub(crate) mod delivery_model;
pub(crate) mod devtools;
pub(crate) mod directory;
pub(crate) mod echo;
pub(crate) mod explain;
pub(crate) mod feed;
pub(crate) mod message_damage;
pub(crate) mod messages;
pub(crate) mod nginx;
pub(crate) mod org;
pub(crate) mod planted_rows;
pub(crate) mod port;
pub(crate) mod post;
pub(crate) mod process;
pub(crate) mod query;
pub(crate) mod replica;
pub(crate) mod schema_dump;
pub(crate) mod sending;
pub(crate) mod serve;
pub(crate) mod sessions;
pub(crate) mod stage;
pub(crate) mod sync_runs;
pub(crate) mod webdriver;

use std::time::Duration;

/// How long a test waits for something that takes milliseconds on an idle machine.
pub(crate) const WAIT_TIMEOUT: Duration = Duration::from_secs(20);

/// How often a condition is polled.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// Polls `condition` until it returns a value; panics with `what` after [`WAIT_TIMEOUT`].
pub(crate) async fn eventually<T, F>(what: &str, mut condition: F) -> T
where
    F: AsyncFnMut() -> Option<T>,
{
    let look = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    };
    match tokio::time::timeout(WAIT_TIMEOUT, look).await {
        Ok(value) => value,
        Err(_) => panic!("did not happen within {WAIT_TIMEOUT:?}: {what}"),
    }
}

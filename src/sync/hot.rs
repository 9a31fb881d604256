//! Statements of runs that must not lose their indexes: those that run every second, and those that
//! hold the write lock.

use super::{apply, queue};
use crate::db::hot_statement::HotStatement;

/// Returns the statements on the paths from a request to the published chart.
pub fn hot_statements() -> Vec<HotStatement> {
    [queue::store::HOT_STATEMENTS.to_vec(), apply::hot_statements()].concat()
}

//! What a run is made of, where this branch does not have it yet: the words of `sync::apply`.

#![expect(clippy::unused_async, reason = "what it stands for is asynchronous")]

/// Stands for `sync::apply`.
pub mod apply {
    use std::time::Duration;

    use serde::{Deserialize, Serialize};

    use crate::base::clock::{Clock, Timestamp};
    use crate::base::id::{CorpId, RunId};
    use crate::db::Db;
    use crate::db::feed::Change;
    use crate::sync::fetch;
    use crate::sync::plan::{Local, Plan};
    use crate::sync::remote::Note;

    /// By what a run proves that it may write.
    #[derive(Debug, Clone)]
    pub struct Fence {
        /// The run.
        pub run: RunId,
        /// The process.
        pub holder: String,
        /// For so long each transaction renews the lease.
        pub lease: Duration,
    }

    /// Where to write.
    #[derive(Debug, Clone, Copy)]
    pub struct Target<'a> {
        /// The database.
        pub db: &'a Db,
        /// Whose directory.
        pub corp: &'a CorpId,
        /// What time it is.
        pub clock: &'a Clock,
        /// Who writes.
        pub fence: &'a Fence,
    }

    /// How to write.
    #[derive(Debug, Clone, Copy)]
    pub struct How {
        /// Count and tell, write nothing.
        pub dry_run: bool,
        /// When the run began to read WeCom's directory.
        pub began: Timestamp,
        /// The same, if it read every detail of everything visible.
        pub complete_details_at: Option<Timestamp>,
    }

    /// Writes how a run ended, in the transaction that publishes what it did.
    pub trait Ending: Sync {
        /// Writes it.
        fn write(
            &self,
            change: &mut Change,
            applied: &Applied,
        ) -> impl Future<Output = sqlx::Result<()>> + Send;
    }

    /// Why a plan was not published.
    #[derive(Debug, thiserror::Error)]
    pub enum ApplyError {
        /// Another process runs.
        #[error("the run is no longer this process's")]
        Lost,
        /// The plan does not fit any more.
        #[error("{0} while the run wrote; the next run brings it")]
        Changed(String),
        /// The database failed.
        #[error("the database failed: {0}")]
        Store(#[from] sqlx::Error),
    }

    /// How many were created, updated and removed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
    pub struct Tally {
        /// New ones.
        pub created: u64,
        /// Different ones.
        pub updated: u64,
        /// Those that are gone.
        pub removed: u64,
    }

    /// What changed.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
    pub struct Counts {
        /// Units.
        pub units: Tally,
        /// Persons.
        pub persons: Tally,
        /// Persons in units.
        pub memberships: Tally,
    }

    /// What a run did.
    #[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
    pub struct Applied {
        /// What changed.
        pub counts: Counts,
        /// Tags that changed.
        pub tags: Tally,
        /// The version that is published now.
        pub version: i64,
        /// One line for each change.
        pub lines: Vec<String>,
        /// How many lines more there would be.
        pub more_lines: u64,
        /// The plan's notes, then those of writing it.
        pub notes: Vec<Note>,
        /// Records that stay as they were.
        pub skipped: Vec<Skipped>,
        /// How many more were skipped.
        pub more_skipped: u64,
    }

    /// A record that stays as it was.
    #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
    pub struct Skipped {
        /// `unit`, `person` or `tag`.
        pub kind: String,
        /// Our id.
        pub id: String,
        /// As WeCom names it.
        pub wecom: String,
        /// Why.
        pub reason: String,
    }

    /// Removes what a crash left behind.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn heal(_target: &Target<'_>) -> Result<(), ApplyError> {
        Ok(())
    }

    /// What a plan needs of ours.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn load(_db: &Db, _corp: &CorpId) -> sqlx::Result<Local> {
        Err(sqlx::Error::RowNotFound)
    }

    /// What a fetch needs of ours.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn known_departments(_db: &Db, _corp: &CorpId) -> sqlx::Result<fetch::Known> {
        Ok(fetch::Known::default())
    }

    /// Removes up to `limit` persons that left before `left_before`; answers how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn purge(
        _db: &Db,
        _corp: &CorpId,
        _now: Timestamp,
        _left_before: Timestamp,
        _limit: i64,
    ) -> sqlx::Result<u64> {
        Ok(0)
    }

    /// Deletes up to `limit` entries of the change feed that were published before `before`; answers how many.
    ///
    /// # Errors
    /// If the database fails.
    pub async fn delete_changes_before(
        _db: &Db,
        _corp: &CorpId,
        _before: Timestamp,
        _limit: i64,
    ) -> sqlx::Result<u64> {
        Ok(0)
    }

    /// Writes the plan and publishes it.
    ///
    /// # Errors
    /// [`ApplyError`]; then nothing of it is visible.
    pub async fn apply(
        _target: &Target<'_>,
        _plan: Plan,
        _how: &How,
        _ending: &impl Ending,
        _progress: &(dyn Fn(u64, u64) + Sync),
    ) -> Result<Applied, ApplyError> {
        Err(ApplyError::Lost)
    }
}

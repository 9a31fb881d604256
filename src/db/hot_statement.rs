//! Statements on hot paths, so that a test can ask both engines how they run them.

/// A statement on a hot path, and the indexes that its plan must use on both engines.
///
/// An index is written with the columns that the plan must search by: `messages_open (corp_id)`;
/// then it may read no table whole. Without columns it is enough that the plan uses the index. The
/// index of a primary key is named as PostgreSQL names it: the table, then `_pkey`.
#[derive(Debug, Clone, Copy)]
pub struct HotStatement {
    pub name: &'static str,
    pub sql: &'static str,
    pub indexes: &'static [&'static str],
}

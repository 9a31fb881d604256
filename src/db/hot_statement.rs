//! Statements on hot paths, so that a test can ask both engines how they run them.

/// A statement on a hot path, and the indexes that its plan must use on both engines.
///
/// The index of a primary key is named as PostgreSQL names it: the table, then `_pkey`.
#[derive(Debug, Clone, Copy)]
pub struct HotStatement {
    pub name: &'static str,
    pub sql: &'static str,
    pub indexes: &'static [&'static str],
}

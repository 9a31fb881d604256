//! One file a command; no rules of their own.

pub mod explain;
pub mod snippet;

//! x
pub mod attempt;
pub mod entrance;
pub mod state;
pub mod store;
pub mod target;

//! WeCom's organisation chart becomes ours.
//!
//! A run has four parts, and only the last one writes:
//!
//! 1. `fetch` reads everything first, politely, and knows whether it read everything: a [`Remote`](remote::Remote);
//! 2. `plan` compares it with what we have, purely: a [`Plan`](plan::Plan), or why there is none;
//! 3. the plan is refused if it removes too much;
//! 4. `apply` writes the rows of the next version in short transactions, unseen, and publishes them at once.
//!
//! What a crash leaves behind is never seen by anybody, and the next run clears it away.

pub mod fetch;
pub mod apply;
pub mod plan;
pub mod remote;

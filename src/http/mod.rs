//! HTTP pieces that several slices use; no business rule lives here.

pub mod client_ip;
pub mod cookie;

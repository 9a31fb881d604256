//! HTTP pieces that several slices use; no business rule lives here.
//!
//! | module | holds |
//! |---|---|
//! | [`client_ip`] | who is calling, behind which trusted proxies |
//! | [`visit`], [`browser`] | one request: which of our hosts it sees, from where, by what |
//! | [`redirect`](mod@redirect) | sending a browser on |
//! | [`cookie`] | reading and writing cookies |
//! | [`lang`], [`words`] | every text people read, in both languages, and the table of codes |
//! | [`failure`] | what went wrong, and whether a page or JSON says it |
//! | [`page`] | the pages people see |
//! | [`problem`] | the same failure for programs (RFC 9457) |
//! | [`assets`] | style sheet, icon and logo |
//! | [`middleware`] | what every request passes: request id, log, panic, limits |
//! | [`rate_limit`] | so many per address |

mod asset_files;
pub mod assets;
pub mod browser;
pub mod browser_request;
pub mod client_ip;
pub mod cookie;
pub mod failure;
pub mod language;
pub mod middleware;
pub mod page;
pub mod problem;
pub mod rate_limit;
pub mod redirect;
mod request_id;
pub mod words;

//! HTTP parts that several rooms use; no business rule lives here.
//!
//! | module | holds |
//! |---|---|
//! | [`client_ip`] | the caller, behind which trusted proxies |
//! | [`browser_request`], [`browser`] | a request: which of our hosts it sees, from where |
//! | [`redirect`](mod@redirect) | sending a browser on |
//! | [`cookie`] | reading and writing cookies |
//! | [`language`], [`words`] | every text people read, in both languages, and the table of codes |
//! | [`failure`] | what went wrong, and whether a page or JSON says it |
//! | [`page`] | the pages people see |
//! | [`problem`] | the same failure for programs (RFC 9457) |
//! | [`assets`], `asset_files` | style sheet, icon and logo |
//! | `etag` | whether a browser has an answer already |
//! | [`middleware`] | what every request passes: request id, log, panic, limits |
//! | `request_id` | the number that a page, an answer and the log share |
//! | [`rate_limit`] | limits for each address |

mod asset_files;
pub mod assets;
pub mod browser;
pub mod browser_request;
pub mod client_ip;
pub mod cookie;
mod etag;
pub mod failure;
pub mod language;
pub mod middleware;
pub mod page;
pub mod problem;
pub mod rate_limit;
pub mod redirect;
mod request_id;
pub mod words;

pub use self::asset_files::asset_url;

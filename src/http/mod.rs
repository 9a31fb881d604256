//! HTTP parts that several rooms use; no business rule lives here.
//!
//! | module | holds |
//! |---|---|
//! | [`client_ip`] | the caller, behind which trusted proxies |
//! | [`browser_request`], [`browser`] | a request: which of our hosts it sees, from where |
//! | [`redirect`](mod@redirect) | sending a browser on |
//! | [`cookie`] | reading and writing cookies |
//! | [`language`], [`words`] | every text people read, in both languages, and the table of codes |
//! | [`audience`] | whether a person or a program looks at an answer |
//! | [`failure`] | what went wrong |
//! | [`page`] | the pages people see |
//! | [`problem`] | the same failure for programs (RFC 9457) |
//! | [`assets`], `asset_files` | style sheet, icon and logo |
//! | `etag` | whether a browser has an answer already |
//! | [`middleware`] | what every request passes: request id, log, panic, limits |
//! | `request_id` | the number that a page, an answer and the log share |
//! | [`rate_limit`] | limits for each address |

mod asset_files;
pub(crate) mod assets;
pub(crate) mod audience;
pub(crate) mod browser;
pub(crate) mod browser_request;
pub(crate) mod client_ip;
pub(crate) mod cookie;
mod etag;
pub(crate) mod failure;
pub(crate) mod language;
pub(crate) mod middleware;
pub(crate) mod page;
pub(crate) mod problem;
pub(crate) mod rate_limit;
pub(crate) mod redirect;
mod request_id;
pub(crate) mod words;

pub(crate) use self::asset_files::asset_url;

//! The ground floor: pure pieces without I/O that every other room may use.
//!
//! | module | holds |
//! |---|---|
//! | [`clock`] | the only way to ask what time it is |
//! | [`copy_fault`] | what comes along when a value is copied |
//! | [`cron`] | when something is due |
//! | `quartz` | the reader of a Quartz expression |
//! | [`encoding`] | text as Windows saves it |
//! | [`id`] | typed identifiers |
//! | [`job`] | a background job as a value |
//! | [`secret`] | secrets: holding, comparing, making |
//! | [`seal`] | authenticated encryption under keys derived from the root secret |
//! | [`host`] | a host with its port, as two sides compare it |
//! | [`text`] | characters that must not reach a page, a log or a terminal |
//! | [`text_map`] | a sorted map of texts that takes little memory |
//! | [`url`] | `ReturnTo`, the only way to a redirect target |

pub(crate) mod clock;
pub(crate) mod copy_fault;
pub(crate) mod cron;
pub(crate) mod encoding;
pub(crate) mod host;
pub(crate) mod id;
pub(crate) mod job;
mod quartz;
pub(crate) mod seal;
pub(crate) mod secret;
pub(crate) mod text;
pub(crate) mod text_map;
pub(crate) mod url;

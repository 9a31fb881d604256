//! The client of WeCom's server API (企业微信服务端 API). It knows nothing of the rest of the gateway
//! but the configuration: see [design: calls to WeCom](crate::design#calls-to-wecom).
//!
//! | module | holds |
//! |---|---|
//! | [`client`](WecomClient) | `call`: the one place that uses tokens and acts on errcodes |
//! | [`settings`](WecomSettings) | how a corporation is reached, from the configuration |
//! | `exchange` | one HTTP request and its answer: limits, odd bodies, transport failures |
//! | `answer` | bytes to JSON: byte order marks, raw control characters, the `errcode` envelope |
//! | `lenient_json` | readers of fields whose types vary |
//! | [`lenient_list`](LenientList) | lists in which one broken record does not lose the others |
//! | `token` | one access token for each secret: single-flight, early renewal, hard back-off |
//! | `retry` | repeating a call while WeCom is busy |
//! | `call_class` | how many calls of which class may run at once, and their limits |
//! | [`error`](WecomError) | what can go wrong |
//! | [`errcode`] | what an errcode means, to the program and to people in both languages |
//! | [`oauth`](CodeOwner) | sign-in links, code to identity |
//! | [`member`](Member) | a member, leniently read |
//! | [`contact`](Department) | departments, the call for one member |
//! | `lists` | the calls of a fetch |
//! | `message` | sending and recalling a message |
//! | [`media`](Upload) | files for messages |
//! | [`wire`] | answers of the other calls |
//! | `probe` | calls of `doctor`: the kind of a secret, WeCom's clock |
//! | [`metrics`](WecomMetrics) | calls by api and outcome, seconds, token fetches |
//!
//! Three rules hold for every call. It has 3 s to connect and 8 s in all (30 s as part of a fetch,
//! 14 s for a message, 60 s for a file), and never outlives the caller's [`Deadline`]. An answer is
//! a failure exactly if `errcode` is present and not 0. No error carries a URL, because token,
//! secret and code travel in query strings.

mod answer;
mod call_class;
mod client;
mod contact;
mod deadline;
pub(crate) mod errcode;
mod error;
mod exchange;
mod lenient_json;
mod lenient_list;
mod lists;
mod media;
mod member;
mod message;
mod metrics;
mod oauth;
mod probe;
mod retry;
mod settings;
mod token;
pub(crate) mod wire;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::fmt;

pub(crate) use self::call_class::MAX_PARALLEL_RECHECKS;
pub use self::client::WecomClient;
pub(crate) use self::contact::{Department, DepartmentId};
pub(crate) use self::deadline::Deadline;
pub(crate) use self::errcode::{ErrorFamily, SendRefusal};
pub(crate) use self::error::{WecomError, WecomRefusal, WecomSetupError};
pub(crate) use self::lenient_list::LenientList;
pub(crate) use self::media::{MEDIA_LIFETIME, MediaKind, Upload, UploadedMedia};
pub(crate) use self::member::{AttributeValue, Member, MemberAttribute, MemberDepartment, MemberStatus};
pub(crate) use self::metrics::WecomMetrics;
pub(crate) use self::oauth::CodeOwner;
pub(crate) use self::probe::ProbedSecretKind;
pub(crate) use self::settings::WecomSettings;

/// The secret that a call uses. WeCom gives each secret its own token and its own rights (documents
/// 90313, 96067).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// The secret of the self-built application.
    App,
    /// The secret of the 通讯录同步 assistant.
    Contacts,
}

impl fmt::Display for SecretKind {
    /// Writes the configuration key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app_secret",
            Self::Contacts => "contacts_secret",
        })
    }
}

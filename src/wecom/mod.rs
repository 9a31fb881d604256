//! The client of WeCom's server API (企业微信服务端 API). It knows nothing of the rest of the gateway: see
//! [design: calls to WeCom](crate::design#calls-to-wecom).
//!
//! | module | holds |
//! |---|---|
//! | [`client`](WecomClient) | `call`: the one place that uses tokens and acts on errcodes |
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
mod token;
pub(crate) mod wire;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::fmt;

use url::Url;

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
use crate::base::id::CorpId;
use crate::base::secret::Secret;

/// The settings of one corporation in WeCom and how to reach it.
#[derive(Clone)]
pub struct WecomSettings {
    /// 企业ID.
    pub corp_id: CorpId,
    /// `AgentId` of the self-built application.
    pub agent_id: u32,
    /// The application's Secret: signs people in and reads details.
    pub app_secret: Option<Secret>,
    /// The 通讯录同步 Secret: reads the complete lists of ids.
    pub contacts_secret: Option<Secret>,
    /// The address of `/cgi-bin/…`; may have a path prefix (a reverse proxy with a stable address).
    pub api_address: Url,
    /// The address of the authorize page inside WeCom.
    pub oauth2_address: Url,
    /// The address of the scan page for ordinary browsers.
    pub qr_connect_address: Url,
    /// The HTTP proxy of every call. Without it calls go out directly, whatever the environment
    /// says.
    pub proxy: Option<Url>,
}

impl fmt::Debug for WecomSettings {
    /// Shows hosts without paths, queries and credentials, because an address may hold the proxy's
    /// password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WecomSettings")
            .field("corp_id", &self.corp_id)
            .field("agent_id", &self.agent_id)
            .field("app_secret", &self.app_secret)
            .field("contacts_secret", &self.contacts_secret)
            .field("api_address", &self.api_address.host_str())
            .field("oauth2_address", &self.oauth2_address.host_str())
            .field("qr_connect_address", &self.qr_connect_address.host_str())
            .field("proxy", &self.proxy.as_ref().map(Url::host_str))
            .finish()
    }
}

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

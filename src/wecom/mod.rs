//! Everything that speaks WeCom's dialect (企业微信服务端 API); it knows nothing about us.
//!
//! | module | holds |
//! |---|---|
//! | [`client`](Client) | `call`: the one place that knows tokens and errcodes |
//! | `exchange` | one HTTP request and its answer: limits, odd bodies, transport failures in our own words |
//! | `answer` | bytes to JSON: byte order marks, raw control characters, the `errcode` envelope |
//! | `token` | one access token for each secret: single-flight, early renewal, hard back-off |
//! | [`error`](Error) | what can go wrong, in families that callers act on |
//! | [`errcode`] | what an errcode means and which console page mends it, in both languages |
//! | [`oauth`](Identity) | sign-in links, code → identity |
//! | [`member`](Member) | what WeCom says about a person, tolerantly read |
//! | [`contact`](Department) | the call for one member, departments |
//! | `lists` | the calls of a fetch, in a lane of their own |
//! | [`message`](SendRefusal) | sending and recalling a message, what can be done about a refusal |
//! | [`media`](Upload) | files for messages |
//! | `lane` | how many calls of which kind may be under way |
//! | [`sifted`](Sifted) | lists of which one broken record does not cost the others |
//! | [`wire`] | answers of the other calls |
//! | `probe` | what `doctor` asks: the kind of a secret, WeCom's clock |
//! | [`metrics`](Metrics) | calls by api and outcome, seconds, token fetches |
//!
//! Three rules hold for every call. It has 3 s to connect and 8 s in all (30 s as part of a fetch, 14 s for
//! a message, 60 s for a file), and never
//! outlives the caller's [`Deadline`]. An answer is a failure exactly if `errcode` is present and not 0. No error carries an URL,
//! because token, secret and code travel in query strings.

mod answer;
mod call_class;
mod client;
mod contact;
mod deadline;
pub mod errcode;
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
pub mod wire;

#[cfg(test)]
mod fixtures;
#[cfg(test)]
pub(crate) mod server;
#[cfg(test)]
mod tests;

use std::fmt;

use url::Url;

pub use self::call_class::MAX_PARALLEL_RECHECKS;
pub use self::client::WecomClient;
pub use self::contact::{Department, DepartmentId};
pub use self::deadline::Deadline;
pub use self::errcode::{ErrorFamily, SendRefusal};
pub use self::error::{WecomError, WecomRefusal, WecomSetupError};
pub use self::lenient_list::LenientList;
pub use self::media::{MEDIA_LIFETIME, MediaKind, Upload, UploadedMedia};
pub use self::member::{
    AttributeValue, ExternalProfile, Member, MemberAttribute, MemberDepartment, MemberGender, MemberStatus,
};
pub use self::metrics::WecomMetrics;
pub use self::oauth::CodeOwner;
pub use self::probe::ProbedSecretKind;
use crate::base::id::CorpId;
use crate::base::secret::Secret;

/// One corporation in WeCom and how to reach it.
#[derive(Clone)]
pub struct WecomSettings {
    /// 企业ID.
    pub corp_id: CorpId,
    /// `AgentId` of the self-built application.
    pub agent_id: u32,
    /// The application's Secret: sign-in, details.
    pub app_secret: Option<Secret>,
    /// The 通讯录同步 Secret: complete lists of ids.
    pub contacts_secret: Option<Secret>,
    /// Where `/cgi-bin/…` lives; may have a path prefix (a reverse proxy with a stable address).
    pub api_address: Url,
    /// Where the authorize page inside WeCom lives.
    pub oauth2_address: Url,
    /// Where the scan page for ordinary browsers lives.
    pub qr_connect_address: Url,
    /// HTTP proxy for every call. Without it calls go out directly, whatever the environment says.
    pub proxy: Option<Url>,
}

impl fmt::Debug for WecomSettings {
    /// Shows hosts without paths, queries and credentials: a proxy's password may stand in its address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
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

/// Which of the two secrets a call goes out with; WeCom gives each one its own token and its own rights
/// (documents 90313, 96067).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// The self-built application's.
    App,
    /// The 通讯录同步 assistant's.
    Contacts,
}

impl fmt::Display for SecretKind {
    /// The configuration key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::App => "app_secret",
            Self::Contacts => "contacts_secret",
        })
    }
}

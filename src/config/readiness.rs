//! Says whether the configuration is enough to use WeCom, and which key is missing if not.
//!
//! Every room and the command line ask here, so that they all agree on what must be set.

use std::fmt;

use super::model::WecomConfig;
use crate::base::secret::ExposeSecret as _;

/// A key without which WeCom cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequiredKey {
    CorpId,
    AgentId,
    AppSecret,
}

impl RequiredKey {
    /// All keys, in the order in which they are reported.
    pub const ALL: [Self; 3] = [Self::CorpId, Self::AgentId, Self::AppSecret];

    /// Returns the key as it is written, `wecom.corp_id`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CorpId => "wecom.corp_id",
            Self::AgentId => "wecom.agent_id",
            Self::AppSecret => "wecom.app_secret",
        }
    }
}

impl fmt::Display for RequiredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What WeCom is used for. Each purpose needs certain keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WecomPurpose {
    SignIn,
    /// Reading the organisation chart.
    Directory,
    Messages,
}

impl WecomPurpose {
    const fn required_keys(self) -> &'static [RequiredKey] {
        match self {
            Self::SignIn | Self::Messages => &RequiredKey::ALL,
            // Directory calls name no application.
            Self::Directory => &[RequiredKey::CorpId, RequiredKey::AppSecret],
        }
    }
}

/// Whether WeCom may be used for a purpose.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Readiness {
    Ready,
    /// `wecom.enable` is false.
    Disabled,
    /// `wecom.message_enable` is false.
    MessagesDisabled,
    /// The first required key that is not set.
    Missing(RequiredKey),
}

impl WecomConfig {
    /// Returns whether WeCom may be used for `purpose`, and what prevents it.
    pub fn readiness(&self, purpose: WecomPurpose) -> Readiness {
        if !self.enable {
            return Readiness::Disabled;
        }
        if purpose == WecomPurpose::Messages && !self.message_enable {
            return Readiness::MessagesDisabled;
        }
        let missing = purpose.required_keys().iter().find(|key| !self.has(**key));
        missing.map_or(Readiness::Ready, |key| Readiness::Missing(*key))
    }

    /// Returns whether `key` is set.
    pub fn has(&self, key: RequiredKey) -> bool {
        match key {
            RequiredKey::CorpId => !self.corp_id.as_str().is_empty(),
            RequiredKey::AgentId => self.agent_id != 0,
            RequiredKey::AppSecret => {
                self.app_secret.as_ref().is_some_and(|secret| !secret.expose_secret().is_empty())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, ConfigSources};

    fn readiness(text: &str, purpose: WecomPurpose) -> Readiness {
        let sources = ConfigSources { text: Some(text.to_owned()), ..ConfigSources::default() };
        Config::load(&sources).unwrap().0.wecom.readiness(purpose)
    }

    #[test]
    fn what_prevents_the_use_of_wecom_is_named_first_things_first() {
        let complete = "[wecom]\ncorp_id = \"ww1\"\nagent_id = 1000002\napp_secret = \"s\"\n";
        let without_agent = "[wecom]\ncorp_id = \"ww1\"\napp_secret = \"s\"\nmessage_enable = true\n";
        for (text, purpose, want) in [
            ("wecom.enable = false".to_owned(), WecomPurpose::SignIn, Readiness::Disabled),
            (String::new(), WecomPurpose::SignIn, Readiness::Missing(RequiredKey::CorpId)),
            (without_agent.to_owned(), WecomPurpose::SignIn, Readiness::Missing(RequiredKey::AgentId)),
            (without_agent.to_owned(), WecomPurpose::Messages, Readiness::Missing(RequiredKey::AgentId)),
            (without_agent.to_owned(), WecomPurpose::Directory, Readiness::Ready),
            (complete.to_owned(), WecomPurpose::SignIn, Readiness::Ready),
            (
                format!("{complete}message_enable = false"),
                WecomPurpose::Messages,
                Readiness::MessagesDisabled,
            ),
        ] {
            assert_eq!(readiness(&text, purpose), want, "{purpose:?} by {text}");
        }
    }
}

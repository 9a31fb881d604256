//! How one corporation is reached in WeCom.

use std::fmt;

use url::Url;

use crate::base::id::CorpId;
use crate::base::secret::{ExposeSecret as _, Secret};
use crate::config::Config;

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

impl From<&Config> for WecomSettings {
    fn from(config: &Config) -> Self {
        // An empty secret counts as not set.
        let set = |secret: &Option<Secret>| secret.clone().filter(|s| !s.expose_secret().is_empty());
        let wecom = &config.wecom;
        Self {
            corp_id: wecom.corp_id.clone(),
            agent_id: wecom.agent_id,
            app_secret: set(&wecom.app_secret),
            contacts_secret: set(&wecom.contacts_secret),
            api_address: wecom.api_address.clone(),
            oauth2_address: wecom.oauth2_address.clone(),
            qr_connect_address: wecom.qr_connect_address.clone(),
            proxy: wecom.proxy.clone(),
        }
    }
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

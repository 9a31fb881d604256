//! `[wecom]`.

use std::fmt;

use url::Url;

use crate::base::cron::Schedule;
use crate::base::id::CorpId;
use crate::base::secret::Secret;

/// `[wecom]`: one corporation.
#[derive(Clone)]
pub struct WecomConfig {
    /// If false, the gateway runs, but a sign-in is answered with 503 `wecom.disabled`.
    pub enable: bool,
    /// The 企业ID.
    pub corp_id: CorpId,
    /// The `AgentId` of the self-built application; 0 if it is not set.
    pub agent_id: u32,
    /// The application's Secret.
    pub app_secret: Option<Secret>,
    /// The 通讯录同步 Secret.
    pub contacts_secret: Option<Secret>,
    /// `https://qyapi.weixin.qq.com`; no trailing slash, may have a path.
    pub api_address: Url,
    /// `https://open.weixin.qq.com`.
    pub oauth2_address: Url,
    /// `https://login.work.weixin.qq.com`.
    pub qr_connect_address: Url,
    /// The proxy for calls to WeCom.
    pub proxy: Option<Url>,
    /// `message_enable`: whether messages are accepted and sent.
    pub message_enable: bool,
    /// `sync_cron`: when the chart is updated. `None` for never.
    pub sync_cron: Option<Schedule>,
    /// `force_sync_cron`: when everything is read again. `None` for never.
    pub force_sync_cron: Option<Schedule>,
    /// The `WW_verify_*.txt` names in the configuration.
    pub verify_files: Vec<VerifyFile>,
    /// `[wecom.contacts_callback]`; `None` if it is not set up.
    pub contacts_callback: Option<CallbackConfig>,
    /// `[wecom.app_callback]`; `None` if it is not set up.
    pub app_callback: Option<CallbackConfig>,
}

impl fmt::Debug for WecomConfig {
    /// Leaves out the password that a proxy's URL may contain.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WecomConfig")
            .field("enable", &self.enable)
            .field("corp_id", &self.corp_id)
            .field("agent_id", &self.agent_id)
            .field("app_secret", &self.app_secret)
            .field("contacts_secret", &self.contacts_secret)
            .field("api_address", &self.api_address.as_str())
            .field("oauth2_address", &self.oauth2_address.as_str())
            .field("qr_connect_address", &self.qr_connect_address.as_str())
            .field("proxy", &self.proxy.as_ref().map(|url| url.host_str().unwrap_or_default().to_owned()))
            .field("message_enable", &self.message_enable)
            .field("sync_cron", &self.sync_cron.as_ref().map(Schedule::as_str))
            .field("force_sync_cron", &self.force_sync_cron.as_ref().map(Schedule::as_str))
            .field("verify_files", &self.verify_files)
            .field("contacts_callback", &self.contacts_callback)
            .field("app_callback", &self.app_callback)
            .finish()
    }
}

/// A domain verification file, `WW_verify_<16 letters and digits>.txt`. Its body is those 16
/// characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VerifyFile(String);

impl VerifyFile {
    /// Parses a file name; `None` unless it has exactly WeCom's form.
    pub fn parse(name: &str) -> Option<Self> {
        let token = name.strip_prefix("WW_verify_")?.strip_suffix(".txt")?;
        let good = token.len() == 16 && token.bytes().all(|b| b.is_ascii_alphanumeric());
        good.then(|| Self(token.to_owned()))
    }

    /// Returns the 16 characters, which are the file's body.
    pub fn token(&self) -> &str {
        &self.0
    }

    /// Returns the file's name, which is its path on the trusted domain.
    pub fn file_name(&self) -> String {
        format!("WW_verify_{}.txt", self.0)
    }
}

/// The token and `EncodingAESKey` of a callback.
#[derive(Debug, Clone)]
pub struct CallbackConfig {
    /// The token: letters and digits, at most 32.
    pub token: Secret,
    /// The `EncodingAESKey`: 43 characters.
    pub encoding_aes_key: Secret,
}

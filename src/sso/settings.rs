//! What signing in takes from the configuration.

use std::time::Duration;

use super::bad_codes::BadCodeLimits;
use crate::base::clock::Clock;
use crate::base::id::CorpId;
use crate::config::{Config, RateConfig, Readiness, WecomPurpose};
use crate::http::rate_limit::RateLimit;

/// The settings of sign-ins.
#[derive(Debug, Clone)]
pub struct SsoSettings {
    /// The 企业ID.
    pub corp: CorpId,
    /// AgentId.
    pub agent: u32,
    /// Whether WeCom may be asked, or the key that is missing.
    pub readiness: Readiness,
    /// The target of a sign-in that names none.
    pub landing: String,
    /// `server.start_rate`.
    pub start_rate: RateConfig,
    /// `server.bad_code_rate`.
    pub bad_code_rate: RateConfig,
    /// `gate.recheck`.
    pub recheck: Duration,
}

impl From<&Config> for SsoSettings {
    fn from(config: &Config) -> Self {
        let wecom = &config.wecom;
        Self {
            corp: wecom.corp_id.clone(),
            agent: wecom.agent_id,
            readiness: wecom.readiness(WecomPurpose::SignIn),
            landing: config.landing.clone(),
            start_rate: config.server.start_rate,
            bad_code_rate: config.server.bad_code_rate,
            recheck: config.gate.recheck,
        }
    }
}

/// The limits for each address. Clones share the counts.
#[derive(Debug, Clone)]
pub(super) struct SignInLimits {
    /// Starts, and callbacks and tickets that are not valid.
    pub(super) starts: RateLimit,
    /// Codes that WeCom refuses.
    pub(super) bad_codes: BadCodeLimits,
}

impl SignInLimits {
    pub(super) fn new(settings: &SsoSettings, clock: &Clock) -> Self {
        let limit = |rate: &RateConfig| RateLimit::new(rate.count, rate.per, rate.burst, clock.clone());
        Self {
            starts: limit(&settings.start_rate),
            bad_codes: BadCodeLimits::new(limit(&settings.bad_code_rate), clock.clone()),
        }
    }

    /// Returns these limits with the counts of `before`.
    pub(super) fn continuing(self, before: &Self) -> Self {
        Self {
            starts: self.starts.continuing(&before.starts),
            bad_codes: self.bad_codes.continuing(&before.bad_codes),
        }
    }
}

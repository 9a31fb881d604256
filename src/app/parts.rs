//! Builds the parts that depend on the configuration, at the start and at each reload.

use std::sync::Arc;

use axum::http::HeaderValue;
use tokio::sync::mpsc;

use super::BuildError;
use crate::audit::RefusalLimiter;
use crate::base::clock::Clock;
use crate::base::secret::{ExposeSecret as _, Secret};
use crate::config::{self, Config, Readiness, WecomPurpose};
use crate::gate::{self, AccessRules, Denial, FirstMatch};
use crate::http::browser_request::Site;
use crate::http::client_ip::TrustedProxies;
use crate::http::page::{CompanyLogo, PageRenderer, PageSettings};
use crate::http::rate_limit::RateLimit;
use crate::sync::fetch::FetchPace;
use crate::{message, replica, session, sso, sync, wecom};

/// Where the gate counts and reports. A reload keeps these.
#[derive(Debug, Clone)]
pub(super) struct GateOutputs {
    pub(super) metrics: gate::GateMetrics,
    pub(super) denials: mpsc::Sender<Denial>,
    pub(super) first_matches: mpsc::Sender<FirstMatch>,
}

pub(super) fn trusted_proxies(config: &Config) -> TrustedProxies {
    TrustedProxies(config.server.trusted_proxies.clone())
}

/// Builds the parts of the gate and compiles its rules.
pub(super) fn gate_parts(
    config: &Config,
    clock: &Clock,
    gate_outputs: GateOutputs,
) -> Result<gate::GateParts, BuildError> {
    let (rules, warnings) =
        AccessRules::compile(&config.rules, &config.gate, &config.hosts).map_err(BuildError::Rules)?;
    for warning in warnings {
        tracing::warn!("{warning}");
    }
    Ok(gate::GateParts {
        hosts: config.hosts.clone(),
        rules,
        trusted: trusted_proxies(config),
        assertion: config.gate.assertion,
        clock: clock.clone(),
        metrics: gate_outputs.metrics,
        denials: gate_outputs.denials,
        groups: config.gate.groups,
        code_paths: gate::code_removal::CodePaths::new(&config.gate.code_paths),
        first_matches: gate_outputs.first_matches,
    })
}

pub(super) fn build_site(config: &Config, clock: &Clock, pages: &PageRenderer) -> Site {
    Site {
        hosts: Arc::new(config.hosts.clone()),
        trusted: trusted_proxies(config),
        clock: clock.clone(),
        time_zone: config.time_zone,
        pages: pages.clone(),
    }
}

/// Returns the media type of the logo. The configuration accepts only these four.
fn logo_type(path: &std::path::Path) -> HeaderValue {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    HeaderValue::from_static(match extension.as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        _ => "image/jpeg",
    })
}

pub(super) fn page_settings(config: &Config) -> Result<PageSettings, BuildError> {
    let logo = match &config.pages.logo_file {
        None => None,
        Some(path) => {
            let bytes = std::fs::read(path)
                .map_err(|source| BuildError::Logo { path: path.display().to_string(), source })?;
            Some(CompanyLogo { content_type: logo_type(path), bytes })
        }
    };
    Ok(PageSettings {
        title: config.pages.title.clone(),
        contact: config.pages.contact.clone(),
        logo,
        qr_origin: config.wecom.qr_connect_address.origin().ascii_serialization(),
        public_origin: config.hosts.public().to_string(),
    })
}

/// Returns the settings of what this process knows of the others.
pub(super) fn replica_settings(config: &Config) -> replica::ReplicaSettings {
    replica::ReplicaSettings { corp: config.wecom.corp_id.clone(), stale_after: config.gate.stale_after }
}

/// Returns the settings of sessions.
pub(super) fn session_settings(config: &Config) -> session::SessionSettings {
    session::SessionSettings {
        corp: config.wecom.corp_id.clone(),
        hosts: config.hosts.clone(),
        ttl: config.session.ttl,
        idle: config.session.idle,
        assertion: config.gate.assertion,
    }
}

/// Returns the settings of WeCom's client.
pub fn wecom_settings(config: &Config) -> wecom::WecomSettings {
    // An empty secret counts as not set.
    let set = |secret: &Option<Secret>| secret.clone().filter(|s| !s.expose_secret().is_empty());
    let wecom = &config.wecom;
    wecom::WecomSettings {
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

/// Returns the settings of synchronisations.
pub fn sync_settings(config: &Config) -> sync::SyncSettings {
    let wecom = &config.wecom;
    sync::SyncSettings {
        corp: wecom.corp_id.clone(),
        readiness: wecom.readiness(WecomPurpose::Directory),
        update: wecom.sync_cron.clone(),
        full: wecom.force_sync_cron.clone(),
        link_by: config.directory.link_by.clone(),
        max_removals: config.directory.max_removals,
        purge_left_after: config.directory.purge_left_after,
        pace: FetchPace::PRODUCTION,
    }
}

/// Returns the settings of messages.
pub fn message_settings(config: &Config) -> message::MessageSettings {
    let wecom = &config.wecom;
    let unavailable = match wecom.readiness(WecomPurpose::Messages) {
        Readiness::Ready => None,
        Readiness::Disabled => Some("wecom.enable is false: WeCom is asked for nothing.".to_owned()),
        Readiness::MessagesDisabled => Some("wecom.message_enable is false.".to_owned()),
        Readiness::Missing(key) => Some(format!("{key} is not set, and without it nothing can be sent.")),
    };
    message::MessageSettings {
        corp: wecom.corp_id.clone(),
        agent: wecom.agent_id,
        hosts: config.hosts.clone(),
        time_zone: config.time_zone,
        unavailable,
    }
}

/// Returns the settings of sign-ins.
pub(super) fn sso_settings(config: &Config, clock: &Clock, refusals: &RefusalLimiter) -> sso::SsoSettings {
    let rate = |r: &config::RateConfig| RateLimit::new(r.count, r.per, r.burst, clock.clone());
    let wecom = &config.wecom;
    sso::SsoSettings {
        corp: wecom.corp_id.clone(),
        agent: wecom.agent_id,
        readiness: wecom.readiness(WecomPurpose::SignIn),
        landing: config.landing.clone(),
        start_limit: rate(&config.server.start_rate),
        bad_code_limits: sso::bad_codes::BadCodeLimits::new(
            rate(&config.server.bad_code_rate),
            clock.clone(),
        ),
        refusals: refusals.clone(),
    }
}

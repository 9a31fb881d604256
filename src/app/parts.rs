//! Builds the parts that depend on the configuration, at the start and at each reload.

use std::sync::Arc;

use axum::http::HeaderValue;
use tokio::sync::mpsc;

use super::BuildError;
use crate::base::clock::Clock;
use crate::config::Config;
use crate::gate::{self, AccessRules, Denial, FirstMatch};
use crate::http::browser_request::Site;
use crate::http::client_ip::TrustedProxies;
use crate::http::page::{CompanyLogo, PageRenderer, PageSettings};

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
    outlets: GateOutputs,
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
        metrics: outlets.metrics,
        denials: outlets.denials,
        groups: config.gate.groups,
        code_paths: gate::code_removal::CodePaths::new(&config.gate.code_paths),
        first_matches: outlets.first_matches,
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

//! What the configuration says to every page and request.

use std::path::Path;
use std::sync::Arc;

use axum::http::HeaderValue;

use super::BuildError;
use crate::base::clock::Clock;
use crate::config::Config;
use crate::http::browser_request::Site;
use crate::http::client_ip::TrustedProxies;
use crate::http::page::{CompanyLogo, PageRenderer, PageSettings};

pub(super) fn trusted_proxies(config: &Config) -> TrustedProxies {
    TrustedProxies(config.server.trusted_proxies.clone())
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

/// Reads the logo, and takes the words of pages from the configuration.
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

/// Returns the media type of the logo. The configuration accepts only these four.
fn logo_type(path: &Path) -> HeaderValue {
    let extension = path.extension().map(|e| e.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    HeaderValue::from_static(match extension.as_str() {
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webp" => "image/webp",
        _ => "image/jpeg",
    })
}

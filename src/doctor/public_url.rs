//! Checks that public_url leads to this gateway.
//!
//! The check requests the published keys and not `/healthz`: the printed proxy snippets pass the
//! keys to the gateway, but `/healthz` to the application.

use super::finding::{DoctorFinding, untranslated};
use super::web::{WebClient, WebResponse};
use super::words::FindingKind;
use crate::config::Config;

const JWKS_PATH: &str = "/.well-known/jwks.json";

pub(super) async fn check_public_url(config: &Config, web: &WebClient) -> Vec<DoctorFinding> {
    let url = format!("{}{JWKS_PATH}", config.hosts.public());
    vec![match web.get(&url).await {
        Ok(page) if is_jwks(&page) => {
            DoctorFinding::new(FindingKind::PublicUrlOk, &[untranslated("url", &url)])
        }
        Ok(page) => {
            let status = page.status.to_string();
            DoctorFinding::new(
                FindingKind::PublicUrlElsewhere,
                &[untranslated("url", &url), untranslated("status", &status)],
            )
        }
        Err(why) => unreachable_finding(config, &why),
    }]
}

pub(super) fn unreachable_finding(config: &Config, why: &str) -> DoctorFinding {
    let url = config.hosts.public().to_string();
    DoctorFinding::new(
        FindingKind::PublicUrlUnreachable,
        &[untranslated("url", &url), untranslated("why", why)],
    )
}

fn is_jwks(page: &WebResponse) -> bool {
    let keys = serde_json::from_slice::<serde_json::Value>(&page.body);
    page.status == 200 && keys.is_ok_and(|json| json.get("keys").is_some_and(serde_json::Value::is_array))
}

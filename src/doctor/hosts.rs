//! Checks public_url and the cookies that follow from it.

use super::finding::{DoctorFinding, untranslated};
use super::words::FindingKind;
use crate::base::host::Scheme;
use crate::config::Config;

pub(super) fn check_hosts(config: &Config) -> Vec<DoctorFinding> {
    let public = config.hosts.public();
    let url = public.to_string();
    let values = [untranslated("url", &url)];
    if public.is_loopback() {
        vec![DoctorFinding::new(FindingKind::HostsLoopback, &values)]
    } else if public.scheme() == Scheme::Http {
        vec![DoctorFinding::new(FindingKind::HostsHttp, &values)]
    } else {
        let scope =
            config.hosts.cookie_domain().map_or_else(|| public.host().to_owned(), |d| format!("*.{d}"));
        vec![DoctorFinding::new(
            FindingKind::HostsOk,
            &[untranslated("url", &url), untranslated("scope", &scope)],
        )]
    }
}

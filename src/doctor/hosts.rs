//! public_url and the cookies that follow from it.

use super::finding::{Finding, same};
use super::words::Row;
use crate::base::host::Scheme;
use crate::config::Config;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let public = config.hosts.public();
    let url = public.to_string();
    let values = [same("url", &url)];
    if public.is_loopback() {
        vec![Finding::new(Row::HostsLoopback, &values)]
    } else if public.scheme() == Scheme::Http {
        vec![Finding::new(Row::HostsHttp, &values)]
    } else {
        let scope =
            config.hosts.cookie_domain().map_or_else(|| public.host().to_owned(), |d| format!("*.{d}"));
        vec![Finding::new(Row::HostsOk, &[same("url", &url), same("scope", &scope)])]
    }
}

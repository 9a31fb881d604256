//! Lists what must be entered in the console and no API reports: 可信域名, 授权回调域, the AgentId.

use std::net::IpAddr;

use super::finding::{DoctorFinding, untranslated};
use super::words::FindingKind;
use crate::config::Config;

pub(super) fn check_domains(config: &Config) -> Vec<DoctorFinding> {
    let public = config.hosts.public();
    let (authority, agent) = (public.authority(), config.wecom.agent_id.to_string());
    let values = [untranslated("host", &authority), untranslated("agent", &agent)];
    let mut findings = Vec::new();
    if config.wecom.agent_id != 0 {
        findings.push(DoctorFinding::new(FindingKind::DomainsCompare, &values));
    }
    let bare = public.host().trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() && !public.is_loopback() {
        findings.push(DoctorFinding::new(FindingKind::DomainsAddress, &values));
    }
    findings
}

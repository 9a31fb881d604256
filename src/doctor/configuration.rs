//! Reports the errors and warnings of the configuration.

use super::finding::{DoctorFinding, untranslated};
use super::words::FindingKind;
use crate::config::ConfigReading;

/// The keys whose warnings say that something is missing or switched off. The check of WeCom says
/// it better.
const SAID_ELSEWHERE: [&str; 4] = ["wecom.enable", "wecom.corp_id", "wecom.agent_id", "wecom.app_secret"];

/// Reports what reading the configuration found.
pub(crate) fn check_configuration(reading: &ConfigReading) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    match &reading.outcome {
        Ok(_) => {
            let read =
                if reading.read.is_empty() { "default.toml".to_owned() } else { reading.read.join(", ") };
            findings.push(DoctorFinding::new(FindingKind::ConfigAccepted, &[untranslated("read", &read)]));
        }
        Err(error) => {
            let refused = |text: &String| {
                DoctorFinding::new(FindingKind::ConfigRefused, &[untranslated("finding", text)])
            };
            findings.extend(error.findings.iter().map(refused));
        }
    }
    for warning in &reading.warnings {
        if reading.outcome.is_err() || !SAID_ELSEWHERE.contains(&warning.key.as_str()) {
            let values = [untranslated("key", &warning.key), untranslated("message", &warning.message)];
            findings.push(DoctorFinding::new(FindingKind::ConfigWarning, &values));
        }
    }
    findings
}

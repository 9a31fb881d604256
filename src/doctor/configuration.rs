//! The configuration: its errors are findings like any other, its warnings too.

use super::finding::{Finding, same};
use super::words::Row;
use crate::config::Reading;

/// Keys whose warnings say that something is not filled in or switched off; the check of WeCom says it better.
const SAID_ELSEWHERE: [&str; 4] = ["wecom.enable", "wecom.corp_id", "wecom.agent_id", "wecom.app_secret"];

/// What reading the configuration found.
pub fn configuration(reading: &Reading) -> Vec<Finding> {
    let mut findings = Vec::new();
    match &reading.outcome {
        Ok(_) => {
            let read =
                if reading.read.is_empty() { "default.toml".to_owned() } else { reading.read.join(", ") };
            findings.push(Finding::new(Row::ConfigAccepted, &[same("read", &read)]));
        }
        Err(error) => {
            let refused = |text: &String| Finding::new(Row::ConfigRefused, &[same("finding", text)]);
            findings.extend(error.findings.iter().map(refused));
        }
    }
    for warning in &reading.warnings {
        if reading.outcome.is_err() || !SAID_ELSEWHERE.contains(&warning.key.as_str()) {
            let values = [same("key", &warning.key), same("message", &warning.message)];
            findings.push(Finding::new(Row::ConfigWarning, &values));
        }
    }
    findings
}

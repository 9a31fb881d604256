//! Reports which callbacks are set up.
//!
//! A malformed key is an error of the configuration, which is not accepted with it.

use super::finding::{DoctorFinding, untranslated};
use super::words::FindingKind;
use crate::config::Config;

pub(super) fn check_callbacks(config: &Config) -> Vec<DoctorFinding> {
    let set_up: Vec<&str> = [
        ("wecom.contacts_callback", &config.wecom.contacts_callback),
        ("wecom.app_callback", &config.wecom.app_callback),
    ]
    .into_iter()
    .filter_map(|(section, callback)| callback.as_ref().map(|_| section))
    .collect();
    if set_up.is_empty() {
        return vec![DoctorFinding::new(FindingKind::CallbackNone, &[])];
    }
    vec![DoctorFinding::new(FindingKind::CallbackOk, &[untranslated("sections", &set_up.join(", "))])]
}

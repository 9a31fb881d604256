//! The callbacks' keys. One that is malformed is a finding of the configuration, which is not accepted with it; what
//! is left to say here is which ones are set up.

use super::finding::{DoctorFinding, untranslated};
use super::words::Row;
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
        return vec![DoctorFinding::new(Row::CallbackNone, &[])];
    }
    vec![DoctorFinding::new(Row::CallbackOk, &[untranslated("sections", &set_up.join(", "))])]
}

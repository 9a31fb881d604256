//! The callbacks' keys. One that is malformed is a finding of the configuration, which is not accepted with it; what
//! is left to say here is which ones are set up.

use super::finding::{Finding, same};
use super::words::Row;
use crate::config::Config;

pub(super) fn check(config: &Config) -> Vec<Finding> {
    let set_up: Vec<&str> = [
        ("wecom.contacts_callback", &config.wecom.contacts_callback),
        ("wecom.app_callback", &config.wecom.app_callback),
    ]
    .into_iter()
    .filter_map(|(section, callback)| callback.as_ref().map(|_| section))
    .collect();
    if set_up.is_empty() {
        return vec![Finding::new(Row::CallbackNone, &[])];
    }
    vec![Finding::new(Row::CallbackOk, &[same("sections", &set_up.join(", "))])]
}

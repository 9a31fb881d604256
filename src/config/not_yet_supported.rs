//! Settings that are accepted and do nothing yet. Building a feature means deleting its lines here.

use super::layers::{ConfigFindings, Layers};

/// How every such warning begins.
pub(super) const NOT_IN_THIS_VERSION: &str = "not in this version";

/// Keys that have no effect, whatever their value.
const UNSUPPORTED_KEYS: &[&str] = &[
    "wecom.contacts_callback.token",
    "wecom.contacts_callback.encoding_aes_key",
    "wecom.contacts_callback.previous_token",
    "wecom.contacts_callback.previous_encoding_aes_key",
    "wecom.app_callback.token",
    "wecom.app_callback.encoding_aes_key",
    "wecom.app_callback.previous_token",
    "wecom.app_callback.previous_encoding_aes_key",
    "o2oa.work_url",
    "o2oa.server_url",
    "o2oa.message_redirect_portal",
    "o2oa.sso_client",
    "o2oa.sso_key",
    "o2oa.sso_cipher",
    "o2oa.push_user",
];

/// Scopes that permit nothing.
pub(super) const UNSUPPORTED_SCOPES: &[&str] = &["hook"];

/// Warns of every such key that somebody wrote.
pub(super) fn warn_of_unsupported(layers: &Layers, findings: &mut ConfigFindings) {
    for path in UNSUPPORTED_KEYS.iter().filter(|path| layers.is_written(path)) {
        let origin = layers.origin(path).map_or_else(String::new, |origin| format!(" ({origin})"));
        findings.warn(path, format_args!("{NOT_IN_THIS_VERSION}; it has no effect{origin}"));
    }
    for webhook in &layers.webhooks {
        let origin = &webhook.origin;
        findings.warn(&webhook.name, format_args!("{NOT_IN_THIS_VERSION}; it has no effect ({origin})"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_names_only_keys_that_exist() {
        for path in UNSUPPORTED_KEYS {
            assert!(super::super::keys::find_key(path).is_some(), "{path}");
        }
    }
}

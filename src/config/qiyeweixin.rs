//! Reads O2OA's `qiyeweixin.json`: camelCase keys, those of the first documentation and those added later.
//!
//! A file that O2OA accepts is not refused for what O2OA does not mind: unknown keys are warnings, empty strings
//! and `null` are unset, and the `###…` keys of O2OA's samples are comments.

use std::path::Path;
use std::sync::Arc;

use super::layers::{Findings, Layers, Origin, lay};
use super::nearest::hint;
use super::raw;

/// O2OA's key and ours.
const KEYS: &[(&str, &str)] = &[
    ("enable", "wecom.enable"),
    ("syncCron", "wecom.sync_cron"),
    ("forceSyncCron", "wecom.force_sync_cron"),
    ("apiAddress", "wecom.api_address"),
    ("oauth2Address", "wecom.oauth2_address"),
    ("qrConnectAddress", "wecom.qr_connect_address"),
    ("corpId", "wecom.corp_id"),
    ("corpSecret", "wecom.corp_secret"),
    ("syncSecret", "wecom.contacts_secret"),
    ("agentId", "wecom.agent_id"),
    ("token", "wecom.contacts_callback.token"),
    ("encodingAesKey", "wecom.contacts_callback.encoding_aes_key"),
    ("messageEnable", "wecom.message_enable"),
    ("workUrl", "o2oa.work_url"),
    ("messageRedirectPortal", "o2oa.message_redirect_portal"),
];

/// Keys of O2OA without a counterpart here, and what to say when one is in use.
const WITHOUT_COUNTERPART: &[(&str, &str)] = &[
    ("scanLoginEnable", "not in this version as a switch: the QR page is always there for desktop browsers"),
    ("bindEnable", "not in this version: people are found by their userid, not bound by hand"),
    ("attendanceSyncEnable", "not in this version: attendance is not read"),
    ("attendanceSyncAgentId", "not in this version: attendance is not read"),
    ("attendanceSyncSecret", "not in this version: attendance is not read"),
];

/// Lays the file at `path` over `layers`.
pub(super) fn read(path: &Path, layers: &mut Layers, findings: &mut Findings) {
    match std::fs::read_to_string(path) {
        Ok(text) => read_text(&text, &path.display().to_string(), layers, findings),
        Err(e) => findings.fail(format_args!("{} (wecom.qiyeweixin): cannot be read: {e}", path.display())),
    }
}

fn read_text(text: &str, name: &str, layers: &mut Layers, findings: &mut Findings) {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let object = match serde_json::from_str(text) {
        Ok(serde_json::Value::Object(object)) => object,
        Ok(_) => {
            findings.fail(format_args!("{name}: must be a JSON object, {{\"enable\": true, …}}"));
            return;
        }
        Err(e) => {
            // Only the place: serde_json's message may quote what it met.
            let (line, column) = (e.line(), e.column());
            findings.fail(format_args!("{name}, line {line}, column {column}: this is not JSON"));
            return;
        }
    };
    layers.read.push(name.to_owned());
    let name: Arc<str> = name.into();
    for (key, value) in &object {
        let unset = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        let ours = KEYS.iter().find(|(theirs, _)| theirs == key).and_then(|(_, ours)| raw::find(ours));
        if let Some(ours) = ours {
            if !unset {
                let origin = Origin::Qiyeweixin { name: Arc::clone(&name), key: key.clone() };
                lay(layers, findings, (ours.path, ours.kind), ours.kind.read_json(value), origin);
            }
        } else if let Some((_, note)) = WITHOUT_COUNTERPART.iter().find(|(theirs, _)| theirs == key) {
            let off = value.as_bool() == Some(false) || value.as_str() == Some("false");
            if !unset && !off {
                findings.warn(key, format_args!("{note} ({name})"));
            }
        } else if !key.starts_with('#') {
            let hint = hint("key", key, KEYS.iter().map(|(theirs, _)| *theirs));
            findings.warn(key, format_args!("unknown key in {name}, ignored{hint}"));
        }
    }
}

//! Reads O2OA's `qiyeweixin.json`: the camelCase keys of the first documentation and those added
//! later.
//!
//! A file that O2OA accepts must not be refused. Its spelling ([`super::o2oa_json`]) and its
//! encoding are lenient, unknown keys are warnings, and empty strings and `null` count as not set.
//! The `###…` keys of O2OA's samples are comments.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value};

use super::layers::{ConfigFindings, Layers, SettingOrigin, lay_value};
use super::o2oa_json::parse_o2oa_json;
use super::suggestion::suggest_nearest;
use super::{describe_read_error, keys};
use crate::base::encoding::{TextEncoding, decode_text};

/// O2OA's key and ours.
const O2OA_KEYS: &[(&str, &str)] = &[
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

/// Keys of O2OA that have no counterpart here, and the warning if one is used.
const UNSUPPORTED_O2OA_KEYS: &[(&str, &str)] = &[
    ("scanLoginEnable", "not in this version as a switch: the QR page is always there for desktop browsers"),
    ("bindEnable", "not in this version: people are found by their userid, not bound by hand"),
    ("attendanceSyncEnable", "not in this version: attendance is not read"),
    ("attendanceSyncAgentId", "not in this version: attendance is not read"),
    ("attendanceSyncSecret", "not in this version: attendance is not read"),
];

/// Adds the file at `path` as a layer.
///
/// # Errors
/// A sentence if the file cannot be read at all. Findings about the other layers would not be
/// useful then.
pub(super) fn read_qiyeweixin(
    path: &Path,
    layers: &mut Layers,
    findings: &mut ConfigFindings,
) -> Result<(), String> {
    const KEY: &str = "wecom.qiyeweixin";
    let name = path.display().to_string();
    let bytes =
        std::fs::read(path).map_err(|error| format!("{name} ({KEY}): {}", describe_read_error(&error)))?;
    let (text, encoding) =
        decode_text(&bytes).map_err(|error| format!("{name} ({KEY}), line {}: {error}", error.line))?;
    let Value::Object(object) = parse_o2oa_json(&text).map_err(|fault| format!("{name} ({KEY}), {fault}"))?
    else {
        return Err(format!("{name} ({KEY}): must be a JSON object, {{\"enable\": true, …}}"));
    };
    if encoding != TextEncoding::Utf8 {
        let encoding = encoding.as_str();
        findings.warn(KEY, format_args!("{name} is not UTF-8; it was read as {encoding}. Save it as UTF-8"));
    }
    lay_object(&object, &name, layers, findings);
    Ok(())
}

fn lay_object(object: &Map<String, Value>, name: &str, layers: &mut Layers, findings: &mut ConfigFindings) {
    layers.read.push(name.to_owned());
    let name: Arc<str> = name.into();
    for (key, value) in object {
        let unset = value.is_null() || value.as_str().is_some_and(|text| text.trim().is_empty());
        let ours =
            O2OA_KEYS.iter().find(|(theirs, _)| theirs == key).and_then(|(_, ours)| keys::find_key(ours));
        if let Some(ours) = ours {
            if !unset {
                let origin = SettingOrigin::Qiyeweixin { name: Arc::clone(&name), key: key.clone() };
                lay_value(layers, findings, (ours.path, ours.kind), ours.kind.read_json(value), origin);
            }
        } else if let Some((_, note)) = UNSUPPORTED_O2OA_KEYS.iter().find(|(theirs, _)| theirs == key) {
            let off = value.as_bool() == Some(false) || value.as_str() == Some("false");
            if !unset && !off {
                findings.warn(key, format_args!("{note} ({name})"));
            }
        } else if !key.starts_with('#') {
            let hint = suggest_nearest("key", key, O2OA_KEYS.iter().map(|(theirs, _)| *theirs));
            findings.warn(key, format_args!("unknown key in {name}, ignored{hint}"));
        }
    }
}

//! Fills in settings that follow from other ones, after the layers are merged: secrets from
//! `…_file` keys, the single secret of O2OA's documentation, the moved address of the scan page,
//! and a missing `public_url`.

use secrecy::ExposeSecret as _;
use url::Url;

use super::file_modes;
use super::keys::{API_CLIENT_KEYS, ConfigKey, ConfigValue, KEYS, ValueKind};
use super::layers::{ConfigFindings, Layers, Setting, SettingMap, SettingOrigin};
use super::model::ListenAddress;
use super::units;
use crate::base::encoding::{TextEncoding, decode_text};

/// Fills in all derived settings.
pub(super) fn derive_settings(layers: &mut Layers, findings: &mut ConfigFindings) {
    read_secret_files("", KEYS, &mut layers.settings, findings);
    for client in &mut layers.api_clients {
        read_secret_files(&format!("{}.", client.name), API_CLIENT_KEYS, &mut client.fields, findings);
    }
    // From here on the secrets have been read from their files.
    clear_unset_callbacks(layers);
    replace_old_scan_address(layers, findings);
    apply_single_secret(layers, findings);
    derive_public_url(layers, findings);
}

/// Reads the secrets that are given as a file.
fn read_secret_files(
    prefix: &str,
    keys: &[ConfigKey],
    fields: &mut SettingMap,
    findings: &mut ConfigFindings,
) {
    for secret in keys.iter().filter(|k| k.kind == ValueKind::Secret) {
        let twin = format!("{}_file", secret.path);
        let Some(Setting { value: ConfigValue::Text(path), origin }) = fields.get(twin.as_str()).cloned()
        else {
            continue;
        };
        if path.is_empty() {
            continue;
        }
        let (key, twin_key) = (format!("{prefix}{}", secret.path), format!("{prefix}{twin}"));
        let direct = fields.get(secret.path).filter(|entry| !entry.value.is_empty());
        // The stronger of two layers wins, whether it gives the secret or a file.
        if direct.is_some_and(|entry| entry.origin.strength() > origin.strength()) {
            continue;
        }
        if let Some(direct) = direct.filter(|entry| entry.origin.strength() == origin.strength()) {
            let message =
                format!("both {key} ({}) and {twin_key} are set; leave one of them empty", direct.origin);
            findings.error(&twin_key, &origin, message);
            continue;
        }
        match read_secret_file(&path) {
            Ok((text, _)) if text.trim().is_empty() => {
                findings.error(&twin_key, &origin, format_args!("{path} is empty"));
            }
            Ok((text, note)) => {
                if let Some(note) = note {
                    findings.warn(&twin_key, format_args!("{path} {note} ({origin})"));
                }
                if let Some(open) = file_modes::check_secret_file(std::path::Path::new(&path)) {
                    let command = open.command();
                    findings.warn(
                        &twin_key,
                        format_args!("everybody on this machine can read {path}; run: {command}"),
                    );
                }
                let value = ConfigValue::Secret(text.trim().to_owned().into());
                let origin = SettingOrigin::Derived(format!("{path}, {twin_key} ({origin})"));
                fields.insert(secret.path, Setting { value, origin });
            }
            Err(e) => findings.error(&twin_key, &origin, format_args!("cannot read {path}: {e}")),
        }
    }
}

/// Reads a file. Returns its text, and a note if it was not saved as plain UTF-8.
fn read_secret_file(path: &str) -> Result<(String, Option<String>), String> {
    let bytes = std::fs::read(path).map_err(|error| error.to_string())?;
    let (text, encoding) = decode_text(&bytes).map_err(|error| format!("line {}: {error}", error.line))?;
    let note = match encoding {
        TextEncoding::Utf8 => bytes.starts_with("\u{feff}".as_bytes()).then(|| {
            "begins with U+FEFF ZERO WIDTH NO-BREAK SPACE (byte order mark), which does not count".to_owned()
        }),
        other => Some(format!("is not UTF-8; it was read as {}. Save it as UTF-8", other.as_str())),
    };
    Ok((text, note))
}

/// Clears callback secrets that are `1`, which O2OA's documentation writes if a callback is not set
/// up.
fn clear_unset_callbacks(layers: &mut Layers) {
    for key in ["token", "encoding_aes_key"] {
        for section in ["contacts_callback", "app_callback"] {
            let path = format!("wecom.{section}.{key}");
            let Some(entry) = layers.settings.get_mut(path.as_str()) else { continue };
            if matches!(&entry.value, ConfigValue::Secret(secret) if secret.expose_secret() == "1") {
                entry.value = ConfigValue::Secret(String::new().into());
            }
        }
    }
}

const OLD_SCAN_HOST: &str = "open.work.weixin.qq.com";
const SCAN_ADDRESS: &str = "https://login.work.weixin.qq.com";

/// Replaces the address of WeCom's old scan page, which O2OA still has as its default. The old page
/// has other paths.
fn replace_old_scan_address(layers: &mut Layers, findings: &mut ConfigFindings) {
    const KEY: &str = "wecom.qr_connect_address";
    let is_old = Url::parse(layers.text(KEY)).is_ok_and(|url| url.host_str() == Some(OLD_SCAN_HOST));
    let Some(origin) = layers.origin(KEY).filter(|_| is_old) else { return };
    let origin = origin.to_string();
    findings.warn(
        KEY,
        format_args!("{OLD_SCAN_HOST} is WeCom's old scan page; {SCAN_ADDRESS} is used ({origin})"),
    );
    layers.set(
        KEY,
        ConfigValue::Text(SCAN_ADDRESS.to_owned()),
        SettingOrigin::Derived(format!("{KEY} ({origin})")),
    );
}

/// Uses `corp_secret` for whichever of the two secrets is empty.
fn apply_single_secret(layers: &mut Layers, findings: &mut ConfigFindings) {
    const SINGLE: &str = "wecom.corp_secret";
    let Some(single) = layers.settings.get(SINGLE).filter(|entry| !entry.value.is_empty()).cloned() else {
        return;
    };
    if !layers.is_set("wecom.app_secret") {
        findings.warn(
            SINGLE,
            format_args!(
                "used as the application's Secret because wecom.app_secret is empty ({}). O2OA's documentation takes \
                 it from 通讯录同步, and that Secret cannot sign anyone in: copy the Secret of the self-built \
                 application (应用管理 › 自建 › the application › Secret) into wecom.app_secret",
                single.origin
            ),
        );
    }
    for path in ["wecom.app_secret", "wecom.contacts_secret"] {
        if !layers.is_set(path) {
            layers.set(
                path,
                single.value.clone(),
                SettingOrigin::Derived(format!("{SINGLE} ({})", single.origin)),
            );
        }
    }
}

/// Derives a missing `public_url` from the listener: the gateway is then reached on this machine
/// only.
fn derive_public_url(layers: &mut Layers, findings: &mut ConfigFindings) {
    if layers.is_set("public_url") {
        return;
    }
    let derived = match units::parse_listen_address(layers.text("server.listen")) {
        Ok(ListenAddress::Tcp(address)) if address.port() != 0 => {
            format!("http://127.0.0.1:{}", address.port())
        }
        Ok(_) => {
            findings.fail(
                "public_url: must be set, because server.listen has no port to make one of: \
                 the address by which browsers reach the gateway, public_url = \"https://oa.example.com\"",
            );
            return;
        }
        // The finding about the listener says what is wrong.
        Err(_) => return,
    };
    layers.set("public_url", ConfigValue::Text(derived), SettingOrigin::Derived("server.listen".to_owned()));
}

//! Writes the effective configuration as TOML, in the order of `default.toml`.

use std::fmt::Write as _;

use url::Url;

use super::keys::{API_CLIENT_KEYS, ConfigKey, ConfigValue, KEYS, RULE_KEYS, TABLE_ARRAYS, WEBHOOK_KEYS};
use super::layers::{ArrayTable, Layers, Setting, SettingMap};

/// Writes every key with its value and where that was written; a `…_file` twin only if it is used.
pub(super) fn to_toml(layers: &Layers) -> String {
    let mut out = String::new();
    let mut section = "";
    for key in KEYS {
        let (place, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if place != section {
            section = place;
            if section == SECTION_AFTER_RULES {
                push_tables(&mut out, "rules", RULE_KEYS, &layers.rules);
            }
            if section == SECTION_AFTER_CLIENTS {
                push_tables(&mut out, "api_clients", API_CLIENT_KEYS, &layers.api_clients);
                push_tables(&mut out, "webhooks", WEBHOOK_KEYS, &layers.webhooks);
            }
            push_line(&mut out, format_args!("\n[{section}]"));
        }
        push_setting(&mut out, key, name, &layers.settings);
    }
    out
}

/// The sections before which the arrays stand in `default.toml`.
const SECTION_AFTER_RULES: &str = "directory";
const SECTION_AFTER_CLIENTS: &str = "o2oa";

fn push_tables(out: &mut String, array: &str, keys: &[ConfigKey], items: &[ArrayTable]) {
    debug_assert!(TABLE_ARRAYS.iter().any(|(name, _)| *name == array));
    for item in items {
        push_line(out, format_args!("\n[[{array}]] # {}", item.origin));
        for key in keys {
            push_setting(out, key, key.path, &item.fields);
        }
    }
}

fn push_setting(out: &mut String, key: &ConfigKey, name: &str, fields: &SettingMap) {
    let Some(Setting { value, origin }) = fields.get(key.path) else { return };
    if value.is_empty() && key.path.ends_with("_file") && key.path != "pages.logo_file" {
        return;
    }
    let text = match value {
        ConfigValue::Secret(_) if value.is_empty() => quote_text(""),
        ConfigValue::Secret(_) => quote_text("[set]"),
        ConfigValue::Text(text)
            if text.bytes().all(|b| b.is_ascii_digit()) && key.path == "wecom.agent_id" =>
        {
            if text.is_empty() { quote_text("") } else { text.clone() }
        }
        ConfigValue::Text(text) => quote_text(&mask_password(text)),
        ConfigValue::Boolean(flag) => flag.to_string(),
        ConfigValue::List(items) => {
            format!("[{}]", items.iter().map(|i| quote_text(i)).collect::<Vec<_>>().join(", "))
        }
    };
    push_line(out, format_args!("{name} = {text} # {origin}"));
}

/// Masks the password that a proxy's URL may contain.
fn mask_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // This fails only for URLs without a host, which have no password either.
            let masked = url.set_password(Some("[set]"));
            if masked.is_ok() { url.to_string() } else { "[set]".to_owned() }
        }
        _ => text.to_owned(),
    }
}

fn quote_text(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn push_line(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

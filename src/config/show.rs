//! The effective configuration as TOML, in the order of `default.toml`.

use std::fmt::Write as _;

use url::Url;

use super::layers::{Entry, Fields, Item, Layers};
use super::raw::{API_CLIENT_KEYS, ARRAYS, KEYS, Key, RULE_KEYS, Value, WEBHOOK_KEYS};

/// Every key with its value and where that was written; `…_file` twins only where they are used.
pub(super) fn to_toml(layers: &Layers) -> String {
    let mut out = String::new();
    let mut section = "";
    for key in KEYS {
        let (place, name) = key.path.rsplit_once('.').unwrap_or(("", key.path));
        if place != section {
            section = place;
            if section == AFTER_RULES {
                items(&mut out, "rules", RULE_KEYS, &layers.rules);
            }
            if section == AFTER_CLIENTS {
                items(&mut out, "api_clients", API_CLIENT_KEYS, &layers.api_clients);
                items(&mut out, "webhooks", WEBHOOK_KEYS, &layers.webhooks);
            }
            push(&mut out, format_args!("\n[{section}]"));
        }
        line(&mut out, key, name, &layers.entries);
    }
    out
}

/// The sections before which the arrays stand in `default.toml`.
const AFTER_RULES: &str = "directory";
const AFTER_CLIENTS: &str = "o2oa";

fn items(out: &mut String, array: &str, keys: &[Key], items: &[Item]) {
    debug_assert!(ARRAYS.iter().any(|(name, _)| *name == array));
    for item in items {
        push(out, format_args!("\n[[{array}]] # {}", item.origin));
        for key in keys {
            line(out, key, key.path, &item.fields);
        }
    }
}

fn line(out: &mut String, key: &Key, name: &str, fields: &Fields) {
    let Some(Entry { value, origin }) = fields.get(key.path) else { return };
    if value.is_empty() && key.path.ends_with("_file") && key.path != "pages.logo_file" {
        return;
    }
    let text = match value {
        Value::Secret(_) if value.is_empty() => quoted(""),
        Value::Secret(_) => quoted("[set]"),
        Value::Text(text) if text.bytes().all(|b| b.is_ascii_digit()) && key.path == "wecom.agent_id" => {
            if text.is_empty() {
                quoted("")
            } else {
                text.clone()
            }
        }
        Value::Text(text) => quoted(&without_password(text)),
        Value::Boolean(flag) => flag.to_string(),
        Value::List(items) => format!("[{}]", items.iter().map(|i| quoted(i)).collect::<Vec<_>>().join(", ")),
    };
    push(out, format_args!("{name} = {text} # {origin}"));
}

/// A proxy's URL may hold a password.
fn without_password(text: &str) -> String {
    match Url::parse(text) {
        Ok(mut url) if url.password().is_some() => {
            // Fails only for URLs without a host, which have no password either.
            let masked = url.set_password(Some("[set]"));
            if masked.is_ok() { url.to_string() } else { "[set]".to_owned() }
        }
        _ => text.to_owned(),
    }
}

fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

fn push(out: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(out, "{line}");
}

//! Lists every key, in the order of `default.toml`, and the kind of its value.
//!
//! TOML, JSON and environment variables all become a [`WrittenValue`]. [`ValueKind::read`] makes a
//! [`ConfigValue`] of it or says what was expected. No message here or later repeats a value,
//! because a secret may stand in the wrong place.

use std::fmt;

use toml::de::{DeTable, DeValue};

use crate::base::copy_fault::{CopiedAlphabet, CopyFault, find_copy_fault};
use crate::base::secret::{ExposeSecret as _, Secret};

/// The kind of a key's value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ValueKind {
    /// Text, which is checked later.
    Text,
    /// Text that is never shown. Has a `…_file` twin.
    Secret,
    /// `true` or `false`.
    Boolean,
    /// A list of texts.
    List,
    /// WeCom's `AgentId`: a number, or its digits as text.
    AgentId,
}

/// One key, such as `wecom.corp_id`.
#[derive(Debug, Clone, Copy)]
pub(super) struct ConfigKey {
    /// The sections and the name, joined by dots.
    pub(super) path: &'static str,
    pub(super) kind: ValueKind,
}

const fn define_key(path: &'static str, kind: ValueKind) -> ConfigKey {
    ConfigKey { path, kind }
}

/// All keys outside the arrays of tables.
pub(super) const KEYS: &[ConfigKey] = &[
    define_key("public_url", ValueKind::Text),
    define_key("data_dir", ValueKind::Text),
    define_key("time_zone", ValueKind::Text),
    define_key("allow_http", ValueKind::Boolean),
    define_key("server.listen", ValueKind::Text),
    define_key("server.admin_listen", ValueKind::Text),
    define_key("server.trusted_proxies", ValueKind::List),
    define_key("server.start_rate", ValueKind::Text),
    define_key("server.bad_code_rate", ValueKind::Text),
    define_key("server.secret", ValueKind::Secret),
    define_key("server.secret_file", ValueKind::Text),
    define_key("database.url", ValueKind::Secret),
    define_key("database.url_file", ValueKind::Text),
    define_key("wecom.qiyeweixin", ValueKind::Text),
    define_key("wecom.enable", ValueKind::Boolean),
    define_key("wecom.corp_id", ValueKind::Text),
    define_key("wecom.agent_id", ValueKind::AgentId),
    define_key("wecom.app_secret", ValueKind::Secret),
    define_key("wecom.app_secret_file", ValueKind::Text),
    define_key("wecom.contacts_secret", ValueKind::Secret),
    define_key("wecom.contacts_secret_file", ValueKind::Text),
    define_key("wecom.corp_secret", ValueKind::Secret),
    define_key("wecom.corp_secret_file", ValueKind::Text),
    define_key("wecom.api_address", ValueKind::Text),
    define_key("wecom.oauth2_address", ValueKind::Text),
    define_key("wecom.qr_connect_address", ValueKind::Text),
    define_key("wecom.proxy", ValueKind::Text),
    define_key("wecom.message_enable", ValueKind::Boolean),
    define_key("wecom.sync_cron", ValueKind::Text),
    define_key("wecom.force_sync_cron", ValueKind::Text),
    define_key("wecom.verify_files", ValueKind::List),
    define_key("wecom.contacts_callback.token", ValueKind::Secret),
    define_key("wecom.contacts_callback.token_file", ValueKind::Text),
    define_key("wecom.contacts_callback.encoding_aes_key", ValueKind::Secret),
    define_key("wecom.contacts_callback.encoding_aes_key_file", ValueKind::Text),
    define_key("wecom.contacts_callback.previous_token", ValueKind::Secret),
    define_key("wecom.contacts_callback.previous_token_file", ValueKind::Text),
    define_key("wecom.contacts_callback.previous_encoding_aes_key", ValueKind::Secret),
    define_key("wecom.contacts_callback.previous_encoding_aes_key_file", ValueKind::Text),
    define_key("wecom.app_callback.token", ValueKind::Secret),
    define_key("wecom.app_callback.token_file", ValueKind::Text),
    define_key("wecom.app_callback.encoding_aes_key", ValueKind::Secret),
    define_key("wecom.app_callback.encoding_aes_key_file", ValueKind::Text),
    define_key("wecom.app_callback.previous_token", ValueKind::Secret),
    define_key("wecom.app_callback.previous_token_file", ValueKind::Text),
    define_key("wecom.app_callback.previous_encoding_aes_key", ValueKind::Secret),
    define_key("wecom.app_callback.previous_encoding_aes_key_file", ValueKind::Text),
    define_key("session.ttl", ValueKind::Text),
    define_key("session.idle", ValueKind::Text),
    define_key("session.cookie_domain", ValueKind::Text),
    define_key("login.redirect_hosts", ValueKind::List),
    define_key("login.landing", ValueKind::Text),
    define_key("login.hash_routes", ValueKind::List),
    define_key("pages.title", ValueKind::Text),
    define_key("pages.contact", ValueKind::Text),
    define_key("pages.logo_file", ValueKind::Text),
    define_key("gate.groups", ValueKind::Text),
    define_key("gate.assertion", ValueKind::Boolean),
    define_key("gate.default", ValueKind::Text),
    define_key("gate.stale_after", ValueKind::Text),
    define_key("gate.recheck", ValueKind::Text),
    define_key("gate.code_paths", ValueKind::List),
    define_key("directory.link_by", ValueKind::List),
    define_key("directory.max_removals", ValueKind::Text),
    define_key("directory.purge_left_after", ValueKind::Text),
    define_key("o2oa.work_url", ValueKind::Text),
    define_key("o2oa.server_url", ValueKind::Text),
    define_key("o2oa.message_redirect_portal", ValueKind::Text),
    define_key("o2oa.sso_client", ValueKind::Text),
    define_key("o2oa.sso_key", ValueKind::Secret),
    define_key("o2oa.sso_key_file", ValueKind::Text),
    define_key("o2oa.sso_cipher", ValueKind::Text),
    define_key("o2oa.push_user", ValueKind::Text),
    define_key("log.level", ValueKind::Text),
    define_key("log.format", ValueKind::Text),
];

/// The keys of a `[[rules]]` table.
pub(super) const RULE_KEYS: &[ConfigKey] = &[
    define_key("host", ValueKind::Text),
    define_key("path", ValueKind::Text),
    define_key("methods", ValueKind::List),
    define_key("case_sensitive", ValueKind::Boolean),
    define_key("allow", ValueKind::List),
];

/// The keys of an `[[api_clients]]` table.
pub(super) const API_CLIENT_KEYS: &[ConfigKey] = &[
    define_key("id", ValueKind::Text),
    define_key("secret_hash", ValueKind::Secret),
    define_key("secret_hash_file", ValueKind::Text),
    define_key("scopes", ValueKind::List),
];

/// The keys of a `[[webhooks]]` table.
pub(super) const WEBHOOK_KEYS: &[ConfigKey] = &[
    define_key("id", ValueKind::Text),
    define_key("url", ValueKind::Text),
    define_key("secret", ValueKind::Secret),
    define_key("secret_file", ValueKind::Text),
    define_key("previous_secret", ValueKind::Secret),
    define_key("previous_secret_file", ValueKind::Text),
    define_key("events", ValueKind::List),
    define_key("clients", ValueKind::List),
    define_key("allow_private", ValueKind::Boolean),
];

/// The arrays of tables and their keys.
pub(super) const TABLE_ARRAYS: &[(&str, &[ConfigKey])] =
    &[("rules", RULE_KEYS), ("api_clients", API_CLIENT_KEYS), ("webhooks", WEBHOOK_KEYS)];

/// Finds the entry of [`KEYS`] for `path`.
pub(super) fn find_key(path: &str) -> Option<&'static ConfigKey> {
    KEYS.iter().find(|k| k.path == path)
}

/// Returns whether `path` is a section, so that some key lies below it.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|k| k.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// A value as it was written, in any format.
#[derive(Clone)]
pub(super) enum WrittenValue {
    /// Quoted text.
    Text(String),
    /// A whole number, as decimal digits.
    Integer(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<WrittenValue>),
    /// Anything that no key accepts.
    Other,
}

impl From<&DeValue<'_>> for WrittenValue {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            // A hexadecimal or octal number means nothing here.
            DeValue::Integer(number) if number.radix() == 10 => Self::Integer(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Self::Boolean(*flag),
            DeValue::Array(items) => Self::List(items.iter().map(|i| Self::from(i.get_ref())).collect()),
            _ => Self::Other,
        }
    }
}

impl From<&serde_json::Value> for WrittenValue {
    fn from(value: &serde_json::Value) -> Self {
        match value {
            serde_json::Value::String(text) => Self::Text(text.clone()),
            serde_json::Value::Number(number) => Self::Integer(number.to_string()),
            serde_json::Value::Bool(flag) => Self::Boolean(*flag),
            serde_json::Value::Array(items) => Self::List(items.iter().map(Self::from).collect()),
            _ => Self::Other,
        }
    }
}

/// A value of the right kind.
#[derive(Debug, Clone)]
pub(super) enum ConfigValue {
    /// Text, without surrounding white space.
    Text(String),
    /// Text that is never printed, without surrounding white space.
    Secret(Secret),
    /// `true` or `false`.
    Boolean(bool),
    /// Texts.
    List(Vec<String>),
}

impl ConfigValue {
    /// Returns whether the value is empty.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Secret(secret) => secret.expose_secret().is_empty(),
            Self::Boolean(_) => false,
            Self::List(items) => items.is_empty(),
        }
    }

    /// Returns whether both are the same. Comparing secrets as text is fine here, because it only
    /// finds changes.
    pub(super) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Secret(a), Self::Secret(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            _ => false,
        }
    }
}

/// The form that a value of some kind must have; completes "must be …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ExpectedValue {
    kind: ValueKind,
    /// A character that was perhaps copied along.
    copy_fault: Option<CopyFault>,
}

impl From<ValueKind> for ExpectedValue {
    fn from(kind: ValueKind) -> Self {
        Self { kind, copy_fault: None }
    }
}

impl fmt::Display for ExpectedValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ValueKind::Text | ValueKind::Secret => "text in quotes",
            ValueKind::Boolean => "true or false",
            ValueKind::List => "a list of texts, [\"a\", \"b\"]",
            ValueKind::AgentId => "the AgentId, a number such as 1000002",
        })?;
        self.copy_fault.map_or(Ok(()), |fault| write!(f, "; it holds {fault}"))
    }
}

impl ValueKind {
    /// Reads a value of a file.
    pub(super) fn read(self, written: WrittenValue) -> Result<ConfigValue, ExpectedValue> {
        match (self, written) {
            (Self::Text, WrittenValue::Text(text)) => Ok(ConfigValue::Text(trim_text(&text))),
            (Self::Secret, WrittenValue::Text(text)) => Ok(ConfigValue::Secret(trim_text(&text).into())),
            (Self::Boolean, WrittenValue::Boolean(flag)) => Ok(ConfigValue::Boolean(flag)),
            (Self::AgentId, WrittenValue::Text(text) | WrittenValue::Integer(text)) => {
                let text = trim_text(&text);
                // Empty text passes: it means not set.
                let digits = text.bytes().all(|b| b.is_ascii_digit());
                let copy_fault = find_copy_fault(&text, CopiedAlphabet::Console);
                if digits {
                    Ok(ConfigValue::Text(text))
                } else {
                    Err(ExpectedValue { kind: self, copy_fault })
                }
            }
            (Self::List, WrittenValue::List(items)) => items
                .into_iter()
                .map(|item| match item {
                    WrittenValue::Text(text) => Ok(trim_text(&text)),
                    _ => Err(self.into()),
                })
                .collect::<Result<_, _>>()
                .map(ConfigValue::List),
            _ => Err(self.into()),
        }
    }

    /// Reads the text of an environment variable: `true`/`false`/`1`/`0`, and lists as `a,b` or
    /// `["a", "b"]`.
    pub(super) fn read_variable(self, text: &str) -> Result<ConfigValue, ExpectedValue> {
        let text = text.trim();
        let written = match self {
            Self::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => WrittenValue::Boolean(true),
                "false" | "0" => WrittenValue::Boolean(false),
                _ => WrittenValue::Other,
            },
            Self::List if text.starts_with('[') => parse_toml_array(text),
            Self::List => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                WrittenValue::List(items.map(|item| WrittenValue::Text(item.to_owned())).collect())
            }
            Self::Text | Self::Secret | Self::AgentId => WrittenValue::Text(text.to_owned()),
        };
        self.read(written)
    }

    /// Reads a value of a qiyeweixin.json, where `true` may also be written as text.
    pub(super) fn read_json(self, value: &serde_json::Value) -> Result<ConfigValue, ExpectedValue> {
        match (self, value) {
            (Self::Boolean, serde_json::Value::String(text)) => self.read_variable(text),
            _ => self.read(WrittenValue::from(value)),
        }
    }
}

fn trim_text(text: &str) -> String {
    text.trim().to_owned()
}

fn parse_toml_array(text: &str) -> WrittenValue {
    let document = format!("list = {text}");
    DeTable::parse(&document)
        .ok()
        .and_then(|table| table.get_ref().get("list").map(|v| WrittenValue::from(v.get_ref())))
        .unwrap_or(WrittenValue::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_has_a_file_twin() {
        for keys in [KEYS, API_CLIENT_KEYS, WEBHOOK_KEYS] {
            for secret in keys.iter().filter(|k| k.kind == ValueKind::Secret) {
                let twin = format!("{}_file", secret.path);
                assert!(keys.iter().any(|k| k.path == twin && k.kind == ValueKind::Text), "{twin}");
            }
        }
    }

    #[test]
    fn a_variable_may_hold_a_list_in_either_spelling() {
        for text in ["a.example, b.example,", r#"["a.example", "b.example"]"#] {
            let Ok(ConfigValue::List(items)) = ValueKind::List.read_variable(text) else { panic!("{text}") };
            assert_eq!(items, ["a.example", "b.example"]);
        }
        assert!(ValueKind::List.read_variable("[1, 2]").is_err());
        assert!(ValueKind::List.read_variable("[\"a\"").is_err());
    }

    #[test]
    fn digits_stay_text_where_text_is_meant() {
        assert!(matches!(ValueKind::Text.read_variable("0012"), Ok(ConfigValue::Text(t)) if t == "0012"));
        assert!(
            matches!(ValueKind::Secret.read_variable("0012"), Ok(ConfigValue::Secret(s)) if s.expose_secret() == "0012")
        );
        assert!(ValueKind::Secret.read(WrittenValue::Integer("12".to_owned())).is_err());
    }
}

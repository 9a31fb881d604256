//! What may be written: every key, in the order of `default.toml`, and how its value is spelt.
//!
//! TOML, JSON and environment variables meet in [`Written`]; [`Kind::read`] makes a [`Value`] of it or says what
//! was expected. No message here or later repeats a value, because a secret may stand where it does not belong.

use std::fmt;

use toml::de::{DeTable, DeValue};

use crate::base::copied::{Alphabet, CopyFault, find_copy_fault};
use crate::base::secret::{ExposeSecret as _, Secret};

/// How a key's value is spelt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Text; what it means is checked later.
    Text,
    /// Text that is never shown; has a `…_file` twin.
    Secret,
    /// `true` or `false`.
    Boolean,
    /// A list of texts.
    List,
    /// WeCom's `AgentId`: a number, or its digits as text.
    AgentId,
}

/// One key: `wecom.corp_id`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Key {
    /// Sections and name joined by dots.
    pub(super) path: &'static str,
    /// How its value is spelt.
    pub(super) kind: Kind,
}

const fn key(path: &'static str, kind: Kind) -> Key {
    Key { path, kind }
}

/// Every key outside the arrays of tables.
pub(super) const KEYS: &[Key] = &[
    key("public_url", Kind::Text),
    key("data_dir", Kind::Text),
    key("time_zone", Kind::Text),
    key("allow_http", Kind::Boolean),
    key("server.listen", Kind::Text),
    key("server.admin_listen", Kind::Text),
    key("server.trusted_proxies", Kind::List),
    key("server.start_rate", Kind::Text),
    key("server.bad_code_rate", Kind::Text),
    key("server.secret", Kind::Secret),
    key("server.secret_file", Kind::Text),
    key("database.url", Kind::Secret),
    key("database.url_file", Kind::Text),
    key("wecom.qiyeweixin", Kind::Text),
    key("wecom.enable", Kind::Boolean),
    key("wecom.corp_id", Kind::Text),
    key("wecom.agent_id", Kind::AgentId),
    key("wecom.app_secret", Kind::Secret),
    key("wecom.app_secret_file", Kind::Text),
    key("wecom.contacts_secret", Kind::Secret),
    key("wecom.contacts_secret_file", Kind::Text),
    key("wecom.corp_secret", Kind::Secret),
    key("wecom.corp_secret_file", Kind::Text),
    key("wecom.api_address", Kind::Text),
    key("wecom.oauth2_address", Kind::Text),
    key("wecom.qr_connect_address", Kind::Text),
    key("wecom.proxy", Kind::Text),
    key("wecom.message_enable", Kind::Boolean),
    key("wecom.sync_cron", Kind::Text),
    key("wecom.force_sync_cron", Kind::Text),
    key("wecom.verify_files", Kind::List),
    key("wecom.contacts_callback.token", Kind::Secret),
    key("wecom.contacts_callback.token_file", Kind::Text),
    key("wecom.contacts_callback.encoding_aes_key", Kind::Secret),
    key("wecom.contacts_callback.encoding_aes_key_file", Kind::Text),
    key("wecom.contacts_callback.previous_token", Kind::Secret),
    key("wecom.contacts_callback.previous_token_file", Kind::Text),
    key("wecom.contacts_callback.previous_encoding_aes_key", Kind::Secret),
    key("wecom.contacts_callback.previous_encoding_aes_key_file", Kind::Text),
    key("wecom.app_callback.token", Kind::Secret),
    key("wecom.app_callback.token_file", Kind::Text),
    key("wecom.app_callback.encoding_aes_key", Kind::Secret),
    key("wecom.app_callback.encoding_aes_key_file", Kind::Text),
    key("wecom.app_callback.previous_token", Kind::Secret),
    key("wecom.app_callback.previous_token_file", Kind::Text),
    key("wecom.app_callback.previous_encoding_aes_key", Kind::Secret),
    key("wecom.app_callback.previous_encoding_aes_key_file", Kind::Text),
    key("session.ttl", Kind::Text),
    key("session.idle", Kind::Text),
    key("session.cookie_domain", Kind::Text),
    key("login.redirect_hosts", Kind::List),
    key("login.landing", Kind::Text),
    key("login.hash_routes", Kind::List),
    key("pages.title", Kind::Text),
    key("pages.contact", Kind::Text),
    key("pages.logo_file", Kind::Text),
    key("gate.groups", Kind::Text),
    key("gate.assertion", Kind::Boolean),
    key("gate.default", Kind::Text),
    key("gate.stale_after", Kind::Text),
    key("gate.recheck", Kind::Text),
    key("gate.code_paths", Kind::List),
    key("directory.link_by", Kind::List),
    key("directory.max_removals", Kind::Text),
    key("directory.purge_left_after", Kind::Text),
    key("o2oa.work_url", Kind::Text),
    key("o2oa.server_url", Kind::Text),
    key("o2oa.message_redirect_portal", Kind::Text),
    key("o2oa.sso_client", Kind::Text),
    key("o2oa.sso_key", Kind::Secret),
    key("o2oa.sso_key_file", Kind::Text),
    key("o2oa.sso_cipher", Kind::Text),
    key("o2oa.push_user", Kind::Text),
    key("log.level", Kind::Text),
    key("log.format", Kind::Text),
];

/// The keys of one `[[rules]]` entry.
pub(super) const RULE_KEYS: &[Key] = &[
    key("host", Kind::Text),
    key("path", Kind::Text),
    key("methods", Kind::List),
    key("case_sensitive", Kind::Boolean),
    key("allow", Kind::List),
];

/// The keys of one `[[api_clients]]` entry.
pub(super) const API_CLIENT_KEYS: &[Key] = &[
    key("id", Kind::Text),
    key("secret_hash", Kind::Secret),
    key("secret_hash_file", Kind::Text),
    key("scopes", Kind::List),
];

/// The keys of one `[[webhooks]]` entry.
pub(super) const WEBHOOK_KEYS: &[Key] = &[
    key("id", Kind::Text),
    key("url", Kind::Text),
    key("secret", Kind::Secret),
    key("secret_file", Kind::Text),
    key("previous_secret", Kind::Secret),
    key("previous_secret_file", Kind::Text),
    key("events", Kind::List),
    key("clients", Kind::List),
    key("allow_private", Kind::Boolean),
];

/// The arrays of tables and their keys.
pub(super) const ARRAYS: &[(&str, &[Key])] =
    &[("rules", RULE_KEYS), ("api_clients", API_CLIENT_KEYS), ("webhooks", WEBHOOK_KEYS)];

/// The entry of [`KEYS`] for `path`.
pub(super) fn find(path: &str) -> Option<&'static Key> {
    KEYS.iter().find(|k| k.path == path)
}

/// Whether `path` is a section: some key lies below it.
pub(super) fn is_section(path: &str) -> bool {
    KEYS.iter().any(|k| k.path.strip_prefix(path).is_some_and(|rest| rest.starts_with('.')))
}

/// A value as somebody wrote it, whatever the format.
#[derive(Clone)]
pub(super) enum Written {
    /// Quoted text.
    Text(String),
    /// A whole number, its decimal digits.
    Integer(String),
    /// `true` or `false`.
    Boolean(bool),
    /// A list.
    List(Vec<Written>),
    /// Anything that no key takes.
    Other,
}

impl From<&DeValue<'_>> for Written {
    fn from(value: &DeValue<'_>) -> Self {
        match value {
            DeValue::String(text) => Self::Text(text.to_string()),
            DeValue::Integer(number) if number.radix() == 10 => Self::Integer(number.as_str().to_owned()),
            DeValue::Boolean(flag) => Self::Boolean(*flag),
            DeValue::Array(items) => Self::List(items.iter().map(|i| Self::from(i.get_ref())).collect()),
            _ => Self::Other,
        }
    }
}

impl From<&serde_json::Value> for Written {
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
pub(super) enum Value {
    /// Text, without surrounding white space.
    Text(String),
    /// Text that does not print, without surrounding white space.
    Secret(Secret),
    /// `true` or `false`.
    Boolean(bool),
    /// Texts.
    List(Vec<String>),
}

impl Value {
    /// Whether this is empty text.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Text(text) => text.is_empty(),
            Self::Secret(secret) => secret.expose_secret().is_empty(),
            Self::Boolean(_) => false,
            Self::List(items) => items.is_empty(),
        }
    }

    /// Whether both say the same; secrets are compared as text, which is fine for "is it the default".
    pub(super) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Text(a), Self::Text(b)) => a == b,
            (Self::Secret(a), Self::Secret(b)) => a.expose_secret() == b.expose_secret(),
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::List(a), Self::List(b)) => a == b,
            _ => false,
        }
    }
}

/// What a value of some kind has to look like; completes "must be …".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Expected {
    kind: Kind,
    /// What was perhaps copied along.
    along: Option<CopyFault>,
}

impl From<Kind> for Expected {
    fn from(kind: Kind) -> Self {
        Self { kind, along: None }
    }
}

impl fmt::Display for Expected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            Kind::Text | Kind::Secret => "text in quotes",
            Kind::Boolean => "true or false",
            Kind::List => "a list of texts, [\"a\", \"b\"]",
            Kind::AgentId => "the AgentId, a number such as 1000002",
        })?;
        self.along.map_or(Ok(()), |along| write!(f, "; it holds {along}"))
    }
}

impl Kind {
    /// Takes over a value of a file.
    pub(super) fn read(self, written: Written) -> Result<Value, Expected> {
        match (self, written) {
            (Self::Text, Written::Text(text)) => Ok(Value::Text(trimmed(&text))),
            (Self::Secret, Written::Text(text)) => Ok(Value::Secret(trimmed(&text).into())),
            (Self::Boolean, Written::Boolean(flag)) => Ok(Value::Boolean(flag)),
            (Self::AgentId, Written::Text(text) | Written::Integer(text)) => {
                let text = trimmed(&text);
                let digits = text.bytes().all(|b| b.is_ascii_digit());
                let along = find_copy_fault(&text, Alphabet::Console);
                if digits { Ok(Value::Text(text)) } else { Err(Expected { kind: self, along }) }
            }
            (Self::List, Written::List(items)) => items
                .into_iter()
                .map(|item| match item {
                    Written::Text(text) => Ok(trimmed(&text)),
                    _ => Err(self.into()),
                })
                .collect::<Result<_, _>>()
                .map(Value::List),
            _ => Err(self.into()),
        }
    }

    /// Takes over the text of an environment variable: `true`/`false`/`1`/`0`, and lists as `a,b` or `["a", "b"]`.
    pub(super) fn read_variable(self, text: &str) -> Result<Value, Expected> {
        let text = text.trim();
        let written = match self {
            Self::Boolean => match text.to_ascii_lowercase().as_str() {
                "true" | "1" => Written::Boolean(true),
                "false" | "0" => Written::Boolean(false),
                _ => Written::Other,
            },
            Self::List if text.starts_with('[') => toml_array(text),
            Self::List => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Written::List(items.map(|item| Written::Text(item.to_owned())).collect())
            }
            Self::Text | Self::Secret | Self::AgentId => Written::Text(text.to_owned()),
        };
        self.read(written)
    }

    /// Takes over a value of a qiyeweixin.json, where `true` may also be written as text.
    pub(super) fn read_json(self, value: &serde_json::Value) -> Result<Value, Expected> {
        match (self, value) {
            (Self::Boolean, serde_json::Value::String(text)) => self.read_variable(text),
            _ => self.read(Written::from(value)),
        }
    }
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

fn toml_array(text: &str) -> Written {
    let document = format!("list = {text}");
    DeTable::parse(&document)
        .ok()
        .and_then(|table| table.get_ref().get("list").map(|v| Written::from(v.get_ref())))
        .unwrap_or(Written::Other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_secret_has_a_file_twin() {
        for keys in [KEYS, API_CLIENT_KEYS, WEBHOOK_KEYS] {
            for secret in keys.iter().filter(|k| k.kind == Kind::Secret) {
                let twin = format!("{}_file", secret.path);
                assert!(keys.iter().any(|k| k.path == twin && k.kind == Kind::Text), "{twin}");
            }
        }
    }

    #[test]
    fn a_variable_may_hold_a_list_in_either_spelling() {
        for text in ["a.example, b.example,", r#"["a.example", "b.example"]"#] {
            let Ok(Value::List(items)) = Kind::List.read_variable(text) else { panic!("{text}") };
            assert_eq!(items, ["a.example", "b.example"]);
        }
        assert!(Kind::List.read_variable("[1, 2]").is_err());
        assert!(Kind::List.read_variable("[\"a\"").is_err());
    }

    #[test]
    fn digits_stay_text_where_text_is_meant() {
        assert!(matches!(Kind::Text.read_variable("0012"), Ok(Value::Text(t)) if t == "0012"));
        assert!(
            matches!(Kind::Secret.read_variable("0012"), Ok(Value::Secret(s)) if s.expose_secret() == "0012")
        );
        assert!(Kind::Secret.read(Written::Integer("12".to_owned())).is_err());
    }
}

//! The layers on top of each other: which value holds, and where it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::keys::{ConfigValue, ValueKind};
use super::{ConfigError, ConfigWarning};

/// Where a value was written.
#[derive(Debug, Clone)]
pub(super) enum SettingOrigin {
    /// `default.toml`, embedded.
    BuiltIn,
    /// A line of a configuration file.
    File {
        /// As given on the command line.
        name: Arc<str>,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// An environment variable that replaces a default.
    DefaultVariable(String),
    /// A key of a qiyeweixin.json.
    Qiyeweixin {
        /// The file.
        name: Arc<str>,
        /// Its key, camelCase.
        key: String,
    },
    /// A flag.
    Flag(&'static str),
    /// Made from another setting.
    Derived(String),
}

impl SettingOrigin {
    /// Which layer it is; the stronger one wins.
    pub(super) const fn strength(&self) -> u8 {
        match self {
            Self::BuiltIn | Self::DefaultVariable(_) => 0,
            Self::Qiyeweixin { .. } => 1,
            Self::File { .. } => 2,
            Self::Variable(_) => 3,
            Self::Flag(_) | Self::Derived(_) => 4,
        }
    }
}

impl fmt::Display for SettingOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuiltIn => f.write_str("default"),
            Self::File { name, line } => write!(f, "{name}:{line}"),
            Self::Variable(name) | Self::DefaultVariable(name) => f.write_str(name),
            Self::Qiyeweixin { name, key } => write!(f, "{key} in {name}"),
            Self::Flag(flag) => f.write_str(flag),
            Self::Derived(from) => write!(f, "from {from}"),
        }
    }
}

/// A value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) value: ConfigValue,
    pub(super) origin: SettingOrigin,
}

/// Values by key.
pub(super) type SettingMap = BTreeMap<&'static str, Setting>;

/// One `[[rules]]`, `[[api_clients]]` or `[[webhooks]]` entry.
#[derive(Debug, Clone)]
pub(super) struct ArrayTable {
    /// `rules[2]`, counted from 1.
    pub(super) name: String,
    pub(super) origin: SettingOrigin,
    pub(super) fields: SettingMap,
}

impl ArrayTable {
    /// `rules[2].host`.
    pub(super) fn key(&self, field: &str) -> String {
        format!("{}.{field}", self.name)
    }

    /// Where `field` was written; where the entry begins, if it was not.
    pub(super) fn origin(&self, field: &str) -> &SettingOrigin {
        self.fields.get(field).map_or(&self.origin, |entry| &entry.origin)
    }

    /// The text of `field`; empty if it is missing.
    pub(super) fn text(&self, field: &str) -> &str {
        match self.fields.get(field).map(|entry| &entry.value) {
            Some(ConfigValue::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether `field` is true; false if it is missing.
    pub(super) fn flag(&self, field: &str) -> bool {
        matches!(self.fields.get(field).map(|entry| &entry.value), Some(ConfigValue::Boolean(true)))
    }

    /// The list of `field`; `None` if it is missing.
    pub(super) fn list(&self, field: &str) -> Option<&[String]> {
        match self.fields.get(field).map(|entry| &entry.value) {
            Some(ConfigValue::List(items)) => Some(items),
            _ => None,
        }
    }
}

/// All layers merged.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers {
    /// The values that hold.
    pub(super) settings: SettingMap,
    /// The values of `default.toml`.
    pub(super) defaults: SettingMap,
    /// `[[rules]]` in order.
    pub(super) rules: Vec<ArrayTable>,
    /// `[[api_clients]]` in order.
    pub(super) api_clients: Vec<ArrayTable>,
    /// `[[webhooks]]` in order.
    pub(super) webhooks: Vec<ArrayTable>,
    /// What was read, for people: files and variables, weakest first.
    pub(super) read: Vec<String>,
}

impl Layers {
    /// Lays a value over what is there.
    pub(super) fn set(&mut self, path: &'static str, value: ConfigValue, origin: SettingOrigin) {
        self.settings.insert(path, Setting { value, origin });
    }

    /// The text of `path`; empty for a key of another kind.
    pub(super) fn text(&self, path: &str) -> &str {
        match self.settings.get(path).map(|entry| &entry.value) {
            Some(ConfigValue::Text(text)) => text,
            _ => "",
        }
    }

    /// Whether `path` holds anything but empty text.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.settings.get(path).is_some_and(|entry| !entry.value.is_empty())
    }

    /// Whether `path` says something else than `default.toml`.
    pub(super) fn is_changed(&self, path: &str) -> bool {
        match (self.settings.get(path), self.defaults.get(path)) {
            (Some(now), Some(default)) => !now.value.is_same(&default.value),
            (now, _) => now.is_some(),
        }
    }

    /// Whether somebody wrote `path`: something in it, or something else than the default.
    pub(super) fn is_written(&self, path: &str) -> bool {
        let written =
            |entry: &Setting| !matches!(entry.origin, SettingOrigin::BuiltIn) && !entry.value.is_empty();
        self.is_changed(path) || self.settings.get(path).is_some_and(written)
    }

    /// Where `path` was written.
    pub(super) fn origin(&self, path: &str) -> Option<&SettingOrigin> {
        self.settings.get(path).map(|entry| &entry.origin)
    }
}

/// What is wrong, and what is right but should be known. Nothing in here repeats a secret.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigFindings {
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<ConfigWarning>,
}

impl ConfigFindings {
    /// A finding about `key`, written at `origin`.
    pub(super) fn error(&mut self, key: &str, origin: &SettingOrigin, message: impl fmt::Display) {
        self.errors.push(match origin {
            SettingOrigin::BuiltIn => format!("{key}: {message}"),
            _ => format!("{key} ({origin}): {message}"),
        });
    }

    /// A finding about no single key: a file that cannot be read, an unknown variable.
    pub(super) fn fail(&mut self, message: impl fmt::Display) {
        self.errors.push(message.to_string());
    }

    /// Something to know about `key`.
    pub(super) fn warn(&mut self, key: &str, message: impl fmt::Display) {
        self.warnings.push(ConfigWarning { key: key.to_owned(), message: message.to_string() });
    }

    /// The errors, if there are any.
    pub(super) fn result<T>(&self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(ConfigError { findings: self.errors.clone() }),
        }
    }
}

/// Lays `written` over `path`, or reports what was expected.
pub(super) fn lay_value(
    layers: &mut Layers,
    findings: &mut ConfigFindings,
    (path, kind): (&'static str, ValueKind),
    value: Result<ConfigValue, super::keys::ExpectedValue>,
    origin: SettingOrigin,
) {
    debug_assert!(super::keys::find_key(path).is_some_and(|k| k.kind == kind));
    match value {
        Ok(value) => layers.set(path, value, origin),
        Err(expected) => findings.error(path, &origin, format_args!("must be {expected}")),
    }
}

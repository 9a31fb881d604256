//! The merged layers: the value of each setting, and where it was written.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::keys::{ConfigValue, ValueKind};
use super::{ConfigError, ConfigWarning};

/// The place where a value was written.
#[derive(Debug, Clone)]
pub(super) enum SettingOrigin {
    /// The embedded `default.toml`.
    BuiltIn,
    /// A line of a configuration file.
    File {
        /// The name as given on the command line.
        name: Arc<str>,
        /// The line number; the first line is 1.
        line: usize,
    },
    /// An environment variable.
    Variable(String),
    /// An environment variable that replaces a default.
    DefaultVariable(String),
    /// A key of a qiyeweixin.json.
    Qiyeweixin {
        name: Arc<str>,
        /// The key in that file, in camelCase.
        key: String,
    },
    /// A command-line flag.
    Flag(&'static str),
    /// Derived from another setting.
    Derived(String),
}

impl SettingOrigin {
    /// Returns the strength of the layer; the stronger one wins.
    pub(super) const fn strength(&self) -> u8 {
        match self {
            Self::BuiltIn | Self::DefaultVariable(_) => 0,
            Self::Qiyeweixin { .. } => 1,
            Self::File { .. } => 2,
            Self::Variable(_) => 3,
            // A derived value replaces the one from which it is derived.
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

/// A value and the place where it was written.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) value: ConfigValue,
    pub(super) origin: SettingOrigin,
}

/// Settings by key.
pub(super) type SettingMap = BTreeMap<&'static str, Setting>;

/// One table of `[[rules]]`, `[[api_clients]]` or `[[webhooks]]`.
#[derive(Debug, Clone)]
pub(super) struct ArrayTable {
    /// The name in findings, `rules[2]`; the first one is 1.
    pub(super) name: String,
    pub(super) origin: SettingOrigin,
    pub(super) fields: SettingMap,
}

impl ArrayTable {
    /// Returns the name of a field in findings, `rules[2].host`.
    pub(super) fn key(&self, field: &str) -> String {
        format!("{}.{field}", self.name)
    }

    /// Returns where `field` was written; if it was not, where the table begins.
    pub(super) fn origin(&self, field: &str) -> &SettingOrigin {
        self.fields.get(field).map_or(&self.origin, |entry| &entry.origin)
    }

    /// Returns the text of `field`; empty if it is missing.
    pub(super) fn text(&self, field: &str) -> &str {
        match self.fields.get(field).map(|entry| &entry.value) {
            Some(ConfigValue::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns whether `field` is true; false if it is missing.
    pub(super) fn flag(&self, field: &str) -> bool {
        matches!(self.fields.get(field).map(|entry| &entry.value), Some(ConfigValue::Boolean(true)))
    }

    /// Returns the list of `field`; `None` if it is missing.
    pub(super) fn list(&self, field: &str) -> Option<&[String]> {
        match self.fields.get(field).map(|entry| &entry.value) {
            Some(ConfigValue::List(items)) => Some(items),
            _ => None,
        }
    }
}

/// All layers, merged.
#[derive(Debug, Clone, Default)]
pub(super) struct Layers {
    /// The values in effect.
    pub(super) settings: SettingMap,
    /// The values of `default.toml`.
    pub(super) defaults: SettingMap,
    /// The tables of `[[rules]]`, in order.
    pub(super) rules: Vec<ArrayTable>,
    /// The tables of `[[api_clients]]`, in order.
    pub(super) api_clients: Vec<ArrayTable>,
    /// The tables of `[[webhooks]]`, in order.
    pub(super) webhooks: Vec<ArrayTable>,
    /// The files and variables that were read, weakest first, for people.
    pub(super) read: Vec<String>,
}

impl Layers {
    /// Sets a value over the weaker ones.
    pub(super) fn set(&mut self, path: &'static str, value: ConfigValue, origin: SettingOrigin) {
        self.settings.insert(path, Setting { value, origin });
    }

    /// Returns the text of `path`; empty for a key of another kind.
    pub(super) fn text(&self, path: &str) -> &str {
        match self.settings.get(path).map(|entry| &entry.value) {
            Some(ConfigValue::Text(text)) => text,
            _ => "",
        }
    }

    /// Returns whether `path` has a value that is not empty.
    pub(super) fn is_set(&self, path: &str) -> bool {
        self.settings.get(path).is_some_and(|entry| !entry.value.is_empty())
    }

    /// Returns whether `path` differs from `default.toml`.
    pub(super) fn is_changed(&self, path: &str) -> bool {
        match (self.settings.get(path), self.defaults.get(path)) {
            (Some(now), Some(default)) => !now.value.is_same(&default.value),
            (now, _) => now.is_some(),
        }
    }

    /// Returns whether somebody wrote `path`: it differs from the default, or it was written and is
    /// not empty.
    pub(super) fn is_written(&self, path: &str) -> bool {
        let written =
            |entry: &Setting| !matches!(entry.origin, SettingOrigin::BuiltIn) && !entry.value.is_empty();
        self.is_changed(path) || self.settings.get(path).is_some_and(written)
    }

    /// Returns where `path` was written.
    pub(super) fn origin(&self, path: &str) -> Option<&SettingOrigin> {
        self.settings.get(path).map(|entry| &entry.origin)
    }
}

/// Errors and warnings about the configuration. None of them repeats a secret.
#[derive(Debug, Clone, Default)]
pub(super) struct ConfigFindings {
    pub(super) errors: Vec<String>,
    pub(super) warnings: Vec<ConfigWarning>,
}

impl ConfigFindings {
    /// Adds an error about `key`, written at `origin`.
    pub(super) fn error(&mut self, key: &str, origin: &SettingOrigin, message: impl fmt::Display) {
        self.errors.push(match origin {
            SettingOrigin::BuiltIn => format!("{key}: {message}"),
            _ => format!("{key} ({origin}): {message}"),
        });
    }

    /// Adds an error about no single key, such as an unreadable file or an unknown variable.
    pub(super) fn fail(&mut self, message: impl fmt::Display) {
        self.errors.push(message.to_string());
    }

    /// Adds a warning about `key`.
    pub(super) fn warn(&mut self, key: &str, message: impl fmt::Display) {
        self.warnings.push(ConfigWarning { key: key.to_owned(), message: message.to_string() });
    }

    /// Returns the value if there are no errors.
    pub(super) fn result<T>(&self, value: Option<T>) -> Result<T, ConfigError> {
        match value {
            Some(value) if self.errors.is_empty() => Ok(value),
            _ => Err(ConfigError { findings: self.errors.clone() }),
        }
    }
}

/// Sets a value, or reports what was expected.
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

//! Reads a configuration file into the layers.

use std::sync::Arc;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{self, ConfigKey, KEYS, TABLE_ARRAYS, WrittenValue};
use super::layers::{ArrayTable, ConfigFindings, Layers, Setting, SettingMap, SettingOrigin, lay_value};
use super::suggestion::suggest_nearest;

/// The text and name of a configuration file.
pub(super) struct ConfigFile<'a> {
    text: &'a str,
    /// `None` for the embedded `default.toml`.
    name: Option<Arc<str>>,
}

impl<'a> ConfigFile<'a> {
    /// Makes it of the embedded defaults.
    pub(super) const fn built_in(text: &'a str) -> Self {
        Self { text, name: None }
    }

    /// Makes it of a file called `name`. A byte order mark does not count as text.
    pub(super) fn named(text: &'a str, name: &str) -> Self {
        Self { text: text.strip_prefix('\u{feff}').unwrap_or(text), name: Some(name.into()) }
    }

    fn origin(&self, at: usize) -> SettingOrigin {
        match &self.name {
            None => SettingOrigin::BuiltIn,
            Some(name) => {
                SettingOrigin::File { name: Arc::clone(name), line: find_position(self.text, at).0 }
            }
        }
    }

    /// Returns a sentence about the first syntax error. Later ones may follow from it.
    pub(super) fn syntax_error(&self) -> Option<String> {
        let (_, errors) = DeTable::parse_recoverable(self.text);
        let at = |error: &toml::de::Error| error.span().map_or(self.text.len(), |span| span.start);
        let error = errors.iter().min_by_key(|error| at(error))?;
        let (line, column) = find_position(self.text, at(error));
        let name = self.name.as_deref().unwrap_or("default.toml");
        // The parser's message is one of a fixed set and never quotes the file.
        Some(format!("{name}, line {line}, column {column}: {}", error.message()))
    }

    /// Adds every value of the file to `layers`; nothing if the file has a syntax error.
    pub(super) fn read(&self, layers: &mut Layers, findings: &mut ConfigFindings) {
        if let Ok(table) = DeTable::parse(self.text) {
            self.read_section("", table.get_ref(), layers, findings);
        }
    }

    fn read_section(
        &self,
        prefix: &str,
        table: &DeTable<'_>,
        layers: &mut Layers,
        findings: &mut ConfigFindings,
    ) {
        for (name, value) in table {
            let path = if prefix.is_empty() {
                name.get_ref().to_string()
            } else {
                format!("{prefix}.{}", name.get_ref())
            };
            let origin = self.origin(name.span().start);
            if let Some(key) = keys::find_key(&path) {
                let value = key.kind.read(WrittenValue::from(value.get_ref()));
                lay_value(layers, findings, (key.path, key.kind), value, origin);
            } else if let Some((array, keys)) = TABLE_ARRAYS.iter().find(|(array, _)| *array == path) {
                match self.read_tables(array, keys, value, findings) {
                    Some(items) if *array == "rules" => layers.rules = items,
                    Some(items) if *array == "webhooks" => layers.webhooks = items,
                    Some(items) => layers.api_clients = items,
                    None => {
                        let message = format_args!("must be an array of tables, written as [[{array}]]");
                        findings.error(array, &origin, message);
                    }
                }
            } else if keys::is_section(&path) {
                match value.get_ref() {
                    DeValue::Table(inner) => self.read_section(&path, inner, layers, findings),
                    _ => findings.error(&path, &origin, format_args!("must be a section, [{path}]")),
                }
            } else {
                findings.error(
                    &path,
                    &origin,
                    format_args!("unknown key{}", suggest_nearest("key", &path, known_names())),
                );
            }
        }
    }

    fn read_tables(
        &self,
        array: &str,
        keys: &'static [ConfigKey],
        value: &Spanned<DeValue<'_>>,
        findings: &mut ConfigFindings,
    ) -> Option<Vec<ArrayTable>> {
        let DeValue::Array(tables) = value.get_ref() else { return None };
        tables
            .iter()
            .enumerate()
            .map(|(index, table)| {
                let DeValue::Table(inner) = table.get_ref() else { return None };
                let name = format!("{array}[{}]", index.saturating_add(1));
                let fields = self.read_fields(&name, keys, inner, findings);
                Some(ArrayTable { name, origin: self.origin(table.span().start), fields })
            })
            .collect()
    }

    fn read_fields(
        &self,
        item: &str,
        keys: &'static [ConfigKey],
        table: &DeTable<'_>,
        findings: &mut ConfigFindings,
    ) -> SettingMap {
        let mut fields = SettingMap::new();
        for (name, value) in table {
            let path = format!("{item}.{}", name.get_ref());
            let origin = self.origin(name.span().start);
            let Some(key) = keys.iter().find(|k| k.path == name.get_ref().as_ref()) else {
                let hint = suggest_nearest("key", name.get_ref(), keys.iter().map(|k| k.path));
                findings.error(&path, &origin, format_args!("unknown key{hint}"));
                continue;
            };
            match key.kind.read(WrittenValue::from(value.get_ref())) {
                Ok(value) => drop(fields.insert(key.path, Setting { value, origin })),
                Err(expected) => findings.error(&path, &origin, format_args!("must be {expected}")),
            }
        }
        fields
    }
}

/// Returns every name that may stand in a file outside `[[…]]`: keys, sections and arrays.
fn known_names() -> impl Iterator<Item = &'static str> {
    let sections = KEYS.iter().filter_map(|k| k.path.rsplit_once('.')).map(|(section, _)| section);
    KEYS.iter().map(|k| k.path).chain(sections).chain(TABLE_ARRAYS.iter().map(|(array, _)| *array))
}

/// Returns line and column of byte `at`, both counted from 1. The column is in characters.
fn find_position(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |i| i.saturating_add(1));
    let column = before.get(line_start..).map_or(0, |line| line.chars().count());
    (before.matches('\n').count().saturating_add(1), column.saturating_add(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_lines_and_characters_from_one() {
        assert_eq!(find_position("a\n部门 = x", "a\n部门 = ".len()), (2, 6));
        assert_eq!(find_position("", 9), (1, 1));
    }
}

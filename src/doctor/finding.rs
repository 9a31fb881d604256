//! What a check has to say.

use serde::Serialize;

use super::words::Row;
use crate::base::text::blank_misleading;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum FindingLevel {
    /// As it should be, or something that only a person can compare.
    Ok,
    /// It works, and may not be what was meant; or it could not be seen from here.
    Warn,
    /// Somebody cannot sign in or gets no messages, or it will be so.
    Broken,
}

impl FindingLevel {
    /// As it is printed.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Broken => "broken",
        }
    }
}

/// One text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingText {
    /// Simplified Chinese.
    pub zh: String,
    /// English, saying the same.
    pub en: String,
}

/// One finding. No text of it repeats a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorFinding {
    /// Stable, `wecom.trusted_ip`: scripts may look for it.
    pub id: &'static str,
    /// How bad it is.
    pub level: FindingLevel,
    /// What it is.
    pub what: FindingText,
    /// Why it matters; empty where all is well.
    pub why: FindingText,
    /// What mends it; empty where there is nothing to do.
    pub remedy: FindingText,
    /// The page of WeCom's console where that is done, as the console writes it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console: Option<&'static str>,
}

/// A value for a `{name}` of the table: its name, then its text in Chinese and in English.
pub(super) type TemplateValue<'a> = (&'static str, &'a str, &'a str);

/// A value that reads the same in both languages: a key, a path, a number.
pub(super) const fn untranslated<'a>(name: &'static str, text: &'a str) -> TemplateValue<'a> {
    (name, text, text)
}

impl DoctorFinding {
    /// The texts of `row` with `values` in their places.
    pub(super) fn new(row: Row, values: &[TemplateValue<'_>]) -> Self {
        let texts = row.texts();
        let zh = |name: &str| values.iter().find(|(n, _, _)| *n == name).map_or("", |(_, zh, _)| *zh);
        let en = |name: &str| values.iter().find(|(n, _, _)| *n == name).map_or("", |(_, _, en)| *en);
        let both =
            |text: (&str, &str)| FindingText { zh: fill_template(text.0, zh), en: fill_template(text.1, en) };
        Self {
            id: texts.id,
            level: texts.level,
            what: both(texts.what),
            why: both(texts.why),
            remedy: both(texts.remedy),
            console: texts.console,
        }
    }

    /// The same finding, not quite as bad as the table says or worse.
    pub(super) const fn with_level(mut self, level: FindingLevel) -> Self {
        self.level = level;
        self
    }

    /// The same finding, mended on another page of the console.
    pub(super) const fn with_console(mut self, console: Option<&'static str>) -> Self {
        self.console = console;
        self
    }
}

/// Puts the values in their places in one pass, so that no value is read as a place; what came in with a value neither
/// commands a terminal nor turns its lines.
fn fill_template<'a>(template: &str, value: impl Fn(&str) -> &'a str) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        let Some((name, after)) = after.split_once('}') else { break };
        out.push_str(&blank_misleading(value(name)));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_never_read_as_a_place_and_never_as_a_terminal_command() {
        let value = |name: &str| match name {
            "a" => "{b}",
            "b" => "x\u{1b}[31m\n\u{202e}",
            _ => "",
        };
        assert_eq!(fill_template("1 {a} 2 {b} 3 {c}.", value), "1 {b} 2 x [31m   3 .");
    }
}

//! The findings of checks.

use serde::Serialize;

use super::level::FindingLevel;
use super::words::FindingKind;
use crate::base::text::blank_misleading;

/// A text in both languages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingText {
    /// Simplified Chinese.
    pub zh: String,
    /// English, saying the same.
    pub en: String,
}

/// A finding. None of its texts contains a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DoctorFinding {
    /// The stable id, such as `wecom.trusted_ip`: scripts may look for it.
    pub id: &'static str,
    pub level: FindingLevel,
    /// What was found.
    pub what: FindingText,
    /// Why it matters; empty where all is well.
    pub why: FindingText,
    /// What corrects it; empty where there is nothing to do.
    pub remedy: FindingText,
    /// The page of WeCom's console where it is corrected, named as in the console.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub console: Option<&'static str>,
}

/// A value for a `{name}` of the table: its name, then its text in Chinese and in English.
pub(super) type TemplateValue<'a> = (&'static str, &'a str, &'a str);

/// Returns a value with the same text in both languages: a key, a path, a number.
pub(super) const fn untranslated<'a>(name: &'static str, text: &'a str) -> TemplateValue<'a> {
    (name, text, text)
}

impl DoctorFinding {
    /// Fills the values into the texts of a kind of finding.
    pub(super) fn new(kind: FindingKind, values: &[TemplateValue<'_>]) -> Self {
        let texts = kind.texts();
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

    /// Returns the finding with another level than the table's.
    pub(super) const fn with_level(mut self, level: FindingLevel) -> Self {
        self.level = level;
        self
    }

    /// Returns the finding with another page of the console.
    pub(super) const fn with_console(mut self, console: Option<&'static str>) -> Self {
        self.console = console;
        self
    }
}

/// Replaces each `{name}` of a template by its value, in one pass, so that no value is read as a
/// placeholder.
///
/// Control characters and direction marks of the values are replaced by blanks.
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

//! The rules, as the gate understands them.

use super::Subject;
use super::finding::{Finding, same};
use super::words::Row;

pub(super) fn check(subject: &Subject) -> Vec<Finding> {
    let finding = |row: Row| move |text: &String| Finding::new(row, &[same("rule", text)]);
    match &subject.rules {
        Err(errors) => errors.iter().map(finding(Row::RulesRefused)).collect(),
        Ok(warnings) if warnings.is_empty() => {
            let count = subject.config.rules.len().to_string();
            vec![Finding::new(Row::RulesOk, &[same("count", &count)])]
        }
        Ok(warnings) => warnings.iter().map(finding(Row::RulesWarning)).collect(),
    }
}

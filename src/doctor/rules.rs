//! The rules, as the gate understands them.

use super::DoctorSubject;
use super::finding::{DoctorFinding, untranslated};
use super::words::Row;

pub(super) fn check_rules(subject: &DoctorSubject) -> Vec<DoctorFinding> {
    let finding = |row: Row| move |text: &String| DoctorFinding::new(row, &[untranslated("rule", text)]);
    match &subject.rule_check {
        Err(errors) => errors.iter().map(finding(Row::RulesRefused)).collect(),
        Ok(warnings) if warnings.is_empty() => {
            let count = subject.config.rules.len().to_string();
            vec![DoctorFinding::new(Row::RulesOk, &[untranslated("count", &count)])]
        }
        Ok(warnings) => warnings.iter().map(finding(Row::RulesWarning)).collect(),
    }
}

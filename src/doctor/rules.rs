//! Reports what the gate says about the rules.

use super::DoctorSubject;
use super::finding::{DoctorFinding, untranslated};
use super::words::FindingKind;

pub(super) fn check_rules(subject: &DoctorSubject) -> Vec<DoctorFinding> {
    let finding =
        |kind: FindingKind| move |text: &String| DoctorFinding::new(kind, &[untranslated("rule", text)]);
    match &subject.rule_check {
        Err(errors) => errors.iter().map(finding(FindingKind::RulesRefused)).collect(),
        Ok(warnings) if warnings.is_empty() => {
            let count = subject.config.rules.len().to_string();
            vec![DoctorFinding::new(FindingKind::RulesOk, &[untranslated("count", &count)])]
        }
        Ok(warnings) => warnings.iter().map(finding(FindingKind::RulesWarning)).collect(),
    }
}

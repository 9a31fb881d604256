//! `gongpai doctor`: runs the checks and prints what they found.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::json;

use crate::base::clock::Clock;
use crate::base::text::escape_json_for_terminal;
use crate::config::{Config, ConfigReading, ConfigSources};
use crate::directory::bindings::RuleBindings;
use crate::directory::chart::Chart;
use crate::doctor::{DoctorFinding, DoctorSubject, FindingLevel, FindingText, check_configuration, examine};
use crate::gate::{AccessRules, ResolvedRules};
use crate::wecom;

/// Examines the installation; returns `false` if anything is broken (exit code 1).
///
/// Progress shows on a terminal (standard error) only. `message_to` receives a real test message.
///
/// # Errors
/// Only if `out` cannot be written.
pub(crate) async fn run_doctor(
    sources: &ConfigSources,
    clock: &Clock,
    json: bool,
    message_to: Option<String>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let reading = ConfigReading::from_sources(sources);
    let mut findings = check_configuration(&reading);
    if let Ok(config) = reading.outcome {
        let client = wecom::WecomClient::new((&config).into(), clock.clone());
        let subject = DoctorSubject {
            client: client.map_err(|error| error.to_string()),
            rule_check: AccessRules::compile(&config.rules, &config.gate, &config.hosts)
                .map(|(_, warnings)| warnings),
            find_unmatched: list_unmatched_subjects,
            message_to,
            clock: clock.clone(),
            config,
        };
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(100));
        findings.extend(examine(&subject, &mut |step| spinner.set_message(step)).await);
        spinner.finish_and_clear();
    }
    let well = findings.iter().all(|finding| finding.level != FindingLevel::Broken);
    if json {
        let json = format!("{:#}", json!({ "ok": well, "findings": findings }));
        writeln!(out, "{}", escape_json_for_terminal(&json))?;
    } else {
        print_findings(&findings, out)?;
    }
    out.flush()?;
    Ok(well)
}

/// Returns one sentence for each rule subject that matches nobody in `chart`. Rules that do not
/// compile are another check's finding.
fn list_unmatched_subjects(config: &Config, chart: Chart) -> Vec<String> {
    let Ok((rules, _)) = AccessRules::compile(&config.rules, &config.gate, &config.hosts) else {
        return Vec::new();
    };
    ResolvedRules::new(Arc::new(rules), Arc::new(chart), Arc::new(RuleBindings::default()))
        .unmatched_elements()
}

/// Prints the findings, broken ones last: there, next to the summary, they are seen.
fn print_findings(findings: &[DoctorFinding], out: &mut dyn Write) -> std::io::Result<()> {
    for level in [FindingLevel::Ok, FindingLevel::Warn, FindingLevel::Broken] {
        for finding in findings.iter().filter(|finding| finding.level == level) {
            writeln!(out, "{:<7} {}", level.as_str(), finding.id)?;
            print_both_languages(out, "", &finding.what)?;
            print_both_languages(out, "why", &finding.why)?;
            print_both_languages(out, "do", &finding.remedy)?;
            if let Some(console) = finding.console {
                writeln!(out, "   page  {console}")?;
            }
            if level != FindingLevel::Ok {
                writeln!(out)?;
            }
        }
    }
    let count = |level: FindingLevel| findings.iter().filter(|finding| finding.level == level).count();
    let (broken, warnings, fine) =
        (count(FindingLevel::Broken), count(FindingLevel::Warn), count(FindingLevel::Ok));
    writeln!(
        out,
        "{broken} 处有误，{warnings} 处请留意，{fine} 处正常 / {broken} broken, {warnings} to mind, {fine} fine"
    )
}

fn print_both_languages(out: &mut dyn Write, label: &str, text: &FindingText) -> std::io::Result<()> {
    if text.en.is_empty() {
        return Ok(());
    }
    writeln!(out, "   {label:<4}  {}", text.zh)?;
    writeln!(out, "         {}", text.en)
}

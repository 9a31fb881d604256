//! `gongpai doctor`: runs the checks and prints what they found.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::json;

use crate::app::wecom_settings;
use crate::base::clock::Clock;
use crate::base::text::escape_json_for_terminal;
use crate::config::{Config, Reading, Sources};
use crate::directory::bindings::Bindings;
use crate::directory::chart::Chart;
use crate::doctor::{Both, Finding, Level, Subject, configuration, examine};
use crate::gate::{InForce, Rules};
use crate::wecom;

/// Examines the installation; `false` if anything is broken (exit code 1). A line of progress is shown on a terminal
/// (standard error) and nowhere else. `message_to` gets a real test message.
///
/// # Errors
/// Only if `out` cannot be written.
pub async fn doctor(
    sources: &Sources,
    clock: &Clock,
    json: bool,
    message_to: Option<String>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<bool> {
    let reading = Reading::of(sources);
    let mut findings = configuration(&reading);
    if let Ok(config) = reading.outcome {
        let client = wecom::Client::new(wecom_settings(&config), clock.clone());
        let subject = Subject {
            client: client.map_err(|error| error.to_string()),
            rules: Rules::compile(&config.rules, &config.gate, &config.hosts).map(|(_, warnings)| warnings),
            unfound,
            message_to,
            clock: clock.clone(),
            config,
        };
        let spinner = ProgressBar::new_spinner();
        spinner.enable_steady_tick(Duration::from_millis(100));
        findings.extend(examine(&subject, &mut |step| spinner.set_message(step)).await);
        spinner.finish_and_clear();
    }
    let well = findings.iter().all(|finding| finding.level != Level::Broken);
    if json {
        let json = format!("{:#}", json!({ "ok": well, "findings": findings }));
        writeln!(out, "{}", escape_json_for_terminal(&json))?;
    } else {
        print(&findings, out)?;
    }
    out.flush()?;
    Ok(well)
}

/// One sentence for every element of a rule that means nobody in `chart`. Rules that are not accepted are a finding
/// already.
fn unfound(config: &Config, chart: Chart) -> Vec<String> {
    let Ok((rules, _)) = Rules::compile(&config.rules, &config.gate, &config.hosts) else {
        return Vec::new();
    };
    InForce::new(Arc::new(rules), Arc::new(chart), Arc::new(Bindings::default())).unfound()
}

/// What is well first, what is broken last, next to the summary.
fn print(findings: &[Finding], out: &mut dyn Write) -> std::io::Result<()> {
    for level in [Level::Ok, Level::Warn, Level::Broken] {
        for finding in findings.iter().filter(|finding| finding.level == level) {
            writeln!(out, "{:<7} {}", level.as_str(), finding.id)?;
            both(out, "", &finding.what)?;
            both(out, "why", &finding.why)?;
            both(out, "do", &finding.remedy)?;
            if let Some(console) = finding.console {
                writeln!(out, "   page  {console}")?;
            }
            if level != Level::Ok {
                writeln!(out)?;
            }
        }
    }
    let count = |level: Level| findings.iter().filter(|finding| finding.level == level).count();
    let (broken, warnings, fine) = (count(Level::Broken), count(Level::Warn), count(Level::Ok));
    writeln!(
        out,
        "{broken} 处有误，{warnings} 处请留意，{fine} 处正常 / {broken} broken, {warnings} to mind, {fine} fine"
    )
}

fn both(out: &mut dyn Write, label: &str, text: &Both) -> std::io::Result<()> {
    if text.en.is_empty() {
        return Ok(());
    }
    writeln!(out, "   {label:<4}  {}", text.zh)?;
    writeln!(out, "         {}", text.en)
}

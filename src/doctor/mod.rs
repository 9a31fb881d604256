//! `gongpai doctor`: finds what is wrong with an installation, says why, and names the console page or
//! key that corrects it.
//!
//! | module | checks |
//! |---|---|
//! | [`configuration`] | that it loads; its warnings |
//! | `hosts` | public_url, cookies |
//! | `rules` | that they compile; their warnings |
//! | `callback` | which callbacks are set up |
//! | `database`, [`schema`] | that it opens, has this version's schema and takes writes |
//! | [`root_secret`] | that it exists and opens the signing keys |
//! | `secrets` | 企业ID, AgentId, the kind of each secret, the trusted address |
//! | `messages` | whether the application may send; a test message, if requested |
//! | `directory` | how the directory is read, which fields are visible, how much of the company |
//! | `runs` | the last runs, open conflicts, rules that match nobody in the chart |
//! | `clock` | against WeCom's and against the newest row |
//! | `domains` | what to compare in the console, where no API tells |
//! | `public_url` | that it leads to this gateway |
//! | `verify_file` | that WeCom would get the domain verification file |
//!
//! A check changes nothing: no file, no row, no schema, and nobody is sent anything unasked. Every
//! outgoing call has a deadline, and all of them together stay within a minute. All texts are in one
//! table, `words.rs`, and no finding contains a secret.

mod callback;
mod clock;
pub(crate) mod configuration;
mod database;
mod directory;
mod domains;
mod finding;
mod hosts;
mod level;
mod messages;
mod public_url;
pub(crate) mod root_secret;
mod rules;
mod runs;
pub(crate) mod schema;
mod secrets;
mod store;
mod verify_file;
mod web;
mod words;

use std::time::Duration;

use crate::base::clock::Clock;
use crate::config::Config;
use crate::directory::chart::Chart;
use crate::wecom;
use words::FindingKind;

pub(crate) use configuration::check_configuration;
pub use finding::DoctorFinding;
pub(crate) use finding::FindingText;
pub use level::FindingLevel;

/// What is examined, besides the reading of the configuration.
#[derive(Debug)]
pub struct DoctorSubject {
    /// An accepted configuration.
    pub config: Config,
    /// The client for WeCom with that configuration, or why there is none.
    pub client: Result<wecom::WecomClient, String>,
    pub clock: Clock,
    /// What the gate says about the rules: warnings, or errors.
    pub rule_check: Result<Vec<String>, Vec<String>>,
    /// Returns a sentence for each element of the rules that matches nobody in a chart. The gate
    /// provides it.
    pub find_unmatched: fn(&Config, Chart) -> Vec<String>,
    /// The userid of a member who gets a real test message; nobody else gets one.
    pub message_to: Option<String>,
}

/// The time limit of all checks together, whatever hangs. Each check has a shorter limit of its
/// own.
const EXAMINATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Runs every check except [`check_configuration()`], one after the other. `progress` is told which
/// one begins.
pub async fn examine(subject: &DoctorSubject, progress: &mut dyn FnMut(&'static str)) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    if tokio::time::timeout(EXAMINATION_TIMEOUT, run_checks(subject, progress, &mut findings)).await.is_err()
    {
        findings.push(DoctorFinding::new(FindingKind::OutOfTime, &[]));
    }
    findings
}

async fn run_checks(
    subject: &DoctorSubject,
    progress: &mut dyn FnMut(&'static str),
    findings: &mut Vec<DoctorFinding>,
) {
    let config = &subject.config;
    findings.extend(hosts::check_hosts(config));
    findings.extend(rules::check_rules(subject));
    findings.extend(callback::check_callbacks(config));
    progress("数据库 / database");
    let (found, db) = database::check_database(config).await;
    findings.extend(found);
    findings.extend(root_secret::check_root_secret(config, db.as_ref()).await);
    progress("企业微信 / WeCom");
    let (found, usable) = secrets::check_secrets(subject).await;
    findings.extend(found);
    progress("消息 / messages");
    findings.extend(messages::check_messages(subject, usable).await);
    progress("通讯录 / directory");
    findings.extend(directory::check_directory(subject, usable).await);
    if let Some(db) = &db {
        findings.extend(runs::check_runs(subject, db).await);
    }
    progress("时钟 / clock");
    findings.extend(clock::check_clock(subject, db.as_ref()).await);
    if let Some(db) = db {
        db.close().await;
    }
    findings.extend(domains::check_domains(config));
    progress("public_url");
    match web::WebClient::new() {
        Ok(web) => {
            findings.extend(public_url::check_public_url(config, &web).await);
            progress("域名校验文件 / domain file");
            findings.extend(verify_file::check_verify_files(config, &web).await);
        }
        Err(why) => findings.push(public_url::unreachable_finding(config, &why)),
    }
}

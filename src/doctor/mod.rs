//! `gongpai doctor`: what is wrong with an installation, why, and the console page or key that mends it.
//!
//! | file | checks |
//! |---|---|
//! | [`configuration`](mod@configuration) | that it loads; its warnings |
//! | `hosts` | public_url, cookies |
//! | `rules` | that they compile; their warnings |
//! | `callback` | the callbacks' keys |
//! | `database`, [`schema`] | that it opens, is of this version and takes writes; who may read its file |
//! | [`mod@root_secret`] | that it is there and opens the signing keys |
//! | `secrets` | 企业ID, AgentId, each secret and which kind it is, the trusted address |
//! | `messages` | whether the application may send; a test message, if one is asked for |
//! | `directory` | which way the directory is read, which fields show, how much of the company is visible |
//! | `runs` | the last runs, questions that wait, rules that mean nobody in the chart |
//! | `clock` | against WeCom's and against the newest row |
//! | `domains` | what to compare in the console, where no API tells |
//! | `public_url` | that it leads here |
//! | `verify_file` | that WeCom would get the domain file |
//!
//! A check changes nothing: no file, no row, no schema; nobody is sent anything unasked. Every call out has a deadline, and all of them together stay
//! within a minute. What is printed is one table, `words.rs`; no finding repeats a secret.

mod callback;
mod clock;
pub mod configuration;
mod database;
mod directory;
mod domains;
mod finding;
mod hosts;
mod messages;
mod public_url;
pub mod root_secret;
mod rules;
mod runs;
pub mod schema;
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
use words::Row;

pub use configuration::check_configuration;
pub use finding::{DoctorFinding, FindingLevel, FindingText};

/// What is looked at, beyond the reading of the configuration itself.
#[derive(Debug)]
pub struct DoctorSubject {
    /// An accepted configuration.
    pub config: Config,
    /// WeCom as that configuration reaches it; the reason if it cannot.
    pub client: Result<wecom::WecomClient, String>,
    /// What time it is here.
    pub clock: Clock,
    /// The gate's word on the rules: warnings, or what it does not understand.
    pub rule_check: Result<Vec<String>, Vec<String>>,
    /// The gate's word on elements of rules that mean nobody in a chart, a sentence each.
    pub find_unmatched: fn(&Config, Chart) -> Vec<String>,
    /// The userid of a member who gets a real test message; nobody gets one otherwise.
    pub message_to: Option<String>,
}

/// All checks together, whatever hangs. Each has a shorter limit of its own.
const EXAMINATION_TIMEOUT: Duration = Duration::from_secs(60);

/// Every check but [`configuration()`], one after the other; `progress` is told which one begins.
pub async fn examine(subject: &DoctorSubject, progress: &mut dyn FnMut(&'static str)) -> Vec<DoctorFinding> {
    let mut findings = Vec::new();
    if tokio::time::timeout(EXAMINATION_TIMEOUT, run_checks(subject, progress, &mut findings)).await.is_err()
    {
        findings.push(DoctorFinding::new(Row::OutOfTime, &[]));
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

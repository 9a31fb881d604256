//! 企业ID, AgentId and the secrets: which kind each one is, and whether WeCom lets this machine's address in.
//!
//! One gettoken a secret, at most: a wrong one asked for again and again gets the address banned for an hour.

use std::time::Duration;

use super::Subject;
use super::finding::{Finding, Level, same};
use super::words::{CONTACTS_SECRET, CONTACTS_TRUSTED_IP, Row};
use crate::base::copied::{Alphabet, find_copy_fault};
use crate::base::secret::{ExposeSecret as _, Secret, constant_time_eq};
use crate::config::Wecom;
use crate::wecom::errcode::{self, ErrcodeText};
use crate::wecom::{Client, Deadline, Error, Family, ProbedKind, Refusal, SecretKind};

/// How long finding out about one secret may take: a token and two calls.
const PATIENCE: Duration = Duration::from_secs(10);

/// Which secrets are what they should be, so that more can be asked with them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Usable {
    /// `wecom.app_secret` is an application's.
    pub(super) app: bool,
    /// `wecom.contacts_secret` is 通讯录同步's.
    pub(super) contacts: bool,
}

pub(super) async fn check(subject: &Subject) -> (Vec<Finding>, Usable) {
    let wecom = &subject.config.wecom;
    let (mut findings, mut usable) = (Vec::new(), Usable::default());
    if !wecom.enable {
        findings.push(Finding::new(Row::WecomDisabled, &[]));
        return (findings, usable);
    }
    let missing = [
        (wecom.corp_id.as_str().is_empty(), Row::CorpIdMissing),
        (wecom.agent_id == 0, Row::AgentIdMissing),
        (wecom.app_secret.is_none(), Row::AppSecretMissing),
    ];
    findings.extend(missing.into_iter().filter(|(is, _)| *is).map(|(_, row)| Finding::new(row, &[])));
    if wecom.corp_id.as_str().is_empty() {
        return (findings, usable);
    }
    match &subject.client {
        Ok(client) => findings.extend(probe(wecom, client, &mut usable).await),
        Err(why) => findings.push(unreachable(wecom, why)),
    }
    (findings, usable)
}

async fn probe(wecom: &Wecom, client: &Client, usable: &mut Usable) -> Vec<Finding> {
    let single = is_single(wecom);
    let mut findings = Vec::new();
    if wecom.app_secret.is_some() {
        match client.kind_of(SecretKind::App, Deadline::after(PATIENCE)).await {
            Ok(kind) => {
                usable.app = kind == ProbedKind::App;
                findings.push(Finding::new(app_row(kind, single), &[]));
            }
            Err(error) => {
                findings.extend(copied_along(SecretKind::App, wecom.app_secret.as_ref(), &error));
                findings.push(failed(wecom, SecretKind::App, &error));
                if error.family() == Family::Upstream {
                    // The other secret would wait for the same silence.
                    return findings;
                }
            }
        }
    }
    if wecom.contacts_secret.is_some() && !single {
        let found = match client.kind_of(SecretKind::Contacts, Deadline::after(PATIENCE)).await {
            Ok(ProbedKind::Contacts) => {
                usable.contacts = true;
                Finding::new(Row::ContactsSecretOk, &[])
            }
            Ok(ProbedKind::App) => Finding::new(Row::ContactsSecretIsApp, &[]),
            Err(error) => {
                findings.extend(copied_along(SecretKind::Contacts, wecom.contacts_secret.as_ref(), &error));
                failed(wecom, SecretKind::Contacts, &error)
            }
        };
        findings.push(found);
    }
    findings
}

/// O2OA's one secret for everything, which stands for both of ours.
fn is_single(wecom: &Wecom) -> bool {
    let bytes = |secret: &Secret| secret.expose_secret().as_bytes().to_vec();
    match (&wecom.app_secret, &wecom.contacts_secret) {
        (Some(app), Some(contacts)) => constant_time_eq(&bytes(app), &bytes(contacts)),
        _ => false,
    }
}

const fn app_row(kind: ProbedKind, single: bool) -> Row {
    match (kind, single) {
        (ProbedKind::App, false) => Row::AppSecretOk,
        (ProbedKind::App, true) => Row::SingleSecretIsApp,
        (ProbedKind::Contacts, false) => Row::AppSecretIsContacts,
        (ProbedKind::Contacts, true) => Row::SingleSecretIsContacts,
    }
}

/// What was perhaps copied along with a secret that WeCom refuses, to be read before any advice to reset it.
fn copied_along(which: SecretKind, secret: Option<&Secret>, error: &Error) -> Option<Finding> {
    error.refusal().filter(|refusal| is_about_the_secret(refusal.code))?;
    let fault = find_copy_fault(secret?.expose_secret(), Alphabet::Console)?;
    let (key, zh, en) = (format!("wecom.{which}"), fault.zh(), fault.to_string());
    Some(Finding::new(Row::SecretCopiedAlong, &[same("key", &key), ("fault", &zh, &en)]))
}

/// Whether the errcode says that it is no secret of this corporation.
const fn is_about_the_secret(code: i64) -> bool {
    matches!(code, 40001 | 40014 | 40091 | 41004 | 42001 | 45031)
}

fn failed(wecom: &Wecom, which: SecretKind, error: &Error) -> Finding {
    match error.refusal() {
        Some(refusal) if refusal.code == 60020 => untrusted(which, refusal),
        Some(refusal) => refused(which, refusal, error.family()),
        None => unreachable(wecom, &error.to_string()),
    }
}

fn untrusted(which: SecretKind, refusal: &Refusal) -> Finding {
    let key = format!("wecom.{which}");
    let (zh, en) = match refusal.from_ip {
        Some(ip) => (ip.to_string(), ip.to_string()),
        None => ("（见错误信息）".to_owned(), "(see the message)".to_owned()),
    };
    let answer = refusal.to_string();
    let values = [same("key", &key), ("address", zh.as_str(), en.as_str()), same("answer", &answer)];
    match which {
        SecretKind::App => Finding::new(Row::TrustedIp, &values),
        SecretKind::Contacts => Finding::new(Row::ContactsTrustedIp, &values).on(Some(CONTACTS_TRUSTED_IP)),
    }
}

/// A refusal in the words of the errcode table. What only passes by itself is not broken.
fn refused(which: SecretKind, refusal: &Refusal, family: Family) -> Finding {
    let (key, answer, code) = (format!("wecom.{which}"), refusal.to_string(), refusal.code.to_string());
    let said = [same("key", &key), same("answer", &answer), same("code", &code)];
    let Some(ErrcodeText { zh, en, remedy_zh, remedy_en, console }) = errcode::meaning(refusal.code) else {
        return Finding::new(Row::RefusedUnknown, &said);
    };
    let mut values = said.to_vec();
    values.push(("meaning", zh, en));
    let level = if matches!(family, Family::Busy | Family::Retry) { Level::Warn } else { Level::Broken };
    // The table speaks of the application's Secret; the other one is copied from elsewhere.
    if which == SecretKind::Contacts && is_about_the_secret(refusal.code) {
        return Finding::new(Row::ContactsSecretRefused, &values).on(Some(CONTACTS_SECRET));
    }
    values.push(("remedy", remedy_zh, remedy_en));
    Finding::new(Row::Refused, &values).at(level).on(console)
}

fn unreachable(wecom: &Wecom, why: &str) -> Finding {
    let host = wecom.api_address.host_str().unwrap_or_default();
    Finding::new(Row::WecomUnreachable, &[same("host", host), same("why", why)])
}

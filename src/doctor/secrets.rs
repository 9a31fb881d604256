//! Checks 企业ID, AgentId and the secrets: which kind each one is, and whether WeCom accepts this
//! machine's address.
//!
//! Each secret costs at most one gettoken: repeated requests with a wrong one would ban the address
//! for an hour.

use std::time::Duration;

use super::DoctorSubject;
use super::finding::{DoctorFinding, untranslated};
use super::level::FindingLevel;
use super::words::{CONTACTS_SECRET_PAGE, CONTACTS_TRUSTED_IP_PAGE, FindingKind};
use crate::base::copy_fault::{CopiedAlphabet, find_copy_fault};
use crate::base::secret::{ExposeSecret as _, Secret, constant_time_eq};
use crate::config::{Readiness, RequiredKey, WecomConfig, WecomPurpose};
use crate::wecom::errcode::{self, ErrcodeText};
use crate::wecom::{
    Deadline, ErrorFamily, ProbedSecretKind, SecretKind, WecomClient, WecomError, WecomRefusal,
};

/// The time limit for one secret: a token and two calls.
const SECRET_TIMEOUT: Duration = Duration::from_secs(10);

/// The secrets that are of the right kind, so that further checks may use them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct UsableSecrets {
    /// `wecom.app_secret` is an application's.
    pub(super) app: bool,
    /// `wecom.contacts_secret` is 通讯录同步's.
    pub(super) contacts: bool,
}

pub(super) async fn check_secrets(subject: &DoctorSubject) -> (Vec<DoctorFinding>, UsableSecrets) {
    let wecom = &subject.config.wecom;
    let (mut findings, mut usable) = (Vec::new(), UsableSecrets::default());
    if wecom.readiness(WecomPurpose::SignIn) == Readiness::Disabled {
        findings.push(DoctorFinding::new(FindingKind::WecomDisabled, &[]));
        return (findings, usable);
    }
    let missing = RequiredKey::ALL.into_iter().filter(|key| !wecom.has(*key)).map(|key| match key {
        RequiredKey::CorpId => FindingKind::CorpIdMissing,
        RequiredKey::AgentId => FindingKind::AgentIdMissing,
        RequiredKey::AppSecret => FindingKind::AppSecretMissing,
    });
    findings.extend(missing.map(|kind| DoctorFinding::new(kind, &[])));
    if !wecom.has(RequiredKey::CorpId) {
        return (findings, usable);
    }
    match &subject.client {
        Ok(client) => findings.extend(probe_secrets(wecom, client, &mut usable).await),
        Err(why) => findings.push(unreachable_finding(wecom, why)),
    }
    (findings, usable)
}

async fn probe_secrets(
    wecom: &WecomConfig,
    client: &WecomClient,
    usable: &mut UsableSecrets,
) -> Vec<DoctorFinding> {
    let single = is_single_secret(wecom);
    let mut findings = Vec::new();
    if wecom.app_secret.is_some() {
        match client.probe_secret(SecretKind::App, Deadline::after(SECRET_TIMEOUT)).await {
            Ok(kind) => {
                usable.app = kind == ProbedSecretKind::App;
                findings.push(DoctorFinding::new(app_row(kind, single), &[]));
            }
            Err(error) => {
                findings.extend(copy_fault_finding(SecretKind::App, wecom.app_secret.as_ref(), &error));
                findings.push(failure_finding(wecom, SecretKind::App, &error));
                if error.family() == ErrorFamily::Upstream {
                    // The other secret would meet the same silence.
                    return findings;
                }
            }
        }
    }
    if wecom.contacts_secret.is_some() && !single {
        let found = match client.probe_secret(SecretKind::Contacts, Deadline::after(SECRET_TIMEOUT)).await {
            Ok(ProbedSecretKind::Contacts) => {
                usable.contacts = true;
                DoctorFinding::new(FindingKind::ContactsSecretOk, &[])
            }
            Ok(ProbedSecretKind::App) => DoctorFinding::new(FindingKind::ContactsSecretIsApp, &[]),
            Err(error) => {
                findings.extend(copy_fault_finding(
                    SecretKind::Contacts,
                    wecom.contacts_secret.as_ref(),
                    &error,
                ));
                failure_finding(wecom, SecretKind::Contacts, &error)
            }
        };
        findings.push(found);
    }
    findings
}

/// Returns whether one secret stands for both of ours, as in O2OA.
fn is_single_secret(wecom: &WecomConfig) -> bool {
    let bytes = |secret: &Secret| secret.expose_secret().as_bytes().to_vec();
    match (&wecom.app_secret, &wecom.contacts_secret) {
        (Some(app), Some(contacts)) => constant_time_eq(&bytes(app), &bytes(contacts)),
        _ => false,
    }
}

const fn app_row(kind: ProbedSecretKind, single: bool) -> FindingKind {
    match (kind, single) {
        (ProbedSecretKind::App, false) => FindingKind::AppSecretOk,
        (ProbedSecretKind::App, true) => FindingKind::SingleSecretIsApp,
        (ProbedSecretKind::Contacts, false) => FindingKind::AppSecretIsContacts,
        (ProbedSecretKind::Contacts, true) => FindingKind::SingleSecretIsContacts,
    }
}

/// Reports what was perhaps copied along with a secret that WeCom refuses. It must be read before
/// any advice to reset the secret.
fn copy_fault_finding(
    which: SecretKind,
    secret: Option<&Secret>,
    error: &WecomError,
) -> Option<DoctorFinding> {
    error.refusal().filter(|refusal| is_secret_errcode(refusal.code))?;
    let fault = find_copy_fault(secret?.expose_secret(), CopiedAlphabet::Console)?;
    let (key, zh, en) = (format!("wecom.{which}"), fault.zh(), fault.to_string());
    Some(DoctorFinding::new(
        FindingKind::SecretCopiedAlong,
        &[untranslated("key", &key), ("fault", &zh, &en)],
    ))
}

/// Returns whether the errcode says that the secret is not one of this corporation.
const fn is_secret_errcode(code: i64) -> bool {
    matches!(code, 40001 | 40014 | 40091 | 41004 | 42001 | 45031)
}

fn failure_finding(wecom: &WecomConfig, which: SecretKind, error: &WecomError) -> DoctorFinding {
    match error.refusal() {
        Some(refusal) if refusal.code == 60020 => untrusted_ip_finding(which, refusal),
        Some(refusal) => refusal_finding(which, refusal, error.family()),
        None => unreachable_finding(wecom, &error.to_string()),
    }
}

fn untrusted_ip_finding(which: SecretKind, refusal: &WecomRefusal) -> DoctorFinding {
    let key = format!("wecom.{which}");
    let (zh, en) = match refusal.from_ip {
        Some(ip) => (ip.to_string(), ip.to_string()),
        None => ("（见错误信息）".to_owned(), "(see the message)".to_owned()),
    };
    let answer = refusal.to_string();
    let values =
        [untranslated("key", &key), ("address", zh.as_str(), en.as_str()), untranslated("answer", &answer)];
    match which {
        SecretKind::App => DoctorFinding::new(FindingKind::TrustedIp, &values),
        SecretKind::Contacts => DoctorFinding::new(FindingKind::ContactsTrustedIp, &values)
            .with_console(Some(CONTACTS_TRUSTED_IP_PAGE)),
    }
}

/// Reports a refusal in the words of the errcode table. A refusal that passes by itself is only a
/// warning.
fn refusal_finding(which: SecretKind, refusal: &WecomRefusal, family: ErrorFamily) -> DoctorFinding {
    let (key, answer, code) = (format!("wecom.{which}"), refusal.to_string(), refusal.code.to_string());
    let said = [untranslated("key", &key), untranslated("answer", &answer), untranslated("code", &code)];
    let Some(ErrcodeText { zh, en, remedy_zh, remedy_en, console }) = errcode::explain_errcode(refusal.code)
    else {
        return DoctorFinding::new(FindingKind::RefusedUnknown, &said);
    };
    let mut values = said.to_vec();
    values.push(("meaning", zh, en));
    let level = if matches!(family, ErrorFamily::Busy | ErrorFamily::Retry) {
        FindingLevel::Warn
    } else {
        FindingLevel::Broken
    };
    // The table speaks of the application's Secret. The other secret is copied from another page.
    if which == SecretKind::Contacts && is_secret_errcode(refusal.code) {
        return DoctorFinding::new(FindingKind::ContactsSecretRefused, &values)
            .with_console(Some(CONTACTS_SECRET_PAGE));
    }
    values.push(("remedy", remedy_zh, remedy_en));
    DoctorFinding::new(FindingKind::Refused, &values).with_level(level).with_console(console)
}

fn unreachable_finding(wecom: &WecomConfig, why: &str) -> DoctorFinding {
    let host = wecom.api_address.host_str().unwrap_or_default();
    DoctorFinding::new(FindingKind::WecomUnreachable, &[untranslated("host", host), untranslated("why", why)])
}

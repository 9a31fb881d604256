//! Checks whether the application may send messages, and sends a real one to a member who is named.
//!
//! Without a name nobody receives anything: the call has no recipient, and WeCom checks the
//! permission before the recipients.

use std::time::Duration;

use chrono::TimeZone as _;
use serde_json::json;

use super::DoctorSubject;
use super::finding::{DoctorFinding, untranslated};
use super::level::FindingLevel;
use super::secrets::UsableSecrets;
use super::words::FindingKind;
use crate::base::clock::Timestamp;
use crate::config::{Config, Readiness, WecomPurpose};
use crate::wecom::errcode::{self, ErrcodeText};
use crate::wecom::wire::SentMessage;
use crate::wecom::{Deadline, SendRefusal, WecomClient, WecomError, WecomRefusal};

/// How long one call to WeCom may take.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(14);

pub(super) async fn check_messages(subject: &DoctorSubject, usable: UsableSecrets) -> Vec<DoctorFinding> {
    let wecom = &subject.config.wecom;
    let recipient = subject.message_to.as_deref();
    let off = match wecom.readiness(WecomPurpose::Messages) {
        Readiness::Ready | Readiness::Missing(_) => None,
        // Its own check says so.
        Readiness::Disabled => Some(None),
        Readiness::MessagesDisabled => Some(Some(DoctorFinding::new(FindingKind::MessagesOff, &[]))),
    };
    if let Some(off) = off {
        return off.into_iter().chain(recipient.map(withheld_finding)).collect();
    }
    let client = match &subject.client {
        Ok(client) if usable.app => client,
        // Problems with the secret or the connection were reported by their own checks.
        _ => return recipient.map(withheld_finding).into_iter().collect(),
    };
    match recipient {
        None => vec![permission_finding(client.may_send(Deadline::after(MESSAGE_TIMEOUT)).await)],
        Some(userid) => send_test_message(&subject.config, client, userid, subject.clock.now()).await,
    }
}

fn withheld_finding(userid: &str) -> DoctorFinding {
    DoctorFinding::new(FindingKind::MessageWithheld, &[untranslated("userid", userid)])
}

fn permission_finding(answer: Result<(), WecomError>) -> DoctorFinding {
    match answer {
        Ok(()) => DoctorFinding::new(FindingKind::MessagesOk, &[]),
        Err(error) => failure_finding(&error, None),
    }
}

async fn send_test_message(
    config: &Config,
    client: &WecomClient,
    userid: &str,
    now: Timestamp,
) -> Vec<DoctorFinding> {
    let message = test_message(config, userid, now);
    let answer = client.send_message(&message, Deadline::after(MESSAGE_TIMEOUT)).await;
    vec![delivery_finding(userid, answer)]
}

/// Builds the call for a test message to one member. The time in its text makes it differ from
/// earlier ones for WeCom's duplicate check.
fn test_message(config: &Config, userid: &str, now: Timestamp) -> String {
    let time = config.time_zone.timestamp_millis_opt(now.millis()).single();
    let time = time.map_or_else(|| now.rfc3339(), |time| time.format("%Y-%m-%d %H:%M:%S %:z").to_string());
    let host = config.hosts.public().host();
    let content = format!(
        "工牌 doctor：这是一条测试消息，无需处理。\n\
         Gongpai doctor: this is a test message; there is nothing to do.\n{host}\n{time}"
    );
    json!({
        "touser": userid,
        "msgtype": "text",
        "agentid": config.wecom.agent_id,
        "text": { "content": content },
        "enable_duplicate_check": 1,
        "duplicate_check_interval": 120,
    })
    .to_string()
}

/// Reports what became of the message to `userid`.
fn delivery_finding(userid: &str, answer: Result<SentMessage, WecomError>) -> DoctorFinding {
    let to = untranslated("userid", userid);
    let is_in = |list: &[String]| list.iter().any(|name| name.to_lowercase() == userid.to_lowercase());
    match answer {
        Ok(sent) if is_in(&sent.unlicenseduser) => DoctorFinding::new(FindingKind::MessageUnlicensed, &[to]),
        Ok(sent) if is_in(&sent.invaliduser) => DoctorFinding::new(FindingKind::MessageInvalid, &[to]),
        Ok(sent) => {
            let msgid = sent.msgid.unwrap_or_else(|| "—".to_owned());
            DoctorFinding::new(FindingKind::MessageTaken, &[to, untranslated("msgid", &msgid)])
        }
        Err(error) => match (SendRefusal::from_error(&error), error.refusal()) {
            (Some(SendRefusal::SplitRecipients | SendRefusal::NoRecipient), Some(_)) => {
                DoctorFinding::new(FindingKind::MessageInvalid, &[to])
            }
            _ => failure_finding(&error, Some(userid)),
        },
    }
}

/// Reports a failure of the check, or of a message to `userid`.
fn failure_finding(error: &WecomError, userid: Option<&str>) -> DoctorFinding {
    let why = error.to_string();
    match (error.refusal(), userid) {
        (Some(refusal), _) => refusal_finding(error, refusal),
        (None, None) => DoctorFinding::new(FindingKind::MessagesUnseen, &[untranslated("why", &why)]),
        (None, Some(userid)) => {
            let kind = if error.may_have_worked() {
                FindingKind::MessageUnknown
            } else {
                FindingKind::MessageNotSent
            };
            DoctorFinding::new(kind, &[untranslated("userid", userid), untranslated("why", &why)])
        }
    }
}

/// Reports WeCom's refusal in the words of the errcode table. A refusal that passes by itself is
/// only a warning.
fn refusal_finding(error: &WecomError, refusal: &WecomRefusal) -> DoctorFinding {
    let (answer, code) = (refusal.to_string(), refusal.code.to_string());
    let mut values = vec![untranslated("answer", &answer), untranslated("code", &code)];
    let Some(ErrcodeText { zh, en, remedy_zh, remedy_en, console }) =
        errcode::explain_message_errcode(refusal.code)
    else {
        return DoctorFinding::new(FindingKind::MessagesRefusedUnknown, &values);
    };
    values.extend([("meaning", zh, en), ("remedy", remedy_zh, remedy_en)]);
    let passes = matches!(
        SendRefusal::from_error(error),
        Some(SendRefusal::Retry | SendRefusal::ReduceParallelism | SendRefusal::AwaitQuota)
    );
    let level = if passes { FindingLevel::Warn } else { FindingLevel::Broken };
    DoctorFinding::new(FindingKind::MessagesRefused, &values).with_level(level).with_console(console)
}

#[cfg(test)]
mod tests;

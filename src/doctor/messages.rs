//! Messages: whether the application may send them, and a real one to somebody who is named.
//!
//! Without a name nobody gets anything: the call goes out with no recipient, and WeCom judges the right to it before.

use std::time::Duration;

use chrono::TimeZone as _;
use serde_json::json;

use super::Subject;
use super::finding::{Finding, Level, same};
use super::secrets::Usable;
use super::words::Row;
use crate::base::clock::Timestamp;
use crate::config::Config;
use crate::wecom::errcode::{self, ErrcodeText};
use crate::wecom::wire::SentMessage;
use crate::wecom::{Client, Deadline, Error, Refusal, SendRefusal};

/// How long a question or a message may take.
const PATIENCE: Duration = Duration::from_secs(14);

pub(super) async fn check(subject: &Subject, usable: Usable) -> Vec<Finding> {
    let wecom = &subject.config.wecom;
    let asked = subject.message_to.as_deref();
    let client = match &subject.client {
        _ if !wecom.enable || !wecom.message_enable => {
            let off = wecom.enable.then(|| Finding::new(Row::MessagesOff, &[]));
            return off.into_iter().chain(asked.map(withheld)).collect();
        }
        Ok(client) if usable.app => client,
        // What is wrong with the secret or with the way to WeCom was said by its own check.
        _ => return asked.map(withheld).into_iter().collect(),
    };
    match asked {
        None => vec![may_send(client.may_send(Deadline::after(PATIENCE)).await)],
        Some(userid) => send(&subject.config, client, userid, subject.clock.now()).await,
    }
}

fn withheld(userid: &str) -> Finding {
    Finding::new(Row::MessageWithheld, &[same("userid", userid)])
}

fn may_send(answer: Result<(), Error>) -> Finding {
    match answer {
        Ok(()) => Finding::new(Row::MessagesOk, &[]),
        Err(error) => failed(&error, None),
    }
}

async fn send(config: &Config, client: &Client, userid: &str, now: Timestamp) -> Vec<Finding> {
    let message = message(config, userid, now);
    let answer = client.send_message(&message, Deadline::after(PATIENCE)).await;
    vec![sent(userid, answer)]
}

/// The call for a test message to one member. Its time makes each run's message another one for WeCom's duplicate check.
fn message(config: &Config, userid: &str, now: Timestamp) -> String {
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

/// What became of the message to `userid`.
fn sent(userid: &str, answer: Result<SentMessage, Error>) -> Finding {
    let to = same("userid", userid);
    let is_in = |list: &[String]| list.iter().any(|name| name.to_lowercase() == userid.to_lowercase());
    match answer {
        Ok(sent) if is_in(&sent.unlicenseduser) => Finding::new(Row::MessageUnlicensed, &[to]),
        Ok(sent) if is_in(&sent.invaliduser) => Finding::new(Row::MessageInvalid, &[to]),
        Ok(sent) => {
            let msgid = sent.msgid.unwrap_or_else(|| "—".to_owned());
            Finding::new(Row::MessageTaken, &[to, same("msgid", &msgid)])
        }
        Err(error) => match (SendRefusal::of(&error), error.refusal()) {
            (Some(SendRefusal::Recipients | SendRefusal::Nobody), Some(_)) => {
                Finding::new(Row::MessageInvalid, &[to])
            }
            _ => failed(&error, Some(userid)),
        },
    }
}

/// A failure to ask, or to send to `userid`, in words.
fn failed(error: &Error, userid: Option<&str>) -> Finding {
    let why = error.to_string();
    match (error.refusal(), userid) {
        (Some(refusal), _) => refused(error, refusal),
        (None, None) => Finding::new(Row::MessagesUnseen, &[same("why", &why)]),
        (None, Some(userid)) => {
            let row = if error.may_have_worked() { Row::MessageUnknown } else { Row::MessageNotSent };
            Finding::new(row, &[same("userid", userid), same("why", &why)])
        }
    }
}

/// WeCom's refusal in the words of the errcode table. What passes by itself is not broken.
fn refused(error: &Error, refusal: &Refusal) -> Finding {
    let (answer, code) = (refusal.to_string(), refusal.code.to_string());
    let mut values = vec![same("answer", &answer), same("code", &code)];
    let Some(ErrcodeText { zh, en, remedy_zh, remedy_en, console }) =
        errcode::meaning_for_message(refusal.code)
    else {
        return Finding::new(Row::MessagesRefusedUnknown, &values);
    };
    values.extend([("meaning", zh, en), ("remedy", remedy_zh, remedy_en)]);
    let passes =
        matches!(SendRefusal::of(error), Some(SendRefusal::Again | SendRefusal::Fewer | SendRefusal::Wait));
    let level = if passes { Level::Warn } else { Level::Broken };
    Finding::new(Row::MessagesRefused, &values).at(level).on(console)
}

#[cfg(test)]
mod tests;

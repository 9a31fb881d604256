//! Why something was not sent: a code and what is variable in it, as rows keep it, and the sentence
//! that is made of both when somebody reads it. No code reads a sentence.

use serde::{Deserialize, Serialize, Serializer};
use sqlx::FromRow;

use super::state::{FailureReason, HoldReason};
use crate::base::clock::Timestamp;
use crate::db::types::JsonColumn;
use crate::http::language::BilingualText;
use crate::wecom::{WecomError, WecomRefusal};

/// What is variable in a reason: the columns `reason_detail` and `hold_detail`, as JSON.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ReasonDetail {
    /// The reason behind this one, which the other fields then belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cause: Option<FailureReason>,
    /// The call by its path below `/cgi-bin/`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    api: Option<String>,
    /// WeCom's errcode.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    errcode: Option<i64>,
    /// Words that are not ours to translate: WeCom's errmsg, a person's, a configuration key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    words: Option<String>,
    /// The HTTP status of an answer that could not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    http_status: Option<u16>,
    /// When a token is asked for again, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until_ms: Option<i64>,
    /// The limit that is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    limit: Option<i64>,
}

/// Why a recipient, a call, a recall or a message is as it is. It is serialised as its English
/// sentence.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeliveryReason {
    pub code: FailureReason,
    detail: ReasonDetail,
}

impl From<FailureReason> for DeliveryReason {
    fn from(code: FailureReason) -> Self {
        Self { code, detail: ReasonDetail::default() }
    }
}

impl DeliveryReason {
    pub(super) fn from_error(error: &WecomError) -> Self {
        let (code, detail) = match error {
            WecomError::Refused(refusal) => (FailureReason::Refused, ReasonDetail::of_refusal(refusal)),
            WecomError::Timeout { api, .. } => (FailureReason::Timeout, ReasonDetail::of_api(api)),
            WecomError::Unreachable { api, why, .. } => {
                let words = Some(why.clone());
                (FailureReason::Unreachable, ReasonDetail { words, ..ReasonDetail::of_api(api) })
            }
            WecomError::Unreadable { api, status, why } => {
                let (words, http_status) = (Some(why.clone()), Some(*status));
                (FailureReason::Unreadable, ReasonDetail { words, http_status, ..ReasonDetail::of_api(api) })
            }
            WecomError::BackingOff { until, cause } => {
                let until_ms = Some(until.millis());
                (FailureReason::BackingOff, ReasonDetail { until_ms, ..ReasonDetail::of_refusal(cause) })
            }
            WecomError::NoSecret(secret) => {
                let words = Some(secret.to_string());
                (FailureReason::NoSecret, ReasonDetail { words, ..ReasonDetail::default() })
            }
        };
        Self { code, detail }
    }

    /// Somebody gave it up, for the reason in these words. NUL is no character for PostgreSQL.
    pub(super) fn buried(words: &str) -> Self {
        let words = Some(words.replace('\0', "\u{fffd}"));
        Self { code: FailureReason::Buried, detail: ReasonDetail { words, ..ReasonDetail::default() } }
    }

    /// The limit of recipients a day is used up.
    pub(super) fn daily_limit(limit: i64) -> Self {
        let detail = ReasonDetail { limit: Some(limit), ..ReasonDetail::default() };
        Self { code: FailureReason::DailyLimit, detail }
    }

    /// Makes a reason that has another one behind it.
    pub(super) fn because(code: FailureReason, cause: Self) -> Self {
        Self { code, detail: ReasonDetail { cause: Some(cause.code), ..cause.detail } }
    }

    fn cause(&self) -> Option<Self> {
        let code = self.detail.cause?;
        Some(Self { code, detail: ReasonDetail { cause: None, ..self.detail.clone() } })
    }

    /// Returns the value of the column `reason_detail`.
    pub(super) fn detail_column(&self) -> Option<JsonColumn<ReasonDetail>> {
        self.detail.column()
    }

    /// Makes the sentence for people.
    pub fn describe(&self) -> BilingualText {
        let detail = &self.detail;
        let api = detail.api.as_deref().unwrap_or("?");
        let words = detail.words.as_deref().unwrap_or_default();
        let (errcode, limit) = (detail.errcode.unwrap_or_default(), detail.limit.unwrap_or_default());
        match self.code {
            FailureReason::PersonLeft => {
                BilingualText::fixed("该人员已离职。", "The person has left the corporation.")
            }
            FailureReason::NoAccount => {
                BilingualText::fixed("该人员没有企业微信帐号。", "The person has no WeCom account.")
            }
            FailureReason::Unaddressable => BilingualText::fixed(
                "该人员的 userid 在收件人列表中会表示其他人。",
                "The person's userid would mean somebody else in a list of recipients.",
            ),
            FailureReason::InvalidUserid => BilingualText::fixed(
                "企业微信不认识该 userid，或应用无权向其发送。",
                "WeCom does not know this userid, or the application may not send to it.",
            ),
            FailureReason::Unlicensed => BilingualText::fixed(
                "该帐号没有企业微信的接口许可。",
                "The account has no licence for WeCom's API.",
            ),
            FailureReason::NoRecipients => BilingualText::fixed(
                "所选部门和标签中没有成员。",
                "Nobody is in the units and tags that it is for.",
            ),
            FailureReason::Expired => {
                BilingualText::fixed("未能在过期之前发出。", "It expired before it could be sent.")
            }
            FailureReason::Recalled => {
                BilingualText::fixed("在发出之前已被撤回。", "It was recalled before it was sent.")
            }
            FailureReason::RetryPeriodOver => {
                BilingualText::fixed("24 小时内未能发出。", "It could not be sent for 24 hours.")
            }
            FailureReason::DailyLimit => BilingualText::new(
                format!("企业微信每天最多接受本应用发给 {limit} 个收件人，今天已用完。"),
                format!("WeCom takes {limit} recipients a day from this application, and they are used up."),
            ),
            FailureReason::Buried => {
                BilingualText::new(format!("已由人工放弃：{words}"), format!("Given up by hand: {words}"))
            }
            FailureReason::Refused => BilingualText::new(
                format!("企业微信拒绝了 {api}：{errcode} {words}"),
                format!("WeCom refused {api}: {errcode} {words}"),
            ),
            FailureReason::Timeout => BilingualText::new(
                format!("企业微信没有及时回答 {api}"),
                format!("WeCom did not answer {api} in time"),
            ),
            FailureReason::Unreachable => BilingualText::new(
                format!("无法连接企业微信以调用 {api}：{words}"),
                format!("WeCom cannot be reached for {api}: {words}"),
            ),
            FailureReason::Unreadable => {
                let status = detail.http_status.unwrap_or_default();
                BilingualText::new(
                    format!("无法理解对 {api} 的回答（HTTP {status}）：{words}"),
                    format!("the answer to {api} (HTTP {status}) cannot be read: {words}"),
                )
            }
            FailureReason::BackingOff => {
                let until = Timestamp::from_millis(detail.until_ms.unwrap_or_default()).rfc3339();
                BilingualText::new(
                    format!("{until} 之前不再请求 access_token：企业微信拒绝了 {api}：{errcode} {words}"),
                    format!(
                        "no access token is asked for before {until}: WeCom refused {api}: {errcode} {words}"
                    ),
                )
            }
            FailureReason::NoSecret => BilingualText::new(
                format!("没有配置 wecom.{words}"),
                format!("wecom.{words} is not configured"),
            ),
            FailureReason::AnswerLost => BilingualText::fixed(
                "企业微信的回答丢失；再次询问可能重复发送，已经太晚。",
                "WeCom's answer was lost, and it is too late to ask again without sending twice.",
            ),
            FailureReason::OutcomeUnknown => self.describe_after(
                "不知道企业微信是否已接受，消息可能已送达。",
                "Nobody knows whether WeCom took it; it may have arrived.",
            ),
            FailureReason::NotRecalled => self.describe_after("没有撤回：", "It was not recalled:"),
            FailureReason::CopyMayRemain => BilingualText::fixed(
                "企业微信已撤回，但此前有一次回答丢失，消息可能仍在手机上。",
                "WeCom took it back, but an earlier answer of WeCom's about it was lost, and it may still be on phones.",
            ),
        }
    }

    /// Makes a sentence that the reason behind this one follows, if there is one.
    fn describe_after(&self, zh: &'static str, en: &'static str) -> BilingualText {
        match self.cause().map(|cause| cause.describe()) {
            None => BilingualText::fixed(zh, en),
            Some(cause) => BilingualText::new(format!("{zh}{}", cause.zh), format!("{en} {}", cause.en)),
        }
    }
}

impl std::fmt::Display for DeliveryReason {
    /// Writes the English sentence, for logs, the command line and the API.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.describe().en)
    }
}

impl Serialize for DeliveryReason {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl ReasonDetail {
    fn of_api(api: &str) -> Self {
        Self { api: Some(api.to_owned()), ..Self::default() }
    }

    fn of_refusal(refusal: &WecomRefusal) -> Self {
        let words = Some(refusal.message.clone());
        Self { errcode: Some(refusal.code), words, ..Self::of_api(refusal.api) }
    }

    fn column(&self) -> Option<JsonColumn<Self>> {
        (*self != Self::default()).then(|| JsonColumn(self.clone()))
    }
}

/// The columns of a reason, in the row of anything that has one.
#[derive(Debug, Clone, FromRow)]
pub(super) struct ReasonColumns {
    reason_code: Option<FailureReason>,
    reason_detail: Option<JsonColumn<ReasonDetail>>,
}

impl ReasonColumns {
    pub(super) fn into_reason(self) -> Option<DeliveryReason> {
        let detail = self.reason_detail.map(|JsonColumn(detail)| detail).unwrap_or_default();
        self.reason_code.map(|code| DeliveryReason { code, detail })
    }
}

/// Why nothing can be sent, and since when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SendHold {
    pub code: HoldReason,
    detail: ReasonDetail,
    pub since: Timestamp,
}

impl SendHold {
    pub(super) fn call_limit(since: Timestamp) -> Self {
        Self { code: HoldReason::CallLimit, detail: ReasonDetail::default(), since }
    }

    pub(super) fn daily_limit(limit: i64, since: Timestamp) -> Self {
        Self { code: HoldReason::DailyLimit, detail: DeliveryReason::daily_limit(limit).detail, since }
    }

    pub(super) fn needs_administrator(cause: DeliveryReason, since: Timestamp) -> Self {
        let detail = ReasonDetail { cause: Some(cause.code), ..cause.detail };
        Self { code: HoldReason::NeedsAdministrator, detail, since }
    }

    /// Returns the value of the column `hold_detail`.
    pub(super) fn detail_column(&self) -> Option<JsonColumn<ReasonDetail>> {
        self.detail.column()
    }

    /// Returns the reason of what waits for its end; `None` if only a limit of calls has to pass.
    pub fn reason(&self) -> Option<DeliveryReason> {
        let code = match self.code {
            HoldReason::CallLimit => return None,
            HoldReason::DailyLimit => FailureReason::DailyLimit,
            HoldReason::NeedsAdministrator => self.detail.cause.unwrap_or(FailureReason::Refused),
        };
        Some(DeliveryReason { code, detail: ReasonDetail { cause: None, ..self.detail.clone() } })
    }

    /// Makes the sentence for people.
    pub fn describe(&self) -> BilingualText {
        self.reason().map_or_else(
            || {
                BilingualText::fixed(
                    "已达到企业微信的调用次数上限（45009）。",
                    "WeCom's limit of calls was reached (45009).",
                )
            },
            |reason| reason.describe(),
        )
    }
}

/// The columns of a hold.
#[derive(Debug, Clone, FromRow)]
pub(super) struct HoldColumns {
    hold_code: Option<HoldReason>,
    hold_detail: Option<JsonColumn<ReasonDetail>>,
    hold_since: Option<Timestamp>,
}

impl HoldColumns {
    pub(super) fn into_hold(self) -> Option<SendHold> {
        let detail = self.hold_detail.map(|JsonColumn(detail)| detail).unwrap_or_default();
        Some(SendHold { code: self.hold_code?, detail, since: self.hold_since? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wecom::SecretKind;

    fn refusal() -> WecomError {
        WecomError::Refused(WecomRefusal {
            api: "message/send",
            code: 60020,
            message: "not allowed".to_owned(),
            from_ip: None,
        })
    }

    #[test]
    fn an_error_of_wecoms_has_the_same_words_as_a_reason() {
        let api = "message/send";
        for error in [
            refusal(),
            WecomError::Timeout { api, sent: true },
            WecomError::Unreachable { api, why: "no route".to_owned(), sent: false },
            WecomError::Unreadable { api, status: 502, why: "HTML".to_owned() },
            WecomError::NoSecret(SecretKind::App),
        ] {
            assert_eq!(DeliveryReason::from_error(&error).to_string(), error.to_string());
        }
        let WecomError::Refused(cause) = refusal() else { return };
        let until = Timestamp::from_millis(60_000);
        let backing_off = WecomError::BackingOff { until, cause: Box::new(cause) };
        assert_eq!(DeliveryReason::from_error(&backing_off).to_string(), backing_off.to_string());
    }

    #[test]
    fn every_reason_has_a_sentence_of_its_own_in_both_languages() {
        let mut sentences = std::collections::HashSet::new();
        for code in FailureReason::ALL {
            let text = DeliveryReason::from(*code).describe();
            assert!(text.zh.chars().any(|c| c >= '\u{4e00}'), "{code:?}: {}", text.zh);
            assert!(text.en.is_ascii() && text.en.len() > 10, "{code:?}: {}", text.en);
            assert!(sentences.insert(text.en.clone()), "{code:?}: {}", text.en);
        }
        for code in HoldReason::ALL {
            let hold =
                SendHold { code: *code, detail: ReasonDetail::default(), since: Timestamp::from_millis(1) };
            assert!(!hold.describe().zh.is_empty() && !hold.describe().en.is_empty(), "{code:?}");
        }
    }

    #[test]
    fn a_reason_behind_another_is_told_after_it() {
        let refused = DeliveryReason::from_error(&refusal());
        let told = DeliveryReason::because(FailureReason::NotRecalled, refused.clone());
        assert_eq!(told.to_string(), "It was not recalled: WeCom refused message/send: 60020 not allowed");
        let hold = SendHold::needs_administrator(refused.clone(), Timestamp::from_millis(1));
        assert_eq!(hold.reason(), Some(refused));
        let detail = serde_json::to_string(&told.detail).unwrap();
        assert_eq!(
            detail,
            r#"{"cause":"refused","api":"message/send","errcode":60020,"words":"not allowed"}"#
        );
        assert_eq!(serde_json::from_str::<ReasonDetail>(&detail).unwrap(), told.detail);
    }
}

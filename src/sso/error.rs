//! All causes for which a sign-in can fail, and the page that each of them leads to.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::base::url::BadTarget;
use crate::config::RequiredKey;
use crate::http::browser_request::DuplicateParameter;
use crate::http::failure::{Failure, explain_bad_target};
use crate::http::rate_limit::RetryAfter;
use crate::http::words::{Code, labels};
use crate::keys::NoSigningKey;
use crate::session::BeginSessionError;
use crate::wecom::{self, ErrorFamily};

/// The reasons why a sign-in did not go on.
#[derive(Debug, thiserror::Error)]
pub enum SsoError {
    /// `wecom.enable` is false.
    #[error("wecom.enable is false")]
    Disabled,
    /// The configuration lacks something without which nobody can sign in.
    #[error("the configuration lacks what {} names", code_for_key(*.0))]
    NotConfigured(RequiredKey),
    /// The target is not on a host of this installation.
    #[error("the target was refused: {0}")]
    BadTarget(#[from] BadTarget),
    /// A sealed text is not ours, or too old.
    #[error("the hand-off or target is not ours or too old")]
    NotOurs,
    /// Too many requests from one address.
    #[error("too many from this address")]
    TooMany(RetryAfter),
    /// The person cancelled.
    #[error("cancelled by the person")]
    Cancelled,
    /// Another code came for an attempt that has one already.
    #[error("another code for the same attempt")]
    OtherCode,
    /// The attempt's cookie did not come back, twice.
    #[error("the attempt's cookie did not come back")]
    CookiesBlocked,
    /// The gate sent a signed-in browser back for the same page too often. Names the cookies and
    /// paths that may be the cause.
    #[error("a signed-in browser was sent to sign in for the same page too often: {0}")]
    TooManyRounds(String),
    /// The session cookie did not come back after several sign-ins.
    #[error("the session's cookie did not come back")]
    CookiesRefused,
    /// WeCom refused the code, or the ticket was redeemed, after one restart.
    #[error("the code or ticket is used or too old")]
    CodeUsed,
    /// WeCom's answer allows nobody to sign in.
    #[error(transparent)]
    Refused(#[from] SignInRefusal),
    /// The database does not answer.
    #[error("the store is unavailable: {0}")]
    Store(#[from] sqlx::Error),
    /// The memory is too old, or another callback of the attempt never ended.
    #[error("the store is unavailable")]
    Stale,
    /// This machine's clock is behind the newest row.
    #[error("the clock of this machine is more than a minute behind the newest row")]
    Clock,
    /// There is no key that may sign.
    #[error(transparent)]
    NoKey(#[from] NoSigningKey),
    /// A mistake in the gateway.
    #[error("the sign-in broke off")]
    Broken,
    /// The failure that another callback of the same attempt got.
    #[error("as before: {0}")]
    AsBefore(RecordedFailure),
}

impl From<DuplicateParameter> for SsoError {
    fn from(_: DuplicateParameter) -> Self {
        Self::NotOurs
    }
}

impl From<BeginSessionError> for SsoError {
    fn from(error: BeginSessionError) -> Self {
        match error {
            BeginSessionError::Store(error) => Self::Store(error),
            BeginSessionError::NoKey(error) => Self::NoKey(error),
        }
    }
}

/// The reasons why WeCom's answer does not let somebody in.
#[derive(Debug, thiserror::Error)]
pub enum SignInRefusal {
    /// No userid: an external contact, or a member of another corporation.
    #[error("not a member")]
    NotMember,
    /// A userid with `/`.
    #[error("a member of a linked corporation")]
    LinkedCorp,
    /// Status 2.
    #[error("disabled in WeCom")]
    Disabled,
    /// Status 4.
    #[error("not activated in WeCom")]
    NotActivated,
    /// Status 5.
    #[error("left the corporation")]
    Left,
    /// An unknown status. Only status 1 is let in.
    #[error("WeCom says status {0}")]
    UnknownStatus(i64),
    /// WeCom refused the call or did not answer.
    #[error(transparent)]
    WeCom(wecom::WecomError),
}

/// A failure as the attempts table keeps it. As text: `code,errcode,address`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordedFailure {
    /// The code of the page.
    pub code: Code,
    pub errcode: Option<i64>,
    pub address: Option<IpAddr>,
}

impl std::fmt::Display for RecordedFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let errcode = self.errcode.map(|e| e.to_string()).unwrap_or_default();
        let address = self.address.map(|a| a.to_string()).unwrap_or_default();
        write!(f, "{},{errcode},{address}", self.code)
    }
}

impl SignInRefusal {
    /// Returns the code of the page.
    pub fn code(&self) -> Code {
        match self {
            Self::NotMember => Code::NotMember,
            Self::LinkedCorp => Code::LinkedCorp,
            Self::Disabled => Code::Disabled,
            Self::NotActivated => Code::NotActivated,
            Self::Left => Code::Left,
            Self::UnknownStatus(_) => Code::NotVisible,
            Self::WeCom(error) => code_for_wecom_error(error),
        }
    }

    /// Returns whether the code was used or too old, so that a restart may help.
    pub fn needs_new_code(&self) -> bool {
        matches!(self, Self::WeCom(error) if error.family() == ErrorFamily::SignInAgain)
    }
}

/// Maps a key that is not set to the code of a page.
const fn code_for_key(key: RequiredKey) -> Code {
    match key {
        RequiredKey::CorpId => Code::CorpId,
        RequiredKey::AgentId => Code::WrongAgent,
        RequiredKey::AppSecret => Code::Secret,
    }
}

/// Maps an error of WeCom to the code of a page ([design: failure
/// pages](crate::design#failure-pages)).
fn code_for_wecom_error(error: &wecom::WecomError) -> Code {
    if let wecom::WecomError::NoSecret(_) = error {
        return Code::Secret;
    }
    // Errcodes with a page of their own come first; the families cover the rest.
    match (error.code(), error.family()) {
        (Some(50001 | 301_002 | 40056 | 41011), _) => Code::WrongAgent,
        (Some(60020), _) => Code::TrustedIp,
        (Some(40001 | 40091 | 48002 | 41004 | 45031), _) => Code::Secret,
        (Some(40013 | 41002 | 2_000_002 | 301_007), _) => Code::CorpId,
        (Some(48009), _) => Code::ContactsOnly,
        (Some(50003), _) => Code::AppDisabled,
        (_, ErrorFamily::SignInAgain) => Code::CodeUsed,
        (_, ErrorFamily::NotVisible) => Code::NotVisible,
        (_, ErrorFamily::Busy) => Code::WecomBusy,
        (_, ErrorFamily::Token) => Code::Secret,
        _ => Code::WecomUnreachable,
    }
}

impl SsoError {
    /// Returns the code of the page.
    pub fn code(&self) -> Code {
        match self {
            Self::Disabled => Code::WecomDisabled,
            Self::NotConfigured(key) => code_for_key(*key),
            Self::BadTarget(_) | Self::NotOurs => Code::BadTarget,
            Self::TooMany(_) => Code::TooMany,
            Self::Cancelled => Code::Cancelled,
            Self::OtherCode => Code::OtherCode,
            Self::CookiesBlocked => Code::CookiesBlocked,
            Self::CookiesRefused => Code::CookiesRefused,
            Self::TooManyRounds(_) => Code::TooManyRounds,
            Self::CodeUsed => Code::CodeUsed,
            Self::Refused(refused) => refused.code(),
            Self::Store(_) | Self::Stale | Self::Clock => Code::StoreUnavailable,
            Self::NoKey(_) | Self::Broken => Code::Internal,
            Self::AsBefore(recorded) => recorded.code,
        }
    }

    /// Returns what the attempts table stores of it.
    pub fn recorded(&self) -> RecordedFailure {
        if let Self::AsBefore(recorded) = self {
            return recorded.clone();
        }
        let wecom = match self {
            Self::Refused(SignInRefusal::WeCom(error)) => Some(error),
            _ => None,
        };
        let refusal = wecom.and_then(wecom::WecomError::refusal);
        let code = self.code();
        // Many refusals name our address. Only this one is solved by adding it in WeCom's console.
        let address = refusal.and_then(|r| r.from_ip).filter(|_| code == Code::TrustedIp);
        RecordedFailure { code, errcode: wecom.and_then(wecom::WecomError::code), address }
    }

    /// Builds the page for people. The caller adds the buttons.
    pub fn failure(self, now: crate::base::clock::Timestamp) -> Failure {
        let recorded = self.recorded();
        let mut failure = Failure::new(recorded.code);
        failure.errcode = recorded.errcode;
        if let Some(text) = recorded.errcode.and_then(wecom::errcode::explain_errcode) {
            failure.meaning = Some(crate::http::language::BilingualText::fixed(text.zh, text.en));
            failure.remedy =
                Some(crate::http::language::BilingualText::fixed(text.remedy_zh, text.remedy_en));
            failure.console = text.console.map(crate::http::language::BilingualText::same);
        }
        failure.detail = recorded.address.map(|a| a.to_string());
        match &self {
            Self::TooMany(RetryAfter(after)) => failure.retry_after = Some(*after),
            Self::Refused(SignInRefusal::WeCom(error)) => {
                if let Some(at) = error.retry_at() {
                    failure.detail.get_or_insert_with(|| at.rfc3339());
                    failure.retry_after = Some(at.since(now).max(Duration::from_secs(1)));
                }
            }
            Self::TooManyRounds(seen) => failure.detail = Some(seen.clone()),
            Self::BadTarget(why) => failure.meaning = Some(explain_bad_target(*why)),
            Self::NotOurs => failure.meaning = Some(labels::TARGET_NOT_OURS),
            Self::Clock => failure.detail = Some(self.to_string()),
            Self::NotConfigured(key) => {
                failure.detail = Some(format!("{key} is not set; WeCom was not asked"));
            }
            _ => {}
        }
        if failure.code == Code::WecomBusy {
            // WeCom counts by the minute and does not say when the minute began.
            let after = *failure.retry_after.get_or_insert(Duration::from_secs(60));
            failure.detail.get_or_insert_with(|| now.plus(after).rfc3339());
        }
        failure.cause = Some(Arc::new(self));
        failure
    }
}

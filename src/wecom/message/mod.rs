//! Sending and recalling a message (documents 90236, 94867, 90313).
//!
//! These calls have a class of their own ([`CallClass::Message`]): at most ten at once, never in
//! the slot of somebody who is signing in, and each is made once. The keeper of the message decides
//! when it is tried again, because only the keeper knows what was tried before.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::call_class::CallClass;
use super::errcode::SendRefusal;
use super::error::GETTOKEN_API;
use super::exchange::{RequestBody, WecomRequest};
use super::wire::SentMessage;
use super::{Deadline, SecretKind, WecomClient, WecomError, WecomRefusal, lenient_json};

pub(super) const SEND_API: &str = "message/send";
const RECALL_API: &str = "message/recall";

/// The answer of `message/send`.
#[derive(Debug, Deserialize)]
struct SendAnswer {
    #[serde(default, deserialize_with = "lenient_json::optional_integer")]
    errcode: Option<i64>,
    #[serde(flatten)]
    message: SentMessage,
}

/// The answer of `message/recall`, which only confirms.
#[derive(Debug, Deserialize)]
struct RecallAnswer {
    #[serde(default, deserialize_with = "lenient_json::optional_integer")]
    errcode: Option<i64>,
}

impl WecomClient {
    /// Sends a message (`message/send`, POST) with the application's token. `body` is sent byte for
    /// byte as it is, every time: WeCom's duplicate check compares the request.
    ///
    /// A success may still name recipients who got nothing ([`SentMessage`]). A refused token is
    /// renewed once and the call repeated once; nothing else is repeated. After a failure, ask
    /// [`SendRefusal::from_error`] and [`WecomError::may_have_worked`]. An answer without `errcode`
    /// and `msgid` is not WeCom's and not a success.
    pub async fn send_message(&self, body: &str, deadline: Deadline) -> Result<SentMessage, WecomError> {
        let bytes = Bytes::copy_from_slice(body.as_bytes());
        let body = RequestBody::Bytes { content_type: "application/json", bytes: &bytes };
        let request = WecomRequest { api: SEND_API, query: &[], body: Some(body), class: CallClass::Message };
        let sent: SendAnswer = self.call(SecretKind::App, request, deadline).await?;
        // `{}` decodes as well: an answer that confirms nothing may come from something in between.
        if sent.errcode.is_none() && sent.message.msgid.is_none() {
            return Err(unconfirmed_error(SEND_API));
        }
        Ok(sent.message)
    }

    /// Takes a message back from everybody who got it (`message/recall`, POST), within 24 hours
    /// after it was sent; later WeCom answers 42052. Doing it twice does no harm. A message of
    /// another application is refused with 40058.
    pub async fn recall_message(&self, msgid: &str, deadline: Deadline) -> Result<(), WecomError> {
        let body = json!({ "msgid": msgid });
        let body = RequestBody::Json(&body);
        let request =
            WecomRequest { api: RECALL_API, query: &[], body: Some(body), class: CallClass::Message };
        let done: RecallAnswer = self.call(SecretKind::App, request, deadline).await?;
        done.errcode.map(|_| ()).ok_or_else(|| unconfirmed_error(RECALL_API))
    }
}

/// Makes the error for an answer that does not confirm the call.
fn unconfirmed_error(api: &'static str) -> WecomError {
    WecomError::Unreadable { api, status: 200, why: "it does not say that it was done".to_owned() }
}

impl SendRefusal {
    /// Returns what can be done about this failure of [`WecomClient::send_message`]; `None` if
    /// WeCom did not answer, or not readably.
    ///
    /// What stops a token stops every message, also if the code is unknown.
    pub(crate) fn from_error(error: &WecomError) -> Option<Self> {
        match error {
            WecomError::Refused(refusal) => Some(Self::from_refusal(refusal)),
            WecomError::BackingOff { cause, .. } => Some(Self::from_refusal(cause)),
            WecomError::NoSecret(_) => Some(Self::NeedsAdministrator),
            WecomError::Timeout { .. } | WecomError::Unreachable { .. } | WecomError::Unreadable { .. } => {
                None
            }
        }
    }

    fn from_refusal(refusal: &WecomRefusal) -> Self {
        match Self::from_errcode(refusal.code) {
            may_pass @ (Self::Retry | Self::ReduceParallelism | Self::AwaitQuota) => may_pass,
            _ if refusal.api == GETTOKEN_API => Self::NeedsAdministrator,
            other => other,
        }
    }
}

#[cfg(test)]
mod tests;

//! The calls of `doctor`: which kind of secret this is, whether it may send, and what time it is at
//! WeCom.

use serde::de::IgnoredAny;
use serde_json::json;

use super::call_class::CallClass;
use super::errcode::misses_recipient;
use super::exchange::{CallParameter, RequestBody, WecomRequest};
use super::message;
use super::{Deadline, ErrorFamily, SecretKind, WecomClient, WecomError};
use crate::base::clock::Timestamp;

/// The kind of a secret, as WeCom treats it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbedSecretKind {
    /// A self-built application's secret: it can exchange codes.
    App,
    /// The 通讯录同步 assistant's secret: it can list ids and cannot sign anyone in.
    Contacts,
}

/// No code of WeCom's looks like this, so the exchange fails on the code and not before.
const IMPOSSIBLE_CODE: &str = "gongpai-doctor";

impl WecomClient {
    /// Finds out what the secret configured as `which` really is, with at most one gettoken.
    ///
    /// An application's token gets as far as the impossible code (40029). The 通讯录同步 assistant may
    /// not exchange codes at all (48002, 50001; document 90313), but it alone may list ids (96067).
    /// Any other refusal (40001, 60020, …) says nothing about the kind and is returned.
    pub async fn probe_secret(
        &self,
        which: SecretKind,
        deadline: Deadline,
    ) -> Result<ProbedSecretKind, WecomError> {
        let query = [CallParameter::open("code", IMPOSSIBLE_CODE)];
        let exchange =
            WecomRequest { api: "auth/getuserinfo", query: &query, body: None, class: CallClass::Person };
        let said = self.call::<IgnoredAny>(which, exchange, deadline).await;
        let guess = match said {
            Ok(_) => ProbedSecretKind::App,
            Err(error) if error.family() == ErrorFamily::SignInAgain => ProbedSecretKind::App,
            Err(error) if matches!(error.code(), Some(48002 | 50001)) => {
                return Ok(ProbedSecretKind::Contacts);
            }
            Err(error) => return Err(error),
        };
        // No document promises that WeCom checks the assistant's rights before the code. Private
        // editions without this call answer something else, and then the guess stays.
        let body = json!({"limit": 1});
        let list = WecomRequest {
            api: "user/list_id",
            query: &[],
            body: Some(RequestBody::Json(&body)),
            class: CallClass::Person,
        };
        match self.call::<IgnoredAny>(which, list, deadline).await {
            Ok(_) => Ok(ProbedSecretKind::Contacts),
            Err(_) => Ok(guess),
        }
    }

    /// Checks whether the application may send messages, without sending one: it calls
    /// `message/send` without a recipient.
    ///
    /// WeCom checks secret, address and application first. A secret that may send is told that no
    /// recipient is named (82001, 81012; sometimes 81013, 40063, 40035, 40003). Anything else is
    /// returned as the error.
    pub async fn may_send(&self, deadline: Deadline) -> Result<(), WecomError> {
        let body = json!({
            "touser": "",
            "msgtype": "text",
            "agentid": self.settings().agent_id,
            "text": { "content": "gongpai doctor" },
        });
        let body = Some(RequestBody::Json(&body));
        let request = WecomRequest { api: message::SEND_API, query: &[], body, class: CallClass::Person };
        match self.call::<IgnoredAny>(SecretKind::App, request, deadline).await {
            Ok(_) => Ok(()),
            Err(WecomError::Refused(refusal))
                if refusal.api == message::SEND_API && misses_recipient(refusal.code) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Returns WeCom's time to the second, from the Date header of its last answer; asks for one if
    /// there was none. `None` if WeCom cannot be reached or sends no date.
    pub async fn server_time(&self, deadline: Deadline) -> Option<Timestamp> {
        if let Some(time) = self.exchange().server_time() {
            return Some(time);
        }
        match self.exchange().fetch_date(deadline).await {
            Ok(()) => self.exchange().server_time(),
            Err(error) => {
                tracing::debug!(%error, "WeCom's clock could not be read");
                None
            }
        }
    }
}

//! Sending a call: its exact bytes, and the requests to WeCom.

use std::time::Duration;

use super::claim::{ANSWER_DEADLINE, ClaimedCall};
use super::verdict::CallAnswer;
use crate::message::{MessageKind, Messages};
use crate::wecom::Deadline;

/// Builds the body of a call, byte for byte (document 90236). `content` is WeCom's own object of
/// the kind.
///
/// # Errors
/// Never for the content of a row.
pub(super) fn build_request<'a>(
    userids: impl Iterator<Item = &'a str>,
    kind: MessageKind,
    content: &str,
    agent: u32,
    window: Duration,
) -> sqlx::Result<String> {
    let touser = userids.collect::<Vec<_>>().join("|");
    let touser = serde_json::to_string(&touser).map_err(|error| sqlx::Error::Encode(error.into()))?;
    let (kind, seconds) = (kind.as_str(), window.as_secs());
    Ok(format!(
        r#"{{"touser":{touser},"msgtype":"{kind}","agentid":{agent},"{kind}":{content},"enable_duplicate_check":1,"duplicate_check_interval":{seconds}}}"#
    ))
}

impl Messages {
    pub(super) async fn send(&self, call: &ClaimedCall) -> CallAnswer {
        let limit = call.time_left(self.0.clock.now());
        CallAnswer::from_send(self.0.client.send_message(&call.request, Deadline::after(limit)).await)
    }

    pub(super) async fn take_back(&self, msgid: &str) -> CallAnswer {
        CallAnswer::from_recall(self.0.client.recall_message(msgid, Deadline::after(ANSWER_DEADLINE)).await)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_wecoms_and_the_same_every_time() {
        let body = build_request(
            ["ZhangSan", "lisi"].into_iter(),
            MessageKind::Text,
            r#"{"content":"请审批"}"#,
            1_000_002,
            Duration::from_secs(120),
        );
        assert_eq!(
            body.unwrap(),
            r#"{"touser":"ZhangSan|lisi","msgtype":"text","agentid":1000002,"text":{"content":"请审批"},"enable_duplicate_check":1,"duplicate_check_interval":120}"#
        );
    }
}

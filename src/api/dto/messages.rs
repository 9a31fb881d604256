//! Messages: as they are sent, accepted and reported.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::words::{AcceptedStatusWord, DeliveryStatusWord, MessageKindWord, MessageStatusWord};
use crate::api::openapi;
use crate::base::clock::Timestamp;
use crate::base::id::MessageId;
use crate::message::MessageStatus;
use crate::message::accept::AcceptedMessage;
use crate::message::views::{MessageView, RecipientView};

/// A message to be sent. At least one recipient.
#[derive(ToSchema)]
#[schema(as = MessageOrder)]
#[expect(dead_code, reason = "message::content::MessageRequest reads it, and names every finding")]
pub(crate) struct MessageOrderSchema {
    to: MessageRecipientsSchema,
    #[schema(inline)]
    kind: MessageKindWord,
    /// WeCom's own object of that kind, as in its document 90236: of `text` and `markdown` `{"content"}`; of `textcard`
    /// `{"title","description","url","btntxt"}`; of `news` `{"articles":[…]}`; of `template_card` one whose `card_type` is
    /// `text_notice` or `news_notice`; of `image` and `file` `{"media_id"}`. Unknown fields are refused, and so is what
    /// exceeds WeCom's limits once links are wrapped.
    content: openapi::Object,
    /// Links to hosts of this installation become links that open signed in, for the recipients only.
    #[schema(required = false, default = true)]
    url_signed_in: bool,
    /// Texts that are too long are cut, and named in the answer, rather than refused. URLs and ids never are.
    #[schema(required = false, default = false)]
    truncate: bool,
    /// When it is no longer worth sending; within the next 30 days. Whoever has not got it by then does not get it.
    #[schema(format = DateTime, required = false)]
    expires_at: Option<String>,
}

/// Whom it is for: persons, units and tags together, at most 10 000 of them; or everybody.
#[derive(ToSchema)]
#[schema(as = MessageRecipients)]
#[expect(dead_code, reason = "message::content::RequestedRecipients is read from it")]
struct MessageRecipientsSchema {
    /// Userids; case does not matter.
    #[schema(required = false)]
    users: Vec<String>,
    /// Units with everybody in and below them: our id, `wecom:ID` or a path.
    #[schema(required = false)]
    units: Vec<String>,
    /// Tags: our id, `wecom:ID` or a name.
    #[schema(required = false)]
    tags: Vec<String>,
    /// Everybody who may see the application. Needs the scope `messages:all`, and nothing else beside it.
    #[schema(required = false, default = false)]
    all: bool,
}

/// It is accepted: on disk, and on its way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedMessage)]
pub(crate) struct AcceptedMessageDto {
    #[schema(value_type = String)]
    id: MessageId,
    #[schema(inline)]
    status: AcceptedStatusWord,
    /// What was cut, `content.title`; missing if nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    truncated: Vec<String>,
}

/// What became of a message.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Message)]
pub(crate) struct MessageDto {
    #[schema(value_type = String)]
    id: MessageId,
    #[schema(inline)]
    status: MessageStatusWord,
    /// By userid, at most 10 000. Those of units and tags appear a moment after the message was accepted.
    recipients: Vec<MessageRecipientDto>,
    /// Always empty in this version: no kind asks recipients for anything.
    #[schema(value_type = Vec<openapi::Object>)]
    interactions: [(); 0],
    /// Why it failed, or why nothing is sent at the moment; null otherwise.
    #[schema(required)]
    reason: Option<String>,
    /// The most attempts of any one call.
    attempts: i64,
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    #[schema(value_type = String, format = DateTime)]
    updated_at: Timestamp,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MessageRecipient)]
struct MessageRecipientDto {
    /// `@all` for everybody.
    userid: String,
    #[schema(inline)]
    status: DeliveryStatusWord,
    /// Why it failed; null otherwise.
    #[schema(required)]
    reason: Option<String>,
}

/// A body in which there is nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Nothing)]
pub(crate) struct EmptyBodyDto {}

impl From<AcceptedMessage> for AcceptedMessageDto {
    fn from(accepted: AcceptedMessage) -> Self {
        let AcceptedMessage { id, truncated, .. } = accepted;
        Self { id, status: MessageStatus::Accepted.into(), truncated }
    }
}

impl From<MessageView> for MessageDto {
    fn from(shown: MessageView) -> Self {
        Self {
            id: shown.id,
            status: shown.status.into(),
            recipients: shown.recipients.into_iter().map(Into::into).collect(),
            interactions: [],
            reason: shown.reason.map(|reason| reason.to_string()),
            attempts: shown.attempts,
            created_at: shown.created_at,
            updated_at: shown.updated_at,
        }
    }
}

impl From<RecipientView> for MessageRecipientDto {
    fn from(shown: RecipientView) -> Self {
        let RecipientView { userid, status, reason } = shown;
        Self { userid, status: status.into(), reason: reason.map(|reason| reason.to_string()) }
    }
}

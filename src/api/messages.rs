//! `/api/v1/messages`: sends messages, reports their status and recalls them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::auth::AuthenticatedClient;
use super::query::{self, QueryParams};
use super::{ApiState, openapi};
use crate::audit::Actor;
use crate::base::id::MessageId;
use crate::config::Scope;
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::message::accept::{AcceptError, AcceptedMessage, Sender, join_field_errors};
use crate::message::commands::{self, Requester};
use crate::message::content::{FieldError, MessageRequest};
use crate::message::views::MessageView;

const ACCEPT_FAILURE: &str = "A message could not be accepted";
const READ_FAILURE: &str = "A message could not be read";

/// The header that makes a repeated request the same message.
const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";

/// A message to be sent. At least one recipient.
#[derive(ToSchema)]
#[schema(as = MessageOrder)]
#[expect(dead_code, reason = "it describes message::content::MessageRequest in the document")]
struct MessageOrderSchema {
    to: MessageRecipientsSchema,
    #[schema(inline)]
    kind: MessageKindSchema,
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
#[expect(dead_code, reason = "it describes message::content::RequestedRecipients in the document")]
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

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes message::MessageKind in the document")]
enum MessageKindSchema {
    Text,
    Markdown,
    Textcard,
    News,
    TemplateCard,
    Image,
    File,
}

/// It is accepted: on disk, and on its way.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AcceptedMessage)]
struct AcceptedMessageSchema {
    #[schema(value_type = String)]
    id: MessageId,
    #[schema(inline, value_type = AcceptedStatusSchema)]
    status: &'static str,
    /// What was cut, `content.title`; missing if nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    truncated: Vec<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes the status of a message that was just accepted in the document")]
enum AcceptedStatusSchema {
    Accepted,
}

/// What became of a message.
#[derive(ToSchema)]
#[schema(as = Message)]
#[expect(dead_code, reason = "it describes message::views::MessageView in the document")]
struct MessageSchema {
    id: String,
    #[schema(inline)]
    status: MessageStatusSchema,
    /// By userid, at most 10 000. Those of units and tags appear a moment after the message was accepted.
    recipients: Vec<MessageRecipientSchema>,
    /// Always empty in this version: no kind asks recipients for anything.
    interactions: Vec<openapi::Object>,
    /// Why it failed, or why nothing is sent at the moment; null otherwise.
    #[schema(required)]
    reason: Option<String>,
    /// The most attempts of any one call.
    attempts: i64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// `unknown`: nobody knows of some recipient whether WeCom took it; it is not sent again.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes message::MessageStatus in the document")]
enum MessageStatusSchema {
    Accepted,
    Sending,
    Sent,
    PartlyFailed,
    Failed,
    Unknown,
    Expired,
    Recalled,
}

#[derive(ToSchema)]
#[schema(as = MessageRecipient)]
#[expect(dead_code, reason = "it describes message::views::RecipientView in the document")]
struct MessageRecipientSchema {
    /// `@all` for everybody.
    userid: String,
    #[schema(inline)]
    status: RecipientStatusSchema,
    /// Why it failed; null otherwise.
    #[schema(required)]
    reason: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes message::views::DeliveryStatus in the document")]
enum RecipientStatusSchema {
    Pending,
    Sent,
    Failed,
}

/// Returns 422 with every finding.
pub(super) fn invalid_message(client: &AuthenticatedClient, findings: &[FieldError]) -> Response {
    Problem::new(Code::MessageInvalid, &client.request_id)
        .with_detail(join_field_errors(findings))
        .into_response()
}

/// Returns 409 with the reason.
pub(super) fn messages_disabled(client: &AuthenticatedClient, reason: &str) -> Response {
    Problem::new(Code::MessageDisabled, &client.request_id).with_detail(reason).into_response()
}

fn accept_problem(client: &AuthenticatedClient, refused: &AcceptError) -> Response {
    match refused {
        AcceptError::Unavailable(reason) => messages_disabled(client, reason),
        AcceptError::BadKey => client.bad_request(refused.to_string()),
        AcceptError::KeyReused => client.problem(Code::MessageKeyReused),
        AcceptError::Invalid(findings) => invalid_message(client, findings),
        AcceptError::Store(error) => client.unavailable(ACCEPT_FAILURE, error),
    }
}

/// Returns the only `Idempotency-Key`. An empty one counts as none.
fn idempotency_key<'h>(
    headers: &'h HeaderMap,
    client: &AuthenticatedClient,
) -> Result<Option<&'h str>, Response> {
    let mut values = headers.get_all(IDEMPOTENCY_KEY_HEADER).iter();
    let (value, None) = (values.next(), values.next()) else {
        return Err(client.bad_request("there are two Idempotency-Key headers".to_owned()));
    };
    let Some(value) = value else { return Ok(None) };
    let key = value.to_str().map_err(|_| accept_problem(client, &AcceptError::BadKey))?;
    Ok(Some(key).filter(|key| !key.is_empty()))
}

/// Sends a message. It is on disk when this answers; `GET` shows what became of it. With an `Idempotency-Key` the same
/// request again is the same message.
#[utoipa::path(
    post, path = "/api/v1/messages", operation_id = "send_message", tag = "messages",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 printable ASCII characters, good for one request of this client: the same one again \
            answers the same message, another one 409.")),
    request_body = MessageOrderSchema,
    responses(
        (status = 202, description = "It is on disk.", body = AcceptedMessageSchema),
        (status = 409),
        (status = 422),
    ),
    security(("basic" = ["messages"])),
)]
pub(super) async fn send_message(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    text: Bytes,
) -> Result<Response, Response> {
    client.require_scope(Scope::Messages)?;
    QueryParams::parse(raw.as_deref(), &[], &client)?;
    // While messages are unavailable nothing is accepted, whatever else is wrong with the request.
    if let Some(reason) = api.0.messages.unavailable() {
        return Err(messages_disabled(&client, reason));
    }
    let key = idempotency_key(&headers, &client)?;
    let request: Map<String, Value> = query::parse_body(&text, &client)?;
    let order = MessageRequest::parse(request).map_err(|findings| invalid_message(&client, &findings))?;
    if order.to.all {
        client.require_scope(Scope::MessagesAll)?;
    }
    let chart = std::sync::Arc::clone(&api.0.sessions.replica().chart());
    let accepted = api.0.messages.accept(&chart, Sender::Client(client.id.clone()), key, order).await;
    let AcceptedMessage { id, truncated, .. } = accepted.map_err(|error| accept_problem(&client, &error))?;
    let answer = AcceptedMessageSchema { id, status: "accepted", truncated };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// Returns the message with this id, if this client sent it.
async fn find_own_message(
    api: &ApiState,
    client: &AuthenticatedClient,
    id: String,
) -> Result<MessageView, Response> {
    let id = MessageId::new(query::check_path_id(id, client)?);
    let found = api.0.messages.find(&id).await.map_err(|error| client.unavailable(READ_FAILURE, &error))?;
    found.filter(|shown| shown.internals.client == client.id).ok_or_else(|| client.not_found())
}

/// What became of a message that this client sent. It is forgotten 30 days after its end.
#[utoipa::path(
    get, path = "/api/v1/messages/{id}", operation_id = "get_message", tag = "messages",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, body = MessageSchema), (status = 404)),
    security(("basic" = ["messages"])),
)]
pub(super) async fn get_message(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
    Path(id): Path<String>,
) -> Result<Response, Response> {
    client.require_scope(Scope::Messages)?;
    QueryParams::parse(raw.as_deref(), &[], &client)?;
    Ok(Json(find_own_message(&api, &client, id).await?).into_response())
}

/// Takes a message back: what waits is not sent, and what WeCom took within the last 24 hours it takes back. `GET` shows
/// what became of it.
#[utoipa::path(
    post, path = "/api/v1/messages/{id}/recall", operation_id = "recall_message", tag = "messages",
    params(("id" = String, Path, description = "Its id.")),
    request_body(content = EmptyBody, description = "`{}`"),
    responses((status = 202, description = "It is being recalled.", body = MessageSchema), (status = 404), (status = 409)),
    security(("basic" = ["messages"])),
)]
pub(super) async fn recall_message(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
    Path(id): Path<String>,
    text: Bytes,
) -> Result<Response, Response> {
    client.require_scope(Scope::Messages)?;
    QueryParams::parse(raw.as_deref(), &[], &client)?;
    let EmptyBody {} = query::parse_body(&text, &client)?;
    let message = find_own_message(&api, &client, id).await?.id;
    let by = Requester {
        actor: Actor::Client(client.id.clone()),
        address: client.address,
        request_id: client.request_id.as_str().to_owned(),
    };
    let recalled = api.0.messages.recall(std::slice::from_ref(&message), by).await;
    recalled.map_err(|error| recall_problem(&client, &error))?;
    Ok((StatusCode::ACCEPTED, Json(find_own_message(&api, &client, message.to_string()).await?))
        .into_response())
}

/// A body in which there is nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Nothing)]
struct EmptyBody {}

fn recall_problem(client: &AuthenticatedClient, refused: &commands::CommandError) -> Response {
    let code = match refused {
        commands::CommandError::NotFound(_) => return client.not_found(),
        // The other message may belong to another client, which must not learn its id.
        commands::CommandError::Shared(..) => return client.problem(Code::MessageRecallShared),
        commands::CommandError::TooLate(_) => Code::MessageRecallTooLate,
        commands::CommandError::NothingToDo(..) => Code::MessageNotSent,
        commands::CommandError::Store(error) => {
            return client.unavailable("A message could not be recalled", error);
        }
    };
    Problem::new(code, &client.request_id).with_detail(refused.to_string()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageKind;

    #[test]
    fn the_document_names_every_kind_of_message_and_no_other() {
        let schema = <MessageKindSchema as utoipa::PartialSchema>::schema();
        let documented = serde_json::to_value(schema).unwrap();
        assert_eq!(documented["enum"], serde_json::json!(MessageKind::ALL));
    }
}

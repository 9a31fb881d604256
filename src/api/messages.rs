//! `/api/v1/messages`: sends messages, reports their status and recalls them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Map, Value};

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::dto::messages::{AcceptedMessageDto, EmptyBodyDto, MessageDto, MessageOrderSchema};
use super::query::{self, QueryParams};
use crate::audit::Actor;
use crate::base::id::MessageId;
use crate::config::Scope;
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::message::accept::{AcceptError, Sender, join_field_errors};
use crate::message::commands::{self, Requester};
use crate::message::content::{FieldError, MessageRequest};
use crate::message::views::MessageView;

const ACCEPT_FAILURE: &str = "A message could not be accepted";
const READ_FAILURE: &str = "A message could not be read";

/// The header that makes a repeated request the same message.
const IDEMPOTENCY_KEY_HEADER: &str = "idempotency-key";

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
        (status = 202, description = "It is on disk.", body = AcceptedMessageDto),
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
    let accepted = accepted.map_err(|error| accept_problem(&client, &error))?;
    Ok((StatusCode::ACCEPTED, Json(AcceptedMessageDto::from(accepted))).into_response())
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
    responses((status = 200, body = MessageDto), (status = 404)),
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
    Ok(Json(MessageDto::from(find_own_message(&api, &client, id).await?)).into_response())
}

/// Takes a message back: what waits is not sent, and what WeCom took within the last 24 hours it takes back. `GET` shows
/// what became of it.
#[utoipa::path(
    post, path = "/api/v1/messages/{id}/recall", operation_id = "recall_message", tag = "messages",
    params(("id" = String, Path, description = "Its id.")),
    request_body(content = EmptyBodyDto, description = "`{}`"),
    responses((status = 202, description = "It is being recalled.", body = MessageDto), (status = 404), (status = 409)),
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
    let EmptyBodyDto {} = query::parse_body(&text, &client)?;
    let message = find_own_message(&api, &client, id).await?.id;
    let by = Requester {
        actor: Actor::Client(client.id.clone()),
        address: client.address,
        request_id: client.request_id.as_str().to_owned(),
    };
    let recalled = api.0.messages.recall(std::slice::from_ref(&message), by).await;
    recalled.map_err(|error| recall_problem(&client, &error))?;
    let recalled = find_own_message(&api, &client, message.to_string()).await?;
    Ok((StatusCode::ACCEPTED, Json(MessageDto::from(recalled))).into_response())
}

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

//! `/api/v1/messages`: sending, and what became of it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::asked::{self, Asked};
use super::auth::Client;
use super::{Api, openapi};
use crate::base::id::MessageId;
use crate::config::Scope;
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::message::accept::{Accepted, Refused, Sender, listed};
use crate::message::content::{Finding, Order};
use crate::message::show::Shown;
use crate::message::steer::{self, By};

const UNWRITABLE: &str = "A message could not be accepted";
const UNREADABLE: &str = "A message could not be read";

/// Which header makes a repeated request the same message.
const KEY: &str = "idempotency-key";

/// A message to be sent. At least one recipient.
#[derive(ToSchema)]
#[schema(as = MessageOrder)]
#[expect(dead_code, reason = "it describes message::content::Order in the document")]
struct OrderShape {
    to: ToShape,
    #[schema(inline)]
    kind: KindWord,
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
#[expect(dead_code, reason = "it describes message::content::To in the document")]
struct ToShape {
    /// Userids; case does not matter.
    #[schema(required = false)]
    users: Vec<String>,
    /// Units with everybody in and below them: our id, or `wecom:ID`.
    #[schema(required = false)]
    units: Vec<String>,
    /// Tags: our id, or `wecom:ID`.
    #[schema(required = false)]
    tags: Vec<String>,
    /// Everybody who may see the application. Needs the scope `messages:all`, and nothing else beside it.
    #[schema(required = false, default = false)]
    all: bool,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes message::Kind in the document")]
enum KindWord {
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
struct AcceptedShape {
    #[schema(value_type = String)]
    id: MessageId,
    #[schema(inline, value_type = AcceptedWord)]
    status: &'static str,
    /// What was cut, `content.title`; missing if nothing was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schema(required = false)]
    truncated: Vec<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes the status of a message that was just accepted in the document")]
enum AcceptedWord {
    Accepted,
}

/// What became of a message.
#[derive(ToSchema)]
#[schema(as = Message)]
#[expect(dead_code, reason = "it describes message::show::Shown in the document")]
struct MessageShape {
    id: String,
    #[schema(inline)]
    status: StatusWord,
    /// By userid, at most 10 000. Those of units and tags appear a moment after the message was accepted.
    recipients: Vec<RecipientShape>,
    /// Always empty in this version: no kind asks recipients for anything.
    interactions: Vec<openapi::Object>,
    /// Why it failed, or why nothing is sent at the moment; null otherwise.
    #[schema(required)]
    reason: Option<String>,
    /// How often WeCom was asked.
    attempts: i64,
    #[schema(format = DateTime)]
    created_at: String,
    #[schema(format = DateTime)]
    updated_at: String,
}

/// `unknown`: nobody knows of some recipient whether WeCom took it; it is not sent again.
#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes message::Status in the document")]
enum StatusWord {
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
#[expect(dead_code, reason = "it describes message::show::Recipient in the document")]
struct RecipientShape {
    /// `@all` for everybody.
    userid: String,
    #[schema(inline)]
    status: FateWord,
    /// Why it failed; null otherwise.
    #[schema(required)]
    reason: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "snake_case")]
#[expect(dead_code, reason = "it describes message::show::Fate in the document")]
enum FateWord {
    Pending,
    Sent,
    Failed,
}

/// 422 with every finding.
pub(super) fn invalid(client: &Client, findings: &[Finding]) -> Response {
    Problem::new(Code::MessageInvalid, &client.request_id).with_detail(listed(findings)).into_response()
}

/// 409 with the reason.
pub(super) fn disabled(client: &Client, reason: &str) -> Response {
    Problem::new(Code::MessageDisabled, &client.request_id).with_detail(reason).into_response()
}

fn refused(client: &Client, refused: &Refused) -> Response {
    match refused {
        Refused::Unavailable(reason) => disabled(client, reason),
        Refused::BadKey => client.bad(refused.to_string()),
        Refused::KeyReused => client.problem(Code::MessageKeyReused),
        Refused::Invalid(findings) => invalid(client, findings),
        Refused::Store(error) => client.unavailable(UNWRITABLE, error),
    }
}

/// The one `Idempotency-Key`; an empty one is none.
fn key<'h>(headers: &'h HeaderMap, client: &Client) -> Result<Option<&'h str>, Response> {
    let mut values = headers.get_all(KEY).iter();
    let (value, None) = (values.next(), values.next()) else {
        return Err(client.bad("there are two Idempotency-Key headers".to_owned()));
    };
    let Some(value) = value else { return Ok(None) };
    let key = value.to_str().map_err(|_| refused(client, &Refused::BadKey))?;
    Ok(Some(key).filter(|key| !key.is_empty()))
}

/// Sends a message. It is on disk when this answers; what becomes of it, `GET` tells. With an `Idempotency-Key` the same
/// request again is the same message.
#[utoipa::path(
    post, path = "/api/v1/messages", operation_id = "send_message", tag = "messages",
    params(("Idempotency-Key" = Option<String>, Header,
        description = "1 to 255 printable ASCII characters, good for one request of this client: the same one again \
            answers the same message, another one 409.")),
    request_body = OrderShape,
    responses(
        (status = 202, description = "It is on disk.", body = AcceptedShape),
        (status = 409),
        (status = 422),
    ),
    security(("basic" = ["messages"])),
)]
pub(super) async fn send(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
    headers: HeaderMap,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::Messages)?;
    Asked::read(raw.as_deref(), &[], &client)?;
    // Whatever is wrong with it: nothing is accepted.
    if let Some(reason) = api.0.messages.unavailable() {
        return Err(disabled(&client, reason));
    }
    let key = key(&headers, &client)?;
    let request: Map<String, Value> = asked::body(&text, &client)?;
    let order = Order::read(request).map_err(|findings| invalid(&client, &findings))?;
    if order.to.all {
        client.needs(Scope::MessagesAll)?;
    }
    let chart = std::sync::Arc::clone(&api.0.sessions.chart());
    let accepted = api.0.messages.accept(&chart, Sender::Client(client.id.clone()), key, order).await;
    let Accepted { id, truncated, .. } = accepted.map_err(|error| refused(&client, &error))?;
    let answer = AcceptedShape { id, status: "accepted", truncated };
    Ok((StatusCode::ACCEPTED, Json(answer)).into_response())
}

/// The message of that id, if this client sent it.
async fn own(api: &Api, client: &Client, id: String) -> Result<Shown, Response> {
    let id = MessageId::new(asked::id(id, client)?);
    let found = api.0.messages.find(&id).await.map_err(|error| client.unavailable(UNREADABLE, &error))?;
    found.filter(|shown| shown.more.client == client.id).ok_or_else(|| client.not_found())
}

/// What became of a message that this client sent. It is forgotten 30 days after its end.
#[utoipa::path(
    get, path = "/api/v1/messages/{id}", operation_id = "get_message", tag = "messages",
    params(("id" = String, Path, description = "Its id.")),
    responses((status = 200, body = MessageShape), (status = 404)),
    security(("basic" = ["messages"])),
)]
pub(super) async fn one(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
    Path(id): Path<String>,
) -> Result<Response, Response> {
    client.needs(Scope::Messages)?;
    Asked::read(raw.as_deref(), &[], &client)?;
    Ok(Json(own(&api, &client, id).await?).into_response())
}

/// Takes a message back: what waits is not sent, and what WeCom took within the last 24 hours it takes back. Whether it did,
/// `GET` tells.
#[utoipa::path(
    post, path = "/api/v1/messages/{id}/recall", operation_id = "recall_message", tag = "messages",
    params(("id" = String, Path, description = "Its id.")),
    request_body(content = NothingMore, description = "`{}`"),
    responses((status = 202, description = "It is being recalled.", body = MessageShape), (status = 404), (status = 409)),
    security(("basic" = ["messages"])),
)]
pub(super) async fn recall(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
    Path(id): Path<String>,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::Messages)?;
    Asked::read(raw.as_deref(), &[], &client)?;
    let NothingMore {} = asked::body(&text, &client)?;
    let message = own(&api, &client, id).await?.id;
    let by = By {
        who: format!("API client {}", client.id),
        address: client.address,
        request_id: client.request_id.as_str().to_owned(),
    };
    let recalled = api.0.messages.recall(std::slice::from_ref(&message), by).await;
    recalled.map_err(|error| unrecalled(&client, &error))?;
    Ok((StatusCode::ACCEPTED, Json(own(&api, &client, message.to_string()).await?)).into_response())
}

/// A body in which there is nothing to say.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Nothing)]
struct NothingMore {}

fn unrecalled(client: &Client, refused: &steer::Refused) -> Response {
    let code = match refused {
        steer::Refused::NotFound(_) => return client.not_found(),
        // The other message may be another client's: its id is not this one's business.
        steer::Refused::Shared(..) => return client.problem(Code::MessageRecallShared),
        steer::Refused::TooLate(_) => Code::MessageRecallTooLate,
        steer::Refused::NothingToDo(..) => Code::MessageNotSent,
        steer::Refused::Store(error) => return client.unavailable("A message could not be recalled", error),
    };
    Problem::new(code, &client.request_id).with_detail(refused.to_string()).into_response()
}

//! `POST /api/v1/media`: passes a file through to WeCom. Nothing of it is stored.

use std::time::Duration;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use tokio::sync::Semaphore;

use super::auth::AuthenticatedClient;
use super::dto::media::{MediaParams, MediaSchema, UploadedMediaDto};
use super::dto::words::{ApiWord as _, MediaKindWord};
use super::query::QueryParams;
use super::{ApiState, messages};
use crate::base::clock::Timestamp;
use crate::config::Scope;
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::message::accept::upload;
use crate::message::content::FieldError;
use crate::wecom::errcode::explain_message_errcode;
use crate::wecom::{Deadline, ErrorFamily, MEDIA_LIFETIME, MediaKind, WecomError};

/// The number of files that may be in memory at the same time.
static UPLOAD_SLOTS: Semaphore = Semaphore::const_new(4);

/// How long an upload waits for a free slot.
const SLOT_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the body of an upload may take to arrive.
const BODY_TIMEOUT: Duration = Duration::from_secs(60);

/// How long WeCom may take to accept a file.
const UPLOAD_TIMEOUT: Duration = Duration::from_secs(65);

/// Uploads a file, to be sent with messages of kind `image` or `file`.
#[utoipa::path(
    post, path = "/api/v1/media", operation_id = "upload_media", tag = "messages",
    params(MediaParams),
    request_body(content = MediaSchema, content_type = "multipart/form-data"),
    responses((status = 200, description = "WeCom has it.", body = UploadedMediaDto), (status = 409), (status = 422)),
    security(("basic" = ["messages"])),
)]
pub(super) async fn upload_media(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
    request: Request,
) -> Result<Response, Response> {
    client.require_scope(Scope::Messages)?;
    let params = QueryParams::parse(raw.as_deref(), &["type"], &client)?;
    let kind = MediaKindWord::parse(params.get("type").unwrap_or_default())
        .map_err(|words| client.bad_request(format!("type is {words}")))?;
    if let Some(reason) = api.0.messages.unavailable() {
        return Err(messages::messages_disabled(&client, reason));
    }
    let Ok(Ok(_place)) = tokio::time::timeout(SLOT_TIMEOUT, UPLOAD_SLOTS.acquire()).await else {
        return Err(client.problem(Code::WecomBusy));
    };
    let arriving = tokio::time::timeout(BODY_TIMEOUT, read_upload(request, kind, &client)).await;
    let late =
        |_| client.bad_request(format!("the body did not arrive within {} seconds", BODY_TIMEOUT.as_secs()));
    let (name, bytes) = arriving.map_err(late)??;
    let findings = upload::validate_media(kind, &name, &bytes);
    if !findings.is_empty() {
        return Err(messages::invalid_message(&client, &findings));
    }
    let made = api.0.messages.upload(kind, &name, bytes, Deadline::after(UPLOAD_TIMEOUT)).await;
    let made = made.map_err(|error| upload_problem(&client, &error, api.0.clock.now()))?;
    let expires_at = made.created_at.plus(MEDIA_LIFETIME);
    Ok(Json(UploadedMediaDto { media_id: made.media_id, expires_at }).into_response())
}

/// Reads name and bytes of the only part, `media`.
async fn read_upload(
    request: Request,
    kind: MediaKind,
    client: &AuthenticatedClient,
) -> Result<(String, Bytes), Response> {
    let parts = Multipart::from_request(request, &()).await;
    let mut parts = parts.map_err(|_| client.bad_request("the body is no multipart/form-data".to_owned()))?;
    let mut found = None;
    while let Some(part) = parts.next_field().await.map_err(|error| body_problem(client, &error))? {
        if part.name() != Some("media") || found.is_some() {
            return Err(client.bad_request("the body has other parts than one of the name media".to_owned()));
        }
        let name = part.file_name().unwrap_or_default().to_owned();
        found = Some((name, read_part(part, kind, client).await?));
    }
    found.ok_or_else(|| client.bad_request("the body has no part of the name media".to_owned()))
}

/// Reads the bytes of a part, up to the size that a file of this kind may have.
async fn read_part(
    mut part: Field<'_>,
    kind: MediaKind,
    client: &AuthenticatedClient,
) -> Result<Bytes, Response> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| body_problem(client, &error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > upload::max_media_bytes(kind) {
            let problem = format!("more than {} bytes", upload::max_media_bytes(kind));
            return Err(messages::invalid_message(
                client,
                &[FieldError { field: "media".to_owned(), problem }],
            ));
        }
    }
    Ok(bytes.freeze())
}

fn body_problem(client: &AuthenticatedClient, error: &MultipartError) -> Response {
    match error.status().as_u16() {
        413 => client.problem(Code::TooLarge),
        _ => client.bad_request("the body cannot be read as multipart/form-data".to_owned()),
    }
}

/// Returns the response where WeCom refused the file.
fn upload_problem(client: &AuthenticatedClient, error: &WecomError, now: Timestamp) -> Response {
    let code = match (error.code(), error.family()) {
        (Some(50001 | 301_002 | 40056 | 41011), _) => Code::WrongAgent,
        (Some(60020), _) => Code::TrustedIp,
        (Some(40013 | 41002 | 2_000_002 | 301_007), _) => Code::CorpId,
        (Some(50003), _) => Code::AppDisabled,
        (Some(40001 | 40091 | 48002 | 41004 | 45031), _) | (_, ErrorFamily::Token) => Code::Secret,
        (_, ErrorFamily::Busy) => Code::WecomBusy,
        (Some(code), ErrorFamily::Caller) => {
            let said = explain_message_errcode(code).map_or("WeCom refused it.", |meaning| meaning.en);
            let problem = format!("{said} ({code})");
            return messages::invalid_message(client, &[FieldError { field: "media".to_owned(), problem }]);
        }
        _ if matches!(error, WecomError::NoSecret(_)) => Code::Secret,
        _ => Code::WecomUnreachable,
    };
    tracing::warn!(%error, "A file could not be uploaded");
    let problem = Problem::new(code, &client.request_id);
    match error.retry_at() {
        Some(at) => problem.with_retry_after(at.since(now)).into_response(),
        None => problem.into_response(),
    }
}

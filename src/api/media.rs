//! `POST /api/v1/media`: a file on its way through to WeCom. Nothing of it is kept.

use std::time::Duration;

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest as _, Multipart, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use bytes::{Bytes, BytesMut};
use serde::Serialize;
use tokio::sync::Semaphore;
use utoipa::ToSchema;

use super::asked::Asked;
use super::auth::Client;
use super::{Api, messages};
use crate::base::clock::Timestamp;
use crate::config::Scope;
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::message::accept::upload;
use crate::message::content::Finding;
use crate::wecom::errcode::meaning_for_message;
use crate::wecom::{Deadline, Error, Family, MEDIA_LIFETIME, MediaKind};

/// How many files are in memory at the same time.
static AT_ONCE: Semaphore = Semaphore::const_new(4);

/// How long one waits for a place.
const PLACE: Duration = Duration::from_secs(10);

/// How long one may take to arrive.
const ARRIVAL: Duration = Duration::from_secs(60);

/// How long WeCom may take with one.
const LIMIT: Duration = Duration::from_secs(65);

/// A file.
#[derive(ToSchema)]
#[schema(as = Media)]
#[expect(dead_code, reason = "it describes the multipart body in the document")]
struct MediaShape {
    /// More than 5 bytes, at most 20 MB; of an image at most 10 MB, JPG or PNG. Recipients see its file name.
    #[schema(content_media_type = "application/octet-stream")]
    media: String,
}

/// A file that WeCom has.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = UploadedMedia)]
struct Uploaded {
    /// What messages of that kind name it by.
    media_id: String,
    /// Until when WeCom keeps it: three days.
    #[schema(value_type = String, format = DateTime)]
    expires_at: Timestamp,
}

/// Uploads a file, to be sent with messages of kind `image` or `file`.
#[utoipa::path(
    post, path = "/api/v1/media", operation_id = "upload_media", tag = "messages",
    params(("type" = String, Query, description = "`image` or `file`.")),
    request_body(content = MediaShape, content_type = "multipart/form-data"),
    responses((status = 200, description = "WeCom has it.", body = Uploaded), (status = 409), (status = 422)),
    security(("basic" = ["messages"])),
)]
pub(super) async fn upload(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
    request: Request,
) -> Result<Response, Response> {
    client.needs(Scope::Messages)?;
    let asked = Asked::read(raw.as_deref(), &["type"], &client)?;
    let kind = match asked.get("type") {
        Some("image") => MediaKind::Image,
        Some("file") => MediaKind::File,
        _ => return Err(client.bad("type is image or file".to_owned())),
    };
    if let Some(reason) = api.0.messages.unavailable() {
        return Err(messages::disabled(&client, reason));
    }
    let Ok(Ok(_place)) = tokio::time::timeout(PLACE, AT_ONCE.acquire()).await else {
        return Err(client.problem(Code::WecomBusy));
    };
    let arriving = tokio::time::timeout(ARRIVAL, read(request, kind, &client)).await;
    let late = |_| client.bad(format!("the body did not arrive within {} seconds", ARRIVAL.as_secs()));
    let (name, bytes) = arriving.map_err(late)??;
    let findings = upload::judge(kind, &name, &bytes);
    if !findings.is_empty() {
        return Err(messages::invalid(&client, &findings));
    }
    let made = api.0.messages.upload(kind, &name, bytes, Deadline::after(LIMIT)).await;
    let made = made.map_err(|error| refused(&client, &error, api.0.clock.now()))?;
    let expires_at = made.created_at.plus(MEDIA_LIFETIME);
    Ok(Json(Uploaded { media_id: made.media_id, expires_at }).into_response())
}

/// Name and bytes of the one part `media`.
async fn read(request: Request, kind: MediaKind, client: &Client) -> Result<(String, Bytes), Response> {
    let parts = Multipart::from_request(request, &()).await;
    let mut parts = parts.map_err(|_| client.bad("the body is no multipart/form-data".to_owned()))?;
    let mut found = None;
    while let Some(part) = parts.next_field().await.map_err(|error| unreadable(client, &error))? {
        if part.name() != Some("media") || found.is_some() {
            return Err(client.bad("the body has other parts than one of the name media".to_owned()));
        }
        let name = part.file_name().unwrap_or_default().to_owned();
        found = Some((name, whole(part, kind, client).await?));
    }
    found.ok_or_else(|| client.bad("the body has no part of the name media".to_owned()))
}

/// A part's bytes, and no more of them than a file of that kind may have.
async fn whole(mut part: Field<'_>, kind: MediaKind, client: &Client) -> Result<Bytes, Response> {
    let mut bytes = BytesMut::new();
    while let Some(chunk) = part.chunk().await.map_err(|error| unreadable(client, &error))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > upload::largest(kind) {
            let problem = format!("more than {} bytes", upload::largest(kind));
            return Err(messages::invalid(client, &[Finding { field: "media".to_owned(), problem }]));
        }
    }
    Ok(bytes.freeze())
}

fn unreadable(client: &Client, error: &MultipartError) -> Response {
    match error.status().as_u16() {
        413 => client.problem(Code::TooLarge),
        _ => client.bad("the body cannot be read as multipart/form-data".to_owned()),
    }
}

/// The answer where WeCom did not take it.
fn refused(client: &Client, error: &Error, now: Timestamp) -> Response {
    let code = match (error.code(), error.family()) {
        (Some(50001 | 301_002 | 40056 | 41011), _) => Code::WrongAgent,
        (Some(60020), _) => Code::TrustedIp,
        (Some(40013 | 41002 | 2_000_002 | 301_007), _) => Code::CorpId,
        (Some(50003), _) => Code::AppDisabled,
        (Some(40001 | 40091 | 48002 | 41004 | 45031), _) | (_, Family::Token) => Code::Secret,
        (_, Family::Busy) => Code::WecomBusy,
        (Some(code), Family::Caller) => {
            let said = meaning_for_message(code).map_or("WeCom refused it.", |meaning| meaning.en);
            let problem = format!("{said} ({code})");
            return messages::invalid(client, &[Finding { field: "media".to_owned(), problem }]);
        }
        _ if matches!(error, Error::NoSecret(_)) => Code::Secret,
        _ => Code::WecomUnreachable,
    };
    tracing::warn!(%error, "A file could not be uploaded");
    let problem = Problem::new(code, &client.request_id);
    match error.retry_at() {
        Some(at) => problem.with_retry_after(at.since(now)).into_response(),
        None => problem.into_response(),
    }
}

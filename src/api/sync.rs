//! `/api/v1/directory/sync`: requests runs and reports how they went.
//!
//! A call only queues a run. Whichever replica claims it executes it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::dto::sync::{QueuedRunDto, RunDto, RunOrderDto};
use super::query::{self, ItemPage, PagingParams, QueryParams};
use crate::base::id::RunId;
use crate::config::Scope;
use crate::sync::queue::SyncRequest;
use crate::sync::state::SyncCause;

const READ_FAILURE: &str = "Runs could not be read";

/// Asks for a run. Where one waits already, that one is answered, and does what both asked for.
#[utoipa::path(
    post, path = "/api/v1/directory/sync", operation_id = "request_sync", tag = "directory",
    request_body(content = RunOrderDto, description = "What is left out is as the defaults say."),
    responses((status = 202, description = "It is queued.", body = QueuedRunDto)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn request_run(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
    bytes: Bytes,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryWrite)?;
    QueryParams::parse(raw.as_deref(), &[], &client)?;
    let RunOrderDto { kind, dry_run, force } = query::parse_body(&bytes, &client)?;
    let cause = SyncCause::Api(client.id.clone());
    let run_id = api.0.sync.request(SyncRequest { kind: kind.into(), cause, dry_run, force }).await;
    let run_id = run_id.map_err(|e| client.unavailable("A run could not be queued", &e))?;
    Ok((StatusCode::ACCEPTED, Json(QueuedRunDto { run_id })).into_response())
}

/// The runs that are kept, the newest first.
#[utoipa::path(
    get, path = "/api/v1/directory/sync", operation_id = "list_syncs", tag = "directory",
    params(PagingParams),
    responses((status = 200, body = ItemPage<RunDto>), (status = 304)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list_runs(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    let params = QueryParams::parse(raw.as_deref(), &["limit", "cursor"], &client)?;
    let before = params.get("cursor").map(RunId::new);
    let runs = api.0.sync.queue().list(params.row_limit(), before.as_ref()).await;
    let runs = runs.map_err(|e| client.unavailable(READ_FAILURE, &e))?;
    Ok(Json(ItemPage::<RunDto>::from_rows(&params, runs, |run| run.id.to_string())).into_response())
}

/// One run.
#[utoipa::path(
    get, path = "/api/v1/directory/sync/{run_id}", operation_id = "get_sync", tag = "directory",
    params(("run_id" = String, Path, description = "As the call that asked for it answered.")),
    responses((status = 200, body = RunDto), (status = 304), (status = 404)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn get_run(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(run_id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    QueryParams::parse(raw.as_deref(), &[], &client)?;
    let found = api.0.sync.find(&RunId::new(query::check_path_id(run_id, &client)?)).await;
    let run = found.map_err(|e| client.unavailable(READ_FAILURE, &e))?.ok_or_else(|| client.not_found())?;
    Ok(Json(RunDto::from(run)).into_response())
}

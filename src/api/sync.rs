//! `/api/v1/directory/sync`: requests runs and reports how they went.
//!
//! A call only queues a run. Whichever replica claims it executes it.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::query::{self, ItemPage, PagingParams, QueryParams};
use crate::base::id::RunId;
use crate::config::Scope;
use crate::sync::queue::{SyncRequest, SyncRun};
use crate::sync::state::{SyncCause, SyncKind};

const READ_FAILURE: &str = "Runs could not be read";

/// What a run is to do.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = RunOrder)]
struct RunOrderSchema {
    kind: RunKindSchema,
    /// Only report what the run would change.
    dry_run: bool,
    /// Remove however much is missing in WeCom (`directory.max_removals`).
    force: bool,
}

/// How much a run reads: everything again, or, as `wecom.sync_cron` does, no tags where there are more than 200.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = RunKind)]
enum RunKindSchema {
    Update,
    Full,
}

impl Default for RunOrderSchema {
    fn default() -> Self {
        Self { kind: RunKindSchema::Full, dry_run: false, force: false }
    }
}

/// Which run was queued.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = QueuedRun)]
struct QueuedRunSchema {
    #[schema(value_type = String)]
    run_id: RunId,
}

/// A run.
#[derive(ToSchema)]
#[schema(as = Run)]
#[expect(dead_code, reason = "it describes a run in the document")]
struct RunSchema {
    id: String,
    #[schema(inline)]
    kind: RunKindSchema,
    #[schema(inline)]
    status: RunStatusSchema,
    /// Whether everything visible was read; a run that did not removes nothing.
    complete: bool,
    counts: RunCountsSchema,
    /// Persons that may be one, found in this run; `/conflicts` has those that are still open.
    conflicts: Vec<RunConflictSchema>,
    /// Why it was refused or failed; null otherwise.
    #[schema(required)]
    reason: Option<String>,
    #[schema(format = DateTime, required)]
    started_at: Option<String>,
    #[schema(format = DateTime, required)]
    finished_at: Option<String>,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes a run's status in the document")]
enum RunStatusSchema {
    Queued,
    Running,
    Done,
    Refused,
    Failed,
}

/// A conflict as it was found.
#[derive(ToSchema)]
#[schema(as = RunConflict)]
#[expect(dead_code, reason = "it describes sync::apply::RaisedConflict in the document")]
struct RunConflictSchema {
    id: String,
    #[schema(inline)]
    kind: super::conflicts::ConflictKindSchema,
    person_id: String,
    candidates: Vec<String>,
}

/// What a run changed, or would have.
#[derive(ToSchema)]
#[schema(as = RunCounts)]
#[expect(dead_code, reason = "it describes a run's counts in the document")]
struct RunCountsSchema {
    units: RunCountSchema,
    persons: RunCountSchema,
    memberships: RunCountSchema,
}

#[derive(ToSchema)]
#[schema(as = RunCount)]
#[expect(dead_code, reason = "it describes a run's counts in the document")]
struct RunCountSchema {
    created: u64,
    updated: u64,
    removed: u64,
}

/// Asks for a run. Where one waits already, that one is answered, and does what both asked for.
#[utoipa::path(
    post, path = "/api/v1/directory/sync", operation_id = "request_sync", tag = "directory",
    request_body(content = RunOrderSchema, description = "What is left out is as the defaults say."),
    responses((status = 202, description = "It is queued.", body = QueuedRunSchema)),
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
    let order: RunOrderSchema = query::parse_body(&bytes, &client)?;
    let kind = match order.kind {
        RunKindSchema::Update => SyncKind::Update,
        RunKindSchema::Full => SyncKind::Full,
    };
    let cause = SyncCause::Api(client.id.clone());
    let run_id =
        api.0.sync.request(SyncRequest { kind, cause, dry_run: order.dry_run, force: order.force }).await;
    let run_id = run_id.map_err(|e| client.unavailable("A run could not be queued", &e))?;
    Ok((StatusCode::ACCEPTED, Json(QueuedRunSchema { run_id })).into_response())
}

/// The runs that are kept, the newest first.
#[utoipa::path(
    get, path = "/api/v1/directory/sync", operation_id = "list_syncs", tag = "directory",
    params(PagingParams),
    responses((status = 200, body = ItemPage<RunSchema>), (status = 304)),
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
    Ok(Json(ItemPage::<SyncRun>::from_rows(&params, runs, |run| run.id.to_string())).into_response())
}

/// One run.
#[utoipa::path(
    get, path = "/api/v1/directory/sync/{run_id}", operation_id = "get_sync", tag = "directory",
    params(("run_id" = String, Path, description = "As the call that asked for it answered.")),
    responses((status = 200, body = RunSchema), (status = 304), (status = 404)),
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
    Ok(Json(run).into_response())
}

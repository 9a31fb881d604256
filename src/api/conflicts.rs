//! `/api/v1/directory/conflicts`: conflicts that only a human can decide, and the decisions.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::directory_write::{begin_change, commit_change, directory_unavailable, sign_out};
use super::dto::conflicts::{ConflictDto, ResolutionDto, ResolvedConflictDto};
use super::query::{self, ItemPage, PagingParams, QueryParams};
use crate::audit;
use crate::base::id::ConflictId;
use crate::config::Scope;
use crate::directory::conflicts::{ResolveError, store};
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::{session, sync};

/// The open conflicts, the oldest first.
#[utoipa::path(
    get, path = "/api/v1/directory/conflicts", operation_id = "list_conflicts", tag = "directory",
    params(PagingParams),
    responses((status = 200, body = ItemPage<ConflictDto>), (status = 304)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list_conflicts(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    let params = QueryParams::parse(raw.as_deref(), &["limit", "cursor"], &client)?;
    let corp = &api.0.sessions.settings().corp;
    let open = store::list_open(&api.0.db, corp, params.cursor(), params.row_limit()).await;
    let open = open.map_err(|e| client.unavailable("Conflicts could not be read", &e))?;
    let details = store::load_details(&api.0.db, corp, open).await;
    let details = details.map_err(|e| client.unavailable("Conflicts could not be read", &e))?;
    Ok(Json(ItemPage::<ConflictDto>::from_rows(&params, details, |one| one.conflict.id.to_string()))
        .into_response())
}

/// Says whether the persons of a conflict are one or two.
///
/// Whoever becomes one with somebody is signed out, and nobody is asked about the two again.
#[utoipa::path(
    post, path = "/api/v1/directory/conflicts/{id}/resolve", operation_id = "resolve_conflict", tag = "directory",
    params(("id" = String, Path, description = "As the list says it.")),
    request_body = ResolutionDto,
    responses((status = 200, body = ResolvedConflictDto), (status = 404), (status = 409)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn resolve_conflict(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(id): Path<String>,
    text: Bytes,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryWrite)?;
    let id = ConflictId::new(query::check_path_id(id, &client)?);
    let ResolutionDto { person_id: person } = query::parse_body(&text, &client)?;
    let mut change = begin_change(&api, &client).await?;
    let question = store::hold_conflict(&mut change, &id, Some(&person))
        .await
        .map_err(|e| resolve_problem(&client, &e))?;
    for person in question.persons_to_sign_out() {
        sign_out(&mut change, &client, person).await?;
    }
    let keeps_identity = session::store::has_sessions(change.tx(), &question.flagged().id)
        .await
        .map_err(|e| directory_unavailable(&client, &e))?;
    let closed =
        store::close_conflict(&mut change, &question, keeps_identity, sync::queue::store::is_writing)
            .await
            .map_err(|e| resolve_problem(&client, &e))?;
    let deed = question.audit_detail();
    commit_change(&api, &client, change, audit::AuditEvent::Conflict, Some(question.flagged()), &deed)
        .await?;
    let (state, person_id) = (closed.into(), question.resulting_person().clone());
    Ok(Json(ResolvedConflictDto { id, state, person_id }).into_response())
}

fn resolve_problem(client: &AuthenticatedClient, error: &ResolveError) -> Response {
    let code = match error {
        ResolveError::NotFound => Code::NotFound,
        ResolveError::AlreadyClosed => Code::ConflictClosed,
        ResolveError::NotInvolved(_) => Code::BadRequest,
        ResolveError::CandidateIsMember => Code::OwnedByWecom,
        ResolveError::Busy => Code::DirectoryBusy,
        ResolveError::Store(error) => return directory_unavailable(client, error),
    };
    Problem::new(code, &client.request_id).with_detail(error.to_string()).into_response()
}

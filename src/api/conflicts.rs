//! `/api/v1/directory/conflicts`: conflicts that only a human can decide, and the decisions.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::directory_write::{begin_change, commit_change, directory_unavailable, sign_out};
use super::query::{self, ItemPage, PagingParams, QueryParams};
use super::schema::{EntrySourceSchema, PersonStatusSchema};
use crate::audit;
use crate::base::id::{ConflictId, PersonId};
use crate::config::Scope;
use crate::directory::conflicts::{ConflictDetails, ResolveError, store};
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::{session, sync};

/// Whether two persons are one, which only a human can decide.
#[derive(ToSchema)]
#[schema(as = Conflict)]
#[expect(dead_code, reason = "it describes directory::conflicts::ConflictDetails in the document")]
struct ConflictSchema {
    id: String,
    #[schema(inline)]
    kind: ConflictKindSchema,
    /// Our id of whoever was let in as itself.
    person_id: String,
    /// Our ids of those who it could be.
    candidates: Vec<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// Who was let in as itself.
    #[schema(required)]
    person: Option<ConflictPersonSchema>,
    /// Who it could be; those who are gone are missing.
    people: Vec<ConflictPersonSchema>,
}

/// `ambiguous`: a key fits several persons, or one of another name; `renamed`: one left and one like it joined in the same run; `reused`: a userid
/// came back after its holder had left.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes directory::conflicts::ConflictKind in the document")]
pub(super) enum ConflictKindSchema {
    Ambiguous,
    Renamed,
    Reused,
}

/// Somebody whom a conflict is about.
#[derive(ToSchema)]
#[schema(as = NamedPerson)]
#[expect(dead_code, reason = "it describes directory::conflicts::ConflictPerson in the document")]
struct ConflictPersonSchema {
    id: String,
    userid: String,
    name: String,
    status: PersonStatusSchema,
    source: EntrySourceSchema,
}

/// Who the person of a conflict is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resolution)]
pub(super) struct ConflictAnswer {
    /// Our id of a candidate: the two are one person, with the candidate's id. Our id of the person itself: they are two.
    #[schema(value_type = String)]
    person_id: PersonId,
}

/// How a conflict was closed.
#[derive(Serialize, ToSchema)]
#[schema(as = Resolved)]
struct ResolvedConflictSchema {
    #[schema(value_type = String)]
    id: ConflictId,
    #[schema(inline, value_type = ConflictStateSchema)]
    state: &'static str,
    /// Our id of the person that is left, or of the one that was asked about.
    #[schema(value_type = String)]
    person_id: PersonId,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes directory::conflicts::ConflictState in the document")]
enum ConflictStateSchema {
    Merged,
    Separate,
}

/// The open conflicts, the oldest first.
#[utoipa::path(
    get, path = "/api/v1/directory/conflicts", operation_id = "list_conflicts", tag = "directory",
    params(PagingParams),
    responses((status = 200, body = ItemPage<ConflictSchema>), (status = 304)),
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
    Ok(Json(ItemPage::<ConflictDetails>::from_rows(&params, details, |one| one.conflict.id.to_string()))
        .into_response())
}

/// Says whether the persons of a conflict are one or two.
///
/// Whoever becomes one with somebody is signed out, and nobody is asked about the two again.
#[utoipa::path(
    post, path = "/api/v1/directory/conflicts/{id}/resolve", operation_id = "resolve_conflict", tag = "directory",
    params(("id" = String, Path, description = "As the list says it.")),
    request_body = ConflictAnswer,
    responses((status = 200, body = ResolvedConflictSchema), (status = 404), (status = 409)),
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
    let ConflictAnswer { person_id: person } = query::parse_body(&text, &client)?;
    let mut change = begin_change(&api, &client).await?;
    let question = store::hold_conflict(&mut change, &id, Some(&person))
        .await
        .map_err(|e| resolve_problem(&client, &e))?;
    let corp = change.corp().clone();
    let busy = question.merges()
        && sync::queue::store::is_writing(change.tx(), &corp, api.0.clock.now())
            .await
            .map_err(|e| directory_unavailable(&client, &e))?;
    if busy {
        return Err(resolve_problem(&client, &ResolveError::Busy));
    }
    for person in question.persons_to_sign_out() {
        sign_out(&mut change, &client, person).await?;
    }
    let keeps_identity = session::store::has_sessions(change.tx(), &question.flagged().id)
        .await
        .map_err(|e| directory_unavailable(&client, &e))?;
    let closed = store::close_conflict(&mut change, &question, keeps_identity)
        .await
        .map_err(|e| resolve_problem(&client, &e))?;
    let deed = question.audit_detail();
    commit_change(&api, &client, change, audit::AuditEvent::Conflict, Some(question.flagged()), &deed)
        .await?;
    let (state, person_id) = (closed.as_str(), question.resulting_person().clone());
    Ok(Json(ResolvedConflictSchema { id, state, person_id }).into_response())
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

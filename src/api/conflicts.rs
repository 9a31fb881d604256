//! `/api/v1/directory/conflicts`: questions that only a human can decide, and the answers.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::Api;
use super::asked::{self, Asked, Page, Paging};
use super::auth::Client;
use super::directory_write::{begin, finish, sign_out, unavailable};
use super::shape::{SourceWord, StatusWord};
use crate::audit;
use crate::base::id::{ConflictId, PersonId};
use crate::config::Scope;
use crate::directory::conflicts::{Closed, Told, Unresolved, store};
use crate::http::problem::Problem;
use crate::http::words::Code;

/// Whether two persons are one, which only a human can decide.
#[derive(ToSchema)]
#[schema(as = Conflict)]
#[expect(dead_code, reason = "it describes directory::conflicts::Told in the document")]
struct ConflictShape {
    id: String,
    #[schema(inline)]
    kind: KindWord,
    /// Our id of whoever was let in as itself.
    person_id: String,
    /// Our ids of those who it could be.
    candidates: Vec<String>,
    #[schema(format = DateTime)]
    created_at: String,
    /// Who was let in as itself.
    #[schema(required)]
    person: Option<NamedShape>,
    /// Who it could be; those who are gone are missing.
    people: Vec<NamedShape>,
}

/// `ambiguous`: a key fits several persons, or one of another name; `renamed`: one left and one like it joined in the same run; `reused`: a userid
/// came back after its holder had left.
#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes sync::plan::ConflictKind in the document")]
pub(super) enum KindWord {
    Ambiguous,
    Renamed,
    Reused,
}

/// Somebody whom a conflict is about.
#[derive(ToSchema)]
#[schema(as = NamedPerson)]
#[expect(dead_code, reason = "it describes directory::conflicts::Named in the document")]
struct NamedShape {
    id: String,
    userid: String,
    name: String,
    status: StatusWord,
    source: SourceWord,
}

/// Who the person of a conflict is.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resolution)]
pub(super) struct Answer {
    /// Our id of a candidate: the two are one person, with the candidate's id. Our id of the person itself: they are two.
    #[schema(value_type = String)]
    person_id: PersonId,
}

/// How a conflict was closed.
#[derive(Serialize, ToSchema)]
struct Resolved {
    #[schema(value_type = String)]
    id: ConflictId,
    #[schema(inline, value_type = ClosedWord)]
    state: &'static str,
    /// Our id of the person that is left, or of the one that was asked about.
    #[schema(value_type = String)]
    person_id: PersonId,
}

#[derive(ToSchema)]
#[schema(rename_all = "lowercase")]
#[expect(dead_code, reason = "it describes directory::conflicts::Closed in the document")]
enum ClosedWord {
    Merged,
    Separate,
}

/// The open conflicts, the oldest first.
#[utoipa::path(
    get, path = "/api/v1/directory/conflicts", operation_id = "list_conflicts", tag = "directory",
    params(Paging),
    responses((status = 200, body = Page<ConflictShape>), (status = 304)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryRead)?;
    let asked = Asked::read(raw.as_deref(), &["limit", "cursor"], &client)?;
    let corp = &api.0.sessions.settings().corp;
    let open = store::list(&api.0.db, corp, asked.cursor(), asked.rows()).await;
    let open = open.map_err(|e| client.unavailable("Conflicts could not be read", &e))?;
    let told = store::told(&api.0.db, corp, open).await;
    let told = told.map_err(|e| client.unavailable("Conflicts could not be read", &e))?;
    Ok(Json(Page::<Told>::of(&asked, told, |told| told.conflict.id.to_string())).into_response())
}

/// Says whether the persons of a conflict are one or two.
///
/// Whoever becomes one with somebody is signed out, and nobody is asked about the two again.
#[utoipa::path(
    post, path = "/api/v1/directory/conflicts/{id}/resolve", operation_id = "resolve_conflict", tag = "directory",
    params(("id" = String, Path, description = "As the list says it.")),
    request_body = Answer,
    responses((status = 200, body = Resolved), (status = 404), (status = 409)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn resolve(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let id = ConflictId::new(asked::id(id, &client)?);
    let Answer { person_id: person } = asked::body(&text, &client)?;
    let mut change = begin(&api, &client).await?;
    let question = store::hold(&mut change, &id, Some(&person)).await.map_err(|e| unresolved(&client, &e))?;
    for person in question.signed_out() {
        sign_out(&mut change, &client, person).await?;
    }
    let closed = store::close(&mut change, &question).await.map_err(|e| unresolved(&client, &e))?;
    let deed = question.deed();
    finish(&api, &client, change, audit::Event::Conflict, Some(question.flagged()), &deed).await?;
    let (state, person_id) = (Closed::as_str(closed), question.is_now().clone());
    Ok(Json(Resolved { id, state, person_id }).into_response())
}

fn unresolved(client: &Client, error: &Unresolved) -> Response {
    let code = match error {
        Unresolved::NotFound => Code::NotFound,
        Unresolved::Closed => Code::ConflictClosed,
        Unresolved::Stranger(_) => Code::BadRequest,
        Unresolved::Member => Code::OwnedByWecom,
        Unresolved::Busy => Code::DirectoryBusy,
        Unresolved::Store(error) => return unavailable(client, error),
    };
    Problem::new(code, &client.request_id).with_detail(error.to_string()).into_response()
}

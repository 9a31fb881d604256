//! `POST`, `PATCH`, `DELETE /api/v1/directory/{units|persons}`: changes to local entries.
//!
//! WeCom's entries are WeCom's to change, with one exception: its members may be put into local
//! units by `PATCH …/persons/{id}` with `{"local_memberships":[…]}`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::auth::AuthenticatedClient;
use super::dto::directory::{PersonDto, UnitDto};
use super::dto::directory_input::{
    AnyPersonChangeSchema, MemberInputDto, NewPersonSchema, NewUnitSchema, PersonInputDto, UnitInputDto,
};
use super::etag::TaggedEntry;
use super::{ApiState, query};
use crate::audit;
use crate::base::id::{PersonId, UnitId, UserId};
use crate::config::Scope;
use crate::directory::changes::DirectoryTransaction;
use crate::directory::edit::store::{self, HeldPerson};
use crate::directory::edit::{EditError, PersonInput, UnitInput, merge_patch};
use crate::directory::{EntrySource, Person, PersonStatus};
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::session;
use crate::session::SessionEndReason;
use crate::session::store::SessionsToEnd;

/// Returns the response to an edit that was refused.
fn edit_problem(client: &AuthenticatedClient, refused: &EditError) -> Response {
    let code = match refused {
        EditError::NotFound => return client.not_found(),
        EditError::Invalid(_) => Code::BadRequest,
        EditError::OwnedByWecom(_) => Code::OwnedByWecom,
        EditError::NotEmpty { .. } => Code::NotEmpty,
        EditError::UseridTaken(_) => Code::UseridTaken,
        EditError::PathTaken(_) => Code::PathTaken,
        EditError::Busy => Code::DirectoryBusy,
        EditError::Store(error) => return directory_unavailable(client, error),
    };
    Problem::new(code, &client.request_id).with_detail(refused.to_string()).into_response()
}

/// Returns the response where the database failed.
pub(super) fn directory_unavailable(client: &AuthenticatedClient, error: &sqlx::Error) -> Response {
    client.unavailable("The directory could not be changed", error)
}

/// Parses the JSON object of a body.
fn parse_object(client: &AuthenticatedClient, body: &[u8]) -> Result<Map<String, Value>, Response> {
    query::parse_body(body, client)
}

/// Parses the input for an entry: `change` merged into `current`. Null means the same as an absent
/// field, in `POST` as well.
fn merge_input<T: DeserializeOwned>(
    client: &AuthenticatedClient,
    current: Value,
    change: Map<String, Value>,
) -> Result<T, Response> {
    serde_json::from_value(merge_patch(current, Value::Object(change)))
        .map_err(|e| client.bad_request(e.to_string()))
}

fn entry_json(client: &AuthenticatedClient, value: &impl Serialize) -> Result<Value, Response> {
    serde_json::to_value(value).map_err(|error| {
        tracing::error!(%error, "An entry of the directory could not be written as JSON");
        client.problem(Code::Internal)
    })
}

pub(super) async fn begin_change(
    api: &ApiState,
    client: &AuthenticatedClient,
) -> Result<DirectoryTransaction, Response> {
    let corp = &api.0.sessions.settings().corp;
    DirectoryTransaction::begin(&api.0.db, corp, api.0.clock.now())
        .await
        .map_err(|e| directory_unavailable(client, &e))
}

/// Ends a change: writes the audit row, commits, and refreshes the memory of this replica, which
/// need not wait for the feed.
pub(super) async fn commit_change(
    api: &ApiState,
    client: &AuthenticatedClient,
    mut change: DirectoryTransaction,
    event: audit::AuditEvent,
    person: Option<&Person>,
    deed: &str,
) -> Result<(), Response> {
    let whom = person.map(|person| (person.id.clone(), person.userid.clone()));
    let entry = client.audit_entry(event, deed.to_owned()).about(whom);
    let (corp, now) = (change.corp().clone(), change.now());
    let written = audit::store::insert_entry(change.tx(), &corp, &entry, now).await;
    written.map_err(|e| directory_unavailable(client, &e))?;
    change.commit().await.map_err(|e| directory_unavailable(client, &e))?;
    // The change is committed, so a failed refresh is no failure of the call.
    if let Err(error) = api.0.sessions.refresh().await {
        tracing::warn!(%error, "Memory could not be refreshed after a change of the directory");
    }
    Ok(())
}

/// Returns 201 with the entry and its location.
fn created_response(
    client: &AuthenticatedClient,
    shape: &impl Serialize,
    location: &str,
) -> Result<Response, Response> {
    let mut response = TaggedEntry::from_schema(shape, client)?.respond(StatusCode::CREATED);
    // Our ids consist of letters, digits and hyphens, so this never fails.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Makes a local unit.
#[utoipa::path(
    post, path = "/api/v1/directory/units", operation_id = "create_unit", tag = "directory",
    request_body = NewUnitSchema,
    responses(
        (status = 201, description = "It is made.", body = UnitDto, headers(
            ("Location" = String, description = "Where it is."), ("ETag" = String, description = "A strong one."),
        )),
        (status = 409),
    ),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn create_unit(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    text: Bytes,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryWrite)?;
    let input: UnitInputDto = merge_input(&client, Value::Null, parse_object(&client, &text)?)?;
    let mut change = begin_change(&api, &client).await?;
    let mut context =
        store::open_context(&mut change).await.map_err(|e| directory_unavailable(&client, &e))?;
    let made = store::create_unit(&mut change, &mut context, input.into())
        .await
        .map_err(|e| edit_problem(&client, &e))?;
    let deed = format!("created unit {}", made.unit.id);
    commit_change(&api, &client, change, audit::AuditEvent::Directory, None, &deed).await?;
    created_response(&client, &UnitDto::from(&made), &format!("/api/v1/directory/units/{}", made.unit.id))
}

/// Changes a local unit.
#[utoipa::path(
    patch, path = "/api/v1/directory/units/{id}", operation_id = "update_unit", tag = "directory",
    params(("id" = String, Path, description = "Our id.")),
    request_body = UnitInputDto,
    responses((status = 200, body = UnitDto), (status = 404), (status = 409), (status = 412)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn update_unit(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(id): Path<String>,
    headers: HeaderMap,
    text: Bytes,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryWrite)?;
    let (id, fields) = (UnitId::new(query::check_path_id(id, &client)?), parse_object(&client, &text)?);
    let mut change = begin_change(&api, &client).await?;
    let mut context =
        store::open_context(&mut change).await.map_err(|e| directory_unavailable(&client, &e))?;
    let before = context.chart().unit(&id).ok_or_else(|| client.not_found())?;
    TaggedEntry::from_schema(&UnitDto::from(before), &client)?.check_if_match(&headers, &client)?;
    if before.unit.source == EntrySource::Wecom {
        return Err(edit_problem(&client, &EditError::OwnedByWecom("the unit is a department of WeCom's")));
    }
    let current = entry_json(&client, &UnitInputDto::from(UnitInput::from_unit(&before.unit)))?;
    let input: UnitInputDto = merge_input(&client, current, fields)?;
    let after = store::update_unit(&mut change, &mut context, &id, input.into()).await;
    let after = after.map_err(|e| edit_problem(&client, &e))?;
    let deed = format!("changed unit {id}");
    commit_change(&api, &client, change, audit::AuditEvent::Directory, None, &deed).await?;
    Ok(TaggedEntry::from_schema(&UnitDto::from(&after), &client)?.respond(StatusCode::OK))
}

/// Removes a local unit in which nobody is.
#[utoipa::path(
    delete, path = "/api/v1/directory/units/{id}", operation_id = "delete_unit", tag = "directory",
    params(("id" = String, Path, description = "Our id.")),
    responses((status = 204), (status = 404), (status = 409), (status = 412)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn delete_unit(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryWrite)?;
    let id = UnitId::new(query::check_path_id(id, &client)?);
    let mut change = begin_change(&api, &client).await?;
    let mut context =
        store::open_context(&mut change).await.map_err(|e| directory_unavailable(&client, &e))?;
    let before = context.chart().unit(&id).ok_or_else(|| client.not_found())?;
    TaggedEntry::from_schema(&UnitDto::from(before), &client)?.check_if_match(&headers, &client)?;
    let done = store::delete_unit(&mut change, &mut context, &id).await;
    done.map_err(|e| edit_problem(&client, &e))?;
    let deed = format!("removed unit {id}");
    commit_change(&api, &client, change, audit::AuditEvent::Directory, None, &deed).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Makes a local person.
#[utoipa::path(
    post, path = "/api/v1/directory/persons", operation_id = "create_person", tag = "directory",
    request_body = NewPersonSchema,
    responses(
        (status = 201, description = "It is made.", body = PersonDto, headers(
            ("Location" = String, description = "Where it is."), ("ETag" = String, description = "A strong one."),
        )),
        (status = 409),
    ),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn create_person(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    text: Bytes,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryWrite)?;
    let input: PersonInputDto = merge_input(&client, Value::Null, parse_object(&client, &text)?)?;
    let input = PersonInput::from(input);
    let mut change = begin_change(&api, &client).await?;
    let reserved =
        store::reserve_userid(&mut change, &input.userid).await.map_err(|e| edit_problem(&client, &e))?;
    let context = store::open_context(&mut change).await.map_err(|e| directory_unavailable(&client, &e))?;
    let made = store::create_person(&mut change, &context, reserved, input).await;
    let made = made.map_err(|e| edit_problem(&client, &e))?;
    commit_change(&api, &client, change, audit::AuditEvent::Directory, Some(&made), "created the person")
        .await?;
    created_response(
        &client,
        &PersonDto::from(made.clone()),
        &format!("/api/v1/directory/persons/{}", made.id),
    )
}

/// Locks the person of the path, if it is in the state that the caller knows.
async fn hold_person(
    change: &mut DirectoryTransaction,
    client: &AuthenticatedClient,
    headers: &HeaderMap,
    id: String,
    userid: Option<&UserId>,
) -> Result<HeldPerson, Response> {
    let id = PersonId::new(query::check_path_id(id, client)?);
    let held = store::hold_person(change, &id, userid).await.map_err(|e| edit_problem(client, &e))?;
    let held = held.ok_or_else(|| client.not_found())?;
    TaggedEntry::from_schema(&PersonDto::from(held.person.clone()), client)?
        .check_if_match(headers, client)?;
    Ok(held)
}

/// Changes a local person, or puts a member of WeCom's into local units.
#[utoipa::path(
    patch, path = "/api/v1/directory/persons/{id}", operation_id = "update_person", tag = "directory",
    params(("id" = String, Path, description = "Our id.")),
    request_body = AnyPersonChangeSchema,
    responses((status = 200, body = PersonDto), (status = 404), (status = 409), (status = 412)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn update_person(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(id): Path<String>,
    headers: HeaderMap,
    text: Bytes,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryWrite)?;
    let fields = parse_object(&client, &text)?;
    let userid = fields.get("userid").and_then(Value::as_str).map(UserId::new);
    let mut change = begin_change(&api, &client).await?;
    let held = hold_person(&mut change, &client, &headers, id, userid.as_ref()).await?;
    let after = if held.person.source == EntrySource::Wecom && fields.keys().eq(["local_memberships"]) {
        let input: MemberInputDto = merge_input(&client, Value::Null, fields)?;
        let context =
            store::open_context(&mut change).await.map_err(|e| directory_unavailable(&client, &e))?;
        store::update_member(&mut change, &context, &held, input.into()).await
    } else if held.person.source == EntrySource::Wecom {
        Err(EditError::OwnedByWecom(
            "the person is a member of WeCom's; only local_memberships can be changed",
        ))
    } else {
        let context =
            store::open_context(&mut change).await.map_err(|e| directory_unavailable(&client, &e))?;
        let before = PersonInput::from_person(&held.person, context.chart());
        let current = entry_json(&client, &PersonInputDto::from(before))?;
        let input: PersonInputDto = merge_input(&client, current, fields)?;
        store::update_person(&mut change, &context, &held, input.into()).await
    };
    let after = after.map_err(|e| edit_problem(&client, &e))?;
    if after.status != PersonStatus::Active {
        sign_out(&mut change, &client, &after.id).await?;
    }
    commit_change(&api, &client, change, audit::AuditEvent::Directory, Some(&after), "changed the person")
        .await?;
    Ok(TaggedEntry::from_schema(&PersonDto::from(after), &client)?.respond(StatusCode::OK))
}

/// Removes a local person, who is signed out, and frees the userid.
#[utoipa::path(
    delete, path = "/api/v1/directory/persons/{id}", operation_id = "delete_person", tag = "directory",
    params(("id" = String, Path, description = "Our id.")),
    responses((status = 204), (status = 404), (status = 409), (status = 412)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn delete_person(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryWrite)?;
    let mut change = begin_change(&api, &client).await?;
    let held = hold_person(&mut change, &client, &headers, id, None).await?;
    sign_out(&mut change, &client, &held.person.id).await?;
    let context = store::open_context(&mut change).await.map_err(|e| directory_unavailable(&client, &e))?;
    let keeps_identity = session::store::has_sessions(change.tx(), &held.person.id)
        .await
        .map_err(|e| directory_unavailable(&client, &e))?;
    store::delete_person(&mut change, &context, &held, keeps_identity)
        .await
        .map_err(|e| edit_problem(&client, &e))?;
    let deed = "removed the person";
    commit_change(&api, &client, change, audit::AuditEvent::Directory, Some(&held.person), deed).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ends the sessions of a person who may not sign in any more.
pub(super) async fn sign_out(
    change: &mut DirectoryTransaction,
    client: &AuthenticatedClient,
    person: &PersonId,
) -> Result<(), Response> {
    let (which, reason) = (SessionsToEnd::Person(person), SessionEndReason::Directory);
    let ended = session::store::end_sessions(change, &which, reason).await;
    ended.map(drop).map_err(|e| directory_unavailable(client, &e))
}

//! `POST`, `PATCH`, `DELETE /api/v1/directory/{units|persons}`: local entries. WeCom's are WeCom's, but for one thing: its
//! members may be put into local units, by `PATCH …/persons/{id}` with `{"local_memberships":[…]}`.

use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::LOCATION;
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::auth::Client;
use super::etag::Entry;
use super::input::{AnyPersonChange, NewPerson, NewUnit, UnitChange};
use super::shape::{PersonShape, UnitShape};
use super::{Api, asked};
use crate::audit;
use crate::base::id::{PersonId, UnitId, UserId};
use crate::config::Scope;
use crate::db::feed::Change;
use crate::directory::edit::store::{self, Held};
use crate::directory::edit::{MemberInput, PersonInput, Refused, UnitInput, merge};
use crate::directory::{Person, Source, Status};
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::session;
use crate::session::store::Which;

/// The answer to what cannot be written.
fn refused(client: &Client, refused: &Refused) -> Response {
    let code = match refused {
        Refused::NotFound => return client.not_found(),
        Refused::Invalid(_) => Code::BadRequest,
        Refused::OwnedByWecom(_) => Code::OwnedByWecom,
        Refused::NotEmpty { .. } => Code::NotEmpty,
        Refused::UseridTaken(_) => Code::UseridTaken,
        Refused::PathTaken(_) => Code::PathTaken,
        Refused::Busy => Code::DirectoryBusy,
        Refused::Store(error) => return unavailable(client, error),
    };
    Problem::new(code, &client.request_id).with_detail(refused.to_string()).into_response()
}

/// The answer where the database failed.
pub(super) fn unavailable(client: &Client, error: &sqlx::Error) -> Response {
    client.unavailable("The directory could not be changed", error)
}

/// The JSON object of a body.
fn object(client: &Client, body: &[u8]) -> Result<Map<String, Value>, Response> {
    asked::body(body, client)
}

/// What a hand writes: `change` merged into `current`. `null` is what an absent field would be, in `POST`, too.
fn input<T: DeserializeOwned>(
    client: &Client,
    current: Value,
    change: Map<String, Value>,
) -> Result<T, Response> {
    serde_json::from_value(merge(current, Value::Object(change))).map_err(|e| client.bad(e.to_string()))
}

fn json(client: &Client, value: &impl Serialize) -> Result<Value, Response> {
    serde_json::to_value(value).map_err(|error| {
        tracing::error!(%error, "An entry of the directory could not be written as JSON");
        client.problem(Code::Internal)
    })
}

pub(super) async fn begin(api: &Api, client: &Client) -> Result<Change, Response> {
    let corp = &api.0.sessions.settings().corp;
    Change::begin(&api.0.db, corp, api.0.clock.now()).await.map_err(|e| unavailable(client, &e))
}

/// The last of a write: an audit row, the commit, and memory of this replica, which need not wait for the feed.
pub(super) async fn finish(
    api: &Api,
    client: &Client,
    mut change: Change,
    event: audit::Event,
    person: Option<&Person>,
    deed: &str,
) -> Result<(), Response> {
    let entry = audit::Entry {
        event,
        person: person.map(|p| p.id.clone()),
        userid: person.map_or_else(String::new, |p| p.userid.as_str().to_owned()),
        address: client.address,
        host: String::new(),
        decision: "done",
        detail: format!("{deed}, by API client {}", client.id),
        request_id: client.request_id.as_str().to_owned(),
    };
    let (corp, now) = (change.corp().clone(), change.now());
    let written = audit::store::insert(change.tx(), &corp, &entry, now).await;
    written.map_err(|e| unavailable(client, &e))?;
    change.commit().await.map_err(|e| unavailable(client, &e))?;
    if let Err(error) = api.0.sessions.refresh().await {
        tracing::warn!(%error, "Memory could not be refreshed after a change of the directory");
    }
    Ok(())
}

/// 201 with the entry and where it is.
fn created(client: &Client, shape: &impl Serialize, location: &str) -> Result<Response, Response> {
    let mut response = Entry::of(shape, client)?.respond(StatusCode::CREATED);
    // Our ids are letters, digits and hyphens.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

/// Makes a local unit.
#[utoipa::path(
    post, path = "/api/v1/directory/units", operation_id = "create_unit", tag = "directory",
    request_body = NewUnit,
    responses(
        (status = 201, description = "It is made.", body = UnitShape, headers(
            ("Location" = String, description = "Where it is."), ("ETag" = String, description = "A strong one."),
        )),
        (status = 409),
    ),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn create_unit(
    State(api): State<Api>,
    client: Client,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let input: UnitInput = input(&client, Value::Null, object(&client, &text)?)?;
    let mut change = begin(&api, &client).await?;
    let mut desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
    let made = store::create_unit(&mut change, &mut desk, input).await.map_err(|e| refused(&client, &e))?;
    let deed = format!("created unit {}", made.unit.id);
    finish(&api, &client, change, audit::Event::Directory, None, &deed).await?;
    created(&client, &UnitShape::from(&made), &format!("/api/v1/directory/units/{}", made.unit.id))
}

/// Changes a local unit.
#[utoipa::path(
    patch, path = "/api/v1/directory/units/{id}", operation_id = "update_unit", tag = "directory",
    params(("id" = String, Path, description = "Our id.")),
    request_body = UnitChange,
    responses((status = 200, body = UnitShape), (status = 404), (status = 409), (status = 412)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn update_unit(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    headers: HeaderMap,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let (id, asked) = (UnitId::new(asked::id(id, &client)?), object(&client, &text)?);
    let mut change = begin(&api, &client).await?;
    let mut desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
    let before = desk.chart().unit(&id).ok_or_else(|| client.not_found())?;
    Entry::of(&UnitShape::from(before), &client)?.check(&headers, &client)?;
    if before.unit.source == Source::Wecom {
        return Err(refused(&client, &Refused::OwnedByWecom("the unit is a department of WeCom's")));
    }
    let input = input(&client, json(&client, &UnitInput::of(&before.unit))?, asked)?;
    let after = store::update_unit(&mut change, &mut desk, &id, input).await;
    let after = after.map_err(|e| refused(&client, &e))?;
    let deed = format!("changed unit {id}");
    finish(&api, &client, change, audit::Event::Directory, None, &deed).await?;
    Ok(Entry::of(&UnitShape::from(&after), &client)?.respond(StatusCode::OK))
}

/// Removes a local unit in which nobody is.
#[utoipa::path(
    delete, path = "/api/v1/directory/units/{id}", operation_id = "delete_unit", tag = "directory",
    params(("id" = String, Path, description = "Our id.")),
    responses((status = 204), (status = 404), (status = 409), (status = 412)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn delete_unit(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let id = UnitId::new(asked::id(id, &client)?);
    let mut change = begin(&api, &client).await?;
    let mut desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
    let before = desk.chart().unit(&id).ok_or_else(|| client.not_found())?;
    Entry::of(&UnitShape::from(before), &client)?.check(&headers, &client)?;
    let done = store::delete_unit(&mut change, &mut desk, &id).await;
    done.map_err(|e| refused(&client, &e))?;
    let deed = format!("removed unit {id}");
    finish(&api, &client, change, audit::Event::Directory, None, &deed).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Makes a local person.
#[utoipa::path(
    post, path = "/api/v1/directory/persons", operation_id = "create_person", tag = "directory",
    request_body = NewPerson,
    responses(
        (status = 201, description = "It is made.", body = PersonShape, headers(
            ("Location" = String, description = "Where it is."), ("ETag" = String, description = "A strong one."),
        )),
        (status = 409),
    ),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn create_person(
    State(api): State<Api>,
    client: Client,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let input: PersonInput = input(&client, Value::Null, object(&client, &text)?)?;
    let mut change = begin(&api, &client).await?;
    let reserved = store::reserve(&mut change, &input.userid).await.map_err(|e| refused(&client, &e))?;
    let desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
    let made = store::create_person(&mut change, &desk, reserved, input).await;
    let made = made.map_err(|e| refused(&client, &e))?;
    finish(&api, &client, change, audit::Event::Directory, Some(&made), "created the person").await?;
    created(&client, &PersonShape::from(made.clone()), &format!("/api/v1/directory/persons/{}", made.id))
}

/// Holds the person of the path, if it is as the caller knows it.
async fn hold(
    change: &mut Change,
    client: &Client,
    headers: &HeaderMap,
    id: String,
    userid: Option<&UserId>,
) -> Result<Held, Response> {
    let id = PersonId::new(asked::id(id, client)?);
    let held = store::hold(change, &id, userid).await.map_err(|e| refused(client, &e))?;
    let held = held.ok_or_else(|| client.not_found())?;
    Entry::of(&PersonShape::from(held.person.clone()), client)?.check(headers, client)?;
    Ok(held)
}

/// Changes a local person, or puts a member of WeCom's into local units.
#[utoipa::path(
    patch, path = "/api/v1/directory/persons/{id}", operation_id = "update_person", tag = "directory",
    params(("id" = String, Path, description = "Our id.")),
    request_body = AnyPersonChange,
    responses((status = 200, body = PersonShape), (status = 404), (status = 409), (status = 412)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn update_person(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    headers: HeaderMap,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let asked = object(&client, &text)?;
    let userid = asked.get("userid").and_then(Value::as_str).map(UserId::new);
    let mut change = begin(&api, &client).await?;
    let held = hold(&mut change, &client, &headers, id, userid.as_ref()).await?;
    let after = if held.person.source == Source::Wecom && asked.keys().eq(["local_memberships"]) {
        let input: MemberInput = input(&client, Value::Null, asked)?;
        let desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
        store::update_member(&mut change, &desk, &held, input).await
    } else if held.person.source == Source::Wecom {
        Err(Refused::OwnedByWecom("the person is a member of WeCom's; only local_memberships can be changed"))
    } else {
        let desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
        let current = json(&client, &PersonInput::of(&held.person, desk.chart()))?;
        let input = input(&client, current, asked)?;
        store::update_person(&mut change, &desk, &held, input).await
    };
    let after = after.map_err(|e| refused(&client, &e))?;
    if after.status != Status::Active {
        sign_out(&mut change, &client, &after.id).await?;
    }
    finish(&api, &client, change, audit::Event::Directory, Some(&after), "changed the person").await?;
    Ok(Entry::of(&PersonShape::from(after), &client)?.respond(StatusCode::OK))
}

/// Removes a local person, who is signed out, and frees the userid.
#[utoipa::path(
    delete, path = "/api/v1/directory/persons/{id}", operation_id = "delete_person", tag = "directory",
    params(("id" = String, Path, description = "Our id.")),
    responses((status = 204), (status = 404), (status = 409), (status = 412)),
    security(("basic" = ["directory:write"])),
)]
pub(super) async fn delete_person(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let mut change = begin(&api, &client).await?;
    let held = hold(&mut change, &client, &headers, id, None).await?;
    sign_out(&mut change, &client, &held.person.id).await?;
    let desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
    store::delete_person(&mut change, &desk, &held).await.map_err(|e| refused(&client, &e))?;
    let deed = "removed the person";
    finish(&api, &client, change, audit::Event::Directory, Some(&held.person), deed).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Ends the sessions of somebody who may not sign in any more.
pub(super) async fn sign_out(
    change: &mut Change,
    client: &Client,
    person: &PersonId,
) -> Result<(), Response> {
    let ended = session::store::end(change, &Which::Person(person), "directory").await;
    ended.map(drop).map_err(|e| unavailable(client, &e))
}

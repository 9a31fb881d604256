//! `POST`, `PATCH`, `DELETE /api/v1/directory/{units|persons}`: local entries. WeCom's are WeCom's, but for one thing: its
//! members may be put into local units, by `PATCH …/persons/{id}` with `{"local_memberships":[…]}`.

use std::fmt::Display;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::header::{IF_MATCH, LOCATION};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{patch, post};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Api;
use super::auth::Client;
use super::shape::{Body, PersonShape, UnitShape};
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

/// These paths.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/directory/units", post(create_unit))
        .route("/api/v1/directory/units/{id}", patch(update_unit).delete(delete_unit))
        .route("/api/v1/directory/persons", post(create_person))
        .route("/api/v1/directory/persons/{id}", patch(update_person).delete(delete_person))
}

/// The answer to what cannot be written.
fn refused(client: &Client, refused: &Refused) -> Response {
    let code = match refused {
        Refused::NotFound => return Problem::new(Code::NotFound, &client.request_id).into_response(),
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
    tracing::error!(%error, "The directory could not be changed");
    Problem::new(Code::StoreUnavailable, &client.request_id).into_response()
}

/// The answer to what is not as it must be.
pub(super) fn bad(client: &Client, why: impl Display) -> Response {
    Problem::new(Code::BadRequest, &client.request_id).with_detail(why.to_string()).into_response()
}

/// The answer where there is no such thing.
pub(super) fn unknown(client: &Client) -> Response {
    Problem::new(Code::NotFound, &client.request_id).into_response()
}

/// An id of the path. PostgreSQL's text holds no NUL: there is nothing of that name.
pub(super) fn known_id(client: &Client, id: String) -> Result<String, Response> {
    if id.contains('\0') { Err(unknown(client)) } else { Ok(id) }
}

/// The JSON object of a body.
pub(super) fn object(client: &Client, body: &[u8]) -> Result<Map<String, Value>, Response> {
    match serde_json::from_slice(body) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(bad(client, "the body is not a JSON object")),
        Err(error) => Err(bad(client, format_args!("the body is not JSON: {error}"))),
    }
}

/// What a hand writes: `change` merged into `current`. `null` is what an absent field would be, in `POST`, too.
fn input<T: DeserializeOwned>(
    client: &Client,
    current: Value,
    change: Map<String, Value>,
) -> Result<T, Response> {
    serde_json::from_value(merge(current, Value::Object(change))).map_err(|e| bad(client, e))
}

fn json(client: &Client, value: &impl Serialize) -> Result<Value, Response> {
    serde_json::to_value(value).map_err(|e| internal(client, &e))
}

fn body(client: &Client, shape: &impl Serialize) -> Result<Body, Response> {
    Body::of(shape).map_err(|e| internal(client, &e))
}

fn internal(client: &Client, error: &serde_json::Error) -> Response {
    tracing::error!(%error, "An entry of the directory could not be written as JSON");
    Problem::new(Code::Internal, &client.request_id).into_response()
}

/// Refuses a change of something that is not as the caller knows it.
fn check_if_match(client: &Client, headers: &HeaderMap, current: &impl Serialize) -> Result<(), Response> {
    let mut values = headers.get_all(IF_MATCH).iter().peekable();
    if values.peek().is_none() {
        return Ok(());
    }
    let body = body(client, current)?;
    // A header that is no text means no entry.
    if values.any(|value| value.to_str().is_ok_and(|value| body.is_meant(value))) {
        return Ok(());
    }
    Err(Problem::new(Code::PreconditionFailed, &client.request_id).into_response())
}

async fn begin(api: &Api, client: &Client) -> Result<Change, Response> {
    client.needs(Scope::DirectoryWrite)?;
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
    let mut response = body(client, shape)?.respond(StatusCode::CREATED);
    // Our ids are letters, digits and hyphens.
    if let Ok(location) = HeaderValue::from_str(location) {
        response.headers_mut().insert(LOCATION, location);
    }
    Ok(response)
}

async fn create_unit(State(api): State<Api>, client: Client, text: Bytes) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let input: UnitInput = input(&client, Value::Null, object(&client, &text)?)?;
    let mut change = begin(&api, &client).await?;
    let mut desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
    let made = store::create_unit(&mut change, &mut desk, input).await.map_err(|e| refused(&client, &e))?;
    let deed = format!("created unit {}", made.unit.id);
    finish(&api, &client, change, audit::Event::Directory, None, &deed).await?;
    created(&client, &UnitShape::from(&made), &format!("/api/v1/directory/units/{}", made.unit.id))
}

async fn update_unit(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    headers: HeaderMap,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let (id, asked) = (UnitId::new(known_id(&client, id)?), object(&client, &text)?);
    let mut change = begin(&api, &client).await?;
    let mut desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
    let before = desk.chart().unit(&id).ok_or_else(|| unknown(&client))?;
    check_if_match(&client, &headers, &UnitShape::from(before))?;
    if before.unit.source == Source::Wecom {
        return Err(refused(&client, &Refused::OwnedByWecom("the unit is a department of WeCom's")));
    }
    let input = input(&client, json(&client, &UnitInput::of(&before.unit))?, asked)?;
    let after = store::update_unit(&mut change, &mut desk, &id, input).await;
    let after = after.map_err(|e| refused(&client, &e))?;
    let deed = format!("changed unit {id}");
    finish(&api, &client, change, audit::Event::Directory, None, &deed).await?;
    Ok(body(&client, &UnitShape::from(&after))?.respond(StatusCode::OK))
}

async fn delete_unit(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let id = UnitId::new(known_id(&client, id)?);
    let mut change = begin(&api, &client).await?;
    let mut desk = store::open(&mut change).await.map_err(|e| unavailable(&client, &e))?;
    let before = desk.chart().unit(&id).ok_or_else(|| unknown(&client))?;
    check_if_match(&client, &headers, &UnitShape::from(before))?;
    let done = store::delete_unit(&mut change, &mut desk, &id).await;
    done.map_err(|e| refused(&client, &e))?;
    let deed = format!("removed unit {id}");
    finish(&api, &client, change, audit::Event::Directory, None, &deed).await?;
    Ok(StatusCode::NO_CONTENT.into_response())
}

async fn create_person(State(api): State<Api>, client: Client, text: Bytes) -> Result<Response, Response> {
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
    let id = PersonId::new(known_id(client, id)?);
    let held = store::hold(change, &id, userid).await.map_err(|e| refused(client, &e))?;
    let held = held.ok_or_else(|| unknown(client))?;
    check_if_match(client, headers, &PersonShape::from(held.person.clone()))?;
    Ok(held)
}

async fn update_person(
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
    Ok(body(&client, &PersonShape::from(after))?.respond(StatusCode::OK))
}

async fn delete_person(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, Response> {
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

//! `/api/v1/directory/conflicts`: questions that only a human can decide, and the answers.

use std::collections::HashMap;

use axum::body::Bytes;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Serialize;
use serde_json::{Value, json};

use super::Api;
use super::auth::Client;
use super::directory_write::{bad, finish, known_id, object, sign_out, unavailable};
use crate::audit;
use crate::base::id::{ConflictId, PersonId, UserId};
use crate::config::Scope;
use crate::db::feed::Change;
use crate::directory;
use crate::directory::conflicts::{Conflict, Unresolved, store};
use crate::http::problem::Problem;
use crate::http::words::Code;

/// The most items of one page, and how many without `limit=`.
const MOST: i64 = 1000;
const USUAL: i64 = 100;

/// These paths.
pub(super) fn routes() -> Router<Api> {
    Router::new()
        .route("/api/v1/directory/conflicts", get(list))
        .route("/api/v1/directory/conflicts/{id}/resolve", post(resolve))
}

/// One question, with names for whoever has to answer it.
#[derive(Debug, Serialize)]
struct Item {
    #[serde(flatten)]
    conflict: Conflict,
    person: Option<Named>,
    people: Vec<Named>,
}

/// Somebody whom a question is about.
#[derive(Debug, Clone, Serialize)]
struct Named {
    id: PersonId,
    userid: UserId,
    name: String,
    status: &'static str,
    source: &'static str,
}

/// `GET /api/v1/directory/conflicts?limit=&cursor=`: open ones, oldest first.
async fn list(State(api): State<Api>, client: Client, RawQuery(raw): RawQuery) -> Result<Response, Response> {
    client.needs(Scope::DirectoryRead)?;
    let (limit, cursor) = asked(raw.as_deref(), &client)?;
    let corp = &api.0.sessions.settings().corp;
    let found = store::list(&api.0.db, corp, &cursor, limit + 1).await;
    let mut found = found.map_err(|e| unavailable(&client, &e))?;
    let more = i64::try_from(found.len()).is_ok_and(|n| n > limit);
    if more {
        found.pop();
    }
    let next = found.last().filter(|_| more).map(|conflict| conflict.id.clone());
    let mut known = HashMap::new();
    let mut items = Vec::new();
    for conflict in found {
        let mut people = Vec::new();
        for id in std::iter::once(&conflict.person_id).chain(&conflict.candidates) {
            people.push(named(&api, &mut known, id).await.map_err(|e| unavailable(&client, &e))?);
        }
        let mut people = people.into_iter();
        let person = people.next().flatten();
        items.push(Item { conflict, person, people: people.flatten().collect() });
    }
    Ok(Json(json!({ "items": items, "next_cursor": next })).into_response())
}

async fn named(
    api: &Api,
    known: &mut HashMap<PersonId, Option<Named>>,
    id: &PersonId,
) -> sqlx::Result<Option<Named>> {
    if let Some(known) = known.get(id) {
        return Ok(known.clone());
    }
    let person = directory::store::person(&api.0.db, &api.0.sessions.settings().corp, id).await?;
    let named = person.map(|p| Named {
        id: p.id,
        userid: p.userid,
        name: p.name,
        status: p.status.as_str(),
        source: p.source.as_str(),
    });
    known.insert(id.clone(), named.clone());
    Ok(named)
}

fn asked(raw: Option<&str>, client: &Client) -> Result<(i64, String), Response> {
    let (mut limit, mut cursor) = (USUAL, String::new());
    for (name, value) in url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
        match &*name {
            _ if value.contains('\0') => return Err(bad(client, format_args!("{name:?} is not a text"))),
            _ if value.is_empty() => {}
            "limit" => match value.parse() {
                Ok(asked @ 1..=MOST) => limit = asked,
                _ => return Err(bad(client, format_args!("limit is 1 to {MOST}"))),
            },
            "cursor" => cursor = value.into_owned(),
            other => return Err(bad(client, format_args!("unknown parameter {other:?}"))),
        }
    }
    Ok((limit, cursor))
}

/// `POST /api/v1/directory/conflicts/{id}/resolve` with `{"person_id"}`: a candidate's id makes the two one, the flagged
/// person's own says that they are two.
async fn resolve(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    text: Bytes,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryWrite)?;
    let id = ConflictId::new(known_id(&client, id)?);
    let asked = object(&client, &text)?;
    let person = match asked.get("person_id") {
        Some(Value::String(person)) if asked.len() == 1 => PersonId::new(person.as_str()),
        _ => return Err(bad(&client, "the body is {\"person_id\": \"…\"}")),
    };
    let corp = &api.0.sessions.settings().corp;
    let change = Change::begin(&api.0.db, corp, api.0.clock.now()).await;
    let mut change = change.map_err(|e| unavailable(&client, &e))?;
    let question = store::hold(&mut change, &id, Some(&person)).await.map_err(|e| unresolved(&client, &e))?;
    for person in question.signed_out() {
        sign_out(&mut change, &client, person).await?;
    }
    let closed = store::close(&mut change, &question).await.map_err(|e| unresolved(&client, &e))?;
    let deed = question.deed();
    finish(&api, &client, change, audit::Event::Conflict, Some(question.flagged()), &deed).await?;
    let answer = json!({ "id": id, "state": closed.as_str(), "person_id": question.is_now() });
    Ok(Json(answer).into_response())
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

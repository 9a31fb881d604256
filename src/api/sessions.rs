//! `/api/v1/sessions`: who is signed in, and signing them out.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::json;

use super::Api;
use super::auth::Client;
use crate::audit;
use crate::base::clock::Timestamp;
use crate::base::id::{PersonId, Sid, UserId};
use crate::config::Scope;
use crate::db::feed::Change;
use crate::http::problem::Problem;
use crate::http::words::Code;
use crate::session::store::{self, Row, Which};

/// The most items of one page, and how many without `limit=`.
const MOST: i64 = 1000;
const USUAL: i64 = 100;

/// One living session.
#[derive(Debug, Serialize)]
struct Item {
    sid: Sid,
    userid: UserId,
    name: String,
    host: String,
    amr: [&'static str; 1],
    auth_time: Timestamp,
    last_seen_at: Timestamp,
    expires_at: Timestamp,
    address: String,
    user_agent: String,
}

impl From<Row> for Item {
    fn from(row: Row) -> Self {
        Self {
            sid: row.sid,
            userid: row.person.userid,
            name: row.person.name,
            host: row.audience,
            amr: [row.amr.as_str()],
            auth_time: row.auth_time,
            last_seen_at: row.last_seen_at,
            expires_at: row.expires_at,
            address: row.address,
            user_agent: row.user_agent,
        }
    }
}

/// The parameters of these calls.
struct Asked {
    userid: Option<UserId>,
    limit: i64,
    cursor: String,
}

fn asked(raw: Option<&str>, client: &Client) -> Result<Asked, Response> {
    let bad =
        |why: String| Problem::new(Code::BadRequest, &client.request_id).with_detail(why).into_response();
    let mut asked = Asked { userid: None, limit: USUAL, cursor: String::new() };
    for (name, value) in url::form_urlencoded::parse(raw.unwrap_or_default().as_bytes()) {
        // PostgreSQL's text holds no NUL: there is nothing of that name, and the database is not to blame.
        if value.contains('\0') {
            return Err(bad(format!("{name:?} is not a text")));
        }
        match &*name {
            _ if value.is_empty() => {}
            "userid" if asked.userid.is_none() && !value.is_empty() => {
                asked.userid = Some(UserId::new(value));
            }
            "limit" => match value.parse() {
                Ok(limit @ 1..=MOST) => asked.limit = limit,
                _ => return Err(bad(format!("limit is 1 to {MOST}"))),
            },
            "cursor" => asked.cursor = value.into_owned(),
            other => return Err(bad(format!("unknown, empty or double parameter {other:?}"))),
        }
    }
    Ok(asked)
}

fn unavailable(client: &Client, error: &sqlx::Error) -> Response {
    tracing::error!(%error, "The sessions could not be read or ended");
    Problem::new(Code::StoreUnavailable, &client.request_id).into_response()
}

/// `GET /api/v1/sessions?userid=&limit=&cursor=`.
pub(super) async fn list(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.needs(Scope::Sessions)?;
    let asked = asked(raw.as_deref(), &client)?;
    let settings = api.0.sessions.settings();
    let now = api.0.clock.now();
    let idle_since = now.minus(settings.idle);
    let cursor = asked.cursor.as_str();
    let rows = store::list(
        &api.0.db,
        &settings.corp,
        asked.userid.as_ref(),
        now,
        idle_since,
        cursor,
        asked.limit + 1,
    )
    .await;
    let mut rows = rows.map_err(|e| unavailable(&client, &e))?;
    let more = i64::try_from(rows.len()).is_ok_and(|n| n > asked.limit);
    if more {
        rows.pop();
    }
    let next = rows.last().filter(|_| more).map(|row| row.sid.clone());
    let items: Vec<Item> = rows.into_iter().map(Item::from).collect();
    Ok(Json(json!({ "items": items, "next_cursor": next })).into_response())
}

/// `DELETE /api/v1/sessions/{sid}`: 200 with how many ended; 404 for one that is not alive.
pub(super) async fn end_one(
    State(api): State<Api>,
    client: Client,
    Path(sid): Path<String>,
) -> Result<Response, Response> {
    client.needs(Scope::Sessions)?;
    let unknown = || Problem::new(Code::NotFound, &client.request_id).into_response();
    if sid.contains('\0') {
        return Err(unknown());
    }
    let sid = Sid::new(sid);
    let row = api.0.sessions.alive(&sid).await.map_err(|e| unavailable(&client, &e))?;
    let Some(row) = row else { return Err(unknown()) };
    // With every session that the same sign-in led to: a hand-off would make the ended one anew.
    let whom = Some((row.person.id.clone(), row.person.userid.clone()));
    end(&api, &client, &Which::Family(&row.family), whom).await
}

/// `DELETE /api/v1/sessions?userid=`: 200 with how many ended, also if none.
pub(super) async fn end_of_person(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.needs(Scope::Sessions)?;
    let Some(userid) = asked(raw.as_deref(), &client)?.userid else {
        let problem = Problem::new(Code::BadRequest, &client.request_id);
        return Err(problem.with_detail("userid is missing").into_response());
    };
    let corp = &api.0.sessions.settings().corp;
    let person = store::find_person_by_userid(&api.0.db, corp, &userid).await;
    let Some(person) = person.map_err(|e| unavailable(&client, &e))? else {
        return Ok(Json(json!({ "ended": 0 })).into_response());
    };
    end(&api, &client, &Which::Person(&person.id), Some((person.id.clone(), person.userid))).await
}

async fn end(
    api: &Api,
    client: &Client,
    which: &Which<'_>,
    whom: Option<(PersonId, UserId)>,
) -> Result<Response, Response> {
    let ended = end_and_audit(api, client, which, whom).await.map_err(|e| unavailable(client, &e))?;
    // This replica need not wait for the feed; the others read it within half a second.
    if let Err(error) = api.0.sessions.refresh().await {
        tracing::warn!(%error, "Memory could not be refreshed after a revocation");
    }
    Ok(Json(json!({ "ended": ended })).into_response())
}

async fn end_and_audit(
    api: &Api,
    client: &Client,
    which: &Which<'_>,
    whom: Option<(PersonId, UserId)>,
) -> sqlx::Result<u64> {
    let now = api.0.clock.now();
    let corp = api.0.sessions.settings().corp.clone();
    let mut change = Change::begin(&api.0.db, &corp, now).await?;
    let ended = store::end(&mut change, which, "revoked").await?;
    let (person, userid) = whom.map_or((None, String::new()), |(p, u)| (Some(p), u.as_str().to_owned()));
    let entry = audit::Entry {
        event: audit::Event::Revoke,
        person,
        userid,
        address: client.address,
        host: String::new(),
        decision: "done",
        detail: format!("{ended} sessions, by API client {}", client.id),
        request_id: client.request_id.as_str().to_owned(),
    };
    audit::store::insert(change.tx(), &corp, &entry, now).await?;
    change.commit().await?;
    Ok(ended)
}

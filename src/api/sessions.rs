//! `/api/v1/sessions`: lists sessions and ends them.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::dto::sessions::{EndedSessionsDto, SessionDto};
use super::query::{self, ItemPage, PagingParams, QueryParams};
use crate::audit;
use crate::base::id::{PersonId, Sid, UserId};
use crate::config::Scope;
use crate::db::feed::FeedTransaction;
use crate::session::SessionEndReason;
use crate::session::store::{self, SessionsToEnd};

fn sessions_unavailable(client: &AuthenticatedClient, error: &sqlx::Error) -> Response {
    client.unavailable("The sessions could not be read or ended", error)
}

/// Who is signed in.
#[utoipa::path(
    get, path = "/api/v1/sessions", operation_id = "list_sessions", tag = "sessions",
    params(PagingParams, ("userid" = Option<String>, Query, description = "Only this person's, without regard to case.")),
    responses((status = 200, body = ItemPage<SessionDto>)),
    security(("basic" = ["sessions"])),
)]
pub(super) async fn list_sessions(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::Sessions)?;
    let params = QueryParams::parse(raw.as_deref(), &["userid", "limit", "cursor"], &client)?;
    let userid = params.get("userid").map(UserId::new);
    let settings = api.0.sessions.settings();
    let now = api.0.clock.now();
    let idle_since = now.minus(settings.idle);
    let (db, corp) = (&api.0.db, &settings.corp);
    let rows =
        store::list_living(db, corp, userid.as_ref(), now, idle_since, params.cursor(), params.row_limit())
            .await;
    let rows = rows.map_err(|e| sessions_unavailable(&client, &e))?;
    Ok(Json(ItemPage::<SessionDto>::from_rows(&params, rows, |row| row.sid.to_string())).into_response())
}

/// Ends a session, with every other that the same sign-in led to.
#[utoipa::path(
    delete, path = "/api/v1/sessions/{sid}", operation_id = "end_session", tag = "sessions",
    params(("sid" = String, Path, description = "As the list says it.")),
    responses((status = 200, body = EndedSessionsDto), (status = 404)),
    security(("basic" = ["sessions"])),
)]
pub(super) async fn end_session(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(sid): Path<String>,
) -> Result<Response, Response> {
    client.require_scope(Scope::Sessions)?;
    let sid = Sid::new(query::check_path_id(sid, &client)?);
    let row = api.0.sessions.find_alive(&sid).await.map_err(|e| sessions_unavailable(&client, &e))?;
    let Some(row) = row else { return Err(client.not_found()) };
    // Ends every session of the same sign-in: a hand-off from another one would replace the ended
    // one.
    let whom = Some((row.person.id.clone(), row.person.userid.clone()));
    end_and_refresh(&api, &client, &SessionsToEnd::Family(&row.family), whom).await
}

/// Ends every session of a person; 200 also if there was none.
#[utoipa::path(
    delete, path = "/api/v1/sessions", operation_id = "end_sessions_of_person", tag = "sessions",
    params(("userid" = String, Query, description = "Whose, without regard to case.")),
    responses((status = 200, body = EndedSessionsDto)),
    security(("basic" = ["sessions"])),
)]
pub(super) async fn end_sessions_of_person(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::Sessions)?;
    let params = QueryParams::parse(raw.as_deref(), &["userid"], &client)?;
    let Some(userid) = params.get("userid").map(UserId::new) else {
        return Err(client.bad_request("userid is missing".to_owned()));
    };
    let corp = &api.0.sessions.settings().corp;
    let person = store::find_person_by_userid(&api.0.db, corp, &userid).await;
    let Some(person) = person.map_err(|e| sessions_unavailable(&client, &e))? else {
        return Ok(Json(EndedSessionsDto { ended: 0 }).into_response());
    };
    end_and_refresh(
        &api,
        &client,
        &SessionsToEnd::Person(&person.id),
        Some((person.id.clone(), person.userid)),
    )
    .await
}

async fn end_and_refresh(
    api: &ApiState,
    client: &AuthenticatedClient,
    which: &SessionsToEnd<'_>,
    whom: Option<(PersonId, UserId)>,
) -> Result<Response, Response> {
    let ended =
        end_and_audit(api, client, which, whom).await.map_err(|e| sessions_unavailable(client, &e))?;
    // This replica need not wait for the feed. The others read it within half a second.
    if let Err(error) = api.0.sessions.refresh().await {
        tracing::warn!(%error, "Memory could not be refreshed after a revocation");
    }
    Ok(Json(EndedSessionsDto { ended }).into_response())
}

async fn end_and_audit(
    api: &ApiState,
    client: &AuthenticatedClient,
    which: &SessionsToEnd<'_>,
    whom: Option<(PersonId, UserId)>,
) -> sqlx::Result<u64> {
    let now = api.0.clock.now();
    let corp = api.0.sessions.settings().corp.clone();
    let mut change = FeedTransaction::begin(&api.0.db, &corp, now).await?;
    let ended = store::end_sessions(&mut change, which, SessionEndReason::Revoked).await?;
    let entry = client.audit_entry(audit::AuditEvent::Revoke, format!("{ended} sessions")).about(whom);
    audit::store::insert_entry(change.tx(), &corp, &entry, now).await?;
    change.commit().await?;
    Ok(ended)
}

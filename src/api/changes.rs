//! `/api/v1/directory/changes`: the feed that other systems follow instead of reading everything
//! again.

use axum::Json;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use utoipa::IntoParams;

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::dto::changes::ChangesDto;
use super::query::QueryParams;
use crate::config::Scope;
use crate::directory::listing::{Feed, store};
use crate::http::words::Code;

/// From where, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes the parameters in the document")]
struct ChangesParams {
    /// `next_cursor` of the answer before; empty or missing: from the oldest change that is kept.
    since: Option<String>,
    /// At most so many items; 100 without it.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<u16>,
}

/// What changed, in order; each change once.
///
/// To follow: ask once without `since` until `items` is empty and keep `next_cursor`, then read the lists; from then on
/// ask with the kept cursor, as often as you like, and read again what is named. Changes are kept for 90 days: with an
/// older cursor the answer is 410, and following begins anew. The same thing may be named several times.
#[utoipa::path(
    get, path = "/api/v1/directory/changes", operation_id = "list_changes", tag = "directory",
    params(ChangesParams),
    responses((status = 200, body = ChangesDto), (status = 304), (status = 410)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list_changes(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    let params = QueryParams::parse(raw.as_deref(), &["since", "limit"], &client)?;
    let since = match params.get("since") {
        None => None,
        Some(text) => {
            Some(parse_seq(text).ok_or_else(|| client.bad_request("since is no cursor of ours".to_owned()))?)
        }
    };
    let corp = &api.0.sessions.settings().corp;
    let feed = store::read_changes(&api.0.db, corp, since, params.row_limit() - 1).await;
    match feed.map_err(|e| client.unavailable("The change feed could not be read", &e))? {
        Feed::Part { items, last } => Ok(Json(ChangesDto::new(items, last)).into_response()),
        Feed::Gone => Err(client.problem(Code::FeedGone)),
    }
}

/// Parses a sequence number in exactly the form that we write: a sign, a space or a leading zero
/// was not ours.
fn parse_seq(text: &str) -> Option<i64> {
    text.parse().ok().filter(|n: &i64| (0..i64::MAX).contains(n) && n.to_string() == text)
}

//! `/api/v1/directory/units` and `/tags`: both are completely in memory.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::dto::directory::{TagDto, UnitDto};
use super::query::{ItemPage, PagingParams, QueryParams};
use crate::base::id::{TagId, UnitId};
use crate::config::Scope;
use crate::directory::chart::{Chart, ChartReference, PlacedUnit, ReferenceError};

/// Returns the chart as the database has it now.
///
/// Memory follows within half a second. A client that learned of a change from the feed, perhaps
/// from another replica, must not read the state before it.
pub(super) async fn load_fresh_chart(
    api: &ApiState,
    client: &AuthenticatedClient,
) -> Result<Arc<Chart>, Response> {
    if let Err(error) = api.0.sessions.refresh().await {
        return Err(client.unavailable("The directory could not be read", &error));
    }
    Ok(Arc::clone(&api.0.sessions.replica().chart()))
}

/// The units of the chart, by id.
#[utoipa::path(
    get, path = "/api/v1/directory/units", operation_id = "list_units", tag = "directory",
    params(
        PagingParams,
        ("path" = Option<String>, Query, description = "Only units of this path: none, one, or several of one name in \
         one place. `/` is the root."),
    ),
    responses((status = 200, body = ItemPage<UnitDto>), (status = 304)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list_units(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    let params = QueryParams::parse(raw.as_deref(), &["path", "limit", "cursor"], &client)?;
    let chart = load_fresh_chart(&api, &client).await?;
    let path = params.get("path").map(|path| match path.trim_matches('/') {
        "" => "/",
        path => path,
    });
    let units: Vec<&PlacedUnit> = chart
        .units_after(&UnitId::new(params.cursor()))
        .filter(|placed| path.is_none_or(|path| &*placed.path == path))
        .take(params.limit() + 1)
        .collect();
    Ok(Json(ItemPage::<UnitDto>::from_rows(&params, units, |placed| placed.unit.id.to_string()))
        .into_response())
}

/// One unit.
#[utoipa::path(
    get, path = "/api/v1/directory/units/{id}", operation_id = "get_unit", tag = "directory",
    params(("id" = String, Path, description = "Our id, or `wecom:ID` with the department's id in WeCom.")),
    responses((status = 200, body = UnitDto), (status = 304), (status = 404)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn get_unit(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    QueryParams::parse(raw.as_deref(), &[], &client)?;
    let chart = load_fresh_chart(&api, &client).await?;
    let found = find_unit(&chart, &id).ok_or_else(|| client.not_found())?;
    Ok(Json(UnitDto::from(found)).into_response())
}

/// Returns the unit with our id or `wecom:ID`. A path is not an id.
pub(super) fn find_unit<'a>(chart: &'a Chart, id: &str) -> Option<&'a PlacedUnit> {
    match ChartReference::parse(id)? {
        reference @ ChartReference::Wecom(_) => chart.find_unit(&reference).ok(),
        ChartReference::Text(id) => chart.unit(&UnitId::new(id)),
    }
}

/// The tags of the chart, by id.
#[utoipa::path(
    get, path = "/api/v1/directory/tags", operation_id = "list_tags", tag = "directory",
    params(PagingParams),
    responses((status = 200, body = ItemPage<TagDto>), (status = 304)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list_tags(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    let params = QueryParams::parse(raw.as_deref(), &["limit", "cursor"], &client)?;
    let chart = load_fresh_chart(&api, &client).await?;
    let tags =
        chart.tags().filter(|tag| tag.id.as_str() > params.cursor()).take(params.limit() + 1).collect();
    Ok(Json(ItemPage::<TagDto>::from_rows(&params, tags, |tag| tag.id.to_string())).into_response())
}

/// One tag.
#[utoipa::path(
    get, path = "/api/v1/directory/tags/{id}", operation_id = "get_tag", tag = "directory",
    params(("id" = String, Path, description = "Our id, or `wecom:ID` with the tag's id in WeCom.")),
    responses((status = 200, body = TagDto), (status = 304), (status = 404)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn get_tag(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    QueryParams::parse(raw.as_deref(), &[], &client)?;
    let chart = load_fresh_chart(&api, &client).await?;
    let found = match ChartReference::parse(&id) {
        Some(reference @ ChartReference::Wecom(_)) => chart.find_tag(&reference),
        _ => chart.tag(&TagId::new(id)).ok_or(ReferenceError::Unknown),
    };
    Ok(Json(TagDto::from(found.map_err(|_| client.not_found())?)).into_response())
}

//! `/api/v1/directory/units` and `/tags`: both are in memory as a whole.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};

use super::Api;
use super::asked::{Asked, Page, Paging};
use super::auth::Client;
use super::shape::{TagShape, UnitShape};
use crate::base::id::{TagId, UnitId};
use crate::config::Scope;
use crate::directory::chart::{Chart, Placed, Reference, Unfound};

/// The chart as the database has it now. Memory follows within half a second; who heard of a change by the change feed,
/// perhaps from another replica, must not read here what was before it.
pub(super) async fn chart(api: &Api, client: &Client) -> Result<Arc<Chart>, Response> {
    if let Err(error) = api.0.sessions.refresh().await {
        return Err(client.unavailable("The directory could not be read", &error));
    }
    Ok(Arc::clone(&api.0.sessions.chart()))
}

/// The units of the chart, by id.
#[utoipa::path(
    get, path = "/api/v1/directory/units", operation_id = "list_units", tag = "directory",
    params(
        Paging,
        ("path" = Option<String>, Query, description = "Only units of this path: none, one, or several of one name in \
         one place. `/` is the root."),
    ),
    responses((status = 200, body = Page<UnitShape>), (status = 304)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryRead)?;
    let asked = Asked::read(raw.as_deref(), &["path", "limit", "cursor"], &client)?;
    let chart = chart(&api, &client).await?;
    let path = asked.get("path").map(|path| match path.trim_matches('/') {
        "" => "/",
        path => path,
    });
    let units: Vec<&Placed> = chart
        .units_after(&UnitId::new(asked.cursor()))
        .filter(|placed| path.is_none_or(|path| &*placed.path == path))
        .take(asked.limit() + 1)
        .collect();
    Ok(Json(Page::<UnitShape>::of(&asked, units, |placed| placed.unit.id.to_string())).into_response())
}

/// One unit.
#[utoipa::path(
    get, path = "/api/v1/directory/units/{id}", operation_id = "get_unit", tag = "directory",
    params(("id" = String, Path, description = "Our id, or `wecom:ID` with the department's id in WeCom.")),
    responses((status = 200, body = UnitShape), (status = 304), (status = 404)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn one(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryRead)?;
    Asked::read(raw.as_deref(), &[], &client)?;
    let chart = chart(&api, &client).await?;
    let found = find(&chart, &id).ok_or_else(|| client.not_found())?;
    Ok(Json(UnitShape::from(found)).into_response())
}

/// By our id or `wecom:ID`; a path is no id.
pub(super) fn find<'a>(chart: &'a Chart, id: &str) -> Option<&'a Placed> {
    match Reference::parse(id)? {
        reference @ Reference::Wecom(_) => chart.find_unit(&reference).ok(),
        Reference::Text(id) => chart.unit(&UnitId::new(id)),
    }
}

/// The tags of the chart, by id.
#[utoipa::path(
    get, path = "/api/v1/directory/tags", operation_id = "list_tags", tag = "directory",
    params(Paging),
    responses((status = 200, body = Page<TagShape>), (status = 304)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list_tags(
    State(api): State<Api>,
    client: Client,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryRead)?;
    let asked = Asked::read(raw.as_deref(), &["limit", "cursor"], &client)?;
    let chart = chart(&api, &client).await?;
    let tags = chart.tags().filter(|tag| tag.id.as_str() > asked.cursor()).take(asked.limit() + 1).collect();
    Ok(Json(Page::<TagShape>::of(&asked, tags, |tag| tag.id.to_string())).into_response())
}

/// One tag.
#[utoipa::path(
    get, path = "/api/v1/directory/tags/{id}", operation_id = "get_tag", tag = "directory",
    params(("id" = String, Path, description = "Our id, or `wecom:ID` with the tag's id in WeCom.")),
    responses((status = 200, body = TagShape), (status = 304), (status = 404)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn one_tag(
    State(api): State<Api>,
    client: Client,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.needs(Scope::DirectoryRead)?;
    Asked::read(raw.as_deref(), &[], &client)?;
    let chart = chart(&api, &client).await?;
    let found = match Reference::parse(&id) {
        Some(reference @ Reference::Wecom(_)) => chart.find_tag(&reference),
        _ => chart.tag(&TagId::new(id)).ok_or(Unfound::Unknown),
    };
    Ok(Json(TagShape::from(found.map_err(|_| client.not_found())?)).into_response())
}

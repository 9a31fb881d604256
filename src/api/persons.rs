//! `/api/v1/directory/persons`: read from the database, because memory holds only those who are
//! signed in.

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use axum::response::{IntoResponse as _, Response};
use utoipa::IntoParams;

use super::ApiState;
use super::auth::AuthenticatedClient;
use super::dto::directory::PersonDto;
use super::dto::words::{ApiWord as _, PersonStatusWord};
use super::query::{self, ItemPage, PagingParams, QueryParams};
use super::units;
use crate::base::id::{PersonId, UnitId, UserId};
use crate::config::Scope;
use crate::directory::listing::{self, PersonFilter};
use crate::directory::{Person, store};

const READ_FAILURE: &str = "Persons could not be read";

/// Which persons, for the document.
#[derive(Debug, IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "it describes the parameters in the document")]
struct PersonFilterParams {
    /// Whoever has this userid now, without regard to case: a list of none or one.
    userid: Option<String>,
    /// Only who has this status.
    #[param(inline)]
    status: Option<PersonStatusWord>,
    /// Members of this unit itself, by our id or `wecom:ID`; who is only in a unit below it is not listed.
    unit: Option<String>,
}

/// The persons of the directory by id, those who left included.
#[utoipa::path(
    get, path = "/api/v1/directory/persons", operation_id = "list_persons", tag = "directory",
    params(PagingParams, PersonFilterParams),
    responses((status = 200, body = ItemPage<PersonDto>), (status = 304)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn list_persons(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    let names = ["userid", "status", "unit", "limit", "cursor"];
    let params = QueryParams::parse(raw.as_deref(), &names, &client)?;
    let which = parse_filter(&api, &client, &params).await?;
    let corp = &api.0.sessions.settings().corp;
    let found = match params.get("userid") {
        Some(userid) => store::find_person_by_userid(&api.0.db, corp, &UserId::new(userid))
            .await
            .map(|person| person.into_iter().filter(|person| matches_filter(&which, person)).collect()),
        None => listing::store::list_persons(&api.0.db, corp, &which, params.row_limit()).await,
    };
    let persons = found.map_err(|e| client.unavailable(READ_FAILURE, &e))?;
    Ok(Json(ItemPage::<PersonDto>::from_rows(&params, persons, |person| person.id.to_string()))
        .into_response())
}

async fn parse_filter(
    api: &ApiState,
    client: &AuthenticatedClient,
    params: &QueryParams,
) -> Result<PersonFilter, Response> {
    let status = params.get("status").map(PersonStatusWord::parse).transpose();
    let status = status.map_err(|words| client.bad_request(format!("status is {words}")))?;
    let unit = match params.get("unit") {
        None => None,
        Some(id) => {
            let chart = units::load_fresh_chart(api, client).await?;
            // An unknown unit has no members.
            Some(units::find_unit(&chart, id).map_or(UnitId::new("-"), |placed| placed.unit.id.clone()))
        }
    };
    Ok(PersonFilter { after: Some(PersonId::new(params.cursor())), status, unit })
}

fn matches_filter(which: &PersonFilter, person: &Person) -> bool {
    which.after.as_ref().is_none_or(|after| person.id > *after)
        && which.status.is_none_or(|status| person.status == status)
        && which.unit.as_ref().is_none_or(|unit| person.memberships.iter().any(|m| m.unit == *unit))
}

/// One person.
#[utoipa::path(
    get, path = "/api/v1/directory/persons/{id}", operation_id = "get_person", tag = "directory",
    params(("id" = String, Path, description = "Our id; whoever knows a userid asks `?userid=`.")),
    responses((status = 200, body = PersonDto), (status = 304), (status = 404)),
    security(("basic" = ["directory:read"])),
)]
pub(super) async fn get_person(
    State(api): State<ApiState>,
    client: AuthenticatedClient,
    Path(id): Path<String>,
    RawQuery(raw): RawQuery,
) -> Result<Response, Response> {
    client.require_scope(Scope::DirectoryRead)?;
    QueryParams::parse(raw.as_deref(), &[], &client)?;
    let corp = &api.0.sessions.settings().corp;
    let found = store::find_person(&api.0.db, corp, &PersonId::new(query::check_path_id(id, &client)?)).await;
    let person =
        found.map_err(|e| client.unavailable(READ_FAILURE, &e))?.ok_or_else(|| client.not_found())?;
    Ok(Json(PersonDto::from(person)).into_response())
}

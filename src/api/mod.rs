//! `/api/v1`: the API for applications, with an API client's credentials.
//!
//! | module | holds |
//! |---|---|
//! | `units`, `persons`, `changes` | the directory to read: `/directory/{units,tags,persons,changes}` |
//! | `directory_write` | local entries: `POST`, `PATCH` and `DELETE` of units and persons |
//! | `conflicts` | `/directory/conflicts`: whether two persons are one |
//! | `sync` | `/directory/sync`: requesting runs, and how they went |
//! | `messages`, `media` | `/messages` and `/media`: sending, files for it, and the result |
//! | `sessions` | `/sessions`: who is signed in, and signing them out |
//! | [`dto`] | the shapes of all of them, one type each |
//! | [`openapi`] | the OpenAPI document, derived from those types |
//! | `auth`, `query`, `etag` | shared: credentials, parameters and pages, caching |

mod auth;
mod changes;
mod conflicts;
mod directory_write;
pub(crate) mod dto;
mod etag;
mod media;
mod messages;
pub(crate) mod openapi;
mod persons;
mod query;
mod sessions;
mod sync;
mod units;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Clock;
use crate::config::{ApiClient, Config};
use crate::db::Db;
use crate::http::client_ip::TrustedProxies;
use crate::http::rate_limit::RateLimit;
use crate::message::Messages;
use crate::session::Sessions;
use crate::sync::SyncService;

/// The limit of wrong API credentials from one address.
const MAX_WRONG_CREDENTIALS_PER_MINUTE: u32 = 30;

/// What the API takes from the configuration.
#[derive(Debug, Clone)]
pub(crate) struct ApiSettings {
    pub clients: Vec<ApiClient>,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
}

impl From<&Config> for ApiSettings {
    fn from(config: &Config) -> Self {
        Self {
            clients: config.api_clients.clone(),
            trusted_proxies: TrustedProxies(config.server.trusted_proxies.clone()),
        }
    }
}

/// The state of the API's handlers. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct ApiState(Arc<ApiStateInner>);

#[derive(Debug)]
struct ApiStateInner {
    parts: ApiParts,
    /// The limit of wrong credentials for each address.
    wrong_credentials: RateLimit,
}

impl Deref for ApiStateInner {
    type Target = ApiParts;

    fn deref(&self) -> &ApiParts {
        &self.parts
    }
}

/// What the API is built from.
#[derive(Debug, Clone)]
pub(crate) struct ApiParts {
    pub settings: ApiSettings,
    pub db: Db,
    pub clock: Clock,
    /// The sessions and the published chart.
    pub sessions: Sessions,
    /// Synchronisation runs.
    pub sync: SyncService,
    pub messages: Messages,
}

impl ApiState {
    pub(crate) fn new(parts: ApiParts) -> Self {
        let (count, minute) = (MAX_WRONG_CREDENTIALS_PER_MINUTE, Duration::from_secs(60));
        let wrong_credentials = RateLimit::new(count, minute, count, parts.clock.clone());
        Self(Arc::new(ApiStateInner { parts, wrong_credentials }))
    }

    /// Returns the same API with another configuration.
    #[must_use]
    pub(crate) fn reconfigured(&self, settings: ApiSettings, sessions: Sessions) -> Self {
        let parts = ApiParts { settings, sessions, ..self.0.parts.clone() };
        // Counts go on, so that a reload forgives nobody.
        Self(Arc::new(ApiStateInner { parts, wrong_credentials: self.0.wrong_credentials.clone() }))
    }
}

/// Returns every route of the API except those of [`upload_routes`].
pub(crate) fn routes(api: ApiState) -> Router {
    router().split_for_parts().0.with_state(api)
}

/// Returns the routes that take files. Their body limit is set around the whole route, not by axum.
pub(crate) fn upload_routes(api: ApiState) -> Router {
    upload_router().split_for_parts().0.layer(DefaultBodyLimit::disable()).with_state(api)
}

fn upload_router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(OpenApi::default()).routes(routes!(media::upload_media))
}

/// Lists the routes, one a line. Path and method stand in the `utoipa::path` attribute of the
/// handler.
fn router() -> OpenApiRouter<ApiState> {
    let tagged = OpenApiRouter::new()
        .routes(routes!(openapi::get_openapi))
        .routes(routes!(units::list_units))
        .routes(routes!(units::get_unit))
        .routes(routes!(units::list_tags))
        .routes(routes!(units::get_tag))
        .routes(routes!(persons::list_persons))
        .routes(routes!(persons::get_person))
        .routes(routes!(directory_write::create_unit))
        .routes(routes!(directory_write::update_unit))
        .routes(routes!(directory_write::delete_unit))
        .routes(routes!(directory_write::create_person))
        .routes(routes!(directory_write::update_person))
        .routes(routes!(directory_write::delete_person))
        .routes(routes!(conflicts::list_conflicts))
        .routes(routes!(conflicts::resolve_conflict))
        .routes(routes!(changes::list_changes))
        .routes(routes!(sync::list_runs))
        .routes(routes!(sync::request_run))
        .routes(routes!(sync::get_run))
        .layer(from_fn(etag::add_etag));
    OpenApiRouter::with_openapi(OpenApi::default())
        .merge(tagged)
        .routes(routes!(messages::send_message))
        .routes(routes!(messages::get_message))
        .routes(routes!(messages::recall_message))
        .routes(routes!(sessions::list_sessions))
        .routes(routes!(sessions::end_sessions_of_person))
        .routes(routes!(sessions::end_session))
}

//! `/api/v1`: for applications, with an API client's credentials.
//!
//! | module | holds |
//! |---|---|
//! | `units`, `persons`, `changes` | the directory to read: `/directory/{units,tags,persons,changes}` |
//! | `directory_write`, `input` | local entries: `POST`, `PATCH` and `DELETE` of units and persons |
//! | `conflicts` | `/directory/conflicts`: whether two persons are one |
//! | `sync` | `/directory/sync`: asking for a run, and how runs went |
//! | `messages`, `media` | `/messages` and `/media`: sending, files for it, and what became of it |
//! | `sessions` | `/sessions`: who is signed in, and signing them out |
//! | [`openapi`] | all of it as a document |
//! | `auth`, `asked`, `shape`, `etag` | what the calls share: credentials, parameters and pages, shapes, caching |

mod auth;
mod changes;
mod conflicts;
mod directory_write;
mod etag;
mod input;
mod media;
mod messages;
pub mod openapi;
mod persons;
mod query;
mod schema;
mod sessions;
mod sync;
mod units;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn;
use utoipa::openapi::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::base::clock::Clock;
use crate::config::ApiClient;
use crate::db::Db;
use crate::http::client_ip::TrustedProxies;
use crate::http::rate_limit::RateLimit;
use crate::message::Messages;
use crate::session::Sessions;
use crate::sync::SyncService;

/// What the API needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ApiState(Arc<ApiParts>);

/// Its parts.
#[derive(Debug, Clone)]
pub struct ApiParts {
    /// Who may call.
    pub clients: Vec<ApiClient>,
    /// Rows.
    pub db: Db,
    /// What time it is.
    pub clock: Clock,
    /// Who is signed in, and the chart.
    pub sessions: Sessions,
    /// Runs.
    pub sync: SyncService,
    /// Messages.
    pub messages: Messages,
    /// Which hops are ours.
    pub trusted_proxies: TrustedProxies,
    /// Wrong credentials per address.
    pub wrong_credentials: RateLimit,
}

impl ApiState {
    /// Puts the parts together.
    pub fn new(parts: ApiParts) -> Self {
        Self(Arc::new(parts))
    }

    /// The same API for other clients.
    #[must_use]
    pub fn reconfigured(&self, clients: Vec<ApiClient>, sessions: Sessions, trusted: TrustedProxies) -> Self {
        Self(Arc::new(ApiParts { clients, sessions, trusted_proxies: trusted, ..ApiParts::clone(&self.0) }))
    }
}

/// Every path of the API but those of [`uploads`].
pub fn routes(api: ApiState) -> Router {
    router().split_for_parts().0.with_state(api)
}

/// The paths that take files: their bodies are limited around all of it, not by axum.
pub fn upload_routes(api: ApiState) -> Router {
    upload_router().split_for_parts().0.layer(DefaultBodyLimit::disable()).with_state(api)
}

fn upload_router() -> OpenApiRouter<ApiState> {
    OpenApiRouter::with_openapi(OpenApi::default()).routes(routes!(media::upload))
}

/// A line a route: its path and method stand with the handler, which is routed and documented by them.
fn router() -> OpenApiRouter<ApiState> {
    let tagged = OpenApiRouter::new()
        .routes(routes!(openapi::answer))
        .routes(routes!(units::list))
        .routes(routes!(units::one))
        .routes(routes!(units::list_tags))
        .routes(routes!(units::one_tag))
        .routes(routes!(persons::list))
        .routes(routes!(persons::one))
        .routes(routes!(directory_write::create_unit))
        .routes(routes!(directory_write::update_unit))
        .routes(routes!(directory_write::delete_unit))
        .routes(routes!(directory_write::create_person))
        .routes(routes!(directory_write::update_person))
        .routes(routes!(directory_write::delete_person))
        .routes(routes!(conflicts::list))
        .routes(routes!(conflicts::resolve))
        .routes(routes!(changes::list))
        .routes(routes!(sync::list))
        .routes(routes!(sync::request))
        .routes(routes!(sync::one))
        .layer(from_fn(etag::add_etag));
    OpenApiRouter::with_openapi(OpenApi::default())
        .merge(tagged)
        .routes(routes!(messages::send))
        .routes(routes!(messages::one))
        .routes(routes!(messages::recall))
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::end_of_person))
        .routes(routes!(sessions::end_one))
}

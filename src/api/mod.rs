//! `/api/v1`: for applications, with an API client's credentials.

mod auth;
mod conflicts;
mod directory_write;
mod sessions;
pub mod shape;

use std::sync::Arc;

use axum::Router;
use axum::routing::{delete, get};

use crate::base::clock::Clock;
use crate::config::ApiClient;
use crate::db::Db;
use crate::http::client_ip::TrustedProxies;
use crate::http::rate_limit::RateLimit;
use crate::session::Sessions;

/// What the API needs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    clients: Vec<ApiClient>,
    db: Db,
    clock: Clock,
    sessions: Sessions,
    trusted: TrustedProxies,
    /// Wrong credentials per address.
    wrong: RateLimit,
}

impl Api {
    /// Puts the parts together.
    pub fn new(
        clients: Vec<ApiClient>,
        db: Db,
        clock: Clock,
        sessions: Sessions,
        trusted: TrustedProxies,
        wrong: RateLimit,
    ) -> Self {
        Self(Arc::new(Inner { clients, db, clock, sessions, trusted, wrong }))
    }
}

/// Every path of the API.
pub fn routes(api: Api) -> Router {
    Router::new()
        .route("/api/v1/sessions", get(sessions::list).delete(sessions::end_of_person))
        .route("/api/v1/sessions/{sid}", delete(sessions::end_one))
        .merge(directory_write::routes())
        .merge(conflicts::routes())
        .with_state(api)
}

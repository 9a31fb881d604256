//! Publishes what others need to verify our signatures: the JWKS (RFC 7517). The OpenID provider
//! itself is not built yet.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::session::Sessions;
use crate::session::keys::JWKS_MAX_AGE;

/// Builds the router of `/.well-known/jwks.json`.
pub(crate) fn routes(sessions: Sessions) -> Router {
    Router::new().route("/.well-known/jwks.json", get(handle_jwks)).with_state(sessions)
}

async fn handle_jwks(State(sessions): State<Sessions>) -> impl IntoResponse {
    let cache = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    ([(CACHE_CONTROL, cache)], Json(json!({ "keys": sessions.jwks() })))
}

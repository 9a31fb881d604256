//! Publishes what others need to verify our signatures: the JWKS (RFC 7517). The OpenID provider
//! itself is not built yet.

use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;

use crate::keys::{JWKS_MAX_AGE, SigningKeys};

/// Builds the router of `/.well-known/jwks.json`.
pub(crate) fn routes(keys: SigningKeys) -> Router {
    Router::new().route("/.well-known/jwks.json", get(handle_jwks)).with_state(keys)
}

async fn handle_jwks(State(keys): State<SigningKeys>) -> impl IntoResponse {
    let cache = format!("public, max-age={}", JWKS_MAX_AGE.as_secs());
    ([(CACHE_CONTROL, cache)], Json(json!({ "keys": keys.jwks() })))
}

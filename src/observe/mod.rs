//! Health, readiness and metrics, for whoever operates the gateway. On the admin listener only,
//! except for `/healthz`.

pub(crate) mod telemetry;

use std::sync::Arc;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use parking_lot::Mutex;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use crate::base::clock::Clock;
use crate::session::Sessions;

/// The state that the admin listener reads.
#[derive(Debug, Clone)]
pub(crate) struct ObserveState {
    sessions: Sessions,
    clock: Clock,
    stopping: CancellationToken,
    registry: Arc<Mutex<Registry>>,
    live_sessions: Gauge,
    refresh_age: Gauge,
}

impl ObserveState {
    /// Builds it. `registry` contains the metrics of every other room; cancelling `stopping` makes
    /// this instance not ready.
    pub(crate) fn new(
        sessions: Sessions,
        clock: Clock,
        stopping: CancellationToken,
        mut registry: Registry,
    ) -> Self {
        let (live_sessions, refresh_age) = (Gauge::default(), Gauge::default());
        registry.register(
            "sessions_in_memory",
            "Session tokens that checks can answer from memory",
            live_sessions.clone(),
        );
        registry.register(
            "store_refresh_age_milliseconds",
            "Time since memory last agreed with the database",
            refresh_age.clone(),
        );
        Self {
            sessions,
            clock,
            stopping,
            registry: Arc::new(Mutex::new(registry)),
            live_sessions,
            refresh_age,
        }
    }

    /// Returns the same metrics and readiness with other session settings.
    #[must_use]
    pub(crate) fn reconfigured(&self, sessions: Sessions) -> Self {
        Self { sessions, ..self.clone() }
    }
}

/// Builds the router of `/healthz`, `/readyz` and `/metrics`.
pub(crate) fn routes(observe: ObserveState) -> Router {
    Router::new()
        .route("/healthz", get(handle_healthz))
        .route("/readyz", get(handle_readyz))
        .route("/metrics", get(handle_metrics))
        .with_state(observe)
}

/// Answers that the process runs. It checks nothing else: nobody should restart the gateway because
/// the database is down.
pub(crate) async fn handle_healthz() -> &'static str {
    "ok\n"
}

async fn handle_readyz(State(observe): State<ObserveState>) -> Response {
    let mut reasons = Vec::new();
    if observe.stopping.is_cancelled() {
        reasons.push("stopping");
    }
    if !observe.sessions.replica().is_fresh(observe.clock.now()) {
        reasons.push("the database does not answer");
    }
    if observe.sessions.replica().clock_is_behind() {
        reasons.push("this machine's clock is more than a minute behind the newest row of the database");
    }
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}

async fn handle_metrics(State(observe): State<ObserveState>) -> Response {
    // Gauges are set when they are read.
    observe.live_sessions.set(i64::try_from(observe.sessions.count_in_memory()).unwrap_or(i64::MAX));
    let age = observe.clock.now().since(observe.sessions.replica().refreshed_at());
    observe.refresh_age.set(i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
    let mut text = String::new();
    match prometheus_client::encoding::text::encode(&mut text, &observe.registry.lock()) {
        Ok(()) => ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
            .into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

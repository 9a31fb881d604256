//! The gate: forward authentication for applications behind a reverse proxy.
//!
//! A proxy asks before it passes a request on: nginx at `/auth/nginx`. The checker (`check`) leads a
//! check through these files, in this order:
//!
//! | file | step |
//! |---|---|
//! | [`proxy`] | what each kind of proxy says: the headers it describes a request with, the answers it understands |
//! | [`request`] | read the original request from one family of headers, from a trusted proxy only |
//! | [`crate::session`] | find out who is signed in |
//! | [`code_removal`] | on public_url's host, keep WeCom's codes away from applications |
//! | [`path`], [`readings`] | list every way in which an application may understand the path |
//! | [`glob`], [`rules`] | decide: [`rules::decide_access()`] is pure; the first matching rule decides, once for each reading |
//! | `check::respond` | allow with identity headers, ask to sign in, deny; the proxy's file gives it the form |
//!
//! The other files stand beside a check: [`explain`](mod@explain) explains the same decision in
//! words, [`denied_page`] shows it to the person who was denied, [`metrics`] counts, `jobs` writes what
//! checks noticed, and `settings` reads the configuration.
//!
//! Whatever goes wrong ends in a refusal. Only [`rules::Decision::Allow`] leads to a 2xx.

mod check;
pub(crate) mod code_removal;
pub(crate) mod denied_page;
pub(crate) mod explain;
pub(crate) mod glob;
mod jobs;
pub(crate) mod metrics;
pub(crate) mod path;
pub(crate) mod proxy;
pub(crate) mod readings;
pub(crate) mod request;
pub(crate) mod rules;
mod settings;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::response::Response;
use axum::routing::any;

use crate::http::client_ip::Peer;
use crate::session::Sessions;

use check::ReceivedCheck;
use check::respond::CheckResponse;
use proxy::{PROXIES, ProxyProtocol};

pub(crate) use check::{Denial, FirstMatch, GateParts};
pub(crate) use explain::{AccessOutcome, Explanation, explain_decision};
pub(crate) use jobs::{GateOutputs, GateReports, jobs, open_queues};
pub(crate) use metrics::GateMetrics;
pub(crate) use rules::{AccessRules, ResolvedRules};
pub(crate) use settings::build_parts;

/// The gate of a running gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub struct GateState {
    checker: Arc<check::Checker>,
    sessions: Sessions,
    /// The rules as they were last resolved.
    resolved: Arc<ArcSwap<ResolvedRules>>,
}

impl GateState {
    /// Builds a gate from `parts`. `sessions` tells who is signed in.
    pub fn new(parts: GateParts, sessions: Sessions) -> Self {
        let checker = check::Checker::new(parts);
        let (chart, bindings) =
            (Arc::clone(&sessions.replica().chart()), Arc::clone(&sessions.replica().bindings()));
        let resolved = ResolvedRules::new(Arc::clone(checker.rules()), chart, bindings);
        Self { checker: Arc::new(checker), sessions, resolved: Arc::new(ArcSwap::from_pointee(resolved)) }
    }

    /// Returns the rules as they apply to the current chart. The first call after a change resolves
    /// them again.
    pub fn resolved_rules(&self) -> Guard<Arc<ResolvedRules>> {
        let known = self.resolved.load();
        let (chart, bindings) = (self.sessions.replica().chart(), self.sessions.replica().bindings());
        if known.is_built_from(&chart, &bindings) {
            return known;
        }
        let rules = Arc::clone(self.checker.rules());
        let changed = ResolvedRules::new(rules, Arc::clone(&chart), Arc::clone(&bindings));
        for sentence in changed.unmatched_elements() {
            tracing::debug!("{sentence}");
        }
        // Two checks may do this at the same time; both store the same result.
        self.resolved.store(Arc::new(changed));
        self.resolved.load()
    }

    /// Answers a check of `proxy`: whether the request that it describes may pass.
    ///
    /// Takes what a listener has at hand, so that it can be asked without a router.
    pub(crate) async fn check(
        &self,
        proxy: &ProxyProtocol,
        peer: Option<Peer>,
        parts: &Parts,
    ) -> CheckResponse {
        let check = ReceivedCheck { proxy, peer, parts };
        let original = match self.checker.read_original(check) {
            Ok(original) => original,
            Err(refusal) => return self.checker.refuse(check, refusal),
        };
        // A public page is also told who is signed in, so the session is looked up in any case.
        let session = self.sessions.check(&parts.headers, &original.origin).await;
        let session = session.as_ref().map_err(|why| *why);
        self.checker.answer(check, &original, session, &self.resolved_rules(), |s, origin| {
            self.sessions.assertion(s, origin).map(|a| a.to_string())
        })
    }
}

/// Builds the router of the checks, one route for each kind of proxy. It accepts every method: nginx
/// would turn a 405 into its own 500.
pub(crate) fn check_routes(gate: GateState) -> Router {
    let add = |routes: Router<GateState>, proxy: &&'static ProxyProtocol| {
        let proxy = *proxy;
        let answer = async move |State(gate): State<GateState>, request: Request| {
            // The whole request is taken because axum's `HeaderMap` would copy every header.
            let (parts, _body) = request.into_parts();
            let peer = parts.extensions.get::<Peer>().copied();
            into_streamed(gate.check(proxy, peer, &parts).await)
        };
        routes.route(proxy.route, any(answer))
    };
    PROXIES.iter().fold(Router::new(), add).with_state(gate)
}

/// An empty body is not boxed.
fn into_streamed(response: CheckResponse) -> Response {
    response.map(|body| if body.is_empty() { Body::empty() } else { Body::from(body) })
}

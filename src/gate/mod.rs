//! The gate: forward authentication for applications behind a reverse proxy.
//!
//! nginx asks `GET /auth/nginx` before it passes a request on. The checker (`check`) leads a check
//! through these files, in this order:
//!
//! | file | step |
//! |---|---|
//! | [`request`] | read the original request from one family of headers, from a trusted proxy only |
//! | [`crate::session`] | find out who is signed in |
//! | [`code_removal`] | on public_url's host, keep WeCom's codes away from applications |
//! | [`path`], [`readings`] | list every way in which an application may understand the path |
//! | [`glob`], [`rules`] | decide: [`rules::decide_access()`] is pure; the first matching rule decides, once for each reading |
//! | [`respond`] | answer 200 with identity headers, 401 with the way to sign in, or 403; nothing else |
//!
//! The other files stand beside a check: [`explain`](mod@explain) explains the same decision in
//! words, [`denied_page`] shows it to the person who was denied, and [`metrics`] counts.
//!
//! Whatever goes wrong ends in 401 or 403. Only [`rules::Decision::Allow`] leads to a 200.

mod check;
pub(crate) mod code_removal;
pub(crate) mod denied_page;
pub(crate) mod explain;
pub(crate) mod glob;
pub(crate) mod metrics;
pub(crate) mod path;
pub(crate) mod readings;
pub(crate) mod request;
pub(crate) mod respond;
pub(crate) mod rules;

use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use axum::extract::{Request, State};
use axum::response::Response;

use crate::http::client_ip::Peer;
use crate::session::Sessions;

pub(crate) use check::{Denial, FirstMatch, GateParts};
pub(crate) use explain::{AccessOutcome, Explanation, explain_decision};
pub(crate) use metrics::GateMetrics;
pub(crate) use rules::{AccessRules, ResolvedRules};

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
}

/// Answers 200, 401 or 403 to an nginx `auth_request` (`/auth/nginx`).
///
/// Takes the whole request because axum's `HeaderMap` extractor would copy every header.
pub(crate) async fn check_nginx(State(gate): State<GateState>, request: Request) -> Response {
    let (parts, _body) = request.into_parts();
    let peer = parts.extensions.get::<Peer>().copied();
    let original = match gate.checker.nginx_request(peer, &parts.headers) {
        Ok(original) => original,
        Err(refusal) => return gate.checker.refuse(refusal, peer, &parts.headers),
    };
    // A public page is also told who is signed in, so the session is looked up in any case.
    let session = gate.sessions.check(&parts.headers, &original.origin).await;
    let session = session.as_ref().map_err(|why| *why);
    let answer =
        gate.checker.answer(peer, &parts.headers, &original, session, &gate.resolved_rules(), |s, origin| {
            gate.sessions.assertion(s, origin).map(|a| a.to_string())
        });
    respond::mark_own_authorization(answer, &parts.headers)
}

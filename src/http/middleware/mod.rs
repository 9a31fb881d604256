//! The layers that every request passes: request id, log line, limits, and an end for panics.
//!
//! [`build_public_router`] puts them around two kinds of routes. *Ordinary* routes are for people
//! and programs: whatever goes wrong there ends as a page or a problem document with a code and a
//! request id, even if axum itself answered a bare 404 or 413. *Checks* are what nginx asks before
//! every request of every application: thousands a second, and anything but 2xx, 401 and 403
//! becomes nginx's own 500. So checks pass only the safe minimum, and a panic there is a refusal.

mod log;

use std::any::Any;
use std::convert::Infallible;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse as _, Response};
use chrono_tz::Tz;
use tower::{Layer, Service};
use tower_http::csrf::{CsrfLayer, ProtectionError};
use tower_http::limit::RequestBodyLimitLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tracing::Instrument as _;

pub(crate) use super::request_id::RequestId;

use self::log::LogLine;
use super::audience::Audience;
use super::client_ip::{Peer, TrustedProxies};
use super::failure::{Failure, FailureReport};
use super::page::{PageContext, PageRenderer};
use super::request_id::RequestIdGenerator;
use super::words::Code;
use crate::base::clock::Clock;

/// The longest body that an ordinary route takes.
pub(crate) const MAX_BODY_BYTES: usize = 64 * 1024;

/// The longest body of a call of an application.
pub(crate) const MAX_API_BODY_BYTES: usize = 1024 * 1024;

/// The longest body of an upload: the largest file that WeCom takes, and the form around it.
pub(crate) const MAX_UPLOAD_BODY_BYTES: usize = 21 * 1024 * 1024;

const X_REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The settings of the middleware.
#[derive(Debug, Clone)]
pub(crate) struct MiddlewareParts {
    /// Renders the failures that no handler answered.
    pub pages: PageRenderer,
    /// The time on those pages.
    pub clock: Clock,
    /// The zone of that time.
    pub time_zone: Tz,
    /// Whose request ids are accepted, and which addresses are not the client's.
    pub proxies: TrustedProxies,
}

/// The routes of the public listener, by the layers that they pass.
#[derive(Debug)]
pub(crate) struct PublicRoutes<S = ()> {
    /// Routes for people and programs.
    pub ordinary: Router<S>,
    /// Routes of the API, for applications.
    pub api: Router<S>,
    /// Routes of the API that take files.
    pub uploads: Router<S>,
    /// Checks that nginx asks for.
    pub checks: Router<S>,
}

/// Builds the public listener's router.
///
/// Every answer gets the header `X-Request-Id`. Ordinary routes also get: the [`RequestId`] as an
/// extension, a span with it, a log line, bodies of at most [`MAX_BODY_BYTES`], refusal of
/// cross-site POSTs, and `nosniff`, `no-referrer` and `no-store` unless a handler says otherwise.
/// The routes of `api` and `uploads` differ from them only in [`MAX_API_BODY_BYTES`] and
/// [`MAX_UPLOAD_BODY_BYTES`], which are counted while a body arrives, whatever length it claims.
pub(crate) fn build_public_router<S>(routes: PublicRoutes<S>, parts: MiddlewareParts) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let PublicRoutes { ordinary, api, uploads, checks } = routes;
    let shared = Arc::new(MiddlewareState { parts, ids: RequestIdGenerator::new() });
    let default = |name: HeaderName, value: &'static str| {
        SetResponseHeaderLayer::if_not_present(name, HeaderValue::from_static(value))
    };
    let ordinary = ordinary
        .layer(RequestBodyLimitLayer::new(MAX_BODY_BYTES))
        .merge(api.layer(RequestBodyLimitLayer::new(MAX_API_BODY_BYTES)))
        .merge(uploads.layer(RequestBodyLimitLayer::new(MAX_UPLOAD_BODY_BYTES)))
        .layer(CsrfLayer::new())
        // Outside the limits and the check of origins, so that it replaces their bare answers too.
        .layer(EdgeLayer { shared: Arc::clone(&shared), route: RouteKind::Ordinary })
        // Outermost, so that the pages of the edge get these headers too.
        .layer(default(X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(default(REFERRER_POLICY, "no-referrer"))
        .layer(default(CACHE_CONTROL, "no-store"));
    // Of two default fallbacks axum keeps the merged router's, so the 404 is an ordinary answer.
    checks.layer(EdgeLayer { shared, route: RouteKind::Check }).merge(ordinary)
}

#[derive(Debug)]
struct MiddlewareState {
    parts: MiddlewareParts,
    ids: RequestIdGenerator,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RouteKind {
    Ordinary,
    Check,
}

#[derive(Debug, Clone)]
struct EdgeLayer {
    shared: Arc<MiddlewareState>,
    route: RouteKind,
}

#[derive(Debug, Clone)]
struct EdgeService<S> {
    inner: S,
    shared: Arc<MiddlewareState>,
    route: RouteKind,
}

impl<S> Layer<S> for EdgeLayer {
    type Service = EdgeService<S>;

    fn layer(&self, inner: S) -> EdgeService<S> {
        EdgeService { inner, shared: Arc::clone(&self.shared), route: self.route }
    }
}

impl<S> Service<Request> for EdgeService<S>
where
    S: Service<Request, Response = Response, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        let id = self.shared.request_id(&request);
        match self.route {
            RouteKind::Check => {
                let seen =
                    log::checks_are_logged().then(|| (Instant::now(), self.shared.logged_request(&request)));
                // A service may panic in `call` already, before there is a future to poll.
                let inner = catch_unwind(AssertUnwindSafe(|| self.inner.call(request)));
                Box::pin(async move {
                    let mut response = catch_panic(inner).await.unwrap_or_else(|panic| {
                        tracing::error!(request.id = %id, panic = ?panic_message(&panic), "A check panicked and was refused");
                        StatusCode::FORBIDDEN.into_response()
                    });
                    if let Some((began, seen)) = seen {
                        seen.line(&id).log_check(response.status(), began.elapsed());
                    }
                    response.headers_mut().insert(X_REQUEST_ID, id.header());
                    Ok(response)
                })
            }
            RouteKind::Ordinary => {
                let began = Instant::now();
                request.extensions_mut().insert(id.clone());
                let seen = self.shared.logged_request(&request);
                let caller = self.shared.failure_responder(&request, &id);
                let span = tracing::info_span!("request", request.id = %id, method = seen.method, path = seen.path());
                let inner = span.in_scope(|| catch_unwind(AssertUnwindSafe(|| self.inner.call(request))));
                let shared = Arc::clone(&self.shared);
                let answered = async move {
                    let mut response = match catch_panic(inner).await {
                        Ok(response) => caller.replace_bare_error(&shared.parts.pages, response),
                        Err(panic) => {
                            tracing::error!(panic = ?panic_message(&panic), "A handler panicked");
                            caller.failure(&shared.parts.pages, Code::Internal)
                        }
                    };
                    seen.line(&id).log_answer(&response, began.elapsed());
                    response.headers_mut().insert(X_REQUEST_ID, id.header());
                    Ok(response)
                };
                Box::pin(answered.instrument(span))
            }
        }
    }
}

/// Runs the inner service and returns a panic as a value.
async fn catch_panic<F>(inner: Result<F, Box<dyn Any + Send>>) -> Result<Response, Box<dyn Any + Send>>
where
    F: Future<Output = Result<Response, Infallible>>,
{
    let mut inner = pin!(inner?);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| inner.as_mut().poll(cx))) {
        Ok(poll) => poll.map(|Ok(response)| Ok(response)),
        Err(panic) => Poll::Ready(Err(panic)),
    })
    .await
}

fn panic_message(panic: &Box<dyn Any + Send>) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("not a text")
}

/// The fields of a request for its log line, kept while the request itself is being answered.
struct LoggedRequest {
    method: String,
    path: Option<MatchedPath>,
    client: Option<std::net::IpAddr>,
}

impl LoggedRequest {
    fn path(&self) -> &str {
        // Only the route as we wrote it: a path that matches no route may hold anything.
        self.path.as_ref().map_or("(no route)", MatchedPath::as_str)
    }

    fn line<'a>(&'a self, request_id: &'a RequestId) -> LogLine<'a> {
        LogLine { method: &self.method, path: self.path(), client: self.client, request_id }
    }
}

impl MiddlewareState {
    /// Returns the trusted proxy's id for the request, or a new one. Clients choose no ids, because
    /// these stand in our log.
    fn request_id(&self, request: &Request) -> RequestId {
        let trusted = request.extensions().get::<Peer>().is_some_and(|peer| self.parts.proxies.trusts(*peer));
        let given = || RequestId::parse(request.headers().get(X_REQUEST_ID)?.as_bytes());
        if trusted { given().unwrap_or_else(|| self.ids.next()) } else { self.ids.next() }
    }

    fn logged_request(&self, request: &Request) -> LoggedRequest {
        let peer = request.extensions().get::<Peer>();
        LoggedRequest {
            method: request.method().as_str().to_owned(),
            path: request.extensions().get::<MatchedPath>().cloned(),
            client: peer.and_then(|peer| self.parts.proxies.client(*peer, request.headers())),
        }
    }

    fn failure_responder(&self, request: &Request, id: &RequestId) -> FailureResponder {
        let (headers, parts) = (request.headers(), &self.parts);
        let is_api = request.uri().path().starts_with("/api/");
        FailureResponder {
            view: PageContext::from_headers(headers, id, parts.clock.now(), parts.time_zone),
            wants_json: is_api || Audience::from_headers(headers, None) == Audience::Program,
            is_api,
        }
    }
}

/// Answers the caller of an ordinary route when something went wrong.
struct FailureResponder {
    view: PageContext,
    wants_json: bool,
    is_api: bool,
}

impl FailureResponder {
    fn failure(&self, pages: &PageRenderer, code: Code) -> Response {
        let failure = Failure { retry: Some("/".to_owned()), ..Failure::new(code) };
        if self.wants_json {
            PageRenderer::problem(&self.view, &failure)
        } else {
            pages.failure(&self.view, &failure)
        }
    }

    /// Replaces an error that no handler of ours wrote (axum's bare 404, an extractor's rejection,
    /// an answer of the limits) with one in our form. An answer that has a code, or a form of its
    /// own, stays.
    fn replace_bare_error(&self, pages: &PageRenderer, response: Response) -> Response {
        let status = response.status();
        let (headers, extensions) = (response.headers(), response.extensions());
        let plain = headers.get(CONTENT_TYPE).is_none_or(|kind| kind.as_bytes().starts_with(b"text/plain"));
        // Plain text is how axum and its layers answer errors by themselves.
        if !(status.is_client_error() || status.is_server_error())
            || !plain
            || extensions.get::<FailureReport>().is_some()
        {
            return response;
        }
        let code = match status {
            _ if extensions.get::<ProtectionError>().is_some() => Code::CrossSite,
            StatusCode::NOT_FOUND if self.is_api => Code::NotFound,
            StatusCode::NOT_FOUND => Code::PageNotFound,
            StatusCode::METHOD_NOT_ALLOWED => Code::MethodNotAllowed,
            StatusCode::PAYLOAD_TOO_LARGE => Code::TooLarge,
            _ if status.is_server_error() => Code::Internal,
            StatusCode::BAD_REQUEST
            | StatusCode::UNPROCESSABLE_ENTITY
            | StatusCode::UNSUPPORTED_MEDIA_TYPE => {
                if self.is_api {
                    Code::BadRequest
                } else {
                    Code::Invalid
                }
            }
            // 401 and 403 without a code are a handler's own decision and complete as they are.
            _ => return response,
        };
        let mut dressed = self.failure(pages, code);
        // RFC 9110 §15.5.6 requires Allow with a 405.
        if let Some(allow) = headers.get(ALLOW) {
            dressed.headers_mut().insert(ALLOW, allow.clone());
        }
        dressed
    }
}

#[cfg(test)]
mod tests;

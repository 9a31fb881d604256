//! A page that is the same for everybody who asks in the same language, and may therefore be kept.

use axum::body::Body;
use axum::http::header::{ACCEPT_LANGUAGE, CACHE_CONTROL, ETAG, VARY};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;

use super::policy::ContentSecurityPolicy;
use super::protect;
use crate::base::secret::sha256;
use crate::http::etag::matches_etag;

/// Answers with `html`, or with 304 where the browser has exactly this page. Browsers keep it and
/// ask each time whether it is still the same.
pub(crate) fn respond_cacheable(request: &HeaderMap, status: StatusCode, html: String) -> Response {
    let etag = format!("\"{}\"", hex::encode(sha256(html.as_bytes())));
    let is_known = status == StatusCode::OK && matches_etag(request, &etag);
    let mut response = Response::new(if is_known { Body::empty() } else { Body::from(html) });
    *response.status_mut() = if is_known { StatusCode::NOT_MODIFIED } else { status };
    let headers = response.headers_mut();
    protect(headers, &ContentSecurityPolicy::default());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(VARY, HeaderValue::from(ACCEPT_LANGUAGE));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(ETAG, etag);
    }
    response
}

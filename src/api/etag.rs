//! ETags: whoever asks again for what has not changed is told so, without the body (RFC 9110 §8.8.3, §13.1.2).

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::http::middleware::RequestId;
use crate::http::problem::Problem;
use crate::http::words::Code;

/// What may keep an answer, and that it has to ask each time whether it still holds.
const CACHING: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Gives every good answer to a GET or HEAD a strong ETag, the BLAKE3 of its body, and answers 304 where the caller has
/// that one already.
pub(super) async fn tag(request_id: RequestId, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known =
        if reads { request.headers().get_all(IF_NONE_MATCH).iter().cloned().collect() } else { vec![] };
    let response = next.run(request).await;
    if !reads || response.status() != StatusCode::OK {
        return response;
    }
    let (parts, body) = response.into_parts();
    // The body is in memory already: reading it copies nothing and cannot fail.
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "An answer could not be read back");
            return Problem::new(Code::Internal, &request_id).into_response();
        }
    };
    let Ok(etag) = HeaderValue::try_from(etag(&body)) else {
        return Response::from_parts(parts, Body::from(body));
    };
    let same = is_known(&known, &etag);
    let mut headers = parts.headers.clone();
    headers.insert(CACHE_CONTROL, CACHING);
    headers.insert(ETAG, etag);
    if same {
        not_modified(headers)
    } else {
        let mut response = Response::from_parts(parts, Body::from(body));
        *response.headers_mut() = headers;
        response
    }
}

fn not_modified(mut headers: HeaderMap) -> Response {
    headers.remove(CONTENT_TYPE);
    headers.remove(CONTENT_LENGTH);
    (StatusCode::NOT_MODIFIED, headers).into_response()
}

fn etag(body: &Bytes) -> String {
    format!("\"{}\"", blake3::hash(body).to_hex())
}

/// Whether `If-None-Match` names it; a weak one compares like a strong one there (RFC 9110 §13.1.2).
fn is_known(known: &[HeaderValue], etag: &HeaderValue) -> bool {
    known
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .any(|one| one == b"*" || one.strip_prefix(b"W/").unwrap_or(one) == etag.as_bytes())
}

//! ETags (RFC 9110 §8.8.3). A repeated read of unchanged data is answered without a body, and a
//! change of an entry that somebody else has changed meanwhile is refused.
//!
//! An ETag is strong: the BLAKE3 hash of the body. Every call answers an entry of the directory
//! with the same bytes, so the ETag of a GET or of a change is the one that the next change may
//! name.

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::{CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, ETAG, IF_MATCH, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;

use super::auth::AuthenticatedClient;
use crate::http::middleware::RequestId;
use crate::http::problem::Problem;
use crate::http::words::Code;

/// Caches may store a response, but must revalidate it each time.
const CACHE_POLICY: HeaderValue = HeaderValue::from_static("private, no-cache");

/// Adds an ETag to every 200 response to a GET or HEAD, and answers 304 if the caller has that ETag
/// already.
pub(super) async fn add_etag(request_id: RequestId, request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let known = if reads { request.headers().clone() } else { HeaderMap::new() };
    let response = next.run(request).await;
    if !reads || response.status() != StatusCode::OK {
        return response;
    }
    let (parts, body) = response.into_parts();
    // The body is in memory already, so reading it copies nothing and cannot fail.
    let body = match to_bytes(body, usize::MAX).await {
        Ok(body) => body,
        Err(error) => {
            tracing::error!(%error, "An answer could not be read back");
            return Problem::new(Code::Internal, &request_id).into_response();
        }
    };
    let Some(etag) = compute_etag(&body) else { return Response::from_parts(parts, Body::from(body)) };
    let same = header_names_etag(&known, &IF_NONE_MATCH, &etag);
    let mut headers = parts.headers.clone();
    headers.insert(CACHE_CONTROL, CACHE_POLICY);
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

/// An entry of the directory with the ETag that a GET of it would answer.
#[derive(Debug)]
pub(super) struct TaggedEntry {
    json: Vec<u8>,
    etag: Option<HeaderValue>,
}

impl TaggedEntry {
    /// Serializes an entry and computes its ETag.
    pub(super) fn from_schema(
        shape: &impl Serialize,
        client: &AuthenticatedClient,
    ) -> Result<Self, Response> {
        let json = serde_json::to_vec(shape).map_err(|error| {
            tracing::error!(%error, "An entry of the directory could not be written as JSON");
            client.problem(Code::Internal)
        })?;
        Ok(Self { etag: compute_etag(&json), json })
    }

    /// Returns an error response if `If-Match` names another state of the entry. Without that
    /// header there is no condition.
    pub(super) fn check_if_match(
        &self,
        headers: &HeaderMap,
        client: &AuthenticatedClient,
    ) -> Result<(), Response> {
        let meant = self.etag.as_ref().is_some_and(|etag| header_names_etag(headers, &IF_MATCH, etag));
        if meant || !headers.contains_key(IF_MATCH) {
            Ok(())
        } else {
            Err(client.problem(Code::PreconditionFailed))
        }
    }

    /// Returns the response with the entry.
    pub(super) fn respond(self, status: StatusCode) -> Response {
        let json = HeaderValue::from_static("application/json");
        let mut response = (status, [(CONTENT_TYPE, json)], self.json).into_response();
        response.headers_mut().extend(self.etag.map(|etag| (ETAG, etag)));
        response
    }
}

/// Returns the ETag of a body. Hex between quotes is always a valid header.
fn compute_etag(body: &[u8]) -> Option<HeaderValue> {
    HeaderValue::try_from(format!("\"{}\"", blake3::hash(body).to_hex())).ok()
}

/// Returns whether the header names the ETag.
///
/// A weak one compares like a strong one in `If-None-Match` (RFC 9110 §13.1.2) and never matches in
/// `If-Match` (§13.1.1).
fn header_names_etag(headers: &HeaderMap, header: &HeaderName, etag: &HeaderValue) -> bool {
    let weak = *header == IF_NONE_MATCH;
    headers
        .get_all(header)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .map(<[u8]>::trim_ascii)
        .map(|one| one.strip_prefix(b"W/").filter(|_| weak).unwrap_or(one))
        .any(|one| one == b"*" || one == etag.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_etag_is_named_by_itself_in_a_list_or_by_a_star_and_by_a_weak_one_only_for_reading() {
        let etag = compute_etag(b"1").unwrap();
        let text = etag.to_str().unwrap();
        let named = |header: HeaderName, value: &str| {
            header_names_etag(
                &[(header.clone(), value.parse().unwrap())].into_iter().collect(),
                &header,
                &etag,
            )
        };
        for header in [IF_MATCH, IF_NONE_MATCH] {
            for value in [text, "*", &format!("\"x\", {text}")] {
                assert!(named(header.clone(), value), "{header}: {value}");
            }
            for value in ["\"x\"", "", text.trim_matches('"'), "W/\"x\""] {
                assert!(!named(header.clone(), value), "{header}: {value}");
            }
        }
        let weak = format!("W/{text}");
        assert!(named(IF_NONE_MATCH, &weak) && !named(IF_MATCH, &weak));
    }
}

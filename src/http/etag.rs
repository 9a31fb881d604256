//! Entity tags (RFC 9110 §8.8.3): whether a browser has the answer already.

use axum::http::HeaderMap;
use axum::http::header::IF_NONE_MATCH;

/// Whether If-None-Match names `etag` (RFC 9110 §13.1.2, weak comparison).
pub(super) fn matches_etag(headers: &HeaderMap, etag: &str) -> bool {
    headers
        .get_all(IF_NONE_MATCH)
        .iter()
        .flat_map(|h| h.as_bytes().split(|b| *b == b','))
        .map(<[u8]>::trim_ascii)
        .any(|tag| tag == b"*" || tag.strip_prefix(b"W/").unwrap_or(tag) == etag.as_bytes())
}

//! Who looks at an answer: the one test by which pages, problem documents and the gate's ways to
//! sign in are told apart.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// Who looks at the answer to a request, as far as its headers say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Audience {
    /// A browser navigates: a person sees the answer.
    Person,
    /// A script or another program reads it.
    Program,
    /// Nothing says so: an old browser's form, or a program that names no type.
    Unknown,
}

impl Audience {
    /// Judges a request by its headers.
    ///
    /// Browsers send `Sec-Fetch-Mode` with every request, so it decides alone. Where it is absent
    /// (old web views, http) a program is whoever sends `X-Requested-With`, or an Accept that names
    /// JSON and not HTML; a person, whoever accepts HTML with a GET or HEAD. `method` is `None` if
    /// it is not known.
    pub(crate) fn from_headers(headers: &HeaderMap, method: Option<&str>) -> Self {
        if let Some(mode) = headers.get("sec-fetch-mode") {
            let navigates = mode.as_bytes().eq_ignore_ascii_case(b"navigate");
            return if navigates { Self::Person } else { Self::Program };
        }
        if headers.contains_key("x-requested-with") {
            return Self::Program;
        }
        let accepts = |kind: &[u8]| accepts(headers, kind);
        match accepts(b"text/html") {
            true if method.is_none_or(is_safe_method) => Self::Person,
            true => Self::Unknown,
            false if accepts(b"application/json") || accepts(b"application/problem+json") => Self::Program,
            false => Self::Unknown,
        }
    }
}

/// Whether a request with this method can be repeated.
pub(crate) fn is_safe_method(method: &str) -> bool {
    method == "GET" || method == "HEAD"
}

/// Whether an Accept header names `kind`.
fn accepts(headers: &HeaderMap, kind: &[u8]) -> bool {
    let ranges = headers.get_all(ACCEPT).iter().flat_map(|accept| accept.as_bytes().split(|b| *b == b','));
    ranges
        .filter_map(|range| range.split(|b| *b == b';').next())
        .any(|range| range.trim_ascii().eq_ignore_ascii_case(kind))
}

#[cfg(test)]
mod tests {
    use super::Audience::{Person, Program, Unknown};
    use super::*;

    #[test]
    fn navigations_are_a_persons_and_what_scripts_fetch_is_a_programs() {
        let html = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");
        let json = ("accept", "Application/JSON; charset=utf-8");
        for (method, pairs, audience) in [
            ("GET", &[("sec-fetch-mode", "navigate"), html][..], Person),
            ("POST", &[("sec-fetch-mode", "Navigate")], Person),
            ("GET", &[("sec-fetch-mode", "navigate"), json, ("x-requested-with", "X")], Person),
            ("GET", &[("sec-fetch-mode", "cors"), html], Program),
            ("GET", &[("sec-fetch-mode", "no-cors"), html], Program),
            ("GET", &[("sec-fetch-mode", "websocket")], Program),
            ("GET", &[("x-requested-with", "XMLHttpRequest"), html], Program),
            ("GET", &[html], Person),
            ("HEAD", &[html], Person),
            ("POST", &[html], Unknown),
            ("GET", &[("accept", "text/html, application/json;q=0.5")], Person),
            ("GET", &[("accept", "x-text/html")], Unknown),
            ("GET", &[json], Program),
            ("POST", &[json], Program),
            ("GET", &[("accept", "application/problem+json")], Program),
            ("GET", &[("accept", "*/*")], Unknown),
            ("GET", &[], Unknown),
        ] {
            let headers = pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>();
            assert_eq!(Audience::from_headers(&headers, Some(method)), audience, "{method} {pairs:?}");
        }
    }

    #[test]
    fn without_a_method_html_is_for_a_person() {
        let headers = HeaderMap::from_iter([(ACCEPT, "text/html".parse().unwrap())]);
        assert_eq!(Audience::from_headers(&headers, None), Person);
    }
}

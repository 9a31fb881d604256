//! Who looks at an answer: the one test by which pages, problem documents and the gate's ways to
//! sign in are told apart.

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

const HTML: &[u8] = b"text/html";

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
    /// it is not known. An Accept that is no list of media types but has `text/html` somewhere
    /// accepts HTML: old web views write it so, and without a way to sign in they get nowhere.
    pub(crate) fn from_headers(headers: &HeaderMap, method: Option<&str>) -> Self {
        if let Some(mode) = headers.get("sec-fetch-mode") {
            let navigates = mode.as_bytes().eq_ignore_ascii_case(b"navigate");
            return if navigates { Self::Person } else { Self::Program };
        }
        if headers.contains_key("x-requested-with") {
            return Self::Program;
        }
        let accepts = |kind: &[u8]| accepts(headers, kind);
        let accepts_json = accepts(b"application/json") || accepts(b"application/problem+json");
        if accepts(HTML) || (!accepts_json && mentions_html(headers)) {
            if method.is_none_or(is_safe_method) { Self::Person } else { Self::Unknown }
        } else if accepts_json {
            Self::Program
        } else {
            Self::Unknown
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

/// Whether an Accept header has HTML's name anywhere.
fn mentions_html(headers: &HeaderMap) -> bool {
    let has_name = |accept: &[u8]| accept.windows(HTML.len()).any(|part| part.eq_ignore_ascii_case(HTML));
    headers.get_all(ACCEPT).iter().any(|accept| has_name(accept.as_bytes()))
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
            ("GET", &[("accept", "Text/HTML application/xml")], Person),
            ("GET", &[("accept", "*/*;text/html")], Person),
            ("POST", &[("accept", "text/html application/xml")], Unknown),
            ("GET", &[("accept", "application/json;profile=\"text/html\"")], Program),
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

//! `/docs/` as a browser sees it.

use std::collections::BTreeSet;

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use gongpai::testing::http::language::Language;
use gongpai::testing::manual::routes::routes;
use gongpai::testing::manual::{INDEX, language_folder, list_names};
use tower::ServiceExt as _;

use crate::LANGUAGES;

async fn get(path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = Request::get(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    routes().oneshot(request.body(Body::empty()).expect("a request")).await.expect("an answer")
}

async fn text(response: Response) -> String {
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn header<'a>(response: &'a Response, name: &str) -> &'a str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("text"))
}

/// The values of an attribute.
fn values<'a>(html: &'a str, attribute: &str) -> Vec<&'a str> {
    let marker = format!(" {attribute}=\"");
    let starts = html.match_indices(&marker).map(|(at, _)| &html[at + marker.len()..]);
    starts.filter_map(|rest| rest.split('"').next()).collect()
}

#[tokio::test]
async fn the_index_is_in_the_language_of_the_browser() {
    for (accepted, lang) in [("zh-CN,zh;q=0.9", "zh-CN"), ("en-US,en;q=0.9", "en"), ("de", "en")] {
        let response = get("/docs/", &[("accept-language", accepted)]).await;
        assert_eq!(response.status(), StatusCode::OK);
        assert_eq!(header(&response, "vary"), "accept-language");
        assert!(text(response).await.contains(&format!("<html lang=\"{lang}\">")), "{accepted}");
    }
}

#[tokio::test]
async fn short_addresses_lead_to_the_whole_ones() {
    let english = [("accept-language", "en")];
    for (path, target) in [
        ("/docs", "/docs/"),
        ("/docs/zh", "/docs/zh/"),
        ("/docs/en/index", "/docs/en/"),
        ("/docs/rules", "/docs/en/rules"),
        ("/docs/zh/rules/", "/docs/zh/rules"),
    ] {
        let response = get(path, &english).await;
        assert!(response.status().is_redirection(), "{path}");
        assert_eq!(header(&response, "location"), target, "{path}");
    }
}

#[tokio::test]
async fn every_page_has_the_headers_of_our_pages_and_is_kept_until_it_changes() {
    let response = get("/docs/zh/rules", &[]).await;
    assert_eq!(header(&response, "content-type"), "text/html; charset=utf-8");
    assert_eq!(header(&response, "cache-control"), "no-cache");
    assert_eq!(header(&response, "x-content-type-options"), "nosniff");
    assert_eq!(header(&response, "x-frame-options"), "DENY");
    assert_eq!(header(&response, "referrer-policy"), "no-referrer");
    let policy = header(&response, "content-security-policy");
    assert!(policy.starts_with("default-src 'none'; style-src 'self'; img-src 'self'; base-uri"), "{policy}");
    let etag = header(&response, "etag").to_owned();
    let again = get("/docs/zh/rules", &[("if-none-match", &etag)]).await;
    assert_eq!(again.status(), StatusCode::NOT_MODIFIED);
    assert!(text(again).await.is_empty());
    let other = get("/docs/en/rules", &[("if-none-match", &etag)]).await;
    assert_eq!(other.status(), StatusCode::OK);
}

#[tokio::test]
async fn every_page_leads_only_to_addresses_and_headings_that_exist() {
    let mut visited = BTreeSet::new();
    for lang in LANGUAGES {
        for name in list_names(lang).into_iter().chain([INDEX.to_owned()]) {
            let name = if name == INDEX { "" } else { &name };
            let path = format!("/docs/{}/{name}", language_folder(lang));
            let response = get(&path, &[]).await;
            assert_eq!(response.status(), StatusCode::OK, "{path}");
            let html = text(response).await;
            assert!(!html.contains("<script") && !html.contains(" style="), "{path}");
            let ids: BTreeSet<&str> = values(&html, "id").into_iter().collect();
            assert_eq!(ids.len(), values(&html, "id").len(), "{path}: an id occurs twice");
            for target in values(&html, "href") {
                if let Some(anchor) = target.strip_prefix('#') {
                    let anchor = urlencoding::decode(anchor).expect("UTF-8");
                    assert!(ids.contains(anchor.as_ref()), "{path}: {target}");
                } else if target.starts_with("/docs/") {
                    let target = target.split('#').next().unwrap_or_default();
                    if visited.insert(target.to_owned()) {
                        assert_eq!(get(target, &[]).await.status(), StatusCode::OK, "{path}: {target}");
                    }
                } else {
                    let is_ours = target.starts_with("/_gongpai/assets/");
                    assert!(is_ours || target.starts_with("http"), "{path}: {target}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_other_language_is_one_link_away() {
    for (path, other) in [("/docs/zh/rules", "/docs/en/rules"), ("/docs/en/", "/docs/zh/")] {
        let html = text(get(path, &[]).await).await;
        assert!(html.contains(&format!("class=\"language\" href=\"{other}\"")), "{path}");
    }
}

#[tokio::test]
async fn an_unknown_page_is_a_page_that_says_so() {
    for (path, lang, suggestion) in [
        ("/docs/zh/rule", "zh-CN", Some("/docs/zh/rules")),
        ("/docs/fr/rules", "en", Some("/docs/en/rules")),
        ("/docs/zh/../rules", "en", None),
        ("/docs/zh/a/b", "en", None),
        ("/docs/zh/%2e%2e%2faskama", "zh-CN", None),
    ] {
        let response = get(path, &[("accept-language", "en")]).await;
        assert_eq!(response.status(), StatusCode::NOT_FOUND, "{path}");
        assert_ne!(header(&response, "content-security-policy"), "", "{path}");
        let html = text(response).await;
        assert!(html.contains(&format!("<html lang=\"{lang}\">")), "{path}");
        let heading = if lang == "en" { "You may be looking for" } else { "您要找的也许是" };
        assert_eq!(html.contains(heading), suggestion.is_some(), "{path}");
        assert!(suggestion.is_none_or(|suggestion| html.contains(suggestion)), "{path}");
    }
    assert_eq!(Language::Zh.tag(), "zh-CN");
}

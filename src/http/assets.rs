//! `/_gongpai/assets/*`: serves the style sheet and the icons of the binary, and the company's
//! logo.

use axum::extract::{Path, RawQuery, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use super::asset_files::{LOGO_NAME, asset_content_type, find_asset, hash_version};
use super::etag::matches_etag;
use super::page::PageRenderer;
use crate::base::secret::sha256;

/// Answers `/_gongpai/assets/{*path}` with 200, 304 or 404.
pub(crate) async fn serve_asset(
    State(pages): State<PageRenderer>,
    Path(path): Path<String>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let wanted = query.as_deref().and_then(|q| q.strip_prefix("v="));
    if path == LOGO_NAME {
        let Some(logo) = pages.logo() else { return StatusCode::NOT_FOUND.into_response() };
        return build_response(&headers, wanted, &sha256(&logo.bytes), logo.content_type.clone(), || {
            logo.bytes.clone().into()
        });
    }
    let Some((file, kind)) = find_asset(&path).zip(asset_content_type(&path)) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    build_response(&headers, wanted, &file.metadata.sha256_hash(), HeaderValue::from_static(kind), || {
        file.data.into_owned().into()
    })
}

fn build_response(
    headers: &HeaderMap,
    wanted: Option<&str>,
    hash: &[u8; 32],
    content_type: HeaderValue,
    body: impl FnOnce() -> axum::body::Body,
) -> Response {
    let etag = format!("\"{}\"", hex::encode(hash));
    let mut response = if matches_etag(headers, &etag) {
        StatusCode::NOT_MODIFIED.into_response()
    } else {
        let mut response = Response::new(body());
        response.headers_mut().insert(CONTENT_TYPE, content_type);
        response
    };
    let out = response.headers_mut();
    // While a new version is being rolled out, an old page may ask for an old one: that answer is
    // not kept.
    let keep = if wanted == Some(hash_version(hash).as_str()) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    out.insert(CACHE_CONTROL, HeaderValue::from_static(keep));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        out.insert(ETAG, etag);
    }
    out.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    // A company's SVG may hold a script. Opened by itself it must not run on the sign-in host.
    out.insert(
        CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; style-src 'unsafe-inline'; sandbox"),
    );
    response
}

#[cfg(test)]
mod tests {
    use axum::http::header::IF_NONE_MATCH;

    use super::*;
    use crate::http::asset_files::{ASSETS_PREFIX, asset_url};
    use crate::http::page::{CompanyLogo, PageSettings};

    async fn get_from(pages: PageRenderer, path: &str, query: Option<&str>, etag: Option<&str>) -> Response {
        let mut headers = HeaderMap::new();
        if let Some(etag) = etag {
            headers.insert(IF_NONE_MATCH, etag.parse().unwrap());
        }
        serve_asset(State(pages), Path(path.to_owned()), RawQuery(query.map(str::to_owned)), headers).await
    }

    async fn get(path: &str, query: Option<&str>, etag: Option<&str>) -> Response {
        get_from(PageRenderer::new(PageSettings::default()), path, query, etag).await
    }

    #[tokio::test]
    async fn the_address_in_a_page_is_kept_for_ever_and_any_other_version_is_asked_again() {
        let (path, query) = asset_url("gongpai.css")
            .strip_prefix(ASSETS_PREFIX)
            .unwrap()
            .split_once('?')
            .map(|(p, q)| (p.to_owned(), q.to_owned()))
            .unwrap();
        let kept = get(&path, Some(&query), None).await;
        assert_eq!(kept.status(), 200);
        assert_eq!(kept.headers()["content-type"], "text/css; charset=utf-8");
        assert_eq!(kept.headers()["cache-control"], "public, max-age=31536000, immutable");
        for other in [None, Some("v="), Some("v=0123456789abcdef")] {
            assert_eq!(get(&path, other, None).await.headers()["cache-control"], "no-cache");
        }
    }

    #[tokio::test]
    async fn a_browser_that_has_it_gets_a_304_without_a_body() {
        let etag = get("gongpai.css", None, None).await.headers()["etag"].to_str().unwrap().to_owned();
        for given in [etag.clone(), format!("\"x\", W/{etag}"), "*".to_owned()] {
            let again = get("gongpai.css", None, Some(&given)).await;
            assert_eq!(again.status(), 304);
            assert_eq!(again.headers()["etag"], etag.as_str());
            assert!(axum::body::to_bytes(again.into_body(), 10).await.unwrap().is_empty());
        }
        assert_eq!(get("gongpai.css", None, Some("\"x\"")).await.status(), 200);
    }

    #[tokio::test]
    async fn nothing_outside_the_folder_is_served() {
        for path in [
            "",
            "nothing.css",
            "../askama.toml",
            "..\\askama.toml",
            "a/../gongpai.css",
            "./gongpai.css",
            "/etc/passwd",
            "%2e%2e/askama.toml",
            "gongpai.css/",
            "gongpai.css\0",
            ".hidden",
            "GONGPAI.CSS",
            LOGO_NAME,
        ] {
            assert_eq!(get(path, None, None).await.status(), 404, "{path:?}");
        }
    }

    #[tokio::test]
    async fn the_logo_is_served_with_its_type_and_may_run_nothing() {
        let logo = CompanyLogo {
            content_type: HeaderValue::from_static("image/svg+xml"),
            bytes: b"<svg/>".to_vec(),
        };
        let pages = PageRenderer::new(PageSettings { logo: Some(logo), ..PageSettings::default() });
        let response = get_from(pages, LOGO_NAME, None, None).await;
        assert_eq!(response.headers()["content-type"], "image/svg+xml");
        assert!(response.headers()["content-security-policy"].to_str().unwrap().contains("sandbox"));
        assert_eq!(axum::body::to_bytes(response.into_body(), 10).await.unwrap(), "<svg/>");
    }
}

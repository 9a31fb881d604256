//! The pages that people see: askama templates of `static/pages`, each in both languages, each with
//! its own Content-Security-Policy.
//!
//! A page works without a script, loads nothing from another host (except the official QR frame),
//! and shows no text from outside unescaped. [`failure`](PageRenderer::failure) is the page of
//! every failure; `signin` has the others.

mod cacheable;
mod failure;
mod policy;
mod signin;
mod text;

use std::sync::Arc;

use askama::Template;
use axum::body::Body;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, USER_AGENT,
    X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::Response;
use chrono::{DateTime, Utc};
use chrono_tz::Tz;

use self::policy::ContentSecurityPolicy;
use self::text::clean_for_page;
use super::asset_files::{ASSETS_PREFIX, LOGO_NAME, asset_url, hash_version};
use super::language::{BilingualText, Language, OrderedText};
use super::request_id::RequestId;
use super::words::labels;
use crate::base::clock::Timestamp;
use crate::base::secret::sha256;

pub(crate) use self::cacheable::respond_cacheable;
pub(crate) use self::signin::{OpenWecomInput, ScanPageInput};

/// The settings of pages, and the two origins that their policies name.
#[derive(Debug, Clone, Default)]
pub struct PageSettings {
    /// `pages.title`: the company's name above every page; may be empty.
    pub title: String,
    /// `pages.contact`: whom to ask for help; may be empty.
    pub contact: String,
    /// `pages.logo_file`, read at start.
    pub logo: Option<CompanyLogo>,
    /// The origin of `wecom.qr_connect_address`, `https://login.work.weixin.qq.com`.
    pub qr_origin: String,
    /// The origin of `public_url`, `https://oa.example.com`.
    pub public_origin: String,
}

/// The company's logo.
#[derive(Debug, Clone)]
pub struct CompanyLogo {
    /// `image/png`, `image/svg+xml`, …
    pub content_type: HeaderValue,
    /// The content of the file.
    pub bytes: Vec<u8>,
}

/// Renders pages. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PageRenderer(Arc<PageRendererInner>);

#[derive(Debug)]
struct PageRendererInner {
    settings: PageSettings,
    logo_url: Option<String>,
}

/// The context of a page: for whom and when it is rendered.
#[derive(Debug, Clone)]
pub struct PageContext {
    /// The language that comes first.
    pub lang: Language,
    /// The request id to quote.
    pub request_id: RequestId,
    /// The time of the request.
    pub at: Timestamp,
    /// The zone of times on the page.
    pub time_zone: Tz,
    /// Whether the browser is WeCom's. There accounts are switched in the app, so 换个账号 is not
    /// offered.
    pub in_wecom: bool,
}

impl PageContext {
    /// Makes the context of a request with these headers.
    pub fn from_headers(headers: &HeaderMap, request_id: &RequestId, at: Timestamp, time_zone: Tz) -> Self {
        let agent = headers.get(USER_AGENT).map(|a| a.as_bytes().to_ascii_lowercase()).unwrap_or_default();
        let names = |needle: &[u8]| agent.windows(needle.len()).any(|w| w == needle);
        let in_wecom = names(b"wxwork/") || names(b"wxworklocal/");
        Self {
            lang: Language::from_headers(headers),
            request_id: request_id.clone(),
            at,
            time_zone,
            in_wecom,
        }
    }

    /// Formats an instant as people of this installation write it.
    fn local(&self, at: Timestamp) -> String {
        let instant = DateTime::<Utc>::from_timestamp_millis(at.millis()).unwrap_or_default();
        instant.with_timezone(&self.time_zone).format("%Y-%m-%d %H:%M:%S %:z").to_string()
    }
}

/// The parts that every page has around its own content.
#[derive(Debug)]
struct PageFrame {
    lang: &'static str,
    heading: OrderedText,
    title: String,
    logo: Option<String>,
    css: String,
    icon: String,
    request_label: OrderedText,
    request_id: String,
    at: String,
    at_machine: String,
    contact_label: OrderedText,
    contact: String,
}

/// A link or button with its target and its text.
#[derive(Debug)]
struct PageLink {
    href: String,
    label: OrderedText,
}

impl PageRenderer {
    /// Makes the renderer of this installation.
    pub fn new(settings: PageSettings) -> Self {
        let logo_url = settings
            .logo
            .as_ref()
            .map(|logo| format!("{}{}?v={}", ASSETS_PREFIX, LOGO_NAME, hash_version(&sha256(&logo.bytes))));
        Self(Arc::new(PageRendererInner { settings, logo_url }))
    }

    /// Returns the company's logo, if there is one.
    pub(super) fn logo(&self) -> Option<&CompanyLogo> {
        self.0.settings.logo.as_ref()
    }

    fn frame(&self, view: &PageContext, heading: &BilingualText) -> PageFrame {
        PageFrame {
            lang: view.lang.tag(),
            heading: clean_and_order(view.lang, heading),
            title: clean_for_page(&self.0.settings.title),
            logo: self.0.logo_url.clone(),
            css: asset_url("gongpai.css"),
            icon: asset_url("badge.svg"),
            request_label: view.lang.order(&labels::REQUEST_ID),
            request_id: view.request_id.as_str().to_owned(),
            at: view.local(view.at),
            at_machine: view.at.rfc3339(),
            contact_label: view.lang.order(&labels::CONTACT),
            contact: clean_for_page(&self.0.settings.contact),
        }
    }
}

/// Returns `text` in the reader's order, without characters that would disturb the page.
fn clean_and_order(lang: Language, text: &BilingualText) -> OrderedText {
    let mut both = lang.order(text);
    both.first.text = clean_for_page(&both.first.text);
    both.second.text = clean_for_page(&both.second.text);
    both
}

/// Makes a button; `None` if a page of ours may not lead to the address.
fn build_button(lang: Language, href: Option<&str>, label: &BilingualText) -> Option<PageLink> {
    let href = href.filter(|h| text::is_safe_href(h))?.to_owned();
    Some(PageLink { href, label: lang.order(label) })
}

/// Renders the answer: never cached, never framed (unless the policy says by whom), without a
/// referrer.
fn build_response(status: StatusCode, page: &impl Template, policy: &ContentSecurityPolicy<'_>) -> Response {
    let (status, body) = match page.render() {
        Ok(html) => (status, html),
        // Rendering text into memory does not fail. If it did, a bare 500 would say so without a
        // page.
        Err(error) => {
            tracing::error!(error = %error, "A page could not be rendered");
            (StatusCode::INTERNAL_SERVER_ERROR, String::new())
        }
    };
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    protect(headers, policy);
    response
}

/// What the headers of every page say to the browser, however long it may keep the page.
fn protect(headers: &mut HeaderMap, policy: &ContentSecurityPolicy<'_>) {
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(CONTENT_SECURITY_POLICY, policy.header());
    // X-Frame-Options cannot list origins, so a page that may be framed has none.
    if policy.ancestors.is_empty() {
        headers.insert(X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
    }
}

#[cfg(test)]
mod tests;

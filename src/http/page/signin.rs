//! The pages of signing in and out.

use std::time::Duration;

use askama::Template;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;

use super::policy::ContentSecurityPolicy;
use super::{
    PageContext, PageFrame, PageLink, PageRenderer, build_button, build_response, clean_and_order, text,
};
use crate::base::secret::random_token;
use crate::http::language::{BilingualText, OrderedText};
use crate::http::words::labels;

/// The limit of a page's `frame-ancestors`: with the other headers it must fit into a proxy's
/// buffer of 4 KB.
const MAX_ANCESTORS_BYTES: usize = 2048;

/// The input of the QR page. See [design: the scan page](crate::design#the-scan-page).
#[derive(Debug, Clone)]
pub struct ScanPageInput {
    /// The official panel:
    /// `qr_connect_address/wwlogin/sso/login?…&redirect_type=top&panel_size=middle`.
    pub frame_url: String,
    /// The plain link beside the panel, always visible.
    pub link_url: String,
    /// Our own path that answers 200 once this browser is signed in: `/sso/session`.
    pub session_url: String,
    /// Where the page goes once the browser is signed in.
    pub next_url: String,
    /// The time after which the page reloads with a new attempt: 8 minutes.
    pub renew_after: Duration,
    /// The address to reload, if it is not the page's own: an absolute URL of ours.
    pub renew_url: Option<String>,
    /// The host that the person signs in to, `app.example.com`.
    pub host: String,
    /// Where the page starts anew if its own address has a fragment: an address of ours, to which
    /// the page appends the encoded fragment. `None` if the target has a fragment.
    pub start_url: Option<String>,
}

/// The input of the page for phone browsers outside WeCom.
#[derive(Debug, Clone)]
pub struct OpenWecomInput {
    /// `wxwork://…`, opens the app.
    pub scheme_url: String,
    /// Where to tap in the app: `工作台 → 报销`.
    pub path: BilingualText,
}

#[derive(Template)]
#[template(path = "scan.html", config = "static/askama.toml")]
struct ScanPage<'a> {
    frame: PageFrame,
    scan: &'a ScanPageInput,
    host_label: OrderedText,
    frame_title: String,
    open: Option<PageLink>,
    note: OrderedText,
    start: Option<&'a str>,
    nonce: &'a str,
}

#[derive(Template)]
#[template(path = "notice.html", config = "static/askama.toml")]
struct NoticePage {
    frame: PageFrame,
    picture: &'static str,
    note: Option<OrderedText>,
    /// A label and its text, shown large.
    about: Option<(OrderedText, OrderedText)>,
    button: Option<PageLink>,
    quiet: bool,
}

/// A notice with a button that keeps the page's own fragment.
#[derive(Template)]
#[template(path = "onward.html", config = "static/askama.toml")]
struct OnwardPage<'a> {
    frame: PageFrame,
    picture: &'static str,
    note: OrderedText,
    button: Option<PageLink>,
    /// Whether the button leads out of a frame.
    top: bool,
    nonce: &'a str,
}

#[derive(Template)]
#[template(path = "hand_on.html", config = "static/askama.toml")]
struct HandOnPage<'a> {
    frame: PageFrame,
    button: Option<PageLink>,
    start: &'a str,
    nonce: &'a str,
}

#[derive(Template)]
#[template(path = "break_out.html", config = "static/askama.toml")]
struct BreakOutPage<'a> {
    frame: PageFrame,
    note: OrderedText,
    button: Option<PageLink>,
    nonce: &'a str,
}

impl PageRenderer {
    /// Renders the QR page of desktop browsers. Without a script the frame, the link and the
    /// renewal work; with one the page also goes on by itself when the browser is signed in (by
    /// another tab or by a phone).
    pub fn scan(&self, view: &PageContext, scan: &ScanPageInput) -> Response {
        let nonce = random_token::<16>();
        let mut frame_title = labels::SCAN_FRAME.zh.into_owned();
        frame_title.push_str(" / ");
        frame_title.push_str(&labels::SCAN_FRAME.en);
        let page = ScanPage {
            frame: self.frame(view, &labels::SCAN),
            scan: &ScanPageInput { host: text::clean_for_page(&scan.host), ..scan.clone() },
            host_label: view.lang.order(&labels::SCAN_FOR),
            frame_title,
            open: build_button(view.lang, Some(&scan.link_url), &labels::OPEN_IN_WECOM),
            note: view.lang.order(&labels::SCAN_NOTE),
            start: scan.start_url.as_deref().filter(|url| text::is_safe_href(url)),
            nonce: &nonce,
        };
        let policy = ContentSecurityPolicy {
            nonce: Some(&nonce),
            // Our own origin too: a panel that may not navigate the top window comes back inside
            // its frame, and our answer there leads out of it.
            frames: vec![&self.0.settings.qr_origin, &self.0.settings.public_origin],
            connects: true,
            ancestors: Vec::new(),
        };
        let mut response = build_response(StatusCode::OK, &page, &policy);
        // Zero would reload in a loop.
        let seconds = scan.renew_after.as_secs().max(1);
        let elsewhere = scan.renew_url.as_deref().filter(|url| text::is_safe_href(url));
        let refresh = elsewhere.and_then(|url| HeaderValue::from_str(&format!("{seconds};url={url}")).ok());
        response.headers_mut().insert("refresh", refresh.unwrap_or_else(|| HeaderValue::from(seconds)));
        response
    }

    /// Renders the page of phone browsers outside WeCom: it opens the app, and says where to tap if
    /// nothing happens.
    pub fn open_wecom(&self, view: &PageContext, open: &OpenWecomInput) -> Response {
        let page = NoticePage {
            frame: self.frame(view, &labels::OPEN_WECOM),
            picture: "phone",
            note: None,
            about: Some((view.lang.order(&labels::OPEN_WECOM_PATH), clean_and_order(view.lang, &open.path))),
            button: build_button(view.lang, Some(&open.scheme_url), &labels::OPEN_IN_WECOM),
            quiet: false,
        };
        build_response(StatusCode::OK, &page, &ContentSecurityPolicy::default())
    }

    /// Renders the page after a sign-out; its button begins a new sign-in.
    pub fn signed_out(&self, view: &PageContext, sign_in_url: &str) -> Response {
        let nonce = random_token::<16>();
        let page = OnwardPage {
            frame: self.frame(view, &labels::SIGNED_OUT),
            picture: "done",
            note: view.lang.order(&labels::SIGNED_OUT_NOTE),
            button: build_button(view.lang, Some(sign_in_url), &labels::SIGN_IN_AGAIN),
            top: false,
            nonce: &nonce,
        };
        build_response(
            StatusCode::OK,
            &page,
            &ContentSecurityPolicy { nonce: Some(&nonce), ..ContentSecurityPolicy::default() },
        )
    }

    /// Renders the answer to a start inside a frame, where nobody can sign in: the button opens
    /// `same_url` in the top window.
    ///
    /// The page does not go on by itself, because the frame may be one of many on a page that
    /// somebody is working in. `ancestors`, source expressions, may frame it. See [design:
    /// frames](crate::design#frames).
    pub fn top_window(&self, view: &PageContext, same_url: &str, ancestors: &[String]) -> Response {
        let nonce = random_token::<16>();
        let page = OnwardPage {
            frame: self.frame(view, &labels::TOP_WINDOW),
            picture: "window",
            note: view.lang.order(&labels::TOP_WINDOW_NOTE),
            button: build_button(view.lang, Some(same_url), &labels::CONTINUE),
            top: true,
            nonce: &nonce,
        };
        let mut ancestors: Vec<&str> = ancestors.iter().map(String::as_str).collect();
        ancestors.push(&self.0.settings.qr_origin);
        if ancestors.iter().map(|source| source.len() + 1).sum::<usize>() > MAX_ANCESTORS_BYTES {
            // A longer header would be a 502 in the proxy. Framing this page helps no attacker: it
            // shows nothing and its one button leaves every frame.
            ancestors = vec!["https:", "http:"];
        }
        let policy =
            ContentSecurityPolicy { nonce: Some(&nonce), ancestors, ..ContentSecurityPolicy::default() };
        build_response(StatusCode::OK, &page, &policy)
    }

    /// Renders a page that nobody sees: its script goes on at `start_url` with its own fragment,
    /// encoded, at the end, or at `next_url` if it has none. Without a script it goes on at
    /// `next_url`.
    pub fn hand_on(&self, view: &PageContext, next_url: &str, start_url: &str) -> Response {
        let nonce = random_token::<16>();
        let page = HandOnPage {
            frame: self.frame(view, &labels::BREAK_OUT),
            button: build_button(
                view.lang,
                Some(next_url).filter(|_| text::is_safe_href(start_url)),
                &labels::CONTINUE,
            ),
            start: start_url,
            nonce: &nonce,
        };
        build_response(
            StatusCode::OK,
            &page,
            &ContentSecurityPolicy { nonce: Some(&nonce), ..ContentSecurityPolicy::default() },
        )
    }

    /// Renders the page that says who is signed in and offers to sign out. It shows a name and a
    /// userid, nothing of the session.
    pub fn home(&self, view: &PageContext, name: &str, userid: &str, sign_out_url: &str) -> Response {
        let who = if name.trim().is_empty() || name == userid {
            userid.to_owned()
        } else {
            format!("{name} ({userid})")
        };
        let page = NoticePage {
            frame: self.frame(view, &labels::SIGNED_IN),
            picture: "done",
            note: None,
            about: Some((
                view.lang.order(&labels::SIGNED_IN_AS),
                clean_and_order(view.lang, &BilingualText::same(&who)),
            )),
            button: build_button(view.lang, Some(sign_out_url), &labels::SIGN_OUT),
            quiet: true,
        };
        build_response(StatusCode::OK, &page, &ContentSecurityPolicy::default())
    }

    /// Renders the answer inside the official frame: it opens `same_url` in the top window by
    /// itself. The origins of `public_url` and of the QR panel may frame it.
    pub fn break_out(&self, view: &PageContext, same_url: &str) -> Response {
        let nonce = random_token::<16>();
        let page = BreakOutPage {
            frame: self.frame(view, &labels::BREAK_OUT),
            note: view.lang.order(&labels::BREAK_OUT_NOTE),
            button: build_button(view.lang, Some(same_url), &labels::CONTINUE),
            nonce: &nonce,
        };
        let policy = ContentSecurityPolicy {
            nonce: Some(&nonce),
            ancestors: vec![&self.0.settings.public_origin, &self.0.settings.qr_origin],
            ..ContentSecurityPolicy::default()
        };
        build_response(StatusCode::OK, &page, &policy)
    }
}

//! The sample application: knows nothing of WeCom or of sign-ins, and believes the headers it is sent.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use crate::proxy::IDENTITY;

const CSS: &str = include_str!("../../../static/pages/demo/application.css");

/// No script, nothing of another host.
const POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'none'";

/// Both pages of it.
#[derive(Debug, Template)]
#[template(path = "demo/application.html", config = "static/askama.toml")]
struct Page {
    name: String,
    userid: String,
    headers: Vec<(&'static str, String)>,
    phone: Arc<str>,
    /// Whether this is the page that a rule keeps for 张三.
    approval: bool,
}

/// Its paths; `phone` is where the simulator's phone is, to go back to.
pub(crate) fn routes(phone: String) -> Router {
    Router::new()
        .route("/", get(|State(phone), headers: HeaderMap| async move { page(phone, &headers, false) }))
        .route("/boss", get(|State(phone), headers: HeaderMap| async move { page(phone, &headers, true) }))
        .route("/application.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], CSS) }))
        .with_state(Arc::<str>::from(phone))
}

fn page(phone: Arc<str>, headers: &HeaderMap, approval: bool) -> Response {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default()
    };
    let name = text("remote-name");
    let shown = ["Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"];
    let identity = shown.into_iter().zip(IDENTITY).map(|(shown, name)| (shown, text(name)));
    let page = Page {
        name: urlencoding::decode(&name).map_or_else(|_| name.clone(), std::borrow::Cow::into_owned),
        userid: text("remote-user"),
        headers: identity.chain([("Cookie", text(COOKIE.as_str()))]).collect(),
        phone,
        approval,
    };
    match page.render() {
        Ok(html) => {
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CACHE_CONTROL, "no-store"),
                (CONTENT_SECURITY_POLICY, POLICY),
            ];
            (headers, html).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

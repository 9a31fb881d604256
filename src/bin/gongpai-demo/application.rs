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

/// Its pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Everybody's own.
    Own,
    /// What a rule keeps for 张三.
    Approval,
    /// What a rule keeps for the finance department and the units below it.
    Finance,
}

/// One of its pages.
#[derive(Debug, Template)]
#[template(path = "demo/application.html", config = "static/askama.toml")]
struct Page {
    name: String,
    userid: String,
    headers: Vec<(&'static str, String)>,
    groups: Vec<String>,
    phone: Arc<str>,
    organisation: String,
    shown: Shown,
}

/// Its paths; `phone` is where the simulator's phone is, to go back to.
pub(crate) fn routes(phone: String) -> Router {
    Router::new()
        .route("/", get(|State(phone), headers: HeaderMap| async move { page(phone, &headers, Shown::Own) }))
        .route(
            "/boss",
            get(|State(phone), headers: HeaderMap| async move { page(phone, &headers, Shown::Approval) }),
        )
        .route(
            "/finance",
            get(|State(phone), headers: HeaderMap| async move { page(phone, &headers, Shown::Finance) }),
        )
        .route("/application.css", get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], CSS) }))
        .with_state(Arc::<str>::from(phone))
}

fn page(phone: Arc<str>, headers: &HeaderMap, shown: Shown) -> Response {
    let text = |name: &str| {
        headers
            .get(name)
            .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
            .unwrap_or_default()
    };
    let name = text("remote-name");
    let plain =
        |text: &str| urlencoding::decode(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned);
    let names = ["Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"];
    let identity = names.into_iter().zip(IDENTITY).map(|(shown, name)| (shown, text(name)));
    let page = Page {
        name: plain(&name),
        groups: text("remote-groups").split(',').filter(|group| !group.is_empty()).map(plain).collect(),
        userid: text("remote-user"),
        headers: identity.chain([("Cookie", text(COOKIE.as_str()))]).collect(),
        organisation: phone.replace("/phone", "/organisation"),
        phone,
        shown,
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

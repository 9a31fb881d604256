//! The sample application. It knows nothing of WeCom or of sign-ins; it trusts the headers it
//! receives.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Form, Path, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use serde::Deserialize;

use crate::proxy::IDENTITY_HEADERS;
use crate::todo::{Todo, Todos};

const STYLESHEET: &str = include_str!("../../../static/pages/demo/application.css");

/// Allows no script and nothing from another host.
const PAGE_POLICY: &str =
    "default-src 'none'; style-src 'self'; img-src data:; base-uri 'none'; form-action 'self'";

/// The state that the pages share.
#[derive(Debug, Clone)]
struct SampleApplication {
    /// The URL of the simulator's phone.
    phone: Arc<str>,
    todos: Todos,
}

/// The content of one page.
#[derive(Debug, PartialEq, Eq)]
enum ApplicationView {
    /// The page that every member may open.
    Own,
    /// The page that a rule reserves for 张三.
    Approval,
    /// The page that a rule reserves for the finance department and the units below it.
    Finance,
    /// The form that assigns a todo, and the todos of the member who looks.
    Todos {
        members: Vec<(String, String)>,
        own: Vec<Todo>,
        /// The name of the member who received the last todo.
        sent: Option<String>,
        trouble: Option<String>,
    },
    /// One todo. `None` if it does not exist or belongs to somebody else.
    Todo(Option<Todo>),
}

impl ApplicationView {
    /// Returns the navigation link that is highlighted.
    const fn section(&self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Approval => "approval",
            Self::Finance => "finance",
            Self::Todos { .. } | Self::Todo(_) => "todo",
        }
    }
}

#[derive(Debug, Template)]
#[template(path = "demo/application.html", config = "static/askama.toml")]
struct ApplicationPage {
    name: String,
    userid: String,
    headers: Vec<(&'static str, String)>,
    groups: Vec<String>,
    phone: Arc<str>,
    organisation: String,
    inbox: String,
    shown: ApplicationView,
}

/// Returns the routes. `phone` is the URL of the simulator's phone, for the link back.
pub(crate) fn build_routes(phone: String, todos: Todos) -> Router {
    Router::new()
        .route(
            "/",
            get(|State(app), headers: HeaderMap| async move { render_page(&app, &headers, ApplicationView::Own) }),
        )
        .route(
            "/boss",
            get(|State(app), headers: HeaderMap| async move { render_page(&app, &headers, ApplicationView::Approval) }),
        )
        .route(
            "/finance",
            get(|State(app), headers: HeaderMap| async move { render_page(&app, &headers, ApplicationView::Finance) }),
        )
        .route("/todo", get(list_todos).post(add_todo))
        .route("/todo/{id}", get(show_todo))
        .route("/todo/{id}/done", post(complete_todo))
        .route(
            "/application.css",
            get(|| async { ([(CONTENT_TYPE, "text/css; charset=utf-8")], STYLESHEET) }),
        )
        .with_state(SampleApplication { phone: phone.into(), todos })
}

async fn list_todos(State(app): State<SampleApplication>, headers: HeaderMap) -> Response {
    let shown = todo_page_content(&app, &headers, None, None);
    render_page(&app, &headers, shown)
}

/// The fields of the form that assigns a todo.
#[derive(Debug, Deserialize)]
struct TodoForm {
    to: String,
    title: String,
}

async fn add_todo(
    State(app): State<SampleApplication>,
    headers: HeaderMap,
    Form(form): Form<TodoForm>,
) -> Response {
    let from = decode_percent(&header_text(&headers, "remote-name"));
    let title = form.title.trim();
    let title = if title.is_empty() { "报销单待审批" } else { title };
    let shown = match app.todos.add(&from, &form.to, title).await {
        Ok(todo) => {
            let name = app.todos.members().iter().find(|(userid, _)| *userid == todo.to);
            todo_page_content(&app, &headers, name.map(|(_, name)| name.clone()), None)
        }
        // If only the message failed, the todo is stored all the same; the page shows why.
        Err(error) => todo_page_content(&app, &headers, None, Some(format!("{error:#}"))),
    };
    render_page(&app, &headers, shown)
}

async fn show_todo(
    State(app): State<SampleApplication>,
    headers: HeaderMap,
    Path(id): Path<usize>,
) -> Response {
    let todo = app.todos.find(id, &header_text(&headers, "remote-user"));
    render_page(&app, &headers, ApplicationView::Todo(todo))
}

async fn complete_todo(
    State(app): State<SampleApplication>,
    headers: HeaderMap,
    Path(id): Path<usize>,
) -> Redirect {
    app.todos.complete(id, &header_text(&headers, "remote-user"));
    Redirect::to(&format!("/todo/{id}"))
}

fn todo_page_content(
    app: &SampleApplication,
    headers: &HeaderMap,
    sent: Option<String>,
    trouble: Option<String>,
) -> ApplicationView {
    let own = app.todos.addressed_to(&header_text(headers, "remote-user"));
    ApplicationView::Todos { members: app.todos.members().to_vec(), own, sent, trouble }
}

/// Returns a header of the gate as it was sent, or an empty text.
fn header_text(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned()).unwrap_or_default()
}

fn decode_percent(text: &str) -> String {
    urlencoding::decode(text).map_or_else(|_| text.to_owned(), std::borrow::Cow::into_owned)
}

fn render_page(app: &SampleApplication, headers: &HeaderMap, shown: ApplicationView) -> Response {
    let names = ["Remote-User", "Remote-Name", "Remote-Email", "Remote-Groups"];
    let identity =
        names.into_iter().zip(IDENTITY_HEADERS).map(|(shown, name)| (shown, header_text(headers, name)));
    let groups = header_text(headers, "remote-groups");
    let page = ApplicationPage {
        name: decode_percent(&header_text(headers, "remote-name")),
        groups: groups.split(',').filter(|group| !group.is_empty()).map(decode_percent).collect(),
        userid: header_text(headers, "remote-user"),
        headers: identity.chain([("Cookie", header_text(headers, COOKIE.as_str()))]).collect(),
        organisation: app.phone.replace("/phone", "/organisation"),
        inbox: format!("{}/inbox", app.phone),
        phone: Arc::clone(&app.phone),
        shown,
    };
    match page.render() {
        Ok(html) => {
            let headers = [
                (CONTENT_TYPE, "text/html; charset=utf-8"),
                (CACHE_CONTROL, "no-store"),
                (CONTENT_SECURITY_POLICY, PAGE_POLICY),
            ];
            (headers, html).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

//! The page of everything that went wrong.

use askama::Template;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use super::policy::Policy;
use super::{Frame, Link, Pages, View, button, respond, said, text};
use crate::http::failure::Failure;
use crate::http::lang::{Both, Text};
use crate::http::problem::{Problem, put_retry_after};
use crate::http::words::{Button, Code, Kind, labels};

#[derive(Template)]
#[template(path = "failure.html", config = "static/askama.toml")]
struct FailurePage {
    frame: Frame,
    picture: &'static str,
    advice: Both,
    button: Option<Link>,
    retries: Option<Both>,
    summary: Both,
    facts: Vec<Fact>,
}

/// One line of what the administrator needs.
struct Fact {
    label: Both,
    value: Value,
}

enum Value {
    /// Something to compare or quote, shown in monospace.
    Exact(String),
    /// A sentence.
    Said(Both),
}

impl Pages {
    /// The page of `failure`, with its status, and for 429 and 503 with Retry-After.
    pub fn failure(&self, view: &View, failure: &Failure) -> Response {
        let row = failure.code.row();
        let refresh = failure.auto_retry.as_deref().and_then(refresh_header);
        let page = FailurePage {
            frame: self.frame(view, &row.happened),
            picture: picture(row.kind),
            advice: said(view.lang, &row.advice),
            button: the_button(view, failure),
            retries: refresh.is_some().then(|| view.lang.order(&labels::RETRIES_ITSELF)),
            summary: view.lang.order(&labels::FOR_ADMINISTRATOR),
            facts: facts(view, failure),
        };
        let mut response = respond(row.status, &page, &Policy::default());
        if let Some(refresh) = refresh {
            response.headers_mut().insert("refresh", refresh);
        }
        put_retry_after(response.headers_mut(), row.status, failure.retry_after);
        response.extensions_mut().insert(failure.report());
        response
    }

    /// The page of `failure`, or for a program ([`Failure::wants_json`]) the problem document that says the same.
    pub fn answer(&self, view: &View, failure: &Failure, headers: &HeaderMap) -> Response {
        if Failure::wants_json(headers) { self.problem(view, failure) } else { self.failure(view, failure) }
    }

    /// The problem document of `failure`, which says no more than its page.
    pub fn problem(&self, view: &View, failure: &Failure) -> Response {
        let mut problem = Problem::new(failure.code, &view.request_id).with_report(failure.report());
        if let Some(after) = failure.retry_after {
            problem = problem.with_retry_after(after);
        }
        problem.into_response()
    }
}

/// The page goes on by itself by a header, so that it needs no script and screen readers meet no timed tag.
fn refresh_header(url: &str) -> Option<HeaderValue> {
    if !text::is_safe_href(url) {
        return None;
    }
    HeaderValue::from_str(&format!("5;url={url}")).ok()
}

fn the_button(view: &View, failure: &Failure) -> Option<Link> {
    let retry = failure.retry.as_deref();
    match failure.code.row().button {
        Button::Retry => button(view.lang, retry, &labels::RETRY),
        Button::Back => button(view.lang, retry, &labels::BACK),
        Button::SwitchAccount if !view.in_wecom => {
            button(view.lang, failure.switch_account.as_deref(), &labels::SWITCH_ACCOUNT)
        }
        Button::SwitchAccount | Button::None => None,
    }
}

const fn picture(kind: Kind) -> &'static str {
    match kind {
        Kind::Refused => "refused",
        Kind::Attempt | Kind::Message | Kind::Request => "notice",
        Kind::Trouble => "trouble",
        Kind::Setup => "setup",
    }
}

/// What the notes and remedies call "below" comes last.
fn facts(view: &View, failure: &Failure) -> Vec<Fact> {
    let lang = view.lang;
    let row = failure.code.row();
    let exact = |label: &Text, text: String| Fact { label: lang.order(label), value: Value::Exact(text) };
    let sentence =
        |label: &Text, text: &Text| Fact { label: lang.order(label), value: Value::Said(said(lang, text)) };
    let mut facts = vec![exact(&labels::CODE, failure.code.as_str().to_owned())];
    facts.extend(failure.errcode.map(|n| exact(&labels::ERRCODE, n.to_string())));
    facts.push(sentence(&labels::NOTE, &row.admin));
    // The heading may have said what the errcode means.
    let meaning = failure.meaning.as_ref().filter(|meaning| **meaning != row.happened);
    let given = [
        (&labels::MEANING, meaning),
        (&labels::REMEDY, failure.remedy.as_ref()),
        (&labels::CONSOLE, failure.console.as_ref()),
    ];
    facts.extend(given.into_iter().filter_map(|(label, text)| Some(sentence(label, text?))));
    let detail = if failure.code == Code::TrustedIp { &labels::SERVER_ADDRESS } else { &labels::DETAIL };
    facts.extend(failure.detail.as_deref().map(|d| exact(detail, text::clean(d))));
    facts.extend(failure.since.map(|at| exact(&labels::SINCE, view.local(at))));
    facts
}

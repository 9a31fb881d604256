//! The page of every failure. See [design: failure pages](crate::design#failure-pages).

use askama::Template;
use axum::http::{HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};

use super::policy::ContentSecurityPolicy;
use super::{
    PageContext, PageFrame, PageLink, PageRenderer, build_button, build_response, clean_and_order, text,
};
use crate::http::audience::Audience;
use crate::http::failure::Failure;
use crate::http::language::{BilingualText, OrderedText};
use crate::http::problem::{Problem, put_retry_after};
use crate::http::words::{Code, FailureButton, FailureKind, labels};

#[derive(Template)]
#[template(path = "failure.html", config = "static/askama.toml")]
struct FailurePage {
    frame: PageFrame,
    picture: &'static str,
    advice: OrderedText,
    button: Option<PageLink>,
    retries: Option<OrderedText>,
    summary: OrderedText,
    facts: Vec<AdminFact>,
}

/// A line of the details for the administrator.
struct AdminFact {
    label: OrderedText,
    value: FactValue,
}

enum FactValue {
    /// Text to compare or quote, shown in monospace.
    Exact(String),
    Sentence(OrderedText),
}

impl PageRenderer {
    /// Renders the page of `failure`, with its status, and with Retry-After for 429 and 503.
    pub fn failure(&self, view: &PageContext, failure: &Failure) -> Response {
        let row = failure.code.row();
        let refresh = failure.auto_retry.as_deref().and_then(refresh_header);
        let page = FailurePage {
            frame: self.frame(view, &row.happened),
            picture: choose_picture(row.kind),
            advice: clean_and_order(view.lang, &row.advice),
            button: choose_button(view, failure),
            retries: refresh.is_some().then(|| view.lang.order(&labels::RETRIES_ITSELF)),
            summary: view.lang.order(&labels::FOR_ADMINISTRATOR),
            facts: collect_facts(view, failure),
        };
        let mut response = build_response(row.status, &page, &ContentSecurityPolicy::default());
        if let Some(refresh) = refresh {
            response.headers_mut().insert("refresh", refresh);
        }
        put_retry_after(response.headers_mut(), row.status, failure.retry_after);
        response.extensions_mut().insert(failure.report());
        response
    }

    /// Renders the page of `failure`, or for a program the problem document with the same content.
    pub fn answer(&self, view: &PageContext, failure: &Failure, headers: &HeaderMap) -> Response {
        match Audience::from_headers(headers, None) {
            Audience::Program => Self::problem(view, failure),
            Audience::Person | Audience::Unknown => self.failure(view, failure),
        }
    }

    /// Makes the problem document of `failure`, which says no more than its page.
    pub fn problem(view: &PageContext, failure: &Failure) -> Response {
        let mut problem = Problem::new(failure.code, &view.request_id).with_report(failure.report());
        if let Some(after) = failure.retry_after {
            problem = problem.with_retry_after(after);
        }
        problem.into_response()
    }
}

/// Makes the header by which the page goes on by itself. It needs no script, and screen readers
/// meet no timed tag.
fn refresh_header(url: &str) -> Option<HeaderValue> {
    if !text::is_safe_href(url) {
        return None;
    }
    HeaderValue::from_str(&format!("5;url={url}")).ok()
}

fn choose_button(view: &PageContext, failure: &Failure) -> Option<PageLink> {
    let retry = failure.retry.as_deref();
    match failure.code.row().button {
        FailureButton::Retry => build_button(view.lang, retry, &labels::RETRY),
        FailureButton::Back => build_button(view.lang, retry, &labels::BACK),
        FailureButton::SwitchAccount if !view.in_wecom => {
            build_button(view.lang, failure.switch_account.as_deref(), &labels::SWITCH_ACCOUNT)
        }
        FailureButton::SwitchAccount | FailureButton::None => None,
    }
}

const fn choose_picture(kind: FailureKind) -> &'static str {
    match kind {
        FailureKind::Refused => "refused",
        FailureKind::Attempt | FailureKind::Message | FailureKind::Request => "notice",
        FailureKind::Trouble => "trouble",
        FailureKind::Setup => "setup",
    }
}

/// Collects the details. What the notes and remedies call "below" comes last.
fn collect_facts(view: &PageContext, failure: &Failure) -> Vec<AdminFact> {
    let lang = view.lang;
    let row = failure.code.row();
    let exact = |label: &BilingualText, text: String| AdminFact {
        label: lang.order(label),
        value: FactValue::Exact(text),
    };
    let sentence = |label: &BilingualText, text: &BilingualText| AdminFact {
        label: lang.order(label),
        value: FactValue::Sentence(clean_and_order(lang, text)),
    };
    let mut facts = vec![exact(&labels::CODE, failure.code.as_str().to_owned())];
    facts.extend(failure.errcode.map(|n| exact(&labels::ERRCODE, n.to_string())));
    facts.push(sentence(&labels::NOTE, &row.admin));
    // The heading may already say what the errcode means.
    let meaning = failure.meaning.as_ref().filter(|meaning| **meaning != row.happened);
    let given = [
        (&labels::MEANING, meaning),
        (&labels::REMEDY, failure.remedy.as_ref()),
        (&labels::CONSOLE, failure.console.as_ref()),
    ];
    facts.extend(given.into_iter().filter_map(|(label, text)| Some(sentence(label, text?))));
    let detail = if failure.code == Code::TrustedIp { &labels::SERVER_ADDRESS } else { &labels::DETAIL };
    facts.extend(failure.detail.as_deref().map(|d| exact(detail, text::clean_for_page(d))));
    facts.extend(failure.since.map(|at| exact(&labels::SINCE, view.local(at))));
    facts
}

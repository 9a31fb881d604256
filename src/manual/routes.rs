//! `/docs/` of the admin listener: the pages as HTML, in the look of our other pages.

use askama::Template;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Redirect, Response};
use axum::routing::get;

use super::html::{RenderedPage, page_address, render_html};
use super::markdown::Heading;
use super::{INDEX, Topic, find_page, list_topics, parse_language, suggest_topics};
use crate::http::asset_url;
use crate::http::language::Language;
use crate::http::page::respond_cacheable;

/// What the frame around every page says.
struct ManualLabels {
    /// The name of the whole.
    manual: &'static str,
    /// Above the list of all pages, and what leads to it on a phone.
    pages: &'static str,
    /// Above the list of a page's sections.
    sections: &'static str,
    /// The other language, in that language.
    other: &'static str,
    /// The heading for an address without a page.
    missing: &'static str,
    /// Above the pages that may have been meant.
    suggestions: &'static str,
    /// Before the command that prints the same page.
    terminal: &'static str,
}

const ZH: ManualLabels = ManualLabels {
    manual: "工牌文档",
    pages: "目录",
    sections: "本页内容",
    other: "English",
    missing: "没有这一页",
    suggestions: "您要找的也许是：",
    terminal: "在终端里阅读：",
};

const EN: ManualLabels = ManualLabels {
    manual: "Gongpai documentation",
    pages: "Contents",
    sections: "On this page",
    other: "中文",
    missing: "There is no such page",
    suggestions: "You may be looking for:",
    terminal: "Read it in a terminal:",
};

/// A page of the manual, or the page that says that there is none.
#[derive(Template)]
#[template(path = "manual.html", config = "static/askama.toml")]
struct ManualPageTemplate<'a> {
    labels: &'static ManualLabels,
    lang: &'static str,
    other_lang: &'static str,
    home: String,
    other_address: String,
    title: &'a str,
    topics: &'a [TopicLink],
    content: &'a ManualContent<'a>,
    css: [String; 2],
    icon: String,
    version: &'static str,
    command: String,
}

/// What stands in the middle.
enum ManualContent<'a> {
    /// A page: trusted HTML and its second-level headings.
    Article { heading: &'a str, html: &'a str, sections: &'a [Heading] },
    /// Nothing of that name.
    Missing { suggestions: &'a [TopicLink] },
}

/// A page in a list.
struct TopicLink {
    address: String,
    topic: Topic,
    is_current: bool,
}

/// `/docs/` and everything below it.
pub fn routes() -> Router {
    Router::new()
        .route("/docs", get(async || Redirect::permanent("/docs/")))
        .route(
            "/docs/",
            get(async |headers: HeaderMap| build_page(Language::from_headers(&headers), INDEX, &headers)),
        )
        .route("/docs/{lang}", get(handle_language))
        .route("/docs/{lang}/", get(handle_language_index))
        .route("/docs/{lang}/{page}", get(handle_page))
        .route("/docs/{lang}/{page}/", get(handle_page_with_slash))
        .route(
            "/docs/{lang}/{page}/{*rest}",
            get(async |headers: HeaderMap| build_missing_page(None, "", &headers)),
        )
}

async fn handle_language(Path(lang): Path<String>, headers: HeaderMap) -> Response {
    match parse_language(&lang) {
        Some(lang) => Redirect::permanent(&page_address(lang, INDEX)).into_response(),
        // `/docs/rules`: the page in the reader's language.
        None if find_page(Language::from_headers(&headers), &lang).is_some() => {
            Redirect::temporary(&page_address(Language::from_headers(&headers), &lang)).into_response()
        }
        None => build_missing_page(None, &lang, &headers),
    }
}

async fn handle_language_index(Path(lang): Path<String>, headers: HeaderMap) -> Response {
    match parse_language(&lang) {
        Some(lang) => build_page(lang, INDEX, &headers),
        None => build_missing_page(None, &lang, &headers),
    }
}

/// Leads to the address without the slash, against which the page's relative links are written.
async fn handle_page_with_slash(Path((lang, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    match parse_language(&lang) {
        Some(lang) if find_page(lang, &name).is_some() => {
            Redirect::permanent(&page_address(lang, &name)).into_response()
        }
        lang => build_missing_page(lang, &name, &headers),
    }
}

async fn handle_page(Path((lang, name)): Path<(String, String)>, headers: HeaderMap) -> Response {
    match parse_language(&lang) {
        Some(lang) if name == INDEX => Redirect::permanent(&page_address(lang, INDEX)).into_response(),
        Some(lang) => build_page(lang, &name, &headers),
        None => build_missing_page(None, &name, &headers),
    }
}

fn build_page(lang: Language, name: &str, headers: &HeaderMap) -> Response {
    let Some(page) = find_page(lang, name) else { return build_missing_page(Some(lang), name, headers) };
    let RenderedPage { title, heading, html, sections } = render_html(&page);
    // The front page is a list itself.
    let sections = if name == INDEX { Vec::new() } else { sections };
    let content = ManualContent::Article { heading: &heading, html: &html, sections: &sections };
    build_response(headers, StatusCode::OK, lang, name, &title, &content)
}

fn build_missing_page(lang: Option<Language>, name: &str, headers: &HeaderMap) -> Response {
    let lang = lang.unwrap_or_else(|| Language::from_headers(headers));
    let suggestions: Vec<TopicLink> =
        suggest_topics(lang, name).into_iter().map(|topic| build_topic_link(lang, topic, INDEX)).collect();
    let content = ManualContent::Missing { suggestions: &suggestions };
    build_response(headers, StatusCode::NOT_FOUND, lang, INDEX, labels(lang).missing, &content)
}

fn build_response(
    headers: &HeaderMap,
    status: StatusCode,
    lang: Language,
    name: &str,
    title: &str,
    content: &ManualContent<'_>,
) -> Response {
    let topics: Vec<TopicLink> =
        list_topics(lang).into_iter().map(|topic| build_topic_link(lang, topic, name)).collect();
    let other = match lang {
        Language::Zh => Language::En,
        Language::En => Language::Zh,
    };
    let page = ManualPageTemplate {
        labels: labels(lang),
        lang: lang.tag(),
        other_lang: other.tag(),
        home: page_address(lang, INDEX),
        other_address: page_address(other, if find_page(other, name).is_some() { name } else { INDEX }),
        title,
        topics: &topics,
        content,
        css: [asset_url("gongpai.css"), asset_url("manual.css")],
        icon: asset_url("badge.svg"),
        version: env!("CARGO_PKG_VERSION"),
        command: command_of(lang, name),
    };
    match page.render() {
        Ok(html) => respond_cacheable(headers, status, html),
        Err(error) => {
            tracing::error!(%error, "A page of the manual could not be rendered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The command that shows this page in a terminal. On servers the locale mostly is C.UTF-8, which is
/// English to us, so that the Chinese page names its language.
fn command_of(lang: Language, name: &str) -> String {
    let page = if name == INDEX { String::new() } else { format!(" {name}") };
    let option = match lang {
        Language::Zh => " --lang zh",
        Language::En => "",
    };
    format!("gongpai docs{page}{option}")
}

const fn labels(lang: Language) -> &'static ManualLabels {
    match lang {
        Language::Zh => &ZH,
        Language::En => &EN,
    }
}

fn build_topic_link(lang: Language, topic: Topic, current: &str) -> TopicLink {
    let is_current = current == topic.name;
    TopicLink { address: page_address(lang, &topic.name), topic, is_current }
}

//! Both languages have the same pages with the same structure.

use gongpai::testing::http::language::Language;
use gongpai::testing::manual::markdown::{list_headings, parse_markdown};
use gongpai::testing::manual::{INDEX, TOPICS, find_page, list_names};

use crate::{Document, FRONT_PAGES, LANGUAGES, read, read_folder, read_pages, report};

/// The front page is read in five minutes; what is longer belongs on a page of its own.
const MAX_FRONT_PAGE_LINES: usize = 200;

#[test]
fn both_languages_have_the_same_pages() {
    assert_eq!(list_names(Language::Zh), list_names(Language::En));
    for lang in LANGUAGES {
        assert!(find_page(lang, INDEX).is_some(), "there is no {INDEX}.md ({lang:?})");
    }
}

#[test]
fn the_list_of_topics_names_every_page() {
    for lang in LANGUAGES {
        assert_eq!(list_names(lang), TOPICS, "TOPICS in src/manual/mod.rs and static/docs differ ({lang:?})");
    }
}

#[test]
fn both_languages_have_the_same_headings_in_the_same_order() {
    let mut findings = Vec::new();
    let pairs = read_pages(Language::Zh).into_iter().zip(read_pages(Language::En));
    let front = |at: usize| Document { path: FRONT_PAGES[at].1.to_owned(), text: read(FRONT_PAGES[at].1) };
    for (zh, en) in pairs.chain([(front(0), front(1))]) {
        let (zh_headings, en_headings) =
            (list_headings(&parse_markdown(&zh.text)), list_headings(&parse_markdown(&en.text)));
        let differs = zh_headings.iter().zip(&en_headings).find(|(a, b)| a.level != b.level);
        if let Some((a, b)) = differs {
            findings.push(format!(
                "{}: \"{}\" is on level {}, and in {} \"{}\" on level {}",
                zh.path, a.text, a.level, en.path, b.text, b.level
            ));
        } else if zh_headings.len() != en_headings.len() {
            let (long, short) = if zh_headings.len() > en_headings.len() {
                (&zh_headings, en_headings.len())
            } else {
                (&en_headings, zh_headings.len())
            };
            findings.push(format!("{} and {}: only one has \"{}\"", zh.path, en.path, long[short].text));
        }
    }
    report(&findings);
}

#[test]
fn every_page_begins_with_its_only_title_and_a_summary() {
    let mut findings = Vec::new();
    for page in LANGUAGES.into_iter().flat_map(read_pages) {
        let headings = list_headings(&parse_markdown(&page.text));
        let titles = headings.iter().filter(|heading| heading.level == 1).count();
        if titles != 1 || headings.first().is_none_or(|first| first.level != 1) {
            findings
                .push(format!("{}: begins with one heading of the first level, and has no other", page.path));
        }
        let (_, summary) = gongpai::testing::manual::markdown::read_title_and_summary(&page.text);
        if summary.is_empty() {
            findings.push(format!("{}: has no paragraph that the list of pages could show", page.path));
        }
    }
    report(&findings);
}

#[test]
fn no_page_has_raw_html() {
    let mut findings = Vec::new();
    for page in LANGUAGES.into_iter().flat_map(read_pages) {
        for event in parse_markdown(&page.text) {
            use pulldown_cmark::Event::{Html, InlineHtml};
            if let Html(html) | InlineHtml(html) = event
                && !html.trim_start().starts_with("<!--")
            {
                findings.push(format!("{}: raw HTML, which is shown as text: {}", page.path, html.trim()));
            }
        }
    }
    report(&findings);
}

#[test]
fn front_pages_are_short() {
    for (_, path) in FRONT_PAGES {
        let lines = read(path).lines().count();
        assert!(lines <= MAX_FRONT_PAGE_LINES, "{path} has {lines} lines, {MAX_FRONT_PAGE_LINES} at most");
    }
}

#[test]
fn the_source_documents_are_there() {
    let names: Vec<String> = read_folder("src/docs").into_iter().map(|document| document.path).collect();
    assert_eq!(names, ["src/docs/architecture.md", "src/docs/contributing.md", "src/docs/design.md"]);
}

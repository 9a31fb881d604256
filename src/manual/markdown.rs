//! What a page of Markdown consists of, read as GitHub reads it: headings, their anchors, links.
//!
//! The pages are read on GitHub, in a terminal and as HTML; an anchor written in a link has to lead
//! to the same heading in each.

use std::collections::HashMap;

use pulldown_cmark::{Event, HeadingLevel, Options, Parser, Tag, TagEnd};
use unicode_normalization::char::is_combining_mark;
use unicode_width::UnicodeWidthChar as _;

use super::{find_page, language_folder, parse_language};
use crate::http::language::Language;

/// A heading and where a link finds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// 1 to 6.
    pub level: u8,
    /// Its text without markup.
    pub text: String,
    /// What follows the `#` of a link to it.
    pub anchor: String,
}

/// Where a link of a page leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum LinkTarget {
    /// Somewhere on the internet, by http, https or mailto.
    External(String),
    /// A heading of the same page.
    Anchor(String),
    /// A page of the manual, and a heading of it.
    Page {
        /// The language of that page.
        lang: Language,
        /// Its name.
        name: String,
        /// The heading's anchor; may be empty.
        anchor: String,
    },
    /// A file of the repository, or an address that no page should have.
    Other,
}

/// Parses GitHub's Markdown: CommonMark with tables, strikethrough and alerts.
pub fn parse_markdown(source: &str) -> Vec<Event<'_>> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_GFM;
    let mut events: Vec<Event<'_>> = Parser::new_ext(source, options).collect();
    join_chinese_lines(&mut events);
    events
}

/// The headings of a page, in order.
pub fn list_headings(events: &[Event<'_>]) -> Vec<Heading> {
    let mut found: Vec<Heading> = Vec::new();
    let mut anchors = AnchorGenerator::default();
    let mut open: Option<(u8, String)> = None;
    for event in events {
        match event {
            Event::Start(Tag::Heading { level, .. }) => open = Some((level_number(*level), String::new())),
            Event::End(TagEnd::Heading(_)) => {
                if let Some((level, text)) = open.take() {
                    let anchor = anchors.add(&text);
                    found.push(Heading { level, text, anchor });
                }
            }
            event => {
                if let Some((_, text)) = &mut open {
                    text.push_str(event_text(event));
                }
            }
        }
    }
    found
}

/// The first heading and the first paragraph, both without markup.
pub fn read_title_and_summary(source: &str) -> (String, String) {
    let (mut title, mut summary) = (None, None);
    let mut text = String::new();
    for event in parse_markdown(source) {
        match &event {
            Event::Start(Tag::Heading { .. } | Tag::Paragraph) => text.clear(),
            Event::End(TagEnd::Heading(_)) if title.is_none() => title = Some(std::mem::take(&mut text)),
            Event::End(TagEnd::Paragraph) if summary.is_none() => summary = Some(std::mem::take(&mut text)),
            event => text.push_str(event_text(event)),
        }
    }
    (title.unwrap_or_default(), summary.unwrap_or_default())
}

/// What `destination` means in a page of `lang`.
pub(crate) fn resolve_link(lang: Language, destination: &str) -> LinkTarget {
    let (path, anchor) = destination.split_once('#').unwrap_or((destination, ""));
    if path.is_empty() {
        return LinkTarget::Anchor(anchor.to_owned());
    }
    if ["https://", "http://", "mailto:"].iter().any(|scheme| destination.starts_with(scheme)) {
        return LinkTarget::External(destination.to_owned());
    }
    let (folder, file) = match path.strip_prefix("../").map(|rest| rest.split_once('/')) {
        Some(Some((folder, file))) => (folder, file),
        Some(None) => return LinkTarget::Other,
        None => (language_folder(lang), path.strip_prefix("./").unwrap_or(path)),
    };
    let page = parse_language(folder).zip(file.strip_suffix(".md"));
    match page.filter(|(lang, name)| find_page(*lang, name).is_some()) {
        Some((lang, name)) => LinkTarget::Page { lang, name: name.to_owned(), anchor: anchor.to_owned() },
        None => LinkTarget::Other,
    }
}

/// The number of a heading's level.
pub(crate) fn level_number(level: HeadingLevel) -> u8 {
    match level {
        HeadingLevel::H1 => 1,
        HeadingLevel::H2 => 2,
        HeadingLevel::H3 => 3,
        HeadingLevel::H4 => 4,
        HeadingLevel::H5 => 5,
        HeadingLevel::H6 => 6,
    }
}

/// What an event adds to a text without markup.
pub(super) fn event_text<'a>(event: &'a Event<'_>) -> &'a str {
    match event {
        Event::Text(text) | Event::Code(text) => text,
        Event::SoftBreak | Event::HardBreak => " ",
        _ => "",
    }
}

/// A line end within a paragraph is a space, but Chinese has none between its characters: there it
/// is nothing.
fn join_chinese_lines(events: &mut Vec<Event<'_>>) {
    let is_chinese = |c: Option<char>| c.is_some_and(|c| c.width() == Some(2));
    let chinese_breaks: Vec<usize> = (0..events.len())
        .filter(|&at| {
            let before = events.get(..at).unwrap_or_default().iter().rev().map(event_text);
            let after = events.get(at + 1..).unwrap_or_default().iter().map(event_text);
            matches!(events.get(at), Some(Event::SoftBreak))
                && is_chinese(before.filter_map(|text| text.chars().next_back()).next())
                && is_chinese(after.filter_map(|text| text.chars().next()).next())
        })
        .collect();
    for at in chinese_breaks.into_iter().rev() {
        events.remove(at);
    }
}

/// Makes anchors as GitHub does: letters, digits, hyphens and underscores in lower case, spaces as
/// hyphens, and a number behind what was there before.
#[derive(Debug, Default)]
struct AnchorGenerator {
    seen: HashMap<String, usize>,
}

impl AnchorGenerator {
    fn add(&mut self, text: &str) -> String {
        let kept = |c: &char| c.is_alphanumeric() || matches!(c, '-' | '_' | ' ') || is_combining_mark(*c);
        let anchor: String = text.trim().to_lowercase().chars().filter(kept).collect();
        let anchor = anchor.replace(' ', "-");
        let mut unique = anchor.clone();
        while self.seen.contains_key(&unique) {
            let repeats = self.seen.entry(anchor.clone()).or_default();
            *repeats += 1;
            unique = format!("{anchor}-{repeats}");
        }
        self.seen.insert(unique.clone(), 0);
        unique
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anchors(source: &str) -> Vec<String> {
        list_headings(&parse_markdown(source)).into_iter().map(|heading| heading.anchor).collect()
    }

    #[test]
    fn anchors_are_those_of_github() {
        for (heading, anchor) in [
            ("Try it: two commands", "try-it-two-commands"),
            ("`wecom.corp_id`", "wecomcorp_id"),
            ("先试试：两条命令", "先试试两条命令"),
            ("当企业微信说「不」的时候", "当企业微信说不的时候"),
            ("nginx 与 Caddy", "nginx-与-caddy"),
            ("A - B & C", "a---b--c"),
            ("`gongpai config check`", "gongpai-config-check"),
            ("A [link](x.md) and **bold**", "a-link-and-bold"),
        ] {
            assert_eq!(anchors(&format!("# {heading}")), [anchor], "{heading}");
        }
    }

    #[test]
    fn equal_headings_are_numbered() {
        assert_eq!(anchors("# A\n# A\n# A-1\n# A\n"), ["a", "a-1", "a-1-1", "a-2"]);
    }

    #[test]
    fn chinese_lines_are_joined_without_a_space() {
        let text = |source: &str| read_title_and_summary(source).1;
        assert_eq!(text("第一行，\n第二行。"), "第一行，第二行。");
        assert_eq!(text("one\ntwo"), "one two");
        assert_eq!(text("用 nginx\n的人"), "用 nginx 的人");
        assert_eq!(text("**第一行**\n第二行"), "第一行第二行");
    }

    #[test]
    fn a_page_has_a_title_and_a_summary() {
        let source = "<!-- made -->\n\n# The `title`\n\nFirst *of\nall*.\n\nSecond.\n\n# Another\n";
        assert_eq!(read_title_and_summary(source), ("The title".to_owned(), "First of all.".to_owned()));
    }

    #[test]
    fn links_lead_to_pages_headings_and_other_sites_and_nowhere_else() {
        let page = |lang, anchor: &str| LinkTarget::Page {
            lang,
            name: "configuration".to_owned(),
            anchor: anchor.to_owned(),
        };
        for (destination, target) in [
            ("configuration.md", page(Language::Zh, "")),
            ("./configuration.md#服务器", page(Language::Zh, "服务器")),
            ("../en/configuration.md#x", page(Language::En, "x")),
            ("#here", LinkTarget::Anchor("here".to_owned())),
            ("https://example.com/a#b", LinkTarget::External("https://example.com/a#b".to_owned())),
            ("../../../README.md", LinkTarget::Other),
            ("../README.md", LinkTarget::Other),
            ("nothing.md", LinkTarget::Other),
            ("javascript:alert(1)", LinkTarget::Other),
            ("//example.com/configuration.md", LinkTarget::Other),
            ("/docs/zh/configuration", LinkTarget::Other),
        ] {
            assert_eq!(resolve_link(Language::Zh, destination), target, "{destination}");
        }
    }
}

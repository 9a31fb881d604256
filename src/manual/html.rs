//! A page as HTML that may stand in a page of ours: no raw HTML of the source, no inline style, no
//! other scheme than http, https and mailto.

use pulldown_cmark::{CowStr, Event, LinkType, Tag, TagEnd, html};

use super::markdown::{Heading, LinkTarget, list_headings, parse_markdown, resolve_link};
use super::{INDEX, ManualPage, language_folder};
use crate::http::language::Language;

/// A page, ready to be put into the frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RenderedPage {
    /// The first heading, without markup.
    pub title: String,
    /// The second-level headings, for a list beside the page.
    pub sections: Vec<Heading>,
    /// The HTML up to the end of the first heading; empty if the page does not begin with one.
    pub heading: String,
    /// The HTML that follows.
    pub html: String,
}

/// Renders the page.
pub(crate) fn render_html(page: &ManualPage) -> RenderedPage {
    let events = parse_markdown(&page.source);
    let headings = list_headings(&events);
    let mut ids = headings.iter().map(|heading| heading.anchor.clone());
    // Whether each link that is open has been written as one.
    let mut links = Vec::new();
    let mut safe = Vec::new();
    for event in events {
        match event {
            Event::Start(Tag::Heading { level, .. }) => {
                let id = ids.next().map(CowStr::from);
                safe.push(Event::Start(Tag::Heading { level, id, classes: Vec::new(), attrs: Vec::new() }));
            }
            Event::Start(Tag::Link { dest_url, title, .. }) => {
                let address = address(page.lang, &dest_url);
                links.push(address.is_some());
                if let Some(address) = address {
                    let dest_url = CowStr::from(address);
                    let id = CowStr::from("");
                    safe.push(Event::Start(Tag::Link { link_type: LinkType::Inline, dest_url, title, id }));
                }
            }
            Event::End(TagEnd::Link) => {
                if links.pop() == Some(true) {
                    safe.push(Event::End(TagEnd::Link));
                }
            }
            // The text that stands for a picture stays.
            Event::Start(Tag::Image { .. }) | Event::End(TagEnd::Image) => {}
            Event::Html(text) | Event::InlineHtml(text) => {
                if !text.trim_start().starts_with("<!--") {
                    safe.push(Event::Text(text));
                }
            }
            // What is wider than a phone scrolls by itself; the columns' alignment would be an
            // inline style, which the policy forbids.
            Event::Start(Tag::Table(columns)) => {
                safe.push(Event::Html("<div class=\"wide\" tabindex=\"0\">".into()));
                let columns = columns.iter().map(|_| pulldown_cmark::Alignment::None).collect();
                safe.push(Event::Start(Tag::Table(columns)));
            }
            Event::End(TagEnd::Table) => {
                safe.push(Event::End(TagEnd::Table));
                safe.push(Event::Html("</div>\n".into()));
            }
            Event::Start(Tag::CodeBlock(_)) => safe.push(Event::Html("<pre tabindex=\"0\"><code>".into())),
            Event::End(TagEnd::CodeBlock) => safe.push(Event::Html("</code></pre>\n".into())),
            event => safe.push(event),
        }
    }
    let mut html = String::new();
    html::push_html(&mut html, safe.into_iter());
    let title = headings.first().map(|heading| heading.text.clone()).unwrap_or_default();
    let sections = headings.into_iter().filter(|heading| heading.level == 2).collect();
    let (heading, html) = match html.split_once("</h1>\n") {
        Some((heading, rest)) => (format!("{heading}</h1>\n"), rest.to_owned()),
        None => (String::new(), html),
    };
    RenderedPage { title, sections, heading, html }
}

/// The address of a page below `/docs/`.
pub(crate) fn page_address(lang: Language, name: &str) -> String {
    let name = if name == INDEX { "" } else { name };
    format!("/docs/{}/{name}", language_folder(lang))
}

/// Where a link leads in the HTML; `None` where only the repository has what it names.
fn address(lang: Language, destination: &str) -> Option<String> {
    match resolve_link(lang, destination) {
        LinkTarget::External(address) => Some(address),
        LinkTarget::Anchor(anchor) => Some(format!("#{anchor}")),
        LinkTarget::Page { lang, name, anchor } if anchor.is_empty() => Some(page_address(lang, &name)),
        LinkTarget::Page { lang, name, anchor } => Some(format!("{}#{anchor}", page_address(lang, &name))),
        LinkTarget::Other => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(source: &str) -> String {
        let page = ManualPage { lang: Language::Zh, name: "test".to_owned(), source: source.to_owned() };
        let rendered = render_html(&page);
        rendered.heading + &rendered.html
    }

    #[test]
    fn headings_have_the_anchors_that_links_use() {
        let html = rendered("# 规则与 nginx\n\n## A & B\n");
        assert!(html.contains("<h1 id=\"规则与-nginx\">规则与 nginx</h1>"), "{html}");
        assert!(html.contains("<h2 id=\"a--b\">A &amp; B</h2>"), "{html}");
    }

    #[test]
    fn links_between_pages_become_addresses_and_others_stay_or_go() {
        let html = rendered("[a](configuration.md#服务器) [b](../../../README.md) [c](https://example.com/)");
        assert!(
            html.contains("<a href=\"/docs/zh/configuration#%E6%9C%8D%E5%8A%A1%E5%99%A8\">a</a>"),
            "{html}"
        );
        assert!(html.contains(" b <a href=\"https://example.com/\">c</a>"), "{html}");
        for hostile in ["javascript:alert(1)", "data:text/html,x", "JAVASCRIPT:x", "vbscript:x", "//x"] {
            assert_eq!(rendered(&format!("[d]({hostile})")), "<p>d</p>\n", "{hostile}");
        }
    }

    #[test]
    fn raw_html_is_shown_and_comments_are_not() {
        let html =
            rendered("<!-- made -->\n\na <script>alert(1)</script> b\n\n<div onclick=\"x\">\nc\n</div>\n");
        assert!(!html.contains("<script") && !html.contains("<div") && !html.contains("made"), "{html}");
        assert!(html.contains("&lt;script&gt;alert(1)&lt;/script&gt;"), "{html}");
    }

    #[test]
    fn nothing_needs_an_inline_style_and_what_is_wide_scrolls() {
        let html = rendered("| a | b |\n|:-:|--:|\n| `x` | 1 < 2 |\n\n```sh\nls <x>\n```\n\n![alt](x.png)\n");
        assert!(!html.contains("style=") && !html.contains("<img"), "{html}");
        assert!(html.contains("<div class=\"wide\" tabindex=\"0\"><table>"), "{html}");
        assert!(html.contains("<pre tabindex=\"0\"><code>ls &lt;x&gt;\n</code></pre>"), "{html}");
    }
}

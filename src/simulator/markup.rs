//! Reads the markup of messages into pieces that a template can escape, so that nothing in a
//! message is trusted.

use url::Url;

/// A piece of text in one style.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) text: String,
    /// Classes of the stylesheet; only words from this file.
    pub(super) class: String,
    /// The URL of a link; may be empty.
    pub(super) link: String,
}

/// A line of a markdown message, or a `<div>` of a textcard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MarkupLine {
    /// A class of the stylesheet; only words from this file.
    pub(super) class: &'static str,
    pub(super) spans: Vec<Span>,
}

/// Returns the address if it is a web page, else an empty text: a phone would not run a script
/// either.
pub(super) fn safe_link(address: &str) -> String {
    let web = |u: &Url| matches!(u.scheme(), "http" | "https");
    if Url::parse(address).is_ok_and(|u| web(&u)) { address.to_owned() } else { String::new() }
}

/// Parses a text message. Links are links; everything else stays as it is written.
pub(super) fn parse_text(content: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut rest = content;
    while let Some(at) = find_ignoring_case(rest, "<a ") {
        let (before, from) = rest.split_at(at);
        let anchor = split_element(from, "a").and_then(|(attributes, label, after)| {
            let link = safe_link(attribute_value(attributes, "href")?);
            (!link.is_empty()).then(|| (Span { text: label.to_owned(), class: String::new(), link }, after))
        });
        push_text(&mut spans, before, "");
        if let Some((span, after)) = anchor {
            spans.push(span);
            rest = after;
        } else {
            // Not a link: the `<` stays text, and the search goes on behind it.
            let (mark, after) = from.split_at(1);
            push_text(&mut spans, mark, "");
            rest = after;
        }
    }
    push_text(&mut spans, rest, "");
    spans
}

/// Parses the description of a textcard: `<div class="gray|highlight|normal">` and `<br>`.
pub(super) fn parse_description(content: &str) -> Vec<MarkupLine> {
    let plain = |class, text: &str| MarkupLine {
        class,
        spans: vec![Span { text: text.to_owned(), ..Span::default() }],
    };
    let mut lines = Vec::new();
    let mut add = |class, text: &str| {
        for line in split_lines(text) {
            lines.extend((!line.is_empty()).then(|| plain(class, &line)));
        }
    };
    let mut rest = content;
    while let Some(at) = find_ignoring_case(rest, "<div") {
        let (before, from) = rest.split_at(at);
        // An unclosed `<div>` is text up to the end.
        let Some((attributes, text, after)) = split_element(from, "div") else { break };
        add("normal", before);
        let class = match attribute_value(attributes, "class") {
            Some("gray") => "gray",
            Some("highlight") => "highlight",
            _ => "normal",
        };
        add(class, text);
        rest = after;
    }
    add("normal", rest);
    lines
}

/// Parses a markdown message as WeCom's phone does: headings, quotes, and what [`parse_inline`]
/// knows.
pub(super) fn parse_markdown(content: &str) -> Vec<MarkupLine> {
    content.lines().map(parse_line).collect()
}

fn parse_line(text: &str) -> MarkupLine {
    const HEADINGS: [&str; 6] = ["h1", "h2", "h3", "h4", "h5", "h6"];
    let hashes = text.bytes().take_while(|b| *b == b'#').count();
    let heading = hashes.checked_sub(1).and_then(|n| HEADINGS.get(n));
    if let (Some(class), Some(rest)) = (heading, text.get(hashes..).and_then(|t| t.strip_prefix(' '))) {
        return MarkupLine { class, spans: parse_inline(rest, "") };
    }
    match text.strip_prefix('>') {
        Some(rest) => MarkupLine { class: "quote", spans: parse_inline(rest.trim_start(), "") },
        None => MarkupLine { class: "", spans: parse_inline(text, "") },
    }
}

/// Parses `**bold**`, `` `code` ``, `[link](url)` and `<font color="info|comment|warning">`, also
/// nested.
fn parse_inline(text: &str, class: &str) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(['*', '`', '[', '<']) {
        let (before, from) = rest.split_at(at);
        let found =
            parse_bold(from, class).or_else(|| parse_code(from, class)).or_else(|| parse_anchor(from, class));
        let Some((inner, after)) = found.or_else(|| parse_font(from, class)) else {
            let (before, after) = rest.split_at(at + 1);
            push_text(&mut spans, before, class);
            rest = after;
            continue;
        };
        push_text(&mut spans, before, class);
        spans.extend(inner);
        rest = after;
    }
    push_text(&mut spans, rest, class);
    spans
}

type ParsedMarkup<'t> = Option<(Vec<Span>, &'t str)>;

fn parse_bold<'t>(text: &'t str, class: &str) -> ParsedMarkup<'t> {
    let (inner, after) = text.strip_prefix("**")?.split_once("**").filter(|(inner, _)| !inner.is_empty())?;
    Some((parse_inline(inner, &format!("{class} bold")), after))
}

fn parse_code<'t>(text: &'t str, class: &str) -> ParsedMarkup<'t> {
    let (inner, after) = text.strip_prefix('`')?.split_once('`').filter(|(inner, _)| !inner.is_empty())?;
    Some((vec![Span { text: inner.to_owned(), class: format!("{class} code"), link: String::new() }], after))
}

fn parse_anchor<'t>(text: &'t str, class: &str) -> ParsedMarkup<'t> {
    let (label, rest) = text.strip_prefix('[')?.split_once("](")?;
    let (address, after) = rest.split_once(')')?;
    let link = safe_link(address.trim());
    // The label reaches into the next link, so this is no link.
    if link.is_empty() || label.contains(['[', '\n']) {
        return None;
    }
    let mut spans = parse_inline(label, class);
    for span in &mut spans {
        span.link.clone_from(&link);
    }
    Some((spans, after))
}

fn parse_font<'t>(text: &'t str, class: &str) -> ParsedMarkup<'t> {
    let (attributes, inner, after) = split_element(text, "font")?;
    let colour = match attribute_value(attributes, "color")? {
        "info" => "info",
        "comment" => "comment",
        "warning" => "warning",
        _ => return None,
    };
    Some((parse_inline(inner, &format!("{class} {colour}")), after))
}

fn push_text(spans: &mut Vec<Span>, text: &str, class: &str) {
    if text.is_empty() {
        return;
    }
    match spans.last_mut() {
        Some(last) if last.link.is_empty() && last.class == class => last.text.push_str(text),
        _ => spans.push(Span { text: text.to_owned(), class: class.to_owned(), link: String::new() }),
    }
}

/// Finds a mark, ignoring case. Only ASCII letters change, so the position is valid in `text`.
fn find_ignoring_case(text: &str, mark: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(mark)
}

/// Splits the element at the start of `text` into its attributes, its content and the rest.
fn split_element<'t>(text: &'t str, name: &str) -> Option<(&'t str, &'t str, &'t str)> {
    let rest =
        text.get(1 + name.len()..).filter(|_| find_ignoring_case(text, &format!("<{name}")) == Some(0))?;
    let (attributes, rest) = rest.split_once('>')?;
    let end = format!("</{name}>");
    let at = find_ignoring_case(rest, &end)?;
    Some((attributes, rest.get(..at)?, rest.get(at + end.len()..)?))
}

/// Returns the value of an attribute in either kind of quotation marks.
fn attribute_value<'t>(attributes: &'t str, name: &str) -> Option<&'t str> {
    let at = find_ignoring_case(attributes, name)?;
    let value = attributes.get(at + name.len()..)?.trim_start().strip_prefix('=')?.trim_start();
    let mark = value.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    value.get(1..)?.split_once(mark).map(|(value, _)| value)
}

/// Splits at line breaks and at every spelling of `<br>`.
fn split_lines(text: &str) -> Vec<String> {
    let lower = text.to_ascii_lowercase();
    let mut lines = vec![String::new()];
    let mut skip = 0;
    for (at, c) in text.char_indices() {
        if skip > 0 {
            skip -= 1;
            continue;
        }
        let here = lower.get(at..).unwrap_or_default();
        let mark = ["<br>", "<br/>", "<br />"].into_iter().find(|m| here.starts_with(m));
        if mark.is_some() || c == '\n' {
            skip = mark.map_or(0, |m| m.len() - 1);
            lines.push(String::new());
        } else if let Some(last) = lines.last_mut() {
            last.push(c);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(text: &str, class: &str, link: &str) -> Span {
        Span { text: text.into(), class: class.into(), link: link.into() }
    }

    #[test]
    fn a_text_has_links_and_no_other_markup() {
        let got = parse_text(
            "你好 <A class='x' href='https://a.example/?b=c&d'>去看</a>，<b>粗</b>\n<a href=\"javascript:x()\">坏</a>",
        );
        assert_eq!(
            got,
            [
                span("你好 ", "", ""),
                span("去看", "", "https://a.example/?b=c&d"),
                span("，<b>粗</b>\n<a href=\"javascript:x()\">坏</a>", "", ""),
            ]
        );
        assert_eq!(
            parse_text("<a 1 <a href=\"https://a.example\">"),
            [span("<a 1 <a href=\"https://a.example\">", "", "")]
        );
    }

    #[test]
    fn a_description_has_three_kinds_of_lines() {
        let got = parse_description(
            "<div class=\"gray\">2026年</div> 正文<br/>第二行<div class=\"highlight\">请看<i></div>",
        );
        let line = |class, text| MarkupLine { class, spans: vec![span(text, "", "")] };
        assert_eq!(
            got,
            [
                line("gray", "2026年"),
                line("normal", " 正文"),
                line("normal", "第二行"),
                line("highlight", "请看<i>")
            ]
        );
    }

    #[test]
    fn markdown_is_what_wecoms_phone_reads_of_it() {
        let got = parse_markdown(
            "## 标题\n> **[单](https://a.example)** `x*y`\n<font color=\"info\">绿**粗**</font><script>\n####### 不是",
        );
        assert_eq!(got[0], MarkupLine { class: "h2", spans: vec![span("标题", "", "")] });
        assert_eq!(
            got[1],
            MarkupLine {
                class: "quote",
                spans: vec![
                    span("单", " bold", "https://a.example"),
                    span(" ", "", ""),
                    span("x*y", " code", "")
                ]
            }
        );
        assert_eq!(
            got[2].spans,
            [span("绿", " info", ""), span("粗", " info bold", ""), span("<script>", "", "")]
        );
        assert_eq!(got[3], MarkupLine { class: "", spans: vec![span("####### 不是", "", "")] });
    }

    #[test]
    fn broken_markdown_stays_text() {
        for broken in ["**", "`", "[a](javascript:b)", "[a](b", "<font color=\"red\">x</font>", "a*b", "**a"]
        {
            assert_eq!(parse_inline(broken, ""), [span(broken, "", "")], "{broken}");
        }
    }
}

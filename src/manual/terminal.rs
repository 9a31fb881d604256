//! A page as plain text for a terminal: headings at the margin, what belongs to them indented,
//! tables in columns.

use pulldown_cmark::{Event, Tag, TagEnd};
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use super::markdown::{LinkTarget, level_number, parse_markdown, resolve_link};
use super::{INDEX, ManualPage, language_folder};
use crate::http::language::Language;

/// What stands below a heading begins in this column.
const INDENT: &str = "  ";

/// What stands between two columns of a table.
const COLUMN_GAP: &str = "  ";

/// Columns of a table are never made narrower than this.
const MIN_COLUMN_WIDTH: usize = 8;

/// Punctuation that must not begin a line.
const CLOSING: &str = "，。、；：？！）》」』】”’…,.;:?!)]}%";

/// Punctuation that must not end a line.
const OPENING: &str = "（《「『【“‘([{";

/// Lays the page out for a terminal of `width` columns.
pub(crate) fn render_text(page: &ManualPage, width: usize) -> String {
    let events = parse_markdown(&page.source);
    let mut layout = TerminalLayout { lang: page.lang, events: &events, at: 0 };
    let mut text = String::new();
    for line in layout.blocks(width, true) {
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Breaks `text` into lines of at most `width` columns: at spaces, and beside Chinese characters,
/// but never so that punctuation stands on the wrong line. Only a word that is longer than a line
/// is longer than `width`.
pub(crate) fn wrap_text(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    for paragraph in text.split('\n') {
        let mut line = String::new();
        for (space, piece) in pieces(paragraph) {
            let gap = usize::from(space && !line.is_empty());
            if !line.is_empty() && line.width() + gap + piece.width() > width {
                lines.push(std::mem::take(&mut line));
            } else if gap == 1 {
                line.push(' ');
            }
            line.push_str(&piece);
        }
        lines.push(line);
    }
    lines
}

/// The pieces that a line end may stand between, and whether a space stands before each.
fn pieces(text: &str) -> Vec<(bool, String)> {
    let mut pieces: Vec<(bool, String)> = Vec::new();
    let mut space = false;
    let mut before = None;
    for c in text.chars() {
        if c == ' ' {
            space = true;
            continue;
        }
        let is_break = before.is_none_or(|before: char| {
            let beside_chinese = before.width() == Some(2) || c.width() == Some(2);
            space || (beside_chinese && !CLOSING.contains(c) && !OPENING.contains(before))
        });
        match pieces.last_mut() {
            Some((_, piece)) if !is_break => piece.push(c),
            _ => pieces.push((space, c.to_string())),
        }
        (space, before) = (false, Some(c));
    }
    pieces
}

/// Walks over the events of a page; each function takes what belongs to it.
struct TerminalLayout<'a> {
    lang: Language,
    events: &'a [Event<'a>],
    at: usize,
}

impl<'a> TerminalLayout<'a> {
    fn next(&mut self) -> Option<&'a Event<'a>> {
        let event = self.events.get(self.at);
        self.at += 1;
        event
    }

    fn peek(&self) -> Option<&'a Event<'a>> {
        self.events.get(self.at)
    }

    /// The blocks up to the end of what is around them, with an empty line between each two. On the
    /// outermost level everything but headings is indented.
    fn blocks(&mut self, width: usize, is_outermost: bool) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let inner = if is_outermost { width.saturating_sub(INDENT.len()) } else { width };
        while let Some(event) = self.peek() {
            let mut indent = if is_outermost { INDENT } else { "" };
            let block = match event {
                Event::End(_) => {
                    self.at += 1;
                    // Comments are blocks without content; so is the end of a block that was read
                    // as text.
                    if is_outermost {
                        continue;
                    }
                    return lines;
                }
                Event::Start(Tag::Heading { level, .. }) => {
                    indent = "";
                    self.at += 1;
                    self.heading(level_number(*level), width)
                }
                Event::Start(Tag::HtmlBlock) => {
                    self.at += 1;
                    self.raw_html()
                }
                Event::Start(Tag::CodeBlock(_)) => {
                    self.at += 1;
                    self.code()
                }
                Event::Start(Tag::List(first)) => {
                    self.at += 1;
                    self.list(*first, inner)
                }
                Event::Start(Tag::Table(_)) => {
                    self.at += 1;
                    self.table(inner)
                }
                Event::Start(Tag::BlockQuote(_)) => {
                    self.at += 1;
                    let quoted = self.blocks(inner.saturating_sub(2), false);
                    quoted.into_iter().map(|line| format!("│ {line}")).collect()
                }
                Event::Start(Tag::Paragraph) => {
                    self.at += 1;
                    let text = self.inline();
                    self.at += 1;
                    wrap_text(&text, inner)
                }
                Event::Rule => {
                    self.at += 1;
                    vec!["─".repeat(inner)]
                }
                _ => {
                    // The text of a list's item stands there without a paragraph.
                    let before = self.at;
                    let text = self.inline();
                    if self.at == before {
                        self.at += 1;
                    }
                    wrap_text(&text, inner)
                }
            };
            if block.iter().all(String::is_empty) {
                continue;
            }
            if !lines.is_empty() {
                lines.push(String::new());
            }
            lines.extend(block.into_iter().map(|line| format!("{indent}{line}")));
        }
        lines
    }

    fn heading(&mut self, level: u8, width: usize) -> Vec<String> {
        let text = self.inline();
        self.at += 1;
        let mut lines = wrap_text(&text, width);
        let longest = lines.iter().map(|line| line.width()).max().unwrap_or(0);
        match level {
            1 => lines.push("=".repeat(longest)),
            2 => lines.push("-".repeat(longest)),
            _ => {}
        }
        lines
    }

    fn code(&mut self) -> Vec<String> {
        let mut text = String::new();
        while let Some(Event::Text(part)) = self.peek() {
            text.push_str(part);
            self.at += 1;
        }
        self.at += 1;
        text.lines().map(|line| format!("  {line}")).collect()
    }

    fn raw_html(&mut self) -> Vec<String> {
        let mut text = String::new();
        while let Some(Event::Html(part)) = self.peek() {
            text.push_str(part);
            self.at += 1;
        }
        self.at += 1;
        let is_comment = text.trim_start().starts_with("<!--");
        if is_comment { Vec::new() } else { text.lines().map(str::to_owned).collect() }
    }

    fn list(&mut self, first: Option<u64>, width: usize) -> Vec<String> {
        let mut lines: Vec<String> = Vec::new();
        let mut number = first;
        while let Some(Event::Start(Tag::Item)) = self.next() {
            let is_loose = matches!(self.peek(), Some(Event::Start(Tag::Paragraph)));
            let mark = number.map_or_else(|| "• ".to_owned(), |number| format!("{number}. "));
            number = number.map(|number| number + 1);
            if is_loose && !lines.is_empty() {
                lines.push(String::new());
            }
            let item = self.blocks(width.saturating_sub(mark.width()), false);
            let blank = " ".repeat(mark.width());
            for (at, line) in item.into_iter().enumerate() {
                lines.push(format!("{}{line}", if at == 0 { &mark } else { &blank }));
            }
        }
        lines
    }

    fn table(&mut self, width: usize) -> Vec<String> {
        let mut rows: Vec<Vec<String>> = Vec::new();
        loop {
            match self.next() {
                Some(Event::Start(Tag::TableHead | Tag::TableRow)) => rows.push(Vec::new()),
                Some(Event::Start(Tag::TableCell)) => {
                    let cell = self.inline();
                    if let Some(row) = rows.last_mut() {
                        row.push(cell);
                    }
                }
                Some(Event::End(TagEnd::Table)) | None => return table_lines(&rows, width),
                Some(_) => {}
            }
        }
    }

    /// The text up to the next event that is not part of a line.
    fn inline(&mut self) -> String {
        let mut text = String::new();
        let mut links = Vec::new();
        while let Some(event) = self.peek() {
            match event {
                Event::Text(part) => text.push_str(part),
                Event::Code(code) => {
                    text.push('`');
                    text.push_str(code);
                    text.push('`');
                }
                Event::SoftBreak => text.push(' '),
                Event::HardBreak => text.push('\n'),
                Event::InlineHtml(html) if !html.starts_with("<!--") => text.push_str(html),
                Event::InlineHtml(_)
                | Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Image { .. })
                | Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Image) => {}
                Event::Start(Tag::Link { dest_url, .. }) => {
                    links.push((text.len(), resolve_link(self.lang, dest_url)));
                }
                Event::End(TagEnd::Link) => {
                    if let Some((begin, target)) = links.pop() {
                        let shown = text.get(begin..).unwrap_or_default();
                        let note = self.link_note(&target, shown);
                        text.push_str(&note);
                    }
                }
                _ => return text,
            }
            self.at += 1;
        }
        text
    }

    /// What stands behind the text of a link, so that a reader of a terminal can follow it.
    fn link_note(&self, target: &LinkTarget, shown: &str) -> String {
        match target {
            LinkTarget::External(address) if address == shown => String::new(),
            LinkTarget::External(address) => format!(" <{address}>"),
            LinkTarget::Page { lang, name, .. } => {
                let name = if name == INDEX { String::new() } else { format!(" {name}") };
                let other = if *lang == self.lang {
                    String::new()
                } else {
                    format!(" --lang {}", language_folder(*lang))
                };
                match self.lang {
                    Language::Zh => format!("（gongpai docs{name}{other}）"),
                    Language::En => format!(" (gongpai docs{name}{other})"),
                }
            }
            LinkTarget::Anchor(_) | LinkTarget::Other => String::new(),
        }
    }
}

/// The rows as columns, with a line below the first row; cells that are too long for their column
/// are broken.
fn table_lines(rows: &[Vec<String>], width: usize) -> Vec<String> {
    let widths = column_widths(rows, width);
    let cells: Vec<Vec<Vec<String>>> = rows
        .iter()
        .map(|row| row.iter().zip(&widths).map(|(cell, width)| wrap_text(cell, *width)).collect())
        .collect();
    let is_broken = cells.iter().skip(1).flatten().any(|cell| cell.len() > 1);
    let mut lines = Vec::new();
    for (at, row) in cells.iter().enumerate() {
        // An empty line keeps apart what takes several lines.
        if at > 1 && is_broken {
            lines.push(String::new());
        }
        for part in 0..row.iter().map(Vec::len).max().unwrap_or(0) {
            let mut line = String::new();
            for (cell, width) in row.iter().zip(&widths) {
                let text = cell.get(part).map_or("", String::as_str);
                line.push_str(text);
                line.push_str(&" ".repeat(width.saturating_sub(text.width())));
                line.push_str(COLUMN_GAP);
            }
            lines.push(line.trim_end().to_owned());
        }
        if at == 0 {
            let rules: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
            lines.push(rules.join(COLUMN_GAP));
        }
    }
    lines
}

/// As wide as what is in them where that fits; otherwise the widest columns share what the narrow
/// ones leave.
fn column_widths(rows: &[Vec<String>], width: usize) -> Vec<usize> {
    let columns = rows.first().map_or(0, Vec::len);
    let longest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(|cell| cell.width()).max().unwrap_or(0).max(1)
    };
    let mut widths: Vec<usize> = (0..columns).map(longest).collect();
    let available = width.saturating_sub(COLUMN_GAP.len() * columns.saturating_sub(1));
    let (mut left, mut open) = (available, (0..columns).collect::<Vec<_>>());
    while !open.is_empty() {
        let share = left / open.len();
        let (narrow, wide): (Vec<usize>, Vec<usize>) =
            open.iter().partition(|&&column| widths.get(column).is_some_and(|wanted| *wanted <= share));
        if narrow.is_empty() {
            for column in wide {
                if let Some(wanted) = widths.get_mut(column) {
                    *wanted = share.max(MIN_COLUMN_WIDTH);
                }
            }
            break;
        }
        left = left.saturating_sub(narrow.iter().filter_map(|&column| widths.get(column)).sum());
        open = wide;
    }
    widths
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(lang: Language, source: &str, width: usize) -> String {
        render_text(&ManualPage { lang, name: "test".to_owned(), source: source.to_owned() }, width)
    }

    #[test]
    fn a_page_is_laid_out_for_reading() {
        let source = "<!-- made -->\n\n# Title of it\n\nSome *text* that has a [link](configuration.md#x) and\nis long.\n\n\
                      ## Part\n\n- one\n- two\n  more\n\n1. a\n\n   b\n2. c\n\n```sh\nls\n  -l\n```\n\n> quoted\n";
        let want = "Title of it\n\
                    ===========\n\n\
                    \x20 Some text that has a link (gongpai docs\n\
                    \x20 configuration) and is long.\n\n\
                    Part\n\
                    ----\n\n\
                    \x20 • one\n\
                    \x20 • two more\n\n\
                    \x20 1. a\n\n\
                    \x20    b\n\n\
                    \x20 2. c\n\n\
                    \x20   ls\n\
                    \x20     -l\n\n\
                    \x20 │ quoted\n";
        assert_eq!(rendered(Language::En, source, 42), want);
    }

    #[test]
    fn tables_fit_the_terminal_and_line_up_with_chinese_in_them() {
        let source = "| 键 | 说明 |\n|---|---|\n| `a` | 一二三四五六七八九十，一二三 |\n| `bc` | 短 |\n";
        let want = "\x20 键    说明\n\
                    \x20 ----  ------------------\n\
                    \x20 `a`   一二三四五六七八九\n\
                    \x20       十，一二三\n\n\
                    \x20 `bc`  短\n";
        assert_eq!(rendered(Language::Zh, source, 26), want);
        assert!(rendered(Language::Zh, source, 60).contains("  `a`   一二三四五六七八九十，一二三\n"));
    }

    #[test]
    fn lines_end_between_chinese_characters_but_not_before_their_punctuation() {
        assert_eq!(wrap_text("一二三四，五六", 8), ["一二三", "四，五六"]);
        assert_eq!(wrap_text("一二三「四五」", 8), ["一二三", "「四五」"]);
        assert_eq!(wrap_text("用 nginx 的人", 8), ["用 nginx", "的人"]);
        assert_eq!(wrap_text("a-very-long-word b", 6), ["a-very-long-word", "b"]);
        assert_eq!(wrap_text("", 6), [""]);
    }

    #[test]
    fn links_say_where_they_lead() {
        let zh = rendered(Language::Zh, "[规则](configuration.md)、[英文](../en/commands.md)", 80);
        assert_eq!(zh, "  规则（gongpai docs configuration）、英文（gongpai docs commands --lang en）\n");
        let en = rendered(Language::En, "<https://a.example/> [b](https://b.example/) [c](#c)", 80);
        assert_eq!(en, "  https://a.example/ b <https://b.example/> c\n");
    }
}

//! `gongpai docs`: the documentation of this version, in a terminal or as Markdown.

use std::io::Write;

use super::outcome::UsageError;
use super::table::pad_to_width;
use crate::config::locale::terminal_locale;
use crate::config::{Config, ConfigSources, ListenAddress};
use crate::http::language::Language;
use crate::manual::terminal::{render_text, wrap_text};
use crate::manual::{Topic, choose_language, find_page, list_topics, suggest_topics};
use unicode_width::UnicodeWidthStr as _;

/// Where the pages are as HTML if the configuration cannot be read.
const DEFAULT_ADDRESS: &str = "http://127.0.0.1:9090/docs/";

/// Lines longer than this are hard to read, however wide the terminal is.
const MAX_WIDTH: usize = 96;

/// Below this the layout falls apart; the terminal breaks the lines then.
const MIN_WIDTH: usize = 40;

/// Prints the page of `topic`, or the list of topics.
///
/// # Errors
/// [`UsageError`] for a topic that does not exist; if `out` cannot be written.
pub fn print_documentation(
    sources: &ConfigSources,
    topic: Option<&str>,
    lang: Option<Language>,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let lang = lang.unwrap_or_else(|| choose_language(&terminal_locale()));
    let width = terminal_width();
    let Some(topic) = topic else {
        out.write_all(list_of_topics(lang, &html_address(sources), width.unwrap_or(MAX_WIDTH)).as_bytes())?;
        return Ok(());
    };
    let name = topic.strip_suffix(".md").unwrap_or(topic);
    let page = find_page(lang, name).ok_or_else(|| UsageError(unknown_topic_error(lang, topic)))?;
    match width {
        Some(width) => out.write_all(render_text(&page, width).as_bytes())?,
        None => out.write_all(page.source.as_bytes())?,
    }
    Ok(())
}

/// The width to lay pages out for; `None` where standard output is no terminal.
fn terminal_width() -> Option<usize> {
    let terminal = console::Term::stdout();
    let (_rows, columns) = terminal.size();
    terminal.is_term().then(|| usize::from(columns).clamp(MIN_WIDTH, MAX_WIDTH))
}

/// Where a running gateway serves the pages as HTML. A configuration with mistakes must not keep
/// anybody from reading how to mend it.
fn html_address(sources: &ConfigSources) -> String {
    let Ok((config, _warnings)) = Config::load(sources) else { return DEFAULT_ADDRESS.to_owned() };
    match config.server.admin_listen {
        ListenAddress::Tcp(address) => format!("http://{address}/docs/"),
        ListenAddress::Unix(path) => format!("unix:{} /docs/", path.display()),
    }
}

fn list_of_topics(lang: Language, address: &str, width: usize) -> String {
    let topics = list_topics(lang);
    let widest = topics.iter().map(|topic| topic.name.width()).max().unwrap_or(0);
    let indent = widest + 4;
    let mut text = String::new();
    for topic in &topics {
        let lines = wrap_text(&topic.title, width.saturating_sub(indent));
        for (at, line) in lines.iter().enumerate() {
            let name = if at == 0 { topic.name.as_str() } else { "" };
            text.push_str(&format!("  {}  {line}\n", pad_to_width(name, widest)));
        }
    }
    let (read, html) = match lang {
        Language::Zh => ("阅读一页：", "运行 gongpai serve 时的网页："),
        Language::En => ("Read one: ", "As HTML while gongpai serve runs: "),
    };
    text.push_str(&format!("\n{read}gongpai docs TOPIC\n{html}{address}\n"));
    text
}

fn unknown_topic_error(lang: Language, topic: &str) -> String {
    let suggestions = suggest_topics(lang, topic);
    let named: Vec<String> =
        suggestions.iter().map(|Topic { name, title, .. }| format!("{name} ({title})")).collect();
    let topic = crate::base::text::escape_for_terminal(topic);
    if named.is_empty() {
        return format!("there is no topic {topic:?}; gongpai docs lists them all");
    }
    format!("there is no topic {topic:?}; the nearest: {}; gongpai docs lists them all", named.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_names_every_topic_and_the_address_of_the_html() {
        for lang in [Language::Zh, Language::En] {
            let text = list_of_topics(lang, DEFAULT_ADDRESS, 80);
            for topic in list_topics(lang) {
                assert!(text.contains(&format!("  {}", topic.name)), "{text}");
                assert!(text.contains(&topic.title), "{text}");
            }
            assert!(text.contains(DEFAULT_ADDRESS), "{text}");
        }
    }

    #[test]
    fn an_unknown_topic_is_answered_with_the_nearest() {
        let text = unknown_topic_error(Language::En, "comands");
        assert!(text.starts_with("there is no topic \"comands\"; the nearest: commands ("), "{text}");
        assert_eq!(
            unknown_topic_error(Language::En, "xyzzy"),
            "there is no topic \"xyzzy\"; gongpai docs lists them all"
        );
    }
}

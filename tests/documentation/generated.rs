//! Pages that are made from the code: written where that is asked for, compared otherwise.

use std::collections::BTreeMap;

use gongpai::testing::http::language::Language;
use gongpai::testing::manual::language_folder;

use crate::{read, root};

/// Set to anything, this writes the pages instead of comparing them.
const UPDATE_VARIABLE: &str = "GONGPAI_UPDATE_DOCS";

/// Compares the page of the repository with `text`, or writes it where that is asked for.
pub(crate) fn compare_or_write(lang: Language, name: &str, text: &str) {
    let path = format!("static/docs/{}/{name}.md", language_folder(lang));
    let file = root().join(&path);
    if std::env::var_os(UPDATE_VARIABLE).is_some_and(|value| !value.is_empty()) {
        std::fs::write(&file, text).unwrap_or_else(|error| panic!("{path}: {error}"));
        return;
    }
    let committed = std::fs::read_to_string(&file).unwrap_or_default();
    if committed == text {
        return;
    }
    let differs = committed.lines().zip(text.lines()).position(|(old, new)| old != new);
    let line = differs.unwrap_or_else(|| committed.lines().count().min(text.lines().count()));
    panic!(
        "{path}:{}: is not what the code says; run: {UPDATE_VARIABLE}=1 cargo test --test documentation\n  \
         committed: {:?}\n  made:      {:?}",
        line + 1,
        committed.lines().nth(line).unwrap_or_default(),
        text.lines().nth(line).unwrap_or_default(),
    );
}

/// The note at the head of a page that is made from `source`.
pub(crate) fn note(source: &str) -> String {
    format!("<!-- Made from {source} by tests/documentation; do not edit. -->\n\n")
}

/// Reads Chinese texts by key, and checks that exactly the `wanted` keys have one.
pub(crate) fn read_texts(path: &str, table: &str, wanted: &[String]) -> BTreeMap<String, String> {
    let document: toml::Table = read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"));
    let texts =
        document.get(table).and_then(toml::Value::as_table).unwrap_or_else(|| panic!("{path}: no [{table}]"));
    let texts: BTreeMap<String, String> = texts
        .iter()
        .map(|(key, text)| (key.clone(), text.as_str().unwrap_or_default().trim().to_owned()))
        .collect();
    let lacking = wanted.iter().filter(|key| texts.get(*key).is_none_or(String::is_empty));
    let mut findings: Vec<String> =
        lacking.map(|key| format!("{path}: [{table}] lacks a Chinese text for \"{key}\"")).collect();
    let superfluous = texts.keys().filter(|key| !wanted.contains(key));
    findings.extend(superfluous.map(|key| format!("{path}: [{table}] has \"{key}\", which does not exist")));
    crate::report(&findings);
    texts
}

/// Plain text as Markdown: what is written literally (`"10m"`, `wecom.corp_id`, `/metrics`) becomes
/// code, so that nothing in it is taken for markup.
pub(crate) fn mark_up(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = literal_length(rest, out.chars().next_back());
        if taken == 0 {
            out.push(c);
            rest = &rest[c.len_utf8()..];
        } else {
            let literal = &rest[..taken];
            let is_code = literal.starts_with('`');
            out.push_str(&if is_code { literal.to_owned() } else { format!("`{literal}`") });
            rest = &rest[taken..];
        }
    }
    out
}

/// How many bytes at the start of `text` are one literal; 0 for none.
fn literal_length(text: &str, before: Option<char>) -> usize {
    let first = text.chars().next().unwrap_or_default();
    let closed =
        |open: usize, close: char| text[open..].find(close).map_or(0, |at| open + at + close.len_utf8());
    match first {
        '`' => return closed(1, '`'),
        '"' => return closed(1, '"'),
        // A list of texts is one literal: ["a", "b"].
        '[' if text.starts_with("[\"") => return closed(1, ']'),
        '{' if text.starts_with("{\"") => return text.rfind('}').map_or(0, |at| at + 1),
        _ => {}
    }
    let at_word = before.is_none_or(|c| c.is_whitespace() || "([".contains(c));
    if !at_word || first == '(' {
        return 0;
    }
    let is_end = |c: char| c.is_whitespace() || c == '"' || !c.is_ascii() && c != '…';
    let word = &text[..text.find(is_end).unwrap_or(text.len())];
    let word = word.trim_end_matches([',', '.', ';', ':', ')', ']']);
    let is_path = word.starts_with('/') && word.len() > 1 || word.contains("://");
    let is_name =
        word.contains('.') && word.bytes().all(|b| b.is_ascii_lowercase() || b"._0123456789".contains(&b));
    let is_option = word.starts_with("--");
    let is_array = word.starts_with("[[");
    if is_array {
        return text.find("]]").map_or(0, |at| at + 2);
    }
    if is_path || is_name || is_option || word.contains(['_', '*', '<', '%']) { word.len() } else { 0 }
}

#[test]
fn what_is_literal_becomes_code() {
    for (text, marked) in [
        ("Durations: \"90s\", \"10m\".", "Durations: `\"90s\"`, `\"10m\"`."),
        ("lists are written a,b or [\"a\", \"b\"].", "lists are written a,b or `[\"a\", \"b\"]`."),
        ("wecom.corp_id is GONGPAI_WECOM__CORP_ID;", "`wecom.corp_id` is `GONGPAI_WECOM__CORP_ID`;"),
        ("/metrics, /healthz and /readyz; not", "`/metrics`, `/healthz` and `/readyz`; not"),
        ("(%2F, //, /../, ;x)", "(`%2F`, `//`, `/../`, ;x)"),
        ("whose `code` is kept", "whose `code` is kept"),
        ("by https://a.example/x.", "by `https://a.example/x`."),
        ("the file [env: GONGPAI_CONFIG] is", "the file [env: `GONGPAI_CONFIG`] is"),
        ("one: {\"ok\": …, \"findings\": […]}", "one: `{\"ok\": …, \"findings\": […]}`"),
        ("such [[rules]] as", "such `[[rules]]` as"),
        ("say --force. Then", "say `--force`. Then"),
        ("通讯录同步 › x, 20 000 people.", "通讯录同步 › x, 20 000 people."),
    ] {
        assert_eq!(mark_up(text), marked);
    }
}

//! What the pages name exists, and what exists is named in both languages: configuration keys,
//! commands, metrics.

use std::collections::BTreeSet;

use pulldown_cmark::{CodeBlockKind, Event, Tag};

use crate::commands::{Called, list_commands};
use crate::configuration::{Reference, read_reference};
use crate::metrics::{find_metric, list_metrics};
use crate::{Document, LANGUAGES, line_of, read_pages, read_pages_and_front_page, report, root, rust_files};

/// Types of events for applications, which begin like sections. They are not in the code yet.
const EVENT_TYPES: [&str; 2] = ["session.ended", "directory.published"];

/// Ends of names that look like keys and are names of files.
const FILE_ENDS: [&str; 6] = [".toml", ".md", ".json", ".db", ".service", ".conf"];

/// A piece of code in a page: a span, or a line of a block.
struct Snippet {
    text: String,
    /// The language of the block; `None` for a span.
    block: Option<String>,
}

/// Every piece of code of a document.
fn code_of(document: &Document) -> Vec<Snippet> {
    let mut found = Vec::new();
    let mut block: Option<String> = None;
    for event in gongpai::testing::manual::markdown::parse_markdown(&document.text) {
        match event {
            Event::Start(Tag::CodeBlock(kind)) => {
                block = Some(match kind {
                    CodeBlockKind::Fenced(language) => language.to_string(),
                    CodeBlockKind::Indented => String::new(),
                });
            }
            Event::End(pulldown_cmark::TagEnd::CodeBlock) => block = None,
            Event::Text(text) if block.is_some() => {
                let joined = text.replace("\\\n", " ");
                let lines =
                    joined.lines().map(|line| Snippet { text: line.trim().to_owned(), block: block.clone() });
                found.extend(lines);
            }
            Event::Code(text) => found.push(Snippet { text: text.to_string(), block: None }),
            _ => {}
        }
    }
    found
}

/// The names of the configuration.
struct Keys {
    /// `server.listen`, `rules.host`.
    paths: BTreeSet<String>,
    /// `server`, `wecom.app_callback`.
    sections: BTreeSet<String>,
    /// `rules`.
    arrays: BTreeSet<String>,
    /// Names that are built like keys and stand for something else: `gate.denied`.
    others: BTreeSet<String>,
}

fn keys(reference: &Reference) -> Keys {
    let mut keys = Keys {
        paths: BTreeSet::new(),
        sections: BTreeSet::new(),
        arrays: BTreeSet::new(),
        others: list_codes(),
    };
    for section in &reference.sections {
        for key in &section.keys {
            keys.paths.insert(key.path.clone());
            keys.paths.extend(key.file.clone());
        }
        match &section.example {
            None if section.name.is_empty() => {}
            None => {
                keys.sections.insert(section.name.clone());
            }
            Some(example) => {
                keys.arrays.insert(section.name.clone());
                for name in example.iter().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name) {
                    keys.paths.insert(format!("{}.{name}", section.name));
                    keys.paths.insert(format!("{}.{name}_file", section.name));
                }
            }
        }
    }
    keys
}

/// The codes of failures, `gate.denied`, and whatever else the code quotes that is built like a
/// key. A misspelt key is not among them.
fn list_codes() -> BTreeSet<String> {
    let mut codes: BTreeSet<String> = EVENT_TYPES.iter().map(|name| (*name).to_owned()).collect();
    for path in rust_files().into_iter().filter(|path| !path.starts_with(root().join("src/config"))) {
        if path.iter().any(|part| part == "tests" || part == "tests.rs") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("readable code");
        let text = text
            .split(
                "#[cfg(test)]
mod tests {",
            )
            .next()
            .unwrap_or_default();
        let quoted = text.split('"').filter(|part| part.contains('.') && is_plain(part));
        codes.extend(quoted.map(str::to_owned));
    }
    codes
}

/// Whether `text` is built like a key: words joined by dots.
fn is_plain(text: &str) -> bool {
    text.split('.').all(|part| !part.is_empty() && part.bytes().all(is_key_byte))
}

/// What is wrong with a piece of code that names a key or a section, or nothing.
fn key_complaint(code: &str, keys: &Keys) -> Option<String> {
    if let Some(name) = code.strip_prefix("[[").and_then(|rest| rest.strip_suffix("]]")) {
        return (is_plain(name) && !keys.arrays.contains(name)).then(|| format!("there is no [[{name}]]"));
    }
    if let Some(name) = code.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        let is_known = keys.sections.contains(name);
        return (is_plain(name) && !is_known).then(|| format!("there is no section [{name}]"));
    }
    let path = code.split_once(" = ").map_or(code, |(path, _)| path);
    let section = path.split('.').next()?;
    let is_section = keys.sections.contains(section) || keys.arrays.contains(section);
    let is_other = keys.others.contains(path) || FILE_ENDS.iter().any(|end| path.ends_with(end));
    let names_key = path.contains('.') && is_plain(path) && is_section && !is_other;
    let is_known = keys.paths.contains(path) || keys.sections.contains(path);
    (names_key && !is_known).then(|| format!("there is no key {path}"))
}

const fn is_key_byte(b: u8) -> bool {
    b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'
}

#[test]
fn every_key_that_is_named_exists() {
    let keys = keys(&read_reference());
    let mut findings = Vec::new();
    for document in LANGUAGES.into_iter().flat_map(read_pages_and_front_page) {
        let mut section = String::new();
        for code in code_of(&document) {
            let complaint = match code.block.as_deref() {
                None => key_complaint(&code.text, &keys),
                Some("toml") => toml_complaint(&code.text, &mut section, &keys),
                Some(_) => None,
            };
            if code.block.is_none() {
                section.clear();
            }
            if let Some(complaint) = complaint {
                findings.push(finding(&document, &code.text, &complaint));
            }
        }
    }
    report(&findings);
}

/// What is wrong with a line of TOML within `section`, or nothing.
fn toml_complaint(line: &str, section: &mut String, keys: &Keys) -> Option<String> {
    let line = line.split('#').next().unwrap_or_default().trim();
    if line.starts_with('[') && line.ends_with(']') {
        *section = line.trim_matches(['[', ']']).to_owned();
        return key_complaint(line, keys);
    }
    let name = line.split_once(" = ").map(|(name, _)| name.trim())?;
    let path = if section.is_empty() { name.to_owned() } else { format!("{section}.{name}") };
    (is_plain(name) && !keys.paths.contains(&path)).then(|| format!("there is no key {path}"))
}

#[test]
fn every_key_is_named_in_both_languages() {
    let keys = keys(&read_reference());
    let mut findings = Vec::new();
    for lang in LANGUAGES {
        let pages = read_pages(lang);
        let spans: BTreeSet<String> = pages.iter().flat_map(code_of).map(|code| code.text).collect();
        let is_array = |path: &str| keys.arrays.iter().any(|array| path.starts_with(&format!("{array}.")));
        for path in keys.paths.iter().filter(|path| !is_array(path) && !spans.contains(*path)) {
            findings.push(format!("no page names the key {path} ({lang:?})"));
        }
        let arrays = keys.arrays.iter().map(|array| format!("[[{array}]]"));
        findings.extend(
            arrays
                .filter(|array| !spans.contains(array))
                .map(|array| format!("no page names {array} ({lang:?})")),
        );
    }
    report(&findings);
}

#[test]
fn every_command_that_is_named_exists() {
    let commands = list_commands();
    let mut findings = Vec::new();
    for document in LANGUAGES.into_iter().flat_map(read_pages_and_front_page) {
        for code in code_of(&document) {
            if let Some(complaint) = calls(&code).iter().find_map(|call| command_complaint(call, &commands)) {
                findings.push(finding(&document, &code.text, &complaint));
            }
        }
    }
    report(&findings);
}

/// The calls of `gongpai` in a piece of code, each as its words.
fn calls(code: &Snippet) -> Vec<Vec<String>> {
    if code
        .block
        .as_deref()
        .is_some_and(|language| !matches!(language, "sh" | "bash" | "console" | "text" | ""))
    {
        return Vec::new();
    }
    let mut calls = Vec::new();
    for part in code.text.split(['|', ';', '>']).flat_map(|part| part.split("&&")) {
        let mut words = part.split_whitespace().peekable();
        while words.next_if(|word| matches!(*word, "$" | "#" | "sudo")).is_some() {}
        if words.next_if(|word| *word == "-u").is_some() {
            words.next();
        }
        if words.next() == Some("gongpai") {
            let comment = |word: &&str| !word.starts_with('#');
            calls.push(words.take_while(comment).map(str::to_owned).collect());
        }
    }
    calls
}

/// What is wrong with the words behind `gongpai`, or nothing.
fn command_complaint(words: &[String], commands: &[Called]) -> Option<String> {
    let find = |name: &str| commands.iter().find(|called| called.name == name);
    let mut called = find("gongpai")?;
    let mut rest = words.iter().peekable();
    while called.command.has_subcommands() {
        let is_word = |word: &&String| {
            word.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') && !word.starts_with('-')
        };
        let Some(word) = rest.next_if(is_word) else { break };
        let name = format!("{} {word}", called.name);
        match find(&name) {
            Some(nested) => called = nested,
            None => return Some(format!("there is no command {name}")),
        }
    }
    rest.filter_map(|word| word.strip_prefix("--"))
        .map(|word| word.split(['=', ']', ')', ',']).next().unwrap_or_default())
        .filter(|option| !option.is_empty() && option.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'))
        .find(|option| !has_option(called, option))
        .map(|option| format!("{} has no --{option}", called.name))
}

fn has_option(called: &Called, option: &str) -> bool {
    let options = called.command.get_arguments().filter_map(clap::Arg::get_long);
    matches!(option, "help" | "version") || options.into_iter().any(|known| known == option)
}

#[test]
fn every_command_is_named_in_both_languages() {
    let commands = list_commands();
    let mut findings = Vec::new();
    for lang in LANGUAGES {
        let pages = read_pages(lang);
        let spans: BTreeSet<String> = pages.iter().flat_map(code_of).map(|code| code.text).collect();
        for called in commands.iter().filter(|called| !spans.contains(&called.name)) {
            findings.push(format!("no page names {} ({lang:?})", called.name));
        }
    }
    report(&findings);
}

#[test]
fn metrics_that_are_named_exist_and_all_are_named_in_both_languages() {
    let metrics = list_metrics();
    let mut findings = Vec::new();
    for lang in LANGUAGES {
        let mut named = BTreeSet::new();
        for document in read_pages_and_front_page(lang) {
            for name in metric_names(&document.text) {
                match find_metric(&metrics, name) {
                    Some(metric) => {
                        named.insert(metric.clone());
                    }
                    None => findings.push(finding(&document, name, "there is no such metric")),
                }
            }
        }
        let missing = metrics.difference(&named);
        findings.extend(missing.map(|metric| format!("no page names the metric {metric} ({lang:?})")));
    }
    report(&findings);
}

/// Every word of `text` that begins as our metrics do.
fn metric_names(text: &str) -> Vec<&str> {
    let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    text.match_indices("gongpai_")
        .filter(|(at, _)| !text[..*at].ends_with(|c: char| c.is_ascii_alphanumeric() || "_-/".contains(c)))
        .map(|(at, _)| &text[at..])
        .map(|rest| &rest[..rest.find(|c| !is_part(c)).unwrap_or(rest.len())])
        .filter(|name| *name != "gongpai_")
        .collect()
}

fn finding(document: &Document, text: &str, complaint: &str) -> String {
    format!("{}:{}: {complaint}: {text}", document.path, line_of(&document.text, text))
}

#[test]
fn wrong_names_are_found() {
    let keys = keys(&read_reference());
    for good in [
        "wecom.corp_id",
        "[wecom.app_callback]",
        "[[rules]]",
        "rules.allow",
        "gate",
        "session.ended",
        "log.level = \"debug\"",
    ] {
        assert_eq!(key_complaint(good, &keys), None, "{good}");
    }
    for bad in ["wecom.corpid", "[weco]", "[[rule]]", "rules.deny", "session.timeout = \"1h\""] {
        assert!(key_complaint(bad, &keys).is_some(), "{bad}");
    }
    let commands = list_commands();
    let judge = |line: &str| {
        let code = Snippet { text: line.to_owned(), block: None };
        calls(&code).iter().find_map(|call| command_complaint(call, &commands))
    };
    for good in [
        "gongpai doctor --json | jq .",
        "sudo -u gongpai gongpai config check --config /etc/gongpai.toml",
        "systemctl reload gongpai",
        "gongpai",
        "gongpai messages retry ID…",
        "gongpai --version",
    ] {
        assert_eq!(judge(good), None, "{good}");
    }
    for bad in ["gongpai doctr", "gongpai config chck", "gongpai doctor --jsn", "true && gongpai backup x"] {
        assert!(judge(bad).is_some(), "{bad}");
    }
}

//! `configuration.md`: every section and key of `src/config/default.toml`, its default and what it
//! means.

use std::collections::BTreeMap;

use gongpai::testing::config::DEFAULT_TOML;
use gongpai::testing::http::language::Language;

use crate::LANGUAGES;
use crate::generated::{compare_or_write, mark_up, note, read_texts};

/// Where the Chinese explanations are.
const CHINESE_TEXTS: &str = "src/config/default.zh.toml";

/// The comment of a key that names a file with the value of the key before it.
const FILE_COMMENT: &str = "A file that holds it.";

/// `default.toml`, as a reader sees it.
#[derive(Debug, Default)]
pub(crate) struct Reference {
    /// What stands above the first key, by paragraphs.
    introduction: Vec<String>,
    /// The sections in their order; the keys outside a section come first.
    pub(crate) sections: Vec<Section>,
}

/// A section, or an array of tables that stands there as an example.
#[derive(Debug)]
pub(crate) struct Section {
    /// `server`; empty for the keys outside a section.
    pub(crate) name: String,
    comment: Vec<String>,
    pub(crate) keys: Vec<Key>,
    /// The lines of the example, for an array of tables.
    pub(crate) example: Option<Vec<String>>,
}

/// A key and its default.
#[derive(Debug)]
pub(crate) struct Key {
    /// With its section: `server.listen`.
    pub(crate) path: String,
    default: String,
    comment: String,
    /// The key that names a file with this value.
    pub(crate) file: Option<String>,
}

/// Reads `default.toml` by its lines, because a TOML parser drops the comments.
pub(crate) fn read_reference() -> Reference {
    let mut reference = Reference::default();
    let mut comment: Vec<String> = Vec::new();
    let empty =
        |name: &str, comment| Section { name: name.to_owned(), comment, keys: Vec::new(), example: None };
    for line in DEFAULT_TOML.lines().chain([""]) {
        if let Some(text) = line.strip_prefix('#') {
            comment.push(text.strip_prefix(' ').unwrap_or(text).to_owned());
        } else if line.is_empty() && !comment.is_empty() {
            let comment = std::mem::take(&mut comment);
            match comment.iter().position(|line| line.starts_with("[[")) {
                Some(at) => {
                    let name = comment[at].trim_matches(['[', ']']).to_owned();
                    let section = empty(&name, paragraphs(&comment[..at]));
                    reference.sections.push(Section { example: Some(comment[at..].to_vec()), ..section });
                }
                None => reference.introduction = paragraphs(&comment),
            }
        } else if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            reference.sections.push(empty(name, paragraphs(&std::mem::take(&mut comment))));
        } else if let Some((name, default)) = line.split_once(" = ") {
            if reference.sections.is_empty() {
                reference.sections.push(empty("", Vec::new()));
            }
            let section = reference.sections.last_mut().expect("a section");
            let comment = paragraphs(&std::mem::take(&mut comment)).join(" ");
            let path =
                if section.name.is_empty() { name.to_owned() } else { format!("{}.{name}", section.name) };
            match section.keys.last_mut() {
                Some(last) if comment == FILE_COMMENT => last.file = Some(path),
                _ => section.keys.push(Key { path, default: default.to_owned(), comment, file: None }),
            }
        }
    }
    reference
}

/// The lines as paragraphs; an empty line separates two.
fn paragraphs(lines: &[String]) -> Vec<String> {
    let split = lines.split(String::is_empty).filter(|part| !part.is_empty());
    split.map(|part| part.join(" ")).collect()
}

/// What differs between the two pages.
struct Words {
    title: &'static str,
    introduction: Vec<String>,
    top: &'static str,
    default: &'static str,
    none: &'static str,
    file: &'static str,
    example: &'static str,
    sections: BTreeMap<String, String>,
    keys: BTreeMap<String, String>,
}

fn english(reference: &Reference) -> Words {
    let sections = reference.sections.iter();
    let comment = |section: &Section| {
        section.comment.iter().map(|paragraph| mark_up(paragraph)).collect::<Vec<_>>().join("\n\n")
    };
    let keys = reference.sections.iter().flat_map(|section| &section.keys);
    Words {
        title: "Configuration",
        introduction: reference.introduction.iter().map(|paragraph| mark_up(paragraph)).collect(),
        top: "Outside any section",
        default: "Default: ",
        none: "empty",
        file: "From a file: ",
        example: "Example:",
        sections: sections.map(|section| (section.name.clone(), comment(section))).collect(),
        keys: keys.map(|key| (key.path.clone(), mark_up(&key.comment))).collect(),
    }
}

fn chinese(reference: &Reference) -> Words {
    let explained = reference.sections.iter().filter(|section| !section.comment.is_empty());
    let sections: Vec<String> = explained.map(|section| section.name.clone()).collect();
    let keys = reference.sections.iter().flat_map(|section| &section.keys);
    let keys: Vec<String> = keys.map(|key| key.path.clone()).collect();
    let introduction = read_texts(CHINESE_TEXTS, "page", &["introduction".to_owned()]);
    Words {
        title: "配置",
        introduction: introduction.into_values().collect(),
        top: "顶层配置项",
        default: "默认：",
        none: "空",
        file: "从文件读取：",
        example: "例如：",
        sections: read_texts(CHINESE_TEXTS, "sections", &sections),
        keys: read_texts(CHINESE_TEXTS, "keys", &keys),
    }
}

fn page(reference: &Reference, words: &Words) -> String {
    let mut page = note("src/config/default.toml");
    let mut paragraph = |text: &str| {
        if !text.is_empty() {
            page.push_str(text);
            page.push_str("\n\n");
        }
    };
    paragraph(&format!("# {}", words.title));
    words.introduction.iter().for_each(|text| paragraph(text));
    for section in &reference.sections {
        let heading = match (&section.example, section.name.as_str()) {
            (_, "") => words.top.to_owned(),
            (None, name) => format!("`[{name}]`"),
            (Some(_), name) => format!("`[[{name}]]`"),
        };
        paragraph(&format!("## {heading}"));
        paragraph(words.sections.get(&section.name).map_or("", String::as_str));
        if let Some(example) = &section.example {
            paragraph(words.example);
            paragraph(&format!("```toml\n{}\n```", example.join("\n")));
        }
        for key in &section.keys {
            paragraph(&format!("### `{}`", key.path));
            paragraph(words.keys.get(&key.path).map_or("", String::as_str));
            let is_empty = matches!(key.default.as_str(), "\"\"" | "[]");
            let default = if is_empty { words.none.to_owned() } else { format!("`{}`", key.default) };
            let file = key.file.as_ref().map(|file| format!("\\\n{}`{file}`", words.file));
            paragraph(&format!("{}{default}{}", words.default, file.unwrap_or_default()));
        }
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}

#[test]
fn the_pages_of_the_configuration_are_what_default_toml_says() {
    let reference = read_reference();
    for lang in LANGUAGES {
        let words = match lang {
            Language::Zh => chinese(&reference),
            Language::En => english(&reference),
        };
        compare_or_write(lang, "configuration", &page(&reference, &words));
    }
}

#[test]
fn default_toml_is_read_whole() {
    let parsed: toml::Table = DEFAULT_TOML.parse().expect("TOML");
    let mut expected = Vec::new();
    collect_keys("", &parsed, &mut expected);
    let reference = read_reference();
    let mut found: Vec<String> = reference
        .sections
        .iter()
        .flat_map(|section| &section.keys)
        .flat_map(|key| [Some(key.path.clone()), key.file.clone()])
        .flatten()
        .collect();
    expected.sort();
    found.sort();
    assert_eq!(found, expected);
    assert!(reference.sections.iter().flat_map(|section| &section.keys).all(|key| !key.comment.is_empty()));
}

fn collect_keys(prefix: &str, table: &toml::Table, keys: &mut Vec<String>) {
    for (name, value) in table {
        let path = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(inner) => collect_keys(&path, inner, keys),
            _ => keys.push(path),
        }
    }
}

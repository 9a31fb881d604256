//! Every link of the documents leads somewhere, to the heading that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Component, Path, PathBuf};

use gongpai::testing::manual::markdown::{list_headings, parse_markdown};
use pulldown_cmark::{Event, Tag};

use crate::{
    Document, FRONT_PAGES, LANGUAGES, exists, line_of, read, read_folder, read_pages, report, root,
    rust_files,
};

/// The modules of the library that are documents of `src/docs`.
const DOCUMENT_MODULES: [&str; 3] = ["architecture", "contributing", "design"];

fn documents() -> Vec<Document> {
    let mut documents: Vec<Document> = LANGUAGES.into_iter().flat_map(read_pages).collect();
    documents
        .extend(FRONT_PAGES.iter().map(|(_, path)| Document { path: (*path).to_owned(), text: read(path) }));
    documents.extend(read_folder("src/docs"));
    documents
}

fn anchors(text: &str) -> BTreeSet<String> {
    list_headings(&parse_markdown(text)).into_iter().map(|heading| heading.anchor).collect()
}

#[test]
fn every_link_of_a_document_leads_somewhere() {
    let documents = documents();
    let known: BTreeMap<PathBuf, BTreeSet<String>> =
        documents.iter().map(|document| (PathBuf::from(&document.path), anchors(&document.text))).collect();
    let mut findings = Vec::new();
    for document in &documents {
        for event in parse_markdown(&document.text) {
            let Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) = &event else {
                continue;
            };
            if let Some(complaint) = complaint(document, dest_url, &known) {
                findings.push(format!(
                    "{}:{}: {complaint}",
                    document.path,
                    line_of(&document.text, dest_url)
                ));
            }
        }
    }
    report(&findings);
}

/// What is wrong with a link, or nothing.
fn complaint(
    document: &Document,
    destination: &str,
    known: &BTreeMap<PathBuf, BTreeSet<String>>,
) -> Option<String> {
    if ["http://", "https://", "mailto:"].iter().any(|scheme| destination.starts_with(scheme)) {
        return None;
    }
    let (path, anchor) = destination.split_once('#').unwrap_or((destination, ""));
    // The documents of the source are shown by rustdoc, which checks such a path but not its
    // anchor.
    let target = match path.strip_prefix("crate::") {
        Some(module) if DOCUMENT_MODULES.contains(&module) => PathBuf::from(format!("src/docs/{module}.md")),
        Some(_) => return None,
        None if path.is_empty() => PathBuf::from(&document.path),
        None => normalize(&Path::new(&document.path).parent()?.join(path)),
    };
    if !exists(&target) {
        return Some(format!("{destination}: there is no {}", target.display()));
    }
    let is_missing =
        !anchor.is_empty() && !known.get(&target).is_some_and(|anchors| anchors.contains(anchor));
    is_missing.then(|| format!("{destination}: {} has no heading #{anchor}", target.display()))
}

/// The path without `.` and `..`.
fn normalize(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                normal.pop();
            }
            Component::CurDir => {}
            other => normal.push(other),
        }
    }
    normal
}

#[test]
fn every_link_of_the_code_to_a_document_names_a_heading_of_it() {
    let known: BTreeMap<&str, BTreeSet<String>> = DOCUMENT_MODULES
        .iter()
        .map(|module| (*module, anchors(&read(&format!("src/docs/{module}.md")))))
        .collect();
    let mut findings = Vec::new();
    for path in rust_files() {
        let text = std::fs::read_to_string(&path).expect("readable code");
        let name = path.strip_prefix(root()).expect("inside the package").display().to_string();
        for (number, line) in text.lines().enumerate() {
            for (module, anchors) in &known {
                let marker = format!("crate::{module}#");
                for (at, _) in line.match_indices(&marker) {
                    let rest = &line[at + marker.len()..];
                    let is_end = |c: char| c.is_whitespace() || matches!(c, ')' | ']' | '`' | '>');
                    let anchor = &rest[..rest.find(is_end).unwrap_or(rest.len())];
                    if !anchors.contains(anchor) {
                        findings.push(format!(
                            "{name}:{}: src/docs/{module}.md has no heading #{anchor}",
                            number + 1
                        ));
                    }
                }
            }
        }
    }
    report(&findings);
}

#[test]
fn paths_are_made_plain() {
    assert_eq!(normalize(Path::new("static/docs/zh/../en/./a.md")), PathBuf::from("static/docs/en/a.md"));
}

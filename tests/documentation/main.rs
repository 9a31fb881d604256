//! The documentation as tests: both languages say the same, what is linked is there, what is named
//! exists, and what exists is named.
//!
//! Two pages a language are made from the code. After a change of `src/config/default.toml` or of a
//! command, write the Chinese text into `src/config/default.zh.toml` or `src/cli/help.zh.toml` and
//! run
//!
//! ```text
//! GONGPAI_UPDATE_DOCS=1 cargo test --test documentation
//! ```

#![expect(clippy::panic, clippy::expect_used, reason = "all of it is a test")]

#[cfg(test)]
mod commands;
#[cfg(test)]
mod configuration;
#[cfg(test)]
mod generated;
#[cfg(test)]
mod html;
#[cfg(test)]
mod languages;
#[cfg(test)]
mod links;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod names;
#[cfg(test)]
mod terminal;

use std::path::{Path, PathBuf};

use gongpai::testing::http::language::Language;
use gongpai::testing::manual::language_folder;

/// The two languages of the documentation.
pub(crate) const LANGUAGES: [Language; 2] = [Language::Zh, Language::En];

/// The front pages of the repository, and the language of each.
pub(crate) const FRONT_PAGES: [(Language, &str); 2] =
    [(Language::Zh, "README.zh-CN.md"), (Language::En, "README.md")];

/// A Markdown file of the repository.
#[derive(Debug)]
pub(crate) struct Document {
    /// The path from the package root.
    pub(crate) path: String,
    /// What is in it.
    pub(crate) text: String,
}

/// Reads every page of a language, sorted by name.
pub(crate) fn read_pages(lang: Language) -> Vec<Document> {
    read_folder(&format!("static/docs/{}", language_folder(lang)))
}

/// Reads every page of a language and its front page.
pub(crate) fn read_pages_and_front_page(lang: Language) -> Vec<Document> {
    let mut documents = read_pages(lang);
    let fronts = FRONT_PAGES.iter().filter(|(of, _)| *of == lang);
    documents.extend(fronts.map(|(_, path)| Document { path: (*path).to_owned(), text: read(path) }));
    documents
}

/// Reads every Markdown file of a folder, sorted by name.
pub(crate) fn read_folder(folder: &str) -> Vec<Document> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap_or_else(|e| panic!("{folder}: {e}"));
    let names =
        entries.map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = names.filter(|name| name.ends_with(".md")).collect();
    names.sort();
    let read = |name: String| {
        let path = format!("{folder}/{name}");
        Document { text: read(&path), path }
    };
    names.into_iter().map(read).collect()
}

/// Reads a file of the repository.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The package root.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every `.rs` file of `src`, as a path from the package root.
pub(crate) fn rust_files() -> Vec<PathBuf> {
    let (mut files, mut folders) = (Vec::new(), vec![root().join("src")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable source folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

/// The line of `text` in which `part` begins, counted from 1.
pub(crate) fn line_of(text: &str, part: &str) -> usize {
    text.find(part).map_or(1, |at| text[..at].matches('\n').count() + 1)
}

/// Fails with everything that was found.
pub(crate) fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

/// Whether `path` is a file or a folder of the repository.
pub(crate) fn exists(path: &Path) -> bool {
    root().join(path).exists()
}

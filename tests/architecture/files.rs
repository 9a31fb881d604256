//! The files of a checkout: found, read, and parsed as sources.

use std::path::{Path, PathBuf};

use super::sources::Source;

pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

pub(crate) fn read(name: &str) -> String {
    std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// The sources of this checkout.
pub(crate) fn sources() -> Vec<Source> {
    sources_below(&root())
}

/// The sources of a checkout.
pub(crate) fn sources_below(checkout: &Path) -> Vec<Source> {
    let read = |name: &String| {
        let text =
            std::fs::read_to_string(checkout.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        Source::read(name, &text)
    };
    let sources: Vec<Source> = rust_files_below(checkout, "src").iter().map(read).collect();
    assert!(sources.len() > 5, "no sources found: the rules would hold for nothing");
    sources
}

/// Every `.rs` file below `folder`, as a path from the package root, sorted.
pub(crate) fn rust_files(folder: &str) -> Vec<String> {
    rust_files_below(&root(), folder)
}

fn rust_files_below(checkout: &Path, folder: &str) -> Vec<String> {
    let mut files = Vec::new();
    let mut folders = vec![checkout.join(folder)];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a readable source folder") {
            let path = entry.expect("a readable entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(checkout).expect("inside the package");
                files.push(name.to_string_lossy().into_owned());
            }
        }
    }
    files.sort();
    files
}

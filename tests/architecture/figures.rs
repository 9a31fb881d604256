//! Figures of how readable the source is, to compare before and after a change of its language, and its import circles.
//!
//! `cargo test --test architecture vocabulary_figures -- --ignored --nocapture` prints them; `GONGPAI_FIGURES_OF=/path`
//! names another checkout.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use super::files::{root, sources, sources_below};
use super::report;
use super::sources::{Source, Visibility};
use super::vocabulary::{types_of, types_sharing_a_name};

/// A file of more lines is near the limit.
const LONG_FILE_LINES: usize = 400;

/// A documentation comment of at most so many words seldom adds to the name.
const SHORT_COMMENT_WORDS: usize = 3;

#[test]
#[ignore = "prints figures and checks nothing"]
fn vocabulary_figures() {
    let folder = std::env::var_os("GONGPAI_FIGURES_OF").map_or_else(root, PathBuf::from);
    let sources = sources_below(&folder);
    let production: Vec<&Source> = sources.iter().filter(|source| !source.is_test_file()).collect();
    let types: Vec<_> = production.iter().flat_map(|source| types_of(source)).collect();
    let sharing: usize = types_sharing_a_name(&sources).values().map(Vec::len).sum();
    let letters: usize = types.iter().map(|item| item.name.len()).sum();
    let items = production.iter().flat_map(|source| &source.items).filter(|item| !item.in_test);
    let public = items.filter(|item| item.visibility == Visibility::Public).count();
    let comments: Vec<Comments> =
        production.iter().map(|source| Comments::count(&read_below(&folder, &source.name))).collect();
    let total = |part: fn(&Comments) -> usize| comments.iter().map(part).sum::<usize>();
    let (code, inline) = (total(|file| file.code), total(|file| file.inline));
    let long = production.iter().filter(|source| source.lines > LONG_FILE_LINES).count();

    println!("types                                     {}", types.len());
    println!("types that share their name               {sharing} ({} %)", percent(sharing, types.len()));
    println!("mean length of a type's name              {} letters", tenths(letters, types.len()));
    println!("public items (`pub`)                      {public}");
    println!("documentation comments                    {}", total(|file| file.documentation));
    println!("of at most {SHORT_COMMENT_WORDS} words                       {}", total(|file| file.short));
    println!("inline comments per code line             {} %", percent(inline, code));
    println!("files over {LONG_FILE_LINES} lines                      {long} of {}", production.len());
    println!("import circles                            {}", circles(&sources).len());
    println!("upward imports                            {}", upward_imports(&sources));
    let (room, lines) = largest_room(&sources).expect("a room");
    println!("largest room                              {room}, {lines} lines");
}

/// A room of more lines than this is several rooms.
const MAX_ROOM_LINES: usize = 12_000;

#[test]
fn there_are_no_circles_and_no_upward_imports_and_no_room_holds_everything() {
    let sources = sources();
    assert_eq!((circles(&sources).len(), upward_imports(&sources)), (0, 0));
    let (room, lines) = largest_room(&sources).expect("a room");
    assert!(lines <= MAX_ROOM_LINES, "`{room}` has {lines} lines: split it by what it is about");
}

fn upward_imports(sources: &[Source]) -> usize {
    sources.iter().map(|source| super::import_findings(source).len()).sum()
}

/// The room with the most lines of production code, and how many.
fn largest_room(sources: &[Source]) -> Option<(&str, usize)> {
    let mut rooms: BTreeMap<&str, usize> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test_file()) {
        *rooms.entry(source.room.as_str()).or_default() += source.lines;
    }
    rooms.into_iter().max_by_key(|(_, lines)| *lines)
}

#[test]
fn files_do_not_import_each_other_in_circles() {
    let findings = circles(&sources())
        .into_iter()
        .map(|files| format!("{}: import each other (move what both need below both)", files.join(", ")));
    report(&findings.collect::<Vec<_>>());
}

fn read_below(folder: &std::path::Path, name: &str) -> String {
    std::fs::read_to_string(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn tenths(sum: usize, count: usize) -> String {
    let tenths = sum * 10 / count.max(1);
    format!("{}.{}", tenths / 10, tenths % 10)
}

fn percent(part: usize, whole: usize) -> String {
    tenths(part * 100, whole)
}

/// The lines of a file by what they are.
#[derive(Debug, Default, PartialEq, Eq)]
struct Comments {
    code: usize,
    /// `//` above code or behind it.
    inline: usize,
    /// Blocks of `///`.
    documentation: usize,
    short: usize,
}

impl Comments {
    /// Counts production lines: everything before the file's `mod tests`.
    fn count(text: &str) -> Self {
        let mut found = Self::default();
        let mut words: Option<usize> = None;
        for line in text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default().lines() {
            let line = line.trim();
            if let Some(documentation) = line.strip_prefix("///") {
                *words.get_or_insert(0) += documentation.split_whitespace().count();
                continue;
            }
            if let Some(words) = words.take() {
                found.documentation += 1;
                found.short += usize::from(words <= SHORT_COMMENT_WORDS);
            }
            if line.starts_with("//!") || line.is_empty() {
                continue;
            }
            if line.starts_with("//") {
                found.inline += 1;
            } else {
                found.code += 1;
                found.inline +=
                    usize::from(line.contains("; // ") || line.contains(", // ") || line.contains("{ // "));
            }
        }
        found
    }
}

/// The groups of files that import each other, each sorted. A folder's `mod.rs` and the files below it are one thing
/// and may know each other.
fn circles(sources: &[Source]) -> Vec<Vec<String>> {
    let production = || sources.iter().filter(|source| !source.is_test_file() && !source.module.is_empty());
    let files: BTreeMap<&[String], &str> =
        production().map(|source| (source.module.as_slice(), source.name.as_str())).collect();
    let mut imports: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for source in production() {
        for reference in source.references.iter().filter(|reference| !reference.in_test) {
            let depth =
                (1..=reference.path.len()).rev().find(|depth| files.contains_key(&reference.path[..*depth]));
            let Some(module) = depth.map(|depth| &reference.path[..depth]) else { continue };
            if !module.starts_with(&source.module) && !source.module.starts_with(module) {
                imports.entry(source.name.as_str()).or_default().insert(files[module]);
            }
        }
    }
    let reachable: BTreeMap<&str, BTreeSet<&str>> =
        imports.keys().map(|file| (*file, reachable_from(file, &imports))).collect();
    let mut groups: BTreeSet<Vec<String>> = BTreeSet::new();
    for (file, targets) in &reachable {
        let group: Vec<String> = targets
            .iter()
            .filter(|target| reachable.get(**target).is_some_and(|back| back.contains(file)))
            .map(|target| (*target).to_owned())
            .collect();
        if group.len() > 1 {
            groups.insert(group);
        }
    }
    groups.into_iter().collect()
}

fn reachable_from<'a>(file: &'a str, imports: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut found = BTreeSet::new();
    let mut waiting = vec![file];
    while let Some(file) = waiting.pop() {
        for target in imports.get(file).into_iter().flatten() {
            if found.insert(*target) {
                waiting.push(target);
            }
        }
    }
    found
}

#[test]
fn a_circle_of_three_is_found_and_a_folder_with_its_files_is_none() {
    let read = Source::read;
    let sources = [
        read("src/gate/mod.rs", "use self::a::A;"),
        read("src/gate/a.rs", "use super::Gate; use super::b::B;"),
        read("src/gate/b.rs", "use super::c::C;"),
        read("src/gate/c.rs", "use crate::gate::a::A;"),
        read("src/gate/d.rs", "use super::a::A; #[cfg(test)] mod tests { use super::super::e::E; }"),
        read("src/gate/e.rs", "use super::d::D;"),
    ];
    assert_eq!(circles(&sources), [["src/gate/a.rs", "src/gate/b.rs", "src/gate/c.rs"]]);
}

#[test]
fn an_upward_import_and_the_largest_room_are_counted() {
    let read = Source::read;
    let sources = [
        read("src/gate/mod.rs", "use crate::db::Db;\n\n\n"),
        read("src/db/mod.rs", "use crate::gate::Gate;"),
        read("src/db/tests.rs", "\n\n\n\n\n\n"),
    ];
    assert_eq!(upward_imports(&sources), 1);
    assert_eq!(largest_room(&sources), Some(("gate", 3)));
}

#[test]
fn comments_are_counted_by_what_they_are() {
    let text = "//! Head.\n\n/// One more.\n/// And why it is so.\nfn f() {\n    // why\n    g(); // because\n}\n\
                /// Too short.\nstruct S;\n#[cfg(test)]\nmod tests {\n    // not counted\n}\n";
    let expected = Comments { code: 4, inline: 2, documentation: 2, short: 1 };
    assert_eq!(Comments::count(text), expected);
}

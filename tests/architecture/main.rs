//! The shape of the source tree as tests: who may import whom, how long a file may be, which names are not
//! used, where SQL may stand, and that what is shipped contains no simulator.
//!
//! The map itself is in `src/docs/architecture.md`. A rule is changed here first, in the same commit
//! as the code that needs the change. Findings read `file:line: what is wrong (what to do)` and are
//! reported all at once.

#![expect(
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "all of this file is a test"
)]

mod figures;
mod files;
mod sentences;
mod sources;
mod statements;
mod tables;
mod vocabulary;

use std::path::Path;

use files::{read, rust_files, sources};
use sources::{Reference, Source};

/// The floors, from the ground up. A room imports from floors below its own only. Rooms of one floor do not know
/// each other, but for `NEIGHBOURS` and on the top floor, which wires everything together.
const FLOORS: &[&[&str]] = &[
    &["base"],
    &["config", "db", "wecom", "http"],
    // Everybody above may write to the audit trail.
    &["audit"],
    &["directory"],
    // What a process shares with the others: keys, and what the feed says of the directory.
    &["keys", "replica"],
    // A session is somebody's, and signed: it follows both.
    &["session"],
    &[
        "sso", "gate", "oidc", "message", "callback", "o2oa", "console", "doctor", "observe", "manual",
        "api", "sync",
    ],
    &["app", "supervisor", "cli", "testing", "main", "lib", "bin/gongpai-demo"],
];

/// Imports between rooms of one floor that are meant. One that is no longer used must go.
const NEIGHBOURS: &[(&str, &str, &str)] = &[
    ("config", "db", "the configuration says where the database is"),
    ("wecom", "config", "a client's settings come from the configuration"),
    ("api", "sync", "applications ask for a run and see how it went"),
    ("api", "message", "applications send messages and see what became of them"),
    ("doctor", "sync", "the doctor tells how the last run ended"),
    ("o2oa", "message", "a todo of O2OA is accepted as a message"),
    ("console", "gate", "the console shows decisions through the gate's public functions"),
    ("console", "message", "the console shows and steers the queue"),
    ("console", "oidc", "the console lists registered applications"),
    ("console", "sso", "the console signs administrators in and out"),
];

/// Stands beside the floors: a WeCom to test against, which shares nothing with the code it tests.
const SIMULATOR: &str = "simulator";

/// The programs that may contain the simulator.
const USES_SIMULATOR: &[&str] = &["bin/wecom-simulator", "bin/gongpai-demo"];

/// A file longer than this hides more than one thing.
const MAX_LINES: usize = 500;

/// Longer files, with the reason; three at most, and an entry that is no longer needed must go.
const LONG_FILES: &[(&str, &str)] = &[];

/// Names that say nothing about what is inside.
const EMPTY_NAMES: &[&str] = &["utils", "util", "helpers", "helper", "common", "misc", "manager", "types"];

/// Modules whose folder says what their name does not: `db::types` has the types of columns.
const NAMED_BY_THEIR_FOLDER: &[(&str, &str)] = &[("db", "types")];

/// How a string literal that is SQL begins.
const SQL_VERBS: &[&str] =
    &["SELECT ", "INSERT ", "UPDATE ", "DELETE ", "CREATE ", "ALTER ", "DROP ", "WITH "];

#[test]
fn modules_import_downwards_only() {
    let sources = sources();
    let mut findings: Vec<String> = sources.iter().flat_map(import_findings).collect();
    findings.extend(unused_neighbours(&sources));
    report(&findings);
}

#[test]
fn the_floors_of_the_map_are_those_of_the_test() {
    let map = read("src/docs/architecture.md");
    let table =
        map.split("| floor | rooms |").nth(1).expect("the table of floors in src/docs/architecture.md");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let drawn: Vec<String> = rows.map(str::to_owned).collect();
    let row = |(number, rooms): (usize, &&[&str])| {
        let rooms: Vec<String> = rooms.iter().map(|room| format!("`{room}`")).collect();
        format!("| {number} | {} |", rooms.join(", "))
    };
    let meant: Vec<String> = FLOORS.iter().enumerate().map(row).collect();
    assert_eq!(drawn, meant, "the floors of src/docs/architecture.md and FLOORS differ");
}

#[test]
fn no_file_is_too_long() {
    assert!(LONG_FILES.len() <= 3, "at most three files may be longer than {MAX_LINES} lines");
    let mut findings = Vec::new();
    for source in sources() {
        let excused = LONG_FILES.iter().any(|(name, _)| *name == source.name);
        if source.lines > MAX_LINES && !excused && !source.is_test_file() {
            findings.push(format!(
                "{}:{}: longer than {MAX_LINES} lines (split it by what it does; tests move to `tests.rs`)",
                source.name, source.lines
            ));
        }
        if source.lines <= MAX_LINES && excused {
            findings.push(format!("{}: short again (take it out of LONG_FILES)", source.name));
        }
    }
    report(&findings);
}

#[test]
fn every_file_opens_by_saying_what_it_is_for() {
    let mut findings = Vec::new();
    for path in rust_files("src").into_iter().chain(rust_files("tests")) {
        let text = read(&path);
        if !text.starts_with("//!") {
            findings.push(format!("{path}:1: does not open with a `//!` line that says what it is for"));
        }
    }
    report(&findings);
}

#[test]
fn no_module_has_an_empty_name() {
    let mut findings = Vec::new();
    for source in sources() {
        let is_free = |part: &str| NAMED_BY_THEIR_FOLDER.contains(&(source.room.as_str(), part));
        for part in Path::new(&source.name).with_extension("").components() {
            let part = part.as_os_str().to_string_lossy();
            if EMPTY_NAMES.contains(&part.as_ref()) && !is_free(&part) {
                findings.push(format!("{}:1: `{part}` says nothing (name what is inside)", source.name));
            }
        }
        for (module, line) in &source.inline_modules {
            if EMPTY_NAMES.contains(&module.as_str()) && !is_free(module) {
                findings.push(format!("{}:{line}: `mod {module}` says nothing", source.name));
            }
        }
    }
    report(&findings);
}

#[test]
fn sql_stands_in_stores_only() {
    report(&sources().iter().flat_map(sql_findings).collect::<Vec<_>>());
}

#[test]
fn the_shipped_binary_contains_no_simulator() {
    let marker = b"wecom-simulator";
    let contains = |path: &str| {
        let bytes = std::fs::read(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        bytes.windows(marker.len()).any(|window| window == marker)
    };
    assert!(
        contains(env!("CARGO_BIN_EXE_wecom-simulator")),
        "the simulator's own binary lacks the marker, so its absence elsewhere would prove nothing"
    );
    assert!(
        !contains(env!("CARGO_BIN_EXE_gongpai")),
        "`gongpai` contains the simulator (see src/docs/architecture.md)"
    );
}

#[test]
fn the_image_carries_only_the_gateway() {
    let dockerfile = read("Dockerfile");
    let instructions = dockerfile.replace("\\\n", " ");
    let lines = || instructions.lines().map(str::trim).filter(|line| !line.starts_with('#'));

    // What is copied out of a build stage into the last stage.
    let last_stage = lines().collect::<Vec<_>>();
    let start = last_stage.iter().rposition(|line| line.starts_with("FROM ")).expect("a FROM line");
    let copied: Vec<&str> =
        last_stage[start..].iter().copied().filter(|line| line.starts_with("COPY ")).collect();
    assert_eq!(copied.len(), 1, "the last stage copies one thing: {copied:?}");
    let source = copied[0].split_whitespace().find(|word| word.contains("release/"));
    assert_eq!(
        source.and_then(|path| path.rsplit('/').next()),
        Some("gongpai"),
        "the last stage copies the gateway's binary and nothing else: {copied:?}"
    );
    for line in lines().filter(|line| line.contains("cargo build")) {
        assert!(line.contains("--bin gongpai"), "builds more than the gateway: {line}");
    }
    for other in ["wecom-simulator", "gongpai-demo"] {
        assert!(!lines().any(|line| line.contains(other)), "the image must not mention `{other}`");
    }
}

// --- the rules ---------------------------------------------------------------------------------------------

/// What `source` imports and must not.
fn import_findings(source: &Source) -> Vec<String> {
    let from = source.room.as_str();
    let mut findings = Vec::new();
    if floor(from).is_none() && from != SIMULATOR && !USES_SIMULATOR.contains(&from) {
        findings.push(format!(
            "{}:1: `{from}` has no floor (give it one in FLOORS; see src/docs/architecture.md)",
            source.name
        ));
        return findings;
    }
    for reference in &source.references {
        if let Some(complaint) = import_complaint(from, reference) {
            findings.push(format!(
                "{}:{}: {complaint} (see src/docs/architecture.md)",
                source.name, reference.line
            ));
        }
    }
    findings
}

/// Why `from` must not name what `reference` names, or nothing.
fn import_complaint(from: &str, reference: &Reference) -> Option<String> {
    let Some(to) = reference.path.first().map(String::as_str) else {
        return Some("the crate root is not imported as a whole".to_owned());
    };
    if to == from {
        return None;
    }
    // These two hold in tests as well: code that is tested with its own mirror image proves nothing.
    if to == SIMULATOR {
        return (!USES_SIMULATOR.contains(&from)).then(|| format!("`{from}` must not import the simulator"));
    }
    if from == SIMULATOR || from == "bin/wecom-simulator" {
        return Some(format!(
            "`{from}` must not import `{to}`: the simulator shares nothing with the gateway"
        ));
    }
    if reference.in_test {
        return None;
    }
    let from_floor = floor(from)?;
    let Some(to_floor) = floor(to) else {
        return Some(format!(
            "`crate::{to}` is on no floor: name the module that owns it, or give it a floor"
        ));
    };
    let top = FLOORS.len() - 1;
    if to_floor < from_floor || (to_floor == top && from_floor == top) {
        return None;
    }
    if NEIGHBOURS.iter().any(|(a, b, _)| *a == from && *b == to) {
        return (reference.path.get(1).is_some_and(|part| part == "store"))
            .then(|| format!("`{from}` must not reach into `{to}`'s store"));
    }
    let why =
        if to_floor == from_floor { "rooms of one floor do not know each other" } else { "it is above" };
    Some(format!("`{from}` must not import `{to}`: {why}"))
}

/// Entries of `NEIGHBOURS` whose room exists and no longer uses them.
fn unused_neighbours(sources: &[Source]) -> Vec<String> {
    let unused = NEIGHBOURS.iter().filter(|(from, to, _)| {
        let mut room = sources.iter().filter(|source| source.room == *from).peekable();
        room.peek().is_some()
            && !room
                .flat_map(|source| &source.references)
                .any(|reference| !reference.in_test && reference.path.first().is_some_and(|part| part == to))
    });
    unused
        .map(|(from, to, _)| {
            format!("tests/architecture/main.rs: `{from}` no longer imports `{to}` (remove the entry)")
        })
        .collect()
}

/// SQL text outside `db/` and the `store.rs` of a room; tests may look into tables.
fn sql_findings(source: &Source) -> Vec<String> {
    let is_store = source.module.iter().any(|part| part == "store");
    if source.room == "db" || is_store || source.is_test_file() {
        return Vec::new();
    }
    let sql = source.literals.iter().filter(|literal| {
        let text = literal.text.trim_start();
        !literal.in_test
            && SQL_VERBS.iter().any(|verb| text.starts_with(verb) || text.trim_end() == verb.trim_end())
    });
    sql.map(|literal| format!("{}:{}: SQL outside a `store.rs` (move it there)", source.name, literal.line))
        .collect()
}

fn floor(room: &str) -> Option<usize> {
    FLOORS.iter().position(|rooms| rooms.contains(&room))
}

fn report(findings: &[String]) {
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

// --- the rules, tried on small sources ---------------------------------------------------------------------

fn imports_of(name: &str, text: &str) -> String {
    import_findings(&Source::read(name, text)).join("\n")
}

#[test]
fn an_upward_import_is_found_with_its_line() {
    let found =
        imports_of("src/wecom/client.rs", "use std::fmt;\nuse crate::{base::A, audit::AuditEntry};\n");
    assert!(found.starts_with("src/wecom/client.rs:2: `wecom` must not import `audit`"), "{found}");
}

#[test]
fn paths_in_code_macros_and_attributes_count_as_imports() {
    for text in [
        "fn f() { crate::sso::start(); }",
        "fn f(x: crate::sso::State) {}",
        "fn f() { tracing::info!(x = %crate::sso::NAME); }",
        "#[derive(D)] struct S { #[serde(with = \"crate::sso::text\")] a: u8 }",
        "use super::super::sso::State;",
        "mod inner { fn f() { super::super::super::sso::start(); } }",
        "use crate::sso as other;",
    ] {
        let found = imports_of("src/gate/rules.rs", text);
        assert!(found.contains("`gate` must not import `sso`"), "{text}: {found:?}");
    }
}

#[test]
fn downward_imports_and_the_own_room_are_free() {
    let text = "use crate::{base::A, db::Db, session::Session};\nuse super::respond; use super::*; pub(crate) fn f() {}";
    assert_eq!(imports_of("src/gate/rules.rs", text), "");
    assert_eq!(imports_of("src/o2oa/mod.rs", "use crate::message::accept;"), "");
    assert_eq!(imports_of("src/bin/gongpai-demo.rs", "use gongpai::{app::App, simulator::Simulator};"), "");
}

#[test]
fn an_exception_does_not_open_the_neighbours_store() {
    let found = imports_of("src/o2oa/mod.rs", "use crate::message::store::insert;");
    assert!(found.contains("must not reach into `message`'s store"), "{found}");
}

#[test]
fn only_tests_may_look_upwards_and_even_they_not_at_the_simulator() {
    assert_eq!(imports_of("src/wecom/mod.rs", "#[cfg(test)] mod tests { use crate::config::Config; }"), "");
    let found = imports_of("src/wecom/mod.rs", "#[cfg(test)] mod tests { use crate::simulator::World; }");
    assert!(found.contains("`wecom` must not import the simulator"), "{found}");
    let found = imports_of("src/simulator/tests.rs", "use crate::wecom::crypto;");
    assert!(found.contains("`simulator` must not import `wecom`"), "{found}");
    let found = imports_of("src/bin/wecom-simulator.rs", "use gongpai::config::Config;");
    assert!(found.contains("must not import `config`"), "{found}");
}

#[test]
fn a_room_without_a_floor_is_found() {
    assert!(imports_of("src/attic/mod.rs", "").contains("`attic` has no floor"));
    assert!(imports_of("src/gate/mod.rs", "use crate::Thing;").contains("`crate::Thing` is on no floor"));
    assert!(imports_of("src/gate/mod.rs", "use crate::*;").contains("the crate root"));
}

#[test]
fn sql_is_found_in_literals_and_macros_but_not_in_documentation() {
    let text =
        "/// SELECT nothing\nfn f() {\n q(\"\n  SELECT 1\");\n m!(\"DELETE FROM x\"); e(\"Delete it\"); }";
    let found = sql_findings(&Source::read("src/gate/mod.rs", text));
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("src/gate/mod.rs:3:"), "{found:?}");
    assert!(sql_findings(&Source::read("src/session/store.rs", text)).is_empty());
}

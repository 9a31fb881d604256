//! Statements and rows: words of states exist, columns are read by name, and only the helpers of the tests look into
//! private tables.

use std::collections::BTreeSet;

use super::files::{read, rust_files, sources};
use super::report;
use super::sources::Source;
use super::tables::{TABLES, read_schema, tables_in};

/// The enum of each column that a partial index of the schema compares with a word, and of others beside. What an
/// index compares with must be one of its words.
const WORD_COLUMNS: &[(&str, &str, &str)] = &[
    ("feed", "kind", "FeedKind"),
    ("feed_counter", "name", "FeedCounter"),
    ("unit_rows", "source", "EntrySource"),
    ("person_rows", "source", "EntrySource"),
    ("person_rows", "status", "PersonStatus"),
    ("directory_changes", "kind", "DirectoryEntity"),
    ("directory_changes", "change", "DirectoryChangeKind"),
    ("conflicts", "kind", "ConflictKind"),
    ("conflicts", "state", "ConflictState"),
    ("sync_runs", "kind", "SyncKind"),
    ("sync_runs", "status", "SyncRunStatus"),
    ("sessions", "end_reason", "SessionEndReason"),
    ("audit", "event", "AuditEvent"),
    ("audit", "decision", "AuditDecision"),
    ("messages", "status", "MessageStatus"),
    ("message_recipients", "status", "RecipientStatus"),
    ("message_calls", "status", "CallStatus"),
    ("message_recalls", "status", "RecallStatus"),
];

/// Quoted texts of statements that are no states.
const NO_WORDS: &[(&str, &str)] = &[("sqlite", "the prefix of SQLite's own tables")];

#[test]
fn every_word_of_a_statement_is_a_variant() {
    let sources = sources();
    let words = words_of(&sources);
    assert!(words.len() > 20, "too few words found: the rule would hold for nothing");
    let mut findings: Vec<String> = sources.iter().flat_map(|source| word_findings(source, &words)).collect();
    findings.extend(
        quoted_words(&read_schema())
            .into_iter()
            .filter(|word| !words.contains(*word))
            .map(|word| format!("src/db/migrations: {word:?} is a word of no enum")),
    );
    report(&findings);
}

#[test]
fn the_indexes_of_the_schema_compare_with_words_of_their_column() {
    report(&index_findings(&read_schema(), &sources()));
}

#[test]
fn columns_are_read_by_name() {
    report(&sources().iter().flat_map(position_findings).collect::<Vec<_>>());
}

#[test]
fn only_helpers_of_the_tests_touch_private_tables() {
    let free = ["tests/it/support/", "tests/architecture/", "tests/bench/"];
    let files = rust_files("tests")
        .into_iter()
        // What the benchmarks prepare and measure is no behaviour.
        .filter(|name| !free.iter().any(|folder| name.starts_with(folder)));
    let sources: Vec<Source> = files.map(|name| Source::read(&name, &read(&name))).collect();
    assert!(sources.len() > 20, "no tests found: the rule would hold for nothing");
    report(&sources.iter().flat_map(private_table_findings).collect::<Vec<_>>());
}

fn words_of(sources: &[Source]) -> BTreeSet<String> {
    let production = sources.iter().filter(|source| !source.is_test_file());
    production.flat_map(|source| &source.column_enums).flat_map(|(_, words)| words.clone()).collect()
}

/// Whether a text is a statement or a part of one.
fn is_sql(text: &str) -> bool {
    let keyword = |word: &str| {
        matches!(
            word,
            "SELECT" | "INSERT" | "UPDATE" | "DELETE" | "WHERE" | "AND" | "OR" | "SET" | "VALUES" | "CASE"
        )
    };
    text.split(|c: char| !c.is_ascii_alphabetic()).any(keyword)
}

/// The quoted words of a statement: neither `''` nor a sign nor JSON nor a placeholder.
fn quoted_words(sql: &str) -> Vec<&str> {
    let is_word = |text: &&str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.'))
    };
    sql.split('\'').skip(1).step_by(2).filter(is_word).collect()
}

fn word_findings(source: &Source, words: &BTreeSet<String>) -> Vec<String> {
    if source.is_test_file() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    for literal in source.literals.iter().filter(|literal| !literal.in_test && is_sql(&literal.text)) {
        for word in quoted_words(&literal.text) {
            if !words.contains(word) && !NO_WORDS.iter().any(|(known, _)| *known == word) {
                findings.push(format!(
                    "{}:{}: {word:?} is a word of no enum (build the statement from the enum's constant)",
                    source.name, literal.line
                ));
            }
        }
    }
    findings
}

/// Words in `CREATE INDEX … ON table (…) WHERE column = 'word'` or `IN ('word', …)` that the column's enum lacks.
fn index_findings(schema: &str, sources: &[Source]) -> Vec<String> {
    let mut findings = Vec::new();
    for statement in schema.split(';') {
        let Some((_, rest)) = statement.split_once(" ON ") else { continue };
        let table = rest.split_whitespace().next().unwrap_or_default();
        let Some((_, condition)) = rest.split_once(" WHERE ").or_else(|| rest.split_once("\n    WHERE "))
        else {
            continue;
        };
        let words = quoted_words(condition);
        if words.is_empty() {
            continue;
        }
        let column = condition.split_whitespace().next().unwrap_or_default();
        let Some((.., name)) = WORD_COLUMNS.iter().find(|(of, known, _)| (*of, *known) == (table, column))
        else {
            findings.push(format!("src/db/migrations: `{table}.{column}` has no enum in WORD_COLUMNS"));
            continue;
        };
        let known = sources.iter().flat_map(|source| &source.column_enums).find(|(of, _)| of == name);
        for word in words {
            if !known.is_some_and(|(_, known)| known.iter().any(|known| known == word)) {
                findings.push(format!("src/db/migrations: {word:?} of `{table}.{column}` is no {name}"));
            }
        }
    }
    findings
}

fn position_findings(source: &Source) -> Vec<String> {
    if source.is_test_file() {
        return Vec::new();
    }
    let positions = source.column_positions.iter().filter(|(_, in_test)| !in_test);
    positions
        .map(|(line, _)| format!("{}:{line}: reads a column by its place (derive FromRow)", source.name))
        .collect()
}

fn private_table_findings(source: &Source) -> Vec<String> {
    let mut findings = Vec::new();
    for literal in source.literals.iter().filter(|literal| is_sql(&literal.text)) {
        for found in tables_in(&literal.text) {
            if TABLES.iter().any(|(table, ..)| *table == found.table) {
                findings.push(format!(
                    "{}:{}: a statement on the private table `{}` (name a helper in tests/it/support)",
                    source.name, literal.line, found.table
                ));
            }
        }
    }
    findings
}

// --- the rules, tried on small sources ---------------------------------------------------------------------

const LIGHTS: &str = "column_enum! {\n /// A light.\n #[serde(rename_all = \"upper\")]\n pub enum Light {\n \
                      /// \"blue\"\n Red = \"red\", Green = \"green\" } else Red }";

#[test]
fn a_misspelt_state_is_found_where_it_is_compared_and_where_it_is_written() {
    let lights = Source::read("src/gate/state.rs", LIGHTS);
    assert_eq!(lights.column_enums, [("Light".to_owned(), vec!["red".to_owned(), "green".to_owned()])]);
    let words = words_of(&[lights]);
    for (sql, wrong) in [
        ("SELECT 1 FROM lights WHERE state = 'gren'", true),
        ("UPDATE lights SET state = 'reed' WHERE id = $1", true),
        ("INSERT INTO lights (id, state) VALUES ($1, 'blue')", true),
        (" AND l.state IN ('red', 'yellow')", true),
        ("SELECT 1 FROM lights WHERE state = 'Red'", true),
        ("SELECT 1 FROM lights WHERE state = 'red-2'", true),
        ("SELECT 1 FROM lights WHERE state IN ('red', 'green') AND name = '' AND list <> '[]'", false),
        ("UPDATE lights SET state = '{GREEN}' WHERE state = $1", false),
        ("it isn't 'yellow' or so", false),
    ] {
        let text = format!("fn f() {{\n q({sql:?}); }}");
        let found = word_findings(&Source::read("src/gate/store.rs", &text), &words);
        assert_eq!(
            found.iter().any(|found| found.starts_with("src/gate/store.rs:2: ")),
            wrong,
            "{sql}: {found:?}"
        );
    }
}

#[test]
fn an_index_with_a_word_that_its_column_lacks_is_found() {
    let runs =
        Source::read("src/sync/state.rs", "column_enum! { enum SyncRunStatus { Running = \"running\" } }");
    let sources = [runs];
    let good = "CREATE UNIQUE INDEX a ON sync_runs (corp_id) WHERE status = 'running';";
    assert!(index_findings(good, &sources).is_empty());
    for (bad, said) in [
        (
            "CREATE INDEX a ON sync_runs (corp_id)\n    WHERE status IN ('running', 'runing');",
            "is no SyncRunStatus",
        ),
        ("CREATE INDEX a ON sync_runs (corp_id) WHERE mood = 'running';", "`sync_runs.mood` has no enum"),
    ] {
        let found = index_findings(bad, &sources);
        assert!(found.len() == 1 && found[0].contains(said), "{found:?}");
    }
}

#[test]
fn a_row_read_by_position_is_found() {
    for code in [
        "row.try_get(3)?",
        "row.try_get::<String, _>(0)?",
        "row.try_get(column)?",
        "row.get(1)",
        "sqlx::query_as::<_, (String, i64)>(SQL).bind(1).fetch_all(pool)",
        "let rows: Vec<(String, i64)> = sqlx::query_as(SQL).fetch_all(pool)",
    ] {
        let text = format!("fn f() {{\n {code}; }}");
        let found = position_findings(&Source::read("src/gate/store.rs", &text));
        assert!(
            found.first().is_some_and(|found| found.starts_with("src/gate/store.rs:2: ")),
            "{code}: {found:?}"
        );
    }
    for (name, code) in [("src/gate/store.rs", "row.try_get(\"name\")?"), ("src/gate/mod.rs", "list.get(1)")]
    {
        assert!(
            position_findings(&Source::read(name, &format!("fn f() {{ {code}; }}"))).is_empty(),
            "{code}"
        );
    }
}

#[test]
fn a_statement_on_a_private_table_is_found_in_a_test() {
    let text =
        "#[test] fn f() {\n q(\"UPDATE sessions SET ended_at = 1\"); q(\"SELECT 1 FROM sqlite_master\"); }";
    let found = private_table_findings(&Source::read("tests/it/gate.rs", text));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(
        found[0].starts_with("tests/it/gate.rs:2: a statement on the private table `sessions`"),
        "{found:?}"
    );
}

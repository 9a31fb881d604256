//! Who may touch which table: every statement of `src` is read, wherever it stands, and every table of the migrations
//! has one owner.

use std::collections::BTreeSet;

use super::files::{read, root, sources};
use super::sources::Source;
use super::{FLOORS, floor, report};

/// A table, the room that owns it, and who else may read it, with the reason. A reader is a room, or a module of one.
type TableRule = (&'static str, &'static str, &'static [(&'static str, &'static str)]);

const PLANNER: (&str, &str) =
    ("message::deliver::plan", "the planner joins its candidates with who they are now, in one statement");
const RECHECK: (&str, &str) =
    ("sso::recheck", "one join finds the few who are signed in and due, among all who are due");
const EXCLUDED: (&str, &str) =
    ("session", "one statement ends the sessions of everybody whom a version excludes, as it is published");

/// The tables by owner. The owner reads and writes, a named reader reads, and nobody else touches a table: others call
/// the owner's functions.
pub(crate) const TABLES: &[TableRule] = &[
    ("feed", "db", &[]),
    ("feed_counter", "db", &[]),
    ("audit", "audit", &[]),
    ("persons", "directory", &[RECHECK]),
    ("person_rows", "directory", &[PLANNER, RECHECK, EXCLUDED]),
    ("unit_rows", "directory", &[]),
    ("tag_rows", "directory", &[]),
    ("charts", "directory", &[PLANNER, RECHECK]),
    ("directory_changes", "directory", &[]),
    ("publications", "directory", &[]),
    ("conflicts", "directory", &[]),
    ("rule_bindings", "directory", &[]),
    ("sync_runs", "sync", &[]),
    ("schedules", "sync", &[]),
    ("sessions", "session", &[RECHECK]),
    ("tickets", "session", &[]),
    ("attempts", "sso", &[]),
    ("signing_keys", "keys", &[]),
    ("messages", "message", &[]),
    ("message_recipients", "message", &[]),
    ("message_calls", "message", &[]),
    ("message_lanes", "message", &[]),
    ("message_counts", "message", &[]),
    ("message_recalls", "message", &[]),
    ("message_links", "message", &[]),
];

/// A run writes the next version of the chart beside the directory, whose own functions change the published one.
const SECOND_OWNERS: &[(&str, &str)] = &[
    ("persons", "sync"),
    ("person_rows", "sync"),
    ("unit_rows", "sync"),
    ("tag_rows", "sync"),
    ("charts", "sync"),
    ("directory_changes", "sync"),
    ("publications", "sync"),
];

/// What stands before the name of a table in a statement. A name after `FROM` or `JOIN` is read unless the statement
/// deletes it.
const TABLE_KEYWORDS: &[&str] = &["FROM", "JOIN", "INTO", "UPDATE"];

#[test]
fn a_table_is_touched_by_its_owner_and_named_readers_only() {
    let sources = sources();
    let mut findings: Vec<String> =
        sources.iter().flat_map(|source| table_findings(source, TABLES, SECOND_OWNERS)).collect();
    findings.extend(unused_readers(&sources, TABLES, SECOND_OWNERS));
    findings.extend(readers_below(TABLES, SECOND_OWNERS));
    report(&findings);
}

#[test]
fn every_table_of_the_schema_has_an_owner() {
    let schema = read_schema();
    let made: BTreeSet<&str> =
        schema.split("CREATE TABLE ").skip(1).filter_map(|rest| rest.split_whitespace().next()).collect();
    let owned: BTreeSet<&str> = TABLES.iter().map(|(table, ..)| *table).collect();
    assert!(made.len() > 5, "no tables found: the rule would hold for nothing");
    assert_eq!(made, owned, "the tables of the migrations and TABLES differ");
}

#[test]
fn the_tables_of_the_map_are_those_of_the_test() {
    let map = read("src/docs/architecture.md");
    let table =
        map.split("| table | owner |").nth(1).expect("the table of tables in src/docs/architecture.md");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let mut drawn = BTreeSet::new();
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        for name in cells[0].split(',') {
            drawn.insert((name.trim().trim_matches('`').to_owned(), cells[1].to_owned()));
        }
    }
    let meant: BTreeSet<_> =
        TABLES.iter().map(|(table, owner, _)| ((*table).to_owned(), (*owner).to_owned())).collect();
    assert_eq!(drawn, meant, "the owners of src/docs/architecture.md and TABLES differ");
}

/// The text of every migration, without comments.
pub(crate) fn read_schema() -> String {
    let folder = root().join("src/db/migrations");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .expect("the folder of the migrations")
        .map(|entry| entry.expect("a readable entry").file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    let lines: Vec<String> = names
        .iter()
        .flat_map(|name| {
            read(&format!("src/db/migrations/{name}")).lines().map(str::to_owned).collect::<Vec<_>>()
        })
        .map(|line| line.split("--").next().unwrap_or_default().to_owned())
        .collect();
    lines.join("\n")
}

/// A table in a statement.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct TableUse<'a> {
    pub(crate) table: &'a str,
    pub(crate) writes: bool,
}

/// The names after the keywords of a statement or a part of one, in its order; those of subqueries' own names too.
pub(crate) fn tables_in(sql: &str) -> Vec<TableUse<'_>> {
    let mut found = Vec::new();
    let words = split_statement(sql);
    let word = |at: usize| words.get(at).copied().unwrap_or_default();
    for (at, keyword) in words.iter().enumerate() {
        // `JOIN b USING (id)` names a column; `DELETE FROM a USING b` names a table.
        let is_using = *keyword == "USING" && word(at + 1) != "(";
        if !TABLE_KEYWORDS.contains(keyword) && !is_using {
            continue;
        }
        // `UPDATE feed SET`, but neither `DO UPDATE SET` nor `FOR UPDATE`.
        let before = if at == 0 { "" } else { word(at - 1) };
        if *keyword == "UPDATE" && matches!(before, "DO" | "FOR") {
            continue;
        }
        let writes = matches!(*keyword, "INTO" | "UPDATE") || before == "DELETE";
        let mut place = at + 1;
        loop {
            if word(place) == "ONLY" {
                place += 1;
            }
            if !matches!(word(place), "" | "(" | ")") {
                found.push(TableUse { table: bare_name(word(place)), writes });
            }
            // `FROM a x, b`: another name of the same list.
            place += 1;
            if word(place) == "AS" {
                place += 1;
            }
            if word(place) != "," && word(place + 1) == "," {
                place += 1;
            }
            if word(place) != "," || !matches!(*keyword, "FROM" | "USING") {
                break;
            }
            place += 1;
        }
    }
    found
}

/// The words of a statement; brackets and commas are words, too.
fn split_statement(sql: &str) -> Vec<&str> {
    let mut words = Vec::new();
    for part in sql.split(|c: char| c.is_whitespace() || c == ';') {
        let mut rest = part;
        while let Some(at) = rest.find(['(', ')', ',']) {
            words.extend([&rest[..at], &rest[at..=at]]);
            rest = &rest[at + 1..];
        }
        words.push(rest);
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The name of a table without its quotes and its schema.
fn bare_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name).trim_matches('"')
}

/// Whether a text is a statement with keywords in lower case, which the rules would not see.
fn is_lower_case_statement(text: &str) -> bool {
    let mut words = text.split_whitespace();
    let first = words.next().unwrap_or_default();
    matches!(first, "select" | "insert" | "update" | "delete" | "with")
        && words.any(|word| TABLES.iter().any(|(table, ..)| bare_name(word) == *table))
}

fn table_findings(source: &Source, tables: &[TableRule], second_owners: &[(&str, &str)]) -> Vec<String> {
    let mut findings = Vec::new();
    if source.is_test_file() {
        return findings;
    }
    for literal in source.literals.iter().filter(|literal| !literal.in_test) {
        let place = format!("{}:{}", source.name, literal.line);
        let ends_with = |keyword: &&str| {
            let rest = literal.text.strip_suffix(' ').and_then(|text| text.strip_suffix(*keyword));
            rest.is_some_and(|rest| rest.is_empty() || rest.ends_with(' '))
        };
        if TABLE_KEYWORDS.iter().any(ends_with) {
            findings.push(format!("{place}: a statement without its table (write it whole)"));
        }
        if is_lower_case_statement(&literal.text) {
            findings.push(format!("{place}: a statement in lower case (write its keywords in capitals)"));
        }
        for TableUse { table, writes } in tables_in(&literal.text) {
            if table.starts_with('{') {
                findings.push(format!("{place}: a table that is a placeholder (write its name)"));
            }
            let Some((_, owner, readers)) = tables.iter().find(|(name, ..)| *name == table) else { continue };
            let owns = *owner == source.room || second_owners.contains(&(table, &source.room));
            let reads = !writes && readers.iter().any(|(reader, _)| is_within(source, reader));
            if !owns && !reads {
                let how = if writes { "writes" } else { "reads" };
                findings.push(format!(
                    "{place}: `{}` {how} `{table}`, which `{owner}` owns (call a function of `{owner}`)",
                    source.room
                ));
            }
        }
    }
    findings
}

/// Whether the file belongs to `reader`, a room or a module of one.
fn is_within(source: &Source, reader: &str) -> bool {
    let parts: Vec<&str> = reader.split("::").collect();
    source.module.len() >= parts.len() && parts.iter().zip(&source.module).all(|(part, name)| part == name)
}

/// Entries that nobody needs any longer; a room that has no code yet may wait for its own.
fn unused_readers(sources: &[Source], tables: &[TableRule], second_owners: &[(&str, &str)]) -> Vec<String> {
    let touches = |table: &str, reader: &str| {
        let files = sources.iter().filter(|source| !source.is_test_file() && is_within(source, reader));
        let mut literals = files.flat_map(|source| &source.literals).filter(|literal| !literal.in_test);
        literals.any(|literal| tables_in(&literal.text).iter().any(|found| found.table == table))
    };
    let exists = |room: &str| sources.iter().any(|source| source.room == room);
    let readers = tables
        .iter()
        .flat_map(|(table, _, readers)| readers.iter().map(move |(reader, _)| (*table, *reader)));
    readers
        .chain(second_owners.iter().copied())
        .filter(|(table, reader)| {
            exists(reader.split("::").next().unwrap_or_default()) && !touches(table, reader)
        })
        .map(|(table, reader)| {
            format!("tests/architecture/tables.rs: `{reader}` no longer touches `{table}` (remove the entry)")
        })
        .collect()
}

/// Readers that stand below the owner: they would know of a room that they must not know.
fn readers_below(tables: &[TableRule], second_owners: &[(&str, &str)]) -> Vec<String> {
    let floor_of = |name: &str| floor(name.split("::").next().unwrap_or_default()).unwrap_or(FLOORS.len());
    let mut findings = Vec::new();
    for (table, owner, readers) in tables {
        let second = second_owners.iter().filter(|(name, _)| name == table).map(|(_, room)| *room);
        for reader in readers.iter().map(|(reader, _)| *reader).chain(second) {
            if floor_of(reader) < floor_of(owner) {
                findings.push(format!(
                    "tests/architecture/tables.rs: `{reader}` stands below `{owner}` and must not read `{table}`"
                ));
            }
        }
    }
    findings
}

// --- the rules, tried on small sources ---------------------------------------------------------------------

const SAMPLE: &[TableRule] =
    &[("doors", "gate", &[("sso::keyhole", "it looks")]), ("locks", "keys", &[("db", "it must not")])];

fn findings_of(name: &str, text: &str) -> String {
    table_findings(&Source::read(name, text), SAMPLE, &[("doors", "sync")]).join("\n")
}

#[test]
fn a_foreign_table_is_found_in_literals_macros_and_parts_of_statements() {
    for (sql, how) in [
        ("\"SELECT 1 FROM doors\"", "reads"),
        ("\"SELECT 1 FROM rooms r JOIN doors d ON true\"", "reads"),
        ("formatcp!(\"INSERT INTO doors (id) VALUES ('{X}')\")", "writes"),
        ("concat!(\"UPDATE doors\", \" SET id = 1\")", "writes"),
        ("\"DELETE FROM doors WHERE id IN (SELECT id FROM doors)\"", "writes"),
        ("\" AND EXISTS (SELECT 1 FROM doors)\"", "reads"),
        ("\"SELECT 1 FROM rooms r, doors d\"", "reads"),
        ("\"SELECT 1 FROM rooms AS r,doors\"", "reads"),
        ("\"SELECT 1 FROM public.doors\"", "reads"),
        ("r#\"SELECT 1 FROM \"doors\"\"#", "reads"),
        ("\"DELETE FROM rooms USING doors WHERE true\"", "reads"),
        ("\"UPDATE ONLY doors SET id = 1\"", "writes"),
    ] {
        let found = findings_of("src/message/store.rs", &format!("fn f() {{\n q({sql}); }}"));
        assert!(found.starts_with("src/message/store.rs:2: "), "{sql}: {found:?}");
        assert!(found.contains(&format!("`message` {how} `doors`, which `gate` owns")), "{sql}: {found:?}");
    }
}

#[test]
fn a_statement_in_lower_case_is_found_and_a_column_after_using_is_no_table() {
    let found = findings_of("src/gate/store.rs", "fn f() { q(\"select 1 from feed\"); }");
    assert!(found.contains("a statement in lower case"), "{found}");
    assert!(!is_lower_case_statement("the feed"));
    let tables =
        tables_in("SELECT doors.id FROM rooms JOIN halls USING (doors) WHERE (a, doors) IN (SELECT 1, 2)");
    assert_eq!(tables.iter().map(|found| found.table).collect::<Vec<_>>(), ["rooms", "halls"]);
}

#[test]
fn owners_and_readers_are_free_and_a_reader_must_not_write() {
    let read = "fn f() { q(\"SELECT 1 FROM doors\"); }";
    let write = "fn f() { q(\"INSERT INTO doors (id) SELECT 1 ON CONFLICT (id) DO UPDATE SET id = 1\"); }";
    for name in ["src/gate/store.rs", "src/sync/apply/store.rs"] {
        assert_eq!(findings_of(name, read) + &findings_of(name, write), "", "{name}");
    }
    assert_eq!(findings_of("src/sso/keyhole/store.rs", read), "");
    assert!(findings_of("src/sso/keyhole/store.rs", write).contains("`sso` writes `doors`"));
    assert!(findings_of("src/sso/store.rs", read).contains("`sso` reads `doors`"), "only that module");
    assert_eq!(findings_of("src/sso/tests.rs", read), "", "a test looks where it must");
}

#[test]
fn a_table_cannot_hide_behind_a_macro() {
    for sql in ["concat!(\"DELETE FROM \", $table)", "formatcp!(\"UPDATE {TABLE} SET id = 1\")"] {
        let found = findings_of("src/message/store.rs", &format!("macro_rules! m {{ () => {{ {sql} }} }}"));
        assert!(found.contains("(write it whole)") || found.contains("(write its name)"), "{sql}: {found:?}");
    }
}

#[test]
fn a_reader_below_the_owner_and_one_that_reads_no_longer_are_found() {
    let found = readers_below(SAMPLE, &[("locks", "config"), ("locks", "sync")]).join("\n");
    assert!(
        found.contains("`db` stands below `keys`") && found.contains("`config` stands below `keys`"),
        "{found}"
    );
    assert!(!found.contains("`sync`"), "{found}");
    let sources = [
        Source::read("src/sso/keyhole.rs", "fn f() { q(\"SELECT 1 FROM windows\"); }"),
        Source::read("src/db/mod.rs", "fn f() { q(\"SELECT 1 FROM locks\"); }"),
    ];
    let found = unused_readers(&sources, SAMPLE, &[("doors", "sync")]);
    assert_eq!(found.len(), 1, "the room `sync` is not there yet: {found:?}");
    assert!(found[0].contains("`sso::keyhole` no longer touches `doors`"), "{found:?}");
}

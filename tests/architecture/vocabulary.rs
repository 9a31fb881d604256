//! The words of the source as tests: a type name occurs once, and names are nouns (or a verb and its object).
//!
//! The lists below grow: a name that had to be explained in a review goes in.

use std::collections::BTreeMap;

use super::files::sources;
use super::report;
use super::sources::{Item, ItemKind, Source, Visibility};

/// Private types that may share their name: the shared half of a handle that is cloned.
const SHARED_PRIVATE_NAMES: &[&str] = &["Inner"];

/// Pronouns, prepositions, adverbs, bare adjectives and participles: no name of a type or constant.
const VAGUE_NAMES: &[&str] = &[
    "after",
    "again",
    "all",
    "alone",
    "answered",
    "any",
    "asked",
    "at",
    "at_once",
    "away",
    "back",
    "before",
    "bound",
    "by",
    "done",
    "due",
    "everything",
    "few",
    "fine",
    "for",
    "found",
    "free",
    "from",
    "given",
    "gone",
    "here",
    "how",
    "its",
    "kept",
    "known",
    "late",
    "lately",
    "later",
    "least",
    "left",
    "long",
    "longest",
    "loose",
    "lost",
    "made",
    "many",
    "more",
    "most",
    "named",
    "new",
    "next",
    "none",
    "nothing",
    "now",
    "of",
    "off",
    "old",
    "on",
    "once",
    "one",
    "open",
    "other",
    "our",
    "ours",
    "read",
    "ready",
    "refused",
    "rest",
    "same",
    "seen",
    "sent",
    "short",
    "shown",
    "shortest",
    "some",
    "somebody",
    "soon",
    "spent",
    "such",
    "taken",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "together",
    "told",
    "too_long",
    "too_many",
    "under",
    "until",
    "wanted",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "who",
    "why",
    "with",
    "within",
    "without",
    "written",
];

/// Nouns and verbs that name nothing alone: types that are called so say of what.
const BARE_NOUNS: &[&str] = &[
    "answer", "desk", "draft", "entry", "error", "fields", "kind", "lane", "line", "metrics", "outcome",
    "page", "part", "parts", "place", "plan", "progress", "row", "settings", "shape", "state", "status",
    "step", "value", "way", "work",
];

/// Verbs and prepositions that say nothing of their object: no name of a function outside an `impl`.
const BARE_VERBS: &[&str] = &[
    "add", "ask", "at", "begin", "change", "check", "clean", "close", "end", "find", "follow", "for", "from",
    "get", "give", "go", "hold", "in", "is", "judge", "keep", "know", "look", "make", "mark", "of", "on",
    "open", "put", "read", "set", "show", "start", "stop", "take", "tell", "to", "try", "turn", "with",
    "write",
];

/// Modules that had to be opened to learn what is inside.
const VAGUE_MODULES: &[&str] = &[
    "asked", "back", "desk", "follow", "lane", "later", "loose", "many", "shape", "sifted", "steer", "visit",
    "who", "work",
];

#[test]
fn a_type_name_occurs_once_in_the_crate() {
    report(&repeated_types(&sources()));
}

#[test]
fn public_names_are_nouns_and_functions_have_an_object() {
    report(&sources().iter().flat_map(vague_names).collect::<Vec<_>>());
}

#[test]
fn modules_are_named_after_what_is_inside() {
    let mut findings = Vec::new();
    for source in sources() {
        let inline = source.inline_modules.iter().map(|(module, line)| (module.clone(), *line));
        let own = source.module.last().map(|module| (module.clone(), 1));
        for (module, line) in own.into_iter().chain(inline) {
            if VAGUE_MODULES.contains(&module.as_str()) {
                findings.push(format!(
                    "{}:{line}: `mod {module}` is a riddle (name what is inside)",
                    source.name
                ));
            }
        }
    }
    report(&findings);
}

/// Types, each with all its places, that have the name of another type of the crate.
pub(crate) fn types_sharing_a_name(sources: &[Source]) -> BTreeMap<String, Vec<String>> {
    let mut places: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for source in sources {
        for item in types_of(source) {
            if !SHARED_PRIVATE_NAMES.contains(&item.name.as_str()) {
                places.entry(item.name.clone()).or_default().push(format!("{}:{}", source.name, item.line));
            }
        }
    }
    places.retain(|_, places| places.len() > 1);
    places
}

/// The types of a file that are not there for tests only.
pub(crate) fn types_of(source: &Source) -> impl Iterator<Item = &Item> {
    let production = !source.is_test_file();
    source.items.iter().filter(move |item| production && item.kind == ItemKind::Type && !item.in_test)
}

fn repeated_types(sources: &[Source]) -> Vec<String> {
    let finding = |(name, places): (String, Vec<String>)| {
        let (first, others) = places.split_first()?;
        Some(format!("{first}: `{name}` is also {} (say whose it is)", others.join(", ")))
    };
    types_sharing_a_name(sources).into_iter().filter_map(finding).collect()
}

fn vague_names(source: &Source) -> Vec<String> {
    if source.is_test_file() {
        return Vec::new();
    }
    let public = source.items.iter().filter(|item| !item.in_test && item.visibility != Visibility::Private);
    let vague = public.filter(|item| {
        let words = snake_case(&item.name);
        let words = words.as_str();
        match item.kind {
            ItemKind::Type => VAGUE_NAMES.contains(&words) || BARE_NOUNS.contains(&words),
            ItemKind::Constant | ItemKind::Function => {
                VAGUE_NAMES.contains(&words) || BARE_VERBS.contains(&words)
            }
        }
    });
    vague
        .map(|item| format!("{}:{}: `{}` is a riddle (say what it is)", source.name, item.line, item.name))
        .collect()
}

/// `SendWindow` and `SEND_WINDOW` as `send_window`.
fn snake_case(name: &str) -> String {
    if name.chars().any(char::is_lowercase) {
        let mut words = String::new();
        for (position, letter) in name.char_indices() {
            if letter.is_uppercase() && position > 0 {
                words.push('_');
            }
            words.extend(letter.to_lowercase());
        }
        words
    } else {
        name.to_lowercase()
    }
}

// --- the rules, tried on small sources ---------------------------------------------------------------------

#[test]
fn a_second_type_of_a_name_is_found_where_it_is_private_too() {
    let sources = [
        Source::read("src/gate/mod.rs", "pub struct Row; #[cfg(test)] mod tests { struct Key; }"),
        Source::read("src/sso/mod.rs", "mod inner { enum Row {} } struct Key; struct Inner;"),
        Source::read("src/sync/mod.rs", "struct Inner;"),
    ];
    assert_eq!(
        repeated_types(&sources),
        ["src/gate/mod.rs:1: `Row` is also src/sso/mod.rs:1 (say whose it is)"]
    );
}

#[test]
fn riddles_are_found_by_their_whole_name() {
    let text = "pub struct Now; pub(crate) const AT_ONCE: u8 = 1; pub fn of() {}\n\
                pub struct NowServing; fn of() {} pub fn read_file() {} impl S { pub fn read(&self) {} }";
    let found = vague_names(&Source::read("src/gate/mod.rs", text));
    assert_eq!(found.len(), 3, "{found:?}");
    assert!(found.iter().all(|finding| finding.starts_with("src/gate/mod.rs:1: ")), "{found:?}");
}

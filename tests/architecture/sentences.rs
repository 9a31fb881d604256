//! No decision is read out of a sentence: what is compared is a code, a word of an enum or a format that somebody else
//! defined.

use super::files::sources;
use super::report;
use super::sources::Source;

/// Texts of several words that are compared, each with the reason: a format of somebody else's that has no code. One
/// that is no longer compared must go.
const SENTENCES: &[(&str, &str, &str)] = &[
    ("src/doctor/store.rs", "no such table", "SQLite has a single code for every error in a statement"),
    ("src/wecom/error.rs", "from ip:", "WeCom names the refused address in its text only"),
];

#[test]
fn no_sentence_is_compared() {
    let sources = sources();
    let mut findings: Vec<String> = sources.iter().flat_map(sentence_findings).collect();
    for (name, text, _) in SENTENCES {
        let compared = |source: &Source| source.compared_texts.iter().any(|found| found.text == *text);
        if !sources.iter().any(|source| source.name == *name && compared(source)) {
            findings.push(format!("tests/architecture/sentences.rs: {name} no longer compares {text:?}"));
        }
    }
    report(&findings);
}

fn sentence_findings(source: &Source) -> Vec<String> {
    if source.is_test_file() || source.room == "simulator" {
        return Vec::new();
    }
    let compared = source.compared_texts.iter().filter(|compared| {
        !compared.in_test
            && is_sentence(&compared.text)
            && !SENTENCES.iter().any(|(name, text, _)| *name == source.name && *text == compared.text)
    });
    compared
        .map(|compared| {
            format!(
                "{}:{}: compares the sentence {:?} (give it a code or an enum)",
                source.name, compared.line, compared.text
            )
        })
        .collect()
}

/// Two words or more, or four Chinese characters.
fn is_sentence(text: &str) -> bool {
    let words = text.split_whitespace().filter(|word| {
        word.chars().filter(char::is_ascii_alphabetic).count() > 1
            && word.chars().all(|c| c.is_ascii_alphanumeric() || "'’.,:;!?-".contains(c))
    });
    words.count() > 1 || text.chars().filter(|c| ('\u{4e00}'..='\u{9fff}').contains(c)).count() > 3
}

// --- the rules, tried on small sources ---------------------------------------------------------------------

const WORDS: &str = "\nconst WORDS: &str = \"too many removals\";";

#[test]
fn a_sentence_is_found_however_it_is_compared() {
    for code in [
        "reason == \"too many removals\"",
        "\"too many removals\" != reason",
        "reason.starts_with(\"it would remove\")",
        "reason.contains(&\"was not sent\")",
        "first == Some(\"the run stopped\")",
        "match reason { \"held by hand\" => true, _ => false }",
        "matches!(reason, \"held by hand\" | \"other\")",
        "[\"held by hand\"].contains(&reason) || reason.eq(\"held by hand\")",
        "reason.ends_with(\"消息已经过期\")",
        "reason == WORDS",
        "reason.starts_with(super::WORDS)",
    ] {
        let found =
            sentence_findings(&Source::read("src/gate/a.rs", &format!("fn f() {{\n {code}; }}{WORDS}")));
        assert!(found.first().is_some_and(|found| found.starts_with("src/gate/a.rs:2: compares")), "{code}");
    }
}

#[test]
fn a_code_a_format_and_a_sentence_that_is_only_written_are_free() {
    for code in [
        "code == \"signin.code_used\"",
        "line.starts_with(\"data: \")",
        "status == \"未激活\"",
        "out.push_str(\"nothing was written\")",
        "text.contains(\"&amp; < >\")",
    ] {
        let found = sentence_findings(&Source::read("src/gate/a.rs", &format!("fn f() {{ {code}; }}")));
        assert!(found.is_empty(), "{found:?}");
    }
    let test = "#[cfg(test)] mod tests { fn f() { assert!(text.contains(\"was not written\")); } }";
    assert!(sentence_findings(&Source::read("src/gate/a.rs", test)).is_empty());
}

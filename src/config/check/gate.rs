//! Checks `[gate]` and `[[rules]]`.

use super::LayerReader;
use crate::base::url::is_plain_path;
use crate::config::layers::{ArrayTable, ConfigFindings};
use crate::config::model::{DefaultRule, GateConfig, GroupFormat, RuleText};
use crate::config::{suggestion, units};

pub(super) fn check_gate(r: &mut LayerReader<'_>) -> Option<GateConfig> {
    let groups = r.one_of("gate.groups", &[("paths", GroupFormat::Paths), ("ids", GroupFormat::Ids)]);
    let default = r.one_of("gate.default", &[("members", DefaultRule::Members), ("deny", DefaultRule::Deny)]);
    let stale_after = r.parsed("gate.stale_after", units::parse_duration);
    let recheck = r.parsed("gate.recheck", units::parse_positive_duration);
    let code_paths = check_code_paths(r);
    Some(GateConfig {
        groups: groups?,
        assertion: r.boolean("gate.assertion"),
        default: default?,
        stale_after: stale_after?,
        recheck: recheck?,
        code_paths: code_paths?,
    })
}

/// Checks the form of each path with [`is_code_path`]. The gate compares them.
fn check_code_paths(r: &mut LayerReader<'_>) -> Option<Vec<String>> {
    const KEY: &str = "gate.code_paths";
    let paths = r.list(KEY).to_vec();
    let bad = paths.iter().position(|path| !is_code_path(path));
    if let Some(index) = bad {
        let number = index.saturating_add(1);
        r.error(
            KEY,
            format_args!(
                "entry {number} must be a path of public_url's host as browsers write it, \"/gitlab/users/auth\": letters, \
                 digits and - . _ ~, no * and no %"
            ),
        );
        return None;
    }
    if paths.iter().any(|path| path == "/" || path == "/**") {
        r.warn(
            KEY,
            "\"/\" lets codes of WeCom through everywhere: every application on this host can collect them",
        );
    }
    Some(paths)
}

/// Returns whether it is a plain path, also with `/` or `/**` at its end.
fn is_code_path(text: &str) -> bool {
    let path = text.strip_suffix("/**").or_else(|| text.strip_suffix('/')).unwrap_or(text);
    text.starts_with('/') && (path.is_empty() || is_plain_path(path))
}

/// The elements of `allow` that are whole words.
const ALLOW_WORDS: [&str; 2] = ["members", "anyone"];

/// The beginnings of the other elements; a name follows.
const ALLOW_PREFIXES: [&str; 4] = ["user:", "unit:", "tag:", "leader:"];

/// Checks only the form. The gate compiles hosts, globs and elements.
pub(super) fn check_rules(r: &mut LayerReader<'_>) -> Option<Vec<RuleText>> {
    let read: Vec<_> = r.layers.rules.iter().map(|item| check_rule(item, r.findings)).collect();
    read.into_iter().collect()
}

fn check_rule(item: &ArrayTable, findings: &mut ConfigFindings) -> Option<RuleText> {
    // Only errors of this rule decide whether it is kept.
    let before = findings.errors.len();
    let mut wrong =
        |field: &str, message: &str| findings.error(&item.key(field), item.origin(field), message);
    let (host, path) = (item.text("host"), item.text("path"));
    if host.is_empty() {
        wrong("host", "must be a host, \"finance.example.com\" or \"*.example.com\"");
    } else if host.contains("://") || host.contains('/') {
        wrong("host", "must be a host without scheme and path");
    }
    if !path.is_empty() && !path.starts_with('/') {
        wrong("path", "must begin with \"/\"; leave it out for every path");
    }
    let methods = item.list("methods").map_or_else(|| vec!["*".to_owned()], <[String]>::to_vec);
    let token =
        |m: &String| m == "*" || (!m.is_empty() && m.bytes().all(|b| b.is_ascii_uppercase() || b == b'-'));
    if methods.is_empty() || !methods.iter().all(token) {
        wrong("methods", "must be [\"*\"] or methods in capitals, [\"GET\", \"HEAD\"]");
    }
    let Some(allow) = item.list("allow") else {
        wrong("allow", "is missing: who may pass, [\"members\"]; an empty list lets nobody pass");
        return None;
    };
    for element in allow {
        check_element(item, element, findings);
    }
    (findings.errors.len() == before).then(|| RuleText {
        host: host.to_owned(),
        path: path.to_owned(),
        case_sensitive: item.flag("case_sensitive"),
        methods,
        allow: allow.to_vec(),
    })
}

/// Warns of an element that matches nobody. It is no error, because a later version may know it.
fn check_element(item: &ArrayTable, element: &str, findings: &mut ConfigFindings) {
    let (place, key) = (item.origin("allow"), item.key("allow"));
    if ALLOW_WORDS.contains(&element) {
        return;
    }
    match ALLOW_PREFIXES.iter().find_map(|prefix| element.strip_prefix(prefix)) {
        Some(name) if !name.trim().is_empty() => {}
        Some(_) => findings.warn(&key, format!("\"{element}\" names nothing and matches nobody ({place})")),
        None => {
            let hint = suggestion::suggest_nearest(
                "element",
                element,
                ALLOW_WORDS.into_iter().chain(ALLOW_PREFIXES),
            );
            findings.warn(&key, format!("\"{element}\" is unknown and matches nobody ({place}){hint}"));
        }
    }
}

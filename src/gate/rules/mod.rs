//! `[[rules]]`: who may open what.
//!
//! The first rule that matches by host, path and method decides, and no later one is read. A host
//! that has rules denies what none of them matches; a host without rules follows `gate.default`.
//! What is not understood (an unknown method, an element of `allow` from a later version) never
//! widens access. Units, tags and leaders are resolved for each version of the chart
//! ([`ResolvedRules`]); userids are compared at each check, through their bindings.
//! [`decide_access()`] is pure: the gate, the denied page and `gongpai explain` all call it.
//!
//! | file | what it has |
//! |---|---|
//! | `host_pattern` | the `host` of a rule |
//! | `allow` | whom a rule allows, and who that is in the current chart |
//! | `decide` | the decision about one request |
//! | `warnings` | rules that are valid but surely not meant as written |

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;

use crate::base::host::{Hosts, Origin};
use crate::config::{DefaultRule, GateConfig, RuleText};
use crate::directory::bindings::RuleBindings;
use crate::directory::chart::{Chart, ReferenceError};
use crate::session::SessionPerson;

mod allow;
mod decide;
mod host_pattern;
mod warnings;

pub(crate) use allow::{Grant, GrantBasis};
pub(crate) use decide::{AccessRequest, Decision, ReadingReport, decide_access, report_readings};

use allow::{AllowList, ResolvedSubjects};
use decide::RuleMatch;
use host_pattern::HostPattern;

use super::glob::{self, Glob};
use super::path;

/// The compiled rules of an installation. A decision looks only at those of the request's host.
#[derive(Debug, Clone)]
pub struct AccessRules {
    /// Every rule, in order.
    all: Vec<Arc<AccessRule>>,
    /// The rules of each host that some rule names, including wildcard rules that cover it.
    by_host: HashMap<String, HostRules>,
    /// The rules of each wildcard `*.x.com`, by `x.com`: every wildcard rule that covers all hosts
    /// below it.
    by_wildcard: HashMap<String, HostRules>,
    default: DefaultRule,
}

/// The rules of one host, in order.
#[derive(Debug, Clone)]
struct HostRules {
    entries: Box<[HostRuleEntry]>,
    /// Whether folding a path that has no capitals can still matter, because some pattern has
    /// capitals.
    has_folded_patterns: bool,
    /// Whether every rule distinguishes letter case. Then there are no folded readings.
    is_case_sensitive: bool,
}

/// A rule in the list of a host, with the values that rule out most requests.
///
/// The list is one piece of memory. A check reads it, and follows the pointer only for rules that
/// may match.
#[derive(Debug, Clone)]
struct HostRuleEntry {
    /// The [`fingerprint`] that the first segment of the path must have; `None` if it may be any.
    first: Option<u32>,
    /// The same for folded paths.
    folded_first: Option<u32>,
    /// A copy of [`AccessRule::case_sensitive`].
    case_sensitive: bool,
    /// A copy of [`HostPattern::port`].
    port: Option<u16>,
    rule: Arc<AccessRule>,
}

impl HostRuleEntry {
    fn new(rule: &Arc<AccessRule>) -> Self {
        Self {
            first: rule.path.literal_first_segment().map(fingerprint),
            folded_first: rule.folded_path.literal_first_segment().map(fingerprint),
            case_sensitive: rule.case_sensitive,
            port: rule.host.port,
            rule: Arc::clone(rule),
        }
    }
}

impl HostRules {
    /// Selects the rules whose host pattern is accepted by `covers`.
    fn from_rules(rules: &[Arc<AccessRule>], covers: impl Fn(&HostPattern) -> bool) -> Self {
        let own = || rules.iter().filter(|rule| covers(&rule.host));
        Self {
            entries: own().map(HostRuleEntry::new).collect(),
            has_folded_patterns: own().any(|rule| !rule.case_sensitive && rule.folded_path != rule.path),
            is_case_sensitive: own().all(|rule| rule.case_sensitive),
        }
    }

    /// Returns `path` folded to lower case; `None` if no rule could decide differently for it.
    fn fold<'p>(&self, path: &'p [u8]) -> Option<Cow<'p, [u8]>> {
        if self.is_case_sensitive {
            return None;
        }
        let folded = path::fold_case(path);
        let differs = match &folded {
            Cow::Borrowed(_) => false,
            Cow::Owned(folded) => **folded != *path,
        };
        (differs || self.has_folded_patterns).then_some(folded)
    }

    /// Finds the first rule for one reading of a path, as it is written and, for a folded reading,
    /// folded.
    fn find_match(
        &self,
        origin: &Origin,
        path: &[u8],
        folded: Option<&[u8]>,
        method: Option<&str>,
    ) -> RuleMatch<'_> {
        let first_segment = fingerprint(glob::first_segment(path));
        let folded = folded.map(|folded| (folded, fingerprint(glob::first_segment(folded))));
        for HostRuleEntry { first, folded_first, case_sensitive, port, rule } in &self.entries {
            if port.is_some_and(|port| port != origin.port()) {
                continue;
            }
            let matches = match folded {
                // A case-sensitive rule sees the path as it is written, in the folded reading too.
                Some((folded, first_segment)) if !case_sensitive => {
                    folded_first.is_none_or(|first| first == first_segment)
                        && rule.folded_path.matches(folded)
                }
                _ => first.is_none_or(|first| first == first_segment) && rule.path.matches(path),
            };
            // The list belongs to this host already. A mistake there must still not let a rule
            // decide for another host.
            if !matches || !rule.host.covers(origin.host()) {
                continue;
            }
            match (&rule.methods, method) {
                (None, _) => return RuleMatch::Rule(rule),
                // An unknown method must not slip past a rule for certain methods to a later rule.
                (Some(_), None) => return RuleMatch::MethodUnknown(rule),
                (Some(methods), Some(method)) => {
                    if methods.iter().any(|m| m.eq_ignore_ascii_case(method)) {
                        return RuleMatch::Rule(rule);
                    }
                }
            }
        }
        RuleMatch::Nothing
    }
}

/// Computes FNV-1a: equal for equal texts, and nearly always different for different ones.
fn fingerprint(text: &[u8]) -> u32 {
    text.iter().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// One compiled rule.
#[derive(Debug, Clone)]
pub(crate) struct AccessRule {
    number: usize,
    text: String,
    host: HostPattern,
    written_path: String,
    path: Glob,
    /// The pattern for paths that are folded to lower case. Not used if `case_sensitive` is set.
    folded_path: Glob,
    case_sensitive: bool,
    /// `None` means every method.
    methods: Option<Vec<String>>,
    allow: AllowList,
}

impl AccessRule {
    /// Returns its place in the configuration; the first rule is 1.
    pub(crate) const fn number(&self) -> usize {
        self.number
    }

    fn compile(text: &RuleText, number: usize, warnings: &mut Vec<String>) -> Result<Self, String> {
        let host = HostPattern::compile(&text.host)?;
        let path = Glob::compile(&text.path)?;
        let methods = parse_methods(&text.methods)?;
        let mut allow = AllowList::default();
        for element in &text.allow {
            if let Some(surprise) = allow.add_element(element) {
                warnings.push(format!("rules: rule {number}: `{element}` matches nobody: {surprise}"));
            }
        }
        let written_path = if text.path.is_empty() { "/**" } else { &text.path };
        let shown_case = if text.case_sensitive { " case_sensitive" } else { "" };
        let shown_methods = methods.as_ref().map_or_else(|| "*".to_owned(), |m| m.join(","));
        let allowed = &text.allow;
        let shown = format!("{host} {written_path}{shown_case} [{shown_methods}] allow {allowed:?}");
        let (folded_path, case_sensitive) = (path.folded(), text.case_sensitive);
        let written_path = written_path.to_owned();
        Ok(Self {
            number,
            text: shown,
            host,
            written_path,
            path,
            folded_path,
            case_sensitive,
            methods,
            allow,
        })
    }
}

impl fmt::Display for AccessRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn parse_methods(written: &[String]) -> Result<Option<Vec<String>>, String> {
    if written.is_empty() {
        return Err("methods is empty; [\"*\"] means every method".to_owned());
    }
    if written.iter().any(|m| m == "*") {
        return Ok(None);
    }
    let token =
        |m: &String| !m.is_empty() && m.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if let Some(bad) = written.iter().find(|m| !token(m)) {
        return Err(format!("`{bad}` is not a method"));
    }
    Ok(Some(written.iter().map(|m| m.to_ascii_uppercase()).collect::<BTreeSet<_>>().into_iter().collect()))
}

impl AccessRules {
    /// Compiles the rules as written. The warnings name rules that are valid but surely not meant
    /// as written.
    ///
    /// # Errors
    /// One sentence for every rule that cannot be understood.
    pub fn compile(
        texts: &[RuleText],
        gate: &GateConfig,
        hosts: &Hosts,
    ) -> Result<(Self, Vec<String>), Vec<String>> {
        let mut rules: Vec<Arc<AccessRule>> = Vec::with_capacity(texts.len());
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        // All rules are compiled before errors are returned, so that all of them are told at once.
        for (text, number) in texts.iter().zip(1..) {
            match AccessRule::compile(text, number, &mut warnings) {
                Ok(rule) => {
                    if let Some(reason) = warnings::explain_unreachable(&rule, &rules, hosts) {
                        warnings.push(format!("rules: rule {number} ({rule}): {reason}"));
                    }
                    rules.push(Arc::new(rule));
                }
                Err(why) => errors.push(format!("rules: rule {number} ({}): {why}", text.host)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        warnings.extend(warnings::warn_of_second_names(&rules));
        let (mut by_host, mut by_wildcard) = (HashMap::new(), HashMap::new());
        for rule in &rules {
            let host = &rule.host.host;
            if rule.host.wildcard {
                let list = || HostRules::from_rules(&rules, |pattern| pattern.covers_all_below(host));
                by_wildcard.entry(host.clone()).or_insert_with(list);
            } else {
                by_host
                    .entry(host.clone())
                    .or_insert_with(|| HostRules::from_rules(&rules, |pattern| pattern.covers(host)));
            }
        }
        Ok((Self { all: rules, by_host, by_wildcard, default: gate.default }, warnings))
    }

    /// Returns the rules that cover `host` on some port.
    fn rules_for_host(&self, host: &str) -> Option<&HostRules> {
        if let Some(rules) = self.by_host.get(host) {
            return Some(rules);
        }
        if self.by_wildcard.is_empty() {
            return None;
        }
        // The list of the nearest wildcard also has the wider wildcards, so the first hit is
        // complete.
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(rules) = self.by_wildcard.get(parent) {
                return Some(rules);
            }
            rest = parent;
        }
        None
    }

    /// Returns the rules of the host if one of them covers the port; `None` for a host without
    /// rules.
    fn rules_for_origin(&self, origin: &Origin) -> Option<&HostRules> {
        let rules = self.rules_for_host(origin.host())?;
        let covers = |entry: &HostRuleEntry| entry.port.is_none_or(|port| port == origin.port());
        rules.entries.iter().any(covers).then_some(rules)
    }
}

/// Rules resolved against one chart: units by path, tags by name, userids by the persons they are
/// bound to.
#[derive(Debug)]
pub struct ResolvedRules {
    rules: Arc<AccessRules>,
    chart: Arc<Chart>,
    bindings: Arc<RuleBindings>,
    /// One entry for each rule, in the order of the rules.
    subjects: Vec<ResolvedSubjects>,
}

impl ResolvedRules {
    /// Resolves the rules against the chart.
    pub fn new(rules: Arc<AccessRules>, chart: Arc<Chart>, bindings: Arc<RuleBindings>) -> Self {
        let subjects = rules.all.iter().map(|rule| rule.allow.resolve_subjects(&chart)).collect();
        Self { rules, chart, bindings, subjects }
    }

    /// Returns whether it was built from exactly this chart and these bindings.
    pub fn is_built_from(&self, chart: &Arc<Chart>, bindings: &Arc<RuleBindings>) -> bool {
        Arc::ptr_eq(&self.chart, chart) && Arc::ptr_eq(&self.bindings, bindings)
    }

    pub fn chart(&self) -> &Chart {
        &self.chart
    }

    /// Returns one sentence for every element that matches nobody in this chart.
    pub fn unmatched_elements(&self) -> Vec<String> {
        let of_rule = |(rule, subjects): (&Arc<AccessRule>, &ResolvedSubjects)| -> Vec<String> {
            let sentence = |(element, why): (&str, &ReferenceError)| {
                format!("rule {}: `{element}` matches nobody: {why}", rule.number)
            };
            rule.allow.unmatched_elements(subjects).map(sentence).collect()
        };
        self.rules.all.iter().zip(&self.subjects).flat_map(of_rule).collect()
    }

    fn grant<'r>(&'r self, rule: Option<&'r AccessRule>, person: &'r SessionPerson) -> Option<Grant<'r>> {
        // Without a rule this is the default of hosts without rules: any active member.
        let Some(rule) = rule else {
            return Some(Grant { element: "members", basis: GrantBasis::Member });
        };
        let subjects = self.subjects.get(rule.number.checked_sub(1)?)?;
        rule.allow.grant(subjects, &self.bindings, person)
    }
}

#[cfg(test)]
mod tests;

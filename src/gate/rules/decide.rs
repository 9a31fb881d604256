//! Decides about one request: each reading of the path finds its rule, and all decisions must
//! agree.

use std::fmt;

use crate::base::host::Origin;
use crate::config::DefaultRule;
use crate::session::SessionPerson;

use super::super::path::{self, BadRequestTarget};
use super::super::readings::{PathReading, PathReadings, UnreadablePath};
use super::allow::{AllowList, Grant};
use super::{AccessRule, HostRules, ResolvedRules};

/// One request to an application.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AccessRequest<'a> {
    /// Scheme, host and port to which the browser sent it.
    pub origin: &'a Origin,
    /// Path and query as they stand in the request line.
    pub target: &'a str,
    /// `None` if the proxy does not tell the method. Then only rules for all methods can allow.
    pub method: Option<&'a str>,
}

/// The decision about a request. `rule` is the one that decided; `None` if `gate.default` decided
/// or no rule matched.
#[derive(Debug, Clone)]
pub(crate) enum Decision<'r> {
    /// Let it through.
    Allow {
        rule: Option<&'r AccessRule>,
        /// Why the person is allowed; `None` if anybody is, signed in or not.
        grant: Option<Grant<'r>>,
        /// Whether a `user:` element names the person's userid and is not bound yet. The caller
        /// binds it.
        is_first_match: bool,
    },
    /// It depends on the person, and nobody is signed in.
    SignIn { rule: Option<&'r AccessRule> },
    /// Denies this person, or everybody.
    Deny { rule: Option<&'r AccessRule>, reason: DenyReason },
}

/// The reasons why a request is denied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DenyReason {
    /// The rule's `allow` does not name the person.
    #[error("the rule does not name this person")]
    NotNamed,
    /// The rule names the userid but means an earlier holder of it.
    #[error(
        "the rule names this userid and means the person who had it before; an administrator decides: \
         gongpai rules accept"
    )]
    EarlierHolder,
    /// The host has rules and none of them matches path and method.
    #[error("the host has rules, and none matches this path and method")]
    NoMatch,
    /// The host has no rules and `gate.default` is `deny`.
    #[error("the host has no rules and gate.default is \"deny\"")]
    Default,
    /// The person is not active in the directory.
    #[error("the person is not active")]
    Inactive,
    /// The method is unknown and the first rule that could match is for certain methods only.
    #[error("the method is unknown, and the rule is for certain methods only")]
    MethodUnknown,
    /// The readings of the path are not all decided alike.
    #[error("{0}")]
    OtherReading(Box<ReadingConflict>),
    /// The path has no readings that could be decided one by one.
    #[error("{0}")]
    Unreadable(#[from] UnreadablePath),
    /// The request target is not a path.
    #[error("{0}")]
    BadTarget(#[from] BadRequestTarget),
}

/// Two readings of one path that are decided differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadingConflict {
    pub canonical: ReadingReport,
    /// The first one that is decided differently.
    pub other: ReadingReport,
}

impl fmt::Display for ReadingConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { canonical, other } = self;
        write!(f, "an application may read the path in another way, decided otherwise: {canonical}; {other}")
    }
}

/// One reading of a path and the decision about it, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReadingReport {
    /// The path of this reading.
    pub path: String,
    /// What was done to the path as it was sent.
    pub changes: String,
    /// `allowed`, `sign-in required`, `denied`.
    pub outcome: &'static str,
    /// The number of the rule that decides; `None` if no rule matches.
    pub rule: Option<usize>,
}

impl ReadingReport {
    fn new(decided: &ReadingDecision<'_, '_, '_>) -> Self {
        let ReadingDecision { reading, folded, decision } = decided;
        let path = match folded {
            true => path::fold_case(reading.path()),
            false => reading.path().into(),
        };
        let folding = if *folded { ", in lower case" } else { "" };
        let (outcome, rule) = match decision {
            Decision::Allow { rule, .. } => ("allowed", rule),
            Decision::SignIn { rule } => ("sign-in required", rule),
            Decision::Deny { rule, .. } => ("denied", rule),
        };
        Self {
            path: path::to_printable(&path),
            changes: format!("{}{folding}", reading.changes()),
            outcome,
            rule: rule.map(AccessRule::number),
        }
    }
}

impl fmt::Display for ReadingReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}) {}", self.path, self.changes, self.outcome)?;
        match self.rule {
            Some(number) => write!(f, " by rule {number}"),
            None => f.write_str(", no rule"),
        }
    }
}

/// The rule that one reading of a path matches.
#[derive(Clone, Copy)]
pub(super) enum RuleMatch<'r> {
    HostWithoutRules,
    Nothing,
    MethodUnknown(&'r AccessRule),
    Rule(&'r AccessRule),
}

impl<'r> Decision<'r> {
    const fn deny(reason: DenyReason) -> Self {
        Self::Deny { rule: None, reason }
    }

    /// Merges another reading's decision and returns whether it agrees. Two rules that both allow
    /// agree, whoever they name.
    fn agrees(&mut self, other: &Self) -> bool {
        match (self, other) {
            (Self::Allow { is_first_match: first, .. }, Self::Allow { is_first_match: also, .. }) => {
                // The person passes because of both rules, so a first match in either of them
                // counts.
                *first |= also;
                true
            }
            (Self::SignIn { .. }, Self::SignIn { .. }) | (Self::Deny { .. }, Self::Deny { .. }) => true,
            _ => false,
        }
    }
}

/// One reading and the decision about it.
struct ReadingDecision<'r, 'p, 't> {
    reading: &'p PathReading<'t>,
    folded: bool,
    decision: Decision<'r>,
}

/// Decides whether `person` (`None` if nobody is signed in) may send `request`.
pub(crate) fn decide_access<'r>(
    resolved: &'r ResolvedRules,
    request: &AccessRequest<'_>,
    person: Option<&'r SessionPerson>,
) -> Decision<'r> {
    let path = match path::path_of_target(request.target) {
        Ok(path) => path,
        Err(why) => return Decision::deny(why.into()),
    };
    let Some(rules) = resolved.rules.rules_for_origin(request.origin) else {
        // Without rules the path does not matter, so no reading is made.
        return resolved.decide_for_match(RuleMatch::HostWithoutRules, person);
    };
    let readings = match PathReadings::from_path(path) {
        Ok(readings) => readings,
        Err(why) => return Decision::deny(why.into()),
    };
    let mut all = decide_readings(resolved, rules, &readings, request, person);
    // There is always a canonical reading. Without one, nothing may pass.
    let Some(mut canonical) = all.next() else { return Decision::deny(DenyReason::NoMatch) };
    for other in all {
        if !canonical.decision.agrees(&other.decision) {
            let (canonical, other) = (ReadingReport::new(&canonical), ReadingReport::new(&other));
            let differ = Box::new(ReadingConflict { canonical, other });
            return Decision::deny(DenyReason::OtherReading(differ));
        }
    }
    canonical.decision
}

/// Returns each reading of the request's path with the decision about it alone. Empty on a host
/// without rules, and for a path that cannot be read.
pub(crate) fn report_readings(
    resolved: &ResolvedRules,
    request: &AccessRequest<'_>,
    person: Option<&SessionPerson>,
) -> Vec<ReadingReport> {
    let Some(rules) = resolved.rules.rules_for_origin(request.origin) else { return Vec::new() };
    let Ok(path) = path::path_of_target(request.target) else { return Vec::new() };
    let Ok(readings) = PathReadings::from_path(path) else { return Vec::new() };
    decide_readings(resolved, rules, &readings, request, person)
        .map(|decided| ReadingReport::new(&decided))
        .collect()
}

/// Decides each reading by itself, as it is written and, if letter case may matter, folded.
fn decide_readings<'r, 'p, 't>(
    resolved: &'r ResolvedRules,
    rules: &'r HostRules,
    readings: &'p PathReadings<'t>,
    request: &AccessRequest<'_>,
    person: Option<&'r SessionPerson>,
) -> impl Iterator<Item = ReadingDecision<'r, 'p, 't>> {
    let AccessRequest { origin, method, .. } = *request;
    readings.iter().flat_map(move |reading| {
        let path = reading.path();
        let decision = |folded: Option<&[u8]>| {
            resolved.decide_for_match(rules.find_match(origin, path, folded, method), person)
        };
        let written = ReadingDecision { reading, folded: false, decision: decision(None) };
        let folded = rules.fold(path);
        let folded =
            folded.map(|path| ReadingDecision { reading, folded: true, decision: decision(Some(&path)) });
        std::iter::once(written).chain(folded)
    })
}

impl ResolvedRules {
    /// Decides about `person` by the rule that a reading matched.
    fn decide_for_match<'r>(
        &'r self,
        matched: RuleMatch<'r>,
        person: Option<&'r SessionPerson>,
    ) -> Decision<'r> {
        let (rule, allow) = match matched {
            RuleMatch::Rule(rule) => (Some(rule), &rule.allow),
            RuleMatch::MethodUnknown(rule) => {
                return Decision::Deny { rule: Some(rule), reason: DenyReason::MethodUnknown };
            }
            RuleMatch::Nothing => return Decision::deny(DenyReason::NoMatch),
            RuleMatch::HostWithoutRules if self.rules.default == DefaultRule::Members => {
                (None, &AllowList::MEMBERS)
            }
            RuleMatch::HostWithoutRules => return Decision::deny(DenyReason::Default),
        };
        match person {
            Some(person) if !person.active => Decision::Deny { rule, reason: DenyReason::Inactive },
            _ if allow.anyone => Decision::Allow { rule, grant: None, is_first_match: false },
            None => Decision::SignIn { rule },
            Some(person) => match self.grant(rule, person) {
                Some(grant) => {
                    let first = allow.is_first_match(&self.bindings, person);
                    Decision::Allow { rule, grant: Some(grant), is_first_match: first }
                }
                None if allow.names_an_earlier_holder(&self.bindings, person) => {
                    Decision::Deny { rule, reason: DenyReason::EarlierHolder }
                }
                None => Decision::Deny { rule, reason: DenyReason::NotNamed },
            },
        }
    }
}

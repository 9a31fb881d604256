//! `[[rules]]`: who may open what.
//!
//! The first rule that matches by host, path and method decides, and no later one is read. A host that has
//! rules denies what none of them matches; a host without rules has `gate.default`. Whatever is not understood
//! (an ambiguous path, an unknown method, an element of `allow` from a later version) never widens access.
//! What units, tags and userids mean is worked out for each version of the chart ([`InForce`]).
//! [`decide`] is pure: the gate, the denied page and `gongpai explain` all ask it.

use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use crate::base::host::{Hosts, Origin, Scheme};
use crate::config::{DefaultRule, Gate, RuleText};
use crate::directory::bindings::Bindings;
use crate::directory::chart::{Chart, Unfound};
use crate::session::Person;

mod allow;

pub use allow::{Grant, Through};

use allow::{Allow, Holders};

use super::glob::{self, Glob};
use super::path::{Ambiguous, CanonicalPath};

/// The rules of an installation, compiled: deciding looks only at those of the request's host.
#[derive(Debug, Clone)]
pub struct Rules {
    /// Every rule, in order.
    all: Vec<Arc<Rule>>,
    /// For a host that some rule names, every rule that can match it, wildcards included, in order.
    named: HashMap<String, Box<[Entry]>>,
    /// For `*.x.com`, by `x.com`: every wildcard rule that can match a host below it, in order.
    below: HashMap<String, Box<[Entry]>>,
    default: DefaultRule,
}

/// A rule in the list of a host, with what most requests are sorted out by: so a check reads the list, which is one
/// piece of memory, and of the rules, which are not, only those that may match.
#[derive(Debug, Clone)]
struct Entry {
    /// [`fingerprint`] of what the first segment of the path must be; `None`: it may be any.
    first: Option<u32>,
    /// As [`HostPattern::port`].
    port: Option<u16>,
    rule: Arc<Rule>,
}

impl Entry {
    fn new(rule: &Arc<Rule>) -> Self {
        Self { first: rule.path.first().map(fingerprint), port: rule.host.port, rule: Arc::clone(rule) }
    }
}

/// FNV-1a: equal for equal texts, and nearly always different for different ones.
fn fingerprint(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

/// One compiled rule.
#[derive(Debug, Clone)]
pub struct Rule {
    number: usize,
    text: String,
    host: HostPattern,
    path: Glob,
    /// `None`: every method.
    methods: Option<Vec<String>>,
    allow: Allow,
}

#[derive(Debug, Clone)]
struct HostPattern {
    /// Normalised, without port; for a wildcard what stands below the star.
    host: String,
    wildcard: bool,
    port: Option<u16>,
}

/// What is asked: one request to an application.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// Where the browser sent it.
    pub origin: &'a Origin,
    /// Path and query as they stood in the request line.
    pub target: &'a str,
    /// `None` where the proxy does not say: then only rules for all methods can allow.
    pub method: Option<&'a str>,
}

/// What holds for a request. `rule` is the one that decided; `None`: `gate.default`, or no rule was reached.
#[derive(Debug, Clone, Copy)]
pub enum Decision<'r> {
    /// Let it through.
    Allow {
        /// The rule that decided.
        rule: Option<&'r Rule>,
        /// What allows the person; `None`: anybody may, signed in or not.
        by: Option<Grant<'r>>,
        /// Whether the rule names the person's userid and nobody was matched by that before: it is to be bound.
        first: bool,
    },
    /// It depends on who it is, and nobody is signed in.
    SignIn {
        /// The rule that decided.
        rule: Option<&'r Rule>,
    },
    /// Not this person, or nobody.
    Deny {
        /// The rule that decided.
        rule: Option<&'r Rule>,
        /// Why.
        reason: DenyReason,
    },
}

/// Why a request is denied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DenyReason {
    /// The rule's `allow` does not name the person.
    #[error("the rule does not name this person")]
    NotNamed,
    /// It names the userid, and means somebody who had it before.
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
    /// Read without its `;parameters`, or with its dot segments as names, the path falls under another rule.
    #[error(
        "read without its ;parameters or with its dot segments as names, the path falls under another rule"
    )]
    OtherReading,
    /// The path has more than one reading.
    #[error("{0}")]
    Ambiguous(#[from] Ambiguous),
}

impl Rule {
    /// Its place in the configuration, the first is 1.
    pub const fn number(&self) -> usize {
        self.number
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The rule reached by one reading of a path.
#[derive(Clone, Copy)]
enum Reached<'r> {
    HostWithoutRules,
    Nothing,
    MethodUnknown(&'r Rule),
    Rule(&'r Rule),
}

impl Reached<'_> {
    fn same(self, other: Self) -> bool {
        match (self, other) {
            (Self::HostWithoutRules, Self::HostWithoutRules) | (Self::Nothing, Self::Nothing) => true,
            (Self::Rule(a), Self::Rule(b)) | (Self::MethodUnknown(a), Self::MethodUnknown(b)) => {
                a.number == b.number
            }
            _ => false,
        }
    }
}

impl Rules {
    /// Compiles the rules as written. With the rules come warnings: what is accepted and yet surely not meant.
    ///
    /// # Errors
    /// One sentence for every rule that cannot be understood.
    pub fn compile(
        texts: &[RuleText],
        gate: &Gate,
        hosts: &Hosts,
    ) -> Result<(Self, Vec<String>), Vec<String>> {
        let mut rules: Vec<Arc<Rule>> = Vec::with_capacity(texts.len());
        let (mut warnings, mut errors) = (Vec::new(), Vec::new());
        for (text, number) in texts.iter().zip(1..) {
            match Rule::compile(text, number, &mut warnings) {
                Ok(rule) => {
                    if let Some(reason) = rule.unreachable(&rules, hosts) {
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
        let (mut named, mut below) = (HashMap::new(), HashMap::new());
        for rule in &rules {
            let host = &rule.host.host;
            let of_host =
                |r: &&Arc<Rule>| r.host.covers(host) || (rule.host.wildcard && r.host.is_same_wildcard(host));
            let list: Box<[Entry]> = rules.iter().filter(of_host).map(Entry::new).collect();
            let map = if rule.host.wildcard { &mut below } else { &mut named };
            map.insert(host.clone(), list);
        }
        Ok((Self { all: rules, named, below, default: gate.default }, warnings))
    }

    /// Every rule that can match some port of `host`, in order.
    fn of_host(&self, host: &str) -> &[Entry] {
        if let Some(rules) = self.named.get(host) {
            return rules;
        }
        if self.below.is_empty() {
            return &[];
        }
        let mut rest = host;
        while let Some((_, parent)) = rest.split_once('.') {
            if let Some(rules) = self.below.get(parent) {
                return rules;
            }
            rest = parent;
        }
        &[]
    }

    fn reach(&self, origin: &Origin, path: &str, method: Option<&str>) -> Reached<'_> {
        let mut reached = Reached::HostWithoutRules;
        let first_segment = fingerprint(glob::first_of(path));
        for Entry { first, port, rule } in self.of_host(origin.host()) {
            if port.is_some_and(|port| port != origin.port()) {
                continue;
            }
            reached = Reached::Nothing;
            if first.is_some_and(|first| first != first_segment) || !rule.path.matches(path) {
                continue;
            }
            match (&rule.methods, method) {
                (None, _) => return Reached::Rule(rule),
                (Some(_), None) => return Reached::MethodUnknown(rule),
                (Some(methods), Some(method)) => {
                    if methods.iter().any(|m| m.eq_ignore_ascii_case(method)) {
                        return Reached::Rule(rule);
                    }
                }
            }
        }
        reached
    }
}

/// Rules with what they mean in one chart: units by path, tags by name, whose the userids are.
#[derive(Debug)]
pub struct InForce {
    rules: Arc<Rules>,
    chart: Arc<Chart>,
    bindings: Arc<Bindings>,
    /// By the rule's number, the first is 1.
    holders: Vec<Holders>,
}

impl InForce {
    /// Works out what the rules mean in this chart.
    pub fn new(rules: Arc<Rules>, chart: Arc<Chart>, bindings: Arc<Bindings>) -> Self {
        let holders = rules.all.iter().map(|rule| rule.allow.holders(&chart)).collect();
        Self { rules, chart, bindings, holders }
    }

    /// Whether it is made of just these.
    pub fn is_of(&self, rules: &Arc<Rules>, chart: &Arc<Chart>, bindings: &Arc<Bindings>) -> bool {
        Arc::ptr_eq(&self.rules, rules)
            && Arc::ptr_eq(&self.chart, chart)
            && Arc::ptr_eq(&self.bindings, bindings)
    }

    /// The chart.
    pub fn chart(&self) -> &Chart {
        &self.chart
    }

    /// One sentence for every element that means nobody in this chart.
    pub fn unfound(&self) -> Vec<String> {
        let of_rule = |(rule, holders): (&Arc<Rule>, &Holders)| -> Vec<String> {
            let sentence = |(element, why): (&str, &Unfound)| {
                format!("rule {}: `{element}` matches nobody: {why}", rule.number)
            };
            rule.allow.unfound(holders).map(sentence).collect()
        };
        self.rules.all.iter().zip(&self.holders).flat_map(of_rule).collect()
    }

    fn grant<'r>(&'r self, rule: Option<&'r Rule>, person: &'r Person) -> Option<Grant<'r>> {
        let Some(rule) = rule else {
            return Some(Grant { element: "members", through: Through::Member });
        };
        let holders = self.holders.get(rule.number.checked_sub(1)?)?;
        rule.allow.grant(holders, &self.bindings, person)
    }
}

/// Decides whether `who` (`None`: nobody is signed in) may send `request`.
pub fn decide<'r>(in_force: &'r InForce, request: &Request<'_>, who: Option<&'r Person>) -> Decision<'r> {
    let rules = &*in_force.rules;
    let path = match CanonicalPath::of_target(request.target) {
        Ok(path) => path,
        Err(ambiguous) => return Decision::Deny { rule: None, reason: ambiguous.into() },
    };
    let reached = rules.reach(request.origin, path.main(), request.method);
    if path.other_readings().any(|other| !reached.same(rules.reach(request.origin, other, request.method))) {
        return Decision::Deny { rule: None, reason: DenyReason::OtherReading };
    }
    let (rule, allow) = match reached {
        Reached::Rule(rule) => (Some(rule), &rule.allow),
        Reached::MethodUnknown(rule) => {
            return Decision::Deny { rule: Some(rule), reason: DenyReason::MethodUnknown };
        }
        Reached::Nothing => return Decision::Deny { rule: None, reason: DenyReason::NoMatch },
        Reached::HostWithoutRules if rules.default == DefaultRule::Members => (None, &Allow::MEMBERS),
        Reached::HostWithoutRules => return Decision::Deny { rule: None, reason: DenyReason::Default },
    };
    match who {
        Some(person) if !person.active => Decision::Deny { rule, reason: DenyReason::Inactive },
        _ if allow.anyone => Decision::Allow { rule, by: None, first: false },
        None => Decision::SignIn { rule },
        Some(person) => match in_force.grant(rule, person) {
            Some(grant) => {
                let first = allow.is_first_match(&in_force.bindings, person);
                Decision::Allow { rule, by: Some(grant), first }
            }
            None if allow.names_an_earlier_holder(&in_force.bindings, person) => {
                Decision::Deny { rule, reason: DenyReason::EarlierHolder }
            }
            None => Decision::Deny { rule, reason: DenyReason::NotNamed },
        },
    }
}

impl Rule {
    fn compile(text: &RuleText, number: usize, warnings: &mut Vec<String>) -> Result<Self, String> {
        let host = HostPattern::compile(&text.host)?;
        let path = Glob::compile(&text.path)?;
        let methods = methods(&text.methods)?;
        let mut allow = Allow::default();
        for element in &text.allow {
            if let Some(surprise) = allow.add(element) {
                warnings.push(format!("rules: rule {number}: `{element}` matches nobody: {surprise}"));
            }
        }
        let shown_path = if text.path.is_empty() { "/**" } else { &text.path };
        let shown_methods = methods.as_ref().map_or_else(|| "*".to_owned(), |m| m.join(","));
        let text = format!("{host} {shown_path} [{shown_methods}] allow {:?}", text.allow);
        Ok(Self { number, text, host, path, methods, allow })
    }

    /// Why this rule, standing after `earlier`, can never decide.
    fn unreachable(&self, earlier: &[Arc<Self>], hosts: &Hosts) -> Option<String> {
        let whole =
            |r: &&Arc<Self>| r.path.is_everything() && r.methods.is_none() && r.host.includes(&self.host);
        if let Some(first) = earlier.iter().find(whole) {
            return Some(format!(
                "it is never read, because rule {} decides everything on its host",
                first.number
            ));
        }
        if self.host.wildcard || self.host.host == hosts.public().host() {
            return None;
        }
        let permitted = [Scheme::Https, Scheme::Http].iter().any(|scheme| {
            let port = self.host.port.unwrap_or(scheme.default_port());
            let origin = Origin::from_authority(*scheme, &format!("{}:{port}", self.host.host));
            origin.is_some_and(|o| hosts.permits(&o))
        });
        let port = if self.host.port.is_some() { "" } else { " on its default port" };
        (!permitted).then(|| {
            format!(
                "{}{port} is not a host of this installation: every check there is refused until it is in \
                 login.redirect_hosts",
                self.host
            )
        })
    }
}

fn methods(written: &[String]) -> Result<Option<Vec<String>>, String> {
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

impl HostPattern {
    fn compile(text: &str) -> Result<Self, String> {
        let (wildcard, name) = text.strip_prefix("*.").map_or((false, text), |name| (true, name));
        let origin =
            if name.contains(['*', '%']) { None } else { Origin::from_authority(Scheme::Https, name) };
        let Some(origin) = origin else {
            return Err("host is `app.example.com`, `*.example.com` or one of them with `:port`".to_owned());
        };
        let host = origin.host().to_owned();
        if wildcard && (host.starts_with('[') || host.parse::<IpAddr>().is_ok()) {
            return Err("an address has no hosts below it".to_owned());
        }
        // The parser drops a default port; written, it still says "this port only".
        let says_port = name.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        Ok(Self { host, wildcard, port: says_port.then_some(origin.port()) })
    }

    /// Whether a request to `host` (any port) can match.
    fn covers(&self, host: &str) -> bool {
        if !self.wildcard {
            return self.host == host;
        }
        host.strip_suffix(&*self.host).is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }

    fn is_same_wildcard(&self, below: &str) -> bool {
        self.wildcard && self.host == below
    }

    /// Whether every request that `other` matches is matched by this one.
    fn includes(&self, other: &Self) -> bool {
        let host = match (self.wildcard, other.wildcard) {
            (true, true) => self.host == other.host || self.covers(&other.host),
            (false, true) => false,
            (_, false) => self.covers(&other.host),
        };
        host && (self.port.is_none() || self.port == other.port)
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

#[cfg(test)]
mod tests;

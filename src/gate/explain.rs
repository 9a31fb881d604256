//! Explains a decision of the gate in words, for the page that a denied person sees and for
//! `gongpai explain`.

use crate::base::host::{Hosts, Scheme};
use crate::base::id::UnitId;
use crate::directory::chart::Chart;
use crate::session::SessionPerson;

use super::path;
use super::readings::PathReadings;
use super::request::{CheckRefusal, OriginCache};
use super::rules::{
    AccessRequest, AccessRule, Decision, Grant, GrantBasis, ReadingReport, ResolvedRules, decide_access,
    report_readings,
};

/// The gate's answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AccessOutcome {
    /// 200, for this person.
    Allowed,
    /// 200, for anybody.
    Public,
    /// 401: nobody is signed in.
    SignIn,
    /// 403.
    Denied,
}

/// A decision and its reason.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Explanation {
    pub outcome: AccessOutcome,
    /// Scheme, host and port as they were compared; `None` if the host is not one of this
    /// installation.
    pub origin: Option<String>,
    /// The canonical path that rules match; `None` if the URL has no readable path.
    pub path: Option<String>,
    /// The decision for each reading of the path. Empty if there is only one reading, or if the
    /// host has no rules.
    pub readings: Vec<ReadingReport>,
    /// The rule that decided: its number (the first rule is 1) and its text.
    pub rule: Option<(usize, String)>,
    /// A sentence, or the end of one that begins with the rule.
    pub reason: String,
}

/// Decides about `url` as the gate does, and explains the decision.
///
/// `method` is `None` if it is unknown; `person` is `None` if nobody is signed in.
pub(crate) fn explain_decision(
    resolved: &ResolvedRules,
    hosts: &Hosts,
    url: &str,
    method: Option<&str>,
    person: Option<&SessionPerson>,
) -> Explanation {
    let refused = |reason: String| Explanation {
        outcome: AccessOutcome::Denied,
        origin: None,
        path: None,
        readings: Vec::new(),
        rule: None,
        reason,
    };
    // `https://oa.example.com` without a path means the start page.
    let bare = url
        .split_once("://")
        .is_some_and(|(s, rest)| Scheme::parse(s).is_some() && !rest.contains(['/', '?', '#']));
    let url = if bare { format!("{url}/") } else { url.to_owned() };
    let origins = OriginCache::new(hosts.clone());
    let (origin, target) = match origins.parse_url(&url) {
        Ok(read) => read,
        Err(CheckRefusal::Malformed) => {
            return refused("this is not an http(s) URL with a host and a path".to_owned());
        }
        Err(refusal) => {
            return refused(format!(
                "{refusal}: neither public_url's, nor in login.redirect_hosts, nor below session.cookie_domain"
            ));
        }
    };
    let readings = path::path_of_target(target).ok().and_then(|sent| PathReadings::from_path(sent).ok());
    let path = readings.map(|readings| path::to_printable(readings.canonical().path()));
    let request = AccessRequest { origin: &origin, target, method };
    let judged = report_readings(resolved, &request, person);
    // A single reading says no more than the path itself.
    let readings = if judged.len() > 1 { judged } else { Vec::new() };
    let origin_text = Some(origin.to_string());
    let of = |outcome, rule: Option<&AccessRule>, reason: String| Explanation {
        outcome,
        origin: origin_text,
        path,
        readings,
        rule: rule.map(|r| (r.number(), r.to_string())),
        reason,
    };
    match decide_access(resolved, &request, person) {
        Decision::Allow { rule, grant: None, .. } => {
            of(AccessOutcome::Public, rule, "the rule lets anyone in".to_owned())
        }
        Decision::Allow { rule: None, .. } => of(
            AccessOutcome::Allowed,
            None,
            "the host has no rules and gate.default is \"members\"".to_owned(),
        ),
        Decision::Allow { rule, grant: Some(grant), .. } => {
            of(AccessOutcome::Allowed, rule, describe_grant(&grant, resolved.chart()))
        }
        Decision::SignIn { rule } => {
            of(AccessOutcome::SignIn, rule, "it depends on who it is, and nobody is signed in".to_owned())
        }
        Decision::Deny { rule, reason } => of(AccessOutcome::Denied, rule, reason.to_string()),
    }
}

/// Describes which part of the person matched which element of the rule.
fn describe_grant(grant: &Grant<'_>, chart: &Chart) -> String {
    let path =
        |unit: &UnitId| chart.unit(unit).map_or_else(|| unit.to_string(), |placed| placed.path.to_string());
    let element = grant.element;
    match grant.basis {
        GrantBasis::Member => format!("`{element}`: an active member"),
        GrantBasis::Userid => format!("`{element}`: this person's userid"),
        GrantBasis::Unit(unit) => format!("`{element}`: in the unit {}", path(unit)),
        GrantBasis::Leading(Some(unit)) => format!("`{element}`: leads the unit {}", path(unit)),
        GrantBasis::Leading(None) => {
            format!("`{element}`: named in WeCom as leader, without being in the unit")
        }
        GrantBasis::Tag(tag) => {
            let name = chart.tag(tag).map_or(tag.as_str(), |tag| tag.name.as_str());
            format!("`{element}`: has the tag {name}")
        }
    }
}

//! `gongpai explain`: prints the access decision for a person and a URL, and the rule behind it.

use std::fmt::Write as _;
use std::io::Write;
use std::sync::Arc;

use anyhow::anyhow;

use super::database;
use crate::base::host::Hosts;
use crate::base::id::{PersonId, UserId};
use crate::base::text::escape_for_terminal;
use crate::config::Config;
use crate::directory;
use crate::directory::bindings::RuleBindings;
use crate::directory::chart::Chart;
use crate::gate::{self, AccessOutcome, AccessRules, Explanation, ResolvedRules};
use crate::session::SessionPerson;
use crate::session::identity::IdentityCache;
use crate::session::store::find_person_by_userid;

/// The options of `gongpai explain`.
#[derive(Debug, Clone)]
pub(crate) struct ExplainQuery {
    pub user: String,
    pub url: String,
    pub method: String,
}

/// Prints the decision for a person of the database.
///
/// An administrator may ask before anybody has signed in. An unknown userid is then treated as an
/// active member, and a note says so.
///
/// # Errors
/// If a rule is not accepted, the database fails, or `out` cannot be written.
pub(crate) async fn explain_access(
    config: &Config,
    query: &ExplainQuery,
    out: &mut (dyn Write + Send),
) -> anyhow::Result<()> {
    let compiled = AccessRules::compile(&config.rules, &config.gate, &config.hosts);
    let (rules, _warnings) = compiled.map_err(|errors| anyhow!(errors.join("\n")))?;
    let userid = UserId::new(query.user.as_str());
    let (mut known, mut chart, mut bindings) = (None, Chart::default(), RuleBindings::default());
    if let Some(db) = database::open_if_present(config).await? {
        let corp = &config.wecom.corp_id;
        // An installation that never synchronised has no chart yet.
        directory::store::ensure_chart(&db, corp).await?;
        known = find_person_by_userid(&db, corp, &userid).await?;
        chart = directory::store::load_chart(&db, corp).await?;
        bindings = directory::bindings::store::load_bindings(&db, corp).await?;
        db.close().await;
    }
    let in_force = ResolvedRules::new(Arc::new(rules), Arc::new(chart), Arc::new(bindings));
    if known.is_none() {
        writeln!(
            out,
            "note     {} never signed in here; answered for an active member of that userid",
            escape_for_terminal(userid.as_str())
        )?;
    }
    let person = known.unwrap_or_else(|| assume_member(userid));
    let (text, _allowed) = answer_query(&in_force, &config.hosts, query, Some(&person));
    out.write_all(text.as_bytes())?;
    for sentence in in_force.unmatched_elements() {
        writeln!(out, "warning  {}", escape_for_terminal(&sentence))?;
    }
    Ok(())
}

fn assume_member(userid: UserId) -> SessionPerson {
    let name = "unknown here".to_owned();
    SessionPerson {
        id: PersonId::new(""),
        userid,
        name,
        email: String::new(),
        active: true,
        memberships: Box::default(),
        identity: IdentityCache::default(),
    }
}

/// Returns the answer as text, and whether access is allowed.
///
/// `person` is `None` for a visitor who is not signed in.
pub(crate) fn answer_query(
    in_force: &ResolvedRules,
    hosts: &Hosts,
    query: &ExplainQuery,
    person: Option<&SessionPerson>,
) -> (String, bool) {
    let explanation =
        gate::explain_decision(in_force, hosts, &query.url, Some(query.method.as_str()), person);
    let allowed = matches!(explanation.outcome, AccessOutcome::Allowed | AccessOutcome::Public);
    (format_answer(query, person, in_force.chart(), &explanation), allowed)
}

fn format_answer(
    query: &ExplainQuery,
    person: Option<&SessionPerson>,
    chart: &Chart,
    explanation: &Explanation,
) -> String {
    let units = person.map(|p| format_units(p, chart)).unwrap_or_default();
    let who = match person {
        Some(p) if p.active => format!("{} ({})", p.userid, p.name),
        Some(p) => format!("{} ({}), not active", p.userid, p.name),
        None => format!("{}: not in the directory, treated as not signed in", query.user),
    };
    let decision = match explanation.outcome {
        AccessOutcome::Allowed => "allowed (200)",
        AccessOutcome::Public => "allowed for anyone (200)",
        AccessOutcome::SignIn => "sign-in required (401)",
        AccessOutcome::Denied => "denied (403)",
    };
    let rule = match &explanation.rule {
        Some((number, text)) => format!("{number}: {text}"),
        None => "none".to_owned(),
    };
    let mut out = String::new();
    for (label, value) in [
        ("user", who.as_str()),
        ("units", units.as_str()),
        ("host", explanation.origin.as_deref().unwrap_or("-")),
        ("path", explanation.path.as_deref().unwrap_or("-")),
        ("method", query.method.as_str()),
        ("decision", decision),
        ("rule", rule.as_str()),
        ("reason", explanation.reason.as_str()),
    ] {
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{label:<9}{}", escape_for_terminal(value));
        if label == "path" {
            for reading in &explanation.readings {
                let _ = writeln!(out, "{:<9}{}", "reading", escape_for_terminal(&reading.to_string()));
            }
        }
    }
    out
}

/// Returns the units and tags of the person.
fn format_units(person: &SessionPerson, chart: &Chart) -> String {
    let units =
        person.memberships.iter().filter_map(|place| chart.unit(&place.unit).map(|placed| (place, placed)));
    let mut words: Vec<String> = units
        .map(|(place, placed)| {
            let id =
                placed.unit.wecom_id.map_or_else(|| placed.unit.id.to_string(), |id| format!("wecom:{id}"));
            format!("{} ({id}{})", placed.path, if place.leader { ", leader" } else { "" })
        })
        .collect();
    let tags = chart.tags_of(&person.userid, person.memberships.iter().map(|place| &place.unit));
    words.extend(tags.into_iter().filter_map(|id| chart.tag(id)).map(|tag| format!("tag:{}", tag.name)));
    if words.is_empty() { "-".to_owned() } else { words.join(", ") }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::base::host::{Origin, Scheme};
    use crate::base::id::{PersonId, UserId};
    use crate::config::{DefaultRule, GateConfig, GroupFormat, RuleText};

    fn answer_for(url: &str, method: Option<&str>, active: Option<bool>) -> (String, bool) {
        let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
        let hosts = Hosts::new(public, vec![], ".example.com", false);
        let gate = GateConfig {
            groups: GroupFormat::Paths,
            assertion: false,
            default: DefaultRule::Members,
            stale_after: Duration::from_secs(60),
            recheck: Duration::from_secs(600),
            code_paths: vec![],
        };
        let rule = |host: &str, path: &str, method: &str, allow: &str| RuleText {
            host: host.into(),
            path: path.into(),
            case_sensitive: false,
            methods: vec![method.into()],
            allow: vec![allow.into()],
        };
        let texts = [
            rule("finance.example.com", "/public/**", "GET", "anyone"),
            rule("finance.example.com", "/admin/**", "*", "user:zhangsan"),
        ];
        let rules = AccessRules::compile(&texts, &gate, &hosts).unwrap().0;
        let person = active.map(|active| SessionPerson {
            id: PersonId::new("p"),
            userid: UserId::new("ZhangSan"),
            name: "张三".into(),
            email: String::new(),
            memberships: Box::default(),
            identity: IdentityCache::default(),
            active,
        });
        let query =
            ExplainQuery { user: "zhangsan".into(), url: url.into(), method: method.unwrap_or("GET").into() };
        let in_force = ResolvedRules::new(Arc::new(rules), Arc::default(), Arc::default());
        answer_query(&in_force, &hosts, &query, person.as_ref())
    }

    #[test]
    fn the_answer_names_the_decision_the_rule_and_the_reason() {
        let (text, allowed) = answer_for("https://FINANCE.example.com/admin/./x?y", Some("POST"), Some(true));
        assert!(allowed);
        let want = "user     ZhangSan (张三)\n\
                    units    -\n\
                    host     https://finance.example.com\n\
                    path     /admin/x\n\
                    reading  /admin/x (dot segments resolved) allowed by rule 2\n\
                    reading  /admin/./x (as sent) allowed by rule 2\n\
                    method   POST\n\
                    decision allowed (200)\n\
                    rule     2: finance.example.com /admin/** [*] allow [\"user:zhangsan\"]\n\
                    reason   `user:zhangsan`: this person's userid\n";
        assert_eq!(text, want);
    }

    #[test]
    fn every_outcome_has_its_words() {
        for (url, method, person, words) in [
            ("https://finance.example.com/public/x", Some("GET"), None, "allowed for anyone"),
            (
                "https://finance.example.com/public/x",
                Some("POST"),
                Some(true),
                "none matches this path and method",
            ),
            ("https://finance.example.com/admin", None, Some(false), "the person is not active"),
            ("https://finance.example.com/admin", None, None, "sign-in required"),
            ("https://finance.example.com", None, Some(true), "none matches this path"),
            ("https://hr.example.com", None, Some(true), "gate.default is \"members\""),
            ("https://hr.example.com/%2e%2e/", None, Some(true), "gate.default is \"members\""),
            (
                "https://finance.example.com/public/..%2fadmin",
                None,
                None,
                "/admin (%2F as a slash, dot segments",
            ),
            ("https://evil.example/", None, Some(true), "neither public_url's"),
            ("evil", None, Some(true), "not an http(s) URL"),
        ] {
            let (text, _) = answer_for(url, method, person);
            assert!(text.contains(words), "{url}: {text}");
        }
    }
}

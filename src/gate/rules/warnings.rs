//! Warnings about rules that are valid but surely not meant as written, for `gongpai config check`
//! and `gongpai doctor`.

use std::sync::Arc;

use crate::base::host::{Hosts, Origin, Scheme};

use super::super::path;
use super::AccessRule;

/// Explains why `rule`, which stands after `earlier`, can never decide.
pub(super) fn explain_unreachable(
    rule: &AccessRule,
    earlier: &[Arc<AccessRule>],
    hosts: &Hosts,
) -> Option<String> {
    if let Some(first) = find_overriding_rule(rule, earlier) {
        return Some(format!(
            "it is never read, because rule {} decides everything on its host",
            first.number
        ));
    }
    let host = &rule.host;
    if host.wildcard || host.host == hosts.public().host() {
        return None;
    }
    let permitted = [Scheme::Https, Scheme::Http].iter().any(|scheme| {
        let port = host.port.unwrap_or(scheme.default_port());
        let origin = Origin::from_authority(*scheme, &format!("{}:{port}", host.host));
        origin.is_some_and(|o| hosts.permits(&o))
    });
    let port = if host.port.is_some() { "" } else { " on its default port" };
    (!permitted).then(|| {
        format!(
            "{host}{port} is not a host of this installation: every check there is refused until it is in \
             login.redirect_hosts"
        )
    })
}

/// Returns the rule among `earlier` that decides every request which `rule` could decide.
fn find_overriding_rule<'r>(
    rule: &AccessRule,
    earlier: &'r [Arc<AccessRule>],
) -> Option<&'r Arc<AccessRule>> {
    let whole = |r: &&Arc<AccessRule>| {
        r.path.matches_everything() && r.methods.is_none() && r.host.includes(&rule.host)
    };
    earlier.iter().find(whole)
}

/// Warns of every wide rule that follows a narrower one. Rules know only names, so what an
/// application serves under a second name is open to everybody whom the wide rule allows.
pub(super) fn warn_of_second_names(rules: &[Arc<AccessRule>]) -> Vec<String> {
    let mut warnings = Vec::new();
    for (at, wide) in rules.iter().enumerate() {
        let Some(earlier) = rules.get(..at) else { continue };
        if find_overriding_rule(wide, earlier).is_some() {
            continue;
        }
        // A rule that is never read protects nothing.
        let is_read = |n: usize, rule: &Arc<AccessRule>| {
            earlier.get(..n).is_some_and(|before| find_overriding_rule(rule, before).is_none())
        };
        let narrow: Vec<&Arc<AccessRule>> = earlier
            .iter()
            .enumerate()
            .filter(|(n, rule)| is_read(*n, rule) && is_narrower(rule, wide))
            .map(|(_, rule)| rule)
            .collect();
        if let Some(first) = narrow.first() {
            let list: Vec<String> =
                narrow.iter().map(|rule| format!("{} ({})", rule.number, rule.written_path)).collect();
            let (one, are) = if narrow.len() == 1 { ("rule", "is") } else { ("rules", "are") };
            warnings.push(format!(
                "rules: rule {} ({wide}) also opens what {one} {} {are} about, where the application serves it \
                 under another name: it must not answer to {}. If it may, give it a host of its own, or name \
                 what is open and leave the rest to nobody",
                wide.number,
                list.join(", "),
                list_second_names(first),
            ));
        }
    }
    warnings
}

/// Returns whether `wide` opens what lies around `narrow`, and to somebody whom `narrow` does not
/// allow.
fn is_narrower(narrow: &AccessRule, wide: &AccessRule) -> bool {
    let (inner, outer): (Vec<_>, Vec<_>) = (narrow.path.folder().collect(), wide.path.folder().collect());
    // What lies in the folder itself is not a second name.
    let inside = narrow.path.is_folder() && inner == outer;
    let around =
        wide.path.is_open_ended() && inner.starts_with(&outer) && narrow.path != wide.path && !inside;
    let methods = match (&narrow.methods, &wide.methods) {
        (Some(narrow), Some(wide)) => narrow.iter().any(|method| wide.contains(method)),
        _ => true,
    };
    let hosts = narrow.host.includes(&wide.host) || wide.host.includes(&narrow.host);
    around && methods && hosts && !narrow.allow.includes(&wide.allow)
}

/// Lists second names that frameworks give to a page.
fn list_second_names(rule: &AccessRule) -> String {
    let folder: Vec<String> =
        rule.path.folder().map(|name| format!("/{}", path::to_printable(name))).collect();
    let name = folder.concat();
    if name.is_empty() {
        return "such paths in another spelling".to_owned();
    }
    format!("/index.php{name}, /?s={name}, {name}.json or {name}!")
}

//! Removes session cookies that another host or application put into the browser ([design:
//! cookies](crate::design#cookies)).
//!
//! If the session's cookie has a domain, or on http, every host below that domain can set a cookie
//! of the same name, at any path (RFC 6265 §8.6). Such a cookie cannot be seen from another path,
//! so it is removed unseen: one Set-Cookie that ends it for each path and domain at which it would
//! be sent to a page. `__Host-` names are safe from this.

use super::Sso;
use crate::base::url::ReturnTo;
use crate::http::browser_request::BrowserRequest;
use crate::http::cookie::{SetCookie, parse_cookies};

/// How much of an answer's head may remove cookies, in bytes. A proxy's buffer holds 4 KB; the next
/// round removes more.
const MAX_REMOVAL_BYTES: usize = 2048;

/// The length of a removal without its name, path and domain, in bytes.
const REMOVAL_OVERHEAD_BYTES: usize = 80;

/// Returns every Path attribute that a cookie sent to `path` may have, except `/` (RFC 6265
/// §5.1.4), the shortest first. A Path cannot contain `;`, which ends the attribute.
fn cookie_paths(path: &str) -> Vec<&str> {
    let slashes = path.match_indices('/').map(|(at, _)| at).filter(|at| *at > 0);
    let ends = slashes.flat_map(|at| [at, at + 1]).chain([path.len()]);
    let mut paths: Vec<_> =
        ends.filter_map(|end| path.get(..end)).filter(|p| p.len() > 1 && !p.contains(';')).collect();
    paths.dedup();
    paths
}

/// Returns every Domain attribute that a cookie sent to `host` may have: first those of the domains
/// above it, then none, then its own.
fn cookie_domains(host: &str) -> Vec<Option<&str>> {
    // An address, or a name without a dot, can have no Domain attribute.
    let named = host.parse::<std::net::IpAddr>().is_err() && !host.starts_with('[') && host.contains('.');
    let above = host.match_indices('.').filter_map(|(at, _)| host.get(at + 1..)).filter(|d| d.contains('.'));
    let above = above.map(Some).filter(|_| named);
    above.chain([None]).chain(named.then_some(Some(host))).collect()
}

impl Sso {
    /// Returns whether somebody else can set a cookie of the session's name for the requesting
    /// host.
    pub(super) fn can_be_planted(&self, request: &BrowserRequest) -> bool {
        !self.hosts().cookie_name(&request.origin).starts_with("__Host-")
    }

    /// Removes every cookie of the session's name that the request may have brought.
    pub(super) fn clear_session_cookies(&self, request: &BrowserRequest) -> Vec<SetCookie> {
        let name = self.hosts().cookie_name(&request.origin);
        if !self.can_be_planted(request) {
            return vec![SetCookie::removal(name, None, request.is_secure())];
        }
        let paths = cookie_paths(request.uri.path());
        // `None` is `/`, where our own cookie lies.
        let paths = std::iter::once(None).chain(paths.into_iter().map(|p| Some(p.to_owned())));
        let domains = cookie_domains(request.origin.host());
        let removals = paths.flat_map(|path| {
            let removal = move |domain: &Option<&str>| SetCookie {
                path: path.clone(),
                ..SetCookie::removal(name, domain.map(str::to_owned), request.is_secure())
            };
            domains.iter().map(removal).collect::<Vec<_>>()
        });
        take_part(removals, 0)
    }

    /// Removes the cookies that may be sent to `page`, as far as the requesting host can. If they
    /// are too many for one answer, each `round` removes another part. The sign-in pages themselves
    /// see a cookie at `/`.
    pub(super) fn remove_planted(
        &self,
        request: &BrowserRequest,
        page: &ReturnTo,
        round: usize,
    ) -> Vec<SetCookie> {
        if !self.can_be_planted(request) {
            return Vec::new();
        }
        let name = self.hosts().cookie_name(&request.origin);
        let here = page.origin().host() == request.origin.host();
        // A cookie reaches the page if its Domain is the page's host or lies above it.
        let reaches = |domain: &Option<&str>| match domain {
            None => here,
            Some(domain) => {
                let rest = page.origin().host().strip_suffix(domain);
                rest.is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
            }
        };
        let domains = cookie_domains(request.origin.host()).into_iter().filter(reaches);
        let removals = domains.flat_map(|domain| {
            let removal = move |path: &str| SetCookie {
                path: Some(path.to_owned()),
                ..SetCookie::removal(name, domain.map(str::to_owned), request.is_secure())
            };
            cookie_paths(page.path()).into_iter().map(removal)
        });
        take_part(removals, round)
    }
}

/// Describes for the administrator the cookies of our names that came, and the paths at which
/// another one may lie.
pub(super) fn describe_planted(request: &BrowserRequest, page: &ReturnTo) -> String {
    let ours = ["gongpai", "__Secure-gongpai", "__Host-gongpai"];
    let seen = |name: &str| parse_cookies(&request.headers).filter(|(n, _)| *n == name.as_bytes()).count();
    let names: Vec<_> = ours.iter().filter(|n| seen(n) > 0).map(|n| format!("{n} ×{}", seen(n))).collect();
    let paths = cookie_paths(page.path()).into_iter().filter(|p| !p.ends_with('/'));
    let paths: Vec<_> = paths.take(8).collect();
    format!("{}; {} {}", names.join(", "), page.origin().host(), paths.join(", "))
}

/// Returns the `part`th portion of the removals, each as large as one answer may carry.
fn take_part(removals: impl Iterator<Item = SetCookie>, part: usize) -> Vec<SetCookie> {
    let (mut bytes, mut current) = (0, 0);
    let wanted = removals.filter(|removal| {
        let lengths = [&removal.domain, &removal.path].map(|a| a.as_deref().map_or(0, str::len));
        let cost = REMOVAL_OVERHEAD_BYTES + removal.name.len() + lengths.iter().sum::<usize>();
        bytes += cost;
        // This removal begins the next part.
        if bytes > MAX_REMOVAL_BYTES {
            (bytes, current) = (cost, current + 1);
        }
        current == part
    });
    wanted.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn every_path_at_which_a_cookie_would_be_sent_is_named_and_no_other() {
        assert_eq!(cookie_paths("/pay/x"), ["/pay", "/pay/", "/pay/x"]);
        assert_eq!(cookie_paths("/pay/"), ["/pay", "/pay/"]);
        assert_eq!(cookie_paths("/a;b/c"), Vec::<&str>::new(), "no Path attribute has a semicolon");
        assert!(cookie_paths("/").is_empty());
    }

    #[test]
    fn every_domain_that_a_host_may_be_sent_a_cookie_of_is_named() {
        let all = [Some("hr.example.com"), Some("example.com"), None, Some("a.hr.example.com")];
        assert_eq!(cookie_domains("a.hr.example.com"), all);
        for alone in ["127.0.0.1", "[::1]", "localhost"] {
            assert_eq!(cookie_domains(alone), [None], "{alone}");
        }
    }

    #[test]
    fn each_answer_removes_a_bounded_part_and_all_parts_together_everything() {
        let path = "/deep".repeat(40);
        let all: Vec<_> = cookie_paths(&path)
            .into_iter()
            .map(|p| SetCookie { path: Some(p.to_owned()), ..SetCookie::removal("gongpai", None, false) })
            .collect();
        let mut removed = Vec::new();
        for part in 0..all.len() {
            let some = take_part(all.iter().cloned(), part);
            let bytes: usize = some.iter().map(|c| c.header().unwrap().len()).sum();
            assert!(bytes <= MAX_REMOVAL_BYTES, "{bytes}");
            assert!(some.iter().all(|c| c.max_age == Duration::ZERO));
            removed.extend(some.into_iter().map(|c| c.path));
        }
        assert_eq!(removed, all.into_iter().map(|c| c.path).collect::<Vec<_>>());
    }
}

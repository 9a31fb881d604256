//! Checks `public_url`, `allow_http`, `session.cookie_domain` and `login.*`: which hosts belong to
//! this installation.

use url::Url;

use super::LayerReader;
use crate::base::host::{AllowedHost, Hosts, Origin, Scheme};
use crate::base::url::ReturnTo;
use crate::config::model::RuleText;

const COOKIE_DOMAIN_KEY: &str = "session.cookie_domain";
const HASH_ROUTES_KEY: &str = "login.hash_routes";

/// Checks all of them and returns one value.
pub(super) fn check_hosts(r: &mut LayerReader<'_>) -> Option<Hosts> {
    let allow_http = r.boolean("allow_http");
    let public = check_public_url(r, allow_http);
    let redirect = check_allowed_hosts(r, "login.redirect_hosts");
    let domain = check_cookie_domain(r, public.as_ref());
    let hash_routes = check_allowed_hosts(r, HASH_ROUTES_KEY);
    let hosts = Hosts::new(public?, redirect?, &domain?, allow_http);
    let hash_routes = hash_routes?;
    for host in hash_routes.iter().filter(|host| !hosts.may_contain(host)) {
        let name = host.authority();
        r.warn(
            HASH_ROUTES_KEY,
            format_args!(
                "{name} is no host of this installation: neither public_url's, nor in login.redirect_hosts, nor below \
                 session.cookie_domain"
            ),
        );
    }
    Some(hosts.with_hash_routes(hash_routes))
}

fn check_public_url(r: &mut LayerReader<'_>, allow_http: bool) -> Option<Origin> {
    const KEY: &str = "public_url";
    if r.text(KEY).is_empty() {
        // Nobody set it, and it could not be derived from the listener. That is a finding already.
        return None;
    }
    let origin = r.parsed(KEY, |text| {
        const FORM: &str = "scheme and host, with a port if it is not the usual one, and nothing more: \
                            \"https://oa.example.com\"";
        let url = Url::parse(text).map_err(|_| FORM)?;
        let bare = url.path() == "/" && url.query().is_none() && url.fragment().is_none();
        Origin::from_url(&url).filter(|_| bare).ok_or(FORM)
    })?;
    if origin.scheme() == Scheme::Http && !allow_http && !origin.is_loopback() {
        r.error(
            KEY,
            "http is accepted for this machine only, because cookies travel readable; use https, or set \
             allow_http = true in a network you trust",
        );
        return None;
    }
    Some(origin)
}

/// Checks the list `key` of single hosts.
fn check_allowed_hosts(r: &mut LayerReader<'_>, key: &str) -> Option<Vec<AllowedHost>> {
    let read: Vec<_> = r.list(key).iter().map(|text| (text.clone(), AllowedHost::parse(text))).collect();
    let mut allowed = Some(Vec::new());
    for (index, (text, host)) in read.into_iter().enumerate() {
        match (host, &mut allowed) {
            (Some(host), Some(allowed)) => allowed.push(host),
            (Some(_), None) => {}
            (None, _) => {
                allowed = None;
                let why = if text.contains("://") {
                    "; leave the scheme out"
                } else if text.contains('*') && key != HASH_ROUTES_KEY {
                    "; for every host below a domain set session.cookie_domain"
                } else {
                    ""
                };
                let number = index.saturating_add(1);
                r.error(
                    key,
                    format_args!("entry {number} must be \"app.example.com\" or \"host:port\"{why}"),
                );
            }
        }
    }
    allowed
}

/// Returns the domain without its leading dot, as browsers compare it; empty if none is set.
fn check_cookie_domain(r: &mut LayerReader<'_>, public: Option<&Origin>) -> Option<String> {
    let text = r.text(COOKIE_DOMAIN_KEY);
    if text.is_empty() {
        return Some(String::new());
    }
    let bare = text.strip_prefix('.').unwrap_or(text);
    // A port or an IP address is no domain.
    let parsed =
        Origin::from_authority(Scheme::Https, bare).filter(|o| o.port() == 443 && !bare.contains(':'));
    let domain = parsed.map(|o| o.host().to_owned()).filter(|host| host.parse::<std::net::IpAddr>().is_err());
    let Some(domain) = domain else {
        r.error(COOKIE_DOMAIN_KEY, "must be a domain, \".example.com\"");
        return None;
    };
    if is_public_suffix(&domain) {
        r.error(
            COOKIE_DOMAIN_KEY,
            "must be your own domain, \".example.com\": browsers refuse cookies for a domain that many share",
        );
        return None;
    }
    // The host must lie below the domain; the domain itself is not enough.
    let covers = |public: &Origin| {
        let rest = public.host().strip_suffix(domain.as_str());
        rest.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    };
    if public.is_some_and(|public| !covers(public)) {
        r.error(COOKIE_DOMAIN_KEY, "must cover public_url: its host has to lie below this domain");
        return None;
    }
    Some(domain)
}

/// Returns whether `domain` belongs to a registry, such as `com` or `com.cn`. The whole list of
/// such domains changes weekly and is known to browsers; these are the ones that somebody may write
/// by mistake.
fn is_public_suffix(domain: &str) -> bool {
    const SECOND_LEVEL: [&str; 8] = ["com", "net", "org", "gov", "edu", "ac", "co", "mil"];
    match domain.split_once('.') {
        None => true,
        Some((second, top)) => top.len() == 2 && SECOND_LEVEL.contains(&second),
    }
}

/// Advises a separate host for the gateway if public_url's host seems to have an application too
/// and there are other hosts. WeCom sends codes to every path of public_url's host, so that
/// application could collect them.
pub(super) fn advise_own_host(r: &mut LayerReader<'_>, hosts: &Hosts, landing: &str, rules: &[RuleText]) {
    let public = hosts.public();
    if !hosts.has_others() || public.is_loopback() {
        return;
    }
    let is_of_public = |rule: &&RuleText| {
        let host = Origin::from_authority(public.scheme(), &rule.host);
        host.is_some_and(|host| host.host() == public.host())
    };
    let landing = ReturnTo::parse(landing, public, hosts).ok().filter(|target| target.origin() == public);
    let page = landing.map(|target| target.path_only().as_str().replacen(&public.to_string(), "", 1));
    let is_page =
        |path: &String| path != "/" && !path.starts_with("/sso/") && !path.starts_with("/_gongpai/");
    let sign = if rules.iter().any(|rule| is_of_public(&rule)) {
        "[[rules]] name it"
    } else if page.as_ref().is_some_and(is_page) {
        "login.landing is a page of it"
    } else if !r.list("gate.code_paths").is_empty() {
        "gate.code_paths names paths of it"
    } else {
        return;
    };
    r.warn(
        "public_url",
        format_args!(
            "{} has an application of its own ({sign}), and WeCom sends the codes of a sign-in to any path of this host: \
             give Gongpai a host on which nothing else answers, as public_url and in WeCom's console \
             (gongpai snippet nginx --host sso.example.com --listen 443), and put this one into login.redirect_hosts",
            public.authority()
        ),
    );
}

/// Checks the target of a sign-in that names none.
pub(super) fn check_landing(r: &mut LayerReader<'_>, hosts: Option<&Hosts>) -> Option<String> {
    const KEY: &str = "login.landing";
    let hosts = hosts?;
    let text = r.text(KEY).to_owned();
    if let Err(e) = ReturnTo::parse(&text, hosts.public(), hosts) {
        r.error(KEY, format_args!("must be a path, \"/\", or a URL on a host of this installation: {e}"));
        return None;
    }
    Some(text)
}

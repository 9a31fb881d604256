//! Hosts: which ones belong to this installation, and how two spellings of one host are compared.
//!
//! Every comparison of hosts goes through [`Origin`], which the WHATWG parser builds: lower case,
//! punycode, no trailing dot, the port always known. Gateways that compare texts get it wrong
//! (Authelia CVE-2026-48794: a host in capitals skipped the stricter rule).

use std::fmt;
use std::net::IpAddr;

use url::{Host, Url};

/// The scheme as the browser sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme {
    /// Without TLS; only if `allow_http` or a loopback host permits it.
    Http,
    /// With TLS.
    Https,
}

impl Scheme {
    /// Returns `"http"` or `"https"`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    /// Returns the port of a URL of this scheme that names none.
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }

    /// Parses an `X-Forwarded-Proto`. The first proxy's value stands first. A WebSocket has the
    /// scheme of its handshake.
    pub fn parse_forwarded(header: &str) -> Option<Self> {
        let first = header.split(',').next()?.trim();
        if first.eq_ignore_ascii_case("wss") {
            Some(Self::Https)
        } else if first.eq_ignore_ascii_case("ws") {
            Some(Self::Http)
        } else {
            Self::parse(first)
        }
    }

    /// Parses `http` or `https` in any case.
    pub fn parse(text: &str) -> Option<Self> {
        if text.eq_ignore_ascii_case("https") {
            Some(Self::Https)
        } else if text.eq_ignore_ascii_case("http") {
            Some(Self::Http)
        } else {
            None
        }
    }
}

/// Scheme, host and port of a URL (RFC 6454), normalised.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// Returns the origin of `url`; `None` unless it is http(s) with a host and without user
    /// information.
    pub fn from_url(url: &Url) -> Option<Self> {
        let scheme = Scheme::parse(url.scheme())?;
        if !url.username().is_empty() || url.password().is_some() {
            return None;
        }
        let host = match url.host()? {
            Host::Domain(name) => name.strip_suffix('.').unwrap_or(name).to_owned(),
            Host::Ipv4(ip) => ip.to_string(),
            Host::Ipv6(ip) => format!("[{ip}]"),
        };
        // One trailing dot is removed above; a second one makes it no host.
        if host.is_empty() || host.ends_with('.') {
            return None;
        }
        Some(Self { scheme, host, port: url.port().unwrap_or_else(|| scheme.default_port()) })
    }

    /// Parses `host[:port]`, as a Host header has it, under `scheme`.
    pub fn from_authority(scheme: Scheme, authority: &str) -> Option<Self> {
        let odd = |c: char| c.is_whitespace() || c.is_control() || "/\\?#@".contains(c);
        if authority.is_empty() || authority.chars().any(odd) {
            return None;
        }
        Self::from_url(&Url::parse(&format!("{}://{authority}/", scheme.as_str())).ok()?)
    }

    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host without its port: in lower case, without a trailing dot, IPv6 in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, which is always known.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Returns `host`, or `host:port` if the port is not the scheme's own.
    pub fn authority(&self) -> String {
        if self.port == self.scheme.default_port() {
            self.host.clone()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// Whether the host is this machine itself.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.authority())
    }
}

/// Whether `host` (without port) is this machine: localhost, 127.0.0.0/8 or \[::1\].
pub(crate) fn is_loopback(host: &str) -> bool {
    let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']')).unwrap_or(host);
    bare == "localhost" || bare.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// An entry of `login.redirect_hosts`: a host, with the port if it is not the scheme's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AllowedHost {
    host: String,
    port: Option<u16>,
}

impl AllowedHost {
    /// Parses `app.example.com` or `host:port`; `None` for anything else (a scheme, a path, a
    /// wildcard).
    pub fn parse(text: &str) -> Option<Self> {
        if text.contains('*') {
            return None;
        }
        let origin = Origin::from_authority(Scheme::Https, text)?;
        // `app.example.com:443` has a port, which the URL parser drops because it is the default.
        let says_port = text.rsplit_once(':').is_some_and(|(_, p)| p.parse::<u16>().is_ok());
        Some(Self { host: origin.host, port: says_port.then_some(origin.port) })
    }

    fn permits(&self, origin: &Origin) -> bool {
        self.host == origin.host && self.port.unwrap_or_else(|| origin.scheme.default_port()) == origin.port
    }

    /// Whether it names `origin`, on any port if the entry has none. Only for decisions that open
    /// nothing.
    fn names(&self, origin: &Origin) -> bool {
        self.host == origin.host && self.port.is_none_or(|port| port == origin.port)
    }

    /// Returns the host, with the port if the entry has one.
    pub fn authority(&self) -> String {
        self.port.map_or_else(|| self.host.clone(), |port| format!("{}:{port}", self.host))
    }
}

/// The hosts of this installation, with the cookie and the audience of each.
#[derive(Debug, Clone)]
pub struct Hosts {
    public: Origin,
    redirect: Vec<AllowedHost>,
    cookie_domain: Option<String>,
    allow_http: bool,
    hash_routes: Vec<AllowedHost>,
}

/// The attributes of a host's session cookie and the audience of its tokens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CookieScope {
    /// `aud` of the token: the host (without its port on loopback), or the cookie domain.
    pub audience: String,
    /// The Domain attribute, without a leading dot; `None` for a cookie of one host.
    pub domain: Option<String>,
    /// Whether the browser sees https; then the cookie has `Secure` and a name prefix.
    pub secure: bool,
}

impl Hosts {
    /// Makes the hosts. `cookie_domain` is empty or `.example.com`, also without the leading dot.
    pub fn new(public: Origin, redirect: Vec<AllowedHost>, cookie_domain: &str, allow_http: bool) -> Self {
        let domain = cookie_domain.trim_start_matches('.').to_ascii_lowercase();
        let cookie_domain = (!domain.is_empty()).then_some(domain);
        Self { public, redirect, cookie_domain, allow_http, hash_routes: Vec::new() }
    }

    /// Adds `login.hash_routes`: the hosts whose pages live behind `#/…`.
    #[must_use]
    pub fn with_hash_routes(self, hash_routes: Vec<AllowedHost>) -> Self {
        Self { hash_routes, ..self }
    }

    /// Whether the pages of `origin` live behind `#/…`.
    pub fn has_hash_routes(&self, origin: &Origin) -> bool {
        self.hash_routes.iter().any(|host| host.names(origin))
    }

    /// Whether `host` can belong to this installation, by either scheme.
    pub fn may_contain(&self, host: &AllowedHost) -> bool {
        let same = |known: &AllowedHost| known.host == host.host;
        host.names(&self.public) || self.redirect.iter().any(same) || self.is_below_cookie_domain(&host.host)
    }

    /// Returns every host of this installation as a source expression of a Content-Security-Policy
    /// (CSP 3 §2.3.1).
    pub fn csp_sources(&self) -> Vec<String> {
        let schemes = |host: &str| {
            let http = self.allow_http || is_loopback(host);
            [Some("https"), http.then_some("http")].into_iter().flatten()
        };
        let redirect = self.redirect.iter().map(|host| (host.host.as_str(), host.authority()));
        let below = self.cookie_domain.iter().map(|domain| (domain.as_str(), format!("*.{domain}:*")));
        let others = redirect.chain(below);
        let others =
            others.flat_map(|(host, authority)| schemes(host).map(move |s| format!("{s}://{authority}")));
        std::iter::once(self.public.to_string()).chain(others).collect()
    }

    /// Returns the origin of public_url.
    pub const fn public(&self) -> &Origin {
        &self.public
    }

    /// Whether application hosts besides public_url's own can exist.
    pub fn has_others(&self) -> bool {
        self.cookie_domain.is_some() || self.redirect.iter().any(|host| !host.permits(&self.public))
    }

    /// Returns the cookie domain without its leading dot, if there is one.
    pub fn cookie_domain(&self) -> Option<&str> {
        self.cookie_domain.as_deref()
    }

    /// Whether `origin` is public_url's own.
    pub fn is_public(&self, origin: &Origin) -> bool {
        *origin == self.public
    }

    /// Whether browsers may be sent to `origin`: public_url's own, one of `redirect_hosts`, or one
    /// below `cookie_domain`; by https, or by http if `allow_http` or loopback permits it.
    pub fn permits(&self, origin: &Origin) -> bool {
        if self.is_public(origin) {
            return true;
        }
        let scheme_ok = origin.scheme == Scheme::Https || self.allow_http || origin.is_loopback();
        scheme_ok
            && (self.redirect.iter().any(|h| h.permits(origin)) || self.is_below_cookie_domain(&origin.host))
    }

    fn is_below_cookie_domain(&self, host: &str) -> bool {
        self.cookie_domain
            .as_deref()
            .and_then(|domain| host.strip_suffix(domain))
            .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
    }

    /// Returns Domain, audience and `Secure` of the session cookie on `origin`.
    pub fn cookie_scope(&self, origin: &Origin) -> CookieScope {
        let secure = origin.scheme == Scheme::Https;
        if let Some(domain) =
            self.cookie_domain.as_deref().filter(|_| self.is_below_cookie_domain(&origin.host))
        {
            return CookieScope { audience: domain.to_owned(), domain: Some(domain.to_owned()), secure };
        }
        let audience = if origin.is_loopback() { origin.host.clone() } else { origin.authority() };
        CookieScope { audience, domain: None, secure }
    }

    /// Returns the session cookie's name on `origin`. The prefix promises what the browser then
    /// enforces (RFC 6265bis §4.1.3): `__Host-` one host over https, `__Secure-` https; no prefix
    /// over http. See [design: cookies](crate::design#cookies).
    pub fn cookie_name(&self, origin: &Origin) -> &'static str {
        match origin.scheme {
            Scheme::Http => "gongpai",
            Scheme::Https if self.is_below_cookie_domain(&origin.host) => "__Secure-gongpai",
            Scheme::Https => "__Host-gongpai",
        }
    }

    /// Whether a token for `audience` is for `origin`. The same as comparing
    /// [`CookieScope::audience`], without building it.
    pub fn is_audience(&self, origin: &Origin, audience: &str) -> bool {
        if self.is_below_cookie_domain(&origin.host) {
            return self.cookie_domain.as_deref() == Some(audience);
        }
        // In this order, because parsing an address costs more than all else here.
        if origin.port == origin.scheme.default_port() || origin.is_loopback() {
            return origin.host == audience;
        }
        audience
            .rsplit_once(':')
            .is_some_and(|(host, port)| host == origin.host && port.parse() == Ok(origin.port))
    }

    /// Returns the origin of a request to `authority`, where a trusted proxy says `forwarded` or
    /// nothing. For public_url's host its own scheme counts; for others https, unless http is both
    /// said and allowed.
    pub fn request_origin(&self, authority: &str, forwarded: Option<Scheme>) -> Option<Origin> {
        let as_public = Origin::from_authority(self.public.scheme, authority)?;
        if as_public == self.public {
            return Some(as_public);
        }
        let http = Origin::from_authority(Scheme::Http, authority)?;
        match forwarded {
            Some(Scheme::Http) if self.allow_http || http.is_loopback() => Some(http),
            // Without a proxy in front, as in development.
            None if http.is_loopback() && self.public.scheme == Scheme::Http => Some(http),
            _ => Origin::from_authority(Scheme::Https, authority),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_origin(url: &str) -> Origin {
        Origin::from_url(&Url::parse(url).unwrap()).unwrap()
    }

    fn test_hosts(cookie_domain: &str) -> Hosts {
        let redirect =
            ["app.example.com", "wiki.example.org:8443"].iter().map(|h| AllowedHost::parse(h).unwrap());
        Hosts::new(parse_origin("https://oa.example.com"), redirect.collect(), cookie_domain, false)
    }

    #[test]
    fn of_a_forwarded_scheme_the_first_proxys_word_counts_and_a_web_socket_is_its_handshake() {
        for (header, want) in [
            ("https", Some(Scheme::Https)),
            ("http", Some(Scheme::Http)),
            ("https,http", Some(Scheme::Https)),
            ("http, https", Some(Scheme::Http)),
            (" HTTPS , http , http", Some(Scheme::Https)),
            ("wss", Some(Scheme::Https)),
            ("WSS,http", Some(Scheme::Https)),
            ("ws", Some(Scheme::Http)),
            ("", None),
            (",https", None),
            ("ftp,https", None),
        ] {
            assert_eq!(Scheme::parse_forwarded(header), want, "{header:?}");
        }
    }

    #[test]
    fn hosts_compare_without_case_trailing_dot_or_default_port() {
        let a = Origin::from_authority(Scheme::Https, "OA.Example.COM.:443").unwrap();
        assert_eq!(a, parse_origin("https://oa.example.com/"));
        assert_eq!(a.authority(), "oa.example.com");
    }

    #[test]
    fn a_host_header_with_anything_but_a_host_is_no_host() {
        for bad in ["", "a b", "user@oa.example.com", "oa.example.com/x", "oa\\x", "oa#x", "a..", "%"] {
            assert_eq!(Origin::from_authority(Scheme::Https, bad), None, "{bad}");
        }
    }

    #[test]
    fn only_our_own_hosts_are_permitted_and_only_by_an_allowed_scheme() {
        let h = test_hosts("");
        for good in ["https://oa.example.com/x", "https://app.example.com", "https://wiki.example.org:8443/"]
        {
            assert!(h.permits(&parse_origin(good)), "{good}");
        }
        for bad in [
            "https://evil.example",
            "https://evilapp.example.com",
            "https://app.example.com:8443",
            "https://wiki.example.org",
            "http://app.example.com",
            "http://oa.example.com",
            "https://app.example.com.evil.example",
        ] {
            assert!(!h.permits(&parse_origin(bad)), "{bad}");
        }
    }

    #[test]
    fn a_cookie_domain_permits_hosts_below_it_and_not_its_look_alikes() {
        let h = test_hosts(".example.com");
        assert!(h.permits(&parse_origin("https://deep.down.example.com")));
        assert!(!h.permits(&parse_origin("https://example.com")));
        assert!(!h.permits(&parse_origin("https://evilexample.com")));
        let scope = h.cookie_scope(&parse_origin("https://hr.example.com"));
        assert_eq!((scope.audience.as_str(), scope.domain.as_deref()), ("example.com", Some("example.com")));
    }

    #[test]
    fn hash_routes_name_a_host_on_any_port_unless_they_say_one() {
        let routes = ["app.example.com", "wiki.example.org:8443"].map(|h| AllowedHost::parse(h).unwrap());
        let h = test_hosts("").with_hash_routes(routes.to_vec());
        for good in
            ["https://app.example.com", "http://app.example.com:8080", "https://wiki.example.org:8443"]
        {
            assert!(h.has_hash_routes(&parse_origin(good)), "{good}");
        }
        for bad in ["https://oa.example.com", "https://wiki.example.org", "https://a.app.example.com"] {
            assert!(!h.has_hash_routes(&parse_origin(bad)), "{bad}");
        }
        assert!(h.may_contain(&AllowedHost::parse("app.example.com").unwrap()));
        assert!(!h.may_contain(&AllowedHost::parse("hr.example.com").unwrap()));
        assert!(test_hosts(".example.com").may_contain(&AllowedHost::parse("hr.example.com").unwrap()));
    }

    #[test]
    fn every_host_of_ours_has_a_source_expression_and_no_other_host_has_one() {
        let own = ["https://oa.example.com", "https://app.example.com", "https://wiki.example.org:8443"];
        assert_eq!(test_hosts("").csp_sources(), own);
        let below = "https://*.example.com:*";
        assert_eq!(test_hosts(".example.com").csp_sources(), [&own[..], &[below]].concat());
        let here = vec![AllowedHost::parse("127.0.0.1:81").unwrap()];
        let local = Hosts::new(parse_origin("http://127.0.0.1:80"), here, "", false);
        assert_eq!(local.csp_sources(), ["http://127.0.0.1", "https://127.0.0.1:81", "http://127.0.0.1:81"]);
    }

    #[test]
    fn on_loopback_the_audience_has_no_port() {
        let local = parse_origin("http://127.0.0.1:8081");
        assert_eq!(test_hosts("").cookie_scope(&local).audience, "127.0.0.1");
        assert_eq!(
            test_hosts("").cookie_scope(&parse_origin("https://a.example:8443")).audience,
            "a.example:8443"
        );
    }

    #[test]
    fn an_audience_belongs_to_exactly_the_origins_it_is_made_for() {
        for domain in ["", ".example.com"] {
            let h = test_hosts(domain);
            let urls =
                ["https://oa.example.com", "https://a.example:8443", "http://127.0.0.1:81", "http://[::1]:9"];
            for (a, b) in urls.iter().flat_map(|a| urls.map(|b| (parse_origin(a), parse_origin(b)))) {
                let audience = h.cookie_scope(&b).audience;
                assert_eq!(h.is_audience(&a, &audience), h.cookie_scope(&a).audience == audience, "{a} {b}");
            }
        }
    }

    #[test]
    fn the_scheme_is_https_unless_http_is_said_and_allowed() {
        let h = test_hosts("");
        assert_eq!(h.request_origin("app.example.com", Some(Scheme::Http)).unwrap().scheme(), Scheme::Https);
        assert_eq!(h.request_origin("127.0.0.1:9", Some(Scheme::Http)).unwrap().scheme(), Scheme::Http);
        assert_eq!(h.request_origin("oa.example.com", Some(Scheme::Http)).unwrap().scheme(), Scheme::Https);
    }
}

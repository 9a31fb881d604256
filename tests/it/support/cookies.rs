//! A cookie jar that follows RFC 6265bis where it matters to a gateway: host-only and domain
//! cookies, paths, `Secure`, `Max-Age`, the prefixes `__Host-` and `__Secure-`, overwriting, size.
//!
//! What a browser would refuse is refused and recorded, so that a test notices. It is stricter than
//! Chromium in one point: `Secure` needs https even on loopback, as in Safari. Left out are the
//! list of public suffixes (a domain needs a dot), `SameSite` when sending, and `Expires` in the
//! future.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use url::Url;

/// Of name and value together; browsers refuse more.
const MAX_COOKIE_BYTES: usize = 4096;

/// A cookie as the browser keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    pub(crate) domain: String,
    /// Set without `Domain`, so sent only to exactly that host.
    pub(crate) host_only: bool,
    pub(crate) path: String,
    pub(crate) secure: bool,
    pub(crate) http_only: bool,
    /// In lower case.
    pub(crate) same_site: Option<String>,
    /// As sent by the server.
    pub(crate) max_age: Option<Duration>,
    /// By the jar's own time.
    expires: Option<Duration>,
}

/// All cookies of a browser.
#[derive(Clone, Debug)]
pub(crate) struct CookieJar {
    cookies: Vec<Cookie>,
    refused: Vec<(String, &'static str)>,
    since: Instant,
    passed: Duration,
}

impl Default for CookieJar {
    fn default() -> Self {
        Self { cookies: Vec::new(), refused: Vec::new(), since: Instant::now(), passed: Duration::ZERO }
    }
}

impl CookieJar {
    /// Stores the cookie of a `Set-Cookie` header from `url`.
    pub(crate) fn store(&mut self, url: &Url, header: &str) {
        if let Err(reason) = self.try_store(url, header) {
            self.refused.push((header.to_owned(), reason));
        }
    }

    /// Returns the headers that were refused, each with the reason.
    pub(crate) fn refused(&self) -> &[(String, &'static str)] {
        &self.refused
    }

    /// Returns every cookie that has not expired.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Cookie> {
        let now = self.now();
        self.cookies.iter().filter(move |cookie| cookie.expires.is_none_or(|expires| expires > now))
    }

    /// Returns the cookies of this name. Several can differ in host or path.
    pub(crate) fn named(&self, name: &str) -> Vec<&Cookie> {
        self.all().filter(|cookie| cookie.name == name).collect()
    }

    /// Returns the value of the only cookie of this name.
    pub(crate) fn value(&self, name: &str) -> Option<&str> {
        match self.named(name).as_slice() {
            [] => None,
            [cookie] => Some(&cookie.value),
            several => panic!("several cookies of that name: {several:?}"),
        }
    }

    /// Removes cookies, as a person can do in the browser's settings.
    pub(crate) fn remove(&mut self, unwanted: impl Fn(&Cookie) -> bool) {
        self.cookies.retain(|cookie| !unwanted(cookie));
    }

    /// Adds a cookie without any check, as an attacker or a test does.
    pub(crate) fn insert(&mut self, cookie: Cookie) {
        self.cookies.push(cookie);
    }

    /// Moves time forward for `Max-Age`.
    pub(crate) fn advance(&mut self, time: Duration) {
        self.passed += time;
    }

    /// Returns the `Cookie` header for a request to `url`.
    pub(crate) fn header(&self, url: &Url) -> Option<String> {
        let host = url.host_str()?.to_ascii_lowercase();
        let mut sent: Vec<&Cookie> = self
            .all()
            .filter(|cookie| cookie.domain == host || (!cookie.host_only && is_below(&host, &cookie.domain)))
            .filter(|cookie| path_matches(url.path(), &cookie.path))
            .filter(|cookie| !cookie.secure || url.scheme() == "https")
            .collect();
        // A stable sort: paths of equal length stay in the order of creation.
        sent.sort_by_key(|cookie| std::cmp::Reverse(cookie.path.len()));
        let pairs: Vec<String> =
            sent.iter().map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn now(&self) -> Duration {
        self.since.elapsed() + self.passed
    }

    fn try_store(&mut self, url: &Url, header: &str) -> Result<(), &'static str> {
        let host = url.host_str().ok_or("no host")?.to_ascii_lowercase();
        let secure_origin = url.scheme() == "https";
        let (pair, attributes) = header.split_once(';').unwrap_or((header, ""));
        let (name, value) = pair.split_once('=').ok_or("no `=`")?;
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() {
            return Err("no name");
        }
        if name.len() + value.len() > MAX_COOKIE_BYTES {
            return Err("over 4096 bytes");
        }
        if header.chars().any(|c| c.is_control() && c != '\t') {
            return Err("a control character");
        }

        let mut cookie = Cookie {
            name: name.to_owned(),
            value: value.to_owned(),
            domain: host.clone(),
            host_only: true,
            path: default_path(url.path()),
            secure: false,
            http_only: false,
            same_site: None,
            max_age: None,
            expires: None,
        };
        let mut gone = false;
        let mut explicit_path = None;
        for attribute in attributes.split(';') {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            let value = value.trim();
            match key.trim().to_ascii_lowercase().as_str() {
                "domain" if !value.is_empty() => {
                    cookie.domain = value.trim_start_matches('.').to_ascii_lowercase();
                    cookie.host_only = false;
                }
                "path" => explicit_path = Some(value),
                "secure" => cookie.secure = true,
                "httponly" => cookie.http_only = true,
                "samesite" => cookie.same_site = Some(value.to_ascii_lowercase()),
                "max-age" => match value.parse::<i64>() {
                    Ok(seconds) if seconds > 0 => {
                        cookie.max_age = Some(Duration::from_secs(seconds.unsigned_abs()));
                    }
                    Ok(_) => gone = true,
                    Err(_) => {}
                },
                "expires" if cookie.max_age.is_none() && value.contains("1970") => gone = true,
                _ => {}
            }
        }
        if let Some(path) = explicit_path.filter(|path| path.starts_with('/')) {
            path.clone_into(&mut cookie.path);
        }
        cookie.expires = cookie.max_age.map(|age| self.now() + age);

        if !cookie.host_only {
            if host.parse::<IpAddr>().is_ok() || url.host_str().is_some_and(|host| host.starts_with('[')) {
                if cookie.domain != host {
                    return Err("a Domain on an address");
                }
                cookie.host_only = true;
            } else if !cookie.domain.contains('.') {
                return Err("a Domain without a dot");
            } else if cookie.domain != host && !is_below(&host, &cookie.domain) {
                return Err("somebody else's Domain");
            }
        }
        if cookie.secure && !secure_origin {
            return Err("Secure over http");
        }
        if cookie.same_site.as_deref() == Some("none") && !cookie.secure {
            return Err("SameSite=None without Secure");
        }
        let prefix = name.to_ascii_lowercase();
        if prefix.starts_with("__secure-") && !cookie.secure {
            return Err("__Secure- without Secure");
        }
        let rooted = explicit_path == Some("/");
        if prefix.starts_with("__host-") && (!cookie.secure || !cookie.host_only || !rooted) {
            return Err("__Host- needs Secure, Path=/ and no Domain");
        }
        // RFC 6265bis "leave secure cookies alone": http must not overwrite what https has set.
        let shadows = |kept: &Cookie| kept.secure && kept.name == cookie.name && kept.domain == cookie.domain;
        if !secure_origin && self.all().any(shadows) {
            return Err("would replace a Secure cookie from http");
        }

        let same = |kept: &Cookie| {
            (&kept.name, &kept.domain, kept.host_only, &kept.path)
                == (&cookie.name, &cookie.domain, cookie.host_only, &cookie.path)
        };
        let place = self.cookies.iter().position(same);
        match (place, gone) {
            (Some(place), true) => drop(self.cookies.remove(place)),
            (Some(place), false) => self.cookies[place] = cookie, // keeps its place in the order
            (None, true) => {}
            (None, false) => self.cookies.push(cookie),
        }
        Ok(())
    }
}

fn is_below(host: &str, domain: &str) -> bool {
    host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.')) && host.parse::<IpAddr>().is_err()
}

fn default_path(request: &str) -> String {
    match request.rfind('/') {
        Some(end) if end > 0 => request[..end].to_owned(),
        _ => "/".to_owned(),
    }
}

fn path_matches(request: &str, path: &str) -> bool {
    request
        .strip_prefix(path)
        .is_some_and(|rest| rest.is_empty() || path.ends_with('/') || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn jar(set: &[(&str, &str)]) -> CookieJar {
        let mut jar = CookieJar::default();
        for (from, header) in set {
            jar.store(&url(from), header);
        }
        jar
    }

    fn sent(jar: &CookieJar, to: &str) -> String {
        jar.header(&url(to)).unwrap_or_default()
    }

    #[test]
    fn a_cookie_without_domain_goes_to_its_own_host_only() {
        let jar = jar(&[("https://oa.example.com/", "a=1; Path=/")]);
        assert_eq!(sent(&jar, "https://oa.example.com/x"), "a=1");
        assert_eq!(sent(&jar, "https://deep.oa.example.com/"), "");
        assert_eq!(sent(&jar, "https://example.com/"), "");
    }

    #[test]
    fn a_domain_cookie_goes_to_every_host_below_it() {
        let jar = jar(&[("https://oa.example.com/", "a=1; Path=/; Domain=.example.com")]);
        assert_eq!(sent(&jar, "https://crm.example.com/"), "a=1");
        assert_eq!(sent(&jar, "https://example.com/"), "a=1");
        assert_eq!(sent(&jar, "https://badexample.com/"), "");
    }

    #[test]
    fn a_foreign_domain_is_refused() {
        for domain in ["evil.com", "com", "deep.oa.example.com"] {
            let jar = jar(&[("https://oa.example.com/", &format!("a=1; Domain={domain}"))]);
            assert_eq!(jar.all().count(), 0, "{domain}");
            assert_eq!(jar.refused().len(), 1, "{domain}");
        }
        assert_eq!(jar(&[("http://127.0.0.1/", "a=1; Domain=0.0.1")]).all().count(), 0);
    }

    #[test]
    fn the_path_decides_on_whole_segments_and_the_longest_comes_first() {
        let jar = jar(&[("https://h.test/a/b", "one=1"), ("https://h.test/", "two=2; Path=/a/b/c")]);
        assert_eq!(sent(&jar, "https://h.test/a/b/c"), "two=2; one=1");
        assert_eq!(sent(&jar, "https://h.test/a"), "one=1");
        assert_eq!(sent(&jar, "https://h.test/ab"), "");
    }

    #[test]
    fn secure_cookies_stay_on_https() {
        let mut jar = jar(&[("https://h.test/", "a=1; Path=/; Secure"), ("http://h.test/", "b=1; Secure")]);
        assert_eq!(sent(&jar, "https://h.test/"), "a=1");
        assert_eq!(sent(&jar, "http://h.test/"), "");
        jar.store(&url("http://h.test/"), "a=evil; Path=/");
        assert_eq!(sent(&jar, "https://h.test/"), "a=1");
        assert_eq!(jar.refused().len(), 2);
    }

    #[test]
    fn prefixes_hold_what_they_promise() {
        for refused in [
            "__Host-a=1; Secure",
            "__Host-a=1; Path=/",
            "__Host-a=1; Path=/; Secure; Domain=h.test",
            "__host-a=1; Path=/x; Secure",
            "__Secure-a=1; Path=/",
        ] {
            assert_eq!(jar(&[("https://h.test/", refused)]).all().count(), 0, "{refused}");
        }
        let kept = jar(&[
            ("https://oa.h.test/", "__Host-a=1; Path=/; Secure; HttpOnly; SameSite=Lax"),
            ("https://oa.h.test/", "__Secure-b=2; Path=/; Secure; Domain=h.test"),
        ]);
        assert_eq!(sent(&kept, "https://oa.h.test/"), "__Host-a=1; __Secure-b=2");
        assert!(kept.named("__Host-a")[0].http_only);
        assert_eq!(kept.named("__Host-a")[0].same_site.as_deref(), Some("lax"));
    }

    #[test]
    fn cookies_run_out_are_replaced_and_are_deleted() {
        let mut jar = jar(&[("https://h.test/", "a=1; Max-Age=60"), ("https://h.test/", "b=1")]);
        jar.store(&url("https://h.test/"), "b=2");
        assert_eq!(jar.value("b"), Some("2"));
        assert_eq!(jar.named("a")[0].max_age, Some(Duration::from_secs(60)));
        jar.advance(Duration::from_secs(61));
        assert_eq!(jar.value("a"), None);
        jar.store(&url("https://h.test/"), "b=; Max-Age=0");
        assert_eq!(jar.value("b"), None);
        jar.store(&url("https://h.test/"), "c=1");
        jar.store(&url("https://h.test/"), "c=; Expires=Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(jar.all().count(), 0);
    }

    #[test]
    fn what_no_browser_keeps_is_refused() {
        let long = format!("a={}", "x".repeat(4096));
        for header in ["nothing", "=1", "a=1\u{7}; Path=/", "a=1; SameSite=None", &long] {
            let jar = jar(&[("https://h.test/", header)]);
            assert_eq!((jar.all().count(), jar.refused().len()), (0, 1), "{header}");
        }
    }

    #[test]
    fn a_person_can_remove_and_an_attacker_can_copy_cookies() {
        let victim = jar(&[("https://h.test/", "a=1; Path=/; Secure")]);
        let mut thief = CookieJar::default();
        victim.all().for_each(|cookie| thief.insert(cookie.clone()));
        assert_eq!(sent(&thief, "https://h.test/"), "a=1");
        thief.remove(|cookie| cookie.name == "a");
        assert_eq!(sent(&thief, "https://h.test/"), "");
    }
}

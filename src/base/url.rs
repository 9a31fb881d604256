//! `ReturnTo`, the only way to a redirect target, and percent-encoding for the parts of URLs.
//!
//! A target that looks harmless as text may mean another host to a browser (`/\evil`, `//evil`, a
//! tab in the middle): about six hundred such spellings are known. So a target is parsed as a
//! browser parses it (WHATWG URL Standard), judged by the parsed origin, and always sent as an
//! absolute URL. See [design: redirect targets](crate::design#redirect-targets).

use url::Url;

use super::host::{Hosts, Origin};

/// A place where a browser may be sent: an absolute URL on a host of this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReturnTo {
    url: Url,
    origin: Origin,
}

/// The reason why no browser is sent to a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Control characters, a backslash in host or path, user information, or a path that begins
    /// with `//`.
    #[error("the target is neither a path nor an http(s) URL")]
    NoUrl,
    /// A host that is not one of this installation.
    #[error("the target's host is not one of this installation")]
    OtherHost,
    /// Its path alone is longer than a sign-in carries.
    #[error("the target's path is longer than 1024 bytes")]
    TooLong,
    /// `javascript:`, `wxwork:` and the like.
    #[error("the target has a scheme of its own, neither http nor https")]
    OwnScheme,
}

impl ReturnTo {
    /// Parses the `rd` of a client: a path (a page of `base`) or an absolute http(s) URL.
    ///
    /// People type targets, too: white space around one is removed, a blank or another character
    /// that no URL has is encoded as a browser encodes it, and http becomes https for a host of
    /// ours that has https only.
    ///
    /// # Errors
    /// [`BadTarget`] unless the result, read as a browser reads it, is on a host that `hosts`
    /// permits.
    pub(crate) fn parse(raw: &str, base: &Origin, hosts: &Hosts) -> Result<Self, BadTarget> {
        let blank = |c: char| c.is_whitespace() || c == '\u{feff}' || c == '\u{200b}';
        let raw = raw.trim_matches(blank);
        if raw.is_empty() || raw.chars().any(|c| c.is_control() || c == '\u{fffd}') {
            return Err(BadTarget::NoUrl);
        }
        // In host and path a browser reads a backslash as a slash, and other programs do not. After
        // that it is text.
        let (page, rest) = raw.split_at(raw.find(['?', '#']).unwrap_or(raw.len()));
        if page.contains('\\') {
            return Err(BadTarget::NoUrl);
        }
        let raw = &format!("{page}{}", rest.replace('\\', "%5C"));
        let lower = raw.get(..8).unwrap_or(raw).to_ascii_lowercase();
        let absolute = lower.starts_with("https://") || lower.starts_with("http://");
        let path = raw.starts_with('/') && !raw.starts_with("//");
        if !absolute && !path {
            return Err(classify_bad_target(raw, hosts));
        }
        let mut url =
            Url::parse(&base.to_string()).and_then(|base| base.join(raw)).map_err(|_| BadTarget::NoUrl)?;
        // The authority as written must be the authority as parsed: no user information, no escapes
        // in it.
        let written = raw.split('/').nth(2).unwrap_or_default();
        let authority = written.split(['?', '#']).next().unwrap_or_default();
        if absolute && (authority.is_empty() || authority.contains(|c| "@%".contains(c) || blank(c))) {
            return Err(BadTarget::NoUrl);
        }
        if url.path().starts_with("//") {
            return Err(BadTarget::NoUrl);
        }
        // From here on only the parsed URL counts, as a browser would read it.
        let mut origin = Origin::from_url(&url).ok_or(BadTarget::NoUrl)?;
        // People type http out of habit.
        if absolute && !hosts.permits(&origin) {
            let upgraded = upgrade_to_https(&url).and_then(|url| Some((Origin::from_url(&url)?, url)));
            if let Some((https, upgraded)) = upgraded.filter(|(https, _)| hosts.permits(https)) {
                (origin, url) = (https, upgraded);
            }
        }
        // A path that the parser reads as another host, such as `/\t/evil`.
        if path && origin != *base {
            return Err(BadTarget::NoUrl);
        }
        if !hosts.permits(&origin) {
            return Err(BadTarget::OtherHost);
        }
        Ok(Self { url, origin })
    }

    /// Returns the absolute URL, ASCII only, fit for a Location header.
    pub(crate) fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// Returns the absolute URL for a Location that ends a sign-in. It always has a fragment, an
    /// empty one if the page has none.
    ///
    /// A Location without a fragment inherits that of the address before it (RFC 9110 §10.2.2), and
    /// the links by which WeCom signs people in end in `#wechat_redirect`. Pages that route by the
    /// fragment would look for that page. See [design: fragments](crate::design#fragments).
    pub(crate) fn location(&self) -> String {
        let joint = if self.has_fragment() { "" } else { "#" };
        format!("{}{joint}", self.url)
    }

    /// Whether the target has a fragment of its own, which may be empty.
    pub(crate) fn has_fragment(&self) -> bool {
        self.url.fragment().is_some()
    }

    /// Returns the target's scheme, host and port.
    pub(crate) const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the target for a link on its own host: path, query and fragment.
    pub(crate) fn relative(&self) -> &str {
        self.url.as_str().get(self.url.origin().ascii_serialization().len()..).unwrap_or("/")
    }

    /// Returns the path, percent-encoded as a browser sends it.
    pub(crate) fn path(&self) -> &str {
        self.url.path()
    }

    /// Returns the target without query and fragment, for a target that is too long to carry.
    #[must_use]
    pub(crate) fn path_only(&self) -> Self {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        Self { url, origin: self.origin.clone() }
    }
}

/// Returns the https form of an http URL.
fn upgrade_to_https(url: &Url) -> Option<Url> {
    let mut upgraded = url.clone();
    (url.scheme() == "http" && upgraded.set_scheme("https").is_ok()).then_some(upgraded)
}

/// Finds the reason why a text is neither a path nor an http(s) URL.
fn classify_bad_target(raw: &str, hosts: &Hosts) -> BadTarget {
    if raw.starts_with("//") {
        // A browser reads it as a host. It is refused even for a host of ours, because proxies read
        // it as a path.
        let origin = Url::parse(&format!("https:{raw}")).ok().and_then(|url| Origin::from_url(&url));
        return match origin {
            Some(origin) if !hosts.permits(&origin) => BadTarget::OtherHost,
            _ => BadTarget::NoUrl,
        };
    }
    let Some((scheme, rest)) = raw.split_once(':') else { return BadTarget::NoUrl };
    let syntax = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b));
    let http = scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https");
    // The person who typed `app.example.com:8443/x` meant a host with a port.
    let host =
        (scheme.contains('.') || scheme == "localhost") && rest.starts_with(|c: char| c.is_ascii_digit());
    if syntax && !http && !host { BadTarget::OwnScheme } else { BadTarget::NoUrl }
}

/// Whether every application reads `path` alike: segments of letters, digits and `-._~`, none of
/// them empty or of dots alone.
pub(crate) fn is_plain_path(path: &str) -> bool {
    let Some(rest) = path.strip_prefix('/') else { return false };
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~".contains(&b);
    let segment = |s: &str| !s.is_empty() && s.bytes().all(plain) && !s.bytes().all(|b| b == b'.');
    rest.split('/').all(segment)
}

/// Percent-encodes `text` as one component of a query (RFC 3986 §2.3: unreserved characters stay as
/// they are).
pub(crate) fn percent_encode(text: &str) -> String {
    urlencoding::encode(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::host::{AllowedHost, Scheme};
    use proptest::prelude::*;

    fn base_origin() -> Origin {
        Origin::from_authority(Scheme::Https, "oa.example.com").unwrap()
    }

    fn test_hosts() -> Hosts {
        Hosts::new(base_origin(), vec![AllowedHost::parse("app.example.com").unwrap()], "", false)
    }

    fn parse_target(raw: &str) -> Result<String, BadTarget> {
        ReturnTo::parse(raw, &base_origin(), &test_hosts()).map(|r| r.as_str().to_owned())
    }

    #[test]
    fn paths_mean_the_requesting_host_and_absolute_urls_themselves() {
        assert_eq!(parse_target("/a?x=1&y=2#z").unwrap(), "https://oa.example.com/a?x=1&y=2#z");
        assert_eq!(
            parse_target("https://app.example.com/待办").unwrap(),
            "https://app.example.com/%E5%BE%85%E5%8A%9E"
        );
        assert_eq!(parse_target("HTTPS://APP.example.com:443").unwrap(), "https://app.example.com/");
    }

    #[test]
    fn a_page_has_a_shorter_name_on_its_own_host() {
        for (raw, relative) in
            [("/a?x=1#z", "/a?x=1#z"), ("https://app.example.com", "/"), ("/待", "/%E5%BE%85")]
        {
            assert_eq!(ReturnTo::parse(raw, &base_origin(), &test_hosts()).unwrap().relative(), relative);
        }
    }

    #[test]
    fn a_location_has_the_pages_own_fragment_or_an_empty_one() {
        let location = |raw| ReturnTo::parse(raw, &base_origin(), &test_hosts()).unwrap().location();
        assert_eq!(location("/a?x=1"), "https://oa.example.com/a?x=1#");
        assert_eq!(location("/a#"), "https://oa.example.com/a#");
        assert_eq!(location("/#/todo/3"), "https://oa.example.com/#/todo/3");
    }

    #[test]
    fn another_host_or_scheme_is_refused_however_it_is_spelt() {
        for bad in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\/evil",
            "https:evil.example",
            "https:/evil.example",
            "https:///evil.example",
            "https://evil.example",
            "https://oa.example.com@evil.example/",
            "https://oa.example.com.evil.example",
            "javascript:alert(1)",
            "app",
            "https://app.example.com:8443/",
            "/\t/evil",
            "/x\r\ny",
            "/.//evil.example",
            "/..//evil",
            "https://oa.example.com%00.evil.example/",
            "https://oa.example.com\\@evil.example",
        ] {
            assert!(parse_target(bad).is_err(), "{bad:?} became {:?}", parse_target(bad));
        }
    }

    #[test]
    fn targets_that_people_type_are_read_as_a_browser_reads_them() {
        for (typed, read) in [
            ("/a b", "https://oa.example.com/a%20b"),
            (" /x", "https://oa.example.com/x"),
            ("/x \u{3000}\r\n\u{feff}", "https://oa.example.com/x"),
            (
                "/待办\u{3000}一?q=a b#c d",
                "https://oa.example.com/%E5%BE%85%E5%8A%9E%E3%80%80%E4%B8%80?q=a%20b#c%20d",
            ),
            ("/x?dir=C:\\a", "https://oa.example.com/x?dir=C:%5Ca"),
            ("/<\"{`|}>?<\">", "https://oa.example.com/%3C%22%7B%60|%7D%3E?%3C%22%3E"),
            ("http://app.example.com/x", "https://app.example.com/x"),
            ("\thttp://OA.example.com:80/x ", "https://oa.example.com/x"),
        ] {
            assert_eq!(parse_target(typed).as_deref(), Ok(read), "{typed:?}");
        }
        assert_eq!(parse_target("http://app.example.com:8443/"), Err(BadTarget::OtherHost), "no such port");
        let plain = Hosts::new(base_origin(), vec![AllowedHost::parse("app.example.com").unwrap()], "", true);
        let kept = ReturnTo::parse("http://app.example.com/", &base_origin(), &plain).unwrap();
        assert_eq!(kept.as_str(), "http://app.example.com/", "where http is allowed it stays");
    }

    #[test]
    fn a_refusal_names_its_real_reason() {
        use BadTarget::{NoUrl, OtherHost, OwnScheme};
        for (bad, why) in [
            ("", NoUrl),
            ("app", NoUrl),
            ("oa.example.com/x", NoUrl),
            ("app.example.com:8443/x", NoUrl),
            ("/\\x", NoUrl),
            ("https:/x", NoUrl),
            ("https://oa.example.com /x", NoUrl),
            ("https://u@oa.example.com/", NoUrl),
            ("//oa.example.com/x", NoUrl),
            ("//evil.example", OtherHost),
            ("http://evil.example/x", OtherHost),
            ("https://app.example.com:8443/", OtherHost),
            ("javascript:alert(1)", OwnScheme),
            ("wxwork://x", OwnScheme),
            ("ftp://oa.example.com/", OwnScheme),
            ("tel:123", OwnScheme),
        ] {
            assert_eq!(parse_target(bad), Err(why), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_on_a_permitted_host(raw in "[ \u{3000}]?(/|//|https?:|https?://|https?://(oa|app).example.com)?[a-z./\\\\@:%0-9?#。／ \u{3000}\t-]{0,40}") {
            if let Ok(accepted) = ReturnTo::parse(&raw, &base_origin(), &test_hosts()) {
                let again = Url::parse(accepted.as_str()).unwrap();
                prop_assert!(matches!(again.host_str(), Some("oa.example.com" | "app.example.com")), "{raw:?}");
                prop_assert_eq!(again.scheme(), "https");
                prop_assert!(again.username().is_empty());
                prop_assert!(accepted.as_str().is_ascii());
            }
        }
    }
}

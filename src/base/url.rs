//! `ReturnTo`, the one door to a redirect target, and percent-encoding for the places URLs are put into.
//!
//! A target that looks harmless as text may mean another host to a browser (`/\evil`, `//evil`, a tab in the
//! middle): field knowledge has some six hundred spellings. So a target is parsed as a browser parses it
//! (WHATWG URL Standard), judged by the parsed origin, and always sent as an absolute URL.

use url::Url;

use super::host::{Hosts, Origin};

/// Where a browser may be sent: an absolute URL on a host of this installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReturnTo {
    url: Url,
    origin: Origin,
}

/// A target that no browser is sent to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTarget {
    /// Control characters, backslashes, user information, another scheme, a path that begins with `//`.
    #[error("the target is not a plain path or http(s) URL")]
    Malformed,
    /// A host that is none of ours.
    #[error("the target's host is not one of this installation")]
    Host,
}

impl ReturnTo {
    /// Parses what a client sent as `rd`: a path (meaning a page of `base`) or an absolute http(s) URL.
    ///
    /// # Errors
    /// [`BadTarget`] unless the result, read as a browser reads it, is on a host that `hosts` permits.
    pub fn parse(raw: &str, base: &Origin, hosts: &Hosts) -> Result<Self, BadTarget> {
        let odd = |c: char| c.is_control() || c.is_whitespace() || c == '\\' || c == '\u{fffd}';
        if raw.is_empty() || raw.chars().any(odd) {
            return Err(BadTarget::Malformed);
        }
        let lower = raw.get(..8).unwrap_or(raw).to_ascii_lowercase();
        let absolute = lower.starts_with("https://") || lower.starts_with("http://");
        let path = raw.starts_with('/') && !raw.starts_with("//");
        if !absolute && !path {
            return Err(BadTarget::Malformed);
        }
        let url = Url::parse(&base.to_string())
            .and_then(|base| base.join(raw))
            .map_err(|_| BadTarget::Malformed)?;
        // The authority as written must be the authority as parsed: no user information, no escapes in it.
        let written = raw.split('/').nth(2).unwrap_or_default();
        let authority = written.split(['?', '#']).next().unwrap_or_default();
        if absolute && (authority.is_empty() || authority.contains(['@', '%'])) {
            return Err(BadTarget::Malformed);
        }
        if url.path().starts_with("//") {
            return Err(BadTarget::Malformed);
        }
        let origin = Origin::of(&url).ok_or(BadTarget::Malformed)?;
        if path && origin != *base {
            return Err(BadTarget::Malformed);
        }
        if !hosts.permits(&origin) {
            return Err(BadTarget::Host);
        }
        Ok(Self { url, origin })
    }

    /// The absolute URL, ASCII only, fit for a Location header.
    pub fn as_str(&self) -> &str {
        self.url.as_str()
    }

    /// The absolute URL for a Location that ends a sign-in: always with a fragment, an empty one where the page has
    /// none.
    ///
    /// A Location without a fragment inherits that of the address before it (RFC 9110 §10.2.2), and the links by which
    /// WeCom signs people in end in `#wechat_redirect`: pages that route by the fragment would look for that page.
    pub fn location(&self) -> String {
        let joint = if self.has_fragment() { "" } else { "#" };
        format!("{}{joint}", self.url)
    }

    /// Whether the page is named with a fragment of its own, which may be empty.
    pub fn has_fragment(&self) -> bool {
        self.url.fragment().is_some()
    }

    /// The target's scheme, host and port.
    pub const fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The page as a link on its own host may name it: path, query and fragment.
    pub fn relative(&self) -> &str {
        self.url.as_str().get(self.url.origin().ascii_serialization().len()..).unwrap_or("/")
    }

    /// The path, percent-encoded as a browser sends it.
    pub fn path(&self) -> &str {
        self.url.path()
    }

    /// The same page without query and fragment: what is left of a target that is too long to carry.
    #[must_use]
    pub fn path_only(&self) -> Self {
        let mut url = self.url.clone();
        url.set_query(None);
        url.set_fragment(None);
        Self { url, origin: self.origin.clone() }
    }
}

/// Percent-encodes `text` as one component of a query (RFC 3986 §2.3 unreserved stay as they are).
pub fn encode(text: &str) -> String {
    urlencoding::encode(text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::host::{AllowedHost, Scheme};
    use proptest::prelude::*;

    fn base() -> Origin {
        Origin::from_authority(Scheme::Https, "oa.example.com").unwrap()
    }

    fn hosts() -> Hosts {
        Hosts::new(base(), vec![AllowedHost::parse("app.example.com").unwrap()], "", false)
    }

    fn parse(raw: &str) -> Result<String, BadTarget> {
        ReturnTo::parse(raw, &base(), &hosts()).map(|r| r.as_str().to_owned())
    }

    #[test]
    fn paths_mean_the_requesting_host_and_absolute_urls_themselves() {
        assert_eq!(parse("/a?x=1&y=2#z").unwrap(), "https://oa.example.com/a?x=1&y=2#z");
        assert_eq!(
            parse("https://app.example.com/待办").unwrap(),
            "https://app.example.com/%E5%BE%85%E5%8A%9E"
        );
        assert_eq!(parse("HTTPS://APP.example.com:443").unwrap(), "https://app.example.com/");
    }

    #[test]
    fn a_page_has_a_shorter_name_on_its_own_host() {
        for (raw, relative) in
            [("/a?x=1#z", "/a?x=1#z"), ("https://app.example.com", "/"), ("/待", "/%E5%BE%85")]
        {
            assert_eq!(ReturnTo::parse(raw, &base(), &hosts()).unwrap().relative(), relative);
        }
    }

    #[test]
    fn a_location_has_the_pages_own_fragment_or_an_empty_one() {
        let location = |raw| ReturnTo::parse(raw, &base(), &hosts()).unwrap().location();
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
            "http://app.example.com/",
            "javascript:alert(1)",
            "app",
            "https://app.example.com:8443/",
            "/\t/evil",
            " /x",
            "/x\r\ny",
            "/.//evil.example",
            "/..//evil",
            "https://oa.example.com%00.evil.example/",
            "https://oa.example.com\\@evil.example",
        ] {
            assert!(parse(bad).is_err(), "{bad:?} became {:?}", parse(bad));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_accepted_is_on_a_permitted_host(raw in "(/|//|https?:|https://)?[a-z./\\\\@:%0-9?#。／ \t-]{0,40}") {
            if let Ok(accepted) = ReturnTo::parse(&raw, &base(), &hosts()) {
                let again = Url::parse(accepted.as_str()).unwrap();
                prop_assert!(matches!(again.host_str(), Some("oa.example.com" | "app.example.com")), "{raw:?}");
                prop_assert_eq!(again.scheme(), "https");
                prop_assert!(again.username().is_empty());
                prop_assert!(accepted.as_str().is_ascii());
            }
        }
    }
}

//! The target of a sign-in: a page, or another host that handed the sign-in over. Also how it
//! travels through WeCom ([design: attempts](crate::design#attempts)).
//!
//! A target travels as text. Up to 256 bytes go into redirect_uri (WeCom compares only host and
//! port). Up to 1 KB go into the attempt's cookie, and then the path alone into redirect_uri. A
//! longer target is cut to its path. Only the length as the client wrote it counts, so the host of
//! a relative target does not. The state has the hash of the text in redirect_uri and the hash of
//! the cookie.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::sealed_state::{ATTEMPT_LIFETIME, Hash16, hash16};
use crate::base::clock::Timestamp;
use crate::base::host::{Hosts, Origin, Scheme};
use crate::base::seal::{Sealer, UnsealError};
use crate::base::url::{BadTarget, ReturnTo, percent_encode};

/// The longest target that redirect_uri carries, in bytes.
const MAX_REDIRECT_URI_TARGET_BYTES: usize = 256;
/// The longest target that the cookie carries, in bytes.
const MAX_COOKIE_TARGET_BYTES: usize = 1024;

/// The link of a message on a host that proxies only `/_gongpai/` to us. It is the only page there
/// that can be a target.
const MESSAGE_LINK_PREFIX: &str = "/_gongpai/m/";

/// Our own sign-in pages. A target there would send the browser in circles, or sign it out.
const SIGN_IN_PREFIXES: [&str; 7] = [
    "/sso/login",
    "/sso/callback",
    "/sso/finish",
    "/sso/logout",
    "/_gongpai/",
    "/qiyeweixinsso.html",
    "/x_desktop/qiyeweixinsso.html",
];

/// Where a sign-in leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum SignInTarget {
    /// A page, and its name on the requesting host.
    Page(ReturnTo, String),
    /// The host that handed the sign-in over: the sealed text, and its contents.
    HandOff(String, HandOff),
}

/// A sign-in that began on another host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HandOff {
    pub origin: Origin,
    /// The page on that host.
    pub page: ReturnTo,
    /// The hash of the attempt cookie on that host.
    pub cookie: Hash16,
    pub started_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
struct HandOffWire {
    #[serde(rename = "s")]
    scheme: String,
    #[serde(rename = "h")]
    authority: String,
    #[serde(rename = "r")]
    page: String,
    #[serde(rename = "c")]
    cookie: String,
    #[serde(rename = "t")]
    started_at: i64,
}

impl HandOff {
    /// Seals it, as base64url.
    pub(crate) fn seal(&self, sealer: &Sealer) -> String {
        let wire = HandOffWire {
            scheme: self.origin.scheme().as_str().to_owned(),
            authority: self.origin.authority(),
            page: self.page.as_str().to_owned(),
            cookie: hex::encode(self.cookie),
            started_at: self.started_at.millis(),
        };
        let plain = serde_json::to_vec(&wire).unwrap_or_default();
        URL_SAFE_NO_PAD.encode(sealer.seal(&plain, b""))
    }

    /// Opens and validates it: it must be ours, and for a host that is still permitted. Its age is
    /// checked by [`HandOff::is_expired`].
    ///
    /// # Errors
    /// [`UnsealError`].
    pub(crate) fn open(text: &str, sealer: &Sealer, hosts: &Hosts) -> Result<Self, UnsealError> {
        let sealed = URL_SAFE_NO_PAD.decode(text).map_err(|_| UnsealError)?;
        let plain = sealer.open(&sealed, b"")?;
        let wire: HandOffWire = serde_json::from_slice(&plain).map_err(|_| UnsealError)?;
        let scheme = Scheme::parse(&wire.scheme).ok_or(UnsealError)?;
        let origin = Origin::from_authority(scheme, &wire.authority).ok_or(UnsealError)?;
        let page = ReturnTo::parse(&wire.page, &origin, hosts).map_err(|_| UnsealError)?;
        let started_at = Timestamp::from_millis(wire.started_at);
        let cookie = hex::decode(&wire.cookie).ok().and_then(|b| b.try_into().ok()).ok_or(UnsealError)?;
        // The host may have been removed from the configuration since.
        if !hosts.permits(&origin) {
            return Err(UnsealError);
        }
        Ok(Self { origin, page, cookie, started_at })
    }

    /// Returns whether the attempt cookie on that host has expired. A ticket would then be useless,
    /// so that host must start again.
    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        now.since(self.started_at) >= ATTEMPT_LIFETIME
    }

    /// Returns the URL at which that host starts again.
    pub(crate) fn restart_location(&self) -> String {
        format!("{}/_gongpai/login?rd={}", self.origin, percent_encode(self.page.as_str()))
    }
}

/// Validates an `rd` of a client: a page of `base` or of another permitted host. Without one,
/// `landing` is the target. A page that is too long to travel is cut to its path.
///
/// # Errors
/// [`BadTarget`].
pub(crate) fn parse_page(
    rd: Option<&str>,
    landing: &str,
    base: &Origin,
    hosts: &Hosts,
) -> Result<ReturnTo, BadTarget> {
    let wanted = rd.filter(|rd| !rd.is_empty()).unwrap_or(landing);
    let mut page = ReturnTo::parse(wanted, base, hosts)?;
    let path = page.path();
    if SIGN_IN_PREFIXES.iter().any(|never| path.starts_with(never)) && !path.starts_with(MESSAGE_LINK_PREFIX)
    {
        // A sign-in page is no target; the sign-in ends at the landing page instead.
        page = ReturnTo::parse(landing, base, hosts)?;
    }
    if name_on_host(&page, base).len() > MAX_COOKIE_TARGET_BYTES {
        page = page.path_only();
    }
    if name_on_host(&page, base).len() > MAX_COOKIE_TARGET_BYTES { Err(BadTarget::TooLong) } else { Ok(page) }
}

/// Returns whether `path` is a page of ours and not of an application.
pub(super) fn is_own_page(path: &str) -> bool {
    path.starts_with("/sso/") || SIGN_IN_PREFIXES.iter().any(|never| path.starts_with(never))
}

/// Returns the name of a page on `base`.
fn name_on_host<'p>(page: &'p ReturnTo, base: &Origin) -> &'p str {
    if page.origin() == base { page.relative() } else { page.as_str() }
}

impl SignInTarget {
    /// Makes the target of a request to `base`, where a page of its own has a short name.
    pub(crate) fn from_page(page: ReturnTo, base: &Origin) -> Self {
        let text = name_on_host(&page, base).to_owned();
        Self::Page(page, text)
    }

    /// Returns the text that travels and that the state's hash is made of.
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Page(_, text) => text,
            Self::HandOff(sealed, _) => sealed,
        }
    }

    /// Returns the name of the parameter under which it travels.
    pub(crate) const fn parameter(&self) -> &'static str {
        match self {
            Self::Page(..) => "rd",
            Self::HandOff(..) => "h",
        }
    }

    /// Returns the hash for the state.
    pub(crate) fn hash(&self) -> Hash16 {
        hash16(format!("{}:{}", self.parameter(), self.text()).as_bytes())
    }

    /// Returns what travels in redirect_uri: the target itself, or only its path if the cookie
    /// carries the target (the cookie may be dropped). `None` if even the path is too long.
    pub(crate) fn in_redirect_uri(&self, sealer: &Sealer) -> Option<Self> {
        if self.fits_redirect_uri() {
            return Some(self.clone());
        }
        let shorter = match self {
            Self::Page(page, text) => {
                let page = page.path_only();
                let text = if text.starts_with('/') { page.relative() } else { page.as_str() }.to_owned();
                Self::Page(page, text)
            }
            Self::HandOff(_, hand_off) => {
                let hand_off = HandOff { page: hand_off.page.path_only(), ..hand_off.clone() };
                Self::HandOff(hand_off.seal(sealer), hand_off)
            }
        };
        shorter.fits_redirect_uri().then_some(shorter)
    }

    /// Returns whether it travels in redirect_uri. Otherwise the cookie carries it.
    pub(crate) fn fits_redirect_uri(&self) -> bool {
        match self {
            Self::Page(_, text) => text.len() <= MAX_REDIRECT_URI_TARGET_BYTES,
            // The sealed text is longer by a constant.
            Self::HandOff(_, hand_off) => hand_off.page.relative().len() <= MAX_REDIRECT_URI_TARGET_BYTES,
        }
    }

    /// Returns the text for the cookie: parameter and target.
    pub(crate) fn to_cookie_text(&self) -> String {
        format!("{}:{}", self.parameter(), self.text())
    }

    /// Returns the page at which the browser ends up.
    pub(crate) fn page(&self) -> &ReturnTo {
        match self {
            Self::Page(page, _) => page,
            Self::HandOff(_, hand_off) => &hand_off.page,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::host::AllowedHost;
    use crate::base::seal::SealPurpose;

    fn hosts() -> Hosts {
        let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
        Hosts::new(public, vec![AllowedHost::parse("app.example.com").unwrap()], "", false)
    }

    fn parsed(rd: &str) -> String {
        let hosts = hosts();
        parse_page(Some(rd), "/home", hosts.public(), &hosts).unwrap().as_str().to_owned()
    }

    #[test]
    fn a_target_on_our_own_sign_in_pages_becomes_the_landing_page() {
        for rd in ["/sso/login?rd=/x", "/sso/logout", "/_gongpai/login", "/qiyeweixinsso.html"] {
            assert_eq!(parsed(rd), "https://oa.example.com/home");
        }
    }

    #[test]
    fn a_messages_link_is_a_target_under_both_its_names_and_nothing_else_of_ours_slips_in_with_it() {
        for link in ["/sso/m/abc", "/_gongpai/m/abc", "/_gongpai/m/abc?again=1"] {
            assert_eq!(parsed(link), format!("https://oa.example.com{link}"));
        }
        for rd in ["/_gongpai/m/../logout", "/_gongpai/m", "/_gongpai/mm/abc", "/_gongpai/m/%2e%2e/logout"] {
            assert_eq!(parsed(rd), "https://oa.example.com/home", "{rd}");
        }
    }

    #[test]
    fn of_a_target_that_is_too_long_the_path_travels_and_a_path_that_is_too_long_is_refused() {
        let query = "y".repeat(1100);
        assert_eq!(parsed(&format!("/x?{query}")), "https://oa.example.com/x");
        let hosts = hosts();
        let refused = parse_page(Some(&format!("/{query}")), "/home", hosts.public(), &hosts);
        assert_eq!(refused, Err(BadTarget::TooLong));
    }

    #[test]
    fn of_a_target_in_the_cookie_the_path_rides_along_in_redirect_uri() {
        let (hosts, sealer) = (hosts(), Sealer::new(&[1; 32], SealPurpose::HandOff));
        let rides = |rd: String| {
            let page = parse_page(Some(&rd), "/home", hosts.public(), &hosts).unwrap();
            SignInTarget::from_page(page, hosts.public())
                .in_redirect_uri(&sealer)
                .map(|t| t.text().to_owned())
        };
        let query = "y".repeat(600);
        assert_eq!(rides("/x?y".to_owned()).as_deref(), Some("/x?y"));
        assert_eq!(rides(format!("/todo/3?{query}#z")).as_deref(), Some("/todo/3"));
        let elsewhere = rides(format!("https://app.example.com/a?{query}"));
        assert_eq!(elsewhere.as_deref(), Some("https://app.example.com/a"));
        assert_eq!(rides(format!("/{query}")), None);
    }

    #[test]
    fn a_hand_off_opens_only_while_its_host_is_permitted_and_says_when_it_is_too_old() {
        let (hosts, sealer) = (hosts(), Sealer::new(&[1; 32], SealPurpose::HandOff));
        let origin = Origin::from_authority(Scheme::Https, "app.example.com").unwrap();
        let now = Timestamp::from_millis(1_000_000);
        let hand_off = HandOff {
            page: ReturnTo::parse("/待办?a=1&b=2", &origin, &hosts).unwrap(),
            origin,
            cookie: [9; 16],
            started_at: now,
        };
        let text = hand_off.seal(&sealer);
        let opened = HandOff::open(&text, &sealer, &hosts).unwrap();
        assert_eq!(opened, hand_off);
        assert!(!opened.is_expired(now) && opened.is_expired(now.plus(ATTEMPT_LIFETIME)));
        let fewer = Hosts::new(hosts.public().clone(), vec![], "", false);
        assert_eq!(HandOff::open(&text, &sealer, &fewer), Err(UnsealError));
        assert_eq!(HandOff::open("AAAA", &sealer, &hosts), Err(UnsealError));
    }
}

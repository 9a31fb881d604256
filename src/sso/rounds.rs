//! Rounds: a browser that is signed in, and that the gate sends to sign in again for the same page.
//!
//! A cookie of our name that somebody else put at the path of a page does that: beside ours it makes two, which are
//! nobody, and the sign-in pages lie elsewhere and see only the good one. So what ends a sign-in removes what may lie
//! on the way to the page ([`super::planted`]), and counts; a browser that comes back all the same is told why.

use std::time::Duration;

use axum::http::HeaderMap;

use super::error::SsoError;
use super::planted::describe_planted;
use super::target::Target;
use super::{Sso, marker};
use crate::base::clock::Timestamp;
use crate::base::secret::sha256_hex;
use crate::http::cookie::SetCookie;
use crate::http::visit::Visit;

/// How often a browser that is signed in may come back for the same page before it is told.
const MAX_ROUNDS: usize = 2;

/// The gate sends a browser back at once; a person who opens a page again takes longer.
const ROUND_PAUSE: Duration = Duration::from_secs(10);

const ROUND_MARKER: &str = "r";

/// A page's name in the marker.
fn page_mark(page: &str) -> String {
    sha256_hex(page).chars().take(8).collect()
}

/// How many rounds a browser has made for `page` when a sign-in that began at `started` ends; `None`: one too many.
///
/// Only a start made after the previous end counts: tabs that began together all end without having had a chance to
/// show what the first one got.
fn count_round(
    headers: &HeaderMap,
    secure: bool,
    page: &str,
    signed_in: bool,
    started: Timestamp,
) -> Option<usize> {
    let text = marker::value(headers, &marker::name(ROUND_MARKER, secure)).unwrap_or_default();
    let mut parts = text.split('.');
    let before = (|| {
        let (count, ended) = (parts.next()?.parse::<usize>().ok()?, parts.next()?.parse::<i64>().ok()?);
        (parts.next()? == page_mark(page)).then_some((count, Timestamp::from_millis(ended)))
    })();
    let count = match before {
        Some((count, ended)) if signed_in && started <= ended => count,
        Some((count, ended)) if signed_in && started.since(ended) <= ROUND_PAUSE => count.saturating_add(1),
        _ => 0,
    };
    (count <= MAX_ROUNDS).then_some(count)
}

impl Sso {
    /// The round that ends with this answer, if `target` is reached from this host; counted where somebody else can
    /// set a cookie of the session's name.
    ///
    /// # Errors
    /// [`SsoError::TooManyRounds`].
    pub(super) fn count_round(
        &self,
        visit: &Visit,
        target: &Target,
        signed_in: bool,
        started: Timestamp,
    ) -> Result<usize, SsoError> {
        if !self.can_be_planted(visit) || !self.ends_here(target) {
            return Ok(0);
        }
        let page = target.page();
        count_round(&visit.headers, visit.secure(), page.as_str(), signed_in, started)
            .ok_or_else(|| SsoError::TooManyRounds(describe_planted(visit, page)))
    }

    /// What an answer that leads to `target` sets for its round: the count, and the removal of what may lie on the way.
    pub(super) fn round_cookies(&self, visit: &Visit, target: &Target, round: usize) -> Vec<SetCookie> {
        if !self.can_be_planted(visit) || !self.ends_here(target) {
            return Vec::new();
        }
        let mark = page_mark(target.page().as_str());
        let marker = SetCookie {
            name: marker::name(ROUND_MARKER, visit.secure()),
            value: format!("{round}.{}.{mark}", self.0.clock.now().millis()),
            max_age: Duration::from_secs(60),
            domain: None,
            secure: visit.secure(),
            path: None,
        };
        std::iter::once(marker).chain(self.remove_planted(visit, target.page(), round)).collect()
    }
}

/// After the page that says so a person may try again from the beginning.
pub(super) fn forget_rounds(visit: &Visit) -> SetCookie {
    SetCookie::removal(marker::name(ROUND_MARKER, visit.secure()), None, visit.secure())
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE;

    fn brings(count: usize, ended: i64, page: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        let text = format!("__Host-gongpai-r={count}.{ended}.{}", page_mark(page));
        headers.insert(COOKIE, text.parse().unwrap());
        headers
    }

    fn counted(headers: &HeaderMap, page: &str, signed_in: bool, started: i64) -> Option<usize> {
        count_round(headers, true, page, signed_in, Timestamp::from_millis(started))
    }

    #[test]
    fn the_third_return_to_one_page_is_one_too_many() {
        assert_eq!(counted(&HeaderMap::new(), "/pay", true, 5), Some(0));
        assert_eq!(counted(&brings(0, 10, "/pay"), "/pay", true, 20), Some(1));
        assert_eq!(counted(&brings(1, 10, "/pay"), "/pay", true, 20), Some(2));
        assert_eq!(counted(&brings(2, 10, "/pay"), "/pay", true, 20), None);
    }

    #[test]
    fn other_pages_slow_persons_parallel_tabs_and_strangers_make_no_round() {
        assert_eq!(counted(&brings(2, 10, "/pay"), "/x", true, 20), Some(0), "another page");
        assert_eq!(counted(&brings(2, 10, "/pay"), "/pay", true, 10_011), Some(0), "ten seconds later");
        assert_eq!(counted(&brings(2, 10, "/pay"), "/pay", true, 9), Some(2), "begun before the last end");
        assert_eq!(counted(&brings(2, 10, "/pay"), "/pay", false, 20), Some(0), "no session came back");
        let mut garbage = HeaderMap::new();
        garbage.insert(COOKIE, "__Host-gongpai-r=x..".parse().unwrap());
        assert_eq!(counted(&garbage, "/pay", true, 20), Some(0));
    }
}

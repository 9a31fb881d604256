//! Rounds: the gate sends a signed-in browser to sign in again for the same page.
//!
//! A cookie of our name that somebody else set at the path of a page causes this. Beside our own
//! cookie there are then two, which identify nobody, while the sign-in pages at other paths see
//! only the good one. So an answer that ends a sign-in removes the cookies that may lie on the way
//! to the page ([`super::planted_cookies`]) and counts the round. A browser that still comes back
//! gets a page that says why.

use std::time::Duration;

use axum::http::HeaderMap;

use super::error::SsoError;
use super::planted_cookies::describe_planted;
use super::target::SignInTarget;
use super::{Sso, marker};
use crate::base::clock::Timestamp;
use crate::base::secret::sha256_hex;
use crate::http::browser_request::BrowserRequest;
use crate::http::cookie::SetCookie;

/// How often a signed-in browser may come back for the same page before it is told.
const MAX_ROUNDS: usize = 2;

/// The largest time between two rounds. The gate sends a browser back at once; a person who opens a
/// page again takes longer.
const MAX_ROUND_PAUSE: Duration = Duration::from_secs(10);

const ROUND_MARKER: &str = "r";

/// How many pages the marker remembers, so that tabs with different pages do not overwrite each
/// other's counts.
const MAX_MARKER_PAGES: usize = 4;

/// The marker's entry for one page: `count.ended.mark`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct PageRounds {
    count: usize,
    /// When its last round ended.
    ended: Timestamp,
    /// The hash that names the page in the marker.
    mark: String,
}

impl PageRounds {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('.');
        let (count, ended, mark) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?);
        // Anybody may have written this cookie, so only exactly our form counts.
        let ours = mark.len() == PAGE_MARK_LENGTH && mark.bytes().all(|b| b.is_ascii_hexdigit());
        (ours && parts.next().is_none() && count <= MAX_ROUNDS).then(|| Self {
            count,
            ended: Timestamp::from_millis(ended),
            mark: mark.to_owned(),
        })
    }
}

/// The length of that hash, in characters.
const PAGE_MARK_LENGTH: usize = 8;

fn page_mark(page: &str) -> String {
    sha256_hex(page).chars().take(PAGE_MARK_LENGTH).collect()
}

/// Reads the pages of the marker that the browser sent, the latest first.
fn read_marker(headers: &HeaderMap, secure: bool) -> Vec<PageRounds> {
    let text = marker::marker_value(headers, &marker::marker_name(ROUND_MARKER, secure)).unwrap_or_default();
    text.split('_').take(MAX_MARKER_PAGES).filter_map(PageRounds::parse).collect()
}

/// Formats the marker's value. If there are too many pages, the oldest are left out.
fn write_marker(pages: &[PageRounds]) -> String {
    let one = |p: &PageRounds| format!("{}.{}.{}", p.count, p.ended.millis(), p.mark);
    pages.iter().take(MAX_MARKER_PAGES).map(one).collect::<Vec<_>>().join("_")
}

/// Adds the end of a round for `page`, which becomes the latest page.
fn add_round(pages: Vec<PageRounds>, page: &str, count: usize, ended: Timestamp) -> Vec<PageRounds> {
    let this = PageRounds { count, ended, mark: page_mark(page) };
    std::iter::once(this).chain(forget_page(pages, page)).collect()
}

fn forget_page(mut pages: Vec<PageRounds>, page: &str) -> Vec<PageRounds> {
    let mark = page_mark(page);
    pages.retain(|p| p.mark != mark);
    pages
}

/// Returns the number of rounds for `page` when a sign-in that began at `started` ends; `None` if
/// it is one too many.
///
/// Only a start made after the previous end counts: tabs that began together all end before they
/// could show what the first one got.
fn count_round(pages: &[PageRounds], page: &str, signed_in: bool, started: Timestamp) -> Option<usize> {
    let mark = page_mark(page);
    let count = match pages.iter().find(|p| p.mark == mark) {
        // A tab that began before the last end makes no new round.
        Some(before) if signed_in && started <= before.ended => before.count,
        Some(before) if signed_in && started.since(before.ended) <= MAX_ROUND_PAUSE => {
            before.count.saturating_add(1)
        }
        _ => 0,
    };
    (count <= MAX_ROUNDS).then_some(count)
}

fn set_marker(request: &BrowserRequest, pages: &[PageRounds]) -> SetCookie {
    SetCookie {
        name: marker::marker_name(ROUND_MARKER, request.is_secure()),
        value: write_marker(pages),
        max_age: Duration::from_secs(60),
        domain: None,
        secure: request.is_secure(),
        path: None,
    }
}

impl Sso {
    /// Counts the round that ends with this answer. It is 0 if `target` is not on this host, or if
    /// nobody else can set a cookie of the session's name.
    ///
    /// # Errors
    /// [`SsoError::TooManyRounds`].
    pub(super) fn count_round(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
        signed_in: bool,
        started: Timestamp,
    ) -> Result<usize, SsoError> {
        if !self.can_be_planted(request) || !self.ends_here(target) {
            return Ok(0);
        }
        let page = target.page();
        let pages = read_marker(&request.headers, request.is_secure());
        count_round(&pages, page.as_str(), signed_in, started)
            .ok_or_else(|| SsoError::TooManyRounds(describe_planted(request, page)))
    }

    /// Returns the cookies of an answer that leads to `target`: the new count, and the removal of
    /// what may lie on the way.
    pub(super) fn round_cookies(
        &self,
        request: &BrowserRequest,
        target: &SignInTarget,
        round: usize,
    ) -> Vec<SetCookie> {
        if !self.can_be_planted(request) || !self.ends_here(target) {
            return Vec::new();
        }
        let pages = read_marker(&request.headers, request.is_secure());
        let pages = add_round(pages, target.page().as_str(), round, self.0.clock.now());
        std::iter::once(set_marker(request, &pages))
            .chain(self.remove_planted(request, target.page(), round))
            .collect()
    }
}

/// Forgets the rounds of one page, so that the person may try again after reading why. The rounds
/// of other tabs stay.
pub(super) fn forget_rounds(request: &BrowserRequest, target: &SignInTarget) -> SetCookie {
    let pages = forget_page(read_marker(&request.headers, request.is_secure()), target.page().as_str());
    if pages.is_empty() {
        return SetCookie::removal(
            marker::marker_name(ROUND_MARKER, request.is_secure()),
            None,
            request.is_secure(),
        );
    }
    set_marker(request, &pages)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE;

    fn brings_text(value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("__Host-gongpai-r={value}").parse().unwrap());
        headers
    }

    fn brings(count: usize, ended: i64, page: &str) -> HeaderMap {
        brings_text(&format!("{count}.{ended}.{}", page_mark(page)))
    }

    fn counted(headers: &HeaderMap, page: &str, signed_in: bool, started: i64) -> Option<usize> {
        count_round(&read_marker(headers, true), page, signed_in, Timestamp::from_millis(started))
    }

    /// Counts the rounds of a browser that opens `pages` in turn, five times each.
    fn rounds_in_turn(pages: &[&str]) -> Vec<Option<usize>> {
        let (mut headers, mut now, mut all) = (HeaderMap::new(), 1_795_334_400_000, Vec::new());
        for page in pages.repeat(5) {
            now += 10;
            let count = counted(&headers, page, true, now);
            let before = read_marker(&headers, true);
            let after = match count {
                Some(count) => add_round(before, page, count, Timestamp::from_millis(now + 5)),
                None => before,
            };
            headers = brings_text(&write_marker(&after));
            all.push(count);
        }
        all
    }

    #[test]
    fn tabs_with_different_pages_reach_the_limit_beside_each_other() {
        assert_eq!(
            rounds_in_turn(&["/pay", "/leave"]),
            [Some(0), Some(0), Some(1), Some(1), Some(2), Some(2), None, None, None, None]
        );
        let four = rounds_in_turn(&["/a", "/b", "/c", "/d"]);
        assert_eq!(four.iter().position(Option::is_none), Some(12));
    }

    #[test]
    fn the_marker_keeps_the_last_four_pages_and_is_never_long() {
        let mut headers = HeaderMap::new();
        for n in 0..20 {
            let pages = read_marker(&headers, true);
            let ended = Timestamp::from_millis(1_795_334_400_000 + n);
            let value = write_marker(&add_round(pages, &format!("/{n}"), 0, ended));
            assert!(value.len() <= 100, "{value}");
            headers = brings_text(&value);
        }
        let marks: Vec<_> = read_marker(&headers, true).into_iter().map(|p| p.mark).collect();
        assert_eq!(marks, ["/19", "/18", "/17", "/16"].map(page_mark));
        // A marker that somebody else wrote does not make ours longer.
        let junk = format!("1.5.{}_9.5.01234567_1.5.0123456789_x_1.5.0", "f".repeat(2000));
        assert_eq!(read_marker(&brings_text(&junk), true), []);
    }

    #[test]
    fn a_page_that_was_told_begins_anew_and_the_others_keep_their_count() {
        let (pay, leave) = (brings(2, 10, "/pay"), brings(1, 10, "/leave"));
        let both = [read_marker(&pay, true), read_marker(&leave, true)].concat();
        assert_eq!(forget_page(both, "/pay"), read_marker(&leave, true));
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

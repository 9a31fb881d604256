//! Attempt cookies, which bind a sign-in to the browser that began it ([design:
//! attempts](crate::design#attempts)).
//!
//! Each attempt has its own cookie, so that twenty tabs can sign in at once. Together they stay
//! below 24 cookies and 4 KB, so that no request fails because its Cookie header is too long.

use std::time::Duration;

use axum::http::HeaderMap;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::sealed_state::{ATTEMPT_LIFETIME, AttemptId, Hash16, hash16};
use crate::base::clock::Timestamp;
use crate::base::secret::random_token;
use crate::http::cookie::{self, SetCookie};

/// How long the cookie stays after success, for a callback that comes twice.
pub(crate) const LIFETIME_AFTER_SUCCESS: Duration = Duration::from_secs(60);

const MAX_ATTEMPT_COOKIES: usize = 24;
const MAX_ATTEMPT_COOKIES_BYTES: usize = 4096;

/// The largest number of cookies that one answer removes. Another host may have put hundreds of
/// this name into the browser, and the head of an answer must fit into a proxy's buffer. The next
/// start removes more.
const MAX_REMOVED_COOKIES: usize = 24;

/// Returns the part of the name that all attempt cookies share.
fn cookie_prefix(secure: bool) -> &'static str {
    if secure { "__Host-gongpai-s-" } else { "gongpai-s-" }
}

/// An attempt's cookie as the browser sent it.
#[derive(Debug, Clone, Copy)]
struct SentAttemptCookie<'h> {
    name: &'h str,
    value: &'h str,
}

impl SentAttemptCookie<'_> {
    /// Returns the minute in which it was made; 0 if it cannot be read, so that it counts as the
    /// oldest.
    fn minute(&self) -> u64 {
        self.value.split('.').next().and_then(|m| u64::from_str_radix(m, 36).ok()).unwrap_or(0)
    }
}

fn sent_attempt_cookies(headers: &HeaderMap, secure: bool) -> impl Iterator<Item = SentAttemptCookie<'_>> {
    cookie::parse_cookies(headers).filter_map(move |(name, value)| {
        let (name, value) = (std::str::from_utf8(name).ok()?, std::str::from_utf8(value).ok()?);
        let id = name.strip_prefix(cookie_prefix(secure))?;
        (id.len() == 8 && id.bytes().all(|b| b.is_ascii_hexdigit()))
            .then_some(SentAttemptCookie { name, value })
    })
}

/// The cookie of a new attempt.
#[derive(Debug, Clone)]
pub(crate) struct AttemptCookie {
    name: String,
    value: String,
    secure: bool,
}

impl AttemptCookie {
    /// Makes a cookie for the attempt `id`. `carried` is a target that is too long for
    /// redirect_uri.
    pub(crate) fn new(id: &AttemptId, carried: Option<&str>, secure: bool, now: Timestamp) -> Self {
        let minute = to_base36(u64::try_from(now.millis()).unwrap_or(0) / 60_000);
        let carried = carried.map(|t| format!(".{}", URL_SAFE_NO_PAD.encode(t))).unwrap_or_default();
        let value = format!("{minute}.{}{carried}", random_token::<16>());
        Self { name: format!("{}{}", cookie_prefix(secure), id.short()), value, secure }
    }

    /// Returns the hash of the value that the state contains.
    pub(crate) fn hash(&self) -> Hash16 {
        hash16(self.value.as_bytes())
    }

    /// Returns the Set-Cookie for this attempt, and those that remove the oldest ones if there
    /// would be too many.
    pub(crate) fn set_cookies(&self, headers: &HeaderMap) -> Vec<SetCookie> {
        let mut others: Vec<_> =
            sent_attempt_cookies(headers, self.secure).filter(|c| c.name != self.name).collect();
        // Browsers send the oldest cookie first (RFC 6265 §5.4), so of those made in one minute the
        // last is the newest.
        others.reverse();
        others.sort_by_key(|c| std::cmp::Reverse(c.minute()));
        // In the Cookie header each cookie also takes `=` and `; `.
        let size = |name: &str, value: &str| name.len() + value.len() + 3;
        let (mut bytes, mut count) = (size(&self.name, &self.value), 1);
        let mut cookies = vec![SetCookie {
            name: self.name.clone(),
            value: self.value.clone(),
            max_age: ATTEMPT_LIFETIME,
            domain: None,
            secure: self.secure,
            path: None,
        }];
        let mut gone = Vec::new();
        for other in others {
            bytes += size(other.name, other.value);
            count += 1;
            if bytes > MAX_ATTEMPT_COOKIES_BYTES || count > MAX_ATTEMPT_COOKIES {
                gone.push(SetCookie::removal(other.name, None, self.secure));
            }
        }
        // The oldest are removed first.
        cookies.extend(gone.into_iter().rev().take(MAX_REMOVED_COOKIES));
        cookies
    }
}

/// An attempt cookie that came back with a request.
#[derive(Debug, Clone)]
pub(crate) struct ReturnedAttemptCookie {
    name: String,
    value: String,
    secure: bool,
}

impl ReturnedAttemptCookie {
    /// Finds the cookie of attempt `id` whose value has the hash `hash`.
    pub(crate) fn find(headers: &HeaderMap, id: &AttemptId, hash: &Hash16, secure: bool) -> Option<Self> {
        let name = format!("{}{}", cookie_prefix(secure), id.short());
        sent_attempt_cookies(headers, secure)
            .find(|c| c.name == name && hash16(c.value.as_bytes()) == *hash)
            .map(|c| Self { name: c.name.to_owned(), value: c.value.to_owned(), secure })
    }

    /// Returns every attempt cookie of the request with the hash of its value, to find the one that
    /// belongs to a ticket.
    pub(crate) fn find_all(headers: &HeaderMap, secure: bool) -> Vec<(Self, Hash16)> {
        sent_attempt_cookies(headers, secure)
            .map(|c| {
                let returned = Self { name: c.name.to_owned(), value: c.value.to_owned(), secure };
                (returned, hash16(c.value.as_bytes()))
            })
            .collect()
    }

    /// Returns the target that the cookie carries, if any.
    pub(crate) fn carried_target(&self) -> Option<String> {
        let text = self.value.splitn(3, '.').nth(2)?;
        String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()
    }

    /// Returns the Set-Cookie that keeps it for [`LIFETIME_AFTER_SUCCESS`].
    pub(crate) fn keep_after_success(&self) -> SetCookie {
        SetCookie {
            name: self.name.clone(),
            value: self.value.clone(),
            max_age: LIFETIME_AFTER_SUCCESS,
            domain: None,
            secure: self.secure,
            path: None,
        }
    }
}

fn to_base36(mut n: u64) -> String {
    let mut digits = Vec::new();
    loop {
        let digit = u32::try_from(n % 36).unwrap_or(0);
        digits.extend(char::from_digit(digit, 36));
        n /= 36;
        if n == 0 {
            return digits.into_iter().rev().collect();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE;

    fn minute(n: u64) -> Timestamp {
        Timestamp::from_millis(i64::try_from(n * 60_000).unwrap())
    }

    fn request(cookies: &[AttemptCookie]) -> HeaderMap {
        let text: Vec<_> = cookies.iter().map(|c| format!("{}={}", c.name, c.value)).collect();
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, text.join("; ").parse().unwrap());
        headers
    }

    fn fresh(at: u64, carried: Option<&str>) -> AttemptCookie {
        AttemptCookie::new(&AttemptId::generate(), carried, true, minute(at))
    }

    #[test]
    fn a_cookie_comes_back_only_for_its_own_attempt_and_value() {
        let id = AttemptId::generate();
        let cookie = AttemptCookie::new(&id, Some("/待办?x=1"), true, minute(1));
        let headers = request(std::slice::from_ref(&cookie));
        let back = ReturnedAttemptCookie::find(&headers, &id, &cookie.hash(), true).unwrap();
        assert_eq!(back.carried_target().unwrap(), "/待办?x=1");
        assert!(ReturnedAttemptCookie::find(&headers, &id, &[0; 16], true).is_none());
        assert!(
            ReturnedAttemptCookie::find(&headers, &AttemptId::generate(), &cookie.hash(), true).is_none()
        );
        assert!(
            ReturnedAttemptCookie::find(&headers, &id, &cookie.hash(), false).is_none(),
            "the http name is another one"
        );
    }

    #[test]
    fn case_13_twenty_three_attempts_live_beside_a_new_one_and_the_oldest_goes_after_that() {
        let old: Vec<_> = (1..=24).map(|at| fresh(at, None)).collect();
        let set = fresh(25, None).set_cookies(&request(&old[1..]));
        assert_eq!(set.len(), 1);
        let set = fresh(25, None).set_cookies(&request(&old));
        assert_eq!(set.len(), 2);
        assert_eq!((&set[1].name, set[1].max_age), (&old[0].name, Duration::ZERO));
    }

    #[test]
    fn of_attempts_begun_in_the_same_minute_the_one_sent_first_is_the_oldest() {
        let old: Vec<_> = (1..=24).map(|_| fresh(7, None)).collect();
        let set = fresh(7, None).set_cookies(&request(&old));
        assert_eq!((&set[1].name, set.len()), (&old[0].name, 2));
    }

    #[test]
    fn however_many_there_are_an_answer_removes_a_few_at_a_time() {
        let old: Vec<_> = (1..=500).map(|at| fresh(at, None)).collect();
        assert_eq!(fresh(501, None).set_cookies(&request(&old)).len(), 1 + MAX_REMOVED_COOKIES);
    }

    #[test]
    fn all_attempts_together_stay_within_four_kilobytes() {
        let long = "x".repeat(1024);
        let old: Vec<_> = (1..=5).map(|at| fresh(at, Some(&long))).collect();
        let new = fresh(9, Some(&long));
        let removed: Vec<_> = new.set_cookies(&request(&old)).into_iter().skip(1).map(|c| c.name).collect();
        let left: usize =
            old.iter().filter(|c| !removed.contains(&c.name)).map(|c| c.name.len() + c.value.len() + 3).sum();
        assert!(left + new.name.len() + new.value.len() < MAX_ATTEMPT_COOKIES_BYTES && !removed.is_empty());
        assert!(!removed.contains(&old[4].name), "the newest of the others stays");
    }
}

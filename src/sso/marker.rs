//! Two small cookies that remember something about the browser. Neither is a secret.
//!
//! `gongpai-m` lives for a minute and counts sign-ins after which no session cookie came back: the
//! third one gets a page that says so, so that the browser does not go in circles ([design: refused
//! cookies](crate::design#refused-cookies)). `gongpai-o` lives for ten minutes and says that
//! somebody signed out here: the next sign-in shows a button first.

use std::time::Duration;

use axum::http::HeaderMap;

use crate::base::clock::Timestamp;
use crate::http::cookie::{self, SetCookie};

/// The finish without a session cookie at which the browser is told.
const MAX_FINISHES_WITHOUT_SESSION: u32 = 3;

const FINISH_MARKER_AGE: Duration = Duration::from_secs(60);
const SIGN_OUT_MARKER_AGE: Duration = Duration::from_secs(600);

pub(super) fn marker_name(kind: &str, secure: bool) -> String {
    format!("{}gongpai-{kind}", if secure { "__Host-" } else { "" })
}

pub(super) fn marker_value<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    cookie::cookie_values(headers, name).next().and_then(|v| std::str::from_utf8(v).ok())
}

/// Returns the count for the next finish marker: how many sign-ins ended without a session,
/// including this one. `None` if this is one too many.
///
/// Only a start made after the previous finish counts: twenty tabs that began together all finish
/// before they could send the cookie.
pub(super) fn count_finish(
    headers: &HeaderMap,
    secure: bool,
    has_session: bool,
    started: Timestamp,
) -> Option<u32> {
    let text = marker_value(headers, &marker_name("m", secure)).unwrap_or_default();
    let before =
        text.split_once('.').and_then(|(n, at)| Some((n.parse::<u32>().ok()?, at.parse::<i64>().ok()?)));
    let count = match before {
        // A start made before the previous finish could not send the cookie yet.
        Some((n, finished)) if !has_session => n.saturating_add(u32::from(started.millis() > finished)),
        _ => 1,
    };
    (count < MAX_FINISHES_WITHOUT_SESSION).then_some(count)
}

/// Builds the marker that is set beside the session cookie.
pub(super) fn finish_marker(count: u32, secure: bool, now: Timestamp) -> SetCookie {
    let value = format!("{count}.{}", now.millis());
    SetCookie {
        name: marker_name("m", secure),
        value,
        max_age: FINISH_MARKER_AGE,
        domain: None,
        secure,
        path: None,
    }
}

/// Builds the marker of a sign-out.
pub(super) fn sign_out_marker(secure: bool) -> SetCookie {
    SetCookie {
        name: marker_name("o", secure),
        value: "1".to_owned(),
        max_age: SIGN_OUT_MARKER_AGE,
        domain: None,
        secure,
        path: None,
    }
}

/// Returns whether somebody signed out here within the last ten minutes.
pub(super) fn has_signed_out(headers: &HeaderMap, secure: bool) -> bool {
    marker_value(headers, &marker_name("o", secure)).is_some()
}

/// Removes the marker of a sign-out.
pub(super) fn forget_sign_out(secure: bool) -> SetCookie {
    SetCookie::removal(marker_name("o", secure), None, secure)
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::header::COOKIE;

    fn at(ms: i64) -> Timestamp {
        Timestamp::from_millis(ms)
    }

    fn brings(count: u32, finished_at: i64) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(COOKIE, format!("gongpai-m={count}.{finished_at}").parse().unwrap());
        headers
    }

    #[test]
    fn the_third_finish_without_a_session_is_one_too_many() {
        assert_eq!(count_finish(&HeaderMap::new(), false, false, at(5)), Some(1));
        assert_eq!(count_finish(&brings(1, 10), false, false, at(20)), Some(2));
        assert_eq!(count_finish(&brings(2, 10), false, false, at(20)), None);
    }

    #[test]
    fn parallel_tabs_and_kept_sessions_do_not_count() {
        assert_eq!(
            count_finish(&brings(2, 10), false, false, at(9)),
            Some(2),
            "begun before the last finish"
        );
        assert_eq!(count_finish(&brings(2, 10), false, true, at(20)), Some(1), "the session came back");
        let mut garbage = HeaderMap::new();
        garbage.insert(COOKIE, "gongpai-m=x.y".parse().unwrap());
        assert_eq!(count_finish(&garbage, false, false, at(20)), Some(1));
    }
}

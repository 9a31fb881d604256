//! The nginx `map` that keeps our cookies from the application.

use std::fmt::Write;

/// Our cookies as [`crate::http::cookie`] reads them: the session, attempts (`-s-…`) and markers
/// (`-m`, `-o`).
const OWN_COOKIE_PATTERN: &str = "(?:__Host-|__Secure-)?gongpai(?:-s-[^=;]*|-m|-o)?[ \\t]*=";

/// How many groups of foreign cookies the filter keeps.
///
/// One more than the largest number of our cookies in a browser (24 attempts, a session of each
/// name, markers), so that ours may stand anywhere among them.
const COOKIE_RUN_COUNT: usize = 32;

/// Returns the regular expression and the value of the `map` line that removes our cookies.
///
/// The expression covers the whole header with one named group for each run of foreign cookies; the
/// value joins the groups. Every repetition is possessive, so matching takes linear time whatever a
/// client sends. The two kinds of cookie are defined once and called, because an nginx parameter is
/// limited to 4096 bytes.
pub(super) fn build_cookie_filter() -> (String, String) {
    let mut regex = format!(
        "~^(?(DEFINE)(?<gongpai_own>{OWN_COOKIE_PATTERN}[^;]*+)(?<gongpai_other>(?!{OWN_COOKIE_PATTERN})[^;]*+))\
         [ \\t]*+(?:(?&gongpai_own)(?:;[ \\t]*+|$))*+\
         (?<gongpai_0>(?&gongpai_other)(?:;[ \\t]*+(?&gongpai_other))*+)"
    );
    let mut value = "$gongpai_0".to_owned();
    for run in 1..COOKIE_RUN_COUNT {
        // Writing to a String cannot fail.
        let _ =
            write!(regex, "(?:;[ \\t]*+(?&gongpai_own))*+(?<gongpai_{run}>(?:;[ \\t]*+(?&gongpai_other))*+)");
        let _ = write!(value, "$gongpai_{run}");
    }
    regex.push_str("(?:;[ \\t]*+(?&gongpai_own))*+$");
    (regex, value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cookie_filter_fits_into_one_parameter_of_nginx() {
        let (regex, value) = build_cookie_filter();
        assert!(regex.len() + value.len() < 4000, "{} {}", regex.len(), value.len());
    }
}

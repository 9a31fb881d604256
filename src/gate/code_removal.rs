//! Removes WeCom's codes from requests to applications.
//!
//! WeCom sends a code to any path of public_url's host. WeCom has no PKCE, so an application on
//! that host could collect other people's codes and sign in as them. A request whose query holds
//! something that could be such a code is therefore never passed on; a clean sign-in takes its
//! place.

use std::borrow::Cow;

use crate::base::host::Origin;
use crate::base::url::is_plain_path;

/// The lengths that a code of WeCom can have. The documentation allows up to 512 bytes, and the
/// shortest code seen has 43; all of them are letters, digits, `-` and `_`.
const CODE_LENGTH_BYTES: std::ops::RangeInclusive<usize> = 24..=512;

/// How often a parameter is decoded at most: a proxy in between may decode before the application
/// does.
const MAX_DECODING_ROUNDS: usize = 3;

/// `gate.code_paths`: the paths of applications that have an OAuth callback of their own. Codes
/// stay in requests to them.
#[derive(Debug, Clone, Default)]
pub struct CodePaths(Vec<String>);

impl CodePaths {
    /// Takes paths such as `/gitlab/users/auth`, also with `/` or `/**` at the end. A text that is
    /// no plain path covers nothing.
    pub fn new(texts: &[String]) -> Self {
        let bare = |text: &String| {
            let path = text.strip_suffix("/**").unwrap_or(text);
            path.strip_suffix('/').unwrap_or(path).to_owned()
        };
        let is_path = |path: &String| path.is_empty() || is_plain_path(path);
        Self(texts.iter().filter(|text| text.starts_with('/')).map(bare).filter(is_path).collect())
    }

    /// Returns whether `path` lies at or below one of these. A path that some program could read in
    /// another way does not.
    fn covers(&self, path: &str) -> bool {
        let below = |base: &String| {
            path.strip_prefix(base.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        // A slash at the end is the only empty segment that changes nothing.
        let bare = path.strip_suffix('/').unwrap_or(path);
        (bare.is_empty() || is_plain_path(bare)) && self.0.iter().any(below)
    }
}

/// Removes `code` and `state` from the query of `target` if it holds a code that could be WeCom's.
/// `None` if the request may go on as it is.
///
/// Parameters are split at every separator that applications know (`&` and `;`), and at `?`,
/// because WeCom may append its own `?code=` to a target that has a query already. Everything else
/// stays byte for byte.
pub(crate) fn remove_code(
    origin: &Origin,
    public: &Origin,
    target: &str,
    exempt: &CodePaths,
) -> Option<String> {
    let (path, query) = target.split_once('?')?;
    // Most queries are shorter than any code, so they end here.
    if !is_trusted_domain(origin, public) || query.len() < *CODE_LENGTH_BYTES.start() || exempt.covers(path) {
        return None;
    }
    let pieces = split_parameters(query);
    if !pieces.iter().any(|(_, piece)| is_code_parameter(piece)) {
        return None;
    }
    let mut clean = path.to_owned();
    let kept = pieces.iter().filter(|(_, piece)| !matches!(parameter_name(piece).as_str(), "code" | "state"));
    for (index, (separator, piece)) in kept.enumerate() {
        clean.push(if index == 0 { '?' } else { *separator });
        clean.push_str(piece);
    }
    Some(clean)
}

/// Returns whether WeCom sends codes to `origin`. WeCom's trusted domain is a host with or without
/// a port and has no scheme, so `http://` of an https public_url counts too.
fn is_trusted_domain(origin: &Origin, public: &Origin) -> bool {
    let default = |o: &Origin| o.port() == o.scheme().default_port();
    origin.host() == public.host() && (origin.port() == public.port() || (default(origin) && default(public)))
}

/// Splits a query into its parameters, each with the separator before it.
fn split_parameters(query: &str) -> Vec<(char, &str)> {
    let mut pieces = Vec::new();
    let (mut separator, mut rest) = ('?', query);
    loop {
        match rest.split_once(['&', ';', '?']) {
            Some((piece, after)) => {
                pieces.push((separator, piece));
                // All three separators are one byte long, so this is the byte before `after`.
                separator = rest.as_bytes().get(piece.len()).map_or('&', |b| char::from(*b));
                rest = after;
            }
            None => {
                pieces.push((separator, rest));
                return pieces;
            }
        }
    }
}

fn is_code_parameter(piece: &str) -> bool {
    let value = piece.split_once('=').map_or("", |(_, value)| value);
    if parameter_name(piece) != "code" {
        return false;
    }
    let value = decode_repeatedly(value);
    let value = value.trim_matches(is_filler);
    CODE_LENGTH_BYTES.contains(&value.len())
        && value.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
}

/// Returns a parameter's name as the most lenient application reads it: decoded, in lower case,
/// without surrounding white space and without an index (`code[]`).
fn parameter_name(piece: &str) -> String {
    let name = decode_repeatedly(piece.split('=').next().unwrap_or_default());
    let name = name.trim_matches(is_filler);
    name.split(['[', '\0']).next().unwrap_or_default().to_lowercase()
}

/// Returns whether applications drop this character at the ends of a name or value.
fn is_filler(c: char) -> bool {
    c.is_whitespace() || c.is_control() || c == '+'
}

fn decode_repeatedly(text: &str) -> Cow<'_, str> {
    let mut text = Cow::Borrowed(text);
    for _ in 0..MAX_DECODING_ROUNDS {
        if !text.contains('%') {
            break;
        }
        let bytes = urlencoding::decode_binary(text.as_bytes()).into_owned();
        text = Cow::Owned(String::from_utf8_lossy(&bytes).into_owned());
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::base::host::Scheme;

    /// The sample of WeCom's documentation.
    const CODE: &str = "bjT3EWbzVGzMyNmyPGTWvyIbnXLmFVJ1LhKSZ5ZVj_o";

    fn clean(target: &str, exempt: &[&str]) -> Option<String> {
        let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
        let paths: Vec<_> = exempt.iter().map(|path| (*path).to_owned()).collect();
        remove_code(&public, &public, target, &CodePaths::new(&paths))
    }

    #[test]
    fn case_46_a_code_and_its_state_are_taken_out_and_everything_else_stays() {
        for (target, expected) in [
            (format!("/x?code={CODE}&state=S"), "/x"),
            (format!("/x?code={CODE}"), "/x"),
            (format!("/x?a=%e4%b8&code={CODE}&state=S&b=+2;c#"), "/x?a=%e4%b8&b=+2;c#"),
            (format!("/x?a=1;code={CODE};b=2"), "/x?a=1;b=2"),
            (format!("/?state=S&code={CODE}&code=short"), "/"),
            (format!("/x?y=1?code={CODE}&state=S"), "/x?y=1"),
            (format!("/x?&code={CODE}&&b"), "/x?&&b"),
        ] {
            assert_eq!(clean(&target, &[]).as_deref(), Some(expected), "{target}");
        }
    }

    #[test]
    fn case_46_every_spelling_that_an_application_reads_as_a_code_is_one() {
        for query in [
            format!("c%6fde={CODE}"),
            format!("%63%6F%64%65={CODE}"),
            format!("c%256fde={CODE}"),
            format!("CODE={CODE}"),
            format!("code[]={CODE}"),
            format!("code%5B0%5D={CODE}"),
            format!("+code={CODE}"),
            format!("%20code%20=%20{CODE}"),
            format!("code%00x={CODE}"),
            format!("code=1&code={CODE}"),
            format!("code={CODE}&code=1"),
            format!("a;code={CODE}"),
            format!("code=%62{}", &CODE[1..]),
            format!("code={}", "a".repeat(24)),
            format!("code={}", "a".repeat(512)),
        ] {
            assert!(clean(&format!("/x?{query}"), &[]).is_some(), "{query}");
        }
    }

    #[test]
    fn what_could_be_no_code_of_wecoms_reaches_the_application() {
        for target in [
            "/x".to_owned(),
            "/x?".to_owned(),
            "/x?code=200&state=S".to_owned(),
            format!("/x?code={}", "a".repeat(23)),
            format!("/x?code={}", "a".repeat(513)),
            "/x?code=a%20text%20that%20is%20no%20code%20at%20all".to_owned(),
            format!("/x?error=1&postcode={CODE}"),
            format!("/x?state={CODE}"),
            format!("/code={CODE}"),
            format!("/x?q=code={CODE}"),
        ] {
            assert_eq!(clean(&target, &[]), None, "{target}");
        }
    }

    #[test]
    fn case_46_the_trusted_domain_is_the_same_one_by_http() {
        let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
        let other = Origin::from_authority(Scheme::Http, "oa.example.com").unwrap();
        let target = format!("/x?code={CODE}");
        assert!(remove_code(&other, &public, &target, &CodePaths::default()).is_some());
    }

    #[test]
    fn a_code_on_another_host_is_not_wecoms() {
        let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
        let target = format!("/x?code={CODE}");
        for other in ["app.example.com", "oa.example.com:8443"] {
            let other = Origin::from_authority(Scheme::Https, other).unwrap();
            assert_eq!(remove_code(&other, &public, &target, &CodePaths::default()), None);
        }
    }

    #[test]
    fn below_a_code_path_codes_stay_but_only_where_nobody_reads_the_path_otherwise() {
        let paths = ["/gitlab/users/auth/**", "/wiki/oauth2/"];
        for plain in [
            "/gitlab/users/auth",
            "/gitlab/users/auth/openid/callback",
            "/wiki/oauth2",
            "/wiki/oauth2/",
            "/wiki/oauth2/a/",
        ] {
            assert_eq!(clean(&format!("{plain}?code={CODE}"), &paths), None, "{plain}");
        }
        for odd in [
            "/wiki",
            "/wiki/oauth2x",
            "/Wiki/oauth2",
            "/wiki/oauth2/..",
            "/wiki/oauth2/../x",
            "/wiki/oauth2/..;/x",
            "/wiki/oauth2/%2e%2e/x",
            "/wiki/oauth2%2f..%2fx",
            "/wiki/oauth2//x",
            "/wiki/oauth2/a//",
            "//wiki/oauth2/x",
            "/wiki/oauth2/\\..\\..\\x",
            "/wiki/oauth2/a;b",
            "/x/wiki/oauth2",
        ] {
            assert!(clean(&format!("{odd}?code={CODE}"), &paths).is_some(), "{odd}");
        }
        assert_eq!(clean(&format!("/?code={CODE}"), &["/"]), None);
        assert_eq!(clean(&format!("/any?code={CODE}"), &["/"]), None);
        assert!(clean(&format!("//any?code={CODE}"), &["/"]).is_some());
    }

    proptest! {
        #[test]
        fn what_is_cleaned_once_is_clean(path in "(/[a-z.;%]{0,4}){1,3}", query in "([&;?=%a-f0-9]|code=|state=|a{24}|%63ode=){0,12}") {
            let target = format!("{path}?{query}");
            if let Some(first) = clean(&target, &[]) {
                prop_assert!(first.starts_with(&path));
                prop_assert_eq!(clean(&first, &[]), None, "{}", first);
            }
        }
    }
}

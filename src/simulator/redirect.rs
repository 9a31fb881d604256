//! The redirect URL of a sign-in: checks it, and adds the answer to it.

use url::{Position, Url};

/// Parses the redirect URL; returns `None` unless host and port are registered in exactly this form.
pub(super) fn check_redirect(uri: &str, domains: &[&String]) -> Option<Url> {
    let url = Url::parse(uri).ok()?;
    // Userinfo would only make the URL look like another host's: `https://oa.example.com@evil`.
    if !matches!(url.scheme(), "http" | "https") || !url.username().is_empty() || url.password().is_some() {
        return None;
    }
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    domains.iter().any(|d| d.eq_ignore_ascii_case(authority)).then(|| url.clone())
}

/// Returns the URL with `code` and `state` appended to its query.
pub(super) fn build_callback_url(url: &Url, code: Option<&str>, state: Option<&str>) -> String {
    let mut url = url.clone();
    let answers = [("code", code), ("state", state)];
    let answers = answers.into_iter().filter_map(|(name, value)| Some((name, value?)));
    // An empty list would leave a question mark at the end.
    if code.is_some() || state.is_some() {
        url.query_pairs_mut().extend_pairs(answers);
    }
    url.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_must_be_registered_exactly() {
        let domains = ["oa.example.com".to_owned(), "127.0.0.1:8080".to_owned()];
        let domains: Vec<&String> = domains.iter().collect();
        for ok in ["https://oa.example.com/a?b=c", "https://OA.example.com:443", "http://127.0.0.1:8080/x"] {
            assert!(check_redirect(ok, &domains).is_some(), "{ok}");
        }
        for bad in [
            "https://oa.example.com:8443/",
            "https://evil.oa.example.com/",
            "https://oa.example.com@evil.com/",
            "https://oa.example.com.evil.com/",
            "http://127.0.0.1/",
            "javascript://oa.example.com/",
            "https%3A%2F%2Foa.example.com%2F",
            "/relative",
            "",
        ] {
            assert!(check_redirect(bad, &domains).is_none(), "{bad}");
        }
    }

    #[test]
    fn the_answer_goes_behind_an_existing_query_and_before_a_fragment() {
        let url = Url::parse("https://oa.example.com/cb?rd=%2Fa%3Fb%26c&x=1#frag").unwrap();
        assert_eq!(
            build_callback_url(&url, Some("C"), Some("a b&c")),
            "https://oa.example.com/cb?rd=%2Fa%3Fb%26c&x=1&code=C&state=a+b%26c#frag"
        );
        let plain = Url::parse("https://oa.example.com/cb").unwrap();
        assert_eq!(build_callback_url(&plain, None, Some("s")), "https://oa.example.com/cb?state=s");
        assert_eq!(build_callback_url(&plain, None, None), "https://oa.example.com/cb");
    }
}

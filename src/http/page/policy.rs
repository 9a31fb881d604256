//! The Content-Security-Policy of a page: it forbids everything except what that page needs.

use axum::http::HeaderValue;

/// What a page needs beyond its style sheet and pictures.
#[derive(Debug, Default)]
pub(super) struct ContentSecurityPolicy<'a> {
    /// The nonce of its one inline script.
    pub(super) nonce: Option<&'a str>,
    /// The origins that it frames, and those that such a frame may go on to.
    pub(super) frames: Vec<&'a str>,
    /// Whether its script calls our own host.
    pub(super) connects: bool,
    /// The origins that may frame it; empty for none.
    pub(super) ancestors: Vec<&'a str>,
}

/// The policy of a page that needs nothing, and of one whose own policy is not a valid header.
const STRICT_POLICY: &str = "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'self'; \
                      frame-ancestors 'none'";

impl ContentSecurityPolicy<'_> {
    pub(super) fn header(&self) -> HeaderValue {
        let ancestors =
            if self.ancestors.is_empty() { "'none'".to_owned() } else { self.ancestors.join(" ") };
        let mut policy = "default-src 'none'; style-src 'self'; img-src 'self'; ".to_owned();
        for (name, value) in [
            ("script-src", self.nonce.map(|n| format!("'nonce-{n}'"))),
            ("frame-src", (!self.frames.is_empty()).then(|| self.frames.join(" "))),
            ("connect-src", self.connects.then(|| "'self'".to_owned())),
        ] {
            if let Some(value) = value {
                policy.push_str(&[name, " ", &value, "; "].concat());
            }
        }
        policy.push_str("base-uri 'none'; form-action 'self'; frame-ancestors ");
        policy.push_str(&ancestors);
        HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static(STRICT_POLICY))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_that_needs_nothing_may_do_nothing_and_is_framed_by_nobody() {
        assert_eq!(ContentSecurityPolicy::default().header(), STRICT_POLICY);
    }

    #[test]
    fn an_origin_that_cannot_be_written_leaves_the_strict_policy() {
        assert_eq!(
            ContentSecurityPolicy { frames: vec!["https://x\r\n"], ..ContentSecurityPolicy::default() }
                .header(),
            STRICT_POLICY
        );
    }
}

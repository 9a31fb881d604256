//! Reads `redirect=`, which O2OA writes into its links to its old sign-in page.
//!
//! O2OA's page resolved most of these links in the browser: they are relative
//! (`workmobilewithaction.html?workid=7`) and mean a neighbour of the page. They are resolved here
//! as a browser would do it, and then validated like any other target.

use crate::http::browser_request::{BrowserRequest, DuplicateParameter};

/// The paths of O2OA's old sign-in page.
pub(super) const SEED_PAGES: [&str; 2] = ["/qiyeweixinsso.html", "/x_desktop/qiyeweixinsso.html"];

/// Returns the link in `redirect=`.
///
/// # Errors
/// If the parameter is repeated.
pub(super) fn read_redirect(request: &BrowserRequest) -> Result<Option<String>, DuplicateParameter> {
    let Some(decoded) = request.query.single("redirect")? else { return Ok(None) };
    let page = request.uri.path();
    if !SEED_PAGES.contains(&page) {
        return Ok(Some(decoded.to_owned()));
    }
    // O2OA's pages decode percent-escapes and nothing else: a `+` stays a plus.
    let raw =
        request.uri.query().unwrap_or_default().split('&').find_map(|pair| pair.strip_prefix("redirect="));
    let text =
        raw.map(|raw| String::from_utf8_lossy(&urlencoding::decode_binary(raw.as_bytes())).into_owned());
    Ok(Some(resolve_link(&text.unwrap_or_else(|| decoded.to_owned()), page)))
}

/// Resolves `text` against `page` if a browser would take it for a relative URL; otherwise returns
/// it unchanged. Dot segments are left to whoever parses the path.
fn resolve_link(text: &str, page: &str) -> String {
    let text = text.trim();
    // Some programs take everything before a colon for a scheme.
    let names_a_scheme = text.split(['/', '?', '#']).next().is_some_and(|first| first.contains(':'));
    if text.is_empty() || text.starts_with(['/', '\\']) || names_a_scheme {
        return text.to_owned();
    }
    let folder = page.rfind('/').and_then(|at| page.get(..=at)).unwrap_or("/");
    let base = if text.starts_with(['?', '#']) { page } else { folder };
    format!("{base}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::host::{Hosts, Origin, Scheme};
    use crate::base::url::ReturnTo;
    use proptest::prelude::*;
    use url::Url;

    fn hosts() -> Hosts {
        let public = Origin::from_authority(Scheme::Https, "oa.example.com").unwrap();
        Hosts::new(public, vec![], "", false)
    }

    /// Returns the path to which `text` leads from the page in `x_desktop`.
    fn leads(text: &str) -> Option<String> {
        let hosts = hosts();
        let resolved = resolve_link(text, "/x_desktop/qiyeweixinsso.html");
        ReturnTo::parse(&resolved, hosts.public(), &hosts).ok().map(|page| page.relative().to_owned())
    }

    #[test]
    fn every_form_that_o2oa_writes_leads_where_its_own_page_led() {
        for (text, want) in [
            ("portalmobile.html?id=P", "/x_desktop/portalmobile.html?id=P"),
            ("appMobile.html?app=process.TaskCenter", "/x_desktop/appMobile.html?app=process.TaskCenter"),
            ("workmobilewithaction.html?workid=7", "/x_desktop/workmobilewithaction.html?workid=7"),
            (
                "workmobilewithaction.html?workid=W&redirectlink=portalmobile.html%3Fid%3DP",
                "/x_desktop/workmobilewithaction.html?workid=W&redirectlink=portalmobile.html%3Fid%3DP",
            ),
            ("cmsdocMobile.html?id=D", "/x_desktop/cmsdocMobile.html?id=D"),
            ("./a.html", "/x_desktop/a.html"),
            ("../index.html", "/index.html"),
            ("../../../index.html", "/index.html"),
            ("a.html#/x", "/x_desktop/a.html#/x"),
            ("/x_desktop/a.html", "/x_desktop/a.html"),
            ("https://oa.example.com/b?x=https://other.example/", "/b?x=https://other.example/"),
            ("a.html?u=https://other.example/", "/x_desktop/a.html?u=https://other.example/"),
            ("?x=1", "/x_desktop/qiyeweixinsso.html?x=1"),
        ] {
            assert_eq!(leads(text).as_deref(), Some(want), "{text}");
        }
        assert_eq!(resolve_link("a.html", "/qiyeweixinsso.html"), "/a.html");
    }

    #[test]
    fn case_12_what_leads_elsewhere_still_leads_nowhere() {
        for bad in [
            "",
            "//evil.example",
            " //evil.example",
            "\t//evil.example",
            "\\\\evil.example",
            "\\/evil.example",
            "..//evil.example",
            "..//..//evil.example",
            "../..//evil.example",
            ".//../..//evil.example",
            "javascript:alert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "JaVaScRiPt:alert(1)",
            "data:text/html,x",
            "https:evil.example",
            "https:/evil.example",
            "https://evil.example",
            "a:b",
            "x\r\ny",
        ] {
            assert_eq!(
                leads(bad),
                None,
                "{bad:?} became {:?}",
                resolve_link(bad, "/x_desktop/qiyeweixinsso.html")
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_accepted_is_what_a_browser_at_the_page_would_open(text in "[a-z./?#:@%0-9-]{0,30}") {
            let page = Url::parse("https://oa.example.com/x_desktop/qiyeweixinsso.html").unwrap();
            if let Some(path) = leads(&text) {
                let browser = page.join(&text).unwrap();
                prop_assert_eq!(format!("https://oa.example.com{path}"), browser.as_str());
            }
        }
    }
}

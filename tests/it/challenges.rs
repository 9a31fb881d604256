//! Only the API, which programs call, may make a browser ask for a password. A browser puts its own
//! box over the page whose script met a challenge, and nobody in the company knows what to type
//! there.

use std::collections::BTreeSet;
use std::path::Path;

use reqwest::Method;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::BrowserRequest;

/// Lists every path that the source gives to a router, with `x` in place of its parameters, under
/// every prefix that it may be nested below. A path too many is only requested in vain.
fn list_paths() -> BTreeSet<String> {
    let mut literals = BTreeSet::new();
    collect_literals(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut literals);
    let mut paths = BTreeSet::new();
    for literal in &literals {
        let filled: Vec<_> =
            literal.split('/').map(|part| if part.starts_with('{') { "x" } else { part }).collect();
        let nested = literal.matches('/').count() == 1;
        let prefixes = if nested { &["", "/sso", "/_gongpai", "/oauth2"][..] } else { &[""] };
        paths.extend(prefixes.iter().map(|prefix| format!("{prefix}{}", filled.join("/"))));
    }
    for known in ["/sso/session", "/_gongpai/session", "/auth/nginx", "/sso/m/x", "/qiyeweixinsso.html", "/"]
    {
        assert!(paths.contains(known), "{known} is not among {paths:?}");
    }
    paths
}

fn collect_literals(folder: &Path, literals: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources").flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() {
            // Separate programs, which users do not run.
            if name != "simulator" && name != "bin" && name != "tests" {
                collect_literals(&path, literals);
            }
        } else if name.to_string_lossy().ends_with(".rs") {
            let text = std::fs::read_to_string(&path).expect("a source file");
            let routes = text.split(".route(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
            literals.extend(routes.filter_map(|rest| rest.split('"').next()).map(str::to_owned));
        }
    }
}

#[tokio::test]
async fn nothing_outside_the_api_makes_a_browser_ask_for_a_password() {
    let t = TestApp::with("[server]\nstart_rate = \"1000000/s burst 1000000\"").await;
    let mut refused = BTreeSet::new();
    let mut stranger = t.desktop();
    for path in list_paths() {
        for origin in [PUBLIC_URL, APP_URL] {
            let url = format!("{origin}{path}");
            let script = BrowserRequest::fetch(&url).header("x-requested-with", "XMLHttpRequest");
            let wrong = script.clone().header("authorization", "Basic b2E6d3Jvbmc=");
            let program = BrowserRequest::bare(Method::GET, &url).header("accept", "application/json");
            let posted = BrowserRequest::bare(Method::POST, &url).header("accept", "*/*");
            for ask in [BrowserRequest::navigate(&url), script, wrong, program, posted] {
                let page = stranger.send(ask).await;
                assert!(!page.headers.contains_key("www-authenticate"), "{url}: {}", page.status);
                if page.status == 401 {
                    refused.insert(path.clone());
                }
            }
        }
    }
    for known in ["/sso/session", "/_gongpai/session"] {
        assert!(refused.contains(known), "{known} refuses nobody: {refused:?}");
    }
    // The check that nginx asks for, with a page behind it.
    let check = t.check(&t.desktop(), PUBLIC_URL).await;
    assert_eq!((check.status.as_u16(), check.header("www-authenticate")), (401, None));
    // Here programs learn what to send.
    let api = t
        .desktop()
        .send(BrowserRequest::bare(Method::GET, &format!("{PUBLIC_URL}/api/v1/directory/units")))
        .await;
    assert_eq!(api.status, 401);
    assert!(api.header("www-authenticate").is_some_and(|challenge| challenge.starts_with("Basic ")));
}

//! Cookies with the session's name that another host or application planted in the browser, at the
//! path of a page. The browser ends signed in, or on a page that says why, and never loops for
//! ever.

use std::time::Duration;

use gongpai::simulator::Simulator;
use url::Url;

use crate::support::app::{PUBLIC_URL, TestApp};
use crate::support::browser::{Browser, Page, WECOM_PHONE};
use crate::support::database::TestDatabase;

const SHARED_COOKIE: &str = "__Secure-gongpai";
const COOKIE_DOMAIN_CONFIG: &str = "[session]\ncookie_domain = \".example.com\"";

/// Chromium shows an error page after more redirects than this in a row.
const MAX_CHROMIUM_REDIRECTS: usize = 20;

/// Sets a cookie as an answer of `from` would.
fn plant_cookie(browser: &mut Browser, from: &str, cookie: &str) {
    let refused = browser.cookies.refused().len();
    browser.cookies.store(&from.parse().expect("a URL"), cookie);
    assert_eq!(browser.cookies.refused().len(), refused, "no browser would take {cookie}");
}

/// Opens a page behind the gate, as often as the gate sends the browser to sign in. Returns `None`
/// if it is allowed, otherwise the page that the browser ended on. `always` runs in the browser
/// before every request for the page.
async fn open_behind_gate(
    t: &TestApp,
    browser: &mut Browser,
    url: &str,
    always: impl Fn(&mut Browser),
) -> Option<Page> {
    let mut redirects = 0;
    loop {
        always(browser);
        let check = t.check(browser, url).await;
        if check.status == 200 {
            return None;
        }
        let mut next: Url = check.header("location").expect("where to sign in").parse().expect("a URL");
        loop {
            redirects += 1;
            assert!(redirects < MAX_CHROMIUM_REDIRECTS, "too many redirects, the last one to {next}");
            t.app.clock.advance(Duration::from_millis(5));
            next.set_fragment(None);
            if next.as_str() == url {
                break;
            }
            let page = browser.get(next.as_str()).await;
            let Some(to) = page.location() else { return Some(page) };
            next = to;
        }
    }
}

#[tokio::test]
async fn case_50_a_cookie_that_a_sibling_planted_at_a_path_is_removed_when_a_page_below_signs_in() {
    let t = TestApp::with(COOKIE_DOMAIN_CONFIG).await;
    for host in [PUBLIC_URL, "https://hr.example.com"] {
        for path in ["/pay", "/pay/", "/pay/slips"] {
            let url = format!("{host}/pay/slips?year=2026");
            let planted = format!("{SHARED_COOKIE}=junk; Domain=example.com; Path={path}; Secure");
            for (who, mut browser) in [
                ("a stranger in WeCom", t.phone_of("zhangsan")),
                ("somebody signed in, in WeCom", t.signed_in("zhangsan").await),
                ("somebody signed in at a desk", t.desktop()),
            ] {
                if who.ends_with("desk") {
                    browser.cookies = t.signed_in("zhangsan").await.cookies;
                }
                plant_cookie(&mut browser, "https://sibling.example.com/", &planted);
                let ended = open_behind_gate(&t, &mut browser, &url, |_| ()).await;
                assert!(ended.is_none(), "{who}, {url}, {path}: {}", ended.unwrap().text());
                assert_eq!(browser.cookies.named(SHARED_COOKIE).len(), 1, "{who}, {url}, {path}");
            }
        }
    }
}

#[tokio::test]
async fn case_50_what_an_application_of_the_host_itself_planted_is_removed_too() {
    let t = TestApp::with(COOKIE_DOMAIN_CONFIG).await;
    let host = "https://hr.example.com";
    for domain in ["", "; Domain=hr.example.com"] {
        let mut browser = t.signed_in("zhangsan").await;
        let planted = format!("{SHARED_COOKIE}=junk{domain}; Path=/a/b; Secure");
        plant_cookie(&mut browser, host, &planted);
        assert!(
            open_behind_gate(&t, &mut browser, &format!("{host}/a/b/c"), |_| ()).await.is_none(),
            "{planted}"
        );
    }
}

#[tokio::test]
async fn case_50_on_http_a_planted_cookie_is_removed_along_the_path() {
    let (wecom, database) = (Simulator::start().await.unwrap(), TestDatabase::create().await);
    let here = "http://localhost:8099";
    let more = format!("public_url = {here:?}\n[login]\nredirect_hosts = []");
    let t = TestApp::with_parts(wecom, database, &more).await;
    t.wecom.set_trusted_domains(["localhost:8099"]);
    t.wecom.set_phone_member("zhangsan");
    let mut browser = t.browser(WECOM_PHONE);
    browser.resolve(here, t.address);
    // Another port of this machine is another application, and cookies do not know ports.
    plant_cookie(&mut browser, "http://localhost:9000/", "gongpai=junk; Path=/pay");
    assert!(open_behind_gate(&t, &mut browser, &format!("{here}/pay/x"), |_| ()).await.is_none());
    assert_eq!(browser.cookies.named("gongpai").len(), 1);
}

#[tokio::test]
async fn case_50_a_cookie_that_always_comes_back_ends_on_a_page_that_names_it_and_not_in_a_round() {
    let t = TestApp::with(COOKIE_DOMAIN_CONFIG).await;
    let again = |browser: &mut Browser| {
        let cookie = format!("{SHARED_COOKIE}=junk; Domain=example.com; Path=/pay; Secure");
        plant_cookie(browser, "https://sibling.example.com/", &cookie);
    };
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    for host in [PUBLIC_URL, "https://hr.example.com"] {
        for mut browser in [t.phone_of("zhangsan"), t.signed_in("zhangsan").await, desktop.clone()] {
            let url = format!("{host}/pay/x");
            let page = open_behind_gate(&t, &mut browser, &url, again).await.expect("a page that says why");
            let words = page.words();
            assert_eq!(page.status, 400, "{words}");
            for said in
                ["signin.too_many_rounds", "登录没有保持住", "did not hold", SHARED_COOKIE, "/pay, /pay/x"]
            {
                assert!(words.contains(said), "{said}: {words}");
            }
            // The button of that page begins anew, and works once nobody plants cookies any more.
            let button = page.link_with("login").expect("a button");
            let end = browser.get(button).await;
            assert!(end.status.is_redirection(), "{} {}", end.status, end.text());
            browser.cookies.remove(|c| c.path == "/pay");
            assert!(open_behind_gate(&t, &mut browser, &url, |_| ()).await.is_none());
        }
    }
}

#[tokio::test]
async fn scan_pages_of_many_tabs_that_go_on_by_themselves_make_no_round() {
    let t = TestApp::with(COOKIE_DOMAIN_CONFIG).await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    for n in 0..12 {
        t.app.clock.advance(Duration::from_millis(100));
        let page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd=/pay/x&entrance=qr")).await;
        assert_eq!(page.status, 302, "{n}: {}", page.text());
    }
}

//! Starts inside frames: nobody can sign in there, so the answer is the page that opens the top
//! window.

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{BrowserRequest, Page};

/// Returns the policy's `frame-ancestors`.
fn frame_ancestors(page: &Page) -> String {
    let policy = page.header("content-security-policy").expect("a policy");
    policy.split("frame-ancestors ").nth(1).expect("ancestors").to_owned()
}

#[tokio::test]
async fn a_start_inside_a_frame_consumes_nothing_and_leads_to_the_top_window() {
    let t = TestApp::with("[server]\nstart_rate = \"1/min\"").await;
    for url in [
        format!("{PUBLIC_URL}/sso/login?rd=%2Fa%3Fx%3D1"),
        format!("{PUBLIC_URL}/_gongpai/login?rd=%2Fa&entrance=qr"),
        format!("{APP_URL}/_gongpai/login?rd=%2Fa"),
        format!("{PUBLIC_URL}/qiyeweixinsso.html"),
        format!("{PUBLIC_URL}/x_desktop/qiyeweixinsso.html?redirect=a.html"),
    ] {
        for dest in ["iframe", "frame", "embed", "object"] {
            for mut browser in [t.desktop(), t.phone_of("zhangsan")] {
                let page = browser.send(BrowserRequest::navigate(&url).header("sec-fetch-dest", dest)).await;
                assert_eq!((page.status.as_u16(), page.header("set-cookie")), (200, None), "{url} {dest}");
                assert!(page.words().contains("请在完整窗口中登录。"), "{}", page.words());
                let text = page.text();
                let same = text.split(" id=\"go\" href=\"").nth(1).and_then(|rest| rest.split('"').next());
                let same = same.expect("a button").replace("&#38;", "&");
                assert_eq!(page.url.join(&same).expect("an address"), page.url);
                let target =
                    page.text().split(" id=\"go\"").nth(1).map(|rest| rest.contains("target=\"_top\""));
                assert_eq!(target, Some(true), "{}", page.text());
                assert_eq!(page.header("x-frame-options"), None, "{url}");
                let own = frame_ancestors(&page);
                assert!(own.contains(PUBLIC_URL) && own.contains(APP_URL), "{own}");
            }
        }
    }
    assert_eq!(
        (t.count_rows("attempts").await, t.count_rows("tickets").await, t.wecom.calls_total()),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn every_host_of_ours_may_show_that_page_and_no_other_host() {
    let t = TestApp::with(
        "[session]\ncookie_domain = \".example.com\"\n[login]\nredirect_hosts = [\"wiki.example.org:8443\"]",
    )
    .await;
    let ask =
        BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/login?rd=/")).header("sec-fetch-dest", "iframe");
    let own = frame_ancestors(&t.desktop().send(ask).await);
    let all: Vec<_> = own.split(' ').collect();
    let wecom = t.wecom.url();
    let wanted =
        [PUBLIC_URL, "https://wiki.example.org:8443", "https://*.example.com:*", wecom.trim_end_matches('/')];
    assert_eq!(all, wanted);
}

#[tokio::test]
async fn outside_frames_nothing_of_that_is_seen() {
    let t = TestApp::start().await;
    for dest in ["document", "empty"] {
        let ask =
            BrowserRequest::navigate(&format!("{PUBLIC_URL}/sso/login?rd=/a")).header("sec-fetch-dest", dest);
        let page = t.phone_of("zhangsan").send(ask).await;
        assert_eq!(page.status, 302, "{dest}");
    }
}

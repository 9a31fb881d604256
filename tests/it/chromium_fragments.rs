//! Fragments and frames in a real Chromium: what only a browser knows and only a browser loses.

use serde_json::json;

use crate::support::app::TestApp;
use crate::support::browser::{DESKTOP, WECOM_PHONE};
use crate::support::eventually;
use crate::support::nginx::Nginx;
use crate::support::port::Port;
use crate::support::stage::Stage;
use crate::support::webdriver::{Chromium, Viewport};

const HASH_ROUTES_CONFIG: &str = "[login]\nhash_routes = [\"127.0.0.1\"]";

/// Waits until the top window shows that somebody is signed in; returns path and fragment of the
/// page.
async fn wait_for_arrival(chromium: &Chromium) -> (String, Option<String>) {
    chromium.text_with("您已登录。").await;
    assert_eq!(chromium.script("return window === window.top", json!([])).await, true);
    let url = chromium.url().await;
    (url.path().to_owned(), url.fragment().filter(|fragment| !fragment.is_empty()).map(str::to_owned))
}

fn expected_page(path: &str, fragment: &str) -> (String, Option<String>) {
    (path.to_owned(), (!fragment.is_empty()).then(|| fragment.to_owned()))
}

/// Waits until the scan page has reloaded with its fragment in the target.
async fn wait_for_carried_fragment(chromium: &Chromium) {
    let anew = |url: &url::Url| url.fragment().is_none() && url.path() == "/sso/login";
    chromium.url_with("the scan page has its fragment in the target", anew).await;
    chromium.find("iframe").await;
}

/// Scans the panel of the shown scan page as zhangsan, and confirms.
async fn confirm_scan(chromium: &Chromium, t: &TestApp) {
    let panel = "return (document.querySelector('iframe') || {}).src";
    eventually("the panel waits for its scan", async || {
        let url = chromium.script(panel, json!([])).await;
        let url = url::Url::parse(url.as_str().unwrap_or_default()).ok()?;
        let state = url.query_pairs().find(|(name, _)| name == "state")?.1.into_owned();
        t.wecom.confirm_scan(&state, "zhangsan").ok()
    })
    .await;
}

#[tokio::test]
async fn after_a_sign_in_inside_wecom_the_page_has_nothing_of_wecoms_fragment() {
    let stage = Stage::start().await;
    let chromium = Chromium::start(Viewport::Phone, WECOM_PHONE).await;
    chromium.goto(stage.url("/")).await;
    assert_eq!(wait_for_arrival(&chromium).await, expected_page("/", ""));
    assert_eq!(chromium.script("return location.hash", json!([])).await, "");
}

#[tokio::test]
async fn a_scan_page_keeps_the_fragment_of_the_page_that_was_refused() {
    let stage = Stage::start().await;
    let chromium = Chromium::start(Viewport::Desktop, DESKTOP).await;
    // By the official panel, and by the link beside it.
    chromium.goto(stage.url("/#/todo/3?x=%E5%BE%85")).await;
    wait_for_carried_fragment(&chromium).await;
    confirm_scan(&chromium, &stage.gateway).await;
    assert_eq!(wait_for_arrival(&chromium).await, expected_page("/", "/todo/3?x=%E5%BE%85"));

    chromium.forget_cookies().await;
    chromium.goto(stage.url("/sso/session")).await;
    chromium.goto(stage.url("/#a\\b")).await;
    wait_for_carried_fragment(&chromium).await;
    let framed = stage.gateway.wecom.pending_scans();
    chromium.click("a.button").await;
    let scan = stage.scan(&framed).await;
    stage.gateway.wecom.confirm_scan(&scan.id, "zhangsan").expect("a scan that waits");
    assert_eq!(wait_for_arrival(&chromium).await, expected_page("/", "a%5Cb"));
}

#[tokio::test]
async fn inside_wecom_a_host_of_hash_routes_keeps_the_fragment_of_the_page_that_was_refused() {
    let stage = Stage::with(HASH_ROUTES_CONFIG, &[]).await;
    let chromium = Chromium::start(Viewport::Phone, WECOM_PHONE).await;
    chromium.goto(stage.url("/healthz")).await;
    for (fragment, kept) in [("#/todo/3", "/todo/3"), ("", ""), ("#wechat_redirect", "")] {
        chromium.goto(stage.url(&format!("/{fragment}"))).await;
        assert_eq!(wait_for_arrival(&chromium).await, expected_page("/", kept), "{fragment}");
        chromium.forget_cookies().await;
        chromium.goto(stage.url("/healthz")).await;
    }
    chromium.goto(stage.url("/#/todo/3")).await;
    wait_for_arrival(&chromium).await;
    chromium.back().await;
    assert_eq!(chromium.url().await.path(), "/healthz", "the page in between is in no history");
    let console = chromium.console().await;
    assert!(!console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
}

#[tokio::test]
async fn inside_wecom_a_host_of_hash_routes_signs_in_without_scripts_too() {
    let stage = Stage::with(HASH_ROUTES_CONFIG, &[]).await;
    let chromium = Chromium::start(Viewport::Phone, WECOM_PHONE).await;
    chromium.without_scripts().await;
    chromium.goto(stage.url("/#/todo/3")).await;
    let text = chromium.text_with("您已登录。").await;
    assert!(text.contains("zhangsan"), "{text}");
}

/// Two hosts of one gateway on different sites, each trusted by the browser as if it had TLS.
struct TwoHosts {
    t: TestApp,
    oa: String,
    app: String,
    _port: Port,
}

impl TwoHosts {
    async fn start(other: &str, toml: &str) -> Self {
        let port = Port::reserve();
        let number = port.number();
        let hosts = format!("redirect_hosts = [\"localhost:{number}\", \"{other}\"]");
        let t = TestApp::reachable_at("127.0.0.1", &port, &format!("[login]\n{hosts}\n{toml}"), &[]).await;
        let at = |host: &str| format!("http://{host}:{number}");
        Self { t, oa: at("127.0.0.1"), app: at("localhost"), _port: port }
    }
}

#[tokio::test]
async fn a_fragment_survives_the_way_over_another_host_signed_out_and_signed_in() {
    let site = TwoHosts::start("wiki.example.org", "hash_routes = [\"localhost\"]").await;
    let chromium = Chromium::start(Viewport::Desktop, DESKTOP).await;
    chromium.goto(format!("{}/#/todo/3", site.app)).await;
    wait_for_carried_fragment(&chromium).await;
    confirm_scan(&chromium, &site.t).await;
    assert_eq!(wait_for_arrival(&chromium).await, expected_page("/", "/todo/3"));
    assert!(chromium.url().await.as_str().starts_with(&site.app));

    // Signed in at the gateway's host, but no longer at the application's.
    chromium.forget_cookies().await;
    chromium.goto(format!("{}/#/todo/4", site.app)).await;
    assert_eq!(wait_for_arrival(&chromium).await, expected_page("/", "/todo/4"));
    assert!(chromium.url().await.as_str().starts_with(&site.app));
}

#[tokio::test]
async fn after_a_sign_out_the_button_takes_the_fragment_along() {
    let stage = Stage::with(HASH_ROUTES_CONFIG, &[]).await;
    let chromium = Chromium::start(Viewport::Desktop, DESKTOP).await;
    chromium.goto(stage.url("/sso/logout?rd=/")).await;
    chromium.goto(stage.url("/healthz")).await;
    chromium.goto(stage.url("/#/todo/3")).await;
    chromium.text_with("您已退出登录。").await;
    chromium.screenshot("signed-out-fragment-desktop").await;
    chromium.click("#go").await;
    wait_for_carried_fragment(&chromium).await;
    let rd = chromium.url().await.query_pairs().find(|(name, _)| name == "rd").map(|(_, rd)| rd.into_owned());
    assert_eq!(rd.as_deref(), Some("/#/todo/3"));
}

#[tokio::test]
async fn a_page_in_a_portals_frame_whose_session_has_ended_leads_to_the_top_window() {
    let portal = Port::reserve();
    let site = TwoHosts::start(&format!("localhost:{}", portal.number()), "").await;
    let page = format!(
        "<!doctype html><title>portal</title><h1>portal</h1><iframe width=360 height=420 src={}/#/todo/3></iframe>",
        site.app
    );
    let server = format!(
        "server {{ listen {}; default_type text/html; location = / {{ return 200 '{page}'; }} }}",
        portal.address()
    );
    let _nginx = Nginx::start(&server).await;
    let chromium = Chromium::start(Viewport::Desktop, DESKTOP).await;
    chromium.goto(format!("http://localhost:{}/", portal.number())).await;
    chromium.enter_frame("iframe").await;
    chromium.text_with("请在完整窗口中登录。").await;
    assert_eq!(chromium.title().await, "portal", "nothing moves the portal by itself");
    chromium.screenshot("top-window-desktop").await;
    chromium.click("#go").await;
    chromium.leave_frames().await;
    wait_for_carried_fragment(&chromium).await;
    assert!(chromium.url().await.as_str().starts_with(&site.oa));
    confirm_scan(&chromium, &site.t).await;
    assert_eq!(wait_for_arrival(&chromium).await, expected_page("/", "/todo/3"));
    assert!(chromium.url().await.as_str().starts_with(&site.app));
}

//! Signing in with a real Chromium: where frames, cookies and scripts matter.

use gongpai::simulator::PendingScan;
use serde_json::json;

use crate::support::app::WECOM_HOST;
use crate::support::browser::{Browser, DESKTOP, WECOM_PHONE};
use crate::support::eventually;
use crate::support::stage::Stage;
use crate::support::webdriver::{Chromium, Viewport};

const LOGIN_PATH: &str = "/sso/login?rd=/sso/session";

async fn start_at_desktop() -> (Stage, Chromium) {
    (Stage::start().await, Chromium::start(Viewport::Desktop, DESKTOP).await)
}

/// Waits until the top window shows who is signed in.
async fn expect_signed_in(chromium: &Chromium, userid: &str) {
    chromium.text_with(&format!("\"userid\":\"{userid}\"")).await;
    assert_eq!(chromium.url().await.path(), "/sso/session");
    assert_eq!(chromium.script("return window === window.top", json!([])).await, true);
}

#[tokio::test]
async fn a_scan_confirmed_on_the_phone_page_signs_in_without_a_click_in_the_qr_page() {
    let (stage, chromium) = start_at_desktop().await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    let frame = chromium.script("return document.querySelector('iframe').src", json!([])).await;
    let frame = url::Url::parse(frame.as_str().unwrap_or_default()).expect("the panel's address");
    assert_eq!(frame.host_str(), Some(WECOM_HOST), "another site than the gateway's");
    let desk = chromium.windows().await;

    // The phone: another window, on WeCom's own site.
    let scan = stage.scan(&[]).await;
    chromium.new_tab().await;
    let wecom = format!("http://{WECOM_HOST}:{}", stage.gateway.wecom.address().port());
    chromium.goto(format!("{wecom}/phone/confirm?scan={}", scan.id)).await;
    chromium.click("button[value=confirm]").await;
    chromium.text_with("已确认登录").await;

    chromium.switch_to(&desk[0]).await;
    expect_signed_in(&chromium, "zhangsan").await;
    let cookies = chromium.cookies().await;
    let session = cookies.iter().find(|c| c["name"] == "gongpai").expect("a session cookie");
    assert_eq!((&session["httpOnly"], &session["sameSite"]), (&json!(true), &json!("Lax")));
}

#[tokio::test]
async fn the_plain_link_signs_in_too() {
    let (stage, chromium) = start_at_desktop().await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    let framed = [stage.scan(&[]).await];
    chromium.click("a.button").await;
    chromium.url_with("WeCom's own page", |url| url.host_str() == Some(WECOM_HOST)).await;
    let scan = stage.scan(&framed).await;
    stage.gateway.wecom.confirm_scan(&scan.id, "lisi").expect("a scan that waits");
    expect_signed_in(&chromium, "lisi").await;
}

#[tokio::test]
async fn a_callback_that_lands_in_the_frame_consumes_nothing_and_goes_on_in_the_top_window() {
    let (stage, chromium) = start_at_desktop().await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    let first = [stage.scan(&[]).await];
    // A panel that may not navigate the top window goes on inside its frame. The official script
    // can be told to do so.
    let inside = "const f = document.querySelector('iframe'); \
                  f.src = f.src.replace('redirect_type=top', 'redirect_type=self')";
    chromium.script(inside, json!([])).await;
    let scan: PendingScan = stage.scan(&first).await;
    let back = stage.gateway.wecom.confirm_scan(&scan.id, "zhangsan").expect("a scan that waits");

    // The frame gets a link to the same address, and WeCom has not been asked.
    let mut frame = Browser::new(DESKTOP);
    let ask = crate::support::browser::BrowserRequest::navigate(&back).header("sec-fetch-dest", "iframe");
    let page = frame.send(ask).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("正在继续登录。"), "{}", page.text());
    let on = page.link_with("/sso/callback?").expect("a link to the same address");
    assert_eq!(on.query(), url::Url::parse(&back).expect("an address").query());
    assert_eq!(page.header("set-cookie"), None);
    let policy = page.header("content-security-policy").unwrap_or_default().to_owned();
    assert!(policy.contains(&format!("frame-ancestors {} http://{WECOM_HOST}", stage.base)), "{policy}");

    expect_signed_in(&chromium, "zhangsan").await;
    assert_eq!(
        stage.gateway.wecom.calls("auth/getuserinfo"),
        1,
        "the code was asked for once, by the top window"
    );
    let console = chromium.console().await;
    assert!(!console.iter().any(|line| line.contains("Content Security Policy")), "{console:?}");
}

#[tokio::test]
async fn without_a_script_the_frame_shows_a_button_that_goes_on_in_the_top_window() {
    let (stage, chromium) = start_at_desktop().await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    let scan = stage.scan(&[]).await;
    let show = "document.querySelector('iframe').src = arguments[0]";
    chromium.script(show, json!(["about:blank"])).await;
    chromium.without_scripts().await;
    let back = stage.gateway.wecom.confirm_scan(&scan.id, "lisi").expect("a scan that waits");
    chromium.script(show, json!([back])).await;
    chromium.enter_frame("iframe").await;
    chromium.text_with("正在继续登录。").await;
    chromium.screenshot("break-out-desktop").await;
    assert_eq!(stage.gateway.wecom.calls("auth/getuserinfo"), 0, "nothing is consumed in the frame");
    chromium.click("#go").await;
    chromium.leave_frames().await;
    expect_signed_in(&chromium, "lisi").await;
}

#[tokio::test]
async fn a_qr_page_goes_on_by_itself_when_another_tab_signs_in() {
    let (stage, chromium) = start_at_desktop().await;
    chromium.goto(stage.url("/sso/login?rd=/sso/session?first")).await;
    let first = [stage.scan(&[]).await];
    let waiting = chromium.windows().await;
    chromium.new_tab().await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    let scan = stage.scan(&first).await;
    stage.gateway.wecom.confirm_scan(&scan.id, "zhangsan").expect("a scan that waits");
    expect_signed_in(&chromium, "zhangsan").await;
    chromium.switch_to(&waiting[0]).await;
    expect_signed_in(&chromium, "zhangsan").await;
    assert_eq!(chromium.url().await.query(), Some("first"), "at its own target");
}

#[tokio::test]
async fn a_qr_page_renews_its_attempt_every_eight_minutes() {
    let stage = Stage::start().await;
    let page = Browser::new(DESKTOP).get(stage.url(LOGIN_PATH)).await;
    assert_eq!(page.header("refresh"), Some("480"));
}

#[tokio::test]
async fn inside_wecom_no_page_is_seen_on_the_way() {
    let stage = Stage::start().await;
    let chromium = Chromium::start(Viewport::Phone, WECOM_PHONE).await;
    chromium.goto(stage.url("/healthz")).await;
    let before = chromium.script("return history.length", json!([])).await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    expect_signed_in(&chromium, "zhangsan").await;
    let after = chromium.script("return history.length", json!([])).await;
    assert_eq!(after.as_u64(), before.as_u64().map(|n| n + 1), "one navigation, redirects only");
    chromium.back().await;
    assert_eq!(chromium.url().await.path(), "/healthz", "back leads out, not into WeCom");
}

#[tokio::test]
async fn two_session_cookies_are_cleared_by_the_sign_in_page_and_sign_in_works() {
    let stage = Stage::on("oa.example.com", "", &[]).await;
    let chromium = Chromium::start(Viewport::Phone, WECOM_PHONE).await;
    for second in ["domain=oa.example.com; path=/", "domain=example.com; path=/"] {
        chromium.goto(stage.url(LOGIN_PATH)).await;
        expect_signed_in(&chromium, "zhangsan").await;
        // A second cookie of the same name, as a program on a neighbouring host can set it.
        chromium.script(&format!("document.cookie = 'gongpai=other; {second}'"), json!([])).await;
        chromium.goto(stage.url("/sso/session")).await;
        assert!(!chromium.text_with("").await.contains("userid"), "{second}: two cookies are nobody");
        chromium.goto(stage.url(LOGIN_PATH)).await;
        expect_signed_in(&chromium, "zhangsan").await;
        let named = chromium.cookies().await.into_iter().filter(|c| c["name"] == "gongpai").count();
        assert_eq!(named, 1, "{second}");
    }
}

#[tokio::test]
async fn after_a_sign_out_the_next_sign_in_shows_a_button_for_ten_minutes() {
    let stage = Stage::start().await;
    let chromium = Chromium::start(Viewport::Phone, WECOM_PHONE).await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    expect_signed_in(&chromium, "zhangsan").await;
    chromium.goto(stage.url("/sso/logout")).await;
    chromium.text_with("您已退出登录。").await;
    let cookies = chromium.cookies().await;
    assert!(!cookies.iter().any(|c| c["name"] == "gongpai"), "{cookies:?}");
    let marker = cookies.iter().find(|c| c["name"] == "gongpai-o").expect("the marker");
    let now = std::time::UNIX_EPOCH.elapsed().expect("after 1970").as_secs();
    let left = marker["expiry"].as_u64().expect("an expiry").saturating_sub(now);
    assert!((580..=600).contains(&left), "{left} s");

    chromium.goto(stage.url(LOGIN_PATH)).await;
    chromium.text_with("重新登录").await;
    chromium.click("a.button").await;
    expect_signed_in(&chromium, "zhangsan").await;
    // The browser forgets the marker, as it does ten minutes later.
    chromium.goto(stage.url("/sso/logout")).await;
    chromium.forget_cookie("gongpai-o").await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    expect_signed_in(&chromium, "zhangsan").await;
}

#[tokio::test]
async fn the_scan_page_never_makes_the_browser_ask_for_a_password() {
    let (stage, chromium) = start_at_desktop().await;
    let requests = chromium.password_requests().await;
    chromium.goto(stage.url(LOGIN_PATH)).await;
    let asked =
        "return performance.getEntriesByType('resource').filter(e => e.name.endsWith('/sso/session')).length";
    eventually("the page has asked twice who is signed in", async || {
        chromium.script(asked, json!([])).await.as_u64().filter(|times| *times >= 2)
    })
    .await;
    assert_eq!(requests.all(), [""; 0]);

    // A counter-check that the listener works: a page that calls the API itself does get the
    // browser's password box.
    let units = "return fetch('/api/v1/directory/units').then(answer => answer.status)";
    assert_eq!(chromium.script(units, json!([])).await, 401);
    assert_eq!(requests.all(), [stage.url("/api/v1/directory/units")]);
}

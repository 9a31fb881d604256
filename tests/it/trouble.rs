//! WeCom in trouble: a page within fifteen seconds that names the trouble, no panic, and members
//! who are signed in notice nothing.

use std::time::{Duration, Instant};

use gongpai::simulator::InjectedFault;

use crate::support::app::{PUBLIC_URL, TestApp, run_all_at_once};
use crate::support::browser::{Browser, Page};

/// Checks the page of a code: its status, its words in both languages, the request id, and
/// `Retry-After`.
fn assert_page_of_code(page: &Page, code: &str, what: &str) {
    let row =
        gongpai::testing::http::words::Code::ALL.iter().find(|c| c.as_str() == code).expect("a code").row();
    let text = page.words();
    assert!(text.contains(code), "{what}: {code}: {text}");
    assert_eq!(page.status, row.status, "{what}");
    assert!(text.contains(&*row.happened.zh) && text.contains(&*row.happened.en), "{what}: {text}");
    assert!(text.contains(&*row.advice.zh) && text.contains(&*row.admin.en), "{what}: {text}");
    assert!(text.contains(page.header("x-request-id").expect("a request id")), "{what}");
    if page.status == 503 {
        let after: u64 =
            page.header("retry-after").unwrap_or_else(|| panic!("{what}")).parse().expect("seconds");
        assert!(after > 0, "{what}");
    }
    assert!(page.headers.get("set-cookie").is_none(), "{what}");
}

async fn try_sign_in(t: &TestApp) -> (Browser, Page) {
    let mut phone = t.phone_of("zhangsan");
    let page = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
    (phone, page)
}

#[tokio::test]
async fn every_errcode_has_its_page() {
    let cases: [(&str, i64, &str); 24] = [
        ("auth/getuserinfo", -1, "wecom.unreachable"),
        ("auth/getuserinfo", 45009, "wecom.busy"),
        ("auth/getuserinfo", 45033, "wecom.busy"),
        ("auth/getuserinfo", 60020, "setup.trusted_ip"),
        ("auth/getuserinfo", 50001, "setup.wrong_agent"),
        ("auth/getuserinfo", 48002, "setup.secret"),
        ("auth/getuserinfo", 48009, "setup.contacts_only"),
        ("auth/getuserinfo", 50003, "setup.app_disabled"),
        ("auth/getuserinfo", 40014, "setup.secret"),
        ("auth/getuserinfo", 42001, "setup.secret"),
        ("auth/getuserinfo", 99999, "wecom.unreachable"),
        ("gettoken", 40001, "setup.secret"),
        ("gettoken", 40091, "setup.secret"),
        ("gettoken", 40013, "setup.corp_id"),
        ("gettoken", 50003, "setup.app_disabled"),
        ("gettoken", 45009, "wecom.busy"),
        ("gettoken", -1, "wecom.unreachable"),
        ("user/get", 60111, "signin.not_visible"),
        ("user/get", 60011, "signin.not_visible"),
        ("user/get", 48009, "setup.contacts_only"),
        ("user/get", 48002, "setup.secret"),
        ("user/get", 60020, "setup.trusted_ip"),
        ("user/get", -1, "wecom.unreachable"),
        ("user/get", 45009, "wecom.busy"),
    ];
    let t = TestApp::start().await;
    for (api, errcode, code) in cases {
        if api == "gettoken" {
            t.advance(Duration::from_secs(7200)).await; // the token runs out
        }
        let message = format!(
            "said so, hint: [1234567890], from ip: 198.51.100.23, more info at \
             https://open.work.weixin.qq.com/devtool/query?e={errcode}"
        );
        t.wecom.fail_always(api, InjectedFault::Errcode(errcode, message));
        let (mut phone, page) = try_sign_in(&t).await;
        let what = format!("{api} {errcode}");
        assert_page_of_code(&page, code, &what);
        assert!(page.text().contains(&errcode.to_string()), "{what}: {}", page.text());
        if errcode == 60020 {
            assert!(page.text().contains("198.51.100.23"), "the address to enter: {}", page.text());
        }
        // Whoever clicks is let in once WeCom is well again and the pause is over.
        t.wecom.clear_faults();
        t.advance(Duration::from_secs(700)).await;
        let again = page
            .link_with("/sso/login")
            .map_or(format!("{PUBLIC_URL}/sso/login?rd=/sso/session"), String::from);
        let end = phone.open(again).await;
        assert_eq!(end.status, 200, "{what}: {}", end.text());
    }
}

#[tokio::test]
async fn answers_that_cannot_be_read_are_the_unreachable_page() {
    let t = TestApp::start().await;
    let faults = [
        InjectedFault::Status500,
        InjectedFault::Html502,
        InjectedFault::EmptyBody,
        InjectedFault::Close,
        InjectedFault::Truncated,
        InjectedFault::CloseMidAnswer,
        InjectedFault::Text("null".to_owned()),
        InjectedFault::Text("[]".to_owned()),
        InjectedFault::Text("{\"errcode\":".to_owned()),
        InjectedFault::Text("[".repeat(100_000)),
        InjectedFault::HugeBody,
    ];
    for api in ["gettoken", "auth/getuserinfo", "user/get"] {
        // The longest fault is refused by the same few lines, whatever was called.
        for fault in faults.iter().filter(|f| api == "user/get" || **f != InjectedFault::HugeBody) {
            let signed_in = t.signed_in("lisi").await;
            if api == "gettoken" {
                t.advance(Duration::from_secs(7200)).await; // the token runs out
            }
            t.wecom.fail_always(api, fault.clone());
            let (_, page) = try_sign_in(&t).await;
            assert_page_of_code(&page, "wecom.unreachable", &format!("{api} {fault:?}"));
            assert_eq!(t.check(&signed_in, PUBLIC_URL).await.status, 200, "people already in notice nothing");
            t.wecom.clear_faults();
            t.advance(Duration::from_secs(60)).await;
        }
    }
}

#[tokio::test]
async fn odd_but_readable_answers_sign_in() {
    for fault in [
        InjectedFault::Bom,
        InjectedFault::ControlCharacter,
        InjectedFault::ErrcodeAsString,
        InjectedFault::Slow(Duration::from_millis(300)),
    ] {
        let t = TestApp::start().await;
        t.wecom.fail_always("*", fault.clone());
        let (_, page) = try_sign_in(&t).await;
        assert_eq!(page.status, 200, "{fault:?}: {}", page.text());
        let me: serde_json::Value = page.json();
        assert_eq!(me["userid"], "zhangsan", "{fault:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_hangs_there_is_a_page_within_fifteen_seconds() {
    let mut all = Vec::new();
    for faults in [
        vec![("gettoken", InjectedFault::Hang)],
        vec![("auth/getuserinfo", InjectedFault::Hang)],
        vec![("user/get", InjectedFault::Hang)],
        vec![("auth/getuserinfo", InjectedFault::HangMidAnswer)],
        vec![
            ("gettoken", InjectedFault::Slow(Duration::from_secs(5))),
            ("auth/getuserinfo", InjectedFault::Slow(Duration::from_secs(5))),
            ("user/get", InjectedFault::Slow(Duration::from_secs(7))),
        ],
    ] {
        all.push(async move {
            let t = TestApp::start().await;
            let signed_in = t.signed_in("lisi").await;
            if faults[0].0 == "gettoken" {
                t.advance(Duration::from_secs(7190)).await;
                t.wecom.revoke_tokens();
            }
            for (api, fault) in &faults {
                t.wecom.fail_always(api, fault.clone());
            }
            let mut phone = t.phone_of("zhangsan");
            let callback = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
            let mut second = phone.clone();
            let began = Instant::now();
            // A second callback of the same attempt waits, and gets the same answer.
            let (page, twin) = tokio::join!(phone.get(callback.as_str()), async {
                tokio::time::sleep(Duration::from_millis(500)).await;
                second.get(callback.as_str()).await
            });
            let took = began.elapsed();
            assert!(took < Duration::from_secs(15), "{faults:?} took {took:?}");
            assert_page_of_code(&page, "wecom.unreachable", &format!("{faults:?}"));
            assert_page_of_code(&twin, "wecom.unreachable", &format!("{faults:?}, the second"));
            let wanted = match faults.as_slice() {
                [_] => 2,
                // The old token was refused on the way.
                _ => 3,
            };
            assert_eq!(
                t.wecom.calls("auth/getuserinfo"),
                wanted,
                "{faults:?}: lisi's, and one exchange of the code"
            );
            assert_eq!(t.check(&signed_in, PUBLIC_URL).await.status, 200);
        });
    }
    run_all_at_once(all).await;
}

#[tokio::test]
async fn a_trouble_page_tries_again_by_itself_once() {
    let t = TestApp::start().await;
    t.wecom.fail_always("user/get", InjectedFault::Status500);
    let (mut phone, page) = try_sign_in(&t).await;
    let refresh = page.header("refresh").expect("goes on by itself").to_owned();
    let url = refresh.strip_prefix("5;url=").expect("after five seconds").to_owned();
    let second = phone.open(page.url.join(&url).unwrap()).await;
    assert_page_of_code(&second, "wecom.unreachable", "the second time");
    assert_eq!(second.header("refresh"), None, "only once");
    t.wecom.clear_faults();
    let end = phone.open(second.link_with("/sso/login").unwrap()).await;
    assert_eq!(end.status, 200);
}

#[tokio::test]
async fn a_busy_page_says_when_the_window_ends() {
    let t = TestApp::start().await;
    t.wecom
        .fail_always("auth/getuserinfo", InjectedFault::Errcode(45009, "api freq out of limit".to_owned()));
    let (_, page) = try_sign_in(&t).await;
    assert_page_of_code(&page, "wecom.busy", "45009");
    let until = t.app.clock.now().plus(Duration::from_secs(60)).rfc3339();
    assert!(page.text().contains(&until), "{}", page.text());
    assert_eq!(page.header("retry-after"), Some("60"));
}

#[tokio::test]
async fn a_token_that_wecom_took_back_is_replaced_without_a_page() {
    for code in [40014, 42001] {
        let t = TestApp::start().await;
        t.signed_in("lisi").await;
        t.wecom.change(|w| w.revoked_token_errcode = code);
        t.wecom.revoke_tokens();
        let (_, page) = try_sign_in(&t).await;
        assert_eq!(page.status, 200, "{code}: {}", page.text());
        assert_eq!(t.wecom.calls("gettoken"), 2);
    }
}

#[tokio::test]
async fn a_wrong_secret_is_not_tried_again_and_again() {
    let t = TestApp::with("[wecom]\napp_secret = \"wrong-secret-wrong-secret-wrong-secret\"").await;
    for _ in 0..10 {
        let (_, page) = try_sign_in(&t).await;
        assert_page_of_code(&page, "setup.secret", "a wrong secret");
    }
    assert_eq!(t.wecom.calls("gettoken"), 1, "repeated bad ones ban the address for an hour");
}

#[tokio::test]
async fn a_gateway_that_is_switched_off_or_not_configured_says_so_and_still_serves_who_is_in() {
    for (toml, code) in [
        ("[wecom]\nenable = false", "wecom.disabled"),
        ("[wecom]\napp_secret = \"\"", "setup.secret"),
        ("[wecom]\ncorp_id = \"\"", "setup.corp_id"),
    ] {
        let t = TestApp::with(toml).await;
        for mut browser in [t.phone_of("zhangsan"), t.desktop()] {
            for path in ["/sso/login?rd=/x", "/x_desktop/qiyeweixinsso.html", "/sso/callback?code=a&state=b"]
            {
                let page = browser.get(format!("{PUBLIC_URL}{path}")).await;
                assert_page_of_code(&page, code, &format!("{toml} {path}"));
            }
        }
        assert_eq!(t.desktop().get(format!("{PUBLIC_URL}/healthz")).await.status, 200);
        assert_eq!(t.check(&t.desktop(), PUBLIC_URL).await.status, 401);
        assert_eq!(t.wecom.calls_total(), 0, "{toml}");
    }
}

#[tokio::test]
async fn english_comes_first_where_the_reader_has_no_chinese() {
    let t = TestApp::with("[wecom]\nenable = false").await;
    let row = gongpai::testing::http::words::Code::WecomDisabled.row();
    for (language, english) in
        [("en-GB,en;q=0.9", true), ("de", true), ("zh-CN", false), ("en,zh;q=0.1", false)]
    {
        let mut browser = t.desktop();
        browser.accept_language = language.to_owned();
        let text = browser.get(format!("{PUBLIC_URL}/sso/login")).await.text();
        let (zh, en) = (text.find(&*row.happened.zh).unwrap(), text.find(&*row.happened.en).unwrap());
        assert_eq!(en < zh, english, "{language:?}: {text}");
        assert!(
            text.contains(if english { "<html lang=\"en\"" } else { "<html lang=\"zh-CN\"" }),
            "{language}"
        );
    }
}

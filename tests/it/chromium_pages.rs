//! Every page that people see, reached as people reach it and inspected in a real Chromium: on a
//! phone inside WeCom and on a desktop. Screenshots are in `target/screenshots`.

use gongpai::simulator::{InjectedFault, PhoneHolder, SimulatedStatus};
use gongpai::testing::http::words::Code;
use serde_json::{Value, json};

use crate::support::axe::Axe;
use crate::support::browser::{DESKTOP, PHONE, WECOM_PHONE};
use crate::support::stage::{Stage, user_agent};
use crate::support::webdriver::{Chromium, Viewport};

/// A failure: the name of its screenshot, its code, and WeCom's errcode.
type FailureCase = (&'static str, Code, Option<i64>);

const REFUSED_CASES: &[FailureCase] = &[
    ("not-member", Code::NotMember, None),
    ("linked-corp", Code::LinkedCorp, None),
    ("disabled", Code::Disabled, None),
    ("left", Code::Left, None),
    ("not-activated", Code::NotActivated, None),
    ("not-visible-60011", Code::NotVisible, Some(60011)),
    ("not-visible-60111", Code::NotVisible, Some(60111)),
    ("denied", Code::Denied, None),
];

const ATTEMPT_CASES: &[FailureCase] = &[
    ("code-used-40029", Code::CodeUsed, Some(40029)),
    ("code-used-42003", Code::CodeUsed, Some(42003)),
    ("cookies-refused", Code::CookiesRefused, None),
    ("cancelled", Code::Cancelled, None),
    ("bad-target", Code::BadTarget, None),
    ("other-code", Code::OtherCode, None),
    ("too-many", Code::TooMany, None),
    ("not-found", Code::PageNotFound, None),
];

const SETUP_CASES: &[FailureCase] = &[
    ("wrong-agent", Code::WrongAgent, Some(50001)),
    ("trusted-ip", Code::TrustedIp, Some(60020)),
    ("secret", Code::Secret, Some(40001)),
    ("secret-48002", Code::Secret, Some(48002)),
    ("corp-id", Code::CorpId, Some(40013)),
    ("contacts-only", Code::ContactsOnly, Some(48009)),
    ("app-disabled", Code::AppDisabled, Some(50003)),
    ("wecom-disabled", Code::WecomDisabled, None),
];

const TROUBLE_CASES: &[FailureCase] = &[
    ("unreachable", Code::WecomUnreachable, None),
    ("busy", Code::WecomBusy, Some(45009)),
    ("store-unavailable", Code::StoreUnavailable, None),
];

/// Where the sign-ins of these tests start.
///
/// The page of trouble adds `a=1` when it retries by itself. With `a=1` from the start it does not
/// retry, and can be inspected.
const LOGIN_PATH: &str = "/sso/login?rd=/sso/session&a=1";

/// Leads the browser to the failure page of a case.
async fn provoke_failure(case: &FailureCase, chromium: &Chromium) -> Stage {
    let (name, _, errcode) = *case;
    let toml = match name {
        "too-many" => {
            "[server]\nsecret = \"c2l4dGVlbi1ieXRlcy1hbmQtc2l4dGVlbi1tb3JlISE=\"\nstart_rate = \"1/min\""
        }
        "denied" => "[[rules]]\nhost = \"127.0.0.1\"\nallow = [\"user:lisi\"]",
        _ => "",
    };
    let environment: &[(&str, &str)] = match name {
        "wecom-disabled" => &[("GONGPAI_WECOM__ENABLE", "false")],
        _ => &[],
    };
    let stage = Stage::with(toml, environment).await;
    let wecom = &stage.gateway.wecom;
    let come = async |who: &str| stage.open_through_wecom(chromium, who, LOGIN_PATH).await;
    let says = |api: &str, message: &str| {
        wecom.fail_always(api, InjectedFault::Errcode(errcode.unwrap_or_default(), message.to_owned()));
    };
    match name {
        "not-member" => come("oSimulatorCustomer000000000A").await,
        "linked-corp" => come("wwfedcba9876543210/liwei").await,
        "disabled" => come("zhouba").await,
        "not-activated" => come("wujiu").await,
        "left" => {
            assert!(wecom.change_member("lisi", |member| member.status = SimulatedStatus::Left));
            come("lisi").await;
        }
        "not-visible-60011" => {
            says("user/get", "no privilege to access/modify contact/party/agent");
            come("zhangsan").await;
        }
        "not-visible-60111" => come("nobody-of-that-name").await,
        "denied" => {
            come("zhangsan").await;
            chromium.text_with("zhangsan").await;
            chromium.goto(stage.url("/_gongpai/denied?rd=/reports/2026")).await;
        }

        "code-used-40029" | "code-used-42003" => {
            says("auth/getuserinfo", "invalid code");
            attempt_twice(&stage, chromium).await;
        }
        "cookies-refused" => {
            for _ in 0..3 {
                come("zhangsan").await;
                if chromium.viewport() == Viewport::Desktop {
                    chromium.url_with("the sign-in's end", |url| !url.path().ends_with("/login")).await;
                }
                chromium.forget_cookie("gongpai").await;
                stage.gateway.advance(std::time::Duration::from_secs(1)).await;
            }
        }
        "cancelled" => match chromium.viewport() {
            Viewport::Phone => {
                wecom.change(|world| world.phone = PhoneHolder::Cancels);
                chromium.goto(stage.url(LOGIN_PATH)).await;
            }
            Viewport::Desktop => {
                chromium.goto(stage.url(LOGIN_PATH)).await;
                wecom.cancel_scan(&stage.scan(&[]).await.id).expect("a scan that waits");
            }
        },
        "bad-target" => chromium.goto(stage.url("/sso/login?rd=https://elsewhere.invalid/")).await,
        "other-code" => {
            chromium.goto(stage.url(&format!("{LOGIN_PATH}&entrance=qr"))).await;
            let back = wecom.confirm_scan(&stage.scan(&[]).await.id, "zhangsan").expect("a scan that waits");
            chromium.text_with("zhangsan").await;
            let (before, code) = back.split_once("code=").expect("a code");
            let rest = code.split_once('&').expect("a state").1;
            // Without the attempt's session and on a second try, the callback cannot succeed.
            chromium.forget_cookie("gongpai").await;
            chromium.goto(format!("{before}code={}&{rest}&r=1", wecom.issue_code("zhangsan"))).await;
        }
        "too-many" => {
            chromium.goto(stage.url("/sso/login?entrance=qr")).await;
            chromium.goto(stage.url("/sso/login?entrance=qr")).await;
        }
        "not-found" => chromium.goto(stage.url("/no/such/page")).await,

        "wrong-agent" => {
            says("auth/getuserinfo", "redirect_url domain not match");
            come("zhangsan").await;
        }
        "trusted-ip" => {
            wecom.set_trusted_ips(Some(vec!["203.0.113.7".parse().expect("an address")]));
            come("zhangsan").await;
        }
        "secret" => {
            wecom.change_app(|app| app.secret = "another".to_owned());
            come("zhangsan").await;
        }
        "secret-48002" => {
            says("auth/getuserinfo", "api forbidden");
            come("zhangsan").await;
        }
        "corp-id" => {
            says("gettoken", "invalid corpid");
            come("zhangsan").await;
        }
        "contacts-only" => {
            says("user/get", "no privilege to read details");
            come("zhangsan").await;
        }
        "app-disabled" => {
            says("gettoken", "app has been disabled");
            come("zhangsan").await;
        }
        "wecom-disabled" => chromium.goto(stage.url(LOGIN_PATH)).await,

        "unreachable" => {
            wecom.fail_always("auth/getuserinfo", InjectedFault::Html502);
            come("zhangsan").await;
        }
        "busy" => {
            says("auth/getuserinfo", "api freq out of limit");
            come("zhangsan").await;
        }
        "store-unavailable" => {
            stage.gateway.app.db.close().await;
            stage.gateway.app.clock.advance(std::time::Duration::from_secs(120));
            chromium.goto(stage.url(LOGIN_PATH)).await;
        }
        other => panic!("nothing leads to {other}"),
    }
    stage
}

/// Signs in when the first attempt fails in a way that is retried once.
async fn attempt_twice(stage: &Stage, chromium: &Chromium) {
    stage.open_through_wecom(chromium, "zhangsan", LOGIN_PATH).await;
    if chromium.viewport() == Viewport::Desktop {
        // The QR page comes again, marked as the second.
        chromium.url_with("the second QR page", |url| url.query().is_some_and(|q| q.contains("r=1"))).await;
        stage.confirm("zhangsan").await;
    }
}

/// Visits the page of each case and inspects it.
async fn inspect_pages(cases: &[FailureCase], viewport: Viewport) {
    let chromium = Chromium::start(viewport, user_agent(viewport)).await;
    let axe = Axe::load();
    chromium.real_size().await;
    for case in cases {
        let (name, code, errcode) = *case;
        let _stage = provoke_failure(case, &chromium).await;
        inspect_failure_page(&chromium, axe.as_ref(), name, code, errcode).await;
        // Cookies ignore the port: to the browser the next gateway is the same host.
        chromium.forget_cookies().await;
    }
}

async fn inspect_failure_page(
    chromium: &Chromium,
    axe: Option<&Axe>,
    name: &str,
    code: Code,
    errcode: Option<i64>,
) {
    let row = code.row();
    let text = chromium.text_with(&row.happened.zh).await;
    for expected in [&row.happened.en, &row.advice.zh, &row.advice.en] {
        assert!(text.contains(expected.as_ref()), "{name}: {expected:?} is missing in\n{text}");
    }
    assert_eq!(
        chromium.script("return document.scripts.length", json!([])).await,
        0,
        "{name} needs no script"
    );
    let id = chromium.script("return document.querySelector('footer code').textContent", json!([])).await;
    assert!(id.as_str().is_some_and(|id| id.len() >= 16), "{name}: the request id is {id}");
    let in_wecom = chromium.viewport() == Viewport::Phone;
    let switches = text.contains("换个账号");
    assert!(!(switches && in_wecom), "{name}: inside WeCom accounts are switched in the app");

    take_screenshot(chromium, name).await;
    assert!(!text.contains(code.as_str()), "{name}: the administrator's part is closed at first");
    chromium.click("summary").await;
    let details = chromium.text_with(code.as_str()).await;
    for expected in [row.admin.zh.as_ref(), &row.admin.en, &errcode.map_or(String::new(), |e| e.to_string())]
    {
        assert!(details.contains(expected), "{name}: {expected:?} is missing in\n{details}");
    }
    let shows = |label: &str| details.contains(label);
    assert_eq!(
        shows("服务器地址 The server's address\n127.0.0.1"),
        code == Code::TrustedIp,
        "{name}:\n{details}"
    );
    assert_eq!(shows("起始时间 Since\n2026-11-22"), code == Code::StoreUnavailable, "{name}:\n{details}");
    inspect_page(chromium, axe, name).await;
}

/// Checks what holds for every page.
async fn inspect_page(chromium: &Chromium, axe: Option<&Axe>, name: &str) {
    let flat = "return [...document.querySelectorAll('a, button, summary')] \
                  .filter(e => e.getBoundingClientRect().height < 44).map(e => e.outerHTML)";
    assert_eq!(chromium.script(flat, json!([])).await, json!([]), "{name}: lower than 44 px");
    let strangers = "const frames = [...document.querySelectorAll('iframe')].map(f => new URL(f.src).origin); \
                     return performance.getEntriesByType('resource').map(e => e.name) \
                       .filter(n => ![location.origin, ...frames].includes(new URL(n).origin))";
    assert_eq!(chromium.script(strangers, json!([])).await, json!([]), "{name}: asks another host");
    let complaints = console_errors(chromium).await;
    assert!(complaints.is_empty(), "{name}: {complaints:?}");

    if let Some(axe) = axe {
        for dark in [true, false] {
            chromium.prefer_dark(dark).await;
            let wrong = axe.violations(chromium).await;
            assert!(wrong.is_empty(), "{name}, dark: {dark}\n{}", wrong.join("\n"));
        }
    }
    chromium.prefer_dark(true).await;
    take_full_screenshot(chromium, &format!("{name}-dark")).await;
    chromium.prefer_dark(false).await;
    take_full_screenshot(chromium, &format!("{name}-open")).await;
    chromium.pretend_size(320, 640).await;
    let wide = chromium.script("return document.documentElement.scrollWidth", json!([])).await;
    assert_eq!(wide, 320, "{name}: scrolls sideways on a small phone");
    chromium.real_size().await;
}

/// Returns the console's errors, except the status of the page itself and of the session check.
async fn console_errors(chromium: &Chromium) -> Vec<String> {
    let expected = |line: &String| {
        let status = line.contains("the server responded with a status of");
        let asset = line.contains("/_gongpai/assets/");
        status && !asset
    };
    chromium.console().await.into_iter().filter(|line| !expected(line)).collect()
}

fn screenshot_name(chromium: &Chromium, name: &str) -> String {
    let kind = match chromium.viewport() {
        Viewport::Desktop => "desktop",
        Viewport::Phone => "phone",
    };
    format!("{name}-{kind}")
}

async fn take_screenshot(chromium: &Chromium, name: &str) {
    chromium.screenshot(&screenshot_name(chromium, name)).await;
}

/// Takes a screenshot of the whole page, however long.
async fn take_full_screenshot(chromium: &Chromium, name: &str) {
    let width = if chromium.viewport() == Viewport::Desktop { 1280 } else { 390 };
    // Twice, because some of the space at the top is a share of the height.
    for _ in 0..2 {
        let height = chromium.script("return document.documentElement.scrollHeight", json!([])).await;
        let height = height.as_u64().and_then(|h| u32::try_from(h).ok()).expect("a height");
        chromium.pretend_size(width, height).await;
    }
    take_screenshot(chromium, name).await;
    chromium.real_size().await;
}

#[tokio::test]
async fn refusals_on_a_phone() {
    inspect_pages(REFUSED_CASES, Viewport::Phone).await;
}

#[tokio::test]
async fn refusals_at_a_desk() {
    inspect_pages(REFUSED_CASES, Viewport::Desktop).await;
}

#[tokio::test]
async fn attempts_that_fail_on_a_phone() {
    inspect_pages(ATTEMPT_CASES, Viewport::Phone).await;
}

#[tokio::test]
async fn attempts_that_fail_at_a_desk() {
    inspect_pages(ATTEMPT_CASES, Viewport::Desktop).await;
}

#[tokio::test]
async fn mistakes_of_setup_on_a_phone() {
    inspect_pages(SETUP_CASES, Viewport::Phone).await;
}

#[tokio::test]
async fn mistakes_of_setup_at_a_desk() {
    inspect_pages(SETUP_CASES, Viewport::Desktop).await;
}

#[tokio::test]
async fn trouble_on_a_phone() {
    inspect_pages(TROUBLE_CASES, Viewport::Phone).await;
}

#[tokio::test]
async fn trouble_at_a_desk() {
    inspect_pages(TROUBLE_CASES, Viewport::Desktop).await;
}

#[tokio::test]
async fn every_code_that_a_sign_in_can_end_with_has_been_looked_at() {
    let seen = [REFUSED_CASES, ATTEMPT_CASES, SETUP_CASES, TROUBLE_CASES].concat();
    for code in Code::ALL {
        let name = code.as_str();
        let of_a_sign_in = ["signin.", "setup.", "wecom.", "store."].iter().any(|p| name.starts_with(p));
        // CookiesBlocked has a test of its own below. RedirectDomain is WeCom's own page and a
        // finding of `doctor`. TooManyRounds needs a cookie that another host plants again and
        // again: see `planted_cookies`.
        let elsewhere = matches!(code, Code::CookiesBlocked | Code::RedirectDomain | Code::TooManyRounds);
        assert!(!of_a_sign_in || elsewhere || seen.iter().any(|(_, c, _)| c == code), "{name}");
    }
}

#[tokio::test]
async fn a_browser_that_refuses_cookies_is_told_so_after_one_restart() {
    for viewport in [Viewport::Phone, Viewport::Desktop] {
        let chromium = Chromium::without_cookies(viewport, user_agent(viewport)).await;
        chromium.real_size().await;
        let stage = Stage::start().await;
        attempt_twice(&stage, &chromium).await;
        let axe = Axe::load();
        inspect_failure_page(&chromium, axe.as_ref(), "cookies-blocked", Code::CookiesBlocked, None).await;
        assert_eq!(stage.gateway.wecom.calls("auth/getuserinfo"), 0, "no code was asked for");
    }
}

#[tokio::test]
async fn a_page_of_trouble_tries_again_by_itself_once() {
    let chromium = Chromium::start(Viewport::Phone, WECOM_PHONE).await;
    let stage = Stage::start().await;
    stage.gateway.wecom.fail_next("auth/getuserinfo", InjectedFault::Status500);
    chromium.goto(stage.url("/sso/login?rd=/sso/session")).await;
    chromium.text_with("本页将在 5 秒后自动重试一次。").await;
    take_screenshot(&chromium, "unreachable-retries").await;
    chromium.text_with("zhangsan").await;
    assert_eq!(chromium.url().await.path(), "/sso/session");
}

#[tokio::test]
async fn who_reads_english_reads_it_first() {
    let chromium = Chromium::in_english(Viewport::Phone, DESKTOP).await;
    let stage = Stage::start().await;
    let heading =
        async || chromium.script("return document.querySelector('h1').textContent", json!([])).await;
    chromium.goto(stage.url("/sso/login?rd=https://elsewhere.invalid/")).await;
    assert_eq!(heading().await, Code::BadTarget.row().happened.en.as_ref());
    let axe = Axe::load();
    chromium.click("summary").await;
    inspect_page(&chromium, axe.as_ref(), "english-bad-target").await;
    chromium.goto(stage.url("/sso/login?rd=/x&entrance=qr")).await;
    assert_eq!(heading().await, "Scan with WeCom to sign in");
    chromium.enter_frame("iframe").await;
    chromium.text_with("Pairing number").await;
    chromium.leave_frames().await;
    inspect_page(&chromium, axe.as_ref(), "english-scan").await;
}

#[tokio::test]
async fn a_phone_outside_wecom_is_shown_the_way_to_the_workbench() {
    let chromium = Chromium::start(Viewport::Phone, PHONE).await;
    let stage = Stage::start().await;
    chromium.goto(stage.url("/sso/login?rd=/x")).await;
    let text = chromium.text_with("工作台 → 应用").await;
    for expected in ["请在企业微信中打开", "Please open this in WeCom", "Workbench"] {
        assert!(text.contains(expected), "{expected} is missing in\n{text}");
    }
    let href =
        chromium.script("return document.querySelector('a.button').getAttribute('href')", json!([])).await;
    assert!(href.as_str().is_some_and(|h| h.starts_with("wxwork://")), "{href}");
    take_screenshot(&chromium, "open-wecom").await;
    inspect_page(&chromium, Axe::load().as_ref(), "open-wecom").await;
}

#[tokio::test]
async fn the_pages_of_a_sign_in_that_goes_well() {
    let environment = [
        ("GONGPAI_PAGES__TITLE", "示例科技有限公司"),
        ("GONGPAI_PAGES__CONTACT", "信息中心 王工，分机 8012"),
    ];
    let axe = Axe::load();
    for viewport in [Viewport::Phone, Viewport::Desktop] {
        let chromium = Chromium::start(viewport, DESKTOP).await;
        chromium.real_size().await;
        let stage = Stage::with("", &environment).await;
        chromium.goto(stage.url("/sso/login?rd=/&entrance=qr")).await;
        chromium.text_with("使用企业微信扫码登录").await;
        chromium.enter_frame("iframe").await;
        chromium.text_with("配对码").await;
        chromium.leave_frames().await;
        take_screenshot(&chromium, "scan").await;
        inspect_page(&chromium, axe.as_ref(), "scan").await;

        stage.confirm("zhangsan").await;
        chromium.text_with("张三 (zhangsan)").await;
        take_screenshot(&chromium, "home").await;
        inspect_page(&chromium, axe.as_ref(), "home").await;

        chromium.click("a.button").await;
        chromium.text_with("您已退出登录。").await;
        take_screenshot(&chromium, "signed-out").await;
        inspect_page(&chromium, axe.as_ref(), "signed-out").await;
    }
}

#[tokio::test]
async fn axe_sees_a_picture_without_words() {
    let Some(axe) = Axe::load() else { return };
    let chromium = Chromium::start(Viewport::Desktop, DESKTOP).await;
    let stage = Stage::start().await;
    chromium.goto(stage.url("/no/such/page")).await;
    let spoil = "document.querySelector('main').append(document.createElement('img'))";
    chromium.script(spoil, json!([])).await;
    let wrong: Vec<Value> = axe.violations(&chromium).await.into_iter().map(Value::from).collect();
    assert!(wrong.iter().any(|line| line.as_str().is_some_and(|l| l.starts_with("image-alt"))), "{wrong:?}");
}

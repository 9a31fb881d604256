//! Tests of the pages: words, policies, escaping, snapshots.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use axum::http::header::HeaderName;

use super::*;
use crate::http::failure::Failure;
use crate::http::words::{Code, FailureButton};

/// With the other headers of a page it fits a proxy's buffer of 4 KB.
const MAX_POLICY_BYTES: usize = 2500;

const HOSTILE_TEXT: &str = "<script>alert(1)</script>\"'&\r\nSet-Cookie: a=b\u{1b}[31m\u{202e}";

fn test_pages() -> PageRenderer {
    PageRenderer::new(PageSettings {
        title: "示例科技有限公司".to_owned(),
        contact: "信息部 李工，分机 8021".to_owned(),
        logo: None,
        qr_origin: "https://login.work.weixin.qq.com".to_owned(),
        public_origin: "https://oa.example.com".to_owned(),
    })
}

fn test_context(lang: Language) -> PageContext {
    PageContext {
        lang,
        request_id: RequestId::parse(b"5f0c2a9be1d34c77").unwrap(),
        at: Timestamp::from_millis(1_795_334_400_123),
        time_zone: chrono_tz::Asia::Shanghai,
        in_wecom: false,
    }
}

fn trusted_ip() -> Failure {
    Failure {
        errcode: Some(60020),
        meaning: Some(BilingualText::fixed("访问 IP 不在白名单之中", "The calling address is not allowed")),
        remedy: Some(BilingualText::fixed("将该地址加入企业可信IP", "Add the address to the trusted ones")),
        console: Some(BilingualText::same("「应用 → 企业可信IP」")),
        detail: Some("203.0.113.7".to_owned()),
        retry: Some("/sso/login?rd=%2F".to_owned()),
        ..Failure::new(Code::TrustedIp)
    }
}

fn unreachable() -> Failure {
    Failure {
        retry: Some("/sso/login?rd=%2F".to_owned()),
        auto_retry: Some("/sso/login?rd=%2F&again=1".to_owned()),
        ..Failure::new(Code::WecomUnreachable)
    }
}

fn denied() -> Failure {
    Failure {
        detail: Some("finance.example.com/admin/** allow unit:财务部/**".to_owned()),
        switch_account: Some("/sso/logout?rd=%2F".to_owned()),
        ..Failure::new(Code::Denied)
    }
}

fn scan() -> ScanPageInput {
    ScanPageInput {
        frame_url: "https://login.work.weixin.qq.com/wwlogin/sso/login?login_type=CorpApp&state=abc"
            .to_owned(),
        link_url: "https://login.work.weixin.qq.com/wwlogin/sso/login?login_type=CorpApp&state=abc"
            .to_owned(),
        session_url: "/sso/session".to_owned(),
        next_url: "https://app.example.com/待办".to_owned(),
        renew_after: Duration::from_secs(480),
        renew_url: None,
        host: "app.example.com".to_owned(),
        start_url: Some("/sso/login?rd=%2F".to_owned()),
    }
}

fn ancestors() -> Vec<String> {
    ["https://oa.example.com", "https://app.example.com"].map(str::to_owned).to_vec()
}

fn open_wecom() -> OpenWecomInput {
    OpenWecomInput {
        scheme_url: "wxwork://".to_owned(),
        path: BilingualText::fixed("工作台 → 报销", "「工作台」 → 报销"),
    }
}

/// Renders every page, by name.
fn render_all(pages: &PageRenderer, view: &PageContext) -> Vec<(String, Response)> {
    let mut all: Vec<(String, Response)> = Code::ALL
        .iter()
        .map(|code| {
            let failure = Failure {
                retry: Some("/".to_owned()),
                switch_account: Some("/sso/logout?rd=%2F".to_owned()),
                ..Failure::new(*code)
            };
            (code.to_string(), pages.failure(view, &failure))
        })
        .collect();
    all.push(("full-setup".to_owned(), pages.failure(view, &trusted_ip())));
    all.push(("full-trouble".to_owned(), pages.failure(view, &unreachable())));
    all.push(("full-denied".to_owned(), pages.failure(view, &denied())));
    all.push(("scan".to_owned(), pages.scan(view, &scan())));
    all.push(("open-wecom".to_owned(), pages.open_wecom(view, &open_wecom())));
    all.push(("signed-out".to_owned(), pages.signed_out(view, "/sso/login?rd=%2F")));
    all.push(("home".to_owned(), pages.home(view, "张三", "zhangsan", "/sso/logout?rd=%2F")));
    all.push(("break-out".to_owned(), pages.break_out(view, "/sso/callback?code=c&state=s")));
    all.push(("top-window".to_owned(), pages.top_window(view, "/sso/login?rd=%2F", &ancestors())));
    all
}

async fn read_html(response: Response) -> String {
    let bytes = axum::body::to_bytes(response.into_body(), 1 << 20).await.unwrap();
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn header<'r>(response: &'r Response, name: &str) -> &'r str {
    response.headers().get(HeaderName::try_from(name).unwrap()).map_or("", |v| v.to_str().unwrap())
}

/// Replaces the nonce, which differs in every page, with `NONCE`, and the version of an asset with
/// `HASH`.
fn strip_variable_parts(text: &str) -> String {
    let mut out = text.to_owned();
    for (start, end, name) in [("nonce-", "'", "NONCE"), ("nonce=\"", "\"", "NONCE"), ("?v=", "\"", "HASH")] {
        let mut from = 0;
        while let Some(at) = out[from..].find(start).map(|n| from + n + start.len()) {
            let to = at + out[at..].find(end).unwrap();
            out.replace_range(at..to, name);
            from = at;
        }
    }
    out
}

fn assert_snapshot(name: &str, text: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/snapshots")));
    settings.set_prepend_module_to_snapshot(false);
    settings.bind(|| insta::assert_snapshot!(name, strip_variable_parts(text)));
}

#[tokio::test]
async fn a_failure_page_says_what_happened_what_to_do_and_what_mends_it() {
    for (lang, name) in [(Language::Zh, "page_failure_zh"), (Language::En, "page_failure_en")] {
        let response = test_pages().failure(&test_context(lang), &trusted_ip());
        assert_eq!(response.status(), 503);
        assert_snapshot(name, &read_html(response).await);
    }
}

#[tokio::test]
async fn the_headers_of_every_kind_of_page_permit_only_what_it_needs() {
    let mut seen = String::new();
    for (name, response) in render_all(&test_pages(), &test_context(Language::Zh)) {
        if !["full-trouble", "scan", "open-wecom", "home", "break-out"].contains(&name.as_str()) {
            continue;
        }
        writeln!(seen, "{name}: {}", response.status()).unwrap();
        let mut headers: Vec<_> = response.headers().iter().collect();
        headers.sort_by_key(|(n, _)| n.as_str());
        for (n, v) in headers {
            writeln!(seen, "  {n}: {}", v.to_str().unwrap()).unwrap();
        }
    }
    assert_snapshot("page_headers", &seen);
}

#[tokio::test]
async fn every_page_has_both_languages_the_request_id_the_time_and_whom_to_ask() {
    for lang in [Language::Zh, Language::En] {
        for (name, response) in render_all(&test_pages(), &test_context(lang)) {
            assert_eq!(header(&response, "cache-control"), "no-store", "{name}");
            let html = read_html(response).await;
            assert!(html.contains(&format!("<html lang=\"{}\">", lang.tag())), "{name}");
            assert!(html.contains("lang=\"zh-CN\"") && html.contains("lang=\"en\""), "{name}");
            assert_eq!(html.matches("<h1").count(), 1, "{name}");
            assert!(html.contains(&format!("<h1 lang=\"{}\">", lang.tag())), "{name}");
            for text in ["5f0c2a9be1d34c77", "2026-11-22 16:00:00 +08:00", "信息部 李工，分机 8021"] {
                assert!(html.contains(text), "{name}: no {text}");
            }
        }
    }
}

#[tokio::test]
async fn no_page_has_inline_style_or_handlers_and_a_script_only_with_the_nonce_of_its_policy() {
    for (name, response) in render_all(&test_pages(), &test_context(Language::Zh)) {
        let policy = header(&response, "content-security-policy").to_owned();
        let html = read_html(response).await;
        for bad in [" style=", " onclick", " onload", " onerror", "javascript:", "<script>", "http://"] {
            assert!(!html.contains(bad), "{name}: {bad}");
        }
        let nonce = policy.split("'nonce-").nth(1).and_then(|rest| rest.split('\'').next());
        match nonce {
            Some(nonce) => assert!(html.contains(&format!("<script nonce=\"{nonce}\"")), "{name}"),
            None => assert!(!html.contains("<script"), "{name}"),
        }
        let framed = policy.split("frame-ancestors ").nth(1).unwrap_or_default();
        let by = match name.as_str() {
            "break-out" => "https://oa.example.com https://login.work.weixin.qq.com",
            "top-window" => "https://oa.example.com https://app.example.com https://login.work.weixin.qq.com",
            _ => "'none'",
        };
        assert_eq!(framed, by, "{name}");
    }
}

#[tokio::test]
async fn more_hosts_than_a_header_holds_still_show_the_page_that_leads_out_of_their_frames() {
    let many: Vec<_> = (0..500).map(|n| format!("https://app-{n}.example.com")).collect();
    let response = test_pages().top_window(&test_context(Language::Zh), "/sso/login?rd=%2F", &many);
    let policy = header(&response, "content-security-policy");
    assert!(policy.len() < MAX_POLICY_BYTES && policy.ends_with("frame-ancestors https: http:"), "{policy}");
    assert_eq!(header(&response, "x-frame-options"), "");
}

#[tokio::test]
async fn the_page_that_hands_a_fragment_on_is_blank_and_goes_on_without_its_script() {
    let next = "/_gongpai/login?fragment=1&rd=%2F";
    let response = test_pages().hand_on(&test_context(Language::Zh), next, next);
    let policy = header(&response, "content-security-policy").to_owned();
    assert!(policy.contains("script-src 'nonce-") && policy.ends_with("frame-ancestors 'none'"), "{policy}");
    let html = read_html(response).await.replace("&#38;", "&");
    let body = html.split("<body>").nth(1).unwrap();
    let blank = body.replace("<noscript>", "\0").split('\0').next().unwrap().trim().is_empty();
    assert!(blank && body.contains(&format!("href=\"{next}\"")), "{body}");
    let refresh = format!("<noscript><meta http-equiv=\"refresh\" content=\"0;url={next}\">");
    assert!(html.contains(&refresh), "{html}");
    // A stylesheet outside would hold up the script.
    assert_eq!(html.split("<noscript>").next().unwrap().matches("stylesheet").count(), 0);
}

#[tokio::test]
async fn two_pages_never_share_a_nonce() {
    let policy = || {
        header(&test_pages().scan(&test_context(Language::Zh), &scan()), "content-security-policy").to_owned()
    };
    assert_ne!(policy(), policy());
}

#[tokio::test]
async fn case_35_hostile_text_is_only_ever_text() {
    let pages = PageRenderer::new(PageSettings {
        title: HOSTILE_TEXT.to_owned(),
        contact: HOSTILE_TEXT.to_owned(),
        ..PageSettings::default()
    });
    let hostile = || BilingualText::new(HOSTILE_TEXT, HOSTILE_TEXT);
    let failure = Failure {
        detail: Some(HOSTILE_TEXT.to_owned()),
        meaning: Some(hostile()),
        remedy: Some(hostile()),
        console: Some(hostile()),
        retry: Some(format!("/x?{HOSTILE_TEXT}")),
        auto_retry: Some(format!("/x?{HOSTILE_TEXT}")),
        ..Failure::new(Code::WecomUnreachable)
    };
    let scan = ScanPageInput {
        frame_url: "https://x.example/\"><script>alert(1)</script>".to_owned(),
        next_url: "https://x.example/\"><script>alert(1)</script>".to_owned(),
        start_url: Some("/\"><script>alert(1)</script>".to_owned()),
        session_url: "\"><script>alert(1)</script>".to_owned(),
        link_url: "javascript:alert(1)".to_owned(),
        host: HOSTILE_TEXT.to_owned(),
        ..scan()
    };
    let view = test_context(Language::Zh);
    for (name, response) in [
        ("failure", pages.failure(&view, &failure)),
        ("home", pages.home(&view, HOSTILE_TEXT, HOSTILE_TEXT, "javascript:alert(1)")),
        ("scan", pages.scan(&view, &scan)),
        ("signed out", pages.signed_out(&view, "//evil.example")),
        ("break out", pages.break_out(&view, "data:text/html,<script>alert(1)</script>")),
        ("top window", pages.top_window(&view, "//evil.example/<script>alert(1)</script>", &ancestors())),
        ("hand on", pages.hand_on(&view, "/x", "javascript:alert('evil')//<script>")),
        ("hand on", pages.hand_on(&view, "/\"><script>alert(1)</script>", "/\"><script>alert(1)</script>")),
    ] {
        assert!(!response.headers().contains_key("set-cookie"), "{name}");
        assert_eq!(header(&response, "refresh").matches("x?").count(), 0, "{name}");
        let html = read_html(response).await;
        assert!(
            !html.contains("<script>") && !html.contains("</script>\"") && !html.contains("evil"),
            "{name}: {html}"
        );
        assert!(!html.contains("href=\"javascript") && !html.contains("href=\"data"), "{name}: {html}");
        assert!(!html.contains(['\r', '\u{1b}', '\u{202e}']), "{name}: {html}");
    }
}

#[tokio::test]
async fn case_28_the_home_page_shows_a_name_and_a_userid_and_nothing_else_of_the_session() {
    let response = test_pages().home(&test_context(Language::Zh), "张三", "zhangsan", "/sso/logout?rd=%2F");
    assert_eq!(response.status(), 200);
    assert!(!response.headers().contains_key("set-cookie"));
    assert_snapshot("page_home", &read_html(response).await);
}

#[tokio::test]
async fn trouble_retries_by_itself_only_when_told_where_to() {
    let response = test_pages().failure(&test_context(Language::Zh), &unreachable());
    assert_eq!(header(&response, "refresh"), "5;url=/sso/login?rd=%2F&again=1");
    assert_eq!(header(&response, "retry-after"), "5");
    assert!(read_html(response).await.contains(labels::RETRIES_ITSELF.zh.as_ref()));
    let again =
        test_pages().failure(&test_context(Language::Zh), &Failure { auto_retry: None, ..unreachable() });
    assert!(!again.headers().contains_key("refresh"));
    assert!(!read_html(again).await.contains(labels::RETRIES_ITSELF.zh.as_ref()));
}

#[tokio::test]
async fn another_account_is_offered_outside_wecom_only() {
    let offers = async |in_wecom| {
        read_html(test_pages().failure(&PageContext { in_wecom, ..test_context(Language::Zh) }, &denied()))
            .await
            .contains("/sso/logout?rd=")
    };
    assert!(offers(false).await);
    assert!(!offers(true).await);
}

#[tokio::test]
async fn every_code_with_a_button_shows_it_where_it_leads_somewhere() {
    for code in Code::ALL {
        let failure = Failure {
            retry: Some("/target".to_owned()),
            switch_account: Some("/target".to_owned()),
            ..Failure::new(*code)
        };
        let shown = read_html(test_pages().failure(&test_context(Language::En), &failure))
            .await
            .contains("href=\"/target\"");
        assert_eq!(shown, code.row().button != FailureButton::None, "{code}");
        let nowhere =
            read_html(test_pages().failure(&test_context(Language::En), &Failure::new(*code))).await;
        assert!(!nowhere.contains("class=\"button"), "{code}");
    }
}

#[tokio::test]
async fn a_program_gets_the_same_failure_as_a_problem_document() {
    let mut headers = HeaderMap::new();
    headers.insert("sec-fetch-mode", HeaderValue::from_static("cors"));
    let response = test_pages().answer(&test_context(Language::Zh), &trusted_ip(), &headers);
    assert_eq!(
        (response.status().as_u16(), header(&response, "content-type")),
        (503, "application/problem+json")
    );
    let body = read_html(response).await;
    assert!(body.contains("setup.trusted_ip") && !body.contains("203.0.113.7"), "{body}");
}

#[test]
fn wecoms_browsers_are_recognised_before_wechats() {
    let in_wecom = |agent: &'static str| {
        let headers = HeaderMap::from_iter([(USER_AGENT, HeaderValue::from_static(agent))]);
        PageContext::from_headers(
            &headers,
            &test_context(Language::Zh).request_id,
            Timestamp::from_millis(0),
            chrono_tz::UTC,
        )
        .in_wecom
    };
    assert!(in_wecom("Mozilla/5.0 Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh"));
    assert!(in_wecom("Mozilla/5.0 WXWorkLocal/3.2.200 wwlocal/3.2.200"));
    assert!(!in_wecom("Mozilla/5.0 MicroMessenger/8.0"));
}

/// It also writes every page to `target/pages`, to be looked at in a browser.
#[tokio::test]
async fn every_page_fits_into_the_first_round_trip_of_a_connection() {
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/target/pages"));
    std::fs::create_dir_all(&folder).unwrap();
    let css = concat!(env!("CARGO_MANIFEST_DIR"), "/static/assets/");
    for (lang, suffix) in [(Language::Zh, "zh"), (Language::En, "en")] {
        for (name, response) in render_all(&test_pages(), &test_context(lang)) {
            let page = read_html(response).await;
            // RFC 6928: ten segments.
            assert!(page.len() < 10 * 1400, "{name}: {} bytes", page.len());
            std::fs::write(folder.join(format!("{name}.{suffix}.html")), page.replace(ASSETS_PREFIX, css))
                .unwrap();
        }
    }
}

//! Redirect targets: `tests/data/security/open_redirect_payloads.txt` wherever a target is
//! accepted.
//!
//! A payload may be refused or may turn out to be a page of ours. But no answer may have a
//! Location, a refresh or a link that leads to another host as a browser reads it, or a header that
//! the payload wrote.

use std::collections::BTreeSet;

use url::Url;

use crate::support::app::{APP_URL, PUBLIC_URL, TestApp};
use crate::support::browser::{Browser, BrowserRequest, DESKTOP, Page, WECOM_PHONE};

/// Returns the payloads, with the gateway's host in them and without comments.
fn read_payloads() -> Vec<String> {
    let text = include_str!("../data/security/open_redirect_payloads.txt");
    let all: Vec<_> = text
        .lines()
        .filter(|line| !line.starts_with("# ") && !line.is_empty())
        .map(|line| line.replace("GATEWAY", "oa.example.com"))
        .collect();
    assert!(all.len() > 340, "{}", all.len());
    all
}

/// Every address that accepts a target.
const TARGET_PARAMETERS: [&str; 9] = [
    "https://oa.example.com/sso/login?rd=",
    "https://oa.example.com/_gongpai/login?rd=",
    "https://app.example.com/_gongpai/login?rd=",
    "https://oa.example.com/qiyeweixinsso.html?redirect=",
    "https://oa.example.com/x_desktop/qiyeweixinsso.html?redirect=",
    "https://oa.example.com/x_desktop/qiyeweixinsso.html?rd=",
    "https://oa.example.com/sso/logout?rd=",
    "https://app.example.com/_gongpai/denied?rd=",
    "https://oa.example.com/sso/callback?rd=",
];

/// Escapes a payload as if somebody pasted it: only what no request line can have.
fn escape_minimally(payload: &str) -> String {
    let escape = |b: u8| b <= b' ' || b >= 0x7f || b"\"<>\\^`{|}#&".contains(&b);
    payload.bytes().map(|b| if escape(b) { format!("%{b:02X}") } else { char::from(b).to_string() }).collect()
}

/// Requests exactly this path and query, as no browser would send it but a script can.
async fn request_exactly(t: &TestApp, browser: &mut Browser, url: &str) -> Page {
    let known: Url = url.parse().expect("a URL");
    let at_gateway = format!("http://{}", t.address);
    let rest = url.splitn(4, '/').nth(3).expect("a path");
    let mut ask = BrowserRequest::navigate(&format!("{at_gateway}/{rest}"))
        .header("host", known.host_str().expect("a host"))
        .header("x-forwarded-proto", "https");
    if let Some(cookies) = browser.cookies.header(&known) {
        ask = ask.header("cookie", &cookies);
    }
    browser.send(ask).await
}

/// Panics if the answer leads anywhere but to our hosts and WeCom.
fn assert_leads_home(t: &TestApp, page: &Page, host: &str, what: &str) {
    assert!(page.status.as_u16() < 500, "{what}: {}", page.status);
    let base: Url = format!("https://{host}/").parse().expect("a URL");
    let wecom: Url = t.wecom.url().parse().expect("a URL");
    let mut targets = Vec::new();
    for name in ["location", "refresh", "content-location", "link"] {
        for value in page.headers.get_all(name) {
            let text = value.to_str().expect("ASCII");
            let target = text.split_once(";url=").map_or(text, |(_, url)| url);
            if name != "refresh" || text.contains("url=") {
                targets.push(target.to_owned());
            }
        }
    }
    let text = page.text();
    assert!(!text.to_ascii_lowercase().contains("http-equiv=\"refresh\""), "{what}");
    for attribute in ["href=\"", "src=\"", "action=\"", "data-next=\"", "data-session=\""] {
        let values = text.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
        targets.extend(values.map(|v| v.replace("&#38;", "&").replace("&amp;", "&").replace("&#39;", "'")));
    }
    for target in targets {
        // As a browser reads it, and as one that decodes once too often.
        let decoded = urlencoding::decode(&target).map_or_else(|_| target.clone(), Into::into);
        let url = base.join(&target).unwrap_or_else(|e| panic!("{what}: {target}: {e}"));
        if url.origin() == wecom.origin() {
            let back =
                url.query_pairs().find(|(name, _)| name == "redirect_uri").map(|(_, uri)| uri.into_owned());
            let back: Url = back.expect("WeCom is told where to return to").parse().expect("a URL");
            assert_eq!(back.origin().ascii_serialization(), PUBLIC_URL, "{what}: {target}");
            if let Some((_, rd)) = back.query_pairs().find(|(name, _)| name == "rd") {
                assert_ours(&back.join(&rd).expect("a URL"), what, &target);
            }
        } else {
            assert_ours(&url, what, &target);
            assert!(!decoded.starts_with("//") && !decoded.starts_with("/\\"), "{what}: {target}");
            if let Some((_, rd)) = url.query_pairs().find(|(name, _)| name == "rd") {
                assert_ours(&base.join(&rd).expect("a URL"), what, &target);
            }
        }
    }
    let names: BTreeSet<_> = page.headers.keys().map(axum::http::HeaderName::as_str).collect();
    for set in page.headers.get_all("set-cookie") {
        let cookie = set.to_str().expect("ASCII");
        assert!(cookie.starts_with("__Host-gongpai"), "{what}: {cookie}");
    }
    assert!(!names.contains("x-injected"), "{what}");
}

fn assert_ours(url: &Url, what: &str, target: &str) {
    let host = url.host_str().unwrap_or_default();
    assert!(matches!(host, "oa.example.com" | "app.example.com"), "{what}: leads to {target}");
    assert_eq!(url.scheme(), "https", "{what}: {target}");
    assert!(
        url.username().is_empty() && url.password().is_none() && url.port().is_none(),
        "{what}: {target}"
    );
}

async fn try_all_payloads(t: &TestApp, browser: &Browser) {
    for payload in read_payloads() {
        for place in TARGET_PARAMETERS {
            for spelt in [escape_minimally(&payload), urlencoding::encode(&payload).into_owned()] {
                let url = format!("{place}{spelt}");
                let host = if place.contains("//app.") { "app.example.com" } else { "oa.example.com" };
                let page = request_exactly(t, &mut browser.clone(), &url).await;
                assert_leads_home(t, &page, host, &format!("{payload:?} as {url}"));
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_12_no_payload_leads_a_stranger_to_another_host() {
    let t = TestApp::with("[server]\nstart_rate = \"1000000/s burst 1000000\"").await;
    try_all_payloads(&t, &t.desktop()).await;
    assert_eq!(t.wecom.calls_total(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn case_12_no_payload_leads_anybody_inside_wecom_to_another_host() {
    let t = TestApp::with("[server]\nstart_rate = \"1000000/s burst 1000000\"").await;
    try_all_payloads(&t, &t.browser(WECOM_PHONE)).await;
}

#[tokio::test]
async fn case_12_no_payload_leads_somebody_signed_in_to_another_host() {
    let t = TestApp::with("[server]\nstart_rate = \"1000000/s burst 1000000\"").await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    // The last one signs out, so it comes last.
    for place in TARGET_PARAMETERS.iter().filter(|p| !p.contains("logout")) {
        for payload in read_payloads() {
            for spelt in [escape_minimally(&payload), urlencoding::encode(&payload).into_owned()] {
                let url = format!("{place}{spelt}");
                let host = if place.contains("//app.") { "app.example.com" } else { "oa.example.com" };
                let page = request_exactly(&t, &mut desktop.clone(), &url).await;
                assert_leads_home(&t, &page, host, &url);
            }
        }
    }
    assert_eq!(t.check(&desktop, PUBLIC_URL).await.status, 200);
}

#[tokio::test]
async fn case_12_a_target_that_was_changed_on_the_way_back_from_wecom_is_refused() {
    let t = TestApp::with("[server]\nstart_rate = \"1000000/s burst 1000000\"").await;
    let mut phone = t.phone_of("zhangsan");
    let callback = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/a")).await;
    let others =
        ["https://app.example.com/b".to_owned(), "/b".to_owned(), format!("{PUBLIC_URL}/b"), String::new()];
    for payload in read_payloads().into_iter().chain(others) {
        let pairs = callback.query_pairs().filter(|(name, _)| name != "rd");
        let mut changed = callback.clone();
        changed.query_pairs_mut().clear().extend_pairs(pairs).append_pair("rd", &payload);
        let page = phone.get(changed.as_str()).await;
        assert_eq!(page.status, 400, "{payload}");
        assert!(page.text().contains("signin.bad_target"), "{payload}");
        assert_leads_home(&t, &page, "oa.example.com", &payload);
        changed.query_pairs_mut().clear();
        let pairs = callback.query_pairs().filter(|(name, _)| name != "rd");
        changed.query_pairs_mut().extend_pairs(pairs).append_pair("redirect", &payload);
        assert_eq!(phone.get(changed.as_str()).await.status, 400, "redirect={payload}");
    }
    assert_eq!((t.count_rows("attempts").await, t.count_rows("sessions").await), (0, 0));
    // The real one still works.
    let end = phone.get(callback.as_str()).await;
    assert_eq!(end.location().map(String::from), Some(format!("{PUBLIC_URL}/a")));
}

#[tokio::test]
async fn case_12_no_forwarding_header_moves_a_target_to_another_host() {
    let t = TestApp::start().await;
    let mut phone = t.phone_of("zhangsan");
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-host", "evil.example"),
        ("x-forwarded-server", "evil.example"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-original-url", "https://evil.example/"),
        ("x-rewrite-url", "https://evil.example/"),
        ("x-forwarded-prefix", "//evil.example"),
        ("referer", "https://evil.example/"),
        ("origin", "https://evil.example"),
    ] {
        for path in ["/sso/login", "/sso/logout?rd=/", "/sso/callback", "/qiyeweixinsso.html", "/"] {
            let ask = BrowserRequest::navigate(&format!("{PUBLIC_URL}{path}")).header(name, value);
            let page = phone.send(ask).await;
            assert_leads_home(&t, &page, "oa.example.com", &format!("{name} {path}"));
            assert!(!page.text().contains("evil.example"), "{name} {path}");
        }
    }
}

#[tokio::test]
async fn case_38_a_request_to_a_host_that_is_none_of_ours_is_refused() {
    let t = TestApp::start().await;
    let ask = |host: &str| {
        BrowserRequest::navigate(&format!("http://{}/sso/login?rd=/x", t.address))
            .header("host", host)
            .header("x-forwarded-proto", "https")
    };
    for host in [
        "evil.example",
        "oa.example.com.evil.example",
        "oa.example.com:8443",
        "oa.example.com@evil.example",
        "evil.example/oa.example.com",
        "",
    ] {
        let page = Browser::new(DESKTOP).send(ask(host)).await;
        assert_eq!(page.status, 400, "{host}");
        assert!(page.headers.get("location").is_none() && page.headers.get("set-cookie").is_none(), "{host}");
    }
    for host in ["OA.example.com", "oa.example.com.", "oa.example.com:443"] {
        assert_eq!(Browser::new(WECOM_PHONE).send(ask(host)).await.status, 302, "{host}");
    }
}

#[tokio::test]
async fn case_38_two_hosts_or_one_in_strange_bytes_are_refused() {
    let t = TestApp::start().await;
    let url = format!("http://{}/sso/login", t.address);
    for second in [&b"evil.example"[..], b"oa.example.com", b"\xff\xfe"] {
        let ask =
            BrowserRequest::navigate(&url).add_header("host", b"oa.example.com").add_header("host", second);
        assert_eq!(Browser::new(DESKTOP).send(ask).await.status, 400);
    }
    let page = Browser::new(DESKTOP)
        .send(BrowserRequest::navigate(&url).add_header("host", b"oa.example.com\xff"))
        .await;
    assert_eq!(page.status, 400);
    let two = BrowserRequest::navigate(&url)
        .header("host", "oa.example.com")
        .add_header("x-forwarded-proto", b"https");
    let page = Browser::new(DESKTOP).send(two.add_header("x-forwarded-proto", b"http")).await;
    assert_eq!(page.status, 400);
}

#[tokio::test]
async fn a_list_of_forwarded_schemes_and_that_of_a_web_socket_are_read() {
    let t = TestApp::start().await;
    let url = format!("http://{}/sso/login", t.address);
    for (proto, status) in
        [("https,http", 302), ("https, https", 302), ("wss", 302), ("ws", 302), ("gopher", 400)]
    {
        let ask = BrowserRequest::navigate(&url)
            .header("host", "oa.example.com")
            .header("x-forwarded-proto", proto);
        let page = Browser::new(WECOM_PHONE).send(ask).await;
        assert_eq!(page.status, status, "{proto}");
    }
}

#[tokio::test]
async fn a_relative_target_means_the_requesting_host() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    let page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd=/%E5%BE%85%E5%8A%9E?x=1%26y=2")).await;
    let want = format!("{PUBLIC_URL}/%E5%BE%85%E5%8A%9E?x=1&y=2");
    assert_eq!(page.location().map(String::from), Some(want));
    let page = desktop.open(format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await;
    assert_eq!(page.url.host_str(), Some("app.example.com"));
    assert_eq!(
        desktop.get(format!("{APP_URL}/_gongpai/login?rd=/deep")).await.location().unwrap().as_str(),
        format!("{APP_URL}/deep")
    );
    let page = desktop.get(format!("{PUBLIC_URL}/_gongpai/login?rd=/same")).await;
    assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/same"));
}

#[tokio::test]
async fn a_target_that_somebody_typed_is_read_as_a_browser_reads_it() {
    let t = TestApp::start().await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    for (typed, read) in [
        ("%2Fa%20b", format!("{PUBLIC_URL}/a%20b")),
        ("/a+b", format!("{PUBLIC_URL}/a%20b")),
        ("%2Fx%E3%80%80y", format!("{PUBLIC_URL}/x%E3%80%80y")),
        ("%E3%80%80%2Fx%20%0D%0A", format!("{PUBLIC_URL}/x")),
        ("http://app.example.com/x", format!("{APP_URL}/x")),
        ("http%3A%2F%2Foa.example.com%2Fx%20", format!("{PUBLIC_URL}/x")),
    ] {
        let to = desktop.get(format!("{PUBLIC_URL}/sso/login?rd={typed}")).await.location();
        assert_eq!(to.expect("the target").as_str().trim_end_matches('#'), read, "{typed}");
    }
}

#[tokio::test]
async fn the_page_of_a_refused_target_names_the_real_reason_in_both_languages() {
    let t = TestApp::start().await;
    let long = format!("/{}", "p".repeat(1100));
    for (rd, zh, en) in [
        ("app", "既不是以 / 开头的路径", "neither a path"),
        ("https://evil.example/x", "login.redirect_hosts", "none of this installation's"),
        (&long, "网址过长", "too long"),
        ("javascript:alert(1)", "网址的协议", "a scheme of its own"),
    ] {
        for place in ["sso/login", "sso/logout"] {
            let page = t.desktop().get(format!("{PUBLIC_URL}/{place}?rd={}", urlencoding::encode(rd))).await;
            let words = page.words();
            assert_eq!(page.status, 400, "{place} {rd}: {words}");
            for said in ["signin.bad_target", zh, en] {
                assert!(words.contains(said), "{place} {rd}: {said}: {words}");
            }
        }
    }
    let page = t.desktop().get(format!("{PUBLIC_URL}/_gongpai/denied?rd=ftp://oa.example.com/")).await;
    assert!(page.words().contains("a scheme of its own"), "{}", page.words());
}

#[tokio::test]
async fn a_target_on_our_own_sign_in_pages_becomes_the_landing_page() {
    let t = TestApp::with("[login]\nlanding = \"/portal\"").await;
    let mut desktop = t.desktop();
    desktop.cookies = t.signed_in("zhangsan").await.cookies;
    for rd in ["/sso/logout", "/sso/login?rd=/x", "/_gongpai/logout", "/x_desktop/qiyeweixinsso.html", ""] {
        let page = desktop.get(format!("{PUBLIC_URL}/sso/login?rd={rd}")).await;
        assert_eq!(page.location().unwrap().as_str(), format!("{PUBLIC_URL}/portal"), "{rd}");
    }
    assert_eq!(t.check(&desktop, PUBLIC_URL).await.status, 200);
}

#[tokio::test]
async fn a_target_that_is_there_twice_is_refused() {
    let t = TestApp::start().await;
    for path in ["/sso/login?rd=/a&rd=/b", "/sso/login?redirect=/a&redirect=/b", "/sso/login?rd=/a&rd="] {
        let page = t.desktop().get(format!("{PUBLIC_URL}{path}")).await;
        assert_eq!(page.status, 400, "{path}");
        assert!(page.text().contains("signin.bad_target"));
    }
}

#[tokio::test]
async fn a_relative_redirect_of_o2oa_means_a_neighbour_of_the_page_it_was_written_for() {
    let t = TestApp::start().await;
    let desk = "/x_desktop/qiyeweixinsso.html?redirect=";
    // The forms of O2OA's guides, message cards and menus.
    for (link, end) in [
        (
            format!("{desk}workmobilewithaction.html%3Fworkid%3D7"),
            "/x_desktop/workmobilewithaction.html?workid=7",
        ),
        (format!("{desk}portalmobile.html?id=P"), "/x_desktop/portalmobile.html?id=P"),
        (
            format!("{desk}appMobile.html?app=process.TaskCenter"),
            "/x_desktop/appMobile.html?app=process.TaskCenter",
        ),
        (
            format!(
                "{desk}workmobilewithaction.html%3Fworkid%3DW%26redirectlink%3Dportalmobile.html%253Fid%253DP"
            ),
            "/x_desktop/workmobilewithaction.html?workid=W&redirectlink=portalmobile.html%3Fid%3DP",
        ),
        (format!("{desk}cmsdocMobile.html%3Fid%3DD"), "/x_desktop/cmsdocMobile.html?id=D"),
        (format!("{desk}a.html&mode=snsapi_privateinfo"), "/x_desktop/a.html"),
        (format!("{desk}a.html%3Fq%3D1+2%2B3"), "/x_desktop/a.html?q=1+2+3"),
        (format!("{desk}../b.html"), "/b.html"),
        (format!("{desk}/x_desktop/c.html"), "/x_desktop/c.html"),
        (format!("{desk}{PUBLIC_URL}/d.html"), "/d.html"),
        (desk.trim_end_matches("?redirect=").to_owned(), "/"),
        (
            "/qiyeweixinsso.html?redirect=workmobilewithaction.html%3Fworkid%3D7".to_owned(),
            "/workmobilewithaction.html?workid=7",
        ),
    ] {
        let end = format!("{PUBLIC_URL}{end}");
        let mut phone = t.phone_of("zhangsan");
        let page = phone.open(format!("{PUBLIC_URL}{link}")).await;
        assert_eq!(page.url.as_str(), end, "{link}");
        // As WeCom opens it by O2OA's own link: with a code, and with a foreign state or none.
        let joint = if link.contains('?') { '&' } else { '?' };
        let code = t.wecom.issue_code("zhangsan");
        let page = phone.open(format!("{PUBLIC_URL}{link}{joint}code={code}&state=")).await;
        assert_eq!(page.url.as_str(), end, "{link} with a code");
    }
}

//! Nothing secret leaves: not in a page, a header, the log, the metrics or the audit trail.

use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use gongpai::simulator::InjectedFault;
use parking_lot::Mutex;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::support::app::{API_SECRET, APP_URL, PUBLIC_URL, ROOT_SECRET, TestApp};
use crate::support::audit::read_audit_trail;
use crate::support::browser::{Browser, BrowserRequest, DESKTOP, Page};
use crate::support::sessions::read_code_and_ticket_hashes;

#[derive(Clone, Default)]
struct CapturedLog(Arc<Mutex<Vec<u8>>>);

impl CapturedLog {
    /// Captures everything that this process logs from now on, also of other tests.
    fn install() -> Self {
        static LOG: LazyLock<CapturedLog> = LazyLock::new(|| {
            let log = CapturedLog::default();
            let filter = EnvFilter::new("debug,gongpai=trace,hyper=info,hyper_util=info");
            let subscriber =
                tracing_subscriber::fmt().with_env_filter(filter).with_writer(log.clone()).with_ansi(false);
            tracing::subscriber::set_global_default(subscriber.finish()).expect("the only subscriber");
            log
        });
        LOG.clone()
    }
}

impl io::Write for CapturedLog {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for CapturedLog {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

/// The pages that were seen, and the secrets that must not be in them.
struct SecretWatch {
    pages: Vec<Page>,
    secrets: BTreeSet<String>,
    wecom: url::Origin,
}

impl SecretWatch {
    /// Follows redirects to the end, and records every page.
    async fn follow_redirects(&mut self, browser: &mut Browser, url: &str) -> Page {
        let mut page = browser.get(url).await;
        for _ in 0..8 {
            self.record_page(&page);
            let Some(next) = page.location() else { break };
            page = browser.get(next).await;
        }
        page
    }

    fn record_page(&mut self, page: &Page) {
        for url in std::iter::once(page.url.clone()).chain(page.location()) {
            for (name, value) in url.query_pairs() {
                if matches!(&*name, "code" | "state" | "ticket" | "h") && value.len() > 8 {
                    self.secrets.insert(value.into_owned());
                }
            }
        }
        for set in page.headers.get_all("set-cookie") {
            let text = set.to_str().expect("ASCII");
            let value = text.split(['=', ';']).nth(1).unwrap_or_default();
            if value.len() > 20 {
                self.secrets.extend(value.split('.').filter(|part| part.len() > 20).map(str::to_owned));
            }
        }
        self.pages.push(page.clone());
    }

    fn assert_none_in(&self, text: &str, what: &str) {
        for secret in &self.secrets {
            assert!(!text.contains(secret.as_str()), "{secret} is in {what}: {text}");
        }
    }
}

#[tokio::test]
async fn case_29_and_30_no_secret_token_code_state_ticket_or_cookie_is_in_a_page_a_log_a_metric_or_the_audit_trail()
 {
    let log = CapturedLog::install();
    let t = TestApp::with("[gate]\nassertion = true").await;
    let wecom: url::Url = t.wecom.url().parse().unwrap();
    let mut watch = SecretWatch { pages: Vec::new(), secrets: BTreeSet::new(), wecom: wecom.origin() };
    watch.secrets.extend([ROOT_SECRET, API_SECRET, &t.wecom.world().app.secret].map(str::to_owned));

    // Signs in by both ways, over two hosts, twice, and out.
    let mut phone = t.phone_of("zhangsan");
    watch.follow_redirects(&mut phone, &format!("{APP_URL}/_gongpai/login?rd=/_gongpai/session")).await;
    watch.follow_redirects(&mut phone, &format!("{PUBLIC_URL}/")).await;
    let check = t.check(&phone, PUBLIC_URL).await;
    assert_eq!(check.status, 200);
    let mut desktop = t.desktop();
    watch.follow_redirects(&mut desktop, &format!("{PUBLIC_URL}/sso/login?rd=/{}", "l".repeat(400))).await;
    for url in watch.pages.iter().map(|p| p.url.to_string()).collect::<Vec<_>>() {
        if url.starts_with(PUBLIC_URL) || url.starts_with(APP_URL) {
            // Everything again, as an unknown person, and as a program.
            let page = t.desktop().get(&url).await;
            watch.record_page(&page);
            let page = t.desktop().fetch(&url).await;
            watch.record_page(&page);
        }
    }
    watch.follow_redirects(&mut phone, &format!("{PUBLIC_URL}/sso/logout?rd=/x")).await;

    // Refused, and with every fault of WeCom.
    for userid in ["zhouba", "oSimulatorCustomer000000000A", "wwfedcba9876543210/liwei", "zhengshi", "nobody"]
    {
        let mut phone = t.phone_of(userid);
        watch.follow_redirects(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    }
    for api in ["auth/getuserinfo", "user/get", "gettoken"] {
        for fault in [
            InjectedFault::Errcode(-1, "system busy".to_owned()),
            InjectedFault::Errcode(40029, "invalid code".to_owned()),
            InjectedFault::Errcode(
                60020,
                "not allow to access from your ip, from ip: 198.51.100.1".to_owned(),
            ),
            InjectedFault::Errcode(50001, "redirect_url unregistered domain".to_owned()),
            InjectedFault::Status500,
            InjectedFault::Html502,
            InjectedFault::Close,
            InjectedFault::Truncated,
            InjectedFault::CloseMidAnswer,
        ] {
            if api == "gettoken" {
                t.advance(Duration::from_secs(7200)).await;
            }
            t.wecom.fail_always(api, fault);
            let mut phone = t.phone_of("zhangsan");
            watch.follow_redirects(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
            t.wecom.clear_faults();
        }
    }
    // WeCom echoes the request.
    t.advance(Duration::from_secs(7200)).await;
    let mut phone = t.phone_of("zhangsan");
    let callback = t.callback_of(&mut phone, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    let code = callback.query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned();
    let echo = format!(
        "{{\"errcode\":41008,\"errmsg\":\"bad code {code} at /cgi-bin/auth/getuserinfo?code={code}\"}}"
    );
    t.wecom.fail_always("auth/getuserinfo", InjectedFault::Text(echo));
    let page = phone.get(callback.as_str()).await;
    watch.record_page(&page);
    t.wecom.clear_faults();
    let secret = t.wecom.world().app.secret;
    t.advance(Duration::from_secs(7200)).await;
    t.wecom.fail_always(
        "gettoken",
        InjectedFault::Text(format!("{{\"errcode\":40001,\"errmsg\":\"bad {secret}\"}}")),
    );
    watch.follow_redirects(&mut t.phone_of("zhangsan"), &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    t.wecom.clear_faults();
    // WeCom is not there at all.
    drop(phone);
    let mut broken = t.phone_of("lisi");
    let callback = t.callback_of(&mut broken, &format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    t.wecom.fail_always("*", InjectedFault::Close);
    let page = broken.get(callback.as_str()).await;
    watch.record_page(&page);

    for request in t.wecom.requests() {
        for (name, value) in request.query {
            if matches!(name.as_str(), "access_token" | "corpsecret" | "code") && value.len() > 8 {
                watch.secrets.insert(value);
            }
        }
    }
    assert!(watch.secrets.len() > 60, "{}", watch.secrets.len());

    for page in &watch.pages {
        if page.url.origin() == watch.wecom {
            continue;
        }
        // The scan page and the break-out page need the state; no other page may have it.
        let is_scan = page.text().contains("<iframe");
        let own = page.url.query().unwrap_or_default();
        for secret in &watch.secrets {
            let allowed = (is_scan && page.text().contains(&format!("state={secret}")))
                || own.contains(secret.as_str());
            assert!(
                allowed || !page.text().contains(secret.as_str()),
                "{secret} is on {}: {}",
                page.url,
                page.text()
            );
            for (name, value) in &page.headers {
                let carries = matches!(name.as_str(), "set-cookie" | "location");
                let value = String::from_utf8_lossy(value.as_bytes());
                assert!(carries || !value.contains(secret.as_str()), "{secret} is in {name} of {}", page.url);
            }
        }
        for token in ["eyJ", "access_token"] {
            assert!(!page.text().contains(token), "{token} on {}: {}", page.url, page.text());
        }
    }
    let trail = read_audit_trail(&t).await;
    let audit: Vec<_> = trail
        .into_iter()
        .map(|row| {
            [row.event, row.userid, row.address, row.host, row.decision, row.detail, row.request_id].join(" ")
        })
        .collect();
    assert!(audit.len() > 20);
    watch.assert_none_in(&audit.join("\n"), "the audit trail");
    let metrics = Browser::new(DESKTOP)
        .send(BrowserRequest::bare(reqwest::Method::GET, &format!("http://{}/metrics", t.admin)))
        .await;
    assert!(metrics.text().contains("gongpai_sign_in_failed"), "{}", metrics.text());
    watch.assert_none_in(&metrics.text(), "the metrics");
    let log = String::from_utf8_lossy(&log.0.lock()).into_owned();
    assert!(
        log.contains("Signed in zhangsan") && log.contains("/sso/callback"),
        "the log is there: {}",
        &log[..3000.min(log.len())]
    );
    for secret in &watch.secrets {
        if let Some(line) = log.lines().find(|line| line.contains(secret.as_str())) {
            panic!("{secret} is in the log: {line}");
        }
    }
    // Tables keep only hashes of codes and tickets.
    let kept = read_code_and_ticket_hashes(&t.app.db).await;
    watch.assert_none_in(&kept.join("\n"), "the tables");
}

#[tokio::test]
async fn case_30_what_comes_from_outside_cannot_write_a_line_into_the_log() {
    let log = CapturedLog::install();
    let t = TestApp::start().await;
    t.wecom.change_member("lisi", |m| m.name = "x\r\nFORGED line\u{1b}[31m".to_owned());
    t.signed_in("lisi").await;
    for url in [
        "/sso/login?rd=/%0d%0aFORGED%20line",
        "/%0d%0aFORGED%20line",
        "/sso/callback?state=%0d%0aFORGED&code=%0aFORGED%20line&r=1",
    ] {
        t.desktop().get(format!("{PUBLIC_URL}{url}")).await;
    }
    let mut odd = t.browser("x\u{1}\tFORGED");
    odd.user_agent = "Mozilla \tFORGED".to_owned();
    odd.get(format!("{PUBLIC_URL}/sso/login")).await;
    t.wecom.fail_always(
        "user/get",
        InjectedFault::Text("{\"errcode\":50001,\"errmsg\":\"a\\r\\nFORGED line\"}".to_owned()),
    );
    t.phone_of("zhangsan").open(format!("{PUBLIC_URL}/sso/login?rd=/x")).await;
    let log = String::from_utf8_lossy(&log.0.lock()).into_owned();
    assert!(!log.lines().any(|line| line.starts_with("FORGED")), "{log}");
    assert!(!log.contains('\u{1b}'), "{log}");
}

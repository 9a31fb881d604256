//! Several gateways on one database behave as one.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gongpai::simulator::Simulator;
use gongpai::testing::app::{App, BuildError};
use gongpai::testing::audit;
use gongpai::testing::base::clock::Clock;
use gongpai::testing::base::secret::Secret;
use gongpai::testing::config::{Config, ConfigSources, ListenAddress};
use gongpai::testing::db::{DatabaseLocation, DatabaseOpenError, Db};
use gongpai::testing::keys::store::list_keys;
use gongpai::testing::supervisor::Supervisor;
use gongpai::testing::supervisor::listen::Listener;
use reqwest::Method;
use serde_json::Value;
use std::net::SocketAddr;

use crate::support::app::{API_SECRET, APP_URL, PUBLIC_URL, TestApp, configuration};
use crate::support::browser::{Browser, BrowserRequest, Page};
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::serve::ServeProcess;
use crate::support::sessions::find_session_audiences;

/// A second gateway on the database, simulator and clock of a first one.
struct Replica {
    app: App,
    address: SocketAddr,
    supervisor: Supervisor,
}

impl Replica {
    async fn start(t: &TestApp, toml: &str) -> Self {
        let (app, runtime_parts) = build_app(t, toml).await.expect("the second gateway starts");
        let any = ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let public = Listener::bind(&any).await.expect("a port");
        let admin = Listener::bind(&any).await.expect("a port");
        let address = SocketAddr::from(([127, 0, 0, 1], public.port().expect("TCP")));
        let mut supervisor = Supervisor::new();
        app.start(runtime_parts, public, admin, &mut supervisor);
        Self { app, address, supervisor }
    }

    /// Asks this gateway what nginx would ask about a request of `browser`.
    async fn check(&self, browser: &Browser, url: &str) -> Page {
        check_at(self.address, browser, url).await
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.supervisor.stop_token().cancel();
    }
}

async fn build_app(
    t: &TestApp,
    toml: &str,
) -> Result<(App, gongpai::testing::app::RuntimeParts), BuildError> {
    let text = configuration(&t.wecom, t.database(), toml);
    let sources = ConfigSources { text: Some(text), ..ConfigSources::default() };
    let (config, _) = Config::load(&sources).expect("a configuration");
    App::build(config, t.app.clock.clone()).await
}

async fn check_at(address: SocketAddr, browser: &Browser, url: &str) -> Page {
    let mut ask = BrowserRequest::navigate(&format!("http://{address}/auth/nginx"))
        .header("x-original-url", url)
        .header("x-original-method", "GET");
    if let Some(cookies) = browser.cookies.header(&url.parse().expect("a URL")) {
        ask = ask.header("cookie", &cookies);
    }
    Browser::new("nginx").send(ask).await
}

/// Makes `browser` find public_url and the application at `address`.
fn connect_to(browser: &mut Browser, address: SocketAddr) {
    browser.resolve(PUBLIC_URL, address);
    browser.resolve(APP_URL, address);
}

fn session_claims(browser: &Browser) -> Value {
    let token = browser.cookies.value("__Host-gongpai").expect("a session");
    let part = token.split('.').nth(1).expect("claims");
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).expect("base64")).expect("JSON")
}

/// Begins a sign-in on `first` and stops before the callback. Returns where WeCom sends the
/// browser.
async fn begin_sign_in(t: &TestApp, first: SocketAddr) -> (Browser, String) {
    let mut phone = t.phone_of("zhangsan");
    connect_to(&mut phone, first);
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/target?x=1%26y=2")).await;
    let mut next = page.location().expect("to WeCom");
    while !next.as_str().starts_with(PUBLIC_URL) {
        next = phone.get(next.as_str()).await.location().expect("back");
    }
    (phone, next.into())
}

fn count_sign_in_calls(t: &TestApp) -> u64 {
    t.wecom.calls("auth/getuserinfo")
}

#[tokio::test]
async fn on_replicas_a_sign_in_begun_on_one_is_finished_on_the_other_and_good_on_both() {
    let t = TestApp::start().await;
    let other = Replica::start(&t, "").await;
    let (mut phone, callback) = begin_sign_in(&t, t.address).await;
    connect_to(&mut phone, other.address);
    let page = phone.get(&callback).await;
    assert_eq!(page.location().expect("to the target").as_str(), format!("{PUBLIC_URL}/target?x=1&y=2"));
    let url = format!("{PUBLIC_URL}/x");
    assert_eq!(other.check(&phone, &url).await.status, 200);
    assert_eq!(t.check(&phone, &url).await.status, 200);
    assert_eq!(t.check(&phone, &url).await.header("remote-user"), Some("zhangsan"));
}

#[tokio::test]
async fn on_replicas_a_callback_that_arrives_twice_is_one_exchange_and_one_session() {
    let t = TestApp::start().await;
    let other = Replica::start(&t, "").await;
    // First one after the other.
    let (mut phone, callback) = begin_sign_in(&t, t.address).await;
    let mut again = phone.clone();
    connect_to(&mut again, other.address);
    let first = phone.get(&callback).await;
    let second = again.get(&callback).await;
    assert_eq!(first.location(), second.location());
    assert_eq!(session_claims(&phone)["sid"], session_claims(&again)["sid"]);
    assert_eq!(count_sign_in_calls(&t), 1);
    // Then at the same time, while WeCom is slow.
    for _ in 0..3 {
        t.wecom.forget_requests();
        let before = count_sign_in_calls(&t);
        t.wecom.fail_next(
            "auth/getuserinfo",
            gongpai::simulator::InjectedFault::Slow(Duration::from_millis(300)),
        );
        let (phone, callback) = begin_sign_in(&t, t.address).await;
        let mut browsers: Vec<Browser> = (0..6).map(|_| phone.clone()).collect();
        for (n, browser) in browsers.iter_mut().enumerate() {
            connect_to(browser, if n % 2 == 0 { t.address } else { other.address });
        }
        let mut pages = Vec::new();
        let mut tasks = tokio::task::JoinSet::new();
        for mut browser in browsers {
            let callback = callback.clone();
            tasks.spawn(async move {
                let page = browser.get(&callback).await;
                (page, browser)
            });
        }
        while let Some(done) = tasks.join_next().await {
            pages.push(done.expect("answered"));
        }
        let (one, browser) = &pages[0];
        for (page, other) in &pages {
            assert_eq!(page.status, 302, "{}", page.text());
            assert_eq!(page.location(), one.location());
            assert_eq!(session_claims(other)["sid"], session_claims(browser)["sid"]);
        }
        assert_eq!(count_sign_in_calls(&t) - before, 1, "the code was exchanged more than once");
    }
}

#[tokio::test]
async fn on_replicas_a_revocation_on_one_is_refused_on_the_other_within_a_second() {
    let t = TestApp::start().await;
    let other = Replica::start(&t, "").await;
    let url = format!("{PUBLIC_URL}/x");
    let mut slowest = Duration::ZERO;
    for round in 0..6 {
        let mut phone = t.signed_in("zhangsan").await;
        assert_eq!(t.check(&phone, &url).await.status, 200);
        assert_eq!(other.check(&phone, &url).await.status, 200);
        // By the API, by a sign-out, and by ending all sessions.
        match round % 3 {
            0 => {
                use base64::engine::general_purpose::STANDARD;
                let basic = format!("Basic {}", STANDARD.encode(format!("oa:{API_SECRET}")));
                let path = format!("http://{}/api/v1/sessions?userid=zhangsan", t.address);
                let ask = BrowserRequest::bare(Method::DELETE, &path).header("authorization", &basic);
                assert_eq!(Browser::new("x").send(ask).await.status, 200);
            }
            1 => {
                let mut copy = phone.clone();
                copy.open(format!("{PUBLIC_URL}/sso/logout?rd=/")).await;
                phone.user_agent.push(' ');
            }
            _ => {
                use gongpai::testing::db::feed::FeedTransaction;
                use gongpai::testing::session::SessionEndReason;
                use gongpai::testing::session::store::{SessionsToEnd, end_sessions};
                let corp = &t.app.config.wecom.corp_id;
                let mut change =
                    FeedTransaction::begin(&t.app.db, corp, t.app.clock.now()).await.expect("a transaction");
                end_sessions(&mut change, &SessionsToEnd::All, SessionEndReason::Revoked)
                    .await
                    .expect("ended");
                change.commit().await.expect("committed");
            }
        }
        let committed = Instant::now();
        eventually("the other replica refuses", async || {
            (other.check(&phone, &url).await.status == 401).then_some(())
        })
        .await;
        slowest = slowest.max(committed.elapsed());
        eventually("this replica refuses", async || {
            (t.check(&phone, &url).await.status == 401).then_some(())
        })
        .await;
    }
    assert!(slowest < Duration::from_secs(1), "{slowest:?}");
}

#[tokio::test]
async fn on_replicas_a_person_changed_on_one_is_seen_on_the_other() {
    let t = TestApp::start().await;
    let other = Replica::start(&t, "").await;
    let phone = t.signed_in("zhangsan").await;
    let url = format!("{PUBLIC_URL}/x");
    assert_eq!(other.check(&phone, &url).await.header("remote-name"), Some("%E5%BC%A0%E4%B8%89"));
    t.wecom.change_member("zhangsan", |m| m.name = "Zhang".to_owned());
    t.signed_in("zhangsan").await;
    let began = Instant::now();
    eventually("the other replica has the new name", async || {
        (other.check(&phone, &url).await.header("remote-name") == Some("Zhang")).then_some(())
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
}

#[tokio::test]
async fn on_replicas_a_key_made_by_one_is_published_by_the_other_and_signs_once_everybody_has_it() {
    let t = TestApp::start().await;
    let other = Replica::start(&t, "").await;
    let old = t.signed_in("zhangsan").await;
    let entry = audit::AuditEntry {
        event: audit::AuditEvent::KeyRotate,
        actor: audit::Actor::System,
        person: None,
        userid: String::new(),
        address: None,
        host: String::new(),
        decision: audit::AuditDecision::Done,
        detail: String::new(),
        request_id: String::new(),
    };
    let (kid, signs_from) = t.app.keys.rotate(&entry).await.expect("a key");
    assert_eq!(signs_from.since(t.app.clock.now()), Duration::from_secs(300));
    for address in [t.address, other.address] {
        eventually("the key is published", async || {
            let jwks: Value =
                Browser::new("x").get(format!("http://{address}/.well-known/jwks.json")).await.json();
            jwks["keys"].as_array().expect("keys").iter().any(|k| k["kid"] == *kid).then_some(())
        })
        .await;
    }
    let kid_of = |browser: &Browser| {
        let token = browser.cookies.value("__Host-gongpai").expect("a session").to_owned();
        jsonwebtoken::decode_header(token).expect("a JWT").kid.expect("a kid")
    };
    assert_ne!(kid_of(&t.signed_in("lisi").await), kid, "it signs before its time");
    t.advance(Duration::from_secs(301)).await;
    other.app.sessions.refresh().await.expect("the database answers");
    let new = t.signed_in("lisi").await;
    assert_eq!(kid_of(&new), kid);
    let url = format!("{PUBLIC_URL}/x");
    for browser in [&old, &new] {
        assert_eq!(t.check(browser, &url).await.status, 200);
        assert_eq!(other.check(browser, &url).await.status, 200);
    }
    // The old key stays until its tokens have expired, and no longer.
    let ttl = t.app.config.session.ttl;
    let keys = async || list_keys(&t.app.db).await.expect("the database answers").len();
    gongpai::testing::app::retention::delete_old_rows(&t.app.db, t.app.clock.now(), ttl)
        .await
        .expect("deleted");
    assert_eq!(keys().await, 2);
    t.advance(ttl + Duration::from_secs(1)).await;
    gongpai::testing::app::retention::delete_old_rows(&t.app.db, t.app.clock.now(), ttl)
        .await
        .expect("deleted");
    assert_eq!(keys().await, 1);
}

#[tokio::test]
async fn on_replicas_a_ticket_made_by_one_is_redeemed_once_by_the_other() {
    let t = TestApp::start().await;
    let other = Replica::start(&t, "").await;
    let mut phone = t.signed_in("zhangsan").await;
    let page = phone.get(format!("{APP_URL}/_gongpai/login?rd=/x")).await;
    let page = phone.get(page.location().expect("to public_url").as_str()).await;
    let finish = page.location().expect("with a ticket").to_string();
    assert!(finish.starts_with(&format!("{APP_URL}/_gongpai/finish?ticket=")), "{finish}");
    let mut browsers: Vec<Browser> = (0..6).map(|_| phone.clone()).collect();
    for (n, browser) in browsers.iter_mut().enumerate() {
        connect_to(browser, if n % 2 == 0 { t.address } else { other.address });
    }
    let mut tasks = tokio::task::JoinSet::new();
    for mut browser in browsers {
        let finish = finish.clone();
        tasks.spawn(async move {
            let page = browser.get(&finish).await;
            (page.status.as_u16(), browser)
        });
    }
    tasks.join_all().await;
    let audiences = find_session_audiences(&t.app.db).await;
    assert_eq!(audiences.iter().filter(|audience| *audience == "app.example.com").count(), 1);
}

#[tokio::test]
async fn replicas_that_start_at_the_same_time_on_an_empty_database_agree_on_one_schema_and_can_read_each_others_keys()
 {
    let t = TestApp::start().await;
    let (a, b, c) = tokio::join!(Replica::start(&t, ""), Replica::start(&t, ""), Replica::start(&t, ""));
    let phone = t.signed_in("zhangsan").await;
    for replica in [&a, &b, &c] {
        assert_eq!(replica.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 200);
    }
}

#[tokio::test]
async fn replicas_of_an_older_version_refuse_a_newer_schema_at_start_and_say_so() {
    let t = TestApp::start().await;
    let insert = "INSERT INTO _sqlx_migrations (version, description, installed_on, success, checksum, execution_time) \
                  VALUES (9999, 'from the future', CURRENT_TIMESTAMP, TRUE, ";
    let checksum = if t.app.db.engine() == "sqlite" { "x'00'" } else { "'\\x00'" };
    sqlx::query(sqlx::AssertSqlSafe(format!("{insert}{checksum}, 1)")))
        .execute(t.app.db.pool())
        .await
        .expect("a row");
    let error = build_app(&t, "").await.expect_err("it started").to_string();
    assert!(error.contains("newer"), "{error}");
    assert!(!error.contains("postgres://"), "{error}");
    // A replica that is running continues.
    let phone = t.signed_in("zhangsan").await;
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 200);
}

#[tokio::test]
async fn replicas_with_another_root_secret_end_sessions_and_nothing_else() {
    let t = TestApp::start().await;
    let phone = t.signed_in("zhangsan").await;
    let other =
        Replica::start(&t, "[server]\nsecret = \"c2l4dGVlbi1ieXRlcy1hbmQtc2l4dGVlbi1sZXNzPz8=\"\n").await;
    let page = other.check(&phone, &format!("{PUBLIC_URL}/x")).await;
    assert!(matches!(page.status.as_u16(), 200 | 401));
    let mut again = t.phone_of("zhangsan");
    connect_to(&mut again, other.address);
    assert_eq!(again.open(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await.status, 200);
}

#[tokio::test]
async fn a_clock_that_is_more_than_a_minute_behind_the_newest_row_is_not_ready_and_signs_nobody_in() {
    let t = TestApp::start().await;
    t.signed_in("zhangsan").await;
    let now = t.app.clock.now();
    let text = configuration(&t.wecom, t.database(), "");
    let (config, _) = Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() })
        .expect("a configuration");
    let behind = Clock::fixed(now.minus(Duration::from_secs(62)));
    let (app, runtime_parts) = App::build(config, behind).await.expect("it starts");
    let any = ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
    let (public, admin) =
        (Listener::bind(&any).await.expect("a port"), Listener::bind(&any).await.expect("a port"));
    let port = |l: &Listener| SocketAddr::from(([127, 0, 0, 1], l.port().expect("TCP")));
    let (address, admin_address) = (port(&public), port(&admin));
    let mut supervisor = Supervisor::new();
    app.start(runtime_parts, public, admin, &mut supervisor);
    let ready = Browser::new("x").get(format!("http://{admin_address}/readyz")).await;
    assert_eq!(ready.status, 503);
    assert!(ready.text().contains("clock"), "{}", ready.text());
    let mut phone = t.phone_of("zhangsan");
    connect_to(&mut phone, address);
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert_eq!(page.status, 503, "{}", page.text());
    supervisor.stop_token().cancel();
}

#[tokio::test]
async fn a_database_that_is_no_database_is_refused_at_start_without_its_password() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("gongpai.db"), b"this is no database, whatever its name says; it is longer than a header of SQLite's would be, all of one hundred bytes").expect("written");
    let opened = Db::open(DatabaseLocation::Sqlite(&folder.path().join("gongpai.db"))).await;
    assert!(opened.is_err());
    let nobody = Secret::from("postgres://user:PASSWORD123@127.0.0.1:1/none");
    let error: DatabaseOpenError =
        Db::open(DatabaseLocation::Postgres(&nobody)).await.expect_err("nobody listens there");
    assert!(!format!("{error} {error:?}").contains("PASSWORD123"), "{error:?}");
}

#[tokio::test]
async fn two_processes_are_replicas_sign_in_on_one_is_finished_on_the_other_and_revoked_everywhere_within_a_second()
 {
    let wecom = Simulator::start().await.expect("the simulator starts");
    let database = TestDatabase::create().await;
    // Two folders, one database: the first process creates the schema and the key.
    let one = ServeProcess::start(&wecom, &database, "").await;
    let other = ServeProcess::start(&wecom, &database, "").await;
    let mut phone = one.phone_of(&wecom, "zhangsan");
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
    let mut next = page.location().expect("to WeCom");
    while !next.as_str().starts_with(PUBLIC_URL) {
        next = phone.get(next.as_str()).await.location().expect("back");
    }
    let mut again = phone.clone();
    other.visit(&mut phone);
    let end = phone.open(next.as_str()).await;
    assert_eq!(end.status, 200, "{}", end.text());
    let twice = again.open(next.as_str()).await;
    assert_eq!((twice.status.as_u16(), twice.url), (200, end.url));
    assert_eq!(wecom.calls("auth/getuserinfo"), 1);
    assert_eq!(session_claims(&phone)["sid"], session_claims(&again)["sid"]);
    for serve in [&one, &other] {
        assert_eq!(serve.check(&phone).await.status, 200);
    }
    // A key that the command line made is published by both.
    let rotated = one.command(&["key", "rotate"]).await;
    assert_eq!(rotated.code(), Some(0), "{}", rotated.stderr);
    for serve in [&one, &other] {
        let url = format!("http://{}/.well-known/jwks.json", serve.public);
        eventually("both keys are published", async || {
            let jwks: Value = Browser::new("x").get(&url).await.json();
            (jwks["keys"].as_array().expect("keys").len() == 2).then_some(())
        })
        .await;
        assert_eq!(serve.check(&phone).await.status, 200);
    }
    // Revoked by the API of one, then by the command line beside it.
    let basic =
        format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(format!("oa:{API_SECRET}")));
    for by_command in [false, true] {
        let phone = one.signed_in(&wecom, "zhangsan").await;
        assert_eq!(other.check(&phone).await.status, 200);
        if by_command {
            let revoked = one.command(&["sessions", "revoke", "--user", "zhangsan"]).await;
            assert_eq!(revoked.code(), Some(0), "{}", revoked.stderr);
        } else {
            let url = format!("http://{}/api/v1/sessions?userid=zhangsan", one.public);
            let ask = BrowserRequest::bare(Method::DELETE, &url).header("authorization", &basic);
            assert_eq!(Browser::new("x").send(ask).await.status, 200);
            assert_eq!(one.check(&phone).await.status, 401, "at the very next check");
        }
        let committed = Instant::now();
        for serve in [&other, &one] {
            eventually("refused", async || (serve.check(&phone).await.status == 401).then_some(())).await;
        }
        assert!(committed.elapsed() < Duration::from_secs(1), "{:?}", committed.elapsed());
    }
    // One dies, the other continues, and the first comes back.
    let phone = one.signed_in(&wecom, "lisi").await;
    let one = one.killed_and_restarted().await;
    for serve in [&one, &other] {
        assert_eq!(serve.check(&phone).await.status, 200);
    }
}

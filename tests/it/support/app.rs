//! A gateway in the process of the test: the real router on a real port, its own database, the
//! simulator as WeCom, and a clock that only the test moves.
//!
//! Browsers see `https://oa.example.com` (public_url), `https://app.example.com` (a redirect host)
//! and the hosts of the test's configuration. All of them lead to the gateway's port, as behind a
//! proxy that terminates TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gongpai::simulator::{RunningSimulator, Simulator};
use gongpai::testing::app::App;
use gongpai::testing::base::clock::{Clock, Timestamp};
use gongpai::testing::config::{Config, ConfigSources, ListenAddress};
use gongpai::testing::supervisor::Supervisor;
use gongpai::testing::supervisor::listen::Listener;
use gongpai::testing::sync::fetch::FetchPace;
use toml::{Table, Value};
use url::Url;

use super::browser::{Browser, BrowserRequest, DESKTOP, Page, WECOM_PHONE};
use super::database::TestDatabase;
use super::port::Port;
use super::query::count_rows;

pub(crate) const PUBLIC_URL: &str = "https://oa.example.com";
/// An application's host, in `login.redirect_hosts`.
pub(crate) const APP_URL: &str = "https://app.example.com";
/// WeCom's host in a real Chromium.
pub(crate) const WECOM_HOST: &str = "wecom.test";

/// The API client's secret. It must not appear in any output.
pub(crate) const API_SECRET: &str = "q0bZ2m0yq6y1o0e9fC0cU3m1l0m6T8y3vXk5Jf7w2Zg";

/// The key that seals states, hand-offs and signing keys.
pub(crate) const ROOT_SECRET: &str = "c2l4dGVlbi1ieXRlcy1hbmQtc2l4dGVlbi1tb3JlISE=";

/// A gateway for one test.
#[derive(Debug)]
pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) wecom: RunningSimulator,
    /// The public listener.
    pub(crate) address: SocketAddr,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    supervisor: Supervisor,
    database: Arc<TestDatabase>,
}

impl TestApp {
    /// Starts one with the usual configuration.
    pub(crate) async fn start() -> Self {
        Self::with("").await
    }

    /// Starts one with more configuration: TOML tables and keys.
    pub(crate) async fn with(toml: &str) -> Self {
        let wecom = Simulator::start().await.expect("the simulator starts");
        let database = TestDatabase::create().await;
        Self::with_parts(wecom, database, toml).await
    }

    /// Starts one whose synchronisations call WeCom at `pace`.
    pub(crate) async fn with_pace(toml: &str, pace: FetchPace) -> Self {
        let wecom = Simulator::start().await.expect("the simulator starts");
        let database = Arc::new(TestDatabase::create().await);
        Self::sharing_with_pace(wecom, database, toml, pace).await
    }

    /// Starts one on an existing simulator and database.
    pub(crate) async fn with_parts(wecom: RunningSimulator, database: TestDatabase, toml: &str) -> Self {
        Self::sharing(wecom, Arc::new(database), toml).await
    }

    /// Starts a second gateway on this database, with a WeCom of its own.
    pub(crate) async fn another(&self, wecom: RunningSimulator) -> Self {
        Self::sharing(wecom, Arc::clone(&self.database), "").await
    }

    async fn sharing(wecom: RunningSimulator, database: Arc<TestDatabase>, toml: &str) -> Self {
        Self::sharing_with_pace(wecom, database, toml, FetchPace::PRODUCTION).await
    }

    async fn sharing_with_pace(
        wecom: RunningSimulator,
        database: Arc<TestDatabase>,
        toml: &str,
        pace: FetchPace,
    ) -> Self {
        wecom.set_trusted_domains(["oa.example.com"]);
        wecom.set_callback_domains(["oa.example.com"]);
        let text = configuration(&wecom, &database, toml);
        let any = ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let sources = ConfigSources { text: Some(text), ..ConfigSources::default() };
        Self::build(wecom, database, sources, &any, pace).await
    }

    /// Starts a gateway that a real Chromium can reach on `http://HOST:PORT`.
    ///
    /// Browsers treat `127.0.0.1` like https. WeCom is on another site, `http://wecom.test:PORT`.
    /// `environment` sets keys of tables that the usual configuration has.
    pub(crate) async fn reachable_at(
        host: &str,
        port: &Port,
        toml: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let wecom = Simulator::start().await.expect("the simulator starts");
        let database = Arc::new(TestDatabase::create().await);
        let host = format!("{host}:{}", port.number());
        wecom.set_trusted_domains([host.clone()]);
        wecom.set_callback_domains([host.clone()]);
        let elsewhere = format!("http://{WECOM_HOST}:{}", wecom.address().port());
        let own = [
            ("GONGPAI_PUBLIC_URL", format!("http://{host}")),
            ("GONGPAI_ALLOW_HTTP", "true".to_owned()),
            ("GONGPAI_WECOM__OAUTH2_ADDRESS", elsewhere.clone()),
            ("GONGPAI_WECOM__QR_CONNECT_ADDRESS", elsewhere),
        ];
        let environment = environment.iter().map(|(key, value)| (*key, (*value).to_owned())).chain(own);
        let environment = environment.map(|(key, value)| (key.to_owned(), value)).collect();
        let text = Some(configuration(&wecom, &database, toml));
        let sources = ConfigSources { text, environment, ..ConfigSources::default() };
        let listen = ListenAddress::Tcp(port.address());
        Self::build(wecom, database, sources, &listen, FetchPace::PRODUCTION).await
    }

    async fn build(
        wecom: RunningSimulator,
        database: Arc<TestDatabase>,
        sources: ConfigSources,
        listen: &ListenAddress,
        pace: FetchPace,
    ) -> Self {
        let (config, _) = Config::load(&sources).unwrap_or_else(|e| panic!("{e}\n{sources:?}"));
        let clock = Clock::fixed(Timestamp::from_millis(1_795_334_400_000));
        let (app, runtime_parts) =
            App::build_with_pace(config, clock, pace).await.expect("the gateway starts");
        let any = ListenAddress::Tcp(SocketAddr::from(([127, 0, 0, 1], 0)));
        let public = Listener::bind(listen).await.expect("a port");
        let admin = Listener::bind(&any).await.expect("a port");
        let at = |l: &Listener| SocketAddr::from(([127, 0, 0, 1], l.port().expect("TCP")));
        let (address, admin_address) = (at(&public), at(&admin));
        let mut supervisor = Supervisor::new();
        app.start(runtime_parts, public, admin, &mut supervisor);
        Self { app, wecom, address, admin: admin_address, supervisor, database }
    }

    pub(crate) fn database(&self) -> &TestDatabase {
        &self.database
    }

    /// Returns a browser that reaches our hosts.
    pub(crate) fn browser(&self, user_agent: &str) -> Browser {
        let mut browser = Browser::new(user_agent);
        for host in ["oa.example.com", "app.example.com", "hr.example.com", "wiki.example.org"] {
            browser.resolve(&format!("https://{host}"), self.address);
        }
        browser
    }

    /// Hands the phone to `userid` and returns its WeCom browser.
    pub(crate) fn phone_of(&self, userid: &str) -> Browser {
        self.wecom.set_phone_member(userid);
        self.browser(WECOM_PHONE)
    }

    pub(crate) fn desktop(&self) -> Browser {
        self.browser(DESKTOP)
    }

    /// Returns a browser in which `userid` has signed in on public_url's host through WeCom.
    pub(crate) async fn signed_in(&self, userid: &str) -> Browser {
        let mut browser = self.phone_of(userid);
        let page = browser.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
        assert_eq!(page.status, 200, "{userid}: {}", page.text());
        browser
    }

    /// Sends the check that nginx would send for a navigation of `browser` to `url`.
    pub(crate) async fn check(&self, browser: &Browser, url: &str) -> Page {
        self.check_as(browser, url, "GET").await
    }

    /// Sends the check for a request with this method.
    pub(crate) async fn check_as(&self, browser: &Browser, url: &str, method: &str) -> Page {
        let mut nginx = Browser::new(&browser.user_agent);
        let mut ask = BrowserRequest::navigate(&format!("http://{}/auth/nginx", self.address))
            .header("x-original-url", &with_path(url))
            .header("x-original-method", method);
        if let Some(cookies) = browser.cookies.header(&url.parse().expect("a URL")) {
            ask = ask.header("cookie", &cookies);
        }
        nginx.send(ask).await
    }

    /// Sends the check with one header, such as Cookie or Authorization.
    pub(crate) async fn check_with(&self, name: &str, value: &str, url: &str) -> Page {
        let ask = BrowserRequest::navigate(&format!("http://{}/auth/nginx", self.address))
            .header("x-original-url", &with_path(url))
            .header("x-original-method", "GET")
            .header(name, value);
        Browser::new(DESKTOP).send(ask).await
    }

    /// Starts a sign-in in `browser` and lets WeCom answer. Returns the callback that the browser
    /// would visit next.
    pub(crate) async fn callback_of(&self, browser: &mut Browser, start: &str) -> Url {
        let page = browser.get(start).await;
        let at_wecom = page.location().unwrap_or_else(|| panic!("{}: {}", page.status, page.text()));
        assert_eq!(at_wecom.path(), "/connect/oauth2/authorize", "{at_wecom}");
        let back = browser.get(at_wecom.as_str()).await;
        back.location().unwrap_or_else(|| panic!("{}: {}", back.status, back.text()))
    }

    pub(crate) async fn count_rows(&self, table: &str) -> i64 {
        count_rows(&self.app.db, table).await
    }

    /// Moves the clocks of the gateway and of WeCom, and refreshes the sessions in memory.
    pub(crate) async fn advance(&self, by: Duration) {
        self.app.clock.advance(by);
        self.wecom.advance(by);
        self.app.sessions.refresh().await.expect("the database answers");
    }

    pub(crate) fn data_dir(&self) -> &std::path::Path {
        self.database.data_dir()
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.supervisor.stop_token().cancel();
    }
}

/// Adds the path that a browser always sends.
fn with_path(url: &str) -> String {
    if url.matches('/').count() == 2 { format!("{url}/") } else { url.to_owned() }
}

/// Runs all futures at once; returns the results in their order.
pub(crate) async fn run_all_at_once<F>(all: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future<Output: Send> + Send + 'static,
{
    let mut tasks = tokio::task::JoinSet::new();
    for (n, one) in all.into_iter().enumerate() {
        tasks.spawn(async move { (n, one.await) });
    }
    let mut done = tasks.join_all().await;
    done.sort_by_key(|(n, _)| *n);
    done.into_iter().map(|(_, output)| output).collect()
}

/// Returns the usual configuration with the tables and keys of `more`.
pub(crate) fn configuration(wecom: &RunningSimulator, database: &TestDatabase, more: &str) -> String {
    let world = wecom.world();
    let hash = gongpai::testing::base::secret::sha256_hex(API_SECRET);
    let url = wecom.url();
    let url = url.trim_end_matches('/');
    let usual = format!(
        r#"
        public_url = {PUBLIC_URL:?}
        data_dir = {data_dir:?}
        [server]
        secret = {ROOT_SECRET:?}
        [database]
        url = {database:?}
        [wecom]
        corp_id = {corp_id:?}
        agent_id = {agent_id}
        app_secret = {secret:?}
        sync_cron = ""
        force_sync_cron = ""
        api_address = {url:?}
        oauth2_address = {url:?}
        qr_connect_address = {url:?}
        [login]
        redirect_hosts = ["app.example.com"]
        [[api_clients]]
        id = "oa"
        secret_hash = "sha256:{hash}"
        scopes = ["sessions", "messages", "directory:read", "directory:write"]
        "#,
        data_dir = database.data_dir(),
        database = database.url(),
        corp_id = world.corp_id,
        agent_id = world.app.agent_id,
        secret = world.app.secret,
    );
    let parse = |text: &str| toml::from_str::<Table>(text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut table = parse(&usual);
    merge_tables(&mut table, parse(more));
    toml::to_string(&table).expect("TOML")
}

fn merge_tables(into: &mut Table, more: Table) {
    for (key, value) in more {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(known)), Value::Table(more)) => merge_tables(known, more),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}

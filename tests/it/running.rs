//! `gongpai serve` as a process: starting, stopping, being killed, logs, listeners.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use gongpai::simulator::{InjectedFault, RunningSimulator, Simulator};
use gongpai::testing::base::secret::Secret;
use gongpai::testing::db::{DatabaseLocation, Db};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use crate::support::app::{API_SECRET, PUBLIC_URL};
use crate::support::browser::{Browser, BrowserRequest};
use crate::support::database::{Engine, TestDatabase};
use crate::support::echo::send_raw;
use crate::support::port::Port;
use crate::support::process::{Output, Program, Signal};
use crate::support::serve::{ServeProcess, write_folder};
use crate::support::sessions::{
    count_attempts_without_session, count_half_finished_attempts, count_unrecorded_sessions,
};
use crate::support::{WAIT_TIMEOUT, eventually};

async fn start_wecom() -> RunningSimulator {
    Simulator::start().await.expect("the simulator starts")
}

/// Begins a sign-in, stops before the callback, and returns the URL to which WeCom sends the
/// browser.
async fn begin_sign_in(serve: &ServeProcess, wecom: &RunningSimulator) -> (Browser, String) {
    let mut phone = serve.phone_of(wecom, "zhangsan");
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
    let mut next = page.location().expect("to WeCom");
    while !next.as_str().starts_with(PUBLIC_URL) {
        next = phone.get(next.as_str()).await.location().expect("back");
    }
    (phone, next.into())
}

async fn open_database(database: &TestDatabase) -> Db {
    let file = database.data_dir().join("gongpai.db");
    let url = Secret::from(database.url());
    let location = if database.url().is_empty() {
        DatabaseLocation::Sqlite(&file)
    } else {
        DatabaseLocation::Postgres(&url)
    };
    Db::open(location).await.expect("the database opens")
}

/// O2OA's file, as its documentation prints it.
const SEED: &str = r#"{
  "enable": false,
  "syncCron": "10 0/10 * * * ?",
  "forceSyncCron": "10 45 8,12 * * ?",
  "apiAddress": "https://qyapi.weixin.qq.com",
  "corpId": "",
  "corpSecret": "",
  "agentId": "",
  "token": "",
  "encodingAesKey": "",
  "messageEnable": true
}"#;

#[tokio::test]
async fn running_with_nothing_but_the_seeds_file_in_an_empty_folder() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("qiyeweixin.json"), SEED).expect("the seed's file");
    let port = Port::reserve();
    let program = Program::gongpai()
        .args(["serve", "--qiyeweixin", "qiyeweixin.json"])
        .env("GONGPAI_SERVER__LISTEN", port.address().to_string())
        .env("GONGPAI_SERVER__ADMIN_LISTEN", "127.0.0.1:0")
        .cwd(folder.path());
    let mut serve = ServeProcess::start_program(program, folder).await;
    let line = serve.process.line_with("gongpai listens on").await;
    let public_url = format!("http://127.0.0.1:{}", port.number());
    assert!(line.ends_with(&format!("for {public_url}")), "{line}");
    let mut desktop = Browser::new("Mozilla/5.0 (X11; Linux x86_64)");
    assert_eq!(desktop.get(format!("{public_url}/healthz")).await.text(), "ok\n");
    let ready = desktop.get(format!("http://{}/readyz", serve.admin)).await;
    assert_eq!(ready.status, 200, "{}", ready.text());
    // It says `enable: false`, and the page says so.
    let page = desktop.get(format!("{public_url}/sso/login?rd=/")).await;
    assert_eq!(page.status, 503);
    assert!(page.text().contains("wecom.disabled"), "{}", page.text());
    assert_eq!(serve.check(&desktop).await.status, 403, "another host than 127.0.0.1");
    let data = serve.folder().join("data");
    let files: BTreeSet<_> =
        std::fs::read_dir(&data).expect("data_dir").map(|f| f.expect("a file").file_name()).collect();
    assert!(files.contains(std::ffi::OsStr::new("secret")), "{files:?}");
    use std::os::unix::fs::PermissionsExt as _;
    for name in ["secret", "gongpai.db"] {
        let mode = std::fs::metadata(data.join(name)).expect(name).permissions().mode();
        assert_eq!(mode & 0o077, 0, "{name} can be read by others: {mode:o}");
    }
    assert_eq!(serve.process.stop().await.code(), Some(0));
}

#[tokio::test]
async fn running_means_that_both_listeners_answer_once_the_line_is_written() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let first = ServeProcess::start(&wecom, &database, "").await;
    for _ in 0..3 {
        assert_eq!(Browser::new("x").get(format!("http://{}/readyz", first.admin)).await.status, 200);
        assert_eq!(Browser::new("x").get(format!("http://{}/healthz", first.public)).await.status, 200);
    }
    let again = first.killed_and_restarted().await;
    println!("ready with an existing database after {} ms", again.took.as_millis());
}

#[tokio::test]
async fn running_case_55_what_is_made_is_ours_alone_and_what_others_may_read_is_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let toml = "data_dir = \"fresh/data\"\n[database]\nurl = \"\"\n";
    let serve = ServeProcess::start(&wecom, &database, toml).await;
    let data = serve.folder().join("fresh/data");
    let mode = |name: &str| {
        let path = data.join(name);
        std::fs::metadata(&path).unwrap_or_else(|e| panic!("{name}: {e}")).permissions().mode() & 0o777
    };
    assert_eq!(mode("."), 0o700, "server.secret is set: the database made it");
    for name in ["gongpai.db", "gongpai.db-wal", "gongpai.db-shm"] {
        assert_eq!(mode(name), 0o600, "{name}");
    }
    assert!(!serve.written().contains("chmod"), "{}", serve.written());
    let set = |name: &str, mode: u32| {
        std::fs::set_permissions(data.join(name), std::fs::Permissions::from_mode(mode)).expect("ours");
    };
    set(".", 0o755);
    set("gongpai.db", 0o644);
    let mut again = serve.killed_and_restarted().await;
    for command in ["run: chmod 700 fresh/data\"", "run: chmod 600 fresh/data/gongpai.db\""] {
        assert!(again.written().contains(command), "{command} is not in\n{}", again.written());
    }
    let doctor = again.command(&["doctor", "--json"]).await.stdout;
    let findings: serde_json::Value = serde_json::from_str(&doctor).expect("JSON");
    for (id, command) in [
        ("data_dir.open_to_others", "chmod 700 fresh/data"),
        ("database.open_to_others", "chmod 600 fresh/data/gongpai.db"),
    ] {
        let found = findings["findings"].as_array().expect("a list").iter().find(|f| f["id"] == id);
        let remedy = found.map(|f| f["remedy"]["en"].to_string()).unwrap_or_default();
        assert!(remedy.contains(command), "{id}: {doctor}");
    }
    assert_eq!(again.process.stop().await.code(), Some(0));
}

#[tokio::test]
async fn running_case_27_metrics_and_readiness_are_on_the_admin_listener_only() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let serve = ServeProcess::start(&wecom, &database, "").await;
    let phone = serve.signed_in(&wecom, "zhangsan").await;
    assert_eq!(serve.check(&phone).await.status, 200);
    for path in ["/metrics", "/readyz", "/debug/pprof", "/admin", "/config"] {
        let page = Browser::new("x")
            .send(
                BrowserRequest::bare(reqwest::Method::GET, &format!("http://{}{path}", serve.public))
                    .header("host", "oa.example.com"),
            )
            .await;
        assert_eq!(page.status, 404, "{path}");
    }
    for path in ["/auth/nginx", "/sso/login", "/api/v1/sessions", "/", "/debug/pprof"] {
        assert_eq!(
            Browser::new("x").get(format!("http://{}{path}", serve.admin)).await.status,
            404,
            "{path}"
        );
    }
    let metrics = Browser::new("x").get(format!("http://{}/metrics", serve.admin)).await;
    assert_eq!(metrics.status, 200);
    let text = metrics.text();
    assert!(text.contains("gongpai_gate_checks_total{outcome=\"allowed\"} 1"), "{text}");
    assert!(text.ends_with("# EOF\n"), "{text}");
    for line in text.lines().filter(|l| !l.starts_with('#')) {
        assert!(line.starts_with("gongpai_"), "{line}");
        assert!(!line.contains("gongpai_gongpai"), "{line}");
        assert!(!line.contains("zhangsan"), "a person in a metric: {line}");
    }
}

#[tokio::test]
async fn running_until_sigterm_a_sign_in_under_way_is_finished() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let mut serve = ServeProcess::start(&wecom, &database, "").await;
    let (mut phone, callback) = begin_sign_in(&serve, &wecom).await;
    wecom.fail_next("auth/getuserinfo", InjectedFault::Slow(Duration::from_millis(1500)));
    let before = wecom.calls("auth/getuserinfo");
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { (phone.get(&callback).await, phone) });
    eventually("WeCom is asked", async || (wecom.calls("auth/getuserinfo") > before).then_some(())).await;
    serve.process.signal(Signal::Term);
    let (page, phone) = tasks.join_next().await.expect("one").expect("answered");
    assert_eq!(page.status, 302, "{}", page.text());
    assert_eq!(serve.process.exit().await.code(), Some(0));
    assert!(TcpStream::connect(serve.public).await.is_err());
    let written = serve.written();
    assert!(written.contains("SIGTERM"), "{written}");
    // The session is still there for the next process.
    let next = ServeProcess::start(&wecom, &database, "").await;
    assert_eq!(next.check(&phone).await.status, 200);
}

#[tokio::test]
async fn running_with_idle_and_half_sent_requests_stops_without_waiting_for_them() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let mut serve = ServeProcess::start(&wecom, &database, "").await;
    let mut idle = TcpStream::connect(serve.public).await.expect("a connection");
    idle.write_all(b"GET /healthz HTTP/1.1\r\nHost: oa.example.com\r\n\r\n").await.expect("written");
    let mut start = [0; 12];
    idle.read_exact(&mut start).await.expect("an answer");
    let mut half = TcpStream::connect(serve.public).await.expect("a connection");
    half.write_all(b"GET /healthz HTT").await.expect("written");
    let silent = TcpStream::connect(serve.public).await.expect("a connection");
    let began = Instant::now();
    assert_eq!(serve.process.stop().await.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop((idle, half, silent));
}

#[tokio::test]
async fn running_again_after_kill_9_at_any_instant_of_a_sign_in_nothing_is_half_done_and_sessions_are_alive()
{
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let mut serve = ServeProcess::start(&wecom, &database, "").await;
    let old = serve.signed_in(&wecom, "lisi").await;
    for pause in [0, 2, 5, 10, 20, 40, 80, 160] {
        let (mut phone, callback) = begin_sign_in(&serve, &wecom).await;
        wecom.fail_next("auth/getuserinfo", InjectedFault::Slow(Duration::from_millis(20)));
        let at = (serve.public, callback.clone());
        let cookies = phone.cookies.header(&PUBLIC_URL.parse().expect("a URL")).expect("an attempt");
        let (_, query) = at.1.split_once(PUBLIC_URL).expect("a callback");
        let request = format!(
            "GET {query} HTTP/1.1\r\nHost: oa.example.com\r\nX-Forwarded-Proto: https\r\nCookie: {cookies}\r\n\
             Connection: close\r\n\r\n"
        );
        let mut stream = TcpStream::connect(at.0).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.expect("written");
        tokio::time::sleep(Duration::from_millis(pause)).await;
        serve = serve.killed_and_restarted().await;
        assert_eq!(serve.check(&old).await.status, 200, "a session was lost after {pause} ms");
        wecom.clear_faults();
        // The browser tries the whole way again with the cookies it has.
        serve.visit(&mut phone);
        let end = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
        assert_eq!(end.status, 200, "after {pause} ms: {}", end.text());
        assert_eq!(serve.check(&phone).await.status, 200);
    }
    let db = open_database(&database).await;
    assert_eq!(count_half_finished_attempts(&db).await, 0, "attempts ended with neither or both");
    assert_eq!(count_attempts_without_session(&db).await, 0, "attempts name a session that is not there");
    assert_eq!(count_unrecorded_sessions(&db).await, 0, "sessions and the audit trail differ");
}

#[tokio::test]
async fn running_again_after_kill_9_the_same_callback_ends_in_time_and_never_in_a_second_exchange_of_the_code()
 {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let serve = ServeProcess::start(&wecom, &database, "").await;
    let (mut phone, callback) = begin_sign_in(&serve, &wecom).await;
    wecom.fail_next("auth/getuserinfo", InjectedFault::Hang);
    let before = wecom.calls("auth/getuserinfo");
    let mut dying = phone.clone();
    let target = callback.clone();
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move { drop(dying.get(&target).await) });
    eventually("WeCom is asked", async || (wecom.calls("auth/getuserinfo") > before).then_some(())).await;
    let serve = serve.killed_and_restarted().await;
    tasks.abort_all();
    wecom.clear_faults();
    serve.visit(&mut phone);
    let began = Instant::now();
    let end = phone.open(&callback).await;
    assert!(began.elapsed() < Duration::from_secs(16), "{:?}", began.elapsed());
    assert!(end.status.is_success() || end.status.is_client_error() || end.status == 503, "{}", end.status);
    let end = phone.open(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
    assert_eq!(end.status, 200, "{}", end.text());
}

#[tokio::test]
async fn running_as_a_service_logs_are_json_with_request_ids_and_hold_no_secret() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let serve = ServeProcess::with(&wecom, &database, "", &[("GONGPAI_LOG__LEVEL", "trace")]).await;
    let mut secrets = vec![API_SECRET.to_owned(), wecom.world().app.secret];
    let mut phone = serve.phone_of(&wecom, "zhangsan");
    for start in [
        "https://oa.example.com/sso/login?rd=/sso/session",
        "https://app.example.com/_gongpai/login?rd=/_gongpai/session",
    ] {
        let mut page = phone.get(start).await;
        while let Some(next) = page.location() {
            let named = next.query_pairs().filter(|(k, _)| matches!(&**k, "code" | "state" | "ticket" | "h"));
            secrets.extend(named.map(|(_, v)| v.into_owned()));
            page = phone.send(BrowserRequest::navigate(next.as_str())).await;
        }
        assert_eq!(page.status, 200, "{}", page.text());
    }
    serve.check(&phone).await;
    // Failures write more to the log than successes.
    for fault in [
        InjectedFault::Errcode(40029, "invalid code".into()),
        InjectedFault::Html502,
        InjectedFault::Close,
        InjectedFault::Truncated,
        InjectedFault::Errcode(-1, "busy".into()),
    ] {
        let (mut phone, callback) = begin_sign_in(&serve, &wecom).await;
        wecom.fail_next("auth/getuserinfo", fault);
        secrets.extend(callback.split(['=', '&', '?']).filter(|part| part.len() > 16).map(str::to_owned));
        phone.get(&callback).await;
    }
    let junk = "https://oa.example.com/sso/callback?code=JUNKCODE123456&state=JUNKSTATE123456";
    phone.get(junk).await;
    phone.get("https://oa.example.com/_gongpai/finish?ticket=JUNKTICKET12345").await;
    phone
        .send(
            BrowserRequest::bare(reqwest::Method::GET, "https://oa.example.com/api/v1/sessions")
                .header("authorization", "Basic b2E6SlVOS1NFQ1JFVA=="),
        )
        .await;
    secrets.extend(
        ["JUNKCODE123456", "JUNKSTATE123456", "JUNKTICKET12345", "b2E6SlVOS1NFQ1JFVA", "JUNKSECRET"]
            .map(str::to_owned),
    );
    secrets.extend(phone.cookies.all().map(|c| c.value.clone()).filter(|v| v.len() > 12));
    secrets.extend(wecom.requests().iter().flat_map(|r| {
        format!("{r:?}")
            .split(|c: char| !(c.is_ascii_alphanumeric() || "-_".contains(c)))
            .filter(|w| w.len() >= 32)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    }));
    let log = serve.process.text(Output::Stderr);
    let mut ids = 0;
    for line in log.lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"));
        assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
        ids += usize::from(line.to_string().contains("request.id"));
    }
    assert!(ids > 5, "{log}");
    let secrets: BTreeSet<_> = secrets.into_iter().filter(|s| s.len() >= 8).collect();
    assert!(secrets.len() > 10);
    for secret in &secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert!(line.is_none(), "{secret} in {line:?}");
    }
}

#[tokio::test]
async fn running_on_a_unix_socket_whose_file_goes_with_it() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let sockets = tempfile::tempdir().expect("a folder");
    let path = sockets.path().join("gongpai.sock");
    let toml = format!(
        "[server]\nlisten = \"unix:{}\"\nadmin_listen = \"127.0.0.1:0\"\ntrusted_proxies = []\n\
         secret = \"c2l4dGVlbi1ieXRlcy1hbmQtc2l4dGVlbi1tb3JlISE=\"\n\
         [[rules]]\nhost = \"oa.example.com\"\nallow = [\"anyone\"]\n",
        path.display()
    );
    let ask = async || {
        let mut stream = UnixStream::connect(&path).await.expect("a connection");
        let request = "GET /auth/nginx HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Original-URL: https://oa.example.com/x\r\n\
                       X-Original-Method: GET\r\n\r\n";
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer
    };
    let serve = ServeProcess::start(&wecom, &database, &toml).await;
    let answer = ask().await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(&path).expect("the file").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    // What a killed process left behind is in nobody's way.
    let mut serve = serve.killed_and_restarted().await;
    assert!(ask().await.starts_with("HTTP/1.1 200 "));
    // A second process does not take it from the first.
    let second = write_folder(&wecom, &database, &toml);
    let finished = Program::gongpai().arg("serve").cwd(second.path()).run().await;
    assert_eq!(finished.code(), Some(1), "{}", finished.stderr);
    assert!(finished.stderr.contains("server.listen"), "{}", finished.stderr);
    assert!(ask().await.starts_with("HTTP/1.1 200 "));
    assert_eq!(serve.process.stop().await.code(), Some(0));
    assert!(!path.exists());
}

#[tokio::test]
async fn running_on_a_port_that_is_taken_is_refused_and_names_the_key() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = taken.local_addr().expect("an address");
    for (key, toml) in [
        ("server.listen", format!("listen = \"{address}\"\nadmin_listen = \"127.0.0.1:0\"")),
        ("server.admin_listen", format!("listen = \"127.0.0.1:0\"\nadmin_listen = \"{address}\"")),
    ] {
        let secret = "secret = \"c2l4dGVlbi1ieXRlcy1hbmQtc2l4dGVlbi1tb3JlISE=\"";
        let folder = write_folder(&wecom, &database, &format!("[server]\n{toml}\n{secret}\n"));
        let finished = Program::gongpai().arg("serve").cwd(folder.path()).run().await;
        assert_eq!(finished.code(), Some(1));
        assert!(
            finished.stderr.contains(key) && finished.stderr.contains(&address.to_string()),
            "{}",
            finished.stderr
        );
        assert!(!finished.stdout.contains("listens"), "{}", finished.stdout);
    }
}

#[tokio::test]
async fn running_case_38_requests_that_are_none_are_refused_and_disturb_nobody() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let serve = ServeProcess::start(&wecom, &database, "").await;
    let huge = format!("GET /healthz HTTP/1.1\r\nHost: x\r\nCookie: a={}\r\n\r\n", "x".repeat(2_000_000));
    let many: String = (0..5000).map(|n| format!("X-{n}: 1\r\n")).collect();
    let many = format!("GET /healthz HTTP/1.1\r\nHost: x\r\n{many}\r\n");
    for request in [
        &huge[..],
        &many,
        "\u{0}\u{1}\u{2}\r\n\r\n",
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n0\r\n\r\n",
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
        "GET /healthz HTTP/1.1\r\nHost : x\r\n\r\n",
        "GET  /healthz HTTP/1.1\r\n\r\n",
        "GET /healthz\r\n\r\n",
        "CONNECT oa.example.com:443 HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: oa.example.com\r\nConnection: close\r\n\r\n",
    ] {
        let mut stream = TcpStream::connect(serve.public).await.expect("a connection");
        stream.write_all(request.as_bytes()).await.ok();
        let mut answer = Vec::new();
        let read = tokio::time::timeout(WAIT_TIMEOUT, stream.read_to_end(&mut answer)).await;
        assert!(read.is_ok(), "no end for {:?}", &request[..request.len().min(60)]);
        let answer = String::from_utf8_lossy(&answer);
        let refused =
            answer.is_empty() || answer.starts_with("HTTP/1.1 4") || answer.starts_with("HTTP/1.0 4");
        let said = request.contains("chunked") && answer.starts_with("HTTP/1.1 200");
        assert!(refused || said, "{answer} for {:?}", &request[..request.len().min(60)]);
    }
    let request = b"GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert_eq!(send_raw(serve.public, request).await.status, 200);
}

#[tokio::test]
async fn running_through_an_outage_of_the_database_who_is_in_stays_in_and_everything_comes_back_by_itself() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    if database.engine() == Engine::Sqlite {
        return; // a file does not go away
    }
    let mut serve = ServeProcess::start(&wecom, &database, "").await;
    let phone = serve.signed_in(&wecom, "zhangsan").await;
    assert_eq!(serve.check(&phone).await.status, 200);
    let name = database.url().rsplit('/').next().expect("a name").to_owned();
    let mut admin_url: url::Url = database.url().parse().expect("a URL");
    admin_url.set_path("/postgres");
    let mut connection =
        <sqlx::PgConnection as sqlx::Connection>::connect(admin_url.as_str()).await.expect("connected");
    let mut run = async |sql: String| {
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut connection).await.expect("done");
    };
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS false")).await;
    run(format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")).await;
    let admin = serve.admin;
    let ready = async || Browser::new("x").get(format!("http://{admin}/readyz")).await.status.as_u16();
    serve.process.line_with("could not be brought into step").await;
    assert_eq!(ready().await, 200, "taken out of service while memory is young");
    assert_eq!(serve.check(&phone).await.status, 200, "who is in noticed it");
    let mut other = serve.phone_of(&wecom, "lisi");
    let began = Instant::now();
    let page = other.open(format!("{PUBLIC_URL}/sso/login?rd=/")).await;
    assert_eq!(page.status, 503, "{}", page.text());
    assert!(began.elapsed() < Duration::from_secs(15));
    run(format!("ALTER DATABASE {name} ALLOW_CONNECTIONS true")).await;
    eventually("sign-ins again", async || {
        let page = other.open(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
        (page.status == 200).then_some(())
    })
    .await;
    assert_eq!(ready().await, 200);
    assert_eq!(serve.check(&phone).await.status, 200);
}

/// An address is only good for what listens there.
#[tokio::test]
async fn running_on_port_0_both_ports_are_in_the_line() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let serve = ServeProcess::start(&wecom, &database, "").await;
    let loopback = |a: SocketAddr| a.ip().is_loopback() && a.port() != 0;
    assert!(loopback(serve.public) && loopback(serve.admin), "{} {}", serve.public, serve.admin);
    assert_ne!(serve.public, serve.admin);
}

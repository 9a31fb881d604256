//! SIGHUP: a running gateway reads its configuration again, and no connection is dropped.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use gongpai::simulator::{RunningSimulator, Simulator};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::support::app::{API_SECRET, APP_URL, PUBLIC_URL};
use crate::support::browser::{Browser, BrowserRequest};
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::process::{Output, Program, Signal};
use crate::support::serve::{ServeProcess, write_folder};

/// One rule for public_url's host.
const RULES: &str = "[[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n";

async fn start_wecom() -> RunningSimulator {
    Simulator::start().await.expect("the simulator starts")
}

/// Changes the configuration file. The text to replace must be there.
fn edit_config(serve: &ServeProcess, replace: &str, by: &str) {
    let path = serve.folder().join("gongpai.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    assert!(text.contains(replace), "{replace} is not in\n{text}");
    std::fs::write(&path, text.replace(replace, by)).expect("written");
}

/// Writes `line` before everything else.
fn add_line(serve: &ServeProcess, line: &str) {
    let path = serve.folder().join("gongpai.toml");
    let text = std::fs::read_to_string(&path).expect("the configuration");
    std::fs::write(&path, format!("{line}\n{text}")).expect("written");
}

/// Sends SIGHUP, waits for the `count`th result in the log, and returns that line.
async fn reload_config(serve: &ServeProcess, count: usize) -> String {
    serve.process.signal(Signal::Hangup);
    eventually("the answer to SIGHUP", async || {
        let written = serve.process.text(Output::Stderr);
        let answers = written.lines().filter(|l| l.contains("Reloaded: ") || l.contains("is not accepted"));
        answers.skip(count - 1).map(str::to_owned).next()
    })
    .await
}

/// Sends a check on an open connection and returns its status.
async fn check_on(stream: &mut TcpStream, browser: &Browser) -> String {
    let cookies = browser.cookies.header(&PUBLIC_URL.parse().expect("a URL")).expect("a session");
    let request = format!(
        "GET /auth/nginx HTTP/1.1\r\nHost: gongpai\r\nX-Original-URL: {PUBLIC_URL}/x\r\nX-Original-Method: GET\r\n\
         Cookie: {cookies}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.expect("the connection is open");
    let mut answer = [0; 4096];
    let read = stream.read(&mut answer).await.expect("the connection is open");
    String::from_utf8_lossy(&answer[..read]).split(' ').nth(1).unwrap_or_default().to_owned()
}

async fn read_metric(serve: &ServeProcess, name: &str) -> String {
    let page = Browser::new("x").get(format!("http://{}/metrics", serve.admin)).await.text();
    let found = page.lines().find_map(|line| line.strip_prefix(&format!("{name} ")).map(str::to_owned));
    found.unwrap_or_else(|| panic!("no {name} in\n{page}"))
}

async fn sessions_by_api(serve: &ServeProcess, secret: &str) -> u16 {
    let ask = BrowserRequest::fetch(&format!("{PUBLIC_URL}/api/v1/sessions"))
        .header("authorization", &format!("Basic {}", STANDARD.encode(format!("oa:{secret}"))));
    let mut browser = Browser::new("x");
    serve.visit(&mut browser);
    browser.send(ask).await.status.as_u16()
}

#[tokio::test]
async fn changed_rules_hold_after_sighup_and_no_connection_is_dropped() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let mut serve = ServeProcess::start(&wecom, &database, RULES).await;
    let (zhangsan, lisi) = (serve.signed_in(&wecom, "zhangsan").await, serve.signed_in(&wecom, "lisi").await);
    let mut open = TcpStream::connect(serve.public).await.expect("a connection");
    assert_eq!(check_on(&mut open, &zhangsan).await, "200");
    edit_config(&serve, "\"members\"", "\"user:lisi\"");
    let line = reload_config(&serve, 1).await;
    assert!(line.contains("Reloaded: 1 rule changed"), "{line}");
    assert_eq!(check_on(&mut open, &zhangsan).await, "403");
    assert_eq!(serve.check(&zhangsan).await.status, 403);
    assert_eq!(serve.check(&lisi).await.status, 200, "the session is still there");
    // Several SIGHUPs are handled one after the other, and the last state of the file counts.
    for allow in ["\"user:zhangsan\"", "\"user:lisi\"", "\"user:zhangsan\""] {
        let before = if allow.contains("lisi") { "\"user:zhangsan\"" } else { "\"user:lisi\"" };
        edit_config(&serve, before, allow);
        serve.process.signal(Signal::Hangup);
    }
    eventually("the last state", async || (serve.check(&zhangsan).await.status == 200).then_some(())).await;
    assert_eq!(serve.check(&lisi).await.status, 403);
    // A SIGHUP while it stops changes nothing.
    serve.process.signal(Signal::Term);
    serve.process.signal(Signal::Hangup);
    assert_eq!(serve.process.exit().await.code(), Some(0));
}

#[tokio::test]
async fn a_file_with_a_mistake_is_refused_whole_and_the_old_configuration_stays() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let serve = ServeProcess::start(&wecom, &database, RULES).await;
    let zhangsan = serve.signed_in(&wecom, "zhangsan").await;
    assert_eq!(read_metric(&serve, "gongpai_config_reload_success").await, "1");
    edit_config(&serve, "\"members\"", "\"user:lisi\"");
    edit_config(&serve, "[login]", "[login]\nlanding = \"https://elsewhere.example.net/\"");
    let line = reload_config(&serve, 1).await;
    assert!(line.contains("login.landing (gongpai.toml:"), "{line}");
    assert_eq!(serve.check(&zhangsan).await.status, 200, "the old rule stays");
    assert_eq!(read_metric(&serve, "gongpai_config_reload_success").await, "0");
    // A rule that only the gate refuses, a file that is not TOML, and no file at all.
    edit_config(&serve, "landing = \"https://elsewhere.example.net/\"", "");
    edit_config(&serve, "host = \"oa.example.com\"", "host = \"oa.example.com\"\npath = \"no-slash\"");
    let line = reload_config(&serve, 2).await;
    assert!(line.contains("is not accepted") && line.contains("path"), "{line}");
    edit_config(&serve, "\npath = \"no-slash\"", "");
    edit_config(&serve, "\"user:lisi\"", "\"user:lisi");
    let line = reload_config(&serve, 3).await;
    assert!(line.contains("gongpai.toml"), "{line}");
    assert_eq!(serve.check(&zhangsan).await.status, 200);
    edit_config(&serve, "\"user:lisi", "\"user:lisi\"");
    reload_config(&serve, 4).await;
    assert_eq!(serve.check(&zhangsan).await.status, 403);
    assert_eq!(read_metric(&serve, "gongpai_config_reload_success").await, "1");
}

#[tokio::test]
async fn hosts_pages_clients_and_the_log_level_change_and_what_needs_a_restart_is_named_and_stays() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let serve = ServeProcess::start(&wecom, &database, "[log]\nlevel = \"warn\"").await;
    let check_app = async || {
        let ask = BrowserRequest::navigate(&format!("http://{}/auth/nginx", serve.public))
            .header("x-original-url", &format!("{APP_URL}/x"))
            .header("x-original-method", "GET");
        Browser::new("nginx").send(ask).await.status.as_u16()
    };
    assert_eq!(check_app().await, 401);
    assert_eq!(sessions_by_api(&serve, API_SECRET).await, 200);
    assert!(!serve.written().contains("Listening on"), "it logs less than info");
    edit_config(&serve, "redirect_hosts = [\"app.example.com\"]", "redirect_hosts = [\"hr.example.com\"]");
    let another = "cd".repeat(32);
    let old = format!("sha256:{}", gongpai::testing::base::secret::sha256_hex(API_SECRET));
    edit_config(&serve, &old, &format!("sha256:{}", gongpai::testing::base::secret::sha256_hex(&another)));
    edit_config(&serve, "level = \"warn\"", "level = \"info\"");
    edit_config(&serve, "\nlisten = \"127.0.0.1:0\"", "\nlisten = \"127.0.0.1:1\"");
    let world = wecom.world();
    edit_config(&serve, &world.app.secret, "ANOTHER-SECRET-THAT-IS-NOT-SHOWN");
    add_line(&serve, "pages.title = \"示例公司\"");
    serve.process.signal(Signal::Hangup);
    let named = eventually("what needs a restart is named", async || {
        let written = serve.process.text(Output::Stderr);
        written.lines().find(|line| line.contains("only after a restart")).map(str::to_owned)
    })
    .await;
    let named: Value = serde_json::from_str(&named).expect("JSON");
    assert_eq!(named["keys"], "server.listen, wecom.app_secret", "{named}");
    eventually("the level changes", async || serve.written().contains("Logging by log.level").then_some(()))
        .await;
    assert_eq!(
        check_app().await,
        403,
        "a host that was removed is unknown at once, also if it was asked for before"
    );
    assert_eq!(sessions_by_api(&serve, API_SECRET).await, 401);
    assert_eq!(sessions_by_api(&serve, &another).await, 200);
    let mut phone = serve.phone_of(&wecom, "zhangsan");
    let page = phone.get(format!("{PUBLIC_URL}/sso/login?rd=https://elsewhere.example.net/")).await;
    assert!(page.text().contains("示例公司"), "{}", page.text());
    serve.signed_in(&wecom, "zhangsan").await;
    // The level is the new one: this line was not written before.
    let line = reload_config(&serve, 1).await;
    assert!(line.contains("nothing changed"), "{line}");
    assert!(!serve.written().contains("ANOTHER-SECRET"), "{}", serve.written());
}

#[tokio::test]
async fn a_sighup_that_comes_before_the_gateway_is_ready_does_not_end_it() {
    let (wecom, database) = (start_wecom().await, TestDatabase::create().await);
    let folder = write_folder(&wecom, &database, "");
    let (file, real) = (folder.path().join("gongpai.toml"), folder.path().join("real.toml"));
    let text = std::fs::read_to_string(&file).expect("the configuration");
    std::fs::rename(&file, &real).expect("moved");
    // Reading a pipe blocks until there is text, so the start stops there.
    let made = Program::at("mkfifo").arg(&file).run().await;
    assert_eq!(made.code(), Some(0), "{}", made.stderr);
    let mut process = Program::gongpai().arg("serve").cwd(folder.path()).start();
    let (path, pid) = (file.clone(), process.id());
    let writer = tokio::task::spawn_blocking(move || std::fs::OpenOptions::new().write(true).open(path));
    let mut pipe = writer.await.expect("a thread").expect("the gateway reads its configuration");
    process.signal(Signal::Hangup);
    // The signal is delivered before the start goes on.
    eventually("the signal is delivered", async || {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let pending = status.lines().filter(|line| line.starts_with("SigPnd") || line.starts_with("ShdPnd"));
        pending
            .filter_map(|line| line.split_whitespace().nth(1))
            .all(|set| set.trim_matches('0').is_empty())
            .then_some(())
    })
    .await;
    std::fs::rename(&real, &file).expect("a file again");
    pipe.write_all(text.as_bytes()).expect("written");
    drop(pipe);
    process.line_with("gongpai listens on").await;
    process.line_with("Reloaded: nothing changed").await;
    assert_eq!(process.stop().await.code(), Some(0));
}

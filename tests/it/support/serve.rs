//! `gongpai serve` as its own process, with real time and a real end.

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use gongpai::simulator::RunningSimulator;

use super::app::{APP_URL, PUBLIC_URL, configuration};
use super::browser::{Browser, BrowserRequest, Page, WECOM_PHONE};
use super::database::TestDatabase;
use super::process::{FinishedProgram, Output, Process, Program, Signal};

/// A running gateway.
#[derive(Debug)]
pub(crate) struct ServeProcess {
    pub(crate) process: Process,
    /// The public listener.
    pub(crate) public: SocketAddr,
    /// The admin listener.
    pub(crate) admin: SocketAddr,
    /// The time from the start of the process until it listens.
    pub(crate) took: Duration,
    folder: tempfile::TempDir,
}

/// Writes the usual test configuration into a folder, with ports that the kernel chooses.
pub(crate) fn write_folder(
    wecom: &RunningSimulator,
    database: &TestDatabase,
    toml: &str,
) -> tempfile::TempDir {
    wecom.set_trusted_domains(["oa.example.com"]);
    wecom.set_callback_domains(["oa.example.com"]);
    let folder = tempfile::tempdir().expect("a folder");
    let mut text = configuration(wecom, database, toml);
    if !toml.contains("[server]") {
        let ports = "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"";
        text = text.replacen("[server]", ports, 1);
    }
    std::fs::write(folder.path().join("gongpai.toml"), text).expect("the configuration");
    folder
}

impl ServeProcess {
    /// Starts a gateway on a simulator and a database.
    pub(crate) async fn start(wecom: &RunningSimulator, database: &TestDatabase, toml: &str) -> Self {
        Self::with(wecom, database, toml, &[]).await
    }

    /// Starts a gateway with additional environment variables.
    pub(crate) async fn with(
        wecom: &RunningSimulator,
        database: &TestDatabase,
        toml: &str,
        environment: &[(&str, &str)],
    ) -> Self {
        let folder = write_folder(wecom, database, toml);
        let mut program = Program::gongpai().arg("serve").cwd(folder.path());
        for (key, value) in environment {
            program = program.env(key, value);
        }
        Self::start_program(program, folder).await
    }

    /// Starts `program` and waits until it listens.
    pub(crate) async fn start_program(program: Program, folder: tempfile::TempDir) -> Self {
        let began = Instant::now();
        let mut process = program.start();
        let line = process.line_with("gongpai listens on").await;
        let took = began.elapsed();
        let words: Vec<&str> = line.split([' ', '(', ')']).collect();
        let after = |word: &str| words.iter().position(|w| *w == word).and_then(|at| words.get(at + 1));
        let address = |text: Option<&&str>| text.and_then(|a| a.parse().ok());
        let nowhere = SocketAddr::from(([0, 0, 0, 0], 0));
        let public = address(after("on")).unwrap_or(nowhere);
        let admin = address(after("admin")).unwrap_or(nowhere);
        Self { process, public, admin, took, folder }
    }

    /// Returns the working directory.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Kills the gateway and starts another on the same database, on other ports.
    pub(crate) async fn killed_and_restarted(mut self) -> Self {
        self.process.signal(Signal::Kill);
        self.process.exit().await;
        Self::start_program(Program::gongpai().arg("serve").cwd(self.folder.path()), self.folder).await
    }

    /// Runs a command with this gateway's configuration.
    pub(crate) async fn command(&self, args: &[&str]) -> FinishedProgram {
        Program::gongpai().args(args).cwd(self.folder.path()).run().await
    }

    /// Makes `browser` reach our hosts at this gateway.
    pub(crate) fn visit(&self, browser: &mut Browser) {
        browser.resolve(PUBLIC_URL, self.public);
        browser.resolve(APP_URL, self.public);
    }

    /// Hands the phone to `userid` and returns its WeCom browser.
    pub(crate) fn phone_of(&self, wecom: &RunningSimulator, userid: &str) -> Browser {
        wecom.set_phone_member(userid);
        let mut browser = Browser::new(WECOM_PHONE);
        self.visit(&mut browser);
        browser
    }

    /// Returns a browser in which `userid` has signed in.
    pub(crate) async fn signed_in(&self, wecom: &RunningSimulator, userid: &str) -> Browser {
        let mut browser = self.phone_of(wecom, userid);
        let page = browser.open(format!("{PUBLIC_URL}/sso/login?rd=/sso/session")).await;
        assert_eq!(page.status, 200, "{userid}: {}", page.text());
        browser
    }

    /// Sends the check that nginx would send for a request of `browser` to public_url's host.
    pub(crate) async fn check(&self, browser: &Browser) -> Page {
        let url = format!("{PUBLIC_URL}/x");
        let mut ask = BrowserRequest::navigate(&format!("http://{}/auth/nginx", self.public))
            .header("x-original-url", &url)
            .header("x-original-method", "GET");
        if let Some(cookies) = browser.cookies.header(&url.parse().expect("a URL")) {
            ask = ask.header("cookie", &cookies);
        }
        Browser::new("nginx").send(ask).await
    }

    /// Returns everything that the gateway has written.
    pub(crate) fn written(&self) -> String {
        self.process.text(Output::Stdout) + &self.process.text(Output::Stderr)
    }
}

//! A real Chromium, driven over W3C `WebDriver`: for frames, scripts and the look of a page.
//!
//! Each [`Chromium`] has its own chromedriver, profile and window. It reaches only addresses of
//! this machine; every other name resolves to nothing. Finding, clicking and reading wait until
//! they are possible.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use reqwest::Method;
use serde_json::{Value, json};
use tempfile::TempDir;
use url::Url;

use super::devtools::PasswordRequests;
use super::process::{Process, Program};
use super::{POLL_INTERVAL, WAIT_TIMEOUT, eventually};

/// The key with which `WebDriver` marks an element.
const ELEMENT_KEY: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The preference for Accept-Language, and its value on most machines of our users.
const LANGUAGES_PREFERENCE: &str = "intl.accept_languages";
const CHINESE_LANGUAGES: &str = "zh-CN,zh,en";

/// The kind of window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Viewport {
    /// 1280 × 800.
    Desktop,
    /// 390 × 844 at three device pixels, with touch.
    Phone,
}

/// A browser window, closed on drop.
#[derive(Debug)]
pub(crate) struct Chromium {
    /// `http://127.0.0.1:PORT/session/ID`
    session: String,
    client: reqwest::Client,
    /// Where Chromium itself listens, `127.0.0.1:PORT`.
    debugger: String,
    /// Chromium ends with its driver.
    _driver: Process,
    profile: TempDir,
    viewport: Viewport,
}

/// An element of the page.
#[derive(Clone, Debug)]
pub(crate) struct Element(Value);

/// An error of `WebDriver`: its name and its message.
#[derive(Debug)]
struct WebDriverError {
    error: String,
    message: String,
}

impl WebDriverError {
    /// Tells whether the command may succeed later, once the page is ready.
    fn is_transient(&self) -> bool {
        [
            "no such element",
            "no such frame",
            "no such window",
            "stale element reference",
            "element not interactable",
            "element click intercepted",
            "no such shadow root",
        ]
        .contains(&self.error.as_str())
            // chromedriver's way to say that the page has changed during the command.
            || self.message.contains("does not belong to the document")
            || self.message.contains("aborted by navigation")
    }
}

/// Starts chromedriver; returns it with the port it listens on.
///
/// With `--port=0` it takes a free port for IPv6 and then wants the same one for IPv4, which
/// somebody else may have.
async fn start_driver(home: &Path) -> (Process, String) {
    const MAX_STARTS: usize = 10;
    for _ in 0..MAX_STARTS {
        let mut driver = Program::at("chromedriver")
            .args(["--port=0", "--log-level=WARNING"])
            .env("HOME", home)
            .env("TMPDIR", home)
            .start();
        let told = |line: &str| line.contains("started successfully on port") || line.contains("Exiting");
        let line = driver.line("its port", told).await;
        if let Some((_, port)) = line.split_once("started successfully on port ") {
            let port = port.trim_end_matches('.').to_owned();
            return (driver, port);
        }
    }
    panic!("chromedriver found no port in {MAX_STARTS} starts");
}

impl Chromium {
    /// Opens a window with this User-Agent.
    pub(crate) async fn start(viewport: Viewport, user_agent: &str) -> Self {
        Self::with_preferences(viewport, user_agent, json!({ LANGUAGES_PREFERENCE: CHINESE_LANGUAGES })).await
    }

    /// Opens a window of a person who reads English.
    pub(crate) async fn in_english(viewport: Viewport, user_agent: &str) -> Self {
        Self::with_preferences(viewport, user_agent, json!({ LANGUAGES_PREFERENCE: "en-US,en" })).await
    }

    /// Opens a window that refuses every cookie.
    pub(crate) async fn without_cookies(viewport: Viewport, user_agent: &str) -> Self {
        let refuse = json!({ LANGUAGES_PREFERENCE: CHINESE_LANGUAGES, "profile.default_content_setting_values.cookies": 2 });
        Self::with_preferences(viewport, user_agent, refuse).await
    }

    async fn with_preferences(viewport: Viewport, user_agent: &str, preferences: Value) -> Self {
        let profile = tempfile::tempdir().expect("a folder for the profile");
        // chromedriver and Chromium both write below HOME and TMPDIR.
        let (driver, port) = start_driver(profile.path()).await;
        let client = reqwest::Client::builder()
            .no_proxy()
            .timeout(Duration::from_secs(60))
            .build()
            .expect("an HTTP client");
        let mut chromium = Self {
            session: format!("http://127.0.0.1:{port}/session"),
            client,
            debugger: String::new(),
            _driver: driver,
            profile,
            viewport,
        };
        let answer = chromium
            .try_command(Method::POST, "", Some(chromium.capabilities(viewport, user_agent, &preferences)))
            .await;
        let answer = answer.unwrap_or_else(|refusal| panic!("no browser: {refusal:?}"));
        let id = answer["sessionId"].as_str().expect("a session id").to_owned();
        chromium.session = format!("{}/{id}", chromium.session);
        chromium.debugger = text_of(&answer["capabilities"]["goog:chromeOptions"]["debuggerAddress"]);
        chromium
    }

    fn capabilities(&self, viewport: Viewport, user_agent: &str, preferences: &Value) -> Value {
        let mut args = vec![
            "--headless=new".to_owned(),
            "--no-sandbox".to_owned(), // as root, as in a container, there is none to have
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--disable-quic".to_owned(),
            "--no-first-run".to_owned(),
            "--disable-background-networking".to_owned(),
            "--disable-component-update".to_owned(),
            "--disable-sync".to_owned(),
            "--disable-default-apps".to_owned(),
            "--hide-scrollbars".to_owned(),
            "--lang=zh-CN".to_owned(),
            "--host-resolver-rules=MAP *.test 127.0.0.1, MAP *.example.com 127.0.0.1, \
             MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE *.localhost, EXCLUDE 127.0.0.1"
                .to_owned(),
            format!("--user-agent={user_agent}"),
            format!("--user-data-dir={}", self.profile.path().join("chromium").display()),
        ];
        let mut options = json!({ "prefs": preferences });
        match viewport {
            Viewport::Desktop => args.push("--window-size=1280,800".to_owned()),
            Viewport::Phone => {
                options["mobileEmulation"] = json!({
                    "deviceMetrics": { "width": 390, "height": 844, "pixelRatio": 3.0, "touch": true },
                    "userAgent": user_agent,
                });
            }
        }
        options["args"] = json!(args);
        json!({ "capabilities": { "alwaysMatch": {
            "browserName": "chrome",
            "acceptInsecureCerts": true,
            "pageLoadStrategy": "normal",
            "timeouts": { "pageLoad": 30_000, "script": 30_000, "implicit": 0 },
            "goog:chromeOptions": options,
            "goog:loggingPrefs": { "browser": "ALL" },
        }}})
    }

    // --- navigation -----------------------------------------------------------------------------

    /// Goes to `url` and waits until it is loaded.
    pub(crate) async fn goto(&self, url: impl AsRef<str>) {
        self.command(Method::POST, "url", Some(json!({ "url": url.as_ref() }))).await;
    }

    pub(crate) async fn reload(&self) {
        self.command(Method::POST, "refresh", Some(json!({}))).await;
    }

    pub(crate) async fn back(&self) {
        self.command(Method::POST, "back", Some(json!({}))).await;
    }

    /// Returns the URL of the top page.
    pub(crate) async fn url(&self) -> Url {
        let url = self.command(Method::GET, "url", None).await;
        Url::parse(url.as_str().unwrap_or_default()).expect("an address")
    }

    /// Waits until `wanted` accepts the URL of the top page.
    pub(crate) async fn url_with(&self, what: &str, wanted: impl Fn(&Url) -> bool) -> Url {
        eventually(what, async || Some(self.url().await).filter(&wanted)).await
    }

    pub(crate) async fn title(&self) -> String {
        text_of(&self.command(Method::GET, "title", None).await)
    }

    // --- the page -------------------------------------------------------------------------------

    /// Waits for the first element that `css` selects.
    pub(crate) async fn find(&self, css: &str) -> Element {
        let body = json!({ "using": "css selector", "value": css });
        Element(self.retry_command(Method::POST, "element", Some(body), css).await)
    }

    /// Tells whether `css` selects anything now.
    pub(crate) async fn has(&self, css: &str) -> bool {
        let body = json!({ "using": "css selector", "value": css });
        self.command(Method::POST, "elements", Some(body))
            .await
            .as_array()
            .is_some_and(|found| !found.is_empty())
    }

    /// Clicks the first element that `css` selects, once it can be clicked.
    pub(crate) async fn click(&self, css: &str) {
        eventually(&format!("{css} can be clicked"), async || {
            let body = json!({ "using": "css selector", "value": css });
            let element = self.command_if_ready(Method::POST, "element", Some(body)).await?;
            self.command_if_ready(Method::POST, &element_path(&element, "click"), Some(json!({}))).await
        })
        .await;
    }

    /// Types into the first element that `css` selects.
    pub(crate) async fn type_into(&self, css: &str, text: &str) {
        let element = self.find(css).await;
        self.retry_command(
            Method::POST,
            &element_path(&element.0, "value"),
            Some(json!({ "text": text })),
            css,
        )
        .await;
    }

    /// Returns the visible text of an element.
    pub(crate) async fn text(&self, element: &Element) -> String {
        text_of(&self.command(Method::GET, &element_path(&element.0, "text"), None).await)
    }

    /// Waits until the visible text of the page contains `part`; returns the whole text.
    pub(crate) async fn text_with(&self, part: &str) -> String {
        let deadline = Instant::now() + WAIT_TIMEOUT;
        let mut shown = None;
        while Instant::now() < deadline {
            let body = json!({ "using": "css selector", "value": "body" });
            shown = match self.command_if_ready(Method::POST, "element", Some(body)).await {
                Some(element) => {
                    self.command_if_ready(Method::GET, &element_path(&element, "text"), None).await
                }
                None => None,
            };
            let text = shown.as_ref().map(text_of).filter(|text| text.contains(part));
            if let Some(text) = text {
                return text;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        let shown = shown.as_ref().map(text_of).unwrap_or_default();
        panic!("the page never showed {part:?}; {} shows\n{shown}", self.url().await)
    }

    /// Runs a script in the page and returns its result. A promise is awaited.
    pub(crate) async fn script(&self, script: &str, args: Value) -> Value {
        self.command(Method::POST, "execute/sync", Some(json!({ "script": script, "args": args }))).await
    }

    /// Returns the console's output since the last call, as `LEVEL message`.
    pub(crate) async fn console(&self) -> Vec<String> {
        let entries = self.command(Method::POST, "se/log", Some(json!({ "type": "browser" }))).await;
        let entries = entries.as_array().cloned().unwrap_or_default();
        entries
            .iter()
            .map(|entry| format!("{} {}", text_of(&entry["level"]), text_of(&entry["message"])))
            .collect()
    }

    // --- frames, windows, cookies ---------------------------------------------------------------

    /// Sends further commands to the frame that `css` selects.
    pub(crate) async fn enter_frame(&self, css: &str) {
        let frame = self.find(css).await;
        self.retry_command(Method::POST, "frame", Some(json!({ "id": frame.0 })), css).await;
    }

    /// Sends further commands to the top page again.
    pub(crate) async fn leave_frames(&self) {
        self.command(Method::POST, "frame", Some(json!({ "id": null }))).await;
    }

    /// Returns the handles of all windows and tabs.
    pub(crate) async fn windows(&self) -> Vec<String> {
        let handles = self.command(Method::GET, "window/handles", None).await;
        handles.as_array().map(|handles| handles.iter().map(text_of).collect()).unwrap_or_default()
    }

    /// Opens a tab, switches to it and returns its handle.
    pub(crate) async fn new_tab(&self) -> String {
        let handle = text_of(
            &self.command(Method::POST, "window/new", Some(json!({ "type": "tab" }))).await["handle"],
        );
        self.switch_to(&handle).await;
        handle
    }

    /// Sends further commands to this window.
    pub(crate) async fn switch_to(&self, handle: &str) {
        self.command(Method::POST, "window", Some(json!({ "handle": handle }))).await;
    }

    /// Waits for a window that is not in `known` and switches to it.
    pub(crate) async fn switch_to_new(&self, known: &[String]) -> String {
        let handle = eventually("a new window", async || {
            self.windows().await.into_iter().find(|handle| !known.contains(handle))
        })
        .await;
        self.switch_to(&handle).await;
        handle
    }

    /// Resizes the window, in CSS pixels.
    pub(crate) async fn resize(&self, width: u32, height: u32) {
        self.command(Method::POST, "window/rect", Some(json!({ "width": width, "height": height }))).await;
    }

    /// Renders the page at this size in CSS pixels until [`Chromium::real_size`] is called. It may
    /// be narrower than any window.
    pub(crate) async fn pretend_size(&self, width: u32, height: u32) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    /// Renders the page at the size of the window again.
    pub(crate) async fn real_size(&self) {
        let size = match self.viewport {
            Viewport::Desktop => {
                json!({ "width": 1280, "height": 800, "deviceScaleFactor": 1, "mobile": false })
            }
            Viewport::Phone => json!({ "width": 390, "height": 844, "deviceScaleFactor": 3, "mobile": true }),
        };
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
    }

    pub(crate) fn viewport(&self) -> Viewport {
        self.viewport
    }

    /// Sets whether the person prefers dark pages.
    pub(crate) async fn prefer_dark(&self, dark: bool) {
        let value = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": value }] });
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Disables the scripts of pages.
    pub(crate) async fn without_scripts(&self) {
        self.devtools("Emulation.setScriptExecutionDisabled", json!({ "value": true })).await;
    }

    /// Records, from now on, which servers ask this window for a password. A browser with a screen
    /// shows its password box then.
    pub(crate) async fn password_requests(&self) -> PasswordRequests {
        let handle = text_of(&self.command(Method::GET, "window", None).await);
        PasswordRequests::listen(&self.debugger, &handle).await
    }

    async fn devtools(&self, command: &str, parameters: Value) {
        let body = json!({ "cmd": command, "params": parameters });
        self.command(Method::POST, "goog/cdp/execute", Some(body)).await;
    }

    /// Removes a cookie of the page's host.
    pub(crate) async fn forget_cookie(&self, name: &str) {
        self.command(Method::DELETE, &format!("cookie/{name}"), None).await;
    }

    /// Returns the cookies that a request for the page would carry, in `WebDriver`'s format.
    pub(crate) async fn cookies(&self) -> Vec<Value> {
        self.command(Method::GET, "cookie", None).await.as_array().cloned().unwrap_or_default()
    }

    /// Removes all cookies of the page's host.
    pub(crate) async fn forget_cookies(&self) {
        self.command(Method::DELETE, "cookie", None).await;
    }

    /// Saves a screenshot as `target/screenshots/NAME.png`.
    pub(crate) async fn screenshot(&self, name: &str) -> PathBuf {
        use base64::Engine as _;
        let picture = text_of(&self.retry_command(Method::GET, "screenshot", None, "a screenshot").await);
        let picture = base64::engine::general_purpose::STANDARD.decode(picture).expect("base64");
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("screenshots");
        fs::create_dir_all(&folder).expect("a folder for screenshots");
        let path = folder.join(format!("{name}.png"));
        fs::write(&path, picture).expect("a screenshot");
        path
    }

    // --- the protocol ---------------------------------------------------------------------------

    /// Sends a command that must succeed.
    async fn command(&self, method: Method, path: &str, body: Option<Value>) -> Value {
        let answer = self.try_command(method, path, body).await;
        answer.unwrap_or_else(|refusal| panic!("{path}: {}: {}", refusal.error, refusal.message))
    }

    /// Repeats a command until the page is ready for it.
    async fn retry_command(&self, method: Method, path: &str, body: Option<Value>, what: &str) -> Value {
        eventually(what, async || self.command_if_ready(method.clone(), path, body.clone()).await).await
    }

    /// Sends a command; returns `None` if the page is not ready for it.
    async fn command_if_ready(&self, method: Method, path: &str, body: Option<Value>) -> Option<Value> {
        match self.try_command(method, path, body).await {
            Ok(value) => Some(value),
            Err(refusal) if refusal.is_transient() => None,
            Err(refusal) => panic!("{path}: {}: {}", refusal.error, refusal.message),
        }
    }

    async fn try_command(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
    ) -> Result<Value, WebDriverError> {
        let slash = if path.is_empty() { "" } else { "/" };
        let mut request = self.client.request(method, format!("{}{slash}{path}", self.session));
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.expect("chromedriver answers");
        let refused = !answer.status().is_success();
        let mut answer: Value = answer.json().await.expect("JSON from chromedriver");
        let value = answer["value"].take();
        if refused {
            return Err(WebDriverError {
                error: text_of(&value["error"]),
                message: text_of(&value["message"]),
            });
        }
        Ok(value)
    }

    /// Returns the processes of this browser: all whose HOME is its profile.
    fn processes(&self) -> Vec<String> {
        let home = format!("HOME={}", self.profile.path().display()).into_bytes();
        let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
        let ids = entries.filter_map(|entry| entry.file_name().into_string().ok());
        ids.filter(|id| id.bytes().all(|byte| byte.is_ascii_digit()))
            .filter(|id| {
                fs::read(format!("/proc/{id}/environ"))
                    .is_ok_and(|all| all.split(|byte| *byte == 0).any(|one| one == home))
            })
            .collect()
    }
}

impl Drop for Chromium {
    fn drop(&mut self) {
        // Killing chromedriver alone would leave Chromium behind, so all processes are killed. This
        // is repeated, because the main process starts new ones as long as it lives.
        let deadline = Instant::now() + Duration::from_secs(5);
        loop {
            let processes = self.processes();
            // On a busy machine a process may start during the search and still write to the
            // profile.
            let gone = processes.is_empty() && fs::remove_dir_all(self.profile.path()).is_ok();
            if gone || Instant::now() > deadline {
                break;
            }
            if !processes.is_empty() {
                let script = format!("kill -s KILL {} 2>/dev/null", processes.join(" "));
                Command::new("sh").args(["-c", &script]).status().expect("a shell");
            }
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

fn element_path(element: &Value, command: &str) -> String {
    format!("element/{}/{command}", text_of(&element[ELEMENT_KEY]))
}

fn text_of(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::super::browser::{DESKTOP, WECOM_PHONE};
    use super::super::nginx::Nginx;
    use super::super::port::Port;
    use super::*;

    const PAGE: &str = "<!doctype html><meta charset=utf-8><meta name=viewport content=width=device-width>\
        <title>first</title><h1>工牌</h1><input id=name><iframe src=/inner></iframe><p id=out></p>\
        <button id=b onclick=\"setTimeout(()=>{out.textContent=`hello `+document.getElementById(`name`).value},50)\">\
        go</button><a id=w target=_blank href=/inner>w</a>";

    async fn site(port: &Port) -> Nginx {
        let inner = "<title>second</title><p id=in>inside</p>";
        Nginx::start(&format!(
            "server {{ listen {}; default_type text/html; charset utf-8;\n\
             location = / {{ add_header Set-Cookie a=1; return 200 '{PAGE}'; }}\n\
             location = /inner {{ return 200 '{inner}'; }}\nlocation = /to {{ return 302 /inner; }} }}",
            port.address()
        ))
        .await
    }

    #[tokio::test]
    async fn chromium_clicks_types_reads_and_looks() {
        let port = Port::reserve();
        let _nginx = site(&port).await;
        let address = format!("http://oa.example.com:{}", port.number());
        let chromium = Chromium::start(Viewport::Desktop, DESKTOP).await;

        chromium.goto(&address).await;
        assert_eq!(chromium.title().await, "first");
        chromium.type_into("#name", "张三").await;
        chromium.click("#b").await;
        chromium.text_with("hello 张三").await;
        assert_eq!(chromium.cookies().await[0]["name"], "a");
        chromium.forget_cookies().await;
        assert_eq!(chromium.cookies().await.len(), 0);
        assert!(chromium.has("iframe").await && !chromium.has("#in").await);

        chromium.enter_frame("iframe").await;
        let inside = chromium.find("#in").await;
        assert_eq!(chromium.text(&inside).await, "inside");
        chromium.leave_frames().await;

        let first = chromium.windows().await;
        chromium.click("#w").await;
        chromium.switch_to_new(&first).await;
        assert_eq!(chromium.url_with("the inner page", |url| url.path() == "/inner").await.path(), "/inner");
        chromium.switch_to(&first[0]).await;

        chromium.new_tab().await;
        chromium.goto(format!("{address}/to")).await;
        assert_eq!(chromium.url().await.path(), "/inner");
        chromium.back().await;
        chromium.reload().await;
        assert_eq!(chromium.script("return Promise.resolve(arguments[0] + 1)", json!([1])).await, 2);
        chromium.switch_to(&first[0]).await;
        chromium
            .script("console.error('seen'); fetch('https://elsewhere.invalid/').catch(() => 0)", json!([]))
            .await;
        assert!(chromium.console().await.iter().any(|line| line.contains("seen")));
        chromium.resize(700, 500).await;
        let picture = fs::read(chromium.screenshot("self-test").await).unwrap();
        assert!(picture.starts_with(b"\x89PNG"));
    }

    #[tokio::test]
    async fn chromium_can_be_a_phone_and_is_gone_afterwards() {
        let port = Port::reserve();
        let _nginx = site(&port).await;
        let chromium = Chromium::start(Viewport::Phone, WECOM_PHONE).await;
        chromium.goto(format!("http://localhost:{}/", port.number())).await;
        let seen = chromium.script("return [innerWidth, navigator.userAgent]", json!([])).await;
        assert_eq!(seen, json!([390, WECOM_PHONE]));
        let profile = chromium.profile.path().to_owned();
        assert!(!chromium.processes().is_empty());
        drop(chromium);
        assert!(!profile.exists());
    }
}

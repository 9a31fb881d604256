//! Tests of the simulator over a socket, as a client and a browser use it.

use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::*;

mod codes;
mod directory;
mod faults;
mod inbox;
mod limits;
mod media;
mod messages;
mod organisation;
mod running;
mod secrets;
mod signing_in;

const WECOM_USER_AGENT: &str = "Mozilla/5.0 Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh";
const DESKTOP_USER_AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0 Safari/537.36";

struct SimulatorBench {
    sim: RunningSimulator,
    http: Client,
}

impl SimulatorBench {
    async fn start() -> Self {
        Self::with(World::default()).await
    }

    async fn with(world: World) -> Self {
        let sim = Simulator::new(world).start_on("127.0.0.1:0".parse().unwrap()).await.unwrap();
        sim.set_trusted_domains(["oa.example.com"]);
        let http = Client::builder().redirect(Policy::none()).no_proxy().build().unwrap();
        Self { sim, http }
    }

    async fn get(&self, path: &str, agent: &str) -> Response {
        self.http.get(self.sim.url() + path).header("user-agent", agent).send().await.unwrap()
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> Response {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let request = self.http.post(self.sim.url() + path).body(body);
        request.header("content-type", "application/x-www-form-urlencoded").send().await.unwrap()
    }

    async fn api(&self, path: &str) -> Value {
        self.get(&format!("/cgi-bin/{path}"), "test").await.json().await.unwrap()
    }

    async fn call(&self, api: &str, body: &Value) -> Value {
        let url = format!("{}/cgi-bin/{api}", self.sim.url());
        self.http.post(url).body(body.to_string()).send().await.unwrap().json().await.unwrap()
    }

    /// Calls `message/send` as the application under test. Adds its `agentid` if there is none.
    async fn send(&self, mut body: Value) -> Value {
        if body.get("agentid").is_none() {
            body["agentid"] = json!(1_000_002);
        }
        self.call(&format!("message/send?access_token={}", self.app_token().await), &body).await
    }

    async fn refusal(&self, body: Value) -> i64 {
        self.send(body).await["errcode"].as_i64().unwrap()
    }

    async fn recall(&self, token: &str, msgid: &Value) -> Value {
        self.call(&format!("message/recall?access_token={token}"), &json!({"msgid": msgid})).await
    }

    /// Calls `media/upload` with a hand-written Content-Disposition.
    async fn upload_as(&self, kind: &str, disposition: &str, bytes: &[u8]) -> Value {
        let url = format!(
            "{}/cgi-bin/media/upload?access_token={}&type={kind}",
            self.sim.url(),
            self.app_token().await
        );
        let head = format!("--b0undary\r\nContent-Disposition: {disposition}\r\n\r\n");
        let body = [head.as_bytes(), bytes, b"\r\n--b0undary--\r\n"].concat();
        let request = self.http.post(url).header("content-type", "multipart/form-data; boundary=b0undary");
        request.body(body).send().await.unwrap().json().await.unwrap()
    }

    async fn upload(&self, kind: &str, name: &str, bytes: &[u8]) -> Value {
        self.upload_as(kind, &format!("form-data; name=\"media\"; filename=\"{name}\""), bytes).await
    }

    /// Returns the text messages of a member's inbox.
    fn texts(&self, userid: &str) -> Vec<String> {
        let text = |l: InboxMessage| l.content["content"].as_str().unwrap_or_default().to_owned();
        self.sim.inbox(userid).into_iter().map(text).collect()
    }

    async fn errcode(&self, path: &str) -> i64 {
        self.api(path).await["errcode"].as_i64().unwrap()
    }

    async fn token_of(&self, secret: &str) -> String {
        let a = self.api(&format!("gettoken?corpid={}&corpsecret={secret}", self.sim.world().corp_id)).await;
        assert_eq!(a["expires_in"], 7200);
        a["access_token"].as_str().unwrap().to_owned()
    }

    async fn app_token(&self) -> String {
        self.token_of(&self.sim.world().app.secret).await
    }

    async fn contacts_token(&self) -> String {
        self.token_of(&self.sim.world().contacts.secret).await
    }

    fn authorize(&self, more: &str) -> String {
        format!(
            "/connect/oauth2/authorize?appid={}&redirect_uri=https%3A%2F%2Foa.example.com%2Fcb%3Frd%3D%252F\
             &response_type=code&scope=snsapi_base&agentid=1000002{more}",
            self.sim.world().corp_id
        )
    }

    fn qr(&self, more: &str) -> String {
        format!(
            "/wwlogin/sso/login?login_type=CorpApp&appid={}&agentid=1000002\
             &redirect_uri=https%3A%2F%2Foa.example.com%2Fcb{more}",
            self.sim.world().corp_id
        )
    }
}

fn text_message(to: &str, content: &str) -> Value {
    json!({"touser": to, "msgtype": "text", "text": {"content": content}})
}

/// Reads a fixture of `tests/data/wecom`; SOURCES.md there says where each was seen.
fn read_fixture(name: &str) -> Value {
    let path = format!("{}/tests/data/wecom/{name}", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn field_kinds(answer: &Value) -> Vec<(&str, &str)> {
    let kind = |v: &Value| if v.is_string() { "text" } else { "number" };
    let mut shape: Vec<_> = answer.as_object().unwrap().iter().map(|(n, v)| (n.as_str(), kind(v))).collect();
    shape.sort_unstable();
    shape
}

fn location(r: &Response) -> &str {
    r.headers()["location"].to_str().unwrap()
}

fn code_in(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned()
}

fn page_errcode(r: &Response) -> &str {
    assert_eq!(r.status(), StatusCode::OK);
    r.headers()["x-simulator-error"].to_str().unwrap()
}

//! The simulator as a client and a browser meet it, over a socket.

use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::*;

mod codes;
mod directory;
mod faults;
mod limits;
mod organisation;
mod running;
mod secrets;
mod signing_in;

const WXWORK: &str = "Mozilla/5.0 Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh";
const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0 Safari/537.36";

struct Bench {
    sim: Running,
    http: Client,
}

impl Bench {
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

fn location(r: &Response) -> &str {
    r.headers()["location"].to_str().unwrap()
}

fn code_in(url: &str) -> String {
    let url = url::Url::parse(url).unwrap();
    url.query_pairs().find(|(n, _)| n == "code").unwrap().1.into_owned()
}

fn error_of(r: &Response) -> &str {
    assert_eq!(r.status(), StatusCode::OK);
    r.headers()["x-simulator-error"].to_str().unwrap()
}

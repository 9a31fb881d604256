//! The simulator as a client and a browser meet it, over a socket.

use std::time::{Duration, Instant};

use reqwest::redirect::Policy;
use reqwest::{Client, Response, StatusCode};
use serde_json::{Value, json};

use super::*;

const WXWORK: &str = "Mozilla/5.0 Mobile/15E148 wxwork/4.1.30 MicroMessenger/7.0.1 Language/zh";
const DESKTOP: &str = "Mozilla/5.0 (X11; Linux x86_64) Chrome/120.0 Safari/537.36";

struct Bench {
    sim: Running,
    http: Client,
}

impl Bench {
    async fn start() -> Self {
        let sim = Simulator::start().await.unwrap();
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

#[tokio::test]
async fn a_token_is_the_same_until_it_expires_and_then_42001() {
    let b = Bench::start().await;
    let first = b.app_token().await;
    assert_eq!(b.app_token().await, first);
    assert_eq!(b.sim.calls("gettoken"), 2);
    assert_eq!(b.errcode(&format!("user/get?userid=lisi&access_token={first}")).await, 0);
    b.sim.advance(Duration::from_secs(7200));
    assert_eq!(b.errcode(&format!("user/get?userid=lisi&access_token={first}")).await, 42001);
    let second = b.app_token().await;
    assert_ne!(second, first);
    b.sim.revoke_tokens();
    assert_eq!(b.errcode(&format!("user/get?userid=lisi&access_token={second}")).await, 40014);
    assert_eq!(b.errcode("user/get?userid=lisi").await, 41001);
}

#[tokio::test]
async fn gettoken_tells_every_wrong_input_apart() {
    let b = Bench::start().await;
    let corp = b.sim.world().corp_id;
    for (query, want) in [
        ("corpsecret=x".to_owned(), 41002),
        (format!("corpid={corp}"), 41004),
        ("corpid=wwother&corpsecret=x".to_owned(), 40013),
        (format!("corpid={corp}&corpsecret=wrong"), 40001),
        (format!("corpid={corp}&corpsecret=%20wrong"), 40091),
    ] {
        assert_eq!(b.errcode(&format!("gettoken?{query}")).await, want, "{query}");
    }
    b.sim.change_app(|a| a.enabled = false);
    assert_eq!(b.errcode(&format!("gettoken?corpid={corp}&corpsecret=simulator-app-secret")).await, 50003);
}

#[tokio::test]
async fn repeated_wrong_secrets_block_the_address_for_an_hour() {
    let b = Bench::start().await;
    b.sim.change(|w| w.wrong_secrets_before_block = 2);
    let wrong = format!("gettoken?corpid={}&corpsecret=wrong", b.sim.world().corp_id);
    for want in [40001, 40001, 40001, 45009] {
        assert_eq!(b.errcode(&wrong).await, want);
    }
    b.sim.advance(Duration::from_hours(1));
    assert!(!b.app_token().await.is_empty());
}

#[tokio::test]
async fn errmsg_carries_hint_address_and_the_link_of_the_code() {
    let b = Bench::start().await;
    b.sim.set_trusted_ips(Some(vec!["203.0.113.9".parse().unwrap()]));
    let token = b.app_token().await;
    let a = b.api(&format!("user/get?userid=lisi&access_token={token}")).await;
    assert_eq!(a["errcode"], 60020);
    let text = a["errmsg"].as_str().unwrap();
    assert!(text.starts_with("not allow to access from your ip, hint: ["), "{text}");
    let suffix = "from ip: 127.0.0.1, more info at https://open.work.weixin.qq.com/devtool/query?e=60020";
    assert!(text.ends_with(suffix), "{text}");
}

#[tokio::test]
async fn a_code_is_exchanged_once_in_five_minutes_by_its_own_application() {
    let b = Bench::start().await;
    b.sim.change(|w| w.more_apps.push(App::new(1_000_003, "别的应用", "other-secret")));
    let token = b.app_token().await;
    let exchange = |code: &str| format!("auth/getuserinfo?access_token={token}&code={code}");
    let code = b.sim.issue_code("ZhangSan");
    let other = b.token_of("other-secret").await;
    assert_eq!(b.errcode(&format!("auth/getuserinfo?access_token={other}&code={code}")).await, 50001);
    let contacts = b.contacts_token().await;
    assert_eq!(b.errcode(&format!("auth/getuserinfo?access_token={contacts}&code={code}")).await, 50001);
    let want = json!({"errcode": 0, "errmsg": "ok", "userid": "zhangsan"});
    assert_eq!(b.api(&exchange(&code)).await, want);
    assert_eq!(b.errcode(&exchange(&code)).await, 40029);
    assert_eq!(b.errcode(&exchange("made-up")).await, 40029);
    assert_eq!(b.errcode(&exchange(&"x".repeat(513))).await, 40029);
    assert_eq!(b.errcode(&exchange("")).await, 41008);
    let old = b.sim.issue_code("lisi");
    b.sim.advance(Duration::from_mins(5));
    assert_eq!(b.errcode(&exchange(&old)).await, 40029);
    b.sim.change(|w| w.exact_code_errors = true);
    assert_eq!(b.errcode(&exchange(&old)).await, 42003);
    assert_eq!(b.errcode(&exchange(&code)).await, 42022);
}

#[tokio::test]
async fn outsiders_and_linked_members_get_errcode_0_too_in_either_spelling() {
    let b = Bench::start().await;
    let token = b.app_token().await;
    let customer = b.sim.world().outsiders.remove(0);
    let of = async |api: &str, who: &str| {
        b.api(&format!("{api}?access_token={token}&code={}", b.sim.issue_code(who))).await
    };
    let a = of("auth/getuserinfo", &customer.openid).await;
    assert_eq!((a["errcode"].as_i64(), a["userid"].as_str()), (Some(0), None));
    assert_eq!(
        (&a["openid"], &a["external_userid"]),
        (&json!(customer.openid), &json!(customer.external_userid))
    );
    let a = of("auth/getuserinfo", "wwfedcba9876543210/liwei").await;
    assert_eq!(a["userid"], "wwfedcba9876543210/liwei");
    let a = of("user/getuserinfo", "lisi").await;
    assert_eq!((a["UserId"].as_str(), a["userid"].as_str()), (Some("lisi"), None));
    assert!(a["DeviceId"].is_string());
    assert_eq!(of("user/getuserinfo", &customer.openid).await["OpenId"], json!(customer.openid));
}

#[tokio::test]
async fn a_member_is_shown_as_far_as_the_application_may_see() {
    let b = Bench::start().await;
    let token = b.app_token().await;
    let get = |userid: &str| format!("user/get?access_token={token}&userid={userid}");
    let a = b.api(&get("ZHANGSAN")).await;
    assert_eq!((&a["userid"], &a["name"], &a["status"]), (&json!("zhangsan"), &json!("张三"), &json!(1)));
    assert_eq!((&a["department"], &a["is_leader_in_dept"]), (&json!([5, 3]), &json!([0, 1])));
    assert!(a.get("mobile").is_none() && a.get("email").is_none() && a.get("avatar").is_none());
    assert_eq!(b.api(&get("zhouba")).await["status"], 2);
    assert_eq!(b.api(&get("wujiu")).await["status"], 4);
    assert_eq!(b.errcode(&get("zhengshi")).await, 60011);
    assert_eq!(b.errcode(&get("nobody")).await, 60111);
    assert_eq!(b.errcode(&get("a%2Fb")).await, 40003);
    b.sim.change_app(|a| a.legacy_fields = true);
    assert_eq!(b.api(&get("zhangsan")).await["mobile"], "13800000001");
    b.sim.set_visible([3], ["sunqi"]);
    assert_eq!(b.api(&get("zhangsan")).await["department"], json!([5, 3]));
    assert_eq!(b.api(&get("sunqi")).await["department"], json!([]));
    assert_eq!(b.errcode(&get("lisi")).await, 60011);
    b.sim.show_to_app("lisi");
    assert_eq!(b.errcode(&get("lisi")).await, 0);
    assert!(b.sim.change_member("lisi", |m| m.status = Status::Left));
    assert_eq!(b.api(&get("lisi")).await["status"], 5);
    b.sim.remove_member("lisi");
    assert_eq!(b.errcode(&get("lisi")).await, 60111);
}

#[tokio::test]
async fn departments_are_those_at_and_below_the_visible_ones() {
    let b = Bench::start().await;
    let token = b.app_token().await;
    let list = |id: &str| format!("department/list?access_token={token}&id={id}");
    let ids = |a: &Value, key: &str| -> Vec<i64> {
        a[key].as_array().unwrap().iter().map(|d| d["id"].as_i64().unwrap()).collect()
    };
    let all = b.api(&list("")).await;
    assert_eq!(ids(&all, "department"), [1, 2, 3, 4, 5, 6, 7]);
    assert_eq!(all["department"][0]["parentid"], 0);
    assert_eq!(all["department"][1]["department_leader"], json!(["lisi"]));
    assert_eq!(ids(&b.api(&list("3")).await, "department"), [3, 4, 5]);
    b.sim.set_visible([3], []);
    assert_eq!(ids(&b.api(&list("")).await, "department"), [3, 4, 5]);
    assert_eq!(b.errcode(&list("1")).await, 60011);
    assert_eq!(b.errcode(&list("99")).await, 60123);
    let simple = b.api(&format!("department/simplelist?access_token={token}")).await;
    assert_eq!(ids(&simple, "department_id"), [3, 4, 5]);
}

#[tokio::test]
async fn the_contacts_secret_reads_ids_of_all_and_details_of_none() {
    let b = Bench::start().await;
    let token = b.contacts_token().await;
    assert_eq!(b.errcode(&format!("user/get?userid=lisi&access_token={token}")).await, 48009);
    assert_eq!(b.errcode(&format!("department/list?access_token={token}")).await, 48009);
    let simple = b.api(&format!("department/simplelist?access_token={token}")).await;
    assert_eq!(simple["department_id"].as_array().unwrap().len(), 7);
    let url = |token: &str| format!("{}/cgi-bin/user/list_id?access_token={token}", b.sim.url());
    let post = async |url: String, body: &'static str| -> Value {
        b.http.post(url).body(body).send().await.unwrap().json().await.unwrap()
    };
    assert_eq!(post(url(&b.app_token().await), "{}").await["errcode"], 48002);
    let first = post(url(&token), r#"{"limit":3}"#).await;
    assert_eq!(first["dept_user"][0], json!({"userid": "zhangsan", "department": 5}));
    assert_eq!(first["next_cursor"], "row-3");
    let rest = post(url(&token), r#"{"cursor":"row-3","limit":10000}"#).await;
    assert_eq!((rest["dept_user"].as_array().unwrap().len(), &rest["next_cursor"]), (7, &json!("")));
    assert_eq!(post(url(&token), r#"{"cursor":"?"}"#).await["errcode"], 50100);
    assert_eq!(post(url(&token), r#"{"cursor":"\u0041"}"#).await["errcode"], 40033);
    assert_eq!(post(url(&token), "{").await["errcode"], 40035);
    assert_eq!(b.errcode(&format!("user/list_id?access_token={token}")).await, 40058);
}

#[tokio::test]
async fn inside_wecom_a_sign_in_is_one_redirect() {
    let b = Bench::start().await;
    let r = b.get(&b.authorize("&state=abcXYZ019"), WXWORK).await;
    assert_eq!(r.status(), StatusCode::FOUND);
    let back = location(&r).to_owned();
    assert!(back.starts_with("https://oa.example.com/cb?rd=%2F&code="), "{back}");
    assert!(back.ends_with("&state=abcXYZ019"), "{back}");
    let token = b.app_token().await;
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(&back))).await;
    assert_eq!(a["userid"], "zhangsan");
    b.sim.set_phone_member("wangwu");
    let back = location(&b.get(&b.authorize(""), WXWORK).await).to_owned();
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(&back))).await;
    assert_eq!(a["userid"], "wangwu");
}

#[tokio::test]
async fn a_test_chooses_the_person_by_header_and_may_decline() {
    let b = Bench::start().await;
    let ask = async |who: &str| {
        let url = b.sim.url() + &b.authorize("&state=s1");
        let request = b.http.get(url).header("user-agent", WXWORK).header(MEMBER_HEADER, who);
        location(&request.send().await.unwrap()).to_owned()
    };
    let token = b.app_token().await;
    let code = code_in(&ask("oSimulatorCustomer000000000A").await);
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={code}")).await;
    assert_eq!(a["openid"], "oSimulatorCustomer000000000A");
    assert_eq!(ask("cancel").await, "https://oa.example.com/cb?rd=%2F&state=s1");
}

#[tokio::test]
async fn a_plain_browser_must_come_from_the_phone_page() {
    let b = Bench::start().await;
    let r = b.get(&b.authorize(""), DESKTOP).await;
    assert_eq!(error_of(&r), "0");
    assert!(r.text().await.unwrap().contains("请在微信客户端打开链接"));
    let r = b.post("/phone/member", &[("member", "wwfedcba9876543210/liwei")]).await;
    assert_eq!((r.status(), location(&r)), (StatusCode::SEE_OTHER, "/phone"));
    let cookie = r.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let url = b.sim.url() + &b.authorize("");
    let r = b.http.get(&url).header("user-agent", DESKTOP).header("cookie", cookie).send().await.unwrap();
    let token = b.app_token().await;
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(location(&r)))).await;
    assert_eq!(a["userid"], "wwfedcba9876543210/liwei");
    let r = b.http.get(url).header("cookie", "wecom-simulator-member=gone").send().await.unwrap();
    assert_eq!(error_of(&r), "0");
}

#[tokio::test]
async fn a_wrong_authorize_request_ends_on_wecoms_own_page() {
    let b = Bench::start().await;
    let good = b.authorize("&state=s");
    for (from, to, want) in [
        ("appid=ww", "appid=xx", "40013"),
        ("response_type=code", "response_type=token", "40035"),
        ("scope=snsapi_base", "scope=openid", "40035"),
        ("agentid=1000002", "agentid=1", "40056"),
        ("state=s", "state=a-b", "40035"),
        ("oa.example.com", "oa.example.com%3A8443", "50001"),
        ("https%3A%2F%2F", "https%253A%252F%252F", "50001"),
    ] {
        let r = b.get(&good.replacen(from, to, 1), WXWORK).await;
        assert_eq!(error_of(&r), want, "{to}");
    }
    let long = good.replacen("state=s", &format!("state={}", "s".repeat(129)), 1);
    assert_eq!(error_of(&b.get(&long, WXWORK).await), "40035");
    let exact = good.replacen("state=s", &format!("state={}", "s".repeat(128)), 1);
    assert_eq!(b.get(&exact, WXWORK).await.status(), StatusCode::FOUND);
    b.sim.change_app(|a| a.enabled = false);
    assert_eq!(error_of(&b.get(&good, WXWORK).await), "50003");
}

#[tokio::test]
async fn private_information_is_asked_for_and_gives_a_ticket() {
    let b = Bench::start().await;
    let url = b.authorize("").replace("snsapi_base", "snsapi_privateinfo");
    let r = b.get(&url, WXWORK).await;
    assert_eq!(r.status(), StatusCode::OK);
    assert!(r.text().await.unwrap().contains("敏感信息"));
    let r = b.get(&format!("{url}&decision=cancel"), WXWORK).await;
    assert_eq!(location(&r), "https://oa.example.com/cb?rd=%2F");
    let r = b.get(&format!("{url}&decision=allow"), WXWORK).await;
    let token = b.app_token().await;
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(location(&r)))).await;
    assert!(a["user_ticket"].is_string());
    b.sim.hide_from_app("zhangsan");
    assert_eq!(error_of(&b.get(&url, WXWORK).await), "0");
}

#[tokio::test]
async fn a_scan_is_confirmed_on_another_page_and_the_qr_page_goes_on() {
    let b = Bench::start().await;
    let r = b.get(&b.qr("&state=st4te&redirect_type=top&panel_size=middle&lang=zh"), DESKTOP).await;
    assert!(r.headers().get("x-frame-options").is_none());
    assert!(!r.headers()["content-security-policy"].to_str().unwrap().contains("frame-ancestors"));
    let page = r.text().await.unwrap();
    let scan = b.sim.pending_scans().remove(0);
    assert!(page.contains(&scan.pairing) && page.contains(MARKER));
    let status = async || -> Value {
        b.get(&format!("/wwlogin/sso/status?scan={}", scan.id), DESKTOP).await.json().await.unwrap()
    };
    assert_eq!(status().await, json!({"status": "waiting", "redirect": null}));
    let r = b.get(&format!("/phone/confirm?scan={}", scan.id), DESKTOP).await;
    assert!(r.text().await.unwrap().contains("确认登录"));
    assert_eq!(status().await["status"], "scanned");
    let form = [("scan", "st4te"), ("decision", "confirm"), ("member", "lisi")];
    let r = b.post("/phone/confirm", &form).await;
    assert_eq!(r.status(), StatusCode::SEE_OTHER);
    let done = status().await;
    assert_eq!(done["status"], "confirmed");
    let back = done["redirect"].as_str().unwrap();
    assert!(back.starts_with("https://oa.example.com/cb?code=") && back.ends_with("&state=st4te"), "{back}");
    let token = b.app_token().await;
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(back))).await;
    assert_eq!(a["userid"], "lisi");
    assert_eq!(b.sim.confirm_scan("st4te", "lisi"), Err(ScanError::Decided));
}

#[tokio::test]
async fn a_scan_may_be_declined_refused_or_too_late() {
    let b = Bench::start().await;
    b.sim.set_trusted_domains::<&str>([]);
    assert_eq!(error_of(&b.get(&b.qr("&state=a"), DESKTOP).await), "50001");
    b.sim.set_callback_domains(["oa.example.com"]);
    for state in ["a", "b", "c"] {
        b.get(&b.qr(&format!("&state={state}&redirect_type=self&lang=en")), DESKTOP).await;
    }
    assert_eq!(b.sim.cancel_scan("a").unwrap(), "https://oa.example.com/cb?state=a");
    assert_eq!(b.sim.confirm_scan("b", "zhengshi"), Err(ScanError::NotVisible));
    let denied: Value = b.get("/wwlogin/sso/status?scan=b", DESKTOP).await.json().await.unwrap();
    assert_eq!(denied["status"], "denied");
    b.sim.advance(Duration::from_mins(5));
    assert_eq!(b.sim.confirm_scan("c", "lisi"), Err(ScanError::Expired));
    assert_eq!(b.sim.confirm_scan("d", "lisi"), Err(ScanError::Unknown));
    assert!(b.sim.pending_scans().is_empty());
    for (more, want) in [("&redirect_type=callback", "40035"), ("&lang=fr", "40035")] {
        assert_eq!(error_of(&b.get(&b.qr(more), DESKTOP).await), want);
    }
}

#[tokio::test]
async fn the_phone_shows_icon_scans_and_every_kind_of_person() {
    let b = Bench::start().await;
    b.sim.set_home_url("https://oa.example.com/sso/login?rd=%2F&entrance=app");
    b.get(&b.qr("&state=s"), DESKTOP).await;
    let r = b.get("/", DESKTOP).await;
    assert_eq!(r.headers()["set-cookie"], "wecom-simulator-member=zhangsan; Path=/; HttpOnly; SameSite=Lax");
    let page = r.text().await.unwrap();
    for want in [
        r#"href="https://oa.example.com/sso/login?rd=%2F&#38;entrance=app" target="_blank""#,
        &b.sim.pending_scans()[0].pairing,
        "周八 zhouba（已禁用）",
        "吴九 wujiu（未激活）",
        "郑十 zhengshi（不在可见范围）",
        "（外部联系人）",
        "（互联企业）",
    ] {
        assert!(page.contains(want), "{want}\n{page}");
    }
    let list: Value = b.get("/phone/scans", DESKTOP).await.json().await.unwrap();
    assert_eq!(list[0]["state"], "s");
}

#[tokio::test]
async fn faults_that_spoil_the_answer_come_one_call_at_a_time() {
    let b = Bench::start().await;
    let url = format!("/cgi-bin/gettoken?corpid={}&corpsecret=simulator-app-secret", b.sim.world().corp_id);
    let text = async || {
        let r = b.get(&url, "test").await;
        (r.status().as_u16(), r.bytes().await.unwrap())
    };
    b.sim.fail_next("/cgi-bin/gettoken", Fault::Errcode(-1, "system busy".into()));
    assert_eq!(text().await.1, r#"{"errcode":-1,"errmsg":"system busy"}"#);
    b.sim.fail_next("gettoken", Fault::Status500);
    assert_eq!(text().await.0, 500);
    b.sim.fail_next("gettoken", Fault::Html502);
    let (status, body) = text().await;
    assert!(status == 502 && body.starts_with(b"<html>"));
    b.sim.fail_next("gettoken", Fault::EmptyBody);
    assert_eq!(text().await, (200, "".into()));
    b.sim.fail_next("gettoken", Fault::Truncated);
    assert!(serde_json::from_slice::<Value>(&text().await.1).is_err());
    b.sim.fail_next("gettoken", Fault::Bom);
    assert!(text().await.1.starts_with("\u{feff}{\"errcode\":0".as_bytes()));
    b.sim.fail_next("gettoken", Fault::ControlCharacter);
    assert!(text().await.1.contains(&0xb));
    b.sim.fail_next("gettoken", Fault::ErrcodeAsString);
    assert!(text().await.1.starts_with(br#"{"errcode":"0""#));
    b.sim.fail_always("*", Fault::Status500);
    assert_eq!((text().await.0, text().await.0), (500, 500));
    b.sim.clear_faults();
    assert_eq!(serde_json::from_slice::<Value>(&text().await.1).unwrap()["errcode"], 0);
    assert_eq!(b.sim.calls("gettoken"), 11);
    assert_eq!(b.sim.requests().len(), 11);
}

#[tokio::test]
async fn faults_of_the_connection_break_or_hold_it() {
    let b = Bench::start().await;
    let url = format!("{}/cgi-bin/gettoken", b.sim.url());
    // Short enough for what hangs, long enough on a busy machine for what answers.
    let within = |limit| b.http.get(&url).timeout(limit).send();
    let send = || within(Duration::from_secs(20));
    let briefly = || within(Duration::from_secs(1));
    b.sim.fail_next("gettoken", Fault::Close);
    let e = send().await.unwrap_err();
    assert!(!e.is_timeout(), "{e:?}");
    b.sim.fail_next("gettoken", Fault::CloseMidAnswer);
    let e = send().await.unwrap().bytes().await.unwrap_err();
    assert!(!e.is_timeout(), "{e:?}");
    b.sim.fail_next("gettoken", Fault::Hang);
    assert!(briefly().await.unwrap_err().is_timeout());
    b.sim.fail_next("gettoken", Fault::HangMidAnswer);
    assert!(briefly().await.unwrap().bytes().await.unwrap_err().is_timeout());
    b.sim.fail_next("gettoken", Fault::Slow(Duration::from_millis(50)));
    let asked = Instant::now();
    assert!(send().await.unwrap().status().is_success());
    assert!(asked.elapsed() >= Duration::from_millis(50));
    b.sim.fail_next("gettoken", Fault::HugeBody);
    let mut huge = send().await.unwrap();
    let mut read = 0;
    while read < 1_000_000 {
        read += huge.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_dropped_guard_closes_the_port_and_another_can_have_it() {
    let b = Bench::start().await;
    let (address, other) = (b.sim.address(), Simulator::clone(&b.sim));
    drop(b);
    let until = Instant::now() + Duration::from_secs(5);
    let again = loop {
        match other.clone().start_on(address).await {
            Ok(running) => break running,
            Err(e) if Instant::now() > until => panic!("{e}"),
            Err(_) => tokio::task::yield_now().await,
        }
    };
    assert_eq!(again.address(), address);
}

#[test]
fn an_invented_crowd_has_unique_userids_and_a_department_each() {
    let mut w = World::default();
    w.populate(500);
    let ids: std::collections::HashSet<_> = w.members.iter().map(|m| &m.userid).collect();
    assert_eq!(ids.len(), 508);
    assert!(w.members.iter().all(|m| !m.departments.is_empty()));
}

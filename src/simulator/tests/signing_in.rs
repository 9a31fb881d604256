//! Sign-in inside WeCom and by QR code, and the phone.

use super::*;

#[tokio::test]
async fn inside_wecom_a_sign_in_is_one_redirect() {
    let b = SimulatorBench::start().await;
    let r = b.get(&b.authorize("&state=abcXYZ019"), WECOM_USER_AGENT).await;
    assert_eq!(r.status(), StatusCode::FOUND);
    let back = location(&r).to_owned();
    assert!(back.starts_with("https://oa.example.com/cb?rd=%2F&code="), "{back}");
    assert!(back.ends_with("&state=abcXYZ019"), "{back}");
    let token = b.app_token().await;
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(&back))).await;
    assert_eq!(a["userid"], "zhangsan");
    b.sim.set_phone_member("wangwu");
    let back = location(&b.get(&b.authorize(""), WECOM_USER_AGENT).await).to_owned();
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(&back))).await;
    assert_eq!(a["userid"], "wangwu");
}

#[tokio::test]
async fn a_test_chooses_the_person_by_header_and_may_decline() {
    let b = SimulatorBench::start().await;
    let ask = async |who: &str| {
        let url = b.sim.url() + &b.authorize("&state=s1");
        let request = b.http.get(url).header("user-agent", WECOM_USER_AGENT).header(MEMBER_HEADER, who);
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
    let b = SimulatorBench::start().await;
    let r = b.get(&b.authorize(""), DESKTOP_USER_AGENT).await;
    assert_eq!(page_errcode(&r), "0");
    assert!(r.text().await.unwrap().contains("请在微信客户端打开链接"));
    let r = b.post("/phone/member", &[("member", "wwfedcba9876543210/liwei")]).await;
    assert_eq!((r.status(), location(&r)), (StatusCode::SEE_OTHER, "/phone"));
    let cookie = r.headers()["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    let url = b.sim.url() + &b.authorize("");
    let r = b
        .http
        .get(&url)
        .header("user-agent", DESKTOP_USER_AGENT)
        .header("cookie", cookie)
        .send()
        .await
        .unwrap();
    let token = b.app_token().await;
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(location(&r)))).await;
    assert_eq!(a["userid"], "wwfedcba9876543210/liwei");
    let r = b.http.get(url).header("cookie", "wecom-simulator-member=gone").send().await.unwrap();
    assert_eq!(page_errcode(&r), "0");
}

#[tokio::test]
async fn a_wrong_authorize_request_ends_on_wecoms_own_page() {
    let b = SimulatorBench::start().await;
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
        let r = b.get(&good.replacen(from, to, 1), WECOM_USER_AGENT).await;
        assert_eq!(page_errcode(&r), want, "{to}");
    }
    let long = good.replacen("state=s", &format!("state={}", "s".repeat(129)), 1);
    assert_eq!(page_errcode(&b.get(&long, WECOM_USER_AGENT).await), "40035");
    let exact = good.replacen("state=s", &format!("state={}", "s".repeat(128)), 1);
    assert_eq!(b.get(&exact, WECOM_USER_AGENT).await.status(), StatusCode::FOUND);
    b.sim.change_app(|a| a.enabled = false);
    assert_eq!(page_errcode(&b.get(&good, WECOM_USER_AGENT).await), "50003");
}

#[tokio::test]
async fn private_information_is_asked_for_and_gives_a_ticket() {
    let b = SimulatorBench::start().await;
    let url = b.authorize("").replace("snsapi_base", "snsapi_privateinfo");
    let r = b.get(&url, WECOM_USER_AGENT).await;
    assert_eq!(r.status(), StatusCode::OK);
    assert!(r.text().await.unwrap().contains("敏感信息"));
    let r = b.get(&format!("{url}&decision=cancel"), WECOM_USER_AGENT).await;
    assert_eq!(location(&r), "https://oa.example.com/cb?rd=%2F");
    let r = b.get(&format!("{url}&decision=allow"), WECOM_USER_AGENT).await;
    let token = b.app_token().await;
    let a = b.api(&format!("auth/getuserinfo?access_token={token}&code={}", code_in(location(&r)))).await;
    assert!(a["user_ticket"].is_string());
    b.sim.hide_from_app("zhangsan");
    assert_eq!(page_errcode(&b.get(&url, WECOM_USER_AGENT).await), "0");
}

#[tokio::test]
async fn a_scan_is_confirmed_on_another_page_and_the_qr_page_goes_on() {
    let b = SimulatorBench::start().await;
    let r =
        b.get(&b.qr("&state=st4te&redirect_type=top&panel_size=middle&lang=zh"), DESKTOP_USER_AGENT).await;
    assert!(r.headers().get("x-frame-options").is_none());
    assert!(!r.headers()["content-security-policy"].to_str().unwrap().contains("frame-ancestors"));
    let page = r.text().await.unwrap();
    let scan = b.sim.pending_scans().remove(0);
    assert!(page.contains(&scan.pairing) && page.contains(MARKER));
    let status = async || -> Value {
        b.get(&format!("/wwlogin/sso/status?scan={}", scan.id), DESKTOP_USER_AGENT)
            .await
            .json()
            .await
            .unwrap()
    };
    assert_eq!(status().await, json!({"status": "waiting", "redirect": null}));
    let r = b.get(&format!("/phone/confirm?scan={}", scan.id), DESKTOP_USER_AGENT).await;
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
    let b = SimulatorBench::start().await;
    b.sim.set_trusted_domains::<&str>([]);
    assert_eq!(page_errcode(&b.get(&b.qr("&state=a"), DESKTOP_USER_AGENT).await), "50001");
    b.sim.set_callback_domains(["oa.example.com"]);
    for state in ["a", "b", "c"] {
        b.get(&b.qr(&format!("&state={state}&redirect_type=self&lang=en")), DESKTOP_USER_AGENT).await;
    }
    assert_eq!(b.sim.cancel_scan("a").unwrap(), "https://oa.example.com/cb?state=a");
    assert_eq!(b.sim.confirm_scan("b", "zhengshi"), Err(ScanError::NotVisible));
    let denied: Value = b.get("/wwlogin/sso/status?scan=b", DESKTOP_USER_AGENT).await.json().await.unwrap();
    assert_eq!(denied["status"], "denied");
    b.sim.advance(Duration::from_mins(5));
    assert_eq!(b.sim.confirm_scan("c", "lisi"), Err(ScanError::Expired));
    assert_eq!(b.sim.confirm_scan("d", "lisi"), Err(ScanError::Unknown));
    assert!(b.sim.pending_scans().is_empty());
    for (more, want) in [("&redirect_type=callback", "40035"), ("&lang=fr", "40035")] {
        assert_eq!(page_errcode(&b.get(&b.qr(more), DESKTOP_USER_AGENT).await), want);
    }
}

#[tokio::test]
async fn the_phone_shows_icon_scans_and_every_kind_of_person() {
    let b = SimulatorBench::start().await;
    b.sim.set_home_url("https://oa.example.com/sso/login?rd=%2F&entrance=app");
    b.get(&b.qr("&state=s"), DESKTOP_USER_AGENT).await;
    let r = b.get("/", DESKTOP_USER_AGENT).await;
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
    let list: Value = b.get("/phone/scans", DESKTOP_USER_AGENT).await.json().await.unwrap();
    assert_eq!(list[0]["state"], "s");
}

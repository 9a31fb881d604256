//! Secrets and their access tokens.

use super::*;

#[tokio::test]
async fn a_token_is_the_same_until_it_expires_and_then_42001() {
    let b = SimulatorBench::start().await;
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
    let b = SimulatorBench::start().await;
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
    let b = SimulatorBench::start().await;
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
    let b = SimulatorBench::start().await;
    b.sim.set_trusted_ips(Some(vec!["203.0.113.9".parse().unwrap()]));
    let token = b.app_token().await;
    let a = b.api(&format!("user/get?userid=lisi&access_token={token}")).await;
    assert_eq!(a["errcode"], 60020);
    let text = a["errmsg"].as_str().unwrap();
    assert!(text.starts_with("not allow to access from your ip, hint: ["), "{text}");
    let suffix = "from ip: 127.0.0.1, more info at https://open.work.weixin.qq.com/devtool/query?e=60020";
    assert!(text.ends_with(suffix), "{text}");
}

//! Exchanging a code.

use super::*;

#[tokio::test]
async fn a_code_is_exchanged_once_in_five_minutes_by_its_own_application() {
    let b = SimulatorBench::start().await;
    b.sim.change(|w| w.more_apps.push(SimulatedApp::new(1_000_003, "别的应用", "other-secret")));
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
    let b = SimulatorBench::start().await;
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

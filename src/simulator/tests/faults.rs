//! Injected faults.

use super::*;

#[tokio::test]
async fn faults_that_spoil_the_answer_come_one_call_at_a_time() {
    let b = SimulatorBench::start().await;
    let url = format!("/cgi-bin/gettoken?corpid={}&corpsecret=simulator-app-secret", b.sim.world().corp_id);
    let text = async || {
        let r = b.get(&url, "test").await;
        (r.status().as_u16(), r.bytes().await.unwrap())
    };
    b.sim.fail_next("/cgi-bin/gettoken", InjectedFault::Errcode(-1, "system busy".into()));
    assert_eq!(text().await.1, r#"{"errcode":-1,"errmsg":"system busy"}"#);
    b.sim.fail_next("gettoken", InjectedFault::Status500);
    assert_eq!(text().await.0, 500);
    b.sim.fail_next("gettoken", InjectedFault::Html502);
    let (status, body) = text().await;
    assert!(status == 502 && body.starts_with(b"<html>"));
    b.sim.fail_next("gettoken", InjectedFault::EmptyBody);
    assert_eq!(text().await, (200, "".into()));
    b.sim.fail_next("gettoken", InjectedFault::Truncated);
    assert!(serde_json::from_slice::<Value>(&text().await.1).is_err());
    b.sim.fail_next("gettoken", InjectedFault::Bom);
    assert!(text().await.1.starts_with("\u{feff}{\"errcode\":0".as_bytes()));
    b.sim.fail_next("gettoken", InjectedFault::ControlCharacter);
    assert!(text().await.1.contains(&0xb));
    b.sim.fail_next("gettoken", InjectedFault::ErrcodeAsString);
    assert!(text().await.1.starts_with(br#"{"errcode":"0""#));
    b.sim.fail_always("*", InjectedFault::Status500);
    assert_eq!((text().await.0, text().await.0), (500, 500));
    b.sim.clear_faults();
    assert_eq!(serde_json::from_slice::<Value>(&text().await.1).unwrap()["errcode"], 0);
    assert_eq!(b.sim.calls("gettoken"), 11);
    assert_eq!(b.sim.requests().len(), 11);
}

#[tokio::test]
async fn faults_of_the_connection_break_or_hold_it() {
    let b = SimulatorBench::start().await;
    let url = format!("{}/cgi-bin/gettoken", b.sim.url());
    // Short for answers that hang, long for answers that come, even on a busy machine.
    let within = |limit| b.http.get(&url).timeout(limit).send();
    let send = || within(Duration::from_secs(20));
    let briefly = || within(Duration::from_secs(1));
    b.sim.fail_next("gettoken", InjectedFault::Close);
    let e = send().await.unwrap_err();
    assert!(!e.is_timeout(), "{e:?}");
    b.sim.fail_next("gettoken", InjectedFault::CloseMidAnswer);
    let e = send().await.unwrap().bytes().await.unwrap_err();
    assert!(!e.is_timeout(), "{e:?}");
    b.sim.fail_next("gettoken", InjectedFault::Hang);
    assert!(briefly().await.unwrap_err().is_timeout());
    b.sim.fail_next("gettoken", InjectedFault::HangMidAnswer);
    assert!(briefly().await.unwrap().bytes().await.unwrap_err().is_timeout());
    b.sim.fail_next("gettoken", InjectedFault::Slow(Duration::from_millis(50)));
    let asked = Instant::now();
    assert!(send().await.unwrap().status().is_success());
    assert!(asked.elapsed() >= Duration::from_millis(50));
    b.sim.fail_next("gettoken", InjectedFault::HugeBody);
    let mut huge = send().await.unwrap();
    let mut read = 0;
    while read < 1_000_000 {
        read += huge.chunk().await.unwrap().unwrap().len();
    }
}

#[tokio::test]
async fn a_fault_is_aimed_at_one_department_and_the_others_go_on() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    let list = async |id: i64| {
        let r = b.get(&format!("/cgi-bin/user/list?access_token={token}&department_id={id}"), "test").await;
        (r.status().as_u16(), r.text().await.unwrap())
    };
    let third = || FaultTarget::for_api("/cgi-bin/user/list").with("department_id", 3);
    b.sim.fail(third(), None, InjectedFault::Status500);
    assert_eq!((list(3).await.0, list(2).await.0, list(3).await.0), (500, 200, 500));
    b.sim.fail(third(), None, InjectedFault::Text("<html>blocked</html>".into()));
    assert_eq!(list(3).await, (200, "<html>blocked</html>".into()));
    b.sim.fail(third(), None, InjectedFault::Truncated);
    assert!(serde_json::from_str::<Value>(&list(3).await.1).is_err());
    b.sim.clear_faults();
    b.sim.fail(third(), Some(2), InjectedFault::Errcode(-1, "system busy".into()));
    let code = async |id: i64| serde_json::from_str::<Value>(&list(id).await.1).unwrap()["errcode"].clone();
    assert_eq!([code(3).await, code(2).await, code(3).await, code(3).await], [-1, 0, -1, 0]);
}

#[tokio::test]
async fn the_first_calls_fail_and_then_it_works() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    b.sim.fail_times("tag/list", 3, InjectedFault::Errcode(-1, "system busy".into()));
    for want in [-1, -1, -1, 0] {
        assert_eq!(b.errcode(&format!("tag/list?access_token={token}")).await, want);
    }
}

#[tokio::test]
async fn a_list_may_be_empty_or_have_one_broken_record() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    let list = format!("user/list?access_token={token}&department_id=2");
    b.sim.fail_next("user/list", InjectedFault::EmptyList);
    assert_eq!(b.api(&list).await, json!({"errcode": 0, "errmsg": "ok", "userlist": []}));
    let broken = async |how| {
        b.sim.fail_next("user/list", InjectedFault::BrokenRecord(how));
        let mut a = b.api(&list).await;
        assert_eq!(a["userlist"][0]["userid"], "lisi", "only one of them is broken");
        a["userlist"][1].take()
    };
    assert!(broken(RecordDamage::WithoutId).await.get("userid").is_none());
    assert_eq!(broken(RecordDamage::IdOfWrongType).await["userid"], 12345);
    assert_eq!(broken(RecordDamage::DepartmentNoList).await["department"], 1);
    b.sim.fail_next("department/list", InjectedFault::BrokenRecord(RecordDamage::IdOfWrongType));
    let a = b.api(&format!("department/list?access_token={token}")).await;
    assert_eq!((&a["department"][5]["id"], &a["department"][6]["id"]), (&json!(6), &json!("twelve")));
}

//! Synchronisation through the API: what a run brings, what the gate makes of it, and what must not
//! happen when WeCom's answers are wrong.

use std::time::Duration;

use gongpai::simulator::{
    FaultTarget, InjectedFault, RecordDamage, SimulatedAttribute, SimulatedDepartment, SimulatedMember,
    SimulatedStatus, Simulator,
};
use gongpai::testing::sync::fetch::FetchPace;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{PUBLIC_URL, TestApp};
use crate::support::chart::published_version;
use crate::support::chart_rows::count_person_rows_after;

/// Rules by unit, by leader and by user.
const RULES: &str = r#"
[[rules]]
host = "oa.example.com"
path = "/finance/**"
allow = ["unit:财务部/**"]
[[rules]]
host = "oa.example.com"
path = "/research/**"
allow = ["unit:研发部/**"]
[[rules]]
host = "oa.example.com"
path = "/lead/**"
allow = ["leader:财务部"]
[[rules]]
host = "oa.example.com"
path = "/own/**"
allow = ["user:zhangsan"]
[[rules]]
host = "oa.example.com"
allow = ["members"]
"#;

/// The simulator's company has eight members; `zhengshi` is not visible.
const VISIBLE_MEMBERS: usize = 7;

fn count_active(persons: &[Value]) -> usize {
    persons.iter().filter(|p| p["status"] == "active").count()
}

#[tokio::test]
async fn a_run_brings_units_persons_memberships_and_leaders() {
    let t = TestApp::with(RULES).await;
    let run = t.sync_fully().await;
    assert_eq!(run["kind"], "full");
    assert_eq!(run["counts"]["persons"]["created"], VISIBLE_MEMBERS, "{run:#}");
    let units = t.list("/directory/units").await;
    let mut paths: Vec<&str> = units.iter().filter_map(|u| u["path"].as_str()).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["/", "研发部", "研发部/前端组", "研发部/后端组", "行政人事部", "财务部", "销售部"]);
    assert_eq!(t.unit("财务部").await["leaders"], json!(["lisi"]));
    let zhangsan = t.person("ZHANGSAN").await;
    assert_eq!((&zhangsan["userid"], &zhangsan["name"]), (&json!("zhangsan"), &json!("张三")));
    assert_eq!((&zhangsan["source"], &zhangsan["status"]), (&json!("wecom"), &json!("active")));
    let of = |n: usize| zhangsan["memberships"][n].clone();
    let (backend, research) = (t.unit("研发部/后端组").await, t.unit("研发部").await);
    assert_eq!((&of(0)["unit_id"], &of(0)["leader"]), (&backend["id"], &json!(false)));
    assert_eq!((&of(1)["unit_id"], &of(1)["leader"]), (&research["id"], &json!(true)));
    assert_eq!(zhangsan["main_unit"], backend["id"]);
    assert_eq!(t.person("zhouba").await["status"], "disabled");
    assert_eq!(t.person("wujiu").await["status"], "inactive");
    assert_eq!(t.person("zhengshi").await, Value::Null, "outside the visible range");
}

#[tokio::test]
async fn a_second_run_of_the_same_company_writes_no_row_of_the_directory() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    let before = (published_version(&t).await, t.count_rows("directory_changes").await);
    let run = t.sync_fully().await;
    assert_eq!((published_version(&t).await, t.count_rows("directory_changes").await), before);
    assert_eq!(count_person_rows_after(&t.app.db, 1).await, 0);
    for entity in ["units", "persons", "memberships"] {
        assert_eq!(run["counts"][entity], json!({"created": 0, "updated": 0, "removed": 0}), "{run:#}");
    }
}

#[tokio::test]
async fn case_24_who_is_moved_is_allowed_by_the_new_unit_and_refused_by_the_old_one_after_the_next_run() {
    let t = TestApp::with(RULES).await;
    t.sync_fully().await;
    let mut lisi = t.signed_in("lisi").await;
    let sunqi = t.signed_in("sunqi").await;
    let at = |path: &str| format!("{PUBLIC_URL}{path}");
    assert_eq!(t.check(&lisi, &at("/finance/pay")).await.status, 200);
    assert_eq!(t.check(&sunqi, &at("/finance/pay")).await.status, 200, "in two departments");
    assert_eq!(t.check(&lisi, &at("/research/x")).await.status, 403);
    assert_eq!(t.check(&lisi, &at("/lead/x")).await.status, 200);
    assert_eq!(t.check(&sunqi, &at("/lead/x")).await.status, 403);
    let page = t.check(&lisi, &at("/")).await;
    // 财务部, then the tag 管理层.
    assert_eq!(
        page.header("remote-groups"),
        Some("%E8%B4%A2%E5%8A%A1%E9%83%A8,tag:%E7%AE%A1%E7%90%86%E5%B1%82")
    );
    let me: Value = lisi.get(at("/sso/session")).await.json();
    assert_eq!(me["units"][0]["path"], "财务部");

    t.wecom.change(|w| {
        w.departments.iter_mut().for_each(|d| d.leaders.retain(|l| l != "lisi"));
        let lisi = w.members.iter_mut().find(|m| m.userid == "lisi").expect("lisi");
        lisi.departments = vec![4];
        lisi.leads.clear();
    });
    assert_eq!(t.check(&lisi, &at("/finance/pay")).await.status, 200, "not known yet");
    let run = t.sync_fully().await;
    assert_eq!(run["counts"]["memberships"], json!({"created": 1, "updated": 0, "removed": 1}), "{run:#}");
    assert_eq!(t.check(&lisi, &at("/finance/pay")).await.status, 403);
    assert_eq!(t.check(&lisi, &at("/lead/x")).await.status, 403);
    assert_eq!(t.check(&lisi, &at("/research/x")).await.status, 200);
    assert_eq!(t.check(&sunqi, &at("/finance/pay")).await.status, 200);
}

#[tokio::test]
async fn a_department_that_moves_or_is_renamed_keeps_its_id_and_rules_follow_its_path() {
    let t = TestApp::with(RULES).await;
    t.sync_fully().await;
    let before = t.unit("财务部").await;
    let lisi = t.signed_in("lisi").await;
    t.wecom.change(|w| {
        let finance = w.departments.iter_mut().find(|d| d.id == 2).expect("财务部");
        finance.parent = 3;
        finance.name = "财务/结算".to_owned();
    });
    t.sync_fully().await;
    let after = t.unit("研发部/财务∕结算").await;
    assert_eq!((&after["id"], &after["name"]), (&before["id"], &json!("财务/结算")), "{after}");
    assert_eq!(
        t.check(&lisi, &format!("{PUBLIC_URL}/finance/pay")).await.status,
        403,
        "no unit of that path"
    );
    assert_eq!(t.check(&lisi, &format!("{PUBLIC_URL}/research/x")).await.status, 200, "below it now");
}

#[tokio::test]
async fn case_24_whoever_left_or_is_disabled_is_out_with_the_run_and_stays_out() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    let (left, disabled, stays) =
        (t.signed_in("wangwu").await, t.signed_in("lisi").await, t.signed_in("zhangsan").await);
    t.wecom.remove_member("wangwu");
    t.wecom.change_member("lisi", |m| m.status = SimulatedStatus::Disabled);
    let run = t.sync_fully().await;
    assert_eq!(run["counts"]["persons"], json!({"created": 0, "updated": 1, "removed": 1}), "{run:#}");
    assert_eq!(t.check(&left, PUBLIC_URL).await.status, 401);
    assert_eq!(t.check(&disabled, PUBLIC_URL).await.status, 401);
    assert_eq!(t.check(&stays, PUBLIC_URL).await.status, 200);
    assert_eq!(t.person("wangwu").await["status"], "left");
    assert_eq!(t.person("lisi").await["status"], "disabled");
    t.wecom.change_member("lisi", |m| m.status = SimulatedStatus::Active);
    t.sync_fully().await;
    assert_eq!(t.check(&disabled, PUBLIC_URL).await.status, 401, "an ended session stays ended");
}

#[tokio::test]
async fn case_34_nobody_is_removed_when_much_is_missing_until_somebody_says_so() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    let phone = t.signed_in("zhangsan").await;
    let before = t.list("/directory/persons").await;
    for userid in ["wangwu", "zhaoliu", "sunqi"] {
        t.wecom.remove_member(userid);
    }
    let run = t.sync().await;
    assert_eq!(run["status"], "refused", "{run:#}");
    assert!(run["reason"].as_str().is_some_and(|r| r.contains("max_removals")), "{run:#}");
    assert_eq!(t.list("/directory/persons").await, before, "nothing was written");
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 200);
    let run = t.sync_with(json!({"force": true})).await;
    assert_eq!(
        (&run["status"], &run["counts"]["persons"]["removed"]),
        (&json!("done"), &json!(3)),
        "{run:#}"
    );
    assert_eq!(count_active(&t.list("/directory/persons").await), count_active(&before) - 3);
}

#[tokio::test]
async fn case_34_what_could_not_be_read_removes_nobody_and_says_so() {
    // A name, the fault, and in how many passes the department is asked for at least.
    let faults = [
        ("60011", InjectedFault::Errcode(60011, "no privilege".into()), 1),
        ("HTML", InjectedFault::Html502, 3),
        ("cut off", InjectedFault::Truncated, 3),
        ("-1", InjectedFault::Errcode(-1, "system busy".into()), 2),
        ("broken", InjectedFault::BrokenRecord(RecordDamage::WithoutId), 1),
    ];
    // Every pass is made; only the half minutes between them are not waited for.
    let pause = Duration::from_millis(10);
    let pace = FetchPace { pass_pauses: [pause, pause], ..FetchPace::PRODUCTION };
    let t = TestApp::with_pace(RULES, pace).await;
    t.sync_fully().await;
    let departments = u64::try_from(t.list("/directory/units").await.len()).expect("few");
    let before = t.list("/directory/persons").await;
    let lisi = t.signed_in("lisi").await;
    t.wecom.change_member("zhaoliu", |m| m.position = "总监".to_owned());
    for (name, fault, passes) in faults {
        t.wecom.fail(FaultTarget::for_api("user/list").with("department_id", 2), None, fault);
        let calls = t.wecom.calls("user/list");
        // Somebody is really gone, but stays: with this fault nobody can tell.
        t.wecom.remove_member("wangwu");
        let run = t.sync().await;
        assert_eq!((&run["status"], &run["complete"]), (&json!("done"), &json!(false)), "{name}: {run:#}");
        assert_eq!(run["counts"]["persons"]["removed"], 0, "{name}: {run:#}");
        assert!(t.wecom.calls("user/list") - calls >= departments - 1 + passes, "{name}: too few passes");
        assert_eq!(count_active(&t.list("/directory/persons").await), count_active(&before), "{name}");
        assert_eq!(t.check(&lisi, &format!("{PUBLIC_URL}/finance/pay")).await.status, 200, "{name}");
        t.wecom.clear_faults();
    }
    assert_eq!(t.person("zhaoliu").await["position"], "总监", "what was read came in all the same");
    let run = t.sync_fully().await;
    assert_eq!(run["counts"]["persons"]["removed"], 1, "{run:#}");
}

#[tokio::test]
async fn case_34_empty_lists_with_errcode_0_remove_nobody() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    let before = (t.list("/directory/persons").await, t.list("/directory/units").await);
    for api in ["department/list", "user/list"] {
        t.wecom.fail_always(api, InjectedFault::EmptyList);
        let run = t.sync_with(json!({"force": true})).await;
        assert_eq!(run["counts"]["persons"]["removed"], 0, "{api}: {run:#}");
        assert_eq!(run["complete"], false, "{api}: {run:#}");
        assert_eq!((t.list("/directory/persons").await, t.list("/directory/units").await), before, "{api}");
        t.wecom.clear_faults();
    }
}

#[tokio::test]
async fn without_wecom_a_run_fails_in_words_and_changes_nothing() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    let phone = t.signed_in("zhangsan").await;
    t.wecom.set_trusted_ips(Some(vec!["203.0.113.9".parse().expect("an address")]));
    let run = t.sync().await;
    assert_eq!(run["status"], "failed", "{run:#}");
    assert!(run["reason"].as_str().is_some_and(|r| r.contains("60020")), "{run:#}");
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 200);
    t.wecom.set_trusted_ips(None);
    t.sync_fully().await;
}

#[tokio::test]
async fn a_visible_range_that_shrinks_is_refused_and_its_return_brings_the_same_people_back() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    let (zhangsan, unit) = (t.person("zhangsan").await, t.unit("研发部").await);
    t.wecom.change_app(|app| app.visible.departments = [2].into());
    assert_eq!(t.sync().await["status"], "refused");
    let run = t.sync_with(json!({"force": true})).await;
    assert_eq!(run["status"], "done", "{run:#}");
    assert_eq!(t.person("zhangsan").await["status"], "left");
    assert_eq!(t.unit("研发部").await, Value::Null);
    assert_eq!(t.unit("财务部").await["parent_id"], Value::Null, "its parent is not visible");
    t.wecom.change_app(|app| app.visible.departments = [1].into());
    t.sync_fully().await;
    let back = t.person("zhangsan").await;
    assert_eq!((&back["id"], &back["status"]), (&zhangsan["id"], &json!("active")));
    assert_eq!(t.unit("研发部").await["id"], unit["id"], "and the units are the units they were");
}

#[tokio::test]
async fn a_member_visible_singly_stays_although_no_list_has_it() {
    let t = TestApp::start().await;
    t.wecom.change_app(|app| {
        app.visible.departments = [2].into();
        app.visible.members = ["zhaoliu".to_owned()].into();
    });
    let phone = t.signed_in("zhaoliu").await;
    t.sync_fully().await;
    assert_eq!(t.person("zhaoliu").await["status"], "active");
    assert_eq!(t.check(&phone, PUBLIC_URL).await.status, 200);
}

#[tokio::test]
async fn the_seeds_duplicates_do_not_arise_and_local_entries_stay_as_they_are() {
    let t = TestApp::with("[directory]\nlink_by = [\"userid\", \"mobile\"]").await;
    let post = |path: &'static str, body: Value| {
        let t = &t;
        async move {
            let (status, answer) = t.api(Method::POST, path, Some(&body)).await;
            assert_eq!(status, 201, "{answer}");
            answer
        }
    };
    // As in the seed: persons and units were entered by hand before WeCom was connected.
    let unit = post("/directory/units", json!({"name": "项目组"})).await;
    let same = post("/directory/persons", json!({"userid": "ZhangSan", "name": "张三"})).await;
    let keyed = post(
        "/directory/persons",
        json!({"userid": "li.si", "name": "李四", "mobile": "+86 138-0000-0002",
               "memberships": [{"unit_id": unit["id"], "order": 5, "leader": true}]}),
    )
    .await;
    let own =
        post("/directory/persons", json!({"userid": "guard", "name": "保安老王", "mobile": "13999999999"}))
            .await;
    let alone = t.get(&format!("/directory/persons/{}", own["id"].as_str().expect("an id"))).await;
    t.wecom.change_app(|app| app.legacy_fields = true);
    let run = t.sync_fully().await;
    assert_eq!(
        run["counts"]["persons"],
        json!({"created": VISIBLE_MEMBERS - 2, "updated": 2, "removed": 0}),
        "{run:#}"
    );
    let zhangsan = t.person("zhangsan").await;
    assert_eq!(
        (&zhangsan["id"], &zhangsan["source"]),
        (&same["id"], &json!("wecom")),
        "linked by the userid"
    );
    let lisi = t.person("lisi").await;
    assert_eq!((&lisi["id"], &lisi["source"]), (&keyed["id"], &json!("wecom")), "linked by mobile and name");
    assert_eq!(t.person("li.si").await, Value::Null);
    let places: Vec<&Value> = lisi["memberships"].as_array().expect("a list").iter().collect();
    assert_eq!(places.len(), 2, "its department, and the local unit it was in: {lisi}");
    assert_eq!((&places[1]["unit_id"], &places[1]["leader"]), (&unit["id"], &json!(true)));
    t.wecom.remove_member("wangwu");
    t.sync_fully().await;
    assert_eq!(t.get(&format!("/directory/persons/{}", own["id"].as_str().expect("an id"))).await, alone);
    assert_eq!(t.unit("项目组").await["id"], unit["id"]);
    assert_eq!(t.list("/directory/persons").await.len(), VISIBLE_MEMBERS + 1);
}

#[tokio::test]
async fn case_49_a_new_member_with_a_local_persons_mobile_gets_none_of_its_rights() {
    for (link_by, asked) in [("", 0), ("[directory]\nlink_by = [\"userid\", \"email\", \"mobile\"]", 1)] {
        let t = TestApp::with(link_by).await;
        let unit = json!({"name": "项目组"});
        let (_, unit) = t.api(Method::POST, "/directory/units", Some(&unit)).await;
        let boss = json!({"userid": "boss", "name": "老板", "mobile": "13800000002",
                          "memberships": [{"unit_id": unit["id"]}]});
        let (status, boss) = t.api(Method::POST, "/directory/persons", Some(&boss)).await;
        assert_eq!(status, 201, "{boss}");
        t.wecom.change_app(|app| app.legacy_fields = true);
        t.wecom.add_member(
            SimulatedMember::new("mallory", "马洛里").with_departments([2]).with_mobile("13800000002"),
        );
        t.wecom.change_member("lisi", |m| m.mobile = String::new());
        t.signed_in("mallory").await;
        t.sync_fully().await;
        let mallory = t.person("mallory").await;
        assert_ne!(mallory["id"], boss["id"]);
        let units: Vec<_> = mallory["memberships"].as_array().expect("a list").iter().collect();
        assert!(units.iter().all(|place| place["unit_id"] != unit["id"]), "{mallory}");
        assert_eq!(t.person("boss").await["source"], "local");
        let conflicts = t.list("/directory/conflicts").await;
        assert_eq!(conflicts.len(), asked, "{conflicts:?}");
        assert!(
            conflicts
                .iter()
                .all(|c| c["person_id"] == mallory["id"] && c["candidates"] == json!([boss["id"]]))
        );
    }
}

#[tokio::test]
async fn two_members_with_one_mobile_are_not_linked_but_asked_about() {
    let t = TestApp::with("[directory]\nlink_by = [\"userid\", \"mobile\"]").await;
    let body = json!({"userid": "old.account", "name": "老账号", "mobile": "13800000002"});
    let (status, local) = t.api(Method::POST, "/directory/persons", Some(&body)).await;
    assert_eq!(status, 201, "{local}");
    t.wecom.change_app(|app| app.legacy_fields = true);
    t.wecom.change_member("wangwu", |m| m.mobile = "13800000002".to_owned());
    let run = t.sync_fully().await;
    assert_eq!(run["conflicts"].as_array().map(Vec::len), Some(2), "{run:#}");
    let conflicts = t.list("/directory/conflicts").await;
    assert_eq!(conflicts.len(), 2);
    assert!(conflicts.iter().all(|c| c["kind"] == "ambiguous" && c["candidates"] == json!([local["id"]])));
    assert_eq!(t.person("old.account").await["source"], "local", "untouched");
    assert_eq!(t.sync_fully().await["conflicts"], json!([]), "asked once");
    // An administrator says who it is: one person, with the id that applications know.
    let lisi = t.person("lisi").await;
    let conflict = conflicts.iter().find(|c| c["person_id"] == lisi["id"]).expect("lisi's");
    let path = format!("/directory/conflicts/{}/resolve", conflict["id"].as_str().expect("an id"));
    let (status, answer) = t.api(Method::POST, &path, Some(&json!({"person_id": local["id"]}))).await;
    assert_eq!(status, 200, "{answer}");
    let merged = t.person("lisi").await;
    assert_eq!((&merged["id"], &merged["source"]), (&local["id"], &json!("wecom")), "{merged}");
    t.sync_fully().await;
    assert_eq!(t.person("lisi").await["id"], local["id"], "and stays so");
}

#[tokio::test]
async fn a_userid_that_is_used_again_is_somebody_else_and_inherits_nothing() {
    let t = TestApp::with(RULES).await;
    t.sync_fully().await;
    let own = format!("{PUBLIC_URL}/own/x");
    let zhangsan = t.signed_in("zhangsan").await;
    assert_eq!(t.check(&zhangsan, &own).await.status, 200);
    let give_up = std::time::Instant::now() + Duration::from_secs(20);
    while t.count_rows("rule_bindings").await == 0 && std::time::Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = t.person("zhangsan").await;
    t.wecom.remove_member("zhangsan");
    t.sync_fully().await;
    assert_eq!(t.check(&zhangsan, &own).await.status, 401);
    t.wecom.add_member(SimulatedMember::new("ZhangSan", "张小三").with_departments([2]));
    t.sync_fully().await;
    let after = t.person("zhangsan").await;
    assert_ne!(after["id"], before["id"]);
    let new = t.signed_in("ZhangSan").await;
    assert_eq!(t.check(&new, PUBLIC_URL).await.status, 200);
    assert_eq!(t.check(&new, &own).await.status, 403, "the rule means the one before");
    assert_eq!(t.get("/directory/conflicts").await["items"][0]["kind"], "reused");
}

#[tokio::test]
async fn a_userid_that_is_used_again_between_two_runs_is_somebody_else_too() {
    const OWN: &str = "[[rules]]\nhost = \"oa.example.com\"\npath = \"/own/**\"\nallow = [\"user:lisi\"]\n\
                       [[rules]]\nhost = \"oa.example.com\"\nallow = [\"members\"]\n";
    let t = TestApp::with(OWN).await;
    t.wecom.change_app(|app| app.legacy_fields = true);
    let number =
        |value: &str| SimulatedAttribute::Text { name: "工号".to_owned(), value: value.to_owned() };
    t.wecom.change_member("lisi", |m| m.attributes = vec![number("G-1")]);
    t.sync_fully().await;
    let own = format!("{PUBLIC_URL}/own/x");
    let lisi = t.signed_in("lisi").await;
    assert_eq!(t.check(&lisi, &own).await.status, 200);
    let give_up = std::time::Instant::now() + Duration::from_secs(20);
    while t.count_rows("rule_bindings").await == 0 && std::time::Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let before = t.person("lisi").await;
    t.wecom.remove_member("lisi");
    let mut other = SimulatedMember::new("lisi", "李思").with_departments([2]).with_mobile("13911110000");
    other.attributes = vec![number("G-2")];
    t.wecom.add_member(other);
    let run = t.sync_fully().await;
    assert_eq!(run["counts"]["persons"], json!({"created": 1, "updated": 0, "removed": 1}), "{run:#}");
    let after = t.person("lisi").await;
    assert_ne!(after["id"], before["id"]);
    assert_eq!((&after["name"], &after["status"]), (&json!("李思"), &json!("active")));
    let old = t.get(&format!("/directory/persons/{}", before["id"].as_str().expect("an id"))).await;
    assert_eq!((&old["name"], &old["status"]), (&before["name"], &json!("left")), "{old}");
    assert_eq!(t.check(&lisi, PUBLIC_URL).await.status, 401, "signed out");
    let new = t.signed_in("lisi").await;
    assert_eq!(t.check(&new, PUBLIC_URL).await.status, 200);
    assert_eq!(t.check(&new, &own).await.status, 403, "the rule means the one before");
    let conflicts = t.list("/directory/conflicts").await;
    assert_eq!(conflicts.len(), 1, "{conflicts:#?}");
    assert_eq!(
        (&conflicts[0]["kind"], &conflicts[0]["candidates"]),
        (&json!("reused"), &json!([before["id"]]))
    );
    let again = t.sync_fully().await;
    assert_eq!(again["counts"]["persons"], json!({"created": 0, "updated": 0, "removed": 0}), "{again:#}");
}

#[tokio::test]
async fn a_changed_userid_is_the_same_person_where_a_key_proves_it() {
    let t = TestApp::with("[directory]\nlink_by = [\"userid\", \"mobile\"]").await;
    t.wecom.change_app(|app| app.legacy_fields = true);
    t.sync_fully().await;
    let before = t.person("lisi").await;
    t.wecom.change_member("lisi", |m| m.userid = "li.si".to_owned());
    let run = t.sync_fully().await;
    assert_eq!(run["counts"]["persons"], json!({"created": 0, "updated": 1, "removed": 0}), "{run:#}");
    let after = t.person("li.si").await;
    assert_eq!((&after["id"], &after["status"]), (&before["id"], &json!("active")));
    assert_eq!(t.person("lisi").await, Value::Null);
}

#[tokio::test]
async fn after_a_complete_run_a_sign_in_costs_one_call() {
    let t = TestApp::start().await;
    t.sync_fully().await;
    t.wecom.forget_requests();
    let (asked, got) = (t.wecom.calls("auth/getuserinfo"), t.wecom.calls("user/get"));
    t.signed_in("zhangsan").await;
    assert_eq!(t.wecom.calls("auth/getuserinfo") - asked, 1);
    assert_eq!(t.wecom.calls("user/get") - got, 0);
    t.advance(Duration::from_secs(25 * 3600)).await;
    t.signed_in("lisi").await;
    assert_eq!(t.wecom.calls("user/get") - got, 1, "a run of yesterday does not vouch");
}

#[tokio::test]
async fn hostile_names_are_only_names() {
    let t = TestApp::start().await;
    let names = ["\u{1F600}部/门\u{0}\r\nRemote-User: root", "<script>alert(1)</script>", &"长".repeat(64)];
    for (n, name) in names.iter().enumerate() {
        let id = 100 + i64::try_from(n).expect("few");
        t.wecom.add_department(SimulatedDepartment::new(id, name, 1));
        t.wecom.add_member(SimulatedMember::new(&format!("odd{n}"), name).with_departments([id]));
    }
    t.sync_fully().await;
    let phone = t.signed_in("odd0").await;
    let page = t.check(&phone, PUBLIC_URL).await;
    let groups = page.header("remote-groups").expect("the header");
    assert!(groups.bytes().all(|b| b.is_ascii_graphic()), "{groups}");
    assert_eq!(page.header("remote-user"), Some("odd0"));
    assert_eq!(t.person("odd2").await["name"], json!("长".repeat(64)));
    for person in t.list("/directory/persons").await {
        assert!(!person["name"].as_str().expect("a name").chars().any(char::is_control), "{person}");
    }
}

#[tokio::test]
async fn cycles_orphans_and_fifteen_levels_have_their_places() {
    let t = TestApp::start().await;
    for level in 0..15 {
        let parent = if level == 0 { 1 } else { 199 + level };
        t.wecom.add_department(SimulatedDepartment::new(200 + level, &format!("层{level}"), parent));
    }
    t.wecom.add_member(SimulatedMember::new("deep", "深").with_departments([214]));
    t.wecom.add_department(SimulatedDepartment::new(300, "甲", 301));
    t.wecom.add_department(SimulatedDepartment::new(301, "乙", 300));
    t.sync_fully().await;
    let deep = t.person("deep").await;
    let unit = deep["memberships"][0]["unit_id"].as_str().expect("a unit").to_owned();
    let unit = t.get(&format!("/directory/units/{unit}")).await;
    assert_eq!(unit["path"].as_str().map(|p| p.split('/').count()), Some(15), "{unit}");
}

#[tokio::test]
async fn with_the_contacts_secret_an_update_sees_who_is_new_moved_gone_or_disabled() {
    let wecom = Simulator::start().await.expect("the simulator starts");
    let secret = wecom.world().contacts.secret;
    let database = crate::support::database::TestDatabase::create().await;
    let t = TestApp::with_parts(wecom, database, &format!("[wecom]\ncontacts_secret = {secret:?}")).await;
    let run = t.sync_fully().await;
    assert!(t.wecom.calls("user/list_id") >= 1, "{run:#}");
    let browser = t.signed_in("zhangsan").await;
    let gets = t.wecom.calls("user/get");
    t.wecom.add_member(SimulatedMember::new("new", "新人").with_departments([4]));
    t.wecom.change_member("lisi", |m| m.departments = vec![6]);
    t.wecom.change_member("zhangsan", |m| m.status = SimulatedStatus::Disabled);
    t.wecom.remove_member("wangwu");
    let update = t.sync_with(json!({"kind": "update"})).await;
    assert_eq!((&update["status"], &update["kind"]), (&json!("done"), &json!("update")), "{update:#}");
    assert_eq!(update["counts"]["persons"]["created"], 1, "{update:#}");
    assert_eq!(update["counts"]["persons"]["removed"], 1, "{update:#}");
    assert!(t.wecom.calls("user/get") - gets <= 6, "{}", t.wecom.calls("user/get") - gets);
    assert_eq!(t.person("wangwu").await["status"], "left");
    assert_eq!(t.person("zhangsan").await["status"], "disabled");
    assert_eq!(t.check(&browser, PUBLIC_URL).await.status, 401, "the run ended the session");
    let sales = t.unit("销售部").await;
    assert_eq!(t.person("lisi").await["memberships"][0]["unit_id"], sales["id"]);
}

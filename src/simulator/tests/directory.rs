//! Members, departments and tags, as far as each secret sees them.

use super::*;

#[tokio::test]
async fn a_member_is_shown_as_far_as_the_application_may_see() {
    let b = SimulatorBench::start().await;
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
    assert!(b.sim.change_member("lisi", |m| m.status = SimulatedStatus::Left));
    assert_eq!(b.api(&get("lisi")).await["status"], 5);
    b.sim.remove_member("lisi");
    assert_eq!(b.errcode(&get("lisi")).await, 60111);
}

#[tokio::test]
async fn departments_are_those_at_and_below_the_visible_ones() {
    let b = SimulatorBench::start().await;
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
    let b = SimulatorBench::start().await;
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

fn userids(a: &Value) -> Vec<&str> {
    a["userlist"].as_array().unwrap().iter().map(|m| m["userid"].as_str().unwrap()).collect()
}

fn ids(a: &Value, list: &str) -> Vec<i64> {
    a[list].as_array().unwrap().iter().map(|d| d["id"].as_i64().unwrap()).collect()
}

#[tokio::test]
async fn a_list_names_the_members_of_one_department_and_with_fetch_child_those_below_once() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    for api in ["user/list", "user/simplelist"] {
        let of = |more: &str| format!("{api}?access_token={token}{more}");
        assert_eq!(userids(&b.api(&of("&department_id=3")).await), ["zhangsan"]);
        assert_eq!(
            userids(&b.api(&of("&department_id=3&fetch_child=1")).await),
            ["zhangsan", "wangwu", "wujiu"]
        );
        assert_eq!(userids(&b.api(&of("&department_id=1&fetch_child=0")).await), [""; 0]);
        // 郑十 works there too, but is outside the application's range.
        assert_eq!(userids(&b.api(&of("&department_id=7")).await), ["sunqi"]);
        assert_eq!(b.errcode(&of("&department_id=99")).await, 60003);
        assert_eq!(b.errcode(&of("&department_id=x")).await, 40035);
        assert_eq!(b.errcode(&of("")).await, 40058);
    }
}

#[tokio::test]
async fn a_simple_list_has_names_and_departments_and_no_more() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    let a = b.api(&format!("user/simplelist?access_token={token}&department_id=2")).await;
    let want = json!({"errcode": 0, "errmsg": "ok", "userlist": [
        {"userid": "lisi", "name": "李四", "department": [2]},
        {"userid": "sunqi", "name": "孙七", "department": [7, 2]},
    ]});
    assert_eq!(a, want);
}

#[tokio::test]
async fn order_leads_and_the_main_department_are_each_members_own() {
    let b = SimulatorBench::start().await;
    b.sim.add_member(
        SimulatedMember::new("Qian.Duo", "钱多")
            .with_departments([4, 2, 6])
            .with_order([u32::MAX, 7])
            .with_leads([2])
            .with_main(6)
            .with_superiors(["lisi", "gone"])
            .with_text("工号", "G1")
            .with_web("主页", "https://wiki.example.com/q", "钱多的主页"),
    );
    let token = b.app_token().await;
    let a = b.api(&format!("user/list?access_token={token}&department_id=4")).await;
    let m = &a["userlist"][1];
    assert_eq!(m["userid"], "Qian.Duo");
    assert_eq!((&m["department"], &m["order"]), (&json!([4, 2, 6]), &json!([4_294_967_295_u32, 7, 0])));
    assert_eq!((&m["is_leader_in_dept"], &m["main_department"]), (&json!([0, 1, 0]), &json!(6)));
    assert_eq!(m["direct_leader"], json!(["lisi"]));
    assert_eq!(
        m["extattr"],
        json!({"attrs": [
            {"type": 0, "name": "工号", "text": {"value": "G1"}},
            {"type": 1, "name": "主页", "web": {"url": "https://wiki.example.com/q", "title": "钱多的主页"}},
        ]})
    );
    // Invisible departments count in neither list.
    b.sim.set_visible([2], []);
    let a = b.api(&format!("user/get?access_token={token}&userid=qian.duo")).await;
    assert_eq!((&a["department"], &a["order"]), (&json!([2]), &json!([7])));
    assert_eq!((&a["is_leader_in_dept"], &a["main_department"]), (&json!([1]), &json!(6)));
}

#[tokio::test]
async fn an_application_since_2022_reads_neither_mobile_nor_mail_and_an_older_one_does() {
    const GONE: [&str; 8] =
        ["avatar", "thumb_avatar", "gender", "mobile", "email", "biz_mail", "qr_code", "address"];
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    for api in ["user/get?userid=lisi", "user/list?department_id=2"] {
        let of = async || {
            let a = b.api(&format!("{api}&access_token={token}")).await;
            if api.starts_with("user/list") { a["userlist"][0].clone() } else { a }
        };
        b.sim.change_app(|a| a.legacy_fields = false);
        let today = of().await;
        assert!(GONE.iter().all(|f| today.get(f).is_none()), "{today}");
        b.sim.change_app(|a| a.legacy_fields = true);
        let before = of().await;
        assert!(GONE.iter().all(|f| before[f].is_string()), "{before}");
        assert_eq!(before["mobile"], "13800000002");
        // A string in JSON, although it looks like a number.
        assert_eq!(before["gender"], "0");
    }
}

#[tokio::test]
async fn outside_its_range_an_application_gets_60011_and_orphans_keep_their_parent() {
    let b = SimulatorBench::start().await;
    b.sim.set_visible([3], ["lisi"]);
    let token = b.app_token().await;
    let of = |api: &str| format!("{api}&access_token={token}");
    for api in [
        "user/list?department_id=1",
        "user/simplelist?department_id=2",
        "department/get?id=1",
        "department/simplelist?id=1",
    ] {
        assert_eq!(b.errcode(&of(api)).await, 60011, "{api}");
    }
    let departments = b.api(&of("department/list?x=1")).await;
    assert_eq!(ids(&departments, "department"), [3, 4, 5]);
    assert_eq!(departments["department"][0]["parentid"], 1);
    assert_eq!(ids(&b.api(&of("department/simplelist?x=1")).await, "department_id"), [3, 4, 5]);
    // 李四 is visible only as a single member: by userid, and in no list.
    let a = b.api(&of("user/get?userid=lisi")).await;
    assert_eq!((&a["department"], &a["order"]), (&json!([]), &json!([])));
    let all = b.api(&of("user/list?department_id=3&fetch_child=1")).await;
    assert_eq!(userids(&all), ["zhangsan", "wangwu", "wujiu"]);
    // A deleted department is no longer visible, nor is what hung below it.
    b.sim.remove_department(3);
    assert_eq!(ids(&b.api(&of("department/list?x=1")).await, "department"), [0; 0]);
}

#[tokio::test]
async fn the_members_of_a_visible_tag_are_visible() {
    let b = SimulatorBench::start().await;
    b.sim.set_visible([], []);
    b.sim.change_app(|a| a.visible.tags = [2].into());
    let token = b.app_token().await;
    assert_eq!(b.errcode(&format!("user/get?userid=sunqi&access_token={token}")).await, 0);
    assert_eq!(b.errcode(&format!("user/get?userid=wangwu&access_token={token}")).await, 0);
    assert_eq!(b.errcode(&format!("user/get?userid=lisi&access_token={token}")).await, 60011);
    let all = b.api(&format!("department/list?access_token={token}")).await;
    assert_eq!(ids(&all, "department"), [3, 4, 5]);
}

#[tokio::test]
async fn whoever_left_is_in_no_list_and_still_answers_by_name() {
    let b = SimulatorBench::start().await;
    assert!(b.sim.set_status("zhangsan", SimulatedStatus::Left));
    let token = b.app_token().await;
    let a = b.api(&format!("user/list?department_id=3&fetch_child=1&access_token={token}")).await;
    assert_eq!(userids(&a), ["wangwu", "wujiu"]);
    assert_eq!(b.api(&format!("user/get?userid=zhangsan&access_token={token}")).await["status"], 5);
    let a = b.api(&format!("tag/get?tagid=1&access_token={token}")).await;
    assert_eq!(userids(&a), ["lisi", "zhaoliu"]);
    let url = format!("{}/cgi-bin/user/list_id?access_token={}", b.sim.url(), b.contacts_token().await);
    let text = b.http.post(url).body("{}").send().await.unwrap().text().await.unwrap();
    assert!(text.contains("wangwu") && !text.contains("zhangsan"), "{text}");
}

#[tokio::test]
async fn the_contacts_secret_reads_details_only_where_it_kept_the_right() {
    let b = SimulatorBench::start().await;
    let token = b.contacts_token().await;
    let details = [
        "user/get?userid=lisi",
        "user/list?department_id=2",
        "user/simplelist?department_id=2",
        "department/list?id=2",
        "department/get?id=2",
    ];
    for api in details {
        assert_eq!(b.errcode(&format!("{api}&access_token={token}")).await, 48009, "{api}");
    }
    b.sim.change(|w| w.contacts.reads_details = true);
    for api in details {
        assert_eq!(b.errcode(&format!("{api}&access_token={token}")).await, 0, "{api}");
    }
}

#[tokio::test]
async fn one_department_is_an_object_and_its_english_name_is_there_if_it_has_one() {
    let b = SimulatorBench::start().await;
    b.sim.add_department(
        SimulatedDepartment::new(8, "海外部", 1)
            .with_name_en("Overseas")
            .with_order(10)
            .with_leaders(["lisi"]),
    );
    let token = b.app_token().await;
    let of = async |id: i64| b.api(&format!("department/get?id={id}&access_token={token}")).await;
    let want = json!({"errcode": 0, "errmsg": "ok", "department": {
        "id": 8, "name": "海外部", "name_en": "Overseas", "department_leader": ["lisi"], "parentid": 1, "order": 10,
    }});
    assert_eq!(of(8).await, want);
    assert!(of(2).await["department"].get("name_en").is_none());
    assert_eq!(of(99).await["errcode"], 60123);
}

#[tokio::test]
async fn tags_are_listed_and_their_members_cut_to_the_range() {
    let b = SimulatorBench::start().await;
    b.sim.add_tag(
        SimulatedTag::new(9, "外勤").with_users(["ZhaoLiu", "lisi", "gone"]).with_departments([6, 2, 77]),
    );
    let token = b.app_token().await;
    let list = b.api(&format!("tag/list?access_token={token}")).await;
    assert_eq!(list["taglist"][2], json!({"tagid": 9, "tagname": "外勤"}));
    let get = async |id: &str| b.api(&format!("tag/get?access_token={token}&tagid={id}")).await;
    let want = json!({
        "errcode": 0, "errmsg": "ok", "tagname": "外勤",
        "userlist": [{"userid": "zhaoliu", "name": "赵六"}, {"userid": "lisi", "name": "李四"}],
        "partylist": [6, 2],
    });
    assert_eq!(get("9").await, want);
    b.sim.set_visible([2], []);
    let a = get("9").await;
    assert_eq!((userids(&a), &a["partylist"]), (vec!["lisi"], &json!([2])));
    b.sim.remove_tag(9);
    assert_eq!(get("9").await["errcode"], 40068);
    assert_eq!(get("x").await["errcode"], 40068);
    let contacts = b.contacts_token().await;
    let a = b.api(&format!("tag/get?access_token={contacts}&tagid=1")).await;
    assert_eq!(a["userlist"][0], json!({"userid": "zhangsan"}));
}

#[tokio::test]
async fn an_application_reads_its_own_range_and_nobody_else_does() {
    let b = SimulatorBench::start().await;
    b.sim.set_visible([2, 3], ["zhaoliu"]);
    b.sim.change_app(|a| a.visible.tags = [1].into());
    let token = b.app_token().await;
    let a = b.api(&format!("agent/get?access_token={token}&agentid=1000002")).await;
    assert_eq!((&a["errcode"], &a["name"], &a["close"]), (&json!(0), &json!("办公平台"), &json!(0)));
    assert_eq!(a["allow_userinfos"], json!({"user": [{"userid": "zhaoliu"}]}));
    assert_eq!(a["allow_partys"], json!({"partyid": [2, 3]}));
    assert_eq!(a["allow_tags"], json!({"tagid": [1]}));
    assert_eq!(b.errcode(&format!("agent/get?access_token={token}&agentid=1000003")).await, 301_002);
    assert_eq!(b.errcode(&format!("agent/get?access_token={token}")).await, 41011);
    let contacts = b.contacts_token().await;
    assert_eq!(b.errcode(&format!("agent/get?access_token={contacts}&agentid=1000002")).await, 48002);
}

#[tokio::test]
async fn what_a_test_changes_holds_from_the_next_call_on() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    let members = async |id: i64| {
        let a = b.api(&format!("user/list?department_id={id}&access_token={token}")).await;
        userids(&a).join(" ")
    };
    assert_eq!(members(6).await, "zhaoliu zhouba");
    assert!(b.sim.move_member("ZHOUBA", [2, 4]));
    assert_eq!((members(6).await, members(4).await), ("zhaoliu".into(), "wangwu zhouba".into()));
    assert!(b.sim.rename_department(4, "网页组") && b.sim.move_department(4, 6));
    assert!(b.sim.make_leader("wangwu", 4));
    let a = b.api(&format!("department/list?id=6&access_token={token}")).await;
    assert_eq!(ids(&a, "department"), [4, 6]);
    assert_eq!(
        (&a["department"][0]["name"], &a["department"][0]["department_leader"]),
        (&json!("网页组"), &json!(["wangwu"]))
    );
    assert!(!b.sim.move_member("nobody", [2]) && !b.sim.rename_department(99, "x"));
    assert!(!b.sim.set_status("nobody", SimulatedStatus::Left) && !b.sim.change_tag(99, |_| ()));
}

#[tokio::test]
async fn departments_in_a_circle_do_not_hang_a_call() {
    let b = SimulatorBench::start().await;
    let token = b.app_token().await;
    assert!(b.sim.move_department(3, 4));
    let a = b.api(&format!("department/list?access_token={token}")).await;
    assert_eq!(ids(&a, "department"), [1, 2, 6, 7]);
    b.sim.set_visible([1, 3], []);
    let a = b.api(&format!("user/list?department_id=3&fetch_child=1&access_token={token}")).await;
    assert_eq!(userids(&a), ["zhangsan", "wangwu", "wujiu"]);
}

//! Local units and persons, created, changed and deleted by hand: through the API and as a table.

use gongpai::testing::cli::directory as table;
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{PUBLIC_URL, TestApp, configuration, run_all_at_once};
use crate::support::audit::audit_rows;
use crate::support::changes::find_largest_publication;
use crate::support::chart_rows::{count_person_rows_named, find_released_persons};
use crate::support::directory::{
    call, call_as, directory_changes, find_holder, find_person, insert_department, problem, start_with_client,
};
use crate::support::planted_rows::{
    end_person_row, insert_identity, insert_member_row, make_local, mark_person_read, set_chart_version,
    set_memberships,
};
use crate::support::process::Program;
use crate::support::sessions::find_open_session_ids;

/// Creates an entry and returns it.
async fn create_entry(t: &TestApp, path: &str, body: Value) -> Value {
    let page = call(t, Method::POST, path, &body).await;
    assert_eq!(page.status, 201, "{body}: {}", page.text());
    let made: Value = page.json();
    let location = format!("/api/v1/directory{path}/{}", made["id"].as_str().expect("an id"));
    assert_eq!(page.header("location"), Some(&*location));
    made
}

fn entry_id(entry: &Value) -> &str {
    entry["id"].as_str().expect("an id")
}

/// Returns kind and change of every entry of the change feed, in order.
async fn noted_changes(t: &TestApp) -> Vec<String> {
    directory_changes(t)
        .await
        .iter()
        .map(|change| format!("{} {}", change.kind.as_str(), change.change.as_str()))
        .collect()
}

/// Returns userid and detail of the audit rows of an event.
async fn audit_details(t: &TestApp, event: &str) -> Vec<String> {
    audit_rows(t, event).await.iter().map(|row| format!("{}: {}", row.userid, row.detail)).collect()
}

#[tokio::test]
async fn a_unit_made_by_hand_has_the_documented_shape_and_is_known_at_once() {
    let t = start_with_client("").await;
    let finance = insert_department(&t, 2, "财务部", None).await;
    let body = json!({"name": "外包", "parent_id": "wecom:2", "order": 4294967295_u32, "leaders": ["lisi"]});
    let page = call(&t, Method::POST, "/units", &body).await;
    assert_eq!(page.status, 201, "{}", page.text());
    let unit: Value = page.json();
    let keys: Vec<_> = unit.as_object().unwrap().keys().cloned().collect();
    assert_eq!(keys, ["id", "wecom_id", "name", "parent_id", "path", "order", "source", "leaders"]);
    assert_eq!(unit["parent_id"], *finance);
    assert_eq!((&unit["path"], &unit["source"]), (&json!("财务部/外包"), &json!("local")));
    assert_eq!((&unit["order"], &unit["wecom_id"]), (&json!(4294967295_u32), &Value::Null));
    let etag = page.header("etag").expect("an ETag").to_owned();
    assert_eq!(etag, format!("\"{}\"", blake3::hash(&page.body).to_hex()));
    let chart = t.app.replica.chart();
    assert_eq!(
        &*chart.unit(&gongpai::testing::base::id::UnitId::new(entry_id(&unit))).expect("in memory").path,
        "财务部/外包"
    );
    assert_eq!(noted_changes(&t).await, ["unit created"]);
    assert_eq!(
        audit_details(&t, "directory").await,
        [format!(": created unit {}, by API client hr", entry_id(&unit))]
    );
}

#[tokio::test]
async fn a_change_merges_what_is_absent_stays_and_null_empties() {
    let t = start_with_client("").await;
    let top = create_entry(&t, "/units", json!({"name": "外部"})).await;
    let unit = create_entry(
        &t,
        "/units",
        json!({"name": "甲", "parent_id": entry_id(&top), "order": 7, "leaders": ["a"]}),
    )
    .await;
    let path = format!("/units/{}", entry_id(&unit));
    let page = call(&t, Method::PATCH, &path, &json!({"name": "乙"})).await;
    let now: Value = page.json();
    assert_eq!((&now["name"], &now["order"], &now["path"]), (&json!("乙"), &json!(7), &json!("外部/乙")));
    let now: Value =
        call(&t, Method::PATCH, &path, &json!({"parent_id": null, "leaders": null})).await.json();
    assert_eq!((&now["parent_id"], &now["leaders"], &now["path"]), (&Value::Null, &json!([]), &json!("乙")));
    let person = create_entry(
        &t,
        "/persons",
        json!({"userid": "Wai.1", "name": "外一", "email": "w@x.example", "attributes": {"工号": "7", "车": "x"},
               "memberships": [{"unit_id": entry_id(&unit), "leader": true}], "main_unit": entry_id(&unit)}),
    )
    .await;
    let keys: Vec<_> = person.as_object().unwrap().keys().cloned().collect();
    let want = [
        "id",
        "userid",
        "name",
        "status",
        "source",
        "main_unit",
        "memberships",
        "direct_leaders",
        "position",
        "mobile",
        "email",
        "alias",
        "attributes",
    ];
    assert_eq!(keys, want);
    assert_eq!(person["memberships"], json!([{"unit_id": entry_id(&unit), "order": 0, "leader": true}]));
    let path = format!("/persons/{}", entry_id(&person));
    let change = json!({"email": null, "attributes": {"车": null, "楼": "3"}, "userid": "wai-1"});
    let now: Value = call(&t, Method::PATCH, &path, &change).await.json();
    assert_eq!((&now["email"], &now["userid"]), (&json!(""), &json!("wai-1")));
    assert_eq!(now["attributes"], json!({"工号": "7", "楼": "3"}));
    assert_eq!((&now["name"], &now["main_unit"]), (&json!("外一"), &unit["id"]));
    assert_eq!(find_holder(&t, "wai-1").await, entry_id(&person));
    let count = noted_changes(&t).await.len();
    let same = call(&t, Method::PATCH, &path, &json!({})).await;
    assert_eq!((same.status.as_u16(), same.json::<Value>()), (200, now));
    assert_eq!(noted_changes(&t).await.len(), count, "nothing changed, nothing is told");
}

#[tokio::test]
async fn what_is_not_as_it_must_be_is_a_400_that_names_the_field() {
    let t = start_with_client("").await;
    let long = "长".repeat(129);
    for (path, body, field) in [
        ("/units", json!({}), "name"),
        ("/units", json!({"name": ""}), "name"),
        ("/units", json!({"name": " a"}), "name"),
        ("/units", json!({"name": "a\u{0}"}), "name"),
        ("/units", json!({"name": "a\nb"}), "name"),
        ("/units", json!({"name": long}), "name"),
        ("/units", json!({"name": "a", "parent_id": "wecom:99"}), "parent_id"),
        ("/units", json!({"name": "a", "parent_id": "财务部"}), "parent_id"),
        ("/units", json!({"name": "a", "order": -1}), "u32"),
        ("/units", json!({"name": "a", "order": 4294967296_i64}), "u32"),
        ("/units", json!({"name": "a", "leaders": ["a b"]}), "leaders"),
        ("/units", json!({"name": "a", "leaders": ["a", "A"]}), "leaders"),
        ("/units", json!({"name": "a", "source": "wecom"}), "source"),
        ("/persons", json!({"name": "a"}), "userid"),
        ("/persons", json!({"userid": "a", "name": ""}), "name"),
        ("/persons", json!({"userid": "-a", "name": "a"}), "userid"),
        ("/persons", json!({"userid": "a\u{0}", "name": "a"}), "userid"),
        ("/persons", json!({"userid": "张三", "name": "a"}), "userid"),
        ("/persons", json!({"userid": "a".repeat(65), "name": "a"}), "userid"),
        ("/persons", json!({"userid": "a", "name": "a", "status": "left"}), "status"),
        ("/persons", json!({"userid": "a", "name": "a", "email": "a b@c"}), "email"),
        ("/persons", json!({"userid": "a", "name": "a", "memberships": [{"unit_id": "x"}]}), "memberships"),
        ("/persons", json!({"userid": "a", "name": "a", "main_unit": "x"}), "main_unit"),
        ("/persons", json!({"userid": "a", "name": "a", "attributes": {"a": 1}}), "string"),
        ("/persons", json!({"userid": "a", "name": "a", "attributes": {"a": "\u{0}"}}), "attributes"),
        (
            "/persons",
            json!({"userid": "a", "name": "a", "direct_leaders": ["1","2","3","4","5","6"]}),
            "direct_leaders",
        ),
        ("/persons", json!({"userid": "a", "name": "a", "local_memberships": []}), "local_memberships"),
        ("/persons", json!({"userid": "a", "name": "a", "id": "x"}), "id"),
    ] {
        let page = call(&t, Method::POST, path, &body).await;
        assert_eq!(problem(&page), (400, "api.bad_request".into()), "{body}: {}", page.text());
        let detail = page.json::<Value>()["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(field), "{body}: {detail}");
    }
    for text in ["", "[]", "x", "1", "{\"name\": \"a\"", "null"] {
        let page = call_as(&t, "hr", Method::POST, "/units", text, None).await;
        assert_eq!(problem(&page), (400, "api.bad_request".into()), "{text}");
    }
    assert_eq!(
        (
            t.count_rows("persons").await,
            t.count_rows("unit_rows").await,
            t.count_rows("directory_changes").await
        ),
        (0, 0, 0)
    );
}

#[tokio::test]
async fn only_a_client_with_the_scope_writes_and_what_is_not_there_is_404() {
    let t = start_with_client("").await;
    for (method, path) in [
        (Method::POST, "/units"),
        (Method::POST, "/persons"),
        (Method::PATCH, "/units/x"),
        (Method::DELETE, "/persons/x"),
        (Method::GET, "/conflicts"),
        (Method::POST, "/conflicts/x/resolve"),
    ] {
        let page = call_as(&t, "oa", method.clone(), path, "{}", None).await;
        assert_eq!(problem(&page), (403, "api.forbidden_scope".into()), "{method} {path}");
    }
    for path in ["/units/x", "/persons/x", "/units/%00", "/persons/%00", "/units/%27"] {
        for method in [Method::PATCH, Method::DELETE] {
            let page = call_as(&t, "hr", method, path, "{}", None).await;
            assert_eq!(problem(&page), (404, "api.not_found".into()), "{path}");
        }
    }
}

#[tokio::test]
async fn no_unit_lies_below_itself_deeper_than_fifteen_levels_or_beside_one_of_its_name() {
    let t = start_with_client("").await;
    insert_department(&t, 1, "示例科技", None).await;
    insert_department(&t, 2, "财务部", Some(1)).await;
    let mut chain = vec![create_entry(&t, "/units", json!({"name": "1"})).await];
    for level in 2..=15 {
        let above = entry_id(chain.last().unwrap()).to_owned();
        chain.push(create_entry(&t, "/units", json!({"name": level.to_string(), "parent_id": above})).await);
    }
    let too_deep = json!({"name": "16", "parent_id": entry_id(&chain[14])});
    assert_eq!(problem(&call(&t, Method::POST, "/units", &too_deep).await).0, 400);
    // A unit moves with everything below it.
    let low = create_entry(&t, "/units", json!({"name": "low"})).await;
    let lower = json!({"parent_id": entry_id(&low)});
    let page = call(&t, Method::PATCH, &format!("/units/{}", entry_id(&chain[0])), &lower).await;
    assert_eq!(problem(&page).0, 400, "{}", page.text());
    for below in [&chain[0], &chain[3]] {
        let (path, body) = (format!("/units/{}", entry_id(&chain[0])), json!({"parent_id": entry_id(below)}));
        let page = call(&t, Method::PATCH, &path, &body).await;
        assert_eq!(problem(&page), (400, "api.bad_request".into()));
    }
    let page = call(&t, Method::POST, "/units", &json!({"name": "low"})).await;
    assert_eq!(problem(&page), (409, "directory.path_taken".into()));
    // The paths of departments are taken as well, above and below the root.
    for parent in [Value::Null, json!("wecom:1")] {
        let page = call(&t, Method::POST, "/units", &json!({"name": "财务部", "parent_id": parent})).await;
        assert_eq!(problem(&page), (409, "directory.path_taken".into()), "{parent}");
    }
    let page = call(&t, Method::PATCH, &format!("/units/{}", entry_id(&low)), &json!({"name": "1"})).await;
    assert_eq!(problem(&page), (409, "directory.path_taken".into()));
    create_entry(&t, "/units", json!({"name": "low", "parent_id": "wecom:2"})).await;
}

#[tokio::test]
async fn what_wecom_says_is_wecoms_to_change_but_a_member_may_be_in_local_units() {
    let t = start_with_client("").await;
    let finance = insert_department(&t, 2, "财务部", None).await;
    t.signed_in("zhangsan").await;
    set_memberships(&t.app.db, "zhangsan", &format!("[[\"{finance}\",5,1]]")).await;
    mark_person_read(&t.app.db, "zhangsan").await;
    let unit = create_entry(&t, "/units", json!({"name": "羽毛球"})).await;
    let zhang = find_holder(&t, "zhangsan").await;
    let path = format!("/persons/{zhang}");
    for body in [json!({"name": "x"}), json!({}), json!({"local_memberships": [], "name": "x"})] {
        let page = call(&t, Method::PATCH, &path, &body).await;
        assert_eq!(problem(&page), (409, "directory.owned_by_wecom".into()), "{body}");
    }
    for (method, path) in [
        (Method::DELETE, path.clone()),
        (Method::PATCH, format!("/units/{finance}")),
        (Method::DELETE, format!("/units/{finance}")),
    ] {
        let page = call(&t, method, &path, &json!({})).await;
        assert_eq!(problem(&page), (409, "directory.owned_by_wecom".into()), "{path}");
    }
    let page = call(&t, Method::PATCH, &path, &json!({"local_memberships": [{"unit_id": finance}]})).await;
    assert_eq!(problem(&page).0, 400);
    let body = json!({"local_memberships": [{"unit_id": entry_id(&unit), "leader": true}]});
    let now: Value = call(&t, Method::PATCH, &path, &body).await.json();
    let want = json!([{"unit_id": finance, "order": 5, "leader": true}, {"unit_id": entry_id(&unit), "order": 0, "leader": true}]);
    assert_eq!(now["memberships"], want);
    assert_eq!(
        find_person(&t, "zhangsan").await.unwrap().fingerprint,
        "as read",
        "no run need read the member again"
    );
    let now: Value = call(&t, Method::PATCH, &path, &json!({"local_memberships": []})).await.json();
    assert_eq!(now["memberships"].as_array().unwrap().len(), 1);
    assert_eq!((&now["name"], &now["source"]), (&json!("张三"), &json!("wecom")));
}

#[tokio::test]
async fn a_unit_goes_only_when_it_is_empty_and_a_person_goes_with_the_claim_to_the_userid() {
    let t = start_with_client("").await;
    let unit = create_entry(&t, "/units", json!({"name": "外部"})).await;
    let below = create_entry(&t, "/units", json!({"name": "甲", "parent_id": entry_id(&unit)})).await;
    let body = json!({"userid": "wai1", "name": "外一", "memberships": [{"unit_id": entry_id(&unit)}]});
    let person = create_entry(&t, "/persons", body.clone()).await;
    let path = format!("/units/{}", entry_id(&unit));
    let page = call(&t, Method::DELETE, &path, &Value::Null).await;
    assert_eq!(problem(&page), (409, "directory.not_empty".into()));
    assert_eq!(page.json::<Value>()["detail"], "1 units and 1 persons are in this unit");
    let again = json!({"userid": "WAI1", "name": "外二"});
    assert_eq!(
        problem(&call(&t, Method::POST, "/persons", &again).await),
        (409, "directory.userid_taken".into())
    );
    for gone in
        [format!("/units/{}", entry_id(&below)), format!("/persons/{}", entry_id(&person)), path.clone()]
    {
        assert_eq!(call(&t, Method::DELETE, &gone, &Value::Null).await.status, 204, "{gone}");
        assert_eq!(problem(&call(&t, Method::DELETE, &gone, &Value::Null).await).0, 404);
    }
    assert_eq!(
        (t.count_rows("persons").await, t.count_rows("person_rows").await, t.count_rows("unit_rows").await),
        (0, 0, 0)
    );
    assert!(t.app.replica.chart().units().next().is_none());
    let again = create_entry(&t, "/persons", again).await;
    assert_ne!(again["id"], person["id"], "a userid that is used again never inherits");
    assert_eq!(
        noted_changes(&t).await,
        [
            "unit created",
            "unit created",
            "person created",
            "unit removed",
            "person removed",
            "unit removed",
            "person created"
        ]
    );
}

#[tokio::test]
async fn a_removed_person_is_signed_out_and_the_userid_is_free_though_the_session_is_kept() {
    let t = start_with_client("").await;
    let phone = t.signed_in("zhangsan").await;
    make_local(&t.app.db, "zhangsan").await;
    let zhang = find_holder(&t, "zhangsan").await;
    assert_eq!(call(&t, Method::DELETE, &format!("/persons/{zhang}"), &Value::Null).await.status, 204);
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 401);
    assert_eq!((t.count_rows("sessions").await, t.count_rows("person_rows").await), (1, 0));
    assert_eq!(find_released_persons(&t.app.db).await, [zhang]);
    create_entry(&t, "/persons", json!({"userid": "zhangsan", "name": "另一个"})).await;
}

#[tokio::test]
async fn a_local_person_who_is_disabled_is_signed_out() {
    let t = start_with_client("").await;
    let phone = t.signed_in("zhangsan").await;
    make_local(&t.app.db, "zhangsan").await;
    let zhang = find_holder(&t, "zhangsan").await;
    let page = call(&t, Method::PATCH, &format!("/persons/{zhang}"), &json!({"status": "disabled"})).await;
    assert_eq!(page.json::<Value>()["status"], "disabled");
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 401);
    assert!(find_open_session_ids(&t.app.db).await.is_empty());
}

#[tokio::test]
async fn whoever_knows_an_older_state_changes_nothing() {
    let t = start_with_client("").await;
    for (path, body) in
        [("/units", json!({"name": "甲"})), ("/persons", json!({"userid": "a", "name": "甲"}))]
    {
        let page = call(&t, Method::POST, path, &body).await;
        let (entry, etag) = (page.json::<Value>(), page.header("etag").unwrap().to_owned());
        let path = format!("{path}/{}", entry_id(&entry));
        let change = r#"{"name": "乙"}"#;
        let page = call_as(&t, "hr", Method::PATCH, &path, change, Some("\"older\"")).await;
        assert_eq!(problem(&page), (412, "api.precondition_failed".into()));
        let page = call_as(&t, "hr", Method::PATCH, &path, change, Some(&etag)).await;
        assert_eq!(page.status, 200, "{}", page.text());
        let now = page.header("etag").unwrap().to_owned();
        assert_ne!(now, etag);
        let page = call_as(&t, "hr", Method::DELETE, &path, "", Some(&etag)).await;
        assert_eq!(problem(&page), (412, "api.precondition_failed".into()));
        assert_eq!(call_as(&t, "hr", Method::DELETE, &path, "", Some(&now)).await.status, 204);
    }
}

#[tokio::test]
async fn what_a_run_is_about_to_change_waits_for_it() {
    let t = start_with_client("").await;
    let unit = create_entry(&t, "/units", json!({"name": "外部"})).await;
    let body = json!({"userid": "wai1", "name": "外一", "memberships": []});
    let person = create_entry(&t, "/persons", body).await;
    let path = format!("/persons/{}", entry_id(&person));
    // A run has prepared the next version, in which the person is a member of WeCom's and another
    // one is new.
    let (db, corp) = (&t.app.db, t.app.config.wecom.corp_id.as_str());
    end_person_row(db, "wai1", 1).await;
    let in_unit = format!("[[\"{}\",0,0]]", entry_id(&unit));
    insert_member_row(db, corp, entry_id(&person), ("wai1", "x"), &in_unit, 1).await;
    insert_identity(db, corp, "n", "new", 0).await.expect("nobody has the userid");
    insert_member_row(db, corp, "n", ("new", "x"), "[]", 1).await;
    let busy = (409, "directory.busy".to_owned());
    assert_eq!(problem(&call(&t, Method::PATCH, &path, &json!({"name": "乙"})).await), busy);
    assert_eq!(problem(&call(&t, Method::DELETE, &path, &Value::Null).await), busy);
    let new = json!({"userid": "New", "name": "x"});
    assert_eq!(problem(&call(&t, Method::POST, "/persons", &new).await), busy);
    let page = call(&t, Method::DELETE, &format!("/units/{}", entry_id(&unit)), &Value::Null).await;
    assert_eq!(problem(&page), busy, "somebody is in it in the next version");
    assert_eq!(count_person_rows_named(&t.app.db, "x").await, 2, "the run's rows are as they were");
    // The version is published: the local person is WeCom's now.
    set_chart_version(&t.app.db, 1).await;
    let page = call(&t, Method::PATCH, &path, &json!({"name": "乙"})).await;
    assert_eq!(problem(&page), (409, "directory.owned_by_wecom".into()));
    assert_eq!(
        problem(&call(&t, Method::POST, "/persons", &new).await),
        (409, "directory.userid_taken".into())
    );
}

#[tokio::test]
async fn many_hands_at_once_leave_a_tree_and_one_holder_of_a_userid() {
    let t = std::sync::Arc::new(start_with_client("").await);
    let mut units = Vec::new();
    for name in ["a", "b", "c", "d"] {
        units.push(entry_id(&create_entry(&t, "/units", json!({"name": name})).await).to_owned());
    }
    // Every unit moves below the next one: one of the moves must fail.
    let moves = (0..4).map(|n| {
        let (t, path, below) = (t.clone(), format!("/units/{}", units[n]), units[(n + 1) % 4].clone());
        async move { call(&t, Method::PATCH, &path, &json!({"parent_id": below})).await.status.as_u16() }
    });
    let mut answers = run_all_at_once(moves).await;
    answers.sort_unstable();
    assert_eq!(answers, [200, 200, 200, 400]);
    let claims = (0..6).map(|n| {
        let t = t.clone();
        async move {
            let userid = if n % 2 == 0 { "wai" } else { "WAI" };
            call(&t, Method::POST, "/persons", &json!({"userid": userid, "name": "x"})).await.status.as_u16()
        }
    });
    let mut answers = run_all_at_once(claims).await;
    answers.sort_unstable();
    assert_eq!(answers, [201, 409, 409, 409, 409, 409]);
    assert_eq!((t.count_rows("persons").await, t.count_rows("person_rows").await), (1, 1));
}

/// Imports a text. Returns whether it was accepted, and what was printed.
async fn import_csv(t: &TestApp, text: &[u8], dry_run: bool) -> (bool, String) {
    let file = t.data_dir().join("table.csv");
    std::fs::write(&file, text).unwrap();
    let mut out = Vec::new();
    let file = file.to_str().unwrap();
    let well = table::import_persons(&t.app.config, &t.app.clock, file, dry_run, &mut out).await.unwrap();
    t.app.sessions.refresh().await.unwrap();
    (well, String::from_utf8(out).unwrap())
}

async fn export_csv(t: &TestApp, everybody: bool) -> String {
    let mut out = Vec::new();
    table::export_persons(&t.app.config, "-", everybody, &mut out).await.unwrap();
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn a_table_makes_persons_and_the_units_that_are_missing_and_twice_the_same_changes_nothing() {
    let t = start_with_client("").await;
    let rd = insert_department(&t, 2, "研发部", None).await;
    let text = "\u{feff}账号,姓名,手机,邮箱,工号,职务,部门,状态\r\n\
                wai1,外一,'+8613800000000,w@x.example,007,顾问,研发部/外包/前端组；研发部,正常\r\n\
                wai2,\"外,二\",,,,,研发部 / 外包,已禁用\r\n,,,,,,,\r\n";
    let (well, said) = import_csv(&t, text.as_bytes(), true).await;
    assert!(well, "{said}");
    assert_eq!(
        said,
        "+ unit 研发部/外包\n+ unit 研发部/外包/前端组\n+ person wai1 外一\n+ person wai2 外,二\n\
         units: 2 new; persons: 2 new, 0 changed, 0 as they were\nthis was a rehearsal: nothing was written\n\
         nobody is removed by an import\n"
    );
    assert_eq!((t.count_rows("persons").await, t.count_rows("unit_rows").await), (0, 1));
    let (well, said) = import_csv(&t, text.as_bytes(), false).await;
    assert!(well && said.starts_with("units: 2 new; persons: 2 new, 0 changed"), "{said}");
    assert_eq!(noted_changes(&t).await, ["unit created", "unit created", "person created", "person created"]);
    let chart = t.app.replica.chart();
    let front = chart
        .find_unit(&gongpai::testing::directory::chart::ChartReference::parse("研发部/外包/前端组").unwrap())
        .unwrap();
    let member = gongpai::testing::directory::store::find_person_by_userid(
        &t.app.db,
        &t.app.config.wecom.corp_id,
        &gongpai::testing::base::id::UserId::new("wai1"),
    )
    .await
    .unwrap()
    .expect("the person");
    let places: Vec<_> = member.memberships.iter().map(|m| m.unit.as_str()).collect();
    assert_eq!(places, [front.unit.id.as_str(), &rd]);
    assert_eq!(member.main_unit.as_ref(), Some(&front.unit.id));
    assert_eq!((&*member.details.mobile, member.details.employee_number()), ("+8613800000000", "007"));
    let (well, said) = import_csv(&t, text.as_bytes(), false).await;
    assert!(well && said.starts_with("units: 0 new; persons: 0 new, 0 changed, 2 as they were"), "{said}");
    assert_eq!(noted_changes(&t).await.len(), 4);
    // A missing column changes nothing, an empty cell empties the field, a missing row removes
    // nobody.
    let (well, said) = import_csv(&t, "userid,mobile\nWAI1,\n".as_bytes(), true).await;
    assert!(well && said.starts_with("~ person wai1 外一: mobile\n"), "{said}");
    import_csv(&t, "userid,mobile\nWAI1,\n".as_bytes(), false).await;
    assert_eq!(t.count_rows("persons").await, 2);
    let events = audit_details(&t, "directory").await;
    assert_eq!(events.iter().filter(|e| e.ends_with("the person, by import")).count(), 3, "{events:?}");
}

#[tokio::test]
async fn if_one_row_is_wrong_everything_wrong_is_said_with_its_line_and_nothing_is_written() {
    let t = start_with_client("").await;
    insert_department(&t, 2, "研发部", None).await;
    t.signed_in("zhangsan").await;
    let text = "userid,name,units,status,email\nwai1,外一,研发部/新,,\nZhangSan,张三,,,\nwai2,,,,\nwai3,外三,,gone,\n\
                -wai4,外四,,,\nwai5,外五,,,no address\n";
    let (well, said) = import_csv(&t, text.as_bytes(), false).await;
    assert!(!well);
    let lines: Vec<_> = said.lines().map(|line| line.split(':').next().unwrap()).collect();
    assert_eq!(lines, ["line 3", "line 4", "line 5", "line 6", "line 7", "nothing was written"], "{said}");
    assert!(said.contains("zhangsan is a member of WeCom's"), "{said}");
    assert_eq!((t.count_rows("persons").await, t.count_rows("unit_rows").await), (1, 1));
    for (text, line) in [
        (&b"userid,name\nwai1,\xff\n"[..], "line 2: neither UTF-8 nor GB18030"),
        (b"", "line 1: the file is empty"),
        (b"userid,colour\n", "line 1: no column is called"),
        (b"name\nx\n", "line 1: the column userid"),
        (b"userid,name\na,b\nA,c\n", "line 3: A is in line 2, too"),
        (b"userid,name\na\n", "line 2: 1 cells, but 2 columns"),
        (b"userid,name,units\na,b,wecom:99\n", "line 2: there is no unit wecom:99"),
        (b"userid,name,units\na,b,x//y\n", "line 2: x//y"),
        (b"userid,name\na\0,b\n", "line 2: userid"),
        (b"userid,name\n\"a,b\nc,d\n", "line 2:"),
    ] {
        let (well, said) = import_csv(&t, text, false).await;
        assert!(!well && said.starts_with(line) && said.ends_with("nothing was written\n"), "{said}");
    }
}

#[tokio::test]
async fn an_export_is_read_back_as_it_was_and_no_cell_of_it_is_calculated() {
    let t = start_with_client("").await;
    let unit = create_entry(&t, "/units", json!({"name": "甲;乙"})).await;
    let odd = create_entry(&t, "/units", json!({"name": "=1+1"})).await;
    for (userid, name) in [("a1", "=cmd|' /C calc'!A0"), ("a2", "'quoted"), ("a3", "@x,\"y\""), ("a4", "-1")]
    {
        let memberships =
            json!([{"unit_id": entry_id(&odd), "order": 3}, {"unit_id": entry_id(&unit), "leader": true}]);
        let body = json!({"userid": userid, "name": name, "mobile": "+86 138", "memberships": memberships,
                          "main_unit": entry_id(&unit), "attributes": {"工号": "1"}});
        create_entry(&t, "/persons", body).await;
    }
    t.signed_in("zhangsan").await;
    let text = export_csv(&t, false).await;
    assert!(
        text.starts_with("\u{feff}userid,name,mobile,email,employee_number,position,units,status\r\n"),
        "{text}"
    );
    assert_eq!(text.lines().count(), 5, "{text}");
    for cell in text.split(['\n', ',']).map(|cell| cell.trim_start_matches('"')) {
        assert!(!cell.starts_with(['=', '+', '-', '@']), "{cell:?} in {text}");
    }
    let (well, said) = import_csv(&t, text.as_bytes(), false).await;
    assert!(well && said.starts_with("units: 0 new; persons: 0 new, 0 changed, 4 as they were"), "{said}");
    assert!(export_csv(&t, true).await.contains("zhangsan,张三"));
}

#[tokio::test]
async fn thousands_of_rows_are_written_in_short_transactions() {
    let t = start_with_client("").await;
    let mut text = "userid,name,units\n".to_owned();
    for n in 0..2_100 {
        text.push_str(&format!("wai{n},外{n},外部/组{}\n", n % 20));
    }
    let (well, said) = import_csv(&t, text.as_bytes(), false).await;
    assert!(well && said.starts_with("units: 21 new; persons: 2100 new"), "{said}");
    assert_eq!(t.count_rows("person_rows").await, 2_100);
    let most = find_largest_publication(&t.app.db).await;
    assert!(most <= 500, "{most} in one transaction");
}

#[tokio::test]
async fn the_command_says_by_its_exit_code_whether_the_table_was_right() {
    let t = start_with_client("").await;
    let folder = tempfile::tempdir().unwrap();
    let config = configuration(&t.wecom, t.database(), "");
    std::fs::write(folder.path().join("gongpai.toml"), config).unwrap();
    std::fs::write(folder.path().join("good.csv"), "userid,name\nwai1,外一\n").unwrap();
    std::fs::write(folder.path().join("bad.csv"), "userid,name\nwai1,\n").unwrap();
    let run = async |args: &[&str]| Program::gongpai().cwd(folder.path()).args(args).run().await;
    for (args, code) in [
        (&["directory", "import", "bad.csv"][..], 1),
        (&["directory", "import", "none.csv"], 1),
        (&["directory", "import"], 2),
        (&["directory", "import", "good.csv", "--dry-run"], 0),
        (&["directory", "import", "good.csv"], 0),
        (&["directory", "export", "out.csv"], 0),
        (&["directory", "import", "out.csv"], 0),
        (&["directory", "conflicts", "list"], 0),
        (&["directory", "conflicts", "resolve", "x"], 2),
        (&["directory", "conflicts", "resolve", "x", "--separate"], 1),
        (&["rules", "accept"], 0),
        (&["rules", "accept", "lisi"], 1),
    ] {
        let finished = run(args).await;
        assert_eq!(finished.code(), Some(code), "{args:?}: {} {}", finished.stdout, finished.stderr);
    }
    let text = std::fs::read_to_string(folder.path().join("out.csv")).unwrap();
    assert!(text.contains("wai1,外一"), "{text}");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(folder.path().join("out.csv")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

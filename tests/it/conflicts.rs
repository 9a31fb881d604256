//! Conflicts (whether two persons are one), and userids in rules that belong to somebody else now.

use gongpai::testing::audit::AuditRow;
use gongpai::testing::base::id::{PersonId, UnitId, UserId};
use gongpai::testing::cli;
use gongpai::testing::db::feed::FeedKind;
use gongpai::testing::directory::bindings::BindingMatch;
use gongpai::testing::directory::changes::DirectoryEntity;
use gongpai::testing::directory::{self, Person};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::app::{PUBLIC_URL, TestApp, run_all_at_once};
use crate::support::audit::audit_rows;
use crate::support::chart_rows::{count_holders_of_userid, find_released_persons};
use crate::support::conflicts::conflict_state;
use crate::support::directory::{
    call, directory_changes, find_holder, insert_department, problem, start_with_client,
};
use crate::support::feed::find_announced_ids;
use crate::support::planted_rows::{
    ConflictFixture, RunFixture, end_person_row, expire_run_leases, insert_binding, mark_person_left,
    rename_person, reopen_person_row, set_memberships, set_person_details,
};
use crate::support::sessions::find_open_session_ids;

/// Creates a local person and returns the id.
async fn create_local_person(t: &TestApp, body: Value) -> String {
    let page = call(t, Method::POST, "/persons", &body).await;
    assert_eq!(page.status, 201, "{}", page.text());
    page.json::<Value>()["id"].as_str().expect("an id").to_owned()
}

/// Inserts a conflict about `person` and `candidates`, as a run does, and returns its id.
async fn insert_conflict(t: &TestApp, id: &str, kind: &str, person: &str, candidates: &[&str]) -> String {
    let corp = t.app.config.wecom.corp_id.as_str();
    ConflictFixture::open(id, kind, person, candidates).write(&t.app.db, corp).await;
    id.to_owned()
}

/// Returns what a userid in a rule means for a person, according to the table.
async fn match_rule(t: &TestApp, userid: &str, person: &str) -> BindingMatch {
    let corp = &t.app.config.wecom.corp_id;
    let bindings =
        directory::bindings::store::load_bindings(&t.app.db, corp).await.expect("the database answers");
    bindings.match_person(&UserId::new(userid).folded(), &PersonId::new(person))
}

/// Returns the userids whose bindings replicas have to read again.
async fn announced_bindings(t: &TestApp) -> Vec<String> {
    find_announced_ids(&t.app.db, FeedKind::Binding).await
}

fn details(rows: &[AuditRow]) -> Vec<&str> {
    rows.iter().map(|row| row.detail.as_str()).collect()
}

async fn resolve(t: &TestApp, conflict: &str, person: &str) -> crate::support::browser::Page {
    call(t, Method::POST, &format!("/conflicts/{conflict}/resolve"), &json!({"person_id": person})).await
}

async fn list_conflicts(t: &TestApp) -> Vec<Value> {
    let page = call(t, Method::GET, "/conflicts", &Value::Null).await;
    assert_eq!(page.status, 200, "{}", page.text());
    page.json::<Value>()["items"].as_array().expect("items").clone()
}

async fn read_person(t: &TestApp, id: &str) -> Option<Person> {
    let corp = &t.app.config.wecom.corp_id;
    directory::store::find_person(&t.app.db, corp, &PersonId::new(id)).await.expect("the database answers")
}

#[tokio::test]
async fn two_who_are_one_become_one_with_the_id_that_applications_know() {
    let t = start_with_client("").await;
    let finance = insert_department(&t, 2, "财务部", None).await;
    let club = call(&t, Method::POST, "/units", &json!({"name": "羽毛球"})).await.json::<Value>();
    let club = club["id"].as_str().unwrap();
    let memberships = json!([{"unit_id": finance}, {"unit_id": club, "leader": true}]);
    let body = json!({"userid": "wai1", "name": "张三丰", "mobile": "138", "position": "顾问", "status": "disabled",
                      "memberships": memberships, "attributes": {"车": "x", "楼": "1"}});
    let (known, other) = (
        create_local_person(&t, body).await,
        create_local_person(&t, json!({"userid": "wai2", "name": "张三"})).await,
    );
    let phone = t.signed_in("zhangsan").await;
    let zhang = find_holder(&t, "zhangsan").await;
    set_memberships(&t.app.db, &zhang, &json!([[finance, 9, 0]]).to_string()).await;
    let detail = json!({"mobile": "139", "attributes": {"楼": "2"}}).to_string();
    set_person_details(&t.app.db, &zhang, &finance, &detail).await;
    insert_binding(&t.app.db, t.app.config.wecom.corp_id.as_str(), "zhangsan", &zhang).await;
    let conflict = insert_conflict(&t, "c1", "ambiguous", &zhang, &[&known, &other]).await;
    let items = list_conflicts(&t).await;
    let keys: Vec<_> = items[0].as_object().unwrap().keys().take(4).cloned().collect();
    assert_eq!(keys, ["id", "kind", "person_id", "candidates"]);
    assert_eq!((&items[0]["person_id"], &items[0]["candidates"]), (&json!(zhang), &json!([known, other])));
    assert_eq!(
        (&items[0]["person"]["name"], &items[0]["people"][1]["userid"]),
        (&json!("张三"), &json!("wai2"))
    );

    let page = resolve(&t, &conflict, &known).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(page.json::<Value>(), json!({"id": conflict, "state": "merged", "person_id": known}));
    assert!(read_person(&t, &zhang).await.is_none());
    let one = read_person(&t, &known).await.expect("the one");
    assert_eq!(
        (one.userid.as_str(), &*one.name, one.source.as_str(), one.status.as_str()),
        ("zhangsan", "张三", "wecom", "active")
    );
    let places: Vec<_> = one.memberships.iter().map(|m| (m.unit.as_str(), m.order, m.leader)).collect();
    assert_eq!(places, [(&*finance, 9, false), (club, 0, true)], "WeCom's as WeCom says, local ones of both");
    assert_eq!((&*one.details.mobile, &*one.details.position), ("139", "顾问"));
    assert_eq!(
        one.details.attributes.iter().map(|(n, v)| format!("{n}{v}")).collect::<Vec<_>>(),
        ["楼2", "车x"]
    );
    assert_eq!((one.main_unit.as_ref().map(UnitId::as_str), &*one.fingerprint), (Some(&*finance), ""));
    // The session of the removed person has ended; the next sign-in is the other person's.
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 401);
    assert!(find_open_session_ids(&t.app.db).await.is_empty());
    let mut phone = t.signed_in("zhangsan").await;
    let session: Value = phone.fetch(format!("{PUBLIC_URL}/sso/session")).await.json();
    assert_eq!(session["sub"], known);
    assert_eq!(match_rule(&t, "zhangsan", &known).await, BindingMatch::Same);
    assert_eq!(announced_bindings(&t).await, ["zhangsan"], "replicas hear of it");
    assert_eq!(
        t.count_rows("persons").await - i64::try_from(find_released_persons(&t.app.db).await.len()).unwrap(),
        2
    );
    let changes = directory_changes(&t).await;
    let notes: Vec<_> = changes
        .iter()
        .filter(|change| change.kind == DirectoryEntity::Person)
        .map(|change| format!("{} {}", change.change.as_str(), change.id))
        .collect();
    assert_eq!(notes[3..5], [format!("removed {zhang}"), format!("updated {known}")]);
    let audit = audit_rows(&t, "conflict").await;
    assert_eq!(
        details(&audit),
        [format!("conflict c1: {zhang} is {known}, whose userid was wai1, by API client hr")]
    );
    // The userid of the local entry is free, and the conflict is closed.
    assert_eq!(problem(&resolve(&t, &conflict, &known).await), (409, "directory.conflict_closed".into()));
    assert!(list_conflicts(&t).await.is_empty());
    create_local_person(&t, json!({"userid": "wai1", "name": "x"})).await;
}

#[tokio::test]
async fn two_who_are_two_stay_and_nobody_asks_again() {
    let t = start_with_client("").await;
    let known = create_local_person(&t, json!({"userid": "wai1", "name": "张三"})).await;
    let phone = t.signed_in("zhangsan").await;
    let zhang = find_holder(&t, "zhangsan").await;
    let conflict = insert_conflict(&t, "c1", "ambiguous", &zhang, &[&known]).await;
    for stranger in ["x", "", "\u{0}"] {
        assert_eq!(problem(&resolve(&t, &conflict, stranger).await), (400, "api.bad_request".into()));
    }
    for body in
        [json!({}), json!({"person_id": 1}), json!({"person_id": known, "x": 1}), json!({"person_id": null})]
    {
        let page = call(&t, Method::POST, "/conflicts/c1/resolve", &body).await;
        assert_eq!(problem(&page), (400, "api.bad_request".into()), "{body}");
    }
    for nothing in ["x", "%00"] {
        assert_eq!(problem(&resolve(&t, nothing, &known).await), (404, "api.not_found".into()));
    }
    let page = resolve(&t, &conflict, &zhang).await;
    assert_eq!(page.json::<Value>(), json!({"id": "c1", "state": "separate", "person_id": zhang}));
    assert!(read_person(&t, &zhang).await.is_some() && read_person(&t, &known).await.is_some());
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 200, "nobody is signed out");
    assert_eq!(problem(&resolve(&t, &conflict, &known).await), (409, "directory.conflict_closed".into()));
    assert_eq!((conflict_state(&t, "c1").await, list_conflicts(&t).await.len()), ("separate".into(), 0));
}

#[tokio::test]
async fn whoever_came_back_with_the_userid_can_be_said_to_be_the_one_who_left() {
    let t = start_with_client("").await;
    let old_phone = t.signed_in("zhangsan").await;
    let before = find_holder(&t, "zhangsan").await;
    mark_person_left(&t.app.db, "zhangsan", Some(0)).await;
    rename_person(&t.app.db, "zhangsan", "张三（旧）").await;
    t.advance(std::time::Duration::from_secs(60)).await;
    t.signed_in("zhangsan").await;
    let now = find_holder(&t, "zhangsan").await;
    assert_ne!(now, before, "a userid that is used again never inherits");
    let items = list_conflicts(&t).await;
    assert_eq!((&items[0]["kind"], &items[0]["candidates"]), (&json!("reused"), &json!([before])));
    let page = resolve(&t, items[0]["id"].as_str().unwrap(), &before).await;
    assert_eq!(page.status, 200, "{}", page.text());
    assert_eq!(find_holder(&t, "zhangsan").await, before);
    let one = read_person(&t, &before).await.unwrap();
    assert_eq!((one.status.as_str(), one.left_at, &*one.name), ("active", None, "张三"));
    assert_eq!(
        t.check(&old_phone, &format!("{PUBLIC_URL}/x")).await.status,
        401,
        "no old session comes alive"
    );
    t.signed_in("zhangsan").await;
    assert_eq!(find_holder(&t, "zhangsan").await, before);
}

#[tokio::test]
async fn a_member_of_wecoms_of_its_own_is_nobody_else() {
    let t = start_with_client("").await;
    t.signed_in("zhangsan").await;
    t.signed_in("lisi").await;
    let (zhang, li) = (find_holder(&t, "zhangsan").await, find_holder(&t, "lisi").await);
    let conflict = insert_conflict(&t, "c1", "renamed", &zhang, &[&li]).await;
    assert_eq!(problem(&resolve(&t, &conflict, &li).await), (409, "directory.owned_by_wecom".into()));
    assert_eq!(find_open_session_ids(&t.app.db).await.len(), 2, "nothing happened");
    mark_person_left(&t.app.db, &li, None).await;
    assert_eq!(resolve(&t, &conflict, &li).await.status, 200);
    assert_eq!(find_holder(&t, "zhangsan").await, li);
}

#[tokio::test]
async fn nobody_is_merged_while_a_run_knows_the_two_as_two() {
    let t = start_with_client("").await;
    let known = create_local_person(&t, json!({"userid": "wai1", "name": "张三"})).await;
    t.signed_in("zhangsan").await;
    let zhang = find_holder(&t, "zhangsan").await;
    let conflict = insert_conflict(&t, "c1", "ambiguous", &zhang, &[&known]).await;
    let busy = (409, "directory.busy".to_owned());
    for id in [&zhang, &known] {
        end_person_row(&t.app.db, id, 1).await;
        assert_eq!(problem(&resolve(&t, &conflict, &known).await), busy, "{id} changes in the next version");
        reopen_person_row(&t.app.db, id).await;
    }
    let later = t.app.clock.now().millis() + 60_000;
    RunFixture::running("r", "x", later).write(&t.app.db, t.app.config.wecom.corp_id.as_str()).await;
    assert_eq!(problem(&resolve(&t, &conflict, &known).await), busy, "a run has read both");
    assert_eq!(find_open_session_ids(&t.app.db).await.len(), 1, "nothing happened");
    expire_run_leases(&t.app.db).await;
    assert_eq!(resolve(&t, &conflict, &known).await.status, 200, "a run that died holds nobody up");
}

#[tokio::test]
async fn who_became_somebody_or_was_removed_is_no_candidate_any_more() {
    let t = start_with_client("").await;
    let one = create_local_person(&t, json!({"userid": "wai1", "name": "张三"})).await;
    let other = create_local_person(&t, json!({"userid": "wai2", "name": "张三"})).await;
    for userid in ["zhangsan", "lisi", "wangwu"] {
        t.signed_in(userid).await;
    }
    let (zhang, li, wang) =
        (find_holder(&t, "zhangsan").await, find_holder(&t, "lisi").await, find_holder(&t, "wangwu").await);
    insert_conflict(&t, "c1", "ambiguous", &zhang, &[&one, &other]).await;
    insert_conflict(&t, "c2", "ambiguous", &li, &[&one, &other]).await;
    insert_conflict(&t, "c3", "ambiguous", &wang, &[&one]).await;
    assert_eq!(resolve(&t, "c1", &one).await.status, 200);
    assert_eq!(conflict_state(&t, "c3").await, "gone", "nobody is left to ask about");
    let items = list_conflicts(&t).await;
    assert_eq!(items.len(), 1);
    assert_eq!(items[0]["candidates"], json!([other]));
    assert_eq!(call(&t, Method::DELETE, &format!("/persons/{other}"), &Value::Null).await.status, 204);
    assert_eq!(
        (conflict_state(&t, "c2").await, conflict_state(&t, "c1").await),
        ("gone".into(), "merged".into())
    );
}

#[tokio::test]
async fn of_two_answers_at_once_one_counts() {
    let t = std::sync::Arc::new(start_with_client("").await);
    let one = create_local_person(&t, json!({"userid": "wai1", "name": "张三"})).await;
    let other = create_local_person(&t, json!({"userid": "wai2", "name": "张三"})).await;
    t.signed_in("zhangsan").await;
    let zhang = find_holder(&t, "zhangsan").await;
    insert_conflict(&t, "c1", "ambiguous", &zhang, &[&one, &other]).await;
    let answers = [one.clone(), other, zhang, one].map(|person| {
        let t = t.clone();
        async move { resolve(&t, "c1", &person).await.status.as_u16() }
    });
    let mut statuses = run_all_at_once(answers).await;
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 409, 409, 409]);
    assert_eq!(count_holders_of_userid(&t.app.db, "zhangsan").await, 1);
    let rows = t.count_rows("person_rows").await;
    assert_eq!(rows, if conflict_state(&t, "c1").await == "merged" { 2 } else { 3 });
}

#[tokio::test]
async fn conflicts_are_listed_page_by_page_and_only_about_whom_everybody_sees() {
    let t = start_with_client("").await;
    let one = create_local_person(&t, json!({"userid": "wai1", "name": "张三"})).await;
    for n in 1..=5 {
        insert_conflict(&t, &format!("c{n}"), "renamed", &one, &["x"]).await;
    }
    insert_conflict(&t, "c6", "renamed", "prepared", &["x"]).await;
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = call(&t, Method::GET, &format!("/conflicts?limit=2&cursor={cursor}"), &Value::Null).await;
        let page: Value = page.json();
        seen.extend(page["items"].as_array().unwrap().iter().map(|c| c["id"].as_str().unwrap().to_owned()));
        match page["next_cursor"].as_str() {
            Some(next) => next.clone_into(&mut cursor),
            None => break,
        }
    }
    assert_eq!(seen, ["c1", "c2", "c3", "c4", "c5"]);
    for bad in ["limit=0", "limit=x", "x=1", "cursor=%00"] {
        assert_eq!(problem(&call(&t, Method::GET, &format!("/conflicts?{bad}"), &Value::Null).await).0, 400);
    }
}

#[tokio::test]
async fn a_conflict_of_a_kind_that_only_a_newer_version_knows_is_listed_and_decided() {
    let t = start_with_client("").await;
    let known = create_local_person(&t, json!({"userid": "wai1", "name": "张三"})).await;
    t.signed_in("zhangsan").await;
    let zhang = find_holder(&t, "zhangsan").await;
    insert_conflict(&t, "c1", "eclipse", &zhang, &[&known]).await;
    insert_conflict(&t, "c2", "renamed", &known, &["x"]).await;
    let kinds: Vec<_> = list_conflicts(&t).await.iter().map(|one| one["kind"].clone()).collect();
    assert_eq!(kinds, ["ambiguous", "renamed"]);
    assert_eq!(resolve(&t, "c1", &known).await.status, 200);
}

#[tokio::test]
async fn the_command_lists_conflicts_with_names_and_resolves_them() {
    let t = start_with_client("").await;
    let known = create_local_person(&t, json!({"userid": "wai1", "name": "张三丰"})).await;
    let phone = t.signed_in("zhangsan").await;
    let zhang = find_holder(&t, "zhangsan").await;
    insert_conflict(&t, "c1", "ambiguous", &zhang, &[&known]).await;
    let (config, clock) = (&t.app.config, &t.app.clock);
    let mut out = Vec::new();
    cli::conflicts::list_conflicts(config, false, &mut out).await.unwrap();
    let said = String::from_utf8(out).unwrap();
    for part in ["c1", "ambiguous", "zhangsan", "张三丰", "could be", &known] {
        assert!(said.contains(part), "{said}");
    }
    let mut out = Vec::new();
    cli::conflicts::list_conflicts(config, true, &mut out).await.unwrap();
    let line: Value = serde_json::from_slice(&out).unwrap();
    assert_eq!((&line["person_id"], &line["people"][0]["name"]), (&json!(zhang), &json!("张三丰")));
    let mut out = Vec::new();
    assert!(cli::conflicts::resolve_conflict(config, clock, "c1", Some("x"), &mut out).await.is_err());
    cli::conflicts::resolve_conflict(config, clock, "c1", Some(&known), &mut out).await.unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "they are one person now; both are signed out\n");
    t.app.sessions.refresh().await.unwrap();
    assert_eq!(t.check(&phone, &format!("{PUBLIC_URL}/x")).await.status, 401);
    assert_eq!(find_holder(&t, "zhangsan").await, known);
    let audit = audit_rows(&t, "conflict").await;
    assert!(audit[0].detail.ends_with("by command line"), "{audit:?}");
}

#[tokio::test]
async fn a_userid_in_rules_is_given_to_its_new_holder_only_when_somebody_says_so() {
    let t = start_with_client("").await;
    for userid in ["zhangsan", "lisi"] {
        t.signed_in(userid).await;
        let holder = find_holder(&t, userid).await;
        insert_binding(&t.app.db, t.app.config.wecom.corp_id.as_str(), userid, &holder).await;
    }
    let before = find_holder(&t, "zhangsan").await;
    rename_person(&t.app.db, "zhangsan", "老张").await;
    mark_person_left(&t.app.db, "zhangsan", Some(0)).await;
    t.signed_in("zhangsan").await;
    let now = find_holder(&t, "zhangsan").await;
    let accept = async |which: cli::rules::UseridSelection| {
        let mut out = Vec::new();
        let well = cli::rules::accept_userids(&t.app.config, &t.app.clock, &which, &mut out).await.unwrap();
        (well, String::from_utf8(out).unwrap())
    };
    let these = |userids: &[&str]| {
        cli::rules::UseridSelection::These(userids.iter().map(|&u| u.to_owned()).collect())
    };
    let (well, said) = accept(cli::rules::UseridSelection::List).await;
    assert!(well && !said.contains("lisi"), "{said}");
    for part in ["zhangsan", "老张", "张三", &before, &now] {
        assert!(said.contains(part), "{said}");
    }
    let (well, said) = accept(these(&["ZhangSan", "lisi"])).await;
    assert!(!well && said.starts_with("lisi: nothing to accept"), "{said}");
    let meant = async |person: &str| match_rule(&t, "zhangsan", person).await == BindingMatch::Same;
    assert!(meant(&before).await, "one of them is wrong: nothing is accepted");
    let (well, said) = accept(these(&["ZhangSan"])).await;
    assert!(well, "{said}");
    assert_eq!(said, "zhangsan: rules meant 老张, from now on 张三\n");
    assert!(meant(&now).await);
    t.app.sessions.refresh().await.unwrap();
    assert_eq!(
        accept(cli::rules::UseridSelection::List).await.1,
        "no userid in a rule is somebody else's now\n"
    );
    let audit = audit_rows(&t, "rules").await;
    assert_eq!(audit[0].userid, "zhangsan");
    assert_eq!(details(&audit), [format!("the userid in rules meant {before}, by command line")]);
}

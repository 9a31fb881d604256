//! Answers that are odd, broken or missing.

use super::*;

fn odd_replies() -> Vec<(&'static str, Reply)> {
    let half = b"HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n{\"errcode\":0,\"userlist\":[".to_vec();
    vec![
        ("HTML", Reply::Body(b"<html><body>502</body></html>".to_vec())),
        ("502", Reply::Status(502, "text/html", b"<html>".to_vec())),
        ("truncated", Reply::Body(br#"{"errcode":0,"userlist":[{"userid":"ann""#.to_vec())),
        ("broken off", Reply::Raw(half)),
        ("hang", Reply::Hang),
        ("hang inside", Reply::HangInside),
        ("close", Reply::Close),
        ("empty", Reply::Body(Vec::new())),
        ("no list", Reply::json(r#"{"errcode":0}"#)),
    ]
}

#[tokio::test]
async fn what_is_no_answer_is_asked_for_again_after_the_others() {
    for (name, reply) in odd_replies() {
        let server = FakeCompany::small()
            .serve_except(move |a, before| (is_list_of(a, "2") && before < 2).then(|| reply.clone()))
            .await;
        let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(
            (remote.completeness, remote.persons.len(), count_lists(&server, "2")),
            (ALL_COMPLETE, 3, 3),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_department_without_an_answer_is_unread_and_nobody_is_missed_for_it() {
    for (name, reply) in odd_replies() {
        let company = FakeCompany::small();
        let known = company.known();
        let server = company.serve_except(move |a, _| is_list_of(a, "2").then(|| reply.clone())).await;
        let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
        assert_eq!((remote.completeness, count_lists(&server, "2")), (ONLY_UNITS_COMPLETE, 3), "{name}");
        assert_eq!(userids_of(&remote), userid_set(["ann", "carl"]), "{name}");
        assert!(note_text(&remote, "fetch.department_unread").contains("2 「研发」"), "{name}");
        assert_eq!(server.request_count("user/get"), 0, "{name}: bob is in the department that was not read");
    }
}

#[tokio::test]
async fn one_department_without_a_right_does_not_cost_the_others() {
    let server =
        FakeCompany::small().serve_except(|a, _| is_list_of(a, "2").then(|| Reply::errcode(60011))).await;
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!(
        (remote.completeness, userids_of(&remote)),
        (ONLY_UNITS_COMPLETE, userid_set(["ann", "carl"]))
    );
    assert!(note_text(&remote, "fetch.department_unread").contains("60011"));
    assert_eq!(count_lists(&server, "2"), 1);
}

#[tokio::test]
async fn a_list_that_is_too_large_is_split_and_nobody_is_asked_for_twice() {
    let server =
        FakeCompany::small().serve_except(|a, _| is_list_of(a, "2").then(|| Reply::errcode(45029))).await;
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!(
        (remote.completeness, userids_of(&remote)),
        (ALL_COMPLETE, userid_set(["ann", "Bob", "carl"]))
    );
    assert_eq!(
        (server.request_count("user/simplelist"), queried_userids(&server)),
        (1, BTreeSet::from(["Bob".to_owned()]))
    );
    assert!(has_note(&remote, "fetch.department_split"));
}

#[tokio::test]
async fn a_list_of_departments_that_is_too_large_is_split() {
    let company = FakeCompany::small();
    let server = company
        .clone()
        .serve_except(|a, _| (a.api == "department/list").then(|| Reply::errcode(45029)))
        .await;
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!((remote.completeness, remote.units.len(), remote.persons.len()), (ALL_COMPLETE, 3, 3));

    let server = company
        .serve_except(|a, _| match (a.api.as_str(), a.param("id")) {
            ("department/list", _) => Some(Reply::errcode(45029)),
            ("department/get", Some("3")) => Some(Reply::errcode(60011)),
            _ => None,
        })
        .await;
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!((remote.completeness, remote.units.len()), (Completeness::default(), 2));
    assert!(note_text(&remote, "fetch.department_unread").contains("Department 3"));
}

#[tokio::test]
async fn an_empty_answer_is_not_believed_where_we_know_better() {
    let company = FakeCompany::small();
    let known = company.known();
    let departments = r#"{"errcode":0,"department":[]}"#;
    let server = company
        .clone()
        .serve_except(move |a, _| (a.api == "department/list").then(|| Reply::json(departments)))
        .await;
    for fetcher in [app_secret_fetcher(&server), both_secrets_fetcher(&server)] {
        let remote = fetch_full(&fetcher, &known).await;
        assert_eq!(remote.completeness, Completeness::default());
        assert!(note_text(&remote, "fetch.empty").contains("no department"));
    }
    let first = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!(
        (first.completeness, first.persons.len()),
        (ALL_COMPLETE, 0),
        "for a new installation it is data"
    );

    let members = r#"{"errcode":0,"userlist":[]}"#;
    let server = company.serve_except(move |a, _| (a.api == "user/list").then(|| Reply::json(members))).await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    assert_eq!(remote.completeness, Completeness::default());
    assert!(note_text(&remote, "fetch.empty").contains("no member"));
}

#[tokio::test]
async fn an_application_that_sees_members_singly_only_reads_them() {
    let company = FakeCompany { departments: Vec::new(), ..FakeCompany::small() };
    let known = KnownDirectory { units: HashMap::new(), ..company.known() };
    let server = company.serve().await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    assert_eq!((remote.completeness, remote.persons.len()), (ALL_COMPLETE, 3));

    // An empty department beside them is no reason for doubt either.
    let mut company =
        FakeCompany { departments: vec![(9, 1, "空")], single: vec!["ann"], ..FakeCompany::default() };
    company.members = vec![member("ann", &[])];
    let known = company.known();
    let remote = fetch_full(&app_secret_fetcher(&company.serve().await), &known).await;
    assert_eq!((remote.completeness, remote.persons.len()), (ALL_COMPLETE, 1));
}

#[tokio::test]
async fn a_record_that_cannot_be_understood_costs_itself_only() {
    let list = r#"{"errcode":0,"userlist":[{"userid":"ann","department":[2],"status":1},
        {"userid":"Bob","department":"all"},{"userid":"wwcorp/eve"},{"userid":"no blank"}]}"#;
    let company = FakeCompany::small();
    let known = company.known();
    let server =
        company.clone().serve_except(move |a, _| is_list_of(a, "2").then(|| Reply::json(list))).await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    assert_eq!(
        (userids_of(&remote), present_userids(&remote)),
        (userid_set(["ann", "carl"]), userid_set(["bob", "no blank"]))
    );
    assert_eq!(remote.completeness, Completeness { details: false, ..ALL_COMPLETE });
    assert!(note_text(&remote, "fetch.member_broken").contains("Bob"));
    assert!(note_text(&remote, "fetch.userid_invalid").contains("no blank"));

    let nameless = r#"{"errcode":0,"userlist":[{"userid":"Bob","status":1},{"name":"谁"}]}"#;
    let server = company.serve_except(move |a, _| is_list_of(a, "2").then(|| Reply::json(nameless))).await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
    assert!(has_note(&remote, "fetch.member_nameless"));
}

#[tokio::test]
async fn odd_departments_keep_their_names_and_are_units_once() {
    let list = r#"{"errcode":0,"department":[{"id":1,"name":" 公\u0000司 "},{"id":2,"name":"","parentid":1},
        {"id":2,"name":"又","parentid":1},{"id":3,"name":null,"parentid":1},{"id":"L/9","name":"外"}]}"#;
    let company = FakeCompany::small();
    let mut known = company.known();
    known.units.remove(&3);
    let server = company
        .clone()
        .serve_except(move |a, _| (a.api == "department/list").then(|| Reply::json(list)))
        .await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    let names: Vec<_> = remote.units.iter().map(|u| (u.id, u.name.as_str())).collect();
    assert_eq!(names, [(1, "公司"), (2, "研发"), (3, "3")]);
    assert!(has_note(&remote, "fetch.department_twice") && has_note(&remote, "fetch.department_nameless"));
    assert_eq!(remote.completeness, ALL_COMPLETE);

    let broken =
        r#"{"errcode":0,"department":[{"id":1,"name":"公司"},{"id":2,"name":"研发","parentid":-1}]}"#;
    let server =
        company.serve_except(move |a, _| (a.api == "department/list").then(|| Reply::json(broken))).await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    assert_eq!((remote.completeness, remote.units.len()), (Completeness::default(), 1));
    assert!(note_text(&remote, "fetch.department_broken").contains("(2)"));
}

#[tokio::test]
async fn a_department_of_twenty_thousand_is_read() {
    let filler = "x".repeat(420);
    let member =
        |n| format!(r#"{{"userid":"m{n}","name":"成员","department":[1],"status":1,"avatar":"{filler}"}}"#);
    let members: Vec<String> = (0..20_000).map(member).collect();
    let body = format!(r#"{{"errcode":0,"userlist":[{}]}}"#, members.join(",")).into_bytes();
    assert!(body.len() > 8 * 1024 * 1024);
    let company = FakeCompany { departments: vec![(1, 0, "公司")], ..FakeCompany::default() };
    let server =
        company.serve_except(move |a, _| is_list_of(a, "1").then(|| Reply::Body(body.clone()))).await;
    let fetcher = patient_fetcher(&server);
    let remote = fetch_full(&fetcher, &KnownDirectory::default()).await;
    assert_eq!((remote.persons.len(), remote.completeness), (20_000, ALL_COMPLETE));
    assert!(remote.persons.iter().all(|p| p.status == PersonStatus::Active));
}

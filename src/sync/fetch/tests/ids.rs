//! The way that begins with the list of ids.

use super::*;

#[tokio::test]
async fn an_update_reads_every_department_and_so_sees_who_was_disabled() {
    let company = FakeCompany::small();
    let known = company.known();
    let disabled = r#"{"errcode":0,"userlist":[{"userid":"ann","department":[2,3],"status":1},
        {"userid":"Bob","department":[2],"status":2}]}"#;
    let server = company.serve_except(move |a, _| is_list_of(a, "2").then(|| Reply::json(disabled))).await;
    let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
    assert_eq!(
        (remote.completeness, userids_of(&remote)),
        (ALL_COMPLETE, userid_set(["ann", "Bob", "carl"]))
    );
    let bob = remote.persons.iter().find(|person| person.userid.as_str() == "Bob").unwrap();
    assert_eq!(bob.status, PersonStatus::Disabled);
    assert_eq!((server.request_count("user/list"), server.request_count("user/get")), (3, 0));
    assert!(remote.tags.is_some());
}

#[tokio::test]
async fn departments_that_the_application_does_not_see_are_no_difference() {
    let mut company = FakeCompany { invisible_departments: vec![3], ..FakeCompany::small() };
    company.members[2].1 = vec![2, 3];
    let known = company.known();
    let server = company.serve().await;
    let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
    assert_eq!(server.request_count("user/get"), 0);
    assert!(note_text(&remote, "fetch.departments_not_visible").contains("1 departments"));
    assert_eq!(remote.units.len(), 2);
}

#[tokio::test]
async fn members_nobody_knows_are_read_by_department() {
    let company = FakeCompany {
        members: (0..5).map(|n| member(&format!("m{n}"), &[2])).collect(),
        ..FakeCompany::small()
    };
    let server = company.serve().await;
    let remote = fetch_update(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!((remote.persons.len(), remote.completeness), (5, ALL_COMPLETE));
    assert_eq!((server.request_count("user/list"), server.request_count("user/get")), (3, 0));
}

#[tokio::test]
async fn a_member_in_no_department_who_cannot_be_read_stays_as_it_is() {
    let company = FakeCompany { single: vec!["carl"], ..FakeCompany::small() };
    let known = company.known();
    let server = company.serve_except(|a, _| (a.api == "user/get").then(|| Reply::errcode(-7_777))).await;
    let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
    assert_eq!(
        (userids_of(&remote), present_userids(&remote)),
        (userid_set(["ann", "Bob"]), userid_set(["carl"]))
    );
    assert!(remote.completeness.persons && has_note(&remote, "fetch.details_unread"));
}

#[tokio::test]
async fn members_outside_the_visible_range_are_no_persons_and_singly_visible_ones_are() {
    let company = FakeCompany { hidden: vec!["Bob"], single: vec!["carl"], ..FakeCompany::small() };
    for known in [KnownDirectory::default(), company.known()] {
        let server = company.clone().serve().await;
        let remote = fetch_full(&both_secrets_fetcher(&server), &known).await;
        assert_eq!((userids_of(&remote), remote.completeness), (userid_set(["ann", "carl"]), ALL_COMPLETE));
        assert!(note_text(&remote, "fetch.not_visible").contains("cover 1 members"));
        assert!(note_text(&remote, "fetch.not_visible").contains("可见范围"));
    }
}

#[tokio::test]
async fn no_more_than_a_thousand_strangers_are_asked_for() {
    let mut company = FakeCompany { invisible_departments: vec![3], ..FakeCompany::small() };
    company.members = vec![member("ann", &[2])];
    company.members.extend((0..1_010).map(|n| member(&format!("s{n:04}"), &[3])));
    let server = company.serve_except(|a, _| (a.api == "user/get").then(|| Reply::errcode(60111))).await;
    let remote = fetch_full(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!(server.request_count("user/get"), 1_000);
    assert!(note_text(&remote, "fetch.not_asked").contains("10 more"));
    assert!(note_text(&remote, "fetch.not_visible").contains("1000 members"));
    assert_eq!((userids_of(&remote), remote.completeness), (userid_set(["ann"]), ALL_COMPLETE));
}

#[tokio::test]
async fn whoever_is_no_longer_in_the_list_is_asked_for_and_gone() {
    let company = FakeCompany::small();
    let mut known = company.known();
    known.persons.insert("dora".to_owned(), BTreeSet::from([2]));
    for kind in [SyncKind::Update, SyncKind::Full] {
        let server = company.clone().serve().await;
        let remote = fetch(&both_secrets_fetcher(&server), kind, &known).await.unwrap();
        assert!(remote.completeness.persons && !present_userids(&remote).contains("dora"));
        assert_eq!(queried_userids(&server), BTreeSet::from(["dora".to_owned()]), "{kind:?}");
    }
}

#[tokio::test]
async fn a_cursor_that_is_refused_begins_the_list_anew() {
    let company = FakeCompany::wide(10);
    let known = company.known();
    let server = company
        .serve_except(|a, before| {
            let late = a.body.contains("\"8\"") && before == 0;
            (a.api == "user/list_id" && late).then(|| Reply::errcode(50100))
        })
        .await;
    let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
    assert_eq!((remote.persons.len(), remote.completeness.persons), (10, true));
    let first = server.requests("user/list_id").iter().filter(|a| !a.body.contains("cursor")).count();
    assert_eq!(first, 2);
}

#[tokio::test]
async fn a_list_of_ids_that_has_no_end_removes_nobody() {
    let round = r#"{"errcode":0,"next_cursor":"x","dept_user":[{"userid":"ann","department":2}]}"#;
    for (code, answer) in [(50100, None), (0, Some(round)), (987_654, None)] {
        let company = FakeCompany::small();
        let known = company.known();
        let server = company
            .serve_except(move |a, _| {
                let reply = || answer.map_or_else(|| Reply::errcode(code), Reply::json);
                (a.api == "user/list_id").then(reply)
            })
            .await;
        let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
        assert_eq!((remote.completeness, remote.persons.len()), (ONLY_UNITS_COMPLETE, 3), "{code}");
        assert!(has_note(&remote, "fetch.ids_unread"), "{code}");
    }
}

#[tokio::test]
async fn an_empty_list_of_ids_is_not_believed() {
    let company = FakeCompany::small();
    let known = company.known();
    let empty = r#"{"errcode":0,"next_cursor":"","dept_user":[]}"#;
    let server =
        company.serve_except(move |a, _| (a.api == "user/list_id").then(|| Reply::json(empty))).await;
    let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
    assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
    assert!(has_note(&remote, "fetch.empty"));
}

#[tokio::test]
async fn a_row_that_cannot_be_understood_is_somebody() {
    let rows = r#"{"errcode":0,"dept_user":[{"userid":"ann","department":2},{"userid":"ann","department":3},
        {"userid":"Bob","department":2},{"userid":"carl","department":null}]}"#;
    let nameless =
        r#"{"errcode":0,"dept_user":[{"userid":"ann","department":2},{"open_userid":"wo","department":2}]}"#;
    for (answer, persons) in [(rows, true), (nameless, false)] {
        let company = FakeCompany::small();
        let known = company.known();
        let server =
            company.serve_except(move |a, _| (a.api == "user/list_id").then(|| Reply::json(answer))).await;
        let remote = fetch_update(&both_secrets_fetcher(&server), &known).await;
        assert_eq!(remote.completeness.persons, persons);
        assert!(userids_of(&remote).contains("carl"));
    }
}

//! Which secret reads what, and how the fetch finds the way that works.

use super::*;

#[tokio::test]
async fn the_applications_secret_alone_reads_its_visible_range() {
    let server = FakeCompany::small().serve().await;
    for kind in [SyncKind::Update, SyncKind::Full] {
        let remote = fetch(&app_secret_fetcher(&server), kind, &KnownDirectory::default()).await.unwrap();
        assert_eq!((remote.mode, remote.completeness), (FetchMode::Visible, ALL_COMPLETE));
        assert_eq!(userids_of(&remote), userid_set(["ann", "Bob", "carl"]));
        assert_eq!(
            remote.units.iter().map(|u| u.name.as_str()).collect::<Vec<_>>(),
            ["公司", "研发", "市场"]
        );
        assert_eq!(remote.units[1].leaders, [UserId::new("ann")]);
        assert_eq!(remote.notes, []);
        let tags = remote.tags.unwrap();
        assert_eq!((tags[0].id, tags[0].name.as_str(), tags[0].units.as_slice()), (7, "司机", &[3][..]));
        assert_eq!(tags[0].users, [UserId::new("ann")]);
    }
}

#[tokio::test]
async fn the_contacts_secret_from_an_old_address_reads_everything() {
    let company =
        FakeCompany { has_old_address: true, invisible_departments: vec![3], ..FakeCompany::small() };
    let known = company.known();
    let server = company.serve().await;
    let remote = fetch_full(&both_secrets_fetcher(&server), &known).await;
    assert_eq!((remote.mode, remote.completeness), (FetchMode::Contacts, ALL_COMPLETE));
    assert_eq!((remote.units.len(), userids_of(&remote)), (3, userid_set(["ann", "Bob", "carl"])));
    let tokens: BTreeSet<_> =
        server.requests("user/list").iter().map(|a| a.param("access_token").unwrap().to_owned()).collect();
    assert_eq!(tokens, BTreeSet::from(["TC".to_owned()]));
}

#[tokio::test]
async fn from_a_new_address_the_contacts_secret_gives_ids_and_the_application_details() {
    let company = FakeCompany::small();
    let server = company.serve().await;
    let remote = fetch_full(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!((remote.mode, remote.completeness), (FetchMode::Ids, ALL_COMPLETE));
    assert_eq!(userids_of(&remote), userid_set(["ann", "Bob", "carl"]));
    assert!(note_text(&remote, "fetch.ids_only").contains("48009"), "{:?}", remote.notes);
    assert!(server.request_count("user/list_id") >= 1);
}

#[tokio::test]
async fn what_the_contacts_secret_may_do_is_asked_again_by_full_runs_only() {
    let company = FakeCompany::small();
    let known = company.known();
    let server = company.serve().await;
    let fetcher = both_secrets_fetcher(&server);
    let probes = || {
        let asked = server.requests("department/list");
        asked.iter().filter(|a| a.param("access_token") == Some("TC")).count()
    };
    for (kind, expected) in
        [(SyncKind::Update, 1), (SyncKind::Update, 1), (SyncKind::Full, 2), (SyncKind::Update, 2)]
    {
        let remote = fetch(&fetcher.clone(), kind, &known).await.unwrap();
        assert_eq!((remote.mode, probes()), (FetchMode::Ids, expected), "{kind:?}");
    }
}

#[tokio::test]
async fn an_applications_secret_as_contacts_secret_is_found_out() {
    // It reads departments as any application's secret does; only the list of ids reveals it.
    let company = FakeCompany { has_old_address: true, ..FakeCompany::small() };
    let server = company.serve_except(|a, _| (a.api == "user/list_id").then(|| Reply::errcode(48002))).await;
    let fetcher = both_secrets_fetcher(&server);
    let remote = fetch_full(&fetcher, &KnownDirectory::default()).await;
    assert_eq!((remote.mode, remote.completeness), (FetchMode::Visible, ALL_COMPLETE));
    assert!(note_text(&remote, "fetch.contacts_secret_wrong").contains("通讯录同步"));
    let before = server.request_count("user/list_id");
    assert_eq!(fetch_update(&fetcher, &KnownDirectory::default()).await.mode, FetchMode::Visible);
    assert_eq!(server.request_count("user/list_id"), before, "remembered");
}

#[tokio::test]
async fn a_private_edition_without_the_list_of_ids_is_read_with_the_contacts_secret() {
    let company = FakeCompany { has_old_address: true, ..FakeCompany::small() };
    let server = company
        .serve_except(|a, _| {
            let missing = || Reply::Status(404, "text/html", b"<html>".to_vec());
            (a.api == "user/list_id").then(missing)
        })
        .await;
    let remote = fetch_full(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!(
        (remote.mode, remote.completeness, server.request_count("user/list_id")),
        (FetchMode::Contacts, ALL_COMPLETE, 1)
    );
}

#[tokio::test]
async fn one_secret_entered_twice_is_the_applications() {
    let server = FakeCompany::small().serve().await;
    let fetcher =
        Fetcher::new(test_client(&server, Some(APP_SECRET), Some(APP_SECRET)), test_clock(), TEST_PACE);
    let remote = fetch_full(&fetcher, &KnownDirectory::default()).await;
    assert_eq!((remote.mode, remote.completeness), (FetchMode::Visible, ALL_COMPLETE));
    assert!(has_note(&remote, "fetch.secrets_are_one"));
}

#[tokio::test]
async fn a_contacts_secret_that_loses_its_right_halfway_goes_on_by_ids() {
    let company = FakeCompany { has_old_address: true, ..FakeCompany::small() };
    let server = company
        .serve_except(|a, _| {
            let contacts = a.param("access_token") == Some("TC");
            (contacts && a.api == "user/list").then(|| Reply::errcode(48009))
        })
        .await;
    let remote = fetch_full(&both_secrets_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!((remote.mode, remote.completeness), (FetchMode::Ids, ALL_COMPLETE));
    assert_eq!(userids_of(&remote), userid_set(["ann", "Bob", "carl"]));
}

#[tokio::test]
async fn without_a_secret_or_departments_there_is_nothing() {
    let server = FakeCompany::small().serve().await;
    let fetcher = Fetcher::new(test_client(&server, None, None), test_clock(), TEST_PACE);
    let error = fetch(&fetcher, SyncKind::Full, &KnownDirectory::default()).await.unwrap_err();
    assert_eq!(error.cause, WecomError::NoSecret(SecretKind::App));

    for (code, family) in
        [(60020, ErrorFamily::Setup), (50003, ErrorFamily::Setup), (40013, ErrorFamily::Setup)]
    {
        let server = FakeCompany::small()
            .serve_except(move |a, _| (a.api == "department/list").then(|| Reply::errcode(code)))
            .await;
        let error = fetch(&app_secret_fetcher(&server), SyncKind::Full, &KnownDirectory::default())
            .await
            .unwrap_err();
        assert_eq!((error.cause.code(), error.cause.family()), (Some(code), family));
        assert!(error.to_string().contains("app_secret"), "{error}");
    }

    let server = FakeCompany::small().serve_except(|_, _| Some(Reply::Close)).await;
    let error =
        fetch(&app_secret_fetcher(&server), SyncKind::Full, &KnownDirectory::default()).await.unwrap_err();
    assert!(matches!(error.cause, WecomError::Unreachable { .. }), "{error}");
    assert_eq!(server.request_count("department/list"), 3);
}

#[tokio::test]
async fn a_contacts_secret_that_is_refused_ends_the_fetch_and_does_not_shrink_the_company() {
    let server = FakeCompany::small()
        .serve_except(|a, _| (a.param("access_token") == Some("TC")).then(|| Reply::errcode(60020)))
        .await;
    let error =
        fetch(&both_secrets_fetcher(&server), SyncKind::Full, &KnownDirectory::default()).await.unwrap_err();
    assert_eq!((error.cause.code(), error.secret), (Some(60020), SecretKind::Contacts));
}

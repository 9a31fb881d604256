//! Members whom no list shows are asked for one by one.

use super::*;

#[tokio::test]
async fn a_member_visible_singly_is_asked_for_and_somebody_who_left_is_gone() {
    let company = FakeCompany { single: vec!["carl"], ..FakeCompany::small() };
    let mut known = company.known();
    known.persons.insert("dora".to_owned(), BTreeSet::from([2]));
    let server = company.serve().await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    assert_eq!(
        (userids_of(&remote), present_userids(&remote)),
        (userid_set(["ann", "Bob", "carl"]), userid_set([]))
    );
    assert_eq!(queried_userids(&server), ["carl", "dora"].map(str::to_owned).into());
    assert_eq!(remote.completeness, ALL_COMPLETE);
}

#[tokio::test]
async fn a_missing_member_who_cannot_be_asked_for_is_not_gone() {
    let company = FakeCompany::small();
    let mut known = company.known();
    for id in ["d1", "d2", "d3", "d4"] {
        known.persons.insert(id.to_owned(), BTreeSet::from([2]));
    }
    let server = company
        .serve_except(|a, _| match (a.api.as_str(), a.param("userid")) {
            ("user/get", Some("d1")) => Some(Reply::errcode(40003)),
            ("user/get", Some("d2")) => Some(Reply::errcode(60021)),
            ("user/get", Some("d3")) => Some(Reply::errcode(60011)),
            ("user/get", Some("d4")) => Some(Reply::Close),
            _ => None,
        })
        .await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    assert_eq!(present_userids(&remote), userid_set(["d1", "d2", "d4"]));
    assert_eq!(remote.completeness, Completeness { details: false, ..ALL_COMPLETE });
}

#[tokio::test]
async fn more_than_two_thousand_are_not_asked_for() {
    let company = FakeCompany::small();
    let mut known = company.known();
    known.persons.extend((0..2_001).map(|n| (format!("x{n}"), BTreeSet::new())));
    let server = company.serve().await;
    let remote = fetch_full(&app_secret_fetcher(&server), &known).await;
    assert_eq!(server.request_count("user/get"), 0);
    assert!(note_text(&remote, "fetch.many_missing").contains("2001"));
    assert_eq!((remote.completeness.persons, remote.persons.len()), (false, 3), "nobody leaves by it");
    let ask = FetchRequest { kind: SyncKind::Full, known: &known, force: true };
    let remote = app_secret_fetcher(&server).fetch(ask, &SyncProgress::default()).await.unwrap();
    assert_eq!(remote.completeness, ALL_COMPLETE, "but where an administrator says so");
}

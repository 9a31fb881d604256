//! Tags.

use super::*;

#[tokio::test]
async fn tags_that_are_refused_or_unreadable_are_left_as_they_are() {
    for code in [48002, 60011, 60020, 987_654] {
        for api in ["tag/list", "tag/get"] {
            let server = FakeCompany::small()
                .serve_except(move |a, _| (a.api == api).then(|| Reply::errcode(code)))
                .await;
            let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
            assert_eq!((remote.tags.clone(), remote.completeness), (None, ALL_COMPLETE), "{api} {code}");
            assert!(note_text(&remote, "fetch.tags_unread").contains(&code.to_string()));
        }
    }
}

#[tokio::test]
async fn a_tag_deleted_meanwhile_is_none_and_no_failure() {
    let mut company = FakeCompany::small();
    company.tags.push((8, "旧", vec![], vec![]));
    let server = company
        .serve_except(|a, _| {
            (a.api == "tag/get" && a.param("tagid") == Some("8")).then(|| Reply::errcode(40068))
        })
        .await;
    let tags = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await.tags.unwrap();
    assert_eq!(tags.iter().map(|t| t.id).collect::<Vec<_>>(), [7]);
}

#[tokio::test]
async fn an_update_reads_tags_only_where_they_are_few() {
    for (count, read) in [(200, true), (201, false)] {
        let mut company = FakeCompany::small();
        company.tags = (0..count).map(|id| (id, "标签", vec![], vec![])).collect();
        let server = company.serve().await;
        let remote = fetch_update(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(remote.tags.is_some(), read, "{count}");
        assert!(fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await.tags.is_some());
    }
}

#[tokio::test]
async fn no_tags_is_an_answer() {
    let company = FakeCompany { tags: Vec::new(), ..FakeCompany::small() };
    let server = company.serve().await;
    assert_eq!(
        fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await.tags,
        Some(Vec::new())
    );
}

//! How many calls are made, and when a fetch gives up.

use super::*;
use crate::sync::progress::{ProgressSnapshot, SyncStep};

#[tokio::test]
async fn never_more_than_ten_calls_are_in_flight() {
    let late = Duration::from_millis(15);
    let server = FakeCompany::wide(60)
        .serve_except(move |a, _| {
            let empty = br#"{"errcode":0,"userlist":[]}"#.to_vec();
            (a.api == "user/list").then_some(Reply::Late(late, empty))
        })
        .await;
    fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!((server.request_count("user/list"), server.most_at_once()), (60, 10));
}

#[tokio::test]
async fn a_sign_in_passes_while_a_fetch_hangs() {
    let server = FakeCompany::wide(30)
        .serve_except(|a, _| match a.api.as_str() {
            "user/list" => Some(Reply::Hang),
            "auth/getuserinfo" => Some(Reply::json(r#"{"errcode":0,"userid":"m1"}"#)),
            _ => None,
        })
        .await;
    let client = test_client(&server, Some(APP_SECRET), None);
    let pace = FetchPace { call_timeout: Duration::from_secs(30), ..TEST_PACE };
    let fetcher = Fetcher::new(client.clone(), test_clock(), pace);
    let mut tasks = JoinSet::new();
    tasks.spawn(async move { fetch(&fetcher, SyncKind::Full, &KnownDirectory::default()).await });
    server.until_asked("user/list", 10).await;
    let began = Instant::now();
    for _ in 0..20 {
        let soon = Deadline::after(Duration::from_secs(5));
        assert_eq!(client.identity("C0DE", soon).await, Ok(CodeOwner::Member(UserId::new("m1"))));
    }
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    assert_eq!(server.request_count("user/list"), 10);
}

#[tokio::test]
async fn a_call_that_is_limited_once_is_made_again() {
    let server = FakeCompany::wide(100)
        .serve_except(|a, before| (is_list_of(a, "15") && before == 0).then(|| Reply::errcode(45009)))
        .await;
    let remote = fetch_full(&patient_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!(
        (remote.completeness, count_lists(&server, "15"), server.request_count("user/list")),
        (ALL_COMPLETE, 2, 101)
    );
}

#[tokio::test]
async fn a_limit_that_stays_makes_its_part_unread_after_three_windows() {
    let server = FakeCompany::wide(40)
        .serve_except(|a, _| (a.api == "user/list").then(|| Reply::errcode(45009)))
        .await;
    let began = Instant::now();
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert!(began.elapsed() >= TEST_PACE.rate_limit_pause * 3);
    assert!(server.request_count("user/list") <= 40, "{}", server.request_count("user/list"));
    assert_eq!((remote.completeness, remote.units.len()), (ONLY_UNITS_COMPLETE, 40));
    assert!(note_text(&remote, "fetch.department_unread").contains("45009"));
    assert!(remote.tags.is_some(), "each API has its own limit");
}

#[tokio::test]
async fn too_many_at_once_are_halved_until_wecom_is_content() {
    let load: Arc<Mutex<usize>> = Arc::default();
    let server = FakeCompany::wide(60)
        .serve_except(move |a, _| {
            if a.api != "user/list" {
                return None;
            }
            // The first twelve lists are refused: ten at once, then what came after.
            let mut load = load.lock();
            *load += 1;
            (*load <= 12).then(|| Reply::errcode(45033))
        })
        .await;
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!((remote.completeness, remote.persons.len()), (ALL_COMPLETE, 60));
}

#[tokio::test]
async fn a_crowd_that_never_clears_is_unread() {
    let server =
        FakeCompany::small().serve_except(|a, _| is_list_of(a, "2").then(|| Reply::errcode(45033))).await;
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
    assert_eq!(count_lists(&server, "2"), 2 * (1 + TEST_PACE.max_crowd_retries), "two passes");
}

#[tokio::test]
async fn minus_one_is_asked_again_after_the_others_once() {
    for (busy, complete) in [(3, ALL_COMPLETE), (1_000, ONLY_UNITS_COMPLETE)] {
        let server = FakeCompany::small()
            .serve_except(move |a, before| (is_list_of(a, "2") && before < busy).then(|| Reply::errcode(-1)))
            .await;
        let remote = fetch_full(&patient_fetcher(&server), &KnownDirectory::default()).await;
        assert_eq!(remote.completeness, complete);
        assert_eq!(count_lists(&server, "2"), if busy == 3 { 4 } else { 6 });
        let order: Vec<String> = server
            .requests("user/list")
            .iter()
            .map(|a| a.param("department_id").unwrap().to_owned())
            .collect();
        assert_eq!(order.last().map(String::as_str), Some("2"), "others first: {order:?}");
    }
}

#[tokio::test]
async fn a_secret_that_is_refused_halfway_is_not_asked_with_again() {
    let server = FakeCompany::wide(200)
        .serve_except(|a, _| (a.api == "user/list").then(|| Reply::errcode(60020)))
        .await;
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert!(server.request_count("user/list") <= 20, "{}", server.request_count("user/list"));
    assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
    assert!(remote.notes.len() < 30);
}

#[tokio::test]
async fn a_wecom_that_is_away_is_not_asked_for_every_department() {
    let server =
        FakeCompany::wide(400).serve_except(|a, _| (a.api == "user/list").then_some(Reply::Close)).await;
    let remote = fetch_full(&app_secret_fetcher(&server), &KnownDirectory::default()).await;
    assert!(
        server.request_count("user/list") <= 3 * (TEST_PACE.max_silent_failures + 10),
        "{}",
        server.request_count("user/list")
    );
    assert_eq!(remote.completeness, ONLY_UNITS_COMPLETE);
}

#[tokio::test]
async fn progress_tells_step_and_numbers() {
    let server =
        FakeCompany::wide(12).serve_except(|a, _| (a.api == "tag/list").then_some(Reply::Hang)).await;
    let fetcher = patient_fetcher(&server);
    let progress = Arc::new(SyncProgress::default());
    let shared = progress.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let known = KnownDirectory::default();
        let ask = FetchRequest { kind: SyncKind::Full, known: &known, force: false };
        fetcher.fetch(ask, &shared).await
    });
    server.until_asked("tag/list", 1).await;
    let expected = ProgressSnapshot { step: SyncStep::Tags, done: 0, total: 1 };
    assert_eq!(progress.snapshot(), expected);
}

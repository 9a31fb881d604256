//! The directory as applications read it: shapes, pages, ETags, the change feed, and requests for
//! runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use gongpai::testing::base::id::{CorpId, RunId, UnitId};
use gongpai::testing::directory::PersonStatus;
use gongpai::testing::directory::changes::store::{insert_directory_change, reserve_batch};
use gongpai::testing::directory::changes::{DirectoryChangeKind, DirectoryEntity, DirectoryTransaction};
use reqwest::Method;
use serde_json::{Value, json};

use crate::support::api::{
    basic_auth, call, get, get_json, item_texts, items, new_request, problem, send_request,
};
use crate::support::app::{TestApp, run_all_at_once};
use crate::support::chart::{
    ChartEdit, ChartRows, app_with_example_chart, department, edit_chart, member, person_id,
    published_version,
};
use crate::support::planted_rows::RunFixture;

const UNITS: &str = "/api/v1/directory/units";
const PERSONS: &str = "/api/v1/directory/persons";
const TAGS: &str = "/api/v1/directory/tags";
const CHANGES: &str = "/api/v1/directory/changes";
const SYNC: &str = "/api/v1/directory/sync";

fn corp_id(t: &TestApp) -> CorpId {
    t.app.config.wecom.corp_id.clone()
}

/// Reads every item of a list, page by page.
async fn read_all(t: &TestApp, path: &str, limit: usize) -> Vec<Value> {
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    let mark = if path.contains('?') { '&' } else { '?' };
    loop {
        let page = get_json(t, &format!("{path}{mark}limit={limit}&cursor={cursor}")).await;
        assert!(items(&page).len() <= limit);
        seen.extend_from_slice(items(&page));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => return seen,
        }
        assert_eq!(items(&page).len(), limit, "a page before the last one is full");
    }
}

#[tokio::test]
async fn units_persons_and_tags_have_the_shapes_of_the_design() {
    let t = app_with_example_chart().await;
    insta::assert_json_snapshot!("directory_units", get_json(&t, UNITS).await);
    insta::assert_json_snapshot!("directory_persons", get_json(&t, PERSONS).await);
    insta::assert_json_snapshot!("directory_tags", get_json(&t, TAGS).await);
    for (list, ids) in [(UNITS, 5), (PERSONS, 5), (TAGS, 2)] {
        let answer = get_json(&t, list).await;
        assert_eq!(items(&answer).len(), ids);
        for item in items(&answer) {
            let id = item["id"].as_str().unwrap();
            assert_eq!(get_json(&t, &format!("{list}/{id}")).await, *item, "{list} {id}");
        }
    }
}

#[tokio::test]
async fn a_department_or_tag_is_found_by_wecoms_id_and_nothing_by_its_name() {
    let t = app_with_example_chart().await;
    assert_eq!(get_json(&t, &format!("{UNITS}/wecom:3")).await["path"], "研发部/前端∕移动组");
    assert_eq!(get_json(&t, &format!("{UNITS}/wecom%3A1")).await["path"], "/");
    assert_eq!(get_json(&t, &format!("{TAGS}/wecom:2")).await["name"], "夜班");
    for list in [UNITS, TAGS, PERSONS] {
        for unknown in [
            "wecom:99",
            "wecom:",
            "wecom:x",
            "wecom:-1",
            "wecom:4294967296",
            "研发部",
            "夜班",
            "zhangsan",
            "019a0000-0000-7000-8000-999999999999",
            "%00",
            "a%00b",
            "%27%20OR%201=1",
            "%20",
            &"x".repeat(3000),
        ] {
            let page = get(&t, &format!("{list}/{unknown}")).await;
            assert_eq!(problem(&page), (404, "api.not_found".to_owned()), "{list}/{unknown}");
        }
    }
    // Bytes that are not a text are a bad request.
    assert_eq!(problem(&get(&t, &format!("{PERSONS}/%ff")).await).0, 400);
}

#[tokio::test]
async fn units_of_a_path_are_all_that_have_it() {
    let t = app_with_example_chart().await;
    for (path, expected) in [
        ("研发部", vec!["研发部"]),
        ("/研发部/", vec!["研发部"]),
        ("研发部/前端∕移动组", vec!["研发部/前端∕移动组"]),
        ("/", vec!["/"]),
        ("项目组", vec!["项目组"]),
        ("前端", vec![]),
        ("研发", vec![]),
    ] {
        let path = urlencoding::encode(path);
        assert_eq!(
            item_texts(&get_json(&t, &format!("{UNITS}?path={path}")).await, "path"),
            expected,
            "{path}"
        );
    }
    let twin = ChartRows { units: vec![department(&corp_id(&t), 9, "财务部", 1)], ..ChartRows::default() };
    twin.write(&t, published_version(&t).await).await;
    let both = get_json(&t, &format!("{UNITS}?path={}", urlencoding::encode("财务部"))).await;
    assert_eq!(items(&both).len(), 2, "{both}");
}

#[tokio::test]
async fn persons_are_found_by_userid_without_regard_to_case_and_filtered_by_status_and_unit() {
    let t = app_with_example_chart().await;
    let named = async |query: &str| item_texts(&get_json(&t, &format!("{PERSONS}?{query}")).await, "userid");
    let nobody: [&str; 0] = [];
    assert_eq!(named("userid=zhangsan").await, ["ZhangSan"]);
    assert_eq!(named("userid=ZHANGSAN").await, ["ZhangSan"]);
    assert_eq!(named("userid=zhaoliu").await, ["zhaoliu"], "who left is found, too");
    assert_eq!(named("userid=nobody").await, nobody);
    assert_eq!(named("userid=zhang%25").await, nobody);
    assert_eq!(named("status=active").await, ["ZhangSan", "lisi", "guest"]);
    assert_eq!(named("status=left").await, ["zhaoliu"]);
    assert_eq!(named("unit=wecom:3").await, ["ZhangSan", "wangwu"]);
    assert_eq!(named("unit=wecom:1").await, nobody, "only members of the unit itself");
    assert_eq!(named("unit=wecom:99").await, nobody);
    assert_eq!(named("unit=%25").await, nobody);
    assert_eq!(named("unit=019a0000-0000-7000-9000-000000000001").await, ["ZhangSan"]);
    assert_eq!(named("unit=wecom:4&status=left").await, ["zhaoliu"]);
    assert_eq!(named("userid=lisi&status=left").await, nobody);
    assert_eq!(named("userid=lisi&unit=wecom:4").await, ["lisi"]);
    assert_eq!(named(&format!("userid=lisi&cursor={}", person_id(2))).await, nobody);
    assert_eq!(named("userid=&status=&unit=&limit=&cursor=").await.len(), 5, "what is empty is not said");
}

#[tokio::test]
async fn a_parameter_that_is_unknown_double_or_no_text_is_a_bad_request() {
    let t = app_with_example_chart().await;
    for list in [UNITS, PERSONS, TAGS, CHANGES, SYNC] {
        for bad in [
            "nonsense=1",
            "limit=0",
            "limit=-1",
            "limit=1001",
            "limit=x",
            "limit=1&limit=1",
            "Limit=1",
            "%00=1",
        ] {
            let page = get(&t, &format!("{list}?{bad}")).await;
            assert_eq!(problem(&page), (400, "api.bad_request".to_owned()), "{list}?{bad}");
        }
    }
    for bad in [
        format!("{PERSONS}?userid=a&userid=b"),
        format!("{PERSONS}?userid=a%00b"),
        format!("{PERSONS}?status=gone"),
        format!("{PERSONS}?status=Active"),
        format!("{PERSONS}?path=x"),
        format!("{UNITS}?userid=x"),
        format!("{UNITS}?cursor=%00"),
        format!("{PERSONS}/{}?x=1", person_id(1)),
        format!("{UNITS}/wecom:1?below=true"),
        format!("{TAGS}/wecom:1?cursor=x"),
        format!("{SYNC}/x?limit=1"),
        format!("{CHANGES}?cursor=1"),
    ] {
        assert_eq!(problem(&get(&t, &bad).await), (400, "api.bad_request".to_owned()), "{bad}");
    }
    for since in
        ["x", "-1", "+1", "01", "1.0", "1e3", "%201", "9223372036854775807", "99999999999999999999", "%00"]
    {
        let page = get(&t, &format!("{CHANGES}?since={since}")).await;
        assert_eq!(problem(&page), (400, "api.bad_request".to_owned()), "since={since}");
    }
}

#[tokio::test]
async fn a_list_is_read_page_by_page_without_a_gap_or_a_double_while_rows_change() {
    let t = app_with_example_chart().await;
    let corp = corp_id(&t);
    let many = ChartRows {
        units: (100..140).map(|id| department(&corp, id, "组", 2)).collect(),
        persons: (100..140).map(|n| member(&corp, n, &format!("m{n}"), "员工", &[2])).collect(),
        ..ChartRows::default()
    };
    many.write(&t, published_version(&t).await).await;
    for (list, expected) in [(UNITS, 45), (PERSONS, 45), (TAGS, 2)] {
        let whole = read_all(&t, list, 1000).await;
        assert_eq!(whole.len(), expected);
        for limit in [1, 2, 7, 45, 46] {
            assert_eq!(read_all(&t, list, limit).await, whole, "{list} by {limit}");
        }
    }
    // Rows change and appear between pages: what exists before and after is read exactly once.
    let (mut seen, mut cursor) = (Vec::new(), String::new());
    for step in 0.. {
        let page = get_json(&t, &format!("{PERSONS}?limit=6&cursor={cursor}")).await;
        seen.extend(item_texts(&page, "id"));
        let Some(next) = page["next_cursor"].as_str() else { break };
        cursor = next.to_owned();
        let between = ChartRows {
            persons: vec![
                member(&corp, 50 + step, &format!("early{step}"), "新来", &[2]),
                member(&corp, 200 + step, &format!("late{step}"), "新来", &[2]),
            ],
            ..ChartRows::default()
        };
        between.write(&t, published_version(&t).await).await;
        edit_chart(&t, &ChartEdit::RenameEverybody(&format!("改名{step}"))).await;
    }
    assert!(seen.windows(2).all(|pair| pair[0] < pair[1]), "in order, none twice");
    for n in (1..=5).chain(100..140) {
        assert!(seen.iter().any(|id| id == person_id(n).as_str()), "{n} was missed");
    }
    assert!(seen.len() > 45, "the later ones are on later pages");
}

#[tokio::test]
async fn what_a_run_prepares_is_not_seen_and_what_it_publishes_is_seen_at_once() {
    let t = app_with_example_chart().await;
    let (corp, now) = (corp_id(&t), published_version(&t).await);
    let next = ChartRows {
        units: vec![department(&corp, 7, "审计部", 1)],
        persons: vec![member(&corp, 7, "sunqi", "孙七", &[7])],
        ..ChartRows::default()
    };
    let (next_version, lisi) = (now + 1, person_id(2));
    edit_chart(&t, &ChartEdit::EndDepartment(4, next_version)).await;
    edit_chart(&t, &ChartEdit::EndPerson(&lisi, next_version)).await;
    next.write(&t, next_version).await;
    assert_eq!(
        item_texts(&get_json(&t, PERSONS).await, "userid"),
        ["ZhangSan", "lisi", "wangwu", "zhaoliu", "guest"]
    );
    assert_eq!(get_json(&t, &format!("{PERSONS}/{lisi}")).await["userid"], "lisi");
    assert_eq!(get(&t, &format!("{UNITS}/wecom:7")).await.status, 404);
    assert_eq!(get(&t, &format!("{PERSONS}?userid=sunqi")).await.json::<Value>()["items"], json!([]));
    edit_chart(&t, &ChartEdit::Publish(next_version)).await;
    // Another replica published the version: a client that hears of it must not read the state
    // before.
    assert_eq!(get_json(&t, &format!("{UNITS}/wecom:7")).await["name"], "审计部");
    assert_eq!(get(&t, &format!("{UNITS}/wecom:4")).await.status, 404);
    assert_eq!(
        item_texts(&get_json(&t, PERSONS).await, "userid"),
        ["ZhangSan", "wangwu", "zhaoliu", "guest", "sunqi"]
    );
    assert_eq!(get(&t, &format!("{PERSONS}/{lisi}")).await.status, 404);
}

#[tokio::test]
async fn an_answer_that_still_holds_is_304_and_one_that_changed_is_sent() {
    let t = app_with_example_chart().await;
    let conditional = async |path: &str, known: &str| {
        let ask = new_request(&t, Method::GET, path).header("authorization", &basic_auth("oa"));
        send_request(ask.header("if-none-match", known)).await
    };
    let paths = [
        UNITS.to_owned(),
        PERSONS.to_owned(),
        TAGS.to_owned(),
        CHANGES.to_owned(),
        SYNC.to_owned(),
        format!("{UNITS}/wecom:2"),
        format!("{PERSONS}/{}", person_id(1)),
        format!("{TAGS}/wecom:1"),
        "/api/v1/openapi.json".to_owned(),
    ];
    for path in &paths {
        let page = get(&t, path).await;
        let etag = page.header("etag").unwrap_or_else(|| panic!("{path}: no ETag")).to_owned();
        assert!(etag.starts_with('"') && etag.len() == 66, "{etag}: a strong one of BLAKE3");
        assert_eq!(page.header("cache-control"), Some("private, no-cache"), "{path}");
        for known in [etag.clone(), "*".to_owned(), format!("W/{etag}"), format!("\"x\", {etag}")] {
            let page = conditional(path, &known).await;
            assert_eq!(page.status, 304, "{path} {known}");
            assert!(page.body.is_empty());
            assert_eq!(page.header("etag"), Some(&*etag));
            assert_eq!(page.header("cache-control"), Some("private, no-cache"));
        }
        for known in ["\"x\"", "", &etag[1..65], &etag.to_uppercase()] {
            assert_eq!(conditional(path, known).await.status, 200, "{path} {known:?}");
        }
        let head =
            send_request(new_request(&t, Method::HEAD, path).header("authorization", &basic_auth("oa")))
                .await;
        assert_eq!((head.status.as_u16(), head.header("etag")), (200, Some(&*etag)), "{path}");
        assert!(head.body.is_empty());
    }
    let etag_of = async |path: &str| get(&t, path).await.header("etag").map(str::to_owned).unwrap();
    let before = etag_of(&paths[6]).await;
    edit_chart(&t, &ChartEdit::RenamePerson("张三", "张三丰")).await;
    assert_eq!(conditional(&paths[6], &before).await.status, 200);
    assert_ne!(etag_of(&paths[6]).await, before);
    // An error has no ETag, and a call without credentials gets no 304.
    assert!(get(&t, &format!("{UNITS}/wecom:99")).await.header("etag").is_none());
    let stranger = new_request(&t, Method::GET, UNITS).header("if-none-match", "*");
    assert_eq!(send_request(stranger).await.status, 401);
}

#[tokio::test]
async fn the_directory_is_not_read_from_memory_while_the_database_is_away() {
    let t = app_with_example_chart().await;
    t.app.db.close().await;
    let (person, run) = (format!("{PERSONS}/{}", person_id(1)), format!("{SYNC}/x"));
    for path in [UNITS, TAGS, PERSONS, CHANGES, SYNC, &format!("{UNITS}/wecom:1"), &person, &run] {
        let page = get(&t, path).await;
        assert_eq!(problem(&page), (503, "store.unavailable".to_owned()), "{path}");
        assert!(page.header("retry-after").is_some() && page.header("etag").is_none());
    }
    assert_eq!(problem(&call(&t, Method::POST, SYNC, "{}").await), (503, "store.unavailable".to_owned()));
}

// --- the change feed
// -----------------------------------------------------------------------------------------

/// Records changes as a use case does: visible with the commit.
async fn note_changes(t: &TestApp, changes: &[(DirectoryEntity, &str, DirectoryChangeKind)]) {
    let mut change =
        DirectoryTransaction::begin(&t.app.db, &corp_id(t), t.app.clock.now()).await.expect("a transaction");
    for (entity, id, what) in changes {
        change.note_directory_change(*entity, *id, *what);
    }
    change.commit().await.expect("committed");
}

/// Records changes as a run does: in transactions before the one that publishes them.
async fn publish_batch(t: &TestApp, prefix: &str, count: i64) {
    let corp = corp_id(t);
    let batch = reserve_batch(&t.app.db).await.expect("a number");
    let mut tx = t.app.db.write().await.expect("a transaction");
    for n in 0..count {
        let id = format!("{prefix}-{n}");
        let what = (DirectoryEntity::Person, &*id, DirectoryChangeKind::Updated);
        insert_directory_change(&mut tx, &corp, batch, n, what).await.expect("a row");
    }
    tx.commit().await.expect("committed");
    let mut change =
        DirectoryTransaction::begin(&t.app.db, &corp, t.app.clock.now()).await.expect("a transaction");
    change.publish_batch(batch, count);
    change.commit().await.expect("committed");
}

/// Follows the feed from `since` until nothing is new. Returns what was read and the cursor to
/// continue from.
async fn follow_feed(t: &TestApp, since: &str, limit: usize) -> (Vec<Value>, String) {
    let (mut seen, mut since) = (Vec::new(), since.to_owned());
    loop {
        let part = get_json(t, &format!("{CHANGES}?since={since}&limit={limit}")).await;
        assert!(items(&part).len() <= limit);
        let next = part["next_cursor"].as_str().expect("always a cursor").to_owned();
        seen.extend_from_slice(items(&part));
        if items(&part).is_empty() && next == since {
            return (seen, since);
        }
        since = next;
    }
}

fn sequence_numbers(seen: &[Value]) -> Vec<i64> {
    seen.iter().map(|item| item["seq"].as_i64().expect("a number")).collect()
}

#[tokio::test]
async fn a_follower_always_has_a_cursor_and_reads_on_from_it() {
    let t = TestApp::start().await;
    insta::assert_json_snapshot!("changes_none", get_json(&t, CHANGES).await);
    note_changes(
        &t,
        &[
            (DirectoryEntity::Unit, "u1", DirectoryChangeKind::Created),
            (DirectoryEntity::Person, "p1", DirectoryChangeKind::Updated),
        ],
    )
    .await;
    note_changes(&t, &[(DirectoryEntity::Tag, "t1", DirectoryChangeKind::Removed)]).await;
    insta::assert_json_snapshot!("changes", get_json(&t, CHANGES).await);
    let (seen, cursor) = follow_feed(&t, "0", 1).await;
    assert_eq!(sequence_numbers(&seen), [1, 2, 3]);
    assert_eq!(follow_feed(&t, &cursor, 10).await.0, Vec::<Value>::new());
    note_changes(&t, &[(DirectoryEntity::Unit, "u2", DirectoryChangeKind::Removed)]).await;
    assert_eq!(item_texts(&get_json(&t, &format!("{CHANGES}?since={cursor}")).await, "id"), ["u2"]);
}

#[tokio::test]
async fn a_sign_in_of_somebody_new_is_in_the_change_feed() {
    let t = TestApp::start().await;
    t.signed_in("zhangsan").await;
    let (seen, _) = follow_feed(&t, "", 10).await;
    let last = seen.last().expect("a change");
    assert_eq!((&last["kind"], &last["change"]), (&json!("person"), &json!("created")));
    let id = last["id"].as_str().unwrap();
    assert_eq!(get_json(&t, &format!("{PERSONS}/{id}")).await["userid"], "zhangsan");
}

#[tokio::test]
async fn parts_of_any_size_join_without_a_gap_over_publications_of_any_size() {
    let t = TestApp::start().await;
    for (n, count) in [1, 5, 1, 1, 40, 2, 7, 1].into_iter().enumerate() {
        publish_batch(&t, &format!("b{n}"), count).await;
    }
    let (whole, _) = follow_feed(&t, "", 1000).await;
    assert_eq!(sequence_numbers(&whole), Vec::from_iter(1..=58));
    for limit in [1, 2, 3, 5, 6, 7, 40, 41, 57, 58, 59] {
        assert_eq!(follow_feed(&t, "", limit).await.0, whole, "limit {limit}");
    }
    for since in 0..=58 {
        let part = get_json(&t, &format!("{CHANGES}?since={since}&limit=9")).await;
        assert_eq!(
            sequence_numbers(items(&part)),
            Vec::from_iter(since + 1..=(since + 9).min(58)),
            "since {since}"
        );
    }
}

#[tokio::test]
async fn with_many_writers_every_change_has_one_number_and_none_is_missed() {
    const WRITERS: usize = 6;
    const TIMES: usize = 12;
    let t = Arc::new(TestApp::start().await);
    let writers = (0..WRITERS).map(|writer| {
        let t = Arc::clone(&t);
        async move {
            for time in 0..TIMES {
                if writer % 2 == 0 {
                    let (one, other) = (format!("w{writer}-{time}-a"), format!("w{writer}-{time}-b"));
                    note_changes(
                        &t,
                        &[
                            (DirectoryEntity::Unit, &one, DirectoryChangeKind::Created),
                            (DirectoryEntity::Tag, &other, DirectoryChangeKind::Updated),
                        ],
                    )
                    .await;
                } else {
                    publish_batch(&t, &format!("w{writer}-{time}"), 3).await;
                }
            }
        }
    });
    let over = AtomicBool::new(false);
    let writing = async {
        run_all_at_once(writers).await;
        over.store(true, Ordering::SeqCst);
    };
    let reading = async {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let last = over.load(Ordering::SeqCst);
            let (part, next) = follow_feed(&t, &cursor, 7).await;
            seen.extend(part);
            cursor = next;
            if last {
                return seen;
            }
        }
    };
    let ((), seen) = tokio::join!(writing, reading);
    let expected = WRITERS / 2 * TIMES * (2 + 3);
    assert_eq!(sequence_numbers(&seen), (1..=i64::try_from(expected).unwrap()).collect::<Vec<_>>());
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    for item in &seen {
        *times.entry(item["id"].as_str().unwrap()).or_default() += 1;
    }
    assert_eq!(times.len(), expected);
    assert!(times.values().all(|n| *n == 1), "{times:?}");
}

#[tokio::test]
async fn a_cursor_older_than_what_is_kept_is_gone_and_the_beginning_is_what_is_kept() {
    const DAY: Duration = Duration::from_secs(24 * 3600);
    let t = TestApp::start().await;
    publish_batch(&t, "old", 5).await;
    t.app.clock.advance(60 * DAY);
    publish_batch(&t, "young", 3).await;
    let forget = async || t.app.sync.forget_old().await.expect("forgotten");
    let gone = async |since: i64| problem(&get(&t, &format!("{CHANGES}?since={since}")).await);
    t.app.clock.advance(29 * DAY);
    forget().await;
    assert_eq!(
        sequence_numbers(&follow_feed(&t, "", 100).await.0),
        Vec::from_iter(1..=8),
        "90 days are kept"
    );
    t.app.clock.advance(2 * DAY);
    forget().await;
    for since in [0, 1, 4] {
        assert_eq!(gone(since).await, (410, "directory.feed_gone".to_owned()), "since {since}");
    }
    assert_eq!(sequence_numbers(&follow_feed(&t, "", 2).await.0), [6, 7, 8]);
    assert_eq!(
        sequence_numbers(&follow_feed(&t, "5", 2).await.0),
        [6, 7, 8],
        "who had read all of the old is in time"
    );
    assert_eq!(sequence_numbers(&follow_feed(&t, "7", 2).await.0), [8]);
    // A number that was never given out: the database was restored from a backup.
    assert_eq!(gone(9).await, (410, "directory.feed_gone".to_owned()));
    // While the newer changes are being deleted, row by row.
    edit_chart(&t, &ChartEdit::ForgetFirstChanges).await;
    assert_eq!(gone(5).await.0, 410, "6 is gone");
    assert_eq!(sequence_numbers(&follow_feed(&t, "", 2).await.0), [7, 8]);
    assert_eq!(sequence_numbers(&follow_feed(&t, "6", 2).await.0), [7, 8]);
    t.app.clock.advance(90 * DAY);
    forget().await;
    assert_eq!(t.count_rows("directory_changes").await, 0);
    assert_eq!(follow_feed(&t, "", 10).await, (vec![], "8".to_owned()));
    assert_eq!(follow_feed(&t, "8", 10).await, (vec![], "8".to_owned()));
    assert_eq!(gone(7).await.0, 410);
}

#[tokio::test]
async fn changes_of_another_corporation_in_the_same_database_are_passed_over() {
    let t = TestApp::start().await;
    let other = CorpId::new("ww_other");
    for n in 0..4 {
        let mut change = DirectoryTransaction::begin(&t.app.db, &other, t.app.clock.now()).await.unwrap();
        change.note_directory_change(
            DirectoryEntity::Unit,
            format!("theirs{n}"),
            DirectoryChangeKind::Created,
        );
        change.note_directory_change(
            DirectoryEntity::Unit,
            format!("theirs{n}b"),
            DirectoryChangeKind::Created,
        );
        change.commit().await.unwrap();
        note_changes(&t, &[(DirectoryEntity::Unit, &format!("ours{n}"), DirectoryChangeKind::Created)]).await;
    }
    for limit in [1, 2, 3, 100] {
        let (seen, cursor) = follow_feed(&t, "", limit).await;
        assert_eq!((sequence_numbers(&seen), &*cursor), (vec![3, 6, 9, 12], "12"), "limit {limit}");
    }
}

// --- asking for a run
// ----------------------------------------------------------------------------------------

#[tokio::test]
async fn a_run_is_queued_once_and_shown_with_how_it_goes() {
    let t = TestApp::start().await;
    // Another process is running, so that the requested run waits.
    let other = "00000000-0000-7000-8000-000000000000";
    let (corp, lease) = (t.app.config.wecom.corp_id.as_str(), t.app.clock.now().millis() + 30_000);
    let counts = json!(gongpai::testing::sync::apply::Counts::default());
    let running = RunFixture { counts: counts.to_string(), ..RunFixture::running(other, "elsewhere", lease) };
    running.write(&t.app.db, corp).await;
    let ask_for = async |body: &str| {
        let page = call(&t, Method::POST, SYNC, body).await;
        assert_eq!(page.status, 202, "{body}: {}", page.text());
        page.json::<Value>()["run_id"].as_str().expect("an id").to_owned()
    };
    let update = ask_for(r#"{"kind":"update"}"#).await;
    assert_eq!(get_json(&t, &format!("{SYNC}/{update}")).await["kind"], "update");
    assert_eq!(ask_for("").await, update, "one waits already; now it reads everything");
    assert_eq!(ask_for(r#"{"dry_run":false,"force":true}"#).await, update);
    t.app.clock.advance(Duration::from_millis(1));
    let rehearsal = ask_for(r#"{"dry_run":true}"#).await;
    assert_ne!(rehearsal, update);
    let mut run = get_json(&t, &format!("{SYNC}/{update}")).await;
    assert_eq!(run["id"].take(), *update);
    insta::assert_json_snapshot!("sync_run_queued", run);
    let queued =
        t.app.sync.find(&RunId::new(&*update)).await.expect("the database answers").expect("it waits");
    assert_eq!((queued.cause.to_string(), queued.force), ("api:oa".to_owned(), true));
    let runs = get_json(&t, SYNC).await;
    assert_eq!(item_texts(&runs, "id"), [&*rehearsal, &*update, other], "the newest first");
    assert_eq!(read_all(&t, SYNC, 1).await, items(&runs));
    for unknown in ["x", "%00", "019a0000-0000-7000-8000-999999999999"] {
        assert_eq!(problem(&get(&t, &format!("{SYNC}/{unknown}")).await).0, 404, "{unknown}");
    }
}

#[tokio::test]
async fn what_is_no_order_for_a_run_is_a_bad_request_and_queues_nothing() {
    let t = TestApp::start().await;
    for body in [
        "x",
        "[]",
        "null",
        "{",
        r#"{"dryrun":true}"#,
        r#"{"dry_run":"true"}"#,
        r#"{"dry_run":1}"#,
        r#"{"kind":"Full"}"#,
        r#"{"kind":""}"#,
        "{} {}",
    ] {
        let page = call(&t, Method::POST, SYNC, body).await;
        assert_eq!(problem(&page), (400, "api.bad_request".to_owned()), "{body}: {}", page.text());
    }
    assert_eq!(problem(&call(&t, Method::POST, &format!("{SYNC}?force=true"), "{}").await).0, 400);
    let long = format!("{{\"kind\":\"{}\"}}", "x".repeat(1 << 20));
    assert_eq!(problem(&call(&t, Method::POST, SYNC, &long).await), (413, "request.too_large".to_owned()));
    assert_eq!(t.count_rows("sync_runs").await, 0);
}

#[tokio::test]
async fn the_example_chart_is_what_its_words_say() {
    let t = app_with_example_chart().await;
    let statuses = get_json(&t, PERSONS).await;
    let words = [
        PersonStatus::Active,
        PersonStatus::Active,
        PersonStatus::Disabled,
        PersonStatus::Left,
        PersonStatus::Active,
    ];
    assert_eq!(item_texts(&statuses, "status"), words.map(PersonStatus::as_str));
    let unit = UnitId::from_department(&corp_id(&t), 2);
    assert_eq!(get_json(&t, &format!("{UNITS}/{unit}")).await["leaders"], json!(["ZhangSan"]));
}

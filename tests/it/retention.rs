//! How long the rows of every table are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gongpai::testing::app::retention;
use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::base::id::PersonId;
use gongpai::testing::directory::PersonStatus;
use gongpai::testing::directory::changes::DirectoryChangeKind;
use sqlx::{AssertSqlSafe, Row as _};

use crate::support::app::TestApp;
use crate::support::chart::{ChartRows, member, published_version};
use crate::support::chart_rows::find_released_persons;
use crate::support::conflicts::conflict_state;
use crate::support::directory::{directory_changes, find_holder};
use crate::support::messages::{write_count, write_sent_message};
use crate::support::planted_rows::{
    ConflictFixture, RunFixture, SessionFixture, end_all_sessions, insert_attempt, insert_audit_row,
    insert_feed_entry, insert_identity, insert_published_changes, insert_ticket, mark_person_left,
};
use crate::support::query::find_keys_with_prefix;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// The retention of every table. A table that is missing here has none, and fails the test.
fn retentions() -> BTreeMap<&'static str, &'static str> {
    BTreeMap::from([
        ("sessions", "7 days after they expired or ended"),
        ("attempts", "a day"),
        ("tickets", "a day"),
        ("feed", "7 days"),
        ("audit", "180 days"),
        ("signing_keys", "until the last token they signed has expired"),
        ("feed_counter", "one row"),
        ("persons", "one row a member; who left goes after directory.purge_left_after"),
        ("person_rows", "the published version, and the next one while a run writes it; as persons"),
        ("unit_rows", "the published version, and the next one while a run writes it"),
        ("tag_rows", "the published version, and the next one while a run writes it"),
        ("charts", "one row a corporation"),
        ("directory_changes", "90 days"),
        ("publications", "90 days"),
        ("sync_runs", "90 days, and the last complete one"),
        ("schedules", "one row a schedule"),
        ("conflicts", "as long as the person; answered ones 90 days longer"),
        ("rule_bindings", "one row a userid that was ever named in a rule"),
        ("messages", "30 days after they finished"),
        ("message_recipients", "as their message"),
        ("message_calls", "as the messages in them"),
        ("message_lanes", "one row a corporation"),
        ("message_recalls", "as their call"),
        ("message_counts", "two days"),
        ("message_links", "as their message"),
        ("_sqlx_migrations", "one row a version"),
    ])
}

async fn table_names(t: &TestApp) -> BTreeSet<String> {
    let sql = if t.app.db.engine() == "sqlite" {
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
    } else {
        "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = 'public'"
    };
    let rows = sqlx::query(sql).fetch_all(t.app.db.pool()).await.expect("the tables");
    rows.iter().map(|row| row.try_get(0).expect("a name")).collect()
}

async fn columns(t: &TestApp, table: &str) -> Vec<(String, String)> {
    let sql = if t.app.db.engine() == "sqlite" {
        format!("SELECT name, type FROM pragma_table_info('{table}')")
    } else {
        format!(
            "SELECT CAST(column_name AS TEXT), upper(CAST(data_type AS TEXT)) FROM information_schema.columns \
             WHERE table_schema = 'public' AND table_name = '{table}'"
        )
    };
    let rows = sqlx::query(AssertSqlSafe(sql)).fetch_all(t.app.db.pool()).await.expect("the columns");
    rows.iter().map(|row| (row.try_get(0).expect("a name"), row.try_get(1).expect("a type"))).collect()
}

/// Returns which of the rows that a test inserted are still there.
async fn row_ids(t: &TestApp, table: &str, key: &str) -> BTreeSet<String> {
    find_keys_with_prefix(&t.app.db, table, key, "row-").await
}

async fn delete_old_rows(t: &TestApp) {
    retention::delete_old_rows(&t.app.db, t.app.clock.now(), t.app.config.session.ttl)
        .await
        .expect("deleted");
    t.app.sync.forget_old().await.expect("forgotten");
}

fn id_set(ids: &[&str]) -> BTreeSet<String> {
    ids.iter().map(|id| (*id).to_owned()).collect()
}

#[tokio::test]
async fn every_table_has_a_retention() {
    let t = TestApp::start().await;
    let known: BTreeSet<String> = retentions().into_keys().map(str::to_owned).collect();
    assert_eq!(table_names(&t).await, known);
}

#[tokio::test]
async fn every_row_that_names_something_of_wecoms_carries_the_corporation_and_instants_are_numbers() {
    let t = TestApp::start().await;
    for table in table_names(&t).await {
        if table == "_sqlx_migrations" {
            continue;
        }
        let columns = columns(&t, &table).await;
        let has = |name: &str| columns.iter().any(|(n, _)| n == name);
        let none_of_wecoms = ["feed_counter", "signing_keys"].contains(&&*table);
        assert!(has("corp_id") || none_of_wecoms, "{table}");
        for (name, kind) in &columns {
            assert!(kind == "TEXT" || kind == "BIGINT", "{table}.{name} is {kind}");
            let instant =
                name.ends_with("_at") || name == "at" || name == "auth_time" || name == "signs_from";
            assert!(!instant || kind == "BIGINT", "{table}.{name} is {kind}");
        }
    }
}

#[tokio::test]
async fn userids_are_unique_in_their_corporation_without_regard_to_case() {
    let t = TestApp::start().await;
    let db = &t.app.db;
    insert_identity(db, "a", "p1", "ZhangSan", 0).await.expect("the first");
    insert_identity(db, "b", "p2", "ZhangSan", 0).await.expect("case 22: another corporation");
    insert_identity(db, "a", "p3", "zhangsan", 0).await.expect_err("the same again");
}

#[tokio::test]
async fn what_is_older_than_its_retention_is_deleted_and_nothing_younger() {
    let t = TestApp::start().await;
    t.signed_in("zhangsan").await;
    let now = t.app.clock.now();
    let ago = |by: Duration| now.minus(by).millis();
    let second = Duration::from_secs(1);
    let corp = t.app.config.wecom.corp_id.as_str().to_owned();
    let person = find_holder(&t, "zhangsan").await;
    let db = &t.app.db;
    for (sid, expires_at, ended_at) in [
        ("row-expired-old", ago(7 * DAY + second), None),
        ("row-expired-young", ago(7 * DAY - second), None),
        ("row-ended-old", now.millis() + 1, Some(ago(7 * DAY + second))),
        ("row-ended-young", now.millis() + 1, Some(ago(7 * DAY - second))),
        ("row-alive", now.millis() + 1, None),
    ] {
        let person = person.as_str();
        let session = SessionFixture { sid, person, audience: "h", began_at: 0, expires_at, ended_at };
        session.write(db, &corp).await;
    }
    insert_ticket(db, &corp, "row-old", "row-alive", ago(DAY + second)).await;
    insert_ticket(db, &corp, "row-young", "row-alive", ago(DAY - second)).await;
    insert_ticket(db, &corp, "row-of-an-old-session", "row-expired-old", ago(Duration::ZERO)).await;
    for (id, at) in [("row-old", ago(DAY + second)), ("row-young", ago(DAY - second))] {
        insert_attempt(db, &corp, id, at).await;
    }
    for (seq, id, at) in [(-2, "row-old", ago(7 * DAY + second)), (-1, "row-young", ago(7 * DAY - second))] {
        insert_feed_entry(db, &corp, seq, id, at).await;
    }
    for (id, at) in [("row-old", ago(180 * DAY + second)), ("row-young", ago(180 * DAY - second))] {
        insert_audit_row(db, &corp, id, at).await;
    }
    delete_old_rows(&t).await;
    assert_eq!(
        row_ids(&t, "sessions", "sid").await,
        id_set(&["row-expired-young", "row-ended-young", "row-alive"])
    );
    for (table, key) in [("tickets", "hash"), ("attempts", "id"), ("feed", "id"), ("audit", "id")] {
        assert_eq!(row_ids(&t, table, key).await, id_set(&["row-young"]), "{table}");
    }
    // Whoever is signed in stays signed in.
    let phone = t.signed_in("zhangsan").await;
    delete_old_rows(&t).await;
    assert_eq!(t.check(&phone, "https://oa.example.com/x").await.status, 200);
}

#[tokio::test]
async fn changes_and_runs_are_kept_for_90_days_and_the_last_complete_run_for_ever() {
    let t = TestApp::start().await;
    let now = t.app.clock.now();
    let ago = |by: Duration| now.minus(by).millis();
    let (old, young) = (ago(90 * DAY + Duration::from_secs(1)), ago(90 * DAY - Duration::from_secs(1)));
    let corp = t.app.config.wecom.corp_id.as_str().to_owned();
    for (batch, id, at) in [(-3, "row-older", old - 1), (-2, "row-old", old), (-1, "row-young", young)] {
        insert_published_changes(&t.app.db, &corp, batch, id, at).await;
    }
    for (id, status, complete, dry_run, at) in [
        ("row-1-complete", "done", true, false, old - 9),
        ("row-2-last-complete", "done", true, false, old - 8),
        ("row-3-rehearsal", "done", true, true, old - 7),
        ("row-4-incomplete", "done", false, false, old - 6),
        ("row-5-refused", "refused", false, false, old - 5),
        ("row-6-failed", "failed", false, false, old),
        ("row-7-young", "failed", false, false, young),
    ] {
        let run =
            RunFixture { status, complete, dry_run, requested_at: at, ..RunFixture::running(id, "", 0) };
        run.write(&t.app.db, &corp).await;
    }
    delete_old_rows(&t).await;
    assert_eq!(row_ids(&t, "directory_changes", "id").await, id_set(&["row-young"]));
    assert_eq!((t.count_rows("directory_changes").await, t.count_rows("publications").await), (2, 1));
    assert_eq!(row_ids(&t, "sync_runs", "id").await, id_set(&["row-2-last-complete", "row-7-young"]));
}

#[tokio::test]
async fn whoever_left_long_ago_is_forgotten_with_the_questions_about_them_once_no_session_is_left() {
    let t = TestApp::with("[directory]\npurge_left_after = \"100d\"").await;
    let now = t.app.clock.now();
    let second = Duration::from_secs(1);
    let corp = t.app.config.wecom.corp_id.clone();
    let mut rows = ChartRows::default();
    for (n, name, by) in [
        (1, "old", Some(100 * DAY + second)),
        (2, "young", Some(100 * DAY - second)),
        (3, "here", None),
        (4, "ended", Some(100 * DAY + second)),
    ] {
        let mut person = member(&corp, n, name, name, &[]);
        person.id = PersonId::new(format!("row-{name}"));
        if let Some(by) = by {
            (person.status, person.left_at) = (PersonStatus::Left, Some(now.minus(by)));
        }
        rows.persons.push(person);
    }
    rows.write(&t, published_version(&t).await).await;
    // A session that ended is kept for seven days, and so is its person.
    let ended = SessionFixture {
        sid: "row-s",
        person: "row-ended",
        audience: "h",
        began_at: 0,
        expires_at: now.millis() + 1,
        ended_at: Some(now.minus(DAY).millis()),
    };
    ended.write(&t.app.db, corp.as_str()).await;
    let old = now.minus(90 * DAY + second).millis();
    for (id, person, candidate, state, closed_at) in [
        ("row-of-old", "row-old", "row-here", "separate", Some(1)),
        ("row-open-of-old", "row-old", "row-here", "open", None),
        ("row-of-young", "row-young", "row-here", "separate", Some(1)),
        ("row-about-old", "row-here", "row-old", "open", None),
        ("row-merged-old", "merged", "row-here", "merged", Some(old)),
        ("row-merged-young", "merged", "row-here", "merged", Some(old + 2000)),
    ] {
        let conflict =
            ConflictFixture { id, kind: "renamed", person, candidates: &[candidate], state, closed_at };
        conflict.write(&t.app.db, corp.as_str()).await;
    }
    delete_old_rows(&t).await;
    assert_eq!(row_ids(&t, "person_rows", "person_id").await, id_set(&["row-young", "row-here"]));
    assert_eq!(row_ids(&t, "persons", "id").await, id_set(&["row-young", "row-here", "row-ended"]));
    assert_eq!(find_released_persons(&t.app.db).await, ["row-ended"]);
    assert_eq!(
        row_ids(&t, "conflicts", "id").await,
        id_set(&["row-of-young", "row-about-old", "row-merged-young"]),
        "an answer about somebody who is there is kept, so that nobody is asked again"
    );
    assert_eq!(
        conflict_state(&t, "row-about-old").await,
        "gone",
        "of nobody who could be it is anything known"
    );
    assert_eq!(conflict_state(&t, "row-of-young").await, "separate");
    let removed = directory_changes(&t)
        .await
        .into_iter()
        .filter(|change| change.change == DirectoryChangeKind::Removed);
    let mut told: Vec<_> = removed.map(|change| change.id).collect();
    told.sort();
    assert_eq!(told, ["row-ended", "row-old"], "applications hear of it");
    // When the session is deleted, the next run deletes the rest.
    t.advance(7 * DAY).await;
    delete_old_rows(&t).await;
    assert_eq!(t.count_rows("sessions").await, 0);
    t.sync().await;
    assert_eq!(
        row_ids(&t, "persons", "id").await,
        id_set(&["row-here"]),
        "a week later row-young is due, too"
    );
}

#[tokio::test]
async fn whoever_left_and_is_still_signed_in_is_not_forgotten() {
    let t = TestApp::with("[directory]\npurge_left_after = \"1d\"").await;
    t.signed_in("zhangsan").await;
    let left = t.app.clock.now().minus(2 * DAY).millis();
    mark_person_left(&t.app.db, "zhangsan", Some(left)).await;
    delete_old_rows(&t).await;
    assert_eq!((t.count_rows("person_rows").await, t.count_rows("persons").await), (1, 1));
    end_all_sessions(&t.app.db, left).await;
    delete_old_rows(&t).await;
    assert_eq!((t.count_rows("person_rows").await, t.count_rows("persons").await), (0, 1));
}

#[tokio::test]
async fn more_old_rows_than_one_transaction_takes_are_all_deleted() {
    let t = TestApp::start().await;
    let old = t.app.clock.now().minus(181 * DAY).millis();
    for n in 0..1203 {
        insert_audit_row(&t.app.db, "c", &format!("row-{n}"), old).await;
    }
    delete_old_rows(&t).await;
    assert!(row_ids(&t, "audit", "id").await.is_empty());
    assert!(t.app.clock.now() > Timestamp::from_millis(old));
}

#[tokio::test]
async fn messages_go_30_days_after_they_finished_with_all_that_is_theirs_and_those_that_wait_stay() {
    let t = TestApp::start().await;
    let (db, corp, now) = (&t.app.db, &t.app.config.wecom.corp_id, t.app.clock.now());
    let ago = |by: Duration| now.minus(by);
    let (old, young) = (ago(30 * DAY + Duration::from_secs(1)), ago(30 * DAY - Duration::from_secs(1)));
    for (seq, id, finished_at) in
        [(-4, "row-old", Some(old)), (-3, "row-young", Some(young)), (-2, "row-waits", None)]
    {
        write_sent_message(db, corp, (id, seq, 700), old, finished_at).await;
    }
    for bucket in [ago(2 * DAY + Duration::from_secs(1)), ago(2 * DAY - Duration::from_secs(1))] {
        write_count(db, corp, bucket, 1).await;
    }
    delete_old_rows(&t).await;
    let kept = id_set(&["row-young", "row-waits"]);
    for (table, key) in [
        ("messages", "id"),
        ("message_recipients", "message_id"),
        ("message_calls", "id"),
        ("message_recalls", "call_id"),
        ("message_links", "id"),
    ] {
        assert_eq!(row_ids(&t, table, key).await, kept, "{table}");
    }
    assert_eq!((t.count_rows("message_recipients").await, t.count_rows("message_counts").await), (1400, 1));
}

//! How long the rows of every table are kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gongpai::testing::app::retention;
use gongpai::testing::base::clock::Timestamp;
use gongpai::testing::base::id::PersonId;
use gongpai::testing::directory::PersonStatus;
use sqlx::{AssertSqlSafe, Row as _};

use crate::support::app::TestApp;
use crate::support::chart::{ChartRows, member, published_version};
use crate::support::chart_rows::find_released_persons;
use crate::support::conflicts::conflict_state;
use crate::support::directory::{directory_changes, execute_sql, find_holder};
use crate::support::messages::{write_count, write_sent_message};
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
    let person = |id: &str, corp: &str, userid: &str| {
        sqlx::query(
            "INSERT INTO persons (id, corp_id, userid, checked_at, check_lease, created_at) VALUES ($1, $2, $3, 0, 0, 0)",
        )
        .bind(id.to_owned())
        .bind(corp.to_owned())
        .bind(userid.to_owned())
    };
    person("p1", "a", "ZhangSan").execute(t.app.db.pool()).await.expect("the first");
    person("p2", "b", "ZhangSan").execute(t.app.db.pool()).await.expect("case 22: another corporation");
    person("p3", "a", "zhangsan").execute(t.app.db.pool()).await.expect_err("the same again");
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
    let session = |sid: &str, expires: i64, ended: &str| {
        format!(
            "INSERT INTO sessions (sid, corp_id, person_id, family, audience, amr, auth_time, created_at, last_seen_at, \
             expires_at, ended_at, address, user_agent) VALUES ('{sid}', '{corp}', '{person}', '{sid}', 'h', 'wecom-app', \
             0, 0, 0, {expires}, {ended}, '', '')"
        )
    };
    execute_sql(&t, &session("row-expired-old", ago(7 * DAY + second), "NULL")).await;
    execute_sql(&t, &session("row-expired-young", ago(7 * DAY - second), "NULL")).await;
    execute_sql(&t, &session("row-ended-old", now.millis() + 1, &ago(7 * DAY + second).to_string())).await;
    execute_sql(&t, &session("row-ended-young", now.millis() + 1, &ago(7 * DAY - second).to_string())).await;
    execute_sql(&t, &session("row-alive", now.millis() + 1, "NULL")).await;
    let ticket = |hash: &str, sid: &str, expires: i64| {
        format!(
            "INSERT INTO tickets (hash, corp_id, sid, host, cookie_hash, target, started_at, expires_at) \
             VALUES ('{hash}', '{corp}', '{sid}', 'h', 'c', 't', 0, {expires})"
        )
    };
    execute_sql(&t, &ticket("row-old", "row-alive", ago(DAY + second))).await;
    execute_sql(&t, &ticket("row-young", "row-alive", ago(DAY - second))).await;
    execute_sql(&t, &ticket("row-of-an-old-session", "row-expired-old", ago(Duration::ZERO))).await;
    for (id, at) in [("row-old", ago(DAY + second)), ("row-young", ago(DAY - second))] {
        execute_sql(&t, &format!(
            "INSERT INTO attempts (id, corp_id, code_hash, claimed_at) VALUES ('{id}', '{corp}', 'c', {at})"
        ))
        .await;
    }
    for (n, id, at) in [(-2, "row-old", ago(7 * DAY + second)), (-1, "row-young", ago(7 * DAY - second))] {
        execute_sql(&t, &format!(
            "INSERT INTO feed (seq, corp_id, kind, id, at) VALUES ({n}, '{corp}', 'session', '{id}', {at})"
        ))
        .await;
    }
    for (id, at) in [("row-old", ago(180 * DAY + second)), ("row-young", ago(180 * DAY - second))] {
        execute_sql(&t,
            &format!(
                "INSERT INTO audit (id, corp_id, at, event, person_id, userid, address, host, decision, detail, request_id) \
                 VALUES ('{id}', '{corp}', {at}, 'gate', '', '', '', '', '', '', '')"
            ),
        )
        .await;
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
        for n in 0..2 {
            execute_sql(
                &t,
                &format!(
                    "INSERT INTO directory_changes (batch, n, corp_id, kind, id, change) \
                 VALUES ({batch}, {n}, '{corp}', 'unit', '{id}', 'updated')"
                ),
            )
            .await;
        }
        execute_sql(&t, &format!(
            "INSERT INTO publications (first_seq, batch, corp_id, count, at) VALUES ({}, {batch}, '{corp}', 2, {at})",
            batch * 2
        ))
        .await;
    }
    for (id, status, complete, dry_run, at) in [
        ("row-1-complete", "done", 1, 0, old - 9),
        ("row-2-last-complete", "done", 1, 0, old - 8),
        ("row-3-rehearsal", "done", 1, 1, old - 7),
        ("row-4-incomplete", "done", 0, 0, old - 6),
        ("row-5-refused", "refused", 0, 0, old - 5),
        ("row-6-failed", "failed", 0, 0, old),
        ("row-7-young", "failed", 0, 0, young),
    ] {
        execute_sql(&t, &format!(
            "INSERT INTO sync_runs (id, corp_id, kind, cause, dry_run, forced, status, complete, counts, progress, report, \
             reason, holder, lease_until, requested_at) VALUES ('{id}', '{corp}', 'full', 'command', {dry_run}, 0, \
             '{status}', {complete}, '{{}}', NULL, '{{}}', NULL, '', 0, {at})"
        ))
        .await;
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
    execute_sql(&t, &format!(
        "INSERT INTO sessions (sid, corp_id, person_id, family, audience, amr, auth_time, created_at, last_seen_at, \
         expires_at, ended_at, address, user_agent) VALUES ('row-s', '{corp}', 'row-ended', 'row-s', 'h', 'wecom-app', 0, \
         0, 0, {}, {}, '', '')",
        now.millis() + 1,
        now.minus(DAY).millis()
    ))
    .await;
    let old = now.minus(90 * DAY + second).millis();
    for (id, person, candidate, state, closed) in [
        ("row-of-old", "row-old", "row-here", "separate", "1".to_owned()),
        ("row-open-of-old", "row-old", "row-here", "open", "NULL".to_owned()),
        ("row-of-young", "row-young", "row-here", "separate", "1".to_owned()),
        ("row-about-old", "row-here", "row-old", "open", "NULL".to_owned()),
        ("row-merged-old", "merged", "row-here", "merged", old.to_string()),
        ("row-merged-young", "merged", "row-here", "merged", (old + 2000).to_string()),
    ] {
        execute_sql(&t, &format!(
            "INSERT INTO conflicts (id, corp_id, kind, person_id, candidates, state, created_at, closed_at) \
             VALUES ('{id}', '{corp}', 'renamed', '{person}', '[\"{candidate}\"]', '{state}', 0, {closed})"
        ))
        .await;
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
    let removed = directory_changes(&t).await.into_iter().filter(|change| change.change == "removed");
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
    execute_sql(&t, &format!("UPDATE person_rows SET status = 'left', left_at = {left}")).await;
    delete_old_rows(&t).await;
    assert_eq!((t.count_rows("person_rows").await, t.count_rows("persons").await), (1, 1));
    execute_sql(&t, &format!("UPDATE sessions SET ended_at = {left}")).await;
    delete_old_rows(&t).await;
    assert_eq!((t.count_rows("person_rows").await, t.count_rows("persons").await), (0, 1));
}

#[tokio::test]
async fn more_old_rows_than_one_transaction_takes_are_all_deleted() {
    let t = TestApp::start().await;
    let old = t.app.clock.now().minus(181 * DAY).millis();
    for n in 0..1203 {
        let row = format!(
            "INSERT INTO audit (id, corp_id, at, event, person_id, userid, address, host, decision, detail, request_id) \
             VALUES ('row-{n}', 'c', {old}, 'gate', '', '', '', '', '', '', '')"
        );
        execute_sql(&t, &row).await;
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

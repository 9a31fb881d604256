//! Runs of the real process: killed at any instant, and with sign-ins beside them.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gongpai::simulator::{RunningSimulator, Simulator};
use gongpai::testing::base::secret::Secret;
use gongpai::testing::db::{DatabaseLocation, Db};
use reqwest::Method;
use serde_json::json;

use crate::support::changes::{count_missing_changes, count_unpublished_changes};
use crate::support::chart::read_published_version;
use crate::support::chart_rows::{
    VERSIONED_TABLES, count_keys_with_two_open_rows, count_persons_without_their_userid,
    count_rows_that_will_end, count_shared_userids, count_staged_persons, count_staged_rows,
    find_persons_with_rows, read_local_texts,
};
use crate::support::company::{
    CompanyChanges, Dice, ExpectedChart, describe_differences, expected_chart, read_api_view,
};
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::planted_rows::expire_run_leases_of_others;
use crate::support::serve::ServeProcess;
use crate::support::sync_runs::{read_running_run, read_sync_runs, reason_code};

const MEMBERS: usize = 2000;
const DEPARTMENTS: usize = 100;
const KILL_COUNT: usize = 20;

/// How many persons are staged when a run is nearly done, whoever left.
const ALL_BUT_A_FEW: i64 = 1980;

/// How often the database is read while a run goes on.
const POLL_INTERVAL: Duration = Duration::from_millis(2);

async fn start_simulator() -> RunningSimulator {
    Simulator::start().await.expect("the simulator starts")
}

async fn open_database(database: &TestDatabase) -> Db {
    let file = database.data_dir().join("gongpai.db");
    let url = Secret::from(database.url());
    let location = if database.url().is_empty() {
        DatabaseLocation::Sqlite(&file)
    } else {
        DatabaseLocation::Postgres(&url)
    };
    Db::open(location).await.expect("the database opens")
}

/// Local entries; after their creation their bytes never change.
struct LocalEntries {
    paths: Vec<String>,
    bytes: Vec<Vec<u8>>,
    rows: Vec<String>,
}

impl LocalEntries {
    async fn create(serve: &ServeProcess, db: &Db) -> Self {
        let root = serve
            .call_expecting(Method::POST, "/directory/units", Some(&json!({"name": "项目组"})), 201)
            .await;
        let below = json!({"name": "外包/驻场", "parent_id": root["id"], "order": 7, "leaders": ["guard"]});
        let below = serve.call_expecting(Method::POST, "/directory/units", Some(&below), 201).await;
        let units = serve.list("/directory/units").await;
        let finance = units.iter().find(|u| u["wecom_id"] == 2).expect("财务部");
        let persons = [
            json!({"userid": "guard", "name": "保安老王", "mobile": "19900000001",
                   "memberships": [{"unit_id": below["id"], "order": 5, "leader": true}]}),
            json!({"userid": "auditor", "name": "审计", "email": "auditor@example.org",
                   "memberships": [{"unit_id": finance["id"]}, {"unit_id": root["id"]}]}),
            json!({"userid": "visitor", "name": "访客", "attributes": {"工号": "L-1"}}),
        ];
        let mut paths: Vec<String> = [&root, &below]
            .iter()
            .map(|u| format!("/directory/units/{}", u["id"].as_str().expect("an id")))
            .collect();
        for person in &persons {
            let made = serve.call_expecting(Method::POST, "/directory/persons", Some(person), 201).await;
            paths.push(format!("/directory/persons/{}", made["id"].as_str().expect("an id")));
        }
        let mut local = Self { paths, bytes: Vec::new(), rows: Vec::new() };
        (local.bytes, local.rows) = (local.read(serve).await, read_local_texts(db).await);
        assert_eq!(local.rows.len(), 5);
        local
    }

    async fn read(&self, serve: &ServeProcess) -> Vec<Vec<u8>> {
        let mut all = Vec::new();
        for path in &self.paths {
            let (status, body) = serve.call(Method::GET, path, None).await;
            assert_eq!(status, 200, "{path}: {}", String::from_utf8_lossy(&body));
            all.push(body);
        }
        all
    }

    async fn assert_untouched(&self, serve: &ServeProcess, db: &Db, when: &str) {
        let now = self.read(serve).await;
        for ((path, before), now) in self.paths.iter().zip(&self.bytes).zip(&now) {
            assert_eq!(String::from_utf8_lossy(now), String::from_utf8_lossy(before), "{path} {when}");
        }
        assert_eq!(read_local_texts(db).await, self.rows, "{when}");
    }
}

/// When a process is killed.
#[derive(Debug, Clone, Copy)]
enum KillMoment {
    /// This long after the run began.
    After(Duration),
    /// After this many calls of `user/list`.
    Fetched(u64),
    /// With this many persons staged, and then a little later.
    Staged(i64, Duration),
}

/// What the run was doing when its process was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum KilledPhase {
    Beginning,
    Fetching,
    Comparing,
    Staging,
    Published,
}

/// Waits for the moment, or for the end of the run.
async fn wait_for_moment(moment: KillMoment, wecom: &RunningSimulator, db: &Db, calls: u64, published: i64) {
    loop {
        let come = match moment {
            KillMoment::After(pause) => {
                tokio::time::sleep(pause).await;
                true
            }
            KillMoment::Fetched(some) => wecom.calls("user/list") >= calls + some,
            KillMoment::Staged(some, later) => {
                // Leftovers of an earlier run are removed before members are read.
                let come = wecom.calls("user/list") > calls && count_staged_persons(db).await >= some;
                if come {
                    tokio::time::sleep(later).await;
                }
                come
            }
        };
        if come || read_published_version(db).await != published {
            return;
        }
        let mut failed = read_sync_runs(db).await;
        failed.retain(|run| {
            let is_killed = reason_code(run).as_deref() == Some("process_killed");
            run.status == "refused" || (run.status == "failed" && !is_killed)
        });
        assert!(failed.is_empty(), "{moment:?} does not come: {failed:?}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

fn draw_moments(dice: &mut Dice, run: Duration, publication: Duration, departments: u64) -> Vec<KillMoment> {
    let mut below = |most: u128| u64::try_from(dice.below(usize::try_from(most).expect("few"))).expect("few");
    let ms = Duration::from_millis;
    let mut draw = |n: usize| match n % 5 {
        0 => KillMoment::After(ms(below(run.as_millis()))),
        1 => KillMoment::Fetched(1 + below(departments.into())),
        2 | 3 => {
            KillMoment::Staged(1 + below(ALL_BUT_A_FEW.unsigned_abs().into()).cast_signed(), ms(below(20)))
        }
        // The last rows, then the conflicts, the change feed and the commit.
        _ => KillMoment::Staged(ALL_BUT_A_FEW, ms(below(publication.as_millis() + 20))),
    };
    (0..KILL_COUNT).map(&mut draw).collect()
}

/// Checks that every row belongs to a published version.
async fn assert_nothing_left_behind(db: &Db) {
    for (rows, key) in VERSIONED_TABLES {
        assert_eq!(count_staged_rows(db, rows).await, 0, "{rows}: staged rows stay");
        let ended = count_rows_that_will_end(db, rows).await;
        assert_eq!(ended, 0, "{rows}: rows end in a version that is not there");
        assert_eq!(count_keys_with_two_open_rows(db, rows, key).await, 0, "{rows}: two open rows");
    }
    assert_eq!(count_shared_userids(db).await, 0, "two persons have one userid");
    let strangers = count_persons_without_their_userid(db).await;
    assert_eq!(strangers, 0, "persons without the identity of their userid");
    assert_eq!(count_unpublished_changes(db).await, 0, "changes that nobody published");
    assert_eq!(count_missing_changes(db).await, 0, "publications count what is not there");
    let runs = read_sync_runs(db).await;
    assert!(runs.iter().all(|run| !["running", "queued"].contains(&run.status.as_str())), "{runs:?}");
}

/// Reads the change feed from its beginning: every number once, everybody created once.
async fn assert_feed_is_whole(serve: &ServeProcess, db: &Db) -> usize {
    let (mut last, mut cursor) = (0, String::new());
    let mut created = BTreeMap::<String, u32>::new();
    loop {
        let path = format!("/directory/changes?limit=1000&since={cursor}");
        let page = serve.call_expecting(Method::GET, &path, None, 200).await;
        let items = page["items"].as_array().expect("items");
        if items.is_empty() {
            break;
        }
        for item in items {
            last += 1;
            assert_eq!(item["seq"], last, "{item}");
            if item["kind"] == "person" && item["change"] == "created" {
                *created.entry(item["id"].as_str().expect("an id").to_owned()).or_default() += 1;
            }
        }
        page["next_cursor"].as_str().expect("a cursor").clone_into(&mut cursor);
    }
    assert_eq!(created.values().filter(|times| **times != 1).count(), 0, "persons were created twice");
    let known: BTreeSet<String> = find_persons_with_rows(db).await.into_iter().collect();
    assert_eq!(
        created.keys().cloned().collect::<BTreeSet<_>>(),
        known,
        "the feed and the chart know the same persons"
    );
    usize::try_from(last).expect("a number")
}

#[tokio::test]
async fn running_again_after_kill_9_at_any_instant_of_a_run_the_chart_is_the_old_or_the_new_one_and_the_next_run_heals()
 {
    let (wecom, database, mut dice) = (start_simulator().await, TestDatabase::create().await, Dice::new());
    let mut changes = wecom.change(|w| CompanyChanges::populate(w, MEMBERS, DEPARTMENTS));
    wecom.set_latency("user/list", Duration::from_millis(30));
    let mut serve = ServeProcess::start(&wecom, &database, "").await;
    let db = open_database(&database).await;
    let run = serve.request_run().await;
    serve.wait_until_done(&run).await;
    let phone = serve.signed_in(&wecom, "zhangsan").await;
    let local = LocalEntries::create(&serve, &db).await;

    // An undisturbed run shows how long one takes.
    wecom.change(|w| changes.change_company(w, &mut dice));
    let (began, before, calls) =
        (Instant::now(), read_published_version(&db).await, wecom.calls("user/list"));
    let run = serve.request_run().await;
    wait_for_moment(KillMoment::Staged(ALL_BUT_A_FEW, Duration::ZERO), &wecom, &db, calls, before).await;
    let last_rows = Instant::now();
    serve.wait_until_done(&run).await;
    let (took, publication) = (began.elapsed(), last_rows.elapsed());
    let departments = wecom.calls("user/list") - calls;
    println!("a run takes {took:?}, its publication up to {publication:?}, {departments} calls of user/list");
    let mut published = wecom.read(expected_chart);
    let now = read_api_view(&serve).await;
    let wrong = describe_differences(&now.chart, &published);
    assert!(wrong.is_empty(), "before anybody was killed: {wrong}");
    let mut ids = now.ids;
    changes.mark_published();

    let mut phases = BTreeMap::<KilledPhase, u32>::new();
    for (n, moment) in draw_moments(&mut dice, took, publication, departments).into_iter().enumerate() {
        wecom.change(|w| changes.change_company(w, &mut dice));
        let attempted = wecom.read(expected_chart);
        let (before, calls) = (read_published_version(&db).await, wecom.calls("user/list"));
        let run = serve.request_run().await;
        expire_run_leases_of_others(&db, serve.process.id()).await;
        // Queue a run; the process looks at once.
        serve.request_run().await;
        eventually("the run begins", async || {
            read_running_run(&db).await.filter(|running| running.id == run).map(drop)
        })
        .await;
        if n % 4 == 0 {
            local.assert_untouched(&serve, &db, "during a run").await;
        }
        wait_for_moment(moment, &wecom, &db, calls, before).await;
        serve = serve.killed_and_restarted().await;
        let phase = if read_published_version(&db).await != before {
            KilledPhase::Published
        } else if wecom.calls("user/list") == calls {
            KilledPhase::Beginning
        } else if wecom.calls("user/list") < calls + departments {
            KilledPhase::Fetching
        } else if count_staged_persons(&db).await == 0 {
            KilledPhase::Comparing
        } else {
            KilledPhase::Staging
        };
        *phases.entry(phase).or_default() += 1;
        println!("kill {n} at {moment:?}: {phase:?}, {} persons staged", count_staged_persons(&db).await);

        let now = read_api_view(&serve).await;
        let expected: &ExpectedChart = if phase == KilledPhase::Published { &attempted } else { &published };
        let wrong = describe_differences(&now.chart, expected);
        assert!(wrong.is_empty(), "after kill {n} ({moment:?}, {phase:?}) a mixture is shown: {wrong}");
        for (employee, id) in &ids {
            assert_eq!(
                now.ids.get(employee),
                Some(id),
                "{employee} is another person after kill {n} ({phase:?})"
            );
        }
        ids = now.ids;
        local.assert_untouched(&serve, &db, "after a kill").await;
        assert_eq!(serve.check(&phone).await.status, 200, "a session was lost");
        if phase == KilledPhase::Published {
            published = attempted;
            changes.mark_published();
        }
    }
    println!("{phases:?}");
    let of = |phase| phases.get(&phase).copied().unwrap_or(0);
    assert!(
        of(KilledPhase::Fetching) >= 2 && of(KilledPhase::Staging) >= 4,
        "the moments are no longer spread: {phases:?}"
    );

    let run = serve.request_run().await;
    expire_run_leases_of_others(&db, serve.process.id()).await;
    serve.wait_until_done(&run).await;
    let now = read_api_view(&serve).await;
    let wrong = describe_differences(&now.chart, &wecom.read(expected_chart));
    assert!(wrong.is_empty(), "after the healing run: {wrong}");
    for (employee, id) in &ids {
        assert_eq!(now.ids.get(employee), Some(id), "{employee} is another person after the healing run");
    }
    local.assert_untouched(&serve, &db, "after the healing run").await;
    assert_nothing_left_behind(&db).await;
    println!("{} changes in the feed", assert_feed_is_whole(&serve, &db).await);

    // And nothing is left to be brought.
    let before = read_published_version(&db).await;
    let run = serve.request_run().await;
    let run = serve.wait_until_done(&run).await;
    let none = json!({"created": 0, "updated": 0, "removed": 0});
    for what in ["units", "persons", "memberships"] {
        assert_eq!(run["counts"][what], none, "{run:#}");
    }
    assert_eq!(read_published_version(&db).await, before);
    assert_nothing_left_behind(&db).await;
}

#[tokio::test]
async fn running_a_synchronisation_holds_up_no_sign_in() {
    const SIGN_INS: usize = 20;
    let (wecom, database) = (start_simulator().await, TestDatabase::create().await);
    let mut changes = wecom.change(|w| CompanyChanges::populate(w, 6000, 300));
    wecom.set_latency("user/list", Duration::from_millis(30));
    let serve = ServeProcess::start(&wecom, &database, "").await;
    let db = open_database(&database).await;
    let run = serve.request_run().await;
    serve.wait_until_done(&run).await;
    let who: Vec<String> = wecom.read(|w| {
        let active = w.members.iter().filter(|m| m.status == gongpai::simulator::SimulatedStatus::Active);
        active.map(|m| m.userid.clone()).filter(|userid| userid != "zhengshi").collect()
    });
    let mut who = who.iter().cycle();
    let mut sign_in = async || {
        let began = Instant::now();
        serve.signed_in(&wecom, who.next().expect("somebody")).await;
        began.elapsed()
    };
    sign_in().await;
    let mut alone = Vec::new();
    for _ in 0..SIGN_INS {
        alone.push(sign_in().await);
    }

    let (mut fetching, mut staging) = (Vec::new(), Vec::new());
    let mut shortest = Duration::MAX;
    while fetching.len() < SIGN_INS || staging.len() < SIGN_INS {
        wecom.change(|w| changes.mark_round(w));
        let (began, before) = (Instant::now(), read_published_version(&db).await);
        let run = serve.request_run().await;
        while read_published_version(&db).await == before {
            let phase = if count_staged_persons(&db).await > 0 { &mut staging } else { &mut fetching };
            phase.push(sign_in().await);
        }
        serve.wait_until_done(&run).await;
        shortest = shortest.min(began.elapsed());
    }
    alone.sort();
    fetching.sort();
    staging.sort();
    println!("runs took {shortest:?} and more");
    for (what, times) in
        [("without a run", &alone), ("during a fetch", &fetching), ("during staging", &staging)]
    {
        let (middle, last) = (times[times.len() / 2], times[times.len() - 1]);
        println!("{} sign-ins {what}: half within {middle:?}, all within {last:?}", times.len());
    }
    let middle = |times: &[Duration]| times[times.len() / 2];
    let slowest = |times: &[Duration]| times[times.len() - 1];
    // A sign-in that waited for a run, or for one of its phases, would wait for more than a quarter
    // of it.
    let most = (slowest(&alone) * 10).max(shortest / 4);
    for times in [&fetching, &staging] {
        let (half, of) = (middle(times), middle(&alone));
        assert!(half < of * 5, "half of the sign-ins took {half:?} or more instead of {of:?}");
        assert!(
            slowest(times) < most,
            "a sign-in took {:?} instead of {:?}",
            slowest(times),
            slowest(&alone)
        );
    }
}

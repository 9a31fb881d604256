//! Two processes on one PostgreSQL: one run at a time, and both gates follow. An SQLite file
//! belongs to a single process.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use gongpai::simulator::{RunningSimulator, Simulator};
use gongpai::testing::base::secret::Secret;
use gongpai::testing::db::{DatabaseLocation, Db};

use crate::support::browser::Browser;
use crate::support::chart::read_published_version;
use crate::support::company::{CompanyChanges, describe_differences, expected_chart, read_api_view};
use crate::support::database::{Engine, TestDatabase};
use crate::support::process::Signal;
use crate::support::serve::ServeProcess;
use crate::support::sync_runs::{SyncRunRow, read_running_run, read_sync_runs, reason_code};

/// How often the database and the gates are read.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// How soon both gates follow.
const FOLLOW_LIMIT: Duration = Duration::from_secs(1);

/// A run's lease, a look at the queue, and a margin for a busy machine.
const TAKE_OVER_LIMIT: Duration = Duration::from_secs(40);

/// Two gateways on one database; `None` on SQLite.
struct TwoGateways {
    wecom: RunningSimulator,
    one: ServeProcess,
    other: ServeProcess,
    db: Db,
    _database: TestDatabase,
}

impl TwoGateways {
    async fn start(toml: &str) -> Option<Self> {
        if Engine::from_environment() == Engine::Sqlite {
            println!("skipped: an SQLite file belongs to one process");
            return None;
        }
        let wecom = Simulator::start().await.expect("the simulator starts");
        let database = TestDatabase::create().await;
        let one = ServeProcess::start(&wecom, &database, toml).await;
        let other = ServeProcess::start(&wecom, &database, toml).await;
        let url = Secret::from(database.url());
        let db = Db::open(DatabaseLocation::Postgres(&url)).await.expect("the database opens");
        Some(Self { wecom, one, other, db, _database: database })
    }

    async fn runs_with_status(&self, status: &str) -> Vec<String> {
        let runs = read_sync_runs(&self.db).await.into_iter();
        runs.filter(|run| run.status == status).map(|run| run.id).collect()
    }

    /// Returns the running run and its process.
    async fn running_run(&self) -> (String, u32) {
        let give_up = Instant::now() + Duration::from_secs(20);
        loop {
            if let Some(run) = read_running_run(&self.db).await {
                let process = run.holder.split(' ').next().and_then(|id| id.parse().ok());
                return (run.id, process.expect("a process"));
            }
            assert!(Instant::now() < give_up, "nobody works on a run");
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }
}

fn count_runs(runs: &[SyncRunRow], wanted: impl Fn(&SyncRunRow) -> bool) -> usize {
    runs.iter().filter(|run| wanted(run)).count()
}

#[tokio::test]
async fn on_replicas_schedules_that_fire_at_the_same_second_make_one_run_and_one_is_worked_on_at_a_time() {
    const EVERY: i64 = 3000;
    const FIRINGS: usize = 6;
    let schedules = "[wecom]\nsync_cron = \"0/3 * * * * ?\"\nforce_sync_cron = \"\"\n";
    let Some(two) = TwoGateways::start(schedules).await else { return };
    two.wecom.change(|w| CompanyChanges::populate(w, 400, 60));
    two.wecom.set_latency("user/list", Duration::from_millis(150));
    let began = Instant::now();
    let (mut holders, mut busy) = (BTreeMap::<String, BTreeSet<String>>::new(), 0_u32);
    let mut runs = Vec::new();
    while count_runs(&runs, |run| run.cause == "cron" && run.status == "done") < FIRINGS {
        runs = read_sync_runs(&two.db).await;
        for status in ["running", "queued"] {
            assert!(count_runs(&runs, |run| run.status == status) <= 1, "{runs:?}");
        }
        for run in runs.iter().filter(|run| run.status == "running") {
            holders.entry(run.holder.clone()).or_default().insert(run.id.clone());
            busy += 1;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "the schedules do not fire");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    assert!(busy > 0, "no run was ever seen");
    let at_once = two.wecom.most_calls_at_once_of("user/list");
    assert!((2..=10).contains(&at_once), "{at_once} calls of user/list at once");
    let runs = read_sync_runs(&two.db).await;
    let at: Vec<i64> = runs.iter().filter(|run| run.cause == "cron").map(|run| run.requested_at).collect();
    let slots: Vec<i64> = at.iter().map(|at| at / EVERY).collect();
    let want: Vec<i64> = (slots[0]..).take(slots.len()).collect();
    assert_eq!(slots, want, "one run each time the schedule fires: {at:?}");
    assert_eq!(count_runs(&runs, |run| run.cause == "start"), 1);
    let failed = count_runs(&runs, |run| ["failed", "refused"].contains(&run.status.as_str()));
    assert_eq!(failed, 0, "{runs:?}");
    let late: Vec<i64> = at.iter().map(|at| at % EVERY).collect();
    println!("{} firings, {late:?} ms after their second; worked on by {holders:?}", at.len());
}

#[tokio::test]
async fn on_replicas_requests_to_both_at_once_are_one_run_that_is_worked_on_and_one_that_waits() {
    let Some(two) = TwoGateways::start("").await else { return };
    two.wecom.change(|w| CompanyChanges::populate(w, 400, 60));
    two.wecom.set_latency("user/list", Duration::from_millis(150));
    for _ in 0..3 {
        let (first, second) = tokio::join!(two.one.request_run(), two.other.request_run());
        let (run, _) = two.running_run().await;
        assert!(run == first || run == second);
        let (a, b) = tokio::join!(two.one.request_run(), two.other.request_run());
        assert_eq!(a, b, "the one that waits does what both asked for");
        assert_ne!(a, run);
        assert_eq!(two.runs_with_status("running").await, [run]);
        assert_eq!(two.runs_with_status("queued").await, std::slice::from_ref(&a));
        two.other.wait_until_done(&a).await;
        assert_eq!(two.runs_with_status("queued").await, Vec::<String>::new());
    }
    let at_once = two.wecom.most_calls_at_once_of("user/list");
    assert!((2..=10).contains(&at_once), "{at_once} calls of user/list at once");
    for serve in [&two.one, &two.other] {
        let wrong = describe_differences(&read_api_view(serve).await.chart, &two.wecom.read(expected_chart));
        assert!(wrong.is_empty(), "{wrong}");
    }
}

#[tokio::test]
async fn on_replicas_both_gates_follow_a_publication_within_a_second() {
    let rules = "[[rules]]\nhost = \"oa.example.com\"\nallow = [\"unit:财务部/**\"]\n";
    let Some(two) = TwoGateways::start(rules).await else { return };
    let run = two.one.request_run().await;
    two.one.wait_until_done(&run).await;
    let phone = two.one.signed_in(&two.wecom, "lisi").await;
    let mut slowest = Duration::ZERO;
    // Out of the department and back, synchronised by one gateway and the other in turn; in the end
    // out of the company.
    let steps: [(Option<i64>, u16); 7] = [
        (Some(4), 403),
        (Some(2), 200),
        (Some(6), 403),
        (Some(2), 200),
        (Some(5), 403),
        (Some(2), 200),
        (None, 401),
    ];
    for (n, (department, want)) in steps.into_iter().enumerate() {
        match department {
            Some(department) => assert!(two.wecom.move_member("lisi", [department])),
            None => two.wecom.remove_member("lisi"),
        }
        let before = read_published_version(&two.db).await;
        let asked = if n % 2 == 0 { &two.one } else { &two.other };
        let run = asked.request_run().await;
        let committed = async {
            while read_published_version(&two.db).await == before {
                tokio::time::sleep(POLL_INTERVAL).await;
            }
            Instant::now()
        };
        let (committed, one, other) = tokio::join!(
            committed,
            wait_for_gate(&two.one, &phone, want),
            wait_for_gate(&two.other, &phone, want)
        );
        for at in [one, other] {
            let took = at.saturating_duration_since(committed);
            assert!(took < FOLLOW_LIMIT + POLL_INTERVAL, "step {n}: a gate followed after {took:?}");
            slowest = slowest.max(took);
        }
        asked.wait_until_done(&run).await;
    }
    println!("the slowest of {} changes of a gate came {slowest:?} after the publication", 2 * steps.len());
}

/// Waits until the gate of `serve` first answers `want`.
async fn wait_for_gate(serve: &ServeProcess, phone: &Browser, want: u16) -> Instant {
    let give_up = Instant::now() + Duration::from_secs(20);
    loop {
        let status = serve.check(phone).await.status;
        if status == want {
            return Instant::now();
        }
        assert!(Instant::now() < give_up, "the gate still says {status} instead of {want}");
        tokio::time::sleep(POLL_INTERVAL).await;
    }
}

#[tokio::test]
async fn on_replicas_the_run_of_a_process_that_is_killed_is_taken_up_by_the_other_once_its_lease_is_over() {
    let Some(two) = TwoGateways::start("").await else { return };
    two.wecom.change(|w| CompanyChanges::populate(w, 1000, 60));
    two.wecom.set_latency("user/list", Duration::from_millis(500));
    let run = two.one.request_run().await;
    let (of, holder) = two.running_run().await;
    assert_eq!(of, run);
    let (killed, left) =
        if holder == two.one.process.id() { (&two.one, &two.other) } else { (&two.other, &two.one) };
    assert_eq!(killed.process.id(), holder, "a third process works");
    while two.wecom.calls("user/list") < 15 {
        tokio::time::sleep(POLL_INTERVAL).await;
    }
    killed.process.signal(Signal::Kill);
    let died = Instant::now();
    two.wecom.set_latency("user/list", Duration::from_millis(20));
    let taken = loop {
        if let Some(next) = read_running_run(&two.db).await.filter(|next| next.id != run) {
            break next.id;
        }
        assert!(died.elapsed() < TAKE_OVER_LIMIT, "nobody takes the run up");
        tokio::time::sleep(POLL_INTERVAL).await;
    };
    let waited = died.elapsed();
    println!("taken up {waited:?} after the kill");
    assert!(waited > Duration::from_secs(20), "taken while its lease was good: {waited:?}");
    left.wait_until_done(&taken).await;
    let runs = read_sync_runs(&two.db).await;
    let find = |id: &str| runs.iter().find(|run| run.id == id).expect("the run is kept");
    let ended = find(&run);
    assert_eq!(ended.status, "failed");
    assert_eq!(reason_code(ended).as_deref(), Some("process_killed"), "{ended:?}");
    assert_eq!(find(&taken).cause, "again");
    let wrong = describe_differences(&read_api_view(left).await.chart, &two.wecom.read(expected_chart));
    assert!(wrong.is_empty(), "{wrong}");
}

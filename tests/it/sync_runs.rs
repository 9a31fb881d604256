//! Whole runs: what they bring, what they refuse, and `gongpai sync`.

use gongpai::simulator::{RunningSimulator, Simulator};
use gongpai::testing::app::App;
use gongpai::testing::audit;
use gongpai::testing::base::clock::{Clock, Timestamp};
use gongpai::testing::base::id::CorpId;
use gongpai::testing::config::{Config, ConfigSources};
use gongpai::testing::directory::{self, PersonStatus};
use gongpai::testing::sync::apply::baseline::load_local_directory;
use gongpai::testing::sync::progress::SyncProgress;
use gongpai::testing::sync::queue::{SyncRequest, SyncRun};
use gongpai::testing::sync::remote::FetchMode;
use gongpai::testing::sync::run::WorkResult;
use gongpai::testing::sync::state::{SyncCause, SyncKind, SyncRunReason, SyncRunStatus};
use serde_json::Value;

use crate::support::app::{TestApp, configuration};
use crate::support::database::TestDatabase;
use crate::support::eventually;
use crate::support::planted_rows::ConflictFixture;
use crate::support::process::{Program, Signal};
use crate::support::replica::{ReplicaSite, SyncReplica};

/// The simulator's company has eight members; the application does not see one of them.
const VISIBLE_MEMBERS: u64 = 7;

async fn work_request(a: &SyncReplica, request: SyncRequest) -> SyncRun {
    let id = a.request(request).await;
    let run = a.claim().await.expect("claimed");
    assert_eq!(run.id, id);
    let worked = a.sync.work(&run, &SyncProgress::default()).await;
    let run = a.find(&id).await;
    assert_eq!(worked, WorkResult::Ended(run.status), "{run:?}");
    run
}

fn full_request() -> SyncRequest {
    SyncRequest { kind: SyncKind::Full, cause: SyncCause::CommandLine, dry_run: false, force: false }
}

fn corp_of(place: &ReplicaSite) -> CorpId {
    CorpId::new(place.wecom.read(|world| world.corp_id.clone()))
}

/// Counts the persons who have not left.
async fn count_active(place: &ReplicaSite, a: &SyncReplica) -> usize {
    let local = load_local_directory(&a.db, &corp_of(place)).await.expect("the chart");
    local.persons.values().filter(|person| person.status != PersonStatus::Left).count()
}

/// Returns the published version, and whether a run read everything.
async fn published(place: &ReplicaSite, a: &SyncReplica) -> (i64, bool) {
    let (version, complete_at) =
        directory::store::published_version(&a.db, &corp_of(place)).await.expect("a chart");
    (version, complete_at.is_some())
}

#[tokio::test]
async fn a_run_brings_the_chart_and_says_what_it_did() {
    let place = ReplicaSite::new().await;
    let a = place.replica().await;
    let run = work_request(&a, full_request()).await;
    assert_eq!((run.status, run.complete, &run.reason), (SyncRunStatus::Done, true, &None), "{run:?}");
    assert_eq!(run.counts.persons.created, VISIBLE_MEMBERS);
    assert!(
        run.counts.units.created > 0 && run.counts.memberships.created >= VISIBLE_MEMBERS,
        "{:?}",
        run.counts
    );
    assert_eq!(run.report.way, Some(FetchMode::Visible));
    assert!(run.report.lines.iter().any(|line| line.contains("zhangsan")), "{:?}", run.report.lines);
    assert_eq!(published(&place, &a).await, (1, true));
    let again = work_request(&a, SyncRequest { kind: SyncKind::Update, ..full_request() }).await;
    assert_eq!((again.status, again.counts), (SyncRunStatus::Done, Default::default()), "{again:?}");
}

#[tokio::test]
async fn a_rehearsal_says_what_would_change_and_changes_nothing() {
    let place = ReplicaSite::new().await;
    let a = place.replica().await;
    let run = work_request(&a, SyncRequest { dry_run: true, ..full_request() }).await;
    assert_eq!((run.status, run.counts.persons.created), (SyncRunStatus::Done, VISIBLE_MEMBERS), "{run:?}");
    assert!(!run.report.lines.is_empty());
    assert_eq!(count_active(&place, &a).await, 0);
    assert_eq!(published(&place, &a).await, (0, false));
}

#[tokio::test]
async fn a_run_that_would_remove_too_much_is_refused_until_it_is_forced() {
    let place = ReplicaSite::new().await;
    let a = place.replica().await;
    work_request(&a, full_request()).await;
    for userid in ["zhaoliu", "sunqi", "zhouba"] {
        place.wecom.remove_member(userid);
    }
    let before = count_active(&place, &a).await;
    let refused = work_request(&a, full_request()).await;
    assert_eq!(refused.status, SyncRunStatus::Refused, "{refused:?}");
    assert!(matches!(refused.reason, Some(SyncRunReason::ExcessiveRemovals(_))), "{refused:?}");
    let reason = refused.reason_text().expect("a reason");
    assert!(reason.contains("--force") && reason.contains("max_removals"), "{reason}");
    assert_eq!((count_active(&place, &a).await, refused.report.removals.persons), (before, 3));
    let since = Timestamp::from_millis(0);
    let rows = audit::store::list_rows(&a.db, &corp_of(&place), None, since, "", 100).await.expect("rows");
    let details: Vec<_> = rows
        .into_iter()
        .filter(|row| row.event == "sync" && row.decision == "refused")
        .map(|row| row.detail)
        .collect();
    assert_eq!(details, [format!("run {}: {reason}", refused.id)]);
    let rehearsal = work_request(&a, SyncRequest { dry_run: true, ..full_request() }).await;
    assert_eq!(
        (rehearsal.status, rehearsal.counts.persons.removed),
        (SyncRunStatus::Refused, 3),
        "{rehearsal:?}"
    );
    let forced = work_request(&a, SyncRequest { force: true, ..full_request() }).await;
    assert_eq!((forced.status, forced.counts.persons.removed), (SyncRunStatus::Done, 3), "{forced:?}");
    assert_eq!(count_active(&place, &a).await, before - 3);
}

#[tokio::test]
async fn a_gateway_works_on_what_is_asked_for_and_counts_it() {
    let t = TestApp::start().await;
    let id = t.app.sync.request(full_request()).await.expect("asked for");
    let run = eventually("the run ends", async || {
        let run = t.app.sync.find(&id).await.expect("the database answers").expect("kept");
        run.status.is_final().then_some(run)
    })
    .await;
    assert_eq!((run.status, run.counts.persons.created), (SyncRunStatus::Done, VISIBLE_MEMBERS), "{run:?}");
    t.app.sync.refresh_metrics().await.expect("the database answers");
    let metrics = reqwest::get(format!("http://{}/metrics", t.admin)).await.unwrap().text().await.unwrap();
    for line in [
        "gongpai_sync_runs_total{kind=\"full\",outcome=\"done\"} 1",
        "gongpai_sync_changes_total{entity=\"person\",change=\"created\"} 7",
        "gongpai_sync_duration_seconds_count 1",
        "gongpai_sync_complete_age_seconds 0",
        "gongpai_sync_refused_total 0",
        "gongpai_sync_conflicts_open 0",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }

    // An hour later most of the company is gone, and a conflict is open.
    t.app.clock.advance(std::time::Duration::from_secs(3600));
    let zhangsan = crate::support::directory::find_holder(&t, "zhangsan").await;
    let conflict = ConflictFixture::open("c1", "reused", &zhangsan, &[]);
    conflict.write(&t.app.db, t.app.config.wecom.corp_id.as_str()).await;
    for userid in ["wangwu", "zhaoliu", "sunqi"] {
        t.wecom.remove_member(userid);
    }
    assert_eq!(t.sync().await["status"], "refused");
    t.app.sync.refresh_metrics().await.expect("the database answers");
    let metrics = reqwest::get(format!("http://{}/metrics", t.admin)).await.unwrap().text().await.unwrap();
    for line in [
        "gongpai_sync_runs_total{kind=\"full\",outcome=\"done\"} 1",
        "gongpai_sync_runs_total{kind=\"full\",outcome=\"refused\"} 1",
        "gongpai_sync_duration_seconds_count 2",
        "gongpai_sync_complete_age_seconds 3600",
        "gongpai_sync_refused_total 1",
        "gongpai_sync_conflicts_open 1",
    ] {
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
}

/// An installation on disk whose database exists already.
struct Installation {
    wecom: RunningSimulator,
    _database: TestDatabase,
    folder: tempfile::TempDir,
}

impl Installation {
    async fn create(more: &str) -> Self {
        let wecom = Simulator::start().await.expect("the simulator starts");
        let database = TestDatabase::create().await;
        let text = configuration(&wecom, &database, more);
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("gongpai.toml"), &text).expect("a configuration");
        let (config, _) =
            Config::load(&ConfigSources { text: Some(text), ..ConfigSources::default() }).expect("accepted");
        let (app, _) = App::build(config, Clock::System).await.expect("the gateway starts");
        app.close().await;
        Self { wecom, _database: database, folder }
    }

    fn sync(&self, args: &[&str]) -> Program {
        Program::gongpai().cwd(self.folder.path()).arg("sync").args(args)
    }
}

#[tokio::test]
async fn the_command_works_alone_and_prints_its_report() {
    let place = Installation::create("").await;
    let rehearsal = place.sync(&["--dry-run"]).run().await;
    assert_eq!(rehearsal.code(), Some(0), "{rehearsal:?}");
    assert!(rehearsal.stdout.contains("persons      7        0        0"), "{}", rehearsal.stdout);
    assert!(rehearsal.stdout.contains("nothing was changed"), "{}", rehearsal.stdout);
    let done = place.sync(&[]).run().await;
    assert_eq!(done.code(), Some(0), "{done:?}");
    assert!(
        done.stdout.contains("persons      7        0        0"),
        "as the rehearsal said: {}",
        done.stdout
    );
    assert!(done.stdout.trim_end().ends_with("is done"), "{}", done.stdout);
    let again = place.sync(&["--json", "--update"]).run().await;
    let run: Value = serde_json::from_str(&again.stdout).expect("one JSON document");
    assert_eq!(
        (&run["kind"], &run["status"], &run["complete"]),
        (&"update".into(), &"done".into(), &true.into())
    );
    for userid in ["zhaoliu", "sunqi", "zhouba"] {
        place.wecom.remove_member(userid);
    }
    let refused = place.sync(&[]).run().await;
    assert_eq!(refused.code(), Some(1), "{refused:?}");
    assert!(refused.stdout.contains("was refused, nothing was changed"), "{}", refused.stdout);
    assert_eq!(place.sync(&["--force"]).run().await.code(), Some(0));
}

#[tokio::test]
async fn the_command_says_why_it_failed() {
    let place = Installation::create("[wecom]\napp_secret = \"another\"").await;
    let failed = place.sync(&[]).run().await;
    assert_eq!(failed.code(), Some(1), "{failed:?}");
    assert!(failed.stdout.contains("40001") && failed.stdout.contains("failed"), "{}", failed.stdout);
}

#[tokio::test]
async fn an_interrupted_command_leaves_nothing_that_goes_on() {
    // Accepts connections and never answers.
    let deaf = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", deaf.local_addr().unwrap());
    let place = Installation::create(&format!("[wecom]\napi_address = {address:?}")).await;
    let mut process = place.sync(&["--force"]).start();
    process.line_with("reading departments").await;
    process.signal(Signal::Interrupt);
    assert_eq!(process.exit().await.code(), Some(1));
    process.line_with("interrupted: nothing was changed").await;
    let mut next = place.sync(&[]).start();
    next.line_with("reading departments").await;
}

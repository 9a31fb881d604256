//! Replicas that only synchronise. Nothing happens by itself, so that a test decides what does.

use gongpai::simulator::{RunningSimulator, Simulator};
use gongpai::testing::base::clock::{Clock, Timestamp};
use gongpai::testing::base::id::RunId;
use gongpai::testing::config::{Config, ConfigSources};
use gongpai::testing::db::Db;
use gongpai::testing::directory::store::ensure_chart;
use gongpai::testing::sync::SyncService;
use gongpai::testing::sync::queue::{SyncRequest, SyncRun, SyncRunEnd};
use gongpai::testing::sync::state::{SyncCause, SyncKind, SyncRunReason, SyncRunStatus};
use gongpai::testing::wecom::WecomClient;

use super::app::configuration;
use super::database::TestDatabase;

/// One database, one WeCom, one clock, and as many replicas as a test needs.
pub(crate) struct ReplicaSite {
    pub(crate) wecom: RunningSimulator,
    pub(crate) database: TestDatabase,
    pub(crate) clock: Clock,
}

/// A replica that only synchronises; nothing happens by itself.
pub(crate) struct SyncReplica {
    pub(crate) sync: SyncService,
    pub(crate) db: Db,
}

impl ReplicaSite {
    pub(crate) async fn new() -> Self {
        Self::on(TestDatabase::create().await).await
    }

    /// Makes a site with another WeCom on a database that was used before.
    pub(crate) async fn on(database: TestDatabase) -> Self {
        Self {
            wecom: Simulator::start().await.expect("the simulator starts"),
            database,
            // 2026-11-22 16:00:00 in Shanghai.
            clock: Clock::fixed(Timestamp::from_millis(1_795_334_400_000)),
        }
    }

    pub(crate) async fn replica(&self) -> SyncReplica {
        self.replica_with("").await
    }

    pub(crate) async fn replica_with(&self, toml: &str) -> SyncReplica {
        let text = Some(configuration(&self.wecom, &self.database, toml));
        let (config, _) =
            Config::load(&ConfigSources { text, ..ConfigSources::default() }).expect("accepted");
        let db = Db::open(config.database.location()).await.expect("a database");
        ensure_chart(&db, &config.wecom.corp_id).await.expect("a chart");
        let client = WecomClient::new((&config).into(), self.clock.clone()).expect("a client");
        let sync = SyncService::new((&config).into(), db.clone(), client, self.clock.clone());
        SyncReplica { sync, db }
    }
}

impl SyncReplica {
    pub(crate) async fn request_run(&self, kind: SyncKind, force: bool) -> RunId {
        self.request(SyncRequest { kind, cause: SyncCause::CommandLine, dry_run: false, force }).await
    }

    pub(crate) async fn request_dry_run(&self) -> RunId {
        self.request(SyncRequest {
            kind: SyncKind::Full,
            cause: SyncCause::CommandLine,
            dry_run: true,
            force: false,
        })
        .await
    }

    pub(crate) async fn request(&self, request: SyncRequest) -> RunId {
        self.sync.request(request).await.expect("asked for")
    }

    pub(crate) async fn claim(&self) -> Option<SyncRun> {
        self.sync.queue().claim().await.expect("the database answers")
    }

    pub(crate) async fn find(&self, id: &RunId) -> SyncRun {
        self.sync.find(id).await.expect("the database answers").expect("it is kept")
    }

    pub(crate) async fn end(&self, id: &RunId) -> bool {
        let failed = SyncRunEnd::failed(SyncRunReason::ProcessStopped);
        let end = SyncRunEnd { status: SyncRunStatus::Done, complete: true, reason: None, ..failed };
        self.sync.queue().end(id, &end).await.expect("the database answers")
    }

    pub(crate) async fn fire_due(&self) {
        self.sync.fire_due().await.expect("the database answers");
    }

    /// Returns kind and cause of every queued run, oldest first.
    pub(crate) async fn queued_runs(&self) -> Vec<String> {
        let mut runs = self.sync.queue().list(100, None).await.expect("the database answers");
        runs.retain(|run| run.status == SyncRunStatus::Queued);
        runs.sort_by(|a, b| a.id.as_str().cmp(b.id.as_str()));
        runs.iter().map(|run| format!("{} {}", run.kind.as_str(), run.cause)).collect()
    }
}
